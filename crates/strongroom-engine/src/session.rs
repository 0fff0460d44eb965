//! What a caller can do: each method authorises and acts in one call.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_audit::Report;
use strongroom_core::{
    Action, Backup, CreateNamespace, Delete, Destroy, DestroyNamespace, Disable, Enable, Expected,
    Hold, HoldMetadata, KindError, List, ListNamespaces, MetadataUpdate, Names, Namespace,
    PolicyEngine, Prefix, Principal, Promote, Prune, Purge, Read, ReadAudit, ReadMetadata,
    RequestContext, Rewrap, RotateKeys, SecretKind, SecretMetadata, SecretPath, SecretRef, Subject,
    Sweep, Undelete, UpdateMetadata, Verify, Version, WholeStore, Write,
};
use strongroom_crypto::AuditorKey;

use crate::error::{ConflictKind, Error, Indeterminate, Invalid, NotFound, WriteOutcome};
use crate::listing::{Listing, MAX_SORTED};
use crate::permit::{Asker, Permit, authorize, authorize_reads};
use crate::room::Inner;
use crate::vault::{
    Child, Content, Freshness, PruneReport, RewrapReport, Step, SweepReport, Vault, Versioned,
};
use crate::write_options::WriteOptions;

/// How often a write without an expectation is decided anew because others were faster.
const ATTEMPTS: usize = 64;
/// How often a read is decided anew because its permit was stale: this process saw a newer head.
const STALE_READS: usize = 3;

/// A caller's view of the store. Owned, `Send + Sync`, cheap to clone.
///
/// A secret is named by its path, alone or with what of it is meant: `prod/key` is what is in force,
/// `prod/key@3` a version, `prod/key@pending` and `prod/key@previous` are stages.
///
/// ```
/// use strongroom_core::{Expected, MetadataUpdate, Opaque, Principal};
/// use strongroom_engine::{Error, NotFound, WriteOptions};
/// use strongroom_testkit::TestRoom;
///
/// # futures_executor::block_on(async {
/// let kit = TestRoom::allowing_all();
/// let alice = kit.room().session(Principal::user("alice"));
/// let first = alice.put_with("prod/key", Opaque::new(b"one"), Expected::Absent).await?;
///
/// // A successor that waits, if nobody has put another one since; then it is put in force.
/// let next = WriteOptions::new().expecting(first).pending();
/// let second = alice.put_with("prod/key", Opaque::new(b"two"), next).await?;
/// alice.promote("prod/key@pending").await?;
/// let old: Opaque = alice.get("prod/key@previous").await?;
/// assert!(old.value().expose(|bytes| bytes == b"one"));
///
/// // Disabling what is in force falls back to nothing; the error says what else there is.
/// alice.disable("prod/key").await?;
/// match alice.get::<Opaque>("prod/key").await {
///     Err(Error::NotFound(NotFound::Disabled { version, newest_enabled })) => {
///         assert_eq!((version, newest_enabled), (second, Some(first)));
///     }
///     other => panic!("{other:?}"),
/// }
/// alice.enable("prod/key").await?;
///
/// // A deleted version comes back, a destroyed one never does.
/// alice.delete("prod/key@1").await?;
/// alice.undelete("prod/key@1").await?;
/// alice.destroy("prod/key@1").await?;
/// alice.update_metadata("prod/key", MetadataUpdate::new().label("team", "billing")).await?;
/// let shown = alice.metadata("prod/key").await?;
/// assert_eq!(shown.versions.len(), 2);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
    principal: Principal,
    is_well_formed: bool,
    context: RequestContext,
    freshness: Freshness,
    subject: Arc<Mutex<Subject>>,
}

fn parse<T>(name: impl Names<T>) -> Result<T, Error> {
    name.try_into().map_err(|error| Error::from(error.into()))
}

