//! Runs one case so many times, for callgrind to count: see `instructions.sh`.
//!
//! `instructions` lists the cases of one thread; `instructions CASE TIMES` runs one; `instructions --count
//! [GROUP[/CASE]…]` counts for those that begin so.

use std::process::ExitCode;

use steadfast_benches::{cases, counting};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [] => {
            for case in cases().iter().filter(|case| case.threads == 1) {
                println!("{case:?}");
            }
            ExitCode::SUCCESS
        }
        [count, wanted @ ..] if count == "--count" => match counting::table(wanted) {
            Ok(table) => {
                print!("{table}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error.to_string()),
        },
        [wanted, times] => {
            let Ok(times) = times.parse() else {
                return failed(&format!("{times}: give a number of times"));
            };
            match cases().iter().find(|case| format!("{case:?}") == *wanted) {
                Some(case) => {
                    case.prepare()(times);
                    ExitCode::SUCCESS
                }
                None => {
                    failed(&format!("{wanted}: no such case; without arguments all are listed"))
                }
            }
        }
        _ => failed("give nothing, a case and a number of times, or --count"),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
