//! Every operation there is, each with a store that it does something to.

use std::future::Future;
use std::pin::Pin;

use strongroom_core::{
    Credential, Expected, HoldMetadata, MetadataUpdate, NotDoneKind, Opaque, Read, ReadMetadata,
    SecretPath, Timestamp, Version, Write,
};
use strongroom_engine::{Error, WriteOptions};
use strongroom_testkit::{Call, Fault};

use crate::world::{Backend, World, poll_and_drop};

pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;
pub(crate) type Run = fn(&World) -> Running<'_>;

/// Who the room is of when the operation is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// The test's: it can write on, or be closed.
    Open,
    /// It is being closed: it can be closed again, and no more.
    Closing,
    /// It is being opened, and is the operation's own.
    Opening,
    /// The same, of a store that is being created.
    Creating,
}

pub(crate) struct Op {
    pub(crate) name: &'static str,
    /// The path of the next write.
    pub(crate) path: &'static str,
    pub(crate) room: Room,
    /// What the operation finds.
    pub(crate) before: Run,
    pub(crate) run: Run,
    pub(crate) backends: &'static [Backend],
    /// Whether it takes away what would tell of an earlier write that is in doubt.
    pub(crate) forgets: bool,
    /// Whole states between nothing and all of it, of an operation that makes several writes.
    pub(crate) between: &'static [Run],
}

impl Op {
    const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    const fn room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    const fn on(mut self, backends: &'static [Backend]) -> Self {
        self.backends = backends;
        self
    }

    const fn forgetting(mut self) -> Self {
        self.forgets = true;
        self
    }

    const fn between(mut self, between: &'static [Run]) -> Self {
        self.between = between;
        self
    }
}

const fn op(name: &'static str, before: Run, run: Run) -> Op {
    let (path, room, backends) = ("prod/db", Room::Open, &[Backend::Wide]);
    Op { name, path, room, before, run, backends, forgets: false, between: &[] }
}

/// Operations as expressions over a session; what they answer is dropped.
macro_rules! run {
    (|$alice:ident, $world:ident| $body:expr) => {
        (|$world| {
            Box::pin(async move {
                let $alice = $world.alice();
                $body.await.map(drop)
            })
        }) as Run
    };
    (|$alice:ident| $body:expr) => {
        (|world| {
            Box::pin(async move {
                let $alice = world.alice();
                $body.await.map(drop)
            })
        }) as Run
    };
}

fn value(text: &str) -> Opaque {
    Opaque::new(text.as_bytes())
}

fn large(byte: u8) -> Opaque {
    Opaque::new(vec![byte; 9_000])
}

fn v(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn until() -> Timestamp {
    Timestamp::from_millis(4_000_000_000_000).unwrap()
}

fn hold() -> HoldMetadata {
    HoldMetadata { id: "audit".into(), until: until() }
}

/// An operation that must be refused, and changes nothing.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(Error::Conflict(_)) => Ok(()),
        other => panic!("not refused: {other:?}"),
    }
}

const NOTHING: Run = |_| Box::pin(async { Ok(()) });
const ONE: Run = run!(|alice| alice.put("prod/db", value("one")));
/// The first version is in a blob.
const THREE: Run = run!(|alice| async {
    for text in ["one", "two", "three"] {
        alice.put("prod/db", value(text)).await?;
    }
    Ok(())
});
const LARGE: Run = run!(|alice| alice.put("prod/db", large(1)));
const PENDING: Run = run!(|alice| async {
    alice.put("prod/db", value("one")).await?;
    alice.put_with("prod/db", value("two"), WriteOptions::new().pending()).await
});
const MANY: Run = run!(|alice| async {
    for path in ["prod/db", "prod/a/b", "prod/a/c", "other/x"] {
        alice.put(path, value(path)).await?;
    }
    Ok(())
});
const ROTATED: Run = run!(|alice, world| async {
    MANY(world).await?;
    alice.put("prod/db", large(2)).await?;
    alice.rotate_keys("prod").await
});
/// A namespace of which a write is in doubt; whether it took effect is as the fault says.
macro_rules! in_doubt {
    ($fault:expr, |$alice:ident| $write:expr) => {
        (|world| {
            Box::pin(async move {
                ONE(world).await?;
                world.storage.nth(Call::Write, 1, $fault);
                let $alice = world.alice();
                match $write.await {
                    Err(Error::Indeterminate(_)) => Ok(()),
                    other => panic!("{:?}", other.map(drop)),
                }
            })
        }) as Run
    };
}
const DONE_IN_DOUBT: Run = in_doubt!(Fault::LostReply, |alice| alice.put("prod/db", value("two")));
const LOST_IN_DOUBT: Run =
    in_doubt!(Fault::LostRequest, |alice| alice.put("prod/db", value("two")));
