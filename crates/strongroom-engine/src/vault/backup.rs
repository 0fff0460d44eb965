//! A consistent copy of storage and log while others write.

use std::path::{Path, PathBuf};

use strongroom_core::Backup;

use super::Vault;
use crate::error::{Error, Invalid, Unavailable};
use crate::permit::Redeemed;

impl Vault {
    /// Copies the store into a directory: the storage's own files in it, the log in `audit`.
    ///
    /// The log is cut while commits are held off. So every head of the copy has its intent in the
    /// copied log, which two copies made one after the other would not promise.
    pub(crate) async fn backup(&self, _grant: &Redeemed<Backup>, dir: &Path) -> Result<(), Error> {
        let logs = prepare(dir)?;
        let mut cut = None;
        let sink = &self.sink;
        self.storage.backup(dir, &mut || cut = Some(sink.cut())).await?;
        let cut = cut.ok_or(Unavailable::Unsupported(
            "the storage made a copy without holding commits off",
        ))??;
        self.sink.backup(&logs, &cut).await?;
        Ok(())
    }
}

/// Makes the directories, 0700 from the first instant.
fn prepare(dir: &Path) -> Result<PathBuf, Error> {
    let failed = |source: std::io::Error| {
        let detail = "the directory for the copy cannot be made or read: check path and modes";
        Error::from(Unavailable::Audit(strongroom_core::AuditError::because(detail, source)))
    };
    match std::fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(Invalid::DirectoryInUse.into());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(dir).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    let logs = dir.join("audit");
    make(&logs).map_err(failed)?;
    Ok(logs)
}

#[cfg(unix)]
fn make(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir(dir)
}
