//! A few actors that wait at a primitive, for models of that: what each of them has, who is awake, until
//! when each waits, and who is in line.
//!
//! An actor is *awake* if it was woken since it was last polled, by the waker of that poll. Who may be woken
//! by what, and what somebody who asks is to be told, is for each model to say.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use steadfast_core::{Clock, Instant, ManualClock};

use crate::task::Wakes;

mod line;

pub use self::line::{Deed, Entry, Line};

/// How many actors there are.
pub const ACTORS: usize = 4;

/// Until when an actor waits, in nanoseconds or another measure.
#[derive(Debug, Clone, Copy)]
pub enum Until<S = u64> {
    /// For ever.
    Ever,
    /// For so long from its next poll.
    Timeout(S),
    /// Until so long from now.
    Deadline(S),
    /// A deadline that was so long ago.
    Past(S),
}

impl<S> Until<S> {
    /// The same in another measure.
    pub fn map<T>(self, measure: impl FnOnce(S) -> T) -> Until<T> {
        match self {
            Self::Ever => Until::Ever,
            Self::Timeout(span) => Until::Timeout(measure(span)),
            Self::Deadline(span) => Until::Deadline(measure(span)),
            Self::Past(span) => Until::Past(measure(span)),
        }
    }
}

impl Until {
    /// The same as a length of time.
    pub fn ns(self) -> Until<Duration> {
        self.map(Duration::from_nanos)
    }
}

/// Somebody with a wait, of which the model knows what is its `own`.
#[derive(Debug)]
pub struct Waiter<W, N = ()> {
    /// Only ever `None` while it is given a limit.
    wait: Option<W>,
    /// Not resolved: it counts from the next poll.
    timeout: Option<Duration>,
    /// [`Instant::MAX`] if there is none, or none yet.
    pub deadline: Instant,
    /// Whether it ever had a limit: [`Instant::MAX`] can be one.
    limited: bool,
    wakes: Arc<Wakes>,
    /// Of `wakes`: those before the last poll, and those that were accounted for.
    before: usize,
    known: usize,
    /// In a [`Line`]: it was woken because there is enough for it and all before it, and nothing has changed
    /// that.
    pub called: bool,
    /// It may have been called before something changed.
    pub doubtful: bool,
    /// What the model knows of it besides.
    pub own: N,
}

/// What a waiter has heard since that was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was asleep, and is awake.
    Woken,
    /// It was awake already, and was woken again.
    Again,
}

impl<W, N> Waiter<W, N> {
    /// One that was not polled, and waits for ever.
    pub fn new(wait: W, own: N) -> Self {
        Self {
            wait: Some(wait),
            timeout: None,
            deadline: Instant::MAX,
            limited: false,
            wakes: Arc::default(),
            before: 0,
            known: 0,
            called: false,
            doubtful: false,
            own,
        }
    }

    /// Gives its wait another limit, by the wait's own methods.
    pub fn limit(
        &mut self,
        until: Until<Duration>,
        now: Instant,
        timeout: impl FnOnce(W, Duration) -> W,
        deadline: impl FnOnce(W, Instant) -> W,
    ) {
        self.limited = true;
        (self.timeout, self.deadline) = match until {
            Until::Ever => (None, Instant::MAX),
            Until::Timeout(span) => (Some(span), Instant::MAX),
            Until::Deadline(span) => (None, now.saturating_add(span)),
            Until::Past(span) => (None, now.saturating_sub(span)),
        };
        let wait = self.wait.take().expect("put back below");
        self.wait = Some(match self.timeout {
            Some(span) => timeout(wait, span),
            None => deadline(wait, self.deadline),
        });
    }

    /// As [`limit`](Self::limit), but one that is to wait for ever keeps a wait that never had a limit.
    pub fn limited(
        mut self,
        until: Until<Duration>,
        now: Instant,
        timeout: impl FnOnce(W, Duration) -> W,
        deadline: impl FnOnce(W, Instant) -> W,
    ) -> Self {
        if !matches!(until, Until::Ever) {
            self.limit(until, now, timeout, deadline);
        }
        self
    }

    /// A timeout begins to run.
    pub fn resolve(&mut self, now: Instant) {
        if let Some(timeout) = self.timeout.take() {
            self.deadline = now.saturating_add(timeout);
        }
    }

    /// Its deadline is over before it came: a timeout's never is.
    pub fn came_late(&self, now: Instant) -> bool {
        self.timeout.is_none() && now > self.deadline
    }

    /// Its deadline has come.
    pub fn is_late(&self, now: Instant) -> bool {
        self.limited && now >= self.deadline
    }

    /// It was woken since it was last polled, by the waker of that poll.
    pub fn is_awake(&self) -> bool {
        self.wakes.count() > self.before
    }

    /// It was awake when that was last [accounted for](Self::hears).
    pub fn was_awake(&self) -> bool {
        self.known > self.before
    }

    /// Whether it was woken since this was last asked.
    pub fn hears(&mut self) -> Option<Heard> {
        let heard = if self.was_awake() { Heard::Again } else { Heard::Woken };
        let count = self.wakes.count();
        (mem::replace(&mut self.known, count) < count).then_some(heard)
    }

    /// It has another waker from now on. Nobody is deaf meanwhile if it is polled at once.
    pub fn moves(&mut self) {
        (self.wakes, self.before, self.known) = (Arc::default(), 0, 0);
    }
}

impl<W: Future + Unpin, N> Waiter<W, N> {
    /// Polls its wait with its waker.
    pub fn poll(&mut self) -> Poll<W::Output> {
        self.before = self.wakes.count();
        self.known = self.before;
        let waker = Waker::from(Arc::clone(&self.wakes));
        let wait = self.wait.as_mut().expect("put back when it got its limit");
        Pin::new(wait).poll(&mut Context::from_waker(&waker))
    }
}

