//! What becomes of numbers: all transitions, in one place for single numbers, ranges and links.

use steadfast_core::Instant;

use super::{Arrival, Batch, Change, Notes, RangeError, State, Terms};
use crate::gaps::{Gap, Run};
use crate::stats::Stats;

impl<S: AsRef<[Gap]> + AsMut<[Gap]>, N: Notes> State<S, N> {
    #[cold]
    pub(super) fn record_closely(&mut self, number: u64, now: Instant) -> Arrival {
        let Some(number) = self.extend(number) else { return Arrival::OutOfRange };
        let was_started = self.is_started;
        let batch = self.absorb(Run { first: number, last: number }, now);
        let Batch { missing, abandoned, .. } = batch;
        match batch {
            Batch { suspect: true, .. } => Arrival::Suspect,
            Batch { restarted: Some(lost), .. } => Arrival::Restart { lost },
            Batch { too_old: 1, .. } => Arrival::TooOld,
            Batch { duplicates: 1, .. } => Arrival::Duplicate,
            Batch { filled: 1, .. } => {
                Arrival::Filled { remaining: self.missing_count(), abandoned }
            }
            _ if missing > 0 => Arrival::Ahead { missing, abandoned },
            _ if was_started => Arrival::Next,
            _ => Arrival::First,
        }
    }

    /// The numbers that a range on the wire means.
    pub(super) fn extended(&self, first: u64, last: u64) -> Result<Run, RangeError> {
        let bits = self.terms.width.bits();
        let near = self.extend(first).ok_or(RangeError::OutOfRange { number: first, bits })?;
        self.extended_after(near, first, last)
    }

    /// The numbers that a range means whose beginning on the wire, `first`, is the number `near`.
    pub(super) fn extended_after(
        &self,
        near: u64,
        first: u64,
        last: u64,
    ) -> Result<Run, RangeError> {
        let (width, bits) = (self.terms.width, self.terms.width.bits());
        // The end is the number nearest to the beginning.
        let end = width.extend(last, near).ok_or(RangeError::OutOfRange { number: last, bits })?;
        if end < near {
            return Err(RangeError::Backwards { first, last });
        }
        Ok(Run { first: near, last: end })
    }

    /// How many numbers of a run have not been seen and are not forgotten.
    pub(super) fn unseen_in(&self, run: Run) -> u64 {
        let lowest = self.awaited.unwrap_or(self.next);
        let is_above = !(self.is_started && self.is_at_end()) && run.last >= lowest;
        let above = if is_above { (run.last - run.first.max(lowest)).saturating_add(1) } else { 0 };
        self.gaps.missing_in(run).saturating_add(above)
    }

    /// All that can become of numbers.
    pub(super) fn absorb(&mut self, run: Run, now: Instant) -> Batch {
        self.absorb_linked(run.first, run, now)
    }

    /// The same of a message that names a number before `run`: where the stream is.
    pub(super) fn absorb_linked(&mut self, link: u64, run: Run, now: Instant) -> Batch {
        let mut batch = Batch::default();
        if self.is_before_all(link) {
            batch.too_old = run.len();
            self.stats.too_old = self.stats.too_old.saturating_add(batch.too_old);
            return batch;
        }
        if !self.believes(run) {
            // As they are on the wire: the edge may have moved on since, and another turn be nearest.
            let next = self.suspect.map(|next| self.terms.width.truncate(next));
            if next != Some(self.terms.width.truncate(run.first)) {
                self.suspect = run.last.checked_add(1);
                batch.suspect = true;
                return batch;
            }
            batch.restarted = Some(self.gaps.missing());
            self.end_run();
        }
        if !self.is_started {
            let first = self.awaited.unwrap_or(run.first);
            if run.last < first {
                batch.too_old = run.len();
                self.stats.too_old = self.stats.too_old.saturating_add(batch.too_old);
                return batch;
            }
            self.start(first);
            self.absorb_above(run, now, &mut batch);
            batch.too_old = first.saturating_sub(run.first);
            self.stats.too_old = self.stats.too_old.saturating_add(batch.too_old);
            return batch;
        }
        self.absorb_below(run, &mut batch);
        if !self.is_at_end() && run.last >= self.next {
            self.absorb_above(run, now, &mut batch);
        }
        batch
    }

    /// What of `run` is not above the right edge.
    fn absorb_below(&mut self, run: Run, batch: &mut Batch) {
        let edge = self.next.wrapping_sub(1);
        if run.first > edge {
            return;
        }
        let last = run.last.min(edge);
        let known = Run { first: run.first.max(self.floor), last };
        batch.too_old = self.floor.min(last.saturating_add(1)).saturating_sub(run.first);
        if known.first <= known.last {
            let (notes, mut lowest) = (&mut self.notes, None);
            let (filled, dropped) = self.gaps.take_out(known, |run| {
                lowest = lowest.or(Some(run.first));
                notes.note(Change::Filled { run });
            });
            if let Some(dropped) = dropped {
                self.lose(dropped);
                batch.abandoned = Some(dropped);
            }
            (batch.filled, batch.fresh) = (filled, filled);
            batch.duplicates = known.len() - filled;
            if let Some(lowest) = lowest {
                self.stats.reordered = self.stats.reordered.saturating_add(filled);
                self.stats.largest_displacement =
                    self.stats.largest_displacement.max(edge - lowest);
            }
        }
        self.stats.too_old = self.stats.too_old.saturating_add(batch.too_old);
        self.stats.duplicates = self.stats.duplicates.saturating_add(batch.duplicates);
    }

