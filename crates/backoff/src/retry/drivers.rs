//! What runs a retry: a loop, an async function, and a future with a name. None of them decides
//! anything.

use core::fmt;
#[cfg(feature = "std")]
use core::future::Ready;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use steadfast_core::{Instant, Timer};

#[cfg(feature = "std")]
use super::Now;
use super::{Engine, Hint, Later, Notify, Retry, Verdict, When};
use crate::error::{GaveUp, RetryError};
use crate::growth::Grow;
use crate::random::Rng;
use crate::stop::{Sleep, Source, TimeLimit};

#[cfg(feature = "std")]
impl<F, T, E, G, W, H, N, R, C> Retry<'_, F, Now, G, W, H, N, R, C>
where
    F: FnMut(u32) -> Result<T, E>,
    G: Grow,
    W: When<T, E>,
    H: Hint<T, E>,
    N: Notify<T, E, Future = Ready<()>>,
    R: Rng,
    C: Timer + Clone,
{
    /// Runs it on this thread, which sleeps between the attempts without the help of another.
    ///
    /// # Errors
    ///
    /// [`RetryError`] says why it gave up, and has the last outcome.
    #[inline]
    pub fn wait(mut self) -> Result<T, RetryError<T, E>> {
        let mut last = None;
        if let Err(reason) = self.engine.begin() {
            return Err(self.engine.gave_up(reason, last));
        }
        loop {
            let outcome = (self.op)(self.engine.plan.attempt);
            let then = match self.engine.judge(Some(outcome), &mut last) {
                Verdict::Over(value) => return Ok(value),
                Verdict::Failed(_, then) => then,
            };
            let resumed = then.and_then(|until| {
                self.engine.source.sleep_on_thread(until);
                self.engine.resume()
            });
            if let Err(reason) = resumed {
                return Err(self.engine.gave_up(reason, last));
            }
        }
    }
}

impl<F, T, E, G, W, H, N, R, C> Retry<'_, F, Later, G, W, H, N, R, C>
where
    F: AsyncFnMut(u32) -> Result<T, E>,
    G: Grow,
    W: When<T, E>,
    H: Hint<T, E>,
    N: Notify<T, E>,
    R: Rng,
    C: Timer + Clone,
{
    /// Runs it, also for an `async` closure that holds on to what it borrows, whose future has no
    /// name. Otherwise `.await` does the same.
    ///
    /// Today's compilers see that its future is `Send` only if what the operation borrows from outside
    /// is `'static`. In a task that is to be sent elsewhere (`tokio::spawn`), let an `async move` closure
    /// own what it mutates, or `.await` an operation that only reads.
    ///
    /// # Errors
    ///
    /// [`RetryError`] says why it gave up, and has the last outcome.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")]
    /// # futures::executor::block_on(async {
    /// use core::time::Duration;
    /// use steadfast_backoff::Config;
    ///
    /// # async fn send(line: &mut String) -> Result<usize, &'static str> {
    /// #     line.push('.');
    /// #     if line.len() < 3 { Err("short") } else { Ok(line.len()) }
    /// # }
    /// let policy = Config::constant(Duration::from_millis(1)).build()?;
    /// let mut line = String::new();
    /// let sent = policy.retry(async |_| send(&mut line).await).run().await;
    /// assert_eq!(sent.unwrap(), 3);
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// # }).unwrap();
    /// ```
    pub async fn run(mut self) -> Result<T, RetryError<T, E>> {
        let mut last = None;
        if let Err(reason) = self.engine.begin() {
            return Err(self.engine.gave_up(reason, last));
        }
        loop {
            let (limit, end) = (self.engine.limit(), self.engine.plan.end);
            let limit = Limit { until: limit.unwrap_or(Instant::MAX), wait: None };
            let attempt = (self.op)(self.engine.plan.attempt);
            let source = &self.engine.source;
            let outcome = Limited { attempt, limit, end, source }.await;
            let then = match self.engine.judge(outcome, &mut last) {
                Verdict::Over(value) => return Ok(value),
                Verdict::Failed(notice, then) => {
                    notice.await;
                    then
                }
            };
            let resumed = match then {
                Err(reason) => Err(reason),
                Ok(until) => {
                    self.engine.source.sleep(until).await;
                    self.engine.resume()
                }
            };
            if let Err(reason) = resumed {
                return Err(self.engine.gave_up(reason, last));
            }
        }
    }
}

impl<'a, F, A, T, E, G, W, H, N, R, C> IntoFuture for Retry<'a, F, Later, G, W, H, N, R, C>
where
    F: FnMut(u32) -> A,
    A: Future<Output = Result<T, E>>,
    G: Grow,
    W: When<T, E>,
    H: Hint<T, E>,
    N: Notify<T, E>,
    R: Rng,
    C: Timer + Clone,
{
    type Output = Result<T, RetryError<T, E>>;
    type IntoFuture = Retrying<'a, F, A, T, E, G, W, H, N, R, C>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        let Self { op, engine, .. } = self;
        let limit = Limit { until: Instant::MAX, wait: None };
        Retrying { op, engine, last: None, limit, state: State::Begin }
    }
}

