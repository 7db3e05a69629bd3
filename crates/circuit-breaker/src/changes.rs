//! Changes of the phase, for whoever wants to follow them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use steadfast_core::sync::atomic::AtomicU64;
use steadfast_core::sync::{Arc, Mutex};
use steadfast_core::wait::Wait;
use steadfast_core::{Signal, Untimed, const_unless_loom};

use crate::atomic::CircuitBreaker;
use crate::state::{Change, LIVES, Memory};

/// How many changes are kept for slow readers.
const KEPT: usize = 64;

impl<C, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// The changes of the phase from now on: each once and in order, as a stream for tasks and as a
    /// blocking iterator for threads.
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
    /// let log = std::thread::spawn(move || changes.map(|seen| seen.change.to).collect::<Vec<_>>());
    /// breaker.force_open();
    /// breaker.reset();
    /// drop(breaker);
    /// assert_eq!(log.join().unwrap(), [Phase::ForcedOpen, Phase::Closed]);
    /// # }
    /// ```
    pub fn changes(&self) -> Changes {
        let (log, next) = self.feed().log_from(|| self.state().life());
        Changes { signal: log, next, name: self.name(), wait: None }
    }
}

/// Where changes are recorded once somebody reads them.
pub(crate) struct Feed {
    log: Mutex<Option<Arc<Log>>>,
    /// Changes that were made under the lock of the line, to be announced after it.
    deferred: Mutex<VecDeque<Change>>,
}

struct Log {
    ring: Mutex<Ring>,
    signal: Signal<Untimed>,
}

struct Ring {
    /// Each at its number, modulo their number.
    changes: Box<[Option<(u64, Change)>]>,
    /// The number of the last change: that of its life, which does not wrap here.
    latest: u64,
    closed: bool,
}

