//! What the shared backoff says of itself, each claim as the name of a test.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::error::Error;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use steadfast_backoff::state::{Decision, Pass, Phase, State, Terms, Wake};
use steadfast_backoff::{
    Acquire, AcquireError, Attempt, Backoff, BackoffConfig, Config, ConfigError, Jitter, Owner,
    Policy, Random, TryAcquireError,
};
use steadfast_core::{Clock, Instant, ManualClock};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

/// 1 s after the first failure, 2 s after the second, and so on for ever.
fn doubling() -> Policy {
    Config::exponential(secs(1)).unlimited().build().unwrap()
}

fn shared(config: BackoffConfig) -> (Arc<Backoff<ManualClock>>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
}

mod machine {
    use super::*;

    /// The machine with its terms, on a clock of the test's.
    #[derive(Clone, Copy)]
    struct One {
        terms: Terms<steadfast_backoff::Curve>,
        state: State,
    }

    impl One {
        fn new(policy: Policy, max_in_flight: u32) -> Self {
            let terms = Terms { policy, max_in_flight, reset_after: Duration::ZERO };
            Self { terms, state: State::default() }
        }

        fn reset_after(mut self, healthy: Duration) -> Self {
            self.terms.reset_after = healthy;
            self
        }

        fn begin(&mut self, now: u64) -> Decision {
            self.state.begin(&self.terms, at(now))
        }

        #[track_caller]
        fn begun(&mut self, now: u64) -> Pass {
            match self.begin(now) {
                Decision::Granted(pass) => pass,
                refusal => panic!("{refusal:?}"),
            }
        }

        fn success(&mut self, pass: Pass, now: u64) -> Wake {
            self.state.success(&self.terms, pass, at(now))
        }

        fn failure(&mut self, pass: Pass, now: u64) -> Wake {
            self.state.failure(&self.terms, pass, at(now), &mut || 0)
        }

        /// An attempt that fails at once.
        #[track_caller]
        fn fail(&mut self, now: u64) {
            let pass = self.begun(now);
            let _wake = self.failure(pass, now);
        }

        fn number(&self, now: u64) -> u32 {
            self.state.number_at(&self.terms, at(now))
        }
    }

    #[test]
    fn begin_when_stopped_is_stopped_for_ever() {
        let mut one = One::new(doubling(), 1);
        let pass = one.begun(0);
        assert_eq!(one.state.stop(), Wake::All);
        assert_eq!(one.begin(0), Decision::Stopped);
        let _wakes = [one.success(pass, 1), one.state.reset()];
        assert_eq!(one.begin(9), Decision::Stopped);
        assert_eq!(one.state.never(&one.terms), Some(Decision::Stopped));
        assert!(one.state.is_stopped());
    }

    #[test]
    fn begin_after_all_retries_is_exhausted() {
        for most in [0, 1, 4] {
            let policy = Config::constant(secs(1)).max_retries(most).build().unwrap();
            let mut one = One::new(policy, 1);
            for number in 0..=most {
                assert_eq!(one.state.never(&one.terms), None);
                let pass = one.begun(u64::from(number));
                assert_eq!(pass.number(), number);
                let last = if number == most { Wake::All } else { Wake::First };
                assert_eq!(one.failure(pass, u64::from(number)), last);
            }
            let exhausted = Decision::Exhausted { failures: most + 1 };
            assert_eq!(one.begin(u64::from(most)), exhausted);
            assert_eq!(one.begin(1_000_000), exhausted);
            assert_eq!(one.state.never(&one.terms), Some(exhausted));
            assert_eq!(one.state.reset(), Wake::First);
            assert_eq!(one.begun(0).number(), 0, "a reset is the way back");
        }
    }

    #[test]
    fn begin_is_exhausted_if_the_next_attempt_would_come_too_late() {
        // Delays of 1, 2, 4 s: the third would come 7 s after the first failure.
        for (most, failures) in [(1, 1), (3, 2), (4, 3), (7, 3), (8, 4)] {
            let policy = Config::exponential(secs(1)).unlimited().max_elapsed(secs(most));
            let mut one = One::new(policy.build().unwrap(), 1);
            let mut now = 100;
            for _ in 0..failures {
                one.fail(now);
                now = one.state.next_at().as_nanos() / 1_000_000_000;
            }
            assert_eq!(one.begin(now), Decision::Exhausted { failures }, "{most} s");
        }
    }

