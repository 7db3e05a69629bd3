//! What waiting for a permit promises, W1 to W8 of `steadfast_core::wait`, on the shared breaker; and
//! what whoever follows its changes is told.
//!
//! Most of it is single-threaded and deterministic: time is moved by hand, and wakers count.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]
#![expect(
    clippy::large_types_passed_by_value,
    clippy::needless_for_each,
    clippy::semicolon_if_nothing_returned,
    reason = "scaffolding of tests"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::Stream;
use steadfast_circuit_breaker::{
    Acquire, AcquireError, Change, Changes, CircuitBreaker, Config, Counted, Name, Observed,
    Outcome, Permit, Phase, Reason, TryAcquireError, Window,
};
use steadfast_core::{Clock, Instant, ManualClock, SystemClock};
use steadfast_test_support::clocks::ring;
use steadfast_test_support::task::{Task, Wakes, granted, on_wake, refused};
use steadfast_test_support::watch::watched;

type Breaker = CircuitBreaker<ManualClock>;
type Held = Permit<Arc<Breaker>>;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Trips on the first failure, stays open for 100 ms, and takes nine successes to close.
fn brittle() -> Config {
    Config::new().consecutive_failures(1).break_duration(ms(100)).close_after(9)
}

fn shared(config: Config) -> (Arc<Breaker>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
}

fn permit(breaker: &Arc<Breaker>) -> Held {
    Permit::try_new(Arc::clone(breaker)).unwrap()
}

/// Open since now.
fn open(config: Config) -> (Arc<Breaker>, ManualClock) {
    let (breaker, clock) = shared(config);
    permit(&breaker).failure();
    (breaker, clock)
}

/// Half-open since now, 100 ms, with one probe in flight.
fn half_open(config: Config) -> (Arc<Breaker>, ManualClock, Held) {
    let (breaker, clock) = open(config);
    clock.advance(ms(100));
    let probe = permit(&breaker);
    assert!(probe.is_probe());
    (breaker, clock, probe)
}

#[track_caller]
fn assert_nobody_waits(breaker: &Breaker) {
    assert_eq!(breaker.stats().waiting, 0);
    // The mark goes with the last who waited: newcomers are let through again.
    if breaker.metrics().probes_in_flight == 0 && breaker.phase() == Phase::HalfOpen {
        drop(breaker.try_acquire().unwrap());
    }
}

fn unpolled(breaker: &Arc<Breaker>) -> Task<Acquire<Arc<Breaker>>> {
    Task::of(Acquire::new(Arc::clone(breaker), ()))
}

/// Polled, and found pending.
#[track_caller]
fn joined(breaker: &Arc<Breaker>) -> Task<Acquire<Arc<Breaker>>> {
    unpolled(breaker).pending()
}

fn timed_out(ready_at: Instant) -> AcquireError {
    AcquireError::TimedOut { ready_at, name: Name(None) }
}

mod the_break {
    use super::*;

