//! What is stored, after decryption: heads, namespace records, keyrings and storage keys.

use strongroom_crypto::{HeadRef, KeyClass, NamespaceRecord, SealedKeyring, record_key_id};

/// Anything is refused, or keeps its bounds; a head is exactly what the writer would make of it.
pub fn store_records(data: &[u8]) {
    if let Ok(head) = HeadRef::parse(data)
        && let Ok(owned) = head.to_head()
    {
        let again = owned.encode().expect("what was read can be written");
        assert_eq!(*again, data);
    }
    if let Ok(record) = NamespaceRecord::decode(data) {
        assert!(record.generation > 0);
    }
    if let Ok(keyring) = SealedKeyring::parse(data) {
        assert!(keyring.seals().len() <= 16);
    }
    if let Some(KeyClass::Blob(blob)) = KeyClass::parse(data) {
        let head = blob.head_key();
        assert!(matches!(KeyClass::parse(head.as_bytes()), Some(KeyClass::Head { .. })));
    }
    if record_key_id(data).is_ok() {
        assert!(data.len() >= 94);
    }
}
