//! The sink on a disk that loses power: of what was not synced, each sector is as old as it likes.

use std::collections::HashMap;
use std::io;

use futures_executor::block_on;
use strongroom_core::{Outcome, OutcomeRecord, Timestamp};

use super::tests::Nameless;
use super::*;
use crate::{Line, read_line, verify_logs};

const SECTOR: usize = 512;
/// The kernel zeroes the rest of a page when a file is cut within it.
const PAGE: usize = 4096;

/// xorshift64*: each seed is a history of its own, the same in every run.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }
}

/// A file, and all that each sector and the length have been since the last sync.
#[derive(Debug)]
struct Disk {
    now: Vec<u8>,
    lengths: Vec<usize>,
    /// Sectors by number; the first content of each is what the last sync left.
    sectors: HashMap<usize, Vec<Vec<u8>>>,
    dice: Dice,
    /// Whether writes, cuts and syncs fail now and then.
    is_bad: bool,
    /// So many calls until the power goes.
    calls_left: usize,
    /// What is found when it is back.
    found: Option<Vec<u8>>,
}

impl Disk {
    /// Changes a range; the file is as long as that afterwards, or as it was.
    fn change(&mut self, offset: usize, bytes: &[u8], length: usize) {
        let (first, last) = (offset / SECTOR, (offset + bytes.len()).div_ceil(SECTOR));
        for sector in first..last {
            let was = self.sector(sector);
            self.sectors.entry(sector).or_insert_with(|| vec![was]);
        }
        let end = self.now.len().max(offset + bytes.len());
        self.now.resize(end, 0);
        self.now[offset..offset + bytes.len()].copy_from_slice(bytes);
        for sector in first..last {
            let is = self.sector(sector);
            self.sectors.get_mut(&sector).unwrap().push(is);
        }
        self.now.truncate(length);
        self.lengths.push(length);
    }

    fn sector(&self, number: usize) -> Vec<u8> {
        let start = (number * SECTOR).min(self.now.len());
        let mut bytes = self.now[start..self.now.len().min(start + SECTOR)].to_vec();
        bytes.resize(SECTOR, 0);
        bytes
    }

    /// Counts a call. With the power off there is none.
    fn call(&mut self) -> io::Result<()> {
        if self.calls_left == 0 && self.found.is_none() {
            self.found = Some(self.after_power_cut());
        }
        self.calls_left = self.calls_left.saturating_sub(1);
        if self.found.is_some() { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    /// What is found when the power is back.
    fn after_power_cut(&mut self) -> Vec<u8> {
        let length = self.lengths[self.dice.below(self.lengths.len())];
        let mut found = self.now.clone();
        found.resize(length.max(found.len()).next_multiple_of(SECTOR), 0);
        for (sector, versions) in &self.sectors {
            let start = sector * SECTOR;
            if start < found.len() {
                let version = &versions[self.dice.below(versions.len())];
                found[start..start + SECTOR].copy_from_slice(version);
            }
        }
        found.truncate(length);
        found
    }
}

#[derive(Debug)]
struct SimDisk(Mutex<Disk>);

impl SimDisk {
    fn new(dice: Dice) -> Self {
        Self(Mutex::new(Disk {
            now: Vec::new(),
            lengths: vec![0],
            sectors: HashMap::new(),
            dice,
            is_bad: false,
            calls_left: usize::MAX,
            found: None,
        }))
    }
}

impl Medium for SimDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        let offset = usize::try_from(offset).unwrap();
        let fails = disk.is_bad && disk.dice.one_in(4);
        let part = if fails { disk.dice.below(bytes.len() + 1) } else { bytes.len() };
        let length = disk.now.len().max(offset + part);
        disk.change(offset, &bytes[..part], length);
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        if disk.is_bad && disk.dice.one_in(6) {
            return Err(io::ErrorKind::Other.into());
        }
        let length = usize::try_from(length).unwrap();
        let end = disk.now.len().min(length.next_multiple_of(PAGE)).max(length);
        disk.change(length, &vec![0; end - length], length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        if disk.is_bad && disk.dice.one_in(20) {
            return Err(io::ErrorKind::Other.into());
        }
        disk.sectors.clear();
        disk.lengths = vec![disk.now.len()];
        Ok(())
    }

    fn unlock(&self) {}
}

fn record(number: u64) -> AuditRecord {
    AuditRecord::Outcome(OutcomeRecord {
        at: Timestamp::default(),
        intent: Receipt { log: LogId::from_bytes([9; 8]), index: number },
        outcome: Outcome::Done,
    })
}

/// One history: appends and syncs, perhaps errors, perhaps a close, then the power goes.
fn history(seed: u64, is_bad: bool) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let disk = Arc::new(SimDisk::new(dice.clone()));
    let medium: Arc<dyn Medium> = Arc::clone(&disk) as _;
    let mut writer = LineWriter::begin(Arc::new(Nameless(7))).unwrap();
    let name = format!("{}.jsonl", writer.log());
    medium.write_at(writer.pending(), 0).unwrap();
    let mut tail = Tail::new(Arc::clone(&medium), writer.pending().len() as u64);
    tail.lay_out();
    medium.sync().unwrap();
    writer.written();
    {
        let mut disk = disk.0.lock().unwrap();
        (disk.is_bad, disk.calls_left) = (is_bad, dice.below(90));
    }
    let open = OpenLog::new(writer, medium, tail, true, HashMap::new());
    let log = FileLog::with(Path::new("no/such/directory"), true).unwrap();
    *log.current.lock().unwrap() = Some(open);

