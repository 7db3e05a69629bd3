//! Real traffic: one event a line, as CSV or as JSON lines, plain or compressed by gzip.
//!
//! A line has a time, and may have an id, a sequence number and an outcome. Each is read, used and forgotten:
//! a trace may be longer than the memory. What cannot be used is counted, with its line number and a reason.

mod bad;
mod cells;
mod csv;
mod json;
mod lines;
mod options;
mod outcome;
mod reader;
mod stamp;

pub use self::bad::{BadLines, Reason};
pub use self::options::{Format, TraceOptions};
pub use self::outcome::Outcome;
pub use self::reader::{NoColumn, Reader, TraceError};
pub use self::stamp::Unit;

use steadfast_core::Instant;

/// What a line, or a simulated sender, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, on a clock whose origin is ten years before the first event: see [`FIRST`].
    pub at: Instant,
    /// Whose, or what.
    pub id: Option<Id>,
    /// Its place in a stream.
    pub sequence: Option<u64>,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

impl Event {
    /// At a time, and nothing else.
    pub const fn at(at: Instant) -> Self {
        Self { at, id: None, sequence: None, outcome: None }
    }
}

/// The time of the first event of a trace: later ones, and up to ten years earlier ones, have theirs.
pub const FIRST: Instant = Instant::from_nanos(10 * 365 * 86_400 * 1_000_000_000);

/// An id: a number if it is one of up to 64 bits, written without zeros in front.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number.
    Number(u64),
    /// Anything else.
    Text(Box<str>),
}

impl Id {
    /// What a cell says.
    pub fn of(text: &str) -> Self {
        let is_plain = text == "0" || !text.starts_with(['0', '+']);
        match text.parse() {
            Ok(number) if is_plain => Self::Number(number),
            _ => Self::Text(text.into()),
        }
    }
}

/// Which parts of a line somebody has a use for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// A line without an id is a bad one.
    pub id: bool,
    /// A line without a sequence number is a bad one.
    pub sequence: bool,
    /// What is done with outcomes.
    pub outcome: Use,
}

/// What is done with a part of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Use {
    /// It is not looked at.
    #[default]
    None,
    /// It is read where there is one.
    IfThere,
    /// A line without it is a bad one.
    Needed,
}
