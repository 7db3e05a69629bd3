//! The sequence tracker: every number is fresh exactly once, and what was missing was filled, or given up,
//! or is missing still.
//!
//! Workers take numbers in blocks and record each block in an order of its own, some numbers twice. While
//! the clock is still none is lost, so in the end nothing is missing. In chaos some are: they are requested
//! again, come late or never, and are given up.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use steadfast_core::{Clock, ManualClock};
use steadfast_sequence_tracker::{
    Acquire, AcquireError, Change, Changes, Config, Due, SequenceTracker, SharedReplayWindow, Stats,
};

use crate::laws::Tally;
use crate::subject::{Subject, Work};
use crate::weather::{Chaos, Weather};
use crate::worker::Worker;

/// Numbers of one turn at most.
const NUMBERS: usize = 1 << 18;
const BLOCK: u64 = 16;
/// How far back a proof that everything has come is checked.
const CHECKED: u64 = 256;

/// What became of a number, in its bits.
const SENT: u8 = 1;
const FRESH: u8 = 2;
const FRESH_IN_WINDOW: u8 = 4;

/// What happened to gaps, in numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Balance {
    opened: u64,
    filled: u64,
    abandoned: u64,
    settled: u64,
    missed: u64,
}

pub(crate) struct TrackerSoak {
    tracker: Arc<SequenceTracker<ManualClock>>,
    window: SharedReplayWindow<129>,
    chaos: Chaos,
    tally: Arc<Tally>,
    weather: Mutex<Weather>,
    /// The first number of this turn, the next that nobody has taken, and what became of each.
    base: AtomicU64,
    next: AtomicU64,
    numbers: Vec<AtomicU8>,
    /// Answers of this turn that were fresh, and others.
    fresh: AtomicU64,
    stale: AtomicU64,
    began: Mutex<Stats>,
    changes: Mutex<(Changes, Balance)>,
}

impl TrackerSoak {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        let chaos = Chaos::new();
        let delays =
            steadfast_backoff::Config::exponential(Duration::from_millis(5)).max_retries(2);
        let tracker = Config::new()
            .starts_at(0)
            .request(delays)
            .build_with(chaos.clock.clone())
            .expect("valid");
        let changes = Mutex::new((tracker.changes(), Balance::default()));
        Self {
            tracker: Arc::new(tracker),
            window: SharedReplayWindow::new(),
            chaos,
            tally,
            weather: Mutex::new(Weather::Still),
            base: AtomicU64::new(0),
            next: AtomicU64::new(0),
            numbers: (0..NUMBERS).map(|_| AtomicU8::new(0)).collect(),
            fresh: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            began: Mutex::default(),
            changes,
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics with it")
    }

    fn slot(&self, number: u64) -> &AtomicU8 {
        let index = number - self.base.load(SeqCst);
        &self.numbers[usize::try_from(index).expect("an index")]
    }

    /// One message arrives.
    fn arrive(&self, number: u64) {
        self.slot(number).fetch_or(SENT, SeqCst);
        if self.window.record(number).is_fresh() {
            let bits = self.slot(number).fetch_or(FRESH_IN_WINDOW, SeqCst);
            let is_first = bits & FRESH_IN_WINDOW == 0;
            self.tally.law(is_first, || format!("the window took number {number} twice"));
        }
        if self.tracker.record(number).is_fresh() {
            self.fresh.fetch_add(1, SeqCst);
            let bits = self.slot(number).fetch_or(FRESH, SeqCst);
            self.tally.law(bits & FRESH == 0, || format!("number {number} was fresh twice"));
        } else {
            self.stale.fetch_add(1, SeqCst);
        }
        self.catch_up();
    }

    /// A block of numbers, in an order of its own.
    async fn deliver(&self, worker: &mut Worker, weather: Weather) -> Option<u64> {
        let first = self.next.load(SeqCst);
        if first + 8 * BLOCK > self.base.load(SeqCst) + NUMBERS as u64 {
            return None;
        }
        let first = self.next.fetch_add(BLOCK, SeqCst);
        let mut block: Vec<u64> = (first..first + BLOCK).collect();
        if worker.random.bool() {
            worker.random.shuffle(&mut block);
        }
        for number in block {
            if weather == Weather::Chaos && worker.random.u8(..16) == 0 {
                continue;
            }
            for _ in 0..=u8::from(worker.random.u8(..8) == 0) {
                self.arrive(number);
            }
            if worker.random.u8(..8) == 0 {
                worker.rest().await;
            }
        }
        Some(first)
    }

    /// All numbers of this turn are taken: one of them comes again, or late.
    fn repeat(&self, random: &mut Rng) -> u64 {
        let number = random.u64(self.base.load(SeqCst)..self.next.load(SeqCst));
        self.arrive(number);
        number
    }

