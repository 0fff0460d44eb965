//! Secret bytes and secret text: wiped on drop, lent to closures, never printed.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::kind::KindError;

/// Secret bytes, exact: nothing is trimmed, normalised or re-encoded.
///
/// Wiped on drop. Lent to a closure by [`expose`](Self::expose), so that no borrow outlives the
/// use. There is no `Clone`, `PartialEq`, `Hash`, `Display`, `Serialize`, `Deserialize`, `Deref`
/// or `AsRef`; `Debug` prints the type's name.
///
/// ```
/// use strongroom_core::SecretValue;
///
/// let key = SecretValue::new(b"exact bytes \n".to_vec());
/// assert_eq!(key.expose(<[u8]>::len), 13);
/// assert_eq!(format!("{key:?}"), "SecretValue");
/// ```
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl Drop for SecretValue {
    fn drop(&mut self) {
        // `Zeroizing` then wipes the whole capacity at once, where it would wipe what is in use
        // byte by byte.
        self.0.clear();
    }
}

impl SecretValue {
    /// Takes the bytes without copying them.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies the bytes; the caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn copied_from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// Lends the bytes to `f`. What `f` returns cannot borrow from them.
    pub fn expose<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        // EXPOSE: the one place where secret bytes are lent to the host.
        f(&self.0)
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes. Empty, absent and unreadable are different answers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the bytes are the same, in time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// The same buffer as text.
    ///
    /// # Errors
    /// `NotText` where the bytes are not UTF-8; they are wiped.
    pub fn into_text(mut self) -> Result<SecretText, KindError> {
        match String::from_utf8(std::mem::take(&mut *self.0)) {
            Ok(text) => Ok(SecretText(Zeroizing::new(text))),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(KindError::NotText)
            }
        }
    }

    /// A copy for a driver that takes `secrecy` types or must borrow across an `await`.
    #[must_use]
    pub fn to_secrecy(&self) -> secrecy::SecretSlice<u8> {
        self.0.to_vec().into()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&[u8]> for SecretValue {
    fn from(bytes: &[u8]) -> Self {
        Self::copied_from(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for SecretValue {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copied_from(bytes)
    }
}

impl From<SecretText> for SecretValue {
    fn from(mut text: SecretText) -> Self {
        Self::new(std::mem::take(&mut *text.0).into_bytes())
    }
}

/// Secret text: a [`SecretValue`] whose bytes were once proved to be UTF-8.
///
/// ```
/// use strongroom_core::SecretText;
///
/// let password = SecretText::from("s3cr3t");
/// assert_eq!(password.expose(str::len), 6);
/// assert_eq!(format!("{password:?}"), "SecretText");
/// ```
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text without copying it.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Lends the text to `f`. What `f` returns cannot borrow from it.
    pub fn expose<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        // EXPOSE: the one place where secret text is lent to the host.
        f(&self.0)
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is the same, in time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// A copy for a driver that takes `secrecy` types or must borrow across an `await`.
    #[must_use]
    pub fn to_secrecy(&self) -> secrecy::SecretString {
        secrecy::SecretString::from(self.0.as_str())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Several secrets in one value, for a kind that has more than one: a key pair with its
/// passphrase, a client secret with its refresh token.
///
/// The bytes are a sequence of (name length u8, name, value length u32 big-endian, value).
///
/// ```
/// use strongroom_core::{SecretFields, SecretText};
///
/// let value = SecretFields::new()
///     .with("client_secret", &SecretText::from("s3cr3t"))
///     .with("refresh_token", &SecretText::from("r-1"))
///     .into_value();
/// let token = SecretFields::field(&value, "refresh_token").expect("it was put there");
/// assert!(token.ct_eq(&SecretText::from("r-1")));
/// assert!(SecretFields::field(&value, "other").is_none());
/// ```
#[derive(Default)]
pub struct SecretFields(Zeroizing<Vec<u8>>);

impl SecretFields {
    /// No fields yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field. Names are at most 255 bytes; a longer one is cut there.
    #[must_use]
    pub fn with(self, name: &'static str, value: &SecretText) -> Self {
        let name = name.as_bytes().get(..255).unwrap_or(name.as_bytes());
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        // A growing `Vec` would leave its old buffer behind unwiped: take one of the final size.
        let mut grown =
            Zeroizing::new(Vec::with_capacity(self.0.len() + 5 + name.len() + value.len()));
        grown.extend_from_slice(&self.0);
        grown.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        grown.extend_from_slice(name);
        grown.extend_from_slice(&length.to_be_bytes());
        // EXPOSE: copied once into the buffer that becomes the value.
        value.expose(|text| grown.extend_from_slice(text.as_bytes()));
        Self(grown)
    }

    /// The one value that holds all fields.
    #[must_use]
    pub fn into_value(mut self) -> SecretValue {
        SecretValue::new(std::mem::take(&mut *self.0))
    }

    /// The field of that name, where the value has it and is well formed.
    #[must_use]
    pub fn field(value: &SecretValue, name: &str) -> Option<SecretText> {
        // EXPOSE: one field is copied out into a secret of its own.
        value.expose(|mut bytes| {
            loop {
                let (&name_length, rest) = bytes.split_first()?;
                let (found, rest) = rest.split_at_checked(usize::from(name_length))?;
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                let (field, rest) = rest.split_at_checked(length)?;
                if found == name.as_bytes() {
                    return SecretValue::copied_from(field).into_text().ok();
                }
                bytes = rest;
            }
        })
    }
}

impl fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretFields")
    }
}
