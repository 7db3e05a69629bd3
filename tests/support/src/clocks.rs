//! Clocks that tests move, or that move themselves.

use std::task::Waker;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock, Timer};

/// A clock whose time passes as soon as somebody sleeps.
#[derive(Debug, Clone)]
pub struct Hurried(pub ManualClock);

impl Clock for Hurried {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Timer for Hurried {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), at: Instant, waker: &Waker) {
        if at != Instant::MAX {
            self.0.set_now(at.max(self.0.now()));
            waker.wake_by_ref();
        }
    }
}

/// Lets time pass until the next alarm, and a timer's slack at most beyond `due`.
#[track_caller]
pub fn ring(clock: &ManualClock, due: Instant) {
    let alarm = clock.next_alarm().expect("somebody has an alarm");
    let latest = due.saturating_add(Duration::from_millis(1));
    assert!(alarm >= due && alarm <= latest, "{alarm:?} for {due:?}");
    clock.set_now(alarm);
}
