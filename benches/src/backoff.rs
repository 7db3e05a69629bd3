//! The cases of the backoff policies.
//!
//! Every contender builds its policy from an opaque base, seeds a generator as it does by default, and
//! gives ten delays, each of which is used as a `Duration`. All numbers are for one delay.

use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backoff::backoff::Backoff as _;
use backon::BackoffBuilder as _;
use backon::{BlockingRetryable as _, Retryable as _};
use steadfast_backoff::{Config, Jitter, Policy, Random, Rng as _};
use steadfast_core::{Clock, Instant, SystemClock, Timer};
use tokio_retry2::strategy::{ExponentialFactorBackoff, jitter_range};

use crate::cases::Case;

const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(10);
const DELAYS: u32 = 10;
const POLICY: Policy = config(BASE, 2.0).jitter(Jitter::Full).max_retries(DELAYS).build_static();

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    jittered(&mut cases);
    plain(&mut cases);
    fractional(&mut cases);
    by_number(&mut cases);
    successes(&mut cases);
    cases
}

const fn config(base: Duration, factor: f64) -> Config {
    Config::exponential(base).factor(factor).cap(CAP).max_retries(DELAYS)
}

/// One operation builds a policy and takes its delays.
fn ten<I: IntoIterator>(
    group: &'static str,
    name: &'static str,
    policy: impl Fn(Duration) -> I + Copy + 'static,
) -> Case
where
    I::Item: 'static,
{
    Case::batch(group, name, u64::from(DELAYS), move || {
        assert_eq!(policy(BASE).into_iter().count(), DELAYS as usize, "so many are counted");
        move || {
            for delay in policy(black_box(BASE)) {
                black_box(delay);
            }
        }
    })
}

/// The next of a sequence that takes one addition: the least that a generator can do.
#[inline]
fn count(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    *state
}

/// A number below `limit`.
#[inline]
fn below(limit: u64, drawn: u64) -> u64 {
    ((u128::from(drawn) * u128::from(limit)) >> 64) as u64
}

