//! The one waiting loop.
//!
//! A primitive that can be waited for implements [`Gate`]: it decides. [`Wait`] is the future that
//! its `acquire` returns: it waits. Tasks (`.await`) and threads ([`.wait()`](Wait::wait)) run the
//! same loop and stand in the same [`Line`].
//!
//! # The protocol
//!
//! 1. Try as a newcomer. A gate that is marked occupied refuses newcomers, so nobody overtakes the
//!    line, and a gate that is not costs no more than `try_acquire`.
//! 2. Under the lock: if the line is empty, mark the gate occupied and **try again**. Between the
//!    two tries somebody may have given something back without seeing anybody to tell; the mark is
//!    part of the gate's own word, so whoever gives back later sees it.
//! 3. Join at the end. Only those who were called, or are next, try.
//! 4. **Whoever leaves, served or not, settles the line**: everybody in order for whom there is
//!    enough, beside those called already, is called; the alarm is set for the next. Nobody is
//!    woken merely to set an alarm.
//! 5. Whoever changes the gate and sees it occupied wakes the next (a refund) or everybody (a new
//!    configuration, a close): [`Line::wake_first`], [`Line::wake_all`].
//!
//! Wakers are cloned, woken and dropped, and alarms are set, after the lock is released. A waker
//! that panics costs its owner the place and nobody else anything.
//!
//! # What it promises
//!
//! | | promise | kept by |
//! |---|---|---|
//! | W1 | first come, first called; those called together are funded together, and take theirs in the order in which the executor polls them | 1, 3 and 4 |
//! | W2 | dropping a wait passes its turn on at once | 4 |
//! | W3 | no lost wake-up | 2 |
//! | W4 | one wake-up a grant; one alarm a line, and one more for the first deadline | 4 |
//! | W5 | refund, reconfigure and close wake at once | 5 |
//! | W6 | what cannot be served in time fails before it joins | the forecast, checked before 3 |
//! | W7 | no foreign code under a lock | `Errands` |
//! | W8 | no cost without contention | 1 |

use alloc::boxed::Box;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use core::{fmt, mem};

use crate::line::{Alarm, Arming, Errands, LONGEST_SPIN_NS, Place, Ticket, Whose, latest_wake};
pub use crate::line::{Line, LineStats};
use crate::sync::spin_loop;
use crate::time::{Clock, Instant, Timer};
use crate::unwind::completes;

/// In which capacity somebody asks a [`Gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// From outside: must not overtake a line.
    Newcomer,
    /// First in the line: everybody else is behind.
    Head,
}

/// A gate's answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<P, E> {
    /// Granted, and taken.
    Granted(P),
    /// Not now. Nothing was written.
    NotNow,
    /// Never. Nothing was written.
    Refused(E),
}

/// What a gate expects of the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It could be granted now.
    Ready,
    /// It could be granted at `at` if nobody else came, and not before; [`Instant::MAX`] if only an
    /// event can tell.
    At {
        /// The first instant at which it could be granted.
        at: Instant,
        /// How much later than `at` it may be granted without loss to those behind it.
        spare: Duration,
    },
    /// Only an event can tell when; but it is worth to look again at `again`, which is
    /// [`Instant::MAX`] if it is not.
    Event {
        /// When to look again, if nothing happened before.
        again: Instant,
    },
    /// It will be refused, or has to be asked for its own refusal.
    Never,
}

impl Outlook {
    /// When somebody who waits has to look again, and how much later would do; `None` if now.
    pub(crate) fn looks_again(self) -> Option<(Instant, Duration)> {
        match self {
            Self::At { at, spare } => Some((at, spare)),
            // Nobody behind loses anything.
            Self::Event { again } => Some((again, Duration::MAX)),
            Self::Ready | Self::Never => None,
        }
    }
}

