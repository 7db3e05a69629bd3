//! The pure machine and the shared breaker against a naive oracle that keeps everything that was
//! reported, with its time, and works everything out from that.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use steadfast_backoff::Jitter;
use steadfast_circuit_breaker::state::{
    Decision, Effects, Look, MAX_STEP_BACK, Metrics, Pass, State, Wake,
};
use steadfast_circuit_breaker::{
    Change, Changes, CircuitBreaker, Config, Counted, Outcome, Permit, Phase, Reason, Tally, Trip,
    TryAcquireError, Window,
};
use steadfast_core::{Instant, ManualClock, saturating_nanos};

const BILLION: u64 = 1_000_000_000;
const FAR_BACK: u64 = saturating_nanos(MAX_STEP_BACK);

/// A rule over the last calls.
#[derive(Debug, Clone, Copy)]
pub struct ByCalls {
    /// N.
    pub calls: u8,
    /// Of how many at least.
    pub minimum: u8,
    /// The rate, in billionths.
    pub parts: u32,
}

/// A rule over the last time.
#[derive(Debug, Clone, Copy)]
pub struct ByTime {
    /// How long one of the slices is, in nanoseconds.
    pub slice: u64,
    /// How many there are.
    pub slices: u8,
    /// Of how many calls at least.
    pub minimum: u8,
    /// The rate, in billionths.
    pub parts: u32,
}

/// How breaks grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Fixed,
    /// Not at all, but by a backoff.
    Constant,
    /// Base, twice the base, three times.
    Linear,
    /// Base, twice that, twice that.
    Exponential,
    /// Each the sum of the two before.
    Fibonacci,
    /// The longest that a decorrelated jitter can draw: three times the break before.
    Tripled,
}

/// What closes it again.
#[derive(Debug, Clone, Copy)]
pub enum Close {
    /// So many successes.
    After(u8),
    /// So many probes of which less than so many billionths failed.
    ByRate(u32, u8),
}

/// What a breaker is held to. Any numbers will do: [`Setup::fitted`] makes them fit.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Failures in a row.
    pub consecutive: Option<u8>,
    /// The share of failures.
    pub failures_by_calls: Option<ByCalls>,
    /// The share of failures.
    pub failures_by_time: Option<ByTime>,
    /// The share of slow calls.
    pub slow_by_calls: Option<ByCalls>,
    /// The share of slow calls.
    pub slow_by_time: Option<ByTime>,
    /// What is slow, in nanoseconds.
    pub slow_after: u64,
    /// How breaks grow.
    pub growth: Growth,
    /// The first break, in nanoseconds.
    pub base: u64,
    /// The longest break that grew, in nanoseconds.
    pub cap: Option<u64>,
    /// In nanoseconds.
    pub reset_after: u64,
    /// In nanoseconds.
    pub max_hint: u64,
    /// P.
    pub probes: u8,
    /// What closes it again.
    pub close: Close,
    /// In nanoseconds.
    pub probe_timeout: u64,
    /// From so many billionths in so many nanoseconds.
    pub ramp: Option<(u32, u64)>,
}

impl Setup {
    /// The nearest that can be built.
    #[must_use]
    pub fn fitted(self) -> Self {
        let parts = |parts: u32| parts.clamp(1, 1_000_000_000);
        let by_calls = |rule: ByCalls| {
            let calls = rule.calls.max(1);
            ByCalls { calls, minimum: rule.minimum.clamp(1, calls), parts: parts(rule.parts) }
        };
        let by_time = |rule: ByTime| {
            let slices = rule.slices.max(1);
            ByTime {
                slice: rule.slice.clamp(10_000, (u64::MAX - 1) / u64::from(slices)),
                slices,
                minimum: rule.minimum.max(1),
                parts: parts(rule.parts),
            }
        };
        let none = self.failures_by_calls.is_none()
            && self.failures_by_time.is_none()
            && self.slow_by_calls.is_none()
            && self.slow_by_time.is_none();
        let base = self.base.clamp(1, u64::MAX - 1);
        Self {
            consecutive: self.consecutive.map(|n| n.max(1)).or(none.then_some(2)),
            failures_by_calls: self.failures_by_calls.map(by_calls),
            failures_by_time: self.failures_by_time.map(by_time),
            slow_by_calls: self.slow_by_calls.map(by_calls),
            slow_by_time: self.slow_by_time.map(by_time),
            slow_after: self.slow_after.clamp(1, u64::MAX - 1),
            base,
            cap: self.cap.map(|cap| cap.max(base)),
            probes: self.probes.max(1),
            close: match self.close {
                Close::After(successes) => Close::After(successes.max(1)),
                Close::ByRate(rate, probes) => Close::ByRate(parts(rate), probes.max(1)),
            },
            probe_timeout: self.probe_timeout.max(1),
            ramp: self.ramp.map(|(share, over)| (parts(share), over.clamp(1, u64::MAX - 1))),
            ..self
        }
    }

    fn times_calls(&self) -> bool {
        self.slow_by_calls.is_some() || self.slow_by_time.is_some()
    }

