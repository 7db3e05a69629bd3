//! The keyed limiter against one bucket a key that is never forgotten: that a key which is full again
//! may lose its place, and come back, is to be seen by nobody but by who asks how many there are.
//!
//! Time stands still or goes on. (A key that was full and is asked for with an earlier time may have been
//! forgotten in between: it is full then, too.)
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast_core::{Instant, ManualClock};
use steadfast_test_support::crowds::Crowds;
use steadfast_token_bucket::state::{Decision, Limits, State};
use steadfast_token_bucket::{Config, ConfigError, Keyed, KeyedError, Rate, SetLimitError};

/// The largest table: so small that a search of it that is bounded sees all of it.
pub const MAX_CAPACITY: u8 = 60;

/// How many keys there are.
pub const KEYS: u8 = 100;

/// A rate, as tokens and nanoseconds, and a burst. What does not fit together is refused, which is
/// looked at, too.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The rate's tokens.
    pub tokens: u64,
    /// The rate's period.
    pub period_ns: u64,
    /// The burst.
    pub burst: u64,
}

impl Terms {
    fn config(self) -> Config {
        Config::new(Rate::new(self.tokens, Duration::from_nanos(self.period_ns))).burst(self.burst)
    }
}

/// What can happen to a limiter.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Another limiter, in place of the one before.
    Build {
        /// Of every key.
        terms: Terms,
        /// Of the bucket of those without a place.
        overflow: Option<Terms>,
        /// For so many keys.
        capacity: u8,
        /// When it begins.
        at: u64,
    },
    /// Time goes on by so many nanoseconds, at most to its end.
    Advance(u64),
    /// So many tokens of a key or none; by the limiter's clock, or with the time given.
    Take(u8, u64, bool),
    /// One of each of so many keys, from one on.
    TakeOfMany(u8, u8),
    /// Gives tokens back.
    Refund(u8, u64),
    /// What a key has, and when it will have so many.
    Look(u8, u64),
    /// A limit of its own.
    SetLimit(u8, Terms),
    /// That of all again.
    ResetLimit(u8),
    /// Forgets who is full.
    Forget,
}

/// Does `ops`, one after the other, to the limiter and to the buckets beside it.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(ops: &[Op]) {
    let terms = Terms { tokens: 10, period_ns: 1_000_000_000, burst: 5 };
    let mut model = Model::build(terms, None, 4, 0).expect("valid");
    for &op in ops {
        model.step(op);
        model.check();
    }
}

/// A key's bucket as if it were alone.
#[derive(Debug, Clone, Copy)]
struct Alone {
    state: State,
    /// It has a limit of its own.
    pinned: bool,
}

impl Alone {
    fn is_idle(&self, now: Instant) -> bool {
        !self.pinned && self.state.is_full(now)
    }

    fn change(&mut self, limits: Limits, now: Instant) {
        let next = self.state.reconfigure(limits, now);
        // Who was full is full.
        self.state = if self.state.is_full(now) { next.refund(limits.burst()) } else { next };
    }
}

struct Model {
    limiter: Keyed<u8, ManualClock, Crowds>,
    clock: ManualClock,
    config: Config,
    keys: BTreeMap<u8, Alone>,
    overflow: Option<State>,
    now: Instant,
}

