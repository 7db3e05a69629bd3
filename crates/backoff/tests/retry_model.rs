//! The retry engine against a naive oracle: a script says what every attempt does and how long it
//! takes, the oracle says what a retry makes of it, and `.wait()`, `.await` and `.run()` all have to
//! do exactly that, to the nanosecond.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, IntoFuture, pending};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use steadfast_backoff::{
    Budget, BudgetConfig, Config, Curve, Event, GaveUp, Hint, Jitter, Later, Next, Now, Operation,
    Policy, Random, Retry, RetryError, Rng, Silent, Stop, When,
};
use steadfast_core::{Clock, Instant, ManualAlarm, ManualClock, Timer};
use steadfast_token_bucket::Rate;

/// How an attempt passes its time, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// It blocks.
    Busy(u8),
    /// It waits for the clock; with `.wait()` it blocks.
    Sleeps(u8),
    /// It never ends; with `.wait()` it ends at once.
    Never,
}

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it does.
    pub how: How,
    /// Whether it succeeds.
    pub ok: bool,
    /// One of two kinds of its outcome, for `when` to tell apart.
    pub odd: bool,
    /// The delay that its outcome asks for.
    pub hint: Option<u8>,
    /// How long it takes to tell of it.
    pub notice: u8,
}

/// A retry budget.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The ratio is so many 16ths.
    pub ratio: u8,
    /// The burst, less 1.
    pub burst: u8,
    /// How many calls of others come before.
    pub calls: u8,
    /// The minimum: so many (and 1) in so many nanoseconds (and 1).
    pub minimum: Option<(u8, u8)>,
}

/// A world, and a retry in it. Times are nanoseconds; all but `start` count from there.
#[derive(Debug, Clone)]
pub struct Script {
    /// When it begins.
    pub start: u8,
    /// The first delay, less 1.
    pub base: u8,
    /// Which growth.
    pub growth: u8,
    /// Which jitter.
    pub jitter: u8,
    /// How far the cap is above the base.
    pub cap: Option<u8>,
    /// The policy's.
    pub max_retries: Option<u8>,
    /// The policy's, less 1.
    pub max_elapsed: Option<u8>,
    /// Of the jitter.
    pub seed: u64,
    /// May lie in the past.
    pub deadline: Option<i8>,
    /// The retry's.
    pub timeout: Option<u8>,
    /// The retry's, if it is not `.wait()`ed for.
    pub attempt_timeout: Option<u8>,
    /// The retry's.
    pub max_hint: Option<u8>,
    /// Whether to retry even errors, odd ones, even values, odd ones.
    pub when: [bool; 4],
    /// The retry's.
    pub budget: Option<Terms>,
    /// Whether there is a handle, and when it is used.
    pub stop: Option<Option<u8>>,
    /// Whether notice is a future, where it can be.
    pub slow_notice: bool,
    /// The attempts. A further one succeeds at once.
    pub steps: Vec<Step>,
}

/// Runs `script` in every way there is.
///
/// # Panics
///
/// As soon as one differs from the oracle.
pub fn run(script: &Script) {
    let blocking = script.blocking();
    assert_eq!(wait(&blocking), predict(&blocking), ".wait() {blocking:#?}");
    for script in [blocking, script.fitted()] {
        let predicted = predict(&script);
        assert_eq!(named(&script), predicted, ".await {script:#?}");
        assert_eq!(unnamed(&script), predicted, ".run() {script:#?}");
    }
}

/// What an attempt ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    attempt: u32,
    kind: Option<usize>,
    hint: Option<Duration>,
}

type Outcome = Result<Reply, Reply>;

/// All that can be seen of a retry.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    /// The attempts' numbers, and when they began.
    attempts: Vec<(u32, u64)>,
    events: Vec<Told>,
    result: Result<Reply, RetryError<Reply, Reply>>,
    ended: u64,
    balance: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    attempt: u32,
    elapsed: Duration,
    outcome: Option<Outcome>,
    next: Next,
    at: u64,
}

