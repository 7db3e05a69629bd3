//! What the documentation promises of rules, phases and times, one claim a test. How a breaker is
//! used, watched and configured has its own files.

#![cfg(all(feature = "std", not(loom)))]
#![expect(clippy::large_types_passed_by_value, reason = "a configuration is built once")]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use steadfast_circuit_breaker::state::{Decision, Effects, MAX_STEP_BACK, State};
use steadfast_circuit_breaker::{
    Change, CircuitBreaker, Config, Outcome, Permit, Phase, Reason, Tally, Trip, TryAcquireError,
    Window,
};
use steadfast_core::{Clock, Instant, ManualClock};

type Breaker = CircuitBreaker<ManualClock>;

const NANOSECOND: Duration = Duration::from_nanos(1);
const YEAR: u64 = 31_557_600;

const fn s(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

const fn ms(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn build(config: Config) -> Breaker {
    config.build_seeded(ManualClock::new(), 1).expect("a valid configuration")
}

fn permit(breaker: &Breaker, now: Instant) -> Permit<&Breaker> {
    breaker.try_acquire_at(now).expect("admitted")
}

fn succeed(breaker: &Breaker, now: Instant) {
    permit(breaker, now).success_at(now);
}

fn fail(breaker: &Breaker, now: Instant) {
    permit(breaker, now).failure_at(now);
}

/// How many failures in a row it takes to trip it now.
fn failures_to_trip(breaker: &Breaker, now: Instant) -> u32 {
    for failures in 1..=100_000 {
        fail(breaker, now);
        if breaker.phase_at(now) != Phase::Closed {
            return failures;
        }
    }
    panic!("a hundred thousand failures did not trip it");
}

/// One failure opens it for 10 s.
const ONE: Config = Config::new().consecutive_failures(1).break_duration(secs(10));

fn reason(breaker: &mut steadfast_circuit_breaker::Changes) -> Reason {
    let mut last = breaker.try_next().expect("a change").change;
    while let Some(seen) = breaker.try_next() {
        last = seen.change;
    }
    last.reason
}

mod failures_in_a_row {
    use super::*;

    #[test]
    fn as_many_as_asked_for_trip_and_one_less_does_not() {
        for limit in [1, 2, 7] {
            let breaker = build(Config::new().consecutive_failures(limit));
            assert_eq!(failures_to_trip(&breaker, s(1)), limit);
        }
    }

    #[test]
    fn a_success_begins_the_row_anew() {
        let breaker = build(Config::new().consecutive_failures(3));
        for _ in 0..100 {
            fail(&breaker, s(1));
            fail(&breaker, s(1));
            succeed(&breaker, s(1));
        }
        assert_eq!(breaker.metrics_at(s(1)).consecutive_failures, 0);
        assert_eq!(failures_to_trip(&breaker, s(1)), 3);
    }

    #[test]
    fn ignored_and_dropped_calls_are_not_in_the_row() {
        let breaker = build(Config::new().consecutive_failures(3));
        fail(&breaker, s(1));
        fail(&breaker, s(1));
        permit(&breaker, s(1)).ignore();
        drop(permit(&breaker, s(1)));
        permit(&breaker, s(1)).report_at(Outcome::Ignored, s(1));
        assert_eq!(breaker.metrics_at(s(1)).consecutive_failures, 2);
        assert_eq!(failures_to_trip(&breaker, s(1)), 1);
    }

    #[test]
    fn the_most_that_can_be_asked_for_is_kept_count_of() {
        let most = steadfast_circuit_breaker::MAX_CONSECUTIVE;
        let terms = Config::new().consecutive_failures(most).terms();
        assert_eq!(terms.map(|terms| terms.words()), Ok(2));
    }
}

mod windows_of_calls {
    use super::*;

    fn by_calls(rate: f64, calls: u32, minimum: u32) -> Breaker {
        build(Config::new().failure_rate(rate, Window::calls(calls).minimum(minimum)))
    }

    #[test]
    fn after_100_000_successes_a_run_of_failures_trips_as_fast_as_the_window_says() {
        for (rate, calls, failures) in [(0.5, 100, 50), (0.5, 99, 50), (0.01, 100, 1), (1.0, 7, 7)]
        {
            let breaker = by_calls(rate, calls, 1);
            for _ in 0..100_000 {
                succeed(&breaker, s(1));
            }
            assert_eq!(failures_to_trip(&breaker, s(1)), failures, "{rate} of {calls}");
        }
    }

    #[test]
    fn a_call_leaves_the_window_after_exactly_as_many_others() {
        for calls in [1_u32, 2, 5, 10] {
            let breaker = by_calls(1.0, calls.max(2), calls.max(2));
            for _ in 0..3 {
                fail(&breaker, s(1));
                let window = u64::from(calls.max(2));
                for back in 1..=window {
                    let bad = breaker.metrics_at(s(1)).failures_by_calls.expect("a rule").bad;
                    assert_eq!(bad, 1, "{back} ago, in a window of {window}");
                    succeed(&breaker, s(1));
                }
                assert_eq!(breaker.metrics_at(s(1)).failures_by_calls.expect("a rule").bad, 0);
            }
        }
    }

    #[test]
    fn exactly_the_rate_trips() {
        // 3 of 10 by 0.3, which is not a number that a float can hold.
        let breaker = by_calls(0.3, 10, 10);
        for _ in 0..7 {
            succeed(&breaker, s(1));
        }
        assert_eq!(failures_to_trip(&breaker, s(1)), 3);
        let breaker = by_calls(1.0 / 3.0, 3, 3);
        succeed(&breaker, s(1));
        succeed(&breaker, s(1));
        assert_eq!(failures_to_trip(&breaker, s(1)), 1);
    }

    #[test]
    fn a_billionth_above_the_rate_does_not_trip() {
        let breaker = by_calls(0.300_000_001, 10, 10);
        for _ in 0..7 {
            succeed(&breaker, s(1));
        }
        for _ in 0..3 {
            fail(&breaker, s(1));
        }
        assert_eq!(breaker.phase_at(s(1)), Phase::Closed);
        fail(&breaker, s(1));
        assert_eq!(breaker.phase_at(s(1)), Phase::Open);
    }

    #[test]
    fn below_the_minimum_nothing_trips_and_at_the_minimum_it_does() {
        for minimum in [1, 2, 9, 20] {
            let breaker = by_calls(0.01, 20, minimum);
            assert_eq!(failures_to_trip(&breaker, s(1)), minimum);
        }
    }

    #[test]
    fn without_a_minimum_it_is_10_or_all_of_fewer() {
        let trips_at = |calls| {
            let breaker = build(Config::new().failure_rate(0.5, Window::calls(calls)));
            failures_to_trip(&breaker, s(1))
        };
        assert_eq!([trips_at(1), trips_at(9), trips_at(10), trips_at(1_000)], [1, 9, 10, 10]);
    }

    #[test]
    fn a_success_that_completes_the_minimum_does_not_trip_but_the_next_failure_does() {
        let breaker = by_calls(0.5, 10, 4);
        for _ in 0..3 {
            fail(&breaker, s(1));
        }
        for _ in 0..3 {
            succeed(&breaker, s(1));
            assert_eq!(breaker.phase_at(s(1)), Phase::Closed, "a success never opens it");
        }
        fail(&breaker, s(1));
        assert_eq!(breaker.phase_at(s(1)), Phase::Open);
    }

    #[test]
    fn ignored_calls_are_not_in_the_window() {
        let breaker = by_calls(1.0, 5, 5);
        for _ in 0..4 {
            fail(&breaker, s(1));
            for _ in 0..10 {
                permit(&breaker, s(1)).ignore();
            }
        }
        let tally = Some(Tally { calls: 4, bad: 4 });
        assert_eq!(breaker.metrics_at(s(1)).failures_by_calls, tally);
        assert_eq!(failures_to_trip(&breaker, s(1)), 1);
    }

    #[test]
    fn the_largest_window_slides_like_a_small_one() {
        let most = steadfast_circuit_breaker::MAX_CALLS;
        let breaker = by_calls(1.0, most, most);
        for _ in 0..2 {
            succeed(&breaker, s(1));
            for _ in 1..most {
                fail(&breaker, s(1));
            }
            let tally = Tally { calls: most.into(), bad: u64::from(most) - 1 };
            assert_eq!(breaker.metrics_at(s(1)).failures_by_calls, Some(tally));
        }
        assert_eq!(failures_to_trip(&breaker, s(1)), 1);
    }

    #[test]
    fn only_an_open_breaker_refuses_until_an_end() {
        let config = Config::new().consecutive_failures(1).break_duration(secs(9)).probes(2);
        let terms = config.terms().expect("valid");
        let words: Vec<_> = (0..terms.words()).map(|_| Cell::new(0)).collect();
        let state = State::new(terms, &words[..]).expect("fits");
        let begin = |at| match state.begin(false, at).0 {
            Decision::Granted(pass) => pass,
            refused => panic!("{refused:?}"),
        };
        assert_eq!(state.refuses_until(s(1)), None, "closed");
        let pass = begin(s(1));
        let _effects = state.report(pass, Outcome::FAILURE, || s(1), |_| secs(9));
        assert_eq!(state.refuses_until(s(1)), Some(s(10)));
        assert_eq!(state.refuses_until(s(10)), None, "over");

        let _probe = begin(s(10));
        assert_eq!(state.phase(s(10)), Phase::HalfOpen);
        assert_eq!(state.refuses_until(s(9)), None, "half-open, and asked with a time of before");
        for open in [true, false] {
            let _effects = state.force(open, s(9));
            assert_eq!(state.refuses_until(s(9)), None, "forced");
        }
        let _effects = state.reset(s(9));
        assert_eq!(state.refuses_until(s(9)), None, "closed again");
    }

    #[test]
    fn as_soon_as_it_is_full_of_successes_one_more_writes_nothing() {
        let config = Config::new().failure_rate(1.0, Window::calls(4));
        let words = [const { Cell::new(0_u64) }; 7];
        let state = State::new(config.terms().expect("valid"), &words[..]).expect("fits");
        let call = |outcome| {
            let pass = state.begin_at_once(|| s(1)).expect("closed");
            let before = words.clone();
            let _effects = state.report(pass, outcome, || s(1), |_| secs(1));
            words != before
        };
        let mut written = Vec::new();
        for outcome in [Outcome::Success, Outcome::FAILURE, Outcome::Success] {
            if outcome == Outcome::FAILURE {
                assert!(call(outcome));
            } else {
                written.push((0..9).map(|_| call(outcome)).take_while(|&written| written).count());
            }
        }
        assert_eq!(written, [4, 4]);
    }

    #[test]
    fn the_default_is_half_of_100_of_at_least_20() {
        let breaker = build(Config::default());
        assert_eq!(failures_to_trip(&breaker, s(1)), 20);
        let breaker = build(Config::default());
        for _ in 0..200 {
            succeed(&breaker, s(1));
        }
        assert_eq!(failures_to_trip(&breaker, s(1)), 50);
        assert_eq!(breaker.metrics_at(s(1)).next_probe_at, Some(s(6)), "a break of 5 s");
        assert_eq!(CircuitBreaker::new().terms(), CircuitBreaker::default().terms());
        assert_eq!(CircuitBreaker::new().terms(), breaker.terms());
    }
}

mod windows_of_time {
    use super::*;

    fn by_time(rate: f64, window: Window) -> Breaker {
        build(Config::new().failure_rate(rate, window))
    }

    fn tally(breaker: &Breaker, now: Instant) -> (u64, u64) {
        let tally = breaker.metrics_at(now).failures_by_time.expect("a rule");
        (tally.calls, tally.bad)
    }

    #[test]
    fn after_100_000_successes_a_run_of_failures_trips_as_fast_as_the_window_says() {
        let breaker = by_time(0.5, Window::time(secs(10)).slices(10).minimum(20));
        for i in 0..100_000 {
            succeed(&breaker, ms(i));
        }
        // 100 s: of the last ten seconds, in which there were 1,000 calls a second.
        let failures = failures_to_trip(&breaker, ms(100_000 - 1));
        assert_eq!(failures, 10_000);
        let breaker = by_time(0.5, Window::time(secs(10)).slices(10).minimum(20));
        for i in 0..100_000 {
            succeed(&breaker, ms(i));
        }
        assert_eq!(failures_to_trip(&breaker, s(110)), 20, "all of them are out of the window");
    }

    #[test]
    fn it_slides_by_a_slice() {
        let breaker = by_time(1.0, Window::time(secs(4)).slices(4).minimum(100));
        for i in 0..4 {
            fail(&breaker, s(i));
            succeed(&breaker, s(i));
        }
        assert_eq!(tally(&breaker, ms(3_999)), (8, 4));
        assert_eq!(tally(&breaker, ms(4_000)), (6, 3));
        assert_eq!(tally(&breaker, ms(5_999)), (4, 2));
        assert_eq!(tally(&breaker, ms(6_000)), (2, 1));
        assert_eq!(tally(&breaker, ms(7_000)), (0, 0));
        succeed(&breaker, ms(5_000));
        assert_eq!(tally(&breaker, ms(5_000)), (5, 2), "looking did not move it");
    }

    #[test]
    fn slices_that_do_not_divide_the_window_together_are_not_shorter_than_it() {
        // 3 slices of 33,334 ns.
        let window = Window::time(Duration::from_micros(100)).slices(3).minimum(100);
        let breaker = by_time(1.0, window);
        fail(&breaker, Instant::ZERO);
        assert_eq!(tally(&breaker, Instant::from_nanos(100_001)), (1, 1));
        assert_eq!(tally(&breaker, Instant::from_nanos(100_002)), (0, 0));
    }

    #[test]
    fn without_settings_it_has_10_slices_and_a_minimum_of_10() {
        let breaker = by_time(0.5, Window::time(secs(10)));
        let mut failures = 0;
        for i in 0..9 {
            fail(&breaker, s(i));
            failures += 1;
        }
        assert_eq!(failures_to_trip(&breaker, s(9)) + failures, 10);
        assert_eq!(breaker.terms().words(), 2 + 1 + 20);
    }

    #[test]
    fn what_was_counted_before_a_pause_does_not_come_back_however_long_it_was() {
        // A slot says the low bits of its slice, so pauses of powers of two are the ones to try.
        for slices in [1, 2, 3, 10_u32] {
            let within = u64::from(slices);
            for bits in 0..40 {
                let window = Window::time(secs(within)).minimum(2).slices(slices);
                let breaker = by_time(1.0, window);
                fail(&breaker, s(0));
                for pause in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1_u64] {
                    let Some(then) = pause.checked_mul(1_000_000_000) else { continue };
                    let then = Instant::from_nanos(then);
                    let expected = u64::from(pause < within);
                    assert_eq!(tally(&breaker, then), (expected, expected), "{slices} {pause}");
                    if pause < within {
                        continue;
                    }
                    let fresh = by_time(1.0, window);
                    fail(&fresh, s(0));
                    fail(&fresh, then);
                    assert_eq!(tally(&fresh, then), (1, 1), "{slices} {pause}");
                    assert_eq!(fresh.phase_at(then), Phase::Closed);
                }
            }
        }
    }

    #[test]
    fn what_was_counted_in_a_life_1_024_lives_ago_does_not_come_back() {
        for lives in [1_u32, 255, 256, 257, 1_023, 1_024, 1_025, 2_048, 4_096, 524_288] {
            let window = Window::time(secs(10)).minimum(2);
            let config = Config::new()
                .failure_rate(1.0, window)
                .failure_rate(1.0, Window::calls(4).minimum(2));
            let breaker = build(config);
            fail(&breaker, s(1));
            for _ in 0..lives {
                breaker.reset_at(s(1));
            }
            let metrics = breaker.metrics_at(s(1));
            let empty = Some(Tally { calls: 0, bad: 0 });
            let seen = (metrics.failures_by_time, metrics.failures_by_calls);
            assert_eq!(seen, (empty, empty), "{lives}");
            assert_eq!(failures_to_trip(&breaker, s(1)), 2, "{lives}");
        }
    }

    #[test]
    fn a_clock_that_is_late_counts_in_the_latest_slice() {
        let breaker = by_time(1.0, Window::time(secs(4)).slices(4).minimum(100));
        fail(&breaker, s(1_000));
        fail(&breaker, s(940));
        assert_eq!(tally(&breaker, s(940)), (2, 2));
        assert_eq!(tally(&breaker, s(1_003)), (2, 2));
        assert_eq!(tally(&breaker, s(1_004)), (0, 0));
    }

    #[test]
    fn a_clock_that_was_far_ahead_once_does_not_hold_the_window() {
        let breaker = by_time(1.0, Window::time(secs(4)).slices(4).minimum(100));
        fail(&breaker, Instant::MAX);
        fail(&breaker, s(1));
        assert_eq!(tally(&breaker, s(1)), (1, 1));
        assert_eq!(tally(&breaker, s(5)), (0, 0));
    }

    #[test]
    fn a_clock_that_is_far_ahead_again_and_again_is_caught_up_with_in_the_next_life() {
        let breaker = by_time(1.0, Window::time(secs(4)).slices(4).minimum(10));
        for _ in 0..100 {
            succeed(&breaker, Instant::MAX);
            succeed(&breaker, s(1));
        }
        assert!(tally(&breaker, s(1)).0 > 2, "it holds on to what is ahead");
        breaker.reset_at(s(1));
        assert_eq!(failures_to_trip(&breaker, s(1)), 10);
    }

    #[test]
    fn at_the_end_of_time_it_still_counts() {
        let breaker = by_time(0.5, Window::time(Duration::from_micros(10)).slices(1).minimum(4));
        assert_eq!(failures_to_trip(&breaker, Instant::MAX), 4);
        let longest = Window::time(Duration::from_nanos(u64::MAX - 1)).minimum(4);
        assert_eq!(failures_to_trip(&by_time(0.5, longest), Instant::MAX), 4);
    }
}

mod slow_calls {
    use super::*;

    fn slow(window: Window) -> Breaker {
        build(Config::new().slow_rate(0.5, window).slow_after(secs(2)))
    }

    fn call(breaker: &Breaker, outcome: Outcome, took: Duration) {
        permit(breaker, s(100)).report_at(outcome, s(100).saturating_add(took));
    }

    #[test]
    fn a_call_as_slow_as_the_threshold_is_slow_and_a_nanosecond_less_is_not() {
        let breaker = slow(Window::calls(2));
        call(&breaker, Outcome::Success, secs(2).saturating_sub(NANOSECOND));
        call(&breaker, Outcome::Success, secs(2).saturating_sub(NANOSECOND));
        assert_eq!(breaker.metrics_at(s(102)).slow_by_calls, Some(Tally { calls: 2, bad: 0 }));
        call(&breaker, Outcome::Success, secs(2));
        assert_eq!(breaker.phase_at(s(102)), Phase::Open);
    }

    #[test]
    fn whatever_its_outcome_but_ignored() {
        for outcome in [Outcome::Success, Outcome::FAILURE] {
            let breaker = slow(Window::calls(1));
            call(&breaker, outcome, secs(3));
            assert_eq!(breaker.phase_at(s(103)), Phase::Open);
        }
        let breaker = slow(Window::calls(1));
        call(&breaker, Outcome::Ignored, secs(3));
        assert_eq!(breaker.metrics_at(s(103)).slow_by_calls, Some(Tally { calls: 0, bad: 0 }));
    }

    #[test]
    fn only_a_slow_call_evaluates_the_rule() {
        let breaker = slow(Window::calls(10).minimum(4));
        for _ in 0..3 {
            call(&breaker, Outcome::Success, secs(2));
        }
        for _ in 0..3 {
            call(&breaker, Outcome::FAILURE, secs(1));
            assert_eq!(breaker.phase_at(s(102)), Phase::Closed, "fast, so it opens nothing");
        }
        call(&breaker, Outcome::Success, secs(2));
        assert_eq!(breaker.phase_at(s(102)), Phase::Open);
    }

    #[test]
    fn in_both_windows() {
        let window = Window::time(secs(1_000)).minimum(3);
        let mut changes;
        let breaker = slow(window);
        changes = breaker.changes();
        for i in 1..=3_u64 {
            assert_eq!(breaker.phase_at(s(102)), Phase::Closed);
            call(&breaker, Outcome::Success, secs(2));
            assert_eq!(
                breaker.metrics_at(s(102)).slow_by_time.map(|tally| tally.bad),
                match i {
                    3 => Some(0),
                    _ => Some(i),
                }
            );
        }
        assert_eq!(reason(&mut changes), Reason::SlowRateByTime);
    }

    #[test]
    fn a_call_that_hangs_can_trip_it_before_it_ends() {
        let breaker = slow(Window::calls(1));
        let mut hangs = permit(&breaker, s(100));
        hangs.note_slow_at(s(102).saturating_sub(NANOSECOND));
        assert_eq!(breaker.phase_at(s(102)), Phase::Closed);
        hangs.note_slow_at(s(102));
        assert_eq!(breaker.phase_at(s(102)), Phase::Open);
    }

    #[test]
    fn it_is_not_counted_twice() {
        let breaker = build(
            Config::new()
                .slow_rate(1.0, Window::calls(10).minimum(10))
                .slow_rate(1.0, Window::time(secs(1_000)).minimum(10))
                .failure_rate(1.0, Window::calls(10).minimum(10))
                .slow_after(secs(2)),
        );
        let mut hangs = permit(&breaker, s(100));
        for _ in 0..3 {
            hangs.note_slow_at(s(110));
        }
        hangs.failure_at(s(120));
        let metrics = breaker.metrics_at(s(120));
        let once = Some(Tally { calls: 1, bad: 1 });
        assert_eq!((metrics.slow_by_calls, metrics.slow_by_time), (once, once));
        assert_eq!(metrics.failures_by_calls, once, "its failure is");
    }

    #[test]
    fn noting_does_nothing_without_such_a_rule_or_in_a_later_life() {
        let breaker = build(ONE);
        let mut hangs = permit(&breaker, s(1));
        hangs.note_slow_at(s(1_000));
        hangs.note_slow();
        assert_eq!(breaker.phase_at(s(1_000)), Phase::Closed);
        let breaker = slow(Window::calls(1));
        let mut hangs = permit(&breaker, s(1));
        breaker.reset_at(s(2));
        hangs.note_slow_at(s(1_000));
        assert_eq!(breaker.metrics_at(s(1_000)).slow_by_calls, Some(Tally { calls: 0, bad: 0 }));
    }

    #[test]
    fn a_slow_probe_has_failed_and_only_at_its_end() {
        let config = ONE.slow_rate(1.0, Window::calls(100)).slow_after(secs(2));
        let breaker = build(config);
        fail(&breaker, s(0));
        let mut probe = permit(&breaker, s(10));
        probe.note_slow_at(s(20));
        assert_eq!(breaker.phase_at(s(20)), Phase::HalfOpen);
        probe.success_at(s(12));
        assert_eq!(breaker.phase_at(s(12)), Phase::Open);
        assert_eq!(breaker.metrics_at(s(12)).next_probe_at, Some(s(22)));
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_call_slow() {
        let breaker = slow(Window::calls(1));
        permit(&breaker, s(1_000)).success_at(s(0));
        assert_eq!(breaker.phase_at(s(1_000)), Phase::Closed);
    }
}

mod rules_together {
    use super::*;

    const ALL: Config = Config::new()
        .consecutive_failures(3)
        .failure_rate(0.5, Window::calls(4))
        .failure_rate(0.5, Window::time(secs(1_000)).minimum(4))
        .slow_rate(0.5, Window::calls(4))
        .slow_rate(0.5, Window::time(secs(1_000)).minimum(4))
        .slow_after(secs(1));

    /// Trips by the last of `calls`: whether each failed, and whether it was slow.
    fn tripped_by(config: Config, calls: &[(bool, bool)]) -> Reason {
        let breaker = build(config);
        let mut changes = breaker.changes();
        for &(failed, slow) in calls {
            assert_eq!(breaker.phase_at(s(9)), Phase::Closed);
            let outcome = if failed { Outcome::FAILURE } else { Outcome::Success };
            permit(&breaker, s(5)).report_at(outcome, s(5 + u64::from(slow)));
        }
        assert_eq!(breaker.phase_at(s(9)), Phase::Open);
        reason(&mut changes)
    }

    #[test]
    fn the_first_that_holds_in_their_order_is_the_reason() {
        let (bad, good) = ((true, true), (false, false));
        let (failed, slow) = ((true, false), (false, true));
        assert_eq!(tripped_by(ALL, &[bad, bad, bad]), Reason::ConsecutiveFailures);
        assert_eq!(tripped_by(ALL, &[bad, bad, good, bad]), Reason::FailureRateByCalls);
        assert_eq!(tripped_by(ALL, &[slow, slow, good, slow]), Reason::SlowRateByCalls);
        assert_eq!(tripped_by(ALL, &[bad, good, slow, failed]), Reason::FailureRateByCalls);
        // The fifth call puts the first out of the window of calls only.
        let by_time = [good, failed, failed, good, good, failed];
        assert_eq!(tripped_by(ALL, &[good, failed, good, failed]), Reason::FailureRateByCalls);
        let config = Config::new()
            .failure_rate(0.75, Window::calls(4))
            .failure_rate(0.5, Window::time(secs(1_000)).minimum(6));
        assert_eq!(tripped_by(config, &by_time), Reason::FailureRateByTime);
        let config = Config::new()
            .slow_rate(0.75, Window::calls(4))
            .slow_rate(0.5, Window::time(secs(1_000)).minimum(6))
            .slow_after(secs(1));
        let by_time = [good, slow, slow, good, good, slow];
        assert_eq!(tripped_by(config, &by_time), Reason::SlowRateByTime);
    }

    #[test]
    fn a_second_rate_over_the_same_kind_of_window_replaces_the_first() {
        let breaker = build(
            Config::new().failure_rate(0.1, Window::calls(1)).failure_rate(1.0, Window::calls(3)),
        );
        assert_eq!(failures_to_trip(&breaker, s(1)), 3);
    }
}

mod phases {
    use super::*;

    #[test]
    fn open_admits_at_exactly_opened_at_plus_break() {
        let breaker = build(ONE);
        fail(&breaker, s(3));
        let early = s(13).saturating_sub(NANOSECOND);
        for now in [s(3), s(4), early] {
            let refused = breaker.try_acquire_at(now).expect_err("open");
            let name = steadfast_circuit_breaker::Name(None);
            assert_eq!(refused, TryAcquireError::Open { retry_at: s(13), now, name });
            assert_eq!(refused.retry_after(), Some(s(13).saturating_duration_since(now)));
        }
        assert!(permit(&breaker, s(13)).is_probe());
    }

    #[test]
    fn looking_changes_nothing() {
        let breaker = build(ONE);
        fail(&breaker, s(0));
        let mut changes = breaker.changes();
        for _ in 0..3 {
            assert_eq!(breaker.phase_at(s(9)), Phase::Open);
            assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen, "as the next call will find it");
            assert_eq!(breaker.metrics_at(s(10)).phase, Phase::HalfOpen);
            assert_eq!(breaker.metrics_at(s(10)).life, 2);
            assert_eq!(breaker.metrics_at(s(10)).probes_in_flight, 0);
            let _text = format!("{breaker:?}");
        }
        assert_eq!(changes.try_next(), None);
        assert_eq!(breaker.phase_at(s(9)), Phase::Open);
    }

    #[test]
    fn a_late_failure_does_not_extend_the_break() {
        let breaker = build(ONE);
        let late = permit(&breaker, s(0));
        fail(&breaker, s(0));
        late.failure_at(s(5));
        let metrics = breaker.metrics_at(s(5));
        assert_eq!((metrics.next_probe_at, metrics.trips, metrics.life), (Some(s(10)), 1, 2));
    }

    #[test]
    fn a_late_success_does_not_close_it() {
        let breaker = build(ONE.close_after(1));
        let late = permit(&breaker, s(0));
        let later = permit(&breaker, s(0));
        fail(&breaker, s(0));
        late.success_at(s(5));
        assert_eq!(breaker.phase_at(s(5)), Phase::Open);
        let probe = permit(&breaker, s(10));
        later.success_at(s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen);
        assert_eq!(breaker.metrics_at(s(10)).probes_in_flight, 1);
        probe.success_at(s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
    }

    #[test]
    fn a_result_of_the_closed_life_before_does_not_count_in_the_next() {
        let breaker = build(ONE.consecutive_failures(2).close_after(1));
        let late = [permit(&breaker, s(0)), permit(&breaker, s(0)), permit(&breaker, s(0))];
        fail(&breaker, s(0));
        fail(&breaker, s(0));
        succeed(&breaker, s(10));
        fail(&breaker, s(10));
        for late in late {
            late.failure_at(s(10));
        }
        assert_eq!(breaker.metrics_at(s(10)).consecutive_failures, 1);
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
    }

    #[test]
    fn a_probe_of_an_earlier_half_open_does_not_count_in_the_next() {
        let breaker = build(ONE.probes(2).close_after(1));
        fail(&breaker, s(0));
        let (first, late) = (permit(&breaker, s(10)), permit(&breaker, s(10)));
        first.failure_at(s(10));
        let _probe = permit(&breaker, s(20));
        late.success_at(s(20));
        assert_eq!(breaker.phase_at(s(20)), Phase::HalfOpen);
        assert_eq!(breaker.metrics_at(s(20)).probes_in_flight, 1);
    }

    #[test]
    fn forced_open_refuses_until_a_reset_however_long() {
        let breaker = build(ONE);
        breaker.force_open_at(s(1));
        let name = steadfast_circuit_breaker::Name(None);
        for now in [s(1), s(YEAR), Instant::MAX, Instant::ZERO] {
            let refused = breaker.try_acquire_at(now).expect_err("isolated");
            assert_eq!(refused, TryAcquireError::Isolated { name });
            assert_eq!((refused.retry_after(), refused.retry_after_secs_ceil()), (None, None));
            assert_eq!(breaker.phase_at(now), Phase::ForcedOpen);
        }
        breaker.reset_at(s(2));
        assert!(!permit(&breaker, s(2)).is_probe());
    }

    #[test]
    fn forced_closed_admits_all_and_still_measures_from_anew() {
        let breaker = build(ONE.failure_rate(0.5, Window::calls(10)));
        fail(&breaker, s(0));
        breaker.force_closed_at(s(1));
        for i in 0..20 {
            assert_eq!(breaker.metrics_at(s(1)).consecutive_failures, i);
            fail(&breaker, s(1));
        }
        let metrics = breaker.metrics_at(s(1));
        assert_eq!(metrics.phase, Phase::ForcedClosed);
        assert_eq!(metrics.failures_by_calls, Some(Tally { calls: 10, bad: 10 }));
        assert_eq!(metrics.admitted_parts, 1_000_000_000);
        succeed(&breaker, s(1));
        assert_eq!(breaker.metrics_at(s(1)).consecutive_failures, 0);
    }

    #[test]
    fn forcing_what_is_forced_already_changes_nothing() {
        let breaker = build(ONE);
        let mut changes = breaker.changes();
        breaker.force_open_at(s(1));
        breaker.force_open_at(s(2));
        breaker.force_closed_at(s(3));
        breaker.force_closed_at(s(4));
        let at: Vec<_> =
            std::iter::from_fn(|| changes.try_next()).map(|seen| seen.change.at).collect();
        assert_eq!(at, [s(1), s(3)]);
    }

    #[test]
    fn a_force_and_a_reset_end_the_life_of_all_permits() {
        let breaker = build(ONE.probes(3));
        fail(&breaker, s(0));
        let probes = [permit(&breaker, s(10)), permit(&breaker, s(10)), permit(&breaker, s(10))];
        breaker.force_open_at(s(10));
        let [a, b, c] = probes;
        a.failure_at(s(10));
        b.success_at(s(10));
        drop(c);
        assert_eq!(breaker.metrics_at(s(10)).life, 4);
        breaker.reset_at(s(10));
        let before = permit(&breaker, s(10));
        breaker.reset_at(s(10));
        before.failure_at(s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
    }

    #[test]
    fn a_reset_forgets_everything_that_was_counted() {
        let config = Config::new()
            .consecutive_failures(5)
            .failure_rate(0.5, Window::calls(10).minimum(5))
            .failure_rate(0.5, Window::time(secs(100)).minimum(5));
        let breaker = build(config);
        for _ in 0..4 {
            fail(&breaker, s(1));
        }
        breaker.reset_at(s(1));
        assert_eq!(failures_to_trip(&breaker, s(1)), 5);
    }

    #[test]
    fn a_reset_closes_without_a_ramp_up() {
        let breaker = build(ONE.ramp_up(0.01, secs(100)));
        fail(&breaker, s(0));
        breaker.reset_at(s(1));
        for _ in 0..10 {
            succeed(&breaker, s(1));
        }
        assert_eq!(breaker.metrics_at(s(1)).admitted_parts, 1_000_000_000);
    }
}

mod probes {
    use super::*;

    fn half_open(config: Config) -> Breaker {
        let breaker = build(config);
        fail(&breaker, s(0));
        breaker
    }

    #[test]
    fn of_100_callers_exactly_p_are_admitted() {
        for probes in [1, 2, 7, 100] {
            let breaker = half_open(ONE.probes(probes).close_after(255));
            let admitted: Vec<_> =
                (0..100).filter_map(|_| breaker.try_acquire_at(s(10)).ok()).collect();
            assert_eq!(admitted.len(), probes as usize);
            assert_eq!(breaker.metrics_at(s(10)).probes_in_flight, probes);
            let refused = breaker.try_acquire_at(s(10));
            assert!(matches!(refused, Err(TryAcquireError::HalfOpenFull { .. })));
        }
    }

    #[test]
    fn of_100_threads_at_most_p_are_in_flight_at_any_time() {
        let breaker = half_open(ONE.probes(3).close_after(255));
        let in_flight = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let Ok(permit) = breaker.try_acquire_at(s(10)) else { continue };
                        let others = in_flight.fetch_add(1, Ordering::SeqCst);
                        assert!(others < 3, "{others} others");
                        thread::yield_now();
                        in_flight.fetch_sub(1, Ordering::SeqCst);
                        permit.ignore();
                    }
                });
            }
        });
        assert_eq!(breaker.metrics_at(s(10)).probes_in_flight, 0);
    }

    #[test]
    fn the_most_probes_that_can_be_asked_for() {
        let breaker = half_open(ONE.probes(255).close_by_rate(1.0, 255));
        let probes: Vec<_> = (0..255).map(|_| permit(&breaker, s(10))).collect();
        assert!(breaker.try_acquire_at(s(10)).is_err());
        let mut probes = probes.into_iter();
        for i in 0..254 {
            assert_eq!(breaker.metrics_at(s(10)).probes_failed, i);
            probes.next().expect("255").failure_at(s(10));
        }
        assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen, "254 of 255 are not all");
        probes.next().expect("255").failure_at(s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Open);
    }

    #[test]
    fn so_many_successes_close_it() {
        for successes in [1, 2, 3, 255] {
            let breaker = half_open(ONE.close_after(successes));
            for i in 0..successes {
                assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen, "after {i}");
                assert_eq!(breaker.metrics_at(s(10)).probes_succeeded, i);
                succeed(&breaker, s(10));
            }
            assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
        }
    }

    #[test]
    fn without_settings_one_probe_at_once_and_three_successes() {
        let breaker = half_open(ONE);
        let probe = permit(&breaker, s(10));
        assert!(breaker.try_acquire_at(s(10)).is_err());
        probe.success_at(s(10));
        succeed(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen);
        succeed(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
    }

    #[test]
    fn the_first_failure_opens_it_again_for_a_whole_break() {
        let breaker = half_open(ONE.close_after(3));
        succeed(&breaker, s(12));
        succeed(&breaker, s(12));
        fail(&breaker, s(14));
        let metrics = breaker.metrics_at(s(14));
        assert_eq!((metrics.next_probe_at, metrics.since), (Some(s(24)), Some(s(14))));
        assert_eq!((metrics.consecutive_trips, metrics.trips), (2, 2));
    }

    #[test]
    fn by_rate_it_opens_as_soon_as_that_is_certain_and_closes_after_the_last() {
        // 40 % of 5 are 2.
        let breaker = half_open(ONE.probes(5).close_by_rate(0.4, 5));
        succeed(&breaker, s(10));
        fail(&breaker, s(10));
        succeed(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::HalfOpen);
        fail(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Open, "2 of 5, whatever the fifth does");
        for i in 0..5 {
            assert_eq!(breaker.phase_at(s(20)), Phase::HalfOpen);
            permit(&breaker, s(20))
                .report_at(if i == 2 { Outcome::FAILURE } else { Outcome::Success }, s(20));
        }
        assert_eq!(breaker.phase_at(s(20)), Phase::Closed);
    }

    #[test]
    fn a_rate_below_one_probe_is_one_failure() {
        let breaker = half_open(ONE.close_by_rate(0.000_000_001, 255));
        for _ in 0..100 {
            succeed(&breaker, s(10));
        }
        fail(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Open);
    }

    #[test]
    fn half_open_counts_calls_and_never_time() {
        let config = ONE
            .close_after(3)
            .failure_rate(0.5, Window::time(secs(1)).minimum(1))
            .failure_rate(0.5, Window::calls(1));
        let breaker = half_open(config);
        for i in 1..=3 {
            succeed(&breaker, s(10 + i * 1_000_000));
            let none = Some(Tally { calls: 0, bad: 0 });
            let metrics = breaker.metrics_at(s(10 + i * 1_000_000));
            assert_eq!((metrics.failures_by_time, metrics.failures_by_calls), (none, none));
        }
        assert_eq!(breaker.phase_at(s(4_000_000)), Phase::Closed);
    }

    #[test]
    fn ignored_and_dropped_probes_give_their_place_back_and_count_for_nothing() {
        let breaker = half_open(ONE.close_after(1));
        for _ in 0..1_000 {
            permit(&breaker, s(10)).ignore();
            breaker.clock().set_now(s(10));
            drop(permit(&breaker, s(10)));
            permit(&breaker, s(10)).report_at(Outcome::Ignored, s(10));
        }
        let metrics = breaker.metrics_at(s(10));
        assert_eq!((metrics.phase, metrics.probes_in_flight), (Phase::HalfOpen, 0));
        assert_eq!((metrics.probes_succeeded, metrics.probes_failed), (0, 0));
        succeed(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
    }

    #[test]
    fn a_lost_probe_loses_its_place_at_exactly_the_timeout_and_is_ignored_then() {
        for outcome in [Outcome::Success, Outcome::FAILURE, Outcome::Ignored] {
            let breaker = half_open(ONE.close_after(1).probe_timeout(secs(30)));
            let lost = permit(&breaker, s(10));
            let early = s(40).saturating_sub(NANOSECOND);
            assert!(breaker.try_acquire_at(early).is_err());
            let probe = permit(&breaker, s(40));
            assert!(breaker.try_acquire_at(s(40)).is_err(), "still one at a time");
            lost.report_at(outcome, s(40));
            assert_eq!(breaker.phase_at(s(40)), Phase::HalfOpen);
            assert!(breaker.try_acquire_at(s(40)).is_err(), "it gave back no place");
            probe.success_at(s(41));
            assert_eq!(breaker.phase_at(s(41)), Phase::Closed);
        }
    }

    #[test]
    fn a_probe_that_reports_at_the_timeout_is_late_and_before_it_is_not() {
        let breaker = half_open(ONE.close_after(1).probe_timeout(secs(30)));
        permit(&breaker, s(10)).success_at(s(40));
        let metrics = breaker.metrics_at(s(40));
        assert_eq!((metrics.phase, metrics.probes_in_flight), (Phase::HalfOpen, 0));
        permit(&breaker, s(40)).success_at(s(70).saturating_sub(NANOSECOND));
        assert_eq!(breaker.phase_at(s(70)), Phase::Closed);
    }

    #[test]
    fn without_settings_a_probe_has_30_s() {
        let breaker = half_open(ONE);
        std::mem::forget(permit(&breaker, s(10)));
        assert!(breaker.try_acquire_at(s(40).saturating_sub(NANOSECOND)).is_err());
        assert!(breaker.try_acquire_at(s(40)).is_ok());
    }

    #[test]
    fn leaked_probes_lose_one_place_each() {
        let breaker = half_open(ONE.probes(2).close_after(255).probe_timeout(secs(30)));
        std::mem::forget(permit(&breaker, s(10)));
        std::mem::forget(permit(&breaker, s(20)));
        assert!(breaker.try_acquire_at(s(39)).is_err());
        let second = permit(&breaker, s(40));
        assert!(breaker.try_acquire_at(s(49)).is_err());
        let third = permit(&breaker, s(50));
        assert!(breaker.try_acquire_at(s(50)).is_err());
        second.success_at(s(51));
        third.success_at(s(51));
        assert_eq!(breaker.metrics_at(s(51)).probes_succeeded, 2);
    }

    #[test]
    fn a_line_that_waits_is_not_overtaken() {
        let terms = ONE.probes(2).terms().expect("valid");
        let words: Box<[Cell<u64>]> = (0..terms.words()).map(|_| Cell::new(0)).collect();
        let state = State::new(terms, words).expect("fits");
        let Decision::Granted(pass) = state.begin(false, s(0)).0 else { panic!("closed") };
        let _effects = state.report(pass, Outcome::FAILURE, || s(0), |_| secs(10));
        state.set_occupied(true);
        assert!(state.is_occupied());
        assert_eq!(state.begin(false, s(10)), (Decision::Busy, Effects::NONE));
        assert!(matches!(state.begin(true, s(10)).0, Decision::Granted(_)));
        assert_eq!(state.begin(false, s(10)), (Decision::Busy, Effects::NONE));
        assert!(matches!(state.begin(true, s(10)).0, Decision::Granted(_)));
        assert_eq!(state.begin(true, s(10)), (Decision::Busy, Effects::NONE));
        state.set_occupied(false);
        assert!(!state.is_occupied());
        assert_eq!(state.begin(false, s(9)).0, Decision::Busy, "P are in flight");
    }
}

mod ramp_up {
    use super::*;

    /// Closes at 10 s.
    fn closed(share: f64, over: Duration) -> Breaker {
        let breaker = build(ONE.consecutive_failures(1).close_after(1).ramp_up(share, over));
        fail(&breaker, s(0));
        succeed(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Closed);
        breaker
    }

    fn admitted(breaker: &Breaker, calls: u32, now: Instant) -> usize {
        (0..calls).filter(|_| breaker.try_acquire_at(now).is_ok()).count()
    }

    #[test]
    fn exactly_the_share_is_admitted_and_it_grows_evenly() {
        let breaker = closed(0.1, secs(90));
        for (now, parts) in [(10, 100), (20, 200), (55, 550), (91, 910)] {
            assert_eq!(breaker.metrics_at(s(now)).admitted_parts, parts * 1_000_000);
            assert_eq!(admitted(&breaker, 1_000, s(now)), parts as usize);
        }
    }

    #[test]
    fn the_first_that_asks_is_admitted_and_then_one_in_so_many() {
        let breaker = closed(0.25, secs(1_000_000));
        let pattern: Vec<_> = (0..9).map(|_| breaker.try_acquire_at(s(10)).is_ok()).collect();
        let expected = [true, false, false, false, true, false, false, false, true];
        assert_eq!(pattern, expected);
    }

    #[test]
    fn those_that_are_not_admitted_are_told_when_all_are() {
        let breaker = closed(0.5, secs(100));
        assert!(breaker.try_acquire_at(s(11)).is_ok());
        let refused = breaker.try_acquire_at(s(12)).expect_err("one in two");
        let name = steadfast_circuit_breaker::Name(None);
        assert_eq!(refused, TryAcquireError::RampingUp { full_at: s(110), now: s(12), name });
        assert_eq!(refused.retry_after(), Some(secs(98)));
        assert_eq!(refused.to_string(), "circuit breaker is ramping up: all calls in 98s");
    }

    #[test]
    fn it_is_over_at_exactly_its_end() {
        let breaker = closed(0.001, secs(100));
        let early = s(110).saturating_sub(NANOSECOND);
        assert!(breaker.metrics_at(early).admitted_parts < 1_000_000_000);
        assert_eq!(breaker.metrics_at(s(110)).admitted_parts, 1_000_000_000);
        assert_eq!(admitted(&breaker, 100, s(110)), 100);
    }

    #[test]
    fn once_it_is_over_it_does_not_come_back() {
        let breaker = closed(0.001, secs(100));
        assert_eq!(admitted(&breaker, 100, s(110)), 100);
        assert_eq!(admitted(&breaker, 100, s(50)), 100);
    }

    #[test]
    fn a_share_of_all_admits_all() {
        let breaker = closed(1.0, secs(100));
        assert_eq!(admitted(&breaker, 100, s(10)), 100);
    }

    #[test]
    fn failures_during_it_trip_as_always() {
        let breaker = closed(0.5, secs(100));
        fail(&breaker, s(10));
        assert_eq!(breaker.phase_at(s(10)), Phase::Open);
    }

    #[test]
    fn it_shows_as_closed_and_each_change_once() {
        let breaker = build(ONE.close_after(1).ramp_up(0.5, secs(100)));
        let mut changes = breaker.changes();
        fail(&breaker, s(0));
        succeed(&breaker, s(10));
        assert!(breaker.try_acquire_at(s(200)).is_ok());
        let seen: Vec<_> =
            std::iter::from_fn(|| changes.try_next()).map(|seen| seen.change.to).collect();
        assert_eq!(seen, [Phase::Open, Phase::HalfOpen, Phase::Closed]);
    }

    #[test]
    fn threads_together_get_exactly_the_share() {
        let breaker = closed(0.3, secs(1_000_000_000));
        let admitted = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_500 {
                        if breaker.try_acquire_at(s(10)).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 3_000);
    }
}

mod breaks {
    use steadfast_backoff::Jitter;

    use super::*;

    /// The breaks of trips in a row.
    fn in_a_row(breaker: &Breaker, trips: usize) -> Vec<u64> {
        let mut now = s(1);
        (0..trips)
            .map(|_| {
                fail(breaker, now);
                let until = breaker.metrics_at(now).next_probe_at.expect("open");
                let length = until.saturating_duration_since(now).as_secs();
                now = until;
                length
            })
            .collect()
    }

    fn growing(delays: steadfast_backoff::Config) -> Breaker {
        build(Config::new().consecutive_failures(1).close_after(1).growing_break(delays))
    }

    #[test]
    fn they_grow_as_a_backoff_does() {
        use steadfast_backoff::Config as Delays;
        assert_eq!(in_a_row(&build(ONE), 4), [10, 10, 10, 10]);
        assert_eq!(in_a_row(&growing(Delays::constant(secs(3))), 3), [3, 3, 3]);
        assert_eq!(in_a_row(&growing(Delays::linear(secs(3))), 4), [3, 6, 9, 12]);
        let exponential = Delays::exponential(secs(3)).cap(secs(20));
        assert_eq!(in_a_row(&growing(exponential), 5), [3, 6, 12, 20, 20]);
        let factor = Delays::exponential(secs(2)).factor(10.0);
        assert_eq!(in_a_row(&growing(factor), 3), [2, 20, 200]);
        assert_eq!(in_a_row(&growing(Delays::fibonacci(secs(1))), 6), [1, 1, 2, 3, 5, 8]);
    }

    #[test]
    fn the_number_of_retries_of_the_backoff_is_not_looked_at() {
        let delays = steadfast_backoff::Config::linear(secs(1)).max_retries(1).max_elapsed(secs(1));
        assert_eq!(in_a_row(&growing(delays), 5), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn jitter_is_drawn_anew_for_each_trip_and_by_the_seed() {
        let delays = steadfast_backoff::Config::constant(secs(1_000_000)).jitter(Jitter::Full);
        let config = Config::new().consecutive_failures(1).growing_break(delays);
        let breaks = |seed| {
            let breaker = config.build_seeded(ManualClock::new(), seed).expect("valid");
            in_a_row(&breaker, 5)
        };
        assert_eq!(breaks(7), breaks(7));
        assert_ne!(breaks(7), breaks(8));
        let drawn = breaks(7);
        assert!(drawn.windows(2).all(|pair| pair[0] != pair[1]), "{drawn:?}");
        assert!(drawn.iter().all(|&secs| secs <= 1_000_000));
        let seeds_itself = || {
            let breaker = config.build_with(ManualClock::new()).expect("valid");
            in_a_row(&breaker, 5)
        };
        assert_ne!(seeds_itself(), seeds_itself());
    }

    #[test]
    fn decorrelated_jitter_grows_from_the_break_before() {
        let delays = steadfast_backoff::Config::constant(secs(1)).jitter(Jitter::Decorrelated);
        let terms =
            Config::new().consecutive_failures(1).growing_break(delays).terms().expect("valid");
        let most = &mut || u64::MAX;
        let first = terms.break_duration(Trip { number: 0, previous: None }, most);
        let trip = Trip { number: 1, previous: Some(secs(100)) };
        assert_eq!((first, terms.break_duration(trip, most)), (secs(3), secs(300)));
    }

    #[test]
    fn they_begin_anew_after_a_healthy_close() {
        let breaker = growing(steadfast_backoff::Config::linear(secs(1)));
        assert_eq!(in_a_row(&breaker, 3), [1, 2, 3]);
        assert_eq!(breaker.metrics_at(s(7)).consecutive_trips, 3);
        succeed(&breaker, s(7));
        assert_eq!(breaker.metrics_at(s(7)).consecutive_trips, 0);
        fail(&breaker, s(7));
        assert_eq!(breaker.metrics_at(s(7)).next_probe_at, Some(s(8)));
    }

    #[test]
    fn with_reset_after_only_if_it_was_closed_for_so_long() {
        for (fails_at, until) in [(106, 110), (107, 108)] {
            let config = Config::new()
                .consecutive_failures(1)
                .close_after(1)
                .growing_break(steadfast_backoff::Config::linear(secs(1)))
                .reset_after(secs(100));
            let breaker = build(config);
            assert_eq!(in_a_row(&breaker, 3), [1, 2, 3]);
            succeed(&breaker, s(7));
            let after = if fails_at == 106 { NANOSECOND } else { Duration::ZERO };
            let now = s(107).saturating_sub(after);
            fail(&breaker, now);
            let next = breaker.metrics_at(now).next_probe_at;
            let expected = if until == 110 { 4 } else { 1 };
            assert_eq!(next, Some(now.saturating_add(secs(expected))));
        }
    }

    #[test]
    fn a_reset_and_a_force_begin_the_row_anew() {
        for force in [false, true] {
            let breaker = growing(steadfast_backoff::Config::linear(secs(1)));
            assert_eq!(in_a_row(&breaker, 3), [1, 2, 3]);
            if force {
                breaker.force_open_at(s(7));
                assert_eq!(breaker.metrics_at(s(7)).consecutive_trips, 0);
            }
            breaker.reset_at(s(7));
            fail(&breaker, s(7));
            assert_eq!(breaker.metrics_at(s(7)).next_probe_at, Some(s(8)));
            assert_eq!(breaker.metrics_at(s(7)).trips, 4, "all of them are still counted");
        }
    }

    #[test]
    fn a_failure_can_say_how_long() {
        let hint = |secs| Outcome::Failure { retry_after: Some(Duration::from_secs(secs)) };
        let breaker = build(ONE.consecutive_failures(2).max_hint(secs(60)));
        permit(&breaker, s(0)).report_at(hint(50), s(0));
        fail(&breaker, s(0));
        assert_eq!(breaker.metrics_at(s(0)).next_probe_at, Some(s(10)), "only if it opens it");
        permit(&breaker, s(10)).report_at(hint(42), s(10));
        assert_eq!(breaker.metrics_at(s(10)).next_probe_at, Some(s(52)));
        permit(&breaker, s(52)).report_at(hint(61), s(52));
        assert_eq!(breaker.metrics_at(s(52)).next_probe_at, Some(s(112)), "at most max_hint");
        permit(&breaker, s(112)).report_at(hint(3), s(112));
        assert_eq!(breaker.metrics_at(s(112)).next_probe_at, Some(s(115)), "shorter, too");
    }

    #[test]
    fn without_settings_a_hint_is_taken_up_to_10_minutes() {
        let breaker = build(ONE);
        let hint = Outcome::Failure { retry_after: Some(Duration::MAX) };
        permit(&breaker, s(0)).report_at(hint, s(0));
        assert_eq!(breaker.metrics_at(s(0)).next_probe_at, Some(s(600)));
    }

    #[test]
    fn a_hint_counts_as_the_break_before() {
        let trips = Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = Arc::clone(&trips);
        let breaker = build(ONE).break_by(move |trip| {
            log.lock().expect("not poisoned").push((trip.number, trip.previous));
            secs(1)
        });
        fail(&breaker, s(0));
        let hint = Outcome::Failure { retry_after: Some(secs(7)) };
        permit(&breaker, s(1)).report_at(hint, s(1));
        fail(&breaker, s(8));
        let seen = trips.lock().expect("not poisoned").clone();
        assert_eq!(seen, [(0, None), (2, Some(secs(7)))]);
    }

    #[test]
    fn a_closure_decides_instead_of_the_configuration_and_is_asked_only_for_a_trip() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let breaker = build(ONE.consecutive_failures(2)).break_by(move |trip| {
            count.fetch_add(1, Ordering::Relaxed);
            secs(100 + u64::from(trip.number))
        });
        fail(&breaker, s(0));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        fail(&breaker, s(0));
        assert_eq!(breaker.metrics_at(s(0)).next_probe_at, Some(s(100)));
        fail(&breaker, s(100));
        assert_eq!(breaker.metrics_at(s(100)).next_probe_at, Some(s(201)));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_closure_that_panics_leaves_the_breaker_as_it_is_and_the_next_failure_asks_again() {
        let calls = AtomicU32::new(0);
        let breaker = build(ONE.close_after(1)).break_by(move |_| {
            assert_ne!(calls.fetch_add(1, Ordering::Relaxed) % 2, 0, "every other time");
            secs(5)
        });
        let fails = |now| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fail(&breaker, now))).is_ok()
        };
        assert!(!fails(s(0)));
        assert_eq!(breaker.phase_at(s(0)), Phase::Closed);
        assert_eq!(breaker.metrics_at(s(0)).consecutive_failures, 1);
        assert!(fails(s(0)));
        assert_eq!(breaker.phase_at(s(0)), Phase::Open);
        // A probe's failure asks, too; its place is free again.
        assert!(!fails(s(5)));
        let metrics = breaker.metrics_at(s(5));
        assert_eq!((metrics.phase, metrics.probes_in_flight), (Phase::HalfOpen, 0));
        assert!(fails(s(5)));
        assert_eq!(breaker.phase_at(s(5)), Phase::Open);
    }

    #[test]
    fn a_closure_may_use_the_breaker() {
        static SHARED: std::sync::OnceLock<Breaker> = std::sync::OnceLock::new();
        let breaker = SHARED.get_or_init(|| {
            build(ONE).break_by(|_| {
                SHARED.get().expect("built").reset_at(s(1));
                secs(5)
            })
        });
        fail(breaker, s(0));
        assert_eq!(breaker.phase_at(s(0)), Phase::Closed, "the reset came first");
    }

    #[test]
    fn the_row_of_trips_is_counted_up_to_1_023() {
        let breaker = build(ONE).break_by(|trip| secs(u64::from(trip.number)));
        let mut now = s(1);
        for trip in 0..1_100_u32 {
            fail(&breaker, now);
            let metrics = breaker.metrics_at(now);
            assert_eq!(metrics.consecutive_trips, (trip + 1).min(1_023));
            assert_eq!(metrics.trips, u64::from(trip) + 1);
            now = now.saturating_add(secs(u64::from(trip.min(1_023))));
            assert_eq!(metrics.next_probe_at, Some(now));
        }
    }

    #[test]
    fn the_longest_breaks_do_not_overflow() {
        let breaker = build(ONE.max_hint(Duration::MAX)).break_by(|_| Duration::MAX);
        fail(&breaker, s(1));
        assert_eq!(breaker.metrics_at(s(1)).next_probe_at, Some(Instant::MAX));
        let hint = Outcome::Failure { retry_after: Some(Duration::MAX) };
        permit(&breaker, Instant::MAX).report_at(hint, s(1));
        assert_eq!(breaker.metrics_at(s(1)).next_probe_at, Some(Instant::MAX));
    }
}

