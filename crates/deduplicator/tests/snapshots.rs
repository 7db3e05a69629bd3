//! What is restored is what was remembered: ids, ages, payloads, values.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_deduplicator::{
    Acquired, Claims, Config, Deduplicator, Fingerprint, Remembered, RestoreError, Sighting,
    SipKeys, Snapshot, Stats, TryAcquireError,
};

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

const fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

fn seen(config: Config) -> (Deduplicator<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (config.build_with(clock.clone(), SipKeys::from_seed(1)).unwrap(), clock)
}

/// Ids 0 to `ids`, a nanosecond apart, the first at 0.
fn filled(config: Config, ids: u64) -> (Deduplicator<ManualClock>, ManualClock) {
    let (seen, clock) = seen(config);
    for id in 0..ids {
        clock.set_now(at(id));
        assert!(seen.insert(&id).is_fresh());
    }
    (seen, clock)
}

/// Restored on a clock that shows `now`.
fn restored(
    config: Config,
    snapshot: Snapshot,
    now: u64,
) -> Result<(Deduplicator<ManualClock>, ManualClock), RestoreError> {
    let clock = ManualClock::starting_at(at(now));
    Ok((config.restore_with(clock.clone(), snapshot)?, clock))
}

fn ages(snapshot: &Snapshot) -> Vec<(u64, u64)> {
    snapshot.ids.iter().map(|id| (id.age_ns, id.first_age_ns)).collect()
}

#[test]
fn ids_keep_their_ages_and_their_order() {
    let config = Config::new(100).ttl(ns(60));
    for now in [0, 5, 1_000_000] {
        let (seen, clock) = filled(config, 50);
        clock.set_now(at(55));
        let mut snapshot = seen.snapshot();
        assert_eq!(ages(&snapshot), (0..50).map(|id| (55 - id, 55 - id)).collect::<Vec<_>>());
        snapshot.add_age(ns(3));
        let (again, clock) = restored(config, snapshot.clone(), now).unwrap();
        // The clock shows less than the oldest id's age: it works none the less.
        assert_eq!(again.snapshot(), snapshot);
        assert_eq!(again.len(), 50);
        // Each is gone when its TTL is over, and not a nanosecond before.
        for passed in 1..=60 {
            clock.set_now(at(now + passed));
            let left = (0..50).filter(|id| 58 - id + passed < 60);
            assert_eq!(again.len(), left.clone().count(), "after {passed}");
            assert!((0..50_u64).filter(|id| again.contains(id)).eq(left));
        }
    }
}

#[test]
fn first_sights_are_shown_by_the_clock_and_not_before_its_beginning() {
    let config = Config::new(100);
    let (window, _clock) = filled(config, 10);
    let first = |now: u64, id: u64| {
        let (again, clock) = restored(config, window.snapshot(), now).unwrap();
        let known = again.first_seen(&id);
        assert_eq!(known, again.first_seen_at(&id, clock.now()));
        let shown = again.insert(&id);
        let first_seen = known.map(|first_seen| Sighting::Duplicate { first_seen });
        assert_eq!(first_seen.unwrap_or(Sighting::Fresh), shown);
        shown
    };
    assert_eq!(first(100, 0), Sighting::Duplicate { first_seen: at(91) });
    assert_eq!(first(100, 9), Sighting::Duplicate { first_seen: at(100) });
    assert_eq!(first(4, 7), Sighting::Duplicate { first_seen: at(2) });
    assert_eq!(first(4, 0), Sighting::Duplicate { first_seen: at(0) });
    assert!(first(4, 10).is_fresh());
}

#[test]
fn a_snapshot_of_what_was_restored_keeps_the_ages_of_both() {
    let config = Config::new(100).ttl(ns(1_000));
    let (window, _clock) = filled(config, 3);
    let (again, clock) = restored(config, window.snapshot(), 0).unwrap();
    clock.advance(ns(10));
    assert!(again.insert(&77_u64).is_fresh());
    clock.advance(ns(10));
    assert_eq!(ages(&again.snapshot()), [(22, 22), (21, 21), (20, 20), (10, 10)]);
    let (again, _clock) = restored(config, again.snapshot(), 0).unwrap();
    assert_eq!(ages(&again.snapshot()), [(22, 22), (21, 21), (20, 20), (10, 10)]);
}

