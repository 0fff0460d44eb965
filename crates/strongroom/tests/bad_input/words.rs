//! Names, ids, times, passphrases.

use std::fs::File;
use std::io;

use strongroom::{
    ActionName, Argon2Cost, Error, LogId, Namespace, Passphrase, PathError, Prefix, SealError,
    SecretPath, SecretRef, StoreId, Timestamp, TimestampError, Unavailable,
};

use crate::Cases;
use crate::disk::{self, Allowed, Snapshot};

#[test]
fn names() {
    let mut cases = Cases::default();
    let long = format!("prod/{}", "s".repeat(129));
    let longest = format!("prod/{}", ["s"; 300].join("/"));
    let deep = format!("prod/{}", ["s"; 40].join("/"));
    let paths: [(&str, &str, &str); 19] = [
        ("empty", "", "write segments joined by `/`"),
        ("one segment", "prod", "as in `prod/db`"),
        ("leading slash", "/prod/db", "write no leading"),
        ("trailing slash", "prod/db/", "write no leading, trailing"),
        ("doubled slash", "prod//db", "doubled `/`"),
        ("dot", "prod/./db", "leave it out"),
        ("dot dot", "prod/../db", "leave it out"),
        ("hidden", "prod/.db", "begin it with another character"),
        ("long segment", &long, "shorten it"),
        ("long path", &longest, "shorten it"),
        ("deep path", &deep, "use fewer"),
        ("space", "prod/d b", "use only A-Z"),
        ("line end", "prod/db\n", "use only A-Z"),
        ("null", "prod/db\0", "use only A-Z"),
        ("umlaut", "prod/schlüssel", "use only A-Z"),
        ("cyrillic twin", "prod/d\u{430}", "use only A-Z"),
        ("zero width", "prod/d\u{200b}b", "use only A-Z"),
        ("backslash", "prod\\db", "use only A-Z"),
        ("pattern", "prod/*", "use only A-Z"),
    ];
    for (name, text, hint) in paths {
        let name = format!("path: {name}");
        cases.refused(&name, hint, |_: &PathError| true, || text.parse::<SecretPath>());
    }
    for (text, hint) in [("/", "write"), ("prod/", "write no"), ("..", "leave it out")] {
        let name = format!("prefix: {text}");
        cases.refused(&name, hint, |_: &PathError| true, || text.parse::<Prefix>());
    }
    for (text, hint) in
        [("", "write"), ("a/b", "leave out"), (".sys", "begin it"), ("a b", "use only")]
    {
        let name = format!("namespace: {text}");
        cases.refused(&name, hint, |_: &PathError| true, || text.parse::<Namespace>());
    }
    for which in ["", "0", "-1", "03", "latest", "current ", "18446744073709551616"] {
        let text = format!("prod/db@{which}");
        let hint = "write a number from 1, `current`";
        cases.refused(&text, hint, |_: &PathError| true, || text.parse::<SecretRef>());
    }
    cases.refused(
        "store id",
        "write 32 lower-case hex digits",
        |_| true,
        || "7F".parse::<StoreId>(),
    );
    cases.refused("log id", "write 16 lower-case hex digits", |_| true, || "x".parse::<LogId>());
    cases.refused("action", "such as `read`", |_| true, || "reed".parse::<ActionName>());
    cases.done(35);
}

#[test]
fn times() {
    let mut cases = Cases::default();
    let beyond = |error: &TimestampError| !error.to_string().is_empty();
    for text in ["", "2027-03-28", "2027-03-28T00:30:00", "28.03.2027", "tomorrow", "0"] {
        let name = format!("time: {text}");
        cases.refused(&name, "write it as 2027-", beyond, || text.parse::<Timestamp>());
    }
    for text in ["1969-12-31T23:59:59Z", "1900-01-01T00:00:00Z"] {
        cases.refused(text, "choose one between", beyond, || text.parse::<Timestamp>());
    }
    let last = || Timestamp::from_millis(u64::MAX);
    cases.refused("the last millisecond", "choose one between", beyond, last);
    cases.done(9);
}

#[test]
fn passphrases() {
    let mut cases = Cases::default();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");

    let refused = |error: &Error| {
        matches!(error, Error::Unavailable(Unavailable::Seal(SealError::Refused { .. })))
    };
    cases.refused("an empty one for a new store", "choose one", refused, || disk::open(&dir, ""));
    cases.check("an empty one for a new store", !dir.exists(), "it left a directory");

    disk::make(&dir, true);
    let not_mine = |error: &Error| {
        matches!(error, Error::Unavailable(Unavailable::Seal(SealError::NotMine { .. })))
    };
    let before = Snapshot::of(&dir, Allowed::SideFiles);
    for (name, text, hint) in [
        ("wrong", "Passphrase", "check which store it is for"),
        ("empty", "", "check which store it is for"),
        ("with a space", "passphrase ", "check which store it is for"),
        ("with a line end", "passphrase\n", "line break"),
        ("with two line ends", "passphrase\r\n\r\n", "line break"),
        ("in another normal form", "pa\u{308}ssphrase", "characters outside ASCII"),
        ("of a megabyte", &"p".repeat(1 << 20), "check which store it is for"),
    ] {
        cases.refused(name, hint, not_mine, || disk::open(&dir, text));
    }
    let unavailable = |error: &Error| {
        matches!(error, Error::Unavailable(Unavailable::Seal(SealError::Unavailable { .. })))
    };
    cases.refused("with too little memory", "raise the limit", unavailable, || {
        let seal = Passphrase::new("passphrase").with_memory_limit(10);
        disk::builder(&dir, seal)?.open()
    });
    let after = Snapshot::of(&dir, Allowed::SideFiles);
    cases.check("passphrases", before == after, "the store was changed");

    let too_long = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    cases.refused("a file of 4,097 bytes", "check which file", too_long, || {
        Passphrase::from_reader(&[b'p'; 4097][..])
    });
    cases.refused("an endless file", "check which file", too_long, || {
        Passphrase::from_reader(File::open("/dev/zero").unwrap())
    });
    let io_error = |error: &io::Error| error.kind() == io::ErrorKind::IsADirectory;
    cases.refused("a directory for a file", "s a directory", io_error, || {
        Passphrase::from_reader(File::open("/").unwrap())
    });
    for cost in [(0, 3, 4), (18, 3, 4), (1025, 3, 4), (64, 1, 4), (64, 17, 4), (64, 3, 9)] {
        let made = Argon2Cost::new(cost.0, cost.1, cost.2);
        cases.check("a cost", made.is_none(), "it is taken");
    }
    cases.done(12);
}
