//! Storage and log that are set back together agree with each other, and not with their anchor.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::{
    Anchor, AnchorError, Argon2Cost, Entry, Error, FileAnchor, FileLog, Freshness, Key, LogId,
    Opaque, Passphrase, Pin, Policy, Principal, StoreId, Strongroom, Tampered, Unavailable,
    async_trait, blocking, path,
};
use strongroom_testkit::{ManualClock, MemoryStorage};

struct Place {
    scratch: tempfile::TempDir,
    storage: MemoryStorage,
    clock: ManualClock,
}

/// Storage and log at one moment.
struct Moment {
    records: BTreeMap<Key, Entry>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Place {
    fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            storage: MemoryStorage::new(),
            clock: ManualClock::new(),
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn builder(&self, audit: &Path) -> strongroom::Builder {
        Strongroom::builder()
            .storage(self.storage.clone())
            .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
            .policy(Policy::owned_by(&Principal::user("alice")))
            .audit(FileLog::open(audit).unwrap())
            .clock(self.clock.clone())
    }

    fn try_open(&self) -> Result<blocking::Strongroom, Error> {
        let anchor = FileAnchor::new(self.dir("pins"));
        self.builder(&self.dir("audit")).anchor(anchor).blocking().open_or_create()
    }

    fn open(&self) -> blocking::Strongroom {
        self.try_open().unwrap()
    }

    fn moment(&self) -> Moment {
        let files = fs::read_dir(self.dir("audit")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let files = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Moment { records: self.storage.snapshot(), files }
    }

    fn set_back(&self, to: &Moment) {
        self.storage.restore(to.records.clone());
        fs::remove_dir_all(self.dir("audit")).unwrap();
        fs::create_dir(self.dir("audit")).unwrap();
        for (path, bytes) in &to.files {
            fs::write(path, bytes).unwrap();
        }
    }

    fn pins(&self) -> usize {
        let stores = fs::read_dir(self.dir("pins")).unwrap();
        stores.map(|store| fs::read_dir(store.unwrap().path()).unwrap().count()).sum()
    }
}

fn alice(room: &blocking::Strongroom) -> blocking::Session {
    room.session(Principal::user("alice"))
}

fn put(room: &blocking::Strongroom, value: &str) {
    alice(room).put("prod/db", Opaque::new(value.as_bytes())).unwrap();
}

#[track_caller]
fn is_set_back<T: std::fmt::Debug>(answer: Result<T, Error>, log: LogId) {
    let told = |found: &Tampered| match found {
        Tampered::StorageRolledBack { log: found, .. } => *found == log,
        _ => false,
    };
    assert!(matches!(&answer, Err(Error::Tampered(found)) if told(found)), "{answer:?}");
}

#[test]
fn storage_and_log_that_are_set_back_together_are_found_at_open() {
    let place = Place::new();
    let room = place.open();
    put(&room, "revoked");
    room.close().unwrap();
    let before = place.moment();
    let room = place.open();
    put(&room, "in force");
    let log = room.log();
    room.close().unwrap();
    let after = place.moment();

    place.set_back(&before);
    is_set_back(place.try_open(), log);
    // Without the anchor nobody sees it.
    place.set_back(&before);
    let room = place.builder(&place.dir("audit")).blocking().open().unwrap();
    assert_eq!(alice(&room).verify().unwrap().accusations().count(), 0);
    drop(room);

    place.set_back(&after);
    place.open();
}

#[test]
fn what_a_checkpoint_pinned_is_held_while_the_store_is_in_use() {
    let place = Place::new();
    let room = place.open();
    put(&room, "revoked");
    let before = place.storage.snapshot();
    put(&room, "in force");
    room.checkpoint().unwrap();

    let pinned = alice(&room).with_freshness(Freshness::Pinned);
    let read: Opaque = pinned.get("prod/db").unwrap();
    assert!(read.value().expose(|bytes| bytes == b"in force"));
    place.storage.restore(before);
    is_set_back(pinned.get::<Opaque>("prod/db").map(drop), room.log());
    for answer in pinned.get_many::<Opaque>(&[path!("prod/db"), path!("prod/other")]).unwrap() {
        is_set_back(answer.map(drop), room.log());
    }
    let read: Opaque = alice(&room).get("prod/db").unwrap();
    assert!(read.value().expose(|bytes| bytes == b"revoked"), "the storage is believed");
}

#[test]
fn what_is_written_after_a_minute_is_pinned_and_so_is_the_end() {
    let place = Place::new();
    let room = place.open();
    let before = place.moment();
    place.clock.advance(Duration::from_secs(61));
    put(&room, "one");
    let log = room.log();
    drop(room);
    place.set_back(&before);
    is_set_back(place.try_open(), log);
}

#[test]
fn nobody_is_refused_who_closes_dies_or_has_a_directory_of_its_own() {
    let place = Place::new();
    for round in 0..8 {
        let (one, two) = (place.open(), place.open());
        put(&one, "one");
        put(&two, "two");
        if round % 2 == 0 {
            one.checkpoint().unwrap();
        }
        place.clock.advance(Duration::from_secs(40));
        put(&two, "three");
        if round % 3 > 0 {
            one.close().unwrap();
        }
        let anchor = FileAnchor::new(place.dir("pins"));
        let elsewhere =
            place.builder(&place.dir("elsewhere")).anchor(anchor).blocking().open().unwrap();
        put(&elsewhere, "four");
        if round % 2 == 0 {
            elsewhere.close().unwrap();
        }
    }
    let room = place.open();
    let read = alice(&room).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db");
    assert!(read.is_ok());
    room.close().unwrap();
    // Pins of logs that have ended are covered by those of the next ones.
    assert!(place.pins() <= 6, "{}", place.pins());
}

#[test]
fn an_anchor_that_is_away_refuses_openings_and_checkpoints_and_no_write() {
    let place = Place::new();
    let room = place.open();
    put(&room, "one");
    fs::remove_dir_all(place.dir("pins")).unwrap();
    fs::write(place.dir("pins"), "in the way").unwrap();
    place.clock.advance(Duration::from_secs(61));
    put(&room, "two");
    let refused = room.checkpoint().unwrap_err();
    assert!(matches!(refused, Error::Unavailable(Unavailable::Anchor(_))), "{refused:?}");
    let refused = alice(&room).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db");
    assert!(matches!(refused, Err(Error::Unavailable(Unavailable::Anchor(_)))));
    room.close().unwrap();
    let refused = place.try_open();
    assert!(matches!(refused, Err(Error::Unavailable(Unavailable::Anchor(_)))), "{refused:?}");
    fs::remove_file(place.dir("pins")).unwrap();
    place.open();
}

#[test]
fn a_pin_that_somebody_else_made_is_found_and_pinned_reads_need_an_anchor() {
    let place = Place::new();
    place.open().close().unwrap();
    let store = fs::read_dir(place.dir("pins")).unwrap().next().unwrap().unwrap().path();
    let pin = fs::read_dir(&store).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&pin).unwrap();
    bytes[55] ^= 1;
    fs::write(&pin, bytes).unwrap();
    assert!(matches!(place.try_open(), Err(Error::Tampered(Tampered::Pin(_)))));

    let room = place.builder(&place.dir("audit")).blocking().open().unwrap();
    let refused = alice(&room).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db");
    assert!(matches!(refused, Err(Error::Unavailable(Unavailable::Unsupported(_)))));
}

type Meanwhile = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// Something happens after its pins are told, or before a pin is kept.
struct Interrupted {
    pins: FileAnchor,
    after_load: Meanwhile,
    before_advance: Meanwhile,
}

impl Interrupted {
    fn new(place: &Place) -> Arc<Self> {
        let pins = FileAnchor::new(place.dir("pins"));
        Arc::new(Self { pins, after_load: Mutex::default(), before_advance: Mutex::default() })
    }

