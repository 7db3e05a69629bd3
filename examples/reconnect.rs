//! Reconnecting for ever, but politely: four connections to one server share one backoff.
//!
//! `cargo run --example reconnect`

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use steadfast::backoff::{Backoff, Config, Jitter};
use steadfast::token_bucket::{self, Rate, TokenBucket};
use steadfast::{Clock, SystemClock};

/// The server sends 4,000 bytes a second, and each of four clients wants so many.
static PACE: TokenBucket =
    token_bucket::Config::new(Rate::per_second(4_000)).burst(4).build_static();
const WANTED: usize = 300;
/// Connections that came while the server was down.
static IN_VAIN: AtomicU64 = AtomicU64::new(0);

/// The server is well for 150 ms, then down for as long, and so on.
fn periods() -> u64 {
    SystemClock.now().as_nanos() / 150_000_000
}

/// Sends until the server is down: then whoever is connected is cut off, and whoever connects, too.
fn serve(mut stream: TcpStream) {
    // ORDERING: Relaxed, here and below; a count, which publishes nothing else.
    IN_VAIN.fetch_add(periods() % 2, Ordering::Relaxed);
    while periods() % 2 == 0 && PACE.acquire(1).wait().is_ok() && stream.write_all(b".").is_ok() {}
}

/// Reads all that it wants, over as many connections as it takes.
fn read(server: SocketAddr, reconnect: &Backoff) -> Option<u32> {
    let (mut received, mut connections, mut byte) = (0, 0, [0]);
    while received < WANTED {
        // In line with the others: one connects, and once that works, so do all who wait.
        let attempt = reconnect.acquire().wait().ok()?;
        let connection = TcpStream::connect(server).ok();
        let Some(mut stream) = connection.filter(|mut to| to.read_exact(&mut byte).is_ok()) else {
            attempt.failure();
            continue;
        };
        attempt.success();
        (connections, received) = (connections + 1, received + 1);
        while received < WANTED && stream.read_exact(&mut byte).is_ok() {
            received += 1;
        }
        if received < WANTED {
            // Lost. Whoever says so first begins the delays, for all.
            reconnect.broken();
        }
    }
    Some(connections)
}

fn main() -> Result<(), Box<dyn Error>> {
    let delays = Config::exponential(Duration::from_millis(5)).cap(Duration::from_millis(40));
    let reconnect = Backoff::new(delays.jitter(Jitter::Equal).unlimited().build()?);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let server = listener.local_addr()?;
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|to| drop(thread::spawn(|| serve(to))));
    });

    let connections: Vec<_> = thread::scope(|threads| {
        let clients: Vec<_> = (0..4).map(|_| threads.spawn(|| read(server, &reconnect))).collect();
        clients.into_iter().map(|client| client.join().ok().flatten()).collect()
    });
    let in_vain = IN_VAIN.load(Ordering::Relaxed);
    println!("connections: {connections:?}; attempts while the server was down: {in_vain}");
    assert!(connections.iter().all(Option::is_some), "all have read what they wanted");
    // Delays of at least 2.5, 5, 10, 20, 20, … ms are 11 attempts an outage, of all clients together; and
    // four may have been on their way when it began.
    assert!(in_vain <= (11 + 4) * periods().div_ceil(2));
    Ok(())
}
