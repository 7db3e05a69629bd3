//! The pure machine of claims: who is at an id, and what becomes of it. It reads no clock and wakes nobody.
//!
//! ```text
//!             acquire                     commit
//!    free ───────────────▶ in flight ───────────────▶ remembered
//!     ▲  ▲                  │     │                       │
//!     │  └──────────────────┘     │ lease over,           │
//!     │    dropped: the first     │ the first who waits   │
//!     │    who waits has it       ▼                       │
//!     │                    in flight, next generation     │
//!     └───────────────────────────────────────────────────┘
//!                      TTL over, or too many since
//! ```
//!
//! | an id is | `acquire` | a claim of an earlier generation |
//! |---|---|---|
//! | free | gives a claim | is lost |
//! | in flight | waits | is lost |
//! | in flight, its lease over | gives a claim to the first in line | is lost |
//! | remembered | says so, with the value | is lost |
//!
//! Whoever waited at a flight that ended with a commit is told of that commit, whatever becomes of the id before
//! he looks.
//!
//! A lease ends by the time that whoever asks has read: a clock that jumps ahead and back leaves no lease that
//! takes as long. The window goes by the latest that anybody who asked has read: what was over once is not
//! remembered again, C1.
//!
//! Invariants:
//! - **C1** An id is held by the claim of one generation at most, and then it is not in the window.
//! - **C2** A flight is in the map while it is held or somebody waits for it; a flight that is not will never
//!   be again, and whoever waits for it looks anew.
//! - **C3** `in_flight` is the number of flights in all maps, seen from under any lock: a place is taken and
//!   given back under the same one as its flight.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use steadfast_core::sync::{Arc, Mutex};
use steadfast_core::{Instant, Line};

use crate::claim::{Duplicate, Ticket};
use crate::config::Terms;
use crate::error::LeaseLost;
use crate::fingerprint::Fingerprint;
use crate::memory::Heap;
use crate::state::{Beside, State};

/// Of those who give none. Others are mixed with a secret.
pub(crate) const NO_PAYLOAD: u64 = 0;

/// The flights of a shard, and its window: what is under one lock.
pub(crate) struct Shard<V> {
    pub(crate) window: State<Heap, Values<V>>,
    flights: BTreeMap<Fingerprint, Held<V>>,
    /// The generation that was given last.
    generation: u64,
    /// No lease ends before it that nobody waits for.
    sweep_at: Instant,
    /// Flights that are over, to be dropped when the lock is released.
    landed: Vec<Arc<Flight<V>>>,
}

/// What is to be dropped when the lock is released: it may run anybody's code.
pub(crate) type Litter<V> = (Vec<Arc<V>>, Vec<Arc<Flight<V>>>);

/// An id in flight, in the map.
struct Held<V> {
    flight: Arc<Flight<V>>,
    /// `None`: it was given back, and somebody waits for it.
    holder: Option<Holder>,
    /// Somebody waits for it.
    is_awaited: bool,
}

impl<V> Held<V> {
    /// When its place may be somebody else's: never while somebody waits for it, who gets it.
    fn sweep_at(&self) -> Option<Instant> {
        self.holder.filter(|_| !self.is_awaited).map(|holder| holder.until)
    }
}

#[derive(Clone, Copy)]
struct Holder {
    generation: u64,
    payload: u64,
    until: Instant,
}

/// Those who wait for an id.
pub(crate) struct Flight<V> {
    pub(crate) line: Line,
    /// What was committed, if anybody was to be told of it. It is used under the shard's lock alone.
    outcome: Mutex<Option<Committed<V>>>,
}

/// What was committed, and the payload that it came with.
type Committed<V> = (Duplicate<V>, u64);

impl<V> Flight<V> {
    fn new() -> Self {
        Self { line: Line::new(), outcome: Mutex::new(None) }
    }
}

/// What was committed beside the ids.
pub(crate) struct Values<V> {
    /// Of each slot; empty if a value takes no memory.
    slots: Box<[Option<Arc<V>>]>,
    /// What has left, to be dropped when the lock is released.
    litter: Vec<Arc<V>>,
}

