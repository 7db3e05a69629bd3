//! Models of the shared breaker: every interleaving and every memory order that C11 allows, up to
//! `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --manifest-path crates/circuit-breaker/Cargo.toml --test loom
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::model::Builder;
use loom::thread;
use steadfast_circuit_breaker::{
    Acquire, CircuitBreaker, Config, Metrics, Outcome, Permit, Phase, Tally, TryAcquireError,
    Window,
};
use steadfast_core::{Clock, Instant, Timer};

/// A clock that stands still, and remembers the first alarm that was set. No alarm rings.
struct Still {
    alarm: AtomicU64,
}

impl Clock for Still {
    fn now(&self) -> Instant {
        NOW
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), at: Instant, _waker: &Waker) {
        self.alarm.fetch_min(at.as_nanos(), Ordering::Relaxed);
    }
}

/// Long after the beginning: breaks of a second that began there are over.
const NOW: Instant = at(100);

/// What is half-open has been since here.
const THEN: Instant = at(90);

const fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

type Shared = Arc<CircuitBreaker<Still>>;
type Held = Permit<Shared>;

/// Trips on the first failure, and stays open for a second.
const fn brittle() -> Config {
    Config::new().consecutive_failures(1).break_duration(secs(1)).close_after(1)
}

/// One that trips only on a rate of 1 that nobody reaches.
const fn measuring(window: Window) -> Config {
    Config::new().failure_rate(1.0, window).break_duration(secs(1))
}

fn shared(config: Config) -> Shared {
    let clock = Still { alarm: AtomicU64::new(u64::MAX) };
    Arc::new(config.build_seeded(clock, 1).unwrap())
}

/// One whose break is over, unless nobody has asked.
fn tripped(config: Config) -> Shared {
    let breaker = shared(config);
    permit(&breaker, at(1)).failure_at(at(1));
    breaker
}

/// One that is half-open, and these are its probes.
fn probed(config: Config, probes: usize) -> (Shared, Vec<Held>) {
    let breaker = tripped(config);
    let probes = (0..probes).map(|_| permit(&breaker, THEN)).collect();
    (breaker, probes)
}

fn permit(breaker: &Shared, now: Instant) -> Held {
    Permit::try_new_at(Arc::clone(breaker), now).unwrap()
}

fn try_permit(breaker: &Shared, now: Instant) -> Option<Held> {
    Permit::try_new_at(Arc::clone(breaker), now).ok()
}

fn metrics(breaker: &Shared) -> Metrics {
    breaker.metrics_at(NOW)
}

#[track_caller]
fn assert_phase(breaker: &Shared, phase: Phase, life: u32) {
    let seen = metrics(breaker);
    assert_eq!((seen.phase, seen.life), (phase, life));
}

/// Nobody holds or waits for anything, and all probes that there may be can be had.
#[track_caller]
fn assert_at_rest(breaker: &Shared, probes: usize) {
    assert_eq!(breaker.stats().waiting, 0);
    let seen = metrics(breaker);
    assert_eq!(seen.probes_in_flight, 0);
    if seen.phase == Phase::HalfOpen {
        let all: Vec<_> = (0..probes).map(|_| permit(breaker, NOW)).collect();
        assert!(all.iter().all(Permit::is_probe));
        assert!(try_permit(breaker, NOW).is_none());
    }
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut i32) {}

/// A model with three busy threads, or two that do a lot: one preemption less, so that it ends in
/// seconds.
fn wide_model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.saturating_sub(1).max(1));
    builder.check(f);
}

/// Runs `one` beside `other` on what `new` makes, each beginning once: loom does not try all loads of
/// a thread that merely reads in front of the writes of one that begins later. Then `end`.
fn beside(
    new: impl Fn() -> Two + Copy + Send + Sync + 'static,
    one: fn(&Shared, Option<Held>),
    other: fn(&Shared, Option<Held>),
    end: fn(&Shared),
) {
    for swapped in [false, true] {
        model(move || {
            let (breaker, a, b) = new();
            let theirs = Arc::clone(&breaker);
            let thread = if swapped {
                let thread = thread::spawn(move || one(&theirs, a));
                other(&breaker, b);
                thread
            } else {
                let thread = thread::spawn(move || other(&theirs, b));
                one(&breaker, a);
                thread
            };
            thread.join().unwrap();
            end(&breaker);
        });
    }
}

type Two = (Shared, Option<Held>, Option<Held>);

/// A closed one with two permits.
fn closed_two(config: Config) -> Two {
    let breaker = shared(config);
    let (one, other) = (permit(&breaker, at(1)), permit(&breaker, at(1)));
    (breaker, Some(one), Some(other))
}

/// A half-open one with two probes.
fn half_open_two(config: Config) -> Two {
    let (breaker, mut probes) = probed(config.probes(2), 2);
    let (one, other) = (probes.pop(), probes.pop());
    (breaker, one, other)
}

/// An open one whose break is over.
fn open_none(config: Config) -> Two {
    (tripped(config), None, None)
}

fn fails(_: &Shared, permit: Option<Held>) {
    permit.unwrap().failure_at(at(1));
}

fn succeeds(_: &Shared, permit: Option<Held>) {
    permit.unwrap().success_at(THEN);
}

fn asks(breaker: &Shared, _: Option<Held>) {
    let _given_back = try_permit(breaker, NOW);
}

// Tripping.

#[test]
fn two_failures_at_once_trip_once() {
    fn end(breaker: &Shared) {
        assert_phase(breaker, Phase::HalfOpen, 2);
        let seen = metrics(breaker);
        assert_eq!((seen.trips, seen.consecutive_trips), (1, 1));
        assert_eq!(seen.next_probe_at, Some(at(2)));
    }
    beside(|| closed_two(brittle()), fails, fails, end);
    beside(|| closed_two(brittle().consecutive_failures(2)), fails, fails, end);
    beside(|| closed_two(measuring(Window::calls(2).minimum(1))), fails, fails, end);
    beside(|| closed_two(measuring(Window::calls(2))), fails, fails, end);
    let window = || Window::time(secs(2)).slices(2).minimum(1);
    beside(move || closed_two(measuring(window())), fails, fails, end);
    beside(move || closed_two(measuring(window().minimum(2))), fails, fails, end);
    let all = || brittle().failure_rate(1.0, Window::calls(1));
    beside(move || closed_two(all()), fails, fails, end);
}

