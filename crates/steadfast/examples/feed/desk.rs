//! The trading desk: it tells of every trade at least once, on two lines.
//!
//! Each line is a connection. As planned, the desk sends some trades twice, drops the connection now and
//! then, and begins again, on the next one, some trades before where it was: it does not know how many of
//! the last ones have arrived.
//!
//! | on the wire | means |
//! |---|---|
//! | `LINE <number>` | the client's first: which of the lines this is, from 1 |
//! | `TRADE <id> <quantity>` | a trade; its id is not a number in a sequence |
//! | `END` | all trades have been sent on this line |

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::counts::Counts;
use crate::pace::Pace;
use crate::plan::{Line, TRADE};
use crate::protocol::LONGEST_LINE;
use crate::trades::Trade;

/// A desk that is open. It ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// There is another trade, or there will be none.
    news: Condvar,
}

#[derive(Debug)]
struct Ledger {
    trades: Vec<Trade>,
    is_closed: bool,
    lines: Vec<Telling>,
    /// Sent, on both lines.
    messages: u64,
    done: Counts,
}

/// How far a line is.
#[derive(Debug)]
struct Telling {
    plan: Line,
    /// How many trades have been sent, and how many were at most.
    sent: u64,
    furthest: u64,
    /// How many of the breaks have been.
    breaks: usize,
}

/// What to do next on a line.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Tell { trade: Trade, times: usize },
    Break,
    End,
}

impl Desk {
    /// Opens one on a free port of the loopback interface.
    pub(crate) fn open(lines: &[Line]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { ledger: Mutex::new(Ledger::new(lines)), news: Condvar::new() });
        let serving = Arc::clone(&shared);
        thread::Builder::new().name("desk".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                // A connection that breaks is its client's to notice.
                thread::spawn(move || drop(serving.tell(&stream)));
            }
        })?;
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes so many trades, and then none any more.
    pub(crate) fn trade(&self, trades: u64) {
        let pace = Pace::begin();
        let mut at = Duration::ZERO;
        for number in 1..=trades {
            at += TRADE;
            pace.until(at);
            // Scattered, as ids are.
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.shared.ledger().trades.push(Trade { id, quantity: id >> 54 });
            self.shared.news.notify_all();
        }
        self.shared.ledger().is_closed = true;
        self.shared.news.notify_all();
    }

    /// All trades that were made.
    pub(crate) fn made(&self) -> Vec<Trade> {
        self.shared.ledger().trades.clone()
    }

    /// How many messages it has sent.
    pub(crate) fn messages(&self) -> u64 {
        self.shared.ledger().messages
    }

    /// The faults that it has had.
    pub(crate) fn done(&self) -> Counts {
        self.shared.ledger().done
    }
}

impl Shared {
    /// Tells of trades on one connection.
    fn tell(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line)?;
        let number = line.strip_prefix("LINE ").and_then(|number| number.trim().parse().ok());
        let Some(number) = number else { return Ok(()) };
        loop {
            match self.next(number) {
                Next::Tell { trade, times } => {
                    stream.write_all(format!("{trade}\n").repeat(times).as_bytes())?;
                }
                Next::Break => return Ok(()),
                Next::End => return stream.write_all(b"END\n"),
            }
        }
    }

    /// What to do next on a line, as soon as there is something.
    fn next(&self, line: usize) -> Next {
        let mut ledger = self.ledger();
        loop {
            if let Some(next) = ledger.next(line) {
                return next;
            }
            ledger = self.news.wait(ledger).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn new(lines: &[Line]) -> Self {
        let begin = |plan: &Line| Telling { plan: plan.clone(), sent: 0, furthest: 0, breaks: 0 };
        Self {
            trades: Vec::new(),
            is_closed: false,
            lines: lines.iter().map(begin).collect(),
            messages: 0,
            done: Counts::default(),
        }
    }

    /// `None` if there is nothing to do yet.
    fn next(&mut self, line: usize) -> Option<Next> {
        let Some(telling) = line.checked_sub(1).and_then(|line| self.lines.get_mut(line)) else {
            // There is no such line.
            return Some(Next::Break);
        };
        let planned = telling.plan.breaks.get(telling.breaks);
        if let Some(planned) = planned.filter(|planned| planned.after <= telling.sent) {
            telling.breaks += 1;
            telling.sent = telling.sent.saturating_sub(planned.replayed);
            self.done.broken += 1;
            return Some(Next::Break);
        }
        let trade = usize::try_from(telling.sent).ok().and_then(|sent| self.trades.get(sent));
        let Some(&trade) = trade else {
            return self.is_closed.then_some(Next::End);
        };
        let is_new = telling.sent == telling.furthest;
        let is_twice = is_new && telling.plan.twice.contains(&telling.sent);
        telling.sent += 1;
        telling.furthest = telling.furthest.max(telling.sent);
        let times = if is_twice { 2 } else { 1 };
        self.done.told_twice += u64::from(is_twice);
        // OK: one or two.
        self.messages += times as u64;
        Some(Next::Tell { trade, times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Break;

    #[test]
    fn a_line_repeats_breaks_and_replays_as_planned() {
        let breaks = vec![Break { after: 3, replayed: 2 }];
        let line = Line { twice: [1].into(), breaks };
        let mut ledger = Ledger::new(&[line]);
        ledger.trades = (0..4).map(|id| Trade { id, quantity: 1 }).collect();
        let mut told = Vec::new();
        while let Some(next) = ledger.next(1) {
            told.push(match next {
                Next::Tell { trade, times } => format!("{} x {times}", trade.id),
                Next::Break => "break".to_owned(),
                Next::End => "end".to_owned(),
            });
        }
        assert_eq!(told, ["0 x 1", "1 x 2", "2 x 1", "break", "1 x 1", "2 x 1", "3 x 1"]);
        ledger.is_closed = true;
        assert_eq!(ledger.next(1), Some(Next::End));
        assert_eq!(ledger.next(2), Some(Next::Break), "there is one line");
        assert_eq!((ledger.messages, ledger.done.told_twice, ledger.done.broken), (7, 1, 1));
    }
}
