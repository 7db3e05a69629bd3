//! The ring of positions: what is known of each id.
//!
//! ```text
//!  a position   ┌────────────┬────────────┬ ─ ─ ─ ─ ─ ─┬ ─ ─ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ─ ─ ┐
//!               │ low half   │ time       │ high half  │ first sight │ payload     │   those that are
//!               └────────────┴────────────┴ ─ ─ ─ ─ ─ ─┴ ─ ─ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ─ ─ ┘   configured
//! ```
//!
//! The time of a hole is the end of time, at which nothing is seen. Holes beside each other are a *run*, which
//! leaves as one. How long it is stands in its first and in its last hole, where an id has its low half:
//!
//! ```text
//!               63                  32 31                   0
//!              ┌──────────────────────┬──────────────────────┐
//!  a hole      │ of the run that ends │ of the run that      │   holes in between are not read
//!              │ here                 │ begins here          │
//!              └──────────────────────┴──────────────────────┘
//! ```
//!
//! A run ends where a [push](super::push) has come to, at either end of what it has emptied, though there may
//! be holes beyond.

use super::{Beside, State};
use crate::config::Terms;
use crate::fingerprint::Fingerprint;
use crate::memory::Memory;

/// The time of a hole.
pub(super) const HOLE: u64 = u64::MAX;
/// When a hole is due: at once. Everything else is so after its TTL, which is not zero.
pub(super) const DUE_HOLE: u64 = 0;

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: Fingerprint,
    /// When it was last recorded, by the window's own count.
    pub(crate) time: u64,
    /// When it was first seen: another time only if sights renew.
    pub(crate) first: u64,
    pub(crate) payload: u64,
}

impl<M: Memory, B: Beside> State<M, B> {
    /// The slot of a position, counted from the oldest.
    #[inline]
    pub(super) const fn slot(&self, position: u32) -> usize {
        // OK: both are below twice the number of places, which is below 2²⁸.
        let slot = self.tail + position;
        let back = self.era.span();
        let slot = if slot >= back { slot - back } else { slot + self.terms.places - back };
        slot as usize
    }

    /// The slot of the oldest position.
    #[inline]
    pub(super) const fn head(&self) -> usize {
        self.slot(0)
    }

    #[inline]
    const fn base(&self, slot: usize) -> usize {
        // OK: below the number of words.
        slot * self.terms.stride as usize
    }

    #[inline]
    pub(super) fn time(&self, slot: usize) -> u64 {
        self.memory.words()[self.base(slot) + 1]
    }

    /// Whether an id is that of a slot.
    #[inline]
    pub(super) fn is_of(&self, slot: usize, id: Fingerprint) -> bool {
        let (words, base) = (self.memory.words(), self.base(slot));
        let high = self.terms.high as usize;
        words[base] == id.low && (high == 0 || words[base + high] == id.high)
    }

    pub(super) fn record(&self, slot: usize) -> Record {
        let Terms { high, first, payload, .. } = self.terms;
        let (words, base) = (self.memory.words(), self.base(slot));
        // OK: at most 4.
        let word = |at: u32, or| if at == 0 { or } else { words[base + at as usize] };
        let (low, time) = (words[base], words[base + 1]);
        let id = Fingerprint { low, high: word(high, 0) };
        Record { id, time, first: word(first, time), payload: word(payload, 0) }
    }

    /// Of a new id, what there is of every one.
    #[inline]
    pub(super) fn write(&mut self, slot: usize, id: Fingerprint, now: u64) {
        let base = self.base(slot);
        let words = &mut self.memory.words_mut()[base..base + 2];
        (words[0], words[1]) = (id.low, now);
    }

    /// And what there is of some.
    #[inline]
    pub(super) fn write_rest(&mut self, slot: usize, id: Fingerprint, now: u64) {
        if self.terms.stride > 2 {
            self.write_record(slot, Record { id, time: now, first: now, payload: 0 });
        }
    }

    #[cold]
    pub(super) fn write_record(&mut self, slot: usize, record: Record) {
        let Terms { stride, high, first, payload, .. } = self.terms;
        let base = self.base(slot);
        // OK: at most 5.
        let words = &mut self.memory.words_mut()[base..base + stride as usize];
        (words[0], words[1]) = (record.id.low, record.time);
        for (at, word) in [(high, record.id.high), (first, record.first), (payload, record.payload)]
        {
            if at != 0 {
                // OK: below the stride.
                words[at as usize] = word;
            }
        }
    }

    /// Makes a hole of a position, without a run: for those that a push has emptied.
    pub(super) fn bore(&mut self, slot: usize) {
        let base = self.base(slot);
        self.memory.words_mut()[base + 1] = HOLE;
    }

    /// Makes a hole of a position, and one run of it and those beside it: D7.
    pub(super) fn bore_run(&mut self, slot: usize) {
        self.bore(slot);
        let position = self.position_of(slot);
        let (mut first, mut last) = (position, position);
        // A run does not go beyond what a push has emptied, whose holes have no runs.
        if position > 0 && !self.is_pushed_from(position - 1) {
            first -= self.runs(position - 1).0;
        }
        if position + 1 < self.era.span() && !self.is_pushed_from(position) {
            last += self.runs(position + 1).1;
        }
        let length = last - first + 1;
        let (begin, end) = (self.slot(first), self.slot(last));
        let (begin, end) = (self.base(begin), self.base(end));
        let words = self.memory.words_mut();
        words[begin] = words[begin] >> 32 << 32 | u64::from(length);
        words[end] = u64::from(length) << 32 | words[end] & u64::from(u32::MAX);
    }

    /// How long the run is that ends at a position, and the one that begins there; if it is such an end of one.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub(super) fn runs(&self, position: u32) -> (u32, u32) {
        let slot = self.slot(position);
        if self.time(slot) != HOLE {
            return (0, 0);
        }
        let runs = self.memory.words()[self.base(slot)];
        // OK: as the reason says.
        ((runs >> 32) as u32, runs as u32)
    }

    /// How many positions from the oldest on are holes, as far as one run says: at least one, if the oldest
    /// is a hole.
    pub(super) fn holes(&self) -> u32 {
        self.runs(0).1
    }

    /// The position of a slot, counted from the oldest.
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of places")]
    fn position_of(&self, slot: usize) -> u32 {
        let (head, places) = (self.head(), self.terms.places as usize);
        // OK: as the reason says.
        (if slot >= head { slot - head } else { slot + places - head }) as u32
    }

    /// So many of the oldest positions leave.
    pub(super) fn pop(&mut self, positions: u32) {
        let ends_push = self.push.is_some_and(|push| self.era.age(push.read) < positions);
        self.era.leave(positions);
        self.set_due();
        if ends_push {
            self.end_push();
        }
    }

    /// When the oldest position is to leave: a hole at once.
    pub(super) fn set_due(&mut self) {
        self.slides_until = 0;
        self.due = if self.era.span() == 0 {
            u64::MAX
        } else {
            match self.time(self.head()) {
                HOLE => DUE_HOLE,
                time => time.saturating_add(self.terms.ttl),
            }
        };
    }
}
