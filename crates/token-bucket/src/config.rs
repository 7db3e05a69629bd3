//! What a bucket is to be: rate, burst, initial fill, and the limits of waiting.

use core::fmt;
use core::time::Duration;

use steadfast_core::saturating_u64;

use crate::state::{Limits, MIN_SPAN_NS, State, TOP};

/// Tokens per period, as two exact numbers: 0.33 a second is 33 per 100 seconds.
///
/// Any rate is accepted here and checked when a bucket is built from it.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_token_bucket::Rate;
///
/// const PER_USER: Rate = Rate::per_minute(90);
/// assert_eq!(PER_USER, Rate::new(3, Duration::from_secs(2)), "the same exact rate");
/// ```
#[derive(Clone, Copy)]
pub struct Rate {
    tokens: u64,
    period: Duration,
}

impl Rate {
    /// `tokens` in every `period`.
    pub const fn new(tokens: u64, period: Duration) -> Self {
        Self { tokens, period }
    }

    /// `tokens` a second.
    pub const fn per_second(tokens: u64) -> Self {
        Self::new(tokens, Duration::from_secs(1))
    }

    /// `tokens` a minute.
    pub const fn per_minute(tokens: u64) -> Self {
        Self::new(tokens, Duration::from_secs(60))
    }

    /// `tokens` an hour.
    pub const fn per_hour(tokens: u64) -> Self {
        Self::new(tokens, Duration::from_secs(3_600))
    }

    /// `tokens` a day of 24 hours.
    pub const fn per_day(tokens: u64) -> Self {
        Self::new(tokens, Duration::from_secs(86_400))
    }

    /// The number of tokens.
    pub const fn tokens(self) -> u64 {
        self.tokens
    }

    /// The period in which they come.
    pub const fn period(self) -> Duration {
        self.period
    }
}

/// Two rates are equal if they are the same number: 60 a minute is 1 a second.
impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.period.as_nanos(), other.period.as_nanos());
        // No rate at all, but given to be rejected: 0 in no time has any ratio to anything.
        let zeros = (self.tokens == 0, a == 0) == (other.tokens == 0, b == 0);
        // OK: a period has less than 94 bits; compared as cross products in two halves.
        zeros && cross(self.tokens, b) == cross(other.tokens, a)
    }
}

impl Eq for Rate {}

/// `x * y` as (high, low) words, exact for any `y`.
const fn cross(x: u64, y: u128) -> (u128, u128) {
    let mask = u64::MAX as u128;
    let low = (x as u128) * (y & mask);
    ((x as u128) * (y >> 64) + (low >> 64), low & mask)
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {:?}", self.tokens, self.period)
    }
}

/// The configuration of a bucket, and its builder.
///
/// # Examples
///
/// ```
/// use steadfast_token_bucket::{Config, Rate, TokenBucket};
///
/// // Checked when the program is compiled:
/// static LIMIT: TokenBucket = Config::new(Rate::per_second(100)).burst(20).build_static();
///
/// // Checked when it runs:
/// # #[cfg(feature = "std")] {
/// let bucket = Config::new(Rate::per_minute(1_200)).burst(50).initial(0).build()?;
/// assert_eq!(bucket.available(), 0);
/// # }
/// # Ok::<(), steadfast_token_bucket::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::data::Data", into = "crate::data::Data"))]
#[must_use = "a configuration does nothing until it is built"]
pub struct Config {
    pub(crate) rate: Rate,
    pub(crate) burst: Option<u64>,
    pub(crate) initial: Option<u64>,
    pub(crate) max_waiters: u32,
    pub(crate) counted: bool,
}