const TWO: Run = run!(|alice| alice.put("prod/db", value("two")));

macro_rules! then_kill {
    ($before:expr) => {
        (|world| {
            Box::pin(async move {
                $before(world).await?;
                world.kill();
                Ok(())
            })
        }) as Run
    };
}
macro_rules! opens {
    ($how:ident) => {
        (|world| Box::pin(async move { world.another().$how().await.map(drop) })) as Run
    };
}
const CLOSE: Run = |world| Box::pin(async move { world.room().close().await });
const UNSEAL: Run = |world| {
    Box::pin(async move {
        let room = world.room().seal().unseal(world.seal()).await.map_err(|(_, error)| error)?;
        world.adopt(room);
        Ok(())
    })
};
pub(crate) fn all() -> Vec<Op> {
    // Where a batch is one operation, nothing is checked beside a write.
    const WRITES: &[Backend] = &[Backend::Wide, Backend::Single];
    let writes = puts().into_iter().chain(whole());
    let writes = writes.map(|op| if op.backends.len() > 1 { op } else { op.on(WRITES) });
    [rooms(), reads(), changes()].into_iter().flatten().chain(writes).collect()
}

/// Where a batch holds two operations, blobs go ahead of the head that names them.
const BLOBS: &[Backend] = &[Backend::Wide, Backend::Pairs, Backend::Single];

fn rooms() -> Vec<Op> {
    vec![
        op("create", NOTHING, opens!(create)).room(Room::Creating),
        op("create_or_open", NOTHING, opens!(open_or_create)).room(Room::Creating),
        op("open_or_create", then_kill!(ONE), opens!(open_or_create)).room(Room::Opening),
        op("open", then_kill!(ONE), opens!(open)).room(Room::Opening),
        op("open, a write done in doubt", then_kill!(DONE_IN_DOUBT), opens!(open))
            .room(Room::Opening),
        op("open, a write lost in doubt", then_kill!(LOST_IN_DOUBT), opens!(open))
            .room(Room::Opening),
        op("open, a namespace in doubt", then_kill!(NAMESPACE_IN_DOUBT), opens!(open))
            .room(Room::Opening)
            .at("new/x"),
        op("unseal", ONE, UNSEAL).room(Room::Opening),
        op("unseal, a write lost in doubt", LOST_IN_DOUBT, UNSEAL).room(Room::Opening),
        op("unseal, a write done in doubt", DONE_IN_DOUBT, UNSEAL).room(Room::Opening),
        op("close", ONE, CLOSE).room(Room::Closing),
        op("close, a write done in doubt", DONE_IN_DOUBT, CLOSE).room(Room::Closing),
        // Closing sends the same bytes again.
        op("close, a write lost in doubt", LOST_IN_DOUBT, CLOSE).room(Room::Closing),
        op("close, a namespace in doubt", NAMESPACE_IN_DOUBT, CLOSE)
            .room(Room::Closing)
            .at("new/x"),
        op("close, the namespace destroyed by another", NAMESPACE_GONE, CLOSE)
            .room(Room::Closing)
            .forgetting(),
    ]
}

/// A write is in doubt whose namespace another process destroyed, and died before it erased it.
const NAMESPACE_GONE: Run = |world| {
    Box::pin(async move {
        DONE_IN_DOUBT(world).await?;
        let other = world.another().open().await?;
        world.storage.nth(Call::Erase, 1, Fault::Fail(NotDoneKind::Busy));
        let destroyed = crate::world::alice(&other).destroy_namespace("prod").await;
        assert!(matches!(destroyed, Err(Error::Unavailable(_))), "{destroyed:?}");
        Ok(())
    })
};

const NAMESPACE_IN_DOUBT: Run =
    in_doubt!(Fault::LostRequest, |alice| alice.create_namespace("new"));

