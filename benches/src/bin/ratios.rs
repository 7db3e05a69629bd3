//! Compares the cases of a group with each other, interleaved: see [`steadfast_benches::ratios`].
//!
//! `cargo run --profile bench -p steadfast-benches --bin ratios [-- GROUP … [--rounds N]]`
//!
//! Printed are medians and, in parentheses, the 10th and 90th percentile.

use steadfast_benches::{cases, ratios};

fn main() {
    let mut wanted = Vec::new();
    let mut rounds = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--rounds" {
            rounds = Some(args.next().and_then(|n| n.parse().ok()).expect("a number of rounds"));
        } else {
            wanted.push(arg);
        }
    }
    let groups =
        ratios::measure(&cases(), &wanted, rounds, |group| eprintln!("{}: measured", group.name));
    print!("{}", ratios::table(&groups));
}
