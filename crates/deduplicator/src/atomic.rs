//! The shared deduplicator: windows under locks, an id always in the same.
//!
//! A lock is held for one look-up, and no code of anybody else's runs meanwhile: ids are hashed before, and
//! clocks read.

use core::fmt;
use core::hash::BuildHasher;

use alloc::boxed::Box;
use alloc::vec::Vec;

use steadfast_core::sync::Mutex;
use steadfast_core::{Clock, CoarseClock, Instant};

use crate::config::{Config, ConfigError};
use crate::fingerprint::{Fingerprint, Id, Ids, SipKeys};
use crate::state::{AT_ONCE, Ones, Sighting, State, Stats};

/// Says of every id whether it was seen before, within a window of so many ids and so much time; for any
/// number of threads and tasks at once.
///
/// Checking and recording is one step: of any number of callers with the same id, one is told that it is
/// fresh. `C` is the clock, `S` the hasher.
///
/// # The window
///
/// It never forgets one of the last `capacity` ids before its TTL is over, and may remember some more:
/// there are [shards](Config::shards), each a window of its own with room for about ten standard deviations
/// more than its share. A new id finds more than that of the last ids in its shard, and the oldest of them is
/// forgotten too early, with a probability below 10⁻²³, if nobody chooses ids who knows the hasher's secret. With
/// one shard, or [`LocalDeduplicator`](crate::LocalDeduplicator), the window has its capacity exactly.
///
/// # Time
///
/// A shard's time is the latest that it was told of by [`insert`](Self::insert) or [`forget`](Self::forget); what
/// comes with an earlier one counts as then. So a clock that was read before another thread took the lock does
/// no harm. [`contains`](Self::contains), [`first_seen`](Self::first_seen) and [`len`](Self::len) record nothing,
/// not the time either: an id that they say is gone is there again for whoever asks with an earlier time, until
/// one of the others comes.
///
/// # Cost
///
/// A lock of one of 8 shards, one cache miss if the window is larger than the caches, and a reading of the
/// [coarse](CoarseClock) clock. It allocates when it is built, and after that for the answers of
/// [`insert_all`](Self::insert_all) and for snapshots only.
///
/// An id takes 30 bytes in a window of a million, however long it is: 29 bytes, and 3 % for the room that
/// shards have to spare. In smaller windows that is more, and 17 % at most, with as many shards as there are
/// unless something else is said; [`LocalDeduplicator`] and one shard have none.
///
/// [`LocalDeduplicator`]: crate::LocalDeduplicator
///
/// # Memory ordering
///
/// What happened before an id was inserted is visible to whoever is told that it is a duplicate.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_deduplicator::Config;
///
/// let seen = Config::new(1_000_000).ttl(Duration::from_secs(600)).build()?;
/// let fresh: usize = std::thread::scope(|scope| {
///     let threads = [(); 4].map(|()| scope.spawn(|| usize::from(seen.insert(&17_u64).is_fresh())));
///     threads.map(|thread| thread.join().unwrap()).iter().sum()
/// });
/// assert_eq!(fresh, 1);
/// # }
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
pub struct Deduplicator<C = CoarseClock, S = SipKeys> {
    ids: Ids<S>,
    shards: Shards<State>,
    clock: C,
    config: Config,
}

/// So many of something, each under a lock, on cache lines of its own.
pub(crate) struct Shards<T>(Box<[Shard<T>]>);

#[repr(align(128))]
struct Shard<T>(Mutex<T>);

/// Into how many piles the ids of a batch are sorted at most.
const PILES: usize = 64;
const _: () = assert!(AT_ONCE <= u64::BITS as usize, "each id has a bit in its pile");

impl<T> Shards<T> {
    pub(crate) fn new(
        config: &Config,
        has_payload: bool,
        make: impl Fn(&Config) -> Result<T, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let (shards, each) = config.shape(has_payload)?;
        let shards = (0..shards).map(|_| make(&each).map(Mutex::new).map(Shard));
        shards.collect::<Result<_, _>>().map(Self)
    }

    /// The shard of an id, while nobody else can reach it.
    #[inline]
    pub(crate) fn with<R>(&self, id: Fingerprint, f: impl FnOnce(&mut T) -> R) -> R {
        self.0[id.shard(self.0.len())].0.with(f)
    }

    /// One after the other.
    pub(crate) fn each<R>(&self, f: impl FnMut(&mut T) -> R) -> impl Iterator<Item = R> {
        let mut f = f;
        self.0.iter().map(move |Shard(shard)| shard.with(&mut f))
    }
}

impl Config {
    /// A deduplicator on the coarse system clock, with a secret of its own. A [TTL](Config::ttl) is as exact as
    /// the ticks of that clock, of at most 10 milliseconds.
    ///
    /// # Errors
    ///
    /// If there can be none.
    #[cfg(feature = "std")]
    pub fn build(&self) -> Result<Deduplicator, ConfigError> {
        self.build_with(CoarseClock, SipKeys::new())
    }

    /// The same with a clock and a hasher of yours. Whoever chooses the ids should not know the hasher's
    /// secret.
    ///
    /// # Errors
    ///
    /// As [`build`](Config::build).
    pub fn build_with<C, S: BuildHasher>(
        &self,
        clock: C,
        hasher: S,
    ) -> Result<Deduplicator<C, S>, ConfigError> {
        let shards = Shards::new(self, false, Config::state)?;
        Ok(Deduplicator { ids: Ids::new(hasher, self.is_wide), shards, clock, config: *self })
    }
}

