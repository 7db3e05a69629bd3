//! The breaker that everybody shares: the machine on atomics, permits, and who has to be told.

use core::ops::Deref;
use core::time::Duration;
use core::{fmt, mem};

#[cfg(feature = "alloc")]
use alloc::boxed::Box;

use steadfast_backoff::{Random, Rng};
use steadfast_core::sync::atomic::{AtomicU64, Ordering, fence};
use steadfast_core::sync::zeros;
use steadfast_core::{Clock, Instant, Line, Step, SystemClock, const_unless_loom, update};

#[cfg(feature = "wait")]
use crate::changes::Deferred;
use crate::changes::Feed;
use crate::config::{Config, ConfigError};
use crate::error::{Name, TryAcquireError};
use crate::hooks::Hooks;
use crate::state::{
    Change, Counted, Decision, Effects, FIRST, Memory, Metrics, Outcome, Pass, Phase, State, Terms,
    Trip, Wake, Word, Words,
};

/// Where the words of a breaker are unless something else is said.
#[cfg(feature = "alloc")]
pub type Heap = Box<[AtomicU64]>;
#[cfg(not(feature = "alloc"))]
pub use crate::no_heap::Heap;

/// A circuit breaker for any number of threads and tasks.
///
/// Closed, it is lock-free: a permit is one look, and a success that changes nothing writes nothing.
/// No result is lost or counted twice. `C` is the clock, `M` where its words are: on the heap, or in
/// an array for a `static` or for firmware.
///
/// Dropping a [`Permit`] without a report gives it back as if nothing had happened. A permit carries
/// the number of the life in which it was given: what it reports after the breaker has changed its
/// phase changes nothing any more.
///
/// # Memory ordering
///
/// A permit of a new phase, and what [`phase`](Self::phase) and [`metrics`](Self::metrics) show of it,
/// observes all that happened before the change. Results publish nothing else.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::time::Duration;
/// use steadfast_circuit_breaker::{Config, Phase, TryAcquireError};
/// use steadfast_core::ManualClock;
///
/// let clock = ManualClock::new();
/// let breaker = Config::new()
///     .consecutive_failures(2)
///     .break_duration(Duration::from_secs(10))
///     .close_after(1)
///     .name("quotes")
///     .build_with(clock.clone())?;
///
/// breaker.try_acquire()?.failure();
/// breaker.try_acquire()?.failure();
/// let refused = breaker.try_acquire().unwrap_err();
/// assert_eq!(refused.to_string(), "circuit breaker `quotes` is open: retry in 10s");
///
/// clock.advance(Duration::from_secs(10));
/// let probe = breaker.try_acquire()?;
/// assert!(matches!(breaker.try_acquire(), Err(TryAcquireError::HalfOpenFull { .. })));
/// probe.success();
/// assert_eq!(breaker.phase(), Phase::Closed);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CircuitBreaker<C = SystemClock, M: Memory = Heap> {
    state: State<M>,
    clock: C,
    name: Name,
    seed: Seed,
    max_waiters: u32,
    counts: Option<Counts>,
    hooks: Hooks,
    line: Line,
    feed: Feed,
    #[cfg(feature = "wait")]
    deferred: Deferred,
}

/// Calls permitted and rejected.
struct Counts {
    permitted: AtomicU64,
    rejected: AtomicU64,
}

/// Where the jitter of breaks comes from.
struct Seed {
    word: AtomicU64,
    given: bool,
}

impl Word for AtomicU64 {
    fn new(word: u64) -> Self {
        AtomicU64::new(word)
    }

    #[inline]
    fn load(&self) -> u64 {
        // ORDERING: Acquire observes what the writer of this word published before its Release, in
        // `update`.
        self.load(Ordering::Acquire)
    }

    #[inline]
    fn update<R>(&self, transition: impl FnMut(u64) -> Step<R>) -> R {
        update(self, transition)
    }

    fn fence() {
        // ORDERING: SeqCst partners with itself: of two owners who have each moved a word before it
        // and load the other's word after it, one sees what the other has done.
        fence(Ordering::SeqCst);
    }
}

