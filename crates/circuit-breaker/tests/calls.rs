//! Permits, calls and their judges, as the documentation promises them, one claim a test.

#![cfg(all(feature = "std", not(loom)))]
#![expect(clippy::large_types_passed_by_value, reason = "a configuration is built once")]

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use futures::stream::{self, StreamExt};
use steadfast_circuit_breaker::{
    AcquireError, CallError, CircuitBreaker, Config, Counted, EveryError, Judge, Judged, Outcome,
    Permit, Phase, Tally, TryAcquireError, Window,
};
use steadfast_core::{Clock, Instant, ManualClock};

type Breaker = CircuitBreaker<ManualClock>;

const fn s(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One failure opens it for 10 s, one success closes it.
const ONE: Config =
    Config::new().consecutive_failures(1).break_duration(secs(10)).close_after(1).counted(true);

/// Counts what is reported and does not trip.
const COUNTING: Config =
    Config::new().failure_rate(1.0, Window::calls(1_000).minimum(1_000)).counted(true);

fn build(config: Config) -> Breaker {
    config.build_seeded(ManualClock::new(), 1).expect("a valid configuration")
}

/// Calls that were counted, and failures among them.
fn counted<C: Clock>(breaker: &CircuitBreaker<C>) -> (u64, u64) {
    let Tally { calls, bad } = breaker.metrics().failures_by_calls.expect("a rule");
    (calls, bad)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

mod calls {
    use super::*;

    #[test]
    fn an_err_is_a_failure_and_comes_back_and_an_ok_is_a_success() {
        let breaker = build(COUNTING);
        assert_eq!(breaker.call(|| Ok::<_, ()>(7)), Ok(7));
        assert_eq!(counted(&breaker), (1, 0));
        assert_eq!(breaker.call(|| Err::<(), _>("no")), Err(CallError::Inner("no")));
        assert_eq!(counted(&breaker), (2, 1));
        assert_eq!(block_on(breaker.call_async(ready(Ok::<_, ()>(7)))), Ok(7));
        let failed = block_on(breaker.call_async(async { Err::<(), _>("no") }));
        assert_eq!(failed, Err(CallError::Inner("no")));
        assert_eq!(counted(&breaker), (4, 2));
    }

    #[test]
    fn a_call_that_is_rejected_is_not_made() {
        let breaker = build(ONE);
        breaker.force_open();
        let rejected = breaker.call(|| -> Result<(), ()> { panic!("it was made") });
        let error = rejected.expect_err("isolated");
        assert!(error.is_rejected());
        assert!(matches!(error, CallError::Rejected(TryAcquireError::Isolated { .. })));
        assert_eq!(error.into_inner(), None);
        assert_eq!(CallError::Inner(3).into_inner(), Some(3));
        assert!(!CallError::Inner(3).is_rejected());
        let polled = async { panic!("it was polled") };
        let rejected: Result<(), CallError<()>> = block_on(breaker.call_async(polled));
        assert!(rejected.expect_err("isolated").is_rejected());
    }

    #[test]
    fn a_panic_is_a_failure_and_goes_on() {
        let breaker = build(COUNTING);
        let call = || breaker.call(|| -> Result<(), ()> { panic!("a bug") });
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert_eq!(counted(&breaker), (1, 1));
        let call = || block_on(breaker.call_async(async { panic!("a bug") }));
        let panicked = catch_unwind(AssertUnwindSafe(|| -> Result<(), CallError<()>> { call() }));
        assert!(panicked.is_err());
        assert_eq!(counted(&breaker), (2, 2));
    }

    #[test]
    fn a_panic_at_a_later_poll_is_a_failure_once() {
        let breaker = build(COUNTING);
        let polls = Cell::new(0);
        let future = std::future::poll_fn(|_| -> Poll<Result<(), ()>> {
            polls.set(polls.get() + 1);
            assert!(polls.get() < 2, "a bug");
            Poll::Pending
        });
        {
            let mut call = pin!(breaker.call_async(future));
            assert!(poll(call.as_mut()).is_pending());
            assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
            assert_eq!(counted(&breaker), (1, 1));
        }
        assert_eq!(counted(&breaker), (1, 1));
    }

    #[test]
    fn a_future_that_is_dropped_is_ignored_and_gives_its_place_back() {
        let breaker = build(COUNTING);
        {
            let mut call = pin!(breaker.call_async(pending::<Result<(), ()>>()));
            assert!(poll(call.as_mut()).is_pending());
        }
        assert_eq!(counted(&breaker), (0, 0));
        let breaker = build(ONE);
        assert!(breaker.call(|| Err::<(), _>(())).is_err());
        breaker.clock().set_now(s(10));
        {
            let mut call = pin!(breaker.call_async(pending::<Result<(), ()>>()));
            assert!(poll(call.as_mut()).is_pending());
            assert_eq!(breaker.metrics().probes_in_flight, 1);
            assert!(breaker.try_acquire().is_err());
        }
        assert_eq!(breaker.metrics().probes_in_flight, 0);
        assert_eq!(breaker.phase(), Phase::HalfOpen);
    }

    #[test]
    fn a_future_asks_for_leave_when_it_is_first_polled() {
        let breaker = build(ONE);
        let call = breaker.call_async(ready(Ok::<_, ()>(7)));
        breaker.force_open();
        assert!(block_on(call).is_err());
        let call = breaker.call_async(ready(Ok::<_, ()>(7)));
        breaker.reset();
        assert_eq!(block_on(call), Ok(7));
        drop(breaker.call_async(ready(Ok::<_, ()>(7))));
        let counts = Some(Counted { permitted: 1, rejected: 1 });
        assert_eq!(breaker.metrics().counted, counts, "one was never polled");
    }

    #[test]
    fn a_call_that_is_over_cannot_be_polled() {
        let breaker = build(ONE);
        let mut call = pin!(breaker.call_async(ready(Ok::<_, ()>(7))));
        assert!(poll(call.as_mut()).is_ready());
        assert!(catch_unwind(AssertUnwindSafe(|| poll(call.as_mut()))).is_err());
        assert_eq!(breaker.phase(), Phase::Closed);
    }

    #[test]
    fn a_call_may_use_the_breaker() {
        let breaker = build(ONE);
        let nested = breaker.call(|| breaker.call(|| Err::<(), _>("no")));
        assert_eq!(nested, Err(CallError::Inner(CallError::Inner("no"))));
        assert_eq!(breaker.metrics().trips, 1);
    }

    #[test]
    fn the_messages_are_those_of_what_happened() {
        let breaker = build(ONE.name("quotes"));
        let failed = breaker.call(|| "x".parse::<u8>()).expect_err("no number");
        assert_eq!(failed.to_string(), "invalid digit found in string");
        let rejected = breaker.call(|| "7".parse::<u8>()).expect_err("open");
        assert_eq!(rejected.to_string(), "circuit breaker `quotes` is open: retry in 10s");
    }
}

mod judges {
    use super::*;

    fn by_status(result: &Result<u16, &str>) -> Outcome {
        match result {
            Ok(429) => Outcome::Failure { retry_after: Some(secs(30)) },
            Ok(500..) => Outcome::FAILURE,
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        }
    }

    #[test]
    fn an_ok_can_be_a_failure_and_an_err_harmless() {
        let breaker = build(COUNTING);
        let http = breaker.judged_by(by_status);
        assert_eq!(http.call(|| Ok(500)), Ok(500));
        assert_eq!(counted(&breaker), (1, 1));
        assert_eq!(http.call(|| Err("ours")), Err(CallError::Inner("ours")));
        assert_eq!(counted(&breaker), (1, 1));
        assert_eq!(http.call(|| Ok(200)), Ok(200));
        assert_eq!(counted(&breaker), (2, 1));
        assert_eq!(block_on(http.call_async(ready(Ok(503)))), Ok(503));
        assert_eq!(counted(&breaker), (3, 2));
        assert!(block_on(http.call_async(ready(Err("ours")))).is_err());
        assert_eq!(counted(&breaker), (3, 2));
    }

    #[test]
    fn its_hint_is_the_break() {
        let breaker = build(ONE);
        assert_eq!(breaker.judged_by(by_status).call(|| Ok(429)), Ok(429));
        assert_eq!(breaker.metrics().next_probe_at, Some(s(30)));
    }

    #[test]
    fn one_that_panics_is_a_failure() {
        let breaker = build(COUNTING);
        let judged = breaker.judged_by(|_: &Result<(), ()>| -> Outcome { panic!("a bug") });
        assert!(catch_unwind(AssertUnwindSafe(|| judged.call(|| Ok(())))).is_err());
        assert_eq!(counted(&breaker), (1, 1));
        let polled = || block_on(judged.call_async(ready(Ok(()))));
        assert!(catch_unwind(AssertUnwindSafe(polled)).is_err());
        assert_eq!(counted(&breaker), (2, 2));
    }

    #[test]
    fn one_that_holds_the_breaker_can_be_sent_elsewhere() {
        let breaker = Arc::new(build(COUNTING));
        let judged = Judged::new(Arc::clone(&breaker), EveryError);
        let call = judged.call_async(ready(Err::<(), _>("no")));
        let result = thread::spawn(move || block_on(call)).join().expect("no panic");
        assert_eq!(result, Err(CallError::Inner("no")));
        assert_eq!(counted(&breaker), (1, 1));
    }

    #[test]
    fn every_error_is_a_failure_for_every_error() {
        assert_eq!(EveryError.judge(&Ok::<_, ()>(())), Outcome::Success);
        assert_eq!(EveryError.judge(&Err::<(), _>(())), Outcome::FAILURE);
    }
}

mod permits {
    use super::*;

    #[test]
    fn one_is_carried_through_await_and_question_marks() {
        async fn fetch(breaker: Arc<Breaker>) -> Result<u32, TryAcquireError> {
            let permit = Permit::try_new(breaker)?;
            tokio::task::yield_now().await;
            permit.success();
            Ok(7)
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let runtime = runtime.expect("a runtime");
        let breaker = Arc::new(build(COUNTING));
        let fetched = runtime
            .block_on(async { tokio::spawn(fetch(Arc::clone(&breaker))).await.expect("no panic") });
        assert_eq!(fetched, Ok(7));
        assert_eq!(counted(&breaker), (1, 0));
    }

    #[test]
    fn streams_hand_them_on() {
        let breaker = Arc::new(build(COUNTING));
        let permits = stream::iter(0..10).map(|i| (i, Permit::try_new(Arc::clone(&breaker))));
        let done = permits.for_each(async |(i, permit)| {
            let permit = permit.expect("closed");
            if i % 2 == 0 { permit.success() } else { permit.failure() }
        });
        block_on(done);
        assert_eq!(counted(&breaker), (10, 5));
    }

    #[test]
    fn threads_report_every_result_once() {
        let breaker = Arc::new(build(
            Config::new()
                .failure_rate(1.0, Window::calls(10_000).minimum(10_000))
                .failure_rate(1.0, Window::time(secs(1_000)).minimum(10_000))
                .counted(true),
        ));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let breaker = Arc::clone(&breaker);
                thread::spawn(move || {
                    for i in 0..1_000 {
                        let permit = Permit::try_new(Arc::clone(&breaker)).expect("closed");
                        match (i + thread) % 4 {
                            0 => permit.failure(),
                            1 => drop(permit),
                            _ => permit.success(),
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        let metrics = breaker.metrics();
        let tally = Some(Tally { calls: 3_000, bad: 1_000 });
        assert_eq!((metrics.failures_by_calls, metrics.failures_by_time), (tally, tally));
        assert_eq!(metrics.counted, Some(Counted { permitted: 4_000, rejected: 0 }));
    }

    #[test]
    fn threads_report_every_result_once_while_the_window_moves_on() {
        let window = Window::time(secs(1_000)).slices(1_000).minimum(1_000_000);
        let breaker = build(Config::new().failure_rate(1.0, window));
        let time = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..1_000 {
                        let millis = 200 * u64::from(time.fetch_add(1, Ordering::Relaxed));
                        let now = s(1).saturating_add(Duration::from_millis(millis));
                        let permit = breaker.try_acquire_at(now).expect("closed");
                        if i % 4 == 0 { permit.failure_at(now) } else { permit.success_at(now) }
                    }
                });
            }
        });
        let tally = breaker.metrics_at(s(801)).failures_by_time;
        assert_eq!(tally, Some(Tally { calls: 4_000, bad: 1_000 }));
    }

    #[test]
    fn failures_of_many_threads_trip_once() {
        for _ in 0..20 {
            let breaker = build(Config::new().consecutive_failures(3));
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while let Ok(permit) = breaker.try_acquire() {
                            permit.failure();
                        }
                    });
                }
            });
            let metrics = breaker.metrics();
            assert_eq!((metrics.trips, metrics.life, metrics.phase), (1, 2, Phase::Open));
        }
    }

    #[test]
    fn each_says_whether_it_is_a_probe() {
        let breaker = build(ONE);
        let permit = breaker.try_acquire().expect("closed");
        assert!(!permit.is_probe());
        assert_eq!(format!("{permit:?}"), "Permit { is_probe: false, .. }");
        permit.failure();
        breaker.clock().set_now(s(10));
        let probe = breaker.try_acquire().expect("half-open");
        assert!(probe.is_probe());
        assert_eq!(format!("{probe:?}"), "Permit { is_probe: true, .. }");
    }

    #[test]
    fn without_an_instant_the_clock_is_read() {
        let breaker = build(ONE.slow_rate(1.0, Window::calls(1)).slow_after(secs(2)));
        breaker.clock().set_now(s(100));
        let permit = breaker.try_acquire().expect("closed");
        breaker.clock().set_now(s(102));
        permit.success();
        assert_eq!(breaker.metrics().next_probe_at, Some(s(112)));
        assert_eq!(breaker.metrics().since, Some(s(102)));
        breaker.clock().set_now(s(103));
        assert_eq!(breaker.metrics().age, Some(secs(1)));
        breaker.force_closed();
        assert_eq!(breaker.metrics().since, Some(s(103)));
        breaker.clock().set_now(s(104));
        breaker.force_open();
        assert_eq!(breaker.metrics().since, Some(s(104)));
        breaker.clock().set_now(s(105));
        breaker.reset();
        assert_eq!(breaker.metrics().since, Some(s(105)));
        let mut permit = breaker.try_acquire().expect("closed");
        breaker.clock().set_now(s(107));
        permit.note_slow();
        assert_eq!(breaker.phase(), Phase::Open);
    }
}

