//! The suite for audit sinks, run on both of ours.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod memory {
    use std::path::Path;

    use strongroom_testkit::MemorySink;

    strongroom_testkit::audit_suite!(|_: &Path| MemorySink::new());
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
