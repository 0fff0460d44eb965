//! A Python that has the package `cryptography`, for the second implementation of the format.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo::{output, target};

/// The environment variable that tells the tests which Python to use.
pub(crate) const VARIABLE: &str = "STRONGROOM_PYTHON";

/// Finds one, or makes a virtual environment below the build products and installs into it.
pub(crate) fn ready() -> Result<PathBuf, String> {
    let home = target()?.join("python");
    let own = home.join("bin").join("python3");
    let given = std::env::var_os(VARIABLE).map(PathBuf::from);
    let known = [given, Some(own.clone()), Some(PathBuf::from("python3"))];
    if let Some(python) = known.into_iter().flatten().find(imports) {
        return Ok(python);
    }
    output(Command::new("python3").args(["-m", "venv"]).arg(&home), "python3 -m venv")?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "cryptography>=44"];
    output(Command::new(&own).args(pip), "pip install cryptography")?;
    if imports(&own) { Ok(own) } else { Err(format!("{} lacks `cryptography`", own.display())) }
}

fn imports(python: &PathBuf) -> bool {
    Command::new(python)
        .args(["-c", "from cryptography.hazmat.primitives.kdf.argon2 import Argon2id"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
