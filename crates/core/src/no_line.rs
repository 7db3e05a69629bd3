//! The waiting line of a build without waiting: nothing.

/// The place of a waiting line in builds without the `wait` feature: of size zero, always empty.
#[derive(Debug, Default)]
pub struct Line(());

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self(())
    }

    /// Nobody waits.
    pub fn weight(&self) -> u64 {
        0
    }

    /// Nobody to wake.
    pub fn wake_first(&self, _mark: impl Fn(bool)) {}

    /// Nobody to wake.
    pub fn wake_all(&self, _mark: impl Fn(bool)) {}
}
