//! What a circuit breaker does with calls.

mod config;
mod figure;
mod made;

use std::time::Duration;

use steadfast_circuit_breaker::{Change, CircuitBreaker, Outcome as Reported, Phase, Reason};
use steadfast_core::{Instant, ManualClock};

pub use self::config::{Options, Window};

use self::config::SLOW;
use crate::error::Error;
use crate::quantity::{count, duration, part};
use crate::report::{List, Report};
use crate::source::Source;
use crate::timeline::{Merge, Timeline, seconds};
use crate::trace::{FIRST, Outcome, Use, Wanted};

/// How many trips are listed.
const LISTED: usize = 10;

#[derive(Debug, Default)]
struct Bin {
    calls: u64,
    admitted: u64,
    /// Those of them that were neither a success nor a failure, and then the successes.
    ignored: u64,
    succeeded: u64,
    open: Duration,
    half_open: Duration,
}

impl Merge for Bin {
    fn merge(&mut self, later: Self) {
        self.calls += later.calls;
        self.admitted += later.admitted;
        self.ignored += later.ignored;
        self.succeeded += later.succeeded;
        self.open += later.open;
        self.half_open += later.half_open;
    }
}

#[derive(Debug, Default)]
struct Tally {
    calls: u64,
    failures: u64,
    ignored: u64,
    /// All that were not admitted, and those of them that would have failed, and worked.
    rejected: u64,
    saved: u64,
    lost: u64,
    /// From closed, and from half-open.
    trips: u64,
    reopened: u64,
    open: Duration,
    half_open: Duration,
    listed: Vec<Trip>,
    unlisted: u64,
}

/// Until it closed again, with all breaks between.
#[derive(Debug)]
struct Trip {
    at: Instant,
    reason: Reason,
    breaks: u64,
    until: Option<Instant>,
}

impl Tally {
    fn change(&mut self, change: Change) {
        let current = if self.unlisted == 0 { self.listed.last_mut() } else { None };
        match (change.from, change.to) {
            (Phase::Closed, Phase::Open) => {
                self.trips += 1;
                if self.listed.len() < LISTED {
                    let Change { at, reason, .. } = change;
                    self.listed.push(Trip { at, reason, breaks: 1, until: None });
                } else {
                    self.unlisted += 1;
                }
            }
            (_, Phase::Open) => {
                self.reopened += 1;
                if let Some(trip) = current {
                    trip.breaks += 1;
                }
            }
            (_, Phase::Closed) => {
                if let Some(trip) = current {
                    trip.until = Some(change.at);
                }
            }
            _ => {}
        }
    }
}

impl Options {
    /// Makes the calls of the traffic.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker, or the trace cannot be opened.
    pub fn run(&self) -> Result<Report, Error> {
        let clock = ManualClock::starting_at(FIRST);
        let breaker = self.config().build_seeded(clock.clone(), self.seed)?;
        let mut changes = breaker.changes();
        let wanted = Wanted { outcome: Use::Needed, ..Wanted::default() };
        let mut source = Source::open(&self.trace, wanted, || self.made())?;
        let length = (!source.is_trace()).then_some(self.duration);
        let mut timeline = Timeline::<Bin>::new(length);
        let mut tally = Tally::default();
        let mut last = FIRST;
        for event in &mut source {
            let now = event.at;
            spend(&mut timeline, &mut tally, &breaker, last, now);
            clock.set_now(now);
            let outcome = event.outcome.unwrap_or(Outcome::Ignored);
            let admitted = call(&breaker, outcome, now);
            let (fails, works) = (outcome == Outcome::Failure, works(outcome));
            tally.calls += 1;
            tally.failures += u64::from(fails);
            tally.ignored += u64::from(outcome == Outcome::Ignored);
            tally.rejected += u64::from(!admitted);
            tally.saved += u64::from(fails && !admitted);
            tally.lost += u64::from(works && !admitted);
            let bin = timeline.at(now);
            bin.calls += 1;
            bin.admitted += u64::from(admitted);
            bin.ignored += u64::from(admitted && !fails && !works);
            bin.succeeded += u64::from(admitted && works);
            while let Some(observed) = changes.try_next() {
                tally.change(observed.change);
            }
            last = last.max(now);
        }
        if let Some(length) = length {
            let end = FIRST.saturating_add(length);
            spend(&mut timeline, &mut tally, &breaker, last, end);
            timeline.extend(end);
            last = last.max(end);
        }
        let mut report = self.report(&tally, last);
        report.figure = Some(figure::figure(report.empty_figure(), &timeline, &tally));
        source.account(&mut report)?;
        Ok(report)
    }

