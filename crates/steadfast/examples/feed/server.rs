//! The quote server: it judges, by its own clock and its own count, whether the client kept within
//! its quota, and takes nothing the client says for it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::counts::Counts;
use crate::log::SlidingLog;
use crate::pace::{Pace, now, sleep};
use crate::plan::{Spell, Weather};
use crate::protocol::{LONGEST_LINE, Quota, Quote, Reply, Request};
use crate::weather::{Condition, Past};

/// What can be asked for, and the price it begins at.
pub(crate) const SYMBOLS: [(&str, u64); 4] =
    [("EURUSD", 108_450), ("GBPUSD", 127_310), ("AUDUSD", 66_120), ("USDCHF", 88_270)];

/// How long it takes to say that it is busy.
const GROAN: Duration = Duration::from_millis(10);
/// A running server. It ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    desk: Arc<Desk>,
}

/// What a server has seen of its clients.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Requests that arrived.
    pub(crate) arrived: u64,
    /// Those that got a quote.
    pub(crate) quoted: u64,
    /// Those that came when the window was full.
    pub(crate) violations: u64,
    /// The most that any window of any client held.
    pub(crate) busiest: u64,
    /// Of its bad times.
    pub(crate) past: Past,
}

/// What all connections share.
#[derive(Debug)]
struct Desk {
    quota: Quota,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    clients: HashMap<String, Account>,
    quotes: HashMap<&'static str, (u64, u64)>,
    connections: u64,
    condition: Condition,
}

/// One client, over all its connections.
#[derive(Debug)]
struct Account {
    log: SlidingLog,
    seen: Seen,
    cut: bool,
    connections: HashMap<u64, TcpStream>,
}

impl Server {
    /// Starts one on a free port of the loopback interface.
    pub(crate) fn start(quota: Quota) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk { quota, books: Mutex::default() });
        let shared = Arc::clone(&desk);
        thread::Builder::new().name("server".into()).spawn(move || {
            if let Err(error) = accept(&listener, &shared) {
                eprintln!("server: accepts nobody any more: {error}");
            }
        })?;
        Ok(Self { address, desk })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has its bad times as planned.
    pub(crate) fn endure(&self, spells: &[Spell]) {
        let pace = Pace::begin();
        for &Spell { begins, lasts, weather } in spells {
            pace.until(begins);
            self.desk.begin(weather);
            pace.until(begins + lasts);
            self.desk.books().condition.end();
        }
    }

    /// The faults that it has had.
    pub(crate) fn done(&self) -> Counts {
        let Past { illnesses, outages, .. } = self.desk.books().condition.past();
        Counts { unwell: illnesses, away: outages, ..Counts::default() }
    }

    /// How it is now.
    pub(crate) fn weather(&self) -> Option<Weather> {
        self.desk.books().condition.weather()
    }

    /// What it has seen so far, of all clients.
    pub(crate) fn seen(&self) -> Seen {
        let books = self.desk.books();
        let seen = Seen { past: books.condition.past(), ..Seen::default() };
        books.clients.values().fold(seen, |sum, client| Seen {
            arrived: sum.arrived + client.seen.arrived,
            quoted: sum.quoted + client.seen.quoted,
            violations: sum.violations + client.seen.violations,
            busiest: sum.busiest.max(client.log.busiest()),
            ..sum
        })
    }
}

/// A thread for each connection: the server's way of waiting is not the one under test either.
fn accept(listener: &TcpListener, desk: &Arc<Desk>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        if desk.books().condition.turns_away() {
            continue;
        }
        let desk = Arc::clone(desk);
        thread::Builder::new().name("connection".into()).spawn(move || {
            // A connection that breaks is its client's to notice.
            let _broken = desk.serve(&stream);
        })?;
    }
}

impl Desk {
    /// Whoever is away drops everybody first.
    fn begin(&self, weather: Weather) {
        let mut books = self.books();
        let Books { clients, condition, .. } = &mut *books;
        condition.begin(weather);
        if weather == Weather::Away {
            for connection in clients.values().flat_map(|account| account.connections.values()) {
                condition.dropped();
                // Ends the reading of its thread: what was read is answered, and nothing after it.
                let _gone = connection.shutdown(Shutdown::Read);
            }
        }
    }

