//! The small histories say what the plain ones say.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use strongroom_core::{Digest, Key, LogId, Outcome, Receipt};

use super::history::{Histories, Intent, Told};
use super::history_model as model;

/// An intent, and what is told of it.
#[derive(Debug, Clone)]
struct Write {
    key: u8,
    seq: u64,
    /// Of several records with that number, which is replaced and which is written.
    prev: u8,
    next: u8,
    log: u8,
    outcome: Option<Outcome>,
    /// How much later than the intent the outcome is fed.
    delay: usize,
    erases: bool,
}

fn digest(key: u8, seq: u64, which: u8) -> Digest {
    let mut bytes = [0; 32];
    bytes[0] = key;
    bytes[1..3].copy_from_slice(&u16::try_from(seq).unwrap().to_be_bytes());
    bytes[3] = which;
    Digest::from_bytes(bytes)
}

fn key(key: u8) -> Key {
    // The first is the keyring.
    Key::new(if key == 0 { vec![1] } else { vec![3, key, key] })
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let outcome = prop_oneof![
        12 => Just(Some(Outcome::Done)),
        3 => Just(Some(Outcome::Lost)),
        1 => Just(Some(Outcome::Unknown)),
        2 => Just(None),
    ];
    // Mostly one history: others are the exception that must be found.
    let which = || prop_oneof![15 => Just(0_u8), 1 => 1..3_u8];
    let write =
        (0..3_u8, which(), which(), 0..3_u8, outcome, 0..6_usize, prop::bool::weighted(0.02));
    prop::collection::vec(write, 1..60).prop_map(|drawn| {
        let mut seqs = HashMap::new();
        let mut writes = Vec::new();
        for (key, prev, next, log, outcome, delay, erases) in drawn {
            let seq = seqs.entry(key).or_insert(0_u64);
            // What took effect counts on; what did not is tried again at its number. Nobody loses
            // a race for the keyring.
            let outcome =
                if key == 0 { outcome.filter(|told| *told != Outcome::Lost) } else { outcome };
            let number = *seq + 1;
            if outcome == Some(Outcome::Done) {
                *seq += 1;
            }
            // The same record is never written twice.
            let next = if outcome == Some(Outcome::Done) { next } else { next + 100 + log };
            writes.push(Write { key, seq: number, prev, next, log, outcome, delay, erases });
        }
        writes
    })
}

/// What is fed: an intent, or its outcome.
#[derive(Debug, Clone, Copy)]
enum Event {
    Intent(usize),
    Outcome(usize),
}

/// The lines of each log in order, one log after the other or mixed.
fn events(writes: &[Write], mixed: bool) -> Vec<Event> {
    let mut timed: Vec<(usize, usize, Event)> = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        let log = if mixed { 0 } else { usize::from(write.log) };
        timed.push((log, at * 10, Event::Intent(at)));
        if write.outcome.is_some() {
            timed.push((log, at * 10 + 5 + write.delay * 10, Event::Outcome(at)));
        }
    }
    timed.sort_by_key(|(log, time, _)| (*log, *time));
    timed.into_iter().map(|(_, _, event)| event).collect()
}

