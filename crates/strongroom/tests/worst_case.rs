//! What machines do to processes: a writer that is stopped where it stands, and clocks that jump.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::disallowed_methods, reason = "how long a real process waits is measured")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use strongroom::{
    Argon2Cost, Clock, Error, FileLog, MetadataUpdate, NotDoneKind, NotFound, Opaque, Passphrase,
    Policy, Principal, SqliteStorage, Unavailable, blocking,
};
use strongroom_testkit::ManualClock;

const PLACE: &str = "STRONGROOM_TEST_PLACE";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn open(dir: &Path) -> blocking::Strongroom {
    open_with(dir, |builder| builder)
}

fn open_with(
    dir: &Path,
    with: impl FnOnce(strongroom::Builder) -> strongroom::Builder,
) -> blocking::Strongroom {
    let builder = strongroom::Strongroom::builder()
        .storage(SqliteStorage::open(dir.join("secrets.db")).unwrap())
        .seal(Passphrase::new("passphrase").with_cost(Argon2Cost::LEAST))
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(FileLog::open(dir.join("audit")).unwrap());
    with(builder).blocking().open_or_create().unwrap()
}

fn alice(room: &blocking::Strongroom) -> blocking::Session {
    room.session(Principal::user("alice"))
}

fn honest(session: &blocking::Session) {
    let report = session.verify().unwrap();
    let accused: Vec<String> = report.accusations().map(ToString::to_string).collect();
    assert!(accused.is_empty(), "{accused:?}");
}

/// Puts until it is killed.
#[test]
fn child_puts_until_killed() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let room = open(&place);
    println!("\nopen");
    for number in 0_u64.. {
        alice(&room).put("prod/theirs", Opaque::new(&number.to_be_bytes())).unwrap();
    }
}

/// A process that is killed at the end, whatever state it is in.
struct Writer(Child);

impl Writer {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(name).arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn child(dir: &Path) -> Writer {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_puts_until_killed", "--nocapture"])
        .env(PLACE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let child = Writer(child);
    assert!(output.lines().map_while(Result::ok).any(|line| line == "open"));
    child
}

/// A process that is stopped (a debugger, a frozen container, a laptop's lid) may hold the lock of
/// writers. Others read meanwhile, are told that their writes were not done, and go on when it does.
#[test]
fn a_writer_that_is_stopped_stops_nobody_from_reading_and_is_told_to_those_who_write() {
    let scratch = tempfile::tempdir().unwrap();
    let room = open(scratch.path());
    alice(&room).put("prod/mine", Opaque::new(b"0")).unwrap();
    let child = child(scratch.path());

    // It is stopped anywhere: mostly where it holds the lock, since it does little else.
    let mut held = None;
    for attempt in 0..200_u64 {
        std::thread::sleep(Duration::from_micros(1_000 + attempt * 37));
        child.signal("-STOP");
        let begun = Instant::now();
        let put = alice(&room).put("prod/mine", Opaque::new(&attempt.to_be_bytes()));
        if let Err(error) = put {
            held = Some((error, begun.elapsed(), attempt));
            break;
        }
        child.signal("-CONT");
    }
    let (error, waited, attempt) = held.expect("it was never stopped under the lock");
    let is_busy = matches!(&error, Error::Unavailable(Unavailable::Storage(error))
        if error.kind() == Some(NotDoneKind::Busy));
    assert!(is_busy, "{:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(waited < Duration::from_secs(20), "{waited:?}");

    // Who reads does not notice, nor does who opens the store beside it: the log of a process that
    // is stopped is no dead one.
    let before: Opaque = alice(&room).get("prod/mine").unwrap();
    let expected = attempt.checked_sub(1).map_or(b"0".to_vec(), |n| n.to_be_bytes().to_vec());
    assert_eq!(before.value().expose(<[u8]>::to_vec), expected, "a write that was not done");
    let beside = open(scratch.path());
    alice(&beside).get::<Opaque>("prod/mine").unwrap();
    drop(beside);
    honest(&alice(&room));

    child.signal("-CONT");
    alice(&room).put("prod/mine", Opaque::new(b"after")).unwrap();
    drop(child);
    room.close().unwrap();
    let room = open(scratch.path());
    honest(&alice(&room));
    room.close().unwrap();
}

/// The wall clock of a machine is set a year back, and then two ahead: nothing is refused that was
/// not refused before but what has expired by the clock, nothing is erased, and nobody is accused.
#[test]
fn a_clock_that_jumps_loses_nothing_and_accuses_nobody() {
    let scratch = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let room = open_with(scratch.path(), |builder| builder.clock(clock.clone()));
    let session = alice(&room);
    let put = |value: &[u8]| session.put("prod/db", Opaque::new(value)).unwrap();
    let get = || session.get::<Opaque>("prod/db").map(|db| db.value().expose(<[u8]>::to_vec));
    put(b"one");
    let soon = clock.now().saturating_add(DAY);
    session.update_metadata("prod/db", MetadataUpdate::new().expires(soon)).unwrap();

    clock.step_back(365 * DAY);
    assert_eq!(get().unwrap(), b"one");
    put(b"two");
    let session_of_then = room.session(Principal::user("alice"));
    clock.step_forward(2 * 365 * DAY);
    assert!(matches!(get(), Err(Error::NotFound(NotFound::Expired))), "{:?}", get());
    clock.step_back(365 * DAY);
    // What had expired by a clock that was wrong is there again.
    assert_eq!(get().unwrap(), b"two");
    session_of_then.put("prod/db", Opaque::new(b"three")).unwrap();
    assert_eq!(session.sweep("prod").unwrap().erased, 0);
    honest(&session);
    room.close().unwrap();

    // An opener whose clock is behind all that was recorded.
    clock.step_back(3 * 365 * DAY);
    let room = open_with(scratch.path(), |builder| builder.clock(clock.clone()));
    let session = alice(&room);
    let db: Opaque = session.get("prod/db").unwrap();
    assert_eq!(db.value().expose(<[u8]>::to_vec), b"three");
    session.put("prod/db", Opaque::new(b"four")).unwrap();
    honest(&session);
    room.close().unwrap();
}
