//! A breaker per key: per host, per shard, per tenant.

use core::fmt;
use core::time::Duration;
use std::borrow::{Borrow, ToOwned};
use std::boxed::Box;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use steadfast_core::table::{KeyedTable, MAX_CAPACITY, TableFull};
use steadfast_core::{Clock, Instant, SystemClock};

use crate::atomic::{CircuitBreaker, Permit};
use crate::config::{Config, ConfigError};
use crate::error::{CallError, TryAcquireError};
use crate::state::Phase;

/// A breaker per key, for at most so many keys at once.
///
/// A key that is not known has a closed breaker with empty windows. One whose breaker is as good as that
/// (closed, no failure and no slow call in any window) is forgotten when another key needs the place; so
/// is one that nobody has asked for in [so long](Keyed::forget_after) that what it knows is out of date,
/// unless it was forced. Never while somebody holds the breaker. So memory is bounded by the keys in *use*,
/// and there is no background task. A look-up reads the clock, and locks one of up to 64 shards for its own
/// time.
///
/// **When the table is full** and no idle place was found in a bounded search, a new key is refused
/// with [`KeyedError::TableFull`]: nobody's breaker is thrown away for it.
///
/// The `Hash`, `Eq`, `Clone` and `Drop` of the keys, and the function given to
/// [`with`](Keyed::with), may run under locks of the table, and must not use it. The default hasher is
/// keyed, so that keys cannot be chosen to collide. `S` is the hasher, `C` the clock.
///
/// # Examples
///
/// ```
/// use steadfast_circuit_breaker::{Config, Keyed};
///
/// let per_host = Keyed::<String>::new(Config::new().consecutive_failures(1), 1_000)?;
/// per_host.try_acquire("a.example")?.failure();
/// assert!(per_host.try_acquire("a.example").is_err());
/// assert!(per_host.try_acquire("b.example").is_ok());
///
/// // Everything else is there on the breaker itself.
/// per_host.get("a.example")?.reset();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Keyed<K, C = SystemClock, S = RandomState> {
    table: KeyedTable<K, Entry<C>, S>,
    make: Make<K, C>,
    forget_after: Duration,
}

/// A breaker, and when somebody last asked for it.
struct Entry<C> {
    breaker: Arc<CircuitBreaker<C>>,
    used: Instant,
}

/// How long a key that has failed is remembered if nobody asks for it.
const FORGET_AFTER: Duration = Duration::from_secs(600);

type Make<K, C> = Box<dyn Fn(&K) -> CircuitBreaker<C> + Send + Sync>;

impl<K: Hash + Eq> Keyed<K> {
    /// A breaker by `config` for every key, on the system's clock, for at most `capacity` keys.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker or table.
    #[expect(clippy::missing_panics_doc, reason = "what has been built once builds again")]
    pub fn new(config: Config, capacity: usize) -> Result<Self, ConfigError> {
        config.build()?;
        let make = move |_: &K| {
            // OK: it was built above.
            config.build().expect("a configuration that has been built builds again")
        };
        Self::with(capacity, make)
    }
}

impl<K: Hash + Eq, C> Keyed<K, C> {
    /// The breaker that `make` makes for every key, for at most `capacity` keys: for a clock of yours,
    /// for breakers that differ, or that tell of their [changes](CircuitBreaker::on_change).
    ///
    /// # Errors
    ///
    /// If there can be no such table.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::{Config, Keyed};
    ///
    /// // Hosts of our own get more patience.
    /// let breakers = Keyed::<String>::with(1_000, |host| {
    ///     let failures = if host.ends_with(".internal") { 20 } else { 5 };
    ///     Config::new().consecutive_failures(failures).build().expect("a valid configuration")
    /// })?
    /// .forget_after(Duration::from_secs(3_600));
    /// breakers.get("db.internal")?;
    /// assert_eq!(breakers.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with(
        capacity: usize,
        make: impl Fn(&K) -> CircuitBreaker<C> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::with_hasher(capacity, make, RandomState::new())
    }
}

impl<K: Hash + Eq, C, S: BuildHasher> Keyed<K, C, S> {
    /// [`with`](Keyed::with) a hasher of yours. One without a secret lets whoever chooses the keys
    /// make every look-up slow.
    ///
    /// # Errors
    ///
    /// If there can be no such table.
    pub fn with_hasher(
        capacity: usize,
        make: impl Fn(&K) -> CircuitBreaker<C> + Send + Sync + 'static,
        hasher: S,
    ) -> Result<Self, ConfigError> {
        if capacity == 0 || capacity > MAX_CAPACITY {
            return Err(ConfigError::CapacityOutOfRange { capacity, max: MAX_CAPACITY });
        }
        let table = KeyedTable::with_hasher(capacity, hasher);
        Ok(Self { table, make: Box::new(make), forget_after: FORGET_AFTER })
    }

