//! See `tests/src/policy.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::policy::run(bytes));
