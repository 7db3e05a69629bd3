//! Actors in one line, in which they are called in turn.

use std::convert::Infallible;

use steadfast_core::{Clock, Instant, ManualClock};

use super::{Actors, Heard, Waiter, deadlines_are_seen_to};

/// What was done, as far as it says who of a line may be woken by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Somebody came, looked or left.
    Settle,
    /// Time passed.
    Time,
    /// Something changed, perhaps in favour of the first,
    Change,
    /// or for everybody.
    All,
    /// Nothing that concerns the line.
    Nothing,
}

/// What becomes of somebody who cannot be served at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// He would wait in vain.
    TimedOut {
        /// When his turn would be; now if nobody knows.
        ready_at: Instant,
    },
    /// There are as many as there may be.
    LineFull,
    /// He is the last in line.
    Joined,
}

/// Some actors, and who of them waits in which order.
#[derive(Debug)]
pub struct Line<W, N = (), H = Infallible> {
    /// All of them, those outside included.
    pub actors: Actors<W, N, H>,
    order: Vec<usize>,
    /// How often somebody in line was polled.
    pub wake_ups: u64,
    /// The greatest time seen.
    pub latest: Instant,
    /// Something has happened after which the alarm may be that of before.
    pub disturbed: bool,
}

impl<W, N, H> Line<W, N, H> {
    /// Nobody waits.
    pub const fn new(now: Instant) -> Self {
        Self {
            actors: Actors::new(),
            order: Vec::new(),
            wake_ups: 0,
            latest: now,
            disturbed: false,
        }
    }

    /// Who waits, in order.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Where an actor stands, if it is in line.
    pub fn place_of(&self, i: usize) -> Option<usize> {
        self.order.iter().position(|&other| other == i)
    }

    /// Who stands there.
    pub fn at(&self, place: usize) -> &Waiter<W, N> {
        self.actors.waiter(self.order[place])
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, place: usize) -> &mut Waiter<W, N> {
        self.actors.waiter_mut(self.order[place])
    }

    /// All who stand in it, in order.
    pub fn waiters(&self) -> impl Iterator<Item = &Waiter<W, N>> {
        self.order.iter().map(|&i| self.actors.waiter(i))
    }

    /// Somebody who was polled for the first time goes to the end, unless there is no room or he would wait
    /// in vain: it is too late, or will be when his turn comes, if it is known when that is.
    pub fn join(
        &mut self,
        i: usize,
        ready_at: Option<Instant>,
        max_waiters: u32,
        now: Instant,
    ) -> Entry {
        let waiter = self.actors.waiter(i);
        if waiter.is_late(now) || ready_at.is_some_and(|at| at > waiter.deadline) {
            Entry::TimedOut { ready_at: ready_at.unwrap_or(now) }
        } else if self.len() >= usize::try_from(max_waiters).expect("32 bits") {
            Entry::LineFull
        } else {
            self.order.push(i);
            Entry::Joined
        }
    }

    /// Whether all before that place were called: then its turn is the next.
    pub fn is_in_turn(&self, place: usize) -> bool {
        self.order[..place].iter().all(|&ahead| self.actors.waiter(ahead).called)
    }

    /// Whoever stands there has looked in vain. If he was called, those after him are so no more, either.
    pub fn stays(&mut self, place: usize) {
        for place in place..self.len() {
            self.at_mut(place).called = false;
        }
        self.at_mut(place).doubtful = false;
    }

    /// Whoever stands there goes.
    pub fn remove(&mut self, place: usize) {
        self.order.remove(place);
    }

    /// Something has changed, and who was called is so no more for certain.
    pub fn doubt(&mut self) {
        for waiter in self.actors.waiters_mut() {
            waiter.doubtful |= waiter.is_awake();
            waiter.called = false;
        }
    }

    /// Whether somebody in line is awake. Of those called together, the last settles for all.
    pub fn is_anybody_awake(&self) -> bool {
        self.waiters().any(Waiter::is_awake)
    }

    /// Whether everybody in line is awake.
    pub fn is_everybody_awake(&self) -> bool {
        self.waiters().all(Waiter::is_awake)
    }

    /// Where somebody was woken since this was last asked, in order.
    pub fn hear(&mut self) -> Vec<(usize, Heard)> {
        (0..self.len()).filter_map(|place| Some((place, self.at_mut(place).hears()?))).collect()
    }

    /// Where somebody who slept was woken since this was last asked, in order.
    pub fn newly_woken(&mut self) -> impl Iterator<Item = usize> + use<W, N, H> {
        let woken = |(place, heard)| (heard == Heard::Woken).then_some(place);
        self.hear().into_iter().filter_map(woken)
    }

    /// The first place that was not called, unless who stands there is awake. Those called hold up what is
    /// theirs and nobody else.
    pub fn next_asleep(&self) -> Option<(usize, &Waiter<W, N>)> {
        let (place, next) = self.waiters().enumerate().find(|(_, waiter)| !waiter.called)?;
        (!next.is_awake()).then_some((place, next))
    }

    /// Somebody has settled: the alarm is that of now, unless the clock has yet to come to where it was.
    pub fn settled(&mut self, now: Instant) {
        self.disturbed &= now < self.latest;
    }

    /// Whether each of those who sleep is told of its deadline.
    pub fn deadlines_are_seen_to(&self, clock: &ManualClock) -> bool {
        self.disturbed || deadlines_are_seen_to(self.waiters(), clock, self.latest)
    }
}

impl<W, N: std::fmt::Debug, H> Line<W, N, H> {
    /// The line as it is now, for whoever is told that it should be another.
    pub fn describe(&self, clock: &ManualClock) -> String {
        let waiter = |&i: &usize| {
            let waiter = self.actors.waiter(i);
            (i, &waiter.own, waiter.deadline, waiter.called, waiter.is_awake())
        };
        let line: Vec<_> = self.order.iter().map(waiter).collect();
        format!("{line:?} at {:?}, alarm {:?}", clock.now(), clock.next_alarm())
    }
}
