//! Rooms on files, and all that can be seen of a directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use strongroom::{
    Argon2Cost, Error, FileLog, Opaque, Passphrase, Policy, Principal, SqliteStorage, blocking,
};

/// A store in a directory: `secrets.db`, and its log in `audit`.
pub(crate) fn open(dir: &Path, passphrase: &str) -> Result<blocking::Strongroom, Error> {
    builder(dir, Passphrase::new(passphrase))?.open_or_create()
}

pub(crate) fn builder(dir: &Path, seal: Passphrase) -> Result<blocking::Builder, Error> {
    Ok(strongroom::Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db"))?)
        .seal(seal.with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.join("audit"))?)
        .blocking())
}

/// A room with a secret. Where it is not closed, its log is dead.
pub(crate) fn make(dir: &Path, closed: bool) {
    let room = open(dir, "passphrase").unwrap();
    let session = room.session(Principal::user("alice"));
    session.put("prod/db", Opaque::new(b"secret")).unwrap();
    session.put("prod/large", Opaque::new(vec![7; 50_000])).unwrap();
    drop(session);
    match closed {
        true => room.close().unwrap(),
        false => drop(room),
    }
}

/// A copy of a room that nobody uses.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// The only log of a room.
pub(crate) fn log_of(room: &Path) -> PathBuf {
    let logs: Vec<_> = fs::read_dir(room.join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    assert_eq!(logs.len(), 1);
    logs[0].clone()
}

/// Name, mode, time of change and content of everything below a directory, and of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(Vec<Seen>);

type Seen = (PathBuf, u32, (i64, i64), Vec<u8>);

/// What a look may leave and change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    Nothing,
    /// SQLite maps `secrets.db-shm` and makes an empty `secrets.db-wal` beside a database that it
    /// takes for a good one, and may remove both again; this moves the time of the directory.
    SideFiles,
    /// The same, and a log is begun and taken back, which moves the time of its directory.
    PassingLog,
}

impl Snapshot {
    pub(crate) fn of(dir: &Path, allowed: Allowed) -> Self {
        let mut seen = Vec::new();
        walk(dir, dir, allowed, &mut seen);
        seen.sort();
        Self(seen)
    }
}

fn walk(dir: &Path, path: &Path, allowed: Allowed, seen: &mut Vec<Seen>) {
    let found = path.symlink_metadata().unwrap();
    let mut changed = (found.mtime(), found.mtime_nsec());
    let content = if found.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else if found.is_file() {
        fs::read(path).unwrap()
    } else {
        Vec::new()
    };
    if allowed != Allowed::Nothing {
        let is = |ending: &str| path == dir.join(format!("secrets.db{ending}"));
        if is("-shm") || (is("-wal") && content.is_empty()) {
            return;
        }
        let is_passing = allowed == Allowed::PassingLog && path == dir.join("audit");
        if path == dir || is_passing {
            changed = (0, 0);
        }
    }
    seen.push((path.strip_prefix(dir).unwrap().to_path_buf(), found.mode(), changed, content));
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(dir, &entry.unwrap().path(), allowed, seen);
        }
    }
}
