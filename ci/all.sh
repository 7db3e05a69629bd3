#!/usr/bin/env bash
# Runs every proof, the cheapest first, and stops at the first that fails.
#
# Time: the sum of the proofs, printed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

proofs=(labels format crates deny tests clippy docs features msrv no-std thirty-two-bits sanitizers fuzz loom)

for script in ci/*.sh; do
    name=$(basename "$script" .sh)
    case $name in all | lib) continue ;; esac
    if [[ " ${proofs[*]} " != *" $name "* ]]; then
        echo "FAILED: $script is not in the list of ci/all.sh" >&2
        exit 1
    fi
done

summary=
for name in "${proofs[@]}"; do
    printf '\n=== %s\n' "$name"
    start=$SECONDS
    if ! bash "ci/$name.sh"; then
        printf '\n=== %s failed after %d s\n%s' "$name" $((SECONDS - start)) "$summary" >&2
        exit 1
    fi
    took=$((SECONDS - start))
    echo "=== $name: $took s"
    summary+=$(printf '%-15s %5d s' "$name" "$took")$'\n'
done

printf '\n%s' "$summary"
printf '%-15s %5d s\n' total "$SECONDS"
echo "proofs: ${#proofs[@]} passed, 0 failed"
