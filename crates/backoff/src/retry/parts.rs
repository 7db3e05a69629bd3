//! What a retry is put together from: kinds of operations, and the callbacks with their defaults.

use core::fmt;
use core::future::{Future, Ready, ready};
use core::marker::PhantomData;
use core::time::Duration;

use super::Event;
#[cfg(feature = "std")]
use crate::random::{Random, Rng};

/// The kind of an operation that returns its outcome: `.wait()`.
#[derive(Debug, Clone, Copy)]
pub enum Now {}

/// The kind of an operation that returns a future of its outcome: `.await`.
#[derive(Debug, Clone, Copy)]
pub enum Later {}

/// What can be retried: a closure that takes the attempt number and returns a `Result` (`K` is
/// [`Now`]), or a closure that returns a future of one, `async` closures included ([`Later`]).
///
/// The kind is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be retried",
    label = "not a closure from the attempt number to a `Result`, or to a future of one",
    note = "write `|attempt: u32| …` or `async |attempt: u32| …`, returning a `Result`"
)]
pub trait Operation<K> {
    /// What it is for.
    type Value;
    /// Why it failed.
    type Error;
}

impl<F, T, E> Operation<Now> for F
where
    F: FnMut(u32) -> Result<T, E>,
{
    type Value = T;
    type Error = E;
}

impl<F, T, E> Operation<Later> for F
where
    F: AsyncFnMut(u32) -> Result<T, E>,
{
    type Value = T;
    type Error = E;
}

/// Which outcomes are retried.
pub trait When<T, E> {
    /// Whether this one is.
    fn retries(&mut self, outcome: &Result<T, E>) -> bool;
}

/// Every error is retried, and no value.
#[derive(Debug, Clone, Copy)]
pub struct OnError;

impl<T, E> When<T, E> for OnError {
    #[inline]
    fn retries(&mut self, outcome: &Result<T, E>) -> bool {
        outcome.is_err()
    }
}

impl<T, E, F: FnMut(&Result<T, E>) -> bool> When<T, E> for F {
    #[inline]
    fn retries(&mut self, outcome: &Result<T, E>) -> bool {
        self(outcome)
    }
}

/// Which delay an outcome asks for.
pub trait Hint<T, E> {
    /// The delay, if it asks for one.
    fn hint(&mut self, outcome: &Result<T, E>) -> Option<Duration>;
}

/// No outcome asks for any.
#[derive(Debug, Clone, Copy)]
pub struct NoHint;

impl<T, E> Hint<T, E> for NoHint {
    #[inline]
    fn hint(&mut self, _outcome: &Result<T, E>) -> Option<Duration> {
        None
    }
}

impl<T, E, F: FnMut(&Result<T, E>) -> Option<Duration>> Hint<T, E> for F {
    #[inline]
    fn hint(&mut self, outcome: &Result<T, E>) -> Option<Duration> {
        self(outcome)
    }
}

/// Who is told of events.
pub trait Notify<T, E> {
    /// Ends when notice has been given.
    type Future: Future<Output = ()>;

    /// Gives notice.
    fn notify(&mut self, event: &Event<'_, T, E>) -> Self::Future;
}

/// Nobody is told.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl<T, E> Notify<T, E> for Silent {
    type Future = Ready<()>;

    #[inline]
    fn notify(&mut self, _event: &Event<'_, T, E>) -> Ready<()> {
        ready(())
    }
}

/// A closure that is told; `M` is the kind of what it returns.
pub struct Told<P, M> {
    told: P,
    kind: PhantomData<fn() -> M>,
}

impl<P, M> Told<P, M> {
    pub(super) const fn new(told: P) -> Self {
        Self { told, kind: PhantomData }
    }
}

impl<P, M> fmt::Debug for Told<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl<T, E, P, X, M> Notify<T, E> for Told<P, M>
where
    P: FnMut(&Event<'_, T, E>) -> X,
    X: Notice<M>,
{
    type Future = X::Future;

    fn notify(&mut self, event: &Event<'_, T, E>) -> X::Future {
        (self.told)(event).given()
    }
}

/// What a closure that is told returns: nothing (`M` is [`Now`]), or a future that ends when notice
/// has been given ([`Later`]).
#[diagnostic::on_unimplemented(
    message = "a closure that is told of events cannot return `{Self}`",
    label = "returns neither `()` nor a future of it",
    note = "end the closure with a `;`, or return an `async move` block that does not borrow the event"
)]
pub trait Notice<M> {
    /// The future.
    type Future: Future<Output = ()>;

    /// The same as a future.
    fn given(self) -> Self::Future;
}

impl Notice<Now> for () {
    type Future = Ready<()>;

    fn given(self) -> Ready<()> {
        ready(())
    }
}

impl<F: Future<Output = ()>> Notice<Later> for F {
    type Future = F;

    fn given(self) -> F {
        self
    }
}

/// Randomness that seeds itself when it is first needed. It is none without the `std` feature, where
/// [`Retry::rng`](super::Retry::rng) has to supply it.
#[derive(Debug, Clone)]
pub struct Seeded {
    #[cfg(feature = "std")]
    rng: Option<Random>,
}

impl Seeded {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            #[cfg(feature = "std")]
            rng: None,
        }
    }
}

#[cfg(feature = "std")]
impl Rng for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.rng.get_or_insert_with(Random::new).next_u64()
    }
}
