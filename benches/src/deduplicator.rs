//! The cases of the deduplicator.
//!
//! A window of a million 64-bit ids, one minute, nine new ids in ten; the tenth is one of the last million. A
//! call inserts 1,000 ids, and all numbers are for one of them. Every contender has seen two million ids
//! before it is measured, and gets the ids from a list that is as long as it takes.

use std::collections::{HashSet, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use parking_lot::Mutex;
use steadfast_core::{Clock, CoarseClock, Instant, SystemClock};
use steadfast_deduplicator::{Config, Deduplicator, LocalDeduplicator, SipKeys};

use crate::cases::{Case, now};

/// Ids in the window.
const IDS: u64 = 1_000_000;
/// Ids a call.
const SIZE: u64 = 1_000;
const TTL: Duration = Duration::from_secs(60);

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    one(&mut cases);
    cases
}

/// Nine new ids, and one of the last million: on and on.
struct Stream {
    counter: u64,
    state: u64,
}

impl Stream {
    fn new() -> Self {
        Self { counter: 0, state: 0x9E37_79B9_7F4A_7C15 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let back = if self.state % 10 == 0 { self.state >> 32 } else { 0 };
        if back == 0 {
            self.counter += 1;
            return scattered(self.counter);
        }
        scattered(self.counter - back % self.counter.clamp(1, IDS * 9 / 10))
    }
}

/// Ids are not in order.
fn scattered(id: u64) -> u64 {
    id.wrapping_mul(0xD605_1D4B_3C7B_D4D5)
}

fn inserted<T: 'static>(
    group: &'static str,
    name: &'static str,
    new: impl Fn() -> T + 'static,
    insert: impl Fn(&mut T, &[u64]) -> u64 + Copy + 'static,
) -> Case {
    Case::batch(group, name, SIZE, move || {
        let (mut stream, mut contender) = (Stream::new(), new());
        let mut list = vec![0; 1_000];
        for _ in 0..2 * IDS / SIZE {
            list.fill_with(|| stream.next());
            insert(&mut contender, &list);
        }
        move || {
            list.fill_with(|| stream.next());
            black_box(insert(black_box(&mut contender), black_box(&list)));
        }
    })
}

/// What one writes by hand.
struct ByHand {
    set: HashSet<u64, foldhash::fast::RandomState>,
    order: VecDeque<(u64, std::time::Instant)>,
}

impl ByHand {
    fn new() -> Self {
        let ids = usize::try_from(IDS).expect("a million");
        Self {
            set: HashSet::with_capacity_and_hasher(ids, foldhash::fast::RandomState::default()),
            order: VecDeque::with_capacity(ids),
        }
    }

    fn insert(&mut self, id: u64) -> bool {
        let now = now();
        while let Some(&(oldest, time)) = self.order.front() {
            if self.order.len() < 1_000_000 && now.duration_since(time) < TTL {
                break;
            }
            self.order.pop_front();
            self.set.remove(&oldest);
        }
        let is_fresh = self.set.insert(id);
        if is_fresh {
            self.order.push_back((id, now));
        }
        is_fresh
    }
}

fn config() -> Config {
    Config::new(1_000_000).ttl(TTL)
}

fn one(cases: &mut Vec<Case>) {
    let group = "dedup";
    let given = |list: &[u64], mut f: Box<dyn FnMut(u64) -> bool + '_>| {
        list.iter().map(|&id| u64::from(f(id))).sum::<u64>()
    };
    cases.push(inserted(
        group,
        "Mutex<HashSet + VecDeque>",
        || Mutex::new(ByHand::new()),
        |set, ids| ids.iter().map(|&id| u64::from(set.lock().insert(id))).sum(),
    ));
    cases.push(inserted(
        group,
        "steadfast, time given",
        || config().build().expect("a window"),
        |seen: &mut Deduplicator, ids| {
            let now = CoarseClock.now();
            ids.iter().map(|&id| u64::from(seen.insert_at(&id, now).is_fresh())).sum()
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, coarse clock",
        || config().build().expect("a window"),
        |seen: &mut Deduplicator, ids| {
            ids.iter().map(|&id| u64::from(seen.insert(&id).is_fresh())).sum()
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, precise clock",
        || config().build_with(SystemClock, SipKeys::new()).expect("a window"),
        |seen: &mut Deduplicator<SystemClock>, ids| {
            ids.iter().map(|&id| u64::from(seen.insert(&id).is_fresh())).sum()
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, batches of 64",
        || config().build().expect("a window"),
        |seen: &mut Deduplicator, ids| {
            let batches = ids.chunks(64).map(|ids| seen.insert_all(ids));
            batches.flatten().map(|answer| u64::from(answer.is_fresh())).sum()
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, owner",
        || config().local().expect("a window"),
        |seen: &mut LocalDeduplicator, ids| {
            let now = Instant::ZERO;
            ids.iter().map(|&id| u64::from(seen.insert(&id, now).is_fresh())).sum()
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, owner, batches of 64",
        || config().local().expect("a window"),
        |seen: &mut LocalDeduplicator, ids| {
            let (now, mut fresh) = (Instant::ZERO, 0);
            for ids in ids.chunks(64) {
                seen.insert_all(ids, now, |answer| fresh += u64::from(answer.is_fresh()));
            }
            fresh
        },
    ));
    cases.push(inserted(
        group,
        "steadfast, owner, dense",
        || config().dense(true).local().expect("a window"),
        |seen: &mut LocalDeduplicator, ids| {
            let now = Instant::ZERO;
            ids.iter().map(|&id| u64::from(seen.insert(&id, now).is_fresh())).sum()
        },
    ));
    let _ = given;
}
