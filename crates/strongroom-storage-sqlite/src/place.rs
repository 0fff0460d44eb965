//! Where the database lies: its path, what surrounds it, and whether it may be kept there.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use strongroom_core::{NotDoneKind, StorageError};

use crate::error;

/// The files that SQLite keeps beside a database.
const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// An absolute path without links, and what stands beside it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    database: PathBuf,
    directory: PathBuf,
    name: OsString,
}

/// Which file a name led to, so that a replaced file is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Place {
    /// Follows links once, so that the side files lie beside the real file, and refuses what can
    /// not be a database. Changes nothing.
    pub(crate) fn resolve(path: &Path) -> Result<Self, StorageError> {
        let path = std::path::absolute(path).map_err(|e| cannot_resolve(path, e))?;
        let real = real_path(&path)?;
        let (Some(directory), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(unsuitable(format!("{} names no file", path.display())));
        };
        let (directory, name) = (directory.to_path_buf(), name.to_os_string());
        let place = Self { database: real, directory, name };
        place.check_file_system()?;
        match fs::metadata(&place.database) {
            Ok(found) if !found.is_file() => {
                Err(unsuitable(format!("{} is no ordinary file", path.display())))
            }
            Ok(found) => {
                check_not_empty(&place.database, found.len())?;
                place.check_mount()?;
                Ok(place)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                place.check_leftovers()?;
                Ok(place)
            }
            Err(e) => Err(place.cannot_look(e)),
        }
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The path of a file whose name is that of the database and an ending.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(ending);
        self.directory.join(name)
    }

    /// The file that the path leads to now, or `None` where there is no database. Side files
    /// without one are refused: SQLite would replay them into the next database of that name.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, StorageError> {
        match fs::metadata(&self.database) {
            Ok(found) => {
                check_not_empty(&self.database, found.len())?;
                Ok(Some(Identity { device: found.dev(), inode: found.ino() }))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.check_leftovers()?;
                Ok(None)
            }
            Err(e) => Err(self.cannot_look(e)),
        }
    }

    fn cannot_look(&self, cause: io::Error) -> StorageError {
        error::io(&format!("looking at {}", self.database.display()), cause)
    }

    fn check_leftovers(&self) -> Result<(), StorageError> {
        let left = SIDE_FILES.map(|ending| self.beside(ending));
        let left: Vec<_> = left.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
        if left.is_empty() || self.database.symlink_metadata().is_ok() {
            return Ok(());
        }
        let names: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
        Err(StorageError::not_done(
            NotDoneKind::Damaged,
            format!(
                "the database is gone, but these are left of it: {}; put it back beside them, or \
                 move them away",
                names.join(", ")
            ),
        ))
    }

    /// Makes the directory, for the owner alone, and makes it durable.
    pub(crate) fn make_directory(&self) -> Result<(), StorageError> {
        let missing: Vec<_> =
            self.directory.ancestors().take_while(|path| !path.exists()).collect();
        for directory in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(directory) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    let doing = format!("making the directory {}", directory.display());
                    return Err(error::io(&doing, e));
                }
                _ => {}
            }
            if let Some(parent) = directory.parent() {
                sync_directory(parent).map_err(|e| error::io("making the directory durable", e))?;
            }
        }
        Ok(())
    }

    pub(crate) fn has_directory(&self) -> bool {
        self.directory.exists()
    }

    /// Whether the directory is on a mount that takes no write.
    pub(crate) fn is_read_only(&self) -> bool {
        use rustix::fs::{StatVfsMountFlags, statvfs};

        statvfs(&self.directory).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Makes what happened to the names in the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    /// Removes what a crash left of databases that were being built. Only for who holds the lock
    /// under which they are built.
    pub(crate) fn remove_unfinished(&self) {
        let mut beginning = self.name.clone();
        beginning.push(".new-");
        let Ok(found) = fs::read_dir(&self.directory) else { return };
        for entry in found.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(beginning.as_encoded_bytes()) {
                // What cannot be removed is removed the next time; nothing rests on it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// What others than the owner could do to the files that are there.
    pub(crate) fn loose_modes(&self) -> Vec<String> {
        let files = ["", "-wal", "-shm", ".lock", ".lock-next", ".reserve"]
            .map(|ending| self.beside(ending));
        let paths = files.iter().map(|file| (file, "600")).chain([(&self.directory, "700")]);
        let user = rustix::process::geteuid().as_raw();
        let mut found = Vec::new();
        for (path, wanted) in paths {
            let Ok(metadata) = fs::metadata(path) else { continue };
            let (mode, shown) = (metadata.permissions().mode() & 0o777, path.display());
            if mode & 0o077 != 0 {
                found.push(format!("{shown} is open to others (mode {mode:o}): chmod {wanted} it"));
            }
            if metadata.uid() != user {
                found.push(format!("{shown} belongs to another user ({})", metadata.uid()));
            }
        }
        found
    }

    fn check_file_system(&self) -> Result<(), StorageError> {
        let there = self.directory.ancestors().find(|path| path.exists());
        let kind = there.and_then(file_system);
        match kind.and_then(network_name) {
            Some(name) => Err(unsuitable(format!(
                "{} is on {name}, where neither locks nor shared memory can be trusted; use a \
                 local file system, or a backend that is a server",
                self.directory.display()
            ))),
            None => Ok(()),
        }
    }

    #[cfg(target_os = "linux")]
    fn check_mount(&self) -> Result<(), StorageError> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

        let mount = |path: &Path| {
            statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).map(|found| found.stx_mnt_id)
        };
        match (mount(&self.database), mount(&self.directory)) {
            (Ok(file), Ok(directory)) if file != directory => Err(unsuitable(format!(
                "{} is itself a mount point, so its side files would lie elsewhere; mount its \
                 directory",
                self.database.display()
            ))),
            _ => Ok(()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn check_mount(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Creates a file that is not there yet, for the owner alone from the first instant.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a file of ours beside the database, and creates it where there is none. What is no file, or a
/// link to one, is not ours.
pub(crate) fn open_or_create_private(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    Ok(file)
}

pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unsuitable(detail: String) -> StorageError {
    StorageError::not_done(NotDoneKind::Unsuitable, detail)
}

fn check_not_empty(path: &Path, length: u64) -> Result<(), StorageError> {
    if length > 0 {
        return Ok(());
    }
    Err(StorageError::not_done(
        NotDoneKind::Damaged,
        format!("{} is empty; where nothing was stored yet, remove it", path.display()),
    ))
}

/// The path without links. Its last parts need not exist, but no link may lead nowhere.
fn real_path(path: &Path) -> Result<PathBuf, StorageError> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            match path.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    return Err(unsuitable(format!("{} is a link to nothing", path.display())));
                }
                // Somebody else made it since.
                Ok(_) => return fs::canonicalize(path).map_err(|e| cannot_resolve(path, e)),
                Err(_) => {}
            }
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok(real_path(parent)?.join(name)),
                _ => Err(unsuitable(format!("{} names no file", path.display()))),
            }
        }
        Err(e) => Err(cannot_resolve(path, e)),
    }
}

