//! The cases of the sequence tracker.
//!
//! A call records 1,000 numbers, and all numbers are for one of them. Which ones they are is in an opaque
//! list, and every contender is reached through an opaque reference, once a call; it says of each
//! number whether it is fresh, which is counted. All numbers come in the end, so whatever is missing
//! has come at the end of a call.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rangemap::RangeInclusiveSet;
use roaring::RoaringTreemap;
use steadfast_core::{Instant, SystemClock};
use steadfast_sequence_tracker::{
    Config, ReplayWindow, SequenceTracker, SharedReplayWindow, State,
};

use crate::cases::Case;

/// Numbers a call.
const SIZE: u64 = 1_000;
/// Numbers that a thread takes at a time, as a receiver of datagrams does.
const TAKEN: u64 = 32;

/// Of 1,024 numbers, all of them.
type Owner = ReplayWindow<16>;
type Shared = SharedReplayWindow<129>;

/// All cases, group by group.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    windows(&mut cases, "replay-in-order", in_order);
    windows(&mut cases, "replay-reordered", reordered);
    gaps(&mut cases, "gaps-in-order", in_order);
    gaps(&mut cases, "gaps-loss", lost);
    gaps(&mut cases, "gaps-reordered", reordered);
    shared_window(&mut cases);
    shared_window_of_two(&mut cases, "replay-shared-pair", TAKEN);
    shared_window_of_two(&mut cases, "replay-shared-pair-one-by-one", 1);
    shared_gaps(&mut cases, "gaps-shared-in-order", in_order);
    shared_gaps(&mut cases, "gaps-shared-loss", lost);
    cases
}

fn in_order() -> Vec<u64> {
    (0..SIZE).collect()
}

/// One in a hundred comes 1 to 8 numbers late.
fn reordered() -> Vec<u64> {
    late(1..=8)
}

/// One in a hundred is lost, and comes 50 to 99 numbers late.
fn lost() -> Vec<u64> {
    late(50..=99)
}

/// A number of every hundred comes so many places late.
fn late(places: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    let mut numbers = in_order();
    // The last hundred stays, so that the late ones of the one before it find a place.
    for hundred in (0..SIZE / 100 - 1).rev() {
        // Spread over the hundred, and never the first of all.
        let from = hundred * 100 + 1 + hundred * 37 % 97;
        let width = places.end() - places.start() + 1;
        let to = from + places.start() + hundred * 13 % width;
        let number = numbers.remove(index(from));
        numbers.insert(index(to), number);
    }
    numbers
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("below 1,000")
}

/// Numbers that go on and on: those of `list`, and the same 1,000 later.
fn recorded<T: 'static>(
    group: &'static str,
    name: &'static str,
    list: fn() -> Vec<u64>,
    new: impl Fn() -> T + 'static,
    record: impl Fn(&mut T, u64) -> bool + Copy + 'static,
) -> Case {
    Case::batch(group, name, SIZE, move || {
        let (list, mut contender) = (list(), new());
        let mut base = 1;
        move || {
            let contender = black_box(&mut contender);
            let mut fresh = 0;
            for &number in black_box(&list) {
                fresh += u64::from(record(contender, base + number));
            }
            assert_eq!(fresh, SIZE, "each comes once");
            base += SIZE;
        }
    })
}

/// The ring of RFC 6479: blocks that are cleared as the edge comes to them, one more than the window has.
#[derive(Default)]
struct Ring {
    edge: u64,
    blocks: [u64; 32],
}

impl Ring {
    const WINDOW: u64 = 31 * 64;

    #[inline]
    fn record(&mut self, number: u64) -> bool {
        let block = number / 64;
        if number > self.edge {
            let steps = (block - self.edge / 64).min(32);
            for step in 1..=steps {
                self.blocks[Self::slot(self.edge / 64 + step)] = 0;
            }
            self.edge = number;
        } else if self.edge - number >= Self::WINDOW {
            return false;
        }
        let (slot, bit) = (Self::slot(block), 1 << (number % 64));
        let fresh = self.blocks[slot] & bit == 0;
        self.blocks[slot] |= bit;
        fresh
    }

    #[inline]
    fn slot(block: u64) -> usize {
        usize::try_from(block % 32).expect("below 32")
    }
}

/// What boringtun's validator does, which is private: it first looks whether a number will be
/// accepted, and marks it then. One that is the next sets its bit, whatever was there.
#[derive(Default)]
struct Validator {
    next: u64,
    bits: [u64; 16],
}

impl Validator {
    const WINDOW: u64 = 1_024;

    #[inline]
    fn record(&mut self, number: u64) -> bool {
        self.will_accept(number) && self.mark(number)
    }

    #[inline]
    fn will_accept(&self, number: u64) -> bool {
        number >= self.next || number + Self::WINDOW >= self.next && !self.has(number)
    }

    #[inline]
    fn mark(&mut self, number: u64) -> bool {
        if number + Self::WINDOW < self.next || number < self.next && self.has(number) {
            return false;
        }
        if number > self.next {
            for skipped in self.next.max(number.saturating_sub(Self::WINDOW))..number {
                self.bits[Self::slot(skipped)] &= !(1 << (skipped % 64));
            }
        }
        self.bits[Self::slot(number)] |= 1 << (number % 64);
        self.next = self.next.max(number + 1);
        true
    }

    #[inline]
    fn has(&self, number: u64) -> bool {
        self.bits[Self::slot(number)] >> (number % 64) & 1 != 0
    }

