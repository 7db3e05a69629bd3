//! What can be configured, what cannot, and what it takes, one claim a test.

#![cfg(all(feature = "std", not(loom)))]

use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{Config, ConfigError, Fixed, MAX_CAPACITY, MAX_SHARDS, SipKeys};

const NANOSECOND: Duration = Duration::from_nanos(1);
/// The longest that is counted in nanoseconds.
const LONGEST: Duration = Duration::from_nanos(u64::MAX - 1);
const TOO_LONG: Duration = Duration::from_nanos(u64::MAX);
/// Of one of several shards, without its margin.
const MAX_SHARE: usize = MAX_CAPACITY / 2;
/// Of all shards together.
#[cfg(target_pointer_width = "64")]
const MOST: usize = MAX_SHARE * MAX_SHARDS;
#[cfg(target_pointer_width = "32")]
const MOST: usize = usize::MAX / 16;
/// Has the target addresses for all that can be configured?
const ALL_FITS: bool = usize::BITS == 64;

const OK: Config = Config::new(100);

/// However it is built, it is refused, and the message says all of `parts`.
fn rejected(config: Config, expected: ConfigError, parts: &[&str]) {
    assert_eq!(config.check(), Err(expected));
    rejected_by_windows(config, expected, parts);
    assert_eq!(config.build().map(drop), Err(expected));
    let keys = SipKeys::from_seed(1);
    assert_eq!(config.build_with(ManualClock::new(), keys).map(drop), Err(expected));
}

/// The same of a single window.
fn rejected_by_windows(config: Config, expected: ConfigError, parts: &[&str]) {
    let (keys, memory) = (SipKeys::from_seed(1), Fixed::<1, 1>::new());
    assert_eq!(config.state().map(drop), Err(expected));
    assert_eq!(config.state_in(memory.clone()).map(drop), Err(expected));
    assert_eq!(config.local().map(drop), Err(expected));
    assert_eq!(config.local_with(keys).map(drop), Err(expected));
    assert_eq!(config.local_in(memory, keys).map(drop), Err(expected));
    assert!(std::panic::catch_unwind(|| config.lines()).is_err());
    assert!(std::panic::catch_unwind(|| config.words()).is_err());
    says(expected, parts);
}

fn says(error: ConfigError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in {message:?}");
    }
}

fn accepted(config: Config) {
    assert_eq!(config.check(), Ok(()));
}

/// What a window of so many ids takes, in bytes.
fn bytes(config: Config) -> u64 {
    config.lines() as u64 * 64 + config.words() as u64 * 8
}

mod numbers {
    use super::*;

    #[test]
    fn a_capacity_from_1_to_the_most() {
        let range = if ALL_FITS { "1 to 34359738368" } else { "1 to 268435455" };
        for capacity in [0, MOST + 1, usize::MAX] {
            let error = ConfigError::CapacityOutOfRange { capacity, max: MOST };
            rejected(Config::new(capacity), error, &[&capacity.to_string(), range]);
        }
        for capacity in [1, MAX_CAPACITY, MAX_CAPACITY + 1] {
            accepted(Config::new(capacity));
        }
        if ALL_FITS {
            accepted(Config::new(MOST));
        }
    }

    #[test]
    fn one_window_has_no_shards_to_be_divided_into() {
        assert_eq!(MAX_CAPACITY, 67_108_864);
        for capacity in [MAX_CAPACITY + 1, MOST] {
            let error = ConfigError::CapacityOutOfRange { capacity, max: MAX_CAPACITY };
            let given = capacity.to_string();
            rejected_by_windows(Config::new(capacity), error, &[&given, "1 to 67108864"]);
        }
    }

