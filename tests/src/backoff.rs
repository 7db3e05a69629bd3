//! The shared backoff.

use crate::Bytes;

#[path = "../../crates/backoff/tests/model.rs"]
pub mod model;

use model::{Growth, Op, Report, Setup};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as machine, shared type and oracle disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut ops = vec![Op::Build(setup(&mut bytes))];
    ops.extend(bytes.list(120, op));
    model::run(&ops);
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    Setup {
        growth: match bytes.below(4) {
            0 => Growth::Constant,
            1 => Growth::Linear,
            2 => Growth::Exponential,
            _ => Growth::Tripled,
        },
        base: bytes.number(),
        cap: bytes.option(Bytes::number),
        max_retries: bytes.option(Bytes::number32),
        max_elapsed: bytes.option(Bytes::number),
        max_in_flight: if bytes.bool() { 1 } else { bytes.number32() },
        reset_after: if bytes.bool() { 0 } else { bytes.number() },
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(24) {
        0..=4 => Op::Begin,
        5 => Op::Look(bytes.number()),
        6..=7 => Op::Report(bytes.u8().into(), report(bytes)),
        8..=10 => Op::ReportNewest(report(bytes)),
        11 => Op::ReportAgain(bytes.u8().into(), report(bytes)),
        12 => Op::Reset,
        13..=14 => Op::Advance(bytes.number()),
        15 => Op::StepBack(bytes.number()),
        16 => Op::Jump(bytes.number()),
        17..=19 => Op::ToNext(near(bytes)),
        20..=21 => Op::ToReset(near(bytes)),
        22 => Op::Stop,
        _ => Op::Build(setup(bytes)),
    }
}

/// Shortly before, or then or a little later.
fn near(bytes: &mut Bytes<'_>) -> i8 {
    bytes.i8() / 8
}

fn report(bytes: &mut Bytes<'_>) -> Report {
    match bytes.below(4) {
        0 => Report::Success,
        1 => Report::GiveBack,
        _ => Report::Failure,
    }
}
