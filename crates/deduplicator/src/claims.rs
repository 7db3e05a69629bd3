//! Claims on ids: whoever holds one does the work, the others wait for what comes of it.
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
//!
//! All of it is under the lock of the id's shard. A line's lock is taken before a shard's, never after.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::{fmt, mem};

use steadfast_core::sync::Arc;
use steadfast_core::sync::atomic::{AtomicU32, Ordering};
use steadfast_core::{Clock, Instant, Line, SystemClock};

use crate::atomic::Shards;
use crate::claim::{Acquired, Claim, Duplicate, Ticket};
use crate::config::{Config, ConfigError};
use crate::error::{LeaseLost, TryAcquireError};
use crate::fingerprint::{Fingerprint, Id, Ids, SipKeys};
use crate::memory::Heap;
use crate::state::{Beside, State, Stats};

/// Claims on ids, and what was remembered of those that were committed: idempotency keys, exactly-once
/// handlers.
///
/// Of all who ask for an id, one gets a [`Claim`]; the others wait, and get its value once it is
/// committed, or the claim itself, in the order in which they came, if its holder drops it: after an error,
/// a panic, a cancelled task. A claim has a [lease](Config::lease), after which the next in line may have it:
/// then its commit is refused.
///
/// `V` is what a commit may leave for later duplicates, `C` the clock, `S` the hasher.
///
/// # Memory ordering
///
/// What happened before a claim was given back or committed is visible to whoever gets it next, or is told of
/// it.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_deduplicator::{Acquired, Config};
///
/// let payments = Config::new(100_000)
///     .ttl(Duration::from_secs(86_400))
///     .lease(Duration::from_secs(30))
///     .claims::<String>()?;
///
/// let answer = match payments.acquire("key-17").timeout(Duration::from_secs(5)).wait()? {   // or .await
///     Acquired::Claim(claim) => claim.commit_with("paid".to_owned())?,     // after the work is done
///     Acquired::Duplicate(duplicate) => duplicate.value.expect("committed with one"),
/// };
/// assert_eq!(*answer, "paid");
///
/// let again = payments.try_acquire("key-17")?;
/// assert_eq!(**again.duplicate().unwrap().value.as_ref().unwrap(), "paid");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Claims<V = (), C = SystemClock, S = SipKeys> {
    pub(crate) ids: Ids<S>,
    pub(crate) shards: Shards<Shard<V>>,
    /// C3.
    in_flight: AtomicU32,
    pub(crate) clock: C,
    pub(crate) config: Config,
}

/// What is under one lock.
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
type Litter<V> = (Vec<Arc<V>>, Vec<Arc<Flight>>);

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

impl Config {
    /// Claims on the system's clock, with a secret of its own. `V` is what a commit may leave.
    ///
    /// # Errors
    ///
    /// If there can be none.
    #[cfg(feature = "std")]
    pub fn claims<V>(&self) -> Result<Claims<V>, ConfigError> {
        self.claims_with(SystemClock, SipKeys::new())
    }

    /// The same with a clock and a hasher of yours.
    ///
    /// # Errors
    ///
    /// As [`claims`](Config::claims).
    pub fn claims_with<V, C, S: BuildHasher>(
        &self,
        clock: C,
        hasher: S,
    ) -> Result<Claims<V, C, S>, ConfigError> {
        let shards = Shards::new(self, |config| {
            let terms = config.terms(true)?;
            let values = Values::new(terms.places as usize);
            Ok(Shard {
                window: State::with_terms(terms, Heap::new(&terms), values),
                flights: BTreeMap::new(),
                generation: 0,
                sweep_at: Instant::MAX,
                landed: Vec::new(),
            })
        })?;
        let ids = Ids::new(hasher, self.is_wide);
        Ok(Claims { ids, shards, in_flight: AtomicU32::new(0), clock, config: *self })
    }
}

impl<V, C: Clock, S: BuildHasher> Claims<V, C, S> {
    /// A claim on an id, or what is remembered of it. Never waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates *not now* from *never*.
    pub fn try_acquire<I: Id + ?Sized>(&self, id: &I) -> Result<Acquired<&Self>, TryAcquireError> {
        self.try_acquire_at(id, self.clock.now())
    }

    /// The same for what comes with a payload: a second use of the id with another payload is a
    /// [`Mismatch`](TryAcquireError::Mismatch). So is one without any.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Claims::try_acquire).
    pub fn try_acquire_for<I: Id + ?Sized, P: Id + ?Sized>(
        &self,
        id: &I,
        payload: &P,
    ) -> Result<Acquired<&Self>, TryAcquireError> {
        self.try_acquire_for_at(id, payload, self.clock.now())
    }

    /// [`try_acquire`](Claims::try_acquire) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Claims::try_acquire).
    pub fn try_acquire_at<I: Id + ?Sized>(
        &self,
        id: &I,
        now: Instant,
    ) -> Result<Acquired<&Self>, TryAcquireError> {
        self.attempt(id.fingerprint(&self.ids), NO_PAYLOAD, now)
    }

