//! The policies.

use crate::Bytes;

#[path = "../../crates/backoff/tests/policy_model.rs"]
pub mod model;

use model::{Chance, Op, Shape, Terms};
use steadfast_backoff::Jitter;

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as policy and oracle disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut ops = vec![Op::Build(terms(&mut bytes))];
    // Each is up to 48 delays in big integers.
    ops.extend(bytes.list(16, op));
    model::run(&ops);
}

fn terms(bytes: &mut Bytes<'_>) -> Terms {
    let shape = match bytes.below(8) {
        0 => Shape::Constant,
        1 => Shape::Linear,
        2 => Shape::Fibonacci,
        3 => Shape::Rotation,
        _ => Shape::Exponential(factor(bytes)),
    };
    let (base, floor) = (bytes.number(), if bytes.bool() { 0 } else { bytes.number() });
    let cap = bytes.option(Bytes::number);
    // Mostly possible.
    let cap = cap.map(|cap| if bytes.below(8) == 0 { cap } else { cap.max(base).max(floor) });
    let jitter = match bytes.below(8) {
        0..=1 => Jitter::None,
        2 => Jitter::Full,
        3 => Jitter::Equal,
        4..=5 => Jitter::Fraction(fraction(bytes)),
        _ => Jitter::Decorrelated,
    };
    Terms { shape, base, floor, cap, jitter, max_retries: bytes.option(Bytes::number32) }
}

fn factor(bytes: &mut Bytes<'_>) -> f64 {
    match bytes.below(8) {
        0 => f64::from_bits(bytes.u64()),
        // On either side of every power of two.
        1 => {
            let power = 2_f64.powi(bytes.u8().into());
            f64::from_bits(power.to_bits().wrapping_add_signed(bytes.i8().into()))
        }
        2 => f64::from_bits(1_f64.to_bits() + bytes.sized(52)),
        3 => f64::from(bytes.u8()),
        4 => f64::from(bytes.number32()),
        _ => 1.0 + f64::from(bytes.u8()) / f64::from(bytes.u8()),
    }
}

fn fraction(bytes: &mut Bytes<'_>) -> f64 {
    match bytes.below(4) {
        0 => f64::from_bits(bytes.u64()),
        // Below 1, down to those below any bit of a delay.
        1 => f64::from_bits(1_f64.to_bits() - (u64::from(bytes.u8()) << 52 | bytes.sized(52))),
        _ => f64::from(bytes.u8()) / 250.0,
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(8) {
        0..=2 => Op::Delay(bytes.number32(), chance(bytes)),
        3..=4 => Op::DelayAfter(bytes.number32(), bytes.option(Bytes::number), chance(bytes)),
        5..=6 => Op::Delays(bytes.below(48).into(), chance(bytes)),
        _ => Op::Build(terms(bytes)),
    }
}

fn chance(bytes: &mut Bytes<'_>) -> Chance {
    match bytes.below(3) {
        0 => Chance::Lowest,
        1 => Chance::Highest,
        _ => Chance::Seed(bytes.sized(64)),
    }
}
