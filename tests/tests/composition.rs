//! Primitives inside each other: what is refused inside a retry does not touch the network.

use std::cell::RefCell;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use steadfast::backoff::{self, Event, GaveUp, Jitter, Next, Policy, Random, RetryError};
use steadfast::token_bucket::{self, AcquireError, Rate, TokenBucket, TryAcquireError};
use steadfast::{Clock, Instant, ManualClock, Timer};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A clock whose time passes as soon as somebody sleeps.
#[derive(Clone)]
struct Hurried(ManualClock);

impl Clock for Hurried {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Timer for Hurried {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), at: Instant, waker: &Waker) {
        if at != Instant::MAX {
            self.0.set_now(at.max(self.0.now()));
            waker.wake_by_ref();
        }
    }
}

/// Runs `future`, and lets time pass until the next alarm whenever it waits.
fn run<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        clock.set_now(clock.next_alarm().expect("something to wait for"));
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Error {
    /// By the bucket: nothing was sent.
    Refused(TryAcquireError),
    /// By the server.
    Down,
}

impl Error {
    /// What a hint is.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after(),
            Self::Down => None,
        }
    }

    fn is_never(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_never())
    }
}

/// A server that answers from an instant on, and notes when it was called.
struct Server<C> {
    clock: C,
    works_from: Instant,
    calls: RefCell<Vec<u64>>,
}

impl<C: Clock> Server<C> {
    fn new(clock: C, works_from_ms: u64) -> Self {
        let works_from = Instant::ZERO.saturating_add(ms(works_from_ms));
        Self { clock, works_from, calls: RefCell::default() }
    }

    fn call(&self) -> Result<u64, Error> {
        let now = self.clock.now();
        self.calls.borrow_mut().push(now.as_nanos() / 1_000_000);
        if now < self.works_from { Err(Error::Down) } else { Ok(now.as_nanos() / 1_000_000) }
    }

    /// The order of things: the token first, and only with it the network.
    fn call_within(&self, bucket: &TokenBucket<C>) -> Result<u64, Error> {
        bucket.try_acquire(1).map_err(Error::Refused)?;
        self.call()
    }
}

fn bucket<C: Clock>(clock: C, burst: u64) -> TokenBucket<C> {
    let every_100_ms = Rate::per_second(10);
    token_bucket::Config::new(every_100_ms).burst(burst).build_with(clock).unwrap()
}

fn every_10_ms() -> backoff::Config {
    backoff::Config::constant(ms(10)).max_retries(20)
}

/// What came of it: the result, the calls that the server saw, and what followed each attempt.
type Story = (Result<u64, RetryError<u64, Error>>, Vec<u64>, Vec<Next>);

