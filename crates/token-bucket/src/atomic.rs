//! The shared bucket: the pure machine of [`state`](crate::state) under memory orderings.
//!
//! # How the word and its frame agree
//!
//! The word is one atomic. What its level means, the frame, takes four more numbers. There are two
//! frames in memory; the word's generation says which of them is in force (its lowest bit), and
//! only the other one is ever written:
//!
//! ```text
//!  word: [ … generation 5 │ level ]        frames[0]: of generation 4 or 6 (being written)
//!                   └── odd ──────────────▶ frames[1]: of generation 5
//! ```
//!
//! 1. A reader that grants loads the word, loads the four numbers of its frame, decides, and moves
//!    the word by compare-and-swap, which fails if the generation is another by now.
//! 2. A refusal changes nothing: it makes sure instead that the word is still what it was. Whatever
//!    else only looks may take longer, and makes sure that nobody began to write a frame meanwhile,
//!    by a count of writes that never wraps.
//! 3. A writer (a new configuration, or a frame that has come to its end) makes that count odd,
//!    writes the frame not in force, moves the word to the next generation, and makes it even.
//!
//! A reader never waits for a writer. A frame lasts years at most rates, and at least a millisecond
//! at any.
//!
//! The generation has 6 bits. A grant would act on a stale frame if its thread were stopped between
//! two instructions while exactly a multiple of 64 frames pass, and found the level, to the unit, as
//! it was. The harm would be tokens granted early that the level still counts; of a refusal, a wrong
//! `retry_at`.

use core::fmt;
use core::sync::atomic::Ordering;

use steadfast_core::sync::atomic::{AtomicU64, fence};
use steadfast_core::sync::spin_loop;
use steadfast_core::{Clock, Instant, Line, Step, SystemClock, const_unless_loom, update};

use crate::config::{Config, ConfigError, Rate};
use crate::error::TryAcquireError;
use crate::state::{AtOnce, Decision, Limits, State, Word};

/// How often a decision that needs a new frame is tried while another thread writes one.
const MOST_TRIES: u32 = 1_000;

/// A token bucket on `&self`, for any number of threads and tasks.
///
/// `C` is its clock. The everyday type is `TokenBucket`, on the system's clock. Methods ending in
/// `_at` take the time instead and need no clock at all.
///
/// # Memory ordering
///
/// A grant is a release and an acquire of the bucket's word, so what a thread did before it gave
/// tokens back with [`refund`](TokenBucket::refund) is visible to the one that takes them. A
/// refusal is an acquire.
///
/// # Examples
///
/// ```
/// use steadfast_core::Instant;
/// use steadfast_token_bucket::{Config, Rate, TokenBucket, TryAcquireError};
///
/// static LIMIT: TokenBucket = Config::new(Rate::per_second(1_000)).burst(2).build_static();
///
/// let now = Instant::ZERO;
/// assert!(LIMIT.try_acquire_at(2, now).is_ok());
/// let retry_at = Instant::from_nanos(1_000_000);
/// assert_eq!(LIMIT.try_acquire_at(1, now), Err(TryAcquireError::Denied { retry_at, now }));
/// assert!(LIMIT.try_acquire_at(1, retry_at).is_ok());
/// ```
pub struct TokenBucket<C = SystemClock> {
    word: AtomicU64,
    frames: [Frame; 2],
    /// How often somebody began or ended to write the frame not in force: odd while they do.
    writes: AtomicU64,
    counters: Counters,
    pub(crate) max_waiters: u32,
    pub(crate) clock: C,
    pub(crate) line: Line,
}

/// What a level means, in one generation.
struct Frame {
    per_ns: AtomicU64,
    per_token: AtomicU64,
    capacity: AtomicU64,
    horizon: AtomicU64,
}

/// Opt-in counters: the second shared write that a grant otherwise does without.
struct Counters {
    on: bool,
    granted: AtomicU64,
    refused: AtomicU64,
}

/// What a bucket has done, as of about one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Tokens granted; `None` unless the bucket is [`counted`](Config::counted).
    pub granted: Option<u64>,
    /// Requests refused at once; `None` unless the bucket is [`counted`](Config::counted).
    pub refused: Option<u64>,
    /// The waiting line: who waits now, who waited, and for how long at the longest.
    #[cfg(feature = "wait")]
    pub line: steadfast_core::wait::LineStats,
}

