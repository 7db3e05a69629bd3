//! The shared backoff: the pure machine of [`state`](crate::state) under a fine lock.
//!
//! It is asked once for each connection and not for each request, so a lock held for some twenty
//! instructions is enough, and all that must agree lies under it.

use core::ops::Deref;
use core::time::Duration;
use core::{fmt, mem};

use steadfast_core::sync::Mutex;
use steadfast_core::wait::LineStats;
use steadfast_core::{Clock, Instant, Line, SystemClock};

use crate::config::ConfigError;
use crate::error::TryAcquireError;
use crate::growth::{Curve, Grow};
use crate::policy::Policy;
use crate::random::{Random, Rng};
use crate::state::{Decision, Pass, Phase, State, Terms, Wake};

/// One backoff for many threads and tasks that use the same thing: a server that all connect to.
///
/// [`acquire`](Backoff::acquire) gives the next [`Attempt`] when its delay is over, to one at a time
/// (or P at once). Report on it: a success releases everybody, and from then on nobody waits until
/// somebody reports a failure; a failure makes the next delay longer. An attempt that is dropped
/// changes nothing.
///
/// The number of retries of its policy says after how many failures in a row it is exhausted. With
/// `max_elapsed` it also is when the next attempt would come so long after the first of them.
///
/// A report that comes late, from before the last success, reset, or failure of something healthy,
/// changes nothing; and failures of attempts that were in flight together count once.
///
/// # Clocks
///
/// A clock that stands still keeps the delay from ending, and one that jumps ahead ends it. On one
/// that has stepped back to before the last failure the delay begins again, once somebody looks; a
/// single failure may then count as one that came too soon after the success before it (see
/// [`reset_after`](BackoffConfig::reset_after)), and `max_elapsed` begins again. Those who wait in line
/// already have their alarm set: a step back of up to a minute adds to their wait, and to that of all
/// behind them, unless somebody reports meanwhile; a longer one is noticed as soon as somebody joins.
///
/// # Memory ordering
///
/// What happened before a report is visible to whoever is granted an attempt because of it.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use core::time::Duration;
/// use steadfast_backoff::{Backoff, BackoffConfig, Config, Jitter};
///
/// let policy = Config::exponential(Duration::from_millis(1))
///     .cap(Duration::from_secs(30))
///     .jitter(Jitter::Full)
///     .unlimited()
///     .build()?;
/// // A connection has to hold for a minute before its next failure counts as a first one.
/// let reconnect = BackoffConfig::new(policy).reset_after(Duration::from_secs(60)).build()?;
///
/// # fn connect(n: u32) -> Option<u32> { (n > 1).then_some(n) }
/// # fn use_it(_connection: u32) {}
/// # let mut times = 2;
/// loop {
///     let attempt = reconnect.acquire().wait()?;
///     let Some(connection) = connect(attempt.number()) else {
///         attempt.failure();
///         continue;
///     };
///     attempt.success();
///     use_it(connection);
///     // It is lost: the next attempt comes after a delay, and a longer one if it did not hold.
///     reconnect.broken();
/// #   times -= 1;
/// #   if times == 0 { break }
/// }
/// assert!(reconnect.number() > 2);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Backoff<C = SystemClock, G = Curve> {
    pub(crate) terms: Terms<G>,
    pub(crate) max_waiters: u32,
    inner: Mutex<Inner>,
    pub(crate) clock: C,
    pub(crate) line: Line,
}

struct Inner {
    state: State,
    rng: Random,
}

/// The configuration of a [`Backoff`], and its builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a configuration does nothing until it is built"]
pub struct BackoffConfig<G = Curve> {
    policy: Policy<G>,
    max_in_flight: u32,
    reset_after: Duration,
    max_waiters: u32,
}

impl<G: Grow> BackoffConfig<G> {
    /// A backoff with the delays of `policy`.
    pub const fn new(policy: Policy<G>) -> Self {
        Self { policy, max_in_flight: 1, reset_after: Duration::ZERO, max_waiters: u32::MAX }
    }

    /// P: how many attempts may be in flight while it is not known to work. Default: 1.
    pub const fn max_in_flight(mut self, attempts: u32) -> Self {
        self.max_in_flight = attempts;
        self
    }

