//! The token bucket.

use crate::Bytes;

#[path = "../../crates/token-bucket/tests/model.rs"]
pub mod model;

use model::{Amount, Op, Span, Terms};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as machine, shared bucket and oracle disagree.
pub fn run(bytes: &[u8]) {
    model::run(&crate::script(bytes, build, op));
}

fn build(bytes: &mut Bytes<'_>) -> Op {
    Op::Build { terms: terms(bytes), initial: amount(bytes), at: bytes.number() }
}

fn terms(bytes: &mut Bytes<'_>) -> Terms {
    let (tokens, period_ns) = match bytes.below(4) {
        0 => (u64::from(bytes.u8()) + 1, 1_000_000_000),
        1 => (bytes.number(), bytes.number()),
        2 => (bytes.sized(36), bytes.sized(57)),
        // What has to be brought to lowest terms.
        _ => {
            let common = bytes.sized(12);
            (common * bytes.sized(12), common * bytes.sized(12))
        }
    };
    Terms { tokens, period_ns, burst: bytes.number() }
}

fn amount(bytes: &mut Bytes<'_>) -> Amount {
    match bytes.below(8) {
        0..=2 => Amount::Just(bytes.below(4).into()),
        3..=4 => Amount::Share(bytes.u8()),
        5 => Amount::Above(bytes.below(4).into()),
        // Times a period with many factors of 2, it wraps around to nothing.
        6 => Amount::Just(1 << bytes.below(64)),
        _ => Amount::Just(bytes.number()),
    }
}

fn span(bytes: &mut Bytes<'_>) -> Span {
    match bytes.below(4) {
        0..=1 => Span::Tokens(bytes.number32(), bytes.i8()),
        2 => Span::Ns(bytes.number()),
        // On either side of the longest step back that is not believed.
        _ => Span::Ns(60_000_000_000 - 2 + u64::from(bytes.below(5))),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(24) {
        0..=4 => Op::Advance(span(bytes)),
        5..=6 => Op::StepBack(span(bytes)),
        7..=11 => Op::Take(amount(bytes)),
        12..=13 => Op::TakeBetween(amount(bytes), amount(bytes)),
        14..=16 => Op::TakeInTime(amount(bytes)),
        17..=18 => Op::Refund(amount(bytes)),
        19..=21 => Op::Reconfigure(terms(bytes)),
        22 => Op::Close,
        _ => build(bytes),
    }
}
