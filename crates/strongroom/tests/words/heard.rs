//! All that was said, to be searched.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as StdError;
use std::fmt::Debug;

use strongroom::Error;

use crate::canary::Search;

/// Texts, each with where it was heard first.
#[derive(Default)]
pub(crate) struct Heard {
    texts: HashMap<String, String>,
    count: usize,
    errors: BTreeSet<String>,
}

impl Heard {
    pub(crate) fn text(&mut self, of: &str, text: &str) {
        self.count += 1;
        if !self.texts.contains_key(text) {
            self.texts.insert(text.to_owned(), of.to_owned());
        }
    }

    pub(crate) fn bytes(&mut self, of: &str, bytes: &[u8]) {
        self.text(of, &String::from_utf8_lossy(bytes));
    }

    /// Both forms of `Debug`.
    pub(crate) fn debug(&mut self, of: &str, value: &impl Debug) {
        self.text(of, &format!("{value:?}"));
        self.text(of, &format!("{value:#?}"));
    }

    /// An error of any library, with all that it says is its cause.
    pub(crate) fn chain(&mut self, of: &str, error: &(dyn StdError + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.text(of, &error.to_string());
            self.text(of, &format!("{error:#}"));
            self.debug(of, &error);
            cause = error.source();
        }
    }

    /// An error of strongroom's, which is also counted by its name.
    pub(crate) fn error(&mut self, error: &Error) {
        let name = name(error);
        self.chain(&name, error);
        if let Error::Denied(denied) = error {
            self.text(&name, &denied.explain().to_string());
        }
        self.errors.insert(name);
    }

    /// The error that a call must end with.
    pub(crate) fn refusal<T: Debug>(&mut self, of: &str, result: Result<T, Error>) -> Error {
        match result {
            Ok(value) => panic!("{of}: {value:?}"),
            Err(error) => {
                self.error(&error);
                error
            }
        }
    }

    /// The names of all errors that were heard.
    pub(crate) fn errors(&self) -> &BTreeSet<String> {
        &self.errors
    }

    /// How many texts were heard.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The texts that hold the canary.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let search = Search::new();
        let found = self.texts.iter().filter(|(text, _)| search.finds(text));
        found.map(|(text, of)| format!("{of}: {text}")).collect()
    }
}

/// `Invalid::Kind::Empty`, told from how the error prints itself.
fn name(error: &Error) -> String {
    let debug = format!("{error:?}");
    let mut words = debug.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default().to_owned();
    let first = next();
    match first.as_str() {
        "Conflict" => format!("Conflict::{}", [next(), next(), next()][2]),
        "Denied" | "Indeterminate" | "Sealed" => first,
        _ => match next() {
            second if second == "Kind" => format!("{first}::Kind::{}", next()),
            second => format!("{first}::{second}"),
        },
    }
}
