//! The gap tracker and the replay windows against naive oracles: sets of numbers, one at a time.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`] and [`run_windows`].

#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use steadfast_backoff::Random;
use steadfast_core::{Clock, Instant, ManualClock};
use steadfast_sequence_tracker::{
    Acquire, AcquireError, Arrival, Batch, Change, Changes, Config, Due, Freshness, Gap,
    RangeError, ReplayWindow, Run, SequenceTracker, SharedReplayWindow, State, Stats, Width,
};

/// What a tracker is made of. Numbers are *atoms*: blocks of `2^stretch` real ones, so that sets of a
/// few atoms speak of jumps of any size. Any values will do: `fitted` makes them fit.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How many bits a number has on the wire.
    pub bits: u32,
    /// How many real numbers an atom is, as a power of 2; only where numbers do not wrap.
    pub stretch: u32,
    /// As in the configuration, in atoms.
    pub starts_at: Option<u64>,
    /// As in the configuration, in atoms.
    pub max_jump: Option<u64>,
    /// As in the configuration, in atoms.
    pub max_late: Option<u64>,
    /// As in the configuration, in atoms.
    pub resync_at: Option<u64>,
    /// 1, 2, 3 or 8.
    pub capacity: usize,
    /// The first delay before a request, in nanoseconds.
    pub delay: Option<u64>,
    /// How many requests.
    pub retries: Option<u32>,
    /// How old a gap may be.
    pub elapsed: Option<u64>,
    /// What numbers are near to before there is one.
    pub origin: u64,
    /// Whether somebody waits all the time, so that the shared tracker is never without its lock.
    pub is_watched: bool,
}

impl Setup {
    /// What a run begins with.
    pub const PLAIN: Self = Self {
        bits: 64,
        stretch: 0,
        starts_at: None,
        max_jump: None,
        max_late: None,
        resync_at: None,
        capacity: 8,
        delay: None,
        retries: None,
        elapsed: None,
        origin: 0,
        is_watched: false,
    };

    /// The nearest that can be built.
    fn fitted(mut self) -> Self {
        self.bits = self.bits.clamp(2, 64);
        self.stretch = if self.bits == 64 { self.stretch.min(56) } else { 0 };
        let wire = Width::new(self.bits).unwrap().max() >> self.stretch;
        let most = if self.bits == 64 { wire } else { wire / 2 };
        self.starts_at = self.starts_at.map(|first| first.min(wire));
        self.max_jump = self.max_jump.map(|jump| jump.clamp(1, most));
        self.max_late = self.max_late.map(|late| late.clamp(1, most));
        self.resync_at = self.resync_at.map(|missing| missing.max(1).min(most));
        self.capacity = [1, 1, 2, 3, 8][self.capacity.min(4)];
        self.delay = self.delay.map(|ns| ns.max(1));
        self.elapsed = self.elapsed.map(|ns| ns.max(1));
        self.origin = self.origin.min(u64::MAX >> self.stretch);
        self
    }

    const fn size(&self) -> u64 {
        1 << self.stretch
    }

    const fn max(&self) -> u64 {
        u64::MAX >> self.stretch
    }

    fn config(&self) -> Config {
        let size = self.size();
        let gaps = u32::try_from(self.capacity).unwrap();
        let mut config = Config::new().width(Width::new(self.bits).unwrap()).max_gaps(gaps);
        if let Some(first) = self.starts_at {
            config = config.starts_at(first * size);
        }
        if let Some(jump) = self.max_jump {
            config = config.max_jump(jump * size);
        }
        if let Some(late) = self.max_late {
            config = config.max_late(late * size);
        }
        if let Some(missing) = self.resync_at {
            config = config.resync_at(missing * size);
        }
        if let Some(delay) = self.delay {
            let mut delays = steadfast_backoff::Config::exponential(Duration::from_nanos(delay));
            delays = self.retries.map_or(delays.unlimited(), |most| delays.max_retries(most));
            if let Some(elapsed) = self.elapsed {
                delays = delays.max_elapsed(Duration::from_nanos(elapsed));
            }
            config = config.request(delays);
        }
        config
    }
}

/// A number, from where the stream is.
#[derive(Debug, Clone, Copy)]
pub enum At {
    /// So far from the next one.
    Next(i16),
    /// So far from the beginning of one of the gaps.
    Gap(u8, i8),
    /// So far from the end of one of the gaps.
    GapEnd(u8, i8),
    /// So far from the lowest that is not forgotten.
    Floor(i8),
    /// So far from the number that would confirm a restart.
    Suspect(i8),
    /// So many below the last of all.
    Last(u8),
    /// Just that.
    Just(u64),
}

/// What can happen to a tracker.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// A number.
    Record(At),
    /// So many numbers from one on, or backwards.
    Range(At, i8),
    /// A message that names its predecessor: how many numbers do not exist, and how many do.
    Linked(At, i8, u8),
    /// It exists.
    Announce(At),
    /// As it says.
    GiveUpBelow(At),
    /// As it says.
    SkipTo(At),
    /// As it says.
    Resynced(At),
    /// As it says.
    Reset,
    /// A number of an epoch that is so far from the latest.
    RecordIn(i8, At),
    /// Everything that is due.
    Due,
    /// Time goes on until something is due, or nearly, or a bit longer.
    ToDue(i8),
    /// Time goes on.
    Advance(u32),
    /// The clock steps back.
    StepBack(u32),
    /// Somebody asks whether everything through a number has come.
    Await(At, bool),
}

/// Does `ops`, one after the other, to the oracle, the machine and the shared tracker.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(setup: Setup, ops: &[Op]) {
    let setup = setup.fitted();
    match setup.capacity {
        1 => Model::new(setup, [Gap::EMPTY; 1]).run(ops),
        2 => Model::new(setup, [Gap::EMPTY; 2]).run(ops),
        3 => Model::new(setup, [Gap::EMPTY; 3]).run(ops),
        _ => Model::new(setup, [Gap::EMPTY; 8]).run(ops),
    }
}

/// What was done about a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Care {
    /// Of the gap in which it was noticed.
    id: u64,
    since: u64,
    requests: u32,
    due: Option<u64>,
}

/// The plain definition: every number has its fate.
#[derive(Debug, Clone)]
struct Oracle {
    setup: Setup,
    base: i128,
    floor: i128,
    /// The right edge, if anything has come.
    edge: Option<i128>,
    awaited: Option<i128>,
    missing: BTreeMap<u64, Care>,
    /// How many gaps there were.
    gaps: u64,
    /// The lowest and the highest that were lost and are not covered.
    lost: Option<(u64, u64)>,
    suspect: Option<i128>,
    needs_resync: bool,
    epoch: Option<u64>,
    unreported: Option<u64>,
    /// Of earlier runs.
    expected: u128,
    received: u128,
    abandoned: u128,
    skipped: u128,
    duplicates: u128,
    too_old: u128,
    reordered: u128,
    displacement: u128,
    restarts: u64,
}