impl Config {
    /// A bucket on a clock of yours, that begins at `now`.
    pub fn build_at<C>(self, clock: C, now: Instant) -> Result<TokenBucket<C>, ConfigError> {
        Ok(TokenBucket::from_state(self.state(now)?, self, clock))
    }

    /// A bucket on a clock of yours, that begins now.
    pub fn build_with<C: Clock>(self, clock: C) -> Result<TokenBucket<C>, ConfigError> {
        let now = clock.now();
        self.build_at(clock, now)
    }

    /// A bucket on the system's clock, that begins now.
    #[cfg(feature = "std")]
    pub fn build(self) -> Result<TokenBucket, ConfigError> {
        self.build_with(SystemClock)
    }

    const_unless_loom! {
        /// A bucket for a `static`, on the system's clock. It begins at the clock's origin: the
        /// first use of that clock in the process. An initial fill below the burst refills from
        /// then on.
        ///
        /// # Panics
        ///
        /// If there can be no such bucket: a compile error in a `static` or `const`.
        ///
        /// ```compile_fail,E0080
        /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
        ///
        /// static LIMIT: TokenBucket = Config::new(Rate::per_second(0)).build_static();
        /// ```
        pub const fn build_static(self) -> TokenBucket {
            self.build_static_with(SystemClock)
        }
    }

    const_unless_loom! {
        /// A bucket for a `static`, on a clock of yours, beginning at its origin, whenever that was.
        ///
        /// # Panics
        ///
        /// If there can be no such bucket: a compile error in a `static` or `const`.
        pub const fn build_static_with<C: Copy>(self, clock: C) -> TokenBucket<C> {
            match self.state(Instant::ZERO) {
                Ok(state) => TokenBucket::from_state(state, self, clock),
                Err(error) => panic!("{}", error.const_message()),
            }
        }
    }
}

#[cfg(feature = "std")]
impl TokenBucket {
    /// A bucket that refills at `rate`, holds the rate's tokens and begins full. For anything else
    /// see [`Config`].
    pub fn new(rate: Rate) -> Result<Self, ConfigError> {
        Config::new(rate).build()
    }
}

impl<C> TokenBucket<C> {
    const_unless_loom! {
        const fn from_state(state: State, config: Config, clock: C) -> Self {
            let frames = [Frame::new(&state), Frame::new(&state)];
            Self {
                word: AtomicU64::new(state.word.0),
                frames,
                writes: AtomicU64::new(0),
                counters: Counters {
                    on: config.counted,
                    granted: AtomicU64::new(0),
                    refused: AtomicU64::new(0),
                },
                max_waiters: config.max_waiters,
                clock,
                line: Line::new(),
            }
        }
    }

    /// Takes `n` tokens at `now`, or says when it could. Never waits, never writes on refusal.
    ///
    /// While requests wait in line it refuses, so that nobody is overtaken; `retry_at` then counts
    /// those ahead. Taking 0 tokens succeeds unless the bucket is closed.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] separates "not now" from "never".
    // See `take_at_once`.
    #[inline(always)]
    pub fn try_acquire_at(&self, n: u64, now: Instant) -> Result<(), TryAcquireError> {
        match self.take_at_once(n, now) {
            Some(Decision::Granted) => {
                self.count(n, false);
                Ok(())
            }
            Some(Decision::Denied { retry_at }) => {
                self.count(n, true);
                Err(TryAcquireError::Denied { retry_at, now })
            }
            _ => self.try_closely(n, now),
        }
    }

    /// Takes as many tokens as there are at `now`, at most `max`, and returns how many: 0 if there
    /// is none, if requests wait in line, or if the bucket is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(10)).build_static();
    ///
    /// assert_eq!(LIMIT.try_acquire_up_to_at(7, Instant::ZERO), 7);
    /// assert_eq!(LIMIT.try_acquire_up_to_at(7, Instant::ZERO), 3, "as many as there are");
    /// ```
    #[inline]
    pub fn try_acquire_up_to_at(&self, max: u64, now: Instant) -> u64 {
        let taken = self.take_between(1, max, now);
        if taken == 0 {
            self.count(0, true);
        }
        taken
    }

