//! The keys of an open store, and the namespaces whose keys are known.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use strongroom_core::{
    AuditError, ChangeMark, Clock, Entropy, EntropyError, Key, LogId, Monotonic, Revision, StoreId,
    StoreIdentity, Timestamp,
};
use strongroom_crypto::{
    KeyId, Keyring, NameKey, NamespaceId, NamespaceRecord, NamespaceState, RecordKey,
};

use super::registry::Registered;
use crate::error::Error;

/// The keyring of an open store.
pub(super) struct OpenKeys {
    pub(super) keyring: Keyring,
    pub(super) revision: Revision,
}

/// Holds the keys while the store is open. Sealing empties it, for every clone at once.
pub(crate) struct KeySlot(RwLock<Option<Arc<OpenKeys>>>);

impl KeySlot {
    pub(super) fn new(keys: OpenKeys) -> Self {
        Self(RwLock::new(Some(Arc::new(keys))))
    }

    pub(super) fn get(&self) -> Result<Arc<OpenKeys>, Error> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        slot.clone().ok_or(Error::Sealed)
    }

    /// Takes newer keys; a store that was sealed meanwhile stays sealed.
    pub(super) fn replace(&self, keys: OpenKeys) -> Result<Arc<OpenKeys>, Error> {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            None => Err(Error::Sealed),
            Some(current) => {
                if keys.keyring.generation >= current.keyring.generation {
                    *current = Arc::new(keys);
                }
                Ok(current.clone())
            }
        }
    }

    pub(super) fn wipe(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_open() { "KeySlot(open)" } else { "KeySlot(sealed)" })
    }
}

/// What the audit sink may ask of the store. It stops answering when the store is sealed.
pub(super) struct Identity {
    pub(super) store: StoreId,
    pub(super) public_key: [u8; 32],
    pub(super) slot: Arc<KeySlot>,
    /// What was registered of logs, as the store was opened.
    pub(super) registered: Arc<Registered>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.store)
    }
}

impl StoreIdentity for Identity {
    fn store(&self) -> StoreId {
        self.store
    }

    fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    fn certify(&self, log: LogId, key: &[u8; 32]) -> [u8; 64] {
        let message = strongroom_audit::certificate_message(self.store, log, key);
        match self.slot.get() {
            Ok(keys) => keys.keyring.identity.sign(&message),
            // A certificate of zeros verifies nowhere: the log that asks for it is refused.
            Err(_) => [0; 64],
        }
    }

    fn token(&self, class: u8, text: &str) -> [u8; 16] {
        match self.slot.get() {
            Ok(keys) => keys.keyring.audit.token(class, text),
            // The name record that must come before this token's first use then fails.
            Err(_) => [0; 16],
        }
    }

    fn encrypt_name(&self, log: LogId, name: &str) -> Result<Vec<u8>, EntropyError> {
        let keys = self.slot.get().map_err(|_| EntropyError::because("the store is sealed"))?;
        keys.keyring.audit.encrypt_name(self.store, log, keys.keyring.suite, name, &*self.entropy)
    }

    fn decrypt_name(&self, log: LogId, sealed: &[u8]) -> Result<String, AuditError> {
        let keys = self.slot.get().map_err(|_| AuditError::Closed)?;
        keys.keyring.audit.decrypt_name(self.store, log, sealed).map_err(|source| {
            AuditError::because("a name in the audit log does not open under this store", source)
        })
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        self.entropy.fill(buffer)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn is_settled(&self, log: LogId) -> bool {
        self.registered.is_settled(self.store, log)
    }
}

/// When something cached was last known to be what the storage holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verified {
    pub(super) mark: Option<ChangeMark>,
    pub(super) at: Monotonic,
}

/// A namespace whose keys are known.
pub(super) struct OpenNamespace {
    pub(super) key: Key,
    pub(super) revision: Revision,
    pub(super) record: NamespaceRecord,
    verified: Mutex<Verified>,
}

impl OpenNamespace {
    /// `None` for the record of a destroyed namespace.
    pub(super) fn new(
        key: Key,
        revision: Revision,
        record: NamespaceRecord,
        verified: Verified,
    ) -> Option<Self> {
        matches!(record.state, NamespaceState::Live { .. }).then(|| Self {
            key,
            revision,
            record,
            verified: Mutex::new(verified),
        })
    }

    pub(super) fn parts(&self) -> Option<(NamespaceId, &NameKey, &RecordKey)> {
        match &self.record.state {
            NamespaceState::Live { id, names, active, .. } => Some((*id, names, &active.key)),
            NamespaceState::Destroyed { .. } => None,
        }
    }

    /// The key of that id, active or leaving.
    pub(super) fn epoch(&self, id: KeyId) -> Option<&RecordKey> {
        match &self.record.state {
            NamespaceState::Live { active, leaving, .. } => std::iter::once(active)
                .chain(leaving)
                .map(|epoch| &epoch.key)
                .find(|key| key.id() == id),
            NamespaceState::Destroyed { .. } => None,
        }
    }

    pub(super) fn verified(&self) -> Verified {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn verify(&self, now: Verified) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

/// The namespaces whose keys are known, by name.
#[derive(Default)]
pub(super) struct Namespaces(RwLock<HashMap<Box<str>, Arc<OpenNamespace>>>);

impl Namespaces {
    pub(super) fn get(&self, name: &str) -> Option<Arc<OpenNamespace>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn find(&self, is: impl Fn(&OpenNamespace) -> bool) -> Option<Arc<OpenNamespace>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.values().find(|namespace| is(namespace)).cloned()
    }

    /// Keeps a namespace, unless a newer record of it is known: whoever read an older one was slow.
    pub(super) fn insert(&self, namespace: Arc<OpenNamespace>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let slot = known
            .entry(namespace.record.name.as_str().into())
            .or_insert_with(|| Arc::clone(&namespace));
        if slot.record.generation <= namespace.record.generation {
            *slot = namespace;
        }
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(super) fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
