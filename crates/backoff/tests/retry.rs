//! What the documentation of `Retry`, `Stop` and `RetryError` promises, one claim a test. That the
//! three endings are one is in `retry_model.rs`; here each claim has the ending that suits it.

#![cfg(all(feature = "std", not(loom)))]

use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use steadfast_backoff::{
    Budget, BudgetConfig, Config, Event, GaveUp, Jitter, Next, Policy, Random, RetryError, Stop,
};
use steadfast_core::{Clock, Instant, ManualClock, SystemClock, TokioClock};
use steadfast_test_support::clocks::Hurried;
use steadfast_test_support::task::Task;

const HOUR: Duration = Duration::from_secs(3_600);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn every(delay: Duration) -> Policy {
    Config::constant(delay).unlimited().build().unwrap()
}

fn hurried() -> (ManualClock, Hurried) {
    let clock = ManualClock::new();
    (clock.clone(), Hurried(clock))
}

/// A retry, polled by hand.
fn by_hand<R: IntoFuture>(retry: R) -> Task<Pin<Box<R::IntoFuture>>> {
    Task::of(Box::pin(retry.into_future()))
}

/// Pending once.
async fn once_around() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn failed<T, E>(
    outcome: Option<Result<T, E>>,
    attempts: u32,
    elapsed: Duration,
    reason: GaveUp,
) -> Result<T, RetryError<T, E>> {
    Err(RetryError { outcome, attempts, elapsed, reason })
}

mod outcomes {
    use super::*;

    #[test]
    fn zero_retries_make_one_attempt() {
        let policy = Config::constant(HOUR).max_retries(0).build().unwrap();
        let expected = failed::<(), _>(Some(Err(0)), 1, ms(0), GaveUp::RetriesExhausted);
        let (clock, hurry) = hurried();
        assert_eq!(policy.retry(Err).clock(hurry.clone()).wait(), expected);
        assert_eq!(
            policy.retry(async |n| Err(n)).clock(hurry.clone()).run().now_or_never(),
            Some(expected)
        );
        let named = policy.retry(|n| ready(Err(n))).clock(hurry).into_future().now_or_never();
        assert_eq!(named, Some(expected));
        assert_eq!(clock.now(), at(0));
    }

    #[test]
    fn retries_are_counted_without_the_first_attempt() {
        let policy = Config::constant(ms(10)).max_retries(4).build().unwrap();
        let (_, hurry) = hurried();
        let result = policy.retry(Err::<(), _>).clock(hurry).wait();
        assert_eq!(result, failed(Some(Err(4)), 5, ms(40), GaveUp::RetriesExhausted));
    }

    #[test]
    fn a_retry_does_nothing_unless_it_is_awaited_or_waited_for() {
        let budget = BudgetConfig::new(1.0).build().unwrap();
        let calls = Cell::new(0);
        let op = |_| -> Result<(), ()> {
            calls.set(calls.get() + 1);
            Ok(())
        };
        let later = |n| ready(op(n));
        drop(every(ms(1)).retry(op).budget(&budget));
        drop(every(ms(1)).retry(later).budget(&budget).into_future());
        drop(every(ms(1)).retry(later).budget(&budget).run());
        assert_eq!((calls.get(), budget.balance()), (0, 0));
    }

    #[test]
    fn an_ok_can_be_retried_and_an_error_be_final() {
        let (_, hurry) = hurried();
        let policy = every(ms(10));
        let more = policy.retry(Ok::<_, ()>).when(|outcome| *outcome < Ok(3)).clock(hurry.clone());
        assert_eq!(more.wait(), Ok(3));
        let fatal = |n: u32| Err::<(), _>(if n == 2 { "fatal" } else { "transient" });
        let result = policy.retry(fatal).when(|o| *o != Err("fatal")).clock(hurry).wait();
        assert_eq!(result, failed(Some(Err("fatal")), 3, ms(20), GaveUp::NotRetryable));
    }

    #[test]
    fn an_ok_that_was_given_up_on_is_in_the_error() {
        let policy = Config::constant(ms(10)).max_retries(1).build().unwrap();
        let (_, hurry) = hurried();
        let result = policy.retry(Ok::<_, ()>).when(|_| true).clock(hurry).wait();
        assert_eq!(result, failed(Some(Ok(1)), 2, ms(10), GaveUp::RetriesExhausted));
        assert_eq!(result.unwrap_err().into_error(), None);
    }

    #[test]
    fn the_last_outcome_comes_back_untouched() {
        // Neither `Clone` nor `Debug`, and known by its address.
        struct Opaque(u8);
        let mut seen = std::ptr::null();
        let policy = Config::constant(ms(1)).max_retries(2).build().unwrap();
        let (_, hurry) = hurried();
        let op = |_| {
            let error = Box::new(Opaque(7));
            seen = &raw const *error;
            Err::<(), _>(error)
        };
        let error = policy.retry(op).clock(hurry).wait().err().and_then(RetryError::into_error);
        let error = error.expect("an error");
        assert!(std::ptr::eq(&raw const *error, seen));
        assert_eq!(error.0, 7);
    }

