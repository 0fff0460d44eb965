//! Pins that a witness in another language holds in place: the conformance suite of anchors, and
//! storage, log and pins that are set back together.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "common/witness.rs"]
mod witness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use futures_executor::block_on;
use strongroom::audit::{PinSigner, WitnessAnchor, WitnessAnswer, WitnessTransport};
use strongroom::{
    Anchor, AnchorError, Argon2Cost, Clock, FileLog, LogId, Monotonic, Opaque, Passphrase, Pin,
    Policy, Principal, SqliteStorage, StoreId, Strongroom, SystemClock, Timestamp, Unavailable,
    async_trait, blocking,
};
use witness::{WitnessProcess, add_checkpoint};

const NAME: &str = "example.com/host-7";

fn signer() -> PinSigner {
    PinSigner::new(NAME, &[7; 32]).unwrap()
}

/// What a host makes of its HTTP client.
#[derive(Debug)]
struct Http(u16);

#[async_trait]
impl WitnessTransport for Http {
    async fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, AnchorError> {
        let answer = add_checkpoint(self.0, body);
        Ok(WitnessAnswer { status: answer.status, body: answer.body })
    }
}

fn anchor(dir: &Path, witness: &WitnessProcess) -> WitnessAnchor {
    with(dir, witness, Http(witness.port))
}

fn with(dir: &Path, witness: &WitnessProcess, way: impl WitnessTransport) -> WitnessAnchor {
    WitnessAnchor::new(dir, signer(), witness.key.clone(), way, Arc::new(SystemClock))
}

mod suite {
    use super::*;

    /// One witness for all cases, told of all stores that the suite will use. It ends as its standard
    /// input does, with this process.
    static WITNESS: LazyLock<(tempfile::TempDir, WitnessProcess)> = LazyLock::new(|| {
        let stores = (0..=40_u64).flat_map(|number| {
            let mut store = [7; 16];
            store[..8].copy_from_slice(&number.to_be_bytes());
            [7, 6].map(|last| {
                StoreId::from_bytes([&store[..15], &[last]].concat().try_into().unwrap())
            })
        });
        let keys: Vec<String> = stores.map(|store| signer().verifier_key(store)).collect();
        let kept = tempfile::tempdir().unwrap();
        let witness = WitnessProcess::start(kept.path(), "witness.example/w1", &keys);
        (kept, witness)
    });

    strongroom_testkit::anchor_suite!(|dir| anchor(&dir.join("pins"), &WITNESS.1));
}

const STORE: StoreId = StoreId::from_bytes([0x40; 16]);

struct Place {
    scratch: tempfile::TempDir,
    witness: WitnessProcess,
}

impl Place {
    fn new(store: StoreId) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let keys = [signer().verifier_key(store)];
        let witness =
            WitnessProcess::start(&scratch.path().join("witness"), "witness.example/w1", &keys);
        Self { scratch, witness }
    }

    fn dir(&self) -> PathBuf {
        self.scratch.path().join("pins")
    }

    fn file(&self) -> PathBuf {
        self.dir().join(format!("{STORE}.pins"))
    }

    fn load(&self) -> Result<Vec<Pin>, AnchorError> {
        block_on(anchor(&self.dir(), &self.witness).load(STORE))
    }

    fn advance(&self, pin: &Pin) {
        block_on(anchor(&self.dir(), &self.witness).advance(STORE, pin, &[])).unwrap();
    }
}