    /// As many tokens as there are between `min` and `max`, or 0: then the caller counts the refusal.
    #[inline]
    pub(crate) fn take_between(&self, min: u64, max: u64, now: Instant) -> u64 {
        let taken = self.decide(|state| state.take_between(min, max, now)).unwrap_or(0);
        if taken > 0 {
            self.count(taken, false);
        }
        taken
    }

    /// Takes `n` tokens for a wait: in turn for the head of the line, otherwise as a newcomer.
    // See `TokenBucket::attempt`.
    #[cfg(feature = "wait")]
    #[inline(always)]
    pub(crate) fn take_for_wait(&self, n: u64, in_turn: bool, now: Instant) -> Decision {
        let at_once = if in_turn { None } else { self.take_at_once(n, now) };
        let decision = at_once.unwrap_or_else(|| self.take_closely(n, in_turn, now));
        if decision == Decision::Granted {
            self.count(n, false);
        }
        decision
    }

    /// Takes `n` tokens, or refuses them, in the common case: the hot path. `None` in any other.
    // A call of its own would double its instructions.
    #[inline(always)]
    fn take_at_once(&self, n: u64, now: Instant) -> Option<Decision> {
        let (state, at_once) = update(&self.word, |word| {
            let state = self.frame_of(Word(word)).state(Word(word));
            match state.take_at_once(n, now) {
                AtOnce::Granted(next) => Step::Replace(next.0, (state, AtOnce::Granted(next))),
                other => Step::Keep((state, other)),
            }
        });
        match at_once {
            AtOnce::Granted(_) => Some(Decision::Granted),
            AtOnce::Short(units) if self.is_still(state.word) => {
                Some(state.limits.denied(units, now))
            }
            AtOnce::Short(_) | AtOnce::Uncommon => None,
        }
    }

    /// Whether the word is what it was when it was last loaded with Acquire: then whatever was read
    /// since was the frame of its generation throughout.
    #[inline]
    fn is_still(&self, word: Word) -> bool {
        // ORDERING: this fence partners with the Release fence in `renew`: if one of the loads of
        // the frame saw a number written there, the load below sees a later generation than its.
        // RACE: a renewal between two of those loads. Model:
        // `a_refusal_never_mixes_two_configurations`.
        fence(Ordering::Acquire);
        // ORDERING: Relaxed; ordered by the fence.
        self.word.load(Ordering::Relaxed) == word.0
    }

    /// Takes `n` tokens where anything can be the case.
    #[cold]
    #[inline(never)]
    fn take_closely(&self, n: u64, in_turn: bool, now: Instant) -> Decision {
        for _ in 0..MOST_TRIES {
            let take = |state: State| {
                if in_turn { state.take_in_turn(n, now) } else { state.take(n, now) }
            };
            if let Some(decision) = self.decide(take) {
                return decision;
            }
            spin_loop();
        }
        // Whoever writes the frame has been interrupted, perhaps by us.
        Decision::Denied { retry_at: now }
    }

    /// Whole tokens that are there at `now`. Looking takes nothing.
    pub fn available_at(&self, now: Instant) -> u64 {
        self.look(|state| state.available(now))
    }

    /// The first instant from `now` at which `n` tokens will be there, after those ahead in line
    /// have been served. Looking takes nothing.
    ///
    /// # Errors
    ///
    /// If they never will.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(10)).build_static();
    ///
    /// LIMIT.try_acquire_at(10, Instant::ZERO)?;
    /// assert_eq!(LIMIT.ready_at(2, Instant::ZERO)?, Instant::from_nanos(200_000_000));
    /// # Ok::<(), steadfast_token_bucket::TryAcquireError>(())
    /// ```
    pub fn ready_at(&self, n: u64, now: Instant) -> Result<Instant, TryAcquireError> {
        let ahead = self.line.weight();
        let (burst, closed, ready_at) = self.look(|state| {
            let ready_at = state.ready_at(u128::from(n) + u128::from(ahead), now);
            (state.limits.burst(), state.word.is_closed(), ready_at)
        });
        match (closed, n > burst) {
            (true, _) => Err(TryAcquireError::Closed),
            (_, true) => Err(TryAcquireError::ExceedsBurst { burst }),
            _ => Ok(ready_at),
        }
    }

