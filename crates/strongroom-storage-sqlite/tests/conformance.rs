//! The contract of the storage trait, with a writing thread, without one, and behind an `Arc`.

mod threaded {
    use strongroom_storage_sqlite::SqliteStorage;

    strongroom_testkit::storage_suite!(|dir| SqliteStorage::open(dir.join("secrets.db")).unwrap());
}

mod inline {
    use strongroom_storage_sqlite::SqliteStorage;

    strongroom_testkit::storage_suite!(|dir| {
        SqliteStorage::open_inline(dir.join("secrets.db")).unwrap()
    });
}
