//! The growth of delays, exact in integers.

use core::time::Duration;

use steadfast_core::{saturating_nanos, saturating_u64};

/// How delays grow: a built-in [`Curve`], a function of yours in a [`Custom`], or a type of yours.
pub trait Grow {
    /// The delay after `attempt`, which counts from 0, in nanoseconds; `u64::MAX` if it is longer
    /// than that.
    fn nanos(&self, attempt: u32) -> u64;

    /// The delay after attempt 0.
    #[inline]
    fn first(&self) -> u64 {
        self.nanos(0)
    }

    /// What [`next`](Grow::next) begins with.
    #[inline]
    fn begin(&self) -> Run {
        Run::COUNT
    }

    /// The same as [`nanos`](Grow::nanos), for attempts in order from 0.
    #[inline]
    fn next(&self, run: &mut Run) -> u64 {
        self.nanos(run.count())
    }
}

/// What is carried from one attempt to the following.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// This delay; or the number of the attempt, where it takes that to know.
    this: u64,
    /// The next delay, where it takes two to know those that follow.
    next: u64,
    /// What each delay is multiplied by, or 0 if there is no such whole number.
    times: u64,
}

impl Run {
    const COUNT: Self = Self { this: 0, next: 0, times: 0 };

    /// The number of the attempt; on to the next.
    #[inline]
    fn count(&mut self) -> u32 {
        let attempt = u32::try_from(self.this).unwrap_or(u32::MAX);
        self.this = self.this.saturating_add(1);
        attempt
    }
}

/// A built-in growth, checked, with its base in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// The same for all.
    Constant(u64),
    /// base × (attempt + 1).
    Linear(u64),
    /// base × factor^attempt.
    Exponential(u64, Factor),
    /// base × 1, 1, 2, 3, 5, …
    Fibonacci(u64),
}

/// A growth that is a function of yours.
#[derive(Clone, Copy)]
pub struct Custom<F>(pub(crate) F);

/// A factor of at least 1, exactly: mantissa / 2^shift, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    mantissa: u64,
    shift: u32,
}

impl Factor {
    /// `None` if it is below 1, or not a finite number. Above 2⁶⁴ all are the same: too much.
    #[inline]
    pub(crate) const fn new(factor: f64) -> Option<Self> {
        // Also false for NaN.
        if !(factor >= 1.0 && factor < f64::INFINITY) {
            return None;
        }
        let bits = factor.to_bits();
        // The sign is positive and the exponent that of a normal number. OK: 11 bits.
        let exponent = (bits >> 52) as u32 - 1_023;
        let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
        if exponent >= 64 {
            return Some(Self { mantissa: u64::MAX, shift: 0 });
        }
        if exponent >= 52 {
            // OK: below 2^53, and the exponent below 64.
            return Some(Self { mantissa: mantissa << (exponent - 52), shift: 0 });
        }
        let zeros = mantissa.trailing_zeros();
        let shift = 52 - exponent;
        let common = if zeros < shift { zeros } else { shift };
        Some(Self { mantissa: mantissa >> common, shift: shift - common })
    }
}

impl Curve {
    /// The delay after attempt 0.
    pub(crate) const fn base(self) -> u64 {
        let (Self::Constant(base)
        | Self::Linear(base)
        | Self::Exponential(base, _)
        | Self::Fibonacci(base)) = self;
        base
    }
}

impl Grow for Curve {
    #[inline]
    fn nanos(&self, attempt: u32) -> u64 {
        match *self {
            Self::Constant(base) => base,
            Self::Linear(base) => base.saturating_mul(u64::from(attempt) + 1),
            Self::Exponential(base, Factor { mantissa, shift: 0 }) => {
                // OK: neither is 0, so that what saturates on the way does so in the end.
                base.saturating_mul(mantissa.saturating_pow(attempt))
            }
            Self::Exponential(base, factor) => power(base, factor, attempt),
            Self::Fibonacci(base) => {
                let (mut this, mut next) = (base, base);
                // The 94th number is beyond 64 bits: from there all are.
                for _ in 0..attempt.min(94) {
                    (this, next) = (next, this.saturating_add(next));
                }
                this
            }
        }
    }

