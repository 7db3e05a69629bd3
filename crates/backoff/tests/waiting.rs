//! What waiting for the next attempt promises, W1 to W8 of `steadfast_core::wait`, on the shared
//! backoff.
//!
//! Most of it is single-threaded and deterministic: time is moved by hand, and wakers count.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use steadfast_backoff::state::Phase;
use steadfast_backoff::{
    Acquire, AcquireError, Attempt, Backoff, BackoffConfig, Config, TryAcquireError,
};
use steadfast_core::wait::{Gate, LineStats};
use steadfast_core::{Clock, Instant, ManualClock, SystemClock, Timer};
use steadfast_test_support::task::{Task, Wakes, granted, on_wake, refused};
use steadfast_test_support::watch::watched;

type Shared = Backoff<ManualClock>;
type Held = Attempt<Arc<Shared>>;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// 100 ms after the first failure, 200 ms after the second, and so on for ever.
fn doubling() -> BackoffConfig {
    BackoffConfig::new(Config::exponential(ms(100)).unlimited().build().unwrap())
}

fn shared(config: BackoffConfig) -> (Arc<Shared>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
}

fn begun<C: Timer>(backoff: &Arc<Backoff<C>>) -> Attempt<Arc<Backoff<C>>> {
    Attempt::try_new(Arc::clone(backoff)).unwrap()
}

/// One that has failed once, now.
fn failed(config: BackoffConfig) -> (Arc<Shared>, ManualClock) {
    let (backoff, clock) = shared(config);
    begun(&backoff).failure();
    (backoff, clock)
}

fn stats<C: Timer>(backoff: &Backoff<C>) -> LineStats {
    backoff.line().stats()
}

#[track_caller]
fn assert_nobody_waits<C: Timer>(backoff: &Backoff<C>) {
    assert_eq!(stats(backoff).waiting, 0);
    assert!(!backoff.snapshot().is_occupied(), "the mark goes with the last who waited");
}

fn unpolled(backoff: &Arc<Shared>) -> Task<Acquire<Arc<Shared>>> {
    Task::of(Acquire::new(Arc::clone(backoff), ()))
}

/// Polled, and found pending.
#[track_caller]
fn joined(backoff: &Arc<Shared>) -> Task<Acquire<Arc<Shared>>> {
    unpolled(backoff).pending()
}

mod delay {
    use super::*;

