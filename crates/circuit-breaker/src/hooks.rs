//! What a user has hooked into a breaker.

use alloc::boxed::Box;
use core::time::Duration;

use crate::state::{Change, Trip};

type OnChange = Box<dyn Fn(Change) + Send + Sync>;
type BreakBy = Box<dyn Fn(Trip) -> Duration + Send + Sync>;

/// Code of somebody else's, called with no lock held.
pub(crate) struct Hooks {
    on_change: Option<OnChange>,
    break_by: Option<BreakBy>,
}

impl Hooks {
    pub(crate) const NONE: Self = Self { on_change: None, break_by: None };

    pub(crate) fn set_on_change(&mut self, f: OnChange) {
        self.on_change = Some(f);
    }

    pub(crate) fn set_break_by(&mut self, f: BreakBy) {
        self.break_by = Some(f);
    }

    pub(crate) fn changed(&self, change: Change) {
        if let Some(on_change) = &self.on_change {
            on_change(change);
        }
    }

    pub(crate) fn break_of(&self, trip: Trip) -> Option<Duration> {
        self.break_by.as_ref().map(|break_by| break_by(trip))
    }
}
