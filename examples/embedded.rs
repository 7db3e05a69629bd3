//! The loop of a small device: nothing allocates, waits or needs an operating system. Time is a count of
//! ticks that an interrupt moves on; here, the loop. On a processor's model it runs in `tests/bare-metal`.
//!
//! `cargo run --example embedded`

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use steadfast::backoff::{self, Jitter, Policy, Random};
use steadfast::circuit_breaker::{self, AtomicU64, CircuitBreaker};
use steadfast::deduplicator::{self, Fixed, SipKeys};
use steadfast::sequence_tracker::{self, Gap};
use steadfast::token_bucket::{self, Rate, TokenBucket};
use steadfast::{Clock, Instant};

static TICKS: AtomicU32 = AtomicU32::new(0);

/// A millisecond each.
#[derive(Clone, Copy)]
struct Ticks;
impl Clock for Ticks {
    fn now(&self) -> Instant {
        // ORDERING: Relaxed, here and below; the count is all that is said.
        Instant::from_nanos(u64::from(TICKS.load(Ordering::Relaxed)) * 1_000_000)
    }
}

// What an interrupt may share is a `static`, checked by the compiler: the radio may send 5 frames a second;
// three failures in a row are a second's rest.
static RADIO: TokenBucket<Ticks> =
    token_bucket::Config::new(Rate::per_second(5)).burst(2).build_static_with(Ticks);
const BREAKING: circuit_breaker::Config =
    circuit_breaker::Config::new().consecutive_failures(3).break_duration(Duration::from_secs(1));
const WORDS: usize = if let Ok(terms) = BREAKING.terms() { terms.words() } else { 0 };
static UPLINK: CircuitBreaker<Ticks, [AtomicU64; WORDS]> = BREAKING.build_static_with(Ticks, 0);
const AGAIN: Policy = backoff::Config::exponential(Duration::from_millis(100))
    .cap(Duration::from_secs(2))
    .jitter(Jitter::Equal)
    .build_static();
// The last 16 commands, in memory of the program's.
const COMMANDS: deduplicator::Config = deduplicator::Config::new(16);
type Memory = Fixed<{ COMMANDS.lines() }, { COMMANDS.words() }>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut random = Random::from_seed(7);
    let mut commands = COMMANDS.local_in(Memory::new(), SipKeys::from_seed(7))?;
    let mut sensor = sequence_tracker::Config::new().state_in([Gap::EMPTY; 4])?;
    let (mut sent, mut tried, mut done, mut failures, mut send_at) = (0, 0, 0, 0, Ticks.now());

    for tick in 0..60_000_u32 {
        TICKS.store(tick, Ordering::Relaxed);
        let now = Ticks.now();
        // Each command comes three times. A sensor counts its samples, of which one in 10 is lost.
        done += u32::from(tick % 100 < 3 && commands.insert(&(tick / 100), now).is_fresh());
        if tick % 10 == 0 && tick % 100 != 50 {
            let _arrival = sensor.record(u64::from(tick / 10), now);
        }
        // The network is away for 20 seconds. Each step asks, and none of them waits.
        // A permit that is dropped is as if it had not been asked for.
        let Ok(permit) = UPLINK.try_acquire() else { continue };
        if now < send_at || RADIO.try_acquire(1).is_err() {
            continue;
        }
        tried += 1;
        if (20_000..40_000).contains(&tick) {
            permit.failure();
            send_at = now.saturating_add(AGAIN.delay(failures, &mut random));
            failures += 1;
        } else {
            permit.success();
            (sent, failures) = (sent + 1, 0);
        }
    }
    let (in_vain, samples) = (tried - sent, sensor.stats().received());
    println!("{sent} frames sent, {in_vain} in vain; {done} commands, {samples} samples");
    assert!(sent <= 2 + 5 * 60 && in_vain <= 25, "within the quota, and quiet in the outage");
    assert_eq!((done, samples), (600, 5_400), "each command and each sample counts once");
    Ok(())
}
