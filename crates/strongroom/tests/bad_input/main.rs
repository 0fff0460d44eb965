//! What is malformed is refused by a typed error that says what to do: nothing panics, and nothing
//! is changed on disk. Each test prints how many cases it tried, for `cargo xtask bars bad-input`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print their figure"
)]

mod disk;
mod documents;
mod files;
mod logs;
mod modes;
mod requests;
mod words;

use std::collections::HashSet;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tried cases and what is wrong with them. All are tried before one fails the test.
#[derive(Default)]
struct Cases {
    names: HashSet<String>,
    faults: Vec<String>,
}

impl Cases {
    /// Runs a case. It must fail with an error that `is` what was expected, and whose text, with
    /// that of its sources, holds the hint.
    fn refused<T, E: StdError + 'static>(
        &mut self,
        name: &str,
        hint: &str,
        is: impl FnOnce(&E) -> bool,
        run: impl FnOnce() -> Result<T, E>,
    ) {
        assert!(!hint.is_empty(), "{name} has no hint");
        assert!(self.names.insert(name.to_owned()), "{name} is tried twice");
        let fault = match catch_unwind(AssertUnwindSafe(run)) {
            Err(_) => "it panics".to_owned(),
            Ok(Ok(_)) => "it is not refused".to_owned(),
            Ok(Err(error)) => {
                let text = whole_text(&error);
                match (is(&error), text.contains(hint)) {
                    (true, true) => return,
                    (false, _) => format!("another error: {text} ({error:?})"),
                    (true, false) => format!("no `{hint}` in: {text}"),
                }
            }
        };
        self.faults.push(format!("{name}: {fault}"));
    }

    fn check(&mut self, name: &str, holds: bool, found: &str) {
        if !holds {
            self.faults.push(format!("{name}: {found}"));
        }
    }

    fn done(self, at_least: usize) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
        assert!(self.names.len() >= at_least);
        println!("\nCASES {}", self.names.len());
    }
}

/// An error as an operator would log it: with everything below it.
fn whole_text(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text = format!("{text}: {source}");
        below = source.source();
    }
    text
}
