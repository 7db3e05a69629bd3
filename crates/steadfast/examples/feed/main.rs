//! A feed of quotes within somebody else's quota: the job that all primitives do together.
//!
//! ```text
//! cargo run --release --example feed [-- [--seconds N] [--cheat]]
//! ```
//!
//! A server on the loopback interface publishes a quota, checks it with a sliding-window log that
//! has nothing in common with a token bucket, and cuts off a client that exceeds it. Now and then it
//! is not well and answers nobody for a moment, or drops all connections and is away. The client's
//! threads and tasks share one bucket, one breaker to leave it alone while it is not well, and one
//! backoff to reconnect, and have to get along with that. Beside it a publisher sends ticks by datagrams,
//! some of which are lost, repeated or out of order, and a subscriber has to get all of them in order. A desk
//! tells of trades on two lines, more than once, and each has to be booked once. The run ends with a table,
//! and with exit code 1 if anything was not as promised; `--cheat` shows that the server notices.
//!
//! | file | what it is about |
//! |---|---|
//! | `margin` | **which bucket keeps a quota that somebody else measures** |
//! | `client`, `worker` | sharing that bucket, a breaker and a backoff between threads and tasks |
//! | `downtime` | what the breaker did |
//! | `protocol`, `link` | the lines on the wire, and one question and answer |
//! | `server`, `log` | the judge |
//! | `ticks`, `publisher`, `subscriber` | a stream with gaps, and how to fill them |
//! | `desk`, `trades` | messages that come more than once, and how to book each once |
//! | `report` | the live line and the table |

mod client;
mod desk;
mod downtime;
mod link;
mod log;
mod margin;
mod protocol;
mod publisher;
mod report;
mod server;
mod subscriber;
mod ticks;
mod trades;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::client::{Client, FeedError, PROBES, TASKS, THREADS};
use crate::desk::Desk;
use crate::downtime::Downtime;
use crate::margin::Margin;
use crate::protocol::Quota;
use crate::publisher::Publisher;
use crate::report::{Progress, Report, Stream, Trading, thousands};
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::trades::{Book, joined};

/// What the server publishes.
const QUOTA: Quota = Quota { limit: 1_000, window: Duration::from_secs(1) };

const USAGE: &str = "usage: feed [--seconds N] [--cheat]   (N from 1 to 86400, default 5)";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Options {
    length: Duration,
    cheats: bool,
}

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("feed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as promised.
fn run(options: Options) -> Result<bool, FeedError> {
    let server = Server::start(QUOTA)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let client = Arc::new(Client::new(server.address(), options.length, options.cheats)?);
    introduce(&client)?;
    let mut downtime = Downtime::new(client.breaker.changes());

    let (sender, outcomes) = mpsc::channel();
    client.start(&runtime, &sender)?;
    drop(sender);
    let subscriber = Subscriber::new()?;
    let publisher = Arc::new(Publisher::start(subscriber.address()?)?);
    let (recovery, ends, ending) = (publisher.recovery(), client.ends, Arc::clone(&publisher));
    let subscription = thread::Builder::new()
        .name("subscriber".into())
        .spawn(move || subscriber.run(recovery, ends, || ending.end()))?;

    let desk = Desk::open()?;
    let book = Arc::new(Book::new(desk.address())?);
    let (first, second) = (Arc::clone(&book), Arc::clone(&book));
    let first_line =
        thread::Builder::new().name("line 1".into()).spawn(move || first.listen_as_thread(1))?;
    let second_line = runtime.spawn(async move { second.listen_as_task(2).await });

    let progress = Progress::new();
    let mut finished = Vec::new();
    let mut next_line = progress.interval();
    loop {
        downtime.catch_up();
        match outcomes.recv_timeout(next_line.saturating_sub(client.elapsed())) {
            Ok(outcome) => finished.push(outcome),
            Err(RecvTimeoutError::Timeout) => {
                progress.show(client.elapsed(), server.seen())?;
                next_line += progress.interval();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let elapsed = client.elapsed();
    downtime.catch_up();
    progress.end()?;

    let delivered = subscription.join().map_err(|_| FeedError::Panicked)??;
    let stream = Stream { published: publisher.published(), delivered };
    desk.close();
    joined(first_line.join())?;
    joined(runtime.block_on(second_line))?;
    let trading = Trading { told: desk.told(), booked: book.booked() };
    let missing = THREADS + TASKS - finished.len() as u64;
    let report = Report::new(&client, elapsed, server.seen(), &downtime, stream, trading, finished);
    let mut complaints = report.complaints();
    if missing > 0 {
        complaints.push(format!("{missing} of the workers panicked"));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "\n{report}")?;
    for complaint in &complaints {
        writeln!(out, "FAILED: {complaint}")?;
    }
    if complaints.is_empty() {
        writeln!(out, "all as promised")?;
    }
    Ok(complaints.is_empty())
}

fn introduce(client: &Client) -> io::Result<()> {
    let (quota, margin) = (client.quota, client.margin);
    let (limit, window) = (thousands(quota.limit), quota.window);
    let Margin { burst, rate, in_flight, .. } = margin;
    let most = burst + rate + in_flight;
    let [rate, most] = [rate, most].map(thousands);
    let mut out = io::stdout().lock();
    writeln!(out, "quota     {limit} requests in any {window:?}, says {}", client.server)?;
    writeln!(out, "workers   {THREADS} threads and {TASKS} tasks, one request each on its way")?;
    writeln!(out, "breaker   {PROBES} probes at once while the server is not well")?;
    writeln!(out, "bucket    {rate} per {window:?}, burst {burst}, empty at first")?;
    writeln!(out, "at most   {rate} + {burst} + {in_flight} on their way = {most} in a window\n")
}

impl Options {
    /// `None` if they cannot be understood.
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { length: Duration::from_secs(5), cheats: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => {
                    let seconds = words.next()?.parse().ok()?;
                    options.length =
                        (1..=86_400).contains(&seconds).then(|| Duration::from_secs(seconds))?;
                }
                "--cheat" => options.cheats = true,
                _ => return None,
            }
        }
        Some(options)
    }
}
