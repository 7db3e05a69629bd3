//! A line of the index: 15 entries and a header, one cache line.
//!
//! ```text
//!  entry   31                         0      header   31                  3    0
//!         ┌─────────────────┬──────────┐             ┌─────────────────┬───┬────┐
//!         │ stamp           │ tag      │             │ stamp           │ – │lane│
//!         └─────────────────┴──────────┘             └─────────────────┴───┴────┘
//! ```
//!
//! - *stamp*: which position of the ring the entry is about, counted on and on and cut to its bits.
//!   Positions from the oldest to the newest live; every other stamp is dead, and its lane is free.
//!   So nothing has to be removed when the oldest position leaves. It stands above the tag, so that whether it
//!   lives is a subtraction and a comparison of the whole entry: what is below does not change the answer.
//! - *tag*: bits of the fingerprint, so that few entries of other ids have to be looked at.
//! - The header's *stamp*: the newest position whose entry did not find a lane here. While it lives, the
//!   search goes on in the next line.
//! - *lane*: which is likely to be free; they die in the order in which they were used.

/// How many entries a line has.
pub(crate) const LANES: usize = 15;
/// A stamp may have as many bits as are left beside a lane.
pub(crate) const MOST_BITS: u32 = 28;
const HEADER: usize = LANES;
/// The bits of a lane, in the header.
const LANE: u32 = 15;

/// A cache line of the index: what [`Fixed`](crate::Fixed) memory consists of, beside words.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Line([u32; LANES + 1]);

/// Which stamps live. A stamp stands where it does in an entry, with zeros for the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era {
    /// From one stamp to the next; the bits below are a tag's.
    one: u32,
    /// The stamp of the oldest position, or the next if there is none.
    oldest: u32,
    /// From the oldest position's to the next one's.
    reach: u32,
}

impl Era {
    /// There is no position yet; stamps stand above so many bits.
    pub(super) const fn new(tag_bits: u32) -> Self {
        Self { one: 1 << tag_bits, oldest: 0, reach: 0 }
    }

    /// The bits of a tag.
    #[inline]
    pub(super) const fn tags(self) -> u32 {
        // OK: it is not zero.
        self.one - 1
    }

    /// How many positions there are.
    #[inline]
    pub(super) const fn span(self) -> u32 {
        self.reach >> self.one.trailing_zeros()
    }

    /// How many positions a stamp is after the oldest.
    #[inline]
    pub(super) const fn age(self, entry: u32) -> u32 {
        entry.wrapping_sub(self.oldest) >> self.one.trailing_zeros()
    }

    #[inline]
    pub(super) const fn oldest(self) -> u32 {
        self.oldest
    }

    /// The next position is there: its stamp.
    #[inline]
    pub(super) const fn advance(&mut self) -> u32 {
        let stamp = self.next();
        // OK: there are fewer positions than stamps.
        self.reach += self.one;
        stamp
    }

    /// The stamp of the next position.
    #[inline]
    pub(super) const fn next(self) -> u32 {
        self.oldest.wrapping_add(self.reach)
    }

    /// So many of the oldest positions leave, of which there are as many.
    #[inline]
    pub(super) const fn leave(&mut self, positions: u32) {
        // OK: as many positions have stamps.
        let gone = positions << self.one.trailing_zeros();
        self.oldest = self.oldest.wrapping_add(gone);
        self.reach -= gone;
    }

    /// When the oldest position has left and the next is there.
    #[inline]
    pub(super) const fn slid(self) -> Self {
        Self { oldest: self.oldest.wrapping_add(self.one), ..self }
    }

    /// The position of an entry that lives, counted from the oldest.
    #[inline]
    pub(super) const fn position(self, entry: u32) -> Option<u32> {
        if self.is_dead(entry) { None } else { Some(self.age(entry)) }
    }

    #[inline]
    pub(super) const fn is_dead(self, entry: u32) -> bool {
        entry.wrapping_sub(self.oldest) >= self.reach
    }

    /// The stamp of a position.
    #[inline]
    pub(super) const fn stamp(self, position: u32) -> u32 {
        self.oldest.wrapping_add(position << self.one.trailing_zeros())
    }

