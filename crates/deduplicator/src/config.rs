//! How many ids a window remembers, for how long, and in how much memory.

use core::time::Duration;

use steadfast_core::saturating_nanos;

#[cfg(feature = "alloc")]
use crate::memory::Heap;
use crate::memory::Memory;
use crate::state::{LANES, Line, MOST_BITS, State};

/// The most ids that one window, or one shard of a shared one, can remember: 67,108,864.
pub const MAX_CAPACITY: usize = 1 << 26;
/// The most shards.
pub const MAX_SHARDS: usize = 1_024;
/// The most ids of all shards together.
const MOST: usize = {
    // The places of more, of two words each, would take more addresses than the target has.
    let (of_all_shards, addressable) = (MAX_CAPACITY.saturating_mul(MAX_SHARDS), usize::MAX / 16);
    if of_all_shards < addressable { of_all_shards } else { addressable }
};
/// As many ids as a shard is worth having for.
#[cfg(feature = "wait")]
const SHARD: usize = 4_096;
/// As many shards as there are unless something else is said, if there are enough ids.
#[cfg(feature = "wait")]
const USUAL_SHARDS: usize = 8;
/// How long a claim is held unless something else is said.
const LEASE: Duration = Duration::from_secs(60);
/// How many claims there can be at once unless something else is said.
const CLAIMS: u32 = 65_536;

/// The configuration of a deduplicator, and its builder.
///
/// Without settings: ids are forgotten when so many others have come, and not before; 64-bit fingerprints.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_deduplicator::Config;
///
/// // The last million ids of the last ten minutes.
/// let orders = Config::new(1_000_000).ttl(Duration::from_secs(600));
/// // The same promise for a stream of at most 5,000 a second.
/// let rated = Config::within(Duration::from_secs(600), 5_000)?;
/// assert_eq!(rated, Config::new(3_000_000).ttl(Duration::from_secs(600)));
/// # orders.check()?;
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::data::Data", into = "crate::data::Data"))]
#[must_use = "a configuration does nothing until it is built"]
pub struct Config {
    pub(crate) capacity: usize,
    pub(crate) ttl: Option<Duration>,
    pub(crate) renews: bool,
    pub(crate) is_wide: bool,
    pub(crate) is_dense: bool,
    pub(crate) shards: Option<usize>,
    pub(crate) lease: Duration,
    pub(crate) max_claims: u32,
    pub(crate) max_waiters: u32,
}

/// A checked [`Config`] of one window: what the pure machine is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub(crate) capacity: u32,
    /// How many positions the ring has: more than the capacity, so that some may be holes.
    pub(crate) places: u32,
    pub(crate) lines: u32,
    /// The bits of a stamp.
    pub(crate) mask: u32,
    /// From how many positions on holes are pushed out, and how fast.
    pub(crate) crowded: u32,
    pub(crate) pushes: u32,
    /// In nanoseconds; `u64::MAX`: never.
    pub(crate) ttl: u64,
    pub(crate) renews: bool,
    /// Words a position, and which of them are what. 0: there is none.
    pub(crate) stride: u32,
    pub(crate) high: u32,
    pub(crate) first: u32,
    pub(crate) payload: u32,
}

impl Terms {
    /// How many words the ring has.
    pub(crate) const fn words(&self) -> usize {
        // OK: at most 1.5 × 2²⁶ positions of at most 5 words, which `terms` has compared with the
        // target's addresses.
        self.places as usize * self.stride as usize
    }
}

