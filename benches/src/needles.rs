//! Many strings searched for at once, in every form in which they could have been written down.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// What is looked at first: eight bytes of a needle.
const BLOCK: usize = 8;
/// How many bits of the hash of a block choose a bit of the filter.
const FILTER_BITS: u32 = 26;

/// Strings to be searched for: each as it is, in hex, and in base64 at its three alignments.
///
/// A string is found where a window of it is found: a given number of its bytes in a row, at any
/// place of it.
pub struct Needles {
    window: usize,
    texts: Vec<Text>,
    /// Where the blocks begin that every window has one of: text and place.
    blocks: HashMap<[u8; BLOCK], Vec<(usize, usize)>>,
    filter: Vec<u64>,
}

struct Text {
    name: String,
    form: &'static str,
    /// How many bytes of this form a window has at least.
    least: usize,
    bytes: Vec<u8>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What was found, as it was called.
    pub name: String,
    /// In which form.
    pub form: &'static str,
    /// At which byte of what was searched.
    pub at: usize,
    /// How many bytes of the form.
    pub length: usize,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} at {:#x}, {} bytes", self.name, self.form, self.at, self.length)
    }
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").field("texts", &self.texts.len()).finish_non_exhaustive()
    }
}

impl Needles {
    /// Nothing to search for yet; windows have that many bytes, at least 8.
    #[must_use]
    pub fn new(window: usize) -> Self {
        let words = usize::try_from(1_u64 << (FILTER_BITS - 6)).unwrap_or(1);
        Self {
            window: window.max(BLOCK),
            texts: Vec::new(),
            blocks: HashMap::new(),
            filter: vec![0; words],
        }
    }

    /// Searches for these bytes too, in all forms. A string shorter than a window is searched for
    /// as a whole.
    pub fn add(&mut self, name: impl Into<String>, bytes: &[u8]) {
        let (name, window) = (name.into(), self.window.min(bytes.len()));
        self.add_form(&name, "raw", window, bytes.to_vec());
        self.add_form(&name, "hex", 2 * window, hex(bytes, b"0123456789abcdef"));
        self.add_form(&name, "upper hex", 2 * window, hex(bytes, b"0123456789ABCDEF"));
        for skipped in 0..3 {
            // At the begin of a string up to two bytes of the window go to a group that is not
            // searched for.
            let length = window.saturating_sub(2) * 8 / 6;
            let rest = bytes.get(skipped..).unwrap_or_default();
            self.add_form(&name, "base64", length, base64(rest));
        }
    }

    /// How many strings are searched for, each form counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is nothing to search for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// All that is found there: every text once at each place.
    #[must_use]
    pub fn find(&self, haystack: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        // The end of the last hit of a text, so that its other blocks do not count again.
        let mut ends: HashMap<usize, usize> = HashMap::new();
        for (at, block) in haystack.windows(BLOCK).enumerate() {
            let Some(block) = block.first_chunk() else { continue };
            if !self.may_have(block) {
                continue;
            }
            for &(number, place) in self.blocks.get(block).into_iter().flatten() {
                let Some(text) = self.texts.get(number) else { continue };
                let before = common(
                    haystack.get(..at).unwrap_or_default().iter().rev(),
                    text.bytes.get(..place).unwrap_or_default().iter().rev(),
                );
                let length = before
                    + common(
                        haystack.get(at..).unwrap_or_default().iter(),
                        text.bytes.get(place..).unwrap_or_default().iter(),
                    );
                let counted = ends.get(&number).is_some_and(|&end| at < end);
                if length >= text.least && !counted {
                    ends.insert(number, at - before + length);
                    let (name, form) = (text.name.clone(), text.form);
                    hits.push(Hit { name, form, at: at - before, length });
                }
            }
        }
        hits
    }

