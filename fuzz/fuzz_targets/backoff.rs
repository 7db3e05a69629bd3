//! See `tests/src/backoff.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::backoff::run(bytes));
