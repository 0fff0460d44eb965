//! What can go wrong whatever the kind: forms, states, whole stores, files, passphrases, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use strongroom::{
    Argon2Cost, Clock, Credential, Error, Expected, FileLog, HoldMetadata, List, MetadataUpdate,
    Opaque, Passphrase, Password, Policy, Principal, Read, SecretKind, SecretValue, SqliteStorage,
    WriteOptions, blocking,
};
use strongroom_testkit::{MemorySeal, MemorySink};

use crate::canary::CANARY;
use crate::heard::Heard;
use crate::kinds::{Canaried, Chatty, Note, Raw, Wallet};
use crate::parts::{Kit, alice};

const PATH: &str = "prod/db";

fn password() -> Password {
    Password::with_canary(1)
}

/// Values that are not of their kind's form.
pub(crate) async fn of_forms(heard: &mut Heard) {
    let kit = Kit::new();
    let session = alice(&kit.builder().create().await.unwrap());
    session.put("prod/wallet", Raw::with_canary(1)).await.unwrap();
    heard.refusal("part", session.get::<Wallet>("prod/wallet").await);
    heard.refusal("text", session.get::<Note>("prod/wallet").await);
    heard.refusal("identifiers", session.get::<Chatty>("prod/wallet").await);
    heard.refusal("identifiers", session.identifiers::<Chatty>("prod/wallet").await.map(drop));
    heard.refusal("identifiers", session.put("prod/wallet", Chatty).await);
    heard.refusal("empty", session.put("prod/empty", Password::new("")).await);
    let bytes = SecretValue::new([CANARY.as_bytes(), b"\xff"].concat());
    heard.chain("not text", &bytes.into_text().unwrap_err());
    let value = SecretValue::copied_from(CANARY.as_bytes());
    heard.chain("no fields", &Wallet::from_parts(Default::default(), value).unwrap_err());
    heard.debug("fields", &strongroom::SecretFields::new().with("pin", &CANARY.into()));
    heard.debug("secrecy", &SecretValue::copied_from(CANARY.as_bytes()).to_secrecy());
    let text = strongroom::SecretText::from(CANARY);
    heard.debug("text", &text);
    heard.debug("secrecy", &text.to_secrecy());
    kit.tell(heard);
}

/// A secret in each state in which something cannot be done to it.
pub(crate) async fn of_states(heard: &mut Heard) {
    let kit = Kit::new();
    let room = kit.builder().create().await.unwrap();
    let session = alice(&room);
    let soon = |seconds| kit.clock.now().saturating_add(Duration::from_secs(seconds));
    for _ in 0..3 {
        session.put(PATH, password()).await.unwrap();
    }
    heard.refusal("version", session.get::<Password>("prod/db@9").await);
    heard.refusal("stage", session.get::<Password>("prod/db@pending").await);
    heard.refusal("absent", session.get::<Password>("prod/none").await);
    heard.refusal("namespace", session.rotate_keys("none").await);
    heard.refusal("namespace", session.create_namespace("prod").await);
    heard.refusal("path", session.get::<Password>("prod").await);
    session.disable("prod/db@3").await.unwrap();
    heard.refusal("disabled", session.get::<Password>(PATH).await);
    heard.refusal("state", session.promote("prod/db@3").await);
    session.enable("prod/db@3").await.unwrap();
    session.delete("prod/db@3").await.unwrap();
    heard.refusal("deleted", session.get::<Password>(PATH).await);
    session.undelete("prod/db@3").await.unwrap();
    let hold = HoldMetadata { id: "court".into(), until: soon(3600) };
    session.hold("prod/db@2", hold).await.unwrap();
    heard.refusal("held", session.destroy("prod/db@2").await);
    heard.refusal("held", session.purge(PATH).await);
    heard.refusal("hold", {
        let hold = HoldMetadata { id: String::new(), until: soon(3600) };
        session.hold("prod/db@2", hold).await
    });
    session.destroy("prod/db@1").await.unwrap();
    heard.refusal("destroyed", session.get::<Password>("prod/db@1").await);
    heard.refusal("destroyed", session.undelete("prod/db@1").await);

    let update = MetadataUpdate::new().cas_required(true);
    session.put("prod/careful", password()).await.unwrap();
    session.update_metadata("prod/careful", update).await.unwrap();
    heard.refusal("expectation", session.put("prod/careful", password()).await);
    let update = MetadataUpdate::new().max_versions(0);
    heard.refusal("metadata", session.update_metadata(PATH, update).await);
    let update = MetadataUpdate::new().expires(soon(60));
    session.update_metadata(PATH, update).await.unwrap();
    kit.clock.advance(Duration::from_secs(120));
    heard.refusal("expired", session.get::<Password>(PATH).await);

    session.put("prod/gone", password()).await.unwrap();
    session.delete("prod/gone").await.unwrap();
    let options = WriteOptions::from(Expected::Absent);
    heard.refusal("deleted", session.put_with("prod/gone", password(), options).await);

    // A head that fills up with versions, their user names and what describes them.
    let long_name = || Credential::new("u".repeat(240), CANARY);
    let update = MetadataUpdate::new().max_versions(100).description("d".repeat(4_000));
    session.put("prod/full", long_name()).await.unwrap();
    session.update_metadata("prod/full", update).await.unwrap();
    let mut full = None;
    for turn in 0..700 {
        full = match turn % 7 {
            0 => session.put("prod/full", long_name()).await.err(),
            n => {
                let hold = HoldMetadata { id: format!("{n:064}"), until: soon(3600) };
                session.hold("prod/full", hold).await.err()
            }
        };
        if full.is_some() {
            break;
        }
    }
    heard.error(&full.expect("a head does not grow for ever"));

    let listing = session.authorize::<List>("prod").await.unwrap().list().await.unwrap();
    heard.debug("listing", &listing);
    heard.debug("listed", &listing.sorted().await);
    heard.debug("report", &session.verify().await);
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("used"), b"x").unwrap();
    heard.refusal("directory", session.backup(scratch.path()).await);
    kit.tell(heard);
}

