//! The cases of the token bucket.
//!
//! Grants are measured at a rate above what one core can ask for, so that every try is granted;
//! refusals at one token an hour, with the bucket empty. Every contender is reached through an
//! opaque reference, so that none can keep its settings in registers across operations.

#![expect(clippy::items_after_statements, reason = "a group's name stands above its cases")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "keys are passed as the limiters want them")]

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant as StdInstant};

use governor::clock::{MonotonicClock, QuantaClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use steadfast_core::{Clock, Instant, SystemClock, Timer, TscClock};
use steadfast_token_bucket::{Config, Keyed, Lease, Rate, TokenBucket};

use crate::cases::{Case, now};

type Governor<C> =
    RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as governor::clock::Clock>::Instant>>;
type GovernorKeyed<C> = RateLimiter<
    u64,
    DashMapStateStore<u64>,
    C,
    NoOpMiddleware<<C as governor::clock::Clock>::Instant>,
>;

/// A token a nanosecond: divides evenly.
const EVEN: u64 = 1_000_000_000;
/// A prime near it: a token is 10⁹ units, and a nanosecond accrues this many.
const ODD: u64 = 999_999_937;
/// How many tokens a lease takes at a time.
const BATCH: u64 = 1_000;
const KEYS: u64 = 100_000;
/// Draws of keys, used again from the beginning.
const DRAWS: usize = 1 << 18;

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    grants(&mut cases);
    refusals(&mut cases);
    acquires(&mut cases);
    leases(&mut cases);
    pairs(&mut cases);
    keyed(&mut cases);
    cases
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn bucket<C: Clock>(rate: u64, clock: C) -> &'static TokenBucket<C> {
    // The largest burst that both rates can count.
    let config = Config::new(Rate::per_second(rate)).burst(10_000_000);
    leak(config.build_with(clock).expect("a valid rate"))
}

fn empty_bucket<C: Clock>(clock: C) -> &'static TokenBucket<C> {
    let config = Config::new(Rate::per_hour(1)).burst(1).initial(0);
    leak(config.build_with(clock).expect("a valid rate"))
}

fn often() -> Quota {
    let rate = NonZeroU32::new(1_000_000_000).expect("not 0");
    Quota::per_second(rate).allow_burst(NonZeroU32::MAX)
}

fn governor<C: governor::clock::Clock>(clock: C) -> &'static Governor<C> {
    leak(RateLimiter::direct_with_clock(often(), clock))
}

fn empty_governor<C: governor::clock::Clock>(clock: C) -> &'static Governor<C> {
    let limiter = RateLimiter::direct_with_clock(Quota::per_hour(NonZeroU32::MIN), clock);
    assert!(limiter.check().is_ok(), "begins full");
    leak(limiter)
}

fn ratelimit() -> &'static ratelimit::Ratelimiter {
    let builder = ratelimit::Ratelimiter::builder(EVEN);
    let builder = builder.max_tokens(EVEN).initial_available(EVEN);
    leak(builder.build().expect("a valid rate"))
}

fn empty_ratelimit() -> &'static ratelimit::Ratelimiter {
    let builder = ratelimit::Ratelimiter::builder(1).period(Duration::from_secs(3_600));
    leak(builder.max_tokens(1).initial_available(0).build().expect("a valid rate"))
}

fn leaky() -> &'static leaky_bucket::RateLimiter {
    let much = 1 << 40;
    let mut builder = leaky_bucket::RateLimiter::builder();
    builder.initial(much).max(much).refill(1_000_000).interval(Duration::from_millis(1));
    leak(builder.build())
}

fn empty_leaky() -> &'static leaky_bucket::RateLimiter {
    let mut builder = leaky_bucket::RateLimiter::builder();
    builder.initial(0).max(1).refill(1).interval(Duration::from_secs(3_600));
    leak(builder.build())
}

/// The least that a grant does beside reading a clock.
#[inline]
fn load_and_swap(word: &AtomicU64) -> bool {
    let seen = word.load(Ordering::Acquire);
    word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

fn word() -> &'static AtomicU64 {
    leak(AtomicU64::new(0))
}

