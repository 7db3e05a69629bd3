#!/usr/bin/env bash
# Proves that every example runs, to its end and with what it asserts, in less than 20 seconds: `feed`, and
# those in examples/, each of which is one file of less than 80 lines.
#
# Time: 10 seconds, and 1 minute to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# The examples that exist, so that none is lost unseen. Raise it with each new one.
MINIMUM=8

cargo build -p steadfast -p steadfast-examples --examples
names=(feed)
for example in examples/*.rs; do
    lines=$(wc -l <"$example")
    ((lines < 80)) || fail "$example has $lines lines"
    names+=("$(basename "$example" .rs)")
done
ran=0
for name in "${names[@]}"; do
    program=$target_dir/debug/examples/$name
    [ -x "$program" ] || fail "examples/Cargo.toml does not list $name"
    echo "--- $name"
    timeout 20 "$program" </dev/null || fail "$name"
    ran=$((ran + 1))
done
((ran >= MINIMUM)) || fail "$ran examples ran, fewer than the $MINIMUM that there should be"
echo "$ran examples ran"
