//! The machine's own clock and randomness: the one place where either is asked for.

use std::time::Duration;

use strongroom_core::{Clock, Entropy, EntropyError, Monotonic, Timestamp};

/// The operating system's clocks.
///
/// `elapsed` reads `CLOCK_BOOTTIME` where there is one, which goes on while the machine is
/// suspended.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[cfg(any(target_os = "linux", target_os = "android"))]
const ELAPSED: rustix::time::ClockId = rustix::time::ClockId::Boottime;
// On Apple systems the monotonic clock counts suspend already.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ELAPSED: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is what stands behind the trait")]
    fn now(&self) -> Timestamp {
        let since =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        // A clock set before 1970 or after 9999 is survived: it reads as the nearest moment.
        u64::try_from(since.as_millis())
            .ok()
            .and_then(|millis| Timestamp::from_millis(millis).ok())
            .unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Monotonic {
        let time = rustix::time::clock_gettime(ELAPSED);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Monotonic::from_start(Duration::new(seconds, nanos))
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is what stands behind the trait")]
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(buffer).map_err(EntropyError::because)
    }
}
