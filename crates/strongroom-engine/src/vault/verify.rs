//! Holding the store against its logs: what the verifier tells without keys, and what only keys
//! tell.

use std::num::NonZeroU32;

use strongroom_audit::{Finding, Report, Verdict, Verifier};
use strongroom_core::{AuditReader, Key, LogId, Namespace, Receipt, Scan, Verify};
use strongroom_crypto::{
    BlobRef, HeadRef, Identifiers, KeyClass, NamespaceState, Place, VersionRef, decrypt_value_parts,
};

use super::Vault;
use super::keys::OpenNamespace;
use crate::error::{Error, Unavailable};
use crate::permit::Redeemed;

const LINES: NonZeroU32 = NonZeroU32::new(4096).unwrap();
const RECORDS: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// How often all is read anew, since logs are pruned meanwhile.
const ATTEMPTS: usize = 8;

impl Vault {
    /// Verifies the whole store while it is in use.
    ///
    /// Logs are read, then storage, then what the logs gained meanwhile: a record that was
    /// replaced while it was looked at is explained by the lines that came last.
    pub(crate) async fn verify(&self, grant: &Redeemed<Verify>) -> Result<Report, Error> {
        let reader = self.sink.reader().ok_or(Unavailable::Unsupported(
            "this audit sink cannot be read back: verify where its records are kept",
        ))?;
        let mut verifier = Verifier::new(Some(self.store));
        for _ in 0..ATTEMPTS {
            let findings = self.hold_against_logs(reader, &mut verifier).await?;
            // Logs that are pruned meanwhile are told of twice.
            if let Some(anew) = verifier.anew() {
                verifier = anew;
                continue;
            }
            verifier.lives(self.log, grant.receipt().index.saturating_add(1));
            let mut report = verifier.finish();
            report.findings.extend(findings);
            return Ok(report);
        }
        Err(Unavailable::Unsupported("its logs are pruned over and over: verify it later").into())
    }

    /// Feeds logs and storage, and says what only keys tell.
    async fn hold_against_logs(
        &self,
        reader: &dyn AuditReader,
        verifier: &mut Verifier,
    ) -> Result<Vec<Finding>, Error> {
        let mut seen = Vec::new();
        feed(reader, verifier, &mut seen).await?;
        let mut findings = Vec::new();
        let mut scan = Scan { prefix: Vec::new(), after: None, limit: RECORDS, with_values: true };
        loop {
            let page = self.storage.list(&scan).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            for entry in page.entries {
                let record = entry.value.unwrap_or_default();
                match self.inspect(&entry.key, &record, &mut findings).await? {
                    Some(log) => verifier.stored_by(&entry.key, &record, Some(log)),
                    None => verifier.stored(&entry.key, &record),
                }
            }
            if !page.more {
                break;
            }
        }
        verifier.storage_was_read();
        feed(reader, verifier, &mut seen).await?;
        self.catch_up(reader, verifier, &mut seen).await?;
        for (log, _) in seen.iter().filter(|(log, _)| *log != self.log) {
            verifier.end_of_log(*log, false);
        }
        Ok(findings)
    }

    /// Logs are read one after the other, so that a log may be told of by a later one before its own
    /// last lines are seen. Reads on until each has what others say of it, or really lacks it.
    async fn catch_up(
        &self,
        reader: &dyn AuditReader,
        verifier: &mut Verifier,
        seen: &mut Vec<(LogId, u64)>,
    ) -> Result<(), Error> {
        loop {
            let behind = verifier.behind();
            if behind.is_empty() {
                return Ok(());
            }
            feed(reader, verifier, seen).await?;
            if behind.iter().any(|(log, lines)| verifier.lines_of(*log) < *lines) {
                return Ok(());
            }
        }
    }