/// What the oracle says of a range, in atoms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Verdict {
    fresh: u64,
    filled: u64,
    duplicates: u64,
    too_old: u64,
    missing: u64,
    abandoned: Option<(u64, u64)>,
    suspect: bool,
    restarted: Option<u64>,
}

/// A range that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Backwards,
    OutOfRange,
}

const MANY: i128 = 700;

impl Oracle {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            base: 0,
            floor: 0,
            edge: None,
            awaited: setup.starts_at.map(i128::from),
            missing: BTreeMap::new(),
            gaps: 0,
            lost: None,
            suspect: None,
            needs_resync: false,
            epoch: None,
            unreported: None,
            expected: 0,
            received: 0,
            abandoned: 0,
            skipped: 0,
            duplicates: 0,
            too_old: 0,
            reordered: 0,
            displacement: 0,
            restarts: 0,
        }
    }

    fn max(&self) -> i128 {
        i128::from(self.setup.max())
    }

    fn near(&self) -> Option<i128> {
        self.edge.or(self.awaited)
    }

    /// The number nearest to `near` that looks like `wire`; of two, the larger. It may be negative.
    fn nearest(&self, wire: u64, near: i128) -> Option<i128> {
        if self.setup.bits == 64 {
            return (i128::from(wire) <= self.max()).then_some(i128::from(wire));
        }
        let period = 1_i128 << self.setup.bits;
        if i128::from(wire) >= period {
            return None;
        }
        let turn = near.div_euclid(period);
        let all = (turn - 2..=turn + 2).map(|turn| turn * period + i128::from(wire));
        all.filter(|&n| n <= self.max()).min_by_key(|&n| ((n - near).abs(), -n))
    }

    /// The same where there is no number below 0.
    fn nearest_real(&self, wire: u64, near: i128) -> Option<i128> {
        let n = self.nearest(wire, near)?;
        Some(if n < 0 { i128::from(wire) } else { n })
    }

    fn meant(&self, wire: u64) -> Option<i128> {
        self.nearest(wire, self.near().unwrap_or_else(|| i128::from(wire)))
    }

    fn range(&self, first: u64, last: u64) -> Result<(i128, i128), Wrong> {
        let start = self.meant(first).ok_or(Wrong::OutOfRange)?;
        self.range_from(start < 0, start, last)
    }

    fn range_from(&self, is_before: bool, start: i128, last: u64) -> Result<(i128, i128), Wrong> {
        let end =
            if is_before { self.nearest(last, start) } else { self.nearest_real(last, start) };
        let end = end.ok_or(Wrong::OutOfRange)?;
        if end < start { Err(Wrong::Backwards) } else { Ok((start, end)) }
    }

    /// The missing numbers as ranges.
    fn runs(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for &n in self.missing.keys() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == n => *last = n,
                _ => runs.push((n, n)),
            }
        }
        runs
    }

    /// The same, those apart that were noticed at different times.
    fn gaps(&self) -> Vec<(u64, u64)> {
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for (&n, care) in &self.missing {
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == n && self.missing[last].id == care.id => *last = n,
                _ => gaps.push((n, n)),
            }
        }
        gaps
    }

    /// At the bound the highest two that adjoin become one, or the lowest gap is abandoned.
    fn keep_to_capacity(&mut self) -> Option<(u64, u64)> {
        let gaps = self.gaps();
        if gaps.len() <= self.setup.capacity {
            return None;
        }
        assert_eq!(gaps.len(), self.setup.capacity + 1);
        let Some(pair) = gaps.windows(2).rfind(|pair| pair[0].1 + 1 == pair[1].0) else {
            self.abandon(gaps[0]);
            return Some(gaps[0]);
        };
        let (below, above) = (self.missing[&pair[0].0], self.missing[&pair[1].0]);
        let joined = Care {
            id: above.id,
            since: below.since.max(above.since),
            requests: below.requests.min(above.requests),
            due: [below.due, above.due].into_iter().flatten().min(),
        };
        self.care_for((pair[0].0, pair[1].1), joined);
        None
    }

    fn care_for(&mut self, (first, last): (u64, u64), care: Care) {
        for n in first..=last {
            self.missing.insert(n, care);
        }
    }

    fn abandon(&mut self, (first, last): (u64, u64)) {
        for n in first..=last {
            self.missing.remove(&n).unwrap();
            self.lose(n);
        }
        self.floor = self.floor.max(i128::from(last) + 1);
    }

    fn lose(&mut self, n: u64) {
        self.abandoned += 1;
        self.lost = Some((self.lost.map_or(n, |(first, _)| first), n));
    }

    fn leave_out(&mut self, first: i128, last: i128, now: u64) {
        self.gaps += 1;
        let mut care = Care { id: self.gaps, since: now, requests: 0, due: None };
        let first = u64::try_from(first).unwrap();
        if let Some(before) = first.checked_sub(1).and_then(|n| self.missing.get(&n)) {
            if (Care { id: care.id, ..*before }) == care {
                care.id = before.id;
            }
        }
        self.care_for((first, u64::try_from(last).unwrap()), care);
        let (first, last) = *self.runs().last().unwrap();
        self.needs_resync |= self.setup.resync_at.is_some_and(|most| last - first + 1 >= most);
    }

    /// How far the last real number of an atom is above what is known.
    fn ahead(&self, last: i128) -> Option<i128> {
        let size = i128::from(self.setup.size());
        let near = match (self.edge, self.awaited) {
            (Some(edge), _) => (edge + 1) * size - 1,
            (None, awaited) => awaited? * size,
        };
        Some((last + 1) * size - 1 - near)
    }

    fn is_too_far(&self, ahead: i128) -> bool {
        let size = i128::from(self.setup.size());
        self.setup.max_jump.is_some_and(|jump| ahead > i128::from(jump) * size)
    }

    fn believes(&self, first: i128, last: i128) -> bool {
        let size = i128::from(self.setup.size());
        let Some(ahead) = self.ahead(last) else { return true };
        let is_too_late = self.setup.max_late.is_some_and(|late| -ahead > i128::from(late) * size);
        let is_asked_for = self.missing.keys().any(|&n| (first..=last).contains(&i128::from(n)));
        !self.is_too_far(ahead) && (!is_too_late || is_asked_for)
    }

    fn start(&mut self, first: i128) {
        (self.base, self.floor, self.edge) = (first, first, Some(first - 1));
        self.awaited = None;
        self.unreported = None;
    }

    fn end_run(&mut self) -> u64 {
        let lost = self.missing.len() as u64;
        if let Some(edge) = self.edge.take() {
            self.expected += (edge - self.base + 1).unsigned_abs();
        }
        self.abandoned += u128::from(lost);
        self.missing.clear();
        (self.base, self.floor, self.lost) = (0, 0, None);
        (self.awaited, self.suspect, self.needs_resync) = (None, None, false);
        self.restarts += 1;
        lost
    }

    /// Numbers below `exists` are only said not to exist. There are none below 0, which is below all that
    /// is remembered.
    fn absorb(&mut self, mut first: i128, mut last: i128, mut exists: i128, now: u64) -> Verdict {
        let mut verdict = Verdict::default();
        let len = u64::try_from(last - first + 1).unwrap();
        if !self.believes(first, last) {
            let period = 1_i128 << self.setup.bits;
            if self.suspect.is_none_or(|next| (next - first) % period != 0) {
                self.suspect = (last < self.max()).then_some(last + 1);
                verdict.suspect = true;
                return verdict;
            }
            verdict.restarted = Some(self.end_run());
            // A turn further there is such a number.
            let turn = if first < 0 { period } else { 0 };
            (first, last, exists) = (first + turn, last + turn, exists + turn);
        }
        if self.edge.is_none() {
            let awaited = self.awaited.unwrap_or(first);
            if last < awaited {
                verdict.too_old = len;
                self.too_old += u128::from(len);
                return verdict;
            }
            self.start(awaited);
        }
        for n in first..=last {
            let edge = self.edge.unwrap();
            let came = if n < self.floor {
                verdict.too_old += 1;
                self.too_old += 1;
                false
            } else if n <= edge {
                if self.missing.remove(&u64::try_from(n).unwrap()).is_some() {
                    verdict.filled += 1;
                    self.reordered += 1;
                    self.displacement = self.displacement.max((edge - n).unsigned_abs());
                    true
                } else {
                    verdict.duplicates += 1;
                    self.duplicates += 1;
                    false
                }
            } else {
                if n > edge + 1 {
                    verdict.missing = u64::try_from(n - edge - 1).unwrap();
                    self.leave_out(edge + 1, n - 1, now);
                }
                self.edge = Some(n);
                true
            };
            if came {
                verdict.fresh += 1;
                *(if n < exists { &mut self.skipped } else { &mut self.received }) += 1;
            }
        }
        verdict.abandoned = self.keep_to_capacity();
        verdict
    }

    fn record_range(&mut self, first: u64, last: u64, now: u64) -> Result<Verdict, Wrong> {
        let (first, last) = self.range(first, last)?;
        Ok(self.absorb(first, last, first, now))
    }

    fn linked(&self, previous: u64, first: u64, last: u64) -> Result<[i128; 3], Wrong> {
        let (previous, first) = self.range(previous, first)?;
        let (first, last) = self.range_from(previous < 0, first, last)?;
        if previous == first { Err(Wrong::Backwards) } else { Ok([previous, first, last]) }
    }

    fn record_linked(&mut self, p: u64, first: u64, last: u64, now: u64) -> Result<Verdict, Wrong> {
        if self.is_alive(p, first, last)? {
            return self.announce(p, now);
        }
        let [previous, start, end] = self.linked(p, first, last)?;
        if self.near().is_none() {
            return self.record_range(first, last, now);
        }
        Ok(self.absorb(previous + 1, end, start, now))
    }

    /// Whether a message names itself as the one before it.
    fn is_alive(&self, previous: u64, first: u64, last: u64) -> Result<bool, Wrong> {
        self.meant(previous).ok_or(Wrong::OutOfRange)?;
        Ok(self.setup.stretch == 0 && previous == first && previous == last)
    }

    fn announce(&mut self, number: u64, now: u64) -> Result<Verdict, Wrong> {
        let n = self.meant(number).ok_or(Wrong::OutOfRange)?;
        let mut verdict = Verdict::default();
        let next = self.edge.map(|edge| edge + 1).or(self.awaited);
        let Some(next) = next.filter(|&next| n >= next) else { return Ok(verdict) };
        if self.ahead(n).is_some_and(|ahead| self.is_too_far(ahead)) {
            self.suspect = (n < self.max()).then_some(n + 1);
            verdict.suspect = true;
            return Ok(verdict);
        }
        if self.edge.is_none() {
            self.start(next);
        }
        verdict.missing = u64::try_from(n - next + 1).unwrap();
        self.leave_out(next, n, now);
        self.edge = Some(n);
        verdict.abandoned = self.keep_to_capacity();
        Ok(verdict)
    }

    /// Takes what is missing through a number.
    fn settle_through(&mut self, through: i128) -> Vec<u64> {
        self.floor = self.floor.max(through + 1);
        let is_settled = |n: &u64| i128::from(*n) <= through;
        let settled: Vec<_> = self.missing.keys().copied().filter(is_settled).collect();
        self.missing.retain(|n, _| !is_settled(n));
        settled
    }

    fn give_up_below(&mut self, number: u64) -> u64 {
        let Some(edge) = self.edge.filter(|_| number > 0) else { return 0 };
        let lost = self.settle_through(edge.min(i128::from(number) - 1));
        for &n in &lost {
            self.lose(n);
        }
        lost.len() as u64
    }

    fn cover_through(&mut self, through: i128) -> u64 {
        self.lost = self.lost.filter(|lost| i128::from(lost.1) > through).map(|(first, last)| {
            // One of those is.
            (u64::try_from(i128::from(first).max(through + 1)).unwrap(), last)
        });
        let Some(edge) = self.edge else {
            self.awaited = self.awaited.max(Some(through + 1));
            return 0;
        };
        let mut skipped = self.settle_through(through).len() as u128;
        if through > edge {
            skipped += (through - edge).unsigned_abs();
            self.edge = Some(through);
        }
        self.skipped += skipped;
        u64::try_from(skipped).unwrap_or(u64::MAX)
    }

    fn resynced(&mut self, number: u64) {
        self.suspect = None;
        self.cover_through(i128::from(number));
        let most = self.setup.resync_at.unwrap_or(u64::MAX);
        self.needs_resync = self.runs().iter().any(|(first, last)| last - first + 1 >= most);
    }

    fn reset(&mut self) -> u64 {
        let lost = self.end_run();
        self.awaited = self.setup.starts_at.map(i128::from);
        lost
    }

    fn delay(&self, attempt: u32) -> u64 {
        let delay = u128::from(self.setup.delay.unwrap()) << attempt.min(64);
        u64::try_from(delay).unwrap_or(u64::MAX)
    }

    /// Everything that is due, one look at each: whether it is requested or given up.
    fn due(&mut self, now: u64) -> Vec<(bool, u64, u64, u32)> {
        let mut all = Vec::new();
        if self.setup.delay.is_none() {
            return all;
        }
        for (first, last) in self.gaps() {
            let mut care = self.missing[&first];
            if now < care.since {
                (care.since, care.due) = (now, None);
            }
            let due = care.due.unwrap_or_else(|| care.since.saturating_add(self.delay(0)));
            care.due = Some(due);
            let is_lowest = self.missing.keys().next() == Some(&first);
            let is_old = self.setup.elapsed.is_some_and(|most| now - care.since >= most);
            let is_last = self.setup.retries.is_some_and(|most| care.requests >= most);
            let is_due = now >= due && due < u64::MAX;
            let gives_up = is_old || (is_last && is_due);
            if gives_up && is_lowest {
                self.abandon((first, last));
                all.push((false, first, last, 0));
                continue;
            }
            if gives_up && is_old {
                // Nothing happens to it before those below it are gone.
                care.due = Some(due.max(now));
            } else if is_due && !gives_up {
                all.push((true, first, last, care.requests));
                care.requests += 1;
                care.due = Some(now.saturating_add(self.delay(care.requests)));
            }
            self.care_for((first, last), care);
        }
        all
    }

    fn next_due(&self) -> Option<u64> {
        self.setup.delay?;
        let mut all = Vec::new();
        for (index, (first, _)) in self.gaps().into_iter().enumerate() {
            let Care { since, requests, due, .. } = self.missing[&first];
            let Some(due) = due else {
                all.push(since);
                continue;
            };
            let old = self.setup.elapsed.map_or(u64::MAX, |most| since.saturating_add(most));
            let is_last = self.setup.retries.is_some_and(|most| requests >= most);
            if index == 0 {
                all.push(due.min(old));
            } else if !is_last && due < old {
                all.push(due);
            }
        }
        all.into_iter().min().filter(|&at| at < u64::MAX)
    }

    fn contiguous_through(&self) -> Option<u64> {
        let below = |n: i128| u64::try_from(n - 1).ok();
        match (self.missing.keys().next(), self.edge, self.awaited) {
            (Some(&first), ..) => below(i128::from(first)),
            (None, Some(edge), _) => u64::try_from(edge).ok(),
            (None, None, Some(first)) => below(first),
            (None, None, None) => None,
        }
    }

    /// What has to come before everything through `number` has.
    fn missing_through(&self, number: u64) -> BTreeSet<u64> {
        let known = self.missing.range(..=number).map(|(&n, _)| n);
        let next = self.edge.map(|edge| edge + 1).or(self.awaited);
        let next = next.unwrap_or(i128::from(number));
        known.chain((next..=i128::from(number)).map(|n| u64::try_from(n).unwrap())).collect()
    }

    /// In real numbers.
    fn stats(&self) -> Stats {
        let size = u128::from(self.setup.size());
        let real = |n: u128| u64::try_from(n * size).unwrap_or(u64::MAX);
        let run = self.edge.map_or(0, |edge| (edge - self.base + 1).unsigned_abs());
        Stats {
            expected: real(self.expected + run),
            missing: real(self.missing.len() as u128),
            abandoned: real(self.abandoned),
            skipped: real(self.skipped),
            duplicates: real(self.duplicates),
            too_old: real(self.too_old),
            reordered: real(self.reordered),
            largest_displacement: if self.reordered > 0 {
                real(self.displacement).saturating_add(self.setup.size() - 1)
            } else {
                0
            },
            restarts: self.restarts,
        }
    }
}

