//! The smallest program with a token bucket that threads and interrupts share by a critical section.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::cell::Cell;
use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use panic_halt as _;
use steadfast::token_bucket::state::{Decision, State};
use steadfast::token_bucket::{Config, Rate};
use steadfast::{Clock, Instant};
use steadfast_bare_metal::{Ticks, ticks};

const FULL: State = match Config::new(Rate::per_second(50)).burst(10).state(Instant::ZERO) {
    Ok(state) => state,
    Err(_) => panic!("50 a second can be counted"),
};
static BUCKET: Mutex<Cell<State>> = Mutex::new(Cell::new(FULL));

fn try_acquire(n: u64) -> Decision {
    critical_section::with(|cs| {
        let bucket = BUCKET.borrow(cs);
        let (decision, next) = bucket.get().take(n, Ticks.now());
        bucket.set(next);
        decision
    })
}

#[exception]
fn SysTick() {
    ticks::advance();
}

#[entry]
fn main() -> ! {
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    loop {
        black_box(try_acquire(black_box(1)));
    }
}
