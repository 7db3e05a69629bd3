//! The list of what is missing: runs of numbers, sorted, in a bounded array.
//!
//! ```text
//!        head
//!         ▼
//!  ┌ ─ ┬─────────┬─────────┬─────────┬ ─ ─ ─ ─ ┐
//!      │ 7 … 7   │ 9 … 12  │ 20 … 31 │              first < last of the one before it, never adjacent
//!  └ ─ ┴─────────┴─────────┴─────────┴ ─ ─ ─ ─ ┘
//!        the lowest              new ones come here
//! ```
//!
//! Gaps are opened at the end and mostly closed at the beginning or the end, so both are cheap; one in
//! the middle is found by bisection and moves the shorter side.
//!
//! Invariants:
//! - **G1** Runs are sorted, and between two of them there is at least one number.
//! - **G2** `missing` is how many numbers they have together; of all numbers, one less.

use core::ops::RangeInclusive;

use steadfast_core::Instant;

/// Numbers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Run {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

impl Run {
    /// How many there are: at most `u64::MAX`, though all numbers are one more.
    #[expect(clippy::len_without_is_empty, reason = "a run has a number")]
    pub const fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// What of it is in `other`, which something is.
    pub(crate) fn cut(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// As a range.
    pub const fn range(self) -> RangeInclusive<u64> {
        self.first..=self.last
    }
}

impl From<Run> for RangeInclusive<u64> {
    fn from(run: Run) -> Self {
        run.range()
    }
}

/// A run of missing numbers, and what was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub(crate) run: Run,
    pub(crate) since: Instant,
    /// When it is to be requested next, once that is decided.
    pub(crate) due: Option<Instant>,
    pub(crate) requests: u32,
}

impl Gap {
    /// A place for a gap: what arrays of them are filled with.
    pub const EMPTY: Self =
        Self { run: Run { first: 0, last: 0 }, since: Instant::ZERO, due: None, requests: 0 };

    /// The missing numbers.
    pub const fn run(&self) -> Run {
        self.run
    }

    /// When it was noticed.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// How often it was requested.
    pub const fn requests(&self) -> u32 {
        self.requests
    }
}

/// Sorted gaps in `S`.
#[derive(Debug, Clone)]
pub(crate) struct Gaps<S> {
    slots: S,
    head: usize,
    len: usize,
    missing: u64,
}

