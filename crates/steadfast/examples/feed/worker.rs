//! One worker: get leave, ask, check the answer, again. As a thread and as a task it is the same
//! loop over the same bucket; `.wait()` and `.await` are the difference.

use std::sync::Arc;
use std::time::Duration;

use steadfast::token_bucket::AcquireError;
use steadfast::{Clock, Instant, SystemClock};

use crate::client::{Client, FeedError, Kind, NAME, Outcome};
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
}

impl Worker {
    pub(crate) fn new(client: Arc<Client>, symbol: &'static str) -> Self {
        Self { client, symbol, sequence: 0, waits: Vec::new(), quoted: 0 }
    }

    pub(crate) fn run_as_thread(mut self) -> Outcome {
        let result = self.work_as_thread();
        self.outcome(Kind::Thread, result)
    }

    pub(crate) async fn run_as_task(mut self) -> Outcome {
        let result = self.work_as_task().await;
        self.outcome(Kind::Task, result)
    }

    fn work_as_thread(&mut self) -> Result<(), FeedError> {
        let mut link = ThreadLink::connect(self.client.server)?;
        self.greeted(link.ask(NAME)?)?;
        loop {
            let asked = SystemClock.now();
            let granted = self.client.leave().wait();
            if !self.may_go_on(asked, granted)? {
                return Ok(());
            }
            self.quoted(link.ask(Request::Get(self.symbol))?)?;
        }
    }

    async fn work_as_task(&mut self) -> Result<(), FeedError> {
        let mut link = TaskLink::connect(self.client.server).await?;
        self.greeted(link.ask(NAME).await?)?;
        loop {
            let asked = SystemClock.now();
            let granted = self.client.leave().await;
            if !self.may_go_on(asked, granted)? {
                return Ok(());
            }
            self.quoted(link.ask(Request::Get(self.symbol)).await?)?;
        }
    }

    /// The quota is that of the client's bucket.
    fn greeted(&mut self, reply: Reply) -> Result<(), FeedError> {
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

    /// The quote is of this symbol, newer than the last, and a price.
    fn quoted(&mut self, reply: Reply) -> Result<(), FeedError> {
        match reply {
            Reply::Quote(quote)
                if quote.symbol == self.symbol
                    && quote.sequence > self.sequence
                    && quote.bid < quote.ask =>
            {
                self.sequence = quote.sequence;
                self.quoted += 1;
                Ok(())
            }
            other => Err(FeedError::Unexpected(other.to_string())),
        }
    }

    fn outcome(self, kind: Kind, result: Result<(), FeedError>) -> Outcome {
        if result.is_err() {
            // The others stop as well: their leave fails, for those who wait for it at once.
            self.client.bucket.close();
        }
        Outcome { kind, waits: self.waits, quoted: self.quoted, result }
    }
}
