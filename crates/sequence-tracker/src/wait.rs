//! `acquire`: waiting until everything up to a number has come. Every decision is the machine's.

use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::ops::{Deref, RangeInclusive};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use steadfast_core::sync::Arc;
use steadfast_core::wait::{Attempt, Gate, Limit, Outlook, Turn, Wait};
use steadfast_core::{Clock, Instant, Line, Raised, Timer};

use crate::error::AcquireError;
use crate::gaps::Run;
use crate::seats::Seat;
use crate::tracker::SequenceTracker;

impl<C: Timer> SequenceTracker<C> {
    /// Waits until everything up to `number` has come, and gives the number through which that is so.
    ///
    /// It is a proof: from the first number of the stream through the one that is given, each has come, or
    /// was said never to come, or is covered by a snapshot. If one was abandoned or given up, the wait fails
    /// with [`AcquireError::Lost`] as soon as nothing else is missing.
    ///
    /// `number` is a 64-bit one: see [`extend`](Self::extend). While somebody waits, numbers in order take
    /// the lock, too. However many wait, each is woken once: when everything up to its own number has come
    /// or was lost, when the stream begins anew, or at its deadline; not for what others wait for.
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

    /// The tracker itself.
    fn tracker(&self) -> &SequenceTracker<Self::Timer>;
}

impl<C: Timer> Awaited for SequenceTracker<C> {
    type Timer = C;

    fn tracker(&self) -> &Self {
        self
    }
}

/// What somebody sees who waits.
pub(crate) enum Seen {
    /// It has come, through this number.
    Come(u64),
    /// Nothing of it is missing any more, but some of it was lost: from the lowest to the highest.
    Lost { through: u64, lost: Run },
    /// Not yet, and it is too late to wait.
    Late { missing: Vec<RangeInclusive<u64>> },
    /// Not yet: here one waits for it.
    NotYet(Arc<Seat>),
    /// The run is over.
    Over,
}

/// The wait that [`SequenceTracker::acquire`] returns: `.await` it, or call [`.wait()`](Acquire::wait).
///
/// `O` is how it holds the tracker: `&T`, or `Arc<T>` for a wait that can be sent elsewhere.
#[must_use = "a wait does nothing unless it is awaited or `.wait()` is called"]
pub struct Acquire<O: Deref<Target: Awaited> + Clone> {
    /// `None` once it is over.
    owner: Option<O>,
    number: u64,
    limit: Limit,
    /// Where it sits since it began to wait.
    seat: Option<Arc<Seat>>,
    /// Its place in the line there, if it was polled and found pending.
    wait: Option<Wait<Seated<O>>>,
}

/// Somebody who waits for a number.
struct Sitter<O> {
    owner: O,
    seat: Arc<Seat>,
}

/// The same as what is waited at.
struct Seated<O>(Sitter<O>);

const POLLED_AFTER_END: &str = "a wait was polled after it was over";

impl<O> Deref for Seated<O> {
    type Target = Sitter<O>;

    fn deref(&self) -> &Sitter<O> {
        &self.0
    }
}

impl<O: Deref<Target: Awaited> + Clone> Acquire<O> {
    /// [`SequenceTracker::acquire`] for any way to hold it.
    pub const fn new(owner: O, number: u64) -> Self {
        Self { owner: Some(owner), number, limit: Limit::None, seat: None, wait: None }
    }