fn pin(log: u8, record: u8) -> Pin {
    Pin { log: LogId::from_bytes([log; 8]), record: vec![record; 154] }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, AnchorError>, why: &str) {
    let error = answer.unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn pins_that_were_set_back_are_not_loaded() {
    let place = Place::new(STORE);
    assert_eq!(place.load().unwrap(), []);
    place.advance(&pin(1, 1));
    let before = fs::read(place.file()).unwrap();
    place.advance(&pin(1, 2));
    place.advance(&pin(2, 1));
    let after = fs::read(place.file()).unwrap();
    let all = [pin(1, 2), pin(2, 1)];
    assert_eq!(place.load().unwrap(), all);

    fs::write(place.file(), &before).unwrap();
    refused(place.load(), "the witness has seen 3 pins and 1 are here");
    fs::remove_file(place.file()).unwrap();
    refused(place.load(), "the witness has seen 3 pins and 0 are here");
    // Nor do they go on from there, as few as before or as many.
    fs::write(place.file(), &before).unwrap();
    for (record, why) in [(7, "3 pins and 2 are here"), (8, "other pins"), (9, "other pins")] {
        let anchor = anchor(&place.dir(), &place.witness);
        refused(block_on(anchor.advance(STORE, &pin(1, record), &[])), why);
    }
    fs::write(place.file(), &after).unwrap();
    assert_eq!(place.load().unwrap(), all);
}

#[test]
fn nobody_else_makes_pins() {
    let place = Place::new(STORE);
    place.advance(&pin(1, 1));
    place.advance(&pin(1, 2));
    let whole = fs::read(place.file()).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    // An older pin behind the newest, signed or not.
    fs::write(place.file(), [&whole[..], lines[0]].concat()).unwrap();
    assert_eq!(place.load().unwrap(), [pin(1, 2)]);
    for made in [[lines[1], lines[0]].concat(), [lines[0], lines[0], lines[1]].concat()] {
        fs::write(place.file(), made).unwrap();
        place.load().unwrap_err();
    }
    // The signature of a line before the last says nothing that the last one does not say.
    let idle = lines[0].len() - 129..lines[0].len() - 1;
    for at in (0..whole.len()).step_by(3) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(place.file(), changed).unwrap();
        let loaded = place.load();
        assert_eq!(loaded.is_ok(), idle.contains(&at), "byte {at}");
        assert!(loaded.is_err() || loaded.unwrap() == [pin(1, 2)], "byte {at}");
    }
    // What another signer keeps is not this one's.
    fs::write(place.file(), &whole).unwrap();
    let other = PinSigner::new(NAME, &[8; 32]).unwrap();
    let other = WitnessAnchor::new(
        place.dir(),
        other,
        place.witness.key.clone(),
        Http(place.witness.port),
        Arc::new(SystemClock),
    );
    refused(block_on(other.load(STORE)), "another signer's");
}

#[test]
fn what_a_crash_leaves_accuses_nobody() {
    let place = Place::new(STORE);
    place.advance(&pin(1, 1));
    // Half a line, a line of zeros with an end: never shown to the witness.
    let whole = fs::read(place.file()).unwrap();
    let zeros = [&[0; 300][..], b"\n"].concat();
    for torn in [&whole[..100], &zeros, b"\n"] {
        fs::write(place.file(), [&whole[..], torn].concat()).unwrap();
        assert_eq!(place.load().unwrap(), [pin(1, 1)]);
    }
    place.advance(&pin(1, 2));
    assert_eq!(place.load().unwrap(), [pin(1, 2)]);
    // A whole one that the witness was not told of.
    let down = with(&place.dir(), &place.witness, Down);
    for record in [3, 4, 4] {
        refused(block_on(down.advance(STORE, &pin(1, record), &[])), "nobody answers");
    }
    refused(block_on(down.load(STORE)), "nobody answers");
    assert_eq!(fs::read_to_string(place.file()).unwrap().lines().count(), 4);
    assert_eq!(place.load().unwrap(), [pin(1, 4)]);
    place.advance(&pin(1, 5));
    assert_eq!(place.load().unwrap(), [pin(1, 5)]);
}

#[derive(Debug)]
struct Down;

#[async_trait]
impl WitnessTransport for Down {
    async fn add_checkpoint(&self, _: &str) -> Result<WitnessAnswer, AnchorError> {
        Err(AnchorError::new("nobody answers"))
    }
}

/// Somebody on the way to the witness, who answers with what they have heard.
#[derive(Debug, Clone)]
struct Between {
    port: u16,
    heard: Arc<Mutex<BTreeMap<String, WitnessAnswer>>>,
    replays: Arc<AtomicBool>,
}

#[async_trait]
impl WitnessTransport for Between {
    async fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, AnchorError> {
        let heard = self.heard.lock().unwrap().get(body).cloned();
        if let Some(answer) = heard.filter(|_| self.replays.load(Ordering::Relaxed)) {
            return Ok(answer);
        }
        let answer = Http(self.port).add_checkpoint(body).await?;
        if answer.status == 200 {
            self.heard.lock().unwrap().insert(body.to_owned(), answer.clone());
        }
        Ok(answer)
    }
}

/// A clock so many seconds ahead.
#[derive(Debug, Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = std::time::Duration::from_secs(self.0.load(Ordering::Relaxed));
        SystemClock.now().saturating_add(ahead)
    }
    fn elapsed(&self) -> Monotonic {
        SystemClock.elapsed()
    }
}