    #[test]
    fn the_delay_is_waited_for_and_not_a_moment_less() {
        let (backoff, clock) = failed(doubling());
        let mut task = joined(&backoff);
        clock.set_now(at(100).saturating_sub(Duration::from_nanos(1)));
        assert!(task.poll().is_pending());
        clock.set_now(at(100));
        assert_eq!(task.granted().number(), 1);
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn without_a_failure_nobody_waits() {
        let (backoff, _clock) = shared(doubling());
        granted(unpolled(&backoff).poll()).success();
        let held: Vec<_> = (0..100).map(|_| granted(unpolled(&backoff).poll())).collect();
        assert_eq!(stats(&backoff), LineStats::default());
        drop(held);
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn everybody_in_line_fails_in_turn_and_each_is_polled_three_times_at_most() {
        let (backoff, clock) = failed(doubling());
        let mut tasks: Vec<_> = (0..20).map(|_| joined(&backoff)).collect();
        for i in 0..tasks.len() {
            let due = clock.next_alarm().expect("the line has its alarm");
            assert_eq!(due.saturating_duration_since(clock.now()), ms(100) * (1 << i));
            clock.set_now(due);
            assert_eq!(clock.next_alarm(), None, "one alarm a line");
            assert!(tasks.iter_mut().skip(i + 1).all(|task| task.run().is_pending()));
            tasks[i].granted().failure();
            let awake = tasks.iter().filter(|task| task.wakes() > 0).count();
            assert_eq!(awake, usize::from(i + 1 < tasks.len()), "the next in line alone");
            assert!(tasks.iter_mut().all(|task| task.run().is_pending()));
        }
        assert!(tasks.iter().all(|task| task.polls() <= 3));
        assert_eq!(backoff.number(), 21);
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_clock_that_steps_back_during_a_wait_makes_the_delay_begin_again() {
        let (backoff, clock) = shared(doubling());
        clock.set_now(at(1_000_000_000));
        begun(&backoff).failure();
        let mut head = joined(&backoff);
        clock.set_now(at(5));
        // Nobody's alarm rings at a time that is to come again in eleven days; whoever comes looks.
        let mut newcomer = joined(&backoff);
        assert_eq!(clock.next_alarm(), Some(at(105)));
        clock.set_now(at(105));
        drop(head.granted());
        drop(newcomer.granted());
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_delay_of_ages_ends_with_a_reset_or_a_stop_alone() {
        let policy = Config::constant(Duration::from_nanos(u64::MAX)).unlimited().build().unwrap();
        for stop in [false, true] {
            let (backoff, clock) = shared(BackoffConfig::new(policy));
            clock.set_now(at(7));
            begun(&backoff).failure();
            let mut task = joined(&backoff);
            assert_eq!(clock.next_alarm(), None);
            if stop {
                backoff.stop();
                assert_eq!(refused(task.run()), AcquireError::Stopped);
            } else {
                backoff.reset();
                assert_eq!(task.granted().number(), 0);
            }
        }
    }
}

mod order {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let (backoff, clock) = failed(doubling());
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&backoff)).collect();
        clock.advance(ms(100));
        for first in 0..5 {
            // Asked in the wrong order.
            for later in (first + 1..5).rev() {
                assert!(tasks[later].poll().is_pending());
            }
            drop(tasks[first].granted());
        }
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_newcomer_does_not_overtake_who_waits() {
        let (backoff, clock) = failed(doubling());
        let mut head = joined(&backoff);
        let not_yet = TryAcquireError::NotYet { retry_at: at(100), now: at(0) };
        assert_eq!(backoff.try_acquire().unwrap_err(), not_yet);
        clock.advance(ms(100));
        assert_eq!(backoff.try_acquire().unwrap_err(), TryAcquireError::Busy);
        let mut later = joined(&backoff);
        assert!(later.poll().is_pending());
        drop(head.granted());
        assert_eq!(backoff.try_acquire().unwrap_err(), TryAcquireError::Busy);
        drop(later.granted());
        assert!(backoff.try_acquire().is_ok());
    }

    #[test]
    fn with_three_places_three_go_and_the_fourth_when_one_is_back() {
        let (backoff, clock) = failed(doubling().max_in_flight(3));
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&backoff)).collect();
        clock.advance(ms(100));
        let mut held = vec![tasks[0].granted()];
        assert_eq!([1, 2, 3, 4].map(|i| tasks[i].wakes()), [1, 1, 0, 0], "as many as can go");
        held.extend([tasks[2].granted(), tasks[1].granted()]);
        assert_eq!(backoff.snapshot().in_flight(), 3);
        assert_eq!((tasks[3].wakes(), tasks[4].wakes()), (0, 0));
        assert_eq!(clock.next_alarm(), None, "only a report can tell");
        drop(held.pop());
        let fourth = tasks[3].granted();
        assert_eq!((fourth.number(), tasks[4].wakes()), (1, 0));
        // Those that began together fail: once the number, and the last goes after the delay.
        held.into_iter().for_each(Attempt::failure);
        assert!(tasks[4].run().is_pending());
        assert_eq!((backoff.number(), clock.next_alarm()), (2, Some(at(300))));
        clock.set_now(at(300));
        assert_eq!(tasks[4].granted().number(), 2);
        fourth.failure();
        assert_eq!(backoff.number(), 2, "that of a lower number does not count");
        assert_nobody_waits(&backoff);
    }
}

mod events {
    use super::*;

