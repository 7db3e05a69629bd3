//! The window over the last N calls.
//!
//! Not what came of each call is kept, but *where the bad ones were*: calls are numbered, and the
//! numbers of the last N bad calls lie in a ring. So a good call only moves the number on, nothing
//! ever has to be taken out, and whether T of the last N calls were bad is one look at the T-th last
//! bad call's number.
//!
//! ```text
//!  head   63   45 44      43     42   41      28 27          0
//!        ┌───────┬───────┬──────┬──────┬─────────┬────────────┐
//!        │ life  │ clean │ full │ late │ next    │ calls      │
//!        └───────┴───────┴──────┴──────┴─────────┴────────────┘
//!  ring   63      54 53       28 27          0
//!        ┌──────────┬───────────┬─────────────┐
//!        │ 0        │ life      │ call        │   × N
//!        └──────────┴───────────┴─────────────┘
//! ```
//!
//! - *calls*: the number of the last call; *full*: there were N.
//! - *next*: the slot of the next bad call. *late*: the last call was bad, and is not in its slot yet:
//!   whoever moves the head on puts it there first.
//! - *clean*: full, and none of the last N was bad. **Then a good call writes nothing.** It may be
//!   found late: only every sixteenth call looks for it, unless the window is smaller than that.
//!
//! | call | when | the head becomes |
//! |---|---|---|
//! | any | of a life that is over | – |
//! | any | the first of its life | empty, then as below |
//! | good | clean | – |
//! | good | otherwise | one call more; clean, if it looks, and full, and the last bad call is N calls ago |
//! | bad | | one call more, late, the next slot; not clean |
//!
//! Invariants:
//! - **C1** The slots before *next* hold the last bad calls of this life in order, but for the last
//!   of them if it is *late*.
//! - **C2** *calls* moves on by less than N + 16 after each bad call; so within a life two numbers that
//!   can meet in the ring are less than N × (N + 16) < 2²⁷ apart, and compare as serial numbers.

use steadfast_core::Step;

use super::control::LIFE;
use super::word::{Field, Word};
use super::{Rule, TRIES};

const CALLS: Field = Field::lowest(28);
const NEXT: Field = CALLS.above(14);
const LATE: Field = NEXT.above(1);
const FULL: Field = LATE.above(1);
const CLEAN: Field = FULL.above(1);
pub(super) const HEAD_LIFE: Field = CLEAN.above(19);
/// Both of them.
const CLEAN_LIFE: Field = FULL.above(1 + 19);
/// All but the numbers.
const STATUS: Field = NEXT.above(3 + 19);

const SLOT_CALL: Field = Field::lowest(28);
pub(super) const SLOT_LIFE: Field = SLOT_CALL.above(26);

/// How often a good call looks whether the window is clean: where it looks, others have written.
const LOOK_EVERY: u64 = 16;

/// The window's words: the head, then the ring.
#[derive(Debug)]
pub(super) struct Calls<'a, W> {
    head: &'a W,
    ring: &'a [W],
    life: u32,
    /// Which life it is now.
    control: &'a W,
}

/// The head as one life sees it.
enum Seen {
    /// This life is over.
    Over,
    Mine(u64),
}

impl<'a, W: Word> Calls<'a, W> {
    /// `words` are as many as [`Span::words`](super::Span::words) says.
    pub(super) fn new(words: &'a [W], control: &'a W, life: u32) -> Option<Self> {
        let (head, ring) = words.split_first()?;
        Some(Self { head, ring, life, control })
    }

    /// Counts a good call where that only moves the number on, as it mostly does between two bad ones.
    /// Whether it did. (It takes a third of the time of all that [`good`](Self::good) has to think of.)
    #[inline]
    pub(super) fn good_at_once(&self) -> bool {
        let status = STATUS.of(FULL.set(HEAD_LIFE.set(0, self.life.into()), 1));
        self.size() >= LOOK_EVERY
            && self.head.update(|head| {
                // OK: the number does not outgrow its field, before which it would look.
                if STATUS.of(head) == status && CALLS.of(head + 1) % LOOK_EVERY != 0 {
                    Step::Replace(head + 1, true)
                } else {
                    Step::Keep(false)
                }
            })
    }

    /// Counts a good call.
    // Apart, and with the window as a value: so what is tried before it needs none of it in memory.
    #[inline(never)]
    pub(super) fn good(self) {
        self.head.update(|word| {
            let Seen::Mine(head) = self.seen(word) else { return Step::Keep(()) };
            if CLEAN.of(head) != 0 {
                return Step::Keep(());
            }
            self.put_late(head);
            let head = LATE.set(self.counted(head), 0);
            let looks = CALLS.of(head) % LOOK_EVERY == 0 || self.size() < LOOK_EVERY;
            let clean = looks && self.is_clean(head);
            Step::Replace(CLEAN.set(head, clean.into()), ())
        });
    }

    /// Whether there is nothing bad in a window all of whose bad calls are in their slots.
    fn is_clean(&self, head: u64) -> bool {
        let last = self.call_in(self.slot_before(head, 1));
        FULL.of(head) != 0 && last.is_none_or(|last| age(head, last) >= self.size())
    }

