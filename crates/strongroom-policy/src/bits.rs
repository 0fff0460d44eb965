//! Sets of rules, as bits: one word answers for 64 rules.

/// A set of small numbers below a bound that is fixed at the start.
#[derive(Debug, Clone)]
pub(crate) struct Bits(Box<[u64]>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(crate) fn new(bound: usize) -> Self {
        Self(vec![0; Self::words(bound)].into())
    }

    /// How many words a set of numbers below `bound` has.
    pub(crate) fn words(bound: usize) -> usize {
        bound.div_ceil(64)
    }

    pub(crate) fn insert(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(crate) fn insert_all(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub(crate) fn keep_only(&mut self, other: &Self) {
        for (word, kept) in self.0.iter_mut().zip(&other.0) {
            *word &= kept;
        }
    }

    /// The smallest number that is in all three sets.
    pub(crate) fn first_common(&self, second: &Self, third: &Self) -> Option<u32> {
        let words = self.0.iter().zip(&second.0).zip(&third.0);
        (0..).zip(words).find_map(|(index, ((a, b), c))| {
            let common = a & b & c;
            (common != 0).then(|| index * 64 + common.trailing_zeros())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u32]) -> Bits {
        let mut bits = Bits::new(200);
        numbers.iter().for_each(|&number| bits.insert(number));
        bits
    }

    #[test]
    fn the_first_common_number_is_the_smallest_in_all_three() {
        let all = set(&[0, 63, 64, 127, 199]);
        assert_eq!(all.first_common(&set(&[63, 64, 199]), &set(&[64, 199])), Some(64));
        assert_eq!(all.first_common(&set(&[1, 2]), &all), None);
        assert_eq!(all.first_common(&all, &all), Some(0));
        assert!(all.contains(199) && !all.contains(198) && !all.contains(100_000));
    }
}
