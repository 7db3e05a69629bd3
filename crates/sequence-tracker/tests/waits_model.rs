//! Up to four actors that wait for numbers of one stream, in any interleaving with what comes, against the
//! plain question whether everything up to a number has come (which `model.rs` judges).
//!
//! After every operation it says who must be awake, who may be, and what the alarm has to be set to at the
//! latest. An actor is *awake* if it was woken since it was last polled, by the waker of that poll.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_sequence_tracker::{Acquire, AcquireError, Config, SequenceTracker};

/// How many actors there are.
pub const ACTORS: usize = 4;

/// Until when an actor waits, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// For ever.
    Ever,
    /// For so long from its next poll.
    Timeout(u64),
    /// Until so long from now.
    Deadline(u64),
    /// A deadline that was so long ago.
    Past(u64),
}

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

/// Counts wakes.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wakes {
    fn count(&self) -> u32 {
        // ORDERING: Relaxed; one thread counts and looks.
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; one thread counts and looks.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Tracker = SequenceTracker<ManualClock>;
type Holder = Arc<Tracker>;
type Answer = Poll<Result<u64, AcquireError>>;

/// Somebody with a wait.
struct Waiter {
    wait: Acquire<Holder>,
    number: u64,
    timeout: Option<Duration>,
    deadline: Instant,
    /// Whether it ever had a limit: [`Instant::MAX`] can be one.
    limited: bool,
    /// In which run of the stream it waits, since its first poll.
    run: Option<u64>,
    /// There is something to see since it was last polled, or there was.
    told: bool,
    wakes: Arc<Wakes>,
    /// Of `wakes`: those before the last poll, and those that were accounted for.
    before: u32,
    known: u32,
}

impl Waiter {
    fn is_awake(&self) -> bool {
        self.wakes.count() > self.before
    }

    fn is_late(&self, now: Instant) -> bool {
        self.limited && now >= self.deadline
    }
}

struct Model {
    tracker: Holder,
    clock: ManualClock,
    actors: [Option<Box<Waiter>>; ACTORS],
    /// The greatest time seen.
    latest: Instant,
}

impl Model {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            tracker: Arc::new(Config::new().build_with(clock.clone()).expect("the usual one")),
            clock,
            actors: [const { None }; ACTORS],
            latest: Instant::ZERO,
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn step(&mut self, op: Op) {
        let actor = |actor: u8| usize::from(actor) % ACTORS;
        match op {
            Op::Begin { actor: i, number, until, polled } => {
                self.actors[actor(i)] = None;
                self.check(false);
                self.begin(actor(i), number.into(), until);
                if polled {
                    self.poll(actor(i));
                }
            }
            Op::Poll { actor: i, moved } => {
                if let Some(waiter) = self.actors[actor(i)].as_mut().filter(|_| moved) {
                    // Nobody is deaf meanwhile: it is polled at once.
                    (waiter.wakes, waiter.before, waiter.known) = (Arc::default(), 0, 0);
                }
                self.poll(actor(i));
            }
            Op::Limit { actor: i, until } => {
                let now = self.now();
                if let Some(waiter) = &mut self.actors[actor(i)] {
                    limit(waiter, Acquire::new(Arc::clone(&self.tracker), 0), until, now);
                    self.poll(actor(i));
                }
            }
            Op::Run(first) => self.run_all(actor(first)),
            Op::Drop(i) => self.actors[actor(i)] = None,
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
                let Some(next) = self.clock.next_alarm() else { return };
                let at = next.as_nanos().saturating_add_signed(more.into());
                self.clock.set_now(Instant::from_nanos(at).max(self.now()));
            }
            Op::StepBack(ns) => {
                self.clock.set_now(self.now().saturating_sub(Duration::from_nanos(ns.into())));
            }
        }
        self.check(matches!(op, Op::Advance(_) | Op::ToAlarm(_)));
    }

    fn begin(&mut self, i: usize, number: u64, until: Until) {
        let mut waiter = Box::new(Waiter {
            wait: Acquire::new(Arc::clone(&self.tracker), number),
            number,
            timeout: None,
            deadline: Instant::MAX,
            limited: false,
            run: None,
            told: false,
            wakes: Arc::default(),
            before: 0,
            known: 0,
        });
        if !matches!(until, Until::Ever) {
            let spare = Acquire::new(Arc::clone(&self.tracker), 0);
            limit(&mut waiter, spare, until, self.now());
        }
        self.actors[i] = Some(waiter);
    }

    /// As an executor would: whoever is awake is polled, and woken by that or asleep afterwards.
    fn run_all(&mut self, first: usize) {
        for _ in 0..3 * ACTORS {
            let awake = |&i: &usize| self.actors[i].as_ref().is_some_and(|w| w.is_awake());
            let Some(i) = (first..first + ACTORS).map(|i| i % ACTORS).find(awake) else { return };
            self.poll(i);
            self.check(false);
        }
        panic!("somebody is woken again and again");
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
        let Some(waiter) = &mut self.actors[i] else { return };
        waiter.before = waiter.wakes.count();
        waiter.known = waiter.before;
        let waker = Waker::from(Arc::clone(&waiter.wakes));
        let answer = Pin::new(&mut waiter.wait).poll(&mut Context::from_waker(&waker));
        if let Some(timeout) = waiter.timeout.take() {
            waiter.deadline = now.saturating_add(timeout);
        }
        waiter.told = false;
        let since = *waiter.run.get_or_insert(run);
        let (number, late) = (waiter.number, waiter.is_late(now));
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
            self.actors[i] = None;
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
        let alarm = self.clock.next_alarm().unwrap_or(Instant::MAX);
        for i in 0..ACTORS {
            let Some(waiter) = &self.actors[i] else { continue };
            let Some(since) = waiter.run else { continue };
            let told = since != run || self.proof(waiter.number).is_some();
            let Some(waiter) = &mut self.actors[i] else { continue };
            waiter.told |= told;
            let count = waiter.wakes.count();
            let is_new = mem::replace(&mut waiter.known, count) < count;
            let late = waiter.deadline <= now;
            let why = (i, waiter.number, waiter.told, waiter.deadline, now, alarm);
            assert!(!is_new || waiter.told || late, "woken for nothing: {why:?}");
            assert!(!is_new || !time || late, "woken by time alone: {why:?}");
            assert!(!waiter.told || waiter.is_awake(), "a lost wake-up: {why:?}");
            if waiter.is_awake() {
                continue;
            }
            // Whoever was woken for its deadline sees to those who wait for the same.
            let (number, deadline, latest) = (waiter.number, waiter.deadline, self.latest);
            let sees = |other: &Waiter| {
                other.number == number && other.is_awake() && other.deadline <= latest
            };
            let seen = self.actors.iter().flatten().any(|other| sees(other));
            let timed = alarm <= deadline && (deadline > now || deadline == Instant::MAX);
            assert!(seen || timed, "no alarm for a deadline: {why:?}");
        }
        if self.actors.iter().flatten().all(|waiter| waiter.run.is_none()) {
            assert_eq!(self.clock.next_alarm(), None, "an alarm for nobody");
        }
    }
}