    #[test]
    fn the_end_of_the_break_is_waited_for_and_not_a_moment_less() {
        let (breaker, clock) = open(brittle());
        let mut task = joined(&breaker);
        clock.set_now(at(100).saturating_sub(Duration::from_nanos(1)));
        assert!(task.poll().is_pending());
        ring(&clock, at(100));
        assert!(task.granted().is_probe());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn while_it_is_closed_nobody_waits() {
        let (breaker, _clock) = shared(brittle());
        let held: Vec<_> = (0..100).map(|_| granted(unpolled(&breaker).poll())).collect();
        assert!(!held.iter().any(Permit::is_probe));
        assert_eq!(breaker.stats().waited, 0);
    }

    #[test]
    fn a_probe_that_fails_makes_the_line_wait_for_the_next_break() {
        let (breaker, clock, probe) = half_open(brittle());
        let mut task = joined(&breaker);
        probe.failure();
        assert!(task.run().is_pending());
        ring(&clock, at(200));
        assert!(task.granted().is_probe());
        assert_eq!(breaker.metrics().trips, 2);
    }

    #[test]
    fn a_failure_that_opens_it_again_has_its_hint_respected() {
        let (breaker, clock, probe) = half_open(brittle());
        let mut task = joined(&breaker);
        probe.report(Outcome::Failure { retry_after: Some(ms(1_000)) });
        assert!(task.run().is_pending());
        ring(&clock, at(1_100));
        drop(task.granted());
    }

    #[test]
    fn a_clock_that_steps_back_makes_the_break_begin_again_for_those_in_line_too() {
        for by_waiting in [false, true] {
            let (breaker, clock) = shared(brittle());
            clock.set_now(at(1_000_000_000));
            permit(&breaker).failure();
            let mut head = joined(&breaker);
            clock.set_now(at(5));
            // Nobody's alarm rings at a time that is to come again in eleven days; whoever asks tells.
            if by_waiting {
                let hasty = Acquire::new(Arc::clone(&breaker), ()).timeout(ms(1));
                assert_eq!(refused(Task::of(hasty).poll()), timed_out(at(105)));
            } else {
                let refused = breaker.try_acquire().unwrap_err();
                assert_eq!(refused.retry_after(), Some(ms(100)));
            }
            assert!(head.run().is_pending());
            ring(&clock, at(105));
            assert!(head.granted().is_probe());
            assert_nobody_waits(&breaker);
        }
    }
}

mod order {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let (breaker, clock) = open(brittle());
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&breaker)).collect();
        ring(&clock, at(100));
        for first in 0..5 {
            // Asked in the wrong order.
            for later in (first + 1..5).rev() {
                assert!(tasks[later].poll().is_pending());
            }
            drop(tasks[first].granted());
        }
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_newcomer_does_not_overtake_who_waits() {
        let (breaker, clock) = open(brittle());
        let mut head = joined(&breaker);
        clock.advance(ms(200));
        let full = TryAcquireError::HalfOpenFull { name: Name(None) };
        assert_eq!(breaker.try_acquire().unwrap_err(), full);
        let mut later = joined(&breaker);
        drop(head.granted());
        assert_eq!(breaker.try_acquire().unwrap_err(), full);
        drop(later.granted());
        assert!(breaker.try_acquire().is_ok());
    }

    #[test]
    fn with_three_places_three_go_and_the_fourth_when_one_is_back() {
        let (breaker, clock) = open(brittle().probes(3));
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&breaker)).collect();
        ring(&clock, at(100));
        let mut held = vec![tasks[0].granted()];
        assert_eq!([1, 2, 3, 4].map(|i| tasks[i].wakes()), [1, 1, 0, 0], "as many as can go");
        held.extend([tasks[2].granted(), tasks[1].granted()]);
        assert_eq!(breaker.metrics().probes_in_flight, 3);
        assert!(tasks[3].run().is_pending() && tasks[4].run().is_pending());
        held.pop().unwrap().success();
        held.push(tasks[3].granted());
        assert_eq!(tasks[4].wakes(), 0);
        drop(held);
        drop(tasks[4].granted());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn threads_and_tasks_stand_in_one_line() {
        watched(|| {
            let (breaker, clock, probe) = half_open(brittle());
            let mut first = joined(&breaker);
            let second = thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || Acquire::new(breaker, ()).wait()
            });
            while breaker.stats().waiting < 2 {
                thread::yield_now();
            }
            let mut third = joined(&breaker);
            drop(probe);
            assert!(third.poll().is_pending());
            drop(first.granted());
            let probe = second.join().unwrap().unwrap();
            assert!(third.poll().is_pending(), "one in flight");
            probe.failure();
            assert!(third.run().is_pending());
            ring(&clock, at(200));
            drop(third.granted());
        });
    }

    #[test]
    fn it_counts_who_waited_and_for_how_long() {
        let (breaker, clock, probe) = half_open(brittle());
        let (mut one, two) = (joined(&breaker), joined(&breaker));
        assert_eq!(breaker.stats().waiting, 2);
        clock.advance(ms(50));
        drop(probe);
        drop(one.granted());
        drop(two);
        let stats = breaker.stats();
        assert_eq!((stats.waiting, stats.waited, stats.longest_wait), (0, 1, ms(50)));
    }

    #[test]
    fn a_wait_is_counted_once_however_often_it_looks() {
        let (breaker, clock) = shared(brittle().counted(true));
        granted(unpolled(&breaker).poll()).failure();
        let mut served = joined(&breaker);
        let wait = Acquire::new(Arc::clone(&breaker), ());
        assert_eq!(refused(Task::of(wait.timeout(ms(9))).poll()), timed_out(at(100)));
        let dropped = joined(&breaker);
        assert!(served.poll().is_pending());
        drop(dropped);
        assert!(breaker.try_acquire().is_err());
        ring(&clock, at(100));
        drop(served.granted());
        let counted = breaker.metrics().counted;
        assert_eq!(counted, Some(Counted { permitted: 2, rejected: 2 }));
    }
}

mod events {
    use super::*;

    #[test]
    fn a_probe_that_is_dropped_ignored_or_succeeds_passes_its_place_on_at_once() {
        for report in [drop, Permit::ignore, Permit::success] as [fn(Held); 3] {
            let (breaker, _clock, probe) = half_open(brittle());
            let (mut next, after) = (joined(&breaker), joined(&breaker));
            report(probe);
            assert_eq!((next.wakes(), after.wakes()), (1, 0));
            assert!(next.granted().is_probe());
        }
    }

