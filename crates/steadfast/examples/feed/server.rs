//! The quote server: it judges, by its own clock and its own count, whether the client kept within
//! its quota, and takes nothing the client says for it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::log::SlidingLog;
use crate::protocol::{LONGEST_LINE, Quota, Quote, Reply, Request};

/// What can be asked for, and the price it begins at.
pub(crate) const SYMBOLS: [(&str, u64); 4] =
    [("EURUSD", 108_450), ("GBPUSD", 127_310), ("AUDUSD", 66_120), ("USDCHF", 88_270)];

/// How long the server is well, not well, and well again, before it is away.
const WELL: Duration = Duration::from_millis(600);
const UNWELL: Duration = Duration::from_millis(300);
const WELL_AGAIN: Duration = Duration::from_millis(600);
const AWAY: Duration = Duration::from_millis(120);

/// How long it takes to say that it is busy.
const GROAN: Duration = Duration::from_millis(10);
/// How long after it became unwell a client may still send what it had begun before it noticed. From
/// then on the server counts how much of it comes at once.
const NOTICE: Duration = Duration::from_millis(60);

/// A running server. It ends with the process.
#[derive(Debug)]
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
    /// Connections that it dropped.
    pub(crate) dropped: u64,
    /// Connections that it did not accept while it was away.
    pub(crate) turned_away: u64,
    /// How often it was away, and how long in all.
    pub(crate) outages: u64,
    pub(crate) away: Duration,
    /// What it saw of the times when it was not well.
    pub(crate) illness: Illness,
}

/// What a server has seen of the times when it was not well.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Illness {
    /// How often, and for how long in all.
    pub(crate) times: u64,
    pub(crate) unwell: Duration,
    /// Requests that it could not answer.
    pub(crate) busy: u64,
    /// The most of them at once, after the client had time to notice.
    pub(crate) most_at_once: u64,
    /// How long it was well again before it was asked for the first quote: the longest time.
    pub(crate) longest_recovery: Duration,
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
    is_away: bool,
    dropped: u64,
    turned_away: u64,
    outages: u64,
    away: Duration,
    illness: Illness,
    unwell_since: Option<Instant>,
    /// Nobody has got a quote since.
    well_since: Option<Instant>,
    /// Requests that it is trying to answer while it is not well, beyond those of the beginning.
    at_once: u64,
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
        let shared = Arc::clone(&desk);
        thread::Builder::new().name("outages".into()).spawn(move || {
            loop {
                sleep(WELL);
                shared.illness();
                sleep(WELL_AGAIN);
                shared.outage();
            }
        })?;
        Ok(Self { address, desk })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far, of all clients.
    pub(crate) fn seen(&self) -> Seen {
        let books = self.desk.books();
        let &Books { dropped, turned_away, outages, away, illness, .. } = &*books;
        let seen = Seen { dropped, turned_away, outages, away, illness, ..Seen::default() };
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
        if desk.turns_away() {
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
    /// Is there and answers nobody for a while.
    fn illness(&self) {
        self.books().unwell_since = Some(now());
        sleep(UNWELL);
        let mut books = self.books();
        books.unwell_since = None;
        books.well_since = Some(now());
        books.illness.times += 1;
        books.illness.unwell += UNWELL;
    }

    /// Tries to answer a request while it is not well.
    fn groan(&self) {
        let counts = {
            let mut books = self.books();
            books.illness.busy += 1;
            let counts =
                books.unwell_since.is_some_and(|since| now().duration_since(since) >= NOTICE);
            books.at_once += u64::from(counts);
            books.illness.most_at_once = books.illness.most_at_once.max(books.at_once);
            counts
        };
        sleep(GROAN);
        self.books().at_once -= u64::from(counts);
    }

    /// Drops everybody and is away for a while.
    fn outage(&self) {
        {
            let mut books = self.books();
            books.is_away = true;
            let Books { clients, dropped, .. } = &mut *books;
            for connection in clients.values().flat_map(|account| account.connections.values()) {
                *dropped += 1;
                // Ends the reading of its thread: what was read is answered, and nothing after it.
                let _gone = connection.shutdown(Shutdown::Read);
            }
        }
        sleep(AWAY);
        let mut books = self.books();
        books.is_away = false;
        books.outages += 1;
        books.away += AWAY;
    }

    /// Whether it is away, and nobody is let in.
    fn turns_away(&self) -> bool {
        let mut books = self.books();
        books.turned_away += u64::from(books.is_away);
        books.is_away
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
                (Some(Request::Get(symbol)), Some((name, _))) => self.answer(name, symbol),
                (Some(Request::Hello(_)), Some(_)) => Reply::Error("one HELLO is enough".into()),
                (Some(Request::Get(_)), None) => Reply::Error("say HELLO first".into()),
                (None, _) => Reply::Error("neither HELLO <client> nor GET <symbol>".into()),
            };
            if reply == Reply::Cut {
                break;
            }
            if reply == Reply::Busy {
                self.groan();
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

    /// Counts a request, wherever it came from, and answers it.
    fn answer(&self, name: &str, symbol: &str) -> Reply {
        let mut books = self.books();
        let Books { clients, quotes, illness, unwell_since, well_since, .. } = &mut *books;
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
        if unwell_since.is_some() {
            return Reply::Busy;
        }
        if let Some(since) = well_since.take() {
            illness.longest_recovery = illness.longest_recovery.max(now().duration_since(since));
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

#[expect(clippy::disallowed_methods, reason = "the judge has a clock of its own")]
fn sleep(time: Duration) {
    thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "the judge has a clock of its own")]
fn now() -> Instant {
    Instant::now()
}
