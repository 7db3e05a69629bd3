//! The smallest program with a replay window that threads and interrupts share.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::Clock;
use steadfast::sequence_tracker::SharedReplayWindow;
use steadfast_bare_metal::{Ticks, ticks};

static WINDOW: SharedReplayWindow<33> = SharedReplayWindow::new();

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
        let number = Ticks.now().as_nanos();
        black_box(WINDOW.record(number));
    }
}