fn puts() -> Vec<Op> {
    const CREATED: Run = run!(|alice| alice.create_namespace("new"));
    vec![
        op("put a path", NOTHING, ONE).between(&[run!(|alice| alice.create_namespace("prod"))]),
        op("put beside", ONE, run!(|alice| alice.put("prod/x", value("x")))).at("prod/x"),
        op("put a namespace", ONE, run!(|alice| alice.put("new/x", value("x"))))
            .at("new/x")
            .between(&[CREATED]),
        op("put a large path", ONE, run!(|alice| alice.put("prod/x", large(7))))
            .at("prod/x")
            .on(BLOBS),
        op("replace", ONE, TWO),
        op("replace the third", THREE, run!(|alice| alice.put("prod/db", value("four")))).on(BLOBS),
        op("replace a large one", LARGE, run!(|alice| alice.put("prod/db", large(2)))).on(BLOBS),
        op("replace a deleted one", DELETED, TWO),
        op("replace a purged one", PURGED, TWO),
        op(
            "prune",
            run!(|alice, world| async {
                THREE(world).await?;
                alice.update_metadata("prod/db", MetadataUpdate::new().max_versions(3)).await
            }),
            run!(|alice| alice.put("prod/db", large(4))),
        )
        .on(BLOBS),
        op(
            "put pending",
            ONE,
            run!(|alice| {
                alice.put_with("prod/db", value("two"), WriteOptions::new().pending())
            }),
        ),
        op("put expecting", ONE, run!(|alice| alice.put_with("prod/db", value("two"), v(1)))),
        op(
            "put expecting none",
            ONE,
            run!(|alice| { alice.put_with("prod/x", value("x"), Expected::Absent) }),
        )
        .at("prod/x"),
        op(
            "put expecting another",
            ONE,
            run!(|alice| async { refused(alice.put_with("prod/db", value("two"), v(7)).await) }),
        ),
        op(
            "authorise and write",
            ONE,
            run!(|alice| async {
                let permit = alice.authorize::<Write>("prod/db").await?;
                permit.write(value("two"), WriteOptions::new()).await
            }),
        ),
        op(
            "resolve what was done",
            ONE,
            run!(|alice, world| async {
                world.storage.nth(Call::Write, 1, Fault::LostReply);
                match alice.put("prod/db", value("two")).await {
                    Err(Error::Indeterminate(write)) => alice.resolve(&write).await.map(drop),
                    other => panic!("{other:?}"),
                }
            }),
        ),
        op(
            "resolve what was lost",
            ONE,
            run!(|alice, world| async {
                world.storage.nth(Call::Write, 1, Fault::LostRequest);
                match alice.put("prod/db", value("two")).await {
                    Err(Error::Indeterminate(write)) => alice.resolve(&write).await.map(drop),
                    other => panic!("{other:?}"),
                }
            }),
        ),
    ]
}

const DELETED: Run = run!(|alice, world| async {
    ONE(world).await?;
    alice.delete("prod/db").await
});
const PURGED: Run = run!(|alice, world| async {
    THREE(world).await?;
    alice.purge("prod/db").await
});

fn reads() -> Vec<Op> {
    const CREDENTIAL: Run = run!(|alice| alice.put("prod/c", Credential::new("app", "s3cr3t")));
    vec![
        op("get", ONE, run!(|alice| alice.get::<Opaque>("prod/db"))),
        op("get a large one", LARGE, run!(|alice| alice.get::<Opaque>("prod/db"))),
        op("get a version", THREE, run!(|alice| alice.get::<Opaque>("prod/db@1"))),
        op("get a stage", PENDING, run!(|alice| alice.get::<Opaque>("prod/db@pending"))),
        op("read", ONE, run!(|alice| alice.read::<Opaque>("prod/db"))),
        op(
            "get_many",
            MANY,
            run!(|alice| async {
                let paths = ["prod/db", "prod/a/b", "other/x"];
                let paths = paths.map(|path| path.parse::<SecretPath>().unwrap());
                alice.get_many::<Opaque>(&paths).await?.into_iter().collect::<Result<Vec<_>, _>>()
            }),
        ),
        op(
            "authorise and read",
            ONE,
            run!(|alice| async {
                alice.authorize::<Read>("prod/db").await?.read::<Opaque>().await
            }),
        ),
        op("identifiers", CREDENTIAL, run!(|alice| alice.identifiers::<Credential>("prod/c"))),
        op("metadata", ONE, run!(|alice| alice.metadata("prod/db"))),
        op(
            "authorise and see metadata",
            ONE,
            run!(|alice| async { alice.authorize::<ReadMetadata>("prod/db").await?.metadata() }),
        ),
        op("list", MANY, run!(|alice| async { alice.list("prod").await?.sorted().await })),
        op(
            "list a page",
            MANY,
            run!(|alice| async { alice.list("prod/a").await?.next_page().await }),
        ),
        op("list_level", MANY, run!(|alice| alice.list_level("prod"))),
        op("list_namespaces", MANY, run!(|alice| alice.list_namespaces())),
        op("verify", MANY, run!(|alice| alice.verify())),
        op(
            "backup",
            MANY,
            run!(|alice| async {
                let scratch = tempfile::tempdir().unwrap();
                alice.backup(scratch.path().join("copy")).await
            }),
        ),
    ]
}

