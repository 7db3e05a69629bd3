//! The settings of the tracker and of the made-up stream.

use std::time::Duration;

use clap::Args;
use steadfast_backoff as backoff;
use steadfast_sequence_tracker::{Config, ConfigError, Width};
use steadfast_token_bucket::Rate;

use crate::arrivals::MADE;
use crate::quantity::{self, count, duration, rate_of};
use crate::trace::TraceOptions;

/// What would a sequence tracker find?
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Bits of a number
    #[arg(long, value_name = "BITS", default_value_t = 64)]
    pub width: u32,
    /// The number that has to come first [default: whichever does]
    #[arg(long, value_name = "NUMBER")]
    pub starts_at: Option<u64>,
    /// A number so far above the newest is not believed at once
    #[arg(long, value_name = "NUMBERS")]
    pub max_jump: Option<u64>,
    /// A number so far below the newest may be a new beginning
    #[arg(long, value_name = "NUMBERS")]
    pub max_late: Option<u64>,
    /// Gaps that are remembered
    #[arg(long, value_name = "GAPS", default_value_t = 256)]
    pub max_gaps: u32,
    /// What is missing is requested after so long, and then after twice as long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub request_after: Option<Duration>,
    /// How many times it is requested before it is given up
    #[arg(long, value_name = "TIMES", default_value_t = 3, requires = "request_after")]
    pub requests: u32,
    /// How many made-up messages are sent
    #[arg(long, default_value = "1000/s", value_parser = quantity::rate, conflicts_with = "trace", help_heading = MADE)]
    pub rate: Rate,
    /// The share of made-up messages that get lost
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub loss: f64,
    /// How many get lost in a row, on average
    #[arg(long, value_name = "MESSAGES", default_value_t = 3, conflicts_with = "trace", help_heading = MADE)]
    pub in_a_row: u32,
    /// The share of made-up messages that are overtaken by others
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub late: f64,
    /// By how long those are late, on average
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub late_by: Duration,
    /// The share of made-up messages that come twice
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub twice: f64,
    /// How long it takes until what was requested comes, if it does not get lost, too
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub round_trip: Duration,
    /// For how long there are made-up messages
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub duration: Duration,
    /// What made-up messages are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "they have docs of their own")]
    pub trace: TraceOptions,
}

impl Options {
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::new().width(Width::new(self.width)?).max_gaps(self.max_gaps);
        if let Some(first) = self.starts_at {
            config = config.starts_at(first);
        }
        if let Some(jump) = self.max_jump {
            config = config.max_jump(jump);
        }
        if let Some(late) = self.max_late {
            config = config.max_late(late);
        }
        if let Some(after) = self.request_after {
            // The first request is no retry.
            let delays = backoff::Config::exponential(after);
            config = config.request(delays.max_retries(self.requests.saturating_sub(1)));
        }
        Ok(config)
    }

    pub(super) fn title(&self) -> String {
        let (bits, gaps) = (self.width, count(self.max_gaps.into()));
        let requests = self.request_after.map_or("without requests".to_owned(), |after| {
            format!("requests after {}, {} at most", duration(after), self.requests)
        });
        format!("A tracker of {bits}-bit numbers and up to {gaps} gaps, {requests}")
    }

    pub(super) fn note(&self) -> String {
        let [loss, late, twice] = [self.loss, self.late, self.twice].map(quantity::share_of);
        let rate = rate_of(self.rate, "messages");
        self.trace.note(format!("{rate}: {loss} get lost, {late} are late, {twice} come twice."))
    }
}
