//! Made-up calls to a service that is down now and then.

use std::time::Duration;

use super::Options;
use crate::arrivals::Arrivals;
use crate::trace::{Event, FIRST, Outcome};

impl Options {
    pub(super) fn made(&self) -> impl Iterator<Item = Event> + 'static {
        let every = Duration::from_secs(2);
        let arrivals = Arrivals::new(self.arrivals, self.calls, every, self.duration, self.seed);
        let outages = self.outages();
        let (failing, failures, slow) = (self.failing, self.failures, self.slow);
        // Other draws than those of the arrivals.
        let mut rng = fastrand::Rng::with_seed(!self.seed);
        arrivals.map(move |at| {
            let since = at.saturating_duration_since(FIRST);
            let is_down = outages.iter().any(|(from, to)| (*from..*to).contains(&since));
            // Both are drawn each time, so that other shares leave the other calls as they are.
            let (fate, speed) = (rng.f64(), rng.f64());
            let outcome = if fate < if is_down { failing } else { failures } {
                Outcome::Failure
            } else if speed < slow {
                Outcome::Slow
            } else {
                Outcome::Success
            };
            Event { outcome: Some(outcome), ..Event::at(at) }
        })
    }
}
