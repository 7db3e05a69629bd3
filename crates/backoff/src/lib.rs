//! Backoff: how long to wait before the next attempt, when to give up, and how not to make an outage
//! worse.
//!
//! Delays are whole nanoseconds, exact, and never leave their bounds. A retry runs the same engine
//! for tasks (`.await`) and for threads (`.wait()`), and a backoff can be shared by all who wait for
//! the same server to come back.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use core::time::Duration;
//! use steadfast_backoff::{Config, Jitter, Policy};
//!
//! // Invalid numbers do not compile.
//! const POLITE: Policy = Config::exponential(Duration::from_millis(50))
//!     .cap(Duration::from_secs(10))
//!     .jitter(Jitter::Full)
//!     .max_retries(5)
//!     .build_static();
//!
//! # fn read() -> Result<u32, std::io::Error> { Ok(7) }
//! # async fn fetch(_attempt: u32) -> Result<u32, std::io::Error> { Ok(7) }
//! let read = POLITE.retry(|_| read()).timeout(Duration::from_secs(30)).wait();   // this thread
//! let fetch = async { POLITE.retry(|attempt| fetch(attempt)).await };            // any executor
//! # assert_eq!(read.unwrap(), 7);
//! # assert_eq!(futures::executor::block_on(fetch).unwrap(), 7);
//! # }
//! ```
//!
//! # Which type
//!
//! | you want | use |
//! |---|---|
//! | the delays, as numbers | [`Policy`], built by a [`Config`] |
//! | to repeat a call until it works | [`Policy::retry`] |
//! | retries that do not multiply an outage | a [`Budget`] beside it |
//! | to end sleeping retries at once | a [`Stop`] handle |
//! | one backoff for many threads and tasks that reconnect | [`Backoff`] |
//! | no clock and no lock: a simulation, a model checker | [`state::State`] |
//!
//! # The machine
//!
//! ```text
//!  delay                                      ┌───────────── cap
//!    │                                 ╭──────┤ ░░░░░░░░░░░░
//!    │                           ╭─────╯░░░░░░░░░░░░░░░░░░░░   ░ where full jitter may draw
//!    │                     ╭─────╯░░░░░░░░░░░░░░░░░░░░░░░░░░
//!    │  ───────────────────────────────────────────────────── floor
//!    └──┬──────┬──────┬──────┬──────┬──────┬──────┬───────▶ attempt
//!       0      1      2      3      4      5      6
//! ```
//!
//! A retry:
//!
//! ```text
//!            ┌───────────────────────── sleep ◀──────────────────────┐
//!            ▼                                                       │ again, until …
//!  begin ─▶ attempt ─▶ outcome ─▶ judge: when? stop? retries? hint or policy? time? budget?
//!                                    │
//!                                    └─▶ over: the value, or why it was given up
//! ```
//!
//! A shared [`Backoff`]; its transitions are listed at [`state`]:
//!
//! ```text
//!                       success                  failure: attempt 1, a delay
//!   ┌──────────┐ ────────────────▶ ┌─────────┐ ──────────────────▶ ┌─────────────┐ failure: the
//!   │ unproven │                   │ healthy │                     │ backing off │ next number, a
//!   │ P at once│                   │ no limit│ ◀────────────────── │ P at once   │ longer delay
//!   └──────────┘                   └─────────┘       success       └─────────────┘
//!        └─────────────────────── failure ─────────────────────────────▲
//! ```
//!
//! # Semantics
//!
//! The growth is capped, jitter makes an interval of it, floor and cap cut the interval, and then a
//! number is drawn from it: so at the cap the clients are spread as they are below it.
//!
//! | growth | delay after attempt *n* = 0, 1, 2, … |
//! |---|---|
//! | [constant](Config::constant) | base |
//! | [linear](Config::linear) | base × (n + 1) |
//! | [exponential](Config::exponential) | base × factor^n, to the nearest nanosecond |
//! | [Fibonacci](Config::fibonacci) | base × 1, 1, 2, 3, 5, … |
//! | [yours](Config::from_fn) | a function of *n* |
//!
//! | [jitter](Jitter) | drawn uniformly from | mean |
//! |---|---|---|
//! | none | | d |
//! | full | 0 to d | d/2 |
//! | equal | d/2 to d | 3d/4 |
//! | a fraction *f* | d × (1 - f) to d × (1 + f) | d, less at the cap |
//! | decorrelated | the first delay to 3 × the one before | |
//!
//! | case | what happens |
//! |---|---|
//! | nothing is said | 3 retries, so 4 attempts; neither floor nor cap; no jitter |
//! | the time is over | no attempt begins; with a [deadline](Retry::deadline) one under way is cut off, if it is a future |
//! | a delay would end after the deadline | it is given up at once, and not after the sleep |
//! | the outcome says when to come back ([`hint`](Retry::hint)) | that is the delay, once, and at most [`max_hint`](Retry::max_hint): the cap, unless something else is said |
//! | an attempt is cut off by its [timeout](Retry::attempt_timeout) | it has no outcome, and is retried in any case |
//! | a delay of zero | does not yield: an operation that is always ready keeps its thread |
//! | [shared](Backoff): several attempts fail together | they count once |
//! | shared: a report of an earlier life | changes nothing |
//! | shared: it worked, and is lost at once, again and again | the delays go on growing, until a connection held for [`reset_after`](BackoffConfig::reset_after) |
//! | the clock steps back | a delay begins again, once |
//! | it jumps ahead | the delay is over |
//!
//! # Recipes
//!
//! **Reconnect for ever, but politely.** One [`Backoff`] for all connections to a server: one of them tries, and if that
//! works, so do all who wait; if not, all wait longer.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use core::time::Duration;
//! use steadfast_backoff::{Backoff, BackoffConfig, Config, Jitter};
//!
//! let delays = Config::exponential(Duration::from_millis(1)).cap(Duration::from_secs(30));
//! let delays = delays.jitter(Jitter::Equal).unlimited().build()?;
//! let reconnect = BackoffConfig::new(delays).reset_after(Duration::from_secs(60)).build()?;
//!
//! # fn connect(n: u32) -> Result<u32, ()> { if n > 1 { Ok(n) } else { Err(()) } }
//! # fn use_it(_connection: u32) {}
//! loop {
//!     let attempt = reconnect.acquire().wait()?;              // or .await
//!     match connect(attempt.number()) {
//!         Ok(connection) => {
//!             attempt.success();
//!             use_it(connection);
//!             reconnect.broken();                             // it is lost
//!         }
//!         Err(_) => attempt.failure(),
//!     }
//! #   if reconnect.number() > 2 { break }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Retries that cannot make an outage worse**: a budget beside the policy. Of ten calls, one may be retried, whoever
//! makes them and however dead the server is.
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use core::time::Duration;
//! use steadfast_backoff::{Budget, BudgetConfig, Config, GaveUp, Policy};
//!
//! static BUDGET: Budget = BudgetConfig::new(0.1).build_static();
//! const POLICY: Policy = Config::exponential(Duration::from_millis(50)).build_static();
//!
//! let error = POLICY.retry(|_| Err::<(), _>("down")).budget(&BUDGET).wait().unwrap_err();
//! assert_eq!((error.reason, error.attempts), (GaveUp::BudgetEmpty, 1));
//! # }
//! ```
//!
//! **With the other primitives:** they compose by being called inside the operation, before what they protect: each
//! attempt asks anew, and one that is refused does not touch the network. A limiter around the retry would count calls,
//! not attempts. What refuses makes an error of its own, which [`when`](Retry::when) can tell from
//! others, and whose `retry_at` can be the [`hint`](Retry::hint):
//!
//! ```
//! # #[cfg(feature = "std")] {
//! use core::time::Duration;
//! use steadfast_backoff::{Config, Policy, Rate};
//! use steadfast_token_bucket::{self as token_bucket, TokenBucket, TryAcquireError};
//!
//! #[derive(Debug)]
//! enum Error {
//!     Limited(TryAcquireError),
//!     Io(std::io::Error),
//! }
//!
//! static LIMIT: TokenBucket = token_bucket::Config::new(Rate::per_second(100)).build_static();
//! const POLICY: Policy = Config::exponential(Duration::from_millis(50)).build_static();
//!
//! # fn send() -> Result<u32, std::io::Error> { Ok(7) }
//! let sent = POLICY
//!     .retry(|_| {
//!         LIMIT.try_acquire(1).map_err(Error::Limited)?;
//!         send().map_err(Error::Io)
//!     })
//!     // A bucket that is closed stays so.
//!     .when(|outcome| match outcome {
//!         Err(Error::Limited(refusal)) => !refusal.is_never(),
//!         outcome => outcome.is_err(),
//!     })
//!     // When the next token is due: not earlier, and without a guess.
//!     .hint(|outcome| match outcome {
//!         Err(Error::Limited(refusal)) => refusal.retry_after(),
//!         _ => None,
//!     })
//!     .max_hint(Duration::from_secs(10))
//!     .wait();
//! # assert_eq!(sent.unwrap(), 7);
//! # }
//! ```
//!
//! A refusal is an attempt: it uses up a retry and, if there is a budget, what a retry takes from it. And
//! clients that are hinted the same instant come at the same instant, to find one token, or one place for
//! a probe. Where that matters, let the attempt wait for its turn instead (`LIMIT.acquire(1).await?`): a
//! wait that [`attempt_timeout`](Retry::attempt_timeout) or the deadline cuts off takes no token. The order
//! of several is retry, token, circuit breaker, call: the page of `steadfast-circuit-breaker` has why.
//!
//! # Cancel safety
//!
//! Dropping a [`Retry`], or its future, at any point drops the attempt under way and nothing else; what was taken from a
//! budget stays taken. An [`Attempt`] of a shared backoff that is dropped without a report gives its place back and
//! changes nothing else. Dropping a wait for one gives up its place in the line, and a turn that had come goes to the next.
//!
//! # Costs
//!
//! Measured side by side with the peers; the ratios are of [`benches/`](https://github.com/steadfast-rs/steadfast/tree/main/benches).
//!
//! | what | time |
//! |---|---|
//! | a delay, with full jitter | 0.06 × backon's if the policy is built in place, 0.09 × if it is a constant; 0.6 × if the factor is not whole |
//! | a retry whose first attempt succeeds | one reading of the clock, and 3 to 5 ns: it is to say how long it took. backon does not, and reads none |
//! | a budget's deposit or withdrawal | one atomic step |
//! | an attempt of a shared backoff | a lock, held for some twenty instructions |
//!
//! | what | memory |
//! |---|---|
//! | a policy, a budget, a shared backoff | 88, 512 and 576 bytes on x86-64. A first attempt that succeeds allocates nothing; a sleep of a task does |
//! | code on a Cortex-M0 | 1.1 KiB, most of it a division, if the policy is a constant |
//! | crates | 23 in a default build on Linux |
//!
//! # Comparison
//!
//! | | this | backon 1.6 |
//! |---|---|---|
//! | the longest delay, with jitter | the cap | up to twice the cap |
//! | a limit of time for all of it | attempts included | delays only |
//! | a limit of time for an attempt; its number | yes; yes | –; – |
//! | retry budget, one backoff for many | yes, yes | –, – |
//! | in a browser | with a timer of yours | yes |
//!
//! How to check each line: [`docs/COMPARISON.md`](https://github.com/steadfast-rs/steadfast/blob/main/docs/COMPARISON.md).
//!
//! # When not to use it
//!
//! - To repeat what is not idempotent, and may have happened although the answer was lost.
//! - To retry at several layers of one call: attempts multiply. Retry at the outermost, with a
//!   budget.
//! - To wait for something that can tell you when it is ready.
//!
//! # Features
//!
//! | feature | what is there |
//! |---|---|
//! | none | [`Policy`], [`Budget`], [`state`]; no allocation; randomness is yours |
//! | `alloc` | the same |
//! | `wait` | [`Retry`] and [`Backoff`] with a timer of yours |
//! | `std` (default) | the system clock, `.wait()`, randomness that seeds itself |
//! | `portable-atomic` | targets without 64-bit atomics; the back end is the final binary's choice |
//! | `serde` | [`Config`] as data |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "wait")]
extern crate alloc;

