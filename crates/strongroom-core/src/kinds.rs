//! The kinds that come with strongroom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kind::{KindError, KindName, SecretKind};
use crate::secret::{SecretText, SecretValue};

/// Identifiers of a kind that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoIdentifiers {}

macro_rules! text_kind {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accessor:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(SecretText);

        impl $name {
            /// Takes the text.
            #[must_use]
            pub fn new(text: impl Into<SecretText>) -> Self {
                Self(text.into())
            }

            /// The secret text.
            #[must_use]
            pub fn $accessor(&self) -> &SecretText {
                &self.0
            }
        }

        impl SecretKind for $name {
            const KIND: KindName = KindName::builtin($kind);
            type Identifiers = NoIdentifiers;
            fn into_parts(self) -> (NoIdentifiers, SecretValue) {
                (NoIdentifiers {}, self.0.into())
            }
            fn from_parts(_: NoIdentifiers, value: SecretValue) -> Result<Self, KindError> {
                value.into_text().map(Self)
            }
        }
    };
}

text_kind! {
    /// A password without a user name.
    ///
    /// ```
    /// use strongroom_core::Password;
    /// assert_eq!(Password::new("s3cr3t").password().len(), 6);
    /// ```
    Password, "password", password
}

text_kind! {
    /// A bearer token.
    ///
    /// ```
    /// use strongroom_core::Token;
    /// assert_eq!(Token::new("tok-7Yq").token().len(), 7);
    /// ```
    Token, "token", token
}

/// A user name and its password. The user name is an identifier.
///
/// ```
/// use strongroom_core::Credential;
/// let db = Credential::new("billing_rw", "s3cr3t");
/// assert_eq!(db.username(), "billing_rw");
/// assert_eq!(format!("{db:?}"), "Credential { username: \"billing_rw\", password: SecretText }");
/// ```
#[derive(Debug)]
pub struct Credential {
    username: String,
    password: SecretText,
}

/// What identifies a [`Credential`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CredentialIdentifiers {
    /// The user name.
    pub username: String,
}

impl Credential {
    /// A user name with its password.
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<SecretText>) -> Self {
        Self { username: username.into(), password: password.into() }
    }

    /// The user name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &SecretText {
        &self.password
    }
}

impl SecretKind for Credential {
    const KIND: KindName = KindName::builtin("credential");
    type Identifiers = CredentialIdentifiers;
    fn into_parts(self) -> (CredentialIdentifiers, SecretValue) {
        (CredentialIdentifiers { username: self.username }, self.password.into())
    }
    fn from_parts(ids: CredentialIdentifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { username: ids.username, password: value.into_text()? })
    }
}

/// An API key, with the public id that some issuers give it.
///
/// ```
/// use strongroom_core::ApiKey;
/// let key = ApiKey::new("sk_live_x").with_key_id("AKIA1");
/// assert_eq!(key.key_id(), Some("AKIA1"));
/// ```
#[derive(Debug)]
pub struct ApiKey {
    key_id: Option<String>,
    key: SecretText,
}

/// What identifies an [`ApiKey`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiKeyIdentifiers {
    /// The issuer's public id of the key.
    pub key_id: Option<String>,
}

impl ApiKey {
    /// A key without a public id.
    #[must_use]
    pub fn new(key: impl Into<SecretText>) -> Self {
        Self { key_id: None, key: key.into() }
    }

    /// The same key with its public id.
    #[must_use]
    pub fn with_key_id(self, key_id: impl Into<String>) -> Self {
        Self { key_id: Some(key_id.into()), ..self }
    }

    /// The issuer's public id of the key.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SecretText {
        &self.key
    }
}

impl SecretKind for ApiKey {
    const KIND: KindName = KindName::builtin("api-key");
    type Identifiers = ApiKeyIdentifiers;
    fn into_parts(self) -> (ApiKeyIdentifiers, SecretValue) {
        (ApiKeyIdentifiers { key_id: self.key_id }, self.key.into())
    }
    fn from_parts(ids: ApiKeyIdentifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { key_id: ids.key_id, key: value.into_text()? })
    }
}

/// Key bytes with the name of the algorithm that they are for.
///
/// ```
/// use strongroom_core::EncryptionKey;
/// let key = EncryptionKey::new("aes-256-gcm", vec![7; 32]);
/// assert_eq!((key.algorithm(), key.key().len()), ("aes-256-gcm", 32));
/// ```
#[derive(Debug)]
pub struct EncryptionKey {
    algorithm: String,
    key: SecretValue,
}

/// What identifies an [`EncryptionKey`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EncryptionKeyIdentifiers {
    /// The name of the algorithm.
    pub algorithm: String,
}

