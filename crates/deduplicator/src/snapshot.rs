//! What a window remembers, as plain data: so that a restart does not forget.

use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::time::Duration;

use steadfast_core::sync::Arc;
use steadfast_core::{Clock, Instant, saturating_nanos};
#[cfg(feature = "std")]
use steadfast_core::{CoarseClock, SystemClock};

use crate::atomic::Deduplicator;
use crate::claims::Claims;
use crate::config::Config;
use crate::error::RestoreError;
use crate::fingerprint::{Fingerprint, SipKeys};
use crate::local::LocalDeduplicator;
use crate::memory::Memory;
use crate::state::Record;

/// The ids that a window remembers, and how old they are.
///
/// It holds the hasher, and so the secret: keep it where nobody reads it who may choose ids.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_deduplicator::Config;
///
/// let config = Config::new(1_000).ttl(Duration::from_secs(600));
/// let seen = config.build()?;
/// assert!(seen.insert("order 17").is_fresh());
///
/// let mut snapshot = seen.snapshot();
/// // … written to a disk, and read by the next process, a minute later:
/// snapshot.add_age(Duration::from_secs(60));
/// let seen = config.restore(snapshot)?;
/// assert!(!seen.insert("order 17").is_fresh());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot<V = (), S = SipKeys> {
    /// What fingerprints are made by.
    pub hasher: S,
    /// Whether they have 128 bits.
    pub is_wide: bool,
    /// The ids, the oldest first. Restoring sorts them.
    pub ids: Vec<Remembered<V>>,
}

/// One id of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Remembered<V = ()> {
    /// What it is told from others by.
    pub fingerprint: Fingerprint,
    /// How long ago it was recorded, in nanoseconds.
    pub age_ns: u64,
    /// How long ago it was first seen: longer than its age only if sights renew.
    pub first_age_ns: u64,
    /// What its payload is told from others by.
    pub payload: u64,
    /// What was committed with it.
    pub value: Option<V>,
}

impl<V, S> Snapshot<V, S> {
    /// The ids are so much older: for the time between taking it and restoring it.
    pub fn add_age(&mut self, age: Duration) {
        let age = saturating_nanos(age);
        for id in &mut self.ids {
            id.age_ns = id.age_ns.saturating_add(age);
            id.first_age_ns = id.first_age_ns.saturating_add(age);
        }
    }

    fn sort(&mut self) {
        self.ids.sort_by_key(|id| core::cmp::Reverse(id.age_ns));
    }

    /// Checks it against a configuration, without the ids whose time is over: they would take the places of
    /// others. The ages are at most half of all time, so that the sum of an age and a time can be counted.
    fn check(&mut self, config: &Config) -> Result<(), RestoreError> {
        if self.is_wide != config.is_wide {
            return Err(RestoreError::Width { is_wide: self.is_wide });
        }
        if let Some(ttl) = config.ttl.map(saturating_nanos) {
            self.ids.retain(|id| id.age_ns < ttl);
        }
        if let Some(age) = self.ids.iter().map(Remembered::longest).find(|&age| age > u64::MAX / 2)
        {
            return Err(RestoreError::TooOld { age: Duration::from_nanos(age) });
        }
        self.sort();
        Ok(())
    }
}

impl<V> Remembered<V> {
    /// Of a record, at a time by the window's own count.
    fn of(record: Record, value: Option<V>, now: u64) -> Self {
        Self {
            fingerprint: record.id,
            age_ns: now.saturating_sub(record.time),
            first_age_ns: now.saturating_sub(record.first),
            payload: record.payload,
            value,
        }
    }

    /// The longer of its ages.
    fn longest(&self) -> u64 {
        self.age_ns.max(self.first_age_ns)
    }

    /// The record at a time by the window's own count, which is ahead of the clock by as much as the longest
    /// age takes.
    fn record(&self, now: u64) -> Record {
        Record {
            id: self.fingerprint,
            time: now.saturating_sub(self.age_ns),
            first: now.saturating_sub(self.first_age_ns),
            payload: self.payload,
        }
    }
}

/// How far a window's count has to be ahead of the clock for the longest age. With sights that renew, that
/// need not be the oldest id's.
fn ahead<V>(ids: &[Remembered<V>], now: Instant) -> u64 {
    let longest = ids.iter().map(Remembered::longest).max();
    longest.map_or(0, |age| age.saturating_sub(now.as_nanos()))
}

impl<C: Clock, S: Clone> Deduplicator<C, S> {
    /// What it remembers now. The shards are read one after the other.
    pub fn snapshot(&self) -> Snapshot<(), S> {
        let now = self.clock().now();
        let ids = self.shards().each(|state| {
            let count = state.count(now);
            state.records(now).map(|(_, record)| Remembered::of(record, None, count)).collect()
        });
        let ids: Vec<Vec<_>> = ids.collect();
        let (hasher, is_wide) = (self.ids().hasher().clone(), self.config().is_wide);
        let mut snapshot = Snapshot { hasher, is_wide, ids: ids.into_iter().flatten().collect() };
        snapshot.sort();
        snapshot
    }
}