macro_rules! version_actions {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $action:ty;)*) => {
        impl Session {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`Error`].
                pub async fn $name(&self, secret: impl Names<SecretRef>) -> Result<Version, Error> {
                    self.$with(secret, Expected::Any).await
                }

                $(#[$doc])*
                /// Only if what is there is what was expected.
                ///
                /// # Errors
                /// [`Error::Conflict`] where it is not; see [`Error`].
                pub async fn $with(
                    &self,
                    secret: impl Names<SecretRef>,
                    expected: impl Into<Expected> + Send,
                ) -> Result<Version, Error> {
                    let (secret, expected): (SecretRef, _) = (parse(secret)?, expected.into());
                    self.repeat(async || {
                        let permit = self.authorize::<$action>(&secret).await?;
                        let mut grant = permit.redeem()?;
                        let inner = grant.inner().clone();
                        inner.vault.$name(&mut grant, expected).await
                    })
                    .await
                }
            )*
        }

        $(
            impl Permit<$action> {
                $(#[$doc])*
                ///
                /// # Errors
                /// [`Error::Conflict`] where it is not as expected, or where somebody else was
                /// faster; see [`Error`].
                pub async fn $name(self, expected: Expected) -> Result<Version, Error> {
                    let mut grant = self.redeem()?;
                    let inner = grant.inner().clone();
                    once(inner.vault.$name(&mut grant, expected).await?)
                }
            }
        )*
    };
}

version_actions! {
    /// Deletes a version softly; without a version, the one in force. `undelete` brings it back.
    delete, delete_with: Delete;
    /// Brings a softly deleted version back.
    undelete, undelete_with: Undelete;
    /// Makes a version unreadable for a time. Nothing falls back to another one.
    disable, disable_with: Disable;
    /// Makes a disabled version readable again.
    enable, enable_with: Enable;
    /// Destroys a version for ever.
    destroy, destroy_with: Destroy;
    /// Puts a version in force; without a version, the pending one.
    promote, promote_with: Promote;
}

impl Session {
    pub(crate) fn new(inner: Arc<Inner>, principal: Principal) -> Self {
        let subject = Arc::new(Mutex::new(inner.policy.subject(&principal)));
        let (context, freshness) = (RequestContext::default(), Freshness::Current);
        let is_well_formed = principal.is_well_formed();
        Self { inner, principal, is_well_formed, context, freshness, subject }
    }

    /// The same session for one request of the host's.
    #[must_use]
    pub fn with_context(mut self, context: RequestContext) -> Self {
        self.context = context;
        self
    }

    /// The same session with another limit on the age of what it reads.
    #[must_use]
    pub fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    fn asker(&self) -> Asker {
        let mut subject = self.subject.lock().unwrap_or_else(PoisonError::into_inner);
        if subject.revision() != self.inner.policy.revision() {
            *subject = self.inner.policy.subject(&self.principal);
        }
        Asker {
            principal: self.principal.clone(),
            is_well_formed: self.is_well_formed,
            context: self.context.clone(),
            subject: subject.clone(),
            freshness: self.freshness,
        }
    }

    /// Asks for leave to do one thing, ahead of doing it.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unavailable`] where nobody could decide or nothing could be
    /// recorded, and what loading the secret met.
    pub async fn authorize<A: Action>(
        &self,
        target: impl Names<A::Target>,
    ) -> Result<Permit<A>, Error> {
        let target: A::Target = parse(target)?;
        authorize::<A>(&self.inner, &self.asker(), target).await
    }

