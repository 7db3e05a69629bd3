//! Tests that would hang fail instead.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs `f` on a thread of its own, and fails if it takes longer than 2 minutes.
pub fn watched<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, watchdog) = channel();
    let thread = thread::spawn(move || {
        let answer = f();
        let _nobody_listens = done.send(());
        answer
    });
    let timed_out = Err(RecvTimeoutError::Timeout);
    assert_ne!(watchdog.recv_timeout(Duration::from_secs(120)), timed_out, "somebody still waits");
    thread.join().expect("the watched test failed")
}
