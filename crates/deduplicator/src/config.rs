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
/// The most ids that one of several shards has for its share: the rest is for its margin.
const MAX_SHARE: usize = MAX_CAPACITY / 2;
/// The most ids of all shards together.
const MOST: usize = {
    // The places of more, of two words each, would take more addresses than the target has.
    let (of_all_shards, addressable) = (MAX_SHARE.saturating_mul(MAX_SHARDS), usize::MAX / 16);
    if of_all_shards < addressable { of_all_shards } else { addressable }
};
/// As many ids as a shard is worth having for: with fewer, the margin would be more than a sixth.
const SHARD: usize = 4_096;
/// As many shards as there are unless something else is said, if there are enough ids.
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
pub(crate) struct Terms {
    pub(crate) capacity: u32,
    /// How many positions the ring has: more than the capacity, so that some may be holes.
    pub(crate) places: u32,
    pub(crate) lines: u32,
    /// The bits of an entry that its stamp leaves for a tag.
    pub(crate) tag_bits: u32,
    /// When the bits of the next stamp that are here are zero, a line is refreshed.
    pub(crate) pause: u32,
    /// The same, or nothing if there is always something to do: a position has more than two words.
    pub(crate) upkeep: u32,
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

    /// What its memory takes.
    const fn bytes(&self) -> u64 {
        // OK: at most 1.5 × 2²⁶ positions of at most 5 words, and 2²⁴ lines.
        self.places as u64 * self.stride as u64 * 8 + self.lines as u64 * 64
    }
}

impl Config {
    /// The last `capacity` ids, each until so many others have come after it: 1 to [`MAX_CAPACITY`] in one
    /// window, and up to half as many in each shard of a shared one, of which there are as many as that takes.
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

    /// All ids of the last `ttl`, of which at most so many come in any second, all at one moment if need be: the
    /// capacity is `per_second` times the TTL in seconds, rounded up to whole ones. Whether more came than were
    /// promised is in [`Stats::evicted`](crate::Stats::evicted).
    ///
    /// # Errors
    ///
    /// If that is more than can be counted.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_deduplicator::Config;
    ///
    /// // All ids of the last ten minutes, of which at most 2,000 come in any second: 1,200,000.
    /// let seen = Config::within(Duration::from_secs(600), 2_000)?.build()?;
    /// # let _ = seen;
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    pub const fn within(ttl: Duration, per_second: u64) -> Result<Self, ConfigError> {
        let part = if ttl.subsec_nanos() > 0 { 1 } else { 0 };
        let secs = ttl.as_secs() as u128 + part;
        // OK: at most 2⁶⁴ seconds times less than 2⁶⁴ a second.
        let ids = secs * per_second as u128;
        if ids > usize::MAX as u128 {
            return Err(ConfigError::CapacityOutOfRange { capacity: usize::MAX, max: MOST });
        }
        // OK: compared with the maximum above.
        Ok(Self::new(ids as usize).ttl(ttl))
    }

    /// An id is forgotten this long after it was first seen, even if there is room. More than zero.
    ///
    /// It is as exact as the clock. The [coarse](steadfast_core::CoarseClock) one, which
    /// [`build`](Config::build) takes, shows the last tick of the system: an id may be forgotten up to a tick
    /// too early or too late, which is 10 milliseconds at most. For a TTL of which that is much, take another
    /// with [`build_with`](Config::build_with).
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

    /// Less memory for more time an operation: an id takes 24 bytes instead of 30 in a window of a million, and
    /// 33 instead of 40 if it is [wide](Config::wide). What a window takes exactly is what
    /// [`lines`](Config::lines) and [`words`](Config::words) say: 64 bytes a line, 8 a word.
    pub const fn dense(mut self, is_dense: bool) -> Self {
        self.is_dense = is_dense;
        self
    }

    /// How many locks a shared window has: a power of two from 1 to [`MAX_SHARDS`]. With one, the window
    /// has its capacity exactly; otherwise it may remember a few more.
    ///
    /// Without it: 8, or fewer if a shard would have less than 4,096 ids, or more if one would have more than
    /// half of [`MAX_CAPACITY`].
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

