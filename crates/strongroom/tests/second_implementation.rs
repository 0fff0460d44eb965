//! A reader in another language, written from FORMAT.md, opens a whole store and prints what is
//! in it. `cargo xtask test` finds or makes a Python that has `cryptography`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "the number of cases is told")]

use std::path::Path;
use std::process::Command;

use strongroom::{
    Argon2Cost, Certificate, Credential, FileLog, MetadataUpdate, Opaque, Passphrase, Policy,
    Principal, SqliteStorage, Strongroom,
};
use strongroom_core::{Entropy as _, StoreId};
use strongroom_crypto::{Context, Purpose, RecordKey, Suite};
use strongroom_testkit::SeededEntropy;

fn reader() -> Command {
    let python = std::env::var("STRONGROOM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let reader =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reader/strongroom_reader.py");
    let mut command = Command::new(python);
    command.arg(reader);
    command
}

/// How many vectors of the file the reader found right.
fn vectors(file: &Path) -> usize {
    let read = reader().arg("--vectors").arg(file).output().unwrap();
    let shown = String::from_utf8(read.stdout).unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let cases = shown.trim().strip_prefix("CASES ").unwrap().parse().unwrap();
    println!("CASES {cases}");
    cases
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn python_agrees_with_every_known_answer() {
    let file = "../strongroom-crypto/vectors/strongroom-v1.json";
    let cases = vectors(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    assert!(cases > 150, "only {cases} vectors");
}

/// Key, store, purpose, parts, suite, length and content differ from record to record.
#[test]
fn python_opens_a_thousand_random_records() {
    let entropy = SeededEntropy::new(2);
    let random = |length: usize| {
        let mut bytes = vec![0; length];
        entropy.fill(&mut bytes).unwrap();
        bytes
    };
    let below = |end: u16| {
        let drawn: [u8; 2] = random(2).try_into().unwrap();
        usize::from(u16::from_be_bytes(drawn) % end)
    };
    let purposes = [
        Purpose::Head,
        Purpose::Namespace,
        Purpose::KeyringBody,
        Purpose::SealWrap,
        Purpose::LogRegistry,
        Purpose::AuditName,
    ];
    let records: Vec<String> = (0..1000)
        .map(|_| {
            let (key, store) = (random(32), random(16));
            let which = below(6);
            let parts: Vec<Vec<u8>> = (0..below(4)).map(|_| random(below(300))).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let context = Context {
                purpose: purposes[which],
                store: StoreId::from_bytes(store.clone().try_into().unwrap()),
                parts: &parts,
            };
            let (suite, plaintext) = (Suite::ALL[below(2)], random(below(3000)));
            let record = RecordKey::from_bytes(key.as_slice().try_into().unwrap())
                .encrypt(suite, &context, &plaintext, &entropy)
                .unwrap();
            let parts: Vec<String> =
                parts.iter().map(|part| format!("\"{}\"", hex(part))).collect();
            format!(
                r#"{{"key":"{}","store_id":"{}","purpose":{},"parts":[{}],"suite":{},"plaintext":"{}","record":"{}"}}"#,
                hex(&key),
                hex(&store),
                which + 1,
                parts.join(","),
                suite.number(),
                hex(&plaintext),
                hex(&record),
            )
        })
        .collect();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("records.json");
    std::fs::write(&file, format!(r#"{{"records":[{}]}}"#, records.join(","))).unwrap();
    assert_eq!(vectors(&file), 1000);
}

#[test]
fn python_reads_a_whole_store() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let owner = Principal::user("alice");
    let room = Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("pass phrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&owner))
        .audit(FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(64 * 1024))
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
    let mallory = room.session(Principal::user("mallory"));
    for _ in 0..3 {
        mallory.get::<Opaque>("dev/db").unwrap_err();
    }
    room.close().unwrap();
    let logs = std::fs::read_dir(dir.join("audit")).unwrap().count();
    assert!(logs > 5, "the log is in {logs} files");

    let read = reader().arg(&dir).env("ROOM_PASSPHRASE", "pass phrase").output().unwrap();
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
    println!("CASES {}", shown.lines().count());
}

/// Of the log only the end is left, and the snapshot in it.
#[test]
fn python_reads_a_store_that_was_pruned() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("room");
    let owner = Principal::user("alice");
    let open = || {
        Strongroom::builder()
            .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
            .seal(Passphrase::new("pass phrase").with_cost(Argon2Cost::LEAST))
            .policy(Policy::owned_by(&owner))
            .audit(FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(16 * 1024))
            .blocking()
            .open_or_create()
            .unwrap()
    };
    let put = |room: &strongroom::blocking::Strongroom, paths: std::ops::Range<u32>| {
        for n in paths {
            let path = format!("prod/s{}", n % 20);
            room.session(owner.clone()).put(&*path, Opaque::new(b"value")).unwrap();
        }
    };
    let room = open();
    put(&room, 0..100);
    room.session(owner.clone()).put("dev/a", Opaque::new(b"value")).unwrap();
    room.session(owner.clone()).destroy_namespace("dev").unwrap();
    drop(room);
    let room = open();
    put(&room, 0..100);
    let pruned = room.session(owner.clone()).prune(std::time::Duration::ZERO).unwrap();
    assert!((pruned.logs, pruned.shortened) == (1, 1) && pruned.kept > 20, "{pruned:?}");
    put(&room, 0..60);
    room.close().unwrap();

    let read = |dir: &Path| {
        let read = reader().arg(dir).env("ROOM_PASSPHRASE", "pass phrase").output().unwrap();
        let error = String::from_utf8_lossy(&read.stderr).into_owned();
        if read.status.success() { Ok(String::from_utf8(read.stdout).unwrap()) } else { Err(error) }
    };
    let shown = read(&dir).unwrap();
    assert!(shown.contains("user:alice"));
    println!("CASES {}", shown.lines().count());
    // Without its snapshot, or with more gone than that tells, it is refused.
    let files = std::fs::read_dir(dir.join("audit")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2);
    std::fs::remove_file(&files[0]).unwrap();
    assert!(read(&dir).unwrap_err().contains("lines are missing"));
}
