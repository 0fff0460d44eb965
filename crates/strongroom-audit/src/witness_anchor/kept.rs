//! The pins of a store as lines of a file: `<log> <record> <logs that it covers> <signature>`, in hex.
//! What stands before the signature is a leaf; the signature is that of the checkpoint with this leaf
//! as the last one. So nobody but the signer adds a line, and each line holds those before it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use strongroom_core::{AnchorError, LogId, Pin, StoreId, TreeHead};

use crate::dir::create_dir;
use crate::hex;
use crate::proof::{ConsistencyProof, ConsistencyProver};
use crate::tree::MerkleTree;
use crate::witness_anchor::signer::PinSigner;

/// No registry record is longer.
pub(super) const MAX_PIN_BYTES: usize = 4096;

/// The pins of a store as far as they are whole.
#[derive(Debug, Default)]
pub(super) struct Kept {
    lines: Vec<u8>,
    tree: MerkleTree,
    pins: BTreeMap<LogId, Vec<u8>>,
}

impl Kept {
    pub(super) fn head(&self) -> TreeHead {
        self.tree.head()
    }

    pub(super) fn into_pins(self) -> Vec<Pin> {
        self.pins.into_iter().map(|(log, record)| Pin { log, record }).collect()
    }

    /// That all of it begins with the first `old` lines.
    pub(super) fn prove(&self, old: u64) -> Result<ConsistencyProof, AnchorError> {
        let none = |error| AnchorError::because("there is no proof of its pins", error);
        let mut prover = ConsistencyProver::new(old, self.tree.size()).map_err(none)?;
        for line in whole_lines(&self.lines) {
            prover.line(split(line).map_or(line, |(leaf, _)| leaf));
        }
        prover.finish().map_err(none)
    }

    /// Reads what the signer has written. A last line that is torn was never shown to a witness, and
    /// is left out; `None` where more than that is not in order.
    fn read(bytes: Vec<u8>, signer: &PinSigner, store: StoreId) -> Option<Self> {
        let count = whole_lines(&bytes).count();
        let of = |count| Self::of(whole_lines(&bytes).take(count), signer, store);
        of(count).or_else(|| of(count.checked_sub(1)?))
    }

    /// `None` where a line is not in order, or the last is not signed.
    fn of<'a>(
        lines: impl Iterator<Item = &'a [u8]>,
        signer: &PinSigner,
        store: StoreId,
    ) -> Option<Self> {
        let (mut kept, mut last) = (Self::default(), None);
        for line in lines {
            let (leaf, signature) = split(line)?;
            kept.take(leaf)?;
            kept.lines.extend_from_slice(line);
            kept.lines.push(b'\n');
            last = Some(signature);
        }
        let Some(signature) = last else { return Some(kept) };
        let signature = hex::decode_array(std::str::from_utf8(signature).ok()?)?;
        signer.has_signed(store, kept.head(), &signature).then_some(kept)
    }

    fn take(&mut self, leaf: &[u8]) -> Option<()> {
        let mut parts = std::str::from_utf8(leaf).ok()?.split(' ');
        let (log, record, covers) = (parts.next()?, parts.next()?, parts.next()?);
        let (log, record, covers) = (log.parse().ok()?, hex::decode(record)?, hex::decode(covers)?);
        let (covers, rest) = covers.as_chunks();
        if parts.next().is_some() || !rest.is_empty() {
            return None;
        }
        for covered in covers {
            self.pins.remove(&LogId::from_bytes(*covered));
        }
        self.pins.insert(log, record);
        self.tree.push(leaf);
        Some(())
    }
}

/// The pins in this file, all of which are on the medium; none where there is no file.
pub(super) fn read(path: &Path, signer: &PinSigner, store: StoreId) -> Result<Kept, AnchorError> {
    let read = || match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        file => {
            let mut file = file?;
            file.lock_shared()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // Its writer may have died before that, and a witness must not know of what a power cut
            // takes.
            file.sync_all()?;
            Ok(bytes)
        }
    };
    Kept::read(read().map_err(unreadable)?, signer, store).ok_or_else(damaged)
}

/// Adds a pin, and returns the pins with it, and how many there were. One that stands there already
/// is not added again.
pub(super) fn append(
    path: &Path,
    signer: &PinSigner,
    store: StoreId,
    pin: &Pin,
    covers: &[LogId],
) -> Result<(Kept, u64), AnchorError> {
    let mut file = open(path).map_err(unwritable)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let mut kept = Kept::read(bytes, signer, store).ok_or_else(damaged)?;
    let before = kept.head().size;
    let is_covered = |log: &&LogId| **log != pin.log && kept.pins.contains_key(log);
    let covers: Vec<&LogId> = covers.iter().filter(is_covered).collect();
    if covers.is_empty() && kept.pins.get(&pin.log) == Some(&pin.record) {
        file.sync_all().map_err(unwritable)?;
        return Ok((kept, before));
    }
    let end = kept.lines.len();
    let mut leaf = format!("{} ", pin.log).into_bytes();
    hex::push(&mut leaf, &pin.record);
    leaf.push(b' ');
    covers.iter().for_each(|log| hex::push(&mut leaf, log.as_bytes()));
    kept.take(&leaf).ok_or_else(damaged)?;
    let signature = signer.sign(store, kept.head());
    kept.lines.extend_from_slice(&leaf);
    kept.lines.push(b' ');
    hex::push(&mut kept.lines, &signature);
    kept.lines.push(b'\n');
    let line = kept.lines.get(end..).unwrap_or_default();
    write_at_end(&mut file, end as u64, line).map_err(unwritable)?;
    Ok((kept, before))
}

