//! Policies against a naive oracle in big integers: every curve at any attempt, every jitter's
//! interval to the nanosecond, and that no delay leaves floor and cap.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::time::Duration;

use num_bigint::BigUint;
use steadfast_backoff::{Config, Grow, Jitter, Policy, Random, Rng};

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// The base.
    Constant,
    /// base × (attempt + 1).
    Linear,
    /// base × factor^attempt.
    Exponential(f64),
    /// base × 1, 1, 2, 3, 5, 8, …
    Fibonacci,
    /// The base's bits rotated by the attempt: up and down, and anything from 0 to `u64::MAX`.
    Rotation,
}

/// A policy. Any numbers will do.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How it grows.
    pub shape: Shape,
    /// From where.
    pub base: u64,
    /// No delay is shorter.
    pub floor: u64,
    /// No delay is longer.
    pub cap: Option<u64>,
    /// How it is spread.
    pub jitter: Jitter,
    /// How many delays there are.
    pub max_retries: Option<u32>,
}

/// Where the bits come from.
#[derive(Debug, Clone, Copy)]
pub enum Chance {
    /// Always 0.
    Lowest,
    /// Always `u64::MAX`.
    Highest,
    /// A generator with this seed.
    Seed(u64),
}

/// What can be asked of a policy.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Another policy, in place of the one before; none if its terms are impossible.
    Build(Terms),
    /// The delay after one attempt.
    Delay(u32, Chance),
    /// The delay after an attempt whose predecessor was delayed by so much.
    DelayAfter(u32, Option<u64>, Chance),
    /// The first so many delays.
    Delays(u16, Chance),
}

/// Does `ops`, one after the other.
///
/// # Panics
///
/// As soon as policy and oracle disagree.
pub fn run(ops: &[Op]) {
    let mut terms = Terms {
        shape: Shape::Exponential(2.0),
        base: 100_000_000,
        floor: 0,
        cap: None,
        jitter: Jitter::None,
        max_retries: Some(3),
    };
    for &op in ops {
        match op {
            Op::Build(new) => {
                assert_eq!(new.builds(), new.is_possible(), "{new:?}");
                if new.is_possible() {
                    terms = new;
                }
            }
            _ if terms.shape == Shape::Rotation => {
                let base = terms.base;
                let config = Config::from_fn(move |n| Duration::from_nanos(rotated(base, n)));
                ask(terms, &terms.complete(config).build().expect("possible"), op);
            }
            _ => ask(terms, &terms.complete(terms.begin()).build().expect("possible"), op),
        }
    }
}

fn rotated(base: u64, attempt: u32) -> u64 {
    base.rotate_left(attempt % 64)
}

impl Terms {
    /// What the documentation demands.
    pub fn is_possible(&self) -> bool {
        let base = match self.shape {
            Shape::Constant => self.base <= self.cap(),
            Shape::Linear | Shape::Fibonacci => (1..=self.cap()).contains(&self.base),
            Shape::Exponential(factor) => {
                (1..=self.cap()).contains(&self.base) && (1.0..f64::INFINITY).contains(&factor)
            }
            Shape::Rotation => true,
        };
        let jitter = match self.jitter {
            Jitter::Fraction(fraction) => (0.0..=1.0).contains(&fraction),
            _ => true,
        };
        base && jitter && self.floor <= self.cap()
    }

    fn builds(&self) -> bool {
        if self.shape == Shape::Rotation {
            self.complete(Config::from_fn(|_| Duration::ZERO)).build().is_ok()
        } else {
            self.complete(self.begin()).build().is_ok()
        }
    }

    fn begin(&self) -> Config {
        let base = Duration::from_nanos(self.base);
        match self.shape {
            Shape::Constant | Shape::Rotation => Config::constant(base),
            Shape::Linear => Config::linear(base),
            Shape::Exponential(factor) => Config::exponential(base).factor(factor),
            Shape::Fibonacci => Config::fibonacci(base),
        }
    }

    fn complete<G>(&self, config: Config<G>) -> Config<G> {
        let config = config.floor(Duration::from_nanos(self.floor)).jitter(self.jitter);
        let config = match self.cap {
            Some(cap) => config.cap(Duration::from_nanos(cap)),
            None => config,
        };
        match self.max_retries {
            Some(retries) => config.max_retries(retries),
            None => config.unlimited(),
        }
    }

    fn cap(&self) -> u64 {
        self.cap.unwrap_or(u64::MAX)
    }

