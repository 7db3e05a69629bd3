//! Metrics, changes, callbacks, names and what `Debug` shows, one claim a test.

#![cfg(all(feature = "std", not(loom)))]
#![expect(clippy::large_types_passed_by_value, reason = "a configuration is built once")]

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use futures::stream::StreamExt;
use steadfast_circuit_breaker::state::State;
use steadfast_circuit_breaker::{
    Change, Changes, CircuitBreaker, Config, Counted, Metrics, Name, Observed, Phase, Reason,
    Tally, TryAcquireError, Window,
};
use steadfast_core::{Instant, ManualClock};

type Breaker = CircuitBreaker<ManualClock>;

const fn s(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One failure opens it for 10 s, one success closes it.
const ONE: Config = Config::new().consecutive_failures(1).break_duration(secs(10)).close_after(1);

fn build(config: Config) -> Breaker {
    config.build_seeded(ManualClock::new(), 1).expect("a valid configuration")
}

fn fail(breaker: &Breaker, now: Instant) {
    breaker.try_acquire_at(now).expect("admitted").failure_at(now);
}

fn succeed(breaker: &Breaker, now: Instant) {
    breaker.try_acquire_at(now).expect("admitted").success_at(now);
}

fn read(changes: &mut Changes) -> Vec<Observed> {
    std::iter::from_fn(|| changes.try_next()).collect()
}

mod metrics {
    use super::*;

    #[test]
    fn of_a_new_breaker() {
        let expected = Metrics {
            phase: Phase::Closed,
            life: 1,
            since: None,
            age: None,
            next_probe_at: None,
            admitted_parts: 1_000_000_000,
            consecutive_failures: 0,
            failures_by_calls: None,
            failures_by_time: None,
            slow_by_calls: None,
            slow_by_time: None,
            probes_in_flight: 0,
            probes_succeeded: 0,
            probes_failed: 0,
            consecutive_trips: 0,
            trips: 0,
            counted: None,
        };
        assert_eq!(build(ONE).metrics_at(s(100)), expected);
    }

    #[test]
    fn of_one_that_is_open_and_half_open() {
        let breaker = build(ONE.probes(3).close_by_rate(0.9, 10));
        fail(&breaker, s(1));
        let open = breaker.metrics_at(s(4));
        assert_eq!((open.phase, open.life, open.admitted_parts), (Phase::Open, 2, 0));
        assert_eq!((open.since, open.age), (Some(s(1)), Some(secs(3))));
        assert_eq!(open.next_probe_at, Some(s(11)));
        succeed(&breaker, s(11));
        fail(&breaker, s(12));
        fail(&breaker, s(12));
        let _probes = [breaker.try_acquire_at(s(12)), breaker.try_acquire_at(s(12))];
        let half = breaker.metrics_at(s(12));
        assert_eq!((half.phase, half.life, half.admitted_parts), (Phase::HalfOpen, 3, 0));
        assert_eq!((half.probes_succeeded, half.probes_failed, half.probes_in_flight), (1, 2, 2));
        assert_eq!((half.next_probe_at, half.since), (None, Some(s(11))));
        assert_eq!((half.consecutive_trips, half.trips), (1, 1));
    }

    #[test]
    fn a_rate_is_a_share_of_the_calls_and_there_is_none_without_calls() {
        assert_eq!(Tally { calls: 8, bad: 2 }.rate(), Some(0.25));
        assert_eq!(Tally { calls: 8, bad: 8 }.rate(), Some(1.0));
        assert_eq!(Tally::default().rate(), None);
    }

    #[test]
    fn there_is_a_tally_for_each_rule_and_none_without() {
        let breaker = build(
            Config::new()
                .failure_rate(1.0, Window::calls(10))
                .slow_rate(1.0, Window::time(secs(10)))
                .slow_after(secs(1)),
        );
        breaker.try_acquire_at(s(1)).expect("closed").failure_at(s(2));
        succeed(&breaker, s(2));
        let metrics = breaker.metrics_at(s(2));
        let half = Some(Tally { calls: 2, bad: 1 });
        assert_eq!((metrics.failures_by_calls, metrics.failures_by_time), (half, None));
        assert_eq!((metrics.slow_by_calls, metrics.slow_by_time), (None, half));
        assert_eq!(metrics.consecutive_failures, 0, "there is no such rule");
    }

    #[test]
    fn calls_are_counted_if_asked_for() {
        let breaker = build(ONE.counted(true));
        succeed(&breaker, s(0));
        drop(breaker.try_acquire_at(s(0)));
        fail(&breaker, s(0));
        for _ in 0..5 {
            assert!(breaker.try_acquire_at(s(1)).is_err());
        }
        let counted = Counted { permitted: 3, rejected: 5 };
        assert_eq!(breaker.metrics_at(s(1)).counted, Some(counted));
        breaker.reset_at(s(1));
        assert_eq!(breaker.metrics_at(s(1)).counted, Some(counted), "for the breaker's life");
        assert_eq!(build(ONE.counted(false)).metrics_at(s(1)).counted, None);
    }

    #[test]
    fn under_threads_all_is_of_one_life() {
        let breaker = build(ONE.failure_rate(1.0, Window::calls(100).minimum(100)));
        let (breaker, stop) = (&breaker, &AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..3_000 {
                    succeed(breaker, s(i * 20));
                    fail(breaker, s(i * 20));
                    succeed(breaker, s(i * 20 + 10));
                }
                stop.store(true, Ordering::Relaxed);
            });
            while !stop.load(Ordering::Relaxed) {
                let seen = breaker.metrics_at(Instant::ZERO);
                let phase =
                    [Phase::Closed, Phase::Open, Phase::HalfOpen][(seen.life as usize - 1) % 3];
                assert_eq!(seen.phase, phase, "{seen:?}");
                assert!(seen.probes_in_flight <= 1, "{seen:?}");
                assert!(phase == Phase::Open || seen.next_probe_at.is_none(), "{seen:?}");
                assert!(phase != Phase::Open || seen.consecutive_trips == 1, "{seen:?}");
            }
        });
    }
}