    #[test]
    fn the_last_outcome_survives_a_later_attempt_that_timed_out() {
        let policy = Config::constant(ms(10)).max_retries(2).build().unwrap();
        let clock = ManualClock::new();
        let op = async |n: u32| if n == 1 { Err::<(), _>("refused") } else { pending().await };
        let told = RefCell::new(Vec::new());
        let notify =
            |event: &Event<'_, (), &'static str>| told.borrow_mut().push(event.outcome.copied());
        let retry = policy.retry(op).attempt_timeout(ms(5)).clock(clock.clone()).notify(notify);
        let mut task = by_hand(retry.run());
        let result = loop {
            if let Poll::Ready(result) = task.poll() {
                break result;
            }
            clock.set_now(clock.next_alarm().expect("a sleep or a limit"));
        };
        assert_eq!(result, failed(Some(Err("refused")), 3, ms(30), GaveUp::RetriesExhausted));
        assert_eq!(*told.borrow(), [None, Some(Err("refused")), None]);
    }

    #[test]
    fn an_attempt_that_timed_out_is_retried_whatever_else_is() {
        let clock = ManualClock::new();
        let op = async |n: u32| if n == 0 { pending().await } else { Ok::<_, ()>(n) };
        let retry = every(ms(10)).retry(op).when(|_| false).attempt_timeout(ms(5));
        let mut task = by_hand(retry.clock(clock.clone())).pending();
        clock.set_now(at(5));
        assert!(task.poll().is_pending());
        clock.set_now(at(15));
        assert_eq!(task.output(), Ok(1));
    }

    #[test]
    fn an_attempt_that_was_cut_off_is_gone_before_anybody_is_told() {
        let policy = Config::constant(ms(10)).max_retries(0).build().unwrap();
        let token = Rc::new(());
        let op = |_| {
            let held = Rc::clone(&token);
            async move {
                let never = pending::<Result<(), ()>>().await;
                drop(held);
                never
            }
        };
        let free = Cell::new(0);
        let notify = |_: &Event<'_, (), ()>| {
            free.set(free.get() + u8::from(Rc::strong_count(&token) == 1));
        };
        let retry = || {
            let (_, hurry) = hurried();
            policy.retry(op).attempt_timeout(ms(5)).clock(hurry).notify(notify)
        };
        let expected = failed(None, 1, ms(5), GaveUp::RetriesExhausted);
        assert_eq!(block_on(retry().into_future()), expected);
        assert_eq!(free.get(), 1);
        assert_eq!(block_on(retry().run()), expected);
        assert_eq!(free.get(), 2);
    }

    #[test]
    fn an_error_says_how_often_how_long_and_why() {
        use std::error::Error;
        let gone = std::io::Error::other("gone");
        let error = RetryError::<(), _> {
            outcome: Some(Err(gone)),
            attempts: 3,
            elapsed: ms(70),
            reason: GaveUp::Deadline,
        };
        assert_eq!(error.to_string(), "gave up after 3 attempts in 70ms: no time left");
        assert_eq!(error.source().expect("a source").to_string(), "gone");
    }
}

mod time {
    use super::*;

    #[test]
    fn a_deadline_that_has_come_makes_no_attempt() {
        let budget = BudgetConfig::new(1.0).build().unwrap();
        let clock = ManualClock::starting_at(at(50));
        let retry = || {
            let op = |_| -> Result<(), ()> { panic!("an attempt") };
            every(ms(1)).retry(op).clock(clock.clone()).budget(&budget)
        };
        let expected = failed(None, 0, ms(0), GaveUp::Deadline);
        assert_eq!(retry().deadline(at(49)).wait(), expected);
        assert_eq!(retry().deadline(at(50)).wait(), expected);
        assert_eq!(retry().timeout(ms(0)).wait(), expected);
        assert_eq!(budget.balance(), 0, "no call, no deposit");
    }

    #[test]
    fn a_sleep_until_the_deadline_is_not_begun() {
        let run = |nanos| {
            let (clock, hurry) = hurried();
            let retry = every(ms(10)).retry(Err::<(), _>).clock(hurry);
            (retry.deadline(Instant::from_nanos(nanos)).wait(), clock.now())
        };
        let exact = failed(Some(Err(1)), 2, ms(10), GaveUp::Deadline);
        assert_eq!(run(20_000_000), (exact, at(10)));
        let later = failed(Some(Err(2)), 3, ms(20), GaveUp::Deadline);
        assert_eq!(run(20_000_001), (later, at(20)));
    }

    #[test]
    fn the_earliest_limit_counts() {
        for (deadline, timeout, elapsed) in [(25, 99, 99), (99, 25, 99), (99, 99, 25)] {
            let (_, hurry) = hurried();
            let policy = Config::constant(ms(10)).unlimited().max_elapsed(ms(elapsed));
            let retry = policy.build().unwrap().retry(Err::<(), _>).clock(hurry);
            let result = retry.deadline(at(deadline)).timeout(ms(timeout)).wait();
            assert_eq!(result, failed(Some(Err(2)), 3, ms(20), GaveUp::Deadline));
        }
    }

