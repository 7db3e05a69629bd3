//! Up to four actors that hold attempts of one backoff, or wait for one, in any interleaving, against a
//! plain queue and the pure machine (which `model.rs` judges).
//!
//! After every operation the queue says who must be awake, who may be, and what the alarm has to be set to
//! at the latest. An actor is *awake* if it was woken since it was last polled, by the waker of that poll.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use steadfast_backoff::state::{Decision, Pass, Phase, State, Terms, Wake as Whom};
use steadfast_backoff::{
    Acquire, AcquireError, Attempt, Backoff, BackoffConfig, Config, Curve, Jitter, TryAcquireError,
};
use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_test_support::waits::{Deed, Entry, Line, Until, Waiter, actor, run_all, to_alarm};

/// Time ends in the middle of all times here: at their very end there is no alarm for a later one.
pub const END: u64 = u64::MAX / 2;

/// What the backoff is. Times are in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The first delay, and what each further one is longer by: at least 1 and
    /// at most two years.
    pub base_ns: u64,
    /// After how many failures in a row it gives up.
    pub max_retries: Option<u8>,
    /// How many attempts may be in flight at once; at least 1 is taken.
    pub max_in_flight: u8,
    /// How long it has to work to begin again from the first delay.
    pub reset_after_ns: u64,
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
    /// The actor drops what it has, a wait or an attempt.
    Drop(u8),
    /// The actor's attempt has come to its end: well or not.
    Report(u8, bool),
    /// The actor drops what it has and tries to get an attempt without waiting.
    Try(u8),
    /// What worked works no more.
    Broken,
    /// Begins anew.
    Reset,
    /// The end.
    Stop,
    /// Time goes on, at most to [`END`].
    Advance(u64),
    /// Time goes on to the next alarm, if there is one, and so many nanoseconds more or less.
    ToAlarm(i8),
    /// The clock steps back, at most to its origin.
    StepBack(u8),
}

/// Does `ops`, one after the other, to the backoff and the queue.
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

type Holder = Arc<Backoff<ManualClock>>;
type Waiting = Line<Acquire<Holder>, (), (Attempt<Holder>, Pass)>;

/// What somebody who asks is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Attempt { number: u32 },
    TimedOut { ready_at: Instant },
    LineFull,
    Exhausted { failures: u32 },
    Stopped,
    NotNow,
    Pending,
}

