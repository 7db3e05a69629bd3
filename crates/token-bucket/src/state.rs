//! The pure machine: a token bucket as a value.
//!
//! It is GCRA ("virtual scheduling", ITU-T I.371) counted in tokens instead of time, without
//! rounding anywhere.
//!
//! # Units
//!
//! A rate of *p* tokens in *q* nanoseconds, in lowest terms, accrues exactly *p* **units** in each
//! nanosecond if a token is *q* units. All levels are whole units, so every sum below is exact, at
//! any rate, for ever: nothing drifts.
//!
//! # The bit picture
//!
//! ```text
//!  63       62         61 ······ 56  55 ································· 0
//! ┌────────┬──────────┬─────────────┬──────────────────────────────────────┐
//! │ closed │ occupied │ generation  │ level: units spent since the frame's │
//! │        │          │ (mod 64)    │ beginning                            │
//! └────────┴──────────┴─────────────┴──────────────────────────────────────┘
//! ```
//!
//! | field | encoding |
//! |---|---|
//! | closed | 1: refuses everything, for ever |
//! | occupied | 1: a line waits; newcomers are refused so that they do not overtake |
//! | generation | counts frames; a frame of another generation is not this word's |
//! | level | 0 to 2⁵⁶ - 1; compared with the units accrued, below |
//!
//! A **frame** says what a level means: the limits, and the `horizon`, the instant at which the
//! units accrued reach [`TOP`]. At any earlier instant they are `TOP - (horizon - now) × p`.
//!
//! ```text
//!   units accrued ─┐                        ╱  TOP, at the horizon
//!                  │                      ╱
//!    available  ↕  │                ····╱······  accrued(now)
//!        level ────┼──────────────────╱────────
//!                  │                ╱            available = accrued - level,
//!                  │              ╱              at most the capacity
//!                  └────────────┴─┴──────────▶ time
//!                             now  …          horizon
//! ```
//!
//! # Transitions
//!
//! With *a* = units accrued at `now`, *c* = capacity, *f* = max(level, a - c): the level if what
//! overflowed is counted as spent.
//!
//! | input | when | decision | level becomes |
//! |---|---|---|---|
//! | take n | closed | `Closed` | – |
//! | take n | n·q > c | `ExceedsBurst` | – |
//! | take n, newcomer | occupied | `Denied` | – |
//! | take n | f + n·q ≤ a | `Granted` | f + n·q |
//! | take n | otherwise | `Denied`, until the instant when it is not | – |
//! | refund n | | | max(level - n·q, 0): what exceeds the capacity is cut by *f* |
//! | reconfigure | | | new frame, the same tokens (rounded down to a unit) |
//! | any, now > horizon | | as above | in a new frame that begins at `now` |
//! | any, now ≪ level | a step back by more than [`MAX_STEP_BACK`] | as above | new frame, empty |
//!
//! # Invariants
//!
//! - **I1** level ≤ TOP < 2⁵⁶.
//! - **I2** capacity ≤ accrued at the frame's beginning: level 0 is a full bucket.
//! - **I3** capacity is a whole number of tokens, at least one.
//! - **I4** In any span of time that does not step back, the tokens granted are at most
//!   burst + rate × span.
//! - **I5** A denied request that is repeated at `retry_at` is granted if nothing else happened.
//! - **I6** A denial changes nothing, unless it is the first to see a step back of more than
//!   [`MAX_STEP_BACK`].
//!
//! # Clocks that misbehave
//!
//! | the clock | the bucket | at worst |
//! |---|---|---|
//! | stands still | grants what is left, then denies | no grant until it moves |
//! | jumps ahead, by any amount | is full | one burst too early |
//! | steps back by up to 60 s | is as it was at that earlier time, less what has been taken since | denial for the step |
//! | steps back by more | takes the new time for true and begins empty | denial for 60 s, or for as long as the request takes to accrue |

use core::fmt;
use core::time::Duration;

use steadfast_core::{Instant, saturating_nanos, saturating_u64};

