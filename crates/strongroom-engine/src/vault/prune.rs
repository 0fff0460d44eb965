//! Removing old parts of the logs, once a snapshot tells what is needed of them.
//!
//! Each step leaves a store that opens and verifies: the snapshot is on the medium and registered
//! before a log's record says that the log may go; only then files go, and the record goes with the
//! next call, when nobody can have looked at the log before it went.

use std::time::Duration;

use strongroom_audit::LogStage;
use strongroom_core::{Digest, Key, LogId, Prune, PruneRules, PrunedPart, Timestamp, TreeHead};

use super::Vault;
use super::anchor::Pins;
use super::registry::Registered;
use crate::error::{Error, Unavailable};
use crate::permit::Redeemed;

/// So many records are erased at once.
const KEYS: usize = 256;

/// What a [`prune`](crate::Session::prune) did.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Logs that are gone.
    pub logs: u64,
    /// Logs of which the first files are gone.
    pub shortened: u64,
    /// Files that were removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines of the snapshot that was written. 0: there was nothing new to tell.
    pub kept: u64,
}

impl Vault {
    /// Prunes what is older than that.
    pub(crate) async fn prune(
        &self,
        _grant: &Redeemed<Prune>,
        keep: Duration,
    ) -> Result<PruneReport, Error> {
        let registered = Registered::read(&*self.storage).await?;
        // Of logs that another host keeps, that one knows what is gone.
        let at = |stage| registered.at(self.store, self.registry.directory(), stage);
        let (open, lost) = (at(LogStage::Open), at(LogStage::Lost));
        let age = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let before = self.clock.now().as_millis().saturating_sub(age);
        let before = Timestamp::from_millis(before).unwrap_or_default();
        let rules = PruneRules { before, open: &open, lost: &lost };
        let pruned = self.sink.prune(self.log, &rules).await?;
        let pruned = pruned.ok_or(Unavailable::Unsupported(
            "this audit sink keeps all its records: prune it where they are kept",
        ))?;
        let whole: Vec<PrunedPart> =
            pruned.parts.iter().filter(|part| part.is_whole).copied().collect();
        // Of a log that went some time ago, a registration may have landed only since.
        let is_registered = |log: &&LogId| registered.get(self.store, **log).is_some();
        let gone = pruned.gone.iter().filter(is_registered).filter(|log| !lost.contains(log));
        let gone: Vec<LogId> = gone.copied().collect();
        let covers: Vec<LogId> = whole.iter().map(|part| part.log).chain(gone.clone()).collect();
        // Without the snapshot, which the own log has, nothing goes. What cites other logs may go, too.
        self.registry.forget_cited();
        self.checkpoint_covering(&covers).await?;
        // That lines of a log were lost, its record goes on to say.
        for part in whole.iter().filter(|part| !lost.contains(&part.log)) {
            let nothing = TreeHead { size: part.size, root: Digest::from_bytes([0; 32]) };
            let record = registered.get(self.store, part.log);
            let head = record.map_or(nothing, |record| record.head);
            self.register(part.log, LogStage::Pruned, head).await?;
        }
        self.erase_records(gone).await?;
        let removed = self.sink.remove(self.log, &pruned).await?;
        let logs = whole.len() as u64;
        Ok(PruneReport {
            logs,
            shortened: pruned.parts.len() as u64 - logs,
            files: removed.files,
            bytes: removed.bytes,
            kept: pruned.lines,
        })
    }

    /// Erases the records of logs that are gone, but for those that an anchor still asks for.
    async fn erase_records(&self, mut gone: Vec<LogId>) -> Result<(), Error> {
        if let Some(anchor) = &self.anchor {
            let pinned = Pins::load(&**anchor, self.store).await?.logs();
            gone.retain(|log| !pinned.contains(log));
        }
        let keys: Vec<Key> = gone.into_iter().map(strongroom_crypto::log_registry_key).collect();
        for keys in keys.chunks(KEYS) {
            self.storage.erase(keys).await?;
        }
        Ok(())
    }
}
