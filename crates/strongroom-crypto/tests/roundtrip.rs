//! Whatever is written is read back, and written alike again: heads, keyrings, namespace records.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use strongroom_core::{
    Digest, Entropy, EntropyError, Key, LogId, Metadata, Namespace, SealId, Timestamp, Version,
    VersionState, WrappedKey, WriteId,
};
use strongroom_crypto::{
    Accepted, AuditKey, BlobRef, DataKey, Epoch, Format, Head, HeadBase, HeadRef, HoldEntry,
    Identifiers, Identity, Keyring, Lineage, LiveHead, NameKey, NamespaceId, NamespaceRecord,
    NamespaceState, Place, RecordKey, SealEntry, SealedKeyring, Stages, Suite, ValueSlot,
    VersionEntry, store_id,
};

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

fn lineage() -> impl Strategy<Value = Lineage> {
    (vec(any::<[u8; 16]>(), 1..12), any::<[u8; 32]>(), any::<[u8; 8]>()).prop_map(
        |(writes, prev, log)| {
            let (log, prev) = (LogId::from_bytes(log), Digest::from_bytes(prev));
            let mut writes = writes.into_iter().map(WriteId::from_bytes);
            let first = Lineage::first(writes.next().unwrap(), log);
            writes.fold(first, |lineage, write| lineage.next(prev, write, log))
        },
    )
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..250_000_000_000_000_u64).prop_map(|millis| Timestamp::from_millis(millis).unwrap())
}

fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::Aes256Gcm), Just(Suite::ChaCha20Poly1305)]
}

fn slot() -> impl Strategy<Value = ValueSlot<DataKey, Vec<u8>>> {
    let inline = vec(any::<u8>(), 0..200).prop_map(Place::Inline);
    let blob = (any::<u64>(), any::<[u8; 16]>(), 1..=u8::MAX)
        .prop_map(|(seq, random, parts)| Place::Blob(BlobRef { seq, random, parts }));
    let place = prop_oneof![inline, blob];
    (suite(), any::<[u8; 32]>(), any::<[u8; 12]>(), any::<u32>(), place).prop_map(
        |(suite, key, nonce, length, place)| ValueSlot {
            suite,
            key: DataKey::from_bytes(&key),
            nonce,
            length,
            place,
        },
    )
}

fn identifiers() -> impl Strategy<Value = Identifiers<DataKey, Vec<u8>>> {
    prop_oneof![
        vec(any::<u8>(), 0..100).prop_map(Identifiers::Inline),
        slot().prop_map(Identifiers::Blob),
    ]
}

fn entry(number: u64) -> impl Strategy<Value = VersionEntry> {
    let state = prop_oneof![
        Just(VersionState::Enabled),
        Just(VersionState::Disabled),
        Just(VersionState::Deleted),
        Just(VersionState::Destroyed),
    ];
    let hold = (".{0,12}", timestamp()).prop_map(|(id, until)| HoldEntry { id, until });
    let content = (identifiers(), slot());
    (state, timestamp(), timestamp(), vec(hold, 0..3), content).prop_map(
        move |(state, created, changed, holds, (identifiers, value))| {
            let kept = state != VersionState::Destroyed;
            VersionEntry {
                version: Version::new(number).unwrap(),
                state,
                created,
                changed,
                holds,
                identifiers: kept.then_some(identifiers),
                value: kept.then_some(value),
            }
        },
    )
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let text = || option::of(".{0,20}");
    let labels = btree_map("[a-z]{1,8}", ".{0,12}", 0..5);
    let expires = option::of(
        (1..250_000_000_000_000_u64).prop_map(|millis| Timestamp::from_millis(millis).unwrap()),
    );
    (labels, text(), text(), expires, any::<u8>(), any::<bool>()).prop_map(
        |(labels, owner, description, expires, max_versions, cas_required)| {
            let mut metadata = Metadata::default();
            metadata.labels = labels;
            metadata.owner = owner;
            metadata.description = description;
            metadata.expires = expires;
            metadata.max_versions = max_versions;
            metadata.cas_required = cas_required;
            metadata
        },
    )
}

