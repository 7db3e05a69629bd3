//! The pure machine of the shared backoff, and the shared backoff itself, against a naive oracle
//! that remembers what happened and works everything out from that.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::sync::Arc;
use std::time::Duration;

use steadfast_backoff::state::{Decision, Pass, Phase, State, Terms, Wake};
use steadfast_backoff::{
    Attempt, Backoff, BackoffConfig, Config, Jitter, Policy, Random, TryAcquireError,
};
use steadfast_core::{Clock, Instant};

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Always the base.
    Constant,
    /// Base, twice the base, three times.
    Linear,
    /// Base, twice that, twice that.
    Exponential,
    /// The longest that a decorrelated jitter can draw: three times the delay before.
    Tripled,
}

/// What a backoff is held to. Any numbers will do: [`Setup::fitted`] makes them fit.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How delays grow.
    pub growth: Growth,
    /// The first delay, in nanoseconds.
    pub base: u64,
    /// The longest delay, in nanoseconds.
    pub cap: Option<u64>,
    /// How often it is tried again.
    pub max_retries: Option<u32>,
    /// For how long, in nanoseconds.
    pub max_elapsed: Option<u64>,
    /// P.
    pub max_in_flight: u32,
    /// In nanoseconds.
    pub reset_after: u64,
}

impl Setup {
    /// What a run begins with.
    pub const PLAIN: Self = Self {
        growth: Growth::Exponential,
        base: 1_000,
        cap: None,
        max_retries: Some(3),
        max_elapsed: None,
        max_in_flight: 1,
        reset_after: 0,
    };

    /// The nearest that can be built.
    #[must_use]
    pub fn fitted(self) -> Self {
        let base = if self.growth == Growth::Constant { self.base } else { self.base.max(1) };
        Self {
            base,
            cap: self.cap.map(|cap| cap.max(base)),
            max_elapsed: self.max_elapsed.map(|most| most.max(1)),
            max_in_flight: self.max_in_flight.max(1),
            ..self
        }
    }

    fn policy(self) -> Policy {
        let base = Duration::from_nanos(self.base);
        let config = match self.growth {
            Growth::Constant => Config::constant(base),
            Growth::Linear => Config::linear(base),
            Growth::Exponential => Config::exponential(base),
            Growth::Tripled => Config::constant(base).jitter(Jitter::Decorrelated),
        };
        let config = match self.cap {
            Some(cap) => config.cap(Duration::from_nanos(cap)),
            None => config,
        };
        let config = match self.max_retries {
            Some(retries) => config.max_retries(retries),
            None => config.unlimited(),
        };
        let config = match self.max_elapsed {
            Some(most) => config.max_elapsed(Duration::from_nanos(most)),
            None => config,
        };
        config.build().expect("a fitted setup")
    }

    fn terms(self) -> Terms<steadfast_backoff::Curve> {
        Terms {
            policy: self.policy(),
            max_in_flight: self.max_in_flight,
            reset_after: Duration::from_nanos(self.reset_after),
        }
    }

    fn shared(self) -> Backoff<Standing> {
        BackoffConfig::new(self.policy())
            .max_in_flight(self.max_in_flight)
            .reset_after(Duration::from_nanos(self.reset_after))
            .build_seeded(Standing, Random::from_seed(1))
            .expect("a fitted setup")
    }

    /// The delay after `before` others in a row, the last of them of `previous`.
    fn delay(self, before: u32, previous: Option<u64>) -> u64 {
        let base = u128::from(self.base);
        let delay = match self.growth {
            Growth::Constant => base,
            Growth::Linear => base * (u128::from(before) + 1),
            Growth::Exponential => base << before.min(64),
            Growth::Tripled => 3 * previous.map_or(base, u128::from),
        };
        let cap = self.cap.unwrap_or(u64::MAX);
        u64::try_from(delay).unwrap_or(u64::MAX).min(cap)
    }
}

/// How a grant ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It worked.
    Success,
    /// It did not.
    Failure,
    /// It was given back.
    GiveBack,
}

