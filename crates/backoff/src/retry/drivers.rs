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
use crate::stop::{Sleep, Source};

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
            let until = self.engine.limit();
            let attempt = (self.op)(self.engine.plan.attempt);
            let source = &self.engine.source;
            let outcome = Limited { attempt, until, wait: None, source }.await;
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
        Retrying { op, engine, last: None, wait: None, state: State::Begin }
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
        // The limit of the attempt that is under way, or the sleep. Not in the state, which so has
        // nothing to drop beside what callers gave: a first attempt that succeeds passes four states.
        wait: Option<Sleep<'a, C>>,
        #[pin]
        state: State<A, N::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<A, X> {
        Begin,
        Attempt { #[pin] attempt: A, until: Instant },
        Notice { #[pin] notice: X, then: Result<Instant, GaveUp> },
        Asleep,
        Over,
    }
}

pin_project! {
    /// An attempt that is cut off when its limit comes: then its output is `None`.
    struct Limited<'s, 'a, A, C: Timer> {
        #[pin]
        attempt: A,
        until: Instant,
        wait: Option<Sleep<'a, C>>,
        source: &'s Source<'a, C>,
    }
}

impl<A: Future, C: Timer + Clone> Future for Limited<'_, '_, A, C> {
    type Output = Option<A::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        poll_until(*this.until, this.attempt, this.wait, this.source, cx)
    }
}

/// Polls an attempt that may take until then. It waits for nothing while the attempt does not.
#[inline]
fn poll_until<'a, A: Future, C: Timer + Clone>(
    until: Instant,
    attempt: Pin<&mut A>,
    wait: &mut Option<Sleep<'a, C>>,
    source: &Source<'a, C>,
    cx: &mut Context<'_>,
) -> Poll<Option<A::Output>> {
    match attempt.poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if until == Instant::MAX => Poll::Pending,
        Poll::Pending => {
            let wait = wait.get_or_insert_with(|| source.time_limit(until));
            Pin::new(wait).poll(cx).map(|()| None)
        }
    }
}

impl<F, A, T, E, G, W, H, N, R, C> Retrying<'_, F, A, T, E, G, W, H, N, R, C>
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
    fn attempt(self: Pin<&mut Self>) {
        let mut this = self.project();
        // If the operation panics, it is over.
        this.state.set(State::Over);
        let until = this.engine.limit();
        let attempt = (this.op)(this.engine.plan.attempt);
        this.state.set(State::Attempt { attempt, until });
    }

    /// What comes between two attempts. Elsewhere, so that an attempt that succeeds has a short way.
    #[cold]
    fn pause(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), GaveUp>> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Notice { notice, then } => {
                    ready!(notice.poll(cx));
                    match *then {
                        Ok(until) => {
                            *this.wait = Some(this.engine.source.sleep(until));
                            this.state.set(State::Asleep);
                        }
                        Err(reason) => return Poll::Ready(Err(reason)),
                    }
                }
                StateProjection::Asleep => {
                    if let Some(sleep) = this.wait {
                        ready!(Pin::new(sleep).poll(cx));
                    }
                    *this.wait = None;
                    return Poll::Ready(this.engine.resume());
                }
                _ => panic!("a retry was polled after it was over"),
            }
        }
    }

    #[cold]
    fn give_up(self: Pin<&mut Self>, reason: GaveUp) -> RetryError<T, E> {
        let mut this = self.project();
        this.state.set(State::Over);
        this.engine.gave_up(reason, this.last.take())
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
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Not one `match` of all states, by whose table of jumps the first attempt would go twice.
        let this = self.as_mut().project();
        if let StateProjection::Begin = this.state.project() {
            match this.engine.begin() {
                Ok(()) => self.as_mut().attempt(),
                Err(reason) => return Poll::Ready(Err(self.give_up(reason))),
            }
        }
        loop {
            let mut this = self.as_mut().project();
            if let StateProjection::Attempt { attempt, until } = this.state.as_mut().project() {
                let source = &this.engine.source;
                let outcome = ready!(poll_until(*until, attempt, this.wait, source, cx));
                // Before anybody hears of it: one that was cut off holds on to what it has.
                this.state.set(State::Over);
                *this.wait = None;
                match this.engine.judge(outcome, this.last) {
                    Verdict::Over(value) => return Poll::Ready(Ok(value)),
                    Verdict::Failed(notice, then) => this.state.set(State::Notice { notice, then }),
                }
            }
            match ready!(self.as_mut().pause(cx)) {
                Ok(()) => self.as_mut().attempt(),
                Err(reason) => return Poll::Ready(Err(self.give_up(reason))),
            }
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
