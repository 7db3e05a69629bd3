//! Models of the shared window and the shared tracker: every interleaving and every memory order that
//! C11 allows, up to `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --manifest-path crates/sequence-tracker/Cargo.toml --test loom
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures::StreamExt;
use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::model::Builder;
use loom::thread;
use steadfast_backoff::Random;
use steadfast_core::{Clock, Instant, Timer};
use steadfast_sequence_tracker::{
    Acquire, AcquireError, Arrival, Change, Changes, Config, Freshness, Run, SequenceTracker,
    SharedReplayWindow,
};

/// A model with three threads, or two that do a lot: one preemption less, so that it ends in seconds.
fn wide_model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.saturating_sub(1).max(1));
    builder.check(f);
}

/// Runs `one` beside `other` on what `new` makes, each beginning once: loom does not try all loads of
/// a thread that merely reads in front of the writes of one that begins later. Then `end` judges what
/// they saw.
fn beside<T: 'static, A: 'static, B: 'static>(
    new: fn() -> T,
    one: fn(&T) -> A,
    other: fn(&T) -> B,
    end: fn(&T, A, B),
) {
    for swapped in [false, true] {
        model(move || {
            let shared = Arc::new(new());
            let theirs = Arc::clone(&shared);
            let (a, b) = if swapped {
                let thread = thread::spawn(move || one(&theirs));
                let b = other(&shared);
                (thread.join().unwrap(), b)
            } else {
                let thread = thread::spawn(move || other(&theirs));
                let a = one(&shared);
                (a, thread.join().unwrap())
            };
            end(&shared, a, b);
        });
    }
}

// The replay window.

/// 256 numbers, in the smallest number of words.
type Shared = SharedReplayWindow<33>;

/// How far apart two numbers are that share a bit of a word.
const ROUND: u64 = 8 * 33;

/// One in which 7 has come.
fn window() -> Shared {
    let window = Shared::new();
    assert!(window.record(7).is_fresh());
    window
}

/// One in which another word has the edge.
fn walked() -> Shared {
    let window = window();
    assert!(window.record(40).is_fresh());
    window
}

/// Records it, and says what it was, and which edge was there afterwards.
fn record(window: &Shared, number: u64) -> (Freshness, u64) {
    (window.record(number), window.right_edge().unwrap())
}

/// What somebody was told is explained by the edge that he finds then.
#[track_caller]
fn assert_explained(number: u64, (freshness, edge): (Freshness, u64)) {
    match freshness {
        Freshness::TooOld => assert!(edge - number >= Shared::WINDOW, "{number} under {edge}"),
        Freshness::Fresh | Freshness::Duplicate => assert!(edge >= number, "{number} over {edge}"),
    }
}

fn one_of(a: Freshness, b: Freshness) -> bool {
    matches!((a, b), (Freshness::Fresh, Freshness::Duplicate))
        || matches!((a, b), (Freshness::Duplicate, Freshness::Fresh))
}

#[test]
fn number_is_fresh_once() {
    // The same number, and its neighbour in the same word.
    beside(
        window,
        |w| [w.record(9), w.record(10)],
        |w| [w.record(10), w.record(9)],
        |w, a, b| {
            assert!(one_of(a[0], b[1]) && one_of(a[1], b[0]), "W1: {a:?} {b:?}");
            assert_eq!(w.right_edge(), Some(10));
        },
    );
    // The word of a round later.
    beside(
        window,
        |w| w.record(9 + ROUND),
        |w| w.record(9 + ROUND),
        |w, a, b| {
            assert!(one_of(a, b), "W1: {a:?} {b:?}");
            assert_eq!(w.record(9 + ROUND), Freshness::Duplicate);
            assert_eq!(w.record(9), Freshness::TooOld);
        },
    );
}

