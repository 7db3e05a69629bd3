//! What trips a breaker, for how long, and what closes it again.

use core::time::Duration;

use steadfast_core::saturating_nanos;

use crate::state::{Breaks, Closing, Ramp, Rule, Span, Subject, Terms};

/// What a rate is measured over: the last so many calls, or the last so much time.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_circuit_breaker::Window;
///
/// let last_calls = Window::calls(100).minimum(20);
/// let last_minute = Window::time(Duration::from_secs(60)).slices(12).minimum(50);
/// # let _ = (last_calls, last_minute);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::data::WindowData"))]
#[cfg_attr(feature = "serde", serde(into = "crate::data::WindowData"))]
#[must_use = "a window does nothing until a rule has it"]
pub struct Window {
    pub(crate) extent: Extent,
    pub(crate) slices: Option<u32>,
    pub(crate) minimum: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Calls(u32),
    Time(Duration),
}

/// The most calls that a [window of calls](Window::calls) can have.
pub const MAX_CALLS: u32 = 10_000;
/// The most slices that a [window of time](Window::time) can have.
pub const MAX_SLICES: u32 = 1_000;
/// The shortest slice of a [window of time](Window::time).
pub const MIN_SLICE: Duration = Duration::from_micros(10);
/// The most failures in a row that can be asked for.
pub const MAX_CONSECUTIVE: u32 = (1 << 24) - 1;
/// The most probes at once, successes to close, and probes to measure a rate over.
pub const MAX_PROBES: u32 = 255;

impl Window {
    /// The last `calls` calls: it slides by one with every call. 1 to [`MAX_CALLS`].
    ///
    /// It takes 8 bytes a call.
    pub const fn calls(calls: u32) -> Self {
        Self { extent: Extent::Calls(calls), slices: None, minimum: None }
    }

    /// The last `length` of time, in [slices](Window::slices): it slides by one slice at a time, so
    /// it covers between `length` less a slice, and `length`.
    ///
    /// It takes 16 bytes a slice, however many calls there are.
    pub const fn time(length: Duration) -> Self {
        Self { extent: Extent::Time(length), slices: None, minimum: None }
    }

    /// In how many slices a window of time is cut. Default: 10. At most [`MAX_SLICES`], none shorter
    /// than [`MIN_SLICE`].
    pub const fn slices(mut self, slices: u32) -> Self {
        self.slices = Some(slices);
        self
    }

    /// How many calls there must be in the window before its rate counts. Default: 10, or all calls
    /// of a window that has fewer.
    pub const fn minimum(mut self, calls: u32) -> Self {
        self.minimum = Some(calls);
        self
    }

    const fn rule(self, subject: Subject, rate: f64) -> Result<Rule, ConfigError> {
        let Some(parts) = parts(rate) else { return Err(ConfigError::RateOutOfRange { rate }) };
        let (span, minimum) = match self.extent {
            Extent::Calls(calls) => {
                if self.slices.is_some() {
                    return Err(ConfigError::SlicesOfCalls);
                }
                if calls == 0 || calls > MAX_CALLS {
                    return Err(ConfigError::CallsOutOfRange { calls, max: MAX_CALLS });
                }
                let minimum = match self.minimum {
                    Some(minimum) => minimum,
                    None if calls < 10 => calls,
                    None => 10,
                };
                if minimum > calls {
                    return Err(ConfigError::MinimumAboveWindow { minimum, calls });
                }
                (Span::Calls { calls }, minimum)
            }
            Extent::Time(length) => {
                let slices = match self.slices {
                    Some(slices) => slices,
                    None => 10,
                };
                if slices == 0 || slices > MAX_SLICES {
                    return Err(ConfigError::SlicesOutOfRange { slices, max: MAX_SLICES });
                }
                let nanos = match nanos(length) {
                    Ok(nanos) => nanos,
                    Err(error) => return Err(error),
                };
                // OK: not zero. Rounded up, so that the slices together are not shorter.
                let slice_ns = nanos.div_ceil(slices as u64);
                if slice_ns < saturating_nanos(MIN_SLICE) {
                    return Err(ConfigError::SliceTooShort { length, slices });
                }
                let minimum = match self.minimum {
                    Some(minimum) => minimum,
                    None => 10,
                };
                (Span::Time { slice_ns, slices }, minimum)
            }
        };
        if minimum == 0 {
            return Err(ConfigError::ZeroMinimum);
        }
        Ok(Rule { subject, span, minimum, parts, offset: 0, end: 0 })
    }
}

