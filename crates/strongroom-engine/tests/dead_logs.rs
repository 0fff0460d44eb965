//! What a process left open that died, settled by the next that opens the store: in memory.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use futures_executor::block_on;
use strongroom_audit::{Finding, Line, Verdict, read_line};
use strongroom_core::{Key, Opaque, Outcome, Principal};
use strongroom_engine::{Error, Session, Strongroom, Unavailable};
use strongroom_policy::Policy;
use strongroom_testkit::{Call, Fault, FaultyStorage, MemoryStorage, SeededEntropy, TestRoom};

type Faulty = FaultyStorage<MemoryStorage>;

fn alice(room: &Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

/// Another process on the kit's store, whose storage a test can make fail.
fn another_process(kit: &TestRoom) -> (Strongroom, Faulty) {
    let storage = FaultyStorage::new(kit.storage.clone());
    let builder = Strongroom::builder()
        .storage(storage.clone())
        .seal(kit.seal.clone())
        .policy(Policy::owned_by(&Principal::user("alice")))
        .audit(kit.log.beside())
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(5));
    (block_on(builder.open()).unwrap(), storage)
}

/// What the kit's logs say became of intents of other logs than their own, and which were closed.
fn settled(kit: &TestRoom, dead: strongroom_core::LogId) -> (Vec<Outcome>, usize) {
    let (mut outcomes, mut closed) = (Vec::new(), 0);
    for line in kit.log.lines() {
        match read_line(&line).unwrap() {
            Line::Outcome(line) if line.log == dead => outcomes.push(line.outcome),
            Line::Closed(line) if line.log == dead => closed += 1,
            _ => {}
        }
    }
    (outcomes, closed)
}

#[test]
fn a_write_of_a_dead_process_is_settled_by_the_next_opener() {
    for (fault, expected, value) in [
        (Fault::LostReply, Outcome::Done, b"two".as_slice()),
        (Fault::LostRequest, Outcome::Lost, b"one".as_slice()),
    ] {
        let kit = TestRoom::allowing_all();
        block_on(alice(&kit.room()).put("prod/db", Opaque::new(b"one"))).unwrap();
        let (room, storage) = another_process(&kit);
        let dead = room.log();
        storage.every(Call::Write, fault);
        let put = block_on(alice(&room).put("prod/db", Opaque::new(b"two")));
        assert!(matches!(put, Err(Error::Indeterminate(_))), "{put:?}");
        assert_eq!(settled(&kit, dead), (vec![], 0), "nobody can know yet");
        drop((put, room)); // as a kill does: without `close`

        let again = kit.open_again_allowing_all().unwrap();
        assert_eq!(settled(&kit, dead), (vec![expected], 1), "{fault:?}");
        let found: Opaque = block_on(alice(&again).get("prod/db")).unwrap();
        assert!(found.value().expose(|bytes| bytes == value), "{fault:?}");
        let report = block_on(alice(&again).verify()).unwrap();
        assert_eq!(report.accusations().count(), 0, "{:?}", report.findings);

        let third = kit.open_again_allowing_all().unwrap();
        assert_eq!(settled(&kit, dead), (vec![expected], 1), "it is settled once");
        assert_ne!(third.log(), again.log(), "each open has a log of its own");
        block_on(third.close()).unwrap();
        block_on(again.close()).unwrap();
    }
}

