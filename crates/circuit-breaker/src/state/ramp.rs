//! After closing: a share of the calls that grows.
//!
//! ```text
//!  63          38 37           30 29                                   0
//! ┌──────────────┬───────────────┬──────────────────────────────────────┐
//! │ life         │ waiters       │ share, in billionths of a call       │
//! └──────────────┴───────────────┴──────────────────────────────────────┘
//! ```
//!
//! - *share*: each call that asks adds the share of that moment; when the sum is a whole call, the call
//!   is admitted. So out of any number of calls exactly their share is, wherever they come from. (A
//!   refusal writes, here alone: whoever refuses every other call has to remember the last one.)
//! - *waiters*: how many of those who wait were let through.

use core::time::Duration;

use steadfast_core::{Instant, Step, saturating_u64};

use super::control::Control;
use super::word::Field;
use super::{Decision, Effects, MAX_STEP_BACK, Memory, State, WHOLE, Wake, Word};

/// How many who wait are let through during a ramp-up.
const RAMP_STEPS: u64 = 100;

const RAMP_SHARE: Field = Field::lowest(30);
const RAMP_WAITERS: Field = RAMP_SHARE.above(8);
pub(super) const RAMP_LIFE: Field = RAMP_WAITERS.above(26);

/// From a share in billionths to all, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ramp {
    pub(crate) parts: u32,
    pub(crate) over_ns: u64,
}

impl Ramp {
    /// The share at `now`, in billionths; `None` if it is over, also because the clock has stepped
    /// back to long before it began.
    pub(super) fn share(self, since: Instant, now: Instant) -> Option<u64> {
        if now.saturating_add(MAX_STEP_BACK) < since {
            return None;
        }
        let elapsed = now.as_nanos().saturating_sub(since.as_nanos());
        if elapsed >= self.over_ns {
            return None;
        }
        let parts = u64::from(self.parts);
        let grown = u128::from(WHOLE - parts) * u128::from(elapsed) / u128::from(self.over_ns);
        Some(parts + saturating_u64(grown))
    }

    /// When a waiter is let through after so many others.
    fn turn(self, since: Instant, before: u64) -> Instant {
        let step = (self.over_ns / RAMP_STEPS).max(1);
        since.saturating_add(Duration::from_nanos(step.saturating_mul(before)))
    }

    fn end(self, since: Instant) -> Instant {
        since.saturating_add(Duration::from_nanos(self.over_ns))
    }
}

impl<M: Memory> State<M> {
    /// A newcomer by the share, the first in line by its turn.
    /// `None` if the life is over.
    pub(super) fn begin_ramping(
        &self,
        life: u32,
        in_turn: bool,
        now: Instant,
    ) -> Option<(Decision, Effects)> {
        let pass = Decision::Granted(self.pass(life, || now));
        let since = self.ramp_since(life, now);
        let Some(share) = self.share(life, now) else {
            let over = self.words.control.update(|word| match Control(word) {
                control if control.life() == life => Step::Replace(control.ramped_up().0, true),
                _ => Step::Keep(false),
            });
            // Those who wait may be told of a time that has become a later one.
            return over.then_some((pass, Effects { wake: Wake::All, change: None }));
        };
        let until = self.terms.ramp.map_or(now, |ramp| ramp.end(since));
        let admitted = self.words.ramp.update(|word| {
            let mine = RAMP_LIFE.of32(word) == life;
            // The first who asks is admitted.
            let fresh = RAMP_SHARE.set(RAMP_LIFE.set(0, life.into()), WHOLE - share);
            // RACE: looked at after the word, so that a word of a later life is left alone. Model:
            // `late_asker_leaves_the_ramp_of_the_next_life_alone`.
            if !mine && self.control().life() != life {
                return Step::Keep(None);
            }
            let word = if mine { word } else { fresh };
            if in_turn {
                let waiters = RAMP_WAITERS.of(word);
                if now < self.ramp_turn(since, waiters, now) {
                    return Step::Keep(Some(false));
                }
                let more = (waiters + 1).min(RAMP_WAITERS.max());
                return Step::Replace(RAMP_WAITERS.set(word, more), Some(true));
            }
            let sum = RAMP_SHARE.of(word) + share;
            let admitted = sum >= WHOLE;
            let rest = if admitted { sum - WHOLE } else { sum };
            Step::Replace(RAMP_SHARE.set(word, rest), Some(admitted))
        });
        let decision = if admitted? { pass } else { Decision::RampingUp { until } };
        Some((decision, Effects::NONE))
    }

    /// The share of a life that ramps up; `None` if that is over.
    pub(super) fn share(&self, life: u32, now: Instant) -> Option<u64> {
        self.terms.ramp.and_then(|ramp| ramp.share(self.ramp_since(life, now), now))
    }

    fn ramp_since(&self, life: u32, now: Instant) -> Instant {
        // Not known yet: it begins at this moment.
        self.since().read(life).unwrap_or(now)
    }

    pub(super) fn ramp_waiters(&self, life: u32) -> u64 {
        let word = self.words.ramp.load();
        if RAMP_LIFE.of32(word) == life { RAMP_WAITERS.of(word) } else { 0 }
    }

    /// When a waiter is let through after so many others.
    pub(super) fn ramp_turn(&self, since: Instant, before: u64, now: Instant) -> Instant {
        match self.terms.ramp {
            Some(ramp) if ramp.share(since, now).is_some() => ramp.turn(since, before),
            _ => now,
        }
    }
}
