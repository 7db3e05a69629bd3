//! The keyed table under a hasher whose keys crowd.

#![cfg(not(loom))]

use std::collections::HashMap;

use steadfast_core::table::KeyedTable;
use steadfast_test_support::crowds::Crowds;

#[test]
fn crowded_entries_are_found_whoever_else_is_forgotten() {
    let table: KeyedTable<u64, u64, Crowds> = KeyedTable::with_hasher(60, Crowds);
    let mut there = HashMap::new();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..20_000_u64 {
        // xorshift64, Marsaglia 2003.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (key, doomed) = (state % 100, (state >> 32) % 100);
        let is_doomed = |&value: &u64| value % 100 == doomed;
        if table.with(&key, || round * 100 + key, |_| false, |_| ()).is_ok() {
            there.entry(key).or_insert(round * 100 + key);
        }
        table.forget_idle(is_doomed);
        there.remove(&doomed);
        assert_eq!(table.len(), there.len());
        for key in 0..100 {
            let seen = table.look(&key, |value| value.map(|value| *value));
            assert_eq!(seen, there.get(&key).copied());
        }
    }
    assert!(there.len() > 50, "crowded, in the end as well");
}
