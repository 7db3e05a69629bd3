//! The five primitives without a heap: what both a program and the interrupt that interrupts it use at the
//! same time first, what the program alone uses after that.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::cell::Cell;
use core::time::Duration;

use cortex_m::interrupt;
use cortex_m_rt::{entry, exception};
use panic_semihosting as _;
use steadfast::backoff::{self, Jitter, Policy, Random};
use steadfast::circuit_breaker::{self, AtomicU64, CircuitBreaker, Permit, Phase};
use steadfast::deduplicator::{self, Fixed, Hashed, LocalDeduplicator, Sighting, SipKeys};
use steadfast::sequence_tracker::{self, Arrival, Due, Freshness, Gap, SharedReplayWindow};
use steadfast::token_bucket::{self, Rate, TokenBucket};
use steadfast::{Clock, Instant};
use steadfast_bare_metal::side::NUMBERS;
use steadfast_bare_metal::{Checks, Mine, Side, Ticks, ticks};

/// Tokens and the milliseconds in which they come; a fraction a tick.
const RATE: (u32, u32) = (7, 3);
const BURST: u32 = 5;
static BUCKET: TokenBucket<Ticks> =
    token_bucket::Config::new(Rate::new(RATE.0 as u64, Duration::from_millis(RATE.1 as u64)))
        .burst(BURST as u64)
        .build_static_with(Ticks);

const FAILURES: u32 = 3;
const PROBES: u32 = 2;
const BREAK: u32 = 20;
const BREAKING: circuit_breaker::Config = circuit_breaker::Config::new()
    .consecutive_failures(FAILURES)
    .break_duration(Duration::from_millis(BREAK as u64))
    .probes(PROBES)
    .close_after(2);
const WORDS: usize = match BREAKING.terms() {
    Ok(terms) => terms.words(),
    Err(_) => 0,
};
type Breaker = CircuitBreaker<Ticks, [AtomicU64; WORDS]>;
static BREAKER: Breaker = BREAKING.build_static_with(Ticks, 0);
/// From when to when, in ticks, the service that is called does not work.
const OUTAGE: core::ops::Range<u32> = 500..2_000;
/// For how long the two sides share everything.
const SHARED: u32 = 4_000;

static WINDOW: SharedReplayWindow<33> = SharedReplayWindow::new();
/// The number at which the thread is.
static AT: Mine = Mine::new();

static THREAD: Side = Side::new();
static INTERRUPT: Side = Side::new();
/// What the thread is in.
static INSIDE: Mine = Mine::new();
/// How often it was interrupted there.
static INTERRUPTED: [Mine; 4] = [Mine::new(), Mine::new(), Mine::new(), Mine::new()];
/// The most probes that were in flight.
static MOST_PROBES: Mine = Mine::new();
/// Calls that were permitted while the service did not work.
static CALLED_IN_VAIN: Mine = Mine::new();

/// `f`, in which the interrupt counts the thread as being in primitive `which`.
fn inside<R>(which: u32, f: impl FnOnce() -> R) -> R {
    INSIDE.set(which);
    let result = f();
    INSIDE.set(0);
    result
}

fn works(now: u32) -> bool {
    !OUTAGE.contains(&now)
}

/// A small generator (Marsaglia's xorshift): the same numbers each time.
struct Xorshift(u32);

impl Xorshift {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % end
    }
}

/// The interrupt: one more tick, and one use of each of the three.
#[exception]
fn SysTick() {
    static mut HELD: Option<Permit<&'static Breaker>> = None;
    static mut DRAWS: Xorshift = Xorshift(0x5EED);
    let now = ticks::advance();
    if now >= SHARED {
        *HELD = None;
        return;
    }
    INTERRUPTED[INSIDE.value() as usize].add(1);
    let me = &INTERRUPT;

    if BUCKET.try_acquire(1).is_ok() {
        me.granted.add(1);
    }

    // The one that the thread may be recording, one before it and one after it.
    let at = AT.value();
    let (late, early) = (at.saturating_sub(DRAWS.below(200)), at + DRAWS.below(8));
    for number in [at, late, early] {
        if number < NUMBERS {
            me.note_number(number, WINDOW.record(u64::from(number)));
        }
    }

    match HELD.take() {
        // Some calls last for some ticks.
        Some(permit) if DRAWS.below(3) == 0 => me.end_call(permit, works(now)),
        Some(permit) => *HELD = Some(permit),
        None => *HELD = call(me),
    }
}