    /// How long after a success a failure counts as the first one again; one that comes sooner goes
    /// on where the delays had been. Default: 0, at once.
    ///
    /// So a server that accepts every connection and drops it is not called every second for ever,
    /// and one that fails once an hour never climbs: if whoever loses a connection says so, by
    /// [`broken`](Backoff::broken).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{BackoffConfig, Config};
    /// use steadfast_core::ManualClock;
    ///
    /// let delays = Config::exponential(Duration::from_secs(1)).unlimited().build()?;
    /// let reconnect = BackoffConfig::new(delays).reset_after(Duration::from_secs(60));
    /// let reconnect = reconnect.build_with(ManualClock::new())?;
    /// let clock = reconnect.clock();
    /// for lasts in [5, 5, 60] {
    ///     reconnect.try_acquire()?.success();
    ///     clock.advance(Duration::from_secs(lasts));
    ///     reconnect.broken();
    ///     clock.set_now(reconnect.next_at());
    /// }
    /// assert_eq!(reconnect.number(), 1, "the last connection held, so it begins anew");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn reset_after(mut self, healthy: Duration) -> Self {
        self.reset_after = healthy;
        self
    }

    /// How many may wait at once; a further one fails at once. Default: no limit.
    pub const fn max_waiters(mut self, waiters: u32) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// The backoff, on a clock of yours, with randomness of yours for its jitter.
    ///
    /// # Errors
    ///
    /// If nobody could ever attempt anything.
    pub fn build_seeded<C>(self, clock: C, rng: Random) -> Result<Backoff<C, G>, ConfigError> {
        if self.max_in_flight == 0 {
            return Err(ConfigError::ZeroInFlight);
        }
        Ok(self.made(clock, rng))
    }

    fn made<C>(self, clock: C, rng: Random) -> Backoff<C, G> {
        let Self { policy, max_in_flight, reset_after, max_waiters } = self;
        let terms = Terms { policy, max_in_flight, reset_after };
        let inner = Mutex::new(Inner { state: State::new(), rng });
        Backoff { terms, max_waiters, inner, clock, line: Line::new() }
    }

    /// The backoff, on a clock of yours.
    ///
    /// # Errors
    ///
    /// If nobody could ever attempt anything.
    #[cfg(feature = "std")]
    pub fn build_with<C>(self, clock: C) -> Result<Backoff<C, G>, ConfigError> {
        self.build_seeded(clock, Random::new())
    }

    /// The backoff, on the system's clock.
    ///
    /// # Errors
    ///
    /// If nobody could ever attempt anything.
    #[cfg(feature = "std")]
    pub fn build(self) -> Result<Backoff<SystemClock, G>, ConfigError> {
        self.build_with(SystemClock)
    }
}

#[cfg(feature = "std")]
impl Backoff {
    /// A backoff with the delays of `policy`, on the system's clock.
    pub fn new(policy: Policy) -> Self {
        BackoffConfig::new(policy).made(SystemClock, Random::new())
    }
}

impl<C, G: Grow> Backoff<C, G> {
    /// An attempt at `now`, or why there is none. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates "not now" from "never".
    pub fn try_acquire_at(&self, now: Instant) -> Result<Attempt<&Self>, TryAcquireError>
    where
        C: Clock,
    {
        Attempt::try_new_at(self, now)
    }

    /// Reports at `now` that what worked works no more: a connection was lost. The next attempt comes
    /// after a delay, and everybody waits for its outcome.
    ///
    /// While it is not known to work, it changes nothing, so that all who lose their connections at
    /// once count as one failure.
    pub fn broken_at(&self, now: Instant)
    where
        C: Clock,
    {
        let pass = self.inner.with(|Inner { state, .. }| match state.phase() {
            Phase::Healthy { .. } => match state.begin(&self.terms, now) {
                Decision::Granted(pass) => Some(pass),
                _ => None,
            },
            Phase::Unproven | Phase::BackingOff => None,
        });
        if let Some(pass) = pass {
            self.failure_at(pass, now);
        }
    }

    /// The waiting line: who waits now, who waited, and for how long at the longest.
    pub fn stats(&self) -> LineStats {
        self.line.stats()
    }

    /// Begins anew, as if nothing had been attempted: everybody who waits may go on, P at a time.
    pub fn reset(&self) {
        self.change(State::reset);
    }

