//! Models of the shared deduplicator and of claims: every interleaving and every memory order that C11
//! allows, up to `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --manifest-path crates/deduplicator/Cargo.toml --test loom
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::model::Builder;
use loom::thread;
use steadfast_core::{Clock, Instant, Timer};
use steadfast_deduplicator::{
    Acquire, AcquireError, Acquired, Claim, Claims, Config, Deduplicator, LeaseLost, SipKeys,
    TryAcquireError,
};

/// A clock that moves when a model says so. No alarm rings.
#[derive(Default)]
struct Still {
    now: AtomicU64,
}

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Relaxed))
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), _at: Instant, _waker: &Waker) {}
}

/// When the leases are over of what was claimed in the beginning.
const LATER: Instant = Instant::from_nanos(100);
const ID: u64 = 7;
const OTHER: u64 = 8;

type Shared = Arc<Claims<u32, Still>>;
type Held = Claim<Shared>;
type Waiter = Acquire<Shared>;

const fn config() -> Config {
    Config::new(4).shards(1).lease(Duration::from_nanos(10)).max_claims(2)
}

fn shared(config: Config) -> Shared {
    Arc::new(config.claims_with(Still::default(), SipKeys::from_seed(1)).unwrap())
}

/// The claim on an id that nobody has.
fn held(claims: &Shared, id: u64) -> Held {
    block_on(Acquire::new(Arc::clone(claims), &id)).unwrap().claim().unwrap()
}

/// One with a claim on `ID`.
fn one_held() -> (Shared, Held) {
    let claims = shared(config());
    let claim = held(&claims, ID);
    (claims, claim)
}

fn waiter(claims: &Shared) -> Waiter {
    Acquire::new(Arc::clone(claims), &ID)
}

/// One who waits in the line.
fn joined(claims: &Shared) -> Waiter {
    let mut waiter = waiter(claims);
    assert!(poll(&mut waiter).is_pending());
    waiter
}

fn poll(waiter: &mut Waiter) -> Poll<Result<Acquired<Shared>, AcquireError>> {
    Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop()))
}

fn claimed(waiter: Waiter) -> Held {
    block_on(waiter).unwrap().claim().expect("nobody commits")
}

/// The value that somebody is told who waits.
fn told(waiter: Waiter) -> u32 {
    value(&block_on(waiter).unwrap()).expect("nobody drops it")
}

/// The value of a duplicate.
fn value<O: std::ops::Deref<Target = Claims<u32, Still>>>(acquired: &Acquired<O>) -> Option<u32> {
    match acquired {
        Acquired::Claim(_) => None,
        Acquired::Duplicate(duplicate) => Some(**duplicate.value.as_ref().unwrap()),
    }
}

/// Nobody holds or waits for anything (C3), and `remembered` is what is remembered of `ID`.
#[track_caller]
fn assert_at_rest(claims: &Shared, remembered: Option<u32>) {
    assert_eq!(claims.in_flight(), 0, "C3");
    assert_eq!(claims.peek(&ID).map(|duplicate| *duplicate.value.unwrap()), remembered);
    assert_eq!(value(&claims.try_acquire(&ID).expect("nobody is at it")), remembered);
    let mut all = Vec::new();
    let full = loop {
        match claims.try_acquire(&(100 + all.len())) {
            Ok(acquired) => all.push(acquired),
            Err(full) => break full,
        }
    };
    assert!(
        matches!(full, TryAcquireError::Full { max_claims } if max_claims as usize == all.len()),
        "C3: {full:?} after {}",
        all.len()
    );
    drop(all);
    assert_eq!(claims.in_flight(), 0, "C3");
}

/// Two shards, and one claim in all.
const fn apart() -> Config {
    config().shards(2).max_claims(1)
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut u64) {}

/// A model with three threads, or two that do a lot: one preemption less, so that it ends in seconds.
fn wide_model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.map(|bound| bound.saturating_sub(1).max(1));
    builder.check(f);
}