/// The oracle and what is held to it.
struct Model<const N: usize> {
    setup: Setup,
    oracle: Oracle,
    state: State<[Gap; N]>,
    shared: Arc<SequenceTracker<ManualClock>>,
    /// Somebody who waits for the last number of all.
    watch: Option<Acquire<Arc<SequenceTracker<ManualClock>>>>,
    changes: Changes,
    /// What is missing by what the changes said, in atoms.
    reported: BTreeSet<u64>,
    rng: Random,
}

impl<const N: usize> Model<N> {
    fn new(setup: Setup, gaps: [Gap; N]) -> Self {
        let clock = ManualClock::starting_at(Instant::from_nanos(1_000));
        let shared = Arc::new(setup.config().build_with(clock).unwrap());
        Self {
            setup,
            oracle: Oracle::new(setup),
            state: setup.config().state_in(gaps).unwrap(),
            changes: shared.changes(),
            shared,
            watch: None,
            reported: BTreeSet::new(),
            rng: Random::from_seed(1),
        }
    }

    fn run(mut self, ops: &[Op]) {
        self.check();
        for &op in ops {
            if self.setup.is_watched && self.watch.is_none() {
                let mut wait = Acquire::new(Arc::clone(&self.shared), u64::MAX);
                let is_over = self.oracle.contiguous_through().map(|n| self.last(n));
                assert_eq!(poll(&mut wait).is_ready(), is_over == Some(u64::MAX));
                self.watch = Some(wait).filter(|_| is_over != Some(u64::MAX));
            }
            let restarts = self.oracle.restarts;
            self.step(op);
            self.check();
            if let Some(wait) = &mut self.watch {
                let over = match poll(wait) {
                    Poll::Ready(Ok(u64::MAX)) => true,
                    Poll::Ready(Err(AcquireError::Lost { through: u64::MAX, lost })) => {
                        assert_eq!(Some(lost), self.oracle.lost.map(|lost| self.real(lost)));
                        true
                    }
                    Poll::Ready(Err(AcquireError::Restarted)) => {
                        assert!(self.oracle.restarts > restarts);
                        true
                    }
                    Poll::Pending => {
                        assert_eq!(self.oracle.restarts, restarts);
                        false
                    }
                    other @ Poll::Ready(_) => panic!("{other:?}"),
                };
                self.watch = self.watch.take().filter(|_| !over);
            }
        }
    }

