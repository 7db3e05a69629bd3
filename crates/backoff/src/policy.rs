//! Delays: growth, jitter and bounds together.

use core::iter::FusedIterator;
use core::time::Duration;

use steadfast_core::saturating_u64;

use crate::growth::{Curve, Grow};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    None,
    Full,
    Equal,
    /// mantissa / 2^shift, at most 1.
    Fraction {
        mantissa: u64,
        shift: u32,
    },
    Decorrelated,
}

/// After how many steps the decorrelated jitter has forgotten where it began: the mean of the
/// logarithm of one step is ln 3 - 1, so that even without a cap it has come to the end of all
/// numbers.
const FORGOTTEN: u32 = 1_000;

impl<G: Grow> Policy<G> {
    /// The delay after attempt `attempt`, which counts from 0: between floor and cap, whatever the
    /// attempt. It does not ask whether there are so many attempts.
    ///
    /// With [decorrelated](crate::Jitter::Decorrelated) jitter a delay depends on the one before:
    /// this draws those before it, too (the last 1,000 at most); prefer
    /// [`delays`](Policy::delays).
    pub fn delay(&self, attempt: u32, rng: &mut impl Rng) -> Duration {
        let mut previous = self.first();
        if self.spread == Spread::Decorrelated {
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
    #[inline]
    pub fn delays<R: Rng>(&self, rng: R) -> Delays<G, R>
    where
        G: Copy,
    {
        // OK: an iterator without an end lasts longer than anybody can count.
        let all = self.max_retries.map_or(u64::MAX, u64::from);
        let run = self.growth.begin();
        Delays { policy: *self, rng, all, left: all, run, previous: self.first() }
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
        let (low, high) = match self.spread {
            Spread::None => return grown.max(self.floor),
            // The cap is above both already.
            Spread::Full => return between(self.floor, grown.max(self.floor), rng),
            Spread::Equal => (grown.div_ceil(2), grown),
            Spread::Fraction { mantissa, shift } => {
                // OK: 64 bits by 53, shifted by at most 116; and a fraction is at most 1.
                let by = saturating_u64((u128::from(grown) * u128::from(mantissa)) >> shift);
                (grown - by, grown.saturating_add(by))
            }
            Spread::Decorrelated => {
                let base = self.first();
                (base, previous.saturating_mul(3).max(base))
            }
        };
        // As `clamp`, which would make sure each time that the floor is not above the cap.
        let low = low.min(self.cap).max(self.floor);
        let high = high.min(self.cap).max(self.floor);
        between(low, high, rng)
    }
}

/// A whole number from `low` to `high`, both included, drawn uniformly: each is as likely as any
/// other to one part in 2⁶⁴ / (high - low).
#[inline]
fn between(low: u64, high: u64, rng: &mut impl Rng) -> u64 {
    if low == high {
        return low;
    }
    let drawn = u128::from(rng.next_u64());
    // The high half of `drawn × numbers`, where `numbers = high - low + 1` may be 2⁶⁴.
    // OK: below `numbers`, so the sum is at most `high`; (2⁶⁴ - 1) × 2⁶⁴ has 128 bits.
    low + saturating_u64((drawn * u128::from(high - low) + drawn) >> 64)
}

impl Spread {
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
            return Some(Self::Fraction { mantissa: 0, shift: 0 });
        }
        let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
        Some(Self::Fraction { mantissa, shift: 1_023 + 52 - exponent })
    }
}

/// The delays of a [`Policy`], in order.
#[derive(Debug, Clone)]
#[must_use = "an iterator does nothing unless it is used"]
pub struct Delays<G, R> {
    policy: Policy<G>,
    rng: R,
    /// `u64::MAX` without an end.
    all: u64,
    left: u64,
    run: (u64, u64),
    previous: u64,
}

impl<G: Grow, R: Rng> Iterator for Delays<G, R> {
    type Item = Duration;

    #[inline]
    fn next(&mut self) -> Option<Duration> {
        let before = self.left;
        self.left = before.checked_sub(1)?;
        // OK: never more left than there are in all.
        let attempt = u32::try_from(self.all - before).unwrap_or(u32::MAX);
        let grown = self.policy.growth.next(attempt, &mut self.run);
        let delay = self.policy.draw(grown, self.previous, &mut self.rng);
        self.previous = delay;
        Some(Duration::from_nanos(delay))
    }

    /// Exact; without a limit, the largest number and no upper bound.
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match usize::try_from(self.left) {
            Ok(left) if self.all != u64::MAX => (left, Some(left)),
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
