//! The seal that needs no outside party: a passphrase, through Argon2id (RFC 9106).

use std::fmt;
use std::io::Read;
use std::sync::{Condvar, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use strongroom_core::{
    KeyContext, Seal, SealError, SecretText, SecretValue, WrappedKey, async_trait,
};
use zeroize::Zeroizing;

use crate::codec::{NotCanonical, Reader, Writer};
use crate::record::{Context, Purpose, RecordError, RecordKey, Suite};

const KIND: &str = "passphrase";
const SALT: usize = 16;
/// Version of the parameters' encoding: Argon2id, version 0x13.
const ARGON2ID_13: u8 = 1;
/// The longest passphrase that is read from a file or descriptor, in bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 4096;

/// What a derivation costs. The same limits hold for what is written and what is read.
///
/// ```
/// use strongroom_crypto::Argon2Cost;
/// assert!(Argon2Cost::new(64, 3, 4).is_some());
/// assert!(Argon2Cost::new(18, 3, 4).is_none()); // 19 MiB to 1 GiB
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Cost {
    mib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2Cost {
    /// The least that is accepted: for tests, and for machines without memory.
    pub const LEAST: Self = Self { mib: 19, passes: 2, lanes: 1 };

    /// Memory in MiB (19 to 1024), passes (2 to 16) and lanes (1 to 8); `None` beyond.
    #[must_use]
    pub const fn new(mib: u32, passes: u32, lanes: u32) -> Option<Self> {
        if mib >= 19 && mib <= 1024 && passes >= 2 && passes <= 16 && lanes >= 1 && lanes <= 8 {
            Some(Self { mib, passes, lanes })
        } else {
            None
        }
    }
}

impl Default for Argon2Cost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106.
    fn default() -> Self {
        Self { mib: 64, passes: 3, lanes: 4 }
    }
}

/// A passphrase as a seal: the exact bytes, without Unicode normalisation.
///
/// ```
/// use strongroom_crypto::Passphrase;
///
/// let typed = Passphrase::new("correct horse battery staple");
/// // From a file or descriptor exactly one final line end is cut.
/// let piped = Passphrase::from_reader(&b"correct horse battery staple\n"[..])?;
/// assert_eq!(format!("{typed:?}"), "Passphrase");
/// # drop(piped);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Passphrase {
    bytes: SecretValue,
    cost: Argon2Cost,
    memory_limit: Option<u32>,
}

/// What a passphrase can be made of.
#[derive(Debug)]
pub struct PassphraseBytes(SecretValue);

impl From<&str> for PassphraseBytes {
    fn from(text: &str) -> Self {
        Self(SecretValue::copied_from(text.as_bytes()))
    }
}

impl From<String> for PassphraseBytes {
    fn from(text: String) -> Self {
        Self(SecretText::new(text).into())
    }
}

impl From<&[u8]> for PassphraseBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(SecretValue::copied_from(bytes))
    }
}

impl From<SecretText> for PassphraseBytes {
    fn from(text: SecretText) -> Self {
        Self(text.into())
    }
}

impl From<SecretValue> for PassphraseBytes {
    fn from(bytes: SecretValue) -> Self {
        Self(bytes)
    }
}

impl Passphrase {
    /// The passphrase as it is given.
    #[must_use]
    pub fn new(passphrase: impl Into<PassphraseBytes>) -> Self {
        let cost = Argon2Cost::default();
        Self { bytes: passphrase.into().0, cost, memory_limit: None }
    }