    fn add_form(&mut self, name: &str, form: &'static str, least: usize, bytes: Vec<u8>) {
        if bytes.len() < BLOCK {
            return;
        }
        let least = least.clamp(BLOCK, bytes.len());
        let number = self.texts.len();
        // Any `least` bytes hold one whole block that begins at a multiple of this.
        let step = least - BLOCK + 1;
        for (place, block) in bytes.windows(BLOCK).enumerate().step_by(step) {
            let Some(block) = block.first_chunk::<BLOCK>() else { continue };
            let (word, bit) = filter_place(block);
            if let Some(word) = self.filter.get_mut(word) {
                *word |= bit;
            }
            match self.blocks.entry(*block) {
                Entry::Occupied(mut places) => places.get_mut().push((number, place)),
                Entry::Vacant(none) => drop(none.insert(vec![(number, place)])),
            }
        }
        self.texts.push(Text { name: name.to_owned(), form, least, bytes });
    }

    fn may_have(&self, block: &[u8; BLOCK]) -> bool {
        let (word, bit) = filter_place(block);
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn filter_place(block: &[u8; BLOCK]) -> (usize, u64) {
    let hash = u64::from_le_bytes(*block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = hash >> (64 - FILTER_BITS);
    (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
}

fn common<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let digit = |n: u8| digits.get(usize::from(n)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Base64, without the last character where it depends on what follows.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let mut three = [0; 3];
        three.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
        let [a, b, c] = three;
        let bits = u32::from_be_bytes([0, a, b, c]);
        let digits = [18, 12, 6, 0].map(|shift| {
            let digit = usize::try_from(bits >> shift & 63).unwrap_or_default();
            DIGITS.get(digit).copied().unwrap_or_default()
        });
        digits.into_iter().take(group.len() * 8 / 6)
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needles: &Needles, haystack: &str) -> Vec<(usize, &'static str, usize)> {
        let hits = needles.find(haystack.as_bytes());
        hits.iter().map(|hit| (hit.at, hit.form, hit.length)).collect()
    }

    #[test]
    fn every_form_and_every_window_is_found() {
        let mut needles = Needles::new(12);
        needles.add("it", b"correct horse battery staple");
        assert_eq!(found(&needles, "a correct horse battery staple"), [(2, "raw", 28)]);
        let text = "correct horse battery staple";
        for at in 0..text.len() - 12 {
            let window = &text[at..at + 12];
            assert_eq!(found(&needles, &format!("x{window}x")).len(), 1, "{window}");
            assert_eq!(found(&needles, &format!("x{}x", &window[1..])), [], "{window}");
            let hexed = hex(window.as_bytes(), b"0123456789abcdef");
            let hexed = String::from_utf8(hexed).unwrap();
            assert_eq!(found(&needles, &hexed).first(), Some(&(0, "hex", 24)));
            assert!(!found(&needles, &hexed.to_uppercase()).is_empty());
            for before in ["", "q", "qq"] {
                let encoded = base64(format!("{before}{window}zz").as_bytes());
                let encoded = String::from_utf8(encoded).unwrap();
                assert!(!found(&needles, &encoded).is_empty(), "{before} {window} {encoded}");
            }
        }
    }

    #[test]
    fn a_text_counts_once_at_each_place_and_what_is_alike_does_not() {
        let mut needles = Needles::new(12);
        assert!(needles.is_empty());
        needles.add("one", b"0123456789abcdefghij");
        needles.add("two", b"0123456789ABCDEFGHIJ");
        assert_eq!(needles.len(), 12);
        let twice = "0123456789abcdefghij-0123456789abcdefghij";
        assert_eq!(found(&needles, twice), [(0, "raw", 20), (21, "raw", 20)]);
        assert_eq!(found(&needles, "0123456789-abcdefghij"), []);
        assert_eq!(found(&needles, ""), []);
    }

    #[test]
    fn known_encodings() {
        assert_eq!(base64(b"foobar"), b"Zm9vYmFy");
        assert_eq!(base64(b"fooba"), b"Zm9vYm");
        assert_eq!(base64(b"foob"), b"Zm9vY");
        assert_eq!(hex(b"\x00\xfe", b"0123456789abcdef"), b"00fe");
    }
}
