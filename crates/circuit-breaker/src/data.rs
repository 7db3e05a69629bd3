//! The configuration as data: what is written in a file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{BreakBy, CloseBy, Config, ConfigError, Extent, Window};

/// The fields of a [`Window`]: either `calls` or `time`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls: Option<u32>,
    /// For instance `"30s"`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    time: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slices: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minimum: Option<u32>,
}

impl TryFrom<WindowData> for Window {
    type Error = &'static str;

    fn try_from(data: WindowData) -> Result<Self, Self::Error> {
        let extent = match (data.calls, data.time) {
            (Some(calls), None) => Extent::Calls(calls),
            (None, Some(length)) => Extent::Time(length),
            _ => return Err("a window has either `calls` or `time`"),
        };
        Ok(Self { extent, slices: data.slices, minimum: data.minimum })
    }
}

impl From<Window> for WindowData {
    fn from(window: Window) -> Self {
        let (calls, time) = match window.extent {
            Extent::Calls(calls) => (Some(calls), None),
            Extent::Time(length) => (None, Some(length)),
        };
        Self { calls, time, slices: window.slices, minimum: window.minimum }
    }
}

/// A rate over a window, in a list of them: one over calls, one over time.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    rate: f64,
    window: Window,
}

/// The fields of a [`Config`], with durations as humans write them. A name is not data: it lives as
/// long as the program.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consecutive_failures: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failure_rate: Vec<Rate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slow_rate: Vec<Rate>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    slow_after: Option<Duration>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    break_duration: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    growing_break: Option<steadfast_backoff::Config>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Duration::is_zero")]
    reset_after: Duration,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    max_hint: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    close_after: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    close_by_rate: Option<CloseByRate>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    probe_timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp_up: Option<RampUp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_waiters: Option<u32>,
    #[serde(default)]
    counted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseByRate {
    rate: f64,
    probes: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RampUp {
    share: f64,
    #[serde(with = "humantime_serde")]
    over: Duration,
}

/// Why what a file says is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0} twice over windows of the same kind: give one over calls and one over time")]
    Twice(&'static str),
    #[error("both {0} and {1}: give one of them")]
    Both(&'static str, &'static str),
}

impl TryFrom<Data> for Config {
    type Error = DataError;

    /// A configuration from a file is checked when it is read, not when it is first built.
    fn try_from(data: Data) -> Result<Self, DataError> {
        let default = Self::new();
        let config = Self {
            consecutive_failures: data.consecutive_failures,
            failure_rates: by_kind("failure_rate", data.failure_rate)?,
            slow_rates: by_kind("slow_rate", data.slow_rate)?,
            slow_after: data.slow_after,
            breaks: match (data.break_duration, data.growing_break) {
                (None, None) => default.breaks,
                (Some(duration), None) => BreakBy::Fixed(duration),
                (None, Some(delays)) => BreakBy::Growing(delays),
                _ => return Err(DataError::Both("break_duration", "growing_break")),
            },
            reset_after: data.reset_after,
            max_hint: data.max_hint.unwrap_or(default.max_hint),
            probes: data.probes.unwrap_or(default.probes),
            close: match (data.close_after, data.close_by_rate) {
                (None, None) => default.close,
                (Some(successes), None) => CloseBy::Successes(successes),
                (None, Some(CloseByRate { rate, probes })) => CloseBy::Rate { rate, probes },
                _ => return Err(DataError::Both("close_after", "close_by_rate")),
            },
            probe_timeout: data.probe_timeout.unwrap_or(default.probe_timeout),
            ramp_up: data.ramp_up.map(|ramp| (ramp.share, ramp.over)),
            max_waiters: data.max_waiters.unwrap_or(u32::MAX),
            counted: data.counted,
            name: None,
        };
        config.terms()?;
        Ok(config)
    }
}

fn by_kind(what: &'static str, rates: Vec<Rate>) -> Result<[Option<(f64, Window)>; 2], DataError> {
    let mut kinds = [None; 2];
    for Rate { rate, window } in rates {
        if kinds[window.kind()].replace((rate, window)).is_some() {
            return Err(DataError::Twice(what));
        }
    }
    Ok(kinds)
}

impl From<Config> for Data {
    fn from(config: Config) -> Self {
        let list = |rates: [Option<(f64, Window)>; 2]| {
            rates.into_iter().flatten().map(|(rate, window)| Rate { rate, window }).collect()
        };
        let (break_duration, growing_break) = match config.breaks {
            BreakBy::Fixed(duration) => (Some(duration), None),
            BreakBy::Growing(delays) => (None, Some(delays)),
        };
        let (close_after, close_by_rate) = match config.close {
            CloseBy::Successes(successes) => (Some(successes), None),
            CloseBy::Rate { rate, probes } => (None, Some(CloseByRate { rate, probes })),
        };
        Self {
            consecutive_failures: config.consecutive_failures,
            failure_rate: list(config.failure_rates),
            slow_rate: list(config.slow_rates),
            slow_after: config.slow_after,
            break_duration,
            growing_break,
            reset_after: config.reset_after,
            max_hint: Some(config.max_hint),
            probes: Some(config.probes),
            close_after,
            close_by_rate,
            probe_timeout: Some(config.probe_timeout),
            ramp_up: config.ramp_up.map(|(share, over)| RampUp { share, over }),
            max_waiters: (config.max_waiters != u32::MAX).then_some(config.max_waiters),
            counted: config.counted,
        }
    }
}
