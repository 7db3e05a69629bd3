//! Every executor with every timer: what real time brings is brought to all of them.
//!
//! These are among the few tests that let real time pass; each is a fraction of a second.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use steadfast::backoff::{self, BackoffConfig};
use steadfast::circuit_breaker::{self, Phase};
use steadfast::token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket};
use steadfast::{AsyncIoClock, Clock, Instant, SystemClock, Timer, TokioClock, TscClock};
use steadfast_deduplicator::{self as deduplicator, Claims, SipKeys};
use steadfast_sequence_tracker as sequence_tracker;

use crate::watched;

fn bucket<C: Clock>(rate: u64, burst: u64, clock: C) -> Arc<TokenBucket<C>> {
    Arc::new(Config::new(Rate::per_second(rate)).burst(burst).build_with(clock).unwrap())
}

/// 40 acquires at 1,000 a second with a burst of 5: not faster than the rate, and all served.
async fn forty<C: Timer>(bucket: Arc<TokenBucket<C>>) {
    let began = bucket.clock().now();
    for _ in 0..40 {
        bucket.acquire(1).await.unwrap();
    }
    let took = bucket.clock().now().saturating_duration_since(began);
    assert!(took >= Duration::from_millis(35), "{took:?} for 35 tokens beyond the burst");
}

fn clocks(run: impl Fn(&dyn Fn() -> futures::future::BoxFuture<'static, ()>) + Send + 'static) {
    watched(move || {
        run(&|| Box::pin(forty(bucket(1_000, 5, SystemClock))));
        run(&|| Box::pin(forty(bucket(1_000, 5, AsyncIoClock))));
        run(&|| Box::pin(forty(bucket(1_000, 5, TscClock))));
        run(&|| Box::pin(twenty(SystemClock)));
        run(&|| Box::pin(twenty(AsyncIoClock)));
        run(&|| Box::pin(twenty(TscClock)));
        run(&|| Box::pin(three_waits(SystemClock)));
        run(&|| Box::pin(three_waits(AsyncIoClock)));
        run(&|| Box::pin(three_waits(TscClock)));
    });
}

/// Twenty breaks of two milliseconds, each ended by a probe that fails but for the last: not sooner than
/// that, and all seen by whoever follows. Then a probe that is lost, and its place.
async fn twenty<C: Timer>(clock: C) {
    let breaks = Duration::from_millis(2);
    let breaker = circuit_breaker::Config::new()
        .consecutive_failures(1)
        .break_duration(breaks)
        .close_after(2)
        .probe_timeout(Duration::from_millis(20))
        .build_with(clock)
        .unwrap();
    let changes = breaker.changes();
    let began = breaker.clock().now();
    breaker.acquire().await.unwrap().failure();
    for _ in 1..20 {
        breaker.acquire().await.unwrap().failure();
    }
    breaker.acquire().await.unwrap().success();
    let took = breaker.clock().now().saturating_duration_since(began);
    assert!(took >= 20 * breaks, "{took:?} for twenty breaks");
    std::mem::forget(breaker.acquire().await.unwrap());
    let hasty = breaker.acquire().timeout(Duration::from_millis(1)).await.map(drop);
    assert!(matches!(hasty, Err(circuit_breaker::AcquireError::TimedOut { .. })));
    breaker.acquire().await.unwrap().success();
    assert_eq!(breaker.phase(), Phase::Closed);
    drop(breaker);
    let lives: Vec<_> = StreamExt::map(changes, |seen| seen.change.life).collect().await;
    assert!(lives.into_iter().eq(2..=42));
}

/// A delay of the shared backoff, a claim's lease, and a deadline of a wait for numbers: each of two
/// milliseconds, and over after that and not before.
async fn three_waits<C: Timer + Clone>(clock: C) {
    let length = Duration::from_millis(2);
    let delays = backoff::Config::constant(length).unlimited().build().unwrap();
    let backoff = BackoffConfig::new(delays).build_with(clock.clone()).unwrap();
    let claims = deduplicator::Config::new(10).lease(length);
    let claims: Claims<(), C> = claims.claims_with(clock.clone(), SipKeys::from_seed(7)).unwrap();
    let tracker = sequence_tracker::Config::new().build_with(clock.clone()).unwrap();
    tracker.record(0);
    for number in 0..5 {
        let attempt = backoff.acquire().await.unwrap();
        assert_eq!(attempt.number(), number);
        let lost = claims.acquire(&number).await.unwrap();
        let began = clock.now();
        attempt.failure();
        // The next is given back at once, and fails no more.
        drop(backoff.acquire().await.unwrap());
        assert!(clock.now().saturating_duration_since(began) >= length, "the delay");
        drop(claims.acquire(&number).await.unwrap().claim().expect("the lease is over"));
        drop(lost);
        let began = clock.now();
        let late = tracker.acquire(1).timeout(length).await;
        assert_eq!(late, Err(sequence_tracker::AcquireError::TimedOut { missing: vec![1..=1] }));
        assert!(clock.now().saturating_duration_since(began) >= length, "the deadline");
    }
}

#[test]
fn futures_block_on_is_served_by_every_timer() {
    clocks(|job| futures::executor::block_on(job()));
}

#[test]
fn smol_is_served_by_every_timer() {
    clocks(|job| smol::block_on(async { smol::spawn(job()).await }));
}

#[test]
fn async_std_is_served_by_every_timer() {
    clocks(|job| async_std::task::block_on(async { async_std::task::spawn(job()).await }));
}

#[test]
fn tokio_is_served_by_every_timer() {
    clocks(|job| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.unwrap().block_on(async { tokio::spawn(job()).await.unwrap() });
    });
    clocks(|job| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(job()));
}