    /// With all that can be added, and without building it.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn one_window_of_the_most_has_room_for_all_that_can_be_added() {
        for config in [Config::new(MAX_CAPACITY), Config::new(MAX_CAPACITY).dense(true)] {
            for config in [config, config.renew(true), config.wide(true).renew(true)] {
                assert!(config.lines() * 15 >= MAX_CAPACITY && config.words() > 2 * MAX_CAPACITY);
            }
        }
    }

    #[test]
    fn what_passes_the_check_is_built_and_what_does_not_is_not() {
        let few = (MOST / MAX_SHARE / 2).next_power_of_two();
        for (capacity, shards, max) in [
            (MAX_CAPACITY + 1, 1, MAX_CAPACITY),
            (MOST, 1, MAX_CAPACITY),
            (2 * MAX_SHARE + 1, 2, 2 * MAX_SHARE),
            (3 * MAX_CAPACITY, 4, 4 * MAX_SHARE),
            (MOST, few, few * MAX_SHARE),
        ] {
            let error = ConfigError::CapacityOutOfRange { capacity, max };
            let given = capacity.to_string();
            rejected(Config::new(capacity).shards(shards), error, &[&given, &max.to_string()]);
        }
        // Most of these are larger than this machine: they are not built.
        let largest = if ALL_FITS { MAX_CAPACITY } else { MAX_CAPACITY / 2 };
        let all = if ALL_FITS { MOST } else { largest };
        for (capacity, shards) in [(largest, 1), (largest, 2), (all, MAX_SHARDS)] {
            for config in [Config::new(capacity), Config::new(capacity).shards(shards)] {
                accepted(config.wide(true).renew(true));
            }
        }
        let mut all = vec![];
        for capacity in (1..70).chain([100, 1_000, 4_095, 4_096, 8_191, 8_192, 30_000]) {
            all.push(Config::new(capacity));
            all.extend([0, 1, 2, 3, 16, 64, 1_024].map(|n| Config::new(capacity).shards(n)));
        }
        for config in all {
            let built = config.build_with(ManualClock::new(), SipKeys::from_seed(1));
            assert_eq!(config.check(), built.map(drop), "{config:?}");
            let claims = config.claims_with::<(), _, _>(ManualClock::new(), SipKeys::from_seed(1));
            assert_eq!(config.check(), claims.map(drop), "{config:?}");
        }
    }

    #[test]
    fn shards_are_a_power_of_two_up_to_the_most() {
        for shards in
            [0, 3, 6, 1_000, MAX_SHARDS + 1, 2 * MAX_SHARDS, usize::MAX, !(usize::MAX / 2)]
        {
            let error = ConfigError::ShardsOutOfRange { shards, max: MAX_SHARDS };
            let given = shards.to_string();
            rejected(Config::new(MOST).shards(shards), error, &[&given, "power of two", "1024"]);
        }
        for shards in (0..=10).map(|bits| 1 << bits) {
            accepted(Config::new(MAX_SHARDS).shards(shards));
        }
    }

    #[test]
    fn shards_are_no_more_than_ids() {
        let error = ConfigError::MoreShardsThanIds { shards: 128, capacity: 100 };
        rejected(OK.shards(128), error, &["128 shards", "100 ids"]);
        accepted(OK.shards(64));
        accepted(Config::new(128).shards(128));
    }

    #[test]
    fn claims_from_1() {
        rejected(OK.max_claims(0), ConfigError::ZeroClaims, &["at least 1"]);
        for claims in [1, u32::MAX] {
            accepted(OK.max_claims(claims));
        }
    }

    #[test]
    fn any_number_may_wait() {
        for waiters in [0, 1, u32::MAX] {
            accepted(OK.max_waiters(waiters));
        }
    }
}

mod durations {
    use super::*;

    #[test]
    fn a_ttl_from_a_nanosecond_to_584_years() {
        rejected(OK.ttl(Duration::ZERO), ConfigError::ZeroTtl, &["TTL of zero", "none at all"]);
        for ttl in [TOO_LONG, Duration::from_secs(u64::MAX), Duration::MAX] {
            let given = format!("{ttl:?}");
            rejected(OK.ttl(ttl), ConfigError::TtlTooLong { ttl }, &[&given, "584 years"]);
        }
        for ttl in [NANOSECOND, LONGEST] {
            accepted(OK.ttl(ttl));
        }
    }

    #[test]
    fn a_lease_from_a_nanosecond() {
        rejected(OK.lease(Duration::ZERO), ConfigError::ZeroLease, &["lease of zero"]);
        for lease in [NANOSECOND, LONGEST, Duration::MAX] {
            accepted(OK.lease(lease));
        }
    }

    #[test]
    fn of_several_faults_one_is_named_whatever_the_order_of_the_setters() {
        let config = Config::new(0).ttl(Duration::ZERO).shards(3).max_claims(0);
        let error = ConfigError::CapacityOutOfRange { capacity: 0, max: MOST };
        rejected(config, error, &[]);
        rejected(Config::new(0).max_claims(0).shards(3).ttl(Duration::ZERO), error, &[]);
    }
}

