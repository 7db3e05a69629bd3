//! See `tests/src/circuit_breaker_waits.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::circuit_breaker_waits::run(bytes));
