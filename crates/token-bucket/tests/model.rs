//! The pure machine and the shared bucket against a naive oracle, and the two promises that speak
//! of histories: never more than `burst + rate × window` in any window, never more than a token
//! less than the rate gives.
//!
//! Everything down to `properties` uses no test framework, so that a fuzz target can include this
//! file and call [`run`].

#![cfg(not(loom))]

use std::time::Duration;

use steadfast_core::Instant;
use steadfast_token_bucket::state::{Decision, MAX_STEP_BACK, State};
use steadfast_token_bucket::{Config, ConfigError, Rate, TokenBucket, TryAcquireError};

/// A rate and a burst. Any numbers will do: [`Terms::fitted`] makes them fit.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The rate's tokens.
    pub tokens: u64,
    /// The rate's period.
    pub period_ns: u64,
    /// The burst; what is out of range becomes the nearest that is not.
    pub burst: u64,
}

impl Terms {
    /// With the burst nearest to the one given; `None` if there is no such rate.
    pub fn fitted(self) -> Option<Self> {
        match self.config().burst(u64::MAX).limits() {
            Err(ConfigError::BurstOutOfRange { max, .. }) => {
                Some(Self { burst: self.burst.clamp(1, max), ..self })
            }
            _ => None,
        }
    }

    /// As a configuration, just as they are.
    pub fn config(self) -> Config {
        Config::new(Rate::new(self.tokens, Duration::from_nanos(self.period_ns))).burst(self.burst)
    }
}

/// A number of tokens.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// That many.
    Just(u64),
    /// So many 255ths of the burst.
    Share(u8),
    /// That many more than the burst.
    Above(u64),
}

/// A length of time.
#[derive(Debug, Clone, Copy)]
pub enum Span {
    /// Nanoseconds.
    Ns(u64),
    /// The time in which so many tokens accrue, rounded up, and so many nanoseconds more.
    Tokens(u32, i8),
}

/// What can happen to a bucket.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    /// Another bucket, in place of the one before.
    Build {
        /// Its rate and burst.
        terms: Terms,
        /// Its first tokens.
        initial: Amount,
        /// When it begins.
        at: u64,
    },
    /// Time goes on, at most to its end.
    Advance(Span),
    /// The clock steps back, at most to its origin.
    StepBack(Span),
    /// So many tokens or none.
    Take(Amount),
    /// As many as there are, between the first and the second.
    TakeBetween(Amount, Amount),
    /// As `Take`, and again at the instant that a denial names.
    TakeInTime(Amount),
    /// Gives tokens back.
    Refund(Amount),
    /// Other terms.
    Reconfigure(Terms),
    /// The end.
    Close,
}

/// Does `ops`, one after the other, to the oracle, the machine and the shared bucket.
///
/// # Panics
///
/// As soon as they disagree.
pub fn run(ops: &[Op]) {
    let terms = Terms { tokens: 10, period_ns: 1_000_000_000, burst: 5 };
    let mut model = Model::new(terms, 5, 0);
    for &op in ops {
        model.step(op);
        model.check();
    }
}

/// The plain definition: `tokens = min(burst, tokens + elapsed × rate)`.
///
/// Tokens are counted in *q*ths, where the rate is *p* tokens in *q* nanoseconds in lowest terms.
#[derive(Debug, Clone, Copy)]
pub struct Oracle {
    p: i128,
    q: i128,
    burst: u64,
    closed: bool,
    /// What there was at `since`, the last instant at which something was taken.
    tokens: i128,
    since: u64,
    /// The greatest time seen since the bucket last believed its clock.
    latest: u64,
    /// A refund of more than was taken may have been cut, and what came of it can be told only at
    /// `latest` or later.
    overfull: bool,
}

/// What the oracle sees at one instant, in *q*ths of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Tokens(i128),
    /// The clock has stepped back: so much has to accrue before there is nothing.
    Debt(i128),
    /// It has stepped back by so much that the bucket believes it.
    Believed,
}

impl Oracle {
    /// A bucket that begins with `initial` tokens.
    pub fn new(terms: Terms, initial: u64, now: u64) -> Self {
        let (mut a, mut b) = (terms.tokens, terms.period_ns);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        let (p, q) = (i128::from(terms.tokens / a), i128::from(terms.period_ns / a));
        Self {
            p,
            q,
            burst: terms.burst,
            closed: false,
            tokens: i128::from(initial) * q,
            since: now,
            latest: now,
            overfull: false,
        }
    }

    fn full(&self) -> i128 {
        i128::from(self.burst) * self.q
    }

