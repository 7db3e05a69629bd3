//! Faults by numbers: those that are planned, and those that have been.

/// How many faults there are of each sort: planned, or done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) unwell: u64,
    pub(crate) away: u64,
    pub(crate) restarts: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) late: u64,
    pub(crate) told_twice: u64,
    pub(crate) broken: u64,
}

impl Counts {
    /// Each sort, by name.
    pub(crate) fn rows(&self) -> [(&'static str, u64); 8] {
        let &Self { unwell, away, restarts, lost, repeated, late, told_twice, broken } = self;
        [
            ("server not well", unwell),
            ("server away", away),
            ("publisher restarted", restarts),
            ("ticks lost", lost),
            ("ticks repeated", repeated),
            ("ticks late", late),
            ("trades told twice", told_twice),
            ("lines broken", broken),
        ]
    }

    pub(crate) fn all(&self) -> u64 {
        self.rows().iter().map(|(_, count)| count).sum()
    }

    /// Of several who have counted different sorts.
    pub(crate) fn sum(counts: &[Self]) -> Self {
        counts.iter().fold(Self::default(), |sum, more| Self {
            unwell: sum.unwell + more.unwell,
            away: sum.away + more.away,
            restarts: sum.restarts + more.restarts,
            lost: sum.lost + more.lost,
            repeated: sum.repeated + more.repeated,
            late: sum.late + more.late,
            told_twice: sum.told_twice + more.told_twice,
            broken: sum.broken + more.broken,
        })
    }
}
