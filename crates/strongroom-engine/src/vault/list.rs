//! Walking over the secrets below a prefix.
//!
//! Storage keys hide names, so the storage's order is not the order of names: a walk decrypts each
//! head for its path. One level at a time it jumps over what lies deeper.

use std::num::NonZeroU32;
use std::sync::Arc;

use strongroom_core::{
    Entry, Key, List, ListNamespaces, Listed, MAX_KEY_BYTES, Namespace, Prefix, Scan, SecretPath,
};
use strongroom_crypto::NamespaceState;

use super::Vault;
use super::keys::OpenNamespace;
use crate::error::{Error, Invalid, Tampered};
use crate::permit::Redeemed;

/// How many heads are read at once.
const PAGE: NonZeroU32 = NonZeroU32::new(256).unwrap();
const TWICE: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// A walk over all secrets below a prefix, in no order.
pub(crate) struct Walk {
    grant: Redeemed<List>,
    namespace: Option<Arc<OpenNamespace>>,
    prefix: Vec<u8>,
    after: Option<Key>,
    more: bool,
}

impl Walk {
    /// The next page of paths that the caller may see; `None` at the end.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<SecretPath>>, Error> {
        while let Some(records) = self.records(PAGE).await? {
            let mut paths = Vec::with_capacity(records.len());
            for record in records {
                paths.extend(self.visible(record).await?);
            }
            if !paths.is_empty() {
                return Ok(Some(paths));
            }
        }
        Ok(None)
    }

    /// The next records, at most that many; `None` at the end.
    async fn records(&mut self, limit: NonZeroU32) -> Result<Option<Vec<Listed>>, Error> {
        let vault = &self.grant.inner().vault;
        vault.keys.get()?;
        if !self.more || self.namespace.is_none() {
            return Ok(None);
        }
        let (prefix, after) = (self.prefix.clone(), self.after.clone());
        let page = vault.storage.list(&Scan { prefix, after, limit, with_values: true }).await?;
        self.more = page.more;
        if let Some(last) = page.entries.last() {
            self.after = Some(last.key.clone());
        }
        Ok(Some(page.entries))
    }

    /// The path of a record, if there is a secret that the caller may see.
    async fn visible(&self, record: Listed) -> Result<Option<SecretPath>, Error> {
        let Some(namespace) = &self.namespace else { return Ok(None) };
        let value = record.value.unwrap_or_default();
        let path = self.grant.inner().vault.listed(namespace, &record.key, &value).await?;
        match path {
            // A path may be a secret and a prefix: its own head lies among those below it.
            Some(path) if self.grant.target().contains(&path) => {
                Ok(self.grant.may_see(&path).await.then_some(path))
            }
            _ => Ok(None),
        }
    }

    /// The greatest key that a head below the prefix of that name can have.
    fn last_key_below(&self, name: &str) -> Option<Key> {
        let (id, names, _) = self.namespace.as_deref()?.parts()?;
        let child: Prefix = self.grant.target().join(name).ok()?.into();
        let mut key = strongroom_crypto::head_prefix(id, names, &child);
        key.resize(MAX_KEY_BYTES, u8::MAX);
        Some(Key::new(key))
    }

    /// Goes on after that key, which need not exist.
    fn skip_to(&mut self, key: Key) {
        if self.after.as_ref().is_none_or(|after| *after < key) {
            self.after = Some(key);
        }
    }
}

/// A name one level below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Child {
    /// The segment.
    pub name: String,
    /// Whether there is a secret of that name.
    pub is_secret: bool,
    /// Whether there are secrets below it.
    pub is_prefix: bool,
}

impl Vault {
    /// Begins a walk.
    pub(crate) async fn walk(grant: Redeemed<List>) -> Result<Walk, Error> {
        let inner = grant.inner().clone();
        let vault = &inner.vault;
        let keys = vault.keys.get()?;
        let prefix: &Prefix = grant.target();
        // What is cached of the namespace may be older than its destruction.
        let name = prefix.namespace();
        vault.namespaces.remove(name.as_str());
        let namespace = vault.namespace(&keys, name.as_str()).await?;
        let (prefix, more) = match namespace.as_deref().and_then(OpenNamespace::parts) {
            Some((id, names, _)) => (strongroom_crypto::head_prefix(id, names, prefix), true),
            None => (Vec::new(), false),
        };
        Ok(Walk { grant, namespace, prefix, after: None, more })
    }

