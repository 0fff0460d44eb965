//! What can be done to a secret or a store, by names that policy files freeze.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::path::{Namespace, Prefix, SecretPath, SecretRef, Target, WholeStore};

mod sealed {
    /// Keeps the set of actions closed.
    pub trait Sealed {}
}

/// An action as a type: it fixes what a permit for it is about.
///
/// Sealed: the set of actions is strongroom's. ([`Recover`] is one that no policy can grant.)
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// The stable name.
    const NAME: ActionName;
    /// What the action is done to.
    type Target: Into<Target> + Clone + fmt::Debug + Send + Sync;
}

/// A text that names no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this names no action: see `ActionName` for the names, such as `read` or `write`")]
pub struct UnknownAction;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal on $target:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const NAME: ActionName = ActionName::$name;
                type Target = $target;
            }
        )*

        /// The stable names of actions. Later ones are added, none changes.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ActionName {
            $($(#[$doc])* $name,)*
        }

        impl ActionName {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name as policy files and records write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl FromStr for ActionName {
            type Err = UnknownAction;
            fn from_str(text: &str) -> Result<Self, UnknownAction> {
                match text {
                    $($text => Ok(Self::$name),)*
                    _ => Err(UnknownAction),
                }
            }
        }
    };
}

actions! {
    /// Read the value of a version.
    Read = "read" on SecretRef;
    /// Read metadata and identifiers, not values.
    ReadMetadata = "read-metadata" on SecretPath;
    /// Put a version, in force at once or as `pending`.
    Write = "write" on SecretPath;
    /// Change labels, owner, expiry and the like.
    UpdateMetadata = "update-metadata" on SecretPath;
    /// List paths below a prefix.
    List = "list" on Prefix;
    /// List namespaces.
    ListNamespaces = "list-namespaces" on WholeStore;
    /// Delete a version softly.
    Delete = "delete" on SecretRef;
    /// Bring a softly deleted version back.
    Undelete = "undelete" on SecretRef;
    /// Make a version unreadable for a time.
    Disable = "disable" on SecretRef;
    /// Make a disabled version readable again.
    Enable = "enable" on SecretRef;
    /// Destroy a version for ever.
    Destroy = "destroy" on SecretRef;
    /// Destroy a secret with all versions and metadata; only the version counter stays.
    Purge = "purge" on SecretPath;
    /// Put a version in force. A reference without a version means the pending one.
    Promote = "promote" on SecretRef;
    /// Keep a version from being destroyed until a time.
    Hold = "hold" on SecretRef;
    /// Read the audit log.
    ReadAudit = "read-audit" on WholeStore;
    /// Create a namespace.
    CreateNamespace = "create-namespace" on Namespace;
    /// Destroy a namespace with all its secrets.
    DestroyNamespace = "destroy-namespace" on Namespace;
    /// Give a namespace a new key epoch.
    RotateKeys = "rotate-keys" on Namespace;
    /// Re-encrypt heads under the active epoch and destroy the epochs that are left.
    Rewrap = "rewrap" on Namespace;
    /// Erase blobs that no head names.
    Sweep = "sweep" on Namespace;
    /// Hold the store against its logs.
    Verify = "verify" on WholeStore;
    /// Remove old parts of the audit log.
    Prune = "prune" on WholeStore;
    /// Make a consistent copy.
    Backup = "backup" on WholeStore;
    /// Add, replace or remove seals.
    ManageSeals = "manage-seals" on WholeStore;
    /// Settle what a dead process left open. No policy can grant it.
    Recover = "recover" on WholeStore;
}

impl ActionName {
    /// Whether it is there to take access away: a disk that is full, or a caller that used up its
    /// budget, should not be in its way.
    ///
    /// ```
    /// use strongroom_core::ActionName;
    /// assert!(ActionName::Purge.takes_access_away() && !ActionName::Enable.takes_access_away());
    /// ```
    #[must_use]
    pub const fn takes_access_away(self) -> bool {
        match self {
            Self::Delete
            | Self::Disable
            | Self::Destroy
            | Self::Purge
            | Self::DestroyNamespace
            // Whoever changes the seals may have one to revoke.
            | Self::ManageSeals => true,
            Self::Read
            | Self::ReadMetadata
            | Self::Write
            | Self::UpdateMetadata
            | Self::List
            | Self::ListNamespaces
            | Self::Undelete
            | Self::Enable
            | Self::Promote
            | Self::Hold
            | Self::ReadAudit
            | Self::CreateNamespace
            | Self::RotateKeys
            | Self::Rewrap
            | Self::Sweep
            | Self::Verify
            | Self::Prune
            | Self::Backup
            | Self::Recover => false,
        }
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ActionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
