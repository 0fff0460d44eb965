//! A suite is worth what it finds: parts that are wrong in one way each, and the case that says so.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use strongroom_core::{
    AccessRequest, ActionName, Anchor, AnchorError, Clock, Decision, Entropy, EntropyError,
    KeyContext, LogId, Monotonic, Pin, PolicyEngine, Principal, Seal, SealError, SecretValue,
    StoreId, Subject, Timestamp, WrappedKey, async_trait, path,
};
use strongroom_testkit::{MemoryAnchor, SeededEntropy, anchor, policy, seal, sources};

/// Runs what must fail.
fn is_found(what: &str, case: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(case)).is_err(), "not found: {what}");
}

type SealCase = fn(&seal::Bench);
type PolicyCase = fn(&policy::Bench);
type EntropyCase = fn(&dyn Fn() -> Box<dyn Entropy>);

/// What a seal does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum BadSeal {
    Nothing,
    Kind,
    ShowsTheKey,
    ShowsTheKeyTurnedRound,
    IgnoresTheStore,
    IgnoresTheSealId,
    OpensForAnybody,
    CallsStrangersDamage,
    MakesOtherBytesOfChangedOnes,
    IgnoresWhatComesAfter,
    FollowsChangedParameters,
    PanicsAtParameters,
    TellsTheKeyInErrors,
    StoresTooMuch,
    GoesOnWithoutRandomness,
    KeepsOneKey,
    StaysBusy,
    IsNewEachTime,
}

/// A toy with a tag of eight bytes. Good enough to be right where it is not told to be wrong.
#[derive(Debug, Clone)]
struct ToySeal {
    secret: u64,
    bad: BadSeal,
    last: Arc<Mutex<Option<Vec<u8>>>>,
    busy: Arc<Mutex<bool>>,
}

impl ToySeal {
    fn new(secret: u64, bad: BadSeal) -> Self {
        Self { secret, bad, last: Arc::default(), busy: Arc::default() }
    }

    /// FNV-1a: any change of any byte is another number.
    fn digest(parts: &[&[u8]]) -> u64 {
        parts
            .iter()
            .flat_map(|part| part.iter().chain(&[0xfe]))
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            })
    }

    fn pad(&self, nonce: &[u8], context: &KeyContext<'_>, parameters: &[u8]) -> Vec<u8> {
        let store: &[u8] =
            if self.bad == BadSeal::IgnoresTheStore { b"" } else { context.store.as_bytes() };
        let seal: &[u8] =
            if self.bad == BadSeal::IgnoresTheSealId { b"" } else { context.seal.as_bytes() };
        let secret = if self.bad == BadSeal::OpensForAnybody { 0 } else { self.secret };
        let block =
            |n: u8| Self::digest(&[&secret.to_be_bytes(), nonce, store, seal, parameters, &[n]]);
        (0..4).flat_map(|n| block(n).to_be_bytes()).collect()
    }
}

fn xor(bytes: &[u8], pad: &[u8]) -> Vec<u8> {
    bytes.iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect()
}

