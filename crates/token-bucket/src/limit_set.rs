//! Several limits at once: 100 per second AND 1,200 per minute.

use core::fmt;
use core::ops::Deref;

use steadfast_core::sync::Mutex;
use steadfast_core::wait::{Attempt, Gate, LineStats, Outlook, Turn};
use steadfast_core::{Clock, Instant, Line, SystemClock, Timer};

use crate::config::{Config, ConfigError};
use crate::error::{AcquireError, TryAcquireError};
use crate::state::{Decision, State};
use crate::wait::Acquire;

/// Several token buckets that grant together or not at all.
///
/// A request takes its tokens from all of them in one step, under a lock held for a few
/// nanoseconds, so that no request ever holds tokens of one limit while it lacks those of another.
/// Waiting is as for a single bucket: one line, first come, first served.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_core::Instant;
/// use steadfast_token_bucket::{Config, LimitSet, Rate};
///
/// let quota = LimitSet::build([
///     Config::new(Rate::per_second(100)),
///     Config::new(Rate::per_minute(1_200)),
/// ])?;
/// quota.acquire(100).wait()?;
/// assert!(quota.try_acquire(100).is_err(), "the first limit is used up");
/// assert!(quota.available() < 100);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LimitSet<const N: usize, C = SystemClock> {
    states: Mutex<[State; N]>,
    max_waiters: u32,
    clock: C,
    line: Line,
}

/// Takes `n` tokens from all buckets, or from none.
///
/// The pure machine of a [`LimitSet`]: the denial is the latest of theirs, "never" comes before
/// "not now", and whether a line waits is read from the first.
pub const fn take_all<const N: usize>(
    states: [State; N],
    n: u64,
    in_turn: bool,
    now: Instant,
) -> (Decision, [State; N]) {
    let (mut granted, mut refused) = (states, states);
    let mut verdict = Decision::Granted;
    let mut index = 0;
    while index < N {
        let state = states[index];
        let (decision, next) =
            if in_turn { state.take_in_turn(n, now) } else { state.take(n, now) };
        match decision {
            Decision::Granted => granted[index] = next,
            // The same state, or one that believes a clock that has stepped back.
            _ => refused[index] = next,
        }
        verdict = verdict.stricter(decision);
        index += 1;
    }
    match verdict {
        Decision::Granted => (verdict, granted),
        _ => (verdict, refused),
    }
}

#[cfg(feature = "std")]
impl<const N: usize> LimitSet<N> {
    /// A set of limits on the system's clock, beginning now.
    ///
    /// # Errors
    ///
    /// If there can be no bucket of one of the configurations.
    pub fn build(configs: [Config; N]) -> Result<Self, ConfigError> {
        Self::build_with(configs, SystemClock)
    }
}

impl<const N: usize, C> LimitSet<N, C> {
    const NOT_EMPTY: () = assert!(N > 0, "a set of at least one limit");

    /// A set of limits that begins at `now`.
    ///
    /// At most as many may wait as the strictest of the configurations allows; nothing is counted.
    ///
    /// # Errors
    ///
    /// If there can be no bucket of one of the configurations.
    pub fn build_at(configs: [Config; N], clock: C, now: Instant) -> Result<Self, ConfigError> {
        let () = Self::NOT_EMPTY;
        let mut states = [configs[0].state(now)?; N];
        for (state, config) in states.iter_mut().zip(&configs) {
            *state = config.state(now)?;
        }
        let max_waiters = configs.iter().map(|config| config.max_waiters).min();
        let max_waiters = max_waiters.unwrap_or(u32::MAX);
        Ok(Self { states: Mutex::new(states), max_waiters, clock, line: Line::new() })
    }

    /// Takes `n` tokens of every limit at `now`, or none at all.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire_at`](crate::TokenBucket::try_acquire_at).
    pub fn try_acquire_at(&self, n: u64, now: Instant) -> Result<(), TryAcquireError> {
        let ahead = self.line.weight();
        let decision = self.states.with(|states| {
            let (decision, next) = take_all(*states, n, false, now);
            *states = next;
            match decision {
                Decision::Denied { .. } if ahead > 0 => {
                    let late = |state: &State| state.behind_line(n, ahead, now);
                    states.iter().map(late).fold(decision, Decision::stricter)
                }
                decision => decision,
            }
        });
        match decision {
            Decision::Granted => Ok(()),
            refused => refused.result(self.burst(), now),
        }
    }

    /// Whole tokens that every limit has at `now`. Looking takes nothing.
    pub fn available_at(&self, now: Instant) -> u64 {
        self.look(|states| states.iter().map(|state| state.available(now)).min())
    }

    /// The smallest of the bursts: the most that can be asked for.
    pub fn burst(&self) -> u64 {
        self.look(|states| states.iter().map(|state| state.limits().burst()).min())
    }

    /// Gives `n` tokens back to every limit, and wakes whoever waits for them.
    pub fn refund(&self, n: u64) {
        self.change(|state| state.refund(n));
        self.line.wake_first(|occupied| self.set_occupied(occupied));
    }

