//! What every wait promises, W1 to W8 of `steadfast_core::wait`, on the real bucket.
//!
//! Most of it is single-threaded and deterministic: time is moved by hand, and wakers count.
#![expect(
    clippy::used_underscore_binding,
    clippy::type_complexity,
    clippy::manual_assert,
    clippy::semicolon_if_nothing_returned,
    clippy::cast_possible_truncation,
    clippy::needless_for_each,
    reason = "scaffolding of tests"
)]
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock, SystemClock, Timer};
use steadfast_test_support::allocations::{Counting, allocations};
use steadfast_test_support::task::{self, Wakes};
use steadfast_test_support::watch::watched;
use steadfast_token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket, TryAcquireError};

type Bucket = TokenBucket<ManualClock>;
type Wait = Acquire<Arc<Bucket>>;
type Task<C = ManualClock> = task::Task<Acquire<Arc<TokenBucket<C>>>>;
type Answer = Poll<Result<(), AcquireError>>;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Ten tokens a second, one each 100 ms, and none at the beginning.
fn ten_a_second(burst: u64) -> Config {
    Config::new(Rate::per_second(10)).burst(burst).initial(0)
}

fn bucket(config: Config) -> (Arc<Bucket>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
}

fn unpolled<C: Timer>(bucket: &Arc<TokenBucket<C>>, n: u64) -> Task<C> {
    Task::of(Acquire::new(Arc::clone(bucket), n))
}

/// Polled, and found pending.
#[track_caller]
fn joined<C: Timer>(bucket: &Arc<TokenBucket<C>>, n: u64) -> Task<C> {
    unpolled(bucket, n).pending()
}

const SERVED: Answer = Poll::Ready(Ok(()));

fn timed_out(result: &Answer) -> bool {
    matches!(result, Poll::Ready(Err(AcquireError::TimedOut { .. })))
}

#[track_caller]
fn assert_nobody_waits<C: Timer>(bucket: &TokenBucket<C>) {
    assert_eq!(bucket.stats().line.waiting, 0);
    assert!(!bucket.snapshot().word().is_occupied(), "the mark goes with the last who waited");
}

mod w1_order {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let (bucket, clock) = bucket(ten_a_second(1));
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&bucket, 1)).collect();
        for first in 0..5 {
            clock.advance(ms(100));
            // Asked in the wrong order.
            for later in (first + 1..5).rev() {
                assert_eq!(tasks[later].poll(), Poll::Pending);
            }
            assert_eq!(tasks[first].run(), SERVED);
        }
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_large_request_is_not_starved_by_small_ones() {
        let (bucket, clock) = bucket(ten_a_second(10));
        let mut large = joined(&bucket, 10);
        let mut small: Vec<_> = (0..20).map(|_| joined(&bucket, 1)).collect();
        for _ in 0..9 {
            clock.advance(ms(100));
            assert!(small.iter_mut().all(|task| task.poll().is_pending()));
            assert_eq!(large.run(), Poll::Pending);
        }
        clock.advance(ms(100));
        assert_eq!(large.run(), SERVED);
    }

    #[test]
    fn nobody_overtakes_the_line_and_a_refusal_counts_those_ahead() {
        let (bucket, clock) = bucket(ten_a_second(10));
        let (_one, _two) = (joined(&bucket, 3), joined(&bucket, 2));
        clock.advance(ms(200));
        // Two tokens are there, and not for us.
        let now = at(200);
        let denied = Err(TryAcquireError::Denied { retry_at: at(600), now });
        assert_eq!(bucket.try_acquire(1), denied);
        assert_eq!(bucket.ready_at(1, now), Ok(at(600)));
        assert_eq!(bucket.try_acquire_up_to(5), 0);
        assert_eq!(bucket.try_acquire(0), Ok(()));
        let mut newcomer = joined(&bucket, 1);
        assert_eq!(newcomer.poll(), Poll::Pending);
    }

    #[test]
    fn retry_at_behind_a_line_is_when_it_is_granted() {
        let (bucket, clock) = bucket(ten_a_second(10));
        let mut tasks = [joined(&bucket, 3), joined(&bucket, 2)];
        let retry_at = match bucket.try_acquire(1) {
            Err(TryAcquireError::Denied { retry_at, .. }) => retry_at,
            other => panic!("{other:?}"),
        };
        while clock.now() < retry_at {
            assert!(bucket.try_acquire(1).is_err());
            clock.set_now(clock.next_alarm().unwrap_or(retry_at).min(retry_at));
            let _progress = tasks.each_mut().map(Task::run);
        }
        assert_eq!(bucket.try_acquire(1), Ok(()));
    }

    #[test]
    fn those_called_together_are_funded_together() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..6).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(400));
        assert_eq!(tasks[0].run(), SERVED);
        assert_eq!([1, 2, 3, 4, 5].map(|i| tasks[i].wakes()), [1, 1, 1, 0, 0]);
        assert!(bucket.try_acquire(1).is_err());
        // In whatever order the executor polls them.
        for i in [3, 1, 2] {
            assert_eq!(tasks[i].run(), SERVED);
        }
        assert_eq!(tasks[4].poll(), Poll::Pending);
    }

    #[test]
    fn a_clock_that_steps_back_takes_the_calls_back_and_the_order_stays() {
        let (bucket, clock) = bucket(ten_a_second(5));
        clock.advance(ms(1_000));
        bucket.try_acquire(5).unwrap();
        let mut tasks: Vec<_> = (0..4).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(300));
        assert_eq!(tasks[0].run(), SERVED);
        assert_eq!([1, 2].map(|i| tasks[i].wakes()), [1, 1]);
        clock.set_now(at(1_050));
        // The first of the two called looks; the other one is stuck.
        assert_eq!(tasks[1].run(), Poll::Pending);
        let due = clock.next_alarm().expect("a stuck task behind does not keep its alarm from it");
        clock.set_now(due);
        assert_eq!(tasks[1].run(), SERVED);
        clock.advance(ms(1_000));
        assert_eq!(tasks[2].run(), SERVED);
        assert_eq!(tasks[3].run(), SERVED);
        assert_nobody_waits(&bucket);
    }
}

mod w2_cancel {
    use super::*;

    /// Runs what has been woken until nothing is, from alarm to alarm; says who was served when.
    fn serve_all(clock: &ManualClock, tasks: &mut [Option<Task>]) -> Vec<(usize, Instant)> {
        let mut served = Vec::new();
        loop {
            for (i, place) in tasks.iter_mut().enumerate() {
                if place.as_mut().is_some_and(|task| task.run() == SERVED) {
                    served.push((i, clock.now()));
                    *place = None;
                }
            }
            if tasks.iter().flatten().any(|task| task.wakes() > 0) {
                continue;
            }
            match clock.next_alarm() {
                Some(next) => clock.set_now(next),
                None => return served,
            }
        }
    }

