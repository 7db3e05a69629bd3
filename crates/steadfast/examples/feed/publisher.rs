//! The publisher of ticks: it sends datagrams, and drops, repeats and delays some of them as planned; and
//! now and then it is gone for a moment and then begins a new session. What was sent, or should have been,
//! can be asked for while it is there: that was written down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::counts::Counts;
use crate::pace::Pace;
use crate::plan::{Fate, Plan, Session, TICK};
use crate::ticks::{Query, Standing, Tick};

/// A publisher, which ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    recovery: SocketAddr,
    books: Arc<Mutex<Books>>,
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) ranges: u64,
    pub(crate) ticks: u64,
    /// Ticks that had been sent.
    pub(crate) needless: u64,
}

#[derive(Debug, Default)]
struct Books {
    /// By epoch, those sessions of which there are ticks.
    sessions: BTreeMap<u64, Vec<Tick>>,
    /// Those that were not sent.
    lost: BTreeSet<(u64, u64)>,
    /// The last session is over.
    is_over: bool,
    /// The publisher is gone.
    is_gone: bool,
    /// On which it is being asked.
    line: Option<TcpStream>,
    asked: Asked,
    done: Counts,
}

impl Publisher {
    /// Answers who asks what there was, from now on.
    pub(crate) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let recovery = listener.local_addr()?;
        let books = Arc::default();
        let publisher = Self { recovery, books };
        let answering = publisher.clone();
        thread::Builder::new().name("recovery".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that breaks is its subscriber's to notice.
                let _broken = answering.recover(&stream);
            }
        })?;
        Ok(publisher)
    }

    /// Where to ask for what is missing.
    pub(crate) fn recovery(&self) -> SocketAddr {
        self.recovery
    }

    /// Publishes everything as planned.
    pub(crate) fn publish(&self, subscriber: SocketAddr, plan: &Plan) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(subscriber)?;
        let mut network = Network { socket, late: BTreeMap::new() };
        let pace = Pace::begin();
        let (mut place, mut price) = (0_u64, 108_450);
        for (session, number) in plan.sessions.iter().zip(1_u64..) {
            let &Session { epoch, begins, ticks } = session;
            pace.until(begins);
            self.books().is_gone = false;
            let mut at = begins;
            for number in 1..=ticks {
                pace.until(at);
                at += TICK;
                // A walk of one step up or down, looking random enough.
                let is_up = place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0;
                price = if is_up { price + 1 } else { price - 1 };
                let tick = Tick { epoch, number, price };
                let fate = plan.fates.get(&place).copied();
                self.books().enter(tick, fate);
                network.send(place, tick, fate);
                place += 1;
            }
            if number < plan.sessions.len() as u64 {
                self.books().crash();
            }
        }
        network.send_late(u64::MAX);
        self.books().is_over = true;
        Ok(())
    }

    /// What it has published.
    pub(crate) fn published(&self) -> Vec<Tick> {
        self.books().sessions.values().flatten().copied().collect()
    }

    pub(crate) fn asked(&self) -> Asked {
        self.books().asked
    }

    /// The faults that it has had.
    pub(crate) fn done(&self) -> Counts {
        self.books().done
    }

    /// Answers queries until the subscriber has no more.
    fn recover(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        {
            let mut books = self.books();
            if books.is_gone {
                return Ok(());
            }
            books.line = Some(stream.try_clone()?);
        }
        for line in BufReader::new(stream.try_clone()?).lines() {
            let Some(query) = Query::parse(&line?) else { return Ok(()) };
            let answer = self.books().answer(query);
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is between the publisher and its subscriber.
struct Network {
    socket: UdpSocket,
    /// The ticks that are under way, each with the place of the one that it comes after.
    late: BTreeMap<(u64, u64), Tick>,
}

impl Network {
    fn send(&mut self, place: u64, tick: Tick, fate: Option<Fate>) {
        match fate {
            None => self.deliver(tick),
            Some(Fate::Lost) => {}
            Some(Fate::Twice) => {
                self.deliver(tick);
                self.deliver(tick);
            }
            Some(Fate::Late(by)) => drop(self.late.insert((place + by, place), tick)),
        }
        self.send_late(place);
    }

    /// Those that come after `place`, or before.
    fn send_late(&mut self, place: u64) {
        while let Some(entry) = self.late.first_entry().filter(|entry| entry.key().0 <= place) {
            let tick = entry.remove();
            self.deliver(tick);
        }
    }

    fn deliver(&self, tick: Tick) {
        // A datagram that cannot be sent is one more that is lost.
        let _lost = self.socket.send(tick.to_string().as_bytes());
    }
}

impl Books {
    fn enter(&mut self, tick: Tick, fate: Option<Fate>) {
        match fate {
            None => {}
            Some(Fate::Lost) => {
                self.done.lost += 1;
                self.lost.insert((tick.epoch, tick.number));
            }
            Some(Fate::Twice) => self.done.repeated += 1,
            Some(Fate::Late(_)) => self.done.late += 1,
        }
        self.sessions.entry(tick.epoch).or_default().push(tick);
    }

    /// The publisher is gone until the next session, and its connections with it.
    fn crash(&mut self) {
        self.is_gone = true;
        self.done.restarts += 1;
        if let Some(line) = self.line.take() {
            // The subscriber may have left.
            let _gone = line.shutdown(Shutdown::Both);
        }
    }

    /// The answer to a query, line by line.
    fn answer(&mut self, query: Query) -> String {
        match query {
            Query::Range { epoch, first, last } => {
                let ticks = self.sessions.get(&epoch).map_or(&[][..], Vec::as_slice);
                let begin = ticks.partition_point(|tick| tick.number < first);
                let end = ticks.partition_point(|tick| tick.number <= last).max(begin);
                self.asked.ranges += 1;
                let mut answer = String::new();
                for tick in &ticks[begin..end] {
                    self.asked.ticks += 1;
                    let was_lost = self.lost.contains(&(epoch, tick.number));
                    self.asked.needless += u64::from(!was_lost);
                    answer.push_str(&tick.to_string());
                    answer.push('\n');
                }
                answer
            }
            Query::Session { epoch } => {
                let last = self.sessions.get(&epoch).map_or(0, |ticks| ticks.len() as u64);
                let next = self.sessions.range(epoch + 1..).next().map(|(epoch, _)| *epoch);
                let is_over = next.is_some() || self.is_over;
                let standing = if is_over { Standing::Over { last, next } } else { Standing::Open };
                format!("{standing}\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_over_when_there_is_a_tick_of_a_later_one() {
        let mut books = Books::default();
        let standing = |books: &mut Books, epoch| {
            Standing::parse(&books.answer(Query::Session { epoch })).expect("it is one")
        };
        assert_eq!(standing(&mut books, 0), Standing::Open);
        for (epoch, number) in [(5, 1), (5, 2), (9, 1)] {
            books.enter(Tick { epoch, number, price: 1 }, None);
        }
        assert_eq!(standing(&mut books, 0), Standing::Over { last: 0, next: Some(5) });
        assert_eq!(standing(&mut books, 5), Standing::Over { last: 2, next: Some(9) });
        assert_eq!(standing(&mut books, 9), Standing::Open);
        books.is_over = true;
        assert_eq!(standing(&mut books, 9), Standing::Over { last: 1, next: None });
    }

    #[test]
    fn what_is_asked_for_is_answered_and_what_was_sent_is_needless() {
        let mut books = Books::default();
        for (number, fate) in [(1, None), (2, Some(Fate::Lost)), (3, Some(Fate::Late(1)))] {
            books.enter(Tick { epoch: 4, number, price: number }, fate);
        }
        let range = Query::Range { epoch: 4, first: 2, last: 3 };
        assert_eq!(books.answer(range), "TICK 4 2 2\nTICK 4 3 3\n");
        let Asked { ranges, ticks, needless } = books.asked;
        assert_eq!((ranges, ticks, needless), (1, 2, 1));
        assert_eq!(books.answer(Query::Range { epoch: 4, first: 9, last: 3 }), "");
    }
}