/// Runs `one` beside `other` on what `new` makes, each beginning once: loom does not try all loads of
/// a thread that merely reads in front of the writes of one that begins later. Then `end` judges what
/// they saw.
fn beside<T, A, B, X, Y>(
    new: fn() -> (T, A, B),
    one: fn(&T, A) -> X,
    other: fn(&T, B) -> Y,
    end: fn(&T, X, Y),
) where
    T: 'static,
    A: 'static,
    B: 'static,
    X: 'static,
    Y: 'static,
{
    for swapped in [false, true] {
        model(move || {
            let (shared, a, b) = new();
            let shared = Arc::new(shared);
            let theirs = Arc::clone(&shared);
            let (x, y) = if swapped {
                let thread = thread::spawn(move || one(&theirs, a));
                let y = other(&shared, b);
                (thread.join().unwrap(), y)
            } else {
                let thread = thread::spawn(move || other(&theirs, b));
                let x = one(&shared, a);
                (x, thread.join().unwrap())
            };
            end(&shared, x, y);
        });
    }
}

/// `new` of a claim for `one`, and nothing for `other`.
fn against() -> (Shared, Held, ()) {
    let (claims, claim) = one_held();
    (claims, claim, ())
}

/// The same, its lease over, with `ID` asked for by `other` at that time.
fn against_the_clock() -> (Shared, Held, ()) {
    let new = against();
    new.0.clock().now.store(LATER.as_nanos(), Ordering::Relaxed);
    new
}

/// The same, and `other` is in line.
fn against_the_clock_in_line() -> (Shared, Held, Waiter) {
    let (claims, claim) = one_held();
    let waiter = joined(&claims);
    claims.clock().now.store(LATER.as_nanos(), Ordering::Relaxed);
    (claims, claim, waiter)
}

// The window.

#[test]
fn an_id_is_fresh_once() {
    type Window = Deduplicator<Still>;
    fn inserts(window: &Window, (): ()) -> [bool; 2] {
        [ID, OTHER].map(|id| window.insert(&id).is_fresh())
    }
    fn inserts_all(window: &Window, (): ()) -> [bool; 2] {
        let sightings = window.insert_all(&[OTHER, ID]);
        [sightings[1].is_fresh(), sightings[0].is_fresh()]
    }
    fn end(window: &Window, a: [bool; 2], b: [bool; 2]) {
        assert!(a[0] != b[0] && a[1] != b[1], "{a:?} {b:?}");
        assert_eq!((window.len(), window.stats().fresh, window.stats().duplicates), (2, 2, 2));
    }
    fn new() -> (Window, (), ()) {
        (config().build_with(Still::default(), SipKeys::from_seed(1)).unwrap(), (), ())
    }
    beside(new, inserts, inserts, end);
    beside(new, inserts, inserts_all, end);
}

#[test]
fn a_duplicate_sees_what_was_before_its_id() {
    type Published = (Deduplicator<Still>, UnsafeCell<u64>);
    beside(
        || {
            let window = config().build_with(Still::default(), SipKeys::from_seed(1)).unwrap();
            ((window, UnsafeCell::new(0)), (), ())
        },
        |(window, message): &Published, ()| {
            message.with_mut(touch);
            assert!(window.insert(&ID).is_fresh());
        },
        |(window, message): &Published, ()| {
            if window.contains(&ID) {
                message.with(|_| ());
            }
        },
        |_, (), ()| (),
    );
}

// Claims, without waiting.

#[test]
fn an_id_is_claimed_once() {
    fn asks(claims: &Shared, (): ()) -> bool {
        // Kept for ever.
        match claims.try_acquire(&ID) {
            Ok(acquired) => acquired.claim().map(mem::forget).is_some(),
            Err(error) => {
                assert!(matches!(error, TryAcquireError::InFlight { .. }));
                false
            }
        }
    }
    beside(
        || (shared(config()), (), ()),
        asks,
        asks,
        |claims, a, b| {
            assert!(a != b, "C1");
            assert_eq!(claims.in_flight(), 1, "C3");
        },
    );
}

#[test]
fn a_claim_that_is_dropped_is_had_by_one_who_asks_or_is_free() {
    beside(
        against,
        |_, claim| drop(claim),
        |claims, ()| drop(claims.try_acquire(&ID)),
        |claims, (), ()| assert_at_rest(claims, None),
    );
}

