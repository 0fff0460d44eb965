//! The same names for callers without a runtime: each call waits on the calling thread.

use std::path::Path;
use std::time::Duration;

use strongroom_audit::Report;
use strongroom_core::{
    Action, CreateNamespace, Delete, Destroy, Disable, Enable, Expected, HoldMetadata, List, LogId,
    MetadataUpdate, Names, Namespace, Prefix, Principal, Promote, Read, ReadMetadata, Receipt,
    RequestContext, Seal, SecretKind, SecretMetadata, SecretPath, SecretRef, StoreId, TreeHead,
    Undelete, Version, Write,
};
use strongroom_crypto::AuditorKey;

use crate::error::{Error, Indeterminate, WriteOutcome};
use crate::future::block_on;
use crate::vault::{Child, Freshness, PruneReport, RewrapReport, SweepReport, Versioned};
use crate::write_options::WriteOptions;

/// A store that is complete and not open yet.
#[must_use]
#[derive(Debug)]
pub struct Builder(crate::builder::Builder);

impl Builder {
    pub(crate) fn new(builder: crate::builder::Builder) -> Self {
        Self(builder)
    }

    /// See [`Builder::open`](crate::Builder::open).
    ///
    /// # Errors
    /// As there.
    pub fn open(self) -> Result<Strongroom, Error> {
        block_on(self.0.open()).map(Strongroom)
    }

    /// See [`Builder::create`](crate::Builder::create).
    ///
    /// # Errors
    /// As there.
    pub fn create(self) -> Result<Strongroom, Error> {
        block_on(self.0.create()).map(Strongroom)
    }

    /// See [`Builder::open_or_create`](crate::Builder::open_or_create).
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(self) -> Result<Strongroom, Error> {
        block_on(self.0.open_or_create()).map(Strongroom)
    }

    /// See [`Builder::sealed`](crate::Builder::sealed).
    ///
    /// # Errors
    /// As there.
    pub fn sealed(self) -> Result<SealedStrongroom, Error> {
        block_on(self.0.sealed()).map(SealedStrongroom)
    }
}

/// An open store. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Strongroom(crate::room::Strongroom);

impl Strongroom {
    pub(crate) fn new(room: crate::room::Strongroom) -> Self {
        Self(room)
    }

    /// A session for a caller, whom the host has authenticated.
    #[must_use]
    pub fn session(&self, principal: Principal) -> Session {
        Session(self.0.session(principal))
    }

    /// Which store this is.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.0.id()
    }

    /// The audit log that this open of the store writes.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.0.log()
    }

    /// See [`Strongroom::warnings`](crate::Strongroom::warnings).
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings()
    }

    /// See [`Strongroom::invalidate`](crate::Strongroom::invalidate).
    ///
    /// # Errors
    /// As there.
    pub fn invalidate(&self, path: impl Names<SecretPath>) -> Result<(), Error> {
        self.0.invalidate(path)
    }

    /// See [`Strongroom::checkpoint`](crate::Strongroom::checkpoint).
    ///
    /// # Errors
    /// As there.
    pub fn checkpoint(&self) -> Result<TreeHead, Error> {
        block_on(self.0.checkpoint())
    }

    /// See [`Strongroom::seal`](crate::Strongroom::seal).
    #[must_use]
    pub fn seal(self) -> SealedStrongroom {
        SealedStrongroom(self.0.seal())
    }

    /// See [`Strongroom::close`](crate::Strongroom::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<(), Error> {
        block_on(self.0.close())
    }
}

/// A store whose keys are wiped, or were never there.
#[derive(Debug)]
pub struct SealedStrongroom(crate::room::SealedStrongroom);

impl SealedStrongroom {
    /// See [`SealedStrongroom::unseal`](crate::SealedStrongroom::unseal).
    ///
    /// # Errors
    /// As there.
    pub fn unseal(self, seal: impl Seal) -> Result<Strongroom, (Self, Error)> {
        match block_on(self.0.unseal(seal)) {
            Ok(room) => Ok(Strongroom(room)),
            Err((sealed, error)) => Err((Self(sealed), error)),
        }
    }
}

/// A caller's view of the store.
#[derive(Clone, Debug)]
pub struct Session(crate::session::Session);

macro_rules! waits {
    ($($(#[$doc:meta])* fn $name:ident $(<$kind:ident>)? ($($arg:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Session {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// As the method of the same name of [`Session`](crate::Session).
                pub fn $name $(<$kind: SecretKind>)? (&self, $($arg: $type),*) -> Result<$output, Error> {
                    block_on(self.0.$name $(::<$kind>)? ($($arg),*))
                }
            )*
        }
    };
}

