//! Every kind of executor at once, and four primitives of which one thing can be had at a time.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use steadfast::token_bucket::{Rate, TokenBucket};
use steadfast::{ManualClock, Timer, backoff, circuit_breaker, token_bucket};
use steadfast_core::wait::{Gate, Wait};
use steadfast_deduplicator::{self as deduplicator, Acquired, Claimable, SipKeys};
use steadfast_sequence_tracker::{self as sequence_tracker, Awaited};
use tokio::runtime::{Builder, Handle, Runtime};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What runs a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    TokioThreads,
    TokioCurrentThread,
    AsyncStd,
    Smol,
    FuturesBlockOn,
    /// A loop that polls all that it has, again and again, with a waker that does nothing.
    Poller,
    /// No executor: the thread blocks.
    Thread,
}

pub(crate) const KINDS: [Kind; 7] = [
    Kind::TokioThreads,
    Kind::TokioCurrentThread,
    Kind::AsyncStd,
    Kind::Smol,
    Kind::FuturesBlockOn,
    Kind::Poller,
    Kind::Thread,
];

/// How many stand in line where a mixture does: four of each kind, taking turns.
pub(crate) const CROWD: usize = 4 * KINDS.len();

impl Kind {
    pub(crate) fn of(place: usize) -> Self {
        KINDS[place % KINDS.len()]
    }

    /// Waits as this kind does.
    pub(crate) async fn end<W: Waits>(self, wait: W) -> W::Output {
        match self {
            Self::Thread => wait.block(),
            _ => wait.await,
        }
    }

    /// Lets others go on.
    pub(crate) async fn rest(self) {
        if self == Self::Thread {
            return thread::yield_now();
        }
        let mut rested = false;
        poll_fn(|cx| {
            if rested {
                return Poll::Ready(());
            }
            rested = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// A wait that a thread can do as well as a task.
pub(crate) trait Waits: Future + Unpin {
    fn block(self) -> Self::Output;
    fn limited(self, timeout: Duration) -> Self;
}

macro_rules! waits {
    ($([$($bounds:tt)*] $wait:ty;)*) => {$(
        impl<$($bounds)*> Waits for $wait {
            fn block(self) -> Self::Output {
                self.wait()
            }

            fn limited(self, timeout: Duration) -> Self {
                self.timeout(timeout)
            }
        }
    )*};
}

waits! {
    [O: Deref<Target: Gate + Sized>] Wait<O>;
    [O: Deref<Target: Awaited> + Clone] sequence_tracker::Acquire<O>;
    [O: Deref<Target: Claimable<Clock: Timer>> + Clone] deduplicator::Acquire<O>;
}

/// One poll, by whatever polls this.
pub(crate) async fn polled<W: Waits>(wait: &mut W) -> Poll<W::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *wait).poll(cx))).await
}

/// One executor of each kind.
pub(crate) struct Crowd {
    threads: Runtime,
    current: Handle,
    poller: Sender<Job>,
    /// Ends the runtime that has one thread.
    _end: oneshot::Sender<()>,
}

impl Crowd {
    pub(crate) fn new() -> Self {
        let current = Builder::new_current_thread().build().unwrap();
        let (poller, jobs) = channel();
        let (end, ended) = oneshot::channel();
        let handle = current.handle().clone();
        thread::spawn(move || current.block_on(ended));
        thread::spawn(move || poll_all(&jobs));
        let threads = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        Self { threads, current: handle, poller, _end: end }
    }

