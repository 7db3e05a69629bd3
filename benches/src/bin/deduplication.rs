//! What times in a loop do not say of deduplicators: whose answers are right, and how slow the slowest are.
//!
//! `cargo run --profile bench -p steadfast-benches --bin deduplication`

fn main() {
    print!("{}", steadfast_benches::deduplicator::answers());
}