    #[test]
    fn a_timeout_counts_from_the_first_poll() {
        let clock = ManualClock::new();
        let op = |_| pending::<Result<(), ()>>();
        let mut task = by_hand(every(ms(1)).retry(op).timeout(ms(10)).clock(clock.clone()));
        clock.advance(HOUR);
        assert!(task.poll().is_pending());
        clock.advance(ms(10));
        assert_eq!(task.output(), failed(None, 1, ms(10), GaveUp::Deadline));
    }

    #[test]
    fn an_awaited_attempt_is_cut_off_by_the_deadline_and_a_blocking_one_ends() {
        let clock = ManualClock::new();
        let op = |_| pending::<Result<(), ()>>();
        let mut task =
            by_hand(every(ms(1)).retry(op).deadline(at(10)).clock(clock.clone())).pending();
        assert_eq!(clock.next_alarm(), Some(at(10)));
        clock.set_now(at(10));
        assert_eq!(task.wakes(), 1);
        assert_eq!(task.output(), failed(None, 1, ms(10), GaveUp::Deadline));
        assert_eq!(clock.next_alarm(), None);

        let slow = |ok: bool| {
            let clock = ManualClock::new();
            let op = |_| {
                clock.advance(ms(70));
                if ok { Ok(()) } else { Err(()) }
            };
            every(ms(1)).retry(op).deadline(at(10)).clock(clock.clone()).wait()
        };
        assert_eq!(slow(true), Ok(()));
        assert_eq!(slow(false), failed(Some(Err(())), 1, ms(70), GaveUp::Deadline));
    }

    #[test]
    fn what_is_there_at_the_deadline_is_taken() {
        let clock = ManualClock::new();
        let now = clock.clone();
        let op =
            move |_| {
                let now = now.clone();
                poll_fn(move |_| {
                    if now.now() < at(10) { Poll::Pending } else { Poll::Ready(Ok::<_, ()>(7)) }
                })
            };
        let retry = every(ms(1)).retry(op).deadline(at(10)).attempt_timeout(ms(10));
        let mut task = by_hand(retry.clock(clock.clone())).pending();
        clock.set_now(at(10));
        assert_eq!(task.output(), Ok(7));
    }

    #[test]
    fn an_attempt_timeout_of_zero_takes_what_is_there_at_once() {
        let clock = ManualClock::new();
        let op = async |n: u32| if n == 1 { Ok::<_, ()>(n) } else { pending().await };
        let retry = every(ms(10)).retry(op).attempt_timeout(ms(0)).clock(clock.clone());
        let mut task = by_hand(retry).pending();
        clock.set_now(at(10));
        assert_eq!(task.output(), Ok(1));
    }

    #[test]
    fn an_attempt_timeout_is_its_own_for_each_attempt() {
        let clock = ManualClock::new();
        let op = |_| pending::<Result<(), ()>>();
        let policy = Config::constant(ms(10)).max_retries(1).build().unwrap();
        let mut task = by_hand(policy.retry(op).attempt_timeout(ms(7)).clock(clock.clone()));
        for due in [7, 17, 24] {
            assert!(task.poll().is_pending());
            assert_eq!(clock.next_alarm(), Some(at(due)));
            clock.set_now(at(due));
        }
        assert_eq!(task.output(), failed(None, 2, ms(24), GaveUp::RetriesExhausted));
    }

    #[test]
    fn a_late_wake_begins_no_attempt_at_the_deadline_or_later() {
        for (late, attempts) in [(29, 2), (30, 1), (31, 1)] {
            let clock = ManualClock::new();
            let op = |n| ready(if n == 0 { Err(()) } else { Ok(()) });
            let mut task = by_hand(every(ms(10)).retry(op).deadline(at(30)).clock(clock.clone()));
            assert!(task.poll().is_pending());
            clock.set_now(at(late));
            let expected = match attempts {
                1 => failed(Some(Err(())), 1, ms(late), GaveUp::Deadline),
                _ => Ok(()),
            };
            assert_eq!(task.output(), expected);
        }
    }

    #[test]
    fn notice_that_takes_until_the_deadline_is_followed_by_no_attempt() {
        let clock = ManualClock::new();
        let retry = every(ms(10)).retry(Err::<(), _>).deadline(at(30)).clock(clock.clone());
        let result = retry.notify(|_| clock.advance(ms(30))).wait();
        assert_eq!(result, failed(Some(Err(0)), 1, ms(30), GaveUp::Deadline));
    }

    #[test]
    fn the_time_of_notice_is_part_of_the_sleep() {
        let clock = ManualClock::new();
        let retry = every(ms(10)).retry(|n| ready(Err::<(), _>(n))).clock(clock.clone());
        let mut task = by_hand(retry.notify(|_| clock.advance(ms(4)))).pending();
        assert_eq!(clock.next_alarm(), Some(at(10)));
        clock.set_now(at(10));
        assert!(task.poll().is_pending());
        assert_eq!(clock.next_alarm(), Some(at(20)));
    }

