//! Retrying: what is decided after each attempt, for both endings.
//!
//! ```text
//!            ┌───────────────────────── sleep ◀──────────────────────┐
//!            ▼                                                       │ again, until …
//!  begin ─▶ attempt ─▶ outcome ─▶ judge: when? stop? retries? hint or policy? time? budget?
//!                                    │
//!                                    └─▶ over: the value, or why it was given up
//! ```
//!
//! [`Engine`] decides all of it and waits for nothing. The drivers (a future, an async function and a
//! loop) run attempts and sleeps, and decide nothing.

use core::marker::PhantomData;
use core::time::Duration;

use steadfast_core::{Instant, SystemClock, Timer, saturating_nanos};

use crate::budget::Budget;
use crate::error::{GaveUp, RetryError};
use crate::growth::{Curve, Grow};
use crate::policy::Policy;
use crate::random::Rng;
use crate::stop::{Source, Stop};

mod drivers;
mod parts;

pub use self::drivers::Retrying;
pub use self::parts::{
    Hint, Later, NoHint, Notice, Notify, Now, OnError, Operation, Seeded, Silent, Told, When,
};

/// A retry, to be configured and then `.await`ed or [`wait`](Retry::wait)ed for.
///
/// It is lazy. Its operation is called with the attempt number, which counts from 0 (write `|n: u32|`
/// to call a method of it), and is
///
/// | operation | ends in |
/// |---|---|
/// | a closure that returns a `Result` | `.wait()` |
/// | a closure that returns a future of one | `.await` |
/// | an `async` closure that holds on to what it borrows | `.run().await` |
///
/// The last two differ because the future of such a closure cannot be named. Neither operation nor
/// future is boxed, and nothing has to be `Send` or `'static`. A first attempt that succeeds allocates
/// nothing; a sleep of a task does, for its place and its alarm.
///
/// A delay of zero does not yield: with an operation that is always ready, an unlimited retry keeps its
/// executor's thread.
///
/// # Cancel safety
///
/// Dropping it, or its future, at any point drops the attempt under way and nothing else. What was
/// taken from a budget stays taken.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use core::time::Duration;
/// use steadfast_backoff::{Config, GaveUp};
///
/// let policy = Config::exponential(Duration::from_millis(1)).max_retries(5).build()?;
///
/// let mut calls = 0;
/// let value = policy
///     .retry(|attempt| {
///         calls += 1;
///         if attempt < 2 { Err("not yet") } else { Ok(attempt) }
///     })
///     .wait();
/// assert_eq!((value.unwrap(), calls), (2, 3));
///
/// # futures::executor::block_on(async {
/// let fetch = |attempt| async move { if attempt < 2 { Err("gone") } else { Ok(attempt) } };
/// let error = policy.retry(fetch).when(|outcome| *outcome != Err("gone")).await.unwrap_err();
/// assert_eq!((error.reason, error.attempts), (GaveUp::NotRetryable, 1));
/// # });
/// # }
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
#[must_use = "a retry does nothing unless it is awaited or `.wait()` is called"]
pub struct Retry<
    'a,
    F,
    K,
    G = Curve,
    W = OnError,
    H = NoHint,
    N = Silent,
    R = Seeded,
    C = SystemClock,
> {
    op: F,
    engine: Engine<'a, G, W, H, N, R, C>,
    kind: PhantomData<fn() -> K>,
}

/// What has become of an attempt that did not end the retry with a value.
#[derive(Debug)]
pub struct Event<'a, T, E> {
    /// The number of the attempt, from 0.
    pub attempt: u32,
    /// The time since the retry began.
    pub elapsed: Duration,
    /// How it ended; `None` if it was cut off by its timeout or by the deadline.
    pub outcome: Option<&'a Result<T, E>>,
    /// What follows.
    pub next: Next,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, after a delay that the policy chose.
    Backoff(Duration),
    /// Another attempt, after a delay that the [hint](Retry::hint) asked for.
    Hinted(Duration),
    /// None.
    GiveUp(GaveUp),
}

impl<G: Grow + Copy> Policy<G> {
    /// Calls `op` until its outcome is not to be retried, or until the policy gives up.
    #[inline]
    pub fn retry<F, K>(&self, op: F) -> Retry<'static, F, K, G>
    where
        F: Operation<K>,
    {
        let plan = Plan {
            policy: *self,
            budget: None,
            timeout: u64::MAX,
            attempt_timeout: u64::MAX,
            max_hint: self.cap,
            began: Instant::ZERO,
            end: Instant::MAX,
            attempt: 0,
            attempts: 0,
            previous: None,
        };
        let engine = Engine {
            plan,
            when: OnError,
            hint: NoHint,
            notify: Silent,
            rng: Seeded::new(),
            source: Source::Clock(SystemClock),
        };
        Retry { op, engine, kind: PhantomData }
    }
}