#[test]
fn number_is_fresh_once_while_its_word_moves_on() {
    beside(
        window,
        |w| w.record(6 + ROUND),
        |w| [w.record(6), w.record(6 + ROUND), w.record(6)],
        |_, a, b| {
            assert!(one_of(a, b[1]), "W1: {a:?} {b:?}");
            assert_ne!(b[0], Freshness::Duplicate);
            assert_eq!(b[2], Freshness::TooOld, "its word has moved on");
        },
    );
}

#[test]
fn numbers_of_one_word_are_all_kept() {
    beside(
        window,
        |w| w.record(8 + ROUND),
        |w| w.record(9 + ROUND),
        |w, a, b| {
            assert!(a.is_fresh() && b.is_fresh());
            assert_eq!([8, 9, 10].map(|n| w.check(n + ROUND).is_fresh()), [false, false, true]);
            assert_eq!(w.right_edge(), Some(9 + ROUND));
        },
    );
}

#[test]
fn right_edge_never_goes_back() {
    beside(
        window,
        |w| w.record(7 + ROUND),
        |w| {
            let before = w.right_edge().unwrap();
            w.record(40);
            let after = w.right_edge().unwrap();
            assert!(before <= after, "from {before} to {after}");
        },
        |w, _, ()| assert_eq!(w.right_edge(), Some(7 + ROUND)),
    );
    beside(
        window,
        |w| record(w, 48),
        |w| record(w, 40),
        |w, a, b| {
            assert_explained(48, a);
            assert_explained(40, b);
            assert_eq!(w.right_edge(), Some(48));
        },
    );
}

#[test]
fn right_edge_never_goes_back_from_one_reader_to_the_next() {
    wide_model(|| {
        let window = Arc::new(window());
        let [jumper, walker] = [7 + ROUND, 40].map(|number| {
            let window = Arc::clone(&window);
            thread::spawn(move || window.record(number).is_fresh())
        });
        let before = window.right_edge();
        let after = window.right_edge();
        assert!(before <= after, "from {before:?} to {after:?}");
        assert!(jumper.join().unwrap() && walker.join().unwrap());
        assert_eq!(window.right_edge(), Some(7 + ROUND));
    });
}

#[test]
fn a_jump_against_a_late_number_is_explained_by_the_edge() {
    beside(
        walked,
        |w| record(w, 6 + ROUND),
        |w| record(w, 6),
        |w, a, b| {
            assert_explained(6 + ROUND, a);
            assert_explained(6, b);
            assert_eq!(w.record(6), Freshness::TooOld);
        },
    );
    // To the edge of the window: some of the lowest word are in it.
    beside(
        window,
        |w| record(w, Shared::WINDOW + 3),
        |w| [record(w, 3), record(w, 4)],
        |w, a, b| {
            assert_explained(Shared::WINDOW + 3, a);
            assert_explained(3, b[0]);
            assert!(b[1].0.is_fresh(), "it is the lowest of the window");
            let explained = [Freshness::TooOld, Freshness::Duplicate];
            assert_eq!([3, 4].map(|number| w.check(number)), explained);
            assert_eq!([3, 4].map(|number| w.record(number)), explained);
        },
    );
}

#[test]
fn a_duplicate_is_not_above_the_edge() {
    beside(
        window,
        |w| record(w, 40),
        |w| record(w, 40),
        |_, a, b| {
            assert_explained(40, a);
            assert_explained(40, b);
        },
    );
}

#[test]
fn a_checked_duplicate_is_not_above_the_edge() {
    beside(
        window,
        |w| w.record(40),
        |w| {
            let seen = w.check(40);
            (seen, w.right_edge().unwrap(), w.check(40))
        },
        |w, a, (before, edge, after)| {
            assert!(a.is_fresh());
            if before == Freshness::Duplicate {
                assert_explained(40, (before, edge));
                assert_eq!(after, Freshness::Duplicate);
            }
            assert_ne!(after, Freshness::TooOld);
            assert_eq!(w.check(40), Freshness::Duplicate);
        },
    );
}