#[test]
fn two_failures_in_two_slices_trip() {
    let new = || closed_two(measuring(Window::time(secs(3)).slices(3).minimum(2)));
    beside(
        new,
        |_, permit| permit.unwrap().failure_at(at(1)),
        |_, permit| permit.unwrap().failure_at(at(2)),
        |breaker| assert_phase(breaker, Phase::HalfOpen, 2),
    );
}

#[test]
fn a_success_against_a_failure_leaves_no_row_or_one() {
    beside(
        || closed_two(brittle().consecutive_failures(2)),
        fails,
        succeeds,
        |breaker| {
            let row = metrics(breaker).consecutive_failures;
            assert!(row <= 1);
            permit(breaker, at(1)).failure_at(at(1));
            let tripped = metrics(breaker).phase != Phase::Closed;
            assert_eq!(tripped, row == 1);
        },
    );
}

// Half-open.

/// Each asks, and gives back; at no time have more than P a probe.
fn probes_in_turn(probes: u32, askers: usize, rounds: u32, close_after: u32) {
    let run = move || {
        let config = brittle().probes(probes).close_after(close_after);
        let breaker = if askers > 2 { probed(config, 1).0 } else { tripped(config) };
        let flying = Arc::new(AtomicU32::new(0));
        let ask = move |breaker: &Shared, flying: &AtomicU32| {
            for round in 0..rounds {
                if let Some(probe) = try_permit(breaker, NOW) {
                    assert!(probe.is_probe());
                    assert!(flying.fetch_add(1, Ordering::Relaxed) < probes, "I3");
                    flying.fetch_sub(1, Ordering::Relaxed);
                    if round > 0 { probe.success_at(NOW) } else { drop(probe) }
                }
            }
        };
        let others: Vec<_> = (1..askers)
            .map(|_| {
                let (breaker, flying) = (Arc::clone(&breaker), Arc::clone(&flying));
                thread::spawn(move || ask(&breaker, &flying))
            })
            .collect();
        ask(&breaker, &flying);
        for other in others {
            other.join().unwrap();
        }
        assert_phase(&breaker, Phase::HalfOpen, 3);
        assert_at_rest(&breaker, probes as usize);
    };
    // They do a lot: fewer preemptions, so that it ends in seconds.
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(1));
    builder.check(run);
}

#[test]
fn probe_limit_is_never_exceeded() {
    probes_in_turn(1, 2, 2, 9);
    probes_in_turn(2, 2, 2, 9);
}

#[test]
fn probe_limit_is_never_exceeded_by_three() {
    probes_in_turn(2, 3, 1, 9);
}

#[test]
fn break_ends_once() {
    for probes in [1, 2] {
        model(move || {
            let breaker = tripped(brittle().probes(probes));
            let other = thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || try_permit(&breaker, NOW)
            });
            let one = try_permit(&breaker, NOW);
            let both = [one, other.join().unwrap()];
            let held = both.iter().flatten().count();
            assert_eq!(held, probes as usize, "as many as there are places");
            assert_phase(&breaker, Phase::HalfOpen, 3);
            assert_eq!(metrics(&breaker).probes_in_flight, probes);
            drop(both);
            assert_at_rest(&breaker, probes as usize);
        });
    }
}

#[test]
fn late_probe_and_its_successor_count_once() {
    let reports: [fn(Held); 3] = [
        |late| late.success_at(THEN),
        |late| late.report_at(Outcome::Ignored, THEN),
        // It is late by its own clock as well: not counted, whoever takes its place.
        |late| late.success_at(NOW),
    ];
    for (kind, report) in reports.into_iter().enumerate() {
        for reporter_begins in [true, false] {
            model(move || {
                let config = brittle().close_after(9).probe_timeout(secs(5));
                let (breaker, mut probes) = probed(config, 1);
                let late = probes.pop().unwrap();
                let next = if reporter_begins {
                    let other = thread::spawn({
                        let breaker = Arc::clone(&breaker);
                        move || try_permit(&breaker, NOW)
                    });
                    report(late);
                    other.join().unwrap()
                } else {
                    let other = thread::spawn(move || report(late));
                    let next = try_permit(&breaker, NOW);
                    other.join().unwrap();
                    next
                };
                let seen = metrics(&breaker);
                assert_eq!(seen.probes_in_flight, u32::from(next.is_some()));
                // Either it was in time, or somebody has its place.
                let counted = seen.probes_succeeded;
                assert!(counted <= u32::from(kind == 0));
                assert!(kind != 0 || counted == 1 || next.is_some());
                if let Some(next) = next {
                    assert!(try_permit(&breaker, NOW).is_none(), "I3");
                    next.success_at(NOW);
                    assert_eq!(metrics(&breaker).probes_succeeded, counted + 1);
                }
                assert_at_rest(&breaker, 1);
            });
        }
    }
}

#[test]
fn two_who_want_the_place_of_a_late_probe_get_one() {
    wide_model(|| {
        let config = brittle().close_after(9).probe_timeout(secs(5));
        let (breaker, mut probes) = probed(config, 1);
        let late = probes.pop().unwrap();
        let other = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || try_permit(&breaker, NOW)
        });
        let reporter = thread::spawn(move || late.failure_at(NOW));
        let both = [try_permit(&breaker, NOW), other.join().unwrap()];
        reporter.join().unwrap();
        let held = both.iter().flatten().count();
        assert!(held <= 1, "I3");
        assert_eq!(metrics(&breaker).probes_in_flight as usize, held);
        drop(both);
        assert_at_rest(&breaker, 1);
    });
}