impl<'a, F, K, G, W, H, N, R, C> Retry<'a, F, K, G, W, H, N, R, C>
where
    F: Operation<K>,
{
    /// Which outcomes are to be retried: it sees the whole `Result`, so that an `Ok` can be retried
    /// and an `Err` be final. Default: every `Err`.
    ///
    /// An attempt that was cut off by its timeout has no outcome, and is retried in any case.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, GaveUp};
    ///
    /// let policy = Config::constant(Duration::from_millis(1)).build()?;
    /// let answer = policy.retry(|_| Err::<(), _>(404)).when(|outcome| *outcome != Err(404)).wait();
    /// assert_eq!(answer.unwrap_err().reason, GaveUp::NotRetryable);
    ///
    /// // An `Ok` can be one that is not good enough.
    /// let answer = policy.retry(|attempt| Ok::<_, ()>(attempt)).when(|outcome| *outcome < Ok(2)).wait();
    /// assert_eq!(answer.unwrap(), 2);
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn when<P>(self, retries: P) -> Retry<'a, F, K, G, P, H, N, R, C>
    where
        P: FnMut(&Result<F::Value, F::Error>) -> bool,
    {
        let Engine { plan, hint, notify, rng, source, .. } = self.engine;
        let engine = Engine { plan, when: retries, hint, notify, rng, source };
        Retry { op: self.op, engine, kind: PhantomData }
    }

    /// The delay that the outcome itself asks for, such as a server's `Retry-After`. It replaces the
    /// policy's delay once, and at most up to [`max_hint`](Retry::max_hint). `None` asks for nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::Config;
    ///
    /// # #[derive(Debug)]
    /// struct Busy { retry_after: Option<Duration> }
    ///
    /// let policy = Config::constant(Duration::from_secs(3_600)).build()?;
    /// let answer = policy
    ///     .retry(|attempt| match attempt {
    ///         0 => Err(Busy { retry_after: Some(Duration::from_millis(1)) }),
    ///         n => Ok(n),
    ///     })
    ///     .hint(|outcome| outcome.as_ref().err()?.retry_after)
    ///     .wait();                                        // a millisecond, and not an hour
    /// assert_eq!(answer.unwrap(), 1);
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn hint<P>(self, hint: P) -> Retry<'a, F, K, G, W, P, N, R, C>
    where
        P: FnMut(&Result<F::Value, F::Error>) -> Option<Duration>,
    {
        let Engine { plan, when, notify, rng, source, .. } = self.engine;
        let engine = Engine { plan, when, hint, notify, rng, source };
        Retry { op: self.op, engine, kind: PhantomData }
    }

    /// The longest delay that a [`hint`](Retry::hint) is believed. Default: the policy's cap.
    #[inline]
    pub fn max_hint(mut self, longest: Duration) -> Self {
        self.engine.plan.max_hint = saturating_nanos(longest);
        self
    }

    /// Is told of every attempt that did not end the retry with a value, before the sleep that
    /// follows. The time that this takes is part of the sleep, and neither the deadline nor a stop cuts
    /// it off.
    ///
    /// It may return a future, which is awaited; with `.wait()` it must not. The future must not borrow
    /// the event, as that of an `async` closure does: take what it needs first.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use steadfast_backoff::{Config, Event, Next};
    /// # async fn report(attempt: u32, next: Next) { assert!(attempt == 0 && next == Next::Backoff(Duration::ZERO)) }
    /// # #[cfg(feature = "std")]
    /// # futures::executor::block_on(async {
    /// # let policy = Config::constant(Duration::ZERO).build().unwrap();
    /// # let fetch = async |n| if n == 0 { Err("gone") } else { Ok(n) };
    /// let tell = |event: &Event<'_, _, _>| {
    ///     let (attempt, next) = (event.attempt, event.next);
    ///     async move { report(attempt, next).await }
    /// };
    /// assert_eq!(policy.retry(fetch).notify(tell).await, Ok(1));
    /// # });
    /// ```
    #[inline]
    pub fn notify<P, X, M>(self, notify: P) -> Retry<'a, F, K, G, W, H, Told<P, M>, R, C>
    where
        P: FnMut(&Event<'_, F::Value, F::Error>) -> X,
        X: Notice<M>,
    {
        let Engine { plan, when, hint, rng, source, .. } = self.engine;
        let engine = Engine { plan, when, hint, notify: Told::new(notify), rng, source };
        Retry { op: self.op, engine, kind: PhantomData }
    }

    /// The randomness for jitter: needed where there is none by default, and for reproducible runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, Jitter, Random};
    ///
    /// let policy = Config::exponential(Duration::from_millis(1)).jitter(Jitter::Full).build()?;
    /// // The same delays each time: for a test, or a simulation.
    /// let answer = policy.retry(|n| if n < 2 { Err(n) } else { Ok(n) }).rng(Random::from_seed(7)).wait();
    /// assert_eq!(answer.unwrap(), 2);
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn rng<P: Rng>(self, rng: P) -> Retry<'a, F, K, G, W, H, N, P, C> {
        let Engine { plan, when, hint, notify, source, .. } = self.engine;
        let engine = Engine { plan, when, hint, notify, rng, source };
        Retry { op: self.op, engine, kind: PhantomData }
    }

    /// The clock and timer. Default: the system's. It takes the place of a [`stop`](Retry::stop) handle
    /// given before, which has a clock of its own: give one of the two.
    #[inline]
    pub fn clock<P: Timer + Clone>(self, clock: P) -> Retry<'a, F, K, G, W, H, N, R, P> {
        self.source(Source::Clock(clock))
    }

    /// The handle that ends it, and the handle's clock in place of any other.
    #[inline]
    pub fn stop<P: Timer + Clone>(self, stop: &'a Stop<P>) -> Retry<'a, F, K, G, W, H, N, R, P> {
        self.source(Source::Stop(stop))
    }

    fn source<P>(self, source: Source<'a, P>) -> Retry<'a, F, K, G, W, H, N, R, P> {
        let Engine { plan, when, hint, notify, rng, .. } = self.engine;
        let engine = Engine { plan, when, hint, notify, rng, source };
        Retry { op: self.op, engine, kind: PhantomData }
    }

    /// The budget that retries are taken from. The call itself is deposited in it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{BudgetConfig, Config, GaveUp};
    ///
    /// // A retry for every two calls, and at most three of them in advance.
    /// let budget = BudgetConfig::new(0.5).burst(3).build()?;
    /// let policy = Config::constant(Duration::from_millis(1)).unlimited().build()?;
    /// let attempts: Vec<_> = (0..4)
    ///     .map(|_| policy.retry(|_| Err::<(), _>("down")).budget(&budget).wait().unwrap_err())
    ///     .map(|error| (error.attempts, error.reason))
    ///     .collect();
    /// let alone = (1, GaveUp::BudgetEmpty);
    /// assert_eq!(attempts, [alone, (2, GaveUp::BudgetEmpty), alone, (2, GaveUp::BudgetEmpty)]);
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn budget(mut self, budget: &'a Budget) -> Self {
        self.engine.plan.budget = Some(budget);
        self
    }

    /// When to be done, an instant of the retry's clock; attempts and sleeps together. No attempt
    /// begins at the deadline or later, and no sleep until then: it gives up at once. With `.await`
    /// it also cuts off an attempt that is under way; a blocking attempt comes to its end.
    ///
    /// Without one, the end of time ([`Instant::MAX`]) is the deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, GaveUp};
    /// use steadfast_core::{Clock, SystemClock};
    ///
    /// let policy = Config::constant(Duration::from_secs(60)).build()?;
    /// let by = SystemClock.now().saturating_add(Duration::from_secs(10));
    /// let error = policy.retry(|_| Err::<(), _>("down")).deadline(by).wait().unwrap_err();
    /// assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 1), "now, and not in ten seconds");
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.engine.plan.end = deadline;
        self
    }

    /// A [`deadline`](Retry::deadline) so long after the beginning.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, GaveUp};
    /// use steadfast_core::ManualClock;
    ///
    /// let policy = Config::constant(Duration::from_secs(7)).unlimited().build()?;
    /// let slow = |_| Err::<(), _>("down");
    /// let error = policy.retry(slow).timeout(Duration::from_secs(5)).clock(ManualClock::new()).wait();
    /// // The next attempt would begin after the time is over: it is given up now.
    /// assert_eq!(error.unwrap_err().reason, GaveUp::Deadline);
    /// # }
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.engine.plan.timeout = saturating_nanos(timeout);
        self
    }
}

