//! Up to four actors that hold permits of one breaker, or wait for one, in any interleaving, against a
//! plain queue and the pure machine with a single owner (which `model.rs` judges).
//!
//! After every operation the queue says who must be awake, who may be, and what the alarm has to be set to
//! at the latest. An actor is *awake* if it was woken since it was last polled, by the waker of that poll.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use steadfast_circuit_breaker::state::{
    Decision, Effects, Look, Outcome, Pass, State, Wake as Whom,
};
use steadfast_circuit_breaker::{Acquire, AcquireError, CircuitBreaker, Config, Permit};
use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_test_support::waits::{Deed, Entry, Line, Until, Waiter, actor, run_all, to_alarm};

/// Time ends in the middle of all times here: at their very end there is no alarm for a later one.
pub const END: u64 = u64::MAX / 2;

/// What the breaker is. Times are in nanoseconds; what must not be 0 becomes 1.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Failures in a row that trip it.
    pub failures: u8,
    /// How long it stays open.
    pub break_ns: u64,
    /// How many probes may be in flight at once.
    pub probes: u8,
    /// How many of them must succeed.
    pub close_after: u8,
    /// How long a probe keeps its place.
    pub probe_timeout_ns: u64,
    /// How many may wait.
    pub max_waiters: u32,
    /// When it begins, at most at [`END`].
    pub at: u64,
}

/// What can happen. Actors are counted modulo [`ACTORS`](steadfast_test_support::waits::ACTORS).
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// The actor drops what it has and begins a wait.
    Begin {
        /// Whose.
        actor: u8,
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
    /// The actor drops what it has, a wait or a permit.
    Drop(u8),
    /// The actor's call has come to its end: well or not.
    Report(u8, bool),
    /// The actor drops what it has and tries to get a permit without waiting.
    Try(u8),
    /// As an operator does.
    Force {
        /// Or closed.
        open: bool,
    },
    /// As an operator does.
    Reset,
    /// Time goes on, at most to [`END`].
    Advance(u64),
    /// Time goes on to the next alarm, if there is one, and so many nanoseconds more or less.
    ToAlarm(i8),
    /// The clock steps back, at most to its origin.
    StepBack(u8),
}

/// Does `ops`, one after the other, to the breaker and the queue.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(setup: Setup, ops: &[Op]) {
    let mut model = Model::new(setup);
    for &op in ops {
        model.step(op);
    }
}

type Breaker = CircuitBreaker<ManualClock>;
type Holder = Arc<Breaker>;
type Waiting = Line<Acquire<Holder>, (), (Permit<Holder>, Pass)>;

/// What somebody who asks is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Permit { is_probe: bool },
    TimedOut { ready_at: Instant },
    LineFull,
    NotNow,
    Pending,
}

