//! What all that is coordinated between processes needs: a session, a clock, a timer, randomness.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{Clock, Entropy, Names, SecretPath, Timer};
use strongroom_engine::{Error, Freshness, Session, SystemClock, SystemEntropy};

use crate::lease::{Claim, Lease, LeaseError, Taken};
use crate::note::LONGEST;
use crate::timer::SystemTimer;

/// How long a lease lasts where nothing else is said.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// The shortest lease: a write with its sync must fit into it many times.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The first pause between two looks at what somebody else holds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Lets one of many processes work on a secret at a time, by the store that they share alone.
///
/// It acts as the principal of its session, which must be allowed to `read-metadata` and
/// `update-metadata`, and for [`exchange`](Self::exchange) to `read` and `write`.
#[derive(Clone)]
pub struct Coordinator {
    pub(crate) session: Session,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) entropy: Arc<dyn Entropy>,
    lasts: Duration,
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("principal", self.session.principal())
            .field("lasts", &self.lasts)
            .finish_non_exhaustive()
    }
}

impl Coordinator {
    /// With the machine's clock and randomness, a timer of its own, and leases of
    /// [`DEFAULT_LEASE`].
    #[must_use]
    pub fn new(session: Session) -> Self {
        Self {
            // What somebody else holds now is not told by what was so a second ago.
            session: session.with_freshness(Freshness::Current),
            clock: Arc::new(SystemClock),
            timer: Arc::new(SystemTimer::new()),
            entropy: Arc::new(SystemEntropy),
            lasts: DEFAULT_LEASE,
        }
    }

    /// With another clock, and a timer that goes by it.
    #[must_use]
    pub fn with_time(mut self, clock: impl Clock, timer: impl Timer) -> Self {
        (self.clock, self.timer) = (Arc::new(clock), Arc::new(timer));
        self
    }

    /// With another source of randomness.
    #[must_use]
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// With leases that last so long, within [`SHORTEST_LEASE`] and a day: the time after which
    /// others take over from a process that died.
    #[must_use]
    pub fn with_lease_time(mut self, lasts: Duration) -> Self {
        self.lasts = lasts.clamp(SHORTEST_LEASE, LONGEST);
        self
    }

    /// Waits until nobody else works on the secret, and takes the lease on it.
    ///
    /// # Errors
    /// Where the store does not allow or do it; see [`LeaseError`].
    pub async fn lease(&self, path: impl Names<SecretPath>) -> Result<Lease, LeaseError> {
        let path = self.path(path)?;
        match Claim::new(self, &path, self.lasts, None)?.wait(self).await? {
            Taken::Lease(lease) => Ok(*lease),
            Taken::Spent => Err(LeaseError::Abandoned),
            // INVARIANT: not reached, since it asks for no version.
            Taken::Moved => Err(LeaseError::Lost),
        }
    }

    pub(crate) fn lasts(&self) -> Duration {
        self.lasts
    }

    pub(crate) fn path(&self, path: impl Names<SecretPath>) -> Result<SecretPath, Error> {
        path.try_into().map_err(|error| Error::from(error.into()))
    }

    pub(crate) fn waiting(&self, lasts: Duration) -> Waiting<'_> {
        Waiting { of: self, pause: FIRST_PAUSE, longest: (lasts / 8).min(LONGEST_PAUSE) }
    }
}

/// Pauses that grow, each a little different, so that those who wait do not look at the same moment.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    of: &'a Coordinator,
    pause: Duration,
    longest: Duration,
}

impl Waiting<'_> {
    /// Waits between half of the pause and all of it; the next one is twice as long.
    pub(crate) async fn pause(&mut self) -> Result<(), LeaseError> {
        let mut byte = [0];
        self.of.entropy.fill(&mut byte)?;
        let span = self.pause / 2 + self.pause / 512 * u32::from(byte[0]);
        self.pause = (self.pause * 2).min(self.longest);
        self.of.timer.sleep(span).await;
        Ok(())
    }
}
