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
            eprintln!("steadfast-lab: {error}");
            ExitCode::from(if matches!(error, Error::Draw(_)) { 3 } else { 2 })
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if let Command::Pictures { folder } = &arguments.command {
        pictures::write(folder)?;
    }
    let Some(report) = arguments.command.report()? else { return Ok(ExitCode::SUCCESS) };
    // Whoever reads it may have stopped.
    let _closed = write!(std::io::stdout(), "{report}");
    if report.unusable {
        eprintln!("steadfast-lab: no line of the trace could be used");
        return Ok(ExitCode::FAILURE);
    }
    if let (Some(path), Some(figure)) = (&arguments.out, &report.figure) {
        figure.write_svg(path)?;
    }
    Ok(ExitCode::SUCCESS)
}