impl Feed {
    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self { log: Mutex::new(None), deferred: Mutex::new(VecDeque::new()) }
        }
    }

    /// Records a change and wakes who waits for it. Takes no lock that is held meanwhile.
    pub(crate) fn publish(&self, change: Change) {
        let Some(log) = self.log.with(|log| log.clone()) else { return };
        log.ring.with(|ring| ring.record(change));
        log.signal.raise();
    }

    /// Keeps a change for somebody who holds no lock.
    pub(crate) fn defer(&self, change: Change) {
        self.deferred.with(|deferred| deferred.push_back(change));
    }

    /// The first that was kept. One at a time: telling of it may panic, and the others are kept.
    pub(crate) fn deferred(&self) -> Option<Change> {
        self.deferred.with(VecDeque::pop_front)
    }

    /// The log, and the number of the first change after this.
    fn log_from(&self, life: impl Fn() -> u32) -> (Arc<Log>, u64) {
        self.log.with(|slot| {
            // RACE: whoever changes the phase after this look finds the log; who did before is not in
            // it. Model: `every_change_after_the_subscription_is_seen`.
            let log = slot.get_or_insert_with(|| Arc::new(Log::new(life())));
            let next = log.ring.with(|ring| ring.number_of(life()).max(ring.latest) + 1);
            (Arc::clone(log), next)
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(log) = self.log.with(Option::take) {
            log.ring.with(|ring| ring.closed = true);
            log.signal.raise();
        }
    }
}

impl Log {
    fn new(life: u32) -> Self {
        let changes = (0..KEPT).map(|_| None).collect();
        let ring = Ring { changes, latest: life.into(), closed: false };
        Self { ring: Mutex::new(ring), signal: Signal::new(Untimed) }
    }
}

/// What a reader finds.
enum Found {
    Next(Observed),
    /// Nothing yet, after so many signals.
    NotYet(u64),
    End,
}

impl Ring {
    fn record(&mut self, change: Change) {
        let number = self.number_of(change.life);
        let slot = &mut self.changes[slot_of(number)];
        // One that was recorded so late that its place is taken has been missed.
        if slot.is_none_or(|(other, _)| other < number) {
            *slot = Some((number, change));
        }
        self.latest = self.latest.max(number);
    }

    /// The number of a life that is near the latest: lives wrap.
    fn number_of(&self, life: u32) -> u64 {
        let latest = self.latest % LIVES;
        let ahead = (u64::from(life) % LIVES + LIVES - latest) % LIVES;
        if ahead <= LIVES / 2 {
            self.latest + ahead
        } else {
            self.latest.saturating_sub(LIVES - ahead)
        }
    }

    /// The change with this number, or the first that is still there after it.
    fn read(&self, next: u64) -> Option<(u64, Change)> {
        let oldest = (self.latest + 1).saturating_sub(KEPT as u64);
        let mut number = next.max(oldest);
        loop {
            match self.changes[slot_of(number)] {
                Some((found, change)) if found == number => return Some((number, change)),
                // Overwritten by a later one.
                Some((found, _)) if found > number => number += 1,
                // It has been made, but not recorded yet: it will be.
                _ => return None,
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 64")]
fn slot_of(number: u64) -> usize {
    // OK: below 64.
    (number % KEPT as u64) as usize
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
/// As an [`Iterator`] it blocks this thread until there is a change; as a [`Stream`] it is for tasks.
///
/// # Cancel safety
///
/// A change is taken when it is returned; dropping a pending read loses nothing.
#[must_use = "it does nothing unless it is read"]
pub struct Changes {
    signal: Arc<Log>,
    next: u64,
    name: Option<&'static str>,
    wait: Option<Wait<SignalOf>>,
}

/// The log as what is waited for.
struct SignalOf(Arc<Log>);

impl Deref for SignalOf {
    type Target = Signal<Untimed>;

    fn deref(&self) -> &Self::Target {
        &self.0.signal
    }
}

impl Changes {
    /// The next change, if there is one already. Never waits.
    pub fn try_next(&mut self) -> Option<Observed> {
        match self.look() {
            Found::Next(observed) => Some(observed),
            Found::NotYet(_) | Found::End => None,
        }
    }

    fn look(&mut self) -> Found {
        // Before the log is looked at: whatever is recorded afterwards raises it.
        let seen = self.signal.signal.count();
        let (found, closed) = self.signal.ring.with(|ring| (ring.read(self.next), ring.closed));
        let Some((number, change)) = found else {
            return if closed { Found::End } else { Found::NotYet(seen) };
        };
        let missed = number - self.next;
        self.next = number + 1;
        Found::Next(Observed { change, missed, name: self.name })
    }
}

#[cfg(feature = "std")]
impl Iterator for Changes {
    type Item = Observed;

    /// Blocks until there is a change; `None` when the breaker is gone.
    fn next(&mut self) -> Option<Observed> {
        loop {
            match self.look() {
                Found::Next(observed) => return Some(observed),
                Found::End => return None,
                Found::NotYet(seen) => {
                    let _raised = Wait::new(SignalOf(Arc::clone(&self.signal)), seen).wait();
                }
            }
        }
    }
}

impl Stream for Changes {
    type Item = Observed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Observed>> {
        loop {
            if let Some(wait) = &mut self.wait {
                if Pin::new(wait).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.wait = None;
            }
            match self.look() {
                Found::Next(observed) => return Poll::Ready(Some(observed)),
                Found::End => return Poll::Ready(None),
                Found::NotYet(seen) => {
                    let signal = SignalOf(Arc::clone(&self.signal));
                    self.wait = Some(Wait::new(signal, seen));
                }
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::state::{Phase, Reason};
    use steadfast_core::Instant;

    fn change(life: u32) -> Change {
        let (from, to) = (Phase::Closed, Phase::Closed);
        Change { life, at: Instant::ZERO, from, to, reason: Reason::Reset }
    }

    #[test]
    fn lives_that_wrap_are_numbered_on() {
        let last = u32::try_from(LIVES).unwrap();
        for round in 0..3 {
            let before = LIVES * round;
            let log = Log::new(last - 1);
            log.ring.with(|ring| {
                ring.latest += before;
                let lives = [last - 2, last - 1, last, 1, 2];
                assert_eq!(
                    lives.map(|life| ring.number_of(life) - before),
                    [LIVES - 2, LIVES - 1, LIVES, LIVES + 1, LIVES + 2]
                );
                // Recorded in another order than they were made in.
                for life in [1, last, 2] {
                    ring.record(change(life));
                }
                let mut next = before + LIVES;
                for life in [last, 1, 2] {
                    assert_eq!(ring.read(next).map(|(_, change)| change.life), Some(life));
                    next += 1;
                }
                assert_eq!(ring.read(next), None);
            });
        }
    }

    #[test]
    fn what_is_not_recorded_yet_holds_up_those_after_it_until_it_would_be_missed() {
        let log = Log::new(1);
        log.ring.with(|ring| {
            (3..=65).for_each(|life| ring.record(change(life)));
            assert_eq!(ring.read(2), None);
            ring.record(change(66));
            assert_eq!(ring.read(2).map(|(number, _)| number), Some(3));
            ring.record(change(2));
            assert_eq!(ring.read(2).map(|(number, _)| number), Some(3), "its place is taken");
        });
    }
}
