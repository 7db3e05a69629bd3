//! How much an operation does at most, counted in looks at the window's memory: no clock is that exact.

#![cfg(all(feature = "std", not(loom)))]

use std::cell::Cell;
use std::time::Duration;

use steadfast_core::Instant;
use steadfast_deduplicator::{Config, Fingerprint, Fixed, Line, Memory, State};

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

/// Memory that counts how often it is looked at.
struct Counted {
    lines: Vec<Line>,
    words: Vec<u64>,
}

fn look() {
    LOOKS.set(LOOKS.get() + 1);
}

impl Memory for Counted {
    fn lines(&self) -> &[Line] {
        look();
        &self.lines
    }

    fn lines_mut(&mut self) -> &mut [Line] {
        look();
        &mut self.lines
    }

    fn words(&self) -> &[u64] {
        look();
        &self.words
    }

    fn words_mut(&mut self) -> &mut [u64] {
        look();
        &mut self.words
    }
}

/// How often `run` looks at any window's memory.
fn looks(run: impl FnOnce()) -> u32 {
    LOOKS.set(0);
    run();
    LOOKS.get()
}

fn window(config: Config) -> State<Counted> {
    let line = Fixed::<1, 0>::new().lines()[0];
    let (lines, words) = (vec![line; config.lines()], vec![0; config.words()]);
    config.state_in(Counted { lines, words }).expect("a valid configuration")
}

const fn id(number: u64) -> Fingerprint {
    Fingerprint { low: number.wrapping_mul(0x9E37_79B9_7F4A_7C15), high: 0 }
}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// The most looks that one of the steps takes.
fn most(steps: impl Iterator<Item = u64>, mut step: impl FnMut(u64)) -> u32 {
    steps.map(|n| looks(|| step(n))).max().unwrap_or(0)
}

/// What one operation may take: the holes that are pushed out with each id that comes, 16 positions that
/// leave, and its own look-up. It does not depend on the capacity.
const BOUND: u32 = 300;

/// The first id stays, the others are forgotten or seen again. When it leaves, holes are all that is behind
/// it.
#[test]
fn any_number_of_holes_leaves_in_a_bounded_number_of_steps() {
    for capacity in [1_000_u64, 20_000] {
        for (renews, is_dense) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = Config::new(usize::try_from(capacity).unwrap());
            let mut window = window(config.renew(renews).dense(is_dense));
            let spare = config.renew(renews).dense(is_dense).words() as u64;
            let spare = spare / if renews { 3 } else { 2 } - capacity;
            for n in 0..capacity {
                assert!(window.insert(id(n), at(0)).is_fresh());
            }
            // Just not as many as begin to be pushed out.
            let holes = spare / 2 - 1;
            let dug = most(1..=holes, |n| {
                if renews {
                    assert!(!window.insert(id(n), at(0)).is_fresh());
                } else {
                    assert!(window.forget(id(n), at(0)));
                }
            });
            let new = if renews { 2_000 } else { holes + 2_000 };
            let come = most(0..new, |n| {
                assert!(window.insert(id(10 * capacity + n), at(0)).is_fresh());
            });
            let of = format!("of {capacity}, {config:?}");
            assert!(dug <= BOUND && come <= BOUND, "{dug} and {come} looks {of}");
            assert_eq!(window.len(at(0)) as u64, capacity);
        }
    }
}

/// Forgotten in any order, and pushed out meanwhile.
#[test]
fn however_holes_come_about_no_operation_takes_longer() {
    for capacity in [500_u64, 10_000] {
        for (is_dense, stride) in [(false, 7), (true, 7), (false, 3), (true, 1)] {
            let config = Config::new(usize::try_from(capacity).unwrap()).dense(is_dense);
            let mut window = window(config.ttl(Duration::from_nanos(3 * capacity)));
            let (mut state, mut most) = (1_u64, 0);
            for n in 0..6 * capacity {
                most = most.max(looks(|| {
                    assert!(window.insert(id(n), at(n)).is_fresh());
                }));
                // In every other stretch, many that are old or not are forgotten.
                if n / (capacity / 4) % 2 == 1 {
                    for _ in 0..2 {
                        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                        let back = (state >> 33) % capacity / stride * stride;
                        most = most.max(looks(|| {
                            window.forget(id(n.saturating_sub(back)), at(n));
                        }));
                    }
                }
            }
            assert!(most <= BOUND, "{most} looks of {capacity}, dense {is_dense}");
        }
    }
}
