//! How costs grow: with threads, with those who wait, with keys, and with the window.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use steadfast_lab::plot::{Axis, Color, DrawError, Figure, Panel};
use steadfast_lab::quantity::count;

use crate::cases::Case;
use crate::ratios::{Group, Spread};
use crate::waiting::{self, Load, TASKS};
use crate::{circuit_breaker, deduplicator, token_bucket};

/// In the order of the contenders.
const COLORS: [Color; 4] = [Color::Blue, Color::Orange, Color::Green, Color::Grey];
/// Fewer than for a table: a curve has many points.
const ROUNDS: usize = 11;

/// A contender, and its numbers.
#[derive(Debug)]
pub struct Curve {
    name: String,
    points: Vec<(u32, Spread)>,
}

/// Curves over one axis.
#[derive(Debug)]
pub struct Chart {
    subject: &'static str,
    x: &'static str,
    y: &'static str,
    curves: Vec<Curve>,
}

/// A picture: its file's name, and what is in it.
#[derive(Debug)]
pub struct Picture {
    /// Of the file, without what ends it.
    pub name: &'static str,
    title: &'static str,
    charts: Vec<Chart>,
}

impl Chart {
    /// Measures the cases that `at` has for each of `xs`, leaving out those not `wanted`.
    fn of(
        subject: &'static str,
        x: &'static str,
        xs: &[u32],
        wanted: &[&str],
        at: impl Fn(u32) -> Vec<Case>,
    ) -> Self {
        let mut curves: Vec<Curve> =
            wanted.iter().map(|name| Curve { name: (*name).to_owned(), points: vec![] }).collect();
        for &x in xs {
            let mut cases = at(x);
            cases.retain(|case| wanted.contains(&case.name));
            for case in Group::measure(&cases, Some(ROUNDS)).cases {
                let curve = curves.iter_mut().find(|curve| curve.name == case.name);
                curve.expect("it is wanted").points.push((x, case.nanos()));
            }
        }
        Self { subject, x, y: "ns", curves }
    }

    /// What is on the axis below, as it is written.
    fn places(&self) -> Vec<String> {
        let xs = self.curves.first().map_or(&[][..], |curve| &curve.points);
        xs.iter().map(|(x, _)| count((*x).into())).collect()
    }

    fn panel(&self) -> Panel {
        let y = format!("{}, {}", self.subject, self.y);
        let mut panel = Panel::new(Axis::names(self.x, self.places()), Axis::log(y));
        for (curve, color) in self.curves.iter().zip(COLORS) {
            let medians = curve.points.iter().map(|(_, y)| y.median);
            let points: Vec<_> = (0_u32..).map(f64::from).zip(medians).collect();
            panel = panel.line(&curve.name, color, points.clone()).points("", color, points);
        }
        panel
    }

    /// Its numbers, in Markdown: a row for each contender.
    fn table(&self) -> String {
        let places = self.places();
        let mut text = format!("| {}, {} | {} |\n", self.subject, self.y, places.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(places.len()));
        for curve in &self.curves {
            let cell = |y: &Spread| format!(" {:.1} ({:.1}–{:.1}) |", y.median, y.low, y.high);
            let cells: String = curve.points.iter().map(|(_, y)| cell(y)).collect();
            let _ = writeln!(text, "| {} |{cells}", curve.name);
        }
        text
    }
}

impl Picture {
    /// Measures one of them, if there is one of that name.
    pub fn named(name: &str) -> Option<Self> {
        let make = match name {
            "threads" => threads,
            "waiters" => waiters,
            "keys" => keys,
            "window" => window,
            _ => return None,
        };
        Some(make())
    }

    /// Draws it into a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DrawError> {
        let figure = self
            .charts
            .iter()
            .fold(Figure::new(self.title), |figure, chart| figure.panel(chart.panel()));
        figure.write_svg(&folder.join(self.name).with_extension("svg"))
    }

    /// Its numbers, in Markdown.
    pub fn tables(&self) -> String {
        self.charts.iter().map(Chart::table).collect::<Vec<_>>().join("\n")
    }
}

fn threads() -> Picture {
    let threads = |x| usize::try_from(x).expect("few");
    let counts = [1, 2, 4, 8];
    let x = "threads";
    Picture {
        name: "threads",
        title: "Threads on one object: token bucket, circuit breaker, deduplicator",
        charts: vec![
            Chart::of("a grant", x, &counts, &["steadfast", "governor"], |x| {
                token_bucket::granted_to(threads(x))
            }),
            Chart::of("a call", x, &counts, &["steadfast", "recloser"], |x| {
                circuit_breaker::called_by(threads(x))
            }),
            Chart::of(
                "an id",
                x,
                &counts,
                &["steadfast, time given", "Mutex<HashSet + VecDeque>"],
                |x| deduplicator::inserted_by(threads(x)),
            ),
        ],
    }
}

fn waiters() -> Picture {
    let counts = [10, 100, 1_000, 10_000];
    let mut curves: Vec<Curve> =
        TASKS.iter().map(|(name, _)| Curve { name: (*name).to_owned(), points: vec![] }).collect();
    for waiters in counts {
        let time = Duration::from_secs(1);
        let load = Load { waiters, rate: 20_000, burst: 20, time, watch_order: false };
        for (samples, curve) in waiting::measure(load, &TASKS, 3).iter().zip(&mut curves) {
            let cpu = Spread::of(samples.iter().map(|sample| sample.cpu_us));
            curve.points.push((waiters, cpu));
        }
    }
    let chart = Chart { subject: "a grant", x: "tasks in line", y: "µs of CPU", curves };
    Picture {
        name: "waiters",
        title: "Tasks that wait for 20,000 tokens a second",
        charts: vec![chart],
    }
}

fn keys() -> Picture {
    let counts = [10, 1_000, 10_000, 100_000, 1_000_000];
    let wanted = ["steadfast", "governor"];
    let chart = Chart::of("a grant", "keys", &counts, &wanted, |keys| {
        token_bucket::keyed_with(keys.into())
    });
    Picture { name: "keys", title: "A limit for each key", charts: vec![chart] }
}

fn window() -> Picture {
    let counts = [100, 1_000, 10_000, 100_000, 1_000_000];
    let wanted = ["steadfast, time given", "steadfast, owner", "Mutex<HashSet + VecDeque>"];
    let chart = Chart::of("an id", "ids in the window", &counts, &wanted, |ids| {
        deduplicator::inserted_of(usize::try_from(ids).expect("fits"))
    });
    Picture { name: "window", title: "The size of the window", charts: vec![chart] }
}
