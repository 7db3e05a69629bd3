//! What a window answers, and what it has counted.

use steadfast_core::Instant;

/// What an id is to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "whether an id was seen before is what was asked"]
pub enum Sighting {
    /// Not seen before, as far as is remembered; it is from now on.
    Fresh,
    /// Seen before.
    Duplicate {
        /// When it was first seen.
        first_seen: Instant,
    },
}

impl Sighting {
    /// Whether it was not seen before.
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh)
    }
}

/// What a window has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Ids that were not seen before.
    pub fresh: u64,
    /// Ids that were.
    pub duplicates: u64,
    /// Ids that were forgotten for others, before their time was over: with a TTL, the window is too small
    /// for it.
    pub evicted: u64,
    /// Ids that were forgotten because their time was over. They are counted when the window comes upon
    /// them.
    pub expired: u64,
    /// Ids that were forgotten on request.
    pub forgotten: u64,
}

impl Stats {
    pub(crate) const NONE: Self =
        Self { fresh: 0, duplicates: 0, expired: 0, evicted: 0, forgotten: 0 };
}

impl core::ops::Add for Stats {
    type Output = Self;

    /// Of two windows together.
    fn add(self, other: Self) -> Self {
        Self {
            fresh: self.fresh.saturating_add(other.fresh),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            expired: self.expired.saturating_add(other.expired),
            evicted: self.evicted.saturating_add(other.evicted),
            forgotten: self.forgotten.saturating_add(other.forgotten),
        }
    }
}
