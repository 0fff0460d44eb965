//! Who holds an auditor's key reads the names in the logs, without opening the store.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use strongroom::audit::{Exported, export_in_clear};
use strongroom::{
    Argon2Cost, AuditorKey, Error, FileLog, Opaque, Passphrase, Policy, Principal, RequestContext,
    SqliteStorage, blocking,
};

fn open(dir: &Path) -> blocking::Strongroom {
    let rules = r#"
        [[rule]]
        id = "owner"
        effect = "allow"
        principals = ["user:alice"]
        actions = ["*"]
        paths = ["prod/**", "/"]

        [[rule]]
        id = "no-secrets-for-bob"
        effect = "deny"
        principals = ["user:bob"]
        actions = ["read"]
        paths = ["prod/**"]
    "#;
    strongroom::Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::from_toml(rules).unwrap())
        // Names are told once a file, and these files are short.
        .audit(FileLog::open(dir.join("audit")).unwrap().with_segment_bytes(4096))
        .blocking()
        .open_or_create()
        .unwrap()
}

fn export(dir: &Path, key: &AuditorKey) -> (Exported, Vec<serde_json::Value>) {
    let mut out = Vec::new();
    let open_name = |log, sealed: &[u8]| key.name(log, sealed).ok();
    let done = export_in_clear(dir.join("audit"), open_name, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (done, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn an_auditor_reads_who_did_what_and_nothing_of_what_is_stored() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let room = open(dir);
    let alice = room.session(Principal::user("alice"));
    for number in 0..60_u8 {
        let path = format!("prod/db-{}", number % 7);
        alice.put(path.as_str(), Opaque::new(b"never-in-a-log")).unwrap();
    }
    let because = RequestContext::new()
        .with_request_id("r-1")
        .with_source("192.0.2.7".parse().unwrap())
        .with_reason("ticket 42");
    let bob = room.session(Principal::user("bob")).with_context(because);
    assert!(matches!(bob.get::<Opaque>("prod/db-3"), Err(Error::Denied(_))));
    assert!(matches!(bob.auditor_key(), Err(Error::Denied(_))));

    let text = alice.auditor_key().unwrap().to_text();
    drop(room); // nothing closes this log: it is read all the same
    let key = AuditorKey::from_text(&text).unwrap();
    let (done, objects) = export(dir, &key);
    assert_eq!((done.unreadable, done.unnamed), (0, 0), "{done:?}");
    assert_eq!(done.records, objects.len() as u64);

    let refusal = objects.iter().find(|o| o["effect"] == "deny" && o["action"] == "read").unwrap();
    for (field, value) in [
        ("record", "decision"),
        ("principal", "user:bob"),
        ("target", "secret"),
        ("path", "prod/db-3"),
        ("rule", "no-secrets-for-bob"),
        ("request", "r-1"),
        ("source", "192.0.2.7"),
        ("reason", "ticket 42"),
    ] {
        assert_eq!(refusal[field], value, "{refusal}");
    }
    let at = refusal["at"].as_str().unwrap();
    assert!(at.parse::<strongroom::Timestamp>().is_ok(), "{at}");
    let of = |record: &str| objects.iter().filter(|o| o["record"] == record).count();
    assert!(of("segment") > 3, "{} files", of("segment"));
    // The first keyring, a namespace, and sixty heads.
    assert!(of("intent") >= 61 && of("outcome") >= 61, "{} {}", of("intent"), of("outcome"));
    let written = objects.iter().filter(|o| o["record"] == "intent" && o["path"] == "prod/db-6");
    assert_eq!(written.count(), 8);
    // Indices are those of the log, across its files.
    let indices: Vec<u64> = objects.iter().map(|o| o["index"].as_u64().unwrap()).collect();
    assert!(indices.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(objects.iter().all(|o| !o.to_string().contains("never-in-a-log")));
}

#[test]
fn the_key_of_another_store_opens_no_name_and_damage_is_told_in_its_place() {
    let scratch = tempfile::tempdir().unwrap();
    let (ours, theirs) = (scratch.path().join("ours"), scratch.path().join("theirs"));
    let keys = [&ours, &theirs].map(|dir| {
        let room = open(dir);
        let alice = room.session(Principal::user("alice"));
        alice.put("prod/db", Opaque::new(b"value")).unwrap();
        let key = alice.auditor_key().unwrap();
        for _ in 0..3 {
            room.session(Principal::user("bob")).get::<Opaque>("prod/db").unwrap_err();
        }
        room.close().unwrap();
        key
    });
    let (done, objects) = export(&ours, &keys[1]);
    assert!(done.unnamed > 0);
    let put = objects.iter().find(|o| o["action"] == "write").unwrap();
    assert!(put["path"].as_str().unwrap().starts_with("token:"), "{put}");

    let (_, whole) = export(&ours, &keys[0]);
    let refusals: Vec<_> = whole.iter().filter(|o| o["effect"] == "deny").collect();
    assert_eq!(refusals.len(), 2, "equal ones share a record");
    assert_eq!((refusals[0].get("count"), &refusals[1]["count"]), (None, &2.into()));
    let file = std::fs::read_dir(ours.join("audit")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"effect\":\"allow\"", "\"effect\":\"Allow\"", 1))
        .unwrap();
    let (done, objects) = export(&ours, &keys[0]);
    assert_eq!(done.unreadable, 1);
    assert_eq!(objects.len(), whole.len());
    let differ: Vec<_> = objects.iter().zip(&whole).filter(|(a, b)| a != b).collect();
    assert_eq!(differ.len(), 1);
    assert_eq!(differ[0].0["record"], "unreadable");
    assert_eq!(differ[0].0["index"], differ[0].1["index"]);
}