#[async_trait]
impl Seal for ToySeal {
    fn kind(&self) -> &str {
        if self.bad == BadSeal::Kind { "My Seal" } else { "toy" }
    }

    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        let mut nonce = [0; 8];
        if let Err(error) = context.entropy.fill(&mut nonce)
            && self.bad != BadSeal::GoesOnWithoutRandomness
        {
            let (detail, source) = ("no randomness".into(), Some(error.into()));
            return Err(SealError::Unavailable { detail, source });
        }
        if self.bad == BadSeal::StaysBusy {
            let is_busy = std::mem::replace(&mut *self.busy.lock().unwrap(), true);
            assert!(!is_busy, "busy");
            let mut polled = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            *self.busy.lock().unwrap() = false;
        }
        let key = key.expose(<[u8]>::to_vec);
        *self.last.lock().unwrap() = Some(key.clone());
        let parameters = match self.bad {
            BadSeal::StoresTooMuch => vec![1; 1025],
            _ => vec![1, 2, 3],
        };
        let body = match self.bad {
            BadSeal::ShowsTheKey => key,
            BadSeal::ShowsTheKeyTurnedRound => key.into_iter().rev().collect(),
            _ => xor(&key, &self.pad(&nonce, context, &parameters)),
        };
        let secret = if self.bad == BadSeal::OpensForAnybody { 0 } else { self.secret };
        let holder = Self::digest(&[&secret.to_be_bytes()]).to_be_bytes();
        let bound = self.pad(&nonce, context, &[]);
        let tag = Self::digest(&[&holder, &nonce, &body, &bound]).to_be_bytes();
        Ok(WrappedKey { parameters, wrapped: [&holder[..], &nonce, &tag, &body].concat() })
    }

    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        if self.bad == BadSeal::KeepsOneKey {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return last.map(SecretValue::new).ok_or(SealError::NotMine { hint: "no key yet" });
        }
        let refused = |detail: String| SealError::Refused { detail: detail.into() };
        let mut parameters = wrapped.parameters.clone();
        match self.bad {
            BadSeal::PanicsAtParameters => assert!(!parameters.is_empty(), "no parameters"),
            BadSeal::FollowsChangedParameters | BadSeal::StoresTooMuch => {}
            _ if parameters != [1, 2, 3] => return Err(refused("parameters".to_owned())),
            _ => parameters = vec![1, 2, 3],
        }
        let whole = &wrapped.wrapped;
        if whole.len() < 56 || (whole.len() > 56 && self.bad != BadSeal::IgnoresWhatComesAfter) {
            return Err(refused("length".to_owned()));
        }
        let (holder, nonce, tag, body) =
            (&whole[..8], &whole[8..16], &whole[16..24], &whole[24..56]);
        let secret = if self.bad == BadSeal::OpensForAnybody { 0 } else { self.secret };
        if holder != Self::digest(&[&secret.to_be_bytes()]).to_be_bytes() {
            return Err(match self.bad {
                BadSeal::CallsStrangersDamage => refused("damaged".to_owned()),
                _ => SealError::NotMine { hint: "another holder" },
            });
        }
        let bound = self.pad(nonce, context, &[]);
        let is_whole = tag == Self::digest(&[holder, nonce, body, &bound]).to_be_bytes();
        if !is_whole && self.bad != BadSeal::MakesOtherBytesOfChangedOnes {
            return Err(match self.bad {
                BadSeal::TellsTheKeyInErrors => refused("canary-root-key".to_owned()),
                _ => refused("damaged".to_owned()),
            });
        }
        Ok(SecretValue::new(match self.bad {
            BadSeal::ShowsTheKey => body.to_vec(),
            BadSeal::ShowsTheKeyTurnedRound => body.iter().rev().copied().collect(),
            _ => xor(body, &self.pad(nonce, context, &parameters)),
        }))
    }
}

fn run_seal(case: SealCase, bad: BadSeal) {
    static MADE: AtomicU64 = AtomicU64::new(100);
    let mine = move || {
        let secret = match bad {
            BadSeal::IsNewEachTime => MADE.fetch_add(1, Ordering::SeqCst),
            _ => 1,
        };
        ToySeal::new(secret, bad)
    };
    seal::run(case, mine, move || ToySeal::new(2, bad));
}

mod the_toy_seal_that_is_right {
    use super::{BadSeal, ToySeal};

    strongroom_testkit::seal_suite!(|| ToySeal::new(1, BadSeal::Nothing), || ToySeal::new(
        2,
        BadSeal::Nothing
    ));
}

#[test]
fn seals_that_are_wrong_are_found() {
    let table: [(BadSeal, SealCase); 17] = [
        (BadSeal::Kind, seal::the_kind_is_a_short_plain_name),
        (BadSeal::ShowsTheKey, seal::what_is_stored_does_not_show_the_key),
        (BadSeal::ShowsTheKeyTurnedRound, seal::what_is_stored_does_not_show_the_key),
        (BadSeal::IgnoresTheStore, seal::another_store_is_refused),
        (BadSeal::IgnoresTheSealId, seal::another_seal_id_is_refused),
        (BadSeal::OpensForAnybody, seal::another_holder_is_told_that_it_is_not_its_own),
        (BadSeal::CallsStrangersDamage, seal::another_holder_is_told_that_it_is_not_its_own),
        (BadSeal::MakesOtherBytesOfChangedOnes, seal::a_changed_key_is_refused),
        (BadSeal::IgnoresWhatComesAfter, seal::a_shortened_or_lengthened_key_is_refused),
        (BadSeal::FollowsChangedParameters, seal::changed_parameters_never_give_another_key),
        (BadSeal::PanicsAtParameters, seal::parameters_of_any_bytes_are_survived),
        (BadSeal::TellsTheKeyInErrors, seal::a_changed_key_is_refused),
        (BadSeal::StoresTooMuch, seal::what_is_stored_keeps_its_limits),
        (BadSeal::GoesOnWithoutRandomness, seal::a_source_of_randomness_that_fails_is_survived),
        (BadSeal::KeepsOneKey, seal::keys_of_several_stores_are_told_apart),
        (BadSeal::StaysBusy, seal::a_dropped_call_leaves_the_seal_usable),
        (BadSeal::IsNewEachTime, seal::a_holder_made_anew_opens_what_was_wrapped),
    ];
    for (bad, case) in table {
        run_seal(case, BadSeal::Nothing);
        is_found(&format!("{bad:?}"), || run_seal(case, bad));
    }
}

