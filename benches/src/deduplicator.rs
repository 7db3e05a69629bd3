//! The cases of the deduplicator.
//!
//! A window of a million 64-bit ids, one minute; nine ids in ten are new, and the tenth is one of the last
//! 900,000. A call inserts 1,000 ids, and all numbers are for one of them. Everybody gets the same four million
//! ids, over and over: when they come round, they are long out of the window. Everybody has seen them twice
//! before it is measured.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steadfast_core::{Clock, CoarseClock, Instant, SystemClock};
use steadfast_deduplicator::{Config, Deduplicator, LocalDeduplicator, SipKeys};

use crate::cases::{Case, now};

/// Ids in the window.
const IDS: usize = 1_000_000;
/// Ids a call.
const SIZE: usize = 1_000;
const BATCH: usize = 64;
const TTL: Duration = Duration::from_secs(60);

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    one(&mut cases);
    two(&mut cases);
    cases
}

/// The ids, not in any order.
pub fn ids() -> &'static [u64] {
    ids_for(IDS)
}

/// A list for a window of so many: four times as many ids. Made once for all cases.
fn ids_for(window: usize) -> &'static [u64] {
    static LISTS: Mutex<BTreeMap<usize, &'static [u64]>> = Mutex::new(BTreeMap::new());
    LISTS.lock().entry(window).or_insert_with(|| {
        let (mut state, mut counter) = (0x9E37_79B9_7F4A_7C15_u64, 0_i64);
        let most = i64::try_from(window).expect("less than 2^63") / 10 * 9;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let back = i64::from((state >> 32) as u32);
            if state % 10 == 0 {
                return counter - back % most;
            }
            counter += 1;
            counter
        };
        // In whole calls.
        let all = (4 * window).next_multiple_of(SIZE);
        let numbers: Vec<i64> = std::iter::repeat_with(next).take(all).collect();
        // Below 1 are those at the end of the round before.
        let in_round = |number: i64| if number < 1 { number + counter } else { number };
        let ids = numbers.into_iter().map(in_round);
        Vec::leak(ids.map(|id| mixed(u64::try_from(id).expect("from 1"))).collect())
    })
}

fn mixed(id: u64) -> u64 {
    let id = (id ^ id >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    id ^ id >> 27
}

fn inserted<T: 'static>(
    name: &'static str,
    new: impl Fn() -> T + 'static,
    insert: impl Fn(&mut T, &[u64]) -> u64 + Copy + 'static,
) -> Case {
    inserted_into(IDS, name, new, insert)
}

/// A window of so many.
fn inserted_into<T: 'static>(
    window: usize,
    name: &'static str,
    new: impl Fn() -> T + 'static,
    insert: impl Fn(&mut T, &[u64]) -> u64 + Copy + 'static,
) -> Case {
    Case::batch("dedup", name, SIZE as u64, move || {
        let ids = ids_for(window);
        let mut contender = new();
        for _ in 0..2 {
            ids.chunks(SIZE).for_each(|ids| _ = insert(&mut contender, ids));
        }
        let mut calls = ids.chunks(SIZE).cycle();
        move || {
            let ids = calls.next().expect("without an end");
            black_box(insert(black_box(&mut contender), black_box(ids)));
        }
    })
    .with_table()
}

/// One thread, and a window of so many ids.
pub fn inserted_of(window: usize) -> Vec<Case> {
    vec![by_hand(window), time_given(window), by_the_owner(window)]
}

fn by_hand(window: usize) -> Case {
    inserted_into(
        window,
        "Mutex<HashSet + VecDeque>",
        move || Mutex::new(ByHand::of(window)),
        |set, ids| each(ids, |id| set.lock().insert(id)),
    )
}

fn time_given(window: usize) -> Case {
    inserted_into(
        window,
        "steadfast, time given",
        move || shared_of(window),
        |seen, ids| insert_at(seen, ids),
    )
}

fn by_the_owner(window: usize) -> Case {
    inserted_into(
        window,
        "steadfast, owner",
        move || config_of(window).local().expect("a window"),
        |seen, ids| each(ids, |id| seen.insert(&id, Instant::ZERO).is_fresh()),
    )
}

/// So many threads, and a window of a million.
pub fn inserted_by(threads: usize) -> Vec<Case> {
    vec![by_hand_together(threads), time_given_together(threads)]
}

