#!/usr/bin/env bash
# Looks with LLVM's sanitizers for what safe code cannot do and its dependencies could: runs the
# tests that start threads, and the unit tests, of all crates.
#
#   ci/sanitizers.sh [address|thread]…
#
# | sanitizer | finds | `std` |
# |---|---|---|
# | address (also what is done without an argument) | memory used after it was freed or out of bounds, and leaks | as it comes, not instrumented |
# | thread | data races: two threads at one place, one of them writing, with no order between them | compiled from source, instrumented |
#
# The crates forbid `unsafe`, so that neither can find anything in a line of theirs. What is left is
# what they stand on (parking_lot, portable-atomic, the runtimes, `std`), used as they use it, and
# leaks: a cycle of `Arc`s, a waker that nobody drops. What is not covered:
#
# - Orders between atomics. A sanitizer knows only the execution that it sees, and ThreadSanitizer
#   nothing of `atomic::fence`; the fences of the token bucket and the breaker order nothing but
#   atomics, so that they cannot cause a false report either. All that is the matter of loom.sh.
# - The tests against oracles (`tests/model.rs`), which are long, and of allocations, which have an
#   allocator of their own.
# - Leaks of what a living static still points to.
#
# That a sanitizer is on is shown first: it must report the program with the defect that it is for,
# and not the one without. No report is suppressed.
#
# Address needs a nightly compiler. With a `std` that is not instrumented, ThreadSanitizer takes every
# mutex and channel for a race; hence thread takes a nightly with its `rust-src` component, or the
# oldest supported Rust with the source (see lib.sh) and the nightly's runtime and linker.
#
# Time: address 2 minutes, thread 10 to 20 minutes: tests that start threads have to wait for their turn.
# shellcheck disable=SC2030,SC2031  # Each sanitizer has its environment to itself.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

own=$target_dir/sanitizers
mkdir -p "$own"
host=$(rustc -vV | sed -n 's/^host: //p')
nightly=$(rustup toolchain list 2>/dev/null | grep -oE -m1 '^nightly[^ ]*') ||
    fail "no nightly compiler: run 'rustup toolchain install nightly --profile minimal -c rust-src'"
nightly_rustc=$(rustup which --toolchain "$nightly" rustc)
nightly_libraries=$("$nightly_rustc" --print sysroot)/lib/rustlib/$host

# The tests that start threads, by the names of their files.
mapfile -t threaded < <(grep -lE 'thread::|spawn\(' crates/*/tests/*.rs | xargs -n1 basename -s .rs |
    grep -vxE 'loom|model|allocation' | sort -u)
((${#threaded[@]} > 0)) || fail "no test starts a thread"
tests=(--lib)
for name in "${threaded[@]}"; do
    tests+=(--test "$name")
done
packages=()
for crate in $(shipped); do
    packages+=(-p "$crate")
done

# A crate with a program for each defect, and one without.
probe=$own/probe
mkdir -p "$probe/src/bin"
printf '[package]\nname = "probe"\nedition = "2024"\n[workspace]\n' >"$probe/Cargo.toml"
cat >"$probe/src/bin/leak.rs" <<'END'
fn main() {
    std::mem::forget(std::hint::black_box(vec![1_u8; 1_000]));
}
END
cat >"$probe/src/bin/use_after_free.rs" <<'END'
fn main() {
    let memory = std::hint::black_box(vec![1_u8; 1_000]);
    let freed = memory.as_ptr();
    drop(memory);
    println!("{}", unsafe { *std::hint::black_box(freed) });
}
END
cat >"$probe/src/bin/race.rs" <<'END'
static mut SHARED: u64 = 0;

fn add() {
    for _ in 0..1_000 {
        unsafe { SHARED += 1 };
    }
}

fn main() {
    let other = std::thread::spawn(add);
    add();
    other.join().unwrap();
}
END
cat >"$probe/src/bin/sound.rs" <<'END'
//! With mutexes, channels and whoever is last dropping what is shared, all of which a `std` that is
//! not instrumented has reported.
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

fn main() {
    let (sender, receiver) = mpsc::channel();
    let all = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (all, sender) = (Arc::clone(&all), sender.clone());
            thread::spawn(move || {
                for i in 0..500 {
                    all.lock().unwrap().push(i);
                    sender.send(Box::new(thread)).unwrap();
                }
            })
        })
        .collect();
    drop((all, sender));
    assert_eq!(receiver.iter().count(), 2_000);
    for thread in threads {
        thread.join().unwrap();
    }
}
END

# reports PROGRAM TEXT: its run must end badly, and with TEXT.
reports() {
    ! "$CARGO_TARGET_DIR/$host/debug/$1" >"$own/$1.log" 2>&1 || fail "$1 was not reported"
    grep -q "$2" "$own/$1.log" || fail "$1 was not reported as '$2': see $own/$1.log"
}

# sanitize NAME CARGO…: the programs and the tests under the sanitizer that RUSTFLAGS turn on, in
# the workspace of this folder.
sanitize() {
    local name=$1 passed
    shift
    "$@" build --quiet --manifest-path "$probe/Cargo.toml" "${build[@]}"
    if [ "$name" = thread ]; then
        reports race 'ThreadSanitizer: data race'
    else
        reports leak 'LeakSanitizer: detected memory leaks'
        reports use_after_free 'AddressSanitizer: heap-use-after-free'
    fi
    "$CARGO_TARGET_DIR/$host/debug/sound" || fail "the program without a defect was reported"

    "$@" test --no-fail-fast "${build[@]}" "${packages[@]}" "${tests[@]}" 2>&1 | tee "$own/$name.log"
    ! grep -E '(Address|Leak|Thread)Sanitizer' "$own/$name.log" || fail "$name: see above"
    passed=$(passed_tests "$own/$name.log")
    ((passed > 0)) || fail "$name: no test ran"
    echo "$name sanitizer: reports what it must, and nothing in $passed tests"
}

address() (
    export RUSTC=$nightly_rustc CARGO_TARGET_DIR=$own/address
    export RUSTFLAGS="-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer"
    export ASAN_OPTIONS=detect_leaks=1
    build=(--target "$host")
    sanitize address cargo
)

thread() (
    build=(--target "$host" "-Zbuild-std=std,panic_unwind,test")
    # A race ends the program that has it.
    export TSAN_OPTIONS=halt_on_error=1
    if has_library_source "$nightly_rustc"; then
        export RUSTC=$nightly_rustc CARGO_TARGET_DIR=$own/thread RUSTFLAGS=-Zsanitizer=thread
        sanitize thread "$(rustup which --toolchain "$nightly" cargo)"
    else
        use_msrv_toolchain
        copy_workspace "$own/workspace"
        runtime=$(echo "$nightly_libraries"/lib/librustc*_rt.tsan.a)
        RUSTFLAGS="-Zsanitizer=thread -Zexternal-clangrt"
        for argument in -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -lm -lpthread -ldl -lc \
            -fuse-ld=lld "-B$nightly_libraries/bin/gcc-ld"; do
            RUSTFLAGS+=" -Clink-arg=$argument"
        done
        export RUSTFLAGS RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$own/thread
        export CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=fallback
        cd "$own/workspace"
        "$old_cargo" generate-lockfile
        sanitize thread "$old_cargo"
    fi
)

[ $# != 0 ] || set -- address
for name in "$@"; do
    case $name in
        address | thread) "$name" ;;
        *) fail "'$name' is neither address nor thread" ;;
    esac
done