mod rates {
    use super::*;

    fn capacity(ttl: Duration, per_second: u64) -> Config {
        Config::within(ttl, per_second).expect("few enough")
    }

    #[test]
    fn a_window_of_time_has_room_for_all_that_come_in_it() {
        for (secs, per_second, ids) in [(600, 5_000, 3_000_000), (1, 1, 1), (86_400, 7, 604_800)] {
            let ttl = Duration::from_secs(secs);
            assert_eq!(capacity(ttl, per_second), Config::new(ids).ttl(ttl));
        }
    }

    /// All that a second allows may come at its beginning.
    #[test]
    fn a_second_that_is_begun_counts_as_all_of_it() {
        let cases = [
            (Duration::from_millis(500), 1_000, 1_000),
            (Duration::from_millis(1_500), 3, 6),
            (Duration::from_secs(1), 3, 3),
            (NANOSECOND, 1, 1),
            (NANOSECOND, 1_000_000_001, 1_000_000_001),
            (Duration::from_nanos(999_999_999), 1, 1),
            (Duration::from_nanos(1_000_000_001), 1, 2),
        ];
        for (ttl, per_second, ids) in cases {
            assert_eq!(capacity(ttl, per_second), Config::new(ids).ttl(ttl));
        }
        let config = capacity(Duration::from_millis(500), 1_000).shards(1);
        let seen = config.build_with(ManualClock::new(), SipKeys::from_seed(1)).unwrap();
        for id in 0..1_000_u64 {
            assert!(seen.insert_at(&id, Instant::from_nanos(id * 400_000)).is_fresh());
        }
        assert_eq!(seen.stats().evicted, 0);
    }

    #[test]
    fn more_than_can_be_counted_is_refused_at_once_and_more_than_can_be_when_it_is_built() {
        let error = ConfigError::CapacityOutOfRange { capacity: usize::MAX, max: MOST };
        for (ttl, per_second) in [
            (Duration::MAX, u64::MAX),
            (Duration::MAX, 2),
            (Duration::from_secs(2), u64::MAX),
            (Duration::from_secs(u64::MAX), 2),
            (Duration::from_nanos(1_000_000_001), u64::MAX),
        ] {
            assert_eq!(Config::within(ttl, per_second), Err(error));
        }
        // Just as many as there are numbers.
        rejected(capacity(Duration::from_secs(1), usize::MAX as u64), error, &[]);
    }

    #[test]
    fn none_a_second_or_no_time_is_no_window() {
        let error = ConfigError::CapacityOutOfRange { capacity: 0, max: MOST };
        rejected(capacity(Duration::from_secs(1), 0), error, &["a capacity of 0"]);
        rejected(capacity(Duration::ZERO, 1_000), error, &[]);
    }
}

mod memory {
    use super::*;

    #[test]
    fn an_id_takes_29_bytes_or_23_and_8_more_a_place_for_what_is_added() {
        // Wide, the most that one window may have is more than 32 bits address.
        let largest = if ALL_FITS { MAX_CAPACITY } else { MAX_CAPACITY / 2 };
        for capacity in [1_000, 65_536, 1_000_000, largest] {
            let config = Config::new(capacity);
            let (places, renewing) = (config.words() / 2, config.renew(true).words() / 3);
            assert_eq!((places, renewing), (capacity / 4 + capacity, capacity / 2 + capacity));
            let wide = config.wide(true);
            assert_eq!(wide.words(), config.words() + places);
            let (capacity, places, renewing) = (capacity as u64, places as u64, renewing as u64);
            assert!(10 * bytes(config) <= 293 * capacity, "{}", bytes(config));
            assert!(bytes(config.dense(true)) <= 23 * capacity, "{}", bytes(config.dense(true)));
            assert!(10 * bytes(wide) <= 386 * capacity, "{}", bytes(wide));
            assert_eq!(bytes(config.renew(true)), bytes(config) - 16 * places + 24 * renewing);
        }
    }