struct Model {
    backoff: Holder,
    clock: ManualClock,
    /// What the backoff is to be. Never marked as occupied.
    state: State,
    terms: Terms<Curve>,
    setup: Setup,
    /// What the actors have, and who of them waits.
    line: Waiting,
    waited: u64,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let base = Duration::from_nanos(setup.base_ns.clamp(1, 1 << 56));
        let policy = Config::linear(base).jitter(Jitter::None);
        let policy = match setup.max_retries {
            None => policy.unlimited(),
            Some(retries) => policy.max_retries(retries.into()),
        };
        let policy = policy.build().expect("there can be such delays");
        let max_in_flight = setup.max_in_flight.max(1).into();
        let reset_after = Duration::from_nanos(setup.reset_after_ns);
        let config = BackoffConfig::new(policy)
            .max_in_flight(max_in_flight)
            .reset_after(reset_after)
            .max_waiters(setup.max_waiters);
        let now = Instant::from_nanos(setup.at.min(END));
        let clock = ManualClock::starting_at(now);
        Self {
            backoff: Arc::new(config.build_with(clock.clone()).expect("one may be in flight")),
            clock,
            state: State::new(),
            terms: Terms { policy, max_in_flight, reset_after },
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
                Deed::Nothing
            }
            Op::Broken => {
                let now = self.now();
                let is_healthy = matches!(self.state.phase(), Phase::Healthy { .. });
                let begun = is_healthy.then(|| self.state.begin(&self.terms, now));
                self.backoff.broken();
                match begun {
                    Some(Decision::Granted(pass)) => self.reported(pass, Some(false)),
                    _ => Deed::Nothing,
                }
            }
            Op::Reset => {
                let whom = self.state.reset();
                self.backoff.reset();
                self.changed(whom)
            }
            Op::Stop => {
                let whom = self.state.stop();
                self.backoff.stop();
                self.changed(whom)
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
                self.clock.set_now(self.now().saturating_sub(Duration::from_nanos(ns.into())));
                self.line.disturbed = true;
                self.line.doubt();
                Deed::Nothing
            }
        };
        self.check(deed);
    }

    fn changed(&mut self, whom: Whom) -> Deed {
        self.line.doubt();
        match whom {
            Whom::Nobody => Deed::Nothing,
            Whom::First => Deed::Change,
            Whom::All => Deed::All,
        }
    }

    fn begin(&mut self, i: usize, until: Until) {
        let wait = Acquire::new(Arc::clone(&self.backoff), ());
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
            Poll::Ready(Ok(attempt)) => Told::Attempt { number: attempt.number() },
            Poll::Ready(Err(error)) => match *error {
                AcquireError::TimedOut { ready_at } => Told::TimedOut { ready_at },
                AcquireError::LineFull { max_waiters } => {
                    assert_eq!(max_waiters, self.setup.max_waiters);
                    Told::LineFull
                }
                AcquireError::Exhausted { failures } => Told::Exhausted { failures },
                AcquireError::Stopped => Told::Stopped,
            },
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
            self.state
        );
        if let Poll::Ready(result) = answer {
            self.line.actors.leave(i);
            if let (Ok(attempt), Some(pass)) = (result, pass) {
                self.line.actors.hold(i, (attempt, pass));
            }
        }
    }

    /// Asks the machine for an attempt.
    fn ask(&mut self, in_turn: bool, now: Instant) -> (Told, Option<Pass>) {
        let decision = if in_turn || self.line.is_empty() {
            self.state.begin(&self.terms, now)
        } else {
            // Somebody waits who was here before.
            match self.look(0, now) {
                Decision::Granted(_) => Decision::Busy,
                refused => refused,
            }
        };
        match decision {
            Decision::Granted(pass) => (Told::Attempt { number: pass.number() }, Some(pass)),
            Decision::Exhausted { failures } => (Told::Exhausted { failures }, None),
            Decision::Stopped => (Told::Stopped, None),
            Decision::NotYet { .. } | Decision::Busy => (Told::NotNow, None),
        }
    }

    /// A first poll: the answer is certain.
    fn came(&mut self, i: usize, now: Instant) -> (Told, Option<Pass>) {
        let waiter = self.line.actors.waiter_mut(i);
        if waiter.came_late(now) {
            return (Told::TimedOut { ready_at: self.alone(now) }, None);
        }
        waiter.resolve(now);
        let (told, pass) = self.ask(false, now);
        if told != Told::NotNow {
            return (told, pass);
        }
        let ready_at = match self.look(self.line.len(), now) {
            Decision::NotYet { at } => Some(at).filter(|&at| at != Instant::MAX),
            Decision::Busy => None,
            _ => Some(now),
        };
        let told = match self.line.join(i, ready_at, self.setup.max_waiters, now) {
            Entry::TimedOut { ready_at } => Told::TimedOut { ready_at },
            Entry::LineFull => Told::LineFull,
            Entry::Joined => Told::Pending,
        };
        (told, None)
    }

    /// Of a copy: looking may write down that the clock has stepped back.
    fn look(&self, ahead: usize, now: Instant) -> Decision {
        let mut state = self.state;
        state.look(&self.terms, ahead as u64, now)
    }

    /// Whether somebody would be told something other than to wait.
    fn is_ready(&self, ahead: usize, now: Instant) -> bool {
        !matches!(self.look(ahead, now), Decision::NotYet { .. } | Decision::Busy)
    }

    /// What is said to somebody for whom it is too late.
    fn alone(&self, now: Instant) -> Instant {
        match self.look(0, now) {
            Decision::NotYet { at } if at != Instant::MAX => at,
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
        let (expected, pass) = if self.state.never(&self.terms).is_some() {
            self.ask(true, now)
        } else if matches!(told, Told::Attempt { .. }) {
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

    /// The alarm is that of now; before a failure that is yet to come it may be that of a delay which began
    /// again.
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
            Some((attempt, pass)) => {
                drop(attempt);
                self.reported(pass, None)
            }
            None if waits => Deed::Settle,
            None => Deed::Nothing,
        }
    }

    fn report(&mut self, i: usize, well: bool) -> Deed {
        let Some((attempt, pass)) = self.line.actors.release(i) else { return Deed::Nothing };
        if well {
            attempt.success();
        } else {
            attempt.failure();
        }
        self.reported(pass, Some(well))
    }

    fn reported(&mut self, pass: Pass, well: Option<bool>) -> Deed {
        let (now, state, terms) = (self.now(), &mut self.state, &self.terms);
        let whom = match well {
            Some(true) => state.success(terms, pass, now),
            Some(false) => state.failure(terms, pass, now, &mut || 0),
            None => state.give_back(pass),
        };
        self.changed(whom)
    }

    fn try_acquire(&mut self, i: usize) {
        let now = self.now();
        let (expected, pass) = self.ask(false, now);
        let attempt = Attempt::try_new(Arc::clone(&self.backoff));
        let told = match &attempt {
            Ok(attempt) => Told::Attempt { number: attempt.number() },
            Err(TryAcquireError::Exhausted { failures }) => Told::Exhausted { failures: *failures },
            Err(TryAcquireError::Stopped) => Told::Stopped,
            Err(_) => Told::NotNow,
        };
        assert_eq!(told, expected, "line {:?} at {now:?}, {:?}", self.line.order(), self.state);
        if let (Ok(attempt), Some(pass)) = (attempt, pass) {
            self.line.actors.hold(i, (attempt, pass));
        }
    }

    /// The machine is that of the backoff, but for what looking writes down on a clock that has stepped
    /// back: that depends on who has looked when.
    fn check_state(&mut self) {
        let now = self.now();
        let mut seen = self.backoff.snapshot();
        assert_eq!(
            seen.is_occupied(),
            !self.line.is_empty(),
            "the mark comes and goes with the line"
        );
        seen.set_occupied(false);
        let (mut judged, mut expected) = (seen, self.state);
        judged.look(&self.terms, 0, now);
        expected.look(&self.terms, 0, now);
        if now >= self.line.latest {
            assert_eq!(judged, expected, "at {now:?}");
        }
        self.state = seen;
    }

    /// Everything that can be seen after `deed`.
    fn check(&mut self, deed: Deed) {
        let now = self.now();
        self.line.latest = self.line.latest.max(now);
        if self.line.is_empty() {
            self.settled();
            assert_eq!(self.clock.next_alarm(), None, "an alarm for nobody");
        }
        self.check_state();
        let seen = self.backoff.stats();
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
            let over = !matches!(self.look(place, now), Decision::NotYet { .. });
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
                    // There may be too many in flight by now.
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
        let why = || format!("{} after {deed:?}, {:?}", line(), self.state);
        if deed == Deed::All {
            assert!(self.line.is_everybody_awake(), "not all are told: {}", why());
        }
        if let Some((place, next)) = self.line.next_asleep() {
            let (ready, at) = match self.look(place, now) {
                Decision::NotYet { at } => (false, at),
                Decision::Busy => (false, Instant::MAX),
                _ => (true, now),
            };
            let due = if ready { now } else { at.min(next.deadline) };
            // On a clock that has stepped back it is some delay, or the end of an attempt: one of
            // those that are in flight or were called.
            let taken = u64::from(self.state.in_flight()) + place as u64;
            let busy = taken >= self.terms.max_in_flight.into();
            let timed = self.line.disturbed && (busy || alarm < Instant::MAX);
            assert!(!ready || timed, "a lost wake-up: {}", why());
            assert!(due > now || due == Instant::MAX || timed, "too late: {}", why());
            assert!(alarm <= due || timed, "no alarm for the next: {}", why());
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
        (0..12_u64, prop::option::of(0..4_u8), 0..4_u8, 0..10_u64, waiters, begins).prop_map(
            |(base_ns, max_retries, max_in_flight, reset_after_ns, max_waiters, at)| Setup {
                base_ns,
                max_retries,
                max_in_flight,
                reset_after_ns,
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
            1 => Just(Op::Broken),
            1 => Just(Op::Reset),
            1 => Just(Op::Stop),
            4 => (0..15_u64).prop_map(Op::Advance),
            6 => (-1..=1_i8).prop_map(Op::ToAlarm),
            2 => (0..30_u8).prop_map(Op::StepBack),
        ]
    }

    #[test]
    fn behind_all_that_may_be_in_flight_nobody_needs_an_alarm() {
        let setup = Setup {
            base_ns: 1,
            max_retries: None,
            max_in_flight: 3,
            reset_after_ns: 0,
            max_waiters: u32::MAX,
            at: 0,
        };
        let begin = |actor| Op::Begin { actor, until: Until::Ever, polled: true };
        let fails =
            [begin(2), Op::Report(2, false), Op::Advance(12), begin(2), Op::Report(2, false)];
        let all_wait = [begin(0), begin(1), begin(3), begin(2)];
        // One begins and calls two; then the delay is not over again.
        let back_and_forth = [Op::StepBack(12), begin(1), Op::ToAlarm(0)];
        let first = Op::Poll { actor: 0, moved: false };
        run(setup, &[&fails[..], &all_wait, &back_and_forth, &[first, Op::Advance(10)]].concat());
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn nobody_who_waits_is_forgotten_or_overtaken_and_no_attempt_is_one_too_many(
            setup in setups(),
            ops in prop::collection::vec(ops(), 1..80),
        ) {
            run(setup, &ops);
        }
    }
}