    fn report(&self, tally: &Tally, last: Instant) -> Report {
        let mut report = Report::new(self.title(), self.note());
        let Tally { calls, failures, ignored, rejected, saved, lost, .. } = tally;
        let over = last.saturating_duration_since(FIRST);
        report.row("over", duration(over));
        report.row("calls", count(*calls));
        report.row("of these, failures", part(*failures, *calls));
        if *ignored > 0 {
            report.row("of these, ignored", part(*ignored, *calls));
        }
        report.row("rejected", part(*rejected, *calls));
        report.row("failures saved", part(*saved, *failures));
        report.row("successes lost", part(*lost, calls - failures - ignored));
        report.row("trips", count(tally.trips));
        report.row("opened again by a probe", count(tally.reopened));
        let share = |time: Duration| {
            let percent = 100.0 * time.as_secs_f64() / over.as_secs_f64().max(1e-9);
            format!("{}  ({percent:.1} %)", duration(time))
        };
        report.row("time open", share(tally.open));
        report.row("time half-open", share(tally.half_open));
        if !tally.listed.is_empty() {
            let head = ["trip", "after", "because of", "breaks", "closed after"];
            let rows = tally.listed.iter().zip(1..).map(|(trip, number)| {
                let after = |at: Instant| duration(Duration::from_secs_f64(seconds(at)));
                let closed = trip.until.map_or("not yet".to_owned(), after);
                let reason = words(trip.reason).to_owned();
                vec![number.to_string(), after(trip.at), reason, count(trip.breaks), closed]
            });
            let head = head.map(str::to_owned).to_vec();
            report.lists.push(List { head, rows: rows.collect() });
        }
        if tally.unlisted > 0 {
            report.row("trips that are not listed", count(tally.unlisted));
        }
        report
    }
}

fn works(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Success | Outcome::Slow)
}

/// One call, that takes no time unless it is slow; says whether it was admitted.
fn call(breaker: &CircuitBreaker<ManualClock>, outcome: Outcome, now: Instant) -> bool {
    let Ok(permit) = breaker.try_acquire() else { return false };
    match outcome {
        Outcome::Success => permit.success(),
        Outcome::Failure => permit.failure(),
        Outcome::Ignored => permit.ignore(),
        Outcome::Slow => permit.report_at(Reported::Success, now.saturating_add(SLOW)),
    }
    true
}

/// Counts the time from one call to the next. In that nothing happens but that a break ends: from then on the
/// breaker is half-open, as the next call finds it.
fn spend(
    timeline: &mut Timeline<Bin>,
    tally: &mut Tally,
    breaker: &CircuitBreaker<ManualClock>,
    from: Instant,
    to: Instant,
) {
    let phase = breaker.phase_at(from);
    let open_until = match phase {
        Phase::Open => breaker.metrics_at(from).next_probe_at.map_or(to, |probe| probe.min(to)),
        _ => from,
    };
    tally.open += open_until.saturating_duration_since(from);
    timeline.between(from, open_until, |bin, part| bin.open += part);
    if matches!(phase, Phase::Open | Phase::HalfOpen) {
        tally.half_open += to.saturating_duration_since(open_until);
        timeline.between(open_until, to, |bin, part| bin.half_open += part);
    }
}

const fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::ConsecutiveFailures => "failures in a row",
        Reason::FailureRateByCalls => "the failures of the last calls",
        Reason::FailureRateByTime => "the failures of the last time",
        Reason::SlowRateByCalls => "the slow ones of the last calls",
        Reason::SlowRateByTime => "the slow ones of the last time",
        Reason::ClockSteppedBack => "a time that stepped back",
        _ => "something else",
    }
}