/// When a half-open breaker closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CloseBy {
    Successes(u32),
    Rate { rate: f64, probes: u32 },
}

/// For how long a breaker stays open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BreakBy {
    Fixed(Duration),
    Growing(steadfast_backoff::Config),
}

/// The configuration of a breaker, and its builder.
///
/// [`new`](Config::new) has no rule, and does not build until it is given one. Without further
/// settings:
///
/// | setting | default | because |
/// |---|---|---|
/// | break | 5 s | long enough to be a relief, short enough for a deploy |
/// | probes | 1 at once | what is down is not helped by more |
/// | close after | 3 successes | one answer may be luck: the one healthy replica of three |
/// | probe timeout | 30 s | longer than most calls are allowed to take |
/// | longest hint | 10 min | a server's word is taken, within reason |
/// | ramp-up | none | |
/// | waiting | without a limit | |
///
/// [`default`](Config::default) adds a rule that suits many services: half of the last 100 calls
/// failed, of at least 20.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use steadfast_circuit_breaker::{Config, Window};
///
/// # #[cfg(feature = "std")] {
/// let breaker = Config::new()
///     .consecutive_failures(5)
///     .failure_rate(0.5, Window::calls(100).minimum(20))
///     .slow_after(Duration::from_secs(2))
///     .slow_rate(0.8, Window::time(Duration::from_secs(30)))
///     .break_duration(Duration::from_secs(10))
///     .build()?;
/// # let _ = breaker;
/// # }
/// # Ok::<(), steadfast_circuit_breaker::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::data::Data", into = "crate::data::Data"))]
#[must_use = "a configuration does nothing until it is built"]
pub struct Config {
    pub(crate) consecutive_failures: Option<u32>,
    /// By calls, and by time.
    pub(crate) failure_rates: [Option<(f64, Window)>; 2],
    pub(crate) slow_rates: [Option<(f64, Window)>; 2],
    pub(crate) slow_after: Option<Duration>,
    pub(crate) breaks: BreakBy,
    pub(crate) reset_after: Duration,
    pub(crate) max_hint: Duration,
    pub(crate) probes: u32,
    pub(crate) close: CloseBy,
    pub(crate) probe_timeout: Duration,
    pub(crate) ramp_up: Option<(f64, Duration)>,
    pub(crate) max_waiters: u32,
    pub(crate) counted: bool,
    // Not data: and without this, serde would read from what lives for ever only.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) name: Option<&'static str>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new().failure_rate(0.5, Window::calls(100).minimum(20))
    }
}

impl Config {
    /// No rule yet.
    pub const fn new() -> Self {
        Self {
            consecutive_failures: None,
            failure_rates: [None; 2],
            slow_rates: [None; 2],
            slow_after: None,
            breaks: BreakBy::Fixed(Duration::from_secs(5)),
            reset_after: Duration::ZERO,
            max_hint: Duration::from_secs(600),
            probes: 1,
            close: CloseBy::Successes(3),
            probe_timeout: Duration::from_secs(30),
            ramp_up: None,
            max_waiters: u32::MAX,
            counted: false,
            name: None,
        }
    }

