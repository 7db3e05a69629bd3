//! The trades: every one is told of at least once, on two lines, and is to be booked exactly once.
//!
//! A thread and a task listen, one to each line, and share one deduplicator: whoever is first to hear of a
//! trade books it. When a connection is dropped, it is made again after a moment, and the desk repeats the
//! last trades.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast::backoff::{self, Attempt, Backoff, Jitter, Policy};
use steadfast::deduplicator::{self, Deduplicator};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::error::FeedError;
use crate::link::{PATIENCE, in_time};
use crate::protocol::LONGEST_LINE;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) quantity: u64,
}

/// What is known of the trades.
#[derive(Debug)]
pub(crate) struct Book {
    desk: SocketAddr,
    seen: Deduplicator,
    trades: Mutex<Vec<Trade>>,
}

impl Book {
    pub(crate) fn new(desk: SocketAddr) -> Result<Self, FeedError> {
        let seen = REMEMBERED.build().map_err(FeedError::Deduplicator)?;
        Ok(Self { desk, seen, trades: Mutex::default() })
    }

    /// Listens to a line until its end.
    pub(crate) fn listen_as_thread(&self, line: u64) -> Result<(), FeedError> {
        let reconnect = Backoff::new(RECONNECT);
        loop {
            let attempt = reconnect.acquire().wait().map_err(FeedError::Reconnect)?;
            let mut attempt = Some(attempt);
            match self.hear_as_thread(line, &mut attempt) {
                Err(error) if error.is_gone() => gone(&reconnect, attempt),
                ended => return ended,
            }
        }
    }

    /// The same as a task.
    pub(crate) async fn listen_as_task(&self, line: u64) -> Result<(), FeedError> {
        let reconnect = Backoff::new(RECONNECT);
        loop {
            let attempt = reconnect.acquire().await.map_err(FeedError::Reconnect)?;
            let mut attempt = Some(attempt);
            match self.hear_as_task(line, &mut attempt).await {
                Err(error) if error.is_gone() => gone(&reconnect, attempt),
                ended => return ended,
            }
        }
    }

    /// One connection. The attempt to make it has succeeded when something is heard.
    fn hear_as_thread(
        &self,
        line: u64,
        attempt: &mut Option<Attempt<&Backoff>>,
    ) -> Result<(), FeedError> {
        let mut stream = TcpStream::connect_timeout(&self.desk, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("LINE {line}\n").as_bytes())?;
        let mut messages = BufReader::new(stream);
        loop {
            let mut message = String::new();
            messages.by_ref().take(LONGEST_LINE).read_line(&mut message)?;
            if self.heard(&message)? {
                return Ok(());
            }
            if let Some(attempt) = attempt.take() {
                attempt.success();
            }
        }
    }

    async fn hear_as_task(
        &self,
        line: u64,
        attempt: &mut Option<Attempt<&Backoff>>,
    ) -> Result<(), FeedError> {
        let mut stream = in_time(tokio::net::TcpStream::connect(self.desk)).await?;
        in_time(stream.write_all(format!("LINE {line}\n").as_bytes())).await?;
        let mut messages = tokio::io::BufReader::new(stream);
        loop {
            let mut message = String::new();
            in_time((&mut messages).take(LONGEST_LINE).read_line(&mut message)).await?;
            if self.heard(&message)? {
                return Ok(());
            }
            if let Some(attempt) = attempt.take() {
                attempt.success();
            }
        }
    }

    /// Books a trade, unless that was done. Says whether the line is at its end.
    fn heard(&self, message: &str) -> Result<bool, FeedError> {
        let Some(message) = message.strip_suffix('\n') else {
            // The connection ended, maybe within a message.
            return Err(FeedError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        };
        if message == "END" {
            return Ok(true);
        }
        let trade =
            Trade::parse(message).ok_or_else(|| FeedError::Unexpected(message.to_owned()))?;
        if self.seen.insert(&trade.id).is_fresh() {
            self.trades().push(trade);
        }
        Ok(false)
    }

    /// What was booked, in no order.
    pub(crate) fn trades(&self) -> MutexGuard<'_, Vec<Trade>> {
        self.trades.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages were of trades that had been booked.
    pub(crate) fn left_out(&self) -> u64 {
        self.seen.stats().duplicates
    }
}

/// A connection that was made is gone; or it was not.
fn gone(reconnect: &Backoff, attempt: Option<Attempt<&Backoff>>) {
    match attempt {
        Some(attempt) => attempt.failure(),
        None => reconnect.broken(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let trade = Trade { id: u64::MAX, quantity: 7 };
        assert_eq!(Trade::parse(&format!("{trade}\n")), Some(trade));
        assert_eq!(Trade::parse("TRADE 1"), None);
    }

    #[test]
    fn a_trade_is_booked_once_and_half_a_message_not_at_all() {
        let book = Book::new(([127, 0, 0, 1], 1).into()).expect("it fits");
        let heard = |message| book.heard(message).map_err(|error| error.is_gone());
        assert_eq!(heard("TRADE 1 20\n"), Ok(false));
        assert_eq!(heard("TRADE 2 3"), Err(true), "the quantity may be 30");
        assert_eq!(heard("TRADE 1 20\n"), Ok(false));
        assert_eq!(heard("END\n"), Ok(true));
        assert_eq!(heard("TRADE\n"), Err(false));
        assert_eq!(*book.trades(), [Trade { id: 1, quantity: 20 }]);
        assert_eq!(book.left_out(), 1);
    }
}
