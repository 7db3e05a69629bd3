//! The pure window, and the deduplicators made of it, against a naive oracle: a list of ids with their
//! times, looked through from end to end.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::hash::BuildHasher;
use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{
    Config, Deduplicator, Fingerprint, Fixed, Id, Ids, Line, LocalDeduplicator, Memory, Sighting,
    SipKeys, State, Stats,
};

/// The most that a [`Setup`] may ask for.
pub const MOST: u16 = 400;
/// As the window's documentation says.
const LEAVING: usize = 16;

/// What a window is made of. Any values will do: `fitted` makes them fit.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// 1 to [`MOST`].
    pub capacity: u16,
    /// In nanoseconds.
    pub ttl: Option<u64>,
    /// As in the configuration.
    pub renews: bool,
    /// As in the configuration.
    pub is_wide: bool,
    /// As in the configuration.
    pub is_dense: bool,
    /// What ids look like.
    pub kind: Kind,
    /// Of the hasher, and where numbers begin.
    pub seed: u64,
    /// When it begins, in nanoseconds.
    pub at: u64,
}

/// What the ids look like that are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All bits as good as random.
    Mixed,
    /// All belong into the first line, with one tag.
    OneLine,
    /// All belong into the last line, with many tags.
    LastLine,
    /// All lines, but one tag.
    OneTag,
    /// One after the other.
    Sequential,
    /// They differ in the high half, if the window is wide.
    HighHalf,
    /// Integers, mixed.
    Numbers,
    /// Integers of 128 bits.
    Large,
    /// Texts.
    Words,
}

/// What can happen to a window. An id is a number, and wraps at twice the capacity and some.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// An id.
    Insert(u16),
    /// One of those that are remembered, counted from the oldest.
    Again(u16),
    /// As it says.
    Forget(u16),
    /// One of those that are remembered.
    ForgetKnown(u16),
    /// Whether it is remembered, and since when.
    Look(u16),
    /// So many at once: the first, and each so much more than the one before.
    Batch(u16, u8, u8),
    /// Many, one after the other.
    Run(Run),
    /// As it says.
    Clear,
    /// Another time.
    Time(Move),
}

/// Many ids, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The first.
    pub first: u16,
    /// How much more each is than the one before.
    pub step: u8,
    /// After how many it begins again; 0: never.
    pub of: u16,
    /// How many.
    pub count: u16,
    /// After each of so many, one is forgotten; 0: none is.
    pub every: u8,
    /// Which: counted from the newest.
    pub forget: u8,
    /// How many nanoseconds go by with each.
    pub pace: u8,
}

/// Where time goes.
#[derive(Debug, Clone, Copy)]
pub enum Move {
    /// On, by nanoseconds.
    On(u64),
    /// Back, by nanoseconds.
    Back(u64),
    /// There.
    To(u64),
    /// To when one of those that are remembered is to be forgotten, or so much later.
    Due(u16, i8),
}

impl Setup {
    /// The nearest that can be built.
    fn fitted(mut self) -> Self {
        self.capacity = self.capacity.clamp(1, MOST);
        self.ttl = self.ttl.map(|ttl| ttl.clamp(1, u64::MAX - 1));
        self
    }

    fn config(&self) -> Config {
        let config = Config::new(self.capacity.into()).shards(1);
        let config = config.renew(self.renews).wide(self.is_wide).dense(self.is_dense);
        self.ttl.map_or(config, |ttl| config.ttl(Duration::from_nanos(ttl)))
    }

    /// How many ids there are.
    const fn ids(&self) -> u16 {
        2 * self.capacity + 3
    }

    /// `noise` is what a window that is not wide must not look at.
    fn key(&self, id: u16, noise: u64) -> Key {
        let n = u64::from(id);
        let low = match self.kind {
            Kind::Mixed => self.seed.wrapping_add(n).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            Kind::OneLine => n << 22,
            Kind::LastLine => 0xFFFF_FFFF << 32 | ((n * 0x9E37_79B9) & 0xFFFF_FFFF),
            Kind::OneTag => n.reverse_bits() | 7,
            Kind::Sequential => self.seed.wrapping_add(n),
            Kind::HighHalf if self.is_wide => {
                return Key::Made(Fingerprint { low: self.seed, high: n });
            }
            Kind::HighHalf => n << 32,
            Kind::Numbers => return Key::Number(self.seed.wrapping_add(n)),
            // Different numbers: the lower half is.
            Kind::Large => {
                return Key::Large(u128::from(self.seed.rotate_left(5)) << 64 | u128::from(n));
            }
            Kind::Words => return Key::Word(format!("{}: {n}", self.seed)),
        };
        Key::Made(Fingerprint { low, high: if self.is_wide { low.rotate_left(7) } else { noise } })
    }
}

