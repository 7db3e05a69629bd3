//! Tasks on smol: an order book from a feed that loses messages, rebuilt after a gap.
//!
//! `cargo run --example on_smol`

use std::error::Error;
use std::time::Duration;

use smol::channel::{Receiver, Sender, unbounded};
use smol::{Timer, future};
use steadfast::sequence_tracker::{Arrival, Config, Due, SequenceTracker};
use steadfast::{Clock, SystemClock, backoff};

const LAST: u64 = 500;

/// One message in ten is lost, and sent again if asked for. Of an outage from 301 to 400 nothing is kept.
async fn publish(feed: Sender<u64>, requests: Receiver<u64>) -> Result<(), Box<dyn Error>> {
    for number in 1..=LAST {
        if number % 10 != 7 && !(301..=400).contains(&number) {
            feed.send(number).await?;
        }
    }
    while let Ok(number) = requests.recv().await {
        feed.send(number).await?;
    }
    Ok(())
}

/// Keeps the book: asks for what is missing, and takes a snapshot where too much is.
async fn subscribe(
    tracker: &SequenceTracker,
    feed: Receiver<u64>,
    requests: Sender<u64>,
) -> Result<(u64, u64), Box<dyn Error>> {
    let (mut filled, mut snapshots) = (0, 0);
    while tracker.contiguous_through() < Some(LAST) {
        let message = async { feed.recv().await.ok() };
        let request = async {
            match tracker.next_due() {
                Some(at) => Timer::after(at.saturating_duration_since(SystemClock.now())).await,
                None => future::pending().await,
            };
            None
        };
        if let Some(number) = future::or(message, request).await {
            // What is next or fills a gap goes into the book; what is ahead waits until it is next.
            filled += u64::from(matches!(tracker.record(number), Arrival::Filled { .. }));
        }
        for due in tracker.due() {
            if let Due::Request { run, .. } = due {
                for number in run.range() {
                    requests.send(number).await?;
                }
            }
        }
        if tracker.needs_resync() {
            // The book as it was after message 400.
            tracker.resynced(400);
            snapshots += 1;
        }
    }
    Ok((filled, snapshots))
}

fn main() -> Result<(), Box<dyn Error>> {
    // What is missing is asked for each 20 ms, ten times; a hole of 50 wants a snapshot.
    let delays = backoff::Config::constant(Duration::from_millis(20)).max_retries(10);
    let tracker = Config::new().starts_at(1).request(delays).resync_at(50).build()?;
    let ((feed, messages), (requests, asked)) = (unbounded(), unbounded());
    let work = future::try_zip(publish(feed, asked), subscribe(&tracker, messages, requests));
    let complete = tracker.acquire(LAST).timeout(Duration::from_secs(5));
    let (work, complete) = smol::block_on(future::zip(work, complete));
    assert_eq!(complete?, LAST, "everything through the last message has come");
    let ((), (filled, snapshots)) = work?;
    assert_eq!(snapshots, 1, "for the outage");
    assert_eq!(tracker.lost(), None, "and nothing else was given up");
    println!("{LAST} messages: {filled} came on request, {snapshots} snapshot");
    Ok(())
}