fn grants(cases: &mut Vec<Case>) {
    const OS: &str = "grant-os";
    cases.push(Case::single(OS, "REF", || {
        let word = word();
        move || {
            black_box(now());
            black_box(load_and_swap(black_box(word)));
        }
    }));
    cases.push(Case::single(OS, "steadfast", || try_acquire(bucket(EVEN, SystemClock))));
    cases.push(Case::single(OS, "steadfast, odd rate", || try_acquire(bucket(ODD, SystemClock))));
    cases.push(Case::single(OS, "governor", || check(governor(MonotonicClock))));
    cases.push(Case::single(OS, "ratelimit", || try_wait(ratelimit())));
    cases.push(Case::single(OS, "leaky-bucket", || try_leaky(leaky())));

    const COUNTER: &str = "grant-counter";
    cases.push(Case::single(COUNTER, "REF", || {
        let (clock, word) = (leak(quanta::Clock::new()), word());
        move || {
            black_box(clock.raw());
            black_box(load_and_swap(black_box(word)));
        }
    }));
    cases.push(Case::single(COUNTER, "REF with TscClock", || {
        let word = word();
        // The first reading calibrates.
        black_box(TscClock.now());
        move || {
            black_box(TscClock.now());
            black_box(load_and_swap(black_box(word)));
        }
    }));
    cases.push(Case::single(COUNTER, "steadfast", || try_acquire(bucket(EVEN, TscClock))));
    cases.push(Case::single(COUNTER, "steadfast, odd rate", || try_acquire(bucket(ODD, TscClock))));
    cases.push(Case::single(COUNTER, "governor", || check(governor(QuantaClock::default()))));

    // What is left without a clock.
    const GIVEN: &str = "grant-time-given";
    cases.push(Case::single(GIVEN, "REF", || {
        let word = word();
        move || {
            black_box(load_and_swap(black_box(word)));
        }
    }));
    for (name, rate) in [("steadfast", EVEN), ("steadfast, odd rate", ODD)] {
        cases.push(Case::single(GIVEN, name, move || {
            let bucket = bucket(rate, SystemClock);
            let mut at = SystemClock.now().as_nanos();
            move || {
                at += 2;
                black_box(black_box(bucket).try_acquire_at(1, Instant::from_nanos(at)).is_ok());
            }
        }));
    }
}

fn try_acquire<C: Clock>(bucket: &'static TokenBucket<C>) -> impl FnMut() {
    assert!(bucket.try_acquire(1).is_ok(), "this case grants");
    move || {
        black_box(black_box(bucket).try_acquire(1).is_ok());
    }
}

fn check<C: governor::clock::Clock>(limiter: &'static Governor<C>) -> impl FnMut() {
    assert!(limiter.check().is_ok(), "this case grants");
    move || {
        black_box(black_box(limiter).check().is_ok());
    }
}

fn try_wait(limiter: &'static ratelimit::Ratelimiter) -> impl FnMut() {
    assert!(limiter.try_wait().is_ok(), "this case grants");
    move || {
        black_box(black_box(limiter).try_wait().is_ok());
    }
}

fn try_leaky(limiter: &'static leaky_bucket::RateLimiter) -> impl FnMut() {
    assert!(limiter.try_acquire(1), "this case grants");
    move || {
        black_box(black_box(limiter).try_acquire(1));
    }
}

