//! The configuration as data: what is written in a file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};

/// The fields of a [`Config`], with durations as humans write them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    capacity: usize,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    ttl: Option<Duration>,
    #[serde(default, skip_serializing_if = "is_false")]
    renew: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    wide: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    dense: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shards: Option<usize>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    lease: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_claims: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_waiters: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl TryFrom<Data> for Config {
    type Error = ConfigError;

    /// A configuration from a file is checked when it is read, not when it is first built.
    fn try_from(data: Data) -> Result<Self, ConfigError> {
        let Data { capacity, ttl, renew, wide, dense, shards, lease, max_claims, max_waiters } =
            data;
        let default = Self::new(capacity);
        let config = Self {
            capacity,
            ttl,
            renews: renew,
            is_wide: wide,
            is_dense: dense,
            shards,
            lease: lease.unwrap_or(default.lease),
            max_claims: max_claims.unwrap_or(default.max_claims),
            max_waiters: max_waiters.unwrap_or(default.max_waiters),
        };
        config.check().map(|()| config)
    }
}

impl From<Config> for Data {
    fn from(config: Config) -> Self {
        let Config { capacity, ttl, shards, lease, max_claims, max_waiters, .. } = config;
        let Config { renews: renew, is_wide: wide, is_dense: dense, .. } = config;
        let (lease, max_claims) = (Some(lease), Some(max_claims));
        let max_waiters = Some(max_waiters);
        Self { capacity, ttl, renew, wide, dense, shards, lease, max_claims, max_waiters }
    }
}