impl Config {
    /// The last `capacity` ids, each until so many others have come after it: 1 to [`MAX_CAPACITY`] (a
    /// shared window has as many shards as that takes).
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ttl: None,
            renews: false,
            is_wide: false,
            is_dense: false,
            shards: None,
            lease: LEASE,
            max_claims: CLAIMS,
            max_waiters: u32::MAX,
        }
    }

    /// All ids of the last `ttl`, of which at most so many a second come: the capacity is what that takes.
    /// Whether more came than were promised is in [`Stats::evicted`](crate::Stats::evicted).
    ///
    /// # Errors
    ///
    /// If that is more than can be counted.
    pub const fn within(ttl: Duration, per_second: u64) -> Result<Self, ConfigError> {
        // OK: 2⁶⁴ seconds times 2⁶⁴ a second, and one second's worth more, are below 2¹²⁸.
        let nanos = ttl.subsec_nanos() as u128 * per_second as u128;
        let ids = ttl.as_secs() as u128 * per_second as u128 + nanos.div_ceil(1_000_000_000);
        if ids > usize::MAX as u128 {
            return Err(ConfigError::CapacityOutOfRange { capacity: usize::MAX, max: MOST });
        }
        // OK: compared with the maximum above.
        Ok(Self::new(ids as usize).ttl(ttl))
    }

    /// An id is forgotten this long after it was first seen, even if there is room. More than zero.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Every sight of an id counts as its first, for its age and for its place: it is forgotten when it
    /// has not been seen for the TTL, or when as many others have been seen since. It takes 8 bytes more a
    /// place, and a quarter more places; a duplicate costs more than a new id.
    pub const fn renew(mut self, renews: bool) -> Self {
        self.renews = renews;
        self
    }

    /// Fingerprints of 128 bits instead of 64: for ids that do not fit in 64 bits, where one false
    /// duplicate in 2⁶⁴ / capacity of them is too many. It takes 8 bytes more a place.
    pub const fn wide(mut self, is_wide: bool) -> Self {
        self.is_wide = is_wide;
        self
    }

    /// Less memory, 24 bytes an id instead of 30, for more time an operation.
    pub const fn dense(mut self, is_dense: bool) -> Self {
        self.is_dense = is_dense;
        self
    }

    /// How many locks a shared window has: a power of two from 1 to [`MAX_SHARDS`]. With one, the window
    /// has its capacity exactly; otherwise it may remember a few more.
    ///
    /// Without it: 8, or less for a small window.
    pub const fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How long a claim is its holder's: 60 seconds unless something else is said. More than zero.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many claims can be held at once: at least 1, and 65,536 unless something else is said.
    pub const fn max_claims(mut self, claims: u32) -> Self {
        self.max_claims = claims;
        self
    }

    /// How many may wait for one claim: any number unless something else is said. With 0, nobody waits.
    pub const fn max_waiters(mut self, waiters: u32) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// Checks it without building anything.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.capacity == 0 || self.capacity > MOST {
            return Err(ConfigError::CapacityOutOfRange { capacity: self.capacity, max: MOST });
        }
        if self.lease.is_zero() {
            return Err(ConfigError::ZeroLease);
        }
        if self.max_claims == 0 {
            return Err(ConfigError::ZeroClaims);
        }
        if let Some(shards) = self.shards {
            if !shards.is_power_of_two() || shards > MAX_SHARDS {
                return Err(ConfigError::ShardsOutOfRange { shards, max: MAX_SHARDS });
            }
            if shards > self.capacity {
                let Self { capacity, .. } = *self;
                return Err(ConfigError::MoreShardsThanIds { shards, capacity });
            }
        }
        match self.ttl {
            Some(ttl) if ttl.is_zero() => Err(ConfigError::ZeroTtl),
            Some(ttl) if saturating_nanos(ttl) == u64::MAX => Err(ConfigError::TtlTooLong { ttl }),
            _ => Ok(()),
        }
    }

    /// The checked numbers of one window. With `has_payload`, each id has a payload's fingerprint.
    pub(crate) const fn terms(&self, has_payload: bool) -> Result<Terms, ConfigError> {
        if let Err(error) = self.check() {
            return Err(error);
        }
        let Self { capacity, renews, is_wide, is_dense, .. } = *self;
        if capacity > MAX_CAPACITY {
            return Err(ConfigError::CapacityOutOfRange { capacity, max: MAX_CAPACITY });
        }
        let ttl = match self.ttl {
            Some(ttl) => saturating_nanos(ttl),
            None => u64::MAX,
        };
        #[expect(clippy::cast_possible_truncation, reason = "compared with the maximum above")]
        // OK: as the reason says.
        let capacity = capacity as u32;
        let spare = match (renews, is_dense) {
            (true, _) => capacity / 2,
            (false, false) => capacity / 4,
            (false, true) => capacity / 16,
        };
        // Half of it until the holes are pushed out, and half for what comes meanwhile.
        let half = if spare < 16 { 8 } else { spare / 2 };
        let (crowded, places) = (capacity + half, capacity + 2 * half);
        let pushes = (crowded + 1).div_ceil(half - 1);
        let lines = capacity.div_ceil(if is_dense { 10 } else { 7 });
        // A line is refreshed every eighth time that the ring moves on. What was dead then, just before
        // the oldest position, is dead still when all others have been, though the ring is full.
        let bits = (places + 8 * lines + 2).ilog2() + 1;
        assert!(
            bits <= MOST_BITS && LANES * lines as usize >= capacity as usize,
            "what the maxima are for"
        );
        let (high, stride) = if is_wide { (2, 3) } else { (0, 2) };
        let (first, stride) = if renews { (stride, stride + 1) } else { (0, stride) };
        let (payload, stride) = if has_payload { (stride, stride + 1) } else { (0, stride) };
        let bytes = window_bytes(places, stride, lines);
        if bytes > isize::MAX as u64 {
            return Err(ConfigError::NotAddressable { bytes });
        }
        let mask = (1 << bits) - 1;
        Ok(Terms {
            capacity,
            places,
            lines,
            mask,
            crowded,
            pushes,
            ttl,
            renews,
            stride,
            high,
            first,
            payload,
        })
    }

    /// How many lines [`Fixed`](crate::Fixed) memory needs.
    ///
    /// # Panics
    ///
    /// If there can be no such window: when the program is compiled, in a constant.
    pub const fn lines(&self) -> usize {
        match self.terms(false) {
            Ok(terms) => terms.lines as usize,
            Err(_) => panic!("there can be no such window"),
        }
    }

    /// How many words [`Fixed`](crate::Fixed) memory needs.
    ///
    /// # Panics
    ///
    /// As [`lines`](Config::lines).
    pub const fn words(&self) -> usize {
        match self.terms(false) {
            Ok(terms) => terms.words(),
            Err(_) => panic!("there can be no such window"),
        }
    }

    /// The pure machine, on the heap.
    ///
    /// # Errors
    ///
    /// If there can be no such window.
    #[cfg(feature = "alloc")]
    pub fn state(&self) -> Result<State, ConfigError> {
        let terms = self.terms(false)?;
        Ok(State::with_terms(terms, Heap::new(&terms), ()))
    }

    /// The pure machine, in memory of yours, which is emptied.
    ///
    /// # Errors
    ///
    /// If there can be no such window, or the memory is not as large as it has to be.
    pub fn state_in<M: Memory>(&self, mut memory: M) -> Result<State<M>, ConfigError> {
        let terms = self.terms(false)?;
        let (given, needed) = (memory.lines().len(), terms.lines as usize);
        if given != needed {
            return Err(ConfigError::Lines { given, needed });
        }
        let (given, needed) = (memory.words().len(), terms.words());
        if given != needed {
            return Err(ConfigError::Words { given, needed });
        }
        memory.lines_mut().fill(Line::EMPTY);
        Ok(State::with_terms(terms, memory, ()))
    }

    /// How many shards there are, and what each of them is: a power of two, and enough room that no shard
    /// gets more than that of the last `capacity` ids.
    #[cfg(feature = "wait")]
    pub(crate) fn sharded(&self) -> Result<(usize, Self), ConfigError> {
        self.check()?;
        let shards = self.shards.unwrap_or_else(|| {
            let needed = self.capacity.div_ceil(MAX_CAPACITY / 2).next_power_of_two();
            let usual = (self.capacity / SHARD).clamp(1, USUAL_SHARDS);
            // OK: at least 1.
            needed.max(1 << usual.ilog2())
        });
        let capacity =
            if shards == 1 { self.capacity } else { with_margin(self.capacity / shards) };
        // It is a window of its own.
        let shard = Self { capacity, shards: None, ..*self };
        let Terms { places, stride, lines, .. } = shard.terms(true)?;
        // OK: at most 2¹⁰ times 2³³.
        let bytes = shards as u64 * window_bytes(places, stride, lines);
        if usize::try_from(bytes).is_err() {
            return Err(ConfigError::NotAddressable { bytes });
        }
        Ok((shards, shard))
    }
}

