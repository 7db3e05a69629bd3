#!/usr/bin/env bash
# Proves that every example runs, to its end and with what it asserts: `feed`, which has to keep its promises
# whatever goes wrong, and to notice that it cheats; and those in examples/, each of which is one file of less
# than 80 lines, and takes less than 20 seconds.
#
# Time: 15 seconds, and 1 minute to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# The examples that exist, so that none is lost unseen. Raise it with each new one.
MINIMUM=8

cargo build -p steadfast -p steadfast-examples --examples
names=()
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

feed=$target_dir/debug/examples/feed
"$feed" --seconds 5 || fail "feed did not keep its promises; its first line says how to run it again"
# Status 1 is a broken promise, and not an option or a panic.
status=0
cheated=$("$feed" --seconds 2 --faults none --cheat) || status=$?
((status == 1)) || fail "a client that cheats ends with status $status"
grep -q '^BROKEN  at most 1,000 requests in any 1s' <<<"$cheated" || fail "nobody saw the client cheat"
echo "feed: kept its promises, and saw a client that did not"
ran=$((ran + 1))

((ran >= MINIMUM)) || fail "$ran examples ran, fewer than the $MINIMUM that there should be"
echo "$ran examples ran"
