//! The settings of the window and of the made-up ids.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use clap::Args;
use steadfast_core::Instant;
use steadfast_deduplicator::{Config, ConfigError, MAX_CAPACITY};
use steadfast_token_bucket::Rate;

use crate::arrivals::{Arrivals, MADE, Pattern};
use crate::quantity::{self, count, duration, rate_of};
use crate::trace::{Event, Id, TraceOptions};

/// How many times as large the window is that tells what the other one missed, and how large at most: 120 MB.
const LARGER: usize = 4;
const LARGEST: usize = 4_000_000;

/// What would a window of ids find?
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The ids that are remembered
    #[arg(long, value_name = "IDS", default_value_t = 10_000)]
    pub capacity: usize,
    /// For how long an id is remembered [default: until so many others have come]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub ttl: Option<Duration>,
    /// Every sight of an id counts as its first
    #[arg(long)]
    pub renew: bool,
    /// Fingerprints of 128 bits
    #[arg(long)]
    pub wide: bool,
    /// Less memory, more time
    #[arg(long)]
    pub dense: bool,
    /// How many made-up messages there are
    #[arg(long, default_value = "1000/s", value_parser = quantity::rate, conflicts_with = "trace", help_heading = MADE)]
    pub rate: Rate,
    /// The share of them that come again
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = quantity::share, conflicts_with = "trace", help_heading = MADE)]
    pub repeated: f64,
    /// After how long they do, on average
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub after: Duration,
    /// For how long there are made-up messages
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub duration: Duration,
    /// What made-up messages are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "they have docs of their own")]
    pub trace: TraceOptions,
}

impl Options {
    /// Whether it can have this capacity. The crate compares that with the most of any number of shards first, and
    /// here is one.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (capacity, max) = (self.capacity, MAX_CAPACITY);
        if (1..=max).contains(&capacity) {
            Ok(())
        } else {
            Err(ConfigError::CapacityOutOfRange { capacity, max })
        }
    }

    pub(super) fn config(&self) -> Config {
        // One shard, so that it has this capacity exactly.
        let config = Config::new(self.capacity).renew(self.renew).wide(self.wide).dense(self.dense);
        let config = config.shards(1);
        self.ttl.map_or(config, |ttl| config.ttl(ttl))
    }

    /// The capacity of the window that tells what this one missed, if there is one.
    pub(super) fn larger(&self) -> Option<usize> {
        let larger = self.capacity.saturating_mul(LARGER).min(LARGEST);
        (larger > self.capacity).then_some(larger)
    }

    /// That window, which forgets nothing in time.
    pub(super) fn larger_config(&self) -> Option<Config> {
        let config = |capacity| Config::new(capacity).renew(self.renew).wide(self.wide).shards(1);
        self.larger().map(config)
    }

    pub(super) fn title(&self) -> String {
        let ttl = self.ttl.map_or(String::new(), |ttl| format!(" of the last {}", duration(ttl)));
        format!("A window of the last {} ids{ttl}", count(self.capacity as u64))
    }

    pub(super) fn note(&self) -> String {
        let (rate, after) = (rate_of(self.rate, "messages"), duration(self.after));
        let repeated = quantity::share_of(self.repeated);
        self.trace.note(format!("{rate}: {repeated} of them come again, after {after} on average."))
    }

    /// Ids in order, and some of them again.
    pub(super) fn made(&self) -> impl Iterator<Item = Event> + 'static {
        let every = self.duration;
        let mut sent = Arrivals::new(Pattern::Poisson, self.rate, every, self.duration, self.seed);
        let mut sent = std::iter::from_fn(move || sent.next()).peekable();
        let mut again: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
        let mut rng = fastrand::Rng::with_seed(!self.seed);
        let (repeated, after, mut number) = (self.repeated, self.after, 0);
        let event = |at, number| Event { id: Some(Id::Number(number)), ..Event::at(at) };
        std::iter::from_fn(move || {
            let next = *sent.peek()?;
            if let Some(Reverse((at, number))) = again.pop_if_before(next) {
                return Some(event(at, number));
            }
            sent.next();
            number += 1;
            if rng.f64() < repeated {
                let delay = quantity::times(after, -(1.0 - rng.f64()).ln());
                again.push(Reverse((next.saturating_add(delay), number)));
            }
            Some(event(next, number))
        })
    }
}

trait PopIfBefore {
    fn pop_if_before(&mut self, next: Instant) -> Option<Reverse<(Instant, u64)>>;
}

impl PopIfBefore for BinaryHeap<Reverse<(Instant, u64)>> {
    fn pop_if_before(&mut self, next: Instant) -> Option<Reverse<(Instant, u64)>> {
        let is_before = self.peek().is_some_and(|Reverse((at, _))| *at <= next);
        if is_before { self.pop() } else { None }
    }
}