mod changes {
    use super::*;
    use Phase::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Open};

    #[test]
    fn each_comes_once_in_order_with_time_and_reason() {
        let breaker = build(ONE.name("quotes"));
        let mut changes = breaker.changes();
        assert_eq!(changes.try_next(), None);
        fail(&breaker, s(1));
        fail(&breaker, s(11));
        succeed(&breaker, s(21));
        breaker.force_open_at(s(22));
        breaker.force_closed_at(s(23));
        breaker.reset_at(s(24));
        let expected = [
            (2, s(1), Closed, Open, Reason::ConsecutiveFailures),
            (3, s(11), Open, HalfOpen, Reason::BreakOver),
            (4, s(11), HalfOpen, Open, Reason::ProbesFailed),
            (5, s(21), Open, HalfOpen, Reason::BreakOver),
            (6, s(21), HalfOpen, Closed, Reason::ProbesSucceeded),
            (7, s(22), Closed, ForcedOpen, Reason::Forced),
            (8, s(23), ForcedOpen, ForcedClosed, Reason::Forced),
            (9, s(24), ForcedClosed, Closed, Reason::Reset),
        ];
        let expected = expected.map(|(life, at, from, to, reason)| Observed {
            change: Change { life, at, from, to, reason },
            missed: 0,
            name: Some("quotes"),
        });
        assert_eq!(read(&mut changes), expected);
        assert_eq!(changes.try_next(), None);
    }

    #[test]
    fn from_the_subscription_on() {
        let breaker = build(ONE);
        breaker.force_open();
        let mut first = breaker.changes();
        breaker.reset();
        let mut second = breaker.changes();
        breaker.force_open();
        let lives = |changes: &mut Changes| -> Vec<_> {
            read(changes).iter().map(|seen| seen.change.life).collect()
        };
        assert_eq!(lives(&mut first), [3, 4]);
        assert_eq!(lives(&mut second), [4]);
    }

    #[test]
    fn a_slow_reader_learns_how_many_it_missed() {
        for (made, missed) in [(64, 0), (65, 1), (200, 136)] {
            let breaker = build(ONE);
            let mut changes = breaker.changes();
            for _ in 0..made {
                breaker.reset();
            }
            let seen = read(&mut changes);
            assert_eq!((seen.len(), seen[0].missed), (64, missed));
            assert_eq!(u64::from(seen[0].change.life), missed + 2);
            assert!(seen[1..].iter().all(|seen| seen.missed == 0));
            breaker.reset();
            assert_eq!(changes.try_next().map(|seen| seen.missed), Some(0));
        }
    }

    #[test]
    fn they_end_with_the_breaker_after_the_last() {
        let breaker = build(ONE);
        let mut blocking = breaker.changes().into_iter();
        let stream = breaker.changes();
        breaker.force_open();
        drop(breaker);
        assert!(blocking.next().is_some());
        assert_eq!(blocking.next(), None);
        assert_eq!(block_on(StreamExt::count(stream)), 1);
    }

    #[test]
    fn a_thread_that_reads_is_woken() {
        let breaker = build(ONE);
        let changes = breaker.changes();
        thread::scope(|scope| {
            let reader = scope.spawn(move || changes.into_iter().next());
            breaker.force_open();
            let seen = reader.join().expect("no panic").expect("a change");
            assert_eq!(seen.change.to, ForcedOpen);
        });
    }

    #[test]
    fn a_task_that_reads_is_woken_and_a_pending_read_loses_nothing() {
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let breaker = build(ONE);
        let mut changes = breaker.changes();
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        assert!(changes.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
        {
            let mut dropped = pin!(StreamExt::next(&mut changes));
            let polled = dropped.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        assert!(!flag.0.load(Ordering::SeqCst));
        breaker.force_open();
        assert!(flag.0.load(Ordering::SeqCst));
        let seen = changes.poll_next_unpin(&mut Context::from_waker(&waker));
        let Poll::Ready(Some(seen)) = seen else { panic!("{seen:?}") };
        assert_eq!(seen.change.to, ForcedOpen);
        assert!(changes.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    }

    #[test]
    fn of_many_threads_they_come_in_order() {
        let breaker = build(ONE);
        let changes = breaker.changes();
        let lives = thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut missed = 0;
                let mut lives = Vec::new();
                for seen in changes {
                    missed += seen.missed;
                    lives.push(seen.change.life);
                }
                (lives, missed)
            });
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            breaker.reset();
                        }
                    });
                }
            });
            drop(breaker);
            reader.join().expect("no panic")
        });
        let (lives, missed) = lives;
        assert!(lives.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(lives.len() as u64 + missed, 2_000);
    }

    #[test]
    fn debug_shows_the_next_number() {
        assert_eq!(
            format!("{:?}", build(ONE).changes()),
            "Changes { reader: Reader { next: 2, .. }, .. }"
        );
    }
}