#[test]
fn what_is_over_is_not_in_a_snapshot_nor_restored() {
    let config = Config::new(100).ttl(ns(10));
    let (window, clock) = filled(config, 8);
    clock.set_now(at(12));
    let mut snapshot = window.snapshot();
    assert_eq!(snapshot.ids.len(), 5);
    snapshot.add_age(ns(3));
    let (again, _clock) = restored(config, snapshot, 0).unwrap();
    assert_eq!(again.len(), 2);
    assert!((0..8_u64).filter(|id| again.contains(id)).eq(6..8));
}

#[test]
fn a_smaller_capacity_keeps_the_latest() {
    let (window, _clock) = filled(Config::new(100), 50);
    let mut snapshot = window.snapshot();
    // In any order.
    snapshot.ids.reverse();
    let (again, _clock) = restored(Config::new(10), snapshot, 0).unwrap();
    assert!((0..50_u64).filter(|id| again.contains(id)).eq(40..50));
    assert_eq!(again.stats().evicted, 40);
}

#[test]
fn any_number_of_shards_does() {
    let config = Config::new(10_000);
    for (from, to) in [(1, 16), (16, 1), (4, 64)] {
        let (window, _clock) = filled(config.shards(from), 5_000);
        let snapshot = window.snapshot();
        assert!(snapshot.ids.is_sorted_by_key(|id| std::cmp::Reverse(id.age_ns)));
        let (again, _clock) = restored(config.shards(to), snapshot.clone(), 7).unwrap();
        assert_eq!(again.snapshot(), snapshot);
        assert!((0..5_000_u64).all(|id| !again.insert(&id).is_fresh()));
        assert!(again.insert(&5_000_u64).is_fresh());
    }
}

#[test]
fn one_id_twice_is_the_later_of_them() {
    let config = Config::new(10);
    let (window, _clock) = filled(config, 3);
    let mut snapshot = window.snapshot();
    let mut old = snapshot.ids[2];
    (old.age_ns, old.first_age_ns) = (500, 500);
    snapshot.ids.push(old);
    let (again, _clock) = restored(config, snapshot, 1_000).unwrap();
    assert_eq!(again.len(), 3);
    assert_eq!(again.insert(&2_u64), Sighting::Duplicate { first_seen: at(1_000) });
}

#[test]
fn renewing_windows_keep_first_sights() {
    let config = Config::new(100).renew(true).ttl(ns(30));
    let (window, clock) = filled(config, 3);
    clock.set_now(at(20));
    assert_eq!(window.insert(&1_u64), Sighting::Duplicate { first_seen: at(1) });
    let snapshot = window.snapshot();
    assert_eq!(ages(&snapshot), [(20, 20), (18, 18), (0, 19)]);
    let (again, clock) = restored(config, snapshot, 100).unwrap();
    clock.advance(ns(29));
    assert_eq!(again.len(), 1);
    assert_eq!(again.insert(&1_u64), Sighting::Duplicate { first_seen: at(81) });
    clock.advance(ns(29));
    assert_eq!(again.insert(&1_u64), Sighting::Duplicate { first_seen: at(81) });
    assert_eq!(ages(&again.snapshot()), [(0, 77)]);
}

#[test]
fn a_first_sight_before_the_clocks_beginning_is_kept_too() {
    let config = Config::new(100).renew(true).ttl(ns(30));
    let (window, clock) = filled(config, 1);
    for now in [20, 40, 60, 80] {
        clock.set_now(at(now));
        assert!(!window.insert(&0_u64).is_fresh());
    }
    let snapshot = window.snapshot();
    assert_eq!(ages(&snapshot), [(0, 80)]);
    let (again, clock) = restored(config, snapshot, 5).unwrap();
    assert_eq!(ages(&again.snapshot()), [(0, 80)]);
    clock.advance(ns(10));
    assert_eq!(ages(&again.snapshot()), [(10, 90)]);
}

#[test]
fn a_snapshot_of_another_width_is_refused() {
    for wide in [false, true] {
        let config = Config::new(10).wide(wide);
        let (window, _clock) = seen(config);
        for id in ["a", "b"] {
            assert!(window.insert(id).is_fresh());
        }
        assert!(window.insert(&(u128::MAX / 3)).is_fresh());
        let snapshot = window.snapshot();
        assert!(snapshot.ids.iter().all(|id| (id.fingerprint.high != 0) == wide));
        let refused = restored(config.wide(!wide), snapshot.clone(), 0).unwrap_err();
        assert_eq!(refused, RestoreError::Width { is_wide: wide });
        let (again, _clock) = restored(config, snapshot, 0).unwrap();
        assert!(!again.insert("b").is_fresh() && !again.insert(&(u128::MAX / 3)).is_fresh());
    }
}