    /// Fails once `timeout` has passed since the next poll. Replaces an earlier limit.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::Timeout(timeout);
        self
    }

    /// Fails at `deadline`, an instant of the tracker's clock. Replaces an earlier limit.
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.limit = Limit::Deadline(deadline);
        self
    }

    /// The wait that is to be gone on with, or the end.
    fn next(&mut self) -> Result<Result<u64, AcquireError>, Wait<Seated<O>>> {
        let owner = self.owner.as_ref().expect(POLLED_AFTER_END);
        let Some(wait) = self.wait.take() else { return self.look() };
        if matches!(self.limit, Limit::Timeout(_)) {
            // It was set since the wait began.
            self.limit.resolve(owner.tracker().clock().now());
        }
        Err(self.limited(wait))
    }

    /// One look: over, or the wait for another.
    fn look(&mut self) -> Result<Result<u64, AcquireError>, Wait<Seated<O>>> {
        let owner = self.owner.as_ref().expect(POLLED_AFTER_END);
        let tracker = owner.tracker();
        let now = tracker.clock().now();
        self.limit.resolve(now);
        match tracker.await_through(self.number, self.seat.as_ref(), self.limit.passed(now)) {
            Seen::Come(through) => Ok(Ok(through)),
            Seen::Lost { through, lost } => Ok(Err(AcquireError::Lost { through, lost })),
            Seen::Late { missing } => Ok(Err(AcquireError::TimedOut { missing })),
            Seen::Over => Ok(Err(AcquireError::Restarted)),
            Seen::NotYet(seat) => {
                self.seat = Some(Arc::clone(&seat));
                let wait = Wait::new(Seated(Sitter { owner: owner.clone(), seat }), ());
                Err(self.limited(wait))
            }
        }
    }

    fn limited(&self, wait: Wait<Seated<O>>) -> Wait<Seated<O>> {
        match self.limit {
            Limit::Deadline(deadline) => wait.deadline(deadline),
            Limit::None | Limit::Timeout(_) => wait,
        }
    }

    /// Waits no more.
    fn leave(&mut self) {
        if let (Some(owner), Some(seat)) = (&self.owner, self.seat.take()) {
            owner.tracker().stop_waiting(self.number, &seat);
        }
    }

    /// Blocks this thread until everything has come, or the wait fails. If it was polled before, it keeps its
    /// place.
    ///
    /// # Panics
    ///
    /// If it was polled to its end before.
    #[cfg(feature = "std")]
    pub fn wait(mut self) -> Result<u64, AcquireError> {
        loop {
            match self.next() {
                Ok(result) => return result,
                Err(wait) => {
                    let (Ok(()) | Err(Raised)) = wait.wait();
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
            match self.next() {
                Ok(result) => {
                    self.leave();
                    self.owner = None;
                    return Poll::Ready(result);
                }
                Err(mut wait) => match Pin::new(&mut wait).poll(cx) {
                    Poll::Ready(Ok(()) | Err(Raised)) => {}
                    Poll::Pending => {
                        self.wait = Some(wait);
                        return Poll::Pending;
                    }
                },
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

/// Nobody gets through: whoever is woken looks for himself.
impl<O: Deref<Target: Awaited>> Gate for Sitter<O> {
    type Timer = <O::Target as Awaited>::Timer;
    type Request = ();
    type Pass = ();
    type Grant<P: Deref<Target = Self>> = ();
    type Error = Raised;

    fn timer(&self) -> &Self::Timer {
        self.owner.tracker().clock()
    }

    fn line(&self) -> &Line {
        self.seat.line()
    }

    fn max_waiters(&self) -> u32 {
        u32::MAX
    }

    fn weight(&self, (): ()) -> u64 {
        1
    }

    fn attempt(&self, (): (), _turn: Turn, _now: Instant) -> Attempt<(), Raised> {
        self.never(()).map_or(Attempt::NotNow, Attempt::Refused)
    }

    fn outlook(&self, _ahead: u128, _weight: u64, _now: Instant) -> Outlook {
        Outlook::Event { again: Instant::MAX }
    }

    fn never(&self, (): ()) -> Option<Raised> {
        self.seat.is_over().then_some(Raised)
    }

    /// A seat that is over wakes its line, whether anybody is there or not.
    fn mark(&self, _is_occupied: bool) {}

    fn admit<P: Deref<Target = Self>>(_owner: P, (): ()) {}
}
