//! What was promised and what was seen, line by line. A run is good if no promise was broken.

use std::collections::BTreeMap;
use std::fmt;

use crate::audit::Audit;
use crate::client::{IN_VAIN, PROBES};
use crate::counts::Counts;
use crate::parts::{Ends, Failure};
use crate::protocol::Quota;
use crate::server::Seen;
use crate::text::thousands;

/// All that is judged.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) quota: Quota,
    /// By the server.
    pub(crate) seen: Seen,
    /// Quotes that the client got.
    pub(crate) quoted: u64,
    pub(crate) ticks: Audit,
    pub(crate) trades: Audit,
    pub(crate) planned: Counts,
    pub(crate) done: Counts,
    pub(crate) ends: Ends,
}

/// A promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) promise: String,
    pub(crate) seen: String,
    pub(crate) verdict: Verdict,
}

/// What became of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Broken,
    /// Why the one before was broken.
    Because,
}

impl Evidence {
    /// Every promise, kept or not.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let Self { quota, seen, quoted, ticks, trades, planned, done, ends } = self;
        let past = &seen.past;
        let none_of = |audit: &Audit| {
            let [foreign, repeated] = [audit.foreign, audit.repeated].map(thousands);
            format!("{repeated} repeated, {foreign} that nobody sent")
        };
        let all_of = |audit: &Audit| {
            let [arrived, missing] = [audit.arrived, audit.missing].map(thousands);
            format!("{arrived}, {missing} missing")
        };
        let is_once = |audit: &Audit| audit.repeated == 0 && audit.foreign == 0;
        let mut checks = vec![
            check(
                seen.violations == 0 && seen.busiest <= quota.limit,
                format!("at most {} requests in any {:?}", thousands(quota.limit), quota.window),
                format!("{}, {} too many", thousands(seen.busiest), thousands(seen.violations)),
            ),
            check(
                past.most_probes <= PROBES.into(),
                format!("at most {PROBES} probes at once while the server is not well"),
                thousands(past.most_probes),
            ),
            check(
                past.most_in_vain <= IN_VAIN,
                format!("at most {IN_VAIN} requests besides, each time it is not well"),
                thousands(past.most_in_vain),
            ),
            check(
                *quoted == seen.quoted,
                format!("all {} quotes that were given arrive", thousands(seen.quoted)),
                thousands(*quoted),
            ),
            check(
                ticks.missing == 0,
                format!("all {} ticks are delivered", thousands(ticks.sent)),
                all_of(ticks),
            ),
            check(
                ticks.disordered == 0,
                "ticks are delivered in order",
                format!("{} not", thousands(ticks.disordered)),
            ),
            check(is_once(ticks), "ticks are delivered once", none_of(ticks)),
            check(
                trades.missing == 0,
                format!("all {} trades are booked", thousands(trades.sent)),
                all_of(trades),
            ),
            check(is_once(trades), "trades are booked once", none_of(trades)),
            check(
                planned == done,
                format!("all {} faults happen as planned", thousands(planned.all())),
                thousands(done.all()),
            ),
            check(
                ends.failures.is_empty(),
                format!("all {} threads and tasks end well and in time", ends.begun),
                thousands(ends.begun - ends.failures.len() as u64),
            ),
        ];
        checks.extend(reasons(&ends.failures));
        checks
    }
}

/// Why parts did not end well: each reason once.
fn reasons(failures: &[Failure]) -> impl Iterator<Item = Check> {
    let mut times = BTreeMap::new();
    for failure in failures {
        *times.entry(failure).or_insert(0_u64) += 1;
    }
    times.into_iter().map(|(Failure { part, reason }, times)| Check {
        promise: if times == 1 {
            format!("  {part}")
        } else {
            format!("  {part}, {times} of them")
        },
        seen: reason.clone(),
        verdict: Verdict::Because,
    })
}

