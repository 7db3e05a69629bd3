//! State per key, in bounded memory: what keyed limiters and keyed breakers stand on.
//!
//! A [`KeyedTable`] is sharded; each shard has a lock, held for one look-up. It never holds more
//! keys than its capacity. Entries that are **idle**, which the primitive decides (a bucket that is
//! full again is as good as none), are forgotten without a background task: each new key sweeps two
//! old entries, and a new key that finds the table full sweeps some more, which is a bounded search:
//! it is refused if no idle place was found there, and a later one looks further on. An entry that is
//! not idle is never evicted for a newcomer, so that nobody can flush the limits of others by
//! inventing keys.
//!
//! The `Hash`, `Eq` and `Clone` (or `ToOwned`) of the keys run under a shard's lock and must not use
//! the table. Entries that are forgotten are dropped after the lock is released.
//!
//! The default hasher is the standard library's keyed SipHash, so that nobody can craft collisions.

use std::borrow::{Borrow, ToOwned};
use std::boxed::Box;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

use parking_lot::Mutex;

/// The most keys that a table can be made for.
pub const MAX_CAPACITY: usize = 1 << 31;

/// How many entries a new key sweeps.
const SWEEP: usize = 2;
/// How many more it sweeps, in all shards together, when the table is full.
const SWEEP_WHEN_FULL: usize = 64;
const MAX_SHARDS: usize = 64;
/// How many slots a word has tags for.
const GROUP: usize = 8;
/// The lowest bit of each tag.
const LOWEST: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each tag: whether the slot is used.
const USED: u64 = 0x8080_8080_8080_8080;

/// The table is full, and no idle place was found in a bounded search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull {
    /// How many keys it holds.
    pub capacity: usize,
}

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no place for another key: {} are held already", self.capacity)
    }
}

impl core::error::Error for TableFull {}

/// A value per key, for at most so many keys, on `&self`.
///
/// # Examples
///
/// ```
/// use steadfast_core::table::KeyedTable;
///
/// // Counters that are forgotten once they are back at zero.
/// let table: KeyedTable<String, u32> = KeyedTable::new(2);
/// let idle = |count: &u32| *count == 0;
/// let add = |key: &str, by: i32| table.with(key, || 0, idle, |count| {
///     *count = count.saturating_add_signed(by);
///     *count
/// });
/// assert_eq!(add("alice", 1), Ok(1));
/// assert_eq!(add("bob", 1), Ok(1));
/// assert!(add("carol", 1).is_err(), "full, and nobody is idle");
/// assert_eq!(add("bob", -1), Ok(0));
/// assert_eq!(add("carol", 1), Ok(1), "took the place of bob");
/// ```
pub struct KeyedTable<K, V, S = RandomState> {
    shards: Box<[Shard<K, V>]>,
    hasher: S,
    capacity: usize,
    len: AtomicUsize,
    /// Where to look for idle entries next when the table is full.
    cursor: AtomicUsize,
}

/// A lock on cache lines of its own.
#[repr(align(128))]
struct Shard<K, V>(Mutex<Entries<K, V>>);

/// A place that is counted, given back unless an entry takes it.
struct Place<'a>(&'a AtomicUsize);

/// Entries that are forgotten, to be dropped after the lock is released.
type Forgotten<K, V> = Vec<(K, V)>;

/// An open-addressing table in groups of eight slots, probed linearly.
///
/// A word of tags tells which slots of a group may have a key, as in a Swiss table: all tags stay in
/// the cache where the slots do not, so a look-up that hits costs one cache miss, or two if the slot
/// lies across a line's end.
///
/// Every entry lies in its home, a group chosen by the hash, or after it with no vacancy in any group
/// between.
// What a look-up reads lies on one cache line with the lock.
#[repr(C)]
struct Entries<K, V> {
    /// A word for each group, a byte for each slot: 0 if it is vacant, otherwise [`Hashed::tag`].
    /// A power of two, or none at all.
    tags: Vec<u64>,
    /// At most seven in eight are used.
    slots: Vec<Option<(K, V)>>,
    /// [`Hashed::home`] of the entries: for when they are moved, so that no key is hashed again.
    homes: Vec<u32>,
    used: usize,
    /// The next slot to be swept.
    hand: usize,
}

/// The hash of a key. Shard, home and tag each look at bits of their own.
#[derive(Clone, Copy)]
struct Hashed(u64);

