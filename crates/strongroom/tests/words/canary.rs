//! The canary, and the forms in which it could fly.

use std::fmt::Write as _;

/// Has characters whose Base64 has both `+` and `/`, or `-` and `_`.
pub(crate) const CANARY: &str = "Kanarien~>?7Qx2Wv9Z?>~";

/// Pieces of so many bytes are searched for, each so many bytes after the last one: a text that is
/// cut short leaks, too. Whatever holds ten bytes in a row is found.
const WINDOW: usize = 8;
const STEP: usize = 3;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// All that is searched for: pieces without white space, of lower case where case says nothing.
pub(crate) struct Search {
    exact: Vec<String>,
    caseless: Vec<String>,
}

impl Search {
    pub(crate) fn new() -> Self {
        let (mut exact, mut caseless) = (Vec::new(), Vec::new());
        for window in CANARY.as_bytes().windows(WINDOW).step_by(STEP) {
            let raw = String::from_utf8(window.to_vec()).unwrap();
            caseless.push(raw.to_ascii_lowercase());
            caseless.push(raw.chars().rev().collect::<String>().to_ascii_lowercase());
            caseless.push(joined(window, "", |byte| format!("{byte:02x}")));
            caseless.push(joined(window, ":", |byte| format!("{byte:02x}")));
            caseless.push(joined(window, ",", |byte| format!("{byte:x}")));
            caseless.push(joined(window, ",", |byte| format!("0x{byte:x}")));
            caseless.push(joined(window, ",", |byte| byte.to_string()));
            caseless.push(joined(window, "", |byte| format!("\\x{byte:02x}")));
            caseless.push(joined(window, "", |byte| format!("\\u{byte:04x}")));
            caseless.push(joined(window, "", |byte| format!("\\u{{{byte:x}}}")));
            caseless.push(joined(window, "", |byte| format!("%{byte:02x}")));
            for alphabet in [STANDARD, FOR_URLS] {
                for before in 0..3 {
                    exact.push(base64_inside(window, before, alphabet));
                }
            }
        }
        Self { exact, caseless }
    }

    /// Whether the canary or a piece of it is in a text.
    pub(crate) fn finds(&self, text: &str) -> bool {
        let exact: String = text.split_whitespace().collect();
        let caseless = exact.to_ascii_lowercase();
        self.exact.iter().any(|piece| exact.contains(piece))
            || self.caseless.iter().any(|piece| caseless.contains(piece))
    }
}

fn joined(bytes: &[u8], by: &str, form: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|byte| form(*byte)).collect::<Vec<_>>().join(by)
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let bits: String = bytes.iter().fold(String::new(), |mut bits, byte| {
        write!(bits, "{byte:08b}").unwrap();
        bits
    });
    let digits = bits.as_bytes().chunks(6).map(|digit| {
        let digit = digit.iter().fold(0_usize, |sum, bit| sum * 2 + usize::from(*bit == b'1'))
            << (6 - digit.len());
        char::from(*alphabet.get(digit).unwrap())
    });
    digits.collect()
}

/// What is sure to be in a Base64 text that has `before` bytes, and any after, around these.
fn base64_inside(bytes: &[u8], before: usize, alphabet: &[u8; 64]) -> String {
    let mut padded = vec![0; before];
    padded.extend_from_slice(bytes);
    let text = base64(&padded, alphabet);
    // The first digits, and the last one, hold bits of what is around.
    let (first, whole) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    text.get(first..whole).unwrap().to_owned()
}

/// The canary in each form, as a leak would show it.
pub(crate) fn planted() -> Vec<(&'static str, String)> {
    let bytes = CANARY.as_bytes();
    let mut planted = vec![
        ("raw", CANARY.to_owned()),
        ("cut short", CANARY.chars().skip(1).take(10).collect()),
        ("upper case", CANARY.to_uppercase()),
        ("hex", joined(bytes, "", |byte| format!("{byte:02x}"))),
        ("hex in upper case", joined(bytes, "", |byte| format!("{byte:02X}"))),
        ("hex with spaces", joined(bytes, " ", |byte| format!("{byte:02x}"))),
        ("hex with colons", joined(bytes, ":", |byte| format!("{byte:02x}"))),
        ("debug of text", format!("{CANARY:?}")),
        ("debug of bytes", format!("{bytes:?}")),
        ("pretty debug of bytes", format!("{bytes:#?}")),
        ("hex debug of bytes", format!("{bytes:x?}")),
        ("pretty hex debug of bytes", format!("{bytes:#x?}")),
        ("json", serde_json::to_string(CANARY).unwrap()),
        ("json bytes", serde_json::to_string(bytes).unwrap()),
        ("json escapes", joined(bytes, "", |byte| format!("\\u{byte:04X}"))),
        ("rust escapes", CANARY.escape_unicode().to_string()),
        ("percent", joined(bytes, "", |byte| format!("%{byte:02X}"))),
    ];
    for (form, alphabet) in [("base64", STANDARD), ("base64 for urls", FOR_URLS)] {
        for before in ["", "a", "ab"] {
            let around = [before.as_bytes(), bytes, b"z"].concat();
            planted.push((form, base64(&around, alphabet)));
        }
    }
    planted
}
