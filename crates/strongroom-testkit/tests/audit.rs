//! The suite for audit sinks, run on both of ours.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod memory {
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use strongroom_testkit::MemorySink;

    /// One set of logs a directory, since the suite opens some several times.
    fn open(dir: &Path) -> MemorySink {
        static LOGS: Mutex<Option<HashMap<PathBuf, MemorySink>>> = Mutex::new(None);
        let mut logs = LOGS.lock().unwrap();
        logs.get_or_insert_default().entry(dir.to_path_buf()).or_default().beside()
    }

    strongroom_testkit::audit_suite!(open);
}

mod directory {
    use std::path::Path;

    use strongroom_audit::FileLog;

    fn open(dir: &Path) -> FileLog {
        FileLog::open(dir).unwrap()
    }

    strongroom_testkit::audit_suite!(open);
}

mod directory_without_a_thread {
    use std::path::Path;

    use strongroom_audit::FileLog;

    fn open(dir: &Path) -> FileLog {
        FileLog::open_inline(dir).unwrap()
    }

    strongroom_testkit::audit_suite!(open);
}
