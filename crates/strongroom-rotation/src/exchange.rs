//! A credential that can be used once, exchanged for the next one by exactly one of many processes.
//!
//! An issuer of refresh tokens takes a token that comes twice for a stolen one, and revokes all that
//! came from the same login (RFC 9700, section 4.14.2). So it is written down before a token is sent that it is
//! being spent, and whoever finds that and hears no more of it does not send it again.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;

use strongroom_core::{Names, SecretKind, SecretPath, SecretValue, Stage, Version};
use strongroom_engine::{Error, Versioned, WriteOptions, WriteOutcome};
use thiserror::Error as ThisError;

use crate::coordinator::Coordinator;
use crate::lease::{Claim, Lease, LeaseError, Taken};

type BoxError = Box<dyn StdError + Send + Sync>;

/// What became of a credential whose exchange did not work: only the host can tell, by the issuer's
/// answer.
#[derive(Debug)]
pub struct Failed {
    is_unspent: bool,
    source: BoxError,
}

impl Failed {
    /// The issuer did not get it, or said that it did not take it: it is as good as before.
    pub fn unspent(source: impl Into<BoxError>) -> Self {
        Self { is_unspent: true, source: source.into() }
    }

    /// It may be spent: a lost reply, an answer that makes no sense.
    pub fn unknown(source: impl Into<BoxError>) -> Self {
        Self { is_unspent: false, source: source.into() }
    }
}

/// Why there is no new credential.
#[non_exhaustive]
#[derive(ThisError)]
pub enum ExchangeError<K> {
    /// The store did not do what the exchange needs. The credential was not spent by this call.
    #[error("the exchange was not begun")]
    NotBegun(#[source] LeaseError),
    /// The host's call failed, and the credential is as good as before.
    #[error("the issuer gave no new credential; the old one is not spent")]
    Unspent(#[source] BoxError),
    /// The host's call failed, and nobody knows whether the credential is spent. No call of this
    /// version's will spend it again: put a new one, by logging in.
    #[error("whether the credential is spent is not known: log in again and put the new one")]
    Unknown(#[source] BoxError),
    /// A process began to spend the version and has not been heard of since.
    #[error(
        "a process began to spend version {0} and was not heard of since: log in again and put a new one"
    )]
    Abandoned(Version),
    /// The issuer gave a new credential, and the store did not take it, or has another one in force that
    /// somebody put meanwhile. It is in here, and nowhere else that is known.
    #[error("the new credential is not in force: take it out of this error and put it")]
    NotStored {
        /// The new credential.
        secret: Box<K>,
        /// Why.
        source: LeaseError,
    },
    /// There is a new credential in force, and it could not be read.
    #[error("a new credential is in force and could not be read: read it again")]
    NotRead(#[source] Error),
}

impl<K> fmt::Debug for ExchangeError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun(source) => f.debug_tuple("NotBegun").field(source).finish(),
            Self::Unspent(source) => f.debug_tuple("Unspent").field(source).finish(),
            Self::Unknown(source) => f.debug_tuple("Unknown").field(source).finish(),
            Self::Abandoned(version) => f.debug_tuple("Abandoned").field(version).finish(),
            // A host's kind may print more of a secret than ours do.
            Self::NotStored { source, .. } => {
                f.debug_struct("NotStored").field("source", source).finish_non_exhaustive()
            }
            Self::NotRead(source) => f.debug_tuple("NotRead").field(source).finish(),
        }
    }
}

impl<K, T: Into<LeaseError>> From<T> for ExchangeError<K> {
    fn from(source: T) -> Self {
        Self::NotBegun(source.into())
    }
}

impl Coordinator {
    /// Exchanges a credential that can be used once, such as an OAuth refresh token, and answers with
    /// the one in force afterwards.
    ///
    /// `stale` is the version that the caller found to be no longer good. Of all callers in all processes
    /// one spends it; the others wait and get what that one stored. Whoever comes later, with a
    /// version that is not in force any more, gets the one in force at once.
    ///
    /// `spend` is not called where the version may have been spent by somebody who died; it may take as
    /// long as a lease lasts before others give up. Do not drop the future, as a time limit around it does:
    /// where it has the lease, a new credential would be lost with it, and nobody would spend the old one
    /// again.
    ///
    /// ```
    /// use strongroom_core::{Principal, Token};
    /// use strongroom_rotation::{Coordinator, Failed};
    /// use strongroom_testkit::TestRoom;
    ///
    /// # futures_executor::block_on(async {
    /// let kit = TestRoom::allowing_all();
    /// let app = kit.room().session(Principal::service("app"));
    /// app.put("prod/issuer/refresh", Token::new("rt-1")).await?;
    ///
    /// let held = app.read::<Token>("prod/issuer/refresh").await?;
    /// // … the issuer says that the access token is over …
    /// let coordinator = Coordinator::new(app);
    /// let next = coordinator
    ///     .exchange("prod/issuer/refresh", held.version, async |old: Token| {
    ///         assert!(old.token().expose(|text| text == "rt-1"));
    ///         Ok::<_, Failed>(Token::new("rt-2")) // here: ask the issuer
    ///     })
    ///     .await?;
    /// assert!(next.secret.token().expose(|text| text == "rt-2"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// See [`ExchangeError`]: each says what is known of the credential.
    pub async fn exchange<K, F, Spending>(
        &self,
        path: impl Names<SecretPath>,
        stale: Version,
        spend: F,
    ) -> Result<Versioned<K>, ExchangeError<K>>
    where
        K: SecretKind,
        F: FnOnce(K) -> Spending,
        Spending: Future<Output = Result<K, Failed>>,
    {
        let path = self.path(path)?;
        let claim = Claim::new(self, &path, self.lasts(), Some(stale))?;
        let mut lease = match claim.wait(self).await? {
            Taken::Lease(lease) => *lease,
            Taken::Moved => return self.in_force(&path).await,
            Taken::Spent => return Err(ExchangeError::Abandoned(stale)),
        };
        let old = match self.session.get::<K>(path.at(stale)).await {
            Ok(old) => old,
            Err(error) => return Err(self.unspent(lease, error.into()).await),
        };
        // Held up for longer than the lease lasts: others have given the version up, and perhaps put
        // a new one.
        if lease.remaining().is_zero() {
            let why = match lease.look().await {
                Ok(now) if now.stage(Stage::Current) == Some(stale) => None,
                Ok(_) => Some(LeaseError::Lost),
                Err(error) => Some(error),
            };
            if let Some(why) = why {
                return Err(self.unspent(lease, why).await);
            }
        }
        match spend(old).await {
            Ok(next) => self.store(lease, stale, next).await,
            Err(Failed { is_unspent: false, source }) => Err(ExchangeError::Unknown(source)),
            Err(Failed { is_unspent: true, source }) => {
                // If it cannot be released, it is taken for spent later: that is what is safe.
                drop(lease.release().await);
                Err(ExchangeError::Unspent(source))
            }
        }
    }

