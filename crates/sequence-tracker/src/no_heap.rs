//! Where there is no heap.

use core::convert::Infallible;

use crate::gaps::Gap;

/// Where the gaps of a tracker are unless something else is said: on the heap. There is none without
/// the feature `alloc`, but the type can be named.
#[derive(Debug, Clone)]
pub struct Heap(Infallible);

impl AsRef<[Gap]> for Heap {
    fn as_ref(&self) -> &[Gap] {
        match self.0 {}
    }
}

impl AsMut<[Gap]> for Heap {
    fn as_mut(&mut self) -> &mut [Gap] {
        match self.0 {}
    }
}
