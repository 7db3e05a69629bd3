//! The shared backoff: attempts in flight are never more than there may be, and each place comes back.
//!
//! While the clock is still nothing is known to work, and nobody reports, so that this holds throughout. In
//! chaos attempts succeed and fail: then no attempt's number is higher than failures were reported.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_backoff::{
    Acquire, AcquireError, Attempt, Backoff, BackoffConfig, Config, TryAcquireError,
};
use steadfast_core::ManualClock;

use crate::laws::{Count, Tally};
use crate::subject::{Subject, Work};
use crate::weather::{Chaos, Weather};
use crate::worker::{Held, Worker};

pub(crate) struct BackoffSoak {
    backoff: Arc<Backoff<ManualClock>>,
    places: u32,
    chaos: Chaos,
    tally: Arc<Tally>,
    weather: Mutex<Weather>,
    held: Held,
    failures: Count,
}

impl BackoffSoak {
    pub(crate) fn new(tally: Arc<Tally>, random: &mut Rng) -> Self {
        let chaos = Chaos::new();
        let places = random.u32(1..=3);
        let policy = Config::exponential(Duration::from_millis(1))
            .cap(Duration::from_millis(50))
            .unlimited()
            .build()
            .expect("valid");
        let backoff = BackoffConfig::new(policy)
            .max_in_flight(places)
            .reset_after(Duration::from_millis(20))
            .build_with(chaos.clock.clone())
            .expect("valid");
        Self {
            backoff: Arc::new(backoff),
            places,
            chaos,
            tally,
            weather: Mutex::new(Weather::Still),
            held: Held::default(),
            failures: Count::default(),
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics with it")
    }

    /// As many places as there may be, and not one more.
    fn every_place_is_free(&self) {
        let mut attempts = Vec::new();
        for place in 1..=self.places {
            let attempt = self.backoff.try_acquire();
            self.tally.law(attempt.is_ok(), || format!("place {place} of {} is lost", self.places));
            attempts.extend(attempt);
        }
        let more = self.backoff.try_acquire();
        let is_busy = matches!(more, Err(TryAcquireError::Busy));
        self.tally.law(is_busy, || format!("{} attempts are in flight, and {more:?}", self.places));
    }

    async fn step(&self, worker: &mut Worker, weather: Weather) {
        let attempt = if worker.random.u8(..4) == 0 {
            Attempt::try_new(Arc::clone(&self.backoff)).ok()
        } else {
            let mut wait = Acquire::new(Arc::clone(&self.backoff), ());
            if weather == Weather::Chaos && worker.random.bool() {
                wait = wait.timeout(Duration::from_micros(worker.random.u64(..20_000)));
            }
            match worker.end(wait).await {
                None => return,
                Some(Err(AcquireError::TimedOut { .. })) => return self.tally.timed_out.one(),
                Some(answer) => answer.ok(),
            }
        };
        let Some(attempt) = attempt else {
            self.tally.refused.one();
            return worker.rest().await;
        };
        self.tally.granted.one();
        match weather {
            Weather::Still => {
                let (held, places) = (self.held.add(1), self.places);
                self.tally
                    .law(held <= u64::from(places), || format!("{held} attempts of {places}"));
                worker.hold().await;
                self.held.sub(1);
                if worker.random.u8(..16) == 0 {
                    worker.panic_with(attempt);
                }
            }
            Weather::Chaos => {
                let (number, failures) = (u64::from(attempt.number()), self.failures.get());
                self.tally.law(number <= failures, || {
                    format!("attempt number {number} after {failures} failures")
                });
                worker.hold().await;
                match worker.random.u8(..16) {
                    0 => worker.panic_with(attempt),
                    1 => drop(attempt),
                    2..8 => {
                        self.failures.one();
                        attempt.failure();
                    }
                    8 => {
                        self.failures.one();
                        attempt.success();
                        self.backoff.broken();
                    }
                    _ => attempt.success(),
                }
            }
        }
    }
}

impl Subject for BackoffSoak {
    fn begin(&self, weather: Weather) {
        self.chaos.forward(Duration::from_secs(7_200), |_| {});
        self.backoff.reset();
        self.held.set(0);
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
        self.chaos.step(random, |_| {});
        if random.u16(..500) == 0 {
            self.backoff.reset();
        }
    }

    fn release(&self) {
        self.chaos.end_sleeps(|_| {});
    }

    fn close(&self) {
        self.backoff.stop();
    }

    fn settle(&self) {
        let waiting = self.backoff.stats().waiting;
        self.tally.law(waiting == 0, || format!("{waiting} wait, and nobody is there"));
        if self.backoff.is_stopped() {
            return;
        }
        if self.weather() == Weather::Chaos {
            self.backoff.reset();
        }
        self.every_place_is_free();
        self.every_place_is_free();
    }
}
