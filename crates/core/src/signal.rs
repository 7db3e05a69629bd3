//! Waiting for something to happen.

use core::fmt;
use core::ops::Deref;
use core::task::Waker;
use core::time::Duration;

use crate::line::Line;
use crate::sync::atomic::AtomicU64;
use crate::time::{Clock, Instant, Timer};
use crate::update::{Step, update};
use crate::wait::{Attempt, Gate, Missed, Outlook, Turn};

const OCCUPIED: u64 = 1;
const ONCE: u64 = 2;

/// Counts how often something happened, and wakes everybody who waits for more.
///
/// As a [`Gate`] it lets nobody through: a wait for more than was seen ends with [`Raised`], whether
/// it has happened or the wait's deadline has come; whoever waits looks for himself.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_core::wait::Wait;
/// use steadfast_core::{Signal, Untimed};
///
/// let signal = Signal::new(Untimed);
/// let seen = signal.count();
/// std::thread::scope(|scope| {
///     scope.spawn(|| Wait::new(&signal, seen).wait());
///     signal.raise();
/// });
/// assert_eq!(signal.count(), 1);
/// # }
/// ```
pub struct Signal<C> {
    /// How often it was raised, above a bit that says whether anybody waits.
    word: AtomicU64,
    clock: C,
    line: Line,
}

impl<C> Signal<C> {
    crate::const_unless_loom! {
        /// Not raised yet.
        pub const fn new(clock: C) -> Self {
            Self { word: AtomicU64::new(0), clock, line: Line::new() }
        }
    }

    /// It happened once more.
    ///
    /// # Memory ordering
    ///
    /// What happened before is visible to whoever sees the new count, or is woken by it.
    pub fn raise(&self) {
        let occupied =
            update(&self.word, |word| Step::Replace(word.wrapping_add(ONCE), word & OCCUPIED != 0));
        if occupied {
            self.line.wake_all(|occupied| self.set_occupied(occupied));
        }
    }

    /// How often it happened; it wraps after 2⁶³.
    pub fn count(&self) -> u64 {
        update(&self.word, |word| Step::Keep(word / ONCE))
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    fn set_occupied(&self, occupied: bool) {
        update(&self.word, |word| {
            Step::Replace(if occupied { word | OCCUPIED } else { word & !OCCUPIED }, ())
        });
    }
}

impl<C> fmt::Debug for Signal<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// The wait is over: it happened, or the deadline came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised;

impl From<Missed> for Raised {
    fn from(_: Missed) -> Self {
        Self
    }
}

impl<C: Timer> Gate for Signal<C> {
    type Timer = C;
    /// The count that was seen.
    type Request = u64;
    type Pass = ();
    type Grant<O: Deref<Target = Self>> = ();
    type Error = Raised;

    fn timer(&self) -> &C {
        &self.clock
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        u32::MAX
    }

    fn weight(&self, _seen: u64) -> u64 {
        1
    }

    fn attempt(&self, seen: u64, _turn: Turn, _now: Instant) -> Attempt<(), Raised> {
        self.never(seen).map_or(Attempt::NotNow, Attempt::Refused)
    }

    fn outlook(&self, _ahead: u128, _weight: u64, _now: Instant) -> Outlook {
        Outlook::Event { again: Instant::MAX }
    }

    fn never(&self, seen: u64) -> Option<Raised> {
        (self.count() != seen).then_some(Raised)
    }

    fn mark(&self, occupied: bool) {
        self.set_occupied(occupied);
    }

    fn admit<O: Deref<Target = Self>>(_owner: O, (): ()) {}
}

/// The timer of a signal that is waited for without a deadline: it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Untimed;

impl Clock for Untimed {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

impl Timer for Untimed {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), _at: Instant, _waker: &Waker) {}

    fn system_time_until(&self, _until: Instant) -> Option<Duration> {
        None
    }
}
