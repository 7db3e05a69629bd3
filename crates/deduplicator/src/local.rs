//! The deduplicator of a single owner: no lock, no clock.

use core::fmt;
use core::hash::BuildHasher;

use steadfast_core::Instant;

use crate::config::{Config, ConfigError};
use crate::fingerprint::{Fingerprint, Id, Ids, SipKeys};
use crate::memory::{Heap, Memory};
use crate::state::{AT_ONCE, Sighting, State, Stats};

/// A deduplicator for a single owner: the same answers as the [shared](crate::Deduplicator) one, without
/// locks. `S` is the hasher, `M` where the ids are.
///
/// Its time is the latest that it was told of by `insert`, `insert_all` or `forget`; what comes with an earlier
/// one counts as then. Looking records nothing, not the time either.
///
/// It allocates when it is built, and not at all in memory of yours; after that for snapshots only. An id takes
/// 29 bytes, and 23 if it is [dense](Config::dense).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_core::Instant;
/// use steadfast_deduplicator::Config;
///
/// let mut seen = Config::new(10_000).ttl(Duration::from_secs(60)).local()?;
/// let now = Instant::ZERO;    // yours to supply
/// assert!(seen.insert("order 17", now).is_fresh());
/// assert!(!seen.insert("order 17", now).is_fresh());
/// # }
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct LocalDeduplicator<S = SipKeys, M = Heap> {
    ids: Ids<S>,
    state: State<M>,
}

impl Config {
    /// A deduplicator for a single owner, with a secret of its own.
    ///
    /// # Errors
    ///
    /// If there can be no such window. `shards` and what is said of claims is checked and not used.
    #[cfg(feature = "std")]
    pub fn local(&self) -> Result<LocalDeduplicator, ConfigError> {
        self.local_with(SipKeys::new())
    }

    /// The same with a hasher of yours.
    ///
    /// # Errors
    ///
    /// As [`local`](Config::local).
    #[cfg(feature = "alloc")]
    pub fn local_with<S: BuildHasher>(
        &self,
        hasher: S,
    ) -> Result<LocalDeduplicator<S>, ConfigError> {
        Ok(LocalDeduplicator { ids: Ids::new(hasher, self.is_wide), state: self.state()? })
    }

    /// The same in memory of yours.
    ///
    /// # Errors
    ///
    /// If there can be no such window, or the memory is not as large as it needs.
    pub fn local_in<S: BuildHasher, M: Memory>(
        &self,
        memory: M,
        hasher: S,
    ) -> Result<LocalDeduplicator<S, M>, ConfigError> {
        Ok(LocalDeduplicator { ids: Ids::new(hasher, self.is_wide), state: self.state_in(memory)? })
    }
}

impl<S: BuildHasher, M: Memory> LocalDeduplicator<S, M> {
    /// Says whether an id was seen before, and remembers it if it was not: in one step.
    #[inline]
    pub fn insert<I: Id + ?Sized>(&mut self, id: &I, now: Instant) -> Sighting {
        self.state.insert(self.ids.of(id), now)
    }

    /// [`insert`](LocalDeduplicator::insert) of many ids, in order, several times as fast: `each` is told
    /// the answers.
    #[inline]
    pub fn insert_all<I: Id>(&mut self, ids: &[I], now: Instant, mut each: impl FnMut(Sighting)) {
        for ids in ids.chunks(AT_ONCE) {
            let mut fingerprints = [Fingerprint { low: 0, high: 0 }; AT_ONCE];
            for (fingerprint, id) in fingerprints.iter_mut().zip(ids) {
                *fingerprint = self.ids.of(id);
            }
            self.state.insert_all(&fingerprints[..ids.len()], now, &mut each);
        }
    }

    /// Whether an id is remembered. Records nothing; to check and record, [`insert`](Self::insert).
    pub fn contains<I: Id + ?Sized>(&self, id: &I, now: Instant) -> bool {
        self.first_seen(id, now).is_some()
    }

    /// When an id was first seen, if it is remembered. Records nothing.
    pub fn first_seen<I: Id + ?Sized>(&self, id: &I, now: Instant) -> Option<Instant> {
        self.state.first_seen(self.ids.of(id), now)
    }

    /// Forgets an id. Says whether it was remembered.
    pub fn forget<I: Id + ?Sized>(&mut self, id: &I, now: Instant) -> bool {
        self.state.forget(self.ids.of(id), now)
    }

    /// Forgets all ids. What was counted stays.
    pub fn clear(&mut self) {
        self.state.clear();
    }

    /// How many ids are remembered.
    pub fn len(&self, now: Instant) -> usize {
        self.state.len(now)
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self, now: Instant) -> bool {
        self.state.is_empty(now)
    }

    /// How many ids it remembers at most.
    pub const fn capacity(&self) -> usize {
        self.state.capacity()
    }

    /// What was counted since it was made.
    pub const fn stats(&self) -> Stats {
        self.state.stats()
    }
}

#[cfg(feature = "wait")]
impl<S, M> LocalDeduplicator<S, M> {
    pub(crate) const fn parts(&self) -> (&Ids<S>, &State<M>) {
        (&self.ids, &self.state)
    }

    pub(crate) const fn state(&mut self) -> &mut State<M> {
        &mut self.state
    }
}

impl<S, M> fmt::Debug for LocalDeduplicator<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalDeduplicator").field("state", &self.state).finish_non_exhaustive()
    }
}
