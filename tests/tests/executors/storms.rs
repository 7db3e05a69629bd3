//! Waits that are dropped half-way, 100,000 of each primitive, on every executor at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::thread;

use steadfast::ManualClock;
use steadfast_sequence_tracker::{Acquire, Config};

use crate::crowd::{Crowd, KINDS, Kind, One, Waits, each_of_four, polled};
use crate::watched;

const DROPS: u64 = 100_000;

each_of_four! {
    storm: outlast_a_hundred_thousand_waits_dropped_on_all_executors;
}

/// A worker's luck.
struct Random(u64);

impl Random {
    fn of(worker: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(worker as u64 + 1))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % n
    }
}

/// Polls up to three times; most of those who still wait then are dropped: `None`.
async fn end_or_drop<W: Waits>(
    kind: Kind,
    mut wait: W,
    random: &mut Random,
    drops: &AtomicU64,
) -> Option<W::Output> {
    for _ in 0..=random.below(3) {
        if let Poll::Ready(output) = polled(&mut wait).await {
            return Some(output);
        }
        if random.below(4) == 0 {
            kind.rest().await;
        }
    }
    if random.below(16) > 0 {
        drops.fetch_add(1, SeqCst);
        return None;
    }
    Some(kind.end(wait).await)
}

fn storm<P: One>() {
    watched(|| {
        let (crowd, one) = (Crowd::new(), P::new());
        let (drops, held) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let workers: Vec<_> = (0..2 * KINDS.len())
            .map(|number| {
                let kind = Kind::of(number);
                let mut random = Random::of(number);
                let (one, drops, held) = (Arc::clone(&one), Arc::clone(&drops), Arc::clone(&held));
                crowd.run(kind, async move {
                    let mut served = 0_u64;
                    while drops.load(SeqCst) < DROPS {
                        let wait = one.ask();
                        let ended = end_or_drop(kind, wait, &mut random, &drops).await;
                        let Some(output) = ended else { continue };
                        let thing = one.held(output).unwrap();
                        assert_eq!(held.fetch_add(1, SeqCst), 0, "one at a time");
                        kind.rest().await;
                        held.fetch_sub(1, SeqCst);
                        drop(thing);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for (number, worker) in workers.into_iter().enumerate() {
            let served = worker.recv().expect("the law held");
            assert!(served > 0, "{:?} was never served", Kind::of(number));
        }
        drop(one.take());
    });
}

#[test]
fn numbers_outlast_a_hundred_thousand_waits_dropped_on_all_executors() {
    watched(|| {
        let crowd = Crowd::new();
        let tracker = Arc::new(Config::new().build_with(ManualClock::new()).unwrap());
        tracker.record(0);
        // The next number that is recorded.
        let next = Arc::new(AtomicU64::new(1));
        let drops = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..2 * KINDS.len())
            .map(|number| {
                let kind = Kind::of(number);
                let mut random = Random::of(number);
                let (tracker, next) = (Arc::clone(&tracker), Arc::clone(&next));
                let drops = Arc::clone(&drops);
                crowd.run(kind, async move {
                    while drops.load(SeqCst) < DROPS {
                        let number = next.load(SeqCst) + random.below(4);
                        let wait = Acquire::new(Arc::clone(&tracker), number);
                        let ended = end_or_drop(kind, wait, &mut random, &drops).await;
                        let Some(output) = ended else { continue };
                        assert!(output.unwrap() >= number);
                        assert!(next.load(SeqCst) >= number, "before it came");
                    }
                })
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let recorder = thread::spawn({
            let (tracker, next, over) =
                (Arc::clone(&tracker), Arc::clone(&next), Arc::clone(&over));
            move || {
                while !over.load(SeqCst) {
                    let number = next.load(SeqCst);
                    assert!(tracker.record(number).is_fresh());
                    next.store(number + 1, SeqCst);
                    thread::yield_now();
                }
            }
        });
        for worker in workers {
            worker.recv().expect("the law held");
        }
        over.store(true, SeqCst);
        recorder.join().unwrap();
        assert_eq!(tracker.contiguous_through(), Some(next.load(SeqCst) - 1));
    });
}