    /// Checks it without building anything: a shared window that passes is built, if there is memory for it. A
    /// window of one owner has to have a capacity of at most [`MAX_CAPACITY`], too, and claims, which take more
    /// memory, may be too large for a target of 32 bits.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub const fn check(&self) -> Result<(), ConfigError> {
        match self.shape(false) {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What is wrong with a number, whatever the others are.
    const fn fault(&self) -> Option<ConfigError> {
        if self.capacity == 0 || self.capacity > MOST {
            return Some(ConfigError::CapacityOutOfRange { capacity: self.capacity, max: MOST });
        }
        if self.lease.is_zero() {
            return Some(ConfigError::ZeroLease);
        }
        if self.max_claims == 0 {
            return Some(ConfigError::ZeroClaims);
        }
        if let Some(shards) = self.shards {
            if !shards.is_power_of_two() || shards > MAX_SHARDS {
                return Some(ConfigError::ShardsOutOfRange { shards, max: MAX_SHARDS });
            }
            if shards > self.capacity {
                let Self { capacity, .. } = *self;
                return Some(ConfigError::MoreShardsThanIds { shards, capacity });
            }
        }
        match self.ttl {
            Some(ttl) if ttl.is_zero() => Some(ConfigError::ZeroTtl),
            Some(ttl) if saturating_nanos(ttl) == u64::MAX => Some(ConfigError::TtlTooLong { ttl }),
            _ => None,
        }
    }

    /// How many shards a shared window has, and what each of them is: a window of its own, with room enough
    /// that none gets more of the last `capacity` ids. With `has_payload`, each id has a payload's fingerprint.
    pub(crate) const fn shape(&self, has_payload: bool) -> Result<(usize, Self), ConfigError> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let Self { capacity, .. } = *self;
        let shards = match self.shards {
            Some(shards) => shards,
            None => usual_shards(capacity),
        };
        let max = if shards == 1 { MAX_CAPACITY } else { MAX_SHARE.saturating_mul(shards) };
        if capacity > max {
            return Err(ConfigError::CapacityOutOfRange { capacity, max });
        }
        let room = if shards == 1 { capacity } else { with_margin(capacity.div_ceil(shards)) };
        // No shard gets more than all.
        let room = if room > capacity { capacity } else { room };
        let shard = Self { capacity: room, shards: None, ..*self };
        match shard.window(has_payload) {
            Ok(terms) => {
                // OK: at most 2¹⁰ times 2³³.
                let bytes = shards as u64 * terms.bytes();
                // OK: no target has addresses of more than 64 bits.
                if bytes > usize::MAX as u64 {
                    return Err(ConfigError::NotAddressable { bytes });
                }
                Ok((shards, shard))
            }
            Err(error) => Err(error),
        }
    }

    /// The checked numbers of one window. With `has_payload`, each id has a payload's fingerprint.
    pub(crate) const fn terms(&self, has_payload: bool) -> Result<Terms, ConfigError> {
        match self.shape(has_payload) {
            // What all shards take is no matter of one window.
            Ok(_) | Err(ConfigError::NotAddressable { .. }) => self.window(has_payload),
            Err(error) => Err(error),
        }
    }

    /// The same of numbers without a fault of their own.
    const fn window(&self, has_payload: bool) -> Result<Terms, ConfigError> {
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
        // So many steps with each id that comes: all positions are looked at before the other half is used.
        let pushes = (crowded + 1).div_ceil(half - 1);
        // About half of the 15 lanes of a line are in use, or 11: so few lines are full. Of wide fingerprints
        // half a lane more, so that they take 40 bytes in a shared window.
        let lines = match (is_dense, is_wide) {
            (true, _) => capacity.div_ceil(11),
            (false, true) => (2 * capacity).div_ceil(15),
            (false, false) => capacity.div_ceil(7),
        };
        // A line is refreshed every eighth time that the ring moves on, or more rarely if there are stamps enough.
        // What was dead then, just before the oldest position, is dead still when all others have been, though
        // the ring is full.
        let bits = (places + 8 * lines + 2).ilog2() + 1;
        assert!(
            bits <= MOST_BITS && LANES * lines as usize >= capacity as usize,
            "what the maxima are for"
        );
        let (high, stride) = if is_wide { (2, 3) } else { (0, 2) };
        let (first, stride) = if renews { (stride, stride + 1) } else { (0, stride) };
        let (payload, stride) = if has_payload { (stride, stride + 1) } else { (0, stride) };
        let pause = 1 << (((1 << bits) - 3 - places) / lines).ilog2();
        let tag_bits = 32 - bits;
        // OK: a pause is at most as many as there are stamps.
        let pause = (pause - 1) << tag_bits;
        let upkeep = if stride == 2 { pause } else { 0 };
        let terms = Terms {
            capacity,
            places,
            lines,
            tag_bits,
            pause,
            upkeep,
            crowded,
            pushes,
            ttl,
            renews,
            stride,
            high,
            first,
            payload,
        };
        let bytes = terms.bytes();
        if bytes > isize::MAX as u64 {
            return Err(ConfigError::NotAddressable { bytes });
        }
        Ok(terms)
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
}

/// As many as there are unless something else is said: a power of two, not more than the ids are worth and not
/// fewer than they need.
const fn usual_shards(capacity: usize) -> usize {
    let needed = capacity.div_ceil(MAX_SHARE).next_power_of_two();
    let worth = if capacity < 2 * SHARD {
        1
    } else if capacity / SHARD > USUAL_SHARDS {
        USUAL_SHARDS
    } else {
        1 << (capacity / SHARD).ilog2()
    };
    if needed < worth { worth } else { needed }
}

/// Room for a share of the last ids: more than that of them fall into one of many shards once in 10²³.
///
/// Each falls into it with the same probability, whatever became of the others, so that Bernstein's inequality
/// holds: their number is above its mean `μ` by `t` with a probability below `exp(-t² / (2μ + 2t/3))`. That is
/// `exp(-53)`, or 9.6 × 10⁻²⁴, for `t = 53/3 + √(53²/9 + 106μ)`.
const fn with_margin(mean: usize) -> usize {
    // OK: the mean is at most 2²⁵.
    mean + 18 + (312 + 106 * mean).isqrt() + 1
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
