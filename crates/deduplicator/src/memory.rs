//! Where a window keeps its ids: on the heap, or in arrays whose size is part of the type.

use crate::state::Line;

pub use self::heap::Heap;

#[cfg(feature = "alloc")]
#[path = "heap.rs"]
mod heap;
#[cfg(not(feature = "alloc"))]
#[path = "no_heap.rs"]
mod heap;

/// The memory of a window: an index, and a ring of ids in the order in which they came.
///
/// [`Heap`] and [`Fixed`] are such memory; so can be slices of yours. It has to keep what is written to it.
pub trait Memory {
    /// As many lines as [`Config::lines`](crate::Config::lines) says.
    fn lines(&self) -> &[Line];
    /// The same, to be written.
    fn lines_mut(&mut self) -> &mut [Line];
    /// As many words as [`Config::words`](crate::Config::words) says.
    fn words(&self) -> &[u64];
    /// The same, to be written.
    fn words_mut(&mut self) -> &mut [u64];
}

/// Memory in place, for a `static` or a stack: as many lines and words as
/// [`Config::lines`](crate::Config::lines) and [`Config::words`](crate::Config::words) say.
///
/// # Examples
///
/// ```
/// use steadfast_deduplicator::{Config, Fixed, LocalDeduplicator, SipKeys};
///
/// const LAST_50: Config = Config::new(50);
/// type Memory = Fixed<{ LAST_50.lines() }, { LAST_50.words() }>;
///
/// let mut seen: LocalDeduplicator<SipKeys, Memory> =
///     LAST_50.local_in(Memory::new(), SipKeys::from_seed(0x5EED))?;
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fixed<const LINES: usize, const WORDS: usize> {
    lines: [Line; LINES],
    words: [u64; WORDS],
}

impl<const LINES: usize, const WORDS: usize> Fixed<LINES, WORDS> {
    /// Empty memory.
    pub const fn new() -> Self {
        Self { lines: [Line::EMPTY; LINES], words: [0; WORDS] }
    }
}

impl<const LINES: usize, const WORDS: usize> Default for Fixed<LINES, WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LINES: usize, const WORDS: usize> Memory for Fixed<LINES, WORDS> {
    #[inline]
    fn lines(&self) -> &[Line] {
        &self.lines
    }

    #[inline]
    fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    #[inline]
    fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline]
    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}
