//! Texts that are no path, prefix, namespace or reference: each is refused with what is wrong and
//! where, none is normalised into something that would be one.

use strongroom_core::{Namespace, Prefix, SecretPath, SecretRef};

/// The text, the offset that the error names (`None` where the fault has no place), and a part of
/// the message.
type Row = (&'static str, Option<usize>, &'static str);

const PATHS: &[Row] = &[
    ("", None, "it is empty"),
    ("/", Some(0), "empty segment"),
    ("//", Some(0), "empty segment"),
    ("prod", None, "one segment"),
    ("/prod/db", Some(0), "empty segment"),
    ("prod/db/", Some(8), "empty segment"),
    ("prod//db", Some(5), "empty segment"),
    ("prod/", Some(5), "empty segment"),
    ("./db", Some(0), "`.` or `..`"),
    ("prod/.", Some(5), "`.` or `..`"),
    ("prod/..", Some(5), "`.` or `..`"),
    ("prod/../db", Some(5), "`.` or `..`"),
    ("../prod/db", Some(0), "`.` or `..`"),
    ("prod/.hidden", Some(5), "reserved"),
    (".strongroom/keys", Some(0), "reserved"),
    ("prod/...", Some(5), "reserved"),
    ("prod/d b", Some(6), "U+0020"),
    (" prod/db", Some(0), "U+0020"),
    ("prod/db ", Some(7), "U+0020"),
    ("prod/db\n", Some(7), "U+000A"),
    ("prod/db\r\n", Some(7), "U+000D"),
    ("prod/\tdb", Some(5), "U+0009"),
    ("prod/db\0", Some(7), "U+0000"),
    ("prod/db\u{7f}", Some(7), "U+007F"),
    ("prod\\db", Some(4), "U+005C"),
    ("prod/*", Some(5), "U+002A"),
    ("prod/**", Some(5), "U+002A"),
    ("prod/db-*", Some(8), "U+002A"),
    ("prod/d?", Some(6), "U+003F"),
    ("prod/${team}", Some(5), "U+0024"),
    ("prod/{a,b}", Some(5), "U+007B"),
    ("prod/[ab]", Some(5), "U+005B"),
    ("prod/%2e%2e", Some(5), "U+0025"),
    ("prod/db#1", Some(7), "U+0023"),
    ("prod:db/x", Some(4), "U+003A"),
    ("prod/db@3", Some(7), "U+0040"),
    ("prod/caf\u{e9}", Some(8), "U+00E9"),
    ("prod/\u{1f511}", Some(5), "U+1F511"),
    ("\u{feff}prod/db", Some(0), "U+FEFF"),
    ("prod\u{2215}db/x", Some(4), "U+2215"),
    ("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", None, "more than 16 segments"),
];

const PREFIXES: &[Row] = &[
    ("", None, "it is empty"),
    ("/", Some(0), "empty segment"),
    ("prod/", Some(5), "empty segment"),
    ("prod/*", Some(5), "U+002A"),
    (".prod", Some(0), "reserved"),
];

const NAMESPACES: &[Row] = &[
    ("", None, "it is empty"),
    ("prod/db", None, "single segment"),
    ("prod/", Some(5), "empty segment"),
    ("..", Some(0), "`.` or `..`"),
    ("pro d", Some(3), "U+0020"),
];

const REFERENCES: &[Row] = &[
    ("prod/db@", None, "what follows `@`"),
    ("prod/db@0", None, "what follows `@`"),
    ("prod/db@00", None, "what follows `@`"),
    ("prod/db@03", None, "what follows `@`"),
    ("prod/db@+3", None, "what follows `@`"),
    ("prod/db@-1", None, "what follows `@`"),
    ("prod/db@3 ", None, "what follows `@`"),
    ("prod/db@3@4", None, "what follows `@`"),
    ("prod/db@1e3", None, "what follows `@`"),
    ("prod/db@0x3", None, "what follows `@`"),
    ("prod/db@latest", None, "what follows `@`"),
    ("prod/db@Current", None, "what follows `@`"),
    ("prod/db@18446744073709551616", None, "what follows `@`"),
    ("@current", None, "it is empty"),
    ("prod@1", None, "one segment"),
    ("prod//db@1", Some(5), "empty segment"),
];

macro_rules! refuses_each {
    ($test:ident, $kind:ty, $rows:expr) => {
        #[test]
        fn $test() {
            for &(text, offset, says) in $rows {
                let Err(error) = text.parse::<$kind>() else {
                    panic!("{text:?} was taken");
                };
                assert_eq!(error.offset(), offset, "{text:?}: {error}");
                let message = error.to_string();
                assert!(message.contains(says), "{text:?}: {message}");
                assert!(!message.contains('\n') && message.is_ascii(), "{text:?}: {message}");
            }
        }
    };
}

refuses_each!(no_path, SecretPath, PATHS);
refuses_each!(no_prefix, Prefix, PREFIXES);
refuses_each!(no_namespace, Namespace, NAMESPACES);
refuses_each!(no_reference, SecretRef, REFERENCES);

#[test]
fn lengths_are_refused_one_past_the_limit_and_taken_at_it() {
    let segment = |bytes: usize| "a".repeat(bytes);
    assert!(format!("n/{}", segment(128)).parse::<SecretPath>().is_ok());
    let error = format!("n/{}", segment(129)).parse::<SecretPath>().unwrap_err();
    assert_eq!(error.offset(), Some(2), "{error}");

    let sixteen = vec!["s"; 16].join("/");
    assert!(sixteen.parse::<SecretPath>().is_ok());
    assert!(format!("{sixteen}/s").parse::<SecretPath>().is_err());

    let longest = format!("{0}/{0}/{0}/{1}", segment(127), segment(128));
    assert_eq!(longest.len(), 512);
    assert!(longest.parse::<SecretPath>().is_ok());
    let error = format!("{longest}/a").parse::<SecretPath>().unwrap_err();
    assert!(error.to_string().contains("longer than 512 bytes"), "{error}");
}

#[test]
fn a_message_quotes_no_more_than_one_character_of_what_may_be_a_secret() {
    let error = "hunter2 correct horse".parse::<SecretPath>().unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hunter2") && !told.contains("correct"), "{told}");
}

#[test]
fn what_looks_odd_but_is_in_the_grammar_is_taken_as_it_stands() {
    for text in ["a/b", "A/b", "prod/a..b", "prod/a.", "-/_", "0/0", "prod/db-1.0_x", "prod/-"] {
        assert_eq!(text.parse::<SecretPath>().unwrap().as_str(), text);
    }
    let (upper, lower): (SecretPath, SecretPath) =
        ("prod/DB".parse().unwrap(), "prod/db".parse().unwrap());
    assert_ne!(upper, lower, "case counts");
}