fn by_hand_together(threads: usize) -> Case {
    together(
        threads,
        "Mutex<HashSet + VecDeque>",
        || Mutex::new(ByHand::of(IDS)),
        |set, ids| each(ids, |id| set.lock().insert(id)),
    )
}

fn time_given_together(threads: usize) -> Case {
    together(threads, "steadfast, time given", shared, insert_at)
}

/// The caller looks at the clock, once.
fn insert_at(seen: &Deduplicator, ids: &[u64]) -> u64 {
    let now = CoarseClock.now();
    each(ids, |id| seen.insert_at(&id, now).is_fresh())
}

/// One by one, and how many were fresh.
fn each(ids: &[u64], mut is_fresh: impl FnMut(u64) -> bool) -> u64 {
    ids.iter().map(|&id| u64::from(is_fresh(id))).sum()
}

/// What one writes by hand.
#[derive(Debug)]
pub struct ByHand {
    capacity: usize,
    set: HashSet<u64, foldhash::fast::RandomState>,
    order: VecDeque<(u64, std::time::Instant)>,
}

impl ByHand {
    /// An empty one of so many ids.
    pub fn of(capacity: usize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        Self {
            capacity,
            set: HashSet::with_capacity_and_hasher(capacity + 1, hasher),
            order: VecDeque::with_capacity(capacity + 1),
        }
    }

    /// Whether an id is new.
    pub fn insert(&mut self, id: u64) -> bool {
        let now = now();
        while let Some(&(_, time)) = self.order.front() {
            if now.duration_since(time) < TTL {
                break;
            }
            self.forget_oldest();
        }
        let is_fresh = self.set.insert(id);
        if is_fresh {
            self.order.push_back((id, now));
            if self.order.len() > self.capacity {
                self.forget_oldest();
            }
        }
        is_fresh
    }

    fn forget_oldest(&mut self) {
        if let Some((oldest, _)) = self.order.pop_front() {
            self.set.remove(&oldest);
        }
    }
}