/// Gives a wait a limit. `spare` is put in its place meanwhile.
fn limit(waiter: &mut Waiter, spare: Acquire<Holder>, until: Until, now: Instant) {
    let ns = Duration::from_nanos;
    waiter.limited = true;
    (waiter.timeout, waiter.deadline) = match until {
        Until::Ever => (None, Instant::MAX),
        Until::Timeout(timeout) => (Some(ns(timeout)), Instant::MAX),
        Until::Deadline(after) => (None, now.saturating_add(ns(after))),
        Until::Past(before) => (None, now.saturating_sub(ns(before))),
    };
    let wait = mem::replace(&mut waiter.wait, spare);
    waiter.wait = match waiter.timeout {
        Some(timeout) => wait.timeout(timeout),
        None => wait.deadline(waiter.deadline),
    };
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn until() -> impl Strategy<Value = Until> {
        prop_oneof![
            4 => Just(Until::Ever),
            2 => (0..20_u64).prop_map(Until::Timeout),
            2 => (0..20_u64).prop_map(Until::Deadline),
            1 => (0..20_u64).prop_map(Until::Past),
        ]
    }

    fn ops() -> impl Strategy<Value = Op> {
        let numbers = || 0..10_u8;
        let begin = (any::<u8>(), numbers(), until(), prop::bool::weighted(0.9))
            .prop_map(|(actor, number, until, polled)| Op::Begin { actor, number, until, polled });
        let poll =
            (any::<u8>(), any::<bool>()).prop_map(|(actor, moved)| Op::Poll { actor, moved });
        prop_oneof![
            12 => begin,
            8 => poll,
            2 => (any::<u8>(), until()).prop_map(|(actor, until)| Op::Limit { actor, until }),
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

    /// `PROPTEST_CASES` still scales the effort. No file remembers failures: what was learnt from
    /// one belongs in `tests/waiting.rs`.
    fn effort(times: u32) -> ProptestConfig {
        let config = ProptestConfig::default();
        ProptestConfig { cases: config.cases * times, failure_persistence: None, ..config }
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