const fn ns(ns: u64) -> Duration {
    Duration::from_nanos(ns)
}

fn ns8(ns: u8) -> Duration {
    Duration::from_nanos(u64::from(ns))
}

impl Script {
    /// Without what would never end.
    fn fitted(&self) -> Self {
        let mut script = self.clone();
        let limits = [self.timeout, self.attempt_timeout, self.max_elapsed];
        if self.deadline.is_none() && limits.iter().all(Option::is_none) {
            for step in &mut script.steps {
                if matches!(step.how, How::Never) {
                    step.how = How::Sleeps(1);
                }
            }
        }
        script
    }

    /// Without what only a future can do.
    fn blocking(&self) -> Self {
        let mut script = self.clone();
        script.attempt_timeout = None;
        script.slow_notice = false;
        for step in &mut script.steps {
            step.how = match step.how {
                How::Busy(ns) | How::Sleeps(ns) => How::Busy(ns),
                How::Never => How::Busy(0),
            };
        }
        script
    }

    fn policy(&self) -> Policy {
        let base = ns(u64::from(self.base) + 1);
        let mut config = match self.growth % 4 {
            0 => Config::constant(base),
            1 => Config::linear(base),
            2 => Config::exponential(base),
            _ => Config::fibonacci(base),
        };
        config = config.jitter(match self.jitter % 5 {
            0 | 1 => Jitter::None,
            2 => Jitter::Full,
            3 => Jitter::Fraction(0.5),
            _ => Jitter::Decorrelated,
        });
        if let Some(above) = self.cap {
            config = config.cap(base + ns8(above));
        }
        config = match self.max_retries {
            Some(retries) => config.max_retries(u32::from(retries)),
            None => config.unlimited(),
        };
        if let Some(elapsed) = self.max_elapsed {
            config = config.max_elapsed(ns(u64::from(elapsed) + 1));
        }
        config.build().expect("a valid policy")
    }

    fn deadline(&self) -> Option<u64> {
        let start = i64::from(self.start);
        self.deadline.map(|after| u64::try_from(start + i64::from(after)).unwrap_or(0))
    }

    fn stop_at(&self) -> Option<u64> {
        Some(u64::from(self.start) + u64::from(self.stop??))
    }

    fn step(&self, attempt: u32) -> Step {
        let end = Step { how: How::Busy(0), ok: true, odd: false, hint: None, notice: 0 };
        let index = usize::try_from(attempt).expect("few attempts");
        self.steps.get(index).copied().unwrap_or(end)
    }

    fn outcome(&self, attempt: u32) -> Outcome {
        let step = self.step(attempt);
        let scripted = usize::try_from(attempt).expect("few attempts") < self.steps.len();
        let kind = scripted.then_some(usize::from(step.odd) + 2 * usize::from(step.ok));
        let reply = Reply { attempt, kind, hint: step.hint.map(ns8) };
        if step.ok { Ok(reply) } else { Err(reply) }
    }

    fn retries(&self, outcome: &Outcome) -> bool {
        let (Ok(reply) | Err(reply)) = outcome;
        reply.kind.is_some_and(|kind| self.when[kind])
    }

    fn build_budget(&self) -> Option<Budget> {
        let terms = self.budget?;
        let mut config = BudgetConfig::new(f64::from(terms.ratio) / 16.0);
        config = config.burst(u32::from(terms.burst) + 1);
        if let Some(rate) = terms.rate() {
            config = config.minimum(rate);
        }
        let budget = config.build().expect("a valid budget");
        (0..terms.calls).for_each(|_| budget.deposit());
        Some(budget)
    }
}

impl Terms {
    fn rate(self) -> Option<Rate> {
        let (tokens, period) = self.minimum?;
        Some(Rate::new(u64::from(tokens) + 1, ns(u64::from(period) + 1)))
    }
}

