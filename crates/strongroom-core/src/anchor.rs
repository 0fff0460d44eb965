//! What is kept outside of storage and log, so that both cannot be set back together.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::id::{LogId, StoreId};

/// How far a log had come: the bytes of its registry record, which the store has signed.
///
/// Whoever keeps a pin can hold it back, or answer with an older one, and cannot make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Which log.
    pub log: LogId,
    /// The registry record, as it is stored.
    pub record: Vec<u8>,
}

/// An anchor that does not work.
#[derive(Debug, Error)]
#[error("the anchor did not work: {detail}")]
pub struct AnchorError {
    detail: Box<str>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl AnchorError {
    /// Does not work, with what is in the way and what to do.
    #[must_use]
    pub fn new(detail: impl Into<Box<str>>) -> Self {
        Self { detail: detail.into(), source: None }
    }

    /// The same, because of an error below.
    #[must_use]
    pub fn because(
        detail: impl Into<Box<str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { detail: detail.into(), source: Some(source.into()) }
    }
}

/// Keeps pins where those who can write to storage and log cannot: on another medium or another
/// machine. A storage and a log that were set back together to one earlier moment agree with each
/// other, and no longer with their anchor.
///
/// # Contract
/// `load` answers all pins that `advance` was given and that no later call replaced or covered. Of
/// a log the pin that was given last counts. Processes may call at the same time, each about other
/// logs.
///
/// # Durability
/// A pin is kept for good when `advance` returns.
///
/// # Cancellation
/// A dropped `advance` has happened or has not.
#[async_trait]
pub trait Anchor: Debug + Send + Sync + 'static {
    /// All pins of a store; none where it has none yet.
    ///
    /// # Errors
    /// Where the anchor cannot be asked.
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError>;

    /// Keeps a pin in place of an earlier one of its log, and after that forgets the pins of logs
    /// that it covers: a storage that has this record has their last ones, too.
    ///
    /// # Errors
    /// Where the pin cannot be kept. Pins that could not be forgotten do no harm.
    async fn advance(&self, store: StoreId, pin: &Pin, covers: &[LogId])
    -> Result<(), AnchorError>;
}

#[async_trait]
impl<T: Anchor + ?Sized> Anchor for Arc<T> {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        (**self).load(store).await
    }
    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        (**self).advance(store, pin, covers).await
    }
}
