//! Re-encrypting heads under the active epoch, and destroying the epochs that are left.

use std::num::NonZeroU32;
use std::time::Duration;

use strongroom_core::{Expected, Rewrap, Scan, SecretPath, Timestamp};
use strongroom_crypto::{KeyId, NamespaceState, record_key_id};

use super::Vault;
use crate::error::{Error, NotFound, Tampered};
use crate::permit::Redeemed;

/// How long an epoch is kept where a batch is one operation, so that no check guards it.
const KEPT_UNGUARDED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const PAGE: NonZeroU32 = NonZeroU32::new(128).unwrap();
/// How many scans are made to find none left, while others write.
const SCANS: usize = 8;

/// What a rewrap did.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RewrapReport {
    /// Heads that were encrypted again. No value was.
    pub rewrapped: u64,
    /// Epochs whose keys are destroyed now.
    pub epochs_destroyed: u64,
    /// Epochs that still wait to leave.
    pub epochs_left: u64,
}

impl Vault {
    /// Rewraps the namespace of the permit.
    pub(crate) async fn rewrap(&self, grant: &Redeemed<Rewrap>) -> Result<RewrapReport, Error> {
        let name = grant.target();
        let mut report = RewrapReport::default();
        for _ in 0..SCANS {
            let keys = self.keys.get()?;
            let began = self.clock.now();
            self.namespaces.remove(name.as_str());
            let namespace =
                self.namespace(&keys, name.as_str()).await?.ok_or(NotFound::Namespace)?;
            // INVARIANT: the scan begins after these epochs stopped being active.
            let NamespaceState::Live { id, active, leaving, .. } = &namespace.record.state else {
                return Err(NotFound::Namespace.into());
            };
            let (active, left) = (active.key.id(), leaving.len());
            if left == 0 {
                return Ok(report);
            }
            let found = self.rewrap_scan(grant, *id, active, &mut report).await?;
            if found == 0 {
                let scanned: Vec<KeyId> = leaving.iter().map(|epoch| epoch.key.id()).collect();
                return self.drop_epochs(grant, &scanned, began, report).await;
            }
        }
        let keys = self.keys.get()?;
        if let Some(namespace) = self.namespace(&keys, name.as_str()).await?
            && let NamespaceState::Live { leaving, .. } = &namespace.record.state
        {
            report.epochs_left = u64::try_from(leaving.len()).unwrap_or(u64::MAX);
        }
        Ok(report)
    }

    /// One whole scan. How many heads of other epochs it met.
    async fn rewrap_scan(
        &self,
        grant: &Redeemed<Rewrap>,
        id: strongroom_crypto::NamespaceId,
        active: KeyId,
        report: &mut RewrapReport,
    ) -> Result<u64, Error> {
        let mut found = 0;
        let prefix = strongroom_crypto::heads_of(id);
        let mut scan = Scan { prefix, after: None, limit: PAGE, with_values: true };
        loop {
            let page = self.storage.list(&scan).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            for entry in page.entries {
                let record = entry.value.unwrap_or_default();
                if record_key_id(&record)? == active {
                    continue;
                }
                found += 1;
                let Some(path) = self.path_of(grant, &entry.key, &record).await? else { continue };
                let same = &mut |_: &mut super::edit::Draft<'_>| Ok(());
                // A lost race means that somebody wrote the head under the active epoch.
                match self.replace(grant.cause(), &path, None, Expected::Any, same).await {
                    Err(Error::Invalid(invalid))
                        if *invalid == crate::error::Invalid::ExpectationRequired =>
                    {
                        let seq = self.seq_of(&path).await?;
                        let expected = Expected::Head(seq);
                        match self.replace(grant.cause(), &path, None, expected, same).await {
                            Ok(_) => report.rewrapped += 1,
                            Err(Error::Conflict(_)) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    Ok(super::Step::Done(())) => report.rewrapped += 1,
                    Ok(super::Step::Raced) => {}
                    Err(error) => return Err(error),
                }
            }
            if !page.more {
                return Ok(found);
            }
        }
    }

    async fn seq_of(&self, path: &SecretPath) -> Result<u64, Error> {
        let secret = self.load(path, super::Freshness::Current).await?;
        match &secret.head {
            Some(head) => Ok(head.view()?.base.seq),
            None => Ok(0),
        }
    }

    /// The path of a head; `None` where it is gone since.
    async fn path_of(
        &self,
        grant: &Redeemed<Rewrap>,
        key: &strongroom_core::Key,
        record: &[u8],
    ) -> Result<Option<SecretPath>, Error> {
        let keys = self.keys.get()?;
        let namespace = self.namespace(&keys, grant.target().as_str()).await?;
        let namespace = namespace.ok_or(NotFound::Namespace)?;
        let Some(met) = self.open_met(&namespace, key, record).await? else { return Ok(None) };
        let head = met.view()?;
        Ok(Some(head.path.parse().map_err(|_| Tampered::Content("a head without a path"))?))
    }

    async fn drop_epochs(
        &self,
        grant: &Redeemed<Rewrap>,
        scanned: &[KeyId],
        began: Timestamp,
        mut report: RewrapReport,
    ) -> Result<RewrapReport, Error> {
        let guarded = self.storage.profile().atomic_ops.get() >= 2;
        let mut dropped = 0;
        let mut left = 0;
        self.change_namespace(grant.cause(), grant.target(), &mut |state, _| match state {
            Some(NamespaceState::Live { id, names, active, leaving, erasing }) => {
                let before = leaving.len();
                // As the scan began: what landed behind it was on its way for no longer than that.
                let old_enough = |since| guarded || began.saturating_since(since) >= KEPT_UNGUARDED;
                let leaving: Vec<_> = leaving
                    .into_iter()
                    .filter(|epoch| {
                        !(scanned.contains(&epoch.key.id()) && old_enough(active.since))
                    })
                    .collect();
                (dropped, left) = (before - leaving.len(), leaving.len());
                Ok(NamespaceState::Live { id, names, active, leaving, erasing })
            }
            _ => Err(NotFound::Namespace.into()),
        })
        .await?;
        report.epochs_destroyed = u64::try_from(dropped).unwrap_or(u64::MAX);
        report.epochs_left = u64::try_from(left).unwrap_or(u64::MAX);
        Ok(report)
    }
}
