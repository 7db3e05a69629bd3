//! The lab: what a configuration of a primitive does, to made-up traffic or to yours.
//!
//! ```text
//! cargo run --release -p steadfast-lab -- bucket --rate 100/s --burst 20 --out bucket.svg
//! cargo run --release -p steadfast-lab -- breaker --trace lab/traces/calls.csv.gz --out breaker.svg
//! ```
//!
//! The primitives are the real ones, on a [`ManualClock`](steadfast_core::ManualClock) that is set to the time
//! of each event: hours of traffic take seconds, and the same traffic has the same answer.
//!
//! | module | what is in it |
//! |---|---|
//! | [`bucket`], [`breaker`], [`backoff`], [`gaps`], [`dedup`] | a primitive, what is done to it, what is counted |
//! | [`trace`] | real traffic |
//! | [`arrivals`] | made-up traffic |
//! | [`source`] | either |
//! | [`timeline`], [`waits`] | what happened when and for how long, in bounded memory |
//! | [`report`], [`plot`] | the table, the picture |
//! | [`cli`], [`pictures`] | the arguments; those that draw the documentation's pictures |

#![forbid(unsafe_code)]

pub mod arrivals;
pub mod backoff;
pub mod breaker;
pub mod bucket;
pub mod cli;
pub mod dedup;
mod error;
pub mod gaps;
pub mod pictures;
pub mod plot;
pub mod quantity;
pub mod report;
pub mod source;
pub mod timeline;
pub mod trace;
pub mod waits;

pub use crate::error::Error;
pub use crate::report::Report;
