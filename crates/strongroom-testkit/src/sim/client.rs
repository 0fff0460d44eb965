//! One caller of an engine: does its steps, and records what it asked and was told.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use strongroom_audit::{Finding, Verdict};
use strongroom_core::{
    Expected as Expects, Key, MetadataUpdate, Opaque, Principal, SecretPath, Stage, Version,
};
use strongroom_engine::{
    Error, Freshness, Indeterminate, NotFound, Session, Strongroom, WriteOptions, WriteOutcome,
};

use super::answer::{at_most, in_full, is_damage, is_stale};
use super::history::{Expected, Fate, Found, History, Kind, Look, Moment, Read};
use super::plan::{Act, FRESH, Guess, NAMESPACES, PATHS, Step, name_of};
use crate::{ManualClock, MemorySink};

/// How old a cached read may be.
const CACHED: Duration = Duration::from_secs(30);

/// More heads than a head remembers writes.
const CHURNS: usize = 10;
/// Longer than a permit lives.
const PERMIT_ENDS: Duration = Duration::from_secs(61);

/// A caller of an engine.
pub(super) struct Client {
    name: String,
    session: Session,
    sink: MemorySink,
    clock: ManualClock,
    history: Rc<RefCell<History>>,
    /// The version that it last saw on each path.
    seen: [Option<Version>; PATHS.len()],
    /// Writes of which it does not know the end, by their place in the history.
    doubts: Vec<(usize, Indeterminate)>,
    /// Whether the store has an anchor, so that it asks that for some reads.
    is_anchored: bool,
    /// Whether nobody else uses the store.
    is_alone: bool,
    /// Records that were set back, as verification is to say.
    set_back: BTreeSet<Key>,
}

/// The bytes of a value: its number in digits, and then as many dots as it takes.
fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number:012}").into_bytes();
    value.resize(bytes.max(value.len()), b'.');
    value
}

/// The number of a value; `None` where it is no value of ours.
fn number_of(value: &[u8]) -> Option<u64> {
    let (digits, rest) = value.split_at_checked(12)?;
    let is_whole = rest.iter().all(|byte| *byte == b'.');
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| is_whole)
}

impl Client {
    pub(super) fn new(
        name: String,
        room: &Strongroom,
        sink: MemorySink,
        clock: ManualClock,
        history: Rc<RefCell<History>>,
        is_anchored: bool,
    ) -> Self {
        let session = room.session(Principal::user("alice"));
        let (seen, doubts, set_back) = ([None; PATHS.len()], Vec::new(), BTreeSet::new());
        let is_alone = false;
        Self { name, session, sink, clock, history, seen, doubts, is_anchored, is_alone, set_back }
    }

    /// The same for a store of which these records were set back.
    pub(super) fn restored(self, set_back: BTreeSet<Key>) -> Self {
        Self { set_back, ..self }
    }