/// An id as a deduplicator is given it.
#[derive(Debug, Clone)]
enum Key {
    Made(Fingerprint),
    Number(u64),
    Large(u128),
    Word(String),
}

impl Id for Key {
    fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
        match self {
            Self::Made(fingerprint) => fingerprint.fingerprint(ids),
            Self::Number(number) => number.fingerprint(ids),
            Self::Large(number) => number.fingerprint(ids),
            Self::Word(word) => word.fingerprint(ids),
        }
    }
}

/// Does `ops`, one after the other, to the oracle, to windows on the heap, in arrays and in memory of
/// ours, and to the deduplicators of one owner and of many.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(setup: Setup, ops: &[Op]) {
    let mut model = Model::new(setup.fitted());
    for &op in ops {
        model.step(op);
    }
    model.look_at_all();
}

/// What is remembered of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    id: u16,
    /// What its age is counted from.
    time: u64,
    first: u64,
}

/// The plain definition: the ids that are remembered, oldest first.
#[derive(Debug)]
struct Oracle {
    setup: Setup,
    entries: Vec<Entry>,
    latest: u64,
    fresh: u64,
    duplicates: u64,
    /// How many were forgotten because their time was over, whether or not a window has come upon them.
    over: u64,
    evicted: u64,
    forgotten: u64,
    /// How many steps a window has had to come upon all of them.
    steps: usize,
}

impl Oracle {
    const fn new(setup: Setup) -> Self {
        Self {
            setup,
            entries: Vec::new(),
            latest: 0,
            fresh: 0,
            duplicates: 0,
            over: 0,
            evicted: 0,
            forgotten: 0,
            steps: 0,
        }
    }

    /// A clock that steps back counts as the latest, and the end of time as what is before it.
    fn count(&self, now: u64) -> u64 {
        now.min(u64::MAX - 1).max(self.latest)
    }

    /// Those that are remembered at a time.
    fn living(&self, now: u64) -> impl Iterator<Item = &Entry> {
        let (now, ttl) = (self.count(now), self.setup.ttl);
        self.entries.iter().filter(move |entry| ttl.is_none_or(|ttl| now - entry.time < ttl))
    }

    fn first_seen(&self, id: u16, now: u64) -> Option<u64> {
        self.living(now).find(|entry| entry.id == id).map(|entry| entry.first)
    }

    fn observe(&mut self, now: u64) {
        self.latest = self.count(now);
        let (before, living) = (self.entries.len(), self.living(now).count());
        self.steps = if living == before { self.steps + 1 } else { 1 };
        self.over += (before - living) as u64;
        // No entry is older than those before it.
        self.entries.drain(..before - living);
    }

    fn take(&mut self, id: u16) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        Some(self.entries.remove(at))
    }

    /// When it was first seen, if it is remembered.
    fn insert(&mut self, id: u16, now: u64) -> Option<u64> {
        self.observe(now);
        let time = self.latest;
        if let Some(first) = self.first_seen(id, time) {
            self.duplicates += 1;
            if self.setup.renews {
                self.take(id);
                self.entries.push(Entry { id, time, first });
            }
            return Some(first);
        }
        self.fresh += 1;
        if self.entries.len() == usize::from(self.setup.capacity) {
            self.entries.remove(0);
            self.evicted += 1;
        }
        self.entries.push(Entry { id, time, first: time });
        None
    }

    fn forget(&mut self, id: u16, now: u64) -> bool {
        self.observe(now);
        let was_there = self.take(id).is_some();
        self.forgotten += u64::from(was_there);
        was_there
    }
}

/// What is compared with the oracle.
trait Window {
    fn insert(&mut self, id: &Key, now: Instant) -> Sighting;
    fn insert_all(&mut self, ids: &[Key], now: Instant) -> Vec<Sighting>;
    fn first_seen(&self, id: &Key, now: Instant) -> Option<Instant>;
    fn contains(&self, id: &Key, now: Instant) -> bool;
    fn forget(&mut self, id: &Key, now: Instant) -> bool;
    fn clear(&mut self);
    fn len(&self, now: Instant) -> usize;
    fn is_empty(&self, now: Instant) -> bool;
    fn stats(&self) -> Stats;
}

