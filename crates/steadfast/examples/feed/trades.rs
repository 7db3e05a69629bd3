//! The trades: every one is told of at least once, on two lines, and is to be booked exactly once.
//!
//! A thread and a task listen, one to each line, and share one deduplicator: whoever is first to hear of a
//! trade books it. When a connection is dropped, it is made again after a moment, and the desk repeats the
//! last trades.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use steadfast::backoff::{self, Backoff, Jitter, Policy};
use steadfast::deduplicator::{self, Deduplicator};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::client::FeedError;

/// More trades than are ever repeated, on two lines that may be some seconds apart.
const REMEMBERED: deduplicator::Config =
    deduplicator::Config::new(10_000).ttl(Duration::from_secs(60));

/// How often a line that is gone is called.
const RECONNECT: Policy = backoff::Config::exponential(Duration::from_millis(2))
    .cap(Duration::from_millis(50))
    .jitter(Jitter::Full)
    .max_retries(20)
    .build_static();

/// What changed hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) quantity: u64,
}

/// What is known of the trades.
#[derive(Debug)]
pub(crate) struct Book {
    desk: SocketAddr,
    seen: Deduplicator,
    trades: AtomicU64,
    quantity: AtomicU64,
}

/// What was booked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Booked {
    pub(crate) trades: u64,
    pub(crate) quantity: u64,
    /// Messages of trades that had been booked.
    pub(crate) left_out: u64,
}

impl Book {
    pub(crate) fn new(desk: SocketAddr) -> Result<Self, FeedError> {
        let seen = REMEMBERED.build().map_err(FeedError::Deduplicator)?;
        Ok(Self { desk, seen, trades: AtomicU64::new(0), quantity: AtomicU64::new(0) })
    }

    /// Listens to a line until its end.
    pub(crate) fn listen_as_thread(&self, line: u64) -> Result<(), FeedError> {
        let reconnect = Backoff::new(RECONNECT);
        loop {
            let attempt = reconnect.acquire().wait().map_err(FeedError::Reconnect)?;
            let Ok(mut stream) = TcpStream::connect(self.desk) else {
                attempt.failure();
                continue;
            };
            stream.write_all(format!("LINE {line}\n").as_bytes())?;
            attempt.success();
            for message in BufReader::new(stream).lines() {
                if self.heard(&message?)? {
                    return Ok(());
                }
            }
        }
    }

    /// The same as a task.
    pub(crate) async fn listen_as_task(&self, line: u64) -> Result<(), FeedError> {
        let reconnect = Backoff::new(RECONNECT);
        loop {
            let attempt = reconnect.acquire().await.map_err(FeedError::Reconnect)?;
            let Ok(mut stream) = tokio::net::TcpStream::connect(self.desk).await else {
                attempt.failure();
                continue;
            };
            stream.write_all(format!("LINE {line}\n").as_bytes()).await?;
            attempt.success();
            let mut messages = tokio::io::BufReader::new(stream).lines();
            while let Some(message) = messages.next_line().await? {
                if self.heard(&message)? {
                    return Ok(());
                }
            }
        }
    }

    /// Books a trade, unless that was done. Says whether the line is at its end.
    fn heard(&self, message: &str) -> Result<bool, FeedError> {
        if message == "END" {
            return Ok(true);
        }
        let trade =
            Trade::parse(message).ok_or_else(|| FeedError::Unexpected(message.to_owned()))?;
        if self.seen.insert(&trade.id).is_fresh() {
            self.trades.fetch_add(1, Ordering::Relaxed);
            self.quantity.fetch_add(trade.quantity, Ordering::Relaxed);
        }
        Ok(false)
    }

    pub(crate) fn booked(&self) -> Booked {
        Booked {
            trades: self.trades.load(Ordering::Relaxed),
            quantity: self.quantity.load(Ordering::Relaxed),
            left_out: self.seen.stats().duplicates,
        }
    }
}

impl Trade {
    /// `None` if it is not one.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["TRADE", id, quantity] => {
                Some(Self { id: id.parse().ok()?, quantity: quantity.parse().ok()? })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Trade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TRADE {} {}", self.id, self.quantity)
    }
}

/// A line that was listened to: whether it panicked is its own error.
pub(crate) fn joined<E>(line: Result<Result<(), FeedError>, E>) -> Result<(), FeedError> {
    line.map_err(|_| FeedError::Panicked)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let trade = Trade { id: u64::MAX, quantity: 7 };
        assert_eq!(Trade::parse(&format!("{trade}\n")), Some(trade));
        assert_eq!(Trade::parse("TRADE 1"), None);
    }
}
