//! Compares the cases of a group with each other, interleaved.
//!
//! A round gives every case of the group a slice of a few milliseconds, beginning with another one each
//! time, so that whatever else the machine does in those milliseconds hits them all. Ratios are taken
//! within a round.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cases::{Case, Run};

/// The peers whose ratios are of interest: in each group, the first of its cases that begins like one of
/// them.
const PEERS: [&str; 9] = [
    "governor",
    "backon",
    "recloser",
    "failsafe",
    "tower-resilience",
    "boringtun",
    "rangemap",
    "mutex",
    "Mutex<HashSet",
];

/// How long a case runs at a time, and how many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How long.
    pub slice: Duration,
    /// How often.
    pub rounds: usize,
}

impl Plan {
    /// For a case: long enough for what it has to find in the caches again, and for threads to start.
    pub fn of(case: &Case) -> Self {
        let millis = Duration::from_millis;
        match case.threads {
            // Each contender begins with the caches full of another's table.
            _ if case.has_table => Self { slice: millis(100), rounds: 15 },
            1 => Self { slice: millis(2), rounds: 200 },
            // Starting two threads takes a while.
            2 => Self { slice: millis(10), rounds: 60 },
            // Long enough for the scheduler to take one off its core.
            _ => Self { slice: millis(40), rounds: 25 },
        }
    }
}

/// A case, and what came of it.
#[derive(Debug)]
pub struct Measured {
    /// By whom.
    pub name: &'static str,
    /// Nanoseconds an operation, round by round.
    pub rounds: Vec<f64>,
}

/// Cases that do the same work, measured beside each other.
#[derive(Debug)]
pub struct Group {
    /// What was done.
    pub name: &'static str,
    /// By whom, in the order of the list; the first is the reference.
    pub cases: Vec<Measured>,
}

/// Median, 10th and 90th percentile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of the values are below.
    pub median: f64,
    /// A tenth of them is below.
    pub low: f64,
    /// A tenth of them is above.
    pub high: f64,
}

impl Spread {
    /// Of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |tenths: usize| values[(values.len() - 1) * tenths / 10];
        Self { median: at(5), low: at(1), high: at(9) }
    }
}

impl Measured {
    /// Nanoseconds an operation.
    pub fn nanos(&self) -> Spread {
        Spread::of(self.rounds.iter().copied())
    }

    /// How many times what another one takes, each round by itself.
    pub fn ratio(&self, to: &Self) -> Spread {
        Spread::of(self.rounds.iter().zip(&to.rounds).map(|(a, b)| a / b))
    }
}

/// A case that has been prepared.
struct Contender {
    run: Run,
    /// Operations that fill a slice.
    times: u64,
    measured: Measured,
}

impl Contender {
    fn new(case: &Case, slice: Duration) -> Self {
        let mut run = case.prepare();
        let mut times = 1_000;
        while run(times) < slice / 2 {
            times *= 2;
        }
        Self { run, times, measured: Measured { name: case.name, rounds: Vec::new() } }
    }

    #[expect(clippy::cast_precision_loss, reason = "for printing")]
    fn round(&mut self) {
        let time = (self.run)(self.times);
        self.measured.rounds.push(time.as_secs_f64() * 1e9 / self.times as f64);
    }
}

impl Group {
    /// Measures the cases of a group, in so many rounds if that is given.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn measure(cases: &[Case], rounds: Option<usize>) -> Self {
        let plan = Plan::of(&cases[0]);
        let mut contenders: Vec<Contender> =
            cases.iter().map(|case| Contender::new(case, plan.slice)).collect();
        for round in 0..rounds.unwrap_or(plan.rounds) {
            for index in 0..contenders.len() {
                let turn = (index + round) % contenders.len();
                contenders[turn].round();
            }
        }
        let measured = contenders.into_iter().map(|contender| contender.measured).collect();
        Self { name: cases[0].group, cases: measured }
    }

    /// The case that the others are compared with, beside the reference.
    pub fn peer(&self) -> Option<&Measured> {
        self.cases.iter().find(|case| PEERS.iter().any(|peer| case.name.starts_with(peer)))
    }

    /// Its rows of a table.
    fn rows(&self) -> String {
        let mut text = String::new();
        for (index, case) in self.cases.iter().enumerate() {
            let group = if index == 0 { format!("`{}`", self.name) } else { String::new() };
            let Spread { median, low, high } = case.nanos();
            let _ = write!(text, "| {group} | {} | {median:.1} ({low:.1}–{high:.1})", case.name);
            for to in [self.cases.first(), self.peer()] {
                match to {
                    None => text.push_str(" | –"),
                    Some(to) if std::ptr::eq(to, case) => text.push_str(" | **1**"),
                    Some(to) => {
                        let Spread { median, low, high } = case.ratio(to);
                        let _ = write!(text, " | {median:.2} ({low:.2}–{high:.2})");
                    }
                }
            }
            text.push_str(" |\n");
        }
        text
    }
}

/// Measures the groups whose names begin like one of these, or all if there are none, and tells what they
/// are as they come.
pub fn measure(
    all: &[Case],
    wanted: &[String],
    rounds: Option<usize>,
    mut each: impl FnMut(&Group),
) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut cases = all;
    while let Some(first) = cases.first() {
        let end = cases.iter().position(|case| case.group != first.group).unwrap_or(cases.len());
        let (group, rest) = cases.split_at(end);
        cases = rest;
        if wanted.is_empty() || wanted.iter().any(|name| first.group.starts_with(name.as_str())) {
            let measured = Group::measure(group, rounds);
            each(&measured);
            groups.push(measured);
        }
    }
    groups
}

/// A table of groups, in Markdown. Where it says **1**, the others of the group are compared with that.
pub fn table(groups: &[Group]) -> String {
    let mut text =
        "| case | | ns an operation | / first | / peer |\n|---|---|--:|--:|--:|\n".to_owned();
    text.extend(groups.iter().map(Group::rows));
    text
}
