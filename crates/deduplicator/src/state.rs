//! The pure window: which of the last ids have been seen, and when.
//!
//! ```text
//!         oldest                                              newest
//!           ▼                                                    ▼
//!  ┌ ─ ─ ┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬ ─ ─ ┐   the ring: an id and a time
//!        │  A  │  B  │hole │  D  │  E  │hole │  G  │  H  │  I  │  J  │         a position, as they came
//!  └ ─ ─ ┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴─────┴ ─ ─ ┘
//!           ▲                       ▲
//!  ┌────────┴──────┬─ ─ ─ ─┬────────┴──────┐
//!  │ line 0        │       │ line n        │   the index: for each id, in the line that its fingerprint
//!  └───────────────┴─ ─ ─ ─┴───────────────┘   says or after it, a tag and the stamp of its position
//! ```
//!
//! An operation looks at one line of the index, and writes the ring where it wrote the last time: one cache
//! line that nobody could foresee. What leaves the window is not looked up again: its stamp is dead once
//! the oldest position is another.
//!
//! | input | when | answer | becomes |
//! |---|---|---|---|
//! | insert | not in the window | fresh | the newest; the oldest leaves if there are too many |
//! | insert | the same, and the window *slides* (D8) | fresh | the same, and nothing else is looked at |
//! | insert | in the window | duplicate | – |
//! | insert | in the window, renewing | duplicate | a hole; and the newest, with its first sight |
//! | insert | its time is over | fresh | a hole; and the newest |
//! | forget | in the window | true | a hole |
//! | any | the oldest's time is over | | it leaves, at most 16 a step |
//! | any | the oldest is a hole | | it leaves, with those beside it |
//! | append | more positions than the capacity and half the spare | | holes are pushed out, some positions a step |
//!
//! # Invariants
//!
//! - **D1** An id that lives has one entry in the index, and its position one stamp, which lives.
//! - **D2** Times do not fall from the oldest to the newest, holes excepted.
//! - **D3** `live` is the number of positions that are not holes; never above the capacity.
//! - **D4** A line that an entry did not find a lane in has a header at least as new as the entry.
//! - **D5** A stamp is refreshed before it comes round: no dead one looks alive again.
//! - **D6** There is room for one more position: holes are out before the ring is full.
//! - **D7** Holes beside each other are one run, but for those at the ends of what a push has emptied; its first
//!   and its last hole say how long it is.
//! - **D8** Before `slides_until`, which is never above `due`, the window slides: it is full, without holes or a
//!   push, and the oldest is not over. There is nothing to be looked at then but the line of an id that is new.

use core::fmt;

use steadfast_core::Instant;

use crate::config::Terms;
use crate::fingerprint::Fingerprint;
use crate::memory::{Heap, Memory};

#[cfg(feature = "wait")]
pub(crate) use self::batch::Ones;
pub use self::index::Line;
pub(crate) use self::index::{LANES, MOST_BITS};
pub use self::values::{Sighting, Stats};

use self::index::Era;
use self::push::Push;
pub(crate) use self::ring::Record;

#[cfg(feature = "wait")]
mod batch;
mod check;
mod index;
#[cfg(feature = "wait")]
mod kept;
mod push;
mod ring;
mod values;

/// How many old positions leave in a step.
const LEAVING: u32 = 16;
/// How many ids of a batch are looked for at once.
pub(crate) const AT_ONCE: usize = 64;

/// What stands beside the ring, for each slot of it.
pub trait Beside {
    /// The id of a slot is now in another.
    fn moved(&mut self, from: usize, to: usize);
    /// The id of a slot has left.
    fn gone(&mut self, slot: usize);
}

impl Beside for () {
    #[inline]
    fn moved(&mut self, _from: usize, _to: usize) {}

    #[inline]
    fn gone(&mut self, _slot: usize) {}
}