    #[test]
    fn a_wait_dropped_anywhere_passes_its_turn_on_at_once() {
        for woken in [false, true] {
            for dropped in 0..4 {
                let (bucket, clock) = bucket(ten_a_second(2));
                let mut tasks: Vec<_> = (0..4).map(|_| Some(joined(&bucket, 1))).collect();
                if woken {
                    clock.advance(ms(100));
                    assert_eq!(tasks[0].as_ref().unwrap().wakes(), 1);
                }
                drop(tasks[dropped].take());
                let served = serve_all(&clock, &mut tasks);
                let expected: Vec<_> = (0..4)
                    .filter(|i| *i != dropped)
                    .zip(1..)
                    .map(|(i, nth)| (i, at(100 * nth)))
                    .collect();
                assert_eq!(served, expected, "woken {woken}, dropped {dropped}");
                assert_nobody_waits(&bucket);
            }
        }
    }

    #[test]
    fn a_called_wait_that_is_dropped_passes_its_turn_on() {
        for dropped in 1..3 {
            let (bucket, clock) = bucket(ten_a_second(5));
            let mut tasks: Vec<_> = (0..4).map(|_| Some(joined(&bucket, 1))).collect();
            clock.advance(ms(300));
            assert_eq!(tasks[0].take().unwrap().run(), SERVED);
            // 1 and 2 are called.
            drop(tasks[dropped].take());
            let other = 3 - dropped;
            assert_eq!(tasks[3].as_mut().unwrap().wakes(), 1, "its tokens are there now");
            assert_eq!(tasks[3].take().unwrap().run(), SERVED);
            assert_eq!(tasks[other].take().unwrap().run(), SERVED);
            assert_eq!(bucket.available(), 0);
            assert_nobody_waits(&bucket);
        }
    }

    #[test]
    fn a_called_wait_that_is_not_polled_holds_up_its_own_tokens_and_nobody_else() {
        // Also behind somebody whose alarm was for a deadline.
        for timeout in [None, Some(Duration::from_secs(60))] {
            let (bucket, clock) = bucket(ten_a_second(5));
            let mut tasks: Vec<_> = (0..3).map(|_| joined(&bucket, 1)).collect();
            let wait = Acquire::new(Arc::clone(&bucket), 4);
            let mut last = Task::of(timeout.into_iter().fold(wait, Acquire::timeout)).pending();
            clock.advance(ms(500));
            // With as much there as can be, the two behind are called.
            drop(tasks.remove(0));
            assert_eq!(tasks[0].run(), SERVED);
            assert_eq!(clock.next_alarm(), Some(at(600)), "{timeout:?}");
            clock.advance(ms(100));
            assert_eq!(last.run(), SERVED);
            assert_eq!(tasks[1].run(), SERVED);
        }
    }

    #[test]
    fn nor_does_it_hold_up_who_has_the_place_of_one_that_had_an_alarm() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let head = joined(&bucket, 2);
        bucket.refund(3);
        clock.advance(ms(200));
        let mut called = [2, 3].map(|n| joined(&bucket, n));
        drop(head);
        let mut last = joined(&bucket, 1);
        assert_eq!(called[1].run(), SERVED);
        assert_eq!(clock.next_alarm(), Some(at(300)));
        clock.advance(ms(100));
        assert_eq!(last.run(), SERVED);
        assert_eq!(called[0].run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_nudged_wait_that_is_dropped_passes_the_wake_on() {
        let (bucket, _clock) = bucket(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        bucket.refund(1);
        assert_eq!((head.wakes(), next.wakes()), (1, 0));
        drop(head);
        assert_eq!(next.run(), SERVED);
    }

    #[test]
    fn a_large_head_that_is_dropped_frees_what_those_behind_need() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let head = joined(&bucket, 5);
        let mut small: Vec<_> = (0..5).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(400));
        drop(head);
        let served =
            small.iter_mut().filter_map(|task| (task.run() == SERVED).then_some(())).count();
        assert_eq!(served, 4);
    }

    #[test]
    fn when_all_are_dropped_nothing_is_left() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let tasks: Vec<_> = (0..9).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(150));
        drop(tasks);
        assert_nobody_waits(&bucket);
        assert_eq!(clock.next_alarm(), None);
        assert_eq!(bucket.available(), 1);
    }
}

mod w4_no_herd {
    use super::*;

    /// Wakes push the number of their task here.
    struct Ready(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Ready {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    /// Wakes and grants of `n` waits in one line that all are served.
    fn wakes_for(n: usize, config: Config, timeout: Option<Duration>) -> usize {
        let (bucket, clock) = bucket(config);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut tasks: Vec<_> = (0..n)
            .map(|i| {
                let wait = Wait::new(Arc::clone(&bucket), 1);
                let wait = timeout.into_iter().fold(wait, Wait::timeout);
                (wait, Waker::from(Arc::new(Ready(i, Arc::clone(&woken)))))
            })
            .collect();
        let poll = |(wait, waker): &mut (Wait, Waker)| {
            Pin::new(wait).poll(&mut Context::from_waker(waker))
        };
        assert!(tasks.iter_mut().all(|task| poll(task).is_pending()));
        let (mut wakes, mut served) = (0, 0);
        while served < n {
            let ready: Vec<_> = woken.lock().unwrap().drain(..).collect();
            if ready.is_empty() {
                clock.set_now(clock.next_alarm().expect("somebody waits"));
            }
            for i in ready {
                wakes += 1;
                served += usize::from(poll(&mut tasks[i]) == SERVED);
            }
        }
        assert_eq!(bucket.stats().line.wake_ups, wakes as u64);
        wakes
    }

    #[test]
    fn one_wake_a_grant_with_one_waiter_or_ten_thousand() {
        for n in [1, 2, 10_000] {
            assert_eq!(wakes_for(n, ten_a_second(1), None), n);
            assert_eq!(wakes_for(n, ten_a_second(50), None), n);
            assert_eq!(wakes_for(n, Config::new(Rate::new(3, ms(7))).initial(0), None), n);
            assert_eq!(wakes_for(n, ten_a_second(1), Some(Duration::from_secs(86_400))), n);
        }
    }

    #[test]
    fn a_line_makes_one_alarm_and_a_second_one_for_deadlines() {
        let clock = Hooked::new();
        let bucket = Arc::new(ten_a_second(5).build_with(clock.clone()).unwrap());
        let mut tasks: Vec<_> = (0..100).map(|_| joined(&bucket, 1)).collect();
        for task in &mut tasks {
            while task.run().is_pending() {
                clock.time.set_now(clock.time.next_alarm().unwrap());
            }
        }
        assert_eq!(clock.made(), 1);
        let patient = |bucket| {
            Task::of(Acquire::new(Arc::clone(bucket), 1).timeout(Duration::from_secs(60))).pending()
        };
        let _more: Vec<_> = (0..100).map(|_| patient(&bucket)).collect();
        assert_eq!(clock.made(), 2);
    }

    #[test]
    fn a_call_is_not_repeated() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(200));
        assert_eq!(tasks[0].run(), SERVED);
        assert_eq!(tasks[1].wakes(), 1);
        for _ in 0..5 {
            clock.advance(ms(1));
            drop(joined(&bucket, 1));
        }
        assert_eq!((tasks[1].wakes(), tasks[2].wakes()), (1, 0));
    }
}

mod w5_early {
    use super::*;

