# Shared by the proofs in this folder: sourced after they changed to the repository's root, never
# run by itself.
# shellcheck shell=bash

# Where builds go; every proof that needs flags or a compiler of its own takes a folder inside.
mkdir -p "${CARGO_TARGET_DIR:-target}"
target_dir=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)

# The oldest Rust that the crates promise to work with.
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# The packages that are published, one a line.
shipped() {
    sed -n '/^\[package\]/,/^\[/s/^name = "\(.*\)"/\1/p' crates/*/Cargo.toml
}

# copy_workspace DIR: the repository's files without Cargo.lock, to be resolved or changed there.
copy_workspace() {
    rm -rf "$1"
    mkdir -p "$1"
    tar --create --exclude=./target --exclude=./.git --exclude=./Cargo.lock . |
        tar --extract --directory "$1"
}

# passed_tests LOG: how many tests of a run of `cargo test` passed.
passed_tests() {
    awk '/^test result: ok\./ { sum += $4 } END { print sum + 0 }' "$1"
}

# cargo_tool NAME: installs the subcommand `cargo NAME` unless it is there.
cargo_tool() {
    cargo "$1" --version >/dev/null 2>&1 || cargo install --locked "cargo-$1"
}

# Makes RUSTC, RUSTDOC and old_cargo the Rust of `msrv`: rustup's if it has that version, else
# Debian's, which need not be installed (it would replace a newer one) and is unpacked into the
# target folder instead. It comes with the library's source.
use_msrv_toolchain() {
    local name root lib
    if name=$(rustup toolchain list 2>/dev/null | grep -oE -m1 "^${msrv//./\\.}[-.][^ ]*"); then
        old_cargo=$(rustup which --toolchain "$name" cargo)
        RUSTC=$(rustup which --toolchain "$name" rustc)
        RUSTDOC=$(rustup which --toolchain "$name" rustdoc)
    else
        root=
        if [[ $(/usr/bin/rustc --version 2>/dev/null) != "rustc $msrv."* ]] ||
            ! [ -x /usr/bin/cargo ] || ! has_library_source /usr/bin/rustc; then
            root=$target_dir/debian-rust-$msrv
            unpack_debian_rust "$root"
            lib=$root/usr/lib/$(gcc -print-multiarch)
            export LD_LIBRARY_PATH=$lib:${lib/\/usr/}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        fi
        old_cargo=$root/usr/bin/cargo
        RUSTC=$root/usr/bin/rustc
        RUSTDOC=$root/usr/bin/rustdoc
    fi
    export RUSTC RUSTDOC
    "$old_cargo" --version
    "$RUSTC" --version
    [[ $("$RUSTC" --version) == "rustc $msrv."* ]] || fail "this is not Rust $msrv"
}

# bare_metal_toolchain TARGET: makes bare_cargo a cargo, with flags to go last, for a target without an
# operating system: the usual one if the target is installed, otherwise one that compiles `core`.
bare_metal_toolchain() {
    if compgen -G "$(rustc --print target-libdir --target "$1")/libcore-*.rlib" >/dev/null; then
        bare_cargo=(cargo) bare_flags=(--target "$1")
    else
        old_cargo=cargo
        has_library_source rustc || use_msrv_toolchain >/dev/null
        bare_cargo=(env RUSTC_BOOTSTRAP=1 "$old_cargo")
        bare_flags=(--target "$1" -Zbuild-std=core,alloc)
    fi
}

# apt_package COMMAND PACKAGE: installs a Debian package unless its command is there.
apt_package() {
    command -v "$1" >/dev/null && return
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    command -v apt-get >/dev/null || fail "no $1: install it (Debian has it in the package $2)"
    "${root[@]}" apt-get update -qq
    "${root[@]}" apt-get install -qq --no-install-recommends "$2" >/dev/null
    command -v "$1" >/dev/null || fail "no $1 in Debian's package $2"
}

# has_library_source RUSTC: is the source of `core` beside this compiler?
has_library_source() {
    [ -f "$("$1" --print sysroot)/lib/rustlib/src/rust/library/core/src/lib.rs" ]
}

# unpack_debian_rust DIR: Debian's Rust of `msrv` into DIR. Changes nothing outside it, and needs
# root only to refresh apt's lists when they do not know the packages.
unpack_debian_rust() {
    [ -f "$1/complete" ] && return
    command -v apt-get dpkg-deb gcc >/dev/null ||
        fail "no Rust $msrv: run 'rustup toolchain install $msrv --profile minimal -c rust-src'"
    local version
    version=$(debian_rust_version)
    if [ -z "$version" ] && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        version=$(debian_rust_version)
    fi
    [ -n "$version" ] || fail "neither rustup nor Debian's packages have Rust $msrv here"

    local rust=(rustc-web cargo-web rust-web-src libstd-rust-web-dev "libstd-rust-web-$msrv")
    # The libraries that these need and the system does not have.
    local direct wanted missing
    direct=$(apt-cache show "${rust[@]/%/=$version}" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' |
        grep -oE '^ *lib[^ ]+' | grep -vE 'rust|libc-dev' | sort -u)
    # shellcheck disable=SC2086  # One word a package.
    wanted=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances $direct | grep -E '^lib' | cut -d: -f1 | sort -u)
    missing=$(comm -23 <(echo "$wanted") \
        <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p' | sort -u))

    rm -rf "$1"
    mkdir -p "$1"
    # shellcheck disable=SC2086
    unpack_debian "$1" "${rust[@]/%/=$version}" $missing
    touch "$1/complete"
}

# unpack_debian DIR PACKAGE...: Debian's packages into DIR, where they need no installing.
unpack_debian() {
    local package root=$1
    shift
    mkdir -p "$root"
    (cd "$root" && apt-get download -qq "$@")
    for package in "$root"/*.deb; do
        dpkg-deb -x "$package" "$root"
        rm "$package"
    done
}

debian_rust_version() {
    apt-cache madison rustc-web 2>/dev/null | awk -v msrv="$msrv." 'index($3, msrv) == 1 { print $3; exit }'
}
