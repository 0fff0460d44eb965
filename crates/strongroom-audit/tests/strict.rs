//! The reader takes each line in one spelling; hostile names never break one.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "the helpers count small things")]
#![expect(unreachable_pub, reason = "the helpers are a module of each test program")]
#![expect(dead_code, reason = "the helpers are shared by several test programs")]

mod common;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use proptest::prelude::*;
use strongroom_audit::{Line, LineWriter, MerkleTree, read_line};
use strongroom_core::{
    ActionName, AuditError, AuditRecord, CitedRecord, ClosedRecord, DecisionRecord, DirectoryId,
    Effect, LogId, Outcome, OutcomeRecord, Principal, Receipt, RequestContext, Stage,
    StoreIdentity, Strength, Target, TreeHead, Version, path,
};

/// One record of each kind, with all that can be in it.
fn every_line(request: &str, name: &str) -> (Arc<FakeIdentity>, LogId, Vec<Vec<u8>>) {
    let identity = FakeIdentity::new(1);
    let mut writer = LineWriter::begin(Arc::clone(&identity) as _).unwrap();
    let log = writer.log();
    let targets: [Target; 6] = [
        Target::Store,
        Target::Namespace("prod".parse().unwrap()),
        Target::Prefix("prod/a".parse().unwrap()),
        secret("prod/db"),
        path!("prod/db").at(Stage::Pending).into(),
        path!("prod/db").at(Version::FIRST).into(),
    ];
    let principal = Principal::user(name)
        .with_role(name)
        .with_role("second")
        .with_claim(name, name)
        .with_claim("list", vec![name.to_owned(), String::new()])
        .with_claim("number", -7)
        .with_claim("flag", true)
        .authenticated_at(at(5), Strength::Multi);
    let mut records: Vec<AuditRecord> = targets
        .into_iter()
        .map(|target| {
            AuditRecord::Decision(DecisionRecord {
                at: at(1),
                principal: Some(principal.clone()),
                action: ActionName::Read,
                target,
                effect: Effect::Unavailable,
                count: NonZeroU64::MIN,
                explanation: strongroom_core::Decision::unavailable(name)
                    .by_rule(name)
                    .explanation()
                    .clone(),
                context: RequestContext::new()
                    .with_request_id(request)
                    .with_reason(name)
                    .with_source("::1".parse().unwrap()),
                loaded: None,
            })
        })
        .collect();
    if let Some(AuditRecord::Decision(decision)) = records.first_mut() {
        decision.count = NonZeroU64::MAX;
    }
    records.push(read_of("billing", "prod/db", u64::MAX));
    let mut intent = write_of(log, 0, "prod/db", 3, "one", "two");
    if let AuditRecord::Intent(intent) = &mut intent {
        intent.erases = vec![vec![3, 1], vec![]];
    }
    records.push(intent);
    records.push(outcome_of(Receipt { log, index: 7 }, Outcome::Unknown));
    records.push(AuditRecord::Closed(ClosedRecord {
        at: at(9),
        log,
        size: u64::MAX,
        root: digest("all"),
    }));
    records.push(AuditRecord::Cited(CitedRecord {
        at: at(9),
        log: LogId::from_bytes([0xfe; 8]),
        directory: DirectoryId::from_bytes([0xfd; 8]),
        head: TreeHead { size: 1_024, root: digest("some") },
    }));
    writer.append(&records).unwrap();
    let later = OutcomeRecord {
        at: identity.now().saturating_add(Duration::from_secs(120)),
        intent: Receipt { log, index: 7 },
        outcome: Outcome::Lost,
    };
    let size = writer.size();
    writer.append(&[AuditRecord::Outcome(later)]).unwrap();
    assert_eq!(writer.size(), size + 2, "a checkpoint and the record");
    // The intent is carried over: a line that tells its name again goes before it.
    writer.begin_segment().unwrap();
    assert_eq!(writer.size(), size + 5, "the segment, a name and what it carries");
    writer.end();
    let text = writer.pending();
    let lines: Vec<Vec<u8>> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    assert_eq!(lines.len() as u64, writer.size(), "a line is a line");
    let mut tree = MerkleTree::new();
    lines.iter().for_each(|line| tree.push(line));
    assert_eq!(tree.root(), writer.root());
    (identity, log, lines)
}