#[test]
fn a_jump_against_a_check_is_explained_by_the_edge() {
    beside(
        walked,
        |w| w.record(6 + ROUND),
        |w| (w.check(6), w.right_edge().unwrap()),
        |_, a, b| {
            assert!(a.is_fresh());
            assert_ne!(b.0, Freshness::Duplicate);
            if b.0 == Freshness::TooOld {
                assert_explained(6, b);
            }
        },
    );
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut u64) {}

#[test]
fn a_duplicate_sees_what_was_before_its_number() {
    type Published = (Shared, UnsafeCell<u64>);
    fn publishes((window, message): &Published) {
        message.with_mut(touch);
        window.record(40);
    }
    fn checks((window, message): &Published) {
        if window.check(40) == Freshness::Duplicate {
            message.with(|_| ());
        }
    }
    fn records((window, message): &Published) {
        if window.record(40) == Freshness::Duplicate {
            message.with(|_| ());
        }
    }
    let new = || (window(), UnsafeCell::new(0));
    beside(new, publishes, checks, |_, (), ()| ());
    beside(new, publishes, records, |_, (), ()| ());
}

// The tracker.

/// A clock that stands still, and counts who reads it. No alarm rings.
#[derive(Default)]
struct Still {
    reads: AtomicU64,
}

impl Clock for Still {
    fn now(&self) -> Instant {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Instant::ZERO
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), _at: Instant, _waker: &Waker) {}
}

type Tracker = SequenceTracker<Still>;

/// One for a stream that begins with 1, of which 1 has come.
fn begun() -> Tracker {
    let config = Config::new().starts_at(1).max_gaps(8);
    let tracker = config.build_seeded(Still::default(), Random::from_seed(1)).unwrap();
    assert_eq!(tracker.record(1), Arrival::First);
    tracker
}

/// One that misses 2 and 3.
fn gapped() -> Tracker {
    let tracker = begun();
    tracker.record(4);
    tracker
}

const fn run(first: u64, last: u64) -> Run {
    Run { first, last }
}

#[track_caller]
fn assert_missing<const N: usize>(tracker: &Tracker, edge: u64, missing: [RangeInclusive<u64>; N]) {
    assert_eq!(tracker.right_edge(), Some(edge));
    assert_eq!(tracker.missing(), missing);
    let stats = tracker.stats();
    assert_eq!(stats.expected, edge);
    assert_eq!(stats.received() + stats.missing, edge);
}

/// Numbers in order take no lock: then the clock is not read either.
#[track_caller]
fn assert_lock_free(tracker: &Tracker) {
    let next = tracker.right_edge().unwrap() + 1;
    let reads = tracker.clock().reads.load(Ordering::Relaxed);
    assert_eq!(tracker.record(next), Arrival::Next);
    assert_eq!(tracker.clock().reads.load(Ordering::Relaxed), reads, "it came to the lock");
}

#[test]
fn number_in_order_against_a_late_one() {
    beside(
        gapped,
        |t| t.record(5),
        |t| t.record(2),
        |t, a, b| {
            assert_eq!(a, Arrival::Next);
            assert_eq!(b, Arrival::Filled { remaining: 1, abandoned: None });
            assert_missing(t, 5, [3..=3]);
            assert_lock_free(t);
        },
    );
    beside(
        gapped,
        |t| [t.record(5), t.record(6)],
        |t| (t.right_edge().unwrap(), t.record(2), t.right_edge().unwrap()),
        |t, a, (before, filled, after)| {
            assert_eq!(a, [Arrival::Next; 2]);
            assert!(filled.is_fresh() && before <= after);
            assert_missing(t, 6, [3..=3]);
        },
    );
}

#[test]
fn one_number_in_order_comes_once() {
    beside(
        gapped,
        |t| t.record(5),
        |t| t.record(5),
        |t, a, b| {
            let both = [Arrival::Next, Arrival::Duplicate];
            assert!([a, b] == both || [b, a] == both, "S2: {a:?} {b:?}");
            assert_missing(t, 5, [2..=3]);
        },
    );
}

