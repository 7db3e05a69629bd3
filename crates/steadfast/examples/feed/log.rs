//! How the server measures: the time of every arrival within the window.
//!
//! It is the plainest limiter there is, and shares no idea with a token bucket: no rate, no refill,
//! nothing that could be wrong in the same way as what it is to check. It costs memory for each
//! request, which is why one would not ship it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::protocol::Quota;

/// The arrivals of one client in the window that ends now.
#[derive(Debug)]
pub(crate) struct SlidingLog {
    quota: Quota,
    arrivals: VecDeque<Instant>,
    busiest: u64,
}

impl SlidingLog {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { quota, arrivals: VecDeque::new(), busiest: 0 }
    }

    /// Records an arrival and says whether the quota was kept.
    ///
    /// The fullest of all windows is one that ends with an arrival, so no other has to be looked at.
    pub(crate) fn keeps_quota(&mut self, now: Instant) -> bool {
        let is_over = |first: &Instant| now.saturating_duration_since(*first) >= self.quota.window;
        while self.arrivals.front().is_some_and(is_over) {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        // OK: a length is at most 64 bits wide.
        let now_in_window = self.arrivals.len() as u64;
        self.busiest = self.busiest.max(now_in_window);
        now_in_window <= self.quota.limit
    }

    /// The most arrivals that any window has seen.
    pub(crate) fn busiest(&self) -> u64 {
        self.busiest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_too_many_in_any_window_is_seen_and_the_limit_itself_is_not() {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary beginning; the rest is added")]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let quota = Quota { limit: 2, window: Duration::from_millis(10) };
        let mut log = SlidingLog::new(quota);
        let kept: Vec<_> =
            [0, 9, 10, 19, 28].into_iter().map(|ms| log.keeps_quota(at(ms))).collect();
        assert_eq!(kept, [true, true, true, true, true], "each third is a window later");
        assert!(log.keeps_quota(at(30)), "19 is out, 28 and 30 are in");
        assert!(!log.keeps_quota(at(37)), "28, 30 and 37");
        assert_eq!(log.busiest(), 3);
    }
}