fn cannot_resolve(path: &Path, cause: io::Error) -> StorageError {
    if cause.kind() == io::ErrorKind::NotADirectory {
        let detail = format!("{} lies below what is no directory", path.display());
        return unsuitable(detail).because(cause);
    }
    error::io(&format!("resolving {}", path.display()), cause)
}

#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> Option<u32> {
    let found = rustix::fs::statfs(path).ok()?;
    // The kernel's numbers have 32 bits; the field's width and sign differ by architecture.
    u32::try_from(i128::from(found.f_type) & 0xffff_ffff).ok()
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<u32> {
    None
}

/// The name of a file system whose locks or shared memory do not hold between machines.
fn network_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x7375_7245 => "Coda",
        0x0bd0_0bd0 => "Lustre",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        0x786f_4256 | 0xbacb_acbc => "a folder shared with a virtual machine",
        0x564c => "NCP",
        0x2003_0528 => "OrangeFS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FC-103
    #[test]
    fn fc_103_network_file_systems_are_known_by_their_numbers() {
        for (kind, name) in [(0x6969, "NFS"), (0xff53_4d42, "SMB"), (0x6573_5546, "FUSE")] {
            assert_eq!(network_name(kind), Some(name));
        }
        for local in [0xef53, 0x0102_1994, 0x9123_683e, 0x5846_5342, 0x794c_7630] {
            assert_eq!(network_name(local), None);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_tells_the_file_system() {
        assert_eq!(file_system(Path::new("/proc")), Some(0x9fa0));
    }

    #[test]
    fn directories_are_made_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::resolve(&dir.path().join("a/b/secrets.db")).unwrap();
        assert!(!dir.path().join("a").exists());
        place.make_directory().unwrap();
        for made in ["a", "a/b"] {
            let mode = fs::metadata(dir.path().join(made)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
