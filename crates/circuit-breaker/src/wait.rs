//! `acquire`: the breaker as something to wait for. Every decision is the machine's.

use core::ops::Deref;
use core::time::Duration;

use steadfast_core::sync::atomic::AtomicU64;
use steadfast_core::wait::{Attempt, Gate, Missed, Outlook, Turn, Wait};
use steadfast_core::{Instant, Line, Timer};

use crate::atomic::{CircuitBreaker, Permit};
use crate::error::AcquireError;
use crate::state::{Decision, Effects, Look, Memory, Pass};

/// The wait that [`CircuitBreaker::acquire`] returns: `.await` it, or call
/// [`.wait()`](Wait::wait).
///
/// `O` is how it holds the breaker. `Acquire::new(Arc::clone(&breaker), ())` makes one that can be
/// sent elsewhere.
pub type Acquire<O> = Wait<O>;

impl<C: Timer, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// Leave for a call, once the breaker is closed or has a place for a probe.
    ///
    /// Probes are given out in the order in which they were asked for, to tasks and threads alike.
    /// While the breaker is closed it does not wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait before it is ready loses its place in the line and nothing else.
    ///
    /// # Errors
    ///
    /// At once if the line is full or the break ends after the deadline; later if the deadline comes.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::Config;
    ///
    /// let breaker = Config::new()
    ///     .consecutive_failures(1)
    ///     .break_duration(Duration::from_millis(2))
    ///     .build()?;
    /// breaker.try_acquire()?.failure();
    /// // Two milliseconds later:
    /// let probe = breaker.acquire().timeout(Duration::from_secs(1)).wait()?;
    /// assert!(probe.is_probe());
    /// # probe.success();
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire(&self) -> Acquire<&Self> {
        Acquire::new(self, ())
    }
}

impl<C: Timer, M: Memory<Word = AtomicU64>> Gate for CircuitBreaker<C, M> {
    type Timer = C;
    type Request = ();
    type Pass = Pass;
    type Grant<O: Deref<Target = Self>> = Permit<O>;
    type Error = AcquireError;

    fn timer(&self) -> &C {
        self.clock()
    }

    fn line(&self) -> &Line {
        CircuitBreaker::line(self)
    }

    fn max_waiters(&self) -> u32 {
        CircuitBreaker::max_waiters(self)
    }

    fn weight(&self, (): ()) -> u64 {
        1
    }

    fn attempt(&self, (): (), turn: Turn, now: Instant) -> Attempt<Pass, AcquireError> {
        let (decision, effects) = self.state().begin(turn == Turn::Head, now);
        if effects != Effects::NONE {
            // To be told, which runs code of somebody else's, when no lock is held.
            self.deferred().put(effects);
        }
        match decision {
            Decision::Granted(pass) => {
                self.count(true);
                Attempt::Granted(pass)
            }
            Decision::Open { .. }
            | Decision::Busy
            | Decision::RampingUp { .. }
            | Decision::Isolated => Attempt::NotNow,
        }
    }

    fn outlook(&self, ahead: u128, _weight: u64, now: Instant) -> Outlook {
        match self.state().look(u64::try_from(ahead).unwrap_or(u64::MAX), now) {
            Look::Ready => Outlook::Ready,
            // Nothing is lost if it is late.
            Look::At(at) => Outlook::At { at, spare: Duration::MAX },
            Look::Event(again) => Outlook::Event { again },
        }
    }

    fn never(&self, (): ()) -> Option<AcquireError> {
        None
    }

    fn missed(&self, missed: Missed) -> AcquireError {
        self.count(false);
        AcquireError::new(missed, self.shown_name())
    }

    fn mark(&self, occupied: bool) {
        self.state().set_occupied(occupied);
    }

    fn afterwards(&self) {
        let mut rest = self.deferred().all();
        // First to those who read: a callback that panics keeps nothing from them. (Once more below,
        // which changes nothing.)
        for change in rest.changes() {
            self.feed().publish(change);
        }
        while let Some(effects) = rest.next() {
            self.tell(effects);
        }
    }

    fn admit<O: Deref<Target = Self>>(owner: O, pass: Pass) -> Permit<O> {
        let permit = Permit::new(owner, pass);
        permit.owner().afterwards();
        permit
    }
}
