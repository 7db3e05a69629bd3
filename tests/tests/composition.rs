//! Primitives inside each other: what is refused inside a retry does not touch the network.

use std::cell::RefCell;
use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use steadfast::backoff::{self, Event, GaveUp, Jitter, Next, Policy, Random, RetryError};
use steadfast::circuit_breaker::{
    self, CallError, Changes, CircuitBreaker, Counted, Outcome, Phase,
};
use steadfast::token_bucket::{self, AcquireError, Rate, TokenBucket, TryAcquireError};
use steadfast::{Clock, Instant, ManualClock};
use steadfast_test_support::clocks::Hurried;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
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

mod breakers {
    use super::*;

    type Through<T> = Result<T, CallError<Error>>;

    /// Opens after three failures in a row, for 100 ms, and closes with the first probe that works.
    fn config() -> circuit_breaker::Config {
        circuit_breaker::Config::new()
            .consecutive_failures(3)
            .break_duration(ms(100))
            .close_after(1)
            .counted(true)
            .name("server")
    }

    /// What its refusal says, and only that.
    fn retry_after<T>(outcome: &Through<T>) -> Option<Duration> {
        match outcome {
            Err(CallError::Rejected(refusal)) => refusal.retry_after(),
            _ => None,
        }
    }

    fn of(changes: &mut Changes) -> Vec<(u64, Phase)> {
        let next = || changes.try_next().map(|seen| seen.change);
        std::iter::from_fn(next)
            .map(|change| (change.at.as_nanos() / 1_000_000, change.to))
            .collect()
    }

    /// What came of it.
    #[derive(Debug, PartialEq)]
    struct Story {
        result: Result<u64, RetryError<u64, CallError<Error>>>,
        /// When the server was called.
        calls: Vec<u64>,
        /// What followed each attempt.
        next: Vec<Next>,
        /// When the breaker became what.
        changes: Vec<(u64, Phase)>,
        counted: Option<Counted>,
    }

