//! Durations, of which the quantiles are kept.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::quantity::duration;

/// Durations, in bounded memory: the longest exactly, the others to three digits.
#[derive(Debug)]
pub struct Waits {
    /// Without memory for it, quantiles are not known.
    histogram: Option<Histogram<u64>>,
    longest: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { histogram: Histogram::new(3).ok(), longest: Duration::ZERO }
    }
}

impl Waits {
    /// One more.
    pub fn add(&mut self, wait: Duration) {
        self.longest = self.longest.max(wait);
        if let Some(histogram) = &mut self.histogram {
            // It grows as it has to: an error would be a value that it cannot count.
            let _grown = histogram.record(steadfast_core::saturating_nanos(wait));
        }
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.histogram.as_ref().is_none_or(Histogram::is_empty)
    }

    /// The longest, or nothing.
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// This share of them is at most so long.
    pub fn quantile(&self, share: f64) -> Duration {
        let value = |histogram: &Histogram<u64>| histogram.value_at_quantile(share);
        Duration::from_nanos(self.histogram.as_ref().map_or(0, value)).min(self.longest)
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("–");
        }
        let [half, most] = [0.5, 0.99].map(|share| duration(self.quantile(share)));
        write!(f, "{half} (p50), {most} (p99), {} (longest)", duration(self.longest))
    }
}