#[test]
fn an_age_that_cannot_be_counted_is_refused() {
    let config = Config::new(10);
    let most = Duration::from_nanos(u64::MAX / 2);
    let restored_after = |age: Duration| {
        let (window, _clock) = filled(config, 1);
        let mut snapshot = window.snapshot();
        snapshot.add_age(age);
        restored(config, snapshot, 1_000)
    };
    let (again, clock) = restored_after(most).unwrap();
    assert_eq!(ages(&again.snapshot()), [(u64::MAX / 2, u64::MAX / 2)]);
    clock.advance(ns(1));
    assert!(!again.insert(&0_u64).is_fresh());
    for age in [most + ns(1), Duration::MAX] {
        let shown = age.min(Duration::from_nanos(u64::MAX));
        assert_eq!(restored_after(age).unwrap_err(), RestoreError::TooOld { age: shown });
    }
    // So is a first sight.
    let (window, _clock) = filled(config.renew(true), 1);
    let mut snapshot = window.snapshot();
    snapshot.ids[0].first_age_ns = u64::MAX;
    let age = Duration::from_nanos(u64::MAX);
    let refused = restored(config.renew(true), snapshot, 0).unwrap_err();
    assert_eq!(refused, RestoreError::TooOld { age });
}

#[test]
fn what_is_restored_at_the_end_of_time_is_remembered() {
    let config = Config::new(2).ttl(ns(100));
    let (window, _clock) = filled(config, 2);
    let (again, _clock) = restored(config, window.snapshot(), u64::MAX).unwrap();
    assert_eq!(again.len(), 2);
    assert_eq!(ages(&again.snapshot()), [(1, 1), (0, 0)]);
    assert!(again.contains(&0_u64) && !again.insert(&1_u64).is_fresh());
    assert!(again.insert(&2_u64).is_fresh() && !again.insert(&2_u64).is_fresh());
    assert_eq!((again.len(), again.stats().evicted), (2, 1));
    // Claims, too.
    let claims = config.claims_with::<u8, _, _>(ManualClock::new(), SipKeys::from_seed(1)).unwrap();
    let _ = claims.try_acquire("a").unwrap().claim().unwrap().commit_with(7).unwrap();
    let end = ManualClock::starting_at(Instant::MAX);
    let again = config.restore_claims_with(end, claims.snapshot()).unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again.peek("a").unwrap().value.as_deref(), Some(&7));
}

#[test]
fn what_is_over_takes_no_place_and_is_not_too_old() {
    let config = Config::new(10).ttl(ns(100));
    let (window, _clock) = filled(config, 10);
    let mut snapshot = window.snapshot();
    // The latest five are 0 to 4 old, and the others long gone.
    for id in &mut snapshot.ids[..5] {
        (id.age_ns, id.first_age_ns) = (u64::MAX, u64::MAX);
    }
    let (again, _clock) = restored(Config::new(5).ttl(ns(100)), snapshot.clone(), 0).unwrap();
    assert_eq!((again.len(), again.stats()), (5, Stats::default()));
    assert!((0..10_u64).filter(|id| again.contains(id)).eq(5..10));
    // To the nanosecond.
    snapshot.add_age(ns(96));
    let (again, _clock) = restored(config, snapshot.clone(), 0).unwrap();
    assert!((0..10_u64).filter(|id| again.contains(id)).eq(6..10));
    snapshot.add_age(Duration::MAX);
    let (again, _clock) = restored(config, snapshot, 0).unwrap();
    assert!(again.is_empty() && again.insert(&7_u64).is_fresh());
}

#[test]
fn a_window_of_one_owner_is_restored_as_a_shared_one_is() {
    let config = Config::new(100).ttl(ns(60)).renew(true);
    for now in [0, 5, 1_000_000, u64::MAX] {
        let mut window = config.local_with(SipKeys::from_seed(1)).unwrap();
        for id in 0..50_u64 {
            assert!(window.insert(&id, at(id)).is_fresh());
        }
        assert!(!window.insert(&3_u64, at(55)).is_fresh());
        let mut snapshot = window.snapshot(at(55));
        let first = (1..50).filter(|id| *id != 3).map(|id| (55 - id, 55 - id));
        let first = [(55, 55)].into_iter().chain(first);
        assert_eq!(ages(&snapshot), first.chain([(0, 52)]).collect::<Vec<_>>());
        snapshot.add_age(ns(8));
        let local = config.restore_local(snapshot.clone(), at(now)).unwrap();
        let (shared, _clock) = restored(config, snapshot, now).unwrap();
        assert_eq!(local.snapshot(at(now)), shared.snapshot());
        assert_eq!((local.len(at(now)), local.stats()), (47, Stats::default()));
        assert!((0..50_u64).filter(|id| local.contains(id, at(now))).eq((3..4).chain(4..50)));
    }
    let (window, _clock) = filled(config.wide(true), 1);
    let refused = config.restore_local(window.snapshot(), at(0)).unwrap_err();
    assert_eq!(refused, RestoreError::Width { is_wide: true });
}