    /// What the growth alone gives: usually one number, two if the exact product lies so close above
    /// the middle between them that the documented error decides.
    pub fn grown(&self, attempt: u32) -> (u64, u64) {
        let exact = match self.shape {
            Shape::Constant => BigUint::from(self.base),
            Shape::Linear => BigUint::from(self.base) * (u64::from(attempt) + 1),
            Shape::Exponential(factor) => return product(self.base, factor, attempt),
            Shape::Fibonacci => {
                let (mut this, mut next) = (BigUint::from(self.base), BigUint::from(self.base));
                // The 200th is far beyond 64 bits.
                for _ in 0..attempt.min(200) {
                    (this, next) = (next.clone(), this + next);
                }
                this
            }
            Shape::Rotation => BigUint::from(rotated(self.base, attempt)),
        };
        let exact = u64::try_from(exact).unwrap_or(u64::MAX);
        (exact, exact)
    }

    /// The interval that `Jitter` documents around a growth of `grown`, then cut by floor and cap.
    pub fn interval(&self, grown: u64, previous: Option<u64>) -> (u64, u64) {
        let grown = grown.min(self.cap());
        let (low, high) = match self.jitter {
            Jitter::None => (grown, grown),
            Jitter::Full => (0, grown),
            // The whole numbers from d/2 on.
            Jitter::Equal => (grown.div_ceil(2), grown),
            Jitter::Fraction(fraction) => {
                let (mantissa, shift) = dyadic(fraction);
                // The whole numbers within d × fraction of d.
                let by = (BigUint::from(grown) * mantissa) >> shift;
                let by = u64::try_from(by).unwrap_or(u64::MAX);
                (grown - by, grown.saturating_add(by))
            }
            Jitter::Decorrelated => {
                let first = self.grown(0).0.min(self.cap());
                (first, previous.unwrap_or(first).saturating_mul(3).max(first))
            }
        };
        (low.clamp(self.floor, self.cap()), high.clamp(self.floor, self.cap()))
    }

    fn check(&self, attempt: u32, previous: Option<u64>, chance: Chance, delay: Duration) {
        let delay = nanos(delay);
        let what = || format!("{self:?}, attempt {attempt} after {previous:?}, {chance:?}");
        assert!((self.floor..=self.cap()).contains(&delay), "{delay} leaves bounds: {}", what());
        let (above, below) = self.grown(attempt);
        let fits = |grown| {
            let (low, high) = self.interval(grown, previous);
            match chance {
                Chance::Lowest => delay == low,
                Chance::Highest => delay == high,
                Chance::Seed(_) => (low..=high).contains(&delay),
            }
        };
        assert!(
            fits(above) || fits(below),
            "{delay}, not of {:?}: {}",
            self.interval(above, previous),
            what()
        );
    }
}

fn nanos(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).expect("64 bits")
}

/// What is drawn.
#[derive(Debug, Clone)]
pub enum Dice {
    /// Always the same.
    Loaded(u64),
    /// By chance.
    Fair(Random),
}

impl Rng for Dice {
    fn next_u64(&mut self) -> u64 {
        match self {
            Self::Loaded(number) => *number,
            Self::Fair(random) => random.next_u64(),
        }
    }
}

impl Chance {
    fn dice(self) -> Dice {
        match self {
            Self::Lowest => Dice::Loaded(0),
            Self::Highest => Dice::Loaded(u64::MAX),
            Self::Seed(seed) => Dice::Fair(Random::from_seed(seed)),
        }
    }
}

/// Asks `policy`, which has these `terms`.
fn ask<G: Grow + Copy>(terms: Terms, policy: &Policy<G>, op: Op) {
    assert_eq!(policy.floor(), Duration::from_nanos(terms.floor));
    assert_eq!(policy.cap(), Duration::from_nanos(terms.cap()));
    assert_eq!(policy.max_retries(), terms.max_retries);
    match op {
        Op::Build(_) => {}
        Op::Delay(attempt, chance) => {
            let delay = policy.delay(attempt, &mut chance.dice());
            if terms.jitter == Jitter::Decorrelated {
                assert!(policy.floor() <= delay && delay <= policy.cap(), "{terms:?}: {delay:?}");
            } else {
                terms.check(attempt, None, chance, delay);
            }
        }
        Op::DelayAfter(attempt, previous, chance) => {
            let before = previous.map(Duration::from_nanos);
            let delay = policy.delay_after(attempt, before, &mut chance.dice());
            terms.check(attempt, previous, chance, delay);
        }
        Op::Delays(take, chance) => in_order(terms, policy, take, chance),
    }
}