/// The bits of a level.
pub(crate) const LEVEL_BITS: u32 = 56;
/// The largest level, and the units accrued at a frame's horizon.
pub const TOP: u64 = (1 << LEVEL_BITS) - 1;
/// The shortest frame, about a millisecond: bounds how often a frame has to be renewed.
pub(crate) const MIN_SPAN_NS: u64 = 1 << 20;
/// How far a clock may step back before the bucket believes it.
pub const MAX_STEP_BACK: Duration = Duration::from_secs(60);

const GENERATION_BITS: u32 = 6;
const GENERATION_SHIFT: u32 = LEVEL_BITS;
const GENERATION_MASK: u64 = ((1 << GENERATION_BITS) - 1) << GENERATION_SHIFT;
const OCCUPIED: u64 = 1 << 62;
const CLOSED: u64 = 1 << 63;

/// Derived constants of a rate and a burst, in the units of that rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// *p*: units accrued in a nanosecond.
    pub(crate) per_ns: u64,
    /// *q*: units in a token.
    pub(crate) per_token: u64,
    /// *c*: units in a full bucket.
    pub(crate) capacity: u64,
}

impl Limits {
    /// The burst, in tokens.
    pub const fn burst(&self) -> u64 {
        self.capacity / self.per_token
    }

    /// The rate, in lowest terms.
    pub const fn rate(&self) -> crate::Rate {
        crate::Rate::new(self.per_ns, Duration::from_nanos(self.per_token))
    }

    /// What `n` tokens cost, if a bucket can ever hold so many.
    #[inline]
    const fn cost(&self, n: u64) -> Option<u64> {
        match n.checked_mul(self.per_token) {
            Some(cost) if cost <= self.capacity => Some(cost),
            _ => None,
        }
    }

    /// The units that accrue in so many nanoseconds, if they can be counted.
    #[inline]
    const fn units(&self, nanos: u64) -> Option<u64> {
        // As in `delay`: a grant waits for this multiplication.
        if self.per_ns == 1 { Some(nanos) } else { nanos.checked_mul(self.per_ns) }
    }

    /// A refusal for want of so many units.
    #[inline]
    pub(crate) const fn denied(&self, units: u64, now: Instant) -> Decision {
        Decision::Denied { retry_at: after(now, self.delay(units)) }
    }

    /// How long `units` take to accrue, rounded up to a nanosecond.
    #[inline]
    const fn delay(&self, units: u64) -> u64 {
        // The commonest rates are a whole number of nanoseconds a token: spare them the division, and
        // all rates the code that panics at 0, which none of them is.
        if self.per_ns <= 1 { units } else { units.div_ceil(self.per_ns) }
    }
}

/// The word of the bit picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(pub(crate) u64);

impl Word {
    /// Units spent since the frame began.
    #[inline]
    pub const fn level(self) -> u64 {
        self.0 & TOP
    }

    /// The number of the frame, modulo 64.
    #[inline]
    pub const fn generation(self) -> u64 {
        (self.0 & GENERATION_MASK) >> GENERATION_SHIFT
    }

    /// Whether a line waits.
    #[inline]
    pub const fn is_occupied(self) -> bool {
        self.0 & OCCUPIED != 0
    }

    /// Whether the bucket is closed.
    #[inline]
    pub const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    #[inline]
    const fn with_level(self, level: u64) -> Self {
        // OK: neither level reaches beyond its bits.
        Self(self.0 - self.level() + level)
    }

    const fn next_generation(self) -> Self {
        let generation = self.0.wrapping_add(1 << GENERATION_SHIFT) & GENERATION_MASK;
        Self((self.0 & !GENERATION_MASK) | generation)
    }

    pub(crate) const fn with_occupied(self, occupied: bool) -> Self {
        if occupied { Self(self.0 | OCCUPIED) } else { Self(self.0 & !OCCUPIED) }
    }

    pub(crate) const fn closed(self) -> Self {
        Self(self.0 | CLOSED)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("level", &self.level())
            .field("generation", &self.generation())
            .field("occupied", &self.is_occupied())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The tokens are taken.
    Granted,
    /// Not now.
    Denied {
        /// The first instant at which the same request is granted, if nobody else comes.
        retry_at: Instant,
    },
    /// Never: more than the bucket holds.
    ExceedsBurst,
    /// Never: the bucket is closed.
    Closed,
}

impl Decision {
    /// The stricter of two: "never" before "not now" before a grant, and the later of two retries.
    pub const fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Closed, _) | (_, Self::Closed) => Self::Closed,
            (Self::ExceedsBurst, _) | (_, Self::ExceedsBurst) => Self::ExceedsBurst,
            (Self::Granted, other) => other,
            (this, Self::Granted) => this,
            (Self::Denied { retry_at: a }, Self::Denied { retry_at: b }) => {
                Self::Denied { retry_at: if a.as_nanos() > b.as_nanos() { a } else { b } }
            }
        }
    }
}

