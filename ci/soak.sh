#!/usr/bin/env bash
# Proves that the laws of all primitives hold under load and a chaotic clock, and that memory does not
# grow: runs the soak of tests/, by default for 6 seconds. `ci/soak.sh MINUTES [OPTIONS]` runs it for
# longer, with what else it takes.
#
# Fails if a primitive saw fewer than 20,000 operations a minute: then next to nothing was shown.
#
# Time: the minutes, after 1 minute to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

minutes=${1:-0.1}
least=$(awk -v minutes="$minutes" 'BEGIN { print int(20000 * minutes) }')
((least > 0)) || fail "$minutes minutes: give at least 0.05"
cargo run --release -p steadfast-tests --bin soak -- \
    --minutes "$minutes" --at-least "$least" "${@:2}"