waits! {
    /// Changes labels, owner, expiry and rules.
    fn update_metadata(path: impl Names<SecretPath>, update: MetadataUpdate) -> ();
    /// Changes metadata only if what is there is what was expected.
    fn update_metadata_with(path: impl Names<SecretPath>, update: MetadataUpdate, expected: impl Into<Expected> + Send) -> ();
    /// Keeps a version from being destroyed until a time.
    fn hold(secret: impl Names<SecretRef>, hold: HoldMetadata) -> Version;
    /// Deletes a version softly.
    fn delete(secret: impl Names<SecretRef>) -> Version;
    /// Deletes a version softly only if what is there is what was expected.
    fn delete_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Brings a softly deleted version back.
    fn undelete(secret: impl Names<SecretRef>) -> Version;
    /// Brings a softly deleted version back only if what is there is what was expected.
    fn undelete_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Makes a version unreadable for a time.
    fn disable(secret: impl Names<SecretRef>) -> Version;
    /// Makes a version unreadable only if what is there is what was expected.
    fn disable_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Makes a disabled version readable again.
    fn enable(secret: impl Names<SecretRef>) -> Version;
    /// Makes a disabled version readable only if what is there is what was expected.
    fn enable_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Destroys a version for ever.
    fn destroy(secret: impl Names<SecretRef>) -> Version;
    /// Destroys a version only if what is there is what was expected.
    fn destroy_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Puts a version in force; without a version, the pending one.
    fn promote(secret: impl Names<SecretRef>) -> Version;
    /// Puts a version in force only if what is there is what was expected.
    fn promote_with(secret: impl Names<SecretRef>, expected: impl Into<Expected> + Send) -> Version;
    /// Destroys a secret with all its versions and metadata.
    fn purge(path: impl Names<SecretPath>) -> ();
    /// Purges only if what is there is what was expected.
    fn purge_with(path: impl Names<SecretPath>, expected: impl Into<Expected> + Send) -> ();
    /// All that is known of a secret without its value.
    fn metadata(path: impl Names<SecretPath>) -> SecretMetadata;
    /// The names one level below a prefix, sorted.
    fn list_level(prefix: impl Names<Prefix>) -> Vec<Child>;
    /// The namespaces that exist, sorted.
    fn list_namespaces() -> Vec<Namespace>;
    /// Creates a namespace with keys of its own.
    fn create_namespace(namespace: impl Names<Namespace>) -> ();
    /// Destroys a namespace: its keys at once, then its records.
    fn destroy_namespace(namespace: impl Names<Namespace>) -> ();
    /// Gives a namespace a new key epoch.
    fn rotate_keys(namespace: impl Names<Namespace>) -> ();
    /// Re-encrypts heads under the active epoch, and destroys the epochs that are left.
    fn rewrap(namespace: impl Names<Namespace>) -> RewrapReport;
    /// Erases blobs that no head names, and what is left of destroyed namespaces.
    fn sweep(namespace: impl Names<Namespace>) -> SweepReport;
    /// Makes a consistent copy in a new or empty directory.
    fn backup(dir: impl AsRef<Path> + Send) -> ();
    /// Holds the store against its logs, and each record against the keys.
    fn verify() -> Report;
    /// The key with which an auditor reads the names in all logs of this store.
    fn auditor_key() -> AuditorKey;
    /// Removes what is older than this from the audit log, once a snapshot tells what `verify` needs.
    fn prune(keep: Duration) -> PruneReport;
    /// Finds out what became of a write.
    fn resolve(write: &Indeterminate) -> WriteOutcome;
}

impl Session {
    /// The same session for one request of the host's.
    #[must_use]
    pub fn with_context(self, context: RequestContext) -> Self {
        Self(self.0.with_context(context))
    }

