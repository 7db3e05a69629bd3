//! Compares the cases of a group with each other, interleaved.
//!
//! `cargo run --profile bench -p steadfast-benches --bin ratios [-- GROUP … [--rounds N]]`
//!
//! A round gives every case of the group a slice of a few milliseconds, beginning with another one
//! each time, so that whatever else the machine does in those milliseconds hits them all. Ratios are
//! taken within a round. Printed are medians and, in parentheses, the 10th and 90th percentile.

use std::time::Duration;

use steadfast_benches::cases;
use steadfast_benches::cases::{Case, Run};

/// The peers whose ratios are of interest: in each group, the first of them.
const PEERS: [&str; 8] = [
    "governor",
    "backon",
    "recloser",
    "failsafe",
    "tower-resilience",
    "boringtun",
    "rangemap",
    "mutex",
];

const SLICE: Duration = Duration::from_millis(2);
/// Starting two threads takes a while.
const SLICE_OF_TWO: Duration = Duration::from_millis(10);
/// More threads than cores: long enough for the scheduler to take one off its core.
const SLICE_OF_MANY: Duration = Duration::from_millis(40);

/// Each contender begins its slice with the caches full of another's table.
const SLICE_OF_KEYS: Duration = Duration::from_millis(100);

struct Contender {
    case: Case,
    run: Run,
    /// Operations that fill a slice.
    times: u64,
    /// Nanoseconds an operation, round by round.
    rounds: Vec<f64>,
}

impl Contender {
    fn new(case: Case) -> Self {
        let mut run = case.prepare();
        let slice = match case.threads {
            _ if case.group.starts_with("keyed") || case.group.starts_with("dedup") => {
                SLICE_OF_KEYS
            }
            1 => SLICE,
            2 => SLICE_OF_TWO,
            _ => SLICE_OF_MANY,
        };
        let mut times = 1_000;
        while run(times) < slice / 2 {
            times *= 2;
        }
        Self { case, run, times, rounds: Vec::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "for printing")]
    fn round(&mut self) {
        let time = (self.run)(self.times);
        self.rounds.push(time.as_secs_f64() * 1e9 / self.times as f64);
    }
}

/// Median, 10th and 90th percentile.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |tenths: usize| values[(values.len() - 1) * tenths / 10];
    (at(5), at(1), at(9))
}

fn print_ratio(contender: &Contender, to: Option<&Contender>) {
    match to {
        Some(to) => {
            let ratios = contender.rounds.iter().zip(&to.rounds).map(|(a, b)| a / b);
            let (median, low, high) = spread(ratios);
            print!(" | {median:>5.2} ({low:.2}–{high:.2})");
        }
        None => print!(" | {:>17}", "–"),
    }
}

fn compare(contenders: &mut [Contender], rounds: usize) {
    for round in 0..rounds {
        for index in 0..contenders.len() {
            let turn = (index + round) % contenders.len();
            contenders[turn].round();
        }
    }
}

fn main() {
    let mut wanted = Vec::new();
    let mut rounds = 200;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--rounds" {
            rounds = args.next().and_then(|n| n.parse().ok()).expect("a number of rounds");
        } else {
            wanted.push(arg);
        }
    }
    let mut all = cases();
    while let Some(group) = all.first().map(|case| case.group) {
        let rest = all.iter().position(|case| case.group != group).unwrap_or(all.len());
        let cases: Vec<Case> = all.drain(..rest).collect();
        if !wanted.is_empty() && !wanted.iter().any(|wanted| group.starts_with(wanted.as_str())) {
            continue;
        }
        let mut contenders: Vec<Contender> = cases.into_iter().map(Contender::new).collect();
        compare(&mut contenders, rounds);
        println!("\n{group}, {rounds} rounds");
        let is_peer = |c: &&Contender| PEERS.iter().any(|peer| c.case.name.starts_with(peer));
        let peer = contenders.iter().find(is_peer);
        let to_peer = peer.map_or("–".to_owned(), |peer| format!("/ {}", peer.case.name));
        println!("| {:<34} | {:^22} | {:^17} | {to_peer:^17} |", "", "ns an operation", "/ first");
        println!("|---|--:|--:|--:|");
        for contender in &contenders {
            let (median, low, high) = spread(contender.rounds.iter().copied());
            print!("| {:<34} | {median:>6.1} ({low:.1}–{high:.1})", contender.case.name);
            print_ratio(contender, contenders.first());
            print_ratio(contender, peer);
            println!(" |");
        }
    }
}
