//! What stands beside the bucket: leases, limit sets, keyed limiters, throttled streams, and the
//! configuration as data.
#![cfg(feature = "std")]

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use steadfast_core::{Clock, Instant, ManualClock, SystemClock, Timer};
use steadfast_test_support::task::Wakes;
use steadfast_token_bucket::{
    AcquireError, Config, ConfigError, Key, Keyed, KeyedError, Lease, LimitSet, Rate,
    SetLimitError, Throttle, TokenBucket, TryAcquireError,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn bucket(rate: u64, burst: u64) -> TokenBucket {
    Config::new(Rate::per_second(rate)).burst(burst).build_at(SystemClock, at(0)).unwrap()
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

mod lease {
    use super::*;

    #[test]
    fn takes_batches_and_gives_back_the_rest_on_drop() {
        let bucket = bucket(10, 100);
        let mut lease = Lease::new(&bucket, 30).unwrap();
        assert_eq!(bucket.available_at(at(0)), 100, "nothing is taken in advance of the first use");
        lease.try_acquire_at(1, at(0)).unwrap();
        assert_eq!((lease.held(), bucket.available_at(at(0))), (29, 70));
        lease.try_acquire_at(29, at(0)).unwrap();
        assert_eq!((lease.held(), bucket.available_at(at(0))), (0, 70));
        lease.try_acquire_at(5, at(0)).unwrap();
        drop(lease);
        assert_eq!(bucket.available_at(at(0)), 65);
    }

    #[test]
    fn takes_what_there_is_when_there_is_less_than_a_batch() {
        let bucket = bucket(10, 100);
        bucket.try_acquire_at(93, at(0)).unwrap();
        let mut lease = Lease::new(&bucket, 30).unwrap();
        lease.try_acquire_at(3, at(0)).unwrap();
        assert_eq!((lease.held(), bucket.available_at(at(0))), (4, 0));
    }

    #[test]
    fn refusal_keeps_the_tokens_held_and_says_when_the_missing_ones_are_there() {
        let bucket = bucket(10, 10);
        let mut lease = Lease::new(&bucket, 10).unwrap();
        lease.try_acquire_at(8, at(0)).unwrap();
        let denied = TryAcquireError::Denied { retry_at: at(300), now: at(0) };
        assert_eq!(lease.try_acquire_at(5, at(0)), Err(denied));
        assert_eq!(lease.held(), 2);
        lease.try_acquire_at(5, at(300)).unwrap();
        assert_eq!((lease.held(), bucket.available_at(at(300))), (0, 0));
    }

    #[test]
    fn more_than_a_batch_is_taken_in_one_go() {
        let bucket = bucket(10, 100);
        let mut lease = Lease::new(&bucket, 10).unwrap();
        lease.try_acquire_at(60, at(0)).unwrap();
        assert_eq!((lease.held(), bucket.available_at(at(0))), (0, 40));
        let never = Err(TryAcquireError::ExceedsBurst { burst: 100 });
        assert_eq!(lease.try_acquire_at(u64::MAX, at(0)), never);
    }

    #[test]
    fn batch_of_nothing_or_above_the_burst_is_refused() {
        let bucket = bucket(10, 100);
        for batch in [0, 101, u64::MAX] {
            let error = ConfigError::BatchOutOfRange { batch, burst: 100 };
            assert_eq!(Lease::new(&bucket, batch).unwrap_err(), error);
        }
    }

    #[test]
    fn prepaid_tokens_are_given_back_too() {
        let clock = ManualClock::new();
        let bucket = Arc::new(Config::new(Rate::per_second(10)).build_with(clock).unwrap());
        bucket.acquire(10).wait().unwrap();
        let mut lease = Lease::new(Arc::clone(&bucket), 10).unwrap();
        lease.add_prepaid(10);
        assert!(lease.use_held(4) && !lease.use_held(7));
        lease.give_back();
        assert_eq!((lease.held(), bucket.available()), (0, 6));
    }

    #[test]
    fn a_refusal_is_counted_once() {
        let config = Config::new(Rate::per_second(10)).counted(true);
        let bucket = config.build_at(SystemClock, at(0)).unwrap();
        let mut lease = Lease::new(&bucket, 10).unwrap();
        lease.try_acquire_at(10, at(0)).unwrap();
        lease.try_acquire_at(1, at(0)).unwrap_err();
        assert_eq!((bucket.stats().granted, bucket.stats().refused), (Some(10), Some(1)));
        assert_eq!(bucket.try_acquire_up_to_at(5, at(0)), 0);
        assert_eq!(bucket.stats().refused, Some(2));
    }

    #[test]
    fn tokens_held_are_usable_after_close_and_beyond_the_burst() {
        let bucket = bucket(10, 10);
        let mut lease = Lease::new(&bucket, 10).unwrap();
        lease.try_acquire_at(4, at(0)).unwrap();
        lease.try_acquire_at(15, at(1_000)).unwrap();
        lease.try_acquire_at(2, at(2_000)).unwrap();
        bucket.close();
        lease.try_acquire_at(9, at(2_000)).unwrap();
        assert_eq!(lease.try_acquire_at(1, at(2_000)), Err(TryAcquireError::Closed));
    }

    #[test]
    fn tokens_used_stay_within_the_documented_burstiness() {
        let bucket = bucket(1_000, 100);
        let mut leases: Vec<_> = (0..4).map(|_| Lease::new(&bucket, 20).unwrap()).collect();
        let mut uses = Vec::new();
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut now = 0;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let lease = &mut leases[(random % 4) as usize];
            match random >> 8 & 15 {
                0 => lease.give_back(),
                1..4 => now += random >> 20 & 7,
                _ if lease.try_acquire_at(1, at(now)).is_ok() => uses.push(now),
                _ => {}
            }
        }
        for (first, &from) in uses.iter().enumerate() {
            let count = |until: u64| uses[first..].partition_point(|&time| time <= until) as u64;
            for span in [0, 1, 10, 100, 1_000] {
                assert!(count(from + span) <= 100 + span + 80, "from {from} for {span} ms");
            }
        }
    }
}

mod limit_set {
    use super::*;

    fn set(clock: &ManualClock) -> LimitSet<2, &ManualClock> {
        let configs = [
            Config::new(Rate::per_second(100)).burst(10),
            Config::new(Rate::per_minute(60)).burst(30).max_waiters(2),
        ];
        LimitSet::build_with(configs, clock).unwrap()
    }

    #[test]
    fn grants_all_or_nothing() {
        let clock = ManualClock::new();
        let set = set(&clock);
        for _ in 0..3 {
            set.try_acquire(10).unwrap();
            clock.advance(Duration::from_millis(100));
        }
        // The first limit has 10 again, the second 0: what is refused takes from neither.
        let denied = set.try_acquire(5).unwrap_err();
        assert_eq!(
            denied.retry_after(),
            Some(Duration::from_millis(4_700)),
            "the later of the two"
        );
        clock.advance(Duration::from_millis(4_700));
        assert_eq!(set.available(), 5);
        set.try_acquire(5).unwrap();
    }

    #[test]
    fn never_comes_before_not_now_and_names_the_smallest_burst() {
        let clock = ManualClock::new();
        let set = set(&clock);
        let never = Err(TryAcquireError::ExceedsBurst { burst: 10 });
        assert_eq!(set.try_acquire(11), never);
        assert_eq!(set.try_acquire(u64::MAX), never);
        set.close();
        assert_eq!(set.try_acquire(1), Err(TryAcquireError::Closed));
        assert!(set.is_closed());
    }

    #[test]
    fn waits_in_order_holds_nothing_and_loses_nothing_on_cancel() {
        let clock = ManualClock::new();
        let set = set(&clock);
        set.try_acquire(10).unwrap();
        let (mut first, mut second) = (set.acquire(10), set.acquire(1));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        assert_eq!(
            poll(&mut set.acquire(1)),
            Poll::Ready(Err(AcquireError::LineFull { max_waiters: 2 }))
        );
        clock.advance(Duration::from_millis(50));
        assert_eq!(set.available(), 5, "nobody holds any");
        assert!(set.try_acquire(1).is_err(), "newcomers do not overtake");
        assert!(poll(&mut second).is_pending());
        drop(first);
        assert_eq!(poll(&mut second), Poll::Ready(Ok(())));
        assert_eq!((set.available(), set.stats().waiting), (4, 0));
        set.try_acquire(4).unwrap();
    }

    #[test]
    fn refund_reconfigure_and_close_reach_the_waiters() {
        let clock = ManualClock::new();
        let set = set(&clock);
        set.try_acquire(10).unwrap();
        let mut wait = set.acquire(5);
        assert!(poll(&mut wait).is_pending());
        set.refund(5);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
        let mut wait = set.acquire(5);
        assert!(poll(&mut wait).is_pending());
        let small = Config::new(Rate::per_second(1)).burst(4);
        set.reconfigure_at(&[small, small], at(0)).unwrap();
        let never = AcquireError::ExceedsBurst { burst: 4 };
        assert_eq!(poll(&mut wait), Poll::Ready(Err(never)));
        let invalid = [small, Config::new(Rate::per_second(0))];
        assert_eq!(set.reconfigure_at(&invalid, at(0)), Err(ConfigError::ZeroRate));
        set.refund(0);
        let mut wait = set.acquire(4);
        assert!(poll(&mut wait).is_pending());
        set.close();
        assert_eq!(poll(&mut wait), Poll::Ready(Err(AcquireError::Closed)));
    }

    #[test]
    fn a_large_step_back_never_wedges_the_set() {
        let clock = ManualClock::starting_at(at(3_700_000));
        let set = set(&clock);
        set.try_acquire(10).unwrap();
        clock.set_now(at(100_000));
        let retry_at = match set.try_acquire(5) {
            Err(TryAcquireError::Denied { retry_at, .. }) => retry_at,
            other => panic!("{other:?}"),
        };
        clock.set_now(retry_at);
        set.try_acquire(5).unwrap();
    }

    #[test]
    fn a_thread_waits_for_all_limits() {
        let set = LimitSet::build([
            Config::new(Rate::per_second(1_000)).burst(1),
            Config::new(Rate::per_second(500)).burst(2),
        ])
        .unwrap();
        for _ in 0..6 {
            set.acquire(1).wait().unwrap();
        }
        assert!(set.stats().waited >= 3);
    }
}

mod keyed {
    use super::*;

    fn keyed(clock: &ManualClock, capacity: usize) -> Keyed<String, ManualClock> {
        let config = Config::new(Rate::per_second(10)).burst(5).max_waiters(3);
        Keyed::<String>::builder(config, capacity).build_with(clock.clone()).unwrap()
    }

    #[test]
    fn every_key_has_a_bucket_of_its_own() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 10);
        keyed.try_acquire("a", 5).unwrap();
        let denied = KeyedError::Denied { retry_at: at(100), now: at(0) };
        assert_eq!(keyed.try_acquire("a", 1), Err(denied));
        assert_eq!(denied.retry_after_secs_ceil(), Some(1));
        assert_eq!(keyed.try_acquire("a", 6), Err(KeyedError::ExceedsBurst { burst: 5 }));
        keyed.try_acquire("b", 5).unwrap();
    }

    #[test]
    fn looking_takes_nothing_and_adds_no_key() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 10);
        assert_eq!(keyed.available("new"), 5);
        assert_eq!(keyed.ready_at("new", 5, at(0)), Ok(at(0)));
        assert_eq!(keyed.ready_at("new", 6, at(0)), Err(KeyedError::ExceedsBurst { burst: 5 }));
        keyed.refund("new", 3);
        assert!(keyed.is_empty());
    }

    #[test]
    fn a_full_table_refuses_newcomers_and_keeps_everybody_else() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 3);
        for key in ["a", "b", "c"] {
            keyed.try_acquire(key, 5).unwrap();
        }
        for attempt in 0..100 {
            let key = format!("attacker {attempt}");
            assert_eq!(
                keyed.try_acquire(key.as_str(), 1),
                Err(KeyedError::TableFull { capacity: 3 })
            );
        }
        assert!(matches!(keyed.try_acquire("a", 1), Err(KeyedError::Denied { .. })));
        clock.advance(SECOND);
        keyed.try_acquire("newcomer", 1).unwrap();
        assert_eq!(keyed.available("a"), 5, "forgotten, and just as full");
        assert!(keyed.len() <= 3);
    }

    #[test]
    fn keys_without_a_place_share_the_overflow_bucket() {
        let clock = ManualClock::new();
        let config = Config::new(Rate::per_second(10)).burst(5);
        let keyed = Keyed::<u64>::builder(config, 1)
            .overflow(Config::new(Rate::per_second(10)).burst(2))
            .build_with(clock.clone())
            .unwrap();
        keyed.try_acquire(&0, 5).unwrap();
        keyed.try_acquire(&1, 1).unwrap();
        keyed.try_acquire(&2, 1).unwrap();
        assert!(matches!(keyed.try_acquire(&3, 1), Err(KeyedError::Denied { .. })));
    }

    #[test]
    fn a_refund_lifts_the_keys_own_bucket_and_no_other() {
        let clock = ManualClock::new();
        let keyed = Keyed::<u64>::builder(Config::new(Rate::per_second(10)).burst(5), 1)
            .overflow(Config::new(Rate::per_hour(2)))
            .build_with(clock.clone())
            .unwrap();
        keyed.try_acquire(&0, 5).unwrap();
        keyed.try_acquire(&1, 2).unwrap();
        keyed.refund(&1, 2);
        assert!(keyed.try_acquire(&1, 1).is_err(), "lost");
        assert!(keyed.try_acquire(&0, 1).is_err(), "and not given to another");
        assert_eq!(keyed.available(&1), 5, "what it would have if it had a place");
    }

    #[test]
    fn a_key_whose_name_cannot_be_cloned_takes_no_place() {
        #[derive(Debug, Hash, PartialEq, Eq)]
        struct Name(u64);
        impl Clone for Name {
            fn clone(&self) -> Self {
                assert!(self.0 < 100, "clone");
                Self(self.0)
            }
        }
        let config = Config::new(Rate::per_second(10)).burst(5);
        let keyed = Keyed::<Name>::builder(config, 2).build_with(ManualClock::new()).unwrap();
        for name in 100..102 {
            let acquire = || keyed.try_acquire(&Name(name), 1);
            assert!(catch_unwind(AssertUnwindSafe(acquire)).is_err());
        }
        keyed.try_acquire(&Name(1), 1).unwrap();
        assert_eq!(keyed.len(), 1);
    }

    #[test]
    fn keys_that_would_not_begin_full_are_refused() {
        let config = Config::new(Rate::per_second(10)).burst(5);
        let error = Keyed::<u64>::new(config.initial(4), 10).unwrap_err();
        assert_eq!(error, ConfigError::InitialNotFull { initial: 4, burst: 5 });
        assert!(Keyed::<u64>::new(config.initial(5), 10).is_ok());
    }

    #[test]
    fn withdrawing_a_limit_that_is_not_there_adds_no_key() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 1);
        keyed.reset_limit("unknown");
        assert!(keyed.is_empty());
        keyed.try_acquire("known", 3).unwrap();
        keyed.reset_limit("known");
        keyed.reset_limit("unknown");
        assert_eq!((keyed.len(), keyed.available("known")), (1, 2));
    }

    type Shared = Arc<Keyed<String, ManualClock>>;

    /// A key that became full, and was to be forgotten, between the denial of a handle's request
    /// and its joining the line, with the handle.
    fn nearly_forgotten(clock: &ManualClock) -> (Shared, Key<Shared, String>) {
        let keyed = Arc::new(keyed(clock, 100));
        keyed.try_acquire("a", 5).unwrap();
        let key = Key::new(Arc::clone(&keyed), "a".to_owned());
        let other = Arc::clone(&keyed);
        let waker = calls_when_cloned(move || {
            other.refund("a", 5);
            other.forget_idle_at(at(0));
        });
        let mut first = key.acquire(1);
        let served = pin!(&mut first).poll(&mut Context::from_waker(&waker));
        assert_eq!(served, Poll::Ready(Ok(())));
        drop(first);
        keyed.try_acquire("a", keyed.available("a")).unwrap();
        (keyed, key)
    }

    /// The waking loop clones a waker before it joins a line.
    fn calls_when_cloned(f: impl FnOnce() + 'static) -> Waker {
        const TABLE: RawWakerVTable = RawWakerVTable::new(
            |_| {
                if let Some(f) = ON_CLONE.take() {
                    f();
                }
                RawWaker::new(std::ptr::null(), &TABLE)
            },
            |_| {},
            |_| {},
            |_| {},
        );
        thread_local! {
            static ON_CLONE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
        }
        ON_CLONE.set(Some(Box::new(f)));
        // SAFETY: the functions of the table use no data.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
    }

    #[test]
    fn a_refund_wakes_a_handle_whose_key_was_nearly_forgotten() {
        let clock = ManualClock::new();
        let (keyed, key) = nearly_forgotten(&clock);
        let counter = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&counter));
        let mut wait = key.acquire(5);
        assert!(pin!(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
        keyed.refund("a", 5);
        assert_eq!(counter.count(), 1);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
    }

    #[test]
    fn handles_of_a_key_that_was_nearly_forgotten_stand_in_one_line() {
        let clock = ManualClock::new();
        let (keyed, key) = nearly_forgotten(&clock);
        let other = Key::new(Arc::clone(&keyed), "a".to_owned());
        let (mut large, mut small) = (key.acquire(5), other.acquire(1));
        assert!(poll(&mut large).is_pending() && poll(&mut small).is_pending());
        clock.advance(Duration::from_millis(100));
        assert!(poll(&mut small).is_pending(), "behind the other");
        drop(small);
        assert!(keyed.try_acquire("a", 1).is_err(), "somebody still waits");
        clock.advance(Duration::from_millis(400));
        assert_eq!(poll(&mut large), Poll::Ready(Ok(())));
    }

    /// A timer whose alarms look at the limiter when they are dropped.
    #[derive(Clone, Default)]
    struct Nosy {
        clock: ManualClock,
        looks: Arc<OnceLock<Weak<Keyed<String, Self>>>>,
        dropped: Arc<AtomicUsize>,
    }

    struct NosyAlarm(<ManualClock as Timer>::Alarm, Nosy);

    impl Drop for NosyAlarm {
        fn drop(&mut self) {
            if let Some(keyed) = self.1.looks.get().and_then(Weak::upgrade) {
                // Would wait for ever if the lock of the only shard were held.
                assert_eq!(keyed.available("b"), 5);
                self.1.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    impl Clock for Nosy {
        fn now(&self) -> Instant {
            self.clock.now()
        }
    }

    impl Timer for Nosy {
        type Alarm = NosyAlarm;

        fn alarm(&self) -> NosyAlarm {
            NosyAlarm(self.clock.alarm(), self.clone())
        }

        fn set(&self, alarm: &mut NosyAlarm, at: Instant, waker: &Waker) {
            self.clock.set(&mut alarm.0, at, waker);
        }
    }

    #[test]
    fn an_alarm_of_a_forgotten_key_is_dropped_with_no_lock_held() {
        let timer = Nosy::default();
        let config = Config::new(Rate::per_second(10)).burst(5);
        let keyed = Keyed::<String>::builder(config, 2).build_with(timer.clone()).unwrap();
        let keyed = Arc::new(keyed);
        for forget in [true, false] {
            keyed.try_acquire("a", 5).unwrap();
            let key = Key::new(Arc::clone(&keyed), "a".to_owned());
            assert!(poll(&mut key.acquire(1)).is_pending());
            drop(key);
            timer.clock.advance(SECOND);
            let _looks_from_now_on = timer.looks.set(Arc::downgrade(&keyed));
            let before = timer.dropped.load(Relaxed);
            if forget {
                keyed.forget_idle_at(timer.now());
            } else {
                for newcomer in ["c", "d", "e"] {
                    let _full_or_not = keyed.try_acquire(newcomer, 1);
                }
            }
            assert_eq!(timer.dropped.load(Relaxed), before + 1);
        }
    }

    #[test]
    fn own_limits_stay_until_they_are_withdrawn() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 2);
        keyed.set_limit("vip", Config::new(Rate::per_second(100)).burst(50)).unwrap();
        assert_eq!(keyed.available("vip"), 50, "a key that was not known is full");
        clock.advance(SECOND);
        for key in 0..20 {
            let _full_or_not = keyed.try_acquire(key.to_string().as_str(), 1);
        }
        assert_eq!(keyed.available("vip"), 50, "never forgotten");
        keyed.try_acquire("vip", 50).unwrap();
        keyed.reset_limit("vip");
        assert_eq!(keyed.available("vip"), 0, "tokens are carried over, not made");
        clock.advance(SECOND);
        assert_eq!(keyed.available("vip"), 5);
        let invalid = keyed.set_limit("vip", Config::new(Rate::per_second(0)));
        assert_eq!(invalid, Err(SetLimitError::Config(ConfigError::ZeroRate)));
    }

    #[test]
    fn forgotten_keys_are_exactly_those_that_are_full() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 100);
        keyed.try_acquire("one", 1).unwrap();
        keyed.try_acquire("five", 5).unwrap();
        clock.advance(Duration::from_millis(100));
        keyed.forget_idle_at(at(100));
        assert_eq!(keyed.len(), 1);
        assert_eq!(keyed.available("five"), 1);
    }

    #[test]
    fn waiters_of_one_key_stand_in_one_line_and_keep_its_place() {
        let clock = ManualClock::new();
        let keyed = Arc::new(keyed(&clock, 1));
        keyed.try_acquire("a", 5).unwrap();
        let (one, two) = (keyed.key("a".into()), Key::new(Arc::clone(&keyed), "a".into()));
        let (mut first, mut second) = (one.acquire(5), two.acquire(1));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        clock.advance(Duration::from_millis(100));
        assert!(poll(&mut second).is_pending(), "first come, first served, across handles");
        let denied = keyed.try_acquire("a", 1).unwrap_err();
        assert_eq!(denied.retry_after(), Some(Duration::from_millis(600)), "behind 6 tokens");
        clock.advance(Duration::from_millis(400));
        assert_eq!(poll(&mut first), Poll::Ready(Ok(())));
        clock.advance(Duration::from_millis(100));
        assert_eq!(poll(&mut second), Poll::Ready(Ok(())));
        clock.advance(SECOND);
        let full = Err(KeyedError::TableFull { capacity: 1 });
        assert_eq!(keyed.try_acquire("b", 1), full, "a handle keeps the place");
        drop((first, second));
        drop((one, two));
        keyed.try_acquire("b", 1).unwrap();
    }

    #[test]
    fn refund_and_limit_changes_wake_the_waiters_of_the_key() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 10);
        keyed.try_acquire("a", 5).unwrap();
        let key = keyed.key("a".to_owned());
        let mut wait = key.acquire(2);
        assert!(poll(&mut wait).is_pending());
        keyed.refund("a", 2);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(())));
        let mut wait = key.acquire(5);
        assert!(poll(&mut wait).is_pending());
        keyed.set_limit("a", Config::new(Rate::per_second(1)).burst(4)).unwrap();
        assert_eq!(poll(&mut wait), Poll::Ready(Err(KeyedError::ExceedsBurst { burst: 4 })));
        let mut late = key.acquire(4).timeout(SECOND);
        assert!(matches!(poll(&mut late), Poll::Ready(Err(KeyedError::TimedOut { .. }))));
    }

    #[test]
    fn a_key_without_a_place_cannot_wait() {
        let clock = ManualClock::new();
        let keyed = keyed(&clock, 1);
        keyed.try_acquire("a", 5).unwrap();
        let key = keyed.key("b".to_owned());
        let full = Poll::Ready(Err(KeyedError::TableFull { capacity: 1 }));
        assert_eq!(poll(&mut key.acquire(1)), full);
    }

    #[test]
    fn threads_on_many_keys_grant_exactly_each_burst() {
        let keyed = Arc::new(keyed(&ManualClock::new(), 1_000));
        let granted: usize = std::thread::scope(|scope| {
            let count = |_| {
                let keyed = Arc::clone(&keyed);
                scope.spawn(move || {
                    let tries = (0..10).flat_map(|_| 0..100);
                    tries
                        .filter(|key| keyed.try_acquire(key.to_string().as_str(), 1).is_ok())
                        .count()
                })
            };
            let threads: Vec<_> = (0..4).map(count).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(granted, 100 * 5);
    }

    #[test]
    fn capacity_and_configuration_are_checked_when_built() {
        let config = Config::new(Rate::per_second(1));
        for capacity in [0, usize::MAX] {
            let error = Keyed::<u64>::new(config, capacity).unwrap_err();
            assert!(matches!(error, ConfigError::CapacityOutOfRange { .. }), "{error}");
        }
        let error = Keyed::<u64>::new(Config::new(Rate::per_second(0)), 1).unwrap_err();
        assert_eq!(error, ConfigError::ZeroRate);
    }
}

mod throttle {
    use super::*;

    #[test]
    fn items_wait_for_what_they_cost_and_come_in_order() {
        let clock = ManualClock::new();
        let bucket = Config::new(Rate::per_second(10)).burst(3).build_with(&clock).unwrap();
        let mut items = Throttle::new(stream::iter([3_u64, 1, 2]), &bucket, |cost| *cost);
        assert_eq!(items.size_hint(), (3, Some(3)));
        assert_eq!(poll(&mut items.next()), Poll::Ready(Some(Ok(3))));
        assert!(poll(&mut items.next()).is_pending());
        assert_eq!(items.size_hint(), (2, Some(2)), "the one that waits is still to come");
        assert_eq!(bucket.stats().line.waiting, 1);
        clock.advance(Duration::from_millis(100));
        assert_eq!(poll(&mut items.next()), Poll::Ready(Some(Ok(1))));
        clock.advance(Duration::from_millis(200));
        assert_eq!(poll(&mut items.next()), Poll::Ready(Some(Ok(2))));
        assert_eq!(poll(&mut items.next()), Poll::Ready(None));
    }

    #[test]
    fn no_token_is_held_while_the_inner_stream_has_nothing() {
        let clock = ManualClock::new();
        let bucket = Config::new(Rate::per_second(1)).build_with(&clock).unwrap();
        let mut items = Throttle::new(stream::pending::<u64>(), &bucket, |_| 1);
        assert!(poll(&mut items.next()).is_pending());
        assert_eq!(bucket.available(), 1);
    }

    #[test]
    fn a_closed_bucket_ends_items_in_errors_and_dropping_gives_up_the_place() {
        let clock = ManualClock::new();
        let bucket = Config::new(Rate::per_second(1)).build_with(&clock).unwrap();
        let mut items = Throttle::new(stream::iter([1, 2, 3]), &bucket, |_| 1);
        assert_eq!(poll(&mut items.next()), Poll::Ready(Some(Ok(1))));
        assert!(poll(&mut items.next()).is_pending());
        bucket.close();
        assert_eq!(poll(&mut items.next()), Poll::Ready(Some(Err(AcquireError::Closed))));
        drop(items);
        assert_eq!(bucket.stats().line.waiting, 0);
    }
}

#[cfg(feature = "serde")]
mod data {
    use super::*;

    #[test]
    fn configuration_is_read_and_written_as_humans_do() {
        let text = r#"{"tokens":33,"per":"1m 40s","burst":5,"max_waiters":7,"counted":true}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        let expected = Config::new(Rate::new(33, Duration::from_secs(100)));
        assert_eq!(config, expected.burst(5).max_waiters(7).counted(true));
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
        let short: Config = serde_json::from_str(r#"{"tokens":1,"per":"250ms"}"#).unwrap();
        assert_eq!(short, Config::new(Rate::new(1, Duration::from_millis(250))));
    }

    #[test]
    fn bad_input_is_refused_when_it_is_read() {
        let refused = |text: &str| serde_json::from_str::<Config>(text).unwrap_err().to_string();
        assert!(refused(r#"{"tokens":0,"per":"1s"}"#).contains("rate of 0 tokens"));
        assert!(refused(r#"{"tokens":5,"per":"1s","initial":6}"#).contains("initial fill of 6"));
        assert!(refused(r#"{"tokens":5,"per":"1s","brust":6}"#).contains("unknown field"));
        assert!(refused(r#"{"tokens":5,"per":"soon"}"#).contains("expected a duration"));
    }
}

mod limits_of_waiting {
    use super::*;

    #[test]
    fn a_deadline_in_the_past_fails_even_if_there_is_enough_and_a_timeout_of_zero_does_not() {
        let clock = ManualClock::starting_at(at(10));
        let bucket = Config::new(Rate::per_second(10)).build_with(&clock).unwrap();
        let past = bucket.acquire(1).deadline(at(9));
        assert_eq!(past.wait(), Err(AcquireError::TimedOut { ready_at: at(10) }));
        bucket.acquire(1).deadline(at(10)).wait().unwrap();
        bucket.acquire(1).timeout(Duration::ZERO).wait().unwrap();
        assert_eq!(bucket.available(), 8);
    }
}
