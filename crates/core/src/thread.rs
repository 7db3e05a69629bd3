//! Threads as waiters: a waker that unparks, and parking.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

#[cfg(loom)]
use loom::thread::{self, Thread};
#[cfg(not(loom))]
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(not(loom))]
std::thread_local! {
    /// Made at a thread's first blocking wait and used for all of them.
    static WAKER: Waker = waker();
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Runs `f` with a waker that unparks the current thread.
#[cfg(not(loom))]
pub(crate) fn with_waker<R>(f: impl FnOnce(&Waker) -> R) -> R {
    // A thread that is being torn down has lost its cached waker; the clone keeps `f` usable then.
    let cached = WAKER.try_with(Waker::clone);
    f(&cached.unwrap_or_else(|_| waker()))
}

#[cfg(loom)]
pub(crate) fn with_waker<R>(f: impl FnOnce(&Waker) -> R) -> R {
    f(&waker())
}

/// Sleeps until the thread is unparked, at most for `timeout`. May return early.
#[cfg(not(loom))]
pub(crate) fn park(timeout: Option<Duration>) {
    match timeout {
        None => thread::park(),
        Some(Duration::ZERO) => {}
        Some(timeout) => thread::park_timeout(timeout),
    }
}

#[cfg(loom)]
pub(crate) fn park(_timeout: Option<Duration>) {
    // Loom has no time; a model's clock does not advance with the system's.
    thread::park();
}