/// What can happen to a backoff.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Another backoff, in place of the one before.
    Build(Setup),
    /// Somebody wants to begin an attempt.
    Begin,
    /// Somebody looks, behind so many others.
    Look(u64),
    /// One of the attempts that are open is reported on, the oldest being number 0.
    Report(u16, Report),
    /// The newest of the attempts that are open is reported on.
    ReportNewest(Report),
    /// One that was reported on already, wrongly, is so again.
    ReportAgain(u16, Report),
    /// Begins anew.
    Reset,
    /// The end.
    Stop,
    /// Time goes on, at most to its end.
    Advance(u64),
    /// The clock steps back, at most to its origin.
    StepBack(u64),
    /// The clock shows this.
    Jump(u64),
    /// The clock goes on to the end of the delay and so many nanoseconds more, or, if they are less
    /// than none, to or back to so many before.
    ToNext(i8),
    /// The same with the moment when it has been healthy for long enough.
    ToReset(i8),
}

/// Does `ops`, one after the other, to the oracle, the machine and the shared backoff.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(ops: &[Op]) {
    let mut model = Model::new(Setup::PLAIN);
    for &op in ops {
        model.step(op);
        model.check();
    }
}

/// It is asked for nothing: everything is told the time.
#[derive(Debug, Clone, Copy)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

/// A failure that made the delay longer.
#[derive(Debug, Clone, Copy)]
struct Failure {
    at: u64,
    delay: u64,
}

#[derive(Debug, Clone, Copy)]
struct Grant {
    epoch: usize,
    number: u32,
    open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Good { since: u64 },
    Bad,
}

/// What happened, in lists.
#[derive(Debug)]
struct Oracle {
    setup: Setup,
    stopped: bool,
    news: News,
    /// The failures in a row.
    streak: Vec<Failure>,
    /// How often everything before was made void.
    epoch: usize,
    grants: Vec<Grant>,
    /// The times that were seen since the last failure.
    seen: Vec<u64>,
}

impl Oracle {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            stopped: false,
            news: News::None,
            streak: Vec::new(),
            epoch: 0,
            grants: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn works(&self) -> bool {
        matches!(self.news, News::Good { .. })
    }

    /// The failures that still count, if the next one came now.
    fn in_a_row(&self, now: u64) -> &[Failure] {
        match self.news {
            News::Good { since } if now.saturating_sub(since) >= self.setup.reset_after => &[],
            _ => &self.streak,
        }
    }

    fn number(&self, now: u64) -> u32 {
        u32::try_from(self.in_a_row(now).len()).expect("few")
    }

    fn in_flight(&self) -> u32 {
        let counts = |grant: &&Grant| grant.open && grant.epoch == self.epoch;
        let open = self.grants.iter().filter(counts).count();
        if self.works() { 0 } else { u32::try_from(open).expect("few") }
    }

    fn exhausted(&self) -> bool {
        let Some(last) = self.streak.last().filter(|_| self.news == News::Bad) else {
            return false;
        };
        let first = self.streak.iter().map(|failure| failure.at).min().expect("not empty");
        let too_many = self.setup.max_retries.is_some_and(|most| self.streak.len() > most as usize);
        let next = last.at.saturating_add(last.delay);
        too_many || self.setup.max_elapsed.is_some_and(|most| next >= first.saturating_add(most))
    }

    fn next_at(&self) -> u64 {
        match self.news {
            News::Bad => {
                let last = self.streak.last().expect("a failure");
                last.at.saturating_add(last.delay)
            }
            _ => 0,
        }
    }

    /// When the delay is over for somebody who looks now.
    fn over_at(&self, now: u64) -> u64 {
        if self.news != News::Bad {
            return 0;
        }
        let last = self.streak.last().expect("a failure");
        // Those who saw a time from before the failure, and nobody after them a later one.
        let seen = self.seen.iter().copied().chain([now]);
        let behind = seen.rev().take_while(|&at| at < last.at).min();
        behind.unwrap_or(last.at).saturating_add(last.delay)
    }

    fn never(&self) -> Option<Decision> {
        if self.stopped {
            return Some(Decision::Stopped);
        }
        let failures = u32::try_from(self.streak.len()).expect("few");
        self.exhausted().then_some(Decision::Exhausted { failures })
    }

