//! The smallest gate that can be waited for: permits in one word, and one instant at which a flood
//! of further ones comes. Both the loom models and the tests of the waiting line stand on it.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use steadfast_core::sync::atomic::AtomicU64;
use steadfast_core::wait::{Attempt, Gate, Missed, Outlook, Turn, Wait};
use steadfast_core::{Instant, Line, Step, Timer, update};

/// ```text
///  63       62         59 ····· 30  29 ······ 0
/// ┌────────┬──────────┬────────────┬───────────┐
/// │ closed │ occupied │ taken      │ given     │
/// └────────┴──────────┴────────────┴───────────┘
/// ```
pub(crate) struct Permits<T> {
    word: AtomicU64,
    /// When `flood` further permits come.
    opens_at: Instant,
    flood: u64,
    max_waiters: u32,
    timer: T,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Closed,
    Late,
    Full,
}

const CLOSED: u64 = 1 << 63;
const OCCUPIED: u64 = 1 << 62;
const TAKEN: u64 = 1 << 30;
const FIELD: u64 = TAKEN - 1;

pub(crate) const NEVER: Instant = Instant::MAX;

#[allow(dead_code, reason = "each user needs some of it")]
impl<T: Timer> Permits<T> {
    /// No permits until `opens_at`, then `flood`.
    pub(crate) fn new(timer: T, opens_at: Instant, flood: u64) -> Self {
        let word = AtomicU64::new(0);
        Self { word, opens_at, flood, max_waiters: u32::MAX, timer, line: Line::new() }
    }

    pub(crate) fn acquire(&self, n: u64) -> Wait<&Self> {
        Wait::new(self, n)
    }

    /// As a newcomer, without a line.
    pub(crate) fn try_acquire(&self, n: u64) -> bool {
        matches!(self.attempt(n, Turn::Newcomer, self.timer.now()), Attempt::Granted(()))
    }

    pub(crate) fn give(&self, n: u64) {
        let occupied = update(&self.word, |word| Step::Replace(word + n, word & OCCUPIED != 0));
        if occupied {
            self.line.wake_first(|occupied| self.mark(occupied));
        }
    }

    pub(crate) fn close(&self) {
        let occupied =
            update(&self.word, |word| Step::Replace(word | CLOSED, word & OCCUPIED != 0));
        if occupied {
            self.line.wake_all(|occupied| self.mark(occupied));
        }
    }

    /// Wakes everybody for no reason.
    pub(crate) fn stir(&self) {
        self.line.wake_all(|occupied| self.mark(occupied));
    }

    pub(crate) fn available(&self) -> u64 {
        self.left(self.load(), self.timer.now())
    }

    pub(crate) fn is_occupied(&self) -> bool {
        self.load() & OCCUPIED != 0
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.line.stats().waiting
    }

    pub(crate) fn clock(&self) -> &T {
        &self.timer
    }

    fn load(&self) -> u64 {
        update(&self.word, Step::Keep)
    }

    fn left(&self, word: u64, now: Instant) -> u64 {
        let flood = if now >= self.opens_at { self.flood } else { 0 };
        ((word & FIELD) + flood).saturating_sub((word >> 30) & FIELD)
    }
}

impl<T: Timer> Gate for Permits<T> {
    type Timer = T;
    type Request = u64;
    type Pass = ();
    type Grant<O: Deref<Target = Self>> = ();
    type Error = Denied;

    fn timer(&self) -> &T {
        &self.timer
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        self.max_waiters
    }

    fn weight(&self, n: u64) -> u64 {
        n
    }

    fn attempt(&self, n: u64, turn: Turn, now: Instant) -> Attempt<(), Denied> {
        update(&self.word, |word| {
            if word & CLOSED != 0 {
                Step::Keep(Attempt::Refused(Denied::Closed))
            } else if (turn == Turn::Newcomer && word & OCCUPIED != 0) || self.left(word, now) < n {
                Step::Keep(Attempt::NotNow)
            } else {
                Step::Replace(word + n * TAKEN, Attempt::Granted(()))
            }
        })
    }

    fn outlook(&self, ahead: u128, n: u64, now: Instant) -> Outlook {
        let word = self.load();
        let needed = ahead + u128::from(n);
        if word & CLOSED != 0 {
            Outlook::Never
        } else if u128::from(self.left(word, now)) >= needed {
            Outlook::Ready
        } else if u128::from(self.left(word, NEVER)) >= needed && now < self.opens_at {
            Outlook::At { at: self.opens_at, spare: Duration::ZERO }
        } else {
            Outlook::At { at: NEVER, spare: Duration::ZERO }
        }
    }

    fn never(&self, _n: u64) -> Option<Denied> {
        (self.load() & CLOSED != 0).then_some(Denied::Closed)
    }

    fn mark(&self, occupied: bool) {
        update(&self.word, |word| {
            let next = if occupied { word | OCCUPIED } else { word & !OCCUPIED };
            Step::Replace(next, ())
        });
    }

    fn admit<O: Deref<Target = Self>>(_owner: O, (): ()) {}
}

impl From<Missed> for Denied {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Deadline { .. } => Self::Late,
            Missed::LineFull { .. } => Self::Full,
        }
    }
}

impl<T> fmt::Debug for Permits<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("line", &self.line).finish_non_exhaustive()
    }
}