impl<F, G, W, H, N, R, C> Retry<'_, F, Later, G, W, H, N, R, C> {
    /// How long one attempt may take; then it is dropped, and retried like an error. Only for
    /// operations that are awaited: a blocking call cannot be cut off.
    ///
    /// ```compile_fail,E0599
    /// use core::time::Duration;
    /// use steadfast_backoff::Config;
    ///
    /// let policy = Config::constant(Duration::from_secs(1)).build().unwrap();
    /// let blocking = |_| Err::<(), _>("no");
    /// policy.retry(blocking).attempt_timeout(Duration::from_secs(1));
    /// ```
    #[inline]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.engine.plan.attempt_timeout = saturating_nanos(timeout);
        self
    }
}

impl<F, K, G, W, H, N, R, C> core::fmt::Debug for Retry<'_, F, K, G, W, H, N, R, C>
where
    G: core::fmt::Debug,
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.engine.plan.fmt(f)
    }
}

/// What has been asked for, and how far it has come.
///
/// In this order, with the policy between what is always written: beside what may not be, the two are
/// copied as one, and not straight from where the policy is to the future.
#[derive(Debug)]
#[repr(C)]
struct Plan<'a, G> {
    budget: Option<&'a Budget>,
    policy: Policy<G>,
    // Times in nanoseconds, of which `u64::MAX` is as good as none: an `Option<Duration>` takes twice the
    // room, and all of this is moved into the future.
    timeout: u64,
    attempt_timeout: u64,
    max_hint: u64,
    began: Instant,
    /// No attempt begins then or later: the deadline, and from the beginning on whatever is earliest.
    end: Instant,
    /// The number of the next attempt, or of the one under way.
    attempt: u32,
    /// How many there were that did not end in the value.
    attempts: u32,
    previous: Option<Duration>,
}