#[test]
fn every_kind_of_line_reads_back() {
    let (_, _, lines) = every_line("req", "name");
    let mut kinds = BTreeSet::new();
    for line in lines {
        let read = read_line(&line).unwrap();
        let mut again = Vec::new();
        read.encode(&mut again);
        assert_eq!(again, line);
        // A kind that is new does not compile here until it is in the list below.
        kinds.insert(match read {
            Line::Open(_) => "open",
            Line::Segment(_) => "segment",
            Line::Carried(_) => "carried",
            Line::Name(_) => "name",
            Line::Decision(line) if line.count > NonZeroU64::MIN => "counted decision",
            Line::Decision(_) => "decision",
            Line::Intent(_) => "intent",
            Line::Outcome(_) => "outcome",
            Line::Closed(_) => "closed",
            Line::Cited(_) => "cited",
            Line::Checkpoint(_) => "checkpoint",
            Line::Close(_) => "close",
            // See `the_lines_of_a_snapshot_are_taken_in_one_spelling`.
            Line::Snapshot(_) => continue,
        });
    }
    assert_eq!(kinds.len(), 12, "{kinds:?}");
}

#[test]
fn a_count_has_one_spelling_and_stands_for_refusals_alone() {
    let good =
        r#"{"t":"decision","at":"7","action":"read","target":"store","effect":"deny","count":"2"}"#;
    let Ok(Line::Decision(line)) = read_line(good.as_bytes()) else { panic!("refused") };
    assert_eq!(line.count.get(), 2);
    let most = good.replace("\"2\"", "\"18446744073709551615\"");
    read_line(most.as_bytes()).unwrap();
    for bad in [
        good.replace("\"2\"", "\"0\""),
        good.replace("\"2\"", "\"1\""),
        good.replace("\"2\"", "\"02\""),
        good.replace("\"2\"", "\"18446744073709551616\""),
        good.replace("\"2\"", "2"),
        good.replace("deny", "allow"),
        good.replace(
            ",\"effect\":\"deny\",\"count\":\"2\"",
            ",\"count\":\"2\",\"effect\":\"deny\"",
        ),
        r#"{"t":"closed","at":"7","log":"0001020304050607","count":"2","size":"1","root":"00"}"#
            .to_owned(),
    ] {
        assert!(read_line(bad.as_bytes()).is_err(), "{bad}");
    }
    // Nor is one written.
    let mut writer = LineWriter::begin(FakeIdentity::new(1)).unwrap();
    let before = (writer.size(), writer.root());
    let mut record = read_of("billing", "prod/db", 1);
    if let AuditRecord::Decision(decision) = &mut record {
        decision.count = NonZeroU64::MAX;
    }
    writer.append(&[record]).unwrap_err();
    assert_eq!((writer.size(), writer.root()), before);
}

