//! The shared types under threads and tasks: each number once, waits that end, changes that add up.

#![cfg(all(feature = "std", not(loom)))]

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_sequence_tracker::{
    Acquire, AcquireError, Arrival, Awaited, Change, Config, Freshness, Run, SequenceTracker,
    SharedReplayWindow,
};

const SECOND: Duration = Duration::from_secs(1);

fn manual() -> SequenceTracker<ManualClock> {
    Config::new().build_with(ManualClock::new()).expect("a valid configuration")
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A clock that counts how often it is read: a number in order that takes no lock reads none.
#[derive(Default)]
struct Counting(AtomicU64);

impl Clock for &Counting {
    fn now(&self) -> Instant {
        self.0.fetch_add(1, Ordering::Relaxed);
        Instant::ZERO
    }
}

mod replay {
    use super::*;

    #[test]
    fn each_number_is_fresh_once() {
        const LAST: u64 = 40_000;
        static WINDOW: SharedReplayWindow<129> = SharedReplayWindow::new();
        let fresh: Vec<Vec<u64>> = thread::scope(|scope| {
            let threads = [(); 3].map(|()| {
                scope.spawn(|| {
                    let (mut fresh, mut edge) = (Vec::new(), 0);
                    for number in 0..LAST {
                        // A bit out of order.
                        let number = number ^ 5;
                        if WINDOW.record(number).is_fresh() {
                            fresh.push(number);
                        }
                        assert_ne!(WINDOW.check(number), Freshness::Fresh);
                        let now = WINDOW.right_edge().unwrap();
                        assert!(now >= edge && now >= number, "the edge never goes back");
                        edge = now;
                    }
                    fresh
                })
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all: Vec<u64> = fresh.into_iter().flatten().collect();
        let set: BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!(all.len(), set.len(), "for one of them");
        assert_eq!(WINDOW.right_edge(), Some((LAST - 1) | 5));
    }

    #[test]
    fn a_window_that_was_cleared_has_seen_nothing() {
        let mut window = SharedReplayWindow::<33>::new();
        assert!((0..1_000).all(|number| window.record(number).is_fresh()));
        window.clear();
        assert_eq!(window.right_edge(), None);
        assert!([0, 999, 5].into_iter().all(|number| window.check(number).is_fresh()));
        assert!(window.record(3).is_fresh());
        assert_eq!(window.right_edge(), Some(3));
    }

    #[test]
    fn numbers_of_several_receivers_that_stay_in_the_window_are_all_fresh() {
        let window = SharedReplayWindow::<2_049>::new();
        thread::scope(|scope| {
            let threads = [0, 1, 2].map(|from| {
                let window = &window;
                scope.spawn(move || {
                    (from..16_000).step_by(3).all(|number| window.record(number).is_fresh())
                })
            });
            for thread in threads {
                assert!(thread.join().unwrap());
            }
        });
        assert_eq!(window.right_edge(), Some(15_999));
        assert!((0..16_000).all(|number| window.record(number) == Freshness::Duplicate));
    }
}

mod tracker {
    use super::*;

    #[test]
    fn several_threads_account_for_each_number_once() {
        const LAST: u64 = 30_000;
        let tracker = manual();
        tracker.record(0);
        let mut changes = tracker.changes();
        let counts = thread::scope(|scope| {
            let threads = [0, 1, 2].map(|from| {
                let tracker = &tracker;
                scope.spawn(move || {
                    let mut counts = [0_u64; 3];
                    for number in (1..=LAST).skip(from).step_by(3) {
                        match tracker.record(number) {
                            Arrival::Next => counts[0] += 1,
                            Arrival::Ahead { abandoned: None, .. } => counts[1] += 1,
                            Arrival::Filled { abandoned: None, .. } => counts[2] += 1,
                            // So many gaps that the lowest was abandoned.
                            _ => (),
                        }
                    }
                    counts
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        let stats = tracker.stats();
        assert_eq!(stats.expected, LAST + 1);
        assert_eq!(stats.received() + stats.lost(), LAST + 1);
        assert_eq!((stats.duplicates, stats.lost()), (0, stats.too_old + stats.missing));
        let counted: u64 = counts.iter().flatten().sum();
        assert!(counted <= LAST && counted > 0);
        while let Some(entry) = changes.try_next() {
            assert!(!matches!(entry.item, Change::Restarted { .. } | Change::Settled { .. }));
        }
    }

    #[test]
    fn each_of_many_copies_is_fresh_for_one() {
        let tracker = manual();
        tracker.record(0);
        let fresh: usize = thread::scope(|scope| {
            let threads = [(); 3].map(|()| {
                scope.spawn(|| (1..=20_000).filter(|&n| tracker.record(n).is_fresh()).count())
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(fresh, 20_000);
        assert_eq!(tracker.contiguous_through(), Some(20_000));
        assert_eq!(tracker.stats().duplicates, 40_000);
    }

    #[test]
    fn changes_add_up_to_what_is_missing() {
        let tracker = Arc::new(manual());
        tracker.record(0);
        let changes = tracker.changes();
        let reader = thread::spawn(move || {
            let (mut missing, mut missed) = (BTreeSet::new(), 0);
            for entry in changes {
                missed += entry.missed;
                let numbers = |run: Run| run.first..=run.last;
                match entry.item {
                    Change::Opened { run } => missing.extend(numbers(run)),
                    Change::Filled { run } | Change::Abandoned { run } => {
                        for number in numbers(run) {
                            assert!(missing.remove(&number) || missed > 0, "in order");
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            (missing, missed)
        });
        thread::scope(|scope| {
            for from in [1, 2] {
                let tracker = &tracker;
                scope.spawn(move || {
                    for number in (from..2_000_u64).step_by(2).filter(|n| n % 7 != 0) {
                        tracker.record(number);
                        if number % 64 < 2 {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        let left: BTreeSet<u64> = tracker.missing().into_iter().flatten().collect();
        drop(Arc::into_inner(tracker).unwrap());
        let (missing, missed) = reader.join().unwrap();
        assert!(missing == left || missed > 0);
    }

    #[test]
    fn a_number_in_order_takes_no_lock_while_gaps_are_open() {
        let clock = Counting::default();
        let tracker = Config::new().build_with(&clock).unwrap();
        tracker.record(1);
        tracker.record(5);
        assert_eq!(clock.0.load(Ordering::Relaxed), 2);
        assert!((6..100).all(|number| tracker.record(number) == Arrival::Next));
        assert_eq!(tracker.missing(), [2..=4], "looking puts the edge back");
        assert!((100..200).all(|number| tracker.record(number) == Arrival::Next));
        assert_eq!(clock.0.load(Ordering::Relaxed), 2);
        assert_eq!(
            tracker.record_at(3, Instant::ZERO),
            Arrival::Filled { remaining: 2, abandoned: None }
        );
        assert_eq!(clock.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_stream_of_changes_is_for_tasks() {
        let tracker = manual();
        let mut changes = tracker.changes();
        tracker.record(1);
        let mut next = StreamExt::next(&mut changes);
        assert!(poll(&mut next).is_pending(), "in order is no change");
        tracker.record(4);
        let Poll::Ready(Some(entry)) = poll(&mut next) else { panic!("a gap") };
        assert_eq!(entry.item, Change::Opened { run: Run { first: 2, last: 3 } });
        tracker.skip_to(7);
        let settled = |first, last| Change::Settled { run: Run { first, last } };
        assert_eq!(changes.try_next().unwrap().item, settled(2, 3));
        assert_eq!(changes.try_next().unwrap().item, settled(5, 6));
        tracker.reset();
        assert_eq!(changes.try_next().unwrap().item, Change::Restarted { lost: 0 });
        drop(tracker);
        assert_eq!(poll(&mut StreamExt::next(&mut changes)), Poll::Ready(None));
    }
}

mod acquire {
    use super::*;

    #[test]
    fn it_is_over_when_the_last_gap_is_filled() {
        let tracker = manual();
        tracker.record(1);
        tracker.record(5);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut wait = tracker.acquire(4);
        let mut poll = || Pin::new(&mut wait).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        tracker.record(2);
        tracker.record(4);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "nothing that he waits for has come");
        assert!(poll().is_pending());
        tracker.record(3);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(), Poll::Ready(Ok(5)));
    }

    #[test]
    fn it_is_over_when_the_next_number_comes() {
        let tracker = manual();
        tracker.record(1);
        let mut wait = tracker.acquire(3);
        assert!(poll(&mut wait).is_pending());
        tracker.record(2);
        assert!(poll(&mut wait).is_pending());
        tracker.record(3);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(3)));
    }

    #[test]
    fn what_is_skipped_or_in_a_snapshot_ends_it_too() {
        type End = fn(&SequenceTracker<ManualClock>);
        let ends: [End; 2] = [|tracker| _ = tracker.skip_to(5), |tracker| tracker.resynced(4)];
        for end in ends {
            let tracker = manual();
            tracker.record(1);
            tracker.record(5);
            let mut wait = tracker.acquire(5);
            assert!(poll(&mut wait).is_pending());
            end(&tracker);
            assert_eq!(poll(&mut wait), Poll::Ready(Ok(5)));
        }
    }

    #[test]
    fn it_is_never_a_proof_of_what_was_lost() {
        let delays = steadfast_backoff::Config::constant(SECOND).max_retries(1);
        let config = Config::new().max_gaps(2).request(delays);
        let tracker = config.build_with(ManualClock::new()).unwrap();
        let lost = |through, first, last| {
            Poll::Ready(Err(AcquireError::Lost { through, lost: Run { first, last } }))
        };
        assert!([1, 3, 5].into_iter().all(|number| tracker.record(number).is_fresh()));
        let (mut two, mut six) = (tracker.acquire(2), tracker.acquire(6));
        assert!(poll(&mut two).is_pending() && poll(&mut six).is_pending());
        // For want of room.
        tracker.record(7);
        assert_eq!(poll(&mut two), lost(3, 2, 2));
        assert!(poll(&mut six).is_pending(), "4 and 6 may come yet");
        assert_eq!(poll(&mut tracker.acquire(1)), Poll::Ready(Ok(1)), "through 1 it has come");
        // Given up after the last request, and by hand.
        tracker.clock().advance(SECOND);
        assert_eq!(tracker.due().len(), 2);
        tracker.give_up_below(5);
        assert!(poll(&mut six).is_pending());
        tracker.clock().advance(SECOND);
        assert_eq!(tracker.due().len(), 1);
        assert_eq!(poll(&mut six), lost(7, 2, 6));
        let error = poll(&mut tracker.acquire(7));
        assert_eq!(error, lost(7, 2, 6), "also for whoever begins to wait");
        let Poll::Ready(Err(error)) = error else { panic!("lost") };
        assert_eq!(error.to_string(), "some numbers from 2 to 6 are lost");
        // A snapshot has it.
        tracker.resynced(6);
        assert_eq!(poll(&mut tracker.acquire(7)), Poll::Ready(Ok(7)));
    }

    #[test]
    fn at_the_deadline_it_says_what_is_missing() {
        let tracker = manual();
        for number in [1, 4, 9] {
            tracker.record(number);
        }
        let mut wait = tracker.acquire(7).timeout(SECOND);
        let mut beyond = tracker.acquire(12).deadline(Instant::ZERO.saturating_add(2 * SECOND));
        assert!(poll(&mut wait).is_pending() && poll(&mut beyond).is_pending());
        tracker.clock().advance(Duration::from_nanos(999_999_999));
        assert!(poll(&mut wait).is_pending());
        tracker.clock().advance(Duration::from_nanos(1));
        let missing = vec![2..=3, 5..=7];
        assert_eq!(poll(&mut wait), Poll::Ready(Err(AcquireError::TimedOut { missing })));
        assert!(poll(&mut beyond).is_pending());
        tracker.clock().advance(SECOND);
        let missing = vec![2..=3, 5..=8, 10..=12];
        let error = AcquireError::TimedOut { missing };
        assert_eq!(error.to_string(), "not everything has come in time: 3 ranges are missing");
        assert_eq!(poll(&mut beyond), Poll::Ready(Err(error)));
        // What has come is given, however late it is.
        assert_eq!(tracker.acquire(1).deadline(Instant::ZERO).wait(), Ok(1));
        let missing = vec![2..=2];
        let late = tracker.acquire(2).deadline(Instant::ZERO).wait();
        assert_eq!(late, Err(AcquireError::TimedOut { missing }));
    }

    #[test]
    fn a_restart_ends_it() {
        let tracker = Config::new().max_jump(10).build_with(ManualClock::new()).unwrap();
        tracker.record(1);
        let mut wait = tracker.acquire(3);
        assert!(poll(&mut wait).is_pending());
        tracker.record(100);
        assert!(poll(&mut wait).is_pending(), "only a suspect");
        tracker.record(101);
        assert_eq!(poll(&mut wait), Poll::Ready(Err(AcquireError::Restarted)));
        let mut wait = tracker.acquire(200);
        assert!(poll(&mut wait).is_pending());
        tracker.reset();
        assert_eq!(poll(&mut wait), Poll::Ready(Err(AcquireError::Restarted)));
    }

    #[test]
    fn those_who_wait_for_less_are_served_first() {
        let tracker = manual();
        tracker.record(0);
        let mut waits: Vec<_> = (1..=20).rev().map(|number| tracker.acquire(number)).collect();
        assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
        for number in 1..=20_u64 {
            tracker.record(number);
            let wait = waits.last_mut().unwrap();
            assert_eq!(poll(wait), Poll::Ready(Ok(number)));
            waits.pop();
            assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
        }
    }

    #[test]
    fn whoever_waits_for_the_most_hears_of_it_after_the_others_left() {
        let tracker = manual();
        tracker.record(0);
        let (mut low, mut high) = (tracker.acquire(1), tracker.acquire(2));
        assert!(poll(&mut high).is_pending() && poll(&mut low).is_pending());
        drop(low);
        tracker.record_range(1..=2).unwrap();
        assert_eq!(poll(&mut high), Poll::Ready(Ok(2)));
    }

    /// So many who wait for as many numbers, each polled once, and all wakes there are.
    fn many_who_wait(
        tracker: &SequenceTracker<ManualClock>,
        many: u64,
        timeout: Duration,
    ) -> (Vec<Acquire<&SequenceTracker<ManualClock>>>, Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut waits: Vec<_> = (1..=many).map(|n| tracker.acquire(n).timeout(timeout)).collect();
        for wait in &mut waits {
            let poll = Pin::new(wait).poll(&mut Context::from_waker(&waker));
            assert_eq!(poll, Poll::Pending);
        }
        (waits, woken, waker)
    }

    #[test]
    fn each_of_many_who_wait_for_as_many_numbers_is_woken_once() {
        const MANY: u64 = 1_000;
        let tracker = manual();
        tracker.record(0);
        let (mut waits, woken, waker) = many_who_wait(&tracker, MANY, 60 * SECOND);
        let mut context = Context::from_waker(&waker);
        for (wait, number) in waits.iter_mut().zip(1..) {
            tracker.record(number);
            tracker.clock().advance(Duration::from_millis(1));
            assert_eq!(
                woken.0.load(Ordering::Relaxed),
                number,
                "nobody but the one who waits for it"
            );
            assert_eq!(Pin::new(wait).poll(&mut context), Poll::Ready(Ok(number)));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), MANY);
        assert_eq!(tracker.clock().next_alarm(), None);
    }

    #[test]
    fn all_who_wait_for_no_more_than_what_has_come_are_woken_at_once_and_once() {
        let tracker = manual();
        tracker.record(0);
        let (mut waits, woken, waker) = many_who_wait(&tracker, 100, SECOND);
        // From 2 to 60 they are there; 1 is what they miss.
        tracker.record_range(2..=60).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        tracker.record(1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 60);
        // What was given up ends a wait as well.
        tracker.record(70);
        tracker.give_up_below(65);
        assert_eq!(woken.0.load(Ordering::Relaxed), 64);
        tracker.give_up_below(70);
        assert_eq!(woken.0.load(Ordering::Relaxed), 70);
        let mut context = Context::from_waker(&waker);
        let mut answer = |number: usize| Pin::new(&mut waits[number - 1]).poll(&mut context);
        assert!((1..=60).all(|number| answer(number) == Poll::Ready(Ok(60))));
        let lost = AcquireError::Lost { through: 70, lost: Run { first: 61, last: 69 } };
        assert!((61..=70).all(|number| answer(number) == Poll::Ready(Err(lost.clone()))));
        tracker.clock().advance(SECOND);
        assert_eq!(woken.0.load(Ordering::Relaxed), 100, "for their deadlines");
        for number in 71..=100 {
            let missing = vec![71..=number as u64];
            assert_eq!(answer(number), Poll::Ready(Err(AcquireError::TimedOut { missing })));
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_restart_wakes_all_once() {
        let tracker = manual();
        tracker.record(0);
        let (mut waits, woken, waker) = many_who_wait(&tracker, 100, SECOND);
        tracker.reset();
        assert_eq!(woken.0.load(Ordering::Relaxed), 100);
        // Whoever begins to wait in the new run has nothing to do with them.
        tracker.record(0);
        let mut new = tracker.acquire(1);
        assert!(poll(&mut new).is_pending());
        for wait in &mut waits {
            let poll = Pin::new(wait).poll(&mut Context::from_waker(&waker));
            assert_eq!(poll, Poll::Ready(Err(AcquireError::Restarted)));
        }
        drop(waits);
        tracker.record(1);
        assert_eq!(poll(&mut new), Poll::Ready(Ok(1)));
        assert_eq!(woken.0.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn all_who_wait_for_one_number_are_woken_by_it() {
        let tracker = manual();
        tracker.record(0);
        let [first, second] = [(); 2].map(|()| Arc::new(Woken::default()));
        let mut waits = [&first, &second].map(|woken| {
            let mut wait = tracker.acquire(2);
            let waker = Waker::from(Arc::clone(woken));
            assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
            wait
        });
        let mut dropped = tracker.acquire(2);
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        tracker.record(1);
        let both = || [&first, &second].map(|woken| woken.0.load(Ordering::Relaxed));
        assert_eq!(both(), [0, 0]);
        tracker.record(2);
        assert_eq!(both(), [1, 1]);
        assert!(waits.iter_mut().all(|wait| poll(wait) == Poll::Ready(Ok(2))));
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_else_waiting() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a waker");
            }
        }

        let tracker = manual();
        tracker.record(0);
        let mut waits = [tracker.acquire(1), tracker.acquire(1), tracker.acquire(2)];
        let woken = Arc::new(Woken::default());
        let good = Waker::from(Arc::clone(&woken));
        let wakers = [Waker::from(Arc::new(Panics)), good.clone(), good];
        for (wait, waker) in waits.iter_mut().zip(&wakers) {
            assert!(Pin::new(wait).poll(&mut Context::from_waker(waker)).is_pending());
        }
        tracker.record_range(1..=2).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(waits.iter_mut().all(|wait| poll(wait) == Poll::Ready(Ok(2))));
    }

    #[test]
    fn once_nobody_waits_numbers_in_order_take_no_lock_again() {
        let clock = CountingTimer::default();
        let tracker = Config::new().build_with(clock).unwrap();
        let reads = || tracker.clock().0.load(Ordering::Relaxed);
        tracker.record(1);
        let mut waits = [tracker.acquire(9), tracker.acquire(8)];
        assert!(waits.iter_mut().all(|wait| poll(wait).is_pending()));
        let reads_of = |number| {
            let before = reads();
            assert_eq!(tracker.record(number), Arrival::Next);
            reads() - before
        };
        assert_eq!(reads_of(2), 1, "somebody has to be told");
        let [first, second] = waits;
        drop(first);
        assert_eq!(reads_of(3), 1);
        drop(second);
        drop(tracker.acquire(99));
        assert_eq!(reads_of(4), 0);
        assert_eq!(tracker.right_edge(), Some(4));
    }

    /// A manual clock that counts how often it is read.
    #[derive(Default)]
    struct CountingTimer(AtomicU64, ManualClock);

    impl Clock for CountingTimer {
        fn now(&self) -> Instant {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.now()
        }
    }

    impl steadfast_core::Timer for CountingTimer {
        type Alarm = <ManualClock as steadfast_core::Timer>::Alarm;

        fn alarm(&self) -> Self::Alarm {
            self.1.alarm()
        }

        fn set(&self, alarm: &mut Self::Alarm, at: Instant, waker: &Waker) {
            self.1.set(alarm, at, waker);
        }

        fn system_time_until(&self, until: Instant) -> Option<Duration> {
            self.1.system_time_until(until)
        }
    }

    #[test]
    fn it_never_fails_with_nothing_missing() {
        // Whatever comes meanwhile: what is missing is looked up with the answer.
        let tracker = Config::new().starts_at(1).build_with(ManualClock::new()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| (1..=5_000).for_each(|number| _ = tracker.record(number ^ 1)));
            for number in (0..=5_000).cycle().take(20_000) {
                match tracker.acquire(number).deadline(Instant::ZERO).wait() {
                    Ok(through) => assert!(through >= number),
                    Err(AcquireError::TimedOut { missing }) => {
                        assert!(missing.last().is_some_and(|last| *last.end() <= number));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }

    #[test]
    fn threads_and_tasks_wait_for_the_same() {
        let tracker = Arc::new(Config::new().starts_at(1).build().unwrap());
        let threads: Vec<_> = (1..=4)
            .map(|n| {
                let tracker = Arc::clone(&tracker);
                thread::spawn(move || tracker.acquire(50 * n).wait())
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let tasks: Vec<_> = (1..=8)
            .map(|n| runtime.spawn(Acquire::new(Arc::clone(&tracker), 25 * n).timeout(60 * SECOND)))
            .collect();
        let brings = |from: usize| {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || {
                for number in (1..=200).skip(from).step_by(2) {
                    tracker.record(number);
                    thread::yield_now();
                }
            })
        };
        let bringing = [brings(0), brings(1)];
        for (n, thread) in (1_u64..).zip(threads) {
            assert!(thread.join().unwrap().unwrap() >= 50 * n);
        }
        runtime.block_on(async {
            for (n, task) in (1_u64..).zip(tasks) {
                assert!(task.await.unwrap().unwrap() >= 25 * n);
            }
        });
        for thread in bringing {
            thread.join().unwrap();
        }
        assert_eq!(tracker.contiguous_through(), Some(200));
    }

    #[test]
    fn a_thread_is_woken_by_a_manual_clock() {
        let tracker = Arc::new(manual());
        tracker.record(1);
        let waiter = {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || tracker.acquire(3).timeout(SECOND).wait())
        };
        while tracker.clock().next_alarm().is_none() {
            thread::yield_now();
        }
        tracker.record(2);
        tracker.clock().advance(SECOND);
        let missing = vec![3..=3];
        assert_eq!(waiter.join().unwrap(), Err(AcquireError::TimedOut { missing }));
    }

    #[test]
    fn a_wait_that_was_polled_may_block_a_thread_and_be_given_another_limit() {
        let tracker = manual();
        tracker.record(1);
        let mut wait = tracker.acquire(3).timeout(SECOND);
        assert!(poll(&mut wait).is_pending());
        let mut timed = tracker.acquire(3).timeout(9 * SECOND);
        assert!(poll(&mut timed).is_pending());
        let mut timed = timed.timeout(3 * SECOND);
        assert!(poll(&mut timed).is_pending());
        let mut dated = tracker.acquire(3);
        assert!(poll(&mut dated).is_pending());
        let mut dated = dated.deadline(tracker.clock().now().saturating_add(4 * SECOND));
        assert!(poll(&mut dated).is_pending());
        tracker.clock().advance(2 * SECOND);
        let missing = || vec![2..=3];
        assert_eq!(wait.wait(), Err(AcquireError::TimedOut { missing: missing() }));
        let late = || Poll::Ready(Err(AcquireError::TimedOut { missing: missing() }));
        assert!(poll(&mut timed).is_pending() && poll(&mut dated).is_pending());
        tracker.clock().advance(SECOND);
        assert_eq!(poll(&mut timed), late());
        assert!(poll(&mut dated).is_pending());
        tracker.clock().advance(SECOND);
        assert_eq!(poll(&mut dated), late());

        let mut wait = tracker.acquire(3);
        assert!(poll(&mut wait).is_pending());
        let come = thread::scope(|scope| {
            let waiter = scope.spawn(|| wait.wait());
            thread::yield_now();
            tracker.record_range(2..=3).unwrap();
            waiter.join().unwrap()
        });
        assert_eq!(come, Ok(3));
    }

    #[test]
    #[should_panic(expected = "polled after it was over")]
    fn a_wait_that_is_polled_after_its_end_panics() {
        let tracker = manual();
        tracker.record(1);
        let mut wait = tracker.acquire(1);
        assert_eq!(poll(&mut wait), Poll::Ready(Ok(1)));
        let _ = poll(&mut wait);
    }

    #[test]
    fn an_owner_can_be_anything() {
        fn through<O: Deref<Target: Awaited> + Clone>(owner: O) -> Result<u64, AcquireError> {
            Acquire::new(owner, 1).wait()
        }
        let tracker = Arc::new(manual());
        tracker.record(1);
        assert_eq!((through(&*tracker), through(Arc::clone(&tracker))), (Ok(1), Ok(1)));
    }
}