    #[test]
    fn the_place_of_a_lost_probe_is_had_at_its_timeout_without_any_event() {
        let (breaker, clock, lost) = half_open(brittle().probe_timeout(ms(500)));
        let (mut next, mut after) = (joined(&breaker), joined(&breaker));
        clock.set_now(at(599));
        assert!(next.poll().is_pending());
        ring(&clock, at(600));
        let probe = next.granted();
        lost.failure();
        assert_eq!(breaker.metrics().trips, 1, "it is ignored");
        assert!(after.run().is_pending());
        assert_eq!(breaker.metrics().probes_in_flight, 1);
        probe.success();
        drop(after.granted());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn the_probes_that_are_lost_are_replaced_one_by_one() {
        let (breaker, clock, _lost) = half_open(brittle().probes(2).probe_timeout(ms(500)));
        clock.advance(ms(50));
        let _also_lost = permit(&breaker);
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&breaker)).collect();
        ring(&clock, at(600));
        let _lost_by_a_waiter = tasks[0].granted();
        assert!(tasks[1].run().is_pending());
        ring(&clock, at(650));
        let _lost_by_the_next = tasks[1].granted();
        // That of the first who waited.
        ring(&clock, at(1_100));
        drop(tasks[2].granted());
    }

    #[test]
    fn closing_releases_all() {
        for backwards in [false, true] {
            let (breaker, _clock, probe) = half_open(brittle().close_after(1));
            let mut tasks: Vec<_> = (0..1_000).map(|_| joined(&breaker)).collect();
            probe.success();
            if backwards {
                tasks.reverse();
            }
            let mut held = 0;
            while held < 1_000 {
                let before = held;
                for task in &mut tasks {
                    if let Poll::Ready(permit) = task.run() {
                        assert!(!permit.unwrap().is_probe());
                        held += 1;
                    }
                }
                assert!(held > before, "somebody is stuck");
            }
            assert!(tasks.iter().all(|task| task.polls() <= 3));
            assert_nobody_waits(&breaker);
        }
    }

    #[test]
    fn who_is_forced_open_waits_for_the_reset() {
        let (breaker, clock) = shared(brittle());
        breaker.force_open();
        let mut tasks: Vec<_> = (0..10).map(|_| joined(&breaker)).collect();
        assert_eq!(clock.next_alarm(), None);
        clock.advance(Duration::from_secs(1_000_000));
        assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
        breaker.reset();
        tasks.iter_mut().for_each(|task| task.granted().success());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn who_is_forced_open_while_others_wait_keeps_them_until_it_is_closed() {
        for force_closed in [false, true] {
            let (breaker, clock) = open(brittle());
            let mut task = joined(&breaker);
            breaker.force_open();
            clock.advance(ms(200));
            assert!(task.run().is_pending());
            assert_eq!(clock.next_alarm(), None, "only a reset can tell");
            if force_closed {
                breaker.force_closed()
            } else {
                breaker.reset()
            }
            assert!(!task.granted().is_probe());
        }
    }

    #[test]
    fn ramping_up_lets_those_who_wait_through_one_step_at_a_time() {
        let config = brittle().close_after(1).ramp_up(0.1, Duration::from_secs(10));
        let (breaker, clock, probe) = half_open(config);
        let mut tasks: Vec<_> = (0..4).map(|_| joined(&breaker)).collect();
        probe.success();
        // A hundredth of the ramp apart, from the moment at which it closed.
        for (task, due) in tasks.iter_mut().zip([100, 200, 300, 400]) {
            if due > 100 {
                ring(&clock, at(due));
            }
            assert!(!task.granted().is_probe());
        }
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn the_end_of_the_ramp_lets_everybody_through() {
        let config = brittle().close_after(1).ramp_up(0.1, Duration::from_secs(10));
        let (breaker, clock, probe) = half_open(config);
        let mut tasks: Vec<_> = (0..40).map(|_| joined(&breaker)).collect();
        probe.success();
        drop(tasks[0].granted());
        clock.advance(Duration::from_secs(10));
        while breaker.stats().waiting > 0 {
            let served = tasks.iter_mut().filter_map(|task| match task.run() {
                Poll::Ready(permit) => Some(permit.unwrap()),
                Poll::Pending => None,
            });
            assert!(served.count() > 0, "somebody is stuck");
        }
        assert_eq!(breaker.metrics().admitted_parts, 1_000_000_000);
    }

    #[test]
    fn a_wait_that_is_dropped_waiting_or_woken_passes_its_turn_on() {
        for woken in [false, true] {
            let (breaker, _clock, probe) = half_open(brittle());
            let (head, mut next) = (joined(&breaker), joined(&breaker));
            if woken {
                drop(probe);
                assert_eq!((head.wakes(), next.wakes()), (1, 0));
                drop(head);
            } else {
                drop(head);
                drop(probe);
            }
            drop(next.granted());
            assert_nobody_waits(&breaker);
        }
    }

    #[test]
    fn when_all_are_dropped_nothing_is_left() {
        let (breaker, clock) = open(brittle());
        let tasks: Vec<_> = (0..9).map(|_| joined(&breaker)).collect();
        drop(tasks);
        assert_eq!(clock.next_alarm(), None);
        clock.advance(ms(100));
        assert!(breaker.try_acquire().is_ok());
    }
}

mod limits {
    use super::*;

    #[test]
    fn a_deadline_before_the_end_of_the_break_fails_at_once() {
        let (breaker, clock) = open(brittle().name("quotes"));
        let wait = || Acquire::new(Arc::clone(&breaker), ());
        let missed = AcquireError::TimedOut { ready_at: at(100), name: Name(Some("quotes")) };
        assert_eq!(refused(Task::of(wait().timeout(ms(99))).poll()), missed);
        assert_eq!(refused(Task::of(wait().deadline(at(99))).poll()), missed);
        assert_eq!(missed.to_string(), "circuit breaker `quotes` did not let it through in time");
        drop(Task::of(wait().timeout(ms(100))).pending());
        clock.advance(ms(100));
        drop(granted(Task::of(wait().timeout(ms(0))).poll()));
    }

    #[test]
    fn a_deadline_while_a_probe_is_in_flight_comes_when_it_comes() {
        let (breaker, clock, probe) = half_open(brittle());
        let mut head = joined(&breaker);
        let wait = Acquire::new(Arc::clone(&breaker), ()).timeout(ms(50));
        let mut task = Task::of(wait).pending();
        assert_eq!(clock.next_alarm(), Some(at(150)));
        clock.advance(ms(50));
        assert_eq!(refused(task.run()), timed_out(at(150)));
        drop(probe);
        drop(head.granted());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_deadline_behind_more_than_there_are_probes_comes_when_it_comes() {
        let (breaker, clock) = open(brittle());
        let mut head = joined(&breaker);
        let wait = || Acquire::new(Arc::clone(&breaker), ());
        assert_eq!(refused(Task::of(wait().timeout(ms(99))).poll()), timed_out(at(100)));
        // The first may report at any time after the break.
        let mut task = Task::of(wait().timeout(ms(150))).pending();
        ring(&clock, at(100));
        let probe = head.granted();
        clock.set_now(at(150));
        assert_eq!(refused(task.run()), timed_out(at(150)));
        drop(probe);
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_deadline_that_a_failure_makes_impossible_ends_the_wait_when_it_comes() {
        let (breaker, clock, probe) = half_open(brittle());
        let mut task = Task::of(Acquire::new(Arc::clone(&breaker), ()).timeout(ms(50))).pending();
        probe.failure();
        assert!(task.run().is_pending());
        clock.set_now(clock.next_alarm().unwrap());
        assert_eq!(refused(task.run()), timed_out(at(200)));
        assert_eq!(clock.now(), at(150));
    }

    #[test]
    fn a_full_line_refuses_at_once() {
        let (breaker, _clock) = open(brittle().max_waiters(2).name("quotes"));
        let _line = [joined(&breaker), joined(&breaker)];
        let refusal = refused(unpolled(&breaker).poll());
        let name = Name(Some("quotes"));
        assert_eq!(refusal, AcquireError::LineFull { max_waiters: 2, name });
        assert_eq!(refusal.to_string(), "circuit breaker `quotes`: 2 requests wait already");
    }

    #[test]
    fn with_no_room_to_wait_only_what_is_there_is_given() {
        let (breaker, clock) = open(brittle().max_waiters(0));
        let full = AcquireError::LineFull { max_waiters: 0, name: Name(None) };
        assert_eq!(refused(unpolled(&breaker).poll()), full);
        clock.advance(ms(100));
        let probe = granted(unpolled(&breaker).poll());
        assert_eq!(refused(unpolled(&breaker).poll()), full);
        drop(probe);
        assert_nobody_waits(&breaker);
    }
}

mod foreign_code {
    use super::*;

    /// One whose callback is `f`, and is given the breaker.
    fn telling(
        config: Config,
        f: impl Fn(&Arc<Breaker>, Change) + Send + Sync + 'static,
    ) -> (Arc<Breaker>, ManualClock) {
        let clock = ManualClock::new();
        let slot = Arc::new(OnceLock::<std::sync::Weak<Breaker>>::new());
        let known = Arc::clone(&slot);
        let breaker = config.build_with(clock.clone()).unwrap().on_change(move |change| {
            f(&known.get().unwrap().upgrade().unwrap(), change);
        });
        let breaker = Arc::new(breaker);
        slot.set(Arc::downgrade(&breaker)).unwrap();
        (breaker, clock)
    }

    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        let reports: [fn(&Breaker, Held); 4] = [
            |_, probe| probe.success(),
            |_, probe| probe.failure(),
            |_, probe| drop(probe),
            |breaker, _| breaker.reset(),
        ];
        for (event, report) in reports.into_iter().enumerate() {
            let (breaker, clock, probe) = half_open(brittle());
            let mut broken = unpolled(&breaker);
            assert!(
                broken.poll_with(&on_wake(|| panic!("a broken waker, as intended"))).is_pending()
            );
            let mut next = joined(&breaker);
            report(&breaker, probe);
            if event == 1 {
                assert!(next.run().is_pending());
                ring(&clock, at(200));
            }
            drop(next.granted());
            assert_nobody_waits(&breaker);
        }
    }

    #[test]
    fn a_waker_may_use_the_breaker() {
        let (breaker, _clock, probe) = half_open(brittle());
        let mut task = unpolled(&breaker);
        let inner = Arc::clone(&breaker);
        let uses = on_wake(move || {
            assert!(inner.try_acquire().is_err(), "it does not overtake");
            let _shown = format!("{:?}", inner.metrics());
            inner.reset();
        });
        assert!(task.poll_with(&uses).is_pending());
        drop(probe);
        assert!(!granted(task.poll()).is_probe());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_callback_may_use_the_breaker() {
        watched(|| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&told);
            let (breaker, clock) = telling(brittle().probes(2), move |breaker, change| {
                log.lock().unwrap().push((change.life, change.to));
                let _shown = format!("{breaker:?}");
                match change.to {
                    Phase::Open => assert!(breaker.try_acquire().is_err()),
                    // There is another place for a probe.
                    Phase::HalfOpen => {
                        let other = breaker.acquire().timeout(ms(1)).wait().unwrap();
                        assert!(other.is_probe() && breaker.metrics().probes_in_flight == 2);
                        other.success();
                    }
                    Phase::ForcedOpen => breaker.reset(),
                    Phase::Closed | Phase::ForcedClosed => {
                        breaker.acquire().wait().unwrap().success();
                    }
                }
            });
            permit(&breaker).failure();
            let mut task = joined(&breaker);
            ring(&clock, at(100));
            // The change is made by somebody who waits.
            let probe = task.granted();
            assert_eq!(breaker.metrics().probes_succeeded, 1);
            probe.failure();
            clock.advance(ms(100));
            // By a newcomer, and by somebody who does not wait long.
            drop(permit(&breaker));
            breaker.force_open();
            assert_eq!(breaker.phase(), Phase::Closed);
            let expected = [
                (2, Phase::Open),
                (3, Phase::HalfOpen),
                (4, Phase::Open),
                (5, Phase::HalfOpen),
                (6, Phase::ForcedOpen),
                (7, Phase::Closed),
            ];
            assert_eq!(*told.lock().unwrap(), expected);
        });
    }

    #[test]
    fn a_callback_may_use_the_breaker_when_a_thread_that_waits_makes_the_change() {
        watched(|| {
            let (breaker, clock) = telling(brittle().probes(2), |breaker, change| {
                if change.to == Phase::HalfOpen {
                    breaker.acquire().wait().unwrap().ignore();
                    breaker.reset();
                }
            });
            permit(&breaker).failure();
            let waiter = thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || Acquire::new(breaker, ()).wait().unwrap().is_probe()
            });
            while breaker.stats().waiting == 0 {
                thread::yield_now();
            }
            clock.advance(ms(200));
            assert!(waiter.join().unwrap());
            assert_eq!((breaker.phase(), breaker.metrics().life), (Phase::Closed, 4));
            assert_nobody_waits(&breaker);
        });
    }

    /// Panics when it is told of a change to this phase.
    fn panicking(at: Phase, config: Config) -> (Arc<Breaker>, ManualClock) {
        telling(config, move |_, change| {
            assert!(change.to != at, "a broken callback, as intended");
        })
    }

    fn panics(f: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(f)).is_err()
    }

    #[test]
    fn a_callback_that_panics_as_it_trips_leaves_it_open() {
        let (breaker, clock) = panicking(Phase::Open, brittle());
        let mut changes = breaker.changes();
        let held = permit(&breaker);
        assert!(panics(|| held.failure()));
        assert_eq!((breaker.phase(), breaker.metrics().trips), (Phase::Open, 1));
        assert_eq!(changes.try_next().map(|seen| seen.change.to), Some(Phase::Open));
        clock.advance(ms(100));
        drop(permit(&breaker));
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_callback_that_panics_as_it_begins_to_probe_loses_no_place() {
        // For a newcomer, for one who has waited, and for an acquire that did not have to.
        for kind in 0..3 {
            let (breaker, clock) = panicking(Phase::HalfOpen, brittle());
            permit(&breaker).failure();
            let mut task = (kind == 1).then(|| joined(&breaker));
            let next = task.is_some().then(|| joined(&breaker));
            clock.advance(ms(200));
            assert!(panics(|| match &mut task {
                None if kind == 0 => drop(permit(&breaker)),
                None => drop(granted(unpolled(&breaker).poll())),
                Some(task) => drop(task.granted()),
            }));
            drop(task);
            assert_eq!(breaker.metrics().probes_in_flight, 0);
            if let Some(mut next) = next {
                drop(next.granted());
            }
            assert_nobody_waits(&breaker);
        }
    }

    #[test]
    fn a_callback_that_panics_as_it_closes_leaves_it_closed_and_releases_all() {
        let (breaker, clock) = panicking(Phase::Closed, brittle().close_after(1));
        permit(&breaker).failure();
        clock.advance(ms(100));
        let probe = permit(&breaker);
        let mut tasks = [joined(&breaker), joined(&breaker)];
        assert!(panics(|| probe.success()));
        tasks.iter_mut().for_each(|task| drop(task.granted()));
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_callback_that_panics_in_a_wait_that_fails_leaves_the_line_as_it_is() {
        // The clock steps back, which is noticed by somebody whose time is up.
        let (breaker, clock) = shared(brittle());
        drop(breaker);
        let (breaker, clock) = {
            clock.set_now(at(1_000_000));
            let broken = AtomicBool::new(false);
            let config = brittle();
            let (breaker, clock) = telling(config, move |_, change| {
                let again = change.reason == Reason::ClockSteppedBack;
                assert!(!again || broken.swap(true, Ordering::SeqCst), "as intended");
            });
            clock.set_now(at(1_000_000));
            (breaker, clock)
        };
        permit(&breaker).failure();
        let wait = Acquire::new(Arc::clone(&breaker), ()).deadline(at(1_000_100));
        let mut head = Task::of(wait).pending();
        let mut next = joined(&breaker);
        // Its deadline is moved to the past of a clock that has stepped back.
        head = head.with(|wait| wait.deadline(at(3)));
        clock.set_now(at(5));
        assert!(panics(|| drop(head.poll())));
        drop(head);
        assert_eq!(breaker.stats().waiting, 1);
        assert!(next.run().is_pending());
        ring(&clock, at(105));
        drop(next.granted());
        assert_nobody_waits(&breaker);
    }

    #[test]
    fn a_break_by_that_panics_leaves_it_as_it_is() {
        let broken = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&broken);
        let clock = ManualClock::new();
        let breaker = brittle().build_with(clock.clone()).unwrap().break_by(move |trip| {
            assert!(!flag.load(Ordering::SeqCst), "a broken break, as intended");
            ms(100) * (trip.number + 1)
        });
        let breaker = Arc::new(breaker);
        let held = permit(&breaker);
        assert!(panics(|| held.failure()));
        let seen = breaker.metrics();
        assert_eq!((seen.phase, seen.life, seen.consecutive_failures), (Phase::Closed, 1, 1));
        broken.store(false, Ordering::SeqCst);
        permit(&breaker).failure();
        clock.advance(ms(100));
        // Of a probe: its place is free, and those in line are told.
        let probe = permit(&breaker);
        let mut task = joined(&breaker);
        broken.store(true, Ordering::SeqCst);
        assert!(panics(|| probe.failure()));
        let seen = breaker.metrics();
        assert_eq!((seen.phase, seen.probes_in_flight), (Phase::HalfOpen, 0));
        broken.store(false, Ordering::SeqCst);
        task.granted().failure();
        assert_eq!(breaker.metrics().next_probe_at, Some(at(300)));
    }

    #[test]
    fn a_break_by_may_use_the_breaker() {
        watched(|| {
            let slot = Arc::new(OnceLock::<std::sync::Weak<Breaker>>::new());
            let known = Arc::clone(&slot);
            let breaker = brittle().build_with(ManualClock::new()).unwrap().break_by(move |_| {
                let breaker = known.get().unwrap().upgrade().unwrap();
                assert_eq!(breaker.phase(), Phase::Closed);
                breaker.try_acquire().unwrap().success();
                // Another life begins: the failure is of an earlier one then.
                breaker.reset();
                ms(100)
            });
            let breaker = Arc::new(breaker);
            slot.set(Arc::downgrade(&breaker)).unwrap();
            permit(&breaker).failure();
            assert_eq!((breaker.phase(), breaker.metrics().life), (Phase::Closed, 2));
        });
    }
}

