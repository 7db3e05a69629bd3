//! The status line, and the table.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use steadfast_core::{Clock, Instant, SystemClock};

use crate::laws::Tally;
use crate::options::Options;
use crate::worker::{TASKS, THREADS};

/// The line that says how far it is.
#[derive(Debug)]
pub(crate) struct Status {
    began: Instant,
    tallies: Vec<Arc<Tally>>,
    pub(crate) lives: u64,
    next: Instant,
    is_terminal: bool,
}

/// What is on the heap, and in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    lives: u64,
    /// The most between two turns: in this life, in the first two, and in all.
    held: usize,
    held_at_first: usize,
    held_at_most: usize,
    /// What was left after the second life, and at most after later ones.
    left_at_first: usize,
    left_at_most: usize,
    /// What the process had after the second life, after the last, and at its most.
    resident_at_first: u64,
    resident: u64,
    peak: u64,
    grew: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) tallies: &'a [Arc<Tally>],
    pub(crate) memory: &'a Memory,
    pub(crate) stuck: Option<&'a str>,
}

impl Status {
    pub(crate) fn new(began: Instant, tallies: Vec<Arc<Tally>>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { began, tallies, lives: 0, next: began, is_terminal }
    }

    pub(crate) fn introduce(options: &Options, turn: Duration) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "soak of {:?} with --seed {}", options.length, options.seed)?;
        writeln!(out, "{THREADS} threads and {TASKS} tasks on each primitive, {turn:?} a turn")
    }

    /// Every second on a terminal, every ten seconds elsewhere.
    pub(crate) fn show(&mut self) -> io::Result<()> {
        let now = SystemClock.now();
        if now < self.next {
            return Ok(());
        }
        self.next = now.saturating_add(Duration::from_secs(if self.is_terminal { 1 } else { 10 }));
        let mut line = Vec::new();
        write!(
            line,
            "{:4} s, life {}",
            now.saturating_duration_since(self.began).as_secs(),
            self.lives + 1
        )?;
        for tally in &self.tallies {
            write!(line, ", {} {}", tally.name, thousands(tally.operations.get()))?;
        }
        let violations: u64 = self.tallies.iter().map(|tally| tally.violations()).sum();
        write!(line, "; {violations} violations")?;
        let mut out = io::stdout().lock();
        if self.is_terminal {
            out.write_all(b"\r")?;
            out.write_all(&line)?;
            out.write_all(b"\x1b[K")?;
        } else {
            line.push(b'\n');
            out.write_all(&line)?;
        }
        out.flush()
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        if self.is_terminal { writeln!(io::stdout()) } else { Ok(()) }
    }
}

impl Memory {
    /// Between two turns.
    pub(crate) fn held(&mut self, live: usize) {
        self.held = self.held.max(live);
    }

    /// After a life, when nothing of it is there any more.
    pub(crate) fn life(
        &mut self,
        live: usize,
        resident: Option<(u64, u64)>,
        slack_bytes: usize,
        slack_kib: u64,
    ) {
        self.lives += 1;
        let held = std::mem::take(&mut self.held);
        let (now, peak) = resident.unwrap_or_default();
        self.held_at_most = self.held_at_most.max(held);
        self.left_at_most = self.left_at_most.max(live);
        (self.resident, self.peak) = (now, peak);
        if self.lives <= 2 {
            self.held_at_first = self.held_at_first.max(held);
            self.left_at_first = live;
            self.resident_at_first = now;
            return;
        }
        let mut complain = |grew: bool, what: String| {
            if grew && self.grew.len() < 3 {
                self.grew.push(format!("after {} lives {what}", self.lives));
            }
        };
        let (first, most) = (self.held_at_first, self.held_at_first + slack_bytes);
        complain(held > most, format!("the heap is {held} bytes, where it was {first}"));
        let (first, most) = (self.left_at_first, self.left_at_first + slack_bytes);
        complain(live > most, format!("{live} bytes are left on the heap, where it was {first}"));
        let (first, most) = (self.resident_at_first, self.resident_at_first + slack_kib);
        complain(now > most, format!("{now} KiB are in memory, where it was {first}"));
    }
}

impl Report<'_> {
    /// Whether all is well.
    pub(crate) fn print(&self, took: Duration, lives: u64) -> Result<bool, Box<dyn Error>> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n{:.1} s, {lives} lives\n", took.as_secs_f64())?;
        writeln!(
            out,
            "| primitive | operations | granted | refused | timed out | cancelled | panicked | laws checked | violations |"
        )?;
        writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let mut complaints: Vec<String> = self.stuck.iter().map(ToString::to_string).collect();
        for tally in self.tallies {
            let columns = [
                &tally.operations,
                &tally.granted,
                &tally.refused,
                &tally.timed_out,
                &tally.cancelled,
                &tally.panicked,
                &tally.checks,
            ];
            write!(out, "| {} |", tally.name)?;
            for column in columns {
                write!(out, " {} |", thousands(column.get()))?;
            }
            writeln!(out, " {} |", tally.violations())?;
            complaints
                .extend(tally.told().into_iter().map(|what| format!("{}: {what}", tally.name)));
            let (done, least) = (tally.operations.get(), self.options.at_least);
            if done < least || tally.granted.get() == 0 || tally.cancelled.get() == 0 {
                complaints.push(format!("{}: {done} operations, too few", tally.name));
            }
        }
        let Memory { held_at_first, held_at_most, left_at_first, left_at_most, .. } = *self.memory;
        let Memory { resident_at_first, resident, peak, .. } = *self.memory;
        let [first, most, left, left_most] =
            [held_at_first, held_at_most, left_at_first, left_at_most].map(|bytes| bytes >> 10);
        writeln!(out, "\nheap: {most} KiB at most, {first} in the first two lives")?;
        writeln!(out, "left after a life: {left_most} KiB at most, {left} after the second")?;
        if peak > 0 {
            writeln!(
                out,
                "resident: {peak} KiB at most, {resident_at_first} after the second life, {resident} in the end"
            )?;
        }
        if self.memory.lives < 3 && complaints.is_empty() {
            complaints.push("too few lives to see whether memory grows".into());
        }
        complaints.extend_from_slice(&self.memory.grew);
        for complaint in &complaints {
            writeln!(out, "FAILED: {complaint}")?;
        }
        if complaints.is_empty() {
            writeln!(out, "all laws held")?;
        }
        Ok(complaints.is_empty())
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
