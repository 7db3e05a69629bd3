//! What was done, and what was broken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// As many violations are told; the rest are counted.
const TOLD: usize = 20;

/// What was done to one primitive, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    /// Steps of workers, each at least one call.
    pub(crate) operations: Count,
    /// Waits and tries that were granted.
    pub(crate) granted: Count,
    /// Tries that were refused, and waits that failed for another reason than time.
    pub(crate) refused: Count,
    pub(crate) timed_out: Count,
    /// Waits that were dropped half-way.
    pub(crate) cancelled: Count,
    /// Holders that panicked.
    pub(crate) panicked: Count,
    /// How often a law was looked at.
    pub(crate) checks: Count,
    broken: Mutex<Vec<String>>,
    violations: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

impl Tally {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// A law: if it does not hold, what is told.
    pub(crate) fn law(&self, holds: bool, what: impl FnOnce() -> String) {
        self.checks.one();
        if !holds {
            self.violations.one();
            let mut broken = self.broken.lock().expect("nobody panics with it");
            if broken.len() < TOLD {
                broken.push(what());
            }
        }
    }

    pub(crate) fn violations(&self) -> u64 {
        self.violations.get()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.broken.lock().expect("nobody panics with it").clone()
    }
}
