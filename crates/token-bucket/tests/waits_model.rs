//! Up to four actors that wait at one bucket, in any interleaving of polls, drops and what happens to
//! the bucket meanwhile, against a plain queue and the pure machine (which `model.rs` judges).
//!
//! After every operation the queue says who must be awake, who may be, what the alarm has to be set to
//! at the latest, and what is left of the tokens. An actor is *awake* if it was woken since it was last
//! polled, by the waker of that poll.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_test_support::waits::{
    ACTORS, Deed, Entry, Heard, Line, Until, Waiter, actor, run_all, to_alarm,
};
use steadfast_token_bucket::state::{Decision, State};
use steadfast_token_bucket::{Acquire, AcquireError, Config, Rate, TokenBucket, TryAcquireError};

/// A rate and a burst. If there can be no such bucket, it is not built.
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

/// A length of time.
#[derive(Debug, Clone, Copy)]
pub enum Span {
    /// Nanoseconds.
    Ns(u64),
    /// The time in which so many tokens accrue, rounded up, and so many nanoseconds more.
    Tokens(u16, i8),
}

/// What can happen. Actors are counted modulo [`ACTORS`]; one that has no wait does nothing.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Another bucket, in place of the one before; whoever waited has left.
    Build {
        /// Its rate and burst.
        terms: Terms,
        /// Its first tokens, at most the burst.
        initial: u64,
        /// When it begins.
        at: u64,
        /// How many may wait.
        max_waiters: u32,
    },
    /// The actor drops its wait, if it has one, and begins another.
    Begin {
        /// Whose.
        actor: u8,
        /// For how many tokens.
        n: u64,
        /// Until when.
        until: Until<Span>,
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
        until: Until<Span>,
    },
    /// All who are awake poll, in order from this actor on, until nobody is.
    Run(u8),
    /// The actor drops its wait.
    Drop(u8),
    /// Time goes on, at most to its end.
    Advance(Span),
    /// Time goes on to the next alarm, if there is one, and so many nanoseconds more or less.
    ToAlarm(i8),
    /// The clock steps back, at most to its origin.
    StepBack(Span),
    /// A newcomer takes so many or none.
    Try(u64),
    /// A newcomer takes what there is.
    TryUpTo(u64),
    /// Tokens are given back.
    Refund(u64),
    /// Other terms.
    Reconfigure(Terms),
    /// The end.
    Close,
}

/// Does `ops`, one after the other, to the bucket and the queue.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(ops: &[Op]) {
    let terms = Terms { tokens: 1, period_ns: 100, burst: 5 };
    let mut model = Model::new(terms, 0, 0, u32::MAX).expect("such a bucket");
    for &op in ops {
        model.step(op);
    }
}

type Bucket = TokenBucket<ManualClock>;
type Answer = Poll<Result<(), AcquireError>>;

/// What somebody waits for, and since when.
#[derive(Debug, Clone, Copy)]
struct Asker {
    n: u64,
    began: Instant,
}

struct Model {
    bucket: Arc<Bucket>,
    clock: ManualClock,
    /// What the bucket is to be. Never marked as occupied.
    state: State,
    terms: Terms,
    max_waiters: u32,
    /// What the actors have, and who of them waits. Disturbed by a clock that stepped back and by other
    /// terms.
    line: Line<Acquire<Arc<Bucket>>, Asker>,
    waited: u64,
    longest_wait: Duration,
    /// It stepped back so far that the bucket believes it when it is next asked in turn.
    leapt: bool,
    /// It was full while somebody who was called had not taken what was there for it: the alarm is that of a
    /// bucket to which nothing was lost.
    spilled: bool,
}

