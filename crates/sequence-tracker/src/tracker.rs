//! The gap tracker that many share: the machine under a lock that numbers in order do not take.
//!
//! The right edge is in a word beside the lock while nobody has to be told anything: then a number that
//! is the next moves it by one compare-and-swap, and is done. Whoever takes the lock takes that word away
//! first, so that what he sees stands still, and puts it back when he is done; while it is away everybody
//! comes to the lock. Whoever waits keeps it away.
//!
//! | the word | says |
//! |---|---|
//! | 0 | ask under the lock |
//! | other | the next number |

use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::ops::RangeInclusive;

use steadfast_backoff::Random;
use steadfast_core::feed::Feed;
use steadfast_core::sync::atomic::AtomicU64;
use steadfast_core::sync::{Arc, Mutex};
use steadfast_core::{Clock, Instant, Step, SystemClock, update};

use crate::changes::Changes;
use crate::config::{Config, ConfigError};
use crate::gaps::{Gap, Run};
use crate::seats::{Seat, Seats};
use crate::state::{Arrival, Batch, Change, Due, Heap, Notes, RangeError, State};
use crate::stats::Stats;
use crate::wait::Seen;
use crate::width::Width;

/// A gap tracker for any number of threads and tasks.
///
/// A number in order takes one compare-and-swap and no lock, while gaps are open, too; everything else
/// takes a lock for its own time. `C` is the clock, which a number in order does not read.
///
/// # Memory ordering
///
/// What happened before a number was recorded is visible to whoever records the next one, and to whoever
/// has [waited](SequenceTracker::acquire) for it.
///
/// # Examples
///
/// ```
/// use steadfast_core::ManualClock;
/// use steadfast_sequence_tracker::{Arrival, Config};
///
/// let tracker = Config::new().build_with(ManualClock::new())?;
/// tracker.record(1);
/// assert!(matches!(tracker.record(5), Arrival::Ahead { missing: 3, .. }));
/// assert_eq!(tracker.missing(), [2..=4]);
/// tracker.record_range(2..=4)?;
/// assert_eq!(tracker.contiguous_through(), Some(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SequenceTracker<C = SystemClock> {
    next: AtomicU64,
    width: Width,
    inner: Mutex<Inner>,
    clock: C,
    feed: Feed<Change>,
}

pub(crate) struct Inner {
    state: State<Heap, Log>,
    rng: Random,
    /// Those who have to be told about numbers in order, too.
    pub(crate) seats: Seats,
}

/// What happened to the gaps since it was last published; nothing before somebody wants to read it.
struct Log {
    is_read: bool,
    changes: Vec<Change>,
    /// How many there were: the number of the last.
    count: u64,
}

impl Notes for Log {
    fn note(&mut self, change: Change) {
        if self.is_read {
            self.changes.push(change);
            // OK: there are not that many.
            self.count = self.count.saturating_add(1);
        }
    }
}

impl Config {
    /// The shared tracker, on a clock of yours, with randomness of yours for the jitter of requests.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker.
    pub fn build_seeded<C>(self, clock: C, rng: Random) -> Result<SequenceTracker<C>, ConfigError> {
        let log = Log { is_read: false, changes: Vec::new(), count: 0 };
        let inner = Inner { state: self.state_with(log)?, rng, seats: Seats::default() };
        Ok(SequenceTracker {
            next: AtomicU64::new(0),
            width: self.width,
            inner: Mutex::new(inner),
            clock,
            feed: Feed::new(),
        })
    }

    /// The shared tracker, on a clock of yours.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker.
    #[cfg(feature = "std")]
    pub fn build_with<C>(self, clock: C) -> Result<SequenceTracker<C>, ConfigError> {
        self.build_seeded(clock, Random::new())
    }

    /// The shared tracker, on the system's clock.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker.
    #[cfg(feature = "std")]
    pub fn build(self) -> Result<SequenceTracker, ConfigError> {
        self.build_with(SystemClock)
    }
}