    /// Changes all limits at `now`, as one step; see
    /// [`TokenBucket::reconfigure_at`](crate::TokenBucket::reconfigure_at).
    ///
    /// # Errors
    ///
    /// If there can be no bucket of one of the configurations. All are then as they were.
    pub fn reconfigure_at(&self, configs: &[Config; N], now: Instant) -> Result<(), ConfigError> {
        let mut limits = [configs[0].limits()?; N];
        for (limits, config) in limits.iter_mut().zip(configs) {
            *limits = config.limits()?;
        }
        self.states.with(|states| {
            for (state, limits) in states.iter_mut().zip(limits) {
                *state = state.reconfigure(limits, now);
            }
        });
        self.line.wake_all(|occupied| self.set_occupied(occupied));
        Ok(())
    }

    /// Closes the set: present and future requests fail.
    pub fn close(&self) {
        self.change(State::close);
        self.line.wake_all(|occupied| self.set_occupied(occupied));
    }

    /// Whether the set is closed.
    pub fn is_closed(&self) -> bool {
        self.states.with(|states| states[0].word().is_closed())
    }

    /// The line: who waits now, who waited, and for how long at the longest.
    pub fn stats(&self) -> LineStats {
        self.line.stats()
    }

    fn look(&self, f: impl FnOnce(&[State; N]) -> Option<u64>) -> u64 {
        // OK: a set has at least one limit.
        self.states.with(|states| f(states)).unwrap_or(0)
    }

    fn change(&self, f: impl Fn(State) -> State) {
        self.states.with(|states| *states = states.map(f));
    }

    fn set_occupied(&self, occupied: bool) {
        self.states.with(|states| states[0] = states[0].with_occupied(occupied));
    }
}

impl<const N: usize, C: Clock> LimitSet<N, C> {
    /// A set of limits on a clock of yours, beginning now.
    ///
    /// # Errors
    ///
    /// If there can be no bucket of one of the configurations.
    pub fn build_with(configs: [Config; N], clock: C) -> Result<Self, ConfigError> {
        let now = clock.now();
        Self::build_at(configs, clock, now)
    }

    /// [`try_acquire_at`](LimitSet::try_acquire_at) now.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`](crate::TokenBucket::try_acquire).
    pub fn try_acquire(&self, n: u64) -> Result<(), TryAcquireError> {
        self.try_acquire_at(n, self.clock.now())
    }

    /// [`available_at`](LimitSet::available_at) now.
    pub fn available(&self) -> u64 {
        self.available_at(self.clock.now())
    }
}

impl<const N: usize, C: Timer> LimitSet<N, C> {
    /// Takes `n` tokens of every limit, waiting for them in turn if need be.
    ///
    /// Order, cancel safety and errors are those of
    /// [`TokenBucket::acquire`](crate::TokenBucket::acquire). While it waits it holds nothing of
    /// any limit.
    pub fn acquire(&self, n: u64) -> Acquire<&Self> {
        Acquire::new(self, n)
    }
}

impl<const N: usize, C: Timer> Gate for LimitSet<N, C> {
    type Timer = C;
    type Request = u64;
    type Pass = ();
    type Grant<O: Deref<Target = Self>> = ();
    type Error = AcquireError;

    fn timer(&self) -> &C {
        &self.clock
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn max_waiters(&self) -> u32 {
        self.max_waiters
    }

    fn weight(&self, n: u64) -> u64 {
        n
    }

    fn attempt(&self, n: u64, turn: Turn, now: Instant) -> Attempt<(), AcquireError> {
        let decision = self.states.with(|states| {
            let (decision, next) = take_all(*states, n, turn == Turn::Head, now);
            *states = next;
            decision
        });
        decision.attempt(|| self.burst())
    }

    fn outlook(&self, ahead: u128, n: u64, now: Instant) -> Outlook {
        self.states.with(|states| {
            states.iter().map(|state| state.outlook(ahead, n, now)).fold(Outlook::Ready, later)
        })
    }

    fn never(&self, n: u64) -> Option<AcquireError> {
        AcquireError::never(n, self.burst(), self.is_closed())
    }

    fn mark(&self, occupied: bool) {
        self.set_occupied(occupied);
    }

    fn admit<O: Deref<Target = Self>>(_owner: O, (): ()) {}
}

/// The outlook of two limits together: the later instant, and the smaller spare.
fn later(one: Outlook, other: Outlook) -> Outlook {
    match (one, other) {
        (Outlook::Never, _) | (_, Outlook::Never) => Outlook::Never,
        (Outlook::Ready, outlook) | (outlook, Outlook::Ready) => outlook,
        (Outlook::At { at: a, spare: s }, Outlook::At { at: b, spare: t }) => {
            Outlook::At { at: a.max(b), spare: s.min(t) }
        }
        // A bucket's outlook is a matter of time alone.
        (event @ Outlook::Event { .. }, _) | (_, event) => event,
    }
}

impl<const N: usize, C> fmt::Debug for LimitSet<N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.states.with(|states| *states)).finish()
    }
}