    /// Talks until either side ends it, and leaves nothing of the connection behind.
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut client = None;
        let talked = self.talk(stream, &mut client);
        let was_cut = client.is_some_and(|(name, number)| self.close(&name, number));
        if was_cut {
            stream.write_all(format!("{}\n", Reply::Cut).as_bytes())?;
        }
        talked.and(stream.shutdown(Shutdown::Both))
    }

    fn talk(&self, mut stream: &TcpStream, client: &mut Option<(String, u64)>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        while next_line(&mut lines, &mut line)? {
            let reply = match (Request::parse(&line), &*client) {
                (Some(Request::Hello(name)), None) => {
                    let number = self.open(name, stream.try_clone()?);
                    *client = Some((name.to_owned(), number));
                    Reply::Quota(self.quota)
                }
                (Some(Request::Get(symbol)), Some((name, _))) => self.quote(name, symbol, false),
                (Some(Request::Probe(symbol)), Some((name, _))) => self.probe(name, symbol),
                (Some(Request::Hello(_)), Some(_)) => Reply::Error("one HELLO is enough".into()),
                (Some(Request::Get(_) | Request::Probe(_)), None) => {
                    Reply::Error("say HELLO first".into())
                }
                (None, _) => {
                    Reply::Error("neither HELLO <client> nor GET or PROBE <symbol>".into())
                }
            };
            if reply == Reply::Cut {
                break;
            }
            stream.write_all(format!("{reply}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Enters a connection into the account of a client.
    fn open(&self, name: &str, stream: TcpStream) -> u64 {
        let mut books = self.books();
        books.connections += 1;
        let number = books.connections;
        let account = books.clients.entry(name.to_owned()).or_insert_with(|| Account {
            log: SlidingLog::new(self.quota),
            seen: Seen::default(),
            cut: false,
            connections: HashMap::new(),
        });
        account.connections.insert(number, stream);
        number
    }

    /// Takes a connection out of the account, and says whether its client was cut off.
    fn close(&self, name: &str, number: u64) -> bool {
        let mut books = self.books();
        let Some(account) = books.clients.get_mut(name) else {
            return false;
        };
        account.connections.remove(&number);
        account.cut
    }

    fn probe(&self, name: &str, symbol: &str) -> Reply {
        self.books().condition.probe_comes();
        let reply = self.quote(name, symbol, true);
        self.books().condition.probe_goes();
        reply
    }

    fn quote(&self, name: &str, symbol: &str, is_probe: bool) -> Reply {
        let reply = self.answer(name, symbol, is_probe);
        if reply == Reply::Busy {
            sleep(GROAN);
        }
        reply
    }

    /// Counts a request, wherever it came from, and answers it.
    fn answer(&self, name: &str, symbol: &str, is_probe: bool) -> Reply {
        let mut books = self.books();
        let Books { clients, quotes, condition, .. } = &mut *books;
        let Some(account) = clients.get_mut(name) else {
            return Reply::Error("say HELLO first".into());
        };
        // Under the lock, so that the log is in order. A request can only be stamped late by that,
        // which the client's margin has to bear as any other delay.
        let kept = account.log.keeps_quota(now());
        account.seen.arrived += 1;
        if !kept {
            account.seen.violations += 1;
            account.cut = true;
            for other in account.connections.values() {
                // Ends the reading of its thread, which then says CUT. It may be gone already.
                let _gone = other.shutdown(Shutdown::Read);
            }
        }
        if account.cut {
            return Reply::Cut;
        }
        let Some(&(symbol, first_price)) = SYMBOLS.iter().find(|known| known.0 == symbol) else {
            return Reply::Error("no such symbol".into());
        };
        if !condition.can_answer(is_probe) {
            return Reply::Busy;
        }
        account.seen.quoted += 1;
        let (sequence, price) = quotes.entry(symbol).or_insert((0, first_price));
        *sequence += 1;
        // A walk of one step up or down, looking random enough.
        let up = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0;
        *price = if up { *price + 1 } else { (*price - 1).max(1) };
        let (sequence, bid) = (*sequence, *price);
        Reply::Quote(Quote { sequence, symbol: symbol.to_owned(), bid, ask: bid + 2 })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a line; `false` if there is none any more, or none that ends.
fn next_line(lines: &mut BufReader<TcpStream>, line: &mut String) -> io::Result<bool> {
    line.clear();
    lines.by_ref().take(LONGEST_LINE).read_line(line)?;
    Ok(line.ends_with('\n'))
}
