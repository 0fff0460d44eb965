//! Faults that people met in the field, as far as the vocabulary answers for them. Each test
//! carries the id of its case; CONTRIBUTING.md lists them all.

use strongroom_core::{
    ApiKey, Credential, EncryptionKey, EnvironmentVariable, KindError, Metadata, MetadataError,
    MetadataUpdate, Opaque, Password, SecretKind, SecretPath, SecretRef, SecretText, SecretValue,
    Timestamp, TimestampError, Token, Version, path,
};

/// Two entries look the same on the screen, and one of them is stale.
#[test]
fn fc_019_look_alike_paths_are_refused_with_code_point_and_place() {
    for (text, code_point, at, escaped) in [
        ("prod/caf\u{e9}", "U+00E9", 8, r"\u{e9}"),
        ("prod/cafe\u{301}", "U+0301", 9, r"\u{301}"),
        ("prod/db\u{200b}", "U+200B", 7, r"\u{200b}"),
        ("prod/\u{430}dmin", "U+0430", 5, r"\u{430}"),
        ("prod/db\u{202e}", "U+202E", 7, r"\u{202e}"),
        ("prod\u{ff0f}db", "U+FF0F", 4, r"\u{ff0f}"),
    ] {
        let error = text.parse::<SecretPath>().unwrap_err();
        let message = error.to_string();
        assert_eq!(error.offset(), Some(at), "{message}");
        assert!(message.contains(code_point), "{message}");
        assert!(message.contains(&format!("at byte {at}")), "{message}");
        assert!(message.contains(escaped), "{message}");
        assert!(message.is_ascii(), "the character itself is printed: {message}");
    }
}

/// Labels and descriptions keep their bytes, but nothing in them may be invisible.
#[test]
fn fc_019_labels_keep_both_spellings_and_refuse_what_cannot_be_seen() {
    let now = Timestamp::default();
    for owner in ["Zo\u{eb}", "Zoe\u{308}"] {
        let mut metadata = Metadata::default();
        MetadataUpdate::new().owner(owner).apply(&mut metadata, now).unwrap();
        assert_eq!(metadata.owner.as_deref(), Some(owner));
    }
    for hidden in ['\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\0', '\u{e0041}', '\u{ad}'] {
        let text = format!("al{hidden}ice");
        for update in [
            MetadataUpdate::new().owner(&text),
            MetadataUpdate::new().description(&text),
            MetadataUpdate::new().label(&text, "x"),
            MetadataUpdate::new().label("x", &text),
        ] {
            let error = update.apply(&mut Metadata::default(), now).unwrap_err();
            assert!(
                matches!(error, MetadataError::Character { at: 2, character, .. } if character == hidden),
                "{error}"
            );
            assert!(error.to_string().is_ascii(), "{error}");
        }
    }
}

/// Empty, missing and unreadable are one answer elsewhere. Here the kinds say which may be empty.
#[test]
fn fc_027_only_kinds_that_can_mean_it_allow_no_bytes() {
    fn allows_empty<K: SecretKind>() -> bool {
        K::ALLOWS_EMPTY
    }
    assert!(allows_empty::<Opaque>());
    assert!(allows_empty::<EnvironmentVariable>());
    assert!(!allows_empty::<Password>());
    assert!(!allows_empty::<Credential>());
    assert!(!allows_empty::<ApiKey>());
    assert!(!allows_empty::<EncryptionKey>());
    assert!(!allows_empty::<Token>());
}

/// A value without bytes is a value, and one of another form says so.
#[test]
fn fc_027_empty_and_unreadable_are_different_answers() {
    let (identifiers, value) = Opaque::new(b"").into_parts();
    let opaque = Opaque::from_parts(identifiers, value).unwrap();
    assert!(opaque.value().is_empty());

    let (identifiers, _) = Password::new("x").into_parts();
    let damaged = SecretValue::copied_from(b"\xff\xfe");
    let error = Password::from_parts(identifiers, damaged).unwrap_err();
    assert_eq!(error, KindError::NotText);
    assert!(SecretText::from("").is_empty());
}