/// Why a wait ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The deadline came, or cannot be met: `ready_at` is when the request could have been served.
    Deadline {
        /// When the request could have been served, given those ahead of it; the time of the failure
        /// if that depends on them alone.
        ready_at: Instant,
    },
    /// The line was full.
    LineFull {
        /// The configured limit.
        max_waiters: u32,
    },
}

/// A resource that can be waited for: what a primitive adds to the waiting loop.
///
/// All methods but [`admit`](Gate::admit) and [`afterwards`](Gate::afterwards) may be called with the
/// line's lock held, so they must neither run foreign code nor use the line.
pub trait Gate {
    /// The clock and timer.
    type Timer: Timer;
    /// What is asked for.
    type Request: Copy;
    /// The raw grant.
    type Pass;
    /// What the caller gets, holding on to the gate by `O`.
    type Grant<O: Deref<Target = Self>>;
    /// Why a request was not granted.
    type Error: From<Missed>;

    /// The clock and timer.
    fn timer(&self) -> &Self::Timer;

    /// The line.
    fn line(&self) -> &Line;

    /// How many may wait.
    fn max_waiters(&self) -> u32;

    /// How much `request` weighs in a forecast.
    fn weight(&self, request: Self::Request) -> u64;

    /// Grants `request`, or says why not.
    fn attempt(
        &self,
        request: Self::Request,
        turn: Turn,
        now: Instant,
    ) -> Attempt<Self::Pass, Self::Error>;

    /// When a request of `weight` could be granted to whoever is behind others of `ahead` in sum,
    /// ignoring the mark.
    fn outlook(&self, ahead: u128, weight: u64, now: Instant) -> Outlook;

    /// Why `request` will never be granted, if that is so.
    fn never(&self, request: Self::Request) -> Option<Self::Error>;

    /// Marks the gate occupied by a line, or free.
    fn mark(&self, occupied: bool);

    /// The error of a wait that ended early.
    fn missed(&self, missed: Missed) -> Self::Error {
        missed.into()
    }

    /// Called after attempts that were not granted, with no lock held: for what an attempt left to
    /// tell others. (What a granted one left is up to [`admit`](Gate::admit).)
    fn afterwards(&self) {}

    /// Makes the caller's grant of a raw one.
    fn admit<O: Deref<Target = Self>>(owner: O, pass: Self::Pass) -> Self::Grant<O>;
}

/// The wait that an `acquire` returns: `.await` it on any executor, or call [`wait`](Wait::wait)
/// to block this thread.
///
/// It is lazy: it asks when it is first polled or waited for. `O` is how it holds the primitive:
/// `&T`, or `Arc<T>` for a wait that can be sent elsewhere.
///
/// # Cancel safety
///
/// Dropping it before it is ready loses its place in the line and nothing else; nothing was taken,
/// and whoever stood behind it moves up at once.
///
/// A wait that has been woken and is neither polled nor dropped may hold up those behind it: as the
/// head of the line it is the one that was to look. Do not park one for long beside other work, and
/// do not leak one (`mem::forget`): a leaked wait keeps its place for ever.
#[must_use = "a wait does nothing unless it is awaited or `.wait()` is called"]
pub struct Wait<O: Deref<Target: Gate + Sized>> {
    /// `None` once it is over.
    owner: Option<O>,
    request: <O::Target as Gate>::Request,
    limit: Limit,
    ticket: Option<Ticket>,
    /// When it joined the line.
    began: Instant,
}

/// Until when to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// For ever.
    None,
    /// For so long, from the first poll.
    Timeout(Duration),
    /// Until this instant.
    Deadline(Instant),
}

/// Who is polling.
#[derive(Clone, Copy)]
struct Poller<'a> {
    waker: &'a Waker,
    /// A thread that can time its own sleep.
    keeps_time: bool,
}