/// The pure machine, with what makes fingerprints.
struct Machine<M> {
    ids: Ids,
    state: State<M>,
    /// Whether batches are inserted one by one.
    is_single: bool,
}

impl<M: Memory> Window for Machine<M> {
    fn insert(&mut self, id: &Key, now: Instant) -> Sighting {
        self.state.insert(id.fingerprint(&self.ids), now)
    }

    fn insert_all(&mut self, ids: &[Key], now: Instant) -> Vec<Sighting> {
        if self.is_single {
            return ids.iter().map(|id| self.insert(id, now)).collect();
        }
        let ids: Vec<_> = ids.iter().map(|id| id.fingerprint(&self.ids)).collect();
        let mut answers = Vec::new();
        self.state.insert_all(&ids, now, |answer| answers.push(answer));
        answers
    }

    fn first_seen(&self, id: &Key, now: Instant) -> Option<Instant> {
        self.state.first_seen(id.fingerprint(&self.ids), now)
    }

    fn contains(&self, id: &Key, now: Instant) -> bool {
        self.first_seen(id, now).is_some()
    }

    fn forget(&mut self, id: &Key, now: Instant) -> bool {
        self.state.forget(id.fingerprint(&self.ids), now)
    }

    fn clear(&mut self) {
        self.state.clear();
    }

    fn len(&self, now: Instant) -> usize {
        self.state.len(now)
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.state.is_empty(now)
    }

    fn stats(&self) -> Stats {
        self.state.stats()
    }
}

impl<M: Memory> Window for LocalDeduplicator<SipKeys, M> {
    fn insert(&mut self, id: &Key, now: Instant) -> Sighting {
        self.insert(id, now)
    }

    fn insert_all(&mut self, ids: &[Key], now: Instant) -> Vec<Sighting> {
        let mut answers = Vec::new();
        self.insert_all(ids, now, |answer| answers.push(answer));
        answers
    }

    fn first_seen(&self, id: &Key, now: Instant) -> Option<Instant> {
        self.first_seen(id, now)
    }

    fn contains(&self, id: &Key, now: Instant) -> bool {
        self.contains(id, now)
    }

    fn forget(&mut self, id: &Key, now: Instant) -> bool {
        self.forget(id, now)
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn len(&self, now: Instant) -> usize {
        self.len(now)
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.is_empty(now)
    }

    fn stats(&self) -> Stats {
        self.stats()
    }
}

impl Window for Deduplicator<ManualClock> {
    fn insert(&mut self, id: &Key, now: Instant) -> Sighting {
        self.insert_at(id, now)
    }

    fn insert_all(&mut self, ids: &[Key], now: Instant) -> Vec<Sighting> {
        self.insert_all_at(ids, now)
    }

    fn first_seen(&self, id: &Key, now: Instant) -> Option<Instant> {
        self.first_seen_at(id, now)
    }

    fn contains(&self, id: &Key, now: Instant) -> bool {
        self.contains_at(id, now)
    }

    fn forget(&mut self, id: &Key, now: Instant) -> bool {
        self.forget_at(id, now)
    }

    fn clear(&mut self) {
        Self::clear(self);
    }

    fn len(&self, now: Instant) -> usize {
        self.len_at(now)
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.len_at(now) == 0
    }

