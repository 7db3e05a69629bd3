//! A tracker with its gaps in an array allocates nothing, and neither do the replay windows.

#![cfg(all(feature = "std", not(loom)))]

use std::time::Duration;

use steadfast_backoff::Random;
use steadfast_core::{Instant, ManualClock};
use steadfast_sequence_tracker::{Config, Gap, ReplayWindow, SharedReplayWindow, nacks};
use steadfast_test_support::allocations::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(7_u8))), 1);
}

#[test]
fn an_array_is_all_the_memory_there_is() {
    let delays = steadfast_backoff::Config::constant(Duration::from_millis(5));
    let mut rng = Random::from_seed(1);
    let now = Instant::ZERO;
    let count = allocations(|| {
        let config = Config::new().request(delays).max_jump(1 << 40).resync_at(50);
        let mut state = config.state_in([Gap::EMPTY; 8]).unwrap();
        for number in (0..1_000).map(|n| n * 7 % 999 + n) {
            state.record(number, now);
            state.record_range(number..=number + 2, now).unwrap();
            state.record_linked(number, number + 2..=number + 3, now).unwrap();
            let later = now.saturating_add(Duration::from_secs(number));
            state.due(later, &mut rng).for_each(drop);
        }
        state.announce(1 << 20, now).unwrap();
        assert!(nacks(state.gaps().iter().map(Gap::run)).count() > 9);
        assert!(state.missing().count() > 0 && state.needs_resync());
        state.give_up_below(1 << 10);
        state.skip_to(1 << 11);
        state.resynced(1 << 19);
        state.record_in(2, 7, now);
        state.reset();
        let _copy = state.clone();
    });
    assert_eq!(count, 0);
}

#[test]
fn windows_do_not_allocate() {
    let count = allocations(|| {
        let mut window = ReplayWindow::<16>::new();
        let shared = SharedReplayWindow::<33>::new();
        for number in (0..10_000).map(|n| n * 7 % 1_000 + n) {
            assert_eq!(window.check(number), window.record(number));
            assert_eq!(shared.check(number), shared.record(number));
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn numbers_in_order_do_not_allocate_in_the_shared_tracker_either() {
    let tracker = Config::new().build_with(ManualClock::new()).unwrap();
    tracker.record(1);
    tracker.record(5);
    let count = allocations(|| {
        assert!((6..1_000).all(|number| tracker.record(number).is_fresh()));
        assert_eq!((tracker.missing_count(), tracker.right_edge()), (3, Some(999)));
        assert_eq!(tracker.acquire(1).wait(), Ok(1));
    });
    assert_eq!(count, 0);
}

#[test]
fn changes_that_nobody_reads_are_not_kept() {
    let tracker = Config::new().build_with(ManualClock::new()).unwrap();
    tracker.record(0);
    let gaps = || (1..1_000).step_by(2).all(|n| tracker.record(n ^ 2).is_fresh());
    assert_eq!(allocations(|| assert!(gaps())), 0);
    let mut changes = tracker.changes();
    assert!(changes.try_next().is_none());
    tracker.record(2_000);
    assert!(changes.try_next().is_some());
}
