//! Which crate may use which: only from the floors below its own.

use serde_json::Value;

use super::{Fault, fault};
use crate::cargo::{array, text};

const TESTKIT: &str = "strongroom-testkit";

/// The floor of a crate of this repository; `None` for one that the house has no place for.
///
/// ARCHITECTURE.md shows the same table.
fn floor(name: &str) -> Option<u8> {
    Some(match name {
        "strongroom-core" => 0,
        "strongroom-crypto"
        | "strongroom-policy"
        | "strongroom-audit"
        | "strongroom-config"
        | "strongroom-identity" => 1,
        "strongroom-engine" => 2,
        TESTKIT | "strongroom-rotation" | "strongroom-inject" => 3,
        "strongroom" => 4,
        "strongroom-cli" => 5,
        _ if name.starts_with("strongroom-storage-") || name.starts_with("strongroom-rotator-") => {
            1
        }
        _ if name.starts_with("strongroom-seal-") || name.starts_with("strongroom-policy-") => 2,
        _ if name.starts_with("strongroom-store-") => 3,
        _ => return None,
    })
}

/// What the engine composes it knows only by trait: of the first floor it uses these.
const ENGINE_USES: [&str; 3] = ["strongroom-core", "strongroom-crypto", "strongroom-audit"];

/// Packages around the crates: they may use any crate and no crate uses them.
const AROUND: [&str; 6] = ["xtask", "examples", "benches", "rivals", "compile-fail", "model"];

pub(super) fn check(metadata: &Value) -> Vec<Fault> {
    let packages: Vec<&Value> = array(metadata, "packages").collect();
    let ours = |name: &str| packages.iter().any(|package| text(package, "name") == name);
    let mut faults = Vec::new();
    for package in &packages {
        let name = text(package, "name");
        let manifest = text(package, "manifest_path");
        if !manifest.contains("/crates/") {
            let known = AROUND.contains(&name.strip_prefix("strongroom-").unwrap_or(name));
            if !known {
                faults.push(fault(name, "is no crate and none of the packages around them"));
            }
            continue;
        }
        if !manifest.ends_with(&format!("/crates/{name}/Cargo.toml")) {
            faults.push(fault(name, "its folder has another name"));
        }
        let Some(own) = floor(name) else {
            faults.push(fault(name, "has no floor: give it one in xtask/src/tidy/arrows.rs"));
            continue;
        };
        for used in array(package, "dependencies").filter(|used| ours(text(used, "name"))) {
            let target = text(used, "name");
            let arrow = format!("{name} -> {target}");
            if text(used, "kind") == "dev" {
                if target != TESTKIT && floor(target).is_none_or(|below| below >= own) {
                    faults.push(fault(&arrow, "a dev-dependency upwards that is not the testkit"));
                }
                if target == TESTKIT && text(used, "req") != "*" {
                    faults.push(fault(&arrow, "tests use the testkit by path alone, unversioned"));
                }
            } else if floor(target).is_none_or(|below| below >= own) {
                faults.push(fault(&arrow, "a crate uses only crates on floors below its own"));
            } else if name == "strongroom-engine" && !ENGINE_USES.contains(&target) {
                faults.push(fault(&arrow, "the engine names no backend, sink or policy language"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, uses: &[(&str, &str, &str)]) -> Value {
        let dependencies: Vec<Value> = uses
            .iter()
            .map(|(name, kind, req)| {
                let kind = if kind.is_empty() { Value::Null } else { json!(kind) };
                json!({ "name": name, "kind": kind, "req": req })
            })
            .collect();
        let manifest = format!("/home/r/crates/{name}/Cargo.toml");
        json!({ "name": name, "manifest_path": manifest, "dependencies": dependencies })
    }

    fn house(uses: &[(&str, &str, &str)], of: &str) -> Vec<Fault> {
        let names = [
            "strongroom-core",
            "strongroom-crypto",
            "strongroom-policy",
            "strongroom-storage-sqlite",
            "strongroom-engine",
            TESTKIT,
        ];
        let packages: Vec<Value> =
            names.iter().map(|name| package(name, if *name == of { uses } else { &[] })).collect();
        check(&json!({ "packages": packages }))
    }

    #[test]
    fn downwards_is_right() {
        assert_eq!(house(&[("strongroom-core", "", "^0.1")], "strongroom-crypto"), []);
        assert_eq!(house(&[("strongroom-crypto", "", "^0.1")], "strongroom-engine"), []);
        assert_eq!(house(&[(TESTKIT, "dev", "*")], "strongroom-crypto"), []);
        assert_eq!(house(&[("serde", "", "^1")], "strongroom-core"), []);
    }

    #[test]
    fn sideways_and_upwards_are_wrong() {
        assert_eq!(house(&[("strongroom-policy", "", "^0.1")], "strongroom-crypto").len(), 1);
        assert_eq!(house(&[("strongroom-engine", "", "^0.1")], "strongroom-crypto").len(), 1);
        assert_eq!(house(&[("strongroom-engine", "build", "^0.1")], "strongroom-crypto").len(), 1);
        assert_eq!(house(&[("strongroom-engine", "dev", "^0.1")], "strongroom-crypto").len(), 1);
        assert_eq!(house(&[(TESTKIT, "dev", "^0.1")], "strongroom-crypto").len(), 1);
    }

    #[test]
    fn the_engine_names_no_backend() {
        assert_eq!(
            house(&[("strongroom-storage-sqlite", "", "^0.1")], "strongroom-engine").len(),
            1
        );
        assert_eq!(house(&[("strongroom-policy", "", "^0.1")], "strongroom-engine").len(), 1);
    }

    #[test]
    fn strangers_and_moved_crates_are_wrong() {
        let stranger = package("strongroom-odd", &[]);
        assert_eq!(check(&json!({ "packages": [stranger] })).len(), 1);
        let moved =
            json!({ "name": "strongroom-core", "manifest_path": "/r/crates/core/Cargo.toml" });
        assert_eq!(check(&json!({ "packages": [moved] })).len(), 1);
        let around = json!({ "name": "xtask", "manifest_path": "/r/xtask/Cargo.toml" });
        assert_eq!(check(&json!({ "packages": [around] })), []);
    }
}
