//! Deadlines, closing, new settings, and holders that panic.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use steadfast::token_bucket::{self, Rate};
use steadfast::{ManualClock, backoff, circuit_breaker};
use steadfast_deduplicator::Acquired;
use steadfast_sequence_tracker::{self as sequence_tracker, SequenceTracker};

use crate::crowd::{
    Backoff, Breaker, Bucket, CROWD, Claims, Crowd, Kind, Missed, One, Waits, each_of_four,
};
use crate::watched;

each_of_four! {
    deadlines: end_at_the_deadline_on_all_executors_and_the_others_keep_their_places;
    panics: of_holders_that_panic_go_to_the_next_on_another_executor;
}

const SOON: Duration = Duration::from_millis(100);

fn deadlines<P: One>() {
    watched(|| {
        let (crowd, one) = (Crowd::new(), P::new());
        let held = one.take();
        let waits: Vec<_> = (0..2 * CROWD)
            .map(|place| {
                // Each kind with a deadline, and without.
                let wait = one.ask();
                let wait = if place < CROWD { wait.limited(SOON) } else { wait };
                let owner = Arc::clone(&one);
                crowd.join(Kind::of(place), wait, move |output| owner.held(output).map(drop))
            })
            .collect();
        // Whoever is not served at the deadline gives up after it.
        one.clock_of().advance(SOON + Duration::from_nanos(1));
        for wait in &waits[..CROWD] {
            assert_eq!(wait.recv(), Ok(Err(Missed::TimedOut)));
        }
        assert!(waits[CROWD..].iter().all(|wait| wait.try_recv().is_err()), "it is held");
        drop(held);
        for wait in &waits[CROWD..] {
            assert_eq!(wait.recv(), Ok(Ok(())));
        }
    });
}

fn panics<P: One>() {
    watched(|| {
        let (crowd, one) = (Crowd::new(), P::new());
        let held = one.take();
        let waits: Vec<_> = (0..CROWD)
            .map(|place| {
                let owner = Arc::clone(&one);
                crowd.join(Kind::of(place), one.ask(), move |output| {
                    let _held = owner.held(output).unwrap();
                    // As a panic does, but silently.
                    resume_unwind(Box::new("on purpose"));
                })
            })
            .collect();
        drop(held);
        for wait in waits {
            let ended: Result<(), _> = wait.recv();
            assert!(ended.is_err(), "it panicked");
        }
        drop(one.take());
    });
}

/// A crowd that waits, and what each makes of its output.
fn waiting<P: One, T: Send + 'static>(
    crowd: &Crowd,
    one: &Arc<P>,
    then: impl Fn(<P::Wait as Future>::Output) -> T + Send + Copy + 'static,
) -> Vec<Receiver<T>> {
    (0..CROWD).map(|place| crowd.join(Kind::of(place), one.ask(), then)).collect()
}

fn all<T: PartialEq + std::fmt::Debug>(waits: Vec<Receiver<T>>, expected: &T) {
    for wait in waits {
        assert_eq!(wait.recv().as_ref(), Ok(expected));
    }
}

#[test]
fn closing_a_bucket_ends_waits_on_all_executors() {
    watched(|| {
        let (crowd, bucket) = (Crowd::new(), Bucket::new());
        let _held = bucket.take();
        let waits = waiting(&crowd, &bucket, |output| output);
        bucket.close();
        all(waits, &Err(token_bucket::AcquireError::Closed));
    });
}

#[test]
fn a_new_rate_reaches_waits_on_all_executors() {
    watched(|| {
        let (crowd, bucket) = (Crowd::new(), Bucket::new());
        std::mem::forget(bucket.take());
        let waits = waiting(&crowd, &bucket, |output| output);
        let faster = token_bucket::Config::new(Rate::per_second(1_000)).burst(CROWD as u64);
        bucket.reconfigure(&faster).unwrap();
        bucket.clock().advance(Duration::from_millis(CROWD as u64));
        all(waits, &Ok(()));
        assert_eq!(bucket.available(), 0, "as many as have accrued");
    });
}

#[test]
fn a_burst_that_became_too_small_ends_waits_on_all_executors() {
    watched(|| {
        let crowd = Crowd::new();
        let config = |burst| token_bucket::Config::new(Rate::per_day(1)).burst(burst);
        let bucket = Arc::new(config(5).initial(4).build_with(ManualClock::new()).unwrap());
        let waits = (0..CROWD).map(|place| {
            let wait = token_bucket::Acquire::new(Arc::clone(&bucket), 5);
            crowd.join(Kind::of(place), wait, |output| output)
        });
        let waits = waits.collect();
        bucket.reconfigure(&config(4)).unwrap();
        all(waits, &Err(token_bucket::AcquireError::ExceedsBurst { burst: 4 }));
        assert_eq!(bucket.available(), 4);
    });
}

type Probe = circuit_breaker::Permit<Arc<Breaker>>;

