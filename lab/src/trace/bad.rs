//! Lines that could not be used.

use std::io::Write as _;

/// How many bad lines are kept to be shown.
const SHOWN: usize = 10;

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Bytes that are no text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// More than a line is allowed to have.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// What is allowed.
        max: usize,
    },
    /// CSV with a quote that does not end in the line.
    #[error("a quote is opened and not closed")]
    OpenQuote,
    /// Not JSON, in the parser's words.
    #[error("it is no JSON object: {0}")]
    NotJson(String),
    /// A list or an object where text or a number is expected.
    #[error("its {0} is neither text nor a number")]
    NotScalar(&'static str),
    /// Something that is needed is not there.
    #[error("it has no {0}")]
    Without(&'static str),
    /// A time that is none.
    #[error("{0:?} is no time: neither a number nor RFC 3339")]
    NotATime(String),
    /// A number in one unit after numbers in another.
    #[error(
        "{text:?} looks like a time in {found}, and the trace is in {unit}: say which with --unit"
    )]
    OtherUnit {
        /// What is written.
        text: String,
        /// What it looks like.
        found: &'static str,
        /// What the first line was.
        unit: &'static str,
    },
    /// Too far from the first line.
    #[error("{0:?} is more than 10 years before, or 500 years after the first line")]
    FarAway(String),
    /// A sequence number that is none.
    #[error("{0:?} is no sequence number: a whole number of up to 64 bits")]
    NotASequence(String),
    /// An outcome that is none.
    #[error(
        "{0:?} is no outcome: ok, error, slow, ignored, or a status code from 100 to 599, for example"
    )]
    NotAnOutcome(String),
    /// The input ends in the middle, or cannot be read.
    #[error("the input breaks off here: {0}")]
    BreaksOff(String),
}

/// As much of a cell as is shown: a cell may be a megabyte.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How many lines could not be used, and the first of them.
#[derive(Debug, Clone, Default)]
pub struct BadLines {
    count: u64,
    first: Vec<(u64, Reason)>,
    all: bool,
}

impl BadLines {
    /// None yet; with `all`, each is written to standard error when it is found.
    pub(super) const fn new(all: bool) -> Self {
        Self { count: 0, first: Vec::new(), all }
    }

    pub(super) fn add(&mut self, line: u64, reason: Reason) {
        self.count += 1;
        if self.all {
            // Whoever reads it may have stopped.
            let _closed = writeln!(std::io::stderr(), "line {line}: {reason}");
        } else if self.first.len() < SHOWN {
            self.first.push((line, reason));
        }
    }

    /// How many.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first ten with their numbers, unless all were shown already.
    pub fn first(&self) -> &[(u64, Reason)] {
        &self.first
    }
}
