//! See `tests/src/deduplicator_waits.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::deduplicator_waits::run(bytes));