#[test]
fn a_breaker_that_closes_lets_everybody_through_on_all_executors() {
    let closes: [fn(&Breaker, Probe); 3] = [
        |_, probe| probe.success(),
        |breaker, _| breaker.reset(),
        |breaker, _| breaker.force_closed(),
    ];
    for close in closes {
        watched(move || {
            let (crowd, breaker) = (Crowd::new(), Breaker::new());
            let probe = breaker.take();
            let waits = waiting(&crowd, &breaker, |output| output.unwrap().is_probe());
            close(&breaker, probe);
            all(waits, &false);
        });
    }
}

#[test]
fn a_breaker_that_opens_again_keeps_waits_on_all_executors_for_the_next_probe() {
    watched(|| {
        let (crowd, breaker) = (Crowd::new(), Breaker::new());
        let probe = breaker.take();
        let waits = waiting(&crowd, &breaker, |output| output.unwrap().is_probe());
        probe.failure();
        breaker.clock().advance(Duration::from_millis(1));
        // Each in its turn; dropped, its place goes on.
        all(waits, &true);
    });
}

#[test]
fn stopping_a_backoff_ends_waits_on_all_executors() {
    watched(|| {
        let (crowd, backoff) = (Crowd::new(), Backoff::new());
        let _held = backoff.take();
        let waits = waiting(&crowd, &backoff, |output| output.map(drop));
        backoff.stop();
        all(waits, &Err(backoff::AcquireError::Stopped));
    });
}

#[test]
fn a_success_lets_everybody_attempt_on_all_executors() {
    watched(|| {
        let (crowd, backoff) = (Crowd::new(), Backoff::new());
        let attempt = backoff.take();
        let waits = waiting(&crowd, &backoff, |output| output.map(std::mem::forget));
        attempt.success();
        all(waits, &Ok(()));
    });
}

#[test]
fn a_reset_lets_the_next_attempt_on_whatever_executor() {
    watched(|| {
        let (crowd, backoff) = (Crowd::new(), Backoff::new());
        let _lost = backoff.take();
        let waits = waiting(&crowd, &backoff, |output| output.map(drop));
        backoff.reset();
        all(waits, &Ok(()));
    });
}

#[test]
fn a_commit_is_told_to_all_executors() {
    watched(|| {
        let (crowd, claims) = (Crowd::new(), Claims::new());
        let claim = claims.take();
        let waits = waiting(&crowd, &claims, |output| {
            output.unwrap().duplicate().and_then(|duplicate| duplicate.value.as_deref().copied())
        });
        claim.commit_with(7).unwrap();
        all(waits, &Some(7));
        assert_eq!(claims.in_flight(), 0);
    });
}

#[test]
fn a_lease_that_ends_passes_the_claim_on_through_all_executors() {
    watched(|| {
        let (crowd, claims) = (Crowd::new(), Claims::new());
        let lost = claims.take();
        let waits = waiting(&crowd, &claims, |output| matches!(output, Ok(Acquired::Claim(_))));
        claims.clock().advance(Duration::from_secs(60));
        all(waits, &true);
        drop(lost);
        assert_eq!(claims.in_flight(), 0);
    });
}

fn tracker() -> Arc<SequenceTracker<ManualClock>> {
    let tracker = sequence_tracker::Config::new().build_with(ManualClock::new()).unwrap();
    tracker.record(0);
    tracker.record(5);
    Arc::new(tracker)
}

type Proof = Result<u64, sequence_tracker::AcquireError>;

fn awaiting(
    crowd: &Crowd,
    tracker: &Arc<SequenceTracker<ManualClock>>,
    timeout: Option<Duration>,
) -> Vec<Receiver<Proof>> {
    let waits = (0..CROWD).map(|place| {
        let wait = sequence_tracker::Acquire::new(Arc::clone(tracker), 5);
        let wait = timeout.into_iter().fold(wait, Waits::limited);
        crowd.join(Kind::of(place), wait, |output| output)
    });
    waits.collect()
}

#[test]
fn waits_for_numbers_end_at_the_deadline_on_all_executors_with_what_is_missing() {
    watched(|| {
        let (crowd, tracker) = (Crowd::new(), tracker());
        let timed = awaiting(&crowd, &tracker, Some(SOON));
        let patient = awaiting(&crowd, &tracker, None);
        tracker.record(2);
        tracker.clock().advance(SOON + Duration::from_nanos(1));
        let missing = vec![1..=1, 3..=4];
        all(timed, &Err(sequence_tracker::AcquireError::TimedOut { missing }));
        tracker.record_range(1..=4).unwrap();
        all(patient, &Ok(5));
    });
}

#[test]
fn numbers_that_are_given_up_or_begin_anew_end_waits_on_all_executors() {
    watched(|| {
        let (crowd, tracker) = (Crowd::new(), tracker());
        let waits = awaiting(&crowd, &tracker, None);
        tracker.give_up_below(5);
        let lost = sequence_tracker::Run { first: 1, last: 4 };
        all(waits, &Err(sequence_tracker::AcquireError::Lost { through: 5, lost }));
        tracker.skip_to(5);
        tracker.record(9);
        let waits = (0..CROWD).map(|place| {
            let wait = sequence_tracker::Acquire::new(Arc::clone(&tracker), 9);
            crowd.join(Kind::of(place), wait, |output| output)
        });
        let waits = waits.collect();
        tracker.reset();
        all(waits, &Err(sequence_tracker::AcquireError::Restarted));
    });
}