#[test]
fn numbers_in_order_from_two_sides_all_come() {
    beside(
        begun,
        |t| [t.record(2), t.record(4)],
        |t| t.record(3),
        |t, a, b| {
            assert!(a[0].is_fresh() && a[1].is_fresh() && b.is_fresh(), "S2: {a:?} {b:?}");
            assert_missing(t, 4, []);
            assert_lock_free(t);
        },
    );
}

#[test]
fn a_gap_is_opened_while_another_is_filled() {
    beside(
        gapped,
        |t| t.record(7),
        |t| t.record_range(2..=3).unwrap(),
        |t, a, b| {
            assert_eq!(a, Arrival::Ahead { missing: 2, abandoned: None });
            assert_eq!((b.fresh, b.filled), (2, 2));
            assert_missing(t, 7, [5..=6]);
        },
    );
    // The one that fills comes before the one that leaves it out, or after.
    beside(
        begun,
        |t| t.record(3),
        |t| t.record(2),
        |t, a, b| {
            assert!(a.is_fresh() && b.is_fresh());
            assert_eq!(a == Arrival::Next, b == Arrival::Next, "{a:?} {b:?}");
            assert_missing(t, 3, []);
        },
    );
}

#[test]
fn the_next_number_sees_what_was_before_it() {
    beside(
        || (begun(), UnsafeCell::new(0)),
        |(tracker, message)| {
            message.with_mut(touch);
            tracker.record(2)
        },
        |(tracker, message)| {
            let answer = tracker.record(3);
            if answer == Arrival::Next {
                message.with(|_| ());
            }
            answer
        },
        |(tracker, _), a, b| {
            assert!(a.is_fresh() && b.is_fresh());
            assert_missing(tracker, 3, []);
        },
    );
}

// Waiting.

fn acquired(tracker: &Tracker, number: u64) -> Result<u64, AcquireError> {
    block_on(tracker.acquire(number))
}

#[test]
fn what_comes_while_joining_is_seen() {
    // In order, and late.
    beside(
        begun,
        |t| acquired(t, 2),
        |t| t.record(2),
        |t, a, b| {
            assert_eq!((a, b), (Ok(2), Arrival::Next));
            assert_lock_free(t);
        },
    );
    beside(
        gapped,
        |t| acquired(t, 4),
        |t| t.record_range(2..=3).unwrap().fresh,
        |t, a, b| {
            assert_eq!((a, b), (Ok(4), 2));
            assert_lock_free(t);
        },
    );
}

#[test]
fn what_is_lost_while_joining_is_no_proof() {
    beside(
        gapped,
        |t| acquired(t, 4),
        |t| t.give_up_below(4),
        |t, a, b| {
            let lost = AcquireError::Lost { through: 4, lost: run(2, 3) };
            assert_eq!((a, b), (Err(lost), 2));
            assert_lock_free(t);
        },
    );
}

#[test]
fn at_the_deadline_all_has_come_or_something_is_missing() {
    beside(
        gapped,
        |t| block_on(t.acquire(4).deadline(Instant::ZERO)),
        |t| t.record_range(2..=3).unwrap().fresh,
        |t, a, b| {
            let late = AcquireError::TimedOut { missing: vec![2..=3] };
            assert!(a == Ok(4) || a == Err(late), "{a:?}");
            assert_eq!(b, 2);
            assert_lock_free(t);
        },
    );
}

#[test]
fn what_comes_in_two_steps_while_joining_is_seen() {
    beside(
        begun,
        |t| acquired(t, 3),
        |t| [2, 3].map(|number| t.record(number)),
        |t, a, b| {
            assert_eq!((a, b), (Ok(3), [Arrival::Next; 2]));
            assert_lock_free(t);
        },
    );
}

