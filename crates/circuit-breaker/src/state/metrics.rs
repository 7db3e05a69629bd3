//! A look at everything at once.

use core::time::Duration;

use steadfast_core::Instant;

use super::{Memory, Phase, Rule, Span, State, Subject, TRIES, WHOLE};

/// How many calls there are in a window, and how many of them were bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that were counted.
    pub calls: u64,
    /// Those that failed, or were slow.
    pub bad: u64,
}

impl Tally {
    /// The share of bad calls, from 0 to 1; `None` without calls.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rate(self) -> Option<f64> {
        (self.calls > 0).then(|| self.bad as f64 / self.calls as f64)
    }
}

/// What a breaker looks like at one moment.
///
/// All of it is of one life. Each tally is of one moment; those of different windows may be a call
/// apart that is being counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// The phase, as the next call will find it.
    pub phase: Phase,
    /// The number of this life: one more with every change of the phase.
    pub life: u32,
    /// Since when; `None` if nothing has changed yet.
    pub since: Option<Instant>,
    /// For how long.
    pub age: Option<Duration>,
    /// When an open breaker admits the next probe.
    pub next_probe_at: Option<Instant>,
    /// The share of calls that is admitted, in billionths.
    pub admitted_parts: u32,
    /// Failures in a row, if there is such a rule; 0 if not.
    pub consecutive_failures: u32,
    /// Failures among the last calls, if there is such a rule.
    pub failures_by_calls: Option<Tally>,
    /// Failures in the last time, if there is such a rule.
    pub failures_by_time: Option<Tally>,
    /// Slow calls among the last calls, if there is such a rule.
    pub slow_by_calls: Option<Tally>,
    /// Slow calls in the last time, if there is such a rule.
    pub slow_by_time: Option<Tally>,
    /// Probes in flight.
    pub probes_in_flight: u32,
    /// Probes that succeeded.
    pub probes_succeeded: u32,
    /// Probes that failed.
    pub probes_failed: u32,
    /// How often it opened in a row, at most 1,023.
    pub consecutive_trips: u32,
    /// How often it opened in all.
    pub trips: u64,
    /// Calls permitted and rejected, if they are [counted](crate::Config::counted).
    pub counted: Option<Counted>,
}

/// Calls that were permitted, and calls that were rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Permitted.
    pub permitted: u64,
    /// Rejected.
    pub rejected: u64,
}

impl<M: Memory> State<M> {
    /// What it looks like at `now`. Looking changes nothing.
    pub fn metrics(&self, now: Instant) -> Metrics {
        let mut tries = 0;
        loop {
            let control = self.control();
            let metrics = self.metrics_of(now);
            tries += 1;
            // RACE: it may have changed in between. Model: `metrics_are_of_one_life`.
            let same = self.control().with_occupied(false) == control.with_occupied(false);
            if same || tries == TRIES {
                return metrics;
            }
        }
    }

    fn metrics_of(&self, now: Instant) -> Metrics {
        let control = self.control();
        let life = control.life();
        let phase = control.kind().phase();
        let is_half_open = phase == Phase::HalfOpen;
        let of_probes = |count: u32| if is_half_open { count } else { 0 };
        let since = self.since().read(life);
        let until = (phase == Phase::Open).then(|| self.until().read(life)).flatten();
        let [failures_by_calls, failures_by_time, slow_by_calls, slow_by_time] =
            self.tallies(life, now);
        Metrics {
            phase: if until.is_some_and(|at| now >= at) { Phase::HalfOpen } else { phase },
            life,
            since,
            age: since.map(|since| now.saturating_duration_since(since)),
            next_probe_at: until,
            admitted_parts: self.admitted_parts(phase, control.kind(), since, now),
            consecutive_failures: if is_half_open { 0 } else { control.row() },
            failures_by_calls,
            failures_by_time,
            slow_by_calls,
            slow_by_time,
            probes_in_flight: of_probes(control.in_flight()),
            probes_succeeded: of_probes(control.successes()),
            probes_failed: of_probes(control.failures()),
            consecutive_trips: control.trips(),
            trips: self.trips(),
            counted: None,
        }
    }

    pub(super) fn tallies(&self, life: u32, now: Instant) -> [Option<Tally>; 4] {
        let mut tallies = [None; 4];
        for rule in self.terms().rules() {
            let (calls, bad) = match rule.span {
                Span::Calls { .. } => self.calls(rule, life).map(|calls| calls.tally()),
                Span::Time { .. } => self.slices(rule, life).map(|slices| slices.tally(now)),
            }
            .unwrap_or_default();
            tallies[index_of(rule)] = Some(Tally { calls, bad });
        }
        tallies
    }

    fn admitted_parts(
        &self,
        phase: Phase,
        kind: super::Kind,
        since: Option<Instant>,
        now: Instant,
    ) -> u32 {
        let share = match (phase, kind, self.terms().ramp) {
            (_, super::Kind::Ramping, Some(ramp)) => {
                ramp.share(since.unwrap_or(now), now).unwrap_or(WHOLE)
            }
            (Phase::Closed | Phase::ForcedClosed, ..) => WHOLE,
            _ => 0,
        };
        // OK: at most a billion.
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

fn index_of(rule: &Rule) -> usize {
    let by_time = matches!(rule.span, Span::Time { .. });
    usize::from(by_time) + if rule.subject == Subject::Slow { 2 } else { 0 }
}
