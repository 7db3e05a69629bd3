//! How a trace is to be read.

use std::path::PathBuf;

use super::stamp::Unit;

/// Where a trace is, and how to read it.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "A trace instead of made-up traffic")]
pub struct TraceOptions {
    /// A file with one event a line, plain or gzip; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// What its lines are; auto: JSON if the first one begins with a brace, else CSV
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What times are in; auto: as the first line's size says, see the README
    #[arg(long, value_enum, default_value = "auto")]
    pub unit: Option<Unit>,
    /// The column with the time: its name, or its number from 1
    #[arg(long, value_name = "COLUMN")]
    pub time_column: Option<String>,
    /// The column with the id
    #[arg(long, value_name = "COLUMN")]
    pub id_column: Option<String>,
    /// The column with the sequence number
    #[arg(long, value_name = "COLUMN")]
    pub sequence_column: Option<String>,
    /// The column with the outcome or status code
    #[arg(long, value_name = "COLUMN")]
    pub outcome_column: Option<String>,
    /// What separates columns; without it, what the first line has most of: `,` `;` `|` or tab
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// Whether the first line names the columns; without it, whether one of them is known
    #[arg(long)]
    pub header: Option<bool>,
    /// Show every line that cannot be used, not only the first ten
    #[arg(long)]
    pub all_bad_lines: bool,
}

/// What the lines of a trace are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As the first line looks.
    #[default]
    Auto,
    /// Comma-separated values, or other separators.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl TraceOptions {
    /// What the traffic is: the trace, or what is said of the made-up one.
    pub fn note(&self, made: impl Into<String>) -> String {
        match &self.trace {
            Some(path) if path.as_os_str() == "-" => {
                "The traffic is that of standard input.".to_owned()
            }
            Some(path) => format!("The traffic is that of {}.", path.display()),
            None => made.into(),
        }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
        _ => Err("give one character, or tab".to_owned()),
    }
}
