//! Resilience primitives that are the same object for tasks of any executor, for plain threads and
//! on bare metal: what they decide takes the time as an argument, what they share is a word of
//! atomics or lies under a fine lock, and whoever waits stands in one fair line, with `.await` or with `.wait()`.
//!
//! This crate is the five behind one name, each a feature and a module of its own: [`token_bucket`],
//! [`circuit_breaker`], [`backoff`], [`sequence_tracker`] and [`deduplicator`]. The clocks and timers beside
//! them come from `steadfast-core`, where the features `tsc`, `tokio`, `async-io` and `embedded-hal-async`
//! each add one; none is a default.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "async-io")]
pub use steadfast_core::AsyncIoClock;
#[cfg(feature = "embedded-hal-async")]
pub use steadfast_core::DelayTimer;
#[cfg(feature = "wait")]
pub use steadfast_core::FnTimer;
#[cfg(feature = "std")]
pub use steadfast_core::ManualClock;
#[cfg(feature = "tokio")]
pub use steadfast_core::TokioClock;
#[cfg(feature = "tsc")]
pub use steadfast_core::TscClock;
#[cfg(feature = "wait")]
pub use steadfast_core::wait::LineStats;
pub use steadfast_core::{Clock, CoarseClock, Instant, SystemClock, Timer};

#[cfg(feature = "backoff")]
pub use steadfast_backoff as backoff;
#[cfg(feature = "circuit-breaker")]
pub use steadfast_circuit_breaker as circuit_breaker;
#[cfg(feature = "deduplicator")]
pub use steadfast_deduplicator as deduplicator;
#[cfg(feature = "sequence-tracker")]
pub use steadfast_sequence_tracker as sequence_tracker;
#[cfg(feature = "token-bucket")]
pub use steadfast_token_bucket as token_bucket;

/// The README's examples.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
