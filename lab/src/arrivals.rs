//! Made-up traffic: when somebody asks.

use std::time::Duration;

use steadfast_core::Instant;
use steadfast_token_bucket::Rate;

use crate::quantity;
use crate::trace::FIRST;

/// What is said above the options of made-up traffic.
pub(crate) const MADE: &str = "Made-up traffic";

/// How made-up requests are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pattern {
    /// At equal distances.
    Steady,
    /// Each whenever it likes: exponential distances.
    Poisson,
    /// Many at once, and then none for a while.
    Bursts,
    /// More and fewer, as by day and by night: from none to twice the rate.
    Wave,
}

/// Instants from [`FIRST`] on, in order.
#[derive(Debug, Clone)]
pub struct Arrivals {
    pattern: Pattern,
    rate: f64,
    every: f64,
    /// Seconds.
    now: f64,
    end: f64,
    /// How many have been.
    count: f64,
    rng: fastrand::Rng,
}

impl Arrivals {
    /// So many on average, for so long; `every` is the distance of bursts, or the length of a wave, and is not zero.
    pub fn new(pattern: Pattern, rate: Rate, every: Duration, length: Duration, seed: u64) -> Self {
        Self {
            pattern,
            rate: quantity::per_second(rate),
            every: every.as_secs_f64(),
            now: 0.0,
            end: length.as_secs_f64(),
            count: 0.0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// A distance from an exponential distribution of mean 1.
    fn exponential(&mut self) -> f64 {
        // Never the logarithm of 0.
        -(1.0 - self.rng.f64()).ln()
    }

    fn step(&mut self) {
        match self.pattern {
            Pattern::Steady => {
                // Not a sum, which would drift.
                self.now = self.count / self.rate;
                self.count += 1.0;
            }
            Pattern::Poisson => self.now += self.exponential() / self.rate,
            Pattern::Bursts => {
                // What is left of a burst that is no whole number is in a later one. Nobody is in the burst before
                // his for what a division rounds off.
                let burst = (self.count / (self.rate * self.every) + 1e-9).floor();
                self.now = burst * self.every;
                self.count += 1.0;
            }
            Pattern::Wave => loop {
                // Thinned out (Lewis and Shedler, 1979).
                self.now += self.exponential() / (2.0 * self.rate);
                let phase = std::f64::consts::TAU * self.now / self.every;
                let is_over = self.now >= self.end || self.now.is_nan();
                if self.rng.f64() < (1.0 - phase.cos()) / 2.0 || is_over {
                    break;
                }
            },
        }
    }
}

impl Iterator for Arrivals {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        self.step();
        // Nor if it is not a number: nobody asks at a rate of nothing.
        if self.now >= self.end || self.now.is_nan() {
            return None;
        }
        Some(FIRST.saturating_add(Duration::from_secs_f64(self.now)))
    }
}
