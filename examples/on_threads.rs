//! Threads: one breaker a host, a retry around it, and a budget that keeps an outage small.
//!
//! `cargo run --example on_threads`

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use steadfast::backoff::{self, Budget, BudgetConfig, Jitter, Policy};
use steadfast::circuit_breaker::{Config, Keyed, KeyedCallError, Phase};

const POLICY: Policy = backoff::Config::exponential(Duration::from_millis(2))
    .cap(Duration::from_millis(20))
    .jitter(Jitter::Full)
    .max_retries(4)
    .build_static();
// At most one retry for ten calls, and 10 ahead.
static BUDGET: Budget = BudgetConfig::new(0.1).burst(10).build_static();
const HOSTS: [&str; 3] = ["a.example", "b.example", "c.example"];

/// The network: the last host is down until told otherwise.
#[derive(Default)]
struct Network {
    is_up: AtomicBool,
    in_vain: AtomicU32,
}

impl Network {
    fn fetch(&self, host: &str) -> Result<usize, &'static str> {
        // ORDERING: Relaxed, here and below: a switch and a count, which publish nothing else.
        if host == HOSTS[2] && !self.is_up.load(Ordering::Relaxed) {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
            return Err("connection refused");
        }
        Ok(host.len())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let network = Network::default();
    // For up to 1,000 hosts: five failures in a row open a host's breaker for 100 ms.
    let breaking = Config::new()
        .consecutive_failures(5)
        .break_duration(Duration::from_millis(100))
        .close_after(1);
    let breakers = Keyed::<String>::new(breaking, 1_000)?;

    let fetch = |host: &str| {
        POLICY
            .retry(|_| breakers.call(host, || network.fetch(host)))
            // What was refused by the breaker is no failure of the host: no use in asking again.
            .when(|outcome| matches!(outcome, Err(KeyedCallError::Inner(_))))
            .budget(&BUDGET)
            .wait()
    };
    // 4 threads, 100 calls each to every host.
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for host in (0..100).flat_map(|_| HOSTS) {
                    assert_eq!(fetch(host).is_ok(), host != HOSTS[2], "{host}");
                }
            });
        }
    });
    let in_vain = network.in_vain.load(Ordering::Relaxed);
    println!("1,200 calls: the host that is down was called {in_vain} times, not 400 to 2,000");
    assert!(in_vain < 100);

    // It comes back. Whoever wants a probe waits for the end of the break, in line.
    network.is_up.store(true, Ordering::Relaxed);
    let breaker = breakers.get(HOSTS[2])?;
    breaker.acquire().timeout(Duration::from_secs(1)).wait()?.success();
    assert_eq!((breaker.phase(), fetch(HOSTS[2]).ok()), (Phase::Closed, Some(9)));
    println!("and when it was up again, one probe closed its breaker");
    Ok(())
}
