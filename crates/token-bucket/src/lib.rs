//! x
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#[cfg(feature = "std")]
extern crate std;
mod atomic;
mod config;
mod error;
pub mod state;
#[cfg(feature = "wait")]
mod wait;
pub use crate::atomic::{Stats, TokenBucket};
pub use crate::config::{Config, ConfigError, Rate};
#[cfg(feature = "wait")]
pub use crate::error::AcquireError;
pub use crate::error::TryAcquireError;
#[cfg(feature = "wait")]
pub use crate::wait::Acquire;
