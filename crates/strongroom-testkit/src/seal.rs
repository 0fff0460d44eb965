//! A key holder in memory: fast, and right for tests alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_core::{
    KeyContext, Seal, SealError, SealId, SecretValue, StoreId, WrappedKey, async_trait,
};

/// Keeps the root keys that it "wraps" in its own memory; what it hands out is only a place mark.
///
/// Clones hold the same keys, so that a test can open a store again. Another `MemorySeal` opens
/// nothing.
#[derive(Clone, Default)]
pub struct MemorySeal(Arc<Mutex<HashMap<(StoreId, SealId), SecretValue>>>);

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
        held.insert((context.store, context.seal), copy);
        Ok(WrappedKey { parameters: Vec::new(), wrapped: b"in memory".to_vec() })
    }

    async fn unwrap_key(
        &self,
        _: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<SecretValue, SealError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(&(context.store, context.seal)) {
            // EXPOSE: this seal is the memory of a test.
            Some(key) => Ok(key.expose(SecretValue::copied_from)),
            None => Err(SealError::NotMine { hint: "this seal never held the store's key" }),
        }
    }
}
