//! What is set back, and what must be said of it.

use std::collections::BTreeSet;
use std::fs;

use futures_executor::block_on;
use strongroom_audit::{Line, LogStage, RegistryRecord, Verdict, read_line, verify_dir};
use strongroom_core::{Key, LogId, Opaque, RecordKind};
use strongroom_engine::{Error, Tampered};

use super::Dice;
use super::store::{Moment, Used, class, lines, logs, session, told};

/// What must be said, of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Key(Key, Verdict),
    Log(LogId),
}

/// Who must refuse to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Over a log that is not what the storage says of it.
    Log(LogId),
    /// Over a storage that shows less than a log or a pin says.
    Storage,
}

/// A store that was set back.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) kind: &'static str,
    moment: Moment,
    named: Vec<Named>,
    refused: Option<Refused>,
    /// What is read of this path must be refused.
    unreadable: Option<&'static str>,
}

/// What was said.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) is_named: bool,
    pub(super) is_at_open: bool,
    pub(super) faults: Vec<String>,
}

/// The key of the head that a blob is of: the same namespace and path.
fn head_of(blob: &Key) -> Key {
    let bytes = blob.as_bytes();
    let path = 10..10 + 16 * usize::from(bytes[9]);
    Key::new([&[3], &bytes[1..9], &bytes[path]].concat())
}

/// What storage has registered of a log.
fn registered(at: &Moment, log: LogId) -> Option<RegistryRecord> {
    let key = Key::new([&[5], log.as_bytes().as_slice()].concat());
    RegistryRecord::peek(&key, &at.records.get(&key)?.value).ok()
}

/// Whether the storage shows less than a log says that was registered of it, or a pin.
fn shows_less(at: &Moment, used: &Used) -> bool {
    let by_log = logs(&at.files).into_iter().any(|(log, names)| {
        let told = told(&lines(&at.files, &names));
        registered(at, log).map_or(0, |record| record.head.size) < told
    });
    let by_pin = used.is_anchored
        && used.now().pins.iter().any(|pin| {
            let key = Key::new([&[5], pin.log.as_bytes().as_slice()].concat());
            let pinned = RegistryRecord::peek(&key, &pin.record).unwrap();
            registered(at, pin.log).is_none_or(|found| {
                found.stage < pinned.stage || found.head.size < pinned.head.size
            })
        });
    by_log || by_pin
}

impl Case {
    /// Sets something back, where the dice find something that can be.
    pub(super) fn of(used: &Used, dice: &mut Dice) -> Option<Self> {
        let mut case = Self {
            kind: "",
            moment: used.now().clone(),
            named: Vec::new(),
            refused: None,
            unreadable: None,
        };
        let earlier = &used.moments[dice.below(used.moments.len() - 1)];
        let is_made = match dice.below(9) {
            0 | 1 => case.record(used, earlier, dice, 3, ["head back", "head dropped"]),
            2 => case.record(used, earlier, dice, 2, ["namespace back", "namespace dropped"]),
            3 => case.registry(used, earlier, dice),
            4 => case.blob(used, dice),
            5 => case.storage(used, earlier),
            6 | 7 => case.log(dice),
            _ => case.joint(used, earlier),
        };
        is_made.then_some(case)
    }

