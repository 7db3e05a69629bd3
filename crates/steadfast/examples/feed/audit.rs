//! Whether what arrived is what was sent: complete, in order, exactly once.
//!
//! It compares two lists, after the fact and with nothing that the client used on the way.

use std::collections::BTreeMap;

/// What the comparison showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) sent: u64,
    pub(crate) arrived: u64,
    /// Sent, and did not arrive.
    pub(crate) missing: u64,
    /// Arrived again.
    pub(crate) repeated: u64,
    /// Arrived, and nobody sent it.
    pub(crate) foreign: u64,
    /// Arrived after something that comes later, or is the same.
    pub(crate) disordered: u64,
}

impl Audit {
    /// Everything that was sent differs.
    pub(crate) fn of<T: Ord + Copy>(sent: &[T], arrived: &[T]) -> Self {
        // OK: lengths are at most 64 bits wide.
        let mut audit =
            Self { sent: sent.len() as u64, arrived: arrived.len() as u64, ..Self::default() };
        let mut times: BTreeMap<_, u64> = sent.iter().map(|item| (*item, 0)).collect();
        for item in arrived {
            match times.get_mut(item) {
                Some(times) => *times += 1,
                None => audit.foreign += 1,
            }
        }
        for times in times.into_values() {
            audit.missing += u64::from(times == 0);
            audit.repeated += times.saturating_sub(1);
        }
        let mut latest = None;
        for item in arrived {
            audit.disordered += u64::from(latest >= Some(item));
            latest = latest.max(Some(item));
        }
        audit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_be_wrong_is_seen() {
        let of = |arrived: &[u32]| {
            let Audit { missing, repeated, foreign, disordered, .. } =
                Audit::of(&[1, 2, 3], arrived);
            [missing, repeated, foreign, disordered]
        };
        assert_eq!(of(&[1, 2, 3]), [0, 0, 0, 0]);
        assert_eq!(of(&[1, 3]), [1, 0, 0, 0]);
        assert_eq!(of(&[1, 2, 3, 3]), [0, 1, 0, 1]);
        assert_eq!(of(&[1, 2, 3, 4]), [0, 0, 1, 0]);
        assert_eq!(of(&[1, 3, 2]), [0, 0, 0, 1]);
        assert_eq!(of(&[]), [3, 0, 0, 0]);
    }
}
