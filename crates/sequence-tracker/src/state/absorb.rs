//! What becomes of numbers: all transitions, in one place for single numbers, ranges and links.

use steadfast_core::Instant;

use super::{Arrival, Batch, Change, Notes, RangeError, State, Terms};
use crate::gaps::{Gap, Run, narrow};
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
    pub(super) fn unseen_in(&self, run: Run) -> u128 {
        let lowest = self.awaited.unwrap_or(self.next);
        let is_above = !(self.is_started && self.is_at_end()) && run.last >= lowest;
        let above = if is_above { Run { first: run.first.max(lowest), ..run }.count() } else { 0 };
        self.gaps.missing_in(run) + above
    }

    /// All that can become of numbers.
    pub(super) fn absorb(&mut self, run: Run, now: Instant) -> Batch {
        self.absorb_linked(run.first, run, now)
    }

    /// The same of a message that names a number before `run`: where the stream is.
    pub(super) fn absorb_linked(&mut self, link: u64, run: Run, now: Instant) -> Batch {
        let mut batch = Batch::default();
        let counts = if self.is_before_all(link) {
            self.counts_of(run, &mut batch)
        } else {
            (self.believes(run) || self.restarts(run, &mut batch)).then_some(run)
        };
        if let Some(run) = counts {
            self.absorb_believed(run, now, &mut batch);
        }
        batch
    }

    /// What counts of a run that begins before 0: what there is not of it is late, like all that is below
    /// the edge.
    #[cold]
    fn counts_of(&mut self, run: Run, batch: &mut Batch) -> Option<Run> {
        let zero = self.turn();
        let existing = self.existing(run);
        let is_believed = match (existing, self.near()) {
            (None, Some(near)) => near.saturating_add(zero - run.last) <= self.terms.max_late,
            (Some(run), _) => self.believes(run),
            (None, None) => false,
        };
        if is_believed {
            // OK: it begins before 0, or with it.
            let absent = run.last.saturating_add(1).min(zero) - run.first;
            self.count_old(absent, batch);
            return existing;
        }
        // A new run begins in its first turn, whatever is before 0 now.
        let in_first_turn = existing.filter(|_| run.first >= zero).unwrap_or(run);
        self.restarts(run, batch).then_some(in_first_turn)
    }

    /// What is not believed is remembered, or ends the run if it comes after what was.
    fn restarts(&mut self, run: Run, batch: &mut Batch) -> bool {
        // As they are on the wire: the edge may have moved on since, and another turn be nearest.
        let next = self.suspect.map(|next| self.terms.width.truncate(next));
        if next == Some(self.terms.width.truncate(run.first)) {
            batch.restarted = Some(self.missing_count());
            self.end_run();
            return true;
        }
        self.suspect = run.last.checked_add(1);
        batch.suspect = true;
        false
    }

    fn absorb_believed(&mut self, run: Run, now: Instant, batch: &mut Batch) {
        let goes_on = if self.is_started {
            self.absorb_below(run, batch);
            !self.is_at_end() && run.last >= self.next
        } else {
            let first = self.awaited.unwrap_or(run.first);
            let is_early = run.last < first;
            self.count_old(
                if is_early { run.len() } else { first.saturating_sub(run.first) },
                batch,
            );
            if !is_early {
                self.start(first);
            }
            !is_early
        };
        if goes_on {
            self.absorb_above(run, now, batch);
        }
    }

    fn count_old(&mut self, count: u64, batch: &mut Batch) {
        batch.too_old = batch.too_old.saturating_add(count);
        self.stats.too_old = self.stats.too_old.saturating_add(count);
    }

    /// What of `run` is not above the right edge.
    fn absorb_below(&mut self, run: Run, batch: &mut Batch) {
        let edge = self.next.wrapping_sub(1);
        if run.first > edge {
            return;
        }
        let run = Run { last: run.last.min(edge), ..run };
        let settled = self.settled.filter(|&settled| settled >= run.first);
        if let Some(settled) = settled {
            self.count_old(Run { last: settled.min(run.last), ..run }.len(), batch);
        }
        // OK: what is settled is not above the edge.
        let first = settled.map_or(run.first, |settled| settled.saturating_add(1));
        if settled.is_some_and(|settled| settled >= run.last) {
            return;
        }
        let known = Run { first, ..run };
        let (notes, mut lowest) = (&mut self.notes, None);
        let (filled, dropped) = self.gaps.take_out(known, |run| {
            lowest = lowest.or(Some(run.first));
            notes.note(Change::Filled { run });
        });
        if let Some(dropped) = dropped {
            self.lose(dropped);
            batch.abandoned = Some(dropped);
        }
        // OK: what is taken out of a run is part of it.
        batch.duplicates = narrow(known.count() - filled);
        let filled = narrow(filled);
        (batch.filled, batch.fresh) = (filled, filled);
        if let Some(lowest) = lowest {
            self.stats.reordered = self.stats.reordered.saturating_add(filled);
            self.stats.largest_displacement = self.stats.largest_displacement.max(edge - lowest);
        }
        self.stats.duplicates = self.stats.duplicates.saturating_add(batch.duplicates);
    }

    /// What of `run` is the next number or above it, which something is.
    fn absorb_above(&mut self, run: Run, now: Instant, batch: &mut Batch) {
        let first = run.first.max(self.next);
        if let Some(last) = first.checked_sub(1).filter(|&last| last >= self.next) {
            self.leave_out(Run { first: self.next, last }, now, batch);
        }
        batch.fresh = batch.fresh.saturating_add(Run { first, ..run }.len());
        self.next = run.last.wrapping_add(1);
    }

    /// Opens a gap above all others.
    pub(super) fn leave_out(&mut self, run: Run, now: Instant, batch: &mut Batch) {
        batch.missing = run.len();
        let dropped = self.gaps.open(Gap { run, since: now, ..Gap::EMPTY });
        if self.terms.resync_at.is_some() && !self.needs_resync {
            // It may go on where another ends, which was noticed before.
            let len = self.gaps.runs().next_back().map_or(0, Run::len);
            self.needs_resync = self.terms.wants_resync(len);
        }
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

    /// How many numbers a turn has, of those that wrap.
    const fn turn(&self) -> u64 {
        self.terms.width.max().saturating_add(1)
    }

    /// What there is of a run that begins before 0, which is the beginning of the second turn there.
    fn existing(&self, run: Run) -> Option<Run> {
        let last = run.last.checked_sub(self.turn())?;
        Some(Run { first: run.first.saturating_sub(self.turn()), last })
    }

    /// The same of what comes after a number `link`, wherever that is.
    pub(super) fn existing_after(&self, link: u64, run: Run) -> Option<Run> {
        if self.is_before_all(link) { self.existing(run) } else { Some(run) }
    }

    /// Whether `run`, which is as far as its last number, is near enough to what is known.
    fn believes(&self, run: Run) -> bool {
        let Terms { max_jump, max_late, .. } = self.terms;
        match self.near() {
            Some(near) if run.last > near => run.last - near <= max_jump,
            // What is missing may have been asked for, however late it comes.
            Some(near) => near - run.last <= max_late || self.gaps.missing_in(run) > 0,
            None => true,
        }
    }

    /// S3: the lowest gap is lost, and has been taken out.
    pub(super) fn lose(&mut self, run: Run) {
        self.notes.note(Change::Abandoned { run });
        self.stats.abandoned = self.stats.abandoned.saturating_add(run.len());
        self.settled = self.settled.max(Some(run.last));
        // What is lost is above all that was lost before.
        let first = self.lost.map_or(run.first, |lost| lost.first);
        self.lost = Some(Run { first, ..run });
    }

    /// Takes everything through a number out of the gaps, and tells what that was. From now on it is too
    /// old.
    fn settle_through(&mut self, through: u64, mut settles: impl FnMut(&mut N, Run)) -> u64 {
        self.settled = self.settled.max(Some(through));
        match self.gaps.lowest().map(|gap| gap.run.first) {
            Some(first) if first <= through => {
                let notes = &mut self.notes;
                narrow(
                    self.gaps.take_out(Run { first, last: through }, |run| settles(notes, run)).0,
                )
            }
            _ => 0,
        }
    }

    /// Everything through a number that is not above the edge is lost, if it is missing.
    pub(super) fn lose_through(&mut self, through: u64) -> u64 {
        let mut lost = self.lost;
        let count = self.settle_through(through, |notes, run| {
            notes.note(Change::Abandoned { run });
            lost = Some(Run { first: lost.map_or(run.first, |lost| lost.first), ..run });
        });
        self.lost = lost;
        self.stats.abandoned = self.stats.abandoned.saturating_add(count);
        count
    }

    /// Everything through a number is accounted for, whether it came or not.
    pub(super) fn cover_through(&mut self, through: u64) -> u64 {
        // Lost numbers are made up for. Of those above it, only the last is known to be lost.
        self.lost = self.lost.filter(|lost| lost.last > through);
        if let Some(lost) = &mut self.lost {
            lost.first = lost.first.max(through.saturating_add(1));
        }
        if !self.is_started {
            if let Some(first) = through.checked_add(1) {
                self.awaited = Some(self.awaited.map_or(first, |awaited| awaited.max(first)));
            } else {
                // Nothing comes after the last of all, which is the only one that counts.
                self.start(through);
                (self.next, self.settled) = (0, Some(through));
                self.stats.skipped = self.stats.skipped.saturating_add(1);
            }
            return 0;
        }
        let mut skipped =
            self.settle_through(through, |notes, run| notes.note(Change::Settled { run }));
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
        (self.next, self.base, self.settled) = (first, first, first.checked_sub(1));
        self.unreported = None;
    }

    /// Ends a run: what is missing is lost.
    pub(super) fn end_run(&mut self) {
        let missing = self.missing_count();
        self.notes.note(Change::Restarted { lost: missing });
        self.stats = Stats { missing: 0, restarts: self.stats.restarts + 1, ..self.stats() };
        self.stats.abandoned = self.stats.abandoned.saturating_add(missing);
        self.gaps.clear();
        (self.next, self.is_started, self.awaited) = (0, false, None);
        (self.base, self.settled, self.lost) = (0, None, None);
        (self.suspect, self.needs_resync) = (None, false);
    }

    /// Whether the last number of all has come.
    pub(super) const fn is_at_end(&self) -> bool {
        self.next == 0
    }
}
