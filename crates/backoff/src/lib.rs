//! Backoff.
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "wait")]
mod atomic;
mod budget;
mod config;
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
pub use crate::growth::{Curve, Custom, Factor, Grow};
pub use crate::policy::{Delays, Policy};
pub use crate::random::{Random, Rng};
#[cfg(feature = "wait")]
pub use crate::retry::{
    Event, Hint, Later, Next, NoHint, Notice, Notify, Now, OnError, Operation, Retry, Retrying,
    Seeded, Silent, Told, When,
};
#[cfg(feature = "wait")]
pub use crate::stop::{Slept, Stop};
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
