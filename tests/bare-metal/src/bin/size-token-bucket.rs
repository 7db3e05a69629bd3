//! The smallest program with a token bucket that threads and interrupts share.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::token_bucket::{Config, Rate, TokenBucket};
use steadfast_bare_metal::{Ticks, ticks};

static BUCKET: TokenBucket<Ticks> =
    Config::new(Rate::per_second(50)).burst(10).build_static_with(Ticks);

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
        let _granted = black_box(BUCKET.try_acquire(black_box(1)));
    }
}
