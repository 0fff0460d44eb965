//! A small store that was used, with all that it was on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use strongroom_audit::{FileLog, Line, read_line};
use strongroom_core::{
    AccessRequest, Anchor, Decision, Entry, Key, LogId, MetadataUpdate, Opaque, Pin, PolicyEngine,
    Principal, StoreId, Subject, async_trait,
};
use strongroom_engine::{Builder, Error, Session, Strongroom};
use strongroom_testkit::{ManualClock, MemoryAnchor, MemorySeal, MemoryStorage, SeededEntropy};

use super::Dice;

/// The last one is written as blobs alone, and never destroyed.
pub(super) const PATHS: [&str; 4] = ["prod/db", "prod/api/key", "dev/db", "prod/large"];

pub(super) type Records = BTreeMap<Key, Entry>;
/// By name, without the zero bytes that are laid out behind the last line.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Storage, logs and pins at one moment.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) records: Records,
    pub(super) files: Files,
    pub(super) pins: Vec<Pin>,
}

/// The same at all moments, the last one being now.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) moments: Vec<Moment>,
    /// The storage keys of the paths that have a head.
    pub(super) heads: BTreeMap<&'static str, Key>,
    /// Those of the namespaces.
    namespaces: BTreeMap<&'static str, Key>,
    pub(super) is_anchored: bool,
    world: World,
}

#[derive(Debug)]
struct World {
    clock: ManualClock,
    seal: MemorySeal,
    seed: u64,
}

#[derive(Debug)]
struct AllowAll;

#[async_trait]
impl PolicyEngine for AllowAll {
    fn revision(&self) -> u64 {
        0
    }
    fn needs_secret(&self, _: &AccessRequest) -> bool {
        false
    }
    fn subject(&self, _: &Principal) -> Subject {
        Subject::unresolved(0)
    }
    async fn decide(&self, _: &Subject, _: &AccessRequest) -> Decision {
        Decision::allow()
    }
}

impl World {
    fn builder(&self, storage: MemoryStorage, log: FileLog, seed: u64) -> Builder {
        Strongroom::builder()
            .storage(storage)
            .seal(self.seal.clone())
            .policy(AllowAll)
            .audit(log)
            .clock(self.clock.clone())
            .entropy(SeededEntropy::new(self.seed.wrapping_mul(1000).wrapping_add(seed)))
    }
}

pub(super) fn session(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

/// The files of a directory, each up to the first zero byte.
pub(super) fn files(dir: &Path) -> Files {
    let mut files = Files::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
        files.insert(path.file_name().unwrap().to_string_lossy().into_owned(), bytes);
    }
    files
}

pub(super) fn class(key: &Key) -> u8 {
    key.as_bytes().first().copied().unwrap_or(0)
}

impl Used {
    /// Several processes, one after the other and two at a time, of which some end without closing.
    pub(super) fn of(dice: &mut Dice, seed: u64) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("audit");
        let world = World { clock: ManualClock::new(), seal: MemorySeal::new(), seed };
        let (storage, anchor) = (MemoryStorage::new(), MemoryAnchor::new());
        let is_anchored = dice.one_in(2);
        let bytes = if dice.one_in(2) { 4096 } else { 1 << 30 };
        let mut moments: Vec<Moment> = Vec::new();
        let (mut heads, mut namespaces) = (BTreeMap::new(), BTreeMap::new());
        let mut store: Option<StoreId> = None;
        for life in 0..2 + dice.below(3) as u64 {
            let mut rooms = Vec::new();
            for beside in 0..1 + dice.below(2) as u64 {
                let log = FileLog::open_inline(&dir).unwrap().with_segment_bytes(bytes);
                let mut builder = world.builder(storage.clone(), log, 2 * life + beside);
                if is_anchored {
                    builder = builder.anchor(anchor.clone());
                }
                rooms.push(block_on(builder.open_or_create()).unwrap());
            }
            store = store.or_else(|| store_of(&files(&dir)));
            let mut note = |path: Option<&'static str>| {
                let records = storage.snapshot();
                if let (Some(path), Some(before)) = (path, moments.last()) {
                    let changed = |of: u8| {
                        let mut changed = records.iter().filter(|(key, entry)| {
                            class(key) == of && before.records.get(*key) != Some(*entry)
                        });
                        changed.next().map(|(key, _)| key.clone())
                    };
                    heads.extend(changed(3).map(|key| (path, key)));
                    // The first put below a namespace makes it.
                    let namespace = path.split('/').next().unwrap();
                    namespaces.extend(changed(2).map(|key| (namespace, key)));
                }
                let pins = store.map(|store| block_on(anchor.load(store)).unwrap());
                let pins = pins.unwrap_or_default();
                moments.push(Moment { records, files: files(&dir), pins });
            };
            note(None);
            for _ in 0..2 + dice.below(8) {
                let room = &rooms[dice.below(rooms.len())];
                let path = act(dice, room, &world.clock);
                note(path);
            }
            for room in rooms {
                if dice.one_in(2) {
                    block_on(room.close()).unwrap();
                } else {
                    drop(room);
                }
                note(None);
            }
        }
        Self { moments, heads, namespaces, is_anchored, world }
    }

    pub(super) fn now(&self) -> &Moment {
        self.moments.last().unwrap()
    }

    /// A path whose head was written when the namespace record of that key was a newer one than it
    /// was then: that head tells.
    pub(super) fn written_since(&self, key: &Key, was: Option<&Entry>) -> Option<&'static str> {
        let newer = self.moments.iter().skip_while(|at| at.records.get(key) != was);
        let newer: Vec<&Moment> = newer.skip_while(|at| at.records.get(key) == was).collect();
        let (first, last) = (newer.first()?, newer.last()?);
        let is_of = |path: &&str| {
            let namespace = path.split('/').next();
            self.namespaces.get(namespace.unwrap()) == Some(key)
        };
        let changed = |path: &&str| {
            let head = &self.heads[path];
            first.records.get(head) != last.records.get(head)
        };
        self.heads.keys().copied().filter(|path| is_of(path)).find(changed)
    }

    /// Opens the store as it is at a moment, in a directory of its own.
    pub(super) fn open(&self, at: &Moment, dir: &Path) -> Result<Strongroom, Error> {
        fs::create_dir_all(dir).unwrap();
        for (name, bytes) in &at.files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        let storage = MemoryStorage::new();
        storage.restore(at.records.clone());
        let log = FileLog::open_inline(dir).unwrap();
        let mut builder = self.world.builder(storage, log, 999);
        if self.is_anchored {
            let anchor = MemoryAnchor::new();
            // The pins are outside: nobody sets them back.
            let store = store_of(&self.now().files).unwrap();
            for pin in &self.now().pins {
                block_on(anchor.advance(store, pin, &[])).unwrap();
            }
            builder = builder.anchor(anchor);
        }
        block_on(builder.open())
    }
}

