//! What every audit sink must do: one function a case, and [`audit_suite!`](crate::audit_suite)
//! to run them all.
//!
//! Each case gets a factory that opens the sink of one scratch directory; called again, it opens
//! the same sink anew. All run on a bare `block_on`.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use strongroom_core::{
    ActionName, Attached, AuditError, AuditReader, AuditRecord, AuditSink, ClosedRecord,
    DecisionRecord, Digest, Durability, Effect, IntentRecord, Key, LogId, Outcome, OutcomeRecord,
    Principal, Receipt, RecordKind, RequestContext, StoreIdentity, Target, WriteId, path,
};

use crate::FakeIdentity;

/// Makes a test of each case of the suite: `audit_suite!(|dir| FileLog::open(dir).unwrap());`.
#[macro_export]
macro_rules! audit_suite {
    ($open:expr) => {
        $crate::audit_suite! { @cases $open;
            an_empty_sink_has_no_owner
            nothing_is_taken_before_attach_or_after_close
            the_owner_is_told_without_a_key
            another_store_is_refused
            indices_are_consecutive_over_durabilities
            receipts_name_the_lines_that_are_read_back
            sync_reaches_what_was_held
            a_sync_of_another_log_is_refused
            attaching_again_begins_another_log
            a_log_that_was_left_open_is_given_to_the_next
            a_log_that_was_settled_or_closed_is_given_to_nobody
            concurrent_appends_lose_nothing
            no_line_shows_a_name
            a_backup_has_what_was_cut
            what_is_signed_is_told
            the_next_one_knows_the_logs_beside_its_own
            a_dead_log_tells_what_was_signed_and_registered
        }
    };
    (@cases $open:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::audit::run($open, $crate::audit::$case);
            }
        )*
    };
}

/// Runs one case in a scratch directory of its own.
///
/// # Panics
/// Where the case fails.
pub fn run<S: AuditSink>(
    open: impl Fn(&Path) -> S,
    case: impl Fn(&dyn Fn() -> Box<dyn AuditSink>),
) {
    let scratch = tempfile::tempdir().unwrap_or_else(|error| fail(&error));
    let dir = scratch.path().join("audit");
    case(&|| Box::new(open(&dir)));
}

#[expect(clippy::panic, reason = "a case of a suite fails by panicking")]
fn fail(what: &dyn std::fmt::Display) -> ! {
    panic!("{what}")
}

fn good<T>(result: Result<T, AuditError>) -> T {
    result.unwrap_or_else(|error| fail(&error))
}

fn attach(sink: &dyn AuditSink, identity: &Arc<FakeIdentity>) -> Attached {
    good(block_on(sink.attach(Arc::clone(identity) as Arc<dyn StoreIdentity>)))
}

fn decision() -> AuditRecord {
    AuditRecord::Decision(DecisionRecord {
        at: crate::identity::now(),
        principal: Some(Principal::service("canary-principal").with_role("canary-role")),
        action: ActionName::Read,
        target: Target::Secret(path!("canary/path")),
        effect: Effect::Deny,
        count: NonZeroU64::MIN,
        explanation: strongroom_core::Decision::deny().by_rule("canary-rule").explanation().clone(),
        context: RequestContext::new().with_reason("canary-reason"),
        loaded: None,
    })
}

fn outcome(number: u64) -> AuditRecord {
    AuditRecord::Outcome(OutcomeRecord {
        at: crate::identity::now(),
        intent: Receipt { log: LogId::from_bytes([1; 8]), index: number },
        outcome: Outcome::Unknown,
    })
}

fn intent(seq: u64) -> AuditRecord {
    AuditRecord::Intent(IntentRecord {
        at: crate::identity::now(),
        decision: 0,
        action: ActionName::Write,
        kind: RecordKind::Head,
        key: Key::new(*b"key"),
        seq,
        prev: Digest::from_bytes([0; 32]),
        prev_log: LogId::from_bytes([0; 8]),
        next: Digest::from_bytes([2; 32]),
        write: WriteId::from_bytes([3; 16]),
        target: Target::Secret(path!("canary/path")),
        erases: Vec::new(),
    })
}

fn done(intent: Receipt) -> OutcomeRecord {
    OutcomeRecord { at: crate::identity::now(), intent, outcome: Outcome::Done }
}

fn append(sink: &dyn AuditSink, record: AuditRecord, at_least: Durability) -> Receipt {
    let receipts = good(block_on(sink.append(&[record], at_least)));
    assert_eq!(receipts.len(), 1, "one receipt a record");
    receipts.into_iter().next().unwrap_or_else(|| fail(&"no receipt"))
}