    /// How long a key is remembered that has failed, or is open, and that nobody asks for: then it may
    /// make room for another. Default: 10 minutes. It should be longer than the longest break.
    #[must_use]
    pub fn forget_after(mut self, unused: Duration) -> Self {
        self.forget_after = unused;
        self
    }

    /// The breaker of `key`, if it has one now. Looking adds no key.
    pub fn peek<Q>(&self, key: &Q) -> Option<Arc<CircuitBreaker<C>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.look(key, |entry| entry.map(|entry| Arc::clone(&entry.breaker)))
    }

    /// How many keys have a place now, those that are idle but not yet forgotten included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no key has a place.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many keys can have a place.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }
}

impl<K: Hash + Eq, C: Clock, S: BuildHasher> Keyed<K, C, S> {
    /// The breaker of `key`, made if need be. While somebody holds it, it is not forgotten. (A reader of
    /// its [changes](CircuitBreaker::changes) does not hold it: they end when it is forgotten.)
    ///
    /// # Errors
    ///
    /// If the key is new, the table is full, and no idle place was found in a bounded search.
    pub fn get<Q>(&self, key: &Q) -> Result<Arc<CircuitBreaker<C>>, TableFull>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let make = || {
            let breaker = Arc::new((self.make)(&key.to_owned()));
            Entry { breaker, used: Instant::ZERO }
        };
        let is_idle = |entry: &Entry<C>| self.is_idle(entry);
        self.table.with(key, make, is_idle, |entry| {
            entry.used = entry.breaker.clock().now();
            Arc::clone(&entry.breaker)
        })
    }

    /// Leave for a call of `key`. The permit holds the breaker.
    ///
    /// # Errors
    ///
    /// [`KeyedError`] separates a breaker that refuses from a table that is full.
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<Permit<Arc<CircuitBreaker<C>>>, KeyedError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        Ok(Permit::try_new(self.get(key)?)?)
    }

    /// Makes a call of `key` if its breaker lets it through, and reports what came of it: an `Err` is
    /// a failure, and so is a panic.
    ///
    /// # Errors
    ///
    /// If the call was not made; otherwise its own error.
    pub fn call<Q, T, E>(
        &self,
        key: &Q,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, KeyedCallError<E>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let breaker = self.get(key).map_err(|full| KeyedCallError::Rejected(full.into()))?;
        breaker.call(f).map_err(|error| match error {
            CallError::Rejected(refused) => KeyedCallError::Rejected(refused.into()),
            CallError::Inner(error) => KeyedCallError::Inner(error),
        })
    }

    /// Forgets all idle keys: for a moment of your choice. New keys do the same bit by bit.
    pub fn forget_idle(&self) {
        self.table.forget_idle(|entry| self.is_idle(entry));
    }

    /// Whether a breaker is as good as a new one, or knows only what is out of date.
    fn is_idle(&self, Entry { breaker, used }: &Entry<C>) -> bool {
        // Under the lock of its shard, without which nobody gets a first clone.
        if Arc::strong_count(breaker) > 1 {
            return false;
        }
        let now = breaker.clock().now();
        let is_old = now.saturating_duration_since(*used) >= self.forget_after;
        let is_forced = || matches!(breaker.phase_at(now), Phase::ForcedOpen | Phase::ForcedClosed);
        breaker.state().is_idle(now) || is_old && !is_forced()
    }
}

impl<K, C, S> fmt::Debug for Keyed<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Why a key's call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyedError {
    /// The key's breaker refused.
    #[error(transparent)]
    Refused(#[from] TryAcquireError),
    /// The key is new, the table is full, and no idle place was found in a bounded search.
    #[error("no place for another key: {capacity} are held already")]
    TableFull {
        /// The configured capacity.
        capacity: usize,
    },
}

impl From<TableFull> for KeyedError {
    fn from(full: TableFull) -> Self {
        Self::TableFull { capacity: full.capacity }
    }
}

/// Why a key's [call](Keyed::call) failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyedCallError<E> {
    /// It was not made.
    #[error(transparent)]
    Rejected(KeyedError),
    /// It was made, and gave this error.
    #[error(transparent)]
    Inner(E),
}
