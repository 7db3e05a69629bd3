//! Which kinds of faults a run has.

use std::fmt;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The quote server drops everybody and is away; the desk's lines break.
    Outages,
    /// The quote server is there and helps nobody.
    Illness,
    /// Ticks get lost, alone or several in a row.
    Drops,
    /// Ticks come twice; trades are told of twice on the same line.
    Duplicates,
    /// Ticks come after some that were sent later.
    Reordering,
    /// The publisher is gone for a moment, and then counts from 1 in a new session.
    Restarts,
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults(u8);

impl Fault {
    pub(crate) const ALL: [Self; 6] = [
        Self::Outages,
        Self::Illness,
        Self::Drops,
        Self::Duplicates,
        Self::Reordering,
        Self::Restarts,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Outages => "outages",
            Self::Illness => "illness",
            Self::Drops => "drops",
            Self::Duplicates => "duplicates",
            Self::Reordering => "reordering",
            Self::Restarts => "restarts",
        }
    }

    const fn bit(self) -> u8 {
        // OK: there are six.
        1 << self as u8
    }
}

impl Faults {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(0b11_1111);

    pub(crate) const fn has(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    pub(crate) const fn with(self, fault: Fault) -> Self {
        Self(self.0 | fault.bit())
    }

    /// `all`, `none`, or names with commas between them. What is none of these is the error.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        match list {
            "all" => Ok(Self::ALL),
            "none" => Ok(Self::NONE),
            list => list.split(',').try_fold(Self::NONE, |faults, name| {
                let known = Fault::ALL.into_iter().find(|fault| fault.name() == name);
                known.map(|fault| faults.with(fault)).ok_or_else(|| name.to_owned())
            }),
        }
    }
}

/// As it is parsed, but always by name.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Fault::ALL.into_iter().filter(|fault| self.has(*fault)).map(Fault::name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        for bits in 0..=Faults::ALL.0 {
            let faults = Faults(bits);
            assert_eq!(Faults::parse(&faults.to_string()), Ok(faults));
        }
        assert_eq!(Faults::parse("all"), Ok(Faults::ALL));
    }

    #[test]
    fn what_is_no_fault_is_named() {
        assert_eq!(Faults::parse("drops,dorps"), Err("dorps".to_owned()));
        assert_eq!(Faults::parse(""), Err(String::new()));
        assert_eq!(Faults::parse("drops,none"), Err("none".to_owned()), "not within a list");
    }
}
