//! Half-open: probes, their results, and what comes of them.

use core::time::Duration;

use steadfast_core::{Instant, Step};

use super::control::{Control, Kind, Verdict};
use super::stamp::Lease;
use super::{Effects, Memory, Outcome, Pass, Reason, State, Trip, Wake, Word};

impl<M: Memory> State<M> {
    /// From open to half-open, with the first probe.
    pub(super) fn half_open(
        &self,
        life: u32,
        in_turn: bool,
        now: Instant,
    ) -> Option<(Pass, Effects)> {
        // RACE: others may be as early; one of them begins the life, the others come after. Model:
        // `break_ends_once`.
        let effects = self.change(Reason::BreakOver, now, |control| {
            let may = control.life() == life && (in_turn || !control.is_occupied());
            may.then(|| control.next(Kind::HalfOpen).with_probe())
        });
        let life = effects.change?.life;
        // It is the first in line who asks, or nobody waits.
        Some((self.probe(life, now), Effects { wake: Wake::Nobody, ..effects }))
    }

    /// One more probe, or one in the place of one that has not reported in time.
    pub(super) fn begin_probe(&self, life: u32, in_turn: bool, now: Instant) -> Option<Pass> {
        let counted = self.words.control.update(|word| {
            let control = Control(word);
            let may = control.life() == life
                && control.in_flight() < self.terms.probes
                && (in_turn || !control.is_occupied());
            if may { Step::Replace(control.with_probe().0, true) } else { Step::Keep(false) }
        });
        if counted {
            return Some(self.probe(life, now));
        }
        let lease = self.leases().take_over(&self.terms, life, now)?;
        Some(Pass::new(life, now).with_lease(lease))
    }

    /// The pass of a probe that has been counted.
    fn probe(&self, life: u32, now: Instant) -> Pass {
        let until = now.saturating_add(self.terms.probe_timeout);
        let is_over = || self.control().life() != life;
        let lease = self.leases().take(life, until, is_over);
        // Without a lease its life is over already, and nothing that it reports will count.
        let pass = Pass::new(life, now);
        lease.map_or(pass, |lease| pass.with_lease(lease))
    }

    pub(super) fn report_probe(
        &self,
        pass: Pass,
        lease: Lease,
        outcome: Outcome,
        now: Instant,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Effects {
        let until = pass.began.saturating_add(self.terms.probe_timeout);
        if !self.leases().give_back(pass.life(), lease, until) {
            return Effects::NONE;
        }
        let retry_after = match outcome {
            Outcome::Failure { retry_after } => retry_after,
            Outcome::Success | Outcome::Ignored => None,
        };
        let ignored = outcome == Outcome::Ignored || now >= until;
        let success = outcome == Outcome::Success && !self.is_slow(&pass, now);
        let is_mine =
            |control: Control| control.life() == pass.life() && control.kind() == Kind::HalfOpen;
        let mut duration = None;
        let mut breaks = Some(breaks);
        loop {
            // RACE: a reset, a force or other probes may end the life first. Model:
            // `drop_and_success_and_force_keep_the_count`.
            let ended = self.words.control.update(|word| {
                let control = Control(word);
                if !is_mine(control) {
                    return Step::Keep(Ended::Before);
                }
                let verdict = if ignored {
                    Verdict::Undecided(control.without_probe())
                } else {
                    control.judge(success, self.terms.closing)
                };
                let next = match verdict {
                    Verdict::Undecided(next) => return Step::Replace(next.0, Ended::Not),
                    Verdict::Close => self.closed_after(control),
                    Verdict::Reopen if duration.is_none() => {
                        return Step::Keep(Ended::Asking(control.trips()));
                    }
                    Verdict::Reopen => control.next(Kind::Open).with_trips(control.trips() + 1),
                };
                Step::Replace(next.0, Ended::Now(control, next))
            });
            match ended {
                Ended::Before => return Effects::NONE,
                Ended::Not => return Effects { wake: Wake::First, change: None },
                // It may run code of somebody else's. If that panics the probe is still counted as in
                // flight, and nobody holds its place: see `Restored`.
                Ended::Asking(number) => {
                    let Some(breaks) = breaks.take() else { return Effects::NONE };
                    let restored = Restored { state: self, life: pass.life() };
                    duration = Some(self.break_of(number, retry_after, breaks));
                    core::mem::forget(restored);
                }
                Ended::Now(from, to) => match duration {
                    Some(duration) if to.kind() == Kind::Open => {
                        return self.opened(from, to, Reason::ProbesFailed, duration, now);
                    }
                    _ => {
                        self.began(to.life(), now);
                        return Effects::of(from, to, Reason::ProbesSucceeded, now);
                    }
                },
            }
        }
    }

    /// The life that begins when enough probes succeeded.
    fn closed_after(&self, control: Control) -> Control {
        let kind = if self.terms.ramp.is_some() { Kind::Ramping } else { Kind::Closed };
        let trips = if self.terms.reset_after.is_zero() { 0 } else { control.trips() };
        control.next(kind).with_trips(trips)
    }
}

/// What became of the life of a probe that reported.
enum Ended {
    /// It was over before.
    Before,
    /// It goes on.
    Not,
    /// It would end, for as long as that trip's break is.
    Asking(u32),
    Now(Control, Control),
}

/// A probe that has given its place back and is still counted: not any more, if it is dropped.
struct Restored<'a, M: Memory> {
    state: &'a State<M>,
    life: u32,
}

impl<M: Memory> Drop for Restored<'_, M> {
    fn drop(&mut self) {
        self.state.words.control.update(|word| match Control(word) {
            control if control.life() == self.life => Step::Replace(control.without_probe().0, ()),
            _ => Step::Keep(()),
        });
    }
}