impl<C: Clock> SequenceTracker<C> {
    /// Says what `number` is, and remembers it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::{Arrival, Config};
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// assert_eq!(tracker.record(3), Arrival::Ahead { missing: 2, abandoned: None });
    /// assert_eq!(tracker.record(1), Arrival::Filled { remaining: 1, abandoned: None });
    /// assert_eq!(tracker.record(1), Arrival::Duplicate);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn record(&self, number: u64) -> Arrival {
        self.record_when(number, || self.clock().now())
    }

    /// [`record`](Self::record) at `now`.
    #[inline]
    pub fn record_at(&self, number: u64, now: Instant) -> Arrival {
        self.record_when(number, || now)
    }

    /// Says what the numbers of `range` are, and remembers them, in one step: see
    /// [`State::record_range`].
    ///
    /// # Errors
    ///
    /// If it runs backwards, or is not of the configured width.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// let batch = tracker.record_range(1..=100)?;          // one message that holds a hundred
    /// assert_eq!((batch.fresh, tracker.contiguous_through()), (100, Some(100)));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_range(&self, range: RangeInclusive<u64>) -> Result<Batch, RangeError> {
        self.record_range_at(range, self.clock().now())
    }

    /// [`record_range`](Self::record_range) at `now`.
    ///
    /// # Errors
    ///
    /// If it runs backwards, or is not of the configured width.
    pub fn record_range_at(
        &self,
        range: RangeInclusive<u64>,
        now: Instant,
    ) -> Result<Batch, RangeError> {
        self.change(|inner| inner.state.record_range(range, now))
    }

    /// Records a message that names its predecessor: see [`State::record_linked`].
    ///
    /// # Errors
    ///
    /// If the range runs backwards, or does not come after `previous`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// // Depth updates: each names the last number before it.
    /// let tracker = Config::new().build_with(ManualClock::new())?;
    /// tracker.resynced(1_000);                             // the snapshot's number
    /// tracker.record_linked(990, 991..=1_005)?;            // begins within the snapshot
    /// tracker.record_linked(1_009, 1_010..=1_020)?;        // one is lost in between
    /// assert_eq!(tracker.missing(), [1_006..=1_009]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn record_linked(
        &self,
        previous: u64,
        range: RangeInclusive<u64>,
    ) -> Result<Batch, RangeError> {
        self.record_linked_at(previous, range, self.clock().now())
    }

    /// [`record_linked`](Self::record_linked) at `now`.
    ///
    /// # Errors
    ///
    /// If the range runs backwards, or does not come after `previous`.
    pub fn record_linked_at(
        &self,
        previous: u64,
        range: RangeInclusive<u64>,
        now: Instant,
    ) -> Result<Batch, RangeError> {
        self.change(|inner| inner.state.record_linked(previous, range, now))
    }

    /// [`record`](Self::record) for streams whose messages say which epoch they belong to: see
    /// [`State::record_in`].
    pub fn record_in(&self, epoch: u64, number: u64) -> Arrival {
        self.record_in_at(epoch, number, self.clock().now())
    }

    /// [`record_in`](Self::record_in) at `now`.
    pub fn record_in_at(&self, epoch: u64, number: u64, now: Instant) -> Arrival {
        self.change(|inner| inner.state.record_in(epoch, number, now))
    }

    /// Everything through `number` exists: see [`State::announce`].
    ///
    /// # Errors
    ///
    /// If it is not of the configured width.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// tracker.record_range(1..=7)?;
    /// tracker.announce(10)?;                               // a heartbeat: 10 was sent
    /// assert_eq!(tracker.missing(), [8..=10]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn announce(&self, number: u64) -> Result<Batch, RangeError> {
        self.announce_at(number, self.clock().now())
    }

    /// [`announce`](Self::announce) at `now`.
    ///
    /// # Errors
    ///
    /// If it is not of the configured width.
    pub fn announce_at(&self, number: u64, now: Instant) -> Result<Batch, RangeError> {
        self.change(|inner| inner.state.announce(number, now))
    }

    /// All gaps that are to be requested now, or are given up: see [`State::due`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::{Config, Due, Run};
    ///
    /// let delays = steadfast_backoff::Config::constant(Duration::from_millis(5)).max_retries(1);
    /// let tracker = Config::new().starts_at(1).request(delays).build_with(ManualClock::new())?;
    /// tracker.record(3);
    /// assert!(tracker.due().is_empty());
    /// let run = Run { first: 1, last: 2 };
    /// tracker.clock().advance(Duration::from_millis(5));
    /// assert_eq!(tracker.due(), [Due::Request { run, attempt: 0 }]);
    /// tracker.clock().advance(Duration::from_millis(5));
    /// assert_eq!(tracker.due(), [Due::GaveUp { run }]);
    /// assert_eq!(tracker.lost(), Some(run));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn due(&self) -> Vec<Due> {
        self.due_at(self.clock().now())
    }

    /// [`due`](Self::due) at `now`.
    pub fn due_at(&self, now: Instant) -> Vec<Due> {
        self.change(|inner| {
            let Inner { state, rng, .. } = inner;
            state.due(now, rng).collect()
        })
    }

    #[inline]
    fn record_when(&self, number: u64, now: impl FnOnce() -> Instant) -> Arrival {
        let in_order = update(&self.next, |next| {
            // 0 is no number to come, and says that the lock has to be asked.
            match next.checked_add(1) {
                Some(after) if next != 0 && number == self.width.truncate(next) => {
                    Step::Replace(after, true)
                }
                _ => Step::Keep(false),
            }
        });
        if in_order { Arrival::Next } else { self.record_closely(number, now) }
    }

    #[cold]
    fn record_closely(&self, number: u64, now: impl FnOnce() -> Instant) -> Arrival {
        // Before the lock: a clock may be code of somebody else's.
        let now = now();
        self.change(|inner| inner.state.record(number, now))
    }
}