    /// Looks into a record with keys. The log that it names, where it opens.
    async fn inspect(
        &self,
        key: &Key,
        record: &[u8],
        findings: &mut Vec<Finding>,
    ) -> Result<Option<LogId>, Error> {
        let alien = |detail: &str| Finding::new(Verdict::Alien, detail).of_key(key.clone());
        match KeyClass::parse(key.as_bytes()) {
            Some(KeyClass::Head { namespace, .. }) => {
                let Some(namespace) = self.namespace_of_id(namespace).await? else {
                    return Ok(None);
                };
                let met = match self.open_met(&namespace, key, record).await {
                    Ok(Some(met)) => met,
                    // It is gone since, or was replaced over and over: the logs tell by whom.
                    Ok(None) | Err(Error::Unavailable(Unavailable::StalePermit)) => {
                        return Ok(None);
                    }
                    Err(Error::Tampered(_)) => {
                        findings.push(alien("the head does not open with the namespace's keys"));
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                };
                let Ok(head) = HeadRef::parse(&met.plaintext) else {
                    findings.push(alien("the head opens and has another form"));
                    return Ok(None);
                };
                if let Some(live) = &head.live {
                    for entry in live.versions() {
                        self.inspect_blobs(key, &entry, findings).await?;
                    }
                }
                // Of a later head only the logs tell who wrote the one that was listed.
                Ok((!met.is_later).then_some(head.base.lineage.log))
            }
            Some(KeyClass::Namespace { .. }) => {
                let keys = self.keys.get()?;
                match self.open_namespace(&keys, key, record).await {
                    Ok(record) => Ok(Some(record.lineage.log)),
                    Err(Error::Tampered(_)) => {
                        findings.push(alien("the namespace record does not open"));
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(None),
        }
    }

    async fn inspect_blobs(
        &self,
        key: &Key,
        entry: &VersionRef<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        let identifiers = match &entry.identifiers {
            Some(Identifiers::Blob(slot)) => Some(slot),
            _ => None,
        };
        for slot in identifiers.into_iter().chain(&entry.value) {
            let Place::Blob(blob) = &slot.place else { continue };
            let parts = self.parts_of(key, *blob).await?;
            let whole = parts.is_some_and(|parts| {
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let length = usize::try_from(slot.length).unwrap_or(usize::MAX);
                decrypt_value_parts(slot.key, &slot.nonce, slot.suite, &parts, length).is_ok()
            });
            if !whole && !self.was_replaced(key, blob).await? {
                let detail = format!("a blob of version {} is missing or damaged", entry.version);
                findings.push(Finding::new(Verdict::Incomplete, detail).of_key(key.clone()));
            }
        }
        Ok(())
    }

    async fn parts_of(&self, key: &Key, blob: BlobRef) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let keys: Vec<Key> = (0..blob.parts)
            .filter_map(|part| strongroom_crypto::blob_key(key, blob.seq, &blob.random, part))
            .collect();
        let entries = self.storage.read(&keys).await?;
        Ok(entries.into_iter().map(|entry| entry.map(|entry| entry.value)).collect())
    }

    /// Whether the head at the key does not name the blob any more: then its absence is in order.
    async fn was_replaced(&self, key: &Key, blob: &BlobRef) -> Result<bool, Error> {
        let mut answers = self.storage.read(std::slice::from_ref(key)).await?;
        let Some(entry) = answers.pop().flatten() else { return Ok(true) };
        let Some(KeyClass::Head { namespace, .. }) = KeyClass::parse(key.as_bytes()) else {
            return Ok(false);
        };
        let Some(namespace) = self.namespace_of_id(namespace).await? else { return Ok(true) };
        let met = match self.open_met(&namespace, key, &entry.value).await {
            Ok(Some(met)) => met,
            Ok(None) | Err(Error::Unavailable(Unavailable::StalePermit)) => return Ok(true),
            Err(Error::Tampered(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Ok(head) = HeadRef::parse(&met.plaintext) else { return Ok(false) };
        Ok(!head.live.iter().flat_map(super::sweep::named_blobs).any(|named| named == *blob))
    }

    /// The live namespace of that id, by a look at all of them.
    async fn namespace_of_id(
        &self,
        id: strongroom_crypto::NamespaceId,
    ) -> Result<Option<std::sync::Arc<OpenNamespace>>, Error> {
        let is =
            |namespace: &OpenNamespace| namespace.parts().is_some_and(|(found, _, _)| found == id);
        if let Some(namespace) = self.namespaces.find(is) {
            return Ok(Some(namespace));
        }
        let keys = self.keys.get()?;
        for (key, entry) in self.all(strongroom_crypto::namespaces_prefix()).await? {
            let Ok(record) = self.open_namespace(&keys, &key, &entry.value).await else { continue };
            if matches!(record.state, NamespaceState::Live { id: found, .. } if found == id) {
                let name: Namespace = record.name;
                self.namespaces.remove(name.as_str());
                return self.namespace(&keys, name.as_str()).await;
            }
        }
        Ok(None)
    }
}

/// Feeds the lines that each log has beyond what was fed already.
pub(super) async fn feed(
    reader: &dyn AuditReader,
    verifier: &mut Verifier,
    seen: &mut Vec<(LogId, u64)>,
) -> Result<(), Error> {
    let mut after: Option<Receipt> = None;
    loop {
        let lines = reader.read(after.as_ref(), LINES).await?;
        let Some((last, _)) = lines.last() else { return Ok(()) };
        after = Some(*last);
        for (receipt, line) in &lines {
            match seen.iter_mut().find(|(log, _)| *log == receipt.log) {
                Some((_, next)) if receipt.index < *next => continue,
                Some((_, next)) => *next = receipt.index.saturating_add(1),
                None => seen.push((receipt.log, receipt.index.saturating_add(1))),
            }
            verifier.line(receipt.log, line);
        }
    }
}
