//! A circuit breaker: stops calling what does not answer, and finds out gently when it does again.
//!
//! Its windows slide truly, its probes cannot be lost, and no result of an earlier life changes a
//! later one. Closed, it is lock-free, and a success that changes nothing writes nothing.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_circuit_breaker::{CallError, Config, Window};
//!
//! let breaker = Config::new()
//!     .failure_rate(0.5, Window::calls(100).minimum(20))
//!     .break_duration(Duration::from_secs(5))
//!     .build()?;
//!
//! # fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
//! # async fn fetch_async() -> Result<u32, std::io::Error> { Ok(7) }
//! match breaker.call(|| fetch()) {
//!     Ok(page) => { /* use it */ }
//!     Err(CallError::Inner(error)) => { /* the call failed, and was counted */ }
//!     Err(CallError::Rejected(refused)) => { /* not called; refused.retry_after() tells */ }
//! }
//! let task = async { breaker.call_async(fetch_async()).await };    // any executor
//! let permit = breaker.acquire().timeout(Duration::from_secs(30)).wait()?; // waits for its turn
//! permit.success();
//! # assert_eq!(futures::executor::block_on(task).unwrap(), 7);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | one breaker for a service | [`CircuitBreaker`], built by a [`Config`] |
//! | one for each host | [`Keyed`] |
//! | to report by hand | [`CircuitBreaker::try_acquire`] and a [`Permit`] |
//! | to follow what it does | [`CircuitBreaker::changes`], [`on_change`](CircuitBreaker::on_change), [`metrics`](CircuitBreaker::metrics) |
//! | no atomics and no clock: a simulation, a model checker | [`state::State`] |
//!
//! # The phases
//!
//! ```text
//!                     a rule holds                     the break is over
//!        ┌────────┐ ───────────────▶ ┌──────┐ ──────────────────────────▶ ┌───────────┐
//!        │ closed │                  │ open │                             │ half-open │
//!        └────────┘                  └──────┘ ◀────────────────────────── └───────────┘
//!             ▲                                   too many probes failed        │
//!             └─────────────────────────────────────────────────────────────────┘
//!                                enough probes succeeded
//! ```
//!
//! | phase | calls |
//! |---|---|
//! | closed | are admitted and counted; after closing, on request, [a growing share](Config::ramp_up) of them |
//! | open | are refused until exactly `opened_at + break`, that instant excluded |
//! | half-open | P at a time are admitted as probes; each reports, or loses its place after the [probe timeout](Config::probe_timeout) |
//! | forced open, forced closed | are refused, or admitted and counted, until a [reset](CircuitBreaker::reset) |
//!
//! # The rules
//!
//! | rule | holds when |
//! |---|---|
//! | [consecutive failures](Config::consecutive_failures) | the last *n* results were failures |
//! | [failure rate](Config::failure_rate) | failures / calls ≥ rate, with at least the minimum of calls |
//! | [slow rate](Config::slow_rate) | slow calls / calls ≥ rate, with at least the minimum of calls |
//!
//! Rates are measured over the last N calls or over the last so much time ([`Window`]), or both; the
//! first rule that holds trips. Only a counted failure evaluates the rules of failures, and only a
//! counted slow call those of slow calls: a success never opens a breaker, not even if it is the one
//! that completes the minimum. Rates compare with ≥, in whole numbers.
//!
//! # With the other primitives
//!
//! Inside each other in this order: retry, token, breaker, call. Each attempt asks anew, and one that is
//! refused does not touch the network. The refusal is an error that a retry's `when` can tell from others,
//! and its [`retry_after`](TryAcquireError::retry_after) can be the retry's `hint`:
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_backoff::{Config, Policy};
//! use steadfast_circuit_breaker::{CallError, CircuitBreaker, TryAcquireError};
//!
//! const POLICY: Policy = Config::exponential(Duration::from_millis(50)).build_static();
//! let breaker = CircuitBreaker::new();
//!
//! # fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
//! let page = POLICY
//!     .retry(|_| breaker.call(|| fetch()))
//!     // Forced open, it stays so.
//!     .when(|outcome| match outcome {
//!         Err(CallError::Rejected(refusal)) => !matches!(refusal, TryAcquireError::Isolated { .. }),
//!         outcome => outcome.is_err(),
//!     })
//!     // The end of the break: the next attempt is a probe.
//!     .hint(|outcome| match outcome {
//!         Err(CallError::Rejected(refusal)) => refusal.retry_after(),
//!         _ => None,
//!     })
//!     .max_hint(Duration::from_secs(30))
//!     .wait();
//! # assert_eq!(page.unwrap(), 7);
//! # }
//! ```
//!
//! - Around a retry, a breaker would see only the last outcome.
//! - Around a token, it would take the wait for it as part of the call, which makes calls slow and loses
//!   probes their place, and the bucket's refusal as a failure of the service. If the breaker refuses
//!   the call for which a token was taken, give it back (`refund`).
//! - Who is hinted the end of a break comes at the same instant as all the others: P of them are probes,
//!   and the rest is refused without a hint, to go on by its own backoff. Or let the attempt wait
//!   ([`acquire`](CircuitBreaker::acquire)).
//!
//! # When not to use it
//!
//! - For a service that fails for some inputs only: one bad input must not stop all others.
//! - To limit how often something is called: that is a token bucket.
//! - Where nothing can be done without the answer: then waiting and retrying is all there is.
//!
//! # What it costs
//!
//! | | |
//! |---|---|
//! | a permit and a success, closed, nothing failed lately | two loads; nothing is written |
//! | the same with failures in a window of calls | one compare-and-swap |
//! | a window of time | one compare-and-swap and one reading of the clock |
//! | a refusal | one reading of the clock and four loads |
//! | memory | 64 bytes of state, 16 a probe, 8 a call of a window of calls, 16 a slice |
//!
//! # Features
//!
//! | feature | what is there |
//! |---|---|
//! | none | the breaker in memory of yours, calls through it, and [`state`]; no allocation |
//! | `alloc` | windows on the heap, callbacks |
//! | `wait` | [`acquire`](CircuitBreaker::acquire) with a timer of yours, [`changes`](CircuitBreaker::changes) |
//! | `std` (default) | the system clock, `.wait()`, [`Keyed`], jitter that seeds itself |
//! | `portable-atomic` | targets without 64-bit atomics; the back end is the final binary's choice |
//! | `serde` | [`Config`] as data |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

