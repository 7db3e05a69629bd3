//! Where those sit who wait: a seat for each number that is awaited.
//!
//! ```text
//!   come ──────────────────────────▶│
//!                 number:  2   4    │  7      9
//!                          ┆   ┆    │  ┆      ┆
//!                        taken out: │ seat   seat
//!                        they look  │  │      ├─ waiter
//!                                   │  └─ …   └─ waiter
//! ```
//!
//! Invariants, under the tracker's lock:
//! - **P1** A seat is in the map from when the first sits down until it is over, or the last has left.
//! - **P2** A seat that is over will never be otherwise: whoever sits there looks again.
//! - **P3** All seats in the map are of one run.
//!
//! A line's lock and the tracker's are never held together: whoever takes seats out wakes their lines
//! afterwards.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use steadfast_core::Line;
use steadfast_core::sync::Arc;
use steadfast_core::sync::atomic::{AtomicBool, Ordering};

/// All seats that are not over, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Seats(BTreeMap<u64, Taken>);

/// A seat, and how many sit there.
#[derive(Debug)]
struct Taken {
    seat: Arc<Seat>,
    by: u32,
}

/// Those who wait for one number.
#[derive(Debug)]
pub(crate) struct Seat {
    line: Line,
    /// In which run of the stream it is awaited.
    run: u64,
    /// P2.
    is_over: AtomicBool,
}

impl Seats {
    /// One sits down who waits for `number` in this run.
    pub(crate) fn join(&mut self, number: u64, run: u64) -> Arc<Seat> {
        let new = || Taken { seat: Arc::new(Seat::new(run)), by: 0 };
        let taken = self.0.entry(number).or_insert_with(new);
        taken.by += 1;
        Arc::clone(&taken.seat)
    }

    /// One leaves a seat that is his until then: so whatever is in it is not dropped here.
    pub(crate) fn leave(&mut self, number: u64, seat: &Seat) {
        // P1: if it is not over it is in the map, with him.
        // RACE: what is awaited may have come just now; then the seat was taken out, and another's may
        // be in its place. Model: `a_seat_that_is_left_as_its_run_ends_is_not_the_next_runs`.
        if seat.is_over() {
            return;
        }
        if let Some(taken) = self.0.get_mut(&number) {
            taken.by -= 1;
            if taken.by == 0 {
                self.0.remove(&number);
            }
        }
    }

    /// Takes out the seats that are over when everything `through` a number is settled, and those of
    /// another run than this. To be woken, and dropped, once the lock is released.
    pub(crate) fn take_out(&mut self, through: Option<u64>, run: u64) -> Vec<Arc<Seat>> {
        let mut over = Vec::new();
        // Not split: that counts what is left.
        while let Some(first) = self.0.first_entry() {
            let is_over = first.get().seat.run != run || through >= Some(*first.key());
            if !is_over {
                break;
            }
            let Taken { seat, .. } = first.remove();
            // ORDERING: Relaxed; it publishes nothing. Whoever sees it takes the tracker's lock to look,
            // and gets it after us. Whoever does not, and is in the line, is woken: see `wake`.
            seat.is_over.store(true, Ordering::Relaxed);
            over.push(seat);
        }
        over
    }

    /// Whether nobody has to be told anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Seat {
    fn new(run: u64) -> Self {
        Self { line: Line::new(), run, is_over: AtomicBool::new(false) }
    }

    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) const fn run(&self) -> u64 {
        self.run
    }

    /// P2.
    pub(crate) fn is_over(&self) -> bool {
        // ORDERING: Relaxed; see `take_out`.
        self.is_over.load(Ordering::Relaxed)
    }

    /// Wakes all who sit here, because it is over.
    pub(crate) fn wake(&self) {
        // RACE: whoever joins the line after this had its lock after us, and sees that it is over. Model:
        // `what_comes_while_joining_is_seen`.
        self.line.wake_all(|_| ());
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use alloc::vec::Vec;
    use core::pin::Pin;
    use core::task::{Context, Waker};
    use core::time::Duration;

    use steadfast_core::ManualClock;

    use crate::{Config, SequenceTracker};

    fn seats(tracker: &SequenceTracker<ManualClock>) -> Vec<(u64, u32)> {
        tracker
            .with(|inner| inner.seats.0.iter().map(|(number, taken)| (*number, taken.by)).collect())
    }

    fn is_pending(wait: &mut (impl Future + Unpin)) -> bool {
        Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn a_wait_leaves_no_seat_behind_however_it_ends() {
        let tracker = Config::new().build_with(ManualClock::new()).unwrap();
        tracker.record(0);
        let second = Duration::from_secs(1);
        let mut waits: Vec<_> = [1, 2, 2, 3, 4, 4, 9].map(|n| tracker.acquire(n)).into();
        waits.push(tracker.acquire(9).timeout(second));
        assert_eq!(seats(&tracker), [], "before the first poll");
        assert!(waits.iter_mut().all(is_pending));
        assert_eq!(seats(&tracker), [(1, 1), (2, 2), (3, 1), (4, 2), (9, 2)]);
        assert!(waits.iter_mut().all(is_pending));
        assert_eq!(seats(&tracker).len(), 5, "each sits where it sat before");

        // Timed out; the other one still sits there.
        tracker.clock().advance(second);
        assert!(!is_pending(waits.last_mut().unwrap()));
        assert_eq!(seats(&tracker), [(1, 1), (2, 2), (3, 1), (4, 2), (9, 1)]);
        // Dropped: the last of its number, and not the last.
        drop(waits.remove(3));
        drop(waits.remove(3));
        assert_eq!(seats(&tracker), [(1, 1), (2, 2), (4, 1), (9, 1)]);
        // Come, and neither polled nor dropped yet. A seat for the same number is another one.
        tracker.record_range(1..=2).unwrap();
        assert_eq!(seats(&tracker), [(4, 1), (9, 1)]);
        tracker.reset();
        assert_eq!(seats(&tracker), []);
        let mut again = [2, 9].map(|number| tracker.acquire(number));
        assert!(again.iter_mut().all(is_pending));
        drop(waits);
        assert_eq!(seats(&tracker), [(2, 1), (9, 1)], "of those who sat there before the restart");
        drop(again);
        assert_eq!(seats(&tracker), []);
    }

    #[test]
    fn a_thread_that_has_waited_leaves_no_seat_behind() {
        let tracker = Config::new().build_with(ManualClock::new()).unwrap();
        tracker.record(0);
        std::thread::scope(|scope| {
            let waiters = [2, 2, 3].map(|number| {
                let tracker = &tracker;
                scope.spawn(move || tracker.acquire(number).wait())
            });
            while seats(&tracker) != [(2, 2), (3, 1)] {
                std::thread::yield_now();
            }
            tracker.record_range(1..=3).unwrap();
            assert_eq!(waiters.map(|waiter| waiter.join().unwrap()), [const { Ok(3) }; 3]);
        });
        assert_eq!(seats(&tracker), []);
    }
}