#[test]
fn drop_and_success_and_force_keep_the_count() {
    fn drops(_: &Shared, probe: Option<Held>) {
        drop(probe);
    }
    fn forces(breaker: &Shared, _probe: Option<Held>) {
        breaker.force_open_at(NOW);
    }
    fn resets(breaker: &Shared, _probe: Option<Held>) {
        breaker.reset_at(NOW);
    }
    let new = || half_open_two(brittle().close_after(3));
    beside(new, drops, succeeds, |breaker| {
        assert_eq!(metrics(breaker).probes_succeeded, 1);
        assert_at_rest(breaker, 2);
    });
    beside(new, succeeds, succeeds, |breaker| {
        assert_eq!(metrics(breaker).probes_succeeded, 2);
        assert_at_rest(breaker, 2);
    });
    beside(new, drops, drops, |breaker| assert_at_rest(breaker, 2));
    for other in [succeeds, drops, fails] {
        beside(new, forces, other, |breaker| {
            assert_eq!(metrics(breaker).phase, Phase::ForcedOpen);
            assert_at_rest(breaker, 2);
            breaker.reset_at(NOW);
            permit(breaker, at(1)).failure_at(at(1));
            let probes = [permit(breaker, NOW), permit(breaker, NOW)];
            assert!(try_permit(breaker, NOW).is_none());
            drop(probes);
            assert_at_rest(breaker, 2);
        });
    }
    for other in [succeeds, drops] {
        beside(new, resets, other, |breaker| assert_phase(breaker, Phase::Closed, 4));
    }
}

#[test]
fn two_probes_close_it_or_open_it_once() {
    beside(
        || half_open_two(brittle().close_after(2)),
        succeeds,
        succeeds,
        |breaker| assert_phase(breaker, Phase::Closed, 4),
    );
    beside(
        || half_open_two(brittle()),
        fails,
        fails,
        |breaker| {
            assert_phase(breaker, Phase::HalfOpen, 4);
            let seen = metrics(breaker);
            assert_eq!((seen.trips, seen.consecutive_trips), (2, 2));
        },
    );
    beside(
        || half_open_two(brittle().close_by_rate(1.0, 2)),
        fails,
        fails,
        |breaker| {
            assert_phase(breaker, Phase::HalfOpen, 4);
            assert_eq!(metrics(breaker).trips, 2);
        },
    );
    beside(
        || half_open_two(brittle().close_by_rate(1.0, 2)),
        fails,
        succeeds,
        |breaker| assert_phase(breaker, Phase::Closed, 4),
    );
    // One of them comes too late.
    beside(
        || half_open_two(brittle()),
        fails,
        succeeds,
        |breaker| {
            let seen = metrics(breaker);
            assert_eq!(seen.life, 4);
            assert!(matches!(seen.phase, Phase::Closed | Phase::HalfOpen));
        },
    );
}

#[test]
fn result_of_an_earlier_life_against_the_end_of_the_break_changes_nothing() {
    let new = || {
        let breaker = shared(brittle());
        let late = permit(&breaker, at(1));
        permit(&breaker, at(1)).failure_at(at(1));
        (breaker, Some(late), None::<Held>)
    };
    for result in [fails, succeeds] {
        beside(new, result, asks, |breaker| {
            assert_phase(breaker, Phase::HalfOpen, 3);
            assert_eq!(metrics(breaker).trips, 1);
            assert_at_rest(breaker, 1);
        });
    }
}

#[test]
fn force_against_everything_stays() {
    fn forces(breaker: &Shared, _: Option<Held>) {
        breaker.force_open_at(NOW);
    }
    fn end(breaker: &Shared) {
        let seen = metrics(breaker);
        assert_eq!((seen.phase, seen.consecutive_trips), (Phase::ForcedOpen, 0));
        assert_eq!(seen.since, Some(NOW));
    }
    beside(|| closed_two(brittle()), forces, fails, end);
    beside(|| closed_two(measuring(Window::calls(1))), forces, fails, end);
    beside(|| closed_two(brittle()), forces, succeeds, end);
    beside(|| open_none(brittle()), forces, asks, end);
    beside(|| half_open_two(brittle()), forces, fails, end);
    beside(|| half_open_two(brittle()), forces, succeeds, end);
    beside(|| half_open_two(brittle()), forces, asks, end);
    beside(
        || closed_two(brittle()),
        forces,
        forces,
        |breaker| {
            end(breaker);
            assert_eq!(metrics(breaker).life, 2, "once");
        },
    );
    beside(
        || closed_two(brittle()),
        forces,
        |breaker, _| breaker.reset_at(NOW),
        |breaker| {
            let seen = metrics(breaker);
            assert!(matches!(seen.phase, Phase::ForcedOpen | Phase::Closed));
            assert_eq!((seen.life, seen.since), (3, Some(NOW)));
        },
    );
}

#[test]
fn late_probe_takes_no_place_of_the_next_life() {
    for lost in [false, true] {
        wide_model(move || {
            let (breaker, probes) = probed(brittle(), 1);
            drop(probes);
            let other = thread::spawn({
                let breaker = Arc::clone(&breaker);
                // A probe of the life that ends, or nothing: the next break is not over by then.
                move || try_permit(&breaker, THEN)
            });
            breaker.reset_at(THEN);
            permit(&breaker, THEN).failure_at(THEN);
            let probe = permit(&breaker, NOW);
            let late = other.join().unwrap();
            assert!(try_permit(&breaker, NOW).is_none(), "I3");
            let life = metrics(&breaker).life;
            if let Some(late) = late {
                late.success_at(THEN);
            }
            assert_phase(&breaker, Phase::HalfOpen, life);
            assert_eq!(metrics(&breaker).probes_in_flight, 1);
            if lost {
                std::mem::forget(probe);
                // After the probe timeout.
                assert!(try_permit(&breaker, NOW.saturating_add(secs(31))).is_some());
            } else {
                probe.success_at(NOW);
                assert_phase(&breaker, Phase::Closed, life + 1);
            }
        });
    }
}

