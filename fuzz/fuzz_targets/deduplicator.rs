//! See `tests/src/deduplicator.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::deduplicator::run(bytes));
