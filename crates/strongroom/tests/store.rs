//! Whole stores on real files: opened, copied, shared, killed and refused.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use strongroom::{
    Argon2Cost, Error, FileLog, Invalid, NotFound, Opaque, Passphrase, Policy, Principal,
    SecretPath, SqliteStorage, Unavailable, Version, WriteOptions, blocking,
};

fn builder(dir: &Path, passphrase: &str) -> Result<blocking::Builder, Box<dyn std::error::Error>> {
    builder_over(dir, passphrase, FileLog::open(dir.join("audit"))?)
}

fn builder_over(
    dir: &Path,
    passphrase: &str,
    log: FileLog,
) -> Result<blocking::Builder, Box<dyn std::error::Error>> {
    Ok(strongroom::Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(Passphrase::new(passphrase).with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(log)
        .blocking())
}

fn open(dir: &Path) -> blocking::Strongroom {
    builder(dir, "passphrase").unwrap().open_or_create().unwrap()
}

fn alice(room: &blocking::Strongroom) -> blocking::Session {
    room.session(Principal::user("alice"))
}

fn bytes(secret: &Opaque) -> Vec<u8> {
    secret.value().expose(<[u8]>::to_vec)
}

fn honest(session: &blocking::Session) {
    let report = session.verify().unwrap();
    let accused: Vec<String> = report.accusations().map(ToString::to_string).collect();
    assert!(accused.is_empty(), "{accused:?}");
}

#[test]
fn what_was_put_is_there_after_a_close_and_after_none() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let room = open(&dir);
    alice(&room).put("prod/db", Opaque::new(b"one")).unwrap();
    room.close().unwrap();
    let room = open(&dir);
    alice(&room).put("prod/db", Opaque::new(b"two")).unwrap();
    drop(room); // no close: the log is dead, and the next opener settles it
    let room = open(&dir);
    assert_eq!(bytes(&alice(&room).get("prod/db").unwrap()), b"two");
    honest(&alice(&room));
    room.close().unwrap();
}

#[test]
fn fc_120_each_wrong_thing_is_refused_by_name_and_nothing_is_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let missing = builder(&dir, "passphrase").unwrap().open().unwrap_err();
    assert!(matches!(missing, Error::NotFound(NotFound::Store)));
    assert!(!dir.exists(), "a look leaves nothing behind");

    let room = open(&dir);
    alice(&room).put("prod/db", Opaque::new(b"x")).unwrap();
    room.close().unwrap();
    let again = builder(&dir, "passphrase").unwrap().create().unwrap_err();
    assert!(matches!(again, Error::Conflict(_)), "{again:?}");
    let wrong = builder(&dir, "another").unwrap().open_or_create().unwrap_err();
    assert!(matches!(wrong, Error::Unavailable(Unavailable::Seal(_))), "{wrong:?}");

    let other = scratch.path().join("other");
    open(&other).close().unwrap();
    std::fs::remove_dir_all(dir.join("audit")).unwrap();
    std::fs::rename(other.join("audit"), dir.join("audit")).unwrap();
    match builder(&dir, "passphrase").unwrap().open_or_create() {
        Err(Error::Invalid(invalid)) => {
            assert!(matches!(*invalid, Invalid::OtherStore { storage: Some(_), .. }));
        }
        opened => panic!("{opened:?}"),
    }
    // A log without its store is no reason to begin another one beside it.
    std::fs::remove_file(dir.join("secrets.db")).unwrap();
    for side in ["secrets.db-wal", "secrets.db-shm"] {
        drop(std::fs::remove_file(dir.join(side)));
    }
    match builder(&dir, "passphrase").unwrap().open_or_create() {
        Err(Error::Invalid(invalid)) => {
            assert!(matches!(*invalid, Invalid::OtherStore { storage: None, .. }));
        }
        opened => panic!("{opened:?}"),
    }
    assert!(!dir.join("secrets.db").exists());
}

