//! The parts of a line, whatever its format.

use std::borrow::Cow;

use super::Reason;

/// What a line can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Time,
    Id,
    Sequence,
    Outcome,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Time, Self::Id, Self::Sequence, Self::Outcome];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Id => "id",
            Self::Sequence => "sequence number",
            Self::Outcome => "outcome",
        }
    }

    /// What columns and fields with it are called, in small letters; the best first.
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Time => &["time", "timestamp", "ts", "@timestamp", "datetime", "date", "at", "t"],
            Self::Id => &[
                "id",
                "key",
                "request_id",
                "message_id",
                "msg_id",
                "trade_id",
                "order_id",
                "client",
                "client_id",
                "user",
                "user_id",
                "uuid",
            ],
            Self::Sequence => {
                &["sequence", "seq", "seqno", "seq_no", "sequence_number", "number", "offset", "n"]
            }
            Self::Outcome => {
                &["outcome", "result", "status", "status_code", "code", "ok", "success"]
            }
        }
    }
}

/// The text of each part that is there and not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cells<'a>([Option<Cow<'a, str>>; 4]);

impl<'a> Cells<'a> {
    pub(super) fn set(&mut self, part: Part, text: Cow<'a, str>) {
        let is_blank = text.trim().is_empty();
        self.0[part as usize] = (!is_blank).then_some(text);
    }

    /// What is there, without blanks around it.
    pub(super) fn get(&self, part: Part) -> Option<&str> {
        self.0[part as usize].as_deref().map(str::trim)
    }

    pub(super) fn need(&self, part: Part) -> Result<&str, Reason> {
        self.get(part).ok_or(Reason::Without(part.name()))
    }
}

/// The names that the options give to the parts, or none.
pub(super) type Names = [Option<String>; 4];

/// Which parts a column or field of this name is, and how good a name for each that is: less is better.
///
/// What an option calls by this name is that, and nothing else: the names that are found by themselves come after
/// all those that are given. Two options may name the same column.
pub(super) fn parts_of<'n>(
    name: &'n str,
    given: &'n Names,
) -> impl Iterator<Item = (Part, usize)> + 'n {
    let name = name.trim();
    let is_given = given.iter().flatten().any(|own| own.eq_ignore_ascii_case(name));
    Part::ALL.into_iter().filter_map(move |part| {
        let rank = match &given[part as usize] {
            Some(own) if own == name => 0,
            // In any case of letters, unless there is another in this one.
            Some(own) if own.eq_ignore_ascii_case(name) => 1,
            None if !is_given => {
                2 + part.names().iter().position(|known| name.eq_ignore_ascii_case(known))?
            }
            _ => return None,
        };
        Some((part, rank))
    })
}
