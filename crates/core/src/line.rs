//! The waiting line: who waits, in which order, and who has to be told what.
//!
//! A line is data under one lock. It decides nothing about the resource (the [`Gate`] does) and
//! runs nobody's code: each method leaves a list of [`Errands`], which the caller runs after the
//! lock is released. The protocol around it is in [`crate::wait`].
//!
//! ```text
//!  first                                            last
//!  ┌──────────┐    ┌──────────┐                 ┌──────────┐
//!  │ head     │───▶│ waiting  │───▶   …    ───▶ │ waiting  │◀── join
//!  │ or called│    │          │                 │          │
//!  └────┬─────┘    └──────────┘                 └──────────┘
//!       └── the alarm is set for the head (or for an earlier deadline): one alarm a line
//! ```
//!
//! | a place is | meaning | its waker is |
//! |---|---|---|
//! | waiting | will be called when it is first and served | in the node |
//! | lent | as waiting, while its alarm is being set outside the lock | with the errand |
//! | called | has been woken for its turn and not polled since | gone: it was woken |
//! | detached | its waker panicked; it lost its place and joins anew if it is ever polled | gone |
//!
//! Invariants:
//! - **L1** `weight` is the sum of the weights of all places from `first` to `last`; `len` their
//!   number.
//! - **L2** Outside an `arming`, the alarm is set no later than the first moment at which the head
//!   can be served or an async place's deadline comes, unless the head is called or keeps its own
//!   time.
//! - **L3** The gate is marked occupied exactly while `len > 0`.
//! - **L4** A free slot and a detached place are not linked.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::{fmt, mem};
use core::any::Any;
use core::task::Waker;
use core::time::Duration;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{Instant, saturating_nanos};
use crate::unwind::completes;
use crate::wait::{Gate, Outlook};

/// No slot.
const NIL: u32 = u32::MAX;

/// How far ahead of its turn a waiter may be woken, to spend the rest spinning, when its bucket
/// cannot absorb a late wake. Also the longest spin.
pub(crate) const LONGEST_SPIN_NS: u64 = 200_000;

/// How long after its forecast a thread wakes by itself; see [`latest_wake`].
const THREAD_SLACK_NS: u64 = 60_000;

/// A waiting line: the part of a primitive that everyone who waits for it shares.
///
/// It allocates when somebody first waits, and then only when more wait at once than ever before.
pub struct Line {
    queue: Mutex<Queue>,
    /// The weight waiting, for forecasts that need not be exact to the moment.
    weight: AtomicU64,
}

/// A timer's [`Alarm`](crate::Timer::Alarm), whichever timer that is: so that a line, and whatever
/// holds one, need not name it.
pub(crate) type Alarm = Box<dyn Any + Send>;

/// What a line has seen, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineStats {
    /// Requests that wait now.
    pub waiting: u32,
    /// Requests that were served after they had waited.
    pub waited: u64,
    /// The longest of those waits.
    pub longest_wait: Duration,
    /// How often a waiting request was polled or its thread woke up. Divided by `waited` it should
    /// stay near one.
    pub wake_ups: u64,
}

/// A place in a line. The serial number tells apart two waits that used the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: u32,
    serial: u64,
}

/// What a new place is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) weight: u64,
    pub(crate) deadline: Instant,
    pub(crate) began: Instant,
    /// For a thread that times its own sleep: when it will wake. `None` for everybody else.
    pub(crate) wakes_at: Option<Instant>,
}

pub(crate) struct Queue {
    nodes: Vec<Node>,
    vacant: u32,
    first: u32,
    last: u32,
    len: u32,
    serial: u64,
    weight: u128,
    /// The deadlines of the places that do not keep their own time.
    deadlines: BTreeSet<(Instant, u32)>,
    alarm: Option<Alarm>,
    armed: Option<(Instant, Ticket)>,
    /// Somebody sets the alarm outside the lock.
    arming: bool,
    /// The line changed meanwhile: they have to look again.
    rearm: bool,
    /// Everybody was called meanwhile: so is the place whose waker they hold.
    recall: bool,
    /// How late a wake comes after the instant that was asked for, in nanoseconds: a moving average
    /// (it begins with Linux's timer slack), and the mean deviation from it.
    lateness: u64,
    deviation: u64,
    waited: u64,
    longest_wait: Duration,
    wake_ups: u64,
}