    fn stats(&self) -> Stats {
        Self::stats(self)
    }
}

/// Memory of ours, with something in it.
struct Own {
    lines: Vec<Line>,
    words: Vec<u64>,
}

impl Own {
    fn new(config: &Config) -> Self {
        let line = Fixed::<1, 0>::new().lines()[0];
        let word = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { lines: vec![line; config.lines()], words: (0..config.words()).map(word).collect() }
    }
}

impl Memory for Own {
    fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    fn words(&self) -> &[u64] {
        &self.words
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// The window in arrays, for those setups whose arrays are written here.
fn fixed(setup: &Setup) -> Option<Box<dyn Window>> {
    macro_rules! among {
        ($([$capacity:literal, $renews:literal, $is_wide:literal, $is_dense:literal],)*) => {
            match (setup.capacity, setup.renews, setup.is_wide, setup.is_dense) {
                $(($capacity, $renews, $is_wide, $is_dense) => {
                    const CONFIG: Config =
                        Config::new($capacity).renew($renews).wide($is_wide).dense($is_dense);
                    type Arrays = Fixed<{ CONFIG.lines() }, { CONFIG.words() }>;
                    let ids = Ids::new(SipKeys::from_seed(setup.seed), setup.is_wide);
                    let state = setup.config().state_in(Arrays::new()).unwrap();
                    Some(Box::new(Machine { ids, state, is_single: true }))
                })*
                _ => None,
            }
        };
    }
    among! {
        [1, false, false, false],
        [1, true, false, true],
        [2, false, true, false],
        [2, true, false, false],
        [3, true, true, false],
        [8, false, false, false],
        [8, true, true, true],
        [15, false, false, true],
        [15, true, false, false],
    }
}

struct Model {
    oracle: Oracle,
    windows: Vec<Box<dyn Window>>,
    now: u64,
    /// Different at each step.
    noise: u64,
    /// How many positions a window has.
    places: usize,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let config = setup.config();
        let keys = SipKeys::from_seed(setup.seed);
        let ids = Ids::new(keys, setup.is_wide);
        let heap = Machine { ids: ids.clone(), state: config.state().unwrap(), is_single: true };
        let state = config.state_in(Own::new(&config)).unwrap();
        let own = Machine { ids, state, is_single: false };
        let local = config.local_with(keys).unwrap();
        let shared = config.build_with(ManualClock::new(), keys).unwrap();
        assert_eq!(local.capacity(), setup.capacity.into());
        let mut windows: Vec<Box<dyn Window>> =
            vec![Box::new(heap), Box::new(own), Box::new(local), Box::new(shared)];
        windows.extend(fixed(&setup));
        let stride = 2 + usize::from(setup.is_wide) + usize::from(setup.renews);
        let places = config.words() / stride;
        Self { oracle: Oracle::new(setup), windows, now: setup.at, noise: 0, places }
    }

    fn key(&self, id: u16) -> Key {
        self.oracle.setup.key(id, self.noise)
    }

    const fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn step(&mut self, op: Op) {
        let ids = self.oracle.setup.ids();
        match op {
            Op::Insert(id) => self.insert(id % ids),
            Op::Again(index) => {
                if let Some(entry) = self.known(index) {
                    self.insert(entry.id);
                }
            }
            Op::Forget(id) => self.forget(id % ids),
            Op::ForgetKnown(index) => {
                if let Some(entry) = self.known(index) {
                    self.forget(entry.id);
                }
            }
            Op::Look(id) => self.look(id % ids),
            Op::Batch(first, step, count) => self.batch(first, step, count),
            Op::Run(run) => self.run(run),
            Op::Clear => self.clear(),
            Op::Time(to) => self.go(to),
        }
        self.compare();
    }

    fn known(&self, index: u16) -> Option<Entry> {
        let entries = &self.oracle.entries;
        (!entries.is_empty()).then(|| entries[usize::from(index) % entries.len()])
    }

    fn go(&mut self, to: Move) {
        self.now = match to {
            Move::On(by) => self.now.saturating_add(by),
            Move::Back(by) => self.now.saturating_sub(by),
            Move::To(time) => time,
            Move::Due(index, by) => match (self.known(index), self.oracle.setup.ttl) {
                (Some(entry), Some(ttl)) => {
                    entry.time.saturating_add(ttl).saturating_add_signed(by.into())
                }
                _ => self.now,
            },
        }
    }

    fn insert(&mut self, id: u16) {
        self.noise += 1;
        let (key, now) = (self.key(id), self.instant());
        let expected = sighting(self.oracle.insert(id, self.now));
        for (index, window) in self.windows.iter_mut().enumerate() {
            assert_eq!(window.insert(&key, now), expected, "window {index}, id {id} at {now:?}");
        }
    }

    fn batch(&mut self, first: u16, step: u8, count: u8) {
        self.noise += 1;
        let ids = (0..u16::from(count)).map(|n| self.nth(first, step, n));
        let ids: Vec<_> = ids.collect();
        let keys: Vec<_> = ids.iter().map(|&id| self.key(id)).collect();
        let expected = ids.iter().map(|&id| sighting(self.oracle.insert(id, self.now)));
        let (expected, now) = (expected.collect::<Vec<_>>(), self.instant());
        for (index, window) in self.windows.iter_mut().enumerate() {
            let answers = window.insert_all(&keys, now);
            assert_eq!(answers, expected, "window {index}, ids {ids:?} at {now:?}");
        }
    }

    fn run(&mut self, run: Run) {
        for n in 0..run.count {
            self.insert(self.nth(run.first, run.step, n.checked_rem(run.of).unwrap_or(n)));
            if run.every > 0 && n % u16::from(run.every) == 0 {
                let back = usize::from(run.forget) + 1;
                if let Some(at) = self.oracle.entries.len().checked_sub(back) {
                    self.forget(self.oracle.entries[at].id);
                }
            }
            self.now = self.now.saturating_add(run.pace.into());
            if n % 8 == 0 {
                self.compare();
            }
        }
    }

    /// The id of a sequence.
    fn nth(&self, first: u16, step: u8, n: u16) -> u16 {
        let id = u32::from(first) + u32::from(n) * u32::from(step);
        u16::try_from(id % u32::from(self.oracle.setup.ids())).unwrap()
    }

    fn forget(&mut self, id: u16) {
        self.noise += 1;
        let (key, now) = (self.key(id), self.instant());
        let expected = self.oracle.forget(id, self.now);
        for (index, window) in self.windows.iter_mut().enumerate() {
            assert_eq!(window.forget(&key, now), expected, "window {index}, id {id} at {now:?}");
        }
    }

    fn clear(&mut self) {
        self.windows.iter_mut().for_each(|window| window.clear());
        self.oracle.entries.clear();
        // What a window has not come upon goes uncounted.
        self.oracle.over = self.windows[0].stats().expired;
    }

    fn look(&self, id: u16) {
        let (key, now) = (self.key(id), self.instant());
        let expected = self.oracle.first_seen(id, self.now).map(Instant::from_nanos);
        for (index, window) in self.windows.iter().enumerate() {
            let first_seen = window.first_seen(&key, now);
            assert_eq!(first_seen, expected, "window {index}, id {id} at {now:?}");
            assert_eq!(window.contains(&key, now), expected.is_some());
        }
    }

    fn look_at_all(&self) {
        (0..self.oracle.setup.ids()).for_each(|id| self.look(id));
    }

    /// What can be asked at any time.
    fn compare(&self) {
        let Oracle { fresh, duplicates, over, evicted, forgotten, steps, .. } = self.oracle;
        let now = self.instant();
        let len = self.oracle.living(self.now).count();
        // It is counted when a window comes upon it, which is never too early; and each step lets some
        // positions leave, ids and holes. That none is evicted while others are over, `evicted` says.
        let expired = self.windows[0].stats().expired;
        assert!(expired <= over, "{expired} expired, not {over}");
        if steps * LEAVING >= self.places {
            assert_eq!(expired, over, "after {steps} steps");
        }
        let expected = Stats { fresh, duplicates, expired, evicted, forgotten };
        for (index, window) in self.windows.iter().enumerate() {
            assert_eq!(window.stats(), expected, "window {index} at {now:?}");
            assert_eq!(window.len(now), len, "window {index} at {now:?}");
            assert_eq!(window.is_empty(now), len == 0);
        }
        self.look(u16::try_from(self.noise % u64::from(self.oracle.setup.ids())).unwrap());
    }
}

fn sighting(first_seen: Option<u64>) -> Sighting {
    first_seen.map_or(Sighting::Fresh, |first_seen| Sighting::Duplicate {
        first_seen: Instant::from_nanos(first_seen),
    })
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{any_size, effort};

    use super::*;

    const KINDS: [Kind; 9] = [
        Kind::Mixed,
        Kind::OneLine,
        Kind::LastLine,
        Kind::OneTag,
        Kind::Sequential,
        Kind::HighHalf,
        Kind::Numbers,
        Kind::Large,
        Kind::Words,
    ];

    /// Any number, as likely small as large, and near the end of all numbers.
    fn sizes() -> impl Strategy<Value = u64> {
        prop_oneof![
            3 => any_size(64),
            1 => (0..9_u64).prop_map(|n| u64::MAX - n),
            1 => 0..3_u64,
        ]
    }

    /// Every small number, those about full lines, and some others.
    fn capacities() -> impl Strategy<Value = u16> {
        let lines = [11_u16, 12, 14, 15, 16, 17, 22, 23, 30, 31, 32, 33, 64];
        prop_oneof![4 => 1..=9_u16, 2 => prop::sample::select(lines.to_vec()), 1 => 1..=130_u16]
    }

    /// Mostly so that some are over when others come.
    fn lengths() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 1..60_u64, 1 => Just(1), 1 => 1..1_000_u64, 1 => sizes()]
    }