#[test]
fn an_old_answer_of_the_witness_is_refused() {
    let place = Place::new(STORE);
    let (clock, way) = (
        Ahead::default(),
        Between { port: place.witness.port, heard: Arc::default(), replays: Arc::default() },
    );
    let key = place.witness.key.clone();
    let clock_of_host = Arc::new(clock.clone());
    let anchor = WitnessAnchor::new(place.dir(), signer(), key, way.clone(), clock_of_host);
    block_on(anchor.advance(STORE, &pin(1, 1), &[])).unwrap();
    block_on(anchor.load(STORE)).unwrap();
    let before = fs::read(place.file()).unwrap();
    block_on(anchor.advance(STORE, &pin(1, 2), &[])).unwrap();
    fs::write(place.file(), before).unwrap();
    refused(block_on(anchor.load(STORE)), "2 pins and 1 are here");
    // For five minutes what was heard before passes for an answer of now, and then no more.
    way.replays.store(true, Ordering::Relaxed);
    clock.0.store(290, Ordering::Relaxed);
    assert_eq!(block_on(anchor.load(STORE)).unwrap(), [pin(1, 1)]);
    clock.0.store(310, Ordering::Relaxed);
    refused(block_on(anchor.load(STORE)), "not of now");
}

/// Answers the same to all.
#[derive(Debug)]
struct Says(u16, String);

#[async_trait]
impl WitnessTransport for Says {
    async fn add_checkpoint(&self, _: &str) -> Result<WitnessAnswer, AnchorError> {
        Ok(WitnessAnswer { status: self.0, body: self.1.clone() })
    }
}

#[test]
fn answers_that_are_none_are_refused() {
    let place = Place::new(STORE);
    place.advance(&pin(1, 1));
    let name = "\u{2014} witness.example/w1";
    let key = signer().verifier_key(STORE);
    let cases = [
        (200, "", "does not hold"),
        (200, "garbage", "does not hold"),
        (200, &format!("{name} AAAAAAA=\n"), "does not hold"),
        (409, "1\n", "other pins"),
        (409, "2\n", "2 pins and 1 are here"),
        (409, "0\n", "other pins"),
        (409, "18446744073709551615\n", "are here"),
        (409, "-1\n", "is no witness"),
        (409, "", "is no witness"),
        (422, "", "other pins"),
        (403, "", &key),
        (404, "", &key),
        (500, "", "(status 500): ask who runs it"),
    ];
    for (status, body, why) in cases {
        let anchor = with(&place.dir(), &place.witness, Says(status, body.to_owned()));
        refused(block_on(anchor.load(STORE)), why);
    }
    let stranger = PinSigner::new("example.com/host-8", &[7; 32]).unwrap();
    let (key, way) = (place.witness.key.clone(), Http(place.witness.port));
    let dir = place.scratch.path().join("others");
    let stranger = WitnessAnchor::new(dir, stranger, key, way, Arc::new(SystemClock));
    refused(block_on(stranger.load(STORE)), "tell it their verifier key example.com/host-8/4040");
    let long = Pin { record: vec![0; 4097], ..pin(1, 1) };
    let anchor = anchor(&place.dir(), &place.witness);
    refused(block_on(anchor.advance(STORE, &long, &[])), "4 KiB");
}

#[test]
fn the_signer_keeps_its_key_to_itself() {
    let told = format!("{:?}", signer());
    assert_eq!(told, "PinSigner { name: \"example.com/host-7\", .. }");
    for name in ["", "a b", "a+b", "a\nb"] {
        assert!(PinSigner::new(name, &[7; 32]).is_err(), "{name:?}");
    }
}

/// A store with all that belongs to it in one directory, and a witness elsewhere.
fn open(dir: &Path, anchor: WitnessAnchor) -> Result<blocking::Strongroom, strongroom::Error> {
    Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.join("audit")).unwrap())
        .anchor(anchor)
        .blocking()
        .open_or_create()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn storage_log_and_pins_that_are_set_back_together_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let room = scratch.path().join("room");
    let put = |opened: &blocking::Strongroom, value: &str| {
        let alice = opened.session(Principal::user("alice"));
        alice.put("prod/db", Opaque::new(value.as_bytes())).unwrap();
    };
    // The witness is told of a store that is there.
    let created = Strongroom::builder()
        .storage(SqliteStorage::open(room.join("secrets.db")).unwrap())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(room.join("audit")).unwrap())
        .blocking()
        .create()
        .unwrap();
    let store = created.id();
    created.close().unwrap();
    let place = Place::new(store);
    let reopen = || open(&room, anchor(&room.join("pins"), &place.witness));

    let opened = reopen().unwrap();
    put(&opened, "revoked");
    opened.close().unwrap();
    let before = scratch.path().join("before");
    copy(&room, &before);
    let opened = reopen().unwrap();
    put(&opened, "in force");
    opened.close().unwrap();
    let after = scratch.path().join("after");
    copy(&room, &after);

    fs::remove_dir_all(&room).unwrap();
    copy(&before, &room);
    let refused = reopen().unwrap_err();
    let is_anchor = matches!(refused, strongroom::Error::Unavailable(Unavailable::Anchor(_)));
    assert!(is_anchor, "{refused:?}");
    fs::remove_dir_all(&room).unwrap();
    copy(&after, &room);
    reopen().unwrap().close().unwrap();
}
