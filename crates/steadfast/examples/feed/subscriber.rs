//! The subscriber of ticks: it must end up with all of them, in order, whatever happened on the way.
//!
//! A tracker says what each number is, what is missing, and when to ask for it. What came too early is
//! kept until everything before it is there. A session is over when a later one has begun: then its last
//! number is asked for, and the later one waits until everything up to that has come. The tracker knows
//! sessions by their epochs: what comes of an earlier one is too old for it, and its numbers begin again
//! with a later one.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast::sequence_tracker::{Arrival, Config, Due, SequenceTracker, Stats};
use steadfast::{Clock, Instant, SystemClock, backoff};

use crate::error::FeedError;
use crate::link::PATIENCE;
use crate::recovery::Recovery;
use crate::ticks::{Standing, Tick};

/// Later than a tick that was merely overtaken, and then again, for as long as need be.
const ASK_AGAIN: backoff::Config = backoff::Config::exponential(Duration::from_millis(5))
    .cap(Duration::from_millis(100))
    .unlimited();

/// So long without a datagram, and the session may be over.
const QUIET: Duration = Duration::from_millis(10);

/// What was delivered, for all to see.
pub(crate) type Sink = Arc<Mutex<Delivered>>;

/// What the subscriber got.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// In this order.
    pub(crate) ticks: Vec<Tick>,
    pub(crate) stats: Stats,
    /// Gaps that opened, and the largest.
    pub(crate) gaps: u64,
    pub(crate) largest: u64,
    /// Sessions that were begun.
    pub(crate) sessions: u64,
    /// How often the line to the publisher was gone.
    pub(crate) broken: u64,
}

/// The state of a subscription.
#[derive(Debug)]
pub(crate) struct Subscriber {
    socket: UdpSocket,
    recovery: Recovery,
    tracker: SequenceTracker,
    /// The session that is being received.
    epoch: u64,
    /// Ticks that came before others of their session.
    early: BTreeMap<u64, Tick>,
    /// Ticks of sessions that have not begun here.
    later: Vec<Tick>,
    sink: Sink,
    /// When the publisher was last heard of, or asked.
    heard: Instant,
}

impl Subscriber {
    pub(crate) fn new(publisher: SocketAddr, sink: Sink) -> Result<Self, FeedError> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let tracker = Config::new().starts_at(1).max_gaps(1_024).request(ASK_AGAIN).build();
        let tracker = tracker.map_err(FeedError::Tracker)?;
        Ok(Self {
            socket,
            recovery: Recovery::new(publisher),
            tracker,
            epoch: 0,
            early: BTreeMap::new(),
            later: Vec::new(),
            sink,
            heard: SystemClock.now(),
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receives until everything has come, which takes no longer than until a while after `ends`.
    pub(crate) fn run(mut self, ends: Instant) -> Result<(), FeedError> {
        while SystemClock.now() < ends.saturating_add(PATIENCE) {
            self.receive()?;
            self.ask_again()?;
            let is_complete = self.may_be_over() && self.finish_session()?;
            let mut sink = lock(&self.sink);
            sink.stats = self.tracker.stats();
            sink.broken = self.recovery.broken();
            if is_complete {
                return Ok(());
            }
        }
        Err(FeedError::Incomplete(PATIENCE))
    }

    /// One datagram, or none for a millisecond.
    fn receive(&mut self) -> Result<(), FeedError> {
        let mut bytes = [0; 128];
        let length = match self.socket.recv(&mut bytes) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(FeedError::Io(error)),
        };
        self.heard = SystemClock.now();
        let text = String::from_utf8_lossy(&bytes[..length]);
        let Some(tick) = Tick::parse(&text) else {
            return Err(FeedError::Unexpected(text.into_owned()));
        };
        self.take(tick);
        Ok(())
    }

    /// A tick, wherever it came from.
    fn take(&mut self, tick: Tick) {
        if tick.epoch > self.epoch {
            self.later.push(tick);
            return;
        }
        let missing = self.tracker.missing_count();
        let arrival = self.tracker.record_in(tick.epoch, tick.number);
        if arrival.is_fresh() {
            self.early.insert(tick.number, tick);
        }
        let opened = match arrival {
            // All that was missing belonged to the session before.
            Arrival::Reset { missing, .. } => missing,
            _ => self.tracker.missing_count().saturating_sub(missing),
        };
        if opened > 0 {
            let mut sink = lock(&self.sink);
            sink.gaps += 1;
            sink.largest = sink.largest.max(opened);
        }
        self.deliver();
    }

    /// Delivers what everything before has come of.
    fn deliver(&mut self) {
        let Some(through) = self.tracker.contiguous_through() else { return };
        let mut sink = lock(&self.sink);
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= through) {
            sink.ticks.push(entry.remove());
        }
    }

