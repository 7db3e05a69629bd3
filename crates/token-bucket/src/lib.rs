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
//! The pure machine is [`state::State`]; its page has the bit picture, the transitions, and the invariants.
//!
//! # Semantics
//!
//! Tokens are whole, a rate is so many of them in a [period](Rate), as an exact fraction, and time is whole
//! nanoseconds. In any span it grants at most `burst + rate × span` tokens, and under continuous demand never
//! falls more than one token behind that: from one a day to 1,000,000,000 a second, without drift.
//!
//! | case | what happens |
//! |---|---|
//! | it is new | it is full, or holds what [`initial`](Config::initial) says |
//! | more than the burst is asked for | [`ExceedsBurst`](TryAcquireError::ExceedsBurst), at once: there never are so many |
//! | none is asked for | granted, in an empty bucket and before a line, too |
//! | somebody waits, and there are tokens | they are for those who wait: a newcomer is refused, and told when its turn would be |
//! | tokens are [given back](TokenBucket::refund) | they are there at once; what exceeds the burst is lost |
//! | new [limits](TokenBucket::reconfigure) | from now on; the tokens that are there stay, up to the new burst |
//! | it is [closed](TokenBucket::close) | everybody who asks or waits is told so, for ever |
//! | the clock stands still, or steps back by less than a minute | nothing accrues until it goes on |
//! | it steps back by more | it is believed, and the bucket begins empty |
//! | it jumps ahead | the bucket is full, and not more |
//! | a timer wakes late | what accrued above the burst meanwhile is lost: to reach the full rate by waiting, let the burst be at least the rate times the lateness |
//!
//! # Recipes
//!
//! **A client under two quotas.** Each request takes a token of both, or waits, and takes none.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_token_bucket::{Config, LimitSet, Rate};
//!
//! let quotas = LimitSet::build([
//!     Config::new(Rate::per_second(100)).burst(20),
//!     Config::new(Rate::per_minute(1_200)).burst(100),
//! ])?;
//! quotas.acquire(1).timeout(Duration::from_secs(5)).wait()?;      // or .await
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A limit for each client of a server**, in bounded memory, and a header that tells the truth: whole seconds,
//! rounded up, so that 200 ms is 1 and not 0.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use steadfast_token_bucket::{Config, Keyed, Rate};
//!
//! let limits = Keyed::<String>::new(Config::new(Rate::per_second(5)).burst(2), 10_000)?;
//! let answer = |client: &str| match limits.try_acquire(client, 1) {
//!     Ok(()) => (200, None),
//!     Err(refused) => (429, refused.retry_after_secs_ceil()),
//! };
//! assert_eq!([answer("alice"), answer("alice")], [(200, None); 2]);
//! assert_eq!(answer("alice"), (429, Some(1)));
//! assert_eq!(answer("bob"), (200, None));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A request that was not sent, and a server that names new limits.**
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use steadfast_core::ManualClock;
//! use steadfast_token_bucket::{Config, Rate};
//!
//! let bucket = Config::new(Rate::per_second(10)).burst(10).build_with(ManualClock::new())?;
//! bucket.try_acquire(3)?;
//! bucket.refund(1);
//! bucket.reconfigure(&Config::new(Rate::per_second(50)).burst(25))?;
//! assert_eq!(bucket.available(), 8);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A server that counts in windows** of length *w* and refuses above *l*: choose `burst + rate × (w + jitter) ≤ l`.
//! Of 1,000 in any second, with 50 ms of jitter on the way, a burst of 50 leaves a rate of 900. A bucket of burst *l*
//! and rate *l/w* admits up to twice as much in one window.
//!
//! # Cancel safety
//!
//! Whoever waits holds a place in the line, and no tokens. Dropping the wait at any point gives up the place: nothing
//! is lost, nobody behind is delayed, and a turn that had come is passed on at once. What a wait that is *over* has
//! given is yours: tokens that you do not use can be [given back](TokenBucket::refund).
//!
//! # Costs
//!
//! Measured side by side with the peers; the ratios are of [`benches/`](https://github.com/steadfast-rs/steadfast/tree/main/benches).
//!
//! | what | time |
//! |---|---|
//! | a token | 1.04 to 1.07 × what reading the clock, a load and a compare-and-swap take; 0.9 × governor |
//! | a refusal | 1.08 × reading the clock and a load; nothing is written, so that it scales with the readers |
//! | [`acquire`](TokenBucket::acquire), if it need not wait | 1.0 to 1.2 × `try_acquire`; nothing is allocated |
//! | a wait | two polls of a task, one wake-up of a thread; one alarm for the whole line |
//! | a token of a [`Lease`] | 1/50 of a token |
//! | a token of one of 100,000 keys | as governor's |
//!
//! | what | memory |
//! |---|---|
//! | a bucket | 448 bytes on x86-64, 112 on a Cortex-M0; 40 as a value. The first wait allocates |
//! | a key | about 31 bytes if the key has 8; allocated as keys come, within the capacity |
//! | code on a Cortex-M0 | 4.5 KiB; 1.1 KiB as a value |
//! | crates | 20 in a default build on Linux |
//!
//! # Comparison
//!
//! | | this | governor 0.10 | leaky-bucket 1.1 | ratelimit 2.0 |
//! |---|---|---|---|---|
//! | tasks wait | on any executor | on any executor | on tokio | – |
//! | threads wait | in the same line | – | – | – |
//! | first come, first served | yes | – | yes, by default | – |
//! | a rate is | an exact fraction | whole nanoseconds a token | so many each interval | millionths of tokens |
//! | new limits while in use | yes, from now on | – | – | yes, for the past, too |
//! | a limit for each key | in bounded memory | until you clean up | – | – |
//! | several limits, all or none | yes | – | – | – |
//! | without std | yes, waiting as well | without waiting | – | yes |
//! | middleware, sinks | – | yes | – | – |
//!
//! How to check each line: [`docs/COMPARISON.md`](https://github.com/steadfast-rs/steadfast/blob/main/docs/COMPARISON.md).
//!
//! # When not to use it
//!
//! - To bound how many requests run **at the same time**: that is a semaphore.
//! - To enforce one limit across several machines: it is shared within a process.
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
