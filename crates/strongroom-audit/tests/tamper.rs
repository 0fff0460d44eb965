//! Logs of many sizes, tampered with in many ways: what is found, and what nothing can tell.
//! `cargo xtask campaign tamper` makes more of them, and longer ones.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests fail by panicking"
)]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]
#![expect(dead_code, reason = "the helpers are shared by several test programs")]

mod common;
mod tampering;

use strongroom_audit::{Line, read_line};
use tampering::store::End;
use tampering::{Dice, KINDS, Shape, Store, tamper_and_verify};

#[test]
fn whatever_is_done_to_a_log_that_is_held_together_is_found_where_it_was_done() {
    let scratch = tempfile::tempdir().unwrap();
    let tally = tamper_and_verify(600, 1, Shape { logs: 4, requests: 1_600 }, scratch.path());
    for (kind, (cases, found)) in &tally.by_kind {
        println!("{cases:5} {found:5} {kind}");
    }
    assert!(tally.faults.is_empty(), "{:#?}", tally.faults);
    assert_eq!(tally.by_kind.len(), KINDS.len(), "a kind was never tried");
    println!("CASES {}", tally.cases());
}

#[test]
fn what_nothing_holds_together_is_told_in_security_md() {
    // The tail of a log that its own writer ended: only something outside of it could tell.
    let scratch = tempfile::tempdir().unwrap();
    let ended = |store: &Store| store.logs.last().unwrap().end == End::Closed;
    let mut stores =
        (1..).map(|seed| Store::honest(&mut Dice::new(seed), Shape { logs: 4, requests: 16 }));
    let mut store = stores.find(ended).unwrap();
    let lines = &mut store.logs.last_mut().unwrap().lines;
    lines.pop();
    while matches!(read_line(lines.last().unwrap()), Ok(Line::Decision(_))) {
        lines.pop();
    }
    assert!(!store.verify(scratch.path()).accuses());
}
