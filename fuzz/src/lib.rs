//! The bodies of the fuzz targets. Each takes any bytes, never panics on a correct build, and
//! asserts what must hold of whatever the code under it accepts.
//!
//! ```
//! strongroom_fuzz::path(b"prod/billing/db");
//! ```

mod audit;
mod core;
mod crypto;
mod policy;
mod tlog;
mod witness;

pub use audit::audit_line;
pub use core::{fields, metadata, path, reference, timestamp};
pub use crypto::{auditor_key, passphrase_reader, record, store_records};
pub use policy::{policy_json, policy_toml, policy_yaml};
pub use tlog::{note, tlog_proof};
pub use witness::{cosigned_note, witness_key};

/// A target: the name of its corpus folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("path", path),
    ("reference", reference),
    ("timestamp", timestamp),
    ("metadata", metadata),
    ("fields", fields),
    ("audit_line", audit_line),
    ("auditor_key", auditor_key),
    ("note", note),
    ("tlog_proof", tlog_proof),
    ("cosigned_note", cosigned_note),
    ("witness_key", witness_key),
    ("policy_toml", policy_toml),
    ("policy_json", policy_json),
    ("policy_yaml", policy_yaml),
    ("store_records", store_records),
    ("record", record),
    ("passphrase_reader", passphrase_reader),
];

/// The committed inputs of a target, by file name.
///
/// # Errors
/// Where the folder cannot be read.
pub fn corpus(target: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, std::fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_its_committed_corpus() {
        for (name, body) in TARGETS {
            let inputs = corpus(name).unwrap_or_else(|error| panic!("corpus/{name}: {error}"));
            assert!(inputs.len() >= 5, "corpus/{name} has only {} inputs", inputs.len());
            for (input, data) in inputs {
                let taken = std::panic::catch_unwind(|| body(&data));
                assert!(taken.is_ok(), "corpus/{name}/{input}");
            }
        }
    }

    #[test]
    fn every_target_takes_nothing_and_every_byte() {
        for (_, body) in TARGETS {
            body(b"");
            (0..=u8::MAX).for_each(|byte| body(&[byte]));
        }
    }

    #[test]
    fn every_corpus_has_a_target() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for entry in std::fs::read_dir(folder).expect("corpus/ is there") {
            let name = entry.expect("corpus/ can be read").file_name();
            assert!(TARGETS.iter().any(|(target, _)| name == *target), "{name:?} has no target");
        }
    }
}