    fn config(&self) -> Config {
        let rate = |parts: u32| f64::from(parts) / 1e9;
        let by_calls =
            |rule: ByCalls| Window::calls(rule.calls.into()).minimum(rule.minimum.into());
        let by_time = |rule: ByTime| {
            Window::time(Duration::from_nanos(rule.slice * u64::from(rule.slices)))
                .slices(rule.slices.into())
                .minimum(rule.minimum.into())
        };
        let mut config = Config::new()
            .reset_after(Duration::from_nanos(self.reset_after))
            .max_hint(Duration::from_nanos(self.max_hint))
            .probes(self.probes.into())
            .probe_timeout(Duration::from_nanos(self.probe_timeout))
            .counted(true);
        if let Some(failures) = self.consecutive {
            config = config.consecutive_failures(failures.into());
        }
        if let Some(rule) = self.failures_by_calls {
            config = config.failure_rate(rate(rule.parts), by_calls(rule));
        }
        if let Some(rule) = self.failures_by_time {
            config = config.failure_rate(rate(rule.parts), by_time(rule));
        }
        if let Some(rule) = self.slow_by_calls {
            config = config.slow_rate(rate(rule.parts), by_calls(rule));
        }
        if let Some(rule) = self.slow_by_time {
            config = config.slow_rate(rate(rule.parts), by_time(rule));
        }
        if self.times_calls() {
            config = config.slow_after(Duration::from_nanos(self.slow_after));
        }
        config = match self.close {
            Close::After(successes) => config.close_after(successes.into()),
            Close::ByRate(parts, probes) => config.close_by_rate(rate(parts), probes.into()),
        };
        if let Some((share, over)) = self.ramp {
            config = config.ramp_up(rate(share), Duration::from_nanos(over));
        }
        match self.backoff() {
            Some(delays) => config.growing_break(delays),
            None => config.break_duration(Duration::from_nanos(self.base)),
        }
    }

    fn backoff(&self) -> Option<steadfast_backoff::Config> {
        let base = Duration::from_nanos(self.base);
        let delays = match self.growth {
            Growth::Fixed => return None,
            Growth::Constant => steadfast_backoff::Config::constant(base),
            Growth::Linear => steadfast_backoff::Config::linear(base),
            Growth::Exponential => steadfast_backoff::Config::exponential(base),
            Growth::Fibonacci => steadfast_backoff::Config::fibonacci(base),
            Growth::Tripled => {
                steadfast_backoff::Config::constant(base).jitter(Jitter::Decorrelated)
            }
        };
        Some(self.cap.map_or(delays, |cap| delays.cap(Duration::from_nanos(cap))))
    }

    /// Whether a probe that was to report before `until` can lose its place.
    fn is_lost(&self, until: u64, now: u64) -> bool {
        let latest = now.saturating_add(self.probe_timeout).saturating_add(FAR_BACK);
        now >= until || until > latest
    }

    /// The break after `before` others in a row, the last of them of `previous`.
    fn break_after(&self, before: u32, previous: Option<u64>) -> u64 {
        let base = u128::from(self.base);
        let grown = match self.growth {
            Growth::Fixed => return self.base,
            Growth::Constant => base,
            Growth::Linear => base * (u128::from(before) + 1),
            Growth::Exponential => base << before.min(64),
            Growth::Fibonacci => {
                let (mut a, mut b) = (1_u128, 1_u128);
                for _ in 0..before.min(100) {
                    (a, b) = (b, a + b);
                }
                base.saturating_mul(a)
            }
            Growth::Tripled => base.max(3 * previous.map_or(base, u128::from)),
        };
        u64::try_from(grown).unwrap_or(u64::MAX).min(self.cap.unwrap_or(u64::MAX))
    }
}

/// What is reported of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It worked.
    Success,
    /// It did not.
    Failure,
    /// It did not, and the server asks for so many nanoseconds.
    Hint(u64),
    /// Neither.
    Ignore,
    /// Nothing: the permit is dropped.
    Drop,
}

impl Report {
    fn outcome(self) -> Outcome {
        match self {
            Self::Success => Outcome::Success,
            Self::Failure => Outcome::FAILURE,
            Self::Hint(ns) => Outcome::Failure { retry_after: Some(Duration::from_nanos(ns)) },
            Self::Ignore | Self::Drop => Outcome::Ignored,
        }
    }
}

/// Where time goes.
#[derive(Debug, Clone, Copy)]
pub enum Move {
    /// On, at most to its end.
    On(u64),
    /// Back, at most to its origin.
    Back(u64),
    /// Anywhere.
    To(u64),
    /// To the end of the break, or so many nanoseconds off it.
    BreakEnd(i8),
    /// To where the first probe loses its place.
    LeaseEnd(i8),
    /// To the end of the ramp-up.
    RampEnd(i8),
    /// To where one of the open calls becomes slow.
    Slow(u8, i8),
    /// To where the next slice of the first rule of time begins, and so many slices on.
    Slice(u8, i8),
    /// To where a trip is the first in a row again.
    Healthy(i8),
    /// Just as far back as a clock may be late, from the beginning of this life.
    Late(i8),
}

/// What can happen to a breaker.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Somebody asks for a permit.
    Acquire,
    /// Reports on one of the open permits, the oldest being number 0.
    Report(u8, Report),
    /// Somebody asks and reports at once.
    Call(Report),
    /// Says of an open permit that it may be slow.
    NoteSlow(u8),
    /// As an operator does.
    ForceOpen,
    /// As an operator does.
    ForceClosed,
    /// As an operator does.
    Reset,
    /// Time changes.
    Time(Move),
}

/// Builds a breaker at `at` and does `ops`, one after the other, to it and to the oracle.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(setup: Setup, at: u64, ops: &[Op]) {
    let mut model = Model::new(setup.fitted(), at);
    model.check();
    for &op in ops {
        model.step(op);
        model.check();
    }
}

/// The calls that a rule over the last calls has seen: whether each was bad.
#[derive(Debug, Default)]
struct CallLog(Vec<bool>);

impl CallLog {
    fn tally(&self, rule: ByCalls) -> Tally {
        let window = self.0.iter().rev().take(rule.calls.into());
        let bad = window.clone().filter(|&&bad| bad).count();
        Tally { calls: window.count() as u64, bad: bad as u64 }
    }
}

/// The calls that a rule over time has seen: the number of the slice, and whether each was bad.
#[derive(Debug, Default)]
struct TimeLog {
    calls: Vec<(u64, bool)>,
    /// The latest slice.
    latest: Option<u64>,
    restarts: u32,
}

impl TimeLog {
    /// The clock has stepped back by more than the window and more than it may be late.
    fn is_behind(&self, rule: ByTime, now: u64) -> bool {
        let most = (rule.slice * u64::from(rule.slices)).max(FAR_BACK);
        let latest = self.latest.unwrap_or(0) * rule.slice;
        now < latest.saturating_sub(most) && self.restarts < 7
    }

