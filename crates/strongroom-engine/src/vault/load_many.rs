//! Loading many secrets with few calls of the storage.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::sync::Arc;

use strongroom_core::{Key, Monotonic, NotDoneKind, SecretPath, StorageError};
use strongroom_crypto::RecordError;

use super::cache::{CachedHead, HeadPlace};
use super::keys::{OpenKeys, OpenNamespace, Verified};
use super::load::LoadedSecret;
use super::{Freshness, Vault};
use crate::error::{Error, Tampered};

/// How many secrets are read at once. Each takes two keys at most: its head's and its namespace's.
const AT_ONCE: usize = 128;
/// How often they are read together while their namespaces change.
const ATTEMPTS: usize = 2;

/// What was found; `None` where the secret is to be loaded by itself.
type Found = Option<Result<LoadedSecret, Error>>;

/// How a path is loaded.
enum Plan {
    /// By itself: it is fresh in the cache, or something is out of the ordinary.
    Alone,
    /// Not at all: there is no namespace.
    NoNamespace(SecretPath),
    /// With the others.
    Together { namespace: Arc<OpenNamespace>, place: HeadPlace, cached: Option<Arc<CachedHead>> },
}

impl Vault {
    /// Loads what there is at each path: one answer a path, in order, each as [`load`](Self::load)
    /// gives it. Called for allowed requests only.
    ///
    /// What was read is handed out as it is. That the cache keeps it is not relied on.
    pub(crate) async fn load_many(
        &self,
        paths: &[&SecretPath],
        freshness: Freshness,
    ) -> Vec<Result<LoadedSecret, Error>> {
        let mut answers = Vec::with_capacity(paths.len());
        let freshness = match freshness {
            Freshness::Pinned => match Box::pin(self.as_pinned()).await {
                Ok(freshness) => freshness,
                Err(_) => {
                    // Each gets the error of its own look.
                    for path in paths {
                        answers.push(self.load(path, freshness).await);
                    }
                    return answers;
                }
            },
            other => other,
        };
        for paths in paths.chunks(AT_ONCE) {
            for (path, found) in paths.iter().zip(self.try_together(paths, freshness).await) {
                answers.push(match found {
                    Some(answer) => answer,
                    None => self.load(path, freshness).await,
                });
            }
        }
        answers
    }

    async fn try_together(&self, paths: &[&SecretPath], freshness: Freshness) -> Vec<Found> {
        if paths.len() > 1 {
            for _ in 0..ATTEMPTS {
                match self.load_together(paths, freshness).await {
                    Ok(Some(found)) => return found,
                    Ok(None) => {}
                    // A backend that does not take so many keys may take each.
                    Err(error) if error.kind() == Some(NotDoneKind::TooLarge) => break,
                    Err(outage) => return each(outage, paths.len()).map(Err).map(Some).collect(),
                }
            }
        }
        paths.iter().map(|_| None).collect()
    }