mod changes {
    use super::*;

    use futures::StreamExt;

    type Seen = (u32, Instant, Phase, Phase, Reason);

    fn seen(change: Change) -> Seen {
        (change.life, change.at, change.from, change.to, change.reason)
    }

    fn read(changes: &mut Changes) -> Vec<Seen> {
        std::iter::from_fn(|| changes.try_next()).map(|found| seen(found.change)).collect()
    }

    /// Through all phases, and what is to be seen of it.
    fn tour(breaker: &Arc<Breaker>, clock: &ManualClock) -> Vec<Seen> {
        use Phase::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Open};
        permit(breaker).failure();
        clock.advance(ms(150));
        permit(breaker).failure();
        clock.advance(ms(100));
        permit(breaker).success();
        permit(breaker).success();
        breaker.force_open();
        clock.advance(ms(50));
        breaker.force_closed();
        breaker.reset();
        vec![
            (2, at(0), Closed, Open, Reason::ConsecutiveFailures),
            (3, at(150), Open, HalfOpen, Reason::BreakOver),
            (4, at(150), HalfOpen, Open, Reason::ProbesFailed),
            (5, at(250), Open, HalfOpen, Reason::BreakOver),
            (6, at(250), HalfOpen, Closed, Reason::ProbesSucceeded),
            (7, at(250), Closed, ForcedOpen, Reason::Forced),
            (8, at(300), ForcedOpen, ForcedClosed, Reason::Forced),
            (9, at(300), ForcedClosed, Closed, Reason::Reset),
        ]
    }

    #[test]
    fn each_is_seen_once_in_order_with_time_and_reason_by_every_reader() {
        let (breaker, clock) = shared(brittle().close_after(2).name("quotes"));
        let (mut one, mut two) = (breaker.changes(), breaker.changes());
        let expected = tour(&breaker, &clock);
        let mut late = breaker.changes();
        assert_eq!(read(&mut one), expected);
        let first = two.try_next().unwrap();
        assert_eq!((first.missed, first.name), (0, Some("quotes")));
        assert_eq!(read(&mut two), expected[1..]);
        assert_eq!(read(&mut late), [], "from the moment at which it began");
        breaker.reset();
        assert!([one, two, late].into_iter().all(|mut reader| read(&mut reader).len() == 1));
    }

    #[test]
    fn a_thread_and_a_task_see_them_as_they_come_and_the_end() {
        watched(|| {
            let (breaker, clock) = shared(brittle().close_after(2));
            let (blocking, stream) = (breaker.changes(), breaker.changes());
            let thread = thread::spawn(move || {
                blocking.into_iter().map(|found| seen(found.change)).collect::<Vec<_>>()
            });
            let task = thread::spawn(move || {
                let seen = |found: Observed| seen(found.change);
                futures::executor::block_on(StreamExt::collect(StreamExt::map(stream, seen)))
            });
            let expected = tour(&breaker, &clock);
            drop(breaker);
            assert_eq!(thread.join().unwrap(), expected);
            let streamed: Vec<_> = task.join().unwrap();
            assert_eq!(streamed, expected);
        });
    }

    #[test]
    fn who_is_slow_is_told_how_many_he_missed() {
        let (breaker, _clock) = shared(brittle());
        let mut changes = breaker.changes();
        for resets in [64, 65, 200] {
            (0..resets).for_each(|_| breaker.reset());
            let first = changes.try_next().unwrap();
            assert_eq!(first.missed, resets - 64);
            assert!((0..63).all(|_| changes.try_next().unwrap().missed == 0));
            assert_eq!(changes.try_next(), None);
            assert_eq!(first.change.life + 63, breaker.metrics().life);
        }
    }

    #[test]
    fn a_pending_read_is_woken_once_and_may_be_dropped() {
        let (breaker, _clock) = shared(brittle());
        let mut changes = breaker.changes();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut changes).poll_next(&mut cx).is_pending());
        breaker.reset();
        assert_eq!(wakes.count(), 1);
        // Taken otherwise meanwhile.
        assert!(changes.try_next().is_some());
        assert!(Pin::new(&mut changes).poll_next(&mut cx).is_pending());
        breaker.reset();
        assert_eq!(wakes.count(), 2);
        assert!(matches!(Pin::new(&mut changes).poll_next(&mut cx), Poll::Ready(Some(_))));
        assert!(Pin::new(&mut changes).poll_next(&mut cx).is_pending());
        let mut other = breaker.changes();
        drop(changes);
        breaker.reset();
        assert_eq!(read(&mut other).len(), 1);
    }

    #[test]
    fn changes_of_many_threads_are_seen_in_order_by_all_readers() {
        const THREADS: u32 = 4;
        const EACH: u32 = 500;
        watched(|| {
            let (breaker, _clock) = shared(brittle());
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    let changes = breaker.changes();
                    thread::spawn(move || {
                        let (mut last, mut all) = (1, 0);
                        for found in changes {
                            let missed = u32::try_from(found.missed).unwrap();
                            assert_eq!(found.change.life, last + missed + 1);
                            last = found.change.life;
                            all += missed + 1;
                        }
                        all
                    })
                })
                .collect();
            let writers: Vec<_> = (0..THREADS)
                .map(|writer| {
                    let breaker = Arc::clone(&breaker);
                    thread::spawn(move || {
                        for round in 0..EACH {
                            if (writer + round) % 5 == 0 {
                                thread::yield_now();
                            }
                            breaker.reset();
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            drop(breaker);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), THREADS * EACH);
            }
        });
    }

    #[test]
    fn those_of_waits_and_of_a_clock_that_steps_back_are_seen() {
        let (breaker, clock) = shared(brittle());
        let mut changes = breaker.changes();
        clock.set_now(at(1_000_000));
        permit(&breaker).failure();
        let mut task = joined(&breaker);
        clock.set_now(at(5));
        assert!(task.poll().is_pending());
        ring(&clock, at(105));
        task.granted().ignore();
        let reasons: Vec<_> = read(&mut changes).into_iter().map(|seen| seen.4).collect();
        let expected = [Reason::ConsecutiveFailures, Reason::ClockSteppedBack, Reason::BreakOver];
        assert_eq!(reasons, expected);
    }
}