    fn now(&self) -> u64 {
        self.shared.clock().now().as_nanos()
    }

    /// The first real number of an atom.
    fn first(&self, atom: u64) -> u64 {
        atom << self.setup.stretch
    }

    /// The last one.
    fn last(&self, atom: u64) -> u64 {
        self.first(atom) | (self.setup.size() - 1)
    }

    fn real(&self, (first, last): (u64, u64)) -> Run {
        Run { first: self.first(first), last: self.last(last) }
    }

    fn times(&self, atoms: u64) -> u64 {
        atoms.saturating_mul(self.setup.size())
    }

    fn batch(&self, verdict: Verdict) -> Batch {
        Batch {
            fresh: self.times(verdict.fresh),
            filled: self.times(verdict.filled),
            duplicates: self.times(verdict.duplicates),
            too_old: self.times(verdict.too_old),
            missing: self.times(verdict.missing),
            abandoned: verdict.abandoned.map(|run| self.real(run)),
            suspect: verdict.suspect,
            restarted: verdict.restarted.map(|lost| self.times(lost)),
        }
    }

    fn arrival(&self, was_started: bool, verdict: Verdict) -> Arrival {
        let abandoned = verdict.abandoned.map(|run| self.real(run));
        let remaining = self.oracle.missing.len() as u64;
        match verdict {
            Verdict { suspect: true, .. } => Arrival::Suspect,
            Verdict { restarted: Some(lost), .. } => Arrival::Restart { lost },
            Verdict { too_old: 1, .. } => Arrival::TooOld,
            Verdict { duplicates: 1, .. } => Arrival::Duplicate,
            Verdict { filled: 1, .. } => Arrival::Filled { remaining, abandoned },
            Verdict { missing: 0, .. } if was_started => Arrival::Next,
            Verdict { missing: 0, .. } => Arrival::First,
            Verdict { missing, .. } => Arrival::Ahead { missing, abandoned },
        }
    }

