//! Database files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use strongroom::{
    Error, FileLog, Invalid, NotDoneKind, Passphrase, StorageError, Tampered, Unavailable,
};

use crate::Cases;
use crate::disk::{self, Allowed, Snapshot};

type Change = Box<dyn Fn(&Path)>;
type Is = fn(&Error) -> bool;

fn bytes(change: impl Fn(&mut Vec<u8>) + 'static) -> Change {
    Box::new(move |room| {
        let path = room.join("secrets.db");
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    })
}

fn sql(statement: &'static str) -> Change {
    Box::new(move |room| {
        let connection = Connection::open(room.join("secrets.db")).unwrap();
        connection.execute_batch(statement).unwrap();
    })
}

fn instead(make: impl Fn(&Path) + 'static) -> Change {
    Box::new(move |room| {
        let path = room.join("secrets.db");
        fs::remove_file(&path).unwrap();
        make(&path);
    })
}

fn is(kind: NotDoneKind) -> impl Fn(&Error) -> bool {
    move |error| match error {
        Error::Unavailable(Unavailable::Storage(StorageError::NotDone { kind: found, .. })) => {
            *found == kind
        }
        _ => false,
    }
}

/// Opens a room in both ways, and holds what lies there against what lay there.
fn refused(
    cases: &mut Cases,
    name: &str,
    hint: &str,
    expected: &dyn Fn(&Error) -> bool,
    room: &Path,
) {
    let before = Snapshot::of(room, Allowed::SideFiles);
    let seal = || Passphrase::new("passphrase");
    cases.refused(name, hint, expected, || disk::builder(room, seal())?.open());
    let again = format!("{name} (open or create)");
    cases.refused(&again, hint, expected, || disk::builder(room, seal())?.open_or_create());
    let after = Snapshot::of(room, Allowed::SideFiles);
    cases.check(name, before == after, "something was changed");
}

