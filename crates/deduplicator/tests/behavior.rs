//! What the documentation promises, one claim a test. The oracle is in `tests/model.rs`.

#![cfg(all(feature = "std", not(loom)))]

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use steadfast_core::{CoarseClock, Instant, ManualClock};
use steadfast_deduplicator::{
    Config, ConfigError, Deduplicator, Fingerprint, Fixed, Hashed, Heap, Id, Ids, Line,
    LocalDeduplicator, Memory, Sighting, SipKeys, State, Stats,
};

const FRESH: Sighting = Sighting::Fresh;
const END: Instant = Instant::from_nanos(u64::MAX);
const KEYS: u64 = 0x5EED;

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn seen(nanos: u64) -> Sighting {
    Sighting::Duplicate { first_seen: at(nanos) }
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

fn local(config: Config) -> LocalDeduplicator {
    config.local_with(SipKeys::from_seed(KEYS)).expect("a valid configuration")
}

fn shared(config: Config) -> Deduplicator<ManualClock> {
    let keys = SipKeys::from_seed(KEYS);
    config.build_with(ManualClock::new(), keys).expect("a valid configuration")
}

/// Which of `ids` are remembered.
fn remembered(seen: &LocalDeduplicator, ids: impl IntoIterator<Item = u32>, now: u64) -> Vec<u32> {
    ids.into_iter().filter(|id| seen.contains(id, at(now))).collect()
}

mod window {
    use super::*;

    #[test]
    fn the_first_sight_is_fresh_and_others_tell_when_it_was() {
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert(&1, at(5)), FRESH);
        assert_eq!(ids.insert(&1, at(7)), seen(5));
        assert_eq!(ids.insert(&1, at(u64::MAX - 1)), seen(5));
        assert!(FRESH.is_fresh() && !seen(0).is_fresh());
    }

    #[test]
    fn the_oldest_by_first_sight_leaves() {
        for capacity in [1_u32, 2, 3, 7, 8, 100] {
            let mut ids = local(Config::new(capacity as usize));
            for id in 0..5 * capacity {
                assert_eq!(ids.insert(&id, at(0)), FRESH);
                // Seen again, which is nothing to its place.
                let oldest = (id + 1).saturating_sub(capacity);
                assert_eq!(ids.insert(&oldest, at(0)), seen(0));
                assert_eq!(remembered(&ids, 0..5 * capacity, 0), (oldest..=id).collect::<Vec<_>>());
                assert_eq!(ids.len(at(0)), ((id + 1) - oldest) as usize);
            }
        }
    }

    #[test]
    fn an_id_that_left_is_fresh_and_the_newest() {
        let mut ids = local(Config::new(3));
        for id in [1, 2, 3, 4, 1] {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert_eq!(remembered(&ids, 0..9, 0), [1, 3, 4]);
        assert_eq!(ids.insert(&5, at(0)), FRESH);
        assert_eq!(remembered(&ids, 0..9, 0), [1, 4, 5]);
    }

    #[test]
    fn looking_records_nothing() {
        let mut ids = local(Config::new(2).ttl(ns(10)));
        assert!(!ids.contains(&1, at(0)));
        assert_eq!(ids.insert(&1, at(0)), FRESH, "though it was asked for");
        assert_eq!(ids.first_seen(&1, at(9)), Some(at(0)));
        assert_eq!((ids.first_seen(&1, at(10)), ids.len(at(10))), (None, 0));
        assert_eq!(ids.insert(&1, at(9)), seen(0), "though it was asked for at another time");
        assert_eq!(ids.stats(), Stats { fresh: 1, duplicates: 1, ..Stats::default() });
    }

    #[test]
    fn forgetting_frees_the_place() {
        let mut ids = local(Config::new(3));
        for id in 1..=3 {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert!(ids.forget(&2, at(0)) && !ids.forget(&2, at(0)) && !ids.forget(&9, at(0)));
        assert_eq!((ids.len(at(0)), remembered(&ids, 0..9, 0)), (2, vec![1, 3]));
        assert_eq!(ids.insert(&4, at(0)), FRESH);
        assert_eq!(remembered(&ids, 0..9, 0), [1, 3, 4], "nothing had to leave");
        assert_eq!(ids.insert(&2, at(0)), FRESH, "it is another sight");
        assert_eq!(remembered(&ids, 0..9, 0), [2, 3, 4]);
        assert_eq!(ids.stats().forgotten, 1);
    }

    /// The oldest stay, and what comes is forgotten: all positions in between are holes.
    #[test]
    fn what_was_forgotten_never_costs_an_id_its_place() {
        for capacity in [2_u32, 3, 8, 33, 100] {
            let mut ids = local(Config::new(capacity as usize));
            for id in 0..capacity - 1 {
                assert_eq!(ids.insert(&id, at(0)), FRESH);
            }
            for id in capacity..20 * capacity + 500 {
                assert_eq!(ids.insert(&id, at(0)), FRESH);
                assert!(ids.forget(&id, at(0)));
                assert_eq!(ids.len(at(0)), capacity as usize - 1);
            }
            assert_eq!(remembered(&ids, 0..capacity, 0).len(), capacity as usize - 1);
            assert_eq!(ids.stats().evicted, 0);
        }
    }

    #[test]
    fn clearing_forgets_all_and_keeps_the_counts() {
        let mut ids = local(Config::new(3).ttl(ns(10)));
        for id in 1..=4 {
            assert_eq!(ids.insert(&id, at(5)), FRESH);
        }
        let stats = ids.stats();
        ids.clear();
        assert!(ids.is_empty(at(5)) && remembered(&ids, 0..9, 5).is_empty());
        assert_eq!(ids.stats(), stats);
        for id in 1..=3 {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert_eq!(ids.insert(&1, at(0)), seen(5), "time does not go back either");
    }

    #[test]
    fn batches_answer_as_one_by_one_within_a_batch_too() {
        let ids: Vec<u32> = (0..100).map(|n| n * n % 37).collect();
        let mut single = local(Config::new(9));
        let singly: Vec<_> = ids.iter().map(|id| single.insert(id, at(1))).collect();
        assert!(singly.contains(&FRESH) && singly.contains(&seen(1)));
        let (mut all, mut answers) = (local(Config::new(9)), Vec::new());
        all.insert_all(&ids, at(1), |answer| answers.push(answer));
        assert_eq!(answers, singly);
        assert_eq!(shared(Config::new(9)).insert_all_at(&ids, at(1)), singly);
        assert_eq!(shared(Config::new(9)).insert_all_at::<u8>(&[], at(1)), []);
        // With shards: where nothing leaves.
        let mut single = local(Config::new(99));
        let singly: Vec<_> = ids.iter().map(|id| single.insert(id, at(1))).collect();
        assert_eq!(shared(Config::new(99).shards(8)).insert_all_at(&ids, at(1)), singly);
    }

    #[test]
    fn a_window_that_was_used_for_years_still_finds_every_id() {
        // 64 stamps, which come round 3,000 times.
        let mut ids = local(Config::new(3));
        for id in 0..200_000_u32 {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
            assert_eq!(ids.insert(&id.saturating_sub(2), at(0)), seen(0));
        }
        assert_eq!(ids.stats().evicted, 199_997);
    }

    #[test]
    fn a_clone_is_another_window() {
        let mut ids = local(Config::new(3));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        let mut other = ids.clone();
        assert_eq!((other.insert(&1, at(0)), other.insert(&2, at(0))), (seen(0), FRESH));
        assert_eq!(ids.insert(&2, at(0)), FRESH);
    }
}

mod time {
    use super::*;

    #[test]
    fn an_id_is_gone_when_its_ttl_is_over_and_not_before() {
        for ttl in [1, 2, 10, 1_000_000_007, u64::MAX / 2] {
            let mut ids = local(Config::new(9).ttl(ns(ttl)));
            assert_eq!(ids.insert(&1, at(5)), FRESH);
            assert_eq!(ids.insert(&1, at(5 + ttl - 1)), seen(5));
            assert_eq!((ids.first_seen(&1, at(5 + ttl)), ids.len(at(5 + ttl))), (None, 0));
            assert_eq!(ids.insert(&1, at(5 + ttl)), FRESH);
            assert_eq!(ids.insert(&1, at(5 + ttl)), seen(5 + ttl));
            assert_eq!(ids.stats().expired, 1);
        }
    }

    #[test]
    fn an_id_whose_time_is_over_is_not_there_to_be_forgotten() {
        let mut ids = local(Config::new(9).ttl(ns(10)));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert!(!ids.forget(&1, at(10)));
        assert_eq!(ids.stats(), Stats { fresh: 1, expired: 1, ..Stats::default() });
    }

    #[test]
    fn expiry_comes_before_capacity() {
        let mut ids = local(Config::new(2).ttl(ns(10)));
        for (id, now) in [(1, 0), (2, 9), (3, 10)] {
            assert_eq!(ids.insert(&id, at(now)), FRESH);
        }
        assert_eq!(remembered(&ids, 0..9, 10), [2, 3]);
        assert_eq!(ids.stats(), Stats { fresh: 3, expired: 1, ..Stats::default() });
        assert_eq!(ids.insert(&4, at(11)), FRESH);
        assert_eq!(ids.stats().evicted, 1, "now somebody had to leave");
    }

    #[test]
    fn ids_that_leave_before_their_time_are_counted() {
        // Ten a TTL, and room for nine.
        let mut ids = local(Config::new(9).ttl(ns(10)));
        for id in 0..100_u32 {
            assert_eq!(ids.insert(&id, at(u64::from(id))), FRESH);
        }
        assert_eq!((ids.stats().expired, ids.stats().evicted), (0, 91));
        let mut ids = local(Config::new(10).ttl(ns(10)));
        for id in 0..100_u32 {
            assert_eq!(ids.insert(&id, at(u64::from(id))), FRESH);
        }
        assert_eq!((ids.stats().expired, ids.stats().evicted), (90, 0));
    }

    #[test]
    fn after_a_silence_nothing_is_remembered_and_sixteen_leave_a_step() {
        let mut ids = local(Config::new(99).ttl(ns(10)));
        for id in 0..40 {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert_eq!((ids.len(at(9)), ids.len(at(10))), (40, 0));
        assert!(remembered(&ids, 0..40, 10).is_empty());
        for (step, expired) in [(1, 16), (2, 32), (3, 40), (4, 40_u64)] {
            assert_eq!(ids.insert(&(100 + step), at(10)), FRESH);
            assert_eq!((ids.stats().expired, ids.len(at(10))), (expired, step));
        }
    }

    #[test]
    fn an_id_seen_again_after_a_silence_is_fresh_before_its_turn_to_leave() {
        let mut ids = local(Config::new(99).ttl(ns(10)));
        for id in 0..60 {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert_eq!(ids.insert(&50, at(10)), FRESH);
        assert_eq!((ids.stats().expired, ids.len(at(10))), (17, 1));
        assert_eq!(ids.insert(&50, at(19)), seen(10));
        assert_eq!(ids.stats().expired, 33);
    }

    #[test]
    fn without_a_ttl_ids_stay_until_the_end_of_time() {
        let mut ids = local(Config::new(2));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert_eq!(ids.insert(&1, END), seen(0));
        assert_eq!(ids.insert(&2, END), FRESH);
        assert_eq!(
            ids.insert(&2, END),
            seen(u64::MAX - 1),
            "what is seen at the end was seen before"
        );
    }

    #[test]
    fn at_the_end_of_time_there_still_is_a_ttl() {
        let longest = ns(u64::MAX - 1);
        let mut ids = local(Config::new(2).ttl(longest));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert_eq!(ids.insert(&2, at(1)), FRESH);
        assert_eq!(ids.insert(&1, at(u64::MAX - 2)), seen(0));
        assert_eq!(remembered(&ids, 0..9, u64::MAX), [2]);
        let mut ids = local(Config::new(2).ttl(ns(1)));
        assert_eq!(ids.insert(&1, at(u64::MAX - 2)), FRESH);
        assert_eq!(ids.insert(&1, at(u64::MAX - 1)), FRESH);
        assert_eq!(ids.insert(&1, END), seen(u64::MAX - 1), "time stands still there");
    }

    #[test]
    fn a_clock_that_steps_back_counts_as_the_latest_time() {
        let mut ids = local(Config::new(9).ttl(ns(10)));
        assert_eq!(ids.insert(&1, at(100)), FRESH);
        assert_eq!(ids.insert(&2, at(3)), FRESH);
        assert_eq!(ids.insert(&2, at(0)), seen(100));
        assert_eq!(ids.len(at(0)), 2);
        assert_eq!((ids.len(at(109)), ids.len(at(110))), (2, 0));
        // To forget is to be there, too.
        assert!(!ids.forget(&9, at(105)));
        assert_eq!(ids.insert(&3, at(0)), FRESH);
        assert_eq!(ids.first_seen(&3, at(0)), Some(at(105)));
    }

    /// The worst that a clock can do: ids are remembered longer, until it comes there again.
    #[test]
    fn a_clock_that_was_far_ahead_forgets_what_is_over_and_stands_still_until_then() {
        let mut ids = local(Config::new(2).ttl(ns(10)));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert_eq!(ids.insert(&2, at(1_000_000)), FRESH);
        assert_eq!(ids.insert(&1, at(5)), FRESH);
        assert_eq!(ids.insert(&2, at(50)), seen(1_000_000));
        assert_eq!(ids.insert(&3, at(60)), FRESH, "there is room for two, all the same");
        assert_eq!(remembered(&ids, 0..9, 60), [1, 3]);
    }
}

mod renewal {
    use super::*;

    fn renewing(capacity: usize) -> LocalDeduplicator {
        local(Config::new(capacity).ttl(ns(10)).renew(true))
    }

    #[test]
    fn a_sight_renews_the_age() {
        let mut ids = renewing(9);
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        for now in [9, 18, 27] {
            assert_eq!(ids.insert(&1, at(now)), seen(0));
        }
        assert_eq!((ids.len(at(36)), ids.len(at(37))), (1, 0));
        assert_eq!(ids.insert(&1, at(37)), FRESH);
    }

    #[test]
    fn a_sight_renews_the_place() {
        let mut ids = renewing(3);
        for id in [1, 2, 3] {
            assert_eq!(ids.insert(&id, at(0)), FRESH);
        }
        assert_eq!(ids.insert(&1, at(0)), seen(0));
        assert_eq!(ids.insert(&4, at(0)), FRESH);
        assert_eq!(remembered(&ids, 0..9, 0), [1, 3, 4]);
    }

    #[test]
    fn the_first_sight_is_told_whatever_came_between() {
        let mut ids = renewing(2);
        assert_eq!(ids.insert(&7, at(3)), FRESH);
        for now in 8..400 {
            assert_eq!(ids.insert(&now, at(now)), FRESH);
            assert_eq!(ids.insert(&7, at(now)), seen(3));
            assert_eq!(ids.first_seen(&7, at(now)), Some(at(3)));
        }
    }

    #[test]
    fn looking_does_not_renew() {
        let mut ids = renewing(3);
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert!(ids.contains(&1, at(9)));
        assert_eq!(ids.insert(&1, at(10)), FRESH);
    }

    #[test]
    fn without_it_a_sight_changes_nothing() {
        let mut ids = local(Config::new(2).ttl(ns(10)));
        assert_eq!(ids.insert(&1, at(0)), FRESH);
        assert_eq!(ids.insert(&2, at(0)), FRESH);
        assert_eq!(ids.insert(&1, at(9)), seen(0));
        assert_eq!(ids.insert(&3, at(9)), FRESH);
        assert_eq!(remembered(&ids, 0..9, 9), [2, 3]);
        assert_eq!(remembered(&ids, 0..9, 10), [3]);
    }

    /// Each is a hole then, behind one that stays.
    #[test]
    fn ids_that_are_always_seen_again_never_cost_one_its_place() {
        for capacity in [2_u32, 3, 16, 50] {
            let mut ids = local(Config::new(capacity as usize).renew(true));
            for id in 0..capacity {
                assert_eq!(ids.insert(&id, at(0)), FRESH);
            }
            for step in 0..50 * capacity {
                assert_eq!(ids.insert(&(1 + step % (capacity - 1)), at(0)), seen(0));
            }
            assert_eq!(remembered(&ids, 0..capacity, 0).len(), capacity as usize);
            assert_eq!((ids.stats().evicted, ids.len(at(0))), (0, capacity as usize));
        }
    }
}

mod ids {
    use super::*;

    /// A hasher that gives whatever is made of it.
    #[derive(Clone, Copy)]
    struct Always(u64);

    impl BuildHasher for Always {
        type Hasher = Self;

        fn build_hasher(&self) -> Self {
            *self
        }
    }

    impl Hasher for Always {
        fn write(&mut self, _bytes: &[u8]) {}

        fn finish(&self) -> u64 {
            self.0
        }
    }

    /// The lowest bits of a good one.
    #[derive(Clone, Copy)]
    struct Poor(SipKeys, u32);

    struct PoorHasher(<SipKeys as BuildHasher>::Hasher, u32);

    impl BuildHasher for Poor {
        type Hasher = PoorHasher;

        fn build_hasher(&self) -> PoorHasher {
            PoorHasher(self.0.build_hasher(), self.1)
        }
    }

    impl Hasher for PoorHasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.write(bytes);
        }

        fn finish(&self) -> u64 {
            self.0.finish() & ((1 << self.1) - 1)
        }
    }

    #[test]
    fn all_integers_of_16_bits_are_told_apart_whatever_the_secret() {
        fn check<S: BuildHasher>(hasher: S) {
            let mut ids = Config::new(1 << 16).local_with(hasher).unwrap();
            let mut answers = Vec::new();
            let all: Vec<u16> = (0..=u16::MAX).collect();
            ids.insert_all(&all, at(0), |answer| answers.push(answer));
            assert!(answers.into_iter().all(Sighting::is_fresh));
            assert_eq!((ids.insert(&0_u16, at(0)), ids.stats().evicted), (seen(0), 0));
        }
        check(SipKeys::from_seed(1));
        check(SipKeys::new());
        check(Always(0));
        check(Always(u64::MAX));
    }

    #[test]
    fn integers_that_were_made_to_look_alike_are_told_apart() {
        let odd = [1, 0x9E37_79B9_7F4A_7C15, 0xBF58_476D_1CE4_E5B9, 0xF1DE_83E1_9937_733D];
        let mut all: Vec<u64> = vec![];
        for n in 0..64_u64 {
            all.extend([n, !n, 1 << n, !(1 << n), n << 32, n << 58, n.reverse_bits(), 3 << n]);
            all.extend(odd.map(|odd| n.wrapping_mul(odd)));
        }
        all.sort_unstable();
        all.dedup();
        for seed in 0..20 {
            let mut ids = Config::new(all.len()).local_with(SipKeys::from_seed(seed)).unwrap();
            assert!(all.iter().all(|id| ids.insert(id, at(0)).is_fresh()));
            assert!(all.iter().all(|id| ids.contains(id, at(0))));
        }
    }

    #[test]
    fn integers_of_one_value_are_one_id_whatever_their_types() {
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert(&7_u8, at(0)), FRESH);
        let again = [
            ids.insert(&7_u16, at(1)),
            ids.insert(&7_u32, at(1)),
            ids.insert(&7_u64, at(1)),
            ids.insert(&7_usize, at(1)),
            ids.insert(&7_i8, at(1)),
            ids.insert(&7_i16, at(1)),
            ids.insert(&7_i32, at(1)),
            ids.insert(&7_i64, at(1)),
            ids.insert(&7_isize, at(1)),
            ids.insert(&'\u{7}', at(1)),
            ids.insert(&&&7, at(1)),
        ];
        assert_eq!(again, [seen(0); 11]);
        assert_eq!(ids.insert(&-1_i8, at(2)), FRESH);
        let again = [
            ids.insert(&-1_i16, at(3)),
            ids.insert(&-1_i32, at(3)),
            ids.insert(&-1_i64, at(3)),
            ids.insert(&-1_isize, at(3)),
            ids.insert(&u64::MAX, at(3)),
        ];
        assert_eq!(again, [seen(2); 5]);
        assert_eq!(ids.insert(&u32::MAX, at(4)), FRESH, "another number");
    }

    #[test]
    fn integers_of_128_bits_are_ids_of_their_own() {
        for is_wide in [false, true] {
            let mut ids = local(Config::new(9).wide(is_wide));
            assert_eq!(ids.insert(&7_u64, at(0)), FRESH);
            assert_eq!(ids.insert(&7_u128, at(1)), FRESH);
            assert_eq!(ids.insert(&7_i128, at(2)), seen(1));
            assert_eq!(ids.insert(&-1_i128, at(3)), FRESH);
            assert_eq!(ids.insert(&u128::MAX, at(4)), seen(3));
        }
    }

    #[test]
    fn in_a_wide_window_integers_of_128_bits_are_exact() {
        let mut all = vec![0, u128::MAX];
        for n in 0..128 {
            all.extend([1 << n, !(1 << n), 3 << n, 5 << n]);
        }
        for n in 1..64 {
            // The halves alike, or swapped.
            all.extend([n << 64 | n, n << 64 | (n + 64), (n + 64) << 64 | n]);
        }
        all.sort_unstable();
        all.dedup();
        // Though its hashes are all the same.
        let mut ids = Config::new(all.len()).wide(true).local_with(Always(9)).unwrap();
        assert!(all.iter().all(|id| ids.insert(id, at(0)).is_fresh()));
        let mut ids = Config::new(all.len()).local_with(Always(9)).unwrap();
        let fresh = all.iter().filter(|id| ids.insert(*id, at(0)).is_fresh()).count();
        assert_eq!(fresh, 1, "they are hashed if it is not wide");
    }

    #[test]
    fn texts_are_one_id_however_they_are_held() {
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert("order 17", at(0)), FRESH);
        assert_eq!(ids.insert(&"order 17", at(1)), seen(0));
        assert_eq!(ids.insert(&String::from("order 17"), at(1)), seen(0));
        assert_eq!(ids.insert(&&String::from("order 17"), at(1)), seen(0));
        assert_eq!(ids.insert(&Hashed("order 17"), at(1)), seen(0));
        assert_eq!(ids.insert("order 1", at(2)), FRESH);
        assert_eq!(ids.insert("", at(2)), FRESH);
    }

    #[test]
    fn bytes_are_one_id_however_they_are_held_but_no_text() {
        // Of lengths that numbers have, too.
        for text in ["", "a", "order 17", "order 17 of today", "sixteen of them.", "order 18"] {
            let (bytes, mut ids) = (text.as_bytes(), local(Config::new(9)));
            assert_eq!(ids.insert(bytes, at(0)), FRESH);
            assert_eq!(ids.insert(&Vec::from(bytes), at(1)), seen(0));
            assert_eq!(ids.insert(&bytes, at(1)), seen(0));
            assert_eq!(ids.insert(text, at(2)), FRESH);
            assert_eq!(ids.insert(bytes, at(3)), seen(0));
        }
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert(&b"order 17"[..], at(0)), FRESH);
        assert_eq!(ids.insert(b"order 17", at(1)), seen(0), "an array");
        assert_eq!(ids.insert(&u64::from_le_bytes(*b"order 17"), at(1)), FRESH);
        assert_eq!(ids.insert(&u64::from_be_bytes(*b"order 17"), at(1)), FRESH);
        assert_eq!(ids.insert(&b"sixteen of them."[..], at(2)), FRESH);
        assert_eq!(ids.insert(b"sixteen of them.", at(3)), seen(2), "an array");
        assert_eq!(ids.insert(&[], at(3)), FRESH);
        assert_eq!(ids.insert(&Vec::new(), at(4)), seen(3));
    }

    #[test]
    fn anything_hashed_is_an_id() {
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert(&Hashed(("orders", 17, "EU")), at(0)), FRESH);
        assert_eq!(ids.insert(&Hashed(("orders", 17, "EU")), at(1)), seen(0));
        assert_eq!(ids.insert(&Hashed(("orders", 18, "EU")), at(1)), FRESH);
        let slice: &Hashed<[u8]> = &Hashed([1, 2, 3]);
        assert_eq!(ids.insert(slice, at(2)), FRESH);
    }

    #[test]
    fn a_number_in_a_type_of_yours_is_an_exact_id() {
        struct OrderId(u64);
        impl Id for OrderId {
            fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
                ids.exact(self.0)
            }
        }
        let mut ids = local(Config::new(9));
        assert_eq!(ids.insert(&OrderId(5), at(0)), FRESH);
        assert_eq!(ids.insert(&OrderId(6), at(0)), FRESH);
        assert_eq!(ids.insert(&5, at(1)), seen(0));
    }

    #[test]
    fn a_window_that_is_not_wide_does_not_look_at_the_high_half() {
        let made = |high| Fingerprint { low: 1, high };
        let mut ids = local(Config::new(9));
        assert_eq!((ids.insert(&made(1), at(0)), ids.insert(&made(2), at(1))), (FRESH, seen(0)));
        let mut ids = local(Config::new(9).wide(true));
        assert_eq!((ids.insert(&made(1), at(0)), ids.insert(&made(2), at(1))), (FRESH, FRESH));
        assert_eq!(ids.insert(&made(1), at(2)), seen(0));
    }

    /// In every part of it: there is one claim on them, too.
    #[test]
    fn of_ids_with_one_low_half_one_is_claimed_unless_the_window_is_wide() {
        for is_wide in [false, true] {
            let config = Config::new(9).wide(is_wide);
            let keys = SipKeys::from_seed(KEYS);
            let claims = config.claims_with::<(), _, _>(ManualClock::new(), keys).unwrap();
            let first = claims.try_acquire(&Fingerprint { low: 7, high: 1 }).unwrap();
            let second = claims.try_acquire(&Fingerprint { low: 7, high: 2 });
            assert_eq!(second.is_ok_and(|second| second.claim().is_some()), is_wide);
            assert!(first.claim().unwrap().commit().is_ok());
            assert_eq!(claims.contains(&Fingerprint { low: 7, high: 3 }), !is_wide);
        }
    }

    /// Whatever it says itself.
    #[test]
    fn the_high_half_of_an_id_of_ones_own_is_no_other_claim_unless_the_window_is_wide() {
        struct Own(u64);
        impl Id for Own {
            fn fingerprint<S: BuildHasher>(&self, _ids: &Ids<S>) -> Fingerprint {
                Fingerprint { low: 7, high: self.0 }
            }
        }
        for is_wide in [false, true] {
            let config = Config::new(9).wide(is_wide);
            let keys = SipKeys::from_seed(KEYS);
            let claims = config.claims_with::<(), _, _>(ManualClock::new(), keys).unwrap();
            let first = claims.try_acquire(&Own(1)).unwrap();
            let second = claims.try_acquire(&Own(2));
            assert_eq!(second.is_ok_and(|second| second.claim().is_some()), is_wide);
            assert!(first.claim().unwrap().commit().is_ok());
            assert_eq!(claims.contains(&Own(3)), !is_wide);
            assert_eq!(claims.forget(&Own(3)), !is_wide);
        }
    }

    /// `n / 2⁶⁴` with 64 bits: here with 20, where it can be seen. 1,000 / 2²⁰ of 100,000 are 95.4.
    #[test]
    fn of_hashed_ids_as_many_are_false_duplicates_as_the_formula_says() {
        let hasher = Poor(SipKeys::from_seed(3), 20);
        let mut ids = Config::new(1_000).local_with(hasher).unwrap();
        (0..1_200).for_each(|id| _ = ids.insert(&Hashed(id), at(0)));
        assert_eq!(ids.len(at(0)), 1_000);
        let new = 10_000..110_000;
        let wrong = new.clone().filter(|id| ids.contains(&Hashed(*id), at(0))).count();
        assert!((50..150).contains(&wrong), "{wrong}");
        // Twice the bits are a million times better, as the halves have nothing to do with each other.
        let mut ids = Config::new(1_000).wide(true).local_with(hasher).unwrap();
        (0..1_200).for_each(|id| _ = ids.insert(&Hashed(id), at(0)));
        assert_eq!(new.filter(|id| ids.contains(&Hashed(*id), at(0))).count(), 0);
    }

    #[test]
    fn fingerprints_depend_on_the_secret() {
        let made = |keys: SipKeys| {
            let ids = Ids::new(keys, true);
            [5_u64.fingerprint(&ids), 5_u128.fingerprint(&ids), "5".fingerprint(&ids)]
        };
        assert_eq!(made(SipKeys::from_seed(1)), made(SipKeys::from_seed(1)));
        for other in [SipKeys::from_seed(2), SipKeys::new()] {
            for (a, b) in made(SipKeys::from_seed(1)).into_iter().zip(made(other)) {
                assert_ne!(a.low, b.low);
            }
        }
        assert_ne!(SipKeys::new(), SipKeys::new());
    }
}

