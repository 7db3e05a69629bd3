//! The bells of a waiting line: its two alarms, whose waker they have, and how late a wake comes.
//!
//! An alarm is foreign code: it is taken out of the line ([`Arming`]), set with no lock held, and put
//! back. Meanwhile its bell is *arming*, and whatever changes has it looked at again.
//!
//! The two bells are separate so that a task which is not polled delays nobody but those whose turn
//! comes after its own: neither does a wait that has timed out keep the alarm from those ahead of
//! it, nor does one that does not take its turn keep others from timing out.

use alloc::boxed::Box;
use core::any::Any;
use core::mem;
use core::task::Waker;
use core::time::Duration;

use super::{Errands, NIL, NOBODY, NodeState, Queue, Ticket};
use crate::time::{Instant, Timer, saturating_nanos};
use crate::wait::Gate;

/// How far ahead of its turn a waiter may be woken, to spend the rest spinning, when its bucket
/// cannot absorb a late wake. Also the longest spin.
pub(crate) const LONGEST_SPIN_NS: u64 = 200_000;

/// How long after its forecast a waiter is woken, where it loses nothing by that; see
/// [`latest_wake`].
const SLACK: Duration = Duration::from_micros(50);

/// A timer's [`Alarm`](crate::Timer::Alarm), whichever timer that is: so that a line, and whatever
/// holds one, need not name it.
pub(crate) type Alarm = Box<dyn Any + Send>;

/// One of the line's alarms.
pub(super) struct Bell {
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

impl Bell {
    pub(super) const NEW: Self = Self { alarm: None, armed: None, arming: false, recall: false };
}

impl Queue {
    /// Whether the alarm of the turn is more than a minute away: then it is worth a look whether the
    /// clock has stepped back since it was set.
    pub(crate) fn turn_is_far(&self, now: Instant) -> bool {
        let soon = now.saturating_add(Duration::from_secs(60));
        self.bells[TURN].armed.is_some_and(|(at, _)| at > soon)
    }

    /// Whether the next has an alarm for its turn: not for its deadline, which says nothing about when there is
    /// enough for it beside those who are called. One whose time has come has woken it, or is about to.
    pub(crate) fn turn_is_timed(&self) -> bool {
        self.next != NIL
            && self.bells[TURN].armed.is_some_and(|(at, whom)| {
                let deadline = self.node(self.next).place.deadline;
                whom == self.ticket(self.next) && at < deadline
            })
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

    /// Moves the deadline of a place that was given another one while it waits.
    pub(crate) fn set_deadline(&mut self, ticket: Ticket, deadline: Instant) {
        let slot = ticket.slot;
        let before = self.node(slot).place.deadline;
        if before != deadline {
            self.node_mut(slot).place.deadline = deadline;
            self.deadlines.remove(&(before, slot));
            self.watch_deadline(slot);
        }
    }

    /// Notes the deadline of a place that sleeps and does not time itself.
    pub(super) fn watch_deadline(&mut self, slot: u32) {
        let node = self.node(slot);
        let (deadline, state) = (node.place.deadline, node.state);
        let sleeps = state == NodeState::Waiting && node.place.wakes_at.is_none();
        if sleeps && deadline != Instant::MAX {
            self.deadlines.insert((deadline, slot));
        }
    }

    /// Sets the bell of the turn to `turn`, and the other for the first deadline.
    pub(super) fn set_bells<G: Gate>(
        &mut self,
        gate: &G,
        turn: Option<(Instant, u32)>,
        now: Instant,
        me: Option<Ticket>,
        errands: &mut Errands,
    ) {
        let deadline = self.first_deadline(turn, now, errands);
        if gate.timer().is_local() {
            self.nudge_to_set_its_own(TURN, turn, me, errands);
            self.nudge_to_set_its_own(DEADLINE, deadline, me, errands);
        }
        for (bell, target) in [(TURN, turn), (DEADLINE, deadline)] {
            // OK: a bell that is pending there is not given out again before it is put back.
            if let Some(arming) = self.arm(bell, target, now, me) {
                errands.arm[bell] = Some(arming);
            }
        }
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

    /// The alarms set with a waker of this place's have one that may not be its own any more.
    pub(super) fn distrust_alarms_of(&mut self, ticket: Ticket) {
        for (_, whom) in self.bells.iter_mut().filter_map(|bell| bell.armed.as_mut()) {
            if *whom == ticket {
                *whom = NOBODY;
            }
        }
    }

    /// Whoever is setting an alarm, perhaps with a waker that was lent, settles the line afterwards.
    pub(super) fn have_setters_look_again(&mut self) {
        self.rearm |= self.bells.iter().any(|bell| bell.arming);
    }

    /// Everybody is nudged: whoever has its waker lent for an alarm gets the nudge from the setter.
    pub(super) fn recall_lent_wakers(&mut self) {
        for bell in &mut self.bells {
            bell.recall |= bell.arming;
            self.rearm |= bell.arming;
        }
    }

    /// Puts back an alarm that was set outside the lock (`alarm` is `None` if setting it failed),
    /// and a waker that was lent for it, and looks again if the line changed meanwhile.
    pub(crate) fn armed<G: Gate>(
        &mut self,
        gate: &G,
        now: Instant,
        arming: Arming,
        errands: &mut Errands,
    ) {
        let Arming { bell, alarm, at, whom } = arming;
        let failed = alarm.is_none();
        let set = whom.as_ref().map(|(ticket, _)| (at, *ticket));
        let recall = mem::take(&mut self.bells[bell].recall);
        let rearm = mem::take(&mut self.rearm);
        self.bells[bell] = Bell { alarm, armed: set.filter(|_| !failed), ..Bell::NEW };
        let mut nudge = None;
        if let Some((ticket, Whose::Lent(waker))) = whom {
            let node = self.node_mut(ticket.slot);
            let waits = node.serial == ticket.serial && node.state == NodeState::Waiting;
            if !waits || node.waker.is_some() {
                errands.litter = Some(waker);
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
        if rearm {
            self.settle(gate, now, None, errands);
        }
        if let Some(nudge) = nudge {
            errands.add_call(nudge);
        }
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
}
