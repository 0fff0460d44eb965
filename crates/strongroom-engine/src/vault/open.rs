//! Opening and creating a store: keyring, seal, log.

use std::num::NonZeroU64;
use std::sync::Arc;

use strongroom_core::{
    AuditRecord, Batch, DeadLog, Decision, DecisionRecord, Digest, Durability, Effect, Entropy,
    Entry, Expect, IntentRecord, KeyContext, LogId, ManageSeals, Op, Outcome, OutcomeRecord,
    Receipt, RecordKind, Recover, RequestContext, Revision, Seal, SealError, SealId, StoreIdentity,
    Target, WriteId, Written,
};
use strongroom_crypto::{Keyring, KeyringError, Lineage, SealEntry, SealedKeyring, Suite};

use super::anchor::{LOOKS, Pins};
use super::cache::HeadCache;
use super::doubt::Doubts;
use super::keys::{Identity, KeySlot, Namespaces, OpenKeys};
use super::registry::{Registered, Registry};
use super::untold::untold;
use super::{Parts, Vault};
use crate::error::{ConflictKind, Error, Invalid, NotFound, Tampered, Unavailable};

/// Whether a store must exist, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Open what is there.
    Existing,
    /// Create where nothing is.
    New,
}

/// Opens the keyring in the storage with the seal, and begins a log.
pub(crate) async fn open(parts: &Parts) -> Result<(Vault, Vec<DeadLog>), Error> {
    let mut entry = stored_keyring(parts).await?;
    let log_owner = parts.sink.owner().await?;
    if entry.is_none() && log_owner.is_some() {
        // A keyring is there before its log: somebody may have created both since.
        entry = stored_keyring(parts).await?;
    }
    let Some(entry) = entry else {
        return match log_owner {
            // A log without its store is no reason to begin another one beside it.
            Some(log) => Err(Invalid::OtherStore { log, storage: None }.into()),
            None => Err(NotFound::Store.into()),
        };
    };
    let sealed = SealedKeyring::parse(&entry.value)?;
    if let Some(log) = log_owner
        && log != sealed.store()
    {
        return Err(Invalid::OtherStore { log, storage: Some(sealed.store()) }.into());
    }
    let root = unseal(&parts.seal, &*parts.entropy, &sealed).await?;
    let keyring = sealed.open(&root)?;
    let first_open = log_owner.is_none() && keyring.generation == 1;
    let digest = Vault::digest_of(&entry.value);
    let (vault, dead) = attach(parts, keyring, entry.revision).await?;
    if first_open {
        vault.record_creation(digest).await?;
    }
    Ok((vault, dead))
}

/// Creates a store: keyring, then log. A kill between the two leaves a store that opens.
pub(crate) async fn create(parts: &Parts) -> Result<(Vault, Vec<DeadLog>), Error> {
    if let Some(log) = parts.sink.owner().await? {
        let Some(entry) = stored_keyring(parts).await? else {
            return Err(Invalid::OtherStore { log, storage: None }.into());
        };
        let storage = SealedKeyring::parse(&entry.value)?.store();
        return Err(match storage == log {
            true => ConflictKind::Store.into(),
            false => Invalid::OtherStore { log, storage: Some(storage) }.into(),
        });
    }
    let mut write = [0; 16];
    parts.entropy.fill(&mut write)?;
    // No log exists yet that could hold an intent: it follows as the log's first records.
    let lineage = Lineage::first(WriteId::from_bytes(write), LogId::from_bytes([0; 8]));
    let mut keyring = Keyring::generate(Suite::Aes256Gcm, lineage, &*parts.entropy)?;
    let mut id = [0; 8];
    parts.entropy.fill(&mut id)?;
    let id = SealId::from_bytes(id);
    let context = KeyContext { store: keyring.store, seal: id, entropy: &*parts.entropy };
    let wrapped = parts.seal.wrap_key(&keyring.root_key_for_wrapping(), &context).await;
    let wrapped = wrapped.map_err(Unavailable::Seal)?;
    keyring.seals.push(SealEntry { id, kind: parts.seal.kind().to_owned(), wrapped });
    let record = keyring.encode(&*parts.entropy)?;
    let (bytes, limit) = (record.len(), parts.storage.profile().value_bytes.get());
    if bytes > limit {
        let whose = "the storage's limit on one record";
        return Err(Invalid::TooLarge { bytes, limit, whose }.into());
    }
    let digest = Vault::digest_of(&record);
    let key = strongroom_crypto::keyring_key();
    let batch = Batch::new(vec![Op::Put { key, expect: Expect::Absent, value: record }])?;
    let revision = match parts.storage.write(batch).await? {
        Written::Committed { revisions } => revisions.into_iter().next(),
        Written::Conflict { .. } => return Err(ConflictKind::Store.into()),
    };
    let revision =
        revision.ok_or(Unavailable::Unsupported("the storage committed without a revision"))?;
    let (vault, dead) = attach(parts, keyring, revision).await?;
    vault.record_creation(digest).await?;
    Ok((vault, dead))
}

