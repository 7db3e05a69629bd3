//! The client: threads and tasks, each with a connection of its own, that share one bucket, one
//! backoff and one breaker.
//!
//! The bucket is built from what the server publishes, by the recipe of [`margin`](crate::margin).
//! Nothing else keeps the workers within the quota.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use steadfast::backoff::{self, Attempt, Backoff, Jitter, Policy};
use steadfast::circuit_breaker::{self, CircuitBreaker, Window};
use steadfast::token_bucket::{Acquire, TokenBucket};
use steadfast::{Clock, Instant, SystemClock};
use tokio::runtime::Runtime;

use crate::error::FeedError;
use crate::link::ThreadLink;
use crate::margin::Margin;
use crate::parts::Parts;
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

/// How many requests beside these reach a server that has become unwell, at most: 25 failures in a window
/// of 50 calls open the breaker, if not fewer in a row do, and all other workers have one on its way.
pub(crate) const IN_VAIN: u64 = 25 + THREADS + TASKS - 1;

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
    outcomes: Mutex<Vec<Outcome>>,
    pub(crate) started: Instant,
    pub(crate) ends: Instant,
}

/// Which kind of worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Task,
}

/// What a worker has done.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// How long each grant took.
    pub(crate) waits: Vec<Duration>,
    /// How many quotes it got.
    pub(crate) quoted: u64,
    /// How many connections it made after its first.
    pub(crate) reconnects: u64,
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
        let breaker = BREAKER.build().map_err(FeedError::Breaker)?;
        let reconnect = Backoff::new(RECONNECT);
        let (longest_chain, outcomes) = (AtomicU32::new(0), Mutex::default());
        Ok(Self {
            server,
            quota,
            margin,
            bucket,
            reconnect,
            breaker,
            longest_chain,
            outcomes,
            started,
            ends,
        })
    }

    /// Starts all workers.
    pub(crate) fn start(self: &Arc<Self>, runtime: &Runtime, parts: &mut Parts) -> io::Result<()> {
        let symbols = SYMBOLS.iter().cycle();
        let mut workers = symbols.map(|(symbol, _)| Worker::new(Arc::clone(self), symbol));
        for (_, worker) in (0..THREADS).zip(workers.by_ref()) {
            parts.thread("worker thread", || worker.run_as_thread())?;
        }
        for (_, worker) in (0..TASKS).zip(workers) {
            parts.task(runtime, "worker task", worker.run_as_task());
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

    pub(crate) fn ended(&self, outcome: Outcome) {
        self.outcomes().push(outcome);
    }

    /// Of the workers that have ended.
    pub(crate) fn outcomes(&self) -> MutexGuard<'_, Vec<Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it has been at work.
    pub(crate) fn elapsed(&self) -> Duration {
        SystemClock.now().saturating_duration_since(self.started)
    }
}