impl Config {
    /// The breaker, on a clock of yours, in memory of yours, with a seed of yours for the jitter of growing breaks. There is no default seed without an operating system: a
    /// whole fleet would probe in step.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker, or there are fewer words than
    /// [`Terms::words`](crate::state::Terms::words).
    pub fn build_in<C, M>(
        self,
        memory: M,
        clock: C,
        seed: u64,
    ) -> Result<CircuitBreaker<C, M>, ConfigError>
    where
        M: Memory<Word = AtomicU64>,
    {
        let state = State::new(self.terms()?, memory)?;
        Ok(self.made(state, clock, Seed { word: AtomicU64::new(seed), given: true }))
    }

    /// The breaker on the heap, on a clock of yours, with a seed of yours for the jitter of growing
    /// breaks.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker.
    #[cfg(feature = "alloc")]
    pub fn build_seeded<C>(self, clock: C, seed: u64) -> Result<CircuitBreaker<C>, ConfigError> {
        let words = self.terms()?.words();
        self.build_in((0..words).map(|_| AtomicU64::new(0)).collect(), clock, seed)
    }

    /// The breaker, on a clock of yours. Jitter seeds itself.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker.
    #[cfg(feature = "std")]
    pub fn build_with<C>(self, clock: C) -> Result<CircuitBreaker<C>, ConfigError> {
        let mut breaker = self.build_seeded(clock, 0)?;
        breaker.seed.given = false;
        Ok(breaker)
    }

    /// The breaker, on the system's clock.
    ///
    /// # Errors
    ///
    /// If there can be no such breaker.
    #[cfg(feature = "std")]
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        self.build_with(SystemClock)
    }

    const_unless_loom! {
        /// The breaker in an array of `N` words, for a `static`. `N` is
        /// [`Terms::words`](crate::state::Terms::words).
        ///
        /// # Panics
        ///
        /// If there can be no such breaker, or `N` is too small: in a `static`, it does not compile.
        /// Without the `std` feature also if its break grows, as nothing seeds its jitter: see
        /// [`build_static_with`](Self::build_static_with).
        ///
        /// # Examples
        ///
        /// ```
        /// use steadfast_circuit_breaker::{AtomicU64, CircuitBreaker, Config};
        /// use steadfast_core::SystemClock;
        ///
        /// const CONFIG: Config = Config::new().consecutive_failures(3);
        /// static BREAKER: CircuitBreaker<SystemClock, [AtomicU64; 2]> = CONFIG.build_static();
        /// ```
        pub const fn build_static<const N: usize>(
            self,
        ) -> CircuitBreaker<SystemClock, [AtomicU64; N]> {
            let seed = Seed { word: AtomicU64::new(0), given: false };
            self.made_static(SystemClock, seed)
        }
    }

    const_unless_loom! {
        /// The breaker in an array of `N` words, for a `static`, on a clock of yours, with a seed of yours
        /// for the jitter of growing breaks. `N` is [`Terms::words`](crate::state::Terms::words).
        ///
        /// # Panics
        ///
        /// If there can be no such breaker, or `N` is too small: in a `static`, it does not compile.
        ///
        /// # Examples
        ///
        /// ```
        /// use steadfast_circuit_breaker::{AtomicU64, CircuitBreaker, Config, Phase};
        /// use steadfast_core::{Clock, Instant};
        ///
        /// #[derive(Clone, Copy)]
        /// struct Ticks;
        /// impl Clock for Ticks {
        ///     fn now(&self) -> Instant { Instant::ZERO }    // an interrupt's count
        /// }
        ///
        /// const CONFIG: Config = Config::new().consecutive_failures(3);
        /// static BREAKER: CircuitBreaker<Ticks, [AtomicU64; 2]> = CONFIG.build_static_with(Ticks, 7);
        ///
        /// assert_eq!(BREAKER.phase(), Phase::Closed);
        /// ```
        pub const fn build_static_with<C: Copy, const N: usize>(
            self,
            clock: C,
            seed: u64,
        ) -> CircuitBreaker<C, [AtomicU64; N]> {
            self.made_static(clock, Seed { word: AtomicU64::new(seed), given: true })
        }
    }

    const_unless_loom! {
        const fn made_static<C: Copy, const N: usize>(
            self,
            clock: C,
            seed: Seed,
        ) -> CircuitBreaker<C, [AtomicU64; N]> {
            let terms = match self.terms() {
                Ok(terms) => terms,
                Err(error) => panic!("{}", error.const_message()),
            };
            assert!(N >= terms.words(), "too few words of memory: see `Terms::words`");
            assert!(seed.given || SEEDS_ITSELF || !terms.is_jittered(), "a growing break needs a seed");
            let words = Words {
                control: AtomicU64::new(FIRST),
                since: [AtomicU64::new(0), AtomicU64::new(0)],
                until: [AtomicU64::new(0), AtomicU64::new(0)],
                ramp: AtomicU64::new(0),
                last_break: AtomicU64::new(0),
                opened: AtomicU64::new(0),
            };
            let memory = zeros();
            self.made(State::with_words(terms, words, memory), clock, seed)
        }
    }

    const_unless_loom! {
        const fn made<C, M: Memory>(
            self,
            state: State<M>,
            clock: C,
            seed: Seed,
        ) -> CircuitBreaker<C, M> {
            let counts = if self.counted {
                Some(Counts { permitted: AtomicU64::new(0), rejected: AtomicU64::new(0) })
            } else {
                None
            };
            CircuitBreaker {
                state,
                clock,
                name: Name(self.name),
                seed,
                max_waiters: self.max_waiters,
                counts,
                hooks: Hooks::NONE,
                line: Line::new(),
                feed: Feed::new(),
                #[cfg(feature = "wait")]
                deferred: Deferred::new(),
            }
        }
    }
}