    #[test]
    fn a_refund_wakes_the_first_at_once() {
        let (bucket, _clock) = bucket(ten_a_second(5));
        let (mut head, next) = (joined(&bucket, 2), joined(&bucket, 1));
        bucket.refund(2);
        assert_eq!((head.wakes(), next.wakes()), (1, 0));
        assert_eq!(head.run(), SERVED);
    }

    #[test]
    fn a_refund_for_several_serves_several() {
        let (bucket, _clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&bucket, 1)).collect();
        bucket.refund(3);
        let served: Vec<_> = tasks.iter_mut().map(|task| task.run() == SERVED).collect();
        assert_eq!(served, [true, true, true, false, false]);
    }

    #[test]
    fn a_refund_while_a_called_task_is_stuck_serves_the_next() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(200));
        assert_eq!(tasks[0].run(), SERVED);
        assert_eq!(tasks[1].wakes(), 1);
        bucket.refund(1);
        assert_eq!(tasks[2].run(), SERVED);
        assert_eq!(bucket.available(), 1, "what the stuck task was called for is still there");
        assert_eq!(tasks[1].run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn new_terms_wake_everybody() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = [1, 5, 1].map(|n| joined(&bucket, n)).into();
        bucket.reconfigure(&Config::new(Rate::per_second(1_000)).burst(2)).unwrap();
        assert!(tasks.iter().all(|task| task.wakes() == 1));
        let refused = Poll::Ready(Err(AcquireError::ExceedsBurst { burst: 2 }));
        assert_eq!(tasks[1].run(), refused);
        assert_eq!(tasks[0].run(), Poll::Pending);
        assert_eq!(clock.next_alarm(), Some(at(1)));
        clock.advance(ms(1));
        assert_eq!(tasks[0].run(), SERVED);
        assert_eq!(tasks[2].run(), Poll::Pending);
        clock.advance(ms(1));
        assert_eq!(tasks[2].run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_close_wakes_everybody_in_any_state() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&bucket, 1)).collect();
        clock.advance(ms(200));
        assert_eq!(tasks[0].run(), SERVED);
        bucket.close();
        for task in &mut tasks[1..] {
            assert_eq!(task.run(), Poll::Ready(Err(AcquireError::Closed)));
        }
        assert_eq!(unpolled(&bucket, 1).poll(), Poll::Ready(Err(AcquireError::Closed)));
        assert_nobody_waits(&bucket);
        assert_eq!(clock.next_alarm(), None);
    }
}

mod w6_bounds {
    use super::*;

    #[test]
    fn a_full_line_refuses_at_once_and_registers_nothing() {
        let (bucket, clock) = bucket(ten_a_second(5).max_waiters(2));
        let full = Poll::Ready(Err(AcquireError::LineFull { max_waiters: 2 }));
        let one = joined(&bucket, 1);
        let _two = joined(&bucket, 1);
        assert_eq!(unpolled(&bucket, 1).poll(), full);
        assert_eq!(bucket.stats().line.waiting, 2);
        drop(one);
        let _three = joined(&bucket, 1);
        assert_eq!(unpolled(&bucket, 1).poll(), full);
        assert!(clock.next_alarm().is_some());
    }

    #[test]
    fn with_no_place_to_wait_in_the_mark_is_cleared() {
        let (bucket, clock) = bucket(ten_a_second(5).max_waiters(0));
        let full = Poll::Ready(Err(AcquireError::LineFull { max_waiters: 0 }));
        assert_eq!(unpolled(&bucket, 1).poll(), full);
        assert_nobody_waits(&bucket);
        assert_eq!(clock.next_alarm(), None);
        clock.advance(ms(100));
        assert_eq!(unpolled(&bucket, 1).poll(), SERVED);
    }

