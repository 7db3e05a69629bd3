//! Up to four actors that hold claims, or wait for one, in any interleaving, against a plain list of who
//! holds an id until when, and a plain queue an id.
//!
//! After every operation the queues say who must be awake, who may be, and what is remembered. An actor is
//! *awake* if it was woken since it was last polled, by the waker of that poll. What a window remembers how
//! long is not judged here but in `model.rs`: nothing is forgotten unless it is said.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_deduplicator::{
    Acquire, AcquireError, Acquired, Claim, Claims, Config, LeaseLost, SipKeys, TryAcquireError,
};
use steadfast_test_support::waits::{
    ACTORS, Actors, Heard, Until, Waiter, actor, deadlines_are_seen_to, run_all, to_alarm,
};

/// How many ids.
pub const IDS: u8 = 3;

/// What the claims are.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Of each claim, in nanoseconds; at least 1 is taken.
    pub lease_ns: u64,
    /// How many may be held; at least 1 is taken.
    pub max_claims: u32,
    /// How many may wait for an id.
    pub max_waiters: u32,
    /// When it begins.
    pub at: u64,
}

/// An id, and what comes with it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Counted modulo [`IDS`].
    pub id: u8,
    /// `None` for an id alone.
    pub payload: Option<bool>,
}

/// What can happen. Actors are counted modulo [`ACTORS`].
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// The actor drops what it has and begins a wait.
    Begin {
        /// Whose.
        actor: u8,
        /// For what.
        key: Key,
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
    /// The actor drops what it has, a wait or a claim.
    Drop(u8),
    /// The actor commits its claim, perhaps with a value.
    Commit(u8, Option<u8>),
    /// The actor begins the lease of its claim anew.
    Extend(u8),
    /// The actor drops what it has and tries to get a claim without waiting.
    Try(u8, Key),
    /// Forgets an id that was committed.
    Forget(u8),
    /// Time goes on, at most to its end.
    Advance(u64),
    /// Time goes on to the next alarm, if there is one, and so many nanoseconds more or less.
    ToAlarm(i8),
    /// The clock steps back, at most to its origin.
    StepBack(u64),
}

/// Does `ops`, one after the other, to the claims and the queues.
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

type Keyed = Claims<u8, ManualClock>;
type Holder = Arc<Keyed>;

/// What is known of somebody with a wait.
#[derive(Debug)]
struct Asker {
    id: u8,
    payload: Option<bool>,
    /// It has been polled.
    came: bool,
    /// What it waited for was committed.
    told: Option<Committed>,
}

/// A claim that an actor holds.
#[derive(Debug)]
struct Has {
    claim: Claim<Holder>,
    id: u8,
    serial: u32,
}

/// What is remembered of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Committed {
    payload: Option<bool>,
    value: Option<u8>,
    at: Instant,
}

/// An id that somebody is at.
#[derive(Debug, Default)]
struct Flight {
    held: Option<Held>,
    /// Who waits for it, in order.
    line: Vec<usize>,
    /// Its lease was made to end earlier than the alarm knows.
    disturbed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    serial: u32,
    payload: Option<bool>,
    until: Instant,
}

/// What somebody who asks is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Claim { until: Instant },
    Duplicate { value: Option<u8>, at: Instant },
    Mismatch,
    InFlight { retry_at: Instant },
    Full,
    TimedOut,
    LineFull,
    Pending,
}

/// What was done, as far as it says who may be woken by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Somebody came, looked or left, or a claim was given back.
    Settle,
    /// Time passed.
    Time,
    /// Nothing that concerns a line.
    Nothing,
}

