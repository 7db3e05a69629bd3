//! All executors, and threads, and mixtures of them on one object: what was promised to one waiter is kept
//! to all kinds.
//!
//! | file | what it shows |
//! |---|---|
//! | `timers` | every executor with every timer, in real time; tokio's paused time |
//! | `order` | who is served next, and who is not, on a mixture |
//! | `ends` | deadlines, closing, new settings, and holders that panic, on a mixture |
//! | `storms` | 100,000 waits dropped half-way, of each primitive, on a mixture |
//! | `crowd` | the mixture |
//!
//! Where real timers are not the point, the clock is moved by hand. A watchdog turns a lost wake-up into a
//! failure.

mod crowd;
mod ends;
mod order;
mod storms;
mod timers;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs `test` on a thread of its own, and fails if it has not ended after a generous while.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        test();
        done.send(()).expect("the watchdog waits");
    });
    match wait.recv_timeout(Duration::from_secs(40)) {
        Err(RecvTimeoutError::Timeout) => panic!("a wake-up was lost"),
        _ => thread.join().expect("the test passes"),
    }
}
