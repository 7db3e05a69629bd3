//! What the README and `docs/COMPARISON.md` say of peers, as far as it can be run: of the versions in
//! `Cargo.lock`. If a peer has become better, its test fails, and the line has to go.

use std::cell::Cell;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use backon::{BackoffBuilder as _, BlockingRetryable as _};
use failsafe::CircuitBreaker as _;
use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use steadfast_backoff as backoff;
use steadfast_circuit_breaker as circuit_breaker;
use steadfast_core::{Clock, Instant, ManualClock, SystemClock};
use steadfast_deduplicator as deduplicator;
use steadfast_test_support::task::Wakes;
use steadfast_token_bucket as token_bucket;
use token_bucket::Rate;
use tower::{Service, ServiceExt as _};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn nonzero(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not 0")
}

// Rate limiters.

#[test]
fn at_600_million_a_second_governor_grants_two_thirds_more_and_steadfast_none() {
    // One microsecond, in which 600 tokens accrue; asked for as often as time moves.
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_second(nonzero(600_000_000)).allow_burst(nonzero(1));
    let governor = RateLimiter::direct_with_clock(quota, clock.clone());
    // Of 1 at most, what two nanoseconds bring (1.2) would be cut.
    let ours = token_bucket::Config::new(Rate::per_second(600_000_000)).burst(2);
    let ours = ours.build_with(ManualClock::new()).expect("a bucket");
    let (mut granted_by_governor, mut granted_by_us) = (0, 0);
    for _ in 0..1_000 {
        clock.advance(Duration::from_nanos(1));
        ours.clock().advance(Duration::from_nanos(1));
        granted_by_governor += u32::from(governor.check().is_ok());
        granted_by_us += u32::from(ours.try_acquire(1).is_ok());
    }
    assert_eq!(granted_by_governor, 1_000);
    assert!((600..=602).contains(&granted_by_us), "{granted_by_us}");
}