/// A window over the last ids, for a single owner. `M` is where it is, `B` what stands beside it.
///
/// It reads no clock and hashes nothing: see [`LocalDeduplicator`](crate::LocalDeduplicator) for that. A
/// time before the latest that it has seen counts as that; it sees those of [`insert`](State::insert),
/// [`insert_all`](State::insert_all) and [`forget`](State::forget).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use core::time::Duration;
/// use steadfast_core::Instant;
/// use steadfast_deduplicator::{Config, Fingerprint, Sighting};
///
/// let mut window = Config::new(2).ttl(Duration::from_secs(60)).state()?;
/// let ids = [1_u64, 2, 3].map(|low| Fingerprint { low, high: 0 });
/// let at = |secs: u64| Instant::from_nanos(secs * 1_000_000_000);
///
/// assert_eq!(window.insert(ids[0], at(0)), Sighting::Fresh);
/// assert_eq!(window.insert(ids[0], at(1)), Sighting::Duplicate { first_seen: at(0) });
/// assert_eq!(window.insert(ids[1], at(2)), Sighting::Fresh);
/// assert_eq!(window.insert(ids[2], at(3)), Sighting::Fresh, "and the first is forgotten");
/// assert_eq!(window.insert(ids[0], at(4)), Sighting::Fresh);
/// assert_eq!(window.insert(ids[2], at(63)), Sighting::Fresh, "after a minute");
/// # }
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
#[derive(Clone)]
// In this order: what a new id writes in a window that slides is on the cache line of the lock in front of it (in a
// `Deduplicator`), which whoever comes from another core has to fetch anyway; what is only read can be in the caches
// of all of them.
#[repr(C)]
pub struct State<M = Heap, B = ()> {
    /// The latest time, by its own count.
    latest: u64,
    /// Until then, by its own count, a new id is all that can happen: the window [slides](State::slides). 0: it
    /// does not, or nobody has looked.
    slides_until: u64,
    era: Era,
    /// The slot of the next position.
    tail: u32,
    stats: Stats,
    memory: M,
    /// How far its count is ahead of the clock: ids that were restored may be older than that.
    ahead: u64,
    /// No position is to leave before. It is exact if the oldest is a hole, and only then [`DUE_HOLE`].
    ///
    /// [`DUE_HOLE`]: ring::DUE_HOLE
    due: u64,
    terms: Terms,
    live: u32,
    /// The line to be refreshed next.
    stale: u32,
    push: Option<Push>,
    beside: B,
}

/// Where an id is to be looked for: the same for as long as the window lives.
#[derive(Clone, Copy)]
struct Home {
    line: usize,
    tag: u32,
}

/// Where an id was found.
#[derive(Clone, Copy)]
struct Found {
    line: usize,
    lane: usize,
    slot: usize,
}

impl<M, B> State<M, B> {
    pub(crate) const fn with_terms(terms: Terms, memory: M, beside: B) -> Self {
        Self {
            latest: 0,
            due: u64::MAX,
            slides_until: 0,
            ahead: 0,
            era: Era::new(terms.tag_bits),
            tail: 0,
            live: 0,
            stale: 0,
            memory,
            terms,
            push: None,
            stats: Stats::NONE,
            beside,
        }
    }

    /// How many ids it remembers at most.
    pub const fn capacity(&self) -> usize {
        self.terms.capacity as usize
    }
}

impl<M: Memory, B: Beside> State<M, B> {
    /// Says whether an id was seen before, and remembers it if it was not: in one step.
    #[inline]
    pub fn insert(&mut self, id: Fingerprint, now: Instant) -> Sighting {
        if self.slide(id, now) { Sighting::Fresh } else { self.insert_anywhere(id, now) }
    }

    /// Does what most inserts come to in a window that is full: an id is new, and the oldest leaves for it. If
    /// it may be that anything else has to be done, nothing is.
    // Out of line, there would be more of saving and restoring registers than of anything else.
    #[inline(always)]
    fn slide(&mut self, id: Fingerprint, now: Instant) -> bool {
        let time = now.as_nanos().saturating_add(self.ahead);
        if time >= self.slides_until {
            return false;
        }
        let Home { line, tag } = self.home(id);
        if !self.memory.lines_mut()[line].slide(tag, self.era) {
            return false;
        }
        self.beside.gone(self.head());
        self.era = self.era.slid();
        self.latest = time.max(self.latest);
        self.stats.fresh += 1;
        self.stats.evicted += 1;
        let slot = self.next_slot();
        self.write(slot, id, self.latest);
        if self.era.next() & self.terms.upkeep == 0 {
            self.upkeep(slot, id);
        }
        self.invariants();
        true
    }