/// What becomes of a request in the common case: inside the frame, without a line.
pub(crate) enum AtOnce {
    /// Granted; this is the next word.
    Granted(Word),
    /// Denied for want of so many units.
    Short(u64),
    /// It is another case.
    Uncommon,
}

/// A token bucket as a value: give it an input and a time, get a decision and the next value.
///
/// It reads no clock and touches no atomic. It is what [`TokenBucket`](crate::TokenBucket) shares
/// between threads, and complete by itself for a single owner, a simulation or a model checker.
///
/// # Examples
///
/// ```
/// use steadfast_core::Instant;
/// use steadfast_token_bucket::{Config, Rate};
/// use steadfast_token_bucket::state::Decision;
///
/// let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
/// let bucket = Config::new(Rate::per_second(10)).burst(2).state(at(0))?;
///
/// let (decision, bucket) = bucket.take(2, at(0));
/// assert_eq!(decision, Decision::Granted);
/// let (decision, bucket) = bucket.take(1, at(30));
/// assert_eq!(decision, Decision::Denied { retry_at: at(100) });
/// let (decision, _) = bucket.take(1, at(100));
/// assert_eq!(decision, Decision::Granted);
/// # Ok::<(), steadfast_token_bucket::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub(crate) limits: Limits,
    /// The instant, in nanoseconds, at which the units accrued reach [`TOP`].
    pub(crate) horizon: u64,
    pub(crate) word: Word,
}

/// A state as seen at one instant.
#[derive(Clone, Copy)]
struct View {
    state: State,
    /// Units accrued, after the time below; at least the level.
    accrued: u64,
    /// Nanoseconds until then: how far the clock is behind the level, after a step back.
    behind: u64,
}

impl State {
    /// A bucket with `initial` tokens at `now`. `initial` must not exceed the burst.
    pub(crate) const fn new(limits: Limits, initial: u64, now: Instant) -> Self {
        debug_assert!(initial <= limits.burst(), "checked by the configuration");
        // OK: not above the capacity.
        let available = initial * limits.per_token;
        let state = Self { limits, horizon: 0, word: Word(0) }.framed(limits, available, now);
        state.invariants();
        state
    }

    /// Takes `n` tokens, from outside: denied while a line waits.
    #[inline]
    pub const fn take(self, n: u64, now: Instant) -> (Decision, Self) {
        let (decision, next) = self.take_in_turn(n, now);
        if !self.word.is_occupied() {
            return (decision, next);
        }
        match decision {
            Decision::Granted if n > 0 => (Decision::Denied { retry_at: now }, self),
            _ => (decision, self),
        }
    }

    /// [`take`](Self::take) in the common case.
    // A call of its own takes 136 instructions a grant where this takes 60.
    #[inline(always)]
    pub(crate) const fn take_at_once(self, n: u64, now: Instant) -> AtOnce {
        if self.word.is_closed() || self.word.is_occupied() {
            return AtOnce::Uncommon;
        }
        let (Some(cost), Some(accrued)) = (self.limits.cost(n), self.accrued(now)) else {
            return AtOnce::Uncommon;
        };
        // OK: below 2 * TOP.
        let spent = self.floor(accrued) + cost;
        if spent <= accrued {
            return AtOnce::Granted(self.word.with_level(spent));
        }
        if accrued < self.word.level() {
            return AtOnce::Uncommon;
        }
        AtOnce::Short(spent - accrued)
    }

