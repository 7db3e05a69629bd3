//! The window over the last so much time.
//!
//! Time is cut in slices, and the window is the current slice and those before it, as many as there
//! are slots. A slot counts good and bad calls in a word each; a call is counted in one of them, once,
//! however many calls the window has.
//!
//! ```text
//!  head    63     54 53     51 50                              0
//!         ┌─────────┬─────────┬─────────────────────────────────┐
//!         │ life    │ round   │ slice: time / length of a slice │
//!         └─────────┴─────────┴─────────────────────────────────┘
//!  slots   63     54 53     51 50     36 35                    0
//!         ┌─────────┬─────────┬─────────┬───────────────────────┐
//!         │ life    │ round   │ slice   │ calls                 │   × slices × (good, bad)
//!         └─────────┴─────────┴─────────┴───────────────────────┘
//! ```
//!
//! - *round*: how often the clock has stepped back by more than the window, or a minute if that is
//!   longer. Then the window begins anew: otherwise a time far ahead, seen once, would never let go of
//!   it. After seven times in one life that is over: calls count in the head's slice until the clock
//!   has caught up, or the next life.
//! - Times that are behind the head by less count in the head's slice.
//!
//! A slot counts up to 2³⁶ - 1 calls and stays there.
//!
//! Invariants:
//! - **S1** The head moves on only after all slots outside its old window were emptied (all slots, if
//!   it moves far), and a slot is emptied or begun anew only while the head is what it was when that
//!   was decided. So a slot that says the low bits of a slice within the window, which is not after
//!   the head, says the whole of it.
//! - **S2** A call is counted in the slice that the head showed when it was counted, or not at all if
//!   its life is over.

use steadfast_core::{Instant, Step, saturating_nanos};

use super::control::LIFE;
use super::word::{Field, Word};
use super::{MAX_STEP_BACK, Rule, TRIES};

const SLICE: Field = Field::lowest(51);
/// Life and round together are a serial number.
const SERIES: Field = SLICE.above(13);
const ROUNDS: u32 = 3;
/// In the head and in slots: the life alone.
pub(super) const SLICES_LIFE: Field = SLICE.above(ROUNDS).above(10);

const COUNT: Field = Field::lowest(36);
const SLOT_SLICE: Field = COUNT.above(15);
const SLOT_SERIES: Field = SLOT_SLICE.above(13);

/// How many slices the head may move on and leave what it leaves behind: with the longest window on
/// top, they are told apart by the bits that a slot has for them.
const REACH: u64 = SLOT_SLICE.max() / 2;

/// The window's words: the head, then the slots of good calls, then those of bad ones.
#[derive(Debug)]
pub(super) struct Slices<'a, W> {
    head: &'a W,
    good: &'a [W],
    bad: &'a [W],
    life: u32,
    slice_ns: u64,
    /// Which life it is now.
    control: &'a W,
}

/// A slice of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    series: u64,
    slice: u64,
}

impl<'a, W: Word> Slices<'a, W> {
    /// `words` are as many as [`Span::words`](super::Span::words) says.
    pub(super) fn new(words: &'a [W], control: &'a W, life: u32, slice_ns: u64) -> Option<Self> {
        let (head, slots) = words.split_first()?;
        let (good, bad) = slots.split_at(slots.len() / 2);
        Some(Self { head, good, bad, life, slice_ns, control })
    }

    /// Counts a call, and says whether the rule holds if it was a bad one.
    pub(super) fn count(&self, bad: bool, now: Instant, rule: &Rule) -> bool {
        loop {
            let Some(place) = self.arrive(now) else { return false };
            let slots = if bad { self.bad } else { self.good };
            let counted = slots[self.slot(place.slice)].update(|word| {
                if place.is_in(word) {
                    let count = COUNT.of(word);
                    let next = if count < COUNT.max() { count + 1 } else { count };
                    return Step::Replace(COUNT.set(word, next), true);
                }
                // RACE: S1. Looked at after the slot, so that a later slice is never taken for an
                // earlier one. Model: `slices_count_every_call_once`.
                if self.head.load() != place.head() {
                    return Step::Keep(false);
                }
                Step::Replace(COUNT.set(place.slot(), 1), true)
            });
            if !counted {
                continue;
            }
            if !bad {
                return false;
            }
            // RACE: another bad call may be counted in another slice at the same time. Whoever comes
            // to his fence last sees both, and the later slice. Model:
            // `two_failures_in_two_slices_trip`.
            W::fence();
            return self.holds(rule);
        }
    }

    /// Whether the rule holds in the window as it is now.
    fn holds(&self, rule: &Rule) -> bool {
        loop {
            let word = self.head.load();
            let head = Place::of_head(word);
            if !self.is_mine(head) {
                return false;
            }
            let (calls, bad) = self.sum(head, head);
            // RACE: the good calls of a slice may have left in between, and the bad ones not. Model:
            // `a_slice_that_leaves_the_window_trips_nothing`.
            if self.head.load() != word {
                continue;
            }
            if !rule.holds(calls, bad) {
                return false;
            }
            // RACE: a move to far ahead, which empties all slots, may have begun. It begins with those of
            // the bad calls. Model: `a_move_to_far_ahead_trips_nothing`.
            let (calls_now, bad_now) = self.sum(head, head);
            if calls_now >= calls && bad_now >= bad {
                return true;
            }
        }
    }