mod waits {
    use super::*;

    #[test]
    fn closed_it_does_not_wait() {
        let breaker = build(COUNTING);
        block_on(breaker.acquire()).expect("closed").success();
        breaker.acquire().wait().expect("closed").failure();
        assert_eq!(counted(&breaker), (2, 1));
    }

    #[test]
    fn one_that_waits_is_counted_once_when_it_ends() {
        let breaker = build(ONE);
        breaker.try_acquire().expect("closed").failure();
        let mut wait = pin!(breaker.acquire());
        for now in [0, 5, 9] {
            breaker.clock().set_now(s(now));
            assert!(poll(wait.as_mut()).is_pending());
        }
        assert_eq!(breaker.metrics().counted, Some(Counted { permitted: 1, rejected: 0 }));
        breaker.clock().set_now(s(10));
        let Poll::Ready(probe) = poll(wait.as_mut()) else { panic!("it is time") };
        assert!(probe.expect("half-open").is_probe());
        assert_eq!(breaker.metrics().counted, Some(Counted { permitted: 2, rejected: 0 }));
    }

    #[test]
    fn one_that_cannot_be_in_time_is_rejected_at_once_and_counted_once() {
        let breaker = build(ONE.name("quotes").max_waiters(0));
        breaker.try_acquire().expect("closed").failure();
        let error = block_on(breaker.acquire().timeout(secs(9))).expect_err("10 s");
        assert!(matches!(error, AcquireError::TimedOut { ready_at, .. } if ready_at == s(10)));
        assert_eq!(error.to_string(), "circuit breaker `quotes` did not let it through in time");
        assert_eq!(breaker.metrics().counted, Some(Counted { permitted: 1, rejected: 1 }));
        let error = block_on(breaker.acquire()).expect_err("nobody may wait");
        assert!(matches!(error, AcquireError::LineFull { max_waiters: 0, .. }));
        assert_eq!(error.to_string(), "circuit breaker `quotes`: 0 requests wait already");
        assert_eq!(breaker.metrics().counted, Some(Counted { permitted: 1, rejected: 2 }));
    }

