//! The two ciphers, in place and with a detached tag.

use aes_gcm::aes::Aes256Enc;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use crate::record::Suite;

/// The length of a tag, in bytes.
pub(crate) const TAG: usize = 16;

/// The tag is wrong, or the text longer than the cipher takes.
#[derive(Debug)]
pub(crate) struct Refused;

/// A cipher with its key, ready to use and wiped on drop.
///
/// GCM runs AES forwards only, so the schedule for running it backwards is not computed.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call, or in a box")]
pub(crate) enum Cipher {
    Aes256Gcm(AesGcm<Aes256Enc, U12>),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl Cipher {
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Self {
        match suite {
            Suite::Aes256Gcm => Self::Aes256Gcm(AesGcm::new(key.into())),
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into())),
        }
    }

    /// Encrypts the buffer and gives the tag; the associated data are empty everywhere.
    pub(crate) fn encrypt(
        &self,
        nonce: &[u8; 12],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG], Refused> {
        let (nonce, buffer) = (nonce.into(), buffer.into());
        match self {
            Self::Aes256Gcm(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
            Self::ChaCha20Poly1305(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
        }
        .map(Into::into)
        .map_err(|_| Refused)
    }

    /// Decrypts the buffer if the tag is right. Both ciphers check it before they decrypt, so that
    /// a refused buffer still holds the ciphertext.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8; 12],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Refused> {
        let (nonce, tag, buffer) = (nonce.into(), tag.into(), buffer.into());
        match self {
            Self::Aes256Gcm(cipher) => cipher.decrypt_inout_detached(nonce, b"", buffer, tag),
            Self::ChaCha20Poly1305(cipher) => {
                cipher.decrypt_inout_detached(nonce, b"", buffer, tag)
            }
        }
        .map_err(|_| Refused)
    }
}