/// A budget in 16ths of a retry, its minimum in tokens times the period.
struct NaiveBudget {
    terms: Terms,
    balance: u64,
    level: u64,
    since: u64,
}

impl NaiveBudget {
    fn new(terms: Terms) -> Self {
        let level = terms.rate().map_or(0, |rate| rate.tokens() * period(rate));
        let mut budget = Self { terms, balance: 0, level, since: 0 };
        (0..terms.calls).for_each(|_| budget.deposit());
        budget
    }

    fn deposit(&mut self) {
        let full = (u64::from(self.terms.burst) + 1) * 16;
        self.balance = full.min(self.balance + u64::from(self.terms.ratio));
    }

    fn withdraw(&mut self, now: u64) -> bool {
        if let Some(rate) = self.terms.rate() {
            let more = (now - self.since) * rate.tokens();
            self.level = (rate.tokens() * period(rate)).min(self.level + more);
            self.since = now;
            if self.level >= period(rate) {
                self.level -= period(rate);
                return true;
            }
        }
        let enough = self.balance >= 16;
        if enough {
            self.balance -= 16;
        }
        enough
    }
}

fn period(rate: Rate) -> u64 {
    u64::try_from(rate.period().as_nanos()).expect("a short period")
}

/// The oracle.
#[expect(clippy::too_many_lines, reason = "one thing after the other, as it happens")]
fn predict(script: &Script) -> Trace {
    let policy = script.policy();
    let mut rng = Random::from_seed(script.seed);
    let mut budget = script.budget.map(NaiveBudget::new);
    let began = u64::from(script.start);
    let stopped = |by: u64| script.stop_at().is_some_and(|stop| stop <= by);
    let end = [
        script.deadline(),
        script.timeout.map(|timeout| began + u64::from(timeout)),
        script.max_elapsed.map(|elapsed| began + u64::from(elapsed) + 1),
    ];
    let end = end.into_iter().flatten().min();
    let past_end = |at: u64| end.is_some_and(|end| at >= end);

    let mut now = began;
    let mut attempts = Vec::new();
    let mut events = Vec::new();
    let mut last = None;
    let mut previous = None;
    let result = 'over: {
        if stopped(now) {
            break 'over Err(GaveUp::Stopped);
        }
        if past_end(now) {
            break 'over Err(GaveUp::Deadline);
        }
        if let Some(budget) = &mut budget {
            budget.deposit();
        }
        for attempt in 0.. {
            attempts.push((attempt, now));
            let step = script.step(attempt);
            let limit = script.attempt_timeout.map(|timeout| now + u64::from(timeout));
            let limit = limit.into_iter().chain(end).min();
            let takes = match step.how {
                How::Busy(ns) => Some(now + u64::from(ns)),
                How::Sleeps(0) => Some(now),
                How::Sleeps(ns) => {
                    Some(now + u64::from(ns)).filter(|at| limit.is_none_or(|limit| *at <= limit))
                }
                How::Never => None,
            };
            now = takes.or(limit.map(|limit| limit.max(now))).expect("an end");
            let outcome = takes.map(|_| script.outcome(attempt));
            let retry = outcome.is_none_or(|outcome| script.retries(&outcome));
            if let (Some(Ok(reply)), false) = (outcome, retry) {
                break 'over Ok(reply);
            }
            last = outcome.or(last);

            let next = 'decide: {
                if !retry {
                    break 'decide Err(GaveUp::NotRetryable);
                }
                if stopped(now) {
                    break 'decide Err(GaveUp::Stopped);
                }
                if past_end(now) {
                    break 'decide Err(GaveUp::Deadline);
                }
                if script.max_retries.is_some_and(|most| attempt == u32::from(most)) {
                    break 'decide Err(GaveUp::RetriesExhausted);
                }
                let hint = outcome.and_then(|(Ok(reply) | Err(reply))| reply.hint);
                let next = if let Some(hint) = hint {
                    Next::Hinted(hint.min(script.max_hint.map_or(policy.cap(), ns8)))
                } else {
                    let delay = policy.delay_after(attempt, previous, &mut rng);
                    previous = Some(delay);
                    Next::Backoff(delay)
                };
                let (Next::Hinted(delay) | Next::Backoff(delay)) = next else { unreachable!() };
                let until = now + u64::try_from(delay.as_nanos()).expect("a short delay");
                if past_end(until) {
                    break 'decide Err(GaveUp::Deadline);
                }
                if budget.as_mut().is_some_and(|budget| !budget.withdraw(now)) {
                    break 'decide Err(GaveUp::BudgetEmpty);
                }
                Ok((next, until))
            };
            events.push(Told {
                attempt,
                elapsed: ns(now - began),
                outcome,
                next: next.map_or_else(Next::GiveUp, |(next, _)| next),
                at: now,
            });
            now += u64::from(step.notice);
            match next {
                Err(reason) => break 'over Err(reason),
                Ok((_, until)) if stopped(now.max(until)) => {
                    now = now.max(script.stop_at().expect("just used"));
                    break 'over Err(GaveUp::Stopped);
                }
                Ok((_, until)) => now = now.max(until),
            }
            if past_end(now) {
                break 'over Err(GaveUp::Deadline);
            }
        }
        unreachable!("the attempt after the script succeeds");
    };
    let count = u32::try_from(attempts.len()).expect("few attempts");
    let result = result.map_err(|reason| RetryError {
        outcome: last,
        attempts: count,
        elapsed: ns(now - began),
        reason,
    });
    let balance = budget.map_or(0, |budget| u32::try_from(budget.balance / 16).expect("few"));
    Trace { attempts, events, result, ended: now, balance }
}

