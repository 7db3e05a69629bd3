//! The cases of the circuit breaker.
//!
//! An operation asks for leave and reports a success, by hand where that can be done, and through the
//! contender's own call where that is named. Every contender is reached through an opaque reference.
//! None of them trips while it is measured; the open ones stay open.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use failsafe::backoff::{Constant, EqualJittered, constant};
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, SuccessRateOverTimeWindow};
use failsafe::{CircuitBreaker as _, StateMachine};
use recloser::Recloser;
use steadfast_circuit_breaker::{CircuitBreaker, Config, Window};
use steadfast_core::{Clock, Instant, SystemClock};
use tower::Service;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

use crate::cases::Case;

/// Does not end while anything is measured.
const LONG: Duration = Duration::from_secs(3_600);
/// One call in so many fails, where some do.
const FAILS: u32 = 10;

type Failsafe = StateMachine<ConsecutiveFailures<Constant>, ()>;
type FailsafeDefault = StateMachine<
    OrElse<SuccessRateOverTimeWindow<EqualJittered>, ConsecutiveFailures<EqualJittered>>,
    (),
>;
type Served = fn(bool) -> Ready<Result<(), ()>>;
/// A service with a breaker around it. Its request says whether it fails.
pub type Tower = tower_resilience_circuitbreaker::CircuitBreaker<
    tower::util::ServiceFn<Served>,
    tower_resilience_circuitbreaker::DefaultClassifier,
>;

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    consecutive(&mut cases);
    clean(&mut cases);
    some_fail(&mut cases);
    over_time(&mut cases);
    open(&mut cases);
    together(&mut cases, "breaker-consecutive-pair", 2, Load::Consecutive);
    together(&mut cases, "breaker-clean-pair", 2, Load::Clean);
    together(&mut cases, "breaker-tenth-fails-pair", 2, Load::SomeFail);
    together(&mut cases, "breaker-clean-16", 16, Load::Clean);
    together(&mut cases, "breaker-tenth-fails-16", 16, Load::SomeFail);
    cases
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[expect(clippy::large_types_passed_by_value, reason = "as a builder is used, once a case")]
fn built(config: Config) -> &'static CircuitBreaker {
    leak(config.break_duration(LONG).build().expect("a valid configuration"))
}

fn in_a_row() -> &'static CircuitBreaker {
    built(Config::new().consecutive_failures(5))
}

/// Of the last 100 calls, all of them made.
fn by_calls() -> &'static CircuitBreaker {
    let breaker = built(Config::new().failure_rate(0.5, Window::calls(100)));
    (0..200).for_each(|_| permit_once(breaker, true));
    breaker
}

fn recloser() -> &'static Recloser {
    let recloser = Recloser::custom().error_rate(0.5).closed_len(100).open_wait(LONG).build();
    (0..200).for_each(|_| recloser_once(&recloser, true));
    leak(recloser)
}

fn failsafe() -> &'static Failsafe {
    let policy = failsafe::failure_policy::consecutive_failures(5, constant(LONG));
    leak(failsafe::Config::new().failure_policy(policy).build())
}

/// A success rate over 30 s as a moving average, or five failures in a row.
fn failsafe_default() -> &'static FailsafeDefault {
    leak(failsafe::Config::new().build())
}

/// A service that answers at once behind a breaker over the last 100 calls, or over `window`.
///
/// # Panics
///
/// If the breaker does not take its settings.
pub fn tower(window: Option<Duration>) -> Tower {
    let builder = CircuitBreakerLayer::builder().wait_duration_in_open(LONG);
    let builder = match window {
        None => builder.sliding_window_size(100),
        Some(window) => builder
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(window)
            .minimum_number_of_calls(10),
    };
    let served: Served = |ok| ready(if ok { Ok(()) } else { Err(()) });
    builder.build().expect("a valid configuration").layer_fn(tower::service_fn(served))
}

fn tower_in_a_row() -> Tower {
    let layer = CircuitBreakerLayer::builder().consecutive_failures(5);
    let served: Served = |ok| ready(if ok { Ok(()) } else { Err(()) });
    layer.build().expect("a valid configuration").layer_fn(tower::service_fn(served))
}

fn result(ok: bool) -> Result<(), ()> {
    if ok { Ok(()) } else { Err(()) }
}

// Always: no contender is to pay for a call of the benchmark's own, which is 14 instructions.
#[inline(always)]
fn permit_once<C: Clock>(breaker: &CircuitBreaker<C>, ok: bool) {
    match black_box(breaker).try_acquire() {
        Ok(permit) if ok => permit.success(),
        Ok(permit) => permit.failure(),
        Err(_) => tripped(),
    }
}

#[inline(always)]
fn call_once(breaker: &CircuitBreaker, ok: bool) {
    match black_box(breaker).call(|| result(ok)) {
        Err(refused) if refused.is_rejected() => tripped(),
        answer => drop(black_box(answer.is_ok())),
    }
}

