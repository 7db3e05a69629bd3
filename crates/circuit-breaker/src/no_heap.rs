//! Where there is no heap.

use core::convert::Infallible;

use steadfast_core::sync::atomic::AtomicU64;

use crate::state::Memory;

/// Where the words of a breaker are unless something else is said: on the heap. There is none without
/// the feature `alloc`, but the type can be named.
#[derive(Debug)]
pub struct Heap(Infallible);

impl Memory for Heap {
    type Word = AtomicU64;

    fn words(&self) -> &[AtomicU64] {
        match self.0 {}
    }
}
