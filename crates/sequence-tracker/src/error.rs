//! Why a wait for numbers failed.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Why [`acquire`](crate::SequenceTracker::acquire) failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// The timeout or deadline came.
    #[error("not everything has come in time: {} ranges are missing", .missing.len())]
    TimedOut {
        /// What is missing of it, lowest first; what is above the right edge as well.
        missing: Vec<RangeInclusive<u64>>,
    },
    /// The stream began anew: the number, if it comes, is another one.
    #[error("the stream began anew meanwhile")]
    Restarted,
}