    /// `None` is a grant.
    fn decision(&self, ahead: u64, now: u64) -> Option<Decision> {
        if let Some(never) = self.never() {
            return Some(never);
        }
        if self.works() {
            return None;
        }
        let at = self.over_at(now);
        if now < at {
            return Some(Decision::NotYet { at: Instant::from_nanos(at) });
        }
        let taken = u64::from(self.in_flight()).saturating_add(ahead);
        (taken >= u64::from(self.setup.max_in_flight)).then_some(Decision::Busy)
    }

    /// Somebody asks.
    fn look(&mut self, now: u64) {
        if !self.works() && self.never().is_none() {
            self.seen.push(now);
        }
    }

    fn report(&mut self, index: usize, report: Report, now: u64) -> Wake {
        let grant = self.grants[index];
        self.grants[index].open = false;
        if grant.epoch != self.epoch {
            return Wake::Nobody;
        }
        let works = self.works();
        match report {
            Report::Success | Report::GiveBack if works => Wake::Nobody,
            Report::Success => {
                self.news = News::Good { since: now };
                if self.setup.reset_after == 0 {
                    self.streak.clear();
                }
                self.epoch += 1;
                self.seen.clear();
                Wake::All
            }
            Report::Failure if works || grant.number == self.number(now) => {
                if self.in_a_row(now).is_empty() {
                    self.streak.clear();
                }
                let previous = self.streak.last().map(|failure| failure.delay);
                let delay = self.setup.delay(self.number(now), previous);
                self.streak.push(Failure { at: now, delay });
                self.news = News::Bad;
                self.epoch += usize::from(works);
                self.seen.clear();
                if self.exhausted() { Wake::All } else { Wake::First }
            }
            Report::Failure | Report::GiveBack => Wake::First,
        }
    }

    fn reset(&mut self) {
        self.news = News::None;
        self.streak.clear();
        self.epoch += 1;
        self.seen.clear();
    }
}

