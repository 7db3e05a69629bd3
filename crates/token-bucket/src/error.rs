//! Why tokens were not granted.

use core::time::Duration;

use steadfast_core::Instant;
#[cfg(feature = "wait")]
use steadfast_core::wait::{Attempt, Missed};

use crate::state::Decision;

/// Why [`try_acquire`](crate::TokenBucket::try_acquire) did not grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TryAcquireError {
    /// Not now.
    #[error("not enough tokens: retry in {:?}", .retry_at.saturating_duration_since(*.now))]
    Denied {
        /// The first instant at which the same request is granted, if nobody else comes.
        retry_at: Instant,
        /// When it was denied, on the same clock.
        now: Instant,
    },
    /// Never: more was asked for than the bucket can hold.
    #[error("more tokens asked for than the bucket ever holds: ask for at most {burst}")]
    ExceedsBurst {
        /// The most that can be asked for.
        burst: u64,
    },
    /// Never: the bucket is closed.
    #[error("the bucket is closed")]
    Closed,
}

impl Decision {
    /// What [`try_acquire`](crate::TokenBucket::try_acquire) answers, if this was decided at `now`
    /// and the bucket holds at most `burst`.
    #[inline]
    pub(crate) const fn result(self, burst: u64, now: Instant) -> Result<(), TryAcquireError> {
        match self {
            Self::Granted => Ok(()),
            Self::Denied { retry_at } => Err(TryAcquireError::Denied { retry_at, now }),
            Self::ExceedsBurst => Err(TryAcquireError::ExceedsBurst { burst }),
            Self::Closed => Err(TryAcquireError::Closed),
        }
    }

    /// What a wait makes of this.
    #[cfg(feature = "wait")]
    #[inline]
    pub(crate) fn attempt(self, burst: impl FnOnce() -> u64) -> Attempt<(), AcquireError> {
        match self {
            Self::Granted => Attempt::Granted(()),
            Self::Denied { .. } => Attempt::NotNow,
            Self::ExceedsBurst => Attempt::Refused(AcquireError::ExceedsBurst { burst: burst() }),
            Self::Closed => Attempt::Refused(AcquireError::Closed),
        }
    }
}

impl TryAcquireError {
    /// How long to wait before a retry can succeed; `None` if it never will.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(4)).burst(1).build_static();
    ///
    /// let now = Instant::ZERO;
    /// LIMIT.try_acquire_at(1, now).unwrap();
    /// let denied = LIMIT.try_acquire_at(1, now).unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_millis(250)));
    /// assert_eq!(denied.retry_after_secs_ceil(), Some(1), "never `Retry-After: 0`");
    /// ```
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Denied { retry_at, now } => Some(retry_at.saturating_duration_since(*now)),
            Self::ExceedsBurst { .. } | Self::Closed => None,
        }
    }

    /// The same in whole seconds, rounded up and at least 1: the value of an HTTP `Retry-After`
    /// header (RFC 9110, section 10.2.3).
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::TryAcquireError;
    ///
    /// let (now, retry_at) = (Instant::ZERO, Instant::from_nanos(200_000_000));
    /// let refused = TryAcquireError::Denied { retry_at, now };
    /// assert_eq!(refused.retry_after_secs_ceil(), Some(1), "and not 0, which means at once");
    /// assert_eq!(TryAcquireError::Closed.retry_after_secs_ceil(), None);
    /// ```
    pub const fn retry_after_secs_ceil(&self) -> Option<u64> {
        match self.retry_after() {
            Some(wait) => Some(steadfast_core::secs_ceil(wait)),
            None => None,
        }
    }

    /// Whether no retry can succeed while the bucket stays as it is.
    pub const fn is_never(&self) -> bool {
        !matches!(self, Self::Denied { .. })
    }
}

/// Why an [`acquire`](crate::TokenBucket::acquire) ended without tokens.
#[cfg(feature = "wait")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// The timeout or deadline came, or could not have been met.
    #[error(
        "not served in time: it could be at {ready_at:?} on the bucket's clock; wait longer or ask for less"
    )]
    TimedOut {
        /// When it could have been served, given those ahead of it.
        ready_at: Instant,
    },
    /// The line was full.
    #[error("{max_waiters} requests wait already")]
    LineFull {
        /// The configured limit.
        max_waiters: u32,
    },
    /// Never: more was asked for than the bucket can hold.
    #[error("more tokens asked for than the bucket ever holds: ask for at most {burst}")]
    ExceedsBurst {
        /// The most that can be asked for.
        burst: u64,
    },
    /// Never: the bucket is closed.
    #[error("the bucket is closed")]
    Closed,
}

#[cfg(feature = "wait")]
impl AcquireError {
    /// Why a wait for `n` tokens has no end, if it has none.
    pub(crate) fn never(n: u64, burst: u64, closed: bool) -> Option<Self> {
        if closed {
            return Some(Self::Closed);
        }
        (n > burst).then_some(Self::ExceedsBurst { burst })
    }
}

#[cfg(feature = "wait")]
impl From<Missed> for AcquireError {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Deadline { ready_at } => Self::TimedOut { ready_at },
            Missed::LineFull { max_waiters } => Self::LineFull { max_waiters },
        }
    }
}
