//! What encrypting and decrypting leave of a value in the memory of the process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{File, read_to_string};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::spawn;

use strongroom_core::{Entropy, EntropyError, SecretValue};
use strongroom_crypto::{DataKey, Suite, decrypt_value, encrypt_value};

#[derive(Debug)]
struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        buffer.fill(7);
        Ok(())
    }
}

/// Each byte of a value yields the next, so that a value can be told without being known.
const fn next(byte: u8) -> u8 {
    byte.wrapping_mul(5).wrapping_add(0x33)
}

fn value(length: usize) -> SecretValue {
    let mut bytes = Vec::with_capacity(length);
    let mut byte = 1;
    for _ in 0..length {
        bytes.push(byte);
        byte = next(byte);
    }
    SecretValue::new(bytes)
}

/// How often 16 bytes of a value stand anywhere in this process's writable memory.
fn windows() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in read_to_string("/proc/self/maps").unwrap().lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        if !rights.starts_with("rw") {
            continue;
        }
        let mut at = u64::from_str_radix(from, 16).unwrap();
        let end = u64::from_str_radix(to, 16).unwrap();
        let (mut run, mut last) = (0, 0);
        let mut page = vec![0; 4096];
        while at < end && memory.read_exact_at(&mut page, at).is_ok() {
            for &byte in &page {
                run = if byte == next(last) { run + 1 } else { 0 };
                found += usize::from(run == 15);
                last = byte;
            }
            at += 4096;
        }
    }
    found
}

/// Looks from a thread of its own, which waits beside the one that works: a look from within would
/// overwrite the stack that it is about.
struct Watcher {
    ask: SyncSender<()>,
    answer: Receiver<usize>,
}

impl Watcher {
    fn new() -> Self {
        let (ask, asked) = sync_channel(0);
        let (give, answer) = sync_channel(0);
        spawn(move || asked.iter().try_for_each(|()| give.send(windows())));
        Self { ask, answer }
    }

    fn look(&self) -> usize {
        self.ask.send(()).unwrap();
        self.answer.recv().unwrap()
    }
}

// One test: tests of one program share their memory.
#[test]
fn nothing_of_a_value_stays_behind() {
    let watcher = Watcher::new();
    let windows = || watcher.look();
    assert_eq!(windows(), 0);
    let kept = value(256);
    assert!(windows() > 0, "a value that is there must be found");
    drop(black_box(kept));
    assert_eq!(windows(), 0, "a value is wiped when it is dropped");

    let key = DataKey::generate(&Sevens).unwrap();
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        for length in [64, 256, 1_000, 70_000] {
            let sealed = encrypt_value(&key, &[3; 12], suite, &value(length)).unwrap();
            assert_eq!(windows(), 0, "after {suite:?} has encrypted {length} bytes");
            let opened = decrypt_value(&[7; 32], &[3; 12], suite, &sealed, length).unwrap();
            assert!(opened.ct_eq(&value(length)));
            drop(opened);
            assert_eq!(windows(), 0, "after {suite:?} has decrypted {length} bytes");
        }
    }
}
