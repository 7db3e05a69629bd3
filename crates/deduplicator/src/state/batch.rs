//! Some ids of a batch: those that belong to one of several windows.

use steadfast_core::Instant;

use super::{AT_ONCE, Beside, Sighting, State};
use crate::fingerprint::Fingerprint;
use crate::memory::Memory;

/// The places of the ones in a word, the lowest first.
#[derive(Debug, Clone)]
pub(crate) struct Ones(pub(crate) u64);

impl Iterator for Ones {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        // OK: below 64.
        let place = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

impl<M: Memory, B: Beside> State<M, B> {
    /// [`insert`](State::insert) of the ids at some places, in order; each answer has its id's place.
    #[inline]
    pub(crate) fn insert_these(
        &mut self,
        ids: &[Fingerprint; AT_ONCE],
        places: Ones,
        now: Instant,
        answers: &mut [Sighting],
    ) {
        self.prepare(places.clone().map(|place| ids[place]));
        for place in places {
            answers[place] = self.insert(ids[place], now);
        }
    }
}
