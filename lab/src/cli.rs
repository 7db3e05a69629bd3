//! What is said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::report::Report;
use crate::{backoff, breaker, bucket, dedup, gaps};

/// What would this configuration do: to made-up traffic, or to yours?
#[derive(Debug, Clone, Parser)]
#[command(name = "steadfast-lab", version, after_help = AFTER)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Draws a picture, too: a file that ends in .svg
    #[arg(long, global = true, value_name = "FILE", value_parser = picture)]
    pub out: Option<PathBuf>,
}

const AFTER: &str = "Exit codes: 0 well; 1 no line of the trace could be used; 2 a mistake in the \
                     arguments, or a configuration that cannot be; 3 a picture could not be written.";

/// What to simulate.
#[derive(Debug, Clone, Subcommand)]
#[expect(missing_docs, reason = "each has its options' docs, which are its help")]
pub enum Command {
    Bucket(Box<bucket::Options>),
    Breaker(Box<breaker::Options>),
    Backoff(Box<backoff::Options>),
    Gaps(Box<gaps::Options>),
    Dedup(Box<dedup::Options>),
    /// Draw the pictures of the documentation
    Pictures {
        /// Where to
        folder: PathBuf,
    },
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_svg = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    if is_svg { Ok(path) } else { Err("give a name that ends in .svg".to_owned()) }
}

impl Command {
    /// What came of it; nothing, if it only draws.
    ///
    /// # Errors
    ///
    /// If there can be no such configuration, or a file cannot be opened.
    pub fn report(&self) -> Result<Option<Report>, Error> {
        match self {
            Self::Bucket(options) => options.run(),
            Self::Breaker(options) => options.run(),
            Self::Backoff(options) => options.run(),
            Self::Gaps(options) => options.run(),
            Self::Dedup(options) => options.run(),
            Self::Pictures { .. } => return Ok(None),
        }
        .map(Some)
    }
}