#[cfg(feature = "std")]
const SEEDS_ITSELF: bool = true;
#[cfg(not(feature = "std"))]
const SEEDS_ITSELF: bool = false;

#[cfg(feature = "std")]
impl CircuitBreaker {
    /// A breaker with the [default](Config::default) rule, on the system's clock.
    #[expect(clippy::missing_panics_doc, reason = "the default configuration is valid")]
    pub fn new() -> Self {
        // OK: tested.
        Config::default().build().expect("the default configuration is valid")
    }
}

#[cfg(feature = "std")]
impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// Leave for a call, or a refusal that says why. Never waits.
    ///
    /// The clock is read unless the breaker is closed and no rule times calls.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says when to come back, if that is known.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{Config, Phase};
    ///
    /// let breaker = Config::new().consecutive_failures(1).build()?;
    /// let permit = breaker.try_acquire()?;
    /// // The call, wherever it is made; and what came of it:
    /// permit.failure();
    /// assert_eq!(breaker.phase(), Phase::Open);
    /// assert!(breaker.try_acquire().unwrap_err().retry_after().is_some());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<&Self>, TryAcquireError> {
        Permit::try_new(self)
    }

    /// [`try_acquire`](Self::try_acquire) at `now`.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says when to come back, if that is known.
    #[inline]
    pub fn try_acquire_at(&self, now: Instant) -> Result<Permit<&Self>, TryAcquireError> {
        Permit::try_new_at(self, now)
    }

    /// What it does with calls. Looking changes nothing: an open breaker whose break is over is
    /// shown as half-open, which the next call makes it.
    pub fn phase(&self) -> Phase {
        self.phase_at(self.clock.now())
    }

    /// [`phase`](Self::phase) at `now`.
    pub fn phase_at(&self, now: Instant) -> Phase {
        self.state.phase(now)
    }

    /// What it looks like, all of one moment.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{Config, Window};
    ///
    /// let breaker = Config::new().failure_rate(0.5, Window::calls(100)).build()?;
    /// breaker.try_acquire()?.failure();
    /// breaker.try_acquire()?.success();
    /// let seen = breaker.metrics().failures_by_calls.expect("there is such a rule");
    /// assert_eq!((seen.calls, seen.bad, seen.rate()), (2, 1, Some(0.5)));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.metrics_at(self.clock.now())
    }

    /// [`metrics`](Self::metrics) at `now`.
    pub fn metrics_at(&self, now: Instant) -> Metrics {
        let counted = self.counts.as_ref().map(Counts::load);
        Metrics { counted, ..self.state.metrics(now) }
    }

    /// Refuses all calls until it is [reset](Self::reset).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_circuit_breaker::{CircuitBreaker, TryAcquireError};
    ///
    /// let breaker = CircuitBreaker::new();
    /// breaker.force_open();                               // for maintenance, say
    /// assert!(matches!(breaker.try_acquire(), Err(TryAcquireError::Isolated { .. })));
    /// breaker.reset();
    /// assert!(breaker.try_acquire().is_ok());
    /// # }
    /// ```
    pub fn force_open(&self) {
        self.force_open_at(self.clock.now());
    }

    /// [`force_open`](Self::force_open) at `now`.
    pub fn force_open_at(&self, now: Instant) {
        self.tell(self.state.force(true, now));
    }

    /// Admits all calls until it is [reset](Self::reset), whatever comes of them. It still measures,
    /// from anew.
    pub fn force_closed(&self) {
        self.force_closed_at(self.clock.now());
    }

    /// [`force_closed`](Self::force_closed) at `now`.
    pub fn force_closed_at(&self, now: Instant) {
        self.tell(self.state.force(false, now));
    }

    /// Closes it, without a ramp-up, and forgets everything that was counted.
    pub fn reset(&self) {
        self.reset_at(self.clock.now());
    }

    /// [`reset`](Self::reset) at `now`.
    pub fn reset_at(&self, now: Instant) {
        self.tell(self.state.reset(now));
    }
}