#[test]
fn whoever_waits_for_more_is_not_forgotten() {
    // The one is served by 2, and must leave the other to 3.
    wide_model(|| {
        let tracker = Arc::new(begun());
        let waiters = [2, 3].map(|number| {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || acquired(&tracker, number))
        });
        for number in [2, 3] {
            assert_eq!(tracker.record(number), Arrival::Next);
        }
        for (waiter, number) in waiters.into_iter().zip([2, 3]) {
            assert!(waiter.join().unwrap().is_ok_and(|through| through >= number));
        }
        assert_lock_free(&tracker);
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A wait that was polled once, what it saw, and how often it is woken.
struct Polled {
    wait: Acquire<Arc<Tracker>>,
    seen: Poll<Result<u64, AcquireError>>,
    woken: Arc<Woken>,
}

impl Polled {
    fn new(tracker: &Arc<Tracker>, number: u64) -> Self {
        let (mut wait, woken) = (Acquire::new(Arc::clone(tracker), number), Arc::default());
        let waker = Waker::from(Arc::clone(&woken));
        let seen = Pin::new(&mut wait).poll(&mut Context::from_waker(&waker));
        Self { wait, seen, woken }
    }

    fn wakes(&self) -> u64 {
        self.woken.0.load(Ordering::Relaxed)
    }

    /// Over by now: with the first poll, or woken once for the second.
    #[track_caller]
    fn ends(mut self) -> Result<u64, AcquireError> {
        assert_eq!(self.wakes(), u64::from(self.seen.is_pending()));
        match self.seen {
            Poll::Ready(answer) => answer,
            Poll::Pending => block_on(&mut self.wait),
        }
    }
}

#[test]
fn a_waiter_is_woken_by_its_own_number_and_not_by_a_lower_one() {
    // While it joins, a lower one comes, for which somebody else waits.
    model(|| {
        let tracker = Arc::new(begun());
        let lower = Polled::new(&tracker, 2);
        let other = Arc::clone(&tracker);
        let thread = thread::spawn(move || other.record(2));
        let waiter = Polled::new(&tracker, 3);
        assert_eq!(thread.join().unwrap(), Arrival::Next);
        assert!(waiter.seen.is_pending());
        assert_eq!((lower.ends(), waiter.wakes()), (Ok(2), 0));
        tracker.record(3);
        assert_eq!(waiter.ends(), Ok(3));
        assert_lock_free(&tracker);
    });
    // The lower one and its own.
    model(|| {
        let tracker = Arc::new(begun());
        let other = Arc::clone(&tracker);
        let thread = thread::spawn(move || [2, 3].map(|number| other.record(number)));
        let waiter = Polled::new(&tracker, 3);
        assert_eq!(thread.join().unwrap(), [Arrival::Next; 2]);
        assert_eq!(waiter.ends(), Ok(3));
        assert_lock_free(&tracker);
    });
}

#[test]
fn two_who_wait_for_one_number_are_both_woken_by_it() {
    wide_model(|| {
        let tracker = Arc::new(begun());
        let others = Arc::clone(&tracker);
        let waiter = thread::spawn(move || acquired(&others, 2));
        let others = Arc::clone(&tracker);
        let recorder = thread::spawn(move || others.record(2));
        assert_eq!(acquired(&tracker, 2), Ok(2));
        assert_eq!(waiter.join().unwrap(), Ok(2));
        assert_eq!(recorder.join().unwrap(), Arrival::Next);
        assert_lock_free(&tracker);
    });
}

#[test]
fn a_wait_that_is_dropped_while_its_number_comes_takes_no_wake_up_with_it() {
    // One seat, and two seats of which the lower is given up.
    for number in [2, 3] {
        model(move || {
            let tracker = Arc::new(begun());
            let dropped = Polled::new(&tracker, 2);
            let stays = Polled::new(&tracker, number);
            let other = Arc::clone(&tracker);
            let thread = thread::spawn(move || other.record_range(2..=3).unwrap().fresh);
            drop(dropped);
            assert_eq!(thread.join().unwrap(), 2);
            assert_eq!(stays.ends(), Ok(3));
            assert_lock_free(&tracker);
        });
    }
}

#[test]
fn a_seat_that_the_last_leaves_is_not_the_next_ones() {
    wide_model(|| {
        let tracker = Arc::new(begun());
        let leaves = Polled::new(&tracker, 2);
        let others = Arc::clone(&tracker);
        let waiter = thread::spawn(move || acquired(&others, 2));
        let others = Arc::clone(&tracker);
        let recorder = thread::spawn(move || others.record(2));
        drop(leaves);
        assert_eq!(waiter.join().unwrap(), Ok(2));
        assert_eq!(recorder.join().unwrap(), Arrival::Next);
        assert_lock_free(&tracker);
    });
}

#[test]
fn a_seat_that_is_left_as_its_run_ends_is_not_the_next_runs() {
    model(|| {
        let tracker = Arc::new(begun());
        let leaves = Polled::new(&tracker, 2);
        let others = Arc::clone(&tracker);
        let thread = thread::spawn(move || {
            assert_eq!(others.reset(), 0);
            assert_eq!(others.record(1), Arrival::First);
            Polled::new(&others, 2)
        });
        drop(leaves);
        let joins = thread.join().unwrap();
        assert!(joins.seen.is_pending());
        assert_eq!(tracker.record(2), Arrival::Next);
        assert_eq!(joins.ends(), Ok(2));
        assert_lock_free(&tracker);
    });
}

#[test]
fn the_end_of_a_run_wakes_all_who_wait_and_nobody_of_the_next() {
    model(|| {
        let tracker = Arc::new(begun());
        let waits = [2, 9].map(|number| Polled::new(&tracker, number));
        let other = Arc::clone(&tracker);
        let thread = thread::spawn(move || other.reset());
        let joins = Polled::new(&tracker, 9);
        assert_eq!(thread.join().unwrap(), 0);
        assert_eq!(waits.map(Polled::ends), [const { Err(AcquireError::Restarted) }; 2]);
        let of_the_next_run = joins.seen.is_pending() && joins.wakes() == 0;
        tracker.record_range(1..=9).unwrap();
        let end = if of_the_next_run { Ok(9) } else { Err(AcquireError::Restarted) };
        assert_eq!(joins.ends(), end);
        assert_lock_free(&tracker);
    });
}

#[test]
fn whoever_has_waited_sees_what_was_before() {
    beside(
        || (begun(), UnsafeCell::new(0)),
        |(tracker, message)| {
            message.with_mut(touch);
            tracker.record(2)
        },
        |(tracker, message)| {
            let acquired = acquired(tracker, 2);
            message.with(|_| ());
            acquired
        },
        |_, a, b| assert_eq!((a, b), (Arrival::Next, Ok(2))),
    );
}

#[test]
fn a_dropped_acquire_gives_the_lock_free_path_back() {
    beside(
        begun,
        |t| {
            let mut acquire = Acquire::new(t, 9);
            let poll = Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(poll, Poll::Pending);
        },
        |t| [2, 3].map(|number| t.record(number)),
        |t, (), b| {
            assert_eq!(b, [Arrival::Next; 2]);
            assert_missing(t, 3, []);
            assert_lock_free(t);
        },
    );
}

#[test]
fn a_dropped_acquire_leaves_the_others_waiting() {
    wide_model(|| {
        let tracker = Arc::new(begun());
        let others = Arc::clone(&tracker);
        let waiter = thread::spawn(move || acquired(&others, 2));
        let mut dropped = Acquire::new(&*tracker, 3);
        let poll = Pin::new(&mut dropped).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, Poll::Pending);
        drop(dropped);
        assert_eq!(tracker.record(2), Arrival::Next);
        assert_eq!(waiter.join().unwrap(), Ok(2));
        assert_lock_free(&tracker);
    });
}

#[test]
fn a_reset_ends_an_acquire_or_comes_before_it() {
    beside(
        begun,
        |t| acquired(t, 3),
        |t| {
            t.reset();
            t.record_range(1..=3).unwrap()
        },
        |t, a, b| {
            assert!(a == Err(AcquireError::Restarted) || a == Ok(3), "{a:?}");
            assert_eq!((b.fresh, t.contiguous_through()), (3, Some(3)));
            assert_lock_free(t);
        },
    );
}

#[test]
fn a_reset_ends_whoever_waits() {
    model(|| {
        let tracker = Arc::new(begun());
        let mut acquire = Acquire::new(Arc::clone(&tracker), 9);
        let poll = Pin::new(&mut acquire).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, Poll::Pending);
        let thread = thread::spawn(move || tracker.reset());
        assert_eq!(block_on(acquire), Err(AcquireError::Restarted));
        assert_eq!(thread.join().unwrap(), 0);
    });
}

