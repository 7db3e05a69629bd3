//! Holes are pushed out at the old end: D6.
//!
//! ```text
//!  oldest            read             write             newest
//!    ▼                 ▼                 ▼                 ▼
//!  ┌───┬───┬ ─ ─ ─ ┬───┬───┬ ─ ─ ─ ┬───┬───┬───┬ ─ ─ ┬───┐
//!  │ A │   │       │ D │   │ holes │   │   │ E │     │ Z │
//!  └───┴───┴ ─ ─ ─ ┴───┴───┴ ─ ─ ─ ┴───┴───┴───┴ ─ ─ ┴───┘
//!    not yet looked at   └───── holes only ─────┘
//! ```
//!
//! A push walks from the newest position that there was when it began to the oldest, and moves each id up
//! to the position of the last hole that it has passed: `write`. What is then below has been emptied, and
//! leaves. New ids come at the end meanwhile; old ones leave, and if they are the last that were to be
//! looked at, the push is over.

use super::ring::HOLE;
use super::{Beside, State};
use crate::memory::Memory;

/// How far a push has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Push {
    /// The stamp of the position to be looked at next.
    pub(super) read: u32,
    /// The stamp of the position for the next id: all from here down to `read`, `read` excepted, are
    /// holes.
    pub(super) write: u32,
}

impl<M: Memory, B: Beside> State<M, B> {
    /// Some steps of a push.
    #[cold]
    pub(super) fn push_holes(&mut self) {
        if self.push.is_none() {
            // OK: there is more than one position.
            let newest = self.era.before(self.era.next());
            self.push = Some(Push { read: newest, write: newest });
        }
        for _ in 0..self.terms.pushes {
            let Some(push) = self.push else { return };
            self.push = Some(self.look_at(push));
            if push.read == self.era.oldest() {
                self.end_push();
            }
        }
    }

    fn look_at(&mut self, Push { read, write }: Push) -> Push {
        let (from, to) = (self.slot(self.era.age(read)), self.slot(self.era.age(write)));
        if self.time(from) == HOLE {
            return Push { read: self.era.before(read), write };
        }
        let push = Push { read: self.era.before(read), write: self.era.before(write) };
        if read != write {
            let record = self.record(from);
            self.write_record(to, record);
            self.bore(from);
            self.relink(read, write, record.id);
            self.beside.moved(from, to);
        }
        push
    }

    /// The entry of an id gets another stamp, which is newer.
    fn relink(&mut self, from: u32, to: u32, id: crate::Fingerprint) {
        let (era, tag) = (self.era, id.tag(self.era.tags()));
        let mut line = id.home(self.terms.lines);
        for _ in 0..self.terms.lines {
            let entries = &mut self.memory.lines_mut()[line];
            let lane = (0..super::LANES).find(|&lane| entries.entry(lane) == tag | from);
            if let Some(lane) = lane {
                entries.set(lane, tag | to);
                return;
            }
            entries.spill(to, era);
            line = self.line_after(line);
        }
        debug_assert!(false, "an id that lives is in the index");
    }

    /// Whether what a push has emptied begins or ends behind a position: runs of holes end there.
    pub(super) fn is_pushed_from(&self, position: u32) -> bool {
        let stamp = self.era.stamp(position);
        self.push.is_some_and(|push| push.read == stamp || push.write == stamp)
    }

    /// Nothing more is to be looked at: what was emptied leaves.
    pub(super) fn end_push(&mut self) {
        let Some(push) = self.push.take() else { return };
        // The positions from the oldest to `write` are holes; if `write` is the one before the oldest,
        // there are none.
        let holes = self.era.age(self.era.after(push.write));
        if holes <= self.era.span() {
            self.pop(holes);
        }
    }
}