impl<C, M: Memory> CircuitBreaker<C, M> {
    /// Its [name](Config::name).
    pub const fn name(&self) -> Option<&'static str> {
        self.name.0
    }

    /// What it is held to.
    pub const fn terms(&self) -> &Terms {
        self.state.terms()
    }

    /// The clock.
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// How many may [wait](Config::max_waiters) at once.
    pub const fn max_waiters(&self) -> u32 {
        self.max_waiters
    }

    /// Calls `f` after every change of the phase, with no lock held; `f` may use the breaker.
    ///
    /// It runs in whoever made the change: in a `failure()` that trips it, in a `try_acquire` that
    /// begins to probe. Changes that follow each other quickly may come in another order; their
    /// [numbers](Change::life) tell. If `f` panics the change has been made, and the panic goes on in
    /// whoever made it. Replaces an earlier one.
    ///
    /// [`changes`](Self::changes) brings them in order to whoever reads them.
    #[cfg(feature = "alloc")]
    pub fn on_change(mut self, f: impl Fn(Change) + Send + Sync + 'static) -> Self {
        self.hooks.set_on_change(Box::new(f));
        self
    }

    /// Asks `f` how long to stay open, instead of the configuration. Replaces an earlier one.
    ///
    /// It runs in whoever reports the failure, with no lock held, before the breaker opens. If it
    /// panics the breaker stays as it is and the next failure asks again; that of a closed breaker is
    /// counted, that of a probe is ignored. A break of zero admits a probe at once.
    #[cfg(feature = "alloc")]
    pub fn break_by(mut self, f: impl Fn(Trip) -> Duration + Send + Sync + 'static) -> Self {
        self.hooks.set_break_by(Box::new(f));
        self
    }
}

/// For those who wait.
#[cfg(feature = "wait")]
impl<C, M: Memory> CircuitBreaker<C, M> {
    /// The waiting line: who waits now, who waited, and for how long at the longest.
    pub fn stats(&self) -> steadfast_core::wait::LineStats {
        self.line.stats()
    }

    pub(crate) const fn shown_name(&self) -> Name {
        self.name
    }

    pub(crate) const fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) const fn state(&self) -> &State<M> {
        &self.state
    }

    pub(crate) const fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(crate) const fn deferred(&self) -> &Deferred {
        &self.deferred
    }
}

