//! The models of the crates' own tests, driven by bytes: by those that a fuzzer makes up (`fuzz/`),
//! and by those that were kept of them (`tests/corpus.rs`).
//!
//! Each module includes a model as it stands and adds what makes its operations of bytes. Whatever the
//! bytes are, they mean something: when they come to an end, zeros follow.

use arbitrary::Unstructured;
use steadfast_test_support::waits::Until;

pub mod backoff;
pub mod backoff_waits;
pub mod circuit_breaker;
pub mod circuit_breaker_waits;
pub mod deduplicator;
pub mod deduplicator_waits;
pub mod keyed;
pub mod models;
pub mod mutations;
pub mod policy;
pub mod retry;
pub mod sequence_tracker;
pub mod sequence_tracker_waits;
pub mod token_bucket;
pub mod token_bucket_waits;

/// What a target does with bytes.
///
/// It panics as soon as what is tested does not do what its oracle says.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 13] = [
    ("backoff", backoff::run),
    ("backoff_waits", backoff_waits::run),
    ("circuit_breaker", circuit_breaker::run),
    ("circuit_breaker_waits", circuit_breaker_waits::run),
    ("deduplicator", deduplicator::run),
    ("deduplicator_waits", deduplicator_waits::run),
    ("keyed", keyed::run),
    ("policy", policy::run),
    ("retry", retry::run),
    ("sequence_tracker", sequence_tracker::run),
    ("sequence_tracker_waits", sequence_tracker_waits::run),
    ("token_bucket", token_bucket::run),
    ("token_bucket_waits", token_bucket_waits::run),
];

/// A script: what is made first, and up to 120 things that are done to it.
fn script<T>(
    bytes: &[u8],
    make: impl FnOnce(&mut Bytes<'_>) -> T,
    op: impl FnMut(&mut Bytes<'_>) -> T,
) -> Vec<T> {
    let mut bytes = Bytes::new(bytes);
    let mut ops = vec![make(&mut bytes)];
    ops.extend(bytes.list(120, op));
    ops
}

/// An input as it is read: as plain numbers, from the front, with zeros behind its end.
struct Bytes<'a>(Unstructured<'a>);

impl<'a> Bytes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn u8(&mut self) -> u8 {
        self.0.arbitrary().expect("zeros behind the end")
    }

    fn i8(&mut self) -> i8 {
        i8::from_le_bytes([self.u8()])
    }

    fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// A number below `n`.
    fn below(&mut self, n: u8) -> u8 {
        self.u8() % n
    }

    fn u64(&mut self) -> u64 {
        self.0.arbitrary().expect("zeros behind the end")
    }

    /// Any number of up to `bits` bits, as likely small as large, in as few bytes as it needs.
    fn sized(&mut self, bits: u8) -> u64 {
        let bits = u32::from(self.below(bits + 1));
        let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        (0..bits.div_ceil(8)).fold(0, |number, _| number << 8 | u64::from(self.u8())) & mask
    }

    /// The same, or one of the numbers on either side of a limit.
    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => u64::MAX - u64::from(self.below(4)),
            1 => 1_000_000_000 * u64::from(self.u8()),
            2..=4 => self.u8().into(),
            _ => self.sized(64),
        }
    }

    /// The same in 32 bits.
    fn number32(&mut self) -> u32 {
        match self.below(8) {
            0 => u32::MAX - u32::from(self.below(4)),
            1..=4 => self.u8().into(),
            _ => u32::try_from(self.sized(32)).expect("32 bits"),
        }
    }

    /// Mostly a few nanoseconds.
    fn short(&mut self) -> u64 {
        match self.u8() {
            u8::MAX => self.number(),
            few => u64::from(few % 16),
        }
    }

    /// When something begins: at 0, or any time.
    fn start(&mut self) -> u64 {
        if self.bool() { self.number() } else { 0 }
    }

    /// A limit of a few, but as often one that is hardly reached.
    fn few_or(&mut self, many: u32) -> u32 {
        match self.below(8) {
            few @ 0..4 => few.into(),
            _ => many,
        }
    }

    /// Until when an actor waits.
    fn until<S>(&mut self, span: impl FnOnce(&mut Self) -> S) -> Until<S> {
        match self.below(8) {
            0..=3 => Until::Ever,
            4..=5 => Until::Timeout(span(self)),
            6 => Until::Deadline(span(self)),
            _ => Until::Past(span(self)),
        }
    }

    fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.bool().then(|| some(self))
    }

    /// As many as there are bytes for, and `most` at most.
    fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        while !self.is_empty() && list.len() < most {
            list.push(one(self));
        }
        list
    }
}
