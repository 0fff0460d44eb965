//! Cases about listing.

use strongroom_core::{Expect, Scan, Storage};

use super::{Bench, erase, insert, key, keys_of, list_all, page, put, read, scan, write};

fn fill(storage: &dyn Storage, names: &[&[u8]]) {
    for name in names {
        insert(storage, &key(name), name);
    }
}

/// Unsigned bytes, shorter first.
pub fn lists_come_in_bytewise_order(bench: &Bench) {
    let storage = bench.open();
    let mut names: Vec<&[u8]> =
        vec![b"b", b"a", b"ab", &[0x80], &[0x7f], &[0xff], b"a\0", b"B", &[0], &[0xff, 0]];
    fill(&*storage, &names);
    names.sort_unstable();
    assert_eq!(keys_of(&list_all(&*storage, scan("", 100))), names);
    assert_eq!(keys_of(&list_all(&*storage, scan("", 3))), names);
}

/// A prefix is bytes, not a pattern and not a folder; the key that equals it belongs to it.
pub fn a_prefix_is_exact(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[b"a", b"ab", b"ab%", b"ab_", b"aB", b"ac", b"b", b"ab\xff"]);
    let found = keys_of(&list_all(&*storage, scan("ab", 2)));
    assert_eq!(found, [&b"ab"[..], b"ab%", b"ab_", b"ab\xff"]);
    assert_eq!(keys_of(&list_all(&*storage, scan("ab%", 2))), [b"ab%"]);
    assert!(list_all(&*storage, scan("abc", 2)).is_empty());
}

/// There is no key after those that begin with 0xff bytes only.
pub fn a_prefix_of_full_bytes_ends_where_keys_end(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[&[0xfe], &[0xff], &[0xff, 0xff], &[0xff, 0xff, 1], &[1, 0xff], &[2]]);
    let found = keys_of(&list_all(&*storage, scan([0xff], 1)));
    assert_eq!(found, [&[0xff][..], &[0xff, 0xff], &[0xff, 0xff, 1]]);
    assert_eq!(keys_of(&list_all(&*storage, scan([0xff, 0xff], 1))).len(), 2);
    assert_eq!(keys_of(&list_all(&*storage, scan([1, 0xff], 1))), [[1, 0xff]]);
}

/// Where to go on is a place, not a record.
pub fn a_list_goes_on_after_a_key_that_need_not_exist(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[b"a", b"c", b"e"]);
    let after = |name: &str| {
        let scan = Scan { after: Some(key(name)), ..scan("", 10) };
        keys_of(&list_all(&*storage, scan))
    };
    assert_eq!(after("a"), [b"c", b"e"]);
    assert_eq!(after("b"), [b"c", b"e"]);
    assert_eq!(after("c"), [b"e"]);
    assert!(after("e").is_empty());
    erase(&*storage, &[key("c")]);
    assert_eq!(after("c"), [b"e"]);
}

/// `after` never widens a prefix.
pub fn after_before_the_prefix_begins_at_the_prefix(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[b"a", b"aa", b"b", b"ba", b"c"]);
    let scan = Scan { after: Some(key("a")), ..scan("b", 10) };
    assert_eq!(keys_of(&list_all(&*storage, scan)), [&b"b"[..], b"ba"]);
}

/// Nor beyond its end.
pub fn after_beyond_the_prefix_is_the_end(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[b"a", b"b", b"c"]);
    let scan = Scan { after: Some(key("c")), ..scan("b", 10) };
    let page = page(&*storage, &scan);
    assert!(page.entries.is_empty() && !page.more);
}

/// Pages are at most as long as asked for; `more` is false at the end and only there.
pub fn a_limit_is_kept_and_more_is_true_until_the_end(bench: &Bench) {
    let storage = bench.open();
    let names: Vec<[u8; 2]> = (0..30).map(|n| [b'k', n]).collect();
    for name in &names {
        insert(&*storage, &key(name), "v");
    }
    insert(&*storage, &key("z"), "v");
    for limit in [1, 7, 29, 30, 31, u32::MAX] {
        let mut scan = scan("k", limit);
        let mut seen = Vec::new();
        loop {
            let page = page(&*storage, &scan);
            seen.extend(keys_of(&page.entries));
            assert!(page.more || seen.len() == names.len(), "ended before the end");
            match page.entries.last() {
                Some(last) if page.more => scan.after = Some(last.key.clone()),
                _ => break,
            }
        }
        assert_eq!(seen, names);
    }
}

/// Values and revisions of a list are those of a read.
pub fn values_are_listed_where_they_are_asked_for(bench: &Bench) {
    let storage = bench.open();
    fill(&*storage, &[b"a", b"b", b"c"]);
    let without = list_all(&*storage, scan("", 2));
    assert!(without.iter().all(|entry| entry.value.is_none()));
    let with = list_all(&*storage, Scan { with_values: true, ..scan("", 2) });
    assert_eq!(with.len(), 3);
    for (a, b) in with.iter().zip(&without) {
        let found = read(&*storage, &a.key);
        assert_eq!((&a.key, &a.revision), (&b.key, &b.revision));
        assert_eq!(found.map(|entry| (entry.revision, Some(entry.value))), {
            Some((a.revision.clone(), a.value.clone()))
        });
    }
}

/// FC-123: numbers in keys, written as big-endian bytes, come in their order across every change
/// of length.
pub fn numbers_in_keys_sort_by_value(bench: &Bench) {
    let storage = bench.open();
    let edges = [10, 100, 128, 256, 1_000, 32_768, 65_536, 1 << 31, 1 << 32, 1 << 63];
    let mut numbers: Vec<u64> = edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]).collect();
    numbers.extend(1..=5);
    for number in numbers.iter().rev() {
        insert(&*storage, &key([&b"n"[..], &number.to_be_bytes()].concat()), number.to_string());
    }
    numbers.sort_unstable();
    let listed = list_all(&*storage, Scan { with_values: true, ..scan("n", 4) });
    let found: Vec<_> = listed.into_iter().filter_map(|entry| entry.value).collect();
    let expected: Vec<_> = numbers.iter().map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(found, expected);
}

/// A list that others write beside has all that was there all the time, once.
pub fn a_list_while_others_write_keeps_what_stays(bench: &Bench) {
    let storage = bench.open();
    for n in 0..40_u8 {
        insert(&*storage, &key([n, 0]), "stays");
    }
    let mut scan = scan("", 3);
    let (mut seen, mut n) = (Vec::new(), 0_u8);
    loop {
        let page = page(&*storage, &scan);
        seen.extend(keys_of(&page.entries));
        let Some(last) = page.entries.last().filter(|_| page.more) else { break };
        scan.after = Some(last.key.clone());
        if n < 12 {
            // Before, at and behind the place where the list stands.
            let names = [key([0, 1, n]), key([n * 3, 1]), key([39 - n, 2])];
            for at in names {
                let _ = write(&*storage, [put(&at, Expect::Absent, "new")]);
            }
            n += 1;
        }
    }
    let stayed: Vec<_> = seen.iter().filter(|name| name.get(1) == Some(&0)).collect();
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(seen, sorted, "in order, each once");
    assert_eq!(stayed.len(), 40);
}