    /// Reads a passphrase to its end and cuts exactly one final LF or CRLF: one rule for prompt,
    /// file, environment and descriptor.
    ///
    /// # Errors
    /// What reading says; `InvalidData` beyond [`MAX_PASSPHRASE_BYTES`].
    pub fn from_reader(reader: impl Read) -> std::io::Result<Self> {
        // Of its final size from the start, so that no smaller buffer is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_BYTES + 1));
        let limit = u64::try_from(MAX_PASSPHRASE_BYTES + 1).unwrap_or(u64::MAX);
        let mut taken = reader.take(limit);
        let mut chunk = Zeroizing::new([0; 256]);
        loop {
            match taken.read(&mut *chunk) {
                Ok(0) => break,
                Ok(read) => bytes.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if bytes.len() > MAX_PASSPHRASE_BYTES {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "a passphrase has at most 4096 bytes: check which file was given",
            ));
        }
        Ok(Self::new(trim_one_line_end(&bytes)))
    }

    /// With another cost for seals that are made from now on. What exists keeps its own.
    #[must_use]
    pub fn with_cost(mut self, cost: Argon2Cost) -> Self {
        self.cost = cost;
        self
    }

    /// With the most memory that a derivation may take, in MiB, as the host's own limit has it.
    #[must_use]
    pub fn with_memory_limit(mut self, mib: u32) -> Self {
        self.memory_limit = Some(mib);
        self
    }

    fn derive(&self, cost: Argon2Cost, salt: &[u8; SALT]) -> Result<RecordKey, SealError> {
        if let Some(allowed) = self.memory_limit.filter(|&allowed| allowed < cost.mib) {
            return Err(unavailable(format!(
                "the passphrase needs {} MiB, allowed {allowed}: raise the limit of this host, or let a host with more memory make the seal anew at a lower cost",
                cost.mib
            )));
        }
        let refused = |_| SealError::Parameters { detail: "Argon2id refuses them".into() };
        let params = Params::new(cost.mib * 1024, cost.passes, cost.lanes, Some(32));
        let params = params.map_err(refused)?;
        let _turn = Turn::wait();
        let mut memory: Vec<Block> = Vec::new();
        let count = params.block_count();
        memory.try_reserve_exact(count).map_err(|source| SealError::Unavailable {
            detail: format!(
                "the passphrase needs {} MiB, which the system does not give: raise the memory limit of this process, or let a host with more memory make the seal anew at a lower cost",
                cost.mib
            )
            .into(),
            source: Some(Box::new(source)),
        })?;
        memory.resize(count, Block::default());
        let mut memory = Zeroizing::new(memory);
        let mut key = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // EXPOSE: the passphrase goes into its derivation and nowhere else.
        self.bytes
            .expose(|bytes| {
                argon2.hash_password_into_with_memory(bytes, salt, &mut *key, &mut **memory)
            })
            .map_err(refused)?;
        Ok(RecordKey::from_bytes(&key))
    }

    /// What may be the matter with a passphrase that opens nothing, without a word of it.
    fn hint(&self) -> &'static str {
        // EXPOSE: looked at for its last byte and for bytes outside ASCII.
        self.bytes.expose(|bytes| {
            let ends_in_break = bytes.ends_with(b"\n") || bytes.ends_with(b"\r");
            match (ends_in_break, bytes.is_ascii()) {
                (true, true) => "the passphrase is not the right one; it ends in a line break, and of several only one is cut",
                (false, false) => "the passphrase is not the right one; it has characters outside ASCII, which may have been typed in another form or encoding",
                (true, false) => "the passphrase is not the right one; it ends in a line break, of which only one is cut, and it has characters outside ASCII, which may have been typed in another form or encoding",
                (false, true) => "the passphrase is not the right one; check which store it is for",
            }
        })
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// The bytes without exactly one final LF or CRLF.
///
/// ```
/// assert_eq!(strongroom_crypto::trim_one_line_end(b"pass\r\n"), b"pass");
/// assert_eq!(strongroom_crypto::trim_one_line_end(b"pass\n\n"), b"pass\n");
/// ```
#[must_use]
pub fn trim_one_line_end(bytes: &[u8]) -> &[u8] {
    match bytes.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => bytes,
    }
}

fn unavailable(detail: String) -> SealError {
    SealError::Unavailable { detail: detail.into(), source: None }
}