    /// Gives `n` tokens back, up to the burst, and wakes whoever waits for them.
    ///
    /// It needs no time: what exceeds the burst is cut when the bucket is next looked at. Give back
    /// only what was not used: for the server that counts, tokens given back late may add to those
    /// that have accrued meanwhile, up to the burst.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(10)).build_static();
    ///
    /// LIMIT.try_acquire_at(10, Instant::ZERO)?;
    /// LIMIT.refund(3);                                // three requests were not sent
    /// assert_eq!(LIMIT.available_at(Instant::ZERO), 3);
    /// # Ok::<(), steadfast_token_bucket::TryAcquireError>(())
    /// ```
    pub fn refund(&self, n: u64) {
        let occupied = self
            .decide(|state| {
                let refunded = state.refund(n);
                (refunded.word.is_occupied(), refunded)
            })
            .unwrap_or(false);
        if occupied {
            self.line.wake_first(|occupied| self.set_occupied(occupied));
        }
    }

    /// Changes rate and burst at `now`, as one step: time up to `now` is settled at the old rate,
    /// the tokens there are carried over (up to the new burst), and everybody who waits is woken to
    /// look at the new terms.
    ///
    /// The other settings of `config` (initial fill, waiting limit, counting) are not looked at.
    ///
    /// Spins while another thread does the same; do not call it in an interrupt handler that can
    /// interrupt another call.
    ///
    /// # Errors
    ///
    /// If there can be no such bucket. It is then as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(10)).build_static();
    ///
    /// // After ten seconds the server names another limit: from then on.
    /// let now = Instant::from_nanos(10_000_000_000);
    /// LIMIT.reconfigure_at(&Config::new(Rate::per_second(1_000)), now)?;
    /// assert_eq!(LIMIT.available_at(now), 10);
    /// assert_eq!(LIMIT.available_at(Instant::from_nanos(10_100_000_000)), 110);
    /// # Ok::<(), steadfast_token_bucket::ConfigError>(())
    /// ```
    pub fn reconfigure_at(&self, config: &Config, now: Instant) -> Result<(), ConfigError> {
        let limits = config.limits()?;
        while self.renew(|state| ((), state.reconfigure(limits, now))).is_none() {
            spin_loop();
        }
        self.wake_all_if_occupied();
        Ok(())
    }

    /// Closes the bucket: present and future requests fail. There is no way back.
    ///
    /// # Examples
    ///
    /// ```
    /// use steadfast_core::Instant;
    /// use steadfast_token_bucket::{Config, Rate, TokenBucket, TryAcquireError};
    ///
    /// static LIMIT: TokenBucket = Config::new(Rate::per_second(10)).build_static();
    ///
    /// LIMIT.close();
    /// let refused = LIMIT.try_acquire_at(1, Instant::ZERO).unwrap_err();
    /// assert_eq!(refused, TryAcquireError::Closed);
    /// assert!(refused.is_never());
    /// ```
    pub fn close(&self) {
        let _answer = self.decide(|state| ((), state.close()));
        self.wake_all_if_occupied();
    }

    /// Whether the bucket is closed.
    pub fn is_closed(&self) -> bool {
        self.look(|state| state.word.is_closed())
    }

    /// The rate in force, in lowest terms.
    pub fn rate(&self) -> Rate {
        self.look(|state| state.limits.rate())
    }

    /// The burst in force.
    pub fn burst(&self) -> u64 {
        self.look(|state| state.limits.burst())
    }

    /// The pure machine as it is now: for tests, simulations and snapshots.
    pub fn snapshot(&self) -> State {
        self.look(|state| state)
    }

    /// The clock.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// What the bucket has done so far.
    pub fn stats(&self) -> Stats {
        // ORDERING: Relaxed; counters publish nothing and may disagree by what is under way.
        let read = |counter: &AtomicU64| self.counters.on.then(|| counter.load(Ordering::Relaxed));
        Stats {
            granted: read(&self.counters.granted),
            refused: read(&self.counters.refused),
            #[cfg(feature = "wait")]
            line: self.line.stats(),
        }
    }

    /// Sets or clears the mark that makes newcomers join the line.
    pub(crate) fn set_occupied(&self, occupied: bool) {
        update(&self.word, |word| Step::Replace(Word(word).with_occupied(occupied).0, ()));
    }