#[test]
fn a_claim_that_is_committed_is_not_had() {
    beside(
        against,
        |_, claim| claim.commit_with(5).map(|value| *value),
        |claims, ()| claims.try_acquire(&ID).map(|acquired| value(&acquired)).ok(),
        |claims, committed, seen| {
            assert_eq!(committed, Ok(5));
            assert!(matches!(seen, None | Some(Some(5))), "C1: {seen:?}");
            assert_at_rest(claims, Some(5));
        },
    );
}

#[test]
fn at_the_end_of_a_lease_one_of_two_commits() {
    beside(
        against_the_clock,
        |_, late| late.commit_with(1).is_ok(),
        |claims, ()| match claims.try_acquire(&ID).unwrap() {
            Acquired::Claim(claim) => claim.commit_with(2).map(|_| 2),
            Acquired::Duplicate(duplicate) => Ok(*duplicate.value.unwrap()),
        },
        |claims, late, other| {
            assert_eq!(other, Ok(if late { 1 } else { 2 }), "C1");
            assert_at_rest(claims, Some(if late { 1 } else { 2 }));
        },
    );
}

#[test]
fn a_late_drop_gives_nothing_back() {
    beside(
        against_the_clock,
        |_, late| drop(late),
        // Kept for ever.
        |claims, ()| mem::forget(claims.try_acquire(&ID).unwrap().claim().unwrap()),
        |claims, (), ()| {
            assert_eq!(claims.in_flight(), 1, "C3");
            assert!(matches!(claims.try_acquire(&ID), Err(TryAcquireError::InFlight { .. })));
        },
    );
}

#[test]
fn a_lease_is_extended_or_lost() {
    beside(
        against_the_clock,
        |_, mut late| {
            let extended = late.extend().is_ok();
            assert_eq!(
                late.commit_with(1),
                if extended { Ok(Arc::new(1)) } else { Err(LeaseLost) }
            );
            extended
        },
        |claims, ()| match claims.try_acquire(&ID) {
            Ok(Acquired::Claim(claim)) => claim.commit_with(2).is_ok(),
            Ok(Acquired::Duplicate(_)) | Err(_) => false,
        },
        |claims, extended, taken| {
            assert!(extended != taken, "C1");
            assert_at_rest(claims, Some(if extended { 1 } else { 2 }));
        },
    );
}

#[test]
fn who_forgets_against_a_commit_forgets_all_of_it_or_nothing() {
    beside(
        against,
        |_, claim| claim.commit_with(5).unwrap(),
        |claims, ()| claims.forget(&ID),
        |claims, _, forgotten| assert_at_rest(claims, (!forgotten).then_some(5)),
    );
}

#[test]
fn there_are_never_more_claims_than_may_be() {
    fn asks(claims: &Shared, id: u64) -> bool {
        let answer = claims.try_acquire(&id);
        assert!(matches!(answer, Ok(_) | Err(TryAcquireError::Full { max_claims: 1 })));
        answer.is_ok_and(|acquired| acquired.claim().map(mem::forget).is_some())
    }
    let new = || (shared(apart()), ID, OTHER);
    beside(new, asks, asks, |claims, a, b| {
        assert!(a != b);
        assert_eq!(claims.in_flight(), 1, "C3");
    });
    // A lease that is over is swept once, whoever sweeps.
    let new = || {
        let claims = shared(apart());
        mem::forget(held(&claims, 9));
        claims.clock().now.store(LATER.as_nanos(), Ordering::Relaxed);
        (claims, ID, OTHER)
    };
    beside(new, asks, asks, |claims, a, b| {
        assert!(a != b);
        assert_eq!(claims.in_flight(), 1, "C3");
    });
}

#[test]
fn a_claim_that_is_swept_and_dropped_gives_its_place_back_once() {
    beside(
        || {
            let claims = shared(config().max_claims(1));
            let claim = held(&claims, ID);
            claims.clock().now.store(LATER.as_nanos(), Ordering::Relaxed);
            (claims, claim, ())
        },
        |_, late| drop(late),
        |claims, ()| drop(claims.try_acquire(&OTHER)),
        |claims, (), ()| assert_at_rest(claims, None),
    );
}

