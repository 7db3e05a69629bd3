//! A handle that ends sleeping retries, and the sleep itself: waiting for the stop, or for an instant.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};

use steadfast_core::wait::Wait;
use steadfast_core::{Instant, Signal, SystemClock, Timer, const_unless_loom};

/// Ends any number of [retries](crate::Retry) at once, threads and tasks alike.
///
/// Those that sleep wake up and give up; those whose attempt (or [notice](crate::Retry::notify)) is
/// under way finish it, and do not retry. There is no way back.
///
/// Retries with this handle use its clock.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_backoff::{Config, GaveUp, Stop};
///
/// let stop = Stop::new();
/// let policy = Config::constant(Duration::from_secs(3_600)).unlimited().build()?;
/// std::thread::scope(|scope| {
///     let retry = || policy.retry(|_| Err::<(), _>("no")).stop(&stop).wait();
///     let sleeper = scope.spawn(retry);
///     stop.stop();
///     assert_eq!(sleeper.join().unwrap().unwrap_err().reason, GaveUp::Stopped);
/// });
/// # }
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
pub struct Stop<C = SystemClock> {
    /// Raised by the stop, and nothing else.
    signal: Signal<C>,
}

#[cfg(feature = "std")]
impl Stop {
    /// A handle for retries on the system's clock.
    pub fn new() -> Self {
        Self::with(SystemClock)
    }
}

#[cfg(feature = "std")]
impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Stop<C> {
    const_unless_loom! {
        /// A handle for retries on a clock of yours.
        pub const fn with(clock: C) -> Self {
            Self { signal: Signal::new(clock) }
        }
    }

    /// Stops them.
    pub fn stop(&self) {
        self.signal.raise();
    }

    /// Whether it was used. What was written before is visible to whoever gives up.
    pub fn is_stopped(&self) -> bool {
        self.signal.count() != NOT_STOPPED
    }
}

impl<C> fmt::Debug for Stop<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

/// How often the signal of a handle was raised that was not used.
const NOT_STOPPED: u64 = 0;

/// A signal that nobody else has: waiting for it is only a matter of time. Boxed, so that a retry that
/// does not sleep is small enough to be moved quickly.
pub(crate) struct Own<C>(Box<Signal<C>>);

impl<C> Deref for Own<C> {
    type Target = Signal<C>;

    fn deref(&self) -> &Signal<C> {
        &self.0
    }
}

/// Over at an instant.
type TimeLimit<C> = Wait<Own<C>>;

/// A task asleep until an instant, or until it is stopped.
///
/// It is two waits, so that its alarm is its own. One wait for the stop, with the instant as its
/// deadline, would share the alarm of the handle's line: a task that is woken and not polled would
/// keep all others asleep that have nothing to do with it but the handle.
pub(crate) struct Sleep<'a, C: Timer> {
    stop: Option<Wait<&'a Signal<C>>>,
    time: TimeLimit<C>,
}

impl<C: Timer> Future for Sleep<'_, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stopped = match &mut self.stop {
            Some(stop) => Pin::new(stop).poll(cx).is_ready(),
            None => false,
        };
        if stopped { Poll::Ready(()) } else { Pin::new(&mut self.time).poll(cx).map(|_| ()) }
    }
}

/// Where a retry has its time from.
pub(crate) enum Source<'a, C> {
    Clock(C),
    Stop(&'a Stop<C>),
}

impl<'a, C: Timer + Clone> Source<'a, C> {
    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stop(stop) if stop.is_stopped())
    }

    /// For a task.
    pub(crate) fn sleep(&self, until: Instant) -> Sleep<'a, C> {
        let stop = match self {
            Self::Clock(_) => None,
            Self::Stop(stop) => Some(Wait::new(&stop.signal, NOT_STOPPED)),
        };
        Sleep { stop, time: self.until(until) }
    }

    /// The same on this thread, which is always there to take its turn.
    #[cfg(feature = "std")]
    pub(crate) fn sleep_on_thread(&self, until: Instant) {
        let _why = match self {
            Self::Clock(_) => self.until(until).wait(),
            Self::Stop(stop) => Wait::new(&stop.signal, NOT_STOPPED).deadline(until).wait(),
        };
    }

    /// A sleep that nothing ends.
    pub(crate) fn time_limit(&self, until: Instant) -> Sleep<'a, C> {
        Sleep { stop: None, time: self.until(until) }
    }

    fn until(&self, until: Instant) -> TimeLimit<C> {
        Wait::new(Own(Box::new(Signal::new(self.clock().clone()))), NOT_STOPPED).deadline(until)
    }

    fn clock(&self) -> &C {
        match self {
            Self::Clock(clock) => clock,
            Self::Stop(stop) => stop.signal.clock(),
        }
    }
}
