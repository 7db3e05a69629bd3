//! The command line.

use std::time::Duration;

use lexopt::{Arg, Error, Parser, ValueExt};

use crate::subject::NAMES;

pub(crate) const USAGE: &str = "\
usage: soak [--minutes N] [--seed N] [--only PRIMITIVE] [--at-least N]

  --minutes N       how long; fractions are allowed (default 1)
  --seed N          what it draws from (default: one of its own, which it prints)
  --only PRIMITIVE  token-bucket, circuit-breaker, backoff, sequence-tracker or deduplicator
  --at-least N      fails if a primitive saw fewer operations (default 1)";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) only: Option<&'static str>,
    pub(crate) at_least: u64,
}

impl Options {
    /// `None` if it was asked for help.
    pub(crate) fn parse() -> Result<Option<Self>, Error> {
        let (length, seed) = (Duration::from_secs(60), fastrand::u64(..1 << 32));
        let mut options = Self { length, seed, only: None, at_least: 1 };
        let mut words = Parser::from_env();
        while let Some(word) = words.next()? {
            match word {
                Arg::Long("minutes") => {
                    let minutes: f64 = words.value()?.parse()?;
                    options.length = Some(minutes)
                        .filter(|minutes| (0.01..=100_000.0).contains(minutes))
                        .map(|minutes| Duration::from_secs_f64(minutes * 60.0))
                        .ok_or("--minutes: give 0.01 to 100000")?;
                }
                Arg::Long("seed") => options.seed = words.value()?.parse()?,
                Arg::Long("at-least") => options.at_least = words.value()?.parse()?,
                Arg::Long("only") => {
                    let only = words.value()?.string()?;
                    let known = NAMES.into_iter().find(|name| *name == only);
                    options.only = Some(known.ok_or_else(|| format!("no primitive `{only}`"))?);
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                _ => return Err(word.unexpected()),
            }
        }
        Ok(Some(options))
    }
}
