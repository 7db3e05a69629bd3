//! The operating system's coarse clock.

use std::task::Waker;
use std::time::Duration;

use crate::monotonic;
use crate::system::{SystemAlarm, since_origin};
use crate::time::{Clock, CoarseClock, Instant, SystemClock, Timer};

/// The longest that a tick takes: 100 a second.
const TICK: Duration = Duration::from_millis(10);

impl Clock for CoarseClock {
    #[inline]
    fn now(&self) -> Instant {
        since_origin(monotonic::coarse_nanos())
    }
}

impl Timer for CoarseClock {
    type Alarm = SystemAlarm;

    fn alarm(&self) -> SystemAlarm {
        SystemClock.alarm()
    }

    /// One tick later than the precise clock would: so that this one shows the instant as well.
    fn set(&self, alarm: &mut SystemAlarm, at: Instant, waker: &Waker) {
        SystemClock.set(alarm, at.saturating_add(TICK), waker);
    }

    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        SystemClock.system_time_until(until.saturating_add(TICK))
    }
}
