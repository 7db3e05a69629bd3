#!/usr/bin/env bash
# Runs every test and example of the workspace, every executor included: the README's second command; and
# the example `feed`, which has to keep its promises whatever goes wrong, and to notice that it cheats.
#
# Time: about 2 minutes, most of it compiling.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace 2>&1 | tee "$log"
passed=$(passed_tests "$log")
((passed > 0)) || fail "no test ran"
echo "$passed tests passed"

cargo build --workspace --example feed
feed=$target_dir/debug/examples/feed
"$feed" --seconds 5 || fail "feed did not keep its promises; its first line says how to run it again"
# Status 1 is a broken promise, and not an option or a panic.
status=0
cheated=$("$feed" --seconds 2 --faults none --cheat) || status=$?
((status == 1)) || fail "a client that cheats ends with status $status"
grep -q '^BROKEN  at most 1,000 requests in any 1s' <<<"$cheated" || fail "nobody saw the client cheat"
echo "feed: kept its promises, and saw a client that did not"
