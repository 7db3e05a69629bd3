//! The smallest program with a circuit breaker that threads and interrupts share.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use core::time::Duration;
use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::circuit_breaker::{AtomicU64, CircuitBreaker, Config};
use steadfast_bare_metal::{Ticks, ticks};

static BREAKER: CircuitBreaker<Ticks, [AtomicU64; 2]> = Config::new()
    .consecutive_failures(3)
    .break_duration(Duration::from_millis(500))
    .build_static_with(Ticks, 0);

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
        if let Ok(permit) = BREAKER.try_acquire() {
            if black_box(true) { permit.success() } else { permit.failure() }
        }
    }
}
