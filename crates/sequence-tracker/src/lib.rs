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
//! # The machine
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
//! What becomes of a gap:
//!
//! ```text
//!            a number ahead            what was missing comes
//!  (nothing) ───────────────▶ missing ───────────────────────▶ filled
//!                               │  ▲
//!                due: its delay │  │ requested, again after the next delay
//!                               ▼  │
//!                            requested ──────▶ given up, if it is the lowest: lost, until a snapshot covers it
//!                                     retries used up, or too many gaps
//! ```
//!
//! # Semantics
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
//! | [`OutOfRange`](Arrival::OutOfRange) | has more bits than the [width](Config::width) | no |
//!
//! Numbers are of 64 bits, or of fewer on the wire, and then mean the nearest to the right edge. No number is called
//! fresh twice between two restarts.
//!
//! | case | what happens |
//! |---|---|
//! | a jump of a billion | costs what a jump of two costs: one gap |
//! | one gap more than [`max_gaps`](Config::max_gaps) (256) | the lowest is abandoned; the answer says which |
//! | a jump above [`max_jump`](Config::max_jump) | a suspect; if the number after it comes, the stream restarts there |
//! | numbers that wrap, below the first turn | go on below 0: of 16 bits, 65,535 is the one before it. What is there is late like any other: too old, or a suspect if it is later than is [believed](Config::max_late) |
//! | a gap is still open after its last request | it is given up when it is the lowest, and is [`lost`](State::lost) |
//! | a gap of [`resync_at`](Config::resync_at) or more | [`needs_resync`](State::needs_resync), until a snapshot |
//! | somebody [waits](SequenceTracker::acquire) for what is lost | he is told so by an error: a wait is a proof |
//! | the clock steps back | gaps are younger: what is to be asked for is due later |
//! | it jumps ahead, and comes back | what was decided meanwhile is put off by the delays' cap at most: give them one |
//!
//! # Recipes
//!
//! **Rebuild an order book after a gap.** Small gaps are asked for again; what is too large, or was given up, takes a
//! snapshot, whose number says what it covers.
//!
//! ```
//! use core::time::Duration;
//! use steadfast_core::Instant;
//! use steadfast_sequence_tracker::{Arrival, Config, Due, Gap, Run};
//!
//! let delays = steadfast_backoff::Config::exponential(Duration::from_millis(5)).max_retries(2);
//! let config = Config::new().starts_at(1).request(delays).resync_at(1_000);
//! let mut feed = config.state_in([Gap::EMPTY; 32])?;
//! let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
//!
//! for number in [1, 2, 5] {
//!     let _arrival = feed.record(number, at(0));      // 5: kept aside until 3 and 4 are there
//! }
//! let requests: Vec<_> = feed.due(at(5), &mut || 0).collect();
//! assert_eq!(requests, [Due::Request { run: Run { first: 3, last: 4 }, attempt: 0 }]);
//! feed.record_range(3..=4, at(7))?;                   // the answer
//! assert_eq!(feed.contiguous_through(), Some(5));
//!
//! assert!(matches!(feed.record(5_000, at(9)), Arrival::Ahead { missing: 4_994, .. }));
//! assert!(feed.needs_resync());
//! feed.resynced(5_100);                               // the book as of 5,100: what is older is in it
//! assert_eq!(feed.record(5_050, at(12)), Arrival::TooOld);
//! assert_eq!(feed.record(5_101, at(12)), Arrival::Next);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
//! # Cancel safety
//!
//! A wait holds nothing: dropping it loses nothing, and who waits for other numbers does not notice. What was recorded
//! stays recorded. Of a list of what is [due](SequenceTracker::due), all counts as asked for; of the iterator of
//! [`State::due`] that is dropped, what it did not come to is due still.
//!
//! # Costs
//!
//! Measured side by side with the peers; the ratios are of [`benches/`](https://github.com/steadfast-rs/steadfast/tree/main/benches).
//!
//! | what | time |
//! |---|---|
//! | a number in a replay window | 1.0 × boringtun's validator |
//! | the same, shared | 1.2 × a load and a compare-and-swap; 0.66 × a mutex around it |
//! | a number in order | 1.05 × a comparison and an addition; shared, 1.06 × a load and a compare-and-swap |
//! | a number, if one in a hundred is lost or late | 1.4 × that; half of what `rangemap` takes for the gaps alone |
//!
//! | what | memory |
//! |---|---|
//! | a replay window | 8 bytes for 64 numbers, and 16; shared, 8 bytes for 8 |
//! | a tracker | 560 bytes on x86-64, and 48 a gap, allocated when it is made; none of it on the heap for one owner |
//! | code on a Cortex-M0 | 1.5 KiB for a window, 7.2 KiB for a tracker |
//! | crates | 24 in a default build on Linux |
//!
//! # Comparison
//!
//! We know of no crate for all of it; there are parts in others.
//!
//! | | this | replay windows of QUIC and `WireGuard` stacks | rangemap 1.8, roaring 0.12 |
//! |---|---|---|---|
//! | seen before? | yes | yes | yes |
//! | what is missing, as ranges | yes | – | yes |
//! | how old a gap is, when to ask again | yes | – | – |
//! | ranges, links to the number before, epochs | yes | – | ranges |
//! | jumps that are not believed at once | yes | – | – |
//! | shared without a mutex | yes | – | – |
//! | bounded memory, or memory of yours | yes | yes | – |
//! | any set of numbers; set operations | – | – | yes |
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
#[cfg(not(feature = "alloc"))]
mod no_heap;
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
