//! Storage keys: where each record is, told without a name.
//!
//! A name is hidden by a chain of tokens, t_i = HMAC-SHA256(name key, t_{i−1} ‖ segment)[..16]
//! with t_0 = 16 zero bytes, one for each segment after the namespace. What lies below a prefix
//! shares the prefix's tokens, so that it can be listed; equal segments under different parents
//! share nothing.

use std::fmt;

use strongroom_core::{Entropy, EntropyError, Key, LogId, Namespace, Prefix, SecretPath};

use crate::codec::Reader;
use crate::kdf::Prk;

const KEYRING: u8 = 1;
const NAMESPACE: u8 = 2;
const HEAD: u8 = 3;
const BLOB: u8 = 4;
const LOG_REGISTRY: u8 = 5;
const TOKEN: usize = 16;
/// The most segments after the namespace.
const MAX_DEPTH: usize = strongroom_core::MAX_SEGMENTS - 1;

/// Which namespace: random, drawn anew when one is created again under the same name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId([u8; 8]);

impl NamespaceId {
    /// A new id.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceId({self})")
    }
}

/// A 32-byte key that hides names. Clones share one copy in memory, wiped with the last of them.
#[derive(Clone)]
pub struct NameKey(Prk);

impl NameKey {
    /// A new key.
    ///
    /// # Errors
    /// Where randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Prk::generate(entropy).map(Self)
    }

    /// The key made of these bytes. The caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Prk::from_bytes(bytes))
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        self.0.secret()
    }

    /// One token for each segment.
    fn tokens<'a>(
        &'a self,
        segments: impl Iterator<Item = &'a str>,
    ) -> impl Iterator<Item = [u8; TOKEN]> {
        segments.scan([0; TOKEN], |token, segment| {
            *token = self.0.hmac(&[&*token, segment.as_bytes()]);
            Some(*token)
        })
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey")
    }
}

/// The key of the keyring.
#[must_use]
pub fn keyring_key() -> Key {
    Key::new([KEYRING])
}

/// The key of a namespace record, under the store's name key.
#[must_use]
pub fn namespace_key(store_names: &NameKey, namespace: &Namespace) -> Key {
    let mut key = Vec::with_capacity(1 + TOKEN);
    key.push(NAMESPACE);
    key.extend(store_names.tokens(std::iter::once(namespace.as_str())).flatten());
    Key::new(key)
}

/// The prefix of all namespace records.
#[must_use]
pub fn namespaces_prefix() -> Vec<u8> {
    vec![NAMESPACE]
}

/// The key of a head, under the namespace's name key.
#[must_use]
pub fn head_key(namespace: NamespaceId, names: &NameKey, path: &SecretPath) -> Key {
    // A buffer on the stack, so that the key itself is the only allocation.
    let mut buffer = [0; 1 + 8 + MAX_DEPTH * TOKEN];
    let mut length = 0;
    // INVARIANT: a path has at most 15 segments after the first, so the buffer takes them all.
    let mut push = |bytes: &[u8]| {
        if let Some(space) = buffer.get_mut(length..length + bytes.len()) {
            space.copy_from_slice(bytes);
            length += bytes.len();
        }
    };
    push(&[HEAD]);
    push(&namespace.0);
    names.tokens(path.segments().skip(1)).for_each(|token| push(&token));
    Key::new(buffer.get(..length).unwrap_or_default())
}

/// The prefix of the keys of all heads below a prefix. Where there is a secret whose path *is* the
/// prefix, its head's key begins with these bytes too: it is exactly as long.
#[must_use]
pub fn head_prefix(namespace: NamespaceId, names: &NameKey, prefix: &Prefix) -> Vec<u8> {
    let mut key = heads_of(namespace);
    key.extend(names.tokens(prefix.segments().skip(1)).flatten());
    key
}

/// The prefix of the keys of all heads of a namespace.
#[must_use]
pub fn heads_of(namespace: NamespaceId) -> Vec<u8> {
    [&[HEAD], namespace.0.as_slice()].concat()
}

/// The prefix of the keys of all blobs of a namespace.
#[must_use]
pub fn blobs_of(namespace: NamespaceId) -> Vec<u8> {
    [&[BLOB], namespace.0.as_slice()].concat()
}

