//! Several processes that count on one path, while another one changes the keys.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{Error, NotFound, Opaque, Session, WriteOptions};

use crate::children::word;
use crate::timing::time;
use crate::{Outcome, Room, Spread, owner, say, start_child};

const COUNTER: &str = "prod/team/counter";
/// The file that ends the process that changes keys.
const STOP: &str = "stop";

/// What came of counting.
#[derive(Debug)]
pub struct Counting {
    /// The version and the value of each acknowledged increment.
    pub acknowledged: Vec<(u64, u64)>,
    /// The value at the end.
    pub last: u64,
    /// How often somebody else had been faster.
    pub conflicts: usize,
    /// What each `put` took, won or lost, in seconds.
    pub waits: Spread,
    /// What syncs of a file of its own took on the same disk meanwhile.
    pub syncs: Spread,
    /// How often keys were changed meanwhile.
    pub rotations: u64,
    /// What `verify` says that accuses.
    pub accusations: Vec<String>,
}

impl Counting {
    /// Whether each increment counted once, and nobody is accused. The first version holds 0.
    #[must_use]
    pub fn is_exact(&self, wanted: u64) -> bool {
        let mut acknowledged = self.acknowledged.clone();
        acknowledged.sort_unstable();
        let expected = (1..=wanted).map(|value| (value + 1, value));
        self.last == wanted && expected.eq(acknowledged) && self.accusations.is_empty()
    }
}

/// Lets that many processes add one, each that often.
///
/// # Errors
/// Where a process fails.
pub fn count(processes: usize, increments: u64) -> Outcome<Counting> {
    let scratch = tempfile::tempdir()?;
    let dir = scratch.path();
    let room = block_on(Room::builder(dir)?.create())?;
    let session = room.session(owner());
    block_on(session.put(COUNTER, Opaque::new(b"0")))?;

    let stopped = Arc::new(AtomicBool::new(false));
    let disk = {
        let (stopped, mut file) = (Arc::clone(&stopped), File::create(dir.join("disk"))?);
        thread::spawn(move || sync_until(&stopped, &mut file))
    };
    let keys = start_child("child-changes-keys")?.arg(dir).spawn()?;
    let counting: Vec<_> = (0..processes)
        .map(|_| Ok(start_child("child-counts")?.arg(dir).arg(increments.to_string()).spawn()?))
        .collect::<Outcome<_>>()?;

    let (mut acknowledged, mut waits, mut conflicts) = (Vec::new(), Vec::new(), 0);
    // What a process says does not fit its pipe: each has a reader of its own.
    let readers: Vec<_> =
        counting.into_iter().map(|child| thread::spawn(|| child.wait_with_output())).collect();
    for reader in readers {
        let output = reader.join().map_err(|_| "a reader died")??;
        if !output.status.success() {
            return Err(format!("a process failed: {}", String::from_utf8(output.stdout)?).into());
        }
        for line in String::from_utf8(output.stdout)?.lines() {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            waits.push(Duration::from_micros(word(&words, 1)?).as_secs_f64());
            match words.first().is_some_and(|word| word == "done") {
                true => acknowledged.push((word(&words, 2)?, word(&words, 3)?)),
                false => conflicts += 1,
            }
        }
    }
    stopped.store(true, Ordering::Relaxed);
    File::create(dir.join(STOP))?;
    let keys = keys.wait_with_output()?;
    let said = String::from_utf8(keys.stdout)?;
    if !keys.status.success() {
        return Err(format!("the process that changes keys failed: {said}").into());
    }
    let last = block_on(read(&session))?.1;
    let report = block_on(session.verify())?;
    Ok(Counting {
        acknowledged,
        last,
        conflicts,
        waits: Spread::new(waits),
        syncs: Spread::new(disk.join().map_err(|_| "the thread that syncs died")??),
        rotations: said.trim().parse()?,
        accusations: report.accusations().map(ToString::to_string).collect(),
    })
}

async fn read(session: &Session) -> Outcome<(strongroom::Version, u64)> {
    let read = session.read::<Opaque>(COUNTER).await?;
    let text = read.secret.value().expose(|bytes| String::from_utf8(bytes.to_vec()))?;
    Ok((read.version, text.parse()?))
}

/// A process that counts: a line for each `put`.
pub(crate) fn count_up(words: &[String]) -> Outcome {
    let (dir, increments): (PathBuf, u64) = (word(words, 0)?, word(words, 1)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    for _ in 0..increments {
        loop {
            let (version, value) = block_on(read(&session))?;
            let (next, options) = (value + 1, WriteOptions::new().expecting(version));
            let mut put = None;
            let took = time(|| {
                let secret = Opaque::new(next.to_string().into_bytes());
                put = Some(block_on(session.put_with(COUNTER, secret, options)));
            });
            let took = took.as_micros();
            match put.ok_or("nothing was put")? {
                Ok(version) => {
                    say(format!("done {took} {version} {next}"));
                    break;
                }
                Err(Error::Conflict(_)) => say(format!("lost {took}")),
                Err(error) => return Err(error.into()),
            }
        }
    }
    block_on(room.close())?;
    Ok(())
}

/// A process that gives the namespace new keys until it is stopped, and says how often.
pub(crate) fn change_keys(words: &[String]) -> Outcome {
    let dir: PathBuf = word(words, 0)?;
    let room = block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    let mut rotations = 0_u64;
    while !Path::new(&dir.join(STOP)).exists() {
        for changed in [
            block_on(session.rotate_keys("prod")),
            block_on(session.rewrap("prod")).map(drop),
            block_on(session.sweep("prod")).map(drop),
        ] {
            match changed {
                Ok(()) | Err(Error::Conflict(_) | Error::NotFound(NotFound::Namespace)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        rotations += 1;
        thread::sleep(Duration::from_millis(20));
    }
    block_on(room.close())?;
    say(rotations.to_string());
    Ok(())
}

/// What the disk itself takes: a sync of 4 KiB, now and then.
fn sync_until(stopped: &AtomicBool, file: &mut File) -> std::io::Result<Vec<f64>> {
    let mut times = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        file.write_all(&[1; 4096])?;
        let mut synced = Ok(());
        times.push(time(|| synced = file.sync_data()).as_secs_f64());
        synced?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(times)
}
