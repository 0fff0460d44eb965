//! Requests to a room that is in order.

use std::fs;

use strongroom::{
    Credential, EnvironmentVariable, Error, HoldMetadata, Invalid, KindError, MetadataUpdate,
    Opaque, Principal, Timestamp, WriteOptions,
};

use crate::Cases;
use crate::disk;

fn invalid(error: &Error) -> bool {
    matches!(error, Error::Invalid(_))
}

fn metadata(error: &Error) -> bool {
    matches!(error, Error::Invalid(it) if matches!(**it, Invalid::Metadata(_)))
}

#[test]
fn requests_that_cannot_be_carried_out() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let room = disk::open(&dir, "passphrase").unwrap();
    let session = room.session(Principal::user("alice"));
    session.put("prod/db", Opaque::new(b"one")).unwrap();
    session.put("prod/strict", Opaque::new(b"one")).unwrap();
    session.put("prod/gone", Opaque::new(b"one")).unwrap();
    session.destroy("prod/gone@1").unwrap();
    session.update_metadata("prod/strict", MetadataUpdate::new().cas_required(true)).unwrap();
    let database = || {
        let bytes = |name: &str| fs::read(dir.join(name)).unwrap();
        (bytes("secrets.db"), bytes("secrets.db-wal"))
    };
    let before = database();
    let mut cases = Cases::default();

    let new = MetadataUpdate::new;
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let dark = "a\u{202e}b";
    for (name, hint, update) in [
        ("an expiry of 0", "disable or delete", new().expires(Timestamp::default())),
        ("an expiry in the past", "disable or delete", new().expires(at("2001-01-01T00:00:00Z"))),
        ("no version kept", "choose 1 to 100", new().max_versions(0)),
        ("101 versions kept", "choose 1 to 100", new().max_versions(101)),
        ("a label without a name", "give it one", new().label("", "x")),
        ("a label turned round", "leave it out", new().label("team", dark)),
        ("a label name turned round", "leave it out", new().label(dark, "x")),
        ("an owner with a null byte", "leave it out", new().owner("a\0")),
        ("a description with an escape", "leave it out", new().description("\u{1b}[2J")),
        ("an owner of 5,000 bytes", "shorten them", new().owner("o".repeat(5000))),
    ] {
        cases.refused(name, hint, metadata, || session.update_metadata("prod/db", update));
    }

    let kind = |wanted: fn(&KindError) -> bool| {
        move |error: &Error| match error {
            Error::Invalid(it) => matches!(&**it, Invalid::Kind(it) if wanted(it)),
            _ => false,
        }
    };
    cases.refused(
        "an empty value",
        "pass `allow_empty`",
        kind(|it| *it == KindError::Empty),
        || session.put("prod/new", Credential::new("u", "")),
    );
    let other = kind(|it| matches!(it, KindError::OtherKind { .. }));
    cases.refused("another kind", "read it as what it is", other, || {
        session.get::<Credential>("prod/db")
    });
    cases.refused("a value of 1 MiB and a byte", "make them fewer", invalid, || {
        session.put("prod/new", Opaque::new(vec![0; (1 << 20) + 1]))
    });
    cases.refused("a user name of 300 kB", "make them fewer", invalid, || {
        session.put("prod/new", Credential::new("u".repeat(300_000), "p"))
    });
    cases.refused("a path as text", "use only", invalid, || session.get::<Opaque>("prod/d b"));
    cases.refused("a write that expects nothing", "pass one", invalid, || {
        session.put("prod/strict", Opaque::new(b"two"))
    });
    let conflict = |error: &Error| matches!(error, Error::Conflict(_));
    cases.refused("a version that never was", "read again", conflict, || {
        let options = WriteOptions::from(strongroom::Version::new(9).unwrap());
        session.put_with("prod/db", Opaque::new(b"two"), options)
    });
    let absent = |error: &Error| matches!(error, Error::NotFound(_));
    cases.refused("no secret", "check it", absent, || session.get::<Opaque>("prod/none"));
    cases.refused("no namespace", "create it", absent, || session.get::<Opaque>("none/none"));
    cases.refused("no version", "its metadata list", absent, || session.get::<Opaque>("prod/db@7"));
    cases.refused("nothing pending", "name another", absent, || {
        session.get::<Opaque>("prod/db@pending")
    });
    cases.refused("nothing to promote", "name another", absent, || session.promote("prod/db"));
    cases.refused("what is destroyed", "put a new one", |_| true, || session.undelete("prod/gone"));
    cases.refused("keys of no namespace", "create it", absent, || session.rotate_keys("none"));
    cases.refused("a hold of 65 bytes", "choose one", invalid, || {
        let until = at("2200-01-01T00:00:00Z");
        session.hold("prod/db", HoldMetadata { id: "h".repeat(65), until })
    });
    let full = scratch.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("precious"), "x").unwrap();
    cases.refused("a copy over something", "name one that is", invalid, || session.backup(&full));
    let file = full.join("precious");
    cases.refused(
        "a copy over a file",
        "check path and modes",
        |_: &Error| true,
        || session.backup(&file),
    );
    cases.check("copies", fs::read(&file).unwrap() == b"x", "it was replaced");

    let denied = |error: &Error| matches!(error, Error::Denied(_));
    for name in ["", "a\nb", "\u{200b}alice", "mallory"] {
        let who = room.session(Principal::user(name));
        let title = format!("the principal {name:?}");
        cases.refused(&title, "refused", denied, || who.get::<Opaque>("prod/db"));
    }
    let variable = session.get::<EnvironmentVariable>("prod/db").map(drop);
    cases.refused("a variable", "read it as what it is", |_: &Error| true, || variable);
    cases.check("requests", before == database(), "the database was changed");
    cases.done(32);
}
