//! Foreign code that panics harms nobody else.

#[cfg(feature = "std")]
pub(crate) use self::catch::completes;
#[cfg(not(feature = "std"))]
pub(crate) use self::trust::completes;

#[cfg(feature = "std")]
mod catch {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Runs a waker or a timer of somebody else's, and says whether it returned.
    ///
    /// A panic has been reported by the panic hook; its payload is leaked, because dropping it may
    /// panic again.
    pub(crate) fn completes(f: impl FnOnce()) -> bool {
        // OK: the caller treats what `f` touched as lost when it did not return.
        catch_unwind(AssertUnwindSafe(f)).map_err(core::mem::forget).is_ok()
    }
}

#[cfg(not(feature = "std"))]
mod trust {
    /// Runs a waker or a timer of somebody else's. Without `std` a panic does not unwind.
    pub(crate) fn completes(f: impl FnOnce()) -> bool {
        f();
        true
    }
}