    /// A number in full, and on the wire.
    fn number(&self, at: At) -> (u64, u64) {
        let oracle = &self.oracle;
        let next = oracle.edge.map(|edge| edge + 1).or(oracle.awaited);
        let next = next.unwrap_or_else(|| i128::from(self.setup.origin));
        let gap = |index: u8| {
            let runs = oracle.runs();
            runs.get(usize::from(index) % runs.len().max(1)).copied()
        };
        let number = match at {
            At::Next(by) => next + i128::from(by),
            At::Gap(index, by) => {
                gap(index).map_or(next, |(first, _)| i128::from(first)) + i128::from(by)
            }
            At::GapEnd(index, by) => {
                gap(index).map_or(next, |(_, last)| i128::from(last)) + i128::from(by)
            }
            At::Floor(by) => oracle.floor + i128::from(by),
            At::Suspect(by) => oracle.suspect.unwrap_or(next) + i128::from(by),
            At::Last(by) => oracle.max() - i128::from(by),
            At::Just(number) => {
                return (number.min(self.setup.max()), number.min(self.setup.max()));
            }
        };
        // Below 0 there are numbers on the wire, if they wrap.
        let wire = Width::new(self.setup.bits).unwrap().max();
        let cut = u64::try_from(number.clamp(0, oracle.max())).unwrap();
        if self.setup.bits < 64 {
            let period = 1_i128 << self.setup.bits;
            return (cut, u64::try_from(number.rem_euclid(period)).unwrap() & wire);
        }
        (cut, cut)
    }

    /// Whether the sets would become too large.
    fn is_too_much(oracle: &Oracle, range: Result<(i128, i128), Wrong>) -> bool {
        let Ok((first, last)) = range else { return false };
        let next = oracle.edge.map(|edge| edge + 1).or(oracle.awaited).unwrap_or(first);
        last - first > MANY || (last - next > MANY && oracle.believes(first, last))
    }

    fn is_too_much_to_announce(&self, wire: u64) -> bool {
        let (Some(n), Some(near)) = (self.oracle.meant(wire), self.oracle.near()) else {
            return false;
        };
        let ahead = self.oracle.ahead(n).unwrap_or(0);
        n - near > MANY && !self.oracle.is_too_far(ahead)
    }

    fn record(&mut self, wire: u64, is_shared: bool, now: u64) -> Result<Batch, Arrival> {
        let range = self.first(wire)..=self.last(wire);
        let at = Instant::from_nanos(now);
        match (self.setup.stretch, is_shared) {
            (0, false) => Err(self.state.record(wire, at)),
            (0, true) => Err(self.shared.record(wire)),
            (_, false) => Ok(self.state.record_range(range, at).unwrap()),
            (_, true) => Ok(self.shared.record_range(range).unwrap()),
        }
    }

    fn step(&mut self, op: Op) {
        let now = self.now();
        let at = Instant::from_nanos(now);
        match op {
            Op::Record(at) => {
                let (_, wire) = self.number(at);
                if Self::is_too_much(&self.oracle, self.oracle.range(wire, wire)) {
                    return;
                }
                let was_started = self.oracle.edge.is_some();
                let expected = match self.oracle.record_range(wire, wire, now) {
                    Err(wrong) => {
                        assert_eq!(wrong, Wrong::OutOfRange);
                        Err(Arrival::OutOfRange)
                    }
                    Ok(verdict) if self.setup.stretch > 0 => Ok(self.batch(verdict)),
                    Ok(verdict) => Err(self.arrival(was_started, verdict)),
                };
                assert_eq!(self.record(wire, false, now), expected, "{op:?}");
                assert_eq!(self.record(wire, true, now), expected, "{op:?}");
            }
            Op::Range(from, by) => {
                let (number, first) = self.number(from);
                let last = self.offset(number, first, by);
                if Self::is_too_much(&self.oracle, self.oracle.range(first, last)) {
                    return;
                }
                let expected = self.oracle.record_range(first, last, now);
                let range = self.first(first)..=self.last(last);
                self.same(expected, self.state.clone().record_range(range.clone(), at));
                let answer = self.state.record_range(range.clone(), at);
                self.same(expected, answer);
                self.same(expected, self.shared.record_range(range));
            }
            Op::Linked(from, absent, len) => {
                let (number, previous) = self.number(from);
                let (skip, len) = (absent.saturating_add(1), i8::try_from(len % 5).unwrap());
                let first = self.offset(number, previous, skip);
                let last = self.offset(number, previous, skip.saturating_add(len));
                let linked = self.oracle.linked(previous, first, last);
                let outer = linked.map(|[previous, first, last]| {
                    if self.oracle.near().is_none() { (first, last) } else { (previous + 1, last) }
                });
                if self.oracle.is_alive(previous, first, last) == Ok(true) {
                    if self.is_too_much_to_announce(previous) {
                        return;
                    }
                } else if Self::is_too_much(&self.oracle, outer) {
                    return;
                }
                let expected = self.oracle.record_linked(previous, first, last, now);
                let (previous, range) = (self.last(previous), self.first(first)..=self.last(last));
                let answer = self.state.record_linked(previous, range.clone(), at);
                self.same(expected, answer);
                self.same(expected, self.shared.record_linked(previous, range));
            }
            Op::Announce(at_) => {
                let (_, wire) = self.number(at_);
                if self.is_too_much_to_announce(wire) {
                    return;
                }
                let expected = self.oracle.announce(wire, now);
                let answer = self.state.announce(self.last(wire), at);
                self.same(expected, answer);
                self.same(expected, self.shared.announce(self.last(wire)));
            }
            _ => self.look_after(op, now),
        }
    }

