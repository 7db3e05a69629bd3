//! What the numbered invariants say of a window, looked at from end to end.

use super::ring::HOLE;
use super::{Beside, LANES, State};
use crate::memory::Memory;

/// As many positions as are looked at after every step.
const FEW: u32 = 64;

impl<M: Memory, B: Beside> State<M, B> {
    /// Asserts them in debug builds, and of small windows only: of others it would take too long.
    #[inline]
    pub(super) fn invariants(&self) {
        if cfg!(debug_assertions) && self.terms.places <= FEW {
            self.check();
        }
    }

    fn check(&self) {
        let era = self.era;
        let living = || (0..era.span()).filter(|&position| !self.is_hole(position));
        for position in living() {
            let (slot, id) = (self.slot(position), self.record(self.slot(position)).id);
            let found = self.find(id).map(|found| (found.slot, found.lane < LANES));
            // It would not be found behind a line that does not say that it spills.
            debug_assert_eq!(found, Some((slot, true)), "D1, D4");
        }
        let entries = self.memory.lines().iter();
        let entries = entries.flat_map(|line| (0..LANES).map(|lane| line.entry(lane)));
        let entries = entries.filter_map(|entry| era.position(entry));
        // No more than one a living id, which has one: so none is dead that looks alive.
        debug_assert_eq!(entries.count(), self.live as usize, "D1, D5");
        let times = living().map(|position| self.time(self.slot(position)));
        debug_assert!(times.chain([self.latest]).is_sorted(), "D2");
        debug_assert_eq!(living().count(), self.live as usize, "D3");
        debug_assert!(self.live <= self.terms.capacity, "D3");
        debug_assert!(era.span() < self.terms.places, "D6");
        debug_assert!(self.slides_until == 0 || self.slides(), "D8");
        debug_assert!(self.slides_until <= self.due, "D8");
        self.check_runs();
    }

    /// D7.
    #[expect(clippy::cast_possible_truncation, reason = "at most as many as there are positions")]
    fn check_runs(&self) {
        let span = self.era.span();
        // The positions that a push has emptied, if there is one.
        let emptied = self
            .push
            .map_or(span..span, |push| self.era.age(push.read) + 1..self.era.age(push.write) + 1);
        for part in [0..emptied.start, emptied.end..span] {
            let mut first = part.start;
            while first < part.end {
                let holes = (first..part.end).take_while(|&position| self.is_hole(position));
                // OK: as the reason says.
                let holes = holes.count() as u32;
                if holes > 0 {
                    let (last, begins) = (first + holes - 1, self.runs(first).1);
                    if last + 1 == emptied.start && !emptied.is_empty() {
                        // The push has come through it: its last hole is above.
                        debug_assert!((holes..=emptied.end - first).contains(&begins), "D7");
                    } else {
                        debug_assert_eq!((begins, self.runs(last).0), (holes, holes), "D7");
                    }
                }
                first += holes + 1;
            }
        }
    }

    fn is_hole(&self, position: u32) -> bool {
        self.time(self.slot(position)) == HOLE
    }
}