async fn stored_keyring(parts: &Parts) -> Result<Option<Entry>, Error> {
    let key = strongroom_crypto::keyring_key();
    Ok(parts.storage.read(std::slice::from_ref(&key)).await?.pop().flatten())
}

async fn attach(
    parts: &Parts,
    keyring: Keyring,
    revision: Revision,
) -> Result<(Vault, Vec<DeadLog>), Error> {
    let (store, public_key) = (keyring.store, keyring.identity.public_key());
    // INVARIANT: each is ahead of what is looked at after it at no time: pins, registry, logs.
    let anchor = parts.anchor.as_deref();
    let mut pins = match anchor {
        Some(anchor) => Pins::load(anchor, store).await?,
        None => Pins::default(),
    };
    let (mut registered, mut misfits) = (Registered::default(), Vec::new());
    for _ in 0..LOOKS {
        registered = Registered::read(&*parts.storage).await?;
        misfits = pins.misfits(|log| registered.get(store, log));
        match pins.moved_since(anchor, store, &misfits).await? {
            Some(now) => pins = now,
            None => break,
        }
    }
    let misfits = untold(&*parts.storage, &*parts.sink, store, misfits).await?;
    let mut misfits = refuse(parts, misfits)?;
    let registered = Arc::new(registered);
    let keys = Arc::new(KeySlot::new(OpenKeys { keyring, revision }));
    let identity: Arc<dyn StoreIdentity> = Arc::new(Identity {
        store,
        public_key,
        slot: keys.clone(),
        registered: Arc::clone(&registered),
        clock: parts.clock.clone(),
        entropy: parts.entropy.clone(),
    });
    let attached = parts.sink.attach(identity).await?;
    let found = registered.misfits(&*parts.storage, &*parts.sink, store, &attached).await;
    match found.and_then(|found| refuse(parts, found)) {
        Ok(found) => misfits.extend(found),
        Err(error) => {
            // Nothing was done under the log that has just begun.
            let _ = parts.sink.discard(attached.log).await;
            return Err(error);
        }
    }
    let vault = Vault {
        storage: parts.storage.clone(),
        seal: parts.seal.clone(),
        sink: parts.sink.clone(),
        clock: parts.clock.clone(),
        entropy: parts.entropy.clone(),
        anchor: parts.anchor.clone(),
        store,
        log: attached.log,
        keys,
        namespaces: Namespaces::default(),
        heads: HeadCache::new(parts.cache_bytes),
        doubts: Doubts::default(),
        garbage: super::Garbage::default(),
        registry: Registry::new(attached.directory),
        durability: parts.durability,
    };
    let begun = async {
        if parts.accepts_rollback.is_some() {
            let cut = vault.shorter_than_cited(&registered, &attached, &misfits).await?;
            misfits.extend(cut);
        }
        vault.accept(parts, &registered, &misfits).await?;
        vault.cite_first(&registered, &attached).await;
        let found = vault.register_logs(&registered, &attached, &misfits, &pins.logs()).await?;
        vault.accept(parts, &registered, &refuse(parts, found)?).await
    };
    if let Err(error) = begun.await {
        // What is registered of the own log is to be true.
        if let Ok(head) = parts.sink.close(attached.log).await {
            vault.register_end(head).await;
        }
        return Err(error);
    }
    Ok((vault, attached.dead))
}

/// The first of what disagrees, unless the host accepts that.
fn refuse(parts: &Parts, mut misfits: Vec<Tampered>) -> Result<Vec<Tampered>, Error> {
    if misfits.is_empty() || parts.accepts_rollback.is_some() {
        return Ok(misfits);
    }
    Err(misfits.swap_remove(0).into())
}