    /// Trips after so many failures in a row. 1 to [`MAX_CONSECUTIVE`].
    ///
    /// Ignored outcomes are not in the row.
    pub const fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = Some(failures);
        self
    }

    /// Trips when at least this share of the calls in `window` failed: above 0, at most 1, in
    /// whole billionths, rounded down.
    ///
    /// There can be one such rule over a window of calls and one over a window of time; a second of
    /// the same kind replaces the first. Only a counted failure evaluates it.
    pub const fn failure_rate(mut self, rate: f64, window: Window) -> Self {
        self.failure_rates[window.kind()] = Some((rate, window));
        self
    }

    /// A call that takes at least so long is slow, whatever comes of it. Goes with
    /// [`slow_rate`](Config::slow_rate).
    ///
    /// The clock is then read when a call begins and when it ends.
    pub const fn slow_after(mut self, threshold: Duration) -> Self {
        self.slow_after = Some(threshold);
        self
    }

    /// Trips when at least this share of the calls in `window` was slow: above 0, at most 1, in
    /// whole billionths, rounded down. Goes with [`slow_after`](Config::slow_after).
    ///
    /// There can be one such rule over a window of calls and one over a window of time. Only a
    /// counted slow call evaluates it. A slow probe counts as a failed one.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::{Config, Window};
    ///
    /// // Half of the calls of the last minute took two seconds or more.
    /// let breaker = Config::new()
    ///     .slow_after(Duration::from_secs(2))
    ///     .slow_rate(0.5, Window::time(Duration::from_secs(60)))
    ///     .build()?;
    /// # let _ = breaker;
    /// # }
    /// # Ok::<(), steadfast_circuit_breaker::ConfigError>(())
    /// ```
    pub const fn slow_rate(mut self, rate: f64, window: Window) -> Self {
        self.slow_rates[window.kind()] = Some((rate, window));
        self
    }

    /// Stays open for so long, exactly: at `opened_at + duration` it admits a probe. Replaces
    /// [`growing_break`](Config::growing_break).
    pub const fn break_duration(mut self, duration: Duration) -> Self {
        self.breaks = BreakBy::Fixed(duration);
        self
    }

    /// Stays open for longer with each trip in a row, as a backoff with these delays does: the first
    /// trip is its attempt 0. Replaces [`break_duration`](Config::break_duration).
    ///
    /// Its `max_retries` and `max_elapsed` are not looked at: a breaker does not give up. Trips in a
    /// row are counted up to 1,023, and the delay stays the same from there.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::{Config, Phase};
    /// use steadfast_core::ManualClock;
    ///
    /// let breaks = steadfast_backoff::Config::exponential(Duration::from_secs(1));
    /// let breaker = Config::new().consecutive_failures(1).growing_break(breaks);
    /// let breaker = breaker.build_with(ManualClock::new())?;
    /// for seconds in [1, 2, 4] {
    ///     breaker.try_acquire()?.failure();
    ///     let break_left = breaker.try_acquire().unwrap_err().retry_after();
    ///     assert_eq!(break_left, Some(Duration::from_secs(seconds)));
    ///     breaker.clock().advance(Duration::from_secs(seconds));
    /// }
    /// assert_eq!(breaker.phase(), Phase::HalfOpen);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn growing_break(mut self, delays: steadfast_backoff::Config) -> Self {
        self.breaks = BreakBy::Growing(delays);
        self
    }

    /// For how long it has to be closed before the next trip is the first in a row again. Default:
    /// zero, so that whenever it closes it begins from the shortest break.
    pub const fn reset_after(mut self, healthy: Duration) -> Self {
        self.reset_after = healthy;
        self
    }

    /// The longest break that a failure's own hint can ask for. Default: 10 minutes. Zero: hints are not
    /// looked at. (Nor is a hint of zero, ever.)
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.max_hint = longest;
        self
    }

    /// How many probes may be in flight at once while it is half-open. 1 to [`MAX_PROBES`].
    pub const fn probes(mut self, at_once: u32) -> Self {
        self.probes = at_once;
        self
    }

    /// Closes after so many successful probes; the first that fails opens it again. 1 to
    /// [`MAX_PROBES`]. Replaces [`close_by_rate`](Config::close_by_rate).
    pub const fn close_after(mut self, successes: u32) -> Self {
        self.close = CloseBy::Successes(successes);
        self
    }

    /// Closes after `probes` probes of which less than this share failed; opens again as soon as it
    /// is certain that more will have. Replaces [`close_after`](Config::close_after).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{Config, Phase};
    /// use steadfast_core::ManualClock;
    ///
    /// // Of ten probes, less than half may fail.
    /// let breaker = Config::new().consecutive_failures(1).probes(10).close_by_rate(0.5, 10);
    /// let breaker = breaker.build_with(ManualClock::new())?;
    /// breaker.try_acquire()?.failure();
    /// breaker.clock().advance(std::time::Duration::from_secs(5));
    /// let probes: Vec<_> = (0..10).map(|_| breaker.try_acquire()).collect::<Result<_, _>>()?;
    /// for (number, probe) in probes.into_iter().enumerate() {
    ///     if number < 4 { probe.failure() } else { probe.success() }
    /// }
    /// assert_eq!(breaker.phase(), Phase::Closed);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn close_by_rate(mut self, rate: f64, probes: u32) -> Self {
        self.close = CloseBy::Rate { rate, probes };
        self
    }

    /// After how long a probe that has not reported loses its place to another. If it reports later,
    /// it is ignored.
    pub const fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = timeout;
        self
    }

    /// After closing, admits a share of the calls that grows evenly from `share` to all of them
    /// during `over`. The share is above 0 and at most 1.
    ///
    /// Those who [wait](crate::CircuitBreaker::acquire) are admitted one at a time, a hundredth of
    /// `over` apart.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast_circuit_breaker::Config;
    ///
    /// // After closing: a tenth of the calls, and all of them half a minute later.
    /// let config = Config::new().consecutive_failures(5).ramp_up(0.1, Duration::from_secs(30));
    /// assert!(config.terms().is_ok());
    /// ```
    pub const fn ramp_up(mut self, share: f64, over: Duration) -> Self {
        self.ramp_up = Some((share, over));
        self
    }

    /// How many may wait at once. Default: any number.
    pub const fn max_waiters(mut self, waiters: u32) -> Self {
        self.max_waiters = waiters;
        self
    }

    /// Counts calls that were permitted and calls that were rejected, for
    /// [`metrics`](crate::CircuitBreaker::metrics): one more shared write a call. Who waits is
    /// counted when the wait ends, and not at all if it is dropped.
    pub const fn counted(mut self, counted: bool) -> Self {
        self.counted = counted;
        self
    }

    /// A name, to be shown in errors, in changes and by `Debug`. One that is made at run time can be
    /// leaked (`String::leak`).
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// The checked numbers: what the pure machine is made of.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what was given and what is allowed.
    pub const fn terms(&self) -> Result<Terms, ConfigError> {
        let mut terms = Terms::NONE;
        if let Some(failures) = self.consecutive_failures {
            if failures == 0 || failures > MAX_CONSECUTIVE {
                return Err(ConfigError::ConsecutiveOutOfRange { failures, max: MAX_CONSECUTIVE });
            }
            terms.consecutive = failures;
        }
        match self.slow_after {
            Some(Duration::ZERO) => return Err(ConfigError::ZeroSlowAfter),
            Some(threshold) => match nanos(threshold) {
                Ok(threshold) => terms = terms.with_slow_after(threshold),
                Err(error) => return Err(error),
            },
            None => {}
        }
        match self.probes {
            1..=MAX_PROBES => terms.probes = self.probes,
            probes => return Err(ConfigError::ProbesOutOfRange { probes, max: MAX_PROBES }),
        }
        terms = match self.rules(terms) {
            Ok(terms) => terms,
            Err(error) => return Err(error),
        };
        terms.closing = match self.close {
            CloseBy::Successes(successes) => match successes {
                1..=MAX_PROBES => Closing { probes: successes, failures: 1 },
                _ => return Err(ConfigError::SuccessesOutOfRange { successes, max: MAX_PROBES }),
            },
            CloseBy::Rate { rate, probes } => match (parts(rate), probes) {
                (None, _) => return Err(ConfigError::RateOutOfRange { rate }),
                (Some(parts), 1..=MAX_PROBES) => {
                    Closing { probes, failures: Rule::threshold_of(parts, probes) }
                }
                _ => return Err(ConfigError::ProbesOutOfRange { probes, max: MAX_PROBES }),
            },
        };
        terms.breaks = match self.breaks {
            BreakBy::Fixed(Duration::ZERO) => return Err(ConfigError::ZeroBreak),
            BreakBy::Fixed(duration) => match nanos(duration) {
                Ok(_) => Breaks::Fixed(duration),
                Err(error) => return Err(error),
            },
            BreakBy::Growing(delays) => match delays.build() {
                Ok(policy) if policy.is_immediate() => return Err(ConfigError::ZeroBreak),
                Ok(policy) => Breaks::Growing(policy),
                Err(error) => return Err(ConfigError::Break(error)),
            },
        };
        match self.ramp_up {
            Some((_, Duration::ZERO)) => return Err(ConfigError::ZeroRampUp),
            Some((share, over)) => match (parts(share), nanos(over)) {
                (None, _) => return Err(ConfigError::ShareOutOfRange { share }),
                (_, Err(error)) => return Err(error),
                (Some(parts), Ok(over_ns)) => terms.ramp = Some(Ramp { parts, over_ns }),
            },
            None => {}
        }
        if self.probe_timeout.is_zero() {
            return Err(ConfigError::ZeroProbeTimeout);
        }
        terms.probe_timeout = self.probe_timeout;
        terms.reset_after = self.reset_after;
        terms.max_hint = self.max_hint;
        Ok(terms)
    }

    const fn rules(&self, mut terms: Terms) -> Result<Terms, ConfigError> {
        let asked = [
            (Subject::Failures, self.failure_rates[0]),
            (Subject::Failures, self.failure_rates[1]),
            (Subject::Slow, self.slow_rates[0]),
            (Subject::Slow, self.slow_rates[1]),
        ];
        let mut i = 0;
        while i < asked.len() {
            if let (subject, Some((rate, window))) = asked[i] {
                match window.rule(subject, rate) {
                    Ok(rule) => terms = terms.with(rule),
                    Err(error) => return Err(error),
                }
            }
            i += 1;
        }
        let by_slowness = self.slow_rates[0].is_some() || self.slow_rates[1].is_some();
        match self.slow_after {
            Some(_) if !by_slowness => return Err(ConfigError::SlowWithoutRate),
            None if by_slowness => return Err(ConfigError::RateWithoutSlow),
            _ => {}
        }
        if terms.consecutive == 0 && terms.rules().is_empty() {
            return Err(ConfigError::NoRule);
        }
        Ok(terms)
    }
}

