#!/bin/sh
# Instructions an operation, of the cases of one thread that begin with one of the arguments (of all,
# without).
#
#   benches/instructions.sh [GROUP[/CASE]…]
#
# For one case by hand:
#
#   valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' \
#       target/release/instructions CASE 100000
#
# Only the measured loop is counted, not what prepares it. Valgrind hides the kernel's vDSO, so a
# reading of the operating system's clock counts as the few instructions up to a system call.
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet --profile bench -p steadfast-benches --bins
exec "${CARGO_TARGET_DIR:-target}/release/instructions" --count "$@"