/// What the memory of a window takes.
const fn window_bytes(places: u32, stride: u32, lines: u32) -> u64 {
    // OK: at most 1.5 × 2²⁶ places of 5 words, and 2²⁴ lines.
    places as u64 * stride as u64 * 8 + lines as u64 * 64
}

/// `mean` and ten standard deviations: more than so many of the last ids fall into one of many shards
/// once in 10²³.
#[cfg(feature = "wait")]
fn with_margin(mean: usize) -> usize {
    // OK: the mean is at most 2³⁶, and a root of it below its tenth, or 10 more.
    mean + 10 * mean.isqrt() + 10
}

/// Why there can be no such deduplicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No ids, or more than can be told apart by a stamp.
    #[error("a capacity of {capacity}: give 1 to {max}")]
    CapacityOutOfRange {
        /// What was given.
        capacity: usize,
        /// The most that it may be.
        max: usize,
    },
    /// More memory than the target has addresses.
    #[error("{bytes} bytes are more than can be addressed here: give a smaller capacity")]
    NotAddressable {
        /// What it would take.
        bytes: u64,
    },
    /// An id that is forgotten at once is not remembered.
    #[error("a TTL of zero: give at least a nanosecond, or none at all")]
    ZeroTtl,
    /// More than can be counted in nanoseconds.
    #[error("a TTL of {ttl:?}: give less than 584 years, or none at all")]
    TtlTooLong {
        /// What was given.
        ttl: Duration,
    },
    /// Not a power of two, or too many.
    #[error("{shards} shards: give a power of two from 1 to {max}")]
    ShardsOutOfRange {
        /// What was given.
        shards: usize,
        /// The most that it may be.
        max: usize,
    },
    /// Shards without an id.
    #[error("{shards} shards for {capacity} ids: give at most as many shards as ids")]
    MoreShardsThanIds {
        /// What was given.
        shards: usize,
        /// What was given.
        capacity: usize,
    },
    /// A claim that is lost at once is none.
    #[error("a lease of zero: give at least a nanosecond")]
    ZeroLease,
    /// Nobody could claim anything.
    #[error("no claims: give at least 1")]
    ZeroClaims,
    /// Memory of another size than the window needs.
    #[error("{given} lines: give {needed}, as `Config::lines` says")]
    Lines {
        /// What was given.
        given: usize,
        /// What it has to be.
        needed: usize,
    },
    /// Memory of another size than the window needs.
    #[error("{given} words: give {needed}, as `Config::words` says")]
    Words {
        /// What was given.
        given: usize,
        /// What it has to be.
        needed: usize,
    },
}
