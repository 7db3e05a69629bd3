//! What a token bucket does with requests.

mod options;

use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_deduplicator::SipKeys;
use steadfast_token_bucket::{Keyed, KeyedError, TokenBucket};

pub use self::options::Options;

use crate::error::Error;
use crate::plot::{Axis, Color, Figure, Panel};
use crate::quantity::{count, duration, part, per_second};
use crate::report::Report;
use crate::source::Source;
use crate::timeline::{Merge, Timeline, seconds};
use crate::trace::{FIRST, Id, Wanted};
use crate::waits::Waits;

#[derive(Debug, Default)]
struct Bin {
    asked: u64,
    granted: u64,
    /// The fewest and the most tokens that were there.
    tokens: Option<(u64, u64)>,
}

impl Merge for Bin {
    fn merge(&mut self, later: Self) {
        self.asked += later.asked;
        self.granted += later.granted;
        for tokens in later.tokens.iter().flat_map(|(low, high)| [*low, *high]) {
            self.see(tokens);
        }
    }
}

impl Bin {
    fn see(&mut self, tokens: u64) {
        let (low, high) = self.tokens.unwrap_or((tokens, tokens));
        self.tokens = Some((low.min(tokens), high.max(tokens)));
    }
}

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    granted: u64,
    /// No room for one more id.
    table_full: u64,
    /// Refusals in a row, and the most of them with when they began and ended.
    run: (u64, Instant),
    longest: (u64, Duration),
    waits: Waits,
}

impl Tally {
    fn note(&mut self, granted: bool, now: Instant) {
        self.asked += 1;
        if granted {
            self.granted += 1;
            self.run = (0, now);
            return;
        }
        if self.run.0 == 0 {
            self.run.1 = now;
        }
        self.run.0 += 1;
        if self.run.0 > self.longest.0 {
            self.longest = (self.run.0, now.saturating_duration_since(self.run.1));
        }
    }
}

/// One bucket for all, or one for each id.
#[derive(Debug)]
enum Limiter {
    One(Box<One>),
    Each(Keyed<Id, ManualClock, SipKeys>),
}

#[derive(Debug)]
struct One {
    bucket: TokenBucket<ManualClock>,
    /// The same bucket, if everybody waited in line for it instead; and when the last one was served.
    patient: TokenBucket<ManualClock>,
    served: Instant,
}

impl Limiter {
    /// What is there, at the beginnings of all bins from one instant to another, and then.
    fn see(&self, timeline: &mut Timeline<Bin>, from: Instant, to: Instant) {
        let Self::One(one) = self else { return };
        // Between two requests it only fills: looking is enough.
        for begin in timeline.beginnings(from, to) {
            timeline.at(begin).see(one.bucket.available_at(begin));
        }
        timeline.at(to).see(one.bucket.available_at(to));
    }

    fn ask(&mut self, cost: u64, id: Option<Id>, now: Instant, tally: &mut Tally) -> bool {
        match self {
            Self::One(one) => {
                let One { bucket, patient, served } = &mut **one;
                // In line behind whoever was served last.
                let begins = now.max(*served);
                if let Ok(ready) = patient.ready_at(cost, begins) {
                    let _granted = patient.try_acquire_at(cost, ready);
                    *served = ready;
                    tally.waits.add(ready.saturating_duration_since(now));
                }
                bucket.try_acquire(cost).is_ok()
            }
            Self::Each(keyed) => {
                let answer = keyed.try_acquire(&id.unwrap_or(Id::Number(0)), cost);
                tally.table_full += u64::from(matches!(answer, Err(KeyedError::TableFull { .. })));
                answer.is_ok()
            }
        }
    }
}

impl Options {
    fn limiter(&self, clock: &ManualClock) -> Result<Limiter, Error> {
        let config = self.config();
        let burst = config.limits()?.burst();
        if self.cost > burst || self.cost == 0 {
            let cost = self.cost;
            return Err(Error::Usage(format!(
                "a cost of {cost} tokens: give 1 to the burst, {burst}"
            )));
        }
        if let Some(ids) = self.per_id {
            let keyed = Keyed::builder(config, ids).hasher(SipKeys::from_seed(self.seed));
            let keyed = keyed.build_with(clock.clone())?;
            return Ok(Limiter::Each(keyed));
        }
        let bucket = config.build_with(clock.clone())?;
        let patient = config.build_with(clock.clone())?;
        Ok(Limiter::One(Box::new(One { bucket, patient, served: Instant::ZERO })))
    }

