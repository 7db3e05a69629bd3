//! Models of the shared backoff, the stop handle and the retry budget: every interleaving and every
//! memory order that C11 allows, up to `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --manifest-path crates/backoff/Cargo.toml --test loom
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::thread;
use steadfast_backoff::state::Phase;
use steadfast_backoff::{
    Acquire, AcquireError, Attempt, Backoff, BackoffConfig, Budget, BudgetConfig, Config, GaveUp,
    Random, Stop, TryAcquireError,
};
use steadfast_core::{Clock, Instant, Timer};

/// A clock that stands still. Its alarms never ring.
#[derive(Clone, Copy)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        NOW
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), _at: Instant, _waker: &Waker) {}
}

const NOW: Instant = Instant::from_nanos(1_000_000_000);

type Shared = Arc<Backoff<Still>>;

/// Delays of nothing, since no time passes.
fn shared(config: Config, places: u32) -> Shared {
    let config = BackoffConfig::new(config.build().unwrap()).max_in_flight(places);
    Arc::new(config.build_seeded(Still, Random::from_seed(1)).unwrap())
}

fn at_once() -> Config {
    Config::constant(Duration::ZERO).unlimited()
}

fn begun(backoff: &Shared) -> Attempt<Shared> {
    Attempt::try_new(Arc::clone(backoff)).unwrap()
}

fn acquire(backoff: &Shared) -> Acquire<Shared> {
    Acquire::new(Arc::clone(backoff), ())
}

