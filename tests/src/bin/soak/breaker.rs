//! The circuit breaker: probes in flight are never more than there may be, and each place comes back.
//!
//! While the clock is still the breaker is half-open, and remains so because no probe reports. In chaos it
//! goes through all phases: its changes are numbered without a gap and lead on from each other, and it
//! counted what its callers counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_circuit_breaker::{
    Acquire, AcquireError, Change, Changes, CircuitBreaker, Config, Permit, Phase, TryAcquireError,
    Window,
};
use steadfast_core::ManualClock;

use crate::laws::{Count, Tally};
use crate::subject::{Subject, Work};
use crate::weather::{Chaos, Weather};
use crate::worker::{Held, Worker};

type Shared = CircuitBreaker<ManualClock>;

pub(crate) struct BreakerSoak {
    breaker: Arc<Shared>,
    probes: u32,
    chaos: Chaos,
    tally: Arc<Tally>,
    weather: Mutex<Weather>,
    held: Held,
    permitted: Count,
    rejected: Count,
    changes: Mutex<(Changes, Option<Change>)>,
}

impl BreakerSoak {
    pub(crate) fn new(tally: Arc<Tally>, random: &mut Rng) -> Self {
        let chaos = Chaos::new();
        let probes = random.u32(1..=3);
        let breaker = Config::new()
            .consecutive_failures(5)
            .failure_rate(0.5, Window::calls(100).minimum(20))
            .break_duration(Duration::from_millis(10))
            .probes(probes)
            .close_after(3)
            .probe_timeout(Duration::from_millis(200))
            .counted(true)
            .build_with(chaos.clock.clone())
            .expect("valid");
        let changes = Mutex::new((breaker.changes(), None));
        Self {
            breaker: Arc::new(breaker),
            probes,
            chaos,
            tally,
            weather: Mutex::new(Weather::Still),
            held: Held::default(),
            permitted: Count::default(),
            rejected: Count::default(),
            changes,
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics with it")
    }

    fn permitted(&self) {
        self.permitted.one();
        self.tally.granted.one();
    }

    fn rejected(&self) {
        self.rejected.one();
        self.tally.refused.one();
    }

    /// A try, counted.
    fn tried(&self) -> Result<Permit<Arc<Shared>>, TryAcquireError> {
        let tried = Permit::try_new(Arc::clone(&self.breaker));
        if tried.is_ok() {
            self.permitted();
        } else {
            self.rejected();
        }
        tried
    }

    /// From wherever it is to half-open, with no probe in flight.
    fn half_open(&self) {
        self.breaker.reset();
        while self.breaker.phase() == Phase::Closed {
            match self.tried() {
                Ok(permit) => permit.failure(),
                Err(refusal) => return self.tally.law(false, || format!("closed, and {refusal}")),
            }
        }
        self.chaos.forward(Duration::from_millis(10), |_| {});
        drop(self.tried());
        let phase = self.breaker.phase();
        self.tally.law(phase == Phase::HalfOpen, || format!("{phase:?} after a break"));
    }

    /// As many places as there may be, and not one more.
    fn every_place_is_free(&self) {
        let mut probes = Vec::new();
        for place in 1..=self.probes {
            let probe = self.tried();
            self.tally.law(probe.is_ok(), || format!("place {place} of {} is lost", self.probes));
            probes.extend(probe);
        }
        let more = self.tried();
        let is_full = matches!(more, Err(TryAcquireError::HalfOpenFull { .. }));
        self.tally.law(is_full, || format!("{} probes are in flight, and {more:?}", self.probes));
    }

    fn catch_up(&self) {
        let mut seen = self.changes.lock().expect("nobody panics with it");
        let (changes, last) = &mut *seen;
        while let Some(next) = changes.try_next() {
            let change = next.change;
            let (from, to) = (change.from, change.to);
            if let Some(last) = *last {
                let number = u64::from(last.life) + 1 + next.missed;
                self.tally.law(u64::from(change.life) == number, || {
                    format!("life {} after life {}, {} missed", change.life, last.life, next.missed)
                });
                let leads_on = next.missed > 0 || last.to == from;
                self.tally.law(leads_on, || format!("{from:?} after {:?}", last.to));
            }
            let is_legal = matches!(
                (from, to),
                (Phase::Closed | Phase::Open | Phase::HalfOpen, Phase::Open)
                    | (Phase::Open, Phase::HalfOpen)
                    | (_, Phase::Closed | Phase::ForcedOpen | Phase::ForcedClosed)
            );
            self.tally.law(is_legal, || format!("from {from:?} to {to:?}"));
            *last = Some(change);
        }
    }

    async fn step(&self, worker: &mut Worker, weather: Weather) {
        let permit = if worker.random.u8(..4) == 0 {
            self.tried().ok()
        } else {
            let mut wait = Acquire::new(Arc::clone(&self.breaker), ());
            if weather == Weather::Chaos && worker.random.bool() {
                wait = wait.timeout(Duration::from_micros(worker.random.u64(..20_000)));
            }
            match worker.end(wait).await {
                None => return,
                Some(Ok(permit)) => {
                    self.permitted();
                    Some(permit)
                }
                Some(Err(AcquireError::TimedOut { .. })) => {
                    self.rejected.one();
                    return self.tally.timed_out.one();
                }
                Some(Err(AcquireError::LineFull { .. })) => None,
            }
        };
        let Some(permit) = permit else { return worker.rest().await };
        match weather {
            Weather::Still => {
                let held = self.held.add(1);
                let probes = self.probes;
                self.tally.law(permit.is_probe(), || "a permit that is no probe".into());
                self.tally
                    .law(held <= u64::from(probes), || format!("{held} probes held of {probes}"));
                worker.hold().await;
                self.held.sub(1);
                match worker.random.u8(..16) {
                    0 => worker.panic_with(permit),
                    1..8 => permit.ignore(),
                    _ => drop(permit),
                }
            }
            Weather::Chaos => {
                worker.hold().await;
                match worker.random.u8(..16) {
                    0 => worker.panic_with(permit),
                    1 => drop(permit),
                    2..9 => permit.failure(),
                    _ => permit.success(),
                }
                self.catch_up();
            }
        }
    }
}

impl Subject for BreakerSoak {
    fn begin(&self, weather: Weather) {
        self.chaos.forward(Duration::from_secs(7_200), |_| {});
        self.half_open();
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
        match random.u16(..1_000) {
            0 => self.breaker.force_open(),
            1 => self.breaker.force_closed(),
            2..12 => self.breaker.reset(),
            _ => {}
        }
        let (in_flight, probes) = (self.breaker.metrics().probes_in_flight, self.probes);
        self.tally.law(in_flight <= probes, || format!("{in_flight} probes in flight of {probes}"));
        self.catch_up();
    }

    fn release(&self) {
        self.chaos.end_sleeps(|_| {});
        if self.breaker.phase() == Phase::ForcedOpen {
            self.breaker.reset();
        }
    }

    fn settle(&self) {
        let waiting = self.breaker.stats().waiting;
        self.tally.law(waiting == 0, || format!("{waiting} wait, and nobody is there"));
        if self.weather() == Weather::Chaos {
            self.half_open();
        }
        let phase = self.breaker.phase();
        self.tally.law(phase == Phase::HalfOpen, || format!("{phase:?}, and no probe reported"));
        let in_flight = self.breaker.metrics().probes_in_flight;
        self.tally.law(in_flight == 0, || format!("{in_flight} probes, and nobody has one"));
        self.every_place_is_free();
        self.every_place_is_free();
        let counted = self.breaker.metrics().counted.expect("it counts");
        let own = (self.permitted.get(), self.rejected.get());
        self.tally.law((counted.permitted, counted.rejected) == own, || {
            format!("{counted:?}, where its callers counted {own:?}")
        });
        self.catch_up();
    }
}
