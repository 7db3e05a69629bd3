//! What the shared types add to a window: what is committed with an id, and what is known of all of them.

use steadfast_core::Instant;

use super::ring::HOLE;
use super::{Beside, Record, State};
use crate::fingerprint::Fingerprint;
use crate::memory::Memory;

impl<M, B> State<M, B> {
    /// What stands beside the ring.
    pub(crate) const fn beside(&mut self) -> &mut B {
        &mut self.beside
    }
}

impl<M: Memory, B: Beside> State<M, B> {
    /// The ids that are remembered, oldest first.
    pub(crate) fn records(&self, now: Instant) -> impl Iterator<Item = (usize, Record)> {
        let now = self.count(now);
        let slots = (0..self.era.span()).map(|position| self.slot(position));
        slots
            .filter(move |&slot| self.time(slot) != HOLE && !self.is_over(self.time(slot), now))
            .map(|slot| (slot, self.record(slot)))
    }

    /// The time is now: what was over then is never remembered again. Some of that leaves.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.observe(now);
    }

    /// An id was seen again, which may have left meanwhile.
    pub(crate) fn see(&mut self, id: Fingerprint, now: Instant) {
        let now = self.observe(now);
        // Only one that renews has anything to write.
        let found = if self.terms.renews { self.find(id) } else { None };
        if found.and_then(|found| self.see_again(found, now)).is_none() {
            self.stats.duplicates += 1;
        }
    }

    /// The slot and the record of an id that is remembered.
    pub(crate) fn look(&self, id: Fingerprint, now: Instant) -> Option<(usize, Record)> {
        let now = self.count(now);
        let slot = self.find(id)?.slot;
        (!self.is_over(self.time(slot), now)).then(|| (slot, self.record(slot)))
    }

    /// Remembers an id with what belongs to it, in place of whatever was known of it. Returns its slot.
    pub(crate) fn put(&mut self, id: Fingerprint, payload: u64, now: Instant) -> usize {
        let now = self.observe(now);
        if let Some(found) = self.find(id) {
            self.dig(found);
            self.beside.gone(found.slot);
        }
        self.stats.fresh += 1;
        self.append_record(None, Record { id, time: now, first: now, payload })
    }

    /// Its count is to be so far ahead of the clock. For a window that has not begun.
    pub(crate) const fn set_ahead(&mut self, ahead: u64) {
        self.ahead = ahead;
    }

    /// Restores an id; to be given the oldest first, with times of its own [count](State::count). Returns its
    /// slot.
    pub(crate) fn restore(&mut self, record: Record) -> usize {
        debug_assert!(record.time < HOLE, "it would be taken for a hole");
        if let Some(found) = self.find(record.id) {
            self.dig(found);
            self.beside.gone(found.slot);
        }
        self.latest = self.latest.max(record.time);
        self.append_record(None, record)
    }
}
