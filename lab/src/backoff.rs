//! What clients do to a server that comes back.

mod clients;
mod options;

use std::time::Duration;

use steadfast_backoff::Jitter;
use steadfast_core::{Instant, ManualClock};
use steadfast_token_bucket as bucket;

pub use self::options::{Growth, Options};

use self::clients::{Clients, Tally};
use crate::error::Error;
use crate::plot::{Axis, Color, Figure, Panel};
use crate::quantity::{count, duration};
use crate::report::{List, Report};
use crate::source::Source;
use crate::timeline::{Merge, Timeline};
use crate::trace::{Event, FIRST, Outcome, Use, Wanted};

#[derive(Debug, Default)]
pub(crate) struct Bin {
    retries: u64,
}

impl Merge for Bin {
    fn merge(&mut self, later: Self) {
        self.retries += later.retries;
    }
}

/// A kind of jitter, the clients that use it, and a server of their own.
struct Run {
    name: &'static str,
    clients: Clients,
}

impl Options {
    /// Lets all clients try again until they are served, once for each kind of jitter.
    ///
    /// # Errors
    ///
    /// If there can be no such delays or no such server, or the trace cannot be opened.
    pub fn run(&self) -> Result<Report, Error> {
        let wanted = Wanted { outcome: Use::IfThere, ..Wanted::default() };
        let mut source = Source::open(&self.trace, wanted, || self.made())?;
        let is_trace = source.is_trace();
        // That of a trace is up at any time, also before the first line.
        let up_at = if is_trace { Instant::ZERO } else { FIRST.saturating_add(self.outage) };
        let length = (!is_trace).then_some(self.duration);
        let clock = ManualClock::starting_at(FIRST);
        let mut runs = Vec::new();
        for (name, jitter) in KINDS {
            let policy = self.policy(jitter)?;
            let server = bucket::Config::new(self.served).burst(self.at_once);
            let server = server.build_with(clock.clone())?;
            let clients = Clients::new(policy, server, up_at, self.seed, Timeline::new(length));
            runs.push(Run { name, clients });
        }
        let (mut last, mut began) = (FIRST, 0);
        for event in &mut source {
            last = last.max(event.at);
            // A call that worked is nobody's to repeat.
            if event.outcome.is_some_and(|outcome| outcome != Outcome::Failure) {
                continue;
            }
            began += 1;
            for run in &mut runs {
                run.clients.until(event.at);
                run.clients.begin(event.at, event.outcome.is_some());
            }
        }
        let end = last.saturating_add(self.duration);
        for run in &mut runs {
            run.clients.until(end);
        }
        let mut report = self.report(began, &runs);
        report.figure = Some(figure(report.empty_figure(), &runs, last));
        source.account(&mut report)?;
        Ok(report)
    }

    /// Everybody at once, as the server goes down.
    fn made(&self) -> impl Iterator<Item = Event> + 'static {
        (0..self.clients).map(|_| Event { outcome: Some(Outcome::Failure), ..Event::at(FIRST) })
    }

    fn report(&self, began: u64, runs: &[Run]) -> Report {
        let mut report = Report::new(self.title(), self.note());
        report.row("clients", count(began));
        let head =
            ["jitter", "most retries in 100 ms", "retries", "gave up", "left", "all served within"];
        let rows = runs.iter().map(|run| {
            let Tally { retries, peak, gave_up, longest, .. } = *run.clients.tally();
            let left = run.clients.waiting() + run.clients.tally().not_followed;
            let all = gave_up == 0 && left == 0;
            let served = if all { duration(longest) } else { "–".to_owned() };
            let counts = [peak, retries, gave_up, left].map(count);
            let mut row = vec![run.name.to_owned()];
            row.extend(counts);
            row.push(served);
            row
        });
        let head = head.map(str::to_owned).to_vec();
        report.lists.push(List { head, rows: rows.collect() });
        report
    }
}

const KINDS: [(&str, Jitter); 5] = [
    ("none", Jitter::None),
    ("a tenth", Jitter::Fraction(0.1)),
    ("equal", Jitter::Equal),
    ("full", Jitter::Full),
    ("decorrelated", Jitter::Decorrelated),
];

fn since(at: Instant) -> Duration {
    at.saturating_duration_since(FIRST)
}

fn figure(mut figure: Figure, runs: &[Run], last: Instant) -> Figure {
    let ends = runs.iter().map(|run| run.clients.tally().last_at);
    let end = ends.chain([last]).max().map_or(Duration::ZERO, since).as_secs_f64();
    let highest = runs.iter().flat_map(|run| run.clients.timeline().per_second(|bin| bin.retries));
    let top = highest.map(|(_, rate)| rate).fold(10.0, f64::max);
    let top = 10f64.powf(top.log10().ceil());
    for (run, color) in runs.iter().zip(Color::SERIES) {
        let y = Axis::log("retries a second").range(1.0, top);
        let panel = Panel::new(Axis::time("").range(0.0, end), y);
        let rates = run.clients.timeline().per_second(|bin| bin.retries);
        figure = figure.panel(panel.area(run.name, color, rates).height(150));
    }
    figure
}
