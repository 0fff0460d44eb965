//! Randomness that repeats, for tests that must.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use strongroom_core::{Entropy, EntropyError};

/// The bytes of ChaCha20 under a key made from a small seed: the same for the same seed, and so
/// known to everybody. **For tests only.** Clones draw from the same stream.
///
/// ```
/// use strongroom_core::Entropy;
/// use strongroom_testkit::SeededEntropy;
///
/// let (mut a, mut b) = ([0; 16], [0; 16]);
/// SeededEntropy::new(7).fill(&mut a)?;
/// SeededEntropy::new(7).fill(&mut b)?;
/// assert_eq!(a, b);
/// # Ok::<(), strongroom_core::EntropyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SeededEntropy(Arc<State>);

#[derive(Debug)]
struct State {
    generator: Mutex<ChaCha20Rng>,
    failing: AtomicBool,
}

impl SeededEntropy {
    /// The stream of this seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(State {
            generator: Mutex::new(ChaCha20Rng::seed_from_u64(seed)),
            failing: AtomicBool::new(false),
        }))
    }

    /// Whether calls fail from now on, as where the system has no randomness to give.
    pub fn set_failing(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(EntropyError::new());
        }
        self.0.generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_goes_on_and_fails_on_demand() {
        let (entropy, mut a, mut b) = (SeededEntropy::new(1), [0; 32], [0; 32]);
        entropy.fill(&mut a).unwrap();
        entropy.clone().fill(&mut b).unwrap();
        assert_ne!(a, b);
        SeededEntropy::new(2).fill(&mut b).unwrap();
        assert_ne!(a, b);
        entropy.set_failing(true);
        assert!(entropy.fill(&mut a).is_err());
        entropy.set_failing(false);
        assert!(entropy.fill(&mut a).is_ok());
    }
}