    /// Repeats what lost a race as often as it takes. A permit that is stale has lost one, mostly: this
    /// process has seen a newer head than the one that was decided on.
    async fn repeat<T, F>(&self, mut act: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<Step<T>, Error>>,
    {
        let mut last = Error::from(ConflictKind::Contended);
        for _ in 0..ATTEMPTS {
            match act().await {
                Ok(Step::Done(output)) => return Ok(output),
                Ok(Step::Raced) => last = ConflictKind::Contended.into(),
                Err(error) if error.is_stale() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The secret in force, or at a version or stage.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get<K: SecretKind>(&self, secret: impl Names<SecretRef>) -> Result<K, Error> {
        self.read(secret).await.map(|versioned| versioned.secret)
    }

    /// The same with its version and age.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn read<K: SecretKind>(
        &self,
        secret: impl Names<SecretRef>,
    ) -> Result<Versioned<K>, Error> {
        let secret: SecretRef = parse(secret)?;
        let mut left = STALE_READS;
        loop {
            let permit = authorize::<Read>(&self.inner, &self.asker(), secret.clone()).await?;
            match permit.read().await {
                Err(error) if error.is_stale() && left > 0 => left -= 1,
                read => return read,
            }
        }
    }

    /// Many secrets: a decision and a record each, one append for all.
    ///
    /// # Errors
    /// For all where nothing could be recorded; else one answer a path, in order.
    pub async fn get_many<K: SecretKind>(
        &self,
        paths: &[SecretPath],
    ) -> Result<Vec<Result<Versioned<K>, Error>>, Error> {
        let secrets: Vec<SecretRef> = paths.iter().map(SecretRef::from).collect();
        let permits = authorize_reads(&self.inner, &self.asker(), &secrets).await?;
        let mut answers = Vec::with_capacity(permits.len());
        for (permit, secret) in permits.into_iter().zip(secrets) {
            let answer = match permit {
                Ok(permit) => permit.read().await,
                Err(error) => Err(error),
            };
            answers.push(match answer {
                Err(error) if error.is_stale() => self.read(secret).await,
                answer => answer,
            });
        }
        Ok(answers)
    }

    /// Puts a version in force, whatever is there. Creates the namespace if there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
        secret: K,
    ) -> Result<Version, Error> {
        self.put_with(path, secret, WriteOptions::new()).await
    }

    /// Puts a version as the options say.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is not as expected; see [`Error`].
    pub async fn put_with<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
        secret: K,
        options: impl Into<WriteOptions> + Send,
    ) -> Result<Version, Error> {
        let (path, options): (SecretPath, _) = (parse(path)?, options.into());
        let expected = options.expected;
        let content = content(secret, options)?;
        self.repeat(async || {
            let permit = self.authorize::<Write>(&path).await?;
            match permit.put(&content, expected).await {
                Err(Error::NotFound(NotFound::Namespace)) => {
                    let permit = self.authorize::<CreateNamespace>(path.namespace()).await?;
                    match permit.create_namespace().await {
                        // Somebody else created it: that is success too.
                        Ok(()) | Err(Error::Conflict(_)) => Ok(Step::Raced),
                        // To resolve that would tell of the namespace alone.
                        Err(Error::Indeterminate(namespace)) => Err(namespace.in_the_way(
                            "whether the namespace was created is not known, so that nothing was put",
                        )),
                        Err(error) => Err(error),
                    }
                }
                step => step,
            }
        })
        .await
    }

    /// What identifies the secret in force, without its value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn identifiers<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
    ) -> Result<K::Identifiers, Error> {
        let path: SecretPath = parse(path)?;
        self.repeat(async || {
            let permit = self.authorize::<ReadMetadata>(&path).await?;
            permit.identifiers::<K>().await.map(Step::Done)
        })
        .await
    }

