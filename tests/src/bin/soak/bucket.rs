//! The token bucket: tokens in are tokens out.
//!
//! While the clock is still, nothing accrues, and the bucket is a pool: those who hold tokens never hold
//! more than there were, and when all have given back, as many are there. In chaos, tokens granted less
//! those given back are never more than have accrued, however the clock came to where it is.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_core::ManualClock;
use steadfast_token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket, TryAcquireError};

use crate::laws::Tally;
use crate::subject::{Subject, Work};
use crate::weather::{Chaos, Move, Weather};
use crate::worker::{Held, WORKERS, Worker};

/// Rates a second, and bursts.
const LIMITS: [(u64, u64); 3] = [(1_000, 8), (5_000, 20), (20_000, 64)];
const FASTEST: u64 = 20_000;
const LARGEST: u64 = 64;
const MOST_AT_ONCE: u64 = 4;
const WHOLE: u64 = 1_000_000_000;

pub(crate) struct BucketSoak {
    bucket: Arc<TokenBucket<ManualClock>>,
    chaos: Chaos,
    tally: Arc<Tally>,
    weather: Mutex<Weather>,
    /// What is held while it is still, and how much there is.
    held: Held,
    pool: Held,
    /// In chaos: granted less given back; and what there may have been, in billionths.
    net: Held,
    accrued: AtomicU64,
}

fn config((rate, burst): (u64, u64)) -> Config {
    Config::new(Rate::per_second(rate)).burst(burst)
}

impl BucketSoak {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        let chaos = Chaos::new();
        let bucket = config(LIMITS[1]).build_with(chaos.clock.clone()).expect("valid");
        Self {
            bucket: Arc::new(bucket),
            chaos,
            tally,
            weather: Mutex::new(Weather::Still),
            held: Held::default(),
            pool: Held::default(),
            net: Held::default(),
            accrued: AtomicU64::new(0),
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics with it")
    }

    /// What moves of the clock bring at most. Stale readings of a time that is no longer believed fill the
    /// bucket once each.
    fn account(&self, movement: Move) {
        let brought = match movement {
            Move::Forward(by) => {
                let brought = by.as_nanos() * u128::from(FASTEST);
                u64::try_from(brought).unwrap_or(u64::MAX).min(LARGEST * WHOLE)
            }
            Move::Believed => (WORKERS as u64 + 2) * LARGEST * WHOLE,
            Move::Stay | Move::Back => 0,
        };
        self.accrued.fetch_add(brought, SeqCst);
    }

    async fn step(&self, worker: &mut Worker, weather: Weather) {
        let n = worker.random.u64(1..=MOST_AT_ONCE);
        let granted = if worker.random.u8(..4) == 0 {
            let tried = self.bucket.try_acquire(n);
            self.tally.law(!matches!(tried, Err(TryAcquireError::ExceedsBurst { .. })), || {
                format!("{n} exceed a burst of {}", self.bucket.burst())
            });
            tried.is_ok()
        } else {
            let mut wait = Acquire::new(Arc::clone(&self.bucket), n);
            if weather == Weather::Chaos && worker.random.bool() {
                wait = wait.timeout(Duration::from_micros(worker.random.u64(..20_000)));
            }
            match worker.end(wait).await {
                None => return,
                Some(Err(AcquireError::TimedOut { .. })) => return self.tally.timed_out.one(),
                Some(answer) => answer.is_ok(),
            }
        };
        if !granted {
            self.tally.refused.one();
            return worker.rest().await;
        }
        self.tally.granted.one();
        match weather {
            Weather::Still => {
                let (held, pool) = (self.held.add(n), self.pool.get());
                self.tally.law(held <= pool, || format!("{held} tokens held of {pool}"));
                worker.hold().await;
                self.held.sub(n);
                self.bucket.refund(n);
            }
            Weather::Chaos => {
                let net = self.net.add(n);
                let most = self.accrued.load(SeqCst) / WHOLE;
                self.tally.law(net <= most, || format!("{net} tokens granted of {most} accrued"));
                if worker.random.u8(..4) == 0 {
                    worker.hold().await;
                    self.net.sub(n);
                    self.bucket.refund(n);
                }
            }
        }
    }
}

impl Subject for BucketSoak {
    fn begin(&self, weather: Weather) {
        // Whatever the clock did before: a try believes it, and two hours fill the bucket.
        let _tried = self.bucket.try_acquire(1);
        self.chaos.forward(Duration::from_secs(7_200), |_| {});
        let (available, burst) = (self.bucket.available(), self.bucket.burst());
        self.tally.law(available == burst, || format!("{available} of {burst} after two hours"));
        self.held.set(0);
        self.pool.set(available);
        self.net.set(0);
        self.accrued.store((available + 1) * WHOLE, SeqCst);
        *self.weather.lock().expect("nobody panics with it") = weather;
    }

    fn work(self: Arc<Self>, mut worker: Worker) -> Work {
        Box::pin(async move {
            let weather = self.weather();
            while worker.goes_on() {
                self.step(&mut worker, weather).await;
            }
        })
    }

    fn disturb(&self, random: &mut Rng) {
        self.chaos.step(random, |movement| self.account(movement));
        if random.u8(..50) == 0 {
            let limits = LIMITS[random.usize(..LIMITS.len())];
            self.bucket.reconfigure(&config(limits)).expect("valid");
        }
    }

    fn release(&self) {
        self.chaos.end_sleeps(|movement| self.account(movement));
    }

    fn close(&self) {
        self.bucket.close();
    }

    fn settle(&self) {
        let waiting = self.bucket.stats().line.waiting;
        self.tally.law(waiting == 0, || format!("{waiting} wait, and nobody is there"));
        if self.weather() == Weather::Still {
            let (available, pool) = (self.bucket.available(), self.pool.get());
            self.tally.law(available == pool, || format!("{available} tokens came back of {pool}"));
        }
    }
}