    /// What is asked for when it is built, and so what a shared window takes, its shards' margins included.
    #[test]
    fn an_id_of_a_shared_window_of_a_million_takes_30_bytes_or_24_and_40_or_32_if_it_is_wide() {
        // As `tests/sharded.rs` shows.
        let (shards, room) = (8, 125_000 + 18 + 3_640 + 1);
        let shard = Config::new(room);
        for (config, most) in [
            (shard, 30),
            (shard.dense(true), 24),
            (shard.wide(true), 40),
            (shard.wide(true).dense(true), 33),
        ] {
            let all = shards * bytes(config);
            assert!(all <= most * 1_000_000, "{all} bytes, not {most} an id");
        }
        // The smallest that has shards needs the most for them.
        let (small, exact) = (2 * bytes(Config::new(4_096 + 18 + 659 + 1)), Config::new(8_192));
        assert!(100 * small <= 117 * bytes(exact), "{small}, not {}", bytes(exact));
    }

    #[test]
    fn memory_of_another_size_is_named() {
        let (lines, words) = (OK.lines(), OK.words());
        let keys = SipKeys::from_seed(1);
        let error = ConfigError::Lines { given: 1, needed: lines };
        assert_eq!(OK.state_in(Fixed::<1, 9>::new()).map(drop), Err(error));
        assert_eq!(OK.local_in(Fixed::<1, 9>::new(), keys).map(drop), Err(error));
        says(error, &["1 lines", "give 15", "Config::lines"]);
        let error = ConfigError::Words { given: 9, needed: words };
        assert_eq!(OK.state_in(Fixed::<{ OK.lines() }, 9>::new()).map(drop), Err(error));
        assert_eq!(OK.local_in(Fixed::<{ OK.lines() }, 9>::new(), keys).map(drop), Err(error));
        says(error, &["9 words", "give 248", "Config::words"]);
        assert_eq!((lines, words), (15, 248));
    }

    #[test]
    fn more_than_there_are_addresses_is_said_in_bytes() {
        says(ConfigError::NotAddressable { bytes: 1 << 32 }, &["4294967296 bytes", "smaller"]);
    }

    #[cfg(target_pointer_width = "32")]
    fn bytes_too_many(error: ConfigError) -> u64 {
        match error {
            ConfigError::NotAddressable { bytes } => bytes,
            other => panic!("{other}"),
        }
    }

    #[test]
    #[cfg(target_pointer_width = "32")]
    fn no_window_takes_more_than_there_are_addresses() {
        let config = Config::new(MAX_CAPACITY).wide(true).renew(true);
        let error = config.state().map(drop).expect_err("some 3.5 GiB in one piece");
        assert!(bytes_too_many(error) > 1 << 31);
    }

    #[test]
    #[cfg(target_pointer_width = "32")]
    fn all_shards_together_take_no_more_than_there_are_addresses() {
        let keys = SipKeys::from_seed(1);
        for config in [Config::new(MOST), Config::new(MOST).shards(MAX_SHARDS)] {
            let error = config.check().expect_err("each shard could be had, and all cannot");
            assert!(bytes_too_many(error) > 1 << 32);
            assert_eq!(config.build_with(ManualClock::new(), keys).map(drop), Err(error));
        }
        // Beside each of its ids, a claim has a fingerprint of what it came with.
        let config = Config::new(MAX_CAPACITY).wide(true).renew(true);
        assert_eq!(config.check(), Ok(()));
        let claims = config.claims_with::<(), _, _>(ManualClock::new(), keys);
        assert!(bytes_too_many(claims.map(drop).expect_err("as above")) > 1 << 32);
    }
}

#[test]
fn a_configuration_is_a_constant_and_can_be_compared() {
    const HERE: Config = match Config::within(Duration::from_secs(2), 50) {
        Ok(config) => config.shards(4).max_claims(3).max_waiters(2).lease(NANOSECOND),
        Err(_) => panic!("it is in range"),
    };
    const { assert!(HERE.check().is_ok()) };
    let there = Config::new(100).ttl(Duration::from_secs(2));
    assert_eq!(HERE, there.lease(NANOSECOND).max_waiters(2).max_claims(3).shards(4));
    for other in [
        HERE.dense(true),
        HERE.wide(true),
        HERE.renew(true),
        HERE.shards(2),
        HERE.max_claims(4),
        HERE.max_waiters(3),
        HERE.lease(Duration::from_nanos(2)),
        HERE.ttl(NANOSECOND),
    ] {
        assert_ne!(HERE, other);
    }
    assert_eq!(HERE.build_with(ManualClock::new(), SipKeys::from_seed(1)).unwrap().config(), HERE);
}
