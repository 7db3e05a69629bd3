//! The sequence tracker and those who wait for a number.

use crate::Bytes;

#[path = "../../crates/sequence-tracker/tests/waits_model.rs"]
pub mod model;

use model::Op;

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as somebody is told, or woken, or not woken, as he should not be.
pub fn run(bytes: &[u8]) {
    model::run(&Bytes::new(bytes).list(120, op));
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.u8();
    let actor = kind / 64;
    match kind % 64 {
        0..=15 => {
            let (number, until) = (bytes.below(12), bytes.until(Bytes::short));
            Op::Begin { actor, number, until, polled: kind % 16 != 15 }
        }
        16..=21 => Op::Poll { actor, moved: kind % 2 == 1 },
        22..=23 => Op::Limit { actor, until: bytes.until(Bytes::short) },
        24..=27 => Op::Run(actor),
        28..=32 => Op::Drop(actor),
        33..=37 => Op::Record(bytes.below(12)),
        38..=39 => Op::Range(bytes.below(12), actor),
        40..=44 => Op::Fill,
        45 => Op::Announce(bytes.below(16)),
        46..=47 => Op::GiveUpBelow(bytes.below(16)),
        48 => Op::SkipTo(bytes.below(16)),
        49 => Op::Resynced(bytes.below(16)),
        50 => Op::Reset,
        51..=53 => Op::Advance(bytes.short()),
        54..=58 => Op::ToAlarm(0),
        59..=60 => Op::ToAlarm(bytes.i8()),
        _ => Op::StepBack(bytes.u8()),
    }
}
