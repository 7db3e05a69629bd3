//! The pure gap tracker: what every number is, and what is missing.
//!
//! ```text
//!        floor                       a gap           a gap      right edge   next
//!          │                           │               │            │         │
//!  ────────┴───────────────────────────┴───────────────┴────────────┴─────────┴──────▶ number
//!  too old │ █ █ █ █ █ █ █ █ █ █ █ █ █ ░ ░ █ █ █ █ █ █ ░ █ █ █ █ █ █
//!                                    │
//!                            contiguous through
//! ```
//!
//! | number | when | answer | becomes |
//! |---|---|---|---|
//! | the next | | next | the edge |
//! | any | nothing came yet | first | the edge, and the floor unless that was set |
//! | above the next | by at most the largest jump | ahead | the edge; a gap up to it opens |
//! | above the next | by more | suspect | remembered |
//! | below the edge | by more than the latest that is believed, and not missing | suspect | remembered |
//! | the one after a suspect | not believed by itself | restart | the first of a new run |
//! | below the floor | | too old | – |
//! | in a gap | | filled | out of the gap, which may become two |
//! | otherwise | | duplicate | – |
//!
//! A range is as far away as its last number. Numbers that wrap go on below 0: what is nearest there is
//! below the floor, and believed or a suspect like all that is late.
//!
//! # Invariants
//!
//! - **S1** A number from the floor to the edge either is in a gap or has come, or was said never to.
//! - **S2** Every number is answered with "not seen before" (first, next, ahead, filled, restart) once
//!   at most between two restarts.
//! - **S3** What was abandoned is below the floor, and was reported: by the answer, by
//!   [`due`](State::due), or by whoever asked for it. Until a skip or a snapshot covers it, it is within
//!   [`lost`](State::lost).
//! - **S4** The list of gaps is exact (its own G1 and G2), and a jump costs the same however far it is.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::ops::RangeInclusive;
use core::time::Duration;

use steadfast_backoff::Rng;
use steadfast_core::Instant;

use crate::config::Terms;
use crate::gaps::{Gap, Gaps, Run, narrow};

use crate::stats::Stats;

pub use self::values::{Arrival, Batch, Change, Due, Notes, RangeError};

mod absorb;
mod values;

/// Where the gaps of a tracker are unless something else is said.
#[cfg(feature = "alloc")]
pub type Heap = Box<[Gap]>;
#[cfg(not(feature = "alloc"))]
pub use crate::no_heap::Heap;

/// A gap tracker for a single owner. `S` is where its gaps are, `N` where it [notes](Notes) what happens
/// to them.
///
/// It reads no clock: the time is an argument where it matters, which is where gaps open.
///
/// # Examples
///
/// ```
/// use steadfast_core::Instant;
/// use steadfast_sequence_tracker::{Arrival, Config, Gap};
///
/// let mut state = Config::new().state_in([Gap::EMPTY; 8])?;
/// let now = Instant::ZERO;
/// assert_eq!(state.record(1, now), Arrival::First);
/// assert_eq!(state.record(2, now), Arrival::Next);
/// assert_eq!(state.record(6, now), Arrival::Ahead { missing: 3, abandoned: None });
/// assert_eq!(state.record(4, now), Arrival::Filled { remaining: 2, abandoned: None });
/// assert!(state.missing().eq([3..=3, 5..=5]));
/// assert_eq!(state.contiguous_through(), Some(2));
/// # Ok::<(), steadfast_sequence_tracker::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct State<S = Heap, N = ()> {
    terms: Terms,
    /// The number after the right edge; 0 before the first number, and after the last of all.
    next: u64,
    is_started: bool,
    /// Before the first number: the one that has to come first.
    awaited: Option<u64>,
    /// The first number of this run.
    base: u64,
    /// Everything through it is too old: what is above it is the floor.
    settled: Option<u64>,
    /// From the lowest to the highest number of this run that was lost, and that nothing covers.
    lost: Option<Run>,
    gaps: Gaps<S>,
    /// What would confirm a restart.
    suspect: Option<u64>,
    needs_resync: bool,
    /// 0 is that of numbers that come without one.
    epoch: Option<u64>,
    /// An epoch has ended, and so many numbers were lost by that: no number of the next one has counted.
    unreported: Option<u64>,
    /// Of earlier runs, and what cannot be derived.
    stats: Stats,
    notes: N,
}

