//! Time as a value, and the two traits through which the outside world supplies it.

use core::fmt;
use core::task::Waker;
use core::time::Duration;

/// A point in time: whole nanoseconds since the origin of the clock that made it.
///
/// It covers 584 years. All arithmetic is checked or saturating, and nothing here reads a clock.
/// Instants of two different clocks have nothing to do with each other.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::Instant;
///
/// let start = Instant::from_nanos(5);
/// let later = start.saturating_add(Duration::from_micros(1));
/// assert_eq!(later.as_nanos(), 1_005);
/// assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
/// assert_eq!(Instant::MAX.checked_add(Duration::from_nanos(1)), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// The last representable instant, which also stands for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the clock's origin.
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `self + duration`, or [`Instant::MAX`] if that is out of range.
    #[inline]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }

    /// `self - duration`, or [`Instant::ZERO`] if that is out of range.
    #[inline]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(duration)))
    }

    /// `self + duration`, or `None` if that is out of range.
    #[inline]
    pub const fn checked_add(self, duration: Duration) -> Option<Self> {
        let secs = duration.as_secs();
        let Some(nanos) = secs.checked_mul(1_000_000_000) else {
            return None;
        };
        let Some(nanos) = nanos.checked_add(duration.subsec_nanos() as u64) else {
            return None;
        };
        match self.0.checked_add(nanos) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The time from `earlier` to `self`, or zero if `earlier` is the later one.
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX { f.write_str("never") } else { Duration::from_nanos(self.0).fmt(f) }
    }
}

/// The nanoseconds of `duration`, or `u64::MAX` (584 years) if there are more.
#[inline]
pub const fn saturating_nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// `wait` in whole seconds, rounded up and at least 1: the value of an HTTP `Retry-After` header (RFC
/// 9110, section 10.2.3).
pub const fn secs_ceil(wait: Duration) -> u64 {
    // OK: a `Duration` has at most 2⁶⁴ seconds less a nanosecond; the sum saturates.
    let secs = wait.as_secs().saturating_add((wait.subsec_nanos() > 0) as u64);
    if secs == 0 { 1 } else { secs }
}

/// `value`, or `u64::MAX` if it is above that: for arithmetic that needs 128 bits on the way.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "compared with the target's maximum")]
pub const fn saturating_u64(value: u128) -> u64 {
    if value > u64::MAX as u128 { u64::MAX } else { value as u64 }
}

/// A source of [`Instant`]s.
///
/// A clock should not go back, but nothing in Steadfast breaks if it does: each machine documents
/// the worst that a clock stepping back, standing still or jumping ahead can do to it.
///
/// # Examples
///
/// A clock over a counter that an interrupt increments every millisecond:
///
/// ```
/// use core::sync::atomic::{AtomicU32, Ordering};
/// use steadfast_core::{Clock, Instant};
///
/// static TICKS: AtomicU32 = AtomicU32::new(0);
///
/// #[derive(Clone, Copy)]
/// struct SysTick;
///
/// impl Clock for SysTick {
///     fn now(&self) -> Instant {
///         Instant::from_nanos(u64::from(TICKS.load(Ordering::Relaxed)) * 1_000_000)
///     }
/// }
///
/// TICKS.store(3, Ordering::Relaxed);
/// assert_eq!(SysTick.now(), Instant::from_nanos(3_000_000));
/// ```
pub trait Clock {
    /// The current time.
    fn now(&self) -> Instant;
}

/// A [`Clock`] that can also call back at an instant.
///
/// Clock and timer are one object, so that whoever replaces the one replaces the other: a test
/// clock drives `try_acquire`, `.await` and `.wait()` alike.
///
/// A waiting line makes one when somebody first has to wait, and sets it again and again.
pub trait Timer: Clock {
    /// One pending call-back. Dropping it cancels it.
    type Alarm: Send + 'static;

    /// A new alarm, not set.
    fn alarm(&self) -> Self::Alarm;

    /// Sets `alarm`, in place of whatever it was set to: `waker` is to be woken once `at` has come,
    /// and may be woken before. An instant that has already come wakes at once;
    /// [`Instant::MAX`] never does.
    ///
    /// No lock of Steadfast's is held during the call, so it may run any code.
    fn set(&self, alarm: &mut Self::Alarm, at: Instant, waker: &Waker);

    /// Whether an alarm rings only while the executor runs on whose thread it was set, as a runtime's
    /// own sleeps do. Then nobody sets it on behalf of somebody else: they are woken to set their
    /// own, which costs a wake-up more.
    fn is_local(&self) -> bool {
        false
    }

    /// How long a thread that sleeps by the operating system's clock has to sleep, beginning now,
    /// until this clock shows `until`; `None` if this clock does not advance with the system's.
    ///
    /// With an answer, a blocked thread keeps its own time and no alarm is set for it, and a wait
    /// for a bucket that cannot absorb a late wake may spend up to 200 µs before its turn spinning,
    /// in a task's poll too.
    ///
    /// It is asked while a line is locked: it must not use what is being waited for.
    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        let _ = until;
        None
    }
}

/// The operating system's monotonic clock. Its origin is the process's first use of it.
///
/// It exists in every build, so that the primitives can name it as their default clock; it can be
/// read only with the `std` feature. Without it, use the `*_at` methods or a clock of yours.
///
/// As a [`Timer`] it works on every executor and costs nothing until a task first has to wait:
/// then one thread named `steadfast-timer` starts, which serves all alarms of the process and
/// sleeps while there is none. Blocking waits do not use it.
///
/// It wakes about 60 µs after the instant asked for on an idle Linux machine (the kernel's default
/// timer slack), where a runtime's own wheel may take over a millisecond.
///
/// # Panics
///
/// Setting the first alarm panics if the operating system refuses a thread.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_core::{Clock, SystemClock};
///
/// let earlier = SystemClock.now();
/// assert!(SystemClock.now() >= earlier);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemClock;

/// The [`SystemClock`], read to the last tick of the kernel: 1 to 10 milliseconds behind it, never ahead.
///
/// Reading it takes a fraction of the time, and, which is worth more, the processor need not wait for it: a
/// precise reading keeps cache misses before and after it from overlapping. For what lasts seconds. On
/// systems other than Linux it is the `SystemClock` itself.
///
/// As a [`Timer`] it rings up to a tick later than asked, when its own reading has come there.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_core::{Clock, CoarseClock, SystemClock};
///
/// assert!(CoarseClock.now() <= SystemClock.now());
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoarseClock;

impl<C: Clock + ?Sized> Clock for &C {
    #[inline]
    fn now(&self) -> Instant {
        (**self).now()
    }
}

impl<T: Timer + ?Sized> Timer for &T {
    type Alarm = T::Alarm;

    fn alarm(&self) -> Self::Alarm {
        (**self).alarm()
    }

    fn set(&self, alarm: &mut Self::Alarm, at: Instant, waker: &Waker) {
        (**self).set(alarm, at, waker);
    }

    fn is_local(&self) -> bool {
        (**self).is_local()
    }

    fn system_time_until(&self, until: Instant) -> Option<Duration> {
        (**self).system_time_until(until)
    }
}
