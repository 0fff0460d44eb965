//! A target that applies late, loses requests and replies, refuses some credentials, and makes some itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use strongroom_core::{
    ApiKey, Clock, Credential, Entropy, Monotonic, Rotator, RotatorError, RotatorErrorKind,
    TargetProfile, Timer, async_trait,
};
use strongroom_testkit::{ManualClock, SeededEntropy};

/// How long a change may take to be seen, where the target takes its time.
pub(crate) const SETTLES: Duration = Duration::from_secs(8);

/// What the target knows, shared by all rotators and clients.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    state: Arc<Mutex<Accounts>>,
    clock: ManualClock,
    dice: SeededEntropy,
    settles: bool,
    /// Whether messages are lost.
    is_lossy: bool,
}

#[derive(Debug, Default)]
struct Accounts {
    /// What it accepts: a password or key for each account or id.
    accepted: BTreeMap<String, String>,
    /// What it will accept or forget, in the order in which it was told.
    coming: Vec<(Monotonic, String, Option<String>)>,
    issued: u64,
    wrong: Vec<String>,
}

impl Target {
    pub(crate) fn new(clock: &ManualClock, seed: u64, settles: bool, is_lossy: bool) -> Self {
        let (state, clock) = (Arc::default(), clock.clone());
        Self { state, clock, dice: SeededEntropy::new(seed ^ 0x7a67), settles, is_lossy }
    }

    /// The same without losses.
    pub(crate) fn at_peace(&self) -> Self {
        Self { is_lossy: false, ..self.clone() }
    }

    fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes) % limit
    }

    /// As it is now, with all that has come by now.
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock().unwrap();
        let (due, coming) = std::mem::take(&mut state.coming)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, ..)| *at <= now);
        state.coming = coming;
        for (_, account, password) in due {
            match password {
                Some(password) => state.accepted.insert(account, password),
                None => state.accepted.remove(&account),
            };
        }
        state
    }

    pub(crate) fn accepts(&self, account: &str, password: &str) -> bool {
        self.accounts().accepted.get(account).is_some_and(|accepted| accepted == password)
    }

    /// The account has that password at once.
    pub(crate) fn begin(&self, account: &str, password: &str) {
        self.accounts().accepted.insert(account.to_owned(), password.to_owned());
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        self.accounts().wrong.clone()
    }

    pub(crate) fn accepted(&self) -> usize {
        let accounts = self.accounts();
        accounts.accepted.len()
            + accounts.coming.iter().filter(|(.., password)| password.is_some()).count()
    }

    /// A message to the target and back. Where the target got it, `effect` happens, whether somebody still
    /// waits for the answer or not.
    async fn ask<T>(
        &self,
        effect: impl FnOnce(&mut Accounts, Monotonic) -> T,
    ) -> Result<T, RotatorError> {
        let unreachable = || RotatorError::new(RotatorErrorKind::Unreachable, "no answer");
        let fate = if self.is_lossy { self.below(20) } else { 19 };
        let there = Duration::from_millis(self.below(200));
        if fate == 0 {
            self.clock.sleep(there).await;
            return Err(unreachable());
        }
        let late = match self.settles {
            true => SETTLES / 8 * u32::try_from(self.below(8)).unwrap(),
            false => Duration::ZERO,
        };
        // It is on its way at once, or with a caller who may be stopped before it is sent.
        if self.below(2) == 0 {
            self.clock.sleep(there).await;
        }
        let at = self.clock.elapsed().saturating_add(late);
        let output = effect(&mut self.accounts(), at);
        let slow = if fate == 1 { Duration::from_secs(60) } else { Duration::ZERO };
        self.clock.sleep(slow + Duration::from_millis(self.below(200))).await;
        if fate == 2 { Err(unreachable()) } else { Ok(output) }
    }

    fn profile(&self, holds: u8) -> TargetProfile {
        let profile = TargetProfile::holding(holds.try_into().unwrap());
        // What was asked for last may be seen last.
        if self.settles { profile.settling_in(SETTLES * 2) } else { profile }
    }

    async fn login(&self, account: &str, password: &str) -> Result<(), RotatorError> {
        let account = account.to_owned();
        let password = password.to_owned();
        let accepted =
            self.ask(move |accounts, _| accounts.accepted.get(&account) == Some(&password)).await?;
        // Nobody can tell one from the other by a login.
        let kind = RotatorErrorKind::Refused;
        if accepted { Ok(()) } else { Err(RotatorError::new(kind, "wrong password")) }
    }
}

