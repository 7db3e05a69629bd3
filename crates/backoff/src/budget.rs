//! The retry budget: what keeps retries from multiplying an outage.

use core::fmt;

use steadfast_core::sync::atomic::AtomicU64;
use steadfast_core::sync::atomic::Ordering;
use steadfast_core::{Instant, Step, const_unless_loom, update};
use steadfast_token_bucket::{Rate, TokenBucket};

use crate::config::ConfigError;

/// What a retry costs: all amounts are whole numbers of 2⁻²⁰ retries.
const RETRY: u64 = 1 << 20;
/// The most retries that a budget can hold.
const MAX_BURST: u32 = 1 << 20;

/// How many retries there may be, shared by all who call one service.
///
/// Every call deposits a fraction of a retry, every retry withdraws one. So `c` calls lead to at
/// most `ratio × c` retries, however many clients there are and however dead the server is, plus
/// those of the [minimum](BudgetConfig::minimum) rate if there is one. It begins empty, but for the
/// minimum.
///
/// It is lock-free and needs no allocation.
///
/// # Memory ordering
///
/// It publishes nothing.
///
/// # Examples
///
/// ```
/// use steadfast_backoff::{Budget, BudgetConfig};
/// use steadfast_core::Instant;
///
/// // At most one retry for every ten calls.
/// static BUDGET: Budget = BudgetConfig::new(0.1).build_static();
///
/// let now = Instant::ZERO;
/// assert!(!BUDGET.try_withdraw_at(now));
/// for _ in 0..20 {
///     BUDGET.deposit();
/// }
/// assert!(BUDGET.try_withdraw_at(now));
/// assert!(!BUDGET.try_withdraw_at(now), "0.1 is a little less than a tenth in binary");
/// ```
pub struct Budget {
    balance: AtomicU64,
    deposit: u64,
    capacity: u64,
    minimum: Option<TokenBucket<()>>,
}

/// The configuration of a [`Budget`], and its builder.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a configuration does nothing until it is built"]
pub struct BudgetConfig {
    ratio: f64,
    burst: u32,
    minimum: Option<Rate>,
}

impl BudgetConfig {
    /// `ratio` retries for every call: 0 to 1,000, rounded down to a multiple of 2⁻²⁰.
    pub const fn new(ratio: f64) -> Self {
        Self { ratio, burst: 100, minimum: None }
    }

    /// How many retries can be saved up, 1 to 2²⁰: what a long good time is worth at most when the
    /// outage comes. Default: 100.
    pub const fn burst(mut self, retries: u32) -> Self {
        self.burst = retries;
        self
    }

    /// Retries that are allowed in any case, so that a client with few calls can retry at all: at this
    /// rate, and as many at once, from the beginning on, as the rate has tokens. They are taken first.
    /// Default: none.
    ///
    /// With a minimum, all who share the budget have to share a clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_backoff::{BudgetConfig, Rate};
    /// use steadfast_core::Instant;
    ///
    /// // A tenth of the calls; and one a second in any case, for who calls seldom.
    /// let budget = BudgetConfig::new(0.1).minimum(Rate::per_second(1)).build()?;
    /// assert!(budget.try_withdraw_at(Instant::ZERO));
    /// assert!(!budget.try_withdraw_at(Instant::ZERO));
    /// assert!(budget.try_withdraw_at(Instant::from_nanos(1_000_000_000)));
    /// # Ok::<(), steadfast_backoff::ConfigError>(())
    /// ```
    pub const fn minimum(mut self, rate: Rate) -> Self {
        self.minimum = Some(rate);
        self
    }

    const fn parts(&self) -> Result<(u64, u64), ConfigError> {
        // Also false for NaN.
        if !(self.ratio >= 0.0 && self.ratio <= 1_000.0) {
            return Err(ConfigError::RatioOutOfRange { given: self.ratio });
        }
        if self.burst == 0 || self.burst > MAX_BURST {
            return Err(ConfigError::BurstOutOfRange { given: self.burst, max: MAX_BURST });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^30")]
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        let deposit = (self.ratio * RETRY as f64) as u64;
        // OK: at most 2^40.
        Ok((deposit, self.burst as u64 * RETRY))
    }

    /// The budget.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub fn build(self) -> Result<Budget, ConfigError> {
        let (deposit, capacity) = self.parts()?;
        let minimum = self
            .minimum
            .map(|rate| steadfast_token_bucket::Config::new(rate).build_at((), Instant::ZERO))
            .transpose()
            .map_err(ConfigError::Minimum)?;
        Ok(Budget { balance: AtomicU64::new(0), deposit, capacity, minimum })
    }

    const_unless_loom! {
        /// The budget, for a `static`.
        ///
        /// # Panics
        ///
        /// If there can be no such budget: a compile error in a `static`.
        pub const fn build_static(self) -> Budget {
            let (deposit, capacity) = match self.parts() {
                Ok(parts) => parts,
                Err(error) => panic!("{}", error.const_message()),
            };
            let minimum = match self.minimum {
                Some(rate) => {
                    Some(steadfast_token_bucket::Config::new(rate).build_static_with(()))
                }
                None => None,
            };
            Budget { balance: AtomicU64::new(0), deposit, capacity, minimum }
        }
    }
}

impl Budget {
    /// Counts a call: once for each, however often it is retried.
    pub fn deposit(&self) {
        update(&self.balance, |balance| match (balance + self.deposit).min(self.capacity) {
            same if same == balance => Step::Keep(()),
            more => Step::Replace(more, ()),
        });
    }

    /// Takes a retry, or says that there is none at `now`. A refusal writes nothing.
    pub fn try_withdraw_at(&self, now: Instant) -> bool {
        if self.minimum.as_ref().is_some_and(|bucket| bucket.try_acquire_at(1, now).is_ok()) {
            return true;
        }
        update(&self.balance, |balance| match balance.checked_sub(RETRY) {
            Some(left) => Step::Replace(left, true),
            None => Step::Keep(false),
        })
    }

    /// How many whole retries have been saved up, those of the minimum rate not counted.
    pub fn balance(&self) -> u32 {
        // ORDERING: Relaxed; a number for whoever watches.
        let retries = self.balance.load(Ordering::Relaxed) / RETRY;
        // OK: at most the burst.
        u32::try_from(retries).unwrap_or(MAX_BURST)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("balance", &self.balance())
            .field("burst", &(self.capacity / RETRY))
            .field("minimum", &self.minimum.as_ref().map(TokenBucket::rate))
            .finish_non_exhaustive()
    }
}
