//! See `tests/src/retry.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::retry::run(bytes));