#[test]
fn a_clock_of_ones_own_wakes_who_waits_for_steadfast() {
    // Governor's fake clock has no `until_ready`: `docs/COMPARISON.md` shows that it does not compile.
    let ours = token_bucket::Config::new(Rate::per_hour(1)).burst(1);
    let ours = ours.build_with(ManualClock::new()).expect("a bucket");
    ours.try_acquire(1).expect("the first");
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut waits = pin!(ours.acquire(1));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    ours.clock().advance(Duration::from_secs(3_600));
    assert!(wakes.count() > 0);
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_newcomer_overtakes_who_waits_for_governor_and_not_who_waits_for_steadfast() {
    // A limit of 1 each 200 ms, used up. Somebody waits; the newcomer asks in a loop.
    let quota = Quota::with_period(200 * MS).expect("a quota");
    let governor = RateLimiter::direct(quota);
    governor.check().expect("the first");
    let mut cx = Context::from_waker(Waker::noop());
    let mut waits = pin!(governor.until_ready());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    while governor.check().is_err() {
        std::thread::yield_now();
    }
    assert!(waits.as_mut().poll(&mut cx).is_pending(), "it was first in line, and goes on waiting");

    let ours = token_bucket::Config::new(Rate::new(1, 200 * MS)).burst(1);
    let ours = ours.build_with(ManualClock::new()).expect("a bucket");
    ours.try_acquire(1).expect("the first");
    let mut waits = pin!(ours.acquire(1));
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    ours.clock().advance(200 * MS);
    assert!(ours.try_acquire(1).is_err(), "somebody is in line");
    assert!(waits.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn governor_keeps_a_cell_for_every_key_until_told_otherwise_and_steadfast_has_a_bound() {
    let governor = RateLimiter::keyed(Quota::per_hour(nonzero(1)));
    let ours = token_bucket::Config::new(Rate::per_hour(1));
    let ours = token_bucket::Keyed::<u32>::new(ours, 1_000).expect("a table");
    let mut refused = 0;
    for key in 0..20_000 {
        let _granted = governor.check_key(&key);
        refused += u32::from(ours.try_acquire(&key, 1).is_err());
    }
    assert_eq!(governor.len(), 20_000);
    assert!(ours.len() <= ours.capacity() && ours.capacity() < 2_000);
    assert_eq!(refused as usize, 20_000 - ours.len(), "and says so to whom it cannot keep");
}

#[test]
fn outside_of_tokio_waiting_for_leaky_bucket_panics() {
    let limiter = leaky_bucket::RateLimiter::builder().initial(0).interval(MS).build();
    let mut cx = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| pin!(limiter.acquire(1)).poll(&mut cx)));
    assert!(polled.is_err());
}

#[test]
fn a_new_rate_of_ratelimit_counts_for_the_past_and_one_of_steadfast_does_not() {
    #[derive(Clone)]
    struct Shared(ManualClock);
    impl ratelimit::Clock for Shared {
        fn elapsed(&self) -> Duration {
            self.0.now().saturating_duration_since(Instant::ZERO)
        }
    }
    let clock = ManualClock::new();
    let builder = ratelimit::Builder::with_clock(1, Shared(clock.clone()));
    let theirs = builder.max_tokens(10_000).build().expect("a limiter");
    let config = token_bucket::Config::new(Rate::per_second(1)).burst(10_000).initial(0);
    let ours = config.build_with(clock.clone()).expect("a bucket");
    // Ten seconds at 1 a second; then 1,000 a second.
    clock.advance(10 * SECOND);
    theirs.set_rate(1_000);
    let faster = token_bucket::Config::new(Rate::per_second(1_000)).burst(10_000);
    ours.reconfigure(&faster).expect("a configuration");
    assert!(theirs.try_wait_n(10_000).is_ok());
    assert_eq!(ours.available(), 10);
}

// Circuit breakers.

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// A call within a call, and so on.
fn nested(depth: u32, call: &dyn Fn(&dyn Fn() -> bool), through: &Cell<u32>) {
    if depth > 0 {
        call(&|| {
            through.set(through.get() + 1);
            nested(depth - 1, call, through);
            true
        });
    }
}

/// Opens by one failure, waits for the end of its break, and counts how many of 100 get through at once.
fn probes_at_once(call: &dyn Fn(&dyn Fn() -> bool)) -> u32 {
    let through = Cell::new(0);
    call(&|| false);
    // A rejected call ends the nesting, so each level is a call while all above are under way.
    let began = SystemClock.now();
    while through.get() == 0 && SystemClock.now().saturating_duration_since(began) < 5 * SECOND {
        nested(100, call, &through);
    }
    through.get()
}

#[test]
fn half_open_recloser_and_failsafe_let_everybody_through_and_steadfast_one() {
    let recloser = recloser::Recloser::custom().closed_len(1).half_open_len(100).open_wait(MS);
    let recloser = recloser.build();
    let call = |f: &dyn Fn() -> bool| drop(recloser.call(|| f().then_some(()).ok_or(())));
    // Its ring has to be full before it opens.
    call(&|| false);
    assert_eq!(probes_at_once(&call), 100);

    let policy = failsafe::failure_policy::consecutive_failures(1, failsafe::backoff::constant(MS));
    let failsafe = failsafe::Config::new().failure_policy(policy).build();
    let call = |f: &dyn Fn() -> bool| drop(failsafe.call(|| f().then_some(()).ok_or(())));
    assert_eq!(probes_at_once(&call), 100);

    let ours = circuit_breaker::Config::new().consecutive_failures(1).break_duration(MS).probes(1);
    let ours = ours.build().expect("a breaker");
    let call = |f: &dyn Fn() -> bool| {
        let _outcome = ours.call(|| f().then_some(()).ok_or(()));
    };
    assert_eq!(probes_at_once(&call), 1);
}

fn die() -> Result<(), ()> {
    // Without a message: it is no error of the program's.
    std::panic::resume_unwind(Box::new("on purpose"))
}

#[test]
fn a_thousand_panics_open_steadfast_and_no_peer() {
    let panics = |call: &dyn Fn()| {
        for _ in 0..1_000 {
            let _panicked = catch_unwind(AssertUnwindSafe(call));
        }
    };
    let recloser = recloser::Recloser::custom().closed_len(10).build();
    panics(&|| drop(recloser.call(die)));
    assert!(recloser.call(|| Ok::<(), ()>(())).is_ok());

    let failsafe = failsafe::Config::new().build();
    panics(&|| drop(failsafe.call(die)));
    assert!(failsafe.is_call_permitted());

    let tower = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder();
    let tower = tower.consecutive_failures(10).build().expect("a layer");
    let service = |()| async move { die() };
    let tower = tower.layer_fn(tower::service_fn(service));
    let runtime = runtime();
    panics(&|| drop(runtime.block_on(tower.clone().oneshot(()))));
    assert!(!tower.is_open());

    let ours = circuit_breaker::Config::new().consecutive_failures(10).build().expect("a breaker");
    panics(&|| assert!(ours.call(die).is_err()));
    assert_eq!(ours.phase(), circuit_breaker::Phase::Open);
}

#[test]
fn after_1000_successes_a_window_of_100_calls_opens_steadfast_after_50_failures_and_not_tower_resilience()
 {
    let tower = tower_resilience_circuitbreaker::CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(100)
        .build()
        .expect("a layer");
    let service = |ok: bool| async move { ok.then_some(()).ok_or("failed") };
    let mut tower = tower.layer_fn(tower::service_fn(service));
    let mut failures_until_open = |successes: u32| {
        runtime().block_on(async {
            for _ in 0..successes {
                let _ok = tower.ready().await.expect("ready").call(true).await;
            }
            let mut failures = 0;
            while !tower.is_open() && failures < 900 {
                let _failed = tower.ready().await.expect("ready").call(false).await;
                failures += 1;
            }
            failures
        })
    };
    assert_eq!(failures_until_open(1_000), 900, "as many as came before count against them");

    let window = circuit_breaker::Window::calls(100);
    let ours = circuit_breaker::Config::new().failure_rate(0.5, window).build().expect("a breaker");
    for _ in 0..1_000 {
        ours.call(|| Ok::<(), Infallible>(())).expect("closed");
    }
    let mut failures = 0;
    while ours.call(|| Err::<(), ()>(())).is_err_and(|error| !error.is_rejected()) {
        failures += 1;
    }
    assert_eq!(failures, 50);
}

// Retries.

#[test]
fn with_jitter_backon_goes_beyond_its_longest_delay_and_steadfast_does_not() {
    const CAP: Duration = Duration::from_secs(10);
    let theirs = backon::ExponentialBuilder::new()
        .with_jitter()
        .with_jitter_seed(7)
        .with_min_delay(CAP)
        .with_max_delay(CAP)
        .with_max_times(1_000);
    let above = theirs.build().filter(|delay| *delay > CAP).count();
    assert!(above > 900, "{above}");

    for jitter in [backoff::Jitter::Full, backoff::Jitter::Equal, backoff::Jitter::Decorrelated] {
        let policy =
            backoff::Config::exponential(SECOND).cap(CAP).jitter(jitter).max_retries(1_000);
        let policy = policy.build().expect("a policy");
        assert!(policy.delays(backoff::Random::from_seed(7)).all(|delay| delay <= CAP));
    }
}

#[test]
fn the_total_of_backon_is_of_delays_and_the_deadline_of_steadfast_is_of_everything() {
    // Each attempt takes a minute, by a clock that only they move.
    let clock = ManualClock::new();
    let attempts = Cell::new(0);
    let fail = || -> Result<(), ()> {
        attempts.set(attempts.get() + 1);
        clock.advance(60 * SECOND);
        Err(())
    };
    let theirs = backon::ExponentialBuilder::new()
        .with_factor(1.0)
        .with_max_times(9)
        .with_total_delay(Some(10 * SECOND));
    let sleeper = clock.clone();
    let ended = fail.retry(theirs).sleep(move |delay| sleeper.advance(delay)).call();
    assert!(ended.is_err());
    assert_eq!(attempts.replace(0), 10, "nine delays of a second, and ten minutes");

    let ours = backoff::Config::constant(SECOND).max_retries(9).build().expect("a policy");
    let ended = ours.retry(|_| fail()).timeout(10 * SECOND).clock(clock.clone()).wait();
    assert_eq!(ended.map_err(|error| error.reason), Err(backoff::GaveUp::Deadline));
    assert_eq!(attempts.get(), 1);
}

// Caches.

/// Of the last 10,000 of 50,000 new numbers, how many are known.
fn remembered(mut insert: impl FnMut(u64), mut contains: impl FnMut(u64) -> bool) -> usize {
    (0..50_000).for_each(&mut insert);
    (40_000..50_000).filter(|id| contains(*id)).count()
}

#[test]
fn caches_forget_what_is_new_unless_they_are_lru_and_steadfast_remembers_the_last() {
    const IDS: u64 = 10_000;
    let moka = |policy| {
        let cache = moka::sync::Cache::builder().max_capacity(IDS).eviction_policy(policy).build();
        remembered(
            |id| {
                cache.insert(id, ());
                // As it does by itself, now and then.
                if id % 100 == 99 {
                    cache.run_pending_tasks();
                }
            },
            |id| cache.contains_key(&id),
        )
    };
    let by_default = moka(moka::policy::EvictionPolicy::tiny_lfu());
    assert!(by_default < 1_000, "{by_default}");
    assert_eq!(moka(moka::policy::EvictionPolicy::lru()), 10_000);

    let quick = quick_cache::sync::Cache::new(10_000);
    let by_quick_cache = remembered(|id| quick.insert(id, ()), |id| quick.get(&id).is_some());
    assert!(by_quick_cache < 1_000, "{by_quick_cache}");

    let ours = deduplicator::Config::new(10_000).build().expect("a window");
    let by_us = remembered(|id| assert!(ours.insert(&id).is_fresh()), |id| ours.contains(&id));
    assert_eq!(by_us, 10_000);
    println!("of 10,000: moka {by_default}, quick_cache {by_quick_cache}, steadfast {by_us}");
}
