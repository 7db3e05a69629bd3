//! The pure machine of the shared backoff, as a value.
//!
//! # Transitions
//!
//! ```text
//!                      success                    failure: attempt number 1, a delay
//!   ┌──────────┐ ────────────────▶ ┌─────────┐ ──────────────────▶ ┌─────────────┐ failure: the
//!   │ unproven │                   │ healthy │                     │ backing off │ next number, a
//!   │ P at once│ ──┐               │ no limit│ ◀────────────────── │ P at once   │ longer delay
//!   └──────────┘   │ failure       └─────────┘       success       └─────────────┘ ──┐
//!        ▲         └──────────────────────────────────────────────────▶  ▲  ◀────────┘
//!        └── reset, from anywhere                                        │
//! ```
//!
//! | input | when | decision | becomes |
//! |---|---|---|---|
//! | begin | stopped | `Stopped` | – |
//! | begin | healthy | granted | – |
//! | begin | number above the retries, or no time left | `Exhausted` | – |
//! | begin | now < next instant | `NotYet` | – |
//! | begin | P in flight | `Busy` | – |
//! | begin | otherwise | granted | one more in flight |
//! | success | of this life, not healthy | | healthy, next life |
//! | failure | of this life, healthy | | backing off, next life; the number is 1, or the one before plus 1 if it was healthy for less than `reset_after` |
//! | failure | of this life and this number | | one less in flight, the next number, a delay from now |
//! | failure | of this life, a lower number | | one less in flight |
//! | give back | of this life, not healthy | | one less in flight |
//! | any report | of an earlier life, or with none in flight and not healthy | | – |
//! | reset | | | unproven, next life |
//! | stop | | | stopped, for ever |
//!
//! # Invariants
//!
//! - **I1** At most P are in flight, of one life, unless it is healthy.
//! - **I2** A report of an earlier life changes nothing, nor does one while nothing is in flight that
//!   could be reported on. Whoever holds a grant reports it once at most.
//! - **I3** Failures of attempts of one number escalate once, however many they are.
//! - **I4** Nobody is ever told to wait longer than the delay. On a clock that has stepped back to
//!   before the failure, the delay begins again when somebody looks first: all in all nobody waits
//!   longer than three delays, if he asks again. Somebody who is merely late with the time that he saw shortens nothing
//!   for others: the next who is not tells.

use core::time::Duration;

use steadfast_core::Instant;

use crate::growth::Grow;
use crate::policy::Policy;
use crate::random::Rng;

/// What a shared backoff is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms<G> {
    /// The delays, and when they end.
    pub policy: Policy<G>,
    /// P: how many attempts may be in flight while it is not known to be healthy.
    pub max_in_flight: u32,
    /// How long it has to be healthy to begin again from the first delay.
    pub reset_after: Duration,
}

/// Whether what is attempted is known to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody knows.
    Unproven,
    /// The last report was a success.
    Healthy {
        /// Since then.
        since: Instant,
    },
    /// The last report was a failure.
    BackingOff,
}

/// A grant, to be reported on once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    pub(crate) number: u32,
    life: u64,
}

impl Pass {
    /// The attempt's number, from 0.
    pub const fn number(self) -> u32 {
        self.number
    }
}

/// What becomes of somebody who wants to begin an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead, and report.
    Granted(Pass),
    /// The delay is not over.
    NotYet {
        /// The first instant at which it will be.
        at: Instant,
    },
    /// As many as may be are in flight.
    Busy,
    /// Never: it has failed too often or for too long.
    Exhausted {
        /// How many attempts failed in a row.
        failures: u32,
    },
    /// Never: it was stopped.
    Stopped,
}

/// Who may proceed after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "those who wait have to be told"]
pub enum Wake {
    /// Nobody who could not before.
    Nobody,
    /// The first in line has to look again.
    First,
    /// Everybody.
    All,
}

/// What the delay depends on that a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// The number of the attempt that failed.
    number: u32,
    /// The delay before it.
    previous: Option<Duration>,
}

impl Escalation {
    /// Draws the delay.
    pub fn delay<G: Grow>(self, policy: &Policy<G>, rng: &mut impl Rng) -> Duration {
        policy.delay_after(self.number, self.previous, rng)
    }
}

