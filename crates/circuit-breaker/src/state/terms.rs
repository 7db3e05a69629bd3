//! The checked numbers of a configuration, and what can be computed from them alone.

use core::ops::Range;
use core::time::Duration;

use steadfast_backoff::{Policy, Rng};

use super::{Ramp, Reason, Trip, WHOLE};

/// What a breaker is held to: a checked [`Config`](crate::Config).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// 0: no such rule.
    pub(crate) consecutive: u32,
    rules: [Rule; 4],
    rule_count: usize,
    /// Of a success, while all goes well.
    pub(super) looks: Looks,
    /// `u64::MAX`: no call is.
    slow_after_ns: u64,
    pub(crate) breaks: Breaks,
    pub(crate) reset_after: Duration,
    pub(crate) max_hint: Duration,
    pub(crate) probes: u32,
    pub(crate) closing: Closing,
    pub(crate) probe_timeout: Duration,
    pub(crate) ramp: Option<Ramp>,
}

/// What a success has to look at beside the control word, if nothing has to come of it.
///
/// It follows from the rules, and is kept because asking them takes as long as all the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// Nothing.
    Nowhere,
    /// The head of the first rule's window, which is one of calls, and the only one.
    Head,
    /// The clock, or more.
    Closely,
}

/// A rate that trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) subject: Subject,
    pub(crate) span: Span,
    pub(crate) minimum: u32,
    /// The rate, in billionths.
    pub(crate) parts: u32,
    /// Where its words are.
    pub(crate) offset: usize,
    pub(crate) end: usize,
}

/// Which calls are bad for a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Failures,
    Slow,
}

/// What a rule measures over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Calls { calls: u32 },
    Time { slice_ns: u64, slices: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaks {
    Fixed(Duration),
    Growing(Policy),
}

/// Half-open: it closes after so many probes of which fewer failed than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) probes: u32,
    pub(crate) failures: u32,
}

impl Terms {
    /// Of nothing yet.
    pub(crate) const NONE: Self = Self {
        consecutive: 0,
        rules: [Rule::NONE; 4],
        rule_count: 0,
        looks: Looks::Nowhere,
        slow_after_ns: u64::MAX,
        breaks: Breaks::Fixed(Duration::ZERO),
        reset_after: Duration::ZERO,
        max_hint: Duration::ZERO,
        probes: 0,
        closing: Closing { probes: 0, failures: 0 },
        probe_timeout: Duration::ZERO,
        ramp: None,
    };

    /// How many words of [`Memory`](super::Memory) it takes: two for each probe that may be in flight
    /// at once, one more than its calls for a window of calls, one more than twice its slices for a
    /// window of time.
    pub const fn words(&self) -> usize {
        let mut end = self.leases().end;
        let mut i = 0;
        while i < self.rule_count {
            end = self.rules[i].range().end;
            i += 1;
        }
        end
    }

    /// The break of a trip by the configuration.
    ///
    /// A growing break with jitter draws one number.
    pub fn break_duration(&self, trip: Trip, rng: &mut impl Rng) -> Duration {
        match self.breaks {
            Breaks::Fixed(duration) => duration,
            Breaks::Growing(policy) => policy.delay_after(trip.number, trip.previous, rng),
        }
    }

    /// Whether it matters how long calls take.
    #[inline]
    pub(crate) const fn times_calls(&self) -> bool {
        self.slow_after_ns != u64::MAX
    }

    /// Whether somebody who reports has to know the time.
    #[inline]
    pub(super) const fn times_reports(&self) -> bool {
        matches!(self.looks, Looks::Closely)
    }

    pub(super) const fn slow_after_ns(&self) -> u64 {
        self.slow_after_ns
    }

    /// With calls that are slow from so many nanoseconds on.
    pub(crate) const fn with_slow_after(mut self, ns: u64) -> Self {
        self.slow_after_ns = ns;
        self.looks = Looks::Closely;
        self
    }

    /// Whether breaks depend on chance.
    pub(crate) const fn is_jittered(&self) -> bool {
        matches!(self.breaks, Breaks::Growing(_))
    }

    /// With one rule more. Its probes are known.
    pub(crate) const fn with(mut self, mut rule: Rule) -> Self {
        rule.offset = self.words();
        rule.end = rule.offset + rule.span.words();
        self.looks = match (self.looks, rule.span) {
            (Looks::Nowhere, Span::Calls { .. }) => Looks::Head,
            _ => Looks::Closely,
        };
        self.rules[self.rule_count] = rule;
        self.rule_count += 1;
        self
    }

    #[inline]
    pub(crate) const fn rules(&self) -> &[Rule] {
        self.rules.split_at(self.rule_count).0
    }

    /// The first of them, if there is one.
    #[inline]
    pub(super) const fn first_rule(&self) -> &Rule {
        &self.rules[0]
    }

    /// Where the words of the leases are.
    pub(super) const fn leases(&self) -> Range<usize> {
        // OK: at most 255 probes.
        0..self.probes as usize * 2
    }
}

impl Span {
    const fn words(self) -> usize {
        // OK: at most 10,000 calls, and 1,000 slices.
        match self {
            Self::Calls { calls } => 1 + calls as usize,
            Self::Time { slices, .. } => 1 + 2 * slices as usize,
        }
    }
}

impl Rule {
    const NONE: Self = Self {
        subject: Subject::Failures,
        span: Span::Calls { calls: 0 },
        minimum: 0,
        parts: 0,
        offset: 0,
        end: 0,
    };

    /// How many of so many calls have to be bad: the least number that is not below the rate.
    #[expect(clippy::cast_possible_truncation, reason = "at most `calls`")]
    pub(crate) const fn threshold_of(parts: u32, calls: u32) -> u32 {
        // OK: at most `calls`, as the rate is at most 1.
        (parts as u64 * calls as u64).div_ceil(WHOLE) as u32
    }

    /// Whether `bad` of `calls` are enough.
    pub(super) fn holds(&self, calls: u64, bad: u64) -> bool {
        let needed = u128::from(self.parts) * u128::from(calls);
        calls >= u64::from(self.minimum) && u128::from(bad) * u128::from(WHOLE) >= needed
    }

    /// Where its words are.
    #[inline]
    pub(super) const fn range(&self) -> Range<usize> {
        self.offset..self.end
    }

    pub(super) const fn reason(&self) -> Reason {
        match (self.subject, self.span) {
            (Subject::Failures, Span::Calls { .. }) => Reason::FailureRateByCalls,
            (Subject::Failures, Span::Time { .. }) => Reason::FailureRateByTime,
            (Subject::Slow, Span::Calls { .. }) => Reason::SlowRateByCalls,
            (Subject::Slow, Span::Time { .. }) => Reason::SlowRateByTime,
        }
    }
}
