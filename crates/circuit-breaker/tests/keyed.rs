//! A breaker per key, one claim a test.

#![cfg(all(feature = "std", not(loom)))]

use std::sync::Arc;
use std::time::Duration;

use steadfast_circuit_breaker::{
    CircuitBreaker, Config, ConfigError, Keyed, KeyedCallError, KeyedError, Phase, TryAcquireError,
    Window,
};
use steadfast_core::{Instant, ManualClock};

const ONE: Config = Config::new()
    .consecutive_failures(1)
    .break_duration(secs(10))
    .close_after(1)
    .failure_rate(1.0, Window::calls(2).minimum(2));

type Hosts = Keyed<u32, ManualClock>;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn s(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

/// A table of `capacity` breakers, and their clock.
fn hosts(capacity: usize, config: &Config) -> (Hosts, ManualClock) {
    let clock = ManualClock::new();
    let (config, breakers) = (*config, clock.clone());
    let make = move |_: &u32| config.build_seeded(breakers.clone(), 1).expect("valid");
    (Keyed::with(capacity, make).expect("a capacity"), clock)
}

fn fail(hosts: &Hosts, key: u32) {
    hosts.try_acquire(&key).expect("admitted").failure();
}

fn succeed(hosts: &Hosts, key: u32) {
    hosts.try_acquire(&key).expect("admitted").success();
}

#[test]
fn keys_know_nothing_of_each_other() {
    let (hosts, _clock) = hosts(10, &ONE);
    fail(&hosts, 1);
    let refused = hosts.try_acquire(&1).expect_err("open");
    assert!(matches!(refused, KeyedError::Refused(TryAcquireError::Open { .. })));
    assert_eq!(refused.to_string(), "circuit breaker is open: retry in 10s");
    succeed(&hosts, 2);
    assert_eq!((hosts.len(), hosts.capacity(), hosts.is_empty()), (2, 10, false));
}

#[test]
fn a_key_has_one_breaker_while_it_is_held() {
    let (hosts, _clock) = hosts(1, &ONE);
    let breaker = hosts.get(&1).expect("a place");
    assert!(Arc::ptr_eq(&breaker, &hosts.get(&1).expect("a place")));
    hosts.forget_idle();
    assert!(Arc::ptr_eq(&breaker, &hosts.peek(&1).expect("held")));
    let full = hosts.try_acquire(&2).expect_err("held");
    assert_eq!(full, KeyedError::TableFull { capacity: 1 });
    assert_eq!(full.to_string(), "no place for another key: 1 are held already");
    drop(breaker);
    succeed(&hosts, 2);
    assert!(hosts.peek(&1).is_none());
}

#[test]
fn a_permit_holds_its_breaker() {
    let (hosts, _clock) = hosts(1, &ONE);
    let permit = hosts.try_acquire(&1).expect("closed");
    hosts.forget_idle();
    assert!(hosts.try_acquire(&2).is_err());
    permit.failure();
    assert_eq!(hosts.peek(&1).expect("tripped").phase(), Phase::Open);
}

#[test]
fn idle_keys_are_forgotten_when_another_needs_the_place() {
    let (hosts, _clock) = hosts(8, &ONE);
    for key in 0..1_000 {
        succeed(&hosts, key);
        assert!(hosts.len() <= 8);
    }
}

#[test]
fn tripped_keys_are_kept() {
    let (hosts, _clock) = hosts(8, &ONE);
    fail(&hosts, 0);
    for key in 1..1_000 {
        succeed(&hosts, key);
    }
    hosts.forget_idle();
    assert_eq!(hosts.len(), 1);
    assert!(hosts.try_acquire(&0).is_err());
}

#[test]
fn looking_adds_no_key() {
    let (hosts, _clock) = hosts(8, &ONE);
    assert!(hosts.peek(&1).is_none());
    assert!(hosts.is_empty());
}

#[test]
fn a_key_is_kept_until_nothing_bad_is_left_of_it() {
    type Keeps = (&'static str, Config, fn(&Hosts, &ManualClock), fn(&Hosts, &ManualClock));
    const BASE: Config = Config::new().consecutive_failures(5).break_duration(secs(10));
    const TRIPS: Config = ONE;
    fn advance(_: &Hosts, clock: &ManualClock) {
        clock.advance(secs(100));
    }
    fn success(hosts: &Hosts, _: &ManualClock) {
        succeed(hosts, 1);
    }
    fn failure(hosts: &Hosts, _: &ManualClock) {
        fail(hosts, 1);
    }
    fn recovered(hosts: &Hosts, clock: &ManualClock) {
        fail(hosts, 1);
        clock.advance(secs(10));
        succeed(hosts, 1);
    }
    fn twice(hosts: &Hosts, _: &ManualClock) {
        succeed(hosts, 1);
        succeed(hosts, 1);
    }
    fn forced(hosts: &Hosts, _: &ManualClock) {
        hosts.get(&1).expect("a place").force_closed();
    }
    fn reset(hosts: &Hosts, _: &ManualClock) {
        hosts.get(&1).expect("a place").reset();
    }
    fn hung(hosts: &Hosts, clock: &ManualClock) {
        let mut permit = hosts.try_acquire(&1).expect("closed");
        clock.advance(secs(1));
        permit.note_slow();
    }
    let by_time = Window::time(secs(50)).minimum(100);
    let cases: [Keeps; 7] = [
        ("a failure in a row", BASE, failure, success),
        (
            "a failure in a window of calls",
            Config::new().failure_rate(1.0, Window::calls(2)),
            failure,
            twice,
        ),
        (
            "a failure in a window of time",
            Config::new().failure_rate(1.0, by_time),
            failure,
            advance,
        ),
        (
            "a slow call in a window of time",
            Config::new().slow_rate(1.0, by_time).slow_after(secs(1)),
            hung,
            advance,
        ),
        ("a ramp-up", TRIPS.ramp_up(0.5, secs(100)), recovered, advance),
        ("a trip that may count", TRIPS.reset_after(secs(100)), recovered, advance),
        ("what an operator did", BASE, forced, reset),
    ];
    for (what, config, dirty, clean) in cases {
        let (hosts, clock) = hosts(8, &config);
        dirty(&hosts, &clock);
        hosts.forget_idle();
        assert_eq!(hosts.len(), 1, "{what}");
        clean(&hosts, &clock);
        hosts.forget_idle();
        assert_eq!(hosts.len(), 0, "{what}");
    }
}

#[test]
fn calls_go_through_the_breaker_of_their_key() {
    let (hosts, clock) = hosts(1, &ONE);
    assert_eq!(hosts.call(&1, || Ok::<_, ()>(7)), Ok(7));
    let failed = hosts.call(&1, || Err::<(), _>("no"));
    assert_eq!(failed, Err(KeyedCallError::Inner("no")));
    let rejected = hosts.call(&1, || -> Result<(), &str> { panic!("it was made") });
    assert!(matches!(rejected, Err(KeyedCallError::Rejected(KeyedError::Refused(_)))));
    let rejected = hosts.call(&2, || -> Result<(), &str> { panic!("it was made") });
    let full = KeyedError::TableFull { capacity: 1 };
    assert_eq!(rejected, Err(KeyedCallError::Rejected(full)));
    clock.set_now(s(10));
    assert_eq!(hosts.call(&1, || Ok::<_, ()>(7)), Ok(7));
    assert_eq!(hosts.peek(&1).expect("a place").phase(), Phase::Closed);
}

#[test]
fn keys_are_looked_up_by_what_they_borrow() {
    let hosts = Keyed::<String>::new(ONE, 8).expect("valid");
    hosts.try_acquire("a.example").expect("closed").failure();
    assert!(hosts.try_acquire("a.example").is_err());
    assert!(hosts.get("b.example").is_ok());
    assert_eq!(hosts.len(), 2);
}

#[test]
fn each_key_can_have_a_breaker_of_its_own_kind() {
    let make = |key: &u32| {
        let config = Config::new().consecutive_failures(*key);
        config.build_seeded(ManualClock::new(), 1).expect("valid")
    };
    let hosts: Hosts = Keyed::with(8, make).expect("a capacity");
    for key in 1..=3 {
        for _ in 0..key {
            assert_eq!(hosts.get(&key).expect("a place").phase(), Phase::Closed);
            fail(&hosts, key);
        }
        assert_eq!(hosts.get(&key).expect("a place").phase(), Phase::Open);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let zero = Keyed::<u32>::new(ONE, 0).map(|_| ());
    let Err(ConfigError::CapacityOutOfRange { capacity: 0, max }) = zero else {
        panic!("{zero:?}");
    };
    let above = Keyed::<u32>::new(ONE, max + 1).map(|_| ());
    assert_eq!(above, Err(ConfigError::CapacityOutOfRange { capacity: max + 1, max }));
    assert_eq!(Keyed::<u32>::new(Config::new(), 8).map(|_| ()), Err(ConfigError::NoRule));
}

#[test]
fn threads_share_the_breaker_of_a_key() {
    let (hosts, _clock) =
        hosts(64, &Config::new().failure_rate(1.0, Window::calls(10_000).minimum(10_000)));
    let breakers: Vec<Arc<CircuitBreaker<ManualClock>>> =
        (0..8).map(|key| hosts.get(&key).expect("a place")).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..800 {
                    fail(&hosts, i % 8);
                }
            });
        }
    });
    for breaker in breakers {
        assert_eq!(breaker.metrics().failures_by_calls.expect("a rule").bad, 400);
    }
}

