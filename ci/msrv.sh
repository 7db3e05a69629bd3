#!/usr/bin/env bash
# Proves that the crates work with the oldest Rust they promise (`rust-version` in Cargo.toml):
# with every feature they compile, and their unit and integration tests pass.
#
# A copy of the workspace is resolved afresh by that version's cargo, which picks dependencies that
# name it as enough for them. The committed Cargo.lock stays as it is.
#
# Time: about 2 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
use_msrv_toolchain

copy=$target_dir/msrv/workspace
copy_workspace "$copy"
export CARGO_TARGET_DIR=$target_dir/msrv/target CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=fallback
cd "$copy"
"$old_cargo" generate-lockfile

packages=()
for crate in $(shipped); do
    packages+=(-p "$crate")
done
"$old_cargo" check --locked "${packages[@]}" --all-features

log=$target_dir/msrv/tests.log
"$old_cargo" test --locked "${packages[@]}" --all-features --lib --tests 2>&1 | tee "$log"
passed=$(passed_tests "$log")
((passed > 0)) || fail "no test ran"
echo "Rust $msrv: $((${#packages[@]} / 2)) crates compile, $passed tests pass"