/// What the retry is run in.
struct World {
    clock: ManualClock,
    /// Whether setting an alarm makes its time come.
    hurries: bool,
    stop_at: Cell<Option<u64>>,
    stop: OnceCell<Weak<Stop<Time>>>,
    attempts: RefCell<Vec<(u32, u64)>>,
    events: RefCell<Vec<Told>>,
}

impl World {
    fn new(script: &Script, hurries: bool) -> (Rc<Self>, Rc<Stop<Time>>) {
        let world = Rc::new(Self {
            clock: ManualClock::starting_at(Instant::from_nanos(u64::from(script.start))),
            hurries,
            stop_at: Cell::new(script.stop_at()),
            stop: OnceCell::new(),
            attempts: RefCell::default(),
            events: RefCell::default(),
        });
        let stop = Rc::new(Stop::with(Time(Rc::clone(&world))));
        world.stop.set(Rc::downgrade(&stop)).expect("the first");
        world.pass_to(world.now());
        (world, stop)
    }

    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    /// Lets time pass until `at`, or until the stop is used on the way.
    fn pass_to(&self, at: u64) {
        let stop_at = self.stop_at.get().filter(|stop_at| *stop_at <= at);
        self.clock.set_now(Instant::from_nanos(stop_at.unwrap_or(at).max(self.now())));
        if stop_at.is_some() {
            self.stop_at.set(None);
            self.stop.get().and_then(Weak::upgrade).expect("the stop lives").stop();
        }
    }

    fn be_busy(&self, ns: u8) {
        let until = self.now() + u64::from(ns);
        self.pass_to(until);
        self.pass_to(until);
    }

    fn begin(&self, attempt: u32) {
        self.attempts.borrow_mut().push((attempt, self.now()));
    }

    fn told(&self, event: &Event<'_, Reply, Reply>) {
        let &Event { attempt, elapsed, outcome, next } = event;
        let outcome = outcome.copied();
        let told = Told { attempt, elapsed, outcome, next, at: self.now() };
        self.events.borrow_mut().push(told);
    }

    fn trace(&self, result: Result<Reply, RetryError<Reply, Reply>>, budget: &Budgets) -> Trace {
        assert_eq!(self.clock.next_alarm(), None, "an alarm was left behind");
        Trace {
            attempts: self.attempts.take(),
            events: self.events.take(),
            result,
            ended: self.now(),
            balance: budget.as_ref().map_or(0, Budget::balance),
        }
    }
}