impl<K: Hash + Eq, V> KeyedTable<K, V> {
    /// A table for at most `capacity` keys, which has to be 1 to [`MAX_CAPACITY`].
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn new(capacity: usize) -> Self {
        Self::with_hasher(capacity, RandomState::new())
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> KeyedTable<K, V, S> {
    /// A table with a hasher of yours. One without a secret lets whoever chooses the keys make
    /// every look-up slow.
    ///
    /// # Panics
    ///
    /// If `capacity` is not 1 to [`MAX_CAPACITY`].
    pub fn with_hasher(capacity: usize, hasher: S) -> Self {
        assert!((1..=MAX_CAPACITY).contains(&capacity), "capacity of {capacity}: 1 to 2^31");
        // A shard for a small table would only spread it over more cache lines.
        let shards = (capacity / 64).next_power_of_two().clamp(1, MAX_SHARDS);
        let shards = (0..shards).map(|_| Shard(Mutex::new(Entries::new()))).collect();
        Self { shards, hasher, capacity, len: AtomicUsize::new(0), cursor: AtomicUsize::new(0) }
    }

    /// Runs `f` on the value of `key`, under the lock of its shard. A key that is not there is
    /// added with the value of `make`.
    ///
    /// `is_idle` says which entries are as good as none: they may be forgotten when a key is added.
    /// None of the three closures may use the table: it would wait for its own lock. Nor may the
    /// hashing, comparison and cloning of the keys.
    ///
    /// # Errors
    ///
    /// If the key is new, the table is full, and no idle place was found in a bounded search. No entry
    /// in use was forgotten in its favour.
    ///
    /// # Panics
    ///
    /// If a closure does, or the hashing, comparison, cloning or dropping of keys and values; the
    /// table stays usable.
    #[inline]
    pub fn with<Q, R>(
        &self,
        key: &Q,
        make: impl FnOnce() -> V,
        is_idle: impl Fn(&V) -> bool,
        f: impl FnOnce(&mut V) -> R,
    ) -> Result<R, TableFull>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        // Before the locks, so that it is dropped after them.
        let mut forgotten = Vec::new();
        {
            let mut entries = self.shard(hash).lock();
            if let Some(value) = entries.find(hash, key) {
                return Ok(f(value));
            }
            if let Some(place) = self.reserve(&mut entries, &is_idle, &mut forgotten) {
                let value = entries.insert(hash, key.to_owned(), make(), place);
                return Ok(f(value));
            }
        }
        self.sweep_elsewhere(&is_idle, &mut forgotten);
        let mut entries = self.shard(hash).lock();
        // Somebody else may have added the same key since: the lock was released in between.
        if entries.find(hash, key).is_none() {
            let Some(place) = self.reserve(&mut entries, &is_idle, &mut forgotten) else {
                return Err(TableFull { capacity: self.capacity });
            };
            entries.insert(hash, key.to_owned(), make(), place);
        }
        Ok(f(entries.find(hash, key).expect("found or inserted above, under this lock")))
    }

    /// Runs `f` on the value of `key`, if it is there. Nothing is added or forgotten.
    #[inline]
    pub fn look<Q, R>(&self, key: &Q, f: impl FnOnce(Option<&mut V>) -> R) -> R
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        f(self.shard(hash).lock().find(hash, key))
    }

    /// Forgets all idle entries now. Each shard is locked in turn.
    pub fn forget_idle(&self, is_idle: impl Fn(&V) -> bool) {
        for Shard(shard) in &self.shards {
            // Before the lock, so that it is dropped after it.
            let mut forgotten = Vec::new();
            shard.lock().sweep(usize::MAX, &is_idle, &self.len, &mut forgotten);
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        // ORDERING: Relaxed; a number for whoever watches.
        self.len.load(Ordering::Relaxed)
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys there can be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    #[inline]
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> Hashed {
        Hashed(self.hasher.hash_one(key))
    }

    #[inline]
    fn shard(&self, hash: Hashed) -> &Mutex<Entries<K, V>> {
        &self.shards[hash.shard() & (self.shards.len() - 1)].0
    }

    /// Takes a place for a new key, sweeping as it goes.
    fn reserve(
        &self,
        entries: &mut Entries<K, V>,
        is_idle: &impl Fn(&V) -> bool,
        forgotten: &mut Forgotten<K, V>,
    ) -> Option<Place<'_>> {
        entries.sweep(SWEEP, is_idle, &self.len, forgotten);
        // ORDERING: Relaxed; the count bounds the number of entries, it publishes none of them.
        let count = |len: usize| (len < self.capacity).then_some(len + 1);
        let counted = self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        counted.ok().map(|_| Place(&self.len))
    }

    /// Looks for idle entries in one shard after the other, on from where the last search ended:
    /// whoever asks again comes to see all entries. A table that is full of idle entries has a place
    /// at once.
    #[cold]
    fn sweep_elsewhere(&self, is_idle: &impl Fn(&V) -> bool, forgotten: &mut Forgotten<K, V>) {
        let mut budget = SWEEP_WHEN_FULL;
        for _ in 0..self.shards.len() {
            // ORDERING: Relaxed; where to begin is of no consequence.
            let shard = self.cursor.fetch_add(1, Ordering::Relaxed) % self.shards.len();
            let Some(mut entries) = self.shards[shard].0.try_lock() else {
                continue;
            };
            // OK: never looks at more than it may.
            budget -= entries.sweep(budget, is_idle, &self.len, forgotten);
            if budget == 0 || self.len() < self.capacity {
                return;
            }
        }
    }
}

impl Place<'_> {
    fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; see `reserve`.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bits in the middle are all that is kept")]
impl Hashed {
    #[inline]
    fn shard(self) -> usize {
        // OK: truncated on 32-bit targets; a mask of six bits follows.
        (self.0 >> 32) as usize
    }