    #[test]
    fn a_delay_beyond_the_end_of_time_is_not_begun() {
        let clock = ManualClock::starting_at(at(5));
        let policy = Config::from_fn(|_| Duration::MAX).build().unwrap();
        let result = policy.retry(Err::<(), _>).clock(clock.clone()).wait();
        assert_eq!(result, failed(Some(Err(0)), 1, ms(0), GaveUp::Deadline));
        let hinted = every(ms(1)).retry(Err::<(), _>).hint(|_| Some(Duration::MAX)).clock(clock);
        assert_eq!(hinted.max_hint(Duration::MAX).wait().unwrap_err().reason, GaveUp::Deadline);
    }

    #[test]
    fn a_clock_that_steps_back_breaks_nothing() {
        let clock = ManualClock::starting_at(at(50));
        let op = |n: u32| ready(if n < 2 { Err(n) } else { Ok(n) });
        let mut task = by_hand(every(ms(10)).retry(op).clock(clock.clone())).pending();
        clock.set_now(at(60));
        assert!(task.poll().is_pending());
        clock.set_now(at(20));
        assert!(task.poll().is_pending());
        assert_eq!(clock.next_alarm(), Some(at(70)));
        clock.set_now(at(70));
        assert_eq!(task.output(), Ok(2));
    }
}

mod hints {
    use super::*;

    /// The delays that a retry makes whose first outcome asks for `hint`.
    fn delays(config: Config, hint: Duration, longest: Option<Duration>) -> Vec<Next> {
        let (_, hurry) = hurried();
        let mut told = Vec::new();
        let retry = config.build().unwrap().retry(Err::<(), _>).clock(hurry).rng(|| u64::MAX);
        let mut retry = retry
            .hint(|outcome| (*outcome == Err(0)).then_some(hint))
            .notify(|event| told.push(event.next));
        if let Some(longest) = longest {
            retry = retry.max_hint(longest);
        }
        assert_eq!(retry.wait().unwrap_err().attempts, 4);
        told.pop();
        told
    }

    #[test]
    fn a_hint_replaces_one_delay_and_no_other() {
        let expected = [Next::Hinted(ms(77)), Next::Backoff(ms(20)), Next::Backoff(ms(40))];
        assert_eq!(delays(Config::exponential(ms(10)), ms(77), None), expected);
    }

    #[test]
    fn a_hint_of_zero_is_a_hint() {
        let expected = [Next::Hinted(ms(0)), Next::Backoff(ms(10)), Next::Backoff(ms(10))];
        assert_eq!(delays(Config::constant(ms(10)).floor(ms(5)), ms(0), None), expected);
    }

    #[test]
    fn a_hint_is_believed_up_to_its_limit_or_else_to_the_cap() {
        let hinted = |config, longest| delays(config, ms(500), longest)[0];
        let config = Config::constant(ms(10));
        assert_eq!(hinted(config, None), Next::Hinted(ms(500)));
        assert_eq!(hinted(config.cap(ms(60)), None), Next::Hinted(ms(60)));
        assert_eq!(hinted(config.cap(ms(60)), Some(ms(70))), Next::Hinted(ms(70)));
        assert_eq!(hinted(config, Some(ms(5))), Next::Hinted(ms(5)));
    }

    #[test]
    fn jitter_knows_nothing_of_hints() {
        let config = Config::constant(ms(10)).jitter(Jitter::Decorrelated);
        let expected = [Next::Hinted(ms(777)), Next::Backoff(ms(30)), Next::Backoff(ms(90))];
        assert_eq!(delays(config, ms(777), None), expected);
    }

    #[test]
    fn a_hint_beyond_the_deadline_gives_up_at_once() {
        let (clock, hurry) = hurried();
        let retry = every(ms(1)).retry(Err::<(), _>).hint(|_| Some(ms(30))).clock(hurry);
        let result = retry.deadline(at(30)).wait();
        assert_eq!(result, failed(Some(Err(0)), 1, ms(0), GaveUp::Deadline));
        assert_eq!(clock.now(), at(0));
    }

    #[test]
    fn a_value_that_is_retried_can_ask_for_a_delay() {
        let (clock, hurry) = hurried();
        let retry = every(ms(1)).retry(Ok::<_, ()>).when(|outcome| *outcome < Ok(1)).clock(hurry);
        assert_eq!(retry.hint(|outcome| outcome.ok().map(|_| ms(30))).wait(), Ok(1));
        assert_eq!(clock.now(), at(30));
    }
}

mod notices {
    use super::*;

