#!/usr/bin/env bash
# Proves that every combination of features of every shipped crate compiles, without a warning.
# (That `none`, `alloc` and `wait` need no operating system is shown by no-std.sh, which compiles
# them where there is none.)
#
# cargo-hack leaves out the combinations that come to the same as another, `wait,alloc` and `wait`
# for example. Where more than FULL remain, as each primitive doubles those of the umbrella, only
# sets of up to three are checked: a `cfg` that names more than three features does not exist here.
#
# Time: about 2 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
FULL=300

cargo_tool hack
# With flags of its own it would throw away the builds of the other proofs, and they this one's.
export CARGO_TARGET_DIR=$target_dir/features RUSTFLAGS="-D warnings"

all=0
for crate in $(shipped); do
    # `default` is a sum of other features.
    powerset=(cargo hack check --lib -p "$crate" --feature-powerset --exclude-features default)
    of=$("${powerset[@]}" --print-command-list | wc -l)
    if ((of > FULL)); then
        powerset+=(--depth 3)
    fi
    count=$("${powerset[@]}" --print-command-list | wc -l)
    ((count > 0)) || fail "$crate: no combination to check"
    echo "$crate: $count of $of combinations"
    # Quiet: cargo-hack still names each combination.
    "${powerset[@]}" --quiet
    all=$((all + count))
done
((all > 0)) || fail "nothing was checked"
echo "$all combinations of features compile"