mod memory {
    use super::*;

    /// Slices of ours.
    struct Lent<'a> {
        lines: &'a mut [Line],
        words: &'a mut [u64],
    }

    impl Memory for Lent<'_> {
        fn lines(&self) -> &[Line] {
            self.lines
        }

        fn lines_mut(&mut self) -> &mut [Line] {
            self.lines
        }

        fn words(&self) -> &[u64] {
            self.words
        }

        fn words_mut(&mut self) -> &mut [u64] {
            self.words
        }
    }

    #[test]
    fn memory_that_was_used_before_is_as_good_as_new() {
        // A line that is nearly full.
        const CONFIG: Config = Config::new(10).dense(true);
        let mut memory = Fixed::<{ CONFIG.lines() }, { CONFIG.words() }>::new();
        let mut lines = memory.lines_mut().to_vec();
        let mut words = memory.words_mut().to_vec();
        for round in 0..3 {
            let lent = Lent { lines: &mut lines, words: &mut words };
            let mut ids: LocalDeduplicator<SipKeys, Lent<'_>> =
                CONFIG.local_in(lent, SipKeys::from_seed(KEYS)).unwrap();
            assert!(ids.is_empty(at(0)));
            // Others at the same positions.
            for id in 10 * round..10 * (round + 1) {
                assert_eq!(ids.insert(&id, at(round)), FRESH);
            }
            for id in 0..50 {
                assert_eq!(ids.contains(&id, at(0)), id / 10 == round);
            }
            assert_eq!(ids.len(at(0)), 10);
        }
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let state = Config::new(20).state_in(Fixed::<2, 56>::new());
        assert_eq!(state.map(drop), Err(ConfigError::Lines { given: 2, needed: 3 }));
        let words = Config::new(20).words();
        let local = Config::new(20).local_in(Fixed::<3, 0>::new(), SipKeys::from_seed(0));
        assert_eq!(local.map(drop), Err(ConfigError::Words { given: 0, needed: words }));
        // What is added to a window takes more.
        assert!(Config::new(20).wide(true).words() > words);
    }

    #[test]
    fn a_static_holds_a_window() {
        const CONFIG: Config = Config::new(50).ttl(Duration::from_secs(1));
        type Arrays = Fixed<{ CONFIG.lines() }, { CONFIG.words() }>;
        static WINDOW: std::sync::Mutex<Arrays> = std::sync::Mutex::new(Arrays::new());
        let arrays = WINDOW.lock().unwrap().clone();
        let mut state: State<Arrays> = CONFIG.state_in(arrays).unwrap();
        let id = Fingerprint { low: 1, high: 0 };
        assert_eq!((state.insert(id, at(0)), state.insert(id, at(1))), (FRESH, seen(0)));
        assert_eq!(state.capacity(), 50);
    }
}