impl<S: AsRef<[Gap]> + AsMut<[Gap]>> Gaps<S> {
    pub(crate) const fn new(slots: S) -> Self {
        Self { slots, head: 0, len: 0, missing: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[Gap] {
        &self.slots.as_ref()[self.head..self.head + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Gap] {
        &mut self.slots.as_mut()[self.head..self.head + self.len]
    }

    pub(crate) const fn missing(&self) -> u64 {
        self.missing
    }

    pub(crate) fn lowest(&self) -> Option<&Gap> {
        self.as_slice().first()
    }

    pub(crate) const fn clear(&mut self) {
        (self.head, self.len, self.missing) = (0, 0, 0);
    }

    /// How many numbers of `run` are missing.
    pub(crate) fn missing_in(&self, run: Run) -> u64 {
        let above = self.as_slice().iter().skip(self.first_reaching(run.first));
        let within = above.take_while(|gap| gap.run.first <= run.last);
        within.map(|gap| gap.run.cut(run).len()).sum()
    }

    /// Adds a gap above all others, and says how long it is. If there is no place the lowest leaves,
    /// which may be this one. One that goes on where the highest ends becomes one with it, and is asked
    /// for from the first request on again: its new numbers were not yet.
    pub(crate) fn open(&mut self, gap: Gap) -> (u64, Option<Run>) {
        if let Some(last) = self.as_mut_slice().last_mut() {
            // OK: nothing comes after the last number of all.
            if last.run.last + 1 == gap.run.first {
                (last.run.last, last.requests) = (gap.run.last, 0);
                let grown = last.run.len();
                self.missing = self.missing.saturating_add(gap.run.len());
                self.invariants();
                return (grown, None);
            }
        }
        let dropped = self.make_room();
        if self.capacity() == 0 {
            return (gap.run.len(), Some(gap.run));
        }
        if self.head + self.len == self.capacity() {
            let (head, len) = (self.head, self.len);
            self.slots.as_mut().copy_within(head..head + len, 0);
            self.head = 0;
        }
        let end = self.head + self.len;
        self.slots.as_mut()[end] = gap;
        self.len += 1;
        self.missing += gap.run.len();
        self.invariants();
        (gap.run.len(), dropped)
    }

    /// Takes `run` out, tells `taken` what of it was missing, and says how many numbers that were. A gap
    /// in the middle of which it is becomes two; if there is no place for that the lowest of all leaves.
    pub(crate) fn take_out(&mut self, run: Run, mut taken: impl FnMut(Run)) -> (u64, Option<Run>) {
        let mut index = self.first_reaching(run.first);
        let (mut count, mut dropped) = (0_u64, None);
        while let Some(&gap) = self.as_slice().get(index).filter(|gap| gap.run.first <= run.last) {
            let Run { first, last } = gap.run;
            let below = (first < run.first).then(|| Run { first, last: run.first - 1 });
            let above = (last > run.last).then(|| Run { first: run.last + 1, last });
            count = count.saturating_add(gap.run.cut(run).len());
            taken(gap.run.cut(run));
            // OK: what is counted is in the list.
            self.missing -= gap.run.len();
            match (below, above) {
                (None, None) => self.remove(index),
                (Some(rest), None) | (None, Some(rest)) => {
                    self.put(index, Gap { run: rest, ..gap });
                    index += 1;
                }
                (Some(below), Some(above)) => {
                    dropped = self.split(index, gap, below, above);
                    break;
                }
            }
        }
        self.invariants();
        (count, dropped)
    }

    /// Takes the gap at `index` out.
    pub(crate) fn take(&mut self, index: usize) -> Option<Gap> {
        let gap = *self.as_slice().get(index)?;
        self.missing -= gap.run.len();
        self.remove(index);
        Some(gap)
    }

    /// Makes two gaps of the one at `index`, which is not counted any more.
    fn split(&mut self, index: usize, gap: Gap, below: Run, above: Run) -> Option<Run> {
        if self.len == self.capacity() && index == 0 {
            // The lower part is the lowest of all.
            self.put(0, Gap { run: above, ..gap });
            return Some(below);
        }
        let dropped = self.make_room();
        let index = index - usize::from(dropped.is_some());
        self.put(index, Gap { run: below, ..gap });
        self.insert(index + 1, Gap { run: above, ..gap });
        dropped
    }

    /// Writes a gap in place of one that is not counted any more.
    fn put(&mut self, index: usize, gap: Gap) {
        self.missing += gap.run.len();
        self.as_mut_slice()[index] = gap;
    }

    /// Inserts a gap before `index`. There is room.
    fn insert(&mut self, index: usize, gap: Gap) {
        let (head, len) = (self.head, self.len);
        let to_the_left = head > 0 && (index < len / 2 || head + len == self.capacity());
        let slots = self.slots.as_mut();
        if to_the_left {
            slots.copy_within(head..head + index, head - 1);
            self.head -= 1;
        } else {
            slots.copy_within(head + index..head + len, head + index + 1);
        }
        self.len += 1;
        self.put(index, gap);
    }

    fn remove(&mut self, index: usize) {
        let (head, len) = (self.head, self.len);
        let slots = self.slots.as_mut();
        if index < len / 2 || index == 0 {
            slots.copy_within(head..head + index, head + 1);
            self.head += 1;
        } else {
            slots.copy_within(head + index + 1..head + len, head + index);
        }
        self.len -= 1;
    }

    /// The lowest gap, if there is no room for another.
    fn make_room(&mut self) -> Option<Run> {
        if self.len < self.capacity() {
            return None;
        }
        self.take(0).map(|gap| gap.run)
    }

    /// The index of the first gap that does not end before `number`.
    fn first_reaching(&self, number: u64) -> usize {
        let gaps = self.as_slice();
        match gaps {
            [.., last] if last.run.first <= number => {
                if last.run.last < number {
                    gaps.len()
                } else {
                    gaps.len() - 1
                }
            }
            [first, ..] if number <= first.run.last => 0,
            _ => gaps.partition_point(|gap| gap.run.last < number),
        }
    }

    fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    fn invariants(&self) {
        debug_assert!(
            self.as_slice().windows(2).all(|pair| {
                pair[0].run.last < pair[1].run.first && pair[1].run.first - pair[0].run.last > 1
            }),
            "G1"
        );
        debug_assert_eq!(
            self.missing,
            self.as_slice().iter().map(|gap| gap.run.len()).fold(0, u64::saturating_add),
            "G2"
        );
    }
}