#[test]
fn who_asks_as_the_life_ends_leaves_nothing_in_the_next() {
    fn resets(breaker: &Shared, _: Option<Held>) {
        breaker.reset_at(NOW);
    }
    fn forces(breaker: &Shared, _: Option<Held>) {
        breaker.force_closed_at(NOW);
    }
    let new = || {
        let (breaker, probes) = probed(brittle(), 1);
        drop(probes);
        (breaker, None::<Held>, None::<Held>)
    };
    for change in [resets, forces] {
        beside(new, asks, change, |breaker| {
            let seen = metrics(breaker);
            assert_eq!((seen.life, seen.consecutive_failures, seen.since), (4, 0, Some(NOW)));
        });
    }
}

#[test]
fn a_break_has_its_own_length() {
    let fail = |breaker: &Shared, retry_after| {
        if let Some(permit) = try_permit(breaker, NOW) {
            permit.report_at(Outcome::Failure { retry_after: Some(retry_after) }, NOW);
        }
    };
    let retry_at = |breaker: &Shared, now| match breaker.try_acquire_at(now) {
        Err(TryAcquireError::Open { retry_at, .. }) => retry_at,
        other => panic!("{other:?}"),
    };
    model(move || {
        let breaker = shared(brittle());
        let other = Arc::clone(&breaker);
        let other = thread::spawn(move || fail(&other, secs(500)));
        breaker.reset_at(NOW);
        fail(&breaker, secs(10));
        other.join().unwrap();
        if breaker.phase_at(NOW) == Phase::Open {
            let length = retry_at(&breaker, NOW).saturating_duration_since(NOW);
            // The clock steps back, and it begins again.
            let back = at(10);
            assert_eq!(retry_at(&breaker, back), back.saturating_add(length));
        }
    });
}

#[test]
fn a_permit_of_a_new_phase_sees_what_was_done_before() {
    wide_model(|| {
        let breaker = shared(brittle());
        let cell = loom::sync::Arc::new(UnsafeCell::new(0));
        let held = permit(&breaker, at(1));
        let other = thread::spawn({
            let cell = loom::sync::Arc::clone(&cell);
            move || {
                cell.with_mut(touch);
                held.failure_at(at(1));
            }
        });
        if try_permit(&breaker, NOW).is_some_and(|permit| permit.is_probe()) {
            cell.with_mut(touch);
        }
        other.join().unwrap();
    });
}

// Windows.

/// What two threads report, mixed, is what is counted.
fn counts_all(window: fn() -> Window, one: &'static [bool], other: &'static [bool]) {
    fn report(breaker: &Shared, bad: &[bool]) {
        for &bad in bad {
            let permit = permit(breaker, at(1));
            if bad { permit.failure_at(at(1)) } else { permit.success_at(at(1)) }
        }
    }
    model(move || {
        let breaker = shared(measuring(window()));
        let thread = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || report(&breaker, other)
        });
        report(&breaker, one);
        thread.join().unwrap();
        let all = one.iter().chain(other);
        let expected = Tally {
            calls: all.clone().count() as u64,
            bad: all.filter(|bad| **bad).count() as u64,
        };
        let seen = breaker.metrics_at(at(1));
        assert_eq!(seen.failures_by_calls.or(seen.failures_by_time), Some(expected));
        assert_eq!(seen.phase, Phase::Closed);
    });
}

const CALLS: fn() -> Window = || Window::calls(8).minimum(8);
const TIME: fn() -> Window = || Window::time(secs(3)).slices(3).minimum(8);

#[test]
fn recorded_calls_equal_reported_ones_by_calls() {
    counts_all(CALLS, &[true, false], &[false, true]);
    counts_all(CALLS, &[true, true], &[true, true]);
    counts_all(CALLS, &[false, true], &[true, false]);
}

#[test]
fn recorded_calls_equal_reported_ones_by_time() {
    counts_all(TIME, &[true, false], &[false, true]);
    counts_all(TIME, &[true, true], &[true, false]);
}

#[test]
fn late_bad_call_is_put_in_its_slot_once() {
    fn fail(breaker: &Shared, times: u32) {
        (0..times).for_each(|_| permit(breaker, at(1)).failure_at(at(1)));
    }
    // The ring goes round while one of them is late; in the last, and somebody else has put a later one
    // in its slot by then.
    for (size, one, other, bad) in [(2, 1, 3, 2), (3, 2, 2, 3), (1, 1, 1, 1), (3, 1, 5, 3)] {
        model(move || {
            let breaker = shared(measuring(Window::calls(size)));
            // Measures, and does not trip.
            breaker.force_closed_at(at(1));
            let thread = thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || fail(&breaker, other)
            });
            fail(&breaker, one);
            thread.join().unwrap();
            let tally = |breaker: &Shared| metrics(breaker).failures_by_calls.unwrap();
            assert_eq!(tally(&breaker), Tally { calls: size.into(), bad });
            // One of them goes with every good call: so they are the last ones, in order.
            for left in (0..bad).rev() {
                permit(&breaker, at(1)).success_at(at(1));
                assert_eq!(tally(&breaker).bad, left);
            }
        });
    }
}

#[test]
fn a_good_call_against_a_bad_one_is_counted_where_the_window_was_clean() {
    let new = || {
        let breaker = shared(measuring(Window::calls(2)));
        for _ in 0..3 {
            permit(&breaker, at(1)).success_at(at(1));
        }
        let (one, other) = (permit(&breaker, at(1)), permit(&breaker, at(1)));
        (breaker, Some(one), Some(other))
    };
    beside(new, fails, succeeds, |breaker| {
        let tally = metrics(breaker).failures_by_calls;
        assert_eq!(tally, Some(Tally { calls: 2, bad: 1 }));
        permit(breaker, at(1)).success_at(at(1));
        permit(breaker, at(1)).success_at(at(1));
        assert_eq!(metrics(breaker).failures_by_calls, Some(Tally { calls: 2, bad: 0 }));
    });
}

