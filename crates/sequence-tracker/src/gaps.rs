//! The list of what is missing: runs of numbers, sorted, in a bounded array.
//!
//! ```text
//!        head
//!         ▼
//!  ┌ ─ ┬─────────┬─────────┬─────────┬─────────┬ ─ ─ ─ ─ ┐
//!      │ 7 … 7   │ 9 … 12  │ 20 … 31 │ 32 … 40 │              first < last of the one before it
//!  └ ─ ┴─────────┴─────────┴─────────┴─────────┴ ─ ─ ─ ─ ┘
//!        the lowest             these two adjoin              new ones come here
//! ```
//!
//! Gaps are opened at the end and mostly closed at the beginning or the end, so both are cheap; one in
//! the middle is found by bisection and moves the shorter side, which of 65,536 gaps is 1.5 MB at most;
//! one that is opened when the list is full moves all of it.
//!
//! Gaps that adjoin were noticed at different times, and are asked for and given up at different times.
//! They are two as long as there is room; where there is none the highest two become one, before any is
//! abandoned.
//!
//! Invariants:
//! - **G1** Runs are sorted, and have no number in common.
//! - **G2** `missing` is how many numbers they have together.
//! - **G3** Unless `may_adjoin`, there is a number between any two.

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

    /// How many there are.
    pub(crate) const fn count(self) -> u128 {
        // OK: into a wider type.
        (self.last - self.first) as u128 + 1
    }

    /// What of it is in `other`, which something is.
    pub(crate) fn cut(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// Whether `above`, which is above it, begins where it ends.
    const fn adjoins(self, above: Self) -> bool {
        above.first - self.last == 1
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

/// At most `u64::MAX` can be told.
#[expect(clippy::cast_possible_truncation, reason = "compared before")]
pub(crate) const fn narrow(count: u128) -> u64 {
    // OK: into a wider type, and from one that is not too large.
    if count > u64::MAX as u128 { u64::MAX } else { count as u64 }
}

/// A run of missing numbers that was noticed at one time, and what was done about it.
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

    /// Whether nothing tells it from one that was noticed at `now`.
    fn is_new(&self, now: Instant) -> bool {
        self.since == now && self.requests == 0 && self.due.is_none()
    }

    /// One gap of this one and of the one that adjoins it above: no number of it is given up too early,
    /// and none waits longer for its next request.
    fn joined(self, above: Self) -> Self {
        let due = match (self.due, above.due) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            run: Run { first: self.run.first, last: above.run.last },
            since: self.since.max(above.since),
            due,
            requests: self.requests.min(above.requests),
        }
    }
}

/// What is missing, lowest first: gaps that adjoin are one run.
#[derive(Debug, Clone)]
pub(crate) struct Runs<'a>(&'a [Gap]);

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (gap, mut rest) = self.0.split_first()?;
        let mut run = gap.run;
        while let Some((above, others)) = rest.split_first() {
            if !run.adjoins(above.run) {
                break;
            }
            (run.last, rest) = (above.run.last, others);
        }
        self.0 = rest;
        Some(run)
    }
}

impl DoubleEndedIterator for Runs<'_> {
    fn next_back(&mut self) -> Option<Run> {
        let (gap, mut rest) = self.0.split_last()?;
        let mut run = gap.run;
        while let Some((below, others)) = rest.split_last() {
            if !below.run.adjoins(run) {
                break;
            }
            (run.first, rest) = (below.run.first, others);
        }
        self.0 = rest;
        Some(run)
    }
}

/// Sorted gaps in `S`.
#[derive(Debug, Clone)]
pub(crate) struct Gaps<S> {
    slots: S,
    head: usize,
    len: usize,
    missing: u128,
    may_adjoin: bool,
}

impl<S: AsRef<[Gap]> + AsMut<[Gap]>> Gaps<S> {
    pub(crate) const fn new(slots: S) -> Self {
        Self { slots, head: 0, len: 0, missing: 0, may_adjoin: false }
    }

    pub(crate) fn as_slice(&self) -> &[Gap] {
        &self.slots.as_ref()[self.head..self.head + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Gap] {
        &mut self.slots.as_mut()[self.head..self.head + self.len]
    }

    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs(self.as_slice())
    }

    /// How many numbers are missing.
    pub(crate) const fn missing(&self) -> u128 {
        self.missing
    }

    pub(crate) fn lowest(&self) -> Option<&Gap> {
        self.as_slice().first()
    }

    pub(crate) const fn clear(&mut self) {
        (self.head, self.len, self.missing, self.may_adjoin) = (0, 0, 0, false);
    }

    /// How many numbers of `run` are missing.
    pub(crate) fn missing_in(&self, run: Run) -> u128 {
        let above = self.as_slice().iter().skip(self.first_reaching(run.first));
        let within = above.take_while(|gap| gap.run.first <= run.last);
        within.map(|gap| gap.run.cut(run).count()).sum()
    }