    #[inline]
    fn slot(number: u64) -> usize {
        usize::try_from(number % Self::WINDOW / 64).expect("below 16")
    }
}

fn windows(cases: &mut Vec<Case>, group: &'static str, list: fn() -> Vec<u64>) {
    cases.push(recorded(group, "REF: RFC 6479 ring", list, Ring::default, Ring::record));
    let new = Owner::new;
    cases.push(recorded(group, "steadfast", list, new, |w, number| w.record(number).is_fresh()));
    let checked = |w: &mut Owner, number| w.check(number).is_fresh() && w.record(number).is_fresh();
    cases.push(recorded(group, "steadfast check, record", list, new, checked));
    let (new, record) = (Validator::default, Validator::record);
    cases.push(recorded(group, "boringtun's way", list, new, record));
}

/// What a comparison and an addition take.
#[inline]
fn count(next: &mut u64, number: u64) -> bool {
    let fresh = number >= *next;
    *next = number + 1;
    fresh
}

/// An edge, and the missing numbers below it.
#[derive(Default)]
struct Missing {
    next: u64,
    runs: RangeInclusiveSet<u64>,
}

impl Missing {
    #[inline]
    fn record(&mut self, number: u64) -> bool {
        if number < self.next {
            let missing = self.runs.contains(&number);
            if missing {
                self.runs.remove(number..=number);
            }
            return missing;
        }
        if number > self.next {
            self.runs.insert(self.next..=number - 1);
        }
        self.next = number + 1;
        true
    }
}

fn received(runs: &mut RangeInclusiveSet<u64>, number: u64) -> bool {
    let fresh = !runs.contains(&number);
    runs.insert(number..=number);
    fresh
}

fn state() -> State {
    Config::new().starts_at(1).state().expect("a valid configuration")
}

fn gaps(cases: &mut Vec<Case>, group: &'static str, list: fn() -> Vec<u64>) {
    if group == "gaps-in-order" {
        cases.push(recorded(group, "REF", list, || 1, count));
    }
    let record = |state: &mut State, number| state.record(number, Instant::ZERO).is_fresh();
    cases.push(recorded(group, "steadfast", list, state, record));
    let new = || Missing { next: 1, ..Missing::default() };
    cases.push(recorded(group, "rangemap, of the missing", list, new, Missing::record));
    cases.push(recorded(group, "rangemap, of those that came", list, Default::default, received));
    let insert = |came: &mut RoaringTreemap, number| came.insert(number);
    cases.push(recorded(group, "roaring, of those that came", list, Default::default, insert));
}

/// The least that two threads need to agree on anything.
#[inline]
fn load_and_swap(word: &AtomicU64, number: u64) -> bool {
    let seen = word.load(Ordering::Acquire);
    word.compare_exchange(seen, number, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn shared_window(cases: &mut Vec<Case>) {
    const GROUP: &str = "replay-shared";
    let word = || AtomicU64::new(0);
    cases.push(recorded(GROUP, "REF", in_order, word, |w, number| load_and_swap(w, number)));
    let record = |w: &mut Shared, number| w.record(number).is_fresh();
    cases.push(recorded(GROUP, "steadfast", in_order, Shared::new, record));
    let locked = |w: &mut Mutex<Owner>, number| w.lock().record(number).is_fresh();
    cases.push(recorded(GROUP, "mutex", in_order, || Mutex::new(Owner::new()), locked));
}

/// Two receivers of one stream. Each takes so many of the next numbers at a time.
fn shared_window_of_two(cases: &mut Vec<Case>, group: &'static str, taken: u64) {
    fn of_two<T: Sync + 'static>(
        group: &'static str,
        name: &'static str,
        taken: u64,
        new: fn() -> T,
        record: impl Fn(&T, u64) -> bool + Copy + Send + Sync + 'static,
    ) -> Case {
        let share = move || (leak(new()), leak(AtomicU64::new(0)));
        Case::pair(group, name, share, move |(contender, next), _| {
            let (mut number, mut end) = (0, 0);
            move || {
                if number == end {
                    number = next.fetch_add(taken, Ordering::Relaxed);
                    end = number + taken;
                }
                black_box(record(black_box(contender), number));
                number += 1;
            }
        })
    }
    let word = || AtomicU64::new(0);
    cases.push(of_two(group, "REF", taken, word, load_and_swap));
    let new = Shared::new;
    cases.push(of_two(group, "steadfast", taken, new, |w, number| w.record(number).is_fresh()));
    let locked = |w: &Mutex<Owner>, number| w.lock().record(number).is_fresh();
    cases.push(of_two(group, "mutex", taken, || Mutex::new(Owner::new()), locked));
}

fn shared_gaps(cases: &mut Vec<Case>, group: &'static str, list: fn() -> Vec<u64>) {
    let word = || AtomicU64::new(0);
    cases.push(recorded(group, "REF", list, word, |w, number| load_and_swap(w, number)));
    let new = || Config::new().starts_at(1).build().expect("a valid configuration");
    let record = |t: &mut SequenceTracker<SystemClock>, number| {
        t.record_at(number, Instant::ZERO).is_fresh()
    };
    cases.push(recorded(group, "steadfast", list, new, record));
    let locked = |t: &mut Mutex<State>, number| t.lock().record(number, Instant::ZERO).is_fresh();
    cases.push(recorded(group, "mutex", list, || Mutex::new(state()), locked));
}