type Budgets = Option<Budget>;

/// The world's clock.
#[derive(Clone)]
struct Time(Rc<World>);

impl Clock for Time {
    fn now(&self) -> Instant {
        self.0.clock.now()
    }
}

impl Timer for Time {
    type Alarm = ManualAlarm;

    fn alarm(&self) -> ManualAlarm {
        self.0.clock.alarm()
    }

    fn set(&self, alarm: &mut ManualAlarm, at: Instant, waker: &Waker) {
        if !self.0.hurries {
            self.0.clock.set(alarm, at, waker);
        } else if at != Instant::MAX {
            self.0.pass_to(at.as_nanos());
            waker.wake_by_ref();
        }
    }
}

/// A future that is ready at an instant.
struct Nap {
    time: Time,
    until: Instant,
    alarm: ManualAlarm,
}

impl Nap {
    fn new(world: &Rc<World>, ns: u8) -> Self {
        let time = Time(Rc::clone(world));
        Self { until: time.now().saturating_add(ns8(ns)), alarm: time.alarm(), time }
    }
}

impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.time.now() >= this.until {
            return Poll::Ready(());
        }
        this.time.set(&mut this.alarm, this.until, cx.waker());
        Poll::Pending
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs `future`: it is polled when it was woken, and time passes when it was not.
fn drive<F: Future>(world: &World, future: F) -> F::Output {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !woken.0.swap(false, Ordering::SeqCst) {
            let alarm = world.clock.next_alarm().expect("something to wait for");
            world.pass_to(alarm.as_nanos());
        }
    }
}

/// What all three have in common.
fn prepare<'a, F, K>(
    retry: Retry<'a, F, K>,
    script: &'a Script,
    world: &Rc<World>,
    stop: &'a Stop<Time>,
    budget: &'a Budgets,
) -> Retry<'a, F, K, Curve, impl When<Reply, Reply>, impl Hint<Reply, Reply>, Silent, impl Rng, Time>
where
    F: Operation<K, Value = Reply, Error = Reply>,
{
    let retry = retry
        .when(|outcome| script.retries(outcome))
        .hint(|outcome| {
            let (Ok(reply) | Err(reply)) = outcome;
            reply.hint
        })
        .rng(Random::from_seed(script.seed));
    let mut retry = match script.stop {
        None => retry.clock(Time(Rc::clone(world))),
        Some(_) => retry.stop(stop),
    };
    if let Some(budget) = budget {
        retry = retry.budget(budget);
    }
    if let Some(deadline) = script.deadline() {
        retry = retry.deadline(Instant::from_nanos(deadline));
    }
    if let Some(timeout) = script.timeout {
        retry = retry.timeout(ns8(timeout));
    }
    if let Some(longest) = script.max_hint {
        retry = retry.max_hint(ns8(longest));
    }
    retry
}

fn wait(script: &Script) -> Trace {
    let (world, stop) = World::new(script, true);
    let budget = script.build_budget();
    let op = |attempt| {
        world.begin(attempt);
        if let How::Busy(ns) = script.step(attempt).how {
            world.be_busy(ns);
        }
        script.outcome(attempt)
    };
    let retry = script.policy().retry::<_, Now>(op);
    let retry = prepare(retry, script, &world, &stop, &budget).notify(|event| {
        world.told(event);
        world.be_busy(script.step(event.attempt).notice);
    });
    world.trace(retry.wait(), &budget)
}

/// The operation of those that are awaited.
async fn attempt(script: &Script, world: &Rc<World>, attempt: u32) -> Outcome {
    world.begin(attempt);
    match script.step(attempt).how {
        How::Busy(ns) => world.be_busy(ns),
        How::Sleeps(ns) => Nap::new(world, ns).await,
        How::Never => pending().await,
    }
    script.outcome(attempt)
}