    /// [`try_acquire_for`](Claims::try_acquire_for) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Claims::try_acquire).
    pub fn try_acquire_for_at<I: Id + ?Sized, P: Id + ?Sized>(
        &self,
        id: &I,
        payload: &P,
        now: Instant,
    ) -> Result<Acquired<&Self>, TryAcquireError> {
        self.attempt(id.fingerprint(&self.ids), self.payload(payload), now)
    }

    /// Whether an id was committed and is remembered. Records nothing.
    pub fn contains<I: Id + ?Sized>(&self, id: &I) -> bool {
        self.peek(id).is_some()
    }

    /// What is remembered of an id that was committed. Records nothing.
    pub fn peek<I: Id + ?Sized>(&self, id: &I) -> Option<Duplicate<V>> {
        let (id, now) = (id.fingerprint(&self.ids), self.clock.now());
        self.shards.with(id, |shard| shard.committed(id, now)).map(|(duplicate, _)| duplicate)
    }

    /// Forgets an id that was committed: the next who asks gets a claim. Says whether it was remembered.
    /// Whoever is at it keeps his claim.
    pub fn forget<I: Id + ?Sized>(&self, id: &I) -> bool {
        let (id, now) = (id.fingerprint(&self.ids), self.clock.now());
        self.in_shard(id, |shard| shard.window.forget(id, now))
    }

    /// How many ids are remembered. The shards are counted one after the other.
    pub fn len(&self) -> usize {
        let now = self.clock.now();
        self.shards.each(|shard| shard.window.len(now)).sum()
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn attempt(
        &self,
        id: Fingerprint,
        payload: u64,
        now: Instant,
    ) -> Result<Acquired<&Self>, TryAcquireError> {
        match self.ask(id, payload, now) {
            Answer::Claimed(ticket) => Ok(Acquired::Claim(Claim::new(self, ticket))),
            Answer::Duplicate(duplicate) => Ok(Acquired::Duplicate(duplicate)),
            Answer::InFlight(_, retry_at) => Err(TryAcquireError::InFlight { retry_at }),
            Answer::Mismatch => Err(TryAcquireError::Mismatch),
            Answer::Full => Err(TryAcquireError::Full { max_claims: self.config.max_claims }),
        }
    }
}

/// Of those who give none. Others are mixed with a secret.
pub(crate) const NO_PAYLOAD: u64 = 0;

impl<V, C, S: BuildHasher> Claims<V, C, S> {
    /// What a payload is told from others by.
    pub(crate) fn payload<P: Id + ?Sized>(&self, payload: &P) -> u64 {
        payload.fingerprint(&self.ids).low
    }
}

impl<V, C, S> Claims<V, C, S> {
    /// Forgets all ids that were committed. Claims stay.
    pub fn clear(&self) {
        for litter in self.shards.each(|shard| {
            shard.window.clear();
            shard.litter()
        }) {
            drop(litter);
        }
    }