    /// One record of a class as it was at an earlier moment.
    fn record(
        &mut self,
        used: &Used,
        earlier: &Moment,
        dice: &mut Dice,
        of: u8,
        kinds: [&'static str; 2],
    ) -> bool {
        let differs = |(key, _): &(&Key, _)| {
            class(key) == of && earlier.records.get(*key) != used.now().records.get(*key)
        };
        let keys: Vec<&Key> =
            used.now().records.iter().filter(differs).map(|(key, _)| key).collect();
        if keys.is_empty() {
            return false;
        }
        let key = keys[dice.below(keys.len())];
        let was = earlier.records.get(key).filter(|_| !dice.one_in(4));
        let verdict = self.put_back(key, was);
        self.kind = kinds[usize::from(was.is_none())];
        self.named.push(Named::Key(key.clone(), verdict));
        if of == 2 && was.is_some() {
            self.unreadable = used.written_since(key, was);
        }
        true
    }

    /// Puts a record back to what it was. What must be said of that.
    fn put_back(&mut self, key: &Key, was: Option<&strongroom_core::Entry>) -> Verdict {
        match was {
            Some(entry) => {
                self.moment.records.insert(key.clone(), entry.clone());
                Verdict::RolledBack
            }
            None => {
                self.moment.records.remove(key);
                Verdict::Dropped
            }
        }
    }

    /// What is registered of a log, where the log or a pin says that more was.
    fn registry(&mut self, used: &Used, earlier: &Moment, dice: &mut Dice) -> bool {
        if !self.record(used, earlier, dice, 5, ["registry back", "registry dropped"]) {
            return false;
        }
        self.refused = shows_less(&self.moment, used).then_some(Refused::Storage);
        if self.refused.is_none() {
            return false;
        }
        if used.is_anchored {
            // It may be the pin alone that tells.
            self.named.clear();
        }
        true
    }

    /// A part of a large value.
    fn blob(&mut self, used: &Used, dice: &mut Dice) -> bool {
        let blobs: Vec<Key> =
            self.moment.records.keys().filter(|key| class(key) == 4).cloned().collect();
        if blobs.is_empty() {
            return false;
        }
        let blob = &blobs[dice.below(blobs.len())];
        self.moment.records.remove(blob);
        self.kind = "blob dropped";
        let head = head_of(blob);
        // A head that was never replaced so often names all of its blobs.
        let states: BTreeSet<_> =
            used.moments.iter().filter_map(|at| Some(&at.records.get(&head)?.value)).collect();
        self.named.push(Named::Key(head, Verdict::Incomplete));
        states.len() <= 10
    }

    /// The whole storage beside logs that are as they are now.
    fn storage(&mut self, used: &Used, earlier: &Moment) -> bool {
        self.kind = "storage back";
        self.moment.records = earlier.records.clone();
        for (key, entry) in &used.now().records {
            let was = earlier.records.get(key);
            if matches!(class(key), 2 | 3) && was != Some(entry) {
                let verdict = if was.is_some() { Verdict::RolledBack } else { Verdict::Dropped };
                self.named.push(Named::Key(key.clone(), verdict));
            }
        }
        self.refused = shows_less(&self.moment, used).then_some(Refused::Storage);
        !self.named.is_empty() || self.refused.is_some()
    }

    /// One log without its last lines, or taken away.
    fn log(&mut self, dice: &mut Dice) -> bool {
        let logs: Vec<_> = logs(&self.moment.files).into_iter().collect();
        let (log, names) = &logs[dice.below(logs.len())];
        let all = lines(&self.moment.files, names).len();
        let kept = if dice.one_in(4) { 0 } else { dice.below(all) };
        let mut left = kept;
        for name in names {
            let bytes = self.moment.files.remove(name).unwrap_or_default();
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let here = left.min(lines.len());
            if here > 0 {
                self.moment.files.insert(name.clone(), lines[..here].concat());
            }
            left -= here;
        }
        self.kind = if kept == 0 { "log removed" } else { "log cut" };
        let Some(record) = registered(&self.moment, *log) else { return false };
        // Of a log that nobody has ended a power cut may take what was not registered.
        let is_less = record.stage != LogStage::Open || (kept as u64) < record.head.size;
        self.named.push(Named::Log(*log));
        if record.stage != LogStage::Settled && dice.one_in(3) {
            // Whoever cuts a log can leave a note that it is settled, too.
            self.moment.files.insert(format!("{log}.settled"), b"note".to_vec());
        }
        self.refused = Some(Refused::Log(*log));
        is_less
    }

    /// Storage and logs together: what the anchor says is all that tells.
    fn joint(&mut self, used: &Used, earlier: &Moment) -> bool {
        self.kind = "storage and logs back";
        self.moment = earlier.clone();
        self.refused = shows_less(&self.moment, used).then_some(Refused::Storage);
        self.refused.is_some()
    }

    /// Opens and verifies what was set back, and holds what is said against what must be.
    pub(super) fn look(&self, used: &Used) -> Told {
        let scratch = tempfile::tempdir().unwrap();
        let mut faults = Vec::new();
        let opened = used.open(&self.moment, &scratch.path().join("online"));
        let is_at_open = match (&opened, self.refused) {
            (
                Err(Error::Tampered(Tampered::AuditLogRolledBack { log, .. })),
                Some(Refused::Log(of)),
            ) => *log == of,
            (Err(Error::Tampered(Tampered::StorageRolledBack { .. })), Some(Refused::Storage)) => {
                true
            }
            _ => false,
        };
        if self.refused.is_some() && !is_at_open {
            let said = opened.as_ref().err();
            faults.push(format!(
                "{}: {:?} did not keep it closed: {said:?}",
                self.kind, self.refused
            ));
        }
        let mut findings = self.verify(scratch.path());
        if let Ok(room) = &opened {
            let report = block_on(session(room).verify()).unwrap();
            findings.extend(report.findings.into_iter().filter(|found| found.verdict.accuses()));
            if let Some(path) = self.unreadable {
                let read = block_on(session(room).read::<Opaque>(path));
                if !matches!(read, Err(Error::Tampered(_))) {
                    let said = read.map(|read| read.version);
                    faults.push(format!("{}: {path} is read: {said:?}", self.kind));
                }
            }
        }
        for named in &self.named {
            let is_it = findings.iter().any(|found| match named {
                Named::Key(key, verdict) => {
                    found.key.as_ref() == Some(key) && found.verdict == *verdict
                }
                Named::Log(log) => {
                    found.log == Some(*log) && found.verdict == Verdict::LogLostItsTail
                }
            });
            if !is_it {
                faults.push(format!("{}: {named:?} is not named in {findings:#?}", self.kind));
            }
        }
        Told { is_named: faults.is_empty(), is_at_open, faults }
    }

    /// The accusations of who has no keys.
    fn verify(&self, scratch: &std::path::Path) -> Vec<strongroom_audit::Finding> {
        let dir = scratch.join("offline");
        fs::create_dir(&dir).unwrap();
        for (name, bytes) in &self.moment.files {
            fs::write(dir.join(name), bytes).unwrap();
        }
        let stored = self.moment.records.iter();
        let stored = stored.map(|(key, entry)| (key.clone(), entry.value.clone()));
        let report = verify_dir(&dir, None, stored).unwrap();
        report.accusations().cloned().collect()
    }
}

/// What was not set back, or as a whole by somebody who has no anchor: nobody is accused.
pub(super) fn controls(used: &Used, dice: &mut Dice) -> Vec<String> {
    let mut faults = Vec::new();
    // A log is registered by its first write, so that it is missed from there on.
    for (log, names) in logs(&used.now().files) {
        let is_write = |line: &&[u8]| matches!(read_line(line), Ok(Line::Intent(line)) if line.kind == RecordKind::Head);
        let has_written = lines(&used.now().files, &names).iter().any(is_write);
        if has_written && registered(used.now(), log).is_none() {
            faults.push(format!("untouched: log {log} has writes and is not registered"));
        }
    }
    let earlier = &used.moments[dice.below(used.moments.len())];
    for (kind, moment) in [("untouched", used.now()), ("restored", earlier)] {
        let (named, moment) = (Vec::new(), moment.clone());
        let is_pinned = shows_less(&moment, used);
        let case = Case { kind, moment, named, refused: None, unreadable: None };
        let scratch = tempfile::tempdir().unwrap();
        let mut said: Vec<String> =
            case.verify(scratch.path()).iter().map(ToString::to_string).collect();
        if !is_pinned {
            match used.open(&case.moment, &scratch.path().join("online")) {
                Ok(room) => {
                    let report = block_on(session(&room).verify()).unwrap();
                    said.extend(report.accusations().map(ToString::to_string));
                }
                Err(error) => said.push(error.to_string()),
            }
        }
        faults.extend(said.into_iter().map(|what| format!("{kind}: {what}")));
    }
    faults
}