    #[test]
    fn notice_tells_the_attempt_the_time_the_outcome_and_what_follows() {
        let (clock, hurry) = hurried();
        let policy = Config::linear(ms(10)).max_retries(2).build().unwrap();
        let mut told = Vec::new();
        let op = |n| {
            clock.advance(ms(1));
            Err::<(), _>(n)
        };
        let retry =
            policy.retry(op).clock(hurry).hint(|outcome| (*outcome == Err(1)).then_some(ms(5)));
        let result =
            retry.notify(|e| told.push((e.attempt, e.elapsed, e.outcome.copied(), e.next))).wait();
        assert_eq!(result, failed(Some(Err(2)), 3, ms(18), GaveUp::RetriesExhausted));
        let expected = [
            (0, ms(1), Some(Err(0)), Next::Backoff(ms(10))),
            (1, ms(12), Some(Err(1)), Next::Hinted(ms(5))),
            (2, ms(18), Some(Err(2)), Next::GiveUp(GaveUp::RetriesExhausted)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn nobody_is_told_of_a_value() {
        let result = every(ms(1)).retry(Ok::<_, ()>).notify(|_| -> () { panic!("told") }).wait();
        assert_eq!(result, Ok(0));
    }

    #[test]
    fn notice_is_awaited_before_the_sleep_and_before_giving_up() {
        let policy = Config::constant(ms(10)).max_retries(1).build().unwrap();
        let run = |unnamed: bool| {
            let clock = ManualClock::new();
            let given = Rc::new(Cell::new(0));
            let retry = policy.retry(|n| ready(Err::<(), _>(n))).clock(clock.clone());
            let retry = retry.notify(|_| {
                let given = Rc::clone(&given);
                async move {
                    once_around().await;
                    given.set(given.get() + 1);
                }
            });
            let future: Pin<Box<dyn Future<Output = _>>> =
                if unnamed { Box::pin(retry.run()) } else { Box::pin(retry.into_future()) };
            let mut task = by_hand(future).pending();
            assert_eq!((given.get(), clock.next_alarm()), (0, None));
            assert!(task.poll().is_pending());
            assert_eq!((given.get(), clock.next_alarm()), (1, Some(at(10))));
            clock.set_now(at(10));
            assert!(task.poll().is_pending());
            assert_eq!(given.get(), 1);
            assert_eq!(task.output(), failed(Some(Err(1)), 2, ms(10), GaveUp::RetriesExhausted));
            assert_eq!(given.get(), 2);
        };
        run(false);
        run(true);
    }
}

mod stops {
    use super::*;

    #[test]
    fn a_stop_beforehand_makes_no_attempt() {
        let budget = BudgetConfig::new(1.0).build().unwrap();
        let stop = Stop::new();
        stop.stop();
        stop.stop();
        assert!(stop.is_stopped());
        let op = |_| -> Result<(), ()> { panic!("an attempt") };
        let error = every(ms(1)).retry(op).stop(&stop).budget(&budget).wait().unwrap_err();
        assert_eq!((error.attempts, error.reason), (0, GaveUp::Stopped));
        assert_eq!(budget.balance(), 0);
    }

    #[test]
    fn a_stop_during_an_attempt_lets_it_finish_and_is_its_last() {
        let run = |ok: bool| {
            let stop = Stop::with(ManualClock::new());
            let op = |_| {
                stop.stop();
                if ok { Ok(()) } else { Err(()) }
            };
            every(ms(1)).retry(op).stop(&stop).wait()
        };
        assert_eq!(run(true), Ok(()));
        assert_eq!(run(false), failed(Some(Err(())), 1, ms(0), GaveUp::Stopped));
    }

    #[test]
    fn a_stop_during_notice_is_seen_even_if_the_delay_is_over() {
        for took in [ms(0), ms(9), ms(10), ms(11)] {
            let clock = ManualClock::new();
            let stop = Stop::with(clock.clone());
            let retry = every(ms(10)).retry(Err::<(), _>).stop(&stop).notify(|_| {
                clock.advance(took);
                stop.stop();
            });
            assert_eq!(retry.wait(), failed(Some(Err(0)), 1, took, GaveUp::Stopped));
        }
    }

    #[test]
    fn a_stop_wakes_a_sleeping_task_at_once() {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        let mut task = by_hand(every(HOUR).retry(|n| ready(Err::<(), _>(n))).stop(&stop)).pending();
        clock.advance(ms(3));
        stop.stop();
        assert_eq!(task.wakes(), 1);
        assert_eq!(task.output(), failed(Some(Err(0)), 1, ms(3), GaveUp::Stopped));
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_stop_wakes_a_sleeping_thread_at_once() {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| every(HOUR).retry(Err::<(), _>).stop(&stop).wait());
            while clock.next_alarm().is_none() {
                thread::yield_now();
            }
            stop.stop();
            let result = sleeper.join().unwrap();
            assert_eq!(result, failed(Some(Err(0)), 1, ms(0), GaveUp::Stopped));
        });
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_stop_ends_a_hundred_sleepers_of_both_kinds() {
        let stop = Stop::new();
        let asleep = AtomicUsize::new(0);
        let count = |_: &Event<'_, (), u32>| {
            asleep.fetch_add(1, Ordering::SeqCst);
        };
        thread::scope(|scope| {
            let blocking = || every(HOUR).retry(Err::<(), _>).stop(&stop).notify(count).wait();
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(blocking)).collect();
            let later = || every(HOUR).retry(|n| ready(Err(n))).stop(&stop).notify(count);
            let mut tasks: Vec<_> = (0..50).map(|_| by_hand(later()).pending()).collect();
            while asleep.load(Ordering::SeqCst) < 100 {
                thread::yield_now();
            }
            stop.stop();
            for task in &mut tasks {
                // A thread that is about to sleep may be the one that wakes them.
                while task.wakes() == 0 {
                    thread::yield_now();
                }
                assert_eq!(task.output().unwrap_err().reason, GaveUp::Stopped);
            }
            for thread in threads {
                assert_eq!(thread.join().unwrap().unwrap_err().reason, GaveUp::Stopped);
            }
        });
    }

