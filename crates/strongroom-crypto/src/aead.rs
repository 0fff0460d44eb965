//! The two ciphers, in place and with a detached tag.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use crate::record::Suite;

/// The length of a tag, in bytes.
pub(crate) const TAG: usize = 16;

/// The tag is wrong, or the text longer than the cipher takes.
pub(crate) struct Refused;

/// Encrypts the buffer and gives the tag; the associated data are empty everywhere.
pub(crate) fn encrypt(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
) -> Result<[u8; TAG], Refused> {
    let buffer = buffer.into();
    match suite {
        Suite::Aes256Gcm => {
            Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), b"", buffer)
        }
        Suite::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(nonce.into(), b"", buffer)
        }
    }
    .map(Into::into)
    .map_err(|_| Refused)
}

/// Decrypts the buffer if the tag is right. Both ciphers check it before they decrypt, so that a
/// refused buffer still holds the ciphertext.
pub(crate) fn decrypt(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Refused> {
    let (nonce, tag, buffer) = (nonce.into(), tag.into(), buffer.into());
    match suite {
        Suite::Aes256Gcm => {
            Aes256Gcm::new(key.into()).decrypt_inout_detached(nonce, b"", buffer, tag)
        }
        Suite::ChaCha20Poly1305 => {
            ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(nonce, b"", buffer, tag)
        }
    }
    .map_err(|_| Refused)
}
