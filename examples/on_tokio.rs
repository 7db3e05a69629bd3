//! Tasks on tokio: a client that keeps to two quotas at once, and waits that are cut off.
//!
//! `cargo run --example on_tokio`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use steadfast::token_bucket::{AcquireError, Config, LimitSet, Rate};
use steadfast::{Clock, SystemClock};
use tokio::task::{JoinSet, yield_now};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What the server allows: 100 a second, 5 at once; and 1,200 a minute, 15 at once.
    let start = SystemClock.now();
    let quotas = Arc::new(LimitSet::build([
        Config::new(Rate::per_second(100)).burst(5),
        Config::new(Rate::per_minute(1_200)).burst(15),
    ])?);

    // Twenty tasks want one token each, of both limits or of none.
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let quotas = Arc::clone(&quotas);
        tasks.spawn(async move { quotas.acquire(1).await });
    }
    while let Some(granted) = tasks.join_next().await {
        granted??;
    }
    // 15 of the second limit were there, and the other 5 come at 20 a second.
    let took = SystemClock.now().saturating_duration_since(start);
    assert!(took >= Duration::from_millis(250), "{took:?} is too fast for the second limit");
    println!("20 requests in {took:?}, within both quotas");

    // What cannot come in time fails at once, and takes nothing: five tokens at 4 a second.
    let bucket = Arc::new(Config::new(Rate::per_second(4)).burst(5).build()?);
    bucket.acquire(5).await?;
    let late = bucket.acquire(5).timeout(Duration::from_millis(100)).await;
    assert!(matches!(late, Err(AcquireError::TimedOut { .. })));

    // Whoever is dropped while waiting loses its place, and delays nobody. The first in line wants five,
    // the second wants one.
    let waiting = |n| {
        let bucket = Arc::clone(&bucket);
        tokio::spawn(async move { bucket.acquire(n).await })
    };
    let first = waiting(5);
    while bucket.stats().line.waiting < 1 {
        yield_now().await;
    }
    let second = waiting(1);
    while bucket.stats().line.waiting < 2 {
        yield_now().await;
    }
    first.abort();
    second.await??;
    assert!(first.await.is_err_and(|ended| ended.is_cancelled()));
    println!("a wait was cut off, and the one behind it went ahead: {:?}", bucket.stats().line);
    Ok(())
}
