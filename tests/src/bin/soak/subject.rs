//! What the five primitives have in common.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fastrand::Rng;

use crate::backoff::BackoffSoak;
use crate::breaker::BreakerSoak;
use crate::bucket::BucketSoak;
use crate::claims::DedupSoak;
use crate::laws::Tally;
use crate::tracker::TrackerSoak;
use crate::weather::Weather;
use crate::worker::Worker;

pub(crate) const NAMES: [&str; 5] =
    ["token-bucket", "circuit-breaker", "backoff", "sequence-tracker", "deduplicator"];

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One object of a primitive, for one life.
pub(crate) trait Subject: Send + Sync {
    /// A turn begins; nobody is at work.
    fn begin(&self, weather: Weather);

    /// What one worker does in it, until it is to end.
    fn work(self: Arc<Self>, worker: Worker) -> Work;

    /// One step of the clock, and of whoever else disturbs. (Not while it is still.)
    fn disturb(&self, random: &mut Rng);

    /// Those who wait are to come to their end. Called again and again, until they have. (Not while it is
    /// still: there everybody who waits is served by those who give back.)
    fn release(&self);

    /// The end of a life, under those who work: if it can be closed, it is.
    fn close(&self) {}

    /// The turn is over, and nobody is at work: all laws hold.
    fn settle(&self);
}

pub(crate) fn subject(tally: &Arc<Tally>, random: &mut Rng) -> Arc<dyn Subject> {
    let tally = Arc::clone(tally);
    match tally.name {
        "token-bucket" => Arc::new(BucketSoak::new(tally)),
        "circuit-breaker" => Arc::new(BreakerSoak::new(tally, random)),
        "backoff" => Arc::new(BackoffSoak::new(tally, random)),
        "sequence-tracker" => Arc::new(TrackerSoak::new(tally)),
        _ => Arc::new(DedupSoak::new(tally, random)),
    }
}
