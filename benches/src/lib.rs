//! What the benchmarks share: the list of cases, process CPU time, pinning, and a future that counts
//! its polls.

pub mod backoff;
pub mod cases;
pub mod circuit_breaker;
pub mod counting;
pub mod deduplicator;
pub mod ratios;
pub mod scaling;
pub mod sequence_tracker;
pub mod token_bucket;
pub mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::cases::Case;

/// All cases of all crates, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = token_bucket::cases();
    cases.extend(backoff::cases());
    cases.extend(circuit_breaker::cases());
    cases.extend(sequence_tracker::cases());
    cases.extend(deduplicator::cases());
    cases
}

/// CPU time that this process has used, all threads together.
///
/// # Panics
///
/// If the system says that it is negative.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let secs = u64::try_from(time.tv_sec).expect("CPU time is not negative");
    let nanos = u32::try_from(time.tv_nsec).expect("CPU time is normalised");
    Duration::new(secs, nanos)
}

/// Keeps the calling thread on one core, if the system has that many.
pub fn pin_to(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    // Fewer cores than that: run unpinned.
    let _unpinned = rustix::thread::sched_setaffinity(None, &set);
}

/// Counts how often a future is polled.
#[derive(Debug)]
pub struct Polls<F> {
    future: F,
    polls: u64,
}

impl<F: Future + Unpin> Polls<F> {
    /// Wraps `future`.
    pub fn new(future: F) -> Self {
        Self { future, polls: 0 }
    }
}

impl<F: Future + Unpin> Future for Polls<F> {
    type Output = (F::Output, u64);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let polls = self.polls;
        Pin::new(&mut self.future).poll(cx).map(|output| (output, polls))
    }
}

/// The notes on how to come from another crate: theirs and ours.
#[cfg(doctest)]
#[doc = include_str!("../../docs/MIGRATION.md")]
struct Migration;

/// What is said of others, as far as it is code.
#[cfg(doctest)]
#[doc = include_str!("../../docs/COMPARISON.md")]
struct Comparison;
