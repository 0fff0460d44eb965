//! Every rollback and drop is named, by `verify` or at open; who did nothing is not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(unreachable_pub, reason = "the generator is shared by several programs")]

#[path = "rollback/mod.rs"]
mod rollback;

use rollback::set_back;

#[test]
fn what_is_set_back_is_named() {
    let tally = set_back(200, 1);
    assert_eq!(tally.faults, []);
    let (cases, named, at_open) = tally.sum();
    assert_eq!(cases, named);
    assert!(at_open > 40, "{:?}", tally.by_kind);
    assert!(tally.by_kind.len() >= 10, "{:?}", tally.by_kind);
    assert!(tally.controls >= 40);
    println!("CASES {cases}");
}
