//! What happens to the gaps of a shared tracker, for whoever wants to follow it.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use steadfast_core::feed::{Entry, Reader};

use crate::state::Change;

/// The changes of a tracker: see [`SequenceTracker::changes`](crate::SequenceTracker::changes).
///
/// As a [`Stream`] it is for tasks. [`into_iter`](IntoIterator::into_iter), or a `for` loop, makes an
/// iterator of it that blocks this thread until there is a change. Each comes with the number of changes
/// before it that this reader has missed, because he was more than 64 behind.
///
/// # Cancel safety
///
/// A change is taken when it is returned; dropping a pending read loses nothing.
#[must_use = "it does nothing unless it is read"]
pub struct Changes(pub(crate) Reader<Change>);

impl Changes {
    /// The next change, if there is one already. Never waits.
    pub fn try_next(&mut self) -> Option<Entry<Change>> {
        self.0.try_next()
    }
}

#[cfg(feature = "std")]
impl IntoIterator for Changes {
    type Item = Entry<Change>;
    type IntoIter = Blocking;

    fn into_iter(self) -> Blocking {
        Blocking(self)
    }
}

/// The changes of a tracker for a thread: see
/// [`SequenceTracker::changes`](crate::SequenceTracker::changes).
#[cfg(feature = "std")]
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are used"]
pub struct Blocking(Changes);

#[cfg(feature = "std")]
impl Iterator for Blocking {
    type Item = Entry<Change>;

    /// Blocks until there is a change; `None` when the tracker is gone.
    fn next(&mut self) -> Option<Entry<Change>> {
        self.0.0.next()
    }
}

impl Stream for Changes {
    type Item = Entry<Change>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Entry<Change>>> {
        self.0.poll_next(cx)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