    /// What is no number of the stream.
    fn look_after(&mut self, op: Op, now: u64) {
        let at = Instant::from_nanos(now);
        match op {
            Op::GiveUpBelow(at) => {
                let (number, _) = self.number(at);
                let expected = self.oracle.give_up_below(number);
                let expected = self.times(expected);
                assert_eq!(self.state.give_up_below(self.first(number)), expected);
                assert_eq!(self.shared.give_up_below(self.first(number)), expected);
            }
            Op::SkipTo(at) => {
                let (number, _) = self.number(at);
                let skipped =
                    if number == 0 { 0 } else { self.oracle.cover_through(i128::from(number) - 1) };
                let expected = self.times(skipped);
                assert_eq!(self.state.skip_to(self.first(number)), expected);
                assert_eq!(self.shared.skip_to(self.first(number)), expected);
            }
            Op::Resynced(at) => {
                let (number, _) = self.number(at);
                if self.oracle.edge.is_none() && number == self.setup.max() {
                    return;
                }
                self.oracle.resynced(number);
                self.state.resynced(self.last(number));
                self.shared.resynced(self.last(number));
            }
            Op::Reset => {
                let expected = self.oracle.reset();
                let expected = self.times(expected);
                assert_eq!(self.state.reset(), expected);
                assert_eq!(self.shared.reset(), expected);
            }
            Op::RecordIn(by, number) => self.record_in(by, number, now),
            Op::Due => {
                let mut expected = Vec::new();
                for (is_request, first, last, attempt) in self.oracle.due(now) {
                    let run = self.real((first, last));
                    expected.push(if is_request {
                        Due::Request { run, attempt }
                    } else {
                        Due::GaveUp { run }
                    });
                }
                let Self { state, rng, .. } = self;
                let all: Vec<_> = state.due(at, rng).collect();
                assert_eq!(all, expected);
                assert_eq!(self.shared.due(), expected);
                // Nobody who sleeps until then finds nothing for ever.
                assert!(self.state.next_due().is_none_or(|due| due > at));
                assert_eq!(self.state.due(at, &mut self.rng).next(), None);
            }
            Op::ToDue(by) => {
                let to = self.oracle.next_due().unwrap_or(now);
                let to = to.saturating_add_signed(i64::from(by)).max(now);
                self.shared.clock().set_now(Instant::from_nanos(to));
            }
            Op::Advance(ns) => self.shared.clock().advance(Duration::from_nanos(ns.into())),
            Op::StepBack(ns) => {
                let to = now.saturating_sub(ns.into());
                self.shared.clock().set_now(Instant::from_nanos(to));
            }
            Op::Await(at, is_late) => self.awaits(at, is_late, now),
            Op::Record(_) | Op::Range(..) | Op::Linked(..) | Op::Announce(_) => unreachable!(),
        }
    }

    fn offset(&self, number: u64, wire: u64, by: i8) -> u64 {
        if self.setup.bits < 64 {
            let max = Width::new(self.setup.bits).unwrap().max();
            return wire.wrapping_add_signed(by.into()) & max;
        }
        number.saturating_add_signed(by.into()).min(self.setup.max())
    }

    fn same(&self, expected: Result<Verdict, Wrong>, answer: Result<Batch, RangeError>) {
        match (expected, answer) {
            (Ok(verdict), Ok(batch)) => assert_eq!(batch, self.batch(verdict)),
            (Err(Wrong::Backwards), Err(RangeError::Backwards { .. }))
            | (Err(Wrong::OutOfRange), Err(RangeError::OutOfRange { .. })) => (),
            other => panic!("{other:?}"),
        }
    }

    fn record_in(&mut self, by: i8, at: At, now: u64) {
        if self.setup.stretch > 0 {
            return;
        }
        let known = self.oracle.epoch.unwrap_or(0);
        let epoch = known.saturating_add_signed(by.into());
        let (_, wire) = self.number(at);
        let is_new = epoch > known && (self.oracle.epoch.is_some() || self.oracle.edge.is_some());
        if epoch == known && Self::is_too_much(&self.oracle, self.oracle.range(wire, wire)) {
            return;
        }
        if is_new {
            let mut next = self.oracle.clone();
            next.reset();
            if Self::is_too_much(&next, next.range(wire, wire)) {
                return;
            }
        } else if epoch > known && Self::is_too_much(&self.oracle, self.oracle.range(wire, wire)) {
            return;
        }
        let oracle = &mut self.oracle;
        let expected = if epoch < known {
            oracle.too_old += 1;
            Arrival::TooOld
        } else if oracle.nearest(wire, 0).is_none() {
            Arrival::OutOfRange
        } else {
            let was_started = oracle.edge.is_some();
            oracle.epoch = Some(epoch);
            if is_new {
                let lost = oracle.reset();
                if was_started || oracle.unreported.is_some() {
                    oracle.unreported = Some(oracle.unreported.unwrap_or(0) + lost);
                }
            }
            let (is_started, unreported) = (oracle.edge.is_some(), oracle.unreported);
            let verdict = oracle.record_range(wire, wire, now).unwrap();
            match (unreported, self.arrival(is_started, verdict)) {
                (Some(lost), Arrival::First | Arrival::Restart { .. }) => {
                    Arrival::Reset { lost, missing: 0 }
                }
                (Some(lost), Arrival::Ahead { missing, .. }) => Arrival::Reset { lost, missing },
                (_, arrival) => arrival,
            }
        };
        let answer = self.state.record_in(epoch, wire, Instant::from_nanos(now));
        assert_eq!(answer, expected);
        assert_eq!(self.shared.record_in(epoch, wire), expected);
    }

    fn awaits(&mut self, at: At, is_late: bool, now: u64) {
        let (number, _) = self.number(at);
        let contiguous = self.oracle.contiguous_through();
        let wait = self.shared.acquire(self.last(number));
        let mut wait = if is_late { wait.deadline(Instant::from_nanos(now)) } else { wait };
        match poll(&mut wait) {
            Poll::Ready(Ok(through)) => {
                assert!(contiguous.is_some_and(|through| through >= number));
                let lost = self.oracle.lost.map(|lost| self.real(lost).first);
                assert!(lost.is_none_or(|lost| lost > through), "it is a proof");
                assert_eq!(
                    Some(lost.map_or(u64::MAX, |lost| lost - 1))
                        .min(self.state.contiguous_through()),
                    Some(through)
                );
            }
            Poll::Ready(Err(AcquireError::Lost { through, lost })) => {
                assert!(contiguous.is_some_and(|through| through >= number));
                assert_eq!(Some(through), self.state.contiguous_through());
                assert!(lost.first <= self.last(number));
                assert_eq!(Some(lost), self.oracle.lost.map(|lost| self.real(lost)));
            }
            Poll::Ready(Err(AcquireError::TimedOut { missing })) => {
                assert!(is_late);
                let next = self.oracle.near().unwrap_or(number.into());
                if i128::from(number) - next <= MANY {
                    let atoms = missing.iter().flat_map(|range| {
                        let size = self.setup.size();
                        assert_eq!(range.start() % size, 0);
                        // One that nobody knows where it begins is of the last number only.
                        assert_eq!(range.end() % size, size - 1);
                        range.start() / size..=range.end() / size
                    });
                    if self.oracle.near().is_some() || self.setup.stretch == 0 {
                        assert!(atoms.eq(self.oracle.missing_through(number)));
                    }
                }
            }
            Poll::Pending => {
                assert!(!is_late && contiguous.is_none_or(|through| through < number));
            }
            Poll::Ready(Err(error)) => panic!("{error}"),
        }
    }

