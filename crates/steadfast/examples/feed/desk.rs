//! The trading desk: it tells of every trade at least once, on two lines.
//!
//! Each line is a connection. The desk sends some trades twice, drops the connection now and then, and
//! begins again, on the next one, some trades before where it was: it does not know how many of the last
//! ones have arrived.
//!
//! | on the wire | means |
//! |---|---|
//! | `LINE <number>` | the client's first: which of the lines this is |
//! | `TRADE <id> <quantity>` | a trade; its id is not a number in a sequence |
//! | `END` | all trades have been sent on this line |

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::trades::Trade;

/// Between two trades.
const PACE: Duration = Duration::from_millis(1);
/// After so many on one connection, it is dropped.
const DROPS_AFTER: usize = 400;
/// How many trades before the last one it begins again.
const REPLAYED: usize = 60;
/// One in so many is sent twice.
const TWICE: usize = 16;

/// A desk that is open.
#[derive(Debug)]
pub(crate) struct Desk {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What it has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) trades: u64,
    pub(crate) quantity: u64,
    /// Messages, on both lines.
    pub(crate) messages: u64,
    pub(crate) dropped: u64,
}

#[derive(Debug, Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// There is another trade, or there will be none.
    news: Condvar,
    ends: AtomicBool,
}

#[derive(Debug, Default)]
struct Ledger {
    trades: Vec<Trade>,
    is_closed: bool,
    /// How many trades have been sent on each line.
    sent: HashMap<u64, usize>,
    told: Told,
}

impl Desk {
    /// Opens one on a free port of the loopback interface.
    pub(crate) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let trading = Arc::clone(&shared);
        thread::Builder::new().name("trades".into()).spawn(move || trading.trade())?;
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

    /// Trades nothing any more, soon.
    pub(crate) fn close(&self) {
        self.shared.ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn told(&self) -> Told {
        self.shared.ledger().told
    }
}

impl Shared {
    fn trade(&self) {
        let mut number = 0_u64;
        while !self.ends.load(Ordering::Relaxed) {
            sleep(PACE);
            number += 1;
            let mut ledger = self.ledger();
            // Scattered, as ids are.
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let trade = Trade { id, quantity: id >> 54 };
            ledger.trades.push(trade);
            ledger.told.trades += 1;
            ledger.told.quantity += trade.quantity;
            self.news.notify_all();
        }
        self.ledger().is_closed = true;
        self.news.notify_all();
    }

    /// Tells of trades on one connection.
    fn tell(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let number = line.strip_prefix("LINE ").and_then(|number| number.trim().parse().ok());
        let Some(number) = number else { return Ok(()) };
        for told in 0.. {
            if told == DROPS_AFTER {
                let mut ledger = self.ledger();
                ledger.told.dropped += 1;
                let sent = ledger.sent.entry(number).or_default();
                *sent = sent.saturating_sub(REPLAYED);
                return Ok(());
            }
            let Some((trade, is_twice)) = self.next(number) else { break };
            let message = format!("{trade}\n").repeat(if is_twice { 2 } else { 1 });
            stream.write_all(message.as_bytes())?;
        }
        stream.write_all(b"END\n")
    }

    /// The next trade to tell of on a line, and whether it is told twice; `None` when there is none.
    fn next(&self, line: u64) -> Option<(Trade, bool)> {
        let mut ledger = self.ledger();
        loop {
            let Ledger { trades, sent, told, is_closed } = &mut *ledger;
            let sent = sent.entry(line).or_default();
            if let Some(&trade) = trades.get(*sent) {
                let is_twice = *sent % TWICE == 0;
                *sent += 1;
                told.messages += if is_twice { 2 } else { 1 };
                return Some((trade, is_twice));
            }
            if *is_closed {
                return None;
            }
            ledger = self.news.wait(ledger).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the desk has a clock of its own")]
fn sleep(time: Duration) {
    thread::sleep(time);
}