    fn wake_all_if_occupied(&self) {
        if self.look(|state| state.word.is_occupied()) {
            self.line.wake_all(|occupied| self.set_occupied(occupied));
        }
    }

    /// Makes a decision of the machine, and moves the word if it moved the state. `None` if the
    /// frame has to be renewed and somebody else is doing so just now.
    #[inline]
    fn decide<R>(&self, transition: impl Fn(State) -> (R, State)) -> Option<R> {
        loop {
            let writes = self.writes_so_far();
            let verdict = update(&self.word, |word| {
                let state = self.frame_of(Word(word)).state(Word(word));
                let (answer, next) = transition(state);
                if next.word == state.word {
                    return Step::Keep(Verdict::Unchanged(answer));
                }
                if next.word.generation() == state.word.generation() {
                    return Step::Replace(next.word.0, Verdict::Done(answer));
                }
                Step::Keep(Verdict::NewFrame)
            });
            match verdict {
                Verdict::Done(answer) => return Some(answer),
                Verdict::Unchanged(answer) if self.no_write_since(writes) => return Some(answer),
                // RACE: the frame was renewed while its numbers were being read. Model:
                // `a_grant_never_mixes_two_configurations`.
                Verdict::Unchanged(..) => {}
                Verdict::NewFrame => return self.renew(transition),
            }
        }
    }

    /// Reads the state without moving it.
    #[inline]
    pub(crate) fn look<R>(&self, f: impl Fn(State) -> R) -> R {
        loop {
            let writes = self.writes_so_far();
            let answer = update(&self.word, |word| {
                Step::Keep(f(self.frame_of(Word(word)).state(Word(word))))
            });
            if self.no_write_since(writes) {
                return answer;
            }
        }
    }

    /// Taken before the word is loaded, for `no_write_since`.
    #[inline]
    fn writes_so_far(&self) -> u64 {
        // ORDERING: Acquire partners with the Release at the end of `renew`: whoever sees that a
        // write has ended sees the generation that it brought into force.
        self.writes.load(Ordering::Acquire)
    }

    /// Whether the frame that was read since was that of its generation throughout: nobody has begun
    /// to write one. (Whoever had begun before writes the frame not in force.)
    #[inline]
    fn no_write_since(&self, writes: u64) -> bool {
        // ORDERING: this fence partners with the Release fence in `renew`: if one of the loads of
        // the frame saw a number written there, the load below sees that writing had begun.
        fence(Ordering::Acquire);
        // ORDERING: Relaxed; ordered by the fence.
        self.writes.load(Ordering::Relaxed) == writes
    }

    /// As `decide`, for a transition that may lead to a new frame. `None` if somebody else is
    /// writing one.
    #[cold]
    #[inline(never)]
    fn renew<R>(&self, transition: impl Fn(State) -> (R, State)) -> Option<R> {
        let begin = |writes: u64| match writes % 2 {
            0 => Step::Replace(writes + 1, Some(writes + 2)),
            _ => Step::Keep(None),
        };
        let ended = update(&self.writes, begin)?;
        let answer = update(&self.word, |word| {
            let state = self.frame_of(Word(word)).state(Word(word));
            let (answer, next) = transition(state);
            if next.word.generation() != state.word.generation() {
                next.invariants();
                // ORDERING: this fence partners with those in `no_write_since` and `is_still`:
                // whoever sees a number written below also sees that writing has begun, and the
                // generation that made it possible.
                fence(Ordering::Release);
                self.frame_of(next.word).store(&next);
            } else if next.word == state.word {
                return Step::Keep(answer);
            }
            Step::Replace(next.word.0, answer)
        });
        // ORDERING: Release publishes the frame and its generation, to the next writer (whose update
        // begins with an Acquire) and to `writes_so_far`.
        self.writes.store(ended, Ordering::Release);
        Some(answer)
    }

    /// A branch, not an index: once it is predicted, the frame's numbers are read while the word is
    /// still on its way, which is a tenth of a grant.
    #[inline]
    fn frame_of(&self, word: Word) -> &Frame {
        let [even, odd] = &self.frames;
        if word.generation() & 1 == 0 { even } else { odd_frame(odd) }
    }