#[inline(always)]
fn recloser_once(breaker: &Recloser, ok: bool) {
    match black_box(breaker).call(|| result(ok)) {
        Err(recloser::Error::Rejected) => tripped(),
        answer => drop(black_box(answer.is_ok())),
    }
}

#[inline(always)]
fn failsafe_once(breaker: &impl failsafe::CircuitBreaker, ok: bool) {
    match black_box(breaker).call(|| result(ok)) {
        Err(failsafe::Error::Rejected) => tripped(),
        answer => drop(black_box(answer.is_ok())),
    }
}

#[cold]
fn tripped() {
    panic!("this case never trips");
}

/// Drives the futures of one thread.
#[derive(Debug)]
pub struct Driver(Waker);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Default for Driver {
    fn default() -> Self {
        Self(Waker::from(Arc::new(Unpark(std::thread::current()))))
    }
}

impl Driver {
    /// Runs a future to its end.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&self.0)) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// A call of a tower service as tower wants it: first it has to be ready.
    #[inline]
    pub fn call(&self, service: &mut Tower, ok: bool) -> bool {
        match service.poll_ready(&mut Context::from_waker(&self.0)) {
            Poll::Ready(Ok(())) => self.run(service.call(ok)).is_ok(),
            _ => unreachable!("without back pressure it is ready"),
        }
    }
}

fn tower_calls(mut service: Tower) -> impl FnMut() {
    let driver = Driver::default();
    assert!(driver.call(&mut service, true), "it lets calls through");
    move || {
        black_box(driver.call(black_box(&mut service), true));
    }
}

/// The least that leave and a report take where nothing is written.
#[inline]
fn load(word: &AtomicU64) {
    black_box(black_box(word).load(Ordering::Relaxed));
}

/// The same where the call is counted.
#[inline]
fn load_and_swap(word: &AtomicU64) {
    let word = black_box(word);
    let seen = word.load(Ordering::Acquire);
    let _ = black_box(word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire));
}

/// One in [`FAILS`] is `false`.
fn mostly() -> impl FnMut() -> bool {
    let mut calls = 0;
    move || {
        calls = if calls == FAILS { 1 } else { calls + 1 };
        calls != FAILS
    }
}