    let mut told = Told::default();
    for number in 0..dice.below(60) as u64 {
        let durability = [Durability::Held, Durability::Flushed, Durability::Synced][dice.below(3)];
        // Some flushes are longer than what is laid out.
        let count = if dice.one_in(12) { 1 + dice.below(900) } else { 1 + dice.below(3) };
        let records: Vec<_> = (0..count as u64).map(|more| record(number * 1_000 + more)).collect();
        let numbers = (0..count as u64).map(|more| number * 1_000 + more);
        if block_on(log.append(&records, durability)).is_ok() {
            told.taken.extend(numbers);
            if durability == Durability::Synced {
                told.synced = told.taken.len();
            }
        } else {
            told.refused.push((told.taken.len(), numbers.collect()));
        }
    }
    if dice.one_in(2) {
        if dice.one_in(2) {
            // A close is a few calls, and the power goes at one of them.
            let mut disk = disk.0.lock().unwrap();
            disk.calls_left = disk.calls_left.min(dice.below(5));
        }
        told.is_closed = block_on(log.close()).is_ok();
        if told.is_closed {
            told.synced = told.taken.len();
        }
    } else if dice.one_in(2) {
        drop(log);
    }
    let found = {
        let mut disk = disk.0.lock().unwrap();
        let found = disk.found.take();
        found.unwrap_or_else(|| disk.after_power_cut())
    };
    check(seed, &name, &found, &told);
}

/// What the sink said.
#[derive(Debug, Default)]
struct Told {
    /// The records that it took, in order.
    taken: Vec<u64>,
    /// How many of them it said were synced.
    synced: usize,
    /// What it refused, and after how many that it had taken.
    refused: Vec<(usize, Vec<u64>)>,
    is_closed: bool,
}

fn check(seed: u64, name: &str, found: &[u8], told: &Told) {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(name);
    std::fs::write(&file, found).unwrap();
    let report = verify_logs(scratch.path(), None).unwrap();
    assert!(!report.accuses(), "seed {seed}: {report:?}");
    let reader = DirReader::new(scratch.path());
    let page = reader.read(None, NonZeroU32::MAX).unwrap();
    let read: Vec<_> = page
        .iter()
        .filter_map(|(_, line)| match read_line(line).unwrap() {
            Line::Outcome(outcome) => Some(outcome.intent),
            _ => None,
        })
        .collect();
    let same = read.iter().zip(&told.taken).take_while(|(read, taken)| read == taken).count();
    assert!(same >= told.synced, "seed {seed}: {same} of {} that were synced", told.synced);
    // What was refused may have been written all the same, where nothing came after it.
    let rest = &read[same..];
    let is_refused =
        |(after, numbers): &(usize, Vec<u64>)| *after == same && numbers.starts_with(rest);
    assert!(
        rest.is_empty() || told.refused.iter().any(is_refused),
        "seed {seed}: {rest:?} after {same} records, {:?}",
        told.refused
    );

    let next = FileLog::open_inline(scratch.path()).unwrap();
    let attached = block_on(next.attach(Arc::new(Nameless(8)))).unwrap_or_else(|error| {
        panic!("seed {seed}: the next opener is refused: {error}");
    });
    let ended = page.last().is_some_and(|(_, line)| line.starts_with(b"{\"t\":\"close\""));
    assert_eq!(attached.dead.len(), usize::from(!ended), "seed {seed}");
    assert!(ended || !told.is_closed, "seed {seed}: a log that was closed is dead");
    block_on(next.close()).unwrap();
}

#[test]
fn no_power_cut_loses_a_synced_record_or_accuses_anybody() {
    (0..1_000).for_each(|seed| history(seed, false));
}

#[test]
fn no_power_cut_after_errors_of_the_disk_does_either() {
    (0..1_000).for_each(|seed| history(seed, true));
}
