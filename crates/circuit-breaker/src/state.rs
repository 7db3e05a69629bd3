//! The pure machine: phases, rules and probes, with time as an argument.
//!
//! # Transitions
//!
//! ```text
//!                     a rule holds                     the break is over
//!        ┌────────┐ ───────────────▶ ┌──────┐ ──────────────────────────▶ ┌───────────┐
//!        │ closed │                  │ open │                             │ half-open │
//!        └────────┘                  └──────┘ ◀────────────────────────── └───────────┘
//!             ▲                                   too many probes failed        │
//!             └─────────────────────────────────────────────────────────────────┘
//!                                enough probes succeeded
//!
//!        ┌─────────────┐   ┌───────────────┐
//!        │ forced open │   │ forced closed │     from anywhere, until a reset closes it
//!        └─────────────┘   └───────────────┘
//! ```
//!
//! | input | when | decision | becomes |
//! |---|---|---|---|
//! | begin | closed, forced closed | granted | – |
//! | begin | closed, ramping up | granted, or `RampingUp` | counted for the share |
//! | begin | open, now < until | `Open` | –; open anew if the clock has stepped back |
//! | begin | open, now ≥ until | granted, a probe | half-open, 1 in flight |
//! | begin | half-open, fewer than P in flight | granted, a probe | one more in flight |
//! | begin | half-open, one of P has not reported in time | granted, in its place | – |
//! | begin | half-open, otherwise | `Busy` | – |
//! | begin | forced open | `Isolated` | – |
//! | success | closed | | counted as good; not counted where that changes nothing |
//! | failure | closed | | counted as bad; open if a rule holds now |
//! | any result | forced closed | | counted |
//! | result | half-open, of a probe in time | | one less in flight; closed or open as soon as that is certain |
//! | ignore, drop | half-open | | one less in flight |
//! | any result | of an earlier life, or of a probe out of time | | – |
//! | force, reset | | | the next life |
//!
//! A slow call is bad for the rules of slow calls, whatever came of it; a slow probe has failed.
//!
//! # Where it is kept
//!
//! | words | what |
//! |---|---|
//! | `state/control.rs` | the phase, whose life it is, and the probes: one word |
//! | `state/stamp.rs` | when this life began, when it will end; the probes' leases |
//! | `state/calls.rs` | the window of the last N calls |
//! | `state/slices.rs` | the window of the last so much time |
//!
//! Where a number of a life comes round again before what was left under it is overwritten,
//! `state/sweep.rs` has emptied it.
//!
//! # Invariants
//!
//! - **I1** A life ends once: with one change of the control word. Everything else that says something
//!   about a life says whose it is, and says nothing to any other.
//! - **I2** A result is counted once, or not at all if its life is over.
//! - **I3** At most P probes that can still report are in flight.
//! - **I4** It trips only on a bad call that has been counted, and then the first rule that holds is the
//!   reason: failures in a row, failures by calls and by time, slow calls by calls and by time.
//! - **I5** Looking changes nothing.
//!
//! # A clock that misbehaves
//!
//! One that steps back by up to a minute prolongs a break, a lease or a ramp by as much, at most. If it
//! steps back by more, an open breaker begins its break again when somebody asks next (one more
//! change, with its reason), leases are over, and so is a ramp. Somebody who asks with a time that is
//! more than a minute old looks the same, and may thereby shorten a break. One that stands still keeps
//! everything as it is; one that jumps ahead ends what would have ended by then.

use core::fmt;
use core::time::Duration;

use steadfast_core::{Instant, Step, saturating_nanos};

use crate::config::ConfigError;

pub use self::word::{Memory, Word};

use self::calls::Calls;
use self::control::{Control, Kind};
use self::slices::Slices;
use self::stamp::{Leases, Stamp};
use self::terms::Looks;

mod calls;
mod control;
mod metrics;
mod probes;
mod ramp;
mod slices;
mod stamp;
mod sweep;
mod terms;
mod values;
mod word;

pub use self::metrics::{Counted, Metrics, Tally};
pub(crate) use self::ramp::Ramp;
pub use self::terms::Terms;
pub(crate) use self::terms::{Breaks, Closing, Rule, Span, Subject};
pub use self::values::{Change, Decision, Effects, Look, Outcome, Pass, Phase, Reason, Trip, Wake};