impl<C, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    /// Counts a call that was permitted, or rejected for good.
    #[inline]
    pub(crate) fn count(&self, permitted: bool) {
        if let Some(counts) = &self.counts {
            counts.count(permitted);
        }
    }

    fn break_of(&self, trip: Trip) -> Duration {
        self.hooks
            .break_of(trip)
            .unwrap_or_else(|| self.state.terms().break_duration(trip, &mut || self.seed.draw()))
    }

    /// Tells those whom it concerns: first those who wait, then those who watch.
    #[inline]
    pub(crate) fn tell(&self, effects: Effects) {
        if effects != Effects::NONE {
            self.tell_all(effects);
        }
    }

    #[cold]
    fn tell_all(&self, effects: Effects) {
        if effects.wake != Wake::Nobody && self.state.is_occupied() {
            let mark = |occupied| self.state.set_occupied(occupied);
            match effects.wake {
                Wake::All => self.line.wake_all(mark),
                Wake::First | Wake::Nobody => self.line.wake_first(mark),
            }
        }
        if let Some(change) = effects.change {
            self.announce(change);
        }
    }

    /// First to those who read: a callback that panics keeps nothing from them.
    #[cold]
    fn announce(&self, change: Change) {
        self.feed.publish(change);
        self.hooks.changed(change);
    }
}

impl Counts {
    #[inline(never)]
    fn count(&self, permitted: bool) {
        let counter = if permitted { &self.permitted } else { &self.rejected };
        update(counter, |count| Step::Replace(count.saturating_add(1), ()));
    }

    fn load(&self) -> Counted {
        Counted { permitted: Word::load(&self.permitted), rejected: Word::load(&self.rejected) }
    }
}

impl Seed {
    /// A number that differs from trip to trip.
    fn draw(&self) -> u64 {
        if !self.given {
            return own_draw();
        }
        // Any odd number: the generator mixes.
        let seed = update(&self.word, |seed| Step::Replace(seed.wrapping_add(0x9E37_79B9), seed));
        Random::from_seed(seed).next_u64()
    }
}

#[cfg(feature = "std")]
fn own_draw() -> u64 {
    Random::new().next_u64()
}

/// A breaker without a seed has no jitter to draw.
#[cfg(not(feature = "std"))]
fn own_draw() -> u64 {
    0
}

/// A report that is under way: if this is dropped, it was interrupted.
struct Interrupted<'a, C, M: Memory<Word = AtomicU64>>(&'a CircuitBreaker<C, M>);

impl<C, M: Memory<Word = AtomicU64>> Drop for Interrupted<'_, C, M> {
    fn drop(&mut self) {
        self.0.tell(Effects { wake: Wake::First, change: None });
    }
}

impl Decision {
    #[inline]
    fn granted(self, now: Instant, name: Name) -> Result<Pass, TryAcquireError> {
        match self {
            Self::Granted(pass) => Ok(pass),
            Self::Open { until } => Err(TryAcquireError::Open { retry_at: until, now, name }),
            Self::Busy => Err(TryAcquireError::HalfOpenFull { name }),
            Self::RampingUp { until } => {
                Err(TryAcquireError::RampingUp { full_at: until, now, name })
            }
            Self::Isolated => Err(TryAcquireError::Isolated { name }),
        }
    }
}

/// What a [`Permit`] reports to: a [`CircuitBreaker`].
pub trait Owner {
    /// Leave for a call at `now`, or at the clock's time.
    fn begin_at(&self, now: Option<Instant>) -> Result<Pass, TryAcquireError>;

    /// What came of it at `now`, or at the clock's time.
    fn report_at(&self, pass: Pass, outcome: Outcome, now: Option<Instant>);

    /// It is still running at `now`, or at the clock's time.
    fn note_slow_at(&self, pass: &mut Pass, now: Option<Instant>);
}

#[cold]
#[inline(never)]
fn not_refused(now: Instant) -> (Instant, Instant) {
    (now, now)
}

// Apart from the looks that come before them, which are to be small wherever they are inlined.
impl<C: Clock, M: Memory<Word = AtomicU64>> CircuitBreaker<C, M> {
    #[inline(never)]
    fn time(&self, given: Option<Instant>) -> Instant {
        given.unwrap_or_else(|| self.clock.now())
    }

