//! The bucket of one key, in as little memory as it can be.

use std::boxed::Box;
use std::sync::Arc;

use steadfast_core::{Instant, Line};

use crate::state::{AtOnce, Decision, Limits, State, TOP, Word};

/// The bucket of one key: 16 bytes, and a vacancy of the table beside it takes none.
pub(super) enum Entry {
    /// What most are.
    Plain(Plain),
    /// What sets a key apart.
    Own(Box<Own>),
}

/// A bucket of the common limits, without the generation, which is needed only where there is no
/// lock. Its last byte has two values: the others stand for what is not such a bucket.
pub(super) struct Plain {
    /// The level, and above it the highest byte of the horizon.
    level: u64,
    /// The rest of the horizon. With the mark it is read as one word.
    low: u32,
    middle: u16,
    high: u8,
    occupied: bool,
}

/// A bucket that has more than most.
pub(super) struct Own {
    pub(super) state: State,
    /// The limits are its own and must not be forgotten.
    pub(super) pinned: bool,
    /// The line, while somebody has a handle on it.
    pub(super) line: Option<Arc<Line>>,
}

impl Entry {
    /// One with the limits of all.
    pub(super) fn new(state: State) -> Self {
        Self::Plain(Plain::new(state))
    }

    #[inline]
    pub(super) fn state(&self, common: Limits) -> State {
        match self {
            Self::Plain(plain) => plain.state(common),
            Self::Own(own) => own.state,
        }
    }

    /// Takes `n` tokens in the common case: those of [`State::take_at_once`], without a line.
    #[inline]
    pub(super) fn take_at_once(
        &mut self,
        common: Limits,
        n: u64,
        now: Instant,
    ) -> Option<Decision> {
        match self {
            Self::Plain(plain) => {
                let state = plain.state(common);
                match state.take_at_once(n, now) {
                    AtOnce::Granted(next) => {
                        plain.set_level(next);
                        Some(Decision::Granted)
                    }
                    AtOnce::Short(units) => Some(state.limits.denied(units, now)),
                    AtOnce::Uncommon => None,
                }
            }
            Self::Own(own) => own.take_at_once(n, now),
        }
    }

    /// Keeps a state of the same limits.
    #[inline]
    pub(super) fn set(&mut self, state: State) {
        match self {
            Self::Plain(plain) => *plain = Plain::new(state),
            Self::Own(own) => own.state = state,
        }
    }

    /// Settles at the limits it has and goes on with others. Returns the line of those to be told.
    pub(super) fn change_limits(
        &mut self,
        common: Limits,
        limits: Limits,
        pinned: bool,
        now: Instant,
    ) -> Option<Arc<Line>> {
        // A key that was not known is full, and full it stays.
        let state = self.state(common);
        let next = state.reconfigure(limits, now);
        let own = self.own(common);
        own.state = if state.is_full(now) { next.refund(limits.burst()) } else { next };
        own.pinned = pinned;
        own.line.clone()
    }

    #[inline]
    pub(super) fn line(&self) -> Option<&Arc<Line>> {
        match self {
            Self::Plain(_) => None,
            Self::Own(own) => own.line.as_ref(),
        }
    }

    /// Sets the key apart.
    pub(super) fn own(&mut self, common: Limits) -> &mut Own {
        if let Self::Plain(_) = self {
            let state = self.state(common);
            *self = Self::Own(Box::new(Own { state, pinned: false, line: None }));
        }
        match self {
            Self::Own(own) => own,
            Self::Plain(_) => unreachable!("set apart above"),
        }
    }

    /// Whether nothing would be lost if it were forgotten.
    #[inline]
    pub(super) fn is_idle(&self, common: Limits, now: Instant) -> bool {
        let used = match self {
            Self::Plain(_) => false,
            Self::Own(own) => {
                own.pinned || own.line.as_ref().is_some_and(|line| Arc::strong_count(line) > 1)
            }
        };
        let state = self.state(common);
        !used && !state.word.is_occupied() && state.is_full(now)
    }
}

impl Plain {
    #[expect(clippy::cast_possible_truncation, reason = "taken apart")]
    fn new(State { horizon, word, .. }: State) -> Self {
        Self {
            level: word.level() | horizon & !TOP,
            // OK: the lowest 56 bits of the horizon; the others are above the level.
            low: horizon as u32,
            middle: (horizon >> 32) as u16,
            high: (horizon >> 48) as u8,
            occupied: word.is_occupied(),
        }
    }

    #[inline]
    fn state(&self, common: Limits) -> State {
        // In the order of the memory.
        let rest = u64::from(self.low)
            | u64::from(self.middle) << 32
            | u64::from(self.high) << 48
            | u64::from(self.occupied) << 56;
        State {
            limits: common,
            horizon: rest & TOP | self.level & !TOP,
            word: Word(self.level & TOP).with_occupied(rest > TOP),
        }
    }

    /// Keeps the level alone.
    #[inline]
    fn set_level(&mut self, word: Word) {
        self.level = word.level() | self.level & !TOP;
    }
}

impl Own {
    /// [`Entry::take_at_once`]; a denial may have to count a line.
    #[cold]
    #[inline(never)]
    fn take_at_once(&mut self, n: u64, now: Instant) -> Option<Decision> {
        match self.state.take_at_once(n, now) {
            AtOnce::Granted(next) => {
                self.state.word = next;
                Some(Decision::Granted)
            }
            AtOnce::Short(_) | AtOnce::Uncommon => None,
        }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_three_words_if_its_key_is_one() {
        assert_eq!(size_of::<Option<(u64, Entry)>>(), 24);
    }
}