    /// How many ids are claimed now.
    pub fn in_flight(&self) -> u32 {
        // ORDERING: Relaxed; a number for whoever watches.
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What was counted since it was made, all shards together. A claim that is committed counts as fresh;
    /// one that is not is not counted.
    pub fn stats(&self) -> Stats {
        self.shards.each(|shard| shard.window.stats()).fold(Stats::NONE, core::ops::Add::add)
    }

    /// What it was built by.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// Runs `f` under the lock of an id's shard, and drops what it leaves after that.
    pub(crate) fn in_shard<R>(&self, id: Fingerprint, f: impl FnOnce(&mut Shard<V>) -> R) -> R {
        let (answer, litter) = self.shards.with(id, |shard| (f(shard), shard.litter()));
        drop(litter);
        answer
    }

    /// Asks for an id from outside: behind all who wait for it.
    pub(crate) fn ask(&self, id: Fingerprint, payload: u64, now: Instant) -> Answer<V> {
        let ask = |shard: &mut Shard<V>| {
            let place = || self.take_place();
            shard.ask(id, payload, now, self.config.lease, place)
        };
        match self.in_shard(id, ask) {
            Answer::Full => {
                // Leases that are over hold places that nobody has asked for since.
                for (swept, litter) in self.shards.each(|shard| (shard.sweep(now), shard.litter()))
                {
                    self.give_places(swept);
                    drop(litter);
                }
                self.in_shard(id, ask)
            }
            answer => answer,
        }
    }

    /// Asks for an id as the first of those who wait at a flight.
    pub(crate) fn turn(
        &self,
        id: Fingerprint,
        flight: &Arc<Flight>,
        payload: u64,
        is_first: bool,
        now: Instant,
    ) -> Turned {
        self.in_shard(id, |shard| shard.turn(id, flight, payload, is_first, now, self.config.lease))
    }

    /// Until when an id is held at a flight: `None` if it is free, or the flight is over.
    pub(crate) fn held_until(&self, id: Fingerprint, flight: &Arc<Flight>) -> Option<Instant> {
        self.shards.with(id, |shard| Some(shard.at(id, flight)?.holder?.until))
    }

    /// C2: whether a flight will never be again.
    pub(crate) fn is_over(&self, id: Fingerprint, flight: &Arc<Flight>) -> bool {
        self.shards.with(id, |shard| shard.at(id, flight).is_none())
    }

    /// Somebody begins to wait for an id at a flight, or nobody does any more.
    pub(crate) fn mark(&self, id: Fingerprint, flight: &Arc<Flight>, is_awaited: bool) {
        let is_over = self.in_shard(id, |shard| {
            let Some(held) = shard.at(id, flight) else { return false };
            held.is_awaited = is_awaited;
            let is_over = !is_awaited && held.holder.is_none();
            if is_over {
                shard.land(id);
            }
            is_over
        });
        if is_over {
            self.give_places(1);
        }
    }

    fn take_place(&self) -> bool {
        let max = self.config.max_claims;
        let more = |claims: u32| (claims < max).then_some(claims + 1);
        // ORDERING: Relaxed; the count bounds the number of claims, it publishes none of them.
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_places(&self, places: u32) {
        // ORDERING: Relaxed; as in `take_place`.
        self.in_flight.fetch_sub(places, Ordering::Relaxed);
    }
}

impl<V> Shard<V> {
    fn litter(&mut self) -> Litter<V> {
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

    fn ask(
        &mut self,
        id: Fingerprint,
        payload: u64,
        now: Instant,
        lease: core::time::Duration,
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
    fn turn(
        &mut self,
        id: Fingerprint,
        flight: &Arc<Flight>,
        payload: u64,
        is_first: bool,
        now: Instant,
        lease: core::time::Duration,
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
    fn give(
        &mut self,
        id: Fingerprint,
        payload: u64,
        now: Instant,
        lease: core::time::Duration,
    ) -> Ticket {
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
    fn sweep(&mut self, now: Instant) -> u32 {
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
}

/// What a claim does.
impl<V, C: Clock, S> Claims<V, C, S> {
    /// Remembers the id of a claim.
    pub(crate) fn commit(&self, ticket: Ticket, value: Option<Arc<V>>) -> Result<(), LeaseLost> {
        let now = self.clock.now();
        let Ticket { id, .. } = ticket;
        let commit = |shard: &mut Shard<V>| {
            let held = shard.held_by(ticket).ok_or(LeaseLost)?;
            let payload = held.holder.map_or(NO_PAYLOAD, |holder| holder.payload);
            let awaited = held.is_awaited.then(|| Arc::clone(&held.flight));
            shard.land(id);
            let slot = shard.window.put(id, payload, now);
            shard.window.beside().set(slot, value);
            Ok(awaited)
        };
        // What has left is dropped last: a value that panics then costs nobody his place or his turn.
        let (committed, litter) = self.shards.with(id, |shard| (commit(shard), shard.litter()));
        let awaited = committed?;
        self.give_places(1);
        if let Some(flight) = awaited {
            // RACE: whoever marks the flight after this looks again, and finds it over. Model:
            // `a_waiter_gets_what_is_committed`.
            flight.line.wake_all(|is_awaited| self.mark(id, &flight, is_awaited));
        }
        drop(litter);
        Ok(())
    }

    /// Begins its lease anew.
    pub(crate) fn extend(&self, ticket: Ticket) -> Result<Instant, LeaseLost> {
        let until = self.clock.now().saturating_add(self.config.lease);
        self.in_shard(ticket.id, |shard| {
            let held = shard.held_by(ticket).ok_or(LeaseLost)?;
            if let Some(holder) = &mut held.holder {
                holder.until = until;
            }
            // Earlier than before, if the clock has stepped back.
            shard.sweep_at = shard.sweep_at.min(until);
            Ok(until)
        })
    }

    /// Gives it back.
    pub(crate) fn release(&self, ticket: Ticket) {
        let Ticket { id, .. } = ticket;
        let awaited = self.in_shard(id, |shard| {
            let held = shard.held_by(ticket)?;
            if held.is_awaited {
                held.holder = None;
                return Some(Some(Arc::clone(&held.flight)));
            }
            shard.land(id);
            Some(None)
        });
        match awaited {
            // RACE: whoever marks the flight after this tries again, and finds it free. Model:
            // `a_waiter_gets_what_is_dropped`.
            Some(Some(flight)) => {
                flight.line.wake_first(|is_awaited| self.mark(id, &flight, is_awaited));
            }
            Some(None) => self.give_places(1),
            None => {}
        }
    }
}

impl<V, C, S> fmt::Debug for Claims<V, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("config", &self.config)
            .field("in_flight", &self.in_flight())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