    /// The stamp of the position before.
    #[inline]
    pub(super) const fn before(self, stamp: u32) -> u32 {
        stamp.wrapping_sub(self.one)
    }

    /// The stamp of the position after.
    #[inline]
    pub(super) const fn after(self, stamp: u32) -> u32 {
        stamp.wrapping_add(self.one)
    }

    /// A stamp that will be dead for the longest.
    #[inline]
    pub(super) const fn dead(self) -> u32 {
        self.before(self.oldest)
    }
}

impl Line {
    /// No entry, in a window that has not begun: all stamps are [dead](Era::dead).
    pub(crate) const EMPTY: Self = {
        let mut line = Self([u32::MAX; LANES + 1]);
        line.0[HEADER] = !LANE;
        line
    };

    /// Whether an entry may have a tag: never wrong if it says no.
    #[inline]
    pub(super) fn may_have(&self, tag: u32, tags: u32) -> bool {
        // Four at a time, as vectors are; the header is compared as well, in vain.
        let mut any = [0; 4];
        for four in self.0.chunks_exact(4) {
            for (any, &entry) in any.iter_mut().zip(four) {
                *any |= u32::from(entry & tags == tag);
            }
        }
        any[0] | any[1] | any[2] | any[3] != 0
    }

    /// The lanes whose entries have a tag.
    pub(super) fn lanes(&self, tag: u32, tags: u32) -> impl Iterator<Item = usize> {
        (0..LANES).filter(move |&lane| self.0[lane] & tags == tag)
    }

    #[inline]
    pub(super) const fn entry(&self, lane: usize) -> u32 {
        self.0[lane]
    }

    #[inline]
    pub(super) const fn set(&mut self, lane: usize, entry: u32) {
        self.0[lane] = entry;
    }

    /// Puts the entry of a new id into the lane that is likely to be free: unless it may be that the id is
    /// here already, or the lane is not free then.
    #[inline(always)]
    pub(super) fn slide(&mut self, tag: u32, era: Era) -> bool {
        if self.may_have(tag, era.tags()) || self.spills(era) {
            return false;
        }
        let lane = self.likely();
        let is_free = era.slid().is_dead(self.0[lane]);
        if is_free {
            self.put_into(lane, era.next() | tag);
        }
        is_free
    }

    /// Puts an entry into a lane that is free.
    #[inline]
    pub(super) fn put(&mut self, entry: u32, era: Era) -> bool {
        let lane = self.likely();
        if era.is_dead(self.0[lane]) {
            self.put_into(lane, entry);
            return true;
        }
        self.put_anywhere(entry, era)
    }

    /// The lane that is likely to be free.
    #[inline]
    const fn likely(&self) -> usize {
        // OK: four bits; never the header's own.
        (self.0[HEADER] & LANE) as usize
    }

    #[cold]
    fn put_anywhere(&mut self, entry: u32, era: Era) -> bool {
        let lane = self.0[..LANES].iter().position(|&entry| era.is_dead(entry));
        lane.map(|lane| self.put_into(lane, entry)).is_some()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a lane is below 15")]
    const fn put_into(&mut self, lane: usize, entry: u32) {
        // OK: a lane is below 15.
        let next = if lane + 1 < LANES { lane as u32 + 1 } else { 0 };
        let header = self.0[HEADER] & !LANE | next;
        self.0[lane] = entry;
        self.0[HEADER] = header;
    }

    /// Whether an entry that belongs here may be in the next line.
    #[inline]
    pub(super) const fn spills(&self, era: Era) -> bool {
        !era.is_dead(self.0[HEADER])
    }

    /// An entry with this stamp goes to the next line.
    pub(super) const fn spill(&mut self, stamp: u32, era: Era) {
        let header = self.0[HEADER];
        if era.is_dead(header) || era.age(stamp) > era.age(header) {
            self.0[HEADER] = stamp & !era.tags() | header & LANE;
        }
    }

    /// Makes all that is dead stay so for as long as possible.
    #[inline]
    pub(super) fn refresh(&mut self, era: Era) {
        let lane = self.0[HEADER] & LANE;
        for entry in &mut self.0 {
            *entry = if era.is_dead(*entry) { era.dead() } else { *entry };
        }
        self.0[HEADER] |= lane;
    }
}