struct Node {
    place: Place,
    serial: u64,
    waker: Option<Waker>,
    state: NodeState,
    prev: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Vacant,
    Waiting,
    Called,
    Detached,
}

/// What is left to do after the lock is released.
pub(crate) struct Errands {
    /// Wake this place: it is first and can be served.
    pub(crate) call: Option<(Ticket, Waker)>,
    /// Set the alarm.
    pub(crate) arm: Option<Arming>,
    /// Wakers to be dropped, which is foreign code too.
    pub(crate) litter: Option<Waker>,
}

impl Errands {
    pub(crate) const NONE: Self = Self { call: None, arm: None, litter: None };
}

/// The latest moment at which a thread may wake by itself for a turn that comes at `at`.
///
/// Where it loses nothing by it, a thread sleeps a little past its forecast: by then its
/// predecessor has usually called it, so that it wakes once and not twice.
pub(crate) fn latest_wake(at: Instant, spare: Duration) -> Instant {
    let slack = Duration::from_nanos(THREAD_SLACK_NS);
    if spare >= 4 * slack { at.saturating_add(slack) } else { at }
}

/// The alarm, taken out of the line to be set.
pub(crate) struct Arming {
    /// `None` before the line's first alarm.
    pub(crate) alarm: Option<Alarm>,
    pub(crate) at: Instant,
    /// The place to be woken, with its waker; `None` to switch the alarm off.
    pub(crate) whom: Option<(Ticket, Whose)>,
}

/// Which waker the alarm gets.
pub(crate) enum Whose {
    /// That of the caller, who is being polled right now.
    Mine,
    /// That of another place, to be given back.
    Lent(Waker),
}

impl Line {
    crate::const_unless_loom! {
        /// An empty line.
        pub const fn new() -> Self {
            Self { queue: Mutex::new(Queue::new()), weight: AtomicU64::new(0) }
        }
    }

    /// The sum of the weights waiting, as it was a moment ago.
    #[inline]
    pub fn weight(&self) -> u64 {
        // ORDERING: Relaxed; a forecast publishes nothing and may be a moment old.
        self.weight.load(Ordering::Relaxed)
    }

    /// Counters for whoever watches.
    pub fn stats(&self) -> LineStats {
        self.queue.with(|queue| LineStats {
            waiting: queue.len,
            waited: queue.waited,
            longest_wait: queue.longest_wait,
            wake_ups: queue.wake_ups,
        })
    }

    /// Wakes the first in line, because the gate may have changed in its favour (step 5 of
    /// [the protocol](crate::wait)). It looks for itself.
    ///
    /// `mark` is the gate's [`mark`](Gate::mark).
    pub fn wake_first(&self, mark: impl Fn(bool)) {
        // A waker that panics costs its owner the place; then the next is first.
        while let Some((ticket, waker)) = self.with(Queue::call_first) {
            if completes(|| waker.wake()) {
                return;
            }
            self.with(|queue| queue.detach(ticket, &mark));
        }
    }

    /// Wakes everybody in line, because the gate has changed for all of them: it was closed, or has
    /// a new configuration. Each looks for itself.
    ///
    /// `mark` is the gate's [`mark`](Gate::mark).
    pub fn wake_all(&self, mark: impl Fn(bool)) {
        for (ticket, waker) in self.with(Queue::call_all) {
            if !completes(|| waker.wake()) {
                self.with(|queue| queue.detach(ticket, &mark));
            }
        }
        // Behind a broken waker there may be somebody who was not called.
        self.wake_first(mark);
    }

