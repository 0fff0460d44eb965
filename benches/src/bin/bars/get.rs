//! `get` of 256 B, authorised and audited, on SQLite: as it is by default, and as fast as it may be.

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use futures_executor::block_on;
use strongroom::{Durability, Freshness, Opaque};
use strongroom_benches::{Outcome, Room, allocations, bar, interleave, owner, path, say, value};

/// Current, with the record flushed: the default.
pub(crate) fn current(quick: bool) -> Outcome {
    let [raw, get] = beside_raw(quick, Durability::Flushed, Freshness::Current)?;
    let ratio = get.median() / raw.median();
    bar("get-current", format!("{ratio:.1} x raw; get {get}, raw {raw}"), ratio <= 20.0);
    let [write, read] = kernel_alone(quick)?;
    let alone = write.median() + read.median();
    let times = alone / raw.median();
    say(format!("the kernel's part alone, {times:.1} x raw: write {write}, read {read}"));
    let rate = 1.0 / get.median();
    bar("get-current", format!("{rate:.0}/s on one core"), rate >= 200_000.0);
    allocations("get-current", "get", 12)
}

/// At most a second old, with the record held.
pub(crate) fn at_most(quick: bool) -> Outcome {
    let freshness = Freshness::AtMost(Duration::from_secs(1));
    let [raw, get] = beside_raw(quick, Durability::Held, freshness)?;
    let ratio = get.median() / raw.median();
    bar("get-at-most", format!("{ratio:.1} x raw; get {get}, raw {raw}"), ratio <= 8.0);
    Ok(())
}

fn beside_raw(
    quick: bool,
    durability: Durability,
    freshness: Freshness,
) -> Outcome<[strongroom_benches::Spread; 2]> {
    let rounds = if quick { 200 } else { 2_000 };
    let room = Room::create(durability)?;
    let session = room.room.session(owner()).with_freshness(freshness);
    let secret = path(7)?;
    block_on(session.put(secret.clone(), value(7)))?;

    let mut open = raw_open()?;
    let mut get = || {
        let got = block_on(session.get::<Opaque>(&secret));
        black_box(got.is_ok());
    };
    Ok(interleave(rounds, [(400, &mut open), (50, &mut get)]))
}

/// What a `get` of this kind asks of the kernel and cannot do without: one write of its record, and
/// one read of the change mark.
fn kernel_alone(quick: bool) -> Outcome<[strongroom_benches::Spread; 2]> {
    let (log, mark) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let (record, mut count) = ([b'x'; RECORD_BYTES], [0; 16]);
    mark.write_all_at(&count, 0)?;
    let (mut written, mut failed) = (0, false);
    let mut write = || {
        failed |= log.write_all_at(&record, written).is_err();
        written += RECORD_BYTES as u64;
    };
    let mut read = || {
        black_box(mark.read_exact_at(&mut count, 0).is_ok());
    };
    let rounds = if quick { 200 } else { 2_000 };
    let spreads = interleave(rounds, [(50, &mut write), (50, &mut read)]);
    if failed { Err("a write failed".into()) } else { Ok(spreads) }
}

/// The bytes of the record of a `get` in these rooms.
const RECORD_BYTES: usize = 430;

/// One open of 256 B with a ready cipher, in place.
fn raw_open() -> Outcome<impl FnMut()> {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let nonce = Nonce::from([9; 12]);
    let mut sealed = [5_u8; 256];
    let tag: Tag = cipher
        .encrypt_inout_detached(&nonce, &[], sealed.as_mut_slice().into())
        .map_err(|_| "encrypting failed")?;
    Ok(move || {
        let mut text = sealed;
        let opened = cipher.decrypt_inout_detached(&nonce, &[], text.as_mut_slice().into(), &tag);
        black_box((opened.is_ok(), text));
    })
}