/// So many nanoseconds later, or the end of time.
#[inline]
fn after(at: Instant, ns: u64) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_add(ns))
}

/// The decisions.
struct Engine<'a, G, W, H, N, R, C> {
    plan: Plan<'a, G>,
    when: W,
    hint: H,
    notify: N,
    rng: R,
    source: Source<'a, C>,
}

/// What is to be done.
enum Verdict<T, X> {
    Over(T),
    /// Wait until notice has been given; then sleep until an instant and make another attempt, or
    /// give up.
    Failed(X, Result<Instant, GaveUp>),
}

impl<G, W, H, N, R, C> Engine<'_, G, W, H, N, R, C>
where
    G: Grow,
    R: Rng,
    C: Timer + Clone,
{
    /// Looks at the clock, and whether there is to be an attempt at all.
    #[inline]
    fn begin(&mut self) -> Result<(), GaveUp> {
        let plan = &mut self.plan;
        plan.began = self.source.now();
        let elapsed = plan.policy.max_elapsed.map_or(u64::MAX, saturating_nanos);
        plan.end = plan.end.min(after(plan.began, plan.timeout.min(elapsed)));
        let began = plan.began;
        self.is_in_time(began)?;
        if let Some(budget) = self.plan.budget {
            budget.deposit();
        }
        Ok(())
    }

    /// Until when the attempt that begins now may take.
    #[inline]
    fn limit(&self) -> Instant {
        match self.plan.attempt_timeout {
            u64::MAX => self.plan.end,
            limit => after(self.source.now(), limit).min(self.plan.end),
        }
    }

    /// Decides what follows an outcome, or (`None`) an attempt that was cut off. An outcome that is
    /// not the value is left in `last`.
    #[inline]
    fn judge<T, E>(
        &mut self,
        outcome: Option<Result<T, E>>,
        last: &mut Option<Result<T, E>>,
    ) -> Verdict<T, N::Future>
    where
        W: When<T, E>,
        H: Hint<T, E>,
        N: Notify<T, E>,
    {
        let retry = outcome.as_ref().is_none_or(|outcome| self.when.retries(outcome));
        match outcome {
            Some(Ok(value)) if !retry => Verdict::Over(value),
            outcome => self.judge_failure(outcome, retry, last),
        }
    }

    #[cold]
    fn judge_failure<T, E>(
        &mut self,
        outcome: Option<Result<T, E>>,
        retry: bool,
        last: &mut Option<Result<T, E>>,
    ) -> Verdict<T, N::Future>
    where
        H: Hint<T, E>,
        N: Notify<T, E>,
    {
        let now = self.source.now();
        self.plan.attempts = self.plan.attempts.saturating_add(1);
        let asked = outcome.as_ref().filter(|_| retry);
        let hint = asked.and_then(|outcome| self.hint.hint(outcome));
        let attempt = self.plan.attempt;
        let (next, then) = match self.next(retry, hint, now) {
            Ok((next, until)) => (next, Ok(until)),
            Err(reason) => (Next::GiveUp(reason), Err(reason)),
        };
        let cut_off = outcome.is_none();
        if !cut_off {
            *last = outcome;
        }
        let elapsed = now.saturating_duration_since(self.plan.began);
        let outcome = last.as_ref().filter(|_| !cut_off);
        let notice = self.notify.notify(&Event { attempt, elapsed, outcome, next });
        Verdict::Failed(notice, then)
    }

    /// Whether there is to be another attempt, and when.
    fn next(
        &mut self,
        retry: bool,
        hint: Option<Duration>,
        now: Instant,
    ) -> Result<(Next, Instant), GaveUp> {
        if !retry {
            return Err(GaveUp::NotRetryable);
        }
        self.is_in_time(now)?;
        let plan = &mut self.plan;
        if plan.policy.max_retries.is_some_and(|most| plan.attempt >= most) {
            return Err(GaveUp::RetriesExhausted);
        }
        let (next, delay) = if let Some(hint) = hint {
            let delay = hint.min(Duration::from_nanos(plan.max_hint));
            (Next::Hinted(delay), delay)
        } else {
            let delay = plan.policy.delay_after(plan.attempt, plan.previous, &mut self.rng);
            plan.previous = Some(delay);
            (Next::Backoff(delay), delay)
        };
        let until = now.saturating_add(delay);
        if until >= plan.end {
            return Err(GaveUp::Deadline);
        }
        // Last, so that nothing is withdrawn for a retry that does not come.
        if plan.budget.is_some_and(|budget| !budget.try_withdraw_at(now)) {
            return Err(GaveUp::BudgetEmpty);
        }
        plan.attempt = plan.attempt.saturating_add(1);
        Ok((next, until))
    }

    /// Whether the attempt that was decided on is to begin, now that notice was given and the sleep is
    /// over: either may have taken longer than was thought.
    #[inline]
    fn resume(&self) -> Result<(), GaveUp> {
        self.is_in_time(self.source.now())
    }

    /// Whether an attempt may begin at `now`, as far as the stop and the deadline go.
    #[inline]
    fn is_in_time(&self, now: Instant) -> Result<(), GaveUp> {
        if self.source.is_stopped() {
            return Err(GaveUp::Stopped);
        }
        if now >= self.plan.end {
            return Err(GaveUp::Deadline);
        }
        Ok(())
    }

    #[cold]
    fn gave_up<T, E>(&self, reason: GaveUp, outcome: Option<Result<T, E>>) -> RetryError<T, E> {
        let elapsed = self.source.now().saturating_duration_since(self.plan.began);
        RetryError { outcome, attempts: self.plan.attempts, elapsed, reason }
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::config::Config;

    /// The numbers of the attempts from `first` on, and the error.
    fn from(first: u32, policy: Policy, calls: usize) -> (Vec<u32>, RetryError<(), ()>) {
        let mut numbers = Vec::new();
        let mut retry = policy.retry(|attempt| {
            numbers.push(attempt);
            Err(())
        });
        retry.engine.plan.attempt = first;
        retry.engine.plan.attempts = first;
        let mut left = calls;
        let error = retry
            .when(|_| {
                left -= 1;
                left > 0
            })
            .wait()
            .unwrap_err();
        (numbers, error)
    }

    #[test]
    fn the_last_of_all_numbers_is_the_last_attempt_that_a_limit_allows() {
        let config = Config::constant(Duration::ZERO);
        let first = u32::MAX - 2;
        let (numbers, error) = from(first, config.max_retries(u32::MAX).build().unwrap(), 9);
        assert_eq!(numbers, [u32::MAX - 2, u32::MAX - 1, u32::MAX]);
        assert_eq!((error.attempts, error.reason), (u32::MAX, GaveUp::RetriesExhausted));
    }

    #[test]
    fn without_a_limit_the_last_of_all_numbers_is_repeated() {
        let config = Config::exponential(Duration::from_nanos(1)).cap(Duration::from_nanos(1));
        let (numbers, error) = from(u32::MAX - 1, config.unlimited().build().unwrap(), 4);
        assert_eq!(numbers, [u32::MAX - 1, u32::MAX, u32::MAX, u32::MAX]);
        assert_eq!((error.attempts, error.reason), (u32::MAX, GaveUp::NotRetryable));
    }
}