/// One round of the loop.
enum Round<P, E> {
    Over(Result<P, E>),
    /// Wait to be woken; a thread that keeps its own time looks again at this instant.
    Wait(Instant),
    /// The turn comes within microseconds.
    Spin(Instant),
    /// As `Wait`, but the line needs a waker of its own first.
    NeedWaker,
    /// Lost its place.
    Rejoin,
}

/// What one poll carries from round to round.
struct Visit {
    /// A clone of the poller's waker, made outside the lock.
    fresh_waker: Option<Waker>,
    again: bool,
    /// When the wait joined the line.
    began: Instant,
}

/// How often a clock is read in one spin: 200 µs are fewer readings of any clock that advances.
const MOST_READINGS: u32 = 100_000;

const POLLED_AFTER_END: &str = "a wait was polled after it was over";

type Output<O> =
    Result<<<O as Deref>::Target as Gate>::Grant<O>, <<O as Deref>::Target as Gate>::Error>;

type AlarmOf<G> = <<G as Gate>::Timer as Timer>::Alarm;

impl<O: Deref<Target: Gate + Sized>> Wait<O> {
    /// A wait for `request` at the gate that `owner` holds.
    #[inline]
    pub fn new(owner: O, request: <O::Target as Gate>::Request) -> Self {
        Self { owner: Some(owner), request, limit: Limit::None, ticket: None, began: Instant::ZERO }
    }

    /// Fails once `timeout` has passed since the next poll, and at once if the line ahead already
    /// makes that certain. Replaces an earlier limit.
    ///
    /// What is there at the first poll is granted, even with a timeout of zero.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limit = Limit::Timeout(timeout);
        self
    }

    /// Fails at `deadline`, an instant of the primitive's clock, and at once if it has passed before
    /// the first poll or the line ahead makes it impossible. Replaces an earlier limit.
    ///
    /// A request that waits and is found ready when it is woken for its deadline is granted.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit = Limit::Deadline(deadline);
        self
    }

    /// Step 1, if it is the turn of that: the end, or when the clock was read.
    // It is all of a wait that nobody is in the way of. In one function with the steps that follow it took 224
    // instructions, as a call of its own 186; here it is 84.
    #[inline(always)]
    fn first_step(&mut self) -> Result<Output<O>, Instant> {
        let gate: &O::Target = self.owner.as_ref().expect(POLLED_AFTER_END);
        if self.ticket.is_some() {
            return Err(gate.timer().now());
        }
        knock(gate, self.request, self.limit).map(|result| self.finish(result))
    }

    /// The steps that follow the first, at `now`: the end, or when a thread that keeps its own time has to look
    /// again.
    #[inline(never)]
    fn poll_closely(&mut self, poller: Poller<'_>, mut now: Instant) -> Result<Output<O>, Instant> {
        let gate: &O::Target = self.owner.as_ref().expect(POLLED_AFTER_END);
        let mut visit = Visit { fresh_waker: None, again: false, began: self.began };
        loop {
            let round = match self.ticket {
                None => {
                    self.began = now;
                    enter(gate, self.request, &mut self.limit, &mut self.ticket, now, poller)
                }
                Some(ticket) => {
                    self.limit.resolve(now);
                    advance(gate, self.request, self.limit, ticket, now, poller, &mut visit)
                }
            };
            visit.again = true;
            if matches!(round, Round::Over(_) | Round::Rejoin) {
                // It has left the line, whatever becomes of what follows.
                self.ticket = None;
            }
            if !matches!(round, Round::Over(Ok(_))) {
                gate.afterwards();
            }
            match round {
                Round::Over(result) => return Ok(self.finish(result)),
                Round::Wait(until) => return Err(until),
                Round::NeedWaker => visit.fresh_waker = Some(poller.waker.clone()),
                Round::Rejoin => match knock(gate, self.request, self.limit) {
                    Ok(result) => return Ok(self.finish(result)),
                    Err(knocked) => {
                        now = knocked;
                        continue;
                    }
                },
                Round::Spin(until) => spin(gate.timer(), now, until),
            }
            now = gate.timer().now();
        }
    }

    #[inline]
    fn finish(&mut self, result: Answer<O::Target>) -> Output<O> {
        let owner = self.owner.take().expect(POLLED_AFTER_END);
        result.map(|pass| <O::Target as Gate>::admit(owner, pass))
    }
}