    /// Everything that can be seen.
    fn check(&mut self) {
        let (oracle, state, shared) = (&self.oracle, &self.state, &self.shared);
        let runs: Vec<_> = oracle.runs().into_iter().map(|run| self.real(run)).collect();
        let ranges: Vec<_> = runs.iter().map(|run| run.range()).collect();
        assert!(state.missing().eq(ranges.iter().cloned()), "{state:?} {ranges:?}");
        assert!(state.missing().rev().eq(ranges.iter().cloned().rev()));
        let count = self.times(oracle.missing.len() as u64);
        assert_eq!(state.missing_count(), count);
        let contiguous = oracle.contiguous_through().map(|n| self.last(n));
        assert_eq!(state.contiguous_through(), contiguous);
        let edge = match oracle.edge {
            None => None,
            // Nothing has come, but nothing is missing from the first number of all on.
            Some(-1) => unreachable!(),
            Some(edge) => Some(self.last(u64::try_from(edge).unwrap())),
        };
        assert_eq!(state.right_edge(), edge);
        assert_eq!(state.needs_resync(), oracle.needs_resync);
        let stats = oracle.stats();
        assert_eq!(state.stats(), stats);
        if stats.expected < u64::MAX {
            assert_eq!(u128::from(stats.received()), oracle.received << self.setup.stretch);
            assert_eq!(stats.lost(), stats.missing + stats.abandoned);
        }
        let gaps = oracle.gaps();
        assert_eq!(state.gaps().len(), gaps.len());
        for (gap, run) in state.gaps().iter().zip(gaps) {
            let care = oracle.missing[&run.0];
            assert_eq!((gap.run(), gap.since().as_nanos()), (self.real(run), care.since));
            assert_eq!(gap.requests(), care.requests);
        }
        let lost = oracle.lost.map(|lost| self.real(lost));
        assert_eq!(state.lost(), lost);
        let due = oracle.next_due().map(Instant::from_nanos);
        assert_eq!(state.next_due(), due);

        assert_eq!(shared.missing(), ranges);
        assert_eq!(shared.missing_count(), count);
        assert_eq!(shared.contiguous_through(), contiguous);
        assert_eq!(shared.right_edge(), edge);
        assert_eq!(shared.needs_resync(), oracle.needs_resync);
        assert_eq!(shared.stats(), stats);
        assert_eq!(shared.gaps(), state.gaps());
        assert_eq!(shared.next_due(), due);
        assert_eq!(shared.lost(), lost);
        let wire = Width::new(self.setup.bits).unwrap().max();
        for number in [0, 1, wire / 2, wire] {
            let meant = if self.setup.bits == 64 {
                Some(i128::from(number))
            } else {
                let near = oracle.near().unwrap_or_else(|| number.into());
                oracle.nearest_real(number, near)
            };
            assert_eq!(state.extend(number).map(i128::from), meant);
        }
        self.follow();
    }

    /// The changes say the same as the list.
    fn follow(&mut self) {
        while let Some(entry) = self.changes.try_next() {
            assert_eq!(entry.missed, 0);
            let stretch = self.setup.stretch;
            let atoms = |run: Run| run.first >> stretch..=run.last >> stretch;
            match entry.item {
                Change::Opened { run } => {
                    assert!(atoms(run).all(|n| self.reported.insert(n)));
                }
                Change::Filled { run } | Change::Abandoned { run } => {
                    assert!(atoms(run).all(|n| self.reported.remove(&n)));
                }
                Change::Settled { run } => {
                    let atoms = atoms(run);
                    self.reported.retain(|n| !atoms.contains(n));
                }
                Change::Restarted { lost } => {
                    assert_eq!(self.times(self.reported.len() as u64), lost);
                    self.reported.clear();
                }
            }
        }
        assert!(self.reported.iter().eq(self.oracle.missing.keys()));
    }
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What can happen to a replay window.
#[derive(Debug, Clone, Copy)]
pub enum Packet {
    /// So far from the right edge.
    Edge(i16),
    /// So many sixteenths of a window from the right edge, and so many numbers more.
    Window(i8, i8),
    /// Any number.
    Just(u64),
    /// A new key.
    Clear,
}

/// Shows `packets` to windows of all sizes, and to the oracle of each.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run_windows(packets: &[Packet]) {
    fn owned<const WORDS: usize>(packets: &[Packet]) {
        assert_eq!(ReplayWindow::<WORDS>::WINDOW, 64 * WORDS as u64);
        let mut window = ReplayWindow::<WORDS>::new();
        let mut oracle = Seen::new(ReplayWindow::<WORDS>::WINDOW);
        for &packet in packets {
            match oracle.number(packet) {
                None => {
                    window.clear();
                    oracle = Seen::new(oracle.window);
                    assert_eq!(window, ReplayWindow::new());
                }
                Some(number) => {
                    let before = window.clone();
                    let expected = oracle.check(number);
                    assert_eq!(window.check(number), expected, "{number}");
                    assert_eq!(window, before);
                    assert_eq!(window.record(number), expected, "{number}");
                    oracle.record(number);
                }
            }
            assert_eq!(window.right_edge(), oracle.edge());
            for number in oracle.probes() {
                assert_eq!(window.check(number), oracle.check(number), "{number}");
            }
        }
    }

    fn shared<const WORDS: usize>(packets: &[Packet]) {
        assert_eq!(SharedReplayWindow::<WORDS>::WINDOW, 8 * (WORDS as u64 - 1));
        let mut window = SharedReplayWindow::<WORDS>::new();
        let mut oracle = Seen::new(SharedReplayWindow::<WORDS>::WINDOW);
        for &packet in packets {
            match oracle.number(packet) {
                None => {
                    window.clear();
                    oracle = Seen::new(oracle.window);
                }
                Some(number) => {
                    let expected = oracle.check(number);
                    assert_eq!(window.check(number), expected, "{number}");
                    assert_eq!(window.right_edge(), oracle.edge());
                    assert_eq!(window.record(number), expected, "{number}");
                    oracle.record(number);
                }
            }
            assert_eq!(window.right_edge(), oracle.edge());
            for number in oracle.probes() {
                assert_eq!(window.check(number), oracle.check(number), "{number}");
            }
        }
    }

    owned::<1>(packets);
    owned::<2>(packets);
    owned::<3>(packets);
    owned::<16>(packets);
    owned::<256>(packets);
    shared::<33>(packets);
    shared::<34>(packets);
    shared::<129>(packets);
    shared::<2_049>(packets);
}

/// Every number that has come.
struct Seen {
    window: u64,
    all: BTreeSet<u64>,
}

impl Seen {
    fn new(window: u64) -> Self {
        Self { window, all: BTreeSet::new() }
    }

    fn edge(&self) -> Option<u64> {
        self.all.last().copied()
    }

    fn number(&self, packet: Packet) -> Option<u64> {
        let edge = self.edge().unwrap_or(0);
        Some(match packet {
            Packet::Edge(by) => edge.saturating_add_signed(by.into()),
            Packet::Window(by, more) => edge
                .saturating_add_signed(i64::from(by) * i64::try_from(self.window).unwrap() / 16)
                .saturating_add_signed(more.into()),
            Packet::Just(number) => number,
            Packet::Clear => return None,
        })
    }

    fn check(&self, number: u64) -> Freshness {
        if self.edge().is_some_and(|edge| edge >= number && edge - number >= self.window) {
            Freshness::TooOld
        } else if self.all.contains(&number) {
            Freshness::Duplicate
        } else {
            Freshness::Fresh
        }
    }