    /// Takes `n` tokens, for the head of the line or where there is none.
    #[inline]
    pub const fn take_in_turn(self, n: u64, now: Instant) -> (Decision, Self) {
        if self.word.is_closed() {
            return (Decision::Closed, self);
        }
        let Some(cost) = self.limits.cost(n) else {
            return (Decision::ExceedsBurst, self);
        };
        let View { state, accrued, behind } = self.view(now);
        // OK: below 2 * TOP.
        let spent = state.floor(accrued) + cost;
        if behind == 0 && spent <= accrued {
            return (Decision::Granted, state.with_level(spent));
        }
        if cost == 0 {
            return (Decision::Granted, self);
        }
        let missing = spent.saturating_sub(accrued);
        (state.limits.denied(missing, after(now, behind)), self.refused(state, now))
    }

    /// Takes as many tokens as there are, at most `max` and not less than `min`: all or none.
    ///
    /// Returns how many were taken.
    #[inline]
    pub const fn take_between(self, min: u64, max: u64, now: Instant) -> (u64, Self) {
        if self.word.is_closed() || self.word.is_occupied() {
            return (0, self);
        }
        let View { state, accrued, behind } = self.view(now);
        let floor = state.floor(accrued);
        let there = if behind > 0 { 0 } else { (accrued - floor) / state.limits.per_token };
        let taken = if there < max { there } else { max };
        if taken < min || taken == 0 {
            return (0, self.refused(state, now));
        }
        // OK: `taken` tokens are there.
        (taken, state.with_level(floor + taken * state.limits.per_token))
    }

    /// Gives `n` tokens back, up to the burst.
    #[inline]
    pub const fn refund(self, n: u64) -> Self {
        let units = n.saturating_mul(self.limits.per_token);
        self.with_level(self.word.level().saturating_sub(units))
    }

    /// Settles at the old limits up to `now`, and carries the tokens over to the new ones.
    ///
    /// What exceeds the new burst is lost; a fraction is rounded down to a unit of the new rate.
    pub const fn reconfigure(self, limits: Limits, now: Instant) -> Self {
        let View { state, accrued, behind } = self.view(now);
        let old = if behind > 0 { 0 } else { accrued - state.floor(accrued) };
        // OK: both factors are below 2^56.
        let new = (old as u128) * (limits.per_token as u128) / (self.limits.per_token as u128);
        let available = least(saturating_u64(new), limits.capacity);
        self.framed(limits, available, now)
    }

    /// Refuses everything from now on.
    pub const fn close(mut self) -> Self {
        self.word = self.word.closed();
        self
    }

    /// Whole tokens that are there at `now`, whether or not a line waits for them.
    #[inline]
    pub const fn available(self, now: Instant) -> u64 {
        let View { state, accrued, behind } = self.view(now);
        if behind > 0 { 0 } else { (accrued - state.floor(accrued)) / state.limits.per_token }
    }

    /// Whether `n` tokens are there at `now`.
    #[inline]
    pub const fn has(self, n: u128, now: Instant) -> bool {
        let View { state, accrued, behind } = self.view(now);
        let there = accrued - state.floor(accrued);
        behind == 0 && n <= (there / state.limits.per_token) as u128
    }

    /// The first instant from `now` at which `n` tokens will have accrued, if nobody takes any: a
    /// forecast, also for a sum of requests above the burst.
    pub const fn ready_at(self, n: u128, now: Instant) -> Instant {
        let View { state, accrued, behind } = self.view(now);
        let there = (accrued - state.floor(accrued)) as u128;
        let needed = match n.checked_mul(state.limits.per_token as u128) {
            Some(units) => units.saturating_sub(there),
            None => return Instant::MAX,
        };
        after(after(now, behind), saturating_div_ceil(needed, state.limits.per_ns))
    }

    /// From when `n` tokens are there, how long they may be left without anything overflowing.
    pub const fn spare(self, n: u64) -> Duration {
        match self.limits.cost(n) {
            Some(cost) => Duration::from_nanos((self.limits.capacity - cost) / self.limits.per_ns),
            None => Duration::ZERO,
        }
    }

    /// What a wait for `n` tokens behind others of `ahead` in sum has to expect.
    #[cfg(feature = "wait")]
    pub(crate) fn outlook(
        self,
        ahead: u128,
        n: u64,
        now: Instant,
    ) -> steadfast_core::wait::Outlook {
        use steadfast_core::wait::Outlook;
        if self.word.is_closed() || n > self.limits.burst() {
            return Outlook::Never;
        }
        let total = ahead + u128::from(n);
        if self.has(total, now) {
            return Outlook::Ready;
        }
        if self.is_full(now) {
            // Nothing more comes until one of those ahead takes its share, and that one will tell.
            return Outlook::At { at: Instant::MAX, spare: Duration::ZERO };
        }
        Outlook::At { at: self.ready_at(total, now), spare: self.spare(n) }
    }

