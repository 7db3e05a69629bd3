//! What a deduplicator finds among ids.

mod options;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::{Deduplicator, Sighting, SipKeys};

pub use self::options::Options;

use crate::error::Error;
use crate::plot::{Axis, Color, Figure, Panel};
use crate::quantity::{bytes, count, duration, part};
use crate::report::Report;
use crate::source::Source;
use crate::timeline::{Merge, Timeline};
use crate::trace::{FIRST, Id, Wanted};
use crate::waits::Waits;

#[derive(Debug, Default)]
struct Bin {
    all: u64,
    duplicates: u64,
    missed: u64,
    remembered: Option<usize>,
}

impl Merge for Bin {
    fn merge(&mut self, later: Self) {
        self.all += later.all;
        self.duplicates += later.duplicates;
        self.missed += later.missed;
        self.remembered = later.remembered.or(self.remembered);
    }
}

type Window = Deduplicator<ManualClock, SipKeys>;

impl Options {
    /// Looks at the ids of the traffic.
    ///
    /// # Errors
    ///
    /// If there can be no such window, or the trace cannot be opened.
    pub fn run(&self) -> Result<Report, Error> {
        self.check()?;
        let clock = ManualClock::starting_at(FIRST);
        let keys = SipKeys::from_seed(self.seed);
        let window = self.config().build_with(clock.clone(), keys)?;
        let larger = self.larger_config().map(|config| config.build_with(clock.clone(), keys));
        let larger = larger.transpose()?;
        let wanted = Wanted { id: true, ..Wanted::default() };
        let mut source = Source::open(&self.trace, wanted, || self.made())?;
        let length = (!source.is_trace()).then_some(self.duration);
        let mut timeline = Timeline::<Bin>::new(length);
        let (mut all, mut missed) = (0, 0);
        let mut ages = Waits::default();
        let mut last = FIRST;
        for event in &mut source {
            let Some(id) = event.id else { continue };
            clock.set_now(event.at);
            let sighting = insert(&window, &id);
            let is_fresh = sighting.is_fresh();
            let better = larger.as_ref().map_or(sighting, |larger| insert(larger, &id));
            let bin = timeline.at(event.at);
            if let Sighting::Duplicate { first_seen } = better {
                ages.add(event.at.saturating_duration_since(first_seen));
                missed += u64::from(is_fresh);
                bin.missed += u64::from(is_fresh);
            }
            all += 1;
            bin.all += 1;
            bin.duplicates += u64::from(!is_fresh);
            bin.remembered = Some(window.len());
            last = last.max(event.at);
        }
        if let Some(length) = length {
            last = last.max(FIRST.saturating_add(length));
            timeline.extend(last);
        }
        let mut report = self.report(&window, (all, missed), &ages, last);
        report.figure = Some(figure(report.empty_figure(), &timeline));
        source.account(&mut report)?;
        Ok(report)
    }

    fn report(
        &self,
        window: &Window,
        (all, missed): (u64, u64),
        ages: &Waits,
        last: Instant,
    ) -> Report {
        let mut report = Report::new(self.title(), self.note());
        let stats = window.stats();
        report.row("over", duration(last.saturating_duration_since(FIRST)));
        report.row("ids", count(all));
        report.row("fresh", part(stats.fresh, all));
        report.row("duplicates", part(stats.duplicates, all));
        if let Some(larger) = self.larger() {
            let name = format!("duplicates missed, that {} ids show", count(larger as u64));
            report.row(name, count(missed));
        }
        report.row("a duplicate comes after", ages.to_string());
        report.row("forgotten as their time was over", count(stats.expired));
        report.row("forgotten early, for others", count(stats.evicted));
        report.row("remembered at the end", count(window.len() as u64));
        let memory = self.config().lines() as u64 * 64 + self.config().words() as u64 * 8;
        report.row("memory", bytes(memory));
        report
    }
}

/// Numbers exactly, text by its hash.
fn insert(window: &Window, id: &Id) -> Sighting {
    match id {
        Id::Number(number) => window.insert(number),
        Id::Text(text) => window.insert(&**text),
    }
}

#[expect(clippy::cast_precision_loss, reason = "to be drawn")]
fn figure(figure: Figure, timeline: &Timeline<Bin>) -> Figure {
    let found = Panel::new(Axis::time(""), Axis::linear("ids a second"))
        .area("fresh", Color::Sky, timeline.per_second(|bin| bin.all))
        .area("missed", Color::Vermillion, timeline.per_second(|bin| bin.duplicates + bin.missed))
        .area("duplicates", Color::Blue, timeline.per_second(|bin| bin.duplicates));
    let remembered = timeline.points(|bin| bin.remembered.map(|ids| ids as f64));
    let remembered = Panel::new(Axis::time(""), Axis::linear("ids")).area(
        "remembered",
        Color::Green,
        remembered,
    );
    figure.panel(found).panel(remembered.height(150))
}
