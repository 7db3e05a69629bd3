//! Token buckets by key.

use crate::Bytes;

#[path = "../../crates/token-bucket/tests/keyed_model.rs"]
pub mod model;

use model::{KEYS, MAX_CAPACITY, Op, Terms};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as the limiter and the buckets that stand alone disagree.
pub fn run(bytes: &[u8]) {
    model::run(&crate::script(bytes, build, op));
}

fn build(bytes: &mut Bytes<'_>) -> Op {
    Op::Build {
        terms: terms(bytes),
        overflow: bytes.option(terms),
        capacity: bytes.below(MAX_CAPACITY + 1),
        at: bytes.number(),
    }
}

fn terms(bytes: &mut Bytes<'_>) -> Terms {
    let (tokens, period_ns) = match bytes.below(4) {
        0..=1 => (u64::from(bytes.u8()), 1_000_000_000),
        2 => (bytes.number(), bytes.number()),
        _ => (bytes.sized(36), bytes.sized(57)),
    };
    Terms { tokens, period_ns, burst: amount(bytes) }
}

fn amount(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.below(8) {
        0..=5 => bytes.below(4).into(),
        _ => bytes.number(),
    }
}

fn key(bytes: &mut Bytes<'_>) -> u8 {
    bytes.below(KEYS)
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(16) {
        0 => Op::TakeOfMany(key(bytes), bytes.below(MAX_CAPACITY + 1)),
        1..=6 => Op::Take(key(bytes), amount(bytes), bytes.bool()),
        7..=9 => Op::Advance(bytes.number()),
        10 => Op::Refund(key(bytes), amount(bytes)),
        11 => Op::Look(key(bytes), amount(bytes)),
        12 => Op::SetLimit(key(bytes), terms(bytes)),
        13 => Op::ResetLimit(key(bytes)),
        14 => Op::Forget,
        _ => build(bytes),
    }
}
