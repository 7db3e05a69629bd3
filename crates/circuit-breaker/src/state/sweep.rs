//! What lives of long ago have left.
//!
//! Words name the life that wrote them, most of them by as many low bits of its number as have room:
//! ten at least. So the number of a life comes round again, and what was left by the life that had it
//! before must be gone by then, even if nobody wrote there since. A life whose number is a multiple of
//! 256 begins by emptying what is older than that: nothing stays for 512 lives.
//!
//! A word that is empty is of no life.

use steadfast_core::Step;

use super::calls::{HEAD_LIFE, SLOT_LIFE};
use super::control::LIFE;
use super::ramp::RAMP_LIFE;
use super::slices::SLICES_LIFE;
use super::stamp::{LEASE_WORD_LIFE, STAMP_LIFE};
use super::word::Field;
use super::{Memory, Span, State, Word};

/// How many lives there are from one sweep to the next.
const SWEEP: u64 = 256;

impl<M: Memory> State<M> {
    /// Sweeps, if it is time to, in a life that has just begun.
    pub(super) fn sweep(&self, life: u32) {
        if u64::from(life) % SWEEP != 0 {
            return;
        }
        let words = self.memory.words();
        self.forget(life, STAMP_LIFE, &self.words.until);
        self.forget(life, RAMP_LIFE, core::slice::from_ref(&self.words.ramp));
        self.forget(life, LEASE_WORD_LIFE, words.get(self.terms.leases()).unwrap_or_default());
        for rule in self.terms.rules() {
            let words = words.get(rule.range()).unwrap_or_default();
            match rule.span {
                Span::Calls { .. } => {
                    let (head, ring) = words.split_at(words.len().min(1));
                    self.forget(life, HEAD_LIFE, head);
                    self.forget(life, SLOT_LIFE, ring);
                }
                Span::Time { .. } => self.forget(life, SLICES_LIFE, words),
            }
        }
    }

    /// Empties those of `words` whose lives, as `owner` names them, were long ago.
    fn forget(&self, life: u32, owner: Field, words: &[M::Word]) {
        for word in words {
            word.update(|seen| {
                let is_old = owner.ahead(life.into(), owner.of(seen)) >= SWEEP;
                // RACE: looked at after the word, so that a word of a later life is never taken for
                // one of long ago. Model: `a_sweep_that_is_late_leaves_the_next_life_alone`.
                if seen == 0 || !is_old || LIFE.of32(self.words.control.load()) != life {
                    return Step::Keep(());
                }
                Step::Replace(0, ())
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::time::Duration;

    use steadfast_core::Instant;

    use super::super::{Decision, Effects, Outcome, Phase, State, Words};
    use super::{LIFE, SWEEP};
    use crate::config::{Config, Window};

    const NOW: Instant = Instant::from_nanos(1_000_000_000);
    const BREAK: Duration = Duration::from_secs(5);

    /// Closed, in its life number `life`.
    fn in_life(life: u64) -> State<[Cell<u64>; 32]> {
        let terms = Config::new()
            .failure_rate(1.0, Window::calls(2))
            .failure_rate(1.0, Window::time(BREAK).slices(3).minimum(2))
            .terms()
            .expect("valid");
        let zero = || Cell::new(0);
        let words = Words {
            control: Cell::new(LIFE.set(0, life)),
            since: [zero(), zero()],
            until: [zero(), zero()],
            ramp: zero(),
            last_break: zero(),
            opened: zero(),
        };
        State::with_words(terms, words, [const { Cell::new(0) }; 32])
    }

    fn fail(state: &State<[Cell<u64>; 32]>) -> Effects {
        let Decision::Granted(pass) = state.begin(false, NOW).0 else { panic!("refused") };
        state.report(pass, Outcome::FAILURE, || NOW, |_| BREAK)
    }

    #[test]
    fn in_every_life_an_empty_word_is_of_no_life() {
        for life in [1, SWEEP - 1, 1 << 10, 1 << 19, 1 << 25, (1 << 25) + 2, LIFE.max()] {
            let state = in_life(life);
            assert_eq!(fail(&state), Effects::NONE, "in life {life}");
            assert_ne!(fail(&state), Effects::NONE, "in life {life}");
            let until = NOW.saturating_add(BREAK);
            assert_eq!(state.begin(false, NOW).0, Decision::Open { until }, "in life {life}");
        }
    }

    #[test]
    fn after_the_last_number_comes_1_again() {
        let state = in_life(LIFE.max());
        let _effects = state.reset(NOW);
        assert_eq!(state.life(), 1);
        assert_eq!(state.metrics(NOW).since, Some(NOW));
    }

    #[test]
    fn nothing_stays_for_512_lives_and_nothing_goes_that_may_be_needed() {
        for first in [1, SWEEP - 1, SWEEP, LIFE.max() - SWEEP, LIFE.max() - 1] {
            let state = in_life(first);
            let (since, until) = (state.memory.clone(), state.words.until.clone());
            assert_eq!(fail(&state), Effects::NONE);
            assert_ne!(fail(&state), Effects::NONE);
            assert_eq!(state.phase(NOW), Phase::Open);
            assert_ne!((&since, &until), (&state.memory, &state.words.until));
            let written = state.memory.clone();
            for _ in 1..SWEEP - 1 {
                let _effects = state.reset(NOW);
            }
            assert_eq!(state.memory, written, "less than {SWEEP} lives ago: {first}");
            for _ in SWEEP - 1..=2 * SWEEP {
                let _effects = state.reset(NOW);
            }
            assert_eq!((&since, &until), (&state.memory, &state.words.until), "{first}");
        }
    }
}
