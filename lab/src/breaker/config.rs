//! The settings of the breaker and of the made-up calls.

use std::time::Duration;

use clap::Args;
use steadfast_circuit_breaker as breaker;
use steadfast_circuit_breaker::Config;
use steadfast_token_bucket::Rate;

use crate::arrivals::{MADE, Pattern};
use crate::quantity::{self, duration, rate_of, share_of};
use crate::trace::TraceOptions;

/// How long a slow call takes. Which ones are slow is known, and all others take no time; so it is as short as
/// can be, to be over before the next one.
pub(super) const SLOW: Duration = Duration::from_nanos(1);

/// What would a circuit breaker do?
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Trips after so many failures in a row
    #[arg(long, value_name = "FAILURES")]
    pub consecutive: Option<u32>,
    /// Trips when this share of the window failed [default: 50% if there is no other rule]
    #[arg(long, value_name = "SHARE", value_parser = quantity::share)]
    pub failure_rate: Option<f64>,
    /// Trips when this share of the window was slow
    #[arg(long, value_name = "SHARE", value_parser = quantity::share)]
    pub slow_rate: Option<f64>,
    /// What shares are of: so many calls, or so much time (30s)
    #[arg(long, default_value = "100", value_parser = window)]
    pub window: Window,
    /// From how many calls in the window on [default: 20, or all of a smaller window]
    #[arg(long, value_name = "CALLS")]
    pub minimum: Option<u32>,
    /// For how long it stays open
    #[arg(long = "break", value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub break_for: Duration,
    /// Twice as long with each break in a row, up to this
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub break_cap: Option<Duration>,
    /// Probes at once while it is half-open
    #[arg(long, default_value_t = 1)]
    pub probes: u32,
    /// Closes after so many successful probes
    #[arg(long, value_name = "SUCCESSES", default_value_t = 3)]
    pub close_after: u32,
    /// After closing, admits a tenth of the calls, and all of them after so long
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub ramp_up: Option<Duration>,
    /// How many made-up calls there are
    #[arg(long, default_value = "50/s", value_parser = quantity::rate, conflicts_with = "trace", help_heading = MADE)]
    pub calls: Rate,
    /// How made-up calls are spread; bursts and waves take 2 seconds
    #[arg(long, value_enum, default_value = "poisson", conflicts_with = "trace", help_heading = MADE)]
    pub arrivals: Pattern,
    /// When the made-up service is down, for any number of times [default: 10s..20s]
    #[arg(long, value_name = "FROM..TO", value_parser = quantity::span, conflicts_with = "trace", help_heading = MADE)]
    pub outage: Vec<(Duration, Duration)>,
    /// The share of made-up calls that fail in an outage
    #[arg(long, value_name = "SHARE", default_value = "95%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub failing: f64,
    /// The share of made-up calls that fail otherwise
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub failures: f64,
    /// The share of made-up successes that are slow
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub slow: f64,
    /// For how long there are made-up calls
    #[arg(long, default_value = "40s", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub duration: Duration,
    /// What made-up calls, and the breaker's own draws, are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "they have docs of their own")]
    pub trace: TraceOptions,
}

/// What a share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last calls.
    Calls(u32),
    /// The last time.
    Time(Duration),
}

fn window(text: &str) -> Result<Window, String> {
    if let Ok(calls) = text.parse() {
        return Ok(Window::Calls(calls));
    }
    humantime::parse_duration(text)
        .map(Window::Time)
        .map_err(|_| format!("{text:?} is no window: 100 (calls) or 30s, for example"))
}

impl Options {
    /// The rule that there is if no other is given.
    fn failure_share(&self) -> Option<f64> {
        let is_only = self.consecutive.is_none() && self.slow_rate.is_none();
        self.failure_rate.or(is_only.then_some(0.5))
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config::new().probes(self.probes).close_after(self.close_after);
        let window = match self.window {
            Window::Calls(calls) => breaker::Window::calls(calls),
            Window::Time(time) => breaker::Window::time(time),
        };
        let smallest = match self.window {
            Window::Calls(calls) => calls.min(20),
            Window::Time(_) => 20,
        };
        let window = window.minimum(self.minimum.unwrap_or(smallest));
        if let Some(failures) = self.consecutive {
            config = config.consecutive_failures(failures);
        }
        if let Some(share) = self.failure_share() {
            config = config.failure_rate(share, window);
        }
        if let Some(share) = self.slow_rate {
            config = config.slow_after(SLOW).slow_rate(share, window);
        }
        if let Some(over) = self.ramp_up {
            config = config.ramp_up(0.1, over);
        }
        match self.break_cap {
            None => config.break_duration(self.break_for),
            Some(cap) => {
                let delays = steadfast_backoff::Config::exponential(self.break_for).cap(cap);
                config.growing_break(delays)
            }
        }
    }

    pub(super) fn title(&self) -> String {
        let mut rules = Vec::new();
        rules.extend(self.consecutive.map(|failures| format!("{failures} failures in a row")));
        let of = match self.window {
            Window::Calls(calls) => format!("{calls} calls"),
            Window::Time(time) => duration(time),
        };
        let share = |what: &str, share: f64| format!("{} {what} of {of}", share_of(share));
        rules.extend(self.failure_share().map(|rate| share("failures", rate)));
        rules.extend(self.slow_rate.map(|rate| share("slow calls", rate)));
        let (rules, breaks) = (rules.join(" or "), duration(self.break_for));
        let grows = self.break_cap.map_or(String::new(), |cap| format!(" to {}", duration(cap)));
        format!("A breaker that opens at {rules}, for {breaks}{grows}")
    }

    /// When the made-up service is down.
    pub(super) fn outages(&self) -> Vec<(Duration, Duration)> {
        if self.outage.is_empty() {
            return vec![(Duration::from_secs(10), Duration::from_secs(20))];
        }
        self.outage.clone()
    }

    pub(super) fn note(&self) -> String {
        let span =
            |(from, to): &(Duration, Duration)| format!("{} to {}", duration(*from), duration(*to));
        let outages: Vec<_> = self.outages().iter().map(span).collect();
        let calls = rate_of(self.calls, "calls");
        let down = outages.join(" and from ");
        self.trace.note(format!("{calls}; the service is down from {down}."))
    }
}
