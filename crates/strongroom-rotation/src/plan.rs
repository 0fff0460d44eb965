//! How a secret is rotated: by whom, when, and how long each part of it takes.

use std::time::Duration;

use strongroom_core::Entropy;

use crate::schedule::Schedule;

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a rotation takes its time for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) grace: Duration,
    pub(crate) destroy_after: Duration,
}

impl Rules {
    /// Ten seconds after the first failure, twice as long after each that follows, at most an hour; a
    /// quarter more or less, so that those who fail together do not try again together.
    pub(crate) fn pause_after(&self, failures: u32, entropy: &dyn Entropy) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let pause = doubled.min(LONGEST_PAUSE * 4 / 5);
        let mut byte = [0];
        // Without randomness there is no jitter, and nothing worse.
        let _ = entropy.fill(&mut byte);
        pause * 3 / 4 + pause / 512 * u32::from(byte[0])
    }

    /// No pause is longer.
    pub(crate) fn longest_pause(&self) -> Duration {
        LONGEST_PAUSE
    }

    /// The pause between two logins with what the target may not accept yet.
    pub(crate) fn look_again(&self, settles: Duration) -> Duration {
        (settles / 16).clamp(Duration::from_millis(100), Duration::from_secs(30))
    }
}

/// How a secret is rotated.
///
/// A rotation knows of no [`Validity`](crate::Validity) and no uses yet: parts of a schedule that count
/// from them are never due.
///
/// ```
/// use std::time::Duration;
/// use strongroom_rotation::{Plan, Schedule};
///
/// let monthly = Plan::new(Schedule::every(Duration::from_secs(30 * 86_400))?)
///     .grace(Duration::from_secs(3600)) // what was before is accepted for an hour longer
///     .destroy_after(Duration::from_secs(7 * 86_400));
/// # Ok::<(), strongroom_rotation::ScheduleError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) schedule: Schedule,
    pub(crate) rules: Rules,
}

impl Plan {
    /// With a grace of five minutes, and destruction a day after retirement.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        let (grace, destroy_after) = (Duration::from_secs(300), Duration::from_secs(86_400));
        Self { schedule, rules: Rules { grace, destroy_after } }
    }

    /// How long the version before stays accepted once the next one is in force: longer than any
    /// application keeps a version without asking for it again, and than two leases, so that a runner
    /// that wakes late is noticed. Afterwards it is revoked at the target, and disabled. Each process
    /// counts it by its own clock, from when it saw the new version: where another takes over, it is longer.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.rules.grace = grace;
        self
    }

    /// How long a version stays disabled before it is destroyed. Until then `enable` brings it back into
    /// the store; the target has forgotten it. One whose time has not come when the next rotation
    /// ends is not destroyed by that, but by the secret's `max_versions`.
    #[must_use]
    pub fn destroy_after(mut self, wait: Duration) -> Self {
        self.rules.destroy_after = wait;
        self
    }
}

#[cfg(test)]
mod tests {
    use strongroom_testkit::SeededEntropy;

    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_differ() {
        let rules = Plan::new(Schedule::on_demand()).rules;
        let entropy = SeededEntropy::new(1);
        let mut last = Duration::ZERO;
        for failures in 1..9 {
            let pause = rules.pause_after(failures, &entropy);
            let exact = FIRST_PAUSE * 2_u32.pow(failures - 1);
            assert!(pause >= exact * 3 / 4 && pause <= exact * 5 / 4, "{failures}: {pause:?}");
            assert!(pause > last);
            last = pause;
        }
        for failures in [10, 100, u32::MAX] {
            let pauses: Vec<_> = (0..50).map(|_| rules.pause_after(failures, &entropy)).collect();
            assert!(pauses.iter().all(|pause| *pause <= rules.longest_pause()), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}
