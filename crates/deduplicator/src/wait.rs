//! `acquire`: a claim as something to wait for. Every decision is the machine's.

use core::fmt;
use core::future::Future;
use core::hash::BuildHasher;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use steadfast_core::sync::Arc;
use steadfast_core::wait::{Attempt, Gate, Limit, Outlook, Turn, Wait};
use steadfast_core::{Clock, Instant, Line, Timer};

use crate::claim::{Acquired, Claim, Claimable, Ticket};
use crate::claims::Claims;
use crate::error::{AcquireError, WaitError};
use crate::fingerprint::{Fingerprint, Id};
use crate::flights::{Answer, Flight, NO_PAYLOAD, Turned};

impl<V, C: Timer, S: BuildHasher> Claims<V, C, S> {
    /// A claim on an id, or what came of it: waits while somebody else is at it.
    ///
    /// Those who wait for an id get it in the order in which they came, tasks and threads alike, if it is
    /// given back or its lease ends. When it is committed, all are told, also if it is forgotten before they
    /// look; what was committed is kept for them that long.
    ///
    /// # Cancel safety
    ///
    /// Dropping the wait loses its place in the line and nothing else. A claim that it would have got goes to
    /// the next.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]: at once if the id was used with another payload, or too many claims are held, or too
    /// many wait; later if the deadline comes.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::time::Duration;
    /// use steadfast_deduplicator::{AcquireError, Config};
    ///
    /// let jobs = Config::new(1_000).claims::<u32>()?;
    /// let claim = jobs.acquire("report").wait()?.claim().expect("nobody has it");
    /// std::thread::scope(|scope| {
    ///     let other = scope.spawn(|| jobs.acquire("report").wait());
    ///     claim.commit_with(17).unwrap();
    ///     let report = other.join().unwrap().unwrap().duplicate().expect("it was done");
    ///     assert_eq!(report.value.as_deref(), Some(&17));
    /// });
    ///
    /// let held = jobs.acquire("other").wait()?;
    /// let late = jobs.acquire("other").timeout(Duration::from_millis(1)).wait();
    /// assert_eq!(late.unwrap_err(), AcquireError::TimedOut);
    /// # drop(held);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn acquire<I: Id + ?Sized>(&self, id: &I) -> Acquire<&Self> {
        Acquire::of(self, self.ids.of(id), NO_PAYLOAD)
    }

    /// The same for what comes with a payload: a second use of the id with another payload is a
    /// [`Mismatch`](AcquireError::Mismatch). So is one without any.
    pub fn acquire_for<I: Id + ?Sized, P: Id + ?Sized>(
        &self,
        id: &I,
        payload: &P,
    ) -> Acquire<&Self> {
        Acquire::of(self, self.ids.of(id), self.payload(payload))
    }
}

/// The wait that [`Claims::acquire`] returns: `.await` it, or call [`.wait()`](Acquire::wait).
///
/// `O` is how it holds the claims. `Acquire::new(Arc::clone(&claims), &id)` makes one that can be sent
/// elsewhere.
#[must_use = "a wait does nothing unless it is awaited or `.wait()` is called"]
pub struct Acquire<O>
where
    O: Deref<Target: Claimable<Clock: Timer>> + Clone,
{
    /// `None` once it is over.
    owner: Option<O>,
    id: Fingerprint,
    payload: u64,
    limit: Limit,
    /// Its place at a flight, if it was polled and found pending.
    wait: Option<Wait<Queued<O>>>,
}

/// Somebody who waits for an id.
struct Queuer<O: Deref<Target: Claimable>> {
    owner: O,
    id: Fingerprint,
    payload: u64,
    flight: Arc<FlightOf<O>>,
}

/// The same as what is waited at.
struct Queued<O: Deref<Target: Claimable>>(Queuer<O>);

type FlightOf<O> = Flight<<<O as Deref>::Target as Claimable>::Value>;
type Ended<O> = Result<Acquired<O>, AcquireError>;
type ClaimsOf<O> = Claims<
    <<O as Deref>::Target as Claimable>::Value,
    <<O as Deref>::Target as Claimable>::Clock,
    <<O as Deref>::Target as Claimable>::Hasher,