impl<S: AsRef<[Gap]> + AsMut<[Gap]>, N: Notes> State<S, N> {
    pub(crate) const fn with_terms(terms: Terms, gaps: S, notes: N) -> Self {
        Self {
            terms,
            next: 0,
            is_started: false,
            awaited: terms.starts_at,
            base: 0,
            settled: None,
            lost: None,
            gaps: Gaps::new(gaps),
            suspect: None,
            needs_resync: false,
            epoch: None,
            unreported: None,
            stats: Stats::NONE,
            notes,
        }
    }

    /// Says what `number` is, and remembers it.
    #[inline]
    pub fn record(&mut self, number: u64, now: Instant) -> Arrival {
        // The next is 0 only if there is none.
        if self.next != 0 && number == self.terms.width.truncate(self.next) {
            self.next = self.next.wrapping_add(1);
            return Arrival::Next;
        }
        self.record_closely(number, now)
    }

    /// Says what the numbers of `range` are, and remembers them, in one step.
    ///
    /// # Errors
    ///
    /// If it runs backwards, or is not of the configured width. (Of a width that wraps, a range may
    /// run over the end: 65,534 to 1 are four numbers of 16 bits.)
    pub fn record_range(
        &mut self,
        range: RangeInclusive<u64>,
        now: Instant,
    ) -> Result<Batch, RangeError> {
        let run = self.extended(*range.start(), *range.end())?;
        Ok(self.absorb(run, now))
    }