/// Opens and locks the file, making it where there is none. Nobody removes or replaces it.
fn open(path: &Path) -> io::Result<File> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.lock()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

/// Writes a line in place of what is torn. Where it cannot be synced it is taken back: a later sync
/// could say that it is on the medium where it is not.
fn write_at_end(file: &mut File, end: u64, line: &[u8]) -> io::Result<()> {
    let mut write = || {
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(line)?;
        file.sync_all()
    };
    let written = write();
    if written.is_err() {
        let _ = file.set_len(end);
    }
    written
}

/// The lines that have an end, without it.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

/// Leaf and signature.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().rposition(|byte| *byte == b' ')?;
    Some((line.get(..at)?, line.get(at + 1..)?))
}

fn unreadable(error: io::Error) -> AnchorError {
    AnchorError::because("its pins cannot be read: check their directory", error)
}

fn unwritable(error: io::Error) -> AnchorError {
    AnchorError::because("its pins cannot be written: check their directory", error)
}

fn damaged() -> AnchorError {
    AnchorError::new(
        "its pins are damaged, or another signer's: restore their file, or begin anew under another \
         name",
    )
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const STORE: StoreId = StoreId::from_bytes([0x40; 16]);

    fn signer() -> PinSigner {
        PinSigner::new("example.com/host", &[7; 32]).unwrap()
    }

    fn written(pins: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("pins");
        std::fs::write(&path, "").unwrap();
        for (log, record) in pins {
            let pin = Pin { log: LogId::from_bytes([*log; 8]), record: record.clone() };
            let covers = [LogId::from_bytes([log / 2; 8])];
            append(&path, &signer(), STORE, &pin, &covers).unwrap();
        }
        std::fs::read(&path).unwrap()
    }

    fn size(bytes: &[u8]) -> Option<u64> {
        Kept::read(bytes.to_vec(), &signer(), STORE).map(|kept| kept.head().size)
    }

    #[test]
    fn a_cut_leaves_the_lines_before_it() {
        let whole = written(&[(1, vec![1; 10]), (2, vec![2; 154]), (4, Vec::new())]);
        for end in 0..=whole.len() {
            let lines = whole[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
            assert_eq!(size(&whole[..end]), Some(lines), "{end}");
        }
    }

    #[test]
    fn a_line_is_bound_to_store_and_signer() {
        let whole = written(&[(1, vec![1; 10]), (2, vec![2; 10])]);
        let other = PinSigner::new("example.com/other", &[7; 32]).unwrap();
        assert!(Kept::read(whole.clone(), &other, STORE).is_none());
        let other = StoreId::from_bytes([0x41; 16]);
        assert!(Kept::read(whole, &signer(), other).is_none());
    }

    #[test]
    fn proofs_lead_from_each_size_to_the_last() {
        let pins: Vec<(u8, Vec<u8>)> = (1..=9).map(|log| (log, vec![log; 5])).collect();
        let kept = Kept::read(written(&pins), &signer(), STORE).unwrap();
        for old in 0..=9_u8 {
            let before = Kept::read(written(&pins[..old.into()]), &signer(), STORE);
            let before = before.unwrap_or_default().head();
            kept.prove(old.into()).unwrap().verify(&before, &kept.head()).unwrap();
        }
        assert!(kept.prove(10).is_err());
    }

    #[test]
    fn no_bytes_panic_and_none_make_a_pin() {
        let signed = written(&[(1, vec![1; 10]), (2, vec![2; 10])]);
        let pin = |log: u8| (LogId::from_bytes([log; 8]), vec![log; 10]);
        // The second covers the first.
        let honest = [vec![], vec![pin(1)], vec![pin(2)]];
        let given = (vec(any::<u8>(), 0..400), any::<prop::sample::Index>(), any::<u8>());
        proptest!(|((bytes, at, with) in given)| {
            let made = Kept::read(bytes.clone(), &signer(), STORE);
            prop_assert!(made.is_none_or(|kept| kept.pins.is_empty()));
            let mut whole = signed.clone();
            let at = at.index(whole.len());
            whole[at] = with;
            whole.extend_from_slice(&bytes);
            if let Some(kept) = Kept::read(whole, &signer(), STORE) {
                prop_assert!(honest.contains(&kept.pins.into_iter().collect::<Vec<_>>()));
            }
        });
    }
}