struct Model {
    breaker: Holder,
    clock: ManualClock,
    /// What the breaker is to be.
    machine: State<Box<[Cell<u64>]>>,
    setup: Setup,
    /// What the actors have, and who of them waits.
    line: Waiting,
    waited: u64,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let ns = |ns: u64| Duration::from_nanos(ns.clamp(1, 1 << 60));
        let probes = setup.probes.max(1);
        let config = Config::new()
            .consecutive_failures(setup.failures.max(1).into())
            .break_duration(ns(setup.break_ns))
            .probes(probes.into())
            .close_after(setup.close_after.max(1).into())
            .probe_timeout(ns(setup.probe_timeout_ns))
            .max_waiters(setup.max_waiters);
        let now = Instant::from_nanos(setup.at.min(END));
        let clock = ManualClock::starting_at(now);
        let breaker = config.build_seeded(clock.clone(), 1).expect("there can be such a breaker");
        let terms = config.terms().expect("as above");
        let words = (0..terms.words()).map(|_| Cell::new(0)).collect();
        Self {
            breaker: Arc::new(breaker),
            clock,
            machine: State::new(terms, words).expect("just enough"),
            setup,
            line: Line::new(now),
            waited: 0,
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn step(&mut self, op: Op) {
        let deed = match op {
            Op::Begin { actor: i, until, polled } => {
                let deed = self.drop_it(actor(i));
                self.check(deed);
                self.begin(actor(i), until);
                if polled {
                    self.poll(actor(i));
                }
                Deed::Settle
            }
            Op::Poll { actor: i, moved } => {
                if let Some(waiter) = self.line.actors.waits_mut(actor(i)) {
                    if moved {
                        waiter.moves();
                    }
                    self.poll(actor(i));
                }
                Deed::Settle
            }
            Op::Limit { actor: i, until } => {
                let now = self.now();
                if let Some(waiter) = self.line.actors.waits_mut(actor(i)) {
                    waiter.limit(until.ns(), now, Acquire::timeout, Acquire::deadline);
                    self.poll(actor(i));
                }
                Deed::Settle
            }
            Op::Run(first) => {
                let awake = |model: &Self| model.line.actors.first_awake(actor(first));
                run_all(self, awake, |model, i| {
                    model.poll(i);
                    model.check(Deed::Settle);
                });
                Deed::Settle
            }
            Op::Drop(i) => self.drop_it(actor(i)),
            Op::Report(i, well) => self.report(actor(i), well),
            Op::Try(i) => {
                let deed = self.drop_it(actor(i));
                self.check(deed);
                self.try_acquire(actor(i));
                // A probe, or a look at a clock that has stepped back, may be news to the line.
                Deed::Change
            }
            Op::Force { open } => {
                let effects = self.machine.force(open, self.now());
                if open {
                    self.breaker.force_open();
                } else {
                    self.breaker.force_closed();
                }
                self.changed(effects)
            }
            Op::Reset => {
                let effects = self.machine.reset(self.now());
                self.breaker.reset();
                self.changed(effects)
            }
            Op::Advance(ns) => {
                let at = self.now().as_nanos().saturating_add(ns).min(END);
                self.clock.set_now(Instant::from_nanos(at));
                Deed::Time
            }
            Op::ToAlarm(more) => {
                if !to_alarm(&self.clock, more, END) {
                    return;
                }
                Deed::Time
            }
            Op::StepBack(ns) => {
                // Together less than what makes a breaker begin its break anew.
                self.clock.set_now(self.now().saturating_sub(Duration::from_nanos(ns.into())));
                self.line.disturbed = true;
                self.line.doubt();
                Deed::Nothing
            }
        };
        self.check(deed);
    }

    fn changed(&mut self, effects: Effects) -> Deed {
        if effects == Effects::NONE {
            return Deed::Nothing;
        }
        self.line.doubt();
        if effects.wake == Whom::All { Deed::All } else { Deed::Change }
    }

    fn begin(&mut self, i: usize, until: Until) {
        let wait = Acquire::new(Arc::clone(&self.breaker), ());
        let (until, now) = (until.ns(), self.now());
        let waiter = Waiter::new(wait, ());
        let waiter = waiter.limited(until, now, Acquire::timeout, Acquire::deadline);
        self.line.actors.wait(i, waiter);
    }

    fn poll(&mut self, i: usize) {
        let now = self.now();
        let answer = self.line.actors.waiter_mut(i).poll();
        let told = match &answer {
            Poll::Pending => Told::Pending,
            Poll::Ready(Ok(permit)) => Told::Permit { is_probe: permit.is_probe() },
            Poll::Ready(Err(AcquireError::TimedOut { ready_at, .. })) => {
                Told::TimedOut { ready_at: *ready_at }
            }
            Poll::Ready(Err(AcquireError::LineFull { max_waiters, .. })) => {
                assert_eq!(*max_waiters, self.setup.max_waiters);
                Told::LineFull
            }
        };
        let (expected, pass) = match self.line.place_of(i) {
            None => self.came(i, now),
            Some(place) => self.looked(place, told, now),
        };
        assert_eq!(
            told,
            expected,
            "{i}, line {:?}, at {now:?}, {:?}",
            self.line.order(),
            self.machine
        );
        if let Poll::Ready(result) = answer {
            self.line.actors.leave(i);
            if let (Ok(permit), Some(pass)) = (result, pass) {
                self.line.actors.hold(i, (permit, pass));
            }
        }
    }

    /// Asks the machine for a pass.
    fn ask(&mut self, in_turn: bool, now: Instant) -> (Told, Option<Pass>) {
        match self.machine.begin(in_turn, now).0 {
            Decision::Granted(pass) => (Told::Permit { is_probe: pass.is_probe() }, Some(pass)),
            _ => (Told::NotNow, None),
        }
    }

    /// A first poll: the answer is certain.
    fn came(&mut self, i: usize, now: Instant) -> (Told, Option<Pass>) {
        let waiter = self.line.actors.waiter_mut(i);
        if waiter.came_late(now) {
            return (Told::TimedOut { ready_at: self.alone(now) }, None);
        }
        waiter.resolve(now);
        self.machine.set_occupied(!self.line.is_empty());
        let (told, pass) = self.ask(false, now);
        if pass.is_some() {
            return (told, pass);
        }
        let ready_at = match self.look(self.line.len(), now) {
            Look::At(at) => Some(at).filter(|&at| at != Instant::MAX),
            Look::Event(_) => None,
            Look::Ready => Some(now),
        };
        let told = match self.line.join(i, ready_at, self.setup.max_waiters, now) {
            Entry::TimedOut { ready_at } => Told::TimedOut { ready_at },
            Entry::LineFull => Told::LineFull,
            Entry::Joined => Told::Pending,
        };
        (told, None)
    }

    fn look(&self, ahead: usize, now: Instant) -> Look {
        self.machine.look(ahead as u64, now)
    }

    fn is_ready(&self, ahead: usize, now: Instant) -> bool {
        matches!(self.look(ahead, now), Look::Ready)
    }

    /// What is said to somebody for whom it is too late.
    fn alone(&self, now: Instant) -> Instant {
        match self.look(0, now) {
            Look::At(at) if at != Instant::MAX => at,
            _ => now,
        }
    }

    /// A poll of somebody in line.
    fn looked(&mut self, place: usize, told: Told, now: Instant) -> (Told, Option<Pass>) {
        self.line.at_mut(place).resolve(now);
        self.line.wake_ups += 1;
        let ready = self.is_ready(place, now);
        let in_turn = self.line.is_in_turn(place);
        let why = (place, now);
        let (expected, pass) = if matches!(told, Told::Permit { .. }) {
            assert!(ready || self.line.at(place).doubtful, "let through out of turn: {why:?}");
            self.waited += 1;
            self.ask(true, now)
        } else {
            assert!(!(ready && in_turn), "not let through in turn: {why:?}");
            if self.line.at(place).is_late(now) {
                (Told::TimedOut { ready_at: self.alone(now) }, None)
            } else {
                (Told::Pending, None)
            }
        };
        if expected == Told::Pending {
            self.settled();
            self.line.stays(place);
        } else {
            self.line.remove(place);
            if !self.line.is_anybody_awake() {
                self.settled();
            }
        }
        (expected, pass)
    }

    /// The alarm is that of now. Until the time of before has come again, a probe may begin whose lease
    /// ends before those of others.
    fn settled(&mut self) {
        self.line.settled(self.now());
    }

    fn drop_it(&mut self, i: usize) -> Deed {
        let place = self.line.place_of(i);
        let waits = self.line.actors.waits(i).is_some();
        if let Some(place) = place {
            self.line.remove(place);
            self.settled();
        }
        match self.line.actors.leave(i) {
            Some((permit, pass)) => {
                drop(permit);
                self.reported(pass, Outcome::Ignored)
            }
            None if waits => Deed::Settle,
            None => Deed::Nothing,
        }
    }

    fn report(&mut self, i: usize, well: bool) -> Deed {
        let Some((permit, pass)) = self.line.actors.release(i) else { return Deed::Nothing };
        let outcome = if well { Outcome::Success } else { Outcome::FAILURE };
        permit.report(outcome);
        self.reported(pass, outcome)
    }

    fn reported(&mut self, pass: Pass, outcome: Outcome) -> Deed {
        let now = self.now();
        let terms = *self.machine.terms();
        let break_of = |trip| terms.break_duration(trip, &mut || 0);
        let effects = self.machine.report(pass, outcome, || now, break_of);
        self.changed(effects)
    }

    fn try_acquire(&mut self, i: usize) {
        let now = self.now();
        self.machine.set_occupied(!self.line.is_empty());
        let (expected, pass) = self.ask(false, now);
        let permit = Permit::try_new(Arc::clone(&self.breaker));
        let told = match &permit {
            Ok(permit) => Told::Permit { is_probe: permit.is_probe() },
            Err(_) => Told::NotNow,
        };
        assert_eq!(told, expected, "line {:?} at {now:?}, {:?}", self.line.order(), self.machine);
        if let (Ok(permit), Some(pass)) = (permit, pass) {
            self.line.actors.hold(i, (permit, pass));
        }
    }

    /// Everything that can be seen after `deed`.
    fn check(&mut self, deed: Deed) {
        let now = self.now();
        self.line.latest = self.line.latest.max(now);
        if self.line.is_empty() {
            self.settled();
            assert_eq!(self.clock.next_alarm(), None, "an alarm for nobody");
        }
        assert_eq!(self.breaker.phase(), self.machine.phase(now));
        assert_eq!(self.breaker.metrics().life, self.machine.life());
        let seen = self.breaker.stats();
        assert_eq!(seen.waiting as usize, self.line.len());
        assert_eq!((seen.waited, seen.wake_ups), (self.waited, self.line.wake_ups));
        self.check_who_was_woken(deed);
        self.check_who_sleeps(deed);
    }

    /// Nobody is woken without a reason.
    fn check_who_was_woken(&mut self, deed: Deed) {
        let now = self.now();
        for (newly, place) in (1..).zip(self.line.newly_woken()) {
            let ready = self.is_ready(place, now);
            let over = !matches!(self.look(place, now), Look::At(_));
            let disturbed = self.line.disturbed;
            let waiter = self.line.at_mut(place);
            let late = waiter.deadline <= now;
            let why = (place, now, deed);
            match deed {
                Deed::Settle => {
                    assert!(ready || late || disturbed, "woken for nothing: {why:?}");
                    waiter.called = ready && !late;
                }
                Deed::Time => {
                    // Somebody before it, who was called before the clock stepped back, may be
                    // the one who gets through.
                    assert!(over || late || disturbed, "woken too early: {why:?}");
                    assert!(newly <= 2, "there are two alarms: {why:?}");
                }
                Deed::Change | Deed::All => {}
                Deed::Nothing => panic!("woken by nothing: {why:?}"),
            }
        }
    }

    /// Whoever could go on is awake, and for whoever sleeps there is an alarm in time.
    fn check_who_sleeps(&self, deed: Deed) {
        let now = self.now();
        let alarm = self.clock.next_alarm().unwrap_or(Instant::MAX);
        let line = || self.line.describe(&self.clock);
        let why = || format!("{} after {deed:?}, {:?}", line(), self.machine);
        if deed == Deed::All {
            assert!(self.line.is_everybody_awake(), "not all are told: {}", why());
        }
        if let Some((place, next)) = self.line.next_asleep() {
            let (ready, at) = match self.look(place, now) {
                Look::Ready => (true, now),
                Look::At(at) | Look::Event(at) => (false, at),
            };
            // On a clock that has stepped back the alarm may be that of a lease which ends later, while none
            // of the places is free.
            let probe_timeout = Duration::from_nanos(self.setup.probe_timeout_ns.max(1));
            let seen = self.machine.metrics(now);
            let is_busy =
                seen.probes_in_flight as usize + place >= usize::from(self.setup.probes.max(1));
            let of_a_lease = alarm <= self.line.latest.saturating_add(probe_timeout);
            let timed = self.line.disturbed && is_busy && of_a_lease;
            assert!(!ready || timed, "a lost wake-up: {}", why());
            let due = at.min(next.deadline);
            assert!(due > now || due == Instant::MAX || timed, "too late: {}", why());
            assert!(alarm <= due || self.line.disturbed, "no alarm for the next: {}", why());
        }
        let seen_to = self.line.deadlines_are_seen_to(&self.clock);
        assert!(seen_to, "no alarm for a deadline: {}", why());
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{effort, until_soon};

    use super::*;

    fn setups() -> impl Strategy<Value = Setup> {
        let begins = prop_oneof![Just(0), Just(1_000), any::<u64>()];
        let waiters = prop_oneof![0..6_u32, Just(u32::MAX)];
        (0..3_u8, 0..12_u64, 0..4_u8, 0..4_u8, 0..20_u64, waiters, begins).prop_map(
            |(failures, break_ns, probes, close_after, probe_timeout_ns, max_waiters, at)| Setup {
                failures,
                break_ns,
                probes,
                close_after,
                probe_timeout_ns,
                max_waiters,
                at,
            },
        )
    }

    fn ops() -> impl Strategy<Value = Op> {
        let begin = (any::<u8>(), until_soon(), prop::bool::weighted(0.9))
            .prop_map(|(actor, until, polled)| Op::Begin { actor, until, polled });
        let poll =
            (any::<u8>(), any::<bool>()).prop_map(|(actor, moved)| Op::Poll { actor, moved });
        let report = (any::<u8>(), prop::bool::weighted(0.4));
        prop_oneof![
            12 => begin,
            8 => poll,
            2 => (any::<u8>(), until_soon()).prop_map(|(actor, until)| Op::Limit { actor, until }),
            4 => any::<u8>().prop_map(Op::Run),
            3 => any::<u8>().prop_map(Op::Drop),
            8 => report.prop_map(|(actor, well)| Op::Report(actor, well)),
            2 => any::<u8>().prop_map(Op::Try),
            1 => any::<bool>().prop_map(|open| Op::Force { open }),
            1 => Just(Op::Reset),
            4 => (0..15_u64).prop_map(Op::Advance),
            6 => (-1..=1_i8).prop_map(Op::ToAlarm),
            2 => (0..30_u8).prop_map(Op::StepBack),
        ]
    }

    #[test]
    fn before_a_time_that_was_seen_a_lease_may_end_earlier_than_those_of_others() {
        let setup = Setup {
            failures: 1,
            break_ns: 1,
            probes: 3,
            close_after: 2,
            probe_timeout_ns: 10,
            max_waiters: u32::MAX,
            at: 0,
        };
        let begin = |actor| Op::Begin { actor, until: Until::Ever, polled: true };
        let three_probes =
            [Op::Try(0), Op::Report(0, false), Op::Advance(1), begin(0), begin(1), begin(3)];
        let all_wait_for_one = [begin(2), begin(0), begin(3)];
        run(
            setup,
            &[&three_probes[..], &all_wait_for_one, &[Op::StepBack(37), begin(2), Op::Run(3)]]
                .concat(),
        );
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn nobody_who_waits_is_forgotten_or_overtaken_and_no_probe_is_one_too_many(
            setup in setups(),
            ops in prop::collection::vec(ops(), 1..80),
        ) {
            run(setup, &ops);
        }
    }
}