#[test]
fn a_reset_against_a_number_in_order() {
    beside(
        begun,
        |t| t.record(2),
        |t| t.reset(),
        |t, a, lost| {
            // Of the old run, or of the new one, which misses 1.
            let after = Arrival::Ahead { missing: 1, abandoned: None };
            assert!(a == Arrival::Next || a == after, "{a:?}");
            assert_eq!(lost, 0);
            let stats = t.stats();
            assert_eq!(
                (stats.restarts, stats.received(), stats.expected),
                if a == after { (1, 2, 3) } else { (1, 2, 2) }
            );
        },
    );
}

// Changes.

#[test]
fn changes_come_in_the_order_in_which_they_happened() {
    let opened = Change::Opened { run: run(2, 2) };
    let filled = Change::Filled { run: run(2, 2) };
    wide_model(move || {
        let tracker = Arc::new(begun());
        let mut changes = tracker.changes();
        let others = [2, 3].map(|number| {
            let tracker = Arc::clone(&tracker);
            thread::spawn(move || tracker.record(number))
        });
        let [two, three] = others.map(|other| other.join().unwrap());
        let seen = read(&mut changes);
        if three == Arrival::Next {
            assert_eq!((two, seen), (Arrival::Next, vec![]));
        } else {
            assert_eq!(seen, [opened, filled]);
        }
    });
}