/// What became of a request.
type Answer<G> = Result<<G as Gate>::Pass, <G as Gate>::Error>;

/// Step 1: without a waker, a lock or a place. `Err` means: not now, as of then.
// See `first_step`.
#[inline(always)]
fn knock<G: Gate>(gate: &G, request: G::Request, limit: Limit) -> Result<Answer<G>, Instant> {
    let now = gate.timer().now();
    let answer = if matches!(limit, Limit::Deadline(deadline) if now > deadline) {
        Err(too_late(gate, request, now))
    } else {
        match gate.attempt(request, Turn::Newcomer, now) {
            Attempt::Granted(pass) => Ok(pass),
            Attempt::Refused(error) => Err(error),
            Attempt::NotNow => return Err(now),
        }
    };
    if answer.is_err() {
        gate.afterwards();
    }
    Ok(answer)
}

/// Spins until the clock shows `until`: at most 200 µs of it. A clock that stands still or steps
/// back meanwhile ends it, after some thousand readings at the latest; the caller looks again.
fn spin(timer: &impl Timer, mut seen: Instant, until: Instant) {
    for _ in 0..MOST_READINGS {
        let now = timer.now();
        if now >= until || now < seen {
            return;
        }
        seen = now;
        spin_loop();
    }
}

/// The error of a deadline that has come.
fn too_late<G: Gate>(gate: &G, request: G::Request, now: Instant) -> G::Error {
    let ready_at = match gate.outlook(0, gate.weight(request), now) {
        Outlook::At { at, .. } if at != Instant::MAX => at,
        _ => now,
    };
    gate.missed(Missed::Deadline { ready_at })
}

/// Steps 2 and 3: from outside to a place, or to a grant after all.
fn enter<G: Gate>(
    gate: &G,
    request: G::Request,
    limit: &mut Limit,
    place: &mut Option<Ticket>,
    now: Instant,
    poller: Poller<'_>,
) -> Round<G::Pass, G::Error> {
    limit.resolve(now);
    let deadline = limit.deadline();
    let waker = poller.waker.clone();
    let mut errands = Errands::NONE;
    let round = gate.line().with(|queue| {
        let alone = queue.len() == 0;
        let marked = alone.then(|| Marked::new(gate));
        if alone {
            // RACE: a refund between the first try and this mark saw nobody to tell; the second
            // try sees its tokens. Model: `refund_between_try_and_join_is_seen`.
            let round = match gate.attempt(request, Turn::Head, now) {
                Attempt::Granted(pass) => Some(Round::Over(Ok(pass))),
                Attempt::Refused(error) => Some(Round::Over(Err(error))),
                Attempt::NotNow => None,
            };
            if let Some(round) = round {
                errands.litter = Some(waker);
                return round;
            }
        } else if let Some(error) = gate.never(request) {
            // RACE: whoever closed the gate since the first try has woken those who stood here, and
            // this one did not. Model: `raise_between_try_and_join_is_seen`.
            errands.litter = Some(waker);
            return Round::Over(Err(error));
        }
        let weight = gate.weight(request);
        // The forecast costs a division or two: only for those who make use of it.
        let asked = deadline != Instant::MAX || poller.keeps_time;
        let outlook = asked.then(|| gate.outlook(queue.weight(), weight, now));
        let (ready_at, spare) =
            outlook.and_then(Outlook::looks_again).unwrap_or((now, Duration::ZERO));
        let known = ready_at != Instant::MAX && !matches!(outlook, Some(Outlook::Event { .. }));
        let missed = if limit.passed(now) || (ready_at > deadline && known) {
            Some(Missed::Deadline { ready_at: if known { ready_at } else { now } })
        } else if queue.len() >= gate.max_waiters() {
            Some(Missed::LineFull { max_waiters: gate.max_waiters() })
        } else {
            None
        };
        if let Some(missed) = missed {
            errands.litter = Some(waker);
            return Round::Over(Err(gate.missed(missed)));
        }
        let wakes_at = poller.keeps_time.then(|| {
            let asked = if alone {
                queue.wake_time(gate, ready_at, spare)
            } else {
                latest_wake(ready_at, spare)
            };
            asked.min(deadline)
        });
        let ticket = queue.join(Place { weight, deadline, wakes_at }, waker);
        *place = Some(ticket);
        mem::forget(marked);
        // Whoever joins behind others that wait changes nothing but, perhaps, the first deadline.
        let changes = queue.is_next(ticket) || (deadline != Instant::MAX && wakes_at.is_none());
        if changes || queue.turn_is_far(now) {
            queue.settle(gate, now, Some(ticket), &mut errands);
        }
        Round::Wait(wakes_at.unwrap_or(Instant::MAX))
    });
    run(gate, now, &mut errands, Some(poller.waker));
    round
}

