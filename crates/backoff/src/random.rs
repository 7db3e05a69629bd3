//! Where chance comes from.

/// A source of uniformly distributed bits: a [`Random`], any `FnMut() -> u64`, or a generator of
/// yours.
///
/// Clients that share a seed jitter in step. Without an operating system there is therefore no
/// default: seed it from something that differs from device to device (a hardware generator, a
/// serial number, noise).
///
/// A generator that is to be used again afterwards is lent as a closure: `|| rng.next_u64()`.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_backoff::{Config, Jitter};
///
/// // Reproducible: the lowest of all draws.
/// let policy = Config::constant(Duration::from_secs(2)).jitter(Jitter::Equal).build()?;
/// assert_eq!(policy.delay(0, &mut || 0), Duration::from_secs(1));
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
pub trait Rng {
    /// 64 bits.
    fn next_u64(&mut self) -> u64;
}

impl<F: FnMut() -> u64> Rng for F {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        self()
    }
}

/// A small fast generator (wyrand, of the `fastrand` crate). Not for secrets.
///
/// With the `std` feature it seeds itself, differently in each process:
///
/// ```
/// # #[cfg(feature = "std")]
/// let rng = steadfast_backoff::Random::new();
/// ```
///
/// Without it there is no `new`: a constant seed would make a whole fleet jitter in step.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_backoff::{Random, Rng as _};
    ///
    /// assert_eq!(Random::from_seed(7).next_u64(), Random::from_seed(7).next_u64());
    /// ```
    pub fn from_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator with a seed of its own: it differs between processes, threads and calls.
    #[cfg(feature = "std")]
    pub fn new() -> Self {
        Self(fastrand::Rng::new())
    }
}

#[cfg(feature = "std")]
impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl Rng for Random {
    #[inline]
    fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }
}
