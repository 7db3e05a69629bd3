//! The shared backoff and those who wait at it.

use crate::Bytes;

#[path = "../../crates/backoff/tests/waits_model.rs"]
pub mod model;

use model::{Op, Setup};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as backoff and queue disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let setup = setup(&mut bytes);
    let ops = bytes.list(120, op);
    model::run(setup, &ops);
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let max_waiters = bytes.few_or(u32::MAX);
    Setup {
        base_ns: bytes.short(),
        max_retries: bytes.option(|bytes| bytes.below(4)),
        max_in_flight: bytes.below(4),
        reset_after_ns: bytes.short(),
        max_waiters,
        at: bytes.start(),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.u8();
    let actor = kind / 64;
    match kind % 64 {
        0..=15 => Op::Begin { actor, until: bytes.until(Bytes::short), polled: kind % 16 != 15 },
        16..=23 => Op::Poll { actor, moved: kind % 2 == 1 },
        24..=25 => Op::Limit { actor, until: bytes.until(Bytes::short) },
        26..=29 => Op::Run(actor),
        30..=34 => Op::Drop(actor),
        35..=42 => Op::Report(actor, kind % 4 == 0),
        43..=45 => Op::Try(actor),
        46 => Op::Broken,
        47 if kind < 128 => Op::Reset,
        47 => Op::Stop,
        48..=51 => Op::Advance(bytes.short()),
        52..=57 => Op::ToAlarm(0),
        58..=60 => Op::ToAlarm(bytes.i8()),
        _ => Op::StepBack(bytes.u8()),
    }
}
