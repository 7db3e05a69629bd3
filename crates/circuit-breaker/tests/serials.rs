//! Numbers that come again: of lives and of slices, of which less than the whole is kept.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::time::Duration;

use steadfast_circuit_breaker::{CircuitBreaker, Config, Phase, Tally, Window};
use steadfast_core::{Instant, ManualClock};

type Breaker = CircuitBreaker<ManualClock>;

fn at(secs: u64) -> Instant {
    Instant::ZERO.saturating_add(Duration::from_secs(secs))
}

fn built(config: &Config) -> Breaker {
    config.build_with(ManualClock::new()).unwrap()
}

fn fail(breaker: &Breaker, now: Instant) {
    breaker.try_acquire_at(now).unwrap().failure_at(now);
}

fn by_time(breaker: &Breaker, now: Instant) -> Tally {
    breaker.metrics_at(now).failures_by_time.unwrap()
}

#[test]
fn a_slice_is_not_taken_for_one_long_ago() {
    for slices in [1, 2, 3, 8, 10] {
        let length = Duration::from_secs(slices.into());
        let rate =
            || Config::new().failure_rate(1.0, Window::time(length).slices(slices).minimum(2));
        // A slot tells 2^15 slices apart.
        for rounds in 1..=10 {
            for off in 0..u64::from(slices) {
                let breaker = built(&rate());
                fail(&breaker, at(100));
                let later = at(100 + (rounds << 15) + off);
                assert_eq!(by_time(&breaker, later), Tally::default());
                fail(&breaker, later);
                assert_eq!(by_time(&breaker, later), Tally { calls: 1, bad: 1 });
                assert_eq!(breaker.phase_at(later), Phase::Closed);
            }
        }
    }
}

#[test]
fn a_slice_is_not_taken_for_one_long_ago_however_the_time_between_passes() {
    let window = Window::time(Duration::from_secs(8)).slices(8).minimum(1_000_000);
    for step in [1, 5, 7, 8, 9, 100, 1_000, 16_383, 16_384, 16_385, 30_000, 32_767, 32_768] {
        let breaker = built(&Config::new().failure_rate(1.0, window));
        let mut calls = Vec::new();
        let mut now = 100;
        while now < 100 + (3 << 15) {
            fail(&breaker, at(now));
            calls.push(now);
            let bad = calls.iter().rev().take_while(|call| **call + 8 > now).count() as u64;
            assert_eq!(by_time(&breaker, at(now)), Tally { calls: bad, bad }, "{step} {now}");
            now += step;
        }
    }
}

#[test]
fn a_window_is_not_taken_for_that_of_a_life_long_ago() {
    for lives in (1..=9).map(|round| round << 10) {
        let window = Window::time(Duration::from_secs(10)).minimum(2);
        let breaker = built(&Config::new().failure_rate(1.0, window));
        fail(&breaker, at(100));
        (0..lives).for_each(|_| breaker.reset_at(at(100)));
        assert_eq!(by_time(&breaker, at(100)), Tally::default());
        fail(&breaker, at(100));
        assert_eq!(breaker.phase_at(at(100)), Phase::Closed);
    }
}

#[test]
fn a_window_of_calls_is_not_taken_for_that_of_a_life_long_ago() {
    let breaker = built(&Config::new().failure_rate(1.0, Window::calls(2)));
    fail(&breaker, at(100));
    (0..1 << 19).for_each(|_| breaker.reset_at(at(100)));
    assert_eq!(breaker.metrics_at(at(100)).failures_by_calls, Some(Tally::default()));
}

#[test]
fn a_place_that_was_leaked_is_not_taken_in_a_life_long_after() {
    let config = Config::new().consecutive_failures(1).probes(2);
    let breaker = built(&config);
    let probe = || {
        fail(&breaker, at(100));
        breaker.try_acquire_at(at(200)).unwrap()
    };
    let _first = probe();
    std::mem::forget(breaker.try_acquire_at(at(200)).unwrap());
    // Until the same part of the life's number comes again.
    let before = breaker.metrics_at(at(200)).life;
    while breaker.metrics_at(at(200)).life < before + (1 << 20) - 2 {
        breaker.reset_at(at(100));
    }
    let _one = probe();
    assert_eq!(breaker.metrics_at(at(200)).life, before + (1 << 20));
    assert!(breaker.try_acquire_at(at(200)).unwrap().is_probe());
}
