//! Numbers on their way: a network that loses, delays and repeats them, or a trace.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::time::Duration;

use steadfast_core::Instant;
use steadfast_sequence_tracker::Run;

use super::Options;
use crate::arrivals::{Arrivals, Pattern};
use crate::quantity::times;
use crate::report::Report;
use crate::source::Source;
use crate::trace::{Event, FIRST, Reader, TraceError, Wanted};

/// Where numbers come from.
pub(super) enum Stream {
    Trace { source: Source, next: Option<Event> },
    Network(Box<Network>),
}

impl Options {
    pub(super) fn stream(&self) -> Result<Stream, TraceError> {
        let wanted = Wanted { sequence: true, ..Wanted::default() };
        if let Some(reader) = Reader::open(&self.trace, wanted)? {
            let mut source = Source::Trace(Box::new(reader));
            let next = source.next();
            return Ok(Stream::Trace { source, next });
        }
        Ok(Stream::Network(Box::new(Network::new(self.clone()))))
    }
}

impl Stream {
    pub(super) const fn is_trace(&self) -> bool {
        matches!(self, Self::Trace { .. })
    }

    /// When the next number comes.
    pub(super) fn peek(&mut self) -> Option<Instant> {
        match self {
            Self::Trace { next, .. } => next.as_ref().map(|event| event.at),
            Self::Network(network) => network.peek(),
        }
    }

    pub(super) fn next(&mut self) -> Option<(Instant, u64)> {
        match self {
            Self::Trace { source, next } => {
                let event = std::mem::replace(next, source.next())?;
                Some((event.at, event.sequence?))
            }
            Self::Network(network) => {
                network.peek()?;
                network.on_their_way.pop().map(|Reverse((at, number))| (at, number))
            }
        }
    }

    /// Asks the sender for numbers; that of a trace does not hear it.
    pub(super) fn resend(&mut self, run: Run, at: Instant) {
        if let Self::Network(network) = self {
            network.resend(run, at);
        }
    }

    pub(super) fn account(&self, report: &mut Report) -> Result<(), TraceError> {
        match self {
            Self::Trace { source, .. } => source.account(report),
            Self::Network(_) => Ok(()),
        }
    }
}

/// A sender, and a network that is not to be relied on.
pub(super) struct Network {
    options: Options,
    sender: Peekable<Arrivals>,
    number: u64,
    /// How many of the next ones get lost with the one before.
    lost_too: u32,
    on_their_way: BinaryHeap<Reverse<(Instant, u64)>>,
    rng: fastrand::Rng,
}

impl Network {
    fn new(options: Options) -> Self {
        let length = options.duration;
        let sender = Arrivals::new(Pattern::Steady, options.rate, length, length, options.seed);
        let number = options.starts_at.unwrap_or(1);
        let rng = fastrand::Rng::with_seed(options.seed);
        let (lost_too, on_their_way) = (0, BinaryHeap::new());
        Self { options, sender: sender.peekable(), number, lost_too, on_their_way, rng }
    }

    /// When the next number comes. Whatever is sent before that is sent first, as it may be the next.
    fn peek(&mut self) -> Option<Instant> {
        loop {
            let first = self.on_their_way.peek().map(|Reverse((at, _))| *at);
            match (first, self.sender.peek().copied()) {
                (Some(first), Some(sent)) if first <= sent => return Some(first),
                (first, None) => return first,
                (_, Some(sent)) => {
                    self.sender.next();
                    self.send(sent);
                }
            }
        }
    }

    fn send(&mut self, at: Instant) {
        let number = self.number & mask(self.options.width);
        self.number = self.number.wrapping_add(1);
        if self.loses() {
            return;
        }
        let late = self.rng.f64() < self.options.late;
        let first = if late { self.delayed(at, self.options.late_by) } else { at };
        self.arrive(number, first);
        if self.rng.f64() < self.options.twice {
            let again = self.delayed(at, self.options.late_by);
            self.arrive(number, again);
        }
    }

    /// Losses come in runs: all of them have the mean length that was asked for.
    fn loses(&mut self) -> bool {
        if self.lost_too > 0 {
            self.lost_too -= 1;
            return true;
        }
        let mean = f64::from(self.options.in_a_row.max(1));
        // So often that the share of what gets lost is what was asked for.
        let begins = self.options.loss / (mean * (1.0 - self.options.loss) + self.options.loss);
        if self.options.loss < 1.0 && self.rng.f64() >= begins {
            return false;
        }
        while self.rng.f64() >= 1.0 / mean && self.lost_too < 1_000_000 {
            self.lost_too += 1;
        }
        true
    }

    fn resend(&mut self, run: Run, at: Instant) {
        for number in run.range() {
            if self.rng.f64() >= self.options.loss {
                let comes = at.saturating_add(self.options.round_trip);
                self.arrive(number & mask(self.options.width), comes);
            }
        }
    }

    fn delayed(&mut self, at: Instant, mean: Duration) -> Instant {
        at.saturating_add(times(mean, 2.0 * self.rng.f64()))
    }

    fn arrive(&mut self, number: u64, at: Instant) {
        // The made-up stream ends when it ends.
        if at < FIRST.saturating_add(self.options.duration) {
            self.on_their_way.push(Reverse((at, number)));
        }
    }
}

/// The bits that a number has.
const fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}
