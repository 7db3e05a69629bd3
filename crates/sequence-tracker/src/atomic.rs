//! The replay window that many receivers share.
//!
//! ```text
//!  word    63                           8 7          0
//!         ┌──────────────────────────────┬────────────┐
//!         │ round                        │ seen       │   × WORDS
//!         └──────────────────────────────┴────────────┘
//!  number = (round × WORDS + turn of the word) × 8 + bit
//! ```
//!
//! A word covers 8 numbers in a row, and says which ones: *round* is how many times the words have been
//! used up to them. Nothing of that is cut off, so a word of another round is always told apart, however
//! far a jump was: a jump moves one word and clears nothing.
//!
//! Words whose turns follow each other are a cache line apart, so that receivers who take a few numbers
//! each do not write to the same line.
//!
//! *Top* is the highest block of 8 numbers that is known, plus 1; it only grows, and follows the words:
//! whoever finds a word that is ahead of it moves it on. The right edge is the highest bit of the word of
//! the top.
//!
//! Invariants:
//! - **W1** A word's round never goes back, and within a round bits are only set: so each number is
//!   fresh once.
//! - **W2** A word is of a round below the current one only if none of its numbers of the current round
//!   has come.

use core::{cmp, fmt};

use steadfast_core::sync::atomic::{AtomicU64, Ordering};
use steadfast_core::sync::zeros;
use steadfast_core::{Step, const_unless_loom, update};

use crate::replay::Freshness;

/// How many numbers a word covers.
const NUMBERS: u64 = 8;
/// Which of them have come.
const SEEN: u64 = (1 << NUMBERS) - 1;

/// A sliding window over the last `8 × (WORDS - 1)` numbers, for any number of threads at once. 33
/// (256 numbers) to 2,049 words (16,384 numbers).
///
/// It is lock-free: each number takes one compare-and-swap, and is fresh for one caller, however they
/// interleave. The right edge never goes back.
///
/// # Memory ordering
///
/// Whatever happened before a number was recorded is visible to whoever is told that it is a duplicate.
///
/// # Examples
///
/// ```
/// use steadfast_sequence_tracker::{Freshness, SharedReplayWindow};
///
/// static SEEN: SharedReplayWindow<33> = SharedReplayWindow::new();
///
/// assert_eq!(SEEN.check(7), Freshness::Fresh);
/// std::thread::scope(|scope| {
///     let threads = [(); 2].map(|()| scope.spawn(|| SEEN.record(7).is_fresh()));
///     let fresh = threads.map(|thread| thread.join().unwrap());
///     assert!(fresh[0] ^ fresh[1], "for one of them");
/// });
/// ```
pub struct SharedReplayWindow<const WORDS: usize> {
    words: [AtomicU64; WORDS],
    /// The highest block, plus 1; 0 if nothing has come.
    top: Alone,
}

/// On a cache line of its own: everybody reads the top.
#[repr(align(64))]
struct Alone(AtomicU64);

impl<const WORDS: usize> SharedReplayWindow<WORDS> {
    /// How many numbers the window covers.
    // OK: at most 2¹⁴.
    pub const WINDOW: u64 = NUMBERS * (WORDS as u64 - 1);

    const_unless_loom! {
        /// An empty window. Too few or too many words do not compile.
        pub const fn new() -> Self {
            // A round has to fit beside the 8 bits: 2⁶⁴ / (8 × 33) < 2⁵⁶.
            const { assert!(WORDS >= 33 && WORDS <= 2_049, "a window of 33 to 2,049 words") };
            Self { words: zeros(), top: Alone(AtomicU64::new(0)) }
        }
    }

    /// Says what `number` is, and remembers it if it is fresh.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_sequence_tracker::SharedReplayWindow;
    ///
    /// static WINDOW: SharedReplayWindow<33> = SharedReplayWindow::new();
    ///
    /// let fresh = std::thread::scope(|scope| {
    ///     let receivers = [0; 4].map(|_| scope.spawn(|| WINDOW.record(7)));
    ///     receivers.map(|receiver| receiver.join().unwrap()).iter().filter(|seen| seen.is_fresh()).count()
    /// });
    /// assert_eq!(fresh, 1, "to one of them");
    /// ```
    #[inline]
    pub fn record(&self, number: u64) -> Freshness {
        let place = Place::<WORDS>::of(number);
        let top = self.top();
        if place.is_below(top) || (place.is_lowest(top) && self.is_too_old(number)) {
            return Freshness::TooOld;
        }
        let seen = update(&self.words[place.index], |word| match place.look(word) {
            // RACE: the word may have moved on since the top was looked at. Model:
            // `number_is_fresh_once`.
            Seen::Later => Step::Keep(Err(word)),
            Seen::Yes => Step::Keep(Ok(Freshness::Duplicate)),
            Seen::No(next) => Step::Replace(next, Ok(Freshness::Fresh)),
        });
        match seen {
            Ok(freshness) => {
                if place.block >= top {
                    // RACE: also of a duplicate, as the other one may not have done it yet. Model:
                    // `a_duplicate_is_not_above_the_edge`.
                    self.raise_top(place.block);
                }
                freshness
            }
            Err(word) => {
                // So that the edge explains the answer.
                self.raise_top(place.block_in(word));
                Freshness::TooOld
            }
        }
    }

