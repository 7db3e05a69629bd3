//! A claim, and what one gets instead.

use core::fmt;
use core::ops::Deref;

use steadfast_core::sync::Arc;
use steadfast_core::{Clock, Instant};

use crate::claims::Claims;
use crate::error::LeaseLost;
use crate::fingerprint::Fingerprint;

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
/// When its [lease](crate::Config::lease) is over, somebody else may get it, or its place if there are as many
/// claims as [may be](crate::Config::max_claims); if nobody asks, it stays.
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
    pub fn commit(mut self) -> Result<(), LeaseLost> {
        self.end(None)
    }

    /// The same, with what came of it: for whoever waits for it, and for later duplicates.
    ///
    /// # Errors
    ///
    /// As [`commit`](Claim::commit).
    pub fn commit_with(
        mut self,
        value: <O::Target as Claimable>::Value,
    ) -> Result<Arc<<O::Target as Claimable>::Value>, LeaseLost> {
        let value = Arc::new(value);
        self.end(Some(Arc::clone(&value))).map(|()| value)
    }

    fn end(
        &mut self,
        value: Option<Arc<<O::Target as Claimable>::Value>>,
    ) -> Result<(), LeaseLost> {
        self.is_over = true;
        self.owner.claims().commit(self.ticket, value)
    }

    /// Begins the lease anew, now: for work that takes longer. Gives its end.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`] if the lease was over and somebody else got the claim or its place.
    pub fn extend(&mut self) -> Result<Instant, LeaseLost> {
        self.ticket.until = self.owner.claims().extend(self.ticket)?;
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
#[must_use = "a claim that is dropped is given back"]
pub enum Acquired<O: Deref<Target: Claimable>> {
    /// The caller's to do.
    Claim(Claim<O>),
    /// It was done.
    Duplicate(Duplicate<<O::Target as Claimable>::Value>),
}

impl<O: Deref<Target: Claimable>> Acquired<O> {
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