/// A policy of which nothing can be chosen: base, cap and factor 2.
fn least(base: Duration, jitter: bool) -> impl Iterator<Item = Duration> {
    let (mut delay, cap) = (nanos(base), nanos(CAP));
    let mut state = 0;
    (0..DELAYS).map(move |_| {
        let this = delay;
        delay = (delay * 2).min(cap);
        Duration::from_nanos(if jitter { below(this, count(&mut state)) } else { this })
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("seconds")
}

fn steadfast(base: Duration, factor: f64, jitter: Jitter) -> impl Iterator<Item = Duration> {
    let policy = config(base, factor).jitter(jitter).build().expect("a valid policy");
    policy.delays(Random::new())
}

fn backon(base: Duration, factor: f32) -> backon::ExponentialBuilder {
    backon::ExponentialBuilder::new()
        .with_min_delay(base)
        .with_max_delay(CAP)
        .with_factor(factor)
        .with_max_times(DELAYS as usize)
}

fn backoff(base: Duration, factor: f64, fraction: f64) -> impl Iterator<Item = Duration> {
    let mut backoff = backoff::ExponentialBackoffBuilder::new()
        .with_initial_interval(base)
        .with_max_interval(CAP)
        .with_multiplier(factor)
        .with_randomization_factor(fraction)
        .with_max_elapsed_time(None)
        .build();
    (0..DELAYS).map_while(move |_| {
        let backoff: &mut backoff::ExponentialBackoff = &mut backoff;
        backoff.next_backoff()
    })
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
fn tokio_retry2(base: Duration, factor: f64) -> impl Iterator<Item = Duration> {
    let base = base.as_millis() as u64;
    ExponentialFactorBackoff::from_millis(base, factor).max_delay(CAP).take(DELAYS as usize)
}

/// It has whole factors only.
fn exponential_backoff(base: Duration, jitter: f32) -> impl Iterator<Item = Option<Duration>> {
    // It counts attempts, of which the last is followed by no delay.
    let mut backoff = exponential_backoff::Backoff::new(DELAYS + 1, base, CAP);
    backoff.set_factor(2);
    backoff.set_jitter(jitter);
    backoff.into_iter().take(DELAYS as usize)
}

fn jittered(cases: &mut Vec<Case>) {
    const GROUP: &str = "delays";
    cases.push(ten(GROUP, "REF", |base| least(base, true)));
    cases.push(ten(GROUP, "steadfast", |base| steadfast(base, 2.0, Jitter::Full)));
    // As it is used where many calls share a policy and a task its generator.
    cases.push(Case::batch(GROUP, "steadfast, constant policy", u64::from(DELAYS), || {
        let mut rng = Random::from_seed(1);
        move || {
            for delay in black_box(&POLICY).delays(|| rng.next_u64()) {
                black_box(delay);
            }
        }
    }));
    cases.push(ten(GROUP, "backon", |base| backon(base, 2.0).with_jitter().build()));
    cases.push(ten(GROUP, "backoff", |base| backoff(base, 2.0, 1.0)));
    cases.push(ten(GROUP, "tokio-retry2", |base| {
        tokio_retry2(base, 2.0).map(jitter_range(0.0, 1.0))
    }));
    cases.push(ten(GROUP, "exponential-backoff", |base| exponential_backoff(base, 0.5)));
}

fn plain(cases: &mut Vec<Case>) {
    const GROUP: &str = "delays-no-jitter";
    cases.push(ten(GROUP, "REF", |base| least(base, false)));
    cases.push(ten(GROUP, "steadfast", |base| steadfast(base, 2.0, Jitter::None)));
    cases.push(ten(GROUP, "backon", |base| backon(base, 2.0).build()));
    cases.push(ten(GROUP, "backoff", |base| backoff(base, 2.0, 0.0)));
    cases.push(ten(GROUP, "tokio-retry2", |base| tokio_retry2(base, 2.0)));
    cases.push(ten(GROUP, "exponential-backoff", |base| exponential_backoff(base, 0.0)));
}

fn fractional(cases: &mut Vec<Case>) {
    const GROUP: &str = "delays-1.5";
    cases.push(ten(GROUP, "steadfast", |base| steadfast(base, 1.5, Jitter::Full)));
    cases.push(ten(GROUP, "steadfast, factor 1.1", |base| steadfast(base, 1.1, Jitter::Full)));
    cases.push(ten(GROUP, "backon", |base| backon(base, 1.5).with_jitter().build()));
    cases.push(ten(GROUP, "backoff", |base| backoff(base, 1.5, 1.0)));
    cases.push(ten(GROUP, "tokio-retry2", |base| {
        tokio_retry2(base, 1.5).map(jitter_range(0.0, 1.0))
    }));
}

/// No peer can give a delay by its number.
fn by_number(cases: &mut Vec<Case>) {
    const GROUP: &str = "delay-attempt";
    cases.push(Case::single(GROUP, "REF", || {
        let mut state = 0;
        move || {
            let (base, attempt) = (black_box(100_000_000_u64), black_box(20_u32));
            let grown = base.saturating_mul(1 << attempt).min(black_box(nanos(CAP)));
            black_box(Duration::from_nanos(below(grown, count(&mut state))));
        }
    }));
    for (name, factor) in
        [("steadfast", 2.0), ("steadfast, factor 1.5", 1.5), ("steadfast, factor 1.1", 1.1)]
    {
        cases.push(Case::single(GROUP, name, move || {
            let policy = config(BASE, factor).jitter(Jitter::Full).build().expect("valid");
            let mut rng = Random::from_seed(1);
            move || {
                black_box(black_box(&policy).delay(black_box(20), &mut rng));
            }
        }));
    }
}

/// A clock whose reading costs nothing.
#[derive(Clone, Copy)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        black_box(Instant::ZERO)
    }
}

impl Timer for Still {
    type Alarm = ();

    fn alarm(&self) {}

    fn set(&self, _alarm: &mut (), _at: Instant, _waker: &Waker) {}
}

/// A retry whose first attempt succeeds: what it adds to a call that works.
fn successes(cases: &mut Vec<Case>) {
    const SUCCESS: &str = "retry-success";
    cases.push(Case::single(SUCCESS, "REF", || || use_it(work(black_box(0)))));
    cases.push(Case::single(SUCCESS, "REF and the OS clock", || {
        || {
            black_box(SystemClock.now());
            use_it(work(black_box(0)));
        }
    }));
    cases.push(Case::single(SUCCESS, "steadfast wait", || || use_it(POLICY.retry(work).wait())));
    cases.push(Case::single(SUCCESS, "steadfast wait, free clock", || {
        || use_it(POLICY.retry(work).clock(Still).wait())
    }));
    cases.push(Case::single(SUCCESS, "steadfast await", || {
        || use_it(at_once(POLICY.retry(|n| ready(work(n))).into_future()))
    }));
    cases.push(Case::single(SUCCESS, "steadfast await, free clock", || {
        || use_it(at_once(POLICY.retry(|n| ready(work(n))).clock(Still).into_future()))
    }));
    // It knows no time: its errors do not say how long it took.
    cases.push(Case::single(SUCCESS, "backon wait", || {
        || use_it((|| work(0)).retry(backon::ExponentialBuilder::default()).sleep(|_| {}).call())
    }));
    cases.push(Case::single(SUCCESS, "backon", || {
        let op = || ready(work(0));
        move || {
            use_it(at_once(
                op.retry(backon::ExponentialBuilder::default()).sleep(|_| ready(())).into_future(),
            ));
        }
    }));
}

#[inline(never)]
fn work(attempt: u32) -> Result<u32, u32> {
    black_box(Ok(attempt))
}

fn use_it<T>(value: T) {
    black_box(value);
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing waits here"),
    }
}
