//! A clock that misbehaves.

use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use steadfast_core::{Clock, Instant, ManualClock};

/// What the clock does during a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing.
    Still,
    /// Everything.
    Chaos,
}

/// What the clock is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Stay,
    Forward(Duration),
    /// By so little that nobody believes it.
    Back,
    /// By more than primitives take for a delay, in one step or in several.
    Believed,
}

/// The clock, moved by one hand.
#[derive(Debug)]
pub(crate) struct Chaos {
    pub(crate) clock: ManualClock,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    /// The latest time that was shown since a step back was believed.
    latest: Instant,
    /// The latest that ever was: nobody waits for a time that is much later.
    highest: Instant,
}

/// Steps back by more than this are believed. (The primitives say 60 s; between, they may.)
const BELIEVED: Duration = Duration::from_secs(59);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Chaos {
    pub(crate) fn new() -> Self {
        let begin = Instant::ZERO.saturating_add(YEAR);
        Self {
            clock: ManualClock::starting_at(begin),
            shown: Mutex::new(Shown { latest: begin, highest: begin }),
        }
    }

    /// One more step, which `told` learns of before it is made.
    pub(crate) fn step(&self, random: &mut Rng, told: impl FnOnce(Move)) {
        let nanos = |random: &mut Rng, most: Duration| {
            Duration::from_nanos(random.u64(..u64::try_from(most.as_nanos()).expect("short")))
        };
        let (forward, by) = match random.u32(..1_000) {
            0..700 => (true, nanos(random, Duration::from_millis(3))),
            700..760 => (true, nanos(random, Duration::from_secs(5))),
            760..765 => (true, nanos(random, Duration::from_secs(86_400))),
            765 => (true, YEAR),
            766..800 => (false, nanos(random, Duration::from_millis(50))),
            800..815 => (false, nanos(random, Duration::from_secs(40))),
            815..820 => (false, nanos(random, Duration::from_secs(600))),
            820 => (false, YEAR),
            _ => return told(Move::Stay),
        };
        if forward { self.forward(by, told) } else { self.back(by, told) }
    }

    pub(crate) fn forward(&self, by: Duration, told: impl FnOnce(Move)) {
        told(Move::Forward(by));
        let to = self.clock.now().saturating_add(by);
        let mut shown = self.shown.lock().expect("nobody panics with it");
        shown.latest = shown.latest.max(to);
        shown.highest = shown.highest.max(to);
        drop(shown);
        self.clock.advance(by);
    }

    /// A second on from the latest time that ever was: whoever sleeps until a time wakes up, also if the
    /// clock has stepped back under him.
    pub(crate) fn end_sleeps(&self, told: impl FnOnce(Move)) {
        let highest = self.shown.lock().expect("nobody panics with it").highest;
        let by = highest.saturating_duration_since(self.clock.now());
        self.forward(by + Duration::from_secs(1), told);
    }

    fn back(&self, by: Duration, told: impl FnOnce(Move)) {
        let since = self.clock.now().saturating_duration_since(Instant::ZERO);
        let to = Instant::ZERO.saturating_add(since.saturating_sub(by));
        let mut shown = self.shown.lock().expect("nobody panics with it");
        let is_believed = shown.latest.saturating_duration_since(to) > BELIEVED;
        if is_believed {
            shown.latest = to;
        }
        drop(shown);
        told(if is_believed { Move::Believed } else { Move::Back });
        self.clock.set_now(to);
    }
}
