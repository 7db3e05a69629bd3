//! Why a call was not let through.

use core::fmt;
use core::time::Duration;

use steadfast_core::Instant;
#[cfg(feature = "wait")]
use steadfast_core::wait::Missed;

/// The breaker's [name](crate::Config::name), if it has one, as errors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Name(pub Option<&'static str>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "circuit breaker `{name}`"),
            None => f.write_str("circuit breaker"),
        }
    }
}

/// Why [`try_acquire`](crate::CircuitBreaker::try_acquire) gave no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TryAcquireError {
    /// Not now: it is open.
    #[error("{name} is open: retry in {:?}", .retry_at.saturating_duration_since(*.now))]
    Open {
        /// When it admits the next probe. It is `now` in the moment in which the breaker opens.
        retry_at: Instant,
        /// When it was refused, on the same clock.
        now: Instant,
        /// Which breaker.
        name: Name,
    },
    /// Not now: all probes are in flight, or others wait already.
    #[error("{name} is half-open, and all probes are in flight")]
    HalfOpenFull {
        /// Which breaker.
        name: Name,
    },
    /// Not this one: it is not in the share of calls that is admitted after closing.
    #[error("{name} is ramping up: all calls in {:?}", .full_at.saturating_duration_since(*.now))]
    RampingUp {
        /// When all calls are admitted.
        full_at: Instant,
        /// When it was refused, on the same clock.
        now: Instant,
        /// Which breaker.
        name: Name,
    },
    /// Not before somebody resets it: it was forced open.
    #[error("{name} is forced open")]
    Isolated {
        /// Which breaker.
        name: Name,
    },
}

impl TryAcquireError {
    /// How long to wait before a retry can succeed; `None` if nobody can tell.
    ///
    /// During a ramp-up a retry may succeed at any time, and does when this has passed.
    pub const fn retry_after(&self) -> Option<Duration> {
        match *self {
            Self::Open { retry_at: at, now, .. } | Self::RampingUp { full_at: at, now, .. } => {
                Some(at.saturating_duration_since(now))
            }
            Self::HalfOpenFull { .. } | Self::Isolated { .. } => None,
        }
    }

    /// The same in whole seconds, rounded up and at least 1: the value of an HTTP `Retry-After`
    /// header (RFC 9110, section 10.2.3).
    pub const fn retry_after_secs_ceil(&self) -> Option<u64> {
        match self.retry_after() {
            Some(wait) => Some(steadfast_core::secs_ceil(wait)),
            None => None,
        }
    }
}

/// Why [`acquire`](crate::CircuitBreaker::acquire) gave no permit.
#[cfg(feature = "wait")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// The timeout or deadline came, or could not have been met.
    #[error("{name} did not let it through in time")]
    TimedOut {
        /// When the break is over; the time of the failure if it depends on others alone.
        ready_at: Instant,
        /// Which breaker.
        name: Name,
    },
    /// The line was full.
    #[error("{name}: {max_waiters} requests wait already")]
    LineFull {
        /// The configured limit.
        max_waiters: u32,
        /// Which breaker.
        name: Name,
    },
}

#[cfg(feature = "wait")]
impl AcquireError {
    pub(crate) fn new(missed: Missed, name: Name) -> Self {
        match missed {
            Missed::Deadline { ready_at } => Self::TimedOut { ready_at, name },
            Missed::LineFull { max_waiters } => Self::LineFull { max_waiters, name },
        }
    }
}

#[cfg(feature = "wait")]
impl From<Missed> for AcquireError {
    fn from(missed: Missed) -> Self {
        Self::new(missed, Name(None))
    }
}

/// Why a [call](crate::CircuitBreaker::call) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError<E> {
    /// It was not made.
    #[error(transparent)]
    Rejected(TryAcquireError),
    /// It was made, and gave this error.
    #[error(transparent)]
    Inner(E),
}

impl<E> CallError<E> {
    /// The error of the call, if it was made.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) => None,
        }
    }

    /// Whether the call was not made.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_circuit_breaker::CallError;
    ///
    /// assert!(!CallError::Inner("no answer").is_rejected());
    /// assert_eq!(CallError::Inner("no answer").into_inner(), Some("no answer"));
    /// ```
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}
