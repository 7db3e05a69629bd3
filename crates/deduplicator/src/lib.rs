//! Deduplicator: has this id been seen before? Exactly, within a window, in bounded memory; and claims, for
//! work that is to be done once.
//!
//! For clients of feeds that reconnect and get messages twice, for consumers of queues that deliver at least
//! once, for handlers of requests with idempotency keys.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_deduplicator::{Acquired, Config};
//!
//! // The last million ids of the last ten minutes: about 30 bytes an id, allocated once.
//! let seen = Config::new(1_000_000).ttl(Duration::from_secs(600)).build()?;
//! assert!(seen.insert("trade 17").is_fresh());
//! assert!(!seen.insert("trade 17").is_fresh());
//!
//! // Of all who ask, one does the work; the others wait, and get what came of it.
//! let payments = Config::new(100_000).ttl(Duration::from_secs(86_400)).claims::<u64>()?;
//! match payments.acquire("key 17").timeout(Duration::from_secs(5)).wait()? {      // or .await
//!     Acquired::Claim(claim) => drop(claim.commit_with(200)?),      // after the work is done
//!     Acquired::Duplicate(duplicate) => println!("{:?}", duplicate.value),
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | "seen before?", from many threads and tasks | [`Deduplicator`], built by a [`Config`] |
//! | the same for one owner, without locks, on the heap or in memory of yours | [`LocalDeduplicator`] |
//! | work that is done once, with what came of it for the others | [`Claims`] |
//! | a stream without its duplicates | [`Deduplicator::distinct`] |
//! | not to forget over a restart | [`Deduplicator::snapshot`], [`Config::restore`]; the same of the others |
//! | the pure machine, over fingerprints | [`State`] |
//!
//! # What is remembered
//!
//! ```text
//!                                 the last `capacity` ids
//!                    ┌───────────────────────────────────────────────┐
//!  forgotten ◀────── │ A   B   C   D   E   F   G   H   I   J   K   L │ ◀────── insert
//!            evicted └───────────────────────────────────────────────┘
//!            expired        ◀──────── the last `ttl` ────────────────▶
//! ```
//!
//! - **Count**: when there are too many, the oldest leaves, in the order of first sight.
//! - **Time**: an id that was recorded at `t` is gone when `now - t >= ttl`; that comes before the count.
//!   Memory is fixed, so there is always a capacity: [`Config::within`] says which one a rate takes, and
//!   [`Stats::evicted`] whether it was enough.
//! - [Renewing](Config::renew), every sight counts as the first.
//! - A clock that steps back counts as the latest time seen; one that jumps ahead ends TTLs early.
//!
//! What an id is told from others by is in [`Id`]: numbers of up to 64 bits exactly, everything else by a
//! keyed hash; a UUID exactly in a [wide](Config::wide) window, as a number.
//!
//! # Recipes
//!
//! | you have | do |
//! |---|---|
//! | a queue that delivers at least once | [`acquire`](Claims::acquire), do the work, [`commit`](Claim::commit), acknowledge; an error drops the claim, and the next delivery gets it |
//! | HTTP requests with an `Idempotency-Key` | [`acquire_for`](Claims::acquire_for) the key and the body, [`commit_with`](Claim::commit_with) the response; a [`Mismatch`](AcquireError::Mismatch) is a 422, an [`InFlight`](TryAcquireError::InFlight) a 409 |
//! | a feed on two connections | one [`Deduplicator`] behind both |
//! | ids that are numbered in order | a sequence tracker, which takes a bit an id |
//!
//! # When not to use it
//!
//! - Across processes: a claim is known to this one only. Use a database's unique key, and this in front of it.
//! - For more ids than fit in memory, where a few wrong answers are allowed: a Bloom filter.
//! - To keep values by key: that is a cache.
//!
//! # Features
//!
//! | feature | what is there |
//! |---|---|
//! | none | [`LocalDeduplicator`] and [`State`] in memory of yours; no allocation |
//! | `alloc` | the same on the heap |
//! | `wait` | [`Deduplicator`], [`Claims`] with a clock or timer of yours, streams, snapshots |
//! | `std` (default) | the system's clocks, `.wait()`, secrets |
//! | `portable-atomic` | targets without compare-and-swap; the back end is the final binary's choice |
//! | `serde` | [`Config`] and [`Snapshot`] as data |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "wait")]
mod atomic;
#[cfg(feature = "wait")]
mod claim;
#[cfg(feature = "wait")]
mod claims;
mod config;
#[cfg(feature = "serde")]
mod data;
#[cfg(feature = "wait")]
mod error;
mod fingerprint;
#[cfg(feature = "wait")]
mod flights;
mod local;
mod memory;
#[cfg(feature = "wait")]
mod snapshot;
mod state;
#[cfg(feature = "wait")]
mod stream;
#[cfg(feature = "wait")]
mod wait;

#[cfg(feature = "wait")]
pub use crate::atomic::Deduplicator;
#[cfg(feature = "wait")]
pub use crate::claim::{Acquired, Claim, Claimable, Duplicate};
#[cfg(feature = "wait")]
pub use crate::claims::Claims;
pub use crate::config::{Config, ConfigError, MAX_CAPACITY, MAX_SHARDS};
#[cfg(feature = "wait")]
pub use crate::error::{AcquireError, LeaseLost, RestoreError, TryAcquireError};
pub use crate::fingerprint::{Fingerprint, Hashed, Id, Ids, SipKeys, SipState};
pub use crate::local::LocalDeduplicator;
pub use crate::memory::{Fixed, Heap, Memory};
#[cfg(feature = "wait")]
pub use crate::snapshot::{Remembered, Snapshot};
pub use crate::state::{Beside, Line, Sighting, State, Stats};
#[cfg(feature = "wait")]
pub use crate::stream::Distinct;
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