/// The oracle and what it judges, side by side.
struct Model {
    oracle: Oracle,
    terms: Terms<steadfast_backoff::Curve>,
    state: State,
    /// Of each grant of the oracle's.
    passes: Vec<Pass>,
    /// Not for delays that depend on chance.
    shared: Option<Arc<Backoff<Standing>>>,
    attempts: Vec<Option<Attempt<Arc<Backoff<Standing>>>>>,
    now: u64,
    /// The clock has never stepped back.
    honest: bool,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let shared = (setup.growth != Growth::Tripled).then(|| Arc::new(setup.shared()));
        Self {
            oracle: Oracle::new(setup),
            terms: setup.terms(),
            state: State::new(),
            passes: Vec::new(),
            shared,
            attempts: Vec::new(),
            now: 0,
            honest: true,
        }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// The index of one of the grants that are open, or that are not.
    fn grant(&self, nth: usize, open: bool) -> Option<usize> {
        let all = || (0..self.passes.len()).filter(|&i| self.oracle.grants[i].open == open);
        let count = all().count();
        (count > 0).then(|| all().nth(nth % count).expect("below the count"))
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Build(setup) => *self = Self::new(setup.fitted()),
            Op::Begin => self.begin(),
            Op::Look(ahead) => self.look(ahead),
            Op::Report(nth, report) => {
                if let Some(index) = self.grant(nth.into(), true) {
                    self.report(index, report);
                }
            }
            Op::ReportNewest(report) => {
                if let Some(index) = self.oracle.grants.iter().rposition(|grant| grant.open) {
                    self.report(index, report);
                }
            }
            Op::ReportAgain(nth, report) => {
                if let Some(index) = self.grant(nth.into(), false) {
                    self.report_again(index, report);
                }
            }
            Op::Reset => {
                self.oracle.reset();
                assert_eq!(self.state.reset(), Wake::First);
                self.on_shared(Backoff::reset);
            }
            Op::Stop => {
                self.oracle.stopped = true;
                assert_eq!(self.state.stop(), Wake::All);
                self.on_shared(Backoff::stop);
            }
            Op::Advance(ns) => self.set(self.now.saturating_add(ns)),
            Op::StepBack(ns) => self.set(self.now.saturating_sub(ns)),
            Op::Jump(to) => self.set(to),
            Op::ToNext(more) => self.set_near(self.oracle.next_at(), more),
            Op::ToReset(more) => {
                if let News::Good { since } = self.oracle.news {
                    let reset_at = since.saturating_add(self.oracle.setup.reset_after);
                    self.set_near(reset_at, more);
                }
            }
        }
    }

    fn on_shared(&self, f: impl FnOnce(&Backoff<Standing>)) {
        if let Some(shared) = &self.shared {
            f(shared);
        }
    }

    fn set(&mut self, now: u64) {
        self.honest &= now >= self.now;
        self.now = now;
    }

    /// Not back, unless it is to be a little before.
    fn set_near(&mut self, at: u64, more: i8) {
        let now = at.saturating_add_signed(more.into());
        self.set(if more < 0 { now } else { now.max(self.now) });
    }

    fn begin(&mut self) {
        let now = self.at();
        let expected = self.oracle.decision(0, self.now);
        let number = self.oracle.number(self.now);
        self.oracle.look(self.now);
        let before = self.state;
        let decision = self.state.begin(&self.terms, now);
        let shared = self.shared.as_ref().map(|b| Attempt::try_new_at(Arc::clone(b), now));
        let Some(refusal) = expected else {
            let Decision::Granted(pass) = decision else {
                panic!("{decision:?} at {now:?} in {before:?}");
            };
            assert_eq!(pass.number(), number, "the number is that of the failures in a row");
            self.check_patience();
            self.oracle.grants.push(Grant { epoch: self.oracle.epoch, number, open: true });
            self.passes.push(pass);
            let attempt = shared.map(|attempt| attempt.expect("the oracle would"));
            assert_eq!(attempt.as_ref().map_or(number, Attempt::number), number);
            self.attempts.push(attempt);
            return;
        };
        assert_eq!(decision, refusal, "begin at {now:?} in {before:?}");
        if let Decision::NotYet { at } = decision {
            let delay = self.oracle.streak.last().expect("a failure").delay;
            let most = now.saturating_add(Duration::from_nanos(delay));
            assert!(now < at && at <= most, "I4: {at:?} at {now:?} in {before:?}");
        }
        if self.honest {
            assert_eq!(self.state, before, "a refusal writes nothing");
        }
        if let Some(shared) = shared {
            assert_eq!(shared.expect_err("the oracle would not"), error(refusal, now));
        }
    }

    /// A grant on a clock that is sound comes after the delay.
    fn check_patience(&self) {
        let last = self.oracle.streak.last().filter(|_| self.oracle.news == News::Bad);
        if let Some(last) = last.filter(|_| self.honest) {
            let over = self.now == u64::MAX || self.now - last.at >= last.delay;
            assert!(over, "begun {} ns after {last:?}", self.now - last.at);
        }
    }

    fn look(&mut self, ahead: u64) {
        let expected = self.oracle.decision(ahead, self.now);
        self.oracle.look(self.now);
        let decision = self.state.look(&self.terms, ahead, self.at());
        match decision {
            Decision::Granted(pass) => {
                assert_eq!(expected, None);
                assert_eq!(pass.number(), self.oracle.number(self.now));
            }
            refusal => assert_eq!(Some(refusal), expected, "{ahead} ahead in {:?}", self.state),
        }
        // There is no such question to the shared one, but an attempt that is given back leaves
        // nothing but what was seen.
        self.on_shared(|shared| drop(shared.try_acquire_at(self.at())));
    }

    fn apply(&mut self, index: usize, report: Report) -> Wake {
        let (pass, now) = (self.passes[index], self.at());
        match report {
            Report::Success => self.state.success(&self.terms, pass, now),
            // The longest of all draws, for `Growth::Tripled`.
            Report::Failure => self.state.failure(&self.terms, pass, now, &mut || u64::MAX),
            Report::GiveBack => self.state.give_back(pass),
        }
    }

    fn report(&mut self, index: usize, report: Report) {
        let before = self.state;
        let late = self.oracle.grants[index].epoch != self.oracle.epoch;
        let number = self.oracle.number(self.now);
        let expected = self.oracle.report(index, report, self.now);
        let now = self.at();
        assert_eq!(self.apply(index, report), expected, "{report:?} at {now:?} in {before:?}");
        if late {
            assert_eq!(self.state, before, "I2: a late report changes nothing");
        }
        let after = self.oracle.number(self.now);
        match report {
            Report::Failure => assert!(after == number || after == number + 1, "I3"),
            Report::GiveBack => assert_eq!(after, number),
            Report::Success => assert!(after <= number),
        }
        if let Some(attempt) = self.attempts[index].take() {
            match report {
                Report::Success => attempt.success_at(now),
                Report::Failure => attempt.failure_at(now),
                Report::GiveBack => drop(attempt),
            }
        }
    }

    /// Whoever does so while others are in flight gives back theirs; else it is noticed.
    fn report_again(&mut self, index: usize, report: Report) {
        let late = self.oracle.grants[index].epoch != self.oracle.epoch;
        if late || (!self.oracle.works() && self.oracle.in_flight() == 0) {
            let before = self.state;
            assert_eq!(self.apply(index, report), Wake::Nobody);
            assert_eq!(self.state, before, "I2: reported twice");
        }
    }

    /// Everything that can be seen of a backoff, at this instant.
    fn check(&self) {
        let Self { oracle, state, terms, now, .. } = self;
        let at = self.at();
        let phase = match oracle.news {
            News::None => Phase::Unproven,
            News::Good { since } => Phase::Healthy { since: Instant::from_nanos(since) },
            News::Bad => Phase::BackingOff,
        };
        assert_eq!(state.phase(), phase);
        assert_eq!(state.number_at(terms, at), oracle.number(*now));
        assert_eq!(state.next_at().as_nanos(), oracle.next_at());
        assert_eq!(state.in_flight(), oracle.in_flight());
        assert!(state.in_flight() <= terms.max_in_flight, "I1");
        assert_eq!(state.is_stopped(), oracle.stopped);
        assert_eq!(state.never(terms), oracle.never());
        assert!(!state.is_occupied());
        let places = u64::from(terms.max_in_flight - state.in_flight());
        for ahead in [0, 1, places.saturating_sub(1), places, u64::MAX] {
            let seen = match { *state }.look(terms, ahead, at) {
                Decision::Granted(_) => None,
                refusal => Some(refusal),
            };
            assert_eq!(seen, oracle.decision(ahead, *now), "{ahead} ahead at {at:?} in {state:?}");
        }
        self.on_shared(|shared| {
            assert_eq!(shared.snapshot(), *state, "the shared backoff is the machine");
            assert_eq!(shared.number_at(at), oracle.number(*now));
            assert_eq!(shared.next_at().as_nanos(), oracle.next_at());
            assert_eq!(shared.is_stopped(), oracle.stopped);
        });
    }
}