    #[test]
    fn begin_when_healthy_is_granted_without_limit() {
        let mut one = One::new(doubling(), 1);
        let pass = one.begun(0);
        assert_eq!(one.success(pass, 3), Wake::All);
        assert_eq!(one.state.phase(), Phase::Healthy { since: at(3) });
        for _ in 0..1_000 {
            assert_eq!(one.begun(3).number(), 0);
        }
        assert_eq!(one.state.in_flight(), 0, "they are not counted");
        assert!(matches!(one.state.look(&one.terms, u64::MAX, at(0)), Decision::Granted(_)));
    }

    #[test]
    fn begin_with_p_in_flight_is_busy() {
        for places in [1, 2, 4] {
            let mut one = One::new(doubling(), places);
            let passes: Vec<_> = (0..places).map(|_| one.begun(0)).collect();
            assert_eq!(one.begin(0), Decision::Busy);
            assert_eq!(one.state.in_flight(), places);
            assert_eq!(one.state.give_back(passes[0]), Wake::First);
            assert_eq!(one.begun(0).number(), 0);
        }
    }

    #[test]
    fn begin_during_the_delay_says_when_it_is_over() {
        let mut one = One::new(doubling(), 1);
        one.fail(10);
        assert_eq!(one.begin(10), Decision::NotYet { at: at(11) });
        for ahead in [1, u64::MAX] {
            let seen = one.state.look(&one.terms, ahead, at(10));
            assert_eq!(seen, Decision::NotYet { at: at(11) }, "however many are ahead");
            assert_eq!(one.state.look(&one.terms, ahead, at(11)), Decision::Busy);
        }
        assert_eq!(one.state.next_at(), at(11));
        assert_eq!(one.begun(11).number(), 1);
    }

    #[test]
    fn a_refusal_writes_nothing() {
        let policy = Config::constant(secs(1)).max_retries(1).build().unwrap();
        let mut one = One::new(policy, 1);
        let refused = |one: &mut One, now| {
            let before = one.state;
            assert!(!matches!(one.begin(now), Decision::Granted(_)));
            assert_eq!(one.state, before);
        };
        let pass = one.begun(5);
        refused(&mut one, 5);
        let _wake = one.failure(pass, 5);
        refused(&mut one, 5);
        one.fail(6);
        refused(&mut one, 6);
        let _wake = one.state.stop();
        refused(&mut one, 6);
    }

    #[test]
    fn a_success_begins_again_at_once_or_once_it_has_held() {
        for (reset_after, failed_at, number) in
            [(0, 100, 1), (60, 159, 4), (60, 160, 1), (60, 99, 4), (u64::MAX >> 30, 9_999_999, 4)]
        {
            let mut one = One::new(doubling(), 1).reset_after(secs(reset_after));
            for now in [10, 20, 30] {
                one.fail(now);
            }
            let pass = one.begun(100);
            assert_eq!(pass.number(), 3);
            let _wake = one.success(pass, 100);
            let pass = one.begun(failed_at);
            assert_eq!(one.failure(pass, failed_at), Wake::First);
            assert_eq!(one.number(failed_at), number, "{reset_after} s, {failed_at}");
            let delay = secs(1 << (number - 1));
            assert_eq!(one.state.next_at(), at(failed_at).saturating_add(delay));
            assert_eq!(one.state.phase(), Phase::BackingOff);
        }
    }

    #[test]
    fn a_connection_that_fails_once_an_hour_never_climbs() {
        let policy = Config::exponential(secs(1)).max_retries(2).max_elapsed(secs(50));
        let mut one = One::new(policy.build().unwrap(), 1).reset_after(secs(60));
        for hour in 1..100 {
            let now = hour * 3_600;
            one.fail(now);
            assert_eq!(one.state.next_at(), at(now + 1));
            let pass = one.begun(now + 1);
            assert_eq!(pass.number(), 1);
            let _wake = one.success(pass, now + 1);
            assert_eq!((one.number(now + 60), one.number(now + 61)), (1, 0));
        }
    }