    /// Adds a gap above all others. If there is no place for it, and no two can become one, the lowest
    /// leaves.
    pub(crate) fn open(&mut self, gap: Gap) -> Option<Run> {
        let is_full = self.len == self.capacity();
        let top = self.as_slice().last().filter(|top| top.run.adjoins(gap.run));
        let adjoins = top.is_some();
        if top.is_some_and(|top| is_full || top.is_new(gap.since)) {
            self.grow(self.len - 1, gap);
            self.missing += gap.run.count();
            self.invariants();
            return None;
        }
        let mut dropped = None;
        if is_full {
            if let Some(lower) = self.highest_pair() {
                self.join(lower);
            } else {
                dropped = self.take(0).map(|gap| gap.run);
            }
            if self.capacity() == 0 {
                return Some(gap.run);
            }
        }
        if self.head + self.len == self.capacity() {
            let (head, len) = (self.head, self.len);
            self.slots.as_mut().copy_within(head..head + len, 0);
            self.head = 0;
        }
        let end = self.head + self.len;
        self.slots.as_mut()[end] = gap;
        self.len += 1;
        self.missing += gap.run.count();
        self.may_adjoin |= adjoins;
        self.invariants();
        dropped
    }

    /// Takes `run` out, tells `taken` what of it was missing, and says how many numbers that were. A gap
    /// in the middle of which it is becomes two; if there is no place for that the lowest of all leaves,
    /// unless two others become one.
    pub(crate) fn take_out(&mut self, run: Run, mut taken: impl FnMut(Run)) -> (u128, Option<Run>) {
        let mut index = self.first_reaching(run.first);
        let (mut count, mut dropped) = (0, None);
        // The gaps of which nothing is left: they are side by side.
        let mut gone = index..index;
        while let Some(&gap) = self.as_slice().get(index).filter(|gap| gap.run.first <= run.last) {
            let Run { first, last } = gap.run;
            let below = (first < run.first).then(|| Run { first, last: run.first - 1 });
            let above = (last > run.last).then(|| Run { first: run.last + 1, last });
            let cut = gap.run.cut(run);
            count += cut.count();
            self.missing -= cut.count();
            taken(cut);
            match (below, above) {
                (None, None) => gone.end = index + 1,
                (Some(below), Some(above)) => {
                    dropped =
                        self.split(index, Gap { run: below, ..gap }, Gap { run: above, ..gap });
                    break;
                }
                (Some(rest), None) => {
                    self.as_mut_slice()[index].run = rest;
                    gone = index + 1..index + 1;
                }
                (None, Some(rest)) => self.as_mut_slice()[index].run = rest,
            }
            index += 1;
        }
        self.remove(gone.start, gone.end);
        self.invariants();
        (count, dropped)
    }

    /// Takes the gap at `index` out.
    pub(crate) fn take(&mut self, index: usize) -> Option<Gap> {
        let gap = *self.as_slice().get(index)?;
        self.missing -= gap.run.count();
        self.remove(index, index + 1);
        Some(gap)
    }

    /// Puts two gaps in place of the one at `index`. Their numbers are counted already.
    fn split(&mut self, index: usize, below: Gap, above: Gap) -> Option<Run> {
        self.as_mut_slice()[index] = below;
        let (mut place, mut dropped) = (index + 1, None);
        if self.len == self.capacity() {
            let next = self.as_slice().get(place).copied();
            match (self.highest_pair(), next) {
                (Some(lower), _) if lower > index => self.join(lower),
                (_, Some(next)) if above.run.adjoins(next.run) => {
                    self.as_mut_slice()[place] = above.joined(next);
                    return None;
                }
                (Some(lower), _) => {
                    self.join(lower);
                    place -= 1;
                }
                (None, _) => {
                    dropped = self.take(0).map(|gap| gap.run);
                    place -= 1;
                }
            }
        }
        self.insert(place, above);
        dropped
    }

    /// Where the lower one is of the highest two that adjoin. They were noticed last: those below them
    /// are given up in time, and make room for more.
    fn highest_pair(&mut self) -> Option<usize> {
        if !self.may_adjoin {
            return None;
        }
        let adjoin = |pair: &[Gap]| pair[0].run.adjoins(pair[1].run);
        let pair = self.as_slice().windows(2).rposition(adjoin);
        self.may_adjoin = pair.is_some();
        pair
    }

    /// Makes one gap of the one at `lower` and of the next, which adjoins it.
    fn join(&mut self, lower: usize) {
        let next = self.as_slice()[lower + 1];
        self.grow(lower, next);
        self.remove(lower + 1, lower + 2);
    }

    /// Makes the gap at `index` one with the one that adjoins it above.
    fn grow(&mut self, index: usize, above: Gap) {
        let gap = &mut self.as_mut_slice()[index];
        *gap = gap.joined(above);
    }

    /// Inserts a gap before `index`. There is room, and its numbers are counted already.
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
        self.as_mut_slice()[index] = gap;
    }

    /// Removes the gaps from `start` up to `end`, whose numbers are not counted any more.
    fn remove(&mut self, start: usize, end: usize) {
        if start == end {
            return;
        }
        let (head, len) = (self.head, self.len);
        let slots = self.slots.as_mut();
        if start < len - end {
            slots.copy_within(head..head + start, head + end - start);
            self.head += end - start;
        } else {
            slots.copy_within(head + end..head + len, head + start);
        }
        self.len -= end - start;
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
        let gaps = self.as_slice();
        debug_assert!(
            gaps.windows(2).all(|pair| {
                pair[0].run.last < pair[1].run.first
                    && (self.may_adjoin || !pair[0].run.adjoins(pair[1].run))
            }),
            "G1, G3"
        );
        debug_assert_eq!(self.missing, gaps.iter().map(|gap| gap.run.count()).sum(), "G2");
    }
}
