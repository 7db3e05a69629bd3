//! The smallest program with a token bucket of a single owner: a value, no atomic.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::token_bucket::state::State;
use steadfast::token_bucket::{Config, Rate};
use steadfast::{Clock, Instant};
use steadfast_bare_metal::{Ticks, ticks};

const BUCKET: State = match Config::new(Rate::per_second(50)).burst(10).state(Instant::ZERO) {
    Ok(state) => state,
    Err(_) => panic!("50 a second can be counted"),
};

#[exception]
fn SysTick() {
    ticks::advance();
}

#[entry]
fn main() -> ! {
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    let mut bucket = black_box(BUCKET);
    loop {
        let (decision, next) = bucket.take(black_box(1), Ticks.now());
        bucket = next;
        black_box(decision);
    }
}