    /// The time, and until when an open breaker refuses everybody: later than that, if it does. (Two
    /// numbers are returned in registers, an `Option` of them is not.)
    // 67 instructions for a refusal against 71 if the clock is read in here.
    #[inline(always)]
    fn refuse_at(&self, now: Instant) -> (Instant, Instant) {
        match self.state.refuses_until(now) {
            Some(until) if self.counts.is_none() => (now, until),
            Some(until) => self.count_refused(now, until),
            None => not_refused(now),
        }
    }

    #[inline(never)]
    fn refuse(&self) -> (Instant, Instant) {
        self.refuse_at(self.clock.now())
    }

    // Apart, as is `not_refused`, so that what is usual takes no more registers than it needs.
    #[cold]
    #[inline(never)]
    fn count_refused(&self, now: Instant, until: Instant) -> (Instant, Instant) {
        self.count(false);
        (now, until)
    }

    #[inline(never)]
    fn begin_closely(&self, now: Instant) -> Decision {
        let (decision, effects) = self.state.begin(false, now);
        self.count(matches!(decision, Decision::Granted(_)));
        if effects != Effects::NONE {
            // It is given back if whoever is told panics.
            let permit = match decision {
                Decision::Granted(pass) => Some(Permit::new(self, pass)),
                _ => None,
            };
            self.tell(effects);
            mem::forget(permit);
        }
        decision
    }

    #[inline(never)]
    fn report_closely(&self, pass: Pass, outcome: Outcome, now: Option<Instant>) {
        let time = || now.unwrap_or_else(|| self.clock.now());
        // If whoever is asked for the break panics, a probe has given its place back all the same.
        let interrupted = Interrupted(self);
        let effects = self.state.report_closely(pass, outcome, time, |trip| self.break_of(trip));
        mem::forget(interrupted);
        self.tell(effects);
    }
}

impl<C: Clock, M: Memory<Word = AtomicU64>> Owner for CircuitBreaker<C, M> {
    // 27 instructions for a permit and a success against 50, which it is otherwise in large programs.
    #[inline(always)]
    fn begin_at(&self, now: Option<Instant>) -> Result<Pass, TryAcquireError> {
        if let Some(pass) = self.state.begin_at_once(|| self.time(now)) {
            self.count(true);
            return Ok(pass);
        }
        let (now, until) = now.map_or_else(|| self.refuse(), |now| self.refuse_at(now));
        if now < until {
            return Err(TryAcquireError::Open { retry_at: until, now, name: self.name });
        }
        self.begin_closely(now).granted(now, self.name)
    }

    #[inline]
    fn report_at(&self, pass: Pass, outcome: Outcome, now: Option<Instant>) {
        if !self.state.report_at_once(pass, outcome) {
            self.report_closely(pass, outcome, now);
        }
    }

    fn note_slow_at(&self, pass: &mut Pass, now: Option<Instant>) {
        if self.state.terms().times_calls() {
            let now = now.unwrap_or_else(|| self.clock.now());
            self.tell(self.state.note_slow(pass, now, |trip| self.break_of(trip)));
        }
    }
}

/// Leave for one call. Report what came of it, once; dropped, it is as if the call had not been made.
///
/// `O` is how it holds the breaker: `&T`, or `Arc<T>` for one that can be sent elsewhere, kept in a
/// stream or carried through `.await` and `?`.
///
/// One that is leaked (`mem::forget`) matters only to a half-open breaker: a leaked probe keeps its
/// place for the [probe timeout](Config::probe_timeout).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use std::sync::Arc;
/// use steadfast_circuit_breaker::{CircuitBreaker, Permit};
///
/// let breaker = Arc::new(CircuitBreaker::new());
/// let permit = Permit::try_new(Arc::clone(&breaker))?;
/// std::thread::spawn(move || permit.success()).join().unwrap();
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it gives it back at once"]
pub struct Permit<O: Deref<Target: Owner>> {
    owner: O,
    pass: Pass,
}

