//! A short log of what happened, for whoever wants to follow it.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use crate::signal::{Signal, Untimed};
use crate::sync::{Arc, Mutex};
use crate::wait::Wait;

/// How many entries are kept for slow readers.
pub const KEPT: usize = 64;

/// Numbered entries, the last [`KEPT`] of them: each reader gets each once and in order, and is told
/// how many he has missed.
///
/// Nothing is recorded, and nothing allocated, before the first reader. It ends for all readers when it
/// is dropped.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_core::feed::Feed;
///
/// let feed = Feed::new();
/// let reader = feed.reader(|latest| latest);
/// feed.publish("one", |latest| latest + 1);
/// feed.publish("two", |latest| latest + 1);
/// drop(feed);
/// assert!(reader.map(|entry| entry.item).eq(["one", "two"]));
/// # }
/// ```
pub struct Feed<T> {
    log: Mutex<Option<Arc<Log<T>>>>,
}

struct Log<T> {
    ring: Mutex<Ring<T>>,
    signal: Signal<Untimed>,
}

struct Ring<T> {
    /// Each at its number, modulo their number.
    entries: Box<[Option<(u64, T)>]>,
    /// The highest number.
    latest: u64,
    is_closed: bool,
}

impl<T> Feed<T> {
    crate::const_unless_loom! {
        /// Without an entry, and without a reader.
        pub const fn new() -> Self {
            Self { log: Mutex::new(None) }
        }
    }
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Feed<T> {
    /// Records an entry and wakes who waits for it. `number` is told the highest number so far.
    ///
    /// Entries may come in another order than their numbers: a reader waits for the one that is missing,
    /// so each number up to the highest has to come.
    pub fn publish(&self, item: T, number: impl FnOnce(u64) -> u64) {
        let Some(log) = self.log.with(|log| log.clone()) else { return };
        log.ring.with(|ring| ring.record(item, number(ring.latest)));
        log.signal.raise();
    }

    /// A reader of all entries whose number is above the highest so far, and above `latest`, which is
    /// asked with the log locked and there: whatever gets a higher number afterwards is recorded. It is
    /// told the highest number so far.
    pub fn reader(&self, latest: impl FnOnce(u64) -> u64) -> Reader<T> {
        let (log, next) = self.log.with(|slot| {
            let log = slot.get_or_insert_with(|| Arc::new(Log::new()));
            let next = log.ring.with(|ring| {
                ring.latest = ring.latest.max(latest(ring.latest));
                ring.latest.saturating_add(1)
            });
            (Arc::clone(log), next)
        });
        Reader { log, next, wait: None }
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        if let Some(log) = self.log.with(Option::take) {
            log.ring.with(|ring| ring.is_closed = true);
            log.signal.raise();
        }
    }
}

impl<T> Log<T> {
    fn new() -> Self {
        let entries = (0..KEPT).map(|_| None).collect();
        let ring = Ring { entries, latest: 0, is_closed: false };
        Self { ring: Mutex::new(ring), signal: Signal::new(Untimed) }
    }
}

impl<T: Copy> Ring<T> {
    fn record(&mut self, item: T, number: u64) {
        let slot = &mut self.entries[slot_of(number)];
        // One that is recorded so late that its place is taken has been missed.
        if slot.is_none_or(|(other, _)| other < number) {
            *slot = Some((number, item));
        }
        self.latest = self.latest.max(number);
    }

