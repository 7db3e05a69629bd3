//! The configuration as data: what is written in a file.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Config, ConfigError, Growth, Jitter};

/// The fields of a [`Config`], with durations as humans write them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    growth: Kind,
    /// For instance `"1s"` or `"250ms"`.
    #[serde(with = "humantime_serde")]
    base: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Duration::is_zero")]
    floor: Duration,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    cap: Option<Duration>,
    #[serde(default)]
    jitter: Jitter,
    #[serde(default)]
    max_retries: Retries,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    max_elapsed: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Constant,
    Linear,
    Exponential,
    Fibonacci,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "give max_retries as a whole number, or \"unlimited\"")]
enum Retries {
    Most(u32),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Unlimited,
}

impl Default for Retries {
    fn default() -> Self {
        Config::constant(Duration::ZERO).max_retries.into()
    }
}

impl From<Option<u32>> for Retries {
    fn from(retries: Option<u32>) -> Self {
        retries.map_or(Self::Word(Word::Unlimited), Self::Most)
    }
}

impl TryFrom<Data> for Config {
    type Error = ConfigError;

    /// A configuration from a file is checked when it is read, not when it is first built.
    fn try_from(data: Data) -> Result<Self, ConfigError> {
        let config = Self {
            growth: match data.growth {
                Kind::Constant => Growth::Constant(data.base),
                Kind::Linear => Growth::Linear(data.base),
                Kind::Exponential => Growth::Exponential(data.base),
                Kind::Fibonacci => Growth::Fibonacci(data.base),
            },
            factor: data.factor,
            floor: data.floor,
            cap: data.cap,
            jitter: data.jitter,
            max_retries: match data.max_retries {
                Retries::Most(retries) => Some(retries),
                Retries::Word(Word::Unlimited) => None,
            },
            max_elapsed: data.max_elapsed,
        };
        config.build().map(|_| config)
    }
}

impl From<Config> for Data {
    fn from(config: Config) -> Self {
        let (growth, base) = match config.growth {
            Growth::Constant(base) => (Kind::Constant, base),
            Growth::Linear(base) => (Kind::Linear, base),
            Growth::Exponential(base) => (Kind::Exponential, base),
            Growth::Fibonacci(base) => (Kind::Fibonacci, base),
        };
        Self {
            growth,
            base,
            factor: config.factor,
            floor: config.floor,
            cap: config.cap,
            jitter: config.jitter,
            max_retries: config.max_retries.into(),
            max_elapsed: config.max_elapsed,
        }
    }
}

// Derived, they would be promised for closures, too.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Data::deserialize(from)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Data::from(*self).serialize(to)
    }
}
