//! The operating system's monotonic clock, read as a number.
//!
//! On Linux through `rustix`: the standard library's `Instant` can only be subtracted from another,
//! which takes longer than all of a bucket's own decision.

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{coarse_nanos, nanos};
#[cfg(not(target_os = "linux"))]
pub(crate) use self::portable::{nanos, nanos as coarse_nanos};

#[cfg(target_os = "linux")]
mod linux {
    use rustix::time::{ClockId, clock_gettime};

    /// Nanoseconds since some moment before the process began.
    #[inline]
    pub(crate) fn nanos() -> u64 {
        read(ClockId::Monotonic)
    }

    /// The same as of the kernel's last tick.
    #[inline]
    pub(crate) fn coarse_nanos() -> u64 {
        read(ClockId::MonotonicCoarse)
    }

    #[inline]
    #[expect(clippy::cast_sign_loss, reason = "monotonic time is not negative")]
    fn read(clock: ClockId) -> u64 {
        let time = clock_gettime(clock);
        // OK: the kernel's monotonic time begins at zero, and reaches 2^64 ns after 584 years.
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::sync::OnceLock;
    use std::time::Instant;

    use crate::time::saturating_nanos;

    static ORIGIN: OnceLock<Instant> = OnceLock::new();

    /// Nanoseconds since shortly before the process's first use of this clock.
    #[inline]
    pub(crate) fn nanos() -> u64 {
        let origin = *ORIGIN.get_or_init(read);
        saturating_nanos(read().saturating_duration_since(origin)).saturating_add(2)
    }

    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn read() -> Instant {
        Instant::now()
    }
}
