//! The one place where atomics and the lock are chosen.
//!
//! | build | atomics | lock |
//! |---|---|---|
//! | default | `core::sync::atomic`, `alloc::sync::Arc` | `parking_lot` |
//! | `portable-atomic` | `portable_atomic`, and `Arc` over it | as without it |
//! | no `std`, `wait` | as above | `critical_section` |
//! | `--cfg loom` | `loom` | `loom` |
//!
//! Everything else in the workspace says `steadfast_core::sync::…` and never asks which of them it
//! got. The lock is used through [`Mutex::with`] alone, so that no guard can outlive its statement.

#[cfg(all(feature = "alloc", not(feature = "portable-atomic")))]
pub use alloc::sync::Arc;
#[cfg(not(loom))]
pub use core::hint::spin_loop;
#[cfg(not(any(feature = "portable-atomic", loom)))]
pub use core::sync::atomic;
#[cfg(loom)]
pub use loom::{hint::spin_loop, sync::atomic};
#[cfg(all(feature = "portable-atomic", not(loom)))]
pub use portable_atomic as atomic;
#[cfg(all(feature = "alloc", feature = "portable-atomic"))]
pub use portable_atomic_util::Arc;

#[cfg(feature = "wait")]
pub use self::lock::Mutex;

/// As many words of zero as there are places.
#[cfg(not(loom))]
pub const fn zeros<const N: usize>() -> [atomic::AtomicU64; N] {
    [const { atomic::AtomicU64::new(0) }; N]
}

/// As many words of zero as there are places.
#[cfg(loom)]
pub fn zeros<const N: usize>() -> [atomic::AtomicU64; N] {
    core::array::from_fn(|_| atomic::AtomicU64::new(0))
}

/// Declares a `const fn`, which under loom is an ordinary one: loom's atomics register with a
/// running model and cannot be made at compile time.
#[cfg(not(loom))]
#[doc(hidden)]
#[macro_export]
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        $(#[$meta])* $vis const fn $($rest)*
    };
}

/// Declares a `const fn`, which under loom is an ordinary one: loom's atomics register with a
/// running model and cannot be made at compile time.
#[cfg(loom)]
#[doc(hidden)]
#[macro_export]
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        $(#[$meta])* $vis fn $($rest)*
    };
}

#[cfg(all(feature = "std", not(loom)))]
mod lock {
    /// A lock whose guard never leaves a closure.
    ///
    /// A panic inside [`with`](Mutex::with) releases it and does not poison it: whoever locks has
    /// to leave the value consistent at every point that can panic.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        /// Runs `f` on the value while nobody else can reach it.
        #[inline]
        pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.0.lock())
        }
    }
}

#[cfg(all(feature = "wait", not(feature = "std"), not(loom)))]
mod lock {
    use core::cell::RefCell;

    /// A lock whose guard never leaves a closure: a critical section of the final binary's choice.
    #[derive(Debug)]
    pub struct Mutex<T>(critical_section::Mutex<RefCell<T>>);

    impl<T> Mutex<T> {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            Self(critical_section::Mutex::new(RefCell::new(value)))
        }

        /// Runs `f` on the value while nobody else, interrupts included, can reach it.
        ///
        /// # Panics
        ///
        /// If `f` locks the same value again.
        #[inline]
        pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|cs| f(&mut self.0.borrow_ref_mut(cs)))
        }
    }
}

#[cfg(all(feature = "wait", loom))]
mod lock {
    /// A lock whose guard never leaves a closure, modelled by loom.
    #[derive(Debug)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Wraps `value`.
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        /// Runs `f` on the value while nobody else can reach it.
        pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.0.lock().expect("a model that panicked is over"))
        }
    }
}