fn live() -> impl Strategy<Value = LiveHead> {
    let numbers = btree_set(1..50_u64, 0..6);
    let versions = numbers
        .prop_flat_map(|numbers: BTreeSet<u64>| numbers.into_iter().map(entry).collect::<Vec<_>>());
    let annexes = btree_map("[a-z]{1,8}", vec(any::<u8>(), 0..40), 0..4);
    let stages = any::<[Option<prop::sample::Index>; 3]>();
    ("[a-z-]{1,20}", timestamp(), metadata(), annexes, stages, versions).prop_map(
        |(kind, created, metadata, annexes, stages, versions)| {
            let pick = |at: &Option<prop::sample::Index>| match at {
                Some(at) if !versions.is_empty() => Some(at.get(&versions).version),
                _ => None,
            };
            let [current, pending, previous] = stages.each_ref().map(pick);
            let stages = Stages { current, pending, previous };
            LiveHead { kind, created, metadata, annexes, stages, versions }
        },
    )
}

fn head() -> impl Strategy<Value = Head> {
    let base = (1..=u64::MAX, lineage(), any::<u64>(), any::<u64>(), 50..=u64::MAX, timestamp())
        .prop_map(|(seq, lineage, keyring_generation, namespace_generation, next, updated)| {
            let next_version = Version::new(next).unwrap();
            HeadBase {
                seq,
                lineage,
                keyring_generation,
                namespace_generation,
                next_version,
                updated,
            }
        });
    ("[a-z]{1,8}(/[a-z0-9_-]{1,8}){1,4}", base, option::of(live()))
        .prop_map(|(path, base, live)| Head { path: path.parse().unwrap(), base, live })
}

fn namespace_record() -> impl Strategy<Value = NamespaceRecord> {
    let ids = || btree_set(any::<[u8; 8]>().prop_map(NamespaceId::from_bytes), 0..64);
    let destroyed = ids().prop_map(|erasing| NamespaceState::Destroyed { erasing });
    let epochs = btree_map(1..=u64::MAX, (any::<[u8; 32]>(), timestamp()), 1..=5);
    let live = (any::<[u8; 8]>(), any::<[u8; 32]>(), epochs, ids()).prop_map(
        |(id, names, epochs, mut erasing)| {
            let id = NamespaceId::from_bytes(id);
            erasing.remove(&id);
            let mut leaving: Vec<Epoch> = epochs
                .into_iter()
                .map(|(number, (key, since))| Epoch {
                    number,
                    key: RecordKey::from_bytes(&key),
                    since,
                })
                .collect();
            let active = leaving.pop().unwrap();
            let names = NameKey::from_bytes(&names);
            NamespaceState::Live { id, names, active, leaving, erasing }
        },
    );
    ("[a-z]{1,20}", 1..=u64::MAX, lineage(), prop_oneof![live, destroyed]).prop_map(
        |(name, generation, lineage, state)| NamespaceRecord {
            name: Namespace::try_from(name.as_str()).unwrap(),
            generation,
            lineage,
            state,
        },
    )
}

