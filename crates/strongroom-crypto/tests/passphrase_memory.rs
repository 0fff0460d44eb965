//! FC-127: a passphrase under a limit on memory. Each case runs in a child process whose address
//! space `ulimit -v` bounds: it says what happened on its output, and silence is a failure.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Command;
use std::sync::Barrier;

use strongroom_core::{
    Entropy, EntropyError, KeyContext, Seal, SealError, SealId, SecretValue, StoreId, WrappedKey,
};
use strongroom_crypto::{Argon2Cost, Passphrase};

const CHILD: &str = "STRONGROOM_MEMORY_CHILD";
const MIB: usize = 1024 * 1024;
/// Two derivations fit below it beside the process itself; three do not.
const LIMIT: usize = 140;
const COST: u32 = 48;

#[derive(Debug)]
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(7);
        Ok(())
    }
}

fn context() -> KeyContext<'static> {
    let (store, seal) = (StoreId::from_bytes([3; 16]), SealId::from_bytes([1; 8]));
    KeyContext { store, seal, entropy: &Fixed }
}

fn root() -> SecretValue {
    SecretValue::copied_from(&[9; 32])
}

fn wrap(mib: u32) -> Result<WrappedKey, SealError> {
    let seal = Passphrase::new("p").with_cost(Argon2Cost::new(mib, 2, 1).unwrap());
    futures_executor::block_on(seal.wrap_key(&root(), &context()))
}

/// Runs the test of that name again, under the limit, as a child that knows that it is one.
fn limited(test: &str) -> String {
    let script = format!("ulimit -v {} && exec \"$0\" \"$@\"", LIMIT * 1024);
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        // Arenas reserve address space for each thread, which is not what is measured here.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}{complained}", output.status);
    said
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What this process cannot have: the limit is in force.
fn reservable(mib: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(mib * MIB).is_ok()
}

#[test]
fn fc_127_memory_that_is_not_to_be_had_is_a_typed_error() {
    if !is_child() {
        let said = limited("fc_127_memory_that_is_not_to_be_had_is_a_typed_error");
        assert!(said.contains("REFUSED AND WENT ON"), "{said}");
        return;
    }
    assert!(!reservable(LIMIT), "the limit is not in force");
    let error = wrap(512).unwrap_err();
    assert!(matches!(error, SealError::Unavailable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("needs 512 MiB") && text.contains("raise the memory limit"), "{text}");
    // The process lives, and what fits still works.
    assert!(wrap(19).is_ok());
    println!("REFUSED AND WENT ON");
}

#[test]
fn fc_127_of_twenty_derivations_at_once_two_run_at_a_time_and_all_succeed() {
    if !is_child() {
        let test = "fc_127_of_twenty_derivations_at_once_two_run_at_a_time_and_all_succeed";
        let said = limited(test);
        assert!(said.contains("ALL 20 OPENED"), "{said}");
        return;
    }
    let cost = usize::try_from(COST).unwrap();
    assert!(reservable(2 * cost), "two at a time do not fit: this shows nothing");
    assert!(!reservable(3 * cost), "three at a time would fit: this shows nothing");
    let made = wrap(COST).unwrap();
    let begin = Barrier::new(20);
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..20)
            .map(|_| {
                let opener = std::thread::Builder::new().stack_size(256 * 1024);
                let open = || {
                    begin.wait();
                    let seal = Passphrase::new("p");
                    futures_executor::block_on(seal.unwrap_key(&made, &context()))
                };
                opener.spawn_scoped(scope, open).unwrap()
            })
            .collect();
        for opener in openers {
            assert!(opener.join().unwrap().unwrap().ct_eq(&root()));
        }
    });
    println!("ALL 20 OPENED");
}

#[test]
fn fc_127_a_stated_limit_is_told_with_the_amount_and_what_to_do() {
    let made = wrap(64).unwrap();
    let seal = Passphrase::new("p").with_memory_limit(48);
    let error = futures_executor::block_on(seal.unwrap_key(&made, &context())).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SealError::Unavailable { .. }), "{text}");
    assert!(text.contains("needs 64 MiB, allowed 48: raise the limit"), "{text}");
}

#[test]
fn a_passphrase_with_two_faults_is_told_of_both() {
    let made = wrap(19).unwrap();
    for (text, line_end, ascii) in [
        ("q", false, true),
        ("q\n", true, true),
        ("\u{fc}", false, false),
        ("\u{fc}\n", true, false),
    ] {
        match futures_executor::block_on(Passphrase::new(text).unwrap_key(&made, &context())) {
            Err(SealError::NotMine { hint }) => {
                assert_eq!(hint.contains("line break"), line_end, "{hint}");
                assert_eq!(!hint.contains("outside ASCII"), ascii, "{hint}");
            }
            other => panic!("{other:?}"),
        }
    }
}