fn error(refusal: Decision, now: Instant) -> TryAcquireError {
    match refusal {
        Decision::Granted(_) => unreachable!("not a refusal"),
        Decision::NotYet { at } => TryAcquireError::NotYet { retry_at: at, now },
        Decision::Busy => TryAcquireError::Busy,
        Decision::Exhausted { failures } => TryAcquireError::Exhausted { failures },
        Decision::Stopped => TryAcquireError::Stopped,
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{any_size, effort};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn spans() -> impl Strategy<Value = u64> {
        prop_oneof![3 => 0..20_u64, 3 => any_size(64), 1 => Just(SECOND), 1 => Just(u64::MAX)]
    }

    fn setups() -> impl Strategy<Value = Setup> {
        let growth = prop_oneof![
            1 => Just(Growth::Constant),
            1 => Just(Growth::Linear),
            2 => Just(Growth::Exponential),
            1 => Just(Growth::Tripled),
        ];
        let base = prop_oneof![4 => 0..20_u64, 1 => Just(SECOND), 2 => any_size(64)];
        let retries = prop_oneof![
            3 => Just(None),
            1 => Just(Some(0)),
            1 => Just(Some(1)),
            3 => (2..8_u32).prop_map(Some),
            1 => Just(Some(u32::MAX)),
        ];
        let places = prop_oneof![3 => Just(1), 4 => 2..=4_u32, 1 => Just(u32::MAX)];
        let reset_after = prop_oneof![2 => Just(0), 3 => 1..50_u64, 1 => any_size(64)];
        let some = |chance, strategy| prop::option::weighted(chance, strategy);
        (
            growth,
            base,
            some(0.5, any_size(64).boxed()),
            retries,
            some(0.3, spans().boxed()),
            places,
            reset_after,
        )
            .prop_map(
                |(growth, base, cap, max_retries, max_elapsed, max_in_flight, reset_after)| Setup {
                    growth,
                    base,
                    cap,
                    max_retries,
                    max_elapsed,
                    max_in_flight,
                    reset_after,
                },
            )
    }

    fn reports() -> impl Strategy<Value = Report> {
        prop_oneof![
            2 => Just(Report::Success),
            6 => Just(Report::Failure),
            2 => Just(Report::GiveBack),
        ]
    }

    fn ops_on_a_sound_clock() -> impl Strategy<Value = Op> {
        prop_oneof![
            12 => Just(Op::Begin),
            4 => prop_oneof![0..5_u64, any_size(64)].prop_map(Op::Look),
            4 => (any::<u16>(), reports()).prop_map(|(nth, report)| Op::Report(nth, report)),
            8 => reports().prop_map(Op::ReportNewest),
            2 => (any::<u16>(), reports()).prop_map(|(nth, report)| Op::ReportAgain(nth, report)),
            1 => Just(Op::Reset),
            4 => spans().prop_map(Op::Advance),
            10 => (0..=2_i8).prop_map(Op::ToNext),
            3 => (0..=1_i8).prop_map(Op::ToReset),
        ]
    }

    fn ops(honest: bool) -> BoxedStrategy<Op> {
        if honest {
            return ops_on_a_sound_clock().boxed();
        }
        prop_oneof![
            48 => ops_on_a_sound_clock(),
            3 => (-3..0_i8).prop_map(Op::ToNext),
            2 => (-2..0_i8).prop_map(Op::ToReset),
            3 => spans().prop_map(Op::StepBack),
            2 => prop_oneof![any_size(64), any_size(64).prop_map(|ns| !ns)].prop_map(Op::Jump),
        ]
        .boxed()
    }

    fn story(honest: bool) -> impl Strategy<Value = Vec<Op>> {
        let stop_at = prop::option::weighted(0.1, 0..60_usize);
        (setups(), prop::collection::vec(ops(honest), 1..60), stop_at).prop_map(
            |(setup, mut ops, stop_at)| {
                if let Some(at) = stop_at {
                    ops.insert(at.min(ops.len()), Op::Stop);
                }
                ops.insert(0, Op::Build(setup));
                ops
            },
        )
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn machine_and_shared_backoff_do_what_the_oracle_says(ops in story(false)) {
            run(&ops);
        }

        #[test]
        fn so_they_do_on_a_clock_that_only_goes_on(ops in story(true)) {
            run(&ops);
        }

        // Whatever happened, somebody who asks again and again is let through or told that it is
        // over: nothing is wedged, by no clock.
        #[test]
        fn whoever_keeps_asking_gets_an_answer(ops in story(false)) {
            let mut model = Model::new(Setup::PLAIN);
            for op in ops {
                model.step(op);
            }
            // All that is in flight comes back.
            while let Some(index) = model.grant(0, true) {
                model.report(index, Report::GiveBack);
            }
            let now = model.at();
            let mut state = model.state;
            let mut answer = state.begin(&model.terms, now);
            // On a clock that has stepped back, again when it has caught up.
            for _ in 0..2 {
                if let Decision::NotYet { at } = answer {
                    answer = state.begin(&model.terms, at);
                }
            }
            let over = matches!(answer, Decision::Exhausted { .. } | Decision::Stopped);
            prop_assert!(over || matches!(answer, Decision::Granted(_)), "{:?}", answer);
        }
    }
}
