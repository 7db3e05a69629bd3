//! The one compare-and-swap loop.

use crate::sync::atomic::{AtomicU64, Ordering};

/// What a transition wants done with the word it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<R> {
    /// Leave the word alone and answer `R`. Nothing is written: a refusal is a read.
    Keep(R),
    /// Replace the word, then answer `R`.
    Replace(u64, R),
}

/// Moves `word` by a pure transition, as one atomic step.
///
/// `transition` sees the current word and says what becomes of it. If somebody else moved the word
/// in between, it is asked again with the newer one, so it must not have effects of its own, unless they
/// are right whichever attempt wins.
/// Lock-free: an attempt fails only because another one succeeded.
///
/// # Memory ordering
///
/// Whatever was published by the step that wrote the word is visible to `transition`; whatever
/// happened before a `Replace` (loads included) is visible to whoever sees the new word.
///
/// # Examples
///
/// ```
/// use steadfast_core::sync::atomic::AtomicU64;
/// use steadfast_core::{Step, update};
///
/// let places = AtomicU64::new(1);
/// let take = |free: u64| match free.checked_sub(1) {
///     Some(left) => Step::Replace(left, true),
///     None => Step::Keep(false),
/// };
/// assert!(update(&places, take));
/// assert!(!update(&places, take));
/// ```
#[inline]
pub fn update<R>(word: &AtomicU64, mut transition: impl FnMut(u64) -> Step<R>) -> R {
    // ORDERING: Acquire observes what the writer of this word published before its Release below.
    let mut seen = word.load(Ordering::Acquire);
    loop {
        match transition(seen) {
            Step::Keep(answer) => return answer,
            Step::Replace(next, answer) => {
                // ORDERING: Release publishes to the next Acquire of this word, and keeps the loads
                // that `transition` made in front of the exchange; Acquire, on success and on
                // failure, partners with the Release of whoever wrote the word we replace or see.
                match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return answer,
                    Err(newer) => seen = newer,
                }
            }
        }
    }
}