macro_rules! awaited {
    ($script:ident, $op:expr, $end:ident) => {{
        let (world, stop) = World::new($script, false);
        let budget = $script.build_budget();
        let retry = $script.policy().retry::<_, Later>($op(&world));
        let mut retry = prepare(retry, $script, &world, &stop, &budget);
        if let Some(timeout) = $script.attempt_timeout {
            retry = retry.attempt_timeout(ns8(timeout));
        }
        let result = if $script.slow_notice {
            let notice = |event: &Event<'_, Reply, Reply>| {
                world.told(event);
                Nap::new(&world, $script.step(event.attempt).notice)
            };
            drive(&world, retry.notify(notice).$end())
        } else {
            let notice = |event: &Event<'_, Reply, Reply>| {
                world.told(event);
                world.be_busy($script.step(event.attempt).notice);
            };
            drive(&world, retry.notify(notice).$end())
        };
        world.trace(result, &budget)
    }};
}

fn named(script: &Script) -> Trace {
    let op = |world| move |number| attempt(script, world, number);
    awaited!(script, op, into_future)
}

fn unnamed(script: &Script) -> Trace {
    // Its futures borrow from the closure itself.
    fn op(script: &Script, world: &Rc<World>) -> impl AsyncFnMut(u32) -> Outcome {
        let mut calls = 0;
        async move |number| {
            calls += 1;
            assert_eq!(calls, number + 1);
            attempt(script, world, number).await
        }
    }
    awaited!(script, |world| op(script, world), run)
}

#[cfg(test)]
mod properties {
    use proptest::collection::vec;
    use proptest::option::{of, weighted};
    use proptest::prelude::*;
    use steadfast_test_support::properties::effort;

    use super::*;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let how = prop_oneof![
            4 => (0_u8..12).prop_map(How::Busy),
            3 => (0_u8..12).prop_map(How::Sleeps),
            1 => Just(How::Never),
        ];
        let notice = prop_oneof![2 => Just(0), 1 => 0_u8..20];
        let step = (how, prop::bool::weighted(0.2), any::<bool>(), weighted(0.3, 0_u8..20), notice)
            .prop_map(|(how, ok, odd, hint, notice)| Step { how, ok, odd, hint, notice });
        vec(step, 0..8)
    }

    prop_compose! {
        fn terms()(
            ratio in 0_u8..40,
            burst in 0_u8..4,
            calls in 0_u8..20,
            minimum in weighted(0.3, (0_u8..3, 4_u8..100)),
        ) -> Terms {
            Terms { ratio, burst, calls, minimum }
        }
    }

    prop_compose! {
        fn scripts()(
            (start, base, growth, jitter, seed) in
                (0_u8..50, 0_u8..10, any::<u8>(), any::<u8>(), any::<u64>()),
            cap in of(0_u8..30),
            max_retries in weighted(0.7, 0_u8..8),
            max_elapsed in weighted(0.3, 0_u8..80),
            deadline in weighted(0.4, -5_i8..100),
            timeout in weighted(0.3, 0_u8..100),
            attempt_timeout in weighted(0.4, 0_u8..15),
            max_hint in of(0_u8..20),
            odd_errors in prop::bool::weighted(0.8),
            values in any::<[bool; 2]>(),
            budget in weighted(0.4, terms()),
            stop in of(weighted(0.5, 0_u8..100)),
            slow_notice in any::<bool>(),
            steps in steps(),
        ) -> Script {
            let when = [true, odd_errors, values[0], values[1]];
            Script {
                start, base, growth, jitter, cap, max_retries, max_elapsed, seed, deadline, timeout,
                attempt_timeout, max_hint, when, budget, stop, slow_notice, steps,
            }
        }
    }

    proptest! {
        #![proptest_config(effort(16))]

        #[test]
        fn every_driver_does_what_the_oracle_says(script in scripts()) {
            run(&script);
        }
    }
}
