//! A future with a waker of its own, polled by hand.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts wakes.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    /// How many there were since they were last taken.
    pub fn count(&self) -> usize {
        // ORDERING: SeqCst; whoever counts sees what was woken before, on whatever thread.
        self.0.load(Ordering::SeqCst)
    }

    /// The same, and begins again from 0.
    pub fn take(&self) -> usize {
        // ORDERING: SeqCst; see `count`.
        self.0.swap(0, Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        // ORDERING: SeqCst; see `count`.
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future with a waker of its own.
#[derive(Debug)]
pub struct Task<F> {
    /// What is polled.
    pub future: F,
    wakes: Arc<Wakes>,
    polls: usize,
}

impl<F: Future + Unpin> Task<F> {
    /// One that nobody has polled.
    pub fn of(future: F) -> Self {
        Self { future, wakes: Arc::default(), polls: 0 }
    }

    /// Polled, and found pending.
    #[track_caller]
    pub fn pending(mut self) -> Self {
        assert!(self.poll().is_pending());
        self
    }

    /// What becomes of it, with the same waker.
    pub fn with<G>(self, f: impl FnOnce(F) -> G) -> Task<G> {
        Task { future: f(self.future), wakes: self.wakes, polls: self.polls }
    }

    /// Polls it with its own waker.
    pub fn poll(&mut self) -> Poll<F::Output> {
        self.poll_with(&self.waker())
    }

    /// Its own waker.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.wakes))
    }

    /// Polls it to its end, which it has come to.
    #[track_caller]
    pub fn output(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("still pending"),
        }
    }

    /// Polls it with another.
    pub fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.polls += 1;
        Pin::new(&mut self.future).poll(&mut Context::from_waker(waker))
    }

    /// Polled if its waker was woken since the last time, as an executor would.
    pub fn run(&mut self) -> Poll<F::Output> {
        if self.wakes.take() > 0 { self.poll() } else { Poll::Pending }
    }

    /// How often its waker was woken since it was last [`run`](Self::run).
    pub fn wakes(&self) -> usize {
        self.wakes.count()
    }

    /// How often it was polled.
    pub fn polls(&self) -> usize {
        self.polls
    }
}

impl<T, E: Debug, F: Future<Output = Result<T, E>> + Unpin> Task<F> {
    /// What it gets as it is [`run`](Self::run).
    #[track_caller]
    pub fn granted(&mut self) -> T {
        granted(self.run())
    }
}

struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

/// A waker that does something.
pub fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(f)))
}

/// What was given.
#[track_caller]
pub fn granted<T, E: Debug>(answer: Poll<Result<T, E>>) -> T {
    match answer {
        Poll::Ready(Ok(granted)) => granted,
        Poll::Ready(Err(error)) => panic!("refused: {error:?}"),
        Poll::Pending => panic!("still pending"),
    }
}

/// Why nothing was given.
#[track_caller]
pub fn refused<T, E>(answer: Poll<Result<T, E>>) -> E {
    match answer {
        Poll::Ready(Err(error)) => error,
        Poll::Ready(Ok(_)) => panic!("granted"),
        Poll::Pending => panic!("still pending"),
    }
}
