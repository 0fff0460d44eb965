//! What can go wrong around a secret of any kind.

use std::time::Duration;

use futures_executor::block_on;
use strongroom::{
    Error, Expected, NotDoneKind, Opaque, Password, Permit, Read, SecretKind, Session, Version,
    Write, WriteOptions,
};
use strongroom_testkit::{Call, Fault};

use crate::heard::Heard;
use crate::kinds::{Canaried, Note};
use crate::parts::{Kit, Mood, alice};

const PATH: &str = "prod/db";

/// A kind that no canary has.
#[derive(Debug)]
struct Stranger;

impl SecretKind for Stranger {
    const KIND: strongroom::KindName = strongroom::KindName::new("acme.stranger");
    type Identifiers = strongroom::NoIdentifiers;
    fn into_parts(self) -> (Self::Identifiers, strongroom::SecretValue) {
        (strongroom::NoIdentifiers {}, strongroom::SecretValue::copied_from(b"x"))
    }
    fn from_parts(
        _: Self::Identifiers,
        _: strongroom::SecretValue,
    ) -> Result<Self, strongroom::KindError> {
        Ok(Self)
    }
}

/// Walks one kind along every path on which a value is at hand while something fails.
pub(crate) fn provoke<K: Canaried>(heard: &mut Heard, times: usize) {
    block_on(walk::<K>(heard, times));
}

async fn walk<K: Canaried>(heard: &mut Heard, times: usize) {
    let make = || K::with_canary(times);
    let kit = Kit::new();
    let room = kit.builder().create().await.unwrap();
    let session = alice(&room);
    heard.debug("secret", &make());
    heard.debug("value", &make().into_parts().1);
    session.put(PATH, make()).await.unwrap();
    session.put(PATH, make()).await.unwrap();

    // What comes out, and what is said on the way.
    let permit: Permit<Read> = session.authorize(PATH).await.unwrap();
    heard.debug("permit", &permit);
    heard.debug("secret read", &permit.read::<K>().await.unwrap());
    heard.debug("secret got", &session.get::<K>("prod/db@1").await.unwrap());
    heard.debug("metadata", &session.metadata(PATH).await.unwrap());
    let many = session.get_many::<K>(&[PATH.parse().unwrap(), "prod/no".parse().unwrap()]).await;
    heard.debug("many", &many);

    // What is not of the kind that was asked for.
    heard.refusal("other kind", session.get::<Stranger>(PATH).await);
    heard.refusal("other kind", session.identifiers::<Stranger>(PATH).await.map(drop));
    if K::KIND != Password::KIND {
        heard.refusal("other kind", session.get::<Password>(PATH).await);
    }
    if K::KIND != Opaque::KIND {
        heard.refusal("other kind", session.get::<Opaque>(PATH).await);
    }
    if K::KIND == Note::KIND
        && let Err(error) = session.get::<Note>(PATH).await
    {
        heard.error(&error);
    }

    // What is not accepted.
    let wrong = Version::new(9).unwrap();
    heard.refusal("version", session.put_with(PATH, make(), wrong).await);
    heard.refusal("exists", session.put_with(PATH, make(), Expected::Absent).await);
    let permit = || session.authorize::<Write>(PATH);
    let options = WriteOptions::from(wrong);
    heard.refusal("permit", permit().await.unwrap().write(make(), options).await);
    let huge = K::with_canary(50_000);
    heard.refusal("too large", session.put(PATH, huge).await);
    heard.refusal("path", session.put("prod//db", make()).await);
    heard.refusal("no namespace", {
        let permit = session.authorize::<Write>("none/db").await.unwrap();
        permit.write(make(), WriteOptions::new()).await
    });

    decided_otherwise::<K>(heard, &kit, &session, make).await;
    failing_parts::<K>(heard, &kit, &session, make).await;
    if times > 1 {
        damaged::<K>(heard, &kit, &session).await;
    }

    let permit = session.authorize::<Write>("prod/other").await.unwrap();
    let reader = session.authorize::<Read>("prod/other").await.unwrap();
    heard.debug("room", &room);
    heard.debug("session", &session);
    let sealed = room.seal();
    heard.debug("sealed room", &sealed);
    heard.refusal("sealed", permit.write(make(), WriteOptions::new()).await);
    heard.refusal("sealed", reader.read::<K>().await);
    heard.refusal("sealed", session.put(PATH, make()).await);
    heard.refusal("sealed", session.get::<K>(PATH).await);
    kit.tell(heard);
}

