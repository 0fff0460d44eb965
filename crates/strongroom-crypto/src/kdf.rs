//! SHA-256, HMAC and HKDF-Expand, with the keyed state computed once.

use std::fmt;
use std::sync::Arc;

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use strongroom_core::{Digest, Entropy, EntropyError};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// SHA-256 of a record, as lineages and intents name it.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// A 32-byte pseudorandom key and the HMAC-SHA256 state that begins with it.
///
/// Clones share the one copy in memory, which is wiped with the last of them.
#[derive(Clone)]
pub(crate) struct Prk(Arc<Keyed>);

struct Keyed {
    secret: Zeroizing<[u8; 32]>,
    mac: Hmac<Sha256>,
}

impl Prk {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        // A key of 64 bytes is used as it is, and HMAC fills a shorter one up with zeros.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        let mac = Hmac::new((&*block).into());
        Self(Arc::new(Keyed { secret: Zeroizing::new(*bytes), mac }))
    }

    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// The key, to be encoded into a record that is encrypted.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.0.secret
    }

    /// HMAC-SHA256 of the parts together, cut to `N` bytes, at most 32.
    pub(crate) fn hmac<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut full = Zeroizing::new([0; 32]);
        self.hmac_into(parts, &mut full);
        let mut short = [0; N];
        for (to, from) in short.iter_mut().zip(full.iter()) {
            *to = *from;
        }
        short
    }

    fn hmac_into(&self, parts: &[&[u8]], output: &mut [u8; 32]) {
        let mut mac = self.0.mac.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize_into(output.into());
    }

    /// HKDF-Expand of RFC 5869 with SHA-256, the info given in parts.
    ///
    /// The `hkdf` crate does the same, but leaves its last block on the stack unwiped; for a
    /// record that block is the key of the cipher.
    pub(crate) fn expand(&self, info: &[&[u8]], output: &mut [u8]) {
        let mut block = Zeroizing::new([0; 32]);
        // INVARIANT: no caller asks for more than 64 bytes, so the counter never overflows.
        for (counter, chunk) in (1..=u8::MAX).zip(output.chunks_mut(32)) {
            let mut mac = self.0.mac.clone();
            if counter > 1 {
                mac.update(&*block);
            }
            for part in info {
                mac.update(part);
            }
            mac.update(&[counter]);
            mac.finalize_into((&mut *block).into());
            for (to, from) in chunk.iter_mut().zip(block.iter()) {
                *to = *from;
            }
        }
    }

    pub(crate) fn ct_eq(&self, other: &Self) -> bool {
        self.secret().ct_eq(other.secret()).into()
    }
}

impl fmt::Debug for Prk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prk")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_agrees_with_the_hkdf_crate() {
        for seed in 0..32u8 {
            let key = [seed.wrapping_mul(41); 32];
            let oracle = hkdf::Hkdf::<Sha256>::from_prk(&key).unwrap();
            for length in [1, 8, 31, 32, 33, 64] {
                let (mut ours, mut theirs) = (vec![0; length], vec![0; length]);
                Prk::from_bytes(&key).expand(&[b"info", &[seed], b""], &mut ours);
                oracle.expand_multi_info(&[b"info", &[seed]], &mut theirs).unwrap();
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn hmac_agrees_with_rfc_4231_case_2_in_form() {
        // A key of 32 bytes, against the plain constructor of the `hmac` crate.
        let key = [0x4a; 32];
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
        mac.update(b"what do ya want for nothing?");
        let theirs: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(Prk::from_bytes(&key).hmac(&[b"what do ya want ", b"for nothing?"]), theirs);
    }
}
