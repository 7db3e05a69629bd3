//! What goes wrong, and when: a plan that is made of the seed before anything runs.
//!
//! Everything that is published and told is in it as well, so that its faults have places: the tenth tick
//! is lost, and not "a tick after about 5 ms". How threads and packets get past each other is in nobody's
//! hands, but what is planned is done.
//!
//! A kind of fault that is left out changes nothing about the others, except that a tick that is not lost
//! can be repeated or late, and that without restarts there are a few ticks more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use crate::counts::Counts;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};

/// Between two ticks.
pub(crate) const TICK: Duration = Duration::from_micros(500);
/// Between two trades.
pub(crate) const TRADE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// When the quote server is not well, or away. They do not overlap.
    pub(crate) spells: Vec<Spell>,
    /// The publisher's: it restarts between them.
    pub(crate) sessions: Vec<Session>,
    /// What becomes of ticks, counted from 0 over all sessions. The others are sent.
    pub(crate) fates: BTreeMap<u64, Fate>,
    /// How many there are.
    pub(crate) trades: u64,
    /// The lines on which they are told.
    pub(crate) lines: [Line; 2],
}

/// A time of the quote server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spell {
    pub(crate) begins: Duration,
    pub(crate) lasts: Duration,
    pub(crate) weather: Weather,
}

/// What a spell is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// It is there and helps nobody.
    Unwell,
    /// It drops all connections and is not there.
    Away,
}

/// A life of the publisher, in which it counts ticks from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// Higher than that of the one before.
    pub(crate) epoch: u64,
    pub(crate) begins: Duration,
    pub(crate) ticks: u64,
}

/// What becomes of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Twice,
    /// It is sent after so many of those that follow it.
    Late(u64),
}

/// A line from the desk. Trades are counted from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// They are told twice.
    pub(crate) twice: BTreeSet<u64>,
    /// In order.
    pub(crate) breaks: Vec<Break>,
}

/// The connection is dropped, and the next one begins with some trades again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Break {
    /// That many trades of all.
    pub(crate) after: u64,
    pub(crate) replayed: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64, length: Duration, faults: Faults) -> Self {
        let sessions = sessions(seed, length, faults.has(Fault::Restarts));
        let trades = whole(length, TRADE);
        Self {
            spells: spells(seed, length, faults),
            fates: fates(seed, sessions.iter().map(|session| session.ticks).sum(), faults),
            sessions,
            trades,
            lines: [1, 2].map(|number| line(seed, number, trades, faults)),
        }
    }

    /// The same for the same plan. (FNV-1a of all that is in it.)
    pub(crate) fn digest(&self) -> u64 {
        struct Fnv(u64);
        impl Write for Fnv {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for byte in text.bytes() {
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                Ok(())
            }
        }
        let mut sum = Fnv(0xcbf2_9ce4_8422_2325);
        let _never_fails = write!(sum, "{self:?}");
        sum.0
    }

    pub(crate) fn counts(&self) -> Counts {
        let spells = |weather| self.spells.iter().filter(|spell| spell.weather == weather).count();
        let fates = |like: fn(&Fate) -> bool| self.fates.values().filter(|fate| like(fate)).count();
        let lines = |count: fn(&Line) -> usize| self.lines.iter().map(count).sum::<usize>();
        // OK: lengths are at most 64 bits wide.
        Counts {
            unwell: spells(Weather::Unwell) as u64,
            away: spells(Weather::Away) as u64,
            restarts: self.sessions.len().saturating_sub(1) as u64,
            lost: fates(|fate| *fate == Fate::Lost) as u64,
            repeated: fates(|fate| *fate == Fate::Twice) as u64,
            late: fates(|fate| matches!(fate, Fate::Late(_))) as u64,
            told_twice: lines(|line| line.twice.len()) as u64,
            broken: lines(|line| line.breaks.len()) as u64,
        }
    }
}

