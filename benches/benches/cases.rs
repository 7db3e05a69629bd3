//! Everything beside its peers, under criterion.
//!
//! `cargo bench -p steadfast-benches --bench cases [-- FILTER]`
//!
//! Criterion measures one case after the other, which suits comparing two versions of one of them.
//! To compare cases with each other on a noisy machine, see `src/bin/ratios.rs`.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use steadfast_benches::cases;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for case in cases() {
        let mut group = criterion.benchmark_group(case.group);
        group.throughput(Throughput::Elements(1));
        // Prepared when criterion gets to it: one that is filtered out costs nothing.
        group.bench_function(case.name, |bencher| {
            let mut run = case.prepare();
            bencher.iter_custom(&mut *run);
        });
        group.finish();
    }
    criterion.final_summary();
}
