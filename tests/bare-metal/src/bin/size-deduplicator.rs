//! The smallest program with a deduplicator in memory of its own.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::hint::black_box;

use core::time::Duration;
use cortex_m_rt::{entry, exception};
use panic_halt as _;
use steadfast::Clock;
use steadfast::deduplicator::{Config, Fixed, LocalDeduplicator, SipKeys};
use steadfast_bare_metal::{Ticks, ticks};

const LAST: Config = Config::new(50).ttl(Duration::from_secs(10));
type Memory = Fixed<{ LAST.lines() }, { LAST.words() }>;
type Seen = LocalDeduplicator<SipKeys, Memory>;

#[exception]
fn SysTick() {
    ticks::advance();
}

#[entry]
fn main() -> ! {
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    let keys = SipKeys::from_seed(Ticks.now().as_nanos());
    let Ok(seen) = LAST.local_in(Memory::new(), keys) else {
        panic!("50 ids can be kept");
    };
    let Some(seen) = cortex_m::singleton!(: Seen = seen) else {
        panic!("there is one");
    };
    loop {
        let _sighting = black_box(seen.insert(&black_box(17_u32), Ticks.now()));
    }
}
