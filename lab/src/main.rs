//! `cargo run --release -p steadfast-lab -- bucket --rate 100/s --burst 20`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use steadfast_lab::cli::{Arguments, Command};
use steadfast_lab::{Error, pictures};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::from(if matches!(error, Error::Draw(_)) { 3 } else { 2 })
        }
    }
}

/// Whoever reads it may have stopped: then nobody is told.
fn complain(what: &dyn std::fmt::Display) {
    let _closed = writeln!(std::io::stderr(), "steadfast-lab: {what}");
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if let Command::Pictures { folder } = &arguments.command {
        if arguments.out.is_some() {
            let why = "pictures writes more than one: give it a folder, and no --out";
            return Err(Error::Usage(why.to_owned()));
        }
        pictures::write(folder)?;
    }
    let Some(report) = arguments.command.report()? else { return Ok(ExitCode::SUCCESS) };
    let _closed = write!(std::io::stdout(), "{report}");
    if report.unusable {
        complain(&"no line of the trace could be used");
        return Ok(ExitCode::FAILURE);
    }
    if let (Some(path), Some(figure)) = (&arguments.out, &report.figure) {
        figure.write_svg(path)?;
    }
    Ok(ExitCode::SUCCESS)
}
