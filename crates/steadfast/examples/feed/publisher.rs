//! The publisher of ticks: it sends datagrams, and drops, repeats and reorders some of them on purpose;
//! and now and then it begins a new session. What was sent, or should have been, can be asked for.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::ticks::{Checksum, Query, Tick};

/// Between two ticks.
const PACE: Duration = Duration::from_micros(500);
/// Ticks of a session.
const SESSION: u64 = 2_000;

/// A running publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    recovery: SocketAddr,
    books: Arc<Mutex<Books>>,
    ends: Arc<AtomicBool>,
}

/// What it has done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    pub(crate) sessions: u64,
    pub(crate) dropped: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    /// Requests for ranges, and ticks that were asked for.
    pub(crate) requests: u64,
    pub(crate) asked_for: u64,
    /// Ticks that were asked for although they had been sent.
    pub(crate) needless: u64,
    pub(crate) checksum: Checksum,
}

#[derive(Debug)]
struct Books {
    /// The sessions, each with its ticks and whether they were sent.
    sessions: Vec<Vec<(Tick, bool)>>,
    /// The last session is over, too.
    is_over: bool,
    published: Published,
}

/// What becomes of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sent,
    Dropped,
    Twice,
    /// After the next.
    Late,
}

impl Publisher {
    /// Starts one that sends to `subscriber`.
    pub(crate) fn start(subscriber: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(subscriber)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let recovery = listener.local_addr()?;
        let published = Published {
            sessions: 0,
            dropped: 0,
            repeated: 0,
            reordered: 0,
            requests: 0,
            asked_for: 0,
            needless: 0,
            checksum: Checksum::NONE,
        };
        let books = Books { sessions: Vec::new(), is_over: false, published };
        let books = Arc::new(Mutex::new(books));
        let ends = Arc::new(AtomicBool::new(false));
        let (shared, ending) = (Arc::clone(&books), Arc::clone(&ends));
        thread::Builder::new()
            .name("publisher".into())
            .spawn(move || publish(&socket, &shared, &ending))?;
        let shared = Arc::clone(&books);
        thread::Builder::new().name("recovery".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that breaks is its subscriber's to notice.
                let _broken = recover(&stream, &shared);
            }
        })?;
        Ok(Self { recovery, books, ends })
    }

    /// Where to ask for what is missing.
    pub(crate) fn recovery(&self) -> SocketAddr {
        self.recovery
    }

    /// Publishes nothing any more, soon.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn published(&self) -> Published {
        lock(&self.books).published
    }
}

fn publish(socket: &UdpSocket, books: &Mutex<Books>, ends: &AtomicBool) {
    let mut dice = 0_u64;
    let mut price = 108_450;
    let mut late = None;
    'sessions: for session in 1.. {
        {
            let mut books = lock(books);
            books.sessions.push(Vec::new());
            books.published.sessions = session;
        }
        for number in 1..=SESSION {
            if ends.load(Ordering::Relaxed) {
                break 'sessions;
            }
            dice += 1;
            let rolled = dice.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            price = if rolled & 1 == 0 { price + 1 } else { price - 1 };
            let fate = match rolled % 100 {
                0 | 1 => Fate::Dropped,
                2 => Fate::Twice,
                3 if late.is_none() && number < SESSION => Fate::Late,
                _ => Fate::Sent,
            };
            let tick = Tick { session, number, price };
            lock(books).enter(tick, fate);
            let text = tick.to_string();
            // A datagram that cannot be sent is one more that is lost.
            match fate {
                Fate::Dropped => {}
                Fate::Late => late = Some(text),
                Fate::Sent | Fate::Twice => {
                    let _lost = socket.send(text.as_bytes());
                    if fate == Fate::Twice {
                        let _lost = socket.send(text.as_bytes());
                    }
                    if let Some(before) = late.take() {
                        let _lost = socket.send(before.as_bytes());
                    }
                }
            }
            sleep(PACE);
        }
    }
    lock(books).is_over = true;
}

impl Books {
    fn enter(&mut self, tick: Tick, fate: Fate) {
        let published = &mut self.published;
        published.checksum.add(tick);
        match fate {
            Fate::Sent => {}
            Fate::Dropped => published.dropped += 1,
            Fate::Twice => published.repeated += 1,
            Fate::Late => published.reordered += 1,
        }
        if let Some(session) = self.sessions.last_mut() {
            session.push((tick, fate != Fate::Dropped));
        }
    }

    /// The answer to a query, line by line.
    fn answer(&mut self, query: Query) -> String {
        let index = |session: u64| usize::try_from(session).unwrap_or(usize::MAX).wrapping_sub(1);
        match query {
            Query::Range { session, first, last } => {
                let ticks = self.sessions.get(index(session)).map_or(&[][..], Vec::as_slice);
                let asked = ticks.iter().filter(|(tick, _)| (first..=last).contains(&tick.number));
                let published = &mut self.published;
                published.requests += 1;
                let mut answer = String::new();
                for (tick, was_sent) in asked {
                    published.asked_for += 1;
                    published.needless += u64::from(*was_sent);
                    answer.push_str(&tick.to_string());
                    answer.push('\n');
                }
                answer
            }
            Query::Last { session } => {
                let is_over = self.is_over || session < self.sessions.len() as u64;
                let last = self.sessions.get(index(session)).map_or(0, Vec::len);
                if is_over { format!("{last}\n") } else { "0\n".to_owned() }
            }
        }
    }
}

/// Answers queries until the subscriber has no more.
fn recover(mut stream: &TcpStream, books: &Mutex<Books>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let Some(query) = Query::parse(&line?) else { return Ok(()) };
        let answer = lock(books).answer(query);
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "the judge has a clock of its own")]
fn sleep(time: Duration) {
    thread::sleep(time);
}
