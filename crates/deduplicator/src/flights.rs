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
//! Invariants:
//! - **C1** An id is held by the claim of one generation at most, and then it is not in the window.
//! - **C2** A flight is in the map while it is held or somebody waits for it; a flight that is not will never
//!   be again, and whoever waits for it looks anew.
//! - **C3** `in_flight` is the number of flights in all maps.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use steadfast_core::sync::Arc;
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
    flights: BTreeMap<Fingerprint, Held>,
    /// The generation that was given last.
    generation: u64,
    /// No lease ends before it that nobody waits for.
    sweep_at: Instant,
    /// Flights that are over, to be dropped when the lock is released.
    landed: Vec<Arc<Flight>>,
}

/// What is to be dropped when the lock is released: it may run anybody's code.
pub(crate) type Litter<V> = (Vec<Arc<V>>, Vec<Arc<Flight>>);

/// An id in flight, in the map.
struct Held {
    flight: Arc<Flight>,
    /// `None`: it was given back, and somebody waits for it.
    holder: Option<Holder>,
    /// Somebody waits for it.
    is_awaited: bool,
}

#[derive(Clone, Copy)]
struct Holder {
    generation: u64,
    payload: u64,
    until: Instant,
}

/// Those who wait for an id.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pub(crate) line: Line,
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
    InFlight(Arc<Flight>, Instant),
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
pub(crate) enum Released {
    /// Its id is free, and these wait for it.
    Awaited(Arc<Flight>),
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
    pub(crate) fn committed(
        &mut self,
        id: Fingerprint,
        now: Instant,
    ) -> Option<(Duplicate<V>, u64)> {
        let (slot, record) = self.window.look(id, now)?;
        let committed_at = self.window.shown(record.time);
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
        if let Some((duplicate, its)) = self.committed(id, now) {
            if its != payload {
                return Answer::Mismatch;
            }
            self.window.count_duplicate();
            return Answer::Duplicate(duplicate);
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
        let flight = Arc::new(Flight::default());
        self.flights.insert(id, Held { flight, holder: None, is_awaited: false });
        Answer::Claimed(self.give(id, payload, now, lease))
    }

    /// Asks for an id at a flight, which is given to whoever is first.
    pub(crate) fn turn(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight>,
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
        }
        self.sweep_at = self.sweep_at.min(until);
        Ticket { id, generation, until }
    }

    fn at(&mut self, id: Fingerprint, flight: &Arc<Flight>) -> Option<&mut Held> {
        self.flights.get_mut(&id).filter(|held| Arc::ptr_eq(&held.flight, flight))
    }

    /// The flight that is held by a claim: `None` if it was lost.
    fn held_by(&mut self, ticket: Ticket) -> Option<&mut Held> {
        let is_its = |holder: Holder| holder.generation == ticket.generation;
        self.flights.get_mut(&ticket.id).filter(|held| held.holder.is_some_and(is_its))
    }

    /// Removes claims whose lease is over and that nobody waits for. Says how many.
    pub(crate) fn sweep(&mut self, now: Instant) -> u32 {
        if now < self.sweep_at {
            return 0;
        }
        let (mut swept, mut next, landed) = (0, Instant::MAX, &mut self.landed);
        self.flights.retain(|_, held| match held.holder {
            Some(Holder { until, .. }) if !held.is_awaited && until <= now => {
                swept += 1;
                landed.push(Arc::clone(&held.flight));
                false
            }
            Some(Holder { until, .. }) => {
                next = next.min(until);
                true
            }
            None => true,
        });
        self.sweep_at = next;
        swept
    }

    /// Until when an id is held at a flight: `None` if it is free, or the flight is over.
    pub(crate) fn held_until(&mut self, id: Fingerprint, flight: &Arc<Flight>) -> Option<Instant> {
        Some(self.at(id, flight)?.holder?.until)
    }

    /// C2: whether a flight will never be again.
    pub(crate) fn is_over(&mut self, id: Fingerprint, flight: &Arc<Flight>) -> bool {
        self.at(id, flight).is_none()
    }

    /// Somebody begins to wait for an id at a flight, or nobody does any more. Says whether the flight is
    /// over by that.
    pub(crate) fn mark(&mut self, id: Fingerprint, flight: &Arc<Flight>, is_awaited: bool) -> bool {
        let Some(held) = self.at(id, flight) else { return false };
        held.is_awaited = is_awaited;
        let is_over = !is_awaited && held.holder.is_none();
        if is_over {
            self.land(id);
        }
        is_over
    }

    /// Remembers the id of a claim. Gives the flight, if somebody waits for it.
    pub(crate) fn commit(
        &mut self,
        ticket: Ticket,
        value: Option<Arc<V>>,
        now: Instant,
    ) -> Result<Option<Arc<Flight>>, LeaseLost> {
        let held = self.held_by(ticket).ok_or(LeaseLost)?;
        let payload = held.holder.map_or(NO_PAYLOAD, |holder| holder.payload);
        let awaited = held.is_awaited.then(|| Arc::clone(&held.flight));
        self.land(ticket.id);
        let slot = self.window.put(ticket.id, payload, now);
        self.window.beside().set(slot, value);
        Ok(awaited)
    }

    /// The lease of a claim ends at another time.
    pub(crate) fn extend(&mut self, ticket: Ticket, until: Instant) -> Result<Instant, LeaseLost> {
        let held = self.held_by(ticket).ok_or(LeaseLost)?;
        if let Some(holder) = &mut held.holder {
            holder.until = until;
        }
        // Earlier than before, if the clock has stepped back.
        self.sweep_at = self.sweep_at.min(until);
        Ok(until)
    }

    /// Gives a claim back.
    pub(crate) fn release(&mut self, ticket: Ticket) -> Released {
        let Some(held) = self.held_by(ticket) else { return Released::Lost };
        if held.is_awaited {
            held.holder = None;
            return Released::Awaited(Arc::clone(&held.flight));
        }
        self.land(ticket.id);
        Released::Free
    }
}
