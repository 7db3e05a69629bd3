//! Tokio's time.

use std::boxed::Box;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Waker};
use std::time::Duration;

use ::tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

use crate::time::{Clock, Instant, Timer};

/// Tokio's clock and timer: `tokio::time::pause` and `advance` move it.
///
/// Take it for tests with paused time, or to have no timer thread beside tokio's driver. Tokio's
/// timer has a granularity of a millisecond, so a bucket that is to reach its full rate needs a
/// burst of at least two milliseconds' worth of tokens; [`SystemClock`](crate::SystemClock), which
/// works under tokio as well, does not.
///
/// Its origin lies a day before the process's first use of it.
///
/// # Panics
///
/// Waiting panics outside a tokio runtime with time enabled, as `tokio::time::sleep` does. Reading
/// it does not.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use steadfast_core::{Clock, TokioClock};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let before = TokioClock.now();
/// tokio::time::sleep(Duration::from_secs(3_600)).await; // over at once
/// let passed = TokioClock.now().saturating_duration_since(before);
/// assert!(passed >= Duration::from_secs(3_600));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokioClock;

static FIRST_USE: OnceLock<TokioInstant> = OnceLock::new();

/// Paused time stands still from before a clock's first use, so the origin lies a day before that.
const DAY: Duration = Duration::from_secs(86_400);

/// A pending sleep of the [`TokioClock`].
#[derive(Default)]
pub struct TokioAlarm(Option<Pin<Box<Sleep>>>);

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        let first_use = *FIRST_USE.get_or_init(TokioInstant::now);
        let now = TokioInstant::now();
        let later = now.saturating_duration_since(first_use);
        let earlier = first_use.saturating_duration_since(now);
        Instant::ZERO.saturating_add(DAY).saturating_add(later).saturating_sub(earlier)
    }
}

impl Timer for TokioClock {
    type Alarm = TokioAlarm;

    fn alarm(&self) -> TokioAlarm {
        TokioAlarm::default()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn set(&self, alarm: &mut TokioAlarm, at: Instant, waker: &Waker) {
        let duration = at.saturating_duration_since(self.now());
        let at = (at != Instant::MAX).then(|| TokioInstant::now().checked_add(duration)).flatten();
        let Some(at) = at else {
            alarm.0 = None;
            return;
        };
        // A new one each time: a sleep stays with the runtime it was made in.
        let mut sleep = Box::pin(sleep_until(at));
        if sleep.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            waker.wake_by_ref();
        }
        alarm.0 = Some(sleep);
    }
}

impl fmt::Debug for TokioAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioAlarm").field("set", &self.0.is_some()).finish()
    }
}
