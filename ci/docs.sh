#!/usr/bin/env bash
# Proves that the public documentation builds without a warning (a broken link is one), that its examples
# compile, run and show what they say, and that the pages of the primitives have the same headings in the
# same order: who knows one of them finds his way in all.
#
# Time: about 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

headings='Which type|The machine|Semantics|Recipes|Cancel safety|Costs|Comparison|When not to use it|Features'
pages=0
while read -r crate; do
    case $crate in steadfast | steadfast-core) continue ;; esac
    page=crates/${crate#steadfast-}/src/lib.rs
    # In an example, a line that begins with `# ` is hidden code.
    found=$(awk '/^\/\/! ```/ { in_code = !in_code } !in_code' "$page" | sed -n 's,^//! # ,,p' | paste -sd'|')
    [ "$found" = "$headings" ] || fail "$page has the headings $found and not $headings"
    pages=$((pages + 1))
done < <(shipped)
((pages > 0)) || fail "no page was looked at"

RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --doc --all-features 2>&1 | tee "$log"
grep -qE '^test result: ok\. [1-9]' "$log" || fail "no example ran"