/// The policy refuses, or cannot say.
async fn decided_otherwise<K: Canaried>(
    heard: &mut Heard,
    kit: &Kit,
    session: &Session,
    make: impl Fn() -> K,
) {
    for mood in [Mood::Deny, Mood::Unavailable, Mood::Obligation, Mood::Panic] {
        let held = session.authorize::<Write>(PATH).await.unwrap();
        kit.policy.turn(mood);
        heard.refusal("stale", held.write(make(), WriteOptions::new()).await);
        heard.refusal("refused", session.put(PATH, make()).await);
        heard.refusal("refused", session.get::<K>(PATH).await);
        heard.refusal("refused", session.identifiers::<K>(PATH).await.map(drop));
        kit.policy.turn(Mood::Allow);
    }
    let held = session.authorize::<Read>(PATH).await.unwrap();
    kit.clock.advance(Duration::from_secs(61));
    heard.refusal("expired permit", held.read::<K>().await);
}

/// Storage, log or randomness fail under a write or a read.
async fn failing_parts<K: Canaried>(
    heard: &mut Heard,
    kit: &Kit,
    session: &Session,
    make: impl Fn() -> K,
) {
    for kind in [
        NotDoneKind::Busy,
        NotDoneKind::Full,
        NotDoneKind::ReadOnly,
        NotDoneKind::Denied,
        NotDoneKind::Unreachable,
        NotDoneKind::Damaged,
        NotDoneKind::TooLarge,
    ] {
        kit.storage.every(Call::Write, Fault::Fail(kind));
        heard.refusal("storage", session.put(PATH, make()).await);
        kit.storage.heal();
        kit.storage.every(Call::Read, Fault::Fail(kind));
        heard.refusal("storage", session.put("prod/unread", make()).await);
        heard.refusal("storage", session.get::<K>("prod/unread").await);
        kit.storage.heal();
    }
    for fault in [Fault::LostRequest, Fault::LostReply] {
        kit.storage.nth(Call::Write, 1, fault);
        kit.storage.nth(Call::Write, 2, fault);
        let error = heard.refusal("lost", session.put(PATH, make()).await);
        let Error::Indeterminate(write) = error else { panic!("{error:?}") };
        heard.debug("doubt", &write);
        kit.storage.heal();
        kit.storage.nth(Call::Write, 1, Fault::LostRequest);
        match session.resolve(&write).await {
            Ok(outcome) => heard.debug("outcome", &outcome),
            Err(error) => heard.error(&error),
        }
        kit.storage.heal();
        heard.debug("outcome", &session.resolve(&write).await);
        session.put(PATH, make()).await.unwrap();
    }
    kit.sink.fail_next(1);
    heard.refusal("log", session.put(PATH, make()).await);
    kit.sink.fail_next(1);
    heard.refusal("log", session.get::<K>(PATH).await);
    kit.well.dry(true);
    heard.refusal("entropy", session.put("prod/new", make()).await); // for a name in the log
    heard.refusal("entropy", session.put(PATH, make()).await);
    kit.well.dry(false);
}

/// Records are not what was written: each is changed in one of four ways, and each is taken away.
async fn damaged<K: Canaried>(heard: &mut Heard, kit: &Kit, session: &Session) {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.truncate(40),
        |bytes| *bytes.first_mut().unwrap() ^= 1,
        Vec::clear,
    ];
    let whole = kit.memory.snapshot();
    for (key, change) in whole.keys().zip(changes.into_iter().cycle()) {
        kit.memory.tamper(key, change);
        heard.debug("read", &session.get::<K>(PATH).await);
        for result in [session.get::<K>(PATH).await.map(drop), kit.again().await.map(drop)] {
            if let Err(error) = result {
                heard.error(&error);
            }
        }
        kit.memory.replace(key.clone(), None);
        if let Err(error) = session.get::<K>(PATH).await {
            heard.error(&error);
        }
        kit.memory.restore(whole.clone());
    }
    kit.memory.tamper(whole.keys().last().unwrap(), Vec::clear);
    heard.debug("report", &session.verify().await);
    kit.memory.restore(whole);
}
