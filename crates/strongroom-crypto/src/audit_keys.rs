//! The audit key: tokens that stand for names in the log, and the names themselves, encrypted.

use std::fmt;

use strongroom_core::{Entropy, EntropyError, LogId, StoreId};
use zeroize::Zeroizing;

use crate::accepted::Accepted;
use crate::codec::{NotCanonical, Reader, Writer};
use crate::kdf::Prk;
use crate::padding::{is_zero, padded_len};
use crate::record::{Context, Purpose, RecordError, RecordKey, Suite};

const TOKEN_LABEL: &[u8] = b"strongroom/token/v1\0";

/// A 32-byte key with which an auditor reads all names, and nothing else.
pub struct AuditKey {
    key: RecordKey,
    tokens: Prk,
}

impl AuditKey {
    /// A new key.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        RecordKey::generate(entropy).map(Self::from_record_key)
    }

    /// The key made of these bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self::from_record_key(RecordKey::from_bytes(bytes))
    }

    fn from_record_key(key: RecordKey) -> Self {
        let mut derived = Zeroizing::new([0; 32]);
        key.prk().expand(&[TOKEN_LABEL], &mut *derived);
        Self { key, tokens: Prk::from_bytes(&derived) }
    }

    /// The same key, opening only names of these suites and formats.
    pub(crate) fn accepting(self, accepted: Accepted) -> Self {
        Self { key: self.key.accepting(accepted), tokens: self.tokens }
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.key.prk().secret()
    }

    /// The token of a name of that class: the same in all logs of a store, and in no other store.
    #[must_use]
    pub fn token(&self, class: u8, text: &str) -> [u8; 16] {
        self.tokens.hmac(&[&[class], text.as_bytes()])
    }

    /// Encrypts a name for a log, padded.
    ///
    /// # Errors
    /// Where randomness fails, or the name has more than 65,535 bytes.
    pub fn encrypt_name(
        &self,
        store: StoreId,
        log: LogId,
        suite: Suite,
        name: &str,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, EntropyError> {
        let mut writer = Writer::with_capacity(padded_len(name.len().saturating_add(2)));
        writer.short(name.as_bytes()).map_err(EntropyError::because)?;
        let padded = padded_len(writer.len());
        let mut plaintext = writer.finish();
        plaintext.resize(padded, 0);
        let parts: &[&[u8]] = &[log.as_bytes()];
        let context = Context { purpose: Purpose::AuditName, store, parts };
        self.key.encrypt(suite, &context, &plaintext, entropy).map_err(|error| match error {
            RecordError::Entropy(error) => error,
            error => EntropyError::because(error),
        })
    }

    /// Decrypts a name of a log.
    ///
    /// # Errors
    /// As [`RecordKey::decrypt`], and `Content` where it is no padded text.
    pub fn decrypt_name(
        &self,
        store: StoreId,
        log: LogId,
        sealed: &[u8],
    ) -> Result<String, RecordError> {
        let parts: &[&[u8]] = &[log.as_bytes()];
        let context = Context { purpose: Purpose::AuditName, store, parts };
        let plaintext = self.key.decrypt(&context, sealed)?;
        let mut reader = Reader::new(&plaintext);
        let name = reader.text()?;
        if padded_len(name.len() + 2) != plaintext.len() || !is_zero(reader.rest()) {
            return Err(NotCanonical.into());
        }
        Ok(name.to_owned())
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}