pin_project! {
    /// The future of a [`Retry`].
    #[project = RetryingProjection]
    #[must_use = "a future does nothing unless it is polled"]
    pub struct Retrying<'a, F, A, T, E, G, W, H, N: Notify<T, E>, R, C: Timer> {
        op: F,
        engine: Engine<'a, G, W, H, N, R, C>,
        last: Option<Result<T, E>>,
        limit: Limit<C>,
        #[pin]
        state: State<'a, A, N::Future, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<'a, A, X, C: Timer> {
        Begin,
        Attempt { #[pin] attempt: A },
        Notice { #[pin] notice: X, then: Result<Instant, GaveUp> },
        Asleep { sleep: Sleep<'a, C> },
        Over,
    }
}

pin_project! {
    /// An attempt that is cut off when its limit comes: then its output is `None`.
    struct Limited<'s, 'a, A, C: Timer> {
        #[pin]
        attempt: A,
        limit: Limit<C>,
        end: Instant,
        source: &'s Source<'a, C>,
    }
}

impl<A: Future, C: Timer + Clone> Future for Limited<'_, '_, A, C> {
    type Output = Option<A::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.limit.poll(this.attempt, *this.end, this.source, cx)
    }
}

/// How long an attempt may take. It waits for nothing while the attempt does not.
struct Limit<C: Timer> {
    /// Its own limit, beside the end of all.
    until: Instant,
    wait: Option<TimeLimit<C>>,
}

impl<C: Timer + Clone> Limit<C> {
    #[inline]
    fn poll<A: Future>(
        &mut self,
        attempt: Pin<&mut A>,
        end: Instant,
        source: &Source<'_, C>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<A::Output>> {
        match attempt.poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                let until = self.until.min(end);
                if until == Instant::MAX {
                    return Poll::Pending;
                }
                let wait = self.wait.get_or_insert_with(|| source.time_limit(until));
                Pin::new(wait).poll(cx).map(|_| None)
            }
        }
    }
}

impl<F, A, T, E, G, W, H, N, R, C> RetryingProjection<'_, '_, F, A, T, E, G, W, H, N, R, C>
where
    F: FnMut(u32) -> A,
    A: Future<Output = Result<T, E>>,
    G: Grow,
    W: When<T, E>,
    H: Hint<T, E>,
    N: Notify<T, E>,
    R: Rng,
    C: Timer + Clone,
{
    #[inline]
    fn attempt(&mut self) {
        // If the operation panics, it is over.
        self.state.set(State::Over);
        if let Some(limit) = self.engine.limit() {
            self.limit.until = limit;
        }
        let attempt = (self.op)(self.engine.plan.attempt);
        self.state.set(State::Attempt { attempt });
    }

    /// What comes between two attempts. Elsewhere, so that an attempt that succeeds has a short way.
    #[cold]
    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GaveUp>> {
        loop {
            match self.state.as_mut().project() {
                StateProjection::Notice { notice, then } => {
                    ready!(notice.poll(cx));
                    match *then {
                        Ok(until) => {
                            let sleep = self.engine.source.sleep(until);
                            self.state.set(State::Asleep { sleep });
                        }
                        Err(reason) => return Poll::Ready(Err(reason)),
                    }
                }
                StateProjection::Asleep { sleep } => {
                    ready!(Pin::new(sleep).poll(cx));
                    return Poll::Ready(self.engine.resume());
                }
                _ => panic!("a retry was polled after it was over"),
            }
        }
    }

    #[cold]
    fn give_up(&mut self, reason: GaveUp) -> RetryError<T, E> {
        self.state.set(State::Over);
        self.engine.gave_up(reason, self.last.take())
    }
}

impl<F, A, T, E, G, W, H, N, R, C> Future for Retrying<'_, F, A, T, E, G, W, H, N, R, C>
where
    F: FnMut(u32) -> A,
    A: Future<Output = Result<T, E>>,
    G: Grow,
    W: When<T, E>,
    H: Hint<T, E>,
    N: Notify<T, E>,
    R: Rng,
    C: Timer + Clone,
{
    type Output = Result<T, RetryError<T, E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Not one `match` of all states, by whose table of jumps the first attempt would go twice.
        let mut next = match this.state.as_mut().project() {
            StateProjection::Begin => Some(this.engine.begin()),
            _ => None,
        };
        loop {
            match next {
                Some(Ok(())) => this.attempt(),
                Some(Err(reason)) => return Poll::Ready(Err(this.give_up(reason))),
                None => {}
            }
            if let StateProjection::Attempt { attempt } = this.state.as_mut().project() {
                let outcome =
                    ready!(this.limit.poll(attempt, this.engine.plan.end, &this.engine.source, cx));
                // Before anybody hears of it: one that was cut off holds on to what it has.
                this.state.set(State::Over);
                this.limit.wait = None;
                match this.engine.judge(outcome, this.last) {
                    Verdict::Over(value) => return Poll::Ready(Ok(value)),
                    Verdict::Failed(notice, then) => this.state.set(State::Notice { notice, then }),
                }
            }
            next = Some(ready!(this.pause(cx)));
        }
    }
}

impl<F, A, T, E, G, W, H, N, R, C> fmt::Debug for Retrying<'_, F, A, T, E, G, W, H, N, R, C>
where
    G: fmt::Debug,
    N: Notify<T, E>,
    C: Timer + Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Retrying").field(&self.engine.plan).finish()
    }
}