    #[test]
    fn a_connection_that_is_dropped_as_soon_as_it_is_made_is_exhausted_in_the_end() {
        let policy = Config::exponential(secs(1)).max_retries(2).build().unwrap();
        let mut one = One::new(policy, 1).reset_after(secs(60));
        let mut now = 0;
        for failures in 1..=3 {
            let pass = one.begun(now);
            let _wake = one.success(pass, now);
            let pass = one.begun(now);
            let wake = one.failure(pass, now);
            assert_eq!(wake, if failures == 3 { Wake::All } else { Wake::First });
            now += 10;
        }
        assert_eq!(one.begin(now), Decision::Exhausted { failures: 3 });
    }

    #[test]
    fn max_elapsed_counts_from_the_first_failure_in_a_row() {
        let policy = Config::constant(secs(1)).unlimited().max_elapsed(secs(10)).build().unwrap();
        let mut one = One::new(policy, 1);
        one.fail(0);
        let pass = one.begun(500);
        let _wake = one.success(pass, 500);
        one.fail(1_000);
        one.fail(1_008);
        assert_eq!(one.begin(1_008), Decision::NotYet { at: at(1_009) });
        one.fail(1_009);
        assert_eq!(one.begin(1_010), Decision::Exhausted { failures: 3 });
    }

    #[test]
    fn failures_of_attempts_of_one_number_escalate_once() {
        let mut one = One::new(doubling(), 3);
        let [a, b, c] = [one.begun(5), one.begun(5), one.begun(5)];
        assert_eq!(one.failure(a, 5), Wake::First);
        let escalated = one.state;
        assert_eq!(one.failure(b, 6), Wake::First, "there is a place");
        assert_eq!((one.number(6), one.state.next_at()), (1, at(6)));
        assert_eq!(one.state.in_flight(), escalated.in_flight() - 1);
        let d = one.begun(6);
        let _wakes = [one.failure(d, 6), one.failure(c, 7)];
        assert_eq!((one.number(7), one.state.next_at(), one.state.in_flight()), (2, at(8), 0));
    }

    #[test]
    fn a_success_of_an_older_number_is_one() {
        let mut one = One::new(doubling(), 2);
        let (a, b) = (one.begun(0), one.begun(0));
        let _wake = one.failure(a, 0);
        assert_eq!(one.success(b, 0), Wake::All);
        assert_eq!(one.begun(0).number(), 0);
    }

    #[test]
    fn a_report_of_an_earlier_life_changes_nothing() {
        let ends: [fn(&mut One, Pass); 3] = [
            |one, pass| {
                let _wake = one.success(pass, 3);
            },
            |one, _| {
                let _wake = one.state.reset();
            },
            |one, pass| {
                let _wake = one.success(pass, 3);
                one.fail(3);
            },
        ];
        for end in ends {
            let mut one = One::new(doubling(), 2);
            let (pass, late) = (one.begun(2), one.begun(2));
            end(&mut one, pass);
            // Somebody of this life is in flight, and must not be taken for the late one.
            let _pass = one.begun(4);
            let before = one.state;
            let wakes = [one.success(late, 5), one.failure(late, 5), one.state.give_back(late)];
            assert_eq!(wakes, [Wake::Nobody; 3]);
            assert_eq!(one.state, before);
        }
    }

    #[test]
    fn a_failure_of_something_healthy_makes_the_others_of_its_life_late() {
        let mut one = One::new(doubling(), 1);
        let pass = one.begun(0);
        let _wake = one.success(pass, 0);
        let many: Vec<_> = (0..100).map(|_| one.begun(1)).collect();
        assert_eq!(one.failure(many[0], 1), Wake::First);
        let before = one.state;
        for pass in &many[1..] {
            assert_eq!(one.failure(*pass, 2), Wake::Nobody);
        }
        assert_eq!((one.state, one.number(2)), (before, 1));
    }

