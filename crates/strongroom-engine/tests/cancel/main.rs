//! Every operation, dropped at every await point. What was reported happened; what was not is
//! settled by the next write on that path, by `close`, or by the next opener, and is then there
//! wholly or not at all.
//!
//! Each call to storage, sink, seal and policy waits once before its effect and once after it, and
//! the future is polled by hand: so many polls, then the drop. Prints `CASES n`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod ops;
mod view;
mod world;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use ops::{Op, Room, Run};
use strongroom_core::{Opaque, SecretPath};
use strongroom_engine::{Error, Strongroom};
use view::View;
use world::{Backend, World, alice, finish, poll_and_drop};

/// Who settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settler {
    NextWrite,
    Close,
    NextOpener,
}

impl Settler {
    const fn after(room: Room) -> &'static [Self] {
        match room {
            Room::Open => &[Self::NextWrite, Self::Close, Self::NextOpener],
            Room::Closing => &[Self::Close, Self::NextOpener],
            Room::Opening | Room::Creating => &[Self::NextOpener],
        }
    }
}

#[test]
fn every_operation_is_whole_or_absent_wherever_it_is_dropped() {
    let ops = ops::all();
    let (next, cases) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(op) = ops.get(next.fetch_add(1, Relaxed)) {
            for backend in op.backends {
                for by in Settler::after(op.room) {
                    let tried = AtomicUsize::new(0);
                    let all = AssertUnwindSafe(|| {
                        let models = Models::of(op, *backend, *by);
                        let to_the_end = |polls: &usize| {
                            tried.fetch_add(1, Relaxed);
                            !dropped(op, *backend, *by, *polls, &models)
                        };
                        (0..).take_while(to_the_end).count()
                    });
                    if catch_unwind(all).is_err() {
                        let what = (op.name, *backend, *by, tried.load(Relaxed));
                        failed.lock().unwrap().push(what);
                    }
                    cases.fetch_add(tried.load(Relaxed), Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    println!("CASES {}", cases.into_inner());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// What may be seen once all is settled.
struct Models {
    after: View,
    others: Vec<View>,
}

impl Models {
    fn of(op: &Op, backend: Backend, by: Settler) -> Self {
        let seen = |run: Option<Run>| {
            let world = begin(op, backend);
            if let Some(run) = run {
                finish(run(&world)).unwrap();
            }
            View::of(&world, &settle(&world, op, by))
        };
        let between = op.between.iter().map(|run| seen(Some(*run)));
        Self { others: between.chain([seen(None)]).collect(), after: seen(Some(op.run)) }
    }
}

fn begin(op: &Op, backend: Backend) -> World {
    let world = World::new(backend, op.room != Room::Creating);
    finish((op.before)(&world)).unwrap();
    world
}

/// One case. Whether the operation was polled to its end.
fn dropped(op: &Op, backend: Backend, by: Settler, polls: usize, models: &Models) -> bool {
    let world = begin(op, backend);
    world.delay(true);
    let outcome = poll_and_drop((op.run)(&world), polls);
    world.delay(false);
    let finished = outcome.is_some();
    if let Some(outcome) = outcome {
        outcome.unwrap();
    }
    let room = settle(&world, op, by);
    assert_eq!(view::open_intents(&world, op.forgets), 0, "an intent stays open");
    view::verify(&room, true);
    let seen = View::of(&world, &room);
    let is_model = seen == models.after || !finished && models.others.contains(&seen);
    assert!(is_model, "{seen:#?}\nis neither {:#?}\nnor {:#?}", models.after, models.others);
    goes_on(&world, op, room, polls);
    finished
}

/// What settles is dropped, too, at each of its points: the next opener finds both.
#[test]
fn what_settles_may_be_dropped_as_well() {
    const OPS: [(&str, Backend); 4] = [
        ("replace", Backend::Wide),
        ("put a large path", Backend::Pairs),
        ("create_namespace", Backend::Wide),
        ("destroy_namespace, a put under way", Backend::Single),
    ];
    let next = |world: &World, op: &Op, polls| {
        poll_and_drop(world.alice().put(op.path, Opaque::new(b"next")), polls)
    };
    let mut cases = 0;
    for op in ops::all() {
        let Some((_, backend)) = OPS.iter().find(|(name, _)| *name == op.name) else { continue };
        // What the operation leaves, and what of the put: nothing, its namespace, or all.
        let model = |run: Option<Run>, put: usize| {
            let world = begin(&op, *backend);
            if let Some(run) = run {
                finish(run(&world)).unwrap();
            }
            let path: SecretPath = op.path.parse().unwrap();
            match put {
                0 => {}
                1 => drop(finish(world.alice().create_namespace(path.namespace()))),
                _ => drop(next(&world, &op, usize::MAX).unwrap().unwrap()),
            }
            View::of(&world, &settle(&world, &op, Settler::NextOpener))
        };
        let runs = op.between.iter().copied().map(Some).chain([None]);
        let others: Vec<[View; 3]> = runs.map(|run| [0, 1, 2].map(|put| model(run, put))).collect();
        let after = [0, 1, 2].map(|put| model(Some(op.run), put));
        for first in 0.. {
            let mut finished = [false; 2];
            for second in 0.. {
                let world = begin(&op, *backend);
                world.delay(true);
                let outcome = poll_and_drop((op.run)(&world), first);
                let put = next(&world, &op, second);
                world.delay(false);
                finished = [outcome.is_some(), put.is_some()];
                for result in outcome.into_iter().chain(put.map(|put| put.map(drop))) {
                    result.unwrap();
                }
                let by =
                    if second.is_multiple_of(2) { Settler::NextOpener } else { Settler::Close };
                let room = settle(&world, &op, by);
                assert_eq!(
                    view::open_intents(&world, op.forgets),
                    0,
                    "{} {first} {second}",
                    op.name
                );
                view::verify(&room, true);
                let seen = View::of(&world, &room);
                let from = if finished[1] { 2 } else { 0 };
                let mut models = after[from..].iter();
                let mut others = others.iter().flat_map(|views| &views[from..]);
                let is_model = models.any(|model| *model == seen)
                    || !finished[0] && others.any(|model| *model == seen);
                assert!(is_model, "{} {first} {second}: {seen:#?}", op.name);
                goes_on(&world, &op, room, second);
                cases += 1;
                if finished[1] {
                    break;
                }
            }
            if finished[0] {
                break;
            }
        }
    }
    println!("CASES {cases}");
}

/// Settles in that way, and opens the store once more.
fn settle(world: &World, op: &Op, by: Settler) -> Strongroom {
    if by == Settler::NextWrite {
        finish(world.alice().put(op.path, Opaque::new(b"next"))).unwrap();
    }
    if by != Settler::NextOpener {
        let (room, log) = (world.room(), world.room().log());
        let closed = finish(room.close());
        // Where `close` was the operation and came to its end, there is nothing left to close.
        let is_closed = matches!(closed, Ok(()) | Err(Error::Sealed));
        assert_eq!(is_closed, view::is_ended(world, log), "{closed:?}");
    }
    if op.room != Room::Creating {
        world.kill();
        return finish(world.healthy().open()).unwrap();
    }
    finish(world.healthy().open_or_create()).unwrap()
}

/// The path takes writes as before, and no version number comes back.
fn goes_on(world: &World, op: &Op, room: Strongroom, polls: usize) {
    let session = alice(&room);
    let path: SecretPath = op.path.parse().unwrap();
    let next = match finish(session.metadata(&path)) {
        Ok(metadata) => Some(metadata.next_version),
        Err(Error::NotFound(_)) => None,
        Err(error) => panic!("{error:?}"),
    };
    // Not at each point: it costs more than it is likely to find.
    let thoroughly = polls.is_multiple_of(4);
    let put = finish(session.put(&path, Opaque::new(b"last"))).unwrap();
    assert!(next.is_none_or(|next| next == put), "{put} where {next:?} was next");
    if thoroughly {
        finish(session.delete(&path)).unwrap();
        finish(session.undelete(&path)).unwrap();
        finish(session.rotate_keys(path.namespace())).unwrap();
        finish(session.rewrap(path.namespace())).unwrap();
    }
    let last: Opaque = finish(session.get(&path)).unwrap();
    assert!(last.value().expose(|bytes| bytes == b"last"));
    let log = room.log();
    finish(room.close()).unwrap();
    assert!(view::is_ended(world, log));
    if thoroughly {
        view::verify(&finish(world.healthy().open()).unwrap(), true);
    }
    assert_eq!(view::open_intents(world, op.forgets), 0);
}