mod sharing {
    use super::*;

    #[test]
    fn the_shared_type_reads_its_own_clock() {
        let clock = ManualClock::new();
        let keys = SipKeys::from_seed(KEYS);
        let ids = Config::new(9).ttl(ns(10)).build_with(&clock, keys).unwrap();
        clock.advance(ns(3));
        assert_eq!(ids.insert("a"), FRESH);
        clock.advance(ns(9));
        assert_eq!(ids.insert("a"), seen(3));
        assert_eq!(ids.insert_all(&["a", "b", "b"]), [seen(3), FRESH, seen(12)]);
        assert!(ids.contains("a") && ids.forget("b") && !ids.contains("b"));
        assert_eq!((ids.len(), ids.is_empty()), (1, false));
        clock.advance(ns(1));
        assert!(!ids.contains("a") && ids.is_empty() && !ids.forget("a"));
        assert_eq!(ids.first_seen_at("a", at(12)), None, "the latest time was another");
    }

    #[test]
    fn clearing_reaches_every_shard() {
        let ids = shared(Config::new(1_000).shards(64));
        assert!(ids.insert_all_at(&(0..1_000).collect::<Vec<u32>>(), at(0)).len() == 1_000);
        assert_eq!(ids.len_at(at(0)), 1_000);
        ids.clear();
        assert_eq!((ids.len_at(at(0)), ids.stats().fresh), (0, 1_000));
    }

