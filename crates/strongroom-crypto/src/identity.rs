//! The identity of a store: the Ed25519 key that signs its keyring and certifies its logs.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use strongroom_core::{Entropy, EntropyError, StoreId};
use zeroize::Zeroizing;

/// The signing key of a store. Wiped on drop.
///
/// Boxed, so that moving it leaves no copy behind that nothing wipes.
pub struct Identity(Box<SigningKey>);

impl Identity {
    /// A new key.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut *seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed (RFC 8032). The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key that signatures are verified with.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// Whether the signature is that key's on the message, by the strict rules that leave no second
/// signature for one message.
#[must_use]
pub fn verify_signature(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// The id of the store whose keyring is verified with this key:
/// `SHA-256("strongroom/store-id/v1" 00 ‖ key)`, cut to 16 bytes.
#[must_use]
pub fn store_id(public_key: &[u8; 32]) -> StoreId {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(b"strongroom/store-id/v1\0")
        .chain_update(public_key)
        .finalize()
        .into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    StoreId::from_bytes(id)
}