    #[test]
    fn a_deadline_that_cannot_be_met_fails_at_once_and_registers_nothing() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let late = |ready_at| Poll::Ready(Err(AcquireError::TimedOut { ready_at }));
        let hasty =
            |n, timeout| Task::of(Acquire::new(Arc::clone(&bucket), n).timeout(ms(timeout))).poll();
        assert_eq!(hasty(2, 199), late(at(200)));
        assert_eq!(hasty(1, 0), late(at(100)));
        assert_nobody_waits(&bucket);
        assert_eq!(clock.next_alarm(), None);
        // Those ahead count.
        let _ahead = joined(&bucket, 4);
        assert_eq!(hasty(2, 599), late(at(600)));
        assert_eq!(bucket.stats().line.waiting, 1);
        assert_eq!(hasty(2, 600), Poll::Pending);
    }

    #[test]
    fn a_deadline_is_an_instant_and_a_timeout_begins_with_the_first_poll() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut deadline = Task::of(Acquire::new(Arc::clone(&bucket), 1).deadline(at(250)));
        let mut timeout = Task::of(Acquire::new(Arc::clone(&bucket), 1).timeout(ms(250)));
        clock.advance(ms(40));
        assert!(deadline.poll().is_pending() && timeout.poll().is_pending());
        bucket.reconfigure(&Config::new(Rate::per_minute(1)).burst(5)).unwrap();
        assert!(deadline.run().is_pending() && timeout.run().is_pending());
        clock.set_now(at(249));
        assert!(deadline.poll().is_pending() && timeout.poll().is_pending());
        clock.set_now(at(250));
        assert!(timed_out(&deadline.run()));
        clock.set_now(at(289));
        assert_eq!(timeout.poll(), Poll::Pending);
        clock.set_now(at(290));
        assert!(timed_out(&timeout.run()));
    }

    /// A wait for one token that can be served in time, until the line is slowed down.
    fn with_timeout(bucket: &Arc<Bucket>, timeout: u64) -> Task {
        Task::of(Acquire::new(Arc::clone(bucket), 1).timeout(ms(timeout))).pending()
    }

    #[test]
    fn the_head_times_out_when_new_terms_are_too_slow() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut head = with_timeout(&bucket, 150);
        let mut next = joined(&bucket, 1);
        bucket.reconfigure(&Config::new(Rate::per_second(1)).burst(5)).unwrap();
        assert!(head.run().is_pending() && next.run().is_pending());
        assert_eq!(clock.next_alarm(), Some(at(150)));
        clock.advance(ms(150));
        assert!(timed_out(&head.run()));
        clock.set_now(clock.next_alarm().unwrap());
        assert_eq!((clock.now(), next.run()), (at(1_000), SERVED));
    }

    #[test]
    fn timeouts_come_in_their_order_not_the_lines() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let mut head = joined(&bucket, 1);
        let mut tasks = [500, 800, 400, 700].map(|timeout| with_timeout(&bucket, timeout));
        bucket.reconfigure(&Config::new(Rate::per_minute(1)).burst(5)).unwrap();
        assert!(head.run().is_pending());
        assert!(tasks.iter_mut().all(|task| task.run().is_pending()));
        for (i, time) in [(2, 400), (0, 500), (3, 700), (1, 800)] {
            assert_eq!(clock.next_alarm(), Some(at(time)));
            clock.set_now(at(time));
            assert!(timed_out(&tasks[i].run()));
            assert!(tasks.iter().all(|task| task.wakes() == 0));
        }
        assert_eq!(head.wakes(), 0, "it was not disturbed");
        clock.set_now(clock.next_alarm().unwrap());
        assert_eq!(head.run(), SERVED);
        assert_nobody_waits(&bucket);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_timeout_behind_a_stuck_called_head_expires() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let first = joined(&bucket, 1);
        let mut stuck = joined(&bucket, 1);
        let mut hasty = Task::of(Acquire::new(Arc::clone(&bucket), 9).timeout(ms(1_200))).pending();
        bucket.refund(1);
        drop(first);
        assert_eq!(stuck.wakes(), 1, "called");
        clock.set_now(at(1_199));
        assert_eq!(hasty.run(), Poll::Pending, "the bucket does not hold what both need");
        clock.set_now(at(1_200));
        assert!(timed_out(&hasty.run()));
        assert_eq!(stuck.run(), SERVED);
    }

    #[test]
    fn behind_a_stuck_called_head_a_full_bucket_is_no_reason_to_be_woken() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&bucket, 1)).collect();
        let mut large = joined(&bucket, 8);
        bucket.refund(2);
        drop(tasks.remove(0));
        assert_eq!((tasks[0].wakes(), tasks[1].wakes()), (1, 1), "called");
        let mut alarms = 0;
        while let Some(next) = clock.next_alarm() {
            clock.set_now(next);
            assert_eq!(large.run(), Poll::Pending);
            alarms += 1;
            assert!(alarms < 9, "it is woken for ever");
        }
        // It is full. Now one of the two takes its token, and the other one stays stuck.
        assert_eq!(tasks[0].run(), SERVED);
        clock.set_now(clock.next_alarm().expect("what both need can be there"));
        assert_eq!(large.run(), SERVED);
        assert_eq!(tasks[1].run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_timeout_behind_a_head_that_does_not_answer_its_alarm_expires() {
        let (bucket, clock) = bucket(ten_a_second(2));
        let stuck = joined(&bucket, 2);
        let mut hasty = with_timeout(&bucket, 400);
        clock.set_now(at(200));
        assert_eq!(stuck.wakes(), 1);
        clock.set_now(at(400));
        assert!(timed_out(&hasty.run()));
    }

    #[test]
    fn a_timeout_that_is_not_taken_note_of_delays_nobody_ahead() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let mut head = joined(&bucket, 1);
        let stuck = with_timeout(&bucket, 300);
        bucket.reconfigure(&Config::new(Rate::per_second(1)).burst(5)).unwrap();
        assert!(head.run().is_pending());
        let mut stuck = stuck;
        assert!(stuck.run().is_pending());
        clock.set_now(at(300));
        assert_eq!(stuck.wakes(), 1);
        assert_eq!(clock.next_alarm(), Some(at(1_000)));
        clock.set_now(at(1_000));
        assert_eq!(head.run(), SERVED);
    }

    #[test]
    fn a_timeout_that_is_not_taken_note_of_keeps_the_alarm_from_nobody() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let _large = joined(&bucket, 9);
        let stuck = with_timeout(&bucket, 1_000);
        bucket.reconfigure(&Config::new(Rate::per_second(1)).burst(9)).unwrap();
        let (mut large, mut stuck) = (_large, stuck);
        assert!(large.run().is_pending() && stuck.run().is_pending());
        clock.set_now(at(1_000));
        assert_eq!(stuck.wakes(), 1);
        // Whatever happens now, the alarm is set for those who live.
        let mut other =
            Task::of(Acquire::new(Arc::clone(&bucket), 1).timeout(ms(12_000))).pending();
        assert_eq!(large.poll(), Poll::Pending);
        assert_eq!(clock.next_alarm(), Some(at(9_000)));
        bucket.reconfigure(&Config::new(Rate::per_minute(1)).burst(9)).unwrap();
        assert!(large.run().is_pending() && other.run().is_pending());
        clock.set_now(at(13_000));
        assert!(timed_out(&other.run()), "not hidden by the one that expired before");
    }

    #[test]
    fn a_timeout_expires_after_the_one_before_it_was_served_out_of_turn() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let first = joined(&bucket, 1);
        let stuck = joined(&bucket, 1);
        let mut served = with_timeout(&bucket, 500);
        let mut hasty = Task::of(Acquire::new(Arc::clone(&bucket), 9).timeout(ms(1_200))).pending();
        bucket.refund(1);
        drop(first);
        assert_eq!(stuck.wakes(), 1, "called");
        bucket.refund(1);
        assert_eq!(served.run(), SERVED);
        while clock.now() < at(1_200) {
            assert_eq!(hasty.run(), Poll::Pending);
            clock.set_now(clock.next_alarm().expect("somebody waits"));
        }
        assert!(timed_out(&hasty.run()));
    }

    #[test]
    fn a_timeout_behind_one_that_expired_and_is_stuck_expires() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let mut head = joined(&bucket, 9);
        let (mut stuck, mut later) = (with_timeout(&bucket, 1_000), with_timeout(&bucket, 5_000));
        bucket.reconfigure(&Config::new(Rate::per_second(1)).burst(9)).unwrap();
        assert!(head.run().is_pending() && stuck.run().is_pending() && later.run().is_pending());
        clock.set_now(at(1_000));
        assert_eq!(stuck.wakes(), 1);
        // Whatever happens in the line, the alarm goes to those who sleep.
        assert_eq!(head.poll(), Poll::Pending);
        assert_eq!(clock.next_alarm(), Some(at(5_000)));
        clock.set_now(at(5_000));
        assert!(timed_out(&later.run()));
        assert!(timed_out(&stuck.run()));
    }

    #[test]
    fn whoever_follows_one_that_timed_out_has_its_alarm() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let first = joined(&bucket, 1);
        let (stuck, slow) = (joined(&bucket, 1), joined(&bucket, 3));
        let mut hasty = with_timeout(&bucket, 600);
        let mut next = Task::of(Acquire::new(Arc::clone(&bucket), 2).timeout(ms(900))).pending();
        bucket.refund(1);
        drop(first);
        assert_eq!(stuck.wakes(), 1, "called");
        clock.set_now(at(300));
        assert_eq!(slow.wakes(), 1, "its alarm rang, and it does not look");
        clock.set_now(at(600));
        assert!(timed_out(&hasty.run()));
        assert_eq!(next.run(), SERVED);
        assert_eq!(bucket.available(), 5, "what the two are called for is still there");
    }

    #[test]
    fn whoever_follows_one_served_out_of_turn_has_its_alarm() {
        let (bucket, clock) = bucket(ten_a_second(9));
        let first = joined(&bucket, 1);
        let stuck = joined(&bucket, 1);
        let (mut served, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        bucket.refund(1);
        drop(first);
        assert_eq!(stuck.wakes(), 1, "called");
        bucket.refund(1);
        assert_eq!(served.run(), SERVED);
        clock.set_now(clock.next_alarm().unwrap());
        assert_eq!((clock.now(), next.run()), (at(100), SERVED));
    }
}

/// A clock moved by hand whose `set` can be told to do something first, once, and its next reading to
/// panic.
#[derive(Clone)]
struct Hooked {
    time: ManualClock,
    made: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    hook: Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>,
}

