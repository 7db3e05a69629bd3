//! The table at the end: what went wrong on purpose, what the client made of it, and what was promised.

use std::fmt;
use std::time::Duration;

use steadfast::token_bucket::Stats;

use crate::checks::{Check, Evidence, Verdict};
use crate::client::{Client, Kind, Outcome};
use crate::downtime::Downtime;
use crate::publisher::Asked;
use crate::subscriber::Delivered;
use crate::text::{millis, per_second, ratio, thousands};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    client: &'a Client,
    elapsed: Duration,
    downtime: &'a Downtime,
    asked: Asked,
    delivered: &'a Delivered,
    trading: Trading,
    evidence: &'a Evidence,
    checks: Vec<Check>,
    stats: Stats,
    threads: Tally,
    tasks: Tally,
    all: Tally,
}

/// Messages about trades, and those that were left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trading {
    pub(crate) messages: u64,
    pub(crate) left_out: u64,
}

/// Workers taken together.
#[derive(Debug, Default)]
struct Tally {
    quoted: u64,
    reconnects: u64,
    /// In order of length.
    waits: Vec<Duration>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        client: &'a Client,
        elapsed: Duration,
        downtime: &'a Downtime,
        asked: Asked,
        delivered: &'a Delivered,
        trading: Trading,
        evidence: &'a Evidence,
    ) -> Self {
        let outcomes = client.outcomes();
        Self {
            client,
            elapsed,
            downtime,
            asked,
            delivered,
            trading,
            evidence,
            checks: evidence.checks(),
            stats: client.bucket.stats(),
            threads: Tally::of(&outcomes, &[Kind::Thread]),
            tasks: Tally::of(&outcomes, &[Kind::Task]),
            all: Tally::of(&outcomes, &[Kind::Thread, Kind::Task]),
        }
    }

    /// Whether everything was as promised.
    pub(crate) fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.verdict != Verdict::Broken)
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence { planned, done, .. } = self.evidence;
        writeln!(f, "{:<22}{:>12}{:>12}", "fault", "planned", "done")?;
        for ((name, planned), (_, done)) in planned.rows().into_iter().zip(done.rows()) {
            writeln!(f, "{name:<22}{:>12}{:>12}", thousands(planned), thousands(done))?;
        }
        Ok(())
    }

    fn workers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [&self.threads, &self.tasks, &self.all];
        let mut row = |name: &str, cells: [String; 3]| {
            let [threads, tasks, all] = cells;
            writeln!(f, "{name:<22}{threads:>12}{tasks:>12}{all:>12}")
        };
        row("client", ["threads", "tasks", "all"].map(str::to_owned))?;
        row("quotes", columns.map(|tally| thousands(tally.quoted)))?;
        row("reconnects", columns.map(|tally| thousands(tally.reconnects)))?;
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            row(&format!("wait {name}"), columns.map(|tally| tally.wait(percent)))?;
        }
        Ok(())
    }

    /// What each primitive did.
    fn primitives(&self) -> [(&'static str, String); 8] {
        let Self { client, asked, delivered, trading, .. } = self;
        let past = &self.evidence.seen.past;
        let there = self.elapsed.saturating_sub(past.away + past.unwell);
        let waits = self.stats.line;
        let down = self.downtime.total();
        let margin = &client.margin;
        let possible = u128::from(margin.rate) * down.as_nanos() / client.quota.window.as_nanos();
        let saved = possible.saturating_sub(past.busy.into());
        [
            (
                "token bucket",
                format!(
                    "{}/s while the server was well: {} % of its rate, {} % of the quota",
                    per_second(self.all.quoted, there),
                    self.share_of(margin.rate, there),
                    self.share_of(client.quota.limit, there),
                ),
            ),
            (
                "",
                format!(
                    "waited for {} times, at most {}; {} wake-ups a grant",
                    thousands(waits.waited),
                    millis(waits.longest_wait),
                    ratio(waits.wake_ups.into(), waits.waited.into(), 2),
                ),
            ),
            (
                "circuit breaker",
                format!(
                    "{} trips, down for {} of {} that the server was not well",
                    thousands(self.downtime.trips()),
                    millis(down),
                    millis(past.unwell),
                ),
            ),
            (
                "",
                format!(
                    "{} requests in vain, {} saved; back at most {} after it was well again",
                    thousands(past.busy),
                    thousands(u64::try_from(saved).unwrap_or(u64::MAX)),
                    millis(past.longest_recovery),
                ),
            ),
            (
                "backoff",
                format!(
                    "{} connections dropped in {}, {} calls turned away, {} in a row at most",
                    thousands(past.dropped),
                    millis(past.away),
                    thousands(past.turned_away),
                    client.longest_chain(),
                ),
            ),
            (
                "sequence tracker",
                format!(
                    "{} sessions, {} gaps of {} at most, {} duplicates, {} too old",
                    delivered.sessions,
                    thousands(delivered.gaps),
                    thousands(delivered.largest),
                    thousands(delivered.stats.duplicates),
                    thousands(delivered.stats.too_old),
                ),
            ),
            (
                "",
                format!(
                    "asked again for {} ticks in {} ranges, {} of them sent before; its line broke {} times",
                    thousands(asked.ticks),
                    thousands(asked.ranges),
                    thousands(asked.needless),
                    delivered.broken,
                ),
            ),
            (
                "deduplicator",
                format!(
                    "{} messages on two lines, {} left out",
                    thousands(trading.messages),
                    thousands(trading.left_out),
                ),
            ),
        ]
    }

    /// How many percent of a rate were quotes.
    fn share_of(&self, rate: u64, there: Duration) -> String {
        let past = &self.evidence.seen.past;
        let window = self.client.quota.window.as_nanos();
        // While nobody is answered the bucket fills, once each time.
        let filled = self.client.margin.burst * (past.outages + past.illnesses);
        let possible = u128::from(rate) * there.as_nanos() + u128::from(filled) * window;
        ratio(u128::from(self.all.quoted) * window * 100, possible, 1)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults(f)?;
        writeln!(f)?;
        self.workers(f)?;
        writeln!(f)?;
        for (primitive, did) in self.primitives() {
            writeln!(f, "{primitive:<18}{did}")?;
        }
        if self.downtime.missed() > 0 {
            writeln!(f, "{:<18}{} changes of the breaker missed", "", self.downtime.missed())?;
        }
        writeln!(f, "\n        {:<58}seen", "promised")?;
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        let broken = self.checks.iter().filter(|check| check.verdict == Verdict::Broken).count();
        match broken {
            0 => write!(f, "\nall as promised"),
            1 => write!(f, "\nFAILED: a promise was broken"),
            _ => write!(f, "\nFAILED: {broken} promises were broken"),
        }
    }
}

impl Tally {
    fn of(outcomes: &[Outcome], kinds: &[Kind]) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes.iter().filter(|outcome| kinds.contains(&outcome.kind)) {
            tally.quoted += outcome.quoted;
            tally.reconnects += outcome.reconnects;
            tally.waits.extend(&outcome.waits);
        }
        tally.waits.sort_unstable();
        tally
    }

    /// The wait that `percent` of all did not exceed (nearest rank).
    fn wait(&self, percent: usize) -> String {
        let rank = (self.waits.len() * percent).div_ceil(100);
        match rank.checked_sub(1).and_then(|index| self.waits.get(index)) {
            Some(wait) => millis(*wait),
            None => "-".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_wait_that_was() {
        let waits = (1..=10).map(Duration::from_millis).collect();
        let tally = Tally { waits, ..Tally::default() };
        assert_eq!(
            [50, 51, 99, 100].map(|percent| tally.wait(percent)),
            ["5.00 ms", "6.00 ms", "10.00 ms", "10.00 ms"]
        );
        assert_eq!(Tally::default().wait(50), "-");
    }
}
