//! A call through the breaker: leave, the call itself, and the report, in one.

use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;
use steadfast_core::Clock;
use steadfast_core::sync::atomic::AtomicU64;

use crate::atomic::{CircuitBreaker, Owner, Permit};
use crate::error::CallError;
use crate::state::{Memory, Outcome};

/// Decides what a result says about the service: over the whole of it, so that an `Ok` can be a failure
/// and an `Err` harmless. Any `Fn(&Result<T, E>) -> Outcome` does.
pub trait Judge<T, E> {
    /// What `result` says.
    fn judge(&self, result: &Result<T, E>) -> Outcome;
}

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Judge<T, E> for F {
    #[inline]
    fn judge(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}

/// Every `Err` is a failure, and every `Ok` a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EveryError;

impl<T, E> Judge<T, E> for EveryError {
    #[inline]
    fn judge(&self, result: &Result<T, E>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::FAILURE }
    }
}

/// A breaker together with a [`Judge`].
///
/// `O` is how it holds the breaker: `&T`, or `Arc<T>` for calls that can be sent elsewhere.
#[derive(Debug, Clone, Copy)]
#[must_use = "it does nothing until it makes a call"]
pub struct Judged<O, J> {
    owner: O,
    judge: J,
}

impl<C: Clock, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// Makes a call if the breaker lets it through, and reports what came of it: an `Err` is a failure,
    /// and so is a panic. (If a callback of the breaker panics as well while that panic is under way, the
    /// process aborts, as for any panic within a panic.)
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] if the call was not made; otherwise its own error.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{CallError, Config};
    ///
    /// let breaker = Config::new().consecutive_failures(1).build()?;
    /// assert_eq!(breaker.call(|| "7".parse::<u32>())?, 7);
    /// assert!(matches!(breaker.call(|| "x".parse::<u32>()), Err(CallError::Inner(_))));
    /// assert!(matches!(breaker.call(|| "7".parse::<u32>()), Err(CallError::Rejected(_))));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        Judged::new(self, EveryError).call(f)
    }

    /// The same for a future. It asks for leave when it is first polled; the future is not polled
    /// without.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the call is ignored: it says nothing about the service.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] if the call was not made; otherwise its own error.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{CallError, CircuitBreaker};
    ///
    /// let breaker = CircuitBreaker::new();
    /// # futures::executor::block_on(async {
    /// let answer = breaker.call_async(async { Err::<(), _>("no answer") }).await;
    /// assert_eq!(answer, Err(CallError::Inner("no answer")));
    /// # });
    /// # }
    /// ```
    pub fn call_async<T, E, F>(&self, future: F) -> Calling<&Self, F, EveryError>
    where
        F: Future<Output = Result<T, E>>,
    {
        Judged::new(self, EveryError).call_async(future)
    }

    /// Calls whose results are judged by `judge`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::{CircuitBreaker, Outcome};
    ///
    /// struct Response { status: u16, retry_after: Option<Duration> }
    /// struct NoSuchHost;
    ///
    /// let breaker = CircuitBreaker::new();
    /// let http = breaker.judged_by(|result: &Result<Response, NoSuchHost>| match result {
    ///     Ok(response) if response.status >= 500 => {
    ///         Outcome::Failure { retry_after: response.retry_after }
    ///     }
    ///     // Our own mistake says nothing about the server.
    ///     Ok(response) if response.status >= 400 => Outcome::Ignored,
    ///     Ok(_) => Outcome::Success,
    ///     Err(NoSuchHost) => Outcome::FAILURE,
    /// });
    /// let response = http.call(|| Ok(Response { status: 404, retry_after: None }));
    /// # assert!(response.is_ok());
    /// # }
    /// ```
    pub const fn judged_by<J>(&self, judge: J) -> Judged<&Self, J> {
        Judged::new(self, judge)
    }
}

impl<O, J> Judged<O, J> {
    /// [`CircuitBreaker::judged_by`] for any way to hold the breaker.
    pub const fn new(owner: O, judge: J) -> Self {
        Self { owner, judge }
    }
}

impl<O: Deref<Target: Owner>, J> Judged<O, J> {
    /// Makes a call if the breaker lets it through, and reports what came of it. A panic is a failure,
    /// and goes on.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] if the call was not made; otherwise its own error.
    #[inline]
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>>
    where
        J: Judge<T, E>,
    {
        let permit = Permit::try_new(&*self.owner).map_err(CallError::Rejected)?;
        let begun = Begun(Some(permit));
        let result = f();
        let outcome = self.judge.judge(&result);
        begun.end(outcome);
        result.map_err(CallError::Inner)
    }

    /// The same for a future. It asks for leave when it is first polled; the future is not polled
    /// without.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the call is ignored: it says nothing about the service.
    pub fn call_async<T, E, F>(self, future: F) -> Calling<O, F, J>
    where
        J: Judge<T, E>,
        F: Future<Output = Result<T, E>>,
    {
        Calling { owner: Some(self.owner), judge: self.judge, permit: None, future }
    }
}

pin_project! {
    /// A call of a future through a breaker: see [`CircuitBreaker::call_async`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Calling<O, F, J>
    where
        O: Deref,
        O::Target: Owner,
    {
        // `None` once it has leave.
        owner: Option<O>,
        judge: J,
        permit: Option<Permit<O>>,
        #[pin]
        future: F,
    }
}

impl<O, F, J, T, E> Future for Calling<O, F, J>
where
    O: Deref<Target: Owner>,
    F: Future<Output = Result<T, E>>,
    J: Judge<T, E>,
{
    type Output = Result<T, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(owner) = this.owner.take() {
            *this.permit = Some(Permit::try_new(owner).map_err(CallError::Rejected)?);
        }
        let permit = this.permit.take().expect("a call was polled after it was over");
        let begun = Begun(Some(permit));
        match this.future.poll(cx) {
            Poll::Pending => {
                *this.permit = begun.interrupt();
                Poll::Pending
            }
            Poll::Ready(result) => {
                let outcome = this.judge.judge(&result);
                begun.end(outcome);
                Poll::Ready(result.map_err(CallError::Inner))
            }
        }
    }
}

/// The caller's code is running: if this is dropped, it has panicked.
struct Begun<O: Deref<Target: Owner>>(Option<Permit<O>>);

impl<O: Deref<Target: Owner>> Begun<O> {
    // 61 instructions for a call that succeeds against 85.
    #[inline(always)]
    fn end(mut self, outcome: Outcome) {
        if let Some(permit) = self.0.take() {
            permit.report(outcome);
        }
    }

    fn interrupt(mut self) -> Option<Permit<O>> {
        self.0.take()
    }
}

impl<O: Deref<Target: Owner>> Drop for Begun<O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            panicked(permit);
        }
    }
}

#[cold]
#[inline(never)]
fn panicked<O: Deref<Target: Owner>>(permit: Permit<O>) {
    permit.failure();
}