#[test]
fn what_cannot_be_built_is_not_restored() {
    let (window, _clock) = filled(Config::new(10), 1);
    let refused = restored(Config::new(0), window.snapshot(), 0).unwrap_err();
    assert!(matches!(refused, RestoreError::Config(_)));
}

#[test]
fn nothing_is_restored_as_nothing() {
    let (window, _clock) = seen(Config::new(10));
    let (again, _clock) = restored(Config::new(10), window.snapshot(), 50).unwrap();
    assert!(again.is_empty() && again.insert(&1_u64).is_fresh());
}

#[test]
fn hashed_ids_are_recognised_on_the_systems_clock() {
    let config = Config::new(1_000).ttl(Duration::from_secs(600));
    let seen = config.build().unwrap();
    assert!(seen.insert("order 17").is_fresh() && seen.insert(&17_u64).is_fresh());
    let mut snapshot = seen.snapshot();
    snapshot.add_age(Duration::from_secs(60));
    let again = config.restore(snapshot.clone()).unwrap();
    assert!(!again.insert("order 17").is_fresh() && !again.insert(&17_u64).is_fresh());
    assert!(again.insert("order 18").is_fresh());
    snapshot.add_age(Duration::from_secs(540));
    assert!(config.restore(snapshot).unwrap().is_empty());
}

#[test]
fn another_secret_recognises_nothing() {
    let config = Config::new(1_000);
    let (seen, _clock) = seen(config);
    assert!(seen.insert("order 17").is_fresh());
    let snapshot = Snapshot { hasher: SipKeys::from_seed(2), ..seen.snapshot() };
    assert!(config.restore(snapshot).unwrap().insert("order 17").is_fresh());
}

#[test]
fn a_snapshot_can_be_made_by_hand() {
    let fingerprint = Fingerprint { low: 0x9E37_79B9_7F4A_7C15, high: 0 };
    let id = Remembered { fingerprint, age_ns: 5, first_age_ns: 5, payload: 0, value: None };
    let hasher = SipKeys::from_seed(1);
    let snapshot = Snapshot { hasher, is_wide: false, ids: vec![id] };
    let (again, _clock) = restored(Config::new(10), snapshot, 0).unwrap();
    assert!(!again.insert(&fingerprint).is_fresh());
}

// Claims.

type Keyed = Claims<String, ManualClock>;

fn keyed(config: Config) -> (Keyed, ManualClock) {
    let clock = ManualClock::new();
    (config.claims_with(clock.clone(), SipKeys::from_seed(1)).unwrap(), clock)
}

fn duplicate(claims: &Keyed, id: &str, payload: &str) -> (Instant, Option<String>) {
    match claims.try_acquire_for(id, payload).unwrap() {
        Acquired::Duplicate(duplicate) => {
            (duplicate.committed_at, duplicate.value.map(|value| String::clone(&value)))
        }
        Acquired::Claim(_) => panic!("it was committed"),
    }
}

#[test]
fn values_and_payloads_of_claims_survive_and_what_is_in_flight_does_not() {
    let config = Config::new(100).ttl(ns(60)).shards(4);
    let (claims, clock) = keyed(config);
    let commit = |id: &str, value: Option<&str>| {
        let claim = claims.try_acquire_for(id, "buy").unwrap().claim().unwrap();
        match value {
            Some(value) => drop(claim.commit_with(value.to_owned()).unwrap()),
            None => claim.commit().unwrap(),
        }
        clock.advance(ns(10));
    };
    commit("a", Some("paid"));
    commit("b", None);
    commit("c", Some("refused"));
    let in_flight = claims.try_acquire_for("d", "buy").unwrap();
    let snapshot = claims.snapshot();
    assert_eq!(snapshot.ids.iter().map(|id| id.age_ns).collect::<Vec<_>>(), [30, 20, 10]);

    let clock = ManualClock::starting_at(at(5));
    let again: Keyed =
        config.shards(1).restore_claims_with(clock.clone(), snapshot.clone()).unwrap();
    assert_eq!(again.snapshot(), snapshot);
    assert_eq!((again.len(), again.in_flight()), (3, 0));
    assert_eq!(duplicate(&again, "a", "buy"), (at(0), Some("paid".to_owned())));
    assert_eq!(duplicate(&again, "b", "buy"), (at(0), None));
    assert_eq!(again.try_acquire_for("a", "sell").unwrap_err(), TryAcquireError::Mismatch);
    assert!(again.try_acquire_for("d", "buy").unwrap().claim().is_some());
    drop(in_flight);
    // Its TTL goes on where it was.
    clock.advance(ns(29));
    assert!(again.contains("a"));
    clock.advance(ns(1));
    assert!(!again.contains("a") && again.contains("b"));
    let claim = again.try_acquire_for("a", "sell").unwrap().claim().unwrap();
    claim.commit_with("sold".to_owned()).unwrap();
    assert_eq!(duplicate(&again, "a", "sell"), (at(35), Some("sold".to_owned())));
    assert_eq!(duplicate(&again, "c", "buy").1.as_deref(), Some("refused"));
}

