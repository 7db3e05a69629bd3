#!/usr/bin/env bash
# Proves that the tests see what they are there for: breaks the code in each of the ways that
# tests/mutations lists (every order weakened, every second look deleted, …), and demands that the test
# named there fails.
#
#   ci/mutations.sh [PART-OF-A-NAME…]
#
# Time: 10 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# The mutations that are listed, so that none is lost unseen.
MINIMUM=70

log=$target_dir/mutations.log
cargo run --quiet --release -p steadfast-tests --bin mutations -- "$@" | tee "$log"
[ $# = 0 ] || exit 0
seen=$(grep -c ': seen by ' "$log" || true)
((seen >= MINIMUM)) || fail "$seen mutations were tried, fewer than the $MINIMUM that there should be"