    /// Runs a job. Its output comes here; nothing comes if it panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        job: impl Future<Output = T> + Send + 'static,
    ) -> Receiver<T> {
        let (send, output) = channel();
        let job: Job = Box::pin(async move {
            if let Ok(output) = AssertUnwindSafe(job).catch_unwind().await {
                let _wanted = send.send(output);
            }
        });
        match kind {
            Kind::TokioThreads => drop(self.threads.spawn(job)),
            Kind::TokioCurrentThread => drop(self.current.spawn(job)),
            Kind::AsyncStd => drop(async_std::task::spawn(job)),
            Kind::Smol => smol::spawn(job).detach(),
            Kind::FuturesBlockOn => drop(thread::spawn(|| futures::executor::block_on(job))),
            Kind::Poller => self.poller.send(job).unwrap(),
            Kind::Thread => drop(thread::spawn(|| {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(pin!(job).poll(&mut cx).is_ready(), "a thread waits by blocking");
            })),
        }
        output
    }

    /// Runs a job that waits, and returns once it has been polled: pending, unless it has a deadline.
    pub(crate) fn join<W, T>(
        &self,
        kind: Kind,
        mut wait: W,
        then: impl FnOnce(W::Output) -> T + Send + 'static,
    ) -> Receiver<T>
    where
        W: Waits<Output: Send> + Send + 'static,
        T: Send + 'static,
    {
        let (send, joined) = channel();
        let output = self.run(kind, async move {
            let polled = polled(&mut wait).await;
            send.send(()).unwrap();
            match polled {
                Poll::Ready(output) => then(output),
                Poll::Pending => then(kind.end(wait).await),
            }
        });
        joined.recv().expect("it was polled");
        output
    }
}

/// An executor in ten lines: whatever wakes, it does not hear it.
fn poll_all(jobs: &Receiver<Job>) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut running = Vec::new();
    loop {
        match jobs.try_recv() {
            Ok(job) => running.push(job),
            Err(TryRecvError::Disconnected) if running.is_empty() => return,
            Err(_) => thread::yield_now(),
        }
        running.retain_mut(|job: &mut Job| job.as_mut().poll(&mut cx).is_pending());
    }
}

/// Why nothing was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    TimedOut,
    Other,
}

/// A primitive of which one thing can be had at a time. Whoever drops it gives it back.
pub(crate) trait One: Sized + Send + Sync + 'static {
    type Wait: Waits<Output: Send> + Send;
    type Held: Send + 'static;

    /// With the one thing in place.
    fn new() -> Arc<Self>;
    fn clock_of(&self) -> &ManualClock;
    fn ask(self: &Arc<Self>) -> Self::Wait;
    fn held(self: &Arc<Self>, output: <Self::Wait as Future>::Output)
    -> Result<Self::Held, Missed>;

    /// The one thing, which nobody has.
    fn take(self: &Arc<Self>) -> Self::Held {
        let mut wait = self.ask();
        let polled = Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(output) = polled else { panic!("somebody has it") };
        self.held(output).expect("nobody has it")
    }
}

pub(crate) type Bucket = TokenBucket<ManualClock>;
pub(crate) type Breaker = circuit_breaker::CircuitBreaker<ManualClock>;
pub(crate) type Backoff = backoff::Backoff<ManualClock>;
pub(crate) type Claims = deduplicator::Claims<u32, ManualClock, SipKeys>;

/// A token that goes back when it is dropped.
pub(crate) struct Token(Arc<Bucket>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.refund(1);
    }
}

impl One for Bucket {
    type Wait = token_bucket::Acquire<Arc<Self>>;
    type Held = Token;

    fn new() -> Arc<Self> {
        let config = token_bucket::Config::new(Rate::per_day(1)).burst(1);
        Arc::new(config.build_with(ManualClock::new()).unwrap())
    }

    fn clock_of(&self) -> &ManualClock {
        self.clock()
    }

    fn ask(self: &Arc<Self>) -> Self::Wait {
        token_bucket::Acquire::new(Arc::clone(self), 1)
    }

    fn held(
        self: &Arc<Self>,
        output: Result<(), token_bucket::AcquireError>,
    ) -> Result<Token, Missed> {
        match output {
            Ok(()) => Ok(Token(Arc::clone(self))),
            Err(token_bucket::AcquireError::TimedOut { .. }) => Err(Missed::TimedOut),
            Err(_) => Err(Missed::Other),
        }
    }
}

