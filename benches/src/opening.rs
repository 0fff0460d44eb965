//! What opening a store costs beside the derivation of the key that opens it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use strongroom::{
    Argon2Cost, FileLog, KeyContext, Passphrase, Policy, Seal, SealError, SecretValue,
    SqliteStorage, Strongroom, WrappedKey, async_trait,
};

use crate::children::word;
use crate::room::{PASSPHRASE, POLICY, database};
use crate::strace::strace;
use crate::{Outcome, Room, Spread, cpu_seconds, say};

/// What an opening took in seconds, without the derivation of its key.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Of the processor, all threads.
    pub cpu: f64,
    /// By the clock.
    pub wall: f64,
    /// Of the processor, for the derivation.
    pub derivation: f64,
}

/// The processor time of that many clean opens, derivation and the rest.
///
/// # Errors
/// Where the store does not open.
pub fn cpu_of_opens(dir: &Path, opens: usize) -> Outcome<[Spread; 2]> {
    let (mut derivations, mut rests) = (Vec::new(), Vec::new());
    // One to warm up.
    for round in 0..=opens {
        let (cost, room) = cost_of_open(dir)?;
        if round > 0 {
            derivations.push(cost.derivation);
            rests.push(cost.cpu);
        }
        block_on(room.close())?;
    }
    Ok([Spread::new(derivations), Spread::new(rests)])
}

/// Opens the room in this directory.
///
/// # Errors
/// Where it does not open.
pub fn cost_of_open(dir: &Path) -> Outcome<(Cost, Strongroom)> {
    let spent = Arc::new(Mutex::new(Spent::default()));
    let passphrase = Passphrase::new(PASSPHRASE).with_cost(Argon2Cost::LEAST);
    let begun = Begun::now()?;
    let builder = Strongroom::builder()
        .storage(SqliteStorage::open(database(dir))?)
        .seal(TimedSeal { passphrase, spent: Arc::clone(&spent) })
        .policy(Policy::from_toml(POLICY)?)
        .audit(FileLog::open(dir.join("audit"))?);
    let room = block_on(builder.open())?;
    let all = begun.until_now()?;
    let derivation = *spent.lock().unwrap_or_else(PoisonError::into_inner);
    let cpu = all.cpu - derivation.cpu;
    Ok((Cost { cpu, wall: all.wall - derivation.wall, derivation: derivation.cpu }, room))
}

/// Seconds of both clocks.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    cpu: f64,
    wall: f64,
}

/// When something began.
struct Begun {
    cpu: f64,
    wall: Instant,
}

impl Begun {
    #[expect(clippy::disallowed_methods, reason = "measuring needs the machine's own clock")]
    fn now() -> Outcome<Self> {
        Ok(Self { cpu: cpu_seconds()?, wall: Instant::now() })
    }

    fn until_now(&self) -> Outcome<Spent> {
        Ok(Spent { cpu: cpu_seconds()? - self.cpu, wall: self.wall.elapsed().as_secs_f64() })
    }
}

/// A passphrase that notes what its derivation took.
struct TimedSeal {
    passphrase: Passphrase,
    spent: Arc<Mutex<Spent>>,
}

impl fmt::Debug for TimedSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimedSeal")
    }
}

#[async_trait]
impl Seal for TimedSeal {
    fn kind(&self) -> &str {
        self.passphrase.kind()
    }

    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        self.passphrase.wrap_key(key, context).await
    }

    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        let begun = Begun::now();
        let unwrapped = self.passphrase.unwrap_key(wrapped, context).await;
        if let Ok(took) = begun.and_then(|begun| begun.until_now()) {
            let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
            *spent = Spent { cpu: spent.cpu + took.cpu, wall: spent.wall + took.wall };
        }
        unwrapped
    }
}

/// The calls of the operating system by which a program has its data put on the medium, counted
/// by name with `strace` from the start of the program to its end.
///
/// # Errors
/// Where there is no `strace`, or it may not trace, or the program fails.
pub fn syncs(words: &[&str]) -> Outcome<BTreeMap<String, usize>> {
    const CALLS: [&str; 6] = ["fsync", "fdatasync", "sync_file_range", "msync", "sync", "syncfs"];
    let trace = tempfile::NamedTempFile::new()?;
    let done = strace(&["-e", &format!("trace={}", CALLS.join(","))], trace.path(), words)?;
    if !done.status.success() {
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(format!("`strace` or what it ran ended with {}: {told}", done.status).into());
    }
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(trace.path())?.lines() {
        // `1234 fdatasync(5) = 0`; a call that another thread interrupts has two lines, of which
        // the second is no call.
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if let Some((name, _)) = call.split_once('(')
            && CALLS.contains(&name)
        {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(counts)
}

/// A process that opens a store and ends without closing it, so that only the opening counts.
pub(crate) fn open_only(words: &[String]) -> Outcome {
    let dir: PathBuf = word(words, 0)?;
    let room = block_on(Room::builder(&dir)?.open())?;
    // For what is done in the background, if anything is.
    thread::sleep(Duration::from_millis(200));
    say(room.id().to_string());
    std::process::exit(0);
}