impl EncryptionKey {
    /// Key bytes for an algorithm.
    #[must_use]
    pub fn new(algorithm: impl Into<String>, key: impl Into<SecretValue>) -> Self {
        Self { algorithm: algorithm.into(), key: key.into() }
    }

    /// The name of the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SecretValue {
        &self.key
    }
}

impl SecretKind for EncryptionKey {
    const KIND: KindName = KindName::builtin("encryption-key");
    type Identifiers = EncryptionKeyIdentifiers;
    fn into_parts(self) -> (EncryptionKeyIdentifiers, SecretValue) {
        (EncryptionKeyIdentifiers { algorithm: self.algorithm }, self.key)
    }
    fn from_parts(ids: EncryptionKeyIdentifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { algorithm: ids.algorithm, key: value })
    }
}

/// A certificate chain (PEM, public, an identifier) and its private key (PEM or DER, secret).
///
/// ```
/// use strongroom_core::Certificate;
/// let tls = Certificate::new("-----BEGIN CERTIFICATE-----…", b"key");
/// assert!(tls.chain_pem().starts_with("-----BEGIN"));
/// ```
#[derive(Debug)]
pub struct Certificate {
    chain_pem: String,
    private_key: SecretValue,
}

/// What identifies a [`Certificate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CertificateIdentifiers {
    /// The chain, leaf first, as PEM text.
    pub chain_pem: String,
}

impl Certificate {
    /// A chain with the private key of its leaf.
    #[must_use]
    pub fn new(chain_pem: impl Into<String>, private_key: impl Into<SecretValue>) -> Self {
        Self { chain_pem: chain_pem.into(), private_key: private_key.into() }
    }

    /// The chain, leaf first, as PEM text.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key.
    #[must_use]
    pub fn private_key(&self) -> &SecretValue {
        &self.private_key
    }
}

impl SecretKind for Certificate {
    const KIND: KindName = KindName::builtin("certificate");
    type Identifiers = CertificateIdentifiers;
    fn into_parts(self) -> (CertificateIdentifiers, SecretValue) {
        (CertificateIdentifiers { chain_pem: self.chain_pem }, self.private_key)
    }
    fn from_parts(ids: CertificateIdentifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { chain_pem: ids.chain_pem, private_key: value })
    }
}

/// The value of an environment variable, with the variable's name.
///
/// An empty value is one: a variable may be set to nothing.
///
/// ```
/// use strongroom_core::EnvironmentVariable;
/// let variable = EnvironmentVariable::new("DATABASE_URL", "postgres://…");
/// assert_eq!(variable.name(), "DATABASE_URL");
/// ```
pub struct EnvironmentVariable {
    name: String,
    value: SecretText,
}

/// What identifies an [`EnvironmentVariable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EnvironmentVariableIdentifiers {
    /// The name of the variable.
    pub name: String,
}

impl EnvironmentVariable {
    /// A variable and its value.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<SecretText>) -> Self {
        Self { name: name.into(), value: value.into() }
    }

    /// The name of the variable.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of the variable.
    #[must_use]
    pub fn value(&self) -> &SecretText {
        &self.value
    }
}

impl fmt::Debug for EnvironmentVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentVariable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SecretKind for EnvironmentVariable {
    const KIND: KindName = KindName::builtin("environment-variable");
    const ALLOWS_EMPTY: bool = true;
    type Identifiers = EnvironmentVariableIdentifiers;
    fn into_parts(self) -> (EnvironmentVariableIdentifiers, SecretValue) {
        (EnvironmentVariableIdentifiers { name: self.name }, self.value.into())
    }
    fn from_parts(
        ids: EnvironmentVariableIdentifiers,
        value: SecretValue,
    ) -> Result<Self, KindError> {
        Ok(Self { name: ids.name, value: value.into_text()? })
    }
}

/// Any bytes, none included.
///
/// ```
/// use strongroom_core::Opaque;
/// assert_eq!(Opaque::new(b"\xff\x00").value().len(), 2);
/// ```
#[derive(Debug)]
pub struct Opaque(SecretValue);

impl Opaque {
    /// Takes the bytes.
    #[must_use]
    pub fn new(value: impl Into<SecretValue>) -> Self {
        Self(value.into())
    }

    /// The bytes.
    #[must_use]
    pub fn value(&self) -> &SecretValue {
        &self.0
    }

    /// The bytes, to keep.
    #[must_use]
    pub fn into_value(self) -> SecretValue {
        self.0
    }
}

impl SecretKind for Opaque {
    const KIND: KindName = KindName::builtin("opaque");
    const ALLOWS_EMPTY: bool = true;
    type Identifiers = NoIdentifiers;
    fn into_parts(self) -> (NoIdentifiers, SecretValue) {
        (NoIdentifiers {}, self.0)
    }
    fn from_parts(_: NoIdentifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self(value))
    }
}
