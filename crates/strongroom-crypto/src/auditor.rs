//! What an auditor is given: enough to read the names in a store's logs, and nothing else.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use strongroom_core::{LogId, SecretText, StoreId};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::audit_keys::AuditKey;
use crate::record::RecordError;

const PREFIX: &str = "strongroom-auditor-key/1/";

/// A text that is no auditor's key. It does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this is no auditor's key: copy the whole text, which begins with `strongroom-auditor-key/1/`"
)]
pub struct AuditorKeyError;

/// The key of a store's auditor. It reads the names in the store's logs, all that were and will be
/// written; it opens no record of the storage and signs nothing.
///
/// ```
/// use strongroom_core::SecretText;
/// use strongroom_crypto::AuditorKey;
///
/// let text = SecretText::new(
///     "strongroom-auditor-key/1/000102030405060708090a0b0c0d0e0f/\
///      AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
///         .to_owned(),
/// );
/// let key = AuditorKey::from_text(&text)?;
/// assert_eq!(key.store().to_string(), "000102030405060708090a0b0c0d0e0f");
/// assert!(key.to_text().ct_eq(&text));
/// # Ok::<(), strongroom_crypto::AuditorKeyError>(())
/// ```
pub struct AuditorKey {
    store: StoreId,
    key: AuditKey,
}

impl AuditorKey {
    /// The auditor's key of a store that has this audit key.
    #[must_use]
    pub fn new(store: StoreId, key: &AuditKey) -> Self {
        Self { store, key: AuditKey::from_bytes(key.secret()) }
    }

    /// The store whose names it reads.
    #[must_use]
    pub const fn store(&self) -> StoreId {
        self.store
    }

    /// The key as text, to be kept by the auditor.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        let key = Zeroizing::new(Base64UrlUnpadded::encode_string(self.key.secret()));
        // Of its final size, so that no shorter copy is left behind.
        let mut text = String::with_capacity(PREFIX.len() + 33 + key.len());
        text.push_str(PREFIX);
        text.push_str(&self.store.to_string());
        text.push('/');
        text.push_str(&key);
        SecretText::new(text)
    }

    /// The key of such a text; line ends behind it are ignored.
    ///
    /// # Errors
    /// Where the text is no key.
    pub fn from_text(text: &SecretText) -> Result<Self, AuditorKeyError> {
        // EXPOSE: read in place into the key, and wiped from the array that it passes through.
        text.expose(|text| {
            let rest = text.trim_end_matches(['\r', '\n']).strip_prefix(PREFIX);
            let (store, encoded) =
                rest.and_then(|rest| rest.split_once('/')).ok_or(AuditorKeyError)?;
            let mut key = Zeroizing::new([0; 32]);
            let length = Base64UrlUnpadded::decode(encoded, &mut *key).map(<[u8]>::len);
            if length != Ok(32) {
                return Err(AuditorKeyError);
            }
            let store = store.parse().map_err(|_| AuditorKeyError)?;
            Ok(Self { store, key: AuditKey::from_bytes(&key) })
        })
    }

    /// A name, as a line of one of the store's logs has it.
    ///
    /// # Errors
    /// As [`AuditKey::decrypt_name`]: where it is of another store or log, or damaged.
    pub fn name(&self, log: LogId, sealed: &[u8]) -> Result<String, RecordError> {
        self.key.decrypt_name(self.store, log, sealed)
    }
}

impl fmt::Debug for AuditorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditorKey({})", self.store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        let whole = AuditorKey::new(StoreId::from_bytes([7; 16]), &AuditKey::from_bytes(&[9; 32]));
        let whole = whole.to_text().expose(str::to_owned);
        assert!(AuditorKey::from_text(&text(&format!("{whole}\r\n"))).is_ok());
        let cut = &whole[..whole.len() - 1];
        let long = format!("{whole}A");
        let spaced = format!(" {whole}");
        let other = whole.replace("/1/", "/2/");
        let shouting = whole.replace("strongroom", "Strongroom");
        for wrong in
            [cut, &long, &spaced, &other, &shouting, "", PREFIX, "strongroom-auditor-key/1//"]
        {
            let error = AuditorKey::from_text(&text(wrong)).unwrap_err();
            assert!(!error.to_string().contains("CQkJ"), "{error}");
        }
    }
}
