//! What a window in several shards promises: none of the last ids is forgotten, and few others are
//! remembered. One claim a test.

#![cfg(all(feature = "std", not(loom)))]

use std::sync::Barrier;
use std::thread;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{Config, Deduplicator, Fingerprint, Id, Ids, SipKeys, Stats};

const NOW: Instant = Instant::ZERO;
const THREADS: u32 = 4;

fn build(config: Config, seed: u64) -> Deduplicator<ManualClock> {
    let keys = SipKeys::from_seed(seed);
    config.build_with(ManualClock::new(), keys).expect("a valid configuration")
}

/// How many ids a shard remembers: its share and what the others may leave it, as is documented.
fn room(capacity: usize, shards: usize) -> usize {
    let share = capacity.div_ceil(shards);
    let margin = 18 + (312 + 106 * share).isqrt() + 1;
    if shards == 1 { capacity } else { (share + margin).min(capacity) }
}

/// The logarithm of the probability that exactly `k` of so many ids fall into one of so many shards.
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
fn ln_of(k: usize, ids: usize, shards: usize) -> f64 {
    let p = (shards as f64).recip();
    let choose: f64 = (1..=k).map(|n| ((ids - k + n) as f64 / n as f64).ln()).sum();
    choose + k as f64 * p.ln() + (ids - k) as f64 * (-p).ln_1p()
}

/// A new id of a shard takes the place of one of the last so many if at least as many of the others as it has
/// room for are its, too.
#[test]
fn a_shard_overflows_with_a_probability_below_one_in_ten_to_the_23_however_small_it_is() {
    for shards in [2_usize, 4, 8, 32, 1_024] {
        for share in [1, 2, 3, 5, 10, 31, 100, 1_000, 8_000] {
            // As many as a share may be rounded up from.
            for capacity in [shards * share, (shards * share).saturating_sub(shards - 1)] {
                let room = room(capacity, shards);
                if capacity < shards || room == capacity {
                    continue;
                }
                let others = capacity - 1;
                let tail = (room..=others).take(100).map(|k| ln_of(k, others, shards).exp());
                let odds = tail.sum::<f64>();
                assert!(odds < 1e-23, "{odds:e} of {capacity} in {shards}");
            }
        }
    }
}

#[test]
fn none_of_the_last_ids_is_forgotten() {
    let last = 2_000_u32;
    for shards in [1, 2, 4, 16, 64, 256, 1_024] {
        for seed in 0..2 {
            let config = Config::new(last as usize).shards(shards).renew(seed == 1);
            let ids = build(config, seed);
            for id in 0..3 * last {
                assert!(ids.insert_at(&id, NOW).is_fresh());
                // An id that was forgotten stays so: the oldest of the last tells for all of them.
                let oldest = (id + 1).saturating_sub(last);
                assert!(ids.contains_at(&oldest, NOW), "{oldest} of {id}, {shards} shards");
            }
            // Counted, too.
            let remembered = (0..3 * last).filter(|id| ids.contains_at(id, NOW)).count();
            assert_eq!(remembered, ids.len_at(NOW));
            assert!((last as usize..=shards * room(last as usize, shards)).contains(&remembered));
        }
    }
}

#[test]
fn there_can_be_as_many_shards_as_ids() {
    for shards in [1, 2, 64, 1_024] {
        let ids = build(Config::new(shards).shards(shards), 1);
        let all: Vec<u64> = (0..shards as u64).collect();
        assert!(all.iter().all(|id| ids.insert_at(id, NOW).is_fresh()));
        assert_eq!(ids.len_at(NOW), shards);
    }
}

#[test]
fn in_batches_none_of_the_last_ids_is_forgotten_either() {
    let last = 4_096_u32;
    for shards in [2, 16, 128] {
        let ids = build(Config::new(last as usize).shards(shards).dense(true), 7);
        let all: Vec<u32> = (0..8 * last).collect();
        for (batch, some) in all.chunks(last as usize / 4).enumerate() {
            assert!(ids.insert_all_at(some, NOW).iter().all(|answer| answer.is_fresh()));
            let until = (batch + 1) * some.len();
            let last = &all[until.saturating_sub(last as usize)..until];
            assert!(last.iter().all(|id| ids.contains_at(id, NOW)), "{shards} shards");
        }
    }
}