impl<V> Values<V> {
    fn new(slots: usize) -> Self {
        let slots = if size_of::<V>() == 0 { 0 } else { slots };
        Self { slots: (0..slots).map(|_| None).collect(), litter: Vec::new() }
    }

    pub(crate) fn get(&self, slot: usize) -> Option<Arc<V>> {
        self.slots.get(slot)?.clone()
    }

    pub(crate) fn set(&mut self, slot: usize, value: Option<Arc<V>>) {
        if let Some(place) = self.slots.get_mut(slot) {
            self.litter.extend(mem::replace(place, value));
        }
    }
}

impl<V> Beside for Values<V> {
    fn moved(&mut self, from: usize, to: usize) {
        if let Some(value) = self.slots.get_mut(from).map(Option::take) {
            self.set(to, value);
        }
    }

    fn gone(&mut self, slot: usize) {
        self.set(slot, None);
    }
}

/// What somebody who asks for an id is told.
pub(crate) enum Answer<V> {
    Claimed(Ticket),
    Duplicate(Duplicate<V>),
    /// Somebody else is at it: here one waits.
    InFlight(Arc<Flight<V>>, Instant),
    Mismatch,
    /// There would be one claim too many.
    Full,
}

/// The same at a flight that one waits for.
pub(crate) enum Turned {
    Claimed(Ticket),
    NotYet,
    Mismatch,
    /// C2: look anew.
    Over,
}

/// What a claim that is given back leaves.
pub(crate) enum Released<V> {
    /// Its id is free, and these wait for it.
    Awaited(Arc<Flight<V>>),
    /// Its id is free, and its flight is over.
    Free,
    /// It was lost before.
    Lost,
}

impl<V> Shard<V> {
    pub(crate) fn new(terms: Terms) -> Self {
        // OK: at most 2²⁷.
        let values = Values::new(terms.places as usize);
        Self {
            window: State::with_terms(terms, Heap::new(&terms), values),
            flights: BTreeMap::new(),
            generation: 0,
            sweep_at: Instant::MAX,
            landed: Vec::new(),
        }
    }

    pub(crate) fn litter(&mut self) -> Litter<V> {
        (mem::take(&mut self.window.beside().litter), mem::take(&mut self.landed))
    }

    /// Takes a flight out of the map: C2.
    fn land(&mut self, id: Fingerprint) {
        self.landed.extend(self.flights.remove(&id).map(|held| held.flight));
    }

    /// What is remembered of an id, and the payload that it came with.
    pub(crate) fn committed(&mut self, id: Fingerprint, now: Instant) -> Option<Committed<V>> {
        let (slot, record) = self.window.look(id, now)?;
        let committed_at = self.window.shown(record.first);
        let value = self.window.beside().get(slot);
        Some((Duplicate { committed_at, value }, record.payload))
    }

    /// Somebody asks for an id from outside: behind all who wait for it.
    pub(crate) fn ask(
        &mut self,
        id: Fingerprint,
        payload: u64,
        now: Instant,
        lease: Duration,
        take_place: impl FnOnce() -> bool,
    ) -> Answer<V> {
        // C1: nobody who comes with an earlier time finds what is over now.
        self.window.advance(now);
        if let Some(committed) = self.committed(id, now) {
            return self.answer(id, payload, committed, now);
        }
        if let Some(held) = self.flights.get(&id) {
            let flight = Arc::clone(&held.flight);
            let is_first = !held.is_awaited;
            return match self.turn(id, &flight, payload, is_first, now, lease) {
                Turned::Claimed(ticket) => Answer::Claimed(ticket),
                Turned::Mismatch => Answer::Mismatch,
                Turned::NotYet | Turned::Over => {
                    let until = self.at(id, &flight).and_then(|held| held.holder);
                    Answer::InFlight(flight, until.map_or(now, |holder| holder.until))
                }
            };
        }
        if !take_place() {
            return Answer::Full;
        }
        let flight = Arc::new(Flight::new());
        self.flights.insert(id, Held { flight, holder: None, is_awaited: false });
        Answer::Claimed(self.give(id, payload, now, lease))
    }