    /// The path of a listed head; `None` for a tombstone, and for what is gone since.
    async fn listed(
        &self,
        namespace: &OpenNamespace,
        key: &Key,
        record: &[u8],
    ) -> Result<Option<SecretPath>, Error> {
        let Some(met) = self.open_met(namespace, key, record).await? else { return Ok(None) };
        let head = met.view()?;
        let path: SecretPath =
            head.path.parse().map_err(|_| Tampered::Content("a head without a path"))?;
        let derived =
            namespace.parts().map(|(id, names, _)| strongroom_crypto::head_key(id, names, &path));
        if derived.as_ref() != Some(key) {
            return Err(Tampered::Content("a head that names another path").into());
        }
        Ok(head.live.map(|_| path))
    }

    /// One level below the prefix of the permit, sorted by name.
    ///
    /// A child's own head comes before all heads below it. So a child is known as soon as one head
    /// below it is seen, and the rest of them is jumped over: the calls grow with the children. Only
    /// below a child where nothing can be seen, each head is looked at.
    pub(crate) async fn children(grant: Redeemed<List>, most: usize) -> Result<Vec<Child>, Error> {
        let depth = grant.target().segments().count();
        let mut walk = Self::walk(grant).await?;
        let mut found: std::collections::BTreeMap<String, (bool, bool)> =
            std::collections::BTreeMap::new();
        // Pages grow while all of them is of use: a flat level takes few calls, too.
        let mut limit = NonZeroU32::MIN;
        while let Some(records) = walk.records(limit).await? {
            let (mut known, mut wasted): (Option<Key>, bool) = (None, false);
            for record in records {
                if known.as_ref().is_some_and(|last| record.key <= *last) {
                    wasted = true;
                    continue;
                }
                let Some(path) = walk.visible(record).await? else { continue };
                let mut rest = path.segments().skip(depth);
                let Some(name) = rest.next() else { continue };
                let deeper = rest.next().is_some();
                let child = found.entry(name.to_owned()).or_default();
                child.0 |= !deeper;
                child.1 |= deeper;
                if deeper {
                    known = walk.last_key_below(name);
                }
            }
            if found.len() > most {
                return Err(Invalid::Request(
                    "too many names on one level to be sorted: list by page",
                )
                .into());
            }
            if let Some(last) = known {
                walk.skip_to(last);
            }
            limit = match wasted {
                true => NonZeroU32::MIN,
                false => limit.saturating_mul(TWICE).min(PAGE),
            };
        }
        Ok(found
            .into_iter()
            .map(|(name, (is_secret, is_prefix))| Child { name, is_secret, is_prefix })
            .collect())
    }

    /// The namespaces that are not destroyed, sorted by name.
    pub(crate) async fn list_namespaces(
        &self,
        _grant: &Redeemed<ListNamespaces>,
    ) -> Result<Vec<Namespace>, Error> {
        let keys = self.keys.get()?;
        let mut names = Vec::new();
        let prefix = strongroom_crypto::namespaces_prefix();
        for (key, entry) in self.all(prefix).await? {
            let record = self.open_namespace(&keys, &key, &entry.value).await?;
            if strongroom_crypto::namespace_key(&keys.keyring.store_names, &record.name) != key {
                return Err(Tampered::Content("a namespace record of another name").into());
            }
            if matches!(record.state, NamespaceState::Live { .. }) {
                names.push(record.name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// All records below a prefix of storage keys.
    pub(super) async fn all(&self, prefix: Vec<u8>) -> Result<Vec<(Key, Entry)>, Error> {
        let mut found = Vec::new();
        let mut scan = Scan { prefix, after: None, limit: PAGE, with_values: true };
        loop {
            let page = self.storage.list(&scan).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            for entry in page.entries {
                let value = entry.value.unwrap_or_default();
                found.push((entry.key, Entry { revision: entry.revision, value }));
            }
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// The keys of all records below a prefix, a page at a time.
    pub(super) async fn keys_below(
        &self,
        prefix: &[u8],
        after: &mut Option<Key>,
    ) -> Result<(Vec<Key>, bool), Error> {
        let scan =
            Scan { prefix: prefix.to_vec(), after: after.clone(), limit: PAGE, with_values: false };
        let page = self.storage.list(&scan).await?;
        *after = page.entries.last().map(|entry| entry.key.clone()).or_else(|| after.take());
        Ok((page.entries.into_iter().map(|entry| entry.key).collect(), page.more))
    }
}
