//! An anchor in a directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use strongroom_core::{Anchor, AnchorError, LogId, Pin, StoreId, async_trait};

use crate::dir::create_dir;

const PIN: &str = "pin";
const DRAFT: &str = "draft";
/// How often a directory is looked at that changes meanwhile.
const LOOKS: usize = 64;
/// No pin is longer; what is, somebody else has put there.
const MAX_PIN_BYTES: u64 = 4096;

/// Keeps pins as files of a directory, for a medium that those who write to storage and log cannot
/// set back: a mount of another machine, a disk of its own, a directory of another user.
///
/// ```
/// use strongroom_audit::FileAnchor;
/// let anchor = FileAnchor::new("/mnt/elsewhere/pins"); // touches nothing
/// ```
///
/// A pin is a file `<store id>/<log id>.pin`, replaced as a whole and synced. One call makes one
/// file and syncs twice, in place.
#[derive(Debug, Clone)]
pub struct FileAnchor {
    dir: PathBuf,
}

impl FileAnchor {
    /// The anchor in this directory, which is made with the first pin.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_path_buf() }
    }

    fn of(&self, store: StoreId) -> PathBuf {
        self.dir.join(store.to_string())
    }
}

#[async_trait]
impl Anchor for FileAnchor {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        load(&self.of(store))
            .map_err(|error| AnchorError::because("its directory cannot be read: check it", error))
    }

    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        let dir = self.of(store);
        keep(&dir, pin).map_err(|error| {
            AnchorError::because("its directory cannot be written: check it", error)
        })?;
        for log in covers.iter().filter(|log| **log != pin.log) {
            // One that stays does no harm, and is covered again by the next.
            let _ = std::fs::remove_file(dir.join(format!("{log}.{PIN}")));
        }
        Ok(())
    }
}

/// All pins of one moment: those that were there before and after all were read. A look at a directory
/// that changes may show neither a pin that goes nor the one that covers it.
fn load(dir: &Path) -> io::Result<Vec<Pin>> {
    let mut paths = list(dir)?;
    for _ in 0..LOOKS {
        let pins: io::Result<Vec<Pin>> =
            paths.iter().map(|(log, path)| Ok(Pin { log: *log, record: read(path)? })).collect();
        let now = list(dir)?;
        if now == paths {
            return pins;
        }
        paths = now;
    }
    Err(io::Error::other("its pins change whenever they are looked at"))
}

/// The files of pins, by log.
fn list(dir: &Path) -> io::Result<BTreeMap<LogId, PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut paths = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(log) = name.and_then(|name| name.parse().ok()) else { continue };
        if path.extension().is_some_and(|end| end == PIN) {
            paths.insert(log, path);
        }
    }
    Ok(paths)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut record = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, MAX_PIN_BYTES), &mut record)?;
    Ok(record)
}

fn keep(dir: &Path, pin: &Pin) -> io::Result<()> {
    create_dir(dir)?;
    let draft = dir.join(format!("{}.{DRAFT}", pin.log));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&pin.record)?;
    file.sync_all()?;
    std::fs::rename(&draft, dir.join(format!("{}.{PIN}", pin.log)))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    fn pin(log: u8, record: u8) -> Pin {
        Pin { log: LogId::from_bytes([log; 8]), record: vec![record; 154] }
    }

    #[test]
    fn pins_are_kept_replaced_and_covered() {
        let scratch = tempfile::tempdir().unwrap();
        let anchor = FileAnchor::new(scratch.path().join("not/there/yet"));
        let (store, other) = (StoreId::from_bytes([1; 16]), StoreId::from_bytes([2; 16]));
        assert_eq!(block_on(anchor.load(store)).unwrap(), []);
        block_on(anchor.advance(store, &pin(1, 1), &[])).unwrap();
        block_on(anchor.advance(store, &pin(2, 1), &[])).unwrap();
        block_on(anchor.advance(store, &pin(1, 2), &[])).unwrap();
        assert_eq!(block_on(anchor.load(store)).unwrap(), [pin(1, 2), pin(2, 1)]);
        let covers = [pin(1, 0).log, pin(2, 0).log, pin(3, 0).log];
        block_on(anchor.advance(store, &pin(3, 1), &covers)).unwrap();
        assert_eq!(block_on(FileAnchor::new(&anchor.dir).load(store)).unwrap(), [pin(3, 1)]);
        assert_eq!(block_on(anchor.load(other)).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_kept_is_an_error_and_other_files_are_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "a file").unwrap();
        let store = StoreId::from_bytes([1; 16]);
        let refused = block_on(FileAnchor::new(&file).advance(store, &pin(1, 1), &[]));
        assert!(refused.unwrap_err().to_string().contains("check it"));
        let anchor = FileAnchor::new(scratch.path());
        block_on(anchor.advance(store, &pin(1, 1), &[])).unwrap();
        let dir = anchor.of(store);
        std::fs::write(dir.join("notes.txt"), "mine").unwrap();
        std::fs::write(dir.join("0101010101010101.draft"), "half").unwrap();
        assert_eq!(block_on(anchor.load(store)).unwrap(), [pin(1, 1)]);
    }
}
