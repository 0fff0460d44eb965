//! What the async surface can do, the blocking one can, under the same names.

use std::collections::BTreeSet;

use super::sources::{Source, code};
use super::{Fault, fault};

const ENGINE: &str = "crates/strongroom-engine/src/";
const BLOCKING: &str = "crates/strongroom-engine/src/blocking";

pub(super) fn check(library: &[&Source]) -> Vec<Fault> {
    let engine = library.iter().filter(|source| source.path.starts_with(ENGINE));
    let (blocking, main): (Vec<&&Source>, Vec<&&Source>) =
        engine.partition(|source| source.path.starts_with(BLOCKING));
    let twins: BTreeSet<Method> =
        blocking.iter().flat_map(|source| methods(source, "pub fn ")).collect();
    let mut faults = Vec::new();
    for source in main {
        for method in methods(source, "pub async fn ") {
            if !twins.iter().any(|twin| twin.twins(&method)) {
                faults.push(fault(
                    source.at(method.line),
                    format!("`{}::{}` has no blocking twin", method.of, method.name),
                ));
            }
        }
    }
    faults
}

/// A method, and the type that it is of: `Permit<Read>`, `Session`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Method {
    of: String,
    name: String,
    line: usize,
}

impl Method {
    fn twins(&self, other: &Self) -> bool {
        self.name == other.name && base(&self.of) == base(&other.of)
    }
}

fn base(of: &str) -> &str {
    of.split('<').next().unwrap_or(of)
}

/// The methods that begin with `start`, in impls that are not of a trait.
fn methods(source: &Source, start: &str) -> Vec<Method> {
    let mut of = String::new();
    let mut found = Vec::new();
    for (line, text) in source.lines_before_tests() {
        let text = code(text);
        if text.starts_with("impl") && text.trim_end().ends_with('{') {
            of = if text.contains(" for ") { String::new() } else { implemented(text) };
        }
        if let Some(rest) = text.trim_start().strip_prefix(start)
            && !of.is_empty()
        {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(Method { of: of.clone(), name, line });
        }
        // The blocking twin lists the methods that only wait in one macro, all of them `Session`'s.
        if text.starts_with("waits! {") {
            of = "Session".to_owned();
        }
        if start == "pub fn "
            && let Some(rest) = text.strip_prefix("    fn ")
            && of == "Session"
        {
            let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(Method { of: of.clone(), name, line });
        }
        if text.starts_with('}') {
            of.clear();
        }
    }
    found
}

/// The type of `impl<A: Action> Permit<A> {`.
fn implemented(line: &str) -> String {
    let rest = line.trim_start_matches("impl");
    let mut depth = 0_i32;
    let type_start = if rest.starts_with('<') {
        rest.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        })
        .map_or(0, |at| at + 1)
    } else {
        0
    };
    let named = rest.get(type_start..).unwrap_or_default();
    named.split(" where ").next().unwrap_or(named).trim_end_matches(['{', ' ']).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "impl Session {\n    pub async fn get<K>(&self) {}\n    pub fn id(&self) {}\n}\n\
                        impl<A: Action> Permit<A> {\n    pub async fn read(self) {}\n}\n\
                        impl Storage for X {\n    pub async fn list() {}\n}\n";

    fn faults(blocking: &str) -> Vec<Fault> {
        let main = Source::new("crates/strongroom-engine/src/session.rs", MAIN);
        let twin = Source::new("crates/strongroom-engine/src/blocking.rs", blocking);
        check(&[&main, &twin])
    }

    #[test]
    fn twins_are_right() {
        let twins = "impl Session {\n    pub fn get<K>(&self) {}\n}\n\
                     impl Permit<Read> {\n    pub fn read(self) {}\n}\n";
        assert_eq!(faults(twins), []);
    }

    #[test]
    fn a_list_of_methods_that_only_wait_counts_for_sessions() {
        let read = "impl Permit<Read> {\n    pub fn read(self) {}\n}\n";
        assert!(faults(&format!("waits! {{\n    fn get<K>() -> K;\n}}\n{read}")).is_empty());
        assert_eq!(faults(&format!("waits! {{\n    fn other() -> ();\n}}\n{read}")).len(), 1);
    }

    #[test]
    fn a_missing_one_or_one_of_another_type_is_wrong() {
        assert_eq!(faults("impl Session {\n    pub fn get<K>(&self) {}\n}\n").len(), 1);
        let swapped = "impl Session {\n    pub fn read(&self) {}\n}\n\
                       impl Permit<Read> {\n    pub fn get(self) {}\n}\n";
        assert_eq!(faults(swapped).len(), 2);
        assert_eq!(faults("").len(), 2);
    }

    #[test]
    fn the_type_is_read_past_its_parameters() {
        assert_eq!(implemented("impl<A: Action<X>> Permit<A> {"), "Permit<A>");
        assert_eq!(implemented("impl Session {"), "Session");
        assert_eq!(implemented("impl<K> Versioned<K> where K: Kind {"), "Versioned<K>");
    }
}
