//! The hooks of a build without a heap: none.

use core::time::Duration;

use crate::state::{Change, Trip};

/// In builds without the `alloc` feature: of size zero.
pub(crate) struct Hooks(());

#[expect(clippy::unused_self, reason = "those of a build with a heap use it")]
impl Hooks {
    pub(crate) const NONE: Self = Self(());

    /// Nobody to tell.
    pub(crate) const fn changed(&self, _change: Change) {}

    /// Nobody to ask.
    pub(crate) const fn break_of(&self, _trip: Trip) -> Option<Duration> {
        None
    }
}
