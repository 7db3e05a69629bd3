//! Waiting without an operating system: a small heap, an executor of forty lines, one hardware delay, and an
//! interrupt that gives tokens back, tries to take some, and closes the bucket.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use embedded_alloc::LlffHeap;
use embedded_hal_async::delay::DelayNs;
use panic_semihosting as _;
use steadfast::circuit_breaker::{self, AtomicU64, CircuitBreaker};
use steadfast::token_bucket::{self, AcquireError, Rate, TokenBucket};
use steadfast::{DelayTimer, Timer};
use steadfast_bare_metal::{Checks, Mine, Ticks, executor, ticks};

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
const HEAP_BYTES: usize = 4_096;

type Alarms = DelayTimer<Ticks>;
static TIMER: Alarms = DelayTimer::new(Ticks);

/// Ticks a token.
const PERIOD: u32 = 10;
const BURST: u32 = 4;
static BUCKET: TokenBucket<&'static Alarms> =
    token_bucket::Config::new(Rate::new(1, Duration::from_millis(PERIOD as u64)))
        .burst(BURST as u64)
        .build_static_with(&TIMER);

const BREAK: u32 = 30;
static BREAKER: CircuitBreaker<&'static Alarms, [AtomicU64; 2]> = circuit_breaker::Config::new()
    .consecutive_failures(1)
    .break_duration(Duration::from_millis(BREAK as u64))
    .close_after(1)
    .build_static_with(&TIMER, 0);

/// When to wake whom: the one hardware delay.
static DELAY: Mutex<RefCell<Option<(u32, Waker)>>> = Mutex::new(RefCell::new(None));

/// At which tick the interrupt gives all tokens back, or closes the bucket; 0: never.
static REFUND_AT: Mine = Mine::new();
static CLOSE_AT: Mine = Mine::new();
/// Whether it tries to take tokens, and how often it was refused and granted some.
static STEALS: Mine = Mine::new();
static REFUSED: Mine = Mine::new();
static STOLEN: Mine = Mine::new();

#[exception]
fn SysTick() {
    let now = ticks::advance();
    let due =
        critical_section::with(|cs| DELAY.borrow_ref_mut(cs).take_if(|(until, _)| *until <= now));
    if let Some((_, waker)) = due {
        waker.wake();
    }
    if STEALS.value() != 0 {
        match BUCKET.try_acquire(1) {
            Ok(()) => STOLEN.add(1),
            Err(_) => REFUSED.add(1),
        }
    }
    if now == REFUND_AT.value() {
        BUCKET.refund(u64::from(BURST));
    }
    if now == CLOSE_AT.value() {
        BUCKET.close();
    }
}

/// The delay of the interrupt's timer.
struct SysTickDelay;

impl DelayNs for SysTickDelay {
    async fn delay_ns(&mut self, ns: u32) {
        let until = Ticks::count() + ns.div_ceil(1_000_000);
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            critical_section::with(|cs| {
                if Ticks::count() >= until {
                    return Poll::Ready(());
                }
                *DELAY.borrow_ref_mut(cs) = Some((until, waker));
                Poll::Pending
            })
        })
        .await;
    }
}

/// The task that serves the alarms.
fn alarms() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async { TIMER.run(&mut SysTickDelay).await })
}

/// Waits for a tick.
async fn until(tick: u32) {
    let timer = &TIMER;
    let mut alarm = timer.alarm();
    poll_fn(|cx| {
        if Ticks::count() >= tick {
            return Poll::Ready(());
        }
        timer.set(&mut alarm, Ticks::at(tick), cx.waker());
        Poll::Pending
    })
    .await;
}

/// What came of a wait, and at which tick.
type Outcome = Cell<Option<(Result<(), AcquireError>, u32)>>;

/// Waits for `n` tokens.
fn take(n: u64, outcome: &Outcome) -> Pin<Box<dyn Future<Output = ()> + '_>> {
    Box::pin(async move {
        let result = BUCKET.acquire(n).await;
        outcome.set(Some((result, Ticks::count())));
    })
}

/// Waits until the bucket is full and takes everything: the tick at which it is empty to the last fraction.
fn empty() -> u32 {
    ticks::sleep((BURST + 1) * PERIOD);
    if BUCKET.try_acquire(u64::from(BURST)).is_err() {
        panic!("full after this time");
    }
    Ticks::count()
}

#[entry]
fn main() -> ! {
    let mut checks = Checks::default();
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    at_once(&mut checks);
    // SAFETY: once, and nothing was allocated before: that would have failed.
    #[expect(unsafe_code, reason = "a heap of one's own")]
    unsafe {
        embedded_alloc::init!(HEAP, HEAP_BYTES);
    }
    in_line(&mut checks);
    cancelled(&mut checks);
    in_time(&mut checks);
    given_back(&mut checks);
    probe(&mut checks);
    let used = HEAP.used();
    for _ in 0..20 {
        in_line_quietly();
    }
    checks.check("heap: 60 waits more leave as much in use as before them", HEAP.used() == used);
    closed(&mut checks);
    checks.finish();
}