#[test]
fn what_does_not_fit_is_dropped_with_its_value() {
    let kept = Arc::new(());
    let config = Config::new(100).shards(1);
    let clock = ManualClock::new();
    let claims = config.claims_with(clock.clone(), SipKeys::from_seed(1)).unwrap();
    for id in 0_u64..50 {
        let claim = claims.try_acquire(&id).unwrap().claim().unwrap();
        drop(claim.commit_with(Arc::clone(&kept)).unwrap());
        clock.advance(ns(1));
    }
    let snapshot = claims.snapshot();
    drop(claims);
    assert_eq!(Arc::strong_count(&kept), 51);
    let again = Config::new(10).shards(1).restore_claims_with(clock, snapshot).unwrap();
    assert_eq!((again.len(), Arc::strong_count(&kept)), (10, 11));
    assert!(
        (0..50_u64).filter(|id| again.peek(id).is_some_and(|id| id.value.is_some())).eq(40..50)
    );
}

#[test]
fn claims_are_restored_on_the_systems_clock() {
    let config = Config::new(100).ttl(Duration::from_secs(600));
    let claims = config.claims::<u32>().unwrap();
    claims.try_acquire("a").unwrap().claim().unwrap().commit_with(7).unwrap();
    let again = config.restore_claims(claims.snapshot()).unwrap();
    assert_eq!(again.peek("a").unwrap().value.as_deref(), Some(&7));
    let refused = config.wide(true).restore_claims(claims.snapshot()).unwrap_err();
    assert_eq!(refused, RestoreError::Width { is_wide: false });
}

#[cfg(feature = "serde")]
mod data {
    use super::*;

    #[test]
    fn a_snapshot_is_the_same_after_json() {
        let config = Config::new(100).wide(true).ttl(ns(1_000));
        let (claims, clock) = keyed(config);
        for (id, value) in [("a", Some("paid")), ("b", None)] {
            let claim = claims.try_acquire_for(id, "buy").unwrap().claim().unwrap();
            match value {
                Some(value) => drop(claim.commit_with(value.to_owned()).unwrap()),
                None => claim.commit().unwrap(),
            }
            clock.advance(ns(10));
        }
        let snapshot = claims.snapshot();
        let json = serde_json::to_string(&snapshot).unwrap();
        let read: Snapshot<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, snapshot);
        let again: Keyed = config.restore_claims_with(ManualClock::new(), read).unwrap();
        assert_eq!(duplicate(&again, "a", "buy").1.as_deref(), Some("paid"));
        assert_eq!(again.try_acquire_for("b", "sell").unwrap_err(), TryAcquireError::Mismatch);
    }

    #[test]
    fn a_window_is_the_same_after_json() {
        let config = Config::new(100).renew(true);
        let (window, _clock) = filled(config, 20);
        assert!(window.insert("hashed").is_fresh());
        let json = serde_json::to_string(&window.snapshot()).unwrap();
        let read = serde_json::from_str(&json).unwrap();
        let (again, _clock) = restored(config, read, 0).unwrap();
        assert!((0..20_u64).all(|id| !again.insert(&id).is_fresh()));
        assert!(!again.insert("hashed").is_fresh());
    }

    #[test]
    fn a_configuration_says_what_is_said_of_claims() {
        let config = Config::new(10).lease(Duration::from_secs(5)).max_claims(3).max_waiters(2);
        let json = serde_json::to_value(config).unwrap();
        assert_eq!(json["lease"], "5s");
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        for bad in [r#"{"capacity":10,"lease":"0s"}"#, r#"{"capacity":10,"max_claims":0}"#] {
            assert!(serde_json::from_str::<Config>(bad).is_err());
        }
    }
}
