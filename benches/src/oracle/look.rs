//! A store as the next process finds it, held against what its writer said.

use std::path::{Path, PathBuf};

use futures_executor::block_on;
use strongroom::{Error, NotFound, Opaque, SecretPath, SecretRef, Session, Strongroom, Version};

use super::ledger::{Fate, Known, Ledger, Secret, Seen};
use super::{records, tag, value};
use crate::children::word;
use crate::{Outcome, Room, owner, say, start_child};

/// What came of looking.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Writes without an answer that had taken effect.
    pub(crate) happened: usize,
    /// Writes without an answer that had not.
    pub(crate) vanished: usize,
    /// Values read and compared.
    pub(crate) compared: usize,
    /// What must not be: lost, torn, accused, without a record.
    pub(crate) faults: Vec<String>,
}

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Nobody said that there is a store.
    pub(crate) create: bool,
    /// No power was cut: whatever is stored has its records in the log.
    pub(crate) recorded: bool,
}

/// Opens the store, reads and compares, writes where a write was open, and closes it.
pub(crate) async fn look(dir: &Path, ledger: &mut Ledger, manner: Manner) -> Outcome<Looked> {
    let mut looked = Looked::default();
    let builder = Room::builder(dir)?;
    let room = if manner.create { builder.open_or_create().await } else { builder.open().await }?;
    look_into(&room, ledger, &mut looked).await?;
    room.close().await?;
    if manner.recorded {
        looked.faults.extend(records::unrecorded(dir)?);
    }
    Ok(looked)
}

async fn look_into(room: &Strongroom, ledger: &mut Ledger, looked: &mut Looked) -> Outcome {
    let session = room.session(owner());
    let report = session.verify().await?;
    looked.faults.extend(report.accusations().map(|found| format!("verify says: {found}")));
    for (path, secret) in &mut ledger.0 {
        let was_open = secret.is_open();
        let found = seen(&session, path, looked).await?;
        let expected = secret.seen();
        match secret.settle(found) {
            Some(true) => looked.happened += 1,
            Some(false) => looked.vanished += usize::from(was_open),
            None => looked.faults.push(format!("{path}: {found:?}, and not {expected:?}")),
        }
        compare_versions(&session, path, secret, looked).await?;
        if was_open {
            // The next write on the path settles it, if nothing else did.
            let next = u64::try_from(looked.compared)? | 1;
            let version = session.put(path, value(next)).await?.number();
            if !secret.put(version, next) {
                looked.faults.push(format!("{path}: the next version is {version}"));
            }
        }
    }
    let again = session.verify().await?;
    let again = again.accusations().map(|found| format!("verify says later: {found}"));
    looked.faults.extend(again);
    Ok(())
}

async fn seen(session: &Session, path: &str, looked: &mut Looked) -> Outcome<Seen> {
    match session.read::<Opaque>(path).await {
        Ok(read) => {
            looked.compared += 1;
            let version = read.version.number();
            match tag(&read.secret) {
                Some(tag) => Ok(Seen::Live { version, tag }),
                None => Err(format!("{path}: version {version} is not what was put").into()),
            }
        }
        Err(Error::NotFound(NotFound::Secret | NotFound::Namespace)) => Ok(Seen::Absent),
        Err(Error::NotFound(NotFound::Deleted(version))) => {
            Ok(Seen::Deleted { version: version.number() })
        }
        Err(Error::NotFound(NotFound::Destroyed(version))) => {
            Ok(Seen::Destroyed { version: version.number() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Each version that is kept has its value, or is deleted or destroyed.
async fn compare_versions(
    session: &Session,
    path: &str,
    secret: &Secret,
    looked: &mut Looked,
) -> Outcome {
    for (number, possible) in secret.versions() {
        let version = Version::new(number).ok_or("a version 0")?;
        let place: SecretRef = path.parse::<SecretPath>()?.at(version);
        let fits = |fits: &dyn Fn(&Known) -> bool| possible.iter().any(fits);
        let right = match session.get::<Opaque>(place).await {
            Ok(value) => {
                let tag = tag(&value);
                fits(&|known| known.fate == Fate::Live && tag == Some(known.tag))
            }
            Err(Error::NotFound(NotFound::Deleted(_))) => {
                fits(&|known| known.fate == Fate::Deleted)
            }
            Err(Error::NotFound(NotFound::Destroyed(_))) => {
                fits(&|known| known.fate == Fate::Destroyed)
            }
            Err(error) => {
                looked.faults.push(format!("{path}, version {number}: {error}"));
                continue;
            }
        };
        looked.compared += 1;
        if !right {
            looked.faults.push(format!("{path}, version {number} is not what was put"));
        }
    }
    Ok(())
}

const CREATE: &str = "create";
const RECORDED: &str = "recorded";

/// A process that looks: the directory, the file with what was said, and the manner.
pub(crate) fn look_and_tell(words: &[String]) -> Outcome {
    let (dir, said): (PathBuf, PathBuf) = (word(words, 0)?, word(words, 1)?);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let manner = Manner { create: has(CREATE), recorded: has(RECORDED) };
    let mut ledger = Ledger::default();
    for line in std::fs::read_to_string(said)?.lines() {
        if !ledger.note(line) {
            say(format!("fault the writer said: {line}"));
        }
    }
    let looked = match block_on(look(&dir, &mut ledger, manner)) {
        Ok(looked) => looked,
        Err(error) => Looked { faults: vec![chain(&*error)], ..Looked::default() },
    };
    looked.faults.iter().for_each(|fault| say(format!("fault {fault}")));
    say(format!("looked {} {} {}", looked.happened, looked.vanished, looked.compared));
    Ok(())
}

/// An error with its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Lets a process of its own look; that it ends badly is a fault too.
pub(crate) fn looked_by_child(dir: &Path, said: &[String], manner: Manner) -> Outcome<Looked> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), said.join("\n"))?;
    let mut child = start_child("child-looks")?;
    child.arg(dir).arg(file.path());
    child.args(
        [(manner.create, CREATE), (manner.recorded, RECORDED)]
            .iter()
            .filter_map(|(is_wanted, word)| is_wanted.then_some(word)),
    );
    let done = child.stderr(std::process::Stdio::piped()).output()?;
    let mut looked = Looked::default();
    let mut is_told = false;
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        if let Some(fault) = line.strip_prefix("fault ") {
            looked.faults.push(fault.to_owned());
        } else if let Some(counts) = line.strip_prefix("looked ") {
            let counts: Vec<_> = counts.split(' ').map(str::to_owned).collect();
            is_told = true;
            looked.happened = word(&counts, 0)?;
            looked.vanished = word(&counts, 1)?;
            looked.compared = word(&counts, 2)?;
        }
    }
    if !done.status.success() || !is_told {
        let complaint = String::from_utf8_lossy(&done.stderr);
        looked.faults.push(format!("who looked ended with {}: {complaint}", done.status));
    }
    Ok(looked)
}
