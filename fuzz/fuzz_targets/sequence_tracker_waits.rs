//! See `tests/src/sequence_tracker_waits.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steadfast_tests::sequence_tracker_waits::run(bytes));