fn on_a_thread(policy: &Policy, burst: u64, works_from_ms: u64, with_hint: bool) -> Story {
    let clock = Hurried(ManualClock::new());
    let server = Server::new(clock.clone(), works_from_ms);
    let bucket = bucket(clock.clone(), burst);
    let mut next = Vec::new();
    let result = policy
        .retry(|_| server.call_within(&bucket))
        .hint(|outcome| outcome.as_ref().err().filter(|_| with_hint)?.retry_after())
        .notify(|event: &Event<'_, _, _>| next.push(event.next))
        .clock(clock)
        .wait();
    (result, server.calls.take(), next)
}

fn in_a_task(policy: &Policy, burst: u64, works_from_ms: u64, with_hint: bool) -> Story {
    let clock = ManualClock::new();
    let server = Server::new(clock.clone(), works_from_ms);
    let bucket = bucket(clock.clone(), burst);
    let mut next = Vec::new();
    let retry = policy
        .retry(async |_| server.call_within(&bucket))
        .hint(|outcome| outcome.as_ref().err().filter(|_| with_hint)?.retry_after())
        .notify(|event: &Event<'_, _, _>| next.push(event.next))
        .clock(clock.clone());
    let result = run(&clock, retry.run());
    (result, server.calls.take(), next)
}

/// The same for a thread and for a task.
fn story(policy: &Policy, burst: u64, works_from_ms: u64, with_hint: bool) -> Story {
    let story = on_a_thread(policy, burst, works_from_ms, with_hint);
    assert_eq!(in_a_task(policy, burst, works_from_ms, with_hint), story);
    story
}

#[test]
fn an_attempt_that_the_bucket_refuses_does_not_touch_the_network() {
    let policy = every_10_ms().build().unwrap();
    let (result, calls, next) = story(&policy, 2, 150, false);
    // Attempts at 0, 10, 20, … ms; tokens at 0, 0, 100, 200.
    assert_eq!(calls, [0, 10, 100, 200]);
    assert_eq!(next, [Next::Backoff(ms(10)); 20], "a refusal is an attempt");
    assert_eq!(result, Ok(200));
}

#[test]
fn with_its_retry_at_as_a_hint_the_next_attempt_has_a_token() {
    let policy = every_10_ms().build().unwrap();
    let (result, calls, next) = story(&policy, 2, 150, true);
    let (wait, hints) = (Next::Backoff(ms(10)), |delay| Next::Hinted(ms(delay)));
    assert_eq!(next, [wait, wait, hints(80), wait, hints(90)]);
    assert_eq!((result, calls), (Ok(200), vec![0, 10, 100, 200]));
}

#[test]
fn a_hint_beyond_the_cap_is_cut_there_and_asks_again() {
    let policy = every_10_ms().cap(ms(60)).build().unwrap();
    let (result, calls, next) = story(&policy, 1, 50, true);
    let (wait, hints) = (Next::Backoff(ms(10)), |delay| Next::Hinted(ms(delay)));
    assert_eq!(next, [wait, hints(60), hints(30)]);
    assert_eq!((result, calls), (Ok(100), vec![0, 100]));
}

#[test]
fn retries_end_with_the_refusal_itself() {
    let policy = every_10_ms().max_retries(3).build().unwrap();
    let (result, calls, _) = story(&policy, 1, 1_000, false);
    let error = result.unwrap_err();
    assert_eq!((error.reason, error.attempts), (GaveUp::RetriesExhausted, 4));
    let Some(Error::Refused(TryAcquireError::Denied { retry_at, now })) = error.into_error() else {
        panic!("refused by the bucket");
    };
    assert_eq!((now.as_nanos(), retry_at.as_nanos()), (30_000_000, 100_000_000));
    assert_eq!(calls, [0]);
}

#[test]
fn a_bucket_that_closes_between_attempts_ends_the_retry() {
    let clock = Hurried(ManualClock::new());
    let server = Server::new(clock.clone(), 1_000);
    let bucket = bucket(clock.clone(), 5);
    let error = every_10_ms()
        .build()
        .unwrap()
        .retry(|attempt| {
            if attempt == 2 {
                bucket.close();
            }
            server.call_within(&bucket)
        })
        .when(|outcome| outcome.as_ref().is_err_and(|error| !error.is_never()))
        .clock(clock)
        .wait()
        .unwrap_err();
    assert_eq!((error.reason, error.attempts), (GaveUp::NotRetryable, 3));
    assert_eq!(error.into_error(), Some(Error::Refused(TryAcquireError::Closed)));
    assert_eq!(server.calls.take(), [0, 10]);
}

#[test]
fn all_retries_of_many_clients_together_stay_within_the_bucket() {
    const CLIENTS: u64 = 60;
    const BURST: u64 = 5;
    let clock = ManualClock::new();
    let server = Server::new(clock.clone(), u64::MAX);
    let bucket = bucket(clock.clone(), BURST);
    let policy = backoff::Config::exponential(ms(20)).cap(ms(500)).jitter(Jitter::Full);
    let policy = policy.max_retries(12).build().unwrap();
    let clients = (0..CLIENTS).map(|seed| {
        let retry = policy.retry(|_| std::future::ready(server.call_within(&bucket)));
        let retry = retry.hint(|outcome| outcome.as_ref().err()?.retry_after());
        retry.rng(Random::from_seed(seed)).clock(clock.clone()).into_future()
    });
    let results = run(&clock, join_all(clients));
    assert!(results.iter().all(|result| result.as_ref().is_err_and(|e| e.attempts == 13)));
    let calls = server.calls.take();
    for (first, from) in calls.iter().enumerate() {
        for (last, to) in calls.iter().enumerate().skip(first) {
            let sent = u64::try_from(last - first).unwrap() + 1;
            assert!(sent <= BURST + (to - from) / 100, "{sent} from {from} to {to} ms");
        }
    }
    let over = clock.now().as_nanos() / 100_000_000;
    let sent = u64::try_from(calls.len()).unwrap();
    assert!(sent > BURST + over / 2, "{sent} calls in {over} tenths of a second");
}

#[test]
fn an_attempt_cut_off_while_it_waits_for_its_token_takes_none() {
    let clock = ManualClock::new();
    let server = Server::new(clock.clone(), 150);
    let bucket = bucket(clock.clone(), 1);
    let policy = every_10_ms().build().unwrap();
    let retry = policy
        .retry(async |_| -> Result<u64, Option<AcquireError>> {
            bucket.acquire(1).await.map_err(Some)?;
            server.call().map_err(|_| None)
        })
        .attempt_timeout(ms(30))
        .clock(clock.clone());
    // Attempts at 0; 10 to 40, 50 to 80, 90 with the token of 100; 110 to 140, 150 to 180, 190 with
    // that of 200.
    assert_eq!(run(&clock, retry.run()), Ok(200));
    assert_eq!(server.calls.take(), [0, 100, 200]);
    assert_eq!((bucket.available(), bucket.stats().line.waiting), (0, 0));
}
