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
//! # The machine
//!
//! ```text
//!                                 the last `capacity` ids
//!                    ┌───────────────────────────────────────────────┐
//!  forgotten ◀────── │ A   B   C   D   E   F   G   H   I   J   K   L │ ◀────── insert
//!            evicted └───────────────────────────────────────────────┘
//!            expired        ◀──────── the last `ttl` ────────────────▶
//! ```
//!
//! A claim:
//!
//! ```text
//!             acquire                     commit
//!    free ───────────────▶ in flight ───────────────▶ remembered
//!     ▲  ▲                  │     │                       │
//!     │  └──────────────────┘     │ lease over,           │
//!     │    dropped: the first     │ the first who waits   │
//!     │    who waits has it       ▼                       │
//!     │                    in flight, next generation     │
//!     └───────────────────────────────────────────────────┘
//!                      TTL over, or too many since
//! ```
//!
//! # Semantics
//!
//! - **Count**: when there are too many, the oldest leaves, in the order of first sight.
//! - **Time**: an id that was recorded at `t` is gone when `now - t >= ttl`; that comes before the count.
//!   Memory is fixed, so there is always a capacity: [`Config::within`] says which one a rate takes, and
//!   [`Stats::evicted`] whether it was enough.
//! - [Renewing](Config::renew), every sight counts as the first.
//!
//! What an id is told from others by is in [`Id`]: numbers of up to 64 bits exactly, everything else by a
//! keyed hash; a UUID exactly in a [wide](Config::wide) window, as a number.
//!
//! | case | what happens |
//! |---|---|
//! | many threads insert one id at once | one of them is told that it is fresh |
//! | a shared window of *n* ids | knows at least the last *n*, and may know some per cent more; exactly *n* with [one shard](Config::shards) |
//! | a text or a UUID that was never seen | is taken for one that was, once in 2⁶⁴ / *n* of them; once in 2¹²⁸ / *n* if [wide](Config::wide) |
//! | `7_u8` and `7_i64` | one id; `7_u64` and `"7"` are two |
//! | a claim's holder fails, panics, or is cancelled | the first who waits has the claim |
//! | a holder hangs | after its [lease](Config::lease) (60 s), the next who asks has it; the first one's commit is refused, if somebody has |
//! | a key comes again with another payload | [`Mismatch`](AcquireError::Mismatch), if both were [asked for with one](Claims::acquire_for) |
//! | the clock steps back | it counts as the latest time seen; leases from before last that much longer |
//! | it jumps ahead | TTLs and leases end early |
//!
//! # Recipes
//!
//! **Exactly-once handlers** of a queue that delivers at least once: claim, do the work, commit, acknowledge. An error
//! drops the claim, and the next delivery gets it.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use steadfast_deduplicator::{Acquired, Claims, Config};
//!
//! fn handle(done: &Claims<String>, message: u64, work: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
//!     match done.acquire(&message).wait().map_err(|error| error.to_string())? {       // or .await
//!         Acquired::Claim(claim) => {
//!             let receipt = claim.commit_with(work()?).map_err(|lost| lost.to_string())?;
//!             Ok(receipt.to_string())
//!         }
//!         Acquired::Duplicate(earlier) => Ok(earlier.value.ok_or("without a receipt")?.to_string()),
//!     }
//! }
//! let done = Config::new(10_000).claims()?;
//! assert!(handle(&done, 7, || Err("no connection".to_owned())).is_err());
//! assert_eq!(handle(&done, 7, || Ok("paid".to_owned())), Ok("paid".to_owned()));
//! assert_eq!(handle(&done, 7, || unreachable!("it was done")), Ok("paid".to_owned()));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | you have | do |
//! |---|---|
//! | HTTP requests with an `Idempotency-Key` | [`acquire_for`](Claims::acquire_for) the key and the body, [`commit_with`](Claim::commit_with) the response; a [`Mismatch`](AcquireError::Mismatch) is a 422, an [`InFlight`](TryAcquireError::InFlight) a 409 |
//! | work that takes longer than a lease | [`extend`](Claim::extend) it now and then |
//! | work whose effect is in a database | its unique key there, and this in front of it: a process can end between the work and the commit |
//! | a feed on two connections | one [`Deduplicator`] behind both |
//! | ids that are numbered in order | a sequence tracker, which takes a bit an id |
//!
//! # Cancel safety
//!
//! Dropping a [`Claim`] gives it back: the first who waits gets it. Dropping a wait loses its place in the line and
//! nothing else; a claim that it would have got goes to the next. Once [`insert`](Deduplicator::insert) has said "fresh",
//! the id is recorded: if the work that follows can fail, take a claim instead, or [`forget`](Deduplicator::forget) it.
//!
//! # Costs
//!
//! | what | time |
//! |---|---|
//! | an id, in a window that is larger than the caches | one cache miss, in the index; what else it writes is where it wrote the last time. In [batches](Deduplicator::insert_all) the misses overlap |
//! | the clock | the [coarse](steadfast_core::CoarseClock) one, for which the processor need not wait |
//! | from many threads | a lock for the time of that, one of 8 |
//! | an id that leaves | nothing is looked up: it is dead where it is |
//! | a claim, and its commit | a lock each, and a reading of the precise clock |
//!
//! | what | memory |
//! |---|---|
//! | an id, in a window of a million | 30 bytes, with a TTL or without; 24 if [dense](Config::dense), 40 if [wide](Config::wide), more if it [renews](Config::renew); allocated when it is made |
//! | code on a Cortex-M0 | 8.7 KiB, and 40 bytes of RAM an id |
//! | crates | 22 in a default build on Linux |
//!
//! # Comparison
//!
//! | | this | moka 0.12 | `quick_cache` 0.7 |
//! |---|---|---|---|
//! | of the last N new ids it knows | all | few; all if LRU | few |
//! | one does the work, others get the result | yes, in order, with a lease | yes | yes |
//! | long keys are told apart | by 64 or 128 bits of a keyed hash | by themselves | by themselves |
//! | values, weights, listeners | values of claims | yes | yes |
//! | without std | yes | – | – |
//!
//! How to check each line: [`docs/COMPARISON.md`](https://github.com/steadfast-rs/steadfast/blob/main/docs/COMPARISON.md).
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
