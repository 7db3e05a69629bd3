//! Up to four actors that wait for numbers of one stream, in any interleaving with what comes, against the
//! plain question whether everything up to a number has come (which `model.rs` judges).
//!
//! After every operation it says who must be awake, who may be, and what the alarm has to be set to at the
//! latest. An actor is *awake* if it was woken since it was last polled, by the waker of that poll.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_sequence_tracker::{Acquire, AcquireError, Config, SequenceTracker};
use steadfast_test_support::waits::{
    ACTORS, Actors, Until, Waiter, actor, is_timed, run_all, to_alarm,
};

/// What can happen. Actors are counted modulo [`ACTORS`].
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// The actor drops its wait, if it has one, and begins another.
    Begin {
        /// Whose.
        actor: u8,
        /// For which number.
        number: u8,
        /// Until when.
        until: Until,
        /// Whether it is polled at once.
        polled: bool,
    },
    /// The actor polls its wait, whether or not it was woken.
    Poll {
        /// Whose.
        actor: u8,
        /// With another waker from now on.
        moved: bool,
    },
    /// As `Poll`, after another limit was set.
    Limit {
        /// Whose.
        actor: u8,
        /// The new one.
        until: Until,
    },
    /// All who are awake poll, in order from this actor on, until nobody is.
    Run(u8),
    /// The actor drops its wait.
    Drop(u8),
    /// A number comes.
    Record(u8),
    /// So many numbers come from one on.
    Range(u8, u8),
    /// The number that nothing is missing below comes: a gap is filled.
    Fill,
    /// As it says.
    Announce(u8),
    /// As it says.
    GiveUpBelow(u8),
    /// As it says.
    SkipTo(u8),
    /// As it says.
    Resynced(u8),
    /// As it says.
    Reset,
    /// Time goes on, at most to its end.
    Advance(u64),
    /// Time goes on to the next alarm, if there is one, and so many nanoseconds more or less.
    ToAlarm(i8),
    /// The clock steps back, at most to its origin.
    StepBack(u8),
}

/// Does `ops`, one after the other.
///
/// # Panics
///
/// As soon as somebody is told, or woken, or not woken, as he should not be.
pub fn run(ops: &[Op]) {
    let mut model = Model::new();
    for &op in ops {
        model.step(op);
    }
}

type Tracker = SequenceTracker<ManualClock>;
type Holder = Arc<Tracker>;
type Answer = Poll<Result<u64, AcquireError>>;

/// What is known of somebody with a wait.
#[derive(Debug)]
struct Sitter {
    number: u64,
    /// In which run of the stream it waits, since its first poll.
    run: Option<u64>,
    /// There is something to see since it was last polled, or there was.
    told: bool,
}

struct Model {
    tracker: Holder,
    clock: ManualClock,
    actors: Actors<Acquire<Holder>, Sitter>,
    /// The greatest time seen.
    latest: Instant,
}

