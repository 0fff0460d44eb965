//! A workspace of generated packages, in which the compiler is asked about all cases at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// From where a case does its mischief.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A program that uses the crates.
    Host,
    /// One more module among the engine's.
    Inside,
}

/// A program or module, and what the compiler should say about it.
#[derive(Debug)]
pub(super) struct Case {
    /// Also that of the target of cargo's that compiles a failing case.
    pub(super) name: String,
    /// The end of the file's path.
    pub(super) file: String,
    /// Lines and error codes; `none` is an error that has no code.
    pub(super) expected: BTreeSet<(usize, String)>,
    side: Side,
    path: PathBuf,
    text: String,
}

/// An error of the compiler's.
#[derive(Debug)]
#[expect(dead_code, reason = "the message is for whoever reads a failure")]
pub(super) struct Found {
    pub(super) target: String,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) code: String,
    message: String,
}

/// The cases in a folder. Those from inside the engine are called `within_…`, so that no two cases
/// have one name.
pub(super) fn read(folder: &str, side: Side) -> Vec<Case> {
    let folder = here().join("tests").join(folder);
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder of cases is there") {
        let path = entry.expect("the folder of cases is readable").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII");
        let stem = file.strip_suffix(".rs").expect("nothing but Rust lies among the cases");
        let name = match side {
            Side::Host => stem.to_owned(),
            Side::Inside => format!("within_{stem}"),
        };
        let text = fs::read_to_string(&path).expect("a case is readable");
        let file = format!("/{name}.rs");
        cases.push(Case { name, file, expected: expected(&text), side, path, text });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// `//~ E0599` at the end of a line: that error is expected there, and with `//~^ E0599` on the
/// line above. Several codes are several errors.
fn expected(text: &str) -> BTreeSet<(usize, String)> {
    let mut expected = BTreeSet::new();
    for (above, line) in text.lines().enumerate() {
        if let Some((_, codes)) = line.split_once("//~") {
            let (line, codes) = match codes.strip_prefix('^') {
                Some(codes) => (above, codes),
                None => (above + 1, codes),
            };
            expected.extend(codes.split_whitespace().map(|code| (line, code.to_owned())));
        }
    }
    expected
}

/// The generated packages: one of a host, with a program a case, and one of the engine, with a copy
/// of its sources and a crate root a case that has one module more.
///
/// They lie below the target folder and share it, with the workspace's own manifest and lock file
/// behind them: so what the workspace depends on is not compiled again.
pub(super) struct Workshop {
    dir: PathBuf,
}

impl Workshop {
    pub(super) fn set_up(fail: &[Case], pass: &[Case]) -> Self {
        let workshop = Self { dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-fail") };
        let root = here().parent().expect("the package lies in the workspace");
        workshop.write("Cargo.toml", &workspace_manifest(root));
        workshop.write("Cargo.lock", &text(&root.join("Cargo.lock")));
        workshop.set_up_host(&of(fail, Side::Host), &of(pass, Side::Host));
        workshop.set_up_inside(root, &of(fail, Side::Inside), &of(pass, Side::Inside));
        workshop
    }

    fn set_up_host(&self, fail: &[&Case], pass: &[&Case]) {
        let mut manifest = HOST.to_owned();
        for case in fail {
            add(&mut manifest, "bin", &case.name, &case.path.display().to_string());
        }
        add(&mut manifest, "bin", TWINS, "src/main.rs");
        self.write("host/Cargo.toml", &manifest);

        let (mut modules, mut calls) = (String::new(), String::new());
        for case in pass {
            let name = &case.name;
            assert!(case.text.contains("\nfn main() {"), "{name}: a twin is a program");
            let text = case.text.replacen("\nfn main() {", "\npub(crate) fn main() {", 1);
            self.write(&format!("host/src/{name}.rs"), &text);
            modules += &format!("mod {name};\n");
            calls += &format!("    {name}::main();\n");
        }
        self.write("host/src/main.rs", &format!("{modules}fn main() {{\n{calls}}}\n"));
    }

    fn set_up_inside(&self, root: &Path, fail: &[&Case], pass: &[&Case]) {
        let engine = root.join("crates/strongroom-engine");
        let manifest = text(&engine.join("Cargo.toml"));
        // Its tests, and what only they need, stay behind: the testkit brings the real engine.
        let (head, lints) =
            (between(&manifest, "[package]", "[lib]"), "[lints]\nworkspace = true\n");
        let dependencies = between(&manifest, "[dependencies]", "[dev-dependencies]");
        let mut manifest = head.replace("strongroom-engine", "inside");
        manifest += &format!("autolib = false\n\n{dependencies}{lints}");
        let sources = self.dir.join("inside/src");
        if sources.exists() {
            fs::remove_dir_all(&sources).expect("the old copy of the engine can be removed");
        }
        copy(&engine.join("src"), &sources);
        let lib = text(&engine.join("src/lib.rs"));
        for case in fail {
            let root = format!("{lib}\nmod {};\n", case.name);
            self.write(&format!("inside/src/root_{}.rs", case.name), &root);
            self.write(&format!("inside/src/{}.rs", case.name), &case.text);
            add_library(&mut manifest, &case.name);
        }
        let mut root = lib;
        for case in pass {
            root += &format!("mod twin_{};\n", case.name);
            self.write(&format!("inside/src/twin_{}.rs", case.name), &case.text);
        }
        self.write(&format!("inside/src/root_{TWINS}.rs"), &root);
        add_library(&mut manifest, TWINS);
        self.write("inside/Cargo.toml", &manifest);
    }

    /// Writes a file unless it is there as it should be, so that cargo sees no change.
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            return;
        }
        let folder = path.parent().expect("it lies in the folder of the packages");
        fs::create_dir_all(folder).expect("the target folder is writable");
        fs::write(&path, text).expect("the target folder is writable");
    }

    /// Every error in every target.
    pub(super) fn check(&self) -> Vec<Found> {
        let mut cargo = self.cargo("check");
        cargo.args(["--workspace", "--bins", "--examples", "--keep-going"]);
        let output = cargo.args(["--message-format", "json"]).output().expect("cargo runs");
        let report = String::from_utf8_lossy(&output.stdout);
        let lines = report.lines().filter_map(|line| serde_json::from_str(line).ok());
        let messages: Vec<Value> = lines.collect();
        let finished = messages.iter().any(|line| line["reason"] == "build-finished");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(finished, "cargo did not come to the end: {said}");
        messages.iter().filter_map(error).collect()
    }

    /// Runs the hosts' twins.
    pub(super) fn run_twins(&self) {
        let mut cargo = self.cargo("run");
        cargo.args(["--package", "host", "--bin", TWINS]);
        let output = cargo.output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn cargo(&self, command: &str) -> Command {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("`tmp` lies in it");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg(command).arg("--offline").arg("--target-dir").arg(target);
        cargo.current_dir(&self.dir).stdin(Stdio::null()).env_remove("RUSTFLAGS");
        cargo
    }
}

const TWINS: &str = "twins";
const HOST: &str = r#"[package]
name = "host"
version = "0.0.0"
edition.workspace = true
publish = false

[dependencies]
futures-executor.workspace = true
secrecy.workspace = true
serde.workspace = true
serde_json.workspace = true
strongroom-core.workspace = true
strongroom-engine.workspace = true
strongroom-testkit.workspace = true
"#;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn of(cases: &[Case], side: Side) -> Vec<&Case> {
    cases.iter().filter(|case| case.side == side).collect()
}

