//! The bar of the record format: every record that was changed, cut or put elsewhere is refused
//! with its named error, every time. Each test prints `CASES n`, the number of cases it tried.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "the number of cases is told")]

use std::cell::Cell;

use strongroom_core::{
    Entropy, EntropyError, Key, LogId, Namespace, SecretPath, SecretValue, StoreId, Timestamp,
    WriteId,
};
use strongroom_crypto::{
    Accepted, Context, DataKey, Epoch, Format, Lineage, NameKey, NamespaceId, NamespaceRecord,
    NamespaceState, Purpose, RecordError, RecordKey, Suite, decrypt_value, decrypt_value_parts,
    encrypt_value, head_key, namespace_key,
};

/// xorshift64*: the same bytes in each run, and no two draws alike.
#[derive(Debug)]
struct Seeded(std::sync::Mutex<u64>);

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        let mut state = self.0.lock().unwrap();
        for byte in buffer {
            *state ^= *state >> 12;
            *state ^= *state << 25;
            *state ^= *state >> 27;
            *byte = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0];
        }
        Ok(())
    }
}

fn entropy(seed: u64) -> Seeded {
    Seeded(std::sync::Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
}

impl Seeded {
    fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes).unwrap();
        bytes
    }

    fn below(&self, end: u16) -> u16 {
        u16::from_be_bytes(self.array()) % end
    }
}

/// Counts what was tried, and says so when it goes.
#[derive(Default)]
struct Cases(Cell<u64>);