    /// Records a message that names its predecessor: it covers everything after `previous` up to the
    /// end of `range`, also where numbers in between do not exist.
    ///
    /// That is how depth updates of exchanges are linked (`pu`, `U` and `u`; `prevSeqId` and `seqId`).
    /// If `previous` is above the right edge, what is between is missing.
    ///
    /// A message that names itself as its predecessor has nothing to say but that it exists: it is
    /// [announced](State::announce), and no number is fresh by it. OKX keeps a quiet stream alive so.
    ///
    /// # Errors
    ///
    /// If the range runs backwards, or does not come after `previous`. Nothing is recorded then. OKX marks
    /// a reset of its sequence so (`seqId` below `prevSeqId`, once): [`reset`](State::reset), then
    /// [`record`](State::record) the `seqId`, which the next message will name.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_sequence_tracker::{Arrival, Config, Gap, RangeError};
    ///
    /// let mut book = Config::new().state_in([Gap::EMPTY; 8])?;
    /// let now = Instant::ZERO;
    /// book.resynced(10); // The snapshot: its prevSeqId is -1, its seqId 10.
    /// assert_eq!(book.record_linked(10, 15..=15, now)?.fresh, 5, "11 to 14 do not exist");
    /// assert_eq!(book.record_linked(15, 15..=15, now)?.fresh, 0, "alive");
    /// assert_eq!(book.record_linked(18, 21..=21, now)?.missing, 3, "16 to 18");
    /// let reset = book.record_linked(21, 3..=3, now);
    /// assert_eq!(reset, Err(RangeError::Backwards { first: 21, last: 3 }));
    /// book.reset();
    /// assert_eq!(book.record(3, now), Arrival::First);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_linked(
        &mut self,
        previous: u64,
        range: RangeInclusive<u64>,
        now: Instant,
    ) -> Result<Batch, RangeError> {
        let (first, last) = (*range.start(), *range.end());
        let link = self.extended(previous, first)?;
        let Run { last, .. } = self.extended_after(link.last, first, last)?;
        if link.first == link.last {
            if link.last == last {
                return self.announce(previous, now);
            }
            return Err(RangeError::Backwards { first: previous, last: first });
        }
        if self.near().is_none() {
            return self.record_range(range, now);
        }
        // OK: above `previous`.
        let run = Run { first: link.first + 1, last };
        let absent = link.last - run.first;
        let unseen = match absent.checked_sub(1) {
            Some(more) => {
                let absent = Run { first: run.first, last: run.first + more };
                self.existing_after(link.first, absent).map_or(0, |absent| self.unseen_in(absent))
            }
            None => 0,
        };
        let batch = self.absorb_linked(link.first, run, now);
        // Numbers that do not exist have not come.
        let skipped = match batch {
            // Not believed, or forgotten.
            Batch { fresh: 0, .. } => 0,
            Batch { restarted: Some(_), .. } => absent,
            _ => narrow(unseen),
        };
        self.stats.skipped = self.stats.skipped.saturating_add(skipped);
        Ok(batch)
    }

    /// Everything through `number` exists, as a heartbeat or an end-of-stream message says: what has
    /// not come of it is missing. Says how many that are more than before.
    ///
    /// If it is further away than is [believed](crate::Config::max_jump) it is a suspect, and nothing is
    /// missing by it; the number after it confirms it.
    ///
    /// Before the first number, unless it is known where that [is](crate::Config::starts_at), it says
    /// nothing.
    ///
    /// # Errors
    ///
    /// If it is not of the configured width.
    pub fn announce(&mut self, number: u64, now: Instant) -> Result<Batch, RangeError> {
        let number = self.extended(number, number)?.last;
        let mut batch = Batch::default();
        let (first, near) = match (self.awaited, self.right_edge()) {
            // Before the first number.
            (Some(first), _) => (first, first),
            (None, Some(edge)) if !self.is_at_end() => (self.next, edge),
            _ => return Ok(batch),
        };
        if number < first || self.is_before_all(number) {
            return Ok(batch);
        }
        if number - near > self.terms.max_jump {
            self.suspect = number.checked_add(1);
            batch.suspect = true;
            return Ok(batch);
        }
        if !self.is_started {
            self.start(first);
        }
        self.leave_out(Run { first, last: number }, now, &mut batch);
        self.next = number.wrapping_add(1);
        Ok(batch)
    }

    /// The highest number that has come, or that is known to exist.
    pub const fn right_edge(&self) -> Option<u64> {
        if self.is_started { Some(self.next.wrapping_sub(1)) } else { None }
    }

    /// Everything up to this number has come, was given up, or never will. Before the first number: what
    /// is before the one that has to come first.
    pub fn contiguous_through(&self) -> Option<u64> {
        match (self.gaps.lowest(), self.awaited) {
            (Some(gap), _) => gap.run.first.checked_sub(1),
            (None, Some(first)) => first.checked_sub(1),
            (None, None) => self.right_edge(),
        }
    }

    /// The missing numbers, lowest first, in as few ranges as possible.
    pub fn missing(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + '_ {
        self.gaps.runs().map(Run::range)
    }

    /// The gaps, lowest first, with their age and what was done about them. Two that adjoin were noticed
    /// at different times (by [`announce`](State::announce)); where there is no place for another they
    /// become one, which is as young as the younger.
    pub fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }

    /// How many numbers are missing: at most `u64::MAX`, though all numbers are one more.
    pub const fn missing_count(&self) -> u64 {
        narrow(self.gaps.missing())
    }

    /// Whether numbers of this run were lost: abandoned for want of room, or given up. It goes from the
    /// lowest to the highest of them; in between some may have come.
    ///
    /// What is covered by a snapshot ([`resynced`](State::resynced)) or a skip
    /// ([`skip_to`](State::skip_to)) is not lost any more.
    pub const fn lost(&self) -> Option<Run> {
        self.lost
    }

    /// The gaps that are to be requested at `now`, or that are given up. It takes one look at each.
    ///
    /// What is left of it when it is dropped is due still. What it has requested is not due again before
    /// the next nanosecond, even if the delay is 0.
    ///
    /// `rng` draws the jitter of the [configured](crate::Config::request) delays.
    ///
    /// A clock that jumps ahead and comes back puts off what was decided meanwhile by the delays' cap at
    /// most. Without a cap it is put off until the clock is there again: give them one.
    pub fn due<'a>(
        &'a mut self,
        now: Instant,
        rng: &'a mut impl Rng,
    ) -> impl Iterator<Item = Due> + 'a {
        let mut index = 0;
        core::iter::from_fn(move || self.due_from(&mut index, now, rng))
    }

    /// The first that is due of the gaps from `index` on, which moves behind it.
    fn due_from(&mut self, index: &mut usize, now: Instant, rng: &mut impl Rng) -> Option<Due> {
        let policy = self.terms.request?;
        while let Some(gap) = self.gaps.as_mut_slice().get_mut(*index) {
            if now < gap.since {
                // The clock has stepped back: a gap is not of the future.
                (gap.since, gap.due) = (now, None);
            }
            let due = match gap.due {
                // No delay is so long: the clock was far ahead when it was drawn.
                Some(due) if due > now.saturating_add(policy.cap()).max(next_after(now)) => {
                    now.saturating_add(policy.delay(gap.requests, rng))
                }
                Some(due) => due,
                None => gap.since.saturating_add(policy.delay(0, rng)),
            };
            gap.due = Some(due);
            let age = now.saturating_duration_since(gap.since);
            let is_old = policy.max_elapsed().is_some_and(|most| age >= most);
            let is_last = policy.max_retries().is_some_and(|most| gap.requests >= most);
            // At the end of all times the next one is not later: that is never.
            let is_due = now >= due && due < Instant::MAX;
            let (run, attempt) = (gap.run, gap.requests);
            if is_old || is_last && is_due {
                if *index == 0 {
                    self.gaps.take(0);
                    self.lose(run);
                    return Some(Due::GaveUp { run });
                }
                // S3: after those below it, and until then it is not requested.
                gap.due = Some(if is_old { due.max(now) } else { due });
            } else if is_due {
                gap.requests = attempt.saturating_add(1);
                let again = now.saturating_add(policy.delay(gap.requests, rng));
                gap.due = Some(again.max(next_after(now)));
                *index += 1;
                return Some(Due::Request { run, attempt });
            }
            *index += 1;
        }
        None
    }

    /// When [`due`](State::due) has something next, if nothing else happens; the time at which a gap
    /// opened, if it has not been asked since.
    pub fn next_due(&self) -> Option<Instant> {
        let policy = self.terms.request?;
        let event = |(index, gap): (usize, &Gap)| {
            let Some(due) = gap.due else { return Some(gap.since) };
            let is_last = policy.max_retries().is_some_and(|most| gap.requests >= most);
            let old = policy.max_elapsed().map(|most| gap.since.saturating_add(most));
            match old {
                // S3: it is given up after those below it.
                _ if index > 0 && is_last => None,
                Some(old) if old <= due => (index == 0).then_some(old),
                _ => Some(due),
            }
        };
        let events = self.gaps.as_slice().iter().enumerate().filter_map(event);
        events.min().filter(|&at| at < Instant::MAX)
    }

    /// Gives up all that is missing below `number`, and says how many numbers are lost by that.
    pub fn give_up_below(&mut self, number: u64) -> u64 {
        let Some(through) = number.checked_sub(1) else { return 0 };
        let Some(edge) = self.right_edge() else { return 0 };
        self.lose_through(edge.min(through))
    }

    /// What is missing below `number` will never come, and is not lost either: the next is `number`,
    /// unless a later one has come. Says how many numbers that were. (FIX: sequence reset, gap fill.)
    ///
    /// What is [lost](State::lost) below it is covered, too.
    pub fn skip_to(&mut self, number: u64) -> u64 {
        match number.checked_sub(1) {
            Some(through) => self.cover_through(through),
            None => 0,
        }
    }

    /// Whether a gap was so [large](crate::Config::resync_at) that a snapshot is better than filling it.
    /// It stays so until [`resynced`](State::resynced).
    pub const fn needs_resync(&self) -> bool {
        self.needs_resync
    }

    /// A snapshot covers everything through `number`, what is [lost](State::lost) as well. If it is so
    /// old that a gap above it is too large still, another one is needed.
    pub fn resynced(&mut self, number: u64) {
        self.suspect = None;
        self.cover_through(number);
        let terms = &self.terms;
        self.needs_resync = self.gaps.runs().any(|run| terms.wants_resync(run.len()));
    }

    /// Forgets everything, for a new connection or session: whatever comes next is the first. Says how
    /// many numbers were missing, and are lost.
    pub fn reset(&mut self) -> u64 {
        let lost = self.missing_count();
        self.end_run();
        self.awaited = self.terms.starts_at;
        lost
    }

    /// [`record`](State::record) for streams whose messages say which epoch they belong to (a session, a
    /// leader's term, a producer's epoch): a higher one than before resets the tracker, and what is of a
    /// lower one is too old.
    ///
    /// The first number that counts of a new epoch is answered with [`Reset`](Arrival::Reset), which says
    /// what the old one has lost and what is missing of the new one already. One that comes before it may
    /// be a suspect or too old, as at any [start](crate::Config::starts_at).
    pub fn record_in(&mut self, epoch: u64, number: u64, now: Instant) -> Arrival {
        let known = self.epoch.unwrap_or(0);
        if epoch < known {
            self.stats.too_old = self.stats.too_old.saturating_add(1);
            return Arrival::TooOld;
        }
        if number > self.terms.width.max() {
            return Arrival::OutOfRange;
        }
        let was_started = self.is_started;
        // The first that is heard of ends no other one.
        let is_first = self.epoch.replace(epoch).is_none() && !was_started;
        if epoch > known && !is_first {
            let lost = self.reset();
            if was_started || self.unreported.is_some() {
                self.unreported = Some(self.unreported.unwrap_or(0).saturating_add(lost));
            }
        }
        let unreported = self.unreported;
        match (unreported, self.record(number, now)) {
            (Some(lost), Arrival::First | Arrival::Restart { .. }) => {
                Arrival::Reset { lost, missing: 0 }
            }
            (Some(lost), Arrival::Ahead { missing, .. }) => Arrival::Reset { lost, missing },
            (_, arrival) => arrival,
        }
    }

    /// The 64-bit number that `number` on the wire means now; `None` if it is not of the configured
    /// width.
    pub const fn extend(&self, number: u64) -> Option<u64> {
        match self.near() {
            Some(near) => self.terms.width.extend(number, near),
            None => self.terms.width.extend(number, number),
        }
    }

    /// What is known of where the stream is.
    const fn near(&self) -> Option<u64> {
        if self.is_started { self.right_edge() } else { self.awaited }
    }

    /// What was counted so far, over all restarts.
    pub fn stats(&self) -> Stats {
        let expected = match self.right_edge() {
            Some(edge) => (edge - self.base).saturating_add(1),
            None => 0,
        };
        let expected = self.stats.expected.saturating_add(expected);
        Stats { expected, missing: self.missing_count(), ..self.stats }
    }

    /// The terms.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }
}