/// The workspace's manifest, for other members.
fn workspace_manifest(root: &Path) -> String {
    let manifest = text(&root.join("Cargo.toml"));
    let from = manifest.find("[workspace.package]").expect("the workspace has a package section");
    let shared = manifest.get(from..).unwrap_or_default();
    let crates = format!("path = \"{}/crates/", root.display());
    let shared = shared.replace("path = \"crates/", &crates);
    format!("[workspace]\nresolver = \"3\"\nmembers = [\"host\", \"inside\"]\n\n{shared}")
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no `{from}` in the engine's manifest"));
    let rest = text.get(start..).unwrap_or_default();
    rest.get(..rest.find(to).unwrap_or(rest.len())).unwrap_or_default()
}

fn add(manifest: &mut String, kind: &str, name: &str, path: &str) {
    *manifest += &format!("\n[[{kind}]]\nname = \"{name}\"\npath = \"{path}\"\n");
}

/// A package has one library, and as many examples that are libraries as it likes.
fn add_library(manifest: &mut String, name: &str) {
    add(manifest, "example", name, &format!("src/root_{name}.rs"));
    *manifest += "crate-type = [\"lib\"]\n";
}

/// Copies a folder with the files' times, by which cargo sees what changed.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target folder is writable");
    for entry in fs::read_dir(from).expect("the engine's sources are readable") {
        let path = entry.expect("the engine's sources are readable").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("the target folder is writable");
        }
    }
}

/// An error of the compiler's about a target, in one line of cargo's report.
fn error(line: &Value) -> Option<Found> {
    let message = line.get("message")?;
    if line["reason"] != "compiler-message" || message["level"] != "error" {
        return None;
    }
    // The last words, as in "aborting due to 2 previous errors", are about no place.
    let mut span = message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    // What a macro of another file made is the fault of who called it.
    while span["expansion"]["span"].is_object() {
        span = &span["expansion"]["span"];
    }
    let word = |value: &Value| value.as_str().map(str::to_owned);
    Some(Found {
        target: word(&line["target"]["name"])?,
        file: word(&span["file_name"])?,
        line: usize::try_from(span["line_start"].as_u64()?).ok()?,
        code: word(&message["code"]["code"]).unwrap_or_else(|| "none".to_owned()),
        message: word(&message["message"])?,
    })
}