    /// What its home group is told from: the low half.
    #[inline]
    fn home(self) -> u32 {
        // OK: more groups than that are no table of at most `MAX_CAPACITY`.
        self.0 as u32
    }

    /// Seven bits, and one that says that the slot is used.
    #[inline]
    fn tag(self) -> u8 {
        // OK: the highest eight bits.
        (self.0 >> 56) as u8 | 0x80
    }
}

impl<K: Eq, V> Entries<K, V> {
    const fn new() -> Self {
        Self { tags: Vec::new(), slots: Vec::new(), homes: Vec::new(), used: 0, hand: 0 }
    }

    fn with_groups(groups: usize) -> Self {
        let size = groups * GROUP;
        Self {
            tags: std::vec![0; groups],
            slots: (0..size).map(|_| None).collect(),
            homes: std::vec![0; size],
            used: 0,
            hand: 0,
        }
    }

    /// The group `steps` after `group`, beginning again at the end.
    #[inline]
    fn after(&self, group: usize, steps: usize) -> usize {
        // OK: where there is no group, what comes of it is the index of none.
        group.wrapping_add(steps) & self.tags.len().wrapping_sub(1)
    }

    #[inline]
    fn home(&self, home: u32) -> usize {
        // OK: masked, on targets of any width.
        self.after(home as usize, 0)
    }

    #[inline]
    fn find<Q: Eq + ?Sized>(&mut self, hash: Hashed, wanted: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(hash, wanted)?;
        self.slots[at].as_mut().map(|(_, value)| value)
    }

    #[inline]
    fn position<Q: Eq + ?Sized>(&self, hash: Hashed, wanted: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let mut group = self.home(hash.home());
        // Ends at a group with a vacancy, of which there always are some, or in a table without any
        // group.
        loop {
            let tags = *self.tags.get(group)?;
            let mut lanes = lanes_with(tags, hash.tag());
            while lanes != 0 {
                let at = slot_of(group, lanes);
                if matches!(&self.slots[at], Some((key, _)) if key.borrow() == wanted) {
                    return Some(at);
                }
                lanes &= lanes - 1;
            }
            if !is_full(tags) {
                return None;
            }
            group = self.after(group, 1);
        }
    }

    fn insert(&mut self, hash: Hashed, key: K, value: V, place: Place<'_>) -> &mut V {
        if (self.used + 1) * 8 > self.slots.len() * 7 {
            self.grow();
        }
        let at = self.put(hash.tag(), hash.home(), (key, value));
        place.keep();
        self.slots[at].as_mut().map(|(_, value)| value).expect("just written")
    }

    /// Puts an entry into the first vacancy from its home, of which there is one.
    fn put(&mut self, tag: u8, home: u32, entry: (K, V)) -> usize {
        let mut group = self.home(home);
        while is_full(self.tags[group]) {
            group = self.after(group, 1);
        }
        let at = slot_of(group, !self.tags[group] & USED);
        self.set_tag(at, tag);
        self.homes[at] = home;
        self.slots[at] = Some(entry);
        self.used += 1;
        at
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::with_groups((self.tags.len() * 2).max(1));
        larger.hand = self.hand;
        let slots = core::mem::take(&mut self.slots);
        for (at, entry) in slots.into_iter().enumerate() {
            if let Some(entry) = entry {
                larger.put(self.tag(at), self.homes[at], entry);
            }
        }
        *self = larger;
    }