#[cfg(feature = "wait")]
mod atomic;
mod budget;
mod config;
#[cfg(feature = "serde")]
mod data;
#[cfg(feature = "wait")]
mod error;
mod growth;
mod policy;
mod random;
#[cfg(feature = "wait")]
mod retry;
pub mod state;
#[cfg(feature = "wait")]
mod stop;
#[cfg(feature = "wait")]
mod wait;

#[cfg(feature = "wait")]
pub use crate::atomic::{Attempt, Backoff, BackoffConfig, Owner};
pub use crate::budget::{Budget, BudgetConfig};
pub use crate::config::{Config, ConfigError, Growth, Jitter};
#[cfg(feature = "wait")]
pub use crate::error::{AcquireError, GaveUp, RetryError, TryAcquireError};
pub use crate::growth::{Curve, Custom, Factor, Grow, Run};
pub use crate::policy::{Delays, Policy};
pub use crate::random::{Random, Rng};
#[cfg(feature = "wait")]
pub use crate::retry::{
    Event, Hint, Later, Next, NoHint, Notice, Notify, Now, OnError, Operation, Retry, Retrying,
    Seeded, Silent, Told, When,
};
#[cfg(feature = "wait")]
pub use crate::stop::Stop;
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
pub use steadfast_token_bucket::Rate;