    /// The entry with this number, or the first that is still there after it.
    fn read(&self, next: u64) -> Option<(u64, T)> {
        let oldest = self.latest.saturating_add(1).saturating_sub(KEPT as u64);
        let mut number = next.max(oldest);
        loop {
            match self.entries[slot_of(number)] {
                Some((found, item)) if found == number => return Some((number, item)),
                // Overwritten by a later one.
                Some((found, _)) if found > number => number += 1,
                // Not recorded yet: it will be.
                _ => return None,
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 64")]
fn slot_of(number: u64) -> usize {
    (number % KEPT as u64) as usize
}

/// What a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<T> {
    /// What was recorded.
    pub item: T,
    /// How many entries before it this reader has missed, because he was more than [`KEPT`] behind.
    pub missed: u64,
}

/// What a reader finds.
enum Found<T> {
    Next(Entry<T>),
    /// Nothing yet, after so many signals.
    NotYet(u64),
    End,
}

/// Reads a [`Feed`]: as an [`Iterator`] it blocks this thread until there is something, and
/// [`poll_next`](Reader::poll_next) makes a stream of it.
///
/// # Cancel safety
///
/// An entry is taken when it is returned; dropping a pending read loses nothing.
#[must_use = "it does nothing unless it is read"]
pub struct Reader<T> {
    log: Arc<Log<T>>,
    next: u64,
    wait: Option<Wait<SignalOf<T>>>,
}

/// The log as what is waited for.
struct SignalOf<T>(Arc<Log<T>>);

impl<T> Deref for SignalOf<T> {
    type Target = Signal<Untimed>;

    fn deref(&self) -> &Self::Target {
        &self.0.signal
    }
}

impl<T: Copy> Reader<T> {
    /// The next entry, if there is one already. Never waits.
    pub fn try_next(&mut self) -> Option<Entry<T>> {
        match self.look() {
            Found::Next(entry) => Some(entry),
            Found::NotYet(_) | Found::End => None,
        }
    }

    /// The next entry; `Ready(None)` when the feed is gone.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Entry<T>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                let _raised = ready!(Pin::new(wait).poll(cx));
                self.wait = None;
            }
            match self.look() {
                Found::Next(entry) => return Poll::Ready(Some(entry)),
                Found::End => return Poll::Ready(None),
                Found::NotYet(seen) => self.wait = Some(self.more_than(seen)),
            }
        }
    }

    fn look(&mut self) -> Found<T> {
        // Before the log is looked at: whatever is recorded afterwards raises it.
        let seen = self.log.signal.count();
        let (found, is_closed) = self.log.ring.with(|ring| (ring.read(self.next), ring.is_closed));
        let Some((number, item)) = found else {
            return if is_closed { Found::End } else { Found::NotYet(seen) };
        };
        // OK: what is found is not before the next.
        let missed = number - self.next;
        self.next = number.saturating_add(1);
        Found::Next(Entry { item, missed })
    }

    fn more_than(&self, seen: u64) -> Wait<SignalOf<T>> {
        Wait::new(SignalOf(Arc::clone(&self.log)), seen)
    }
}

#[cfg(feature = "std")]
impl<T: Copy> Iterator for Reader<T> {
    type Item = Entry<T>;

    /// Blocks until there is an entry; `None` when the feed is gone.
    fn next(&mut self) -> Option<Entry<T>> {
        loop {
            match self.look() {
                Found::Next(entry) => return Some(entry),
                Found::End => return None,
                Found::NotYet(seen) => {
                    let _raised = self.more_than(seen).wait();
                }
            }
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn entries_in_another_order_are_read_in_theirs() {
        let log = Log::new();
        log.ring.with(|ring| {
            for number in [2, 1, 3] {
                ring.record(number, number);
            }
            for next in 1..=3 {
                assert_eq!(ring.read(next), Some((next, next)));
            }
            assert_eq!(ring.read(4), None);
        });
    }

    #[test]
    fn what_is_not_recorded_yet_holds_up_those_after_it_until_it_would_be_missed() {
        let log = Log::new();
        log.ring.with(|ring| {
            (3..=65).for_each(|number| ring.record((), number));
            assert_eq!(ring.read(2), None);
            ring.record((), 66);
            assert_eq!(ring.read(2), Some((3, ())));
            ring.record((), 2);
            assert_eq!(ring.read(2), Some((3, ())), "its place is taken");
        });
    }

    #[test]
    fn a_reader_begins_after_what_it_is_told() {
        let feed = Feed::new();
        let mut early = feed.reader(|_| 7);
        feed.publish('a', |latest| latest + 1);
        let mut late = feed.reader(|latest| latest);
        feed.publish('b', |latest| latest + 1);
        assert_eq!(early.try_next(), Some(Entry { item: 'a', missed: 0 }));
        assert_eq!(early.try_next(), Some(Entry { item: 'b', missed: 0 }));
        assert_eq!(late.try_next(), Some(Entry { item: 'b', missed: 0 }));
        assert_eq!((early.try_next(), late.try_next()), (None, None));
    }
}