/// The mark of a gate that somebody is about to join the line of: taken back unless they do, also if
/// the gate panics.
struct Marked<'a, G: Gate>(&'a G);

impl<'a, G: Gate> Marked<'a, G> {
    fn new(gate: &'a G) -> Self {
        gate.mark(true);
        Self(gate)
    }
}

impl<G: Gate> Drop for Marked<'_, G> {
    fn drop(&mut self) {
        self.0.mark(false);
    }
}

/// Steps 3 and 4: a poll of somebody who has a place.
fn advance<G: Gate>(
    gate: &G,
    request: G::Request,
    limit: Limit,
    ticket: Ticket,
    now: Instant,
    poller: Poller<'_>,
    visit: &mut Visit,
) -> Round<G::Pass, G::Error> {
    let deadline = limit.deadline();
    let mut errands = Errands::NONE;
    let round = gate.line().with(|queue| {
        if queue.is_detached(ticket) {
            queue.leave(ticket, |occupied| gate.mark(occupied));
            return Round::Rejoin;
        }
        if !visit.again {
            queue.polled(ticket, now);
        }
        queue.set_deadline(ticket, deadline);
        let entitled = queue.is_entitled(gate, ticket, now);
        let attempt = if entitled {
            gate.attempt(request, Turn::Head, now)
        } else {
            gate.never(request).map_or(Attempt::NotNow, Attempt::Refused)
        };
        let over = match attempt {
            Attempt::Granted(pass) => {
                queue.served(visit.began, now);
                Some(Round::Over(Ok(pass)))
            }
            Attempt::Refused(error) => Some(Round::Over(Err(error))),
            Attempt::NotNow if limit.passed(now) => {
                Some(Round::Over(Err(too_late(gate, request, now))))
            }
            Attempt::NotNow => None,
        };
        if let Some(round) = over {
            let was_called = queue.is_called(ticket);
            errands.litter = queue.leave(ticket, |occupied| gate.mark(occupied));
            // Of those called together, the last one settles for all. It need not come, if the
            // alarm is set for whoever follows them.
            let last = !queue.anybody_called() || !was_called || !queue.turn_is_timed();
            if last {
                queue.settle(gate, now, None, &mut errands);
            }
            return round;
        }
        // Not yet. Keep the place, and a waker that reaches the task that polls now.
        if entitled {
            queue.uncall(ticket);
        }
        let mut wakes_at = deadline;
        let outlook = gate.outlook(queue.called_weight(), gate.weight(request), now);
        if let (true, Some((at, spare))) = (queue.is_next(ticket), outlook.looks_again()) {
            let asked = queue.wake_time(gate, at, spare);
            let soon = at.saturating_duration_since(now) <= Duration::from_nanos(LONGEST_SPIN_NS);
            if now >= asked && soon && gate.timer().system_time_until(at).is_some() {
                return Round::Spin(at);
            }
            wakes_at = asked.min(deadline);
        }
        if !queue.keeps_waker(ticket, poller.waker) {
            match visit.fresh_waker.take() {
                Some(waker) => errands.litter = queue.set_waker(ticket, waker),
                None => return Round::NeedWaker,
            }
        }
        if poller.keeps_time {
            queue.set_wakes_at(ticket, wakes_at);
        }
        queue.settle(gate, now, Some(ticket), &mut errands);
        Round::Wait(wakes_at)
    });
    run(gate, now, &mut errands, Some(poller.waker));
    round
}

