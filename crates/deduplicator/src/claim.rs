//! A claim, and what one gets instead.

use core::fmt;
use core::hash::BuildHasher;
use core::ops::Deref;

use steadfast_core::sync::Arc;
use steadfast_core::{Clock, Instant};

use crate::claims::Claims;
use crate::error::{LeaseLost, TryAcquireError};
use crate::fingerprint::{Fingerprint, Id};
use crate::flights::{Answer, NO_PAYLOAD};

/// What a claim is on: [`Claims`], however they are held.
pub trait Claimable {
    /// What a commit may leave for later duplicates.
    type Value;
    /// The clock.
    type Clock: Clock;
    /// The hasher.
    type Hasher;

    /// The claims themselves.
    fn claims(&self) -> &Claims<Self::Value, Self::Clock, Self::Hasher>;
}

impl<V, C: Clock, S> Claimable for Claims<V, C, S> {
    type Value = V;
    type Clock = C;
    type Hasher = S;

    fn claims(&self) -> &Self {
        self
    }
}

/// Which claim it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: Fingerprint,
    pub(crate) generation: u64,
    pub(crate) until: Instant,
}

/// A claim on an id: it is its holder's to do what is to be done once.
///
/// [`commit`](Claim::commit) it when that is done. Dropping it gives it back: the first who waits for it, or
/// the next who asks, gets it. `O` is how it holds the [`Claims`](crate::Claims).
///
/// When its [lease](crate::Config::lease) is over, whoever asks for its id may get it; and if there are as many
/// claims as [may be](crate::Config::max_claims), whoever asks for any other id may get its place. If nobody asks
/// for its id and there are never too many, it stays.
#[must_use = "a claim that is dropped is given back"]
pub struct Claim<O: Deref<Target: Claimable>> {
    owner: O,
    ticket: Ticket,
    /// Nothing is to be given back.
    is_over: bool,
}

impl<O: Deref<Target: Claimable>> Claim<O> {
    pub(crate) const fn new(owner: O, ticket: Ticket) -> Self {
        Self { owner, ticket, is_over: false }
    }

    /// It is done: the id is remembered, and whoever waits for it is told.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`] if the lease was over and somebody else got the claim or its place: then nothing is
    /// remembered.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_core::ManualClock;
    /// use steadfast_deduplicator::{Config, LeaseLost, SipKeys};
    ///
    /// let config = Config::new(1_000).lease(Duration::from_secs(30));
    /// let jobs = config.claims_with::<(), _, _>(ManualClock::new(), SipKeys::from_seed(1))?;
    /// let slow = jobs.try_acquire("report")?.claim().expect("nobody has it");
    /// jobs.clock().advance(Duration::from_secs(30));
    /// // Its lease is over, and somebody else has it: then the work may have been done twice.
    /// let next = jobs.try_acquire("report")?.claim().expect("its lease is over");
    /// assert_eq!(slow.commit(), Err(LeaseLost));
    /// assert_eq!(next.commit(), Ok(()));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit(self) -> Result<(), LeaseLost> {
        let now = self.owner.claims().clock.now();
        self.commit_at(now)
    }

    /// [`commit`](Claim::commit) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`commit`](Claim::commit).
    pub fn commit_at(self, now: Instant) -> Result<(), LeaseLost> {
        self.end(None, now)
    }

    /// The same, with what came of it: for whoever waits for it, and for later duplicates.
    ///
    /// # Errors
    ///
    /// As [`commit`](Claim::commit).
    pub fn commit_with(
        self,
        value: <O::Target as Claimable>::Value,
    ) -> Result<Arc<<O::Target as Claimable>::Value>, LeaseLost> {
        // A clock that panics leaves a claim that is dropped.
        let now = self.owner.claims().clock.now();
        self.commit_with_at(value, now)
    }

    /// [`commit_with`](Claim::commit_with) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`commit`](Claim::commit).
    pub fn commit_with_at(
        self,
        value: <O::Target as Claimable>::Value,
        now: Instant,
    ) -> Result<Arc<<O::Target as Claimable>::Value>, LeaseLost> {
        let value = Arc::new(value);
        self.end(Some(Arc::clone(&value)), now).map(|()| value)
    }

    fn end(
        mut self,
        value: Option<Arc<<O::Target as Claimable>::Value>>,
        now: Instant,
    ) -> Result<(), LeaseLost> {
        self.is_over = true;
        self.owner.claims().commit(self.ticket, value, now)
    }

    /// Begins the lease anew, now: for work that takes longer. Gives its end.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`] if the lease was over and somebody else got the claim or its place.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_core::ManualClock;
    /// use steadfast_deduplicator::{Config, SipKeys, TryAcquireError};
    ///
    /// let config = Config::new(1_000).lease(Duration::from_secs(30));
    /// let jobs = config.claims_with::<(), _, _>(ManualClock::new(), SipKeys::from_seed(1))?;
    /// let mut claim = jobs.try_acquire("report")?.claim().expect("nobody has it");
    /// jobs.clock().advance(Duration::from_secs(20));
    /// claim.extend()?;                                     // 30 more, from now on
    /// jobs.clock().advance(Duration::from_secs(20));
    /// assert!(matches!(jobs.try_acquire("report"), Err(TryAcquireError::InFlight { .. })));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extend(&mut self) -> Result<Instant, LeaseLost> {
        let now = self.owner.claims().clock.now();
        self.extend_at(now)
    }

    /// [`extend`](Claim::extend) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`extend`](Claim::extend).
    pub fn extend_at(&mut self, now: Instant) -> Result<Instant, LeaseLost> {
        self.ticket.until = self.owner.claims().extend(self.ticket, now)?;
        Ok(self.ticket.until)
    }

    /// When its lease ends.
    pub const fn until(&self) -> Instant {
        self.ticket.until
    }
}

