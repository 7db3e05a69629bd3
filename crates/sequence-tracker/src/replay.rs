//! The pure replay window: which of the last numbers have been seen.
//!
//! ```text
//!         word 0            word 1                    word N - 1
//!  ┌─────────────────┬─────────────────┬─ ─ ─ ─┬─────────────────┐
//!  │ 0 … 63          │ 64 … 127        │       │ … 64·N - 1      │   number mod 64·N
//!  └─────────────────┴─────────────────┴─ ─ ─ ─┴─────────────────┘
//!       ▲ right edge │ the numbers after it, 64·N lower, are the oldest in the window
//! ```
//!
//! A number's bit stays where it is: sliding moves the edge and clears the bits in between (RFC 6479,
//! by bits instead of blocks, so that the window is exactly as wide as its memory).
//!
//! | number | when | answer | becomes |
//! |---|---|---|---|
//! | any | nothing seen yet | fresh | the edge |
//! | above the edge | | fresh | the edge; the bits in between are cleared |
//! | edge - number ≥ 64·N | | too old | – |
//! | otherwise | its bit is set | duplicate | – |
//! | otherwise | | fresh | its bit is set |
//!
//! Invariants:
//! - **R1** The edge never goes back; its bit is set.
//! - **R2** A bit is set if and only if its number within the window was recorded.

use core::fmt;

/// What a number is to a replay window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Not seen before.
    Fresh,
    /// Seen before.
    Duplicate,
    /// So far behind the right edge that nobody knows.
    TooOld,
}

impl Freshness {
    /// Whether it was not seen before.
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh)
    }
}

/// A sliding window over the last `64 × WORDS` numbers, for a single owner. At most 256 words.
///
/// [`check`](Self::check) says what a number is without recording it: a packet whose number is fresh
/// is authenticated first, and [recorded](Self::record) then. Otherwise a forged packet could move the
/// window.
///
/// # Examples
///
/// ```
/// use steadfast_sequence_tracker::{Freshness, ReplayWindow};
///
/// let mut window = ReplayWindow::<1>::new();
/// assert_eq!(window.record(100), Freshness::Fresh);
/// assert_eq!(window.record(98), Freshness::Fresh);
/// assert_eq!(window.record(98), Freshness::Duplicate);
/// assert_eq!(window.check(36), Freshness::TooOld, "64 below the edge");
/// assert_eq!(window.check(37), Freshness::Fresh);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ReplayWindow<const WORDS: usize> {
    edge: u64,
    is_empty: bool,
    words: [u64; WORDS],
}

impl<const WORDS: usize> Default for ReplayWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// How many numbers the window covers.
    // OK: at most 2¹⁴.
    pub const WINDOW: u64 = 64 * WORDS as u64;

    /// An empty window. No or more than 256 words do not compile.
    pub const fn new() -> Self {
        const { assert!(WORDS > 0 && WORDS <= 256, "a window of 1 to 256 words") };
        Self { edge: 0, is_empty: true, words: [0; WORDS] }
    }

    /// Says what `number` is, and remembers it if it is fresh.
    #[inline]
    pub fn record(&mut self, number: u64) -> Freshness {
        let freshness = self.check(number);
        if freshness.is_fresh() {
            if self.is_empty || number > self.edge {
                self.advance(number);
            }
            let (word, bit) = Self::place(number);
            self.words[word] |= bit;
        }
        freshness
    }

    /// Says what `number` is, and changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_sequence_tracker::{Freshness, ReplayWindow};
    ///
    /// let mut window = ReplayWindow::<2>::new();
    /// assert_eq!(window.check(1_000_000), Freshness::Fresh);
    /// // Authentication fails: it is not recorded, and has not moved the window.
    /// assert_eq!(window.record(5), Freshness::Fresh);
    /// ```
    #[inline]
    pub fn check(&self, number: u64) -> Freshness {
        if self.is_empty || number > self.edge {
            return Freshness::Fresh;
        }
        // OK: not above the edge.
        if self.edge - number >= Self::WINDOW {
            return Freshness::TooOld;
        }
        let (word, bit) = Self::place(number);
        if self.words[word] & bit != 0 { Freshness::Duplicate } else { Freshness::Fresh }
    }

    /// The highest number recorded, if there is one.
    pub const fn right_edge(&self) -> Option<u64> {
        if self.is_empty { None } else { Some(self.edge) }
    }

    /// Forgets everything: a new key, a new connection.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Moves the edge to a number above it.
    #[inline]
    fn advance(&mut self, number: u64) {
        // OK: above the edge.
        if self.is_empty || number - self.edge >= Self::WINDOW {
            self.words = [0; WORDS];
        } else if number - self.edge > 1 {
            self.clear_between(self.edge + 1, number);
        }
        (self.edge, self.is_empty) = (number, false);
    }

    /// Clears the bits from `first` up to `end`, which is less than a window above it.
    fn clear_between(&mut self, first: u64, end: u64) {
        let mut number = first;
        while number < end {
            let (word, _) = Self::place(number);
            let low = number % 64;
            // OK: the numbers of a word end with it, or with the largest of all.
            let upto = (number | 63).min(end - 1) % 64;
            self.words[word] &= !((u64::MAX >> (63 - upto)) & (u64::MAX << low));
            match (number | 63).checked_add(1) {
                Some(next) => number = next,
                None => return,
            }
        }
    }

    #[inline]
    fn place(number: u64) -> (usize, u64) {
        // OK: below the number of words.
        ((number / 64 % WORDS as u64) as usize, 1 << (number % 64))
    }
}

impl<const WORDS: usize> fmt::Debug for ReplayWindow<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        f.debug_struct("ReplayWindow")
            .field("right_edge", &self.right_edge())
            .field("seen", &seen)
            .finish()
    }
}