/// Before there is a heap: whoever allocates ends the program.
fn at_once(checks: &mut Checks) {
    let now = Ticks::count();
    let poll = |wait: &mut dyn FnMut(&mut Context<'_>) -> bool| {
        wait(&mut Context::from_waker(Waker::noop()))
    };
    let mut wait = pin!(BUCKET.acquire(u64::from(BURST)));
    let granted = poll(&mut |cx| wait.as_mut().poll(cx) == Poll::Ready(Ok(())));
    checks.check("waiting: tokens that are there are granted at once, without a heap", granted);
    let mut wait = pin!(BUCKET.acquire(2).timeout(Duration::from_millis(u64::from(PERIOD))));
    let refused = poll(&mut |cx| {
        matches!(wait.as_mut().poll(cx), Poll::Ready(Err(AcquireError::TimedOut { ready_at }))
            if ready_at == Ticks::at(now + 2 * PERIOD))
    });
    checks.check("waiting: what cannot be had in time is refused at once, and says when", refused);
}

/// Three in line, and an interrupt that tries to take tokens at each tick.
fn in_line(checks: &mut Checks) {
    STEALS.set(1);
    let (start, [first, second, third]) = in_line_quietly();
    STEALS.set(0);
    checks.check("waiting: the first is served at the instant at which its tokens are there", {
        first == Some((Ok(()), start + 3 * PERIOD))
    });
    checks.check("waiting: the others in the order in which they came, each at its instant", {
        second == Some((Ok(()), start + 4 * PERIOD)) && third == Some((Ok(()), start + 5 * PERIOD))
    });
    checks.check("waiting: an interrupt does not overtake them", {
        STOLEN.value() == 0 && REFUSED.value() >= 5 * PERIOD
    });
}

#[expect(clippy::type_complexity, reason = "three times what a cell has")]
fn in_line_quietly() -> (u32, [Option<(Result<(), AcquireError>, u32)>; 3]) {
    let outcomes = [const { Cell::new(None) }; 3];
    let stealing = STEALS.value();
    STEALS.set(0);
    let start = empty();
    STEALS.set(stealing);
    let [first, second, third] = &outcomes;
    executor::run([alarms(), take(3, first), take(1, second), take(1, third)]);
    (start, outcomes.map(Cell::into_inner))
}

fn cancelled(checks: &mut Checks) {
    let outcome = Cell::new(None);
    let start = empty();
    let leaver = Box::pin(async {
        let mut wait = Box::pin(BUCKET.acquire(3));
        poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_ready())).await;
        until(start + 15).await;
        drop(wait);
    });
    executor::run([alarms(), leaver, take(1, &outcome)]);
    checks.check("waiting: when the head leaves, the next is served at once with what is there", {
        outcome.get() == Some((Ok(()), start + 15))
    });
    checks.check("waiting: who left took nothing", {
        // One and a half came, one was taken.
        BUCKET.available() == 0
            && BUCKET.ready_at(1, Ticks::at(start + 15)) == Ok(Ticks::at(start + 20))
    });
}

fn in_time(checks: &mut Checks) {
    let start = empty();
    let (short, long) = (Cell::new(None), Cell::new(None));
    let wait = |ticks: u32| BUCKET.acquire(2).timeout(Duration::from_millis(u64::from(ticks)));
    let one = Box::pin(async {
        short.set(Some((wait(2 * PERIOD - 1).await, Ticks::count())));
    });
    let other = Box::pin(async {
        long.set(Some((wait(2 * PERIOD).await, Ticks::count())));
    });
    executor::run([alarms(), one, other]);
    checks.check("waiting: a timeout that is a tick too short fails at once", {
        matches!(short.get(), Some((Err(AcquireError::TimedOut { .. }), at)) if at == start)
    });
    checks.check("waiting: one that is just long enough is met", {
        long.get() == Some((Ok(()), start + 2 * PERIOD))
    });
}

fn given_back(checks: &mut Checks) {
    let outcomes = [const { Cell::new(None) }; 2];
    let start = empty();
    REFUND_AT.set(start + 5);
    let [first, second] = &outcomes;
    executor::run([alarms(), take(4, first), take(1, second)]);
    checks.check("waiting: tokens that an interrupt gives back are granted in that tick", {
        first.get() == Some((Ok(()), start + 5))
    });
    // What was there beyond the burst is lost; the second waits for a whole one.
    checks.check("waiting: and no more than the burst", {
        second.get() == Some((Ok(()), start + 5 + PERIOD))
    });
}

fn probe(checks: &mut Checks) {
    if let Ok(permit) = BREAKER.try_acquire() {
        permit.failure();
    }
    let start = Ticks::count();
    let probed = Cell::new(None);
    let task = Box::pin(async {
        if let Ok(permit) = BREAKER.acquire().await {
            probed.set(Some((permit.is_probe(), Ticks::count())));
            permit.success();
        }
    });
    executor::run([alarms(), task]);
    checks.check("waiting: a breaker's first probe begins when its break is over", {
        probed.get() == Some((true, start + BREAK))
    });
}

fn closed(checks: &mut Checks) {
    let outcomes = [const { Cell::new(None) }; 2];
    let start = empty();
    CLOSE_AT.set(start + 7);
    let [first, second] = &outcomes;
    executor::run([alarms(), take(4, first), take(1, second)]);
    checks.check("waiting: when an interrupt closes the bucket, all are told in that tick", {
        let told = Some((Err(AcquireError::Closed), start + 7));
        first.get() == told && second.get() == told
    });
}