fn receipt(writes: &[Write], at: usize) -> Receipt {
    Receipt { log: LogId::from_bytes([writes[at].log; 8]), index: at as u64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn small_histories_say_what_plain_ones_say(
        writes in writes(),
        mixed in any::<bool>(),
        late_from in 0.0..2.0_f64,
        backwards in any::<bool>(),
    ) {
        let mut events = events(&writes, mixed);
        if backwards {
            // Whole logs may come in any order; that of an outcome before its intent, too.
            events.reverse();
        }
        let late_from = share(late_from, events.len());

        let (mut small, mut plain) = (Histories::default(), model::Histories::default());
        let mut outcomes = HashMap::new();
        for (place, event) in events.into_iter().enumerate() {
            let late = place >= late_from;
            match event {
                Event::Intent(at) => {
                    let write = &writes[at];
                    let (seq, receipt) = (write.seq, receipt(&writes, at));
                    let prev = digest(write.key, seq - 1, write.prev);
                    let next = digest(write.key, seq, write.next);
                    let erases = if write.erases { vec![vec![3, 2]] } else { Vec::new() };
                    let intent = Intent { receipt, seq, prev, next, late };
                    small.push(key(write.key).as_bytes(), intent, receipt.log, &erases);
                    let intent = model::Intent { receipt, seq, prev, next, late, outcome: None };
                    plain.push(key(write.key), intent, &erases);
                }
                Event::Outcome(at) => {
                    let outcome = writes[at].outcome.unwrap();
                    small.tell(receipt(&writes, at), Told { outcome, late });
                    outcomes.insert(receipt(&writes, at), (outcome, late));
                }
            }
        }
        small.end();
        plain.resolve(&outcomes);

        let forked: BTreeSet<&Key> = small.forks().into_iter().map(|(key, _)| key).collect();
        prop_assert_eq!(&forked, &plain.forked());
        let mut last: Vec<_> = small.last_done().map(|(key, last)| (key, last.seq)).collect();
        let mut plain_last: Vec<_> = plain.last_done().map(|(key, last)| (key, last.seq)).collect();
        last.sort_unstable();
        plain_last.sort_unstable();
        prop_assert_eq!(last, plain_last);
        // Of two histories, the fork is told; what else is said is a matter of words.
        for of in (0..3).filter(|of| !forked.contains(&key(*of))) {
            let key = key(of);
            prop_assert_eq!(small.is_erased(&key), plain.is_erased(&key));
            if plain.is_erased(&key) {
                continue;
            }
            for (seq, which) in (0..62).flat_map(|seq| [0, 1, 2, 100, 101, 102].map(|w| (seq, w))) {
                for gap in [false, true] {
                    let digest = digest(of, seq, which);
                    let said = small.judge(&key, digest, gap).map(|finding| finding.verdict);
                    let plainly = plain.judge(&key, digest, gap).map(|finding| finding.verdict);
                    prop_assert_eq!(said, plainly, "{} {} {}", of, seq, which);
                }
            }
        }
    }

    /// What lines told that are gone, a snapshot tells again.
    #[test]
    fn histories_of_which_a_part_is_told_again_say_the_same(
        writes in writes(),
        mixed in any::<bool>(),
        cut in 0.0..1.0_f64,
        late_from in 0.0..2.0_f64,
    ) {
        let events = events(&writes, mixed);
        let (cut, late_from) = (share(cut, events.len()), share(late_from, events.len()));
        let (mut whole, mut gone, mut rest) =
            (Histories::default(), Histories::default(), Histories::default());
        for (place, event) in events.into_iter().enumerate() {
            let late = place >= late_from.max(cut);
            feed(&mut whole, &writes, event, late);
            feed(if place < cut { &mut gone } else { &mut rest }, &writes, event, late);
        }
        let (mut told, at) = (Histories::default(), Receipt { log: LogId::from_bytes([9; 8]), index: 0 });
        // Two histories are evidence, which stays.
        if gone.tell_again(&mut |line| told.keep(at, &line)).is_err() {
            return Ok(());
        }
        rest.absorb(told);
        whole.end();
        rest.end();

        let said = |histories: &Histories| {
            let mut last: Vec<_> =
                histories.last_done().map(|(key, last)| (key.clone(), last.seq, last.receipt)).collect();
            last.retain(|(key, ..)| !histories.is_erased(key));
            last.sort_unstable();
            let forked: BTreeSet<&Key> = histories.forks().into_iter().map(|(key, _)| key).collect();
            let mut said = vec![format!("{last:?} {forked:?}")];
            for key in (0..3).map(key) {
                said.push(format!("{key} {}", histories.is_erased(&key)));
            }
            // Of two histories, the fork is told; what else is said is a matter of words.
            let is_judged = |of: &u8| {
                !histories.is_erased(&key(*of)) && !forked.contains(&key(*of))
            };
            for of in (0..3).filter(is_judged) {
                for (seq, which) in (0..62).flat_map(|seq| [0, 1, 2, 100, 101, 102].map(|w| (seq, w))) {
                    let digest = digest(of, seq, which);
                    let found = histories.judge(&key(of), digest, false);
                    said.push(format!("{of} {seq} {which}: {found:?}"));
                }
            }
            said
        };
        prop_assert_eq!(said(&whole), said(&rest));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a short list"
)]
fn share(of: f64, length: usize) -> usize {
    (of * length as f64) as usize
}

fn feed(histories: &mut Histories, writes: &[Write], event: Event, late: bool) {
    match event {
        Event::Intent(at) => {
            let write = &writes[at];
            let (seq, receipt) = (write.seq, receipt(writes, at));
            let prev = digest(write.key, seq - 1, write.prev);
            let next = digest(write.key, seq, write.next);
            let erases = if write.erases { vec![vec![3, 2]] } else { Vec::new() };
            let intent = Intent { receipt, seq, prev, next, late };
            histories.push(key(write.key).as_bytes(), intent, receipt.log, &erases);
        }
        Event::Outcome(at) => {
            let outcome = writes[at].outcome.unwrap();
            histories.tell(receipt(writes, at), Told { outcome, late });
        }
    }
}