    /// Removes the entry at `hole`. If its group was full, one that went past moves up, and so on, so
    /// that no vacancy lies between an entry and its home.
    fn remove(&mut self, mut hole: usize) -> Option<(K, V)> {
        let mut group = hole / GROUP;
        while is_full(self.tags[group]) {
            group = self.after(group, 1);
            let went_past = |&at: &usize| {
                let from_home = self.after(group, self.home(self.homes[at]).wrapping_neg());
                let from_hole = self.after(group, (hole / GROUP).wrapping_neg());
                from_home >= from_hole
            };
            let slots = group * GROUP..(group + 1) * GROUP;
            if let Some(at) = slots.filter(|&at| self.tag(at) != 0).find(went_past) {
                self.set_tag(hole, self.tag(at));
                self.homes[hole] = self.homes[at];
                self.slots.swap(hole, at);
                hole = at;
            }
        }
        self.set_tag(hole, 0);
        self.used -= 1;
        self.slots[hole].take()
    }

    fn tag(&self, at: usize) -> u8 {
        self.tags[at / GROUP].to_le_bytes()[at % GROUP]
    }

    fn set_tag(&mut self, at: usize, tag: u8) {
        let tags = &mut self.tags[at / GROUP];
        let mut bytes = tags.to_le_bytes();
        bytes[at % GROUP] = tag;
        *tags = u64::from_le_bytes(bytes);
    }