fn consecutive(cases: &mut Vec<Case>) {
    const GROUP: &str = "breaker-consecutive";
    cases.push(Case::single(GROUP, "REF", || {
        let word = leak(AtomicU64::new(0));
        move || load(word)
    }));
    cases.push(Case::single(GROUP, "steadfast", || {
        let breaker = in_a_row();
        move || permit_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "steadfast call", || {
        let breaker = in_a_row();
        move || call_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "failsafe consecutive", || {
        let breaker = failsafe();
        move || failsafe_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "tower-resilience", || tower_calls(tower_in_a_row())));
}

fn clean(cases: &mut Vec<Case>) {
    const GROUP: &str = "breaker-clean";
    cases.push(Case::single(GROUP, "REF", || {
        let words = leak([const { AtomicU64::new(0) }; 2]);
        move || words.iter().for_each(load)
    }));
    cases.push(Case::single(GROUP, "steadfast", || {
        let breaker = by_calls();
        move || permit_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "steadfast call", || {
        let breaker = by_calls();
        move || call_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "recloser", || {
        let breaker = recloser();
        move || recloser_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "failsafe default", || {
        let breaker = failsafe_default();
        move || failsafe_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "tower-resilience", || tower_calls(tower(None))));
}

fn some_fail(cases: &mut Vec<Case>) {
    const GROUP: &str = "breaker-tenth-fails";
    cases.push(Case::single(GROUP, "REF", || {
        let word = leak(AtomicU64::new(0));
        move || load_and_swap(word)
    }));
    cases.push(Case::single(GROUP, "steadfast", || {
        let (breaker, mut ok) = (by_calls(), mostly());
        move || permit_once(breaker, ok())
    }));
    cases.push(Case::single(GROUP, "steadfast call", || {
        let (breaker, mut ok) = (by_calls(), mostly());
        move || call_once(breaker, ok())
    }));
    cases.push(Case::single(GROUP, "recloser", || {
        let (breaker, mut ok) = (recloser(), mostly());
        move || recloser_once(breaker, ok())
    }));
    cases.push(Case::single(GROUP, "failsafe default", || {
        let (breaker, mut ok) = (failsafe_default(), mostly());
        move || failsafe_once(breaker, ok())
    }));
}

fn over_time(cases: &mut Vec<Case>) {
    const GROUP: &str = "breaker-time";
    const GIVEN: &str = "breaker-time-given";
    const WINDOW: Duration = Duration::from_secs(10);
    let config = Config::new().failure_rate(0.5, Window::time(WINDOW));
    cases.push(Case::single(GROUP, "REF", || {
        let word = leak(AtomicU64::new(0));
        move || {
            black_box(SystemClock.now());
            load_and_swap(word);
        }
    }));
    cases.push(Case::single(GROUP, "steadfast", move || {
        let breaker = built(config);
        move || permit_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "steadfast call", move || {
        let breaker = built(config);
        move || call_once(breaker, true)
    }));
    cases.push(Case::single(GROUP, "failsafe default", || {
        let breaker = failsafe_default();
        move || failsafe_once(breaker, true)
    }));
    // As long as 100 of its calls take, or nearly.
    let hundred = Duration::from_micros(40);
    cases.push(Case::single(GROUP, "tower-resilience, 100 calls in it", move || {
        tower_calls(tower(Some(hundred)))
    }));

    // Time is given, and moves so that there are always so many calls in the window.
    for (name, calls) in
        [("steadfast, 100 calls in it", 100), ("steadfast, 100,000 calls in it", 100_000)]
    {
        cases.push(Case::single(GIVEN, name, move || {
            let breaker = built(config);
            let step = WINDOW / calls;
            let mut at = Instant::ZERO;
            let mut once = move || {
                at = at.saturating_add(step);
                match black_box(breaker).try_acquire_at(at) {
                    Ok(permit) => permit.success_at(at),
                    Err(_) => tripped(),
                }
            };
            (0..2 * calls).for_each(|_| once());
            once
        }));
    }
}

fn open(cases: &mut Vec<Case>) {
    const GROUP: &str = "breaker-open";
    fn fail() -> Result<Infallible, ()> {
        Err(())
    }
    fn opened() -> &'static CircuitBreaker {
        let breaker = in_a_row();
        while breaker.call(fail).is_err_and(|error| !error.is_rejected()) {}
        breaker
    }
    cases.push(Case::single(GROUP, "REF", || {
        let word = leak(AtomicU64::new(0));
        move || {
            black_box(SystemClock.now());
            load(word);
        }
    }));
    cases.push(Case::single(GROUP, "steadfast", || {
        let breaker = opened();
        move || assert!(black_box(breaker).try_acquire().is_err(), "it is open")
    }));
    cases.push(Case::single(GROUP, "steadfast, retry read", || {
        let breaker = opened();
        move || match black_box(breaker).try_acquire() {
            Err(refused) => drop(black_box(refused.retry_after())),
            Ok(_) => unreachable!("it is open"),
        }
    }));
    cases.push(Case::single(GROUP, "steadfast call", || {
        let breaker = opened();
        move || assert!(black_box(breaker).call(|| result(true)).is_err(), "it is open")
    }));
    cases.push(Case::single(GROUP, "recloser", || {
        let breaker = recloser();
        while !matches!(breaker.call(fail), Err(recloser::Error::Rejected)) {}
        move || assert!(black_box(breaker).call(|| result(true)).is_err(), "it is open")
    }));
    cases.push(Case::single(GROUP, "failsafe", || {
        let breaker = failsafe();
        while breaker.is_call_permitted() {
            breaker.on_error();
        }
        move || assert!(black_box(breaker).call(|| result(true)).is_err(), "it is open")
    }));
    cases.push(Case::single(GROUP, "tower-resilience", || {
        let (mut service, driver) = (tower(None), Driver::default());
        for _ in 0..200 {
            driver.call(&mut service, false);
        }
        assert!(!driver.call(&mut service, true), "it is open");
        move || {
            black_box(driver.call(black_box(&mut service), true));
        }
    }));
}

/// A call by so many threads on one breaker, a tenth of which fails.
pub fn called_by(threads: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    together(&mut cases, "threads-breaker", threads, Load::SomeFail);
    cases
}

#[derive(Clone, Copy, PartialEq)]
enum Load {
    Consecutive,
    Clean,
    SomeFail,
}

/// So many threads on two cores, all on one breaker.
fn together(cases: &mut Vec<Case>, group: &'static str, threads: usize, load: Load) {
    let outcomes = move || {
        let mut mostly = mostly();
        move || load != Load::SomeFail || mostly()
    };
    let of_load = move || if load == Load::Consecutive { in_a_row() } else { by_calls() };
    let reference = || leak(AtomicU64::new(0));
    cases.push(Case::crowd(group, "REF", threads, reference, move |word, _| {
        move || if load == Load::SomeFail { load_and_swap(word) } else { self::load(word) }
    }));
    cases.push(Case::crowd(group, "steadfast", threads, of_load, move |breaker, _| {
        let mut ok = outcomes();
        move || permit_once(breaker, ok())
    }));
    cases.push(Case::crowd(group, "steadfast call", threads, of_load, move |breaker, _| {
        let mut ok = outcomes();
        move || call_once(breaker, ok())
    }));
    if load != Load::Consecutive {
        cases.push(Case::crowd(group, "recloser", threads, recloser, move |breaker, _| {
            let mut ok = outcomes();
            move || recloser_once(breaker, ok())
        }));
    }
    if load == Load::Consecutive {
        cases.push(Case::crowd(group, "failsafe consecutive", threads, failsafe, |breaker, _| {
            move || failsafe_once(breaker, true)
        }));
    }
    if load == Load::Clean {
        let share = || leak(tower(None));
        cases.push(Case::crowd(group, "tower-resilience", threads, share, |service, _| {
            tower_calls(service.clone())
        }));
    }
}
