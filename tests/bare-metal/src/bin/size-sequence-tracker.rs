//! The smallest program with a sequence tracker in memory of its own.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::Clock;
use steadfast::sequence_tracker::{Config, Gap, State};
use steadfast_bare_metal::{Ticks, ticks};

type Tracker = State<[Gap; 8]>;

#[exception]
fn SysTick() {
    ticks::advance();
}

#[entry]
fn main() -> ! {
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    let Ok(tracker) = Config::new().state_in([Gap::EMPTY; 8]) else {
        panic!("8 gaps can be kept");
    };
    let Some(tracker) = cortex_m::singleton!(: Tracker = tracker) else {
        panic!("there is one");
    };
    loop {
        let now = Ticks.now();
        black_box(tracker.record(black_box(now.as_nanos()), now));
    }
}