    #[test]
    fn an_attempt_that_is_given_back_changes_nothing() {
        let mut one = One::new(doubling(), 1);
        one.fail(0);
        let before = one.state;
        let pass = one.begun(1);
        assert_eq!(one.state.give_back(pass), Wake::First);
        assert_eq!(one.state, before);
        assert_eq!(one.begun(1).number(), 1);
    }

    #[test]
    fn a_second_report_cannot_break_the_count() {
        let mut one = One::new(doubling(), 1);
        let pass = one.begun(0);
        let _wake = one.failure(pass, 0);
        let before = one.state;
        let wakes = [one.failure(pass, 0), one.state.give_back(pass), one.success(pass, 0)];
        assert_eq!((wakes, one.state), ([Wake::Nobody; 3], before));
        // Nor one on what was looked at and never begun.
        let mut one = One::new(doubling(), 1);
        let Decision::Granted(seen) = one.state.look(&one.terms, 0, at(0)) else { panic!() };
        let wakes = [one.failure(seen, 0), one.state.give_back(seen), one.success(seen, 0)];
        assert_eq!((wakes, one.state), ([Wake::Nobody; 3], State::new()));
        // Nor terms that shrink.
        let mut one = One::new(doubling(), 2);
        let _passes = [one.begun(0), one.begun(0)];
        one.terms.max_in_flight = 1;
        assert_eq!(one.state.look(&one.terms, 0, at(0)), Decision::Busy);
    }

    #[test]
    fn a_reset_forgets_everything_but_a_stop() {
        let mut one = One::new(doubling(), 1);
        one.fail(0);
        let _pass = one.begun(1);
        assert_eq!(one.state.reset(), Wake::First);
        assert_eq!((one.state.phase(), one.state.in_flight()), (Phase::Unproven, 0));
        assert_eq!((one.number(1), one.state.next_at()), (0, Instant::ZERO));
        assert_eq!(one.begun(1).number(), 0);
    }

    #[test]
    fn a_jitter_that_depends_on_the_delay_before_sees_it_and_forgets_it_when_all_begins_again() {
        let policy = Config::constant(secs(1)).jitter(Jitter::Decorrelated).unlimited();
        let mut one = One::new(policy.build().unwrap(), 1);
        let longest = |one: &mut One, now| {
            let pass = one.begun(now);
            let _wake = one.state.failure(&one.terms, pass, at(now), &mut || u64::MAX);
            one.state.next_at().saturating_duration_since(at(now))
        };
        let delays = [0, 10, 100].map(|now| longest(&mut one, now));
        assert_eq!(delays, [3, 9, 27].map(secs));
        let pass = one.begun(1_000);
        let _wake = one.success(pass, 1_000);
        assert_eq!(longest(&mut one, 1_001), secs(3));
    }

    #[test]
    fn a_failure_in_two_steps_is_one() {
        let mut one = One::new(doubling(), 1);
        one.fail(0);
        let pass = one.begun(1);
        let mut twin = one;
        let next = one.state.escalation(&one.terms, pass, at(1)).unwrap();
        let delay = next.delay(&one.terms.policy, &mut || 0);
        let wake = one.state.failure_with(&one.terms, pass, at(1), delay);
        assert_eq!((wake, twin.failure(pass, 1)), (Wake::First, Wake::First));
        assert_eq!(one.state, twin.state);
        assert_eq!(one.state.escalation(&one.terms, pass, at(1)), None);
    }

    mod clocks {
        use super::*;

        #[test]
        fn a_clock_that_has_stepped_back_makes_the_delay_begin_again_once() {
            let mut one = One::new(doubling(), 1);
            one.fail(1_000_000);
            assert_eq!(one.begin(5), Decision::NotYet { at: at(6) });
            assert_eq!(one.begin(5), Decision::NotYet { at: at(6) });
            assert_eq!(one.begin(3), Decision::NotYet { at: at(4) }, "and further");
            assert_eq!(one.begun(4).number(), 1);
        }

