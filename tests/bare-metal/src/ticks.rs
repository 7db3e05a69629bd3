//! Time: a count that an interrupt moves on.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use steadfast::{Clock, Instant};

/// From one interrupt to the next.
pub const TICK: Duration = Duration::from_nanos(NANOS);
const NANOS: u64 = 1_000_000;
/// The processor's cycles in that time: 16 MHz.
const CYCLES: u32 = 16_000;

static TICKS: AtomicU32 = AtomicU32::new(0);

/// The time since [`start`], to the last tick.
#[derive(Debug, Clone, Copy)]
pub struct Ticks;

impl Ticks {
    /// How many there were.
    pub fn count() -> u32 {
        // ORDERING: Relaxed; one core, and the count is all that is said.
        TICKS.load(Ordering::Relaxed)
    }

    /// When so many have passed.
    pub fn at(count: u32) -> Instant {
        Instant::from_nanos(u64::from(count) * NANOS)
    }
}

impl Clock for Ticks {
    fn now(&self) -> Instant {
        Self::at(Self::count())
    }
}

/// Lets the interrupts come.
pub fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CYCLES - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// One more has passed: for the handler of the interrupt, which nobody interrupts, and nobody else. There is
/// no addition in one step on this processor.
pub fn advance() -> u32 {
    let count = Ticks::count() + 1;
    // ORDERING: Relaxed; as in `count`.
    TICKS.store(count, Ordering::Relaxed);
    count
}

/// Waits until so many have passed, the one that is under way among them.
pub fn sleep(ticks: u32) {
    let until = Ticks::count() + ticks;
    while Ticks::count() < until {
        cortex_m::asm::wfi();
    }
}