fn in_order<G: Grow + Copy>(terms: Terms, policy: &Policy<G>, take: u16, chance: Chance) {
    let mut delays = policy.delays(chance.dice());
    let mut previous = None;
    for attempt in 0..u32::from(take) {
        let left = terms.max_retries.map(|retries| retries.saturating_sub(attempt) as usize);
        assert_eq!(delays.size_hint(), (left.unwrap_or(usize::MAX), left), "{terms:?}");
        assert_eq!(delays.len(), left.unwrap_or(usize::MAX));
        assert_eq!(delays.is_empty(), left == Some(0));
        let delay = delays.next();
        assert_eq!(delay.is_none(), left == Some(0), "{terms:?}");
        let Some(delay) = delay else { continue };
        terms.check(attempt, previous, chance, delay);
        previous = Some(nanos(delay));
        // With the same bits the same delay; but those of a fair one differ by number, unless
        // those before it are drawn, too.
        let same_bits = match terms.jitter {
            Jitter::None => true,
            Jitter::Decorrelated => attempt < 12,
            _ => !matches!(chance, Chance::Seed(_)),
        };
        if same_bits {
            let by_number = policy.delay(attempt, &mut chance.dice());
            assert_eq!(delay, by_number, "{terms:?}, attempt {attempt}");
        }
    }
}

/// The number that a finite `f64` of at least 0 is: mantissa / 2^shift.
fn dyadic(number: f64) -> (BigUint, u64) {
    let bits = number.to_bits();
    let (exponent, fraction) = ((bits >> 52) & 0x7FF, bits & ((1 << 52) - 1));
    let (mantissa, exponent) = match exponent {
        0 => (fraction, 1),
        _ => (fraction | (1 << 52), exponent),
    };
    // The value is mantissa × 2^(exponent - 1075).
    match exponent.checked_sub(1_075) {
        Some(left) => (BigUint::from(mantissa) << left, 0),
        None => (BigUint::from(mantissa), 1_075 - exponent),
    }
}

/// Between `low` and `high`, each / 2^`shift`; the same if it is exact.
struct Range {
    low: BigUint,
    high: BigUint,
    shift: i64,
}

impl Range {
    /// Exact up to a thousand bits; beyond that it loses one part in 2⁹⁹⁹ a time.
    fn times(&self, other: &Self) -> Self {
        let (mut low, mut high) = (&self.low * &other.low, &self.high * &other.high);
        let mut shift = self.shift + other.shift;
        let beyond = low.bits().saturating_sub(1_000);
        if beyond > 0 {
            low >>= beyond;
            high = (high >> beyond) + 1_u32;
            shift -= i64::try_from(beyond).expect("small");
        }
        Self { low, high, shift }
    }

    fn is_beyond(&self) -> bool {
        i64::try_from(self.low.bits()).expect("small") - self.shift > 64
    }
}

