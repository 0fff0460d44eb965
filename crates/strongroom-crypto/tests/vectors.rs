//! The known-answer vectors of the format: `vectors/strongroom-v1.json` is what this build writes
//! and reads. The Python reader checks the same file from FORMAT.md alone.
//!
//! `STRONGROOM_WRITE_VECTORS=1 cargo test -p strongroom-crypto --test vectors` writes the file
//! anew. A format that is frozen never needs that: vectors are added, none is changed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use strongroom_core::{
    Entropy, EntropyError, Key, KeyContext, LogId, Metadata, Namespace, Seal, SealId, SecretPath,
    SecretValue, StoreId, Timestamp, Version, VersionState, WrappedKey, WriteId, path,
};
use strongroom_crypto::{
    Accepted, Argon2Cost, AuditKey, BlobRef, Context, DataKey, Epoch, Format, Head, HeadBase,
    HeadRef, HoldEntry, Identifiers, Identity, Keyring, Lineage, LiveHead, NameKey, NamespaceId,
    NamespaceRecord, NamespaceState, Passphrase, Place, Purpose, RecordKey, SealEntry,
    SealedKeyring, Stages, Suite, ValueSlot, VersionEntry, blob_key, decrypt_value, digest,
    encrypt_value, head_key, keyring_key, log_registry_key, namespace_key, padded_len, store_id,
};

/// Salt 10…27 and nonce 30…3b for each record; 10…1f for the salt of a passphrase.
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

