//! One at a time, across processes and machines: a fenced lease on a secret, kept in the secret's own
//! head, so that what is written under it can be bound to it.
//!
//! No clock is compared with another one. Its holder counts from before it wrote the note; whoever
//! wants it counts from after it saw the note, by a monotonic clock of its own, and takes it where it
//! has not changed for as long as it lasts. What a holder writes names the head that it saw: one that
//! woke late changes nothing (Gray and Cheriton 1989; fencing tokens as in Burrows 2006, section 2.4).

use std::time::Duration;

use strongroom_core::{
    AnnexUpdate, EntropyError, Expected, MetadataUpdate, Monotonic, SecretMetadata, SecretPath,
    Stage, Version,
};
use strongroom_engine::{Error, WriteOutcome};
use thiserror::Error as ThisError;

use crate::coordinator::Coordinator;
use crate::note::{ANNEX, Note};

/// Why there is no lease, or no longer.
#[non_exhaustive]
#[derive(Debug, ThisError)]
pub enum LeaseError {
    /// The store did not do what the lease needs.
    #[error("the lease could not be read or written")]
    Store(#[from] Error),
    /// Somebody else has taken it.
    #[error("somebody else has the lease: what was begun under it is theirs to end")]
    Lost,
    /// The version in force can be used once, and a process that died may have used it.
    #[error(
        "a process began to spend the version in force and was not heard of since: put a new one"
    )]
    Abandoned,
    /// The note in the secret is not one that this program knows.
    #[error("the lease was written by another version of this program: bring all to one version")]
    UnknownNote,
    /// No randomness.
    #[error("a lease needs randomness")]
    Entropy(#[from] EntropyError),
}

/// The sole right to work on a secret, for a time, among all that ask for it by a [`Coordinator`].
///
/// It ends with [`release`](Self::release), or by itself once it was not renewed for as long as it
/// lasts. Dropping it does not release it: a drop cannot wait.
///
/// ```
/// use strongroom_core::{Password, Principal};
/// use strongroom_rotation::Coordinator;
/// use strongroom_testkit::TestRoom;
///
/// # futures_executor::block_on(async {
/// let kit = TestRoom::allowing_all();
/// let runner = kit.room().session(Principal::service("runner"));
/// runner.put("prod/db", Password::new("s3cr3t")).await?;
///
/// let coordinator = Coordinator::new(runner);
/// let lease = coordinator.lease("prod/db").await?;
/// let token = lease.token(); // for a target that refuses smaller ones
/// lease.release().await?;
/// assert!(coordinator.lease("prod/db").await?.token() > token);
/// # Ok::<(), strongroom_rotation::LeaseError>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Lease {
    coordinator: Coordinator,
    path: SecretPath,
    note: Note,
    /// The head that the next write expects.
    seq: u64,
    /// From when on it lasts: before it was written.
    since: Monotonic,
}

/// What a wait for a lease ends with.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It was taken.
    Lease(Box<Lease>),
    /// There is no more need of it: another version is in force.
    Moved,
    /// Its holder spends the version and has not been heard of for as long as its lease lasts.
    Spent,
}

/// A lease as somebody sees it who wants it.
#[derive(Debug)]
struct Sighting {
    note: Note,
    since: Monotonic,
}

/// Somebody who wants a lease, and what they have seen of it.
#[derive(Debug)]
pub(crate) struct Claim {
    path: SecretPath,
    holder: [u8; 16],
    lasts: Duration,
    /// With a version, the lease is taken only while that is in force, and says that it is spent.
    spends: Option<Version>,
    seen: Option<Sighting>,
    /// When it was last tried to take it.
    tried: Option<Monotonic>,
}

impl Claim {
    pub(crate) fn new(
        of: &Coordinator,
        path: &SecretPath,
        lasts: Duration,
        spends: Option<Version>,
    ) -> Result<Self, LeaseError> {
        let mut holder = [0; 16];
        of.entropy.fill(&mut holder)?;
        Ok(Self { path: path.clone(), holder, lasts, spends, seen: None, tried: None })
    }

    /// Waits until the lease is free, and takes it.
    pub(crate) async fn wait(mut self, of: &Coordinator) -> Result<Taken, LeaseError> {
        let mut waiting = of.waiting(self.lasts);
        let mut failing = None;
        loop {
            let before = self.seen.as_ref().map(|sighting| sighting.note);
            match self.attempt(of).await {
                Ok(Some(taken)) => return Ok(taken),
                Ok(None) => failing = None,
                // A store that does not answer for a moment.
                Err(LeaseError::Store(Error::Unavailable(_) | Error::Indeterminate(_)))
                    if of
                        .clock
                        .elapsed()
                        .saturating_since(*failing.get_or_insert_with(|| of.clock.elapsed()))
                        < self.lasts / 2 => {}
                Err(error) => return Err(error),
            }
            if before != self.seen.as_ref().map(|sighting| sighting.note) {
                waiting = of.waiting(self.lasts);
            }
            waiting.pause().await?;
        }
    }

