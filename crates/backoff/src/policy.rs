//! Delays: growth, jitter and bounds together.

use core::iter::FusedIterator;
use core::time::Duration;

use steadfast_core::saturating_u64;

use crate::growth::{Curve, Grow, Run};
use crate::random::Rng;

/// How long to wait before each further attempt, and when to give up: what a
/// [`Config`](crate::Config) builds.
///
/// It is plain data, `Copy` and `const`, and allocates nothing.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_backoff::{Config, Jitter, Policy, Random};
///
/// const POLICY: Policy = Config::exponential(Duration::from_millis(300)).build_static();
///
/// let mut rng = Random::from_seed(7);
/// assert_eq!(POLICY.delay(0, &mut rng), Duration::from_millis(300));
/// assert_eq!(POLICY.delay(2, &mut rng), Duration::from_millis(1_200));
/// assert_eq!(POLICY.delays(rng).len(), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy<G = Curve> {
    pub(crate) growth: G,
    pub(crate) floor: u64,
    pub(crate) cap: u64,
    pub(crate) spread: Spread,
    pub(crate) max_retries: Option<u32>,
    pub(crate) max_elapsed: Option<Duration>,
}

/// A checked [`Jitter`](crate::Jitter).
///
/// Not an `enum` with what a fraction is inside: that would be passed by its address, and keep a loop
/// over delays from having its state in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    kind: Kind,
    /// The fraction is mantissa / 2^shift, at most 1.
    mantissa: u64,
    shift: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    // First what is used most: it takes one comparison.
    Full,
    None,
    Equal,
    Fraction,
    Decorrelated,
}

/// After how many steps the decorrelated jitter has forgotten where it began: the mean of the
/// logarithm of one step is ln 3 - 1, so that even without a cap it has come to the end of all
/// numbers.
const FORGOTTEN: u32 = 1_000;

impl Policy {
    /// Whether every delay is zero: it tries again at once, always.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_backoff::Config;
    ///
    /// let at_once = Config::constant(Duration::ZERO);
    /// assert!(at_once.build()?.is_immediate());
    /// assert!(!at_once.floor(Duration::from_millis(1)).build()?.is_immediate());
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    pub const fn is_immediate(&self) -> bool {
        self.cap == 0 || self.floor == 0 && matches!(self.growth, Curve::Constant(0))
    }
}

impl<G: Grow> Policy<G> {
    /// The delay after attempt `attempt`, which counts from 0: between floor and cap, whatever the
    /// attempt. It does not ask whether there are so many attempts.
    ///
    /// With [decorrelated](crate::Jitter::Decorrelated) jitter a delay depends on the one before:
    /// this draws those before it, too (the last 1,000 at most); prefer
    /// [`delays`](Policy::delays).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, Random};
    ///
    /// let policy = Config::exponential(Duration::from_millis(100)).build()?;
    /// assert_eq!(policy.delay(3, &mut Random::from_seed(1)), Duration::from_millis(800));
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    pub fn delay(&self, attempt: u32, rng: &mut impl Rng) -> Duration {
        let mut previous = self.first();
        if self.spread == Spread::DECORRELATED {
            for _ in 0..attempt.min(FORGOTTEN) {
                previous = self.draw(0, previous, rng);
            }
        }
        Duration::from_nanos(self.draw(self.growth.nanos(attempt), previous, rng))
    }