    #[test]
    fn the_everyday_type_needs_nothing_but_a_capacity() {
        let ids: Deduplicator<CoarseClock> = Config::new(1_000).build().unwrap();
        assert_eq!(ids.insert(&1), FRESH);
        assert!(!ids.insert(&1).is_fresh());
        assert_eq!(ids.config(), Config::new(1_000));
        assert_eq!(*ids.clock(), CoarseClock);
    }

    #[test]
    fn counts_of_all_shards_are_together() {
        let ids = shared(Config::new(1_000).shards(16).ttl(ns(10)));
        let all: Vec<u32> = (0..500).collect();
        assert!(ids.insert_all_at(&all, at(0)).into_iter().all(Sighting::is_fresh));
        assert!(all[..50].iter().all(|id| ids.forget_at(id, at(1))));
        assert!(all[50..].iter().all(|id| !ids.insert_at(id, at(1)).is_fresh()));
        let stats = Stats { fresh: 500, duplicates: 450, forgotten: 50, ..Stats::default() };
        assert_eq!(ids.stats(), stats);
        let last = Stats { fresh: u64::MAX, evicted: 2, expired: 3, ..stats };
        let sum =
            Stats { fresh: u64::MAX, evicted: 2, expired: 3, duplicates: 900, forgotten: 100 };
        assert_eq!(stats + last, sum);
    }
}