    /// Refuses everybody from now on, and ends all waits. There is no way back.
    pub fn stop(&self) {
        self.change(State::stop);
    }

    /// The number that an attempt would have at `now`: how many failed in a row.
    pub fn number_at(&self, now: Instant) -> u32 {
        self.snapshot().number_at(&self.terms, now)
    }

    /// The instant at which the last delay is over.
    pub fn next_at(&self) -> Instant {
        self.snapshot().next_at()
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.snapshot().is_stopped()
    }

    /// The pure machine as it is now.
    pub fn snapshot(&self) -> State {
        self.inner.with(|inner| inner.state)
    }

    /// The clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    pub(crate) fn look(&self, ahead: u64, now: Instant) -> Decision {
        self.inner.with(|inner| inner.state.look(&self.terms, ahead, now))
    }

    pub(crate) fn never_granted(&self) -> Option<Decision> {
        self.inner.with(|inner| inner.state.never(&self.terms))
    }

    /// Begins an attempt: in turn for the head of the line, otherwise as a newcomer.
    pub(crate) fn begin(&self, in_turn: bool, now: Instant) -> Decision {
        self.inner.with(|Inner { state, .. }| {
            if in_turn || !state.is_occupied() {
                return state.begin(&self.terms, now);
            }
            match state.look(&self.terms, 0, now) {
                // Somebody waits who was here before.
                Decision::Granted(_) => Decision::Busy,
                refused => refused,
            }
        })
    }

    pub(crate) fn set_occupied(&self, occupied: bool) {
        self.inner.with(|inner| inner.state.set_occupied(occupied));
    }

    /// Makes a transition, and tells those whom it concerns.
    fn change(&self, transition: impl FnOnce(&mut State) -> Wake) {
        let (wake, occupied) =
            self.inner.with(|Inner { state, .. }| (transition(state), state.is_occupied()));
        let mark = |occupied| self.set_occupied(occupied);
        match wake {
            Wake::First if occupied => self.line.wake_first(mark),
            Wake::All if occupied => self.line.wake_all(mark),
            Wake::Nobody | Wake::First | Wake::All => {}
        }
    }
}

impl<C: Clock, G: Grow> Backoff<C, G> {
    /// [`try_acquire_at`](Backoff::try_acquire_at) now.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates "not now" from "never".
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use steadfast_backoff::{Backoff, Config, TryAcquireError};
    ///
    /// let backoff = Backoff::new(Config::constant(Duration::from_secs(5)).build()?);
    /// let attempt = backoff.try_acquire()?;
    /// assert_eq!(backoff.try_acquire().unwrap_err(), TryAcquireError::Busy);
    /// attempt.failure();
    /// assert!(matches!(backoff.try_acquire(), Err(TryAcquireError::NotYet { .. })));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Result<Attempt<&Self>, TryAcquireError> {
        self.try_acquire_at(self.clock.now())
    }

    /// [`broken_at`](Backoff::broken_at) now.
    pub fn broken(&self) {
        self.broken_at(self.clock.now());
    }

    /// [`number_at`](Backoff::number_at) now.
    pub fn number(&self) -> u32 {
        self.number_at(self.clock.now())
    }
}

/// What an [`Attempt`] is reported to: a [`Backoff`].
pub trait Owner {
    /// Whether an attempt may begin at `now`.
    fn begin_at(&self, now: Instant) -> Decision;

    /// The time.
    fn now(&self) -> Instant;

    /// The attempt worked.
    fn success_at(&self, pass: Pass, now: Instant);

    /// The attempt failed.
    fn failure_at(&self, pass: Pass, now: Instant);

    /// The attempt came to nothing.
    fn give_back(&self, pass: Pass);
}

