#!/usr/bin/env bash
# Proves that the oldest versions of the dependencies that Cargo.toml allows are enough: with them the
# crates compile, with default features and with all, and their unit and integration tests pass.
#
# A copy of the crates is resolved afresh with the lowest version of each direct dependency. What those
# depend on is as new as it may be: some name versions that no longer compile, which is not for us to
# mend. Nor is `loom` looked at, which only models use.
#
# Time: about 2 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

copy=$target_dir/minimal-versions/workspace
copy_workspace "$copy"
export CARGO_TARGET_DIR=$target_dir/minimal-versions/target
cd "$copy"
# The other packages are not published.
sed -i 's/^members = .*/members = ["crates\/*"]/' Cargo.toml
# For -Z: no more than this needs it.
RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile

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

cargo check --locked --quiet
cargo check --locked --quiet --all-features

log=$target_dir/minimal-versions/tests.log
cargo test --locked --all-features --lib --tests 2>&1 | tee "$log"
passed=$(passed_tests "$log")
((passed > 0)) || fail "no test ran"
echo "with the lowest versions of $lowest dependencies, $passed tests pass"