#[test]
fn a_record_that_does_not_open_keeps_nobody_out_of_the_rest() {
    let kit = TestRoom::allowing_all();
    block_on(alice(&kit.room()).put("prod/db", Opaque::new(b"one"))).unwrap();
    block_on(alice(&kit.room()).put("prod/other", Opaque::new(b"whole"))).unwrap();
    let (room, storage) = another_process(&kit);
    let dead = room.log();
    storage.every(Call::Write, Fault::LostRequest);
    block_on(alice(&room).put("prod/db", Opaque::new(b"two"))).unwrap_err();
    drop(room);
    let second = |line: &Vec<u8>| match read_line(line).unwrap() {
        Line::Intent(intent) if intent.seq == 2 => Some(Key::new(intent.key.into_owned())),
        _ => None,
    };
    let key = kit.log.lines().iter().find_map(second).unwrap();
    assert!(kit.storage.tamper(&key, |record| *record.last_mut().unwrap() ^= 1));

    let again = kit.open_again_allowing_all().unwrap();
    assert_eq!(settled(&kit, dead), (vec![], 0), "nobody can know");
    let other: Opaque = block_on(alice(&again).get("prod/other")).unwrap();
    assert!(other.value().expose(|bytes| bytes == b"whole"));
    let damaged = block_on(alice(&again).get::<Opaque>("prod/db")).unwrap_err();
    assert!(matches!(damaged, Error::Tampered(_)), "{damaged:?}");
    let report = block_on(alice(&again).verify()).unwrap();
    assert!(report.accuses(), "{:?}", report.findings);
    block_on(again.close()).unwrap();

    // Repaired, from a backup say, it is settled as it would have been.
    assert!(kit.storage.tamper(&key, |record| *record.last_mut().unwrap() ^= 1));
    let repaired = kit.open_again_allowing_all().unwrap();
    assert_eq!(settled(&kit, dead), (vec![Outcome::Lost], 1));
    block_on(repaired.close()).unwrap();
}

#[test]
fn a_killed_room_takes_nothing_more_and_its_log_is_settled() {
    let kit = TestRoom::allowing_all();
    let room = kit.room();
    block_on(alice(&room).put("prod/db", Opaque::new(b"one"))).unwrap();
    let living = kit.open_again_allowing_all().unwrap();
    assert_eq!(settled(&kit, room.log()).1, 0, "the log of a living room is its own");

    kit.log.kill();
    match block_on(alice(&room).get::<Opaque>("prod/db")) {
        Err(Error::Unavailable(Unavailable::Audit(_))) => {}
        other => panic!("a killed process released a secret: {other:?}"),
    }
    let again = kit.open_again_allowing_all().unwrap();
    let (_, closed) = settled(&kit, room.log());
    assert_eq!(closed, 1);
    let report = block_on(alice(&again).verify()).unwrap();
    assert_eq!(report.accusations().count(), 0, "{:?}", report.findings);
    block_on(living.close()).unwrap();
}

#[test]
fn a_write_that_was_open_when_the_store_was_sealed_is_settled_by_the_unseal() {
    for (fault, expected) in
        [(Fault::LostReply, Outcome::Done), (Fault::LostRequest, Outcome::Lost)]
    {
        let kit = TestRoom::allowing_all();
        block_on(alice(&kit.room()).put("prod/db", Opaque::new(b"one"))).unwrap();
        let (room, storage) = another_process(&kit);
        let sealed_log = room.log();
        storage.every(Call::Write, fault);
        let put = block_on(alice(&room).put("prod/db", Opaque::new(b"two")));
        assert!(matches!(put, Err(Error::Indeterminate(_))), "{put:?}");
        storage.heal();
        let room = block_on(room.seal().unseal(kit.seal.clone())).unwrap();
        assert_eq!(settled(&kit, sealed_log), (vec![expected], 1), "{fault:?}");
        let report = block_on(alice(&room).verify()).unwrap();
        // The kit's own room is still writing: that is a gap to whoever looks from outside.
        let open = |finding: &Finding| finding.verdict != Verdict::Gap;
        assert!(!report.findings.iter().any(open), "{:?}", report.findings);
    }
}

#[test]
fn a_clone_of_a_room_that_was_sealed_does_not_close_the_log_of_the_next() {
    let kit = TestRoom::allowing_all();
    let (room, _) = another_process(&kit);
    let clone = room.clone();
    let room = block_on(room.seal().unseal(kit.seal.clone())).unwrap();
    assert!(matches!(block_on(clone.close()), Err(Error::Sealed)));
    block_on(alice(&room).put("prod/db", Opaque::new(b"one"))).unwrap();
}
