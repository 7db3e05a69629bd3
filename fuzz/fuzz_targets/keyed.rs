//! See `tests/src/keyed.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::keyed::run(bytes));
