//! The plain binary encoding of keyrings, namespace records and heads.
//!
//! Integers are big-endian and of fixed width; byte strings carry their length as u16 or u32.
//! There is one encoding for each content, and a reader refuses any other: what was read encodes
//! to the same bytes again.

use thiserror::Error;
use zeroize::Zeroizing;

/// The bytes are not a canonical encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the record's content is not in the form that this format writes")]
pub struct NotCanonical;

/// Writes an encoding into one buffer that is wiped, its earlier and smaller selves included.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Raw bytes of a length that the reader knows.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            // A growing `Vec` frees its old buffer unwiped: move by hand.
            let mut grown =
                Zeroizing::new(Vec::with_capacity((self.0.len() + bytes.len()).max(256) * 2));
            grown.extend_from_slice(&self.0);
            self.0 = grown;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Bytes with their length before them; longer than a u16 counts is `NotCanonical`.
    pub(crate) fn short(&mut self, bytes: &[u8]) -> Result<(), NotCanonical> {
        self.u16(u16::try_from(bytes.len()).map_err(|_| NotCanonical)?);
        self.bytes(bytes);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Reads an encoding, never past its end.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], NotCanonical> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(NotCanonical)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, NotCanonical> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, NotCanonical> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, NotCanonical> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, NotCanonical> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], NotCanonical> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(NotCanonical)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn short(&mut self) -> Result<&'a [u8], NotCanonical> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, NotCanonical> {
        std::str::from_utf8(self.short()?).map_err(|_| NotCanonical)
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn end(self) -> Result<(), NotCanonical> {
        if self.rest.is_empty() { Ok(()) } else { Err(NotCanonical) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_is_left() {
        let mut writer = Writer::with_capacity(1);
        writer.u8(1);
        writer.u16(2);
        writer.u32(3);
        writer.u64(4);
        writer.short(b"abc").unwrap();
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.u64(), Ok(4));
        assert_eq!(reader.text(), Ok("abc"));
        assert_eq!(reader.clone().u8(), Err(NotCanonical));
        assert_eq!(reader.end(), Ok(()));
    }
}