    #[test]
    fn a_task_that_is_not_polled_keeps_nobody_asleep() {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        let sleeper = |delay| {
            let op = |n| ready(if n == 0 { Err(n) } else { Ok(n) });
            by_hand(every(delay).retry(op).stop(&stop)).pending()
        };
        let mut tasks: Vec<_> = [10, 20, 30, 40].map(|delay| sleeper(ms(delay))).into();
        for due in [10, 20, 30] {
            clock.set_now(at(due));
        }
        let wakes: Vec<_> = tasks.iter().map(Task::wakes).collect();
        assert_eq!(wakes, [1, 1, 1, 0]);
        assert_eq!(tasks[2].output(), Ok(1));
        stop.stop();
        assert_eq!(tasks[3].wakes(), 1);
        assert_eq!(tasks[3].output().unwrap_err().reason, GaveUp::Stopped);
        for task in &mut tasks[..2] {
            assert_eq!(task.output().unwrap_err().reason, GaveUp::Stopped);
        }
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn one_stop_serves_one_retry_after_the_other() {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        for round in 1..=3 {
            let op = |n| ready(if n == 0 { Err(n) } else { Ok(n) });
            let mut task = by_hand(every(ms(10)).retry(op).stop(&stop)).pending();
            clock.set_now(at(10 * round));
            assert_eq!(task.output(), Ok(1));
            assert_eq!(clock.next_alarm(), None);
        }
    }

    #[test]
    fn a_retry_with_a_stop_has_its_clock() {
        let stop = Stop::with(ManualClock::starting_at(at(70)));
        let retry = every(ms(10)).retry(Err::<(), _>).stop(&stop).deadline(at(80));
        assert_eq!(retry.wait(), failed(Some(Err(0)), 1, ms(0), GaveUp::Deadline));
    }
}

mod drops {
    use super::*;

    #[test]
    fn dropping_it_at_any_point_leaks_nothing_and_leaves_no_alarm() {
        for polls in 0..12 {
            for variant in 0..4 {
                let clock = ManualClock::new();
                let stop = Stop::with(clock.clone());
                let token = Rc::new(());
                let op = |_| {
                    let token = Rc::clone(&token);
                    async move {
                        let held = Rc::clone(&token);
                        once_around().await;
                        Err::<Rc<()>, _>(held)
                    }
                };
                let notify = |_: &Event<'_, Rc<()>, Rc<()>>| {
                    let token = Rc::clone(&token);
                    async move {
                        once_around().await;
                        drop(token);
                    }
                };
                let retry = every(ms(10)).retry(op).attempt_timeout(HOUR).notify(notify);
                let retry = match variant & 1 {
                    0 => retry.clock(clock.clone()),
                    _ => retry.stop(&stop),
                };
                let future: Pin<Box<dyn Future<Output = _>>> = match variant & 2 {
                    0 => Box::pin(retry.into_future()),
                    _ => Box::pin(retry.run()),
                };
                let mut task = by_hand(future);
                for poll in 1..=polls {
                    assert!(task.poll().is_pending());
                    // In the attempt, in the notice, asleep, and again.
                    if poll % 3 == 0 {
                        clock.advance(ms(10));
                    }
                }
                drop(task);
                assert_eq!(Rc::strong_count(&token), 1, "{polls} {variant}");
                assert_eq!(clock.next_alarm(), None, "{polls} {variant}");
            }
        }
    }

    #[test]
    fn what_was_taken_from_a_budget_stays_taken() {
        let budget = BudgetConfig::new(2.0).build().unwrap();
        let op = |n| ready(Err::<(), _>(n));
        let clock = ManualClock::new();
        let task = by_hand(every(ms(10)).retry(op).clock(clock).budget(&budget)).pending();
        assert_eq!(budget.balance(), 1);
        drop(task);
        assert_eq!(budget.balance(), 1);
    }

    #[test]
    fn a_dropped_sleeper_leaves_the_others_asleep() {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        let op = |n| ready(if n == 0 { Err(n) } else { Ok(n) });
        let sleeper = || by_hand(every(ms(10)).retry(op).stop(&stop)).pending();
        let (first, mut second) = (sleeper(), sleeper());
        drop(first);
        assert_eq!(second.wakes(), 0);
        clock.set_now(at(10));
        assert_eq!(second.output(), Ok(1));
    }
}

mod panics {
    use super::*;

    type Shared<'a> = (&'a Stop<ManualClock>, &'a Budget);