    async fn unspent<K>(&self, lease: Lease, why: LeaseError) -> ExchangeError<K> {
        drop(lease.release().await);
        ExchangeError::NotBegun(why)
    }

    /// Puts the new credential in force and ends the lease in one step.
    async fn store<K: SecretKind>(
        &self,
        mut lease: Lease,
        stale: Version,
        next: K,
    ) -> Result<Versioned<K>, ExchangeError<K>> {
        let path = lease.path().clone();
        let started = self.clock.elapsed();
        let mut waiting = self.waiting(self.lasts());
        let (identifiers, value) = next.into_parts();
        let mut doubt = None;
        let failure = loop {
            let settled = match &doubt {
                None => Ok(None),
                Some(doubt) => match self.session.resolve(doubt).await {
                    Ok(WriteOutcome::TookEffect(version)) => Ok(version),
                    // Where too much came after it to tell: if it took effect, the lease is over.
                    Ok(WriteOutcome::DidNot | WriteOutcome::Unknown) => {
                        lease.look().await.map(|_| None)
                    }
                    Err(error) => Err(error.into()),
                },
            };
            let attempt = match settled {
                Ok(Some(version)) => Ok(version),
                Err(error) => Err(error),
                Ok(None) => {
                    doubt = None;
                    let copy = match copy::<K>(&identifiers, &value) {
                        Ok(copy) => copy,
                        Err(error) => break error.into(),
                    };
                    let options =
                        WriteOptions::new().expecting(lease.expected()).annexes(lease.ending());
                    self.session.put_with(&path, copy, options).await.map_err(LeaseError::from)
                }
            };
            let error = match attempt {
                Ok(_) => return self.in_force(&path).await,
                Err(LeaseError::Store(Error::Conflict(_))) => match lease.look().await {
                    Ok(now) if now.stage(Stage::Current) == Some(stale) => continue,
                    // Somebody put or promoted another one by hand.
                    Ok(_) => {
                        drop(lease.give_up().await);
                        LeaseError::Lost
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match error {
                // The lease is taken from who spends only where another version is in force: this one, by
                // a write that was not heard of, or somebody else's.
                LeaseError::Lost => match self.session.get::<K>(&path).await.map(K::into_parts) {
                    Ok((_, there)) if there.ct_eq(&value) => return self.in_force(&path).await,
                    Ok(_) => break LeaseError::Lost,
                    Err(error) => break error.into(),
                },
                error if is_lasting(&error) => break error,
                error if self.clock.elapsed().saturating_since(started) > self.lasts() => {
                    break error;
                }
                LeaseError::Store(Error::Indeterminate(write)) => doubt = Some(write),
                // A store that does not answer for a moment.
                _ => {}
            }
            if let Err(error) = waiting.pause().await {
                break error;
            }
        };
        match K::from_parts(identifiers, value) {
            Ok(secret) => {
                Err(ExchangeError::NotStored { secret: Box::new(secret), source: failure })
            }
            // A kind that does not take back what it gave: there is nothing to hand out.
            Err(error) => Err(ExchangeError::Unknown(Box::new(error))),
        }
    }

    /// The credential that others use now.
    async fn in_force<K: SecretKind>(
        &self,
        path: &SecretPath,
    ) -> Result<Versioned<K>, ExchangeError<K>> {
        self.session.read(path).await.map_err(ExchangeError::NotRead)
    }
}

/// Whether it makes no sense to try again.
fn is_lasting(error: &LeaseError) -> bool {
    !matches!(
        error,
        LeaseError::Store(Error::Unavailable(_) | Error::Indeterminate(_) | Error::Conflict(_))
    )
}

/// A copy to be stored: the store may have to be asked more than once.
pub(crate) fn copy<K: SecretKind>(
    identifiers: &K::Identifiers,
    value: &SecretValue,
) -> Result<K, Error> {
    let identifiers = serde_json::to_value(identifiers)
        .and_then(serde_json::from_value)
        .map_err(|_| strongroom_core::KindError::Identifiers(K::KIND))?;
    // EXPOSE: one copy for the store, wiped like the first.
    let value = value.expose(SecretValue::copied_from);
    Ok(K::from_parts(identifiers, value)?)
}
