//! What a sequence tracker makes of a stream.

mod network;
mod options;

use steadfast_backoff::Random;
use steadfast_core::{Instant, ManualClock};
use steadfast_sequence_tracker::{Arrival, Due, SequenceTracker};

pub use self::options::Options;

use self::network::Stream;
use crate::error::Error;
use crate::plot::{Axis, Color, Figure, Panel};
use crate::quantity::{count, duration, part};
use crate::report::Report;
use crate::timeline::{Merge, Timeline};
use crate::trace::FIRST;

#[derive(Debug, Default)]
struct Bin {
    /// The most that were missing at once.
    missing: Option<u64>,
    opened: u64,
    filled: u64,
    given_up: u64,
    duplicates: u64,
    too_old: u64,
}

impl Merge for Bin {
    fn merge(&mut self, later: Self) {
        self.missing = self.missing.max(later.missing);
        self.opened += later.opened;
        self.filled += later.filled;
        self.given_up += later.given_up;
        self.duplicates += later.duplicates;
        self.too_old += later.too_old;
    }
}

#[derive(Debug, Default)]
struct Tally {
    arrivals: u64,
    in_order: u64,
    gaps: u64,
    /// Numbers that were missing once.
    missed: u64,
    filled: u64,
    duplicates: u64,
    too_old: u64,
    suspects: u64,
    restarts: u64,
    out_of_range: u64,
    requests: u64,
    requested: u64,
    given_up: u64,
}

/// A tracker and what is noted about it.
struct Lab {
    tracker: SequenceTracker<ManualClock>,
    clock: ManualClock,
    tally: Tally,
    timeline: Timeline<Bin>,
}

impl Options {
    /// Records the numbers of the traffic.
    ///
    /// # Errors
    ///
    /// If there can be no such tracker, or the trace cannot be opened.
    pub fn run(&self) -> Result<Report, Error> {
        let clock = ManualClock::starting_at(FIRST);
        let tracker = self.config()?.build_seeded(clock.clone(), Random::from_seed(self.seed))?;
        let mut stream = self.stream()?;
        let length = (!stream.is_trace()).then_some(self.duration);
        let timeline = Timeline::new(length);
        let mut lab = Lab { tracker, clock, tally: Tally::default(), timeline };
        let mut last = FIRST;
        while let Some(at) = stream.peek() {
            // What is due before the next number comes; what is sent again may come before it.
            if let Some(due) = lab.tracker.next_due().filter(|due| *due <= at) {
                let due = due.max(last);
                last = due;
                if lab.request(due, &mut stream) {
                    continue;
                }
            }
            let Some((at, number)) = stream.next() else { break };
            lab.record(number, at);
            last = last.max(at);
        }
        if let Some(length) = length {
            last = last.max(FIRST.saturating_add(length));
            lab.timeline.extend(last);
        }
        let mut report = self.report(&lab, last);
        report.figure = Some(figure(report.empty_figure(), &lab.timeline));
        stream.account(&mut report)?;
        Ok(report)
    }

    fn report(&self, lab: &Lab, last: Instant) -> Report {
        let mut report = Report::new(self.title(), self.note());
        let (tally, stats) = (&lab.tally, lab.tracker.stats());
        report.row("over", duration(last.saturating_duration_since(FIRST)));
        report.row("arrivals", count(tally.arrivals));
        report.row("in order", part(tally.in_order, tally.arrivals));
        report.row("gaps", count(tally.gaps));
        report.row("numbers that were missing", count(tally.missed));
        report.row("of these, filled", part(tally.filled, tally.missed));
        report.row("of these, lost", part(stats.abandoned, tally.missed));
        report.row("of these, missing still", part(stats.missing, tally.missed));
        report.row("duplicates", part(tally.duplicates, tally.arrivals));
        report.row("too late to be told", part(tally.too_old, tally.arrivals));
        report.row("farthest behind the newest", count(stats.largest_displacement));
        if self.request_after.is_some() {
            let numbers = count(tally.requested);
            report.row("requests", format!("{}, of {numbers} numbers", count(tally.requests)));
            report.row("numbers given up", count(tally.given_up));
        }
        let odd = [
            ("too far away to be believed", tally.suspects),
            ("restarts", tally.restarts),
            ("no numbers of this width", tally.out_of_range),
        ];
        for (name, number) in odd.into_iter().filter(|(_, number)| *number > 0) {
            report.row(name, count(number));
        }
        report
    }
}

impl Lab {
    fn record(&mut self, number: u64, at: Instant) {
        self.clock.set_now(at);
        let arrival = self.tracker.record(number);
        let missing = self.tracker.missing_count();
        let (tally, bin) = (&mut self.tally, self.timeline.at(at));
        tally.arrivals += 1;
        match arrival {
            Arrival::First | Arrival::Next => tally.in_order += 1,
            Arrival::Ahead { missing, .. } | Arrival::Reset { missing, .. } => {
                tally.gaps += u64::from(missing > 0);
                tally.missed = tally.missed.saturating_add(missing);
                bin.opened = bin.opened.saturating_add(missing);
            }
            Arrival::Filled { .. } => {
                tally.filled += 1;
                bin.filled += 1;
            }
            Arrival::Duplicate => {
                tally.duplicates += 1;
                bin.duplicates += 1;
            }
            Arrival::TooOld => {
                tally.too_old += 1;
                bin.too_old += 1;
            }
            Arrival::Suspect => tally.suspects += 1,
            Arrival::Restart { .. } => tally.restarts += 1,
            Arrival::OutOfRange => tally.out_of_range += 1,
        }
        bin.missing = bin.missing.max(Some(missing));
    }

    /// Requests what is due; says whether anything was.
    fn request(&mut self, at: Instant, stream: &mut Stream) -> bool {
        self.clock.set_now(at);
        let due = self.tracker.due();
        for due in &due {
            match *due {
                Due::Request { run, .. } => {
                    self.tally.requests += 1;
                    self.tally.requested = self.tally.requested.saturating_add(run.len());
                    stream.resend(run, at);
                }
                Due::GaveUp { run } => {
                    self.tally.given_up = self.tally.given_up.saturating_add(run.len());
                    let bin = self.timeline.at(at);
                    bin.given_up = bin.given_up.saturating_add(run.len());
                }
            }
        }
        !due.is_empty()
    }
}

#[expect(clippy::cast_precision_loss, reason = "to be drawn")]
fn figure(figure: Figure, timeline: &Timeline<Bin>) -> Figure {
    let mut before = 0;
    let missing = timeline.points(|bin| {
        // Where nothing came nothing changed.
        before = bin.missing.unwrap_or(before);
        Some(before as f64)
    });
    let missing = Panel::new(Axis::time(""), Axis::linear("numbers")).area(
        "missing at once, at most",
        Color::Orange,
        missing,
    );
    let each = format!("numbers in {}", duration(timeline.bin()));
    let fates = Panel::new(Axis::time(""), Axis::linear(&each))
        .area("given up", Color::Vermillion, timeline.counts(|bin| bin.filled + bin.given_up))
        .area("filled", Color::Blue, timeline.counts(|bin| bin.filled))
        .steps("left out", Color::Grey, timeline.counts(|bin| bin.opened));
    let again = Panel::new(Axis::time(""), Axis::linear(&each))
        .area("too late", Color::Purple, timeline.counts(|bin| bin.duplicates + bin.too_old))
        .area("duplicates", Color::Sky, timeline.counts(|bin| bin.duplicates));
    figure.panel(missing.height(170)).panel(fates).panel(again.height(150))
}
