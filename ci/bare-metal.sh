#!/usr/bin/env bash
# Proves that the primitives work on a processor without compare-and-swap, an operating system or, if
# nobody waits, a heap: the two programs of tests/bare-metal run on an emulated Cortex-M0 with 16 KiB of
# RAM, and each claim they make holds. Then that what its README says of code and RAM is true.
#
# The README's numbers are those of Rust's oldest supported version with `core` compiled from source,
# and are checked to 5 %. Any other compiler's need only be below the README's last column.
#
#     ci/bare-metal.sh             # proves it
#     ci/bare-metal.sh --update    # writes the numbers of today into the README
#
# Time: about 1 minute.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

update=${1:-}
target=thumbv6m-none-eabi
# Its configuration says how a program is run.
cd tests/bare-metal

apt_package qemu-system-arm qemu-system-arm
apt_package arm-none-eabi-nm binutils-arm-none-eabi
bare_metal_toolchain $target
export CARGO_TARGET_DIR=$target_dir/bare-metal
programs=$CARGO_TARGET_DIR/$target/release

# Rust's own linker is not among Debian's packages.
if ! compgen -G "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/*/bin/rust-lld" >/dev/null; then
    export CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER=arm-none-eabi-ld
    export CARGO_TARGET_THUMBV6M_NONE_EABI_RUSTFLAGS=-Clinker-flavor=ld
fi

build() {
    "${bare_cargo[@]}" build --quiet --locked --release "$@" "${bare_flags[@]}"
}

# run PROGRAM CLAIMS CARGO-ARGUMENTS...: its claims hold, and there are so many.
run() {
    local program=$1 claims=$2 log=$CARGO_TARGET_DIR/$1.log
    shift 2
    build --bin "$program" "$@"
    timeout 120 "${bare_cargo[@]}" run --quiet --locked --release --bin "$program" "$@" \
        "${bare_flags[@]}" </dev/null >"$log" || { cat "$log" >&2; fail "$program"; }
    grep -qx "bare-metal: $claims passed, 0 failed" "$log" ||
        { cat "$log" >&2; fail "$program did not say that $claims claims hold"; }
    [ "$(grep -c '^ok ' "$log")" = "$claims" ] || fail "$program counted wrong"
    echo "$program: $(tail -n 1 "$log")"
}

run primitives 51
run waiting 14 --features wait

# sizes PROGRAM: bytes of code and constants, of those the compiler's arithmetic on 64 bits and copying,
# and of RAM.
sizes() {
    arm-none-eabi-nm --print-size --radix=d --demangle "$programs/$1" | awk -v sizes="$(
        arm-none-eabi-size "$programs/$1" | awk 'NR == 2 { print $1, $2 + $3 }'
    )" '
        NF >= 4 && $3 ~ /[TtWw]/ && $4 ~ /^(compiler_builtins|__aeabi_|__[a-z]+[0-9]$|mem[a-z]+$)/ &&
            !seen[$1]++ { arithmetic += $2 }
        END { split(sizes, size, " "); print size[1], arithmetic + 0, size[2] }'
}

# near A B: do they differ by less than 5 %?
near() {
    ((${1}00 <= ${2}00 + $2 * 5 && ${1}00 >= ${2}00 - $2 * 5))
}

build --bins
is_exact=
if [[ ${#bare_flags[@]} -gt 2 && $("${RUSTC:-rustc}" --version) == "rustc $msrv."* ]]; then
    is_exact=yes
elif [ -n "$update" ]; then
    fail "the README's numbers are those of Rust $msrv with its library's source"
fi

read -r code0 arithmetic0 ram0 < <(sizes size-nothing)
checked=0
for source in src/bin/size-*.rs; do
    name=$(basename "$source" .rs)
    [ "$name" != size-nothing ] || continue
    read -r code arithmetic ram < <(sizes "$name")
    code=$((code - code0)) arithmetic=$((arithmetic - arithmetic0)) ram=$((ram - ram0))
    ((code > 0)) || fail "$name has no code"
    row=$(grep -F "| [\`$name\`]" README.md) || fail "the README has no row for $name"
    [ -z "$update" ] || sed -i -E \
        "/^\| \[\`$name\`\]/s/(\|[^|]*\|[^|]*\|)[^|]*\|[^|]*\|[^|]*\|/\1 $code | $arithmetic | $ram |/" README.md
    row=$(grep -F "| [\`$name\`]" README.md)
    read -r said_code said_arithmetic said_ram most < <(cut -d'|' -f4-7 <<<"$row" | tr -d '|')
    echo "$name: $code bytes of code (of those $arithmetic shared arithmetic; at most $most), $ram of RAM"
    ((code <= most)) || fail "$name: $code bytes of code, above $most"
    near "$ram" "$said_ram" || fail "$name: $ram bytes of RAM; the README says $said_ram"
    if [ -n "$is_exact" ]; then
        near "$code" "$said_code" || fail "$name: $code bytes of code; the README says $said_code"
        near "$arithmetic" "$said_arithmetic" ||
            fail "$name: $arithmetic bytes of arithmetic; the README says $said_arithmetic"
    fi
    checked=$((checked + 1))
done
[ "$(grep -c '^| \[`size-' README.md)" = "$checked" ] || fail "the README has a row without a program"
((checked > 0)) || fail "no size was checked"
echo "2 programs ran on a Cortex-M0, $checked sizes${is_exact:+, to 5 %}"
