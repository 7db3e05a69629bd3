//! What goes into the machine and what comes out of it.

use core::fmt;
use core::time::Duration;

use steadfast_core::Instant;

use super::control::{Control, Kind};
use super::stamp::Lease;
use super::word::Field;

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Admits them, and measures.
    Closed,
    /// Refuses them.
    Open,
    /// Admits some, to see whether they work again.
    HalfOpen,
    /// Refuses them until it is reset.
    ForcedOpen,
    /// Admits them, and measures, until it is reset.
    ForcedClosed,
}

/// Leave for one call, to be reported on once.
///
/// Two words, so that it stays in registers from the decision to the report:
///
/// ```text
///  63    47 46      45      44     34 33     26 25        0
/// ┌────────┬───────┬───────┬─────────┬─────────┬───────────┐   ┌───────┐
/// │ 0      │ noted │ probe │ taking  │ slot    │ life      │   │ began │
/// └────────┴───────┴───────┴─────────┴─────────┴───────────┘   └───────┘
/// ```
///
/// - *taking*, *slot*: of a probe's lease.
/// - *noted*: it was counted as slow already.
/// - *began*: when, where that matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    word: u64,
    pub(super) began: Instant,
}

const PASS_LIFE: Field = Field::lowest(26);
const SLOT: Field = PASS_LIFE.above(8);
const TAKING: Field = SLOT.above(11);
const PROBE: Field = TAKING.above(1);
const NOTED: Field = PROBE.above(1);

impl Pass {
    #[inline]
    pub(super) const fn new(life: u32, began: Instant) -> Self {
        Self { word: life as u64, began }
    }

    pub(super) const fn with_lease(self, lease: Lease) -> Self {
        let word = SLOT.set(self.word, lease.slot as u64);
        let word = TAKING.set(word, lease.taking as u64);
        Self { word: PROBE.set(word, 1), ..self }
    }

    #[inline]
    pub(super) const fn life(self) -> u32 {
        PASS_LIFE.of32(self.word)
    }

    /// Whether it is of this life, and nothing else has to be known of it.
    #[inline]
    pub(super) const fn is_plain_of(self, life: u32) -> bool {
        self.word == life as u64
    }

    /// Whether the call is a probe of a half-open breaker.
    #[inline]
    pub const fn is_probe(&self) -> bool {
        PROBE.of(self.word) != 0
    }

    pub(super) const fn lease(self) -> Option<Lease> {
        let lease = Lease { slot: SLOT.of32(self.word), taking: TAKING.of32(self.word) };
        if self.is_probe() { Some(lease) } else { None }
    }

    pub(super) const fn is_noted(self) -> bool {
        NOTED.of(self.word) != 0
    }

    pub(super) const fn note(&mut self) {
        self.word = NOTED.set(self.word, 1);
    }

    /// Takes it, and leaves one that does not have to be given back.
    #[inline]
    pub(crate) const fn take(&mut self) -> Self {
        let taken = *self;
        self.word = 0;
        taken
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("life", &self.life())
            .field("lease", &self.lease())
            .field("began", &self.began)
            .field("noted", &self.is_noted())
            .finish()
    }
}

/// What becomes of somebody who wants to make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead, and report.
    Granted(Pass),
    /// Not before the break is over.
    Open {
        /// When that is; the time of asking while that is not known yet, which is for a moment.
        until: Instant,
    },
    /// All probes are in flight, or somebody waits who was there before.
    Busy,
    /// Not in the share that is admitted.
    RampingUp {
        /// When everybody will be.
        until: Instant,
    },
    /// Not before a reset.
    Isolated,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Success,
    /// It failed.
    Failure {
        /// For how long to stay open if this failure opens the breaker: a server's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Neither: it says nothing about the service.
    Ignored,
}

impl Outcome {
    /// It failed, and the server said nothing about when to come back.
    pub const FAILURE: Self = Self::Failure { retry_after: None };
}

/// Why a breaker changed its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// The share of failures among the last calls.
    FailureRateByCalls,
    /// The share of failures in the last time.
    FailureRateByTime,
    /// The share of slow calls among the last calls.
    SlowRateByCalls,
    /// The share of slow calls in the last time.
    SlowRateByTime,
    /// The break was over, and somebody asked.
    BreakOver,
    /// Too many probes failed.
    ProbesFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Somebody forced it.
    Forced,
    /// Somebody reset it.
    Reset,
    /// The clock was set back to long before the break began, so it began again.
    ClockSteppedBack,
}

/// The end of one life and the beginning of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The number of the life that begins. The first life, which no change began, has number 1.
    pub life: u32,
    /// When.
    pub at: Instant,
    /// The phase before.
    pub from: Phase,
    /// The phase from now on.
    pub to: Phase,
    /// Why.
    pub reason: Reason,
}

/// Who may proceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Nobody who could not before.
    Nobody,
    /// The first in line has to look again.
    First,
    /// Everybody.
    All,
}

/// What others have to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "those who wait have to be told"]
pub struct Effects {
    /// Who may proceed.
    pub wake: Wake,
    /// The change of the phase, if there was one.
    pub change: Option<Change>,
}

impl Effects {
    /// Nothing to tell.
    pub const NONE: Self = Self { wake: Wake::Nobody, change: None };

    pub(super) fn of(from: Control, to: Control, reason: Reason, at: Instant) -> Self {
        let wake = match to.kind() {
            Kind::Closed | Kind::ForcedClosed => Wake::All,
            Kind::Ramping | Kind::Open | Kind::HalfOpen | Kind::ForcedOpen => Wake::First,
        };
        let (from, to, life) = (from.kind().phase(), to.kind().phase(), to.life());
        Self { wake, change: Some(Change { life, at, from, to, reason }) }
    }
}

/// A trip, whose break is to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// How many came before it in a row.
    pub number: u32,
    /// The break before it, if there was one in this row.
    pub previous: Option<Duration>,
}

/// When somebody could be let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Now.
    Ready,
    /// Then, if nothing happens before.
    At(Instant),
    /// When something happens, and perhaps then.
    Event(Instant),
}
