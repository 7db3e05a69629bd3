//! What one of the two sides, the thread or the interrupt, has done. It alone writes it, and both read it:
//! loads and stores are all that takes.

use core::sync::atomic::{AtomicU32, Ordering};

use steadfast::Instant;
use steadfast::circuit_breaker::{self, Permit};
use steadfast::sequence_tracker::Freshness;

/// How many numbers there are.
pub const NUMBERS: u32 = 8_192;

/// A number that one side writes.
#[derive(Debug, Default)]
pub struct Mine(AtomicU32);

impl Mine {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// What it is.
    pub fn value(&self) -> u32 {
        // ORDERING: Relaxed; one core, on which an interrupt comes between two instructions and sees what
        // the program has done so far.
        self.0.load(Ordering::Relaxed)
    }

    /// What it is from now on.
    pub fn set(&self, value: u32) {
        // ORDERING: Relaxed; as above.
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more, or less.
    pub fn add(&self, change: i32) {
        self.set(self.value().wrapping_add_signed(change));
    }
}

/// What one side has seen.
#[derive(Debug)]
pub struct Side {
    /// Tokens that it was granted.
    pub granted: Mine,
    /// Numbers that were fresh to it, a bit each.
    fresh: [Mine; NUMBERS as usize / 32],
    /// Numbers that were fresh to it twice.
    pub fresh_twice: Mine,
    /// Numbers that it was told are duplicates.
    pub duplicates: Mine,
    /// Numbers that it was told are too old. None is.
    pub too_old: Mine,
    /// Calls of the service that it was permitted.
    pub permitted: Mine,
    /// Probes that it holds.
    pub probing: Mine,
    /// Calls that were refused because others were probing.
    pub busy: Mine,
    /// The tick before which it was promised that no call is permitted.
    pub promised: Mine,
    /// Calls that were permitted before.
    pub broken_promises: Mine,
}

impl Side {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            granted: Mine::new(),
            fresh: [const { Mine::new() }; NUMBERS as usize / 32],
            fresh_twice: Mine::new(),
            duplicates: Mine::new(),
            too_old: Mine::new(),
            permitted: Mine::new(),
            probing: Mine::new(),
            busy: Mine::new(),
            promised: Mine::new(),
            broken_promises: Mine::new(),
        }
    }

    /// What became of a number that it offered.
    pub fn note_number(&self, number: u32, freshness: Freshness) {
        match freshness {
            Freshness::Fresh => {
                let (word, bit) = (&self.fresh[number as usize / 32], 1 << (number % 32));
                if word.value() & bit != 0 {
                    self.fresh_twice.add(1);
                }
                word.set(word.value() | bit);
            }
            Freshness::Duplicate => self.duplicates.add(1),
            Freshness::TooOld => self.too_old.add(1),
        }
    }

    /// Whether a number was fresh to it.
    pub fn was_fresh(&self, number: u32) -> bool {
        self.fresh[number as usize / 32].value() >> (number % 32) & 1 != 0
    }

    /// What became of a call at about `now`, which is read after it.
    pub fn note_call<O>(
        &self,
        answer: Result<Permit<O>, circuit_breaker::TryAcquireError>,
        now: u32,
    ) -> Option<Permit<O>>
    where
        O: core::ops::Deref<Target: circuit_breaker::Owner>,
    {
        match answer {
            Ok(permit) => {
                self.permitted.add(1);
                self.probing.add(i32::from(permit.is_probe()));
                if now < self.promised.value() {
                    self.broken_promises.add(1);
                }
                Some(permit)
            }
            Err(circuit_breaker::TryAcquireError::Open { retry_at, .. }) => {
                self.promised.set(ticks_of(retry_at));
                None
            }
            Err(_) => {
                self.busy.add(1);
                None
            }
        }
    }

    /// The end of a call: it worked, or it did not.
    pub fn end_call<O>(&self, permit: Permit<O>, worked: bool)
    where
        O: core::ops::Deref<Target: circuit_breaker::Owner>,
    {
        // Before it is reported: a probe is not counted as in flight for longer than it is.
        self.probing.add(-i32::from(permit.is_probe()));
        if worked { permit.success() } else { permit.failure() }
    }
}

impl Default for Side {
    fn default() -> Self {
        Self::new()
    }
}

/// The tick of an instant of [`Ticks`](crate::Ticks).
fn ticks_of(at: Instant) -> u32 {
    let ticks = u128::from(at.as_nanos()) / crate::ticks::TICK.as_nanos();
    u32::try_from(ticks).unwrap_or(u32::MAX)
}