/// Whole stores that are not what they should be.
pub(crate) async fn of_stores(heard: &mut Heard) {
    let kit = Kit::new();
    heard.refusal("no store", kit.builder().open().await);
    heard.debug("builder", &kit.builder());
    let room = kit.builder().create().await.unwrap();
    alice(&room).put(PATH, password()).await.unwrap();
    heard.refusal("a store", kit.builder_with(MemorySink::new()).create().await);
    heard.refusal("log of another", {
        let other = Kit::seeded(2);
        drop(other.builder().create().await.unwrap());
        other.builder_with(kit.sink.clone()).open().await
    });

    let sealed = room.seal();
    let (sealed, error) = sealed.unseal(MemorySeal::new()).await.unwrap_err();
    heard.error(&error);
    heard.debug("sealed", &sealed);
    kit.well.dry(true);
    let (sealed, error) = sealed.unseal(kit.seal.clone()).await.unwrap_err();
    heard.error(&error);
    kit.well.dry(false);
    let room = sealed.unseal(kit.seal.clone()).await.map_err(|(_, error)| error).unwrap();

    // The keyring goes, or goes back, under an open store.
    let whole = kit.memory.snapshot();
    for key in whole.keys() {
        kit.memory.replace(key.clone(), None);
        for result in [
            alice(&room).rotate_keys("prod").await,
            alice(&room).create_namespace("other").await,
            kit.again().await.map(drop),
        ] {
            if let Err(error) = result {
                heard.error(&error);
            }
        }
        kit.memory.restore(whole.clone());
    }
    kit.tell(heard);
}

fn builder(dir: &Path, seal: Passphrase) -> Result<blocking::Builder, Box<dyn std::error::Error>> {
    Ok(strongroom::Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(seal.with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.join("audit"))?)
        .blocking())
}

