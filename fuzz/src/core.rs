//! Names, moments, metadata and fields.

use std::str;

use strongroom_core::{
    Metadata, MetadataUpdate, Namespace, Prefix, SecretFields, SecretPath, SecretRef, SecretText,
    SecretValue, Timestamp,
};

/// What parses as a name prints unchanged, and parses as the same name again.
pub fn path(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match text.parse::<SecretPath>() {
        Ok(path) => {
            assert_eq!(path.to_string(), text);
            assert_eq!(path.to_string().parse::<SecretPath>().as_ref(), Ok(&path));
            assert!((2..=16).contains(&path.segments().count()) && text.len() <= 512);
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            for segment in path.segments() {
                assert!(!segment.starts_with('.') && (1..=128).contains(&segment.len()));
                assert!(segment.bytes().all(allowed));
            }
            assert!(Prefix::from(path.namespace()).contains(&path));
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.is_ascii() && !told.contains('\n'), "{told}");
            assert!(error.offset().is_none_or(|at| at <= text.len()));
        }
    }
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.as_str(), text);
    }
    if let Ok(namespace) = text.parse::<Namespace>() {
        assert_eq!(namespace.as_str(), text);
        assert!(!text.contains('/'));
    }
}

/// What parses as a reference prints as the same reference.
pub fn reference(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(secret) = text.parse::<SecretRef>() {
        let printed = secret.to_string();
        assert!(printed == text || format!("{printed}@current") == text);
        assert_eq!(printed.parse::<SecretRef>(), Ok(secret));
    }
}

/// What parses as a moment lies in the years that are kept, and prints as the same moment.
pub fn timestamp(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(moment) = text.parse::<Timestamp>() {
        assert!(moment <= Timestamp::MAX);
        let printed = moment.to_string();
        assert!(printed.ends_with('Z'), "{printed}");
        assert_eq!(printed.parse::<Timestamp>(), Ok(moment));
    }
}

/// Metadata that are accepted are within their limits and show everything that is in them.
pub fn metadata(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut parts = text.splitn(4, '|');
    let mut next = || parts.next().unwrap_or_default();
    let (name, value, owner) = (next(), next(), next());
    let versions = u8::try_from(text.len() % 256).unwrap_or_default();
    let update = MetadataUpdate::new()
        .label(name, value)
        .owner(owner)
        .description(next())
        .max_versions(versions);
    let mut metadata = Metadata::default();
    if update.apply(&mut metadata, Timestamp::default()).is_ok() {
        assert_eq!(metadata.labels.get(name).map(String::as_str), Some(value));
        assert!((1..=100).contains(&metadata.max_versions));
        let kept = name.len() + value.len() + owner.len();
        assert!(kept <= 4096 && !name.is_empty());
        assert!(!text.contains(['\u{200b}', '\u{202e}', '\0', '\u{feff}']));
        assert_eq!(metadata.check(), Ok(()));
    }
}

/// Packed fields of any form are read without a panic, and what is packed comes out.
pub fn fields(data: &[u8]) {
    let value = SecretValue::copied_from(data);
    let damaged = SecretFields::field(&value, "password");
    assert!(damaged.is_none_or(|text| text.len() <= data.len()));
    if let Ok(text) = str::from_utf8(data) {
        let secret = SecretText::from(text);
        let packed = SecretFields::new().with("a", &secret).with("b", &secret).into_value();
        assert!(SecretFields::field(&packed, "b").is_some_and(|field| field.ct_eq(&secret)));
    }
}
