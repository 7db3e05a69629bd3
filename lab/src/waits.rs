//! Durations, of which the quantiles are kept.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::quantity::duration;

/// Durations, to three digits each, in bounded memory.
#[derive(Debug)]
pub struct Waits(Option<Histogram<u64>>);

impl Default for Waits {
    fn default() -> Self {
        // From nothing to 584 years; without memory for that, nothing is known.
        Self(Histogram::new(3).ok())
    }
}

impl Waits {
    /// One more.
    pub fn add(&mut self, wait: Duration) {
        if let Some(histogram) = &mut self.0 {
            // It grows as it has to: an error would be a value that it cannot count.
            let _grown = histogram.record(steadfast_core::saturating_nanos(wait));
        }
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(Histogram::is_empty)
    }

    /// Half of them, 99 of 100 of them, and all of them are at most so long.
    pub fn quantiles(&self) -> [Duration; 3] {
        [0.5, 0.99, 1.0].map(|share| {
            let value = self.0.as_ref().map_or(0, |histogram| histogram.value_at_quantile(share));
            // What is counted as some nanoseconds may be none.
            Duration::from_nanos(value)
        })
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_empty() {
            return f.write_str("–");
        }
        let [half, most, longest] = self.quantiles().map(duration);
        write!(f, "{half} (p50), {most} (p99), {longest} (longest)")
    }
}