/// All that there is to read, none of it missed.
fn read(changes: &mut Changes) -> Vec<Change> {
    let all: Vec<_> = std::iter::from_fn(|| changes.try_next()).collect();
    assert!(all.iter().all(|entry| entry.missed == 0));
    all.into_iter().map(|entry| entry.item).collect()
}

#[test]
fn a_change_is_read_by_whoever_waits_for_it() {
    beside(
        || {
            let tracker = begun();
            let changes = Mutex::new(tracker.changes());
            (tracker, changes)
        },
        |(_, changes)| {
            let mut changes = changes.lock().unwrap();
            [(); 2].map(|()| block_on(StreamExt::next(&mut *changes)).unwrap().item)
        },
        |(tracker, _)| [3, 2].map(|number| tracker.record(number).is_fresh()),
        |_, seen, fresh| {
            assert_eq!(fresh, [true; 2]);
            assert_eq!(
                seen,
                [Change::Opened { run: run(2, 2) }, Change::Filled { run: run(2, 2) }]
            );
        },
    );
}

#[test]
fn a_new_reader_gets_what_is_left_of_the_changes() {
    beside(
        begun,
        |t| {
            let mut changes = t.changes();
            (read(&mut changes), changes)
        },
        |t| [3, 2].map(|number| t.record(number).is_fresh()),
        |t, (mut seen, mut changes), fresh| {
            assert_eq!(fresh, [true; 2]);
            t.record(5);
            seen.extend(read(&mut changes));
            let all = [
                Change::Opened { run: run(2, 2) },
                Change::Filled { run: run(2, 2) },
                Change::Opened { run: run(4, 4) },
            ];
            assert!(!seen.is_empty() && all.ends_with(&seen), "{seen:?}");
        },
    );
}