    #[test]
    fn a_success_releases_a_thousand_tasks_and_each_is_polled_twice_or_three_times() {
        for backwards in [false, true] {
            let (backoff, _clock) = shared(doubling());
            let attempt = begun(&backoff);
            let mut tasks: Vec<_> = (0..1_000).map(|_| joined(&backoff)).collect();
            attempt.success();
            assert!(tasks.iter().all(|task| task.wakes() == 1));
            if backwards {
                tasks.reverse();
            }
            let mut held = Vec::new();
            while held.len() < 1_000 {
                let before = held.len();
                for task in &mut tasks {
                    if let Poll::Ready(answer) = task.run() {
                        held.push(answer.unwrap());
                    }
                }
                assert!(held.len() > before, "somebody is stuck");
            }
            let polls: usize = tasks.iter().map(Task::polls).sum();
            assert!(tasks.iter().all(|task| task.polls() <= 3));
            assert!(polls <= if backwards { 3_000 } else { 2_000 }, "{polls}");
            assert!(held.iter().all(|attempt| attempt.number() == 0));
            assert_nobody_waits(&backoff);
        }
    }

    #[test]
    fn a_failure_while_the_released_are_on_their_way_stops_the_rest_in_order() {
        let (backoff, clock) = shared(doubling());
        let attempt = begun(&backoff);
        let mut tasks: Vec<_> = (0..6).map(|_| joined(&backoff)).collect();
        attempt.success();
        let first = tasks[0].granted();
        let second = tasks[1].granted();
        first.failure();
        second.failure();
        assert_eq!(backoff.number(), 1, "two failures of something healthy are one");
        for i in [5, 3, 4, 2] {
            assert!(tasks[i].run().is_pending());
        }
        for task in &mut tasks[2..] {
            assert!(task.run().is_pending());
        }
        assert_eq!(clock.next_alarm(), Some(at(100)));
        clock.set_now(at(100));
        for task in &mut tasks[2..] {
            drop(task.granted());
        }
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn an_attempt_that_is_dropped_passes_the_turn_on_at_once() {
        let (backoff, _clock) = shared(doubling());
        let attempt = begun(&backoff);
        let (mut next, after) = (joined(&backoff), joined(&backoff));
        drop(attempt);
        assert_eq!((next.wakes(), after.wakes()), (1, 0));
        assert_eq!(next.granted().number(), 0);
    }

    #[test]
    fn a_wait_that_is_dropped_waiting_or_called_passes_its_turn_on() {
        for called in [false, true] {
            let (backoff, clock) = failed(doubling());
            let (head, mut next) = (joined(&backoff), joined(&backoff));
            if called {
                clock.advance(ms(100));
                assert_eq!((head.wakes(), next.wakes()), (1, 0));
            }
            drop(head);
            if !called {
                assert_eq!((next.wakes(), clock.next_alarm()), (0, Some(at(100))));
                clock.advance(ms(100));
            }
            assert_eq!(next.granted().number(), 1);
            assert_nobody_waits(&backoff);
            assert_eq!(clock.next_alarm(), None);
        }
    }

    #[test]
    fn when_all_are_dropped_nothing_is_left() {
        let (backoff, clock) = failed(doubling());
        let tasks: Vec<_> = (0..9).map(|_| joined(&backoff)).collect();
        drop(tasks);
        assert_nobody_waits(&backoff);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_stop_ends_all_waits() {
        let (backoff, clock) = failed(doubling());
        let mut tasks: Vec<_> = (0..100).map(|_| joined(&backoff)).collect();
        backoff.stop();
        for task in tasks.iter_mut().rev() {
            assert_eq!(refused(task.run()), AcquireError::Stopped);
            assert_eq!(task.polls(), 2);
        }
        assert_nobody_waits(&backoff);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn the_last_failure_ends_all_waits() {
        let retries = Config::exponential(ms(100)).max_retries(1);
        let time = Config::exponential(ms(100)).unlimited().max_elapsed(ms(250));
        for config in [retries, time] {
            let (backoff, clock) = failed(BackoffConfig::new(config.build().unwrap()));
            let mut tasks: Vec<_> = (0..100).map(|_| joined(&backoff)).collect();
            clock.advance(ms(100));
            tasks[0].granted().failure();
            for task in tasks[1..].iter_mut().rev() {
                assert_eq!(refused(task.run()), AcquireError::Exhausted { failures: 2 });
            }
            assert_nobody_waits(&backoff);
            let refusal = refused(unpolled(&backoff).poll());
            assert_eq!(refusal, AcquireError::Exhausted { failures: 2 });
        }
    }

    #[test]
    fn a_reset_releases_as_many_as_there_are_places_and_wakes_no_others() {
        for places in [1, 3] {
            let (backoff, clock) = shared(doubling().max_in_flight(places));
            let lost: Vec<_> = (0..places).map(|_| begun(&backoff)).collect();
            let mut tasks: Vec<_> = (0..50).map(|_| joined(&backoff)).collect();
            backoff.reset();
            let mut held: Vec<_> = vec![tasks[0].granted()];
            held.extend(tasks[1..].iter_mut().filter_map(|task| match task.run() {
                Poll::Ready(answer) => Some(answer.unwrap()),
                Poll::Pending => None,
            }));
            assert_eq!(held.len(), places as usize);
            assert!(held.iter().all(|attempt| attempt.number() == 0));
            let polls: usize = tasks.iter().map(Task::polls).sum();
            assert_eq!(polls, 50 + places as usize);
            // Those from before the reset are forgotten.
            lost.into_iter().for_each(Attempt::failure);
            assert_eq!((backoff.number(), clock.next_alarm()), (0, None));
            assert_eq!(backoff.snapshot().in_flight(), places);
        }
    }

    #[test]
    fn a_reset_ends_the_delay() {
        let (backoff, clock) = failed(doubling());
        let mut task = joined(&backoff);
        backoff.reset();
        assert_eq!(task.granted().number(), 0);
        assert_eq!(clock.now(), at(0));
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_late_report_wakes_nobody() {
        let (backoff, clock) = shared(doubling());
        let late = [begun(&backoff), {
            backoff.reset();
            begun(&backoff)
        }];
        let [old, new] = late;
        let task = joined(&backoff);
        old.success();
        assert_eq!((task.wakes(), clock.next_alarm()), (0, None));
        new.failure();
        assert_eq!(task.wakes(), 1);
    }

    #[test]
    fn a_connection_that_flaps_waits_longer_and_longer_and_one_that_holds_begins_again() {
        let (backoff, clock) = shared(doubling().reset_after(Duration::from_secs(60)));
        let mut waited = Vec::new();
        let mut connect = |held_for| {
            let start = clock.now();
            let mut task = unpolled(&backoff);
            let attempt = match task.poll() {
                Poll::Ready(attempt) => attempt.unwrap(),
                Poll::Pending => {
                    clock.set_now(clock.next_alarm().unwrap());
                    task.granted()
                }
            };
            waited.push(clock.now().saturating_duration_since(start));
            attempt.success();
            assert_eq!(backoff.snapshot().phase(), Phase::Healthy { since: clock.now() });
            let next = granted(unpolled(&backoff).poll());
            clock.advance(held_for);
            next.failure();
        };
        let hour = Duration::from_secs(3_600);
        for held_for in [ms(1), ms(1), ms(59_999), ms(60_000), ms(1), hour, hour, hour] {
            connect(held_for);
        }
        let expected = [0, 100, 200, 400, 100, 200, 100, 100].map(ms);
        assert_eq!(waited, expected);
    }
}

mod limits {
    use super::*;

    #[test]
    fn a_deadline_before_the_end_of_the_delay_fails_at_once_wherever_it_would_stand() {
        let (backoff, clock) = failed(doubling());
        let wait = || Acquire::new(Arc::clone(&backoff), ());
        let missed = AcquireError::TimedOut { ready_at: at(100) };
        for ahead in 0..3 {
            let _line: Vec<_> = (0..ahead).map(|_| joined(&backoff)).collect();
            assert_eq!(refused(Task::of(wait().timeout(ms(99))).poll()), missed);
            assert_eq!(refused(Task::of(wait().deadline(at(99))).poll()), missed);
            drop(Task::of(wait().timeout(ms(100))).pending());
            assert_eq!(stats(&backoff).waiting, ahead);
        }
        clock.advance(ms(100));
        drop(granted(Task::of(wait().timeout(ms(0))).poll()));
    }

    #[test]
    fn a_deadline_while_an_attempt_is_in_flight_comes_when_it_comes() {
        let (backoff, clock) = shared(doubling());
        let attempt = begun(&backoff);
        let mut head = joined(&backoff);
        let wait = Acquire::new(Arc::clone(&backoff), ()).timeout(ms(50));
        let mut task = Task::of(wait).pending();
        assert_eq!(clock.next_alarm(), Some(at(50)));
        clock.advance(ms(50));
        assert_eq!(refused(task.run()), AcquireError::TimedOut { ready_at: at(50) });
        drop(attempt);
        drop(head.granted());
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_deadline_that_a_failure_makes_impossible_ends_the_wait_when_it_comes() {
        let (backoff, clock) = shared(doubling());
        let attempt = begun(&backoff);
        let mut task = Task::of(Acquire::new(Arc::clone(&backoff), ()).timeout(ms(50))).pending();
        attempt.failure();
        assert!(task.run().is_pending());
        clock.set_now(clock.next_alarm().unwrap());
        assert_eq!(clock.now(), at(50));
        assert_eq!(refused(task.run()), AcquireError::TimedOut { ready_at: at(100) });
    }

    #[test]
    fn a_full_line_refuses_at_once() {
        let (backoff, _clock) = failed(doubling().max_waiters(2));
        let _line = [joined(&backoff), joined(&backoff)];
        let refusal = refused(unpolled(&backoff).poll());
        assert_eq!(refusal, AcquireError::LineFull { max_waiters: 2 });
    }

    #[test]
    fn with_no_room_to_wait_only_what_is_there_is_given() {
        let (backoff, _clock) = shared(doubling().max_waiters(0));
        let attempt = granted(unpolled(&backoff).poll());
        let refusal = refused(unpolled(&backoff).poll());
        assert_eq!(refusal, AcquireError::LineFull { max_waiters: 0 });
        drop(attempt);
        assert_nobody_waits(&backoff);
    }
}

mod foreign_code {
    use super::*;

    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        let events: [fn(&Shared, Held); 4] = [
            |_, attempt| attempt.success(),
            |_, attempt| attempt.failure(),
            |_, attempt| drop(attempt),
            |backoff, _| backoff.stop(),
        ];
        for (event, report) in events.into_iter().enumerate() {
            let (backoff, clock) = shared(doubling());
            let attempt = begun(&backoff);
            let mut broken = unpolled(&backoff);
            let panics = on_wake(|| panic!("a broken waker, as intended"));
            assert!(broken.poll_with(&panics).is_pending());
            let mut next = joined(&backoff);
            report(&backoff, attempt);
            if event == 1 {
                assert!(next.run().is_pending());
                clock.advance(ms(100));
            }
            match (event, next.run()) {
                (3, answer) => assert_eq!(refused(answer), AcquireError::Stopped),
                (_, answer) => drop(granted(answer)),
            }
            assert_nobody_waits(&backoff);
        }
    }

    #[test]
    fn a_waker_may_use_the_backoff() {
        let (backoff, _clock) = shared(doubling());
        let attempt = begun(&backoff);
        let mut task = unpolled(&backoff);
        let inner = Arc::clone(&backoff);
        let uses = on_wake(move || {
            assert!(inner.try_acquire().is_err(), "it does not overtake");
            inner.reset();
        });
        assert!(task.poll_with(&uses).is_pending());
        attempt.failure();
        drop(granted(task.poll()));
        assert_nobody_waits(&backoff);
    }

    #[test]
    fn a_growth_may_use_the_backoff() {
        static SEEN: AtomicU32 = AtomicU32::new(u32::MAX);
        static SHARED: Mutex<Option<Arc<dyn Fn() -> u32 + Send + Sync>>> = Mutex::new(None);
        let growth = |_: u32| {
            let look = SHARED.lock().unwrap().clone().unwrap();
            SEEN.store(look(), Ordering::SeqCst);
            ms(100)
        };
        let policy = Config::from_fn(growth).unlimited().build().unwrap();
        let clock = ManualClock::new();
        let backoff = Arc::new(BackoffConfig::new(policy).build_with(clock).unwrap());
        let same = Arc::clone(&backoff);
        *SHARED.lock().unwrap() = Some(Arc::new(move || same.number()));
        let (done, watchdog) = mpsc::channel();
        let reporter = thread::spawn(move || {
            Attempt::try_new(Arc::clone(&backoff)).unwrap().failure();
            let _nobody_listens = done.send(backoff.number());
        });
        assert_eq!(watchdog.recv_timeout(Duration::from_secs(120)), Ok(1), "it stands still");
        reporter.join().unwrap();
        assert_eq!(SEEN.load(Ordering::SeqCst), 0, "before the failure was counted");
    }

    #[test]
    fn a_growth_that_panics_gives_the_attempt_back() {
        let growth = |_: u32| -> Duration { panic!("a broken growth, as intended") };
        let policy = Config::from_fn(growth).unlimited().build().unwrap();
        let clock = ManualClock::new();
        let backoff = Arc::new(BackoffConfig::new(policy).build_with(clock).unwrap());
        let attempt = Attempt::try_new(Arc::clone(&backoff)).unwrap();
        let mut next = std::pin::pin!(Acquire::new(Arc::clone(&backoff), ()));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| attempt.failure())).is_err());
        assert_eq!((backoff.number(), wakes.count()), (0, 1));
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
}

mod threads {
    use super::*;

    fn system(config: BackoffConfig) -> Arc<Backoff> {
        Arc::new(config.build().unwrap())
    }

    fn spawn_waiters<C>(
        backoff: &Arc<Backoff<C>>,
        n: u32,
    ) -> Vec<thread::JoinHandle<Result<u32, AcquireError>>>
    where
        C: Timer + Send + Sync + 'static,
    {
        let threads = (0..n)
            .map(|_| {
                let backoff = Arc::clone(backoff);
                thread::spawn(move || backoff.acquire().wait().map(|attempt| attempt.number()))
            })
            .collect();
        while stats(backoff).waiting < n {
            thread::yield_now();
        }
        threads
    }

    #[test]
    fn a_success_releases_fifty_threads() {
        watched(|| {
            let backoff = system(doubling());
            let attempt = begun(&backoff);
            let threads = spawn_waiters(&backoff, 50);
            attempt.success();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Ok(0));
            }
            let wake_ups = stats(&backoff).wake_ups;
            // Told of the success, and called if somebody ahead was not there yet.
            assert!(wake_ups <= 2 * 50, "{wake_ups} wake-ups for 50 threads");
            assert_nobody_waits(&backoff);
        });
    }

