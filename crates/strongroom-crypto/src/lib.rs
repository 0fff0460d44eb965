//! The cryptography of strongroom: how records are encrypted, how names are hidden, which keys
//! exist and what each is for.
//!
//! A [seal](strongroom_core::Seal) wraps the root key. The root key encrypts the body of the
//! [`Keyring`] and the [`NamespaceRecord`]s; an epoch key of a namespace encrypts its heads; a
//! [`DataKey`], which is only ever inside a head, encrypts one value. One construction encrypts
//! every record ([`RecordKey`]); `FORMAT.md` has the bytes, with a vector
//! for a second implementation.
//!
//! Nothing here does I/O, keeps a store or knows a policy. Randomness comes from
//! [`Entropy`](strongroom_core::Entropy) alone. Keys are wiped when their last holder drops them;
//! none is printed, and none is given out but to a seal.
//!
//! ```
//! use strongroom_core::{Entropy, EntropyError, StoreId};
//! use strongroom_crypto::{Context, Purpose, RecordError, RecordKey, Suite};
//!
//! #[derive(Debug)]
//! struct NotRandom;
//! impl Entropy for NotRandom {
//!     fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
//!         buffer.fill(7); // a real source gives bytes that nobody can predict
//!         Ok(())
//!     }
//! }
//!
//! let key = RecordKey::generate(&NotRandom)?;
//! let here = Context {
//!     purpose: Purpose::Head,
//!     store: StoreId::from_bytes([1; 16]),
//!     parts: &[b"storage key"],
//! };
//! let record = key.encrypt(Suite::Aes256Gcm, &here, b"plaintext", &NotRandom)?;
//! assert_eq!(*key.decrypt(&here, &record)?, b"plaintext");
//!
//! let elsewhere = Context { parts: &[b"another key"], ..here };
//! assert!(matches!(key.decrypt(&elsewhere, &record), Err(RecordError::NotYours)));
//! # Ok::<(), RecordError>(())
//! ```

mod accepted;
mod aead;
mod audit_keys;
mod auditor;
mod codec;
mod head;
mod identity;
mod kdf;
mod keyring;
mod lineage;
mod names;
mod namespace;
mod padding;
mod passphrase;
mod record;
mod value;

pub use accepted::{Accepted, Format};
pub use audit_keys::AuditKey;
pub use auditor::{AuditorKey, AuditorKeyError};
pub use codec::NotCanonical;
pub use head::{
    BlobRef, Head, HeadBase, HeadRef, HoldEntry, Identifiers, LiveHead, LiveRef, MAX_ANNEX_BYTES,
    MAX_HEAD_BYTES, MAX_HEAD_VERSIONS, MAX_INLINE_BYTES, MAX_INLINE_IDENTIFIERS, Place, Stages,
    ValueSlot, VersionEntry, VersionRef,
};
pub use identity::{Identity, store_id, verify_signature};
pub use kdf::digest;
pub use keyring::{Keyring, KeyringError, SealEntry, SealedKeyring};
pub use lineage::{Lineage, RECENT_WRITES};
pub use names::{
    BlobKey, KeyClass, NameKey, NamespaceId, blob_key, blob_prefix, blobs_of, head_key,
    head_prefix, heads_of, keyring_key, log_registry_key, log_registry_prefix, namespace_key,
    namespaces_prefix,
};
pub use namespace::{Epoch, MAX_ERASING, MAX_LEAVING_EPOCHS, NamespaceRecord, NamespaceState};
pub use padding::padded_len;
pub use passphrase::{
    Argon2Cost, MAX_PASSPHRASE_BYTES, Passphrase, PassphraseBytes, trim_one_line_end,
};
pub use record::{
    Context, KeyId, Purpose, RECORD_OVERHEAD, RecordError, RecordKey, RecordOpener, Suite,
    record_key_id,
};
pub use value::{DataKey, VALUE_OVERHEAD, decrypt_value, decrypt_value_parts, encrypt_value};