/// What a policy engine does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum BadEngine {
    Nothing,
    AllowsAll,
    AllowsEverySecondTime,
    ChangesItsRevision,
    SubjectOfNoRevision,
    TrustsTheSubject,
    TrustsAnUnknownSubject,
    NeedsASecretAtTimes,
    NeedsASecretByItsFacts,
    UsesASecretThatItDoesNotNeed,
    FailsWithoutASecret,
    PanicsAtOddNames,
    CountsBegunDecisions,
    KnowsOneThread,
}

#[derive(Debug)]
struct ToyEngine {
    bad: BadEngine,
    asked: AtomicU64,
    made_on: ThreadId,
}

#[async_trait]
impl PolicyEngine for ToyEngine {
    fn revision(&self) -> u64 {
        match self.bad {
            BadEngine::ChangesItsRevision => self.asked.load(Ordering::SeqCst),
            _ => 7,
        }
    }

    fn needs_secret(&self, request: &AccessRequest) -> bool {
        match self.bad {
            BadEngine::NeedsASecretAtTimes => request.now == Timestamp::MAX,
            BadEngine::NeedsASecretByItsFacts => request.secret.is_some(),
            BadEngine::FailsWithoutASecret => true,
            _ => false,
        }
    }

    fn subject(&self, principal: &Principal) -> Subject {
        let revision = if self.bad == BadEngine::SubjectOfNoRevision { 8 } else { 7 };
        Subject::new(revision, Arc::new(principal.id().to_owned()))
    }

    async fn decide(&self, subject: &Subject, request: &AccessRequest) -> Decision {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let name = request.principal.id();
        let is_alice = match (self.bad, subject.resolved::<String>()) {
            (BadEngine::TrustsTheSubject, Some(id)) => id == "user:alice",
            (BadEngine::TrustsAnUnknownSubject, None) => true,
            _ => name == "user:alice",
        };
        let allows = match self.bad {
            BadEngine::AllowsAll => true,
            BadEngine::AllowsEverySecondTime => is_alice && asked.is_multiple_of(2),
            BadEngine::UsesASecretThatItDoesNotNeed => is_alice && request.secret.is_none(),
            BadEngine::FailsWithoutASecret if request.secret.is_none() => {
                return Decision::unavailable("no secret to look at");
            }
            BadEngine::PanicsAtOddNames => {
                assert!(!name.contains('\n'), "an odd name");
                is_alice
            }
            BadEngine::KnowsOneThread => is_alice && thread::current().id() == self.made_on,
            BadEngine::CountsBegunDecisions => is_alice && asked < 2,
            _ => is_alice,
        };
        if allows { Decision::allow() } else { Decision::deny() }
    }
}

fn read_by(name: &str) -> AccessRequest {
    let at = Timestamp::default();
    AccessRequest::new(Principal::user(name), ActionName::Read, path!("prod/db"), at)
}

fn run_engine(case: PolicyCase, bad: BadEngine) {
    let make = || ToyEngine { bad, asked: AtomicU64::new(0), made_on: thread::current().id() };
    policy::run(case, make, [read_by("alice")], [read_by("mallory")]);
}