    /// What does not have to be done for every new id of every window that slides.
    #[inline(never)]
    fn upkeep(&mut self, slot: usize, id: Fingerprint) {
        self.write_rest(slot, id, self.latest);
        self.refresh();
    }

    /// [`insert`](State::insert) where anything may have to be done.
    #[inline(never)]
    fn insert_anywhere(&mut self, id: Fingerprint, now: Instant) -> Sighting {
        let (home, now) = (self.home(id), self.observe(now));
        let found = self.find_at(id, home);
        if let Some(first_seen) = found.and_then(|found| self.see_again(found, now)) {
            self.invariants();
            return Sighting::Duplicate { first_seen };
        }
        self.stats.fresh += 1;
        self.append(id, home, now);
        self.tidy();
        self.invariants();
        Sighting::Fresh
    }

    /// [`insert`](State::insert) of many ids, in order: `each` is told the answers. Their places are looked
    /// up together, so that the memory is waited for once for many.
    #[inline]
    pub fn insert_all(
        &mut self,
        ids: &[Fingerprint],
        now: Instant,
        mut each: impl FnMut(Sighting),
    ) {
        for ids in ids.chunks(AT_ONCE) {
            self.prepare(ids.iter().copied());
            for &id in ids {
                each(self.insert(id, now));
            }
        }
    }

    /// When an id was first seen, if it is remembered. Records nothing, the time included: it may be gone at one
    /// time, and be there when asked for with an earlier one, if nothing else has come in between.
    pub fn first_seen(&self, id: Fingerprint, now: Instant) -> Option<Instant> {
        let now = self.count(now);
        self.find(id).map(|found| found.slot).and_then(|slot| {
            let is_over = self.is_over(self.time(slot), now);
            (!is_over).then(|| self.shown(self.record(slot).first))
        })
    }

    /// Forgets an id. Says whether it was remembered.
    pub fn forget(&mut self, id: Fingerprint, now: Instant) -> bool {
        let now = self.observe(now);
        let Some(found) = self.find(id) else { return false };
        let was_there = !self.is_over(self.time(found.slot), now);
        if was_there {
            self.stats.forgotten += 1;
        } else {
            self.stats.expired += 1;
        }
        self.dig(found);
        self.beside.gone(found.slot);
        self.invariants();
        was_there
    }

    /// Forgets all ids. What was counted stays.
    pub fn clear(&mut self) {
        for position in 0..self.era.span() {
            let slot = self.slot(position);
            if self.time(slot) != ring::HOLE {
                self.beside.gone(slot);
            }
        }
        self.memory.lines_mut().fill(Line::EMPTY);
        self.era = Era::new(self.terms.tag_bits);
        (self.live, self.stale, self.push) = (0, 0, None);
        (self.due, self.slides_until) = (u64::MAX, 0);
        self.invariants();
    }

    /// How many ids are remembered. Records nothing, the time included.
    ///
    /// Ids whose time is over and that are still in the ring are passed over one by one: there are some
    /// only after a silence.
    pub fn len(&self, now: Instant) -> usize {
        let now = self.count(now);
        let times = (0..self.era.span()).map(|position| self.time(self.slot(position)));
        let over = times.take_while(|&time| time == ring::HOLE || self.is_over(time, now));
        // OK: those that are over live in the ring.
        self.live as usize - over.filter(|&time| time != ring::HOLE).count()
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self, now: Instant) -> bool {
        self.len(now) == 0
    }

    /// What was counted since it was made.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Its own count of the clock's time, and never back.
    #[inline]
    pub(crate) fn count(&self, now: Instant) -> u64 {
        // The end of time is never; what is seen then was seen a nanosecond before.
        now.as_nanos().saturating_add(self.ahead).min(ring::HOLE - 1).max(self.latest)
    }

    /// The clock's time of its own count.
    #[inline]
    pub(crate) const fn shown(&self, time: u64) -> Instant {
        Instant::from_nanos(time.saturating_sub(self.ahead))
    }

    #[inline]
    fn is_over(&self, time: u64, now: u64) -> bool {
        // OK: D2, and now is the latest.
        now - time >= self.terms.ttl
    }

