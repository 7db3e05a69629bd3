#!/usr/bin/env bash
# Proves what deny.toml asks of all dependencies: licences, sources, banned crates; and, where the
# advisory database can be fetched, that no known vulnerability is among them.
#
# Time: 2 seconds, more where the database can be fetched.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

cargo_tool deny
cargo deny --all-features check --hide-inclusion-graph bans licenses sources
if timeout 120 cargo deny --log-level off fetch db 2>/dev/null; then
    cargo deny --all-features check advisories
else
    echo "NOT CHECKED: advisories, as their database could not be fetched"
fi
