//! The token bucket and those who wait at it.

use crate::Bytes;

#[path = "../../crates/token-bucket/tests/waits_model.rs"]
pub mod model;

use model::{Op, Span, Terms};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as bucket and queue disagree.
pub fn run(bytes: &[u8]) {
    model::run(&crate::script(bytes, build, op));
}

fn build(bytes: &mut Bytes<'_>) -> Op {
    let terms = terms(bytes);
    let initial = bytes.below(4).into();
    let at = bytes.start();
    Op::Build { terms, initial, at, max_waiters: bytes.few_or(u32::MAX) }
}

fn terms(bytes: &mut Bytes<'_>) -> Terms {
    let burst = u64::from(bytes.below(8));
    match bytes.below(4) {
        0 => Terms { tokens: 1, period_ns: 100, burst },
        1 => Terms { tokens: bytes.below(8).into(), period_ns: bytes.u8().into(), burst },
        2 => Terms { tokens: bytes.u8().into(), period_ns: bytes.sized(57), burst },
        _ => Terms { tokens: bytes.number(), period_ns: bytes.number(), burst: bytes.number() },
    }
}

fn tokens(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.u8() {
        u8::MAX => bytes.number(),
        few => u64::from(few % 8),
    }
}

fn span(bytes: &mut Bytes<'_>) -> Span {
    match bytes.below(8) {
        0..=4 => Span::Tokens(bytes.below(8).into(), 0),
        5 => Span::Tokens(bytes.below(8).into(), bytes.i8()),
        6 => Span::Ns(bytes.number()),
        // On either side of the longest step back that is not believed.
        _ => Span::Ns(60_000_000_000 - 2 + u64::from(bytes.below(5))),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    let kind = bytes.u8();
    let actor = kind / 64;
    match kind % 64 {
        0..=15 => {
            let (n, until) = (tokens(bytes), bytes.until(span));
            Op::Begin { actor, n, until, polled: kind % 16 != 15 }
        }
        16..=23 => Op::Poll { actor, moved: kind % 2 == 1 },
        24..=25 => Op::Limit { actor, until: bytes.until(span) },
        26..=29 => Op::Run(actor),
        30..=35 => Op::Drop(actor),
        36..=39 => Op::Advance(span(bytes)),
        40..=45 => Op::ToAlarm(0),
        46..=47 => Op::ToAlarm(bytes.i8()),
        48..=49 => Op::StepBack(span(bytes)),
        50..=51 => Op::Try(tokens(bytes)),
        52 => Op::TryUpTo(tokens(bytes)),
        53..=58 => Op::Refund(tokens(bytes)),
        59..=60 => Op::Reconfigure(terms(bytes)),
        61 => Op::Close,
        _ => build(bytes),
    }
}