    /// Runs `f` on the queue under the lock.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        self.queue.with(|queue| {
            let answer = f(queue);
            // ORDERING: Relaxed; see `weight`.
            self.weight.store(u64::try_from(queue.weight).unwrap_or(u64::MAX), Ordering::Relaxed);
            answer
        })
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

impl Queue {
    const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            vacant: NIL,
            first: NIL,
            last: NIL,
            len: 0,
            serial: 0,
            weight: 0,
            deadlines: BTreeSet::new(),
            alarm: None,
            armed: None,
            arming: false,
            rearm: false,
            recall: false,
            lateness: 60_000,
            deviation: 0,
            waited: 0,
            longest_wait: Duration::ZERO,
            wake_ups: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn weight(&self) -> u128 {
        self.weight
    }

    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        self.first == ticket.slot
    }

    pub(crate) fn is_detached(&self, ticket: Ticket) -> bool {
        self.node(ticket.slot).state == NodeState::Detached
    }

    /// Appends a place. The gate must already be marked occupied.
    pub(crate) fn join(&mut self, place: Place, waker: Waker) -> Ticket {
        self.serial += 1;
        let serial = self.serial;
        let node = Node {
            place,
            serial,
            waker: Some(waker),
            state: NodeState::Waiting,
            prev: NIL,
            next: NIL,
        };
        let slot = match self.vacant {
            NIL => {
                let slot = u32::try_from(self.nodes.len()).expect("4 billion waits at once");
                self.nodes.push(node);
                slot
            }
            slot => {
                self.vacant = self.node(slot).next;
                *self.node_mut(slot) = node;
                slot
            }
        };
        self.link(slot);
        Ticket { slot, serial }
    }

    /// Notes that a waiting place was polled, and how late its wake came.
    pub(crate) fn polled(&mut self, ticket: Ticket, now: Instant) {
        self.wake_ups += 1;
        let asked = match self.armed {
            Some((at, whom)) if whom == ticket => {
                if now >= at {
                    self.armed = None;
                }
                Some(at)
            }
            _ => self.node(ticket.slot).place.wakes_at,
        };
        // A wake far from what was asked for says nothing about the timer.
        let late = asked.and_then(|at| now.as_nanos().checked_sub(at.as_nanos()));
        if let Some(late) = late.filter(|late| *late < 10 * LONGEST_SPIN_NS) {
            // Clipped: one preemption must not make everybody early for long.
            let late = late.min(LONGEST_SPIN_NS);
            self.deviation = (self.deviation * 15 + late.abs_diff(self.lateness)) / 16;
            self.lateness = (self.lateness * 15 + late) / 16;
        }
    }

    /// Gives a polled place the waker of the task that polls it. `false` if a new clone is needed:
    /// cloning is foreign code, so the caller does it outside the lock and calls `set_waker`.
    pub(crate) fn keeps_waker(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let node = self.node_mut(ticket.slot);
        node.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    pub(crate) fn set_waker(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        let node = self.node_mut(ticket.slot);
        if node.state == NodeState::Called {
            node.state = NodeState::Waiting;
        }
        node.waker.replace(waker)
    }

    /// Says when a thread that keeps its own time will look again.
    pub(crate) fn set_wakes_at(&mut self, ticket: Ticket, at: Instant) {
        self.node_mut(ticket.slot).place.wakes_at = Some(at);
    }

    /// Counts a wait that ended with what it waited for.
    pub(crate) fn served(&mut self, ticket: Ticket, now: Instant) {
        let began = self.node(ticket.slot).place.began;
        self.waited += 1;
        self.longest_wait = self.longest_wait.max(now.saturating_duration_since(began));
    }

    /// Removes a place, wherever it stands. The caller settles afterwards.
    pub(crate) fn leave(&mut self, ticket: Ticket, mark: impl Fn(bool)) -> Option<Waker> {
        if self.node(ticket.slot).state != NodeState::Detached {
            self.unlink(ticket.slot, mark);
        }
        let vacant = self.vacant;
        let node = self.node_mut(ticket.slot);
        node.state = NodeState::Vacant;
        node.next = vacant;
        let waker = node.waker.take();
        self.vacant = ticket.slot;
        waker
    }

    /// Takes a place out of the line whose waker is broken, so that nobody waits behind it.
    pub(crate) fn detach(&mut self, ticket: Ticket, mark: impl Fn(bool)) {
        let node = self.node(ticket.slot);
        if node.serial == ticket.serial && node.state == NodeState::Called {
            self.unlink(ticket.slot, mark);
            self.node_mut(ticket.slot).state = NodeState::Detached;
        }
    }

    /// Takes every waker, because the gate may have changed for everybody.
    pub(crate) fn call_all(&mut self) -> Vec<(Ticket, Waker)> {
        let mut calls = Vec::new();
        let mut slot = self.first;
        while slot != NIL {
            let node = self.node_mut(slot);
            if let Some(waker) = node.waker.take() {
                node.state = NodeState::Called;
                calls.push((Ticket { slot, serial: node.serial }, waker));
            }
            slot = node.next;
        }
        // Whoever has no waker here is having its alarm set: the setter passes the call on.
        self.rearm |= self.arming;
        self.recall |= self.arming;
        calls
    }

    /// Decides who has to be woken or timed now: called after every change.
    ///
    /// `me` is the place that is being polled, if there is one: it needs no wake-up, and its waker
    /// is at hand.
    pub(crate) fn settle<G: Gate>(
        &mut self,
        gate: &G,
        now: Instant,
        me: Option<Ticket>,
    ) -> Errands {
        let mut errands = Errands::NONE;
        let mut target = None;
        if self.first != NIL {
            let head = self.node(self.first);
            match gate.outlook(0, head.place.weight, now) {
                Outlook::Ready | Outlook::Never => errands.call = self.call_first(),
                Outlook::At { .. } if head.state == NodeState::Called => {}
                Outlook::At { at, spare } => match head.place.wakes_at {
                    None => target = Some((self.wake_time(at, spare), self.first)),
                    // It looks again by itself, and soon enough.
                    Some(own) if own <= latest_wake(at, spare) => {}
                    Some(_) if me.is_some_and(|me| me.slot == self.first) => {}
                    Some(_) => errands.call = self.call_first(),
                },
            }
        }
        // The earliest deadline of a place that has not been woken and does not time itself.
        let waits = |&&(_, slot): &&(Instant, u32)| self.node(slot).state == NodeState::Waiting;
        if let Some(&deadline) = self.deadlines.iter().find(waits) {
            target = Some(target.map_or(deadline, |target| target.min(deadline)));
        }
        errands.arm = self.arm(target, now, me);
        errands
    }

    /// Puts back the alarm that was set outside the lock, and a waker that was lent for it, and
    /// looks again if the line changed meanwhile.
    pub(crate) fn armed<G: Gate>(
        &mut self,
        gate: &G,
        now: Instant,
        alarm: Option<Alarm>,
        set: Option<(Instant, Ticket)>,
        lent: Option<(Ticket, Waker)>,
    ) -> Errands {
        self.arming = false;
        self.alarm = alarm;
        self.armed = set;
        let rearm = mem::take(&mut self.rearm);
        let recall = mem::take(&mut self.recall);
        let mut litter = None;
        let mut call = None;
        if let Some((ticket, waker)) = lent {
            let node = self.node_mut(ticket.slot);
            let waits = node.serial == ticket.serial && node.state == NodeState::Waiting;
            if !waits || node.waker.is_some() {
                litter = Some(waker);
            } else if recall {
                node.state = NodeState::Called;
                call = Some((ticket, waker));
            } else {
                node.waker = Some(waker);
            }
        }
        let mut errands = if rearm { self.settle(gate, now, None) } else { Errands::NONE };
        debug_assert!(errands.call.is_none() || call.is_none(), "one lent waker, one call");
        errands.call = errands.call.or(call);
        errands.litter = litter;
        errands
    }

    /// When to wake the head, which can be served at `at` and loses nothing if it is late by no
    /// more than `spare`.
    pub(crate) fn wake_time(&self, at: Instant, spare: Duration) -> Instant {
        let late = self.lateness + 2 * self.deviation;
        if saturating_nanos(spare) >= late.saturating_mul(2) {
            return at;
        }
        at.saturating_sub(Duration::from_nanos(late.min(LONGEST_SPIN_NS)))
    }

    fn call_first(&mut self) -> Option<(Ticket, Waker)> {
        let slot = self.first;
        if slot == NIL {
            return None;
        }
        let arming = self.arming;
        let node = self.node_mut(slot);
        match node.waker.take() {
            Some(waker) => {
                node.state = NodeState::Called;
                Some((Ticket { slot, serial: node.serial }, waker))
            }
            None => {
                // Called already, or lent to whoever sets the alarm: they will look again.
                self.rearm |= arming;
                None
            }
        }
    }

    fn arm(
        &mut self,
        target: Option<(Instant, u32)>,
        now: Instant,
        me: Option<Ticket>,
    ) -> Option<Arming> {
        let Some((at, slot)) = target.filter(|(at, _)| *at != Instant::MAX) else {
            // Nobody to wake. An alarm that is still to come is switched off.
            let pending = self.armed.is_some_and(|(at, _)| at > now);
            return if pending && !self.arming { self.begin(Instant::MAX, None) } else { None };
        };
        let ticket = Ticket { slot, serial: self.node(slot).serial };
        let mine = me == Some(ticket);
        if self.arming {
            self.rearm = true;
            return None;
        }
        if mine {
            return self.begin(at, Some((ticket, Whose::Mine)));
        }
        if self.armed == Some((at, ticket)) {
            return None;
        }
        let lent = self.node_mut(slot).waker.take()?;
        self.begin(at, Some((ticket, Whose::Lent(lent))))
    }

    #[expect(clippy::unnecessary_wraps, reason = "every caller returns it as an option")]
    fn begin(&mut self, at: Instant, whom: Option<(Ticket, Whose)>) -> Option<Arming> {
        self.arming = true;
        self.armed = None;
        Some(Arming { alarm: self.alarm.take(), at, whom })
    }

    fn link(&mut self, slot: u32) {
        let last = self.last;
        let node = self.node_mut(slot);
        node.prev = last;
        node.next = NIL;
        let place = node.place;
        match last {
            NIL => self.first = slot,
            last => self.node_mut(last).next = slot,
        }
        self.last = slot;
        self.len += 1;
        self.weight += u128::from(place.weight);
        if place.wakes_at.is_none() && place.deadline != Instant::MAX {
            self.deadlines.insert((place.deadline, slot));
        }
    }

    fn unlink(&mut self, slot: u32, mark: impl Fn(bool)) {
        let node = self.node(slot);
        let (prev, next, place) = (node.prev, node.next, node.place);
        match prev {
            NIL => self.first = next,
            prev => self.node_mut(prev).next = next,
        }
        match next {
            NIL => self.last = prev,
            next => self.node_mut(next).prev = prev,
        }
        self.len -= 1;
        self.weight -= u128::from(place.weight);
        self.deadlines.remove(&(place.deadline, slot));
        if self.len == 0 {
            mark(false);
        }
    }

    fn node(&self, slot: u32) -> &Node {
        // OK: slots are handed out by `join` and never shrink.
        &self.nodes[slot as usize]
    }

    fn node_mut(&mut self, slot: u32) -> &mut Node {
        // OK: slots are handed out by `join` and never shrink.
        &mut self.nodes[slot as usize]
    }
}