mod real_time {
    use super::*;

    fn system(config: Config) -> Arc<CircuitBreaker> {
        Arc::new(config.build().unwrap())
    }

    #[test]
    fn a_thread_and_a_task_wait_for_the_real_break() {
        watched(|| {
            let breaker = system(brittle().break_duration(ms(30)));
            breaker.try_acquire().unwrap().failure();
            for by_task in [false, true] {
                let start = SystemClock.now();
                let open_until = breaker.metrics().next_probe_at.unwrap();
                let probe = if by_task {
                    futures::executor::block_on(breaker.acquire()).unwrap()
                } else {
                    breaker.acquire().wait().unwrap()
                };
                assert!(probe.is_probe() && SystemClock.now() >= open_until.max(start));
                probe.failure();
            }
        });
    }

    #[test]
    fn a_lost_probe_is_replaced_by_a_thread_and_by_a_task() {
        watched(|| {
            let config = brittle().break_duration(ms(5)).probe_timeout(ms(30));
            let breaker = system(config);
            breaker.try_acquire().unwrap().failure();
            std::mem::forget(breaker.acquire().wait().unwrap());
            std::mem::forget(breaker.acquire().wait().unwrap());
            drop(futures::executor::block_on(breaker.acquire()).unwrap());
        });
    }

