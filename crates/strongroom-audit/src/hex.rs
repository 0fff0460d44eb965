//! Lower-case hex, written by arithmetic that the compiler turns into vector code.

/// Appends the bytes as lower-case hex.
#[inline]
pub(crate) fn push(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let start = buffer.len();
    buffer.resize(start + 2 * bytes.len(), 0);
    let Some(space) = buffer.get_mut(start..) else { return };
    for (pair, byte) in space.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// The bytes that the text writes; `None` where it is not lower-case hex of whole bytes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            &[high, low] => Some(value(high)? << 4 | value(low)?),
            _ => None,
        })
        .collect()
}

/// The same for a known length.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    decode(text)?.try_into().ok()
}

const fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = b"x".to_vec();
        push(&mut text, &bytes);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("x000102") && text.ends_with("fdfeff"));
        assert_eq!(decode(&text[1..]), Some(bytes));
        for bad in ["0", "0A", "g0", " 0", "+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_array::<2>("0a0b"), Some([10, 11]));
        assert_eq!(decode_array::<2>("0a"), None);
    }
}