impl Config {
    /// A bucket that refills at `rate`, holds the rate's tokens and begins full.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, burst: None, initial: None, max_waiters: u32::MAX, counted: false }
    }

    /// The most tokens that can be there at once, and be asked for at once. Default: the rate's
    /// tokens.
    ///
    /// To reach the full rate with tasks that wait, let it be at least the rate times the timer's
    /// granularity: what accrues above the burst while a timer is late is lost. Time itself is whole
    /// nanoseconds: a bucket of one token that takes 1⅔ ns to accrue grants one every 2 ns.
    pub const fn burst(mut self, tokens: u64) -> Self {
        self.burst = Some(tokens);
        self
    }

    /// The tokens that are there at the beginning. Default: the burst.
    pub const fn initial(mut self, tokens: u64) -> Self {
        self.initial = Some(tokens);
        self
    }

    /// How many requests may wait at once; a further one fails at once. Default: no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_token_bucket::{AcquireError, Config, Rate};
    ///
    /// let bucket = Config::new(Rate::per_hour(1)).max_waiters(0).build()?;
    /// bucket.acquire(1).wait()?;
    /// assert_eq!(bucket.acquire(1).wait(), Err(AcquireError::LineFull { max_waiters: 0 }));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn max_waiters(mut self, waiters: u32) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// Counts tokens granted and requests refused, for [`stats`](crate::TokenBucket::stats), at the
    /// cost of a second shared write for each. Default: off.
    pub const fn counted(mut self, counted: bool) -> Self {
        self.counted = counted;
        self
    }

    /// The rate.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The derived constants, if this is a bucket that can be.
    pub const fn limits(&self) -> Result<Limits, ConfigError> {
        let period = self.rate.period.as_nanos();
        if self.rate.tokens == 0 {
            return Err(ConfigError::ZeroRate);
        }
        if period == 0 {
            return Err(ConfigError::ZeroPeriod);
        }
        if period > u64::MAX as u128 {
            return Err(ConfigError::PeriodTooLong { period: self.rate.period });
        }
        let period = saturating_u64(period);
        let divisor = gcd(self.rate.tokens, period);
        let (per_ns, per_token) = (self.rate.tokens / divisor, period / divisor);
        let max_burst = match per_ns.checked_mul(MIN_SPAN_NS) {
            Some(span) if span < TOP => (TOP - span) / per_token,
            _ => 0,
        };
        if max_burst == 0 {
            return Err(ConfigError::UnrepresentableRate {
                tokens: self.rate.tokens,
                period: self.rate.period,
            });
        }
        let burst = match self.burst {
            Some(burst) => burst,
            None => self.rate.tokens,
        };
        if burst == 0 || burst > max_burst {
            return Err(ConfigError::BurstOutOfRange { burst, max: max_burst });
        }
        // OK: `burst <= max_burst` keeps the product below TOP.
        Ok(Limits { per_ns, per_token, capacity: burst * per_token })
    }

    /// The state of such a bucket that begins at `now`.
    pub const fn state(&self, now: steadfast_core::Instant) -> Result<State, ConfigError> {
        let limits = match self.limits() {
            Ok(limits) => limits,
            Err(error) => return Err(error),
        };
        let initial = match self.initial {
            Some(initial) => initial,
            None => limits.burst(),
        };
        if initial > limits.burst() {
            return Err(ConfigError::InitialAboveBurst { initial, burst: limits.burst() });
        }
        Ok(State::new(limits, initial, now))
    }
}

/// Euclid's algorithm.
const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Why there can be no such bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A rate of no tokens.
    #[error("rate of 0 tokens: give at least 1, over a longer period if need be")]
    ZeroRate,
    /// A period of no time.
    #[error("rate with a period of 0: give at least 1 ns")]
    ZeroPeriod,
    /// A period beyond what an [`Instant`](steadfast_core::Instant) can measure.
    #[error("rate with a period of {period:?}: give at most 584 years (2^64 - 1 ns)")]
    PeriodTooLong {
        /// The period given.
        period: Duration,
    },
    /// A rate that the 56 bits of a bucket's level cannot count exactly.
    #[error(
        "rate of {tokens} per {period:?}: in lowest terms it must give at most 68 billion tokens \
         per period, and a token at least every 2 years; round it to such a ratio"
    )]
    UnrepresentableRate {
        /// The tokens given.
        tokens: u64,
        /// The period given.
        period: Duration,
    },
    /// A burst of 0, or one above what can be counted exactly at this rate.
    #[error("burst of {burst} tokens: at this rate give 1 to {max}")]
    BurstOutOfRange {
        /// The burst given, or taken from the rate.
        burst: u64,
        /// The largest allowed.
        max: u64,
    },
    /// More tokens at the beginning than the bucket holds.
    #[error("initial fill of {initial} tokens: give 0 to the burst, {burst}")]
    InitialAboveBurst {
        /// The fill given.
        initial: u64,
        /// The largest allowed.
        burst: u64,
    },
    /// A keyed limiter whose keys would not begin full.
    #[error(
        "initial fill of {initial} tokens for every key: leave it at the burst, {burst}, since a key \
         that was forgotten is as good as one that is full"
    )]
    InitialNotFull {
        /// The fill given.
        initial: u64,
        /// The only one allowed.
        burst: u64,
    },
    /// A lease of no tokens, or of more than the burst.
    #[error("batch of {batch} tokens: give 1 to the burst, {burst}")]
    BatchOutOfRange {
        /// The batch given.
        batch: u64,
        /// The largest allowed.
        burst: u64,
    },
    /// A keyed limiter for no keys, or for more than can be addressed.
    #[error("capacity of {capacity} keys: give 1 to {max}")]
    CapacityOutOfRange {
        /// The capacity given.
        capacity: usize,
        /// The largest allowed.
        max: usize,
    },
}

impl ConfigError {
    /// The message of a compile error.
    pub(crate) const fn const_message(self) -> &'static str {
        match self {
            Self::ZeroRate => "rate of 0 tokens",
            Self::ZeroPeriod => "rate with a period of 0",
            Self::PeriodTooLong { .. } => "rate with a period above 584 years",
            Self::UnrepresentableRate { .. } => "rate that cannot be counted exactly",
            Self::BurstOutOfRange { .. } => "burst of 0, or too large for this rate",
            Self::InitialAboveBurst { .. } => "initial fill above the burst",
            Self::InitialNotFull { .. } => "initial fill of every key below the burst",
            Self::BatchOutOfRange { .. } => "batch of 0, or above the burst",
            Self::CapacityOutOfRange { .. } => "capacity of 0, or too large",
        }
    }
}