        #[test]
        fn whoever_is_late_with_the_time_it_saw_shortens_nothing() {
            let mut one = One::new(doubling(), 1);
            one.fail(1_000);
            // Held up for 999 s between looking at the clock and asking.
            assert_eq!(one.begin(1), Decision::NotYet { at: at(2) });
            assert_eq!(one.begin(1_000), Decision::NotYet { at: at(1_001) });
            assert_eq!(one.begin(1), Decision::NotYet { at: at(2) });
            assert_eq!(one.begun(1_001).number(), 1);
        }

        #[test]
        fn a_step_back_does_not_put_off_the_end_of_max_elapsed() {
            let policy = Config::constant(secs(1)).unlimited().max_elapsed(secs(5));
            let mut one = One::new(policy.build().unwrap(), 1);
            one.fail(1_000_000);
            // Exhausted 5 s after the step at the latest, and a delay.
            for now in 1..=6 {
                if let Decision::Granted(pass) = one.begin(now) {
                    let _wake = one.failure(pass, now);
                }
            }
            assert!(matches!(one.begin(7), Decision::Exhausted { .. }));
        }

        #[test]
        fn a_clock_that_stands_still_or_jumps_ahead_wedges_nothing() {
            let mut one = One::new(doubling(), 1);
            one.fail(1);
            assert_eq!(one.begin(1), Decision::NotYet { at: at(2) });
            assert_eq!(one.begin(1), Decision::NotYet { at: at(2) });
            let pass = match one.state.begin(&one.terms, Instant::MAX) {
                Decision::Granted(pass) => pass,
                refusal => panic!("{refusal:?}"),
            };
            let _wake = one.state.failure(&one.terms, pass, Instant::MAX, &mut || 0);
            assert_eq!(one.state.next_at(), Instant::MAX);
            // Back from the end of time.
            assert_eq!(one.begin(1), Decision::NotYet { at: at(3) });
            assert_eq!(one.begun(3).number(), 2);
        }
    }
}

mod sharing {
    use super::*;

    #[test]
    fn attempts_are_numbered_by_the_failures_in_a_row() {
        let (backoff, clock) = shared(BackoffConfig::new(doubling()));
        for number in 0..5 {
            clock.set_now(backoff.next_at());
            assert_eq!(backoff.number(), number);
            let attempt = backoff.try_acquire().unwrap();
            assert_eq!(attempt.number(), number);
            attempt.failure();
        }
        clock.set_now(backoff.next_at());
        backoff.try_acquire().unwrap().success();
        assert_eq!(backoff.number(), 0);
    }

    #[test]
    fn a_connection_that_breaks_at_once_is_backed_off_and_one_that_held_begins_anew() {
        let config = BackoffConfig::new(doubling()).reset_after(secs(60));
        let (backoff, clock) = shared(config);
        for delay in [1, 2] {
            backoff.try_acquire().unwrap().success();
            // All who lose it say so, and count once.
            for _ in 0..3 {
                backoff.broken();
            }
            assert_eq!(backoff.next_at(), clock.now().saturating_add(secs(delay)));
            clock.advance(secs(delay));
        }
        backoff.try_acquire().unwrap().success();
        clock.advance(secs(60));
        backoff.broken();
        assert_eq!((backoff.number(), backoff.next_at()), (1, clock.now().saturating_add(secs(1))));
    }

    #[test]
    fn what_is_not_known_to_work_cannot_break() {
        let (backoff, clock) = shared(BackoffConfig::new(doubling()));
        backoff.broken();
        let attempt = backoff.try_acquire().unwrap();
        backoff.broken();
        assert_eq!((attempt.number(), backoff.number()), (0, 0));
        attempt.failure();
        backoff.broken();
        clock.advance(secs(1));
        assert_eq!(backoff.try_acquire().unwrap().number(), 1);
    }

    #[test]
    fn number_and_next_instant_can_be_read() {
        let config = BackoffConfig::new(doubling()).reset_after(secs(60));
        let (backoff, clock) = shared(config);
        clock.set_now(at(5));
        backoff.try_acquire().unwrap().failure();
        assert_eq!((backoff.number(), backoff.next_at()), (1, at(6)));
        backoff.try_acquire_at(at(6)).unwrap().success_at(at(7));
        assert_eq!((backoff.number_at(at(66)), backoff.number_at(at(67))), (1, 0));
        assert!(!backoff.is_stopped());
        backoff.stop();
        assert!(backoff.is_stopped() && backoff.snapshot().is_stopped());
        assert_eq!(backoff.clock().now(), at(5));
    }

