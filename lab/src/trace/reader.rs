//! From a file or standard input to events.

use std::fs::File;
use std::io::{self, Read};

use indicatif::{ProgressBar, ProgressStyle};
use steadfast_core::Instant;

use super::bad::excerpt;
use super::cells::{Cells, Names, Part};
use super::csv::Columns;
use super::lines::{Length, Lines, MAX_LINE};
use super::stamp::{Stamps, Unit};
use super::{BadLines, Event, FIRST, Format, Id, Outcome, Reason, TraceOptions, Use, Wanted, json};

/// Why there is no trace at all.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It cannot be opened.
    #[error("{path} cannot be read: {error}")]
    Open {
        /// Where it is said to be.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// It has no such column.
    #[error(transparent)]
    NoColumn(#[from] NoColumn),
}

/// A column that an option names is not in the header, or there is no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, {line:?}, has no column {name:?}: {}", self.what(), self.advice())]
pub struct NoColumn {
    /// What the option calls it.
    pub name: String,
    /// The first line.
    pub line: String,
    /// Whether that was read as a header.
    pub is_header: bool,
}

impl NoColumn {
    const fn what(&self) -> &'static str {
        if self.is_header { "the header" } else { "the first line, which is no header" }
    }

    const fn advice(&self) -> &'static str {
        if self.is_header {
            "give one of its names, or the number of one"
        } else {
            "give a number, or say --header true if it is one"
        }
    }
}

/// A trace, event by event.
#[derive(Debug)]
pub struct Reader {
    lines: Lines,
    text: Vec<u8>,
    format: Format,
    columns: Option<Columns>,
    /// The column that is not there: then nothing is read.
    no_column: Option<NoColumn>,
    names: Names,
    delimiter: Option<u8>,
    header: Option<bool>,
    stamps: Stamps,
    wanted: Wanted,
    only: Option<Id>,
    /// The first stamp.
    origin: Option<i128>,
    latest: Instant,
    bad: BadLines,
    blank: u64,
    others: u64,
    usable: u64,
    backwards: u64,
    bar: ProgressBar,
}

impl Reader {
    /// Opens the trace that the options name, if they do.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(options: &TraceOptions, wanted: Wanted) -> Result<Option<Self>, TraceError> {
        let Some(path) = &options.trace else { return Ok(None) };
        let failed = |error| TraceError::Open { path: path.display().to_string(), error };
        if path.as_os_str() == "-" {
            let bar = spinner();
            return Self::new(bar.wrap_read(io::stdin()), bar, options, wanted)
                .map_err(failed)
                .map(Some);
        }
        let file = File::open(path).map_err(failed)?;
        let bar = bar(file.metadata().map_or(0, |data| data.len()));
        Self::new(bar.wrap_read(file), bar, options, wanted).map_err(failed).map(Some)
    }

    /// Of any input, without a progress bar.
    ///
    /// # Errors
    ///
    /// If its first bytes cannot be read.
    pub fn of(
        input: impl Read + 'static,
        options: &TraceOptions,
        wanted: Wanted,
    ) -> io::Result<Self> {
        Self::new(input, ProgressBar::hidden(), options, wanted)
    }

    fn new(
        input: impl Read + 'static,
        bar: ProgressBar,
        options: &TraceOptions,
        wanted: Wanted,
    ) -> io::Result<Self> {
        let TraceOptions { time_column, id_column, sequence_column, outcome_column, .. } = options;
        Ok(Self {
            lines: Lines::new(input)?,
            text: Vec::new(),
            format: options.format,
            columns: None,
            no_column: None,
            names: [time_column, id_column, sequence_column, outcome_column].map(Clone::clone),
            delimiter: options.delimiter,
            header: options.header,
            stamps: Stamps::new(options.unit.unwrap_or(Unit::Auto)),
            wanted: Wanted { id: wanted.id || options.only.is_some(), ..wanted },
            only: options.only.as_deref().map(Id::of),
            origin: None,
            latest: Instant::ZERO,
            bad: BadLines::new(options.all_bad_lines),
            blank: 0,
            others: 0,
            usable: 0,
            backwards: 0,
            bar,
        })
    }

    fn next_in(&mut self, text: &mut Vec<u8>) -> Option<Event> {
        while self.no_column.is_none() {
            let found = match self.lines.next(text) {
                Ok(None) => return None,
                Err(error) => {
                    self.add_bad(Reason::BreaksOff(error.to_string()));
                    return None;
                }
                Ok(Some(Length::TooMuch)) => Err(Reason::TooLong { max: MAX_LINE }),
                Ok(Some(Length::Fits)) if text.trim_ascii().is_empty() => {
                    self.blank += 1;
                    continue;
                }
                Ok(Some(Length::Fits)) => self.event(text),
            };
            match found {
                Ok(Some(event)) if self.only.is_some() && self.only != event.id => self.others += 1,
                Ok(Some(event)) => {
                    self.usable += 1;
                    self.backwards += u64::from(event.at < self.latest);
                    self.latest = self.latest.max(event.at);
                    return Some(event);
                }
                // A header, or no column.
                Ok(None) => {}
                Err(reason) => self.add_bad(reason),
            }
        }
        None
    }

    fn add_bad(&mut self, reason: Reason) {
        let (bad, number) = (&mut self.bad, self.lines.number());
        self.bar.suspend(|| bad.add(number, reason));
    }

    /// What one line says; `None` if it is a header, or is read in vain as it lacks a column.
    fn event(&mut self, text: &[u8]) -> Result<Option<Event>, Reason> {
        if self.format == Format::Auto {
            let is_json = text.trim_ascii_start().first() == Some(&b'{');
            self.format = if is_json { Format::Jsonl } else { Format::Csv };
        }
        if self.format == Format::Jsonl {
            let text = std::str::from_utf8(text).map_err(|_| Reason::NotUtf8)?;
            let cells = json::cells(text, &self.names)?;
            return interpret(&cells, self.wanted, &mut self.stamps, &mut self.origin).map(Some);
        }
        if self.columns.is_none() {
            match Columns::of(text, &self.names, self.delimiter, self.header)? {
                Ok((columns, is_header)) => {
                    self.columns = Some(columns);
                    if is_header {
                        return Ok(None);
                    }
                }
                Err(no_column) => self.no_column = Some(no_column),
            }
        }
        let Some(columns) = &mut self.columns else { return Ok(None) };
        let cells = columns.cells(text)?;
        interpret(&cells, self.wanted, &mut self.stamps, &mut self.origin).map(Some)
    }

    /// The column that the options name and the trace has not: then it has no events.
    pub const fn no_column(&self) -> Option<&NoColumn> {
        self.no_column.as_ref()
    }

    /// The lines that could not be used.
    pub const fn bad(&self) -> &BadLines {
        &self.bad
    }

    /// How many lines could be used.
    pub const fn usable(&self) -> u64 {
        self.usable
    }

    /// How many lines had nothing on them.
    pub const fn blank(&self) -> u64 {
        self.blank
    }

    /// How many lines had another id than the one that was asked for.
    pub const fn others(&self) -> u64 {
        self.others
    }

    /// How many times were earlier than one before them.
    pub const fn backwards(&self) -> u64 {
        self.backwards
    }

    /// What times are in, once one was read.
    pub const fn unit(&self) -> Unit {
        self.stamps.unit()
    }
}

