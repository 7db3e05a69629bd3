//! What happened when, in a bounded number of bins, however long it took.

use std::time::Duration;

use steadfast_core::Instant;

use crate::trace::FIRST;

/// The most bins: about one for three pixels of a picture.
const MOST: usize = 240;

/// What is put into bins.
pub trait Merge: Default {
    /// Becomes what this and the bin after it are together.
    fn merge(&mut self, later: Self);
}

/// Bins of equal width from [`FIRST`] on. When there are too many of them, two become one.
#[derive(Debug, Clone)]
pub struct Timeline<T> {
    width: u64,
    bins: Vec<T>,
}

impl<T: Merge> Timeline<T> {
    /// For so much time if that is known: its bins then end with it.
    pub fn new(length: Option<Duration>) -> Self {
        let length = length.map_or(0, steadfast_core::saturating_nanos);
        Self { width: (length / 125).max(1_000), bins: Vec::new() }
    }

    /// The bin of an instant; what is before the first is in the first.
    pub fn at(&mut self, at: Instant) -> &mut T {
        let place = self.reach(at);
        &mut self.bins[place]
    }

    /// Has bins up to an instant, even if nothing happened.
    pub fn extend(&mut self, to: Instant) {
        self.reach(to.saturating_sub(Duration::from_nanos(1)));
    }

    /// Gives all bins between two instants their part of the time.
    pub fn between(&mut self, from: Instant, to: Instant, mut each: impl FnMut(&mut T, Duration)) {
        if to <= from {
            return;
        }
        self.extend(to);
        let (mut from, to) = (since(from), since(to));
        while from < to {
            let place = usize::try_from(from / self.width).unwrap_or(usize::MAX);
            let end = (from / self.width + 1).saturating_mul(self.width).min(to);
            if let Some(bin) = self.bins.get_mut(place) {
                each(bin, Duration::from_nanos(end - from));
            }
            from = end;
        }
    }

    /// The beginnings of the bins that begin after one instant, and not after the other.
    pub fn beginnings(&mut self, after: Instant, to: Instant) -> Vec<Instant> {
        self.reach(to);
        let (first, last) = (since(after) / self.width, since(to) / self.width);
        let begin = |place: u64| FIRST.saturating_add(Duration::from_nanos(place * self.width));
        (first + 1..=last).map(begin).collect()
    }

    fn reach(&mut self, at: Instant) -> usize {
        let since = since(at);
        while since / self.width >= MOST as u64 {
            self.fold();
        }
        // OK: less than the most bins.
        let place = usize::try_from(since / self.width).unwrap_or(0);
        while self.bins.len() <= place {
            self.bins.push(T::default());
        }
        place
    }

    fn fold(&mut self) {
        self.width = self.width.saturating_mul(2);
        let mut folded = Vec::with_capacity(MOST);
        let mut bins = std::mem::take(&mut self.bins).into_iter();
        while let Some(mut bin) = bins.next() {
            if let Some(later) = bins.next() {
                bin.merge(later);
            }
            folded.push(bin);
        }
        self.bins = folded;
    }

    /// The width of a bin, in seconds.
    pub fn width(&self) -> f64 {
        Duration::from_nanos(self.width).as_secs_f64()
    }

    /// A point for the beginning of each bin, in seconds from the first instant, and one for the end of the
    /// last. Bins of which nothing is known are left out.
    pub fn points(&self, mut value: impl FnMut(&T) -> Option<f64>) -> Vec<(f64, f64)> {
        let width = self.width();
        let mut points = Vec::with_capacity(self.bins.len() + 1);
        let mut at = 0.0;
        for bin in &self.bins {
            points.extend(value(bin).map(|value| (at, value)));
            at += width;
        }
        points.extend(points.last().map(|&(_, value)| (at, value)));
        points
    }

    /// Points of counts, as counts a second.
    pub fn per_second(&self, mut count: impl FnMut(&T) -> u64) -> Vec<(f64, f64)> {
        let width = self.width();
        #[expect(clippy::cast_precision_loss, reason = "to be drawn")]
        self.points(|bin| Some(count(bin) as f64 / width))
    }
}

/// Nanoseconds since the first instant.
fn since(at: Instant) -> u64 {
    // OK: 584 years at most.
    u64::try_from(at.saturating_duration_since(FIRST).as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since the first instant.
pub fn seconds(at: Instant) -> f64 {
    at.saturating_duration_since(FIRST).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Sum(u64);

    impl Merge for Sum {
        fn merge(&mut self, later: Self) {
            self.0 += later.0;
        }
    }

    fn after(duration: Duration) -> Instant {
        FIRST.saturating_add(duration)
    }

    #[test]
    fn nothing_is_lost_by_folding_and_bins_stay_few() {
        let mut timeline = Timeline::<Sum>::new(None);
        for n in 0..10_000u64 {
            timeline.at(after(Duration::from_micros(n * n))).0 += 1;
        }
        timeline.at(after(Duration::from_secs(86_400 * 365 * 100))).0 += 1;
        assert_eq!(timeline.bins.iter().map(|sum| sum.0).sum::<u64>(), 10_001);
        assert!(timeline.bins.len() <= MOST);
    }

    #[test]
    fn time_is_shared_out_completely() {
        let mut timeline = Timeline::<Sum>::new(Some(Duration::from_secs(1)));
        let (from, to) = (after(Duration::from_millis(3)), after(Duration::from_millis(700)));
        // OK: milliseconds.
        timeline.between(from, to, |sum, part| sum.0 += u64::try_from(part.as_nanos()).unwrap());
        assert_eq!(timeline.bins.iter().map(|sum| sum.0).sum::<u64>(), 697_000_000);
        assert_eq!(timeline.bins[1], Sum(5_000_000));
    }

    #[test]
    fn what_was_before_the_first_is_in_the_first() {
        let mut timeline = Timeline::<Sum>::new(None);
        timeline.at(Instant::ZERO).0 += 1;
        assert_eq!(timeline.points(|sum| Some(f64::from(u8::try_from(sum.0).unwrap()))).len(), 2);
    }
}
