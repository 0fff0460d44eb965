//! Cipher crates wipe their keys: the feature is on in what is really built.

use super::{Fault, fault};

/// Prints each package of the published crates once, with the features that it is built with.
pub(super) const TREE: [&str; 9] = [
    "tree",
    "--workspace",
    "--edges",
    "normal",
    "--no-dedupe",
    "--prefix",
    "none",
    "--format",
    "{p} | {f}",
];

/// Crates that hold keys or plaintext, and wipe them where their feature `zeroize` is on.
const WIPING: [&str; 12] = [
    "aes",
    "aes-gcm",
    "argon2",
    "chacha20",
    "chacha20poly1305",
    "ed25519-dalek",
    "ghash",
    "hmac",
    "poly1305",
    "polyval",
    "sha2",
    "digest",
];
const FEATURE: &str = "zeroize";

pub(super) fn check(tree: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in WIPING {
        let builds = tree.lines().filter_map(|line| {
            let (package, features) = line.split_once(" | ")?;
            (package.split(' ').next() == Some(name)).then_some((package, features))
        });
        for (package, features) in builds {
            if !features.split(',').any(|on| on.trim() == FEATURE) {
                faults.push(fault(package, format!("built without its feature `{FEATURE}`")));
            }
        }
    }
    faults.sort_by(|one, other| one.0.cmp(&other.0));
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_is_right() {
        assert_eq!(check("aes-gcm v0.11.1 | aes,alloc,zeroize\nserde v1.0.0 | std"), []);
    }

    #[test]
    fn off_is_wrong_and_said_once() {
        let tree = "aes-gcm v0.11.1 | aes,alloc\naes-gcm v0.11.1 | aes,alloc\n";
        assert_eq!(check(tree).len(), 1);
        assert_eq!(check("argon2 v0.6.0 | \n").len(), 1);
    }
}
