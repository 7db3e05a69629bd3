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
//! | to say what counts as a failure | [`CircuitBreaker::judged_by`] |
//! | to report by hand | [`CircuitBreaker::try_acquire`] and a [`Permit`] |
//! | to follow what it does | [`CircuitBreaker::changes`], [`on_change`](CircuitBreaker::on_change), [`metrics`](CircuitBreaker::metrics) |
//! | no atomics and no clock: a simulation, a model checker | [`state::State`] |
//!
//! # The machine
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
//! # Semantics
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
//! | case | what happens |
//! |---|---|
//! | nothing is said | half of the last 100 calls, at least 20; breaks of 5 s; one probe at once, which has 30 s; three close it |
//! | a call panics, or takes too long | the panic is a failure; a [slow](Config::slow_after) one is counted as such, whatever comes of it |
//! | a call is dropped, or its permit | it is ignored: not in the row, not in the window; a probe's place is free at once |
//! | a result comes late, of an earlier phase | nothing: the permit carries the number of its life |
//! | a probe never reports | its place is free after the probe timeout; what it reports then is ignored |
//! | a failure says when to come back | that is the break, up to [`max_hint`](Config::max_hint) |
//! | the same breaker trips again and again | each break as [`growing_break`](Config::growing_break) says, until it was closed for [`reset_after`](Config::reset_after) |
//! | the clock steps back by less than a minute | a break lasts as much longer |
//! | it steps back by more | the break begins again when somebody asks |
//! | it jumps ahead | what would be over then is over |
//!
//! # Recipes
//!
//! **One breaker a host**, made when it is first asked for, and forgotten when it is as good as new:
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use std::time::Duration;
//! use steadfast_circuit_breaker::{Config, Keyed, KeyedCallError};
//!
//! let breaking = Config::new().consecutive_failures(5).break_duration(Duration::from_secs(10));
//! let hosts = Keyed::<String>::new(breaking, 1_000)?;
//! for _ in 0..5 {
//!     let failed = hosts.call("down.example", || Err::<(), _>("no answer"));
//!     assert_eq!(failed, Err(KeyedCallError::Inner("no answer")));
//! }
//! let refused = hosts.call("down.example", || Ok::<_, &str>(()));
//! assert!(matches!(refused, Err(KeyedCallError::Rejected(_))));
//! assert!(hosts.call("up.example", || Ok::<_, &str>(())).is_ok());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Around a call that you do not make in one place:** ask for a [`Permit`], and report on it. A permit by an `Arc`
//! ([`Permit::try_new`]) goes to another task or thread.
//!
//! **With the other primitives:** inside each other in this order: retry, token, breaker, call. Each attempt asks anew,
//! and one that is refused does not touch the network. The refusal is an error that a retry's `when` can tell from others,
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
//! # Cancel safety
//!
//! A [permit](Permit) that is dropped without a report is ignored, and so is a [`call_async`](CircuitBreaker::call_async)
//! whose future is dropped: neither a success nor a failure, and a probe's place is free at once. Dropping a wait for a
//! permit gives up its place in the line and nothing else; a turn that had come goes to the next.
//!
//! # Costs
//!
//! Measured side by side with the peers; the ratios are of [`benches/`](https://github.com/steadfast-rs/steadfast/tree/main/benches).
//!
//! | what | time |
//! |---|---|
//! | a permit and a success, closed, nothing failed lately | two loads, nothing is written: 0.13 × recloser, 0.06 × failsafe |
//! | the same with failures in a window of calls | one compare-and-swap: 0.7 × recloser; 0.3 to 0.4 × on two threads |
//! | a window of time | one compare-and-swap and one reading of the clock, however many calls are in it |
//! | a refusal | one reading of the clock and four loads: 0.76 × recloser |
//!
//! | what | memory |
//! |---|---|
//! | a breaker | 960 bytes on x86-64, and on the heap 16 a probe, 8 a call of a window of calls, 16 a slice of one of time; or all of it in memory of yours |
//! | code on a Cortex-M0 | 17 KiB, and 488 bytes of RAM |
//! | crates | 24 in a default build on Linux |
//!
//! # Comparison
//!
//! | | this | recloser 1.4 | failsafe 1.3 | tower-resilience 0.13 |
//! |---|---|---|---|---|
//! | calls let through at once, half-open | P | all | all | P |
//! | a call that panics | is a failure | is not seen | is not seen | is not seen |
//! | the last N calls | slide | slide | – | are counted from the start |
//! | the last so much time | slides | – | is weighted by age | slides, a record a call |
//! | slow calls count | yes | – | – | yes |
//! | breaks can grow | yes | yes | yes | – |
//! | threads, tasks | both | both | both | tasks |
//! | without std | yes | – | – | – |
//! | tower layer, fallbacks, metrics | – | – | – | yes |
//!
//! How to check each line: [`docs/COMPARISON.md`](https://github.com/steadfast-rs/steadfast/blob/main/docs/COMPARISON.md).
//!
//! # When not to use it
//!
//! - For a service that fails for some inputs only: one bad input must not stop all others.
//! - To limit how often something is called: that is a token bucket.
//! - Where nothing can be done without the answer: then waiting and retrying is all there is.
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
#[cfg(not(feature = "alloc"))]
mod no_heap;
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