/// One thing that is done and waited for. The path whose head it replaced.
fn act(dice: &mut Dice, room: &Strongroom, clock: &ManualClock) -> Option<&'static str> {
    let session = session(room);
    let path = PATHS[dice.below(PATHS.len())];
    let namespace = path.split('/').next().unwrap();
    let bytes = if path == "prod/large" { 2000 } else { 40 };
    let put = || block_on(session.put(path, Opaque::new(vec![b'x'; bytes]))).is_ok();
    let replaced = match dice.below(10) {
        0..4 => put(),
        4 => {
            let update = MetadataUpdate::new().label("round", dice.roll().to_string());
            block_on(session.update_metadata(path, update)).is_ok()
        }
        5 => block_on(session.delete(path)).is_ok(),
        6 => {
            // Of a namespace that there is not yet nothing is rotated.
            let _ = block_on(session.rotate_keys(namespace));
            false
        }
        7 => {
            let _ = block_on(session.rewrap(namespace));
            false
        }
        8 => {
            clock.advance(Duration::from_secs(61));
            put()
        }
        _ => {
            block_on(room.checkpoint()).unwrap();
            false
        }
    };
    replaced.then_some(path)
}

/// The logs of a directory, each with the names of its files in order.
pub(super) fn logs(files: &Files) -> BTreeMap<LogId, Vec<String>> {
    let mut logs: BTreeMap<LogId, Vec<String>> = BTreeMap::new();
    for name in files.keys().filter(|name| name.ends_with(".jsonl")) {
        let log = name.split('.').next().and_then(|name| name.parse().ok());
        logs.entry(log.unwrap()).or_default().push(name.clone());
    }
    for names in logs.values_mut() {
        // The first one has no number: `a.jsonl` would come after `a.000001.jsonl`.
        names.sort_by_key(|name| (name.matches('.').count(), name.clone()));
    }
    logs
}

/// The lines of a log, over all its files.
pub(super) fn lines<'a>(files: &'a Files, names: &[String]) -> Vec<&'a [u8]> {
    let bytes = names.iter().filter_map(|name| files.get(name));
    let lines = bytes.flat_map(|bytes| bytes.split_inclusive(|byte| *byte == b'\n'));
    lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
}

/// The store that the first line of a log names.
fn store_of(files: &Files) -> Option<StoreId> {
    let first = logs(files).into_values().next()?;
    match read_line(lines(files, &first).first()?) {
        Ok(Line::Open(line)) => Some(line.store),
        _ => None,
    }
}

/// What a log says of how much of it was registered.
pub(super) fn told(lines: &[&[u8]]) -> u64 {
    let (mut signed, mut unsigned) = (0, 0);
    for line in lines {
        match read_line(line) {
            Ok(Line::Checkpoint(line)) => {
                signed = std::mem::replace(&mut unsigned, line.registered)
            }
            Ok(Line::Segment(line)) => signed = std::mem::replace(&mut unsigned, line.registered),
            Ok(Line::Close(line)) => return line.registered,
            _ => {}
        }
    }
    signed
}