/// The prefix of the keys of all blobs of one head; `None` where the key is not a head's.
#[must_use]
pub fn blob_prefix(head: &Key) -> Option<Vec<u8>> {
    let Some(KeyClass::Head { namespace, depth }) = KeyClass::parse(head.as_bytes()) else {
        return None;
    };
    let tokens = head.as_bytes().get(9..)?;
    let mut key = Vec::with_capacity(10 + tokens.len() + 8 + 16 + 1);
    key.push(BLOB);
    key.extend_from_slice(&namespace.0);
    key.push(depth);
    key.extend_from_slice(tokens);
    Some(key)
}

/// The key of one part of a blob, which only the head of sequence number `seq` may name; `None`
/// where the key is not a head's.
#[must_use]
pub fn blob_key(head: &Key, seq: u64, random: &[u8; 16], part: u8) -> Option<Key> {
    let mut key = blob_prefix(head)?;
    key.extend_from_slice(&seq.to_be_bytes());
    key.extend_from_slice(random);
    key.push(part);
    Some(Key::new(key))
}

/// The key of the registry record of an audit log.
#[must_use]
pub fn log_registry_key(log: LogId) -> Key {
    Key::new([&[LOG_REGISTRY], log.as_bytes().as_slice()].concat())
}

/// The prefix of all registry records.
#[must_use]
pub fn log_registry_prefix() -> Vec<u8> {
    vec![LOG_REGISTRY]
}

/// What kind of record a storage key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClass<'a> {
    /// The keyring.
    Keyring,
    /// A namespace record.
    Namespace,
    /// A head.
    Head {
        /// Its namespace.
        namespace: NamespaceId,
        /// How many segments its path has after the namespace, from 1.
        depth: u8,
    },
    /// A part of a blob.
    Blob(BlobKey<'a>),
    /// The registry record of an audit log.
    LogRegistry(LogId),
}

/// The key of a part of a blob, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobKey<'a> {
    /// Its namespace.
    pub namespace: NamespaceId,
    /// The sequence number of the head that may name it.
    pub seq: u64,
    /// What tells it from other attempts.
    pub random: [u8; 16],
    /// Which part, from 0.
    pub part: u8,
    tokens: &'a [u8],
}

impl BlobKey<'_> {
    /// The key of the head that it belongs to.
    #[must_use]
    pub fn head_key(&self) -> Key {
        Key::new([&[HEAD], self.namespace.0.as_slice(), self.tokens].concat())
    }
}

impl<'a> KeyClass<'a> {
    /// Takes a storage key apart; `None` where strongroom writes no such key.
    #[must_use]
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(key);
        let class = match reader.u8().ok()? {
            KEYRING => Self::Keyring,
            NAMESPACE => {
                reader.array::<TOKEN>().ok()?;
                Self::Namespace
            }
            HEAD => {
                let namespace = NamespaceId(reader.array().ok()?);
                let length = reader.rest().len();
                let depth = length / TOKEN;
                if depth == 0 || depth > MAX_DEPTH {
                    return None;
                }
                // What does not divide evenly is left over, and refused below.
                reader.bytes(depth * TOKEN).ok()?;
                Self::Head { namespace, depth: u8::try_from(depth).ok()? }
            }
            BLOB => {
                let namespace = NamespaceId(reader.array().ok()?);
                let depth = usize::from(reader.u8().ok()?);
                if depth == 0 || depth > MAX_DEPTH {
                    return None;
                }
                Self::Blob(BlobKey {
                    namespace,
                    tokens: reader.bytes(depth * TOKEN).ok()?,
                    seq: reader.u64().ok()?,
                    random: reader.array().ok()?,
                    part: reader.u8().ok()?,
                })
            }
            LOG_REGISTRY => Self::LogRegistry(LogId::from_bytes(reader.array().ok()?)),
            _ => return None,
        };
        reader.end().ok()?;
        Some(class)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_core::path;

    use super::*;

    fn names() -> NameKey {
        NameKey::from_bytes(&std::array::from_fn(|at| 0x80 + u8::try_from(at).unwrap()))
    }