async fn unseal(
    seal: &Arc<dyn Seal>,
    entropy: &dyn Entropy,
    sealed: &SealedKeyring,
) -> Result<strongroom_core::SecretValue, Error> {
    let mut refused = SealError::NotMine { hint: "the store has no seal of this kind" };
    for entry in sealed.seals().iter().filter(|entry| entry.kind == seal.kind()) {
        let context = KeyContext { store: sealed.store(), seal: entry.id, entropy };
        match seal.unwrap_key(&entry.wrapped, &context).await {
            Ok(root) => return Ok(root),
            Err(error) => refused = error,
        }
    }
    Err(Unavailable::Seal(refused).into())
}

/// Opens a newer keyring: with the root key at hand, or with the seal where that was replaced.
pub(super) async fn reopen(
    seal: &Arc<dyn Seal>,
    entropy: &dyn Entropy,
    keys: &OpenKeys,
    entry: &Entry,
) -> Result<Keyring, Error> {
    let sealed = SealedKeyring::parse(&entry.value)?;
    if sealed.store() != keys.keyring.store {
        return Err(Tampered::Content("a keyring of another store").into());
    }
    match sealed.open(&keys.keyring.root_key_for_wrapping()) {
        Err(KeyringError::WrongRoot) => {
            let root = unseal(seal, entropy, &sealed).await?;
            Ok(sealed.open(&root)?)
        }
        opened => Ok(opened?),
    }
}

impl Vault {
    /// Names the first keyring in the log, as if its intent had come before it: there was no log
    /// then.
    async fn record_creation(&self, digest: Digest) -> Result<(), Error> {
        let keys = self.keys.get()?;
        let at = self.clock.now();
        let decision = AuditRecord::Decision(DecisionRecord {
            at,
            principal: None,
            action: <ManageSeals as strongroom_core::Action>::NAME,
            target: Target::Store,
            effect: Effect::Allow,
            count: NonZeroU64::MIN,
            explanation: Decision::allow().because("the store was created").explanation().clone(),
            context: RequestContext::default(),
            loaded: None,
        });
        let receipts = self.sink.append(&[decision], Durability::Flushed).await?;
        let index = receipts.first().map_or(0, |receipt| receipt.index);
        let intent = AuditRecord::Intent(IntentRecord {
            at,
            decision: index,
            action: <ManageSeals as strongroom_core::Action>::NAME,
            kind: RecordKind::Keyring,
            key: strongroom_crypto::keyring_key(),
            seq: 1,
            prev: Digest::from_bytes([0; 32]),
            prev_log: self.log,
            next: digest,
            write: keys.keyring.lineage.write,
            target: Target::Store,
            erases: Vec::new(),
        });
        let receipts = self.sink.append(&[intent], Durability::Flushed).await?;
        let intent =
            *receipts.first().ok_or(Unavailable::Unsupported("the audit sink gave no receipt"))?;
        self.record_done(intent).await
    }

    /// Records that the store is opened though storage, logs and anchor disagree, and gives up what
    /// is gone.
    async fn accept(
        &self,
        parts: &Parts,
        registered: &Registered,
        misfits: &[Tampered],
    ) -> Result<(), Error> {
        let Some(reason) = parts.accepts_rollback.as_deref() else { return Ok(()) };
        let mut records = Vec::with_capacity(misfits.len());
        for misfit in misfits {
            let why = format!("accepted, {reason}: {misfit}");
            records.push(AuditRecord::Decision(DecisionRecord {
                at: self.clock.now(),
                principal: None,
                action: <Recover as strongroom_core::Action>::NAME,
                target: Target::Store,
                effect: Effect::Allow,
                count: NonZeroU64::MIN,
                explanation: Decision::allow().because(why).explanation().clone(),
                context: RequestContext::default(),
                loaded: None,
            }));
        }
        if !records.is_empty() {
            self.sink.append(&records, Durability::Synced).await?;
        }
        self.give_up(registered, misfits).await
    }

    async fn record_done(&self, intent: Receipt) -> Result<(), Error> {
        let outcome = Outcome::Done;
        let record = AuditRecord::Outcome(OutcomeRecord { at: self.clock.now(), intent, outcome });
        self.sink.append(&[record], Durability::Flushed).await?;
        Ok(())
    }
}