impl Iterator for Reader {
    type Item = Event;

    /// The next line that can be used.
    fn next(&mut self) -> Option<Event> {
        // Taken out, so that the rest of this can be changed while it is looked at.
        let mut text = std::mem::take(&mut self.text);
        let event = self.next_in(&mut text);
        self.text = text;
        if event.is_none() {
            self.bar.finish_and_clear();
        }
        event
    }
}

fn interpret(
    cells: &Cells<'_>,
    wanted: Wanted,
    stamps: &mut Stamps,
    origin: &mut Option<i128>,
) -> Result<Event, Reason> {
    let id = if wanted.id { Some(Id::of(cells.need(Part::Id)?)) } else { None };
    let sequence = if wanted.sequence {
        let text = cells.need(Part::Sequence)?;
        Some(text.parse().map_err(|_| Reason::NotASequence(excerpt(text)))?)
    } else {
        None
    };
    let outcome = match cells.get(Part::Outcome) {
        Some(text) if wanted.outcome != Use::None => {
            Some(Outcome::of(text).ok_or_else(|| Reason::NotAnOutcome(excerpt(text)))?)
        }
        None if wanted.outcome == Use::Needed => return Err(Reason::Without(Part::Outcome.name())),
        _ => None,
    };
    // Last, as the first time that is read is the origin of all: a line that is bad for another reason is not.
    let time = cells.need(Part::Time)?;
    let nanos = stamps.nanos(time)?;
    let since = nanos - *origin.get_or_insert(nanos) + i128::from(FIRST.as_nanos());
    let far = || Reason::FarAway(excerpt(time));
    let at = u64::try_from(since).ok().filter(|at| *at < FAR).ok_or_else(far)?;
    Ok(Event { at: Instant::from_nanos(at), id, sequence, outcome })
}

/// 500 years after the first.
const FAR: u64 = FIRST.as_nanos() + 500 * 365 * 86_400 * 1_000_000_000;

fn bar(bytes: u64) -> ProgressBar {
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    styled(ProgressBar::new(bytes), style)
}

fn spinner() -> ProgressBar {
    styled(ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
