//! The deduplicator's claims, and those who wait for them.

use crate::Bytes;

#[path = "../../crates/deduplicator/tests/waits_model.rs"]
pub mod model;

use model::{IDS, Key, Op, Setup};

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
    let (max_claims, max_waiters) = (bytes.few_or(1_000), bytes.few_or(u32::MAX));
    Setup { lease_ns: bytes.short(), max_claims, max_waiters, at: bytes.start() }
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

fn op(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.u8();
    let actor = kind / 64;
    match kind % 64 {
        0..=15 => {
            let (key, until) = (key(bytes), bytes.until(Bytes::short));
            Op::Begin { actor, key, until, polled: kind % 16 != 15 }
        }
        16..=23 => Op::Poll { actor, moved: kind % 2 == 1 },
        24..=25 => Op::Limit { actor, until: bytes.until(Bytes::short) },
        26..=29 => Op::Run(actor),
        30..=36 => Op::Drop(actor),
        37..=41 => Op::Commit(actor, bytes.option(Bytes::u8)),
        42..=43 => Op::Extend(actor),
        44..=47 => Op::Try(actor, key(bytes)),
        48..=49 => Op::Forget(actor),
        50..=53 => Op::Advance(bytes.short()),
        54..=58 => Op::ToAlarm(0),
        59..=60 => Op::ToAlarm(bytes.i8()),
        _ => Op::StepBack(bytes.short()),
    }
}
