//! Clock and randomness: read in the files that implement the traits, and nowhere else.

use super::sources::{Source, code};
use super::{Fault, fault};

/// The places that read them, each behind `Clock` or `Entropy`.
const PLACES: [&str; 2] =
    ["crates/strongroom-engine/src/system.rs", "crates/strongroom-testkit/src/clock.rs"];

const READS: [&str; 6] =
    ["SystemTime::now", "Instant::now", "getrandom::", "SysRng", "clock_gettime", "Timestamp::now"];

pub(super) fn check(source: &Source) -> Vec<Fault> {
    if PLACES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    source
        .lines_before_tests()
        .filter_map(|(at, line)| {
            let read = READS.iter().find(|read| code(line).contains(**read))?;
            Some(fault(
                source.at(at),
                format!("`{read}` here: take a `Clock` or an `Entropy` (the places that may read them are listed in xtask/src/tidy/time.rs)"),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "fn f() { let t = std::time::Instant::now(); }";

    #[test]
    fn behind_the_trait_is_right() {
        assert_eq!(check(&Source::new(PLACES[0], NOW)), []);
        assert_eq!(check(&Source::new("crates/a/src/b.rs", "let t = clock.now();")), []);
        assert_eq!(check(&Source::new("crates/a/src/b.rs", "// not Instant::now")), []);
        assert_eq!(check(&Source::new("crates/a/src/b.rs", "#[cfg(test)]\nInstant::now")), []);
    }

    #[test]
    fn anywhere_else_is_wrong() {
        assert_eq!(check(&Source::new("crates/a/src/b.rs", NOW)).len(), 1);
        assert_eq!(check(&Source::new("crates/a/src/b.rs", "getrandom::fill(&mut b)?;")).len(), 1);
    }
}
