//! Field cases of whole stores: a poor backend, a crippled copy, write-ahead files that were
//! swapped.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use strongroom::{
    Argon2Cost, Error, FileLog, Invalid, Opaque, Passphrase, Policy, Principal, SqliteStorage,
    Storage, Strongroom, blocking,
};
use strongroom_testkit::MemoryStorage;

fn builder(dir: &Path, storage: impl Storage) -> blocking::Builder {
    Strongroom::builder()
        .storage(storage)
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.join("audit")).unwrap())
        .blocking()
}

fn try_open(dir: &Path) -> Result<blocking::Strongroom, Error> {
    builder(dir, SqliteStorage::open(dir.join("secrets.db"))?).open_or_create()
}

fn alice(room: &blocking::Strongroom) -> blocking::Session {
    room.session(Principal::user("alice"))
}

fn bytes(secret: &Opaque) -> Vec<u8> {
    secret.value().expose(<[u8]>::to_vec)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// FC-021: a backend with records of 512 bytes. What does not fit is refused before anything is
/// sent, with the three numbers, and what is there stays.
#[test]
fn fc_021_a_backend_with_records_of_512_bytes_says_what_it_cannot_take() {
    let scratch = tempfile::tempdir().unwrap();
    let wide = MemoryStorage::new();
    let mut profile = wide.profile();
    profile.value_bytes = NonZeroUsize::new(512).unwrap();
    let poor = wide.clone().with_profile(profile);

    let error = builder(scratch.path(), poor.clone()).create().unwrap_err();
    assert!(too_large(&error), "{error:?}");
    assert!(wide.is_empty() && !scratch.path().join("audit").exists());

    // A store that was made elsewhere and moved there: its old content stays as it was.
    let room = builder(scratch.path(), wide.clone()).create().unwrap();
    alice(&room).put("prod/db", Opaque::new(b"old")).unwrap();
    room.close().unwrap();
    // Each open registers its log.
    let secrets = || {
        let records = wide.snapshot().into_iter();
        records.filter(|(key, _)| key.as_bytes()[0] < 5).collect::<Vec<_>>()
    };
    let before = secrets();
    let room = builder(scratch.path(), poor).open().unwrap();
    for length in [511, 512, 513, 70_000, 1 << 20] {
        let error = alice(&room).put("prod/db", Opaque::new(vec![7; length])).unwrap_err();
        assert!(too_large(&error), "{length}: {error:?}");
        assert_eq!(bytes(&alice(&room).get("prod/db").unwrap()), b"old");
    }
    assert!(secrets() == before);
    assert!(alice(&room).verify().unwrap().accusations().next().is_none());
}

/// One record holds 512 bytes, and a value is split into 255 of them at most.
fn too_large(error: &Error) -> bool {
    let text = error.to_string();
    let Error::Invalid(invalid) = error else { return false };
    let Invalid::TooLarge { bytes, limit, .. } = **invalid else { return false };
    [512, 255 * 512].contains(&limit)
        && text.contains(&bytes.to_string())
        && text.contains(&limit.to_string())
        && text.contains("the storage's limit on one record")
}

/// FC-076: a copy that lacks the keys of a namespace opens, reads nothing of it, and says so.
#[test]
fn fc_076_a_copy_that_lacks_an_epoch_is_found_out() {
    let scratch = tempfile::tempdir().unwrap();
    let room = scratch.path().join("room");
    let room = try_open(&room).unwrap();
    for name in ["prod/a", "prod/b", "dev/a"] {
        alice(&room).put(name, Opaque::new(name.as_bytes())).unwrap();
    }
    let before = scratch.path().join("before");
    alice(&room).backup(&before).unwrap();
    alice(&room).rotate_keys("prod").unwrap();
    alice(&room).put("prod/a", Opaque::new(b"new")).unwrap();
    let whole = scratch.path().join("whole");
    alice(&room).backup(&whole).unwrap();

    // The record of the namespace, with all epochs but the newest one: as it was in the first copy.
    let records = |copy: &Path| {
        let database = rusqlite::Connection::open(copy.join("secrets.db")).unwrap();
        let mut all =
            database.prepare("SELECT k, v FROM records WHERE substr(k, 1, 1) = x'02'").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect::<Vec<(Vec<u8>, Vec<u8>)>>()
    };
    for (count, old) in [Some(records(&before)), None].into_iter().enumerate() {
        let crippled = scratch.path().join(format!("crippled{count}"));
        copy(&whole, &crippled);
        let database = rusqlite::Connection::open(crippled.join("secrets.db")).unwrap();
        match old {
            Some(old) => {
                for (key, record) in old {
                    let changed = "UPDATE records SET v = ?2 WHERE k = ?1";
                    database.execute(changed, rusqlite::params![key, record]).unwrap();
                }
            }
            None => {
                database.execute("DELETE FROM records WHERE substr(k, 1, 1) = x'02'", []).unwrap();
            }
        }
        drop(database);
        let restored = try_open(&crippled).unwrap();
        let error = alice(&restored).get::<Opaque>("prod/a").unwrap_err();
        assert!(matches!(error, Error::Tampered(_) | Error::NotFound(_)), "{error:?}");
        let report = alice(&restored).verify().unwrap();
        assert!(report.accusations().next().is_some());
    }
}

/// FC-078: the write-ahead files of two stores, swapped: refused, or each secret is the store's
/// own. No value of the other one ever comes out.
#[test]
fn fc_078_swapped_write_ahead_files_never_mix_two_stores() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let secrets: Vec<String> = (0..20).map(|n| format!("prod/s{n}")).collect();
    let rooms: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|name| {
            let room = try_open(&place(name)).unwrap();
            for secret in &secrets {
                alice(&room).put(secret.as_str(), Opaque::new(name.as_bytes())).unwrap();
            }
            // What a kill would leave: the write-ahead file is not carried over.
            copy(&place(name), &place(&format!("{name}-killed")));
            room
        })
        .collect();
    for (own, other) in [("one", "two"), ("two", "one")] {
        let swapped = place(&format!("{own}-swapped"));
        copy(&place(&format!("{own}-killed")), &swapped);
        let wal = place(&format!("{other}-killed")).join("secrets.db-wal");
        assert!(fs::copy(wal, swapped.join("secrets.db-wal")).unwrap() > 0);
        fs::remove_file(swapped.join("secrets.db-shm")).unwrap();
        let room = match try_open(&swapped) {
            Ok(room) => room,
            Err(error) => {
                assert!(error.to_string().contains(':'), "says what to do: {error}");
                println!("{own}: {error}");
                continue;
            }
        };
        let mut whole = 0;
        for secret in &secrets {
            if let Ok(found) = alice(&room).get::<Opaque>(secret.as_str()) {
                assert_eq!(bytes(&found), own.as_bytes(), "{secret}");
                whole += 1;
            }
        }
        let told = alice(&room).verify().map_or(true, |it| it.accusations().next().is_some());
        assert!(whole == secrets.len() || told, "{own}: lost without a word");
        println!("{own}: {whole} are whole, told: {told}");
    }
    drop(rooms);
}
