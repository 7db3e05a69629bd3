//! The clock of those who judge the client, or make it hard for it: the operating system's, and none of
//! the primitives'.

use std::thread;
use std::time::{Duration, Instant};

/// Something that keeps to a timetable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace(Instant);

impl Pace {
    pub(crate) fn begin() -> Self {
        Self(now())
    }

    /// Waits until so long after the beginning. Whoever is late goes on at once, and catches up.
    pub(crate) fn until(self, at: Duration) {
        sleep(at.saturating_sub(now().saturating_duration_since(self.0)));
    }
}

#[expect(clippy::disallowed_methods, reason = "not under test, so the clock is another one")]
pub(crate) fn sleep(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}

#[expect(clippy::disallowed_methods, reason = "not under test, so the clock is another one")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