    /// Takes the lease if it is free. `None` where it is not, or where somebody else was faster.
    pub(crate) async fn attempt(&mut self, of: &Coordinator) -> Result<Option<Taken>, LeaseError> {
        let since = of.clock.elapsed();
        let metadata = of.session.metadata(&self.path).await?;
        let note = Note::of(&metadata)?;
        // After the look: the note was there by then at the latest, so that this is not too early.
        let now = of.clock.elapsed();
        let current = metadata.stage(Stage::Current);
        if self.spends.is_some() && current != self.spends {
            return Ok(Some(Taken::Moved));
        }
        if note.holder == Some(self.holder) {
            // It was taken by an attempt that did not hear of it. It lasts from then on at most.
            let since = self.tried.unwrap_or(since);
            let (coordinator, path, seq) = (of.clone(), self.path.clone(), metadata.seq);
            let lease = Lease { coordinator, path, note, seq, since };
            return Ok(Some(Taken::Lease(Box::new(lease))));
        }
        let is_free = match (note.holder, &self.seen) {
            (None, _) => true,
            (Some(_), Some(sighting)) if sighting.note == note => {
                now.saturating_since(sighting.since) > note.lasts()
            }
            (Some(_), _) => {
                self.seen = Some(Sighting { note, since: now });
                false
            }
        };
        if !is_free {
            return Ok(None);
        }
        if note.spends.is_some() && note.spends == current {
            return Ok(Some(Taken::Spent));
        }
        let mine = Note {
            holder: Some(self.holder),
            // A secret that was purged has no note any more, and its head goes on counting: so no token
            // comes twice.
            term: note.term.saturating_add(1).max(metadata.seq),
            beat: 0,
            lasts: u64::try_from(self.lasts.as_millis()).unwrap_or(u64::MAX),
            spends: self.spends,
        };
        let (coordinator, path, seq) = (of.clone(), self.path.clone(), metadata.seq);
        let mut lease = Lease { coordinator, path, note: mine, seq, since };
        self.seen = None;
        self.tried = Some(since);
        let is_taken = lease.write_note(mine).await?;
        Ok(is_taken.then(|| Taken::Lease(Box::new(lease))))
    }
}

impl Lease {
    /// The fencing token: larger than that of each lease on this secret before. A target that
    /// remembers the largest one it saw can refuse whoever woke late.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.note.term
    }

    /// The secret.
    #[must_use]
    pub fn path(&self) -> &SecretPath {
        &self.path
    }

    /// For how long it is still certain, by the own clock, that nobody else has it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let held = self.coordinator.clock.elapsed().saturating_since(self.since);
        self.note.lasts().saturating_sub(held)
    }

    /// What the next write under the lease must expect to find: the head that was last seen under it.
    ///
    /// A write that is done changes the head; [`look`](Self::look) then says what there is now.
    #[must_use]
    pub fn expected(&self) -> Expected {
        Expected::Head(self.seq)
    }

    /// Makes sure that the lease is still held, and shows the secret as it is now. What is written next
    /// is bound to that.
    ///
    /// # Errors
    /// `Lost` where somebody else has it.
    pub async fn look(&mut self) -> Result<SecretMetadata, LeaseError> {
        let metadata = self.coordinator.session.metadata(&self.path).await?;
        let note = Note::of(&metadata)?;
        if (note.holder, note.term) != (self.note.holder, self.note.term) {
            return Err(LeaseError::Lost);
        }
        self.note = note;
        self.seq = metadata.seq;
        Ok(metadata)
    }

    /// Makes it last anew, and shows the secret as it is now.
    ///
    /// # Errors
    /// `Lost` where somebody else has it.
    pub async fn renew(&mut self) -> Result<SecretMetadata, LeaseError> {
        loop {
            let since = self.coordinator.clock.elapsed();
            let mut metadata = self.look().await?;
            let next = Note { beat: self.note.beat.saturating_add(1), ..self.note };
            if self.write_note(next).await? {
                self.since = since;
                metadata.seq = self.seq;
                metadata.annexes.insert(ANNEX.to_owned(), next.encode());
                return Ok(metadata);
            }
        }
    }

    /// Gives it up, so that nobody waits for its end.
    ///
    /// # Errors
    /// `Lost` where somebody else has it already.
    pub async fn release(mut self) -> Result<(), LeaseError> {
        self.give_up().await
    }

    pub(crate) async fn give_up(&mut self) -> Result<(), LeaseError> {
        loop {
            if self.write_note(self.note.released()).await? {
                return Ok(());
            }
            self.look().await?;
        }
    }

    /// What writes the end of the lease together with something else.
    pub(crate) fn ending(&self) -> AnnexUpdate {
        AnnexUpdate::new().set(ANNEX, self.note.released().encode())
    }

    /// Replaces the note if the head is still the one that was seen. False where it is not.
    async fn write_note(&mut self, note: Note) -> Result<bool, LeaseError> {
        let session = &self.coordinator.session;
        let update = MetadataUpdate::new().annexes(AnnexUpdate::new().set(ANNEX, note.encode()));
        let is_done = match session.update_metadata_with(&self.path, update, self.expected()).await
        {
            Ok(()) => true,
            Err(Error::Conflict(_)) => false,
            Err(Error::Indeterminate(doubt)) => match session.resolve(&doubt).await {
                Ok(WriteOutcome::TookEffect(_)) => true,
                Ok(WriteOutcome::DidNot) => false,
                // A note that is there proves that it was written; one that is not there proves
                // nothing yet, but the next write here settles it first.
                Ok(WriteOutcome::Unknown) | Err(_) => {
                    let metadata = session.metadata(&self.path).await?;
                    // Only where nothing came after it: else what was seen before is not what there is.
                    Note::of(&metadata)? == note && metadata.seq == self.seq.saturating_add(1)
                }
            },
            Err(error) => return Err(error.into()),
        };
        if is_done {
            self.seq = self.seq.saturating_add(1);
            self.note = note;
        }
        Ok(is_done)
    }
}
