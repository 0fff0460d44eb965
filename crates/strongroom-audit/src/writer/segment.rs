//! Where one segment of a log ends and the next begins, and what is carried over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ed25519_dalek::Signer;
use strongroom_core::{
    AuditError, IntentRecord, Key, Outcome, OutcomeRecord, RecordKind, StoreIdentity, Target,
    WriteId,
};

use super::LineWriter;
use crate::checkpoint::{Signed, checkpoint_text};
use crate::line::{CarriedLine, Line, SegmentLine};

impl LineWriter {
    /// Ends this segment and begins the next: what is pending then is the start of a file that can
    /// be read without those before it. It is undone by [`rollback`](Self::rollback), as an `append`
    /// is. Sinks that keep a log in one piece need not call it. The number of the new segment.
    ///
    /// The lines go on with the indices and the Merkle tree of those before; names are told again,
    /// and intents without an outcome are carried over.
    ///
    /// # Errors
    /// `Entropy` where a name cannot be encrypted.
    pub fn begin_segment(&mut self) -> Result<u64, AuditError> {
        self.mark();
        if let Err(error) = self.segment() {
            self.rollback();
            return Err(error);
        }
        Ok(self.segment)
    }

    fn segment(&mut self) -> Result<(), AuditError> {
        self.segment += 1;
        self.names.begin_anew();
        let (head, at) = (self.tree.head(), self.identity.now());
        let text = checkpoint_text(&self.origin, head);
        let line = Line::Segment(SegmentLine {
            log: self.open_line(at),
            number: self.segment,
            size: head.size,
            frontier: self.tree.frontier().collect(),
            carried: self.writes.open.len() as u64,
            registered: self.registered,
            signature: self.signer.sign(text.as_bytes()).to_bytes(),
        });
        self.push(&line);
        self.signed = Signed { size: self.tree.size(), at };
        self.newest = head;
        // Lent, since telling a name needs the whole writer; nothing here opens or settles a write.
        let writes = std::mem::take(&mut self.writes.open);
        let carried = writes.iter().try_for_each(|(intent, write)| self.carry(*intent, write));
        self.writes.open = writes;
        carried?;
        if self.registered > 0 {
            // What the first line says of that counts once it is signed, and no other segment may be
            // read when the log is dead.
            self.sign(at);
        }
        Ok(())
    }

    fn carry(&mut self, intent: u64, write: &OpenWrite) -> Result<(), AuditError> {
        let target = self.target(&write.target)?;
        self.push(&Line::Carried(CarriedLine {
            intent,
            kind: write.kind,
            key: Cow::Borrowed(write.key.as_bytes()),
            seq: write.seq,
            write: write.write,
            target,
        }));
        Ok(())
    }

    /// The time that the log's store has now.
    pub(crate) fn now(&self) -> strongroom_core::Timestamp {
        self.identity.now()
    }

    /// Whose log it is.
    pub(crate) fn identity(&self) -> &dyn StoreIdentity {
        &*self.identity
    }
}

/// The intents of a log that have no outcome yet, by index.
#[derive(Debug, Default)]
pub(super) struct OpenWrites {
    open: BTreeMap<u64, OpenWrite>,
    /// What was done since the last mark, so that it can be taken back.
    recent: Vec<Change>,
}

#[derive(Debug)]
struct OpenWrite {
    kind: RecordKind,
    key: Key,
    seq: u64,
    write: WriteId,
    target: Target,
}

#[derive(Debug)]
enum Change {
    Opened(u64),
    Settled(u64, OpenWrite),
}

impl OpenWrites {
    pub(super) fn open(&mut self, index: u64, record: &IntentRecord) {
        let write = OpenWrite {
            kind: record.kind,
            key: record.key.clone(),
            seq: record.seq,
            write: record.write,
            target: record.target.clone(),
        };
        self.open.insert(index, write);
        self.recent.push(Change::Opened(index));
    }

    /// Takes the outcome of an intent of this log. What its own writer calls `unknown` is left to the
    /// next opener, and so stays open.
    pub(super) fn settle(&mut self, record: &OutcomeRecord) {
        if record.outcome != Outcome::Unknown
            && let Some(write) = self.open.remove(&record.intent.index)
        {
            self.recent.push(Change::Settled(record.intent.index, write));
        }
    }

    pub(super) fn mark(&mut self) {
        self.recent.clear();
    }

    pub(super) fn rollback(&mut self) {
        while let Some(change) = self.recent.pop() {
            match change {
                Change::Opened(index) => drop(self.open.remove(&index)),
                Change::Settled(index, write) => drop(self.open.insert(index, write)),
            }
        }
    }
}