    /// Loads those paths together where that is of use: one answer a path. `None`: a namespace
    /// changed, start again.
    async fn load_together(
        &self,
        paths: &[&SecretPath],
        freshness: Freshness,
    ) -> Result<Option<Vec<Found>>, StorageError> {
        // A sealed store is told of each path by itself.
        let Ok(keys) = self.keys.get() else { return Ok(None) };
        let now = self.clock.elapsed();
        let absent = self.learn_namespaces(&keys, paths).await?;
        // INVARIANT: the mark is taken before the read, as in `load`.
        let mark = self.storage.change_mark();
        let verified = Verified { mark, at: now };
        let plan = |path: &&SecretPath| self.plan(path, freshness, verified, &absent);
        let plans: Vec<Plan> = paths.iter().map(plan).collect();

        let (mut heads, mut namespaces) = (Vec::new(), BTreeMap::new());
        for one in &plans {
            let Plan::Together { namespace, place, .. } = one else { continue };
            heads.push(place.key.clone());
            if !Self::is_fresh(namespace.verified(), freshness, now, mark) {
                namespaces.insert(namespace.key.clone(), namespace);
            }
        }
        if heads.is_empty() {
            return Ok(Some(plans.iter().map(|plan| self.known(plan, now)).collect()));
        }
        let asked: Vec<Key> = namespaces.keys().chain(&heads).cloned().collect();
        let mut answers = self.storage.read(&asked).await?.into_iter();
        let mut changed = false;
        for namespace in namespaces.into_values() {
            match answers.next().flatten() {
                Some(entry) if entry.revision == namespace.revision => namespace.verify(verified),
                _ => {
                    self.namespaces.remove(namespace.record.name.as_str());
                    changed = true;
                }
            }
        }
        if changed {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(plans.len());
        for one in plans {
            let Plan::Together { namespace, place, cached } = one else {
                found.push(self.known(&one, now));
                continue;
            };
            // A backend that answers too little has said nothing of this head.
            let Some(entry) = answers.next() else {
                found.push(None);
                continue;
            };
            let Some(entry) = entry else {
                let absent = self.absent(&place.path, Some((namespace, place.key)), now);
                found.push(Some(Ok(absent)));
                continue;
            };
            let cached = self.remember(&place, cached, entry, verified);
            found.push(match self.open_head(&keys, &namespace, &cached).await {
                Ok(head) => {
                    let (namespace, key, head) = (Some(namespace), Some(place.key), Some(head));
                    Some(Ok(LoadedSecret { namespace, key, head, absent: None, checked: now }))
                }
                // Another process may have rotated keys: `load` looks once more.
                Err(Error::Tampered(Tampered::Record(RecordError::UnknownKey(_)))) => None,
                Err(error) => Some(Err(error)),
            });
        }
        Ok(Some(found))
    }

    /// What is known before anything is read.
    fn known(&self, plan: &Plan, checked: Monotonic) -> Found {
        match plan {
            Plan::NoNamespace(path) => Some(Ok(self.absent(path, None, checked))),
            Plan::Alone | Plan::Together { .. } => None,
        }
    }

    fn plan(
        &self,
        path: &SecretPath,
        freshness: Freshness,
        now: Verified,
        absent: &BTreeSet<&str>,
    ) -> Plan {
        let name = path.namespace_str();
        if absent.contains(name) {
            return Plan::NoNamespace(path.clone());
        }
        let Some(namespace) = self.namespaces.get(name) else { return Plan::Alone };
        let Some((id, names, _)) = namespace.parts() else { return Plan::Alone };
        let cached = self.heads.get(path).filter(|cached| cached.place.namespace == id);
        let is_fresh = |verified| Self::is_fresh(verified, freshness, now.at, now.mark);
        if let Some(cached) = &cached
            && is_fresh(namespace.verified())
            && is_fresh(cached.verified())
        {
            return Plan::Alone;
        }
        let place = match &cached {
            Some(cached) => cached.place.clone(),
            None => HeadPlace::new(path, id, names),
        };
        Plan::Together { namespace, place, cached }
    }

    /// Reads the records of the namespaces that are not known yet. The names of those that there
    /// are not.
    async fn learn_namespaces<'a>(
        &self,
        keys: &Arc<OpenKeys>,
        paths: &[&'a SecretPath],
    ) -> Result<BTreeSet<&'a str>, StorageError> {
        let unknown: BTreeMap<&str, _> = paths
            .iter()
            .filter(|path| self.namespaces.get(path.namespace_str()).is_none())
            .map(|path| (path.namespace_str(), path.namespace()))
            .collect();
        if unknown.is_empty() {
            return Ok(BTreeSet::new());
        }
        let verified = Verified { mark: self.storage.change_mark(), at: self.clock.elapsed() };
        let key = |name| strongroom_crypto::namespace_key(&keys.keyring.store_names, name);
        let asked: Vec<Key> = unknown.values().map(key).collect();
        let answers = self.storage.read(&asked).await?;
        let mut absent = BTreeSet::new();
        for (((name, namespace), key), entry) in unknown.iter().zip(asked).zip(answers) {
            let learnt = match entry {
                Some(entry) => self.learn_namespace(keys, namespace, key, entry, verified).await,
                None => Ok(None),
            };
            // What does not open is met again by whoever loads the path alone.
            if matches!(learnt, Ok(None)) {
                absent.insert(*name);
            }
        }
        Ok(absent)
    }
}

/// The same outage for each of so many.
fn each(outage: StorageError, many: usize) -> impl Iterator<Item = Error> {
    let (kind, detail, source) = match outage {
        StorageError::NotDone { kind, detail, source } => (Some(kind), detail, source),
        StorageError::Indeterminate { detail, source } => (None, detail, source),
    };
    let source: Option<Arc<dyn StdError + Send + Sync>> = source.map(Arc::from);
    (0..many).map(move |_| {
        let error = match kind {
            Some(kind) => StorageError::not_done(kind, detail.clone()),
            None => StorageError::indeterminate(detail.clone()),
        };
        match &source {
            Some(source) => error.because(source.clone()).into(),
            None => error.into(),
        }
    })
}