    fn count(&mut self, rule: ByTime, bad: bool, now: u64) {
        let slice = now / rule.slice;
        let latest = self.latest.unwrap_or(slice);
        let latest = if self.is_behind(rule, now) {
            self.calls.clear();
            self.restarts += 1;
            slice
        } else {
            latest.max(slice)
        };
        self.calls.push((latest, bad));
        self.latest = Some(latest);
    }

    fn tally(&self, rule: ByTime, now: u64) -> Tally {
        let Some(latest) = self.latest else { return Tally::default() };
        let at = if self.is_behind(rule, now) { latest } else { latest.max(now / rule.slice) };
        let window = self.calls.iter().filter(|(slice, _)| slice + u64::from(rule.slices) > at);
        let bad = window.clone().filter(|(_, bad)| *bad).count();
        Tally { calls: window.count() as u64, bad: bad as u64 }
    }
}

fn holds(tally: Tally, minimum: u8, parts: u32) -> bool {
    let (calls, bad) = (u128::from(tally.calls), u128::from(tally.bad));
    calls >= u128::from(minimum) && bad * u128::from(BILLION) >= calls * u128::from(parts)
}

/// A probe that has its place.
#[derive(Debug, Clone, Copy)]
struct Probe {
    id: usize,
    until: u64,
}

/// What this life is.
#[derive(Debug)]
enum Now {
    Closed,
    /// What was asked for so far: the first that asks is admitted, and then each share adds up.
    RampingUp {
        asked: Option<u64>,
    },
    Open {
        until: u64,
    },
    HalfOpen {
        places: Vec<Option<Probe>>,
        good: u64,
        bad: u64,
    },
    ForcedOpen,
    ForcedClosed,
}

/// A permit as the oracle sees it.
#[derive(Debug)]
struct Given {
    life: u32,
    probe: bool,
    began: u64,
    noted: bool,
    reported: bool,
}

/// The breaker by the book.
#[derive(Debug)]
struct Oracle {
    setup: Setup,
    life: u32,
    since: Option<u64>,
    now: Now,
    /// What was reported in this life: in order, whether each call failed.
    row: Vec<bool>,
    failures_by_calls: CallLog,
    slow_by_calls: CallLog,
    failures_by_time: TimeLog,
    slow_by_time: TimeLog,
    in_a_row: u32,
    last_break: Option<u64>,
    trips: u64,
    given: Vec<Given>,
    changes: Vec<Change>,
    counted: Counted,
}

/// What the oracle says to somebody who asks.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Granted { probe: bool },
    Open { until: u64 },
    Busy,
    RampingUp { until: u64 },
    Isolated,
}

