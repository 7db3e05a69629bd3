//! The stream adapter: duplicates are dropped, and nothing else is.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::mpsc;
use futures::executor::block_on;
use futures::stream::{self, FusedStream};
use futures::{Stream, StreamExt};
use steadfast_core::ManualClock;
use steadfast_deduplicator::{Config, Deduplicator, Distinct, Id, Ids, SipKeys};
use steadfast_test_support::task::Wakes;

type Seen = Deduplicator<ManualClock>;

fn seen(config: Config) -> (Arc<Seen>, ManualClock) {
    let clock = ManualClock::new();
    (Arc::new(config.build_with(clock.clone(), SipKeys::from_seed(1)).unwrap()), clock)
}

#[test]
fn duplicates_are_dropped_and_the_rest_keeps_its_order() {
    let (seen, _clock) = seen(Config::new(100));
    let ids = [1_u64, 2, 1, 3, 3, 2, 4, 1];
    let once: Vec<_> = block_on(seen.distinct(stream::iter(ids), |&id| id).collect());
    assert_eq!(once, [1, 2, 3, 4]);
    let stats = seen.stats();
    assert_eq!((stats.fresh, stats.duplicates), (4, 4));
}

#[test]
fn items_are_told_apart_by_their_ids_alone() {
    let (seen, _clock) = seen(Config::new(100));
    let trades = [("a", 1), ("b", 1), ("a", 2)].map(|(id, price)| (id.to_owned(), price));
    let once = seen.distinct(stream::iter(trades), |(id, _)| id.clone());
    assert_eq!(block_on(once.map(|(_, price)| price).collect::<Vec<_>>()), [1, 1]);
}

#[test]
fn an_id_need_not_be_copied_out_of_its_item() {
    let (seen, _clock) = seen(Config::new(100));
    let ids = Ids::new(SipKeys::from_seed(2), false);
    let trades = [("a", 1), ("b", 1), ("a", 2)].map(|(id, price)| (id.to_owned(), price));
    let once = seen.distinct(stream::iter(trades), |(id, _)| id.fingerprint(&ids));
    assert_eq!(block_on(once.map(|(_, price)| price).collect::<Vec<_>>()), [1, 1]);
}

#[test]
fn each_item_is_asked_for_its_id_once() {
    let (seen, _clock) = seen(Config::new(100));
    let asked = Cell::new(0);
    let id = |id: &u64| {
        asked.set(asked.get() + 1);
        *id
    };
    assert_eq!(block_on(seen.distinct(stream::iter([1_u64, 1, 2]), id).count()), 2);
    assert_eq!(asked.get(), 3);
}

#[test]
fn what_one_stream_has_given_another_does_not_give() {
    let (seen, _clock) = seen(Config::new(100));
    let [mut one, mut other] =
        [0, 1].map(|_| Distinct::new(Arc::clone(&seen), stream::iter(1_u64..=6), |&id: &u64| id));
    let mut given = Vec::new();
    block_on(async {
        given.push(one.next().await.unwrap());
        given.push(other.next().await.unwrap());
        given.push(other.next().await.unwrap());
        given.push(one.next().await.unwrap());
        assert!(!seen.insert(&4_u64).is_fresh());
        assert!(seen.insert(&5_u64).is_fresh());
        given.push(other.next().await.unwrap());
        assert_eq!((one.next().await, other.next().await), (None, None));
    });
    assert_eq!(given, [1, 2, 3, 4, 6]);
}

#[test]
fn two_tasks_with_a_feed_each_give_every_id_once() {
    let (seen, _clock) = seen(Config::new(10_000));
    let feeds = [0, 1].map(|_| {
        let feed = Distinct::new(Arc::clone(&seen), stream::iter(0_u64..2_000), |&id: &u64| id);
        std::thread::spawn(move || block_on(feed.collect::<Vec<_>>()))
    });
    let mut given: Vec<_> = feeds.into_iter().flat_map(|feed| feed.join().unwrap()).collect();
    given.sort_unstable();
    assert!(given.into_iter().eq(0..2_000));
}

#[test]
fn an_id_that_is_forgotten_is_given_again() {
    let (seen, clock) = seen(Config::new(100).ttl(Duration::from_secs(1)));
    let mut ids = seen.distinct(stream::iter([7_u64, 7, 7, 8]), |&id| id);
    block_on(async {
        assert_eq!(ids.next().await, Some(7));
        clock.advance(Duration::from_secs(1));
        assert_eq!(ids.next().await, Some(7));
        assert_eq!(ids.next().await, Some(8));
        assert_eq!(ids.next().await, None);
    });
}

#[test]
fn a_pending_read_is_woken_and_may_be_dropped() {
    let (seen, _clock) = seen(Config::new(100));
    let (sender, receiver) = mpsc::unbounded();
    let mut ids = seen.distinct(receiver, |&id: &u64| id);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Pending);
    sender.unbounded_send(1).unwrap();
    assert_eq!(wakes.count(), 1);
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Ready(Some(1)));

    // A duplicate does not end the read, nor does it lose the waker.
    sender.unbounded_send(1).unwrap();
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Pending);
    let woken = wakes.count();
    sender.unbounded_send(2).unwrap();
    assert_eq!(wakes.count(), woken + 1);
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Ready(Some(2)));

    // A read that is dropped loses nothing.
    assert!(pin!(ids.next()).poll(&mut cx).is_pending());
    sender.unbounded_send(3).unwrap();
    assert!(!seen.contains(&3_u64), "it is recorded when it is given");
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Ready(Some(3)));
    drop(sender);
    assert_eq!(Pin::new(&mut ids).poll_next(&mut cx), Poll::Ready(None));
}

#[test]
fn size_hint_knows_the_most_and_not_the_least() {
    let (seen, _clock) = seen(Config::new(100));
    let mut ids = seen.distinct(stream::iter([1_u64, 1, 2]), |&id| id);
    assert_eq!(ids.size_hint(), (0, Some(3)));
    block_on(async {
        ids.next().await;
        assert_eq!(ids.size_hint(), (0, Some(2)));
        ids.next().await;
        assert_eq!(ids.size_hint(), (0, Some(0)));
    });
    assert_eq!(seen.distinct(stream::repeat(1_u64), |&id| id).size_hint(), (0, None));
}

#[test]
fn it_is_over_when_the_stream_within_is() {
    let (seen, _clock) = seen(Config::new(100));
    let mut ids = seen.distinct(stream::iter([1_u64, 1]).fuse(), |&id| id);
    assert!(!ids.is_terminated());
    block_on(async {
        assert_eq!(ids.next().await, Some(1));
        assert!(!ids.is_terminated(), "nobody knows yet that a duplicate is all that comes");
        assert_eq!(ids.next().await, None);
        assert!(ids.is_terminated());
        assert_eq!(ids.next().await, None);
    });
    assert!(ids.into_inner().is_terminated());
}

#[test]
fn it_can_be_sent_to_another_task() {
    fn can_be<T: Send + 'static>(_: &T) {}
    let (seen, _clock) = seen(Config::new(100));
    can_be(&Distinct::new(seen, stream::iter([1_u64]), |&id: &u64| id));
}
