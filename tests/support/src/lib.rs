//! What the tests of more than one crate stand on. Nothing here says what is right: that is for the models
//! and the tests to say.
//!
//! | module | what is in it | feature |
//! |---|---|---|
//! | [`waits`] | a few actors that wait at a primitive: who is awake, until when each waits, who is in line | `waits` |
//! | [`task`] | a future with a waker of its own, polled by hand | |
//! | [`clocks`] | clocks that tests move, or that move themselves | `waits` |
//! | [`watch`] | tests that would hang fail instead | |
//! | [`allocations`] | what a thread allocates, counted | |
//! | [`crowds`] | a hasher whose keys get in each other's way | |
//! | [`properties`] | what strategies of properties are made of | `proptest` |
//!
//! Crates depend on it by path alone and in tests alone, so that what is published does not name it.
#![expect(clippy::missing_panics_doc, reason = "what tests call panics where they fail")]

pub mod allocations;
#[cfg(feature = "waits")]
pub mod clocks;
pub mod crowds;
#[cfg(feature = "proptest")]
pub mod properties;
pub mod task;
#[cfg(feature = "waits")]
pub mod waits;
pub mod watch;