impl Hooked {
    fn new() -> Self {
        Self {
            time: ManualClock::new(),
            made: Arc::default(),
            fails: Arc::default(),
            hook: Arc::default(),
        }
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    fn before_the_next_set(&self, hook: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }
}

impl Clock for Hooked {
    fn now(&self) -> Instant {
        assert!(!self.fails.swap(false, Ordering::SeqCst), "a broken clock, as intended");
        self.time.now()
    }
}

impl Timer for Hooked {
    type Alarm = steadfast_core::ManualAlarm;

    fn alarm(&self) -> Self::Alarm {
        self.made.fetch_add(1, Ordering::SeqCst);
        self.time.alarm()
    }

    fn set(&self, alarm: &mut Self::Alarm, at: Instant, waker: &Waker) {
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        self.time.set(alarm, at, waker);
    }
}

mod w7_foreign_code {
    use super::*;

    fn hooked(config: Config) -> (Arc<TokenBucket<Hooked>>, Hooked) {
        let clock = Hooked::new();
        (Arc::new(config.build_with(clock.clone()).unwrap()), clock)
    }

    /// A waker that runs a closure when it is woken, and another one when it is dropped.
    struct Acts {
        woken: Box<dyn Fn() + Send + Sync>,
        dropped: Box<dyn Fn() + Send + Sync>,
    }

    impl Wake for Acts {
        fn wake(self: Arc<Self>) {
            (self.woken)();
        }
    }

    impl Drop for Acts {
        fn drop(&mut self) {
            (self.dropped)();
        }
    }

    fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Acts { woken: Box::new(f), dropped: Box::new(|| ()) }))
    }

    fn on_drop(f: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Acts { woken: Box::new(|| ()), dropped: Box::new(f) }))
    }

    #[test]
    fn a_waker_that_panics_costs_its_owner_the_place_and_nobody_else_anything() {
        // By whom it is woken: a refund, a close, a leaver.
        for event in 0..3 {
            let (bucket, clock) = bucket(ten_a_second(5));
            let mut first = Some(joined(&bucket, 1));
            let mut broken = unpolled(&bucket, 1);
            assert!(
                broken.poll_with(&on_wake(|| panic!("a broken waker, as intended"))).is_pending()
            );
            let mut next = joined(&bucket, 1);
            if event != 2 {
                drop(first.take());
            }
            match event {
                0 => bucket.refund(1),
                1 => bucket.close(),
                _ => {
                    bucket.refund(1);
                    drop(first.take());
                }
            }
            match event {
                1 => assert_eq!(next.run(), Poll::Ready(Err(AcquireError::Closed))),
                _ => assert_eq!(next.run(), SERVED),
            }
            assert_nobody_waits(&bucket);
            // If it is ever polled, it joins anew.
            clock.advance(ms(100));
            match event {
                1 => assert_eq!(broken.poll(), Poll::Ready(Err(AcquireError::Closed))),
                _ => assert_eq!(broken.poll(), SERVED),
            }
        }
    }

    #[test]
    fn a_clock_that_panics_after_a_waker_did_costs_nobody_the_tokens_he_was_given() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let mut first = joined(&bucket, 1);
        let mut broken = unpolled(&bucket, 1);
        let fails = Arc::clone(&clock.fails);
        let breaks = on_wake(move || {
            fails.store(true, Ordering::SeqCst);
            panic!("a broken waker, as intended");
        });
        assert!(broken.poll_with(&breaks).is_pending());
        let mut next = joined(&bucket, 1);
        clock.time.advance(ms(300));
        assert_eq!(first.run(), SERVED);
        assert!(!clock.fails.load(Ordering::SeqCst), "the clock was read after the waker");
        assert_eq!(next.run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_wait_that_is_dropped_while_the_clock_panics_leaves_its_place_to_the_next() {
        // Whether its turn has come by then.
        for (waited, turn) in [(20, 80), (120, 0)] {
            let (bucket, clock) = hooked(ten_a_second(5));
            clock.time.advance(ms(30));
            let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
            let woken = next.wakes();
            clock.time.advance(ms(waited));
            clock.fails.store(true, Ordering::SeqCst);
            drop(head);
            assert!(!clock.fails.load(Ordering::SeqCst), "the clock was read");
            assert_eq!(next.wakes(), woken + 1, "it is told to look for itself");
            if turn > 0 {
                assert_eq!(next.run(), Poll::Pending);
                clock.time.advance(ms(turn));
            }
            assert_eq!(next.run(), SERVED);
            assert_nobody_waits(&bucket);
        }
    }

    #[test]
    fn a_waker_that_panics_when_it_is_dropped_harms_nobody() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut broken = unpolled(&bucket, 1);
        let dropped = Arc::new(AtomicBool::new(false));
        let panics = {
            let dropped = Arc::clone(&dropped);
            on_drop(move || {
                if !dropped.swap(true, Ordering::SeqCst) && !thread::panicking() {
                    panic!("a broken waker, as intended");
                }
            })
        };
        assert!(broken.poll_with(&panics).is_pending());
        drop(panics);
        let mut next = joined(&bucket, 1);
        // The alarm has a clone: it is dropped as the alarm is set for the next.
        let _caught = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        assert!(dropped.load(Ordering::SeqCst));
        clock.advance(ms(100));
        assert_eq!(next.run(), SERVED);
        assert_nobody_waits(&bucket);
        let _again = joined(&bucket, 1);
        assert!(clock.next_alarm().is_some(), "the line still sets alarms");
    }

    #[test]
    fn a_timer_that_panics_for_another_is_set_by_that_one_itself() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        let again = clock.clone();
        clock.before_the_next_set(move || {
            // The second try with a new alarm fails too.
            again.before_the_next_set(|| panic!("no runtime here, as intended"));
            panic!("no runtime here, as intended");
        });
        drop(head);
        assert_eq!(next.wakes(), 1, "it is told to look after itself");
        assert_eq!(next.run(), Poll::Pending);
        clock.time.advance(ms(100));
        assert_eq!(next.run(), SERVED);
    }

    #[test]
    fn a_timer_that_panics_once_is_given_a_new_alarm() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        clock.before_the_next_set(|| panic!("the alarm's runtime is gone, as intended"));
        drop(head);
        assert_eq!((next.wakes(), clock.made()), (0, 2));
        clock.time.advance(ms(100));
        assert_eq!(next.run(), SERVED);
    }

    #[test]
    fn a_timer_that_panics_for_the_caller_tells_the_caller() {
        let (bucket, clock) = hooked(ten_a_second(5));
        clock.before_the_next_set(|| panic!("no runtime here, as intended"));
        let mut task = unpolled(&bucket, 1);
        assert!(catch_unwind(AssertUnwindSafe(|| task.poll())).is_err());
        drop(task);
        assert_nobody_waits(&bucket);
        let mut next = joined(&bucket, 1);
        clock.time.advance(ms(100));
        assert_eq!(next.run(), SERVED);
    }

    #[test]
    fn a_waker_may_use_the_bucket() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let log = Arc::new(AtomicUsize::new(0));
        let other = Arc::new(Mutex::new(Some(joined(&bucket, 1))));
        let act = {
            let (bucket, log, other) = (Arc::clone(&bucket), Arc::clone(&log), Arc::clone(&other));
            move || {
                log.fetch_add(1, Ordering::SeqCst);
                let _refused = bucket.try_acquire(1);
                let _looked = bucket.stats();
                let _pending = unpolled(&bucket, 1).poll();
                let other = other.lock().unwrap().take();
                drop(other);
                bucket.refund(0);
            }
        };
        let mut woken = unpolled(&bucket, 1);
        assert!(woken.poll_with(&on_wake(act.clone())).is_pending());
        let mut replaced = unpolled(&bucket, 1);
        assert!(replaced.poll_with(&on_drop(act)).is_pending());
        let before = log.load(Ordering::SeqCst);
        assert_eq!(replaced.poll(), Poll::Pending);
        assert!(log.load(Ordering::SeqCst) > before, "dropped when it was replaced");
        clock.advance(ms(100));
        bucket.refund(1);
        assert_eq!(woken.poll(), SERVED);
        assert_eq!(replaced.run(), SERVED);
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_timer_may_use_the_bucket() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        let same = Arc::clone(&bucket);
        clock.before_the_next_set(move || {
            let _refused = same.try_acquire(1);
            drop(joined(&same, 1));
            same.refund(1);
        });
        drop(head);
        assert_eq!(next.run(), SERVED, "the refund came while its waker was lent");
        assert_nobody_waits(&bucket);
    }

    #[test]
    fn a_close_while_a_waker_is_lent_reaches_its_owner() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 1));
        let same = Arc::clone(&bucket);
        clock.before_the_next_set(move || same.close());
        drop(head);
        assert_eq!(next.run(), Poll::Ready(Err(AcquireError::Closed)));
    }

    #[test]
    fn slower_terms_while_a_waker_is_lent_reach_its_owner() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let (head, mut next) = (joined(&bucket, 1), joined(&bucket, 5));
        let same = Arc::clone(&bucket);
        clock.before_the_next_set(move || {
            same.reconfigure(&Config::new(Rate::per_second(1)).burst(2)).unwrap();
        });
        drop(head);
        assert_eq!(next.run(), Poll::Ready(Err(AcquireError::ExceedsBurst { burst: 2 })));
    }

    #[test]
    fn new_terms_while_a_waker_is_lent_for_a_deadline_reach_its_owner() {
        let (bucket, clock) = hooked(ten_a_second(9));
        let stuck = joined(&bucket, 1);
        let in_time = |n, timeout| {
            Task::of(Acquire::new(Arc::clone(&bucket), n).timeout(ms(timeout))).pending()
        };
        let (earlier, mut later) = (in_time(1, 1_000), in_time(5, 2_000));
        let same = Arc::clone(&bucket);
        clock.before_the_next_set(move || {
            same.reconfigure(&Config::new(Rate::per_second(10)).burst(2)).unwrap();
        });
        drop(earlier);
        assert_eq!(later.run(), Poll::Ready(Err(AcquireError::ExceedsBurst { burst: 2 })));
        assert_eq!(stuck.wakes(), 1);
    }

    #[test]
    fn an_alarm_set_with_a_waker_that_was_replaced_meanwhile_is_set_again() {
        let (bucket, clock) = hooked(ten_a_second(5));
        let head = joined(&bucket, 1);
        let next = Arc::new(Mutex::new(joined(&bucket, 1)));
        let moved = Arc::new(Wakes::default());
        let (same, waker) = (Arc::clone(&next), Waker::from(Arc::clone(&moved)));
        // It is polled by another task while its waker is lent.
        clock.before_the_next_set(move || {
            assert!(same.lock().unwrap().poll_with(&waker).is_pending());
        });
        drop(head);
        clock.time.advance(ms(100));
        assert_eq!(moved.count(), 1);
        assert_eq!(next.lock().unwrap().poll(), SERVED);
    }

    #[test]
    fn an_alarm_for_somebody_who_left_meanwhile_is_set_for_the_next_or_switched_off() {
        for behind in [false, true] {
            let (bucket, clock) = hooked(ten_a_second(5));
            let (head, next) = (joined(&bucket, 1), joined(&bucket, 1));
            let mut last = behind.then(|| joined(&bucket, 1));
            clock.before_the_next_set(move || drop(next));
            drop(head);
            match &mut last {
                None => assert_eq!(clock.time.next_alarm(), None),
                Some(last) => {
                    clock.time.advance(ms(100));
                    assert_eq!(last.run(), SERVED);
                }
            }
            assert_nobody_waits(&bucket);
        }
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken_and_no_earlier_one() {
        let (bucket, clock) = bucket(ten_a_second(5));
        for refund in [false, true] {
            let mut task = unpolled(&bucket, 1);
            let wakes: Vec<_> = (0..4).map(|_| Arc::<Wakes>::default()).collect();
            for wakes in &wakes {
                assert!(task.poll_with(&Waker::from(Arc::clone(wakes))).is_pending());
            }
            if refund {
                bucket.refund(1)
            } else {
                clock.advance(ms(100))
            }
            let counts: Vec<_> = wakes.iter().map(|wakes| wakes.count()).collect();
            assert_eq!(counts, [0, 0, 0, 1]);
            assert_eq!(task.poll(), SERVED);
        }
    }

    #[test]
    fn repolling_without_a_wake_changes_nothing() {
        let (bucket, clock) = bucket(ten_a_second(5));
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&bucket, 1)).collect();
        for step in 1..=30 {
            // As in a `select!` in a loop whose other branch is always ready.
            clock.set_now(at(10 * step));
            let states: Vec<_> = tasks.iter_mut().map(Task::poll).collect();
            let served = states.iter().filter(|state| **state == SERVED).count();
            assert_eq!(served, usize::from(step % 10 == 0), "at {step}");
            tasks.drain(..served);
        }
        assert_nobody_waits(&bucket);
    }

    #[test]
    #[should_panic(expected = "a wait was polled after it was over")]
    fn a_poll_after_the_end_panics() {
        let (bucket, _clock) = bucket(ten_a_second(5).initial(5));
        let mut task = unpolled(&bucket, 1);
        assert_eq!(task.poll(), SERVED);
        let _ = task.poll();
    }

    #[test]
    fn an_acquire_by_arc_is_send_and_static() {
        fn check<T: Send + Unpin + 'static>(_: &T) {}
        let (bucket, _clock) = bucket(ten_a_second(5).initial(5));
        let wait = Acquire::new(Arc::clone(&bucket), 1);
        check(&wait);
        assert_eq!(thread::spawn(|| wait.wait()).join().unwrap(), Ok(()));
    }
}