impl One for Breaker {
    type Wait = circuit_breaker::Acquire<Arc<Self>>;
    type Held = circuit_breaker::Permit<Arc<Self>>;

    /// Half-open.
    fn new() -> Arc<Self> {
        let breaks = Duration::from_millis(1);
        let config = circuit_breaker::Config::new()
            .consecutive_failures(1)
            .break_duration(breaks)
            .close_after(1);
        let breaker = config.build_with(ManualClock::new()).unwrap();
        breaker.try_acquire().unwrap().failure();
        breaker.clock().advance(breaks);
        breaker.try_acquire().unwrap().ignore();
        Arc::new(breaker)
    }

    fn clock_of(&self) -> &ManualClock {
        self.clock()
    }

    fn ask(self: &Arc<Self>) -> Self::Wait {
        circuit_breaker::Acquire::new(Arc::clone(self), ())
    }

    fn held(
        self: &Arc<Self>,
        output: Result<Self::Held, circuit_breaker::AcquireError>,
    ) -> Result<Self::Held, Missed> {
        output.map_err(|error| match error {
            circuit_breaker::AcquireError::TimedOut { .. } => Missed::TimedOut,
            circuit_breaker::AcquireError::LineFull { .. } => Missed::Other,
        })
    }
}

impl One for Backoff {
    type Wait = backoff::Acquire<Arc<Self>>;
    type Held = backoff::Attempt<Arc<Self>>;

    /// Not known to work.
    fn new() -> Arc<Self> {
        let policy = backoff::Config::constant(Duration::from_millis(1)).unlimited();
        let config = backoff::BackoffConfig::new(policy.build().unwrap());
        Arc::new(config.build_with(ManualClock::new()).unwrap())
    }

    fn clock_of(&self) -> &ManualClock {
        self.clock()
    }

    fn ask(self: &Arc<Self>) -> Self::Wait {
        backoff::Acquire::new(Arc::clone(self), ())
    }

    fn held(
        self: &Arc<Self>,
        output: Result<Self::Held, backoff::AcquireError>,
    ) -> Result<Self::Held, Missed> {
        output.map_err(|error| match error {
            backoff::AcquireError::TimedOut { .. } => Missed::TimedOut,
            _ => Missed::Other,
        })
    }
}

impl One for Claims {
    type Wait = deduplicator::Acquire<Arc<Self>>;
    type Held = deduplicator::Claim<Arc<Self>>;

    fn new() -> Arc<Self> {
        let config = deduplicator::Config::new(100);
        Arc::new(config.claims_with(ManualClock::new(), SipKeys::from_seed(7)).unwrap())
    }

    fn clock_of(&self) -> &ManualClock {
        self.clock()
    }

    fn ask(self: &Arc<Self>) -> Self::Wait {
        deduplicator::Acquire::new(Arc::clone(self), "one")
    }

    fn held(
        self: &Arc<Self>,
        output: Result<Acquired<Arc<Self>>, deduplicator::AcquireError>,
    ) -> Result<Self::Held, Missed> {
        match output {
            Ok(Acquired::Claim(claim)) => Ok(claim),
            Err(deduplicator::AcquireError::TimedOut) => Err(Missed::TimedOut),
            Ok(Acquired::Duplicate(_)) | Err(_) => Err(Missed::Other),
        }
    }
}

/// The same test for each of the four.
macro_rules! each_of_four {
    ($($test:ident: $claim:ident;)*) => {
        mod tokens {
            $(#[test] fn $claim() { super::$test::<crate::crowd::Bucket>(); })*
        }
        mod probes {
            $(#[test] fn $claim() { super::$test::<crate::crowd::Breaker>(); })*
        }
        mod attempts {
            $(#[test] fn $claim() { super::$test::<crate::crowd::Backoff>(); })*
        }
        mod claims {
            $(#[test] fn $claim() { super::$test::<crate::crowd::Claims>(); })*
        }
    };
}
pub(crate) use each_of_four;