impl Window {
    pub(crate) const fn kind(self) -> usize {
        match self.extent {
            Extent::Calls(_) => 0,
            Extent::Time(_) => 1,
        }
    }
}

/// A share as billionths; `None` if it is not above 0 and at most 1.
const fn parts(share: f64) -> Option<u32> {
    // Also false for NaN.
    if !(share > 0.0 && share <= 1.0) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most a billion")]
    #[expect(clippy::cast_sign_loss, reason = "above zero")]
    // OK: rounded down, so that two of three are not less than two thirds; but not because a decimal
    // fraction is a little more than its binary one.
    let parts = (share * 1e9 + 1e-3) as u32;
    if parts == 0 { None } else { Some(parts) }
}

const fn nanos(duration: Duration) -> Result<u64, ConfigError> {
    match saturating_nanos(duration) {
        u64::MAX => Err(ConfigError::TooLong { duration }),
        nanos => Ok(nanos),
    }
}

/// Why there can be no such breaker.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing would ever trip it.
    #[error("no rule that trips it: give consecutive_failures, failure_rate or slow_rate")]
    NoRule,
    /// No such number of failures in a row.
    #[error("trips after {failures} failures in a row: give 1 to {max}")]
    ConsecutiveOutOfRange {
        /// What was given.
        failures: u32,
        /// The most that it may be.
        max: u32,
    },
    /// Not a share of calls that could trip anything.
    #[error("a rate of {rate}: give one above 0 (a billionth at least), and at most 1")]
    RateOutOfRange {
        /// What was given.
        rate: f64,
    },
    /// A window of no calls, or of too many.
    #[error("a window of {calls} calls: give 1 to {max}")]
    CallsOutOfRange {
        /// What was given.
        calls: u32,
        /// The most that it may be.
        max: u32,
    },
    /// Only a window of time has slices.
    #[error("slices of a window of calls, which has none")]
    SlicesOfCalls,
    /// No slices, or too many.
    #[error("{slices} slices: give 1 to {max}")]
    SlicesOutOfRange {
        /// What was given.
        slices: u32,
        /// The most that it may be.
        max: u32,
    },
    /// A window of no time, or too short for its slices.
    #[error("{length:?} in {slices} slices: give at least 10 µs a slice")]
    SliceTooShort {
        /// The window.
        length: Duration,
        /// Its slices.
        slices: u32,
    },
    /// A rate of no calls.
    #[error("a minimum of 0 calls: give at least 1")]
    ZeroMinimum,
    /// The rule could never hold.
    #[error("a minimum of {minimum} calls in a window of {calls}")]
    MinimumAboveWindow {
        /// The minimum.
        minimum: u32,
        /// The window.
        calls: u32,
    },
    /// Every call would be slow.
    #[error("slow after 0 s: give a threshold above 0")]
    ZeroSlowAfter,
    /// A threshold that nothing uses.
    #[error("slow_after without a slow_rate")]
    SlowWithoutRate,
    /// A rate of slow calls, and no call is slow.
    #[error("slow_rate without slow_after")]
    RateWithoutSlow,
    /// It would never be open.
    #[error("a break of 0 s: give one above 0")]
    ZeroBreak,
    /// The delays of a growing break.
    #[error("a break that cannot grow so: {0}")]
    Break(#[source] steadfast_backoff::ConfigError),
    /// Longer than nanoseconds can be counted in 64 bits.
    #[error("a duration of {duration:?}: give at most 584 years")]
    TooLong {
        /// What was given.
        duration: Duration,
    },
    /// It would stay half-open for ever, or has too many probes.
    #[error("{probes} probes: give 1 to {max}")]
    ProbesOutOfRange {
        /// What was given.
        probes: u32,
        /// The most that it may be.
        max: u32,
    },
    /// More successes than are counted, or none.
    #[error("closes after {successes} successes: give 1 to {max}")]
    SuccessesOutOfRange {
        /// What was given.
        successes: u32,
        /// The most that it may be.
        max: u32,
    },
    /// No probe would have the time to report.
    #[error("a probe timeout of 0 s: give one above 0")]
    ZeroProbeTimeout,
    /// Not a share to begin with.
    #[error("a ramp-up from a share of {share}: give one above 0, and at most 1")]
    ShareOutOfRange {
        /// What was given.
        share: f64,
    },
    /// A ramp-up that is over at once.
    #[error("a ramp-up over 0 s: give a duration above 0, or none")]
    ZeroRampUp,
    /// Too few words for a breaker that allocates nothing.
    #[error("{given} words of memory: this configuration needs {needed}")]
    MemoryTooSmall {
        /// What was given.
        given: usize,
        /// [`Terms::words`].
        needed: usize,
    },
    /// A table of no breakers, or of too many.
    #[error("a capacity of {capacity} keys: give 1 to {max}")]
    CapacityOutOfRange {
        /// What was given.
        capacity: usize,
        /// The most that it may be.
        max: usize,
    },
}

