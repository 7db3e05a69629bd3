//! Missing numbers as RTP's negative acknowledgements (RFC 4585, section 6.2.1).

use crate::gaps::Run;

/// Up to 17 lost packets: one, and which of the 16 after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nack {
    /// The packet identifier: the lowest lost number, in 16 bits.
    pub pid: u16,
    /// The bitmask: bit *i* stands for the number `pid + i + 1`.
    pub blp: u16,
}

/// Packs `runs`, sorted as [`State::gaps`](crate::State::gaps) and [`due`](crate::State::due) give
/// them, into as few acknowledgements as possible. Of a number the low
/// 16 bits count.
///
/// It is lazy: a gap of a billion costs what is taken of it.
///
/// # Examples
///
/// ```
/// use steadfast_core::Instant;
/// use steadfast_sequence_tracker::{Config, Gap, Nack, nacks};
///
/// let mut state = Config::new().state_in([Gap::EMPTY; 8])?;
/// for number in [65_530, 65_533, 65_540, 65_560] {
///     state.record(number, Instant::ZERO);
/// }
/// let nacks: Vec<_> = nacks(state.gaps().iter().map(|gap| gap.run())).take(1).collect();
/// // 65,531, and of the 16 after it all but 65,533 and 65,540.
/// assert_eq!(nacks, [Nack { pid: 65_531, blp: 0b1111_1110_1111_1101 }]);
/// # Ok::<(), steadfast_sequence_tracker::ConfigError>(())
/// ```
pub fn nacks(runs: impl IntoIterator<Item = Run>) -> Nacks<impl Iterator<Item = Run>> {
    let mut runs = runs.into_iter();
    let current = runs.next();
    Nacks { runs, current }
}

/// What [`nacks`] gives.
#[derive(Debug, Clone)]
#[must_use = "an iterator does nothing unless it is used"]
pub struct Nacks<I> {
    runs: I,
    /// What is left of the run that comes next.
    current: Option<Run>,
}

impl<I: Iterator<Item = Run>> Iterator for Nacks<I> {
    type Item = Nack;

    fn next(&mut self) -> Option<Nack> {
        let first = self.current?.first;
        let end = first.saturating_add(16);
        let mut blp = 0;
        while let Some(run) = self.current.filter(|run| run.first <= end) {
            for number in (run.first..=run.last.min(end)).filter(|&number| number > first) {
                // OK: 1 to 16 above the first.
                blp |= 1 << (number - first - 1);
            }
            self.current = match run.last.checked_sub(end) {
                Some(1..) => Some(Run { first: end + 1, last: run.last }),
                _ => self.runs.next(),
            };
        }
        #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits count")]
        Some(Nack { pid: first as u16, blp })
    }
}
