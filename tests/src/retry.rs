//! Retries in a scripted world.

use crate::Bytes;

#[path = "../../crates/backoff/tests/retry_model.rs"]
pub mod model;

use model::{How, Script, Step, Terms};

/// Runs the script that `bytes` are.
///
/// # Panics
///
/// As soon as one of the drivers differs from the oracle.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut script = script(&mut bytes);
    script.steps = bytes.list(24, step);
    model::run(&script);
}

fn script(bytes: &mut Bytes<'_>) -> Script {
    Script {
        start: bytes.u8(),
        base: bytes.u8(),
        growth: bytes.u8(),
        jitter: bytes.u8(),
        cap: bytes.option(Bytes::u8),
        max_retries: bytes.option(Bytes::u8),
        max_elapsed: bytes.option(Bytes::u8),
        seed: bytes.u8().into(),
        deadline: bytes.option(Bytes::i8),
        timeout: bytes.option(Bytes::u8),
        attempt_timeout: bytes.option(Bytes::u8),
        max_hint: bytes.option(Bytes::u8),
        when: {
            let kinds = bytes.u8();
            // Errors are retried unless said otherwise.
            [0, 1, 2, 3].map(|kind| (kinds >> kind & 1 == 1) == (kind >= 2))
        },
        budget: bytes.option(|bytes| Terms {
            ratio: bytes.u8(),
            burst: bytes.u8(),
            calls: bytes.u8(),
            minimum: bytes.option(|bytes| (bytes.u8(), bytes.u8())),
        }),
        stop: bytes.option(|bytes| bytes.option(Bytes::u8)),
        slow_notice: bytes.bool(),
        steps: Vec::new(),
    }
}

fn step(bytes: &mut Bytes<'_>) -> Step {
    let flags = bytes.u8();
    let how = match flags & 7 {
        0..=3 => How::Busy(bytes.u8()),
        4..=6 => How::Sleeps(bytes.u8()),
        _ => How::Never,
    };
    Step {
        how,
        ok: flags & 8 != 0,
        odd: flags & 16 != 0,
        hint: (flags & 32 != 0).then(|| bytes.u8()),
        notice: if flags & 64 == 0 { 0 } else { bytes.u8() },
    }
}