impl Oracle {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            life: 1,
            since: None,
            now: Now::Closed,
            row: Vec::new(),
            failures_by_calls: CallLog::default(),
            slow_by_calls: CallLog::default(),
            failures_by_time: TimeLog::default(),
            slow_by_time: TimeLog::default(),
            in_a_row: 0,
            last_break: None,
            trips: 0,
            given: Vec::new(),
            changes: Vec::new(),
            counted: Counted::default(),
        }
    }

    fn phase(&self) -> Phase {
        match self.now {
            Now::Closed | Now::RampingUp { .. } => Phase::Closed,
            Now::Open { .. } => Phase::Open,
            Now::HalfOpen { .. } => Phase::HalfOpen,
            Now::ForcedOpen => Phase::ForcedOpen,
            Now::ForcedClosed => Phase::ForcedClosed,
        }
    }

    /// As the next call will find it.
    fn phase_at(&self, now: u64) -> Phase {
        match self.now {
            Now::Open { until } if now >= until => Phase::HalfOpen,
            _ => self.phase(),
        }
    }

    fn begin_life(&mut self, next: Now, reason: Reason, now: u64) {
        let from = self.phase();
        self.now = next;
        self.life += 1;
        self.since = Some(now);
        self.row.clear();
        self.failures_by_calls = CallLog::default();
        self.slow_by_calls = CallLog::default();
        self.failures_by_time = TimeLog::default();
        self.slow_by_time = TimeLog::default();
        let (life, at, to) = (self.life, Instant::from_nanos(now), self.phase());
        self.changes.push(Change { life, at, from, to, reason });
    }

    /// The share that is admitted, while it grows.
    fn share(&self, now: u64) -> Option<u64> {
        let (first, over) = self.setup.ramp?;
        let since = self.since?;
        let elapsed = now.saturating_sub(since);
        if elapsed >= over || now.saturating_add(FAR_BACK) < since {
            return None;
        }
        let rest = u128::from(BILLION - u64::from(first));
        let grown = rest * u128::from(elapsed) / u128::from(over);
        Some(u64::from(first) + u64::try_from(grown).expect("at most a billion"))
    }

    fn acquire(&mut self, now: u64) -> Answer {
        let answer = self.answer(now);
        match answer {
            Answer::Granted { .. } => self.counted.permitted += 1,
            _ => self.counted.rejected += 1,
        }
        answer
    }

    fn give(&mut self, probe: bool, now: u64) -> Answer {
        self.given.push(Given {
            life: self.life,
            probe,
            began: now,
            noted: false,
            reported: false,
        });
        Answer::Granted { probe }
    }

    fn answer(&mut self, now: u64) -> Answer {
        let setup = self.setup;
        let share = self.share(now);
        let id = self.given.len();
        let lease = Probe { id, until: now.saturating_add(self.setup.probe_timeout) };
        match &mut self.now {
            Now::Closed | Now::ForcedClosed => self.give(false, now),
            Now::ForcedOpen => Answer::Isolated,
            Now::RampingUp { asked } => {
                let Some(share) = share else {
                    self.now = Now::Closed;
                    return self.give(false, now);
                };
                let before = asked.unwrap_or(BILLION - share);
                *asked = Some(before + share);
                if (before + share) / BILLION > before / BILLION {
                    return self.give(false, now);
                }
                let (_, over) = self.setup.ramp.expect("a share");
                Answer::RampingUp { until: self.since.expect("changed").saturating_add(over) }
            }
            &mut Now::Open { until } if now < until => {
                let since = self.since.expect("it opened once");
                if now.saturating_add(FAR_BACK) >= since {
                    return Answer::Open { until };
                }
                let until = if until == u64::MAX { until } else { now + (until - since) };
                self.begin_life(Now::Open { until }, Reason::ClockSteppedBack, now);
                Answer::Open { until }
            }
            Now::Open { .. } => {
                let mut places = vec![None; self.setup.probes.into()];
                places[0] = Some(lease);
                self.begin_life(Now::HalfOpen { places, good: 0, bad: 0 }, Reason::BreakOver, now);
                self.give(true, now)
            }
            Now::HalfOpen { places, .. } => {
                let free = places.iter().position(Option::is_none);
                let is_lost = |place: &Option<Probe>| {
                    place.is_some_and(|probe| setup.is_lost(probe.until, now))
                };
                let lost = || places.iter().position(is_lost);
                let Some(place) = free.or_else(lost) else { return Answer::Busy };
                places[place] = Some(lease);
                self.give(true, now)
            }
        }
    }

    fn is_slow(&self, id: usize, now: u64) -> bool {
        let took = now.saturating_sub(self.given[id].began);
        self.setup.times_calls() && took >= self.setup.slow_after
    }

    /// What others have to be told of all changes since there were so many.
    fn effects(&self, before: usize, freed: bool) -> Effects {
        let change = self.changes.get(before).copied();
        let wake = match change.map(|change| change.to) {
            Some(Phase::Closed) if matches!(self.now, Now::RampingUp { .. }) => Wake::First,
            Some(Phase::Closed | Phase::ForcedClosed) => Wake::All,
            Some(_) => Wake::First,
            None if freed => Wake::First,
            None => Wake::Nobody,
        };
        Effects { wake, change }
    }

    fn report(&mut self, id: usize, report: Report, now: u64) -> Effects {
        assert!(!self.given[id].reported, "one report a permit");
        self.given[id].reported = true;
        let before = self.changes.len();
        let freed = if self.given[id].probe {
            self.report_probe(id, report, now)
        } else {
            self.report_call(id, report, now);
            false
        };
        self.effects(before, freed)
    }

    fn report_call(&mut self, id: usize, report: Report, now: u64) {
        let given = &self.given[id];
        let (hint, failed) = match report {
            _ if given.life != self.life => return,
            Report::Ignore | Report::Drop => return,
            Report::Success => (None, false),
            Report::Failure => (None, true),
            Report::Hint(hint) => (Some(hint), true),
        };
        let slow = (!given.noted).then(|| self.is_slow(id, now));
        self.row.push(failed);
        self.count(Some(failed), slow, hint, now);
    }

    fn note_slow(&mut self, id: usize, now: u64) -> Effects {
        let before = self.changes.len();
        let given = &self.given[id];
        if !given.probe && !given.noted && given.life == self.life && self.is_slow(id, now) {
            self.given[id].noted = true;
            self.count(None, Some(true), None, now);
        }
        self.effects(before, false)
    }

    /// Counts a call, and trips on the first rule that holds, if it is bad for that rule.
    fn count(&mut self, failed: Option<bool>, slow: Option<bool>, hint: Option<u64>, now: u64) {
        let setup = self.setup;
        let mut reason = None;
        let mut holds_if = |held: bool, why: Reason| {
            if held {
                reason.get_or_insert(why);
            }
        };
        if let (Some(true), Some(most)) = (failed, setup.consecutive) {
            let row = self.row.iter().rev().take_while(|&&failed| failed).count();
            holds_if(row >= usize::from(most), Reason::ConsecutiveFailures);
        }
        let by_calls = [
            (failed, &mut self.failures_by_calls, setup.failures_by_calls),
            (slow, &mut self.slow_by_calls, setup.slow_by_calls),
        ];
        let mut held = [false; 2];
        for ((bad, log, rule), held) in by_calls.into_iter().zip(&mut held) {
            if let (Some(bad), Some(rule)) = (bad, rule) {
                log.0.push(bad);
                *held = bad && holds(log.tally(rule), rule.minimum, rule.parts);
            }
        }
        let by_time = [
            (failed, &mut self.failures_by_time, setup.failures_by_time),
            (slow, &mut self.slow_by_time, setup.slow_by_time),
        ];
        let mut held_by_time = [false; 2];
        for ((bad, log, rule), held) in by_time.into_iter().zip(&mut held_by_time) {
            if let (Some(bad), Some(rule)) = (bad, rule) {
                log.count(rule, bad, now);
                *held = bad && holds(log.tally(rule, now), rule.minimum, rule.parts);
            }
        }
        holds_if(held[0], Reason::FailureRateByCalls);
        holds_if(held_by_time[0], Reason::FailureRateByTime);
        holds_if(held[1], Reason::SlowRateByCalls);
        holds_if(held_by_time[1], Reason::SlowRateByTime);
        let Some(reason) = reason else { return };
        if matches!(self.now, Now::ForcedClosed) {
            return;
        }
        if self.is_healthy(now) {
            self.in_a_row = 0;
        }
        self.open(reason, hint, now);
    }

    /// Whether it has been closed for so long that the next trip is the first in a row.
    fn is_healthy(&self, now: u64) -> bool {
        let reset_after = self.setup.reset_after;
        let closed_for = self.since.map(|since| now.saturating_sub(since));
        reset_after > 0 && closed_for.is_some_and(|closed_for| closed_for >= reset_after)
    }

    fn open(&mut self, reason: Reason, hint: Option<u64>, now: u64) {
        let previous = if self.in_a_row > 0 { self.last_break } else { None };
        // A hint of nothing is none.
        let hint = hint.map(|hint| hint.min(self.setup.max_hint)).filter(|&hint| hint > 0);
        let duration = match hint {
            Some(hint) => hint,
            None => self.setup.break_after(self.in_a_row, previous),
        };
        self.in_a_row = (self.in_a_row + 1).min(1_023);
        self.last_break = Some(duration);
        self.trips += 1;
        self.begin_life(Now::Open { until: now.saturating_add(duration) }, reason, now);
    }

    /// Whether it freed a place.
    fn report_probe(&mut self, id: usize, report: Report, now: u64) -> bool {
        let life = self.given[id].life;
        let slow = self.is_slow(id, now);
        let Now::HalfOpen { places, good, bad } = &mut self.now else { return false };
        let own = places.iter_mut().find(|place| place.is_some_and(|probe| probe.id == id));
        let (true, Some(place)) = (life == self.life, own) else { return false };
        let in_time = now < place.expect("found").until;
        *place = None;
        let (worked, hint) = match report {
            Report::Ignore | Report::Drop => return true,
            _ if !in_time => return true,
            Report::Success => (!slow, None),
            Report::Failure => (false, None),
            Report::Hint(hint) => (false, Some(hint)),
        };
        if worked {
            *good += 1;
        } else {
            *bad += 1;
        }
        let (good, bad) = (*good, *bad);
        let (enough, too_many) = match self.setup.close {
            Close::After(successes) => (good >= successes.into(), bad > 0),
            Close::ByRate(parts, probes) => {
                let too_many = bad * BILLION >= u64::from(parts) * u64::from(probes);
                (good + bad >= probes.into(), too_many)
            }
        };
        if too_many {
            self.open(Reason::ProbesFailed, hint, now);
        } else if enough {
            if self.setup.reset_after == 0 {
                self.in_a_row = 0;
            }
            let next = match self.setup.ramp {
                Some(_) => Now::RampingUp { asked: None },
                None => Now::Closed,
            };
            self.begin_life(next, Reason::ProbesSucceeded, now);
        }
        true
    }

    fn force(&mut self, open: bool, now: u64) -> Effects {
        let before = self.changes.len();
        match (open, &self.now) {
            (true, Now::ForcedOpen) | (false, Now::ForcedClosed) => {}
            (true, _) => self.begin_life(Now::ForcedOpen, Reason::Forced, now),
            (false, _) => self.begin_life(Now::ForcedClosed, Reason::Forced, now),
        }
        if self.changes.len() > before {
            self.in_a_row = 0;
        }
        self.effects(before, false)
    }

    fn reset(&mut self, now: u64) -> Effects {
        let before = self.changes.len();
        self.begin_life(Now::Closed, Reason::Reset, now);
        self.in_a_row = 0;
        self.effects(before, false)
    }

    fn look(&self, ahead: u64, now: u64) -> Look {
        let probes = u64::from(self.setup.probes);
        match &self.now {
            Now::Closed | Now::ForcedClosed => Look::Ready,
            Now::RampingUp { .. } => {
                let (_, over) = self.setup.ramp.expect("it ramps up");
                let turn = (over / 100).max(1).saturating_mul(ahead);
                let at = self.since.expect("changed").saturating_add(turn);
                match self.share(now) {
                    Some(_) if now < at => Look::At(Instant::from_nanos(at)),
                    _ => Look::Ready,
                }
            }
            &Now::Open { until } if now < until => Look::At(Instant::from_nanos(until)),
            Now::Open { .. } if ahead < probes => Look::Ready,
            Now::Open { .. } | Now::ForcedOpen => Look::Event(Instant::MAX),
            Now::HalfOpen { places, .. } => {
                let gone = |place: &&Option<Probe>| {
                    place.is_none_or(|probe| self.setup.is_lost(probe.until, now))
                };
                if ahead < places.iter().filter(gone).count() as u64 {
                    return Look::Ready;
                }
                // Whoever is next to lose his place.
                let next = places.iter().filter(|place| !gone(place)).flatten();
                let next = next.map(|probe| probe.until).min().unwrap_or(u64::MAX);
                Look::Event(Instant::from_nanos(next))
            }
        }
    }

    fn metrics(&self, now: u64) -> Metrics {
        let setup = self.setup;
        let (in_flight, good, bad) = match &self.now {
            Now::HalfOpen { places, good, bad } => {
                (places.iter().flatten().count() as u64, *good, *bad)
            }
            _ => (0, 0, 0),
        };
        let small = |n: u64| u32::try_from(n).expect("small");
        let row = self.row.iter().rev().take_while(|&&failed| failed).count() as u64;
        let next_probe_at = match self.now {
            Now::Open { until } => Some(Instant::from_nanos(until)),
            _ => None,
        };
        Metrics {
            phase: self.phase_at(now),
            life: self.life,
            since: self.since.map(Instant::from_nanos),
            age: self.since.map(|since| Duration::from_nanos(now.saturating_sub(since))),
            next_probe_at,
            admitted_parts: small(match self.now {
                Now::Closed | Now::ForcedClosed => BILLION,
                Now::RampingUp { .. } => self.share(now).unwrap_or(BILLION),
                Now::Open { .. } | Now::HalfOpen { .. } | Now::ForcedOpen => 0,
            }),
            consecutive_failures: setup.consecutive.map_or(0, |_| small(row)),
            failures_by_calls: setup
                .failures_by_calls
                .map(|rule| self.failures_by_calls.tally(rule)),
            failures_by_time: setup
                .failures_by_time
                .map(|rule| self.failures_by_time.tally(rule, now)),
            slow_by_calls: setup.slow_by_calls.map(|rule| self.slow_by_calls.tally(rule)),
            slow_by_time: setup.slow_by_time.map(|rule| self.slow_by_time.tally(rule, now)),
            probes_in_flight: small(in_flight),
            probes_succeeded: small(good),
            probes_failed: small(bad),
            consecutive_trips: self.in_a_row,
            trips: self.trips,
            counted: None,
        }
    }

    /// As good as a new one.
    fn is_idle(&self, now: u64) -> bool {
        let metrics = self.metrics(now);
        let is_clean = |tally: Option<Tally>| tally.is_none_or(|tally| tally.bad == 0);
        let all = match self.now {
            Now::Closed => true,
            Now::RampingUp { .. } => self.share(now).is_none(),
            _ => false,
        };
        all && metrics.consecutive_failures == 0
            && (self.in_a_row == 0 || self.is_healthy(now))
            && is_clean(metrics.failures_by_calls)
            && is_clean(metrics.failures_by_time)
            && is_clean(metrics.slow_by_calls)
            && is_clean(metrics.slow_by_time)
    }
}

