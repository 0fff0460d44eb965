//! A reader in another language, written from FORMAT.md, opens a whole store and prints what is
//! in it. `cargo xtask test` finds or makes a Python that has `cryptography`.

use std::path::Path;
use std::process::Command;

use strongroom::{
    Argon2Cost, Certificate, Credential, FileLog, MetadataUpdate, Opaque, Passphrase, Policy,
    Principal, SqliteStorage, Strongroom,
};

#[test]
fn python_reads_a_whole_store() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let owner = Principal::user("alice");
    let room = Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("pass phrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&owner))
        .audit(FileLog::open(dir.join("audit")).unwrap())
        .blocking()
        .create()
        .unwrap();
    let alice = room.session(owner);
    for n in 0..1000_u32 {
        let value: Vec<u8> = (0..n).map(|byte| u8::try_from(byte % 256).unwrap()).collect();
        alice.put(&*format!("prod/many/s{n}"), Opaque::new(value)).unwrap();
    }
    alice.put("dev/large", Opaque::new(vec![7; 200_000])).unwrap();
    alice.put("dev/db", Credential::new("app", "s3cr3t")).unwrap();
    alice.rotate_keys("dev").unwrap();
    alice.put("dev/db", Credential::new("app", "n3w")).unwrap();
    alice.update_metadata("dev/db", MetadataUpdate::new().label("team", "blue")).unwrap();
    alice.put("dev/tls", Certificate::new("chain ".repeat(500), b"key")).unwrap();
    alice.put("dev/gone", Opaque::new(b"x")).unwrap();
    alice.purge("dev/gone").unwrap();
    room.close().unwrap();

    let python = std::env::var("STRONGROOM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let reader =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reader/strongroom_reader.py");
    let read = Command::new(python)
        .arg(reader)
        .arg(&dir)
        .env("ROOM_PASSPHRASE", "pass phrase")
        .output()
        .unwrap();
    let shown = String::from_utf8(read.stdout).unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let has = |part: &str| assert!(shown.lines().any(|line| line.contains(part)), "{part}");
    for n in 0..1000_u32 {
        let value: String = (0..n).map(|byte| format!("{:02x}", byte % 256)).collect();
        let path = format!("\"path\": \"prod/many/s{n}\"");
        let line = shown.lines().find(|line| line.contains(&path)).unwrap();
        assert!(line.contains(&format!("\"value\": \"{value}\"")), "{path}");
    }
    has(&format!("\"value\": \"{}\"", "07".repeat(200_000)));
    has(
        "\"version\": 1, \"state\": \"enabled\", \"current\": false, \"labels\": {\"team\": \"blue\"}, \"identifiers\": {\"username\": \"app\"}, \"value\": \"733363723374\"",
    );
    has("\"value\": \"6e3377\"");
    has("\"path\": \"dev/gone\", \"seq\": 2, \"purged\": true, \"next_version\": 2");
    has(&"chain ".repeat(500));
    has("\"names\": [");
    has("user:alice");
}
