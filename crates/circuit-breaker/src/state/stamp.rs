//! Instants that belong to a life, and the leases of probes.
//!
//! An instant has 64 bits, which leaves none for whose it is. So each half has a word of its own, and
//! each word says whose it is:
//!
//! ```text
//!  63     32 31           0      63     32 31          0
//! ┌─────────┬──────────────┐    ┌─────────┬─────────────┐
//! │ owner   │ high half    │    │ owner   │ low half    │
//! └─────────┴──────────────┘    └─────────┴─────────────┘
//! ```
//!
//! It is known once both name the same owner, who alone writes it, once: so what is known is never
//! torn. A life's instants are written by whoever made the change that began the life, right after
//! it; until then they are not known.
//!
//! A **lease** is such a pair of words, the low half first, whose first word is also the place of a probe:
//! it is taken by moving it, and given back by whoever finds it unmoved. Its owner is not a life, but one
//! taking of the place:
//!
//! ```text
//!  31           12 11            1     0
//! ┌───────────────┬───────────────┬───────┐
//! │ life          │ taking        │ taken │
//! └───────────────┴───────────────┴───────┘
//! ```

use steadfast_core::{Instant, Step};

use super::control::LIFE;
use super::word::{Field, Word};
use super::{MAX_STEP_BACK, Terms};

const HALF: Field = Field::lowest(32);
const OWNER: Field = HALF.above(32);

const TAKEN: Field = Field::lowest(1);
const TAKING: Field = TAKEN.above(11);
const LEASE_LIFE: Field = TAKING.above(20);

/// The life in an instant's words.
pub(super) const STAMP_LIFE: Field = HALF.above(26);
/// The life in a lease's words.
pub(super) const LEASE_WORD_LIFE: Field = HALF.above(1).above(11).above(20);

/// An instant that belongs to a life.
#[derive(Debug)]
pub(super) struct Stamp<'a, W> {
    pub(super) high: &'a W,
    pub(super) low: &'a W,
}

impl<W: Word> Stamp<'_, W> {
    /// What the owner has written, if it has.
    #[inline]
    pub(super) fn read(&self, owner: u32) -> Option<Instant> {
        let (high, low) = (self.high.load(), self.low.load());
        let known = OWNER.of32(high) == owner && OWNER.of32(low) == owner;
        known.then(|| joined(high, low))
    }

    /// Written once a life. A late writer does not disturb a later life.
    pub(super) fn write(&self, life: u32, at: Instant) {
        let at = at.as_nanos();
        for (word, half) in [(self.high, at >> 32), (self.low, at)] {
            word.update(|seen| {
                if seen != 0 && LIFE.is_after(OWNER.of(seen), u64::from(life)) {
                    return Step::Keep(());
                }
                Step::Replace(owned(life, half), ())
            });
        }
    }
}

/// The place of a probe that has one, in the life of its pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) slot: u32,
    pub(super) taking: u32,
}

/// What becomes of probes that do not report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry {
    /// How many have not reported in time.
    pub(super) expired: u32,
    /// When the next of the others may not have.
    pub(super) next: Instant,
}

/// The places of all probes.
#[derive(Debug)]
pub(super) struct Leases<'a, W>(pub(super) &'a [W]);

