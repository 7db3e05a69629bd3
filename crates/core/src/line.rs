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
//!
//! The two bells are separate so that a task which is not polled delays nobody but those whose turn
//! comes after its own: neither does a wait that has timed out keep the alarm from those ahead of
//! it, nor does one that does not take its turn keep others from timing out.
//! - **L4** The gate is marked occupied while `len > 0`, and by nobody else for longer than a try.
//! - **L5** A free slot and a detached place are not linked.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::any::Any;
use core::task::Waker;
use core::time::Duration;
use core::{fmt, mem};

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::{Instant, Timer, saturating_nanos};
use crate::unwind::completes;
use crate::wait::{Gate, Outlook};

/// No slot.
const NIL: u32 = u32::MAX;

/// How far ahead of its turn a waiter may be woken, to spend the rest spinning, when its bucket
/// cannot absorb a late wake. Also the longest spin.
pub(crate) const LONGEST_SPIN_NS: u64 = 200_000;

/// How long after its forecast a waiter is woken, where it loses nothing by that; see
/// [`latest_wake`].
const SLACK: Duration = Duration::from_micros(50);

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
    next: u32,
    last: u32,
    len: u32,
    serial: u64,
    weight: u128,
    called: u32,
    called_weight: u128,
    /// The deadlines of the waiting places that do not keep their own time.
    deadlines: BTreeSet<(Instant, u32)>,
    bells: [Bell; 2],
    /// The line changed while somebody was setting an alarm: they have to look again.
    rearm: bool,
    /// How late a wake comes after the instant that was asked for, in nanoseconds: a moving average
    /// (it begins with Linux's timer slack), and the mean deviation from it.
    lateness: u64,
    deviation: u64,
    waited: u64,
    longest_wait: Duration,
    wake_ups: u64,
}

/// One of the line's alarms.
struct Bell {
    alarm: Option<Alarm>,
    /// What it is set to, and whose waker it has: `NOBODY`'s if that place has another by now.
    armed: Option<(Instant, Ticket)>,
    /// Somebody sets it outside the lock.
    arming: bool,
    /// Everybody was nudged meanwhile: so is the place whose waker they hold.
    recall: bool,
}

/// The bell that wakes the next when its turn comes.
const TURN: usize = 0;
/// The bell that wakes somebody else whose deadline comes.
const DEADLINE: usize = 1;

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

/// The latest moment at which to wake a waiter whose turn comes at `at` and who loses nothing if it
/// is late by no more than `spare`.
///
/// Where the spare time allows, that is a timer's usual slack after the turn. By then several may
/// be served in one go, for one alarm; and a thread that times itself has usually been called by
/// its predecessor, so that it wakes once and not twice.
pub(crate) fn latest_wake(at: Instant, spare: Duration) -> Instant {
    if spare >= 8 * SLACK { at.saturating_add(SLACK) } else { at }
}

/// An alarm, taken out of the line to be set.
pub(crate) struct Arming {
    pub(crate) bell: usize,
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

/// The ticket of no place.
const NOBODY: Ticket = Ticket { slot: NIL, serial: 0 };

impl Bell {
    const NEW: Self = Self { alarm: None, armed: None, arming: false, recall: false };
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
            serial: 0,
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

