//! What was counted, and how regularly it came.

use steadfast_core::Instant;

/// What a tracker has counted since it was made, over all restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Numbers from the first to the right edge: those that have come, and those that should have.
    pub expected: u64,
    /// Numbers that are missing now.
    pub missing: u64,
    /// Numbers that were given up, or left out of the list because it was full, or missing at a restart.
    pub abandoned: u64,
    /// Numbers that never were to come.
    pub skipped: u64,
    /// Numbers that came again.
    pub duplicates: u64,
    /// Numbers that came after they had been forgotten.
    pub too_old: u64,
    /// Numbers that came after a higher one had come or been announced.
    pub reordered: u64,
    /// How far below the right edge the latest of them was.
    pub largest_displacement: u64,
    /// How often it began anew: restarts and resets.
    pub restarts: u64,
}

impl Stats {
    /// Nothing yet.
    pub(crate) const NONE: Self = Self {
        expected: 0,
        missing: 0,
        abandoned: 0,
        skipped: 0,
        duplicates: 0,
        too_old: 0,
        reordered: 0,
        largest_displacement: 0,
        restarts: 0,
    };

    /// Numbers that have come, each counted once.
    pub const fn received(&self) -> u64 {
        let Self { expected, missing, abandoned, skipped, .. } = *self;
        expected.saturating_sub(missing).saturating_sub(abandoned).saturating_sub(skipped)
    }

    /// Numbers that have not come, and should have.
    pub const fn lost(&self) -> u64 {
        self.missing.saturating_add(self.abandoned)
    }

    /// The cumulative number of packets lost of RTP's reports (RFC 3550, A.3): duplicates count as
    /// received, so it can be negative. Cut to 24 bits, as the report has it.
    pub fn rtp_lost(&self) -> i32 {
        let lost = i128::from(self.lost()) - i128::from(self.duplicates);
        let lost = lost.clamp(-0x80_0000, 0x7F_FFFF);
        // OK: 24 bits.
        i32::try_from(lost).unwrap_or(0)
    }

    /// The share of packets lost since an earlier report, in 256ths (RFC 3550, A.3): 0 if duplicates
    /// made up for losses.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_sequence_tracker::{Config, Gap};
    ///
    /// let mut stream = Config::new().state_in([Gap::EMPTY; 8])?;
    /// let before = stream.stats();
    /// for number in [1, 2, 4] {
    ///     let _arrival = stream.record(number, Instant::ZERO);
    /// }
    /// // A quarter, in 256ths, as a receiver report of RTP has it.
    /// assert_eq!(stream.stats().fraction_lost_since(&before), 64);
    /// # Ok::<(), steadfast_sequence_tracker::ConfigError>(())
    /// ```
    pub fn fraction_lost_since(&self, earlier: &Self) -> u8 {
        let expected = self.expected.saturating_sub(earlier.expected);
        let lost = |stats: &Self| i128::from(stats.lost()) - i128::from(stats.duplicates);
        let lost = lost(self) - lost(earlier);
        if expected == 0 || lost <= 0 {
            return 0;
        }
        // OK: all lost is 256 of 256, and one less fits.
        u8::try_from((lost << 8) / i128::from(expected)).unwrap_or(u8::MAX)
    }
}

/// The interarrival jitter of RTP (RFC 3550, A.8), in units of the stream's timestamps.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::Instant;
/// use steadfast_sequence_tracker::Jitter;
///
/// // Audio at 8 kHz: a packet every 20 ms is 160 units.
/// let mut jitter = Jitter::new(8_000);
/// let at = |ms| Instant::ZERO.saturating_add(Duration::from_millis(ms));
/// jitter.record(at(0), 0);
/// jitter.record(at(20), 160);
/// assert_eq!(jitter.units(), 0, "as regular as it was sent");
/// jitter.record(at(50), 320);
/// assert_eq!(jitter.units(), 5, "10 ms late are 80 units, of which a 16th counts");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter {
    rate: u32,
    /// Arrival less timestamp of the last packet.
    transit: Option<u32>,
    /// Times 16.
    scaled: u32,
}

impl Jitter {
    /// For timestamps that count `rate` units a second.
    pub const fn new(rate: u32) -> Self {
        Self { rate, transit: None, scaled: 0 }
    }

    /// A packet came at `now` that is stamped with `timestamp`.
    pub fn record(&mut self, now: Instant, timestamp: u32) {
        let units = u128::from(now.as_nanos()) * u128::from(self.rate) / 1_000_000_000;
        #[expect(clippy::cast_possible_truncation, reason = "timestamps wrap")]
        let transit = (units as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            // Whichever way round it is shorter.
            let difference = transit.wrapping_sub(before).min(before.wrapping_sub(transit));
            let decay = self.scaled.saturating_add(8) >> 4;
            // OK: the decay is at most the whole, if that is more than nothing.
            self.scaled = self.scaled.saturating_add(difference).saturating_sub(decay);
        }
    }

    /// The jitter in units, as RTP's reports have it.
    pub const fn units(&self) -> u32 {
        self.scaled >> 4
    }
}
