//! The second stream: ticks that are published by datagrams, which get lost, and can be asked for again.
//!
//! | on the wire | means |
//! |---|---|
//! | `TICK <epoch> <number> <price>` | by datagram: in a session, ticks count from 1; each has a higher epoch than the one before |
//! | `RANGE <epoch> <first> <last>` | by TCP: send these again; the answer is so many `TICK` lines |
//! | `SESSION <epoch>` | by TCP: what has become of it? |
//! | `OPEN` | the answer: it goes on, or has not begun |
//! | `OVER <last> NEXT <epoch>` | the answer: that was its last tick, and another session has begun |
//! | `OVER <last> END` | the answer: that was the last of all |
//!
//! Session 0 is before all others and has no ticks.

use std::fmt;

/// A price at a point of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) price: u64,
}

/// What a subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    Range { epoch: u64, first: u64, last: u64 },
    Session { epoch: u64 },
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    Over { last: u64, next: Option<u64> },
}

impl Tick {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "TICK" {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        Some(Self { epoch: number()?, number: number()?, price: number()? })
    }
}

impl Query {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["RANGE", epoch, first, last] => Some(Self::Range {
                epoch: epoch.parse().ok()?,
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            }),
            ["SESSION", epoch] => Some(Self::Session { epoch: epoch.parse().ok()? }),
            _ => None,
        }
    }
}

impl Standing {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["OPEN"] => Some(Self::Open),
            ["OVER", last, "END"] => Some(Self::Over { last: last.parse().ok()?, next: None }),
            ["OVER", last, "NEXT", next] => {
                Some(Self::Over { last: last.parse().ok()?, next: Some(next.parse().ok()?) })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, number, price } = self;
        write!(f, "TICK {epoch} {number} {price}")
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { epoch, first, last } => write!(f, "RANGE {epoch} {first} {last}"),
            Self::Session { epoch } => write!(f, "SESSION {epoch}"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("OPEN"),
            Self::Over { last, next: None } => write!(f, "OVER {last} END"),
            Self::Over { last, next: Some(next) } => write!(f, "OVER {last} NEXT {next}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let tick = Tick { epoch: 2, number: 7, price: 108_450 };
        assert_eq!(Tick::parse(&format!("{tick}\n")), Some(tick));
        for query in [Query::Range { epoch: 1, first: 2, last: 3 }, Query::Session { epoch: 4 }] {
            assert_eq!(Query::parse(&format!("{query}\n")), Some(query));
        }
        let over = |next| Standing::Over { last: 5, next };
        for standing in [Standing::Open, over(None), over(Some(6))] {
            assert_eq!(Standing::parse(&format!("{standing}\n")), Some(standing));
        }
    }
}
