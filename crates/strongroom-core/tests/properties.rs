//! What holds for all paths, references and moments.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use strongroom_core::{
    Metadata, MetadataUpdate, Namespace, Prefix, SecretFields, SecretPath, SecretRef, SecretText,
    SecretValue, Stage, Timestamp, Version, VersionSelector,
};

fn segment() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}"
}

fn path_text() -> impl Strategy<Value = String> {
    vec(segment(), 2..=16).prop_map(|segments| segments.join("/"))
}

fn selector() -> impl Strategy<Value = VersionSelector> {
    prop_oneof![
        Just(Stage::Current.into()),
        Just(Stage::Pending.into()),
        Just(Stage::Previous.into()),
        (1..=u64::MAX).prop_map(|number| Version::new(number).unwrap().into()),
    ]
}

proptest! {
    #[test]
    fn a_path_prints_as_it_was_parsed(text in path_text()) {
        let path: SecretPath = text.parse().unwrap();
        prop_assert_eq!(path.as_str(), &text);
        prop_assert_eq!(&path.to_string().parse::<SecretPath>().unwrap(), &path);
        prop_assert_eq!(path.segments().collect::<Vec<_>>().join("/"), text);
    }

    #[test]
    fn whatever_parses_prints_unchanged(text in "[ -~/.]{0,24}") {
        if let Ok(path) = text.parse::<SecretPath>() {
            prop_assert_eq!(path.as_str(), &text);
        }
        if let Ok(secret) = text.parse::<SecretRef>() {
            let printed = secret.to_string();
            let with_stage = format!("{printed}@current");
            prop_assert!(printed == text || with_stage == text);
        }
    }

    #[test]
    fn one_foreign_character_anywhere_is_refused_at_its_place(
        text in path_text(),
        at in any::<prop::sample::Index>(),
        foreign in any::<char>().prop_filter("foreign", |c| {
            !c.is_ascii_alphanumeric() && !"._-/".contains(*c)
        }),
    ) {
        let at = at.index(text.len());
        let (before, after) = text.split_at(at);
        let error = format!("{before}{foreign}{after}").parse::<SecretPath>().unwrap_err();
        prop_assert_eq!(error.offset(), Some(at));
        let code_point = format!("U+{:04X}", u32::from(foreign));
        prop_assert!(error.to_string().contains(&code_point));
    }

    #[test]
    fn a_reference_prints_as_it_was_made(text in path_text(), which in selector()) {
        let path: SecretPath = text.parse().unwrap();
        let secret = path.at(which);
        let again: SecretRef = secret.to_string().parse().unwrap();
        prop_assert_eq!(&again, &secret);
        prop_assert_eq!((again.path(), again.which()), (&path, which));
    }

    #[test]
    fn every_proper_ancestor_contains_a_path_and_nothing_else_does(
        text in path_text(),
        other in path_text(),
    ) {
        let path: SecretPath = text.parse().unwrap();
        for (at, _) in text.match_indices('/') {
            let prefix: Prefix = text.split_at(at).0.parse().unwrap();
            prop_assert!(prefix.contains(&path));
            prop_assert_eq!(prefix.namespace(), path.namespace());
            let longer: Prefix = format!("{prefix}x").parse().unwrap();
            prop_assert!(!longer.contains(&path));
        }
        prop_assert!(!Prefix::from(path.clone()).contains(&path), "a path is not below itself");
        let stranger: Prefix = other.parse().unwrap();
        prop_assert_eq!(stranger.contains(&path), text.starts_with(&format!("{other}/")));
    }

    #[test]
    fn namespace_is_the_first_segment(text in path_text()) {
        let path: SecretPath = text.parse().unwrap();
        let namespace: Namespace = path.namespace();
        prop_assert_eq!(namespace.as_str(), text.split('/').next().unwrap());
        prop_assert_eq!(namespace.as_str(), path.namespace_str());
    }

    #[test]
    fn a_moment_prints_as_it_was_parsed(millis in 0..=Timestamp::MAX.as_millis()) {
        let moment = Timestamp::from_millis(millis).unwrap();
        prop_assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
    }

    #[test]
    fn a_moment_is_the_same_at_any_offset(
        seconds in 86_400_u64..253_402_200_000,
        hours in -14_i64..=14,
        minutes in 0_i64..60,
    ) {
        let utc = Timestamp::from_millis(seconds * 1000).unwrap();
        let sign = if hours < 0 { -1 } else { 1 };
        let offset = hours * 3600 + sign * minutes * 60;
        let local = i64::try_from(seconds).unwrap() + offset;
        let shown = Timestamp::from_millis(u64::try_from(local).unwrap() * 1000).unwrap();
        let mark = if sign < 0 { '-' } else { '+' };
        let text = shown.to_string().replace('Z', &format!("{mark}{:02}:{minutes:02}", hours.abs()));
        prop_assert_eq!(text.parse::<Timestamp>().unwrap(), utc, "{}", text);
    }

    #[test]
    fn fields_come_out_as_they_went_in(first in ".*", second in ".*") {
        let value = SecretFields::new()
            .with("first", &SecretText::new(first.clone()))
            .with("second", &SecretText::new(second.clone()))
            .into_value();
        prop_assert!(SecretFields::field(&value, "first").unwrap().ct_eq(&SecretText::new(first)));
        prop_assert!(SecretFields::field(&value, "second").unwrap().ct_eq(&SecretText::new(second)));
    }

    #[test]
    fn fields_of_arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let value = SecretValue::new(bytes);
        let _: Option<SecretText> = SecretFields::field(&value, "first");
        prop_assert!(SecretFields::field(&value, "no such name at all").is_none());
    }

    #[test]
    fn values_are_exact_bytes(bytes in vec(any::<u8>(), 0..200)) {
        let value = SecretValue::copied_from(&bytes);
        prop_assert!(value.expose(|exposed| exposed == bytes));
        let text = std::str::from_utf8(&bytes).is_ok();
        prop_assert_eq!(value.into_text().is_ok(), text);
    }

    #[test]
    fn metadata_are_checked_as_a_whole(length in 0_usize..5000) {
        let mut metadata = Metadata::default();
        let update = MetadataUpdate::new().label("k", "v".repeat(length));
        let taken = update.apply(&mut metadata, Timestamp::default()).is_ok();
        prop_assert_eq!(taken, length < 4096);
    }
}

#[test]
fn the_last_moment_prints_and_parses_like_any_other() {
    let text = "9999-12-31T23:59:59.999Z";
    assert_eq!(Timestamp::MAX.to_string(), text);
    assert_eq!(text.parse(), Ok(Timestamp::MAX));
    // What certificates say for "never".
    let never: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
    assert_eq!(never.as_millis(), Timestamp::MAX.as_millis() - 999);
    for hour in 0..60_u64 {
        let moment = Timestamp::from_millis(Timestamp::MAX.as_millis() - hour * 3_600_000).unwrap();
        assert_eq!(moment.to_string().parse(), Ok(moment), "{moment}");
    }
    for wrong in
        ["9999-12-31Z", "9999-12-31T24:59:59Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59"]
    {
        assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
    }
}