impl Cases {
    fn one(&self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        println!("CASES {}", self.0.get());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Named {
    UnknownFormat,
    UnknownKey,
    NotYours,
    Damaged,
}

fn named<T>(result: Result<T, RecordError>) -> Option<Named> {
    match result {
        Err(RecordError::UnknownFormat { .. }) => Some(Named::UnknownFormat),
        Err(RecordError::UnknownKey(_)) => Some(Named::UnknownKey),
        Err(RecordError::NotYours) => Some(Named::NotYours),
        Err(RecordError::Damaged) => Some(Named::Damaged),
        _ => None,
    }
}

/// What a record whose byte `at` was changed is taken for.
fn of_byte(at: usize) -> Named {
    match at {
        0..=1 => Named::UnknownFormat,
        2..=9 => Named::UnknownKey,
        10..=33 | 46..=77 => Named::NotYours,
        _ => Named::Damaged,
    }
}

const PURPOSES: [Purpose; 6] = [
    Purpose::Head,
    Purpose::Namespace,
    Purpose::KeyringBody,
    Purpose::SealWrap,
    Purpose::LogRegistry,
    Purpose::AuditName,
];

#[test]
fn each_flipped_bit_has_its_named_error() {
    let (cases, entropy) = (Cases::default(), entropy(1));
    for suite in Suite::ALL {
        for (length, purpose) in [0, 1, 10, 64, 100, 1024].into_iter().zip(PURPOSES) {
            let key = RecordKey::generate(&entropy).unwrap();
            let parts: &[&[u8]] = &[b"place"];
            let context = Context { purpose, store: StoreId::from_bytes(entropy.array()), parts };
            let mut record = key.encrypt(suite, &context, &vec![5; length], &entropy).unwrap();
            for at in 0..record.len() {
                for bit in 0..8 {
                    record[at] ^= 1 << bit;
                    let error = named(key.decrypt(&context, &record));
                    assert_eq!(error, Some(of_byte(at)), "byte {at} bit {bit}");
                    record[at] ^= 1 << bit;
                    cases.one();
                }
            }
            assert!(key.decrypt(&context, &record).is_ok());
        }
    }
}

/// A cut record below 94 bytes is `Damaged` whatever else is wrong with it; a longer one has lost
/// the end of its tag, so that it is too.
#[test]
fn each_cut_is_damaged() {
    let (cases, entropy) = (Cases::default(), entropy(2));
    let parts: &[&[u8]] = &[b"place"];
    for suite in Suite::ALL {
        for length in [0, 1, 16, 100, 1024] {
            let key = RecordKey::generate(&entropy).unwrap();
            let store = StoreId::from_bytes(entropy.array());
            let context = Context { purpose: Purpose::Head, store, parts };
            let record = key.encrypt(suite, &context, &vec![5; length], &entropy).unwrap();
            for cut in 0..record.len() {
                assert_eq!(
                    named(key.decrypt(&context, &record[..cut])),
                    Some(Named::Damaged),
                    "{cut}"
                );
                cases.one();
            }
            for more in 1..=32 {
                let longer = [&*record, &vec![0; more]].concat();
                assert_eq!(named(key.decrypt(&context, &longer)), Some(Named::Damaged), "{more}");
                cases.one();
            }
        }
    }
    let key = RecordKey::generate(&entropy).unwrap();
    let context = Context { purpose: Purpose::Head, store: StoreId::from_bytes([0; 16]), parts };
    for length in 0..94 {
        for byte in [0, 1, 2, 255] {
            assert_eq!(named(key.decrypt(&context, &vec![byte; length])), Some(Named::Damaged));
            cases.one();
        }
    }
}

/// A store with namespaces, each with keys and paths of its own.
struct Store {
    id: StoreId,
    root: RecordKey,
    namespaces: Vec<Space>,
}

struct Space {
    name: Namespace,
    key: Key,
    epoch: RecordKey,
    heads: Vec<Key>,
}

fn store(entropy: &Seeded) -> Store {
    let names = NameKey::generate(entropy).unwrap();
    let namespaces = ["prod", "dev", "test"]
        .map(|name| {
            let (id, own) =
                (NamespaceId::generate(entropy).unwrap(), NameKey::generate(entropy).unwrap());
            let name = Namespace::try_from(name).unwrap();
            let heads = ["a", "b", "a/b", "b/a"].map(|rest| {
                let path: SecretPath = format!("{name}/{rest}").parse().unwrap();
                head_key(id, &own, &path)
            });
            Space {
                key: namespace_key(&names, &name),
                name,
                epoch: RecordKey::generate(entropy).unwrap(),
                heads: heads.into(),
            }
        })
        .into();
    Store {
        id: StoreId::from_bytes(entropy.array()),
        root: RecordKey::generate(entropy).unwrap(),
        namespaces,
    }
}

/// A record with the key and the place that it belongs to.
struct Placed<'a> {
    store: StoreId,
    key: &'a RecordKey,
    purpose: Purpose,
    place: &'a Key,
    record: Vec<u8>,
}

/// Every record of two stores is put in the place of every other.
#[test]
fn each_swap_of_two_records_has_its_named_error() {
    let (cases, entropy) = (Cases::default(), entropy(3));
    let stores = [store(&entropy), store(&entropy)];
    let mut all = Vec::new();
    for store in &stores {
        let mut add = |key, purpose, place| {
            let parts: &[&[u8]] = &[Key::as_bytes(place)];
            let context = Context { purpose, store: store.id, parts };
            for suite in Suite::ALL {
                let record = RecordKey::encrypt(key, suite, &context, &[7; 64], &entropy).unwrap();
                all.push(Placed { store: store.id, key, purpose, place, record });
            }
        };
        for space in &store.namespaces {
            add(&store.root, Purpose::Namespace, &space.key);
            for head in &space.heads {
                add(&space.epoch, Purpose::Head, head);
            }
        }
    }
    for here in &all {
        let parts: &[&[u8]] = &[here.place.as_bytes()];
        let context = Context { purpose: here.purpose, store: here.store, parts };
        for other in &all {
            let result = here.key.decrypt(&context, &other.record);
            let same_place = here.store == other.store && here.place == other.place;
            if same_place {
                assert!(result.is_ok());
            } else if here.key.id() == other.key.id() {
                assert_eq!(named(result), Some(Named::NotYours));
                cases.one();
            } else {
                assert_eq!(named(result), Some(Named::UnknownKey));
                cases.one();
            }
        }
        // One key, one place, another purpose; and the same under the id of another store.
        for purpose in PURPOSES.into_iter().filter(|purpose| *purpose != here.purpose) {
            let context = Context { purpose, ..context };
            assert_eq!(named(here.key.decrypt(&context, &here.record)), Some(Named::NotYours));
            cases.one();
        }
        for store in stores.iter().filter(|store| store.id != here.store) {
            let context = Context { store: store.id, ..context };
            assert_eq!(named(here.key.decrypt(&context, &here.record)), Some(Named::NotYours));
            cases.one();
        }
    }
}

/// Where one part ends and the next begins is bound too.
#[test]
fn parts_that_join_to_the_same_bytes_are_another_place() {
    let (cases, entropy) = (Cases::default(), entropy(4));
    let key = RecordKey::generate(&entropy).unwrap();
    let store = StoreId::from_bytes(entropy.array());
    let purpose = Purpose::SealWrap;
    let ways: [&[&[u8]]; 7] = [
        &[b"abc", b"def"],
        &[b"abcd", b"ef"],
        &[b"abcdef"],
        &[b"", b"abcdef"],
        &[b"abcdef", b""],
        &[b"abc", b"", b"def"],
        &[],
    ];
    for (made, parts) in ways.iter().enumerate() {
        let context = Context { purpose, store, parts };
        let record = key.encrypt(Suite::Aes256Gcm, &context, b"x", &entropy).unwrap();
        for (read, parts) in ways.iter().enumerate() {
            let result = key.decrypt(&Context { purpose, store, parts }, &record);
            let expected = if made == read { None } else { Some(Named::NotYours) };
            assert_eq!(named(result), expected);
            cases.one();
        }
    }
}

#[test]
fn each_flip_cut_and_swap_of_a_value_or_blob_is_damaged() {
    let (cases, entropy) = (Cases::default(), entropy(5));
    for suite in Suite::ALL {
        let made: Vec<_> = [0, 1, 64, 65, 300, 300, 300]
            .into_iter()
            .map(|length: usize| {
                let (key, nonce): ([u8; 32], [u8; 12]) = (entropy.array(), entropy.array());
                let value = SecretValue::new(vec![3; length]);
                let text =
                    encrypt_value(&DataKey::from_bytes(&key), &nonce, suite, &value).unwrap();
                (key, nonce, text, length)
            })
            .collect();
        for (at, (key, nonce, text, length)) in made.iter().enumerate() {
            let damaged = |key: &[u8; 32], nonce: &[u8; 12], text: &[u8], length| {
                let error = named(decrypt_value(key, nonce, suite, text, length));
                assert_eq!(error, Some(Named::Damaged));
                cases.one();
            };
            assert!(decrypt_value(key, nonce, suite, text, *length).is_ok());
            let mut flipped = text.clone();
            for byte in 0..text.len() {
                for bit in 0..8 {
                    flipped[byte] ^= 1 << bit;
                    damaged(key, nonce, &flipped, *length);
                    flipped[byte] ^= 1 << bit;
                }
                damaged(key, nonce, &text[..byte], *length);
                // As a blob of two parts: read in turn it opens, the other way round not.
                let (one, two) = text.split_at(byte);
                let whole = decrypt_value_parts(key, nonce, suite, &[one, two], *length);
                assert!(whole.is_ok());
                if byte > 0 {
                    let turned = decrypt_value_parts(key, nonce, suite, &[two, one], *length);
                    assert_eq!(named(turned), Some(Named::Damaged));
                    cases.one();
                    let lost = decrypt_value_parts(key, nonce, suite, &[two], *length);
                    assert_eq!(named(lost), Some(Named::Damaged));
                    cases.one();
                }
            }
            for byte in 0..32 {
                let mut other = *key;
                other[byte] ^= 1;
                damaged(&other, nonce, text, *length);
            }
            for byte in 0..12 {
                let mut other = *nonce;
                other[byte] ^= 1;
                damaged(key, &other, text, *length);
            }
            for (place, (_, _, other, _)) in made.iter().enumerate() {
                if place != at {
                    damaged(key, nonce, other, *length);
                }
            }
            let foreign = Suite::ALL.into_iter().find(|other| *other != suite).unwrap();
            let error = named(decrypt_value(key, nonce, foreign, text, *length));
            assert_eq!(error, Some(Named::Damaged));
            cases.one();
        }
    }
}

#[test]
fn a_thousand_random_records_open_where_they_belong_and_nowhere_else() {
    let (cases, entropy) = (Cases::default(), entropy(6));
    for _ in 0..1000 {
        let key = RecordKey::from_bytes(&entropy.array());
        let parts: Vec<Vec<u8>> = (0..1 + entropy.below(3))
            .map(|_| (0..entropy.below(200)).map(|_| entropy.array::<1>()[0]).collect())
            .collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let purpose = PURPOSES[usize::from(entropy.below(6))];
        let context =
            Context { purpose, store: StoreId::from_bytes(entropy.array()), parts: &parts };
        let suite = Suite::ALL[usize::from(entropy.below(2))];
        let plaintext: Vec<u8> =
            (0..entropy.below(2000)).map(|_| entropy.array::<1>()[0]).collect();
        let mut record = key.encrypt(suite, &context, &plaintext, &entropy).unwrap();
        assert_eq!(record.len(), plaintext.len() + 94);
        assert_eq!(*key.decrypt(&context, &record).unwrap(), plaintext);
        cases.one();
        let (at, bit) = (usize::from(entropy.below(u16::try_from(record.len()).unwrap())), 1);
        record[at] ^= bit << entropy.below(8);
        assert_eq!(named(key.decrypt(&context, &record)), Some(of_byte(at)), "byte {at}");
        cases.one();
    }
}

/// What a key accepts is said by its keyring, and asked before anything is derived.
#[test]
fn a_suite_or_format_that_is_not_accepted_is_an_unknown_format() {
    let (cases, entropy) = (Cases::default(), entropy(7));
    let parts: &[&[u8]] = &[b"place"];
    let context =
        Context { purpose: Purpose::Head, store: StoreId::from_bytes(entropy.array()), parts };
    let lists: [(&[Suite], &[Format]); 4] = [
        (&[Suite::Aes256Gcm], &[Format::V1]),
        (&[Suite::ChaCha20Poly1305], &[Format::V1]),
        (&[], &[Format::V1]),
        (&Suite::ALL, &[]),
    ];
    for (suites, formats) in lists {
        let key = RecordKey::generate(&entropy).unwrap();
        let strict = key.clone().accepting(Accepted::new(suites, formats));
        for suite in Suite::ALL {
            let mut record = key.encrypt(suite, &context, b"x", &entropy).unwrap();
            let accepted = suites.contains(&suite) && !formats.is_empty();
            assert_eq!(strict.decrypt(&context, &record).is_ok(), accepted);
            // Whatever else is wrong with it, it is refused for that.
            record[93] ^= 1;
            let expected = if accepted { Named::Damaged } else { Named::UnknownFormat };
            assert_eq!(named(strict.decrypt(&context, &record)), Some(expected));
            cases.one();
        }
        for first in (0..=255).filter(|first| *first != 1) {
            let mut record = key.encrypt(Suite::Aes256Gcm, &context, b"x", &entropy).unwrap();
            record[0] = first;
            assert_eq!(named(key.decrypt(&context, &record)), Some(Named::UnknownFormat));
            cases.one();
        }
        for second in (0..=255).filter(|second| Suite::from_number(*second).is_none()) {
            let mut record = key.encrypt(Suite::Aes256Gcm, &context, b"x", &entropy).unwrap();
            record[1] = second;
            assert_eq!(named(key.decrypt(&context, &record)), Some(Named::UnknownFormat));
            cases.one();
        }
    }
}

/// The epoch keys of a namespace accept what the root key that opened the record does.
#[test]
fn the_keys_in_a_namespace_record_accept_what_its_root_key_does() {
    let entropy = entropy(8);
    let store = store(&entropy);
    let space = &store.namespaces[0];
    let epoch = RecordKey::from_bytes(&[9; 32]);
    let since = Timestamp::from_millis(1).unwrap();
    let record = NamespaceRecord {
        name: space.name.clone(),
        generation: 1,
        lineage: Lineage::first(WriteId::from_bytes([1; 16]), LogId::from_bytes([2; 8])),
        state: NamespaceState::Live {
            id: NamespaceId::from_bytes([3; 8]),
            names: NameKey::generate(&entropy).unwrap(),
            active: Epoch { number: 2, key: epoch.clone(), since },
            leaving: vec![Epoch { number: 1, key: RecordKey::from_bytes(&[8; 32]), since }],
            erasing: [].into(),
        },
    };
    let (suite, foreign) = (Suite::ChaCha20Poly1305, Suite::Aes256Gcm);
    let root = store.root.clone().accepting(Accepted::new(&[suite], &Format::ALL));
    let bytes = record.encrypt(&root, suite, store.id, &space.key, &entropy).unwrap();
    let opened = NamespaceRecord::decrypt(&root, store.id, &space.key, &bytes).unwrap();
    let NamespaceState::Live { active, leaving, .. } = opened.state else { unreachable!() };
    let parts: &[&[u8]] = &[b"head"];
    let context = Context { purpose: Purpose::Head, store: store.id, parts };
    for (epoch, key) in [(active, [9; 32]), (leaving.into_iter().next().unwrap(), [8; 32])] {
        let writer = RecordKey::from_bytes(&key);
        let head = writer.encrypt(foreign, &context, b"x", &entropy).unwrap();
        assert_eq!(named(epoch.key.decrypt(&context, &head)), Some(Named::UnknownFormat));
        let head = writer.encrypt(suite, &context, b"x", &entropy).unwrap();
        assert!(epoch.key.decrypt(&context, &head).is_ok());
    }
    let bytes = record.encrypt(&root, foreign, store.id, &space.key, &entropy).unwrap();
    let refused = NamespaceRecord::decrypt(&root, store.id, &space.key, &bytes);
    assert_eq!(named(refused), Some(Named::UnknownFormat));
}

/// Flips, cuts and another place of a namespace record, through its own reader.
#[test]
fn each_flip_and_move_of_a_namespace_record_has_its_named_error() {
    let (cases, entropy) = (Cases::default(), entropy(9));
    let store = store(&entropy);
    let space = &store.namespaces[0];
    let record = NamespaceRecord {
        name: space.name.clone(),
        generation: 4,
        lineage: Lineage::first(WriteId::from_bytes([1; 16]), LogId::from_bytes([2; 8])),
        state: NamespaceState::Destroyed {
            erasing: [NamespaceId::from_bytes([3; 8]), NamespaceId::from_bytes([4; 8])].into(),
        },
    };
    for suite in Suite::ALL {
        let bytes = record.encrypt(&store.root, suite, store.id, &space.key, &entropy).unwrap();
        let open =
            |key: &Key, bytes: &[u8]| NamespaceRecord::decrypt(&store.root, store.id, key, bytes);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(named(open(&space.key, &flipped)), Some(of_byte(at)), "byte {at}");
                cases.one();
            }
            assert_eq!(named(open(&space.key, &bytes[..at])), Some(Named::Damaged));
            cases.one();
        }
        for other in &store.namespaces[1..] {
            assert_eq!(named(open(&other.key, &bytes)), Some(Named::NotYours));
            cases.one();
        }
        let epoch = NamespaceRecord::decrypt(&space.epoch, store.id, &space.key, &bytes);
        assert_eq!(named(epoch), Some(Named::UnknownKey));
        cases.one();
    }
}
