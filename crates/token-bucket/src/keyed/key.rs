//! One key as something to wait for.

use core::fmt;
use core::ops::Deref;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, OnceLock};

use steadfast_core::table::TableFull;
use steadfast_core::wait::{Attempt, Gate, Outlook, Turn};
use steadfast_core::{Instant, Line, Timer};

use super::entry::Entry;
use super::{Keyed, KeyedError};
use crate::state::Decision;
use crate::wait::Acquire;

/// One key of a [`Keyed`] limiter, to wait for. `O` is how it holds the limiter.
///
/// All handles of one key stand in one line; lines of different keys do not know each other. While
/// a handle exists that could not be served at once, its key keeps its place in the table.
pub struct Key<O, K> {
    keyed: O,
    name: K,
    /// That of the key's entry, from the first denial on: it keeps the entry from being forgotten.
    line: OnceLock<Arc<Line>>,
}

impl<O, K> Key<O, K> {
    /// A handle on `key`. With an `Arc` of the limiter it can be sent elsewhere.
    pub const fn new(keyed: O, key: K) -> Self {
        Self { keyed, name: key, line: OnceLock::new() }
    }
}

impl<O, K, C, S> Key<O, K>
where
    O: Deref<Target = Keyed<K, C, S>>,
    K: Hash + Eq + Clone,
    C: Timer,
    S: BuildHasher + 'static,
{
    /// Takes `n` tokens of this key, waiting for them in turn if need be.
    ///
    /// Order and cancel safety are those of [`TokenBucket::acquire`](crate::TokenBucket::acquire).
    ///
    /// # Errors
    ///
    /// As there, and if the key finds no place in the table. A key that shares the
    /// [overflow](crate::KeyedBuilder::overflow) bucket cannot wait for it, and is told so by
    /// [`KeyedError::TableFull`].
    pub fn acquire(&self, n: u64) -> Acquire<&Self> {
        Acquire::new(self, n)
    }
}

impl<O, K, C, S> Gate for Key<O, K>
where
    O: Deref<Target = Keyed<K, C, S>>,
    K: Hash + Eq + Clone,
    C: Timer,
    S: BuildHasher + 'static,
{
    type Timer = C;
    type Request = u64;
    type Pass = ();
    type Grant<P: Deref<Target = Self>> = ();
    type Error = KeyedError;

    fn timer(&self) -> &C {
        &self.keyed.clock
    }

    fn line(&self) -> &Line {
        // Whoever waits has been denied before. Never a line that is not the entry's: it would be
        // that of no other handle, and no refund would find it.
        self.line.get().expect("taken by the attempt that was denied")
    }

    fn max_waiters(&self) -> u32 {
        self.keyed.config.max_waiters
    }

    fn weight(&self, n: u64) -> u64 {
        n
    }

    fn attempt(&self, n: u64, turn: Turn, now: Instant) -> Attempt<(), KeyedError> {
        let keyed = &*self.keyed;
        let idle = |entry: &Entry| entry.is_idle(keyed.limits, now);
        let decision = keyed.table.with(
            &self.name,
            || keyed.full(now),
            idle,
            |entry| {
                let state = entry.state(keyed.limits);
                let (decision, next) = match turn {
                    Turn::Head => state.take_in_turn(n, now),
                    Turn::Newcomer => state.take(n, now),
                };
                entry.set(next);
                if let Decision::Denied { .. } = decision {
                    // Here, under the lock that denied, and not later: the entry could be
                    // forgotten meanwhile, and another take its place.
                    self.line.get_or_init(|| {
                        let own = entry.own(keyed.limits);
                        Arc::clone(own.line.get_or_insert_with(Arc::default))
                    });
                }
                (decision, next.limits().burst())
            },
        );
        match decision {
            Ok((Decision::Granted, _)) => Attempt::Granted(()),
            Ok((Decision::Denied { .. }, _)) => Attempt::NotNow,
            Ok((Decision::ExceedsBurst | Decision::Closed, burst)) => {
                Attempt::Refused(KeyedError::ExceedsBurst { burst })
            }
            Err(TableFull { capacity }) => Attempt::Refused(KeyedError::TableFull { capacity }),
        }
    }

    fn outlook(&self, ahead: u128, n: u64, now: Instant) -> Outlook {
        self.keyed.look(&self.name, now, |state| state.outlook(ahead, n, now))
    }

    fn never(&self, n: u64) -> Option<KeyedError> {
        let common = self.keyed.limits;
        let limits = self
            .keyed
            .table
            .look(&self.name, |entry| entry.map_or(common, |e| e.state(common).limits()));
        let burst = limits.burst();
        (n > burst).then_some(KeyedError::ExceedsBurst { burst })
    }

    fn mark(&self, occupied: bool) {
        self.keyed.mark(&self.name, occupied);
    }

    fn admit<P: Deref<Target = Self>>(_owner: P, (): ()) {}
}

impl<O, K: fmt::Debug> fmt::Debug for Key<O, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("key", &self.name).finish_non_exhaustive()
    }
}
