//! What ties a log to its store: the certificate of the log's key, and the signature that ends it.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use strongroom_core::{LogId, StoreId, Timestamp, TreeHead};

use crate::line::OpenLine;

/// The id of the store whose records are verified with this Ed25519 key.
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

/// What the store's identity key signs to certify a log's own key:
/// `"strongroom/log-certificate/v1" 00 ‖ store id ‖ log id ‖ key`.
#[must_use]
pub fn certificate_message(store: StoreId, log: LogId, key: &[u8; 32]) -> Vec<u8> {
    let mut message = b"strongroom/log-certificate/v1\0".to_vec();
    message.extend_from_slice(store.as_bytes());
    message.extend_from_slice(log.as_bytes());
    message.extend_from_slice(key);
    message
}

/// The name of a log: `strongroom/<store id>/<log id>`.
#[must_use]
pub fn origin(store: StoreId, log: LogId) -> String {
    format!("strongroom/{store}/{log}")
}

/// What a log's own key signs at its end:
/// `"strongroom/log-close/v1" 00 ‖ origin ‖ 00 ‖ time in milliseconds u64 ‖ size u64 ‖ root ‖
/// registered u64`. No leaf covers the last line, so that all of it is signed.
pub(crate) fn close_message(
    origin: &str,
    at: Timestamp,
    head: TreeHead,
    registered: u64,
) -> Vec<u8> {
    let mut message = b"strongroom/log-close/v1\0".to_vec();
    message.extend_from_slice(origin.as_bytes());
    message.push(0);
    message.extend_from_slice(&at.as_millis().to_be_bytes());
    message.extend_from_slice(&head.size.to_be_bytes());
    message.extend_from_slice(head.root.as_bytes());
    message.extend_from_slice(&registered.to_be_bytes());
    message
}

/// Whether the store's key certified the log's key, and the store is named after its key.
pub(crate) fn is_certified(open: &OpenLine) -> bool {
    let message = certificate_message(open.store, open.log, &open.log_key);
    store_id(&open.store_key) == open.store
        && verifies(&open.store_key, &message, &open.certificate)
}

pub(crate) fn verifies(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}
