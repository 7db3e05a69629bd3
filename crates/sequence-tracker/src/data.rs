//! The configuration as data: what is written in a file.

use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};
use crate::width::Width;

/// The fields of a [`Config`], with durations as humans write them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    /// In bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<Width>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_jump: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_late: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_gaps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<steadfast_backoff::Config>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resync_at: Option<u64>,
}

impl TryFrom<Data> for Config {
    type Error = ConfigError;

    /// A configuration from a file is checked when it is read, not when it is first built.
    fn try_from(data: Data) -> Result<Self, ConfigError> {
        let Data { width, starts_at, max_jump, max_late, max_gaps, request, resync_at } = data;
        let default = Self::new();
        let width = width.unwrap_or(default.width);
        let max_gaps = max_gaps.unwrap_or(default.max_gaps);
        let config = Self { width, starts_at, max_jump, max_late, max_gaps, request, resync_at };
        config.terms().map(|_| config)
    }
}

impl From<Config> for Data {
    fn from(config: Config) -> Self {
        let Config { width, starts_at, max_jump, max_late, max_gaps, request, resync_at } = config;
        let (width, max_gaps) = (Some(width), Some(max_gaps));
        Self { width, starts_at, max_jump, max_late, max_gaps, request, resync_at }
    }
}

impl TryFrom<u32> for Width {
    type Error = ConfigError;

    fn try_from(bits: u32) -> Result<Self, ConfigError> {
        Self::new(bits)
    }
}

impl From<Width> for u32 {
    fn from(width: Width) -> Self {
        width.bits()
    }
}