#[test]
fn no_more_than_the_margin_is_remembered_beyond_the_capacity() {
    for (capacity, shards) in [(1_000, 2), (1_000, 512), (5_000, 16)] {
        let ids = build(Config::new(capacity).shards(shards), 1);
        // Many more than there is room for: every shard is full.
        for id in 0..20 * capacity as u64 {
            assert!(ids.insert_at(&id, NOW).is_fresh());
        }
        let full = shards * room(capacity, shards);
        let len = ids.len_at(NOW);
        assert!(len <= full, "{len} of {full}");
        assert!(len >= capacity, "{len} of {capacity}");
        let stats = ids.stats();
        assert_eq!(stats.evicted + len as u64, stats.fresh);
    }
}

#[test]
fn a_large_window_has_few_shards_of_many_ids_and_a_small_one_has_one() {
    // As many as the shards hold of what comes shows how many there are.
    for (capacity, shards) in [(1, 1), (4_096, 1), (8_191, 1), (8_192, 2), (20_000, 4), (65_536, 8)]
    {
        let ids = build(Config::new(capacity), 1);
        // All ids of the first shard, however many there are.
        let first = |n: u64| Fingerprint {
            low: n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !(0x3FF << 22),
            high: 0,
        };
        for n in 0..2 * capacity as u64 {
            assert!(ids.insert_at(&first(n), NOW).is_fresh());
        }
        assert_eq!(ids.len_at(NOW), room(capacity, shards), "{capacity} in {shards}");
    }
}

/// Ids chosen by somebody who knows the secret: they crowd one shard, and that they do is counted.
#[test]
fn ids_that_crowd_one_shard_are_seen_to_leave_too_early() {
    let (capacity, shards) = (1_024, 16);
    let keys = SipKeys::from_seed(5);
    let made = Ids::new(keys, false);
    let ids = build(Config::new(capacity).shards(shards), 5);
    let crowding =
        (0..u64::MAX).filter(|id| id.fingerprint(&made).low >> 22 & (shards as u64 - 1) == 3);
    for id in crowding.take(capacity) {
        assert!(ids.insert_at(&id, NOW).is_fresh());
    }
    let remembered = room(capacity, shards);
    assert_eq!(ids.len_at(NOW), remembered);
    let evicted = (capacity - remembered) as u64;
    assert_eq!(ids.stats(), Stats { fresh: capacity as u64, evicted, ..Stats::default() });
}

/// Every thread with the same ids, each in another order.
fn race(ids: &Deduplicator<ManualClock>, count: u32, insert: impl Fn(&[u32]) -> usize + Sync) {
    let start = Barrier::new(THREADS as usize);
    let fresh: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (start, insert) = (&start, &insert);
                scope.spawn(move || {
                    // Steps that have no divisor in common with the count.
                    let step = [1, 3, 7, 9][thread as usize];
                    let all: Vec<u32> = (0..count).map(|n| n * step % count).collect();
                    start.wait();
                    all.chunks(50).map(insert).sum::<usize>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(fresh, count as usize, "each is fresh to one thread");
    assert!((0..count).all(|id| ids.contains_at(&id, NOW)), "none is lost");
    let stats = ids.stats();
    assert_eq!((stats.fresh, stats.duplicates), (count.into(), (3 * count).into()));
    assert_eq!((ids.len_at(NOW), stats.evicted), (count as usize, 0));
}

#[test]
fn each_id_is_fresh_once_for_all_threads() {
    for shards in [1, 4, 64] {
        let ids = build(Config::new(10_000).shards(shards), 1);
        race(&ids, 10_000, |some| some.iter().filter(|id| ids.insert(*id).is_fresh()).count());
    }
}

#[test]
fn each_id_is_fresh_once_for_all_threads_in_batches() {
    for shards in [1, 4, 64] {
        let ids = build(Config::new(10_000).shards(shards).renew(true), 1);
        race(&ids, 10_000, |some| {
            ids.insert_all(some).iter().filter(|answer| answer.is_fresh()).count()
        });
    }
}