mod types {
    use super::*;

    #[test]
    fn public_types_are_send_and_sync() {
        fn shared<T: Send + Sync + Unpin + 'static>() {}
        shared::<Deduplicator>();
        shared::<Deduplicator<ManualClock, std::hash::RandomState>>();
        shared::<LocalDeduplicator>();
        shared::<LocalDeduplicator<SipKeys, Fixed<1, 1>>>();
        shared::<(State, State<Fixed<1, 1>>, Heap, Line)>();
        shared::<(Config, ConfigError)>();
        shared::<(Fingerprint, Ids, Hashed<u8>, SipKeys)>();
        shared::<(Sighting, Stats)>();
    }

    #[test]
    fn errors_are_errors() {
        fn is_error<E: std::error::Error + Copy + Send + Sync + 'static>() {}
        is_error::<ConfigError>();
    }

    #[test]
    fn debug_shows_what_is_remembered_and_no_secret() {
        let mut ids = local(Config::new(17));
        assert_eq!(ids.insert("order", at(0)), FRESH);
        for text in [format!("{ids:?}"), format!("{:?}", shared(Config::new(17)))] {
            for part in ["capacity: 17", "fresh: ", "evicted: 0"] {
                assert!(text.contains(part), "{part:?} is missing in {text}");
            }
        }
        // Of what holds one, too.
        let texts = |seed| {
            let keys = SipKeys::from_seed(seed);
            let config = Config::new(17);
            let seen = config.build_with(ManualClock::new(), keys).unwrap();
            let claims = config.claims_with::<(), _, _>(ManualClock::new(), keys).unwrap();
            [
                format!("{keys:?}"),
                format!("{:?}", Ids::new(keys, true)),
                format!("{:?}", config.local_with(keys).unwrap()),
                format!("{:?}", seen.snapshot()),
                format!("{seen:?} {claims:?} {:?}", claims.snapshot()),
            ]
        };
        assert_eq!(texts(1), texts(2));
        assert!(texts(1)[1].contains("is_wide: true"));
    }
}
