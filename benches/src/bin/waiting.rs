//! Tasks and threads that wait: see [`steadfast_benches::waiting`].
//!
//! `cargo run --profile bench -p steadfast-benches --bin waiting [-- SECONDS [ROUNDS [LOAD [LIMITER]]]]`

use std::time::Duration;

use steadfast_benches::waiting::table;

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(2.0, |arg| arg.parse().expect("seconds"));
    let rounds = args.next().map_or(3, |arg| arg.parse().expect("rounds"));
    let load = args.next().map(|arg| arg.parse().expect("the number of a load"));
    let limiter = args.next();
    print!("{}", table(Duration::from_secs_f64(seconds), rounds, load, limiter.as_deref()));
}
