#!/usr/bin/env bash
# Proves that the public documentation builds without a warning (a broken link is one), and that
# its examples compile, run and show what they say.
#
# Time: about 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --doc --all-features 2>&1 | tee "$log"
grep -qE '^test result: ok\. [1-9]' "$log" || fail "no example ran"
