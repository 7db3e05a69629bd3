//! Why a wait for numbers failed.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::gaps::Run;

/// Why [`acquire`](crate::SequenceTracker::acquire) failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// Nothing of it is missing any more, but some of it was abandoned or given up.
    ///
    /// Every wait for that number or a later one fails so until the stream begins anew, or a snapshot
    /// ([`resynced`](crate::SequenceTracker::resynced)) or a
    /// [`skip_to`](crate::SequenceTracker::skip_to) covers what is lost. Whoever can do without goes on
    /// from `through`.
    #[error("some numbers from {} to {} are lost", .lost.first, .lost.last)]
    Lost {
        /// Through this number, nothing is missing any more.
        through: u64,
        /// From the lowest to the highest that is lost; see [`State::lost`](crate::State::lost).
        lost: Run,
    },
    /// The timeout or deadline came.
    #[error("not everything has come in time: {} ranges are missing", .missing.len())]
    TimedOut {
        /// What is missing of it, lowest first; what is above the right edge as well. At least one.
        missing: Vec<RangeInclusive<u64>>,
    },
    /// The stream began anew: the number, if it comes, is another one.
    #[error("the stream began anew meanwhile")]
    Restarted,
}
