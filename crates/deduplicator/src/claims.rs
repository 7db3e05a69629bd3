//! Claims on ids: whoever holds one does the work, the others wait for what comes of it.
//!
//! What becomes of an id is decided in the flights of its shard. Here is who shares them,
//! and who has to be woken. A line's lock is taken before a shard's, never after.

use core::fmt;
use core::hash::BuildHasher;

use steadfast_core::sync::Arc;
use steadfast_core::sync::atomic::{AtomicU32, Ordering};
use steadfast_core::{Clock, Instant, SystemClock};

use crate::atomic::Shards;
use crate::claim::{Acquired, Duplicate, Ticket};
use crate::config::{Config, ConfigError};
use crate::error::{LeaseLost, TryAcquireError};
use crate::fingerprint::{Fingerprint, Id, Ids, SipKeys};
use crate::flights::{Answer, Flight, Released, Shard, Turned};
use crate::state::Stats;

/// Claims on ids, and what was remembered of those that were committed: idempotency keys, exactly-once
/// handlers.
///
/// Of all who ask for an id, one gets a [`Claim`](crate::Claim); the others wait, and get its value once it is
/// committed, or the claim itself, in the order in which they came, if its holder drops it: after an error,
/// a panic, a cancelled task. A claim has a [lease](Config::lease), after which the next in line may have it,
/// or another id its place if there are as many claims as [may be](Config::max_claims): then its commit is
/// refused.
///
/// Whoever waits while an id is committed is told of that, also if it is forgotten before he looks. Whoever asks
/// after that gets a claim.
///
/// A lease is over when whoever asks has read its end from the clock, or a later time. If the clock steps back,
/// leases from before last that much longer, and those from then on as long as always.
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
        let shards = Shards::new(self, true, |config| config.terms(true).map(Shard::new))?;
        let ids = Ids::new(hasher, self.is_wide);
        Ok(Claims { ids, shards, in_flight: AtomicU32::new(0), clock, config: *self })
    }
}