mod callbacks {
    use super::*;

    #[test]
    fn one_is_told_every_change() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        let breaker = build(ONE)
            .on_change(|_| panic!("it was replaced"))
            .on_change(move |change| seen.lock().expect("not poisoned").push(change));
        let mut changes = breaker.changes();
        fail(&breaker, s(0));
        fail(&breaker, s(10));
        succeed(&breaker, s(20));
        breaker.force_open();
        breaker.reset();
        let expected: Vec<_> = read(&mut changes).iter().map(|seen| seen.change).collect();
        assert_eq!(*log.lock().expect("not poisoned"), expected);
        assert_eq!(expected.len(), 7);
    }

    #[test]
    fn one_may_use_the_breaker() {
        static BREAKER: OnceLock<Breaker> = OnceLock::new();
        let breaker = BREAKER.get_or_init(|| {
            build(ONE).on_change(|change| {
                let breaker = BREAKER.get().expect("built");
                if change.to == Phase::Open {
                    breaker.reset();
                    succeed(breaker, s(0));
                    let _changes = (breaker.changes(), breaker.metrics(), breaker.stats());
                }
            })
        });
        fail(breaker, s(0));
        assert_eq!((breaker.phase(), breaker.metrics().life), (Phase::Closed, 3));
    }

    #[test]
    fn one_that_panics_leaves_the_change_made_and_no_probe_behind() {
        let told = AtomicU32::new(0);
        let breaker = build(ONE).on_change(move |change| {
            assert!(told.fetch_add(1, Ordering::Relaxed) >= 2, "told of {change:?}");
        });
        let panics = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).is_err();
        assert!(panics(&|| fail(&breaker, s(0))));
        assert_eq!(breaker.phase_at(s(0)), Phase::Open);
        breaker.clock().set_now(s(10));
        assert!(panics(&|| drop(breaker.try_acquire())));
        let metrics = breaker.metrics();
        assert_eq!((metrics.life, metrics.probes_in_flight), (3, 0));
        breaker.try_acquire().expect("its place is free").success();
        assert_eq!(breaker.phase(), Phase::Closed);
    }

    #[test]
    fn one_that_panics_keeps_no_change_from_those_who_read() {
        let told = AtomicU32::new(0);
        let breaker = build(ONE).break_by(|_| Duration::ZERO).on_change(move |change| {
            assert_ne!(told.fetch_add(1, Ordering::Relaxed), 1, "told of {change:?}");
        });
        let mut changes = breaker.changes();
        fail(&breaker, s(100));
        // The break begins again, and is over: two changes, made by a wait.
        breaker.clock().set_now(s(1));
        let acquire = || breaker.acquire().wait().map(drop);
        assert!(catch_unwind(AssertUnwindSafe(acquire)).is_err());
        let reasons: Vec<_> = read(&mut changes).iter().map(|seen| seen.change.reason).collect();
        let expected = [Reason::ConsecutiveFailures, Reason::ClockSteppedBack, Reason::BreakOver];
        assert_eq!(reasons, expected);
        assert_eq!(breaker.metrics().probes_in_flight, 0);
    }
}

