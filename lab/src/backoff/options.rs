//! The settings of the delays, the server and the made-up clients.

use std::time::Duration;

use clap::Args;
use steadfast_backoff::{Config, ConfigError, Jitter, Policy};
use steadfast_token_bucket::Rate;

use crate::quantity::{self, count, duration, rate_in_words};
use crate::trace::TraceOptions;

/// How would clients come back?
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How delays grow
    #[arg(long, value_enum, default_value = "exponential")]
    pub growth: Growth,
    /// The first delay
    #[arg(long, default_value = "500ms", value_parser = humantime::parse_duration)]
    pub base: Duration,
    /// The factor of exponential growth [default: 2]
    #[arg(long)]
    pub factor: Option<f64>,
    /// The longest delay
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub cap: Duration,
    /// How many times a client tries again [default: until it is served]
    #[arg(long)]
    pub max_retries: Option<u32>,
    /// How many the server serves once it is up
    #[arg(long, default_value = "200/s", value_parser = quantity::rate)]
    pub served: Rate,
    /// How many it serves at once
    #[arg(long, default_value_t = 20)]
    pub at_once: u64,
    /// For how long the retries are looked at, after the last client began
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How many made-up clients there are
    #[arg(long, default_value_t = 1_000, conflicts_with = "trace")]
    pub clients: u64,
    /// For how long the server serves nobody
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, conflicts_with = "trace")]
    pub outage: Duration,
    /// What the delays are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "they have docs of their own")]
    pub trace: TraceOptions,
}

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Growth {
    /// Not at all.
    Constant,
    /// By the first delay each time.
    Linear,
    /// By a factor each time.
    Exponential,
    /// 1, 1, 2, 3, 5, 8, …
    Fibonacci,
}

impl Options {
    pub(super) fn policy(&self, jitter: Jitter) -> Result<Policy, ConfigError> {
        let config = match self.growth {
            Growth::Constant => Config::constant(self.base),
            Growth::Linear => Config::linear(self.base),
            Growth::Exponential => Config::exponential(self.base),
            Growth::Fibonacci => Config::fibonacci(self.base),
        };
        let config = config.cap(self.cap).jitter(jitter);
        let config = match self.factor {
            Some(factor) => config.factor(factor),
            None => config,
        };
        match self.max_retries {
            Some(retries) => config.max_retries(retries).build(),
            None => config.unlimited().build(),
        }
    }

    pub(super) fn title(&self) -> String {
        let growth = match self.growth {
            Growth::Constant => "Constant",
            Growth::Linear => "Linear",
            Growth::Exponential => "Exponential",
            Growth::Fibonacci => "Fibonacci",
        };
        let factor = self.factor.map_or(String::new(), |factor| format!(" by {factor}"));
        let (base, cap) = (duration(self.base), duration(self.cap));
        format!("{growth} backoff{factor} from {base} to {cap}, by kind of jitter")
    }

    pub(super) fn note(&self) -> String {
        let served = rate_in_words(self.served);
        let made = || {
            let (clients, outage) = (count(self.clients), duration(self.outage));
            format!("{clients} clients fail at once; the server is down for {outage}.")
        };
        format!("{} It serves {served} once it is up.", self.trace.note(made()))
    }
}