impl Model {
    fn build(
        terms: Terms,
        overflow: Option<Terms>,
        capacity: u8,
        at: u64,
    ) -> Result<Self, ConfigError> {
        let now = Instant::from_nanos(at);
        let clock = ManualClock::starting_at(now);
        let config = terms.config();
        let mut builder = Keyed::builder(config, capacity.into()).hasher(Crowds);
        if let Some(overflow) = overflow {
            builder = builder.overflow(overflow.config());
        }
        let limiter = builder.build_with(clock.clone())?;
        let overflow = overflow.map(|terms| terms.config().state(now)).transpose()?;
        Ok(Self { limiter, clock, config, keys: BTreeMap::new(), overflow, now })
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Build { terms, overflow, capacity, at } => {
                match Self::build(terms, overflow, capacity, at) {
                    Ok(model) => *self = model,
                    Err(error) => self.refused(terms, overflow, capacity, error),
                }
            }
            Op::Advance(ns) => {
                self.now = self.now.saturating_add(Duration::from_nanos(ns));
                self.clock.set_now(self.now);
            }
            Op::Take(key, n, by_clock) => {
                let expected = self.take(key, n);
                let seen = if by_clock {
                    self.limiter.try_acquire(&key, n)
                } else {
                    self.limiter.try_acquire_at(&key, n, self.now)
                };
                assert_eq!(seen, expected);
            }
            Op::TakeOfMany(first, keys) => {
                for key in (first..first.saturating_add(keys)).map(|key| key % KEYS) {
                    let expected = self.take(key, 1);
                    assert_eq!(self.limiter.try_acquire(&key, 1), expected);
                }
            }
            Op::Refund(key, n) => {
                if let Some(alone) = self.keys.get_mut(&key) {
                    alone.state = alone.state.refund(n);
                }
                self.limiter.refund(&key, n);
            }
            Op::Look(key, n) => self.look(key, n),
            Op::SetLimit(key, terms) => self.set_limit(key, terms),
            Op::ResetLimit(key) => {
                let (limits, now) = (self.limits(), self.now);
                if let Some(alone) = self.keys.get_mut(&key).filter(|alone| alone.pinned) {
                    alone.change(limits, now);
                    alone.pinned = false;
                }
                self.limiter.reset_limit_at(&key, now);
            }
            Op::Forget => {
                self.limiter.forget_idle_at(self.now);
                assert_eq!(self.limiter.len(), self.busy_but(None), "those that are not full");
            }
        }
    }

    /// There is a reason to refuse it.
    fn refused(&self, terms: Terms, overflow: Option<Terms>, capacity: u8, error: ConfigError) {
        let overflow = overflow.map(|terms| terms.config().limits());
        match (terms.config().limits(), overflow) {
            _ if capacity == 0 => {
                let max = steadfast_core::table::MAX_CAPACITY;
                assert_eq!(error, ConfigError::CapacityOutOfRange { capacity: 0, max });
            }
            (Err(reason), _) | (Ok(_), Some(Err(reason))) => assert_eq!(error, reason),
            (Ok(_), _) => panic!("{error} at {:?}", self.now),
        }
    }

    fn take(&mut self, key: u8, n: u64) -> Result<(), KeyedError> {
        let now = self.now;
        let has_place = self.has_place(key);
        let capacity = self.limiter.capacity();
        let state = match (has_place, &mut self.overflow) {
            (true, _) => &mut self.alone(key).state,
            (false, Some(overflow)) => overflow,
            (false, None) => return Err(KeyedError::TableFull { capacity }),
        };
        let (decision, next) = state.take(n, now);
        *state = next;
        match decision {
            Decision::Granted => Ok(()),
            Decision::Denied { retry_at } => {
                let (later, _) = state.take(n, retry_at);
                assert!(retry_at == Instant::MAX || later == Decision::Granted, "{later:?}");
                Err(KeyedError::Denied { retry_at, now })
            }
            Decision::ExceedsBurst => {
                Err(KeyedError::ExceedsBurst { burst: state.limits().burst() })
            }
            Decision::Closed => unreachable!("nobody closes it"),
        }
    }

    fn look(&self, key: u8, n: u64) {
        let full = || self.config.state(self.now).expect("as it was built");
        let state = self.keys.get(&key).map_or_else(full, |alone| alone.state);
        let now = self.now;
        assert_eq!(self.limiter.available_at(&key, now), state.available(now));
        let burst = state.limits().burst();
        let ready = if n > burst {
            Err(KeyedError::ExceedsBurst { burst })
        } else {
            Ok(state.ready_at(n.into(), now))
        };
        assert_eq!(self.limiter.ready_at(&key, n, now), ready);
    }

    fn set_limit(&mut self, key: u8, terms: Terms) {
        let now = self.now;
        let seen = self.limiter.set_limit_at(&key, terms.config(), now);
        match (terms.config().limits(), self.has_place(key)) {
            (Err(error), _) => {
                let same = matches!(seen, Err(SetLimitError::Config(seen)) if seen == error);
                assert!(same, "{seen:?}");
            }
            (Ok(_), false) => {
                let full = self.limiter.capacity();
                let same =
                    matches!(seen, Err(SetLimitError::TableFull { capacity }) if capacity == full);
                assert!(same, "{seen:?}");
            }
            (Ok(limits), true) => {
                assert!(seen.is_ok(), "{seen:?}");
                let alone = self.alone(key);
                alone.change(limits, now);
                alone.pinned = true;
            }
        }
    }

    /// Places are for those who are not full, and what they leave is for whoever comes.
    fn has_place(&self, key: u8) -> bool {
        let is_busy = self.keys.get(&key).is_some_and(|alone| !alone.is_idle(self.now));
        is_busy || self.busy_but(Some(key)) < self.limiter.capacity()
    }

    fn busy_but(&self, key: Option<u8>) -> usize {
        let others = self.keys.iter().filter(|&(&other, _)| Some(other) != key);
        others.filter(|(_, alone)| !alone.is_idle(self.now)).count()
    }

    fn alone(&mut self, key: u8) -> &mut Alone {
        let (config, now) = (self.config, self.now);
        let full = || Alone { state: config.state(now).expect("as it was built"), pinned: false };
        self.keys.entry(key).or_insert_with(full)
    }

    fn limits(&self) -> Limits {
        self.config.limits().expect("as it was built")
    }

    fn check(&self) {
        let len = self.limiter.len();
        assert!(len <= self.limiter.capacity(), "{len}");
        assert!(len >= self.busy_but(None), "who is not full has a place");
        assert_eq!(self.limiter.is_empty(), len == 0);
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::effort;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn terms() -> impl Strategy<Value = Terms> {
        let rates = prop::sample::select(&[
            (1, SECOND),
            (7, 11 * SECOND),
            (999_999_937, SECOND),
            (1, 1),
            (0, 1),
            (1, 86_400 * SECOND),
        ]);
        let bursts = prop_oneof![8 => 1..5_u64, 1 => Just(0), 1 => any::<u64>()];
        (rates, bursts).prop_map(|((tokens, period_ns), burst)| Terms { tokens, period_ns, burst })
    }

    fn ops() -> impl Strategy<Value = Op> {
        let key = || prop_oneof![3 => 0..6_u8, 1 => 0..KEYS];
        let amount = || prop_oneof![8 => 0..6_u64, 1 => any::<u64>()];
        let capacity = prop_oneof![0..6_u8, 0..=MAX_CAPACITY];
        let at = prop_oneof![Just(0), any::<u64>(), (0..9 * SECOND).prop_map(|ns| u64::MAX - ns)];
        let build = (terms(), prop::option::of(terms()), capacity, at).prop_map(
            |(terms, overflow, capacity, at)| Op::Build { terms, overflow, capacity, at },
        );
        let time = prop_oneof![0..3 * SECOND, Just(SECOND), 0..4_u64, any::<u64>()];
        prop_oneof![
            12 => (key(), amount(), any::<bool>()).prop_map(|(key, n, by)| Op::Take(key, n, by)),
            2 => (0..KEYS, 0..=MAX_CAPACITY).prop_map(|(first, keys)| Op::TakeOfMany(first, keys)),
            4 => time.prop_map(Op::Advance),
            2 => (key(), amount()).prop_map(|(key, n)| Op::Refund(key, n)),
            3 => (key(), amount()).prop_map(|(key, n)| Op::Look(key, n)),
            1 => (key(), terms()).prop_map(|(key, terms)| Op::SetLimit(key, terms)),
            1 => key().prop_map(Op::ResetLimit),
            1 => Just(Op::Forget),
            1 => build,
        ]
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn a_key_has_its_bucket_whoever_else_comes_and_is_forgotten(
            ops in prop::collection::vec(ops(), 1..120),
        ) {
            run(&ops);
        }
    }
}
