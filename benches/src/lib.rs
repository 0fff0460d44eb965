//! What the programs of this package share: how a bar is printed, how times are taken side by
//! side, and the rooms that are measured.
//!
//! `bars ID` prints lines `BAR id | figure | PASS` or `… | FAIL`, which `cargo xtask bars`
//! gathers; `campaign NAME` runs what takes longer than the tests have. Both can be run alone:
//!
//! ```sh
//! cargo run --release -p strongroom-benches --bin bars get-current --quick
//! ```

mod children;
mod crew;
mod dead_log;
mod decision;
mod dice;
mod errors;
mod exchange;
mod kill;
mod memory;
mod needles;
mod opening;
mod oracle;
mod power;
mod processes;
mod puts;
mod reading;
mod records;
mod residue;
mod rollback;
mod room;
mod strace;
mod tamper;
mod tasks;
mod timing;
mod work;

use std::error::Error;
use std::io::Write as _;

pub use children::{child, start_child};
pub use crew::{CrewKills, kill_a_crew};
pub use dead_log::{DeadLog, dead_log};
pub use decision::{DecisionCase, decision_cases};
pub use dice::Dice;
pub use errors::{Errors, errors};
pub use exchange::{Exchanging, exchange};
pub use kill::{Kills, kills};
pub use needles::{Hit, Needles};
pub use opening::{Cost, cost_of_open, cpu_of_opens, syncs};
pub use power::{PowerCuts, power_cuts};
pub use processes::{Counting, count};
pub use puts::puts;
pub use records::record_of_get;
pub use residue::{Residue, residue};
pub use rollback::{Rollbacks, set_back};
pub use room::{Room, owner, path, value};
pub use tamper::{Tampered, tampered};
pub use tasks::in_tasks;
pub use timing::{Spread, interleave, time};

/// What the programs return: an error ends them with a message.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Whether the command line has this flag.
#[must_use]
pub fn has_flag(flag: &str) -> bool {
    std::env::args().any(|word| word == flag)
}

/// What follows this flag on the command line, if it is there and can be read.
#[must_use]
pub fn flag_value<T: std::str::FromStr>(flag: &str) -> Option<T> {
    let mut words = std::env::args();
    words.find(|word| word == flag)?;
    words.next()?.parse().ok()
}

/// Prints one figure and its verdict, and says whether it was reached.
#[expect(clippy::print_stdout, reason = "this is what `cargo xtask bars` reads")]
pub fn bar(id: &str, figure: impl AsRef<str>, reached: bool) -> bool {
    println!("BAR {id} | {} | {}", figure.as_ref(), if reached { "PASS" } else { "FAIL" });
    reached
}

/// Asks the program that counts the allocations of an operation, and prints whether there are at
/// most that many.
///
/// # Errors
/// Where it does not run.
pub fn allocations(id: &str, operation: &str, most: u64) -> Outcome {
    let program = std::env::current_exe()?.with_file_name("allocations");
    let done = std::process::Command::new(program).arg(operation).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    let count: u64 = text.split(' ').next().unwrap_or_default().parse().map_err(|_| {
        format!("the counting program answered: {}", String::from_utf8_lossy(&done.stderr).trim())
    })?;
    bar(id, text.trim(), done.status.success() && count <= most);
    Ok(())
}

/// Prints what is worth knowing and no figure.
pub fn say(line: impl AsRef<str>) {
    let mut output = std::io::stdout().lock();
    let line = format!("{}\n", line.as_ref());
    // Where calls of this process are made to fail, this may be the one: it is not what is tried.
    let is_said = (0..3).any(|_| output.write_all(line.as_bytes()).is_ok());
    assert!(is_said, "nobody hears what is said");
}

/// The processor time that this process has used, all threads, in seconds.
///
/// # Errors
/// None: every system has that clock.
pub fn cpu_seconds() -> Outcome<f64> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(used.tv_nsec)?;
    Ok(std::time::Duration::new(u64::try_from(used.tv_sec)?, nanoseconds).as_secs_f64())
}

/// Resident memory of this process in bytes. Linux only.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn resident_bytes() -> Outcome<u64> {
    memory_figure("VmRSS:")
}

/// The most memory that was ever resident, in bytes. Linux only.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn peak_bytes() -> Outcome<u64> {
    memory_figure("VmHWM:")
}

fn memory_figure(name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
