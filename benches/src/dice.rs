//! Numbers that look random and can be had again: SplitMix64.

/// A generator that gives the same numbers for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The generator of that seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for that number of the same seed.
    #[must_use]
    pub fn of(seed: u64, number: usize) -> Self {
        let number = u64::try_from(number).unwrap_or_default();
        Self(Self(seed).roll() ^ Self(number).roll().rotate_left(32))
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit; 0 where the limit is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll().checked_rem(limit).unwrap_or(0)
    }

    /// That many bytes, in one buffer that never grows.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        while bytes.len() < count {
            let word = self.roll().to_le_bytes();
            bytes.extend_from_slice(word.get(..count - bytes.len()).unwrap_or(&word));
        }
        bytes
    }

    /// That many lower-case letters.
    pub fn letters(&mut self, count: usize) -> String {
        let letter = |_| char::from(b'a' + u8::try_from(self.below(26)).unwrap_or_default());
        (0..count).map(letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_for_the_same_seed() {
        // The first numbers of SplitMix64 for the seed 0, as its author gives them.
        let mut dice = Dice::new(0);
        assert_eq!([dice.roll(), dice.roll()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_eq!(Dice::of(1, 2).bytes(19), Dice::of(1, 2).bytes(19));
        assert_ne!(Dice::of(1, 2).letters(20), Dice::of(1, 3).letters(20));
        assert_eq!(Dice::new(7).bytes(21).len(), 21);
        assert!((0..100).all(|_| dice.below(3) < 3));
    }
}
