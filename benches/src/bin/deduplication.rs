//! What times in a loop do not say of deduplicators: whose answers are right, and how slow the slowest are.
//!
//! `cargo run --profile bench -p steadfast-benches --bin deduplication`

use steadfast_benches::deduplicator::{caught, slowest};

fn main() {
    println!("| | repeats caught, % |\n|---|--:|");
    for (name, share) in caught() {
        println!("| {name} | {share:.1} |");
    }
    let [median, late, most] = slowest();
    println!(
        "\nsteadfast, one of 10,000,000: p50 {median} ns, p99.99 {late} ns, slowest {most} ns"
    );
}
