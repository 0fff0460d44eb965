//! What a lease writes into the annex of a secret, byte by byte.

use std::time::Duration;

use strongroom_core::{SecretMetadata, Version};

use crate::lease::LeaseError;

/// The annex that a lease is kept in.
pub(crate) const ANNEX: &str = "strongroom.lease";
/// The longest time that a lease is believed to last: a note that says more would shut everybody out.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

const FORMAT: u8 = 1;
const LENGTH: usize = 1 + 16 + 4 * 8;

/// Who holds the lease on a secret. FORMAT.md has its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Note {
    /// A number that the holder drew for this lease; none where it is free.
    pub(crate) holder: Option<[u8; 16]>,
    /// The fencing token: larger for each lease than for the one before.
    pub(crate) term: u64,
    /// How often it was renewed, so that a watcher sees that its holder is alive.
    pub(crate) beat: u64,
    /// How long it lasts from its last renewal, in milliseconds.
    pub(crate) lasts: u64,
    /// The version that its holder spends: one that can be used once.
    pub(crate) spends: Option<Version>,
}

impl Note {
    /// The note of a secret. A secret without one is free.
    pub(crate) fn of(metadata: &SecretMetadata) -> Result<Self, LeaseError> {
        match metadata.annexes.get(ANNEX) {
            Some(bytes) => Self::decode(bytes).ok_or(LeaseError::UnknownNote),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_millis(self.lasts)
    }

    /// The note after the lease: the term stays, so that no fencing token comes twice.
    pub(crate) fn released(&self) -> Self {
        Self { term: self.term, ..Self::default() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.holder.unwrap_or_default());
        let spends = self.spends.map_or(0, Version::number);
        for number in [self.term, self.beat, self.lasts, spends] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// Only what [`encode`](Self::encode) writes is read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (holder, numbers) = rest.split_first_chunk::<16>()?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        let &[term, beat, lasts, spends] = numbers else { return None };
        let note = Self {
            holder: (*holder != [0; 16]).then_some(*holder),
            term: u64::from_be_bytes(term),
            beat: u64::from_be_bytes(beat),
            lasts: u64::from_be_bytes(lasts),
            spends: Version::new(u64::from_be_bytes(spends)),
        };
        let is_sound = format == FORMAT
            && note.lasts() <= LONGEST
            && (note.holder.is_some() || note == note.released());
        is_sound.then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notes() -> impl Strategy<Value = Note> {
        let holder = proptest::option::of(any::<[u8; 16]>().prop_filter("none", |h| *h != [0; 16]));
        (holder, any::<[u64; 2]>(), 0..=24 * 3_600_000_u64, any::<u64>()).prop_map(
            |(holder, [term, beat], lasts, spends)| {
                let note = Note { holder, term, beat, lasts, spends: Version::new(spends) };
                if holder.is_some() { note } else { note.released() }
            },
        )
    }

    #[test]
    fn a_note_has_these_bytes() {
        let note = Note {
            holder: Some([0xaa; 16]),
            term: 3,
            beat: 0x0102,
            lasts: 30_000,
            spends: Version::new(7),
        };
        let hex: String = note.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000000000000000300000000000001020000000000007530\
             0000000000000007"
        );
    }

    proptest! {
        #[test]
        fn a_note_comes_back(note in notes()) {
            prop_assert_eq!(Note::decode(&note.encode()), Some(note));
        }

        #[test]
        fn only_what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(note) = Note::decode(&bytes) {
                prop_assert_eq!(note.encode(), bytes);
            }
        }

        #[test]
        fn no_other_length_is_read(note in notes(), cut in 0..LENGTH) {
            let mut bytes = note.encode();
            bytes.push(0);
            prop_assert_eq!(Note::decode(&bytes), None);
            bytes.truncate(cut);
            prop_assert_eq!(Note::decode(&bytes), None);
        }
    }

    #[test]
    fn a_note_that_would_shut_everybody_out_is_not_believed() {
        let lasts = u64::try_from(LONGEST.as_millis()).unwrap() + 1;
        let note = Note { holder: Some([1; 16]), lasts, ..Note::default() };
        assert_eq!(Note::decode(&note.encode()), None);
    }
}