    #[test]
    fn a_stop_ends_the_waits_of_threads() {
        watched(|| {
            let policy = Config::constant(Duration::from_secs(3_600)).build().unwrap();
            let backoff = system(BackoffConfig::new(policy));
            begun(&backoff).failure();
            let threads = spawn_waiters(&backoff, 10);
            backoff.stop();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Err(AcquireError::Stopped));
            }
            assert_nobody_waits(&backoff);
        });
    }

    #[test]
    fn a_manual_clock_wakes_blocked_threads_one_after_the_other() {
        watched(|| {
            let (backoff, clock) = failed(doubling());
            let threads = spawn_waiters(&backoff, 10);
            clock.advance(ms(100));
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Ok(1));
            }
            assert_nobody_waits(&backoff);
        });
    }

    #[test]
    fn threads_and_tasks_stand_in_one_line() {
        watched(|| {
            let (backoff, clock) = failed(doubling());
            let mut first = joined(&backoff);
            let second = thread::spawn({
                let backoff = Arc::clone(&backoff);
                move || Acquire::new(backoff, ()).wait()
            });
            while stats(&backoff).waiting < 2 {
                thread::yield_now();
            }
            let mut third = joined(&backoff);
            clock.advance(ms(100));
            assert!(third.poll().is_pending());
            drop(first.granted());
            let attempt = second.join().unwrap().unwrap();
            assert!(third.poll().is_pending(), "one in flight");
            attempt.failure();
            assert!(third.run().is_pending());
            clock.set_now(clock.next_alarm().unwrap());
            assert_eq!(third.granted().number(), 2);
        });
    }

    #[test]
    fn a_thread_waits_for_the_real_delay() {
        watched(|| {
            let policy = Config::constant(ms(30)).unlimited().build().unwrap();
            let backoff = system(BackoffConfig::new(policy));
            let start = SystemClock.now();
            for number in 0..3 {
                let attempt = backoff.acquire().wait().unwrap();
                assert_eq!(attempt.number(), number);
                attempt.failure();
            }
            let took = SystemClock.now().saturating_duration_since(start);
            assert!(took >= ms(60), "{took:?}");
        });
    }

    /// Many users of one thing that works and does not, on a runtime and on threads.
    fn storm(places: u32) {
        const TASKS: u32 = 40;
        const THREADS: u32 = 4;
        const ATTEMPTS: u32 = 25;
        let policy = Config::constant(Duration::from_micros(20)).unlimited().build().unwrap();
        let backoff = system(BackoffConfig::new(policy).max_in_flight(places));
        let ended = Arc::new(AtomicU32::new(0));
        let report = |n: u32, attempt: Attempt<Arc<Backoff>>| match n % 8 {
            0 => attempt.success(),
            1..=5 => attempt.failure(),
            _ => drop(attempt),
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (backoff, ended) = (Arc::clone(&backoff), Arc::clone(&ended));
                runtime.spawn(async move {
                    for n in 0..ATTEMPTS {
                        let attempt = Acquire::new(Arc::clone(&backoff), ()).await.unwrap();
                        tokio::task::yield_now().await;
                        report(task + n * 3, attempt);
                        // Some are polled and dropped.
                        let wait = Acquire::new(Arc::clone(&backoff), ());
                        let limited = wait.timeout(Duration::from_micros(u64::from(n)));
                        drop(limited.await);
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        let threads: Vec<_> = (0..THREADS)
            .map(|task| {
                let (backoff, ended) = (Arc::clone(&backoff), Arc::clone(&ended));
                thread::spawn(move || {
                    for n in 0..ATTEMPTS * 2 {
                        let attempt = Acquire::new(Arc::clone(&backoff), ()).wait().unwrap();
                        report(task + n * 5, attempt);
                        if n % 9 == 0 {
                            backoff.reset();
                        }
                    }
                    ended.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        assert_eq!(ended.load(Ordering::Relaxed), TASKS + THREADS);
        assert_nobody_waits(&backoff);
        assert_eq!(backoff.snapshot().in_flight(), 0);
    }

    #[test]
    fn a_storm_of_tasks_and_threads_loses_nobody() {
        watched(|| storm(1));
        watched(|| storm(3));
    }

    #[test]
    fn no_more_than_p_are_ever_in_flight() {
        watched(|| {
            let policy = Config::constant(Duration::ZERO).unlimited().build().unwrap();
            for places in [1_u32, 3] {
                let backoff = system(BackoffConfig::new(policy).max_in_flight(places));
                let flying = Arc::new(AtomicU32::new(0));
                let threads: Vec<_> = (0..6)
                    .map(|thread| {
                        let (backoff, flying) = (Arc::clone(&backoff), Arc::clone(&flying));
                        thread::spawn(move || {
                            for n in 0..200 {
                                let attempt = backoff.acquire().wait().unwrap();
                                assert!(flying.fetch_add(1, Ordering::SeqCst) < places, "I1");
                                thread::yield_now();
                                flying.fetch_sub(1, Ordering::SeqCst);
                                if (thread + n) % 2 == 0 {
                                    attempt.failure();
                                } else {
                                    drop(attempt);
                                }
                            }
                        })
                    })
                    .collect();
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_nobody_waits(&backoff);
            }
        });
    }
}