    /// Marks the bucket occupied by a line, or free: while it is occupied, only requests in turn are
    /// granted.
    pub const fn with_occupied(mut self, occupied: bool) -> Self {
        self.word = self.word.with_occupied(occupied);
        self
    }

    /// Whether every token is there: such a bucket is as good as new.
    pub const fn is_full(self, now: Instant) -> bool {
        let View { state, accrued, behind } = self.view(now);
        behind == 0 && accrued - state.floor(accrued) == state.limits.capacity
    }

    /// The rate and burst in force.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The word of the bit picture.
    pub const fn word(&self) -> Word {
        self.word
    }

    /// The denial of a newcomer behind a line of `ahead` tokens.
    #[cold]
    pub(crate) const fn behind_line(self, n: u64, ahead: u64, now: Instant) -> Decision {
        if self.limits.cost(n).is_none() {
            return Decision::ExceedsBurst;
        }
        if n == 0 {
            return Decision::Granted;
        }
        Decision::Denied { retry_at: self.ready_at(n as u128 + ahead as u128, now) }
    }

    /// What a refusal leaves behind, if `seen` is the state it was decided in: the same state (I6),
    /// unless the clock has stepped back too far. Then `seen` is a frame that believes the clock,
    /// and has to be kept: every later request would find the same step back and be refused, until
    /// the clock is where it was.
    #[inline]
    const fn refused(self, seen: Self, now: Instant) -> Self {
        let renewed = seen.word.generation() != self.word.generation();
        if renewed && now.as_nanos() <= self.horizon { seen } else { self }
    }

    /// The level if what has overflowed is counted as spent.
    #[inline]
    const fn floor(&self, accrued: u64) -> u64 {
        let Limits { capacity, .. } = self.limits;
        let level = self.word.level();
        // OK: the sum is below 2 * TOP. A saturating subtraction would take two instructions more.
        if level + capacity > accrued { level } else { accrued - capacity }
    }

    #[inline]
    const fn with_level(mut self, level: u64) -> Self {
        self.word = self.word.with_level(level);
        self
    }

    /// Units accrued at `now`, which are less than the level if the clock has stepped back: a
    /// subtraction, a multiplication and another subtraction. `None` outside the frame.
    #[inline]
    const fn accrued(self, now: Instant) -> Option<u64> {
        if let Some(remaining) = self.horizon.checked_sub(now.as_nanos()) {
            if let Some(units) = self.limits.units(remaining) {
                return TOP.checked_sub(units);
            }
        }
        None
    }

    /// Units accrued at `now` in the common case. `None` if `now` has to be looked at closely.
    #[inline]
    const fn accrued_in_frame(self, now: Instant) -> Option<u64> {
        match self.accrued(now) {
            Some(accrued) if accrued >= self.word.level() => Some(accrued),
            _ => None,
        }
    }

    /// What the state is worth at `now`.
    #[inline]
    const fn view(self, now: Instant) -> View {
        if let Some(accrued) = self.accrued_in_frame(now) {
            return View { state: self, accrued, behind: 0 };
        }
        // In single numbers: where the limits are constants, the compiler sees it, and what it makes of
        // a bucket in a program without a division is half as large.
        let Self { limits, horizon, word } = self;
        let Limits { per_ns, capacity, .. } = limits;
        let (horizon, word, accrued, behind) = outside_frame(per_ns, capacity, horizon, word, now);
        View { state: Self { limits, horizon, word }, accrued, behind }
    }

    /// The same bucket in a new frame that begins at `now` with `available` units.
    const fn framed(self, limits: Limits, available: u64, now: Instant) -> Self {
        let Limits { per_ns, capacity, .. } = limits;
        let (horizon, beginning) = frame(per_ns, capacity, now);
        let word = self.word.next_generation().with_level(beginning - available);
        Self { limits, horizon, word }
    }