mod clocks {
    use super::*;

    #[test]
    fn a_step_back_of_up_to_a_minute_prolongs_the_break_by_as_much() {
        let breaker = build(ONE);
        fail(&breaker, s(100));
        let back = s(100).saturating_sub(MAX_STEP_BACK);
        let refused = breaker.try_acquire_at(back).expect_err("open");
        assert_eq!(refused.retry_after(), Some(secs(70)));
        assert_eq!(breaker.metrics_at(back).life, 2);
    }

    #[test]
    fn a_longer_one_begins_the_break_again_when_somebody_asks() {
        let breaker = build(ONE);
        fail(&breaker, s(100));
        let mut changes = breaker.changes();
        let back = s(100).saturating_sub(MAX_STEP_BACK).saturating_sub(NANOSECOND);
        assert_eq!(breaker.phase_at(back), Phase::Open);
        assert_eq!(breaker.metrics_at(back).life, 2, "nobody has asked");
        let refused = breaker.try_acquire_at(back).expect_err("open");
        assert_eq!(refused.retry_after(), Some(secs(10)));
        let change = changes.try_next().expect("a change").change;
        let expected = Change {
            life: 3,
            at: back,
            from: Phase::Open,
            to: Phase::Open,
            reason: Reason::ClockSteppedBack,
        };
        assert_eq!(change, expected);
        assert!(
            breaker
                .try_acquire_at(back.saturating_add(secs(10)).saturating_sub(NANOSECOND))
                .is_err()
        );
        assert!(permit(&breaker, back.saturating_add(secs(10))).is_probe());
        assert_eq!(breaker.metrics_at(s(100)).trips, 1, "it is no trip");
    }