impl<C> SequenceTracker<C> {
    /// The changes from now on: gaps that open, are filled, given up or settled, and restarts.
    ///
    /// The last 64 are kept for a reader who is slow. It ends when the tracker is dropped. Before the
    /// first reader nothing is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::{Change, Config, Run};
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// let mut changes = tracker.changes();                 // a stream, and an iterator that waits
    /// tracker.record(2);
    /// tracker.record(1);
    /// let run = Run { first: 1, last: 1 };
    /// assert_eq!(changes.try_next().map(|entry| entry.item), Some(Change::Opened { run }));
    /// assert_eq!(changes.try_next().map(|entry| entry.item), Some(Change::Filled { run }));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn changes(&self) -> Changes {
        let begin = |inner: &mut Inner| {
            let log = inner.state.notes();
            // RACE: what changes after this lock waits for the reader to be there. Model:
            // `a_new_reader_gets_what_is_left_of_the_changes`.
            log.is_read = true;
            log.count
        };
        Changes(self.feed.reader(|_| self.with(begin)))
    }

    /// When [`due`](Self::due) has something next: see [`State::next_due`].
    pub fn next_due(&self) -> Option<Instant> {
        self.with(|inner| inner.state.next_due())
    }

    /// Gives up all that is missing below `number`, and says how many numbers are lost by that.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// tracker.record(4);
    /// assert_eq!(tracker.give_up_below(3), 2);             // 1 and 2
    /// assert_eq!(tracker.missing(), [3..=3]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn give_up_below(&self, number: u64) -> u64 {
        self.change(|inner| inner.state.give_up_below(number))
    }

    /// What is missing below `number` will never come, and is not lost either: see
    /// [`State::skip_to`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// tracker.record(2);
    /// assert_eq!(tracker.skip_to(5), 3);                   // a gap fill: 1, 3 and 4 will never come
    /// assert_eq!(tracker.contiguous_through(), Some(4));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn skip_to(&self, number: u64) -> u64 {
        self.change(|inner| inner.state.skip_to(number))
    }

    /// Whether a gap was so large that a snapshot is better than filling it: see
    /// [`State::needs_resync`].
    pub fn needs_resync(&self) -> bool {
        self.with(|inner| inner.state.needs_resync())
    }

    /// A snapshot covers everything through `number`: see [`State::resynced`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_core::ManualClock;
    /// use steadfast_sequence_tracker::Config;
    ///
    /// let tracker = Config::new().starts_at(1).build_with(ManualClock::new())?;
    /// tracker.record(5);
    /// tracker.resynced(7);                                 // a snapshot of all through 7
    /// assert_eq!((tracker.missing_count(), tracker.contiguous_through()), (0, Some(7)));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resynced(&self, number: u64) {
        self.change(|inner| inner.state.resynced(number));
    }

    /// Forgets everything, for a new connection or session: whatever comes next is the first. Says how
    /// many numbers were missing, and are lost.
    pub fn reset(&self) -> u64 {
        self.change(|inner| inner.state.reset())
    }

    /// The highest number that has come, or that is known to exist.
    pub fn right_edge(&self) -> Option<u64> {
        self.with(|inner| inner.state.right_edge())
    }

    /// Everything up to this number has come, was given up, or never will.
    pub fn contiguous_through(&self) -> Option<u64> {
        self.with(|inner| inner.state.contiguous_through())
    }

    /// The missing numbers, lowest first.
    pub fn missing(&self) -> Vec<RangeInclusive<u64>> {
        self.with(|inner| inner.state.missing().collect())
    }

    /// How many numbers are missing.
    pub fn missing_count(&self) -> u64 {
        self.with(|inner| inner.state.missing_count())
    }

    /// Whether numbers of this run were lost: see [`State::lost`].
    pub fn lost(&self) -> Option<Run> {
        self.with(|inner| inner.state.lost())
    }

    /// The gaps, lowest first, with their age and what was done about them.
    pub fn gaps(&self) -> Vec<Gap> {
        self.with(|inner| inner.state.gaps().to_vec())
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.with(|inner| inner.state.stats())
    }

    /// The pure machine as it is now.
    pub fn snapshot(&self) -> State {
        self.with(|inner| inner.state.without_notes())
    }

    /// The 64-bit number that `number` on the wire means now: see [`State::extend`]. What is not
    /// recorded but named ([`acquire`](Self::acquire), [`skip_to`](Self::skip_to),
    /// [`give_up_below`](Self::give_up_below), [`resynced`](Self::resynced)) is named by it.
    pub fn extend(&self, number: u64) -> Option<u64> {
        self.with(|inner| inner.state.extend(number))
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Whether everything through `number` has come; if not, what is missing of it if it is `late`, and
    /// otherwise where to wait for it: in the same `seat` as before, unless that is over.
    pub(crate) fn await_through(&self, number: u64, seat: Option<&Arc<Seat>>, late: bool) -> Seen {
        self.with(|inner| {
            let run = inner.state.stats().restarts;
            if seat.is_some_and(|seat| seat.run() != run) {
                return Seen::Over;
            }
            // RACE: looked at under the lock that the seat is found under: whoever brings it finds the
            // seat, and wakes it, perhaps before anybody is in its line. Model:
            // `what_comes_while_joining_is_seen`.
            match inner.state.proof(number) {
                Some(Ok(through)) => return Seen::Come(through),
                Some(Err((through, lost))) => return Seen::Lost { through, lost },
                None if late => return Seen::Late { missing: inner.missing_through(number) },
                None => (),
            }
            Seen::NotYet(match seat.filter(|seat| !seat.is_over()) {
                Some(seat) => Arc::clone(seat),
                None => inner.seats.join(number, run),
            })
        })
    }

    /// One waits less.
    pub(crate) fn stop_waiting(&self, number: u64, seat: &Seat) {
        // Most often what was awaited has come, and saves the lock.
        if !seat.is_over() {
            self.with(|inner| inner.seats.leave(number, seat));
        }
    }

    /// Looks at the machine.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        self.inner.with(|inner| {
            let taken = self.take_next();
            if taken != 0 {
                inner.state.set_next(taken);
            }
            let answer = f(inner);
            self.put_next(inner);
            answer
        })
    }

    /// Changes the machine, and tells those whom it concerns.
    fn change<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        let (answer, over, changes, last) = self.with(|inner| {
            let answer = f(inner);
            let log = inner.state.notes();
            let (changes, last) = (mem::take(&mut log.changes), log.count);
            (answer, inner.take_out(), changes, last)
        });
        // OK: they are counted.
        let first = last - changes.len() as u64;
        for (change, number) in changes.into_iter().zip(first + 1..) {
            self.feed.publish(change, |_| number);
        }
        // All are woken before the first is dropped, which may run anybody's code.
        for seat in &over {
            seat.wake();
        }
        answer
    }

    /// Takes the next number away from those who come in order.
    fn take_next(&self) -> u64 {
        // RACE: a number in order comes before this, and is seen by whoever has the lock, or finds
        // nothing and comes to the lock. Model: `number_in_order_against_a_late_one`.
        update(&self.next, |next| Step::Replace(0, next))
    }

    /// Lets those who come in order do so, unless somebody has to be told about them.
    fn put_next(&self, inner: &Inner) {
        let next = if inner.seats.is_empty() { inner.state.next() } else { 0 };
        update(&self.next, |_| Step::Replace(next, ()));
    }
}

impl Inner {
    /// What is missing through `number`.
    fn missing_through(&self, number: u64) -> Vec<RangeInclusive<u64>> {
        let below = |range: &RangeInclusive<u64>| *range.start() <= number;
        let cut = |range: RangeInclusive<u64>| *range.start()..=number.min(*range.end());
        let mut missing: Vec<_> = self.state.missing().take_while(below).map(cut).collect();
        if let Some(next) = self.state.next_or(number).filter(|&next| next <= number) {
            match missing.last_mut() {
                // It is missing up to the edge: with what comes after it, it is one range.
                Some(last) if next - *last.end() == 1 => *last = *last.start()..=number,
                _ => missing.push(next..=number),
            }
        }
        missing
    }

    /// Takes out the seats of those who have something to see.
    fn take_out(&mut self) -> Vec<Arc<Seat>> {
        if self.seats.is_empty() {
            return Vec::new();
        }
        self.seats.take_out(self.state.contiguous_through(), self.state.stats().restarts)
    }
}

impl<C> fmt::Debug for SequenceTracker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequenceTracker").field("state", &self.snapshot()).finish_non_exhaustive()
    }
}