/// The machine in memory of a single owner: an array, and as many words as it needs.
type InArray = State<[Cell<u64>; 96]>;
type InBox = State<Box<[Cell<u64>]>>;
type Shared = Arc<CircuitBreaker<ManualClock>>;

/// A permit as everybody has it.
struct Held {
    id: usize,
    in_array: Pass,
    in_box: Pass,
    permit: Permit<Shared>,
}

/// The oracle and what it judges, side by side.
struct Model {
    oracle: Oracle,
    in_array: InArray,
    in_box: InBox,
    shared: Shared,
    changes: Changes,
    read: usize,
    held: Vec<Held>,
    clock: ManualClock,
    now: u64,
    /// Every other time, the shared one reads the clock itself.
    reads_clock: bool,
}

impl Model {
    fn new(setup: Setup, at: u64) -> Self {
        let config = setup.config();
        let terms = config.terms().expect("a fitted setup");
        let clock = ManualClock::starting_at(Instant::from_nanos(at));
        let mut shared = config.build_seeded(clock.clone(), 7).expect("a fitted setup");
        if setup.growth == Growth::Tripled {
            shared = shared.break_by(move |trip| terms.break_duration(trip, &mut || u64::MAX));
        }
        let words = (0..terms.words()).map(|_| Cell::new(0)).collect();
        Self {
            oracle: Oracle::new(setup),
            in_array: State::new(terms, [const { Cell::new(0) }; 96]).expect("room"),
            in_box: State::new(terms, words).expect("just enough"),
            changes: shared.changes(),
            shared: Arc::new(shared),
            read: 0,
            held: Vec::new(),
            clock,
            now: at,
            reads_clock: false,
        }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn break_of(&self) -> impl Fn(Trip) -> Duration + use<> {
        let terms = *self.in_box.terms();
        move |trip| terms.break_duration(trip, &mut || u64::MAX)
    }

    fn step(&mut self, op: Op) {
        self.reads_clock = !self.reads_clock;
        let now = self.at();
        match op {
            Op::Acquire => {
                self.acquire();
            }
            Op::Call(report) => {
                if self.acquire() {
                    self.report(self.held.len() - 1, report);
                }
            }
            Op::Report(which, report) => {
                if let Some(which) = self.pick(which) {
                    self.report(which, report);
                }
            }
            Op::NoteSlow(which) => {
                if let Some(which) = self.pick(which) {
                    self.note_slow(which);
                }
            }
            Op::ForceOpen => {
                let expected = self.oracle.force(true, self.now);
                assert_eq!(self.in_array.force(true, now), expected);
                assert_eq!(self.in_box.force(true, now), expected);
                if self.reads_clock {
                    self.shared.force_open();
                } else {
                    self.shared.force_open_at(now);
                }
            }
            Op::ForceClosed => {
                let expected = self.oracle.force(false, self.now);
                assert_eq!(self.in_array.force(false, now), expected);
                assert_eq!(self.in_box.force(false, now), expected);
                if self.reads_clock {
                    self.shared.force_closed();
                } else {
                    self.shared.force_closed_at(now);
                }
            }
            Op::Reset => {
                let expected = self.oracle.reset(self.now);
                assert_eq!(self.in_array.reset(now), expected);
                assert_eq!(self.in_box.reset(now), expected);
                if self.reads_clock {
                    self.shared.reset();
                } else {
                    self.shared.reset_at(now);
                }
            }
            Op::Time(to) => {
                self.now = self.moved(to);
                self.clock.set_now(self.at());
            }
        }
    }

    fn pick(&self, which: u8) -> Option<usize> {
        (!self.held.is_empty()).then(|| usize::from(which) % self.held.len())
    }

    fn moved(&self, to: Move) -> u64 {
        let off = |at: Option<u64>, by: i8| {
            at.map_or(self.now, |at| at.saturating_add_signed(i64::from(by)))
        };
        let oracle = &self.oracle;
        match to {
            Move::On(by) => self.now.saturating_add(by),
            Move::Back(by) => self.now.saturating_sub(by),
            Move::To(at) => at,
            Move::BreakEnd(by) => match oracle.now {
                Now::Open { until } => off(Some(until), by),
                _ => self.now,
            },
            Move::LeaseEnd(by) => match &oracle.now {
                Now::HalfOpen { places, .. } => {
                    off(places.iter().flatten().map(|probe| probe.until).min(), by)
                }
                _ => self.now,
            },
            Move::RampEnd(by) => match (&oracle.now, oracle.setup.ramp, oracle.since) {
                (Now::RampingUp { .. }, Some((_, over)), Some(since)) => {
                    off(Some(since.saturating_add(over)), by)
                }
                _ => self.now,
            },
            Move::Slow(which, by) => {
                let began = self.pick(which).map(|which| {
                    oracle.given[self.held[which].id].began.saturating_add(oracle.setup.slow_after)
                });
                off(began, by)
            }
            Move::Slice(n, by) => {
                let rule = oracle.setup.failures_by_time.or(oracle.setup.slow_by_time);
                let next = rule.map(|rule| {
                    let slice = (self.now / rule.slice).saturating_add(u64::from(n));
                    slice.saturating_mul(rule.slice)
                });
                off(next, by)
            }
            Move::Healthy(by) => {
                off(oracle.since.map(|since| since.saturating_add(oracle.setup.reset_after)), by)
            }
            Move::Late(by) => off(oracle.since.map(|since| since.saturating_sub(FAR_BACK)), by),
        }
    }

    /// Whether there is a permit more.
    fn acquire(&mut self) -> bool {
        let now = self.at();
        let id = self.oracle.given.len();
        let changes = self.oracle.changes.len();
        let expected = self.oracle.acquire(self.now);
        let expected_change = self.oracle.changes.get(changes).copied();
        let asked = |(decision, Effects { change, .. }): (Decision, Effects)| {
            assert_eq!(change, expected_change);
            let (answer, pass) = match decision {
                Decision::Granted(pass) => (Answer::Granted { probe: pass.is_probe() }, Some(pass)),
                Decision::Open { until } => (Answer::Open { until: until.as_nanos() }, None),
                Decision::Busy => (Answer::Busy, None),
                Decision::RampingUp { until } => {
                    (Answer::RampingUp { until: until.as_nanos() }, None)
                }
                Decision::Isolated => (Answer::Isolated, None),
            };
            assert_eq!(answer, expected);
            pass
        };
        let in_array = asked(self.in_array.begin(false, now));
        let in_box = match self.in_box.begin_at_once(|| now) {
            Some(pass) => Some(pass),
            None => asked(self.in_box.begin(false, now)),
        };
        let permit = if self.reads_clock {
            Permit::try_new(Arc::clone(&self.shared))
        } else {
            Permit::try_new_at(Arc::clone(&self.shared), now)
        };
        let seen = match permit {
            Ok(ref permit) => Answer::Granted { probe: permit.is_probe() },
            Err(TryAcquireError::Open { retry_at, now: at, .. }) => {
                assert_eq!(at, now);
                Answer::Open { until: retry_at.as_nanos() }
            }
            Err(TryAcquireError::HalfOpenFull { .. }) => Answer::Busy,
            Err(TryAcquireError::RampingUp { full_at, now: at, .. }) => {
                assert_eq!(at, now);
                Answer::RampingUp { until: full_at.as_nanos() }
            }
            Err(TryAcquireError::Isolated { .. }) => Answer::Isolated,
        };
        assert_eq!(seen, expected);
        let (Some(in_array), Some(in_box), Ok(permit)) = (in_array, in_box, permit) else {
            return false;
        };
        self.held.push(Held { id, in_array, in_box, permit });
        true
    }

    fn report(&mut self, which: usize, report: Report) {
        let now = self.at();
        let Held { id, in_array, in_box, permit } = self.held.remove(which);
        let expected = self.oracle.report(id, report, self.now);
        let outcome = report.outcome();
        assert_eq!(self.in_array.report(in_array, outcome, || now, self.break_of()), expected);
        assert_eq!(self.in_box.report(in_box, outcome, || now, self.break_of()), expected);
        match (report, self.reads_clock) {
            (Report::Drop, _) => drop(permit),
            (Report::Success, true) => permit.success(),
            (Report::Success, false) => permit.success_at(now),
            (Report::Failure, true) => permit.failure(),
            (Report::Failure, false) => permit.failure_at(now),
            (Report::Ignore, true) => permit.ignore(),
            (Report::Hint(_), true) => permit.report(outcome),
            (Report::Ignore | Report::Hint(_), false) => permit.report_at(outcome, now),
        }
    }

    fn note_slow(&mut self, which: usize) {
        let (now, break_of) = (self.at(), self.break_of());
        let Held { id, in_array, in_box, permit } = &mut self.held[which];
        let expected = self.oracle.note_slow(*id, self.now);
        assert_eq!(self.in_array.note_slow(in_array, now, &break_of), expected);
        assert_eq!(self.in_box.note_slow(in_box, now, &break_of), expected);
        if self.reads_clock {
            permit.note_slow();
        } else {
            permit.note_slow_at(now);
        }
    }

    /// Everything that can be seen of a breaker, at this instant.
    fn check(&mut self) {
        let now = self.at();
        let expected = self.oracle.metrics(self.now);
        assert_eq!(self.in_array.metrics(now), expected, "{:?}", self.oracle);
        assert_eq!(self.in_box.metrics(now), expected);
        let counted = Some(self.oracle.counted);
        assert_eq!(self.shared.metrics_at(now), Metrics { counted, ..expected });
        assert_eq!(self.shared.metrics(), Metrics { counted, ..expected });

        let phase = self.oracle.phase_at(self.now);
        assert_eq!([self.in_array.phase(now), self.in_box.phase(now)], [phase; 2]);
        assert_eq!([self.shared.phase_at(now), self.shared.phase()], [phase; 2]);
        for ahead in [0, 1, 3, u64::MAX] {
            let look = self.oracle.look(ahead, self.now);
            assert_eq!(self.in_array.look(ahead, now), look, "behind {ahead}: {:?}", self.oracle);
            assert_eq!(self.in_box.look(ahead, now), look);
        }
        let idle = self.oracle.is_idle(self.now);
        assert_eq!([self.in_array.is_idle(now), self.in_box.is_idle(now)], [idle; 2]);

        for &change in &self.oracle.changes[self.read..] {
            let seen = self.changes.try_next().expect("a change");
            assert_eq!((seen.change, seen.missed, seen.name), (change, 0, None));
        }
        assert_eq!(self.changes.try_next(), None);
        self.read = self.oracle.changes.len();
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::{any_size, effort};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const YEAR: u64 = 31_557_600 * SECOND;

    /// A length of time that comes to an end while we watch, or one that is at the end of numbers.
    fn lengths() -> impl Strategy<Value = u64> {
        prop_oneof![
            6 => (1..=20_u64).prop_map(|n| n * 10_000),
            2 => (1..=100_u64).prop_map(|n| n * SECOND),
            1 => 1..4_u64,
            1 => any_size(64),
            1 => Just(u64::MAX),
        ]
    }

    fn rates() -> impl Strategy<Value = u32> {
        prop_oneof![
            4 => (1..=12_u32, 1..=12_u32).prop_map(|(a, b)| {
                let (a, b) = (u64::from(a.min(b)), u64::from(a.max(b)));
                u32::try_from(a * BILLION / b).expect("at most a billion")
            }),
            1 => Just(1_000_000_000),
            1 => Just(1),
            1 => 1..=1_000_000_000_u32,
        ]
    }

    fn by_calls() -> impl Strategy<Value = ByCalls> {
        (1..=12_u8, 1..=12_u8, rates()).prop_map(|(calls, minimum, parts)| ByCalls {
            calls,
            minimum,
            parts,
        })
    }

    fn by_time() -> impl Strategy<Value = ByTime> {
        let slice = prop_oneof![
            4 => Just(10_000_u64),
            2 => 10_000..200_000_u64,
            1 => Just(30 * SECOND),
            1 => any_size(64),
        ];
        (slice, 1..=4_u8, 1..=8_u8, rates()).prop_map(|(slice, slices, minimum, parts)| ByTime {
            slice,
            slices,
            minimum,
            parts,
        })
    }

    fn growths() -> impl Strategy<Value = Growth> {
        prop_oneof![
            3 => Just(Growth::Fixed),
            1 => Just(Growth::Constant),
            1 => Just(Growth::Linear),
            1 => Just(Growth::Exponential),
            1 => Just(Growth::Fibonacci),
            1 => Just(Growth::Tripled),
        ]
    }

    fn closes() -> impl Strategy<Value = Close> {
        prop_oneof![
            (1..=4_u8).prop_map(Close::After),
            (rates(), 1..=6_u8).prop_map(|(parts, probes)| Close::ByRate(parts, probes)),
        ]
    }

    fn setups() -> impl Strategy<Value = Setup> {
        let rules = (
            prop::option::of(1..=5_u8),
            prop::option::of(by_calls()),
            prop::option::of(by_time()),
            prop::option::weighted(0.4, by_calls()),
            prop::option::weighted(0.4, by_time()),
        );
        let breaks = (
            growths(),
            lengths(),
            prop::option::weighted(0.3, lengths()),
            prop_oneof![2 => Just(0), 1 => lengths()],
            lengths(),
        );
        let closing = (
            1..=4_u8,
            closes(),
            lengths(),
            prop::option::weighted(0.4, (rates(), lengths())),
            lengths(),
        );
        (rules, breaks, closing).prop_map(|(rules, breaks, closing)| Setup {
            consecutive: rules.0,
            failures_by_calls: rules.1,
            failures_by_time: rules.2,
            slow_by_calls: rules.3,
            slow_by_time: rules.4,
            growth: breaks.0,
            base: breaks.1,
            cap: breaks.2,
            reset_after: breaks.3,
            max_hint: breaks.4,
            probes: closing.0,
            close: closing.1,
            probe_timeout: closing.2,
            ramp: closing.3,
            slow_after: closing.4,
        })
    }

    fn instants() -> impl Strategy<Value = u64> {
        prop_oneof![
            2 => Just(0),
            4 => any_size(60),
            1 => any_size(64),
            2 => any_size(40).prop_map(|ns| u64::MAX - ns),
        ]
    }

    /// Off by so many.
    fn off() -> impl Strategy<Value = i8> {
        prop_oneof![3 => Just(0_i8), 2 => Just(-1), 1 => -3..=3_i8]
    }

    fn moves() -> impl Strategy<Value = Move> {
        prop_oneof![
            1 => Just(Move::On(0)),
            1 => Just(Move::On(1)),
            4 => (0..50_u64).prop_map(|n| Move::On(n * 1_000)),
            2 => any_size(40).prop_map(Move::On),
            1 => any_size(64).prop_map(Move::On),
            1 => (1..100_u64).prop_map(|n| Move::On(n * YEAR)),
            2 => (0..50_u64).prop_map(|n| Move::Back(n * 1_000)),
            1 => any_size(37).prop_map(Move::Back),
            1 => any_size(64).prop_map(Move::Back),
            1 => instants().prop_map(Move::To),
            10 => off().prop_map(Move::BreakEnd),
            4 => off().prop_map(Move::LeaseEnd),
            2 => off().prop_map(Move::RampEnd),
            3 => (any::<u8>(), off()).prop_map(|(which, off)| Move::Slow(which, off)),
            5 => (0..=5_u8, off()).prop_map(|(n, off)| Move::Slice(n, off)),
            2 => off().prop_map(Move::Healthy),
            2 => off().prop_map(Move::Late),
        ]
    }

    fn reports() -> impl Strategy<Value = Report> {
        prop_oneof![
            6 => Just(Report::Success),
            6 => Just(Report::Failure),
            1 => lengths().prop_map(Report::Hint),
            1 => Just(Report::Hint(0)),
            1 => Just(Report::Ignore),
            1 => Just(Report::Drop),
        ]
    }

    fn ops() -> impl Strategy<Value = Op> {
        prop_oneof![
            200 => reports().prop_map(Op::Call),
            120 => Just(Op::Acquire),
            140 => (any::<u8>(), reports()).prop_map(|(which, report)| Op::Report(which, report)),
            40 => any::<u8>().prop_map(Op::NoteSlow),
            240 => moves().prop_map(Op::Time),
            3 => Just(Op::ForceOpen),
            4 => Just(Op::ForceClosed),
            7 => Just(Op::Reset),
        ]
    }

    proptest! {
        #![proptest_config(effort(4))]

        #[test]
        fn machine_and_breaker_do_what_the_oracle_says(
            setup in setups(),
            at in instants(),
            ops in prop::collection::vec(ops(), 1..120),
        ) {
            run(setup, at, &ops);
        }
    }
}