/// As many cache lines as the index has, of which each id reads and writes one.
struct Lines(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Lines {
    fn new() -> Self {
        Self(vec![Line([1; 8]); IDS.div_ceil(7)])
    }

    fn home(&self, id: u64) -> usize {
        let hash = u128::from(id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        usize::try_from((hash * self.0.len() as u128) >> 64).expect("less than the lines")
    }

    fn touch(&mut self, id: u64) -> bool {
        let home = self.home(id);
        let line = &mut self.0[home].0;
        line[0] = line[0].wrapping_add(id);
        line[0] % 2 == 0
    }
}

/// The same lines, and a ring of as many places as ours, of two words each. Nothing is looked for: a new id writes
/// into its line and the next place; a tenth of the ids reads its line and one place or another instead.
struct LinesAndRing {
    lines: Lines,
    ring: Vec<[u64; 2]>,
    next: usize,
}

impl LinesAndRing {
    fn new() -> Self {
        Self { lines: Lines::new(), ring: vec![[1; 2]; IDS / 4 * 5], next: 0 }
    }

    /// The lines of all of them first, so that they are on their way together.
    fn touch_all(&mut self, ids: &[u64]) -> u64 {
        let mut homes = [0; BATCH];
        for (home, &id) in homes.iter_mut().zip(ids) {
            *home = self.lines.home(id);
        }
        let touched = homes[..ids.len()].iter().map(|&home| self.lines.0[home].0[0]);
        black_box(touched.fold(0, |all, word| all ^ word));
        ids.iter().zip(homes).map(|(&id, home)| u64::from(self.touch(id, home))).sum()
    }

    fn touch(&mut self, id: u64, home: usize) -> bool {
        let line = &mut self.lines.0[home].0;
        if line[0] != 0 && id % 10 == 0 {
            let place = usize::try_from(id >> 32).expect("32 bits") % self.ring.len();
            return self.ring[place][0] == id;
        }
        line[1] = id;
        self.ring[self.next] = [id, 1];
        self.next = if self.next + 1 == self.ring.len() { 0 } else { self.next + 1 };
        true
    }
}

/// What it takes to look an id up and write it down, and nothing else: lines of fifteen entries and a ring like
/// ours, numbers that are mixed like ours. There is no time, no count and no window: what is overwritten is
/// forgotten.
struct Index {
    keys: [u64; 2],
    lines: Vec<IndexLine>,
    ring: Vec<[u64; 2]>,
    next: u32,
}

/// Fifteen entries, each of a place in the ring above a tag, and which of them is to be overwritten next.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct IndexLine([u32; 16]);

impl Index {
    const TAG_BITS: u32 = 11;
    const TAGS: u32 = (1 << Self::TAG_BITS) - 1;

    fn new() -> Self {
        Self {
            keys: black_box([0x2545_F491_4F6C_DD1D, 0x5851_F42D_4C95_7F2D]),
            lines: vec![IndexLine([0; 16]); IDS.div_ceil(7)],
            ring: vec![[0; 2]; IDS],
            next: 0,
        }
    }

    fn mix(&self, id: u64) -> u64 {
        let [a, b] = self.keys;
        let x = (id ^ a).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let x = ((x ^ x >> 32) ^ b).wrapping_mul(b | 1);
        let x = (x ^ x >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^ x >> 32
    }

    #[inline]
    fn insert(&mut self, id: u64) -> bool {
        let id = self.mix(id);
        self.insert_mixed(id)
    }

    /// The lines of all of them first, so that they are on their way together.
    fn insert_all(&mut self, ids: &[u64]) -> u64 {
        let mut mixed = [0; BATCH];
        for (mixed, &id) in mixed.iter_mut().zip(ids) {
            *mixed = self.mix(id);
        }
        let mixed = &mixed[..ids.len()];
        let touched = mixed.iter().map(|&id| self.lines[self.home(id)].0[0]);
        black_box(touched.fold(0, |all, entry| all ^ entry));
        mixed.iter().map(|&id| u64::from(self.insert_mixed(id))).sum()
    }

    fn home(&self, id: u64) -> usize {
        let home = ((id >> 32) * self.lines.len() as u64) >> 32;
        usize::try_from(home).expect("less than the lines")
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the tag")]
    fn insert_mixed(&mut self, id: u64) -> bool {
        let home = self.home(id);
        let tag = id as u32 & Self::TAGS;
        let IndexLine(line) = &mut self.lines[home];
        let mut any = [0; 4];
        for four in line.chunks_exact(4) {
            for (any, &entry) in any.iter_mut().zip(four) {
                *any |= u32::from(entry & Self::TAGS == tag);
            }
        }
        if any[0] | any[1] | any[2] | any[3] != 0 {
            let tagged = line[..15].iter().filter(|&entry| entry & Self::TAGS == tag);
            let mut places = tagged.map(|entry| (entry >> Self::TAG_BITS) as usize);
            if places.any(|place| self.ring[place][0] == id) {
                return false;
            }
        }
        let lane = line[15];
        line[lane as usize] = self.next << Self::TAG_BITS | tag;
        line[15] = if lane == 14 { 0 } else { lane + 1 };
        self.ring[self.next as usize] = [id, 1];
        self.next = if self.next as usize + 1 == self.ring.len() { 0 } else { self.next + 1 };
        true
    }
}

fn config() -> Config {
    config_of(IDS)
}

fn config_of(window: usize) -> Config {
    Config::new(window).ttl(TTL)
}

fn shared() -> Deduplicator {
    shared_of(IDS)
}

fn shared_of(window: usize) -> Deduplicator {
    config_of(window).build().expect("a window")
}

fn one(cases: &mut Vec<Case>) {
    cases.push(by_hand(IDS));
    cases.push(inserted("REF: a line, owner", Lines::new, |lines, ids| {
        each(ids, |id| lines.touch(id))
    }));
    cases.push(inserted(
        "REF: a line and the ring, owner, batches of 64",
        LinesAndRing::new,
        |both, ids| ids.chunks(BATCH).map(|ids| both.touch_all(ids)).sum(),
    ));
    cases.push(inserted(
        "REF: a line, under a lock",
        || Mutex::new(Lines::new()),
        |lines, ids| each(ids, |id| lines.lock().touch(id)),
    ));
    cases.push(inserted(
        "REF: a line and the OS clock, under a lock",
        || Mutex::new(Lines::new()),
        |lines, ids| {
            each(ids, |id| black_box(now()) > black_box(now_zero()) && lines.lock().touch(id))
        },
    ));
    cases.push(inserted("REF: an index, owner", Index::new, |index, ids| {
        each(ids, |id| index.insert(id))
    }));
    cases.push(inserted("REF: an index, owner, batches of 64", Index::new, |index, ids| {
        ids.chunks(BATCH).map(|ids| index.insert_all(ids)).sum()
    }));
    cases.push(inserted(
        "REF: an index, under a lock",
        || Mutex::new(Index::new()),
        |index, ids| each(ids, |id| index.lock().insert(id)),
    ));
    cases.push(time_given(IDS));
    cases.push(inserted("steadfast, coarse clock", shared, |seen, ids| {
        each(ids, |id| seen.insert(&id).is_fresh())
    }));
    cases.push(inserted(
        "steadfast, precise clock",
        || config().build_with(SystemClock, SipKeys::new()).expect("a window"),
        |seen: &mut Deduplicator<SystemClock>, ids| each(ids, |id| seen.insert(&id).is_fresh()),
    ));
    cases.push(inserted("steadfast, batches of 64", shared, |seen, ids| {
        let batches = ids.chunks(BATCH).map(|ids| seen.insert_all(ids));
        batches.flatten().map(|answer| u64::from(answer.is_fresh())).sum()
    }));
    cases.push(by_the_owner(IDS));
    cases.push(inserted("steadfast, owner, batches of 64", local, |seen, ids| {
        let mut fresh = 0;
        for ids in ids.chunks(BATCH) {
            seen.insert_all(ids, Instant::ZERO, |answer| fresh += u64::from(answer.is_fresh()));
        }
        fresh
    }));
    cases.push(inserted(
        "steadfast, owner, dense",
        || config().dense(true).local().expect("a window"),
        |seen, ids| each(ids, |id| seen.insert(&id, Instant::ZERO).is_fresh()),
    ));
    cases.push(inserted("Mutex<lru>", lru, |cache, ids| {
        each(ids, |id| cache.lock().put(id, now()).is_none())
    }));
    cases.push(inserted("quick_cache", quick_cache, |cache, ids| {
        each(ids, |id| quick_insert(cache, id))
    }));
    cases.push(inserted("moka", moka, |cache, ids| {
        each(ids, |id| cache.entry(id).or_insert(()).is_fresh())
    }));
}

/// What times in a loop do not say: whose answers are right, and how slow the slowest are. In
/// Markdown.
pub fn answers() -> String {
    let mut text = "| | repeats caught, % |\n|---|--:|\n".to_owned();
    for (name, share) in caught() {
        let _ = writeln!(text, "| {name} | {share:.1} |");
    }
    text.push_str(
        "\n| ns, with two readings of the clock around it | median | 99.99 % | slowest |\n|---|--:|--:|--:|\n",
    );
    let lines = Mutex::new(Lines::new());
    let hand = Mutex::new(ByHand::of(IDS));
    let ours = shared();
    let contenders: [(&str, &dyn Fn(u64)); 4] = [
        ("REF: the clock alone", &|id| _ = black_box(id)),
        ("REF: a line, under a lock", &|id| _ = black_box(lines.lock().touch(id))),
        ("Mutex<HashSet + VecDeque>", &|id| _ = black_box(hand.lock().insert(id))),
        ("steadfast", &|id| _ = black_box(ours.insert(&id))),
    ];
    for (name, operation) in contenders {
        let [median, late, most] = slowest(operation);
        let _ = writeln!(text, "| {name} | {median} | {late} | {most} |");
    }
    text
}

/// How many of the repeats in the list everybody catches, in percent, when there is no room left for all ids.
fn caught() -> Vec<(&'static str, f64)> {
    let (hand, lru, quick, moka, ours) =
        (Mutex::new(ByHand::of(IDS)), lru(), quick_cache(), moka(), shared());
    // After how many new ones each was new.
    let mut news = HashMap::new();
    let (mut new, mut repeats) = (0_usize, 0_u32);
    let mut found = [0_u32; 5];
    for (at, &id) in ids().iter().enumerate() {
        let is_fresh = [
            hand.lock().insert(id),
            lru.lock().put(id, now()).is_none(),
            quick_insert(&quick, id),
            moka.entry(id).or_insert(()).is_fresh(),
            ours.insert(&id).is_fresh(),
        ];
        if news.get(&id).is_none_or(|before| new - before >= IDS) {
            news.insert(id, new);
            new += 1;
        } else if at >= 2 * IDS {
            repeats += 1;
            for (found, is_fresh) in found.iter_mut().zip(is_fresh) {
                *found += u32::from(!is_fresh);
            }
        }
    }
    let names = ["Mutex<HashSet + VecDeque>", "Mutex<lru>", "quick_cache", "moka", "steadfast"];
    let share = |found| 100.0 * f64::from(found) / f64::from(repeats);
    names.into_iter().zip(found.map(share)).collect()
}

/// Nanoseconds of each of ten million operations, the clock's reading included: the median, the 99.99th
/// percentile, and the slowest.
fn slowest(operation: &dyn Fn(u64)) -> [u64; 3] {
    let mut times = Vec::with_capacity(12 * IDS);
    for &id in ids().iter().cycle().take(12 * IDS) {
        let start = now();
        operation(id);
        times.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let times = &mut times[2 * IDS..];
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() / 10_000 * 9_999], times[times.len() - 1]]
}

/// An instant that is over.
fn now_zero() -> std::time::Instant {
    static ZERO: OnceLock<std::time::Instant> = OnceLock::new();
    *ZERO.get_or_init(now)
}

fn local() -> LocalDeduplicator {
    config().local().expect("a window")
}

type Lru = Mutex<lru::LruCache<u64, std::time::Instant, foldhash::fast::RandomState>>;

fn lru() -> Lru {
    let ids = IDS.try_into().expect("a million");
    Mutex::new(lru::LruCache::with_hasher(ids, foldhash::fast::RandomState::default()))
}

fn quick_cache() -> quick_cache::sync::Cache<u64, ()> {
    quick_cache::sync::Cache::new(IDS)
}

fn quick_insert(cache: &quick_cache::sync::Cache<u64, ()>, id: u64) -> bool {
    let mut is_fresh = false;
    let inserted: Result<(), ()> = cache.get_or_insert_with(&id, || {
        is_fresh = true;
        Ok(())
    });
    black_box(inserted).is_ok() && is_fresh
}

fn moka() -> moka::sync::Cache<u64, ()> {
    moka::sync::Cache::builder().max_capacity(IDS as u64).time_to_live(TTL).build()
}

/// Each takes the next 1,000 ids of the list, whichever thread it is.
fn two(cases: &mut Vec<Case>) {
    cases.push(by_hand_together(2));
    cases.push(together(2, "REF: a line, under one of 8 locks", locked_lines, |lines, ids| {
        each(ids, |id| lines[usize::try_from(id % 8).unwrap_or(0)].lock().touch(id))
    }));
    cases.push(time_given_together(2));
    cases.push(together(2, "steadfast, coarse clock", shared, |seen, ids| {
        each(ids, |id| seen.insert(&id).is_fresh())
    }));
    cases.push(together(2, "steadfast, batches of 64", shared, |seen, ids| {
        let batches = ids.chunks(BATCH).map(|ids| seen.insert_all(ids));
        batches.flatten().map(|answer| u64::from(answer.is_fresh())).sum()
    }));
    cases.push(together(2, "quick_cache", quick_cache, |cache, ids| {
        each(ids, |id| quick_insert(cache, id))
    }));
    cases.push(together(2, "moka", moka, |cache, ids| {
        each(ids, |id| cache.entry(id).or_insert(()).is_fresh())
    }));
}

fn locked_lines() -> Vec<Mutex<Lines>> {
    let each = || Mutex::new(Lines(vec![Line([1; 8]); IDS / 7 / 8]));
    std::iter::repeat_with(each).take(8).collect()
}

fn together<T: Sync + 'static>(
    threads: usize,
    name: &'static str,
    new: impl Fn() -> T + 'static,
    insert: impl Fn(&T, &[u64]) -> u64 + Copy + Send + Sync + 'static,
) -> Case {
    let share = move || -> &'static (T, AtomicUsize) {
        let contender = new();
        for _ in 0..2 {
            ids().chunks(SIZE).for_each(|ids| _ = insert(&contender, ids));
        }
        Box::leak(Box::new((contender, AtomicUsize::new(0))))
    };
    // An operation is a call for one id: 64 of them at once, every 64th time.
    Case::crowd("dedup-shared", name, threads, share, move |(contender, next), _| {
        let mut left = 0;
        move || {
            if left == 0 {
                let at = next.fetch_add(BATCH, Ordering::Relaxed) % (ids().len() - BATCH);
                black_box(insert(black_box(contender), &ids()[at..at + BATCH]));
                left = BATCH;
            }
            left -= 1;
        }
    })
    .with_table()
}