#[cfg(feature = "wait")]
impl<S: AsRef<[Gap]> + AsMut<[Gap]> + Clone, N: Notes> State<S, N> {
    /// What was noted since it was last asked for.
    pub(crate) const fn notes(&mut self) -> &mut N {
        &mut self.notes
    }

    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether everything through `number` is settled: through which number that is so, or what was
    /// lost of it, as [`lost`](State::lost) has it.
    pub(crate) fn proof(&self, number: u64) -> Option<Result<u64, (u64, Run)>> {
        let through = self.contiguous_through().filter(|&through| through >= number)?;
        Some(match self.lost {
            Some(lost) if lost.first <= number => Err((through, lost)),
            // OK: it is above `number`.
            Some(lost) => Ok(through.min(lost.first - 1)),
            None => Ok(through),
        })
    }

    /// The number that comes next, if there is one; `unknown` if anything may be the first.
    pub(crate) const fn next_or(&self, unknown: u64) -> Option<u64> {
        match self.awaited {
            Some(first) => Some(first),
            None if !self.is_started => Some(unknown),
            None if self.next == 0 => None,
            None => Some(self.next),
        }
    }

    /// Numbers have come in order, and were seen by somebody else.
    pub(crate) const fn set_next(&mut self, next: u64) {
        self.next = next;
    }

    /// The same without notes.
    pub(crate) fn without_notes(&self) -> State<S> {
        let Self { terms, next, is_started, awaited, base, settled, lost, ref gaps, .. } = *self;
        let Self { suspect, needs_resync, epoch, unreported, stats, .. } = *self;
        let gaps = gaps.clone();
        State {
            terms,
            next,
            is_started,
            awaited,
            base,
            settled,
            lost,
            gaps,
            suspect,
            needs_resync,
            epoch,
            unreported,
            stats,
            notes: (),
        }
    }
}

/// A request is not due again at the instant at which it was listed.
const fn next_after(now: Instant) -> Instant {
    now.saturating_add(Duration::from_nanos(1))
}
