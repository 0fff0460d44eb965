//! What ties a record to the one that it replaced: keyring, namespace records and heads carry it.

use strongroom_core::{Digest, LogId, WriteId};

use crate::codec::{NotCanonical, Reader, Writer};

/// How many writes back a record can tell whether a write took effect.
pub const RECENT_WRITES: usize = 8;

/// The record that was replaced, the write that did it, and the log that holds its intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lineage {
    /// SHA-256 of the record replaced; 32 zero bytes for the first.
    pub prev: Digest,
    /// The id of the write, kept over verbatim retries.
    pub write: WriteId,
    /// The log that holds the intent.
    pub log: LogId,
    recent: [WriteId; RECENT_WRITES],
    count: u8,
}

impl Lineage {
    /// The lineage of a record that replaces none.
    #[must_use]
    pub fn first(write: WriteId, log: LogId) -> Self {
        let mut recent = [WriteId::from_bytes([0; 16]); RECENT_WRITES];
        recent[0] = write;
        Self { prev: Digest::from_bytes([0; 32]), write, log, recent, count: 1 }
    }

    /// The lineage of the record that replaces this one.
    #[must_use]
    pub fn next(&self, prev: Digest, write: WriteId, log: LogId) -> Self {
        let mut recent = self.recent;
        let count = usize::from(self.count);
        match recent.get_mut(count) {
            Some(free) => *free = write,
            None => {
                recent.rotate_left(1);
                recent[RECENT_WRITES - 1] = write;
            }
        }
        let count = if count < RECENT_WRITES { self.count + 1 } else { self.count };
        Self { prev, write, log, recent, count }
    }

    /// The last writes, oldest first, the own one included.
    #[must_use]
    pub fn recent(&self) -> &[WriteId] {
        self.recent.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Whether the write is one of the last eight.
    #[must_use]
    pub fn contains(&self, write: WriteId) -> bool {
        self.recent().contains(&write)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.prev.as_bytes());
        writer.bytes(self.log.as_bytes());
        writer.u8(self.count);
        for write in self.recent() {
            writer.bytes(write.as_bytes());
        }
    }

    /// The own write id is the last of the recent ones, so it is not written twice.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, NotCanonical> {
        let prev = Digest::from_bytes(reader.array()?);
        let log = LogId::from_bytes(reader.array()?);
        let count = reader.u8()?;
        if count == 0 || usize::from(count) > RECENT_WRITES {
            return Err(NotCanonical);
        }
        let mut write = WriteId::from_bytes([0; 16]);
        let mut recent = [write; RECENT_WRITES];
        for slot in recent.iter_mut().take(usize::from(count)) {
            *slot = WriteId::from_bytes(reader.array()?);
            write = *slot;
        }
        Ok(Self { prev, write, log, recent, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_remembered_over_seven_more_and_then_forgotten() {
        let id = |n: u8| WriteId::from_bytes([n; 16]);
        let log = LogId::from_bytes([9; 8]);
        let mut lineage = Lineage::first(id(1), log);
        for n in 2..=8 {
            lineage = lineage.next(Digest::from_bytes([n; 32]), id(n), log);
            assert!(lineage.contains(id(1)));
        }
        lineage = lineage.next(Digest::from_bytes([9; 32]), id(9), log);
        assert!(!lineage.contains(id(1)));
        let mut writer = Writer::default();
        lineage.encode(&mut writer);
        let bytes = writer.finish();
        assert_eq!(Lineage::decode(&mut Reader::new(&bytes)), Ok(lineage));
    }
}