    /// `try_acquire_at` where anything can be the case.
    #[cold]
    #[inline(never)]
    fn try_closely(&self, n: u64, now: Instant) -> Result<(), TryAcquireError> {
        let mut decision = self.take_closely(n, false, now);
        // The line may empty meanwhile; then the forecast is that of a moment ago.
        if let Decision::Denied { .. } = decision {
            let ahead = self.line.weight();
            if ahead > 0 {
                decision = self.look(|state| state.behind_line(n, ahead, now));
            }
        }
        self.count(n, decision != Decision::Granted);
        decision.result(self.burst(), now)
    }

    #[inline]
    fn count(&self, n: u64, refused: bool) {
        if self.counters.on {
            let (counter, by) =
                if refused { (&self.counters.refused, 1) } else { (&self.counters.granted, n) };
            // ORDERING: Relaxed; a counter publishes nothing.
            counter.fetch_add(by, Ordering::Relaxed);
        }
    }
}

impl<C: Clock> TokenBucket<C> {
    /// [`try_acquire_at`](TokenBucket::try_acquire_at) now.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use steadfast_token_bucket::{Rate, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Rate::per_hour(2))?;
    /// assert!(bucket.try_acquire(2).is_ok());
    /// let denied = bucket.try_acquire(1).unwrap_err();
    /// assert!(denied.retry_after_secs_ceil() > Some(1_700));
    /// # }
    /// # Ok::<(), steadfast_token_bucket::ConfigError>(())
    /// ```
    // See `take_at_once`.
    #[inline(always)]
    pub fn try_acquire(&self, n: u64) -> Result<(), TryAcquireError> {
        self.try_acquire_at(n, self.clock.now())
    }

    /// [`try_acquire_up_to_at`](TokenBucket::try_acquire_up_to_at) now.
    #[inline]
    pub fn try_acquire_up_to(&self, max: u64) -> u64 {
        self.try_acquire_up_to_at(max, self.clock.now())
    }

    /// [`available_at`](TokenBucket::available_at) now.
    pub fn available(&self) -> u64 {
        self.available_at(self.clock.now())
    }

    /// [`reconfigure_at`](TokenBucket::reconfigure_at) now.
    ///
    /// # Errors
    ///
    /// If there can be no such bucket. It is then as it was.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ConfigError> {
        self.reconfigure_at(config, self.clock.now())
    }
}

/// Keeps the branch in `frame_of` a branch.
#[cold]
#[inline(never)]
fn odd_frame(frame: &Frame) -> &Frame {
    frame
}

/// What `decide` found.
enum Verdict<R> {
    Done(R),
    Unchanged(R),
    NewFrame,
}

impl Frame {
    const_unless_loom! {
        const fn new(state: &State) -> Self {
            Self {
                per_ns: AtomicU64::new(state.limits.per_ns),
                per_token: AtomicU64::new(state.limits.per_token),
                capacity: AtomicU64::new(state.limits.capacity),
                horizon: AtomicU64::new(state.horizon),
            }
        }
    }

    /// The state that `word` means in this frame.
    #[inline]
    fn state(&self, word: Word) -> State {
        // ORDERING: Relaxed; the word was loaded with Acquire, which partners with the Release that
        // brought this generation into force. Whether a later frame was mixed in is found out
        // afterwards: by the compare-and-swap of the word, in `is_still`, or in `no_write_since`.
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let limits = Limits {
            per_ns: load(&self.per_ns),
            per_token: load(&self.per_token),
            capacity: load(&self.capacity),
        };
        State { limits, horizon: load(&self.horizon), word }
    }

    fn store(&self, state: &State) {
        // ORDERING: Relaxed; published by the Release that brings the generation into force.
        let store = |number: &AtomicU64, value| number.store(value, Ordering::Relaxed);
        store(&self.per_ns, state.limits.per_ns);
        store(&self.per_token, state.limits.per_token);
        store(&self.capacity, state.limits.capacity);
        store(&self.horizon, state.horizon);
    }
}

impl<C> fmt::Debug for TokenBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.snapshot();
        f.debug_struct("TokenBucket")
            .field("rate", &state.limits.rate())
            .field("burst", &state.limits.burst())
            .field("closed", &state.word.is_closed())
            .field("occupied", &state.word.is_occupied())
            .field("max_waiters", &self.max_waiters)
            .finish_non_exhaustive()
    }
}
