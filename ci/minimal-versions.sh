#!/usr/bin/env bash
# Proves that the oldest versions of the dependencies that Cargo.toml allows are enough. A copy of the
# crates is resolved afresh, with the lowest version
#
# - of everything, what dependencies depend on included: the crates compile, with default features and
#   with all;
# - of each direct dependency: their unit and integration tests pass, with all features. (What those of
#   the tests depend on is as new as it may be: that others name versions which no longer compile is not
#   for us to mend.)
#
# `loom`, which only models use, is not looked at.
#
# Time: about 2 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

copy=$target_dir/minimal-versions/workspace
copy_workspace "$copy"
export CARGO_TARGET_DIR=$target_dir/minimal-versions/target
cd "$copy"
# The other packages are not published, and all that are left are what is built by default.
sed -i -e '/^default-members = /d' -e 's/^members = .*/members = ["crates\/*"]/' Cargo.toml

# Only to resolve is anything unstable needed.
RUSTC_BOOTSTRAP=1 cargo -Zminimal-versions generate-lockfile --quiet
cargo check --locked --quiet
cargo check --locked --quiet --all-features

RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile --quiet
# The lowest versions that are to be had: some were withdrawn.
lowest=0 all=0
while read -r name version; do
    found=$(awk -v name="name = \"$name\"" '$0 == name { getline; print $3 }' Cargo.lock | tr -d '"')
    [ -n "$found" ] || continue
    all=$((all + 1))
    until [[ $version == *.*.* ]]; do version+=.0; done
    if grep -qxF "$version" <<<"$found"; then
        lowest=$((lowest + 1))
    else
        echo "$name: $found, as there is no $version"
    fi
done < <(sed -n '/^\[workspace.dependencies\]/,/^\[workspace.lints/p' Cargo.toml | grep -v 'path = ' |
    sed -nE 's/^([a-z0-9-]+) = (\{ version = )?"([0-9.]+)".*/\1 \3/p')
((lowest > 0 && 5 * lowest >= 4 * all)) || fail "only $lowest of $all dependencies have the lowest version"

log=$target_dir/minimal-versions/tests.log
cargo test --locked --all-features --lib --tests 2>&1 | tee "$log"
passed=$(passed_tests "$log")
((passed > 0)) || fail "no test ran"
echo "the crates compile with the lowest versions of all, and pass $passed tests with those of $lowest dependencies"