#[test]
fn who_counts_after_a_bad_call_sees_it() {
    let new = || closed_two(measuring(Window::calls(3)));
    beside(
        new,
        fails,
        |breaker, held| {
            succeeds(breaker, held);
            let tally = metrics(breaker).failures_by_calls.unwrap();
            assert_eq!(tally.bad, tally.calls - 1);
        },
        |_| {},
    );
}

#[test]
fn tally_is_of_one_moment() {
    // At every moment one of the last two calls was bad.
    let new = || {
        let breaker = shared(measuring(Window::calls(2)));
        permit(&breaker, at(1)).success_at(at(1));
        permit(&breaker, at(1)).failure_at(at(1));
        permit(&breaker, at(1)).success_at(at(1));
        (breaker, None::<Held>, None::<Held>)
    };
    beside(
        new,
        |breaker, _| {
            for _ in 0..2 {
                permit(breaker, at(1)).failure_at(at(1));
                permit(breaker, at(1)).success_at(at(1));
            }
        },
        |breaker, _| {
            let tally = metrics(breaker).failures_by_calls;
            assert_eq!(tally, Some(Tally { calls: 2, bad: 1 }));
        },
        |_| {},
    );
}

#[test]
fn slices_count_every_call_once() {
    fn seen(breaker: &Shared, at: Instant) -> Option<Tally> {
        breaker.metrics_at(at).failures_by_time
    }
    fn call(breaker: &Shared, bad: bool, at: Instant) {
        let permit = permit(breaker, at);
        if bad { permit.failure_at(at) } else { permit.success_at(at) }
    }
    let new = || {
        let breaker = shared(measuring(Window::time(secs(3)).slices(3).minimum(9)));
        call(&breaker, false, at(10));
        (breaker, None::<Held>, None::<Held>)
    };
    // The head moves on within the window: nothing is lost.
    beside(
        new,
        |breaker, _| {
            call(breaker, true, at(10));
            call(breaker, true, at(11));
        },
        |breaker, _| call(breaker, true, at(12)),
        |breaker| assert_eq!(seen(breaker, at(12)), Some(Tally { calls: 4, bad: 3 })),
    );
    // It moves on beyond the first slice, whose slot is used again: what was counted there is gone,
    // what came after is not.
    beside(
        new,
        |breaker, _| {
            call(breaker, true, at(10));
            call(breaker, true, at(11));
        },
        |breaker, _| call(breaker, false, at(13)),
        |breaker| {
            let tally = seen(breaker, at(13)).unwrap();
            assert!((1..=2).contains(&tally.bad), "{tally:?}");
            assert_eq!(tally.calls, tally.bad + 1);
        },
    );
    // The same slot is begun anew, and whoever is late does not begin an earlier slice there.
    beside(
        new,
        |breaker, _| call(breaker, true, at(10)),
        |breaker, _| call(breaker, true, at(13)),
        |breaker| {
            let tally = seen(breaker, at(13)).unwrap();
            assert!((1..=2).contains(&tally.bad), "{tally:?}");
            assert_eq!(tally.calls, tally.bad);
        },
    );
    // Far beyond.
    beside(
        new,
        |breaker, _| call(breaker, true, at(10)),
        |breaker, _| call(breaker, false, at(50)),
        |breaker| {
            let tally = seen(breaker, at(50)).unwrap();
            assert!(tally.bad <= 1, "{tally:?}");
            assert_eq!(tally.calls, tally.bad + 1);
        },
    );
    // A reader sees the one or the two, never a part.
    beside(
        new,
        |breaker, _| {
            call(breaker, false, at(11));
            call(breaker, false, at(13));
        },
        |breaker, _| {
            let tally = seen(breaker, at(11)).unwrap();
            assert!((1..=2).contains(&tally.calls), "{tally:?}");
        },
        |breaker| assert_eq!(seen(breaker, at(13)), Some(Tally { calls: 2, bad: 0 })),
    );
}

#[test]
fn a_slice_that_leaves_the_window_trips_nothing() {
    fn call(breaker: &Shared, bad: bool, at: Instant) {
        let permit = permit(breaker, at);
        if bad { permit.failure_at(at) } else { permit.success_at(at) }
    }
    // Two good and one bad in a slice that leaves the window as another bad one comes. With the bad
    // ones of that slice and without the good ones the rate would be 1.
    let new = || {
        let window = Window::time(secs(3)).slices(3).minimum(2);
        let breaker = shared(measuring(window).failure_rate(0.6, window));
        call(&breaker, false, at(10));
        call(&breaker, false, at(10));
        call(&breaker, true, at(10));
        call(&breaker, false, at(12));
        (breaker, None::<Held>, None::<Held>)
    };
    beside(
        new,
        |breaker, _| call(breaker, true, at(12)),
        |breaker, _| call(breaker, false, at(13)),
        |breaker| assert_eq!(breaker.phase_at(at(13)), Phase::Closed),
    );
}

#[test]
fn a_move_to_far_ahead_trips_nothing() {
    // A bad call among four good ones in the slice that is left, and another one comes: without the good
    // ones the rate would be 1.
    let window = Window::time(secs(3)).slices(3).minimum(2);
    beside(
        move || {
            let breaker = shared(measuring(window).failure_rate(0.6, window));
            (0..4).for_each(|_| permit(&breaker, at(12)).success_at(at(12)));
            permit(&breaker, at(12)).failure_at(at(12));
            let (one, other) = (permit(&breaker, at(12)), permit(&breaker, at(12)));
            (breaker, Some(one), Some(other))
        },
        |_, permit| permit.unwrap().failure_at(at(12)),
        |_, permit| permit.unwrap().success_at(at(100_000)),
        |breaker| assert_eq!(breaker.phase_at(at(12)), Phase::Closed),
    );
}

