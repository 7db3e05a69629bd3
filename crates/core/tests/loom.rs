//! Models of the waiting line: every interleaving and every memory order that C11 allows, up to
//! `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! A wake-up that is lost leaves all threads of a model blocked, which loom reports as a deadlock.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom -p steadfast-core
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod gate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::model::Builder;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use steadfast_core::wait::{Gate as _, Wait};
use steadfast_core::{Clock, Instant, Raised, Signal, Timer, Untimed};

use gate::{Denied, NEVER, Permits};

type Gate = Permits<ModelTimer>;
type Place = Wait<Arc<Gate>>;

/// A timer whose alarms a model rings.
#[derive(Default)]
struct ModelTimer {
    now: AtomicU64,
    alarms: Arc<Mutex<Vec<Option<(Instant, Waker)>>>>,
}

impl ModelTimer {
    /// Lets the time be `now`, and rings what is due.
    fn ring(&self, now: Instant) {
        let mut due = Vec::new();
        {
            let mut alarms = self.alarms.lock().unwrap();
            self.now.store(now.as_nanos(), Ordering::SeqCst);
            for alarm in alarms.iter_mut() {
                if let Some((_, waker)) = alarm.take_if(|(at, _)| *at <= now) {
                    due.push(waker);
                }
            }
        }
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for ModelTimer {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::SeqCst))
    }
}

impl Timer for ModelTimer {
    type Alarm = usize;

    fn alarm(&self) -> usize {
        let mut alarms = self.alarms.lock().unwrap();
        alarms.push(None);
        alarms.len() - 1
    }

    fn set(&self, alarm: &mut usize, at: Instant, waker: &Waker) {
        let mut alarms = self.alarms.lock().unwrap();
        if at <= self.now() {
            alarms[*alarm] = None;
            drop(alarms);
            waker.wake_by_ref();
        } else {
            alarms[*alarm] = Some((at, waker.clone()));
        }
    }
}

const LATER: Instant = Instant::from_nanos(1_000_000_000);

/// A gate that opens only by `give`.
fn closed_gate() -> Arc<Gate> {
    Arc::new(Permits::new(ModelTimer::default(), NEVER, 0))
}

/// A gate that opens for 8 when `LATER` has come.
fn timed_gate() -> Arc<Gate> {
    Arc::new(Permits::new(ModelTimer::default(), LATER, 8))
}

fn acquire(gate: &Arc<Gate>, n: u64) -> Place {
    Wait::new(Arc::clone(gate), n)
}

fn poll(place: &mut Place) -> Poll<Result<(), Denied>> {
    Pin::new(place).poll(&mut Context::from_waker(Waker::noop()))
}

/// A place in line that nobody watches.
fn joined(gate: &Arc<Gate>, n: u64) -> Place {
    let mut place = acquire(gate, n);
    assert_eq!(poll(&mut place), Poll::Pending);
    place
}

fn assert_empty(gate: &Gate) {
    assert_eq!(gate.waiting(), 0);
    assert!(!gate.is_occupied(), "the mark is gone with the last who waited");
}

/// A model with three busy threads: one preemption less, so that it ends in seconds.
fn wide_model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.saturating_sub(1).max(1));
    builder.check(f);
}

// W3: no lost wake-up.