    /// Asks for exactly what is missing, when it is time.
    fn ask_again(&mut self) -> Result<(), FeedError> {
        for due in self.tracker.due() {
            if let Due::Request { run, .. } = due {
                for tick in self.recovery.range(self.epoch, run.first, run.last)? {
                    self.take(tick);
                }
            }
        }
        Ok(())
    }

    /// Whether to ask if the session is over: now and then.
    fn may_be_over(&mut self) -> bool {
        let now = SystemClock.now();
        let is_quiet = now.saturating_duration_since(self.heard) >= QUIET;
        if is_quiet {
            self.heard = now;
        }
        is_quiet || !self.later.is_empty()
    }

    /// Goes on to the next session if everything of this one has come. Says whether that was the last.
    fn finish_session(&mut self) -> Result<bool, FeedError> {
        let Some(Standing::Over { last, next }) = self.recovery.standing(self.epoch)? else {
            return Ok(false);
        };
        // What was lost at the very end shows in no later number.
        self.tracker.announce(last).map_err(|error| FeedError::Unexpected(error.to_string()))?;
        if self.tracker.contiguous_through() < Some(last) {
            return Ok(false);
        }
        let Some(next) = next else { return Ok(true) };
        // The tracker begins a session with a tick of it, whichever that is.
        let mut begun = std::mem::take(&mut self.later);
        if begun.iter().all(|tick| tick.epoch != next) {
            begun.extend(self.recovery.range(next, 1, 1)?);
        }
        if begun.iter().any(|tick| tick.epoch == next) {
            self.epoch = next;
            lock(&self.sink).sessions += 1;
        }
        for tick in begun {
            self.take(tick);
        }
        Ok(false)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

pub(crate) fn lock(sink: &Sink) -> MutexGuard<'_, Delivered> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    use crate::faults::Faults;
    use crate::plan::{Fate, Plan, Session};
    use crate::publisher::Publisher;

    #[test]
    fn what_is_lost_at_either_end_of_a_session_is_delivered_and_a_session_that_is_lost_altogether()
    {
        let begins = |ms| Duration::from_millis(ms);
        let plan = Plan {
            sessions: vec![
                Session { epoch: 3, begins: begins(0), ticks: 20 },
                Session { epoch: 7, begins: begins(20), ticks: 4 },
                Session { epoch: 8, begins: begins(30), ticks: 20 },
            ],
            // Late ones of the first session come when the second has begun; the third has 24 to 43.
            fates: [(0, Fate::Lost), (5, Fate::Twice), (17, Fate::Late(4)), (19, Fate::Lost)]
                .into_iter()
                .chain((20..24).map(|tick| (tick, Fate::Lost)))
                .chain([(24, Fate::Late(2)), (30, Fate::Lost), (43, Fate::Lost)])
                .collect(),
            ..Plan::new(0, Duration::ZERO, Faults::NONE)
        };
        let publisher = Publisher::open().expect("a port");
        let sink = Sink::default();
        let subscriber = Subscriber::new(publisher.recovery(), Arc::clone(&sink)).expect("a port");
        let address = subscriber.address().expect("it is bound");
        let publishing = publisher.clone();
        let published = thread::spawn(move || publishing.publish(address, &plan));
        subscriber.run(SystemClock.now()).expect("it is complete in time");
        published.join().expect("no panic").expect("a port");
        let delivered = lock(&sink);
        assert_eq!(delivered.ticks, publisher.published());
        assert_eq!((delivered.ticks.len(), delivered.sessions), (44, 3));
    }
}