    /// I1 to I3; the others speak of histories and are checked by `tests/model.rs`.
    pub(crate) const fn invariants(&self) {
        debug_assert!(self.word.level() <= TOP, "I1");
        debug_assert!(self.limits.capacity >= self.limits.per_token, "I3");
        debug_assert!(self.limits.capacity % self.limits.per_token == 0, "I3");
        debug_assert!(self.limits.capacity < TOP, "I2");
    }
}

/// What a state whose `now` is beyond the horizon, or whose clock has stepped back, is worth at `now`:
/// horizon, word, units accrued, and how far behind them the clock is.
#[cold]
#[inline(never)]
const fn outside_frame(
    per_ns: u64,
    capacity: u64,
    horizon: u64,
    word: Word,
    now: Instant,
) -> (u64, Word, u64, u64) {
    let left = TOP - word.level();
    let available = if now.as_nanos() > horizon {
        let beyond = (now.as_nanos() - horizon).saturating_mul(per_ns);
        least(beyond.saturating_add(left), capacity)
    } else {
        // How long before the horizon the units accrued reach the level. OK: that is after `now`, when
        // they had not.
        let before_horizon = left / per_ns;
        let behind = horizon - now.as_nanos() - before_horizon;
        if behind <= saturating_nanos(MAX_STEP_BACK) {
            return (horizon, word, TOP - before_horizon * per_ns, behind);
        }
        0
    };
    let (horizon, beginning) = frame(per_ns, capacity, now);
    (horizon, word.next_generation().with_level(beginning - available), beginning, 0)
}

/// The horizon of a frame that begins at `now`, and the units accrued then.
const fn frame(per_ns: u64, capacity: u64, now: Instant) -> (u64, u64) {
    // The longest frame that satisfies I2, or what is left of time if that is shorter.
    let longest = (TOP - capacity) / per_ns;
    let horizon = now.as_nanos().saturating_add(longest);
    // OK: at most `TOP - capacity`.
    (horizon, TOP - (horizon - now.as_nanos()) * per_ns)
}

/// `dividend / divisor`, rounded up, or `u64::MAX` if it is above that.
///
/// What does not fit in 64 bits is divided by hand: a target that has no such division gets 1,000
/// bytes of code for the compiler's.
const fn saturating_div_ceil(dividend: u128, divisor: u64) -> u64 {
    // OK: the two halves, neither of which saturates.
    let mut rest = saturating_u64(dividend >> 64);
    let mut low = saturating_u64(dividend & u64::MAX as u128);
    if rest == 0 {
        return low.div_ceil(divisor);
    }
    if rest >= divisor {
        return u64::MAX;
    }
    // Digit by digit: the quotient's come into `low` as the dividend's leave it.
    let mut digits = 0;
    while digits < u64::BITS {
        let overflows = rest >> 63 == 1;
        rest = rest << 1 | low >> 63;
        low <<= 1;
        if overflows || rest >= divisor {
            rest = rest.wrapping_sub(divisor);
            low |= 1;
        }
        digits += 1;
    }
    low.saturating_add((rest > 0) as u64)
}

const fn least(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// `now` plus `delay` nanoseconds, at most the end of time.
#[inline]
const fn after(now: Instant, delay: u64) -> Instant {
    Instant::from_nanos(now.as_nanos().saturating_add(delay))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("rate", &self.limits.rate())
            .field("burst", &self.limits.burst())
            .field("word", &self.word)
            .field("horizon", &Instant::from_nanos(self.horizon))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_by_hand_is_the_compilers() {
        const HALF: u128 = 1 << 64;
        let divisors = [1, 2, 3, 68_000_000_000, TOP, 1 << 63, u64::MAX - 1, u64::MAX];
        for divisor in divisors {
            let limit = u128::from(divisor) * u128::from(u64::MAX);
            for base in [0, HALF - 1, HALF * 3, HALF * u128::from(divisor), limit, u128::MAX - 2] {
                for dividend in [base.saturating_sub(1), base, base + 1, base + 2] {
                    let expected = saturating_u64(dividend.div_ceil(u128::from(divisor)));
                    let found = saturating_div_ceil(dividend, divisor);
                    assert_eq!(found, expected, "{dividend} / {divisor}");
                }
            }
        }
    }
}
