//! A handle that ends sleeping retries, and the sleep itself: waiting for the stop, or for an instant.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};

use steadfast_core::sync::atomic::{AtomicU64, Ordering};
use steadfast_core::wait::{Attempt, Gate, Missed, Outlook, Turn, Wait};
use steadfast_core::{Instant, Line, Step, SystemClock, Timer, const_unless_loom, update};

const STOPPED: u64 = 1;
const OCCUPIED: u64 = 2;

/// Ends any number of [retries](crate::Retry) at once, threads and tasks alike.
///
/// Those that sleep wake up and give up; those whose attempt (or [notice](crate::Retry::notify)) is
/// under way finish it, and do not retry. There is no way back.
///
/// Retries with this handle use its clock.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_backoff::{Config, GaveUp, Stop};
///
/// let stop = Stop::new();
/// let policy = Config::constant(Duration::from_secs(3_600)).unlimited().build()?;
/// std::thread::scope(|scope| {
///     let retry = || policy.retry(|_| Err::<(), _>("no")).stop(&stop).wait();
///     let sleeper = scope.spawn(retry);
///     stop.stop();
///     assert_eq!(sleeper.join().unwrap().unwrap_err().reason, GaveUp::Stopped);
/// });
/// # }
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
pub struct Stop<C = SystemClock> {
    word: AtomicU64,
    clock: C,
    line: Line,
}

#[cfg(feature = "std")]
impl Stop {
    /// A handle for retries on the system's clock.
    pub fn new() -> Self {
        Self::with(SystemClock)
    }
}

#[cfg(feature = "std")]
impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Stop<C> {
    const_unless_loom! {
        /// A handle for retries on a clock of yours.
        pub const fn with(clock: C) -> Self {
            Self { word: AtomicU64::new(0), clock, line: Line::new() }
        }
    }

    /// Stops them.
    pub fn stop(&self) {
        let occupied =
            update(&self.word, |word| Step::Replace(word | STOPPED, word & OCCUPIED != 0));
        if occupied {
            self.line.wake_all(|occupied| self.mark(occupied));
        }
    }

    /// Whether it was used.
    pub fn is_stopped(&self) -> bool {
        // ORDERING: Acquire partners with the Release in `stop`: what was written before is visible
        // to whoever gives up.
        self.word.load(Ordering::Acquire) & STOPPED != 0
    }

    fn mark(&self, occupied: bool) {
        update(&self.word, |word| {
            Step::Replace(if occupied { word | OCCUPIED } else { word & !OCCUPIED }, ())
        });
    }
}

impl<C> fmt::Debug for Stop<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

/// The sleep is over: by its time, or by a stop.
#[derive(Debug)]
pub struct Slept;

impl From<Missed> for Slept {
    fn from(_: Missed) -> Self {
        Self
    }
}

/// A gate that lets nobody through, and closes for all at once.
impl<C: Timer> Gate for Stop<C> {
    type Timer = C;
    type Request = ();
    type Pass = ();
    type Grant<O: Deref<Target = Self>> = ();
    type Error = Slept;

    fn timer(&self) -> &C {
        &self.clock
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        u32::MAX
    }

    fn weight(&self, (): ()) -> u64 {
        1
    }

    fn attempt(&self, (): (), _turn: Turn, _now: Instant) -> Attempt<(), Slept> {
        self.never(()).map_or(Attempt::NotNow, Attempt::Refused)
    }

    fn outlook(&self, _ahead: u128, _weight: u64, _now: Instant) -> Outlook {
        if self.is_stopped() {
            Outlook::Never
        } else {
            Outlook::At { at: Instant::MAX, spare: core::time::Duration::ZERO }
        }
    }

    fn never(&self, (): ()) -> Option<Slept> {
        self.is_stopped().then_some(Slept)
    }

    fn mark(&self, occupied: bool) {
        Stop::mark(self, occupied);
    }

    fn admit<O: Deref<Target = Self>>(_owner: O, (): ()) {}
}

/// A handle that nobody else has: waiting for it is only a matter of time. Boxed, so that a retry that
/// does not sleep is small enough to be moved quickly.
pub(crate) struct Own<C>(Box<Stop<C>>);

impl<C> Deref for Own<C> {
    type Target = Stop<C>;

    fn deref(&self) -> &Stop<C> {
        &self.0
    }
}

/// Over at an instant.
pub(crate) type TimeLimit<C> = Wait<Own<C>>;

/// A task asleep until an instant, or until it is stopped.
///
/// It is two waits, so that its alarm is its own. One wait for the stop, with the instant as its
/// deadline, would share the alarm of the handle's line: a task that is woken and not polled would
/// keep all others asleep that have nothing to do with it but the handle.
pub(crate) struct Sleep<'a, C: Timer> {
    stop: Option<Wait<&'a Stop<C>>>,
    time: TimeLimit<C>,
}

impl<C: Timer> Future for Sleep<'_, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stopped = match &mut self.stop {
            Some(stop) => Pin::new(stop).poll(cx).is_ready(),
            None => false,
        };
        if stopped { Poll::Ready(()) } else { Pin::new(&mut self.time).poll(cx).map(|_| ()) }
    }
}

/// Where a retry has its time from.
pub(crate) enum Source<'a, C> {
    Clock(C),
    Stop(&'a Stop<C>),
}

impl<'a, C: Timer + Clone> Source<'a, C> {
    pub(crate) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stop(stop) if stop.is_stopped())
    }

    /// For a task.
    pub(crate) fn sleep(&self, until: Instant) -> Sleep<'a, C> {
        let stop = match self {
            Self::Clock(_) => None,
            Self::Stop(stop) => Some(Wait::new(*stop, ())),
        };
        Sleep { stop, time: self.time_limit(until) }
    }

    /// The same on this thread, which is always there to take its turn.
    #[cfg(feature = "std")]
    pub(crate) fn sleep_on_thread(&self, until: Instant) {
        let _why = match self {
            Self::Clock(_) => self.time_limit(until).wait(),
            Self::Stop(stop) => Wait::new(*stop, ()).deadline(until).wait(),
        };
    }

    /// A sleep that nothing ends.
    pub(crate) fn time_limit(&self, until: Instant) -> TimeLimit<C> {
        Wait::new(Own(Box::new(Stop::with(self.clock().clone()))), ()).deadline(until)
    }

    fn clock(&self) -> &C {
        match self {
            Self::Clock(clock) => clock,
            Self::Stop(stop) => &stop.clock,
        }
    }
}
