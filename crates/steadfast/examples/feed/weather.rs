//! The quote server's bad times, and how it finds out whether a client leaves it alone in them.
//!
//! A client with a breaker sends two kinds of requests to a server that is not well: those that it had
//! permitted before its breaker opened, and probes, which say that they are. The server counts both. Of
//! the first there is a limited number each time, however long they were on their way, so that no guess
//! about delays is in the judgement; of the second only so many at once.

use std::time::{Duration, Instant};

use crate::pace::now;
use crate::plan::Weather;

/// How the server is, and how it was.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// What is the matter, and since when.
    spell: Option<(Weather, Instant)>,
    past: Past,
    /// Requests that were no probes and came in vain in this illness.
    in_vain: u64,
    /// Probes that have come and were not answered.
    probes: u64,
    /// Nobody has got a quote since.
    well_since: Option<Instant>,
}

/// What the server has seen of its bad times.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    /// How often it was not well, and for how long in all.
    pub(crate) illnesses: u64,
    pub(crate) unwell: Duration,
    /// How often it was away, and for how long in all.
    pub(crate) outages: u64,
    pub(crate) away: Duration,
    /// Connections that it dropped.
    pub(crate) dropped: u64,
    /// Connections that it did not accept while it was away.
    pub(crate) turned_away: u64,
    /// Requests that it could not answer.
    pub(crate) busy: u64,
    /// Those that were no probes: the most of one illness.
    pub(crate) most_in_vain: u64,
    /// The most probes at once.
    pub(crate) most_probes: u64,
    /// How long it was well again before it was asked for the first quote: the longest time.
    pub(crate) longest_recovery: Duration,
}

impl Condition {
    pub(crate) fn begin(&mut self, weather: Weather) {
        self.spell = Some((weather, now()));
        self.in_vain = 0;
        self.well_since = None;
    }

    pub(crate) fn end(&mut self) {
        let Some((weather, since)) = self.spell.take() else { return };
        let lasted = now().saturating_duration_since(since);
        match weather {
            Weather::Unwell => {
                self.past.illnesses += 1;
                self.past.unwell += lasted;
                self.well_since = Some(now());
            }
            Weather::Away => {
                self.past.outages += 1;
                self.past.away += lasted;
            }
        }
    }

    pub(crate) fn weather(&self) -> Option<Weather> {
        self.spell.map(|(weather, _)| weather)
    }

    pub(crate) fn past(&self) -> Past {
        self.past
    }

    pub(crate) fn dropped(&mut self) {
        self.past.dropped += 1;
    }

    /// Whether a connection is turned away.
    pub(crate) fn turns_away(&mut self) -> bool {
        let is_away = self.weather() == Some(Weather::Away);
        self.past.turned_away += u64::from(is_away);
        is_away
    }

    pub(crate) fn probe_comes(&mut self) {
        self.probes += 1;
        self.past.most_probes = self.past.most_probes.max(self.probes);
    }

    /// Before its answer is sent, and the next may come.
    pub(crate) fn probe_goes(&mut self) {
        self.probes -= 1;
    }

    /// A request gets a quote; or it does not, because the server is not well.
    pub(crate) fn can_answer(&mut self, is_probe: bool) -> bool {
        if self.weather() == Some(Weather::Unwell) {
            self.past.busy += 1;
            self.in_vain += u64::from(!is_probe);
            self.past.most_in_vain = self.past.most_in_vain.max(self.in_vain);
            return false;
        }
        if let Some(since) = self.well_since.take() {
            let recovery = now().saturating_duration_since(since);
            self.past.longest_recovery = self.past.longest_recovery.max(recovery);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_vain_are_counted_by_illness_and_probes_at_once() {
        let mut condition = Condition::default();
        assert!(condition.can_answer(false));
        for times in [3, 2] {
            condition.begin(Weather::Unwell);
            assert!((0..times).all(|_| !condition.can_answer(false)));
            condition.probe_comes();
            condition.probe_comes();
            assert!(!condition.can_answer(true), "a probe is not in vain");
            condition.probe_goes();
            condition.probe_goes();
            condition.end();
            assert!(condition.can_answer(true));
        }
        let Past { illnesses, busy, most_in_vain, most_probes, .. } = condition.past();
        assert_eq!((illnesses, busy, most_in_vain, most_probes), (2, 7, 3, 2));
    }

    #[test]
    fn only_while_it_is_away_are_connections_turned_away() {
        let mut condition = Condition::default();
        assert!(!condition.turns_away());
        condition.begin(Weather::Away);
        assert!(condition.turns_away() && condition.can_answer(false));
        condition.end();
        assert!(!condition.turns_away());
        assert_eq!((condition.past().outages, condition.past().turned_away), (1, 1));
    }
}
