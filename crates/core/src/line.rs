//! The waiting line: who waits, in which order, and who has to be told what.
//!
//! A line is data under one lock. It decides nothing about the resource (the [`Gate`] does) and
//! runs nobody's code: each method leaves a list of [`Errands`], which the caller runs after the
//! lock is released. The protocol around it is in [`crate::wait`].
//!
//! ```text
//!  first               next                               last
//!  ┌────────┐  ┌────────┐  ┌─────────┐                 ┌─────────┐
//!  │ called │─▶│ called │─▶│ waiting │───▶   …    ───▶ │ waiting │◀── join
//!  └────────┘  └────────┘  └────┬────┘                 └─────────┘
//!   funded together: each        └── the bell of the turn is set for this one; a second bell rings
//!   takes its own when polled        for the first deadline of the others
//! ```
//!
//! Places are **called** in order, each when there is enough for it *and for all who are called
//! already*. A called place is entitled: what it needs is there and stays there, because newcomers
//! are turned away while the line exists and nobody is called beyond what is there. But it has not
//! been taken: a called place that is dropped gives up nothing that would have to be put back, and
//! one that is not polled for a while holds up its own tokens and nobody else.
//!
//! | a place is | meaning | its waker is |
//! |---|---|---|
//! | waiting | will be called when there is enough | in the node, or lent to whoever sets the alarm |
//! | called | entitled, woken, not polled since | gone: it was woken |
//! | nudged | woken to look at new terms; not entitled by that | gone: it was woken |
//! | detached | its waker panicked; it lost its place, and joins anew if it is ever polled | gone |
//!
//! Invariants:
//! - **L1** `weight` and `len` are the sum and the number of the places that are linked; `called`
//!   and `called_weight` those of them that are called.
//! - **L2** `next` is the first linked place that is not called, and nobody behind it is called.
//! - **L3** If nobody is called, nudged or lent, the bell of the turn is set no later than the moment
//!   at which `next` can be served, unless it keeps its own time. While somebody else waits with a
//!   deadline, the other bell is set for the first of them.
//! - **L4** The gate is marked occupied while `len > 0`, and by nobody else for longer than a try.
//! - **L5** A free slot and a detached place are not linked.

mod bells;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::task::Waker;
use core::time::Duration;

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Instant;
use crate::unwind::completes;
use crate::wait::{Gate, Outlook};

use self::bells::Bell;
pub(crate) use self::bells::{Alarm, Arming, LONGEST_SPIN_NS, Whose, latest_wake};

/// No slot.
const NIL: u32 = u32::MAX;

/// A waiting line: the part of a primitive that everyone who waits for it shares.
///
/// It allocates when somebody first waits, and then only when more wait at once than ever before.
///
/// It begins with a cache line, and what every join and every leave touches is in that line and the
/// next: at a million grants a second, what a wait costs is how many lines go from core to core.
#[repr(C, align(64))]
pub struct Line {
    /// The weight waiting, for forecasts that need not be exact to the moment.
    weight: AtomicU64,
    queue: Mutex<Queue>,
}

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

/// A place in a line. The serial number tells apart waits that used the same slot: it comes round after
/// 4 billion of them, while a ticket is looked at again after the time that it takes to set an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: u32,
    serial: u32,
}

/// What a new place is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) weight: u64,
    pub(crate) deadline: Instant,
    /// For a thread that times its own sleep: when it will wake. `None` for everybody else.
    pub(crate) wakes_at: Option<Instant>,
}

/// In this order: a join touches the fields up to `len`, and a leave those up to `wake_ups`; what
/// comes after them is read more often than it is written.
#[repr(C)]
pub(crate) struct Queue {
    nodes: Vec<Node>,
    last: u32,
    len: u32,
    weight: u128,
    called_weight: u128,
    next: u32,
    first: u32,
    vacant: u32,
    called: u32,
    waited: u64,
    wake_ups: u64,
    longest_wait: Duration,
    bells: [Bell; 2],
    /// How late a wake comes after the instant that was asked for, in nanoseconds: a moving average
    /// (it begins with Linux's timer slack), and the mean deviation from it.
    lateness: u64,
    deviation: u64,
    /// The line changed while somebody was setting an alarm: they have to look again.
    rearm: bool,
    /// The deadlines of the waiting places that do not keep their own time.
    deadlines: BTreeSet<(Instant, u32)>,
}