impl<O: Deref<Target: Claimable>> Drop for Claim<O> {
    fn drop(&mut self) {
        if !self.is_over {
            self.owner.claims().release(self.ticket);
        }
    }
}

impl<O: Deref<Target: Claimable>> fmt::Debug for Claim<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// What is remembered of an id that was committed.
#[derive(Debug, PartialEq, Eq)]
pub struct Duplicate<V> {
    /// When it was committed.
    pub committed_at: Instant,
    /// What was left by [`commit_with`](Claim::commit_with). A `V` without a size leaves nothing.
    pub value: Option<Arc<V>>,
}

impl<V> Clone for Duplicate<V> {
    fn clone(&self) -> Self {
        Self { committed_at: self.committed_at, value: self.value.clone() }
    }
}

/// What `acquire` gives: the work is the caller's, or it was done.
///
/// `Acquired::try_new(Arc::clone(&claims), &id)` gives a claim that can be sent elsewhere, without waiting.
#[must_use = "a claim that is dropped is given back"]
pub enum Acquired<O: Deref<Target: Claimable>> {
    /// The caller's to do.
    Claim(Claim<O>),
    /// It was done.
    Duplicate(Duplicate<<O::Target as Claimable>::Value>),
}

impl<O: Deref<Target: Claimable<Hasher: BuildHasher>>> Acquired<O> {
    /// [`Claims::try_acquire`] for any way to hold them.
    ///
    /// # Errors
    ///
    /// As [`Claims::try_acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::sync::Arc;
    /// use steadfast_deduplicator::{Acquired, Config};
    ///
    /// let jobs = Arc::new(Config::new(1_000).claims::<()>()?);
    /// let claim = Acquired::try_new(Arc::clone(&jobs), "report")?.claim().expect("nobody has it");
    /// std::thread::spawn(move || claim.commit()).join().unwrap()?;
    /// assert!(jobs.contains("report"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_new<I: Id + ?Sized>(owner: O, id: &I) -> Result<Self, TryAcquireError> {
        let now = owner.claims().clock.now();
        Self::try_new_at(owner, id, now)
    }

    /// [`Claims::try_acquire_for`] for any way to hold them.
    ///
    /// # Errors
    ///
    /// As [`Claims::try_acquire`].
    pub fn try_new_for<I: Id + ?Sized, P: Id + ?Sized>(
        owner: O,
        id: &I,
        payload: &P,
    ) -> Result<Self, TryAcquireError> {
        let now = owner.claims().clock.now();
        Self::try_new_for_at(owner, id, payload, now)
    }

    /// [`try_new`](Acquired::try_new) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`Claims::try_acquire`].
    pub fn try_new_at<I: Id + ?Sized>(
        owner: O,
        id: &I,
        now: Instant,
    ) -> Result<Self, TryAcquireError> {
        let id = owner.claims().ids.of(id);
        Self::ask(owner, id, NO_PAYLOAD, now)
    }

    /// [`try_new_for`](Acquired::try_new_for) at a time of yours.
    ///
    /// # Errors
    ///
    /// As [`Claims::try_acquire`].
    pub fn try_new_for_at<I: Id + ?Sized, P: Id + ?Sized>(
        owner: O,
        id: &I,
        payload: &P,
        now: Instant,
    ) -> Result<Self, TryAcquireError> {
        let claims = owner.claims();
        let (id, payload) = (claims.ids.of(id), claims.payload(payload));
        Self::ask(owner, id, payload, now)
    }
}

impl<O: Deref<Target: Claimable>> Acquired<O> {
    fn ask(owner: O, id: Fingerprint, payload: u64, now: Instant) -> Result<Self, TryAcquireError> {
        let claims = owner.claims();
        match claims.ask(id, payload, None, now) {
            Answer::Claimed(ticket) => Ok(Self::Claim(Claim::new(owner, ticket))),
            Answer::Duplicate(duplicate) => Ok(Self::Duplicate(duplicate)),
            Answer::InFlight(_, retry_at) => Err(TryAcquireError::InFlight { retry_at }),
            Answer::Mismatch => Err(TryAcquireError::Mismatch),
            Answer::Full => Err(TryAcquireError::Full { max_claims: claims.config.max_claims }),
        }
    }

    /// The claim, if it is one.
    pub fn claim(self) -> Option<Claim<O>> {
        match self {
            Self::Claim(claim) => Some(claim),
            Self::Duplicate(_) => None,
        }
    }

    /// What is remembered, if it was done.
    pub fn duplicate(self) -> Option<Duplicate<<O::Target as Claimable>::Value>> {
        match self {
            Self::Claim(_) => None,
            Self::Duplicate(duplicate) => Some(duplicate),
        }
    }
}

impl<O: Deref<Target: Claimable>> fmt::Debug for Acquired<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(claim) => claim.fmt(f),
            Self::Duplicate(Duplicate { committed_at, .. }) => f
                .debug_struct("Duplicate")
                .field("committed_at", committed_at)
                .finish_non_exhaustive(),
        }
    }
}
