//! What a run shows: a line of progress while it lasts, and the table at the end that says whether
//! everything that was promised was kept.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use steadfast::token_bucket::Stats;

use crate::client::{Client, FeedError, Kind, Outcome, PROBES, TASKS, THREADS};
use crate::desk::Told;
use crate::downtime::Downtime;
use crate::publisher::Published;
use crate::server::Seen;
use crate::subscriber::Delivered;
use crate::trades::Booked;

/// The live line: rewritten in place on a terminal, one after the other elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    in_place: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { in_place: io::stdout().is_terminal() }
    }

    /// How long a line stays true enough.
    pub(crate) fn interval(&self) -> Duration {
        if self.in_place { Duration::from_millis(200) } else { Duration::from_secs(1) }
    }

    pub(crate) fn show(&self, elapsed: Duration, seen: Seen) -> io::Result<()> {
        let line = format!(
            "{:>5} s  {:>9} requests  {:>8}/s  {} violations",
            ratio(elapsed.as_millis(), 1_000, 1),
            thousands(seen.arrived),
            per_second(seen.arrived, elapsed),
            seen.violations,
        );
        let mut out = io::stdout().lock();
        let written =
            if self.in_place { write!(out, "\r{line}\x1b[K") } else { writeln!(out, "{line}") };
        written?;
        out.flush()
    }

    /// Makes room for what follows.
    pub(crate) fn end(&self) -> io::Result<()> {
        if self.in_place { write!(io::stdout(), "\r\x1b[K") } else { Ok(()) }
    }
}

/// The stream of ticks, as both sides saw it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) published: Published,
    pub(crate) delivered: Delivered,
}

/// The trades, as both sides saw them.
#[derive(Debug)]
pub(crate) struct Trading {
    pub(crate) told: Told,
    pub(crate) booked: Booked,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    client: &'a Client,
    elapsed: Duration,
    seen: Seen,
    downtime: &'a Downtime,
    stream: Stream,
    trading: Trading,
    stats: Stats,
    threads: Tally,
    tasks: Tally,
    all: Tally,
    failures: Vec<FeedError>,
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
        seen: Seen,
        downtime: &'a Downtime,
        stream: Stream,
        trading: Trading,
        outcomes: Vec<Outcome>,
    ) -> Self {
        let of = |kinds: &[Kind]| {
            let mut tally = Tally::default();
            for outcome in outcomes.iter().filter(|outcome| kinds.contains(&outcome.kind)) {
                tally.quoted += outcome.quoted;
                tally.reconnects += outcome.reconnects;
                tally.waits.extend(&outcome.waits);
            }
            tally.waits.sort_unstable();
            tally
        };
        let (threads, tasks) = (of(&[Kind::Thread]), of(&[Kind::Task]));
        let all = of(&[Kind::Thread, Kind::Task]);
        let failures = outcomes.into_iter().filter_map(|outcome| outcome.result.err()).collect();
        let stats = client.bucket.stats();
        Self {
            client,
            elapsed,
            seen,
            downtime,
            stream,
            trading,
            stats,
            threads,
            tasks,
            all,
            failures,
        }
    }

    /// Everything that was not as promised; nothing if all is well.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.seen.violations > 0 {
            complaints.push(format!("requests above the quota: {}", self.seen.violations));
        }
        let at_once = self.seen.illness.most_at_once;
        if at_once > PROBES.into() {
            complaints.push(format!("{at_once} probes at once, {PROBES} allowed"));
        }
        let Stream { published, delivered } = &self.stream;
        if published.checksum != delivered.checksum {
            let [sent, got] = [published.checksum.ticks, delivered.checksum.ticks].map(thousands);
            complaints.push(format!("of {sent} ticks {got} were delivered, or not in order"));
        }
        let Trading { told, booked } = &self.trading;
        if (told.trades, told.quantity) != (booked.trades, booked.quantity) {
            let [told, booked] = [told.trades, booked.trades].map(thousands);
            complaints.push(format!("{told} trades were made and {booked} booked, or others"));
        }
        if self.downtime.missed() > 0 {
            complaints.push(format!("changes of the breaker missed: {}", self.downtime.missed()));
        }
        if self.all.quoted != self.seen.quoted {
            let (client, server) = (self.all.quoted, self.seen.quoted);
            complaints.push(format!("the client counts {client} quotes, the server {server}"));
        }
        let mut failures: Vec<_> = self.failures.iter().map(FeedError::to_string).collect();
        failures.sort_unstable();
        for same in failures.chunk_by(|a, b| a == b) {
            complaints.push(format!("{} of {} workers: {}", same.len(), THREADS + TASKS, same[0]));
        }
        complaints
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [&self.threads, &self.tasks, &self.all];
        let mut row = |name: &str, cells: [String; 3]| {
            let [threads, tasks, all] = cells;
            writeln!(f, "{name:<22}{threads:>12}{tasks:>12}{all:>12}")
        };
        row("", ["threads", "tasks", "all"].map(str::to_owned))?;
        row("requests", columns.map(|tally| thousands(tally.quoted)))?;
        row("reconnects", columns.map(|tally| thousands(tally.reconnects)))?;
        for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            row(&format!("wait {name}"), columns.map(|tally| tally.wait(percent)))?;
        }
        let Self { client, seen, elapsed, .. } = self;
        let (margin, quota) = (&client.margin, client.quota);
        let there = elapsed.saturating_sub(seen.away + seen.illness.unwell);
        let of_rate = |rate: u64| {
            // While nobody is answered the bucket fills, once each time.
            let times = seen.outages + seen.illness.times;
            let filled = u128::from(margin.burst * times) * quota.window.as_nanos();
            let possible = u128::from(rate) * there.as_nanos() + filled;
            ratio(u128::from(self.all.quoted) * quota.window.as_nanos() * 100, possible, 1)
        };
        let mut line = |name: &str, text: String| writeln!(f, "{name:<26}{text}");
        line(
            "achieved",
            format!(
                "{}/s while it was well: {} % of the bucket's rate, {} % of its limit",
                per_second(self.all.quoted, there),
                of_rate(margin.rate),
                of_rate(quota.limit),
            ),
        )?;
        line(
            "busiest window",
            format!("{} of {}", thousands(seen.busiest), thousands(quota.limit)),
        )?;
        line(
            "counted by the server",
            format!("{} requests, {} quotes", thousands(seen.arrived), thousands(seen.quoted)),
        )?;
        line(
            "outages",
            format!(
                "{} away, {} connections dropped, {} turned away",
                millis(seen.away),
                thousands(seen.dropped),
                thousands(seen.turned_away),
            ),
        )?;
        let illness = seen.illness;
        let down = self.downtime.total();
        let possible = u128::from(margin.rate) * down.as_nanos() / quota.window.as_nanos();
        let saved = possible.saturating_sub(illness.busy.into());
        line(
            "not well",
            format!(
                "{}: {} requests in vain, {} saved by the breaker",
                millis(illness.unwell),
                thousands(illness.busy),
                thousands(u64::try_from(saved).unwrap_or(u64::MAX)),
            ),
        )?;
        line(
            "breaker",
            format!(
                "{} trips, down for {}, asked again at most {} after recovery",
                thousands(self.downtime.trips()),
                millis(down),
                millis(illness.longest_recovery),
            ),
        )?;
        line(
            "probes at once",
            format!("{} of {PROBES}, counted by the server", thousands(illness.most_at_once)),
        )?;
        line("longest chain", format!("{} attempts failed in a row", client.longest_chain()))?;
        let waits = self.stats.line;
        line(
            "waited for the bucket",
            format!(
                "{} times, at most {}, {} wake-ups a grant",
                thousands(waits.waited),
                millis(waits.longest_wait),
                ratio(waits.wake_ups.into(), waits.waited.into(), 2),
            ),
        )?;
        write!(f, "{}", self.stream)?;
        write!(f, "{}", self.trading)?;
        writeln!(f, "{:<26}{}", "violations", thousands(seen.violations))
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, delivered } = self;
        let mut line = |name: &str, text: String| writeln!(f, "{name:<26}{text}");
        line(
            "ticks",
            format!(
                "{} in {} sessions: {} dropped, {} repeated, {} out of order",
                thousands(published.checksum.ticks),
                published.sessions,
                thousands(published.dropped),
                thousands(published.repeated),
                thousands(published.reordered),
            ),
        )?;
        line(
            "gaps",
            format!(
                "{} found, the largest of {}; {} ticks requested in {} ranges, {} of them needlessly",
                thousands(delivered.gaps),
                delivered.largest,
                thousands(published.asked_for),
                thousands(published.requests),
                thousands(published.needless),
            ),
        )?;
        line(
            "delivered",
            format!(
                "{} ticks, {}; {} duplicates left out",
                thousands(delivered.checksum.ticks),
                if published.checksum == delivered.checksum {
                    "all of them in order, by checksum"
                } else {
                    "NOT what was published"
                },
                thousands(delivered.stats.duplicates),
            ),
        )
    }
}