    fn namespace() -> NamespaceId {
        NamespaceId::from_bytes(std::array::from_fn(|at| 0x70 + u8::try_from(at).unwrap()))
    }

    #[test]
    fn keys_agree_with_the_format_s_vectors() {
        let store_names =
            NameKey::from_bytes(&std::array::from_fn(|at| 0xa0 + u8::try_from(at).unwrap()));
        assert_eq!(
            namespace_key(&store_names, &"prod".parse().unwrap()).to_string(),
            "0252958844381c30cdc91dd931d3b99d9d"
        );
        assert_eq!(
            head_key(namespace(), &names(), &path!("prod/billing/db")).to_string(),
            "037071727374757677a25cd986cf9ea4f5a8fd26d44fbc22e898ff8ec74f99665f5a27a3bf5940040e"
        );
    }

    #[test]
    fn what_lies_below_a_prefix_begins_with_its_key() {
        let (prefix, inside, outside): (Prefix, _, _) =
            ("prod/billing".parse().unwrap(), path!("prod/billing/a/b"), path!("prod/other/a/b"));
        let start = head_prefix(namespace(), &names(), &prefix);
        assert!(head_key(namespace(), &names(), &inside).as_bytes().starts_with(&start));
        assert!(!head_key(namespace(), &names(), &outside).as_bytes().starts_with(&start));
        let all: Prefix = "prod".parse().unwrap();
        assert_eq!(head_prefix(namespace(), &names(), &all), heads_of(namespace()));
    }

    #[test]
    fn equal_segments_under_different_parents_share_no_token() {
        let token = |path: &SecretPath| {
            head_key(namespace(), &names(), path).as_bytes().last_chunk::<16>().copied()
        };
        assert_ne!(token(&path!("prod/a/db")), token(&path!("prod/b/db")));
        assert_ne!(token(&path!("prod/a/db")), token(&path!("prod/db")));
    }

    #[test]
    fn the_deepest_path_has_a_whole_key() {
        let path: SecretPath = ["n"; 16].join("/").parse().unwrap();
        let key = head_key(namespace(), &names(), &path);
        assert_eq!(
            KeyClass::parse(key.as_bytes()),
            Some(KeyClass::Head { namespace: namespace(), depth: 15 })
        );
        let blob = blob_key(&key, u64::MAX, &[1; 16], 255).unwrap();
        assert!(blob.as_bytes().len() <= strongroom_core::MAX_KEY_BYTES);
    }

    #[test]
    fn keys_are_taken_apart_as_they_were_made() {
        let head = head_key(namespace(), &names(), &path!("prod/billing/db"));
        let blob = blob_key(&head, 7, &[9; 16], 3).unwrap();
        assert!(blob.as_bytes().starts_with(&blob_prefix(&head).unwrap()));
        assert!(blob.as_bytes().starts_with(&blobs_of(namespace())));
        let Some(KeyClass::Blob(parsed)) = KeyClass::parse(blob.as_bytes()) else {
            panic!("not taken for a blob's key")
        };
        assert_eq!((parsed.seq, parsed.random, parsed.part), (7, [9; 16], 3));
        assert_eq!(parsed.namespace, namespace());
        assert_eq!(parsed.head_key(), head);
        assert_eq!(KeyClass::parse(keyring_key().as_bytes()), Some(KeyClass::Keyring));
        let log = LogId::from_bytes([5; 8]);
        assert_eq!(
            KeyClass::parse(log_registry_key(log).as_bytes()),
            Some(KeyClass::LogRegistry(log))
        );
        let record = namespace_key(&names(), &"prod".parse().unwrap());
        assert_eq!(KeyClass::parse(record.as_bytes()), Some(KeyClass::Namespace));
        for key in [&blob, &head, &record] {
            assert_eq!(KeyClass::parse(&[key.as_bytes(), &[0]].concat()), None);
            assert_eq!(KeyClass::parse(&key.as_bytes()[..key.as_bytes().len() - 1]), None);
        }
        assert_eq!(blob_prefix(&blob), None);
        assert_eq!(KeyClass::parse(&heads_of(namespace())), None);
        assert_eq!(KeyClass::parse(&[]), None);
    }
}
