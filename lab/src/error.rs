//! Why there is no answer.

use crate::plot::DrawError;
use crate::trace::TraceError;

/// Why there is no answer: a configuration that cannot be, in its crate's own words, or a file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Error {
    #[error(transparent)]
    Bucket(#[from] steadfast_token_bucket::ConfigError),
    #[error(transparent)]
    Breaker(#[from] steadfast_circuit_breaker::ConfigError),
    #[error(transparent)]
    Backoff(#[from] steadfast_backoff::ConfigError),
    #[error(transparent)]
    Gaps(#[from] steadfast_sequence_tracker::ConfigError),
    #[error(transparent)]
    Dedup(#[from] steadfast_deduplicator::ConfigError),
    #[error(transparent)]
    Trace(#[from] TraceError),
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// What only this program forbids.
    #[error("{0}")]
    Usage(String),
}