    /// Looks at the next `most` entries and forgets those that are idle. Where there are few, it
    /// gives up after so many vacancies. Returns how many it has looked at.
    fn sweep(
        &mut self,
        most: usize,
        is_idle: impl Fn(&V) -> bool,
        len: &AtomicUsize,
        forgotten: &mut Forgotten<K, V>,
    ) -> usize {
        let mut looked = 0;
        let mut steps = most.saturating_mul(8).min(self.slots.len());
        while looked < most && steps > 0 {
            if let Some((_, value)) = &self.slots[self.hand] {
                looked += 1;
                if is_idle(value) {
                    forgotten.extend(self.remove(self.hand));
                    // At once: `is_idle` may panic at the next.
                    // ORDERING: Relaxed; see `reserve`.
                    len.fetch_sub(1, Ordering::Relaxed);
                    // Another may have moved up into this slot.
                    continue;
                }
            }
            // OK: a power of two.
            self.hand = (self.hand + 1) & (self.slots.len() - 1);
            steps -= 1;
        }
        looked
    }
}

/// The lanes of a group that have `tag`, the highest bit of each; perhaps also one above such a lane
/// that has another: the keys are compared anyway.
#[inline]
fn lanes_with(tags: u64, tag: u8) -> u64 {
    // "Determine if a word has a zero byte", Anderson, Bit Twiddling Hacks.
    let different = tags ^ (LOWEST * u64::from(tag));
    different.wrapping_sub(LOWEST) & !different & USED
}

/// The slot of the first of some lanes of a group.
#[inline]
fn slot_of(group: usize, lanes: u64) -> usize {
    // OK: at most 7 of 8.
    group * GROUP + (lanes.trailing_zeros() / 8) as usize % GROUP
}

#[inline]
fn is_full(tags: u64) -> bool {
    tags & USED == USED
}

impl<K, V, S> fmt::Debug for KeyedTable<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ORDERING: Relaxed; a number for whoever watches.
        let len = self.len.load(Ordering::Relaxed);
        f.debug_struct("KeyedTable").field("len", &len).field("capacity", &self.capacity).finish()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::redundant_closure_for_method_calls, reason = "`copied` has two meanings")]
    use std::rc::{Rc, Weak};

    use super::*;

    #[test]
    fn never_more_keys_than_the_capacity_and_nobody_is_evicted_for_a_newcomer() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(1_000);
        let mut accepted = Vec::new();
        for key in 0..5_000_u64 {
            if table.with(&key, || 7, |_| false, |_| ()).is_ok() {
                accepted.push(key);
            }
        }
        assert_eq!(accepted, (0..1_000).collect::<Vec<_>>());
        assert!(accepted.iter().all(|key| table.look(key, |value| value.copied()) == Some(7)));
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn a_table_full_of_idle_entries_has_a_place_for_every_new_key() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(777);
        for key in 0..20_000_u64 {
            assert!(table.with(&key, || 0, |_| true, |_| ()).is_ok(), "{key}");
            assert!(table.len() <= 777);
        }
    }

    #[test]
    fn one_idle_entry_among_busy_ones_is_found_by_persistence() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(4_096);
        for key in 0..4_096_u64 {
            table.with(&key, || u32::from(key == 17), |_| false, |_| ()).unwrap();
        }
        // A search ends in the middle of a shard, and the next begins at another.
        // Where a shard's hand stands is chance: the bound is generous, a search that never
        // comes round would exceed any.
        let tries = 20_000;
        let found = (0..tries).any(|_| table.with(&9_999, || 2, |&v| v == 1, |_| ()).is_ok());
        assert!(found);
        assert_eq!(table.look(&17, |value| value.copied()), None);
    }

    #[test]
    fn a_refused_newcomer_looks_at_few_entries_however_large_the_table() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(65_536);
        for key in 0..65_536_u64 {
            table.with(&key, || 0, |_| false, |_| ()).unwrap();
        }
        let looked = core::cell::Cell::new(0);
        let busy = |_: &u32| {
            looked.set(looked.get() + 1);
            false
        };
        for key in 100_000..100_100_u64 {
            looked.set(0);
            assert!(table.with(&key, || 0, busy, |_| ()).is_err());
            assert!(looked.get() <= SWEEP_WHEN_FULL + 2 * SWEEP, "{}", looked.get());
        }
    }

    fn panics(f: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err()
    }

    #[test]
    fn a_value_that_cannot_be_made_takes_no_place() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(2);
        for key in 0..2_u64 {
            assert!(panics(|| {
                let _never = table.with(&key, || panic!("make"), |_| true, |_| ());
            }));
        }
        assert_eq!(table.len(), 0, "nothing is in it");
        assert!(table.with(&9, || 0, |_| true, |_| ()).is_ok());
    }

    #[test]
    fn a_sweep_that_panics_leaves_the_count_right() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(4);
        for key in 0..4_u64 {
            table.with(&key, || 0, |_| false, |_| ()).unwrap();
        }
        let asked = core::cell::Cell::new(0);
        assert!(panics(|| table.forget_idle(|_| {
            asked.set(asked.get() + 1);
            assert!(asked.get() < 4, "is_idle");
            true
        })));
        let there = (0..4_u64).filter(|key| table.look(key, |value| value.is_some())).count();
        assert_eq!((table.len(), there), (1, 1));
    }

    #[test]
    fn what_is_forgotten_is_dropped_with_no_lock_held() {
        struct Looks(Weak<KeyedTable<u64, Self>>);
        impl Drop for Looks {
            fn drop(&mut self) {
                if let Some(table) = self.0.upgrade() {
                    assert!(table.shards.iter().all(|shard| shard.0.try_lock().is_some()));
                }
            }
        }
        let table = Rc::new(KeyedTable::new(2));
        for key in 0..10_u64 {
            let looks = || Looks(Rc::downgrade(&table));
            assert!(table.with(&key, looks, |_| true, |_| ()).is_ok());
        }
        table.forget_idle(|_| true);
        assert!(table.is_empty());
    }

    #[test]
    fn forgotten_slots_are_used_again() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(64);
        for key in 0..10_000_u64 {
            table.with(&key, || 0, |_| true, |_| ()).unwrap();
        }
        let slots: usize = table.shards.iter().map(|shard| shard.0.lock().slots.len()).sum();
        assert!(slots <= 128, "{slots}");
        table.forget_idle(|_| true);
        assert!(table.is_empty());
    }

    #[test]
    fn neither_growing_nor_forgetting_hashes_a_key_again() {
        #[derive(Clone, PartialEq, Eq)]
        struct Counted(u64, Rc<core::cell::Cell<u32>>);
        impl Hash for Counted {
            fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
                self.1.set(self.1.get() + 1);
                self.0.hash(hasher);
            }
        }
        let hashed = Rc::default();
        let table: KeyedTable<Counted, u32> = KeyedTable::new(1_000);
        for key in 0..1_000 {
            let key = Counted(key, Rc::clone(&hashed));
            table.with(&key, || 0, |_| false, |_| ()).unwrap();
        }
        table.forget_idle(|_| true);
        assert_eq!((table.len(), hashed.get()), (0, 1_000));
    }

    #[test]
    fn a_million_hostile_keys_from_four_threads_do_not_outgrow_the_table() {
        let table: KeyedTable<u64, u32> = KeyedTable::new(1_024);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let table = &table;
                scope.spawn(move || {
                    for key in 0..50_000_u64 {
                        let idle = |value: &u32| *value % 3 == 0;
                        let value = u32::try_from(key).unwrap();
                        let _full = table.with(&(key * 4 + thread), || value, idle, |_| ());
                        assert!(table.len() <= 1_024);
                    }
                });
            }
        });
        let used: usize =
            table.shards.iter().map(|shard| shard.0.lock().slots.iter().flatten().count()).sum();
        assert_eq!(used, table.len());
    }
}
