#!/usr/bin/env bash
# Proves that README.md tells the truth about how many crates a default build brings in. A line
#
#     <!-- crates: steadfast-token-bucket = 5 -->
#
# beside such a number states it: all that `cargo tree` shows for Linux, without the crate
# itself and without what only its tests use. So does a line of a crate's own page:
#
#     //! | crates | 5 in a default build on Linux |
#
# Time: 1 second.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

[ -f README.md ] || fail "there is no README.md"
stated=$(sed -nE 's/^ *<!-- crates: ([a-z0-9-]+) = ([0-9]+) -->.*/\1 \2/p' README.md)
[ -n "$stated" ] || fail "README.md states no number of crates"
for page in crates/*/src/lib.rs; do
    count=$(sed -nE 's,^//! \| crates \| ([0-9]+) in a default build on Linux \|$,\1,p' "$page")
    [ -z "$count" ] || stated+=$'\n'"steadfast-$(basename "${page%/src/lib.rs}") $count"
done
wrong=0
while read -r crate count; do
    # The first line is the crate itself; `(*)` and the like follow name and version.
    tree=$(cargo tree -p "$crate" -e normal --prefix none --target x86_64-unknown-linux-gnu)
    brought=$(tail -n +2 <<<"$tree" | awk 'NF { print $1, $2 }' | sort -u)
    found=$(awk 'NF' <<<"$brought" | wc -l)
    if ((found == count)); then
        echo "$crate: $found crates"
    else
        echo "$crate: README.md or its page states $count crates, a default build has $found:"
        sed 's/^/    /' <<<"$brought"
        wrong=1
    fi
done <<<"$stated"
((wrong == 0)) || fail "wrong numbers are stated"