mod w8_fast_path {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn an_uncontended_acquire_allocates_nothing_and_marks_nothing() {
        let (bucket, clock) = bucket(ten_a_second(100).initial(100));
        let mut cx = Context::from_waker(Waker::noop());
        let count = allocations(|| {
            for _ in 0..10 {
                assert_eq!(Pin::new(&mut bucket.acquire(1)).poll(&mut cx), SERVED);
                assert_eq!(bucket.acquire(1).timeout(ms(1)).wait(), Ok(()));
                assert_eq!(bucket.acquire(1).wait(), Ok(()));
                drop(bucket.acquire(1));
            }
        });
        assert_eq!(count, 0);
        assert_nobody_waits(&bucket);
        assert_eq!(bucket.stats().line.wake_ups, 0);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_line_that_has_been_as_long_before_allocates_no_more_places() {
        let (bucket, clock) = bucket(ten_a_second(1));
        let waker = Waker::from(Arc::new(Wakes::default()));
        let round = || {
            let mut waits: [_; 4] = std::array::from_fn(|_| bucket.acquire(1));
            for wait in &mut waits {
                assert!(Pin::new(wait).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            for wait in &mut waits {
                clock.advance(ms(100));
                assert_eq!(Pin::new(wait).poll(&mut Context::from_waker(&waker)), SERVED);
            }
        };
        let first = allocations(round);
        let later = (0..5).map(|_| allocations(round)).max();
        // The rest is what the manual clock allocates.
        assert!(later < Some(first), "{later:?} {first}");
    }
}

mod storms {
    use super::*;

    /// xorshift64*: enough to shuffle tests, and the same everywhere.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
        }
    }

    struct Guest {
        task: Task,
        n: u64,
        deadline: Option<Instant>,
    }

    struct Storm {
        dice: Dice,
        bucket: Arc<Bucket>,
        clock: ManualClock,
        /// In the order of joining.
        guests: Vec<Guest>,
        granted: u64,
        refunded: u64,
        /// Units of a nanosecond-token, exactly.
        accrued: u128,
        rate: u64,
    }

    impl Storm {
        fn new(seed: u64) -> Self {
            let (bucket, clock) = bucket(ten_a_second(5));
            let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            Self {
                dice,
                bucket,
                clock,
                guests: Vec::new(),
                granted: 0,
                refunded: 0,
                accrued: 0,
                rate: 10,
            }
        }

        fn advance(&mut self, time: Duration) {
            self.accrued += time.as_nanos() * u128::from(self.rate);
            self.clock.advance(time);
        }

        /// Takes note of an answer. Whether the guest is gone.
        fn note(&mut self, n: u64, deadline: Option<Instant>, answer: Answer) -> bool {
            match answer {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => self.granted += n,
                Poll::Ready(Err(AcquireError::TimedOut { .. })) => {
                    assert!(deadline.is_some(), "nobody asked for a limit");
                }
                Poll::Ready(Err(AcquireError::ExceedsBurst { burst })) => assert!(n > burst),
                Poll::Ready(Err(error)) => panic!("{error:?}"),
            }
            true
        }

        fn join(&mut self) {
            let n = 1 + self.dice.roll(6);
            let mut wait = Acquire::new(Arc::clone(&self.bucket), n);
            let mut deadline = None;
            if self.dice.roll(3) == 0 {
                let timeout = ms(self.dice.roll(3_000));
                deadline = Some(self.clock.now().saturating_add(timeout));
                wait = wait.timeout(timeout);
            }
            let mut task = Task::of(wait);
            let answer = task.poll();
            if !self.note(n, deadline, answer) {
                self.guests.push(Guest { task, n, deadline });
            }
        }

        fn poll(&mut self, i: usize, only_if_woken: bool) -> bool {
            let guest = &mut self.guests[i];
            let (n, deadline) = (guest.n, guest.deadline);
            let answer = if only_if_woken { guest.task.run() } else { guest.task.poll() };
            let gone = self.note(n, deadline, answer);
            if gone {
                drop(self.guests.remove(i));
            }
            gone
        }

        /// An executor: polls who has been woken, in any order, until nobody is.
        fn settle(&mut self) {
            let mut rounds = 0;
            while self.guests.iter().any(|guest| guest.task.wakes() > 0) {
                rounds += 1;
                assert!(rounds < 10_000, "they wake one another for ever");
                let i = self.dice.roll(self.guests.len() as u64) as usize;
                self.poll(i, true);
            }
            self.check_at_rest();
        }

        /// Everybody who was woken has been polled.
        fn check_at_rest(&self) {
            let now = self.clock.now();
            assert_eq!(self.bucket.stats().line.waiting as usize, self.guests.len());
            assert_eq!(self.bucket.snapshot().word().is_occupied(), !self.guests.is_empty());
            let weight: u64 = self.guests.iter().map(|guest| guest.n).sum();
            if let Some(first) = self.guests.first() {
                let ready_at = self.bucket.snapshot().ready_at(u128::from(first.n), now);
                assert!(ready_at > now, "the first waits while there is enough");
                let alarm = self.clock.next_alarm().expect("somebody waits");
                assert!(alarm <= ready_at, "the first is woken late");
                let behind = Err(TryAcquireError::Denied {
                    retry_at: self.bucket.snapshot().ready_at(u128::from(weight + 1), now),
                    now,
                });
                assert_eq!(self.bucket.try_acquire(1), behind);
                let deadline = self.guests.iter().filter_map(|guest| guest.deadline).min();
                assert!(deadline.is_none_or(|deadline| deadline > now && alarm <= deadline));
            } else {
                assert_eq!(self.clock.next_alarm(), None);
            }
            self.check_budget();
        }

        fn check_budget(&self) {
            let spent = u128::from(self.granted) * 1_000_000_000;
            let earned = self.accrued + u128::from(self.refunded) * 1_000_000_000;
            assert!(spent <= earned, "more was granted than ever was there");
        }

        fn step(&mut self) {
            match self.dice.roll(24) {
                0..6 => self.join(),
                6..9 if !self.guests.is_empty() => {
                    let i = self.dice.roll(self.guests.len() as u64) as usize;
                    drop(self.guests.remove(i));
                }
                9..13 if !self.guests.is_empty() => {
                    let i = self.dice.roll(self.guests.len() as u64) as usize;
                    let only_if_woken = self.dice.roll(2) == 0;
                    self.poll(i, only_if_woken);
                }
                13..17 => {
                    let time = Duration::from_micros(self.dice.roll(300_000));
                    self.advance(time);
                }
                17 => {
                    let n = self.dice.roll(3);
                    self.refunded += n;
                    self.bucket.refund(n);
                }
                18 => {
                    self.rate = 1 + self.dice.roll(20);
                    let burst = 3 + self.dice.roll(4);
                    let terms = Config::new(Rate::per_second(self.rate)).burst(burst);
                    self.bucket.reconfigure(&terms).unwrap();
                }
                19 => {
                    if let Some(next) = self.clock.next_alarm() {
                        let time = next.saturating_duration_since(self.clock.now());
                        self.advance(time);
                    }
                }
                _ => self.settle(),
            }
            self.check_budget();
        }
    }

    #[test]
    fn whatever_comes_the_line_stays_sound_and_ends_empty() {
        for seed in 0..60 {
            let mut storm = Storm::new(seed);
            for _ in 0..1_500 {
                storm.step();
            }
            storm.settle();
            assert!(storm.granted > 0);
            while !storm.guests.is_empty() {
                let i = storm.dice.roll(storm.guests.len() as u64) as usize;
                drop(storm.guests.remove(i));
                if storm.dice.roll(2) == 0 {
                    storm.settle();
                }
            }
            assert_nobody_waits(&storm.bucket);
            assert_eq!(storm.clock.next_alarm(), None);
        }
    }