/// A clock that is behind by no more than this is merely late.
pub const MAX_STEP_BACK: Duration = Duration::from_secs(60);

/// How often a count that others disturb is begun again.
const TRIES: u32 = 100;

const WHOLE: u64 = 1_000_000_000;

/// A breaker as words in memory of yours.
///
/// With [`Cell`](core::cell::Cell) for words it has a single owner, and is complete by itself; the
/// shared [`CircuitBreaker`](crate::CircuitBreaker) is the same machine on atomics.
///
/// # Examples
///
/// ```
/// use core::cell::Cell;
/// use core::time::Duration;
/// use steadfast_circuit_breaker::Config;
/// use steadfast_circuit_breaker::state::{Decision, Outcome, Phase, State};
/// use steadfast_core::Instant;
///
/// let terms = Config::new().consecutive_failures(2).terms()?;
/// let state = State::new(terms, [const { Cell::new(0) }; 2])?;
/// let at = |secs| Instant::ZERO.saturating_add(Duration::from_secs(secs));
///
/// for _ in 0..2 {
///     let (Decision::Granted(pass), _) = state.begin(false, at(1)) else { panic!() };
///     let break_of = |trip| terms.break_duration(trip, &mut || 0);
///     let _effects = state.report(pass, Outcome::FAILURE, || at(1), break_of);
/// }
/// assert_eq!(state.phase(at(5)), Phase::Open);
/// assert_eq!(state.begin(false, at(5)).0, Decision::Open { until: at(6) });
/// assert_eq!(state.phase(at(6)), Phase::HalfOpen, "as the next call will find it");
/// # Ok::<(), steadfast_circuit_breaker::ConfigError>(())
/// ```
pub struct State<M: Memory> {
    terms: Terms,
    words: Words<M::Word>,
    memory: M,
}

/// The words that every breaker has.
#[derive(Debug)]
pub(crate) struct Words<W> {
    pub(crate) control: W,
    pub(crate) since: [W; 2],
    pub(crate) until: [W; 2],
    pub(crate) ramp: W,
    /// The last break, in nanoseconds.
    pub(crate) last_break: W,
    /// How often it opened, in all.
    pub(crate) opened: W,
}

/// How many numbers lives have: after the last, which is this, comes 1 again.
pub const LIVES: u64 = control::LIFE.max();

/// The control word at the beginning.
pub(crate) const FIRST: u64 = Control::FIRST.0;

impl<M: Memory> State<M> {
    /// A closed breaker in `memory`, whose words it sets to zero.
    ///
    /// # Errors
    ///
    /// If there are fewer words than [`Terms::words`].
    pub fn new(terms: Terms, memory: M) -> Result<Self, ConfigError> {
        let (given, needed) = (memory.words().len(), terms.words());
        if given < needed {
            return Err(ConfigError::MemoryTooSmall { given, needed });
        }
        for word in memory.words() {
            word.update(|_| Step::Replace(0, ()));
        }
        let word = M::Word::new;
        let words = Words {
            control: word(FIRST),
            since: [word(0), word(0)],
            until: [word(0), word(0)],
            ramp: word(0),
            last_break: word(0),
            opened: word(0),
        };
        Ok(Self { terms, words, memory })
    }

    /// With words of its own: zeros, but for the control word.
    #[expect(clippy::large_types_passed_by_value, reason = "moved to its place once")]
    pub(crate) const fn with_words(terms: Terms, words: Words<M::Word>, memory: M) -> Self {
        Self { terms, words, memory }
    }

    /// The terms.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Leave for a call if the breaker is closed: what costs nothing but a look.
    #[inline]
    pub fn begin_at_once(&self, now: impl Fn() -> Instant) -> Option<Pass> {
        let control = self.control();
        matches!(control.kind(), Kind::Closed | Kind::ForcedClosed)
            .then(|| self.pass(control.life(), now))
    }

    /// The end of the break, if at `now` that is all there is to say to anybody. It writes nothing.
    #[inline]
    pub fn refuses_until(&self, now: Instant) -> Option<Instant> {
        // Nothing but an open life has an end: so this is one.
        let until = self.until().read(self.control().life())?;
        let left = until.as_nanos().checked_sub(now.as_nanos())?;
        // If more is left than the whole break, the clock has stepped back; of one that reaches the end
        // of time it is not known. (The length of a break is one word, which takes less than its beginning
        // in two.) It was written before the end was.
        let is_within = left > 0 && left <= self.words.last_break.load();
        (is_within && until < Instant::MAX).then_some(until)
    }

