//! What claims promise to those who hold them and those who wait for them: order, leases, values, limits.
//!
//! Most of it is single-threaded and deterministic: time is moved by hand, and wakers count.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock, SystemClock, TokioClock};
use steadfast_deduplicator::{
    Acquire, AcquireError, Acquired, Claim, Claims, Config, Duplicate, LeaseLost, SipKeys,
    TryAcquireError,
};
use steadfast_test_support::clocks::ring;
use steadfast_test_support::task::{self, on_wake, refused};
use steadfast_test_support::watch::watched;

type Keyed<V = u32> = Claims<V, ManualClock>;
type Held<V = u32> = Claim<Arc<Keyed<V>>>;
type Task<V = u32> = task::Task<Acquire<Arc<Keyed<V>>>>;
type Answer<V = u32> = Poll<Result<Acquired<Arc<Keyed<V>>>, AcquireError>>;

const ID: &str = "key 17";
const LEASE: Duration = ms(1_000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

const fn config() -> Config {
    Config::new(100).lease(LEASE)
}

fn shared<V>(config: Config) -> (Arc<Keyed<V>>, ManualClock) {
    let clock = ManualClock::new();
    let claims = config.claims_with(clock.clone(), SipKeys::from_seed(1)).unwrap();
    (Arc::new(claims), clock)
}

/// The claim on `ID`, which nobody has.
#[track_caller]
fn claim<V>(claims: &Arc<Keyed<V>>) -> Held<V> {
    claim_of(claims, ID)
}

#[track_caller]
fn claim_of<V>(claims: &Arc<Keyed<V>>, id: &str) -> Held<V> {
    claimed(Task::of(Acquire::new(Arc::clone(claims), id)).poll())
}

/// One with a claim on `ID`.
fn one_held() -> (Arc<Keyed>, ManualClock, Held) {
    let (claims, clock) = shared(config());
    let held = claim(&claims);
    (claims, clock, held)
}

#[track_caller]
fn claimed<V>(answer: Answer<V>) -> Held<V> {
    match answer {
        Poll::Ready(Ok(acquired)) => acquired.claim().expect("nobody has committed it"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn told<V: Copy>(answer: Answer<V>) -> V {
    match answer {
        Poll::Ready(Ok(Acquired::Duplicate(duplicate))) => *duplicate.value.expect("with a value"),
        other => panic!("{other:?}"),
    }
}

/// Nobody holds or waits for `ID`.
#[track_caller]
fn assert_free<V>(claims: &Keyed<V>) {
    assert_eq!(claims.in_flight(), 0, "C3");
    assert!(claims.try_acquire(ID).expect("nobody is at it").claim().is_some());
    assert_eq!(claims.in_flight(), 0, "C3");
}

/// Until a thread is in line whose deadline comes before all others.
fn await_deadline(clock: &ManualClock, deadline: Instant) {
    let slack = deadline.saturating_add(ms(1));
    while !clock.next_alarm().is_some_and(|alarm| alarm >= deadline && alarm <= slack) {
        thread::yield_now();
    }
}

fn unpolled<V>(claims: &Arc<Keyed<V>>) -> Task<V> {
    Task::of(Acquire::new(Arc::clone(claims), ID))
}

/// Polled, and found pending.
#[track_caller]
fn joined<V>(claims: &Arc<Keyed<V>>) -> Task<V> {
    unpolled(claims).pending()
}

mod order {
    use super::*;

    #[test]
    fn first_come_first_served() {
        let (claims, _clock, held) = one_held();
        let mut tasks: Vec<_> = (0..5).map(|_| joined(&claims)).collect();
        drop(held);
        for first in 0..5 {
            // Asked in the wrong order.
            for later in (first + 1..5).rev() {
                assert!(tasks[later].poll().is_pending());
            }
            drop(claimed(tasks[first].run()));
        }
        assert_free(&claims);
    }

    #[test]
    fn a_newcomer_does_not_overtake_who_waits() {
        let (claims, clock, held) = one_held();
        let mut head = joined(&claims);
        drop(held);
        assert_eq!(
            claims.try_acquire(ID).unwrap_err(),
            TryAcquireError::InFlight { retry_at: clock.now() }
        );
        let mut later = joined(&claims);
        let held = claimed(head.run());
        assert_eq!(
            claims.try_acquire(ID).unwrap_err(),
            TryAcquireError::InFlight { retry_at: at(1_000) }
        );
        drop(held);
        drop(claimed(later.run()));
        assert_free(&claims);
    }

    #[test]
    fn a_wait_that_is_dropped_waiting_or_woken_passes_its_turn_on() {
        for dropped in 0..3 {
            for woken in [false, true] {
                let (claims, _clock, held) = one_held();
                let mut tasks: Vec<_> = (0..3).map(|_| joined(&claims)).collect();
                if woken {
                    drop(held);
                    drop(tasks.remove(dropped));
                } else {
                    drop(tasks.remove(dropped));
                    drop(held);
                }
                for task in &mut tasks {
                    drop(claimed(task.run()));
                }
                assert_free(&claims);
            }
        }
    }

    #[test]
    fn when_all_are_dropped_nothing_is_left() {
        for held_longer in [false, true] {
            let (claims, clock, held) = one_held();
            let tasks: Vec<_> = (0..9).map(|_| joined(&claims)).collect();
            let mut held = Some(held);
            held.take_if(|_| !held_longer);
            drop(tasks);
            drop(held);
            assert_eq!(clock.next_alarm(), None);
            assert_free(&claims);
        }
    }

    #[test]
    fn waits_for_other_ids_do_not_wait_for_this_one() {
        let (claims, _clock, held) = one_held();
        let waits = joined(&claims);
        drop(claim_of(&claims, "another"));
        assert_eq!(waits.wakes(), 0);
        drop(held);
    }

    #[test]
    fn a_wait_that_was_polled_and_then_blocks_a_thread_keeps_its_place() {
        watched(|| {
            for commits in [false, true] {
                for woken in [false, true] {
                    let (claims, _clock, held) = one_held();
                    let first = joined(&claims);
                    let mut second = joined(&claims);
                    let end = |held: Held| {
                        if commits {
                            held.commit_with(7).unwrap();
                        } else {
                            drop(held);
                        }
                    };
                    let acquired = if woken {
                        end(held);
                        first.future.wait()
                    } else {
                        let thread = thread::spawn(|| first.future.wait());
                        thread::yield_now();
                        end(held);
                        thread.join().unwrap()
                    };
                    if commits {
                        assert_eq!(told(Poll::Ready(acquired)), 7);
                        assert_eq!(told(second.run()), 7);
                    } else {
                        assert!(second.run().is_pending());
                        drop(claimed(Poll::Ready(acquired)));
                        drop(claimed(second.run()));
                        assert_free(&claims);
                    }
                }
            }
        });
    }

    #[test]
    fn a_wait_that_is_polled_after_its_end_panics() {
        let (claims, _clock) = shared::<u32>(config());
        let mut task = unpolled(&claims);
        drop(claimed(task.poll()));
        assert!(catch_unwind(AssertUnwindSafe(|| task.poll().is_pending())).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| task.future.wait().is_ok())).is_err());
        assert_free(&claims);
    }

    #[test]
    fn threads_and_tasks_stand_in_one_line() {
        watched(|| {
            let (claims, clock, held) = one_held();
            let order = Arc::new(Mutex::new(Vec::new()));
            let thread = |deadline: u64| {
                let (claims, order) = (Arc::clone(&claims), Arc::clone(&order));
                let wait = Acquire::new(claims, ID).deadline(at(deadline));
                let thread = thread::spawn(move || {
                    let claim = wait.wait().unwrap().claim().expect("nobody commits");
                    order.lock().unwrap().push(deadline);
                    drop(claim);
                });
                await_deadline(&clock, at(deadline));
                thread
            };
            let mut first = joined(&claims);
            let second = thread(900);
            let mut third = joined(&claims);
            let fourth = thread(800);
            drop(held);
            assert!(third.poll().is_pending());
            let held = claimed(first.run());
            assert!(order.lock().unwrap().is_empty());
            drop(held);
            second.join().unwrap();
            let held = claimed(third.run());
            assert_eq!(*order.lock().unwrap(), [900]);
            drop(held);
            fourth.join().unwrap();
            assert_eq!(*order.lock().unwrap(), [900, 800]);
            assert_free(&claims);
        });
    }
}

mod commits {
    use super::*;

    #[test]
    fn all_who_wait_are_told_the_value_and_when_it_was_committed() {
        let (claims, clock, held) = one_held();
        let mut tasks: Vec<_> = (0..100).map(|_| joined(&claims)).collect();
        clock.advance(ms(5));
        assert_eq!(*held.commit_with(7).unwrap(), 7);
        clock.advance(ms(5));
        tasks.reverse();
        for task in &mut tasks {
            assert_eq!(task.wakes(), 1);
            match task.run() {
                Poll::Ready(Ok(Acquired::Duplicate(Duplicate { committed_at, value }))) => {
                    assert_eq!((committed_at, value.as_deref()), (at(5), Some(&7)));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(claims.in_flight(), 0);
        assert_eq!(claims.stats().duplicates, 100);
    }

    #[test]
    fn a_commit_without_a_value_tells_of_none() {
        let (claims, _clock, held) = one_held();
        let mut task = joined(&claims);
        held.commit().unwrap();
        let duplicate = Duplicate { committed_at: at(0), value: None };
        match task.run() {
            Poll::Ready(Ok(acquired)) => assert_eq!(acquired.duplicate(), Some(duplicate.clone())),
            other => panic!("{other:?}"),
        }
        assert_eq!(claims.peek(ID), Some(duplicate));
    }

    #[test]
    fn later_duplicates_get_the_value_until_its_ttl_is_over() {
        let (claims, clock) = shared(config().ttl(ms(50)));
        clock.advance(ms(10));
        claim(&claims).commit_with(7).unwrap();
        clock.advance(ms(49));
        assert_eq!(told(unpolled(&claims).poll()), 7);
        assert!(claims.contains(ID) && claims.len() == 1);
        clock.advance(ms(1));
        assert!(!claims.contains(ID) && claims.is_empty());
        claim(&claims).commit_with(8).unwrap();
        assert_eq!(told(unpolled(&claims).poll()), 8);
    }

    #[test]
    fn who_waits_and_looks_after_his_deadline_is_told_what_was_committed_before() {
        for commits in [false, true] {
            let (claims, clock, held) = one_held();
            let wait = Acquire::new(Arc::clone(&claims), ID).timeout(ms(50));
            let mut task = Task::of(wait).pending();
            if commits {
                held.commit_with(7).unwrap();
                clock.advance(ms(60));
                assert_eq!(told(task.run()), 7);
            } else {
                drop(held);
                clock.advance(ms(60));
                drop(claimed(task.run()));
                assert_free(&claims);
            }
        }
    }

    #[test]
    fn who_begins_to_wait_after_his_deadline_is_not_told() {
        let (claims, clock, held) = one_held();
        held.commit_with(7).unwrap();
        clock.advance(ms(60));
        let wait = || Acquire::new(Arc::clone(&claims), ID);
        assert_eq!(refused(Task::of(wait().deadline(at(59))).poll()), AcquireError::TimedOut);
        assert_eq!(told(Task::of(wait().deadline(at(60))).poll()), 7);
    }

    #[test]
    fn a_holder_that_panics_gives_it_back() {
        let (claims, _clock, held) = one_held();
        let mut task = joined(&claims);
        let work = AssertUnwindSafe(|| {
            let _held = held;
            panic!("the work fails, as intended");
        });
        assert!(catch_unwind(work).is_err());
        drop(claimed(task.run()));
        assert_free(&claims);
    }

    #[test]
    fn forgetting_while_somebody_is_at_it_changes_nothing() {
        let (claims, _clock, held) = one_held();
        let mut task = joined(&claims);
        assert!(!claims.forget(ID));
        claims.clear();
        assert!(task.run().is_pending());
        held.commit_with(7).unwrap();
        assert_eq!(told(task.run()), 7);
        assert!(claims.forget(ID));
        assert!(!claims.forget(ID));
        assert_free(&claims);
    }

    #[test]
    fn who_waited_while_it_was_committed_is_told_of_that_whatever_is_forgotten_before_he_looks() {
        let forgets: [fn(&Arc<Keyed>, &ManualClock); 4] = [
            |claims, _| claims.clear(),
            |claims, _| assert!(claims.forget(ID)),
            |_, clock| clock.advance(ms(50)),
            |claims, _| drop(claim_of(claims, "another").commit_with(9)),
        ];
        for forget in forgets {
            let (claims, clock) = shared(Config::new(1).ttl(ms(50)).lease(LEASE));
            let held = claim(&claims);
            let (mut one, mut other) = (joined(&claims), joined(&claims));
            held.commit_with(7).unwrap();
            forget(&claims, &clock);
            assert!(!claims.contains(ID));
            let duplicates = claims.stats().duplicates;
            assert_eq!(told(one.run()), 7);
            assert_eq!(claims.stats().duplicates, duplicates + 1);
            assert_eq!(claims.in_flight(), 0, "C3");
            // Whoever comes later gets a claim; the other is not told of that.
            let again = claim(&claims);
            again.commit_with(8).unwrap();
            assert_eq!(told(other.run()), 7);
            assert_eq!(told(unpolled(&claims).poll()), 8);
            assert_eq!(claims.in_flight(), 0, "C3");
        }
    }

    #[test]
    fn every_sight_renews_it_if_so_configured_and_changes_nothing_that_is_told() {
        for renews in [false, true] {
            let (claims, clock) = shared(config().ttl(ms(50)).renew(renews));
            let held = claim(&claims);
            let mut waits = joined(&claims);
            held.commit_with(7).unwrap();
            clock.set_now(at(40));
            assert_eq!(told(waits.run()), 7);
            clock.set_now(at(80));
            assert_eq!(claims.contains(ID), renews);
            if renews {
                let duplicate = claims.try_acquire(ID).unwrap().duplicate().unwrap();
                assert_eq!((duplicate.committed_at, duplicate.value.as_deref()), (at(0), Some(&7)));
                clock.set_now(at(120));
                assert_eq!(claims.peek(ID).unwrap(), duplicate, "which is no sight");
                let other = claims.try_acquire_for(ID, "payload").unwrap_err();
                assert_eq!(other, TryAcquireError::Mismatch, "nor is this");
                clock.set_now(at(130));
                assert!(!claims.contains(ID));
                assert_eq!((claims.stats().fresh, claims.stats().duplicates), (1, 2));
            }
        }
    }

    #[test]
    fn what_is_over_for_one_who_asks_is_over_for_all_whatever_time_they_have_read() {
        let (claims, _clock) = shared(config().ttl(ms(50)));
        claim(&claims).commit_with(7).unwrap();
        let held = claims.try_acquire_at(ID, at(50)).unwrap().claim().unwrap();
        let refusal = claims.try_acquire_at(ID, at(49)).unwrap_err();
        assert_eq!(refusal, TryAcquireError::InFlight { retry_at: held.until() }, "C1");
        assert_eq!(claims.peek_at(ID, at(49)), None, "C1");
        drop(held);
        drop(claims.try_acquire_at(ID, at(49)).unwrap().claim().unwrap());
        assert_free(&claims);
    }

    #[test]
    fn a_clock_that_panics_in_a_commit_gives_the_claim_back() {
        /// Panics once it is told to.
        struct Broken(AtomicUsize);

        impl Clock for Broken {
            fn now(&self) -> Instant {
                assert_eq!(self.0.swap(0, Ordering::SeqCst), 0, "as intended");
                Instant::ZERO
            }
        }

        let clock = Broken(AtomicUsize::new(0));
        let claims: Claims<u32, _> = config().claims_with(clock, SipKeys::from_seed(1)).unwrap();
        for with_value in [false, true] {
            let held = claims.try_acquire(ID).unwrap().claim().unwrap();
            claims.clock().0.store(1, Ordering::SeqCst);
            let commit = AssertUnwindSafe(|| {
                if with_value { held.commit_with(7).is_ok() } else { held.commit().is_ok() }
            });
            assert!(catch_unwind(commit).is_err());
            assert_eq!(claims.in_flight(), 0, "C3");
        }
        assert!(claims.try_acquire(ID).unwrap().claim().is_some());
    }

    #[test]
    fn without_a_clock_it_does_the_same() {
        /// Nobody reads it.
        struct None;

        impl Clock for None {
            fn now(&self) -> Instant {
                panic!("nobody should read it");
            }
        }

        let config = config().ttl(ms(50));
        let claims: Claims<u32, _> = config.claims_with(None, SipKeys::from_seed(1)).unwrap();
        let claims = Arc::new(claims);
        // Held by whoever holds the claims, too.
        let ask = |now| Acquired::try_new_at(Arc::clone(&claims), ID, now);
        let mut held = ask(at(0)).unwrap().claim().unwrap();
        assert_eq!(held.extend_at(at(10)), Ok(at(1_010)));
        let refusal = TryAcquireError::InFlight { retry_at: at(1_010) };
        assert_eq!(claims.try_acquire_at(ID, at(1_000)).unwrap_err(), refusal);
        let held = thread::spawn(|| held).join().unwrap();
        assert_eq!(held.commit_with_at(7, at(1_000)).as_deref(), Ok(&7));
        assert!(claims.contains_at(ID, at(1_049)) && !claims.contains_at(ID, at(1_050)));
        assert_eq!(claims.peek_at(ID, at(1_001)).unwrap().committed_at, at(1_000));
        assert_eq!((claims.len_at(at(1_049)), claims.len_at(at(1_050))), (1, 0));
        assert!(ask(at(1_001)).unwrap().duplicate().is_some());
        let other = Acquired::try_new_for_at(Arc::clone(&claims), ID, "payload", at(1_001));
        assert_eq!(other.unwrap_err(), TryAcquireError::Mismatch);
        assert!(claims.forget_at(ID, at(1_049)) && !claims.forget_at(ID, at(1_049)));
        ask(at(1_050)).unwrap().claim().unwrap().commit_at(at(1_051)).unwrap();
        assert_eq!(claims.peek_at(ID, at(1_051)).unwrap().committed_at, at(1_051));
    }

    #[test]
    fn a_claim_that_did_not_wait_can_be_sent_elsewhere() {
        let (claims, _clock) = shared::<u32>(config());
        let held = Acquired::try_new(Arc::clone(&claims), ID).unwrap().claim().unwrap();
        let other = Acquired::try_new_for(Arc::clone(&claims), ID, "payload").unwrap_err();
        assert_eq!(other, TryAcquireError::Mismatch);
        drop(claims.try_acquire_for("another", "payload").unwrap());
        thread::spawn(|| held.commit_with(7).unwrap()).join().unwrap();
        assert_eq!(told(unpolled(&claims).poll()), 7);
    }
}

mod leases {
    use super::*;

    #[test]
    fn its_end_gives_it_to_the_first_in_line_by_the_clock_alone() {
        let (claims, clock, late) = one_held();
        let (mut first, mut second) = (joined(&claims), joined(&claims));
        assert_eq!(late.until(), at(1_000));
        clock.set_now(at(1_000).saturating_sub(Duration::from_nanos(1)));
        assert!(first.poll().is_pending());
        ring(&clock, at(1_000));
        let taken = claimed(first.run());
        assert_eq!(taken.until(), clock.now().saturating_add(LEASE));
        assert!(second.run().is_pending());
        assert_eq!(late.commit_with(1), Err(LeaseLost));
        assert!(!claims.contains(ID), "nothing is remembered");
        assert!(second.run().is_pending());
        taken.commit_with(2).unwrap();
        assert_eq!(told(second.run()), 2);
        assert_eq!(claims.in_flight(), 0);
    }

    #[test]
    fn one_that_nobody_asks_for_stays_its_holders() {
        let (claims, clock, late) = one_held();
        clock.advance(LEASE * 100);
        late.commit_with(1).unwrap();
        assert_eq!(told(unpolled(&claims).poll()), 1);
    }

    #[test]
    fn a_late_holder_gives_nothing_back_and_extends_nothing() {
        let (claims, clock, mut late) = one_held();
        clock.advance(LEASE);
        let taken = claim(&claims);
        assert_eq!(late.extend(), Err(LeaseLost));
        drop(late);
        assert_eq!(claims.in_flight(), 1);
        assert!(claims.try_acquire(ID).is_err());
        drop(taken);
        assert_free(&claims);
    }

    #[test]
    fn a_late_commit_after_that_of_another_changes_nothing() {
        let (claims, clock, late) = one_held();
        clock.advance(LEASE);
        claim(&claims).commit_with(2).unwrap();
        assert_eq!(late.commit_with(1), Err(LeaseLost));
        assert_eq!(told(unpolled(&claims).poll()), 2);
        assert!(claims.forget(ID));
        assert_free(&claims);
    }

    #[test]
    fn extending_keeps_it() {
        let (claims, clock, mut held) = one_held();
        let mut task = joined(&claims);
        clock.advance(ms(900));
        assert_eq!(held.extend(), Ok(at(1_900)));
        ring(&clock, at(1_000));
        assert!(task.run().is_pending());
        clock.set_now(at(1_000));
        assert_eq!(
            claims.try_acquire(ID).unwrap_err(),
            TryAcquireError::InFlight { retry_at: at(1_900) }
        );
        ring(&clock, at(1_900));
        let taken = claimed(task.run());
        assert_eq!(held.extend(), Err(LeaseLost));
        drop(taken);
        drop(held);
        assert_free(&claims);
    }

    #[test]
    fn extending_after_the_end_keeps_it_if_nobody_has_it_yet() {
        let (claims, clock, mut held) = one_held();
        let mut task = joined(&claims);
        ring(&clock, at(1_000));
        // The first in line has been called, and has not looked.
        let until = held.extend().unwrap();
        assert!(task.run().is_pending());
        held.commit_with(7).unwrap();
        assert_eq!(told(task.run()), 7);
        assert_eq!(until, clock.now().saturating_add(LEASE));
    }

    #[test]
    fn a_claim_that_is_leaked_is_had_after_its_lease_again_and_again() {
        // Neither committed nor dropped, until nothing is asked any more: memory is not what is leaked here.
        let (claims, clock, leaked) = one_held();
        let mut all_leaked = vec![leaked];
        let mut tasks: Vec<_> = (0..3).map(|_| joined(&claims)).collect();
        for task in &mut tasks {
            ring(&clock, clock.next_alarm().unwrap());
            all_leaked.push(claimed(task.run()));
        }
        clock.advance(LEASE);
        assert_eq!(claims.in_flight(), 1, "C3");
        drop(claim(&claims));
        assert_free(&claims);
    }

    #[test]
    fn a_lease_that_is_over_at_the_end_of_time_is_for_ever() {
        let (claims, clock) = shared::<u32>(config().lease(Duration::MAX));
        let held = claim(&claims);
        assert_eq!(held.until(), Instant::MAX);
        let mut task = joined(&claims);
        assert_eq!(clock.next_alarm(), None);
        clock.set_now(Instant::from_nanos(u64::MAX - 1));
        assert!(task.poll().is_pending());
        drop(held);
        drop(claimed(task.run()));
    }
}

mod limits {
    use super::*;

    fn wait(claims: &Arc<Keyed>) -> Acquire<Arc<Keyed>> {
        Acquire::new(Arc::clone(claims), ID)
    }

    #[test]
    fn a_timeout_counts_from_the_first_poll_and_comes_when_it_comes() {
        let (claims, clock, held) = one_held();
        let task = Task::of(wait(&claims).timeout(ms(50)));
        clock.advance(ms(10));
        let mut task = task.pending();
        clock.set_now(at(59));
        assert!(task.poll().is_pending());
        ring(&clock, at(60));
        assert_eq!(refused(task.run()), AcquireError::TimedOut);
        drop(held);
        assert_free(&claims);
    }

    #[test]
    fn one_that_is_set_while_it_waits_replaces_the_earlier() {
        let (claims, clock, held) = one_held();
        let mut timed = Task::of(wait(&claims).deadline(at(10))).pending();
        timed = timed.with(|wait| wait.timeout(ms(50)));
        let mut dated = joined(&claims);
        dated = dated.with(|wait| wait.deadline(at(70)));
        clock.set_now(at(5));
        let (mut timed, mut dated) = (timed.pending(), dated.pending());
        clock.set_now(at(54));
        assert!(timed.poll().is_pending());
        ring(&clock, at(55));
        assert_eq!(refused(timed.run()), AcquireError::TimedOut);
        ring(&clock, at(70));
        assert_eq!(refused(dated.run()), AcquireError::TimedOut);
        drop(held);
        assert_free(&claims);
    }

    #[test]
    fn a_lease_that_is_over_makes_room_when_nobody_waits_for_it_any_more() {
        let (claims, clock) = shared::<u32>(config().max_claims(1));
        let late = claim(&claims);
        let task = joined(&claims);
        clock.advance(LEASE);
        assert!(claims.try_acquire("another").is_err());
        drop(task);
        drop(claim_of(&claims, "another"));
        assert_eq!(late.commit(), Err(LeaseLost), "its place was given to another");
        assert_free(&claims);
    }

    #[test]
    fn with_a_timeout_of_zero_what_is_there_is_given() {
        let (claims, clock) = shared(config());
        let held = claimed(Task::of(wait(&claims).timeout(ms(0))).poll());
        assert_eq!(refused(Task::of(wait(&claims).timeout(ms(0))).poll()), AcquireError::TimedOut);
        held.commit_with(7).unwrap();
        assert_eq!(told(Task::of(wait(&claims).timeout(ms(0))).poll()), 7);
        assert_eq!(clock.next_alarm(), None);
    }

    #[test]
    fn a_deadline_that_has_passed_gives_nothing() {
        let (claims, clock) = shared(config());
        clock.advance(ms(10));
        assert_eq!(refused(Task::of(wait(&claims).deadline(at(9))).poll()), AcquireError::TimedOut);
        drop(claimed(Task::of(wait(&claims).deadline(at(10))).poll()));
        assert_free(&claims);
    }

    #[test]
    fn who_has_no_time_to_wait_for_those_before_him_times_out_behind_them() {
        let (claims, clock, held) = one_held();
        let mut head = joined(&claims);
        let mut hasty = Task::of(wait(&claims).timeout(ms(50))).pending();
        let mut last = joined(&claims);
        ring(&clock, at(50));
        assert_eq!(refused(hasty.run()), AcquireError::TimedOut);
        drop(held);
        drop(claimed(head.run()));
        drop(claimed(last.run()));
        assert_free(&claims);
    }

    #[test]
    fn no_more_may_wait_than_are_allowed_to() {
        for (max_waiters, room) in [(0, 0), (1, 1)] {
            let (claims, _clock) = shared::<u32>(config().max_waiters(max_waiters));
            let held = claim(&claims);
            let mut line: Vec<_> = (0..room).map(|_| joined(&claims)).collect();
            let full = AcquireError::LineFull { max_waiters };
            assert_eq!(refused(unpolled(&claims).poll()), full);
            // Each id has a line of its own.
            drop(claim_of(&claims, "another"));
            drop(held);
            for task in &mut line {
                drop(claimed(task.run()));
            }
            assert_free(&claims);
        }
    }

    #[test]
    fn leases_that_are_over_make_room_for_other_claims() {
        let (claims, clock) = shared::<u32>(config().max_claims(2));
        let (one, other) = (claim_of(&claims, "one"), claim_of(&claims, "other"));
        let full = AcquireError::Full { max_claims: 2 };
        assert_eq!(refused(unpolled(&claims).poll()), full);
        let refusal = claims.try_acquire(ID).unwrap_err();
        assert_eq!((refusal, refusal.retry_at()), (TryAcquireError::Full { max_claims: 2 }, None));
        clock.advance(LEASE);
        let mut third = claim(&claims);
        assert_eq!(claims.in_flight(), 1, "C3: both were over");
        drop(one);
        assert_eq!(other.commit(), Err(LeaseLost));
        assert_eq!(claims.in_flight(), 1, "C3");
        third.extend().unwrap();
        drop(third);
        assert_free(&claims);
    }

    #[test]
    fn a_lease_that_is_over_is_left_to_those_who_wait_for_it() {
        let (claims, clock) = shared::<u32>(config().max_claims(1));
        let late = claim(&claims);
        let mut task = joined(&claims);
        clock.advance(LEASE);
        assert!(claims.try_acquire("another").is_err());
        assert_eq!(claims.in_flight(), 1, "C3");
        drop(claimed(task.run()));
        drop(late);
        assert_free(&claims);
    }

    #[test]
    fn a_lease_that_ends_earlier_because_the_clock_stepped_back_makes_room_as_early() {
        let (claims, clock) = shared::<u32>(config().max_claims(1));
        clock.set_now(at(50_000));
        let mut held = claim(&claims);
        assert_eq!(held.until(), at(51_000));
        clock.set_now(at(10));
        assert_eq!(held.extend(), Ok(at(1_010)));
        clock.set_now(at(1_010));
        drop(claim_of(&claims, "another"));
        drop(held);
        assert_free(&claims);
    }

    #[test]
    fn a_refusal_says_when_to_try_again() {
        let (claims, clock, held) = one_held();
        clock.advance(ms(100));
        let refusal = claims.try_acquire(ID).unwrap_err();
        assert_eq!(refusal.retry_at(), Some(held.until()));
        assert_eq!(refusal.retry_after_secs(clock.now()), Some(1));
        assert_eq!(refusal.retry_after_secs(at(5_000)), Some(1));
        assert_eq!(TryAcquireError::Mismatch.retry_after_secs(clock.now()), None);
        let refusals = [
            AcquireError::TimedOut.to_string(),
            AcquireError::LineFull { max_waiters: 3 }.to_string(),
            AcquireError::Full { max_claims: 3 }.to_string(),
        ];
        assert_eq!(
            refusals,
            [
                "somebody else still holds the claim",
                "3 wait for this claim already, as many as may",
                "3 claims are held already, as many as there can be",
            ]
        );
    }

    #[test]
    fn who_waits_needs_no_place() {
        let (claims, _clock) = shared::<u32>(config().max_claims(1));
        let held = claim(&claims);
        let mut tasks: Vec<_> = (0..9).map(|_| joined(&claims)).collect();
        assert_eq!(claims.in_flight(), 1, "C3");
        drop(held);
        for task in &mut tasks {
            drop(claimed(task.run()));
        }
        assert_free(&claims);
    }
}

mod payloads {
    use super::*;

    fn wait(claims: &Arc<Keyed>, payload: &str) -> Task {
        Task::of(Acquire::new_for(Arc::clone(claims), ID, payload))
    }

    #[test]
    fn another_payload_is_refused_while_it_is_in_flight_and_after() {
        let (claims, _clock) = shared(config());
        let held = claimed(wait(&claims, "buy").poll());
        let mut same = wait(&claims, "buy").pending();
        assert_eq!(refused(wait(&claims, "sell").poll()), AcquireError::Mismatch);
        assert_eq!(refused(unpolled(&claims).poll()), AcquireError::Mismatch);
        assert_eq!(claims.try_acquire(ID).unwrap_err(), TryAcquireError::Mismatch);
        held.commit_with(7).unwrap();
        assert_eq!(told(same.run()), 7);
        assert_eq!(told(wait(&claims, "buy").poll()), 7);
        assert_eq!(refused(wait(&claims, "sell").poll()), AcquireError::Mismatch);
        let mismatch = claims.try_acquire_for(ID, "sell").unwrap_err();
        assert_eq!((mismatch, mismatch.retry_at()), (TryAcquireError::Mismatch, None));
        assert_eq!(claims.stats().duplicates, 2);
    }

    #[test]
    fn one_with_none_is_another() {
        let (claims, _clock, held) = one_held();
        assert_eq!(refused(wait(&claims, "buy").poll()), AcquireError::Mismatch);
        held.commit_with(7).unwrap();
        assert_eq!(refused(wait(&claims, "buy").poll()), AcquireError::Mismatch);
        assert_eq!(told(unpolled(&claims).poll()), 7);
    }

    #[test]
    fn after_a_drop_the_next_may_come_with_any_and_the_others_are_refused_in_their_turn() {
        let (claims, _clock) = shared(config());
        let held = claimed(wait(&claims, "buy").poll());
        let mut buys = wait(&claims, "buy").pending();
        drop(held);
        // Whose payload it will be is not known as long as nobody has it.
        let mut sells = wait(&claims, "sell").pending();
        let mut buys_too = wait(&claims, "buy").pending();
        let held = claimed(buys.run());
        held.commit_with(7).unwrap();
        assert_eq!(refused(sells.run()), AcquireError::Mismatch);
        assert_eq!(told(buys_too.run()), 7);
        assert!(claims.forget(ID));
        assert_free(&claims);
    }

    #[test]
    fn who_is_refused_in_his_turn_passes_it_on() {
        let (claims, clock) = shared(config());
        let lost = claimed(wait(&claims, "buy").poll());
        drop(claimed({
            clock.advance(LEASE);
            wait(&claims, "sell").poll()
        }));
        drop(lost);
        let held = claimed(wait(&claims, "buy").poll());
        let mut first = wait(&claims, "buy").pending();
        drop(held);
        let (mut other, mut last) =
            (wait(&claims, "sell").pending(), wait(&claims, "buy").pending());
        let held = claimed(first.run());
        assert_eq!(refused(other.poll()), AcquireError::Mismatch, "he is the first now");
        assert!(last.run().is_pending());
        drop(held);
        drop(claimed(last.run()));
        assert_free(&claims);
    }
}

mod values {
    use super::*;

    /// Says when it is dropped.
    struct Tracked(Arc<AtomicUsize>);

    impl Drop for Tracked {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_evicted_expired_forgotten_or_cleared_is_dropped() {
        let drops = Arc::new(AtomicUsize::new(0));
        let (claims, clock) = shared(config().ttl(ms(50)).shards(1));
        let (claims, small) = (claims, shared(Config::new(3).shards(1)).0);
        let commit = |claims: &Arc<Keyed<Tracked>>, id: &str| {
            drop(claim_of(claims, id).commit_with(Tracked(Arc::clone(&drops))).unwrap());
        };
        let dropped = || drops.swap(0, Ordering::SeqCst);
        for id in ["a", "b", "c", "d", "e"] {
            commit(&small, id);
        }
        assert_eq!(dropped(), 2, "two are evicted");
        assert!(small.forget("d"));
        assert_eq!(dropped(), 1);
        small.clear();
        assert_eq!(dropped(), 2);

        commit(&claims, "a");
        clock.advance(ms(50));
        commit(&claims, "b");
        assert_eq!(dropped(), 1, "its time is over");
        clock.advance(ms(50));
        commit(&claims, "b");
        assert_eq!(dropped(), 1, "it is replaced");
        drop((claims, small));
        assert_eq!(dropped(), 1);
    }

    #[test]
    fn of_thousands_only_those_are_kept_that_are_remembered() {
        let kept = Arc::new(());
        let (claims, _clock) = shared(Config::new(50).shards(1));
        let mut mixed = 1_u64;
        for id in 0_u64..5_000 {
            let claim = Acquire::new(Arc::clone(&claims), &id).wait().unwrap().claim().unwrap();
            claim.commit_with(Arc::clone(&kept)).unwrap();
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if mixed >> 62 == 0 {
                claims.forget(&(id - (mixed >> 32) % 40 % (id + 1)));
            }
            assert_eq!(Arc::strong_count(&kept), claims.len() + 1);
        }
        assert_eq!(claims.len(), 50);
    }

    #[test]
    fn each_id_has_the_value_that_came_with_it() {
        let (claims, _clock) = shared(Config::new(50).shards(1));
        let mut mixed = 1_u64;
        for id in 0_u64..3_000 {
            let claim = Acquire::new(Arc::clone(&claims), &id).wait().unwrap().claim().unwrap();
            if id % 3 == 0 {
                claim.commit().unwrap();
            } else {
                drop(claim.commit_with(id).unwrap());
            }
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if mixed >> 62 == 0 {
                claims.forget(&(id - (mixed >> 32) % 40 % (id + 1)));
            }
            for known in id.saturating_sub(60)..=id {
                if let Some(duplicate) = claims.peek(&known) {
                    let value = (known % 3 != 0).then_some(known);
                    assert_eq!(duplicate.value.as_deref().copied(), value);
                }
            }
        }
    }

    #[test]
    fn one_without_a_size_takes_nothing_and_leaves_nothing() {
        let (claims, _clock) = shared::<()>(config());
        claim(&claims).commit_with(()).unwrap();
        assert_eq!(claims.peek(ID).unwrap().value, None);
    }

    /// Uses the claims when it is dropped.
    struct Uses(OnceLock<Weak<Keyed<Uses>>>, Arc<AtomicUsize>);

    impl Drop for Uses {
        fn drop(&mut self) {
            let Some(claims) = self.0.get().and_then(Weak::upgrade) else { return };
            // Also what waits, and the same id.
            let _same = Task::of(Acquire::new(Arc::clone(&claims), ID)).poll();
            let _other = Task::of(Acquire::new(Arc::clone(&claims), "other")).poll();
            let _seen = (claims.len(), claims.peek(ID).is_some(), claims.forget("third"));
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn one_that_uses_the_claims_as_it_is_dropped_harms_nobody() {
        let drops = watched(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let (claims, clock) = shared(Config::new(1).ttl(ms(50)).lease(LEASE).shards(1));
            let value = || Uses(Arc::downgrade(&claims).into(), Arc::clone(&drops));
            for id in [ID, "other", ID] {
                drop(claim_of(&claims, id).commit_with(value()).unwrap());
            }
            assert!(claims.forget(ID));
            drop(claim(&claims).commit_with(value()).unwrap());
            claims.clear();
            // One waits while an older value is dropped.
            drop(claim_of(&claims, "other").commit_with(value()).unwrap());
            clock.advance(ms(50));
            let held = claim(&claims);
            let waits = joined(&claims);
            drop(held.commit_with(value()).unwrap());
            drop(waits);
            clock.advance(LEASE);
            let late = claim(&claims);
            clock.advance(LEASE);
            let taken = claim(&claims);
            assert!(late.commit_with(value()).is_err());
            drop(taken);
            let all = drops.load(Ordering::SeqCst);
            assert_eq!(claims.in_flight(), 0, "C3");
            all
        });
        assert_eq!(drops, 7);
    }

    #[test]
    fn one_that_only_those_who_wait_are_told_of_is_dropped_with_the_last_of_them() {
        watched(|| {
            let drops = Arc::new(AtomicUsize::new(0));
            let (claims, _clock) = shared(Config::new(1).lease(LEASE).shards(1));
            let held = claim(&claims);
            let (mut one, other) = (joined(&claims), joined(&claims));
            let value = Uses(Arc::downgrade(&claims).into(), Arc::clone(&drops));
            drop(held.commit_with(value).unwrap());
            claims.clear();
            match one.run() {
                Poll::Ready(Ok(acquired)) => assert!(acquired.duplicate().is_some()),
                other => panic!("{other:?}"),
            }
            assert_eq!(drops.load(Ordering::SeqCst), 0);
            drop(other);
            assert_eq!(drops.load(Ordering::SeqCst), 1);
            assert_eq!(claims.in_flight(), 0, "C3");
        });
    }

    /// Panics when it is dropped, once it is told to.
    struct Bomb(Arc<AtomicUsize>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            let armed = self.0.swap(0, Ordering::SeqCst);
            assert_eq!(armed, 0, "a value that panics, as intended");
        }
    }

    #[test]
    fn one_that_panics_as_it_is_dropped_loses_no_claim_and_no_wake_up() {
        let armed = Arc::new(AtomicUsize::new(0));
        let (claims, clock) = shared(Config::new(1).ttl(ms(50)).lease(LEASE).shards(1));
        let value = || Bomb(Arc::clone(&armed));
        drop(claim_of(&claims, "other").commit_with(value()).unwrap());
        let held = claim(&claims);
        let mut task = joined(&claims);
        armed.store(1, Ordering::SeqCst);
        let commit = AssertUnwindSafe(|| drop(held.commit_with(value())));
        assert!(catch_unwind(commit).is_err());
        assert_eq!(claims.in_flight(), 0, "C3");
        match task.run() {
            Poll::Ready(Ok(acquired)) => assert!(acquired.duplicate().is_some()),
            other => panic!("{other:?}"),
        }
        clock.advance(ms(50));
        assert_free(&claims);
    }
}

mod foreign_code {
    use super::*;

    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        for commits in [false, true] {
            for broken in 0..3 {
                let (claims, _clock, held) = one_held();
                let mut tasks: Vec<_> = (0..3).map(|_| unpolled(&claims)).collect();
                for (place, task) in tasks.iter_mut().enumerate() {
                    let panics = on_wake(|| panic!("a broken waker, as intended"));
                    let waker = task.waker();
                    let waker = if place == broken { &panics } else { &waker };
                    assert!(task.poll_with(waker).is_pending());
                }
                if commits {
                    held.commit_with(7).unwrap();
                } else {
                    drop(held);
                }
                for (place, task) in tasks.iter_mut().enumerate() {
                    match (place == broken, commits) {
                        (true, _) => {}
                        (false, true) => assert_eq!(told(task.run()), 7),
                        (false, false) => drop(claimed(task.run())),
                    }
                }
                // It joins anew, if it is ever polled.
                match tasks[broken].poll() {
                    Poll::Ready(Ok(acquired)) => assert_eq!(acquired.claim().is_some(), !commits),
                    other => panic!("{other:?}"),
                }
                assert_eq!(claims.in_flight(), 0, "C3");
                claims.clear();
                assert_free(&claims);
            }
        }
    }

    #[test]
    fn the_last_waker_that_panics_leaves_the_claim_free() {
        let (claims, _clock, held) = one_held();
        let mut task = unpolled(&claims);
        assert!(task.poll_with(&on_wake(|| panic!("as intended"))).is_pending());
        drop(held);
        assert_free(&claims);
        drop(claimed(task.poll()));
    }

    #[test]
    fn a_waker_may_use_the_claims() {
        watched(|| {
            for commits in [false, true] {
                let (claims, _clock, held) = one_held();
                let mut task = unpolled(&claims);
                let inner = Arc::clone(&claims);
                let uses = on_wake(move || {
                    assert_eq!(inner.try_acquire(ID).is_ok(), commits, "it does not overtake");
                    let _shown = format!("{inner:?} {}", inner.len());
                    drop(unpolled(&inner).poll());
                });
                assert!(task.poll_with(&uses).is_pending());
                if commits {
                    held.commit_with(7).unwrap();
                    assert_eq!(told(task.poll()), 7);
                } else {
                    drop(held);
                    drop(claimed(task.poll()));
                    assert_free(&claims);
                }
            }
        });
    }
}

mod both_endings {
    use super::*;

    type System<V = u32> = Claims<V, SystemClock>;

    fn system(config: Config) -> Arc<System> {
        Arc::new(config.claims().unwrap())
    }

    /// How one asks: as a thread, or as a task.
    fn both(
        f: impl Fn(&dyn Fn(Acquire<Arc<System>>) -> Result<Acquired<Arc<System>>, AcquireError>),
    ) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        f(&Acquire::wait);
        f(&|wait| runtime.block_on(wait));
    }

    #[test]
    fn a_thread_and_a_task_get_the_same() {
        watched(|| {
            both(|ask| {
                let claims = system(config().max_waiters(0).max_claims(1));
                let wait = || Acquire::new(Arc::clone(&claims), ID);
                let held = ask(wait()).unwrap().claim().unwrap();
                let full = AcquireError::LineFull { max_waiters: 0 };
                assert_eq!(ask(wait()).unwrap_err(), full);
                assert_eq!(ask(wait().timeout(ms(0))).unwrap_err(), AcquireError::TimedOut);
                assert_eq!(
                    ask(wait().deadline(Instant::ZERO)).unwrap_err(),
                    AcquireError::TimedOut
                );
                let other = Acquire::new(Arc::clone(&claims), "another");
                assert_eq!(ask(other).unwrap_err(), AcquireError::Full { max_claims: 1 });
                let sells = Acquire::new_for(Arc::clone(&claims), ID, "sell");
                assert_eq!(ask(sells).unwrap_err(), AcquireError::Mismatch);
                held.commit_with(7).unwrap();
                assert_eq!(*ask(wait()).unwrap().duplicate().unwrap().value.unwrap(), 7);
            });
        });
    }

    #[test]
    fn a_thread_and_a_task_wait_until_their_real_deadline() {
        watched(|| {
            both(|ask| {
                let claims = system(config().lease(Duration::from_secs(60)));
                let wait = || Acquire::new(Arc::clone(&claims), ID);
                let _held = ask(wait()).unwrap().claim().unwrap();
                let began = claims.clock().now();
                assert_eq!(ask(wait().timeout(ms(5))).unwrap_err(), AcquireError::TimedOut);
                assert!(claims.clock().now().saturating_duration_since(began) >= ms(5));
            });
        });
    }

    #[test]
    fn a_real_lease_ends_for_a_thread_and_for_a_task() {
        watched(|| {
            both(|ask| {
                let claims = system(config().lease(ms(5)));
                let wait = || Acquire::new(Arc::clone(&claims), ID);
                let late = ask(wait()).unwrap().claim().unwrap();
                let taken = ask(wait()).unwrap().claim().unwrap();
                assert_eq!(late.commit_with(1), Err(LeaseLost));
                taken.commit_with(2).unwrap();
            });
        });
    }

    #[test]
    fn what_happens_reaches_a_thread_and_a_task() {
        watched(|| {
            both(|ask| {
                for commits in [false, true] {
                    let (claims, held) = {
                        let claims = system(config().lease(Duration::from_secs(60)));
                        let held = Acquire::new(Arc::clone(&claims), ID).wait().unwrap();
                        (claims, held.claim().unwrap())
                    };
                    let other = thread::spawn(move || {
                        // Whether the other waits by then or not: it gets the same.
                        thread::yield_now();
                        if commits {
                            held.commit_with(7).unwrap();
                        } else {
                            drop(held);
                        }
                    });
                    let acquired = ask(Acquire::new(claims, ID)).unwrap();
                    assert_eq!(acquired.duplicate().is_some(), commits);
                    other.join().unwrap();
                }
            });
        });
    }

    #[tokio::test(start_paused = true)]
    async fn paused_tokio_time_moves_by_itself_to_the_end_of_the_lease() {
        let lease = Duration::from_secs(3_600);
        let claims: Arc<Claims<u32, TokioClock>> =
            Arc::new(config().lease(lease).claims_with(TokioClock, SipKeys::from_seed(1)).unwrap());
        let wait = || Acquire::new(Arc::clone(&claims), ID);
        let late = wait().await.unwrap().claim().unwrap();
        let began = tokio::time::Instant::now();
        let hasty = wait().timeout(lease / 2).await;
        assert_eq!(hasty.unwrap_err(), AcquireError::TimedOut);
        assert!(began.elapsed() >= lease / 2 && began.elapsed() < lease / 2 + ms(1_000));
        let taken = wait().await.unwrap().claim().unwrap();
        assert!(began.elapsed() >= lease && began.elapsed() < lease + ms(1_000));
        assert_eq!(late.commit(), Err(LeaseLost));
        // Both can be sent to other tasks.
        let waits = tokio::spawn(wait());
        tokio::spawn(async move { taken.commit_with(7).map(drop) }).await.unwrap().unwrap();
        assert_eq!(*waits.await.unwrap().unwrap().duplicate().unwrap().value.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_aborted_gives_its_claim_back() {
        let claims: Arc<Claims<u32, TokioClock>> =
            Arc::new(config().claims_with(TokioClock, SipKeys::from_seed(1)).unwrap());
        let held = Acquire::new(Arc::clone(&claims), ID).await.unwrap().claim().unwrap();
        let task = tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let waits = tokio::spawn(Acquire::new(Arc::clone(&claims), ID));
        tokio::task::yield_now().await;
        task.abort();
        assert!(waits.await.unwrap().unwrap().claim().is_some());
    }

    #[test]
    fn what_can_be_sent_and_shared() {
        fn can_be<T: Send + Sync + Unpin>() {}
        fn lives_for_ever<T: 'static>() {}
        can_be::<System>();
        can_be::<Claim<Arc<System>>>();
        can_be::<Claim<&System>>();
        can_be::<Acquired<Arc<System>>>();
        can_be::<Acquire<Arc<System>>>();
        can_be::<Acquire<&System>>();
        can_be::<Duplicate<String>>();
        lives_for_ever::<Claim<Arc<System<String>>>>();
        lives_for_ever::<Acquire<Arc<System<String>>>>();
    }
}