>;
type WaitErrorOf<O> = WaitError<<<O as Deref>::Target as Claimable>::Value>;

const POLLED_AFTER_END: &str = "a wait was polled after it was over";

impl<O: Deref<Target: Claimable>> Deref for Queued<O> {
    type Target = Queuer<O>;

    fn deref(&self) -> &Queuer<O> {
        &self.0
    }
}

impl<O: Deref<Target: Claimable<Clock: Timer>> + Clone> Acquire<O> {
    /// [`Claims::acquire`] for any way to hold them.
    pub fn new<I: Id + ?Sized>(owner: O, id: &I) -> Self
    where
        <O::Target as Claimable>::Hasher: BuildHasher,
    {
        let id = owner.claims().ids.of(id);
        Self::of(owner, id, NO_PAYLOAD)
    }

    /// [`Claims::acquire_for`] for any way to hold them.
    pub fn new_for<I: Id + ?Sized, P: Id + ?Sized>(owner: O, id: &I, payload: &P) -> Self
    where
        <O::Target as Claimable>::Hasher: BuildHasher,
    {
        let claims = owner.claims();
        let (id, payload) = (claims.ids.of(id), claims.payload(payload));
        Self::of(owner, id, payload)
    }

    const fn of(owner: O, id: Fingerprint, payload: u64) -> Self {
        Self { owner: Some(owner), id, payload, limit: Limit::None, wait: None }
    }

    /// Fails once `timeout` has passed since the next poll. What is there at the first poll is given, even
    /// with a timeout of zero. Replaces an earlier limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::Timeout(timeout);
        self
    }

    /// Fails at `deadline`, an instant of the clock. Replaces an earlier limit.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit = Limit::Deadline(deadline);
        self
    }

    /// The wait that is to be gone on with, or the end. `waited` is the flight that was waited at and is over.
    fn next(&mut self, waited: Option<&Arc<FlightOf<O>>>) -> Result<Ended<O>, Wait<Queued<O>>> {
        let Some(wait) = self.wait.take() else { return self.look(waited) };
        if matches!(self.limit, Limit::Timeout(_)) {
            // It was set since the wait began.
            let now = self.claims().clock.now();
            self.limit.resolve(now);
        }
        Err(self.limited(wait))
    }

    /// One look: over, or the wait for what comes of it. Whoever has waited and was told to look anew is
    /// given what he finds, also after his deadline.
    fn look(&mut self, waited: Option<&Arc<FlightOf<O>>>) -> Result<Ended<O>, Wait<Queued<O>>> {
        let now = self.claims().clock.now();
        if waited.is_none() && matches!(self.limit, Limit::Deadline(deadline) if now > deadline) {
            return Ok(Err(AcquireError::TimedOut));
        }
        self.limit.resolve(now);
        let (id, payload, claims) = (self.id, self.payload, self.claims());
        Ok(match claims.ask(id, payload, waited, now) {
            Answer::Claimed(ticket) => Ok(self.claim(ticket)),
            Answer::Duplicate(duplicate) => Ok(Acquired::Duplicate(duplicate)),
            Answer::Mismatch => Err(AcquireError::Mismatch),
            Answer::Full => Err(AcquireError::Full { max_claims: claims.config.max_claims }),
            Answer::InFlight(flight, _) => {
                let owner = self.owner().clone();
                let wait = Wait::new(Queued(Queuer { owner, id, payload, flight }), ());
                return Err(self.limited(wait));
            }
        })
    }

    fn limited(&self, wait: Wait<Queued<O>>) -> Wait<Queued<O>> {
        match self.limit {
            Limit::Deadline(deadline) => wait.deadline(deadline),
            Limit::None | Limit::Timeout(_) => wait,
        }
    }

    /// What a wait has ended with: if that is to be looked at, the flight.
    fn ended(&self, ended: Result<Ticket, WaitErrorOf<O>>) -> Result<Ended<O>, Arc<FlightOf<O>>> {
        match ended {
            Ok(ticket) => Ok(Ok(self.claim(ticket))),
            Err(WaitError::Failed(error)) => Ok(Err(error)),
            Err(WaitError::Over(flight)) => Err(flight),
        }
    }

    fn claim(&self, ticket: Ticket) -> Acquired<O> {
        Acquired::Claim(Claim::new(self.owner().clone(), ticket))
    }

    fn owner(&self) -> &O {
        self.owner.as_ref().expect(POLLED_AFTER_END)
    }

    fn claims(&self) -> &ClaimsOf<O> {
        self.owner().claims()
    }

    /// Blocks this thread until there is an answer, or the wait fails. If it was polled before, it keeps its
    /// place.
    ///
    /// # Panics
    ///
    /// If it was polled to its end before.
    #[cfg(feature = "std")]
    pub fn wait(mut self) -> Result<Acquired<O>, AcquireError> {
        let mut waited = None;
        loop {
            match self.next(waited.as_ref()) {
                Ok(result) => return result,
                Err(wait) => match self.ended(wait.wait()) {
                    Ok(result) => return result,
                    Err(flight) => waited = Some(flight),
                },
            }
        }
    }
}

