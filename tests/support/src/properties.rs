//! What strategies of properties are made of.

use proptest::prelude::*;

#[cfg(feature = "waits")]
use crate::waits::Until;

/// So many times as many cases as usual; `PROPTEST_CASES` still scales them. No file remembers failures:
/// what was learnt from one belongs in a test of its own.
pub fn effort(times: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases * times, failure_persistence: None, ..config }
}

/// Any number of up to so many bits, at most 64, as likely small as large.
pub fn any_size(bits: u32) -> impl Strategy<Value = u64> + Clone {
    (0..=bits, any::<u64>()).prop_map(|(bits, n)| n.checked_shr(64 - bits).unwrap_or(0))
}

/// Until when an actor waits, by lengths of time.
#[cfg(feature = "waits")]
pub fn until<S: Strategy>(lengths: impl Fn() -> S) -> impl Strategy<Value = Until<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![
        4 => Just(Until::Ever),
        2 => lengths().prop_map(Until::Timeout),
        2 => lengths().prop_map(Until::Deadline),
        1 => lengths().prop_map(Until::Past),
    ]
}

/// The same, in at most 20 nanoseconds.
#[cfg(feature = "waits")]
pub fn until_soon() -> impl Strategy<Value = Until> {
    until(|| 0..20_u64)
}
