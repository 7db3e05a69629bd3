//! Why there is no feed.

use std::time::Duration;
use std::{fmt, io};

use steadfast::token_bucket::{AcquireError, ConfigError};
use steadfast::{backoff, circuit_breaker, deduplicator, sequence_tracker};

use crate::client::{TASKS, THREADS};
use crate::link::PATIENCE;
use crate::protocol::Quota;

/// Why there is no feed.
#[derive(Debug)]
pub(crate) enum FeedError {
    Cut,
    Io(io::Error),
    Refused(String),
    Unexpected(String),
    /// Nobody answered for so long.
    Silent(Duration),
    /// Not everything had come so long after the end.
    Incomplete(Duration),
    /// The quota leaves no room for so many workers.
    NoRoom(Quota),
    Config(ConfigError),
    Breaker(circuit_breaker::ConfigError),
    Acquire(AcquireError),
    Reconnect(backoff::AcquireError),
    Permit(circuit_breaker::AcquireError),
    Tracker(sequence_tracker::ConfigError),
    Deduplicator(deduplicator::ConfigError),
    /// A part of the feed did.
    Panicked,
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent(PATIENCE),
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the server cut this client off: its quota was exceeded"),
            Self::Io(error) => error.fmt(f),
            Self::Refused(reason) => write!(f, "the server refused: {reason}"),
            Self::Unexpected(line) => write!(f, "the server said {:?}", line.trim_end()),
            Self::NoRoom(Quota { limit, window }) => {
                let workers = THREADS + TASKS;
                write!(f, "{limit} requests in {window:?} are too few for {workers} workers")
            }
            Self::Config(error) => error.fmt(f),
            Self::Breaker(error) => error.fmt(f),
            Self::Acquire(error) => error.fmt(f),
            Self::Permit(error) => error.fmt(f),
            Self::Tracker(error) => error.fmt(f),
            Self::Deduplicator(error) => error.fmt(f),
            Self::Silent(time) => write!(f, "nobody answered for {time:?}"),
            Self::Incomplete(time) => write!(f, "incomplete {time:?} after the end"),
            Self::Panicked => f.write_str("it panicked"),
            Self::Reconnect(error) => error.fmt(f),
        }
    }
}

impl FeedError {
    /// Whether the connection is gone, and nothing that was sent on it will arrive any more. (After
    /// a time-out it might.)
    pub(crate) fn is_gone(&self) -> bool {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected,
            UnexpectedEof,
        };
        let Self::Io(error) = self else { return false };
        matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionRefused
                | ConnectionReset
                | NotConnected
                | UnexpectedEof
        )
    }
}
