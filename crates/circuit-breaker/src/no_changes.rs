//! The feed of changes of a build without waiting: nothing.

use crate::state::Change;

/// In builds without the `wait` feature: of size zero.
pub(crate) struct Feed(());

#[expect(clippy::unused_self, reason = "the one with readers uses it")]
impl Feed {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Nobody reads.
    pub(crate) const fn publish(&self, _change: Change) {}
}