    /// Leave for a call, and what others have to be told, if that is anything. `in_turn` is the first in
    /// line, whom newcomers may not overtake.
    pub fn begin(&self, in_turn: bool, now: Instant) -> (Decision, Effects) {
        loop {
            let control = self.control();
            let life = control.life();
            let waits = control.is_occupied() && !in_turn;
            let decision = match control.kind() {
                Kind::Closed | Kind::ForcedClosed => Decision::Granted(self.pass(life, || now)),
                Kind::Ramping => match self.begin_ramping(life, in_turn, now) {
                    Some(begun) => return begun,
                    None => continue,
                },
                Kind::ForcedOpen => Decision::Isolated,
                Kind::Open => match self.until().read(life) {
                    None => Decision::Open { until: now },
                    Some(until) if now < until => match self.begin_anew(life, until, now) {
                        Some((until, effects)) => return (Decision::Open { until }, effects),
                        None => Decision::Open { until },
                    },
                    Some(_) if waits => Decision::Busy,
                    Some(_) => match self.half_open(life, in_turn, now) {
                        Some((pass, effects)) => return (Decision::Granted(pass), effects),
                        None => continue,
                    },
                },
                Kind::HalfOpen if waits => {
                    // Those who wait were told of a time that has become a later one.
                    let behind = self.leases().are_of_the_future(&self.terms, life, now);
                    let wake = if behind { Wake::First } else { Wake::Nobody };
                    return (Decision::Busy, Effects { wake, change: None });
                }
                Kind::HalfOpen => match self.begin_probe(life, in_turn, now) {
                    Some(pass) => Decision::Granted(pass),
                    None if self.control().life() == life => Decision::Busy,
                    None => continue,
                },
            };
            return (decision, Effects::NONE);
        }
    }

