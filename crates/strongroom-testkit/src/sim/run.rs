//! Many engines on one store, from the first opening to the last verification.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::rc::Rc;

use strongroom_core::Storage;
use strongroom_engine::{Builder, Error, Strongroom};

use super::answer::in_full;
use super::client::Client;
use super::dice::Dice;
use super::executor::{SimExecutor, Stuck, TaskId};
use super::history::History;
use super::plan::{Act, Plan, Restore, Step};
use super::restore::Backup;
use super::storage::{SimFaults, SimStorage};
use crate::room::AllowAll;
use crate::{Delaying, ManualClock, MemoryAnchor, MemorySeal, MemorySink, SeededEntropy};

/// Values are split beyond that many bytes, so that a few thousand make several parts.
const VALUE_BYTES: std::num::NonZeroUsize = std::num::NonZeroUsize::new(4096).unwrap();
/// Lines of a segment, where logs have several.
const SEGMENT_LINES: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// How often an engine tries to open the store on a bad day.
const OPENINGS: u32 = 100;
/// No step takes so many polls, all its retries included.
const POLLS_A_STEP: u64 = 20_000;

/// What a simulation came to.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What went wrong, in words. Empty where the store kept all its promises.
    pub faults: Vec<String>,
    /// What each client asked and was told, a line each.
    pub transcript: Vec<String>,
    /// The lines of all audit logs, those first that were pruned.
    pub log: Vec<Vec<u8>>,
    /// How often a task was polled.
    pub polls: u64,
}

/// Does what a plan says, on the store that `backend` opens: once for each engine, as each process
/// would. All of it runs on this thread, in an order that is the plan's.
///
/// At the end all engines are closed or killed, a last one opens the store, settles what was left
/// open, reads all and verifies. The run is then checked: what was reported happened, what was not
/// done is nowhere, each path is a history of one thing at a time, and nobody is accused. Where the
/// plan has a restore, the same is done once more with the store as it was when the backup was made.
///
/// ```
/// use strongroom_testkit::MemoryStorage;
/// use strongroom_testkit::sim::{Plan, Size, simulate};
///
/// let store = MemoryStorage::new();
/// let run = simulate(&Plan::new(7, Size::new(2, 10)), || store.clone());
/// assert_eq!(run.faults, [""; 0]);
/// ```
pub fn simulate<S: Storage>(plan: &Plan, backend: impl Fn() -> S) -> Run {
    let store = SimStorage::new(backend(), plan.seed, plan.faults)
        .narrowed(plan.batches.atomic_ops(), VALUE_BYTES);
    let world = World {
        clock: ManualClock::new(),
        seal: MemorySeal::new(),
        logs: if plan.segmented {
            MemorySink::new().with_segments(SEGMENT_LINES)
        } else {
            MemorySink::new()
        },
        anchor: plan.anchored.then(MemoryAnchor::new),
        store: if plan.marks { store } else { store.without_change_mark() },
        backend: &backend,
        faults: plan.faults,
        seeds: Dice::of(plan.seed, 2),
        history: Rc::default(),
    };
    Simulation::new(plan, world).run()
}

/// What all engines share.
pub(super) struct World<'a, S> {
    clock: ManualClock,
    seal: MemorySeal,
    pub(super) logs: MemorySink,
    pub(super) anchor: Option<MemoryAnchor>,
    pub(super) store: SimStorage<S>,
    pub(super) backend: &'a dyn Fn() -> S,
    faults: SimFaults,
    seeds: Dice,
    pub(super) history: Rc<RefCell<History>>,
}

impl<S: Storage> World<'_, S> {
    /// A process that is about to open the store.
    pub(super) fn process(&mut self, sink: &MemorySink, faults: SimFaults) -> Builder {
        let builder = Strongroom::builder()
            .storage(self.store.beside((self.backend)(), self.seeds.roll(), faults))
            .seal(self.seal.clone())
            .policy(AllowAll)
            .audit(Delaying::new(sink.clone()))
            .clock(self.clock.clone())
            .entropy(SeededEntropy::new(self.seeds.roll()));
        match &self.anchor {
            Some(anchor) => builder.anchor(anchor.clone()),
            None => builder,
        }
    }

    pub(super) fn client(&self, name: String, room: &Strongroom, sink: &MemorySink) -> Client {
        let (sink, clock) = (sink.clone(), self.clock.clone());
        Client::new(name, room, sink, clock, Rc::clone(&self.history), self.anchor.is_some())
    }
}

/// From an opening of the store to the end of that engine.
struct Life {
    /// What each client does.
    clients: Vec<Vec<Step>>,
    end: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Running,
    Closing,
}

