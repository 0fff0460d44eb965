//! An anchor whose pins a witness holds in place.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{Anchor, AnchorError, Clock, LogId, Pin, StoreId, async_trait};

use crate::cosignature::open_cosigned_note;
use crate::witness::{Witness, WitnessQuorum, add_checkpoint_request};

mod kept;
mod signer;

use kept::{Kept, MAX_PIN_BYTES, append, read};
pub use signer::PinSigner;

/// How far the witness's clock may be from that of the host.
const MOST_APART: Duration = Duration::from_secs(300);
/// Each further question means that others have added pins meanwhile.
const MOST_QUESTIONS: u32 = 100;

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// The way to a witness, which the host provides: no HTTP client is part of this crate.
///
/// Neither the way nor who is on it need be trusted: what counts is the witness's signature and its
/// time.
#[async_trait]
pub trait WitnessTransport: Debug + Send + Sync + 'static {
    /// Sends `POST <submission prefix>/add-checkpoint` with this body, and returns the answer,
    /// whatever its status is. Give it up after a time: the store waits.
    ///
    /// # Errors
    /// Where there is no answer.
    async fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, AnchorError>;
}

/// Keeps pins in a directory that need not be trusted, and has a witness remember how many there are.
///
/// The pins of a store are a log of their own: each call of `advance` is a line of it, and its
/// checkpoints are signed by a key that the host holds. The witness co-signs a checkpoint only where
/// that log goes on from what it co-signed last. Pins that were set back, or cut, have no checkpoint
/// that it co-signs anew, and are not loaded. So whoever runs the witness is told of one key for each
/// store, once ([`PinSigner::verifier_key`]), and learns from it how often the store pins, no more.
///
/// Who sets storage, log and pins back together is found as long as the witness is honest and its key
/// and that of the host are not known to them. The two clocks may be five minutes apart; for as
/// long, or twice as long behind a clock that is late, somebody on the way to the witness can keep
/// its newest pins from the host. A store
/// does not open while its witness cannot be asked.
///
/// One call reads all lines, of about 450 bytes each, syncs, and asks the witness, once where nobody
/// else adds pins meanwhile. The file only grows: a store that pins each minute makes 240 MB in a year.
///
/// If the directory is lost, pins begin anew under another name of the signer, of which the witness is
/// told: with that, the host accepts that an earlier pin is forgotten.
///
/// ```
/// use std::sync::Arc;
/// use strongroom_audit::{
///     PinSigner, Witness, WitnessAnchor, WitnessAnswer, WitnessTransport,
/// };
/// use strongroom_core::{AnchorError, Clock, async_trait};
///
/// #[derive(Debug)]
/// struct Http(/* a client, and the witness's address */);
///
/// #[async_trait]
/// impl WitnessTransport for Http {
///     async fn add_checkpoint(&self, body: &str) -> Result<WitnessAnswer, AnchorError> {
///         # let _ = body;
///         // POST it; then:
///         Ok(WitnessAnswer { status: 200, body: "— witness.example/w1 …".into() })
///     }
/// }
///
/// # fn of(clock: Arc<dyn Clock>) -> Result<(), strongroom_audit::WitnessError> {
/// // 32 random bytes from where those who write to the store cannot look.
/// let signer = PinSigner::new("example.com/host-7", &[7; 32])?;
/// let witness = Witness::new("witness.example/w1", [2; 32])?;
/// let anchor = WitnessAnchor::new("/var/lib/service/pins", signer, witness, Http(), clock);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WitnessAnchor {
    dir: PathBuf,
    signer: PinSigner,
    quorum: WitnessQuorum,
    transport: Box<dyn WitnessTransport>,
    clock: Arc<dyn Clock>,
}