impl Model {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            tracker: Arc::new(Config::new().build_with(clock.clone()).expect("the usual one")),
            clock,
            actors: Actors::new(),
            latest: Instant::ZERO,
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Begin { actor: i, number, until, polled } => {
                self.actors.leave(actor(i));
                self.check(false);
                self.begin(actor(i), number.into(), until);
                if polled {
                    self.poll(actor(i));
                }
            }
            Op::Poll { actor: i, moved } => {
                if let Some(waiter) = self.actors.waits_mut(actor(i)) {
                    if moved {
                        waiter.moves();
                    }
                    self.poll(actor(i));
                }
            }
            Op::Limit { actor: i, until } => {
                let now = self.now();
                if let Some(waiter) = self.actors.waits_mut(actor(i)) {
                    waiter.limit(until.ns(), now, Acquire::timeout, Acquire::deadline);
                    self.poll(actor(i));
                }
            }
            Op::Run(first) => {
                let awake = |model: &Self| model.actors.first_awake(actor(first));
                run_all(self, awake, |model, i| {
                    model.poll(i);
                    model.check(false);
                });
            }
            Op::Drop(i) => {
                self.actors.leave(actor(i));
            }
            Op::Record(number) => {
                let _arrival = self.tracker.record(number.into());
            }
            Op::Range(first, more) => {
                let first = u64::from(first);
                let _batch = self.tracker.record_range(first..=first + u64::from(more));
            }
            Op::Fill => {
                let next = self.tracker.contiguous_through().map_or(0, |through| through + 1);
                let _arrival = self.tracker.record(next);
            }
            Op::Announce(number) => {
                let _batch = self.tracker.announce(number.into());
            }
            Op::GiveUpBelow(number) => {
                self.tracker.give_up_below(number.into());
            }
            Op::SkipTo(number) => {
                self.tracker.skip_to(number.into());
            }
            Op::Resynced(number) => self.tracker.resynced(number.into()),
            Op::Reset => {
                self.tracker.reset();
            }
            Op::Advance(ns) => self.clock.advance(Duration::from_nanos(ns)),
            Op::ToAlarm(more) => {
                if !to_alarm(&self.clock, more, u64::MAX) {
                    return;
                }
            }
            Op::StepBack(ns) => {
                self.clock.set_now(self.now().saturating_sub(Duration::from_nanos(ns.into())));
            }
        }
        self.check(matches!(op, Op::Advance(_) | Op::ToAlarm(_)));
    }

    fn begin(&mut self, i: usize, number: u64, until: Until) {
        let wait = Acquire::new(Arc::clone(&self.tracker), number);
        let (until, now) = (until.ns(), self.now());
        let waiter = Waiter::new(wait, Sitter { number, run: None, told: false });
        let waiter = waiter.limited(until, now, Acquire::timeout, Acquire::deadline);
        self.actors.wait(i, waiter);
    }

    fn run_of_now(&self) -> u64 {
        self.tracker.stats().restarts
    }

    /// What is to be said of a number, if anything but that it is missing.
    fn proof(&self, number: u64) -> Option<Result<u64, AcquireError>> {
        let through = self.tracker.contiguous_through().filter(|&through| through >= number)?;
        Some(match self.tracker.lost() {
            Some(lost) if lost.first <= number => Err(AcquireError::Lost { through, lost }),
            Some(lost) => Ok(through.min(lost.first - 1)),
            None => Ok(through),
        })
    }

    fn poll(&mut self, i: usize) {
        let (now, run) = (self.now(), self.run_of_now());
        let waiter = self.actors.waiter_mut(i);
        let answer = waiter.poll();
        waiter.resolve(now);
        waiter.own.told = false;
        let since = *waiter.own.run.get_or_insert(run);
        let (number, late) = (waiter.own.number, waiter.is_late(now));
        let expected = if since != run {
            Poll::Ready(Err(AcquireError::Restarted))
        } else if let Some(proof) = self.proof(number) {
            Poll::Ready(proof)
        } else if late {
            Poll::Ready(Err(AcquireError::TimedOut { missing: self.missing(&answer, number) }))
        } else {
            Poll::Pending
        };
        assert_eq!(answer, expected, "{i} waits for {number} at {now:?}: {:?}", self.tracker);
        if answer.is_ready() {
            self.actors.leave(i);
        }
    }

    /// What is missing of a number: as it was told, if that is right.
    fn missing(&self, answer: &Answer, number: u64) -> Vec<std::ops::RangeInclusive<u64>> {
        let Poll::Ready(Err(AcquireError::TimedOut { missing })) = answer else {
            return Vec::new();
        };
        let told = |n: u64| missing.iter().any(|range| range.contains(&n));
        let known = self.tracker.missing();
        let edge = self.tracker.right_edge();
        assert!(told(number) || edge >= Some(number), "{number} in {missing:?}");
        for n in (0..=number).filter(|&n| edge >= Some(n)) {
            let is_missing = known.iter().any(|range| range.contains(&n));
            assert_eq!(told(n), is_missing, "{n} in {missing:?}, {known:?}");
        }
        let rising = missing.windows(2).all(|two| *two[0].end() + 1 < *two[1].start());
        assert!(rising && missing.last().is_some_and(|last| *last.end() <= number), "{missing:?}");
        missing.clone()
    }

    /// Whoever has something to see is awake, nobody else is, and for every deadline there is an alarm.
    fn check(&mut self, time: bool) {
        let (now, run) = (self.now(), self.run_of_now());
        self.latest = self.latest.max(now);
        let alarm = self.clock.next_alarm();
        for i in 0..ACTORS {
            let Some(waiter) = self.actors.waits(i) else { continue };
            let Some(since) = waiter.own.run else { continue };
            let told = since != run || self.proof(waiter.own.number).is_some();
            let waiter = self.actors.waiter_mut(i);
            waiter.own.told |= told;
            let is_new = waiter.hears().is_some();
            let (told, late) = (waiter.own.told, waiter.deadline <= now);
            let why = (i, &waiter.own, waiter.deadline, now, alarm);
            assert!(!is_new || told || late, "woken for nothing: {why:?}");
            assert!(!is_new || !time || late, "woken by time alone: {why:?}");
            assert!(!told || waiter.is_awake(), "a lost wake-up: {why:?}");
            // Whoever was woken for its deadline sees to those who wait for the same.
            let waiter = self.actors.waiter(i);
            let sees = |other: &Waiter<_, Sitter>| {
                let same = other.own.number == waiter.own.number;
                same && other.is_awake() && other.deadline <= self.latest
            };
            let seen = waiter.is_awake() || self.actors.waiters().any(sees);
            let why = (i, &waiter.own, waiter.deadline, now, alarm);
            assert!(
                seen || is_timed(&self.clock, waiter.deadline),
                "no alarm for a deadline: {why:?}"
            );
        }
        if self.actors.waiters().all(|waiter| waiter.own.run.is_none()) {
            assert_eq!(alarm, None, "an alarm for nobody");
        }
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{effort, until_soon};

    use super::*;

    fn ops() -> impl Strategy<Value = Op> {
        let numbers = || 0..10_u8;
        let begin = (any::<u8>(), numbers(), until_soon(), prop::bool::weighted(0.9))
            .prop_map(|(actor, number, until, polled)| Op::Begin { actor, number, until, polled });
        let poll =
            (any::<u8>(), any::<bool>()).prop_map(|(actor, moved)| Op::Poll { actor, moved });
        prop_oneof![
            12 => begin,
            8 => poll,
            2 => (any::<u8>(), until_soon()).prop_map(|(actor, until)| Op::Limit { actor, until }),
            4 => any::<u8>().prop_map(Op::Run),
            4 => any::<u8>().prop_map(Op::Drop),
            4 => numbers().prop_map(Op::Record),
            2 => (numbers(), 0..4_u8).prop_map(|(first, more)| Op::Range(first, more)),
            6 => Just(Op::Fill),
            1 => numbers().prop_map(Op::Announce),
            2 => numbers().prop_map(Op::GiveUpBelow),
            1 => numbers().prop_map(Op::SkipTo),
            1 => numbers().prop_map(Op::Resynced),
            1 => Just(Op::Reset),
            4 => (0..15_u64).prop_map(Op::Advance),
            6 => (-1..=1_i8).prop_map(Op::ToAlarm),
            2 => (0..30_u8).prop_map(Op::StepBack),
        ]
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn whoever_waits_is_woken_when_everything_has_come_and_not_before(
            ops in prop::collection::vec(ops(), 1..80),
        ) {
            run(&ops);
        }
    }
}
