//! The key that makes a log of pins its host's own.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use strongroom_core::{StoreId, TreeHead};

use crate::certificate::verifies;
use crate::checkpoint::{ED25519, checkpoint_text, write_note};
use crate::note::{is_key_name, write_verifier_key};
use crate::witness::WitnessError;

/// Signs the pins of a [`WitnessAnchor`](crate::WitnessAnchor), for any number of stores.
///
/// Who knows its key can make a witness believe in pins of theirs: keep it where those who can write
/// to the storage, the log and the pins cannot look, as a passphrase is kept. Printed for debugging,
/// it tells its name.
///
/// ```
/// use strongroom_audit::PinSigner;
/// # use strongroom_core::StoreId;
/// # let store = StoreId::from_bytes([0x40; 16]);
///
/// let signer = PinSigner::new("example.com/host-7", &[7; 32])?;
/// let told = signer.verifier_key(store);
/// assert!(told.starts_with("example.com/host-7/40404040404040404040404040404040+"));
/// # Ok::<(), strongroom_audit::WitnessError>(())
/// ```
pub struct PinSigner {
    name: Box<str>,
    key: Box<SigningKey>,
}

impl PinSigner {
    /// Signs under this name, an address without a scheme that no other signer has, by the Ed25519 key
    /// with this seed: 32 random bytes.
    ///
    /// # Errors
    /// `Name` where the name is empty, or has white space, control characters or a plus sign.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, WitnessError> {
        if !is_key_name(name) {
            return Err(WitnessError::Name);
        }
        Ok(Self { name: name.into(), key: Box::new(SigningKey::from_bytes(seed)) })
    }

    /// What the witness is to be told, once for each store: the verifier key of its pins, as
    /// [`verifier_key`](crate::verifier_key) writes those of logs.
    #[must_use]
    pub fn verifier_key(&self, store: StoreId) -> String {
        write_verifier_key(&self.origin(store), ED25519, &self.public_key())
    }

    pub(super) fn origin(&self, store: StoreId) -> String {
        format!("{}/{store}", self.name)
    }

    pub(super) fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(super) fn sign(&self, store: StoreId, head: TreeHead) -> [u8; 64] {
        self.key.sign(checkpoint_text(&self.origin(store), head).as_bytes()).to_bytes()
    }

    pub(super) fn has_signed(&self, store: StoreId, head: TreeHead, signature: &[u8; 64]) -> bool {
        let text = checkpoint_text(&self.origin(store), head);
        verifies(&self.public_key(), text.as_bytes(), signature)
    }

    pub(super) fn note(&self, store: StoreId, head: TreeHead) -> String {
        write_note(&self.origin(store), head, &self.public_key(), &self.sign(store, head))
    }
}

impl fmt::Debug for PinSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinSigner").field("name", &self.name).finish_non_exhaustive()
    }
}
