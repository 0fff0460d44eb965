//! Verifying logs: beside parsing and hashing alone, and in how much memory.

use std::hint::black_box;
use std::num::NonZeroU64;

use sha2::{Digest as _, Sha256};
use strongroom::{
    ActionName, AuditRecord, Decision, DecisionRecord, Digest, Effect, IntentRecord, Key, Loaded,
    LoadedHead, LogId, Outcome, OutcomeRecord, Receipt, RecordKind, RequestContext, SecretPath,
    Target, Timestamp, Verifier, Version, WriteId,
};
use strongroom_audit::{LineWriter, MerkleTree, read_line};
use strongroom_benches::{Outcome as Done, bar, interleave, owner, path, peak_bytes, say};
use strongroom_testkit::FakeIdentity;

/// Of ten requests one is a put, which has an intent and an outcome, too.
const PUT_EVERY: usize = 10;

pub(crate) fn verify(quick: bool) -> Done {
    let (lines, secrets) = if quick { (100_000, 1_000) } else { (10_000_000, 100_000) };
    let before = peak_bytes()?;
    let mut log = Log::new(secrets)?;
    let mut verifier = Verifier::new(None);
    while log.writer.size() < lines {
        log.request()?;
        log.take(|of, line| verifier.line(of, line));
    }
    let (of, size) = (log.writer.log(), log.writer.size());
    verifier.lives(of, size);
    for secret in 0..secrets {
        verifier.stored(&key(secret), &record(secret, log.written(secret)));
    }
    verifier.storage_was_read();
    let report = verifier.finish();
    if report.accuses() || report.counts.lines != size {
        return Err(format!("an honest log was accused: {:?}", report.findings.first()).into());
    }
    let peak = peak_bytes()?;
    let figure = format!(
        "{:.1} MiB at {size} records and {secrets} secrets ({:.1} MiB before)",
        mebibytes(peak),
        mebibytes(before),
    );
    bar("verify", figure, peak <= 64 << 20);
    beside_parsing(if quick { 20_000 } else { 300_000 })
}

fn beside_parsing(count: u64) -> Done {
    let mut log = Log::new(1_000)?;
    let mut lines = Vec::new();
    while log.writer.size() < count {
        log.request()?;
        log.take(|_, line| lines.push(line.to_vec()));
    }
    let (of, bytes) = (log.writer.log(), lines.iter().map(Vec::len).sum::<usize>());
    let mut alone = || {
        let mut tree = MerkleTree::new();
        for line in &lines {
            black_box(read_line(line).is_ok());
            tree.push(line);
        }
        black_box(tree.root());
    };
    let mut accused = false;
    let mut verify = || {
        let mut verifier = Verifier::new(None);
        lines.iter().for_each(|line| verifier.line(of, line));
        verifier.lives(of, lines.len() as u64);
        accused |= verifier.finish().accuses();
    };
    let [alone, verify] = interleave(7, [(1, &mut alone), (1, &mut verify)]);
    if accused {
        return Err("an honest log was accused".into());
    }
    let ratio = verify.median() / alone.median();
    let figure = format!(
        "{ratio:.2} x parsing and hashing alone; {} lines in {verify}, alone {alone}",
        lines.len()
    );
    bar("verify", figure, ratio <= 1.6);
    say(format!("{} B a line", bytes / lines.len()));
    Ok(())
}

/// A log as a service writes it: requests for secrets in turn, of which some are puts.
struct Log {
    writer: LineWriter,
    paths: Vec<SecretPath>,
    /// How often each secret was written.
    written: Vec<u64>,
    requests: usize,
}

impl Log {
    fn new(secrets: usize) -> Done<Self> {
        let paths = (0..secrets.min(1_000)).map(path).collect::<Result<_, _>>()?;
        let writer = LineWriter::begin(FakeIdentity::new(1))?;
        Ok(Self { writer, paths, written: vec![0; secrets], requests: 0 })
    }

    fn written(&self, secret: usize) -> u64 {
        self.written.get(secret).copied().unwrap_or_default()
    }

    /// Appends the records of a request.
    fn request(&mut self) -> Done {
        let at = Timestamp::from_millis(1_700_000_000_000 + self.requests as u64)?;
        let is_put = self.requests.is_multiple_of(PUT_EVERY);
        // Each secret is put once before it is put again.
        let secret = self.requests / PUT_EVERY % self.written.len();
        self.requests += 1;
        let path = self.paths.get(secret % self.paths.len()).ok_or("no path")?;
        let target = Target::Secret(path.clone());
        let written = self.written.get_mut(secret).ok_or("no secret")?;
        let head = (*written > 0).then(|| LoadedHead {
            seq: *written,
            digest: digest(&record(secret, *written)),
            version: Version::new(1),
        });
        let decision = AuditRecord::Decision(DecisionRecord {
            at,
            principal: Some(owner()),
            action: if is_put { ActionName::Write } else { ActionName::Read },
            target: target.clone(),
            effect: Effect::Allow,
            count: NonZeroU64::MIN,
            explanation: Decision::allow().by_rule("owner").explanation().clone(),
            context: RequestContext::default(),
            loaded: Some(Loaded { key: key(secret), head }),
        });
        let receipt = self.append(decision)?;
        if is_put {
            let none = Digest::from_bytes([0; 32]);
            let prev = head.map_or(none, |head| head.digest);
            *self.written.get_mut(secret).ok_or("no secret")? += 1;
            let seq = self.written(secret);
            let intent = self.append(AuditRecord::Intent(IntentRecord {
                at,
                decision: receipt.index,
                action: ActionName::Write,
                kind: RecordKind::Head,
                key: key(secret),
                seq,
                prev,
                prev_log: self.writer.log(),
                next: digest(&record(secret, seq)),
                write: WriteId::from_bytes([7; 16]),
                target,
                erases: Vec::new(),
            }))?;
            let outcome = Outcome::Done;
            self.append(AuditRecord::Outcome(OutcomeRecord { at, intent, outcome }))?;
        }
        Ok(())
    }

    fn append(&mut self, record: AuditRecord) -> Done<Receipt> {
        Ok(self.writer.append(&[record])?.into_iter().next().ok_or("no receipt")?)
    }

    /// Hands out the lines that were appended since.
    fn take(&mut self, mut line: impl FnMut(LogId, &[u8])) {
        let log = self.writer.log();
        let pending = self.writer.pending().split(|byte| *byte == b'\n');
        pending.filter(|text| !text.is_empty()).for_each(|text| line(log, text));
        self.writer.written();
    }
}

fn key(secret: usize) -> Key {
    let mut key = [3; 41];
    key[1..9].copy_from_slice(&(secret as u64).to_be_bytes());
    Key::new(key)
}

/// Stands for the record of a secret after so many writes.
fn record(secret: usize, written: u64) -> Vec<u8> {
    [(secret as u64).to_be_bytes(), written.to_be_bytes()].concat()
}

fn digest(record: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(record).into())
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