    #[test]
    fn those_who_wait_come_in_order_and_newcomers_behind_them() {
        let breaker = build(ONE.close_after(255));
        breaker.try_acquire().expect("closed").failure();
        let (mut first, mut second) = (pin!(breaker.acquire()), pin!(breaker.acquire()));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        breaker.clock().set_now(s(10));
        let newcomer = breaker.try_acquire();
        assert!(matches!(newcomer, Err(TryAcquireError::HalfOpenFull { .. })));
        let mut third = pin!(breaker.acquire());
        assert!(poll(third.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        let Poll::Ready(Ok(probe)) = poll(first.as_mut()) else { panic!("it is first") };
        assert!(poll(second.as_mut()).is_pending());
        probe.ignore();
        let Poll::Ready(Ok(_probe)) = poll(second.as_mut()) else { panic!("it is its turn") };
    }

    #[test]
    fn closing_and_a_reset_let_everybody_through() {
        for reset in [false, true] {
            let breaker = build(ONE);
            breaker.try_acquire().expect("closed").failure();
            breaker.clock().set_now(s(10));
            let probe = breaker.try_acquire().expect("half-open");
            let mut waits: Vec<_> = (0..10).map(|_| Box::pin(breaker.acquire())).collect();
            for wait in &mut waits {
                assert!(poll(wait.as_mut()).is_pending());
            }
            if reset {
                breaker.reset();
            } else {
                probe.success();
            }
            for wait in &mut waits {
                assert!(matches!(poll(wait.as_mut()), Poll::Ready(Ok(_))));
            }
        }
    }

    /// Whether it was woken.
    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Whether each of three that wait for a place is woken by `event`, while one probe is in flight.
    fn woken_by(event: impl FnOnce(&Breaker, Permit<&Breaker>)) -> [bool; 3] {
        let breaker = build(ONE.close_after(1));
        breaker.try_acquire().expect("closed").failure();
        breaker.clock().set_now(s(10));
        let probe = breaker.try_acquire().expect("half-open");
        let flags: [Arc<Flag>; 3] = Default::default();
        let mut waits = [(); 3].map(|()| Box::pin(breaker.acquire()));
        for (wait, flag) in waits.iter_mut().zip(&flags) {
            let waker = Waker::from(Arc::clone(flag));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        event(&breaker, probe);
        flags.map(|flag| flag.0.load(Ordering::SeqCst))
    }

    #[test]
    fn a_place_that_is_free_wakes_the_first() {
        assert_eq!(woken_by(|_, probe| probe.ignore()), [true, false, false]);
        assert_eq!(woken_by(|_, probe| drop(probe)), [true, false, false]);
        let lost = woken_by(|breaker, probe| {
            std::mem::forget(probe);
            breaker.clock().set_now(s(40));
        });
        assert_eq!(lost, [true, false, false]);
    }

    #[test]
    fn whatever_closes_it_wakes_all() {
        assert_eq!(woken_by(|_, probe| probe.success()), [true; 3]);
        assert_eq!(woken_by(|breaker, _probe| breaker.reset()), [true; 3]);
        assert_eq!(woken_by(|breaker, _probe| breaker.force_closed()), [true; 3]);
    }

    #[test]
    fn a_probe_that_failed_wakes_the_first_when_the_next_break_is_over() {
        let woken = woken_by(|breaker, probe| {
            probe.failure();
            breaker.clock().set_now(s(20));
        });
        assert_eq!(woken, [true, false, false]);
    }

    #[test]
    fn during_a_ramp_up_a_hundredth_of_it_apart() {
        let breaker = build(ONE.ramp_up(0.01, secs(1_000)));
        breaker.try_acquire().expect("closed").failure();
        breaker.clock().set_now(s(10));
        breaker.try_acquire().expect("half-open").success();
        let mut let_through = Vec::new();
        breaker.try_acquire().expect("the first").ignore();
        for _ in 0..4 {
            let mut wait = pin!(breaker.acquire());
            while poll(wait.as_mut()).is_pending() {
                breaker.clock().advance(secs(1));
            }
            let_through.push(breaker.clock().now());
        }
        assert_eq!(let_through, [s(10), s(20), s(30), s(40)]);
    }

    #[test]
    fn a_change_that_a_wait_makes_is_told_when_no_lock_is_held() {
        static BREAKER: std::sync::OnceLock<Breaker> = std::sync::OnceLock::new();
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let breaker = BREAKER.get_or_init(|| {
            build(ONE).on_change(|_| {
                TOLD.fetch_add(1, Ordering::Relaxed);
                if let Some(breaker) = BREAKER.get() {
                    // Whatever locks there are, they are taken here.
                    let mut wait = pin!(breaker.acquire().timeout(secs(1)));
                    let _ready = poll(wait.as_mut());
                    let _metrics = breaker.metrics();
                }
            })
        });
        breaker.try_acquire().expect("closed").failure();
        let mut wait = pin!(breaker.acquire());
        assert!(poll(wait.as_mut()).is_pending());
        breaker.clock().set_now(s(10));
        let Poll::Ready(Ok(probe)) = poll(wait.as_mut()) else { panic!("it is time") };
        assert_eq!(TOLD.load(Ordering::Relaxed), 2);
        probe.success();
        assert_eq!(TOLD.load(Ordering::Relaxed), 3);
    }
}