    /// The definition.
    fn at(&self, now: u64) -> i128 {
        let elapsed = i128::from(now) - i128::from(self.since);
        self.full().min(self.tokens + elapsed * self.p)
    }

    fn sight(&self, now: u64) -> Sight {
        let tokens = self.at(now);
        if tokens >= 0 {
            Sight::Tokens(tokens)
        } else if ceil(-tokens, self.p) <= nanos(MAX_STEP_BACK) {
            Sight::Debt(-tokens)
        } else {
            Sight::Believed
        }
    }

    /// What there is and what is owed.
    fn balance(&self, now: u64) -> (i128, i128) {
        match self.sight(now) {
            Sight::Tokens(tokens) => (tokens, 0),
            Sight::Debt(debt) => (0, debt),
            Sight::Believed => (0, 0),
        }
    }

    fn settle(&mut self, tokens: i128, now: u64) {
        (self.tokens, self.since, self.overfull) = (tokens, now, false);
    }

    fn take(&mut self, n: u64, now: u64) -> Decision {
        if self.closed {
            return Decision::Closed;
        }
        if n > self.burst {
            return Decision::ExceedsBurst;
        }
        let (there, debt) = self.balance(now);
        let cost = i128::from(n) * self.q;
        if debt == 0 && cost <= there {
            self.believe(now);
            self.settle(there - cost, now);
            return Decision::Granted;
        }
        if n == 0 {
            return Decision::Granted;
        }
        self.believe(now);
        Decision::Denied { retry_at: later(now, ceil(cost + debt - there, self.p)) }
    }

    fn take_between(&mut self, min: u64, max: u64, now: u64) -> u64 {
        if self.closed {
            return 0;
        }
        let whole = u64::try_from(self.balance(now).0 / self.q).expect("at most the burst");
        let taken = whole.min(max);
        self.believe(now);
        if taken == 0 || taken < min {
            return 0;
        }
        assert_eq!(self.take(taken, now), Decision::Granted);
        taken
    }

    /// After a step back that is believed, the bucket begins again, empty.
    fn believe(&mut self, now: u64) {
        if self.sight(now) == Sight::Believed {
            self.settle(0, now);
            self.latest = now;
        }
    }

    /// Whether a refund of `n` would be of more than was taken.
    fn overfills(&self, n: u64) -> bool {
        let elapsed = i128::from(self.latest) - i128::from(self.since);
        self.tokens + elapsed * self.p + i128::from(n) * self.q > self.full()
    }

    fn refund(&mut self, n: u64) {
        self.overfull |= self.overfills(n);
        self.tokens += i128::from(n) * self.q;
    }

    fn reconfigure(&mut self, terms: Terms, now: u64) {
        let (there, _) = self.balance(now);
        let mut next = Self::new(terms, 0, now);
        next.tokens = (there * next.q / self.q).min(next.full());
        next.closed = self.closed;
        *self = next;
    }

    fn ready_at(&self, n: u64, now: u64) -> Instant {
        let (there, debt) = self.balance(now);
        later(now, ceil((i128::from(n) * self.q + debt - there).max(0), self.p))
    }
}

fn ceil(units: i128, per_ns: i128) -> i128 {
    (units + per_ns - 1) / per_ns
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).expect("a duration has at most 94 bits")
}

fn later(now: u64, delay: i128) -> Instant {
    u64::try_from(i128::from(now) + delay).map_or(Instant::MAX, Instant::from_nanos)
}

/// The oracle and what it judges, side by side.
struct Model {
    oracle: Oracle,
    state: State,
    bucket: TokenBucket<()>,
    now: u64,
}

impl Model {
    fn new(terms: Terms, initial: u64, at: u64) -> Self {
        let config = terms.config().initial(initial);
        let now = Instant::from_nanos(at);
        Self {
            oracle: Oracle::new(terms, initial, at),
            state: config.state(now).expect("fitted terms"),
            bucket: config.build_at((), now).expect("fitted terms"),
            now: at,
        }
    }

    fn tokens(&self, amount: Amount) -> u64 {
        let burst = self.oracle.burst;
        match amount {
            Amount::Just(n) => n,
            Amount::Share(part) => {
                let share = u128::from(burst) * u128::from(part) / 255;
                u64::try_from(share).expect("at most the burst")
            }
            Amount::Above(n) => burst.saturating_add(n),
        }
    }