mod names {
    use super::*;

    #[test]
    fn errors_show_it() {
        let breaker = build(ONE.name("quotes"));
        assert_eq!(breaker.name(), Some("quotes"));
        fail(&breaker, s(0));
        let refused = |now| breaker.try_acquire_at(now).expect_err("refused");
        let open = TryAcquireError::Open { retry_at: s(10), now: s(3), name: Name(Some("quotes")) };
        assert_eq!(refused(s(3)), open);
        assert_eq!(refused(s(3)).to_string(), "circuit breaker `quotes` is open: retry in 7s");
        let _probe = breaker.try_acquire_at(s(10)).expect("half-open");
        let full = "circuit breaker `quotes` is half-open, and all probes are in flight";
        assert_eq!(refused(s(10)).to_string(), full);
        assert_eq!(refused(s(10)).retry_after(), None);
        breaker.force_open();
        assert_eq!(refused(s(10)).to_string(), "circuit breaker `quotes` is forced open");
    }

    #[test]
    fn without_one_errors_do_without() {
        let breaker = build(ONE);
        assert_eq!(breaker.name(), None);
        breaker.force_open();
        let refused = breaker.try_acquire().expect_err("isolated");
        assert_eq!(refused.to_string(), "circuit breaker is forced open");
    }

    #[test]
    fn whole_seconds_are_rounded_up_and_at_least_one() {
        let refused = |now| TryAcquireError::Open { retry_at: s(10), now, name: Name(None) };
        let secs = |now: Instant| refused(now).retry_after_secs_ceil();
        let nanosecond = Duration::from_nanos(1);
        assert_eq!(secs(s(3)), Some(7));
        assert_eq!(secs(s(3).saturating_sub(nanosecond)), Some(8));
        assert_eq!(secs(s(10).saturating_sub(nanosecond)), Some(1));
        assert_eq!(secs(s(10)), Some(1));
        assert_eq!(refused(s(11)).retry_after(), Some(Duration::ZERO));
    }

    #[test]
    fn debug_shows_what_it_looks_like() {
        let breaker = build(ONE.name("quotes"));
        fail(&breaker, s(0));
        let text = format!("{breaker:?}");
        for part in ["CircuitBreaker", "Some(\"quotes\")", "phase: Open", "trips: 1", "life: 2"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let state = State::new(*breaker.terms(), [const { Cell::new(0) }; 2]).expect("fits");
        assert_eq!(format!("{state:?}"), "State { phase: Closed, life: 1, .. }");
        let _effects = state.force(true, s(0));
        assert_eq!(format!("{state:?}"), "State { phase: ForcedOpen, life: 2, .. }");
        assert_eq!(state.life(), 2);
    }
}
