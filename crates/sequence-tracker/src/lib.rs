//! Sequence tracker: what every arriving number is, and what is missing.
//!
//! For feeds of exchanges, RTP, the replay windows of QUIC, `WireGuard` and `IPsec`, producers' sequences in
//! message logs, and FIX sessions: one vocabulary, two machines.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_sequence_tracker::{Arrival, Config, Due, ReplayWindow};
//!
//! // Has this packet come before? 1,024 numbers, no allocation.
//! let mut window = ReplayWindow::<16>::new();
//! assert!(window.record(7).is_fresh());
//! assert!(!window.record(7).is_fresh());
//!
//! // What is missing? Ask again for it after 5 ms, three times.
//! let delays = steadfast_backoff::Config::exponential(Duration::from_millis(5)).max_retries(3);
//! let feed = Config::new().starts_at(1).request(delays).resync_at(1_000).build()?;
//! assert_eq!(feed.record(1), Arrival::First);
//! assert_eq!(feed.record(4), Arrival::Ahead { missing: 2, abandoned: None });
//! assert_eq!(feed.missing(), [2..=3]);
//! for due in feed.due() {
//!     if let Due::Request { run, .. } = due { /* request run.first to run.last */ }
//! }
//! // A proof that everything through 4 has come, or what is missing of it in half a second:
//! let complete = feed.acquire(4).timeout(Duration::from_millis(500));    // .await or .wait()
//! # drop(complete);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | "seen before?", for one owner | [`ReplayWindow`] |
//! | the same for many receivers at once, lock-free | [`SharedReplayWindow`] |
//! | what is missing, for one owner, without allocation | [`State`], from [`Config::state_in`] |
//! | the same for many threads and tasks, with waiting | [`SequenceTracker`], built by a [`Config`] |
//! | numbers that wrap | [`Width`] |
//! | RTP's statistics | [`Stats`], [`Jitter`], [`nacks`] |
//!
//! # What a number is
//!
//! ```text
//!        floor                       a gap           a gap      right edge   next
//!          │                           │               │            │         │
//!  ────────┴───────────────────────────┴───────────────┴────────────┴─────────┴──────▶ number
//!  too old │ █ █ █ █ █ █ █ █ █ █ █ █ █ ░ ░ █ █ █ █ █ █ ░ █ █ █ █ █ █
//!                                    │
//!                            contiguous through
//! ```
//!
//! | answer | the number | use its message? |
//! |---|---|---|
//! | [`First`](Arrival::First) | is the first | yes |
//! | [`Next`](Arrival::Next) | is the one that comes next | yes |
//! | [`Ahead`](Arrival::Ahead) | leaves some out, which are missing from now on | yes, or after them |
//! | [`Filled`](Arrival::Filled) | was missing | yes |
//! | [`Duplicate`](Arrival::Duplicate) | came before | no |
//! | [`TooOld`](Arrival::TooOld) | is below all that is remembered | no |
//! | [`Suspect`](Arrival::Suspect) | is too far away to be believed | not yet |
//! | [`Restart`](Arrival::Restart), [`Reset`](Arrival::Reset) | begins a new run | yes |
//!
//! Numbers that wrap go on below 0: of 16 bits, 65,535 is the one before it. What is there is late like any
//! other: too old, or a suspect if it is later than is [believed](Config::max_late).
//!
//! # Recipes
//!
//! | stream | how |
//! |---|---|
//! | RTP | `Config::new().width(Width::U16).max_jump(3_000).max_late(100)`; [`nacks`] of the gaps that are due |
//! | QUIC, `WireGuard`, `IPsec` | [`check`](ReplayWindow::check), authenticate, [`record`](ReplayWindow::record) |
//! | an exchange's order book | `starts_at`, `request`, `resync_at`; at [`needs_resync`](State::needs_resync), or when something is [`lost`](State::lost), fetch a snapshot, then [`resynced`](State::resynced) with its number |
//! | Binance `U`/`u`/`pu`, OKX `prevSeqId` | [`resynced`](State::resynced) with the snapshot's number, then [`record_linked`](State::record_linked), which also takes OKX's keep-alives; a link that runs backwards is an error, and OKX's way to reset: [`reset`](State::reset), then [`record`](State::record) |
//! | `MoldUDP64` | [`record_range`](State::record_range) of the message count; [`announce`](State::announce) of the number before the one that a heartbeat says comes next |
//! | FIX | [`skip_to`](State::skip_to) for a gap fill, [`reset`](State::reset) for a sequence reset |
//! | Kafka, NATS | [`record_in`](State::record_in) with the producer's epoch |
//!
//! # When not to use it
//!
//! - For ids without an order: that is a deduplicator.
//! - To put messages in order: it says which may be delivered; keeping the others until then is yours.
//!
//! # Features
//!
//! | feature | what is there |
//! |---|---|
//! | none | replay windows, and [`State`] with its gaps in memory of yours; no allocation |
//! | `alloc` | gaps on the heap |
//! | `wait` | [`SequenceTracker`] with a timer of yours |
//! | `std` (default) | the system clock, `.wait()` |
//! | `portable-atomic` | targets without 64-bit atomics; the back end is the final binary's choice |
//! | `serde` | [`Config`] as data |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

mod atomic;
#[cfg(feature = "wait")]
mod changes;
mod config;
#[cfg(feature = "serde")]
mod data;
#[cfg(feature = "wait")]
mod error;
mod gaps;
mod nack;
mod replay;
#[cfg(feature = "wait")]
mod seats;
mod state;
mod stats;
#[cfg(feature = "wait")]
mod tracker;
#[cfg(feature = "wait")]
mod wait;
mod width;

pub use crate::atomic::SharedReplayWindow;
#[cfg(feature = "std")]
pub use crate::changes::Blocking;
#[cfg(feature = "wait")]
pub use crate::changes::Changes;
pub use crate::config::{Config, ConfigError, MAX_GAPS, Terms};
#[cfg(feature = "wait")]
pub use crate::error::AcquireError;
pub use crate::gaps::{Gap, Run};
pub use crate::nack::{Nack, Nacks, nacks};
pub use crate::replay::{Freshness, ReplayWindow};
pub use crate::state::{Arrival, Batch, Change, Due, Heap, Notes, RangeError, State};
pub use crate::stats::{Jitter, Stats};
#[cfg(feature = "wait")]
pub use crate::tracker::SequenceTracker;
#[cfg(feature = "wait")]
pub use crate::wait::{Acquire, Awaited};
pub use crate::width::Width;
