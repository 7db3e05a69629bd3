//! All five primitives in one client, over real sockets, with everything going wrong that can.
//!
//! ```text
//! cargo run --release --example feed [-- [--seed N] [--seconds N] [--faults LIST] [--cheat]]
//! ```
//!
//! A server on the loopback interface publishes a quota, checks it with a sliding-window log that
//! has nothing in common with a token bucket, and cuts off a client that exceeds it. Now and then it
//! is not well and answers nobody for a moment, or drops all connections and is away. The client's
//! threads and tasks share one bucket, one breaker to leave it alone while it is not well, and one
//! backoff to reconnect, and have to get along with that. Beside it a publisher sends ticks by datagrams,
//! some of which are lost, repeated or out of order; it restarts and counts from 1 again, and a subscriber
//! has to get all of them in order. A desk tells of trades on two lines that break, more than once, and each
//! has to be booked once.
//!
//! What goes wrong when is planned before the run and follows from `--seed`. The run ends with a table of
//! what was promised and what was seen, and with exit code 1 if a promise was broken; `--cheat` shows that
//! the server notices.
//!
//! | file | what it is about |
//! |---|---|
//! | `margin` | **which bucket keeps a quota that somebody else measures** |
//! | `client`, `worker` | sharing that bucket, a breaker and a backoff between threads and tasks |
//! | `downtime` | what the breaker did |
//! | `subscriber`, `recovery` | a stream with gaps and restarts, and how to fill them |
//! | `trades` | messages that come more than once, and how to book each once |
//! | `protocol`, `ticks`, `link` | the lines on the wire, and one question and answer |
//! | `server`, `log`, `weather` | the judge of the quota, and its bad times |
//! | `publisher`, `desk`, `pace` | those who make it hard |
//! | `plan`, `dice`, `counts` | what goes wrong when, from the seed |
//! | `audit`, `checks` | the promises |
//! | `options`, `faults` | the command line |
//! | `parts`, `error` | threads and tasks that end well, badly or not at all |
//! | `progress`, `report`, `text` | the live line and the table |

mod audit;
mod checks;
mod client;
mod counts;
mod desk;
mod dice;
mod downtime;
mod error;
mod faults;
mod link;
mod log;
mod margin;
mod options;
mod pace;
mod parts;
mod plan;
mod progress;
mod protocol;
mod publisher;
mod recovery;
mod report;
mod server;
mod subscriber;
mod text;
mod ticks;
mod trades;
mod weather;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use steadfast::backoff::{Random, Rng};
use steadfast::{Clock, SystemClock};
use tokio::runtime::{self, Runtime};

use crate::audit::Audit;
use crate::checks::Evidence;
use crate::client::{Client, PROBES, TASKS, THREADS};
use crate::counts::Counts;
use crate::desk::Desk;
use crate::downtime::Downtime;
use crate::error::FeedError;
use crate::link::PATIENCE;
use crate::margin::Margin;
use crate::options::{Options, USAGE};
use crate::parts::Parts;
use crate::plan::Plan;
use crate::progress::{Progress, Status};
use crate::protocol::Quota;
use crate::publisher::Publisher;
use crate::report::{Report, Trading};
use crate::server::Server;
use crate::subscriber::{Sink, Subscriber, lock};
use crate::text::thousands;
use crate::trades::Book;

/// What the server publishes.
const QUOTA: Quota = Quota { limit: 1_000, window: Duration::from_secs(1) };