    #[test]
    fn each_refusal_has_its_error() {
        let policy = Config::constant(secs(1)).max_retries(1).build().unwrap();
        let (backoff, _clock) = shared(BackoffConfig::new(policy));
        let refusal = |now| backoff.try_acquire_at(now).unwrap_err();
        let attempt = backoff.try_acquire_at(at(0)).unwrap();
        assert_eq!(refusal(at(0)), TryAcquireError::Busy);
        attempt.failure_at(at(2));
        let not_yet = TryAcquireError::NotYet { retry_at: at(3), now: at(2) };
        assert_eq!((refusal(at(2)), not_yet.retry_after()), (not_yet, Some(secs(1))));
        backoff.try_acquire_at(at(3)).unwrap().failure_at(at(3));
        assert_eq!(refusal(at(9)), TryAcquireError::Exhausted { failures: 2 });
        backoff.stop();
        assert_eq!(refusal(at(9)), TryAcquireError::Stopped);
        assert_eq!(TryAcquireError::Busy.retry_after(), None);
    }

    #[test]
    fn errors_say_what_happened() {
        let says = |error: &dyn Error| error.to_string();
        let not_yet = TryAcquireError::NotYet { retry_at: at(3), now: at(2) };
        assert_eq!(says(&not_yet), "backing off: retry in 1s");
        assert_eq!(says(&TryAcquireError::Busy), "another attempt is in flight");
        let exhausted = "exhausted after 2 failures in a row";
        assert_eq!(says(&TryAcquireError::Exhausted { failures: 2 }), exhausted);
        assert_eq!(says(&AcquireError::Exhausted { failures: 2 }), exhausted);
        assert_eq!(says(&TryAcquireError::Stopped), "stopped");
        assert_eq!(says(&AcquireError::Stopped), "stopped");
        assert_eq!(says(&AcquireError::TimedOut { ready_at: at(1) }), "not served in time");
        assert_eq!(says(&AcquireError::LineFull { max_waiters: 7 }), "7 requests wait already");
    }