/// The password of one user, or of two in turn.
#[derive(Debug)]
pub(crate) struct Passwords {
    pub(crate) target: Target,
    pub(crate) users: Vec<&'static str>,
}

fn text(secret: &strongroom_core::SecretText) -> String {
    secret.expose(str::to_owned)
}

#[async_trait]
impl Rotator for Passwords {
    type Secret = Credential;

    fn name(&self) -> &str {
        "sim-passwords"
    }

    fn profile(&self) -> TargetProfile {
        self.target.profile(u8::try_from(self.users.len()).unwrap())
    }

    async fn create(&self, current: Option<&Credential>) -> Result<Credential, RotatorError> {
        let in_use = current.map(Credential::username);
        let user = self.users.iter().find(|user| Some(**user) != in_use).unwrap_or(&self.users[0]);
        let number = self.target.below(1 << 40);
        // The target does not like these.
        let word = if number.is_multiple_of(10) { "weak" } else { "strong" };
        Ok(Credential::new(*user, format!("{word}-{number}")))
    }

    async fn set(&self, next: &Credential, _: Option<&Credential>) -> Result<(), RotatorError> {
        let (user, password) = (next.username().to_owned(), text(next.password()));
        if password.starts_with("weak") {
            return Err(RotatorError::new(RotatorErrorKind::Refused, "the password is weak"));
        }
        self.target.ask(move |accounts, at| accounts.coming.push((at, user, Some(password)))).await
    }

    async fn test(&self, secret: &Credential) -> Result<(), RotatorError> {
        self.target.login(secret.username(), &text(secret.password())).await
    }

    async fn revoke(&self, old: &Credential, current: &Credential) -> Result<(), RotatorError> {
        // As a database does: the account, whatever its password is by then.
        let (old, current) = (old.username().to_owned(), current.username().to_owned());
        self.target
            .ask(move |accounts, at| {
                if old == current {
                    accounts.wrong.push(format!("{old} was revoked while it is in force"));
                }
                accounts.coming.push((at, old, None));
            })
            .await
    }
}

/// Keys that the target makes, two at most.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) target: Target,
}

#[async_trait]
impl Rotator for Keys {
    type Secret = ApiKey;

    fn name(&self) -> &str {
        "sim-keys"
    }

    fn profile(&self) -> TargetProfile {
        self.target.profile(2).inventing()
    }

    async fn create(&self, _: Option<&ApiKey>) -> Result<ApiKey, RotatorError> {
        let made = self.target.ask(|accounts, at| {
            let coming: Vec<_> = accounts.coming.iter().filter(|(.., key)| key.is_some()).collect();
            if accounts.accepted.len() + coming.len() >= 2 {
                return None;
            }
            accounts.issued += 1;
            let (id, key) = (format!("AK{}", accounts.issued), format!("key-{}", accounts.issued));
            accounts.coming.push((at, id.clone(), Some(key.clone())));
            Some(ApiKey::new(key).with_key_id(id))
        });
        let full = || RotatorError::new(RotatorErrorKind::Refused, "there are two keys");
        made.await?.ok_or_else(full)
    }

    async fn set(&self, _: &ApiKey, _: Option<&ApiKey>) -> Result<(), RotatorError> {
        panic!("a target that makes its keys is told of none");
    }

    async fn test(&self, secret: &ApiKey) -> Result<(), RotatorError> {
        self.target.login(secret.key_id().unwrap(), &text(secret.key())).await
    }

    async fn revoke(&self, old: &ApiKey, _: &ApiKey) -> Result<(), RotatorError> {
        self.remove(old.key_id().unwrap()).await
    }

    async fn ids(&self) -> Result<Vec<String>, RotatorError> {
        self.target
            .ask(|accounts, _| {
                let coming = accounts.coming.iter().filter(|(.., key)| key.is_some());
                let coming = coming.map(|(_, id, _)| id.clone());
                let mut ids: Vec<_> = accounts.accepted.keys().cloned().chain(coming).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            })
            .await
    }

    fn id_of(&self, secret: &ApiKey) -> Option<String> {
        secret.key_id().map(str::to_owned)
    }

    async fn remove(&self, id: &str) -> Result<(), RotatorError> {
        let id = id.to_owned();
        self.target
            .ask(move |accounts, _| {
                accounts.coming.retain(|(_, coming, _)| *coming != id);
                accounts.accepted.remove(&id);
            })
            .await
    }
}
