//! A soak: threads, tasks and a chaotic clock on every primitive, for as long as it is told to run.
//!
//! ```text
//! cargo run --release -p steadfast-tests --bin soak -- --minutes 10
//! ```
//!
//! It runs in **turns**. In each, threads and tasks work on one object of each primitive: they acquire by
//! `.await` and by `.wait()`, try, drop waits half-way, hold what they got for a while, give it back, and
//! panic. A turn has one of two kinds of weather:
//!
//! - **still**: the clock does not move, so nothing accrues, expires or times out. What goes out must come
//!   back in, to the last token, permit, claim and number.
//! - **chaos**: the clock creeps, leaps, stands still and steps back, by up to years; the object is
//!   configured anew, forced and reset. The laws are then those that hold whatever the clock does.
//!
//! Some laws are asked at each step, the others between two turns, when nobody is at work. Some turns make
//! a **life**: at its end the objects are closed under those who wait, and made anew. What all lives hold on
//! the heap, and what is left of them, must not grow.
//!
//! | file | what is in it |
//! |---|---|
//! | `bucket`, `breaker`, `backoff`, `claims`, `tracker` | a primitive, what is done to it, and its laws |
//! | `subject` | what these five have in common |
//! | `worker` | who works on them, and the two ways to wait |
//! | `weather` | the clock |
//! | `laws` | what was broken, and what was done |
//! | `memory` | the heap, counted |
//! | `run`, `report` | turns and lives; the status line and the table |

mod backoff;
mod breaker;
mod bucket;
mod claims;
mod laws;
mod memory;
mod options;
mod report;
mod run;
mod subject;
mod tracker;
mod weather;
mod worker;

use std::process::ExitCode;

use crate::options::{Options, USAGE};

#[global_allocator]
static HEAP: memory::Counting = memory::Counting::new();

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("soak: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}