fn search_files(heard: &mut Heard, dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search_files(heard, &path);
        } else {
            heard.bytes(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

/// A store on disk, whose passphrase and values are canaries: its parts, its files, its faults.
pub(crate) fn of_files(heard: &mut Heard) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let open = || builder(&dir, Passphrase::new(CANARY)).unwrap();
    heard.debug("builder", &open());
    let room = open().create().unwrap();
    heard.debug("room", &room);
    let session = room.session(Principal::user("alice"));
    heard.debug("session", &session);
    session.put(PATH, password()).unwrap();
    session.put("prod/large", Opaque::with_canary(4_000)).unwrap();
    heard.debug("permit", &session.authorize::<Read>(PATH).unwrap());
    heard.debug("read", &session.read::<Password>(PATH).unwrap());
    let intern = room.session(Principal::user("intern"));
    heard.refusal("denied", intern.put(PATH, password()));
    heard.refusal("denied", intern.get::<Password>(PATH));
    session.backup(scratch.path().join("copy")).unwrap();
    let report = session.verify().unwrap();
    heard.debug("report", &report);
    for finding in &report.findings {
        heard.text("finding", &finding.to_string());
    }
    room.close().unwrap();
    search_files(heard, scratch.path());

    // Every file of the copy cut short, or with other bytes in it.
    let copy = scratch.path().join("copy");
    for file in ["secrets.db", "audit"] {
        let mut path = copy.join(file);
        if path.is_dir() {
            path = std::fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
        }
        let whole = std::fs::read(&path).unwrap();
        for damage in [whole.len() / 2, 0] {
            let mut bytes = whole.clone();
            if damage == 0 {
                bytes.iter_mut().step_by(512).for_each(|byte| *byte ^= 0x20);
            } else {
                bytes.truncate(damage);
            }
            std::fs::write(&path, bytes).unwrap();
            match builder(&copy, Passphrase::new(CANARY)) {
                Err(error) => heard.chain("damaged file", &*error),
                Ok(builder) => match builder.open() {
                    Err(error) => heard.error(&error),
                    Ok(room) => {
                        let session = room.session(Principal::user("alice"));
                        heard.debug("read", &session.get::<Password>(PATH));
                        heard.debug("report", &session.verify());
                    }
                },
            }
        }
        std::fs::write(&path, whole).unwrap();
    }
}

/// A passphrase that opens nothing, and ones that are none.
pub(crate) fn of_passphrases(heard: &mut Heard) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    builder(&dir, Passphrase::new("the right one")).unwrap().create().unwrap().close().unwrap();
    for wrong in [CANARY.to_owned(), format!("{CANARY}\n"), format!("ü{CANARY}")] {
        let seal = Passphrase::new(wrong);
        heard.debug("passphrase", &seal);
        heard.refusal("wrong passphrase", builder(&dir, seal).unwrap().open());
    }
    let seal = Passphrase::new(CANARY).with_memory_limit(1);
    heard.refusal("memory", builder(&dir, seal).unwrap().open());
    let long = CANARY.repeat(1_000);
    heard.chain("long passphrase", &Passphrase::from_reader(long.as_bytes()).unwrap_err());
    heard.debug("passphrase", &Passphrase::from_reader(CANARY.as_bytes()).unwrap());
}

/// What a program says that panics with a secret at hand.
pub(crate) fn of_panics(heard: &mut Heard) {
    let kit = Kit::new();
    let session = futures_executor::block_on(async {
        let session = alice(&kit.builder().create().await.unwrap());
        session.put(PATH, password()).await.unwrap();
        session
    });
    let read = || futures_executor::block_on(session.read::<Password>(PATH));
    let permit = || futures_executor::block_on(session.authorize::<Read>(PATH));
    let accepted: fn(Password) -> Result<Password, Error> = Ok;
    let panics: [(&str, &dyn Fn()); 5] = [
        ("a read that was to fail", &|| drop(read().unwrap_err())),
        ("a permit that was to be refused", &|| drop(permit().unwrap_err())),
        ("a secret that was to be none", &|| drop(accepted(password()).unwrap_err())),
        ("a secret compared by its print", &|| assert_eq!(format!("{:?}", password()), "")),
        ("a panic while a secret is lent", &|| {
            password().password().expose(|_| panic!("the driver fell over"));
        }),
    ];
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = panics.map(|(of, act)| (of, catch_unwind(AssertUnwindSafe(act)).unwrap_err()));
    std::panic::set_hook(hook);
    for (of, payload) in caught {
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let text = owned.or(payload.downcast_ref::<&str>().copied());
        heard.text(of, text.expect("a panic has a message"));
    }
}