    fn setups() -> impl Strategy<Value = Setup> {
        let kinds = prop::sample::select(KINDS.to_vec());
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let ttls = prop::option::weighted(0.7, lengths());
        (capacities(), ttls, flags, kinds, sizes(), sizes()).prop_map(
            |(capacity, ttl, (renews, is_wide, is_dense), kind, seed, at)| Setup {
                capacity,
                ttl,
                renews,
                is_wide,
                is_dense,
                kind,
                seed,
                at,
            },
        )
    }

    fn moves() -> impl Strategy<Value = Move> {
        prop_oneof![
            6 => (1..40_u64).prop_map(Move::On),
            2 => sizes().prop_map(Move::On),
            3 => (1..40_u64).prop_map(Move::Back),
            1 => sizes().prop_map(Move::Back),
            1 => sizes().prop_map(Move::To),
            6 => (any::<u16>(), -1..=1_i8).prop_map(|(index, by)| Move::Due(index, by)),
        ]
    }

    /// Long enough for stamps of small windows to come round: there are 64 of them or more.
    fn runs() -> impl Strategy<Value = Run> {
        let ids = (any::<u16>(), 0..4_u8, 0..12_u16, 1..300_u16);
        (ids, 0..4_u8, 0..8_u8, prop_oneof![2 => Just(0), 1 => 0..4_u8]).prop_map(
            |((first, step, of, count), every, forget, pace)| Run {
                first,
                step,
                of,
                count,
                every,
                forget,
                pace,
            },
        )
    }

