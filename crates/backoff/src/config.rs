//! What a policy is to be: growth, bounds, jitter, and when to give up.

use core::fmt;
use core::time::Duration;

use steadfast_core::saturating_u64;

use crate::growth::{Curve, Custom, Factor};
use crate::policy::{Policy, Spread};

/// How the delays grow with the attempt number, which counts from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// Always the same.
    Constant(Duration),
    /// base × (attempt + 1).
    Linear(Duration),
    /// base × factor^attempt.
    Exponential(Duration),
    /// base × 1, 1, 2, 3, 5, 8, …
    Fibonacci(Duration),
}

/// How the delays of many clients are spread, so that they do not all come back at once.
///
/// A delay is a whole number of nanoseconds, drawn uniformly from an interval around the delay *d*
/// that the growth gives, which is capped first. Floor and cap then cut the **interval**, not what
/// was drawn: no delay ever leaves them, and the delays do not pile up at them either.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Jitter {
    /// Exactly *d*.
    #[default]
    None,
    /// From 0 to *d*: spreads the most.
    Full,
    /// From *d*/2 to *d*.
    Equal,
    /// From *d* × (1 - fraction) to *d* × (1 + fraction). The fraction is 0 to 1.
    Fraction(f64),
    /// From the first delay to 3 × the delay before; the growth beyond the first delay is not used.
    ///
    /// The source is the "decorrelated jitter" of AWS's *Exponential Backoff And Jitter* (2015).
    Decorrelated,
}

/// The configuration of a [`Policy`], and its builder.
///
/// Without settings it gives up after 3 retries, has neither floor nor cap, and no jitter.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_backoff::{Config, Jitter, Policy};
///
/// // Checked when the program is compiled:
/// const POLITE: Policy = Config::exponential(Duration::from_millis(100))
///     .cap(Duration::from_secs(30))
///     .jitter(Jitter::Full)
///     .unlimited()
///     .build_static();
///
/// // Checked when it runs:
/// let policy = Config::fibonacci(Duration::from_millis(10)).max_retries(8).build()?;
/// let delays: Vec<_> = policy.delays(|| 0).map(|delay| delay.as_millis()).collect();
/// assert_eq!(delays, [10, 10, 20, 30, 50, 80, 130, 210]);
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a configuration does nothing until it is built"]
pub struct Config<G = Growth> {
    pub(crate) growth: G,
    pub(crate) factor: Option<f64>,
    pub(crate) floor: Duration,
    pub(crate) cap: Option<Duration>,
    pub(crate) jitter: Jitter,
    pub(crate) max_retries: Option<u32>,
    pub(crate) max_elapsed: Option<Duration>,
}

impl Config {
    /// The same delay after every attempt.
    pub const fn constant(delay: Duration) -> Self {
        Self::new(Growth::Constant(delay))
    }

    /// base × (attempt + 1).
    pub const fn linear(base: Duration) -> Self {
        Self::new(Growth::Linear(base))
    }

    /// base × 2^attempt; for another factor see [`factor`](Config::factor).
    pub const fn exponential(base: Duration) -> Self {
        Self::new(Growth::Exponential(base))
    }

    /// base × 1, 1, 2, 3, 5, 8, …
    pub const fn fibonacci(base: Duration) -> Self {
        Self::new(Growth::Fibonacci(base))
    }

    /// The factor of an exponential growth: at least 1, and finite. Default: 2.
    ///
    /// Delays are exact products, rounded to the nearest nanosecond, of the number that the `f64`
    /// is: 1.1 is a little more than eleven tenths.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = Some(factor);
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    // What is constant of a configuration then is so in the delays, too: ten of a policy that is built
    // where it is used take 1.8 ns each instead of 4.2 (`delays` in `benches/`).
    #[inline(always)]
    pub const fn build(self) -> Result<Policy, ConfigError> {
        let curve = match self.growth.curve(self.factor) {
            Ok(curve) => curve,
            Err(error) => return Err(error),
        };
        let (floor, cap, spread) = match self.bounds() {
            Ok(bounds) => bounds,
            Err(error) => return Err(error),
        };
        let base = curve.base();
        if base > cap {
            let base = Duration::from_nanos(base);
            return Err(ConfigError::BaseAboveCap { base, cap: Duration::from_nanos(cap) });
        }
        let (max_retries, max_elapsed) = (self.max_retries, self.max_elapsed);
        Ok(Policy { growth: curve, floor, cap, spread, max_retries, max_elapsed })
    }

