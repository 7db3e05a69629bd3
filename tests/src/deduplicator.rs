//! The deduplicator's windows.

use crate::Bytes;

#[path = "../../crates/deduplicator/tests/model.rs"]
pub mod model;

use model::{Kind, Move, Op, Run, Setup};

/// The most ids of all the runs of an input: enough for stamps to come round often.
const MOST_IDS: u16 = 600;

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as one of the windows and the oracle disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let setup = setup(&mut bytes);
    let mut left = MOST_IDS;
    let ops = bytes.list(120, |bytes| op(bytes, &mut left));
    model::run(setup, &ops);
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let flags = bytes.u8();
    Setup {
        capacity: match bytes.below(8) {
            0 => 1 + u16::from(bytes.below(100)),
            // A few lines, full or nearly so.
            1 => 10 * (1 + u16::from(bytes.below(4))),
            2 => 15 * (1 + u16::from(bytes.below(3))),
            _ => 1 + u16::from(bytes.below(9)),
        },
        ttl: (flags & 3 != 0).then(|| length(bytes)),
        renews: flags & 4 != 0,
        is_wide: flags & 8 != 0,
        is_dense: flags & 16 != 0,
        kind: match bytes.below(9) {
            0 => Kind::Mixed,
            1 => Kind::OneLine,
            2 => Kind::LastLine,
            3 => Kind::OneTag,
            4 => Kind::Sequential,
            5 => Kind::HighHalf,
            6 => Kind::Numbers,
            7 => Kind::Large,
            _ => Kind::Words,
        },
        seed: bytes.number(),
        at: bytes.number(),
    }
}

/// Mostly so that some are over when others come.
fn length(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.below(4) {
        0 => bytes.number(),
        _ => 1 + u64::from(bytes.below(64)),
    }
}

fn op(bytes: &mut Bytes<'_>, left: &mut u16) -> Op {
    match bytes.below(32) {
        0..=7 => Op::Insert(bytes.u8().into()),
        8..=11 => Op::Again(bytes.u8().into()),
        12 => Op::Forget(bytes.u8().into()),
        13..=15 => Op::ForgetKnown(bytes.u8().into()),
        16 => Op::Look(bytes.u8().into()),
        17..=18 => Op::Batch(bytes.u8().into(), bytes.below(4), bytes.below(70)),
        19..=24 => Op::Run(many(bytes, left)),
        25 => Op::Clear,
        _ => Op::Time(to(bytes)),
    }
}

fn many(bytes: &mut Bytes<'_>, left: &mut u16) -> Run {
    let count = u16::from(bytes.u8()).min(*left);
    *left -= count;
    Run {
        first: bytes.u8().into(),
        step: bytes.below(4),
        of: bytes.below(16).into(),
        count,
        every: bytes.below(4),
        forget: bytes.below(9),
        pace: bytes.below(8).saturating_sub(4),
    }
}

fn to(bytes: &mut Bytes<'_>) -> Move {
    match bytes.below(16) {
        0..=1 => Move::On(bytes.number()),
        2..=5 => Move::On(length(bytes)),
        6 => Move::Back(bytes.number()),
        7..=8 => Move::Back(length(bytes)),
        9 => Move::To(bytes.number()),
        // Mostly just then, or a little off.
        _ => Move::Due(bytes.u8().into(), bytes.i8() / 48),
    }
}