impl Model {
    fn new(terms: Terms, initial: u64, at: u64, max_waiters: u32) -> Option<Self> {
        let config = terms.config().initial(initial.min(terms.burst)).max_waiters(max_waiters);
        let now = Instant::from_nanos(at);
        let clock = ManualClock::starting_at(now);
        Some(Self {
            bucket: Arc::new(config.build_with(clock.clone()).ok()?),
            clock,
            state: config.state(now).ok()?,
            terms,
            max_waiters,
            line: Line::new(now),
            waited: 0,
            longest_wait: Duration::ZERO,
            leapt: false,
            spilled: false,
        })
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn span(&self, span: Span) -> Duration {
        let ns = match span {
            Span::Ns(ns) => ns,
            Span::Tokens(n, more) => {
                let ns = u128::from(n) * u128::from(self.terms.period_ns);
                let ns = ns.div_ceil(u128::from(self.terms.tokens));
                u64::try_from(ns).unwrap_or(u64::MAX).saturating_add_signed(more.into())
            }
        };
        Duration::from_nanos(ns)
    }

    fn occupied(&self) -> State {
        self.state.with_occupied(!self.line.is_empty())
    }

    fn step(&mut self, op: Op) {
        let deed = match op {
            Op::Build { terms, initial, at, max_waiters } => {
                if let Some(next) = Self::new(terms, initial, at, max_waiters) {
                    for i in 0..ACTORS {
                        self.leave(i);
                    }
                    *self = next;
                }
                Deed::Nothing
            }
            Op::Begin { actor: i, n, until, polled } => {
                let i = actor(i);
                self.leave(i);
                self.check(Deed::Settle);
                self.begin(i, n, until);
                if polled {
                    self.poll(i);
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
                let (until, now) = (until.map(|span| self.span(span)), self.now());
                if let Some(waiter) = self.line.actors.waits_mut(actor(i)) {
                    waiter.limit(until, now, Acquire::timeout, Acquire::deadline);
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
            Op::Drop(i) => {
                self.leave(actor(i));
                Deed::Settle
            }
            Op::Advance(span) => {
                self.clock.advance(self.span(span));
                Deed::Time
            }
            Op::ToAlarm(more) => {
                if !to_alarm(&self.clock, more, u64::MAX) {
                    return;
                }
                Deed::Time
            }
            Op::StepBack(span) => {
                self.step_back(self.span(span));
                Deed::Nothing
            }
            Op::Try(n) => {
                self.try_acquire(n);
                Deed::Nothing
            }
            Op::TryUpTo(max) => {
                let now = self.now();
                let (taken, next) = self.occupied().take_between(1, max, now);
                assert_eq!(self.bucket.try_acquire_up_to(max), taken);
                self.state = next.with_occupied(false);
                Deed::Nothing
            }
            Op::Refund(n) => {
                self.state = self.state.refund(n);
                self.bucket.refund(n);
                Deed::Change
            }
            Op::Reconfigure(terms) => self.reconfigure(terms),
            Op::Close => {
                self.state = self.state.close();
                self.bucket.close();
                Deed::All
            }
        };
        self.check(deed);
    }

    fn begin(&mut self, i: usize, n: u64, until: Until<Span>) {
        let wait = Acquire::new(Arc::clone(&self.bucket), n);
        let (until, now) = (until.map(|span| self.span(span)), self.now());
        let waiter = Waiter::new(wait, Asker { n, began: Instant::ZERO });
        let waiter = waiter.limited(until, now, Acquire::timeout, Acquire::deadline);
        self.line.actors.wait(i, waiter);
    }

    fn leave(&mut self, i: usize) {
        if let Some(place) = self.line.place_of(i) {
            self.line.remove(place);
            (self.line.disturbed, self.spilled) = (self.leapt, false);
        }
        self.line.actors.leave(i);
    }

    fn poll(&mut self, i: usize) {
        let answer = self.line.actors.waiter_mut(i).poll();
        match self.line.place_of(i) {
            None => self.came(i, answer),
            Some(place) => self.looked(place, answer),
        }
        if answer.is_ready() {
            self.line.actors.leave(i);
        }
    }

    /// A first poll: the answer is certain.
    fn came(&mut self, i: usize, answer: Answer) {
        let now = self.now();
        let waiter = self.line.actors.waiter_mut(i);
        let n = waiter.own.n;
        let expected = if waiter.came_late(now) {
            Poll::Ready(Err(AcquireError::TimedOut { ready_at: self.alone(n, now) }))
        } else {
            waiter.resolve(now);
            waiter.own.began = now;
            let (decision, next) = self.occupied().take(n, now);
            self.state = next.with_occupied(false);
            match decision {
                Decision::Granted => Poll::Ready(Ok(())),
                Decision::Closed => Poll::Ready(Err(AcquireError::Closed)),
                Decision::ExceedsBurst => {
                    Poll::Ready(Err(AcquireError::ExceedsBurst { burst: self.terms.burst }))
                }
                Decision::Denied { .. } => self.join(i, now),
            }
        };
        let line = self.line.order();
        assert_eq!(answer, expected, "{n} behind {line:?} at {now:?} of {:?}", self.state);
    }

    /// Whether a newcomer has to wait, or would wait in vain.
    fn join(&mut self, i: usize, now: Instant) -> Answer {
        let Waiter { deadline, own: Asker { n, .. }, .. } = *self.line.actors.waiter(i);
        let ready_at = if deadline == Instant::MAX {
            now
        } else {
            self.ready_at(self.weight(self.line.len()) + u128::from(n), now)
        };
        let ready_at = Some(ready_at).filter(|&at| at != Instant::MAX);
        let max_waiters = self.max_waiters;
        match self.line.join(i, ready_at, max_waiters, now) {
            Entry::TimedOut { ready_at } => Poll::Ready(Err(AcquireError::TimedOut { ready_at })),
            Entry::LineFull => Poll::Ready(Err(AcquireError::LineFull { max_waiters })),
            Entry::Joined => Poll::Pending,
        }
    }

    /// When so many will be there, if ever: a bucket that is full gets no fuller.
    fn ready_at(&self, n: u128, now: Instant) -> Instant {
        match (self.state.has(n, now), self.state.is_full(now)) {
            (true, _) => now,
            (false, true) => Instant::MAX,
            (false, false) => self.state.ready_at(n, now),
        }
    }

    /// What is said to somebody for whom it is too late.
    fn alone(&self, n: u64, now: Instant) -> Instant {
        if self.state.word().is_closed() || n > self.terms.burst {
            return now;
        }
        let ready_at = self.ready_at(n.into(), now);
        if ready_at == Instant::MAX { now } else { ready_at }
    }

    /// The tokens that the first so many of the line wait for.
    fn weight(&self, first: usize) -> u128 {
        self.line.waiters().take(first).map(|waiter| u128::from(waiter.own.n)).sum()
    }

    /// A poll of somebody in line.
    fn looked(&mut self, place: usize, answer: Answer) {
        let now = self.now();
        self.line.at_mut(place).resolve(now);
        self.line.wake_ups += 1;
        let waiter = self.line.at(place);
        let (Asker { n, began }, late) = (waiter.own, waiter.is_late(now));
        let burst = self.terms.burst;
        let funded = self.state.has(self.weight(place + 1), now);
        let in_turn = self.line.is_in_turn(place);
        let overtakes = waiter.doubtful && self.state.has(n.into(), now);
        let why = (place, now, self.state);
        let expected = if self.state.word().is_closed() {
            Poll::Ready(Err(AcquireError::Closed))
        } else if n > burst {
            Poll::Ready(Err(AcquireError::ExceedsBurst { burst }))
        } else if answer == Poll::Ready(Ok(())) {
            assert!(funded || overtakes, "granted out of turn: {why:?}");
            let (decision, next) = self.state.take_in_turn(n, now);
            assert_eq!(decision, Decision::Granted, "{why:?}");
            self.state = next;
            self.waited += 1;
            self.longest_wait = self.longest_wait.max(now.saturating_duration_since(began));
            answer
        } else {
            assert!(!(funded && in_turn), "not granted in turn: {why:?}");
            // Even an attempt that fails makes the bucket believe a clock that is far behind it. The
            // first in line makes one; of the others, who was called before that.
            let (_, believed) = self.state.take_in_turn(n, now);
            if place == 0 || self.bucket.snapshot().with_occupied(false) == believed {
                self.state = believed;
            }
            if late {
                Poll::Ready(Err(AcquireError::TimedOut { ready_at: self.alone(n, now) }))
            } else {
                Poll::Pending
            }
        };
        assert_eq!(answer, expected, "{why:?} of {:?}", self.line.order());
        // Nobody looks at the clock for what can never be.
        let never = self.state.word().is_closed() || n > burst;
        self.leapt &= place > 0 || never;
        if answer.is_ready() {
            self.line.remove(place);
            self.line.disturbed &= self.line.is_anybody_awake() || self.leapt;
            self.spilled &= self.line.is_anybody_awake();
        } else {
            (self.line.disturbed, self.spilled) = (self.leapt, false);
            self.line.stays(place);
        }
    }

    fn try_acquire(&mut self, n: u64) {
        let now = self.now();
        let (decision, next) = self.occupied().take(n, now);
        self.state = next.with_occupied(false);
        let behind = u128::from(n) + self.weight(self.line.len());
        let expected = match decision {
            Decision::Granted => Ok(()),
            Decision::Denied { .. } => {
                Err(TryAcquireError::Denied { retry_at: self.state.ready_at(behind, now), now })
            }
            Decision::ExceedsBurst => {
                Err(TryAcquireError::ExceedsBurst { burst: self.terms.burst })
            }
            Decision::Closed => Err(TryAcquireError::Closed),
        };
        let answer = self.bucket.try_acquire(n);
        assert_eq!(answer, expected, "try {n} behind {:?} at {now:?}", self.line.order());
    }

    fn step_back(&mut self, span: Duration) {
        let now = self.now().saturating_sub(span);
        self.clock.set_now(now);
        self.line.doubt();
        self.line.disturbed = true;
        // So far that a refusal would write that down.
        let (decision, next) = self.state.take_in_turn(self.terms.burst, now);
        self.leapt |= decision != Decision::Granted && next != self.state;
    }

    fn reconfigure(&mut self, terms: Terms) -> Deed {
        let now = self.now();
        let config = terms.config();
        let result = self.bucket.reconfigure(&config);
        let Ok(limits) = config.limits() else {
            assert!(result.is_err(), "{terms:?}");
            return Deed::Nothing;
        };
        assert!(result.is_ok(), "{terms:?}");
        self.state = self.state.reconfigure(limits, now);
        self.terms = terms;
        for waiter in self.line.actors.waiters_mut() {
            (waiter.called, waiter.doubtful) = (false, false);
        }
        self.line.disturbed = true;
        Deed::All
    }

    /// Everything that can be seen after `deed`.
    fn check(&mut self, deed: Deed) {
        self.line.latest = self.line.latest.max(self.now());
        if self.line.is_empty() {
            (self.line.disturbed, self.leapt, self.spilled) = (false, false, false);
        }
        let any_called = self.line.waiters().any(|waiter| waiter.called);
        self.spilled |= any_called && self.state.is_full(self.now());
        self.check_tokens();
        self.check_who_was_woken(deed);
        self.check_who_sleeps(deed);
    }

    fn check_tokens(&self) {
        let (Self { bucket, state, line, .. }, now) = (self, self.now());
        let there = state.available(now);
        assert_eq!(bucket.available(), there, "tokens at {now:?} of {state:?}");
        let waiting = self.weight(line.len());
        for n in [1, there.saturating_add(1), self.terms.burst] {
            let expected = match (state.word().is_closed(), n > self.terms.burst) {
                (true, _) => Err(TryAcquireError::Closed),
                (_, true) => Err(TryAcquireError::ExceedsBurst { burst: self.terms.burst }),
                _ => Ok(state.ready_at(u128::from(n) + waiting, now)),
            };
            assert_eq!(bucket.ready_at(n, now), expected, "{n} behind {waiting} of {state:?}");
        }
        assert_eq!(bucket.is_closed(), state.word().is_closed());
        let occupied = bucket.snapshot().word().is_occupied();
        assert_eq!(occupied, !line.is_empty(), "the mark comes and goes with the line");
        let seen = bucket.stats().line;
        assert_eq!(seen.waiting as usize, line.len());
        assert_eq!((seen.waited, seen.wake_ups), (self.waited, line.wake_ups));
        assert_eq!(seen.longest_wait, self.longest_wait);
        if line.is_empty() {
            assert_eq!(self.clock.next_alarm(), None, "an alarm for nobody");
        }
    }

    /// Nobody is woken without a reason.
    fn check_who_was_woken(&mut self, deed: Deed) {
        let now = self.now();
        let first_asleep = self.line.waiters().position(|waiter| !waiter.was_awake());
        let mut newly = 0;
        for (place, heard) in self.line.hear() {
            let funded = self.state.has(self.weight(place + 1), now);
            let (disturbed, spilled) = (self.line.disturbed, self.spilled);
            let full = self.state.is_full(now);
            let why = (place, now, deed);
            let waiter = self.line.at_mut(place);
            assert!(!waiter.called || deed == Deed::Time, "called twice: {why:?}");
            if heard == Heard::Again {
                continue;
            }
            newly += 1;
            let late = waiter.deadline <= now;
            match deed {
                Deed::Settle => {
                    assert!(funded || late, "woken for nothing: {why:?}");
                    waiter.called = funded && !late;
                }
                Deed::Time => {
                    // It was to be served by now, had those ahead taken theirs.
                    let due = funded || full || spilled;
                    assert!(due || late || disturbed, "woken too early: {why:?}");
                    assert!(newly <= 2, "there are two alarms: {why:?}");
                }
                // A refund.
                Deed::Change => {
                    assert_eq!(Some(place), first_asleep, "not the first who sleeps: {why:?}");
                    assert_eq!(newly, 1, "{why:?}");
                }
                Deed::All => {}
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
            assert_ne!(deed, Deed::Change, "a refund wakes the next at once: {}", why());
            // Together more than there can be: then those called have to take theirs first.
            let together = self.weight(place + 1);
            let ready_at = if together > u128::from(self.terms.burst) {
                Instant::MAX
            } else {
                self.ready_at(together, now)
            };
            let due = ready_at.min(next.deadline);
            assert!(due > now || due == Instant::MAX, "a lost wake-up: {}", why());
            assert!(alarm <= due || self.line.disturbed, "no alarm for the next: {}", why());
        }
        let seen_to = self.line.deadlines_are_seen_to(&self.clock);
        assert!(seen_to, "no alarm for a deadline: {}", why());
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{effort, until};

    use super::*;

    fn spans() -> impl Strategy<Value = Span> {
        prop_oneof![
            4 => (0..6_u16, -1..=1_i8).prop_map(|(n, ns)| Span::Tokens(n, ns)),
            2 => (0..400_u64).prop_map(Span::Ns),
            1 => any::<u64>().prop_map(Span::Ns),
        ]
    }

    fn terms() -> impl Strategy<Value = Terms> {
        (0..4_u64, 0..400_u64, 0..8_u64).prop_map(|(tokens, period_ns, burst)| Terms {
            tokens,
            period_ns,
            burst,
        })
    }

    fn ops() -> impl Strategy<Value = Op> {
        let begin = (any::<u8>(), 0..7_u64, until(spans), prop::bool::weighted(0.9))
            .prop_map(|(actor, n, until, polled)| Op::Begin { actor, n, until, polled });
        let poll =
            (any::<u8>(), any::<bool>()).prop_map(|(actor, moved)| Op::Poll { actor, moved });
        let build = (terms(), 0..4_u64, any::<u64>(), 0..5_u32).prop_map(
            |(terms, initial, at, max_waiters)| Op::Build { terms, initial, at, max_waiters },
        );
        prop_oneof![
            12 => begin,
            8 => poll,
            2 => (any::<u8>(), until(spans)).prop_map(|(actor, until)| Op::Limit { actor, until }),
            4 => any::<u8>().prop_map(Op::Run),
            4 => any::<u8>().prop_map(Op::Drop),
            4 => spans().prop_map(Op::Advance),
            8 => (-1..=1_i8).prop_map(Op::ToAlarm),
            2 => spans().prop_map(Op::StepBack),
            2 => (0..5_u64).prop_map(Op::Try),
            1 => (0..5_u64).prop_map(Op::TryUpTo),
            4 => (0..5_u64).prop_map(Op::Refund),
            1 => terms().prop_map(Op::Reconfigure),
            1 => Just(Op::Close),
            1 => build,
        ]
    }

    #[test]
    fn what_is_lost_to_a_full_bucket_makes_an_alarm_early() {
        let terms = Terms { tokens: 1, period_ns: 100, burst: 0 };
        let begin = |actor, n| Op::Begin { actor, n, until: Until::Ever, polled: true };
        let ops = [
            Op::Build { terms, initial: 3, at: 0, max_waiters: 2 },
            begin(0, 4),
            Op::ToAlarm(0),
            begin(3, 1),
            begin(1, 2),
            begin(0, 4),
            Op::Advance(Span::Ns(259)),
            Op::Poll { actor: 3, moved: true },
            Op::ToAlarm(0),
        ];
        run(&ops);
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn nobody_is_forgotten_or_overtaken_and_no_token_is_lost(
            ops in prop::collection::vec(ops(), 1..80),
        ) {
            run(&ops);
        }
    }
}
