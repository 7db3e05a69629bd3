//! The sequence tracker and the replay windows.

use crate::Bytes;

#[path = "../../crates/sequence-tracker/tests/model.rs"]
pub mod model;

use model::{At, Op, Packet, Setup};

/// Does what `bytes` say.
///
/// # Panics
///
/// As soon as machine, shared tracker and oracle disagree, or a window and its oracle.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    if bytes.below(8) == 0 {
        model::run_windows(&bytes.list(60, packet));
    } else {
        let setup = setup(&mut bytes);
        model::run(setup, &bytes.list(100, op));
    }
}

fn setup(bytes: &mut Bytes<'_>) -> Setup {
    let has = bytes.u8();
    let mut some = |bit: u8, most: u8| (has & 1 << bit != 0).then(|| limit(bytes, most));
    let (starts_at, max_jump, max_late) = (some(0, 255), some(1, 40), some(2, 40));
    let (resync_at, delay, elapsed) = (some(3, 40), some(4, 50), some(5, 200));
    Setup {
        bits: match bytes.below(8) {
            0..=1 => 8,
            2 => 16,
            3 => bytes.u8().into(),
            _ => 64,
        },
        stretch: if has & 64 == 0 { 0 } else { bytes.below(57).into() },
        starts_at,
        max_jump,
        max_late,
        resync_at,
        capacity: bytes.below(5).into(),
        delay,
        retries: bytes.option(|bytes| bytes.below(3).into()),
        elapsed,
        origin: bytes.number(),
        is_watched: has & 128 != 0,
    }
}

fn limit(bytes: &mut Bytes<'_>, most: u8) -> u64 {
    match bytes.below(8) {
        0 => bytes.number(),
        _ => u64::from(bytes.u8()) % (u64::from(most) + 1),
    }
}

fn op(bytes: &mut Bytes<'_>) -> Op {
    match bytes.below(48) {
        0..=17 => Op::Record(at(bytes)),
        18..=21 => Op::Range(at(bytes), small(bytes, 24) - 4),
        22..=25 => Op::Linked(at(bytes), small(bytes, 6) - 2, bytes.below(5)),
        26..=28 => Op::Announce(at(bytes)),
        29 => Op::GiveUpBelow(at(bytes)),
        30 => Op::SkipTo(at(bytes)),
        31 => Op::Resynced(at(bytes)),
        32 => Op::Reset,
        33..=34 => Op::RecordIn(small(bytes, 3) - 1, at(bytes)),
        35..=38 => Op::Due,
        39..=42 => Op::ToDue(small(bytes, 3) - 1),
        43..=44 => Op::Advance(bytes.u8().into()),
        45 => Op::StepBack(bytes.number32()),
        _ => Op::Await(at(bytes), bytes.bool()),
    }
}

fn at(bytes: &mut Bytes<'_>) -> At {
    match bytes.below(32) {
        0..=5 => At::Next(0),
        6..=11 => At::Next(i16::from(small(bytes, 24)) - 12),
        12..=13 => At::Next(i16::from(bytes.i8()) * 3),
        14..=18 => At::Gap(bytes.u8(), small(bytes, 5) - 2),
        19..=23 => At::GapEnd(bytes.u8(), small(bytes, 5) - 2),
        24..=25 => At::Floor(small(bytes, 6) - 3),
        26..=28 => At::Suspect(small(bytes, 3) - 1),
        29 => At::Last(bytes.below(9)),
        _ => At::Just(bytes.number()),
    }
}

/// A number below `n`, which is at most 127.
fn small(bytes: &mut Bytes<'_>, n: u8) -> i8 {
    i8::try_from(bytes.below(n)).expect("at most 127")
}

fn packet(bytes: &mut Bytes<'_>) -> Packet {
    match bytes.below(32) {
        0..=8 => Packet::Edge(1),
        9..=18 => Packet::Edge(i16::from(small(bytes, 40)) - 20),
        19..=20 => Packet::Edge(i16::from(bytes.i8()) * 255),
        21..=28 => Packet::Window(small(bytes, 35) - 17, small(bytes, 19) - 9),
        29..=30 => Packet::Just(bytes.number()),
        _ => Packet::Clear,
    }
}