    fn ns(&self, span: Span) -> u64 {
        match span {
            Span::Ns(ns) => ns,
            Span::Tokens(n, more) => {
                let ns = ceil(i128::from(n) * self.oracle.q, self.oracle.p);
                u64::try_from(ns).unwrap_or(u64::MAX).saturating_add_signed(i64::from(more))
            }
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Build { terms, initial, at } => {
                if let Some(terms) = terms.fitted() {
                    self.oracle.burst = terms.burst;
                    let initial = self.tokens(initial).min(terms.burst);
                    *self = Self::new(terms, initial, at);
                }
            }
            Op::Advance(span) => self.now = self.now.saturating_add(self.ns(span)),
            Op::StepBack(span) => {
                // By how much an overfull bucket was cut shows if time goes back; nothing promises
                // where. Taking nothing settles it, and a closed bucket cannot be settled.
                if self.oracle.overfull {
                    self.take(0);
                }
                if !self.oracle.overfull {
                    self.now = self.now.saturating_sub(self.ns(span));
                }
            }
            Op::Take(amount) => {
                self.take(self.tokens(amount));
            }
            Op::TakeBetween(min, max) => self.take_between(self.tokens(min), self.tokens(max)),
            Op::TakeInTime(amount) => self.take_in_time(self.tokens(amount)),
            Op::Refund(amount) => self.refund(self.tokens(amount)),
            Op::Reconfigure(terms) => self.reconfigure(terms),
            Op::Close => {
                self.oracle.closed = true;
                self.state = self.state.close();
                self.bucket.close();
            }
        }
        self.oracle.latest = self.oracle.latest.max(self.now);
    }

    fn take(&mut self, n: u64) -> Decision {
        let now = Instant::from_nanos(self.now);
        let believed = self.oracle.sight(self.now) == Sight::Believed;
        let expected = self.oracle.take(n, self.now);
        let (decision, next) = self.state.take(n, now);
        assert_eq!(decision, expected, "take {n} at {now:?} of {:?}", self.state);
        assert_eq!(self.state.take_in_turn(n, now), (decision, next), "no line, so it is its turn");
        self.check_occupied(n, decision);
        let shared = match self.bucket.try_acquire_at(n, now) {
            Ok(()) => Decision::Granted,
            Err(TryAcquireError::Denied { retry_at, now: at }) => {
                assert_eq!(at, now);
                Decision::Denied { retry_at }
            }
            Err(TryAcquireError::ExceedsBurst { burst }) => {
                assert_eq!(burst, self.oracle.burst);
                Decision::ExceedsBurst
            }
            Err(TryAcquireError::Closed) => Decision::Closed,
        };
        assert_eq!(shared, expected, "try_acquire_at {n} at {now:?} of {:?}", self.state);
        if decision != Decision::Granted && !believed {
            assert_eq!(next, self.state, "I6: a denial changes nothing");
        }
        self.state = next;
        match decision {
            Decision::Denied { retry_at } if retry_at < Instant::MAX => {
                assert!(retry_at > now, "denied until {retry_at:?} at {now:?}");
                let early = retry_at.saturating_sub(Duration::from_nanos(1));
                let (before, _) = next.take(n, early);
                assert!(matches!(before, Decision::Denied { .. }), "I5: 1 ns before {retry_at:?}");
                let (then, _) = next.take(n, retry_at);
                assert_eq!(then, Decision::Granted, "I5: at {retry_at:?}, as told at {now:?}");
            }
            _ => {}
        }
        decision
    }

    /// A newcomer behind a line is denied whatever there is; its head gets `decision`.
    fn check_occupied(&self, n: u64, decision: Decision) {
        let now = Instant::from_nanos(self.now);
        let occupied = self.state.with_occupied(true);
        let newcomer = match decision {
            Decision::Granted | Decision::Denied { .. } if n > 0 => {
                Decision::Denied { retry_at: self.state.ready_at(u128::from(n), now) }
            }
            same => same,
        };
        assert_eq!(occupied.take(n, now), (newcomer, occupied));
        assert_eq!(occupied.take_between(1, n, now), (0, occupied));
        let (in_turn, next) = occupied.take_in_turn(n, now);
        assert_eq!(in_turn, decision);
        assert!(next.word().is_occupied(), "the mark is not the machine's to clear");
    }

    fn take_in_time(&mut self, n: u64) {
        if let Decision::Denied { retry_at } = self.take(n) {
            if retry_at < Instant::MAX {
                self.now = retry_at.as_nanos();
                assert_eq!(self.take(n), Decision::Granted, "I5");
            }
        }
    }

