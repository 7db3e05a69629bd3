//! A stream without its duplicates.

use core::fmt;
use core::hash::BuildHasher;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;
use steadfast_core::Clock;

use crate::atomic::Deduplicator;
use crate::fingerprint::Id;

impl<C: Clock, S: BuildHasher> Deduplicator<C, S> {
    /// The items of a stream whose id was not seen before: by this stream or by anybody else who uses the
    /// deduplicator. `id` says what an item's id is.
    ///
    /// What it gives cannot borrow from the item. Where an id takes memory of its own, such as a `String`, give
    /// its [`Fingerprint`](crate::Fingerprint) instead of a copy, made by [`Ids`](crate::Ids) that all who use
    /// the deduplicator share: see the second example.
    ///
    /// # Cancel safety
    ///
    /// An id is recorded when its item is given. Dropping a pending read loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use futures::{StreamExt, executor::block_on, stream};
    /// use steadfast_deduplicator::Config;
    ///
    /// let seen = Config::new(1_000).build()?;
    /// let trades = stream::iter([(1, "buy"), (2, "sell"), (1, "buy"), (3, "buy")]);
    /// let once: Vec<_> = block_on(seen.distinct(trades, |&(id, _)| id).collect());
    /// assert_eq!(once, [(1, "buy"), (2, "sell"), (3, "buy")]);
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    ///
    /// Without a copy of the id:
    ///
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use futures::{StreamExt, executor::block_on, stream};
    /// use steadfast_deduplicator::{Config, Id, Ids, SipKeys};
    ///
    /// let (seen, ids) = (Config::new(1_000).build()?, Ids::new(SipKeys::new(), false));
    /// let names = stream::iter(["one", "two", "one"].map(str::to_owned));
    /// let once: Vec<_> = block_on(seen.distinct(names, |name| name.fingerprint(&ids)).collect());
    /// assert_eq!(once, ["one", "two"]);
    /// # }
    /// # Ok::<(), steadfast_deduplicator::ConfigError>(())
    /// ```
    pub fn distinct<St, F, I>(&self, stream: St, id: F) -> Distinct<St, F, &Self>
    where
        St: Stream,
        F: FnMut(&St::Item) -> I,
        I: Id,
    {
        Distinct::new(self, stream, id)
    }
}

pin_project! {
    /// A stream without its duplicates: see [`Deduplicator::distinct`].
    ///
    /// `Distinct::new(Arc::clone(&seen), stream, id)` makes one that can be sent elsewhere.
    #[must_use = "streams do nothing unless they are polled"]
    pub struct Distinct<St, F, O> {
        #[pin]
        stream: St,
        id: F,
        owner: O,
    }
}

impl<St, F, O> Distinct<St, F, O> {
    /// [`Deduplicator::distinct`] for any way to hold it.
    pub const fn new(owner: O, stream: St, id: F) -> Self {
        Self { stream, id, owner }
    }

    /// The stream itself.
    pub fn into_inner(self) -> St {
        self.stream
    }
}

impl<St, F, O, C, S, I> Stream for Distinct<St, F, O>
where
    St: Stream,
    F: FnMut(&St::Item) -> I,
    O: Deref<Target = Deduplicator<C, S>>,
    C: Clock,
    S: BuildHasher,
    I: Id,
{
    type Item = St::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<St::Item>> {
        let mut this = self.project();
        loop {
            match ready!(this.stream.as_mut().poll_next(cx)) {
                Some(item) => {
                    if this.owner.insert(&(this.id)(&item)).is_fresh() {
                        return Poll::Ready(Some(item));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.stream.size_hint().1)
    }
}

impl<St, F, O, C, S, I> FusedStream for Distinct<St, F, O>
where
    St: FusedStream,
    F: FnMut(&St::Item) -> I,
    O: Deref<Target = Deduplicator<C, S>>,
    C: Clock,
    S: BuildHasher,
    I: Id,
{
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated()
    }
}

impl<St: fmt::Debug, F, O> fmt::Debug for Distinct<St, F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distinct").field("stream", &self.stream).finish_non_exhaustive()
    }
}