/// Runs what a change of the line at `now` left to do, with no lock held.
///
/// # Panics
///
/// If the timer panics as it is set for the caller itself: then nothing would wake it.
fn run<G: Gate>(gate: &G, now: Instant, errands: &mut Errands, mine: Option<&Waker>) {
    let mut look_again = false;
    let mut deaf = false;
    loop {
        if let Some(litter) = errands.litter.take() {
            let _reported = completes(|| drop(litter));
        }
        for (ticket, waker) in errands.call.take().into_iter().chain(errands.more_calls.drain(..)) {
            if !completes(|| waker.wake()) {
                // Its owner may be polling meanwhile: `detach` looks, under the lock, whether
                // the place is still the one that was called.
                gate.line().with(|queue| queue.detach(ticket, |occupied| gate.mark(occupied)));
                look_again = true;
            }
        }
        match errands.arm.iter_mut().find_map(Option::take) {
            Some(arming) => {
                let for_me = matches!(arming.whom, Some((_, Whose::Mine)));
                let done = set_alarm(gate, arming, mine, errands);
                deaf |= for_me && !done;
            }
            None if mem::take(&mut look_again) => {
                let now = reading(gate.timer()).unwrap_or(now);
                gate.line().with(|queue| queue.settle(gate, now, None, errands));
            }
            None => break,
        }
    }
    assert!(!deaf, "the timer panicked (reported before this) as it was set for this wait");
}

/// Sets an alarm and puts it back. Says whether the timer returned.
fn set_alarm<G: Gate>(
    gate: &G,
    mut arming: Arming,
    mine: Option<&Waker>,
    errands: &mut Errands,
) -> bool {
    let timer = gate.timer();
    let at = arming.at;
    let mut alarm = arming.alarm.take().and_then(|alarm| alarm.downcast::<AlarmOf<G>>().ok());
    let waker = match &arming.whom {
        Some((_, Whose::Lent(waker))) => waker,
        _ => mine.unwrap_or(Waker::noop()),
    };
    // An alarm may outlive what it depends on (a runtime): after a panic once more with a new one.
    let tries = 1 + u8::from(alarm.is_some());
    let done = (0..tries).any(|_| {
        let done = completes(|| {
            timer.set(alarm.get_or_insert_with(|| Box::new(timer.alarm())), at, waker);
        });
        if !done {
            let broken = alarm.take();
            let _reported = completes(|| drop(broken));
        }
        done
    });
    let now = reading(timer).unwrap_or(at);
    arming.alarm = alarm.map(|alarm| alarm as Alarm);
    gate.line().with(|queue| queue.armed(gate, now, arming, errands));
    done
}

/// What the clock shows, unless it panics: that must not keep the line from being left as it should be.
fn reading(timer: &impl Timer) -> Option<Instant> {
    let mut now = None;
    let _reported = completes(|| now = Some(timer.now()));
    now
}

impl Limit {
    /// The deadline; [`Instant::MAX`] if there is none, or none yet.
    pub const fn deadline(self) -> Instant {
        match self {
            Self::Deadline(deadline) => deadline,
            // A timeout is resolved before anybody joins.
            Self::None | Self::Timeout(_) => Instant::MAX,
        }
    }