#[test]
fn tokio_time_serves_tokio() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
        runtime
            .block_on(async { tokio::spawn(forty(bucket(1_000, 5, TokioClock))).await.unwrap() });
        runtime.block_on(async { tokio::spawn(twenty(TokioClock)).await.unwrap() });
        runtime.block_on(async { tokio::spawn(three_waits(TokioClock)).await.unwrap() });
    });
}

#[tokio::test(start_paused = true)]
async fn paused_tokio_time_moves_by_itself_to_the_exact_instant() {
    let bucket = bucket(1, 1, TokioClock);
    let began = tokio::time::Instant::now();
    for _ in 0..3_601 {
        bucket.acquire(1).await.unwrap();
    }
    let took = began.elapsed();
    // Tokio's wheel turns in milliseconds, and a bucket of one token cannot catch up.
    assert!(took >= Duration::from_secs(3_600) && took < Duration::from_secs(3_605), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn paused_tokio_time_serves_a_breaker() {
    twenty(TokioClock).await;
}

#[tokio::test(start_paused = true)]
async fn paused_tokio_time_serves_all_other_waits() {
    three_waits(TokioClock).await;
}

#[tokio::test(start_paused = true)]
async fn cancel_storms_in_paused_tokio_time_lose_nothing() {
    let bucket = bucket(1_000, 10, TokioClock);
    let began = bucket.clock().now();
    let tasks: Vec<_> = (0..100_u64)
        .map(|task| {
            let bucket = Arc::clone(&bucket);
            tokio::spawn(async move {
                let mut served = 0_u64;
                for round in 0..100 {
                    let wait = Acquire::new(Arc::clone(&bucket), 1);
                    // Some are cut off from outside, when they stand in line.
                    let limit = Duration::from_millis((task * 7 + round * 13) % 200);
                    if let Ok(ended) = tokio::time::timeout(limit, wait).await {
                        ended.unwrap();
                        served += 1;
                    }
                }
                served
            })
        })
        .collect();
    let mut served = 0;
    for task in tasks {
        served += task.await.unwrap();
    }
    let took = bucket.clock().now().saturating_duration_since(began);
    let due = 10 + took.as_millis() + 1;
    assert!(u128::from(served) <= due, "{served} of {due}");
    assert!(
        (1_000..9_000).contains(&served),
        "{served}: neither all nor next to none were cut off"
    );
    assert_eq!(bucket.stats().line.waiting, 0);
    bucket.acquire(10).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn paused_tokio_time_ends_timeouts() {
    let bucket = bucket(1, 10, TokioClock);
    bucket.acquire(10).await.unwrap();
    let mut first = Box::pin(bucket.acquire(2));
    assert!(futures::poll!(&mut first).is_pending());
    let early = bucket.acquire(2).timeout(Duration::from_secs(3)).await;
    assert!(matches!(early, Err(AcquireError::TimedOut { .. })), "4 s are needed: fails at once");
    assert_eq!(bucket.available(), 0, "no time has passed");
    // The first is called after 2 s, and is not polled. The second is served all the same, when
    // there is enough for both.
    bucket.acquire(2).timeout(Duration::from_secs(5)).await.unwrap();
    first.await.unwrap();
    assert_eq!(bucket.available(), 0, "4 s have passed");
}

#[test]
fn threads_and_tasks_stand_in_one_line_in_order() {
    watched(|| {
        // Nothing comes by itself: whoever was served says so, and then gives what he has to the next.
        let config = Config::new(Rate::per_hour(1)).burst(1).initial(0);
        let bucket = Arc::new(config.build_with(SystemClock).unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut threads = Vec::new();
        let mut tasks = Vec::new();
        for place in 0..24_u32 {
            let (owner, order) = (Arc::clone(&bucket), Arc::clone(&order));
            let served = move |owner: &TokenBucket| {
                order.lock().unwrap().push(place);
                owner.refund(1);
            };
            if place % 2 == 0 {
                threads.push(thread::spawn(move || {
                    Acquire::new(Arc::clone(&owner), 1).wait().unwrap();
                    served(&owner);
                }));
            } else {
                tasks.push(runtime.spawn(async move {
                    Acquire::new(Arc::clone(&owner), 1).await.unwrap();
                    served(&owner);
                }));
            }
            // The next joins once this one stands in line.
            while bucket.stats().line.waiting <= place {
                thread::yield_now();
            }
        }
        bucket.refund(1);
        for thread in threads {
            thread.join().unwrap();
        }
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(*order.lock().unwrap(), (0..24).collect::<Vec<_>>());
    });
}

#[test]
fn a_poller_without_a_waker_is_served_when_it_polls() {
    let bucket = bucket(1_000, 1, SystemClock);
    bucket.try_acquire(1).unwrap();
    let mut wait = bucket.acquire(1);
    let mut cx = Context::from_waker(Waker::noop());
    watched_poll(|| std::pin::Pin::new(&mut wait).poll(&mut cx));
}

fn watched_poll(mut poll: impl FnMut() -> Poll<Result<(), AcquireError>>) {
    let end = SystemClock.now().saturating_add(Duration::from_secs(20));
    while poll().is_pending() {
        assert!(SystemClock.now() < end, "never served");
        thread::yield_now();
    }
}

#[test]
fn cancel_storms_on_all_executors_at_once_lose_nothing() {
    watched(|| {
        let bucket = bucket(20_000, 20, SystemClock);
        let began = SystemClock.now();
        let served: u64 = thread::scope(|scope| {
            let mut workers = Vec::new();
            for seed in 1..=4_u64 {
                let bucket = &bucket;
                workers.push(scope.spawn(move || {
                    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let mut served = 0;
                    for round in 0..400 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let timeout = Duration::from_micros(random % 400);
                        let wait = bucket.acquire(1 + random % 3).timeout(timeout);
                        let outcome = match (seed, round % 2) {
                            (1, _) => wait.wait(),
                            (2, 0) => smol::block_on(wait),
                            (2, _) => async_std::task::block_on(wait),
                            _ => {
                                futures::executor::block_on(dropped_half_way(wait, round % 3 == 0))
                            }
                        };
                        served += outcome.map_or(0, |()| 1 + random % 3);
                    }
                    served
                }));
            }
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let took = SystemClock.now().saturating_duration_since(began);
        let due = 20 + took.as_nanos() * 20_000 / 1_000_000_000 + 1;
        assert!(u128::from(served) <= due, "{served} of {due}");
        assert_eq!(bucket.stats().line.waiting, 0);
        bucket.acquire(20).wait().unwrap();
    });
}

/// Polls a wait once, and then perhaps drops it and reports a timeout.
async fn dropped_half_way<F>(mut wait: F, dropped: bool) -> Result<(), AcquireError>
where
    F: Future<Output = Result<(), AcquireError>> + Unpin,
{
    match futures::poll!(&mut wait) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending if dropped => Err(AcquireError::TimedOut { ready_at: Instant::MAX }),
        Poll::Pending => wait.await,
    }
}
