//! The client: threads and tasks, each with a connection of its own, that share one bucket, one
//! backoff and one breaker.
//!
//! The bucket is built from what the server publishes, by the recipe of [`margin`](crate::margin).
//! Nothing else keeps the workers within the quota.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::{fmt, io, thread};

use steadfast::backoff::{self, Attempt, Backoff, Jitter, Policy};
use steadfast::circuit_breaker::{self, CircuitBreaker, Window};
use steadfast::deduplicator;
use steadfast::sequence_tracker;
use steadfast::token_bucket::{Acquire, AcquireError, ConfigError, TokenBucket};
use steadfast::{Clock, Instant, SystemClock};
use tokio::runtime::Runtime;

use crate::link::ThreadLink;
use crate::margin::Margin;
use crate::protocol::{Quota, Reply, Request};
use crate::server::SYMBOLS;
use crate::worker::Worker;

/// The name of the account that all connections are counted on.
pub(crate) const NAME: Request<'static> = Request::Hello("feed");

/// Workers that block.
pub(crate) const THREADS: u64 = 4;
/// Workers that are tasks.
pub(crate) const TASKS: u64 = 16;

/// How often the server is called while it is away. All workers together are one caller: each waits
/// for the attempt of the other.
const RECONNECT: Policy = backoff::Config::exponential(Duration::from_millis(5))
    .cap(Duration::from_millis(80))
    .jitter(Jitter::Equal)
    .unlimited()
    .build_static();

/// How many requests at once ask a server that was not well how it is.
pub(crate) const PROBES: u32 = 2;

/// When to leave a server alone that answers but cannot help, and how to find out that it can again.
const BREAKER: circuit_breaker::Config = circuit_breaker::Config::new()
    .consecutive_failures(5)
    .failure_rate(0.5, Window::calls(50).minimum(20))
    .break_duration(Duration::from_millis(40))
    .probes(PROBES)
    .close_after(4)
    .name("quotes");

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) server: SocketAddr,
    pub(crate) quota: Quota,
    pub(crate) margin: Margin,
    pub(crate) bucket: TokenBucket,
    pub(crate) reconnect: Backoff,
    pub(crate) breaker: CircuitBreaker,
    /// The most failures in a row before a connection was made.
    longest_chain: AtomicU32,
    pub(crate) started: Instant,
    pub(crate) ends: Instant,
}

/// Which kind of worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Task,
}

/// What became of a worker.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// How long each grant took.
    pub(crate) waits: Vec<Duration>,
    /// How many quotes it got.
    pub(crate) quoted: u64,
    /// How many connections it made after its first.
    pub(crate) reconnects: u64,
    pub(crate) result: Result<(), FeedError>,
}

/// Why there is no feed.
#[derive(Debug)]
pub(crate) enum FeedError {
    Cut,
    Io(io::Error),
    Refused(String),
    Unexpected(String),
    /// The quota leaves no room for so many workers.
    NoRoom(Quota),
    Config(ConfigError),
    Breaker(circuit_breaker::ConfigError),
    Acquire(AcquireError),
    Reconnect(backoff::AcquireError),
    Permit(circuit_breaker::AcquireError),
    Tracker(sequence_tracker::ConfigError),
    Deduplicator(deduplicator::ConfigError),
    /// The subscriber, or a line to the desk.
    Panicked,
}

impl Client {
    /// Asks a server for its quota and gets ready to keep it for `length`, beginning now; or, to
    /// show that the server notices, to keep one ten times as large.
    pub(crate) fn new(
        server: SocketAddr,
        length: Duration,
        cheats: bool,
    ) -> Result<Self, FeedError> {
        let quota = match ThreadLink::connect(server)?.ask(NAME)? {
            Reply::Quota(quota) => quota,
            other => return Err(FeedError::Unexpected(other.to_string())),
        };
        let believed =
            Quota { limit: quota.limit.saturating_mul(if cheats { 10 } else { 1 }), ..quota };
        let margin = Margin::new(believed, THREADS + TASKS).ok_or(FeedError::NoRoom(quota))?;
        let bucket = margin.config().build().map_err(FeedError::Config)?;
        let started = SystemClock.now();
        let ends = started.saturating_add(length);
        let (reconnect, longest_chain) = (Backoff::new(RECONNECT), AtomicU32::new(0));
        let breaker = BREAKER.build().map_err(FeedError::Breaker)?;
        Ok(Self { server, quota, margin, bucket, reconnect, breaker, longest_chain, started, ends })
    }

    /// Starts all workers. Each sends what became of it when it is done.
    pub(crate) fn start(
        self: &Arc<Self>,
        runtime: &Runtime,
        outcomes: &Sender<Outcome>,
    ) -> Result<(), FeedError> {
        let symbols = SYMBOLS.iter().cycle();
        let mut workers = symbols.map(|(symbol, _)| Worker::new(Arc::clone(self), symbol));
        for (number, worker) in (0..THREADS).zip(workers.by_ref()) {
            let done = outcomes.clone();
            thread::Builder::new().name(format!("worker {number}")).spawn(move || {
                // Nobody listens any more only if the run was given up.
                let _nobody = done.send(worker.run_as_thread());
            })?;
        }
        for (_, worker) in (0..TASKS).zip(workers) {
            let done = outcomes.clone();
            runtime.spawn(async move {
                let _nobody = done.send(worker.run_as_task().await);
            });
        }
        Ok(())
    }

    /// Leave for one more request. It fails at once if the end comes before its turn, so that
    /// nobody overstays.
    pub(crate) fn leave(&self) -> Acquire<&TokenBucket> {
        self.bucket.acquire(1).deadline(self.ends)
    }

    /// Leave to call the server, as far as it is well. After the [leave](Client::leave) for a request:
    /// a permit should be fresh, and whoever waits here has one request under way at most, as
    /// [`margin`](crate::margin) demands.
    pub(crate) fn permit(&self) -> circuit_breaker::Acquire<&CircuitBreaker> {
        self.breaker.acquire().deadline(self.ends)
    }

    /// Leave for an attempt to connect, once the server may be called again. It fails at once if
    /// that is not before the end.
    pub(crate) fn turn_to_connect(&self) -> backoff::Acquire<&Backoff> {
        self.reconnect.acquire().deadline(self.ends)
    }

    /// A connection was made.
    pub(crate) fn connected(&self, attempt: Attempt<&Backoff>) {
        self.longest_chain.fetch_max(attempt.number(), Ordering::Relaxed);
        attempt.success();
    }

    pub(crate) fn longest_chain(&self) -> u32 {
        self.longest_chain.load(Ordering::Relaxed)
    }

    /// How long it has been at work.
    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock.now().saturating_duration_since(self.started)
    }
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
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
            Self::Panicked => f.write_str("whoever listened panicked"),
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
