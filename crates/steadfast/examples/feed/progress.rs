//! The live line: rewritten in place on a terminal, one after the other elsewhere.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::plan::Weather;
use crate::text::{ratio, thousands};

/// Shows how things stand.
#[derive(Debug)]
pub(crate) struct Progress {
    in_place: bool,
}

/// How they stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) elapsed: Duration,
    pub(crate) quotes: u64,
    pub(crate) ticks: u64,
    pub(crate) sessions: u64,
    pub(crate) trades: u64,
    pub(crate) weather: Option<Weather>,
    pub(crate) violations: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { in_place: io::stdout().is_terminal() }
    }

    /// How long a line stays true enough.
    pub(crate) fn interval(&self) -> Duration {
        if self.in_place { Duration::from_millis(100) } else { Duration::from_secs(1) }
    }

    pub(crate) fn show(&self, status: Status) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.in_place {
            write!(out, "\r{status}\x1b[K")?;
        } else {
            writeln!(out, "{status}")?;
        }
        out.flush()
    }

    /// Makes room for what follows.
    pub(crate) fn end(&self) -> io::Result<()> {
        if self.in_place { write!(io::stdout(), "\r\x1b[K") } else { Ok(()) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match self.weather {
            None => "well",
            Some(Weather::Unwell) => "UNWELL",
            Some(Weather::Away) => "AWAY",
        };
        let [quotes, ticks, trades] = [self.quotes, self.ticks, self.trades].map(thousands);
        write!(
            f,
            "{:>6} s  quotes {quotes:<7} ticks {ticks:<7} in session {:<2} trades {trades:<7} {server:<6}",
            ratio(self.elapsed.as_millis(), 1_000, 1),
            self.sessions,
        )?;
        if self.violations > 0 {
            write!(f, "  {} VIOLATIONS", thousands(self.violations))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_a_terminal_of_80_columns() {
        let status = Status {
            elapsed: Duration::from_secs(10),
            quotes: 10_000,
            ticks: 20_000,
            sessions: 10,
            trades: 10_000,
            weather: Some(Weather::Unwell),
            violations: 0,
        };
        let line = status.to_string();
        assert!(line.len() < 80, "{line}");
        let cheated = Status { violations: 5, ..status }.to_string();
        assert!(cheated.ends_with("UNWELL  5 VIOLATIONS"), "{cheated}");
    }
}