    /// The time is now: some of those whose time is over leave.
    #[inline]
    fn observe(&mut self, now: Instant) -> u64 {
        let now = self.count(now);
        self.latest = now;
        if now >= self.due {
            self.let_go();
        }
        now
    }

    #[cold]
    fn let_go(&mut self) {
        self.set_due();
        for _ in 0..LEAVING {
            if self.latest < self.due {
                break;
            }
            self.expel();
        }
    }

    /// The oldest position leaves; all of the run, if it is a hole.
    fn expel(&mut self) {
        if self.due == ring::DUE_HOLE {
            self.pop(self.holes());
        } else {
            self.leaves();
            self.live -= 1;
            self.pop(1);
        }
    }

    /// The oldest id leaves, because its time is over or for another.
    #[inline]
    fn leaves(&mut self) {
        if self.latest >= self.due && self.is_over(self.time(self.head()), self.latest) {
            self.stats.expired += 1;
        } else {
            self.stats.evicted += 1;
        }
        self.beside.gone(self.head());
    }

    /// An id that was found is seen: when it was first seen, unless its time was over.
    #[inline]
    fn see_again(&mut self, found: Found, now: u64) -> Option<Instant> {
        let Found { slot, .. } = found;
        if self.is_over(self.time(slot), now) {
            self.stats.expired += 1;
            self.dig(found);
            self.beside.gone(slot);
            return None;
        }
        self.stats.duplicates += 1;
        if !self.terms.renews {
            return Some(self.shown(self.time(slot)));
        }
        let record = self.record(slot);
        self.dig(found);
        self.append_record(Some(slot), Record { time: now, ..record });
        Some(self.shown(record.first))
    }

    /// Whether the window is full and without holes, so that for the next id the oldest leaves, and nothing
    /// else; and the oldest is not over.
    fn slides(&self) -> bool {
        let is_full = self.live == self.terms.capacity && self.era.span() == self.live;
        is_full && self.push.is_none() && self.live > 1 && self.latest < self.due
    }

    /// A new id at the end. Returns its slot. The caller [tidies](State::tidy) when nothing is left to be
    /// done with it.
    #[inline(never)]
    fn append(&mut self, id: Fingerprint, home: Home, now: u64) -> usize {
        while self.live == self.terms.capacity || self.era.span() == self.terms.places {
            self.expel();
        }
        if self.era.span() == 0 {
            self.due = self.latest.saturating_add(self.terms.ttl);
        }
        self.live += 1;
        let slot = self.add(id, home, now);
        self.slides_until = if self.slides() { self.due } else { 0 };
        slot
    }

    /// Takes the next position, of which there is one. Returns its slot.
    fn add(&mut self, id: Fingerprint, home: Home, now: u64) -> usize {
        let slot = self.next_slot();
        let entry = home.tag | self.era.advance();
        let era = self.era;
        self.write(slot, id, now);
        self.write_rest(slot, id, now);
        if !self.memory.lines_mut()[home.line].put(entry, era) {
            self.link_after(entry, home.line);
        }
        slot
    }

    /// The slot of the next position, which is taken.
    #[inline]
    fn next_slot(&mut self) -> usize {
        let slot = self.tail;
        self.tail = if slot + 1 == self.terms.places { 0 } else { slot + 1 };
        // OK: a slot.
        slot as usize
    }

    /// The same with all that is known of it, which may have been in another slot.
    #[cold]
    fn append_record(&mut self, from: Option<usize>, record: Record) -> usize {
        let slot = self.append(record.id, self.home(record.id), record.time);
        self.write_record(slot, record);
        if let Some(from) = from {
            self.beside.moved(from, slot);
        }
        self.tidy();
        self.invariants();
        slot
    }

    /// What whoever came owes to those to come: D5 and D6.
    #[inline]
    fn tidy(&mut self) {
        self.refresh();
        if self.era.span() > self.terms.crowded || self.push.is_some() {
            self.push_holes();
        }
    }