    /// The same for a store that nobody else uses, and on which nothing fails.
    pub(super) fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// Does its steps, one after the other.
    pub(super) async fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            self.step(&step).await;
        }
    }

    pub(super) async fn step(&mut self, step: &Step) {
        let acted = match step.dropped_after {
            Some(polls) => at_most(polls, self.act(step)).await,
            None => Some(self.act(step).await),
        };
        let told = acted.unwrap_or_else(|| "dropped".to_owned());
        let line = format!("{} #{} {:?}: {told}", self.name, step.number, step.act);
        self.history.borrow_mut().line(line);
    }

    fn moment(&self) -> Moment {
        self.history.borrow_mut().moment()
    }

    /// Does a step, and says in words what came of it.
    async fn act(&mut self, step: &Step) -> String {
        let name = |namespace: usize| NAMESPACES.get(namespace).copied().unwrap_or_default();
        let session = self.session.clone();
        match step.act {
            Act::Put { path, bytes, guess, pending } => {
                self.put(step.number, path, bytes, guess, pending).await
            }
            Act::PutFresh => {
                let path = FRESH + usize::try_from(step.number).unwrap_or(0);
                self.put(step.number, path, 40, Guess::Any, false).await
            }
            Act::Get(path) => {
                let begin = self.moment();
                let session = match self.is_anchored && step.number.is_multiple_of(4) {
                    true => session.with_freshness(Freshness::Pinned),
                    false => session,
                };
                let read = session.read::<Opaque>(&*name_of(path)).await;
                self.saw(path, begin, false, read.map(|read| (read.version, read.secret)))
            }
            Act::GetOutdated(path) => self.get_outdated(step.number, path).await,
            Act::GetExpired(path) => {
                let permit = match session.authorize::<strongroom_core::Read>(&*name_of(path)).await
                {
                    Ok(permit) => permit,
                    Err(error) => return self.told(&error),
                };
                self.clock.advance(PERMIT_ENDS);
                let begin = self.moment();
                let read = permit.read::<Opaque>().await;
                // Where the engine is sealed meanwhile, that is what it says.
                let is_refused = |error: &Error| is_stale(error) || matches!(error, Error::Sealed);
                if !read.as_ref().is_err_and(is_refused) {
                    let fault = format!("{} reads path {path} under an expired permit", self.name);
                    self.history.borrow_mut().fault(fault);
                }
                self.saw(path, begin, false, read.map(|read| (read.version, read.secret)))
            }
            Act::GetCached(path) => {
                let begin = self.moment();
                let session = session.with_freshness(Freshness::AtMost(CACHED));
                let read = session.read::<Opaque>(&*name_of(path)).await;
                self.saw(path, begin, true, read.map(|read| (read.version, read.secret)))
            }
            Act::GetMany => self.get_many().await,
            Act::Look(path) => match self.look(path).await {
                Ok(seq) => format!("head {seq}"),
                Err(error) => self.told(&error),
            },
            Act::Label(path) => {
                let at = self.begin(path, Kind::Label);
                let update = MetadataUpdate::new().label("step", step.number.to_string());
                let done = session.update_metadata(&*name_of(path), update).await;
                self.ended(at, done.map(|()| None))
            }
            Act::Churn(path) => {
                let mut told = String::new();
                for round in 0..CHURNS {
                    let at = self.begin(path, Kind::Label);
                    let update = MetadataUpdate::new().label("round", round.to_string());
                    let done = session.update_metadata(&*name_of(path), update).await;
                    told = self.ended(at, done.map(|()| None));
                }
                told
            }
            Act::Delete(path) => {
                let at = self.begin(path, Kind::Delete);
                let done = session.delete(&*name_of(path)).await;
                self.ended(at, done.map(Some))
            }
            Act::Undelete(path) => {
                let at = self.begin(path, Kind::Undelete);
                let done = session.undelete(&*name_of(path)).await;
                self.ended(at, done.map(Some))
            }
            Act::Destroy(path) => {
                let at = self.begin(path, Kind::Destroy);
                let done = session.destroy(&*name_of(path)).await;
                self.ended(at, done.map(Some))
            }
            Act::Purge(path) => {
                let at = self.begin(path, Kind::Purge);
                let done = session.purge(&*name_of(path)).await;
                self.ended(at, done.map(|()| None))
            }
            Act::Promote(path) => {
                let at = self.begin(path, Kind::Promote);
                let done = session.promote(&*name_of(path)).await;
                self.ended(at, done.map(Some))
            }
            Act::List(namespace) => self.list(name(namespace)).await,
            Act::RotateKeys(namespace) => {
                let done = session.rotate_keys(name(namespace)).await;
                self.summary(done)
            }
            Act::Rewrap(namespace) => {
                let done = session.rewrap(name(namespace)).await;
                self.summary(done)
            }
            Act::Sweep(namespace) => {
                let done = session.sweep(name(namespace)).await;
                self.summary(done)
            }
            Act::DestroyNamespace => {
                let last = NAMESPACES.last().copied().unwrap_or_default();
                let done = session.destroy_namespace(last).await;
                self.summary(done)
            }
            Act::Verify => self.verify().await,
            Act::Prune(keep) => {
                let keep = Duration::from_secs(u64::from(keep));
                self.clock.advance(keep);
                let done = session.prune(keep.saturating_sub(Duration::from_millis(1))).await;
                self.summary(done)
            }
            Act::Resolve => self.resolve().await,
            Act::StepBack(seconds) => {
                self.clock.step_back(Duration::from_secs(u64::from(seconds)));
                "done".to_owned()
            }
            Act::Advance(seconds) => {
                self.clock.advance(Duration::from_secs(u64::from(seconds)));
                "done".to_owned()
            }
            Act::FailAppends(count) => {
                self.sink.fail_next(count);
                "done".to_owned()
            }
            // What ends an engine is no act of a client.
            Act::Kill(_) | Act::CutPower(_) | Act::Close | Act::CloseEarly => String::new(),
        }
    }

    async fn put(
        &mut self,
        number: u64,
        path: usize,
        bytes: usize,
        guess: Guess,
        pending: bool,
    ) -> String {
        let seen = self.seen.get(path).copied().flatten();
        let expects = match guess {
            Guess::Any => Expects::Any,
            Guess::Absent => Expects::Absent,
            Guess::Seen => seen.map_or(Expects::Absent, Expects::Version),
            Guess::Head => match self.look(path).await {
                Ok(seq) => Expects::Head(seq),
                Err(_) => Expects::Absent,
            },
        };
        let expected = match expects {
            Expects::Any => Expected::Any,
            Expects::Absent => Expected::Absent,
            Expects::Version(version) => Expected::Version(version.number()),
            Expects::Head(seq) => Expected::Head(seq),
        };
        let at = self.begin(path, Kind::Put { number, pending, expected });
        let mut options = WriteOptions::new().expecting(expects);
        if pending {
            options = options.pending();
        }
        let value = Opaque::new(value(number, bytes));
        let done = self.session.put_with(&*name_of(path), value, options).await;
        if let (Ok(version), Some(seen)) = (&done, self.seen.get_mut(path)) {
            *seen = Some(*version);
        }
        self.ended(at, done.map(Some))
    }

    /// Asks for a permit, puts, and reads under the permit. It shows what was there as it was granted,
    /// if anything: what this process has seen since is in its cache, as long as that keeps it.
    async fn get_outdated(&mut self, number: u64, path: usize) -> String {
        let begin = self.moment();
        let permit = self.session.authorize::<strongroom_core::Read>(&*name_of(path)).await;
        let put = self.put(number, path, 40, Guess::Any, false).await;
        let permit = match permit {
            Ok(permit) => permit,
            Err(error) => return format!("{}, {put}", self.told(&error)),
        };
        let read = permit.read::<Opaque>().await;
        if self.is_alone && !read.as_ref().is_err_and(is_stale) {
            let fault = format!("{} reads path {path} under an outdated permit", self.name);
            self.history.borrow_mut().fault(fault);
        }
        let read = self.saw(path, begin, false, read.map(|read| (read.version, read.secret)));
        format!("{put}, {read}")
    }

    async fn get_many(&mut self) -> String {
        let paths: Vec<SecretPath> = PATHS.iter().filter_map(|path| path.parse().ok()).collect();
        let begin = self.moment();
        let session = self.session.clone();
        match session.get_many::<Opaque>(&paths).await {
            Ok(answers) => {
                let each = answers.into_iter().enumerate().map(|(path, answer)| {
                    self.saw(path, begin, false, answer.map(|read| (read.version, read.secret)))
                });
                each.collect::<Vec<_>>().join(", ")
            }
            Err(error) => self.told(&error),
        }
    }

    /// Reads metadata. The number of the head that they are of.
    async fn look(&mut self, path: usize) -> Result<u64, Error> {
        let begin = self.moment();
        let found = self.session.metadata(&*name_of(path)).await?;
        let end = self.moment();
        self.history.borrow_mut().looks.push(Look {
            path,
            begin,
            end,
            seq: found.seq,
            next: found.next_version.number(),
            current: found.stage(Stage::Current).map(Version::number),
            content: format!("{found:?}"),
        });
        Ok(found.seq)
    }

    /// A secret that is not listed is not there.
    async fn list(&mut self, name: &'static str) -> String {
        let begin = self.moment();
        let session = self.session.clone();
        let listed = match session.list(name).await {
            Ok(listing) => listing.sorted().await,
            Err(error) => Err(error),
        };
        match listed {
            Ok(listed) => {
                let end = self.moment();
                for (path, text) in PATHS.iter().enumerate() {
                    let is_below = text.split('/').next() == Some(name);
                    if is_below && !listed.iter().any(|found| found.as_str() == *text) {
                        let found = Found::Nothing;
                        let read = Read { path, begin, end, is_cached: false, found };
                        self.history.borrow_mut().reads.push(read);
                    }
                }
                format!("{} paths", listed.len())
            }
            Err(error) => self.told(&error),
        }
    }

    async fn verify(&mut self) -> String {
        match self.session.verify().await {
            Ok(report) => {
                let accused = report.accusations().filter(|finding| !self.is_accepted(finding));
                let mut accused: Vec<_> = accused.map(ToString::to_string).collect();
                accused.sort();
                for accusation in &accused {
                    let fault = format!("{} accuses: {accusation}", self.name);
                    self.history.borrow_mut().fault(fault);
                }
                format!("{} accusations", accused.len())
            }
            Err(error) => self.told(&error),
        }
    }

    /// Whether what verification finds is that a record was set back.
    fn is_accepted(&self, finding: &Finding) -> bool {
        matches!(finding.verdict, Verdict::RolledBack | Verdict::Dropped | Verdict::Forked)
            && finding.key.as_ref().is_some_and(|key| self.set_back.contains(key))
    }

    async fn resolve(&mut self) -> String {
        let mut told = Vec::new();
        let mut left = Vec::new();
        for (at, doubt) in std::mem::take(&mut self.doubts) {
            match self.session.resolve(&doubt).await {
                Ok(outcome) => {
                    told.push(format!("{at} {outcome:?}"));
                    let fate = match outcome {
                        WriteOutcome::TookEffect(version) => {
                            Fate::Took(version.map(Version::number))
                        }
                        WriteOutcome::DidNot => Fate::Not,
                        WriteOutcome::Unknown => Fate::Maybe,
                    };
                    self.history.borrow_mut().end_write(at, fate);
                }
                Err(error) => {
                    told.push(format!("{at} {}", self.told(&error)));
                    left.push((at, doubt));
                }
            }
        }
        self.doubts = left;
        told.join(", ")
    }

    fn begin(&self, path: usize, kind: Kind) -> usize {
        self.history.borrow_mut().begin_write(path, kind)
    }

    /// A write was answered: done, not done, or not known.
    fn ended(&mut self, at: usize, answer: Result<Option<Version>, Error>) -> String {
        match answer {
            Ok(version) => {
                let fate = Fate::Took(version.map(Version::number));
                self.history.borrow_mut().end_write(at, fate);
                version.map_or_else(|| "done".to_owned(), |version| format!("version {version}"))
            }
            Err(Error::Indeterminate(doubt)) => {
                self.doubts.push((at, doubt));
                format!("not known ({at})")
            }
            Err(error) => {
                self.history.borrow_mut().end_write(at, Fate::Not);
                self.told(&error)
            }
        }
    }

    /// A read of the version in force was answered.
    fn saw(
        &mut self,
        path: usize,
        begin: Moment,
        is_cached: bool,
        answer: Result<(Version, Opaque), Error>,
    ) -> String {
        let end = self.moment();
        let found = match answer {
            Ok((version, secret)) => {
                // EXPOSE: the value is a number that the simulation has made up.
                let Some(number) = secret.value().expose(number_of) else {
                    let fault = format!("version {version} of path {path} is nobody's value");
                    self.history.borrow_mut().fault(fault);
                    return "another value".to_owned();
                };
                if let Some(seen) = self.seen.get_mut(path) {
                    *seen = Some(version);
                }
                Found::Value { version: version.number(), number }
            }
            Err(Error::NotFound(NotFound::Secret | NotFound::Namespace)) => Found::Nothing,
            Err(Error::NotFound(NotFound::Stage(_))) => Found::NothingInForce,
            Err(Error::NotFound(NotFound::Deleted(version))) => Found::Deleted(version.number()),
            Err(Error::NotFound(NotFound::Destroyed(version))) => {
                Found::Destroyed(version.number())
            }
            Err(error @ (Error::NotFound(_) | Error::Indeterminate(_) | Error::Conflict(_))) => {
                let fault = format!("a read of path {path} answers: {error}");
                self.history.borrow_mut().fault(fault);
                return error.to_string();
            }
            Err(error) => return self.told(&error),
        };
        self.history.borrow_mut().reads.push(Read { path, begin, end, is_cached, found });
        format!("{found:?}")
    }

    fn summary<T: std::fmt::Debug>(&self, done: Result<T, Error>) -> String {
        match done {
            Ok(done) => format!("{done:?}"),
            Err(error) => self.told(&error),
        }
    }

    /// An error in words.
    fn told(&self, error: &Error) -> String {
        let full = in_full(error);
        if is_damage(error) {
            self.history.borrow_mut().fault(format!("{} is told: {full}", self.name));
        }
        full
    }
}
