//! One worker: connect when it is time, get leave, ask, check the answer, again. As a thread and as a
//! task it is the same loop over the same backoff and bucket; `.wait()` and `.await` are the
//! difference.

use std::sync::Arc;
use std::time::Duration;

use steadfast::backoff::{self, Attempt, Backoff};
use steadfast::circuit_breaker::{self, CircuitBreaker, Permit};
use steadfast::token_bucket::AcquireError;
use steadfast::{Clock, Instant, SystemClock};

use crate::client::{Client, Kind, NAME, Outcome};
use crate::error::FeedError;
use crate::link::{TaskLink, ThreadLink};
use crate::protocol::{Reply, Request};

/// The state of a worker between two requests.
#[derive(Debug)]
pub(crate) struct Worker {
    client: Arc<Client>,
    symbol: &'static str,
    /// The sequence number of the last quote.
    sequence: u64,
    waits: Vec<Duration>,
    quoted: u64,
    connections: u64,
}

impl Worker {
    pub(crate) fn new(client: Arc<Client>, symbol: &'static str) -> Self {
        Self { client, symbol, sequence: 0, waits: Vec::new(), quoted: 0, connections: 0 }
    }

    pub(crate) fn run_as_thread(mut self) -> Result<(), FeedError> {
        let result = self.work_as_thread();
        self.end(Kind::Thread, result)
    }

    pub(crate) async fn run_as_task(mut self) -> Result<(), FeedError> {
        let result = self.work_as_task().await;
        self.end(Kind::Task, result)
    }

    fn work_as_thread(&mut self) -> Result<(), FeedError> {
        let client = Arc::clone(&self.client);
        while let Some(attempt) = may_connect(client.turn_to_connect().wait())? {
            let connected = ThreadLink::connect(client.server)
                .and_then(|mut link| link.ask(NAME).map(|reply| (link, reply)));
            let Some(mut link) = self.connected(attempt, connected)? else { continue };
            loop {
                let asked = SystemClock.now();
                let granted = client.leave().wait();
                if !self.may_go_on(asked, granted)? {
                    return Ok(());
                }
                let Some(permit) = may_call(client.permit().wait())? else { return Ok(()) };
                let reply = link.ask(self.request(&permit));
                if !self.answered(permit, reply)? {
                    client.reconnect.broken();
                    break;
                }
            }
        }
        Ok(())
    }

    async fn work_as_task(&mut self) -> Result<(), FeedError> {
        let client = Arc::clone(&self.client);
        while let Some(attempt) = may_connect(client.turn_to_connect().await)? {
            let connected = match TaskLink::connect(client.server).await {
                Ok(mut link) => link.ask(NAME).await.map(|reply| (link, reply)),
                Err(error) => Err(error),
            };
            let Some(mut link) = self.connected(attempt, connected)? else { continue };
            loop {
                let asked = SystemClock.now();
                let granted = client.leave().await;
                if !self.may_go_on(asked, granted)? {
                    return Ok(());
                }
                let Some(permit) = may_call(client.permit().await)? else { return Ok(()) };
                let reply = link.ask(self.request(&permit)).await;
                if !self.answered(permit, reply)? {
                    client.reconnect.broken();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reports on an attempt to connect. `None` if the server is away.
    fn connected<L>(
        &mut self,
        attempt: Attempt<&Backoff>,
        connected: Result<(L, Reply), FeedError>,
    ) -> Result<Option<L>, FeedError> {
        match connected {
            Ok((link, reply)) => {
                self.greeted(reply)?;
                self.client.connected(attempt);
                self.connections += 1;
                Ok(Some(link))
            }
            Err(error) if error.is_gone() => {
                attempt.failure();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The quota is that of the client's bucket.
    fn greeted(&self, reply: Reply) -> Result<(), FeedError> {
        match reply {
            Reply::Quota(quota) if quota == self.client.quota => Ok(()),
            other => Err(FeedError::Unexpected(other.to_string())),
        }
    }

    /// Whether leave was given that was asked for at `asked`.
    fn may_go_on(
        &mut self,
        asked: Instant,
        granted: Result<(), AcquireError>,
    ) -> Result<bool, FeedError> {
        match granted {
            Ok(()) => {
                let now = SystemClock.now();
                self.waits.push(now.saturating_duration_since(asked));
                // A deadline ends waiting; what is there at once is granted after it as well.
                Ok(now < self.client.ends)
            }
            // The end of the run; or another worker failed, and says why.
            Err(AcquireError::TimedOut { .. } | AcquireError::Closed) => Ok(false),
            Err(error) => Err(FeedError::Acquire(error)),
        }
    }

    /// The server learns which requests only ask how it is.
    fn request(&self, permit: &Permit<&CircuitBreaker>) -> Request<'static> {
        if permit.is_probe() { Request::Probe(self.symbol) } else { Request::Get(self.symbol) }
    }

    /// Reports on a call: the quote is of this symbol, newer than the last, and a price; or the
    /// server is not well. `false` if there was no answer, because the connection is gone: that is
    /// the backoff's matter, and says nothing about how the server is.
    fn answered(
        &mut self,
        permit: Permit<&CircuitBreaker>,
        reply: Result<Reply, FeedError>,
    ) -> Result<bool, FeedError> {
        match reply {
            Ok(Reply::Quote(quote))
                if quote.symbol == self.symbol
                    && quote.sequence > self.sequence
                    && quote.bid < quote.ask =>
            {
                permit.success();
                self.sequence = quote.sequence;
                self.quoted += 1;
                Ok(true)
            }
            Ok(Reply::Busy) => {
                permit.failure();
                Ok(true)
            }
            Ok(other) => Err(FeedError::Unexpected(other.to_string())),
            Err(error) if error.is_gone() => {
                permit.ignore();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn end(self, kind: Kind, result: Result<(), FeedError>) -> Result<(), FeedError> {
        if result.is_err() {
            // The others stop as well: their leave fails, for those who wait for it at once.
            self.client.bucket.close();
            self.client.reconnect.stop();
        }
        let reconnects = self.connections.saturating_sub(1);
        self.client.ended(Outcome { kind, waits: self.waits, quoted: self.quoted, reconnects });
        result
    }
}

/// Leave to connect; `None` if the run is over, or another worker failed, and says why.
fn may_connect<A>(turn: Result<A, backoff::AcquireError>) -> Result<Option<A>, FeedError> {
    match turn {
        Ok(attempt) => Ok(Some(attempt)),
        Err(backoff::AcquireError::TimedOut { .. } | backoff::AcquireError::Stopped) => Ok(None),
        Err(error) => Err(FeedError::Reconnect(error)),
    }
}

/// Leave to call; `None` if the run is over before the server is well.
fn may_call<P>(permit: Result<P, circuit_breaker::AcquireError>) -> Result<Option<P>, FeedError> {
    match permit {
        Ok(permit) => Ok(Some(permit)),
        Err(circuit_breaker::AcquireError::TimedOut { .. }) => Ok(None),
        Err(error) => Err(FeedError::Permit(error)),
    }
}