fn lines(reader: &dyn AuditReader, page: u32) -> Vec<(Receipt, Vec<u8>)> {
    let limit = NonZeroU32::new(page).unwrap_or(NonZeroU32::MIN);
    let mut all: Vec<(Receipt, Vec<u8>)> = Vec::new();
    loop {
        let after = all.last().map(|(receipt, _)| *receipt);
        let next = good(block_on(reader.read(after.as_ref(), limit)));
        assert!(next.len() as u64 <= u64::from(page), "a page has at most `limit` lines");
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// Nothing was written: nobody owns it.
pub fn an_empty_sink_has_no_owner(open: &dyn Fn() -> Box<dyn AuditSink>) {
    assert_eq!(good(block_on(open().owner())), None);
}

/// `Closed` before the first attach and after close; close is idempotent.
pub fn nothing_is_taken_before_attach_or_after_close(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    let refused = || {
        let taken = block_on(sink.append(&[outcome(1)], Durability::Held));
        assert!(matches!(taken, Err(AuditError::Closed)), "{taken:?}");
    };
    refused();
    let other = LogId::from_bytes([0xee; 8]);
    good(block_on(sink.close(other)));
    let log = attach(&*sink, &FakeIdentity::new(1)).log;
    good(block_on(sink.close(other)));
    append(&*sink, outcome(1), Durability::Held);
    good(block_on(sink.close(log)));
    good(block_on(sink.close(log)));
    refused();
}

/// `owner` names the store once one has attached.
pub fn the_owner_is_told_without_a_key(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (sink, identity) = (open(), FakeIdentity::new(1));
    attach(&*sink, &identity);
    assert_eq!(good(block_on(sink.owner())), Some(identity.store()));
}

/// A sink takes the records of one store.
pub fn another_store_is_refused(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    let log = attach(&*sink, &FakeIdentity::new(1)).log;
    good(block_on(sink.close(log)));
    let refused = block_on(sink.attach(FakeIdentity::new(2)));
    assert!(matches!(refused, Err(AuditError::OtherStore { .. })), "{refused:?}");
}

/// Indices count on, whatever the durability, and the log is the one that attach named.
pub fn indices_are_consecutive_over_durabilities(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    let attached = attach(&*sink, &FakeIdentity::new(1));
    let first = append(&*sink, outcome(0), Durability::Held);
    for (number, durability) in
        (1..).zip([Durability::Flushed, Durability::Held, Durability::Synced, Durability::Flushed])
    {
        let receipt = append(&*sink, outcome(number), durability);
        assert_eq!(receipt, Receipt { log: attached.log, index: first.index + number });
    }
    let several = good(block_on(sink.append(&[outcome(5), outcome(6)], Durability::Held)));
    let indices: Vec<u64> = several.iter().map(|receipt| receipt.index).collect();
    assert_eq!(indices, [first.index + 5, first.index + 6]);
}

/// What is read back under a receipt is the record that it was given for.
pub fn receipts_name_the_lines_that_are_read_back(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    let receipts: Vec<Receipt> = (700..720)
        .map(|number| {
            append(&*sink, decision(), Durability::Held);
            append(&*sink, outcome(number), Durability::Held)
        })
        .collect();
    let Some(reader) = sink.reader() else { return };
    let whole = lines(reader, 1000);
    assert!(whole.is_sorted_by_key(|(receipt, _)| *receipt), "lines come in order");
    for (number, receipt) in (700_u64..).zip(receipts) {
        let line = whole.iter().find(|(at, _)| *at == receipt).map(|(_, line)| line.clone());
        let text = String::from_utf8(line.unwrap_or_default()).unwrap_or_default();
        assert!(text.contains(&number.to_string()), "{receipt} is the record {number}: {text}");
    }
    for page in [1, 3, 7] {
        assert_eq!(lines(reader, page), whole, "pages of {page}");
    }
}

/// A sync covers records that were only held.
pub fn sync_reaches_what_was_held(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    let receipt = append(&*sink, outcome(1), Durability::Held);
    good(block_on(sink.sync(&receipt)));
    good(block_on(sink.sync(&receipt)));
}

/// A receipt of no open log cannot be waited for.
pub fn a_sync_of_another_log_is_refused(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    let foreign = Receipt { log: LogId::from_bytes([0xee; 8]), index: 0 };
    assert!(block_on(sink.sync(&foreign)).is_err());
}

/// Each attach begins a log of its own and ends the one before it.
pub fn attaching_again_begins_another_log(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (sink, identity) = (open(), FakeIdentity::new(1));
    let first = attach(&*sink, &identity);
    append(&*sink, decision(), Durability::Held);
    let open = append(&*sink, intent(5), Durability::Flushed);
    let second = attach(&*sink, &identity);
    assert_ne!(first.log, second.log);
    let left: Vec<_> = second
        .dead
        .iter()
        .map(|dead| (dead.log, dead.open.iter().map(|intent| intent.receipt).collect::<Vec<_>>()))
        .collect();
    assert_eq!(left, [(first.log, vec![open])], "its earlier log is dead, with what is open in it");
    assert_eq!(append(&*sink, outcome(2), Durability::Flushed).log, second.log);
}

/// With its open intents, their targets by name, to one opener at a time.
pub fn a_log_that_was_left_open_is_given_to_the_next(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (first, identity) = (open(), FakeIdentity::new(1));
    let left = attach(&*first, &identity);
    append(&*first, decision(), Durability::Held);
    let settled = append(&*first, intent(5), Durability::Flushed);
    let receipt = append(&*first, intent(6), Durability::Flushed);
    append(&*first, AuditRecord::Outcome(done(settled)), Durability::Flushed);
    let meanwhile = open();
    assert!(attach(&*meanwhile, &identity).dead.is_empty(), "a log that is written is not dead");
    drop(first);

    let second = open();
    let dead = attach(&*second, &identity).dead;
    assert_eq!(dead.iter().map(|dead| dead.log).collect::<Vec<_>>(), [left.log]);
    for dead in &dead {
        assert!(dead.size > receipt.index, "all records that count are in it");
        let found: Vec<_> = dead.open.iter().map(|open| (open.receipt, open.seq)).collect();
        assert_eq!(found, [(receipt, 6)], "what was settled is not open");
        assert!(dead.open.iter().all(|open| open.target == "canary/path"), "{:?}", dead.open);
    }
    let third = open();
    let attached = attach(&*third, &identity);
    assert!(attached.dead.is_empty(), "one opener settles a log, not two");
    good(block_on(third.close(attached.log)));
    drop(second);
    let again = attach(&*third, &identity).dead;
    assert_eq!(again.len(), 2, "it settled nothing and died, and left its own log, too");
}

/// A `Closed` record is the end of a dead log, `close` that of one's own.
pub fn a_log_that_was_settled_or_closed_is_given_to_nobody(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (first, identity) = (open(), FakeIdentity::new(1));
    attach(&*first, &identity);
    append(&*first, intent(5), Durability::Flushed);
    drop(first);
    let second = open();
    let attached = attach(&*second, &identity);
    for dead in attached.dead {
        let (log, size, root) = (dead.log, dead.size, dead.root);
        let closed = ClosedRecord { at: crate::identity::now(), log, size, root };
        append(&*second, AuditRecord::Closed(closed), Durability::Flushed);
    }
    good(block_on(second.close(attached.log)));
    assert!(attach(&*open(), &identity).dead.is_empty(), "it was settled");
}

/// Appends from several threads all get receipts, and no two the same.
pub fn concurrent_appends_lose_nothing(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    let mut receipts: Vec<Receipt> = std::thread::scope(|scope| {
        let threads: Vec<_> = [Durability::Held, Durability::Flushed, Durability::Synced]
            .into_iter()
            .map(|durability| {
                let sink = &*sink;
                scope.spawn(move || {
                    (0..50).map(|number| append(sink, outcome(number), durability)).collect()
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<Receipt>>| {
            thread.join().unwrap_or_else(|_| fail(&"a thread failed"))
        };
        threads.into_iter().flat_map(join).collect()
    });
    receipts.sort_unstable();
    receipts.dedup();
    assert_eq!(receipts.len(), 150);
}

/// No name is read from a line without a key.
pub fn no_line_shows_a_name(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    append(&*sink, decision(), Durability::Flushed);
    let Some(reader) = sink.reader() else { return };
    for (_, line) in lines(reader, 100) {
        assert!(!String::from_utf8_lossy(&line).contains("canary"), "a line shows a name");
    }
}

/// A backup holds the records before the cut, not those after it.
pub fn a_backup_has_what_was_cut(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    attach(&*sink, &FakeIdentity::new(1));
    append(&*sink, outcome(11_111), Durability::Held);
    let cut = good(sink.cut());
    append(&*sink, outcome(22_222), Durability::Synced);
    let target = tempfile::tempdir().unwrap_or_else(|error| fail(&error));
    good(block_on(sink.backup(target.path(), &cut)));
    let mut text = String::new();
    for (name, length) in &cut.files {
        let bytes = std::fs::read(target.path().join(name)).unwrap_or_else(|error| fail(&error));
        assert_eq!(bytes.len() as u64, *length, "{name}");
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(!text.contains("22222"));
    assert!(cut.files.is_empty() || text.contains("11111"));
}

/// A log begins signed, and a checkpoint signs all before it; it is a record of its own, and made
/// once for the same records. Of another log than its own a sink says nothing.
pub fn what_is_signed_is_told(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let sink = open();
    let other = LogId::from_bytes([0xee; 8]);
    assert_eq!(sink.signed(other), None);
    let log = attach(&*sink, &FakeIdentity::new(1)).log;
    let Some(first) = sink.signed(log) else { return };
    assert_eq!(first.size, 1);
    let before = append(&*sink, outcome(1), Durability::Held);
    assert_eq!(sink.signed(log), Some(first));
    assert_eq!(sink.signed(other), None);
    assert!(matches!(sink.checkpoint(other), Err(AuditError::Closed)), "it writes another log");
    let head = good(sink.checkpoint(log));
    assert_eq!(head.map(|head| head.size), Some(before.index + 1));
    assert_eq!((good(sink.checkpoint(log)), sink.signed(log)), (head, head));
    let after = append(&*sink, outcome(2), Durability::Held);
    assert_eq!(after.index, before.index + 2, "the checkpoint has an index");
    let end = good(block_on(sink.close(log)));
    assert_eq!(end.map(|end| end.size), Some(after.index + 1));
    assert_eq!((good(block_on(sink.close(log))), sink.signed(log)), (None, None));
}

/// Where a sink says which directory it keeps, it tells all logs there, and how those ended; an end
/// can be confirmed. A log that was discarded was never there, unless it has records.
pub fn the_next_one_knows_the_logs_beside_its_own(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (first, identity) = (open(), FakeIdentity::new(1));
    let one = attach(&*first, &identity);
    if one.directory.is_none() {
        return;
    }
    assert_eq!(one.logs, []);
    append(&*first, outcome(1), Durability::Flushed);
    first.registered(LogId::from_bytes([0xee; 8]), 9);
    first.registered(one.log, 1);
    let second = open();
    let two = attach(&*second, &identity);
    let beside = |log, ended| strongroom_core::KnownLog { log, ended, is_cut_short: false };
    assert_eq!((two.directory, two.logs), (one.directory, vec![beside(one.log, None)]));
    let discarded = open();
    let log = attach(&*discarded, &identity).log;
    good(block_on(discarded.discard(log)));
    let kept = open();
    let three = attach(&*kept, &identity).log;
    append(&*kept, outcome(1), Durability::Flushed);
    good(block_on(kept.discard(LogId::from_bytes([0xee; 8]))));
    append(&*kept, outcome(2), Durability::Flushed);
    good(block_on(kept.discard(three)));

    let end =
        good(block_on(first.close(one.log))).unwrap_or_else(|| fail(&"it signs, and has no end"));
    let at = crate::identity::now();
    let ended = strongroom_core::EndedLog { at, head: end, registered: 1 };
    let third = open();
    let mut logs = attach(&*third, &identity).logs;
    let kept = logs.iter().position(|known| known.log == three).map(|at| logs.remove(at));
    assert!(kept.is_some_and(|kept| kept.ended.is_some()), "what has records is closed instead");
    logs.sort_by_key(|known| known.log);
    let mut expected = vec![beside(one.log, Some(ended)), beside(two.log, None)];
    expected.sort_by_key(|known| known.log);
    assert_eq!(logs, expected);
    assert!(good(block_on(third.confirm_end(one.log, identity.store()))), "it ended");
    assert!(!good(block_on(third.confirm_end(two.log, identity.store()))), "it is written");
    let missing = LogId::from_bytes([0xee; 8]);
    assert!(!good(block_on(third.confirm_end(missing, identity.store()))), "it is not there");
}

/// The heads that its writer signed, the first record's among them, and the newest size that it
/// heard to be registered before a checkpoint that another one signs.
pub fn a_dead_log_tells_what_was_signed_and_registered(open: &dyn Fn() -> Box<dyn AuditSink>) {
    let (first, identity) = (open(), FakeIdentity::new(1));
    let log = attach(&*first, &identity).log;
    let Some(begun) = first.signed(log) else { return };
    let mut signed = vec![begun];
    for number in 0..3 {
        append(&*first, outcome(number), Durability::Flushed);
        let Some(last) = signed.last() else { return };
        first.registered(log, last.size);
        signed.extend(good(first.checkpoint(log)));
    }
    append(&*first, outcome(9), Durability::Flushed);
    drop(first);
    let dead = attach(&*open(), &identity).dead;
    let told: Vec<_> =
        dead.iter().map(|dead| (dead.checkpoints.clone(), dead.registered)).collect();
    // The last checkpoint tells of the third, and nothing signs what it tells.
    let registered = signed.get(1).map_or(0, |head| head.size);
    assert_eq!(told, [(signed, registered)]);
}