    #[test]
    fn whoever_is_left_alone_is_served_in_the_end() {
        for seed in 100..140 {
            let mut storm = Storm::new(seed);
            for _ in 0..300 {
                storm.step();
            }
            storm.settle();
            while !storm.guests.is_empty() {
                let next = storm.clock.next_alarm().expect("somebody waits");
                let time = next.saturating_duration_since(storm.clock.now());
                assert!(time > Duration::ZERO, "time moves on");
                storm.advance(time);
                storm.settle();
            }
        }
    }
}

/// Tests that really wait. Each has a watchdog, so that a lost wake-up fails instead of hanging.
mod threads {
    use super::*;

    #[test]
    fn threads_and_tasks_share_one_line() {
        watched(|| {
            let bucket =
                Arc::new(Config::new(Rate::per_second(2_000)).burst(5).initial(0).build().unwrap());
            let start = SystemClock.now();
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let bucket = Arc::clone(&bucket);
                    runtime.spawn(async move {
                        for _ in 0..10 {
                            bucket.acquire(2).await.unwrap();
                        }
                    })
                })
                .collect();
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let bucket = Arc::clone(&bucket);
                    thread::spawn(move || (0..50).for_each(|_| bucket.acquire(2).wait().unwrap()))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            for task in tasks {
                runtime.block_on(task).unwrap();
            }
            let took = SystemClock.now().saturating_duration_since(start);
            assert!(took >= ms(400), "800 tokens at 2,000 a second, in {took:?}");
            assert_nobody_waits(&bucket);
        });
    }

    #[test]
    fn a_manual_clock_wakes_blocked_threads() {
        watched(|| {
            let (bucket, clock) = bucket(ten_a_second(4));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let bucket = Arc::clone(&bucket);
                    thread::spawn(move || bucket.acquire(1).wait())
                })
                .collect();
            while bucket.stats().line.waiting < 4 {
                thread::yield_now();
            }
            clock.advance(ms(400));
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Ok(()));
            }
            assert_eq!(bucket.available(), 0);
            assert_nobody_waits(&bucket);
        });
    }

    #[test]
    fn a_blocked_thread_hears_of_a_refund_a_close_and_its_timeout() {
        watched(|| {
            let config = Config::new(Rate::per_hour(1)).burst(2).initial(0);
            let bucket = Arc::new(config.build().unwrap());
            let blocked = |timeout: Option<Duration>| {
                let wait = Acquire::new(Arc::clone(&bucket), 1);
                let wait = timeout.into_iter().fold(wait, Acquire::timeout);
                let before = bucket.stats().line.waiting;
                let thread = thread::spawn(|| wait.wait());
                while bucket.stats().line.waiting == before {
                    thread::yield_now();
                }
                thread
            };
            let served = blocked(None);
            bucket.refund(1);
            assert_eq!(served.join().unwrap(), Ok(()));
            let long = Duration::from_secs(86_400);
            let late = blocked(Some(long));
            bucket.reconfigure(&Config::new(Rate::per_day(1)).burst(2)).unwrap();
            let closed = blocked(None);
            bucket.close();
            assert_eq!(closed.join().unwrap(), Err(AcquireError::Closed));
            assert_eq!(late.join().unwrap(), Err(AcquireError::Closed));
            assert_nobody_waits(&bucket);
        });
    }

    #[test]
    fn a_timeout_of_a_thread_expires_behind_a_task_that_is_stuck() {
        watched(|| {
            let config = Config::new(Rate::per_second(100)).burst(2).initial(0);
            let bucket = Arc::new(config.build().unwrap());
            let _stuck = joined(&bucket, 2);
            let late = bucket.acquire(1).timeout(ms(60)).wait();
            assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
        });
    }

    #[test]
    fn two_reconfigurers_leave_the_terms_of_one() {
        // Whoever comes second spins, which loom cannot follow to an end.
        watched(|| {
            let terms = |n| Config::new(Rate::per_second(n)).burst(n);
            for _ in 0..500 {
                let bucket = Arc::new(terms(4).build_at(ManualClock::new(), at(0)).unwrap());
                // Fewer than 64 in all: generations are told apart by 6 bits.
                let changers = [5, 6, 7].map(|n| {
                    let bucket = Arc::clone(&bucket);
                    thread::spawn(move || {
                        (0..20).for_each(|_| bucket.reconfigure_at(&terms(n), at(0)).unwrap());
                    })
                });
                while changers.iter().any(|changer| !changer.is_finished()) {
                    let seen = bucket.snapshot();
                    let burst = seen.limits().burst();
                    assert_eq!(seen.limits().rate(), Rate::per_second(burst));
                    assert_eq!(seen.available(at(0)), 4, "carried over from one to the next");
                }
                changers.into_iter().for_each(|changer| changer.join().unwrap());
            }
        });
    }

    #[test]
    fn a_storm_of_timeouts_and_cancels_loses_nobody() {
        /// Two thirds of a second's tokens, however long they take on a busy machine; a stop is for the
        /// watchdog.
        const ENOUGH: u64 = 13_333;
        watched(|| {
            let bucket = Arc::new(
                Config::new(Rate::per_second(20_000)).burst(10).initial(0).build().unwrap(),
            );
            let granted = Arc::new(AtomicU64::new(0));
            let start = SystemClock.now();
            let threads: Vec<_> = (0..8_u64)
                .map(|seed| {
                    let (bucket, granted) = (Arc::clone(&bucket), Arc::clone(&granted));
                    thread::spawn(move || {
                        let mut dice = seed + 1;
                        while granted.load(Ordering::Relaxed) < ENOUGH {
                            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            let n = 1 + (dice >> 33) % 5;
                            let result = match (dice >> 40) % 5 {
                                0 => bucket
                                    .acquire(n)
                                    .timeout(Duration::from_micros((dice >> 50) % 2_000))
                                    .wait(),
                                1 => {
                                    // Polled as a task, then dropped or waited for as a thread.
                                    let mut task = unpolled(&bucket, n);
                                    match task.poll() {
                                        Poll::Ready(result) => result,
                                        Poll::Pending if (dice >> 45) % 2 == 0 => continue,
                                        Poll::Pending => task.future.wait(),
                                    }
                                }
                                2 => match bucket.try_acquire(n) {
                                    Ok(()) => Ok(()),
                                    Err(_) => continue,
                                },
                                _ => bucket.acquire(n).wait(),
                            };
                            if result.is_ok() {
                                granted.fetch_add(n, Ordering::Relaxed);
                            }
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let took = SystemClock.now().saturating_duration_since(start).as_nanos();
            let granted = u128::from(granted.load(Ordering::Relaxed));
            assert!(
                granted * 1_000_000_000 <= took * 20_000 + 1_000_000_000,
                "{granted} in {took} ns"
            );
            assert_nobody_waits(&bucket);
        });
    }
}
