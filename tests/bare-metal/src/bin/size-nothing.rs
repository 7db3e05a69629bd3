//! What the other programs of this kind have in common: interrupts and a clock that is read.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::Clock;
use steadfast_bare_metal::{Ticks, ticks};

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
        black_box(Ticks.now());
    }
}
