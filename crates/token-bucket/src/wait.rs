//! `acquire`: the bucket as something to wait for. Every decision is the machine's.

use core::ops::Deref;

use steadfast_core::wait::{Attempt, Gate, Outlook, Turn, Wait};
use steadfast_core::{Instant, Line, Timer};

use crate::atomic::TokenBucket;
use crate::error::AcquireError;

/// The wait that [`TokenBucket::acquire`] returns: `.await` it, or call
/// [`.wait()`](Wait::wait).
///
/// `O` is how it holds the bucket. `Acquire::new(Arc::clone(&bucket), 3)` makes one that can be
/// sent elsewhere.
pub type Acquire<O> = Wait<O>;

impl<C: Timer> TokenBucket<C> {
    /// Takes `n` tokens, waiting for them in turn if need be.
    ///
    /// Requests are served strictly in the order in which they began to wait, tasks and threads
    /// alike, and a large one is not starved by small ones. An uncontended `acquire` costs what
    /// [`try_acquire`](TokenBucket::try_acquire) costs and allocates nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait before it is ready loses its place in the line and nothing else: no token
    /// was taken, and those behind it move up at once.
    ///
    /// # Errors
    ///
    /// At once if `n` exceeds the burst, if the bucket is closed, if the line is full, or if the
    /// line ahead makes the deadline impossible; later if the deadline comes, if the bucket is
    /// closed, or if a new configuration makes the burst smaller than `n`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_token_bucket::{AcquireError, Rate, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_second(500))?;
    /// // This thread …
    /// bucket.acquire(500).wait()?;
    /// // … or any executor:
    /// # futures::executor::block_on(async {
    /// bucket.acquire(1).await?;
    /// # Ok::<(), AcquireError>(())
    /// # })?;
    /// // What cannot be had in time fails without waiting.
    /// let late = bucket.acquire(500).timeout(Duration::from_millis(10)).wait();
    /// assert!(matches!(late, Err(AcquireError::TimedOut { .. })));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn acquire(&self, n: u64) -> Acquire<&Self> {
        Acquire::new(self, n)
    }
}

impl<C: Timer> Gate for TokenBucket<C> {
    type Timer = C;
    type Request = u64;
    type Pass = ();
    type Grant<O: Deref<Target = Self>> = ();
    type Error = AcquireError;

    #[inline]
    fn timer(&self) -> &C {
        &self.clock
    }

    #[inline]
    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        self.max_waiters
    }

    fn weight(&self, n: u64) -> u64 {
        n
    }

    // A call of its own takes 125 instructions a wait where this takes 84.
    #[inline(always)]
    fn attempt(&self, n: u64, turn: Turn, now: Instant) -> Attempt<(), AcquireError> {
        self.take_for_wait(n, turn == Turn::Head, now).attempt(|| self.burst())
    }

    fn outlook(&self, ahead: u128, n: u64, now: Instant) -> Outlook {
        self.look(|state| state.outlook(ahead, n, now))
    }

    fn never(&self, n: u64) -> Option<AcquireError> {
        self.look(|state| AcquireError::never(n, state.limits().burst(), state.word().is_closed()))
    }

    fn mark(&self, occupied: bool) {
        self.set_occupied(occupied);
    }

    #[inline]
    fn admit<O: Deref<Target = Self>>(_owner: O, (): ()) {}
}