/// One of the engines, and those that open the store in its place.
struct Engine {
    number: usize,
    lives: VecDeque<Life>,
    lived: u32,
    stage: Stage,
    tasks: Vec<TaskId>,
    polls: u64,
    openings: u32,
    sink: MemorySink,
    room: Rc<RefCell<Option<Strongroom>>>,
}

impl Engine {
    fn new(number: usize, plan: &Plan) -> Self {
        let new = |end| Life { clients: vec![Vec::new(); 2], end };
        // What comes after the last end of the plan.
        let last = if number.is_multiple_of(2) { Act::Close } else { Act::Kill(u32::MAX) };
        let (mut lives, mut life) = (VecDeque::new(), new(last));
        for step in plan.steps.iter().filter(|step| step.engine == number) {
            match step.act {
                end @ (Act::Kill(_) | Act::CutPower(_) | Act::Close | Act::CloseEarly) => {
                    life.end = end;
                    lives.push_back(std::mem::replace(&mut life, new(last)));
                }
                _ => {
                    if let Some(client) = life.clients.get_mut(step.client) {
                        client.push(*step);
                    }
                }
            }
        }
        lives.push_back(life);
        Self {
            number,
            lives,
            lived: 0,
            stage: Stage::Closing,
            tasks: Vec::new(),
            polls: 0,
            openings: 0,
            sink: MemorySink::new(),
            room: Rc::default(),
        }
    }

    fn name(&self) -> String {
        format!("{}.{}", self.number, self.lived)
    }
}

struct Simulation<'a, S> {
    world: World<'a, S>,
    executor: SimExecutor<'static>,
    engines: Vec<Engine>,
    most_polls: u64,
    restore: Option<Restore>,
    backup: Option<Backup>,
}

impl<'a, S: Storage> Simulation<'a, S> {
    fn new(plan: &Plan, world: World<'a, S>) -> Self {
        // A plan that was shrunk may have no step of some.
        let numbers: BTreeSet<usize> = plan.steps.iter().map(|step| step.engine).collect();
        let steps = u64::try_from(plan.steps.len()).unwrap_or(u64::MAX);
        Self {
            world,
            executor: SimExecutor::new(plan.seed),
            engines: numbers.into_iter().map(|number| Engine::new(number, plan)).collect(),
            most_polls: (steps + 100).saturating_mul(POLLS_A_STEP),
            restore: plan.restore,
            backup: None,
        }
    }

    fn run(mut self) -> Run {
        let mut engines = std::mem::take(&mut self.engines);
        for engine in &mut engines {
            self.open(engine);
        }
        if let Err(stuck) = self.run_all(&mut engines) {
            self.world.history.borrow_mut().fault(stuck.to_string());
        }
        self.back_up(u64::MAX);
        // The dead have no say in what the last one finds.
        for engine in &mut engines {
            self.kill(engine);
        }
        if self.world.seeds.per_mille(500) {
            self.cut_power();
        }
        let polls = self.executor.polls();
        let world = &mut self.world;
        futures_executor::block_on(world.last_engines());
        let log = world.logs.places().into_iter().map(|(_, line)| line).collect();
        let (mut faults, mut transcript) = world.checked();
        if let (Some(restore), Some(backup), true) = (self.restore, self.backup, faults.is_empty())
        {
            futures_executor::block_on(world.restore(restore, backup));
            let (found, told) = world.checked();
            faults.extend(found.into_iter().map(|fault| format!("restored: {fault}")));
            transcript.extend(told.into_iter().map(|line| format!("restored: {line}")));
        }
        Run { faults, transcript, log, polls }
    }

    /// Makes the backup of the plan where its time has come and there is a store.
    fn back_up(&mut self, polls: u64) {
        if self.backup.is_none() && self.restore.is_some_and(|restore| restore.after <= polls) {
            self.backup = futures_executor::block_on(Backup::of(&self.world));
        }
    }

    fn run_all(&mut self, engines: &mut [Engine]) -> Result<(), Stuck> {
        loop {
            let left: usize = engines.iter().map(|engine| engine.tasks.len()).sum();
            if left == 0 {
                return Ok(());
            }
            if self.executor.polls() > self.most_polls {
                return Err(Stuck::Busy(left));
            }
            self.back_up(self.executor.polls());
            let turn = self.executor.turn().ok_or(Stuck::Waiting(left))?;
            let owner = engines.iter_mut().find(|engine| engine.tasks.contains(&turn.task));
            let Some(engine) = owner else { continue };
            engine.polls += 1;
            if turn.ended {
                engine.tasks.retain(|task| *task != turn.task);
            }
            if self.after_turn(engine, turn.ended) {
                engines.iter_mut().for_each(|engine| self.kill(engine));
                self.cut_power();
                engines.iter_mut().for_each(|engine| self.next_life(engine));
            }
        }
    }