/// base × factor^attempt, halves up; and the same if it were less by the documented error of 2⁻²⁹.
/// What fits into 128 bits on the way has no error.
fn product(base: u64, factor: f64, mut attempt: u32) -> (u64, u64) {
    let (mut mantissa, mut shift) = dyadic(factor);
    let common = mantissa.trailing_zeros().unwrap_or(0).min(shift);
    mantissa >>= common;
    shift -= common;
    let fits = 64 + u64::from(attempt) * mantissa.bits() <= 128;
    let shift = i64::try_from(shift).expect("small");
    let mut square = Range { low: mantissa.clone(), high: mantissa, shift };
    let mut result = Range { low: BigUint::from(base), high: BigUint::from(base), shift: 0 };
    while attempt > 0 {
        if attempt & 1 == 1 {
            result = result.times(&square);
        }
        attempt >>= 1;
        if attempt > 0 {
            square = square.times(&square);
        }
        // A square is made only if it is used.
        if result.is_beyond() || (attempt > 0 && square.is_beyond()) {
            return (u64::MAX, u64::MAX);
        }
    }
    // In units of 2⁻²⁰⁰⁰.
    let unit = 2_000;
    let scaled = |number: &BigUint| match unit - result.shift {
        left @ 0.. => number << left,
        right => number >> -right,
    };
    let half = BigUint::from(1_u32) << (unit - 1);
    let rounded = |number: BigUint| u64::try_from((number + &half) >> unit).unwrap_or(u64::MAX);
    let error = BigUint::from(u32::from(!fits)) << (unit - 29);
    (rounded(scaled(&result.high)), rounded(scaled(&result.low) - error))
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{any_size, effort};

    use super::*;

    fn sizes() -> impl Strategy<Value = u64> {
        prop_oneof![
            6 => any_size(64),
            2 => prop::sample::select(&[1, 2, 3, 100_000_000, 1_000_000_000][..]),
            1 => (0..4_u64).prop_map(|less| u64::MAX - less),
        ]
    }

    fn factors() -> impl Strategy<Value = f64> {
        const NEXT: f64 = 1.0 + f64::EPSILON;
        // The last powers of two, whole numbers and halves on either side of every limit.
        let some: &[f64] = &[
            1.0,
            NEXT,
            1.000_000_1,
            1.1,
            1.25,
            1.5,
            1.75,
            2.0,
            2.5,
            3.0,
            10.0,
            4_503_599_627_370_495.5,
            9_007_199_254_740_992.0,
            1e18,
            18_446_744_073_709_549_568.0,
            18_446_744_073_709_551_616.0,
            1e300,
            f64::MAX,
        ];
        prop_oneof![
            6 => prop::sample::select(some),
            2 => 1.0..4.0_f64,
            1 => 1.0..1.000_01_f64,
            1 => prop::sample::select(&[0.0, -0.0, -1.0, 0.999, f64::NAN, f64::INFINITY][..]),
        ]
    }

    fn shapes() -> impl Strategy<Value = Shape> {
        prop_oneof![
            1 => Just(Shape::Constant),
            2 => Just(Shape::Linear),
            8 => factors().prop_map(Shape::Exponential),
            2 => Just(Shape::Fibonacci),
            2 => Just(Shape::Rotation),
        ]
    }

    fn jitters() -> impl Strategy<Value = Jitter> {
        let fractions = prop_oneof![
            3 => 0.0..=1.0_f64,
            1 => prop::sample::select(&[0.0, -0.0, 0.1, 0.5, 1.0, 1.000_000_1, f64::NAN][..]),
            // Down to those below any bit of a delay.
            1 => (0..1_100_i32, 1.0..2.0_f64).prop_map(|(n, x)| x * 0.5_f64.powi(n) / 2.0),
            1 => (0..64_i32, 1.0..2.0_f64).prop_map(|(n, x)| x * 0.5_f64.powi(n) / 2.0),
        ];
        prop_oneof![
            3 => Just(Jitter::None),
            1 => Just(Jitter::Full),
            1 => Just(Jitter::Equal),
            2 => fractions.prop_map(Jitter::Fraction),
            2 => Just(Jitter::Decorrelated),
        ]
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let floors = prop_oneof![2 => Just(0), 1 => sizes()];
        let retries = prop::option::of(prop_oneof![2 => 0..20_u32, 1 => any::<u32>()]);
        let bounds = (floors, prop::option::of(sizes()));
        (shapes(), sizes(), bounds, jitters(), retries).prop_map(
            |(shape, base, (floor, cap), jitter, max_retries)| {
                // Mostly possible.
                let cap = cap.map(|cap| if cap % 8 == 0 { cap } else { cap.max(base).max(floor) });
                Terms { shape, base, floor, cap, jitter, max_retries }
            },
        )
    }

    fn attempts() -> impl Strategy<Value = u32> {
        prop_oneof![
            6 => 0..12_u32,
            3 => 0..200_u32,
            2 => (0..32_u32, 0..3_u32).prop_map(|(bit, d)| (1_u32 << bit) - 1 + d),
            1 => any::<u32>(),
            1 => (0..3_u32).prop_map(|less| u32::MAX - less),
        ]
    }

    fn chances() -> impl Strategy<Value = Chance> {
        let seeds = any::<u64>().prop_map(Chance::Seed);
        prop_oneof![Just(Chance::Lowest), Just(Chance::Highest), seeds]
    }

    fn ops() -> impl Strategy<Value = Op> {
        let previous = prop::option::of(prop_oneof![4 => sizes(), 1 => Just(0)]);
        prop_oneof![
            5 => (attempts(), chances()).prop_map(|(n, chance)| Op::Delay(n, chance)),
            3 => (attempts(), previous, chances())
                .prop_map(|(n, previous, chance)| Op::DelayAfter(n, previous, chance)),
            1 => (0..40_u16, chances()).prop_map(|(take, chance)| Op::Delays(take, chance)),
        ]
    }

    proptest! {
        #![proptest_config(effort(8))]

        #[test]
        fn delays_are_what_the_oracle_says(
            terms in terms(),
            mut ops in prop::collection::vec(ops(), 1..8),
        ) {
            ops.insert(0, Op::Build(terms));
            run(&ops);
        }
    }
}