impl<C: Clock, G: Grow> Owner for Backoff<C, G> {
    fn begin_at(&self, now: Instant) -> Decision {
        self.begin(false, now)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn success_at(&self, pass: Pass, now: Instant) {
        self.change(|state| state.success(&self.terms, pass, now));
    }

    fn failure_at(&self, pass: Pass, now: Instant) {
        let (next, bits) = self.inner.with(|Inner { state, rng }| {
            (state.escalation(&self.terms, pass, now), rng.next_u64())
        });
        // The growth may be code of somebody else's: no lock is held while it runs, and if it panics
        // the attempt is given back.
        let delay = next.map_or(Duration::ZERO, |next| {
            let attempt = Attempt::new(self, pass);
            // OK: a delay is drawn from one number.
            let delay = next.delay(&self.terms.policy, &mut || bits);
            mem::forget(attempt);
            delay
        });
        // RACE: another report may have come in between. Then this one escalates to the same, or to
        // nothing any more: what it depends on changes with the number or the life alone. Model:
        // `two_failures_at_once_escalate_once`.
        self.change(|state| state.failure_with(&self.terms, pass, now, delay));
    }

    fn give_back(&self, pass: Pass) {
        self.change(|state| state.give_back(pass));
    }
}

/// Leave for one attempt. Report on it, once; dropped, it is given back, and nothing is known.
///
/// One that is leaked (`mem::forget`) keeps its place until the next success or reset.
///
/// `O` is how it holds the [`Backoff`]: `&T`, or `Arc<T>` for one that can be sent elsewhere.
#[must_use = "dropping it gives it back at once"]
pub struct Attempt<O: Deref<Target: Owner>> {
    owner: O,
    pass: Pass,
    /// Not yet reported on.
    open: bool,
}

impl<O: Deref<Target: Owner>> Attempt<O> {
    /// [`Backoff::try_acquire`] for any way to hold it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates "not now" from "never".
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use core::time::Duration;
    /// use std::sync::Arc;
    /// use steadfast_backoff::{Attempt, Backoff, Config};
    ///
    /// let backoff = Arc::new(Backoff::new(Config::constant(Duration::from_secs(5)).build()?));
    /// let attempt = Attempt::try_new(Arc::clone(&backoff))?;
    /// std::thread::spawn(move || attempt.success()).join().unwrap();
    /// assert_eq!(backoff.number(), 0);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_new(owner: O) -> Result<Self, TryAcquireError> {
        let now = owner.now();
        Self::try_new_at(owner, now)
    }

    /// [`Backoff::try_acquire_at`] for any way to hold it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates "not now" from "never".
    pub fn try_new_at(owner: O, now: Instant) -> Result<Self, TryAcquireError> {
        match owner.begin_at(now) {
            Decision::Granted(pass) => Ok(Self::new(owner, pass)),
            Decision::NotYet { at } => Err(TryAcquireError::NotYet { retry_at: at, now }),
            Decision::Busy => Err(TryAcquireError::Busy),
            Decision::Exhausted { failures } => Err(TryAcquireError::Exhausted { failures }),
            Decision::Stopped => Err(TryAcquireError::Stopped),
        }
    }

    pub(crate) const fn new(owner: O, pass: Pass) -> Self {
        Self { owner, pass, open: true }
    }

    /// How many attempts failed in a row before this one.
    pub fn number(&self) -> u32 {
        self.pass.number
    }

    /// It worked: everybody may go on, and the delays begin again (see
    /// [`reset_after`](BackoffConfig::reset_after)).
    pub fn success(self) {
        let now = self.owner.now();
        self.success_at(now);
    }

    /// It failed: the next attempt comes after the next delay, which begins now.
    pub fn failure(self) {
        let now = self.owner.now();
        self.failure_at(now);
    }

    /// [`success`](Attempt::success) at `now`.
    pub fn success_at(mut self, now: Instant) {
        // First, so that a panic of whoever is woken does not report twice.
        self.open = false;
        self.owner.success_at(self.pass, now);
    }

    /// [`failure`](Attempt::failure) at `now`.
    pub fn failure_at(mut self, now: Instant) {
        self.open = false;
        self.owner.failure_at(self.pass, now);
    }
}

impl<O: Deref<Target: Owner>> Drop for Attempt<O> {
    fn drop(&mut self) {
        if self.open {
            self.owner.give_back(self.pass);
        }
    }
}

impl<O: Deref<Target: Owner>> fmt::Debug for Attempt<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("number", &self.pass.number).finish_non_exhaustive()
    }
}

impl<C, G: Grow + fmt::Debug> fmt::Debug for Backoff<C, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("terms", &self.terms)
            .field("state", &self.snapshot())
            .finish_non_exhaustive()
    }
}