    #[tokio::test(start_paused = true)]
    async fn paused_tokio_time_moves_by_itself_to_the_end_of_the_break() {
        let clock = steadfast_core::TokioClock;
        let config = brittle().break_duration(Duration::from_secs(3_600));
        let breaker = config.build_with(clock).unwrap();
        breaker.try_acquire().unwrap().failure();
        let began = tokio::time::Instant::now();
        drop(breaker.acquire().await.unwrap());
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(3_600) && took < Duration::from_secs(3_601));
    }

    #[test]
    fn no_more_than_p_are_ever_in_flight_and_all_get_their_turn() {
        watched(|| {
            for places in [1_u32, 3] {
                let breaker =
                    system(brittle().break_duration(Duration::from_nanos(1)).probes(places));
                breaker.try_acquire().unwrap().failure();
                let flying = Arc::new(AtomicU32::new(0));
                let threads: Vec<_> = (0..6)
                    .map(|_| {
                        let (breaker, flying) = (Arc::clone(&breaker), Arc::clone(&flying));
                        thread::spawn(move || {
                            for _ in 0..200 {
                                let probe = breaker.acquire().wait().unwrap();
                                assert!(flying.fetch_add(1, Ordering::SeqCst) < places, "I3");
                                thread::yield_now();
                                flying.fetch_sub(1, Ordering::SeqCst);
                                drop(probe);
                            }
                        })
                    })
                    .collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!(breaker.stats().waiting, 0);
                assert_eq!(breaker.metrics().probes_in_flight, 0);
            }
        });
    }

    /// Many users of a service that works and does not, on a runtime and on threads.
    fn storm(probes: u32) {
        const TASKS: u32 = 30;
        const THREADS: u32 = 4;
        const CALLS: u32 = 25;
        let config = Config::new()
            .consecutive_failures(2)
            .failure_rate(0.5, Window::calls(10))
            .failure_rate(0.5, Window::time(ms(50)))
            .break_duration(Duration::from_micros(50))
            .probes(probes)
            .close_after(2);
        let breaker = system(config);
        let changes = breaker.changes();
        let reader = thread::spawn(move || {
            let mut life = 1;
            for found in changes {
                life += 1 + u32::try_from(found.missed).unwrap();
                assert_eq!(found.change.life, life);
            }
            life
        });
        let report = |n: u32, permit: Permit<Arc<CircuitBreaker>>| match n % 8 {
            0..=3 => permit.success(),
            4..=6 => permit.failure(),
            _ => drop(permit),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let breaker = Arc::clone(&breaker);
                runtime.spawn(async move {
                    for n in 0..CALLS {
                        let permit = Acquire::new(Arc::clone(&breaker), ()).await.unwrap();
                        tokio::task::yield_now().await;
                        report(task + n * 3, permit);
                        // Some are polled and dropped.
                        let wait = Acquire::new(Arc::clone(&breaker), ());
                        drop(wait.timeout(Duration::from_micros(u64::from(n))).await);
                    }
                })
            })
            .collect();
        let threads: Vec<_> = (0..THREADS)
            .map(|task| {
                let breaker = Arc::clone(&breaker);
                thread::spawn(move || {
                    for n in 0..CALLS * 2 {
                        let permit = Acquire::new(Arc::clone(&breaker), ()).wait().unwrap();
                        report(task + n * 5, permit);
                        if n % 9 == 0 {
                            breaker.force_open();
                            breaker.reset();
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let seen = breaker.metrics();
        assert_eq!((breaker.stats().waiting, seen.probes_in_flight), (0, 0));
        drop(breaker);
        assert_eq!(reader.join().unwrap(), seen.life);
    }

    #[test]
    fn a_storm_of_tasks_and_threads_loses_nobody() {
        watched(|| storm(1));
        watched(|| storm(3));
    }
}
