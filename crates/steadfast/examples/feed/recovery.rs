//! The line on which a subscriber asks for what it has not got. It breaks when the publisher restarts, and
//! a backoff says when to call again: without waiting, because there may be datagrams meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use steadfast::backoff::{self, Backoff, Jitter, Policy};

use crate::error::FeedError;
use crate::link::PATIENCE;
use crate::protocol::LONGEST_LINE;
use crate::ticks::{Query, Standing, Tick};

/// How often a publisher that is gone is called.
const RECONNECT: Policy = backoff::Config::exponential(Duration::from_millis(4))
    .cap(Duration::from_millis(50))
    .jitter(Jitter::Equal)
    .unlimited()
    .build_static();

/// See the module.
#[derive(Debug)]
pub(crate) struct Recovery {
    publisher: SocketAddr,
    line: Option<BufReader<TcpStream>>,
    reconnect: Backoff,
    /// How often the line was gone.
    broken: u64,
}

impl Recovery {
    pub(crate) fn new(publisher: SocketAddr) -> Self {
        Self { publisher, line: None, reconnect: Backoff::new(RECONNECT), broken: 0 }
    }

    /// These ticks, or the first of them, or none if the publisher cannot be asked: what is missing will
    /// be asked for again.
    pub(crate) fn range(
        &mut self,
        epoch: u64,
        first: u64,
        last: u64,
    ) -> Result<Vec<Tick>, FeedError> {
        let mut ticks = Vec::new();
        let _gone = self.ask(Query::Range { epoch, first, last }, |line| {
            for _ in first..=last {
                let text = next_line(line)?;
                ticks.push(Tick::parse(&text).ok_or(FeedError::Unexpected(text))?);
            }
            Ok(())
        })?;
        Ok(ticks)
    }

    /// `None` if the publisher cannot be asked.
    pub(crate) fn standing(&mut self, epoch: u64) -> Result<Option<Standing>, FeedError> {
        self.ask(Query::Session { epoch }, |line| {
            let text = next_line(line)?;
            Standing::parse(&text).ok_or(FeedError::Unexpected(text))
        })
    }

    /// How often the line was gone.
    pub(crate) fn broken(&self) -> u64 {
        self.broken
    }

    /// `None` if there is no line, or none any more.
    fn ask<T>(
        &mut self,
        query: Query,
        answer: impl FnOnce(&mut BufReader<TcpStream>) -> Result<T, FeedError>,
    ) -> Result<Option<T>, FeedError> {
        let (line, attempt) = match self.line.take() {
            Some(line) => (Ok(line), None),
            None => match self.reconnect.try_acquire() {
                Ok(attempt) => (connect(self.publisher), Some(attempt)),
                // Not yet: no number of attempts is too large.
                Err(_) => return Ok(None),
            },
        };
        let answered = line.and_then(|mut line| {
            line.get_mut().write_all(format!("{query}\n").as_bytes())?;
            answer(&mut line).map(|answer| (line, answer))
        });
        match answered {
            Ok((line, answer)) => {
                // Whoever is turned away is connected for a moment: only an answer is a success.
                if let Some(attempt) = attempt {
                    attempt.success();
                }
                self.line = Some(line);
                Ok(Some(answer))
            }
            Err(error) if error.is_gone() => {
                if let Some(attempt) = attempt {
                    attempt.failure();
                } else {
                    self.broken += 1;
                    self.reconnect.broken();
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn connect(publisher: SocketAddr) -> Result<BufReader<TcpStream>, FeedError> {
    let stream = TcpStream::connect_timeout(&publisher, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// A line with its end; without, the connection is gone.
fn next_line(line: &mut BufReader<TcpStream>) -> Result<String, FeedError> {
    let mut text = String::new();
    line.by_ref().take(LONGEST_LINE).read_line(&mut text)?;
    if text.ends_with('\n') {
        Ok(text)
    } else {
        Err(FeedError::Io(std::io::ErrorKind::UnexpectedEof.into()))
    }
}