#[test]
fn engines_that_are_wrong_are_found() {
    let table: [(BadEngine, PolicyCase); 13] = [
        (BadEngine::AllowsAll, policy::what_is_allowed_and_what_is_not_is_decided_so),
        (BadEngine::AllowsEverySecondTime, policy::a_decision_is_repeated),
        (BadEngine::ChangesItsRevision, policy::an_engine_at_rest_keeps_its_revision),
        (BadEngine::SubjectOfNoRevision, policy::a_subject_names_the_revision_that_it_is_of),
        (BadEngine::TrustsTheSubject, policy::a_subject_of_another_principal_widens_nothing),
        (BadEngine::TrustsAnUnknownSubject, policy::a_subject_saves_work_and_decides_nothing),
        (
            BadEngine::NeedsASecretAtTimes,
            policy::what_is_needed_is_told_by_principal_action_and_path_alone,
        ),
        (
            BadEngine::NeedsASecretByItsFacts,
            policy::what_is_needed_is_told_by_principal_action_and_path_alone,
        ),
        (
            BadEngine::UsesASecretThatItDoesNotNeed,
            policy::a_secret_that_is_not_needed_changes_nothing,
        ),
        (BadEngine::FailsWithoutASecret, policy::an_absent_secret_is_decided_on_too),
        (BadEngine::PanicsAtOddNames, policy::requests_of_any_kind_are_answered),
        (BadEngine::CountsBegunDecisions, policy::a_dropped_decision_leaves_nothing_behind),
        (BadEngine::KnowsOneThread, policy::several_threads_get_the_same_answers),
    ];
    for (bad, case) in table {
        run_engine(case, BadEngine::Nothing);
        is_found(&format!("{bad:?}"), || run_engine(case, bad));
    }
    let stale = policy::a_stale_subject_widens_nothing;
    is_found("a stale subject", || run_engine(stale, BadEngine::TrustsAnUnknownSubject));
}

#[derive(Debug)]
struct ToyClock {
    readings: AtomicU64,
    wall: u64,
    steps_back: bool,
}

impl Clock for ToyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall).unwrap()
    }

    fn elapsed(&self) -> Monotonic {
        let reading = self.readings.fetch_add(1, Ordering::SeqCst);
        let reading = if self.steps_back && reading % 100 == 99 { 0 } else { reading };
        Monotonic::from_start(Duration::from_millis(reading))
    }
}

/// A clock that each thread has for itself: the thread that made it is at one time, others are at
/// another.
#[derive(Debug)]
struct ClockOfThreads {
    own: ThreadId,
    times: (u64, u64),
}

impl Clock for ClockOfThreads {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn elapsed(&self) -> Monotonic {
        let is_own = thread::current().id() == self.own;
        let seconds = if is_own { self.times.0 } else { self.times.1 };
        Monotonic::from_start(Duration::from_secs(seconds))
    }
}

#[test]
fn clocks_that_are_wrong_are_found() {
    for times in [(0, 60), (60, 0)] {
        let clock = ClockOfThreads { own: thread::current().id(), times };
        is_found("a clock of each thread", || {
            sources::monotonic_time_never_steps_back_between_threads(&clock);
        });
    }
    let clock = |wall, steps_back| ToyClock { readings: AtomicU64::new(0), wall, steps_back };
    let in_seconds = 1_798_761_600;
    for case in [
        sources::monotonic_time_never_steps_back,
        sources::monotonic_time_never_steps_back_between_threads,
    ] {
        case(&clock(in_seconds, false));
        is_found("a step back", || case(&clock(in_seconds, true)));
    }
    let wall = sources::wall_time_is_a_moment_of_this_age;
    wall(&clock(in_seconds * 1000, false));
    is_found("a clock of seconds", || wall(&clock(in_seconds, false)));
    is_found("a clock beyond its end", || wall(&clock(Timestamp::MAX.as_millis(), false)));
}

/// What a source of randomness does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum BadEntropy {
    LeavesTheTail,
    RepeatsABlock,
    RepeatsByHandle,
    LacksABit,
}

#[derive(Debug)]
struct ToyEntropy {
    bad: BadEntropy,
    random: SeededEntropy,
    seen: Mutex<HashMap<usize, Vec<u8>>>,
}

impl ToyEntropy {
    fn boxed(bad: BadEntropy, random: &SeededEntropy) -> Box<dyn Entropy> {
        let random = match bad {
            BadEntropy::RepeatsByHandle => SeededEntropy::new(1),
            _ => random.clone(),
        };
        Box::new(Self { bad, random, seen: Mutex::default() })
    }
}

impl Entropy for ToyEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        match self.bad {
            BadEntropy::LeavesTheTail => {
                let whole = buffer.len() / 8 * 8;
                self.random.fill(&mut buffer[..whole])
            }
            BadEntropy::RepeatsABlock => {
                self.random.fill(buffer)?;
                let mut seen = self.seen.lock().unwrap();
                buffer.copy_from_slice(seen.entry(buffer.len()).or_insert_with(|| buffer.to_vec()));
                Ok(())
            }
            BadEntropy::RepeatsByHandle => self.random.fill(buffer),
            BadEntropy::LacksABit => {
                self.random.fill(buffer)?;
                buffer.iter_mut().for_each(|byte| *byte &= 0x7f);
                Ok(())
            }
        }
    }
}

