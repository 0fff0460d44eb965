//! Cases about reading back.

use super::{Bench, insert, key, list_all, read, read_all, scan, value};

/// An empty value is a value.
pub fn absent_and_empty_are_two_answers(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("k"), "");
    assert_eq!(value(&*storage, &key("k")), Some(Vec::new()));
    assert_eq!(value(&*storage, &key("other")), None);
}

/// One answer a key, in order, whatever order the store has.
pub fn answers_come_in_the_order_of_the_keys(bench: &Bench) {
    let storage = bench.open();
    for name in ["a", "b", "c"] {
        insert(&*storage, &key(name), name);
    }
    let asked = ["c", "none", "a", "b"];
    let found = read_all(&*storage, &asked.map(key));
    let found: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.value)).collect();
    let expected = [Some("c"), None, Some("a"), Some("b")];
    assert_eq!(found, expected.map(|name| name.map(|name| name.as_bytes().to_vec())));
}

/// Duplicates are answered each.
pub fn a_key_asked_for_twice_is_answered_twice(bench: &Bench) {
    let storage = bench.open();
    insert(&*storage, &key("k"), "v");
    let found = read_all(&*storage, &[key("k"), key("k"), key("x"), key("x")]);
    assert!(found.first().is_some_and(Option::is_some));
    assert_eq!(found.first(), found.get(1));
    assert_eq!(found.get(2..), Some(&[None, None][..]));
}

/// Reading nothing is not an error.
pub fn no_key_is_no_answer(bench: &Bench) {
    let storage = bench.open();
    assert!(read_all(&*storage, &[]).is_empty());
    insert(&*storage, &key("k"), "v");
    assert!(read_all(&*storage, &[]).is_empty());
}

/// The limits of a key are within it.
pub fn keys_of_one_and_of_512_bytes_are_kept(bench: &Bench) {
    let storage = bench.open();
    for name in [vec![0], vec![0xff], vec![0; 512], vec![0xff; 512], vec![0xff; 511]] {
        insert(&*storage, &key(&name), &name);
        assert_eq!(value(&*storage, &key(&name)), Some(name));
    }
    assert_eq!(list_all(&*storage, scan("", 2)).len(), 5);
}

/// No case folding, no trimming, no text encoding.
pub fn keys_are_told_apart_byte_by_byte(bench: &Bench) {
    let storage = bench.open();
    let names: [&[u8]; 9] =
        [b"k", b"K", b"k ", b" k", b"k\0", b"\0k", b"k/", b"k%2F", &[0xc3, 0x28]];
    for name in names {
        insert(&*storage, &key(name), name);
    }
    for name in names {
        assert_eq!(value(&*storage, &key(name)).as_deref(), Some(name));
    }
}

/// Bytes are bytes.
pub fn values_come_back_exactly(bench: &Bench) {
    let storage = bench.open();
    let every: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 6] = [b"v\n", b"v\r\n", b"\0", b"\xff\xfe", b" ", &every];
    for (at, bytes) in values.iter().enumerate() {
        let at = key(at.to_be_bytes());
        insert(&*storage, &at, bytes);
        assert_eq!(value(&*storage, &at).as_deref(), Some(*bytes));
    }
}

/// The longest value that the profile allows, at most 64 KiB, of bytes that do not compress.
pub fn the_longest_value_is_kept(bench: &Bench) {
    let storage = bench.open();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let longest: Vec<u8> = (0..storage.profile().value_bytes.get()).map(|_| next()).collect();
    assert!(longest.len() <= strongroom_core::MAX_VALUE_BYTES);
    insert(&*storage, &key("long"), &longest);
    assert_eq!(value(&*storage, &key("long")), Some(longest));
}

/// What is committed is there for the next who opens.
pub fn a_reopened_store_sees_what_was_written(bench: &Bench) {
    let first = bench.open();
    let revision = insert(&*first, &key("k"), "v");
    drop(first);
    let found = read(&*bench.open(), &key("k"));
    assert!(found.is_some_and(|entry| entry.revision == revision && entry.value == b"v"));
}

/// Reading and listing a store that was never written is no error.
pub fn an_empty_store_is_empty(bench: &Bench) {
    let storage = bench.open();
    assert_eq!(read(&*storage, &key("k")), None);
    assert!(list_all(&*storage, scan("", 10)).is_empty());
    storage.change_mark();
    let profile = storage.profile();
    assert_eq!(profile, bench.open().profile());
}