    /// Whether the alarm of the turn is more than a minute away: then it is worth a look whether the
    /// clock has stepped back since it was set.
    pub(crate) fn turn_is_far(&self, now: Instant) -> bool {
        let soon = now.saturating_add(Duration::from_secs(60));
        self.bells[TURN].armed.is_some_and(|(at, _)| at > soon)
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

    /// Whether the next has its alarm.
    pub(crate) fn turn_is_timed(&self) -> bool {
        self.bells[TURN].armed.is_some_and(|(_, whom)| whom.slot == self.next)
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
        let mut asked = self.node(ticket.slot).place.wakes_at;
        for bell in &mut self.bells {
            if let Some((at, _)) = bell.armed.filter(|(_, whom)| *whom == ticket) {
                asked = Some(at);
                bell.armed = bell.armed.filter(|_| now < at);
            }
        }
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
        for (_, whom) in self.bells.iter_mut().filter_map(|bell| bell.armed.as_mut()) {
            if *whom == ticket {
                *whom = NOBODY;
            }
        }
        let known = self.node_mut(ticket.slot).waker.replace(waker);
        if self.node(ticket.slot).state == NodeState::Nudged {
            self.set_state(ticket.slot, NodeState::Waiting);
            self.watch_deadline(ticket.slot);
        }
        known
    }

    /// Moves the deadline of a place that was given another one while it waits.
    pub(crate) fn set_deadline(&mut self, ticket: Ticket, deadline: Instant) {
        let slot = ticket.slot;
        let before = mem::replace(&mut self.node_mut(slot).place.deadline, deadline);
        if before != deadline {
            self.deadlines.remove(&(before, slot));
            self.watch_deadline(slot);
        }
    }

    /// Notes the deadline of a place that sleeps and does not time itself.
    fn watch_deadline(&mut self, slot: u32) {
        let node = self.node(slot);
        let (deadline, state) = (node.place.deadline, node.state);
        let sleeps = state == NodeState::Waiting && node.place.wakes_at.is_none();
        if sleeps && deadline != Instant::MAX {
            self.deadlines.insert((deadline, slot));
        }
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
        // Whoever holds a lent waker is setting an alarm: they look again.
        self.rearm |= self.bells.iter().any(|bell| bell.arming);
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
        // Whoever has no waker here is having its alarm set: the setter passes the nudge on.
        for bell in &mut self.bells {
            bell.recall |= bell.arming;
            self.rearm |= bell.arming;
        }
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
    ) -> Errands {
        let mut errands = Errands::NONE;
        let mut turn = None;
        while self.next != NIL {
            let node = self.node(self.next);
            match gate.outlook(self.called_weight, node.place.weight, now) {
                Outlook::Ready | Outlook::Never => {
                    if !self.call_next(&mut errands) {
                        break;
                    }
                }
                // Whoever was nudged settles the line when it is polled or dropped.
                Outlook::At { .. } if node.state == NodeState::Nudged => break,
                Outlook::At { at, spare } => {
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
        let deadline = self.first_deadline(turn, now, &mut errands);
        if gate.timer().is_local() {
            self.nudge_to_set_its_own(TURN, turn, me, &mut errands);
            self.nudge_to_set_its_own(DEADLINE, deadline, me, &mut errands);
        }
        errands.arm = [self.arm(TURN, turn, now, me), self.arm(DEADLINE, deadline, now, me)];
        errands
    }

    /// Wakes the place that an alarm is to be set for, if that is another than the one that is being
    /// polled and it has not set it already.
    fn nudge_to_set_its_own(
        &mut self,
        bell: usize,
        target: Option<(Instant, u32)>,
        me: Option<Ticket>,
        errands: &mut Errands,
    ) {
        let Some((at, slot)) = target else { return };
        let ticket = self.ticket(slot);
        let set = self.bells[bell].armed == Some((at, ticket));
        if at == Instant::MAX || set || me == Some(ticket) {
            return;
        }
        if let Some(waker) = self.node_mut(slot).waker.take() {
            self.set_state(slot, NodeState::Nudged);
            errands.add_call((ticket, waker));
        }
    }

    /// The earliest deadline to come of a place that sleeps, does not time itself and is not woken
    /// at its turn. Those whose deadline has come are nudged.
    fn first_deadline(
        &mut self,
        turn: Option<(Instant, u32)>,
        now: Instant,
        errands: &mut Errands,
    ) -> Option<(Instant, u32)> {
        loop {
            // The next in line may be among them; its alarm is the other one.
            let others = |&&(_, slot): &&(Instant, u32)| turn.is_none_or(|(_, next)| next != slot);
            let first = *self.deadlines.iter().find(others)?;
            if first.0 > now {
                return Some(first);
            }
            let Some(waker) = self.node_mut(first.1).waker.take() else {
                // Lent: whoever has it will look again.
                self.rearm = true;
                return None;
            };
            errands.add_call((self.ticket(first.1), waker));
            self.set_state(first.1, NodeState::Nudged);
        }
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

    /// Puts back an alarm that was set outside the lock (`alarm` is `None` if setting it failed),
    /// and a waker that was lent for it, and looks again if the line changed meanwhile.
    pub(crate) fn armed<G: Gate>(
        &mut self,
        gate: &G,
        now: Instant,
        bell: usize,
        alarm: Option<Alarm>,
        set: Option<(Instant, Ticket)>,
        lent: Option<Waker>,
    ) -> Errands {
        let failed = alarm.is_none();
        let recall = mem::take(&mut self.bells[bell].recall);
        let rearm = mem::take(&mut self.rearm);
        self.bells[bell] = Bell { alarm, armed: set.filter(|_| !failed), ..Bell::NEW };
        let mut litter = None;
        let mut nudge = None;
        if let Some((waker, (at, ticket))) = lent.zip(set) {
            let node = self.node_mut(ticket.slot);
            let waits = node.serial == ticket.serial && node.state == NodeState::Waiting;
            if !waits || node.waker.is_some() {
                litter = Some(waker);
                // The alarm has a waker that may not be the place's any more.
                self.bells[bell].armed = (!failed).then_some((at, NOBODY));
            } else if recall || failed {
                // The timer may work where that place is polled.
                self.set_state(ticket.slot, NodeState::Nudged);
                nudge = Some((ticket, waker));
            } else {
                node.waker = Some(waker);
            }
        }
        let mut errands = if rearm { self.settle(gate, now, None) } else { Errands::NONE };
        if let Some(nudge) = nudge {
            errands.add_call(nudge);
        }
        errands.litter = litter;
        errands
    }

    /// When to wake the next, which can be served at `at` and loses nothing if it is late by no
    /// more than `spare`: early, and spin the rest, if timers are too late for that.
    ///
    /// Exactly then on a clock that does not advance with the system's: lateness means nothing
    /// there, and spinning would not make time pass.
    pub(crate) fn wake_time<G: Gate>(&self, gate: &G, at: Instant, spare: Duration) -> Instant {
        if gate.timer().system_time_until(at).is_none() {
            return at;
        }
        let late = self.lateness + 2 * self.deviation;
        if saturating_nanos(spare) >= 2 * late {
            return latest_wake(at, spare);
        }
        at.saturating_sub(Duration::from_nanos(late.min(LONGEST_SPIN_NS)))
    }

    fn arm(
        &mut self,
        bell: usize,
        target: Option<(Instant, u32)>,
        now: Instant,
        me: Option<Ticket>,
    ) -> Option<Arming> {
        let &Bell { armed, arming, .. } = &self.bells[bell];
        if arming {
            self.rearm = true;
            return None;
        }
        let Some((at, slot)) = target.filter(|(at, _)| *at != Instant::MAX) else {
            // Nobody to wake. An alarm that is still to come is switched off.
            let pending = armed.is_some_and(|(at, _)| at > now);
            return pending.then(|| self.begin(bell, Instant::MAX, None));
        };
        let ticket = self.ticket(slot);
        if me == Some(ticket) {
            return Some(self.begin(bell, at, Some((ticket, Whose::Mine))));
        }
        if armed == Some((at, ticket)) {
            return None;
        }
        let Some(lent) = self.node_mut(slot).waker.take() else {
            // Lent for the other bell: whoever has it will look again.
            self.rearm |= self.bells[1 - bell].arming;
            return None;
        };
        Some(self.begin(bell, at, Some((ticket, Whose::Lent(lent)))))
    }

    fn begin(&mut self, bell: usize, at: Instant, whom: Option<(Ticket, Whose)>) -> Arming {
        let alarm = self.bells[bell].alarm.take();
        self.bells[bell] = Bell { arming: true, ..Bell::NEW };
        Arming { bell, alarm, at, whom }
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