#[test]
fn sources_of_randomness_that_are_wrong_are_found() {
    let table: [(BadEntropy, EntropyCase); 5] = [
        (BadEntropy::LeavesTheTail, sources::the_whole_buffer_is_filled),
        (BadEntropy::RepeatsABlock, sources::nothing_is_drawn_twice),
        (BadEntropy::RepeatsABlock, sources::nothing_is_drawn_twice_by_several_threads),
        (BadEntropy::RepeatsByHandle, sources::nothing_is_drawn_twice_by_several_handles),
        (BadEntropy::LacksABit, sources::no_bit_is_skewed),
    ];
    let random = SeededEntropy::new(1);
    for (bad, case) in table {
        case(&|| Box::new(random.clone()));
        is_found(&format!("{bad:?}"), || case(&|| ToyEntropy::boxed(bad, &random)));
    }
}

type AnchorCase = fn(anchor::Open<'_>, StoreId);

/// What an anchor does wrong.
#[derive(Debug, Clone, Copy)]
enum BadAnchor {
    FailsWithoutPins,
    KeepsOnePin,
    KeepsTheFirst,
    ForgetsNothing,
    CoversItself,
    MixesStores,
    LivesInMemory,
    LosesOthers,
}

/// An anchor in memory, wrong in one way.
#[derive(Debug, Clone)]
struct ToyAnchor {
    bad: BadAnchor,
    inner: MemoryAnchor,
}

impl ToyAnchor {
    fn of(&self, store: StoreId) -> StoreId {
        if matches!(self.bad, BadAnchor::MixesStores) {
            StoreId::from_bytes([0; 16])
        } else {
            store
        }
    }
}

#[async_trait]
impl Anchor for ToyAnchor {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        let pins = self.inner.load(self.of(store)).await?;
        match self.bad {
            BadAnchor::FailsWithoutPins if pins.is_empty() => Err(AnchorError::new("no pins")),
            _ => Ok(pins),
        }
    }

    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        let store = self.of(store);
        let known = self.inner.load(store).await?;
        let others: Vec<LogId> = known.iter().map(|pin| pin.log).collect();
        match self.bad {
            BadAnchor::KeepsOnePin => self.inner.advance(store, pin, &others).await,
            BadAnchor::KeepsTheFirst if others.contains(&pin.log) => Ok(()),
            BadAnchor::ForgetsNothing => self.inner.advance(store, pin, &[]).await,
            BadAnchor::CoversItself if covers.contains(&pin.log) => Ok(()),
            BadAnchor::LosesOthers => {
                thread::sleep(Duration::from_millis(2));
                self.inner.advance(store, pin, &others).await?;
                for known in known.iter().filter(|known| known.log != pin.log) {
                    self.inner.advance(store, known, covers).await?;
                }
                Ok(())
            }
            _ => self.inner.advance(store, pin, covers).await,
        }
    }
}

#[test]
fn anchors_that_are_wrong_in_one_way_are_found() {
    let cases: [(BadAnchor, AnchorCase); 8] = [
        (BadAnchor::FailsWithoutPins, anchor::a_store_without_pins_has_none),
        (BadAnchor::KeepsOnePin, anchor::pins_of_several_logs_are_kept),
        (BadAnchor::KeepsTheFirst, anchor::a_pin_takes_the_place_of_the_one_before_it),
        (BadAnchor::ForgetsNothing, anchor::covered_pins_are_forgotten),
        (BadAnchor::CoversItself, anchor::a_pin_does_not_cover_itself),
        (BadAnchor::MixesStores, anchor::stores_are_told_apart),
        (BadAnchor::LivesInMemory, anchor::pins_outlive_who_kept_them),
        (BadAnchor::LosesOthers, anchor::several_threads_lose_nothing),
    ];
    for (bad, case) in cases {
        let kept = MemoryAnchor::new();
        let open = |_: &std::path::Path| {
            let anew = matches!(bad, BadAnchor::LivesInMemory);
            let inner = if anew { MemoryAnchor::new() } else { kept.clone() };
            ToyAnchor { bad, inner }
        };
        is_found(&format!("{bad:?}"), || anchor::run(open, case));
    }
}