    /// All that is known of a secret without its value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn metadata(&self, path: impl Names<SecretPath>) -> Result<SecretMetadata, Error> {
        let path: SecretPath = parse(path)?;
        self.repeat(async || {
            let permit = self.authorize::<ReadMetadata>(&path).await?;
            permit.metadata().map(Step::Done)
        })
        .await
    }

    /// Changes labels, owner, expiry and rules.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_metadata(
        &self,
        path: impl Names<SecretPath>,
        update: MetadataUpdate,
    ) -> Result<(), Error> {
        self.update_metadata_with(path, update, Expected::Any).await
    }

    /// Changes metadata only if what is there is what was expected.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is not; see [`Error`].
    pub async fn update_metadata_with(
        &self,
        path: impl Names<SecretPath>,
        update: MetadataUpdate,
        expected: impl Into<Expected> + Send,
    ) -> Result<(), Error> {
        let (path, expected): (SecretPath, _) = (parse(path)?, expected.into());
        self.repeat(async || {
            let mut grant = self.authorize::<UpdateMetadata>(&path).await?.redeem()?;
            let inner = grant.inner().clone();
            inner.vault.update_metadata(&mut grant, &update, expected).await
        })
        .await
    }

    /// Keeps a version from being destroyed, pruned or purged until a time. A time that is not in
    /// the future releases the hold of that id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn hold(
        &self,
        secret: impl Names<SecretRef>,
        hold: HoldMetadata,
    ) -> Result<Version, Error> {
        let secret: SecretRef = parse(secret)?;
        self.repeat(async || {
            let mut grant = self.authorize::<Hold>(&secret).await?.redeem()?;
            let inner = grant.inner().clone();
            inner.vault.hold(&mut grant, &hold).await
        })
        .await
    }

    /// Destroys a secret with all its versions and metadata. Only the version counter stays, so
    /// that no version number ever comes back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn purge(&self, path: impl Names<SecretPath>) -> Result<(), Error> {
        self.purge_with(path, Expected::Any).await
    }

    /// Purges only if what is there is what was expected.
    ///
    /// # Errors
    /// [`Error::Conflict`] where it is not; see [`Error`].
    pub async fn purge_with(
        &self,
        path: impl Names<SecretPath>,
        expected: impl Into<Expected> + Send,
    ) -> Result<(), Error> {
        let (path, expected): (SecretPath, _) = (parse(path)?, expected.into());
        self.repeat(async || {
            let mut grant = self.authorize::<Purge>(&path).await?.redeem()?;
            let inner = grant.inner().clone();
            inner.vault.purge(&mut grant, expected).await
        })
        .await
    }

    /// The paths below a prefix that the caller may list, a page at a time, in no order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, prefix: impl Names<Prefix>) -> Result<Listing, Error> {
        self.authorize::<List>(prefix).await?.list().await
    }

    /// The names one level below a prefix, sorted; at most [`MAX_SORTED`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more; see [`Error`].
    pub async fn list_level(&self, prefix: impl Names<Prefix>) -> Result<Vec<Child>, Error> {
        let permit = self.authorize::<List>(prefix).await?;
        Vault::children(permit.redeem()?, MAX_SORTED).await
    }

    /// The namespaces that exist, sorted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let grant = self.whole::<ListNamespaces>().await?.redeem()?;
        grant.inner().vault.list_namespaces(&grant).await
    }

    /// Creates a namespace with keys of its own.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there is one of that name; see [`Error`].
    pub async fn create_namespace(&self, namespace: impl Names<Namespace>) -> Result<(), Error> {
        self.authorize::<CreateNamespace>(namespace).await?.create_namespace().await
    }

    /// Destroys a namespace: its keys at once, then its records.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn destroy_namespace(&self, namespace: impl Names<Namespace>) -> Result<(), Error> {
        let grant = self.authorize::<DestroyNamespace>(namespace).await?.redeem()?;
        grant.inner().vault.destroy_namespace(&grant).await
    }

    /// Gives a namespace a new key epoch. New heads use it at once; `rewrap` moves the others.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rotate_keys(&self, namespace: impl Names<Namespace>) -> Result<(), Error> {
        let grant = self.authorize::<RotateKeys>(namespace).await?.redeem()?;
        grant.inner().vault.rotate_keys(&grant).await
    }

    /// Re-encrypts heads under the active epoch, and destroys the epochs that are left.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rewrap(&self, namespace: impl Names<Namespace>) -> Result<RewrapReport, Error> {
        let grant = self.authorize::<Rewrap>(namespace).await?.redeem()?;
        grant.inner().vault.rewrap(&grant).await
    }

    /// Erases blobs that no head names, and what is left of destroyed namespaces.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sweep(&self, namespace: impl Names<Namespace>) -> Result<SweepReport, Error> {
        let grant = self.authorize::<Sweep>(namespace).await?.redeem()?;
        grant.inner().vault.sweep(&grant).await
    }

    /// Makes a consistent copy in a new or empty directory, while writers run.
    ///
    /// Copying the files by hand is not a backup: database, write-ahead file and log would be of
    /// different moments, and the copy would look tampered with or not open.
    ///
    /// # Errors
    /// See [`Error`]; the directory may then hold a part.
    pub async fn backup(&self, dir: impl AsRef<Path> + Send) -> Result<(), Error> {
        let grant = self.whole::<Backup>().await?.redeem()?;
        let dir = dir.as_ref().to_path_buf();
        grant.inner().vault.backup(&grant, &dir).await
    }

    /// Holds the store against its logs, and each record against the keys.
    ///
    /// # Errors
    /// Where storage or log cannot be read. What they hold is never an error, but a finding.
    pub async fn verify(&self) -> Result<Report, Error> {
        let grant = self.whole::<Verify>().await?.redeem()?;
        grant.inner().vault.verify(&grant).await
    }

    /// The key with which an auditor reads the names in all logs of this store, without opening it:
    /// see `strongroom_audit::export_in_clear`. It is not changed by later changes of seals.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn auditor_key(&self) -> Result<AuditorKey, Error> {
        let grant = self.whole::<ReadAudit>().await?.redeem()?;
        grant.inner().vault.auditor_key(&grant)
    }

    /// Removes what is older than this from the audit log, once all that [`verify`](Self::verify) needs
    /// of it is told by a signed snapshot in the log itself.
    ///
    /// Whole files go, from the oldest on, and logs that have come to their end. Who asked for what is
    /// gone with them; that a secret is rolled back, dropped or forked is found as before. Where a
    /// process dies meanwhile, the next call goes on.
    ///
    /// ```
    /// use std::time::Duration;
    /// use strongroom_core::Principal;
    /// use strongroom_testkit::TestRoom;
    ///
    /// # futures_executor::block_on(async {
    /// let kit = TestRoom::allowing_all();
    /// let auditor = kit.room().session(Principal::user("auditor"));
    /// let pruned = auditor.prune(Duration::from_secs(90 * 86_400)).await;
    /// assert!(pruned.is_ok_and(|pruned| pruned.files == 0)); // nothing is as old as that
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`Error::Unavailable`] where something is wrong with the logs, which are evidence then; where
    /// they, the storage or the anchor cannot be read or written; and where the sink keeps all.
    pub async fn prune(&self, keep: Duration) -> Result<PruneReport, Error> {
        let grant = self.whole::<Prune>().await?.redeem()?;
        grant.inner().vault.prune(&grant, keep).await
    }

    /// Finds out what became of a write, by sending the same bytes again.
    ///
    /// # Errors
    /// [`Error::Indeterminate`] where it still cannot be told.
    pub async fn resolve(&self, write: &Indeterminate) -> Result<WriteOutcome, Error> {
        self.inner.vault.resolve(write).await
    }

    async fn whole<A: Action<Target = WholeStore>>(&self) -> Result<Permit<A>, Error> {
        authorize::<A>(&self.inner, &self.asker(), WholeStore).await
    }
}