    /// What somebody is told who has waited at a flight: `None` if it did not end with a commit.
    pub(crate) fn tell(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight<V>>,
        payload: u64,
        now: Instant,
    ) -> Option<Answer<V>> {
        let committed = flight.outcome.with(|outcome| outcome.clone())?;
        Some(self.answer(id, payload, committed, now))
    }

    /// An id was committed: whoever asks for it with the same payload has seen it again.
    fn answer(
        &mut self,
        id: Fingerprint,
        payload: u64,
        (duplicate, its): Committed<V>,
        now: Instant,
    ) -> Answer<V> {
        if its != payload {
            return Answer::Mismatch;
        }
        self.window.see(id, now);
        Answer::Duplicate(duplicate)
    }

    /// Asks for an id at a flight, which is given to whoever is first.
    pub(crate) fn turn(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight<V>>,
        payload: u64,
        is_first: bool,
        now: Instant,
        lease: Duration,
    ) -> Turned {
        let Some(held) = self.at(id, flight) else { return Turned::Over };
        match held.holder {
            Some(holder) if holder.until > now && holder.payload != payload => Turned::Mismatch,
            Some(holder) if holder.until > now => Turned::NotYet,
            _ if !is_first => Turned::NotYet,
            _ => Turned::Claimed(self.give(id, payload, now, lease)),
        }
    }

    /// A claim on an id whose flight is in the map: of the next generation.
    fn give(&mut self, id: Fingerprint, payload: u64, now: Instant, lease: Duration) -> Ticket {
        // OK: 2⁶⁴ claims take longer than any program runs.
        self.generation = self.generation.wrapping_add(1);
        let (generation, until) = (self.generation, now.saturating_add(lease));
        if let Some(held) = self.flights.get_mut(&id) {
            held.holder = Some(Holder { generation, payload, until });
            let sweep_at = held.sweep_at();
            self.sweep_by(sweep_at);
        }
        Ticket { id, generation, until }
    }

    fn at(&mut self, id: Fingerprint, flight: &Arc<Flight<V>>) -> Option<&mut Held<V>> {
        self.flights.get_mut(&id).filter(|held| Arc::ptr_eq(&held.flight, flight))
    }

    /// The flight that is held by a claim: `None` if it was lost.
    fn held_by(&mut self, ticket: Ticket) -> Option<&mut Held<V>> {
        let is_its = |holder: Holder| holder.generation == ticket.generation;
        self.flights.get_mut(&ticket.id).filter(|held| held.holder.is_some_and(is_its))
    }

    /// Removes claims whose lease is over and that nobody waits for. Says how many.
    pub(crate) fn sweep(&mut self, now: Instant) -> u32 {
        if now < self.sweep_at {
            return 0;
        }
        let (mut swept, mut next, landed) = (0, Instant::MAX, &mut self.landed);
        self.flights.retain(|_, held| {
            let Some(at) = held.sweep_at() else { return true };
            if at <= now {
                swept += 1;
                landed.push(Arc::clone(&held.flight));
            } else {
                next = next.min(at);
            }
            at > now
        });
        self.sweep_at = next;
        swept
    }

    /// A flight is to be swept at a time, if at any.
    fn sweep_by(&mut self, at: Option<Instant>) {
        self.sweep_at = self.sweep_at.min(at.unwrap_or(Instant::MAX));
    }

    /// Until when an id is held at a flight: `None` if it is free, or the flight is over.
    pub(crate) fn held_until(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight<V>>,
    ) -> Option<Instant> {
        Some(self.at(id, flight)?.holder?.until)
    }

    /// C2: whether a flight will never be again.
    pub(crate) fn is_over(&mut self, id: Fingerprint, flight: &Arc<Flight<V>>) -> bool {
        self.at(id, flight).is_none()
    }

