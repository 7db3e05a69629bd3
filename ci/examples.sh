#!/usr/bin/env bash
# Proves that every example in crates/steadfast/examples runs, to its end and with what it asserts, with
# the default features and in less than 20 seconds; and that those in one file are short: below 80 lines.
#
# Time: 10 seconds, and 1 minute to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# The examples that exist, so that none is lost unseen. Raise it with each new one.
MINIMUM=8

cargo build -p steadfast --examples
ran=0
for example in crates/steadfast/examples/*; do
    name=$(basename "$example" .rs)
    if [ -f "$example" ]; then
        lines=$(wc -l <"$example")
        ((lines < 80)) || fail "$example has $lines lines"
    fi
    program=$target_dir/debug/examples/$name
    [ -x "$program" ] || fail "$example is not built by default"
    echo "--- $name"
    timeout 20 "$program" </dev/null || fail "$example"
    ran=$((ran + 1))
done
((ran >= MINIMUM)) || fail "$ran examples ran, fewer than the $MINIMUM that there should be"
echo "$ran examples ran"
