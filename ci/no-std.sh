#!/usr/bin/env bash
# Proves that the crates need no operating system: each is compiled, as a dependency of a final
# binary would be, for targets that have none, with no features, `alloc` and `wait`.
#
# | target | what it lacks | atomics |
# |---|---|---|
# | thumbv6m-none-eabi | compare-and-swap and 64-bit atomics | `portable-atomic`, back end critical-section |
# | thumbv7m-none-eabi | 64-bit atomics | `portable-atomic`, back end its own lock (`fallback`) |
# | aarch64-unknown-none | neither | `core`'s |
#
# A target installed with `rustup target add` is used as it is. Otherwise `core` and `alloc` are
# compiled from source: of the `rust-src` component, or of Debian's packages (see lib.sh).
#
# Time: about 2 minutes, less than 1 with the targets installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

probe=$target_dir/no-std/probe
export CARGO_TARGET_DIR=$target_dir/no-std/target
built=0

# probe TARGET ATOMICS FEATURE: builds a crate that depends on every shipped one.
probe() {
    local features='' dependencies=''
    [ "$3" = none ] || features="\"$3\""
    [ "$2" = core ] || features+="${features:+, }\"portable-atomic\""
    if [ "$2" = critical-section ]; then
        dependencies='portable-atomic = { version = "1", default-features = false, features = ["critical-section"] }'$'\n'
    fi
    local manifest name own
    for manifest in crates/*/Cargo.toml; do
        name=$(sed -n '/^\[package\]/,/^\[/s/^name = "\(.*\)"/\1/p' "$manifest")
        own=$features
        # The umbrella has a feature for each primitive.
        [ "$name" != steadfast ] || own+="${own:+, }$(primitives)"
        dependencies+="$name = { path = \"$PWD/${manifest%/*}\", default-features = false, features = [$own] }"$'\n'
    done

    rm -rf "$probe"
    mkdir -p "$probe/src"
    printf '[package]\nname = "probe"\nedition = "2024"\n[workspace]\n[dependencies]\n%s' \
        "$dependencies" >"$probe/Cargo.toml"
    { echo '#![no_std]'; shipped | tr - _ | sed 's/.*/pub use &;/'; } >"$probe/src/lib.rs"
    # The versions of the repository.
    cp Cargo.lock "$probe/"

    local library=$CARGO_TARGET_DIR/$1/debug/libprobe.rlib
    rm -f "$library"
    (
        bare_metal_toolchain "$1"
        "${bare_cargo[@]}" build --quiet --manifest-path "$probe/Cargo.toml" "${bare_flags[@]}"
    )
    [ -f "$library" ] || fail "nothing was built for $1"
    echo "$1, atomics: $2, features: $3"
    built=$((built + 1))
}

# The features of the umbrella that stand for a crate each, as a list for a manifest.
primitives() {
    shipped | sed -nE 's/^steadfast-(.*)/"\1"/p' | grep -v '"core"' | paste -sd,
}

for feature in none alloc wait; do
    probe thumbv6m-none-eabi critical-section "$feature"
    probe thumbv7m-none-eabi fallback "$feature"
    probe aarch64-unknown-none core "$feature"
done

((built == 9)) || fail "$built builds instead of 9"
echo "$built builds without an operating system"