impl WitnessAnchor {
    /// The anchor that keeps pins in this directory, which is made with the first of them, signs
    /// them, and asks that witness.
    #[must_use]
    pub fn new(
        dir: impl AsRef<Path>,
        signer: PinSigner,
        witness: Witness,
        transport: impl WitnessTransport,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let dir = dir.as_ref().to_path_buf();
        let (quorum, transport) = (WitnessQuorum::of(witness), Box::new(transport));
        Self { dir, signer, quorum, transport, clock }
    }

    fn file(&self, store: StoreId) -> PathBuf {
        self.dir.join(format!("{store}.pins"))
    }

    /// The pins, once the witness says that they are the newest: these, or what others have added.
    /// `from` is how many it has probably seen.
    async fn agreed(
        &self,
        store: StoreId,
        mut kept: Kept,
        mut from: u64,
    ) -> Result<Kept, AnchorError> {
        for _ in 0..MOST_QUESTIONS {
            let note = self.signer.note(store, kept.head());
            let proof = kept.prove(from)?;
            let body = add_checkpoint_request(&proof, &note);
            let answer = self.transport.add_checkpoint(&body).await?;
            if answer.status == 200 {
                self.check(store, &format!("{note}{}", answer.body))?;
                return Ok(kept);
            }
            let known = self.known(store, &answer)?;
            if known > kept.head().size {
                // Whoever told the witness of more had synced it.
                kept = read(&self.file(store), &self.signer, store)?;
            }
            let found = kept.head().size;
            if known > found {
                return Err(set_back(found, known));
            }
            if known == from {
                return Err(other_history());
            }
            from = known;
        }
        Err(AnchorError::new("others pin without a pause: try again"))
    }

    /// Whether the witness has just co-signed this note.
    fn check(&self, store: StoreId, note: &str) -> Result<(), AnchorError> {
        let origin = self.signer.origin(store);
        let refused = |error| AnchorError::because("the witness's answer does not hold", error);
        let cosigned = open_cosigned_note(note, &origin, &self.signer.public_key(), &self.quorum)
            .map_err(refused)?;
        let now = self.clock.now();
        let is_now = cosigned.cosignatures.iter().any(|by| {
            by.at.saturating_since(now) <= MOST_APART && now.saturating_since(by.at) <= MOST_APART
        });
        let old = "the witness's answer is not of now: check the clocks, and the way to it";
        is_now.then_some(()).ok_or_else(|| AnchorError::new(old))
    }

    /// How many pins the witness has seen, by an answer that is no cosignature.
    fn known(&self, store: StoreId, answer: &WitnessAnswer) -> Result<u64, AnchorError> {
        let detail = match answer.status {
            409 => match answer.body.strip_suffix('\n').map(str::parse) {
                Some(Ok(known)) => return Ok(known),
                _ => "what answered 409 is no witness: check the way to it".to_owned(),
            },
            422 => return Err(other_history()),
            403 | 404 => {
                let key = self.signer.verifier_key(store);
                format!("the witness does not know these pins: tell it their verifier key {key}")
            }
            status => {
                format!(
                    "the witness did not do what it was asked to (status {status}): ask who runs it"
                )
            }
        };
        Err(AnchorError::new(detail))
    }
}

fn set_back(found: u64, known: u64) -> AnchorError {
    AnchorError::new(format!(
        "the witness has seen {known} pins and {found} are here: their directory was set back; \
         restore it, or begin anew under another name"
    ))
}

fn other_history() -> AnchorError {
    AnchorError::new(
        "the witness has seen other pins than these: their directory was set back; restore it, or \
         begin anew under another name",
    )
}

#[async_trait]
impl Anchor for WitnessAnchor {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        let kept = read(&self.file(store), &self.signer, store)?;
        let from = kept.head().size;
        Ok(self.agreed(store, kept, from).await?.into_pins())
    }

    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        if pin.record.len() > MAX_PIN_BYTES {
            return Err(AnchorError::new("a pin of more than 4 KiB is none"));
        }
        let (kept, from) = append(&self.file(store), &self.signer, store, pin, covers)?;
        self.agreed(store, kept, from).await.map(drop)
    }
}