impl fmt::Display for Trading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, booked } = self;
        let is_right = (told.trades, told.quantity) == (booked.trades, booked.quantity);
        let mut line = |name: &str, text: String| writeln!(f, "{name:<26}{text}");
        line(
            "trades",
            format!(
                "{} told of on two lines in {} messages; {} connections dropped",
                thousands(told.trades),
                thousands(told.messages),
                thousands(told.dropped),
            ),
        )?;
        line(
            "booked",
            format!(
                "{}, {}; {} duplicates left out",
                thousands(booked.trades),
                if is_right { "each once" } else { "NOT each once" },
                thousands(booked.left_out),
            ),
        )
    }
}

impl Tally {
    /// The wait that `percent` of all did not exceed (nearest rank).
    fn wait(&self, percent: usize) -> String {
        let rank = (self.waits.len() * percent).div_ceil(100);
        match rank.checked_sub(1).and_then(|index| self.waits.get(index)) {
            Some(wait) => millis(*wait),
            None => "-".to_owned(),
        }
    }
}

/// `part / whole` with so many decimal places, rounded down: nothing looks better than it is.
fn ratio(part: u128, whole: u128, places: usize) -> String {
    let scale = (0..places).fold(1, |scale, _| scale * 10);
    match (part * scale).checked_div(whole) {
        Some(scaled) => format!("{}.{:0places$}", scaled / scale, scaled % scale),
        None => "-".to_owned(),
    }
}

fn per_second(count: u64, time: Duration) -> String {
    ratio(u128::from(count) * 1_000_000_000, time.as_nanos(), 1)
}

fn millis(time: Duration) -> String {
    format!("{} ms", ratio(time.as_nanos(), 1_000_000, 2))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
