#!/usr/bin/env bash
# Runs every proof, the cheapest first, and stops at the first that fails.
#
#   ci/all.sh [--long]
#
# With `--long` also those that take too long for every change.
#
# What the largest proofs compile for themselves alone is removed once they passed: together that would be more
# than 20 GB.
#
# Time: the sum of the proofs, printed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# Nothing is compiled twice after a small change, for which it would be worth its room.
export CARGO_INCREMENTAL=0
# What is said of a change is said of the same inputs each time. `cargo test` without it, and `fuzz.sh` with a
# time, search among others.
export PROPTEST_RNG_SEED=1

proofs=(labels format crates deny tests examples soak clippy docs features msrv minimal-versions no-std bare-metal
    public-api fuzz loom)
long=("fuzz 60" mutations thirty-two-bits "thirty-two-bits native critical-section" sanitizers "sanitizers thread")

for script in ci/*.sh; do
    name=$(basename "$script" .sh)
    case $name in all | lib) continue ;; esac
    if [[ " ${proofs[*]} ${long[*]} " != *" $name "* ]]; then
        echo "FAILED: $script is not in the list of ci/all.sh" >&2
        exit 1
    fi
done

if [ "${1:-}" = --long ]; then
    proofs+=("${long[@]}")
fi

summary=
for name in "${proofs[@]}"; do
    printf '\n=== %s\n' "$name"
    start=$SECONDS
    read -ra words <<<"$name"
    if ! bash "ci/${words[0]}.sh" "${words[@]:1}"; then
        printf '\n=== %s failed after %d s\n%s' "$name" $((SECONDS - start)) "$summary" >&2
        exit 1
    fi
    took=$((SECONDS - start))
    case $name in
    features | msrv | minimal-versions | thirty-two-bits* | sanitizers*) rm -rf "${target_dir:?}/${words[0]}" ;;
    esac
    echo "=== $name: $took s"
    summary+=$(printf '%-10s %5d s' "$name" "$took")$'\n'
done

printf '\n%s' "$summary"
printf '%-10s %5d s\n' total "$SECONDS"
echo "proofs: ${#proofs[@]} passed, 0 failed"