    /// The policy, for a `const` or `static`.
    ///
    /// # Panics
    ///
    /// If there can be no such policy: a compile error in a `const` or `static`.
    ///
    /// ```compile_fail,E0080
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, Policy};
    ///
    /// const NONE: Policy = Config::exponential(Duration::ZERO).build_static();
    /// let _ = NONE;
    /// ```
    pub const fn build_static(self) -> Policy {
        match self.build() {
            Ok(policy) => policy,
            Err(error) => panic!("{}", error.const_message()),
        }
    }
}

impl<F: Fn(u32) -> Duration> Config<Custom<F>> {
    /// The delay after each attempt, by number, as a function of yours. It should depend on the
    /// number alone. A policy is copied into what uses it, so the function has to be `Copy`: let it
    /// borrow what it looks things up in.
    pub const fn from_fn(delay: F) -> Self {
        Self::new(Custom(delay))
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub fn build(self) -> Result<Policy<Custom<F>>, ConfigError> {
        let (floor, cap, spread) = self.bounds()?;
        let (max_retries, max_elapsed) = (self.max_retries, self.max_elapsed);
        Ok(Policy { growth: self.growth, floor, cap, spread, max_retries, max_elapsed })
    }
}

impl<G> Config<G> {
    const fn new(growth: G) -> Self {
        Self {
            growth,
            factor: None,
            floor: Duration::ZERO,
            cap: None,
            jitter: Jitter::None,
            max_retries: Some(3),
            max_elapsed: None,
        }
    }

    /// No delay is shorter. Default: none.
    pub const fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    /// No delay is longer. Default: none, which is 584 years.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = Some(cap);
        self
    }

    /// How the delays are spread. Default: not at all.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// How many times it is tried again after the first attempt; 0 is never. Default: 3.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Try again for as long as it takes.
    pub const fn unlimited(mut self) -> Self {
        self.max_retries = None;
        self
    }

    /// For how long to go on, attempts and delays together, from the beginning of the first attempt:
    /// a delay that would end then or later is not begun. Default: no limit.
    ///
    /// It does not concern [`delays`](Policy::delays), which knows no time.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_backoff::{Config, Policy};
    ///
    /// // As often as it takes, for five minutes.
    /// const POLICY: Policy = Config::exponential(Duration::from_millis(100))
    ///     .cap(Duration::from_secs(10))
    ///     .unlimited()
    ///     .max_elapsed(Duration::from_secs(300))
    ///     .build_static();
    /// assert_eq!(POLICY.max_retries(), None);
    /// ```
    pub const fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = Some(elapsed);
        self
    }

    /// Floor and cap in nanoseconds, and the jitter.
    #[inline]
    const fn bounds(&self) -> Result<(u64, u64, Spread), ConfigError> {
        let floor = match nanos(self.floor) {
            Ok(floor) => floor,
            Err(error) => return Err(error),
        };
        let cap = match self.cap {
            None => u64::MAX,
            Some(cap) => match nanos(cap) {
                Ok(cap) => cap,
                Err(error) => return Err(error),
            },
        };
        if floor > cap {
            return Err(ConfigError::CapBelowFloor {
                cap: Duration::from_nanos(cap),
                floor: Duration::from_nanos(floor),
            });
        }
        if let Some(elapsed) = self.max_elapsed {
            if elapsed.is_zero() {
                return Err(ConfigError::ZeroMaxElapsed);
            }
        }
        match self.jitter.spread() {
            Ok(spread) => Ok((floor, cap, spread)),
            Err(error) => Err(error),
        }
    }
}

impl Growth {
    #[inline]
    const fn curve(self, factor: Option<f64>) -> Result<Curve, ConfigError> {
        let (Self::Constant(base)
        | Self::Linear(base)
        | Self::Exponential(base)
        | Self::Fibonacci(base)) = self;
        let base = match nanos(base) {
            Ok(base) => base,
            Err(error) => return Err(error),
        };
        if base == 0 && !matches!(self, Self::Constant(_)) {
            return Err(ConfigError::ZeroBase);
        }
        let given = match factor {
            Some(factor) => factor,
            None => 2.0,
        };
        Ok(match (self, factor) {
            (Self::Exponential(_), _) => match Factor::new(given) {
                Some(factor) => Curve::Exponential(base, factor),
                None => return Err(ConfigError::FactorOutOfRange { factor: given }),
            },
            (_, Some(factor)) => return Err(ConfigError::NoFactor { factor }),
            (Self::Constant(_), None) => Curve::Constant(base),
            (Self::Linear(_), None) => Curve::Linear(base),
            (Self::Fibonacci(_), None) => Curve::Fibonacci(base),
        })
    }
}

