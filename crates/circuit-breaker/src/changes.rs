//! Changes of the phase, for whoever wants to follow them.

use alloc::collections::VecDeque;
use core::fmt;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use steadfast_core::feed::{self, Entry, Reader};
use steadfast_core::sync::Mutex;
use steadfast_core::sync::atomic::{AtomicU64, Ordering};
use steadfast_core::{Step, const_unless_loom, update};

use crate::atomic::CircuitBreaker;
use crate::state::{Change, Effects, LIVES, Memory};

impl<C, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// The changes of the phase from now on, each once and in order: as a stream for tasks; and for
    /// threads as a blocking iterator, which is what a `for` loop makes of it.
    ///
    /// The last 64 are kept for a reader who is slow; [`Observed::missed`] tells him how many he has
    /// missed. It ends when the breaker is dropped.
    ///
    /// The first call of this allocates a few kilobytes; without it nothing is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{CircuitBreaker, Phase};
    ///
    /// let breaker = CircuitBreaker::new();
    /// let changes = breaker.changes();
    /// let log = std::thread::spawn(|| {
    ///     let mut log = Vec::new();
    ///     for seen in changes {
    ///         log.push(seen.change.to);
    ///     }
    ///     log
    /// });
    /// breaker.force_open();
    /// breaker.reset();
    /// drop(breaker);
    /// assert_eq!(log.join().unwrap(), [Phase::ForcedOpen, Phase::Closed]);
    /// # }
    /// ```
    pub fn changes(&self) -> Changes {
        // RACE: whoever changes the phase after this look finds the feed read; who did before is not in
        // it. Model: `every_change_after_the_subscription_is_seen`.
        let reader = self.feed().0.reader(|latest| number_near(latest, self.state().life()));
        Changes { reader, name: self.name() }
    }
}

/// Where changes are recorded once somebody reads them. Their number is that of the life that begins,
/// which does not wrap there.
pub(crate) struct Feed(feed::Feed<Change>);

impl Feed {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self(feed::Feed::new())
        }
    }

    pub(crate) fn publish(&self, change: Change) {
        self.0.publish(change, |latest| number_near(latest, change.life));
    }
}

/// The number of a life that is near the latest: lives wrap.
fn number_near(latest: u64, life: u32) -> u64 {
    let ahead = (u64::from(life) % LIVES + LIVES - latest % LIVES) % LIVES;
    if ahead <= LIVES / 2 { latest + ahead } else { latest.saturating_sub(LIVES - ahead) }
}

/// What was done under the lock of the line and is to be told after it.
pub(crate) struct Deferred {
    list: Mutex<VecDeque<Effects>>,
    /// How many there are.
    count: AtomicU64,
}

impl Deferred {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { list: Mutex::new(VecDeque::new()), count: AtomicU64::new(0) }
        }
    }

    pub(crate) fn put(&self, effects: Effects) {
        self.list.with(|list| list.push_back(effects));
        self.add(1);
    }

    /// All of it.
    pub(crate) fn all(&self) -> Rest<'_> {
        // ORDERING: Relaxed; whoever puts something there comes here afterwards himself.
        let nothing = self.count.load(Ordering::Relaxed) == 0;
        let list = if nothing { VecDeque::new() } else { self.list.with(mem::take) };
        self.add(0_u64.wrapping_sub(list.len() as u64));
        Rest { deferred: self, list }
    }

    fn add(&self, count: u64) {
        if count > 0 {
            update(&self.count, |sum| Step::Replace(sum.wrapping_add(count), ()));
        }
    }
}

/// What is to be told still: kept, if telling of it panics.
pub(crate) struct Rest<'a> {
    deferred: &'a Deferred,
    list: VecDeque<Effects>,
}

impl Rest<'_> {
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.list.iter().filter_map(|effects| effects.change)
    }

    pub(crate) fn next(&mut self) -> Option<Effects> {
        self.list.pop_front()
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        while let Some(effects) = self.list.pop_front() {
            self.deferred.put(effects);
        }
    }
}

/// A change as a reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The change.
    pub change: Change,
    /// How many changes before it this reader has missed, because he was more than 64 behind.
    pub missed: u64,
    /// The breaker's name.
    pub name: Option<&'static str>,
}

/// The changes of a breaker: see [`CircuitBreaker::changes`].
///
/// As a [`Stream`] it is for tasks. [`into_iter`](IntoIterator::into_iter), or a `for` loop, makes an
/// iterator of it that blocks this thread until there is a change.
///
/// # Cancel safety
///
/// A change is taken when it is returned; dropping a pending read loses nothing.
#[must_use = "it does nothing unless it is read"]
pub struct Changes {
    reader: Reader<Change>,
    name: Option<&'static str>,
}

impl Changes {
    /// The next change, if there is one already. Never waits.
    pub fn try_next(&mut self) -> Option<Observed> {
        self.reader.try_next().map(|entry| self.observed(entry))
    }

    fn observed(&self, entry: Entry<Change>) -> Observed {
        Observed { change: entry.item, missed: entry.missed, name: self.name }
    }
}

impl Stream for Changes {
    type Item = Observed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Observed>> {
        self.reader.poll_next(cx).map(|entry| entry.map(|entry| self.observed(entry)))
    }
}

#[cfg(feature = "std")]
impl IntoIterator for Changes {
    type Item = Observed;
    type IntoIter = Blocking;

    fn into_iter(self) -> Blocking {
        Blocking(self)
    }
}

/// The changes of a breaker for a thread: see [`CircuitBreaker::changes`].
#[cfg(feature = "std")]
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Blocking(Changes);

#[cfg(feature = "std")]
impl Iterator for Blocking {
    type Item = Observed;

    /// Blocks until there is a change; `None` when the breaker is gone.
    fn next(&mut self) -> Option<Observed> {
        self.0.reader.next().map(|entry| self.0.observed(entry))
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("reader", &self.reader).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lives_that_wrap_are_numbered_on() {
        let last = u32::try_from(LIVES).unwrap();
        for round in 0..3 {
            let before = LIVES * round;
            let lives = [last - 2, last - 1, last, 1, 2];
            let numbers = lives.map(|life| number_near(before + LIVES - 1, life) - before);
            assert_eq!(numbers, [LIVES - 2, LIVES - 1, LIVES, LIVES + 1, LIVES + 2]);
        }
        assert_eq!(number_near(1, last), 0, "nothing is before the first");
    }
}