#[test]
fn databases_that_are_none_of_ours() {
    use NotDoneKind::{Damaged, Foreign, TooNew, Unsuitable};
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    disk::make(&whole, true);
    let mut cases = Cases::default();
    let restore = "restore it from a backup";
    let which = "check which one was meant";
    let place = "choose another place";
    let altered: Vec<(&str, &str, NotDoneKind, Change)> = vec![
        ("empty", "remove it", Damaged, bytes(Vec::clear)),
        ("1 byte", which, Foreign, bytes(|b| b.truncate(1))),
        ("99 bytes", restore, Damaged, bytes(|b| b.truncate(99))),
        ("the header alone", restore, Damaged, bytes(|b| b.truncate(100))),
        ("the first page alone", restore, Damaged, bytes(|b| b.truncate(4096))),
        ("a page short", restore, Damaged, bytes(|b| b.truncate(b.len() - 4096))),
        ("half", restore, Damaged, bytes(|b| b.truncate(b.len() / 8192 * 4096))),
        ("text", which, Foreign, bytes(|b| *b = b"password = hunter2\n".repeat(500))),
        ("zeros", which, Foreign, bytes(|b| *b = vec![0; 8192])),
        (
            "another program's",
            which,
            Foreign,
            instead(|path| {
                Connection::open(path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
            }),
        ),
        ("a newer format", "update this program", TooNew, bytes(|b| b[63] = 2)),
        ("format 0", restore, Damaged, bytes(|b| b[63] = 0)),
        ("a flipped application id", restore, Damaged, bytes(|b| b[70] ^= 1)),
        ("a flipped magic", restore, Damaged, bytes(|b| b[3] ^= 0x10)),
        ("another page size", restore, Damaged, bytes(|b| b[16] = 2)),
        ("no page size", restore, Damaged, bytes(|b| (b[16], b[17]) = (0, 3))),
        ("an older file format", restore, Damaged, bytes(|b| (b[18], b[19]) = (9, 9))),
        ("a damaged schema", restore, Damaged, bytes(|b| b[100..200].fill(0xa5))),
        ("every other page damaged", restore, Damaged, bytes(|b| b[4096..].fill(0xa5))),
        ("no table", restore, Damaged, sql("DROP TABLE records")),
        ("another table", restore, Damaged, sql("DROP TABLE records; CREATE TABLE records (a, b)")),
        ("a directory", place, Unsuitable, instead(|path| fs::create_dir(path).unwrap())),
        ("a link to nothing", place, Unsuitable, instead(|path| symlink("nowhere", path).unwrap())),
        ("a device", place, Unsuitable, instead(|path| symlink("/dev/null", path).unwrap())),
        (
            "a pipe",
            place,
            Unsuitable,
            instead(|path| {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
        ),
        (
            "a write-ahead file without its database",
            "put it back",
            Damaged,
            instead(|path| {
                fs::write(path.with_extension("db-wal"), "pages").unwrap();
            }),
        ),
        (
            "a journal without its database",
            "put it back",
            Damaged,
            instead(|path| {
                fs::write(path.with_extension("db-journal"), "pages").unwrap();
            }),
        ),
    ];
    for (count, (name, hint, kind, change)) in altered.into_iter().enumerate() {
        let room = scratch.path().join(format!("room{count}"));
        disk::copy(&whole, &room);
        change(&room);
        // The log alone would be a reason to refuse: here the database is.
        refused(&mut cases, name, hint, &is(kind), &room);
    }
    cases.done(27);
}

#[test]
fn records_that_are_not_what_was_written() {
    let scratch = tempfile::tempdir().unwrap();
    let (whole, other) = (scratch.path().join("whole"), scratch.path().join("other"));
    disk::make(&whole, true);
    disk::make(&other, true);
    let mut cases = Cases::default();
    let other_store: Is =
        |error| matches!(error, Error::Invalid(it) if matches!(**it, Invalid::OtherStore { .. }));
    let keyring: Is = |error| matches!(error, Error::Tampered(Tampered::Keyring(_)));
    let foreign = other.join("secrets.db");
    let points = "point both to one store";
    let altered: Vec<(&str, &str, Is, Change)> = vec![
        (
            "another store's database",
            points,
            other_store,
            Box::new(move |room| {
                fs::copy(&foreign, room.join("secrets.db")).unwrap();
            }),
        ),
        ("a log without its store", points, other_store, instead(|_| ())),
        ("no keyring", points, other_store, sql("DELETE FROM records WHERE k = x'01'")),
        ("no records", points, other_store, sql("DELETE FROM records")),
        (
            "an empty keyring",
            "point to a strongroom store",
            keyring,
            sql("UPDATE records SET v = x'' WHERE k = x'01'"),
        ),
        (
            "another record as keyring",
            "point to a strongroom store",
            keyring,
            sql(
                "UPDATE records SET v = (SELECT v FROM records WHERE k != x'01' LIMIT 1) WHERE k = x'01'",
            ),
        ),
        (
            "a keyring cut short",
            "restore it",
            keyring,
            sql("UPDATE records SET v = substr(v, 1, length(v) - 1) WHERE k = x'01'"),
        ),
        (
            "a keyring with a byte more",
            "restore it",
            keyring,
            sql("UPDATE records SET v = CAST(v || x'00' AS BLOB) WHERE k = x'01'"),
        ),
    ];
    for (count, (name, hint, expected, change)) in altered.into_iter().enumerate() {
        let room = scratch.path().join(format!("room{count}"));
        disk::copy(&whole, &room);
        change(&room);
        refused(&mut cases, name, hint, &expected, &room);
    }
    cases.done(8);
}

#[test]
fn places_that_hold_no_store() {
    let scratch = tempfile::tempdir().unwrap();
    let mut cases = Cases::default();
    let room = scratch.path().join("room");
    fs::create_dir(&room).unwrap();
    fs::write(room.join("file"), "x").unwrap();
    symlink(room.join("loop"), room.join("loop")).unwrap();
    let before = Snapshot::of(&room, Allowed::Nothing);
    let absent: Is = |error| matches!(error, Error::NotFound(_));
    let open = |dir: &Path| disk::builder(dir, Passphrase::new("p"))?.open();
    cases.refused("an empty directory", "create one", absent, || open(&room));
    cases.refused("no directory", "create one", absent, || open(&room.join("x/y")));
    let storage: Is = |error| matches!(error, Error::Unavailable(Unavailable::Storage(_)));
    cases.refused("a file for a directory", "choose another place", storage, || {
        open(&room.join("file"))
    });
    cases.refused("a link to itself", "check", storage, || open(&room.join("loop")));
    cases.refused("a name of 5,000 bytes", "check", storage, || open(&room.join("x".repeat(5000))));
    cases.refused("a null byte", "check", storage, || open(&room.join("x\0y")));
    cases.refused("a log without a name", "name a directory", |_| true, || FileLog::open(""));
    cases.check("places", before == Snapshot::of(&room, Allowed::Nothing), "changed");
    cases.done(7);
}
