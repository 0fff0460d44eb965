//! Checks of what the compiler does not check. Each is a function over text, so that its own tests
//! can hold a bad text against it.

mod arrows;
mod cases;
mod exposure;
mod features;
mod shape;
mod shown;
mod sources;
mod time;
mod twins;

use sources::Source;

use crate::{Outcome, cargo};

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Fault(String);

fn fault(place: impl std::fmt::Display, problem: impl std::fmt::Display) -> Fault {
    Fault(format!("{place}: {problem}"))
}

/// Runs all checks and prints what they found.
pub(crate) fn run() -> Outcome {
    let root = cargo::root();
    let metadata = cargo::metadata(&["--no-deps"])?;
    let tree = cargo::output(cargo::cargo().args(features::TREE), "cargo tree")?;
    let all = sources::read(&root)?;
    let library: Vec<&Source> = all.iter().filter(|source| source.is_library()).collect();
    let document = |name: &str| {
        std::fs::read_to_string(root.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let contributing = document("CONTRIBUTING.md")?;
    let mut unshown = Vec::new();
    for name in shown::DOCUMENTS {
        unshown.extend(shown::check(&root, name, &document(name)?, &all));
    }

    let checks = [
        ("arrows between crates", arrows::check(&metadata)),
        ("clock and randomness behind their traits", each(&library, time::check)),
        ("a reason at every exposure", each(&library, exposure::check)),
        ("wiping features of the cipher crates", features::check(&tree)),
        ("blocking twins", twins::check(&library)),
        ("sizes and words of source files", each(&library, shape::check_source)),
        ("front doors of crates", shape::check_crates(&root, &metadata)),
        ("nothing from outside the repository", shape::check_alone(&all, &contributing)),
        ("what documents call shown is there", unshown),
        ("field cases have their tests", cases::check(&contributing, &all)),
    ];
    let mut faults = 0;
    for (name, found) in &checks {
        println!("{:6} {name}", if found.is_empty() { "ok" } else { "FAULT" });
        for Fault(what) in found {
            println!("       {what}");
        }
        faults += found.len();
    }
    println!("tidy: {} checks, {faults} faults", checks.len());
    Ok(faults == 0)
}

fn each(sources: &[&Source], check: fn(&Source) -> Vec<Fault>) -> Vec<Fault> {
    sources.iter().flat_map(|source| check(source)).collect()
}
