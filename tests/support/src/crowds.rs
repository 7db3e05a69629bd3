//! A hasher whose keys get in each other's way.

use std::hash::{BuildHasher, Hasher};

/// Few homes and few tags, so that most groups of a table are full and many entries went past theirs.
#[derive(Debug, Clone, Copy)]
pub struct Crowds;

/// The hasher of [`Crowds`].
#[derive(Debug)]
pub struct Crowd(u64);

impl BuildHasher for Crowds {
    type Hasher = Crowd;

    fn build_hasher(&self) -> Crowd {
        Crowd(0)
    }
}

impl Hasher for Crowd {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        // Homes at the end of the groups and at their beginning, in a table of any size: the last is near
        // the end of sixteen groups.
        (self.0 % 2) << 56 | (self.0 % 3 * 5 + 4)
    }
}