fn check(is_kept: bool, promise: impl Into<String>, seen: String) -> Check {
    let verdict = if is_kept { Verdict::Kept } else { Verdict::Broken };
    Check { promise: promise.into(), seen, verdict }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, seen, verdict } = self;
        let verdict = match verdict {
            Verdict::Kept => "kept",
            Verdict::Broken => "BROKEN",
            Verdict::Because => "",
        };
        write!(f, "{verdict:<8}{promise:<58}{seen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::Past;
    use std::time::Duration;

    fn good() -> Evidence {
        let quota = Quota { limit: 1_000, window: Duration::from_secs(1) };
        let past = Past { most_probes: 2, most_in_vain: IN_VAIN, ..Past::default() };
        let seen = Seen { quoted: 7, busiest: 1_000, past, ..Seen::default() };
        let audit = Audit { sent: 5, arrived: 5, ..Audit::default() };
        let counts = Counts { away: 1, ..Counts::default() };
        let ends = Ends { begun: 26, failures: Vec::new() };
        Evidence {
            quota,
            seen,
            quoted: 7,
            ticks: audit,
            trades: audit,
            planned: counts,
            done: counts,
            ends,
        }
    }

    /// The promises that are broken by a change.
    fn broken(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = good();
        change(&mut evidence);
        let checks = evidence.checks().into_iter().filter(|check| check.verdict != Verdict::Kept);
        checks.map(|check| format!("{}: {}", check.promise, check.seen)).collect()
    }

    #[test]
    fn what_is_just_allowed_keeps_every_promise() {
        assert_eq!(broken(|_| ()), [""; 0]);
        assert_eq!(good().checks().len(), 11);
    }

    #[test]
    fn a_request_above_the_quota_breaks_it() {
        let seen = broken(|evidence| evidence.seen.violations = 1);
        assert_eq!(seen, ["at most 1,000 requests in any 1s: 1,000, 1 too many"]);
        assert_eq!(broken(|evidence| evidence.seen.busiest = 1_001).len(), 1);
    }

    #[test]
    fn a_probe_too_many_breaks_its_promise() {
        let seen = broken(|evidence| evidence.seen.past.most_probes = 3);
        assert_eq!(seen, ["at most 2 probes at once while the server is not well: 3"]);
    }

    #[test]
    fn a_server_that_is_not_left_alone_breaks_its_promise() {
        let seen = broken(|evidence| evidence.seen.past.most_in_vain = IN_VAIN + 1);
        assert_eq!(seen, ["at most 44 requests besides, each time it is not well: 45"]);
    }

    #[test]
    fn a_quote_that_got_lost_breaks_its_promise() {
        let seen = broken(|evidence| evidence.quoted = 6);
        assert_eq!(seen, ["all 7 quotes that were given arrive: 6"]);
    }

    #[test]
    fn ticks_have_to_be_complete_in_order_and_delivered_once() {
        let seen = broken(|evidence| evidence.ticks.missing = 1);
        assert_eq!(seen, ["all 5 ticks are delivered: 5, 1 missing"]);
        assert_eq!(
            broken(|evidence| evidence.ticks.disordered = 1),
            ["ticks are delivered in order: 1 not"]
        );
        let seen = broken(|evidence| evidence.ticks.repeated = 1);
        assert_eq!(seen, ["ticks are delivered once: 1 repeated, 0 that nobody sent"]);
        let seen = broken(|evidence| evidence.ticks.foreign = 1);
        assert_eq!(seen, ["ticks are delivered once: 0 repeated, 1 that nobody sent"]);
    }

    #[test]
    fn trades_have_to_be_complete_and_booked_once_in_any_order() {
        let seen = broken(|evidence| evidence.trades.missing = 1);
        assert_eq!(seen, ["all 5 trades are booked: 5, 1 missing"]);
        assert_eq!(broken(|evidence| evidence.trades.repeated = 1).len(), 1);
        assert_eq!(broken(|evidence| evidence.trades.foreign = 1).len(), 1);
        assert_eq!(broken(|evidence| evidence.trades.disordered = 1), [""; 0]);
    }

    #[test]
    fn a_planned_fault_that_did_not_happen_breaks_the_promise() {
        let seen = broken(|evidence| evidence.done.away = 0);
        assert_eq!(seen, ["all 1 faults happen as planned: 0"]);
        let other = Counts { restarts: 1, ..Counts::default() };
        assert_eq!(broken(|evidence| evidence.done = other).len(), 1, "another one is none of it");
    }

    #[test]
    fn a_part_that_hangs_is_named_with_its_reason() {
        let failure = |part, reason: &str| Failure { part, reason: reason.to_owned() };
        let seen = broken(|evidence| {
            evidence.ends.failures = vec![
                failure("worker", "the server refused"),
                failure("subscriber", "has not ended"),
                failure("worker", "the server refused"),
            ];
        });
        assert_eq!(
            seen,
            [
                "all 26 threads and tasks end well and in time: 23",
                "  subscriber: has not ended",
                "  worker, 2 of them: the server refused",
            ]
        );
    }

    #[test]
    fn a_line_says_the_verdict_the_promise_and_what_was_seen() {
        let mut evidence = good();
        evidence.quoted = 6;
        let lines: Vec<_> = evidence.checks().iter().map(Check::to_string).collect();
        let line = |verdict, promise, seen| format!("{verdict:<8}{promise:<58}{seen}");
        let probes = "at most 2 probes at once while the server is not well";
        assert_eq!(lines[1], line("kept", probes, "2"));
        assert_eq!(lines[3], line("BROKEN", "all 7 quotes that were given arrive", "6"));
    }
}