mod atomic;
mod call;
#[cfg(feature = "wait")]
mod changes;
#[cfg(not(feature = "wait"))]
#[path = "no_changes.rs"]
mod changes;
mod config;
#[cfg(feature = "serde")]
mod data;
mod error;
#[cfg(feature = "alloc")]
mod hooks;
#[cfg(not(feature = "alloc"))]
#[path = "no_hooks.rs"]
mod hooks;
#[cfg(feature = "std")]
mod keyed;
pub mod state;
#[cfg(feature = "wait")]
mod wait;

pub use crate::atomic::{CircuitBreaker, Heap, Owner, Permit};
pub use crate::call::{Calling, EveryError, Judge, Judged};
#[cfg(feature = "std")]
pub use crate::changes::Blocking;
#[cfg(feature = "wait")]
pub use crate::changes::{Changes, Observed};
pub use crate::config::{
    Config, ConfigError, MAX_CALLS, MAX_CONSECUTIVE, MAX_PROBES, MAX_SLICES, MIN_SLICE, Window,
};
#[cfg(feature = "wait")]
pub use crate::error::AcquireError;
pub use crate::error::{CallError, Name, TryAcquireError};
#[cfg(feature = "std")]
pub use crate::keyed::{Keyed, KeyedCallError, KeyedError};
pub use crate::state::{Change, Counted, Metrics, Outcome, Phase, Reason, Tally, Trip};
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
pub use steadfast_core::sync::atomic::AtomicU64;
