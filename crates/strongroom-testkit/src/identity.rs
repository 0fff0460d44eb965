//! A store's identity without a store, for tests of sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest as _, Sha256};
use strongroom_audit::{certificate_message, store_id};
use strongroom_core::{AuditError, EntropyError, LogId, StoreId, StoreIdentity, Timestamp};

/// An identity that is made from a seed and predictable to the last bit: it signs as a real one
/// does, and encrypts names well enough to be unreadable. For tests only.
#[derive(Debug)]
pub struct FakeIdentity {
    key: SigningKey,
    drawn: AtomicU64,
}

impl FakeIdentity {
    /// The identity of this seed. Each call draws other log ids.
    #[must_use]
    pub fn new(seed: u8) -> Arc<Self> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let start = STARTED.fetch_add(1 << 32, Ordering::Relaxed);
        Arc::new(Self { key: SigningKey::from_bytes(&[seed; 32]), drawn: AtomicU64::new(start) })
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(self.key.as_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn crypt(&self, log: LogId, nonce: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for (block, chunk) in text.chunks(32).enumerate() {
            let pad = self.digest(&[b"pad", log.as_bytes(), nonce, &block.to_be_bytes()]);
            out.extend(chunk.iter().zip(pad).map(|(byte, pad)| byte ^ pad));
        }
        out
    }

    fn open(&self, log: LogId, sealed: &[u8]) -> Option<String> {
        let (nonce, rest) = sealed.split_first_chunk::<8>()?;
        let (tag, body) = rest.split_first_chunk::<32>()?;
        if *tag != self.digest(&[b"tag", log.as_bytes(), nonce, body]) {
            return None;
        }
        let padded = self.crypt(log, nonce, body);
        let (length, text) = padded.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        String::from_utf8(text.get(..length)?.to_vec()).ok()
    }
}

impl StoreIdentity for FakeIdentity {
    fn store(&self) -> StoreId {
        store_id(&self.public_key())
    }
    fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
    fn certify(&self, log: LogId, key: &[u8; 32]) -> [u8; 64] {
        self.key.sign(&certificate_message(self.store(), log, key)).to_bytes()
    }
    fn token(&self, class: u8, text: &str) -> [u8; 16] {
        let digest = self.digest(&[b"token", &[class], text.as_bytes()]);
        digest.first_chunk::<16>().copied().unwrap_or_default()
    }
    fn encrypt_name(&self, log: LogId, name: &str) -> Result<Vec<u8>, EntropyError> {
        let nonce = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut padded = (name.len() as u64).to_be_bytes().to_vec();
        padded.extend_from_slice(name.as_bytes());
        padded.resize(padded.len().next_multiple_of(64), 0);
        let body = self.crypt(log, &nonce, &padded);
        let tag = self.digest(&[b"tag", log.as_bytes(), &nonce, &body]);
        Ok([nonce.as_slice(), &tag, &body].concat())
    }
    fn decrypt_name(&self, log: LogId, sealed: &[u8]) -> Result<String, AuditError> {
        self.open(log, sealed).ok_or_else(|| AuditError::Malformed {
            file: "".into(),
            line: 0,
            detail: "a name does not open".into(),
        })
    }
    fn random(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(32) {
            let next = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let random = self.digest(&[b"random", &next]);
            chunk.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
    fn now(&self) -> Timestamp {
        now()
    }
}

/// When identities of tests live.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000).unwrap_or_default()
}
