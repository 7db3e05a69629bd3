//! A stream that takes a token for each item.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use steadfast_core::wait::{Gate, Wait};

/// A stream whose items wait for tokens, in one line with everybody else who waits for them.
///
/// An item is taken from the inner stream first and then waits for its tokens, so that no token is
/// ever held while the inner stream has nothing. `O` is how it holds the bucket, or whatever else
/// can be waited for.
///
/// # Cancel safety
///
/// Dropping the stream drops the one item that waits, and gives up its place in the line.
///
/// # Errors
///
/// An item whose wait fails (the bucket was closed, the line was full, the item costs more than the
/// burst) is yielded as the error, and is lost.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] {
/// use futures::{StreamExt, executor::block_on, stream};
/// use steadfast_token_bucket::{Rate, Throttle, TokenBucket};
///
/// let bucket = TokenBucket::new(Rate::per_second(1_000))?;
/// let bytes = Throttle::new(stream::iter(["ab", "cdef"]), &bucket, |item| item.len() as u64);
/// let items: Vec<_> = block_on(bytes.collect());
/// assert_eq!(items, [Ok("ab"), Ok("cdef")]);
/// assert!(bucket.available() >= 994);
/// # }
/// # Ok::<(), steadfast_token_bucket::ConfigError>(())
/// ```
pub struct Throttle<T: Stream, O, F>
where
    O: Deref<Target: Gate + Sized>,
{
    stream: T,
    owner: O,
    cost: F,
    waiting: Option<(T::Item, Wait<O>)>,
}

impl<T, O, F> Throttle<T, O, F>
where
    T: Stream,
    O: Deref<Target: Gate + Sized> + Clone,
    F: FnMut(&T::Item) -> <O::Target as Gate>::Request,
{
    /// Throttles `stream`. `cost` says how many tokens an item takes: `|_| 1` for one each.
    pub fn new(stream: T, owner: O, cost: F) -> Self {
        Self { stream, owner, cost, waiting: None }
    }

    /// The inner stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// The inner stream; the item that waits, if there is one, is dropped.
    pub fn into_inner(self) -> T {
        self.stream
    }
}

// The inner stream is required to be, and nothing else is pinned.
impl<T, O, F> Unpin for Throttle<T, O, F>
where
    T: Stream + Unpin,
    O: Deref<Target: Gate + Sized>,
{
}

impl<T, O, F> Stream for Throttle<T, O, F>
where
    T: Stream + Unpin,
    O: Deref<Target: Gate + Sized> + Clone,
    F: FnMut(&T::Item) -> <O::Target as Gate>::Request,
{
    type Item = Result<T::Item, <O::Target as Gate>::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let Some(item) = ready!(Pin::new(&mut this.stream).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            let wait = Wait::new(this.owner.clone(), (this.cost)(&item));
            this.waiting = Some((item, wait));
        }
        let (item, mut wait) = this.waiting.take().expect("filled above");
        match Pin::new(&mut wait).poll(cx) {
            Poll::Ready(granted) => Poll::Ready(Some(granted.map(|_| item))),
            Poll::Pending => {
                this.waiting = Some((item, wait));
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = usize::from(self.waiting.is_some());
        let (least, most) = self.stream.size_hint();
        (least.saturating_add(waiting), most.and_then(|most| most.checked_add(waiting)))
    }
}

impl<T, O, F> FusedStream for Throttle<T, O, F>
where
    T: FusedStream + Unpin,
    O: Deref<Target: Gate + Sized> + Clone,
    F: FnMut(&T::Item) -> <O::Target as Gate>::Request,
{
    fn is_terminated(&self) -> bool {
        self.waiting.is_none() && self.stream.is_terminated()
    }
}

impl<T: Stream + fmt::Debug, O, F> fmt::Debug for Throttle<T, O, F>
where
    O: Deref<Target: Gate + Sized>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("stream", &self.stream)
            .field("waiting", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}