    /// What of `run` is the next number or above it, which something is.
    fn absorb_above(&mut self, run: Run, now: Instant, batch: &mut Batch) {
        let first = run.first.max(self.next);
        if let Some(last) = first.checked_sub(1).filter(|&last| last >= self.next) {
            self.leave_out(Run { first: self.next, last }, now, batch);
        }
        // OK: the end is not below the beginning.
        batch.fresh = batch.fresh.saturating_add((run.last - first).saturating_add(1));
        self.next = run.last.wrapping_add(1);
    }

    /// Opens a gap above all others.
    pub(super) fn leave_out(&mut self, run: Run, now: Instant, batch: &mut Batch) {
        batch.missing = run.len();
        let (len, dropped) = self.gaps.open(Gap { run, since: now, ..Gap::EMPTY });
        self.needs_resync |= self.terms.wants_resync(len);
        self.notes.note(Change::Opened { run });
        if let Some(dropped) = dropped {
            self.lose(dropped);
            batch.abandoned = Some(dropped);
        }
    }

    /// Whether a number that wraps is nearest to what is known where there are no numbers: before the
    /// first of all. Its 64-bit number is more than half a turn ahead then.
    pub(super) const fn is_before_all(&self, number: u64) -> bool {
        match self.near() {
            Some(near) if self.terms.width.bits() < 64 => {
                number.saturating_sub(near) > self.terms.width.max() / 2 + 1
            }
            _ => false,
        }
    }

    /// Whether `run` is near enough to what is known.
    fn believes(&self, run: Run) -> bool {
        let Terms { max_jump, max_late, .. } = self.terms;
        match (self.right_edge(), self.awaited) {
            (Some(edge), _) if run.first > edge => run.first - edge <= max_jump,
            // What is missing may have been asked for, however late it comes.
            (Some(edge), _) => {
                edge.saturating_sub(run.last) <= max_late || self.gaps.missing_in(run) > 0
            }
            (None, Some(first)) => run.first.saturating_sub(first) <= max_jump,
            (None, None) => true,
        }
    }

    /// S3: the lowest gap is lost, and has been taken out.
    pub(super) fn lose(&mut self, run: Run) {
        self.notes.note(Change::Abandoned { run });
        self.stats.abandoned = self.stats.abandoned.saturating_add(run.len());
        // OK: there is a number above every gap, or known to be.
        self.floor = self.floor.max(run.last.saturating_add(1));
    }

    /// Takes everything through a number out of the gaps, notes what that was, and says how many numbers
    /// that were. From now on it is too old.
    pub(super) fn settle_through(&mut self, through: u64, note: impl Fn(Run) -> Change) -> u64 {
        self.floor = self.floor.max(through.saturating_add(1));
        match self.gaps.lowest().map(|gap| gap.run.first) {
            Some(first) if first <= through => {
                let notes = &mut self.notes;
                self.gaps.take_out(Run { first, last: through }, |run| notes.note(note(run))).0
            }
            _ => 0,
        }
    }

    /// Everything through a number is accounted for, whether it came or not.
    pub(super) fn cover_through(&mut self, through: u64) -> u64 {
        if !self.is_started {
            if let Some(first) = through.checked_add(1) {
                self.awaited = Some(self.awaited.map_or(first, |awaited| awaited.max(first)));
            } else {
                // Nothing comes after the last of all, which is the only one that counts.
                self.start(through);
                self.next = 0;
                self.stats.skipped = self.stats.skipped.saturating_add(1);
            }
            return 0;
        }
        let mut skipped = self.settle_through(through, |run| Change::Settled { run });
        if !self.is_at_end() && through >= self.next {
            self.notes.note(Change::Settled { run: Run { first: self.next, last: through } });
            skipped = skipped.saturating_add((through - self.next).saturating_add(1));
            self.next = through.wrapping_add(1);
        }
        self.stats.skipped = self.stats.skipped.saturating_add(skipped);
        skipped
    }

    /// Begins a run in which `first` has to come first.
    pub(super) const fn start(&mut self, first: u64) {
        self.is_started = true;
        self.awaited = None;
        (self.next, self.base, self.floor) = (first, first, first);
    }

    /// Ends a run: what is missing is lost.
    pub(super) fn end_run(&mut self) {
        let missing = self.gaps.missing();
        self.notes.note(Change::Restarted { lost: missing });
        self.stats = Stats { missing: 0, restarts: self.stats.restarts + 1, ..self.stats() };
        self.stats.abandoned = self.stats.abandoned.saturating_add(missing);
        self.gaps.clear();
        (self.next, self.is_started, self.awaited) = (0, false, None);
        (self.base, self.floor) = (0, 0);
        (self.suspect, self.needs_resync) = (None, false);
    }

    /// Whether the last number of all has come.
    pub(super) const fn is_at_end(&self) -> bool {
        self.next == 0
    }
}