/// A shared backoff as a value.
///
/// It reads no clock and touches no atomic; complete by itself for a single owner.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_backoff::Config;
/// use steadfast_backoff::state::{Decision, State, Terms};
/// use steadfast_core::Instant;
///
/// let policy = Config::exponential(Duration::from_secs(1)).build()?;
/// let terms = Terms { policy, max_in_flight: 1, reset_after: Duration::ZERO };
/// let mut state = State::new();
/// let at = |secs| Instant::ZERO.saturating_add(Duration::from_secs(secs));
///
/// let Decision::Granted(pass) = state.begin(&terms, at(5)) else { panic!() };
/// assert_eq!(state.begin(&terms, at(5)), Decision::Busy);
/// let _wake = state.failure(&terms, pass, at(6), &mut || 0);
/// assert_eq!(state.begin(&terms, at(6)), Decision::NotYet { at: at(7) });
/// # Ok::<(), steadfast_backoff::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    phase: Phase,
    /// Failures in a row: the number of the next attempt.
    number: u32,
    /// When the last failure that escalated was reported, and the delay since then.
    failed_at: Instant,
    delay: Duration,
    /// The earliest time seen since then, if it is earlier: the clock has stepped back, or somebody
    /// was held up between looking at it and asking. The first time that is not earlier clears it.
    behind: Option<Instant>,
    /// The delay that the policy drew last.
    previous: Option<Duration>,
    /// When the first failure in a row was reported.
    failing_since: Instant,
    out_of_time: bool,
    in_flight: u32,
    life: u64,
    stopped: bool,
    occupied: bool,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Nothing attempted yet.
    pub const fn new() -> Self {
        Self {
            phase: Phase::Unproven,
            number: 0,
            failed_at: Instant::ZERO,
            delay: Duration::ZERO,
            behind: None,
            previous: None,
            failing_since: Instant::ZERO,
            out_of_time: false,
            in_flight: 0,
            life: 0,
            stopped: false,
            occupied: false,
        }
    }

    /// Whether an attempt may begin now. If so it is in flight until it is reported on.
    pub fn begin<G>(&mut self, terms: &Terms<G>, now: Instant) -> Decision {
        let decision = self.look(terms, 0, now);
        if let Decision::Granted(_) = decision {
            if !self.is_healthy() {
                // OK: below the limit, by `look`.
                self.in_flight += 1;
            }
        }
        self.invariants(terms);
        decision
    }

    /// What [`begin`](State::begin) would say to one behind `ahead` others that are to begin.
    ///
    /// The state changes only if the clock seems to have stepped back (I4).
    pub fn look<G>(&mut self, terms: &Terms<G>, ahead: u64, now: Instant) -> Decision {
        if let Some(never) = self.never(terms) {
            return never;
        }
        let granted =
            Decision::Granted(Pass { number: self.number_at(terms, now), life: self.life });
        if self.is_healthy() {
            return granted;
        }
        let at = self.over_at(now);
        if now < at {
            // However many are ahead.
            return Decision::NotYet { at };
        }
        if u64::from(terms.max_in_flight.saturating_sub(self.in_flight)) <= ahead {
            return Decision::Busy;
        }
        granted
    }

    /// The refusal of everybody, at any time, if it is one.
    pub fn never<G>(&self, terms: &Terms<G>) -> Option<Decision> {
        if self.stopped {
            return Some(Decision::Stopped);
        }
        self.is_exhausted(terms).then_some(Decision::Exhausted { failures: self.number })
    }

    /// It worked: no delay any more, for anybody.
    pub fn success<G>(&mut self, terms: &Terms<G>, pass: Pass, now: Instant) -> Wake {
        if pass.life != self.life || self.in_flight == 0 {
            return Wake::Nobody;
        }
        let number = if terms.reset_after.is_zero() { 0 } else { self.number };
        *self = Self {
            phase: Phase::Healthy { since: now },
            number,
            previous: self.previous.filter(|_| number > 0),
            failing_since: self.failing_since,
            life: self.next_life(),
            stopped: self.stopped,
            occupied: self.occupied,
            ..Self::new()
        };
        Wake::All
    }

    /// It failed: the next attempt comes after the next delay.
    pub fn failure<G: Grow>(
        &mut self,
        terms: &Terms<G>,
        pass: Pass,
        now: Instant,
        rng: &mut impl Rng,
    ) -> Wake {
        let delay = self.escalation(terms, pass, now).map(|next| next.delay(&terms.policy, rng));
        self.failure_with(terms, pass, now, delay.unwrap_or_default())
    }

    /// What a [`failure`](State::failure) would escalate to, if it would.
    ///
    /// With [`failure_with`](State::failure_with) it makes a failure in two steps, so that the
    /// policy, which may run code of somebody else's, is asked in between with no lock held.
    pub fn escalation<G>(&self, terms: &Terms<G>, pass: Pass, now: Instant) -> Option<Escalation> {
        if pass.life != self.life {
            return None;
        }
        if !self.is_healthy() && (self.in_flight == 0 || pass.number != self.number) {
            return None;
        }
        let number = self.number_at(terms, now);
        Some(Escalation { number, previous: self.previous.filter(|_| number > 0) })
    }

    /// [`failure`](State::failure) with a delay that was drawn before, in case it escalates.
    pub fn failure_with<G>(
        &mut self,
        terms: &Terms<G>,
        pass: Pass,
        now: Instant,
        delay: Duration,
    ) -> Wake {
        let Some(Escalation { number, .. }) = self.escalation(terms, pass, now) else {
            return self.give_back(pass);
        };
        if self.is_healthy() {
            self.life = self.next_life();
        } else {
            // OK: this one is in flight, or it would not escalate.
            self.in_flight -= 1;
        }
        // After a step back what had passed is forgotten.
        self.failing_since = if number == 0 { now } else { self.failing_since.min(now) };
        self.phase = Phase::BackingOff;
        self.number = number.saturating_add(1);
        (self.failed_at, self.delay, self.behind) = (now, delay, None);
        self.previous = Some(delay);
        self.out_of_time = terms
            .policy
            .max_elapsed
            .is_some_and(|most| self.next_at() >= self.failing_since.saturating_add(most));
        self.invariants(terms);
        if self.is_exhausted(terms) { Wake::All } else { Wake::First }
    }

    /// It came to nothing: neither a success nor a failure.
    pub fn give_back(&mut self, pass: Pass) -> Wake {
        if pass.life != self.life || self.is_healthy() {
            return Wake::Nobody;
        }
        let Some(others) = self.in_flight.checked_sub(1) else { return Wake::Nobody };
        self.in_flight = others;
        Wake::First
    }

    /// Begins anew, as if nothing had been attempted. What is in flight is forgotten.
    pub const fn reset(&mut self) -> Wake {
        *self = Self {
            life: self.next_life(),
            stopped: self.stopped,
            occupied: self.occupied,
            ..Self::new()
        };
        // There is room for P; whoever goes calls the next.
        Wake::First
    }

    /// Refuses everybody from now on.
    pub fn stop(&mut self) -> Wake {
        self.stopped = true;
        Wake::All
    }

    /// Whether it was stopped.
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether it works, as far as is known.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The number that an attempt would have now.
    pub fn number_at<G>(&self, terms: &Terms<G>, now: Instant) -> u32 {
        match self.phase {
            Phase::Healthy { since }
                if now.saturating_duration_since(since) >= terms.reset_after =>
            {
                0
            }
            _ => self.number,
        }
    }

    /// The instant at which the delay is over; that of the last delay, if it is over.
    pub const fn next_at(&self) -> Instant {
        self.failed_at.saturating_add(self.delay)
    }

    /// I4: the instant at which the delay is over for somebody who sees this time.
    fn over_at(&mut self, now: Instant) -> Instant {
        let begun = if now < self.failed_at {
            *self.behind.insert(self.behind.map_or(now, |behind| behind.min(now)))
        } else {
            self.behind = None;
            self.failed_at
        };
        begun.saturating_add(self.delay)
    }

    /// How many attempts are in flight; 0 while it is healthy, when they are not counted.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Whether a line waits, and newcomers may not overtake it.
    pub const fn is_occupied(&self) -> bool {
        self.occupied
    }

    /// Says whether a line waits.
    pub const fn set_occupied(&mut self, occupied: bool) {
        self.occupied = occupied;
    }

    const fn is_healthy(&self) -> bool {
        matches!(self.phase, Phase::Healthy { .. })
    }

    fn is_exhausted<G>(&self, terms: &Terms<G>) -> bool {
        let too_many = terms.policy.max_retries.is_some_and(|most| self.number > most);
        matches!(self.phase, Phase::BackingOff) && (too_many || self.out_of_time)
    }

    const fn next_life(&self) -> u64 {
        // OK: at one a nanosecond it lasts 584 years; a life is only ever compared.
        self.life.wrapping_add(1)
    }

    fn invariants<G>(&self, terms: &Terms<G>) {
        debug_assert!(self.in_flight <= terms.max_in_flight, "I1");
        debug_assert!(!self.is_healthy() || self.in_flight == 0, "I1");
    }
}