    async fn step(&self, worker: &mut Worker, weather: Weather) {
        let first = self.deliver(worker, weather).await;
        let first = first.unwrap_or_else(|| self.repeat(&mut worker.random));
        // Its own last number, or one of those around: somebody is at them.
        let next = self.next.load(SeqCst);
        let number = (first + worker.random.u64(..3 * BLOCK)).min(next - 1);
        let mut wait = Acquire::new(Arc::clone(&self.tracker), number);
        if weather == Weather::Chaos && worker.random.bool() {
            wait = wait.timeout(Duration::from_micros(worker.random.u64(..20_000)));
        }
        match worker.end(wait).await {
            None => {}
            Some(Ok(through)) => {
                self.tally.granted.one();
                self.tally.law(through >= number, || format!("{through} for {number}"));
                let base = self.base.load(SeqCst);
                let lowest = number.saturating_sub(CHECKED).max(base);
                let lacks =
                    (lowest..=number).find(|number| self.slot(*number).load(SeqCst) & SENT == 0);
                self.tally.law(lacks.is_none(), || {
                    format!("everything through {through} has come, but for {lacks:?}")
                });
            }
            Some(Err(AcquireError::TimedOut { missing })) => {
                self.tally.timed_out.one();
                self.tally.law(!missing.is_empty(), || "a wait timed out for nothing".into());
            }
            Some(Err(error)) => {
                self.tally.refused.one();
                let is_lost = matches!(error, AcquireError::Lost { .. });
                self.tally.law(is_lost && weather == Weather::Chaos, || format!("{error}"));
            }
        }
    }

    /// What has to be asked for again; some of it comes.
    fn request(&self, random: &mut Rng) {
        let base = self.base.load(SeqCst);
        for due in self.tracker.due() {
            if let Due::Request { run, .. } = due {
                for number in run.range() {
                    if random.bool() && number >= base {
                        self.arrive(number);
                    }
                }
            }
        }
    }

    /// Reads what happened to the gaps, unless somebody else does.
    fn catch_up(&self) {
        if let Ok(mut seen) = self.changes.try_lock() {
            let (changes, balance) = &mut *seen;
            while let Some(entry) = changes.try_next() {
                balance.missed += entry.missed;
                match entry.item {
                    Change::Opened { run } => balance.opened += run.len(),
                    Change::Filled { run } => balance.filled += run.len(),
                    Change::Abandoned { run } => balance.abandoned += run.len(),
                    Change::Settled { run } => balance.settled += run.len(),
                    Change::Restarted { lost } => balance.abandoned += lost,
                }
            }
        }
    }
}

impl Subject for TrackerSoak {
    fn begin(&self, weather: Weather) {
        self.chaos.forward(Duration::from_secs(7_200), |_| {});
        let next = self.next.load(SeqCst);
        if let Some(last) = next.checked_sub(1) {
            self.tracker.resynced(last);
        }
        for number in &self.numbers {
            number.store(0, SeqCst);
        }
        self.base.store(next, SeqCst);
        self.fresh.store(0, SeqCst);
        self.stale.store(0, SeqCst);
        self.catch_up();
        self.changes.lock().expect("nobody panics with it").1 = Balance::default();
        *self.began.lock().expect("nobody panics with it") = self.tracker.stats();
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
        self.request(random);
        if self.tracker.next_due().is_some_and(|due| due <= self.chaos.clock.now()) {
            self.tally.checks.one();
        }
    }

    fn release(&self) {
        // Whoever waits does so for a number that was taken, and perhaps lost.
        if let Some(last) = self.next.load(SeqCst).checked_sub(1) {
            self.tracker.announce(last).expect("a number");
            self.tracker.give_up_below(last + 1);
        }
        self.chaos.end_sleeps(|_| {});
    }

    fn settle(&self) {
        let (base, next) = (self.base.load(SeqCst), self.next.load(SeqCst));
        let taken = next - base;
        self.catch_up();
        let listed: u64 =
            self.tracker.missing().iter().map(|run| run.end() - run.start() + 1).sum();
        let stats = self.tracker.stats();
        self.tally.law(listed == stats.missing, || format!("{listed} listed, {stats:?}"));
        let balance = self.changes.lock().expect("nobody panics with it").1;
        let Balance { opened, filled, abandoned, settled, missed } = balance;
        let is_balanced = opened == filled + abandoned + settled + stats.missing;
        self.tally.law(missed > 0 || is_balanced, || {
            format!("{opened} opened, {filled} filled, {abandoned} given up, {settled} settled, {} open", stats.missing)
        });
        let fresh =
            self.numbers.iter().filter(|slot| slot.load(SeqCst) & FRESH != 0).count() as u64;
        let began = *self.began.lock().expect("nobody panics with it");
        let (received, counted) = (stats.received() - began.received(), self.fresh.load(SeqCst));
        self.tally.law(received == fresh && counted == fresh, || {
            format!("{fresh} numbers were fresh, {counted} answers, {received} counted")
        });
        let stale = stats.duplicates + stats.too_old - began.duplicates - began.too_old;
        let answers = self.stale.load(SeqCst);
        self.tally.law(stale == answers, || format!("{stale} stale, {answers} answers"));
        if self.weather() == Weather::Still {
            self.tally.law(stats.missing == 0 && fresh == taken, || {
                format!("{fresh} of {taken} numbers were fresh, {} are missing", stats.missing)
            });
            let through = self.tracker.contiguous_through();
            self.tally.law(through == next.checked_sub(1), || format!("{through:?} of {next}"));
        } else {
            self.release();
            self.catch_up();
            let stats = self.tracker.stats();
            let lost = stats.abandoned - began.abandoned;
            self.tally.law(stats.missing == 0 && fresh + lost == taken, || {
                format!("{fresh} fresh and {lost} lost of {taken}, {} missing", stats.missing)
            });
        }
    }
}
