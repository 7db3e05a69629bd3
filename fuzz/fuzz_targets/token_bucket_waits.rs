//! See `tests/src/token_bucket_waits.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::token_bucket_waits::run(bytes));
