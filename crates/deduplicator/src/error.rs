//! Why something was not claimed, or not committed.

use core::time::Duration;

use steadfast_core::sync::Arc;
use steadfast_core::wait::Missed;
use steadfast_core::{Instant, secs_ceil};

use crate::flights::Flight;

/// Why [`try_acquire`](crate::Claims::try_acquire) did not give an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TryAcquireError {
    /// Not now: somebody else holds the claim, or others wait for it.
    #[error("claimed by somebody else: try again at {retry_at:?} at the latest")]
    InFlight {
        /// When its lease ends, if it is not given back before.
        retry_at: Instant,
    },
    /// Never: the id was used with another payload.
    #[error("the id was used with another payload")]
    Mismatch,
    /// Not now: as many claims are held as can be.
    #[error("{max_claims} claims are held already, as many as there can be")]
    Full {
        /// The configured limit.
        max_claims: u32,
    },
}

impl TryAcquireError {
    /// When to try again, if it is known.
    pub const fn retry_at(self) -> Option<Instant> {
        match self {
            Self::InFlight { retry_at } => Some(retry_at),
            Self::Mismatch | Self::Full { .. } => None,
        }
    }

    /// The same in whole seconds from `now`, rounded up and at least 1: the value of a `Retry-After`
    /// header.
    pub const fn retry_after_secs(self, now: Instant) -> Option<u64> {
        match self.retry_at() {
            Some(at) => Some(secs_ceil(at.saturating_duration_since(now))),
            None => None,
        }
    }
}

/// Why [`acquire`](crate::Claims::acquire) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// The timeout or deadline came while somebody else held the claim.
    #[error("somebody else still holds the claim")]
    TimedOut,
    /// As many wait for this id as may.
    #[error("{max_waiters} wait for this claim already, as many as may")]
    LineFull {
        /// The configured limit.
        max_waiters: u32,
    },
    /// Never: the id was used with another payload.
    #[error("the id was used with another payload")]
    Mismatch,
    /// As many claims are held as can be.
    #[error("{max_claims} claims are held already, as many as there can be")]
    Full {
        /// The configured limit.
        max_claims: u32,
    },
}

/// The lease of a claim is over, and somebody else has got the claim, or its place for another id: what was done
/// under it may be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, thiserror::Error)]
#[error("the claim's lease is over, and it or its place was given to somebody else")]
pub struct LeaseLost;

/// Why a wait at one flight ended without a claim.
pub(crate) enum WaitError<V> {
    /// The flight is over: there is something new to be looked at.
    Over(Arc<Flight<V>>),
    Failed(AcquireError),
}

impl<V> From<Missed> for WaitError<V> {
    fn from(missed: Missed) -> Self {
        Self::Failed(match missed {
            Missed::Deadline { .. } => AcquireError::TimedOut,
            Missed::LineFull { max_waiters } => AcquireError::LineFull { max_waiters },
        })
    }
}

/// Why a snapshot could not be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// There can be no such window.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Fingerprints of one width say nothing about those of another.
    #[error("the snapshot's window is {}: configure the same", if *.is_wide { "wide" } else { "not wide" })]
    Width {
        /// What the snapshot is of.
        is_wide: bool,
    },
    /// Nobody is that old.
    #[error("an id that is {age:?} old: give less than 292 years")]
    TooOld {
        /// What was given.
        age: Duration,
    },
}
