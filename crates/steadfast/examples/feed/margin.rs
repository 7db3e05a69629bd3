//! How to keep a quota that somebody else measures: the bucket to build for a published limit.
//!
//! A bucket is exact about the moments at which it *grants*. A server counts the moments at which
//! requests *arrive*, over windows that it may begin wherever it likes, and what lies between
//! squeezes requests together. Given a limit of `L` requests in any window `W`, which burst `B` and
//! rate `R` keep it?
//!
//! ```text
//!  granted    a · b · · c · · · d · · · e · · · f            at most B + R·W in any window W
//!              ╲    ╲    ╲     ╲     ╲     ╲
//!  arrived            a b c · · d · · · e · · · f            a and b were late
//!                    └────────── W ──────────┘
//! ```
//!
//! Look at any window of arrivals. Nothing arrives before it was granted, so each arrival in it was
//! either granted within the same window, which are at most `B + R·W`, or before it began and
//! *was still under way then*. That second number is the margin, and there are two ways to bound it:
//!
//! | what is known | still under way | so choose |
//! |---|---|---|
//! | at most `C` requests are ever unanswered at once | `C` | `R = (L − B − C) / W` |
//! | delays vary by at most `J` | `R·J` | `R = (L − B) / (W + J)` |
//!
//! The second is an assumption about networks and schedulers (50 ms, say), and a machine that stalls
//! for longer breaks it. The first is a fact about the client, whatever happens on the way, and this
//! example has it: each worker waits for its answer before it asks again, so `C` is the number of
//! workers. It is also cheaper here: 20 requests where the assumption would cost 45.
//!
//! Three things belong to it:
//! - A request that was given up (a time-out, a lost connection) may yet arrive. It stays under way
//!   until it cannot any more; its worker must not ask in its place before.
//! - `B` is for wake-ups that are late: at least the rate times that lateness, or the bucket is full
//!   for a moment and its rate is lost. Beyond that it only takes away from `R`. A twentieth of the
//!   limit is 50 ms' worth.
//! - The bucket begins *empty*. A client that is started again within a window knows nothing of what
//!   its predecessor sent; together they then stay within the same bound.
//!
//! On two machines the clocks run at slightly different speeds; 100 millionths of a window's
//! requests are less than one request here, which a limit in the thousands would have to add.

use steadfast::token_bucket::{Config, Rate};

use crate::protocol::Quota;

/// How the limit of a quota is spent: `burst + rate + in_flight = limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Margin {
    pub(crate) burst: u64,
    /// Tokens in a window of the quota.
    pub(crate) rate: u64,
    pub(crate) in_flight: u64,
    quota: Quota,
}

impl Margin {
    /// For a client with at most `in_flight` unanswered requests. `None` if the quota is too small
    /// for so many.
    pub(crate) fn new(quota: Quota, in_flight: u64) -> Option<Self> {
        let burst = (quota.limit / 20).max(1);
        let rate = quota.limit.checked_sub(burst)?.checked_sub(in_flight)?;
        (rate > 0).then_some(Self { burst, rate, in_flight, quota })
    }

    /// The bucket that keeps the quota.
    pub(crate) fn config(&self) -> Config {
        Config::new(Rate::new(self.rate, self.quota.window)).burst(self.burst).initial(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_whole_limit_is_spent_and_no_more() {
        let quota = Quota { limit: 1_000, window: Duration::from_secs(1) };
        let margin = Margin::new(quota, 20).expect("there is room");
        assert_eq!((margin.burst, margin.rate, margin.in_flight), (50, 930, 20));
        assert_eq!(Margin::new(quota, 950), None, "nothing left for the rate");
    }
}
