//! The processor's timestamp counter.

use std::fmt;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use crate::system::SystemAlarm;
use crate::time::{Clock, Instant, SystemClock, Timer, saturating_u64};

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

/// Ticks are scaled by a multiplication and a shift by a constant, which every reading waits for.
const SHIFT: u32 = 40;

struct Counter {
    clock: quanta::Clock,
    origin: u64,
    /// Nanoseconds in 2⁴⁰ ticks: exact to 1 in 10¹¹, which is less than any calibration is.
    scale: u64,
}

impl Counter {
    fn calibrate() -> Self {
        let clock = quanta::Clock::new();
        let (origin, scale) = (clock.raw(), clock.delta_as_nanos(0, 1 << SHIFT));
        Self { clock, origin, scale }
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
        let ticks = counter.clock.raw().saturating_sub(counter.origin);
        // OK: the product of two 64-bit numbers.
        let nanos = (u128::from(ticks) * u128::from(counter.scale)) >> SHIFT;
        Instant::from_nanos(saturating_u64(nanos))
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