    fn happens(meanwhile: &Meanwhile) {
        let meanwhile = meanwhile.lock().unwrap().take();
        meanwhile.into_iter().for_each(|happens| happens());
    }
}

impl std::fmt::Debug for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Interrupted").finish_non_exhaustive()
    }
}

#[async_trait]
impl Anchor for Interrupted {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        let pins = self.pins.load(store).await;
        Self::happens(&self.after_load);
        pins
    }
    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        Self::happens(&self.before_advance);
        self.pins.advance(store, pin, covers).await
    }
}

/// Two prunes later: the first takes away a log, the second what is registered of it.
fn prune_twice(place: &Place, log: LogId) {
    let keep = Duration::from_secs(60);
    for _ in 0..2 {
        place.clock.advance(keep * 2);
        // Each takes over the pins of logs that have ended.
        let room = place.open();
        alice(&room).prune(keep).unwrap();
        room.close().unwrap();
    }
    let key = Key::new([&[5], log.as_bytes().as_slice()].concat());
    assert!(!place.storage.snapshot().contains_key(&key), "it is gone");
}

#[test]
fn a_log_that_is_pruned_after_its_pin_was_told_accuses_nobody() {
    for at_open in [false, true] {
        let place = Arc::new(Place::new());
        let writer = place.open();
        put(&writer, "one");
        let ended = place.open();
        put(&ended, "two");
        ended.checkpoint().unwrap();
        let anchor = Interrupted::new(&place);
        let opens = || place.builder(&place.dir("audit")).anchor(anchor.clone()).blocking().open();
        let reader = (!at_open).then(|| opens().unwrap());

        let (log, there) = (ended.log(), place.clone());
        *anchor.after_load.lock().unwrap() = Some(Box::new(move || {
            ended.close().unwrap();
            prune_twice(&there, log);
        }));
        let reader = reader.unwrap_or_else(|| opens().unwrap());
        let read = alice(&reader).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db");
        assert!(read.unwrap().value().expose(|bytes| bytes == b"two"));
        assert!(anchor.after_load.lock().unwrap().is_none(), "all of it happened");
    }
}

