//! What is stored, encrypted and after decryption: records, heads, namespace records, keyrings and
//! storage keys; and passphrases as they are read.

use std::io::{self, Read};

use strongroom_core::{Entropy, EntropyError, Key, LogId, SecretText, SecretValue, StoreId};
use strongroom_crypto::{
    AuditKey, AuditorKey, Context, HeadRef, Identity, KeyClass, KeyringError, MAX_PASSPHRASE_BYTES,
    NamespaceRecord, Passphrase, Purpose, RECORD_OVERHEAD, RecordError, RecordKey, SealedKeyring,
    Suite, digest, record_key_id, store_id, trim_one_line_end,
};

/// The salt and nonce of the format's vectors, each time: the same content is the same record.
#[derive(Debug)]
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for (byte, value) in buffer.iter_mut().zip((0x10..0x28).chain(0x30..0x3c)) {
            *byte = value;
        }
        Ok(())
    }
}

/// The key of the vectors, 00…1f.
fn key_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
    bytes
}

/// The seed of the vectors' identity, 60…7f.
fn identity() -> Identity {
    Identity::from_seed(&key_bytes().map(|byte| byte + 0x60))
}

/// Anything is refused, or is exactly what the writer would make of it.
pub fn store_records(data: &[u8]) {
    if let Ok(head) = HeadRef::parse(data)
        && let Ok(owned) = head.to_head()
    {
        let again = owned.encode().expect("what was read can be written");
        assert_eq!(*again, data);
    }
    if let Ok(record) = NamespaceRecord::decode(data) {
        let again = record.encode().expect("what was read can be written");
        assert_eq!(*again, data);
    }
    keyring(data);
    if let Some(KeyClass::Blob(blob)) = KeyClass::parse(data) {
        let head = blob.head_key();
        assert!(matches!(KeyClass::parse(head.as_bytes()), Some(KeyClass::Head { .. })));
    }
    if record_key_id(data).is_ok() {
        assert!(data.len() >= RECORD_OVERHEAD);
    }
}

/// A keyring is refused, or opens and is written again as it was.
fn keyring(data: &[u8]) {
    let Ok(sealed) = SealedKeyring::parse(data) else { return };
    assert!(sealed.seals().len() <= 16);
    match sealed.open(&SecretValue::copied_from(&key_bytes())) {
        // The salt and nonce of its body may have been others: then only the length is the same.
        Ok(keyring) => {
            let again = keyring.encode(&Fixed).expect("what was read can be written");
            assert_eq!(again.len(), data.len());
            assert!(keyring.accepted.suite(keyring.suite));
        }
        Err(error) => assert!(!matches!(error, KeyringError::Checksum | KeyringError::Signature)),
    }
}

/// The first byte chooses; the rest is a record, and then the body of one of each kind.
pub fn record(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let key = RecordKey::from_bytes(&key_bytes());
    let store = StoreId::from_bytes([0x40; 16]);
    let place = Key::new(*b"\x02place");
    let parts: &[&[u8]] = &[place.as_bytes()];
    let context = Context { purpose: Purpose::Namespace, store, parts };

    match key.decrypt(&context, rest) {
        Ok(plaintext) => assert_eq!(plaintext.len() + RECORD_OVERHEAD, rest.len()),
        Err(error) => assert_eq!(
            rest.len() < RECORD_OVERHEAD,
            matches!(error, RecordError::Damaged) && record_key_id(rest).is_err()
        ),
    }

    let suite = Suite::ALL[usize::from(choice) % 2];
    let mut made = key.encrypt(suite, &context, rest, &Fixed).expect("a salt is at hand");
    let opened = key.decrypt(&context, &made).expect("what was written opens");
    assert_eq!(*opened, rest);
    if let Ok(read) = NamespaceRecord::decrypt(&key, store, &place, &made) {
        let again = read.encrypt(&key, suite, store, &place, &Fixed);
        assert_eq!(again.expect("what was read can be written"), made);
    }
    let at = usize::from(choice).wrapping_mul(rest.len().wrapping_add(7)) % made.len();
    made[at] ^= 1 << (choice % 8);
    let error = key.decrypt(&context, &made).expect_err("a flipped bit is refused");
    assert!(match at {
        0..=1 => matches!(error, RecordError::UnknownFormat { .. }),
        2..=9 => matches!(error, RecordError::UnknownKey(_)),
        10..=33 | 46..=77 => matches!(error, RecordError::NotYours),
        _ => matches!(error, RecordError::Damaged),
    });

    audit_name(suite, store, rest);
    keyring_body(suite, rest);
}