    /// Makes a deadline of a timeout, which counts from its first poll.
    pub const fn resolve(&mut self, now: Instant) {
        if let Self::Timeout(timeout) = *self {
            *self = Self::Deadline(now.saturating_add(timeout));
        }
    }

    /// Whether the deadline has come.
    pub fn passed(self, now: Instant) -> bool {
        matches!(self, Self::Deadline(deadline) if now >= deadline)
    }
}

// Nothing is ever pinned inside.
impl<O: Deref<Target: Gate + Sized>> Unpin for Wait<O> {}

impl<O: Deref<Target: Gate + Sized>> Future for Wait<O> {
    type Output = Output<O>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let now = match self.first_step() {
            Ok(output) => return Poll::Ready(output),
            Err(now) => now,
        };
        match self.poll_closely(Poller { waker: cx.waker(), keeps_time: false }, now) {
            Ok(output) => Poll::Ready(output),
            Err(_) => Poll::Pending,
        }
    }
}

#[cfg(feature = "std")]
impl<O: Deref<Target: Gate + Sized>> Wait<O> {
    /// Blocks this thread until the request is granted or the wait fails.
    ///
    /// No helper thread is involved: on a clock that advances with the system's, the thread sleeps
    /// until its own turn. It queues with tasks in one line.
    ///
    /// # Panics
    ///
    /// If this wait was polled to its end before.
    #[inline]
    pub fn wait(mut self) -> Output<O> {
        match self.first_step() {
            Ok(output) => output,
            Err(now) => self.wait_closely(now),
        }
    }

    /// The steps that follow the first.
    #[inline(never)]
    fn wait_closely(&mut self, mut now: Instant) -> Output<O> {
        let gate: &O::Target = self.owner.as_ref().expect(POLLED_AFTER_END);
        let keeps_time = gate.timer().system_time_until(Instant::MAX).is_some();
        crate::thread::with_waker(|waker| {
            loop {
                match self.poll_closely(Poller { waker, keeps_time }, now) {
                    Ok(output) => return output,
                    Err(until) => {
                        let gate: &O::Target = self.owner.as_ref().expect(POLLED_AFTER_END);
                        let time = gate.timer().system_time_until(until);
                        crate::thread::park(time.filter(|_| until != Instant::MAX));
                        now = gate.timer().now();
                    }
                }
            }
        })
    }
}

impl<O: Deref<Target: Gate + Sized>> Drop for Wait<O> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(owner), Some(ticket)) = (&self.owner, self.ticket) {
            abandon::<O::Target>(owner, ticket);
        }
    }
}

/// Leaves the line without having been served.
#[inline(never)]
fn abandon<G: Gate>(gate: &G, ticket: Ticket) {
    let mut errands = Errands::NONE;
    let Some(now) = reading(gate.timer()) else {
        // It has to leave all the same. Without a time nobody can be called: the next looks for itself.
        errands.litter =
            gate.line().with(|queue| queue.leave(ticket, |occupied| gate.mark(occupied)));
        run(gate, Instant::ZERO, &mut errands, None);
        return gate.line().wake_first(|occupied| gate.mark(occupied));
    };
    // RACE: it may have been called a moment ago; whoever is next now is settled with, so the
    // turn is passed on either way. Models: `cancel_of_the_head_…`, `cancel_of_a_called_…`.
    gate.line().with(|queue| {
        errands.litter = queue.leave(ticket, |occupied| gate.mark(occupied));
        queue.settle(gate, now, None, &mut errands);
    });
    run(gate, now, &mut errands, None);
}

impl<O: Deref<Target: Gate + Sized>> fmt::Debug for Wait<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("in_line", &self.ticket.is_some())
            .field("over", &self.owner.is_none())
            .field("limit", &self.limit)
            .finish()
    }
}
