//! What can be asked for on the command line.

use std::time::Duration;

use crate::faults::Faults;

pub(crate) const USAGE: &str = "\
usage: feed [--seed N] [--seconds N] [--faults LIST] [--cheat]

  --seed N        what goes wrong when: the same seed, seconds and faults give the same plan
                  (default: a random one, which the first line shows)
  --seconds N     how long, from 1 to 3600 (default 10)
  --faults LIST   all (default), none, or some of these with commas between them:
                    outages     the quote server drops everybody and is away; lines to the desk break
                    illness     the quote server is there and helps nobody
                    drops       ticks get lost, alone or several in a row
                    duplicates  ticks come twice, and trades are told of twice
                    reordering  ticks come too late
                    restarts    the publisher is gone, and counts from 1 in a new session
  --cheat         take ten times the quota, to see that the server notices
  --help          this

The exit code is 0 if everything was as promised, 1 if not, and 2 if the options are wrong.";

/// What a run is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Any, if none is given.
    pub(crate) seed: Option<u64>,
    pub(crate) length: Duration,
    pub(crate) faults: Faults,
    pub(crate) cheats: bool,
}

impl Options {
    const DEFAULT: Self =
        Self { seed: None, length: Duration::from_secs(10), faults: Faults::ALL, cheats: false };

    /// `None` if only help is asked for. The error says what cannot be understood, and what could.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut words = words.into_iter();
        let mut options = Self::DEFAULT;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seed" => {
                    let text = value()?;
                    let seed = text.parse();
                    options.seed = Some(seed.map_err(|_| {
                        format!("--seed {text:?}: a whole number from 0 to {}", u64::MAX)
                    })?);
                }
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|seconds| (1..=3_600).contains(seconds));
                    options.length = Duration::from_secs(seconds.ok_or_else(|| {
                        format!("--seconds {text:?}: a whole number from 1 to 3600")
                    })?);
                }
                "--faults" => {
                    options.faults = Faults::parse(&value()?).map_err(|name| {
                        let all = Faults::ALL;
                        format!("--faults: {name:?} is none: all, none, or some of {all}")
                    })?;
                }
                "--cheat" => options.cheats = true,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("{word:?} is no option")),
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_understood() {
        assert_eq!(parse(""), Ok(Some(Options::DEFAULT)));
        assert_eq!(
            parse("--seed 18446744073709551615 --seconds 3600 --faults drops,restarts --cheat"),
            Ok(Some(Options {
                seed: Some(u64::MAX),
                length: Duration::from_secs(3_600),
                faults: Faults::NONE.with(Fault::Drops).with(Fault::Restarts),
                cheats: true,
            }))
        );
        assert_eq!(parse("--cheat --help --sneeze"), Ok(None), "help comes first");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, reason) in [
            ("--seed", "--seed needs a value"),
            ("--seed -1", "--seed \"-1\": a whole number from 0 to 18446744073709551615"),
            ("--seconds 0", "--seconds \"0\": a whole number from 1 to 3600"),
            ("--seconds 3601", "--seconds \"3601\": a whole number from 1 to 3600"),
            ("--seconds 1.5", "--seconds \"1.5\": a whole number from 1 to 3600"),
            ("--sneeze", "\"--sneeze\" is no option"),
            (
                "--faults some",
                "--faults: \"some\" is none: all, none, or some of \
                 outages,illness,drops,duplicates,reordering,restarts",
            ),
        ] {
            assert_eq!(parse(line), Err(reason.to_owned()));
        }
    }

    #[test]
    fn help_names_every_fault() {
        for name in Faults::ALL.to_string().split(',') {
            assert!(USAGE.contains(&format!("\n                    {name} ")), "{name}");
        }
    }
}