    /// Counts a bad call, and says whether the rule holds.
    pub(super) fn bad(&self, rule: &Rule) -> bool {
        self.head.update(|word| {
            let Seen::Mine(head) = self.seen(word) else { return Step::Keep(false) };
            self.put_late(head);
            let head = CLEAN.set(self.counted(head), 0);
            let holds = self.holds(head, rule);
            let slot = NEXT.of(head);
            let next = if slot + 1 < self.size() { slot + 1 } else { 0 };
            let head = LATE.set(NEXT.set(head, next), 1);
            // It is left to the next call to put it in its slot: it does not take longer for that, and
            // two cores do not both want the slot.
            Step::Replace(head, holds)
        })
    }

    /// How many calls there are in the window, and how many of them were bad. It takes a step a bad
    /// call.
    pub(super) fn tally(&self) -> (u64, u64) {
        let mut tries = 0;
        loop {
            let word = self.head.load();
            let Seen::Mine(head) = self.seen(word) else { return (0, 0) };
            self.put_late(head);
            let calls = self.calls(head);
            let in_window = |&back: &u64| {
                let call = self.call_in(self.slot_before(head, back));
                call.is_some_and(|call| age(head, call) < calls)
            };
            let bad = (1..=self.size()).take_while(in_window).count();
            tries += 1;
            // RACE: calls came in between. Model: `tally_is_of_one_moment`.
            if self.head.load() == word || tries == TRIES {
                // OK: a usize has 64 bits at most.
                return (calls, bad as u64);
            }
        }
    }

    /// Whether, with a bad call that is counted but has no slot yet, at least so many of the window
    /// are bad.
    fn holds(&self, head: u64, rule: &Rule) -> bool {
        let calls = self.calls(head);
        if calls < u64::from(rule.minimum) {
            return false;
        }
        // OK: at most the size of the window, which fits.
        let others = Rule::threshold_of(rule.parts, u32::try_from(calls).unwrap_or(u32::MAX)) - 1;
        if others == 0 {
            return true;
        }
        let call = self.call_in(self.slot_before(head, others.into()));
        call.is_some_and(|call| age(head, call) < calls)
    }

    /// C1: puts a late bad call in its slot, if there is one.
    #[inline]
    fn put_late(&self, head: u64) {
        if LATE.of(head) != 0 {
            put(&self.ring[self.slot_before(head, 1)], self.life, CALLS.of(head));
        }
    }

    fn seen(&self, head: u64) -> Seen {
        if HEAD_LIFE.of(head) == self.tag() {
            return Seen::Mine(head);
        }
        // RACE: looked at after the head, so that a head of a later life is never taken for one of
        // an earlier. Model: `late_result_does_not_touch_the_window_of_the_next_life`.
        if LIFE.of32(self.control.load()) == self.life {
            Seen::Mine(HEAD_LIFE.set(0, self.life.into()))
        } else {
            Seen::Over
        }
    }

    fn tag(&self) -> u64 {
        tag(self.life)
    }

    /// One call more.
    fn counted(&self, head: u64) -> u64 {
        let call = CALLS.of(head) + 1;
        let full = FULL.of(head) != 0 || call >= self.size();
        FULL.set(CALLS.set(head, call), full.into())
    }

    fn calls(&self, head: u64) -> u64 {
        if FULL.of(head) != 0 { self.size() } else { CALLS.of(head) }
    }

    /// The number of the bad call in a slot, if this life has put one there.
    fn call_in(&self, slot: usize) -> Option<u64> {
        let word = self.ring[slot].load();
        (SLOT_LIFE.of(word) == u64::from(self.life)).then(|| SLOT_CALL.of(word))
    }

    /// The slot of the bad call so many before the next one.
    fn slot_before(&self, head: u64, back: u64) -> usize {
        let next = NEXT.of(head);
        let slot = if back <= next { next - back } else { next + self.size() - back };
        // OK: below the size.
        usize::try_from(slot).unwrap_or(usize::MAX)
    }

    fn size(&self) -> u64 {
        // OK: a usize has 64 bits at most.
        self.ring.len() as u64
    }
}

/// Puts a bad call in its slot. (With all that it needs at hand, so that good calls, which seldom have
/// to, need not keep the window in memory for it.)
#[inline(never)]
fn put<W: Word>(slot: &W, life: u32, call: u64) {
    // RACE: another one may put it there too, or have been late for long. Model:
    // `late_bad_call_is_put_in_its_slot_once`.
    slot.update(|seen| {
        let later_life = seen != 0 && LIFE.is_after(SLOT_LIFE.of(seen), life.into());
        let same_life = SLOT_LIFE.of(seen) == u64::from(life);
        // It is there, or somebody has been late for a whole round.
        let there = same_life && !SLOT_CALL.is_after(call, SLOT_CALL.of(seen));
        if later_life || there {
            return Step::Keep(());
        }
        Step::Replace(SLOT_CALL.set(SLOT_LIFE.set(0, life.into()), call), ())
    });
}

/// Whether a good call changes nothing, as a window's first word says in this life.
#[inline]
pub(super) const fn is_clean(head: u64, life: u32) -> bool {
    // One comparison: they are next to each other, above all else.
    CLEAN_LIFE.of(head) == CLEAN_LIFE.of(CLEAN.set(HEAD_LIFE.set(0, life as u64), 1))
}

/// As much of the life as the head has room for.
#[inline]
const fn tag(life: u32) -> u64 {
    HEAD_LIFE.of(HEAD_LIFE.set(0, life as u64))
}

/// How many calls ago `call` was.
fn age(head: u64, call: u64) -> u64 {
    CALLS.of(CALLS.of(head).wrapping_sub(call))
}