    /// Asks for tokens as the traffic does.
    ///
    /// # Errors
    ///
    /// If there can be no such bucket, or the trace cannot be opened.
    pub fn run(&self) -> Result<Report, Error> {
        let clock = ManualClock::starting_at(FIRST);
        let mut limiter = self.limiter(&clock)?;
        let wanted = Wanted { id: self.per_id.is_some(), ..Wanted::default() };
        let mut source = Source::open(&self.trace, wanted, || self.made())?;
        let length = (!source.is_trace()).then_some(self.duration);
        let mut timeline = Timeline::<Bin>::new(length);
        let mut tally = Tally::default();
        let mut last = FIRST;
        for event in &mut source {
            let now = event.at;
            limiter.see(&mut timeline, last, now);
            clock.set_now(now);
            let granted = limiter.ask(self.cost, event.id, now, &mut tally);
            limiter.see(&mut timeline, now, now);
            tally.note(granted, now);
            let bin = timeline.at(now);
            bin.asked += 1;
            bin.granted += u64::from(granted);
            last = last.max(now);
        }
        if let Some(length) = length {
            // The last nanosecond of it.
            let end = FIRST.saturating_add(length).saturating_sub(Duration::from_nanos(1));
            limiter.see(&mut timeline, last, end);
            last = last.max(FIRST.saturating_add(length));
        }
        let mut report = self.report(&tally, &limiter, seconds(last));
        report.figure = Some(self.figure(report.empty_figure(), &timeline, &limiter));
        source.account(&mut report)?;
        Ok(report)
    }

    fn report(&self, tally: &Tally, limiter: &Limiter, length: f64) -> Report {
        let mut report = Report::new(self.title(), self.note());
        let Tally { asked, granted, table_full, longest, waits, .. } = tally;
        report.row("over", duration(Duration::from_secs_f64(length)));
        report.row("asked", count(*asked));
        report.row("granted", part(*granted, *asked));
        report.row("refused", part(asked - granted, *asked));
        let run = match longest {
            (0, _) => "none".to_owned(),
            (times, over) => format!("{} in a row, over {}", count(*times), duration(*over)),
        };
        report.row("longest run of refusals", run);
        match limiter {
            Limiter::One(_) => {
                report.row("wait, had they queued", waits.to_string());
                if self.initial.is_none() {
                    let burst = self.burst_for(waits.longest());
                    report.row("a burst that refuses nobody", burst.map_or("–".to_owned(), count));
                }
            }
            Limiter::Each(keyed) => {
                report.row("ids remembered at the end", count(keyed.len() as u64));
                report.row("refused as there were too many ids", count(*table_full));
            }
        }
        report
    }

    /// What the bucket would have to hold if nobody is to wait, and the longest wait for this one is known.
    ///
    /// Whether requests are refused or not, a bucket that they all take from is below full by the same: who
    /// waits, waits for what is below empty.
    fn burst_for(&self, longest: Duration) -> Option<u64> {
        let burst = self.config().limits().ok()?.burst();
        let units = longest.as_nanos().checked_mul(u128::from(self.rate.tokens()))?;
        let lacking = units.div_ceil(self.rate.period().as_nanos().max(1));
        burst.checked_add(u64::try_from(lacking).ok()?)
    }

    #[expect(clippy::cast_precision_loss, reason = "to be drawn")]
    fn figure(&self, figure: Figure, timeline: &Timeline<Bin>, limiter: &Limiter) -> Figure {
        let end = timeline.points(|_| Some(0.0)).last().map_or(1.0, |(at, _)| *at);
        let limit = per_second(self.rate) / self.cost as f64;
        let mut requests = Panel::new(Axis::time(""), Axis::linear("requests a second"))
            .area("refused", Color::Orange, timeline.per_second(|bin| bin.asked))
            .area("granted", Color::Blue, timeline.per_second(|bin| bin.granted));
        if self.per_id.is_none() {
            requests = requests.line("the rate", Color::Grey, [(0.0, limit), (end, limit)]);
        }
        let Limiter::One(one) = limiter else {
            return figure.panel(requests.height(300));
        };
        let most = |bin: &Bin| bin.tokens.map(|(_, high)| high as f64);
        let fewest = |bin: &Bin| bin.tokens.map(|(low, _)| low as f64);
        let tokens = Axis::linear("tokens").range(0.0, one.bucket.burst() as f64 * 1.06);
        let tokens = Panel::new(Axis::time(""), tokens)
            .area("the most tokens there", Color::Sky, timeline.points(most))
            .area("the fewest", Color::Green, timeline.points(fewest));
        figure.panel(requests).panel(tokens.height(180))
    }
}
