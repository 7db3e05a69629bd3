#!/bin/sh
# Instructions an operation, of every case of one thread (or of those that begin with $1).
#
#   benches/instructions.sh [GROUP[/CASE]]
#
# For one case by hand:
#
#   valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' \
#       target/release/instructions CASE N
#
# once with N=0 and once with N=1000000: the difference, divided by N, is the table's number.
# Only the measured loop is counted, not what prepares it. Valgrind hides the kernel's vDSO, so a
# reading of the operating system's clock counts as the few instructions up to a system call.
set -eu

if ! command -v valgrind >/dev/null; then
    echo "valgrind is needed to count instructions: install it and run this again" >&2
    exit 1
fi
cd "$(dirname "$0")/.."
cargo build --quiet --profile bench -p steadfast-benches --bin instructions
program=${CARGO_TARGET_DIR:-target}/release/instructions
times=1000000

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' \
        "$program" "$1" "$2" 2>&1 | sed -n 's/^==[0-9]*== Collected : *\([0-9]*\).*/\1/p'
}

"$program" | while read -r case; do
    case $case in
        "${1:-}"*) ;;
        *) continue ;;
    esac
    none=$(count "$case" 0)
    some=$(count "$case" $times)
    printf '| %-52s | %6d |\n' "$case" $(((some - none + times / 2) / times))
done