fn from<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| first.wrapping_add(u8::try_from(at).unwrap()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn store() -> StoreId {
    StoreId::from_bytes(from(0x40))
}

fn namespace() -> NamespaceId {
    NamespaceId::from_bytes(from(0x70))
}

fn lineage() -> Lineage {
    let log = LogId::from_bytes(from(0xe0));
    Lineage::first(WriteId::from_bytes([0xd1; 16]), log).next(
        digest(b"the record before"),
        WriteId::from_bytes([0xd2; 16]),
        log,
    )
}

const HEAD: SecretPath = path!("prod/billing/db");

fn place() -> Key {
    head_key(namespace(), &NameKey::from_bytes(&from(0x80)), &HEAD)
}

fn storage_keys() -> Value {
    let name = Namespace::try_from("prod").unwrap();
    let (blob, log) =
        (blob_key(&place(), 7, &from(0x50), 3).unwrap(), LogId::from_bytes(from(0xe0)));
    let deep: SecretPath = ["n"; 16].join("/").parse().unwrap();
    let deep_key = head_key(namespace(), &NameKey::from_bytes(&from(0x80)), &deep);
    let hex = |key: &Key| hex(key.as_bytes());
    let (ids, names) = (self::hex(&from::<8>(0x70)), self::hex(&from::<32>(0x80)));
    json!([
        {"kind": "keyring", "key": hex(&keyring_key())},
        {"kind": "namespace", "name_key": self::hex(&from::<32>(0xa0)), "namespace": "prod",
            "key": hex(&namespace_key(&NameKey::from_bytes(&from(0xa0)), &name))},
        {"kind": "head", "name_key": names, "namespace_id": ids, "path": HEAD.as_str(),
            "key": hex(&place())},
        {"kind": "head", "name_key": names, "namespace_id": ids, "path": deep.as_str(),
            "key": hex(&deep_key)},
        {"kind": "blob", "name_key": names, "namespace_id": ids, "path": HEAD.as_str(), "seq": 7,
            "random": self::hex(&from::<16>(0x50)), "part": 3, "key": hex(&blob)},
        {"kind": "log registry", "log_id": self::hex(log.as_bytes()),
            "key": hex(&log_registry_key(log))},
    ])
}

/// One of each purpose; the first two are DESIGN.md's.
fn records() -> Value {
    let key = RecordKey::from_bytes(&from(0));
    let place = place();
    let head: &[&[u8]] = &[place.as_bytes()];
    let seal: &[&[u8]] = &[&[0x90; 8], b"passphrase", b"parameters"];
    let one: &[&[u8]] = &[&[0x91; 8]];
    type Case<'a> = (Suite, Purpose, u8, &'a [&'a [u8]], &'a [u8]);
    let cases: [Case<'_>; 8] = [
        (Suite::Aes256Gcm, Purpose::Head, 1, head, b"strongroom"),
        (Suite::ChaCha20Poly1305, Purpose::Head, 1, head, b"strongroom"),
        (Suite::Aes256Gcm, Purpose::Head, 1, head, b""),
        (Suite::Aes256Gcm, Purpose::Namespace, 2, one, &[7; 64]),
        (Suite::ChaCha20Poly1305, Purpose::KeyringBody, 3, one, &[7; 80]),
        (Suite::Aes256Gcm, Purpose::SealWrap, 4, seal, &[7; 32]),
        (Suite::ChaCha20Poly1305, Purpose::LogRegistry, 5, one, b"registry"),
        (Suite::ChaCha20Poly1305, Purpose::AuditName, 6, one, b"name"),
    ];
    cases
        .into_iter()
        .map(|(suite, purpose, number, parts, plaintext)| {
            let context = Context { purpose, store: store(), parts };
            let record = key.encrypt(suite, &context, plaintext, &Fixed).unwrap();
            assert_eq!(*key.decrypt(&context, &record).unwrap(), plaintext);
            json!({
                "key": hex(&from::<32>(0)), "store_id": hex(store().as_bytes()),
                "purpose": number, "suite": suite.number(),
                "parts": (parts.iter().map(|part| hex(part)).collect::<Vec<_>>()),
                "plaintext": hex(plaintext), "record": hex(&record),
                "sha256": digest(&record).to_string(),
            })
        })
        .collect()
}

fn values() -> Value {
    [(Suite::Aes256Gcm, 0), (Suite::Aes256Gcm, 6), (Suite::ChaCha20Poly1305, 100)]
        .into_iter()
        .map(|(suite, length)| {
            let (bytes, key): (Vec<u8>, [u8; 32]) = ((0..length).collect(), from(0xc0));
            let (nonce, value) = (from(0x30), SecretValue::copied_from(&bytes));
            let made = encrypt_value(&DataKey::from_bytes(&key), &nonce, suite, &value).unwrap();
            let opened = decrypt_value(&key, &nonce, suite, &made, bytes.len()).unwrap();
            assert!(opened.ct_eq(&value));
            json!({"key": hex(&key), "nonce": hex(&nonce), "suite": suite.number(),
                "value": hex(&bytes), "ciphertext": hex(&made)})
        })
        .collect()
}

const PASSPHRASE: &str = "correct horse battery staple";

fn wrap(store: StoreId, root: &SecretValue) -> WrappedKey {
    let seal = Passphrase::new(PASSPHRASE).with_cost(Argon2Cost::LEAST);
    let context = KeyContext { store, seal: SealId::from_bytes([9; 8]), entropy: &Fixed };
    let made = futures_executor::block_on(seal.wrap_key(root, &context)).unwrap();
    let opened = futures_executor::block_on(seal.unwrap_key(&made, &context)).unwrap();
    assert!(opened.ct_eq(root));
    made
}

fn seals() -> Value {
    let made = wrap(store(), &SecretValue::copied_from(&from::<32>(0)));
    json!([{"passphrase": PASSPHRASE, "store_id": hex(store().as_bytes()),
        "seal_id": hex(&[9; 8]), "kind": "passphrase", "parameters": hex(&made.parameters),
        "root_key": hex(&from::<32>(0)), "wrapped": hex(&made.wrapped)}])
}

fn keyring(accepted: Accepted, suite: Suite, leaving: bool) -> Value {
    let identity = Identity::from_seed(&from(0x60));
    let store = store_id(&identity.public_key());
    let root = SecretValue::copied_from(&from::<32>(0));
    let keyring = Keyring {
        store,
        generation: 3,
        seals: vec![SealEntry {
            id: SealId::from_bytes([9; 8]),
            kind: "passphrase".to_owned(),
            wrapped: wrap(store, &root),
        }],
        lineage: lineage(),
        root: RecordKey::from_bytes(&from(0)),
        leaving_root: leaving.then(|| RecordKey::from_bytes(&from(0x20))),
        store_names: NameKey::from_bytes(&from(0xa0)),
        audit: AuditKey::from_bytes(&from(0xb0)),
        identity,
        suite,
        accepted,
    };
    let record = keyring.encode(&Fixed).unwrap();
    let opened = SealedKeyring::parse(&record).unwrap().open(&root).unwrap();
    assert_eq!(opened.encode(&Fixed).unwrap(), record);
    assert_eq!((opened.accepted, opened.suite), (accepted, suite));
    let leaving = leaving.then(|| hex(&from::<32>(0x20)));
    let suites: Vec<u8> =
        Suite::ALL.iter().filter(|&&one| accepted.suite(one)).map(|one| one.number()).collect();
    json!({"passphrase": PASSPHRASE, "record": hex(&record), "store_id": hex(store.as_bytes()),
        "root_key": hex(&from::<32>(0)), "leaving_root_key": leaving,
        "store_name_key": hex(&from::<32>(0xa0)), "audit_key": hex(&from::<32>(0xb0)),
        "suites": suites, "formats": [1]})
}

fn keyrings() -> Value {
    let one = Accepted::new(&[Suite::ChaCha20Poly1305], &[Format::V1]);
    json!([
        keyring(Accepted::ALL, Suite::Aes256Gcm, false),
        keyring(one, Suite::ChaCha20Poly1305, true),
    ])
}

fn namespaces() -> Value {
    let epoch = |number: u8| Epoch {
        number: number.into(),
        key: RecordKey::from_bytes(&from(0xf0 + number)),
        since: Timestamp::from_millis(1_700_000_000_000).unwrap(),
    };
    let erasing = [[1; 8], [2; 8]].map(NamespaceId::from_bytes);
    let live = NamespaceState::Live {
        id: namespace(),
        names: NameKey::from_bytes(&from(0x80)),
        active: epoch(3),
        leaving: vec![epoch(1), epoch(2)],
        erasing: erasing.into(),
    };
    let root = RecordKey::from_bytes(&from(0));
    let name = Namespace::try_from("prod").unwrap();
    let key = namespace_key(&NameKey::from_bytes(&from(0xa0)), &name);
    [live, NamespaceState::Destroyed { erasing: erasing.into() }]
        .into_iter()
        .map(|state| {
            let live = matches!(state, NamespaceState::Live { .. });
            let record =
                NamespaceRecord { name: name.clone(), generation: 5, lineage: lineage(), state };
            let bytes = record.encrypt(&root, Suite::Aes256Gcm, store(), &key, &Fixed).unwrap();
            let opened = NamespaceRecord::decrypt(&root, store(), &key, &bytes).unwrap();
            assert_eq!(*opened.encode().unwrap(), *record.encode().unwrap());
            json!({"root_key": hex(&from::<32>(0)), "store_id": hex(store().as_bytes()),
                "store_name_key": hex(&from::<32>(0xa0)), "storage_key": hex(key.as_bytes()),
                "record": hex(&bytes), "plaintext": hex(&record.encode().unwrap()),
                "name": "prod", "live": live, "namespace_id": hex(namespace().as_bytes()),
                "epoch_keys": ([3, 1, 2].map(|number| hex(&from::<32>(0xf0 + number))))})
        })
        .collect()
}

fn slot(place: Place<Vec<u8>>, length: u32) -> ValueSlot<DataKey, Vec<u8>> {
    let key = DataKey::from_bytes(&from(0xc0));
    ValueSlot { suite: Suite::Aes256Gcm, key, nonce: from(0x30), length, place }
}

const RANDOM: [[u8; 16]; 2] = [[1; 16], [2; 16]];

/// Identifiers and a value that are too long for a head.
fn large() -> [SecretValue; 2] {
    let identifiers = format!(r#"{{"endpoint":"{}"}}"#, "a".repeat(300));
    [SecretValue::copied_from(identifiers.as_bytes()), SecretValue::new(vec![7; 2000])]
}

/// Both as blobs of two parts each, by storage key.
fn blobs() -> Value {
    let mut blobs = serde_json::Map::new();
    for (random, value) in RANDOM.iter().zip(large()) {
        let key = DataKey::from_bytes(&from(0xc0));
        let made = encrypt_value(&key, &from(0x30), Suite::Aes256Gcm, &value).unwrap();
        let (first, second) = made.split_at(200);
        for (part, bytes) in [(0, first), (1, second)] {
            let place = blob_key(&place(), 4, random, part).unwrap();
            blobs.insert(hex(place.as_bytes()), json!(hex(bytes)));
        }
    }
    blobs.into()
}

fn live() -> LiveHead {
    let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
    let version = |number| Version::new(number).unwrap();
    let key = DataKey::from_bytes(&from(0xc0));
    let value = SecretValue::copied_from(b"s3cr3t");
    let inline = encrypt_value(&key, &from(0x30), Suite::Aes256Gcm, &value).unwrap();
    let blob = |at: usize| {
        let place = Place::Blob(BlobRef { seq: 4, random: RANDOM[at], parts: 2 });
        slot(place, u32::try_from(large()[at].len()).unwrap())
    };
    let entry = |number, state| VersionEntry {
        version: version(number),
        state,
        created: at,
        changed: at,
        holds: Vec::new(),
        identifiers: None,
        value: None,
    };
    let mut metadata = Metadata::default();
    metadata.labels.insert("team".to_owned(), "blue".to_owned());
    metadata.owner = Some("billing".to_owned());
    LiveHead {
        kind: "credential".to_owned(),
        created: at,
        metadata,
        annexes: [("rotation".to_owned(), vec![1, 2, 3])].into(),
        stages: Stages { current: Some(version(3)), pending: None, previous: Some(version(2)) },
        versions: vec![
            entry(1, VersionState::Destroyed),
            VersionEntry {
                holds: vec![HoldEntry { id: "lease".to_owned(), until: at }],
                identifiers: Some(Identifiers::Blob(blob(0))),
                value: Some(blob(1)),
                ..entry(2, VersionState::Disabled)
            },
            VersionEntry {
                identifiers: Some(Identifiers::Inline(br#"{"username":"app"}"#.to_vec())),
                value: Some(slot(Place::Inline(inline), 6)),
                ..entry(3, VersionState::Enabled)
            },
        ],
    }
}

fn heads() -> Value {
    [Some(live()), None]
        .into_iter()
        .map(|live| {
            let purged = live.is_none();
            let base = HeadBase {
                seq: 9,
                lineage: lineage(),
                keyring_generation: 3,
                namespace_generation: 5,
                next_version: Version::new(4).unwrap(),
                updated: Timestamp::from_millis(1_700_000_000_000).unwrap(),
            };
            let plaintext = Head { path: HEAD, base, live }.encode().unwrap();
            let again = HeadRef::parse(&plaintext).unwrap().to_head().unwrap();
            assert_eq!(*again.encode().unwrap(), *plaintext);
            let (key, place) = (RecordKey::from_bytes(&from(0)), place());
            let parts: &[&[u8]] = &[place.as_bytes()];
            let context = Context { purpose: Purpose::Head, store: store(), parts };
            let record = key.encrypt(Suite::Aes256Gcm, &context, &plaintext, &Fixed).unwrap();
            let values = if purged {
                json!([null])
            } else {
                json!([null, hex(&[7; 2000]), hex(b"s3cr3t")])
            };
            let blobs = if purged { json!({}) } else { blobs() };
            json!({"blobs": blobs, "values": values, "epoch_key": hex(&from::<32>(0)), "store_id": hex(store().as_bytes()),
                "namespace": "prod", "name_key": hex(&from::<32>(0x80)),
                "storage_key": hex(place.as_bytes()), "path": HEAD.as_str(), "seq": 9,
                "purged": purged, "plaintext": hex(&plaintext), "record": hex(&record)})
        })
        .collect()
}

fn audit() -> Value {
    let (key, log) = (AuditKey::from_bytes(&from(0xb0)), LogId::from_bytes(from(0xe0)));
    let sealed = key.encrypt_name(store(), log, Suite::Aes256Gcm, HEAD.as_str(), &Fixed).unwrap();
    assert_eq!(key.decrypt_name(store(), log, &sealed).unwrap(), HEAD.as_str());
    json!([{"audit_key": hex(&from::<32>(0xb0)), "store_id": hex(store().as_bytes()),
        "log_id": hex(log.as_bytes()), "class": 1, "text": HEAD.as_str(),
        "token": hex(&key.token(1, HEAD.as_str())), "sealed": hex(&sealed)}])
}

fn written() -> Value {
    let lengths = (0..=130).chain([255, 256, 257, 1000, 1023, 1024, 1025, 4095, 4096, 4097]);
    let padding: Vec<_> = lengths
        .chain([16_383, 16_385, 48 * 1024, 65_537, 1 << 20, (1 << 20) + 1])
        .map(|length| (length, padded_len(length)))
        .collect();
    let public = Identity::from_seed(&from(0x60)).public_key();
    json!({
        "about": "Known answers of strongroom's format, version 1: see FORMAT.md. Bytes are hex.",
        "key_ids": [{"key": hex(&from::<32>(0)),
            "key_id": hex(RecordKey::from_bytes(&from(0)).id().as_bytes())}],
        "store_ids": [{"seed": hex(&from::<32>(0x60)), "verification_key": hex(&public),
            "store_id": hex(store_id(&public).as_bytes())}],
        "storage_keys": storage_keys(),
        "records": records(),
        "padding": padding,
        "values": values(),
        "passphrase_seals": seals(),
        "keyrings": keyrings(),
        "namespaces": namespaces(),
        "heads": heads(),
        "audit_names": audit(),
    })
}

#[test]
fn every_vector_is_what_this_build_writes_and_reads() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/strongroom-v1.json");
    let ours = written();
    if std::env::var_os("STRONGROOM_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&ours).unwrap() + "\n";
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let theirs: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (part, expected) in theirs.as_object().unwrap() {
        assert_eq!(ours.get(part), Some(expected), "{part}");
    }
    assert_eq!(ours, theirs, "a vector is missing in the file");
}

#[test]
fn the_vectors_that_the_design_publishes_are_among_them() {
    let vectors = written();
    let at = |pointer: &str| vectors.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    assert_eq!(at("/key_ids/0/key_id"), "922965a2a27aca77");
    assert_eq!(at("/storage_keys/1/key"), "0252958844381c30cdc91dd931d3b99d9d");
    assert_eq!(
        at("/storage_keys/2/key"),
        "037071727374757677a25cd986cf9ea4f5a8fd26d44fbc22e898ff8ec74f99665f5a27a3bf5940040e"
    );
    assert_eq!(
        at("/records/0/sha256"),
        "0a9b8df6bb69d1aa01d01b477e426be23842f8f262b376bce04f20e934cc10d6"
    );
    assert_eq!(
        at("/records/1/sha256"),
        "38920801b86b2130240ac2d2e122e0cab4ed0dab43134fb025142124cc190a56"
    );
    assert_eq!(at("/records/0/record").len(), 2 * 104);
}