fn keyring() -> impl Strategy<Value = Keyring> {
    let seal = ("[a-z0-9-]{1,32}", vec(any::<u8>(), 0..64), vec(any::<u8>(), 0..200));
    let seals = btree_map(any::<[u8; 8]>(), seal, 0..=16).prop_map(|seals| {
        let entry = |(id, (kind, parameters, wrapped))| SealEntry {
            id: SealId::from_bytes(id),
            kind,
            wrapped: WrappedKey { parameters, wrapped },
        };
        seals.into_iter().map(entry).collect::<Vec<_>>()
    });
    let keys = any::<[[u8; 32]; 4]>();
    let leaving = option::of(any::<[u8; 32]>());
    (1..=u64::MAX, seals, lineage(), keys, leaving, suite(), any::<bool>()).prop_map(
        |(generation, seals, lineage, [root, names, audit, seed], leaving, suite, all)| {
            let identity = Identity::from_seed(&seed);
            Keyring {
                store: store_id(&identity.public_key()),
                generation,
                seals,
                lineage,
                root: RecordKey::from_bytes(&root),
                leaving_root: leaving.map(|key| RecordKey::from_bytes(&key)),
                store_names: NameKey::from_bytes(&names),
                audit: AuditKey::from_bytes(&audit),
                identity,
                suite,
                accepted: if all { Accepted::ALL } else { Accepted::new(&[suite], &Format::ALL) },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_head_is_read_back_and_written_alike(head in head()) {
        let bytes = head.encode().unwrap();
        let view = HeadRef::parse(&bytes).unwrap();
        prop_assert_eq!(view.path, head.path.as_str());
        prop_assert_eq!(&view.base, &head.base);
        let again = view.to_head().unwrap();
        if let (Some(one), Some(two)) = (&head.live, &again.live) {
            prop_assert_eq!(&one.metadata, &two.metadata);
            prop_assert_eq!(&one.annexes, &two.annexes);
            prop_assert_eq!(one.stages, two.stages);
            prop_assert_eq!(one.versions.len(), two.versions.len());
        }
        prop_assert_eq!(head.live.is_some(), again.live.is_some());
        prop_assert_eq!(&*again.encode().unwrap(), &*bytes);
    }

    #[test]
    fn a_namespace_record_is_read_back_and_written_alike(
        record in namespace_record(), suite in suite(), root in any::<[u8; 32]>()
    ) {
        let bytes = record.encode().unwrap();
        let again = NamespaceRecord::decode(&bytes).unwrap();
        prop_assert_eq!(&again.name, &record.name);
        prop_assert_eq!((again.generation, again.lineage), (record.generation, record.lineage));
        prop_assert_eq!(&*again.encode().unwrap(), &*bytes);
        let (root, entropy) = (RecordKey::from_bytes(&root), Counting::default());
        let (store, key) = (strongroom_core::StoreId::from_bytes([1; 16]), Key::new(*b"\x02place"));
        let sealed = record.encrypt(&root, suite, store, &key, &entropy).unwrap();
        let opened = NamespaceRecord::decrypt(&root, store, &key, &sealed).unwrap();
        prop_assert_eq!(&*opened.encode().unwrap(), &*bytes);
    }

    /// No other bytes than those that are written are read: one changed byte is refused, or is
    /// another record that is written so.
    #[test]
    fn what_is_read_of_a_changed_namespace_record_is_written_alike(
        record in namespace_record(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = record.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = NamespaceRecord::decode(&bytes) {
            prop_assert_eq!(&*read.encode().unwrap(), &*bytes);
        }
    }

    #[test]
    fn what_is_read_of_a_changed_head_is_written_alike(
        head in head(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = head.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = HeadRef::parse(&bytes).and_then(|view| view.to_head()) {
            prop_assert_eq!(&*read.encode().unwrap(), &*bytes);
        }
    }
}

proptest! {
    // A signature each way.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_keyring_is_read_back_and_written_alike(keyring in keyring()) {
        let bytes = keyring.encode(&Counting::default()).unwrap();
        let sealed = SealedKeyring::parse(&bytes).unwrap();
        let opened = sealed.open(&keyring.root_key_for_wrapping()).unwrap();
        prop_assert_eq!(&opened.seals, &keyring.seals);
        prop_assert_eq!((opened.suite, opened.accepted), (keyring.suite, keyring.accepted));
        prop_assert_eq!((opened.generation, opened.lineage), (keyring.generation, keyring.lineage));
        prop_assert_eq!(opened.leaving_root.is_some(), keyring.leaving_root.is_some());
        prop_assert_eq!(opened.encode(&Counting::default()).unwrap(), bytes);
    }
}