/// By turns not well and away, with time to recover after each and before the end; each third time so long
/// that there are windows of the quota in which nothing keeps the client from using it up.
fn spells(seed: u64, length: Duration, faults: Faults) -> Vec<Spell> {
    const WELL_AT_LAST: Duration = Duration::from_millis(100);
    let mut dice = Dice::new(seed, "spells");
    let mut spells = Vec::new();
    let mut turn = dice.between(0, 1);
    let mut begins = millis(dice.between(200, 500));
    loop {
        let (weather, fault, lasts) = if turn % 2 == 0 {
            (Weather::Unwell, Fault::Illness, millis(dice.between(200, 400)))
        } else {
            (Weather::Away, Fault::Outages, millis(dice.between(80, 200)))
        };
        if begins + lasts + WELL_AT_LAST > length {
            return spells;
        }
        if faults.has(fault) {
            spells.push(Spell { begins, lasts, weather });
        }
        turn += 1;
        let recovery = if turn % 3 == 0 { (1_200, 1_600) } else { (300, 700) };
        begins += lasts + millis(dice.between(recovery.0, recovery.1));
    }
}

/// One after the other until the end, with a silence between them; or a single one.
fn sessions(seed: u64, length: Duration, restarts: bool) -> Vec<Session> {
    const SHORTEST_LAST: Duration = Duration::from_millis(200);
    let mut dice = Dice::new(seed, "sessions");
    let mut sessions = Vec::new();
    let (mut begins, mut epoch) = (Duration::ZERO, 0);
    loop {
        epoch += dice.between(1, 1_000);
        let lasts = millis(dice.between(800, 2_500));
        let silence = millis(dice.between(30, 150));
        if !restarts || begins + lasts + silence + SHORTEST_LAST > length {
            sessions.push(Session {
                epoch,
                begins,
                ticks: whole(length.saturating_sub(begins), TICK),
            });
            return sessions;
        }
        sessions.push(Session { epoch, begins, ticks: whole(lasts, TICK) });
        begins += lasts + silence;
    }
}

/// A tick has one fate: the worst.
fn fates(seed: u64, ticks: u64, faults: Faults) -> BTreeMap<u64, Fate> {
    let mut fates = BTreeMap::new();
    if faults.has(Fault::Reordering) {
        let mut dice = Dice::new(seed, "reordering");
        let late = (0..ticks).filter_map(|tick| {
            let by = dice.between(1, 4);
            dice.once_in(100).then_some((tick, Fate::Late(by)))
        });
        fates.extend(late);
    }
    if faults.has(Fault::Duplicates) {
        let mut dice = Dice::new(seed, "duplicate ticks");
        fates.extend((0..ticks).filter(|_| dice.once_in(100)).map(|tick| (tick, Fate::Twice)));
    }
    if faults.has(Fault::Drops) {
        let mut dice = Dice::new(seed, "drops");
        let mut in_a_row = 0_u64;
        let lost = (0..ticks).filter(|_| {
            let row = if dice.once_in(8) { dice.between(2, 20) } else { 1 };
            let before = if dice.once_in(100) { row } else { in_a_row };
            in_a_row = before.saturating_sub(1);
            before > 0
        });
        fates.extend(lost.map(|tick| (tick, Fate::Lost)));
    }
    fates
}

