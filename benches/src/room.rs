//! Rooms on real files, as a service has them: SQLite, a passphrase, a policy and a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom::{
    Argon2Cost, AuditSink, Durability, FileLog, Opaque, Passphrase, Policy, Principal, SecretPath,
    SqliteStorage, Strongroom,
};
use tempfile::TempDir;

use crate::{Outcome, in_tasks};

/// A directory with a room in it, removed on drop.
#[derive(Debug)]
pub struct Room {
    /// The directory.
    pub dir: TempDir,
    /// The open room.
    pub room: Strongroom,
}

impl Room {
    /// A new room with that durability of its log's records.
    ///
    /// # Errors
    /// Where the room cannot be made.
    pub fn create(durability: Durability) -> Outcome<Self> {
        let dir = tempfile::tempdir()?;
        let room = futures_executor::block_on(
            Self::builder(dir.path())?.audit_durability(durability).create(),
        )?;
        Ok(Self { dir, room })
    }

    /// A builder for the room in this directory, with the least cost of the passphrase.
    ///
    /// # Errors
    /// Where the place does not suit.
    pub fn builder(dir: &Path) -> Outcome<strongroom::Builder> {
        Self::builder_under(dir, POLICY)
    }

    /// The same under rules of the caller's own.
    ///
    /// # Errors
    /// Where the place does not suit, or a rule is wrong.
    pub fn builder_under(dir: &Path, rules: &str) -> Outcome<strongroom::Builder> {
        let storage = SqliteStorage::open(database(dir))?;
        Self::builder_on(storage, FileLog::open(dir.join("audit"))?, rules)
    }

    /// The same without a thread of its own: all is done where it is polled.
    ///
    /// # Errors
    /// Where the place does not suit.
    pub fn inline_builder(dir: &Path) -> Outcome<strongroom::Builder> {
        let storage = SqliteStorage::open_inline(database(dir))?;
        Self::builder_on(storage, FileLog::open_inline(dir.join("audit"))?, POLICY)
    }

    /// The same beside a log that the caller writes to, too.
    ///
    /// # Errors
    /// Where the place does not suit.
    pub(crate) fn builder_beside(dir: &Path, log: Arc<FileLog>) -> Outcome<strongroom::Builder> {
        Self::builder_on(SqliteStorage::open(database(dir))?, log, POLICY)
    }

    fn builder_on(
        storage: SqliteStorage,
        log: impl AuditSink,
        rules: &str,
    ) -> Outcome<strongroom::Builder> {
        let seal = Passphrase::new(PASSPHRASE).with_cost(Argon2Cost::LEAST);
        Ok(Strongroom::builder()
            .storage(storage)
            .seal(seal)
            .policy(Policy::from_toml(rules)?)
            .audit(log))
    }

    /// Puts `value(n)` at `path(n)` for each number below `count`.
    ///
    /// # Errors
    /// Where a put fails.
    pub fn fill(room: &Strongroom, count: usize) -> Outcome {
        let session = room.session(owner());
        in_tasks(256, count, move |number| {
            let session = session.clone();
            async move { session.put(path(number)?, value(number)).await.map(drop) }
        })
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        database(self.dir.path())
    }
}

pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("secrets.db")
}

/// What opens these rooms.
pub(crate) const PASSPHRASE: &str = "benches";

/// The one who may do all below `prod`.
pub(crate) const POLICY: &str = r#"
[[rule]]
id = "owner"
effect = "allow"
principals = ["service:owner"]
actions = ["*"]
paths = ["prod/**", "/"]
"#;

/// Who may do all in these rooms.
#[must_use]
pub fn owner() -> Principal {
    Principal::service("owner")
}

/// The path of the secret of that number.
///
/// # Errors
/// None: a number makes a path.
pub fn path(number: usize) -> Result<SecretPath, strongroom::Error> {
    Ok(format!("prod/team-{}/db-{number}", number % 10).parse::<SecretPath>()?)
}

/// A value of 256 bytes.
#[must_use]
pub fn value(number: usize) -> Opaque {
    let seed = number.to_le_bytes();
    let bytes: Vec<u8> = (0..=u8::MAX).zip(seed.iter().cycle()).map(|(n, s)| n ^ s).collect();
    Opaque::new(bytes)
}