    /// Reports on a call. `breaks` is asked how long to stay open, if that is to be decided.
    #[inline]
    pub fn report(
        &self,
        pass: Pass,
        outcome: Outcome,
        now: impl Fn() -> Instant,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Effects {
        if self.report_at_once(pass, outcome) {
            return Effects::NONE;
        }
        self.report_closely(pass, outcome, now, breaks)
    }

    /// Reports a success of this life if no rule has to know the time: what costs little, as nothing
    /// can come of it. Whether it is one.
    #[inline]
    pub fn report_at_once(&self, pass: Pass, outcome: Outcome) -> bool {
        if !matches!(outcome, Outcome::Success) {
            return false;
        }
        let control = self.control();
        let life = control.life();
        if !pass.is_plain_of(life) {
            return false;
        }
        // Also where it is looked at more closely: that ends no row twice.
        if control.row() > 0 {
            self.end_row(life);
        }
        match self.terms.looks {
            Looks::Nowhere => {}
            Looks::Head => {
                let rule = self.terms.first_rule();
                let head = self.memory.words().get(rule.offset);
                if !head.is_some_and(|head| calls::is_clean(head.load(), life)) {
                    self.count_good(rule, life);
                }
            }
            Looks::Closely => return false,
        }
        true
    }

    /// Counts a call that is still running as slow, if it is by now, and has not been counted yet.
    pub fn note_slow(
        &self,
        pass: &mut Pass,
        now: Instant,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Effects {
        if pass.is_noted() || pass.is_probe() || !self.is_slow(pass, now) {
            return Effects::NONE;
        }
        if self.control().life() != pass.life() {
            return Effects::NONE;
        }
        pass.note();
        let mut reason = None;
        self.count(
            pass.life(),
            &mut reason,
            || now,
            |rule| (rule.subject == Subject::Slow).then_some(true),
        );
        reason.map_or(Effects::NONE, |reason| self.trip(pass.life(), reason, None, now, breaks))
    }

    /// Opens it, or closes it whatever happens, until it is [reset](State::reset).
    pub fn force(&self, open: bool, now: Instant) -> Effects {
        let kind = if open { Kind::ForcedOpen } else { Kind::ForcedClosed };
        self.change(Reason::Forced, now, |control| {
            (control.kind() != kind).then(|| control.next(kind).with_trips(0))
        })
    }

    /// Closes it, and forgets everything that was counted.
    pub fn reset(&self, now: Instant) -> Effects {
        self.change(Reason::Reset, now, |control| Some(control.next(Kind::Closed).with_trips(0)))
    }

    /// What it does with calls, as the next one at `now` will find it.
    pub fn phase(&self, now: Instant) -> Phase {
        let control = self.control();
        let over = || self.until().read(control.life()).is_some_and(|until| now >= until);
        match control.kind() {
            Kind::Open if over() => Phase::HalfOpen,
            kind => kind.phase(),
        }
    }

    /// When the first in line could be let through after `ahead` others.
    pub fn look(&self, ahead: u64, now: Instant) -> Look {
        let control = self.control();
        let life = control.life();
        match control.kind() {
            Kind::Closed | Kind::ForcedClosed => Look::Ready,
            Kind::ForcedOpen => Look::Event(Instant::MAX),
            Kind::Ramping => {
                let (since, waiters) = (self.since().read(life), self.ramp_waiters(life));
                match since.map(|since| self.ramp_turn(since, waiters.saturating_add(ahead), now)) {
                    Some(at) if now < at => Look::At(at),
                    _ => Look::Ready,
                }
            }
            Kind::Open => match self.until().read(life) {
                Some(until) if now < until => Look::At(until),
                Some(_) if ahead < u64::from(self.terms.probes) => Look::Ready,
                // Not known yet, or after the probes of others.
                _ => Look::Event(Instant::MAX),
            },
            Kind::HalfOpen => {
                let in_flight = control.in_flight();
                let free = u64::from(self.terms.probes.saturating_sub(in_flight));
                if ahead < free {
                    return Look::Ready;
                }
                let expiry = self.leases().expiry(&self.terms, life, in_flight, now);
                if ahead < free + u64::from(expiry.expired) {
                    Look::Ready
                } else {
                    Look::Event(expiry.next)
                }
            }
        }
    }

    /// The number of the current life.
    pub fn life(&self) -> u32 {
        self.control().life()
    }

    /// Whether it is as good as a new one: closed, and nothing bad is in any window. A trip and a
    /// ramp-up are forgotten as soon as they make no difference any more.
    pub fn is_idle(&self, now: Instant) -> bool {
        let control = self.control();
        let life = control.life();
        let is_bad = |tally: &Option<Tally>| tally.is_some_and(|tally| tally.bad > 0);
        let admits_all = match control.kind() {
            Kind::Closed => true,
            Kind::Ramping => self.share(life, now).is_none(),
            _ => false,
        };
        admits_all
            && control.row() == 0
            && (control.trips() == 0 || self.is_healthy(life, now))
            && !self.tallies(life, now).iter().any(is_bad)
    }

    /// How often it opened in all.
    fn trips(&self) -> u64 {
        self.words.opened.load()
    }

    /// Whether a line waits, and newcomers may not overtake it. Whoever [says](State::set_occupied)
    /// so later sees all that this thread did before.
    pub fn is_occupied(&self) -> bool {
        // RACE: somebody may join who does not see yet when the break ends, and whose mark is not seen
        // here. Not by an exchange: of his and this one the later sees the earlier. Model:
        // `a_trip_against_an_acquire_is_seen`.
        self.words.control.update(|word| Step::Replace(word, Control(word).is_occupied()))
    }

    /// Says whether a line waits.
    pub fn set_occupied(&self, occupied: bool) {
        self.words
            .control
            .update(|word| Step::Replace(Control(word).with_occupied(occupied).0, ()));
    }

    /// The same for all other reports.
    pub(crate) fn report_closely(
        &self,
        pass: Pass,
        outcome: Outcome,
        now: impl Fn() -> Instant,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Effects {
        if let Some(lease) = pass.lease() {
            let now = now();
            return self.report_probe(pass, lease, outcome, now, breaks);
        }
        let (failed, retry_after) = match outcome {
            Outcome::Ignored => return Effects::NONE,
            Outcome::Success => (false, None),
            Outcome::Failure { retry_after } => (true, retry_after),
        };
        let control = self.control();
        if control.life() != pass.life() {
            return Effects::NONE;
        }
        let read = self.terms.times_reports().then(&now);
        let slow = read.is_some_and(|now| self.is_slow(&pass, now));
        let mut reason = None;
        if !failed {
            if control.row() > 0 {
                self.end_row(pass.life());
            }
        } else if self.terms.consecutive > 0 && self.lengthen_row(pass.life()) {
            reason = Some(Reason::ConsecutiveFailures);
        }
        let now = || read.unwrap_or_else(&now);
        self.count(pass.life(), &mut reason, now, |rule| match rule.subject {
            Subject::Failures => Some(failed),
            Subject::Slow if pass.is_noted() => None,
            Subject::Slow => Some(slow),
        });
        match reason {
            Some(reason) => self.trip(pass.life(), reason, retry_after, now(), breaks),
            None => Effects::NONE,
        }
    }

    /// Counts a call by all rules that it concerns, for which it is bad or good. The first that holds
    /// is the reason, if there is none yet.
    fn count(
        &self,
        life: u32,
        reason: &mut Option<Reason>,
        now: impl Fn() -> Instant,
        is_bad: impl Fn(&Rule) -> Option<bool>,
    ) {
        for rule in self.terms.rules() {
            let Some(bad) = is_bad(rule) else { continue };
            let holds = match rule.span {
                Span::Calls { .. } if bad => {
                    self.calls(rule, life).is_some_and(|calls| calls.bad(rule))
                }
                Span::Calls { .. } => {
                    self.count_good(rule, life);
                    false
                }
                Span::Time { .. } => {
                    self.slices(rule, life).is_some_and(|slices| slices.count(bad, now(), rule))
                }
            };
            if holds {
                reason.get_or_insert(rule.reason());
            }
        }
    }

    // Apart from the look that comes before it, which is to be small wherever it is inlined.
    #[inline(never)]
    fn count_good(&self, rule: &Rule, life: u32) {
        match self.calls(rule, life) {
            Some(calls) if !calls.good_at_once() => calls.good(),
            _ => {}
        }
    }

    /// I1: ends a closed life.
    fn trip(
        &self,
        life: u32,
        reason: Reason,
        retry_after: Option<Duration>,
        now: Instant,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Effects {
        let is_closed = |control: Control| {
            control.life() == life && matches!(control.kind(), Kind::Closed | Kind::Ramping)
        };
        let control = self.control();
        if !is_closed(control) {
            return Effects::NONE;
        }
        let number = if self.is_healthy(life, now) { 0 } else { control.trips() };
        let duration = self.break_of(number, retry_after, breaks);
        // RACE: another bad call may have tripped it first: one of them does. Model:
        // `two_failures_at_once_trip_once`.
        let won = self.words.control.update(|word| match Control(word) {
            seen if is_closed(seen) => {
                let next = seen.next(Kind::Open).with_trips(number.saturating_add(1));
                Step::Replace(next.0, Some((seen, next)))
            }
            _ => Step::Keep(None),
        });
        won.map_or(Effects::NONE, |(from, to)| self.opened(from, to, reason, duration, now))
    }

    /// Whether a closed life has lasted so long that the next trip is the first in a row.
    fn is_healthy(&self, life: u32, now: Instant) -> bool {
        let reset_after = self.terms.reset_after;
        let since = self.since().read(life);
        !reset_after.is_zero()
            && since.is_some_and(|since| now.saturating_duration_since(since) >= reset_after)
    }

    /// How long to stay open. It may run code of somebody else's: nothing has been changed yet.
    fn break_of(
        &self,
        number: u32,
        retry_after: Option<Duration>,
        breaks: impl FnOnce(Trip) -> Duration,
    ) -> Duration {
        let hint = retry_after.map(|hint| hint.min(self.terms.max_hint));
        if let Some(hint) = hint.filter(|hint| !hint.is_zero()) {
            return hint;
        }
        let previous = match self.words.last_break.load() {
            nanos if number > 0 => Some(Duration::from_nanos(nanos)),
            _ => None,
        };
        breaks(Trip { number, previous })
    }

    /// Completes an open life, which this one began.
    fn opened(
        &self,
        from: Control,
        to: Control,
        reason: Reason,
        duration: Duration,
        now: Instant,
    ) -> Effects {
        // RACE: looked at after the word, so that it is never that of a break before the current one.
        // Model: `a_break_has_its_own_length`.
        self.words.last_break.update(|_| {
            if self.life() == to.life() {
                Step::Replace(saturating_nanos(duration), ())
            } else {
                Step::Keep(())
            }
        });
        self.words.opened.update(|opened| Step::Replace(opened.saturating_add(1), ()));
        self.began(to.life(), now);
        self.until().write(to.life(), now.saturating_add(duration));
        Effects::of(from, to, reason, now)
    }

    /// Begins the break again, if the clock has stepped back to long before it began.
    fn begin_anew(&self, life: u32, until: Instant, now: Instant) -> Option<(Instant, Effects)> {
        let since = self.since().read(life)?;
        if now.saturating_add(MAX_STEP_BACK) >= since {
            return None;
        }
        let effects = self.change(Reason::ClockSteppedBack, now, |control| {
            (control.life() == life).then(|| control.next(Kind::Open))
        });
        let change = effects.change?;
        // It is as long as it was, also if it reaches the end of time.
        let until = match until {
            Instant::MAX => until,
            _ => now.saturating_add(until.saturating_duration_since(since)),
        };
        self.until().write(change.life, until);
        Some((until, effects))
    }

    /// What every life begins with.
    pub(super) fn began(&self, life: u32, now: Instant) {
        self.since().write(life, now);
        self.sweep(life);
    }

    /// Ends a life if `next` says with what, and completes the next but for what an open one has.
    fn change(
        &self,
        reason: Reason,
        now: Instant,
        next: impl Fn(Control) -> Option<Control>,
    ) -> Effects {
        let changed = self.words.control.update(|word| {
            let from = Control(word);
            match next(from) {
                Some(to) => Step::Replace(to.0, Some((from, to))),
                None => Step::Keep(None),
            }
        });
        changed.map_or(Effects::NONE, |(from, to)| {
            self.began(to.life(), now);
            Effects::of(from, to, reason, now)
        })
    }

    /// One failure more in a row. Whether there are enough.
    fn lengthen_row(&self, life: u32) -> bool {
        self.words.control.update(|word| match Control(word) {
            control if control.life() == life => {
                let row = control.row() + 1;
                Step::Replace(control.with_row(row).0, row >= self.terms.consecutive)
            }
            _ => Step::Keep(false),
        })
    }

    #[cold]
    fn end_row(&self, life: u32) {
        self.words.control.update(|word| match Control(word) {
            control if control.life() == life && control.row() > 0 => {
                Step::Replace(control.with_row(0).0, ())
            }
            _ => Step::Keep(()),
        });
    }

    #[inline]
    fn pass(&self, life: u32, now: impl Fn() -> Instant) -> Pass {
        let began = if self.terms.times_calls() { now() } else { Instant::ZERO };
        Pass::new(life, began)
    }

    fn is_slow(&self, pass: &Pass, now: Instant) -> bool {
        let took = saturating_nanos(now.saturating_duration_since(pass.began));
        self.terms.times_calls() && took >= self.terms.slow_after_ns()
    }

    #[inline]
    fn control(&self) -> Control {
        Control(self.words.control.load())
    }

    fn calls(&self, rule: &Rule, life: u32) -> Option<Calls<'_, M::Word>> {
        Calls::new(self.memory.words().get(rule.range())?, &self.words.control, life)
    }

    fn slices(&self, rule: &Rule, life: u32) -> Option<Slices<'_, M::Word>> {
        let Span::Time { slice_ns, .. } = rule.span else { return None };
        Slices::new(self.memory.words().get(rule.range())?, &self.words.control, life, slice_ns)
    }

    fn leases(&self) -> Leases<'_, M::Word> {
        Leases(self.memory.words().get(self.terms.leases()).unwrap_or_default())
    }

    #[inline]
    fn since(&self) -> Stamp<'_, M::Word> {
        let [high, low] = &self.words.since;
        Stamp { high, low }
    }

    #[inline]
    fn until(&self) -> Stamp<'_, M::Word> {
        let [high, low] = &self.words.until;
        Stamp { high, low }
    }
}

impl<M: Memory> fmt::Debug for State<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let control = self.control();
        f.debug_struct("State")
            .field("phase", &control.kind().phase())
            .field("life", &control.life())
            .finish_non_exhaustive()
    }
}