    /// Once in a while, a line is refreshed.
    fn refresh(&mut self) {
        if self.era.next() & self.terms.pause == 0 {
            let (stale, era) = (self.stale as usize, self.era);
            self.memory.lines_mut()[stale].refresh(era);
            self.stale = if self.stale + 1 == self.terms.lines { 0 } else { self.stale + 1 };
        }
    }

    #[inline]
    const fn home(&self, id: Fingerprint) -> Home {
        Home { line: id.home(self.terms.lines), tag: id.tag(self.era.tags()) }
    }

    /// Where an id is. Its time may be over.
    #[inline]
    fn find(&self, id: Fingerprint) -> Option<Found> {
        self.find_at(id, self.home(id))
    }

    #[inline]
    fn find_at(&self, id: Fingerprint, home: Home) -> Option<Found> {
        if let Some(found) = self.find_in(id, home) {
            return Some(found);
        }
        let spills = self.memory.lines()[home.line].spills(self.era);
        if spills { self.find_after(id, home) } else { None }
    }

    #[inline]
    fn find_in(&self, id: Fingerprint, Home { line, tag }: Home) -> Option<Found> {
        let entries = &self.memory.lines()[line];
        // Most lines do not have an id that is new, and four comparisons at once say so.
        if !entries.may_have(tag, self.era.tags()) {
            return None;
        }
        entries.lanes(tag, self.era.tags()).find_map(|lane| {
            let slot = self.slot(self.era.position(entries.entry(lane))?);
            self.is_of(slot, id).then_some(Found { line, lane, slot })
        })
    }

    /// In the lines after the first.
    #[cold]
    fn find_after(&self, id: Fingerprint, home: Home) -> Option<Found> {
        let Home { mut line, tag } = home;
        for _ in 1..self.terms.lines {
            line = self.line_after(line);
            if let Some(found) = self.find_in(id, Home { line, tag }) {
                return Some(found);
            }
            if !self.memory.lines()[line].spills(self.era) {
                break;
            }
        }
        None
    }

    /// Adds an entry, whose stamp lives already, to the lines after the first.
    #[cold]
    fn link_after(&mut self, entry: u32, home: usize) {
        let (era, mut line) = (self.era, home);
        for _ in 1..self.terms.lines {
            self.memory.lines_mut()[line].spill(entry, era);
            line = self.line_after(line);
            if self.memory.lines_mut()[line].put(entry, era) {
                return;
            }
        }
        debug_assert!(false, "there are more lanes than ids");
    }

    /// Makes a hole of an id's position.
    fn dig(&mut self, found: Found) {
        let dead = self.era.dead();
        self.memory.lines_mut()[found.line].set(found.lane, dead);
        self.bore_run(found.slot);
        self.live -= 1;
        self.slides_until = 0;
        if found.slot == self.head() {
            self.due = ring::DUE_HOLE;
        }
    }

    #[inline]
    const fn line_after(&self, line: usize) -> usize {
        if line + 1 == self.terms.lines as usize { 0 } else { line + 1 }
    }

    /// Touches the lines of some ids, so that they are on their way together.
    #[inline]
    fn prepare(&self, ids: impl Iterator<Item = Fingerprint>) {
        let lines = self.memory.lines();
        let touched = ids.map(|id| lines[id.home(self.terms.lines)].entry(0));
        core::hint::black_box(touched.fold(0, |all, entry| all ^ entry));
    }
}

impl<M, B> fmt::Debug for State<M, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("capacity", &self.terms.capacity)
            .field("ids", &self.live)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use core::mem::{offset_of, size_of};

    use super::{Era, State, Stats};

    #[test]
    fn what_is_written_as_a_window_slides_is_on_the_cache_line_of_the_lock_in_front_of_it() {
        const LOCK: usize = 8;
        let stats = offset_of!(State, stats);
        let ends = [
            offset_of!(State, latest) + size_of::<u64>(),
            offset_of!(State, slides_until) + size_of::<u64>(),
            offset_of!(State, era) + size_of::<Era>(),
            offset_of!(State, tail) + size_of::<u32>(),
            stats + offset_of!(Stats, fresh) + size_of::<u64>(),
            stats + offset_of!(Stats, evicted) + size_of::<u64>(),
        ];
        assert!(ends.iter().all(|end| LOCK + end <= 64), "{ends:?}");
    }
}
