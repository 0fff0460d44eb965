//! A key holder in memory: fast, and right for tests alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use strongroom_core::{
    KeyContext, Seal, SealError, SealId, SecretValue, StoreId, WrappedKey, async_trait,
};

/// Keeps the root keys that it "wraps" in its own memory; what it hands out is only a place mark.
///
/// Clones hold the same keys, so that a test can open a store again. Another `MemorySeal` opens
/// nothing.
#[derive(Clone, Default)]
pub struct MemorySeal(Arc<Mutex<HashMap<Place, SecretValue>>>);

/// Where a key is kept: whose it is, and the mark of the wrapping, which is all that is stored.
type Place = (StoreId, SealId, Vec<u8>);

impl MemorySeal {
    /// A seal that holds no key yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemorySeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemorySeal")
    }
}

#[async_trait]
impl Seal for MemorySeal {
    fn kind(&self) -> &str {
        "memory"
    }

    async fn wrap_key(
        &self,
        key: &SecretValue,
        context: &KeyContext<'_>,
    ) -> Result<WrappedKey, SealError> {
        // EXPOSE: this seal is the memory of a test.
        let copy = key.expose(SecretValue::copied_from);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A digest, so that a changed mark is no other wrapping's.
        let mark = Sha256::digest((held.len() as u64).to_be_bytes()).to_vec();
        held.insert((context.store, context.seal, mark.clone()), copy);
        Ok(WrappedKey { parameters: Vec::new(), wrapped: mark })
    }

    async fn unwrap_key(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(&(context.store, context.seal, wrapped.wrapped.clone())) {
            // EXPOSE: this seal is the memory of a test.
            Some(key) => Ok(key.expose(SecretValue::copied_from)),
            None => Err(SealError::NotMine { hint: "this seal never held the store's key" }),
        }
    }
}
