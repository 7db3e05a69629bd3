#!/usr/bin/env bash
# Proves that neither the compiler nor clippy has a warning: for every target with every feature,
# and for each shipped library with none, where other halves of the `cfg`s are compiled. Among the
# lints is clippy.toml's list of calls that read a clock.
#
# Time: about 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

cargo clippy --workspace --all-targets --all-features -- -D warnings
for crate in $(shipped); do
    cargo clippy -p "$crate" --lib --no-default-features -- -D warnings
done
# A workspace of its own. What it is linked for is another machine, but its source is read here.
for arguments in '--lib --bins' '--lib --bin waiting --features wait'; do
    # shellcheck disable=SC2086  # One word an argument.
    CARGO_TARGET_DIR=$target_dir/bare-metal/host cargo clippy --locked \
        --manifest-path tests/bare-metal/Cargo.toml $arguments -- -D warnings
done
