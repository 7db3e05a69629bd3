//! Where events come from: a trace, or made-up traffic.

use crate::quantity::{count, part};
use crate::report::Report;
use crate::trace::{Event, Reader, TraceError, TraceOptions, Wanted};

/// Events, one after the other.
pub enum Source {
    /// Those of a trace.
    Trace(Box<Reader>),
    /// Made-up ones.
    Made(Box<dyn Iterator<Item = Event>>),
}

impl Source {
    /// The trace that the options name; without one, what `made` makes.
    ///
    /// # Errors
    ///
    /// If the trace cannot be opened.
    pub fn open<I>(
        options: &TraceOptions,
        wanted: Wanted,
        made: impl FnOnce() -> I,
    ) -> Result<Self, TraceError>
    where
        I: Iterator<Item = Event> + 'static,
    {
        Ok(match Reader::open(options, wanted)? {
            Some(reader) => Self::Trace(Box::new(reader)),
            None => Self::Made(Box::new(made())),
        })
    }

    /// Whether it is real traffic.
    pub const fn is_trace(&self) -> bool {
        matches!(self, Self::Trace(_))
    }

    /// Adds what the trace was like to a report, once it was read.
    ///
    /// # Errors
    ///
    /// If it has not the columns that the options name: that is known from its first line.
    pub fn account(&self, report: &mut Report) -> Result<(), TraceError> {
        let Self::Trace(reader) = self else { return Ok(()) };
        if let Some(no_column) = reader.no_column() {
            return Err(no_column.clone().into());
        }
        let bad = reader.bad();
        report.unusable = reader.usable() == 0;
        report.row("lines used", count(reader.usable()));
        report.row("times in", reader.unit().name());
        if reader.backwards() > 0 {
            let backwards = part(reader.backwards(), reader.usable());
            report.row("times earlier than one before", backwards);
        }
        if reader.others() > 0 {
            report.row("lines with other ids", count(reader.others()));
        }
        if reader.blank() > 0 {
            report.row("empty lines", count(reader.blank()));
        }
        report.row("bad lines", count(bad.count()));
        let say = |(line, reason): &(u64, _)| format!("line {line}: {reason}");
        report.bad_lines = bad.first().iter().map(say).collect();
        let hidden = bad.count() - bad.first().len() as u64;
        if hidden > 0 && !bad.first().is_empty() {
            report
                .bad_lines
                .push(format!("and {} more: --all-bad-lines shows them", count(hidden)));
        }
        Ok(())
    }
}

impl Iterator for Source {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        match self {
            Self::Trace(reader) => reader.next(),
            Self::Made(events) => events.next(),
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_trace() { "Trace" } else { "Made" })
    }
}
