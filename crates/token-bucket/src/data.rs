//! The configuration as data: what is written in a file.

use std::time::Duration;

use crate::config::{Config, ConfigError, Rate};

/// The fields of a [`Config`], with the period as humans write it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    /// Tokens in each period.
    tokens: u64,
    /// For instance `"1s"` or `"250ms"`.
    #[serde(with = "humantime_serde")]
    per: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    initial: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_waiters: Option<u32>,
    #[serde(default)]
    counted: bool,
}

impl TryFrom<Data> for Config {
    type Error = ConfigError;

    /// A configuration from a file is checked when it is read, not when it is first built.
    fn try_from(data: Data) -> Result<Self, ConfigError> {
        let config = Self {
            rate: Rate::new(data.tokens, data.per),
            burst: data.burst,
            initial: data.initial,
            max_waiters: data.max_waiters.unwrap_or(u32::MAX),
            counted: data.counted,
        };
        config.state(steadfast_core::Instant::ZERO).map(|_| config)
    }
}

impl From<Config> for Data {
    fn from(config: Config) -> Self {
        Self {
            tokens: config.rate.tokens(),
            per: config.rate.period(),
            burst: config.burst,
            initial: config.initial,
            max_waiters: (config.max_waiters != u32::MAX).then_some(config.max_waiters),
            counted: config.counted,
        }
    }
}