    fn harms_nobody_else(panics: impl Fn(Shared<'_>)) {
        let clock = ManualClock::new();
        let stop = Stop::with(clock.clone());
        let budget = BudgetConfig::new(3.0).build().unwrap();
        let op = |n: u32| ready(if n < 2 { Err(n) } else { Ok(n) });
        let mut other = by_hand(every(ms(10)).retry(op).stop(&stop)).pending();
        let report = catch_unwind(AssertUnwindSafe(|| panics((&stop, &budget)))).unwrap_err();
        assert_eq!(report.downcast_ref::<&str>(), Some(&"as announced"));
        clock.advance(ms(10));
        assert!(other.poll().is_pending());
        clock.advance(ms(10));
        assert_eq!(other.output(), Ok(2));
        let after = every(ms(0)).retry(op).stop(&stop).budget(&budget);
        assert_eq!(after.into_future().now_or_never(), Some(Ok(2)));
        assert_eq!(clock.next_alarm(), None);
        assert!(!stop.is_stopped());
    }

    fn announced() -> ! {
        panic!("as announced")
    }

    #[test]
    fn of_the_operation() {
        harms_nobody_else(|(stop, budget)| {
            let op = |_| -> Result<(), ()> { announced() };
            let _ = every(ms(1)).retry(op).stop(stop).budget(budget).wait();
        });
        harms_nobody_else(|(stop, budget)| {
            let op = async |_| -> Result<(), ()> { announced() };
            let _ = block_on(every(ms(1)).retry(op).stop(stop).budget(budget).into_future());
        });
        // After a first sleep.
        harms_nobody_else(|(stop, budget)| {
            let op = |n| if n == 0 { ready(Err::<(), _>(())) } else { announced() };
            let _ = by_hand(every(ms(0)).retry(op).stop(stop).budget(budget)).poll();
        });
    }

    #[test]
    fn of_whoever_decides_hints_or_is_told() {
        let retry = || every(ms(1)).retry(Err::<(), _>);
        harms_nobody_else(|(stop, budget)| {
            let _ = retry().stop(stop).budget(budget).when(|_| announced()).wait();
        });
        harms_nobody_else(|(stop, budget)| {
            let _ = retry().stop(stop).budget(budget).hint(|_| announced()).wait();
        });
        harms_nobody_else(|(stop, budget)| {
            let _ = retry().stop(stop).budget(budget).notify(|_| -> () { announced() }).wait();
        });
        harms_nobody_else(|(stop, budget)| {
            let retry = every(ms(1)).retry(|n| ready(Err::<(), _>(n))).stop(stop).budget(budget);
            let _ = block_on(retry.notify(|_| async { announced() }).into_future());
        });
    }
}

mod captures {
    use super::*;

    #[test]
    fn closures_borrow_and_mutate_what_surrounds_them() {
        let (_, hurry) = hurried();
        let name = String::from("host");
        let (mut calls, mut judged, mut asked, mut told) = (0, 0, 0, 0);
        let result = every(ms(1))
            .retry(|n| {
                calls += 1;
                if n < 3 { Err(name.as_str()) } else { Ok(name.len()) }
            })
            .when(|outcome| {
                judged += 1;
                outcome.is_err()
            })
            .hint(|_| {
                asked += 1;
                None
            })
            .notify(|_| told += 1)
            .clock(hurry)
            .wait();
        assert_eq!(result, Ok(4));
        assert_eq!((calls, judged, asked, told), (4, 4, 3, 3));
    }

    #[test]
    fn async_closures_lend_what_they_mutate() {
        async fn append(line: &mut String) -> Result<usize, &'static str> {
            once_around().await;
            line.push('.');
            if line.len() < 3 { Err("short") } else { Ok(line.len()) }
        }
        let (_, hurry) = hurried();
        let mut line = String::new();
        let sent = every(ms(1)).retry(async |_| append(&mut line).await).clock(hurry.clone()).run();
        assert_eq!(block_on(sent), Ok(3));
        assert_eq!(line, "...");
        let mut owned = String::new();
        let sent = every(ms(1)).retry(async move |_| append(&mut owned).await).clock(hurry).run();
        assert_eq!(block_on(sent), Ok(3));
    }

    #[test]
    fn functions_can_be_retried() {
        fn now(attempt: u32) -> Result<u32, ()> {
            if attempt < 1 { Err(()) } else { Ok(attempt) }
        }
        async fn later(attempt: u32) -> Result<u32, ()> {
            now(attempt)
        }
        let (_, hurry) = hurried();
        assert_eq!(every(ms(1)).retry(now).clock(hurry.clone()).wait(), Ok(1));
        assert_eq!(block_on(every(ms(1)).retry(later).clock(hurry).into_future()), Ok(1));
    }

    #[test]
    fn a_retry_is_send_if_its_parts_are_and_need_not_be_static() {
        fn sent<T: Send>(value: T) -> T {
            value
        }
        let stop = Stop::new();
        let budget = BudgetConfig::new(1.0).build().unwrap();
        let local = String::from("here");
        let op = |_| async { if local.is_empty() { Err(()) } else { Ok(local.as_str()) } };
        let retry = || {
            every(ms(1)).retry(op).stop(&stop).budget(&budget).timeout(HOUR).attempt_timeout(HOUR)
        };
        assert_eq!(block_on(sent(sent(retry()).into_future())), Ok("here"));
        assert_eq!(block_on(sent(retry().notify(|_| async {}).into_future())), Ok("here"));
        // Of what it borrows, the compiler wants to know that it is static here.
        let run = every(ms(1)).retry(async |n| Ok::<_, ()>(n)).stop(&stop).budget(&budget).run();
        assert_eq!(block_on(sent(run)), Ok(0));
    }

