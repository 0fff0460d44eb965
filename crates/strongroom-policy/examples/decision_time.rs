//! Prints what a decision costs at 1,000 rules (the median of batches), and what loading
//! 10,000 rules with 100,000 paths costs.
//!
//! `cargo run --release -p strongroom-policy --example decision_time`

#![expect(clippy::print_stdout, reason = "this program is about what it prints")]
#![expect(clippy::disallowed_methods, reason = "measuring needs the machine's own clock")]

use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use strongroom_core::{AccessRequest, ActionName, PolicyEngine, Principal, SecretPath, Timestamp};
use strongroom_policy::Policy;

const RULES: usize = 1_000;
const BATCHES: usize = 201;
const DECISIONS: u32 = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    for n in 0..RULES {
        let effect = if n % 10 == 9 { "deny" } else { "allow" };
        write!(
            text,
            "[[rule]]\nid = \"r{n}\"\neffect = \"{effect}\"\n\
             principals = [\"service:s{n}\", \"user:*\"]\nactions = [\"read\", \"write\"]\n\
             paths = [\"prod/team-{n}/**\", \"prod/*/shared-{n}\", \"stage/db-{n}*/key\"]\n"
        )?;
    }
    let policy = Policy::from_toml(&text)?;
    let mut everywhere = String::new();
    for n in 0..RULES {
        write!(
            everywhere,
            "[[rule]]\nid = \"r{n}\"\neffect = \"allow\"\nprincipals = [\"service:s{n}\"]\n\
             actions = [\"read\"]\npaths = [\"**\"]\n"
        )?;
    }
    let everywhere = Policy::from_toml(&everywhere)?;

    let user = Principal::user("alice");
    for (what, policy, who, path) in [
        (
            "one rule concerns the principal",
            &policy,
            Principal::service("s500"),
            "prod/team-500/db",
        ),
        ("every rule concerns the principal", &policy, user.clone(), "prod/team-500/db"),
        ("a path of six segments", &policy, user.clone(), "prod/team-500/a/b/c/db"),
        ("no rule matches", &policy, user, "prod/nobody/a/db"),
        ("every rule has the path", &everywhere, Principal::service("s999"), "prod/a/db"),
    ] {
        let path: SecretPath = path.parse()?;
        let request = AccessRequest::new(who.clone(), ActionName::Read, path, Timestamp::default());
        let subject = policy.subject(&who);
        let mut batches: Vec<_> = (0..BATCHES)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..DECISIONS {
                    drop(black_box(policy.evaluate_for(black_box(&subject), black_box(&request))));
                }
                start.elapsed() / DECISIONS
            })
            .collect();
        batches.sort_unstable();
        let median = batches.get(BATCHES / 2).copied().unwrap_or_default();
        println!("{what}: {} ns a decision", median.as_nanos());
    }
    let mut large = String::new();
    for n in 0..10_000 {
        let paths: Vec<_> = (0..10).map(|m| format!("\"prod/team-{n}/entry-{m}/**\"")).collect();
        write!(
            large,
            "[[rule]]\nid = \"r{n}\"\neffect = \"allow\"\nprincipals = [\"user:*\"]\n\
             actions = [\"read\"]\npaths = [{}]\n",
            paths.join(", ")
        )?;
    }
    let start = Instant::now();
    let rules = Policy::from_toml(&large)?.rules().len();
    println!("{rules} rules with 100000 paths: loaded in {} ms", start.elapsed().as_millis());
    Ok(())
}