/// A body that decrypts as a name of the log is one that would be written so.
fn audit_name(suite: Suite, store: StoreId, body: &[u8]) {
    let (audit, log) = (AuditKey::from_bytes(&key_bytes()), LogId::from_bytes([1; 8]));
    let parts: &[&[u8]] = &[log.as_bytes()];
    let context = Context { purpose: Purpose::AuditName, store, parts };
    let key = RecordKey::from_bytes(&key_bytes());
    let sealed = key.encrypt(suite, &context, body, &Fixed).expect("a salt is at hand");
    if let Ok(name) = audit.decrypt_name(store, log, &sealed) {
        let again = audit.encrypt_name(store, log, suite, &name, &Fixed);
        assert_eq!(again.expect("what was read can be written"), sealed);
    }
}

/// A keyring without seals around any body, signed: what opens is written again as it was.
fn keyring_body(suite: Suite, body: &[u8]) {
    let identity = identity();
    let store = store_id(&identity.public_key());
    let mut made = b"strngrm\0\x01".to_vec();
    made.extend_from_slice(store.as_bytes());
    made.extend_from_slice(&identity.public_key());
    made.extend_from_slice(&1_u64.to_be_bytes());
    made.push(0);
    let sum = digest(&made);
    let parts: &[&[u8]] = &[sum.as_bytes()];
    let context = Context { purpose: Purpose::KeyringBody, store, parts };
    let root = RecordKey::from_bytes(&key_bytes());
    let body = root.encrypt(suite, &context, body, &Fixed).expect("a salt is at hand");
    made.extend_from_slice(&u32::try_from(body.len()).expect("a short body").to_be_bytes());
    made.extend_from_slice(&body);
    made.extend_from_slice(&identity.sign(&made));
    let checksum = digest(&made);
    made.extend_from_slice(&checksum.as_bytes()[..8]);
    let Ok(sealed) = SealedKeyring::parse(&made) else {
        assert!(made.len() > 64 * 1024, "a signed keyring is refused for its length alone");
        return;
    };
    if let Ok(keyring) = sealed.open(&SecretValue::copied_from(&key_bytes())) {
        let again = keyring.encode(&Fixed).expect("what was read can be written");
        assert_eq!(again, made);
    }
}

/// Gives its bytes in pieces of changing length, and is interrupted in between.
struct Halting<'a> {
    rest: &'a [u8],
    turn: usize,
}

impl Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = (self.turn % 17 + 1).min(buffer.len());
        let read = (&mut self.rest).take(most as u64).read(buffer)?;
        Ok(read)
    }
}

/// A passphrase is read to its end or refused for its length, however it arrives; exactly one
/// final line end is cut.
pub fn passphrase_reader(data: &[u8]) {
    let cut = trim_one_line_end(data);
    assert!(data.starts_with(cut));
    let end = &data[cut.len()..];
    assert!(matches!(end, b"" | b"\n" | b"\r\n"));
    assert_eq!(end.is_empty(), data.last() != Some(&b'\n'));
    assert!(end != b"\n" || cut.last() != Some(&b'\r'));

    let fits = data.len() <= MAX_PASSPHRASE_BYTES;
    assert_eq!(Passphrase::from_reader(data).is_ok(), fits);
    match Passphrase::from_reader(Halting { rest: data, turn: 0 }) {
        Ok(read) => assert!(fits && format!("{read:?}") == "Passphrase"),
        Err(error) => assert!(!fits && error.kind() == io::ErrorKind::InvalidData),
    }
}

/// An auditor's key as text: what is taken has one spelling, but for line ends behind it.
///
/// # Panics
/// On a spelling that comes back as another.
pub fn auditor_key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let text = SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if let Ok(key) = AuditorKey::from_text(&text) {
        assert!(key.to_text().ct_eq(&text));
    }
}