/// What an actor has.
#[derive(Debug)]
enum Actor<W, N, H> {
    Idle,
    Waits(Box<Waiter<W, N>>),
    Holds(H),
}

/// All actors. Each has nothing, waits, or holds an `H`.
#[derive(Debug)]
pub struct Actors<W, N = (), H = Infallible>([Actor<W, N, H>; ACTORS]);

impl<W, N, H> Actors<W, N, H> {
    /// None has anything.
    pub const fn new() -> Self {
        Self([const { Actor::Idle }; ACTORS])
    }

    /// The waiter of one that waits.
    pub fn waiter(&self, i: usize) -> &Waiter<W, N> {
        match &self.0[i] {
            Actor::Waits(waiter) => waiter,
            _ => panic!("{i} does not wait"),
        }
    }

    /// The same, to be changed.
    pub fn waiter_mut(&mut self, i: usize) -> &mut Waiter<W, N> {
        self.waits_mut(i).expect("it does not wait")
    }

    /// The waiter of one that may wait.
    pub fn waits(&self, i: usize) -> Option<&Waiter<W, N>> {
        match &self.0[i] {
            Actor::Waits(waiter) => Some(waiter),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn waits_mut(&mut self, i: usize) -> Option<&mut Waiter<W, N>> {
        match &mut self.0[i] {
            Actor::Waits(waiter) => Some(waiter),
            _ => None,
        }
    }

    /// What one holds, if anything.
    pub fn holds_mut(&mut self, i: usize) -> Option<&mut H> {
        match &mut self.0[i] {
            Actor::Holds(held) => Some(held),
            _ => None,
        }
    }

    /// The waiters of all who wait.
    pub fn waiters(&self) -> impl Iterator<Item = &Waiter<W, N>> {
        (0..ACTORS).filter_map(|i| self.waits(i))
    }

    /// The same, to be changed.
    pub fn waiters_mut(&mut self) -> impl Iterator<Item = &mut Waiter<W, N>> {
        self.0.iter_mut().filter_map(|actor| match actor {
            Actor::Waits(waiter) => Some(&mut **waiter),
            _ => None,
        })
    }

    /// One waits, in place of whatever it had.
    pub fn wait(&mut self, i: usize, waiter: Waiter<W, N>) {
        self.0[i] = Actor::Waits(Box::new(waiter));
    }

    /// One holds something, in place of whatever it had.
    pub fn hold(&mut self, i: usize, held: H) {
        self.0[i] = Actor::Holds(held);
    }

    /// One has nothing any more. What it held is given back, and its wait is dropped.
    pub fn leave(&mut self, i: usize) -> Option<H> {
        match mem::replace(&mut self.0[i], Actor::Idle) {
            Actor::Holds(held) => Some(held),
            _ => None,
        }
    }

    /// What one holds is given back; one that waits goes on waiting.
    pub fn release(&mut self, i: usize) -> Option<H> {
        self.holds_mut(i)?;
        self.leave(i)
    }

    /// The first who is awake, from this actor on and around.
    pub fn first_awake(&self, from: usize) -> Option<usize> {
        let is_awake = |&i: &usize| self.waits(i).is_some_and(Waiter::is_awake);
        (from..from + ACTORS).map(|i| i % ACTORS).find(is_awake)
    }
}

impl<W, N, H> Default for Actors<W, N, H> {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the actors a number stands for.
pub fn actor(number: u8) -> usize {
    usize::from(number) % ACTORS
}

/// As an executor would: whoever is `next` awake is polled, and woken by that or asleep afterwards, until
/// nobody is. Fails if there is always somebody.
pub fn run_all<M>(
    model: &mut M,
    next: impl Fn(&M) -> Option<usize>,
    mut poll: impl FnMut(&mut M, usize),
) {
    // Each is polled once for its turn, and once for what another's end changed.
    for _ in 0..3 * ACTORS {
        let Some(i) = next(model) else { return };
        poll(model, i);
    }
    panic!("somebody is woken again and again");
}

/// Lets time pass until the next alarm and so many nanoseconds more or less, at most to its `end`. Says
/// whether there is an alarm.
pub fn to_alarm(clock: &ManualClock, more: i8, end: u64) -> bool {
    let Some(next) = clock.next_alarm() else { return false };
    let at = next.as_nanos().saturating_add_signed(more.into()).min(end);
    clock.set_now(Instant::from_nanos(at).max(clock.now()));
    true
}

/// Whether the clock has an alarm for what is due then, and that is yet to come, if ever.
pub fn is_timed(clock: &ManualClock, due: Instant) -> bool {
    let alarm = clock.next_alarm().unwrap_or(Instant::MAX);
    alarm <= due && (due > clock.now() || due == Instant::MAX)
}

/// Whether somebody sees to it that each of a line is told of its deadline: an alarm, or one that was woken
/// for its own by the `latest` time seen. Whoever was sees to the others when it is polled or dropped.
pub fn deadlines_are_seen_to<'a, W: 'a, N: 'a>(
    line: impl Iterator<Item = &'a Waiter<W, N>>,
    clock: &ManualClock,
    latest: Instant,
) -> bool {
    let (awake, asleep): (Vec<_>, Vec<_>) = line.partition(|waiter| waiter.is_awake());
    let due = asleep.iter().map(|waiter| waiter.deadline).min().unwrap_or(Instant::MAX);
    awake.iter().any(|waiter| waiter.deadline <= latest) || is_timed(clock, due)
}