/// One with a claim on `ID`, and no place for another.
fn the_only_one() -> (Shared, Held, ()) {
    let claims = shared(config().max_claims(1));
    let claim = held(&claims, ID);
    (claims, claim, ())
}

#[test]
fn who_is_told_of_a_commit_finds_its_place_free() {
    fn takes_the_place(claims: &Shared) {
        let other = claims.try_acquire(&OTHER).expect("C3: nobody else takes it");
        assert_eq!(claims.in_flight(), 1, "C3");
        drop(other);
    }
    fn looks(claims: &Shared, (): ()) {
        if claims.contains(&ID) {
            takes_the_place(claims);
        }
    }
    fn waits(claims: &Shared, (): ()) {
        assert_eq!(told(waiter(claims)), 5);
        takes_the_place(claims);
    }
    for other in [looks, waits] {
        beside(
            the_only_one,
            |_, claim| claim.commit_with(5).unwrap(),
            other,
            |claims, _, ()| assert_at_rest(claims, Some(5)),
        );
    }
}

#[test]
fn who_finds_an_id_given_back_finds_its_place_free() {
    fn asks(claims: &Shared, (): ()) {
        match claims.try_acquire(&ID) {
            Ok(acquired) => {
                assert_eq!(claims.in_flight(), 1, "C3");
                assert!(acquired.claim().is_some());
            }
            Err(error) => assert!(matches!(error, TryAcquireError::InFlight { .. }), "{error:?}"),
        }
    }
    beside(
        the_only_one,
        |_, claim| drop(claim),
        asks,
        |claims, (), ()| {
            assert_at_rest(claims, None);
        },
    );
    // The last who waits gives it back, who has not taken it.
    let left_to_one = || {
        let (claims, claim, ()) = the_only_one();
        let waiter = joined(&claims);
        drop(claim);
        (claims, waiter, ())
    };
    beside(
        left_to_one,
        |_, waiter| drop(waiter),
        asks,
        |claims, (), ()| {
            assert_at_rest(claims, None);
        },
    );
}

// Claims that are waited for.

#[test]
fn a_waiter_gets_what_is_committed() {
    beside(
        against,
        |_, claim| claim.commit_with(5).unwrap(),
        |claims, ()| told(waiter(claims)),
        |claims, _, told| {
            assert_eq!(told, 5);
            assert_at_rest(claims, Some(5));
        },
    );
}

#[test]
fn a_waiter_is_told_of_a_commit_that_is_forgotten_before_he_looks() {
    fn commits_and_forgets(claims: &Shared, claim: Held) {
        claim.commit_with(5).unwrap();
        assert!(claims.forget(&ID));
    }
    beside(
        || {
            let (claims, claim) = one_held();
            let waiter = joined(&claims);
            (claims, claim, waiter)
        },
        commits_and_forgets,
        |_, waiter| assert_eq!(told(waiter), 5),
        |claims, (), ()| assert_at_rest(claims, None),
    );
    // Whoever asks after that gets a claim.
    beside(
        against,
        commits_and_forgets,
        |claims, ()| match block_on(waiter(claims)).unwrap() {
            Acquired::Claim(_) => assert!(!claims.contains(&ID)),
            Acquired::Duplicate(duplicate) => assert_eq!(*duplicate.value.unwrap(), 5),
        },
        |claims, (), ()| assert_at_rest(claims, None),
    );
}

#[test]
fn a_waiter_gets_what_is_dropped() {
    beside(
        against,
        |_, claim| drop(claim),
        |claims, ()| drop(claimed(waiter(claims))),
        |claims, (), ()| assert_at_rest(claims, None),
    );
}

