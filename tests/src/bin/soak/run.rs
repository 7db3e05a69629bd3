//! Turns and lives.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use steadfast_core::{Clock, Instant, SystemClock};
use tokio::runtime::Runtime;

use crate::HEAP;
use crate::laws::Tally;
use crate::memory::resident;
use crate::options::Options;
use crate::report::{Memory, Report, Status};
use crate::subject::{NAMES, Subject, subject};
use crate::weather::Weather;
use crate::worker::{Kind, TASKS, THREADS, WORKERS, Worker, run_blocking};

/// Turns of a life; every other one is still, the last one is not.
const TURNS: u32 = 8;
/// A turn's length: shorter in a short soak, so that there are some lives.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// Whoever has not come to his end by then never will.
const WATCHDOG: Duration = Duration::from_secs(30);
/// A life's heap may be larger than the largest of the first two by so much: windows of more shards have some
/// more room to spare.
const SLACK_BYTES: usize = 1 << 20;
/// What the process has in memory may grow by so much after the second life: pages that the allocator
/// keeps for each of its threads.
const SLACK_KIB: u64 = 48 << 10;

struct Turn<'a> {
    runtime: &'a Runtime,
    status: &'a mut Status,
    weather: Weather,
    length: Duration,
    is_last: bool,
}

/// Whether all laws held.
pub(crate) fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let names = NAMES.into_iter().filter(|name| options.only.is_none_or(|only| only == *name));
    let tallies: Vec<_> = names.map(|name| Arc::new(Tally::new(name))).collect();
    let began = SystemClock.now();
    let ends = began.saturating_add(options.length);
    let length = (options.length / 32).clamp(SHORTEST, LONGEST);
    let mut status = Status::new(began, tallies.clone());
    Status::introduce(options, length)?;

    let mut random = Rng::with_seed(options.seed);
    let mut memory = Memory::default();
    let broken = || tallies.iter().any(|tally| tally.violations() > 0);
    let mut stuck = None;
    'lives: while SystemClock.now() < ends && !broken() {
        let subjects: Vec<_> = tallies.iter().map(|tally| subject(tally, &mut random)).collect();
        for turn in 1..=TURNS {
            let is_last = turn == TURNS;
            let weather = if turn % 2 == 1 { Weather::Still } else { Weather::Chaos };
            let turn = Turn { runtime: &runtime, status: &mut status, weather, length, is_last };
            if let Err(who) = turn.run(&tallies, &subjects, &mut random)? {
                stuck = Some(who);
                break 'lives;
            }
            memory.held(HEAP.live());
        }
        drop(subjects);
        memory.life(HEAP.live(), resident(), SLACK_BYTES, SLACK_KIB);
        status.lives += 1;
    }
    status.end()?;
    let report = Report { options, tallies: &tallies, memory: &memory, stuck: stuck.as_deref() };
    report.print(SystemClock.now().saturating_duration_since(began), status.lives)
}

impl Turn<'_> {
    /// `Err` with who has not come to an end.
    fn run(
        self,
        tallies: &[Arc<Tally>],
        subjects: &[Arc<dyn Subject>],
        random: &mut Rng,
    ) -> std::io::Result<Result<(), String>> {
        let ending = Arc::new(AtomicBool::new(false));
        let mut crews = Vec::new();
        for (tally, subject) in tallies.iter().zip(subjects) {
            subject.begin(self.weather);
            crews.push(self.start(tally, subject, &ending, random));
        }
        let end = SystemClock.now().saturating_add(self.length);
        while SystemClock.now() < end {
            self.status.show()?;
            thread::park_timeout(self.length / 10);
        }
        ending.store(true, SeqCst);
        if self.is_last {
            for subject in subjects {
                subject.close();
            }
        }
        let latest = SystemClock.now().saturating_add(WATCHDOG);
        for ((crew, subject), tally) in crews.into_iter().zip(subjects).zip(tallies) {
            let left = latest.saturating_duration_since(SystemClock.now());
            if let Err(ended) = crew.end(left) {
                return Ok(Err(format!(
                    "{}: {} of {WORKERS} workers were not woken in {WATCHDOG:?} ({:?})",
                    tally.name,
                    WORKERS - ended,
                    self.weather,
                )));
            }
            subject.settle();
        }
        Ok(Ok(()))
    }

    /// All who work on one primitive in this turn.
    fn start(
        &self,
        tally: &Arc<Tally>,
        subject: &Arc<dyn Subject>,
        ending: &Arc<AtomicBool>,
        random: &mut Rng,
    ) -> Crew {
        let (sender, ended) = channel();
        for worker in 0..WORKERS {
            let kind = if worker < THREADS { Kind::Thread } else { Kind::Task };
            let guard = Ended(sender.clone(), Arc::clone(tally));
            let ending = Arc::clone(ending);
            let worker = Worker { kind, random: random.fork(), tally: Arc::clone(tally), ending };
            let work = Arc::clone(subject).work(worker);
            match kind {
                Kind::Thread => drop(thread::spawn(move || {
                    let guard = guard;
                    run_blocking(work);
                    drop(guard);
                })),
                Kind::Task => drop(self.runtime.spawn(async move {
                    let guard = guard;
                    work.await;
                    drop(guard);
                })),
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let hand = (self.weather == Weather::Chaos).then(|| {
            let (subject, ending, over) =
                (Arc::clone(subject), Arc::clone(ending), Arc::clone(&over));
            let mut random = random.fork();
            thread::spawn(move || {
                while !over.load(SeqCst) {
                    if ending.load(SeqCst) {
                        subject.release();
                    } else {
                        subject.disturb(&mut random);
                    }
                    thread::park_timeout(Duration::from_micros(u64::from(random.u16(..200))));
                }
            })
        });
        Crew { ended, hand, over }
    }
}

/// The workers on one primitive, and who moves its clock.
struct Crew {
    ended: Receiver<()>,
    hand: Option<thread::JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Crew {
    /// Waits for all. `Err` with how many have ended, if somebody has not.
    fn end(self, within: Duration) -> Result<(), usize> {
        let latest: Instant = SystemClock.now().saturating_add(within);
        for ended in 0..WORKERS {
            let left = latest.saturating_duration_since(SystemClock.now());
            match self.ended.recv_timeout(left) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(ended);
                }
            }
        }
        self.over.store(true, SeqCst);
        if let Some(hand) = self.hand {
            assert!(hand.join().is_ok(), "who moves the clock does not panic");
        }
        Ok(())
    }
}

/// Says that a worker has ended, and whether by a panic.
struct Ended(Sender<()>, Arc<Tally>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.1.law(!thread::panicking(), || "a worker panicked".into());
        // Nobody listens any more once somebody did not end.
        let _told = self.0.send(());
    }
}

const _: () = assert!(THREADS > 0 && TASKS > 0);
