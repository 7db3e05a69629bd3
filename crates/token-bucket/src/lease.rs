//! Tokens taken in advance, handed out without touching shared memory.

use core::fmt;
use core::ops::Deref;

use steadfast_core::{Clock, Instant};

use crate::atomic::TokenBucket;
use crate::config::ConfigError;
use crate::error::TryAcquireError;

/// A batch of tokens prepaid from a bucket, for one thread or task to use at about a nanosecond
/// each.
///
/// It begins empty, takes up to `batch` tokens from the bucket whenever it runs out, and gives back
/// what is left when it is dropped. `O` is how it holds the bucket: `&TokenBucket` or
/// `Arc<TokenBucket>`.
///
/// # Burstiness
///
/// The bucket's promise holds for the moment at which a batch is *taken*; the tokens are *used*
/// later, and unused ones come back later. With *k* leases of batches *b₁ … bₖ*, the tokens used in
/// any span of time are at most `burst + rate × span + (b₁ + … + bₖ)`: each lease can bring one
/// batch into the span, to be used there or to be given back and taken again. What was added by
/// [`add_prepaid`](Lease::add_prepaid) comes on top. Choose the batch accordingly: the burst divided
/// by the number of leases, or less.
///
/// # What the bucket no longer decides
///
/// Tokens held have been granted: they can be used after the bucket was closed, and they do not count
/// when the burst is checked, so that a request for more than the burst is granted if the bucket
/// holds what is missing.
///
/// # Examples
///
/// ```
/// use steadfast_core::Instant;
/// use steadfast_token_bucket::{Config, Lease, Rate, TokenBucket};
///
/// static LIMIT: TokenBucket = Config::new(Rate::per_second(100)).build_static();
///
/// let now = Instant::ZERO;
/// let mut lease = Lease::new(&LIMIT, 10)?;
/// lease.try_acquire_at(1, now)?;
/// assert_eq!((lease.held(), LIMIT.available_at(now)), (9, 90));
/// drop(lease);
/// assert_eq!(LIMIT.available_at(now), 99);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lease<O: Deref<Target = TokenBucket<C>>, C> {
    bucket: O,
    held: u64,
    batch: u64,
}

impl<O: Deref<Target = TokenBucket<C>>, C> Lease<O, C> {
    /// A lease of `batch` tokens at a time. It takes none yet.
    ///
    /// # Errors
    ///
    /// If the batch is 0 or above the burst.
    pub fn new(bucket: O, batch: u64) -> Result<Self, ConfigError> {
        let burst = bucket.burst();
        if batch == 0 || batch > burst {
            return Err(ConfigError::BatchOutOfRange { batch, burst });
        }
        Ok(Self { bucket, held: 0, batch })
    }

    /// Takes `n` tokens from those held, or else from the bucket at `now`, together with as many as
    /// there are up to a batch.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire_at`], of the tokens that are missing. The tokens held stay held.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Lease, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(1_000)).build_static();
    ///
    /// let mut lease = Lease::new(&LIMIT, 100)?;           // a hundred at a time
    /// lease.try_acquire_at(1, Instant::ZERO)?;
    /// assert_eq!((lease.held(), LIMIT.available_at(Instant::ZERO)), (99, 900));
    /// lease.give_back();
    /// assert_eq!(LIMIT.available_at(Instant::ZERO), 999);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire_at(&mut self, n: u64, now: Instant) -> Result<(), TryAcquireError> {
        if self.use_held(n) { Ok(()) } else { self.refill_and_take(n, now) }
    }

    /// Takes `n` tokens if so many are held. Never touches the bucket.
    #[inline]
    pub fn use_held(&mut self, n: u64) -> bool {
        match self.held.checked_sub(n) {
            Some(left) => {
                self.held = left;
                true
            }
            None => false,
        }
    }

    /// Adds `n` tokens that the caller has taken from the same bucket: after
    /// `bucket.acquire(n).await?`, for instance, to wait for a batch.
    pub fn add_prepaid(&mut self, n: u64) {
        self.held = self.held.saturating_add(n);
    }

    /// Tokens held.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Gives back all tokens held.
    pub fn give_back(&mut self) {
        let held = core::mem::take(&mut self.held);
        if held > 0 {
            self.bucket.refund(held);
        }
    }

    #[cold]
    fn refill_and_take(&mut self, n: u64, now: Instant) -> Result<(), TryAcquireError> {
        // OK: `n` is above what is held.
        let missing = n - self.held;
        let taken = self.bucket.take_between(missing, self.batch.max(missing), now);
        if taken == 0 {
            // The refusal in the bucket's own words, and counted there; if tokens came in meanwhile,
            // they are taken.
            self.bucket.try_acquire_at(missing, now)?;
            self.held = 0;
            return Ok(());
        }
        // OK: at least the missing ones were taken.
        self.held = taken - missing;
        Ok(())
    }
}

impl<O: Deref<Target = TokenBucket<C>>, C: Clock> Lease<O, C> {
    /// [`try_acquire_at`](Lease::try_acquire_at) now. The clock is read only when tokens have to be
    /// taken from the bucket.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`], of the tokens that are missing. The tokens held stay held.
    #[inline]
    pub fn try_acquire(&mut self, n: u64) -> Result<(), TryAcquireError> {
        if self.use_held(n) {
            return Ok(());
        }
        let now = self.bucket.clock().now();
        self.refill_and_take(n, now)
    }
}

impl<O: Deref<Target = TokenBucket<C>>, C> Drop for Lease<O, C> {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<O: Deref<Target = TokenBucket<C>>, C> fmt::Debug for Lease<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("held", &self.held).field("batch", &self.batch).finish()
    }
}
