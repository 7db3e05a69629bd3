//! Tasks on async-std: messages that are delivered more than once, and handled once.
//!
//! `cargo run --example on_async_std`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_std::task;
use steadfast::deduplicator::{Acquired, Claims, Config};

/// What a handler needs: which messages were handled, with their receipts, and how often money moved.
struct Desk {
    payments: Claims<String>,
    attempts: AtomicU32,
    paid: AtomicU32,
}

impl Desk {
    /// Handles one delivery. An error means that the queue delivers it again.
    async fn handle(&self, message: u64) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self.payments.acquire(&message).timeout(Duration::from_secs(5)).await? {
            // Dropped by the `?`, the claim goes to whoever waits for it.
            Acquired::Claim(claim) => {
                let receipt = self.pay(message).await?;
                Ok(claim.commit_with(receipt)?.to_string())
            }
            // Somebody has done it, perhaps while this task stood in line. Here is what came of it.
            Acquired::Duplicate(done) => Ok(done.value.ok_or("without a receipt")?.to_string()),
        }
    }

    /// Every third attempt fails, before any money moved.
    async fn pay(&self, message: u64) -> Result<String, Box<dyn Error + Send + Sync>> {
        task::sleep(Duration::from_millis(2)).await;
        // ORDERING: Relaxed, here and below: nothing but the counts themselves is said by them.
        if self.attempts.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
            return Err("the bank did not answer".into());
        }
        let number = self.paid.fetch_add(1, Ordering::Relaxed);
        Ok(format!("receipt {number} for message {message}"))
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Of the last 10,000 messages none is handled twice; a handler has 30 seconds for each.
    let payments = Config::new(10_000).lease(Duration::from_secs(30)).claims()?;
    let desk = Arc::new(Desk { payments, attempts: 0.into(), paid: 0.into() });

    // A queue that delivers each of 50 messages to three consumers at once, and again if it must.
    let deliveries = (0..150).map(|delivery| {
        let desk = Arc::clone(&desk);
        task::spawn(async move {
            let message = delivery / 3;
            loop {
                if let Ok(receipt) = desk.handle(message).await {
                    return (message, receipt);
                }
            }
        })
    });
    let deliveries: Vec<_> = deliveries.collect();
    let mut receipts = vec![None; 50];
    for delivery in deliveries {
        let (message, receipt) = task::block_on(delivery);
        let first = receipts[usize::try_from(message)?].get_or_insert_with(|| receipt.clone());
        assert_eq!(*first, receipt, "all who asked got the same receipt");
    }
    let attempts = desk.attempts.load(Ordering::Relaxed);
    assert_eq!(desk.paid.load(Ordering::Relaxed), 50, "each message was paid exactly once");
    println!("150 deliveries of 50 messages, {attempts} attempts, 50 payments");
    Ok(())
}