struct Model {
    claims: Holder,
    clock: ManualClock,
    setup: Setup,
    lease: Duration,
    actors: Actors<Acquire<Holder>, Asker, Has>,
    flights: BTreeMap<u8, Flight>,
    remembered: BTreeMap<u8, Committed>,
    serial: u32,
    /// The greatest time seen,
    latest: Instant,
    /// and the greatest at which anybody asked: what the window goes by.
    asked: Instant,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let setup =
            Setup { lease_ns: setup.lease_ns.max(1), max_claims: setup.max_claims.max(1), ..setup };
        let lease = Duration::from_nanos(setup.lease_ns);
        let config = Config::new(64)
            .lease(lease)
            .max_claims(setup.max_claims)
            .max_waiters(setup.max_waiters);
        let now = Instant::from_nanos(setup.at);
        let clock = ManualClock::starting_at(now);
        let claims = config.claims_with(clock.clone(), SipKeys::from_seed(1));
        Self {
            claims: Arc::new(claims.expect("there can be such claims")),
            clock,
            setup,
            lease,
            actors: Actors::new(),
            flights: BTreeMap::new(),
            remembered: BTreeMap::new(),
            serial: 0,
            latest: now,
            asked: Instant::ZERO,
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn step(&mut self, op: Op) {
        let deed = match op {
            Op::Begin { actor: i, key, until, polled } => {
                let i = actor(i);
                self.drop_it(i);
                self.check(Deed::Settle);
                self.begin(i, key, until);
                if polled {
                    self.poll(i);
                }
                Deed::Settle
            }
            Op::Poll { actor: i, moved } => {
                if let Some(waiter) = self.actors.waits_mut(actor(i)) {
                    if moved {
                        waiter.moves();
                    }
                    self.poll(actor(i));
                }
                Deed::Settle
            }
            Op::Limit { actor: i, until } => {
                let now = self.now();
                if let Some(waiter) = self.actors.waits_mut(actor(i)) {
                    waiter.limit(until.ns(), now, Acquire::timeout, Acquire::deadline);
                    self.poll(actor(i));
                }
                Deed::Settle
            }
            Op::Run(first) => {
                let awake = |model: &Self| model.actors.first_awake(actor(first));
                run_all(self, awake, |model, i| {
                    model.poll(i);
                    model.check(Deed::Settle);
                });
                Deed::Settle
            }
            Op::Drop(i) => {
                self.drop_it(actor(i));
                Deed::Settle
            }
            Op::Commit(i, value) => {
                self.commit(actor(i), value);
                Deed::Settle
            }
            Op::Extend(i) => {
                self.extend(actor(i));
                Deed::Nothing
            }
            Op::Try(i, key) => {
                self.drop_it(actor(i));
                self.check(Deed::Settle);
                self.try_acquire(actor(i), key);
                Deed::Nothing
            }
            Op::Forget(id) => {
                let id = id % IDS;
                let was = self.remembered.remove(&id).is_some();
                self.asked = self.asked.max(self.now());
                assert_eq!(self.claims.forget(&u64::from(id)), was);
                Deed::Nothing
            }
            Op::Advance(ns) => {
                self.clock.advance(Duration::from_nanos(ns));
                Deed::Time
            }
            Op::ToAlarm(more) => {
                if !to_alarm(&self.clock, more, u64::MAX) {
                    return;
                }
                Deed::Time
            }
            Op::StepBack(ns) => {
                self.clock.set_now(self.now().saturating_sub(Duration::from_nanos(ns)));
                Deed::Nothing
            }
        };
        self.check(deed);
    }

    fn begin(&mut self, i: usize, key: Key, until: Until) {
        let (claims, id) = (Arc::clone(&self.claims), key.id % IDS);
        let wait = match key.payload {
            None => Acquire::new(claims, &u64::from(id)),
            Some(payload) => Acquire::new_for(claims, &u64::from(id), &u64::from(payload)),
        };
        let (until, now) = (until.ns(), self.now());
        let own = Asker { id, payload: key.payload, came: false, told: None };
        let waiter = Waiter::new(wait, own);
        let waiter = waiter.limited(until, now, Acquire::timeout, Acquire::deadline);
        self.actors.wait(i, waiter);
    }

    fn poll(&mut self, i: usize) {
        let now = self.now();
        let waiter = self.actors.waiter_mut(i);
        let answer = waiter.poll();
        let Asker { id, payload, came, .. } = waiter.own;
        let expected = if came { self.looked(i, now) } else { self.came(i, now) };
        let told = match answer {
            Poll::Pending => Told::Pending,
            Poll::Ready(Ok(acquired)) => self.acquired(i, id, acquired),
            Poll::Ready(Err(error)) => {
                self.actors.leave(i);
                match error {
                    AcquireError::TimedOut => Told::TimedOut,
                    AcquireError::LineFull { max_waiters } => {
                        assert_eq!(max_waiters, self.setup.max_waiters);
                        Told::LineFull
                    }
                    AcquireError::Mismatch => Told::Mismatch,
                    AcquireError::Full { max_claims } => {
                        assert_eq!(max_claims, self.setup.max_claims);
                        Told::Full
                    }
                }
            }
        };
        assert_eq!(told, expected, "{i} asks for {id} with {payload:?} at {now:?}");
    }

    /// What came of an actor that has got something.
    fn acquired(&mut self, i: usize, id: u8, acquired: Acquired<Holder>) -> Told {
        match acquired {
            Acquired::Claim(claim) => {
                let until = claim.until();
                self.actors.hold(i, Has { claim, id, serial: self.serial });
                Told::Claim { until }
            }
            Acquired::Duplicate(duplicate) => {
                self.actors.leave(i);
                Told::Duplicate {
                    value: duplicate.value.as_deref().copied(),
                    at: duplicate.committed_at,
                }
            }
        }
    }

    /// A first poll.
    fn came(&mut self, i: usize, now: Instant) -> Told {
        let waiter = self.actors.waiter_mut(i);
        waiter.own.came = true;
        if waiter.came_late(now) {
            return Told::TimedOut;
        }
        waiter.resolve(now);
        let Asker { id, payload, .. } = waiter.own;
        let late = waiter.is_late(now);
        let told = self.ask(id, payload, now);
        if !matches!(told, Told::InFlight { .. }) {
            return told;
        }
        let max = usize::try_from(self.setup.max_waiters).expect("32 bits");
        let line = &mut self.flights.get_mut(&id).expect("in flight").line;
        if late {
            Told::TimedOut
        } else if line.len() >= max {
            Told::LineFull
        } else {
            line.push(i);
            Told::Pending
        }
    }

    /// Somebody asks from outside.
    fn ask(&mut self, id: u8, payload: Option<bool>, now: Instant) -> Told {
        self.asked = self.asked.max(now);
        if let Some(committed) = self.remembered.get(&id) {
            return answer(*committed, payload);
        }
        let in_flight = self.flights.len();
        if let Some(flight) = self.flights.get_mut(&id) {
            return match flight.held {
                Some(held) if held.until > now && held.payload != payload => Told::Mismatch,
                Some(held) if held.until > now => Told::InFlight { retry_at: held.until },
                held if !flight.line.is_empty() => {
                    Told::InFlight { retry_at: held.map_or(now, |held| held.until) }
                }
                _ => self.give(id, payload, now),
            };
        }
        let max = usize::try_from(self.setup.max_claims).expect("32 bits");
        if in_flight >= max {
            // What nobody waits for and whose lease is over is lost now.
            self.flights.retain(|_, flight| {
                let is_held = flight.held.is_some_and(|held| held.until > now);
                is_held || !flight.line.is_empty()
            });
        }
        if self.flights.len() >= max {
            return Told::Full;
        }
        self.give(id, payload, now)
    }

    fn give(&mut self, id: u8, payload: Option<bool>, now: Instant) -> Told {
        self.serial += 1;
        let until = now.saturating_add(self.lease);
        let held = Held { serial: self.serial, payload, until };
        self.flights.entry(id).or_default().held = Some(held);
        Told::Claim { until }
    }

    /// A poll of somebody who has waited.
    fn looked(&mut self, i: usize, now: Instant) -> Told {
        let waiter = self.actors.waiter_mut(i);
        waiter.resolve(now);
        let Asker { id, payload, told, .. } = waiter.own;
        let late = waiter.is_late(now);
        if let Some(committed) = told {
            if committed.payload == payload {
                // It is seen again.
                self.asked = self.asked.max(now);
            }
            return answer(committed, payload);
        }
        let flight = self.flights.get_mut(&id).expect("somebody waits for it");
        let is_first = flight.line[0] == i;
        let told = match flight.held {
            _ if !is_first => None,
            Some(held) if held.until > now && held.payload != payload => Some(Told::Mismatch),
            Some(held) if held.until > now => None,
            _ => Some(self.give(id, payload, now)),
        };
        let told = told.unwrap_or(if late { Told::TimedOut } else { Told::Pending });
        if told == Told::Pending {
            self.flights.get_mut(&id).expect("as above").disturbed = false;
        } else {
            self.leave(i, id);
        }
        told
    }

    /// Leaves the line that it is in.
    fn leave(&mut self, i: usize, id: u8) {
        let flight = self.flights.get_mut(&id).expect("somebody waits for it");
        flight.line.retain(|&other| other != i);
        flight.disturbed = false;
        if flight.line.is_empty() && flight.held.is_none() {
            self.flights.remove(&id);
        }
    }

    fn drop_it(&mut self, i: usize) {
        let waits = self.actors.waits(i).map(|waiter| &waiter.own);
        if let Some(&Asker { id, came: true, told: None, .. }) = waits {
            self.leave(i, id);
        }
        let Some(Has { claim, id, serial }) = self.actors.leave(i) else { return };
        drop(claim);
        let Some(flight) = self.held_by(id, serial) else { return };
        flight.held = None;
        if let Some(&first) = flight.line.first() {
            let is_awake = self.actors.waiter(first).is_awake();
            assert!(is_awake, "{first} has the claim on {id} now");
        } else {
            self.flights.remove(&id);
        }
    }

    /// The flight of a claim, unless it was lost.
    fn held_by(&mut self, id: u8, serial: u32) -> Option<&mut Flight> {
        let is_its = |flight: &&mut Flight| flight.held.is_some_and(|held| held.serial == serial);
        self.flights.get_mut(&id).filter(is_its)
    }

    fn commit(&mut self, i: usize, value: Option<u8>) {
        let Some(Has { claim, id, serial }) = self.actors.release(i) else { return };
        let result = match value {
            None => claim.commit(),
            Some(value) => claim.commit_with(value).map(|shared| assert_eq!(*shared, value)),
        };
        if self.held_by(id, serial).is_none() {
            // The window was not asked, and has not seen the time.
            assert_eq!(result, Err(LeaseLost));
            return;
        }
        assert_eq!(result, Ok(()));
        self.asked = self.asked.max(self.now());
        // The window keeps the last instant of all for itself.
        let at = self.asked.min(Instant::from_nanos(u64::MAX - 1));
        let Flight { held, line, .. } = self.flights.remove(&id).expect("it is held");
        let payload = held.expect("it is held").payload;
        let committed = Committed { payload, value, at };
        self.remembered.insert(id, committed);
        for i in line {
            let waiter = self.actors.waiter_mut(i);
            waiter.own.told = Some(committed);
            assert!(waiter.is_awake(), "{i} is told of the commit");
        }
    }

    fn extend(&mut self, i: usize) {
        let now = self.now();
        let Some(Has { claim, id, serial }) = self.actors.holds_mut(i) else { return };
        let (result, id, serial) = (claim.extend(), *id, *serial);
        let until = now.saturating_add(self.lease);
        match self.held_by(id, serial) {
            None => assert_eq!(result, Err(LeaseLost)),
            Some(flight) => {
                assert_eq!(result, Ok(until));
                let held = flight.held.as_mut().expect("it is held");
                flight.disturbed |= until < held.until;
                held.until = until;
            }
        }
    }

    fn try_acquire(&mut self, i: usize, key: Key) {
        let (now, id) = (self.now(), key.id % IDS);
        let expected = self.ask(id, key.payload, now);
        let claims = Arc::clone(&self.claims);
        let result = match key.payload {
            None => Acquired::try_new(claims, &u64::from(id)),
            Some(payload) => Acquired::try_new_for(claims, &u64::from(id), &u64::from(payload)),
        };
        let told = match result {
            Ok(acquired) => self.acquired(i, id, acquired),
            Err(TryAcquireError::InFlight { retry_at }) => Told::InFlight { retry_at },
            Err(TryAcquireError::Mismatch) => Told::Mismatch,
            Err(TryAcquireError::Full { max_claims }) => {
                assert_eq!(max_claims, self.setup.max_claims);
                Told::Full
            }
        };
        assert_eq!(told, expected, "{key:?} at {now:?}");
    }

    /// Everything that can be seen after `deed`.
    fn check(&mut self, deed: Deed) {
        self.latest = self.latest.max(self.now());
        assert_eq!(self.claims.in_flight() as usize, self.flights.len());
        assert_eq!(self.claims.len(), self.remembered.len());
        for id in 0..IDS {
            let known = self.claims.peek(&u64::from(id));
            let known = known.map(|known| (known.value.as_deref().copied(), known.committed_at));
            let expected = self.remembered.get(&id).map(|known| (known.value, known.at));
            assert_eq!(known, expected, "what is remembered of {id}");
        }
        for i in 0..ACTORS {
            self.check_wakes(i, deed);
        }
        for (&id, flight) in &self.flights {
            self.check_line(id, flight);
        }
        // Whoever was told of a commit and has not looked yet is still in the line of before.
        let nobody_was_told = self.actors.waiters().all(|waiter| waiter.own.told.is_none());
        if nobody_was_told && self.flights.values().all(|flight| flight.line.is_empty()) {
            assert_eq!(self.clock.next_alarm(), None, "an alarm for nobody");
        }
    }

    /// Nobody is woken without a reason.
    fn check_wakes(&mut self, i: usize, deed: Deed) {
        let now = self.now();
        let Some(waiter) = self.actors.waits_mut(i) else { return };
        if waiter.hears() != Some(Heard::Woken) || waiter.own.told.is_some() {
            return;
        }
        let late = waiter.deadline <= now;
        let flight = &self.flights[&waiter.own.id];
        let is_first = flight.line[0] == i;
        let is_free = flight.held.is_none_or(|held| held.until <= now);
        // The first may have been called for the end of the lease; then what is given back after that
        // wakes one more.
        let is_given_back = flight.held.is_none();
        match deed {
            Deed::Settle => {
                assert!(late || is_first && is_free || is_given_back, "{i} was woken for nothing");
            }
            // The lease may have been extended since the alarm was set.
            Deed::Time => assert!(late || is_first, "{i} was woken out of turn"),
            Deed::Nothing => panic!("{i} was woken by nothing"),
        }
    }

    /// Whoever could go on is awake, and for whoever sleeps there is an alarm in time.
    fn check_line(&self, id: u8, flight: &Flight) {
        let now = self.now();
        let alarm = self.clock.next_alarm().unwrap_or(Instant::MAX);
        let why = || {
            let waiter = |&i: &usize| {
                let waiter = self.actors.waiter(i);
                (i, waiter.deadline, waiter.is_awake())
            };
            let line: Vec<_> = flight.line.iter().map(waiter).collect();
            format!("{line:?} at {id}, {flight:?}, at {now:?}, alarm {alarm:?}")
        };
        let Some(&first) = flight.line.first() else { return };
        let first = self.actors.waiter(first);
        if !first.is_awake() && !flight.disturbed {
            let due = flight.held.map_or(now, |held| held.until).min(first.deadline);
            assert!(due > now || due == Instant::MAX, "a lost wake-up: {}", why());
            assert!(alarm <= due, "no alarm for the first: {}", why());
        }
        let line = flight.line.iter().map(|&i| self.actors.waiter(i));
        let seen_to = deadlines_are_seen_to(line, &self.clock, self.latest);
        assert!(seen_to, "no alarm for a deadline: {}", why());
    }
}

fn answer(committed: Committed, payload: Option<bool>) -> Told {
    if committed.payload == payload {
        Told::Duplicate { value: committed.value, at: committed.at }
    } else {
        Told::Mismatch
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{effort, until_soon};

    use super::*;

    fn keys() -> impl Strategy<Value = Key> {
        let payloads = prop_oneof![6 => Just(None), 2 => Just(Some(false)), 1 => Just(Some(true))];
        (prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(2)], payloads)
            .prop_map(|(id, payload)| Key { id, payload })
    }

    fn setups() -> impl Strategy<Value = Setup> {
        (0..12_u64, 0..4_u32, 0..6_u32, prop_oneof![Just(0), Just(1_000), any::<u64>()]).prop_map(
            |(lease_ns, max_claims, max_waiters, at)| Setup {
                lease_ns,
                max_claims,
                max_waiters,
                at,
            },
        )
    }

    fn ops() -> impl Strategy<Value = Op> {
        let begin = (any::<u8>(), keys(), until_soon(), prop::bool::weighted(0.9))
            .prop_map(|(actor, key, until, polled)| Op::Begin { actor, key, until, polled });
        let poll =
            (any::<u8>(), any::<bool>()).prop_map(|(actor, moved)| Op::Poll { actor, moved });
        let commit = (any::<u8>(), prop::option::of(any::<u8>()));
        prop_oneof![
            12 => begin,
            8 => poll,
            2 => (any::<u8>(), until_soon()).prop_map(|(actor, until)| Op::Limit { actor, until }),
            4 => any::<u8>().prop_map(Op::Run),
            5 => any::<u8>().prop_map(Op::Drop),
            4 => commit.prop_map(|(actor, value)| Op::Commit(actor, value)),
            2 => any::<u8>().prop_map(Op::Extend),
            4 => (any::<u8>(), keys()).prop_map(|(actor, key)| Op::Try(actor, key)),
            4 => (0..IDS).prop_map(Op::Forget),
            4 => (0..15_u64).prop_map(Op::Advance),
            6 => (-1..=1_i8).prop_map(Op::ToAlarm),
            2 => (0..30_u64).prop_map(Op::StepBack),
        ]
    }

    #[test]
    fn a_commit_that_comes_too_late_does_not_tell_the_window_the_time() {
        let setup = Setup { lease_ns: 1, max_claims: 1, max_waiters: 1, at: 0 };
        let key = Key { id: 0, payload: None };
        let waits = Op::Begin { actor: 1, key, until: Until::Ever, polled: true };
        let is_late = [Op::Advance(1), Op::Run(1), Op::Advance(7), Op::Commit(0, None)];
        let earlier = [Op::StepBack(8), Op::Advance(2), Op::Try(0, key), Op::Commit(0, None)];
        run(setup, &[&[Op::Try(0, key), waits], &is_late[..], &earlier].concat());
    }

    #[test]
    fn who_has_waited_for_a_commit_sees_its_id_when_it_looks() {
        let setup = Setup { lease_ns: 10, max_claims: 2, max_waiters: 2, at: 0 };
        let begin = |actor, id| {
            let key = Key { id, payload: None };
            Op::Begin { actor, key, until: Until::Ever, polled: true }
        };
        let told = [begin(0, 0), begin(2, 0), Op::Commit(0, None), begin(0, 2)];
        let looks = [Op::Advance(60), Op::Poll { actor: 2, moved: false }];
        run(setup, &[&told[..], &looks, &[Op::StepBack(12), Op::Commit(0, None)]].concat());
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn an_id_has_one_holder_and_nobody_who_waits_for_it_is_forgotten_or_overtaken(
            setup in setups(),
            ops in prop::collection::vec(ops(), 1..80),
        ) {
            run(setup, &ops);
        }
    }
}