    /// What is tried.
    #[derive(Clone, Copy)]
    struct Plot<'a> {
        policy: &'a Policy,
        works_from_ms: u64,
        with_hint: bool,
        /// Whether a refusal is worth another attempt.
        when: fn(&Through<u64>) -> bool,
    }

    impl Plot<'_> {
        fn on_a_thread(self) -> Story {
            let clock = Hurried(ManualClock::new());
            let server = Server::new(clock.clone(), self.works_from_ms);
            let breaker = config().build_with(clock.clone()).unwrap();
            let (mut changes, mut next) = (breaker.changes(), Vec::new());
            let result = self
                .policy
                .retry(|_| breaker.call(|| server.call()))
                .when(self.when)
                .hint(|outcome| retry_after(outcome).filter(|_| self.with_hint))
                .notify(|event: &Event<'_, _, _>| next.push(event.next))
                .clock(clock)
                .wait();
            let (calls, changes) = (server.calls.take(), of(&mut changes));
            Story { result, calls, next, changes, counted: breaker.metrics().counted }
        }

        fn in_a_task(self) -> Story {
            let clock = ManualClock::new();
            let server = Server::new(clock.clone(), self.works_from_ms);
            let breaker = config().build_with(clock.clone()).unwrap();
            let (mut changes, mut next) = (breaker.changes(), Vec::new());
            let retry = self
                .policy
                .retry(|_| breaker.call_async(async { server.call() }))
                .when(self.when)
                .hint(|outcome| retry_after(outcome).filter(|_| self.with_hint))
                .notify(|event: &Event<'_, _, _>| next.push(event.next))
                .clock(clock.clone());
            let result = run(&clock, retry.run());
            let (calls, changes) = (server.calls.take(), of(&mut changes));
            Story { result, calls, next, changes, counted: breaker.metrics().counted }
        }

        /// The same for a thread and for a task.
        fn story(self) -> Story {
            let story = self.on_a_thread();
            assert_eq!(self.in_a_task(), story);
            story
        }
    }

    const OPENS_TWICE: [(u64, Phase); 5] = [
        (20, Phase::Open),
        (120, Phase::HalfOpen),
        (120, Phase::Open),
        (220, Phase::HalfOpen),
        (220, Phase::Closed),
    ];

    #[test]
    fn no_attempt_touches_the_network_while_the_breaker_is_open() {
        let policy = every_10_ms().max_retries(30).build().unwrap();
        let when = |outcome: &Through<u64>| outcome.is_err();
        let story = Plot { policy: &policy, works_from_ms: 150, with_hint: false, when }.story();
        // Attempts at 0, 10, 20, … ms. The third failure opens it for 100 ms, the first probe as well.
        assert_eq!((story.result, story.calls), (Ok(220), vec![0, 10, 20, 120, 220]));
        assert_eq!(story.next, [Next::Backoff(ms(10)); 22], "a refusal is an attempt");
        assert_eq!(story.changes, OPENS_TWICE);
        assert_eq!(story.counted, Some(Counted { permitted: 5, rejected: 18 }));
    }

    #[test]
    fn with_its_retry_after_as_a_hint_the_next_attempt_is_the_first_probe() {
        let policy = every_10_ms().build().unwrap();
        let when = |outcome: &Through<u64>| outcome.is_err();
        let story = Plot { policy: &policy, works_from_ms: 150, with_hint: true, when }.story();
        let (wait, hinted) = (Next::Backoff(ms(10)), Next::Hinted(ms(90)));
        assert_eq!(story.next, [wait, wait, wait, hinted, wait, hinted]);
        assert_eq!((story.result, story.calls), (Ok(220), vec![0, 10, 20, 120, 220]));
        assert_eq!(story.changes, OPENS_TWICE);
        assert_eq!(story.counted, Some(Counted { permitted: 5, rejected: 2 }));
    }

    #[test]
    fn a_refusal_is_told_from_other_errors() {
        let policy = every_10_ms().build().unwrap();
        let when = |outcome: &Through<u64>| matches!(outcome, Err(CallError::Inner(_)));
        let story = Plot { policy: &policy, works_from_ms: 150, with_hint: true, when }.story();
        let error = story.result.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::NotRetryable, 4));
        let Some(CallError::Rejected(refusal)) = error.into_error() else {
            panic!("refused by the breaker");
        };
        assert_eq!(refusal.retry_after(), Some(ms(90)));
        assert_eq!(refusal.to_string(), "circuit breaker `server` is open: retry in 90ms");
        assert_eq!((story.calls, story.changes), (vec![0, 10, 20], vec![(20, Phase::Open)]));
    }

    #[test]
    fn retries_end_with_the_refusal_itself() {
        let policy = every_10_ms().max_retries(5).build().unwrap();
        let when = |outcome: &Through<u64>| outcome.is_err();
        let story = Plot { policy: &policy, works_from_ms: 150, with_hint: false, when }.story();
        let error = story.result.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::RetriesExhausted, 6));
        assert!(matches!(error.into_error(), Some(CallError::Rejected(_))));
        assert_eq!(story.calls, [0, 10, 20]);
    }

    #[test]
    fn around_a_retry_a_breaker_sees_the_last_outcome_only() {
        let clock = Hurried(ManualClock::new());
        let server = Server::new(clock.clone(), 150);
        let breaker = config().build_with(clock.clone()).unwrap();
        let policy = every_10_ms().build().unwrap();
        let result = breaker.call(|| policy.retry(|_| server.call()).clock(clock).wait());
        assert_eq!((result.unwrap(), server.calls.take().len()), (150, 16));
        assert_eq!(breaker.metrics().counted, Some(Counted { permitted: 1, rejected: 0 }));
        assert_eq!(breaker.phase(), Phase::Closed);
    }

    /// A bucket, a breaker and a server, and attempts that pass through both.
    struct Three<C> {
        bucket: TokenBucket<C>,
        breaker: CircuitBreaker<C>,
        server: Server<C>,
    }

    /// What an attempt ends with: refused by the bucket, or what became of it behind.
    type Limited = Result<u64, CallError<Error>>;

    impl<C: Clock + Clone> Three<C> {
        fn new(clock: &C, burst: u64, works_from_ms: u64) -> Self {
            let every_second = token_bucket::Config::new(Rate::per_second(1)).burst(burst);
            Self {
                bucket: every_second.build_with(clock.clone()).unwrap(),
                breaker: config().build_with(clock.clone()).unwrap(),
                server: Server::new(clock.clone(), works_from_ms),
            }
        }

        /// The token, then leave, then the call; what is not called needs no token.
        fn attempt(&self) -> Limited {
            self.take()?;
            self.given_back(self.breaker.call(|| self.server.call()))
        }

        async fn attempt_async(&self) -> Limited {
            self.take()?;
            self.given_back(self.breaker.call_async(async { self.server.call() }).await)
        }

        fn take(&self) -> Result<(), CallError<Error>> {
            self.bucket.try_acquire(1).map_err(|refusal| CallError::Inner(Error::Refused(refusal)))
        }

        fn given_back(&self, outcome: Limited) -> Limited {
            if outcome.as_ref().is_err_and(CallError::is_rejected) {
                self.bucket.refund(1);
            }
            outcome
        }

        fn told(self, next: Vec<Next>) -> (Vec<u64>, Vec<Next>, u64, Option<Counted>) {
            let counted = self.breaker.metrics().counted;
            (self.server.calls.take(), next, self.bucket.available(), counted)
        }
    }

    /// Whoever refuses says when.
    fn hint(outcome: &Limited) -> Option<Duration> {
        match outcome.as_ref().err()? {
            CallError::Rejected(refusal) => refusal.retry_after(),
            CallError::Inner(error) => error.retry_after(),
        }
    }

    #[test]
    fn a_token_and_then_leave_for_every_attempt_of_a_retry() {
        let policy = every_10_ms().build().unwrap();
        let (wait, hinted) = (Next::Backoff(ms(10)), |delay| Next::Hinted(ms(delay)));
        for (burst, works_from_ms, expected) in [
            // Five calls, five tokens: the two attempts that the breaker refuses use up none.
            (
                5,
                150,
                (
                    vec![0, 10, 20, 120, 220],
                    vec![wait, wait, wait, hinted(90), wait, hinted(90)],
                    0,
                    Some(Counted { permitted: 5, rejected: 2 }),
                ),
            ),
            // At 130 ms there is no token: the bucket refuses, and the breaker is not asked. The next
            // token comes after the break, and is the probe's.
            (
                4,
                1_000,
                (
                    vec![0, 10, 20, 120, 1_000],
                    vec![wait, wait, wait, hinted(90), wait, hinted(870)],
                    0,
                    Some(Counted { permitted: 5, rejected: 1 }),
                ),
            ),
        ] {
            let clock = Hurried(ManualClock::new());
            let (three, mut next) = (Three::new(&clock, burst, works_from_ms), Vec::new());
            let result = policy
                .retry(|_| three.attempt())
                .hint(hint)
                .notify(|event: &Event<'_, _, _>| next.push(event.next))
                .clock(clock)
                .wait();
            assert_eq!(result.ok(), expected.0.last().copied());
            assert_eq!(three.told(next), expected);

            let clock = ManualClock::new();
            let (three, mut next) = (Three::new(&clock, burst, works_from_ms), Vec::new());
            let retry = policy
                .retry(|_| three.attempt_async())
                .hint(hint)
                .notify(|event: &Event<'_, _, _>| next.push(event.next))
                .clock(clock.clone());
            assert_eq!(run(&clock, retry.run()).ok(), expected.0.last().copied());
            assert_eq!(three.told(next), expected);
        }
    }

    /// Ten calls of a server that answers at once, with a token every 100 ms, through a breaker for
    /// which 50 ms are slow: how many were made, and how many of them it found slow.
    fn ten_calls(token_first: bool) -> (usize, u64) {
        let clock = ManualClock::new();
        let (server, bucket) = (Server::new(clock.clone(), 0), bucket(clock.clone(), 1));
        let breaker = circuit_breaker::Config::new()
            .slow_after(ms(50))
            .slow_rate(0.5, circuit_breaker::Window::calls(10).minimum(5))
            .build_with(clock.clone())
            .unwrap();
        let calls = async {
            for _ in 0..10 {
                if token_first {
                    bucket.acquire(1).await.unwrap();
                    let _ = breaker.call_async(async { server.call() }).await;
                } else {
                    let call = async {
                        bucket.acquire(1).await.unwrap();
                        server.call()
                    };
                    let _ = breaker.call_async(call).await;
                }
            }
        };
        run(&clock, calls);
        let slow = breaker.metrics().slow_by_calls.map_or(0, |tally| tally.bad);
        (server.calls.take().len(), slow)
    }

    #[test]
    fn the_wait_for_a_token_is_no_part_of_the_call_if_the_token_comes_first() {
        assert_eq!(ten_calls(true), (10, 0));
        // With leave first, the fifth call opens it (and the new life has seen none).
        assert_eq!(ten_calls(false), (5, 0));
    }

    #[test]
    fn a_token_refused_behind_the_breaker_is_a_failure_unless_it_is_judged() {
        let clock = ManualClock::new();
        let (server, bucket) = (Server::new(clock.clone(), 0), bucket(clock.clone(), 1));
        let breaker = config().build_with(clock).unwrap();
        let judged = breaker.judged_by(|result: &Result<u64, Error>| match result {
            Ok(_) => Outcome::Success,
            Err(Error::Refused(_)) => Outcome::Ignored,
            Err(Error::Down) => Outcome::FAILURE,
        });
        for _ in 0..5 {
            assert!(!judged.call(|| server.call_within(&bucket)).is_err_and(|e| e.is_rejected()));
        }
        assert_eq!((breaker.phase(), breaker.metrics().consecutive_failures), (Phase::Closed, 0));
        for _ in 0..3 {
            breaker.call(|| server.call_within(&bucket)).unwrap_err();
        }
        assert_eq!(breaker.phase(), Phase::Open, "of a server that works");
        assert_eq!(server.calls.take(), [0]);
    }
}
