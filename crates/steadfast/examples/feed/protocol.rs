//! The lines that client and server exchange, so that one file says what both have to understand.
//!
//! | the client says | the server answers |
//! |---|---|
//! | `HELLO <client>` | `QUOTA <limit> PER <milliseconds>` |
//! | `GET <symbol>` | `QUOTE <sequence> <symbol> <bid> <ask>`, prices in hundred-thousandths |
//! | `PROBE <symbol>`, to see whether the server is well again | the same |
//! | either while the server is not well | `BUSY`, after a while |
//! | more than its quota | `CUT`, on every connection of that client, and closes them |
//! | anything else | `ERROR <reason>` |
//!
//! Every request has exactly one answer, and a connection sends its next request after that: what
//! [`margin`](crate::margin) derives rests on it.

use std::fmt;
use std::time::Duration;

/// The longest line, with its end; whoever sends a longer one is not talked to.
pub(crate) const LONGEST_LINE: u64 = 256;

/// What a server allows: at most `limit` requests of one client in any `window`, wherever the
/// window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) limit: u64,
    pub(crate) window: Duration,
}

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Hello(&'a str),
    Get(&'a str),
    Probe(&'a str),
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Quota(Quota),
    Quote(Quote),
    Busy,
    Cut,
    Error(String),
}

/// A price at a point of a symbol's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Counts the quotes of its symbol, without a gap, over all clients.
    pub(crate) sequence: u64,
    pub(crate) symbol: String,
    pub(crate) bid: u64,
    pub(crate) ask: u64,
}

impl<'a> Request<'a> {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["HELLO", client] => Some(Self::Hello(client)),
            ["GET", symbol] => Some(Self::Get(symbol)),
            ["PROBE", symbol] => Some(Self::Probe(symbol)),
            _ => None,
        }
    }
}

impl Reply {
    /// `None` if it is not one.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end();
        if let Some(reason) = line.strip_prefix("ERROR ") {
            return Some(Self::Error(reason.to_owned()));
        }
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["QUOTA", limit, "PER", window] => Some(Self::Quota(Quota {
                limit: limit.parse().ok()?,
                window: Duration::from_millis(window.parse().ok()?),
            })),
            ["QUOTE", sequence, symbol, bid, ask] => Some(Self::Quote(Quote {
                sequence: sequence.parse().ok()?,
                symbol: symbol.to_owned(),
                bid: bid.parse().ok()?,
                ask: ask.parse().ok()?,
            })),
            ["BUSY"] => Some(Self::Busy),
            ["CUT"] => Some(Self::Cut),
            _ => None,
        }
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(client) => write!(f, "HELLO {client}"),
            Self::Get(symbol) => write!(f, "GET {symbol}"),
            Self::Probe(symbol) => write!(f, "PROBE {symbol}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota(Quota { limit, window }) => {
                write!(f, "QUOTA {limit} PER {}", window.as_millis())
            }
            Self::Quote(Quote { sequence, symbol, bid, ask }) => {
                write!(f, "QUOTE {sequence} {symbol} {bid} {ask}")
            }
            Self::Busy => f.write_str("BUSY"),
            Self::Cut => f.write_str("CUT"),
            Self::Error(reason) => write!(f, "ERROR {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for request in [Request::Hello("me"), Request::Get("EURUSD"), Request::Probe("EURUSD")] {
            assert_eq!(Request::parse(&format!("{request}\n")), Some(request));
        }
        let quote = Quote { sequence: 7, symbol: "EURUSD".to_owned(), bid: 1, ask: 2 };
        let quota = Quota { limit: 3, window: Duration::from_millis(250) };
        let error = Reply::Error("no such symbol".to_owned());
        for reply in [Reply::Quota(quota), Reply::Quote(quote), Reply::Busy, Reply::Cut, error] {
            assert_eq!(Reply::parse(&format!("{reply}\n")), Some(reply));
        }
    }
}
