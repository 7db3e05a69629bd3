//! Tasks and threads that wait: rate reached, CPU a grant, polls an acquire, order.
//!
//! Every load runs each limiter in turn, in rounds, and the median of each number is taken. Order is
//! measured with a ticket that a task draws just before it first polls; two workers may draw and
//! join in different order, so a displacement of one or two is the measurement's own.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use steadfast_token_bucket::{Config, Rate, TokenBucket};
use tokio::sync::Semaphore;

use crate::cases::now;
use crate::{Polls, cpu_time};

/// A timer's usual slack, for which a line of ours waits where nothing is lost by it.
const SLACK_NS: u64 = 50_000;

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Percent of the rate.
    pub rate: f64,
    /// CPU time of the process a grant, in microseconds.
    pub cpu_us: f64,
    /// Polls an acquire; of threads, wake-ups.
    pub polls: f64,
    /// By how many places anybody was served late.
    pub overtaken: f64,
    /// The longest wait, in milliseconds.
    pub longest_ms: f64,
}

/// What all waiters of one run share. Order is watched in runs of its own, because the shared
/// counters for it cost more than some of the limiters.
struct Run {
    end: Instant,
    watch_order: bool,
    tickets: AtomicU64,
    served: AtomicU64,
    totals: Mutex<Totals>,
}

/// What one waiter counts for itself, and then the sum of all.
#[derive(Clone, Copy, Default)]
struct Totals {
    served: u64,
    polls: u64,
    overtaken: u64,
    longest: Duration,
}

impl Run {
    fn new(load: Load) -> Arc<Self> {
        Arc::new(Self {
            end: now() + load.time,
            watch_order: load.watch_order,
            tickets: AtomicU64::new(0),
            served: AtomicU64::new(0),
            totals: Mutex::default(),
        })
    }