    #[inline]
    fn begin(&self) -> Run {
        match *self {
            Self::Constant(base) => Run { this: base, next: base, times: 1 },
            Self::Exponential(base, Factor { mantissa, shift: 0 }) => {
                Run { this: base, next: base, times: mantissa }
            }
            Self::Exponential(..) => Run::COUNT,
            Self::Linear(base) | Self::Fibonacci(base) => Run { this: base, next: base, times: 0 },
        }
    }

    #[inline]
    fn next(&self, run: &mut Run) -> u64 {
        let this = run.this;
        // Before the `match`, whose table of jumps would cost more than all the rest of it.
        if run.times > 0 {
            run.this = this.saturating_mul(run.times);
            return this;
        }
        match *self {
            Self::Constant(_) => {}
            Self::Linear(base) => run.this = this.saturating_add(base),
            Self::Exponential(base, factor) => return power(base, factor, run.count()),
            Self::Fibonacci(_) => {
                (run.this, run.next) = (run.next, this.saturating_add(run.next));
            }
        }
        this
    }

    #[inline]
    fn first(&self) -> u64 {
        self.base()
    }
}

impl<F: Fn(u32) -> Duration> Grow for Custom<F> {
    #[inline]
    fn nanos(&self, attempt: u32) -> u64 {
        saturating_nanos((self.0)(attempt))
    }
}

/// A number of 128 significant bits: `mantissa` × 2^`exponent`, its highest bit set.
#[derive(Clone, Copy)]
struct Wide {
    mantissa: u128,
    exponent: i64,
}

impl Wide {
    const fn new(value: u64, exponent: i64) -> Self {
        let mantissa = value as u128;
        let zeros = mantissa.leading_zeros();
        Self { mantissa: mantissa << zeros, exponent: exponent - zeros as i64 }
    }

    /// The product, its bits beyond 128 cut off.
    const fn times(self, other: Self) -> Self {
        const LOW: u128 = u64::MAX as u128;
        let (a, b) = (self.mantissa >> 64, self.mantissa & LOW);
        let (c, d) = (other.mantissa >> 64, other.mantissa & LOW);
        // OK: products of 64 bits by 64; the sums of their halves have at most 66.
        let middle = ((b * d) >> 64) + ((a * d) & LOW) + ((b * c) & LOW);
        let high = a * c + ((a * d) >> 64) + ((b * c) >> 64) + (middle >> 64);
        let low = (middle << 64) | ((b * d) & LOW);
        // The product of two numbers whose highest bit is set lacks one bit at most.
        let short = high.leading_zeros();
        let mantissa = if short == 0 { high } else { (high << 1) | (low >> 127) };
        // OK: doubled at most 32 times, from below 2^7.
        let exponent = self.exponent + other.exponent + 128 - short as i64;
        Self { mantissa, exponent }
    }

    /// The nearest whole number, halves up, or `u64::MAX` if it is above that.
    const fn rounded(self) -> u64 {
        // In all of this crate the value is at least 1. OK: 1 to 127.
        let right = -self.exponent;
        if right < 64 {
            return u64::MAX;
        }
        let (whole, half) = (self.mantissa >> right, (self.mantissa >> (right - 1)) & 1);
        saturating_u64(whole + half)
    }
}

/// base × factor^attempt to the nearest nanosecond.
///
/// Each multiplication is exact to one part in 2¹²⁷, and there are at most 64 of them, of which each
/// squaring doubles the error so far: it stays below 2⁻⁹³ of the result, which is below 2⁻²⁹ of a
/// nanosecond.
#[cold]
#[inline(never)]
const fn power(base: u64, factor: Factor, mut attempt: u32) -> u64 {
    let mut result = Wide::new(base, 0);
    let mut square = Wide::new(factor.mantissa, -(factor.shift as i64));
    while attempt > 0 {
        if attempt & 1 == 1 {
            result = result.times(square);
        }
        attempt >>= 1;
        if attempt > 0 {
            square = square.times(square);
        }
    }
    result.rounded()
}
