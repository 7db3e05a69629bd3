//! The control word: the phase, whose life it is, and what has to agree with them.
//!
//! ```text
//!  63        38 37   35     34    33    24 23       16 15        8 7        0
//! ┌────────────┬───────┬──────────┬────────┬───────────┬───────────┬──────────┐
//! │ life       │ phase │ occupied │ trips  │ in flight │ successes │ failures │  half-open
//! ├────────────┼───────┼──────────┼────────┼───────────┴───────────┴──────────┤
//! │ life       │ phase │ occupied │ trips  │ failures in a row                │  otherwise
//! └────────────┴───────┴──────────┴────────┴──────────────────────────────────┘
//! ```
//!
//! - *life*: the generation, 1 after the beginning, one more with every change of the phase; it
//!   wraps from 2²⁶ - 1 to 1. A result that carries another life changes nothing.
//! - *occupied*: a line waits that newcomers may not overtake.
//! - *trips*: how often it opened in a row; it stops at 1,023.
//! - *in flight*, *successes*, *failures*: of the probes of this life.

use super::word::Field;
use super::{Closing, Phase};

const FAILURES: Field = Field::lowest(8);
const SUCCESSES: Field = FAILURES.above(8);
const IN_FLIGHT: Field = SUCCESSES.above(8);
const ROW: Field = Field::lowest(24);
const TRIPS: Field = ROW.above(10);
const OCCUPIED: Field = TRIPS.above(1);
const KIND: Field = OCCUPIED.above(3);
/// The generation, in the control word and wherever a whole one is kept.
pub(super) const LIFE: Field = KIND.above(26);

/// The phase as it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Closed = 0,
    Open = 1,
    HalfOpen = 2,
    ForcedOpen = 3,
    ForcedClosed = 4,
    /// Closed, and admitting a growing share.
    Ramping = 5,
}

impl Kind {
    pub(super) const fn phase(self) -> Phase {
        match self {
            Self::Closed | Self::Ramping => Phase::Closed,
            Self::Open => Phase::Open,
            Self::HalfOpen => Phase::HalfOpen,
            Self::ForcedOpen => Phase::ForcedOpen,
            Self::ForcedClosed => Phase::ForcedClosed,
        }
    }
}

/// What one more result of a probe leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided(Control),
    Close,
    Reopen,
}

/// The control word, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Control(pub(super) u64);

impl Control {
    /// The first life, closed.
    pub(super) const FIRST: Self = Self(LIFE.set(0, 1));

    #[inline]
    pub(super) const fn life(self) -> u32 {
        LIFE.of32(self.0)
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        match KIND.of(self.0) {
            0 => Kind::Closed,
            1 => Kind::Open,
            2 => Kind::HalfOpen,
            3 => Kind::ForcedOpen,
            4 => Kind::ForcedClosed,
            _ => Kind::Ramping,
        }
    }

    #[inline]
    pub(super) const fn is_occupied(self) -> bool {
        OCCUPIED.of(self.0) != 0
    }

    pub(super) const fn with_occupied(self, occupied: bool) -> Self {
        Self(OCCUPIED.set(self.0, occupied as u64))
    }

    pub(super) const fn trips(self) -> u32 {
        TRIPS.of32(self.0)
    }

    pub(super) const fn with_trips(self, trips: u32) -> Self {
        let max = TRIPS.max();
        Self(TRIPS.set(self.0, if trips as u64 > max { max } else { trips as u64 }))
    }

    /// Failures in a row.
    #[inline]
    pub(super) const fn row(self) -> u32 {
        ROW.of32(self.0)
    }

    #[inline]
    pub(super) const fn with_row(self, failures: u32) -> Self {
        let max = ROW.max();
        Self(ROW.set(self.0, if failures as u64 > max { max } else { failures as u64 }))
    }

    pub(super) const fn in_flight(self) -> u32 {
        IN_FLIGHT.of32(self.0)
    }

    pub(super) const fn successes(self) -> u32 {
        SUCCESSES.of32(self.0)
    }

    pub(super) const fn failures(self) -> u32 {
        FAILURES.of32(self.0)
    }

    /// One probe more. There is room for it.
    pub(super) const fn with_probe(self) -> Self {
        Self(IN_FLIGHT.set(self.0, self.in_flight() as u64 + 1))
    }

    /// One probe less.
    pub(super) const fn without_probe(self) -> Self {
        Self(IN_FLIGHT.set(self.0, self.in_flight().saturating_sub(1) as u64))
    }

    /// The next life, in which nothing has happened.
    pub(super) const fn next(self, kind: Kind) -> Self {
        let life = match self.life() as u64 {
            last if last == LIFE.max() => 1,
            life => life + 1,
        };
        Self(ROW.set(KIND.set(LIFE.set(self.0, life), kind as u64), 0))
    }

    /// The same life, its ramp-up over.
    pub(super) const fn ramped_up(self) -> Self {
        Self(KIND.set(self.0, Kind::Closed as u64))
    }

    /// What comes of a probe that reports.
    pub(super) const fn judge(self, success: bool, closing: Closing) -> Verdict {
        // OK: a life ends before its probes' results outgrow their fields.
        let successes = self.successes() + success as u32;
        let failures = self.failures() + !success as u32;
        if failures >= closing.failures {
            return Verdict::Reopen;
        }
        if successes + failures >= closing.probes {
            return Verdict::Close;
        }
        let word = SUCCESSES.set(self.without_probe().0, successes as u64);
        Verdict::Undecided(Self(FAILURES.set(word, failures as u64)))
    }
}
