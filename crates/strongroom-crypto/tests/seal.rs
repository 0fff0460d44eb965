//! The passphrase keeps the contract of `Seal`, at the least cost that it takes.

use strongroom_crypto::{Argon2Cost, Passphrase};

fn seal(passphrase: &str) -> Passphrase {
    // The limit is what a host of little memory sets; edited parameters ask for more.
    Passphrase::new(passphrase).with_cost(Argon2Cost::LEAST).with_memory_limit(64)
}

strongroom_testkit::seal_suite!(|| seal("correct horse"), || seal("battery staple"));
