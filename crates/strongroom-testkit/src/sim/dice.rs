//! Numbers that look random and can be had again: SplitMix64.

/// A generator that gives the same numbers for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for that number of the same seed.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        Self(Self(seed).roll() ^ Self(number).roll().rotate_left(32))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit; 0 where the limit is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let rest = self.roll().checked_rem(u64::from(limit)).unwrap_or(0);
        u32::try_from(rest).unwrap_or(0)
    }

    /// An index of a list of that length; 0 where it is empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.roll().checked_rem(length).unwrap_or(0)).unwrap_or(0)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn per_mille(&mut self, chance: u32) -> bool {
        self.below(1000) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_for_the_same_seed() {
        // The first numbers of SplitMix64 for the seed 0, as its author gives them.
        let mut dice = Dice::new(0);
        assert_eq!([dice.roll(), dice.roll()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_ne!(Dice::of(1, 2).roll(), Dice::of(2, 1).roll());
        assert!((0..100).all(|_| dice.below(3) < 3 && dice.index(2) < 2));
        assert_eq!((dice.below(0), dice.index(0)), (0, 0));
        assert!(dice.per_mille(1000) && !dice.per_mille(0));
    }
}
