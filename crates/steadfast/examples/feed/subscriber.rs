//! The subscriber of ticks: it must end up with all of them, in order, whatever happened on the way.
//!
//! A tracker says what each number is, what is missing, and when to ask for it. What came too early is
//! kept until everything before it is there. A session is over when a later one has begun: then its last
//! number is asked for, and the later one waits until everything up to that has come.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use steadfast::sequence_tracker::{Config, Due, SequenceTracker, Stats};
use steadfast::{Clock, Instant, SystemClock, backoff};

use crate::client::FeedError;
use crate::ticks::{Checksum, Query, Tick};

/// Later than a tick that was merely overtaken, and then again, for as long as need be.
const ASK_AGAIN: backoff::Config = backoff::Config::exponential(Duration::from_millis(4))
    .cap(Duration::from_millis(100))
    .unlimited();

/// How long the last tick may take to come after the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// What it got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    /// Of all ticks, in order.
    pub(crate) checksum: Checksum,
    pub(crate) stats: Stats,
    /// Gaps that opened, and the largest.
    pub(crate) gaps: u64,
    pub(crate) largest: u64,
}

/// The state of a subscription.
#[derive(Debug)]
pub(crate) struct Subscriber {
    socket: UdpSocket,
    tracker: SequenceTracker,
    session: u64,
    /// Ticks that came before others of their session.
    early: BTreeMap<u64, Tick>,
    /// Ticks of sessions that have not begun here.
    later: Vec<Tick>,
    checksum: Checksum,
    gaps: u64,
    largest: u64,
}

impl Subscriber {
    pub(crate) fn new() -> Result<Self, FeedError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let tracker = Config::new().starts_at(1).max_gaps(1_024).request(ASK_AGAIN).build();
        let tracker = tracker.map_err(FeedError::Tracker)?;
        let (early, later, checksum) = (BTreeMap::new(), Vec::new(), Checksum::NONE);
        Ok(Self { socket, tracker, session: 1, early, later, checksum, gaps: 0, largest: 0 })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receives until `ends`, and then until everything has come. `end` ends the publisher.
    pub(crate) fn run(
        mut self,
        recovery: SocketAddr,
        ends: Instant,
        end: impl Fn(),
    ) -> Result<Delivered, FeedError> {
        let mut recovery = Recovery::connect(recovery)?;
        while SystemClock.now() < ends {
            self.receive()?;
            self.ask_again(&mut recovery)?;
            if self.later.is_empty() || !self.finish_session(&mut recovery)? {
                continue;
            }
            self.begin_session();
        }
        end();
        let patience = ends.saturating_add(PATIENCE);
        while SystemClock.now() < patience {
            self.receive()?;
            self.ask_again(&mut recovery)?;
            if self.finish_session(&mut recovery)? {
                if self.later.is_empty() {
                    break;
                }
                self.begin_session();
            }
        }
        let Self { checksum, gaps, largest, .. } = self;
        Ok(Delivered { checksum, stats: self.tracker.stats(), gaps, largest })
    }

    /// One datagram, or none for a millisecond.
    fn receive(&mut self) -> Result<(), FeedError> {
        let mut bytes = [0; 128];
        let length = match self.socket.recv(&mut bytes) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(FeedError::Io(error)),
        };
        let text = String::from_utf8_lossy(&bytes[..length]);
        let Some(tick) = Tick::parse(&text) else {
            return Err(FeedError::Unexpected(text.into_owned()));
        };
        self.take(tick);
        Ok(())
    }

    /// A tick, wherever it came from.
    fn take(&mut self, tick: Tick) {
        if tick.session > self.session {
            self.later.push(tick);
        }
        if tick.session != self.session {
            return;
        }
        let missing = self.tracker.missing_count();
        if self.tracker.record(tick.number).is_fresh() {
            self.early.insert(tick.number, tick);
        }
        let opened = self.tracker.missing_count().saturating_sub(missing);
        if opened > 0 {
            self.gaps += 1;
            self.largest = self.largest.max(opened);
        }
        self.deliver();
    }

    /// Delivers what everything before has come of.
    fn deliver(&mut self) {
        let Some(through) = self.tracker.contiguous_through() else { return };
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= through) {
            self.checksum.add(entry.remove());
        }
    }

    /// Asks for exactly what is missing, when it is time.
    fn ask_again(&mut self, recovery: &mut Recovery) -> Result<(), FeedError> {
        for due in self.tracker.due() {
            if let Due::Request { run, .. } = due {
                for tick in recovery.range(self.session, run.first, run.last)? {
                    self.take(tick);
                }
            }
        }
        Ok(())
    }

    /// Whether everything of the session has come, which is over.
    fn finish_session(&mut self, recovery: &mut Recovery) -> Result<bool, FeedError> {
        let last = recovery.last(self.session)?;
        if last == 0 {
            return Ok(false);
        }
        // What was lost at the very end shows in no later number.
        self.tracker.announce(last).map_err(|error| FeedError::Unexpected(error.to_string()))?;
        Ok(self.tracker.contiguous_through() >= Some(last))
    }

    fn begin_session(&mut self) {
        self.session += 1;
        self.tracker.reset();
        for tick in std::mem::take(&mut self.later) {
            self.take(tick);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// The connection on which lost ticks are asked for.
struct Recovery(BufReader<TcpStream>);

impl Recovery {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn range(&mut self, session: u64, first: u64, last: u64) -> Result<Vec<Tick>, FeedError> {
        self.ask(Query::Range { session, first, last })?;
        (first..=last)
            .map(|_| {
                let line = self.line()?;
                Tick::parse(&line).ok_or(FeedError::Unexpected(line))
            })
            .collect()
    }

    /// 0 as long as the session goes on.
    fn last(&mut self, session: u64) -> Result<u64, FeedError> {
        self.ask(Query::Last { session })?;
        let line = self.line()?;
        line.trim().parse().map_err(|_| FeedError::Unexpected(line))
    }

    fn ask(&mut self, query: Query) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{query}\n").as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line)
    }
}