    fn record(&mut self, number: u64) {
        if self.check(number) == Freshness::Fresh {
            self.all.insert(number);
        }
    }

    /// Numbers that are worth a look after each packet: the ends of the window, and some within.
    fn probes(&self) -> impl Iterator<Item = u64> {
        let edge = self.edge().unwrap_or(0);
        let window = self.window;
        let low =
            (0..12).map(move |n| edge.saturating_sub(window).saturating_add(n).saturating_sub(6));
        let high = (0..12).map(move |n| edge.saturating_add(n).saturating_sub(9));
        let within = (1..16).map(move |n| edge.saturating_sub(window / 16 * n + n % 3));
        let ends = [0, u64::MAX, u64::MAX - 1];
        low.chain(high).chain(within).chain(ends)
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;
    use steadfast_test_support::properties::effort;

    use super::*;

    /// Numbers of every size, and near the powers of two.
    fn any_size() -> impl Strategy<Value = u64> {
        prop_oneof![
            2 => (0..64_u32, any::<u64>()).prop_map(|(shift, n)| n >> shift),
            1 => (0..64_u32, -3..3_i64).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by)),
            1 => (0..300_u64).prop_map(|n| u64::MAX - n),
            1 => 0..300_u64,
        ]
    }

    fn setups() -> impl Strategy<Value = Setup> {
        let bits = prop_oneof![
            4 => Just(64), 3 => Just(8), 2 => Just(16), 1 => Just(32), 1 => Just(48), 1 => 2..64_u32
        ];
        let stretch = prop_oneof![3 => Just(0), 2 => 0..57_u32];
        let some = |chance, strategy| prop::option::weighted(chance, strategy);
        let limits = (
            some(0.3, prop_oneof![0..300_u64, any_size()].boxed()),
            some(0.3, prop_oneof![1..40_u64, any_size()].boxed()),
            some(0.3, prop_oneof![0..40_u64, any_size()].boxed()),
            some(0.5, prop_oneof![1..40_u64, any_size()].boxed()),
        );
        let requests = (
            some(0.7, prop_oneof![1..50_u64, any_size()].boxed()),
            prop_oneof![1 => Just(None), 4 => (0..3_u32).prop_map(Some)],
            some(0.4, prop_oneof![1..200_u64, any_size()].boxed()),
        );
        (bits, stretch, limits, requests, 0..5_usize, any_size(), any::<bool>()).prop_map(
            |(bits, stretch, limits, requests, capacity, origin, is_watched)| {
                let (starts_at, max_jump, max_late, resync_at) = limits;
                let (delay, retries, elapsed) = requests;
                Setup {
                    bits,
                    stretch,
                    starts_at,
                    max_jump,
                    max_late,
                    resync_at,
                    capacity,
                    delay,
                    retries,
                    elapsed,
                    origin,
                    is_watched,
                }
            },
        )
    }

    fn numbers() -> impl Strategy<Value = At> {
        prop_oneof![
            8 => Just(At::Next(0)),
            6 => (-12..12_i16).prop_map(At::Next),
            2 => (-300..300_i16).prop_map(At::Next),
            6 => (any::<u8>(), -2..3_i8).prop_map(|(index, by)| At::Gap(index, by)),
            6 => (any::<u8>(), -2..3_i8).prop_map(|(index, by)| At::GapEnd(index, by)),
            2 => (-3..3_i8).prop_map(At::Floor),
            4 => (-1..2_i8).prop_map(At::Suspect),
            1 => (0..9_u8).prop_map(At::Last),
            1 => any_size().prop_map(At::Just),
        ]
    }

    fn ops() -> impl Strategy<Value = Op> {
        prop_oneof![
            24 => numbers().prop_map(Op::Record),
            5 => (numbers(), -4..20_i8).prop_map(|(at, by)| Op::Range(at, by)),
            4 => (numbers(), -2..4_i8, 0..5_u8).prop_map(|(at, skip, len)| Op::Linked(at, skip, len)),
            3 => numbers().prop_map(Op::Announce),
            1 => numbers().prop_map(Op::GiveUpBelow),
            1 => numbers().prop_map(Op::SkipTo),
            1 => numbers().prop_map(Op::Resynced),
            1 => Just(Op::Reset),
            2 => (-1..2_i8, numbers()).prop_map(|(by, at)| Op::RecordIn(by, at)),
            4 => Just(Op::Due),
            4 => (-1..2_i8).prop_map(Op::ToDue),
            2 => (0..100_u32).prop_map(Op::Advance),
            1 => prop_oneof![0..100_u32, any::<u32>()].prop_map(Op::StepBack),
            2 => (numbers(), any::<bool>()).prop_map(|(at, late)| Op::Await(at, late)),
        ]
    }

    /// Times to come, to numbers that mostly come: gaps live long enough to be looked after.
    fn calm() -> impl Strategy<Value = Op> {
        prop_oneof![
            10 => (0..6_i16).prop_map(|by| Op::Record(At::Next(by))),
            2 => (any::<u8>(), 0..2_i8).prop_map(|(index, by)| Op::Record(At::Gap(index, by))),
            2 => (0..3_i16).prop_map(|by| Op::Announce(At::Next(by))),
            6 => Just(Op::Due),
            6 => (-1..2_i8).prop_map(Op::ToDue),
            1 => (0..100_u32).prop_map(Op::Advance),
        ]
    }

    fn packets() -> impl Strategy<Value = Packet> {
        prop_oneof![
            8 => Just(Packet::Edge(1)),
            8 => (-20..20_i16).prop_map(Packet::Edge),
            2 => any::<i16>().prop_map(Packet::Edge),
            6 => (-17..18_i8, -9..10_i8).prop_map(|(by, more)| Packet::Window(by, more)),
            1 => any_size().prop_map(Packet::Just),
        ]
    }

    proptest! {
        #![proptest_config(effort(3))]

        #[test]
        fn machine_and_shared_tracker_do_what_the_oracle_says(
            setup in setups(),
            ops in prop::collection::vec(ops(), 1..60),
        ) {
            run(setup, &ops);
        }

        #[test]
        fn so_they_do_while_gaps_grow_old(
            setup in setups(),
            ops in prop::collection::vec(calm(), 1..60),
        ) {
            let setup = Setup { delay: setup.delay.or(Some(7)), ..setup };
            run(setup, &ops);
        }
    }

    proptest! {
        #![proptest_config(effort(1))]

        #[test]
        fn windows_do_what_the_oracle_says(
            start in any_size(),
            mut packets in prop::collection::vec(packets(), 1..80),
            clear_at in prop::option::weighted(0.2, 0..80_usize),
        ) {
            if let Some(at) = clear_at {
                packets.insert(at.min(packets.len()), Packet::Clear);
            }
            packets.insert(0, Packet::Just(start));
            run_windows(&packets);
        }
    }
}
