#!/usr/bin/env bash
# Proves that the crates work where a word has 32 bits, and where atomics of 64 bits or any atomics
# with compare-and-swap are missing: the unit and integration tests of all crates pass on
# i686-unknown-linux-gnu, which a 64-bit x86 Linux runs.
#
#   ci/thirty-two-bits.sh [native|fallback|critical-section]…
#
# | run | atomics | as on |
# |---|---|---|
# | native | `core`'s | 32-bit Linux |
# | fallback (also what is done without an argument) | `portable-atomic`: 64-bit ones take its locks | thumbv7m-none-eabi |
# | critical-section | `portable-atomic`: all take a critical section, which is a mutex here | thumbv6m-none-eabi |
#
# Each property is tried with PROPTEST_CASES (32) random inputs, an eighth of what is usual: what is
# special here does not hang on them.
#
# x86 has what the last two do without, so that `portable-atomic` is told that it has not, by the
# flags that its build script gives to old compilers (its build.rs: `no_atomic_cas`,
# `no_atomic_64`), and that it can use no assembly, which for x86 wants 64 bits. They are not its
# public interface; a test that is added to the copy fails if they had no effect. No other crate and
# nothing of `std` gets them.
#
# The target of `rustup target add i686-unknown-linux-gnu` is used if it is there. Otherwise `std` is
# compiled from source: of the `rust-src` component, or of Debian's packages (see lib.sh), for which
# the dependencies are resolved afresh as in msrv.sh. For the linker there must be the C library of
# 32 bits, as in Debian's `gcc-multilib`, which else is unpacked into the target folder.
#
# Time: about 3 minutes, half of it for `std`; each further run 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

[ $# != 0 ] || set -- fallback
for name in "$@"; do
    case $name in
        native | fallback | critical-section) ;;
        *) fail "'$name' is neither native, fallback nor critical-section" ;;
    esac
done
export PROPTEST_CASES=${PROPTEST_CASES:-32}

target=i686-unknown-linux-gnu
own=$target_dir/thirty-two-bits
mkdir -p "$own"

# Links a program of 32 bits, with libraries that are no longer under the root where they belong.
unpack_libraries() {
    local root=$own/libraries link gcc
    if ! [ -f "$root/complete" ]; then
        command -v apt-get dpkg-deb >/dev/null ||
            fail "gcc cannot link for 32 bits: install gcc-multilib, or what your system calls it"
        rm -rf "$root"
        unpack_debian "$root" libc6-i386 libc6-dev-i386 lib32gcc-s1 "lib32gcc-$(gcc -dumpversion)-dev"
        find "$root" -type l -lname '/*' | while read -r link; do
            ln -sfn "$root$(readlink "$link")" "$link"
        done
        touch "$root/complete"
    fi
    gcc=$root$(dirname "$(gcc -print-libgcc-file-name)")/32
    printf '#!/bin/sh\nexec gcc "$@" --sysroot="%s" -B"%s/" %s\n' "$root" "$gcc" \
        "-Wl,--dynamic-linker='$root/lib32/ld-linux.so.2' -Wl,-rpath,'$root/lib32:$root/usr/lib32'" \
        >"$own/linker"
    chmod +x "$own/linker"
    export CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=$own/linker
}

echo 'int main(void) { return 0; }' >"$own/program.c"
gcc -m32 "$own/program.c" -o "$own/program" 2>/dev/null || {
    unpack_libraries
    "$own/linker" -m32 "$own/program.c" -o "$own/program"
}
"$own/program" || fail "this system does not run programs of 32 bits"

copy=$own/workspace
copy_workspace "$copy"
build=(--target "$target")
if compgen -G "$(rustc --print target-libdir --target "$target")/libstd-*.rlib" >/dev/null; then
    old_cargo=cargo
    cp Cargo.lock "$copy/"
else
    build+=("-Zbuild-std=std,panic_unwind,test")
    if has_library_source rustc; then
        old_cargo=cargo
        cp Cargo.lock "$copy/"
    else
        use_msrv_toolchain
    fi
fi
# For -Z, and so that the flags of one crate are only its.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=$own/target CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=fallback

packages=()
for crate in $(shipped); do
    packages+=(-p "$crate")
done
cd "$copy"
[ -f Cargo.lock ] || "$old_cargo" generate-lockfile
sed -i 's/^portable-atomic = .*"fallback", "require-cas"/&, "critical-section"/; s/^critical-section = .*/critical-section = { version = "1", features = ["std"] }/' Cargo.toml
grep -q '"critical-section"\]' Cargo.toml || fail "portable-atomic did not get its critical section"

# run NAME CARGO-ARGUMENTS...: all tests, and the one that comes from standard input.
run() {
    local name=$1 passed
    shift
    cat >crates/core/tests/the_target.rs
    "$old_cargo" test "${build[@]}" "${packages[@]}" --lib --tests "$@" 2>&1 | tee "$own/$name.log"
    grep -q '^test is_what_the_proof_says \.\.\. ok' "$own/$name.log" || fail "$name: not as it says"
    passed=$(passed_tests "$own/$name.log")
    ((passed > 1)) || fail "$name: no test of a crate ran"
    echo "$target, $name: $passed tests passed"
}

# without CFG...: flags for `portable-atomic` alone.
without() {
    forced=(--features portable-atomic -Zprofile-rustflags --config
        "profile.dev.package.portable-atomic.rustflags = [$(printf '"--cfg", "portable_atomic_%s", ' \
            no_cfg_target_has_atomic no_asm "$@")]")
}

native() {
    run native <<'END'
#[test]
fn is_what_the_proof_says() {
    assert_eq!(usize::BITS, 32);
    let _: core::sync::atomic::AtomicU64 = steadfast_core::sync::atomic::AtomicU64::new(0);
}
END
}

fallback() {
    without no_atomic_64
    run fallback "${forced[@]}" <<'END'
use steadfast_core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

#[test]
fn is_what_the_proof_says() {
    assert_eq!(usize::BITS, 32);
    assert!(!AtomicU64::is_lock_free());
    assert!(AtomicU32::is_lock_free() && AtomicUsize::is_lock_free());
}
END
}

critical-section() {
    without no_atomic_64 no_atomic_cas
    run critical-section "${forced[@]}" <<'END'
use steadfast_core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};

#[test]
fn is_what_the_proof_says() {
    assert_eq!(usize::BITS, 32);
    assert!(!AtomicU64::is_lock_free() && !AtomicU32::is_lock_free());
    assert!(!AtomicUsize::is_lock_free() && !AtomicBool::is_lock_free());
}
END
}

for name in "$@"; do
    "$name"
done
