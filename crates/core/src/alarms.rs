//! Pending alarms in order of time: what the system clock, the manual clock and the delay timer keep.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::task::Waker;

use crate::time::Instant;

/// Wakers by instant. Each alarm has a number of its own, so that two may share an instant.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    pending: BTreeMap<Key, Waker>,
    numbers: u64,
}

/// Where an alarm stands, for as long as it is pending.
pub(crate) type Key = (Instant, u64);

impl Alarms {
    pub(crate) const fn new() -> Self {
        Self { pending: BTreeMap::new(), numbers: 0 }
    }

    /// When the first alarm is due.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.pending.first_key_value().map(|(key, _)| key.0)
    }

    pub(crate) fn insert(&mut self, at: Instant, waker: Waker) -> Key {
        self.numbers += 1;
        let key = (at, self.numbers);
        self.pending.insert(key, waker);
        key
    }

    /// Removes an alarm, if it is still pending. The waker is to be dropped without a lock held.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Waker> {
        self.pending.remove(&key)
    }

    /// Takes the wakers of all alarms due at `now` into `due`, earliest first.
    pub(crate) fn take_due(&mut self, now: Instant, due: &mut Vec<Waker>) {
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
    }
}