fn refusals(cases: &mut Vec<Case>) {
    const OS: &str = "refusal-os";
    cases.push(Case::single(OS, "REF", || {
        let word = word();
        move || {
            black_box(now());
            black_box(black_box(word).load(Ordering::Acquire));
        }
    }));
    cases.push(Case::single(OS, "steadfast", || refused(empty_bucket(SystemClock))));
    cases.push(Case::single(OS, "steadfast, retry read", || retry_at(empty_bucket(SystemClock))));
    cases.push(Case::single(OS, "governor", || unchecked(empty_governor(MonotonicClock))));
    cases.push(Case::single(OS, "governor, retry read", || {
        earliest(empty_governor(MonotonicClock))
    }));
    cases.push(Case::single(OS, "ratelimit", || {
        let limiter = empty_ratelimit();
        move || {
            black_box(black_box(limiter).try_wait().is_ok());
        }
    }));
    cases.push(Case::single(OS, "ratelimit, retry read", || {
        let limiter = empty_ratelimit();
        move || {
            let _answer = black_box(black_box(limiter).try_wait());
        }
    }));
    cases.push(Case::single(OS, "leaky-bucket", || {
        let limiter = empty_leaky();
        // Its first token comes at once.
        let _first = limiter.try_acquire(1);
        assert!(!limiter.try_acquire(1), "this case refuses");
        move || {
            black_box(black_box(limiter).try_acquire(1));
        }
    }));

    const COUNTER: &str = "refusal-counter";
    cases.push(Case::single(COUNTER, "REF", || {
        let (clock, word) = (leak(quanta::Clock::new()), word());
        move || {
            black_box(clock.raw());
            black_box(black_box(word).load(Ordering::Acquire));
        }
    }));
    cases.push(Case::single(COUNTER, "REF with TscClock", || {
        let word = word();
        // The first reading calibrates.
        black_box(TscClock.now());
        move || {
            black_box(TscClock.now());
            black_box(black_box(word).load(Ordering::Acquire));
        }
    }));
    cases.push(Case::single(COUNTER, "steadfast", || refused(empty_bucket(TscClock))));
    cases.push(Case::single(COUNTER, "steadfast, retry read", || retry_at(empty_bucket(TscClock))));
    cases.push(Case::single(COUNTER, "governor", || {
        unchecked(empty_governor(QuantaClock::default()))
    }));
    cases.push(Case::single(COUNTER, "governor, retry read", || {
        earliest(empty_governor(QuantaClock::default()))
    }));
}

fn refused<C: Clock>(bucket: &'static TokenBucket<C>) -> impl FnMut() {
    assert!(bucket.try_acquire(1).is_err(), "this case refuses");
    move || {
        black_box(black_box(bucket).try_acquire(1).is_ok());
    }
}

fn retry_at<C: Clock>(bucket: &'static TokenBucket<C>) -> impl FnMut() {
    assert!(bucket.try_acquire(1).is_err(), "this case refuses");
    move || {
        let _answer = black_box(black_box(bucket).try_acquire(1));
    }
}

fn unchecked<C: governor::clock::Clock>(limiter: &'static Governor<C>) -> impl FnMut() {
    assert!(limiter.check().is_err(), "this case refuses");
    move || {
        black_box(black_box(limiter).check().is_ok());
    }
}

fn earliest<C: governor::clock::Clock>(limiter: &'static Governor<C>) -> impl FnMut() {
    assert!(limiter.check().is_err(), "this case refuses");
    move || {
        let answer = black_box(limiter).check();
        let _at = black_box(answer.map_err(|until| until.earliest_possible()));
    }
}

fn acquires(cases: &mut Vec<Case>) {
    acquires_on(cases, "acquire-os", SystemClock);
    cases.push(Case::single("acquire-os", "governor until_ready, polled once", || {
        let limiter = governor(MonotonicClock);
        move || poll_once(black_box(limiter).until_ready())
    }));
    cases.push(Case::single("acquire-os", "leaky-bucket acquire, polled once", || {
        let limiter = leaky();
        move || poll_once(black_box(limiter).acquire(1))
    }));
    acquires_on(cases, "acquire-counter", TscClock);
    cases.push(Case::single("acquire-counter", "governor until_ready, polled once", || {
        let limiter = governor(QuantaClock::default());
        move || poll_once(black_box(limiter).until_ready())
    }));
}

/// Here the reference is `try_acquire`.
fn acquires_on<C: Timer + Copy + 'static>(cases: &mut Vec<Case>, group: &'static str, clock: C) {
    cases.push(Case::single(group, "try_acquire", move || try_acquire(bucket(EVEN, clock))));
    cases.push(Case::single(group, "acquire.wait()", move || {
        let bucket = bucket(EVEN, clock);
        move || {
            black_box(black_box(bucket).acquire(1).wait().is_ok());
        }
    }));
    cases.push(Case::single(group, "acquire, polled once", move || {
        let bucket = bucket(EVEN, clock);
        move || poll_once(black_box(bucket).acquire(1))
    }));
}

#[inline]
fn poll_once(future: impl Future) {
    let mut context = Context::from_waker(Waker::noop());
    black_box(pin!(future).poll(&mut context).is_ready());
}

