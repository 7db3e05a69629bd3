//! The timers of `async-io`, which smol and async-std run on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use ::async_io::Timer as AsyncIoTimer;

use crate::time::{Clock, Instant, SystemClock, Timer};

/// The system clock with `async-io`'s reactor for a timer: no thread beside the one that smol and
/// async-std run already.
///
/// # Examples
///
/// ```
/// use steadfast_core::{AsyncIoClock, Clock, SystemClock};
///
/// assert!(SystemClock.now() <= AsyncIoClock.now(), "one time, two timers");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AsyncIoClock;

/// A pending timer of the [`AsyncIoClock`].
pub struct AsyncIoAlarm(AsyncIoTimer);

impl Clock for AsyncIoClock {
    fn now(&self) -> Instant {
        SystemClock.now()
    }
}

impl Timer for AsyncIoClock {
    type Alarm = AsyncIoAlarm;

    fn alarm(&self) -> AsyncIoAlarm {
        AsyncIoAlarm(AsyncIoTimer::never())
    }

    fn set(&self, alarm: &mut AsyncIoAlarm, at: Instant, waker: &Waker) {
        if at == Instant::MAX {
            alarm.0 = AsyncIoTimer::never();
            return;
        }
        alarm.0.set_after(at.saturating_duration_since(self.now()));
        if Pin::new(&mut alarm.0).poll(&mut Context::from_waker(waker)).is_ready() {
            waker.wake_by_ref();
        }
    }

    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        SystemClock.system_time_until(until)
    }
}

impl fmt::Debug for AsyncIoAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIoAlarm").finish_non_exhaustive()
    }
}
