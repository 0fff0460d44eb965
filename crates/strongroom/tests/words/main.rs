//! No secret leaks in words. A canary lies in every kind of secret, in a passphrase and in the
//! message of a policy that panics; it is searched for in all that the library can be made to say:
//! each error with its whole chain of sources, each `Debug`, each audit line, each panic. And what
//! a refused caller is told, what storage is asked and what is recorded is the same for a secret
//! that exists and for one that does not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod alike;
mod canary;
mod faults;
mod heard;
mod kinds;
mod parts;
mod provoke;

use futures_executor::block_on;
use heard::Heard;
use kinds::{Canaried as _, EVERY_KIND, Raw};

/// The errors that can be provoked from outside. What else there is holds only lengths, numbers
/// and texts of the library's own: `Tampered::Content` needs a forger who has the keys.
const PROVOKED: [&str; 42] = [
    "Conflict::Deleted",
    "Conflict::Exists",
    "Conflict::Held",
    "Conflict::Namespace",
    "Conflict::Store",
    "Conflict::Version",
    "Denied",
    "Indeterminate",
    "Invalid::DirectoryInUse",
    "Invalid::ExpectationRequired",
    "Invalid::HeadTooLarge",
    "Invalid::Kind::Empty",
    "Invalid::Kind::Identifiers",
    "Invalid::Kind::NotText",
    "Invalid::Kind::OtherKind",
    "Invalid::Kind::Part",
    "Invalid::Metadata",
    "Invalid::OtherStore",
    "Invalid::Path",
    "Invalid::Request",
    "Invalid::State",
    "Invalid::TooLarge",
    "NotFound::Deleted",
    "NotFound::Destroyed",
    "NotFound::Disabled",
    "NotFound::Expired",
    "NotFound::Namespace",
    "NotFound::Secret",
    "NotFound::Stage",
    "NotFound::Store",
    "NotFound::Version",
    "Sealed",
    "Tampered::Incomplete",
    "Tampered::Keyring",
    "Tampered::KeyringRolledBack",
    "Tampered::Record",
    "Unavailable::Audit",
    "Unavailable::Entropy",
    "Unavailable::Policy",
    "Unavailable::Seal",
    "Unavailable::StalePermit",
    "Unavailable::Storage",
];

/// So many canaries do not fit into a head.
const BLOBS: usize = 300;

#[test]
fn no_error_no_debug_no_log_and_no_panic_holds_a_secret() {
    let mut heard = Heard::default();
    for provoke in EVERY_KIND {
        // In the head, and in blobs of its own.
        provoke(&mut heard, 1);
        provoke(&mut heard, BLOBS);
    }
    block_on(faults::of_forms(&mut heard));
    block_on(faults::of_states(&mut heard));
    block_on(faults::of_stores(&mut heard));
    faults::of_files(&mut heard);
    faults::of_passphrases(&mut heard);
    faults::of_panics(&mut heard);

    let missing: Vec<&str> =
        PROVOKED.into_iter().filter(|name| !heard.errors().contains(*name)).collect();
    assert!(missing.is_empty(), "not provoked: {missing:?}; provoked: {:?}", heard.errors());
    let leaks = heard.leaks();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    println!("CASES {}", heard.count());
}

/// The search would find what it is searching for, in whatever form.
#[test]
fn a_planted_canary_is_found_in_every_form() {
    for (form, text) in canary::planted() {
        let mut heard = Heard::default();
        heard.text("planted", &format!("an error with {text} in it"));
        assert_eq!(heard.leaks().len(), 1, "{form}: {text}");
    }
    let mut heard = Heard::default();
    heard.text("clean", &format!("{:?} {:?}", Raw::with_canary(1), "Kanarie 7"));
    assert_eq!(heard.leaks(), [""; 0]);
}
