//! See `tests/src/backoff_waits.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::backoff_waits::run(bytes));