    #[test]
    fn a_longer_one_ends_leases_and_a_ramp_up() {
        let breaker = build(ONE.close_after(1).ramp_up(0.001, secs(1_000)));
        fail(&breaker, s(1_000));
        std::mem::forget(permit(&breaker, s(1_010)));
        assert!(breaker.try_acquire_at(s(1_010).saturating_sub(MAX_STEP_BACK)).is_err());
        let back = s(1_010).saturating_sub(MAX_STEP_BACK).saturating_sub(NANOSECOND);
        permit(&breaker, back).success_at(back);
        assert_eq!(breaker.phase_at(back), Phase::Closed);
        assert!(breaker.try_acquire_at(back).is_ok());
        assert!(breaker.try_acquire_at(back).is_err(), "one in a thousand");
        let back = back.saturating_sub(MAX_STEP_BACK);
        assert!(breaker.try_acquire_at(back).is_err(), "late is not back");
        let back = back.saturating_sub(NANOSECOND);
        assert!(breaker.try_acquire_at(back).is_ok());
        assert!(breaker.try_acquire_at(back).is_ok());
    }

    #[test]
    fn a_jump_ends_what_would_have_ended() {
        let breaker = build(ONE.close_after(1));
        fail(&breaker, s(0));
        std::mem::forget(permit(&breaker, s(YEAR)));
        succeed(&breaker, s(500 * YEAR));
        assert_eq!(breaker.phase_at(s(500 * YEAR)), Phase::Closed);
    }

    #[test]
    fn a_healthy_breaker_without_rules_of_time_reads_no_clock() {
        /// Panics when it is read.
        struct Unread;
        impl Clock for Unread {
            fn now(&self) -> Instant {
                panic!("the clock was read")
            }
        }
        let config = Config::new().consecutive_failures(2).failure_rate(0.5, Window::calls(9));
        let breaker = config.build_seeded(Unread, 0).expect("valid");
        for _ in 0..10 {
            breaker.try_acquire().expect("closed").success();
            breaker.try_acquire().expect("closed").ignore();
            drop(breaker.try_acquire().expect("closed"));
        }
        breaker.try_acquire().expect("closed").failure();
        breaker.try_acquire().expect("closed").success();
    }
}
