//! Models of the shared bucket: every interleaving and every memory order that C11 allows, up to
//! `LOOM_MAX_PREEMPTIONS` switches that no thread asked for.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release --test loom -p steadfast-token-bucket
//! ```
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::model;
use loom::thread;
use steadfast_core::{Clock, Instant, Timer};
use steadfast_token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket, TryAcquireError};

/// A clock that stands still. Its alarms never ring.
#[derive(Clone, Copy)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        at(0)
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, (): &mut (), _at: Instant, _waker: &Waker) {}
}

type Bucket = Arc<TokenBucket<Still>>;

const fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

/// One token a second.
fn slow(burst: u64) -> Config {
    Config::new(Rate::per_second(1)).burst(burst)
}

fn bucket(config: Config) -> Bucket {
    Arc::new(config.build_at(Still, at(0)).unwrap())
}

fn joined(bucket: &Bucket, n: u64) -> Acquire<Bucket> {
    let mut place = Acquire::new(Arc::clone(bucket), n);
    assert_eq!(Pin::new(&mut place).poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    place
}

fn denied_until(result: Result<(), TryAcquireError>) -> Option<Instant> {
    match result {
        Err(TryAcquireError::Denied { retry_at, .. }) => Some(retry_at),
        _ => None,
    }
}

#[test]
fn two_takers_never_double_spend() {
    model(|| {
        let bucket = bucket(slow(3));
        let other = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.try_acquire_at(2, at(0)).is_ok()
        });
        let one = bucket.try_acquire_at(2, at(0)).is_ok();
        assert!(one ^ other.join().unwrap(), "three tokens serve exactly one request for two");
        assert_eq!(bucket.available_at(at(0)), 1);
    });
}

#[test]
fn up_to_shares_every_token_once() {
    model(|| {
        let bucket = bucket(slow(3));
        let other = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.try_acquire_up_to_at(2, at(0))
        });
        let one = bucket.try_acquire_up_to_at(2, at(0));
        assert_eq!(one + other.join().unwrap(), 3);
    });
}

#[test]
fn a_refund_is_published_to_the_taker() {
    model(|| {
        let bucket = bucket(slow(1).initial(0));
        let cell = loom::sync::Arc::new(UnsafeCell::new(0));
        let giver = thread::spawn({
            let (bucket, cell) = (Arc::clone(&bucket), loom::sync::Arc::clone(&cell));
            move || {
                cell.with_mut(|cell| touch(cell));
                bucket.refund(1);
            }
        });
        if bucket.try_acquire_at(1, at(0)).is_ok() {
            cell.with_mut(|cell| touch(cell));
        }
        giver.join().unwrap();
    });
}

/// Loom tracks the access that got this pointer; it is not looked at.
fn touch(_cell: *mut i32) {}

// Loom remembers no more than the last access to an atomic, so a load is not tried in front of the
// loop of a compare-and-swap in another thread that loads as well. In the models of readers the
// writer therefore is the thread that begins, and each has a twin in which it is not.

fn every(secs: u64) -> Config {
    Config::new(Rate::new(1, core::time::Duration::from_secs(secs))).burst(secs).initial(0)
}

/// Runs `writer` beside `reader`, each beginning once.
fn beside(config: Config, writer: fn(&Bucket), reader: fn(&Bucket)) {
    for writer_begins in [true, false] {
        model(move || {
            let bucket = bucket(config);
            let (first, second) = if writer_begins { (writer, reader) } else { (reader, writer) };
            let other = thread::spawn({
                let bucket = Arc::clone(&bucket);
                move || second(&bucket)
            });
            first(&bucket);
            other.join().unwrap();
        });
    }
}

#[test]
fn a_refusal_never_mixes_two_configurations() {
    beside(
        every(8).burst(1),
        |bucket| {
            bucket.reconfigure_at(&every(3), at(0)).unwrap();
            // Overwrites the numbers of the first terms. With the old numbers and this horizon it
            // would be 1 second.
            bucket.reconfigure_at(&every(5).burst(3), at(0)).unwrap();
        },
        |bucket| {
            let retry_at = denied_until(bucket.try_acquire_at(1, at(0)));
            assert!([Some(at(8)), Some(at(3)), Some(at(5))].contains(&retry_at), "{retry_at:?}");
        },
    );
}

#[test]
fn looking_never_mixes_two_configurations() {
    beside(
        every(8),
        |bucket| {
            bucket.reconfigure_at(&every(3), at(0)).unwrap();
            bucket.reconfigure_at(&every(5), at(0)).unwrap();
        },
        |bucket| {
            let seen = bucket.snapshot();
            let secs = seen.limits().rate().period().as_secs();
            assert!([8, 3, 5].contains(&secs));
            assert_eq!(seen.limits().burst(), secs);
            assert_eq!(seen.ready_at(1, at(0)), at(secs));
        },
    );
}

#[test]
fn a_grant_never_mixes_two_configurations() {
    beside(
        slow(4),
        |bucket| {
            bucket.reconfigure_at(&every(3).burst(4), at(0)).unwrap();
            bucket.reconfigure_at(&every(5).burst(4), at(0)).unwrap();
        },
        |bucket| {
            assert_eq!(bucket.try_acquire_at(3, at(0)), Ok(()));
            assert_eq!(bucket.available_at(at(0)), 1);
        },
    );
}

#[test]
fn a_grant_against_a_new_configuration_is_counted_in_either() {
    model(|| {
        let bucket = bucket(slow(4));
        let changer = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || {
                bucket.reconfigure_at(&Config::new(Rate::per_second(7)).burst(6), at(0)).unwrap()
            }
        });
        assert_eq!(bucket.try_acquire_at(3, at(0)), Ok(()));
        changer.join().unwrap();
        assert_eq!(bucket.available_at(at(0)), 1, "the tokens are carried over, less those taken");
    });
}