    /// Somebody begins to wait for an id at a flight, or nobody does any more. Says whether the flight is
    /// over by that.
    pub(crate) fn mark(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight<V>>,
        is_awaited: bool,
    ) -> bool {
        let Some(held) = self.at(id, flight) else { return false };
        held.is_awaited = is_awaited;
        let sweep_at = held.sweep_at();
        let is_over = !is_awaited && held.holder.is_none();
        if is_over {
            // C2. Whoever marks it has it: it is not dropped here.
            self.flights.remove(&id);
        }
        // Its lease may be over long since: sweeps have left it to those who waited.
        self.sweep_by(sweep_at);
        is_over
    }

    /// Remembers the id of a claim. Gives the flight, if somebody waits for it.
    pub(crate) fn commit(
        &mut self,
        ticket: Ticket,
        value: Option<Arc<V>>,
        now: Instant,
    ) -> Result<Option<Arc<Flight<V>>>, LeaseLost> {
        let held = self.held_by(ticket).ok_or(LeaseLost)?;
        let payload = held.holder.map_or(NO_PAYLOAD, |holder| holder.payload);
        let (flight, is_awaited) = (Arc::clone(&held.flight), held.is_awaited);
        self.land(ticket.id);
        let slot = self.window.put(ticket.id, payload, now);
        self.window.beside().set(slot, value);
        // Who has it beside this function and those that have landed waits, or is about to.
        if Arc::strong_count(&flight) > 2 {
            let committed = self.committed(ticket.id, now);
            flight.outcome.with(|outcome| *outcome = committed);
        }
        Ok(is_awaited.then_some(flight))
    }

    /// The lease of a claim ends at another time.
    pub(crate) fn extend(&mut self, ticket: Ticket, until: Instant) -> Result<Instant, LeaseLost> {
        let held = self.held_by(ticket).ok_or(LeaseLost)?;
        if let Some(holder) = &mut held.holder {
            holder.until = until;
        }
        // Earlier than before, if the clock has stepped back.
        let sweep_at = held.sweep_at();
        self.sweep_by(sweep_at);
        Ok(until)
    }

    /// Gives a claim back.
    pub(crate) fn release(&mut self, ticket: Ticket) -> Released<V> {
        let Some(held) = self.held_by(ticket) else { return Released::Lost };
        if held.is_awaited {
            held.holder = None;
            return Released::Awaited(Arc::clone(&held.flight));
        }
        self.land(ticket.id);
        Released::Free
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_lease_that_is_over_and_awaited_makes_nobody_sweep_in_vain() {
        let terms = Config::new(8).terms(true).unwrap();
        let mut shard: Shard<u32> = Shard::new(terms);
        let at = Instant::from_nanos;
        let ask = |shard: &mut Shard<u32>, low: u64, now: u64| {
            let id = Fingerprint { low, high: 0 };
            let lease = Duration::from_nanos(10);
            match shard.ask(id, NO_PAYLOAD, at(now), lease, || true) {
                Answer::Claimed(ticket) => ticket,
                _ => panic!("nobody has it"),
            }
        };
        let awaited = ask(&mut shard, 1, 0);
        ask(&mut shard, 2, 5);
        let flight = Arc::clone(&shard.flights[&awaited.id].flight);
        assert!(!shard.mark(awaited.id, &flight, true));
        assert_eq!(shard.sweep(at(10)), 0);
        assert_eq!(shard.sweep_at, at(15), "when there is something to sweep");
        assert_eq!(shard.sweep(at(15)), 1);
        assert_eq!(shard.sweep_at, Instant::MAX, "there is nothing to sweep");
        shard.extend(awaited, at(12)).unwrap();
        assert_eq!(shard.sweep_at, Instant::MAX);
        assert_eq!(shard.sweep(Instant::MAX), 0, "it is left to those who wait");
        assert!(!shard.mark(awaited.id, &flight, false));
        assert_eq!(shard.sweep_at, at(12), "nobody waits for it any more");
        assert_eq!(shard.sweep(at(16)), 1);
        assert!(shard.flights.is_empty());
    }
}
