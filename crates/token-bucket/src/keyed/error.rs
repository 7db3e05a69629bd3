//! Why a keyed limiter did not do what it was asked for.

use core::time::Duration;

use steadfast_core::Instant;
use steadfast_core::table::TableFull;
use steadfast_core::wait::Missed;

use crate::config::ConfigError;

/// Why a keyed limiter did not grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyedError {
    /// Not now.
    #[error("not enough tokens for this key: retry in {:?}", .retry_at.saturating_duration_since(*.now))]
    Denied {
        /// The first instant at which the same request is granted, if nobody else comes.
        retry_at: Instant,
        /// When it was denied, on the same clock.
        now: Instant,
    },
    /// Never: more was asked for than the key's bucket can hold.
    #[error("more tokens asked for than the bucket ever holds: ask for at most {burst}")]
    ExceedsBurst {
        /// The most that can be asked for.
        burst: u64,
    },
    /// The key is new, the table is full, and no idle place was found in a bounded search.
    #[error("no place for another key: {capacity} are held already")]
    TableFull {
        /// The configured capacity.
        capacity: usize,
    },
    /// The timeout or deadline came, or could not have been met.
    #[error("not served in time")]
    TimedOut {
        /// When it could have been served, given those ahead of it.
        ready_at: Instant,
    },
    /// The key's line was full.
    #[error("{max_waiters} requests wait already")]
    LineFull {
        /// The configured limit.
        max_waiters: u32,
    },
}

/// Why a key could not be given a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetLimitError {
    /// There can be no such bucket.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key is new, the table is full, and no idle place was found in a bounded search.
    #[error("no place for another key: {capacity} are held already")]
    TableFull {
        /// The configured capacity.
        capacity: usize,
    },
}

impl From<Missed> for KeyedError {
    fn from(missed: Missed) -> Self {
        match missed {
            Missed::Deadline { ready_at } => Self::TimedOut { ready_at },
            Missed::LineFull { max_waiters } => Self::LineFull { max_waiters },
        }
    }
}

impl From<TableFull> for KeyedError {
    fn from(TableFull { capacity }: TableFull) -> Self {
        Self::TableFull { capacity }
    }
}

impl KeyedError {
    /// How long to wait before a retry can succeed; `None` if it never will, or if nobody can tell.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Denied { retry_at, now } => Some(retry_at.saturating_duration_since(*now)),
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

impl From<TableFull> for SetLimitError {
    fn from(TableFull { capacity }: TableFull) -> Self {
        Self::TableFull { capacity }
    }
}
