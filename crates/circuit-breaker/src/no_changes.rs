//! The feed of changes of a build without waiting: nothing.

use crate::state::Change;

/// In builds without the `wait` feature: of size zero.
pub(crate) struct Feed(());

impl Feed {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Nobody reads.
    pub(crate) const fn publish(&self, _change: Change) {}
}

/// In builds without the `wait` feature: of size zero.
pub(crate) struct Deferred(());

impl Deferred {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}