fn leases(cases: &mut Vec<Case>) {
    const GROUP: &str = "lease";
    // The reference is one decrement in memory.
    cases.push(Case::single(GROUP, "REF", || {
        let mut held = u64::MAX;
        move || {
            let held = black_box(&mut held);
            *held -= 1;
        }
    }));
    cases.push(Case::single(GROUP, "steadfast use_held", || {
        let mut lease = Lease::new(bucket(EVEN, TscClock), BATCH).expect("a valid batch");
        lease.add_prepaid(u64::MAX);
        move || {
            black_box(black_box(&mut lease).use_held(1));
        }
    }));
    // Refills of the lease included.
    cases.push(Case::single(GROUP, "steadfast try_acquire", || {
        let mut lease = Lease::new(bucket(EVEN, TscClock), BATCH).expect("a valid batch");
        move || {
            black_box(black_box(&mut lease).try_acquire(1).is_ok());
        }
    }));
}

fn pairs(cases: &mut Vec<Case>) {
    const COUNTER: &str = "pair-counter";
    cases.push(Case::pair(
        COUNTER,
        "REF",
        || (leak(quanta::Clock::new()), word()),
        |(clock, word), _| {
            move || {
                black_box(clock.raw());
                let mut seen = black_box(word).load(Ordering::Acquire);
                while let Err(newer) =
                    word.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire)
                {
                    seen = newer;
                }
            }
        },
    ));
    cases.push(Case::pair(COUNTER, "steadfast", || bucket(EVEN, TscClock), |b, _| try_acquire(b)));
    cases.push(Case::pair(
        COUNTER,
        "governor",
        || governor(QuantaClock::default()),
        |g, _| check(g),
    ));
    cases.push(Case::pair(COUNTER, "steadfast, a lease each", wide_bucket, |bucket, _| {
        let mut lease = Lease::new(bucket, BATCH).expect("a valid batch");
        move || {
            black_box(black_box(&mut lease).try_acquire(1).is_ok());
        }
    }));

    const OS: &str = "pair-os";
    cases.push(Case::pair(OS, "REF", word, |word, _| {
        move || {
            black_box(now());
            let mut seen = black_box(word).load(Ordering::Acquire);
            while let Err(newer) =
                word.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire)
            {
                seen = newer;
            }
        }
    }));
    cases.push(Case::pair(OS, "steadfast", || bucket(EVEN, SystemClock), |b, _| try_acquire(b)));
    cases.push(Case::pair(OS, "governor", || governor(MonotonicClock), |g, _| check(g)));
    cases.push(Case::pair(OS, "ratelimit", ratelimit, |r, _| try_wait(r)));
    cases.push(Case::pair(OS, "leaky-bucket", leaky, |l, _| try_leaky(l)));
}

/// A try on the OS clock by so many threads on one bucket.
pub fn granted_to(threads: usize) -> Vec<Case> {
    const GROUP: &str = "threads-bucket";
    vec![
        Case::crowd(
            GROUP,
            "steadfast",
            threads,
            || bucket(EVEN, SystemClock),
            |b, _| try_acquire(b),
        ),
        Case::crowd(GROUP, "governor", threads, || governor(MonotonicClock), |g, _| check(g)),
    ]
}

/// Two leases take tokens faster than one a nanosecond.
fn wide_bucket() -> &'static TokenBucket<TscClock> {
    let config = Config::new(Rate::per_second(32 * EVEN)).burst(1 << 50);
    leak(config.build_with(TscClock).expect("a valid rate"))
}

fn keyed(all: &mut Vec<Case>) {
    let mut cases = Vec::new();
    cases.extend(keyed_with(KEYS));

    const COUNTER: &str = "keyed-counter";
    cases.push(Case::single(COUNTER, "steadfast", || {
        on_draws(keyed_on(TscClock, KEYS), KEYS, 0, keyed_once)
    }));
    cases.push(Case::single(COUNTER, "governor", || {
        on_draws(governed(QuantaClock::default(), KEYS), KEYS, 0, governed_once)
    }));

    const OS_PAIR: &str = "keyed-pair-os";
    cases.push(Case::pair(
        OS_PAIR,
        "REF",
        || mutexed(KEYS),
        |m, core| on_draws(m, KEYS, core, mutexed_once),
    ));
    cases.push(Case::pair(
        OS_PAIR,
        "steadfast",
        || keyed_on(SystemClock, KEYS),
        |k, core| on_draws(k, KEYS, core, keyed_once),
    ));
    cases.push(Case::pair(
        OS_PAIR,
        "governor",
        || governed(MonotonicClock, KEYS),
        |g, core| on_draws(g, KEYS, core, governed_once),
    ));

    const COUNTER_PAIR: &str = "keyed-pair-counter";
    cases.push(Case::pair(
        COUNTER_PAIR,
        "steadfast",
        || keyed_on(TscClock, KEYS),
        |k, core| on_draws(k, KEYS, core, keyed_once),
    ));
    cases.push(Case::pair(
        COUNTER_PAIR,
        "governor",
        || governed(QuantaClock::default(), KEYS),
        |g, core| on_draws(g, KEYS, core, governed_once),
    ));
    all.extend(cases.into_iter().map(Case::with_table));
}

