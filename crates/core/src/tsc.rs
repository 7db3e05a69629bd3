//! The processor's timestamp counter.

use std::fmt;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use crate::system::SystemAlarm;
use crate::time::{Clock, Instant, SystemClock, Timer};

/// The processor's timestamp counter, through `quanta`: half the cost of the system clock.
///
/// It is a choice, not the default: where the counters of the cores disagree, time seems to step
/// back between two calls. A bucket then refuses for as long as the step, and no longer. Where
/// there is no usable counter, `quanta` reads the system clock instead.
///
/// Its origin is the process's first use of it, and the first use calibrates, which takes up to
/// 200 ms. As a timer it uses the [`SystemClock`]'s alarms.
///
/// # Examples
///
/// ```
/// use steadfast_core::{Clock, TscClock};
///
/// let earlier = TscClock.now();
/// assert!(TscClock.now() >= earlier);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TscClock;

static COUNTER: OnceLock<Counter> = OnceLock::new();

struct Counter {
    clock: quanta::Clock,
    origin: u64,
}

impl Counter {
    fn calibrate() -> Self {
        let clock = quanta::Clock::new();
        let origin = clock.raw();
        Self { clock, origin }
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Clock for TscClock {
    #[inline]
    fn now(&self) -> Instant {
        let counter = COUNTER.get_or_init(Counter::calibrate);
        Instant::from_nanos(counter.clock.delta_as_nanos(counter.origin, counter.clock.raw()))
    }
}

impl Timer for TscClock {
    type Alarm = SystemAlarm;

    fn alarm(&self) -> SystemAlarm {
        SystemClock.alarm()
    }

    fn set(&self, alarm: &mut SystemAlarm, at: Instant, waker: &Waker) {
        if at == Instant::MAX {
            return SystemClock.set(alarm, at, waker);
        }
        let until = at.saturating_duration_since(self.now());
        SystemClock.set(alarm, SystemClock.now().saturating_add(until), waker);
    }

    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        Some(until.saturating_duration_since(self.now()))
    }
}