    fn take_between(&mut self, min: u64, max: u64) {
        let now = Instant::from_nanos(self.now);
        let expected = self.oracle.take_between(min, max, self.now);
        let (taken, next) = self.state.take_between(min, max, now);
        assert_eq!(taken, expected, "take {min} to {max} at {now:?} of {:?}", self.state);
        // The shared bucket has no lower limit in its interface.
        let max = if taken < min { 0 } else { max };
        assert_eq!(self.bucket.try_acquire_up_to_at(max, now), taken);
        self.state = next;
    }

    fn refund(&mut self, n: u64) {
        if self.oracle.overfills(n) {
            // See `Op::StepBack`.
            self.now = self.now.max(self.oracle.latest);
        }
        self.oracle.refund(n);
        self.state = self.state.refund(n);
        self.bucket.refund(n);
    }

    fn reconfigure(&mut self, terms: Terms) {
        let now = Instant::from_nanos(self.now);
        let fitted = terms.fitted();
        let result = self.bucket.reconfigure_at(&fitted.unwrap_or(terms).config(), now);
        assert_eq!(result.is_ok(), fitted.is_some());
        if let Some(terms) = fitted {
            let limits = terms.config().limits().expect("fitted terms");
            self.oracle.reconfigure(terms, self.now);
            self.state = self.state.reconfigure(limits, now);
        }
    }

    /// Everything that can be seen of a bucket, at this instant.
    fn check(&self) {
        let Self { oracle, state, bucket, now } = self;
        let at = Instant::from_nanos(*now);
        assert_eq!(bucket.snapshot(), *state, "the shared bucket is the machine");

        let (there, debt) = oracle.balance(*now);
        let available = u64::try_from(there / oracle.q).expect("at most the burst");
        assert_eq!(state.available(at), available, "available at {at:?} in {state:?}");
        assert_eq!(bucket.available_at(at), available);
        assert_eq!(state.is_full(at), there == oracle.full(), "full at {at:?}: {state:?}");

        let burst = oracle.burst;
        let ready_at = |n| match (oracle.closed, n > burst) {
            (true, _) => Err(TryAcquireError::Closed),
            (_, true) => Err(TryAcquireError::ExceedsBurst { burst }),
            _ => Ok(oracle.ready_at(n, *now)),
        };
        for n in [1, available, available.saturating_add(1), burst, burst.saturating_add(1)] {
            if n == 0 {
                continue;
            }
            let forecast = state.ready_at(u128::from(n), at);
            assert_eq!(forecast, oracle.ready_at(n, *now), "{n} ready at {at:?} in {state:?}");
            assert_eq!(bucket.ready_at(n, at), ready_at(n));
            assert_eq!(state.has(u128::from(n), at), debt == 0 && n <= available);
        }
        let spare = (oracle.full() - oracle.q) / oracle.p;
        assert_eq!(nanos(state.spare(1)), spare, "1 token may be left for {spare} ns");

        assert_eq!((bucket.burst(), bucket.is_closed()), (burst, oracle.closed));
        let rate = (i128::from(bucket.rate().tokens()), nanos(bucket.rate().period()));
        assert_eq!(rate, (oracle.p, oracle.q), "lowest terms");
    }
}

#[cfg(test)]
mod properties {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use proptest::prelude::*;
    use steadfast_test_support::properties::{any_size, effort};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;

    /// From one a day to beyond one a nanosecond; odd ratios; both ends of what can be configured.
    const RATES: &[(u64, u64)] = &[
        (1, DAY),
        (1, SECOND),
        (7, 11 * SECOND),
        (33, 100 * SECOND),
        (1_000_003, SECOND),
        (600_000_000, SECOND),
        (999_999_937, SECOND),
        (1_000_000_000, SECOND),
        (7, 3),
        (1, (1 << 56) - (1 << 20) - 1),
        ((1 << 36) - 1, 1),
        ((1 << 36) - 1, (1 << 20) - 2),
        ((1 << 20) + 1, (1 << 40) - 1),
    ];

    fn rates() -> impl Strategy<Value = (u64, u64)> {
        prop_oneof![
            3 => prop::sample::select(RATES),
            2 => (any_size(36), any_size(57)),
            1 => (any_size(12), any_size(12), any_size(12)).prop_map(|(a, b, k)| (a * k, b * k)),
        ]
    }

    fn any_terms() -> impl Strategy<Value = Terms> {
        let bursts = prop_oneof![Just(1), 2..100_u64, any_size(64), Just(u64::MAX),];
        (rates(), bursts).prop_map(|((tokens, period_ns), burst)| Terms {
            tokens,
            period_ns,
            burst,
        })
    }

    fn terms() -> impl Strategy<Value = Terms> {
        any_terms().prop_filter_map("a rate that can be", Terms::fitted)
    }

