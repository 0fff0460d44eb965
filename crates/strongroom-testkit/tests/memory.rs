//! The backend in memory keeps the contract, with a wide profile and with a poor one.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use strongroom_core::{Erasure, Profile};
use strongroom_testkit::MemoryStorage;

/// One store a directory, since the suite opens each several times.
fn open(dir: &Path) -> MemoryStorage {
    static OPEN: Mutex<Option<HashMap<PathBuf, MemoryStorage>>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap();
    let stores = open.get_or_insert_default();
    let fresh = || MemoryStorage::from_backup(dir).unwrap_or_default();
    stores.entry(dir.to_path_buf()).or_insert_with(fresh).clone()
}

mod wide {
    strongroom_testkit::storage_suite!(super::open);
}

mod poor {
    use super::{Erasure, NonZeroUsize, Profile};

    strongroom_testkit::storage_suite!(|dir| {
        super::open(dir)
            .with_profile(Profile {
                atomic_ops: NonZeroUsize::MIN,
                value_bytes: NonZeroUsize::new(512).unwrap(),
                erasure: Erasure::Eventually,
            })
            .without_change_mark()
    });
}

/// What a simulation does to it without losing anything is within the contract, too.
mod simulated {
    use strongroom_testkit::sim::{SimFaults, SimStorage};

    strongroom_testkit::storage_suite!(|dir| {
        SimStorage::new(super::open(dir), 7, SimFaults::delays())
    });
}
