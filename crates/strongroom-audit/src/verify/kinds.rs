//! The kinds of a log's lines, two bits each: a log may have millions of them.

/// What the verifier keeps of a line's kind, to check references to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that is referred to.
    Other,
    /// A decision that allows.
    Decision,
    /// An intent.
    Intent,
}

/// The kinds of consecutive lines.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    packed: Vec<u64>,
    lines: usize,
}

const PER_WORD: usize = 32;

impl Kinds {
    pub(super) fn push(&mut self, kind: Kind) {
        let shift = 2 * (self.lines % PER_WORD);
        if shift == 0 {
            self.packed.push(0);
        }
        if let Some(word) = self.packed.last_mut() {
            *word |= bits(kind) << shift;
        }
        self.lines += 1;
    }

    pub(super) fn get(&self, line: usize) -> Option<Kind> {
        let word = self.packed.get(line / PER_WORD).filter(|_| line < self.lines)?;
        Some(match word >> (2 * (line % PER_WORD)) & 3 {
            1 => Kind::Decision,
            2 => Kind::Intent,
            _ => Kind::Other,
        })
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

const fn bits(kind: Kind) -> u64 {
    match kind {
        Kind::Other => 0,
        Kind::Decision => 1,
        Kind::Intent => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_kind_that_it_was_given() {
        let all = [Kind::Intent, Kind::Other, Kind::Decision, Kind::Intent, Kind::Intent];
        let given: Vec<Kind> = (0..200).map(|line| all[line * 7 % 5]).collect();
        let mut kinds = Kinds::default();
        given.iter().for_each(|kind| kinds.push(*kind));
        for (line, kind) in given.iter().enumerate() {
            assert_eq!(kinds.get(line), Some(*kind), "{line}");
        }
        assert_eq!(kinds.get(200), None);
        kinds.clear();
        assert_eq!(kinds.get(0), None);
    }
}
