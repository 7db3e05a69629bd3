//! Foreign code that panics harms nobody else.

#[cfg(feature = "std")]
pub(crate) use self::catch::completes;
#[cfg(not(feature = "std"))]
pub(crate) use self::trust::completes;

#[cfg(feature = "std")]
mod catch {
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Runs a waker or a timer of somebody else's, and says whether it returned.
    ///
    /// A panic has been reported by the panic hook.
    pub(crate) fn completes(f: impl FnOnce()) -> bool {
        // OK: the caller treats what `f` touched as lost when it did not return.
        catch_unwind(AssertUnwindSafe(f)).map_err(discard).is_ok()
    }

    /// What somebody else's code panicked with is somebody else's code, too, and may panic as it is dropped.
    /// What it then panics with is leaked, as there would be no end otherwise.
    #[cold]
    fn discard(payload: Box<dyn Any + Send>) {
        // OK: nobody sees it again.
        let _leaked = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(core::mem::forget);
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

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::panic::panic_any;
    use std::sync::Arc;

    use super::completes;

    #[test]
    fn what_foreign_code_panicked_with_is_dropped() {
        let payload = Arc::new(());
        let thrown = Arc::clone(&payload);
        assert!(!completes(|| panic_any(thrown)));
        assert_eq!(Arc::strong_count(&payload), 1);
    }

    #[test]
    fn what_foreign_code_panicked_with_may_panic_as_it_is_dropped() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic_any(Loud);
            }
        }
        assert!(!completes(|| panic_any(Loud)));
    }
}