impl Jitter {
    #[inline]
    const fn spread(self) -> Result<Spread, ConfigError> {
        Ok(match self {
            Self::None => Spread::NONE,
            Self::Full => Spread::FULL,
            Self::Equal => Spread::EQUAL,
            Self::Decorrelated => Spread::DECORRELATED,
            Self::Fraction(fraction) => match Spread::fraction(fraction) {
                Some(spread) => spread,
                None => return Err(ConfigError::FractionOutOfRange { fraction }),
            },
        })
    }
}

#[inline]
const fn nanos(duration: Duration) -> Result<u64, ConfigError> {
    if duration.as_nanos() > u64::MAX as u128 {
        return Err(ConfigError::TooLong { duration });
    }
    Ok(saturating_u64(duration.as_nanos()))
}

/// Why there can be no such policy.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A growth from nothing stays nothing.
    #[error("base of 0: give a base above 0, or a constant delay")]
    ZeroBase,
    /// The first delay would be above the cap.
    #[error("base of {base:?} above the cap of {cap:?}: every delay would be the cap")]
    BaseAboveCap {
        /// What was given.
        base: Duration,
        /// The most that it may be.
        cap: Duration,
    },
    /// The cap is below the floor.
    #[error("cap of {cap:?} below the floor of {floor:?}")]
    CapBelowFloor {
        /// What was given.
        cap: Duration,
        /// The least that it may be.
        floor: Duration,
    },
    /// The factor would make delays shorter, or is not a number.
    #[error("factor of {factor}: give a finite one of at least 1")]
    FactorOutOfRange {
        /// What was given.
        factor: f64,
    },
    /// Only an exponential growth has a factor.
    #[error("factor of {factor} for a growth that is not exponential")]
    NoFactor {
        /// What was given.
        factor: f64,
    },
    /// Not a fraction.
    #[error("jitter by a fraction of {fraction}: give 0 to 1")]
    FractionOutOfRange {
        /// What was given.
        fraction: f64,
    },
    /// Longer than nanoseconds can be counted in 64 bits.
    #[error("a duration of {duration:?}: give at most 584 years")]
    TooLong {
        /// What was given.
        duration: Duration,
    },
    /// No attempt ends in no time.
    #[error("at most 0 s elapsed: to try only once, allow 0 retries")]
    ZeroMaxElapsed,
    /// A retry budget's numbers.
    #[error("{given} retries a call: give 0 to 1000, not below, and a finite number")]
    RatioOutOfRange {
        /// What was given.
        given: f64,
    },
    /// A retry budget that can hold nothing, or more than can be counted.
    #[error("a budget that holds {given} retries: give 1 to {max}")]
    BurstOutOfRange {
        /// What was given.
        given: u32,
        /// The most that it may be.
        max: u32,
    },
    /// A retry budget's minimum is not a possible rate.
    #[error("a minimum that is no possible rate: {0}")]
    Minimum(steadfast_token_bucket::ConfigError),
    /// Nobody could ever attempt anything.
    #[error("0 attempts in flight: give at least 1")]
    ZeroInFlight,
}

impl ConfigError {
    pub(crate) const fn const_message(&self) -> &'static str {
        match self {
            Self::ZeroBase => "base of 0",
            Self::BaseAboveCap { .. } => "base above the cap",
            Self::CapBelowFloor { .. } => "cap below the floor",
            Self::FactorOutOfRange { .. } => "factor below 1, or not finite",
            Self::NoFactor { .. } => "a factor for a growth that is not exponential",
            Self::FractionOutOfRange { .. } => "jitter by a fraction outside 0 to 1",
            Self::TooLong { .. } => "a duration above 584 years",
            Self::ZeroMaxElapsed => "at most 0 s elapsed",
            Self::RatioOutOfRange { .. } => "ratio outside 0 to 1000",
            Self::BurstOutOfRange { .. } => "burst outside 1 to 2^20",
            Self::Minimum(_) => "a minimum that is no possible rate",
            Self::ZeroInFlight => "0 attempts in flight",
        }
    }
}

impl<F> fmt::Debug for Custom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}