    fn ops() -> impl Strategy<Value = Op> {
        prop_oneof![
            12 => any::<u16>().prop_map(Op::Insert),
            6 => any::<u16>().prop_map(Op::Again),
            2 => any::<u16>().prop_map(Op::Forget),
            5 => any::<u16>().prop_map(Op::ForgetKnown),
            2 => any::<u16>().prop_map(Op::Look),
            4 => (any::<u16>(), 0..4_u8, 0..70_u8)
                .prop_map(|(first, step, count)| Op::Batch(first, step, count)),
            1 => Just(Op::Clear),
            8 => moves().prop_map(Op::Time),
        ]
    }

    /// Many that come, some that are forgotten, and little else.
    fn busy() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => runs().prop_map(Op::Run),
            3 => any::<u16>().prop_map(Op::ForgetKnown),
            1 => moves().prop_map(Op::Time),
        ]
    }

    /// So many of four parts of the usual number of cases.
    fn quarters(parts: u32) -> ProptestConfig {
        let config = effort(parts);
        ProptestConfig { cases: config.cases.div_ceil(4), ..config }
    }

    /// Old ids, positions of others that were forgotten, and new ids: holes are pushed out. Then the old
    /// ones are forgotten, at some moment of that, and what was to be looked at leaves.
    #[test]
    fn holes_are_pushed_out_whoever_leaves_meanwhile() {
        let plain = Run { first: 0, step: 1, of: 0, count: 0, every: 0, forget: 0, pace: 0 };
        for (capacity, old) in [(2, 1), (4, 1), (4, 3), (5, 2), (8, 1), (8, 3), (12, 6)] {
            let setup = Setup {
                capacity,
                ttl: None,
                renews: false,
                is_wide: false,
                is_dense: false,
                kind: Kind::Mixed,
                seed: 1,
                at: 0,
            };
            for holes in 0..24 {
                let few = Run { count: old, ..plain };
                let forgotten = Run { first: old, step: 0, count: holes, every: 1, ..plain };
                let others = Run { first: old, count: capacity - old, ..plain };
                let first = [few, forgotten, others].map(Op::Run);
                let forget = (0..old).map(|_| Op::ForgetKnown(0));
                let new = Op::Run(Run { first: capacity, count: 40, ..plain });
                run(setup, &first.into_iter().chain(forget).chain([new]).collect::<Vec<_>>());
            }
        }
    }

    proptest! {
        #![proptest_config(quarters(4))]

        #[test]
        fn windows_do_what_the_oracle_says(
            setup in setups(),
            ops in prop::collection::vec(ops(), 1..120),
        ) {
            run(setup, &ops);
        }
    }

    proptest! {
        #![proptest_config(quarters(2))]

        #[test]
        fn so_they_do_in_the_long_run(
            setup in setups(),
            ops in prop::collection::vec(busy(), 1..16),
        ) {
            run(setup, &ops);
        }
    }
}