/// The fastest rates have the shortest frames: this one lasts about two milliseconds.
fn short_frames() -> Config {
    Config::new(Rate::new((1 << 35) + 1, core::time::Duration::from_nanos(1))).burst(1 << 35)
}

#[test]
fn a_renewed_frame_against_a_grant_loses_no_token_and_makes_none() {
    model(|| {
        let config = short_frames();
        let burst = config.limits().unwrap().burst();
        let bucket = bucket(config);
        // A minute is far beyond the horizon.
        let other = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.try_acquire_at(burst - 1, at(60)).is_ok()
        });
        let one = bucket.try_acquire_at(burst - 1, at(60)).is_ok();
        let other = other.join().unwrap();
        // Who comes while another renews may be told to come again at once.
        assert!(!(one && other), "twice the burst at one instant");
        assert!(one || other, "nobody got what is there");
        assert_eq!(bucket.available_at(at(60)), 1);
    });
}

#[test]
fn two_renewals_at_once_write_one_frame_after_the_other() {
    beside(short_frames(), |bucket| renew(bucket, 60), |bucket| renew(bucket, 61));
}

fn renew(bucket: &Bucket, secs: u64) {
    let burst = short_frames().limits().unwrap().burst();
    // Whoever comes while another renews may be told to come again at once.
    let _granted_or_not = bucket.try_acquire_at(burst - secs, at(secs));
    // What the frame says is what the machine says that began then, whoever wrote last.
    let seen = bucket.snapshot();
    let begun = |secs| short_frames().state(at(secs)).unwrap().take(burst - secs, at(secs)).1;
    let available = [60, 61].map(|secs| begun(secs).available(at(61)));
    assert!(available.contains(&seen.available(at(61))), "{seen:?}");
}

#[test]
fn a_renewed_frame_against_a_refund_keeps_both() {
    model(|| {
        let config = short_frames();
        let burst = config.limits().unwrap().burst();
        let bucket = bucket(config);
        bucket.try_acquire_at(burst, at(0)).unwrap();
        let giver = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.refund(5)
        });
        bucket.try_acquire_at(burst, at(60)).unwrap();
        giver.join().unwrap();
        let left = bucket.available_at(at(60));
        assert!(left == 0 || left == 5, "{left}");
    });
}

#[test]
fn a_close_against_a_grant_is_before_or_after_it() {
    model(|| {
        let bucket = bucket(slow(1));
        let closer = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.close()
        });
        let granted = bucket.try_acquire_at(1, at(0));
        assert!(matches!(granted, Ok(()) | Err(TryAcquireError::Closed)));
        closer.join().unwrap();
        assert!(bucket.is_closed(), "a grant does not open it again");
        assert_eq!(bucket.try_acquire_at(1, at(5)), Err(TryAcquireError::Closed));
    });
}

#[test]
fn a_close_against_a_new_configuration_stays() {
    model(|| {
        let bucket = bucket(slow(1));
        let closer = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.close()
        });
        bucket.reconfigure_at(&slow(9), at(0)).unwrap();
        closer.join().unwrap();
        assert!(bucket.is_closed());
    });
}

#[test]
fn a_newcomer_never_overtakes_a_marked_line() {
    model(|| {
        let bucket = bucket(slow(4).initial(0));
        let head = joined(&bucket, 2);
        let giver = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || {
                bucket.refund(1);
                bucket.refund(1);
            }
        });
        assert!(bucket.try_acquire_at(1, at(0)).is_err());
        assert_eq!(bucket.try_acquire_up_to_at(1, at(0)), 0);
        assert_eq!(block_on(head), Ok(()));
        giver.join().unwrap();
        assert_eq!(bucket.stats().line.waiting, 0);
        assert!(!bucket.snapshot().word().is_occupied());
    });
}

#[test]
fn a_refund_against_an_acquire_is_seen() {
    model(|| {
        let bucket = bucket(slow(1).initial(0));
        let giver = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.refund(1)
        });
        assert_eq!(block_on(Acquire::new(Arc::clone(&bucket), 1)), Ok(()));
        giver.join().unwrap();
        assert!(!bucket.snapshot().word().is_occupied());
    });
}

#[test]
fn a_refund_against_a_blocking_acquire_is_seen() {
    model(|| {
        let bucket = bucket(slow(1).initial(0));
        let giver = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.refund(1)
        });
        assert_eq!(bucket.acquire(1).wait(), Ok(()));
        giver.join().unwrap();
        assert!(!bucket.snapshot().word().is_occupied());
    });
}

#[test]
fn a_close_against_an_acquire_is_seen() {
    model(|| {
        let bucket = bucket(slow(1).initial(0));
        let closer = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.close()
        });
        assert_eq!(block_on(Acquire::new(Arc::clone(&bucket), 1)), Err(AcquireError::Closed));
        closer.join().unwrap();
        assert!(!bucket.snapshot().word().is_occupied());
    });
}

#[test]
fn a_smaller_burst_against_an_acquire_is_seen() {
    model(|| {
        let bucket = bucket(slow(2).initial(0));
        let changer = thread::spawn({
            let bucket = Arc::clone(&bucket);
            move || bucket.reconfigure_at(&slow(1), at(0)).unwrap()
        });
        let refused = block_on(Acquire::new(Arc::clone(&bucket), 2));
        assert_eq!(refused, Err(AcquireError::ExceedsBurst { burst: 1 }));
        changer.join().unwrap();
        assert!(!bucket.snapshot().word().is_occupied());
    });
}