/// An expiry is off by a day, by the zone of the machine.
#[test]
fn fc_047_a_time_without_an_offset_is_refused_and_one_with_it_is_an_instant() {
    let instant: Timestamp = "2027-03-28T02:30:00+02:00".parse().unwrap();
    assert_eq!(instant.to_string(), "2027-03-28T00:30:00Z");
    assert_eq!(instant, "2027-03-28T00:30:00Z".parse().unwrap());
    for local in [
        "2027-03-28",
        "2027-03-28T02:30",
        "2027-03-28T02:30:00",
        "2027-03-28 02:30:00",
        "2027-10-31T02:30",
        "2027-10-31T02:30:00",
        "02:30:00Z",
        "tomorrow",
        "",
    ] {
        let error = local.parse::<Timestamp>().unwrap_err();
        assert_eq!(error, TimestampError::Malformed, "{local:?}");
        assert!(error.to_string().contains("with an offset"), "{error}");
    }
}

/// Runs in a process of its own for each zone, since a zone is a property of the process.
#[test]
fn fc_047_the_zone_of_the_machine_changes_nothing() {
    const CHILD: &str = "STRONGROOM_TEST_ZONE_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let moment: Timestamp = "2027-03-28T02:30:00+02:00".parse().unwrap();
        assert_eq!(moment.as_millis(), 1_806_193_800_000);
        assert_eq!(moment.to_string(), "2027-03-28T00:30:00Z");
        assert!("2027-03-28T02:30".parse::<Timestamp>().is_err());
        return;
    }
    for zone in ["Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "UTC"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fc_047_the_zone_of_the_machine_changes_nothing"])
            .env("TZ", zone)
            .env(CHILD, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{zone}: {told}");
    }
}

/// An expiry of 0 means "never" to one program and "long ago" to another.
#[test]
fn fc_049_no_expiry_value_is_magic() {
    let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
    let set = |at: Timestamp| {
        let mut metadata = Metadata::default();
        MetadataUpdate::new().expires(at).apply(&mut metadata, now).map(|()| metadata.expires)
    };
    let epoch = Timestamp::from_millis(0).unwrap();
    assert_eq!(epoch, "1970-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(set(epoch), Err(MetadataError::ExpiryPast));
    assert_eq!(set(now), Err(MetadataError::ExpiryPast));
    assert_eq!(set(Timestamp::MAX), Ok(Some(Timestamp::MAX)));

    assert_eq!(Timestamp::from_millis(253_402_300_800_000), Err(TimestampError::OutOfRange));
    assert_eq!(Timestamp::from_millis(u64::MAX), Err(TimestampError::OutOfRange));
    for text in ["1969-12-31T23:59:59Z", "-000001-01-01T00:00:00Z"] {
        assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::OutOfRange), "{text}");
    }
    for text in ["+010000-01-01T00:00:00Z", "0", "-1", "null", "1e18"] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }

    // Absent means none, and a refused change leaves what was there.
    let mut metadata = Metadata::default();
    assert_eq!(metadata.expires, None);
    MetadataUpdate::new().expires(Timestamp::MAX).apply(&mut metadata, now).unwrap();
    assert!(MetadataUpdate::new().expires(epoch).owner("x").apply(&mut metadata, now).is_err());
    assert_eq!((metadata.expires, metadata.owner.as_deref()), (Some(Timestamp::MAX), None));
    MetadataUpdate::new().without_expiry().apply(&mut metadata, now).unwrap();
    assert_eq!(metadata.expires, None);
}

/// From version 10 on, "latest" is version 9.
#[test]
fn fc_123_versions_are_numbers_and_sort_as_numbers() {
    let crossings = [1, 9, 10, 99, 100, 255, 256, 65_535, 65_536, 1 << 32, u64::MAX];
    let versions: Vec<Version> = crossings.iter().map(|&n| Version::new(n).unwrap()).collect();
    assert!(versions.is_sorted());
    for (version, number) in versions.iter().zip(crossings) {
        let secret = path!("prod/db").at(*version);
        assert_eq!(secret.to_string(), format!("prod/db@{number}"));
        assert_eq!(secret.to_string().parse::<SecretRef>().unwrap(), secret);
    }
    assert_eq!(Version::new(0), None);
    let Ok(json) = serde_json::to_string(&versions) else { panic!("versions serialise") };
    assert!(json.starts_with("[1,9,10,99,"), "{json}");
}
