#!/usr/bin/env bash
# Proves on inputs that a fuzzer makes up that the machines do what their oracles say, and that those who
# wait at them get what a plain queue gives them, in whatever order they are polled and dropped (the targets
# that end in `_waits`).
#
#   ci/fuzz.sh                        RUNS of every target of fuzz/, from one seed and the committed inputs in
#                                     the order of their names: what it says is said of the change and not
#                                     of luck
#   ci/fuzz.sh SECONDS [TARGET…]      a search, for so long each
#
# It begins with the committed inputs in fuzz/corpus. A search keeps what it finds in the target folder,
# where the next one goes on. An input that fails is left in fuzz/artifacts. No nightly compiler is
# needed, as there is no sanitizer: what is tested has no `unsafe`.
#
# An input that takes a minute fails, too: none takes a millisecond, so that is one which never ends. A
# shorter limit would one day fail on a machine that has other things to do.
#
# Time: 1 minute to compile, then 1 minute for all, or SECONDS a target.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
RUNS=10000
# A search that did next to nothing proves nothing: the slowest target does some hundreds a second.
LEAST_PER_SECOND=100
# Nor one that never got beyond reading its input.
LEAST_BRANCHES=300

if [ $# = 0 ]; then
    least=$RUNS
    limits=(-runs="$RUNS" -seed=1)
    corpora=$target_dir/fuzz/from-one-seed
    rm -rf "$corpora"
else
    [[ $1 =~ ^[1-9][0-9]*$ ]] || fail "for how many seconds? '$1' is no such number"
    least=$(($1 * LEAST_PER_SECOND))
    limits=(-max_total_time="$1")
    corpora=$target_dir/fuzz/corpus
    shift
fi

cargo_tool fuzz
fuzz=(--sanitizer none --target-dir "$target_dir/fuzz")
# The names of the programs.
mapfile -t targets < <(cargo fuzz list)
((${#targets[@]} > 0)) || fail "there is no target"
for target in "$@"; do
    [[ " ${targets[*]} " == *" $target "* ]] || fail "no target '$target': there are ${targets[*]}"
done
[ $# = 0 ] || targets=("$@")
cargo fuzz build "${fuzz[@]}"

all=0
for target in "${targets[@]}"; do
    found=$corpora/$target
    log=$target_dir/fuzz/$target.log
    mkdir -p "$found"
    mapfile -t inputs < <(find "fuzz/corpus/$target" -type f | LC_ALL=C sort)
    ((${#inputs[@]} > 0)) || fail "fuzz/corpus/$target is empty"
    # From a folder they would come in whatever order the file system has them.
    seeds=$target_dir/fuzz/$target.seeds
    (IFS=, && echo -n "${inputs[*]}") >"$seeds"
    # libFuzzer writes what is new to the folder.
    cargo fuzz run "${fuzz[@]}" "$target" "$found" -- \
        "${limits[@]}" -seed_inputs=@"$seeds" -max_len=256 -timeout=60 -print_final_stats=1 >"$log" 2>&1 || {
        tail -n 60 "$log"
        fail "$target: see above"
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *\([0-9]*\)$/\1/p' "$log")
    edges=$(sed -nE 's/^#[0-9]+\sDONE +cov: ([0-9]+) .*/\1/p' "$log")
    ((${runs:-0} >= least)) || fail "$target: ${runs:-no} runs and not $least (see $log)"
    ((${edges:-0} >= LEAST_BRANCHES)) || fail "$target: reached ${edges:-no} branches (see $log)"
    echo "$target: $runs runs from ${#inputs[@]} inputs, $edges branches reached"
    all=$((all + runs))
done
echo "$all runs, none failed"
