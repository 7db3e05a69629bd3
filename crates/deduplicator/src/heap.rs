//! Memory on the heap.

use alloc::boxed::Box;

use super::Memory;
use crate::config::Terms;
use crate::state::Line;

/// Memory on the heap, allocated once.
#[derive(Debug, Clone)]
pub struct Heap {
    lines: Box<[Line]>,
    words: Box<[u64]>,
}

impl Heap {
    pub(crate) fn new(terms: &Terms) -> Self {
        let lines = (0..terms.lines).map(|_| Line::EMPTY).collect();
        // Zeroed by the system, without touching it.
        let words = alloc::vec![0; terms.words()].into_boxed_slice();
        Self { lines, words }
    }
}

impl Memory for Heap {
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
