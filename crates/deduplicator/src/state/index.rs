//! A line of the index: 15 entries and a header, one cache line.
//!
//! ```text
//!  entry   31        bits of the mask        0      header   31    28            bits of the mask   0
//!         ┌─────────┬─────────────────────────┐             ┌────────┬─────┬─────────────────────────┐
//!         │ tag     │ stamp                   │             │ lane   │ 0   │ stamp                   │
//!         └─────────┴─────────────────────────┘             └────────┴─────┴─────────────────────────┘
//! ```
//!
//! - *stamp*: which position of the ring the entry is about, counted on and on and cut to the bits of the
//!   mask. Positions from the oldest to the newest live; every other stamp is dead, and its lane is free.
//!   So nothing has to be removed when the oldest position leaves.
//! - *tag*: bits of the fingerprint, so that few entries of other ids have to be looked at.
//! - The header's *stamp*: the newest position whose entry did not find a lane here. While it lives, the
//!   search goes on in the next line.
//! - *lane*: which is likely to be free; they die in the order in which they were used.

/// How many entries a line has.
pub(crate) const LANES: usize = 15;
/// The mask may have as many bits as are left beside a lane.
pub(crate) const MOST_BITS: u32 = 28;
const HEADER: usize = LANES;

/// A cache line of the index: what [`Fixed`](crate::Fixed) memory consists of, beside words.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Line([u32; LANES + 1]);

/// Which stamps live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era {
    pub(super) mask: u32,
    /// The stamp of the next position, all bits of it: the mask has yet to be laid on.
    pub(super) next: u32,
    /// How many positions there are.
    pub(super) span: u32,
}

impl Era {
    /// How many positions a stamp is after the oldest.
    #[inline]
    pub(super) const fn age(self, entry: u32) -> u32 {
        entry.wrapping_sub(self.oldest()) & self.mask
    }

    /// The stamp of the oldest position, or the next if there is none.
    #[inline]
    pub(super) const fn oldest(self) -> u32 {
        self.next.wrapping_sub(self.span) & self.mask
    }

    /// The next position is there: its stamp.
    #[inline]
    pub(super) const fn advance(&mut self) -> u32 {
        let stamp = self.next & self.mask;
        self.next = self.next.wrapping_add(1);
        stamp
    }

    /// The position of an entry that lives, counted from the oldest.
    #[inline]
    pub(super) const fn position(self, entry: u32) -> Option<u32> {
        let age = self.age(entry);
        if age < self.span { Some(age) } else { None }
    }

    #[inline]
    pub(super) const fn is_dead(self, entry: u32) -> bool {
        self.age(entry) >= self.span
    }

    /// The stamp of a position.
    #[inline]
    pub(super) const fn stamp(self, position: u32) -> u32 {
        self.oldest().wrapping_add(position) & self.mask
    }

    /// A stamp that will be dead for the longest.
    #[inline]
    pub(super) const fn dead(self) -> u32 {
        self.oldest().wrapping_sub(1) & self.mask
    }
}

impl Line {
    /// No entry, in a window that has not begun: all stamps are [dead](Era::dead).
    pub(crate) const EMPTY: Self = {
        let mut line = Self([u32::MAX; LANES + 1]);
        line.0[HEADER] = (1 << MOST_BITS) - 1;
        line
    };

    /// Whether an entry may have a tag: never wrong if it says no.
    #[inline]
    pub(super) fn may_have(&self, tag: u32, mask: u32) -> bool {
        // Four at a time, as vectors are; the header is compared as well, in vain.
        let mut any = [0; 4];
        for four in self.0.chunks_exact(4) {
            for (any, &entry) in any.iter_mut().zip(four) {
                *any |= u32::from(entry & !mask == tag);
            }
        }
        any[0] | any[1] | any[2] | any[3] != 0
    }

    /// The lanes whose entries have a tag.
    pub(super) fn lanes(&self, tag: u32, mask: u32) -> impl Iterator<Item = usize> {
        (0..LANES).filter(move |&lane| self.0[lane] & !mask == tag)
    }

    #[inline]
    pub(super) const fn entry(&self, lane: usize) -> u32 {
        self.0[lane]
    }

    #[inline]
    pub(super) const fn set(&mut self, lane: usize, entry: u32) {
        self.0[lane] = entry;
    }

    /// Puts an entry into a lane that is free.
    #[inline]
    pub(super) fn put(&mut self, entry: u32, era: Era) -> bool {
        // OK: four bits; never the header's own.
        let lane = (self.0[HEADER] >> MOST_BITS) as usize;
        if era.is_dead(self.0[lane]) {
            self.put_into(lane, entry);
            return true;
        }
        self.put_anywhere(entry, era)
    }

    #[cold]
    fn put_anywhere(&mut self, entry: u32, era: Era) -> bool {
        let lane = self.0[..LANES].iter().position(|&entry| era.is_dead(entry));
        lane.map(|lane| self.put_into(lane, entry)).is_some()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a lane is below 15")]
    const fn put_into(&mut self, lane: usize, entry: u32) {
        let header = self.0[HEADER] & ((1 << MOST_BITS) - 1);
        self.0[lane] = entry;
        // OK: a lane is below 15.
        let next = if lane + 1 < LANES { lane as u32 + 1 } else { 0 };
        self.0[HEADER] = header | next << MOST_BITS;
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
            self.0[HEADER] = header >> MOST_BITS << MOST_BITS | stamp;
        }
    }

    /// Makes all that is dead stay so for as long as possible.
    pub(super) fn refresh(&mut self, era: Era) {
        for entry in &mut self.0[..LANES] {
            if era.is_dead(*entry) {
                *entry = era.dead();
            }
        }
        let header = self.0[HEADER];
        if era.is_dead(header) {
            self.0[HEADER] = header >> MOST_BITS << MOST_BITS | era.dead();
        }
    }
}