impl<C: Clock, S: BuildHasher> Deduplicator<C, S> {
    /// Says whether an id was seen before, and remembers it if it was not: in one step.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::Config;
    ///
    /// let seen = Config::new(1_000).build()?;
    /// assert!(seen.insert(&17).is_fresh());
    /// assert!(!seen.insert(&17).is_fresh());
    /// assert!(seen.insert("17").is_fresh(), "a text is another id than a number");
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    #[inline]
    pub fn insert<I: Id + ?Sized>(&self, id: &I) -> Sighting {
        self.insert_at(id, self.clock.now())
    }

    /// [`insert`](Deduplicator::insert) of many ids: the same answers, in order, several times as fast. Ids
    /// of different shards take their places in any order.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::Config;
    ///
    /// let seen = Config::new(1_000).build()?;
    /// let sightings = seen.insert_all(&[1, 2, 1]);
    /// assert_eq!(sightings.iter().filter(|sighting| sighting.is_fresh()).count(), 2);
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    pub fn insert_all<I: Id>(&self, ids: &[I]) -> Vec<Sighting> {
        self.insert_all_at(ids, self.clock.now())
    }

    /// Whether an id is remembered. Records nothing; to check and record, [`insert`](Self::insert).
    pub fn contains<I: Id + ?Sized>(&self, id: &I) -> bool {
        self.contains_at(id, self.clock.now())
    }

    /// When an id was first seen, if it is remembered. Records nothing.
    pub fn first_seen<I: Id + ?Sized>(&self, id: &I) -> Option<Instant> {
        self.first_seen_at(id, self.clock.now())
    }

    /// Forgets an id. Says whether it was remembered.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::Config;
    ///
    /// let seen = Config::new(1_000).build()?;
    /// if seen.insert("message").is_fresh() {
    ///     // It could not be handled after all: let it come again.
    ///     assert!(seen.forget("message"));
    /// }
    /// assert!(!seen.contains("message"));
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    pub fn forget<I: Id + ?Sized>(&self, id: &I) -> bool {
        self.forget_at(id, self.clock.now())
    }

    /// How many ids are remembered. The shards are counted one after the other; each looks through those whose
    /// time is over and that nothing has come upon yet.
    pub fn len(&self) -> usize {
        self.len_at(self.clock.now())
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<C, S: BuildHasher> Deduplicator<C, S> {
    /// [`insert`](Deduplicator::insert) at a time of yours. One before the latest that the id's shard has
    /// seen counts as that.
    #[inline]
    pub fn insert_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> Sighting {
        let id = self.ids.of(id);
        self.shards.with(id, |state| state.insert(id, now))
    }

    /// [`insert_all`](Deduplicator::insert_all) at a time of yours.
    pub fn insert_all_at<I: Id>(&self, ids: &[I], now: Instant) -> Vec<Sighting> {
        let mut answers = alloc::vec![Sighting::Fresh; ids.len()];
        for (ids, answers) in ids.chunks(AT_ONCE).zip(answers.chunks_mut(AT_ONCE)) {
            self.insert_some_at(ids, now, answers);
        }
        answers
    }

    /// Of at most [`AT_ONCE`] ids: shard by shard, each locked once.
    fn insert_some_at<I: Id>(&self, ids: &[I], now: Instant, answers: &mut [Sighting]) {
        let shards = self.shards.0.len();
        // If there are more shards than that, some share a pile, which then has to be taken in several parts.
        let piles = shards.min(PILES);
        let mut fingerprints = [Fingerprint { low: 0, high: 0 }; AT_ONCE];
        let mut sorted = [0; PILES];
        for (place, (fingerprint, id)) in fingerprints.iter_mut().zip(ids).enumerate() {
            *fingerprint = self.ids.of(id);
            sorted[fingerprint.shard(piles)] |= 1 << place;
        }
        for pile in &mut sorted[..piles] {
            while let Some(first) = Ones(*pile).next() {
                let id = fingerprints[first];
                let mut same = *pile;
                if shards > piles {
                    let other =
                        |&place: &usize| fingerprints[place].shard(shards) != id.shard(shards);
                    same = Ones(*pile).filter(other).fold(same, |same, place| same & !(1 << place));
                }
                self.shards.with(id, |state| {
                    state.insert_these(&fingerprints, Ones(same), now, answers);
                });
                *pile &= !same;
            }
        }
    }

    /// [`contains`](Deduplicator::contains) at a time of yours.
    pub fn contains_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> bool {
        self.first_seen_at(id, now).is_some()
    }

    /// When an id was first seen, if it is remembered at a time of yours. Records nothing.
    pub fn first_seen_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> Option<Instant> {
        let id = self.ids.of(id);
        self.shards.with(id, |state| state.first_seen(id, now))
    }

    /// [`forget`](Deduplicator::forget) at a time of yours.
    pub fn forget_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> bool {
        let id = self.ids.of(id);
        self.shards.with(id, |state| state.forget(id, now))
    }

    /// [`len`](Deduplicator::len) at a time of yours.
    pub fn len_at(&self, now: Instant) -> usize {
        self.shards.each(|state| state.len(now)).sum()
    }
}

impl<C, S> Deduplicator<C, S> {
    /// Forgets all ids, shard by shard, each locked for as long as it takes to empty it: that is in proportion
    /// to its capacity. What was counted stays.
    pub fn clear(&self) {
        self.shards.each(State::clear).for_each(drop);
    }

    /// What was counted since it was made, all shards together.
    pub fn stats(&self) -> Stats {
        self.shards.each(|state| state.stats()).fold(Stats::NONE, core::ops::Add::add)
    }

    pub(crate) const fn ids(&self) -> &Ids<S> {
        &self.ids
    }

    pub(crate) const fn shards(&self) -> &Shards<State> {
        &self.shards
    }

    /// What it was built by.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }
}

impl<C, S> fmt::Debug for Deduplicator<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deduplicator")
            .field("config", &self.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