    /// The delay after attempt `attempt` whose predecessor was delayed by `previous`: the same as
    /// [`delay`](Policy::delay), but with decorrelated jitter it draws once.
    pub fn delay_after(
        &self,
        attempt: u32,
        previous: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Duration {
        let previous = previous.map_or(self.first(), steadfast_core::saturating_nanos);
        Duration::from_nanos(self.draw(self.growth.nanos(attempt), previous, rng))
    }

    /// The delays after attempts 0, 1, 2, …, as many as there are retries.
    ///
    /// It knows no time, so `max_elapsed` does not end it.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, Jitter, Random};
    ///
    /// let policy = Config::exponential(Duration::from_millis(100)).jitter(Jitter::Equal).max_retries(2).build()?;
    /// let delays: Vec<_> = policy.delays(Random::from_seed(1)).collect();
    /// assert_eq!(delays.len(), 2);
    /// assert!(delays[1] >= Duration::from_millis(100) && delays[1] <= Duration::from_millis(200));
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    #[inline]
    pub fn delays<R: Rng>(&self, rng: R) -> Delays<G, R>
    where
        G: Copy,
    {
        // OK: an iterator without an end lasts longer than anybody can count.
        let all = self.max_retries.map_or(u64::MAX, u64::from);
        let run = self.growth.begin();
        Delays { policy: *self, rng, left: all, run, previous: self.first() }
    }

    /// How many times it is tried again; `None` is without a limit.
    pub const fn max_retries(&self) -> Option<u32> {
        self.max_retries
    }

    /// For how long to go on; `None` is without a limit.
    pub const fn max_elapsed(&self) -> Option<Duration> {
        self.max_elapsed
    }

    /// The longest delay that there can be.
    pub const fn cap(&self) -> Duration {
        Duration::from_nanos(self.cap)
    }

    /// The shortest delay that there can be.
    pub const fn floor(&self) -> Duration {
        Duration::from_nanos(self.floor)
    }

    /// The first delay in nanoseconds, where the growth alone decides.
    #[inline]
    fn first(&self) -> u64 {
        self.growth.first().min(self.cap)
    }

    /// A delay in nanoseconds, where the growth gives `grown`, after one of `previous`.
    #[inline]
    fn draw(&self, grown: u64, previous: u64, rng: &mut impl Rng) -> u64 {
        let grown = grown.min(self.cap);
        let Spread { kind, mantissa, shift } = self.spread;
        // The lowest, and how far the highest is above it. The cap is above floor and growth already.
        let (low, span) = match kind {
            Kind::Full => (self.floor, grown.saturating_sub(self.floor)),
            Kind::None => return grown.max(self.floor),
            Kind::Equal => {
                let low = grown.div_ceil(2).max(self.floor);
                (low, grown.saturating_sub(low))
            }
            // Elsewhere, so that those above are told apart without a table of jumps.
            kind => {
                let (low, high) = rare(kind, (mantissa, shift), grown, previous, self.first());
                // As `clamp`, which would make sure each time that the floor is not above the cap.
                let low = low.min(self.cap).max(self.floor);
                (low, high.min(self.cap).max(self.floor) - low)
            }
        };
        above(low, span, rng)
    }
}

/// A whole number from `low` to `low + span`, both included, drawn uniformly: each is as likely as
/// any other to one part in 2⁶⁴ / span.
#[inline]
fn above(low: u64, span: u64, rng: &mut impl Rng) -> u64 {
    let drawn = rng.next_u64();
    // The high half of `drawn × (span + 1)`, where `span + 1` may be 2⁶⁴: the product with `span`,
    // and once more `drawn`, of whose sum only the carry is needed.
    let product = u128::from(drawn) * u128::from(span);
    // OK: the lower half is meant.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let (_, carry) = (product as u64).overflowing_add(drawn);
    // OK: at most `span`, so the sum is at most the cap.
    low + saturating_u64(product >> 64) + u64::from(carry)
}

/// Where a delay that has grown to `grown` may lie, for those jitters that take more than to cut what
/// it has grown to.
#[cold]
#[inline(never)]
fn rare(
    kind: Kind,
    (mantissa, shift): (u64, u32),
    grown: u64,
    previous: u64,
    first: u64,
) -> (u64, u64) {
    if kind == Kind::Decorrelated {
        return (first, previous.saturating_mul(3).max(first));
    }
    // OK: 64 bits by 53, shifted by at most 116; and a fraction is at most 1.
    let by = saturating_u64((u128::from(grown) * u128::from(mantissa)) >> shift);
    (grown - by, grown.saturating_add(by))
}

impl Spread {
    pub(crate) const NONE: Self = Self::plain(Kind::None);
    pub(crate) const FULL: Self = Self::plain(Kind::Full);
    pub(crate) const EQUAL: Self = Self::plain(Kind::Equal);
    pub(crate) const DECORRELATED: Self = Self::plain(Kind::Decorrelated);

    const fn plain(kind: Kind) -> Self {
        Self { kind, mantissa: 0, shift: 0 }
    }

    /// `None` if it is not within 0 and 1.
    pub(crate) const fn fraction(fraction: f64) -> Option<Self> {
        // Also false for NaN.
        if !(fraction >= 0.0 && fraction <= 1.0) {
            return None;
        }
        let bits = fraction.to_bits();
        // OK: 11 bits.
        let exponent = ((bits >> 52) & 0x7FF) as u32;
        if exponent < 1_023 - 64 {
            // Less than a nanosecond of any delay.
            return Some(Self::plain(Kind::Fraction));
        }
        let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
        Some(Self { kind: Kind::Fraction, mantissa, shift: 1_023 + 52 - exponent })
    }
}

/// The delays of a [`Policy`], in order.
#[derive(Debug, Clone)]
#[must_use = "an iterator does nothing unless it is used"]
pub struct Delays<G, R> {
    policy: Policy<G>,
    rng: R,
    /// `u64::MAX` without an end: it is never counted down to a number of retries.
    left: u64,
    run: Run,
    previous: u64,
}

impl<G: Grow, R: Rng> Iterator for Delays<G, R> {
    type Item = Duration;

    #[inline]
    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let grown = self.policy.growth.next(&mut self.run);
        let delay = self.policy.draw(grown, self.previous, &mut self.rng);
        self.previous = delay;
        Some(Duration::from_nanos(delay))
    }

    /// Exact; without a limit, the largest number and no upper bound.
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match usize::try_from(self.left) {
            Ok(left) if self.policy.max_retries.is_some() => (left, Some(left)),
            // Without an end, or (on 16-bit targets) more than can be said.
            _ => (usize::MAX, None),
        }
    }
}

impl<G: Grow, R: Rng> FusedIterator for Delays<G, R> {}

impl<G: Grow, R: Rng> Delays<G, R> {
    /// How many delays are left; `usize::MAX` if there is no end.
    pub fn len(&self) -> usize {
        self.size_hint().0
    }

    /// Whether no delay is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