impl<V, C: Clock, S: BuildHasher> Claims<V, C, S> {
    /// A claim on an id, or what is remembered of it. Never waits. [`Acquired::try_new`] makes a claim that can
    /// be sent elsewhere.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates *not now* from *never*.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::{Config, TryAcquireError};
    ///
    /// let jobs = Config::new(1_000).claims::<()>()?;
    /// let held = jobs.try_acquire("report")?.claim().expect("nobody has it");
    /// assert!(matches!(jobs.try_acquire("report"), Err(TryAcquireError::InFlight { .. })));
    /// held.commit()?;
    /// assert!(jobs.try_acquire("report")?.duplicate().is_some());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire<I: Id + ?Sized>(&self, id: &I) -> Result<Acquired<&Self>, TryAcquireError> {
        self.try_acquire_at(id, self.clock.now())
    }

    /// The same for what comes with a payload: a second use of the id with another payload is a
    /// [`Mismatch`](TryAcquireError::Mismatch). So is one without any.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Claims::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::{Config, TryAcquireError};
    ///
    /// let requests = Config::new(1_000).claims::<u16>()?;
    /// let claim = requests.try_acquire_for("key 1", "pay 10")?.claim().expect("nobody has it");
    /// claim.commit_with(200)?;
    /// // The same key with another body: somebody's mistake, and not a duplicate.
    /// let other = requests.try_acquire_for("key 1", "pay 20");
    /// assert_eq!(other.unwrap_err(), TryAcquireError::Mismatch);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        Acquired::try_new_at(self, id, now)
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
        Acquired::try_new_for_at(self, id, payload, now)
    }

    /// Whether an id was committed and is remembered. Records nothing.
    pub fn contains<I: Id + ?Sized>(&self, id: &I) -> bool {
        self.contains_at(id, self.clock.now())
    }

    /// What is remembered of an id that was committed. Records nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_deduplicator::Config;
    ///
    /// let jobs = Config::new(1_000).claims::<u16>()?;
    /// jobs.try_acquire("report")?.claim().expect("nobody has it").commit_with(200)?;
    /// assert_eq!(jobs.peek("report").and_then(|done| done.value).as_deref(), Some(&200));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek<I: Id + ?Sized>(&self, id: &I) -> Option<Duplicate<V>> {
        self.peek_at(id, self.clock.now())
    }

    /// Forgets an id that was committed: the next who asks gets a claim. Says whether it was remembered.
    /// Whoever is at it keeps his claim.
    pub fn forget<I: Id + ?Sized>(&self, id: &I) -> bool {
        self.forget_at(id, self.clock.now())
    }

    /// How many ids are remembered. The shards are counted one after the other.
    pub fn len(&self) -> usize {
        self.len_at(self.clock.now())
    }

    /// Whether no id is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V, C, S: BuildHasher> Claims<V, C, S> {
    /// [`contains`](Claims::contains) at a time of yours.
    pub fn contains_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> bool {
        self.peek_at(id, now).is_some()
    }

    /// [`peek`](Claims::peek) at a time of yours.
    pub fn peek_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> Option<Duplicate<V>> {
        let id = self.ids.of(id);
        self.shards.with(id, |shard| shard.committed(id, now)).map(|(duplicate, _)| duplicate)
    }

    /// [`forget`](Claims::forget) at a time of yours.
    pub fn forget_at<I: Id + ?Sized>(&self, id: &I, now: Instant) -> bool {
        let id = self.ids.of(id);
        self.in_shard(id, |shard| shard.window.forget(id, now))
    }

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

    /// [`len`](Claims::len) at a time of yours.
    pub fn len_at(&self, now: Instant) -> usize {
        self.shards.each(|shard| shard.window.len(now)).sum()
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

    /// Asks for an id from outside: behind all who wait for it. Whoever has waited at a flight before is told
    /// what came of that.
    pub(crate) fn ask(
        &self,
        id: Fingerprint,
        payload: u64,
        waited: Option<&Arc<Flight<V>>>,
        now: Instant,
    ) -> Answer<V> {
        let ask = |shard: &mut Shard<V>| {
            let place = || self.take_place();
            let told = waited.and_then(|flight| shard.tell(id, flight, payload, now));
            told.unwrap_or_else(|| shard.ask(id, payload, now, self.config.lease, place))
        };
        match self.in_shard(id, ask) {
            Answer::Full => {
                // Leases that are over hold places that nobody has asked for since.
                let sweep = |shard: &mut Shard<V>| {
                    self.give_places(shard.sweep(now));
                    shard.litter()
                };
                self.shards.each(sweep).for_each(drop);
                self.in_shard(id, ask)
            }
            answer => answer,
        }
    }

    /// Asks for an id as the first of those who wait at a flight.
    pub(crate) fn turn(
        &self,
        id: Fingerprint,
        flight: &Arc<Flight<V>>,
        payload: u64,
        is_first: bool,
        now: Instant,
    ) -> Turned {
        let turn = |shard: &mut Shard<V>| {
            shard.turn(id, flight, payload, is_first, now, self.config.lease)
        };
        // With the line's lock held: nothing is dropped here.
        self.shards.with(id, turn)
    }

    /// Until when an id is held at a flight: `None` if it is free, or the flight is over.
    pub(crate) fn held_until(&self, id: Fingerprint, flight: &Arc<Flight<V>>) -> Option<Instant> {
        self.shards.with(id, |shard| shard.held_until(id, flight))
    }

    /// C2: whether a flight will never be again.
    pub(crate) fn is_over(&self, id: Fingerprint, flight: &Arc<Flight<V>>) -> bool {
        self.shards.with(id, |shard| shard.is_over(id, flight))
    }

    /// Somebody begins to wait for an id at a flight, or nobody does any more.
    pub(crate) fn mark(&self, id: Fingerprint, flight: &Arc<Flight<V>>, is_awaited: bool) {
        // With the line's lock held: nothing is dropped here.
        self.shards.with(id, |shard| {
            if shard.mark(id, flight, is_awaited) {
                self.give_places(1);
            }
        });
    }

    fn take_place(&self) -> bool {
        let max = self.config.max_claims;
        let more = |claims: u32| (claims < max).then_some(claims + 1);
        // ORDERING: Relaxed; the count bounds the number of claims, it publishes none of them.
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// C3: under the lock that the flights were taken out under, so that whoever finds an id free finds its
    /// place free. Models: `who_is_told_of_a_commit_finds_its_place_free`,
    /// `who_finds_an_id_given_back_finds_its_place_free`.
    fn give_places(&self, places: u32) {
        // ORDERING: Relaxed; as in `take_place`.
        self.in_flight.fetch_sub(places, Ordering::Relaxed);
    }
}

/// What a claim does.
impl<V, C, S> Claims<V, C, S> {
    /// Remembers the id of a claim.
    pub(crate) fn commit(
        &self,
        ticket: Ticket,
        value: Option<Arc<V>>,
        now: Instant,
    ) -> Result<(), LeaseLost> {
        let Ticket { id, .. } = ticket;
        // What has left is dropped last: a value that panics then costs nobody his turn.
        let (committed, litter) = self.shards.with(id, |shard| {
            let committed = shard.commit(ticket, value, now);
            if committed.is_ok() {
                self.give_places(1);
            }
            (committed, shard.litter())
        });
        let awaited = committed?;
        if let Some(flight) = awaited {
            // RACE: whoever marks the flight after this looks again, and finds it over. Model:
            // `a_waiter_gets_what_is_committed`.
            flight.line.wake_all(|is_awaited| self.mark(id, &flight, is_awaited));
        }
        drop(litter);
        Ok(())
    }

    /// Begins its lease anew.
    pub(crate) fn extend(&self, ticket: Ticket, now: Instant) -> Result<Instant, LeaseLost> {
        let until = now.saturating_add(self.config.lease);
        self.in_shard(ticket.id, |shard| shard.extend(ticket, until))
    }

    /// Gives it back.
    pub(crate) fn release(&self, ticket: Ticket) {
        let Ticket { id, .. } = ticket;
        let released = self.in_shard(id, |shard| {
            let released = shard.release(ticket);
            if matches!(released, Released::Free) {
                self.give_places(1);
            }
            released
        });
        match released {
            // RACE: whoever marks the flight after this tries again, and finds it free. Model:
            // `a_waiter_gets_what_is_dropped`.
            Released::Awaited(flight) => {
                flight.line.wake_first(|is_awaited| self.mark(id, &flight, is_awaited));
            }
            Released::Free | Released::Lost => {}
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