#[test]
fn fc_056_an_epoch_goes_only_when_nothing_is_left_under_it() {
    let scratch = tempfile::tempdir().unwrap();
    let room = open(&scratch.path().join("room"));
    let session = alice(&room);
    session.put("prod/small", Opaque::new(b"1")).unwrap();
    session.put("prod/large", Opaque::new(vec![2; 200_000])).unwrap();
    session.put("prod/gone", Opaque::new(b"3")).unwrap();
    session.delete("prod/gone").unwrap();
    session.put("prod/off", Opaque::new(b"4")).unwrap();
    session.disable("prod/off").unwrap();
    session.put("prod/purged", Opaque::new(b"5")).unwrap();
    session.purge("prod/purged").unwrap();
    session.rotate_keys("prod").unwrap();
    session.rotate_keys("prod").unwrap();
    session.put("prod/new", Opaque::new(b"6")).unwrap();
    let report = session.rewrap("prod").unwrap();
    assert_eq!((report.rewrapped, report.epochs_destroyed, report.epochs_left), (5, 2, 0));
    assert_eq!(bytes(&session.get("prod/small").unwrap()), b"1");
    assert_eq!(session.get::<Opaque>("prod/large").unwrap().value().len(), 200_000);
    session.undelete("prod/gone").unwrap();
    session.enable("prod/off").unwrap();
    assert_eq!(bytes(&session.get("prod/gone").unwrap()), b"3");
    assert_eq!(bytes(&session.get("prod/off").unwrap()), b"4");
    assert_eq!(session.put("prod/purged", Opaque::new(b"7")).unwrap(), Version::new(2).unwrap());
    honest(&session);
}

#[test]
fn fc_076_a_copy_made_while_keys_are_rotated_opens_and_proves_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let room = open(&scratch.path().join("room"));
    let session = alice(&room);
    for n in 0..20 {
        session.put(&*format!("prod/s{n}"), Opaque::new(&[n; 3000])).unwrap();
    }
    let writer = alice(&room);
    let running = std::thread::spawn(move || {
        for n in 0..60_u8 {
            writer.put(&*format!("prod/s{}", n % 20), Opaque::new(&[n; 3000])).unwrap();
            if n % 20 == 10 {
                writer.rotate_keys("prod").unwrap();
                writer.rewrap("prod").unwrap();
            }
        }
    });
    for copy in 0..3 {
        let copy = scratch.path().join(format!("copy{copy}"));
        session.backup(&copy).unwrap();
        let restored = open(&copy);
        let reader = alice(&restored);
        let all = reader.list("prod").unwrap();
        assert_eq!(all.len(), 20);
        for path in &all {
            assert_eq!(reader.get::<Opaque>(path).unwrap().value().len(), 3000);
        }
        honest(&reader);
        restored.close().unwrap();
        assert!(session.backup(&copy).is_err(), "a copy does not go over another");
    }
    running.join().unwrap();
    honest(&session);
}

/// Heads are replaced, and their keys destroyed, while the verifier looks at them.
#[test]
fn a_verifier_accuses_none_of_four_opens_that_write() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let room = open(&dir);
    let session = alice(&room);
    session.put("prod/s0", Opaque::new(b"x")).unwrap();
    let threads: Vec<_> = (0..4_usize)
        .map(|who| {
            let dir = dir.clone();
            std::thread::spawn(move || {
                let room = open(&dir);
                let session = alice(&room);
                // Another may have been faster, or have taken what this one wanted.
                let done = |answer: Result<(), Error>| match answer {
                    Ok(()) | Err(Error::Conflict(_) | Error::NotFound(_) | Error::Invalid(_)) => {}
                    Err(error) => panic!("{error:?}"),
                };
                for round in 0..20 {
                    let n = (round * 7 + who * 3) % 10;
                    let path = format!("prod/s{n}");
                    let length = if n.is_multiple_of(3) { 70_000 } else { 100 };
                    done(session.put(&*path, Opaque::new(vec![7; length])).map(drop));
                    match (round + who) % 6 {
                        1 => done(session.delete(&*path).map(drop)),
                        2 => done(session.purge(&*path)),
                        3 => done(session.rotate_keys("prod")),
                        4 => done(session.rewrap("prod").map(drop)),
                        5 => done(session.sweep("prod").map(drop)),
                        _ => {}
                    }
                }
                room.close().unwrap();
            })
        })
        .collect();
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        honest(&session);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    honest(&session);
}