    #[test]
    fn the_same_seed_makes_the_same_delays_and_another_others() {
        let policy = Config::constant(HOUR).jitter(Jitter::Full).max_retries(20).build().unwrap();
        let run = |seed| {
            let (clock, hurry) = hurried();
            let retry = policy.retry(Err::<(), _>).clock(hurry).rng(Random::from_seed(seed));
            let _ = retry.wait();
            clock.now()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let sum: Duration = policy.delays(Random::from_seed(7)).sum();
        assert_eq!(run(7), at(0).saturating_add(sum));
        let unseeded = || {
            let (clock, hurry) = hurried();
            let _ = policy.retry(Err::<(), _>).clock(hurry).wait();
            clock.now()
        };
        assert_ne!(unseeded(), unseeded());
    }
}

/// Real time and real executors, milliseconds each.
mod executors {
    use super::*;

    fn third_time(attempt: u32) -> Result<u32, ()> {
        if attempt < 2 { Err(()) } else { Ok(attempt) }
    }

    fn took_at_least(duration: Duration, run: impl FnOnce()) {
        let began = SystemClock.now();
        run();
        assert!(SystemClock.now().saturating_duration_since(began) >= duration);
    }

    #[test]
    fn a_thread_sleeps_the_whole_delay() {
        took_at_least(ms(4), || assert_eq!(every(ms(2)).retry(third_time).wait(), Ok(2)));
    }

    #[test]
    fn it_works_without_any_runtime() {
        let later = async |n| third_time(n);
        took_at_least(ms(4), || {
            assert_eq!(block_on(every(ms(2)).retry(later).into_future()), Ok(2));
        });
    }

    #[test]
    fn futures_that_are_not_send_are_retried() {
        let count = Rc::new(Cell::new(0));
        let op = |n| {
            let count = Rc::clone(&count);
            async move {
                once_around().await;
                count.set(count.get() + 1);
                third_time(n)
            }
        };
        let mut pool = futures::executor::LocalPool::new();
        assert_eq!(pool.run_until(every(ms(1)).retry(op).into_future()), Ok(2));

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let set = tokio::task::LocalSet::new();
        let shared = Rc::clone(&count);
        let spawned = set.run_until(async move {
            let op = move |n| {
                let shared = Rc::clone(&shared);
                async move {
                    shared.set(shared.get() + 1);
                    third_time(n)
                }
            };
            tokio::task::spawn_local(every(ms(1)).retry(op).into_future()).await.unwrap()
        });
        assert_eq!(runtime.block_on(spawned), Ok(2));
        assert_eq!(count.get(), 6);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tokio_runs_it_on_many_threads() {
        let stop = Arc::new(Stop::new());
        let sleepers: Vec<_> = (0..20)
            .map(|_| {
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    every(HOUR).retry(async |n| Err::<(), _>(n)).stop(&stop).await
                })
            })
            .collect();
        let retry = every(ms(1)).retry(async |n| third_time(n));
        assert_eq!(tokio::spawn(retry.into_future()).await.unwrap(), Ok(2));
        let lending = async {
            let mut calls = Vec::new();
            let op = async move |n| {
                calls.push(n);
                tokio::task::yield_now().await;
                if calls.len() < 3 { Err(()) } else { Ok(calls.len()) }
            };
            every(ms(1)).retry(op).run().await
        };
        assert_eq!(tokio::spawn(lending).await.unwrap(), Ok(3));
        stop.stop();
        for sleeper in sleepers {
            assert_eq!(sleeper.await.unwrap().unwrap_err().reason, GaveUp::Stopped);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_passes_at_once() {
        let stop = Stop::with(TokioClock);
        let result = every(HOUR).retry(async |n| third_time(n)).clock(TokioClock).await;
        assert_eq!(result, Ok(2));
        let retry = || every(HOUR).retry(async |n| Err::<(), _>(n)).stop(&stop);
        let stopper = async {
            tokio::time::sleep(HOUR * 5 / 2).await;
            stop.stop();
        };
        let (first, second, ()) = tokio::join!(retry().into_future(), retry().run(), stopper);
        let expected = failed(Some(Err(2)), 3, HOUR * 5 / 2, GaveUp::Stopped);
        assert_eq!((first, second), (expected, expected));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_limits_are_the_clocks() {
        let op = |_| pending::<Result<(), ()>>();
        let policy = Config::constant(HOUR).max_retries(1).build().unwrap();
        let result = policy.retry(op).attempt_timeout(HOUR).clock(TokioClock).await;
        assert_eq!(result, failed(None, 2, HOUR * 3, GaveUp::RetriesExhausted));
    }
}

/// A future is polled in place, and one that is over is not polled again.
#[test]
#[should_panic(expected = "a retry was polled after it was over")]
fn a_retry_that_is_over_is_not_to_be_polled() {
    let mut future = pin!(every(ms(1)).retry(|n| ready(Ok::<_, ()>(n))).into_future());
    let cx = &mut Context::from_waker(Waker::noop());
    assert_eq!(future.as_mut().poll(cx), Poll::Ready(Ok(0)));
    let _ = future.as_mut().poll(cx);
}
