//! What can be seen of a store, and whether its logs and records are in order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroU32;

use strongroom_audit::{Line, Verdict, read_line};
use strongroom_core::{AuditSink as _, LogId, Opaque, Outcome, Receipt, SecretPath};
use strongroom_crypto::KeyClass;
use strongroom_engine::{Error, Session, Strongroom};

use crate::world::{World, alice, finish};

/// What callers can see, but times and sequence numbers, and how many blobs are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    namespaces: Vec<String>,
    secrets: BTreeMap<SecretPath, Vec<String>>,
    blobs: usize,
}

impl View {
    /// Sweeps, and looks at all there is.
    pub(crate) fn of(world: &World, room: &Strongroom) -> Self {
        let session = alice(room);
        let namespaces = finish(session.list_namespaces()).unwrap();
        for name in ["prod", "new"] {
            match finish(session.sweep(name)) {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let mut secrets = BTreeMap::new();
        for name in &namespaces {
            let listing = finish(session.list(name.as_str())).unwrap();
            for path in finish(listing.sorted()).unwrap() {
                let seen = secret(&session, &path);
                secrets.insert(path, seen);
            }
        }
        let (mut blobs, mut owners) = (0, BTreeSet::new());
        for key in world.memory.snapshot().keys() {
            match KeyClass::parse(key.as_bytes()) {
                Some(KeyClass::Blob(blob)) => {
                    blobs += 1;
                    owners.insert(format!("{:?}", blob.namespace));
                }
                Some(KeyClass::Head { namespace, .. }) => {
                    owners.insert(format!("{namespace:?}"));
                }
                _ => {}
            }
        }
        assert!(owners.len() <= namespaces.len(), "records of a namespace that is no more");
        let namespaces = namespaces.iter().map(|name| name.as_str().to_owned()).collect();
        Self { namespaces, secrets, blobs }
    }
}

fn secret(session: &Session, path: &SecretPath) -> Vec<String> {
    let metadata = finish(session.metadata(path)).unwrap();
    let mut seen = vec![format!("{} {:?}", metadata.kind, metadata.metadata)];
    for version in &metadata.versions {
        let secret = format!("{path}@{}", version.version);
        let value = match finish(session.get::<Opaque>(&*secret)) {
            Ok(secret) => secret.value().expose(digest),
            Err(error) => error.to_string(),
        };
        seen.push(format!("{version:?} {value}"));
    }
    seen.push(format!("next {}", metadata.next_version));
    seen
}

fn digest(value: &[u8]) -> String {
    let start = String::from_utf8_lossy(&value[..value.len().min(16)]);
    format!("{start} {} {}", value.len(), value.iter().map(|byte| u64::from(*byte)).sum::<u64>())
}

/// No accusation, nothing open; no gap either, unless a log was left without its end.
pub(crate) fn verify(room: &Strongroom, has_dead_logs: bool) {
    let report = finish(alice(room).verify()).unwrap();
    let fine = |verdict| verdict == Verdict::Gap && has_dead_logs;
    let findings: Vec<_> =
        report.findings.iter().filter(|finding| !fine(finding.verdict)).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Whether the writer of a log ended it.
pub(crate) fn is_ended(world: &World, log: LogId) -> bool {
    lines(world).iter().any(|(receipt, line)| {
        receipt.log == log && matches!(read_line(line).unwrap(), Line::Close(_))
    })
}

/// The intents of which no log says what became of them; or that nobody can tell any more.
pub(crate) fn open_intents(world: &World, or_unknown: bool) -> usize {
    let (mut intents, mut told) = (HashSet::new(), HashSet::new());
    for (receipt, line) in lines(world) {
        match read_line(&line).unwrap() {
            Line::Intent(_) => drop(intents.insert(receipt)),
            Line::Outcome(line) if or_unknown || line.outcome != Outcome::Unknown => {
                told.insert(Receipt { log: line.log, index: line.intent });
            }
            _ => {}
        }
    }
    intents.difference(&told).count()
}

fn lines(world: &World) -> Vec<(Receipt, Vec<u8>)> {
    finish(world.log.reader().unwrap().read(None, NonZeroU32::MAX)).unwrap()
}
