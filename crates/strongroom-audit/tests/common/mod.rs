//! A store identity for tests: real signatures, and names encrypted well enough to be unreadable.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer, SigningKey};
use futures_executor::block_on;
use sha2::{Digest as _, Sha256};
use strongroom_audit::{FileLog, certificate_message, store_id};
use strongroom_core::{
    ActionName, AuditError, AuditReader, AuditRecord, AuditSink, ClosedRecord, DecisionRecord,
    Digest, Effect, EntropyError, Explanation, IntentRecord, Key, Loaded, LoadedHead, LogId,
    Outcome, OutcomeRecord, Principal, Receipt, RecordKind, RequestContext, StoreId, StoreIdentity,
    Target, Timestamp, TreeHead, Version, WriteId,
};

/// Ends the log that it writes, if any.
pub fn close(log: &FileLog) -> Result<Option<TreeHead>, AuditError> {
    log.log().map_or(Ok(None), |id| block_on(log.close(id)))
}

#[derive(Debug)]
pub struct FakeIdentity {
    key: SigningKey,
    drawn: AtomicU64,
}

impl FakeIdentity {
    pub fn new(seed: u8) -> Arc<Self> {
        // Ids differ between identities of one process, as they do between processes.
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let start = STARTED.fetch_add(1 << 32, Ordering::Relaxed);
        Arc::new(Self { key: SigningKey::from_bytes(&[seed; 32]), drawn: AtomicU64::new(start) })
    }

    fn stream(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(self.key.as_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn crypt(&self, log: LogId, nonce: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (block, chunk) in text.chunks(32).enumerate() {
            let pad = self.stream(&[b"pad", log.as_bytes(), nonce, &block.to_be_bytes()]);
            out.extend(chunk.iter().zip(pad).map(|(byte, pad)| byte ^ pad));
        }
        out
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
        self.stream(&[b"token", &[class], text.as_bytes()])[..16].try_into().unwrap()
    }
    fn encrypt_name(&self, log: LogId, name: &str) -> Result<Vec<u8>, EntropyError> {
        let nonce = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut padded = (name.len() as u32).to_be_bytes().to_vec();
        padded.extend_from_slice(name.as_bytes());
        padded.resize(padded.len().next_multiple_of(64), 0);
        let body = self.crypt(log, &nonce, &padded);
        let tag = self.stream(&[b"tag", log.as_bytes(), &nonce, &body]);
        Ok([&nonce[..], &tag, &body].concat())
    }
    fn decrypt_name(&self, log: LogId, sealed: &[u8]) -> Result<String, AuditError> {
        let error = || AuditError::Malformed { file: "".into(), line: 0, detail: "name".into() };
        let (nonce, rest) = sealed.split_at_checked(8).ok_or_else(error)?;
        let (tag, body) = rest.split_at_checked(32).ok_or_else(error)?;
        if tag != self.stream(&[b"tag", log.as_bytes(), nonce, body]) {
            return Err(error());
        }
        let padded = self.crypt(log, nonce, body);
        let length = u32::from_be_bytes(padded[..4].try_into().unwrap()) as usize;
        String::from_utf8(padded[4..4 + length].to_vec()).map_err(|_| error())
    }
    fn random(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(32) {
            let next = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let random = self.stream(&[b"random", &next]);
            chunk.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
    fn now(&self) -> Timestamp {
        at(NOW)
    }
}

/// When these stores live, in milliseconds.
pub const NOW: u64 = 1_800_000_000_000;

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

pub fn digest(text: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(text).into())
}

pub fn head_key(path: &str) -> Key {
    Key::new([b"\x03nspace01" as &[u8], &Sha256::digest(path)[..16]].concat())
}

pub fn secret(path: &str) -> Target {
    Target::Secret(path.parse().unwrap())
}

pub fn read_of(principal: &str, path: &str, seq: u64) -> AuditRecord {
    AuditRecord::Decision(DecisionRecord {
        at: at(NOW + seq % 1000),
        principal: Some(Principal::service(principal).with_role("reader")),
        action: ActionName::Read,
        target: Target::Version(path.parse().unwrap()),
        effect: Effect::Allow,
        count: NonZeroU64::MIN,
        explanation: explanation("billing-reads"),
        context: RequestContext::new().with_request_id(format!("req-{seq}")),
        loaded: Some(Loaded {
            key: head_key(path),
            head: Some(LoadedHead { seq, digest: digest(path), version: Version::new(1) }),
        }),
    })
}

pub fn explanation(rule: &str) -> Explanation {
    strongroom_core::Decision::allow().by_rule(rule).explanation().clone()
}

/// An intent that replaces the record with bytes `prev` by the record with bytes `next`.
pub fn write_of(
    log: LogId,
    decision: u64,
    path: &str,
    seq: u64,
    prev: &str,
    next: &str,
) -> AuditRecord {
    let prev = if prev.is_empty() { Digest::from_bytes([0; 32]) } else { digest(prev) };
    let mut write = [0; 16];
    write.copy_from_slice(&digest(next).as_bytes()[..16]);
    AuditRecord::Intent(IntentRecord {
        at: at(NOW + 7),
        decision,
        action: ActionName::Write,
        kind: RecordKind::Head,
        key: head_key(path),
        seq,
        prev,
        prev_log: log,
        next: digest(next),
        write: WriteId::from_bytes(write),
        target: secret(path),
        erases: Vec::new(),
    })
}

pub fn outcome_of(intent: Receipt, outcome: Outcome) -> AuditRecord {
    AuditRecord::Outcome(OutcomeRecord { at: at(NOW + 8), intent, outcome })
}

pub fn closed(dead: &strongroom_core::DeadLog) -> AuditRecord {
    AuditRecord::Closed(ClosedRecord {
        at: at(NOW + 9),
        log: dead.log,
        size: dead.size,
        root: dead.root,
    })
}

pub fn all_lines(reader: &dyn AuditReader, page: u32) -> Vec<(Receipt, Vec<u8>)> {
    let limit = NonZeroU32::new(page).unwrap();
    let mut lines: Vec<(Receipt, Vec<u8>)> = Vec::new();
    loop {
        let after = lines.last().map(|(receipt, _)| *receipt);
        let page = block_on(reader.read(after.as_ref(), limit)).unwrap();
        if page.is_empty() {
            return lines;
        }
        lines.extend(page);
    }
}
