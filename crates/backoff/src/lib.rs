//! Backoff.
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
#[cfg(feature = "serde")]
mod data;
mod growth;
mod policy;
mod random;

pub use crate::config::{Config, ConfigError, Growth, Jitter};
pub use crate::growth::{Curve, Custom, Factor, Grow};
pub use crate::policy::{Delays, Policy};
pub use crate::random::{Random, Rng};