/// A try on the OS clock with so many keys.
pub fn keyed_with(keys: u64) -> Vec<Case> {
    const GROUP: &str = "keyed-os";
    let cases = [
        Case::single(GROUP, "REF", move || on_draws(mutexed(keys), keys, 0, mutexed_once)),
        Case::single(GROUP, "steadfast", move || {
            on_draws(keyed_on(SystemClock, keys), keys, 0, keyed_once)
        }),
        Case::single(GROUP, "governor", move || {
            on_draws(governed(MonotonicClock, keys), keys, 0, governed_once)
        }),
    ];
    cases.map(Case::with_table).into()
}

fn keyed_on<C: Clock + Copy>(clock: C, keys: u64) -> &'static Keyed<u64, C> {
    let config = Config::new(Rate::per_second(EVEN)).burst(10_000_000);
    let capacity = usize::try_from(keys).expect("fits");
    let keyed = Keyed::<u64>::builder(config, capacity).build_with(clock).expect("a valid rate");
    // Added while in use, so that none is forgotten for the next.
    let at = clock.now();
    for index in 0..keys {
        assert!(keyed.try_acquire_at(&key(index), 10_000_000, at).is_ok(), "a place for each");
    }
    leak(keyed)
}

fn keyed_once<C: Clock>(keyed: &Keyed<u64, C>, key: &u64) {
    black_box(black_box(keyed).try_acquire(key, 1).is_ok());
}

fn governed<C: governor::clock::Clock>(clock: C, keys: u64) -> &'static GovernorKeyed<C> {
    let limiter = RateLimiter::dashmap_with_clock(often(), clock);
    for index in 0..keys {
        assert!(limiter.check_key(&key(index)).is_ok(), "begins full");
    }
    leak(limiter)
}

fn governed_once<C: governor::clock::Clock>(limiter: &GovernorKeyed<C>, key: &u64) {
    black_box(black_box(limiter).check_key(key).is_ok());
}

/// The reference for keys: one lock, one map, one word a key.
type Mutexed = Mutex<HashMap<u64, u64>>;

fn mutexed(keys: u64) -> &'static (StdInstant, Mutexed) {
    leak((now(), Mutex::new((0..keys).map(|index| (key(index), 0)).collect())))
}

#[expect(clippy::cast_possible_truncation, reason = "584 years")]
fn mutexed_once((origin, map): &(StdInstant, Mutexed), key: &u64) {
    let now = now().saturating_duration_since(*origin).as_nanos() as u64;
    let mut map = black_box(map).lock();
    let arrival = map.entry(*key).or_insert(0);
    *arrival = (*arrival).max(now) + 1;
    black_box(*arrival < now + 1_000);
}

/// Runs `once` on keys drawn uniformly, a sequence for each thread.
fn on_draws<T>(
    limiter: &'static T,
    keys: u64,
    core: usize,
    once: impl Fn(&T, &u64) + Copy,
) -> impl FnMut() {
    let draws = draws(keys, core);
    let mut next = core;
    move || {
        next = (next + 1) & (DRAWS - 1);
        once(limiter, &draws[next]);
    }
}

/// Of so many keys. Made once for all cases.
fn draws(keys: u64, core: usize) -> &'static [u64] {
    static DRAWN: Mutex<BTreeMap<(u64, usize), &'static [u64]>> = Mutex::new(BTreeMap::new());
    DRAWN.lock().entry((keys, core)).or_insert_with(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15 ^ core as u64;
        let draw = |_| {
            // xorshift64*, Vigna 2016.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            key((state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % keys)
        };
        Vec::leak((0..DRAWS).map(draw).collect())
    })
}

/// Keys are spread over all 64 bits, as identifiers are.
const fn key(index: u64) -> u64 {
    index.wrapping_mul(0xD605_1DA2_53B1_2E4B)
}