#[test]
fn a_slice_that_comes_round_again_counts_nothing_of_before() {
    // Of slices that are so far apart, which have the same of three slots, it cannot tell one from the
    // other.
    const ROUND: u64 = 3 << 15;
    let window = Window::time(secs(3)).slices(3).minimum(2);
    beside(
        move || {
            let breaker = shared(measuring(window).failure_rate(0.6, window));
            (0..3).for_each(|_| permit(&breaker, at(12)).success_at(at(12)));
            (0..4).for_each(|_| permit(&breaker, at(12)).failure_at(at(12)));
            let (one, other) = (permit(&breaker, at(12)), permit(&breaker, at(12)));
            (breaker, Some(one), Some(other))
        },
        |_, permit| permit.unwrap().failure_at(at(12 + ROUND)),
        |_, permit| permit.unwrap().success_at(at(12 + ROUND)),
        |breaker| {
            assert_eq!(breaker.phase_at(at(12 + ROUND)), Phase::Closed);
            let tally = breaker.metrics_at(at(12 + ROUND)).failures_by_time;
            assert_eq!(tally, Some(Tally { calls: 2, bad: 1 }));
        },
    );
}

#[test]
fn late_result_does_not_touch_the_window_of_the_next_life() {
    fn late(breaker: &Shared, permit: Option<Held>) {
        fails(breaker, permit);
    }
    fn anew(breaker: &Shared, _: Option<Held>) {
        breaker.reset_at(at(1));
        permit(breaker, at(1)).failure_at(at(1));
        permit(breaker, at(1)).success_at(at(1));
    }
    for window in [CALLS, TIME] {
        for swapped in [false, true] {
            model(move || {
                let breaker = shared(measuring(window()));
                let (one, mine) = (permit(&breaker, at(1)), permit(&breaker, at(1)));
                mine.failure_at(at(1));
                let theirs = Arc::clone(&breaker);
                if swapped {
                    let thread = thread::spawn(move || anew(&theirs, None));
                    late(&breaker, Some(one));
                    thread.join().unwrap();
                } else {
                    let thread = thread::spawn(move || late(&theirs, Some(one)));
                    anew(&breaker, None);
                    thread.join().unwrap();
                }
                let seen = breaker.metrics_at(at(1));
                let tally = seen.failures_by_calls.or(seen.failures_by_time);
                assert_eq!(tally, Some(Tally { calls: 2, bad: 1 }));
            });
        }
    }
}

#[test]
fn a_sweep_that_is_late_leaves_the_next_life_alone() {
    let mut builder = Builder::new();
    builder.max_branches = 100_000;
    builder.check(|| {
        let breaker = shared(measuring(Window::time(secs(1)).slices(1).minimum(9)));
        for _ in 1..255 {
            breaker.reset_at(at(1));
        }
        let sweeper = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || breaker.reset_at(at(1))
        });
        breaker.reset_at(at(1));
        let before = metrics(&breaker).life;
        permit(&breaker, at(1)).failure_at(at(1));
        sweeper.join().unwrap();
        let seen = breaker.metrics_at(at(1));
        let bad = seen.failures_by_time.unwrap().bad;
        assert_eq!(seen.life, 257);
        assert!(bad == 1 || before == 256);
    });
}

#[test]
fn late_asker_leaves_the_ramp_of_the_next_life_alone() {
    // Of so small a share that only the first of a life is admitted.
    let config = || brittle().ramp_up(1e-9, secs(1_000));
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.min(1));
    builder.check(move || {
        let (breaker, mut probes) = probed(config(), 1);
        probes.pop().unwrap().success_at(THEN);
        let first = permit(&breaker, NOW);
        let thread = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || asks(&breaker, None)
        });
        // Open for a second, which is over.
        first.failure_at(THEN);
        if let Some(probe) = try_permit(&breaker, NOW) {
            probe.success_at(NOW);
            // Whoever is first, this is not.
            asks(&breaker, None);
            assert!(try_permit(&breaker, NOW).is_none());
        }
        thread.join().unwrap();
    });
}

// Looking.

#[test]
fn metrics_are_of_one_life() {
    let new = || {
        let breaker = shared(brittle());
        let held = permit(&breaker, NOW);
        (breaker, Some(held), None::<Held>)
    };
    beside(
        new,
        |_, held| held.unwrap().failure_at(NOW),
        |breaker, _| {
            let seen = metrics(breaker);
            if seen.life == 1 {
                assert_eq!((seen.phase, seen.since), (Phase::Closed, None));
                assert_eq!((seen.next_probe_at, seen.consecutive_trips), (None, 0));
            } else {
                assert_eq!((seen.phase, seen.life), (Phase::Open, 2));
                assert!(matches!(seen.since, None | Some(NOW)));
                assert!(seen.next_probe_at.is_none_or(|at| at == NOW.saturating_add(secs(1))));
                assert_eq!((seen.consecutive_trips, seen.consecutive_failures), (1, 0));
            }
        },
        |_| {},
    );
    // Counted, and forgotten.
    let new = || {
        let breaker = shared(measuring(Window::calls(2)));
        permit(&breaker, at(1)).failure_at(at(1));
        (breaker, None::<Held>, None::<Held>)
    };
    beside(
        new,
        |breaker, _| {
            breaker.reset_at(NOW);
            permit(breaker, NOW).success_at(NOW);
        },
        |breaker, _| {
            let seen = metrics(breaker);
            let tally = seen.failures_by_calls.unwrap();
            if seen.life == 1 {
                assert_eq!((seen.since, tally), (None, Tally { calls: 1, bad: 1 }));
            } else {
                assert!(matches!(seen.since, None | Some(NOW)));
                assert_eq!(tally.bad, 0);
            }
        },
        |_| {},
    );
}

