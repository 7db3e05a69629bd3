//! The smallest program that draws delays.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use core::time::Duration;
use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::Clock;
use steadfast::backoff::{Config, Policy, Random};
use steadfast_bare_metal::{Ticks, ticks};

static POLICY: Policy =
    Config::exponential(Duration::from_millis(50)).cap(Duration::from_secs(10)).build_static();

#[exception]
fn SysTick() {
    ticks::advance();
}

#[entry]
fn main() -> ! {
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    let mut random = Random::from_seed(Ticks.now().as_nanos());
    loop {
        let delay = POLICY.delay(black_box(3), &mut random);
        black_box(delay);
    }
}