fn encode_parameters(cost: Argon2Cost, salt: &[u8; SALT]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.u8(ARGON2ID_13);
    writer.u32(cost.mib);
    writer.u32(cost.passes);
    writer.u32(cost.lanes);
    writer.bytes(salt);
    writer.finish().to_vec()
}

fn decode_parameters(bytes: &[u8]) -> Result<(Argon2Cost, [u8; SALT]), SealError> {
    let read = || -> Result<_, NotCanonical> {
        let mut reader = Reader::new(bytes);
        let parameters =
            (reader.u8()?, reader.u32()?, reader.u32()?, reader.u32()?, reader.array::<SALT>()?);
        reader.end()?;
        Ok(parameters)
    };
    let refused = |detail: String| SealError::Parameters { detail: detail.into() };
    let (version, mib, passes, lanes, salt) = read().map_err(|error| refused(error.to_string()))?;
    if version != ARGON2ID_13 {
        return Err(refused(format!("their version is {version}, and this build knows 1")));
    }
    let cost = Argon2Cost::new(mib, passes, lanes).ok_or_else(|| {
        refused(format!(
            "{mib} MiB, {passes} passes, {lanes} lanes; accepted are 19 to 1024 MiB, 2 to 16 passes, 1 to 8 lanes"
        ))
    })?;
    Ok((cost, salt))
}

#[async_trait]
impl Seal for Passphrase {
    fn kind(&self) -> &str {
        KIND
    }

    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        if self.bytes.is_empty() {
            return Err(SealError::Refused {
                detail: "an empty passphrase protects nothing; choose one".into(),
            });
        }
        let mut salt = [0; SALT];
        let no_entropy = |source: strongroom_core::EntropyError| SealError::Unavailable {
            detail: "no randomness for a salt".into(),
            source: Some(Box::new(source)),
        };
        context.entropy.fill(&mut salt).map_err(no_entropy)?;
        let parameters = encode_parameters(self.cost, &salt);
        let wrapping = self.derive(self.cost, &salt)?;
        let parts: &[&[u8]] = &[context.seal.as_bytes(), KIND.as_bytes(), &parameters];
        let bound = Context { purpose: Purpose::SealWrap, store: context.store, parts };
        // EXPOSE: the root key is wrapped.
        let wrapped = key
            .expose(|key| wrapping.encrypt(Suite::Aes256Gcm, &bound, key, context.entropy))
            .map_err(|error| SealError::Unavailable {
                detail: "the root key could not be wrapped".into(),
                source: Some(Box::new(error)),
            })?;
        Ok(WrappedKey { parameters, wrapped })
    }

    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        let (cost, salt) = decode_parameters(&wrapped.parameters)?;
        let wrapping = self.derive(cost, &salt)?;
        let parts: &[&[u8]] = &[context.seal.as_bytes(), KIND.as_bytes(), &wrapped.parameters];
        let bound = Context { purpose: Purpose::SealWrap, store: context.store, parts };
        match wrapping.decrypt(&bound, &wrapped.wrapped) {
            Ok(mut key) => Ok(SecretValue::new(std::mem::take(&mut *key))),
            Err(RecordError::UnknownKey(_)) => Err(SealError::NotMine { hint: self.hint() }),
            Err(error) => Err(SealError::Unavailable {
                detail: "the wrapped root key is damaged: restore the keyring from a backup".into(),
                source: Some(Box::new(error)),
            }),
        }
    }
}

/// At most this many derivations run at a time in one process.
const AT_ONCE: u32 = 2;

/// Counts the derivations under way. A limit on memory is the process's, whichever store asks, so
/// that ten logins at once do not take ten times the memory.
static RUNNING: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

struct Turn;

impl Turn {
    fn wait() -> Self {
        let (running, freed) = &RUNNING;
        let running = running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = freed
            .wait_while(running, |running| *running >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (running, freed) = &RUNNING;
        *running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        freed.notify_one();
    }
}