/// One cache line.
#[repr(align(64))]
struct Node {
    place: Place,
    serial: u32,
    waker: Option<Waker>,
    state: NodeState,
    /// Stale where the place is `first`.
    prev: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Vacant,
    Waiting,
    Called,
    Nudged,
    Detached,
}

/// What is left to do after the lock is released.
pub(crate) struct Errands {
    /// Wake this place,
    pub(crate) call: Option<(Ticket, Waker)>,
    /// and these.
    pub(crate) more_calls: Vec<(Ticket, Waker)>,
    /// Set these alarms, one a bell at most.
    pub(crate) arm: [Option<Arming>; 2],
    /// Wakers to be dropped, which is foreign code too.
    pub(crate) litter: Option<Waker>,
}

impl Errands {
    pub(crate) const NONE: Self =
        Self { call: None, more_calls: Vec::new(), arm: [None, None], litter: None };

    fn add_call(&mut self, call: (Ticket, Waker)) {
        match self.call {
            None => self.call = Some(call),
            Some(_) => self.more_calls.push(call),
        }
    }
}

/// The ticket of no place.
const NOBODY: Ticket = Ticket { slot: NIL, serial: 0 };

impl Line {
    crate::const_unless_loom! {
        /// An empty line.
        pub const fn new() -> Self {
            Self { weight: AtomicU64::new(0), queue: Mutex::new(Queue::new()) }
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

    /// Wakes the first in line that has not been called, because the gate may have changed in its
    /// favour (step 5 of [the protocol](crate::wait)). It looks for itself.
    ///
    /// `mark` is the gate's [`mark`](Gate::mark).
    pub fn wake_first(&self, mark: impl Fn(bool)) {
        // A waker that panics costs its owner the place; then the next is first.
        while let Some((ticket, waker)) = self.with(Queue::nudge_next) {
            if completes(|| waker.wake()) {
                return;
            }
            self.with(|queue| queue.detach(ticket, &mark));
        }
    }

    /// Wakes everybody in line, because the gate has changed for all of them: it was closed, or has
    /// a new configuration. Each looks for itself; nobody is entitled any more.
    ///
    /// `mark` is the gate's [`mark`](Gate::mark).
    pub fn wake_all(&self, mark: impl Fn(bool)) {
        for (ticket, waker) in self.with(Queue::nudge_all) {
            if !completes(|| waker.wake()) {
                self.with(|queue| queue.detach(ticket, &mark));
            }
        }
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
            next: NIL,
            last: NIL,
            len: 0,
            weight: 0,
            called: 0,
            called_weight: 0,
            deadlines: BTreeSet::new(),
            bells: [Bell::NEW, Bell::NEW],
            rearm: false,
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

    pub(crate) fn called_weight(&self) -> u128 {
        self.called_weight
    }

    /// Whether this place may take what it waits for: it was called, or is the next to be and
    /// there is enough.
    pub(crate) fn is_entitled<G: Gate>(&self, gate: &G, ticket: Ticket, now: Instant) -> bool {
        let node = self.node(ticket.slot);
        if node.state == NodeState::Called {
            return true;
        }
        if self.next != ticket.slot {
            return false;
        }
        // With nobody called, the attempt itself is the question.
        self.called == 0
            || matches!(gate.outlook(self.called_weight, node.place.weight, now), Outlook::Ready)
    }

    pub(crate) fn anybody_called(&self) -> bool {
        self.called > 0
    }

    /// Whether this place is the next to be called.
    pub(crate) fn is_next(&self, ticket: Ticket) -> bool {
        self.next == ticket.slot
    }

    /// Takes the entitlement back from a place that could not be served after all, because the
    /// gate's terms or its clock changed meanwhile.
    pub(crate) fn uncall(&mut self, ticket: Ticket) {
        if !self.is_called(ticket) {
            return;
        }
        // Nor is there enough for those who were called after it. They are awake, and look.
        let mut slot = ticket.slot;
        while slot != self.next {
            self.set_state(slot, NodeState::Nudged);
            slot = self.node(slot).next;
        }
        self.next = ticket.slot;
    }

    pub(crate) fn is_called(&self, ticket: Ticket) -> bool {
        self.node(ticket.slot).state == NodeState::Called
    }

    pub(crate) fn is_detached(&self, ticket: Ticket) -> bool {
        self.node(ticket.slot).state == NodeState::Detached
    }

    /// Appends a place. The gate must already be marked occupied.
    pub(crate) fn join(&mut self, place: Place, waker: Waker) -> Ticket {
        let (waker, state) = (Some(waker), NodeState::Waiting);
        let (slot, serial) = match self.vacant {
            NIL => (u32::try_from(self.nodes.len()).expect("4 billion waits at once"), 0),
            slot => (slot, self.node(slot).serial.wrapping_add(1)),
        };
        let node = Node { place, serial, waker, state, prev: NIL, next: NIL };
        if self.vacant == NIL {
            self.nodes.push(node);
        } else {
            self.vacant = self.node(slot).next;
            *self.node_mut(slot) = node;
        }
        self.link(slot);
        Ticket { slot, serial }
    }

    /// Gives a polled place the waker of the task that polls it. `false` if a new clone is needed:
    /// cloning is foreign code, so the caller does it outside the lock and calls `set_waker`.
    pub(crate) fn keeps_waker(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let node = self.node_mut(ticket.slot);
        node.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    pub(crate) fn set_waker(&mut self, ticket: Ticket, waker: Waker) -> Option<Waker> {
        self.distrust_alarms_of(ticket);
        let known = self.node_mut(ticket.slot).waker.replace(waker);
        if self.node(ticket.slot).state == NodeState::Nudged {
            self.set_state(ticket.slot, NodeState::Waiting);
            self.watch_deadline(ticket.slot);
        }
        known
    }

    /// Says when a thread that keeps its own time will look again.
    pub(crate) fn set_wakes_at(&mut self, ticket: Ticket, at: Instant) {
        self.node_mut(ticket.slot).place.wakes_at = Some(at);
    }

    /// Counts a wait that ended with what it waited for.
    pub(crate) fn served(&mut self, began: Instant, now: Instant) {
        self.waited += 1;
        let wait = now.saturating_duration_since(began);
        // Not written unless it changes: another core may have it, too.
        if wait > self.longest_wait {
            self.longest_wait = wait;
        }
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
        let woken = matches!(node.state, NodeState::Called | NodeState::Nudged);
        if node.serial == ticket.serial && woken {
            self.unlink(ticket.slot, mark);
            self.node_mut(ticket.slot).state = NodeState::Detached;
        }
    }

    /// Takes the waker of the next to be called, for it to look at the gate itself.
    fn nudge_next(&mut self) -> Option<(Ticket, Waker)> {
        let slot = self.next;
        if slot == NIL {
            return None;
        }
        self.have_setters_look_again();
        let waker = self.node_mut(slot).waker.take()?;
        self.set_state(slot, NodeState::Nudged);
        Some((self.ticket(slot), waker))
    }

    /// Takes every waker, because the gate has changed for everybody.
    fn nudge_all(&mut self) -> Vec<(Ticket, Waker)> {
        let mut calls = Vec::new();
        let mut slot = self.first;
        while slot != NIL {
            if let Some(waker) = self.node_mut(slot).waker.take() {
                calls.push((self.ticket(slot), waker));
                self.set_state(slot, NodeState::Nudged);
            } else if self.node(slot).state == NodeState::Called {
                self.set_state(slot, NodeState::Nudged);
            }
            slot = self.node(slot).next;
        }
        self.next = self.first;
        self.recall_lent_wakers();
        calls
    }

    /// Calls everybody there is enough for, and times the next: done after every change.
    ///
    /// `me` is the place that is being polled, if there is one: its waker is at hand.
    pub(crate) fn settle<G: Gate>(
        &mut self,
        gate: &G,
        now: Instant,
        me: Option<Ticket>,
        errands: &mut Errands,
    ) {
        let mut turn = None;
        while self.next != NIL {
            let node = self.node(self.next);
            let outlook = gate.outlook(self.called_weight, node.place.weight, now);
            match outlook.looks_again() {
                None => {
                    if !self.call_next(errands) {
                        break;
                    }
                }
                // Whoever was nudged settles the line when it is polled or dropped.
                Some(_) if node.state == NodeState::Nudged => break,
                Some((at, spare)) => {
                    match node.place.wakes_at {
                        None => {
                            let at = self.wake_time(gate, at, spare).min(node.place.deadline);
                            turn = Some((at, self.next));
                        }
                        // It looks again by itself, and soon enough.
                        Some(own) if own <= latest_wake(at, spare) => {}
                        Some(_) if me.is_some_and(|me| me.slot == self.next) => {}
                        Some(_) => {
                            if let Some(call) = self.nudge_next() {
                                errands.add_call(call);
                            }
                        }
                    }
                    break;
                }
            }
        }
        self.set_bells(gate, turn, now, me, errands);
    }

    /// Calls the next place. `false` if its waker is lent: whoever has it will look again.
    fn call_next(&mut self, errands: &mut Errands) -> bool {
        let slot = self.next;
        match self.node_mut(slot).waker.take() {
            Some(waker) => errands.add_call((self.ticket(slot), waker)),
            // Awake already; now it is entitled too.
            None if self.node(slot).state == NodeState::Nudged => {}
            None => {
                self.rearm = true;
                return false;
            }
        }
        self.set_state(slot, NodeState::Called);
        self.next = self.node(slot).next;
        true
    }

    /// Changes a linked place's state, and L1's count of those called with it.
    fn set_state(&mut self, slot: u32, state: NodeState) {
        let node = self.node_mut(slot);
        let (before, weight) = (node.state, u128::from(node.place.weight));
        let deadline = (node.place.deadline, slot);
        node.state = state;
        if before == NodeState::Waiting {
            self.deadlines.remove(&deadline);
        }
        if before == NodeState::Called {
            self.called -= 1;
            self.called_weight -= weight;
        }
        if state == NodeState::Called {
            self.called += 1;
            self.called_weight += weight;
        }
    }

    fn ticket(&self, slot: u32) -> Ticket {
        Ticket { slot, serial: self.node(slot).serial }
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
        if self.next == NIL {
            self.next = slot;
        }
        self.len += 1;
        self.weight += u128::from(place.weight);
        self.watch_deadline(slot);
    }

    fn unlink(&mut self, slot: u32, mark: impl Fn(bool)) {
        if self.node(slot).state == NodeState::Called {
            self.set_state(slot, NodeState::Nudged);
        }
        let node = self.node(slot);
        let (prev, next, place) = (node.prev, node.next, node.place);
        if self.next == slot {
            self.next = next;
        }
        // The first one's `prev` is stale: to clear it would take that place's cache line from the
        // core that is about to serve it.
        if self.first == slot {
            self.first = next;
            if next == NIL {
                self.last = NIL;
            }
        } else {
            self.node_mut(prev).next = next;
            match next {
                NIL => self.last = prev,
                next => self.node_mut(next).prev = prev,
            }
        }
        self.len -= 1;
        self.weight -= u128::from(place.weight);
        if place.deadline != Instant::MAX {
            self.deadlines.remove(&(place.deadline, slot));
        }
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
