//! Fixed-length ids and digests, written as lower-case hex.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A text that is no id of the expected length in lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no id: write {digits} lower-case hex digits")]
pub struct IdError {
    digits: usize,
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let error = IdError { digits: 2 * N };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(error),
    };
    if text.len() != 2 * N {
        return Err(error);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        if let &[high, low] = pair {
            *byte = digit(high)? << 4 | digit(low)?;
        }
    }
    Ok(bytes)
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// The number of bytes.
            pub const LENGTH: usize = $length;

            /// The id made of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                read_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id_type! {
    /// Which store: a digest of the key that its keyring is verified with, so that a record of
    /// another store is told apart.
    ///
    /// ```
    /// use strongroom_core::StoreId;
    /// let id: StoreId = "404142434445464748494a4b4c4d4e4f".parse()?;
    /// assert_eq!(id.as_bytes()[0], 0x40);
    /// # Ok::<(), strongroom_core::IdError>(())
    /// ```
    StoreId, 16
}
id_type! {
    /// Which audit log: random, drawn anew at each open.
    LogId, 8
}
id_type! {
    /// Which directory, or other place, keeps audit logs: random, drawn once for each.
    DirectoryId, 8
}
id_type! {
    /// Which seal of a keyring: random.
    SealId, 8
}
id_type! {
    /// Which write: random, and the same over verbatim retries.
    WriteId, 16
}
id_type! {
    /// A SHA-256 digest.
    Digest, 32
}
