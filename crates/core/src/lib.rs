//! What the five Steadfast primitives share: time as a value, one compare-and-swap loop, and one
//! way to wait.
//!
//! You need this crate directly to write a [`Clock`] or [`Timer`] of your own, to drive tests with
//! [`ManualClock`], or to build another primitive on the same waiting line.
//!
//! | module or type | what it is | needs |
//! |---|---|---|
//! | [`Instant`], [`Clock`], [`Timer`] | time as an argument, and where it comes from | |
//! | [`update`] | the one compare-and-swap loop | |
//! | [`sync`] | atomics and the lock, chosen in one place | |
//! | [`wait`] | the waiting line and its one loop, for tasks and threads | `wait` |
//! | [`FnTimer`], [`DelayTimer`] | timers over a sleep of yours, or over `embedded-hal-async` | `wait`, `embedded-hal-async` |
//! | [`SystemClock`], [`CoarseClock`] | the operating system's monotonic clock; the same, cheaper and to the last tick | `std` |
//! | [`ManualClock`] | time that a test moves by hand | `std` |
//! | [`KeyedTable`](table::KeyedTable) | bounded state per key | `std` |
//! | [`TokioClock`], [`AsyncIoClock`], [`TscClock`] | adapters, each a named type | feature of that name |
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod sync;
mod time;
mod update;

#[cfg(feature = "wait")]
mod line;
#[cfg(not(feature = "wait"))]
#[path = "no_line.rs"]
mod line;
#[cfg(feature = "wait")]
mod unwind;
#[cfg(feature = "wait")]
pub mod wait;

#[cfg(any(feature = "std", feature = "embedded-hal-async"))]
mod alarms;
#[cfg(feature = "std")]
mod coarse;
#[cfg(feature = "std")]
mod manual;
#[cfg(feature = "std")]
mod monotonic;
#[cfg(feature = "std")]
mod system;
#[cfg(feature = "std")]
pub mod table;
#[cfg(feature = "std")]
mod thread;

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "embedded-hal-async")]
mod delay;
#[cfg(feature = "wait")]
pub mod feed;
#[cfg(feature = "wait")]
mod fn_timer;
#[cfg(feature = "wait")]
mod signal;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tsc")]
mod tsc;

pub use crate::time::{
    Clock, CoarseClock, Instant, SystemClock, Timer, saturating_nanos, saturating_u64, secs_ceil,
};
pub use crate::update::{Step, update};

pub use crate::line::Line;
#[cfg(feature = "wait")]
pub use crate::signal::{Raised, Signal, Untimed};

#[cfg(feature = "async-io")]
pub use crate::async_io::{AsyncIoAlarm, AsyncIoClock};
#[cfg(feature = "embedded-hal-async")]
pub use crate::delay::{DelayAlarm, DelayTimer};
#[cfg(feature = "wait")]
pub use crate::fn_timer::{FnAlarm, FnTimer};
#[cfg(feature = "std")]
pub use crate::manual::{ManualAlarm, ManualClock};
#[cfg(feature = "std")]
pub use crate::system::SystemAlarm;
#[cfg(feature = "tokio")]
pub use crate::tokio::{TokioAlarm, TokioClock};
#[cfg(feature = "tsc")]
pub use crate::tsc::TscClock;
