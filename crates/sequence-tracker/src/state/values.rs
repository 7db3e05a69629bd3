//! What goes into the tracker and what comes out of it.

use crate::gaps::Run;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// The first of all.
    First,
    /// The next after the right edge.
    Next,
    /// Further on: numbers before it are missing.
    Ahead {
        /// How many this one leaves out.
        missing: u64,
        /// The lowest gap, if it had to make room: its numbers are lost.
        abandoned: Option<Run>,
    },
    /// One that was missing.
    Filled {
        /// How many are missing still, in all.
        remaining: u64,
        /// The lowest gap, if it had to make room: its numbers are lost.
        abandoned: Option<Run>,
    },
    /// It came before.
    Duplicate,
    /// Below everything that is remembered: nobody knows whether it came before.
    TooOld,
    /// Too far away to be believed. If the number after it comes too, the stream has restarted: also
    /// after a long time, unless another suspect, a reset or a snapshot has come between.
    Suspect,
    /// The stream has restarted: this is the second number of its new run, and the first that counts.
    Restart {
        /// How many numbers of the old run were missing, and are lost.
        lost: u64,
    },
    /// The first number of a new epoch that counts.
    Reset {
        /// How many numbers of the old epoch were missing, and are lost.
        lost: u64,
        /// How many this one leaves out of those that have to come first.
        missing: u64,
    },
    /// Not a number of the configured width.
    OutOfRange,
}

impl Arrival {
    /// Whether the number was not seen before, and its message is to be used.
    pub const fn is_fresh(self) -> bool {
        matches!(
            self,
            Self::First
                | Self::Next
                | Self::Ahead { .. }
                | Self::Filled { .. }
                | Self::Restart { .. }
                | Self::Reset { .. }
        )
    }
}

/// What a range of numbers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Batch {
    /// Numbers that were not seen before.
    pub fresh: u64,
    /// Of those, how many had been missing.
    pub filled: u64,
    /// Numbers that came before.
    pub duplicates: u64,
    /// Numbers below everything that is remembered.
    pub too_old: u64,
    /// How many numbers the range leaves out after the right edge.
    pub missing: u64,
    /// The lowest gap, if it had to make room: its numbers are lost.
    pub abandoned: Option<Run>,
    /// The range, which is as far away as its last number, is too far away to be believed, and was not
    /// counted.
    pub suspect: bool,
    /// The stream has restarted with this range. Numbers of the old run that were missing are lost.
    pub restarted: Option<u64>,
}

/// A range that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RangeError {
    /// It ends before it begins.
    #[error("a range from {first} to {last} runs backwards")]
    Backwards {
        /// Its beginning.
        first: u64,
        /// Its end.
        last: u64,
    },
    /// It has numbers that are none of the configured width.
    #[error("{number} is no number of {bits} bits")]
    OutOfRange {
        /// The number.
        number: u64,
        /// The width.
        bits: u32,
    },
}

/// What is to be done about a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// Request these numbers.
    Request {
        /// What is missing.
        run: Run,
        /// How often it was requested before.
        attempt: u32,
    },
    /// These numbers are lost: they did not come after the last request.
    GaveUp {
        /// What is lost.
        run: Run,
    },
}

/// What happened to the gaps of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// These numbers are missing.
    Opened {
        /// The gap.
        run: Run,
    },
    /// These numbers have come after all.
    Filled {
        /// The numbers, all or part of a gap.
        run: Run,
    },
    /// These numbers are lost.
    Abandoned {
        /// The gap, or part of it.
        run: Run,
    },
    /// These numbers will not come, and are not lost: a skip or a snapshot covers them.
    Settled {
        /// The numbers.
        run: Run,
    },
    /// A new run of numbers has begun; what was missing of the old one is lost.
    Restarted {
        /// How many numbers are lost.
        lost: u64,
    },
}

/// Where a machine writes down what happens to its gaps: nowhere, or in a list.
pub trait Notes {
    /// This happened.
    fn note(&mut self, change: Change);
}

impl Notes for () {
    fn note(&mut self, _change: Change) {}
}