    /// Takes from the logs of engines that are all dead what was not synced.
    fn cut_power(&mut self) {
        let Self { world, .. } = self;
        let seeds = &mut world.seeds;
        world.logs.cut_power(&mut |lines| {
            let most = u32::try_from(lines).unwrap_or(u32::MAX);
            u64::from(seeds.below(most.saturating_add(1)))
        });
        world.history.borrow_mut().line("the power went".to_owned());
    }

    /// Goes on with an engine whose task had a turn. Whether the power goes now.
    fn after_turn(&mut self, engine: &mut Engine, ended: bool) -> bool {
        let end = engine.lives.front().map_or(Act::Close, |life| life.end);
        let is_due = matches!(end, Act::Kill(polls) | Act::CutPower(polls)
            if engine.polls >= u64::from(polls));
        let is_done = ended && engine.stage == Stage::Running && engine.tasks.is_empty();
        if is_due && engine.stage != Stage::Closing || is_done {
            match end {
                Act::CutPower(_) => return true,
                Act::Kill(_) => {
                    self.kill(engine);
                    self.next_life(engine);
                    return false;
                }
                _ => {}
            }
        }
        if !ended {
            return false;
        }
        match engine.stage {
            Stage::Opening if engine.room.borrow().is_some() => self.start(engine),
            Stage::Opening => self.open(engine),
            Stage::Running if is_done || end == Act::CloseEarly => self.close(engine),
            Stage::Closing if engine.tasks.is_empty() => {
                self.kill(engine);
                self.next_life(engine);
            }
            Stage::Running | Stage::Closing => {}
        }
        false
    }

    fn next_life(&mut self, engine: &mut Engine) {
        engine.lives.pop_front();
        engine.lived += 1;
        (engine.polls, engine.openings) = (0, 0);
        if !engine.lives.is_empty() {
            self.open(engine);
        }
    }

    /// Opens the store; on a bad day again and again.
    fn open(&mut self, engine: &mut Engine) {
        engine.stage = Stage::Opening;
        engine.openings += 1;
        if engine.openings > OPENINGS {
            let fault = format!("{} cannot open the store", engine.name());
            self.world.history.borrow_mut().fault(fault);
            return self.next_life(engine);
        }
        engine.sink = self.world.logs.beside();
        let faults = self.world.faults;
        let builder = self.world.process(&engine.sink, faults);
        let (room, name) = (Rc::clone(&engine.room), engine.name());
        let history = Rc::clone(&self.world.history);
        engine.tasks.push(self.executor.spawn(async move {
            let opened = builder.open_or_create().await;
            let mut history = history.borrow_mut();
            match opened {
                Ok(opened) => {
                    history.line(format!("{name} opened"));
                    *room.borrow_mut() = Some(opened);
                }
                Err(error) => {
                    if matches!(error, Error::Tampered(_) | Error::Denied(_)) {
                        history.fault(format!("{name} does not open: {}", in_full(&error)));
                    }
                    history.line(format!("{name} did not open: {}", in_full(&error)));
                }
            }
        }));
    }

    /// Lets the clients of an open engine begin.
    fn start(&mut self, engine: &mut Engine) {
        engine.stage = Stage::Running;
        let Some(room) = engine.room.borrow().clone() else { return };
        let Some(life) = engine.lives.front_mut() else { return };
        let clients = std::mem::take(&mut life.clients);
        for (number, steps) in clients.into_iter().enumerate() {
            let name = format!("{}/{number}", engine.name());
            let client = self.world.client(name, &room, &engine.sink);
            engine.tasks.push(self.executor.spawn(client.run(steps)));
        }
    }

    fn close(&mut self, engine: &mut Engine) {
        engine.stage = Stage::Closing;
        let Some(room) = engine.room.borrow_mut().take() else { return };
        let (name, history) = (engine.name(), Rc::clone(&self.world.history));
        engine.tasks.push(self.executor.spawn(async move {
            let told = match room.close().await {
                Ok(()) => "closed".to_owned(),
                Err(error) => format!("did not close: {}", in_full(&error)),
            };
            history.borrow_mut().line(format!("{name} {told}"));
        }));
    }

    /// As `kill -9` does. Of an engine that is closed nothing is left to kill.
    fn kill(&mut self, engine: &mut Engine) {
        for task in engine.tasks.drain(..) {
            self.executor.drop_task(task);
        }
        *engine.room.borrow_mut() = None;
        engine.sink.kill();
        self.world.history.borrow_mut().line(format!("{} ended", engine.name()));
    }
}
