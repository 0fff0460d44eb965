//! A storage that has no room but for what takes access away, and for what settles.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use strongroom::{
    Argon2Cost, Error, FileLog, NotDoneKind, Opaque, Passphrase, Policy, Principal, Strongroom,
    Unavailable, blocking,
};
use strongroom_testkit::{Call, Fault, FaultyStorage, MemoryStorage};

fn open(
    storage: &FaultyStorage<MemoryStorage>,
    dir: &tempfile::TempDir,
) -> Result<blocking::Strongroom, Error> {
    Strongroom::builder()
        .storage(storage.clone())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.path().join("audit")).unwrap())
        .blocking()
        .open_or_create()
}

fn is_full<T>(answer: &Result<T, Error>) -> bool {
    let kind = match answer {
        Err(Error::Unavailable(Unavailable::Storage(error))) => error.kind(),
        _ => None,
    };
    kind == Some(NotDoneKind::Full)
}

/// Neither who puts nor who dies while the storage is full keeps others from taking access away.
#[test]
fn what_is_not_known_is_settled_and_access_is_taken_away() {
    for fault in [Fault::LostRequest, Fault::LostReply, Fault::Late] {
        for dies in [false, true] {
            let storage = FaultyStorage::new(MemoryStorage::new());
            let dir = tempfile::tempdir().unwrap();
            let room = open(&storage, &dir).unwrap();
            let alice = |room: &blocking::Strongroom| room.session(Principal::user("alice"));
            for path in ["prod/a", "prod/b", "prod/c"] {
                alice(&room).put(path, Opaque::new(b"old")).unwrap();
            }
            storage.every(Call::Write, fault);
            let unknown = alice(&room).put("prod/a", Opaque::new(b"new"));
            assert!(matches!(unknown, Err(Error::Indeterminate(_))), "{unknown:?}");
            storage.every(Call::Write, Fault::Full);
            let room = if dies {
                drop(room);
                open(&storage, &dir).unwrap()
            } else {
                room
            };
            assert!(is_full(&alice(&room).put("prod/b", Opaque::new(b"new"))));
            assert!(is_full(&alice(&room).enable("prod/b")));
            alice(&room).disable("prod/a").unwrap();
            alice(&room).destroy("prod/b").unwrap();
            alice(&room).purge("prod/c").unwrap();
            storage.heal();
            for path in ["prod/a", "prod/b", "prod/c"] {
                alice(&room).get::<Opaque>(path).unwrap_err();
            }
            let report = alice(&room).verify().unwrap();
            assert_eq!(report.accusations().count(), 0, "{report:?}");
            room.close().unwrap();
        }
    }
}