impl<W: Word> Leases<'_, W> {
    /// A place in `life` until `until`; `None` if that life is over. The caller has been counted: so
    /// there is a place.
    pub(super) fn take(
        &self,
        life: u32,
        until: Instant,
        is_over: impl Fn() -> bool,
    ) -> Option<Lease> {
        loop {
            for slot in 0..self.len() {
                let owner = self.first(slot).update(|seen| {
                    let owner = OWNER.of(seen);
                    // RACE: looked at after the place, so that a probe of a later life keeps its own.
                    // Model: `late_probe_takes_no_place_of_the_next_life`.
                    if is_taken_in(owner, life) || is_over() {
                        return Step::Keep(None);
                    }
                    let next = taken_next(owner, life);
                    Step::Replace(owned(next, until.as_nanos()), Some(next))
                });
                if let Some(owner) = owner {
                    return Some(self.begin(slot, owner, until));
                }
            }
            // RACE: others took and gave back places while they were looked at one after the other;
            // one of them is free. Model: `probe_limit_is_never_exceeded`.
            if is_over() {
                return None;
            }
        }
    }

    /// Takes the place of a probe that did not report in time.
    pub(super) fn take_over(&self, terms: &Terms, life: u32, now: Instant) -> Option<Lease> {
        let until = now.saturating_add(terms.probe_timeout);
        (0..self.len()).find_map(|slot| {
            let (seen, at) =
                self.known(slot, life).filter(|&(_, at)| is_expired(terms, at, now))?;
            let next = taken_next(seen.into(), life);
            let won = self.first(slot).update(|word| {
                // RACE: it may report at this moment. Whoever moves the word first decides. Model:
                // `late_probe_and_its_successor_count_once`.
                if word != owned(seen, at.as_nanos()) {
                    return Step::Keep(false);
                }
                Step::Replace(owned(next, until.as_nanos()), true)
            });
            won.then(|| self.begin(slot, next, until))
        })
    }

    /// Of the probes that are in flight.
    pub(super) fn expiry(&self, terms: &Terms, life: u32, in_flight: u32, now: Instant) -> Expiry {
        let mut known = 0;
        let mut expiry = Expiry { expired: 0, next: Instant::MAX };
        for (_, at) in (0..self.len()).filter_map(|slot| self.known(slot, life)) {
            known += 1;
            if is_expired(terms, at, now) {
                expiry.expired += 1;
            } else {
                expiry.next = expiry.next.min(at);
            }
        }
        if known < in_flight {
            // RACE: one has been counted, and takes its place at this moment. It may be lost, and
            // nobody will tell. Model: `who_joins_as_a_probe_begins_looks_when_that_may_be_lost`.
            expiry.next = expiry.next.min(now.saturating_add(terms.probe_timeout));
        }
        expiry
    }

    /// Whether a lease ends so late that the clock must have stepped back since it was taken.
    pub(super) fn are_of_the_future(&self, terms: &Terms, life: u32, now: Instant) -> bool {
        let mut known = (0..self.len()).filter_map(|slot| self.known(slot, life));
        known.any(|(_, until)| is_of_the_future(terms, until, now))
    }

    /// Gives a place back that was taken until `until`. `false` if it was taken away.
    pub(super) fn give_back(&self, life: u32, lease: Lease, until: Instant) -> bool {
        let owner = HALF.of32(TAKING.set(taken_first(life), lease.taking.into()));
        self.first(lease.slot).update(|seen| {
            if seen != owned(owner, until.as_nanos()) {
                return Step::Keep(false);
            }
            Step::Replace(OWNER.set(0, TAKEN.set(owner.into(), 0)), true)
        })
    }

    /// The second half of a taking.
    fn begin(&self, slot: u32, owner: u32, until: Instant) -> Lease {
        self.second(slot).update(|_| {
            // RACE: somebody may have taken the place away, or over in a later life, and written this
            // word already. Model: `late_probe_takes_no_place_of_the_next_life`.
            if OWNER.of32(self.first(slot).load()) != owner {
                return Step::Keep(());
            }
            Step::Replace(owned(owner, until.as_nanos() >> 32), ())
        });
        Lease { slot, taking: TAKING.of32(owner.into()) }
    }

    /// The owner of a place that is taken in `life`, and until when.
    fn known(&self, slot: u32, life: u32) -> Option<(u32, Instant)> {
        let (low, high) = (self.first(slot).load(), self.second(slot).load());
        let owner = OWNER.of(low);
        let known = is_taken_in(owner, life) && OWNER.of(high) == owner;
        known.then(|| (OWNER.of32(low), joined(high, low)))
    }

    fn len(&self) -> u32 {
        // OK: two words for each of at most 255 probes.
        u32::try_from(self.0.len() / 2).unwrap_or(u32::MAX)
    }

    fn first(&self, slot: u32) -> &W {
        // OK: below `len`.
        &self.0[slot as usize * 2]
    }

    fn second(&self, slot: u32) -> &W {
        // OK: below `len`.
        &self.0[slot as usize * 2 + 1]
    }
}

/// Also when the clock has stepped back so far that the lease seems to be of the future.
fn is_expired(terms: &Terms, until: Instant, now: Instant) -> bool {
    now >= until || is_of_the_future(terms, until, now)
}

fn is_of_the_future(terms: &Terms, until: Instant, now: Instant) -> bool {
    until > now.saturating_add(terms.probe_timeout).saturating_add(MAX_STEP_BACK)
}

fn is_taken_in(owner: u64, life: u32) -> bool {
    TAKEN.of(owner) != 0 && LEASE_LIFE.of(owner) == LEASE_LIFE.of(LEASE_LIFE.set(0, life.into()))
}

/// The owner that takes a place in `life` first.
fn taken_first(life: u32) -> u64 {
    LEASE_LIFE.set(TAKEN.set(0, 1), life.into())
}

/// The owner that takes a place in `life` after `before`.
fn taken_next(before: u64, life: u32) -> u32 {
    let fresh = taken_first(life);
    let same_life = LEASE_LIFE.of(before) == LEASE_LIFE.of(fresh);
    let taking = if same_life { TAKING.of(before) + 1 } else { 0 };
    HALF.of32(TAKING.set(fresh, taking))
}

fn owned(owner: u32, half: u64) -> u64 {
    OWNER.set(HALF.set(0, half), owner.into())
}

fn joined(high: u64, low: u64) -> Instant {
    Instant::from_nanos(HALF.of(high) << 32 | HALF.of(low))
}
