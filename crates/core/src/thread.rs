//! Threads as waiters: a waker that unparks, and parking.

#[cfg(loom)]
pub(crate) use self::model::{park, with_waker};
#[cfg(not(loom))]
pub(crate) use self::real::{park, with_waker};

#[cfg(not(loom))]
mod real {
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use std::thread::{self, Thread};
    use std::time::Duration;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark();
        }
    }

    std::thread_local! {
        /// Made at a thread's first blocking wait and used for all of them.
        static WAKER: Waker = waker();
    }

    fn waker() -> Waker {
        Waker::from(Arc::new(Unpark(thread::current())))
    }

    /// Runs `f` with a waker that unparks the current thread.
    pub(crate) fn with_waker<R>(f: impl FnOnce(&Waker) -> R) -> R {
        // A thread that is being torn down has lost its cached waker; the clone keeps `f` usable
        // then.
        let cached = WAKER.try_with(Waker::clone);
        f(&cached.unwrap_or_else(|_| waker()))
    }

    /// Sleeps until the thread is unparked, at most for `timeout`. May return early.
    pub(crate) fn park(timeout: Option<Duration>) {
        match timeout {
            None => thread::park(),
            Some(Duration::ZERO) => {}
            Some(timeout) => thread::park_timeout(timeout),
        }
    }
}

/// The same for loom, whose own parking forgets an unpark that reaches a thread while it is blocked
/// by a lock.
#[cfg(loom)]
mod model {
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use loom::sync::Notify;

    struct Unpark(Arc<Notify>);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }

    loom::thread_local! {
        static PARKED: Arc<Notify> = Arc::new(Notify::new());
    }

    pub(crate) fn with_waker<R>(f: impl FnOnce(&Waker) -> R) -> R {
        f(&Waker::from(Arc::new(Unpark(PARKED.with(Arc::clone)))))
    }

    /// Loom has no time; a model's clock does not advance with the system's.
    pub(crate) fn park(_timeout: Option<Duration>) {
        PARKED.with(Arc::clone).wait();
    }
}