fn changes() -> Vec<Op> {
    vec![
        op(
            "update_metadata",
            ONE,
            run!(|alice| {
                alice.update_metadata("prod/db", MetadataUpdate::new().label("a", "b"))
            }),
        ),
        op(
            "update_metadata and prune",
            THREE,
            run!(|alice| {
                alice.update_metadata("prod/db", MetadataUpdate::new().max_versions(1))
            }),
        ),
        op("hold", ONE, run!(|alice| alice.hold("prod/db", hold()))),
        op(
            "release",
            run!(|alice, world| async {
                ONE(world).await?;
                alice.hold("prod/db", hold()).await
            }),
            run!(|alice| {
                let until = Timestamp::from_millis(0).unwrap();
                alice.hold("prod/db", HoldMetadata { until, ..hold() })
            }),
        ),
        op("delete", THREE, run!(|alice| alice.delete("prod/db"))),
        op("undelete", DELETED, run!(|alice| alice.undelete("prod/db"))),
        op("disable", ONE, run!(|alice| alice.disable("prod/db"))),
        op(
            "enable",
            run!(|alice, world| async {
                ONE(world).await?;
                alice.disable("prod/db").await
            }),
            run!(|alice| alice.enable("prod/db")),
        ),
        op("destroy", THREE, run!(|alice| alice.destroy("prod/db@1"))),
        op("destroy a large one", LARGE, run!(|alice| alice.destroy("prod/db"))),
        op(
            "destroy a held one",
            run!(|alice, world| async {
                THREE(world).await?;
                alice.hold("prod/db@1", hold()).await
            }),
            run!(|alice| async { refused(alice.destroy("prod/db@1").await) }),
        ),
        op("purge", THREE, run!(|alice| alice.purge("prod/db"))),
        op("promote", PENDING, run!(|alice| alice.promote("prod/db"))),
        op("promote an old one", THREE, run!(|alice| alice.promote("prod/db@1"))),
        op("promote expecting", PENDING, run!(|alice| alice.promote_with("prod/db", v(1)))),
    ]
}

fn whole() -> Vec<Op> {
    const GONE: Run = run!(|alice, world| async {
        ROTATED(world).await?;
        alice.destroy_namespace("prod").await
    });
    /// What was destroyed is not erased yet.
    const HALF_GONE: Run = |world| {
        Box::pin(async move {
            ROTATED(world).await?;
            world.storage.nth(Call::Erase, 1, Fault::Fail(NotDoneKind::Busy));
            let refused = world.alice().destroy_namespace("prod").await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
            Ok(())
        })
    };
    /// Blobs that no head names any more.
    const GARBAGE: Run = |world| {
        Box::pin(async move {
            THREE(world).await?;
            world.alice().put("prod/db", large(4)).await?;
            for version in ["prod/db@1", "prod/db@4"] {
                world.storage.nth(Call::Erase, 1, Fault::Fail(NotDoneKind::Busy));
                world.alice().destroy(version).await?;
            }
            Ok(())
        })
    };
    /// A put whose future was dropped in the middle, once its intent was recorded.
    macro_rules! dropped {
        ($path:expr, $before:expr) => {
            (|world| {
                Box::pin(async move {
                    ONE(world).await?;
                    let delay = Fault::Delay { before: $before, after: 9 };
                    world.storage.nth(Call::Write, 1, delay);
                    assert!(poll_and_drop(world.alice().put($path, value("two")), 5).is_none());
                    Ok(())
                })
            }) as Run
        };
    }
    /// A write that changes nothing, and settles what is in doubt.
    const SETTLED: Run = run!(|alice| alice.update_metadata("prod/x", MetadataUpdate::new()));
    vec![
        op("create_namespace", ONE, run!(|alice| alice.create_namespace("new"))).at("new/x"),
        op("create_namespace again", GONE, run!(|alice| alice.create_namespace("prod"))),
        op(
            "create_namespace over the remains",
            HALF_GONE,
            run!(|alice| { alice.create_namespace("prod") }),
        ),
        op("destroy_namespace", ROTATED, run!(|alice| alice.destroy_namespace("prod"))),
        op(
            "destroy_namespace, a put done",
            dropped!("prod/db", 1),
            run!(|alice| { alice.destroy_namespace("prod") }),
        )
        .forgetting(),
        op(
            "destroy_namespace, a put under way",
            dropped!("prod/x", 9),
            run!(|alice| { alice.destroy_namespace("prod") }),
        )
        .at("prod/x")
        .between(&[SETTLED])
        .forgetting(),
        op("rotate_keys", MANY, run!(|alice| alice.rotate_keys("prod"))),
        op("rewrap", ROTATED, run!(|alice| alice.rewrap("prod"))),
        op("sweep", GARBAGE, run!(|alice| alice.sweep("prod"))),
        op("sweep the remains", HALF_GONE, run!(|alice| alice.sweep("prod"))),
    ]
}