// Nothing is ever pinned inside.
impl<O: Deref<Target: Claimable<Clock: Timer>> + Clone> Unpin for Acquire<O> {}

impl<O: Deref<Target: Claimable<Clock: Timer>> + Clone> Future for Acquire<O> {
    type Output = Result<Acquired<O>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waited = None;
        loop {
            let result = match self.next(waited.as_ref()) {
                Ok(result) => Ok(result),
                Err(mut wait) => match Pin::new(&mut wait).poll(cx) {
                    Poll::Ready(ended) => self.ended(ended),
                    Poll::Pending => {
                        self.wait = Some(wait);
                        return Poll::Pending;
                    }
                },
            };
            match result {
                Ok(result) => {
                    self.owner = None;
                    return Poll::Ready(result);
                }
                Err(flight) => waited = Some(flight),
            }
        }
    }
}

impl<O: Deref<Target: Claimable<Clock: Timer>> + Clone> fmt::Debug for Acquire<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("waits", &self.wait.is_some())
            .field("over", &self.owner.is_none())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// To wait at one flight: the rest is [`Acquire`]'s.
impl<O: Deref<Target: Claimable<Clock: Timer>>> Gate for Queuer<O> {
    type Timer = <O::Target as Claimable>::Clock;
    type Request = ();
    type Pass = Ticket;
    type Grant<P: Deref<Target = Self>> = Ticket;
    type Error = WaitErrorOf<O>;

    fn timer(&self) -> &Self::Timer {
        &self.owner.claims().clock
    }

    fn line(&self) -> &Line {
        &self.flight.line
    }

    fn max_waiters(&self) -> u32 {
        self.owner.claims().config.max_waiters
    }

    fn weight(&self, (): ()) -> u64 {
        1
    }

    fn attempt(&self, (): (), turn: Turn, now: Instant) -> Attempt<Ticket, WaitErrorOf<O>> {
        let Self { id, payload, ref flight, .. } = *self;
        match self.owner.claims().turn(id, flight, payload, turn == Turn::Head, now) {
            Turned::Claimed(ticket) => Attempt::Granted(ticket),
            Turned::NotYet => Attempt::NotNow,
            Turned::Mismatch => Attempt::Refused(WaitError::Failed(AcquireError::Mismatch)),
            Turned::Over => Attempt::Refused(WaitError::Over(Arc::clone(flight))),
        }
    }

    fn outlook(&self, ahead: u128, _weight: u64, now: Instant) -> Outlook {
        match self.owner.claims().held_until(self.id, &self.flight) {
            // Who is not the first waits for those before him.
            _ if ahead > 0 => Outlook::Event { again: Instant::MAX },
            Some(until) if until > now => Outlook::Event { again: until },
            _ => Outlook::Ready,
        }
    }

    fn never(&self, (): ()) -> Option<WaitErrorOf<O>> {
        let is_over = self.owner.claims().is_over(self.id, &self.flight);
        is_over.then(|| WaitError::Over(Arc::clone(&self.flight)))
    }

    fn mark(&self, is_awaited: bool) {
        self.owner.claims().mark(self.id, &self.flight, is_awaited);
    }

    fn admit<P: Deref<Target = Self>>(_owner: P, ticket: Ticket) -> Ticket {
        ticket
    }
}
