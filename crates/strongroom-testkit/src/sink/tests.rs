//! Tests of the sink in memory.

use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal};
use strongroom_engine::Strongroom;

use super::*;
use crate::room::AllowAll;
use crate::{ManualClock, MemorySeal, MemoryStorage, SeededEntropy};

fn is_segment(line: &[u8]) -> bool {
    matches!(read_line(line), Ok(Line::Segment(_)))
}

/// What is synced stays, what comes after it goes, and whoever opens next settles what is left.
#[test]
fn a_power_cut_takes_what_was_not_synced() {
    for lines in [None, NonZeroU32::new(5)] {
        let sink = MemorySink::new();
        let sink = lines.into_iter().fold(sink, MemorySink::with_segments);
        let (storage, seal) = (MemoryStorage::new(), MemorySeal::new());
        let builder = |sink: &MemorySink, seed| {
            let builder = Strongroom::builder().storage(storage.clone()).seal(seal.clone());
            let builder = builder.policy(AllowAll).audit(sink.clone());
            builder.entropy(SeededEntropy::new(seed))
        };
        let room = block_on(builder(&sink, 1).create()).unwrap();
        let session = room.session(Principal::user("alice"));
        for _ in 0..4 {
            block_on(session.put("prod/db", Opaque::new(b"value"))).unwrap();
        }
        block_on(session.get::<Opaque>("prod/db")).unwrap();
        sink.kill();
        let before = sink.lines();
        assert_eq!(before.iter().any(|line| is_segment(line)), lines.is_some());
        sink.cut_power(&mut |_| 0);
        let after = sink.lines();
        assert!(after.len() < before.len() && before.starts_with(&after));
        assert_eq!(sink.intents(), ["prod/db"; 4]);
        let lost = sink.lost_decisions();
        assert!(lost.iter().all(|decision| decision.target == "prod/db") && !lost.is_empty());

        let next = sink.beside();
        let room = block_on(builder(&next, 2).open()).unwrap();
        let session = room.session(Principal::user("alice"));
        assert_eq!(block_on(session.verify()).unwrap().accusations().count(), 0);
        let told = next.lines();
        let outcomes = told.iter().filter(|line| matches!(read_line(line), Ok(Line::Outcome(_))));
        assert!(outcomes.count() >= 4);
    }
}

/// What is pruned is gone, told again, and known to who asks what was recorded.
#[test]
fn what_is_pruned_is_told_again() {
    let sink = MemorySink::new().with_segments(NonZeroU32::new(5).unwrap());
    let (storage, seal, clock) = (MemoryStorage::new(), MemorySeal::new(), ManualClock::new());
    let open = |sink: &MemorySink, seed| {
        let builder = Strongroom::builder().storage(storage.clone()).seal(seal.clone());
        let builder = builder.policy(AllowAll).audit(sink.clone()).clock(clock.clone());
        block_on(builder.entropy(SeededEntropy::new(seed)).open_or_create()).unwrap()
    };
    let first = open(&sink, 1);
    let put = |room: &Strongroom| {
        let session = room.session(Principal::user("alice"));
        block_on(session.put("prod/db", Opaque::new(b"value"))).unwrap();
    };
    (0..4).for_each(|_| put(&first));
    block_on(first.close()).unwrap();
    let next = sink.beside();
    let room = open(&next, 2);
    (0..4).for_each(|_| put(&room));
    clock.advance(Duration::from_secs(60));
    put(&room);
    let (before, intents) = (next.lines(), next.intents());
    let session = room.session(Principal::user("alice"));
    let report = block_on(session.prune(Duration::from_secs(30))).unwrap();
    assert!(report.logs == 1 && report.shortened == 1 && report.files > 4, "{report:?}");
    let after = next.lines();
    assert!(before.iter().filter(|line| !after.contains(line)).count() > 40, "{}", after.len());
    assert!(is_segment(&after[0]));
    assert_eq!(next.intents(), intents);
    assert_eq!(intents.len(), 9);
    assert_eq!(block_on(session.verify()).unwrap().accusations().count(), 0);

    // A copy has no writers, and goes its own way.
    let copy = sink.copied();
    assert_eq!(copy.lines(), sink.lines());
    let copied = open(&copy, 3);
    let session = copied.session(Principal::user("alice"));
    assert_eq!(block_on(session.verify()).unwrap().accusations().count(), 0);
    assert!(copy.lines().len() > sink.lines().len());
}