fn joined(backoff: &Shared) -> Acquire<Shared> {
    let mut place = acquire(backoff);
    assert!(Pin::new(&mut place).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    place
}

#[track_caller]
fn assert_at_rest(backoff: &Shared) {
    let seen = backoff.snapshot();
    assert!(!seen.is_occupied(), "the mark goes with the last who waited");
    assert_eq!(seen.in_flight(), 0);
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut i32) {}

/// Runs `one` beside `other` on what `new` makes, each beginning once.
fn beside<T: Send + 'static>(new: fn() -> Arc<T>, one: fn(Arc<T>), other: fn(Arc<T>))
where
    Arc<T>: Send,
{
    for (first, second) in [(one, other), (other, one)] {
        model(move || {
            let shared = new();
            let thread = thread::spawn({
                let shared = Arc::clone(&shared);
                move || second(shared)
            });
            first(shared);
            thread.join().unwrap();
        });
    }
}

/// `report` on the one attempt, unless it keeps it, against somebody who waits for the next, by task
/// and by thread.
fn against_an_acquire(
    config: Config,
    report: fn(&Shared, Attempt<Shared>) -> Option<Attempt<Shared>>,
    expected: Result<u32, AcquireError>,
) {
    let task = |backoff: &Shared| block_on(acquire(backoff)).map(|attempt| attempt.number());
    let thread = |backoff: &Shared| backoff.acquire().wait().map(|attempt| attempt.number());
    let wait: [fn(&Shared) -> Result<u32, AcquireError>; 2] = [task, thread];
    for wait in wait {
        for reporter_begins in [true, false] {
            model(move || {
                let backoff = shared(config, 1);
                let attempt = begun(&backoff);
                let kept = if reporter_begins {
                    let waiter = thread::spawn({
                        let backoff = Arc::clone(&backoff);
                        move || wait(&backoff)
                    });
                    let kept = report(&backoff, attempt);
                    assert_eq!(waiter.join().unwrap(), expected);
                    kept
                } else {
                    let reporter = thread::spawn({
                        let backoff = Arc::clone(&backoff);
                        move || report(&backoff, attempt)
                    });
                    assert_eq!(wait(&backoff), expected);
                    reporter.join().unwrap()
                };
                drop(kept);
                assert_at_rest(&backoff);
            });
        }
    }
}

fn succeed(_: &Shared, attempt: Attempt<Shared>) -> Option<Attempt<Shared>> {
    attempt.success();
    None
}

fn fail(_: &Shared, attempt: Attempt<Shared>) -> Option<Attempt<Shared>> {
    attempt.failure();
    None
}

fn give_back(_: &Shared, attempt: Attempt<Shared>) -> Option<Attempt<Shared>> {
    drop(attempt);
    None
}

fn stop(backoff: &Shared, attempt: Attempt<Shared>) -> Option<Attempt<Shared>> {
    backoff.stop();
    Some(attempt)
}

fn reset(backoff: &Shared, attempt: Attempt<Shared>) -> Option<Attempt<Shared>> {
    backoff.reset();
    Some(attempt)
}

#[test]
fn a_success_against_an_acquire_is_seen() {
    against_an_acquire(at_once(), succeed, Ok(0));
}

#[test]
fn a_failure_against_an_acquire_is_seen() {
    against_an_acquire(at_once(), fail, Ok(1));
}

#[test]
fn a_drop_against_an_acquire_is_seen() {
    against_an_acquire(at_once(), give_back, Ok(0));
}

#[test]
fn a_last_failure_against_an_acquire_is_seen() {
    let exhausted = Err(AcquireError::Exhausted { failures: 1 });
    against_an_acquire(at_once().max_retries(0), fail, exhausted);
}

#[test]
fn a_stop_against_an_acquire_is_seen() {
    against_an_acquire(at_once(), stop, Err(AcquireError::Stopped));
}

#[test]
fn a_reset_against_an_acquire_is_seen() {
    against_an_acquire(at_once(), reset, Ok(0));
}

#[test]
fn two_attempts_never_share_one_place() {
    model(|| {
        let backoff = shared(at_once(), 1);
        let other = thread::spawn({
            let backoff = Arc::clone(&backoff);
            move || Attempt::try_new(backoff)
        });
        let one = Attempt::try_new(Arc::clone(&backoff));
        let other = other.join().unwrap();
        assert!(one.is_ok() ^ other.is_ok());
        let refusal = one.as_ref().err().or(other.as_ref().err());
        assert_eq!(refusal, Some(&TryAcquireError::Busy));
        assert_eq!(backoff.snapshot().in_flight(), 1);
    });
}

#[test]
fn attempts_follow_each_other_and_see_what_was_done() {
    let report: [fn(Attempt<Shared>); 2] = [|attempt| drop(attempt), |attempt| attempt.failure()];
    for report in report {
        model(move || {
            let backoff = shared(at_once(), 1);
            let cell = loom::sync::Arc::new(UnsafeCell::new(0));
            let attempt = move |backoff: &Shared, cell: &UnsafeCell<i32>| {
                let attempt = block_on(acquire(backoff)).unwrap();
                cell.with_mut(touch);
                report(attempt);
            };
            let other = thread::spawn({
                let (backoff, cell) = (Arc::clone(&backoff), loom::sync::Arc::clone(&cell));
                move || attempt(&backoff, &cell)
            });
            attempt(&backoff, &cell);
            other.join().unwrap();
            assert_at_rest(&backoff);
        });
    }
}

#[test]
fn two_failures_at_once_escalate_once() {
    model(|| {
        let backoff = shared(at_once(), 2);
        let (one, two) = (begun(&backoff), begun(&backoff));
        let other = thread::spawn(move || two.failure());
        one.failure();
        other.join().unwrap();
        assert_eq!(backoff.number(), 1);
        assert_at_rest(&backoff);
    });
}

#[test]
fn two_failures_of_something_healthy_are_one() {
    model(|| {
        let backoff = shared(at_once(), 1);
        begun(&backoff).success();
        let (one, two) = (begun(&backoff), begun(&backoff));
        let other = thread::spawn(move || two.failure());
        one.failure();
        other.join().unwrap();
        assert_eq!((backoff.number(), backoff.snapshot().phase()), (1, Phase::BackingOff));
        assert_at_rest(&backoff);
    });
}

#[test]
fn a_failure_against_a_success_of_the_same_life_is_healthy() {
    for success_begins in [true, false] {
        model(move || {
            let backoff = shared(at_once(), 2);
            let (good, bad) = (begun(&backoff), begun(&backoff));
            if success_begins {
                let other = thread::spawn(move || bad.failure());
                good.success();
                other.join().unwrap();
            } else {
                let other = thread::spawn(move || good.success());
                bad.failure();
                other.join().unwrap();
            }
            assert_eq!(backoff.snapshot().phase(), Phase::Healthy { since: NOW });
            assert_eq!(backoff.number(), 0);
            assert_at_rest(&backoff);
        });
    }
}

#[test]
fn a_reset_against_a_failure_leaves_nothing_of_it() {
    // The next attempt is not taken for the one from before the reset.
    let begin_anew = |backoff: &Shared| {
        backoff.reset();
        begun(backoff)
    };
    for reset_begins in [true, false] {
        model(move || {
            let backoff = shared(at_once(), 1);
            let bad = begun(&backoff);
            let next = if reset_begins {
                let other = thread::spawn(move || bad.failure());
                let next = begin_anew(&backoff);
                other.join().unwrap();
                next
            } else {
                let other = thread::spawn({
                    let backoff = Arc::clone(&backoff);
                    move || begin_anew(&backoff)
                });
                bad.failure();
                other.join().unwrap()
            };
            assert_eq!((backoff.number(), backoff.snapshot().phase()), (0, Phase::Unproven));
            assert_eq!(backoff.snapshot().in_flight(), 1);
            drop(next);
            assert_at_rest(&backoff);
        });
    }
}

#[test]
fn a_wait_that_is_dropped_as_its_turn_comes_passes_it_on() {
    for report in [(|attempt| drop(attempt)) as fn(Attempt<Shared>), |attempt| attempt.failure()] {
        model(move || {
            let backoff = shared(at_once(), 1);
            let attempt = begun(&backoff);
            let head = joined(&backoff);
            let canceller = thread::spawn(move || drop(head));
            let reporter = thread::spawn(move || report(attempt));
            assert!(block_on(acquire(&backoff)).is_ok());
            canceller.join().unwrap();
            reporter.join().unwrap();
            assert_at_rest(&backoff);
        });
    }
}

#[test]
fn a_newcomer_never_overtakes_who_waits() {
    model(|| {
        let backoff = shared(at_once(), 1);
        let attempt = begun(&backoff);
        let head = joined(&backoff);
        let reporter = thread::spawn(move || drop(attempt));
        assert_eq!(backoff.try_acquire().unwrap_err(), TryAcquireError::Busy);
        let attempt = block_on(head).unwrap();
        reporter.join().unwrap();
        drop(attempt);
        assert!(backoff.try_acquire().is_ok());
        assert_at_rest(&backoff);
    });
}

#[test]
fn a_stop_against_a_sleep_is_seen() {
    let new = || Arc::new(Stop::with(Still));
    let sleep = |stop: Arc<Stop<Still>>| {
        let policy = Config::constant(Duration::from_secs(3_600)).unlimited().build().unwrap();
        let fails = |_| std::future::ready(Err::<(), _>("no"));
        let retry = policy.retry(fails).rng(Random::from_seed(1)).stop(&stop);
        // Its clock stands still: nothing but the stop ends its sleep.
        let error = block_on(async { retry.await }).unwrap_err();
        assert_eq!(error.reason, GaveUp::Stopped);
        assert!(stop.is_stopped());
    };
    beside(new, |stop: Arc<Stop<Still>>| stop.stop(), sleep);
}

#[test]
fn a_stop_against_a_retry_that_falls_asleep_is_seen() {
    let new = || Arc::new(Stop::with(Still));
    let retry = |stop: Arc<Stop<Still>>| {
        let policy = Config::constant(Duration::from_secs(1)).unlimited().build().unwrap();
        let gave_up = policy.retry(|_| Err::<(), _>("no")).stop(&*stop).wait().unwrap_err();
        assert_eq!(
            (gave_up.reason, gave_up.outcome.is_some()),
            (GaveUp::Stopped, gave_up.attempts == 1)
        );
    };
    beside(new, |stop: Arc<Stop<Still>>| stop.stop(), retry);
}

#[test]
fn a_stop_publishes_what_was_done_before() {
    type Told = (Stop<Still>, UnsafeCell<i32>);
    let stop = |told: loom::sync::Arc<Told>| {
        told.1.with_mut(touch);
        told.0.stop();
    };
    let look = |told: loom::sync::Arc<Told>| {
        if told.0.is_stopped() {
            told.1.with_mut(touch);
        }
    };
    let orders: [[fn(loom::sync::Arc<Told>); 2]; 2] = [[stop, look], [look, stop]];
    for [first, second] in orders {
        model(move || {
            let told = loom::sync::Arc::new((Stop::with(Still), UnsafeCell::new(0)));
            let other = thread::spawn({
                let told = loom::sync::Arc::clone(&told);
                move || second(told)
            });
            first(told);
            other.join().unwrap();
        });
    }
}

fn budget(ratio: f64, burst: u32, deposits: u32) -> Arc<Budget> {
    let budget = Arc::new(BudgetConfig::new(ratio).burst(burst).build().unwrap());
    (0..deposits).for_each(|_| budget.deposit());
    budget
}

#[test]
fn a_retry_in_the_budget_is_withdrawn_once() {
    model(|| {
        let budget = budget(0.5, 10, 3);
        let other = thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.try_withdraw_at(NOW)
        });
        let one = budget.try_withdraw_at(NOW);
        assert!(one ^ other.join().unwrap(), "one and a half make one");
        assert_eq!(budget.balance(), 0);
        budget.deposit();
        assert_eq!(budget.balance(), 1, "the half is still there");
    });
}

#[test]
fn deposits_against_withdrawals_lose_no_retry_and_make_none() {
    for (ratio, burst) in [(1.0, 10), (0.5, 10), (1.0, 1)] {
        model(move || {
            let budget = budget(ratio, burst, 1);
            let call = |budget: &Budget| {
                budget.deposit();
                u32::from(budget.try_withdraw_at(NOW))
            };
            let other = thread::spawn({
                let budget = Arc::clone(&budget);
                move || call(&budget)
            });
            let retries = call(&budget) + other.join().unwrap() + budget.balance();
            let all = if ratio < 1.0 { 1 } else { 3 };
            // What does not fit is lost.
            let least = all.min(burst);
            assert!((least..=all).contains(&retries), "{retries} retries of {all}");
            assert!(budget.balance() <= burst);
        });
    }
}