    /// How many calls there are in the window, and how many of them were bad.
    pub(super) fn tally(&self, now: Instant) -> (u64, u64) {
        for _ in 0..TRIES {
            let word = self.head.load();
            let head = Place::of_head(word);
            if !self.is_mine(head) {
                return (0, 0);
            }
            // Looking moves nothing.
            let at = if self.is_back(head, now) { head.slice } else { self.slice(now) };
            let place = Place { slice: at.max(head.slice), ..head };
            let sum = self.sum(place, head);
            // RACE: calls came in between. Model: `slices_count_every_call_once`.
            if self.head.load() == word && self.sum(place, head) == sum {
                return sum;
            }
        }
        let head = Place::of_head(self.head.load());
        self.sum(head, head)
    }

    /// Moves the head on to `now`, and says where it is; `None` if this life is over.
    fn arrive(&self, now: Instant) -> Option<Place> {
        loop {
            let word = self.head.load();
            let head = Place::of_head(word);
            let mine = self.is_mine(head);
            if mine && self.is_in_slice(head, now) {
                return Some(head);
            }
            let slice = self.slice(now);
            let next = if mine {
                if self.is_back(head, now) {
                    Place { series: head.series + 1, slice }
                } else if slice > head.slice {
                    Place { slice, ..head }
                } else {
                    return Some(head);
                }
            } else if LIFE.of32(self.control.load()) == self.life {
                Place { series: self.series(), slice }
            } else {
                return None;
            };
            self.empty_for(next, word);
            self.head.update(|seen| {
                if seen == word { Step::Replace(next.head(), ()) } else { Step::Keep(()) }
            });
        }
    }

    /// S1: empties the slots before the head moves on from `word` to `next`, while it is still there.
    fn empty_for(&self, next: Place, word: u64) {
        let head = Place::of_head(word);
        let is_near = head.series == next.series && next.slice - head.slice <= REACH;
        // The bad calls first: who counts at this moment must not see them without the good ones.
        for (slot, index) in self.bad.iter().chain(self.good).zip((0..self.len()).cycle()) {
            slot.update(|seen| {
                // RACE: others may count in the window as it is, of which nothing may be missing. What
                // is not in the next is left to the next move. Model:
                // `a_slice_that_leaves_the_window_trips_nothing`.
                let stays =
                    is_near && self.place_of(index, head).is_some_and(|place| place.is_in(seen));
                if seen == 0 || stays || self.head.load() != word {
                    return Step::Keep(());
                }
                Step::Replace(0, ())
            });
        }
    }

    /// The calls of the window that ends with `last`, and the bad ones among them. Nothing has been
    /// counted after `head`.
    fn sum(&self, last: Place, head: Place) -> (u64, u64) {
        let sum_of = |slots: &[W]| {
            slots.iter().zip(0..).fold(0_u64, |sum, (slot, index)| {
                let word = slot.load();
                let place = self.place_of(index, last).filter(|place| place.slice <= head.slice);
                let counts = place.is_some_and(|place| place.is_in(word));
                // OK: at most 1,000 × 2³⁶.
                if counts { sum + COUNT.of(word) } else { sum }
            })
        };
        let bad = sum_of(self.bad);
        (sum_of(self.good) + bad, bad)
    }

    /// The slice that slot `index` counts while the window ends with `last`; `None` before time.
    fn place_of(&self, index: u64, last: Place) -> Option<Place> {
        let size = self.len();
        // OK: both are below the size.
        let back = (last.slice % size + size - index) % size;
        Some(Place { slice: last.slice.checked_sub(back)?, ..last })
    }

    /// Whether `now` is so far behind that the clock has stepped back.
    fn is_back(&self, head: Place, now: Instant) -> bool {
        let window = self.slice_ns.saturating_mul(self.len());
        let most = window.max(saturating_nanos(MAX_STEP_BACK));
        let begun = head.slice.saturating_mul(self.slice_ns);
        let last_round = head.series.trailing_ones() >= ROUNDS;
        now.as_nanos() < begun.saturating_sub(most) && !last_round
    }

    /// What is true of most calls, and takes no division.
    fn is_in_slice(&self, head: Place, now: Instant) -> bool {
        let begun = head.slice.saturating_mul(self.slice_ns);
        now.as_nanos().checked_sub(begun).is_some_and(|into| into < self.slice_ns)
    }

    fn slice(&self, now: Instant) -> u64 {
        // OK: not zero; and slices are so long that all times fit.
        now.as_nanos() / self.slice_ns.max(1)
    }

    /// Whether the head is of this life, as far as it says.
    fn is_mine(&self, head: Place) -> bool {
        head.series >> ROUNDS == self.series() >> ROUNDS
    }

    /// The first series of this life.
    fn series(&self) -> u64 {
        SERIES.of(SERIES.set(0, u64::from(self.life) << ROUNDS))
    }

    fn slot(&self, slice: u64) -> usize {
        // OK: not empty, and below its length.
        usize::try_from(slice % self.len()).unwrap_or(usize::MAX)
    }

    fn len(&self) -> u64 {
        // OK: a usize has 64 bits at most.
        self.good.len() as u64
    }
}

impl Place {
    fn of_head(word: u64) -> Self {
        Self { series: SERIES.of(word), slice: SLICE.of(word) }
    }

    fn head(self) -> u64 {
        SERIES.set(SLICE.set(0, self.slice), self.series)
    }

    fn slot(self) -> u64 {
        SLOT_SERIES.set(SLOT_SLICE.set(0, self.slice), self.series)
    }

    /// Whether a slot counts this slice.
    fn is_in(self, word: u64) -> bool {
        COUNT.set(word, 0) == self.slot()
    }
}
