//! A deduplicator allocates when it is built, and never again.

#![cfg(all(feature = "std", not(loom)))]

use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{Config, Fingerprint, Fixed, Hashed, Sighting, SipKeys};
use steadfast_test_support::allocations::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONFIG: Config = Config::new(100).ttl(Duration::from_nanos(150)).renew(true).wide(true);
const WORD: &str = "a text that is longer than a fingerprint";

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(7_u8))), 1);
}

#[test]
fn arrays_are_all_the_memory_there_is() {
    let count = allocations(|| {
        let memory = Fixed::<{ CONFIG.lines() }, { CONFIG.words() }>::new();
        let mut ids = CONFIG.local_in(memory, SipKeys::from_seed(1)).unwrap();
        for id in 0..10_000_u64 {
            let now = Instant::from_nanos(id);
            assert!(ids.insert(&id, now).is_fresh());
            assert!(ids.contains(&id, now) && !ids.insert(&id, now).is_fresh());
            ids.insert_all(&[WORD, WORD], now, |_: Sighting| ());
            assert!(!ids.insert(&Hashed(WORD), now).is_fresh());
            assert_eq!(ids.forget(&(id - id % 3), now), id % 3 == 0);
        }
        assert!(ids.len(Instant::ZERO) > 0 && ids.stats().fresh > 0);
        ids.clear();
    });
    assert_eq!(count, 0);
}

#[test]
fn on_the_heap_a_window_takes_two_allocations() {
    let mut state = None;
    assert_eq!(allocations(|| state = Some(CONFIG.state().unwrap())), 2);
    let mut state = state.unwrap();
    let count = allocations(|| {
        for low in 0..10_000 {
            let id = Fingerprint { low: low << 32, high: low };
            assert!(state.insert(id, Instant::from_nanos(low)).is_fresh());
            state.insert_all(&[id; 20], Instant::from_nanos(low), |answer| {
                assert!(!answer.is_fresh());
            });
            assert!(low % 2 == 0 || state.forget(id, Instant::from_nanos(low)));
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn the_shared_type_allocates_nothing_and_a_batch_its_answers() {
    let clock = ManualClock::new();
    let ids = CONFIG.shards(4).build_with(&clock, SipKeys::from_seed(1)).unwrap();
    let count = allocations(|| {
        for id in 0..10_000 {
            assert!(ids.insert(&id).is_fresh() && ids.contains(&id));
            assert!(!ids.insert_at(&id, Instant::ZERO).is_fresh());
            assert!(id % 2 == 0 || ids.forget(&id));
        }
        assert!(!ids.is_empty() && ids.stats().evicted > 0);
        ids.clear();
    });
    assert_eq!(count, 0);
    let all = [7_u8; 500];
    assert_eq!(allocations(|| assert_eq!(ids.insert_all(&all).len(), 500)), 1);
    assert_eq!(allocations(|| assert_eq!(ids.insert_all(&all[..0]), [])), 0);
}
