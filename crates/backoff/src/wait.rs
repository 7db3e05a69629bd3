//! `acquire`: the shared backoff as something to wait for. Every decision is the machine's.

use core::ops::Deref;
use core::time::Duration;

use steadfast_core::wait::{Gate, Outlook, Turn, Wait};
use steadfast_core::{Instant, Line, Timer};

use crate::atomic::{Attempt, Backoff};
use crate::error::AcquireError;
use crate::growth::Grow;
use crate::state::{Decision, Pass};

/// The wait that [`Backoff::acquire`] returns: `.await` it, or call [`.wait()`](Wait::wait).
///
/// `O` is how it holds the backoff. `Acquire::new(Arc::clone(&backoff), ())` makes one that can be
/// sent elsewhere.
pub type Acquire<O> = Wait<O>;

impl<C: Timer, G: Grow> Backoff<C, G> {
    /// The next attempt, once its delay is over and it is this one's turn.
    ///
    /// Attempts are given out strictly in the order in which they were asked for, to tasks and
    /// threads alike. While everything works it does not wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait before it is ready loses its place in the line and nothing else.
    ///
    /// # Errors
    ///
    /// At once or later if the backoff is stopped or exhausted; at once if the line is full or the
    /// delay ends after the deadline; later if the deadline comes.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Backoff, Config};
    ///
    /// let backoff = Backoff::new(Config::constant(Duration::from_millis(2)).build()?);
    /// backoff.acquire().wait()?.failure();
    /// // Two milliseconds later:
    /// let attempt = backoff.acquire().timeout(Duration::from_secs(1)).wait()?;
    /// assert_eq!(attempt.number(), 1);
    /// # attempt.success();
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(&self) -> Acquire<&Self> {
        Acquire::new(self, ())
    }
}

impl<C: Timer, G: Grow> Gate for Backoff<C, G> {
    type Timer = C;
    type Request = ();
    type Pass = Pass;
    type Grant<O: Deref<Target = Self>> = Attempt<O>;
    type Error = AcquireError;

    fn timer(&self) -> &C {
        &self.clock
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        self.max_waiters
    }

    fn weight(&self, (): ()) -> u64 {
        1
    }

    fn attempt(
        &self,
        (): (),
        turn: Turn,
        now: Instant,
    ) -> steadfast_core::wait::Attempt<Pass, AcquireError> {
        use steadfast_core::wait::Attempt::{Granted, NotNow, Refused};
        match self.begin(turn == Turn::Head, now) {
            Decision::Granted(pass) => Granted(pass),
            Decision::NotYet { .. } | Decision::Busy => NotNow,
            Decision::Exhausted { failures } => Refused(AcquireError::Exhausted { failures }),
            Decision::Stopped => Refused(AcquireError::Stopped),
        }
    }

    fn outlook(&self, ahead: u128, _weight: u64, now: Instant) -> Outlook {
        match self.look(u64::try_from(ahead).unwrap_or(u64::MAX), now) {
            Decision::Granted(_) => Outlook::Ready,
            // Nothing is lost if it is late.
            Decision::NotYet { at } => Outlook::At { at, spare: Duration::MAX },
            Decision::Busy => Outlook::At { at: Instant::MAX, spare: Duration::MAX },
            Decision::Exhausted { .. } | Decision::Stopped => Outlook::Never,
        }
    }

    fn never(&self, (): ()) -> Option<AcquireError> {
        match self.never_granted()? {
            Decision::Exhausted { failures } => Some(AcquireError::Exhausted { failures }),
            Decision::Stopped => Some(AcquireError::Stopped),
            _ => None,
        }
    }

    fn mark(&self, occupied: bool) {
        self.set_occupied(occupied);
    }

    fn admit<O: Deref<Target = Self>>(owner: O, pass: Pass) -> Attempt<O> {
        Attempt::new(owner, pass)
    }
}