#[test]
fn who_gets_a_claim_or_is_told_sees_what_was_done_before() {
    type Published = (Shared, UnsafeCell<u64>);
    fn new() -> (Published, Held, ()) {
        let (claims, claim) = one_held();
        ((claims, UnsafeCell::new(0)), claim, ())
    }
    beside(
        new,
        |(_, work): &Published, claim| {
            work.with_mut(touch);
            drop(claim);
        },
        |(claims, work): &Published, ()| {
            let claim = claimed(waiter(claims));
            work.with_mut(touch);
            drop(claim);
        },
        |_, (), ()| (),
    );
    beside(
        new,
        |(_, work): &Published, claim| {
            work.with_mut(touch);
            claim.commit_with(5).unwrap();
        },
        |(claims, work): &Published, ()| {
            told(waiter(claims));
            work.with(|_| ());
        },
        |_, _, ()| (),
    );
}

#[test]
fn all_who_wait_are_told_what_is_committed() {
    wide_model(|| {
        let (claims, claim) = one_held();
        let other = thread::spawn({
            let claims = Arc::clone(&claims);
            move || told(waiter(&claims))
        });
        let joined = joined(&claims);
        let committer = thread::spawn(move || claim.commit_with(5).unwrap());
        assert_eq!((told(joined), other.join().unwrap()), (5, 5));
        committer.join().unwrap();
        assert_at_rest(&claims, Some(5));
    });
}

#[test]
fn who_is_late_for_a_flight_waits_for_the_next_one() {
    model(|| {
        let (claims, claim) = one_held();
        let late = thread::spawn({
            let claims = Arc::clone(&claims);
            move || match block_on(waiter(&claims)).unwrap() {
                Acquired::Claim(claim) => drop(claim),
                told => assert_eq!(value(&told), Some(7)),
            }
        });
        drop(claim);
        let next = claims.try_acquire(&ID).ok().and_then(Acquired::claim);
        let remembered = next.is_some().then_some(7);
        if let Some(next) = next {
            next.commit_with(7).unwrap();
        }
        late.join().unwrap();
        assert_at_rest(&claims, remembered);
    });
}

#[test]
fn two_who_wait_get_it_in_turn() {
    model(|| {
        let (claims, claim) = one_held();
        let (first, second) = (joined(&claims), joined(&claims));
        let turn = Arc::new(AtomicU32::new(0));
        let other = thread::spawn({
            let turn = Arc::clone(&turn);
            move || {
                let claim = claimed(first);
                assert_eq!(turn.fetch_add(1, Ordering::Relaxed), 0, "W1");
                drop(claim);
            }
        });
        drop(claim);
        let claim = claimed(second);
        assert_eq!(turn.fetch_add(1, Ordering::Relaxed), 1, "W1");
        drop(claim);
        other.join().unwrap();
        assert_at_rest(&claims, None);
    });
}

#[test]
fn a_newcomer_does_not_overtake_who_waits() {
    model(|| {
        let (claims, claim) = one_held();
        let first = joined(&claims);
        let served = Arc::new(AtomicU32::new(0));
        let other = thread::spawn({
            let served = Arc::clone(&served);
            move || {
                let claim = claimed(first);
                served.store(1, Ordering::Relaxed);
                drop(claim);
            }
        });
        drop(claim);
        match claims.try_acquire(&ID) {
            Ok(acquired) => {
                assert!(acquired.claim().is_some());
                assert_eq!(served.load(Ordering::Relaxed), 1, "W1");
            }
            Err(error) => assert!(matches!(error, TryAcquireError::InFlight { .. })),
        }
        other.join().unwrap();
        assert_at_rest(&claims, None);
    });
}

#[test]
fn a_newcomer_who_waits_comes_after_those_who_wait() {
    wide_model(|| {
        let (claims, claim) = one_held();
        let first = joined(&claims);
        let served = Arc::new(AtomicU32::new(0));
        let other = thread::spawn({
            let served = Arc::clone(&served);
            move || {
                let claim = claimed(first);
                served.store(1, Ordering::Relaxed);
                drop(claim);
            }
        });
        let dropper = thread::spawn(move || drop(claim));
        let claim = claimed(waiter(&claims));
        assert_eq!(served.load(Ordering::Relaxed), 1, "W1");
        drop(claim);
        other.join().unwrap();
        dropper.join().unwrap();
        assert_at_rest(&claims, None);
    });
}

