#!/usr/bin/env bash
# Proves that the public surface of the shipped crates, with every feature, is the one that was agreed
# on: tests/public-api holds a snapshot of each crate, auto traits (`Send`, `Sync`, `Unpin`, …) of every
# public type included; and that no other foreign crate is part of it than those listed below.
#
#   ci/public-api.sh [--update]
#
# With `--update` it writes the snapshots anew: the difference is what reviewers read. It needs a
# nightly compiler, as rustdoc tells its findings to programs only there.
#
# Time: 1 minute, and 5 to install cargo-public-api.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
# Foreign crates whose types or traits our surface names, and why they may:
#   futures_core        `Stream`, which futures users expect of a stream; it has had one version since 2018.
#   serde_core, serde   behind the feature `serde`: the traits are what the feature is for.
#   embedded_hal_async  behind the feature of its name: the adapter takes a delay of it.
#   portable_atomic, portable_atomic_util
#                       behind the feature `portable-atomic`: the words that callers lend are its atomics
#                       then, and what is shared is its `Arc`.
#   pin_project_lite    only in the bounds of an `Unpin` that it writes; its names cannot be used.
foreign_allowed='portable_atomic|portable_atomic_util|pin_project_lite|futures_core|serde_core|serde|embedded_hal_async'
own='core|alloc|std|steadfast(_[a-z_]+)?|str|char|[iu](8|16|32|64|128|size)'

cargo_tool public-api
rustup toolchain list 2>/dev/null | grep -q '^nightly' ||
    fail "no nightly compiler: run 'rustup toolchain install nightly --profile minimal'"
export CARGO_TARGET_DIR=$target_dir/public-api

checked=0
while read -r crate; do
    kept=tests/public-api/$crate.txt
    now=$CARGO_TARGET_DIR/$crate.txt
    mkdir -p "$CARGO_TARGET_DIR"
    cargo +nightly public-api -p "$crate" --all-features --simplified >"$now" 2>"$now.log" || {
        cat "$now.log" >&2
        fail "$crate: its surface cannot be read"
    }
    # Paths into other crates: a name before the first `::` that is not ours nor the language's.
    foreign=$(grep -oE '(^|[^:A-Za-z0-9_])[a-z][a-z0-9_]*::' "$now" | grep -oE '[a-z][a-z0-9_]*' |
        sort -u | grep -vxE "$own|$foreign_allowed" || true)
    [ -z "$foreign" ] || fail "$crate: foreign crates in the public surface:" $foreign
    if [ "${1:-}" = --update ]; then
        mkdir -p tests/public-api
        cp "$now" "$kept"
    elif ! diff -u "$kept" "$now"; then
        fail "$crate: its public surface is not that of $kept; if it is meant to be so: ci/public-api.sh --update"
    fi
    lines=$(wc -l <"$now")
    ((lines >= 10)) || fail "$crate: only $lines lines"
    echo "$crate: $lines lines"
    checked=$((checked + 1))
done < <(shipped)
((checked > 0)) || fail "no crate was looked at"
echo "the public surface of $checked crates is what was agreed on"
