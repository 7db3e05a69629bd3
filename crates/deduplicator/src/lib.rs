//! Deduplicator
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "wait")]
mod atomic;
mod config;
mod fingerprint;
mod local;
mod memory;
mod state;

#[cfg(feature = "wait")]
pub use crate::atomic::Deduplicator;
pub use crate::config::{Config, ConfigError, MAX_CAPACITY, MAX_SHARDS, Terms};
pub use crate::fingerprint::{Fingerprint, Hashed, Id, Ids, SipKeys};
pub use crate::local::LocalDeduplicator;
#[cfg(feature = "alloc")]
pub use crate::memory::Heap;
pub use crate::memory::{Fixed, Memory};
pub use crate::state::{Beside, Line, Sighting, State, Stats, Usual};