impl<O: Deref<Target: Owner>> Permit<O> {
    /// [`CircuitBreaker::try_acquire`] for any way to hold it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says when to come back, if that is known.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use std::sync::Arc;
    /// use steadfast_circuit_breaker::{CircuitBreaker, Permit};
    ///
    /// let breaker = Arc::new(CircuitBreaker::new());
    /// let permit = Permit::try_new(Arc::clone(&breaker))?;
    /// std::thread::spawn(move || permit.success()).join().unwrap();
    /// # }
    /// # Ok::<(), steadfast_circuit_breaker::TryAcquireError>(())
    /// ```
    #[inline]
    pub fn try_new(owner: O) -> Result<Self, TryAcquireError> {
        let pass = owner.begin_at(None)?;
        Ok(Self::new(owner, pass))
    }

    /// [`CircuitBreaker::try_acquire_at`] for any way to hold it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] says when to come back, if that is known.
    #[inline]
    pub fn try_new_at(owner: O, now: Instant) -> Result<Self, TryAcquireError> {
        let pass = owner.begin_at(Some(now))?;
        Ok(Self::new(owner, pass))
    }

    /// The breaker that it is of, as it holds it.
    pub const fn owner(&self) -> &O {
        &self.owner
    }

    #[inline]
    pub(crate) const fn new(owner: O, pass: Pass) -> Self {
        Self { owner, pass }
    }

    /// Whether the call is a probe: one of few, to see whether calls work again.
    pub const fn is_probe(&self) -> bool {
        self.pass.is_probe()
    }

    /// It worked.
    #[inline]
    pub fn success(self) {
        self.report(Outcome::Success);
    }

    /// It failed.
    #[inline]
    pub fn failure(self) {
        self.report(Outcome::FAILURE);
    }

    /// Neither: a call that says nothing about the service, for instance one that was not valid. The
    /// same as dropping it.
    pub fn ignore(self) {
        self.report(Outcome::Ignored);
    }

    /// What came of it.
    #[inline]
    pub fn report(self, outcome: Outcome) {
        self.end(outcome, None);
    }

    /// [`success`](Permit::success) at `now`.
    #[inline]
    pub fn success_at(self, now: Instant) {
        self.report_at(Outcome::Success, now);
    }

    /// [`failure`](Permit::failure) at `now`.
    #[inline]
    pub fn failure_at(self, now: Instant) {
        self.report_at(Outcome::FAILURE, now);
    }

    /// [`report`](Permit::report) at `now`.
    #[inline]
    pub fn report_at(self, outcome: Outcome, now: Instant) {
        self.end(outcome, Some(now));
    }

    /// Counts the call as slow if by now it takes as long as a slow one, although it has not ended:
    /// so that calls that hang trip the breaker before they end. How it ends is reported as always,
    /// and is not counted as slow again.
    ///
    /// Of a probe, only the end is counted.
    pub fn note_slow(&mut self) {
        self.owner.note_slow_at(&mut self.pass, None);
    }

    /// [`note_slow`](Permit::note_slow) at `now`.
    pub fn note_slow_at(&mut self, now: Instant) {
        self.owner.note_slow_at(&mut self.pass, Some(now));
    }

    #[cold]
    fn give_back(&mut self) {
        self.owner.report_at(self.pass, Outcome::Ignored, None);
    }

    // 62 instructions for a permit and a success against 93, and no copy of the permit in memory.
    #[inline(always)]
    fn end(mut self, outcome: Outcome, now: Option<Instant>) {
        // First, so that a panic of whoever is told does not report twice.
        let pass = self.pass.take();
        self.owner.report_at(pass, outcome, now);
    }
}

impl<O: Deref<Target: Owner>> Drop for Permit<O> {
    #[inline]
    fn drop(&mut self) {
        if self.pass.is_probe() {
            self.give_back();
        }
    }
}

impl<O: Deref<Target: Owner>> fmt::Debug for Permit<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("is_probe", &self.is_probe()).finish_non_exhaustive()
    }
}

impl<C: Clock, M: Memory<Word = AtomicU64>> fmt::Debug for CircuitBreaker<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name.0)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
