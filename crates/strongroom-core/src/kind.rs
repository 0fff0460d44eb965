//! Typed secrets: a kind says which part of a secret is secret, and which only identifies it.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::secret::SecretValue;

/// The stable name of a kind, stored with each secret.
///
/// strongroom's own have no dot. A host's kinds carry one, as in `acme.stripe-key`, so that the
/// two never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName(&'static str);

impl KindName {
    /// The name of a host's own kind: 3 to 64 bytes of `a-z 0-9 - .` with at least one dot inside.
    ///
    /// # Panics
    /// Where the name is not of that form. In a `const` that is a compile error.
    ///
    /// ```
    /// use strongroom_core::KindName;
    /// const STRIPE: KindName = KindName::new("acme.stripe-key");
    /// assert_eq!(STRIPE.as_str(), "acme.stripe-key");
    /// ```
    #[must_use]
    #[expect(clippy::panic, reason = "evaluated by the compiler, where a panic is the error")]
    #[expect(clippy::indexing_slicing, reason = "const code has no iterators; at < len")]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        let (mut at, mut dots) = (0, 0);
        while at < bytes.len() {
            match bytes[at] {
                b'.' => dots += 1,
                b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
                _ => panic!("a kind's name has only a-z 0-9 - and ."),
            }
            at += 1;
        }
        if dots == 0 || bytes[0] == b'.' || bytes[bytes.len() - 1] == b'.' {
            panic!("a host's kind has a dot inside its name, as in `acme.stripe-key`");
        }
        if bytes.len() > 64 {
            panic!("a kind's name has at most 64 bytes");
        }
        Self(name)
    }

    pub(crate) const fn builtin(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Why a stored value is not of the kind that was asked for, or a new one cannot be.
///
/// Never quotes the value.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KindError {
    /// The bytes are not UTF-8, and the kind is text.
    #[error("the value is not UTF-8 text: read it as `Opaque`")]
    NotText,
    /// The value has no bytes, and the kind does not allow that.
    #[error("the value is empty: pass `allow_empty` in the options if that is meant")]
    Empty,
    /// The secret was stored as another kind.
    #[error("the secret is of kind `{stored}`, not `{asked}`: read it as what it is")]
    OtherKind {
        /// The kind it was stored as.
        stored: Box<str>,
        /// The kind it was read as.
        asked: KindName,
    },
    /// The stored identifiers do not have the kind's form.
    #[error("the identifiers do not have the form of kind `{0}`")]
    Identifiers(KindName),
    /// A part of the value is absent or has the wrong form.
    #[error("the value has no well-formed {0}")]
    Part(&'static str),
}

/// A kind of secret: ours, or a host's own.
///
/// `Identifiers` is what is not itself secret: a user name, a key id, a certificate. It is stored
/// encrypted too, and can be read with `read-metadata` alone. It must be `Serialize` and
/// `DeserializeOwned`; secrets are neither, so a secret among the identifiers does not compile.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use strongroom_core::{KindError, KindName, SecretKind, SecretText, SecretValue};
///
/// struct StripeKey { account: String, key: SecretText }
///
/// #[derive(Serialize, Deserialize)]
/// struct StripeAccount { account: String }
///
/// impl SecretKind for StripeKey {
///     const KIND: KindName = KindName::new("acme.stripe-key");
///     type Identifiers = StripeAccount;
///     fn into_parts(self) -> (StripeAccount, SecretValue) {
///         (StripeAccount { account: self.account }, self.key.into())
///     }
///     fn from_parts(ids: StripeAccount, value: SecretValue) -> Result<Self, KindError> {
///         Ok(Self { account: ids.account, key: value.into_text()? })
///     }
/// }
/// ```
pub trait SecretKind: Sized + Send + 'static {
    /// The stored name of the kind.
    const KIND: KindName;
    /// Whether a value without bytes is one of this kind. Otherwise `put` refuses it unless it is
    /// asked for, since an empty password is mostly a mistake.
    const ALLOWS_EMPTY: bool = false;
    /// What identifies the secret and is not secret itself.
    type Identifiers: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Takes the secret apart.
    fn into_parts(self) -> (Self::Identifiers, SecretValue);

    /// Puts it together.
    ///
    /// # Errors
    /// Where the value does not have the kind's form.
    fn from_parts(identifiers: Self::Identifiers, value: SecretValue) -> Result<Self, KindError>;
}