    /// Says what `number` is, and changes nothing.
    #[inline]
    pub fn check(&self, number: u64) -> Freshness {
        let place = Place::<WORDS>::of(number);
        let top = self.top();
        if place.is_below(top) || (place.is_lowest(top) && self.is_too_old(number)) {
            return Freshness::TooOld;
        }
        let word = self.word(place.index);
        match place.look(word) {
            Seen::Later => {
                self.raise_top(place.block_in(word));
                Freshness::TooOld
            }
            Seen::Yes => {
                if place.block >= top {
                    // RACE: as in `record`. Model: `a_checked_duplicate_is_not_above_the_edge`.
                    self.raise_top(place.block);
                }
                Freshness::Duplicate
            }
            Seen::No(_) => Freshness::Fresh,
        }
    }

    /// The highest number recorded, if there is one.
    pub fn right_edge(&self) -> Option<u64> {
        loop {
            let block = self.top().checked_sub(1)?;
            let place = Place::<WORDS>::of_block(block);
            let word = self.word(place.index);
            let known = place.block_in(word);
            if known == block {
                // OK: the word of the top has a bit.
                return Some(block * NUMBERS + u64::from((word & SEEN).ilog2()));
            }
            // RACE: the word is ahead of the top. Whoever looks next must not see an edge before it.
            // Model: `right_edge_never_goes_back`.
            self.raise_top(known);
        }
    }

    /// Forgets everything: a new key, a new connection. Whoever clears it is its only owner then; where
    /// others are still at it, give them a new window.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Whether a number of the lowest block of which some are in the window is not in it.
    #[cold]
    fn is_too_old(&self, number: u64) -> bool {
        self.right_edge().is_some_and(|edge| edge.saturating_sub(number) >= Self::WINDOW)
    }

    fn raise_top(&self, block: u64) {
        update(&self.top.0, |top| {
            if top > block { Step::Keep(()) } else { Step::Replace(block + 1, ()) }
        });
    }

    #[inline]
    fn top(&self) -> u64 {
        // ORDERING: Acquire partners with the Release of `raise_top`: the word of the top block is seen
        // with its bit.
        self.top.0.load(Ordering::Acquire)
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        // ORDERING: Acquire partners with the Release of `record`: what happened before a number was
        // recorded is visible to whoever sees it recorded.
        self.words[index].load(Ordering::Acquire)
    }
}

impl<const WORDS: usize> Default for SharedReplayWindow<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> fmt::Debug for SharedReplayWindow<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReplayWindow")
            .field("right_edge", &self.right_edge())
            .finish_non_exhaustive()
    }
}

/// Where a number is.
#[derive(Clone, Copy)]
struct Place<const WORDS: usize> {
    block: u64,
    index: usize,
    round: u64,
    bit: u64,
}

/// What a word says of a number.
enum Seen {
    Yes,
    /// And the word in which it is.
    No(u64),
    /// The word is about later numbers.
    Later,
}

impl<const WORDS: usize> Place<WORDS> {
    /// From one turn to the next: at least a cache line, and each word has a turn.
    const STRIDE: u64 = {
        let mut stride = 8;
        // OK: at most 2¹¹ words.
        while !are_coprime(stride, WORDS as u64) {
            stride += 1;
        }
        stride
    };

    #[inline]
    fn of(number: u64) -> Self {
        Self { bit: 1 << (number % NUMBERS), ..Self::of_block(number / NUMBERS) }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "below the number of words")]
    fn of_block(block: u64) -> Self {
        let words = WORDS as u64;
        // OK: below the number of words.
        let index = (block % words * Self::STRIDE % words) as usize;
        Self { block, index, round: block / words, bit: 0 }
    }

    /// The block that the word here is about.
    fn block_in(self, word: u64) -> u64 {
        let words = WORDS as u64;
        // OK: it was made of a block.
        (word >> NUMBERS) * words + self.block % words
    }

    /// Whether the whole block is below the window.
    #[inline]
    fn is_below(self, top: u64) -> bool {
        self.block.saturating_add(WORDS as u64) < top
    }

    /// Whether the block is the lowest that is partly in the window.
    #[inline]
    fn is_lowest(self, top: u64) -> bool {
        self.block.saturating_add(WORDS as u64) == top
    }

    #[inline]
    fn look(self, word: u64) -> Seen {
        match (word >> NUMBERS).cmp(&self.round) {
            cmp::Ordering::Equal if word & self.bit != 0 => Seen::Yes,
            cmp::Ordering::Equal => Seen::No(word | self.bit),
            cmp::Ordering::Greater => Seen::Later,
            cmp::Ordering::Less => Seen::No(self.round << NUMBERS | self.bit),
        }
    }
}

const fn are_coprime(mut a: u64, mut b: u64) -> bool {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}
