//! Decisions that share a write, and what becomes of them where it fails.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom_core::{DecisionRecord, Effect, Explanation, RequestContext, Target, Timestamp};

use super::tests::{Faulty, lines, log_on, record};
use super::*;
use crate::{Line, read_line};

/// A decision without names, with that number.
fn decision(number: u64) -> AuditRecord {
    AuditRecord::Decision(DecisionRecord {
        at: Timestamp::default(),
        principal: None,
        action: strongroom_core::ActionName::Read,
        target: Target::Store,
        effect: Effect::Allow,
        count: std::num::NonZeroU64::MIN,
        explanation: Explanation::default(),
        context: RequestContext::new().with_request_id(number.to_string()),
        loaded: None,
    })
}

/// The number of the record on each line of the file.
fn numbers(medium: &Faulty) -> Vec<Option<u64>> {
    let bytes = lines(medium);
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| match read_line(line.strip_suffix(b"\n").unwrap()).unwrap() {
            Line::Decision(decision) => Some(decision.request.unwrap().parse().unwrap()),
            Line::Outcome(outcome) => Some(outcome.intent),
            _ => None,
        })
        .collect()
}

type Append<'a> = Pin<Box<dyn Future<Output = Result<Vec<Receipt>, AuditError>> + Send + 'a>>;

fn is_pending(append: &mut Append<'_>) -> bool {
    append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Lets callers come together, until they look for one another.
fn crowd(log: &FileLog) {
    let tasks = (0..8).map(|_| async {
        for _ in 0..100 {
            log.append(&[decision(1_000_000)], Durability::Flushed).await.unwrap();
        }
    });
    block_on(join_all(tasks));
}

#[test]
fn tasks_that_append_at_the_same_time_share_a_write_and_a_lone_one_does_not_wait() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    crowd(&log);
    let writes = medium.writes.load(Ordering::SeqCst);
    assert!((100..180).contains(&writes), "{writes} writes for 800 records of 8 callers");
    assert_eq!(numbers(&medium).len(), 801);

    // Whoever is alone then looks for others once, and after that now and then.
    let records = [decision(1)];
    let waits = (0..640).filter(|_| {
        let mut append: Append<'_> = log.append(&records, Durability::Flushed);
        let waits = is_pending(&mut append);
        if waits {
            block_on(append).unwrap();
        }
        waits
    });
    assert!(matches!(waits.count(), 10 | 11));
    assert_eq!(medium.writes.load(Ordering::SeqCst) - writes, 640);
}

#[test]
fn a_group_that_cannot_be_written_leaves_nothing_and_each_of_it_is_told() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    crowd(&log);
    let before = numbers(&medium).len();
    let records: Vec<_> = (0..3).map(|number| [decision(number)]).collect();
    let mut group: Vec<_> =
        records.iter().map(|record| log.append(record, Durability::Flushed)).collect();
    assert!(group.iter_mut().all(is_pending));
    // What is held is no part of it, and was told its place: the group is written before it.
    let held = block_on(log.append(&[record(3)], Durability::Held)).unwrap();
    medium.full.store(true, Ordering::SeqCst);
    for append in group {
        block_on(append).unwrap();
    }
    let mut late: Vec<_> =
        records.iter().map(|record| log.append(record, Durability::Flushed)).collect();
    assert!(late.iter_mut().all(is_pending));
    for append in late {
        assert!(matches!(block_on(append), Err(AuditError::Full)));
    }
    medium.full.store(false, Ordering::SeqCst);
    let last = block_on(log.append(&[record(4)], Durability::Flushed)).unwrap();
    let after = numbers(&medium).split_off(before);
    assert_eq!(after, [0, 1, 2, 3, 4].map(Some));
    assert_eq!((held[0].index, last[0].index), (before as u64 + 3, before as u64 + 4));
}

#[test]
fn whoever_is_gone_leaves_its_line_to_the_others() {
    let medium = Arc::new(Faulty::default());
    let log = log_on(&medium, true);
    crowd(&log);
    let before = numbers(&medium).len();
    let records = [[decision(1)], [decision(2)]];
    let [mut first, mut second] =
        records.each_ref().map(|record| log.append(record, Durability::Synced));
    assert!(is_pending(&mut first) && is_pending(&mut second));
    drop(first);
    block_on(second).unwrap();
    assert_eq!(numbers(&medium).split_off(before), [1, 2].map(Some));
    // Nor does the end of the log lose one.
    let mut last = log.append(&records[0], Durability::Flushed);
    assert!(is_pending(&mut last));
    block_on(log.close(log.log().unwrap())).unwrap();
    block_on(last).unwrap();
    assert_eq!(numbers(&medium).split_off(before + 2), [Some(1), None]);
}

/// Whatever callers do at the same time, on a disk that fails now and then: what was acknowledged
/// stands where its receipt says, and nothing that was refused with certainty stands anywhere.
#[test]
fn what_is_acknowledged_stands_where_its_receipt_says() {
    for seed in 0..200 {
        let medium = Arc::new(Faulty::default());
        let log = log_on(&medium, true);
        crowd(&log);
        let mut state = seed;
        let mut dice = |sides: u64| {
            state = splitmix(state);
            state % sides
        };
        let plan: Vec<_> = (0..120).map(|number| (number, dice(8), dice(6), dice(9))).collect();
        let records: Vec<_> = plan
            .iter()
            .map(|(number, kind, ..)| [if *kind < 6 { decision(*number) } else { record(*number) }])
            .collect();
        let mut waiting: Vec<(u64, Append<'_>)> = Vec::new();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        let mut told = |number, answer: Result<Vec<Receipt>, AuditError>| match answer {
            Ok(receipts) => taken.push((receipts[0].index, number)),
            Err(_) => refused.push(number),
        };
        for ((number, _, durability, event), record) in plan.iter().zip(&records) {
            let at_least = match durability {
                0 => Durability::Held,
                1 => Durability::Synced,
                _ => Durability::Flushed,
            };
            let mut append = log.append(record, at_least);
            match append.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                std::task::Poll::Ready(answer) => told(*number, answer),
                std::task::Poll::Pending => waiting.push((*number, append)),
            }
            match event {
                0 => drop(waiting.pop()),
                1 => medium.full.store(true, Ordering::SeqCst),
                2 | 3 => medium.full.store(false, Ordering::SeqCst),
                4 => waiting.drain(..).for_each(|(number, append)| told(number, block_on(append))),
                5 => drop(log.checkpoint(log.log().unwrap())),
                _ => {}
            }
        }
        waiting.drain(..).for_each(|(number, append)| told(number, block_on(append)));
        medium.full.store(false, Ordering::SeqCst);
        block_on(log.close(log.log().unwrap())).unwrap();
        let numbers = numbers(&medium);
        for (index, number) in taken {
            let found = numbers[usize::try_from(index).unwrap()];
            assert_eq!(found, Some(number), "seed {seed}: at {index}");
        }
        for number in refused {
            assert!(!numbers.contains(&Some(number)), "seed {seed}: {number} was refused");
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