#[test]
fn a_key_that_nobody_asks_for_is_forgotten_in_the_end_and_a_forced_one_is_not() {
    let (hosts, clock) = hosts(2, &ONE);
    fail(&hosts, 1);
    hosts.get(&2).expect("a place").force_open();
    assert!(hosts.get(&3).is_err(), "full of what is known");
    clock.advance(Duration::from_nanos(599_999_999_999));
    assert!(hosts.get(&3).is_err(), "a moment before");
    clock.advance(Duration::from_nanos(1));
    assert!(hosts.get(&3).is_ok());
    assert!(hosts.peek(&1).is_none());
    assert_eq!(hosts.peek(&2).expect("forced").phase(), Phase::ForcedOpen);
}

#[test]
fn asking_for_a_key_keeps_it_and_so_does_holding_it() {
    let (hosts, clock) = hosts(2, &ONE);
    let hosts = hosts.forget_after(secs(60));
    fail(&hosts, 1);
    fail(&hosts, 2);
    let held = hosts.get(&2).expect("a place");
    clock.advance(secs(59));
    assert!(hosts.try_acquire(&1).is_ok(), "its break is over; the probe says nothing");
    clock.advance(secs(59));
    assert!(hosts.get(&3).is_err());
    drop(held);
    assert!(hosts.get(&3).is_ok(), "118 seconds after it was asked for");
    assert!(hosts.peek(&1).is_some() && hosts.peek(&2).is_none());
}