    #[test]
    fn nobody_in_flight_is_refused_when_it_is_built() {
        let built = BackoffConfig::new(doubling()).max_in_flight(0).build();
        let error = built.unwrap_err();
        assert_eq!(error, ConfigError::ZeroInFlight);
        assert_eq!(error.to_string(), "0 attempts in flight: give at least 1");
        let seeded = BackoffConfig::new(doubling()).max_in_flight(0);
        let seeded = seeded.build_seeded(ManualClock::new(), Random::from_seed(1));
        assert_eq!(seeded.unwrap_err(), ConfigError::ZeroInFlight);
        assert!(BackoffConfig::new(doubling()).max_in_flight(u32::MAX).build().is_ok());
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let policy = Config::exponential(secs(1)).jitter(Jitter::Full).unlimited().build().unwrap();
        let delays = |seed| {
            let clock = ManualClock::new();
            let config = BackoffConfig::new(policy);
            let backoff = config.build_seeded(clock.clone(), Random::from_seed(seed)).unwrap();
            std::iter::repeat_with(|| {
                clock.set_now(backoff.next_at());
                backoff.try_acquire().unwrap().failure();
                backoff.next_at().saturating_duration_since(clock.now())
            })
            .take(10)
            .collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
        assert!(delays(7).iter().zip(0..).all(|(delay, n)| *delay <= secs(1 << n)));
    }

    #[test]
    fn a_panic_while_an_attempt_is_held_gives_it_back() {
        let (backoff, _clock) = shared(BackoffConfig::new(doubling()));
        let held = AssertUnwindSafe(&backoff);
        let panics = move || {
            let _attempt = held.try_acquire().unwrap();
            panic!("the connection fell apart, as intended");
        };
        assert!(catch_unwind(panics).is_err());
        assert_eq!(backoff.snapshot(), State::new());
        assert_eq!(backoff.try_acquire().unwrap().number(), 0);
    }

    #[test]
    fn a_clock_that_panics_as_it_is_asked_when_it_failed_gives_the_attempt_back() {
        struct Broken;
        impl Clock for Broken {
            fn now(&self) -> Instant {
                panic!("a broken clock, as intended")
            }
        }
        let backoff = BackoffConfig::new(doubling()).build_with(Broken).unwrap();
        for report in [Attempt::success, Attempt::failure] {
            let attempt = backoff.try_acquire_at(at(0)).unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| report(attempt))).is_err());
            assert_eq!(backoff.snapshot(), State::new());
        }
    }

    #[test]
    fn an_attempt_by_arc_goes_where_it_is_needed() {
        async fn connect(
            backoff: &Arc<Backoff<ManualClock>>,
        ) -> Result<Attempt<Arc<Backoff<ManualClock>>>, Box<dyn Error + Send + Sync>> {
            let attempt = Acquire::new(Arc::clone(backoff), ()).await?;
            tokio::task::yield_now().await;
            drop(attempt);
            let attempt = Attempt::try_new(Arc::clone(backoff))?;
            tokio::task::yield_now().await;
            Ok(attempt)
        }
        let (backoff, _clock) = shared(BackoffConfig::new(doubling()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let same = Arc::clone(&backoff);
        let attempt = runtime.spawn(async move { connect(&same).await }).into_inner(&runtime);
        attempt.success();
        assert!(matches!(backoff.snapshot().phase(), Phase::Healthy { .. }));
    }

    trait IntoInner<T> {
        fn into_inner(self, runtime: &tokio::runtime::Runtime) -> T;
    }

    impl<T, E: Debug> IntoInner<T> for tokio::task::JoinHandle<Result<T, E>> {
        fn into_inner(self, runtime: &tokio::runtime::Runtime) -> T {
            runtime.block_on(self).unwrap().unwrap()
        }
    }

    #[test]
    fn everything_can_be_sent_and_shared() {
        fn check<T: Send + Sync + 'static>() {}
        fn check_errors<T: Error + Copy + Eq + Send + Sync + 'static>() {}
        check::<Backoff>();
        check::<BackoffConfig>();
        check::<Attempt<Arc<Backoff>>>();
        check::<Attempt<&'static Backoff>>();
        check::<Acquire<Arc<Backoff>>>();
        check::<State>();
        check_errors::<TryAcquireError>();
        check_errors::<AcquireError>();
    }

    #[test]
    fn an_owner_of_somebody_elses_is_reported_to() {
        let (backoff, _clock) = shared(BackoffConfig::new(doubling()));
        let owner: &Backoff<ManualClock> = &backoff;
        assert_eq!(Owner::now(owner), at(0));
        let Decision::Granted(pass) = owner.begin_at(at(0)) else { panic!() };
        owner.failure_at(pass, at(1));
        // Once.
        owner.failure_at(pass, at(1));
        owner.success_at(pass, at(1));
        Owner::give_back(owner, pass);
        assert_eq!((backoff.number(), backoff.next_at()), (1, at(2)));
        assert_eq!(backoff.snapshot().in_flight(), 0);
    }

    #[test]
    fn debug_shows_decoded_state() {
        let (backoff, _clock) = shared(BackoffConfig::new(doubling()));
        backoff.try_acquire_at(at(1)).unwrap().failure_at(at(1));
        let shown = format!("{backoff:?}");
        for part in ["max_in_flight: 1", "BackingOff", "number: 1", "failed_at: 1s", "delay: 1s"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let attempt = backoff.try_acquire_at(at(2)).unwrap();
        assert_eq!(format!("{attempt:?}"), "Attempt { number: 1, .. }");
    }

    #[test]
    fn a_backoff_on_the_systems_clock_needs_a_policy_alone() {
        let backoff = Backoff::new(doubling());
        backoff.try_acquire().unwrap().failure();
        let refusal = backoff.try_acquire().unwrap_err();
        assert!(refusal.retry_after().is_some_and(|after| after <= secs(1)));
    }
}