#[test]
fn the_end_of_a_break_is_never_torn() {
    /// Both differ from each other in both halves.
    const FIRST: Instant = Instant::from_nanos(0x0000_0001_F000_0000);
    const NEXT: Instant = Instant::from_nanos(0x0000_0700_1000_0000);
    fn end(at: Instant) -> Instant {
        at.saturating_add(secs(1))
    }
    fn known(at: Instant) -> bool {
        at == end(FIRST) || at == end(NEXT)
    }
    let opened = || {
        let breaker = shared(brittle());
        permit(&breaker, FIRST).failure_at(FIRST);
        (breaker, None::<Held>, None::<Held>)
    };
    beside(
        opened,
        |breaker, _| {
            breaker.reset_at(FIRST);
            permit(breaker, FIRST).failure_at(NEXT);
        },
        |breaker, _| {
            if let Err(TryAcquireError::Open { retry_at, .. }) = breaker.try_acquire_at(FIRST) {
                assert!(retry_at == FIRST || known(retry_at), "{retry_at:?}");
            }
        },
        |breaker| assert!(breaker.metrics_at(NEXT).next_probe_at.is_some_and(known)),
    );
    let closed_again = move || {
        let (breaker, ..) = opened();
        breaker.reset_at(FIRST);
        let held = permit(&breaker, FIRST);
        (breaker, Some(held), None::<Held>)
    };
    beside(
        closed_again,
        |_, held| held.unwrap().failure_at(NEXT),
        |breaker, _| {
            let seen = metrics(breaker);
            assert!(seen.next_probe_at.is_none_or(|at| at == end(NEXT)), "{seen:?}");
            let begun = if seen.life == 3 { FIRST } else { NEXT };
            assert!(seen.since.is_none_or(|since| since == begun), "{seen:?}");
        },
        |_| {},
    );
}

// Changes.

#[test]
fn every_change_after_the_subscription_is_seen() {
    for subscriber_begins in [true, false] {
        for before in [0, 1] {
            model(move || {
                let breaker = shared(brittle());
                // The log may be there already.
                let earlier: Vec<_> = (0..before).map(|_| breaker.changes()).collect();
                let change = |breaker: &Shared| {
                    breaker.force_open_at(NOW);
                    breaker.force_closed_at(NOW);
                };
                let life = |breaker: &Shared| match breaker.phase_at(NOW) {
                    Phase::Closed => 1,
                    Phase::ForcedOpen => 2,
                    _ => 3,
                };
                let subscribe = move |breaker: &Shared| {
                    let before = life(breaker);
                    let changes = breaker.changes();
                    (before, changes, life(breaker))
                };
                let theirs = Arc::clone(&breaker);
                let (first, mut changes, last) = if subscriber_begins {
                    let other = thread::spawn(move || change(&theirs));
                    let changes = subscribe(&breaker);
                    other.join().unwrap();
                    changes
                } else {
                    let other = thread::spawn(move || subscribe(&theirs));
                    change(&breaker);
                    other.join().unwrap()
                };
                let seen: Vec<_> = std::iter::from_fn(|| changes.try_next()).collect();
                assert!(seen.iter().all(|seen| seen.missed == 0));
                let lives: Vec<_> = seen.iter().map(|seen| seen.change.life).collect();
                let begin = lives.first().copied().unwrap_or(4);
                assert!(first < begin && begin <= last + 1, "{first} {begin} {last}");
                assert!(lives.iter().copied().eq(begin..4), "{lives:?}");
                for mut earlier in earlier {
                    let lives = std::iter::from_fn(|| earlier.try_next());
                    assert!(lives.map(|seen| seen.change.life).eq([2, 3]));
                }
            });
        }
    }
}

#[test]
fn changes_of_two_threads_are_seen_in_order() {
    model(|| {
        let breaker = shared(brittle());
        let mut changes = breaker.changes();
        let other = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || breaker.reset_at(NOW)
        });
        breaker.reset_at(NOW);
        other.join().unwrap();
        let lives = std::iter::from_fn(|| changes.try_next()).map(|seen| seen.change.life);
        assert!(lives.eq([2, 3]));
    });
}

#[test]
fn a_reader_who_waits_is_woken_by_a_change_and_by_the_end() {
    wide_model(|| {
        let breaker = shared(brittle());
        let mut changes = breaker.changes().into_iter();
        let reader = thread::spawn(move || {
            assert_eq!(changes.next().map(|seen| seen.change.life), Some(2));
            assert!(changes.next().is_none());
        });
        breaker.reset_at(NOW);
        drop(breaker);
        reader.join().unwrap();
    });
}

// Waiting.

fn acquire(breaker: &Shared) -> Acquire<Shared> {
    Acquire::new(Arc::clone(breaker), ())
}