impl<S: Clone, M: Memory> LocalDeduplicator<S, M> {
    /// What it remembers at a time.
    pub fn snapshot(&self, now: Instant) -> Snapshot<(), S> {
        let (ids, state) = self.parts();
        let count = state.count(now);
        let records = state.records(now);
        let remembered = records.map(|(_, record)| Remembered::of(record, None, count)).collect();
        let (hasher, is_wide) = (ids.hasher().clone(), ids.is_wide());
        Snapshot { hasher, is_wide, ids: remembered }
    }
}

impl<V: Clone, C: Clock, S: Clone> Claims<V, C, S> {
    /// What it remembers now: ids that were committed, with their values. The shards are read one after the
    /// other.
    pub fn snapshot(&self) -> Snapshot<V, S> {
        let now = self.clock().now();
        let ids = self.shards.each(|shard| {
            let count = shard.window.count(now);
            let records: Vec<_> = shard.window.records(now).collect();
            let with_value = |(slot, record)| (record, shard.window.beside().get(slot));
            let records: Vec<_> = records.into_iter().map(with_value).collect();
            (count, records)
        });
        let ids: Vec<_> = ids.collect();
        // Values are cloned here, where no lock is held.
        let remembered = ids.into_iter().flat_map(|(count, records)| {
            records.into_iter().map(move |(record, value)| {
                Remembered::of(record, value.map(|value| V::clone(&value)), count)
            })
        });
        let (hasher, is_wide) = (self.ids.hasher().clone(), self.config.is_wide);
        let mut snapshot = Snapshot { hasher, is_wide, ids: remembered.collect() };
        snapshot.sort();
        snapshot
    }
}

impl Config {
    /// A deduplicator that remembers what a snapshot does: ids keep their ages. Those whose time is over are
    /// left out; if there is less room than the others need, the oldest are evicted.
    ///
    /// # Errors
    ///
    /// If there can be no such window, the snapshot is of another width, or an id that is to be remembered is
    /// too old to be counted.
    #[cfg(feature = "std")]
    pub fn restore<S: BuildHasher>(
        &self,
        snapshot: Snapshot<(), S>,
    ) -> Result<Deduplicator<CoarseClock, S>, RestoreError> {
        self.restore_with(CoarseClock, snapshot)
    }

    /// The same on a clock of yours.
    ///
    /// # Errors
    ///
    /// As [`restore`](Config::restore).
    pub fn restore_with<C: Clock, S: BuildHasher>(
        &self,
        clock: C,
        mut snapshot: Snapshot<(), S>,
    ) -> Result<Deduplicator<C, S>, RestoreError> {
        snapshot.check(self)?;
        let Snapshot { hasher, ids, .. } = snapshot;
        let now = clock.now();
        let restored = self.build_with(clock, hasher)?;
        let ahead = ahead(&ids, now);
        restored.shards().each(|state| state.set_ahead(ahead)).for_each(drop);
        for id in ids {
            restored.shards().with(id.fingerprint, |state| {
                let _slot = state.restore(id.record(state.count(now)));
            });
        }
        Ok(restored)
    }

    /// The same for a single owner, at a time of yours. The snapshot may be one of a shared deduplicator.
    ///
    /// # Errors
    ///
    /// As [`restore`](Config::restore).
    pub fn restore_local<S: BuildHasher>(
        &self,
        mut snapshot: Snapshot<(), S>,
        now: Instant,
    ) -> Result<LocalDeduplicator<S>, RestoreError> {
        snapshot.check(self)?;
        let Snapshot { hasher, ids, .. } = snapshot;
        let mut restored = self.local_with(hasher)?;
        let state = restored.state();
        state.set_ahead(ahead(&ids, now));
        for id in ids {
            let _slot = state.restore(id.record(state.count(now)));
        }
        Ok(restored)
    }

    /// Claims that remember what a snapshot does.
    ///
    /// # Errors
    ///
    /// As [`restore`](Config::restore).
    #[cfg(feature = "std")]
    pub fn restore_claims<V, S: BuildHasher>(
        &self,
        snapshot: Snapshot<V, S>,
    ) -> Result<Claims<V, SystemClock, S>, RestoreError> {
        self.restore_claims_with(SystemClock, snapshot)
    }

    /// The same on a clock of yours.
    ///
    /// # Errors
    ///
    /// As [`restore`](Config::restore).
    pub fn restore_claims_with<V, C: Clock, S: BuildHasher>(
        &self,
        clock: C,
        mut snapshot: Snapshot<V, S>,
    ) -> Result<Claims<V, C, S>, RestoreError> {
        snapshot.check(self)?;
        let Snapshot { hasher, ids, .. } = snapshot;
        let now = clock.now();
        let restored = self.claims_with(clock, hasher)?;
        let ahead = ahead(&ids, now);
        restored.shards.each(|shard| shard.window.set_ahead(ahead)).for_each(drop);
        for mut id in ids {
            let value = id.value.take().map(Arc::new);
            restored.in_shard(id.fingerprint, |shard| {
                let slot = shard.window.restore(id.record(shard.window.count(now)));
                shard.window.beside().set(slot, value);
            });
        }
        Ok(restored)
    }
}

impl<V: fmt::Debug, S> fmt::Debug for Snapshot<V, S> {
    /// Nothing of the hasher, which is the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("is_wide", &self.is_wide)
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}