/// How long after the end the run waits for its parts: longer than any of them waits for anything.
const GRACE: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// How often to look what the breaker did, which remembers some of it.
const GLANCE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("feed: {reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ran = runtime.map_err(FeedError::Io).and_then(|runtime| {
        let ran = run(&runtime, &options);
        // A task that hangs is told of, and not waited for.
        runtime.shutdown_background();
        ran
    });
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("feed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was as promised.
fn run(runtime: &Runtime, options: &Options) -> Result<bool, FeedError> {
    // Short enough to be typed again.
    let seed = options.seed.unwrap_or_else(|| Random::new().next_u64() % 1_000_000);
    let plan = Arc::new(Plan::new(seed, options.length, options.faults));
    let server = Server::start(QUOTA)?;
    let publisher = Publisher::open()?;
    let desk = Desk::open(&plan.lines)?;
    let book = Arc::new(Book::new(desk.address())?);
    let sink = Sink::default();
    let subscriber = Subscriber::new(publisher.recovery(), Arc::clone(&sink))?;
    let client = Arc::new(Client::new(server.address(), options.length, options.cheats)?);
    introduce(seed, options, &plan, &client)?;
    let mut downtime = Downtime::new(client.breaker.changes());

    let mut parts = Parts::new();
    client.start(runtime, &mut parts)?;
    let (enduring, planned) = (server.clone(), Arc::clone(&plan));
    parts.thread("weather", move || {
        enduring.endure(&planned.spells);
        Ok(())
    })?;
    let (publishing, planned, address) =
        (publisher.clone(), Arc::clone(&plan), subscriber.address()?);
    parts.thread("publisher", move || Ok(publishing.publish(address, &planned)?))?;
    let ends = client.ends;
    parts.thread("subscriber", move || subscriber.run(ends))?;
    let (trading, trades) = (desk.clone(), plan.trades);
    parts.thread("desk", move || {
        trading.trade(trades);
        Ok(())
    })?;
    let (first, second) = (Arc::clone(&book), Arc::clone(&book));
    parts.thread("line as a thread", move || first.listen_as_thread(1))?;
    parts.task(runtime, "line as a task", async move { second.listen_as_task(2).await });

    let progress = Progress::new();
    let mut next_line = progress.interval();
    let deadline = client.ends.saturating_add(GRACE);
    while parts.are_running() && SystemClock.now() < deadline {
        parts.wait(GLANCE);
        downtime.catch_up();
        let elapsed = client.elapsed();
        if elapsed >= next_line {
            next_line += progress.interval();
            let seen = server.seen();
            let (ticks, sessions) = {
                let sink = lock(&sink);
                (sink.ticks.len() as u64, sink.sessions)
            };
            progress.show(Status {
                elapsed,
                quotes: seen.quoted,
                ticks,
                sessions,
                trades: book.trades().len() as u64,
                weather: server.weather(),
                violations: seen.violations,
            })?;
        }
    }
    let elapsed = client.elapsed().min(options.length);
    progress.end()?;

    let seen = server.seen();
    let delivered = std::mem::take(&mut *lock(&sink));
    let evidence = Evidence {
        quota: QUOTA,
        seen,
        quoted: client.outcomes().iter().map(|outcome| outcome.quoted).sum(),
        ticks: Audit::of(&publisher.published(), &delivered.ticks),
        trades: Audit::of(&desk.made(), &book.trades()),
        planned: plan.counts(),
        done: Counts::sum(&[server.done(), publisher.done(), desk.done()]),
        ends: parts.end(),
    };
    let trading = Trading { messages: desk.messages(), left_out: book.left_out() };
    let asked = publisher.asked();
    let report = Report::new(&client, elapsed, &downtime, asked, &delivered, trading, &evidence);
    writeln!(io::stdout(), "\n{report}")?;
    Ok(report.is_good())
}

fn introduce(seed: u64, options: &Options, plan: &Plan, client: &Client) -> io::Result<()> {
    let Options { length, faults, .. } = options;
    let (quota, margin) = (client.quota, client.margin);
    let (limit, window) = (thousands(quota.limit), quota.window);
    let Margin { burst, rate, in_flight, .. } = margin;
    let most = burst + rate + in_flight;
    let [rate, most] = [rate, most].map(thousands);
    let mut out = io::stdout().lock();
    writeln!(out, "plan      {:016x} from --seed {seed}, for {length:?}", plan.digest())?;
    writeln!(out, "faults    {faults}")?;
    writeln!(out, "quota     {limit} requests in any {window:?}, says {}", client.server)?;
    writeln!(out, "workers   {THREADS} threads and {TASKS} tasks, one request each on its way")?;
    writeln!(out, "breaker   {PROBES} probes at once while the server is not well")?;
    writeln!(out, "bucket    {rate} per {window:?}, burst {burst}, empty at first")?;
    writeln!(out, "at most   {rate} + {burst} + {in_flight} on their way = {most} in a window\n")
}
