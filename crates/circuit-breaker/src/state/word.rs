//! Where a machine keeps its words: in cells of a single owner, or in atomics that many share.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::cell::Cell;

use steadfast_core::Step;

/// A word that is moved by pure transitions, one at a time.
pub trait Word {
    /// A word of its own.
    fn new(word: u64) -> Self;

    /// The word as it is now.
    fn load(&self) -> u64;

    /// Moves it by `transition`, as [`steadfast_core::update`] does.
    fn update<R>(&self, transition: impl FnMut(u64) -> Step<R>) -> R;

    /// Whatever this owner wrote before is seen by everybody who comes to a fence of his own later;
    /// otherwise he sees what they wrote before theirs.
    fn fence();
}

/// A single owner.
impl Word for Cell<u64> {
    fn new(word: u64) -> Self {
        Self::new(word)
    }

    fn load(&self) -> u64 {
        self.get()
    }

    fn update<R>(&self, mut transition: impl FnMut(u64) -> Step<R>) -> R {
        match transition(self.get()) {
            Step::Keep(answer) => answer,
            Step::Replace(next, answer) => {
                self.set(next);
                answer
            }
        }
    }

    fn fence() {}
}

/// Words for windows and probes: an array, a slice of yours, or a box. They begin with zeros, and
/// there are at least [`Terms::words`](super::Terms::words) of them.
pub trait Memory {
    /// [`Cell<u64>`] or an atomic.
    type Word: Word;

    /// All of them.
    fn words(&self) -> &[Self::Word];
}

impl<W: Word, const N: usize> Memory for [W; N] {
    type Word = W;

    #[inline]
    fn words(&self) -> &[W] {
        self
    }
}

impl<W: Word> Memory for &[W] {
    type Word = W;

    #[inline]
    fn words(&self) -> &[W] {
        self
    }
}

#[cfg(feature = "alloc")]
impl<W: Word> Memory for Box<[W]> {
    type Word = W;

    #[inline]
    fn words(&self) -> &[W] {
        self
    }
}

/// Some bits of a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    shift: u32,
    mask: u64,
}

impl Field {
    /// The lowest `bits` bits.
    pub(super) const fn lowest(bits: u32) -> Self {
        Self { shift: 0, mask: (1 << bits) - 1 }
    }

    /// The `bits` bits above this field.
    pub(super) const fn above(self, bits: u32) -> Self {
        let shift = self.shift + self.mask.count_ones();
        Self { shift, mask: (1 << bits) - 1 }
    }

    #[inline]
    pub(super) const fn of(self, word: u64) -> u64 {
        (word >> self.shift) & self.mask
    }

    /// The same where the field has at most 32 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    pub(super) const fn of32(self, word: u64) -> u32 {
        debug_assert!(self.mask <= u32::MAX as u64);
        self.of(word) as u32
    }

    /// The word with this field set to the low bits of `value`.
    #[inline]
    pub(super) const fn set(self, word: u64, value: u64) -> u64 {
        (word & !(self.mask << self.shift)) | (value & self.mask) << self.shift
    }

    pub(super) const fn max(self) -> u64 {
        self.mask
    }

    /// Whether `a` comes after `b`, both as much of a serial number as fits here (RFC 1982).
    #[inline]
    pub(super) const fn is_after(self, a: u64, b: u64) -> bool {
        let ahead = self.ahead(a, b);
        ahead != 0 && ahead <= self.mask / 2
    }

    /// How far `a` is ahead of `b`, both as much of a serial number as fits here.
    #[inline]
    pub(super) const fn ahead(self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b) & self.mask
    }
}