    fn ticket(&self) -> u64 {
        if self.watch_order { self.tickets.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    /// Counts a grant. `false` when the run is over; a grant after its end does not count.
    fn served(&self, mine: &mut Totals, ticket: u64, began: &mut Instant, polls: u64) -> bool {
        let now = now();
        if now >= self.end {
            let mut totals = self.totals.lock();
            totals.served += mine.served;
            totals.polls += mine.polls;
            totals.overtaken = totals.overtaken.max(mine.overtaken);
            totals.longest = totals.longest.max(mine.longest);
            return false;
        }
        mine.served += 1;
        mine.polls += polls;
        mine.longest = mine.longest.max(now - *began);
        if self.watch_order {
            let place = self.served.fetch_add(1, Ordering::Relaxed);
            mine.overtaken = mine.overtaken.max(place.saturating_sub(ticket));
        }
        *began = now;
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "for printing")]
    fn sample(&self, load: Load, cpu: Duration) -> Sample {
        let totals = *self.totals.lock();
        let served = totals.served as f64;
        let due = load.rate as f64 * load.time.as_secs_f64() + load.burst as f64;
        Sample {
            rate: 100.0 * served / due,
            cpu_us: cpu.as_secs_f64() * 1e6 / served,
            polls: totals.polls as f64 / served,
            overtaken: totals.overtaken as f64,
            longest_ms: totals.longest.as_secs_f64() * 1e3,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// Who waits for what.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Tasks or threads.
    pub waiters: u32,
    /// Tokens a second.
    pub rate: u64,
    /// The limiter's burst.
    pub burst: u64,
    /// For how long.
    pub time: Duration,
    /// Whether to count who is overtaken.
    pub watch_order: bool,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("tokio starts")
}

/// Runs `acquire` in a loop in every task until the time is over.
fn tasks<L, F>(
    load: Load,
    limiter: L,
    acquire: impl Fn(&'static L) -> F + Copy + Send + 'static,
) -> Sample
where
    L: Send + Sync + 'static,
    F: Future + Unpin + Send + 'static,
    F::Output: Send,
{
    // A reference: counting references in every acquire would cost more than some limiters.
    let limiter: &'static L = Box::leak(Box::new(limiter));
    let runtime = runtime();
    let run = Run::new(load);
    let cpu = cpu_time();
    let tasks: Vec<_> = (0..load.waiters)
        .map(|_| {
            let run = Arc::clone(&run);
            runtime.spawn(async move {
                let (mut mine, mut began) = (Totals::default(), now());
                loop {
                    let ticket = run.ticket();
                    let (_, polls) = Polls::new(acquire(limiter)).await;
                    if !run.served(&mut mine, ticket, &mut began, polls) {
                        return;
                    }
                }
            })
        })
        .collect();
    runtime.block_on(async {
        tokio::time::sleep_until(run.end.into()).await;
    });
    let cpu = cpu_time().saturating_sub(cpu);
    runtime.block_on(async {
        for task in tasks {
            // leaky-bucket loses a wake-up now and then, and its waiters stay for ever.
            let abort = task.abort_handle();
            if tokio::time::timeout(Duration::from_secs(1), task).await.is_err() {
                abort.abort();
                eprintln!("  (a waiter was never woken again)");
                break;
            }
        }
    });
    run.sample(load, cpu)
}

fn threads<L: Send + Sync + 'static>(
    load: Load,
    limiter: L,
    acquire: impl Fn(&L) -> u64 + Copy + Send + 'static,
) -> Sample {
    let limiter = Arc::new(limiter);
    let run = Run::new(load);
    let cpu = cpu_time();
    let threads: Vec<_> = (0..load.waiters)
        .map(|_| {
            let (limiter, run) = (Arc::clone(&limiter), Arc::clone(&run));
            std::thread::spawn(move || {
                let (mut mine, mut began) = (Totals::default(), now());
                loop {
                    let ticket = run.ticket();
                    let wakes = acquire(&limiter);
                    if !run.served(&mut mine, ticket, &mut began, wakes) {
                        return;
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no waiter panics");
    }
    let cpu = cpu_time().saturating_sub(cpu);
    run.sample(load, cpu)
}

fn ours(load: Load) -> TokenBucket {
    let config = Config::new(Rate::per_second(load.rate)).burst(load.burst);
    config.build().expect("the loads are valid")
}

fn governor_tasks(load: Load) -> Sample {
    let count = |n: u64| NonZeroU32::new(u32::try_from(n).expect("fits")).expect("not 0");
    let quota = governor::Quota::per_second(count(load.rate)).allow_burst(count(load.burst));
    let limiter = governor::RateLimiter::direct(quota);
    tasks(load, limiter, |limiter| Box::pin(async move { limiter.until_ready().await }))
}

fn leaky_tasks(load: Load) -> Sample {
    // Its tokens come in lumps; 10 ms of them is the finest that it serves well.
    let lump = usize::try_from(load.rate / 100).expect("fits");
    let limiter = leaky_bucket::RateLimiter::builder()
        .initial(lump)
        .refill(lump)
        .max(lump)
        .interval(Duration::from_millis(10))
        .build();
    let load = Load { burst: load.rate / 100, ..load };
    tasks(load, limiter, |limiter| Box::pin(async move { limiter.acquire_one().await }))
}

/// The reference for tasks: tokio's own semaphore, and a thread that adds what has accrued since the last was taken, as
/// far as the burst goes. It says what it takes to put tasks in line and wake them, and what becomes of a rate when
/// threads are late. The thread is up when the next is due, and 50 µs later where the burst allows it, as our line; it
/// does not spin.
fn semaphore_tasks(load: Load) -> Sample {
    let burst = usize::try_from(load.burst).expect("fits");
    let semaphore = Arc::new(Semaphore::new(burst));
    let taken = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let refill = std::thread::spawn({
        let (semaphore, taken) = (Arc::clone(&semaphore), Arc::clone(&taken));
        let is_over = Arc::clone(&is_over);
        let a_token = u128::from(1_000_000_000 / load.rate);
        let late =
            if (load.burst - 1) * 1_000_000_000 / load.rate >= 8 * SLACK_NS { SLACK_NS } else { 0 };
        move || {
            let full = u128::from(load.burst) * a_token;
            // In nanoseconds' worth of tokens, those of the beginning included.
            let (mut accrued, mut added, mut before) = (full, u128::from(load.burst), now());
            while !is_over.load(Ordering::Relaxed) {
                let at = now();
                let most = u128::from(taken.load(Ordering::Relaxed)) * a_token + full;
                accrued = most.min(accrued + (at - before).as_nanos());
                before = at;
                let due = accrued / a_token;
                semaphore.add_permits(usize::try_from(due - added).expect("fits"));
                added = due;
                let next = u64::try_from((added + 1) * a_token - accrued).expect("fits");
                sleep(Duration::from_nanos(next + late));
            }
        }
    });
    let sample = tasks(load, (semaphore, taken), |(semaphore, taken)| {
        Box::pin(async move {
            semaphore.acquire().await.expect("nobody closes it").forget();
            taken.fetch_add(1, Ordering::Relaxed);
        })
    });
    is_over.store(true, Ordering::Relaxed);
    refill.join().expect("adds permits until the end");
    sample
}

fn our_tasks(load: Load) -> Sample {
    tasks(load, ours(load), |bucket| bucket.acquire(1))
}

fn our_threads(load: Load) -> Sample {
    let bucket = Arc::new(ours(load));
    let seen = Arc::clone(&bucket);
    let mut sample = threads(load, bucket, |bucket| {
        bucket.acquire(1).wait().expect("nothing closes it");
        0
    });
    let line = seen.stats().line;
    #[expect(clippy::cast_precision_loss, reason = "for printing")]
    {
        sample.polls = line.wake_ups as f64 / line.waited as f64;
    }
    sample
}

/// The reference for threads: a ticket lock of a mutex and one condition variable a waiter, whose
/// head sleeps with a timeout over the same arithmetic.
struct TicketLock {
    state: Mutex<Tickets>,
}

struct Tickets {
    line: VecDeque<Arc<Condvar>>,
    bucket: steadfast_token_bucket::state::State,
}

fn ticket_threads(load: Load) -> Sample {
    use steadfast_core::{Clock, SystemClock};
    use steadfast_token_bucket::state::Decision;
    let config = Config::new(Rate::per_second(load.rate)).burst(load.burst);
    let bucket = config.state(SystemClock.now()).expect("the loads are valid");
    let lock = TicketLock { state: Mutex::new(Tickets { line: VecDeque::default(), bucket }) };
    threads(load, lock, |lock| {
        let mut wakes = 0;
        let mine = Arc::new(Condvar::new());
        let mut state = lock.state.lock();
        state.line.push_back(Arc::clone(&mine));
        loop {
            if Arc::ptr_eq(&state.line[0], &mine) {
                let now = SystemClock.now();
                let (decision, next) = state.bucket.take(1, now);
                match decision {
                    Decision::Granted => {
                        state.bucket = next;
                        state.line.pop_front();
                        if let Some(next) = state.line.front() {
                            next.notify_one();
                        }
                        return wakes;
                    }
                    Decision::Denied { retry_at } => {
                        let wait = retry_at.saturating_duration_since(now);
                        mine.wait_for(&mut state, wait);
                    }
                    never => unreachable!("{never:?}"),
                }
            } else {
                mine.wait(&mut state);
            }
            wakes += 1;
        }
    })
}

/// The median of one number.
///
/// # Panics
///
/// If there are no samples.
pub fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A name, and how to measure it.
pub type Limiter = (&'static str, fn(Load) -> Sample);

/// Limiters that tasks wait for.
pub const TASKS: [Limiter; 4] = [
    ("steadfast", our_tasks),
    ("governor", governor_tasks),
    ("leaky-bucket, 10 ms", leaky_tasks),
    ("REF: tokio's semaphore", semaphore_tasks),
];

/// Limiters that threads wait for.
const THREADS: [Limiter; 2] =
    [("steadfast", our_threads), ("mutex + condvar tickets", ticket_threads)];

/// Measures the limiters in turn, so many times.
pub fn measure(load: Load, limiters: &[Limiter], rounds: usize) -> Vec<Vec<Sample>> {
    let mut samples = vec![Vec::new(); limiters.len()];
    for _ in 0..rounds {
        for ((_, run), samples) in limiters.iter().zip(&mut samples) {
            samples.push(run(load));
        }
    }
    samples
}

/// A table of the four loads, or of one of them, and of all limiters or one, in Markdown.
pub fn table(time: Duration, rounds: usize, only: Option<usize>, who: Option<&str>) -> String {
    let load = |waiters, rate, burst| Load { waiters, rate, burst, time, watch_order: false };
    let loads: [(Load, &[Limiter]); 4] = [
        (load(1_000, 1_000_000, 1_000), &TASKS),
        (load(1_000, 20_000, 20), &TASKS),
        (load(50, 1_000, 1), &TASKS),
        (load(64, 20_000, 20), &THREADS),
    ];
    let mut text = "| | rate, % | CPU a grant, µs | polls | overtaken | longest wait, ms |\n\
                    |---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (index, (load, limiters)) in loads.into_iter().enumerate() {
        if only.is_some_and(|only| only != index) {
            continue;
        }
        let Load { waiters, rate, burst, .. } = load;
        let _ = writeln!(text, "| **{waiters} waiters, {rate}/s, burst {burst}** | | | | | |");
        let is_wanted = |limiter: &Limiter| who.is_none_or(|who| who == limiter.0);
        let limiters: Vec<Limiter> = limiters.iter().copied().filter(is_wanted).collect();
        for ((name, run), samples) in limiters.iter().zip(&measure(load, &limiters, rounds)) {
            let overtaken = run(Load { watch_order: true, ..load }).overtaken;
            let _ = writeln!(
                text,
                "| {name} | {:.2} | {:.2} | {:.2} | {overtaken} | {:.1} |",
                median(samples, |s| s.rate),
                median(samples, |s| s.cpu_us),
                median(samples, |s| s.polls),
                median(samples, |s| s.longest_ms),
            );
        }
    }
    text
}
