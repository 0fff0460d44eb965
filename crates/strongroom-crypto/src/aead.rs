//! The two ciphers, in place and with a detached tag.

use aes_gcm::aes::Aes256Enc;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::zeroize_stack;

use crate::record::Suite;

/// The length of a tag, in bytes.
pub(crate) const TAG: usize = 16;

/// How many bytes of the stack are wiped below a call of a cipher. The ciphers work on up to eight
/// blocks at a time and leave the last ones there, where the compiler did not keep them in
/// registers. Frames are larger without optimisation; `tests/residue.rs` and the bar `plaintext` see
/// whether this suffices.
const STACK: usize = if cfg!(debug_assertions) { 16 * 1024 } else { 1024 };

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
    /// A cipher that is kept, in its box. What comes by on the stack is wiped.
    pub(crate) fn boxed(suite: Suite, key: &[u8; 32]) -> Box<Self> {
        let cipher = boxed_below(suite, key);
        zeroize_stack::<STACK>();
        cipher
    }

    /// As [`decrypt`], under a key that is ready.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8; 12],
        buffer: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Refused> {
        let opened = self.decrypt_below(nonce, buffer, tag);
        zeroize_stack::<STACK>();
        opened
    }

    fn new(suite: Suite, key: &[u8; 32]) -> Self {
        match suite {
            Suite::Aes256Gcm => Self::Aes256Gcm(AesGcm::new(key.into())),
            Suite::ChaCha20Poly1305 => Self::ChaCha20Poly1305(ChaCha20Poly1305::new(key.into())),
        }
    }

    // INVARIANT: never inlined, as its likes: what is wiped is the stack below the caller's frame.
    #[inline(never)]
    fn decrypt_below(
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

/// Encrypts the buffer and gives the tag; the associated data are empty everywhere.
pub(crate) fn encrypt(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
) -> Result<[u8; TAG], Refused> {
    let sealed = encrypt_below(suite, key, nonce, buffer);
    zeroize_stack::<STACK>();
    sealed
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
    let opened = decrypt_below(suite, key, nonce, buffer, tag);
    zeroize_stack::<STACK>();
    opened
}

#[inline(never)]
fn boxed_below(suite: Suite, key: &[u8; 32]) -> Box<Cipher> {
    Box::new(Cipher::new(suite, key))
}

#[inline(never)]
fn encrypt_below(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
) -> Result<[u8; TAG], Refused> {
    let (nonce, buffer) = (nonce.into(), buffer.into());
    match Cipher::new(suite, key) {
        Cipher::Aes256Gcm(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
        Cipher::ChaCha20Poly1305(cipher) => cipher.encrypt_inout_detached(nonce, b"", buffer),
    }
    .map(Into::into)
    .map_err(|_| Refused)
}

#[inline(never)]
fn decrypt_below(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; 12],
    buffer: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Refused> {
    Cipher::new(suite, key).decrypt_below(nonce, buffer, tag)
}
