//! How far a rotation has come, as the annex of a secret says it, byte by byte.

use strongroom_core::{SecretMetadata, Timestamp, Version};

/// The annex that a rotation keeps its state in.
pub(crate) const ANNEX: &str = "strongroom.rotation";

const FORMAT: u8 = 1;
/// The most ids of credentials that a target is asked about; the longest id.
pub(crate) const MOST_KNOWN: usize = 16;
const LONGEST_ID: usize = 128;

/// What is done next. Each phase can be begun again by another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Nothing: the next rotation begins when it is due.
    #[default]
    Idle,
    /// The target is asked to make a credential; those that it had are known.
    Creating,
    /// The candidate is stored; the target is told of it.
    Setting,
    /// The target was told; the candidate logs in.
    Testing,
    /// The candidate is in force; what was before is still accepted.
    Watching,
    /// What was before is revoked.
    Retiring,
    /// It is revoked, and disabled now.
    Disabling,
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Idle,
        Self::Creating,
        Self::Setting,
        Self::Testing,
        Self::Watching,
        Self::Retiring,
        Self::Disabling,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase as u8 == byte)
    }
}

/// The state of the rotation of one secret. FORMAT.md has its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Attempts at this phase that failed, one after the other.
    pub(crate) failures: u32,
    /// The version that comes into force by this rotation; while it is being made, the number that it is
    /// to have.
    pub(crate) candidate: Option<Version>,
    /// The version that was in force before.
    pub(crate) old: Option<Version>,
    /// When this phase began.
    pub(crate) since: Timestamp,
    /// Not before this is the next attempt.
    pub(crate) retry_at: Timestamp,
    /// A version that was disabled, and is destroyed from that time on.
    pub(crate) dying: Option<(Version, Timestamp)>,
    /// Whether somebody asked for a rotation as soon as it can be.
    pub(crate) is_asked: bool,
    /// The version of which somebody said that it does not work.
    pub(crate) reported: Option<Version>,
    /// When such a report was last looked into.
    pub(crate) checked: Timestamp,
    /// While a credential is made, the ids of those that the target had before; afterwards that of the
    /// version which was in force before.
    pub(crate) known: Vec<String>,
}

impl State {
    /// The state in a secret's metadata: idle where there is none; `None` for other bytes.
    pub(crate) fn of(metadata: &SecretMetadata) -> Option<Self> {
        match metadata.annexes.get(ANNEX) {
            Some(bytes) => Self::decode(bytes),
            None => Some(Self::default()),
        }
    }

    /// The same in another phase, which begins now.
    pub(crate) fn entering(&self, phase: Phase, now: Timestamp) -> Self {
        let is_kept = matches!(phase, Phase::Watching | Phase::Retiring | Phase::Disabling);
        let known = if is_kept { self.known.clone() } else { Vec::new() };
        Self {
            phase,
            failures: 0,
            since: now,
            retry_at: Timestamp::default(),
            known,
            ..self.clone()
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT, self.phase as u8, u8::from(self.is_asked)];
        bytes.extend_from_slice(&self.failures.to_be_bytes());
        let (dying, dies) = self.dying.unzip();
        let number = |version: Option<Version>| version.map_or(0, Version::number);
        for field in [
            number(self.candidate),
            number(self.old),
            self.since.as_millis(),
            self.retry_at.as_millis(),
            number(dying),
            dies.unwrap_or_default().as_millis(),
            number(self.reported),
            self.checked.as_millis(),
        ] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        // One that does not fit is left out: a part of an id would be another's.
        for id in self.known.iter().filter(|id| id.len() <= LONGEST_ID).take(MOST_KNOWN) {
            bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes
    }

    /// Only what [`encode`](Self::encode) writes is read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[format, phase, asked], rest) = bytes.split_first_chunk::<3>()?;
        let (failures, rest) = rest.split_first_chunk::<4>()?;
        let (numbers, mut rest) = rest.split_first_chunk::<64>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let &[candidate, old, since, retry_at, dying, dies, reported, checked] = numbers else {
            return None;
        };
        let time = |bytes| Timestamp::from_millis(u64::from_be_bytes(bytes)).ok();
        let version = |bytes| Version::new(u64::from_be_bytes(bytes));
        let mut known = Vec::new();
        while let Some((&length, more)) = rest.split_first() {
            let (id, more) = more.split_at_checked(usize::from(length))?;
            known.push(std::str::from_utf8(id).ok()?.to_owned());
            rest = more;
        }
        let state = Self {
            phase: Phase::from_byte(phase)?,
            failures: u32::from_be_bytes(*failures),
            candidate: version(candidate),
            old: version(old),
            since: time(since)?,
            retry_at: time(retry_at)?,
            dying: version(dying).zip(time(dies)),
            is_asked: asked == 1,
            reported: version(reported),
            checked: time(checked)?,
            known,
        };
        (format == FORMAT && state.encode() == bytes).then_some(state)
    }

    /// Whether the ids are ones that a state can hold: otherwise an orphan could not be told from what
    /// was there before.
    pub(crate) fn can_know(ids: &[String]) -> bool {
        ids.len() <= MOST_KNOWN && ids.iter().all(|id| !id.is_empty() && id.len() <= LONGEST_ID)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = State> {
        let known = proptest::collection::vec("[A-Z0-9é]{1,20}", 0..MOST_KNOWN);
        let times = any::<[u32; 4]>();
        (0..7_usize, any::<(u32, bool)>(), any::<[u16; 4]>(), times, known).prop_map(
            |(phase, (failures, is_asked), [candidate, old, dying, reported], times, known)| {
                let [since, retry_at, dies, checked] =
                    times.map(|time| Timestamp::from_millis(time.into()).unwrap());
                State {
                    phase: Phase::ALL[phase],
                    failures,
                    candidate: Version::new(candidate.into()),
                    old: Version::new(old.into()),
                    since,
                    retry_at,
                    dying: Version::new(dying.into()).map(|dying| (dying, dies)),
                    is_asked,
                    reported: Version::new(reported.into()),
                    checked,
                    known,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_state_comes_back(state in states()) {
            prop_assert_eq!(State::decode(&state.encode()), Some(state));
        }

        #[test]
        fn only_what_is_written_is_read(
            state in states(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = state.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = State::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes.clone());
            }
            bytes.truncate(at);
            if let Some(read) = State::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_state_has_these_bytes() {
        let state = State {
            phase: Phase::Testing,
            failures: 2,
            candidate: Version::new(5),
            is_asked: true,
            known: vec!["AK".to_owned()],
            ..State::default()
        };
        let hex: String = state.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, format!("010301000000020000000000000005{}02414b", "00".repeat(56)));
    }
}
