//! Who works on a primitive: threads and tasks, by one and the same code.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::thread;

use fastrand::Rng;
use steadfast_core::Timer;
use steadfast_core::wait::{Gate, Wait};
use steadfast_deduplicator::{self as deduplicator, Claimable};
use steadfast_sequence_tracker::{self as sequence_tracker, Awaited};

use crate::laws::Tally;

pub(crate) const THREADS: usize = 2;
pub(crate) const TASKS: usize = 4;
pub(crate) const WORKERS: usize = THREADS + TASKS;

/// How a worker waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Task,
}

/// One worker, for one turn.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) kind: Kind,
    pub(crate) random: Rng,
    pub(crate) tally: Arc<Tally>,
    pub(crate) ending: Arc<AtomicBool>,
}

/// A wait that a thread can do as well as a task.
pub(crate) trait Waits: Future + Unpin {
    fn block(self) -> Self::Output;
}

impl<O: Deref<Target: Gate + Sized> + Clone> Waits for Wait<O> {
    fn block(self) -> Self::Output {
        self.wait()
    }
}

impl<O: Deref<Target: Awaited> + Clone> Waits for sequence_tracker::Acquire<O> {
    fn block(self) -> Self::Output {
        self.wait()
    }
}

impl<O: Deref<Target: Claimable<Clock: Timer>> + Clone> Waits for deduplicator::Acquire<O> {
    fn block(self) -> Self::Output {
        self.wait()
    }
}

impl Worker {
    /// Whether there is another step to be done.
    pub(crate) fn goes_on(&self) -> bool {
        let goes_on = !self.ending.load(SeqCst);
        if goes_on {
            self.tally.operations.one();
        }
        goes_on
    }

    /// Waits, as its kind does; or polls a few times and goes away, in one of eight cases: `None`.
    pub(crate) async fn end<W: Waits>(&mut self, mut wait: W) -> Option<W::Output> {
        let is_cancelled = self.random.u8(..8) == 0;
        let polls = if self.random.u8(..4) == 0 || is_cancelled { self.random.u8(..4) } else { 0 };
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut wait).poll(cx))).await;
            if let Poll::Ready(output) = polled {
                return Some(output);
            }
            self.rest().await;
        }
        if is_cancelled {
            self.tally.cancelled.one();
            return None;
        }
        Some(match self.kind {
            Kind::Thread => wait.block(),
            Kind::Task => wait.await,
        })
    }

    /// Lets others go on.
    pub(crate) async fn rest(&mut self) {
        match self.kind {
            Kind::Thread => thread::yield_now(),
            Kind::Task => tokio::task::yield_now().await,
        }
    }

    /// Holds what it got for a while.
    pub(crate) async fn hold(&mut self) {
        for _ in 0..self.random.u8(..3) {
            self.rest().await;
        }
    }

    /// Ends what it holds by a panic, which nobody has to read.
    pub(crate) fn panic_with<T>(&self, held: T) {
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _held = held;
            resume_unwind(Box::new("on purpose"));
        }));
        assert!(panicked.is_err());
        self.tally.panicked.one();
    }
}

/// Runs a thread's work, which never waits but by blocking.
pub(crate) fn run_blocking(work: impl Future<Output = ()>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(work).poll(&mut cx).is_ready(), "a thread does not wait as tasks do");
}

/// How much of something is held, and never more than there is.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicU64);

impl Held {
    /// After it was got. How much is held then.
    pub(crate) fn add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, SeqCst) + n
    }

    /// Before it is given back.
    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, SeqCst);
    }
}
