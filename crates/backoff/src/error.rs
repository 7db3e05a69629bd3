//! Why a retry gave up, and why the shared backoff did not let anybody through.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use steadfast_core::Instant;
use steadfast_core::wait::Missed;

/// Why a retry gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GaveUp {
    /// The outcome was one that is not retried.
    #[error("not to be retried")]
    NotRetryable,
    /// All retries were used up.
    #[error("no retry left")]
    RetriesExhausted,
    /// The next attempt would begin at the deadline or later, or the attempt under way was cut off
    /// by it. `max_elapsed` is such a deadline.
    #[error("no time left")]
    Deadline,
    /// The retry budget was empty.
    #[error("the retry budget is empty")]
    BudgetEmpty,
    /// A [`Stop`](crate::Stop) handle ended it.
    #[error("stopped")]
    Stopped,
}

/// A retry that gave up, with all that is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryError<T, E> {
    /// The last outcome that there was, untouched. `None` if no attempt came to its end. It is `Ok`
    /// only if [`when`](crate::Retry::when) wanted such an `Ok` to be retried.
    pub outcome: Option<Result<T, E>>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How long it took, attempts and sleeps together.
    pub elapsed: Duration,
    /// Why it gave up.
    pub reason: GaveUp,
}

impl<T, E> RetryError<T, E> {
    /// The error of the last outcome.
    pub fn into_error(self) -> Option<E> {
        self.outcome?.err()
    }
}

/// Without the last error, which is the [source](Error::source).
impl<T, E> fmt::Display for RetryError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, elapsed, reason, .. } = self;
        write!(f, "gave up after {attempts} attempts in {elapsed:?}: {reason}")
    }
}

impl<T: fmt::Debug, E: Error + 'static> Error for RetryError<T, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.outcome {
            Some(Err(error)) => Some(error),
            _ => None,
        }
    }
}

/// Why [`try_acquire`](crate::Backoff::try_acquire) gave no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TryAcquireError {
    /// Not now: the delay is not over.
    #[error("backing off: retry in {:?}", .retry_at.saturating_duration_since(*.now))]
    NotYet {
        /// The first instant at which it is.
        retry_at: Instant,
        /// When it was refused, on the same clock.
        now: Instant,
    },
    /// Not now: as many attempts as may be are in flight, or others wait already.
    #[error("another attempt is in flight")]
    Busy,
    /// Never: it has failed too often or for too long.
    #[error("exhausted after {failures} failures in a row")]
    Exhausted {
        /// How many attempts failed in a row.
        failures: u32,
    },
    /// Never: it was stopped.
    #[error("stopped")]
    Stopped,
}

impl TryAcquireError {
    /// How long to wait before a retry can succeed; `None` if it never will, or if nobody can tell.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotYet { retry_at, now } => Some(retry_at.saturating_duration_since(*now)),
            _ => None,
        }
    }

    /// The same in whole seconds, rounded up and at least 1: the value of an HTTP `Retry-After`
    /// header.
    pub const fn retry_after_secs_ceil(&self) -> Option<u64> {
        match self.retry_after() {
            Some(wait) => Some(steadfast_core::secs_ceil(wait)),
            None => None,
        }
    }
}

/// Why [`acquire`](crate::Backoff::acquire) gave no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AcquireError {
    /// The timeout or deadline came, or could not have been met.
    #[error("not served in time")]
    TimedOut {
        /// When the delay is over; the time of the failure if that is not known.
        ready_at: Instant,
    },
    /// The line was full.
    #[error("{max_waiters} requests wait already")]
    LineFull {
        /// The configured limit.
        max_waiters: u32,
    },
    /// Never: it has failed too often or for too long.
    #[error("exhausted after {failures} failures in a row")]
    Exhausted {
        /// How many attempts failed in a row.
        failures: u32,
    },
    /// Never: it was stopped.
    #[error("stopped")]
    Stopped,
}

impl From<Missed> for AcquireError {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Deadline { ready_at } => Self::TimedOut { ready_at },
            Missed::LineFull { max_waiters } => Self::LineFull { max_waiters },
        }
    }
}