/// Asks for leave to call the service.
fn call(side: &Side) -> Option<Permit<&'static Breaker>> {
    let answer = BREAKER.try_acquire();
    let permit = side.note_call(answer, Ticks::count());
    if permit.is_some() && !works(Ticks::count()) {
        CALLED_IN_VAIN.add(1);
    }
    let probing = THREAD.probing.value() + INTERRUPT.probing.value();
    MOST_PROBES.set(MOST_PROBES.value().max(probing));
    permit
}

#[entry]
fn main() -> ! {
    let mut checks = Checks::default();
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        ticks::start(peripherals.SYST);
    }
    shared(&mut checks);
    breaker_alone(&mut checks);
    backoff_alone(&mut checks);
    tracker_alone(&mut checks);
    deduplicator_alone(&mut checks);
    checks.finish();
}

/// Tokens granted, and the time, as of one moment; both in thirds, in which they are whole.
fn granted_and_accrued() -> (i64, i64) {
    interrupt::free(|_| {
        let granted = THREAD.granted.value() + INTERRUPT.granted.value();
        (i64::from(granted * RATE.1), i64::from(Ticks::count() * RATE.0))
    })
}

/// The thread and the interrupt use one bucket, one window and one breaker.
fn shared(checks: &mut Checks) {
    let me = &THREAD;
    let mut draws = Xorshift(0xFEED);
    let mut held: [Option<Permit<&'static Breaker>>; 3] = [None, None, None];
    // Of all windows of time that began so far, the least of granted - accrued at their beginning.
    let mut least = 0;
    let mut most_in_a_window = 0;
    while Ticks::count() < SHARED {
        if inside(1, || BUCKET.try_acquire(1)).is_ok() {
            me.granted.add(1);
        }
        let (granted, accrued) = granted_and_accrued();
        most_in_a_window = most_in_a_window.max(granted - accrued - least);
        least = least.min(granted - accrued);

        let number = AT.value();
        if number < NUMBERS {
            let freshness = inside(2, || WINDOW.record(u64::from(number)));
            me.note_number(number, freshness);
            AT.set(number + 1);
        }

        // OK: below 3.
        let slot = &mut held[draws.below(3) as usize];
        match slot.take() {
            Some(permit) if draws.below(2) == 0 => {
                inside(3, || me.end_call(permit, works(Ticks::count())));
            }
            Some(permit) => *slot = Some(permit),
            None => *slot = inside(3, || call(me)),
        }
        // So that the interrupt comes at every place.
        cortex_m::asm::delay(draws.below(50));
    }
    held = [None, None, None];
    drop(held);

    for (which, claim) in [
        (1, "the interrupt came inside a request for tokens 100 times or more"),
        (2, "the interrupt came inside the recording of a number 100 times or more"),
        (3, "the interrupt came inside a call of the breaker 100 times or more"),
    ] {
        checks.check(claim, INTERRUPTED[which].value() >= 100);
    }
    bucket_was_shared(checks, most_in_a_window);
    window_was_shared(checks);
    breaker_was_shared(checks);
}

fn bucket_was_shared(checks: &mut Checks, most_in_a_window: i64) {
    let both = THREAD.granted.value() >= 100 && INTERRUPT.granted.value() >= 100;
    checks.check("tokens: thread and interrupt were granted 100 or more each", both);
    checks.check(
        "tokens: in no window of time more than burst + rate x time, thread and interrupt together",
        most_in_a_window <= i64::from(BURST * RATE.1),
    );
    while BUCKET.try_acquire(1).is_ok() {
        THREAD.granted.add(1);
    }
    let (granted, accrued) = granted_and_accrued();
    let left = i64::from(BURST * RATE.1) + accrued - granted;
    checks.check("tokens: since the start not more than burst + rate x time", left >= 0);
    // Less than a token, and a tick that may have come in between.
    checks.check(
        "tokens: nor less, as they were always asked for",
        left < i64::from(RATE.1 + RATE.0),
    );
}

fn window_was_shared(checks: &mut Checks) {
    let (thread, interrupt) = (&THREAD, &INTERRUPT);
    checks.check("numbers: all were offered", AT.value() == NUMBERS);
    checks.check(
        "numbers: each was fresh to exactly one of thread and interrupt",
        (0..NUMBERS).all(|number| thread.was_fresh(number) != interrupt.was_fresh(number)),
    );
    checks.check(
        "numbers: none was fresh twice to either",
        thread.fresh_twice.value() == 0 && interrupt.fresh_twice.value() == 0,
    );
    checks.check(
        "numbers: each side was told of 100 or more duplicates of the other's",
        thread.duplicates.value() >= 100 && interrupt.duplicates.value() >= 100,
    );
    checks.check(
        "numbers: none inside the window was too old",
        thread.too_old.value() == 0 && interrupt.too_old.value() == 0,
    );
    let edge = WINDOW.right_edge();
    checks.check("numbers: the right edge is the last", edge == Some(u64::from(NUMBERS - 1)));
    let oldest = edge.map_or(0, |edge| edge - 255);
    checks.check(
        "numbers: what is 256 below the edge is too old, what is 255 below is a duplicate",
        WINDOW.record(oldest - 1) == Freshness::TooOld
            && WINDOW.record(oldest) == Freshness::Duplicate,
    );
}

fn breaker_was_shared(checks: &mut Checks) {
    let both = THREAD.permitted.value() >= 100 && INTERRUPT.permitted.value() >= 100;
    checks.check("breaker: thread and interrupt were permitted 100 calls or more each", both);
    let most = MOST_PROBES.value();
    checks.check("breaker: two probes were in flight at times, and never more", most == PROBES);
    checks.check(
        "breaker: others were refused meanwhile",
        THREAD.busy.value() + INTERRUPT.busy.value() >= 10,
    );
    checks.check(
        "breaker: nobody was permitted a call before the time that a refusal said",
        THREAD.broken_promises.value() == 0 && INTERRUPT.broken_promises.value() == 0,
    );
    let breaks = (OUTAGE.end - OUTAGE.start) / BREAK;
    let in_vain = CALLED_IN_VAIN.value();
    checks.check("breaker: it probed during the outage, break after break", in_vain >= breaks / 2);
    // Three in a row, with three and one in flight; then two a break.
    checks.check(
        "breaker: it was called in vain a few times, and then by probes alone",
        in_vain <= FAILURES + 4 + PROBES * (breaks + 1),
    );
    checks.check("breaker: it closed when calls worked again", BREAKER.phase() == Phase::Closed);
}

fn breaker_alone(checks: &mut Checks) {
    let fail = || BREAKER.call(|| Err::<(), _>(())).is_err();
    let late = BREAKER.try_acquire();
    for _ in 1..FAILURES {
        fail();
    }
    checks.check("breaker: two failures do not open it", BREAKER.phase() == Phase::Closed);
    fail();
    checks.check("breaker: the third does", BREAKER.phase() == Phase::Open);
    ticks::sleep(BREAK - 2);
    checks.check("breaker: refused until the break is over", BREAKER.try_acquire().is_err());
    ticks::sleep(2);
    let probes = (BREAKER.try_acquire(), BREAKER.try_acquire());
    let two = matches!(&probes, (Ok(a), Ok(b)) if a.is_probe() && b.is_probe());
    checks.check("breaker: two probes when it is over, not three", {
        two && BREAKER.try_acquire().is_err()
    });
    drop(probes.0);
    checks.check("breaker: a probe that is dropped makes room for another", {
        BREAKER.try_acquire().is_ok_and(|probe| {
            probe.success();
            true
        })
    });
    if let Ok(probe) = probes.1 {
        probe.success();
    }
    checks.check("breaker: two that worked close it", BREAKER.phase() == Phase::Closed);
    fail();
    fail();
    if let Ok(late) = late {
        late.failure();
    }
    checks.check(
        "breaker: a failure of a call that began in an earlier life does not count",
        BREAKER.phase() == Phase::Closed,
    );
}

fn backoff_alone(checks: &mut Checks) {
    const BASE: Duration = Duration::from_millis(3);
    const CAP: Duration = Duration::from_millis(200);
    const PLAIN: backoff::Config = backoff::Config::exponential(BASE).cap(CAP).max_retries(9);
    const EXACT: Policy = PLAIN.jitter(Jitter::None).build_static();
    const FULL: Policy = PLAIN.jitter(Jitter::Full).floor(Duration::from_millis(1)).build_static();
    const EQUAL: Policy = PLAIN.jitter(Jitter::Equal).build_static();
    const WALK: Policy = PLAIN.jitter(Jitter::Decorrelated).build_static();

    // As a program seeds it that has no other source: by when it was started.
    let mut random = Random::from_seed(Ticks.now().as_nanos());
    let exact = |attempt: u32| (BASE * (1 << attempt)).min(CAP);
    let mut delays = EXACT.delays(random.clone());
    checks.check(
        "backoff: without jitter each delay is twice the one before, up to the cap",
        (0..9).all(|attempt| delays.next() == Some(exact(attempt))),
    );
    checks.check("backoff: there are as many delays as retries", delays.next().is_none());
    let mut all_within = true;
    let mut all_equal_within = true;
    let mut walks_within = true;
    let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
    for _ in 0..50 {
        for attempt in 0..9 {
            let delay = FULL.delay(attempt, &mut random);
            all_within &= (FULL.floor()..=exact(attempt)).contains(&delay);
            let delay = EQUAL.delay(attempt, &mut random);
            all_equal_within &= (exact(attempt) / 2..=exact(attempt)).contains(&delay);
        }
        let last = FULL.delay(8, &mut random);
        (least, most) = (least.min(last), most.max(last));
        walks_within &= WALK.delays(random.clone()).all(|delay| (BASE..=CAP).contains(&delay));
    }
    checks.check("backoff: full jitter is between floor and the exact delay", all_within);
    checks.check("backoff: equal jitter is in the upper half", all_equal_within);
    checks.check("backoff: decorrelated jitter is between base and cap", walks_within);
    checks
        .check("backoff: jitter spreads over the interval", least < CAP / 4 && most > CAP * 3 / 4);

    // A call that fails twice and is tried again after each delay.
    let began = Ticks::count();
    let mut calls = 0;
    for delay in EXACT.delays(random) {
        calls += 1;
        if calls == 3 {
            break;
        }
        // OK: at most 200.
        ticks::sleep(delay.as_millis() as u32);
    }
    let took = Ticks::count() - began;
    checks.check("backoff: three attempts take the first two delays", (9..=10).contains(&took));
}

fn tracker_alone(checks: &mut Checks) {
    const REQUESTS: backoff::Config =
        backoff::Config::constant(Duration::from_millis(10)).jitter(Jitter::None).max_retries(2);
    let config = sequence_tracker::Config::new()
        .width(sequence_tracker::Width::U16)
        .starts_at(65_530)
        .request(REQUESTS);
    let Ok(mut tracker) = config.state_in([Gap::EMPTY; 4]) else {
        return checks.check("tracker: it can be made in memory of ours", false);
    };
    let mut record = |number| tracker.record(number, Ticks.now());
    let wraps = record(65_530).is_fresh()
        && (65_531..=65_535).chain(0..=2).all(|number| record(number) == Arrival::Next);
    checks.check("tracker: numbers of 16 bits go on after 65,535", wraps);
    let ahead = record(6) == Arrival::Ahead { missing: 3, abandoned: None };
    checks.check("tracker: what is left out is missing", ahead);
    let filled = record(4) == Arrival::Filled { remaining: 2, abandoned: None };
    checks.check("tracker: what comes late fills its gap, once", {
        filled && record(4) == Arrival::Duplicate
    });
    checks.check("tracker: the rest is still missing", {
        let edge = tracker.right_edge();
        let missing = tracker.missing().map(|run| edge.map_or(0, |edge| edge - *run.start()));
        tracker.missing_count() == 2 && missing.eq([3, 1])
    });

    let is_request = |due: &Due| matches!(due, Due::Request { .. });
    let mut draw = || 0;
    let early = tracker.due(Ticks.now(), &mut draw).count();
    ticks::sleep(11);
    let requested = tracker.due(Ticks.now(), &mut draw).filter(is_request).count();
    checks.check("tracker: a gap is requested after its delay, not before", {
        early == 0 && requested == 2
    });
    for _ in 0..3 {
        ticks::sleep(11);
        tracker.due(Ticks.now(), &mut draw).for_each(drop);
    }
    checks.check("tracker: after the last request it is given up", tracker.missing_count() == 0);
    for number in (10..30).step_by(2) {
        let _arrival = tracker.record(number, Ticks.now());
    }
    checks.check("tracker: there are never more gaps than places", tracker.gaps().len() == 4);
}

fn deduplicator_alone(checks: &mut Checks) {
    const LAST: deduplicator::Config =
        deduplicator::Config::new(40).ttl(Duration::from_millis(100));
    type Memory = Fixed<{ LAST.lines() }, { LAST.words() }>;
    let seen: Result<LocalDeduplicator<SipKeys, Memory>, _> =
        LAST.local_in(Memory::new(), SipKeys::from_seed(Ticks.now().as_nanos()));
    let Ok(mut seen) = seen else {
        return checks.check("deduplicator: it can be made in memory of ours", false);
    };
    let now = Ticks.now();
    let seen_at = Cell::new(now);
    let mut is_fresh = |id: u32| seen.insert(&id, seen_at.get()).is_fresh();
    checks.check("deduplicator: 40 ids are fresh", (0..40).all(&mut is_fresh));
    checks.check("deduplicator: all are found again", (0..40).all(|id| !is_fresh(id)));
    let id_0_leaves = is_fresh(40) && is_fresh(0);
    checks.check("deduplicator: the oldest leaves for a new one", id_0_leaves);
    // 0 and 40 have come; 1 left for 0.
    checks.check("deduplicator: in the order of first sight", (2..41).all(|id| !is_fresh(id)));
    checks.check("deduplicator: which duplicates do not change", is_fresh(1) && is_fresh(2));

    ticks::sleep(50);
    let later = Ticks.now();
    checks.check("deduplicator: half way through its time an id is found, and since when", {
        seen.insert(&40_u32, later) == Sighting::Duplicate { first_seen: now }
    });
    ticks::sleep(50);
    checks.check("deduplicator: when its time is over all are gone", seen.is_empty(Ticks.now()));
    let key = Hashed(("order", 17_u8));
    checks.check("deduplicator: texts and what can be hashed are ids", {
        let now: Instant = Ticks.now();
        let twice = [0; 2].map(|_| seen.insert("order 17", now).is_fresh());
        let hashed = [0; 2].map(|_| seen.insert(&key, now).is_fresh());
        twice == [true, false] && hashed == [true, false]
    });
    let stats = seen.stats();
    checks.check("deduplicator: what was counted adds up", {
        // 40 + ids 40, 0, 1 and 2 + two texts.
        stats.fresh == 46 && stats.evicted == 4 && stats.expired <= 40
    });
}
