//! Resilience primitives that are the same object for tasks of any executor, for plain threads and
//! on bare metal: what they decide takes the time as an argument, what they share is a word of
//! atomics or lies under a fine lock, and whoever waits stands in one fair line, with `.await` or with `.wait()`.
//!
//! ```text
//!                  ┌─── backoff ◀───────────── it failed ────────────┐
//!                  │    "again, in 83 ms"                            │
//!                  ▼                                                 │
//!   call ──▶ token bucket ──────────▶ circuit breaker ──────────▶ network
//!            "now, or in 3 ms"        "yes, or not for 5 s"          │
//!                                                                    │ messages
//!   handler ◀── deduplicator ◀──────── sequence tracker ◀────────────┘
//!               "new, or done before"  "next, or late; 7 and 8 are missing"
//! ```
//!
//! | you want | module | its page has a recipe for |
//! |---|---|---|
//! | to keep within a quota | [`token_bucket`] | a client under two quotas, a limit for each client of a server |
//! | not to call what is down | [`circuit_breaker`] | one breaker a host, and the order: retry, token, breaker, call |
//! | to try again, politely | [`backoff`] | reconnecting for ever, a budget for retries |
//! | to know what is missing | [`sequence_tracker`] | an order book after a gap, RTP, QUIC, FIX, `MoldUDP64` |
//! | to do once what is told twice | [`deduplicator`] | exactly-once handlers, idempotency keys |
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
