//! `acquire`: waiting until everything up to a number has come. Every decision is the machine's.

use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::ops::{Deref, RangeInclusive};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use steadfast_core::wait::Wait;
use steadfast_core::{Clock, Instant, Signal, Timer};

use crate::error::AcquireError;
use crate::gaps::Run;
use crate::tracker::SequenceTracker;

impl<C: Timer> SequenceTracker<C> {
    /// Waits until everything up to `number` has come, and gives the number through which that is so.
    ///
    /// It is a proof: from the first number of the stream through the one that is given, each has come, or
    /// was said never to come, or is covered by a snapshot. If one was abandoned or given up, the wait fails
    /// with [`AcquireError::Lost`] as soon as nothing else is missing.
    ///
    /// `number` is a 64-bit one: see [`extend`](Self::extend). While somebody waits, numbers in order take
    /// the lock, too. When the lowest number that anybody waits for has come, all who wait are woken, and
    /// wait anew if theirs has not: meant for a few who wait, not for one a number (a thousand who wait for
    /// as many numbers are woken half a million times).
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses nothing.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Lost`] if some of it was lost; [`AcquireError::TimedOut`] with what is missing of it
    /// at the deadline; [`AcquireError::Restarted`] if the stream begins anew meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_sequence_tracker::{AcquireError, Config, Run};
    ///
    /// let tracker = Config::new().build()?;
    /// tracker.record(1);
    /// tracker.record(4);
    /// let late = tracker.acquire(4).timeout(Duration::from_millis(1)).wait();
    /// assert_eq!(late, Err(AcquireError::TimedOut { missing: vec![2..=3] }));
    ///
    /// std::thread::scope(|scope| {
    ///     let waiter = scope.spawn(|| tracker.acquire(4).wait());
    ///     tracker.record_range(2..=3).unwrap();
    ///     assert_eq!(waiter.join().unwrap(), Ok(4));
    /// });
    ///
    /// tracker.record(6);
    /// tracker.give_up_below(6);
    /// let lost = Run { first: 5, last: 5 };
    /// assert_eq!(tracker.acquire(6).wait(), Err(AcquireError::Lost { through: 6, lost }));
    /// assert_eq!(tracker.acquire(4).wait(), Ok(4));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(&self, number: u64) -> Acquire<&Self> {
        Acquire::new(self, number)
    }
}

/// What a wait is for: a [`SequenceTracker`].
pub trait Awaited {
    /// The clock and timer.
    type Timer: Timer;

    /// What is raised when something may have come.
    fn signal(&self) -> &Signal<Self::Timer>;

    /// Whether it has come; if not, what is missing of it if it is `late`, and otherwise it is awaited
    /// from now on. `since` is the restart before which the wait began.
    fn look(&self, number: u64, since: Option<u64>, late: bool) -> Seen;

    /// One waits less.
    fn leave(&self);
}

/// What somebody sees who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It has come, through this number.
    Come(u64),
    /// Nothing of it is missing any more, but some of it was lost.
    Lost {
        /// Through which number nothing is missing.
        through: u64,
        /// From the lowest to the highest that is lost.
        lost: Run,
    },
    /// Not yet, and it is too late to wait.
    Late {
        /// What is missing of it.
        missing: Vec<RangeInclusive<u64>>,
    },
    /// Not yet, in this run, after so many signals.
    NotYet {
        /// How often the signal was raised before.
        signals: u64,
        /// Which run of the stream it is.
        run: u64,
    },
    /// The run is over.
    Over,
}

impl<C: Timer> Awaited for SequenceTracker<C> {
    type Timer = C;

    fn signal(&self) -> &Signal<C> {
        self.arrived()
    }

    fn look(&self, number: u64, since: Option<u64>, late: bool) -> Seen {
        self.await_through(number, since, late)
    }

    fn leave(&self) {
        self.stop_waiting();
    }
}

/// The wait that [`SequenceTracker::acquire`] returns: `.await` it, or call [`.wait()`](Acquire::wait).
///
/// `O` is how it holds the tracker: `&T`, or `Arc<T>` for a wait that can be sent elsewhere.
#[must_use = "a wait does nothing unless it is awaited or `.wait()` is called"]
pub struct Acquire<O: Deref<Target: Awaited> + Clone> {
    owner: O,
    number: u64,
    limit: Limit,
    /// The run in which it began to wait.
    run: Option<u64>,
    wait: Option<Wait<SignalOf<O>>>,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    None,
    /// From the first poll.
    Timeout(Duration),
    Deadline(Instant),
}

/// The tracker as what is waited for.
struct SignalOf<O>(O);

impl<O: Deref<Target: Awaited>> Deref for SignalOf<O> {
    type Target = Signal<<O::Target as Awaited>::Timer>;

    fn deref(&self) -> &Self::Target {
        self.0.signal()
    }
}

impl<O: Deref<Target: Awaited> + Clone> Acquire<O> {
    /// [`SequenceTracker::acquire`] for any way to hold it.
    pub const fn new(owner: O, number: u64) -> Self {
        Self { owner, number, limit: Limit::None, run: None, wait: None }
    }

    /// Fails once `timeout` has passed since the first poll. Replaces an earlier limit.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::Timeout(timeout);
        self
    }

    /// Fails at `deadline`, an instant of the tracker's clock. Replaces an earlier limit.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.limit = Limit::Deadline(deadline);
        self
    }

    /// One look: over, or the wait for the next.
    fn look(&mut self) -> Result<Result<u64, AcquireError>, Wait<SignalOf<O>>> {
        let now = self.owner.signal().clock().now();
        if let Limit::Timeout(timeout) = self.limit {
            self.limit = Limit::Deadline(now.saturating_add(timeout));
        }
        let is_late = matches!(self.limit, Limit::Deadline(deadline) if now >= deadline);
        match self.owner.look(self.number, self.run, is_late) {
            Seen::Come(through) => Ok(Ok(through)),
            Seen::Lost { through, lost } => Ok(Err(AcquireError::Lost { through, lost })),
            Seen::Late { missing } => Ok(Err(AcquireError::TimedOut { missing })),
            Seen::Over => Ok(Err(AcquireError::Restarted)),
            Seen::NotYet { signals, run } => {
                self.run = Some(run);
                let wait = Wait::new(SignalOf(self.owner.clone()), signals);
                match self.limit {
                    Limit::Deadline(deadline) => Err(wait.deadline(deadline)),
                    Limit::None | Limit::Timeout(_) => Err(wait),
                }
            }
        }
    }

    /// Waits no more.
    fn leave(&mut self) {
        if self.run.take().is_some() {
            self.owner.leave();
        }
    }

    /// Blocks this thread until everything has come, or the wait fails.
    #[cfg(feature = "std")]
    pub fn wait(mut self) -> Result<u64, AcquireError> {
        loop {
            match self.look() {
                Ok(result) => return result,
                Err(wait) => {
                    let _raised = wait.wait();
                }
            }
        }
    }
}

// Nothing is ever pinned inside.
impl<O: Deref<Target: Awaited> + Clone> Unpin for Acquire<O> {}

impl<O: Deref<Target: Awaited> + Clone> Future for Acquire<O> {
    type Output = Result<u64, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Some(wait) = &mut self.wait {
                let _raised = ready!(Pin::new(wait).poll(cx));
                self.wait = None;
            }
            match self.look() {
                Ok(result) => {
                    self.leave();
                    return Poll::Ready(result);
                }
                Err(wait) => self.wait = Some(wait),
            }
        }
    }
}

impl<O: Deref<Target: Awaited> + Clone> Drop for Acquire<O> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<O: Deref<Target: Awaited> + Clone> fmt::Debug for Acquire<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("number", &self.number)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
