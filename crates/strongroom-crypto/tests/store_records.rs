//! Keyrings, namespace records and heads: round trips, and every bit flipped.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::sync::atomic::{AtomicU8, Ordering};

use strongroom_core::{
    Entropy, EntropyError, Key, KeyContext, LogId, Namespace, Seal, SealError, SealId, SecretValue,
    StoreId, Timestamp, WrappedKey, WriteId,
};
use strongroom_crypto::{
    Accepted, Argon2Cost, AuditKey, Context, DataKey, Epoch, Format, HeadRef, Keyring,
    KeyringError, Lineage, NameKey, NamespaceId, NamespaceRecord, NamespaceState, Passphrase,
    Purpose, RecordError, RecordKey, SealEntry, SealedKeyring, Suite, decrypt_value, digest,
    encrypt_value, padded_len,
};

/// Different bytes at each call, the same in each run.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for byte in buffer {
            *byte = self.0.fetch_add(7, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn lineage() -> Lineage {
    Lineage::first(WriteId::from_bytes([1; 16]), LogId::from_bytes([2; 8]))
}

#[test]
fn a_record_names_the_key_that_it_asks_for() {
    let entropy = Counting::default();
    let key = RecordKey::generate(&entropy).unwrap();
    let parts: &[&[u8]] = &[b"place"];
    let context = Context { purpose: Purpose::Head, store: StoreId::from_bytes([2; 16]), parts };
    let record = key.encrypt(Suite::Aes256Gcm, &context, b"x", &entropy).unwrap();
    assert_eq!(strongroom_crypto::record_key_id(&record).unwrap(), key.id());
    let other = RecordKey::generate(&entropy).unwrap();
    match other.decrypt(&context, &record) {
        Err(RecordError::UnknownKey(named)) => assert_eq!(named, key.id()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fc_026_each_length_class_of_values_comes_back_and_each_cut_is_refused() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        for length in
            (0..=80).chain([127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 65_520, 65_537])
        {
            let value = SecretValue::new(vec![9; length]);
            let key = [7; 32];
            let data_key = DataKey::from_bytes(&key);
            let ciphertext = encrypt_value(&data_key, &[1; 12], suite, &value).unwrap();
            assert_eq!(ciphertext.len(), padded_len(length) + 16);
            let open = |bytes: &[u8], length| decrypt_value(&key, &[1; 12], suite, bytes, length);
            assert!(open(&ciphertext, length).unwrap().ct_eq(&value), "{length} bytes");
            for cut in [0, 1, 15, 16, 17, ciphertext.len() - 16, ciphertext.len() - 1] {
                if cut < ciphertext.len() {
                    assert!(matches!(open(&ciphertext[..cut], length), Err(RecordError::Damaged)));
                }
            }
            let mut longer = ciphertext.clone();
            longer.push(0);
            assert!(open(&longer, length).is_err());
            if length > 0 {
                assert!(open(&ciphertext, length - 1).is_err(), "{length} bytes");
            }
        }
    }
}

fn keyring(entropy: &dyn Entropy) -> Keyring {
    let mut keyring = Keyring::generate(Suite::Aes256Gcm, lineage(), entropy).unwrap();
    keyring.seals.push(SealEntry {
        id: SealId::from_bytes([9; 8]),
        kind: "passphrase".to_owned(),
        wrapped: WrappedKey { parameters: vec![1, 2], wrapped: vec![3; 126] },
    });
    keyring
}

#[test]
fn a_keyring_opens_with_its_root_key_alone() {
    let entropy = Counting::default();
    let keyring = keyring(&entropy);
    let record = keyring.encode(&entropy).unwrap();
    let sealed = SealedKeyring::parse(&record).unwrap();
    assert_eq!((sealed.store(), sealed.seals()), (keyring.store, &*keyring.seals));
    let opened = sealed.open(&keyring.root_key_for_wrapping()).unwrap();
    assert_eq!(opened.lineage, keyring.lineage);
    assert_eq!(opened.audit.token(1, "prod/db"), keyring.audit.token(1, "prod/db"));
    assert_eq!(opened.identity.public_key(), *sealed.public_key());
    let wrong = SecretValue::copied_from(&[0; 32]);
    assert!(matches!(sealed.open(&wrong), Err(KeyringError::WrongRoot)));
}

#[test]
fn no_flipped_bit_and_no_cut_of_a_keyring_is_taken_for_a_wrong_passphrase() {
    let entropy = Counting::default();
    let record = keyring(&entropy).encode(&entropy).unwrap();
    for at in 0..record.len() {
        let mut flipped = record.clone();
        flipped[at] ^= 1;
        let error = SealedKeyring::parse(&flipped).unwrap_err();
        let named = match at {
            0..=7 => matches!(error, KeyringError::NotAKeyring),
            8 => matches!(error, KeyringError::TooNew { .. } | KeyringError::Checksum),
            _ => matches!(error, KeyringError::Checksum),
        };
        assert!(named, "byte {at}: {error:?}");
        assert!(SealedKeyring::parse(&record[..at]).is_err());
    }
}

/// An edit by somebody who mends the checksum, which anybody can.
#[test]
fn an_edited_keyring_with_a_right_checksum_is_refused_by_its_signature() {
    let entropy = Counting::default();
    let record = keyring(&entropy).encode(&entropy).unwrap();
    let end = record.len() - 8;
    for at in 9..end {
        for bit in 0..8 {
            let mut edited = record.clone();
            edited[at] ^= 1 << bit;
            let checksum = digest(&edited[..end]);
            edited[end..].copy_from_slice(&checksum.as_bytes()[..8]);
            let error = SealedKeyring::parse(&edited).unwrap_err();
            assert!(matches!(error, KeyringError::Signature), "byte {at} bit {bit}: {error:?}");
        }
    }
}

#[test]
fn a_keyring_that_could_not_be_opened_again_is_not_written() {
    let entropy = Counting::default();
    let mut refused = keyring(&entropy);
    refused.accepted = Accepted::new(&[Suite::ChaCha20Poly1305], &Format::ALL);
    assert!(matches!(refused.encode(&entropy), Err(KeyringError::Content(_))));
    let mut refused = keyring(&entropy);
    refused.generation = 0;
    assert!(matches!(refused.encode(&entropy), Err(KeyringError::Content(_))));
}

/// The keyring with its body replaced by what `edit` makes of it, signed anew: what a faulty
/// writer that has the keys could store.
fn rewritten(keyring: &Keyring, suite: Suite, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let record = keyring.encode(&Counting::default()).unwrap();
    let signed = record.len() - 64 - 8;
    // One seal: magic, format, store, key, generation, count, then id, kind, parameters, wrapped.
    let clear = 8 + 1 + 16 + 32 + 8 + 1 + 8 + 2 + 10 + 2 + 2 + 2 + 126;
    let sum = digest(&record[..clear]);
    let parts: &[&[u8]] = &[sum.as_bytes()];
    let context = Context { purpose: Purpose::KeyringBody, store: keyring.store, parts };
    let body = keyring.root.decrypt(&context, &record[clear + 4..signed]).unwrap();
    // Lineage of one write, root key, none leaving, names, audit key, seed, suite, two lists.
    let length = 32 + 8 + 1 + 16 + 32 + 1 + 32 * 3;
    let mut content = body[..length].to_vec();
    edit(&mut content);
    content.resize(padded_len(content.len()), 0);
    let body = keyring.root.encrypt(suite, &context, &content, &Counting::default()).unwrap();
    let mut made = record[..clear].to_vec();
    made.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    made.extend_from_slice(&body);
    made.extend_from_slice(&keyring.identity.sign(&made));
    let checksum = digest(&made);
    made.extend_from_slice(&checksum.as_bytes()[..8]);
    made
}

#[test]
fn the_lists_of_a_keyring_have_one_order_and_only_known_members() {
    let keyring = keyring(&Counting::default());
    let root = keyring.root_key_for_wrapping();
    let open = |suite, lists: &[u8]| {
        let record = rewritten(&keyring, suite, |body| body.extend_from_slice(lists));
        SealedKeyring::parse(&record).unwrap().open(&root)
    };
    let (aes, chacha) = (Suite::Aes256Gcm, Suite::ChaCha20Poly1305);
    // The suite to write, then suites and formats accepted.
    for (suite, lists) in [(aes, &[1, 2, 1, 2, 1, 1][..]), (aes, &[1, 1, 1, 1, 1])] {
        let opened = open(suite, lists).unwrap();
        assert_eq!(opened.suite, suite);
        assert_eq!(opened.accepted.suite(chacha), lists.len() == 6);
        assert!(opened.root.accepted() == opened.accepted);
    }
    for lists in [
        &[1, 2, 2, 1, 1, 1][..], // suites out of order
        &[1, 2, 1, 1, 1, 1],     // a suite twice
        &[1, 3, 0, 1, 2, 1, 1],  // no suite has the number 0
        &[1, 2, 1, 2, 2, 1, 1],  // a format twice
        &[2, 1, 1, 1, 1],        // what is written is not accepted
        &[2, 2, 1, 2, 1, 1],     // the body itself is not in the suite to write
        &[1, 2, 1],              // cut short, so that padding is taken for numbers
        &[1, 2, 1, 2, 1, 1, 9],  // something behind
    ] {
        let error = open(aes, lists).unwrap_err();
        assert!(matches!(error, KeyringError::Content(_)), "{lists:?}: {error:?}");
    }
    for (lists, named, told) in [
        (&[1, 2, 1, 3, 1, 1][..], "suite", 3),
        (&[9, 2, 1, 2, 1, 1], "suite", 9),
        (&[1, 2, 1, 2, 2, 1, 2], "format", 2),
    ] {
        match open(aes, lists).unwrap_err() {
            KeyringError::UnknownAccepted { what, number } => {
                assert_eq!((what, number), (named, told));
            }
            other => panic!("{lists:?}: {other:?}"),
        }
    }
    // The suite of the body is not in the list: told as for any other record.
    for (suite, lists) in [(chacha, &[1, 1, 1, 1, 1][..]), (aes, &[1, 1, 1, 0])] {
        let error = open(suite, lists).unwrap_err();
        let unknown = matches!(error, KeyringError::Body(RecordError::UnknownFormat { .. }));
        assert!(unknown, "{lists:?}: {error:?}");
    }
}

#[test]
fn a_keyring_with_a_seal_twice_or_another_stores_id_is_not_written() {
    let entropy = Counting::default();
    let mut twice = keyring(&entropy);
    twice.seals.push(twice.seals[0].clone());
    assert!(matches!(twice.encode(&entropy), Err(KeyringError::Content(_))));
    let mut foreign = keyring(&entropy);
    foreign.store = StoreId::from_bytes([1; 16]);
    assert!(matches!(foreign.encode(&entropy), Err(KeyringError::Content(_))));
}

#[test]
fn an_opened_keyring_keeps_names_in_the_log_to_its_lists() {
    let entropy = Counting::default();
    let mut strict = keyring(&entropy);
    strict.suite = Suite::ChaCha20Poly1305;
    strict.accepted = Accepted::new(&[strict.suite], &Format::ALL);
    let record = strict.encode(&entropy).unwrap();
    let opened =
        SealedKeyring::parse(&record).unwrap().open(&strict.root_key_for_wrapping()).unwrap();
    let log = LogId::from_bytes([1; 8]);
    let name = |suite| opened.audit.encrypt_name(opened.store, log, suite, "prod/db", &entropy);
    let open = |sealed: Vec<u8>| opened.audit.decrypt_name(opened.store, log, &sealed);
    assert_eq!(open(name(Suite::ChaCha20Poly1305).unwrap()).unwrap(), "prod/db");
    let refused = open(name(Suite::Aes256Gcm).unwrap());
    assert!(matches!(refused, Err(RecordError::UnknownFormat { .. })));
}

#[test]
fn a_namespace_record_out_of_order_is_neither_written_nor_read() {
    let epoch = |number: u64| Epoch {
        number,
        key: RecordKey::from_bytes(&[7; 32]),
        since: Timestamp::from_millis(number).unwrap(),
    };
    let record = |generation, leaving: &[u64], active, erasing: &[u8]| NamespaceRecord {
        name: Namespace::try_from("prod").unwrap(),
        generation,
        lineage: lineage(),
        state: NamespaceState::Live {
            id: NamespaceId::from_bytes([8; 8]),
            names: NameKey::from_bytes(&[5; 32]),
            active: epoch(active),
            leaving: leaving.iter().map(|number| epoch(*number)).collect(),
            erasing: erasing.iter().map(|byte| NamespaceId::from_bytes([*byte; 8])).collect(),
        },
    };
    let sound = record(1, &[1, 3], 4, &[6, 7]).encode().unwrap();
    assert_eq!(*NamespaceRecord::decode(&sound).unwrap().encode().unwrap(), *sound);
    for refused in [
        record(0, &[1], 2, &[]),
        record(1, &[], 0, &[]),
        record(1, &[0], 2, &[]),
        record(1, &[2, 1], 3, &[]),
        record(1, &[1, 1], 3, &[]),
        record(1, &[3], 3, &[]),
        record(1, &[4], 3, &[]),
        record(1, &[1], 2, &[8]),
        record(1, &[1, 2, 3, 4, 5], 6, &[]),
    ] {
        assert!(refused.encode().is_err(), "{refused:?}");
    }
    // The ids to erase begin after kind, name, generation, lineage of one write, and their count.
    let ids = 1 + 2 + 4 + 8 + (32 + 8 + 1 + 16) + 1;
    let mut turned = sound.to_vec();
    turned[ids..ids + 16].rotate_left(8);
    assert!(NamespaceRecord::decode(&turned).is_err());
    let mut twice = sound.to_vec();
    twice.copy_within(ids..ids + 8, ids + 8);
    assert!(NamespaceRecord::decode(&twice).is_err());
    // The own id, key of names and active epoch follow, then the count and the leaving ones.
    let leaving = ids + 16 + 8 + 32 + 48 + 1;
    for (at, number) in [(leaving, 3), (leaving, 0), (leaving + 48, 1), (leaving + 48, 4)] {
        let mut edited = sound.to_vec();
        edited[at..at + 8].copy_from_slice(&u64::to_be_bytes(number));
        assert!(NamespaceRecord::decode(&edited).is_err(), "{number} at {at}");
    }
}

#[test]
fn a_root_key_of_another_length_is_not_the_keyrings() {
    let entropy = Counting::default();
    let keyring = keyring(&entropy);
    let sealed = SealedKeyring::parse(&keyring.encode(&entropy).unwrap()).unwrap();
    let root = keyring.root_key_for_wrapping().expose(<[u8]>::to_vec);
    let longer = SecretValue::new([&*root, &[0]].concat());
    let shorter = SecretValue::copied_from(&root[..31]);
    for wrong in [longer, shorter] {
        assert!(matches!(sealed.open(&wrong), Err(KeyringError::WrongRoot)));
    }
}

#[test]
fn a_namespace_record_is_bound_to_its_key_and_its_root() {
    let entropy = Counting::default();
    let (root, store) = (RecordKey::generate(&entropy).unwrap(), StoreId::from_bytes([3; 16]));
    let key = Key::new(*b"\x02namespace-key-16");
    let epoch = |number| Epoch {
        number,
        key: RecordKey::generate(&entropy).unwrap(),
        since: Timestamp::from_millis(number).unwrap(),
    };
    let record = NamespaceRecord {
        name: Namespace::try_from("prod").unwrap(),
        generation: 7,
        lineage: lineage(),
        state: NamespaceState::Live {
            id: NamespaceId::from_bytes([8; 8]),
            names: NameKey::generate(&entropy).unwrap(),
            active: epoch(2),
            leaving: vec![epoch(1)],
            erasing: [NamespaceId::from_bytes([6; 8])].into(),
        },
    };
    let bytes = record.encrypt(&root, Suite::ChaCha20Poly1305, store, &key, &entropy).unwrap();
    let opened = NamespaceRecord::decrypt(&root, store, &key, &bytes).unwrap();
    assert_eq!((opened.name.as_str(), opened.generation), ("prod", 7));
    let NamespaceState::Live { active, leaving, .. } = opened.state else { unreachable!() };
    assert_eq!((active.number, leaving.len(), leaving[0].number), (2, 1, 1));
    let elsewhere = Key::new(*b"\x02namespace-key-17");
    let moved = NamespaceRecord::decrypt(&root, store, &elsewhere, &bytes);
    assert!(matches!(moved, Err(RecordError::NotYours)));
}

#[test]
fn names_in_the_log_are_padded_and_bound_to_it() {
    let entropy = Counting::default();
    let (key, store) = (AuditKey::generate(&entropy).unwrap(), StoreId::from_bytes([3; 16]));
    let (log, other) = (LogId::from_bytes([1; 8]), LogId::from_bytes([2; 8]));
    let short = key.encrypt_name(store, log, Suite::Aes256Gcm, "a", &entropy).unwrap();
    let long =
        key.encrypt_name(store, log, Suite::Aes256Gcm, "prod/billing/database", &entropy).unwrap();
    assert_eq!(short.len(), long.len());
    assert_eq!(key.decrypt_name(store, log, &long).unwrap(), "prod/billing/database");
    assert!(key.decrypt_name(store, other, &long).is_err());
    assert_ne!(key.token(1, "a"), key.token(2, "a"));
}

#[test]
fn fc_013_one_final_line_end_is_cut_everywhere_and_no_more() {
    let entropy = Counting::default();
    let context = KeyContext {
        store: StoreId::from_bytes([3; 16]),
        seal: SealId::from_bytes([1; 8]),
        entropy: &entropy,
    };
    let root = SecretValue::copied_from(&[7; 32]);
    let file = |bytes: &[u8]| Passphrase::from_reader(bytes).unwrap().with_cost(Argon2Cost::LEAST);
    futures_executor::block_on(async {
        let made = file(b"correct horse 9\n").wrap_key(&root, &context).await.unwrap();
        for same in [&b"correct horse 9"[..], b"correct horse 9\r\n"] {
            assert!(file(same).unwrap_key(&made, &context).await.unwrap().ct_eq(&root));
        }
        match file(b"correct horse 9\n\n").unwrap_key(&made, &context).await {
            Err(SealError::NotMine { hint }) => assert!(hint.contains("line break"), "{hint}"),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn fc_018_a_passphrase_is_its_exact_bytes() {
    let entropy = Counting::default();
    let context = KeyContext {
        store: StoreId::from_bytes([3; 16]),
        seal: SealId::from_bytes([1; 8]),
        entropy: &entropy,
    };
    let root = SecretValue::copied_from(&[7; 32]);
    let seal = |text: &str| Passphrase::new(text).with_cost(Argon2Cost::LEAST);
    futures_executor::block_on(async {
        let made = seal("Z\u{fc}rich").wrap_key(&root, &context).await.unwrap();
        match seal("Zu\u{308}rich").unwrap_key(&made, &context).await {
            Err(SealError::NotMine { hint }) => assert!(hint.contains("ASCII"), "{hint}"),
            other => panic!("{other:?}"),
        }
        assert!(seal("Z\u{fc}rich").unwrap_key(&made, &context).await.is_ok());
    });
}

#[test]
fn fc_127_costs_are_refused_before_memory_is_taken() {
    let entropy = Counting::default();
    let context = KeyContext {
        store: StoreId::from_bytes([3; 16]),
        seal: SealId::from_bytes([1; 8]),
        entropy: &entropy,
    };
    let root = SecretValue::copied_from(&[7; 32]);
    futures_executor::block_on(async {
        let limited = Passphrase::new("p").with_memory_limit(48);
        let error = limited.wrap_key(&root, &context).await.unwrap_err().to_string();
        assert!(error.contains("needs 64 MiB, allowed 48"), "{error}");
        let seal = Passphrase::new("p").with_cost(Argon2Cost::LEAST);
        let made = seal.wrap_key(&root, &context).await.unwrap();
        for (at, bytes) in [(1, u32::MAX), (5, 0), (9, 0)] {
            let mut edited = made.clone();
            edited.parameters[at..at + 4].copy_from_slice(&bytes.to_be_bytes());
            let error = seal.unwrap_key(&edited, &context).await.unwrap_err();
            assert!(matches!(error, SealError::Parameters { .. }), "{error:?}");
        }
        let empty = Passphrase::new("").wrap_key(&root, &context).await;
        assert!(matches!(empty, Err(SealError::Refused { .. })));
    });
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = HeadRef::parse(&bytes);
        let _ = NamespaceRecord::decode(&bytes);
        let _ = SealedKeyring::parse(&bytes);
        let _ = strongroom_crypto::KeyClass::parse(&bytes);
        let _ = strongroom_crypto::record_key_id(&bytes);
    }
}