impl ConfigError {
    pub(crate) const fn const_message(self) -> &'static str {
        match self {
            Self::NoRule => "no rule that trips it",
            Self::ConsecutiveOutOfRange { .. } => "failures in a row outside 1 to 2^24 - 1",
            Self::RateOutOfRange { .. } => "rate that is not above 0 and at most 1",
            Self::CallsOutOfRange { .. } => "window of calls outside 1 to 10,000",
            Self::SlicesOfCalls => "slices of a window of calls",
            Self::SlicesOutOfRange { .. } => "slices outside 1 to 1,000",
            Self::SliceTooShort { .. } => "slices shorter than 10 µs",
            Self::ZeroMinimum => "minimum of 0 calls",
            Self::MinimumAboveWindow { .. } => "minimum above the window",
            Self::ZeroSlowAfter => "slow after 0 s",
            Self::SlowWithoutRate => "slow_after without a slow_rate",
            Self::RateWithoutSlow => "slow_rate without slow_after",
            Self::ZeroBreak => "break of 0 s",
            Self::Break(_) => "break that cannot grow so",
            Self::TooLong { .. } => "a duration above 584 years",
            Self::ProbesOutOfRange { .. } => "probes outside 1 to 255",
            Self::SuccessesOutOfRange { .. } => "successes outside 1 to 255",
            Self::ZeroProbeTimeout => "probe timeout of 0 s",
            Self::ShareOutOfRange { .. } => {
                "ramp-up from a share that is not above 0 and at most 1"
            }
            Self::ZeroRampUp => "ramp-up over 0 s",
            Self::MemoryTooSmall { .. } => "too few words of memory: see `Terms::words`",
            Self::CapacityOutOfRange { .. } => "capacity of 0, or too large",
        }
    }
}