    /// Two polls fit into the time of a token, two tokens into the bucket.
    fn slow_terms() -> impl Strategy<Value = Terms> {
        rates().prop_filter_map("2 ns a token", |(tokens, period_ns)| {
            let terms = Terms { tokens, period_ns, burst: 2 }.fitted()?;
            (terms.burst == 2 && period_ns / tokens >= 2).then_some(terms)
        })
    }

    fn instants() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), any_size(64), any_size(60).prop_map(|ns| u64::MAX - ns)]
    }

    fn amounts() -> impl Strategy<Value = Amount> {
        prop_oneof![
            1 => Just(Amount::Just(0)),
            6 => (1..4_u64).prop_map(Amount::Just),
            3 => any::<u8>().prop_map(Amount::Share),
            3 => Just(Amount::Share(255)),
            1 => (1..3_u64).prop_map(Amount::Above),
            1 => Just(Amount::Just(u64::MAX)),
            // Times a period with many factors of 2, it wraps around to nothing.
            1 => (0..64_u32).prop_map(|bit| Amount::Just(1_u64 << bit)),
            2 => any_size(64).prop_map(Amount::Just),
        ]
    }

    fn spans() -> impl Strategy<Value = Span> {
        prop_oneof![
            6 => (0..4_u32, -2..=2_i8).prop_map(|(n, more)| Span::Tokens(n, more)),
            2 => (any::<u32>(), -2..=2_i8).prop_map(|(n, more)| Span::Tokens(n, more)),
            1 => Just(Span::Ns(0)),
            1 => Just(Span::Ns(1)),
            2 => (60 * SECOND - 2..=60 * SECOND + 2).prop_map(Span::Ns),
            4 => any_size(64).prop_map(Span::Ns),
            1 => Just(Span::Ns(u64::MAX)),
        ]
    }

    fn ops() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => spans().prop_map(Op::Advance),
            3 => spans().prop_map(Op::StepBack),
            10 => amounts().prop_map(Op::Take),
            4 => (amounts(), amounts()).prop_map(|(min, max)| Op::TakeBetween(min, max)),
            4 => amounts().prop_map(Op::TakeInTime),
            3 => amounts().prop_map(Op::Refund),
            2 => any_terms().prop_map(Op::Reconfigure),
        ]
    }

    fn build() -> impl Strategy<Value = Op> {
        let initial = prop_oneof![2 => Just(Amount::Share(255)), 1 => amounts()];
        (terms(), initial, instants()).prop_map(|(terms, initial, at)| Op::Build {
            terms,
            initial,
            at,
        })
    }

    proptest! {
        #![proptest_config(effort(6))]

        #[test]
        fn machine_and_bucket_do_what_the_oracle_says(
            build in build(),
            mut ops in prop::collection::vec(ops(), 1..50),
            close_at in prop::option::weighted(0.2, 0..50_usize),
        ) {
            if let Some(at) = close_at {
                ops.insert(at.min(ops.len()), Op::Close);
            }
            ops.insert(0, build);
            run(&ops);
        }
    }

    /// A request, so long after the one before.
    #[derive(Debug, Clone, Copy)]
    enum Request {
        Exactly(Span, Amount),
        UpTo(Span, Amount),
        /// Repeated at the instant named.
        InTime(Span, Amount),
    }

    fn requests() -> impl Strategy<Value = Request> {
        // As `spans`, without those that fill any bucket.
        let gaps = || {
            prop_oneof![
                4 => (0..4_u32, -2..=2_i8).prop_map(|(n, more)| Span::Tokens(n, more)),
                1 => Just(Span::Ns(0)),
                2 => any_size(32).prop_map(Span::Ns),
                1 => any_size(50).prop_map(Span::Ns),
            ]
        };
        prop_oneof![
            (gaps(), amounts()).prop_map(|(gap, n)| Request::Exactly(gap, n)),
            (gaps(), amounts()).prop_map(|(gap, n)| Request::UpTo(gap, n)),
            (gaps(), amounts()).prop_map(|(gap, n)| Request::InTime(gap, n)),
        ]
    }

    /// Grants in the order of their times, held against I4 as they come.
    struct History {
        terms: Terms,
        grants: Vec<(u64, u64)>,
        /// The largest excess over `rate × window` of any window that ends with the last grant.
        excess: u128,
    }

    impl History {
        fn new(terms: Terms) -> Self {
            Self { terms, grants: Vec::new(), excess: 0 }
        }

        /// Tokens in units of which the rate gives `tokens` a nanosecond: not in lowest terms, since
        /// this is not the place to share a mistake.
        fn units(&self, tokens: u64) -> u128 {
            u128::from(tokens) * u128::from(self.terms.period_ns)
        }

        fn accrued(&self, from: u64, to: u64) -> u128 {
            u128::from(to - from) * u128::from(self.terms.tokens)
        }

        /// A window that ends here either begins here or adds to the best that ended before.
        fn grant(&mut self, n: u64, now: u64) {
            let before = self.grants.last().map_or(0, |&(at, _)| self.accrued(at, now));
            self.excess = self.units(n) + self.excess.saturating_sub(before);
            assert!(
                self.excess <= self.units(self.terms.burst),
                "{n} tokens at {now} ns exceed {:?} in some window",
                self.terms,
            );
            self.grants.push((now, n));
        }

        /// Every pair of grants.
        fn check_all_windows(&self) {
            for (i, &(from, _)) in self.grants.iter().enumerate() {
                let mut sum = 0;
                for &(to, n) in &self.grants[i..] {
                    sum += self.units(n);
                    let most = self.units(self.terms.burst) + self.accrued(from, to);
                    assert!(
                        sum <= most,
                        "{:?} from {from} to {to} ns: {:?}",
                        self.terms,
                        self.grants
                    );
                }
            }
        }

        fn total(&self) -> u128 {
            self.grants.iter().map(|&(_, n)| u128::from(n)).sum()
        }
    }

    /// What was granted, while time never stepped back.
    fn history(terms: Terms, at: u64, requests: &[Request]) -> History {
        let mut model = Model::new(terms, terms.burst, at);
        let mut history = History::new(terms);
        for &request in requests {
            let (Request::Exactly(gap, n) | Request::UpTo(gap, n) | Request::InTime(gap, n)) =
                request;
            model.now = model.now.saturating_add(model.ns(gap));
            let n = model.tokens(n);
            let now = Instant::from_nanos(model.now);
            if let Request::UpTo(..) = request {
                let taken = model.bucket.try_acquire_up_to_at(n, now);
                history.grant(taken, model.now);
                continue;
            }
            match model.bucket.try_acquire_at(n, now) {
                Ok(()) => history.grant(n, model.now),
                Err(TryAcquireError::Denied { retry_at, .. })
                    if matches!(request, Request::InTime(..)) && retry_at < Instant::MAX =>
                {
                    model.now = retry_at.as_nanos();
                    assert_eq!(model.bucket.try_acquire_at(n, retry_at), Ok(()));
                    history.grant(n, model.now);
                }
                Err(_) => {}
            }
        }
        history
    }

    proptest! {
        #![proptest_config(effort(2))]

        #[test]
        fn no_window_ever_exceeds_burst_plus_rate_times_window(
            terms in terms(),
            at in instants(),
            requests in prop::collection::vec(requests(), 1..120),
        ) {
            history(terms, at, &requests).check_all_windows();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..effort(1) })]

        #[test]
        fn no_window_of_a_long_history_exceeds_burst_plus_rate_times_window(
            terms in terms(),
            requests in prop::collection::vec(requests(), 2_000..2_500),
        ) {
            history(terms, 0, &requests);
        }
    }

    /// `burst + rate × elapsed`, in whole tokens.
    fn promised(terms: Terms, elapsed: u64) -> u128 {
        u128::from(terms.burst)
            + u128::from(elapsed) * u128::from(terms.tokens) / u128::from(terms.period_ns)
    }

    fn bucket(terms: Terms, at: u64) -> TokenBucket<()> {
        terms.config().build_at((), Instant::from_nanos(at)).expect("fitted terms")
    }

    /// Takes everything at `now`.
    fn drain(bucket: &TokenBucket<()>, now: Instant) -> u128 {
        u128::from(bucket.try_acquire_up_to_at(u64::MAX, now))
    }

    /// Asks for one token at each `retry_at` for so long, and then for what else there is.
    fn ask_in_time(terms: Terms, length: u64) {
        let bucket = bucket(terms, 0);
        let mut granted = drain(&bucket, Instant::ZERO);
        let mut now = Instant::ZERO;
        while now.as_nanos() < length {
            match bucket.try_acquire_at(1, now) {
                Ok(()) => granted += 1 + drain(&bucket, now),
                Err(TryAcquireError::Denied { retry_at, .. }) => {
                    assert_eq!(granted, promised(terms, now.as_nanos()), "{terms:?} at {now:?}");
                    assert!(retry_at > now, "{terms:?} at {now:?}");
                    now = retry_at;
                }
                Err(never) => panic!("{never}"),
            }
        }
    }

    #[test]
    fn ten_years_at_one_a_day_lose_nothing() {
        for burst in [1, 2, 365] {
            ask_in_time(Terms { tokens: 1, period_ns: DAY, burst }, 3_652 * DAY);
        }
    }

    #[test]
    fn asking_at_each_retry_at_loses_nothing_at_any_rate() {
        for &(tokens, period_ns) in RATES {
            // What accrues in the nanosecond of a retry must not overflow: a burst of 1 has no room
            // for the fraction left over when a token is not a whole number of nanoseconds.
            let least = if period_ns % tokens == 0 { 1 } else { 2 + tokens / period_ns };
            for burst in [least, least + 9] {
                let terms = Terms { tokens, period_ns, burst };
                if terms.fitted().is_some_and(|fitted| fitted.burst == burst) {
                    let length = 2_000 * u128::from(period_ns) / u128::from(tokens);
                    let length = u64::try_from(length).unwrap_or(u64::MAX);
                    ask_in_time(terms, length.clamp(100, 20 * 365 * DAY));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(effort(1))]

        // Late polls: everything that accrued below the burst is there, to the last fraction.
        #[test]
        fn taking_everything_at_arbitrary_instants_loses_nothing(
            terms in terms(),
            at in any_size(60),
            gaps in prop::collection::vec(0..=255_u64, 500),
        ) {
            let bucket = bucket(terms, at);
            // After a drain less than a token is left, so this long nothing can overflow.
            let fill = u128::from(terms.burst - 1) * u128::from(terms.period_ns)
                / u128::from(terms.tokens);
            // With a burst of 1 something always can: ask at the very instant.
            let mut now = at;
            let mut granted = drain(&bucket, Instant::from_nanos(at));
            for gap in gaps {
                let gap = u64::try_from(fill * u128::from(gap) / 255).expect("fills in 584 years");
                let Some(next) = now.checked_add(gap) else { break };
                now = next;
                granted += drain(&bucket, Instant::from_nanos(now));
                prop_assert_eq!(granted, promised(terms, now - at));
            }
        }

        // Between polls for single tokens, at most one is outstanding.
        #[test]
        fn polling_for_one_at_arbitrary_instants_is_never_a_token_behind(
            terms in slow_terms(),
            polls in prop::collection::vec(1..=1_000_u64, 1_000),
        ) {
            // Two polls at least in the time of a token, so that none is missed.
            let longest = (terms.period_ns / terms.tokens) / 2;
            let bucket = bucket(terms, 0);
            let (mut now, mut granted) = (0, drain(&bucket, Instant::ZERO));
            for poll in polls {
                let gap = u128::from(longest) * u128::from(poll) / 1_000;
                let gap = u64::try_from(gap).expect("at most `longest`");
                let Some(next) = u64::checked_add(now, gap) else { break };
                now = next;
                granted += u128::from(bucket.try_acquire_at(1, Instant::from_nanos(now)).is_ok());
                prop_assert_eq!(granted, promised(terms, now));
            }
        }
    }

    /// Threads that fight for `bucket`, each with times from one clock that only goes on, and what
    /// they took. A thread may come late with its time, so the bucket sees it step back.
    ///
    /// Returns the tokens granted and the time at the end.
    fn contend(bucket: &TokenBucket<()>, step: u64, amounts: &'static [u64]) -> (u128, u64) {
        const THREADS: usize = 4;
        const REQUESTS: usize = 25_000;
        let clock = AtomicU64::new(0);
        let work = |first: usize| {
            let mut granted = 0;
            for i in first..first + REQUESTS {
                let now = Instant::from_nanos(clock.fetch_add(step, Ordering::Relaxed));
                let n = amounts[i % amounts.len()];
                if bucket.try_acquire_at(n, now).is_ok() {
                    granted += u128::from(n);
                }
            }
            granted
        };
        let granted = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|i| scope.spawn(move || work(i))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        let end = clock.load(Ordering::Relaxed);
        // A thread that lags by more would make the bucket believe it.
        assert!(Duration::from_nanos(end) < MAX_STEP_BACK);
        (granted, end)
    }

    #[test]
    fn contending_threads_lose_nothing_and_gain_nothing() {
        // Nothing can overflow: the burst is more than accrues, and the bucket begins empty. So the
        // tokens granted and those left are exactly those that accrued.
        for (tokens, period_ns, step) in
            [(1, 1_000, 700), (7, 11, 13), (1_000_003, SECOND, 500_000), (999_999_937, SECOND, 7)]
        {
            let terms = Terms { tokens, period_ns, burst: u64::MAX }.fitted().expect("a rate");
            let config = terms.config().initial(0);
            let bucket = config.build_at((), Instant::ZERO).expect("fitted terms");
            let (granted, end) = contend(&bucket, step, &[1, 3, 2, 200_000, 1]);
            let accrued = promised(terms, end) - u128::from(terms.burst);
            assert!(accrued < u128::from(terms.burst) && granted > 0);
            let left = u128::from(bucket.available_at(Instant::from_nanos(end)));
            assert_eq!(granted + left, accrued, "{terms:?}");
        }
    }

    #[test]
    fn contending_threads_stay_within_the_limit_across_frames() {
        // Frames of 72 ms and of 1 ms: a new one every few dozen requests, or at every other.
        for (tokens, period_ns, step, burst) in [
            (999_999_937, SECOND, 500_000, 1_000),
            ((1 << 36) - 1, 1 << 16, 500_000, 15),
            ((1 << 36) - 1, 1 << 16, 30_000, 15),
        ] {
            let terms = Terms { tokens, period_ns, burst };
            let bucket = bucket(terms, 0);
            let (granted, end) = contend(&bucket, step, &[1, 2, 15]);
            let left = u128::from(bucket.available_at(Instant::from_nanos(end)));
            assert!(granted + left <= promised(terms, end), "{terms:?}");
            assert!(granted >= 25_000, "{granted} tokens of {terms:?}");
        }
    }

    #[test]
    fn a_refusal_never_mixes_two_configurations() {
        const READERS: usize = 2;
        const NOW: Instant = Instant::from_nanos(1_000_000_000_000);
        // An empty bucket at a standing clock: whatever is in force, n tokens take n·q / p from now.
        let terms = [
            Terms { tokens: 3, period_ns: 7, burst: 10 },
            Terms { tokens: 11, period_ns: 1_013, burst: 20 },
        ];
        let configs = terms.map(|terms| terms.config().initial(0));
        let delays = terms.map(|terms| Oracle::new(terms, 0, 0).ready_at(5, 0).as_nanos());
        let allowed = delays.map(|delay| NOW.saturating_add(Duration::from_nanos(delay)));

        let bucket = configs[0].build_at((), NOW).expect("valid");
        let (bucket, stop) = (&bucket, &AtomicBool::new(false));
        let looks: &[AtomicU64; READERS] = &Default::default();
        thread::scope(|scope| {
            let readers = looks.each_ref().map(|looks| {
                scope.spawn(move || {
                    let mut seen = [0_u32; 2];
                    while !stop.load(Ordering::Relaxed) {
                        let refusal = bucket.try_acquire_at(5, NOW).expect_err("empty for ever");
                        let TryAcquireError::Denied { retry_at, .. } = refusal else {
                            panic!("{refusal}");
                        };
                        assert_eq!(
                            bucket.ready_at(5, NOW).map(|at| allowed.contains(&at)),
                            Ok(true)
                        );
                        let which = allowed.iter().position(|&at| at == retry_at);
                        seen[which.unwrap_or_else(|| panic!("a mixture: {retry_at:?}"))] += 1;
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(seen.iter().all(|&n| n > 0), "no contention: {seen:?}");
                })
            });
            let mut random = 1_u32;
            for _ in 0..150 {
                let before = looks.each_ref().map(|looks| looks.load(Ordering::Relaxed));
                // Fewer than the 64 frames after which a generation returns, then let everybody
                // finish what they began: see "How the word and its frame agree".
                for _ in 0..30 {
                    // In no fixed order, so that either configuration comes to lie in either frame.
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let config = &configs[usize::from(random >> 31 == 1)];
                    bucket.reconfigure_at(config, NOW).expect("valid");
                }
                for ((looks, before), reader) in looks.iter().zip(before).zip(&readers) {
                    // One that has panicked looks no more.
                    while looks.load(Ordering::Relaxed) == before && !reader.is_finished() {
                        thread::yield_now();
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_history_that_exceeds_the_limit_is_noticed() {
        let terms = Terms { tokens: 1, period_ns: 10, burst: 2 };
        let mut history = History::new(terms);
        history.grants = vec![(0, 2), (10, 1), (19, 1)];
        assert!(std::panic::catch_unwind(|| history.check_all_windows()).is_err());
        assert_eq!(history.total(), 4);
        let mut history = History::new(terms);
        history.grant(2, 0);
        history.grant(1, 10);
        let one_too_early = std::panic::AssertUnwindSafe(|| history.grant(1, 19));
        assert!(std::panic::catch_unwind(one_too_early).is_err());
    }
}
