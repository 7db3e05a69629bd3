//! The circuit breaker.

use crate::Bytes;

#[path = "../../crates/circuit-breaker/tests/model.rs"]
pub mod model;

use model::{ByCalls, ByTime, Close, Growth, Move, Op, Report, Setup};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as machine, shared breaker and oracle disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (setup, at) = (setup(&mut bytes), bytes.number());
    model::run(setup, at, &bytes.list(120, op));
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let rules = bytes.u8();
    Setup {
        consecutive: (rules & 1 != 0).then(|| bytes.below(8)),
        failures_by_calls: (rules & 2 != 0).then(|| by_calls(bytes)),
        failures_by_time: (rules & 4 != 0).then(|| by_time(bytes)),
        slow_by_calls: (rules & 8 != 0).then(|| by_calls(bytes)),
        slow_by_time: (rules & 16 != 0).then(|| by_time(bytes)),
        slow_after: length(bytes),
        growth: match bytes.below(8) {
            0..=2 => Growth::Fixed,
            3 => Growth::Constant,
            4 => Growth::Linear,
            5 => Growth::Exponential,
            6 => Growth::Fibonacci,
            _ => Growth::Tripled,
        },
        base: length(bytes),
        cap: bytes.option(length),
        reset_after: if bytes.bool() { 0 } else { length(bytes) },
        max_hint: length(bytes),
        probes: bytes.below(5),
        close: match bytes.below(3) {
            0 => Close::ByRate(rate(bytes), bytes.below(8)),
            _ => Close::After(bytes.below(5)),
        },
        probe_timeout: length(bytes),
        ramp: bytes.option(|bytes| (rate(bytes), length(bytes))),
    }
}

/// All of them together fit in the model's array.
fn by_calls(bytes: &mut Bytes<'_>) -> ByCalls {
    ByCalls { calls: bytes.below(17), minimum: bytes.below(17), parts: rate(bytes) }
}

fn by_time(bytes: &mut Bytes<'_>) -> ByTime {
    let (slice, slices) = (length(bytes), bytes.below(6));
    ByTime { slice, slices, minimum: bytes.below(9), parts: rate(bytes) }
}

/// In billionths.
fn rate(bytes: &mut Bytes<'_>) -> u32 {
    match bytes.below(8) {
        0 => bytes.number32(),
        1 => u32::MAX,
        // Simple fractions, which rates are equal to.
        _ => {
            let (a, b) = (u64::from(bytes.below(12)) + 1, u64::from(bytes.below(12)) + 1);
            u32::try_from(a.min(b) * 1_000_000_000 / a.max(b)).expect("at most a billion")
        }
    }
}

/// Mostly of a few slices, which are ten microseconds at least.
fn length(bytes: &mut Bytes<'_>) -> u64 {
    match bytes.below(4) {
        0 => bytes.number(),
        // About as long as a clock may be late.
        1 => 1_000_000_000 * u64::from(bytes.u8()),
        _ => 10_000 * u64::from(bytes.below(24)),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(32) {
        0..=7 => Op::Call(report(bytes)),
        8..=11 => Op::Acquire,
        12..=16 => Op::Report(bytes.u8(), report(bytes)),
        17..=18 => Op::NoteSlow(bytes.u8()),
        19 => Op::ForceOpen,
        20 => Op::ForceClosed,
        21 => Op::Reset,
        _ => Op::Time(to(bytes)),
    }
}

fn report(bytes: &mut Bytes<'_>) -> Report {
    match bytes.below(16) {
        0..=5 => Report::Failure,
        6..=11 => Report::Success,
        12..=13 => Report::Hint(length(bytes)),
        14 => Report::Ignore,
        _ => Report::Drop,
    }
}

fn to(bytes: &mut Bytes<'_>) -> Move {
    match bytes.below(24) {
        0..=1 => Move::On(bytes.number()),
        2..=4 => Move::On(length(bytes)),
        5 => Move::Back(bytes.number()),
        6 => Move::Back(length(bytes)),
        7 => Move::To(bytes.number()),
        8..=12 => Move::BreakEnd(off(bytes)),
        13..=14 => Move::LeaseEnd(off(bytes)),
        15..=16 => Move::RampEnd(off(bytes)),
        17..=18 => Move::Slow(bytes.u8(), off(bytes)),
        19..=21 => Move::Slice(bytes.below(8), off(bytes)),
        22 => Move::Healthy(off(bytes)),
        _ => Move::Late(off(bytes)),
    }
}

/// Mostly just then, or a little off.
fn off(bytes: &mut Bytes<'_>) -> i8 {
    bytes.i8() / 32
}