fn line(seed: u64, number: u64, trades: u64, faults: Faults) -> Line {
    let mut line = Line::default();
    if faults.has(Fault::Duplicates) {
        let mut dice = Dice::new(seed, &format!("duplicate trades {number}"));
        line.twice.extend((0..trades).filter(|_| dice.once_in(16)));
    }
    if faults.has(Fault::Outages) {
        let mut dice = Dice::new(seed, &format!("breaks {number}"));
        let mut after = dice.between(100, 600);
        while after < trades {
            line.breaks.push(Break { after, replayed: dice.between(10, 80) });
            after += dice.between(200, 600);
        }
    }
    line
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// How many times there is room for `part`.
fn whole(length: Duration, part: Duration) -> u64 {
    u64::try_from(length.as_nanos() / part.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_another() {
        let plan = |seed| Plan::new(seed, LENGTH, Faults::ALL);
        assert_eq!(plan(7), plan(7));
        assert_eq!(plan(7).digest(), plan(7).digest());
        let digests: BTreeSet<_> = (0..20).map(|seed| plan(seed).digest()).collect();
        assert_eq!(digests.len(), 20);
    }

    #[test]
    fn a_plan_stays_as_it_is_from_release_to_release() {
        let digest = Plan::new(7, LENGTH, Faults::ALL).digest();
        assert_eq!(format!("{digest:016x}"), "c5e090a0effcd8f8");
    }

    #[test]
    fn without_faults_nothing_happens() {
        for seed in 0..20 {
            let plan = Plan::new(seed, LENGTH, Faults::NONE);
            assert_eq!(plan.counts(), Counts::default());
            assert_eq!((plan.sessions[0].ticks, plan.trades), (20_000, 10_000));
        }
    }

    #[test]
    fn in_ten_seconds_every_fault_has_its_turn() {
        for seed in 0..30 {
            let Counts { unwell, away, restarts, lost, repeated, late, told_twice, broken } =
                Plan::new(seed, LENGTH, Faults::ALL).counts();
            assert!(unwell >= 3 && away >= 3 && restarts >= 2, "seed {seed}");
            assert!(lost >= 100 && repeated >= 100 && late >= 100, "seed {seed}");
            assert!(told_twice >= 500 && broken >= 20, "seed {seed}");
        }
    }

    #[test]
    fn a_fault_does_not_depend_on_the_others() {
        let all = Plan::new(7, LENGTH, Faults::ALL);
        for fault in Fault::ALL {
            let alone = Plan::new(7, LENGTH, Faults::NONE.with(fault)).counts();
            let all = all.counts();
            let (one, same, zeros) = match fault {
                Fault::Outages => (alone.away, all.away, Counts { away: 0, broken: 0, ..alone }),
                Fault::Illness => (alone.unwell, all.unwell, Counts { unwell: 0, ..alone }),
                Fault::Restarts => (alone.restarts, all.restarts, Counts { restarts: 0, ..alone }),
                Fault::Duplicates => {
                    let zeros = Counts { repeated: 0, told_twice: 0, ..alone };
                    (alone.told_twice, all.told_twice, zeros)
                }
                // There are a few ticks more.
                Fault::Drops => (1, 1, Counts { lost: 0, ..alone }),
                Fault::Reordering => (1, 1, Counts { late: 0, ..alone }),
            };
            assert_eq!(one, same, "{fault:?}");
            assert_eq!(zeros, Counts::default(), "{fault:?}");
        }
        let drops = Plan::new(7, LENGTH, Faults::NONE.with(Fault::Drops)).fates;
        assert!(all.fates.iter().all(|(tick, fate)| *fate != Fate::Lost || drops[tick] == *fate));
    }

    #[test]
    fn everything_happens_within_the_run_and_nothing_at_once() {
        for (seed, seconds) in (0..200).zip([1, 2, 5, 10].into_iter().cycle()) {
            let length = Duration::from_secs(seconds);
            let plan = Plan::new(seed, length, Faults::ALL);
            let mut well_since = Duration::ZERO;
            for spell in &plan.spells {
                assert!(spell.begins > well_since, "seed {seed}");
                well_since = spell.begins + spell.lasts;
            }
            assert!(well_since < length, "seed {seed}");
            for pair in plan.sessions.windows(2) {
                assert!(pair[0].epoch < pair[1].epoch, "seed {seed}");
                let published = TICK * u32::try_from(pair[0].ticks).expect("some thousands");
                assert!(pair[0].begins + published < pair[1].begins, "seed {seed}");
            }
            let last = plan.sessions.last().expect("there is one");
            assert!(last.ticks > 0 && last.begins < length, "seed {seed}");
        }
    }
}
