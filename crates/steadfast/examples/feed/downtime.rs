//! What the breaker did, from its own account of it.

use std::time::Duration;

use steadfast::Instant;
use steadfast::circuit_breaker::{Changes, Observed, Phase};

/// Adds up how long calls were held back.
#[derive(Debug)]
pub(crate) struct Downtime {
    changes: Changes,
    /// It has not been closed since.
    down_since: Option<Instant>,
    total: Duration,
    trips: u64,
    /// Changes that came faster than they were read.
    missed: u64,
}

impl Downtime {
    pub(crate) fn new(changes: Changes) -> Self {
        Self { changes, down_since: None, total: Duration::ZERO, trips: 0, missed: 0 }
    }

    /// Reads what has happened since.
    pub(crate) fn catch_up(&mut self) {
        while let Some(Observed { change, missed, .. }) = self.changes.try_next() {
            self.missed += missed;
            if change.to == Phase::Open {
                self.trips += u64::from(change.from == Phase::Closed);
                self.down_since.get_or_insert(change.at);
            }
            if change.to == Phase::Closed {
                if let Some(since) = self.down_since.take() {
                    self.total += change.at.saturating_duration_since(since);
                }
            }
        }
    }

    /// How often the breaker opened, after it had been closed.
    pub(crate) fn trips(&self) -> u64 {
        self.trips
    }

    /// How long it was not closed, up to the last change.
    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}
