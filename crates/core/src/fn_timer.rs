//! Any clock and any sleep, joined to a timer.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::time::{Clock, Instant, Timer};

/// A [`Timer`] made of a clock and a function that makes a sleep: the adapter for every runtime
/// that has no adapter of its own.
///
/// Whoever replaces the clock must replace the sleep too: both are arguments here so that neither
/// can be forgotten. Each alarm allocates one box.
///
/// # Examples
///
/// For embassy it is `FnTimer::new(clock, |d: Duration| embassy_time::Timer::after(…))`.
/// Here, a sleep that is over at once:
///
/// ```
/// use core::future::ready;
/// use core::time::Duration;
/// use steadfast_core::{Clock, FnTimer, Instant};
///
/// #[derive(Clone)]
/// struct Fixed;
/// impl Clock for Fixed {
///     fn now(&self) -> Instant {
///         Instant::from_nanos(7)
///     }
/// }
///
/// let timer = FnTimer::new(Fixed, |_: Duration| ready(()));
/// assert_eq!(timer.now(), Instant::from_nanos(7));
/// ```
#[derive(Clone)]
pub struct FnTimer<C, F> {
    clock: C,
    sleep: F,
}

/// A pending sleep of an [`FnTimer`].
pub struct FnAlarm<S>(Option<Pin<Box<S>>>);

impl<C, F> FnTimer<C, F> {
    /// Joins `clock` with `sleep`, which makes a future that is ready after a duration of that
    /// clock.
    pub const fn new(clock: C, sleep: F) -> Self {
        Self { clock, sleep }
    }
}

impl<C: Clock, F> Clock for FnTimer<C, F> {
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<C, F, S> Timer for FnTimer<C, F>
where
    C: Clock,
    F: Fn(Duration) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    type Alarm = FnAlarm<S>;

    fn alarm(&self) -> FnAlarm<S> {
        FnAlarm(None)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn set(&self, alarm: &mut FnAlarm<S>, at: Instant, waker: &Waker) {
        alarm.0 = None;
        if at == Instant::MAX {
            return;
        }
        let duration = at.saturating_duration_since(self.now());
        let mut sleep = Box::pin((self.sleep)(duration));
        match sleep.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(()) => waker.wake_by_ref(),
            Poll::Pending => alarm.0 = Some(sleep),
        }
    }
}

impl<C: fmt::Debug, F> fmt::Debug for FnTimer<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnTimer").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for FnAlarm<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnAlarm").field("set", &self.0.is_some()).finish()
    }
}