#[test]
fn refund_between_try_and_join_is_seen() {
    model(|| {
        let gate = closed_gate();
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        giver.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn refund_between_try_and_join_is_seen_by_a_thread() {
    model(|| {
        let gate = closed_gate();
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        assert_eq!(gate.acquire(1).wait(), Ok(()));
        giver.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn two_refunds_serve_a_thread_and_a_task() {
    wide_model(|| {
        let gate = closed_gate();
        let parked = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.acquire(1).wait()
        });
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                gate.give(1);
                gate.give(1);
            }
        });
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        assert_eq!(parked.join().unwrap(), Ok(()));
        giver.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn one_refund_for_two_serves_both() {
    wide_model(|| {
        let gate = closed_gate();
        let other = thread::spawn({
            let gate = Arc::clone(&gate);
            move || block_on(acquire(&gate, 1))
        });
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(2)
        });
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        giver.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn a_turn_that_comes_while_the_alarm_is_set_is_seen() {
    model(|| {
        let gate = timed_gate();
        let clock = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.clock().ring(LATER)
        });
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        clock.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn raise_between_try_and_join_is_seen() {
    // The second to join is not alone, and is not asked to try again.
    wide_model(|| {
        let signal = Arc::new(Signal::new(Untimed));
        let other = thread::spawn({
            let signal = Arc::clone(&signal);
            move || block_on(Wait::new(signal, 0))
        });
        let raiser = thread::spawn({
            let signal = Arc::clone(&signal);
            move || signal.raise()
        });
        assert_eq!(block_on(Wait::new(Arc::clone(&signal), 0)), Err(Raised));
        assert_eq!(other.join().unwrap(), Err(Raised));
        raiser.join().unwrap();
        assert_eq!((signal.count(), signal.line().stats().waiting), (1, 0));
    });
}

#[test]
fn raise_against_a_thread_that_joins_behind_another_is_seen() {
    model(|| {
        let signal = Arc::new(Signal::new(Untimed));
        let mut first = Wait::new(Arc::clone(&signal), 0);
        assert!(Pin::new(&mut first).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let raiser = thread::spawn({
            let signal = Arc::clone(&signal);
            move || signal.raise()
        });
        assert_eq!(Wait::new(&*signal, 0).wait(), Err(Raised));
        raiser.join().unwrap();
        assert_eq!(block_on(first), Err(Raised));
    });
}

#[test]
fn a_signal_publishes_what_was_done_before() {
    for raiser_begins in [true, false] {
        model(move || {
            let told = loom::sync::Arc::new((Signal::new(Untimed), UnsafeCell::new(0)));
            let raise = |told: &(Signal<Untimed>, UnsafeCell<i32>)| {
                told.1.with_mut(touch);
                told.0.raise();
            };
            let look = |told: &(Signal<Untimed>, UnsafeCell<i32>)| {
                if told.0.count() > 0 {
                    told.1.with_mut(touch);
                }
            };
            let theirs = loom::sync::Arc::clone(&told);
            if raiser_begins {
                let other = thread::spawn(move || look(&theirs));
                raise(&told);
                other.join().unwrap();
            } else {
                let other = thread::spawn(move || raise(&theirs));
                look(&told);
                other.join().unwrap();
            }
        });
    }
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut i32) {}

// W1: order.

#[test]
fn one_permit_goes_to_the_first_and_to_no_newcomer() {
    model(|| {
        let gate = closed_gate();
        let mut first = acquire(&gate, 1);
        assert_eq!(poll(&mut first), Poll::Pending);
        let mut second = joined(&gate, 1);
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let newcomer = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.try_acquire(1)
        });
        let nosy = poll(&mut second);
        assert_eq!(block_on(first), Ok(()));
        assert_eq!(nosy, Poll::Pending, "not its turn");
        giver.join().unwrap();
        assert!(!newcomer.join().unwrap(), "the line was not empty at any time");
        assert_eq!(poll(&mut second), Poll::Pending);
    });
}

#[test]
fn a_large_request_is_not_starved_by_a_small_one_behind() {
    model(|| {
        let gate = closed_gate();
        let large = joined(&gate, 2);
        let mut small = joined(&gate, 1);
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                gate.give(1);
                gate.give(1);
            }
        });
        assert_eq!(poll(&mut small), Poll::Pending);
        assert_eq!(block_on(large), Ok(()));
        giver.join().unwrap();
        assert_eq!(poll(&mut small), Poll::Pending);
    });
}

// W2: cancel.

#[test]
fn cancel_of_the_head_while_a_permit_comes() {
    model(|| {
        let gate = closed_gate();
        let head = joined(&gate, 1);
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let canceller = thread::spawn(move || drop(head));
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        giver.join().unwrap();
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_the_head_lets_those_behind_pass_who_need_less() {
    model(|| {
        let gate = closed_gate();
        let head = joined(&gate, 5);
        gate.give(1);
        let canceller = thread::spawn(move || drop(head));
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_a_notified_head_passes_the_wake_on() {
    model(|| {
        let gate = closed_gate();
        let head = joined(&gate, 1);
        gate.give(1);
        let canceller = thread::spawn(move || drop(head));
        assert_eq!(gate.acquire(1).wait(), Ok(()));
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_a_called_place_passes_its_turn_on() {
    model(|| {
        let gate = closed_gate();
        let head = joined(&gate, 1);
        let called = joined(&gate, 1);
        gate.give(1);
        // The head does not want it any more, so that the second is called.
        drop(head);
        let canceller = thread::spawn(move || drop(called));
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_a_called_place_beside_another_called_one() {
    model(|| {
        let gate = closed_gate();
        let head = joined(&gate, 1);
        let (one, other) = (joined(&gate, 1), joined(&gate, 1));
        gate.give(2);
        drop(head);
        let canceller = thread::spawn(move || drop(one));
        let server = thread::spawn(move || block_on(other));
        assert_eq!(block_on(acquire(&gate, 1)), Ok(()));
        canceller.join().unwrap();
        assert_eq!(server.join().unwrap(), Ok(()));
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_the_middle_while_permits_come() {
    model(|| {
        let gate = closed_gate();
        let (head, middle, tail) = (joined(&gate, 1), joined(&gate, 1), joined(&gate, 1));
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(2)
        });
        let canceller = thread::spawn(move || drop(middle));
        assert_eq!(block_on(head), Ok(()));
        assert_eq!(block_on(tail), Ok(()));
        giver.join().unwrap();
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_of_the_tail_while_a_permit_comes() {
    model(|| {
        let gate = closed_gate();
        let (head, tail) = (joined(&gate, 1), joined(&gate, 1));
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let canceller = thread::spawn(move || drop(tail));
        assert_eq!(block_on(head), Ok(()));
        giver.join().unwrap();
        canceller.join().unwrap();
        assert_empty(&gate);
    });
}

// The alarm, which is set outside the lock with a waker that was lent.

#[test]
fn a_permit_that_comes_while_the_alarm_is_set_is_seen() {
    model(|| {
        let gate = timed_gate();
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        // Sets the alarm for the next with the next's waker.
        let canceller = thread::spawn(move || drop(head));
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        assert_eq!(block_on(next), Ok(()));
        canceller.join().unwrap();
        giver.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn a_close_while_the_alarm_is_set_is_seen() {
    model(|| {
        let gate = timed_gate();
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        let canceller = thread::spawn(move || drop(head));
        let closer = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.close()
        });
        assert_eq!(block_on(next), Err(Denied::Closed));
        canceller.join().unwrap();
        closer.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn an_alarm_set_with_the_waker_of_an_earlier_poll_reaches_the_later_one() {
    model(|| {
        let gate = timed_gate();
        // Polled with a waker that reaches nobody; `block_on` has another.
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        let canceller = thread::spawn(move || drop(head));
        let clock = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.clock().ring(LATER)
        });
        assert_eq!(block_on(next), Ok(()));
        canceller.join().unwrap();
        clock.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn cancel_while_its_alarm_is_set_leaves_the_alarm_to_the_next() {
    model(|| {
        let gate = timed_gate();
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        let last = joined(&gate, 1);
        let one = thread::spawn(move || drop(head));
        let other = thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                drop(next);
                gate.clock().ring(LATER);
            }
        });
        assert_eq!(block_on(last), Ok(()));
        one.join().unwrap();
        other.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn a_deadline_and_a_turn_that_are_set_together_are_both_seen() {
    wide_model(|| {
        let gate = timed_gate();
        let head = joined(&gate, 1);
        let next = joined(&gate, 1);
        let mut hasty = acquire(&gate, 20).deadline(LATER);
        assert_eq!(poll(&mut hasty), Poll::Pending);
        let canceller = thread::spawn(move || drop(head));
        let clock = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.clock().ring(LATER)
        });
        assert_eq!(block_on(next), Ok(()));
        assert_eq!(block_on(hasty), Err(Denied::Late));
        canceller.join().unwrap();
        clock.join().unwrap();
        assert_empty(&gate);
    });
}

// W6 and W5: deadlines, and the end.

#[test]
fn a_deadline_against_a_permit_loses_neither() {
    model(|| {
        let gate = closed_gate();
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let clock = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.clock().ring(LATER)
        });
        let result = block_on(acquire(&gate, 1).deadline(LATER));
        giver.join().unwrap();
        clock.join().unwrap();
        let left = gate.available();
        assert!(
            matches!((result, left), (Ok(()), 0) | (Err(Denied::Late), 1)),
            "{result:?} {left}"
        );
        assert_empty(&gate);
    });
}

#[test]
fn a_deadline_of_the_head_against_a_permit_passes_it_on() {
    model(|| {
        let gate = closed_gate();
        let mut head = acquire(&gate, 1).deadline(LATER);
        assert_eq!(poll(&mut head), Poll::Pending);
        let next = joined(&gate, 1);
        gate.clock().ring(LATER);
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let head = thread::spawn(move || block_on(head));
        let mut next = next;
        if poll(&mut next).is_pending() {
            giver.join().unwrap();
            match head.join().unwrap() {
                Ok(()) => gate.give(1),
                Err(error) => assert_eq!(error, Denied::Late),
            }
            assert_eq!(block_on(next), Ok(()));
        } else {
            giver.join().unwrap();
            assert_eq!(head.join().unwrap(), Err(Denied::Late));
        }
        assert_empty(&gate);
    });
}

#[test]
fn a_close_wakes_everybody() {
    wide_model(|| {
        let gate = closed_gate();
        let parked = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.acquire(1).wait()
        });
        let task = thread::spawn({
            let gate = Arc::clone(&gate);
            move || block_on(acquire(&gate, 1))
        });
        gate.close();
        assert_eq!(parked.join().unwrap(), Err(Denied::Closed));
        assert_eq!(task.join().unwrap(), Err(Denied::Closed));
        assert_empty(&gate);
    });
}

#[test]
fn a_close_against_a_permit_leaves_nobody_behind() {
    wide_model(|| {
        let gate = closed_gate();
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(1)
        });
        let closer = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.close()
        });
        let _served_or_closed = block_on(head);
        assert_eq!(block_on(next), Err(Denied::Closed));
        giver.join().unwrap();
        closer.join().unwrap();
        assert_empty(&gate);
    });
}

#[test]
fn a_stir_while_a_permit_comes_takes_no_turn_away() {
    model(|| {
        let gate = closed_gate();
        let (head, next) = (joined(&gate, 1), joined(&gate, 1));
        let giver = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.give(2)
        });
        let spoon = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.stir()
        });
        assert_eq!(block_on(head), Ok(()));
        assert_eq!(block_on(next), Ok(()));
        giver.join().unwrap();
        spoon.join().unwrap();
        assert_empty(&gate);
    });
}
