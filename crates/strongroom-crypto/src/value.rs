//! Values: one call of the cipher under a data key that is used for nothing else.

use std::fmt;

use strongroom_core::{Entropy, EntropyError, SecretValue};
use zeroize::{Zeroize, Zeroizing};

use crate::aead;
use crate::padding::{is_zero, padded_len};
use crate::record::{RecordError, Suite};

/// How much longer a ciphertext is than the padded value, in bytes.
pub const VALUE_OVERHEAD: usize = aead::TAG;

/// The key of one value: random, one per version, and only ever inside a head.
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// A new key.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Self(Box::default());
        entropy.fill(&mut **key.0)?;
        Ok(key)
    }

    /// The key made of these bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self(Box::default());
        **key.0 = *bytes;
        key
    }

    /// Lends the bytes, to be encoded into a head or used by a cipher.
    pub(crate) fn expose<R>(&self, f: impl FnOnce(&[u8; 32]) -> R) -> R {
        f(&self.0)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// Pads and encrypts a value: [`padded_len`] of it and [`VALUE_OVERHEAD`] bytes.
///
/// # Errors
/// `TooLong` beyond what the cipher takes; nothing that strongroom accepts is.
pub fn encrypt_value(
    key: &DataKey,
    nonce: &[u8; 12],
    suite: Suite,
    value: &SecretValue,
) -> Result<Vec<u8>, RecordError> {
    let padded = padded_len(value.len());
    let mut buffer = Vec::with_capacity(padded.saturating_add(VALUE_OVERHEAD));
    // EXPOSE: copied once into the buffer in which it is encrypted.
    value.expose(|bytes| buffer.extend_from_slice(bytes));
    buffer.resize(padded, 0);
    // EXPOSE: the cipher is given its key.
    match key.expose(|key| aead::encrypt(suite, key, nonce, &mut buffer)) {
        Ok(tag) => {
            buffer.extend_from_slice(&tag);
            Ok(buffer)
        }
        Err(aead::Refused) => {
            buffer.zeroize();
            Err(RecordError::TooLong)
        }
    }
}

/// Decrypts a value of `length` bytes in one buffer. The key is lent, as a parsed head lends it.
///
/// # Errors
/// `Damaged` where key, nonce or ciphertext is not the right one, or length or padding is not
/// what [`encrypt_value`] makes.
pub fn decrypt_value(
    key: &[u8; 32],
    nonce: &[u8; 12],
    suite: Suite,
    ciphertext: &[u8],
    length: usize,
) -> Result<SecretValue, RecordError> {
    decrypt_value_parts(key, nonce, suite, &[ciphertext], length)
}

/// Decrypts a value whose ciphertext is in several parts, as a blob is.
///
/// # Errors
/// As [`decrypt_value`].
pub fn decrypt_value_parts(
    key: &[u8; 32],
    nonce: &[u8; 12],
    suite: Suite,
    parts: &[&[u8]],
    length: usize,
) -> Result<SecretValue, RecordError> {
    let total = parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len()));
    if padded_len(length).checked_add(VALUE_OVERHEAD) != Some(total) {
        return Err(RecordError::Damaged);
    }
    let mut buffer = Zeroizing::new(Vec::with_capacity(total));
    for part in parts {
        buffer.extend_from_slice(part);
    }
    let (text, tag) = buffer.split_last_chunk_mut().ok_or(RecordError::Damaged)?;
    aead::decrypt(suite, key, nonce, text, tag).map_err(|aead::Refused| RecordError::Damaged)?;
    if !text.get(length..).is_some_and(is_zero) {
        return Err(RecordError::Damaged);
    }
    buffer.truncate(length);
    Ok(SecretValue::new(std::mem::take(&mut *buffer)))
}
