//! The circuit breaker and those who wait at it.

use crate::Bytes;

#[path = "../../crates/circuit-breaker/tests/waits_model.rs"]
pub mod model;

use model::{Op, Setup, Until};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as breaker and queue disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let setup = setup(&mut bytes);
    let ops = bytes.list(120, op);
    model::run(setup, &ops);
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let (failures, waiters) = (bytes.below(4), bytes.below(8));
    Setup {
        failures,
        break_ns: span(bytes),
        probes: bytes.below(4),
        close_after: bytes.below(4),
        probe_timeout_ns: span(bytes),
        // Mostly without a limit.
        max_waiters: if waiters < 4 { waiters.into() } else { u32::MAX },
        at: if bytes.bool() { bytes.number() } else { 0 },
    }
}

fn span(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.u8() {
        u8::MAX => bytes.number(),
        few => u64::from(few % 16),
    }
}

fn until(bytes: &mut Bytes<'_>) -> Until {
    match bytes.below(8) {
        0..=3 => Until::Ever,
        4..=5 => Until::Timeout(span(bytes)),
        6 => Until::Deadline(span(bytes)),
        _ => Until::Past(span(bytes)),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.u8();
    let actor = kind / 64;
    match kind % 64 {
        0..=15 => Op::Begin { actor, until: until(bytes), polled: kind % 16 != 15 },
        16..=23 => Op::Poll { actor, moved: kind % 2 == 1 },
        24..=25 => Op::Limit { actor, until: until(bytes) },
        26..=29 => Op::Run(actor),
        30..=34 => Op::Drop(actor),
        35..=42 => Op::Report(actor, kind % 2 == 0),
        43..=45 => Op::Try(actor),
        46 => Op::Force { open: kind < 128 },
        47 => Op::Reset,
        48..=51 => Op::Advance(span(bytes)),
        52..=57 => Op::ToAlarm(0),
        58..=60 => Op::ToAlarm(bytes.i8()),
        _ => Op::StepBack(bytes.u8()),
    }
}