#[test]
fn a_waiter_who_is_cancelled_as_he_is_called_passes_his_turn_on() {
    for commits in [false, true] {
        wide_model(move || {
            let (claims, claim) = one_held();
            let (first, second) = (joined(&claims), joined(&claims));
            let ender = thread::spawn(move || {
                if commits {
                    claim.commit_with(5).unwrap();
                } else {
                    drop(claim);
                }
            });
            let canceller = thread::spawn(move || drop(first));
            if commits {
                assert_eq!(told(second), 5);
            } else {
                drop(claimed(second));
            }
            ender.join().unwrap();
            canceller.join().unwrap();
            assert_at_rest(&claims, commits.then_some(5));
        });
    }
}

#[test]
fn the_last_who_waits_leaves_nothing() {
    fn leaves(_: &Shared, waiter: Waiter) {
        drop(waiter);
    }
    fn looks_and_leaves(_: &Shared, mut waiter: Waiter) {
        drop(poll(&mut waiter));
    }
    fn in_line() -> (Shared, Held, Waiter) {
        let (claims, claim) = one_held();
        let waiter = joined(&claims);
        (claims, claim, waiter)
    }
    fn at_the_door() -> (Shared, Held, Waiter) {
        let (claims, claim) = one_held();
        let waiter = waiter(&claims);
        (claims, claim, waiter)
    }
    for (new, other) in [
        (in_line as fn() -> _, leaves as fn(&Shared, Waiter)),
        (in_line, looks_and_leaves),
        (at_the_door, looks_and_leaves),
    ] {
        beside(new, |_, claim| drop(claim), other, |claims, (), ()| assert_at_rest(claims, None));
        beside(
            new,
            |_, claim| claim.commit_with(5).unwrap(),
            other,
            |claims, _, ()| assert_at_rest(claims, Some(5)),
        );
    }
}

#[test]
fn who_waits_at_the_end_of_a_lease_has_it_or_is_told() {
    beside(
        against_the_clock_in_line,
        |_, late| late.commit_with(1).is_ok(),
        |_, waiter| match block_on(waiter).unwrap() {
            Acquired::Claim(claim) => claim.commit_with(2).map(|_| 2),
            Acquired::Duplicate(duplicate) => Ok(*duplicate.value.unwrap()),
        },
        |claims, late, other| {
            assert_eq!(other, Ok(if late { 1 } else { 2 }), "C1");
            assert_at_rest(claims, Some(if late { 1 } else { 2 }));
        },
    );
    beside(
        against_the_clock_in_line,
        |_, late| drop(late),
        |_, waiter| drop(claimed(waiter)),
        |claims, (), ()| assert_at_rest(claims, None),
    );
}

#[test]
fn a_lease_that_is_extended_is_waited_for() {
    beside(
        against_the_clock_in_line,
        |_, mut late| {
            let extended = late.extend().is_ok();
            assert_eq!(late.commit_with(1).is_ok(), extended);
            extended
        },
        |_, waiter| match block_on(waiter).unwrap() {
            Acquired::Claim(claim) => claim.commit_with(2).map(|_| 2),
            Acquired::Duplicate(duplicate) => Ok(*duplicate.value.unwrap()),
        },
        |claims, extended, other| {
            assert_eq!(other, Ok(if extended { 1 } else { 2 }), "C1");
            assert_at_rest(claims, Some(if extended { 1 } else { 2 }));
        },
    );
}

#[test]
fn a_waiter_whose_flight_is_swept_looks_anew() {
    beside(
        || {
            let claims = shared(config().max_claims(1));
            let claim = held(&claims, ID);
            let waiter = waiter(&claims);
            (claims, waiter, claim)
        },
        // He does not know that the lease is over: the clock stands still.
        |_, mut waiter| match poll(&mut waiter) {
            Poll::Pending => {}
            Poll::Ready(Ok(acquired)) => drop(acquired.claim().expect("it was swept")),
            Poll::Ready(Err(error)) => assert_eq!(error, AcquireError::Full { max_claims: 1 }),
        },
        |claims, claim| {
            drop(claims.try_acquire_at(&OTHER, LATER));
            claim
        },
        |claims, (), claim| {
            drop(claim);
            assert_at_rest(claims, None);
        },
    );
}
