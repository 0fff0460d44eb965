//! The list of planted faults.

use std::fmt;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// Where it is, from the root.
const LIST: &str = "benches/mutants.toml";

/// A fault in one place.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) id: String,
    /// What it is in: engine, log, storage or rotation.
    pub(super) part: String,
    pub(super) by: By,
    pub(super) file: String,
    /// What it breaks, in a line.
    pub(super) breaks: String,
    find: String,
    put: String,
}

/// What has to see a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Whole histories of several engines.
    Engines,
    /// The log on a disk that loses power.
    Disk,
    /// Stores that were set back.
    Rollback,
    /// Leases, exchanges and rotations.
    Rotation,
}

impl By {
    pub(super) const ALL: [Self; 4] = [Self::Engines, Self::Disk, Self::Rollback, Self::Rotation];

    const fn name(self) -> &'static str {
        match self {
            Self::Engines => "engines",
            Self::Disk => "disk",
            Self::Rollback => "rollback",
            Self::Rotation => "rotation",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Mutant {
    fn of(entry: &Value) -> Result<Self, String> {
        let text = |field: &str| {
            let value = entry.get(field).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| format!("{LIST}: {entry:?} has no `{field}`"))
        };
        let by = text("by")?;
        Ok(Self {
            id: text("id")?,
            part: text("part")?,
            by: By::ALL
                .into_iter()
                .find(|known| known.name() == by)
                .ok_or_else(|| format!("{LIST}: nothing is called `{by}`"))?,
            file: text("file")?,
            breaks: text("breaks")?,
            find: text("find")?,
            put: text("put")?,
        })
    }

    /// The text of the file with the fault in it.
    pub(super) fn plant(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.put, 1)),
            count => Err(format!("its text occurs {count} times in {}: mend {LIST}", self.file)),
        }
    }
}

/// All of them.
pub(super) fn read(root: &Path) -> Result<Vec<Mutant>, String> {
    let text = fs::read_to_string(root.join(LIST)).map_err(|error| format!("{LIST}: {error}"))?;
    let table: Table = text.parse().map_err(|error| format!("{LIST}: {error}"))?;
    let entries = table.get("mutant").and_then(Value::as_array);
    entries.into_iter().flatten().map(Mutant::of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cargo::root;

    #[test]
    fn each_planted_fault_still_applies() {
        let all = read(&root()).unwrap_or_default();
        assert!(all.len() >= 24, "{} planted faults", all.len());
        for mutant in &all {
            let text = fs::read_to_string(root().join(&mutant.file)).unwrap_or_default();
            let planted = mutant.plant(&text);
            assert!(planted.as_ref().is_ok_and(|planted| *planted != text), "{mutant:?}");
            assert!(mutant.breaks.ends_with('.') && !mutant.breaks.contains('\n'), "{mutant:?}");
        }
        let ids: BTreeSet<&str> = all.iter().map(|mutant| mutant.id.as_str()).collect();
        assert_eq!(ids.len(), all.len());
        for part in ["engine", "log", "storage"] {
            assert!(all.iter().any(|mutant| mutant.part == part), "{part}");
        }
    }

    #[test]
    fn a_text_that_is_gone_or_there_twice_is_refused() {
        let entry = r#"id = "a"
            part = "log"
            by = "disk"
            file = "b.rs"
            breaks = "It."
            find = "one"
            put = "two""#;
        let table: Table = entry.parse().unwrap_or_default();
        let mutant = Mutant::of(&Value::Table(table)).ok();
        let planted = |text| mutant.as_ref().and_then(|mutant| mutant.plant(text).ok());
        assert_eq!(planted("a one."), Some("a two.".to_owned()));
        assert_eq!(planted("a none"), Some("a ntwo".to_owned()));
        assert_eq!(planted("a two"), None);
        assert_eq!(planted("one by one"), None);
    }
}
