//! Time that a test moves by hand.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use std::vec::Vec;

use parking_lot::Mutex;

use crate::alarms::{Alarms, Key};
use crate::time::{Clock, Instant, Timer};
use crate::unwind::completes;

/// A clock that stands still until it is told otherwise. Clones share one time.
///
/// It drives `try_acquire`, `.await` and `.wait()` alike: [`advance`](ManualClock::advance) wakes
/// the tasks and the blocked threads whose time has come, earliest first, before it returns.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Clock, Instant, ManualClock};
///
/// let clock = ManualClock::new();
/// let same = clock.clone();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(same.now(), Instant::from_nanos(3_000_000_000));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Instant,
    alarms: Alarms,
}

/// A pending call-back of a [`ManualClock`].
#[derive(Debug)]
pub struct ManualAlarm {
    clock: ManualClock,
    key: Option<Key>,
}

impl ManualClock {
    /// A clock that shows [`Instant::ZERO`].
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that shows `now`.
    pub fn starting_at(now: Instant) -> Self {
        let clock = Self::new();
        clock.0.lock().now = now;
        clock
    }

    /// Moves the time forward, and wakes everybody whose time has come.
    ///
    /// Stops at [`Instant::MAX`].
    pub fn advance(&self, duration: Duration) {
        self.change(|now| now.saturating_add(duration));
    }

    /// Moves the time to `now`, which may be earlier than it was, and wakes everybody whose time
    /// has come.
    pub fn set_now(&self, now: Instant) {
        self.change(|_| now);
    }

    fn change(&self, to: impl FnOnce(Instant) -> Instant) {
        let mut due = Vec::new();
        {
            let mut state = self.0.lock();
            let now = to(state.now);
            state.now = now;
            state.alarms.take_due(now, &mut due);
        }
        for waker in due {
            let _reported = completes(|| waker.wake());
        }
    }

    /// When the first pending alarm is due: what a simulation advances to.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.0.lock().alarms.first()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.lock().now
    }
}

impl Timer for ManualClock {
    type Alarm = ManualAlarm;

    fn alarm(&self) -> ManualAlarm {
        ManualAlarm { clock: self.clone(), key: None }
    }

    fn set(&self, alarm: &mut ManualAlarm, at: Instant, waker: &Waker) {
        // An alarm that never rings is nothing to advance to, and keeps nobody's waker.
        let mut new = (at != Instant::MAX).then(|| waker.clone());
        let (litter, due) = {
            let mut state = self.0.lock();
            let litter = alarm.key.take().and_then(|key| state.alarms.remove(key));
            let due = new.take_if(|_| at <= state.now);
            alarm.key = new.map(|waker| state.alarms.insert(at, waker));
            (litter, due)
        };
        drop(litter);
        if let Some(waker) = due {
            waker.wake();
        }
    }
}

impl Drop for ManualAlarm {
    fn drop(&mut self) {
        let litter = self.key.take().and_then(|key| self.clock.0.lock().alarms.remove(key));
        drop(litter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_alarm_follows_set_and_drop() {
        let clock = ManualClock::starting_at(Instant::from_nanos(10));
        let mut alarm = clock.alarm();
        clock.set(&mut alarm, Instant::from_nanos(30), Waker::noop());
        clock.set(&mut alarm, Instant::from_nanos(20), Waker::noop());
        assert_eq!(clock.next_alarm(), Some(Instant::from_nanos(20)));
        drop(alarm);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn advance_stops_at_the_end_of_time() {
        let clock = ManualClock::starting_at(Instant::from_nanos(u64::MAX - 1));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Instant::MAX);
    }
}