/// Takes a secret apart for storage.
fn content<K: SecretKind>(secret: K, options: WriteOptions) -> Result<Content, Error> {
    let (identifiers, value) = secret.into_parts();
    if value.is_empty() && !K::ALLOWS_EMPTY && !options.allow_empty {
        return Err(KindError::Empty.into());
    }
    // The serialiser's message may quote what it was given.
    let identifiers =
        serde_json::to_vec(&identifiers).map_err(|_| KindError::Identifiers(K::KIND))?;
    if identifiers.len() > MAX_IDENTIFIERS {
        return Err(Invalid::TooLarge {
            bytes: identifiers.len(),
            limit: MAX_IDENTIFIERS,
            whose: "the limit on identifiers",
        }
        .into());
    }
    let WriteOptions { stage, annexes, .. } = options;
    Ok(Content { kind: K::KIND.as_str(), identifiers, value, stage, annexes })
}

/// The longest identifiers, as JSON, in bytes.
const MAX_IDENTIFIERS: usize = 256 * 1024;

/// A single try: a lost race is a conflict.
fn once<T>(step: Step<T>) -> Result<T, Error> {
    match step {
        Step::Done(output) => Ok(output),
        Step::Raced => Err(ConflictKind::Contended.into()),
    }
}

impl Permit<Read> {
    /// Reads the version of the permit, from the very head that its record names.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn read<K: SecretKind>(self) -> Result<Versioned<K>, Error> {
        let mut grant = self.redeem()?;
        let inner = grant.inner().clone();
        inner.vault.read(&mut grant).await
    }
}

impl Permit<ReadMetadata> {
    /// What identifies the secret in force, without its value.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn identifiers<K: SecretKind>(self) -> Result<K::Identifiers, Error> {
        let mut grant = self.redeem()?;
        let inner = grant.inner().clone();
        inner.vault.identifiers::<K>(&mut grant).await
    }

    /// All that is known of the secret without its value.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn metadata(self) -> Result<SecretMetadata, Error> {
        let mut grant = self.redeem()?;
        let inner = grant.inner().clone();
        inner.vault.metadata(&mut grant)
    }
}

impl Permit<Write> {
    /// Puts a version. The namespace must exist.
    ///
    /// # Errors
    /// [`NotFound::Namespace`] where it does not; [`Error::Conflict`] where it is not as expected
    /// or somebody else was faster; see [`Error`].
    pub async fn write<K: SecretKind>(
        self,
        secret: K,
        options: impl Into<WriteOptions> + Send,
    ) -> Result<Version, Error> {
        let options = options.into();
        let expected = options.expected;
        let content = content(secret, options)?;
        once(self.put(&content, expected).await?)
    }

    async fn put(self, content: &Content, expected: Expected) -> Result<Step<Version>, Error> {
        let mut grant = self.redeem()?;
        let inner = grant.inner().clone();
        inner.vault.put(&mut grant, content, expected).await
    }
}

impl Permit<CreateNamespace> {
    /// Creates the namespace.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there is one of that name; see [`Error`].
    pub async fn create_namespace(self) -> Result<(), Error> {
        let grant = self.redeem()?;
        grant.inner().vault.create_namespace(&grant).await
    }
}

impl Permit<List> {
    /// Begins the listing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(self) -> Result<Listing, Error> {
        Ok(Listing::new(Vault::walk(self.redeem()?).await?))
    }
}
