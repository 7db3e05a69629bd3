//! What became of a call.

/// What became of a call, as a trace tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It worked.
    Success,
    /// It failed.
    Failure,
    /// It worked, too late.
    Slow,
    /// It says nothing about the service: it was cancelled, for example.
    Ignored,
}

impl Outcome {
    /// What a cell says: a word, `true` or `false`, or a status code. Codes below 500 are successes, as the
    /// service is well that says "not found"; but 408 and 429 are failures, as it is not well then.
    pub fn of(text: &str) -> Option<Self> {
        const WORDS: [(Outcome, &[&str]); 4] = [
            (
                Outcome::Success,
                &["ok", "success", "succeeded", "true", "pass", "passed", "up", "200 ok"],
            ),
            (
                Outcome::Failure,
                &[
                    "err",
                    "error",
                    "fail",
                    "failed",
                    "failure",
                    "false",
                    "timeout",
                    "timed_out",
                    "refused",
                    "reset",
                    "unavailable",
                    "down",
                ],
            ),
            (Outcome::Slow, &["slow"]),
            (Outcome::Ignored, &["ignored", "ignore", "cancelled", "canceled", "skipped"]),
        ];
        let known = |(_, words): &&(Self, &[&str])| {
            words.iter().any(|word| word.eq_ignore_ascii_case(text))
        };
        if let Some((outcome, _)) = WORDS.iter().find(known) {
            return Some(*outcome);
        }
        match text.parse::<u16>().ok()? {
            408 | 429 | 500..=599 => Some(Self::Failure),
            100..=499 => Some(Self::Success),
            _ => None,
        }
    }
}