fn joined(breaker: &Shared) -> Acquire<Shared> {
    let mut place = acquire(breaker);
    assert!(Pin::new(&mut place).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    place
}

/// `event` against somebody who waits for a permit, by task and by thread.
fn against_an_acquire(
    new: fn() -> (Shared, Option<Held>),
    event: fn(&Shared, Option<Held>),
    expected: fn(&Held),
) {
    let task = |breaker: &Shared| block_on(acquire(breaker)).unwrap();
    let thread = |breaker: &Shared| Acquire::new(Arc::clone(breaker), ()).wait().unwrap();
    let wait: [fn(&Shared) -> Held; 2] = [task, thread];
    for wait in wait {
        for event_begins in [true, false] {
            model(move || {
                let (breaker, held) = new();
                let theirs = Arc::clone(&breaker);
                let got = if event_begins {
                    let waiter = thread::spawn(move || wait(&theirs));
                    event(&breaker, held);
                    waiter.join().unwrap()
                } else {
                    let other = thread::spawn(move || event(&theirs, held));
                    let got = wait(&breaker);
                    other.join().unwrap();
                    got
                };
                expected(&got);
                drop(got);
                assert_at_rest(&breaker, 1);
            });
        }
    }
}

fn one_probe() -> (Shared, Option<Held>) {
    let (breaker, mut probes) = probed(brittle().close_after(2), 1);
    (breaker, probes.pop())
}

#[test]
fn a_dropped_probe_against_an_acquire_is_seen() {
    against_an_acquire(one_probe, |_, probe| drop(probe), |got| assert!(got.is_probe()));
}

#[test]
fn a_successful_probe_against_an_acquire_is_seen() {
    let report: fn(&Shared, Option<Held>) = |_, probe| probe.unwrap().success_at(THEN);
    against_an_acquire(one_probe, report, |got| assert!(got.is_probe()));
    let last = || {
        let (breaker, mut probes) = probed(brittle(), 1);
        (breaker, probes.pop())
    };
    against_an_acquire(last, report, |got| assert!(!got.is_probe()));
}

#[test]
fn a_failed_probe_against_an_acquire_is_seen() {
    // The break that it begins is over by now.
    let report: fn(&Shared, Option<Held>) = |_, probe| probe.unwrap().failure_at(THEN);
    against_an_acquire(one_probe, report, |got| assert!(got.is_probe()));
}

#[test]
fn a_trip_against_an_acquire_is_seen() {
    let closed = || {
        let breaker = shared(brittle());
        let held = permit(&breaker, at(1));
        (breaker, Some(held))
    };
    // It is closed still, or the break is over: it waits for a moment at most.
    against_an_acquire(closed, |_, held| held.unwrap().failure_at(at(1)), |_| {});
}

#[test]
fn a_reset_against_an_acquire_is_seen() {
    let forced = || {
        let breaker = shared(brittle());
        breaker.force_open_at(THEN);
        (breaker, None)
    };
    against_an_acquire(forced, |breaker, _| breaker.reset_at(NOW), |got| assert!(!got.is_probe()));
    against_an_acquire(
        one_probe,
        |breaker, probe| {
            breaker.reset_at(NOW);
            drop(probe);
        },
        |_| {},
    );
}

#[test]
fn a_forced_close_against_an_acquire_is_seen() {
    against_an_acquire(
        one_probe,
        |breaker, probe| {
            breaker.force_closed_at(NOW);
            std::mem::forget(probe);
        },
        |got| assert!(!got.is_probe()),
    );
}

#[test]
fn two_who_wait_for_one_place_have_it_one_after_the_other() {
    wide_model(|| {
        let (breaker, probe) = one_probe();
        let cell = loom::sync::Arc::new(UnsafeCell::new(0));
        let probe_once = |breaker: &Shared, cell: &UnsafeCell<i32>| {
            let probe = block_on(acquire(breaker)).unwrap();
            assert!(probe.is_probe());
            cell.with_mut(touch);
            drop(probe);
        };
        let other = thread::spawn({
            let (breaker, cell) = (Arc::clone(&breaker), loom::sync::Arc::clone(&cell));
            move || probe_once(&breaker, &cell)
        });
        drop(probe);
        probe_once(&breaker, &cell);
        other.join().unwrap();
        assert_at_rest(&breaker, 1);
    });
}

#[test]
fn two_who_stand_in_line_for_one_place_have_it_one_after_the_other() {
    wide_model(|| {
        let (breaker, probe) = one_probe();
        let (first, second) = (joined(&breaker), joined(&breaker));
        let other = thread::spawn(move || drop(block_on(second).unwrap()));
        drop(probe);
        drop(block_on(first).unwrap());
        other.join().unwrap();
        assert_at_rest(&breaker, 1);
    });
}

#[test]
fn a_wait_that_is_dropped_as_its_turn_comes_passes_it_on() {
    for report in [(|probe| drop(probe)) as fn(Held), |probe| probe.failure_at(THEN)] {
        wide_model(move || {
            let (breaker, probe) = one_probe();
            let head = joined(&breaker);
            let canceller = thread::spawn(move || drop(head));
            let reporter = thread::spawn(move || report(probe.unwrap()));
            drop(block_on(acquire(&breaker)).unwrap());
            canceller.join().unwrap();
            reporter.join().unwrap();
            assert_at_rest(&breaker, 1);
        });
    }
}

#[test]
fn a_newcomer_never_overtakes_who_waits() {
    for newcomer_begins in [false, true] {
        model(move || {
            let (breaker, probe) = one_probe();
            let head = joined(&breaker);
            let comes = |breaker: &Shared| assert!(try_permit(breaker, NOW).is_none());
            let theirs = Arc::clone(&breaker);
            let thread = if newcomer_begins {
                let thread = thread::spawn(move || comes(&theirs));
                drop(probe);
                thread
            } else {
                let thread = thread::spawn(move || drop(probe));
                comes(&breaker);
                thread
            };
            // Before the first in line has looked, who was told.
            thread.join().unwrap();
            let probe = block_on(head).unwrap();
            drop(probe);
            assert_at_rest(&breaker, 1);
        });
    }
}

#[test]
fn who_joins_as_a_probe_begins_looks_when_that_may_be_lost() {
    for asker_begins in [true, false] {
        model(move || {
            let (breaker, probes) = probed(brittle().probe_timeout(secs(5)), 1);
            drop(probes);
            // Never reports.
            let lose = |breaker: &Shared| std::mem::forget(try_permit(breaker, NOW));
            let wait = |breaker: &Shared| {
                let mut place = acquire(breaker);
                let answer = Pin::new(&mut place).poll(&mut Context::from_waker(Waker::noop()));
                (answer.is_pending(), place)
            };
            let theirs = Arc::clone(&breaker);
            let (pending, place) = if asker_begins {
                let other = thread::spawn(move || wait(&theirs));
                lose(&breaker);
                other.join().unwrap()
            } else {
                let other = thread::spawn(move || lose(&theirs));
                let place = wait(&breaker);
                other.join().unwrap();
                place
            };
            let alarm = Instant::from_nanos(breaker.clock().alarm.load(Ordering::Relaxed));
            let latest = NOW.saturating_add(secs(6));
            assert!(!pending || alarm <= latest, "it waits for ever");
            drop(place);
        });
    }
}
