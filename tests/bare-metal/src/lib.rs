//! What the programs share: the time, and the count of what they claim.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "wait")]
extern crate alloc;

pub mod checks;
#[cfg(feature = "wait")]
pub mod executor;
pub mod side;
pub mod ticks;

pub use checks::Checks;
pub use side::{Mine, Side};
pub use ticks::Ticks;