/// Found by simulation: a log is ended, and slow to be pinned. It has gone when its pin arrives.
#[test]
fn a_pin_that_arrives_when_its_log_is_pruned_accuses_nobody_and_goes() {
    let place = Arc::new(Place::new());
    let reader = place.open();
    let anchor = Interrupted::new(&place);
    let late = place.builder(&place.dir("audit")).anchor(anchor.clone()).blocking().open().unwrap();
    put(&late, "one");
    let (log, there) = (late.log(), place.clone());
    *anchor.before_advance.lock().unwrap() = Some(Box::new(move || prune_twice(&there, log)));
    late.close().unwrap();
    let pins = place.pins();

    let read = alice(&reader).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db");
    assert!(read.unwrap().value().expose(|bytes| bytes == b"one"));
    place.open().close().unwrap();
    // That one's own pin is there instead of it, and of the one that closed before.
    assert!(place.pins() < pins, "{} of {pins}", place.pins());
    let before = place.moment();
    let room = place.open();
    put(&room, "two");
    let log = room.log();
    room.close().unwrap();
    place.set_back(&before);
    is_set_back(place.try_open(), log);
}

/// The snapshot that tells of its log does not show that the storage has what the pin asks for.
#[test]
fn a_storage_from_before_is_found_though_the_log_of_the_pin_was_pruned() {
    let place = Place::new();
    let reader = place.open();
    alice(&reader).create_namespace("prod").unwrap();
    reader.checkpoint().unwrap();
    let writer = place.open();
    put(&writer, "revoked");
    writer.checkpoint().unwrap();
    let before = place.storage.snapshot();
    put(&writer, "in force");
    let log = writer.log();
    writer.close().unwrap();
    // By somebody who tells no anchor.
    place.clock.advance(Duration::from_secs(120));
    let pruner = place.builder(&place.dir("audit")).blocking().open().unwrap();
    assert!(alice(&pruner).prune(Duration::from_secs(60)).unwrap().logs > 0);
    let pinned = alice(&reader).with_freshness(Freshness::Pinned);
    let read: Opaque = pinned.get("prod/db").unwrap();
    assert!(read.value().expose(|bytes| bytes == b"in force"));
    place.storage.restore(before);
    is_set_back(pinned.get::<Opaque>("prod/db").map(drop), log);
    assert!(place.try_open().is_err());
}

#[test]
fn what_was_set_back_on_purpose_is_accepted_once() {
    let place = Place::new();
    let room = place.open();
    put(&room, "one");
    room.close().unwrap();
    let before = place.moment();
    let room = place.open();
    put(&room, "two");
    let log = room.log();
    room.close().unwrap();
    place.set_back(&before);
    is_set_back(place.try_open(), log);

    let anchor = FileAnchor::new(place.dir("pins"));
    let builder = place.builder(&place.dir("audit")).anchor(anchor);
    builder.accept_rollback("restored").blocking().open().unwrap().close().unwrap();
    let room = place.open();
    assert!(alice(&room).with_freshness(Freshness::Pinned).get::<Opaque>("prod/db").is_ok());
}

#[test]
fn a_lost_log_that_was_accepted_stays_accepted() {
    let place = Place::new();
    place.open().close().unwrap();
    let room = place.open();
    put(&room, "one");
    let log = room.log();
    room.checkpoint().unwrap();
    drop(room);
    let key = Key::new([&[5], log.as_bytes().as_slice()].concat());
    let head = || place.storage.snapshot()[&key].value[50..90].to_vec();
    let before = head();
    fs::remove_file(place.dir("audit").join(format!("{log}.jsonl"))).unwrap();
    assert!(matches!(
        place.try_open(),
        Err(Error::Tampered(Tampered::AuditLogRolledBack { log: found, .. })) if found == log
    ));

    let anchor = FileAnchor::new(place.dir("pins"));
    let builder = place.builder(&place.dir("audit")).anchor(anchor);
    let room = builder.accept_rollback("the disk lost it").blocking().open().unwrap();
    let pinned = alice(&room).with_freshness(Freshness::Pinned);
    assert!(pinned.get::<Opaque>("prod/db").is_ok());
    drop(room);
    place.open();
    assert_eq!(head(), before, "what was known of the lost lines is kept");
}
