//! Which formats and suites a store accepts: said by its keyring, never by the record that is read.

use crate::codec::{NotCanonical, Reader, Writer};
use crate::keyring::KeyringError;
use crate::record::Suite;

/// A format of records, by its number, which is a record's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// The one of this version.
    V1 = 1,
}

impl Format {
    /// All formats, in the order of their numbers.
    pub const ALL: [Self; 1] = [Self::V1];

    /// The number, a record's first byte.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
        }
    }

    /// The format of that number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            _ => None,
        }
    }
}

/// The suites and formats that a key opens. Sets, so that there is one way to write them.
///
/// ```
/// use strongroom_crypto::{Accepted, Format, Suite};
///
/// let one = Accepted::new(&[Suite::Aes256Gcm], &[Format::V1]);
/// assert!(one.suite(Suite::Aes256Gcm) && !one.suite(Suite::ChaCha20Poly1305));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    suites: [bool; Suite::ALL.len()],
    formats: [bool; Format::ALL.len()],
}

impl Accepted {
    /// All that this build knows.
    pub const ALL: Self =
        Self { suites: [true; Suite::ALL.len()], formats: [true; Format::ALL.len()] };

    /// These and no others.
    #[must_use]
    pub fn new(suites: &[Suite], formats: &[Format]) -> Self {
        Self {
            suites: Suite::ALL.map(|suite| suites.contains(&suite)),
            formats: Format::ALL.map(|format| formats.contains(&format)),
        }
    }

    /// Whether records may have the suite.
    #[must_use]
    pub fn suite(self, suite: Suite) -> bool {
        self.suites().any(|accepted| accepted == suite)
    }

    /// Whether records may have the format.
    #[must_use]
    pub fn format(self, format: Format) -> bool {
        self.formats().any(|accepted| accepted == format)
    }

    fn suites(self) -> impl Iterator<Item = Suite> {
        Suite::ALL.into_iter().zip(self.suites).filter_map(|(suite, is)| is.then_some(suite))
    }

    fn formats(self) -> impl Iterator<Item = Format> {
        Format::ALL.into_iter().zip(self.formats).filter_map(|(format, is)| is.then_some(format))
    }

    pub(crate) fn encode(self, writer: &mut Writer) -> Result<(), NotCanonical> {
        list(self.suites().map(Suite::number), writer)?;
        list(self.formats().map(Format::number), writer)
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, KeyringError> {
        let suites =
            numbers(reader)?.iter().map(|&number| suite(number)).collect::<Result<Vec<_>, _>>()?;
        let formats = numbers(reader)?
            .iter()
            .map(|&number| {
                Format::from_number(number)
                    .ok_or(KeyringError::UnknownAccepted { what: "format", number })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(&suites, &formats))
    }
}

/// The suite of a number in the keyring.
pub(crate) fn suite(number: u8) -> Result<Suite, KeyringError> {
    Suite::from_number(number).ok_or(KeyringError::UnknownAccepted { what: "suite", number })
}

fn list(numbers: impl Iterator<Item = u8>, writer: &mut Writer) -> Result<(), NotCanonical> {
    let numbers: Vec<u8> = numbers.collect();
    writer.u8(u8::try_from(numbers.len()).map_err(|_| NotCanonical)?);
    writer.bytes(&numbers);
    Ok(())
}

/// A list of numbers, ascending from 1, none twice.
fn numbers<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], NotCanonical> {
    let count = reader.u8()?;
    let numbers = reader.bytes(usize::from(count))?;
    let ascends = numbers.is_sorted_by(|one, next| one < next);
    if ascends && numbers.first() != Some(&0) { Ok(numbers) } else { Err(NotCanonical) }
}
