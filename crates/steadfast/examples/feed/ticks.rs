//! The second stream: ticks that are published by datagrams, which get lost, and can be asked for again.
//!
//! | on the wire | means |
//! |---|---|
//! | `TICK <session> <number> <price>` | by datagram: in its session, ticks count from 1 |
//! | `RANGE <session> <first> <last>` | by TCP: send these again; the answer is so many `TICK` lines |
//! | `LAST <session>` | by TCP: the answer is the number of its last tick, once it is over |

use std::fmt;

/// A price at a point of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) session: u64,
    pub(crate) number: u64,
    pub(crate) price: u64,
}

/// What a subscriber asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Query {
    Range { session: u64, first: u64, last: u64 },
    Last { session: u64 },
}

impl Tick {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "TICK" {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        Some(Self { session: number()?, number: number()?, price: number()? })
    }
}

impl Query {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["RANGE", session, first, last] => Some(Self::Range {
                session: session.parse().ok()?,
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            }),
            ["LAST", session] => Some(Self::Last { session: session.parse().ok()? }),
            _ => None,
        }
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, number, price } = self;
        write!(f, "TICK {session} {number} {price}")
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { session, first, last } => write!(f, "RANGE {session} {first} {last}"),
            Self::Last { session } => write!(f, "LAST {session}"),
        }
    }
}

/// What both sides compute of the ticks in order: two streams with the same sum are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) ticks: u64,
    sum: u64,
}

impl Checksum {
    pub(crate) const NONE: Self = Self { ticks: 0, sum: 0xcbf2_9ce4_8422_2325 };

    /// FNV-1a, by words: an order of its own for each sequence.
    pub(crate) fn add(&mut self, tick: Tick) {
        self.ticks += 1;
        for word in [tick.session, tick.number, tick.price] {
            self.sum = (self.sum ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let tick = Tick { session: 2, number: 7, price: 108_450 };
        assert_eq!(Tick::parse(&format!("{tick}\n")), Some(tick));
        for query in [Query::Range { session: 1, first: 2, last: 3 }, Query::Last { session: 4 }] {
            assert_eq!(Query::parse(&format!("{query}\n")), Some(query));
        }
    }

    #[test]
    fn the_order_matters() {
        let tick = |number| Tick { session: 1, number, price: 5 };
        let sum_of = |numbers: [u64; 2]| {
            let mut sum = Checksum::NONE;
            for number in numbers {
                sum.add(tick(number));
            }
            sum
        };
        assert_ne!(sum_of([1, 2]), sum_of([2, 1]));
    }
}
