//! The pictures of the documentation: each is what the program draws for some arguments.

use std::path::Path;

use clap::Parser as _;

use crate::cli::Arguments;
use crate::error::Error;
use crate::plot::DrawError;

/// Their names, and the arguments.
pub const PICTURES: [(&str, &str); 7] = [
    ("bucket", "bucket --rate 100/s --burst 20 --asked 120/s --duration 5s"),
    ("bucket-bursts", "bucket --rate 100/s --burst 100 --arrivals bursts --asked 90/s --every 2s"),
    ("breaker", "breaker"),
    ("breaker-growing", "breaker --break 1s --break-cap 8s --ramp-up 5s --failures 5%"),
    ("backoff", "backoff"),
    ("gaps", "gaps --request-after 20ms --duration 2s --loss 3%"),
    ("dedup", "dedup --capacity 4000 --repeated 20%"),
];

/// A picture, as text.
///
/// # Errors
///
/// If the arguments are not understood, or it cannot be drawn.
pub fn draw(arguments: &str) -> Result<String, Error> {
    let words = std::iter::once("steadfast-lab").chain(arguments.split_whitespace());
    let parsed =
        Arguments::try_parse_from(words).map_err(|error| Error::Usage(error.to_string()))?;
    let figure = parsed.command.report()?.and_then(|report| report.figure);
    let none = || Error::Usage(format!("nothing is drawn by {arguments:?}"));
    Ok(figure.ok_or_else(none)?.to_svg()?)
}

/// Writes all of them into a folder, which is made if it is not there.
///
/// # Errors
///
/// If they cannot be written.
pub fn write(folder: &Path) -> Result<(), Error> {
    let failed = |error| DrawError::Write { path: folder.display().to_string(), error };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, arguments) in PICTURES {
        let path = folder.join(name).with_extension("svg");
        let failed = |error| DrawError::Write { path: path.display().to_string(), error };
        std::fs::write(&path, draw(arguments)?).map_err(failed)?;
    }
    Ok(())
}