/// Four opens of one store, as four processes would have it.
#[test]
fn no_increment_is_lost_between_four_opens() {
    const EACH: u64 = 25;
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let path: SecretPath = "prod/counter".parse().unwrap();
    let room = open(&dir);
    alice(&room).put(&path, Opaque::new(&0_u64.to_be_bytes())).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let (dir, path) = (dir.clone(), path.clone());
            std::thread::spawn(move || {
                let room = open(&dir);
                let session = alice(&room);
                let mut done = 0;
                while done < EACH {
                    let read = session.read::<Opaque>(&path).unwrap();
                    let count = read
                        .secret
                        .value()
                        .expose(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
                    let next = Opaque::new(&(count + 1).to_be_bytes());
                    let options = WriteOptions::from(read.version);
                    match session.put_with(&path, next, options) {
                        Ok(_) => done += 1,
                        Err(Error::Conflict(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                    if n == 0 && done % 10 == 5 {
                        session.rotate_keys("prod").unwrap();
                        session.rewrap("prod").unwrap();
                    }
                }
                room.close().unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let session = alice(&room);
    let count = session.get::<Opaque>(&path).unwrap();
    assert_eq!(bytes(&count), (4 * EACH).to_be_bytes());
    honest(&session);
}

#[test]
fn no_file_of_a_store_holds_a_name_or_a_value() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let room = open(&dir);
    let session = alice(&room);
    for n in 0..50 {
        let value = format!("value-canary-{n}");
        session
            .put(&*format!("tenant-canary/team-canary/s{n}"), Opaque::new(value.as_bytes()))
            .unwrap();
    }
    drop(session.get::<Opaque>("tenant-canary/absent-canary/x"));
    drop(room.session(Principal::user("mallory-canary")).get::<Opaque>("tenant-canary/x"));
    let update = strongroom::MetadataUpdate::new().label("label-canary", "x").owner("owner-canary");
    session.update_metadata("tenant-canary/team-canary/s1", update).unwrap();
    room.close().unwrap();
    let mut files = 0;
    for folder in [dir.clone(), dir.join("audit")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files += 1;
                let found = std::fs::read(&path).unwrap();
                assert!(!found.windows(6).any(|w| w == b"canary"), "{}", path.display());
            }
        }
    }
    assert!(files >= 2);
}

/// The files of the logs of a store.
fn log_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir.join("audit")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "jsonl").count()
}

#[test]
fn a_log_of_many_files_is_written_by_threads_copied_settled_and_verified() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, copy) = (scratch.path().join("room"), scratch.path().join("copy"));
    let open = |dir: &Path| {
        let log = FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(4096);
        builder_over(dir, "passphrase", log).unwrap().open_or_create().unwrap()
    };
    let check = |room: &blocking::Strongroom| {
        for path in ["prod/t0", "prod/t1", "prod/t2"] {
            assert_eq!(bytes(&alice(room).get(path).unwrap()), b"39");
        }
        honest(&alice(room));
    };
    let room = open(&dir);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let alice = alice(&room);
            scope.spawn(move || {
                for value in 0..40 {
                    let value = Opaque::new(value.to_string().as_bytes());
                    alice.put(&*format!("prod/t{thread}"), value).unwrap();
                }
            });
        }
        // What is written meanwhile is in order at any time.
        (0..5).for_each(|_| honest(&alice(&room)));
    });
    check(&room);
    alice(&room).backup(&copy).unwrap();
    let files = log_files(&dir);
    assert!(files > 10, "{files}");
    drop(room); // no close: the next opener settles it
    for dir in [&dir, &copy] {
        let room = open(dir);
        check(&room);
        assert!(log_files(dir) > files);
        room.close().unwrap();
        check(&open(dir));
    }
}

#[test]
fn a_log_that_went_on_since_it_was_registered_is_known_again_and_missed_where_it_lost_files() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let open = |dir: &Path| {
        let log = FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(4096);
        builder_over(dir, "passphrase", log).unwrap().open_or_create()
    };
    // Reads register nothing: what the storage knows of the log lies in its first file.
    let go_on = |room: &blocking::Strongroom| {
        let before = log_files(&dir);
        for _ in 0..100 {
            assert_eq!(bytes(&alice(room).get("prod/db").unwrap()), b"x");
        }
        assert!(log_files(&dir) > before + 2);
    };
    let room = open(&dir).unwrap();
    alice(&room).put("prod/db", Opaque::new(b"x")).unwrap();
    go_on(&room);
    drop(room);
    let room = open(&dir).unwrap();
    honest(&alice(&room));
    go_on(&room);
    room.checkpoint().unwrap();
    drop(room);
    let files = std::fs::read_dir(dir.join("audit")).unwrap().map(|entry| entry.unwrap().path());
    let newest = files
        .filter(|path| path.extension().unwrap() == "jsonl")
        // Several may be of one tick of the clock of files: `<log>.<number>.jsonl` tells them apart.
        .max_by_key(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let number = name.split('.').nth(1).and_then(|number| number.parse().ok());
            (std::fs::metadata(path).unwrap().modified().unwrap(), number.unwrap_or(0_u64))
        });
    std::fs::remove_file(newest.unwrap()).unwrap();
    let refused = open(&dir).unwrap_err();
    assert!(
        matches!(refused, Error::Tampered(strongroom::Tampered::AuditLogRolledBack { .. })),
        "{refused:?}"
    );
}