    /// The same session with another limit on the age of what it reads.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness) -> Self {
        Self(self.0.with_freshness(freshness))
    }

    /// Who asks.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.0.principal()
    }

    /// Asks for leave to do one thing, ahead of doing it.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn authorize<A: Action>(&self, target: impl Names<A::Target>) -> Result<Permit<A>, Error> {
        block_on(self.0.authorize(target)).map(Permit)
    }

    /// The secret in force, or at a version or stage.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn get<K: SecretKind>(&self, secret: impl Names<SecretRef>) -> Result<K, Error> {
        block_on(self.0.get(secret))
    }

    /// The same with its version and age.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn read<K: SecretKind>(
        &self,
        secret: impl Names<SecretRef>,
    ) -> Result<Versioned<K>, Error> {
        block_on(self.0.read(secret))
    }

    /// Many secrets: a decision and a record each, one append for all.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn get_many<K: SecretKind>(
        &self,
        paths: &[SecretPath],
    ) -> Result<Vec<Result<Versioned<K>, Error>>, Error> {
        block_on(self.0.get_many(paths))
    }

    /// Puts a version in force, whatever is there.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn put<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
        secret: K,
    ) -> Result<Version, Error> {
        block_on(self.0.put(path, secret))
    }

    /// Puts a version as the options say.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn put_with<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
        secret: K,
        options: impl Into<WriteOptions> + Send,
    ) -> Result<Version, Error> {
        block_on(self.0.put_with(path, secret, options))
    }

    /// What identifies the secret in force, without its value.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn identifiers<K: SecretKind>(
        &self,
        path: impl Names<SecretPath>,
    ) -> Result<K::Identifiers, Error> {
        block_on(self.0.identifiers::<K>(path))
    }

    /// All paths below a prefix that the caller may list, sorted.
    ///
    /// # Errors
    /// As the method of the same name of [`Session`](crate::Session).
    pub fn list(&self, prefix: impl Names<Prefix>) -> Result<Vec<SecretPath>, Error> {
        block_on(async { self.0.list(prefix).await?.sorted().await })
    }
}

/// Leave to do one thing to one target, once. See [`Permit`](crate::Permit).
#[must_use = "a permit does nothing until it is used"]
#[derive(Debug)]
pub struct Permit<A: Action>(crate::Permit<A>);

impl<A: Action> Permit<A> {
    /// What the permit is about.
    #[must_use]
    pub fn target(&self) -> &A::Target {
        self.0.target()
    }

    /// The audit record of the decision.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        self.0.receipt()
    }
}

impl Permit<Read> {
    /// Reads the version of the permit.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn read<K: SecretKind>(self) -> Result<Versioned<K>, Error> {
        block_on(self.0.read())
    }
}

impl Permit<ReadMetadata> {
    /// What identifies the secret in force, without its value.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn identifiers<K: SecretKind>(self) -> Result<K::Identifiers, Error> {
        block_on(self.0.identifiers::<K>())
    }

    /// All that is known of the secret without its value.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn metadata(self) -> Result<SecretMetadata, Error> {
        self.0.metadata()
    }
}

impl Permit<Write> {
    /// Puts a version. The namespace must exist.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn write<K: SecretKind>(
        self,
        secret: K,
        options: impl Into<WriteOptions> + Send,
    ) -> Result<Version, Error> {
        block_on(self.0.write(secret, options))
    }
}

impl Permit<CreateNamespace> {
    /// Creates the namespace.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn create_namespace(self) -> Result<(), Error> {
        block_on(self.0.create_namespace())
    }
}

impl Permit<List> {
    /// Begins the listing.
    ///
    /// # Errors
    /// As the method of the same name of [`Permit`](crate::Permit).
    pub fn list(self) -> Result<Listing, Error> {
        block_on(self.0.list()).map(Listing)
    }
}

macro_rules! version_permits {
    ($($name:ident: $action:ty;)*) => {
        $(impl Permit<$action> {
            /// See the method of the same name of [`Permit`](crate::Permit).
            ///
            /// # Errors
            /// As there.
            pub fn $name(self, expected: Expected) -> Result<Version, Error> {
                block_on(self.0.$name(expected))
            }
        })*
    };
}

version_permits! {
    delete: Delete;
    undelete: Undelete;
    disable: Disable;
    enable: Enable;
    destroy: Destroy;
    promote: Promote;
}

/// A listing under way.
#[derive(Debug)]
pub struct Listing(crate::listing::Listing);

impl Listing {
    /// The next paths, in no order; `None` at the end.
    ///
    /// # Errors
    /// As the method of the same name of [`Listing`](crate::Listing).
    pub fn next_page(&mut self) -> Result<Option<Vec<SecretPath>>, Error> {
        block_on(self.0.next_page())
    }

    /// All that is left, sorted.
    ///
    /// # Errors
    /// As the method of the same name of [`Listing`](crate::Listing).
    pub fn sorted(self) -> Result<Vec<SecretPath>, Error> {
        block_on(self.0.sorted())
    }
}
