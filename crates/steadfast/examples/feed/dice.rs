//! Dice that fall the same way for the same seed, for ever: `SplitMix64`, whose numbers no release of a
//! library changes.

/// See the module.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Every purpose has its own, so that what one of them needs moves no other.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut dice = Self(seed);
        for byte in purpose.bytes() {
            dice.0 ^= u64::from(byte);
            dice.0 = dice.next();
        }
        dice
    }

    /// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of these, all as likely as makes no difference here.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Whether it happens that happens once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.next() % times == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        let mut dice = Dice(1_234_567);
        let rolled = [dice.next(), dice.next(), dice.next()];
        let reference =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(rolled, reference);
    }

    #[test]
    fn all_numbers_between_come_and_no_others() {
        let mut dice = Dice::new(7, "test");
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..600 {
            *seen.entry(dice.between(1, 6)).or_insert(0) += 1;
        }
        assert!(seen.keys().copied().eq(1..=6), "{seen:?}");
        assert!(seen.values().all(|times| (50..150).contains(times)), "{seen:?}");
    }
}