#[test]
fn other_spellings_are_refused() {
    let (_, log, _) = every_line("req", "name");
    let good = format!(r#"{{"t":"outcome","at":"7","log":"{log}","intent":"3","outcome":"done"}}"#);
    read_line(good.as_bytes()).unwrap();
    let cases = [
        good.replace("\"7\"", "7"),
        good.replace("\"7\"", "\"07\""),
        good.replace("\"7\"", "\"+7\""),
        good.replace("\"7\"", "\"253402300800000\""),
        good.replace("\"3\"", "\"18446744073709551616\""),
        good.replace("\"3\"", "\"-3\""),
        good.replace("done", "Done"),
        good.replace("done", "d\\u006fne"),
        good.replace(':', ": "),
        good.replace('}', ",\"seq\":\"1\"}"),
        good.replace('}', ",\"intent\":\"3\"}"),
        good.replace('}', ",\"unknown\":\"3\"}"),
        good.replace(",\"intent\":\"3\"", ""),
        good.replace(",\"intent\":\"3\"", ",\"intent\":null"),
        good.replace("\"at\":\"7\",", "").replace('}', ",\"at\":\"7\"}"),
        good.replace(&log.to_string(), &log.to_string().to_uppercase()),
        format!("{good}\r"),
        format!(" {good}"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        good.replace("outcome\",\"at", "close\",\"at"),
        "{}".to_owned(),
        "[]".to_owned(),
        String::new(),
        "\0".repeat(100),
        "[".repeat(100_000),
    ];
    for case in cases.iter().filter(|case| **case != good) {
        assert!(
            matches!(read_line(case.as_bytes()), Err(AuditError::Malformed { .. })),
            "{}",
            case.chars().take(200).collect::<String>()
        );
    }
}

#[test]
fn texts_that_are_too_long_are_refused_and_leave_nothing() {
    let identity = FakeIdentity::new(1);
    let mut writer = LineWriter::begin(Arc::clone(&identity) as _).unwrap();
    let before = (writer.size(), writer.root(), writer.pending().to_vec());
    for (id, reason) in [("r".repeat(1025), String::new()), (String::new(), "x".repeat(16_385))] {
        let mut record = read_of("a", "prod/db", 1);
        if let AuditRecord::Decision(decision) = &mut record {
            decision.context = RequestContext::new().with_request_id(id).with_reason(reason);
        }
        assert!(writer.append(&[read_of("b", "prod/b", 1), record]).is_err());
        assert_eq!((writer.size(), writer.root(), writer.pending().to_vec()), before);
    }
    // What was taken back is told again.
    writer.append(&[read_of("b", "prod/b", 1)]).unwrap();
    let names = writer
        .pending()
        .split(|b| *b == b'\n')
        .filter(|l| l.starts_with(b"{\"t\":\"name\""))
        .count();
    assert_eq!(names, 4);
}

proptest! {
    #[test]
    fn hostile_names_never_break_a_line(request in "(?s).{0,40}", name in "(?s).{0,40}") {
        let (identity, log, lines) = every_line(&request, &name);
        let mut told = Vec::new();
        let mut seen = false;
        for line in lines {
            match read_line(&line).unwrap() {
                Line::Name(line) => {
                    let text = identity.decrypt_name(log, &line.sealed).unwrap();
                    prop_assert_eq!(identity.token(line.class.number(), &text), line.token.0);
                    told.push((line.token, text));
                }
                Line::Decision(decision) => {
                    if decision.request.as_deref() == Some(request.as_str()) {
                        seen = true;
                    }
                    // A name is told before its first use.
                    for token in decision.roles.iter().chain(decision.claims.iter()) {
                        prop_assert!(told.iter().any(|(known, _)| known == token));
                    }
                }
                _ => {}
            }
        }
        prop_assert!(seen);
        prop_assert!(told.iter().any(|(_, text)| *text == name));
    }

    #[test]
    fn what_is_read_is_spelled_as_it_was_written(kind in 0_usize..20, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, _, lines) = every_line("request \u{1f600}\"\\\n", "name");
        let mut line = lines.get(kind % lines.len()).unwrap().clone();
        let at = at.index(line.len());
        if let Some(place) = line.get_mut(at) {
            *place = byte;
        }
        if let Ok(read) = read_line(&line) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(again, line);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_line(&bytes);
    }
}

#[test]
fn the_lines_of_a_snapshot_are_taken_in_one_spelling() {
    let (log, digest) = ("0001020304050607", "ab".repeat(32));
    let told = format!(r#""log":"{log}","intent":"9""#);
    let good = [
        r#"{"t":"snapshot","at":"7","number":"1"}"#.to_owned(),
        format!(
            r#"{{"t":"pruned","log":"{log}","size":"5","root":"{digest}","registered":"0","rest":"open"}}"#
        ),
        format!(
            r#"{{"t":"kept","key":"01","first":"2","prev":"{digest}","seq":"2","digest":"{digest}",{told}}}"#
        ),
        r#"{"t":"older","key":"01","digests":"0000000700000008"}"#.to_owned(),
        r#"{"t":"missed","key":"01","seq":"2","digest":"00000007"}"#.to_owned(),
        format!(
            r#"{{"t":"unsettled","key":"01","seq":"2","prev":"{digest}","next":"{digest}",{told},"erases":["03"]}}"#
        ),
        r#"{"t":"erased","key":"0304"}"#.to_owned(),
        r#"{"t":"snapshot-end","number":"1","lines":"6","elsewhere":"no"}"#.to_owned(),
    ];
    for line in &good {
        let read = read_line(line.as_bytes());
        assert!(matches!(read, Ok(Line::Snapshot(_))), "{line}: {read:?}");
        let mut again = Vec::new();
        read.unwrap().encode(&mut again);
        assert_eq!(String::from_utf8(again).unwrap(), *line);
    }
    let bad = [
        good[1].replace("open", "gone"),
        good[2].replace(r#""first":"2""#, r#""first":"3""#),
        good[3].replace("0000000700000008", ""),
        good[3].replace("0000000700000008", "00000007000000"),
        good[3].replace("0000000700000008", &"00000007".repeat(1001)),
        good[4].replace("00000007", "0007"),
        good[5].replace(r#","erases":["03"]"#, r#","erases":[]"#),
        good[7].replace("no", "maybe"),
        good[7].replace(r#","lines":"6""#, ""),
    ];
    for line in &bad {
        assert!(read_line(line.as_bytes()).is_err(), "{line}");
    }
}
