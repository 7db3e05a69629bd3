//! Runs one case so many times, for callgrind to count: see `instructions.sh`.
//!
//! `instructions` lists the cases of one thread; `instructions CASE TIMES` runs one.

use std::process::ExitCode;

use steadfast_benches::cases;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(wanted), Some(times)) = (args.next(), args.next()) else {
        for case in cases().iter().filter(|case| case.threads == 1) {
            println!("{case:?}");
        }
        return ExitCode::SUCCESS;
    };
    let Ok(times) = times.parse() else {
        eprintln!("{times}: give a number of times");
        return ExitCode::FAILURE;
    };
    for case in cases() {
        if format!("{case:?}") == wanted {
            case.prepare()(times);
            return ExitCode::SUCCESS;
        }
    }
    eprintln!("{wanted}: no such case; without arguments all are listed");
    ExitCode::FAILURE
}
