//! A token bucket: so many requests per period, with bursts, shared by threads and tasks.
//!
//! It answers "may I, now?" in a few nanoseconds from one 64-bit word, it is exact at every rate,
//! and it can be waited for: with `.await` on any executor, with `.wait()` on a thread, both in one
//! fair line.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_token_bucket::{Config, Rate, TokenBucket};
//!
//! // 100 a second on average, at most 20 at once. Invalid numbers do not compile.
//! static LIMIT: TokenBucket = Config::new(Rate::per_second(100)).burst(20).build_static();
//!
//! LIMIT.try_acquire(1)?;                                      // now, or a refusal that says when
//! LIMIT.acquire(3).wait()?;                                   // this thread waits its turn
//! let send = async { LIMIT.acquire(3).await };                // so does a task, on any executor
//! LIMIT.acquire(1).timeout(Duration::from_millis(50)).wait()?; // or fails, at once if it must
//! # futures::executor::block_on(send)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The machine
//!
//! ```text
//!         rate                     try_acquire(n)   at least n there?  ── yes ─▶ granted, taken
//!          │                                              │
//!          ▼                                              no ─▶ Denied { retry_at }: nothing written
//!   ┌─────────────┐
//!   │ ░░░░░░░░░░░ │ ◀── burst        acquire(n)       nobody waits, n there? ── yes ─▶ granted
//!   │ ▓▓▓▓▓▓▓▓▓▓▓ │ ◀── available                           │
//!   └─────────────┘                                         no ─▶ join the line, called in order
//! ```
//!
//! In any span of time it grants at most `burst + rate × span` tokens, and under continuous demand
//! never falls more than one token behind that: as exact fractions, without drift. The pure machine
//! is [`state::State`]; its page has the bit picture, the transitions, and what a misbehaving clock
//! can do at worst.
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | one limit | [`TokenBucket`] |
//! | 100 a second AND 1,200 a minute | [`LimitSet`] |
//! | a limit per user, host or symbol | [`Keyed`] |
//! | tokens at a nanosecond each, in a hot loop | [`Lease`] |
//! | a stream slowed down | [`Throttle`] |
//! | no atomics, a simulation, a model checker | [`state::State`] |
//!
//! # When not to use it
//!
//! - To bound how many requests run **at the same time**: that is a semaphore.
//! - To enforce one limit across several machines: it is shared within a process.
//! - For a server that counts in fixed or sliding windows of length *w* and refuses above *l*:
//!   choose `burst + rate × (w + jitter) ≤ l`; a bucket of burst *l* and rate *l/w* admits up to
//!   twice as much in one window.
//!
//! # Features
//!
//! | feature | what is there |
//! |---|---|
//! | none | [`TokenBucket`] with the `*_at` methods and `try_*` on a clock of yours, [`Lease`], [`state`]; no allocation |
//! | `alloc` | the same |
//! | `wait` | `acquire(..).await` with a timer of yours, [`LimitSet`], [`Throttle`] |
//! | `std` (default) | the system clock, `.wait()`, [`Keyed`] |
//! | `portable-atomic` | targets without 64-bit atomics; the back end is the final binary's choice |
//! | `serde` | [`Config`] as data: `{"tokens": 100, "per": "1s", "burst": 20}` |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod atomic;
mod config;
#[cfg(feature = "serde")]
mod data;
mod error;
#[cfg(feature = "std")]
mod keyed;
mod lease;
#[cfg(feature = "wait")]
mod limit_set;
pub mod state;
#[cfg(feature = "wait")]
mod throttle;
#[cfg(feature = "wait")]
mod wait;

pub use crate::atomic::{Stats, TokenBucket};
pub use crate::config::{Config, ConfigError, Rate};
#[cfg(feature = "wait")]
pub use crate::error::AcquireError;
pub use crate::error::TryAcquireError;
#[cfg(feature = "std")]
pub use crate::keyed::{Key, Keyed, KeyedBuilder, KeyedError, SetLimitError};
pub use crate::lease::Lease;
#[cfg(feature = "wait")]
pub use crate::limit_set::{LimitSet, take_all};
#[cfg(feature = "wait")]
pub use crate::throttle::Throttle;
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
