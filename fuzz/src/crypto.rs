//! Encrypted records and values. Whatever opens under these keys is in the corpus: anything else
//! that opened would be a forgery.

use strongroom_core::StoreId;
use strongroom_crypto::{
    Context, Purpose, RECORD_OVERHEAD, RecordError, RecordKey, Suite, decrypt_value, record_key_id,
};

const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; 12] = [9; 12];
const PLAINTEXT: &[u8] = b"the plaintext of the corpus";

/// A record is refused with a word for why, or holds what was put there.
pub fn record(data: &[u8]) {
    let key = RecordKey::from_bytes(&KEY);
    let context = Context {
        purpose: Purpose::Head,
        store: StoreId::from_bytes([1; 16]),
        parts: &[b"storage key"],
    };
    let opened = key.decrypt(&context, data);
    match &opened {
        Ok(plaintext) => assert_eq!(plaintext.as_slice(), PLAINTEXT),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match record_key_id(data) {
        Ok(id) if id == key.id() => {
            assert!(!matches!(opened, Err(RecordError::UnknownKey(_) | RecordError::UnknownFormat)));
            let elsewhere = Context { parts: &[b"another key"], ..context };
            assert!(matches!(key.decrypt(&elsewhere, data), Err(RecordError::NotYours)));
        }
        Ok(id) => assert!(matches!(opened, Err(RecordError::UnknownKey(asked)) if asked == id)),
        Err(_) if data.len() < RECORD_OVERHEAD => {
            assert!(matches!(opened, Err(RecordError::Damaged)));
        }
        Err(_) => assert!(matches!(opened, Err(RecordError::UnknownFormat))),
    }
}

/// A ciphertext of a value is refused, whatever length the head says, or is what was put there.
pub fn value(data: &[u8]) {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        for length in [0, PLAINTEXT.len(), data.len(), usize::MAX] {
            if let Ok(opened) = decrypt_value(&KEY, &NONCE, suite, data, length) {
                // EXPOSE: held against what the corpus holds.
                assert!(opened.expose(|bytes| bytes == PLAINTEXT));
            }
        }
    }
}
