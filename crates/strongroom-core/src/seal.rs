//! Holders of the key that opens a store: a passphrase, a KMS, an HSM, shares.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{SealId, StoreId};
use crate::secret::SecretValue;
use crate::time::Entropy;

/// What a wrapped key is bound to, and where randomness comes from.
#[derive(Debug, Clone, Copy)]
pub struct KeyContext<'a> {
    /// The store whose root key it is.
    pub store: StoreId,
    /// The seal's id in that store's keyring.
    pub seal: SealId,
    /// The source of randomness.
    pub entropy: &'a dyn Entropy,
}

/// A root key as the keyring holds it: readable by the seal alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// What the seal must know to unwrap: salt and costs, a key's name. At most 1 KiB, not secret.
    pub parameters: Vec<u8>,
    /// The wrapped key. At most 4 KiB.
    pub wrapped: Vec<u8>,
}

/// Why a seal did not wrap or unwrap.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum SealError {
    /// The wrapped key is another seal's, or the passphrase or key is not the right one.
    #[error("the seal does not open this store: {hint}")]
    NotMine {
        /// What may be the reason, without a word of the passphrase.
        hint: &'static str,
    },
    /// The parameters stored beside the wrapped key are outside what this build accepts. Nothing
    /// was derived and no memory taken.
    #[error("the seal's stored parameters are refused: {detail}")]
    Parameters {
        /// Which, and what is accepted.
        detail: Box<str>,
    },
    /// The key holder answered, and refused.
    #[error("the key holder refused: {detail}")]
    Refused {
        /// What it said.
        detail: Box<str>,
    },
    /// The key holder did not answer, or what it needs is not there.
    #[error("the key holder is unavailable: {detail}")]
    Unavailable {
        /// What is missing and what to do.
        detail: Box<str>,
        /// What caused it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// A holder of a key that wraps the root key of a store.
///
/// # Contract
/// `unwrap_key` gives back what `wrap_key` was given, bound to store and seal id; anything else is
/// an error, never other bytes. Parameters that are read are bounded before anything is allocated.
/// Every future makes progress under any executor. `strongroom_testkit::seal` holds a seal to this.
///
/// # Cancellation
/// Both calls can be dropped at any await point.
#[async_trait]
pub trait Seal: Debug + Send + Sync + 'static {
    /// What kind of holder this is: `passphrase`, `aws-kms`. At most 32 bytes of `a-z 0-9 -`.
    fn kind(&self) -> &str;

    /// Wraps a root key.
    ///
    /// # Errors
    /// See [`SealError`].
    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError>;

    /// Unwraps a root key.
    ///
    /// # Errors
    /// See [`SealError`].
    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError>;
}

#[async_trait]
impl<T: Seal + ?Sized> Seal for Arc<T> {
    fn kind(&self) -> &str {
        (**self).kind()
    }
    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        (**self).wrap_key(key, context).await
    }
    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        (**self).unwrap_key(wrapped, context).await
    }
}
