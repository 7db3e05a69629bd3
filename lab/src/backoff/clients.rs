//! Clients that try again, and the server that they all want something from.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use steadfast_backoff::{Curve, Delays, Policy, Random};
use steadfast_core::{Instant, ManualClock};
use steadfast_token_bucket::TokenBucket;

use super::Bin;
use crate::timeline::Timeline;
use crate::trace::FIRST;

/// The most clients that are followed at once.
const MOST: usize = 1_000_000;
/// Over how many milliseconds the most retries are looked for.
const PEAK: u128 = 100;

/// All of one kind.
pub(super) struct Clients {
    policy: Policy,
    server: TokenBucket<ManualClock>,
    /// Before this it serves nobody.
    up_at: Instant,
    waiting: BinaryHeap<Client>,
    seeds: fastrand::Rng,
    number: u64,
    timeline: Timeline<Bin>,
    tally: Tally,
    /// The last milliseconds with retries, and how many came in each and in all.
    recent: VecDeque<(u128, u64)>,
    recently: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) retries: u64,
    /// The most retries in 100 milliseconds, wherever those begin.
    pub(super) peak: u64,
    pub(super) gave_up: u64,
    /// There were too many to follow this one, too.
    pub(super) not_followed: u64,
    /// The longest that anybody took from his first attempt until he was served.
    pub(super) longest: Duration,
    /// The last retry of all.
    pub(super) last_at: Instant,
}

/// Who waits for its next attempt.
struct Client {
    began: Instant,
    at: Instant,
    number: u64,
    delays: Delays<Curve, Random>,
}

impl Clients {
    pub(super) fn new(
        policy: Policy,
        server: TokenBucket<ManualClock>,
        up_at: Instant,
        seed: u64,
        timeline: Timeline<Bin>,
    ) -> Self {
        Self {
            policy,
            server,
            up_at,
            waiting: BinaryHeap::new(),
            seeds: fastrand::Rng::with_seed(seed),
            number: 0,
            timeline,
            tally: Tally::default(),
            recent: VecDeque::new(),
            recently: 0,
        }
    }

    /// One more; unless it `failed` already, this is its first attempt.
    pub(super) fn begin(&mut self, at: Instant, failed: bool) {
        let delays = self.policy.delays(Random::from_seed(self.seeds.u64(..)));
        self.number += 1;
        let client = Client { began: at, at, number: self.number, delays };
        if failed {
            self.wait(client);
        } else {
            self.attempt(client);
        }
    }

    /// Lets everybody try again whose time is not later than `end`.
    pub(super) fn until(&mut self, end: Instant) {
        while self.waiting.peek().is_some_and(|client| client.at <= end) {
            let Some(client) = self.waiting.pop() else { return };
            self.note_retry(client.at);
            self.attempt(client);
        }
    }

    fn note_retry(&mut self, at: Instant) {
        let now = at.saturating_duration_since(FIRST).as_millis();
        // After a step back of a trace's times it begins anew.
        let steps_back = self.recent.back().is_some_and(|(then, _)| *then > now);
        while let Some(&(then, retries)) = self.recent.front() {
            if !steps_back && now - then < PEAK {
                break;
            }
            self.recent.pop_front();
            self.recently -= retries;
        }
        match self.recent.back_mut() {
            Some((then, retries)) if *then == now => *retries += 1,
            _ => self.recent.push_back((now, 1)),
        }
        self.recently += 1;
        self.tally.peak = self.tally.peak.max(self.recently);
        self.tally.retries += 1;
        self.tally.last_at = self.tally.last_at.max(at);
        self.timeline.at(at).retries += 1;
    }

    fn attempt(&mut self, client: Client) {
        let at = client.at;
        if at >= self.up_at && self.server.try_acquire_at(1, at).is_ok() {
            let took = at.saturating_duration_since(client.began);
            self.tally.longest = self.tally.longest.max(took);
        } else {
            self.wait(client);
        }
    }

    fn wait(&mut self, mut client: Client) {
        match client.delays.next() {
            None => self.tally.gave_up += 1,
            Some(_) if self.waiting.len() >= MOST => self.tally.not_followed += 1,
            Some(delay) => {
                // A delay of nothing would be an attempt at the same instant, for ever.
                let delay = delay.max(Duration::from_nanos(1));
                client.at = client.at.saturating_add(delay);
                self.waiting.push(client);
            }
        }
    }

    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) const fn timeline(&self) -> &Timeline<Bin> {
        &self.timeline
    }

    /// How many were not served yet.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }
}

impl Ord for Client {
    /// Whoever is first is the greatest, as heaps have that on top.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Client {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Client {}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
