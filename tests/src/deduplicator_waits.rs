//! The deduplicator's claims, and those who wait for them.

use crate::Bytes;

#[path = "../../crates/deduplicator/tests/waits_model.rs"]
pub mod model;

use model::{IDS, Key, Op, Setup, Until};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as claims and queues disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let setup = setup(&mut bytes);
    let ops = bytes.list(120, op);
    model::run(setup, &ops);
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    // Mostly without limits.
    let (claims, waiters) = (bytes.below(8), bytes.below(8));
    Setup {
        lease_ns: span(bytes),
        max_claims: if claims < 4 { claims.into() } else { 1_000 },
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

fn key(bytes: &mut Bytes<'_>) -> Key {
    let key = bytes.u8();
    let payload = match key / 32 {
        0..=4 => None,
        5..=6 => Some(false),
        _ => Some(true),
    };
    // Mostly the first.
    Key { id: if key % 32 < 16 { 0 } else { key % IDS }, payload }
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
        0..=15 => {
            let (key, until) = (key(bytes), until(bytes));
            Op::Begin { actor, key, until, polled: kind % 16 != 15 }
        }
        16..=23 => Op::Poll { actor, moved: kind % 2 == 1 },
        24..=25 => Op::Limit { actor, until: until(bytes) },
        26..=29 => Op::Run(actor),
        30..=36 => Op::Drop(actor),
        37..=41 => Op::Commit(actor, bytes.option(Bytes::u8)),
        42..=43 => Op::Extend(actor),
        44..=47 => Op::Try(actor, key(bytes)),
        48..=49 => Op::Forget(actor),
        50..=53 => Op::Advance(span(bytes)),
        54..=58 => Op::ToAlarm(0),
        59..=60 => Op::ToAlarm(bytes.i8()),
        _ => Op::StepBack(span(bytes)),
    }
}
