//! A retry whose first attempt succeeds allocates nothing, whatever was asked for.

#![cfg(all(feature = "std", not(loom)))]

use std::future::{Future, IntoFuture, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use steadfast_backoff::{Budget, BudgetConfig, Config, GaveUp, Jitter, Policy, Stop};
use steadfast_core::Instant;
use steadfast_test_support::allocations::{Counting, allocations_of_the_second as allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HOUR: Duration = Duration::from_secs(3_600);
const POLICY: Policy =
    Config::exponential(HOUR).jitter(Jitter::Full).max_elapsed(HOUR).build_static();
static BUDGET: Budget = BudgetConfig::new(0.1).build_static();

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("pending"),
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(7_u8))), 1);
}

#[test]
fn a_first_attempt_that_succeeds_allocates_nothing() {
    let stop = Stop::new();
    let now = allocations(|| {
        assert_eq!(POLICY.retry(Ok::<_, ()>).wait(), Ok(0));
        let retry = POLICY.retry(Ok::<_, ()>).stop(&stop).budget(&BUDGET).timeout(HOUR);
        let retry = retry.when(Result::is_err).hint(|_| None).notify(|_| ());
        assert_eq!(retry.wait(), Ok(0));
    });
    let named = allocations(|| {
        let op = |n| ready(Ok::<_, ()>(n));
        assert_eq!(at_once(POLICY.retry(op).into_future()), Ok(0));
        let retry = POLICY.retry(op).stop(&stop).budget(&BUDGET).attempt_timeout(HOUR);
        let retry = retry.when(Result::is_err).hint(|_| None).notify(|_| ready(()));
        assert_eq!(at_once(retry.into_future()), Ok(0));
    });
    let unnamed = allocations(|| {
        let mut calls = 0;
        let op = async |_| {
            calls += 1;
            Ok::<_, ()>(calls)
        };
        let retry = POLICY.retry(op).stop(&stop).budget(&BUDGET).attempt_timeout(HOUR);
        let retry = retry.when(Result::is_err).hint(|_| None).notify(|_| async {});
        assert_eq!(at_once(retry.run()), Ok(1));
    });
    assert_eq!((now, named, unnamed), (0, 0, 0));
}

#[test]
fn giving_up_allocates_nothing() {
    let now = allocations(|| {
        let error = POLICY.retry(Err::<(), _>).when(|_| false).wait().unwrap_err();
        assert_eq!(error.reason, GaveUp::NotRetryable);
        let error = POLICY.retry(Err::<(), _>).deadline(Instant::ZERO).wait().unwrap_err();
        assert_eq!(error.attempts, 0);
        let error = POLICY.retry(Err::<(), _>).hint(|_| Some(2 * HOUR)).wait().unwrap_err();
        assert_eq!(error.reason, GaveUp::Deadline);
    });
    assert_eq!(now, 0);
}
