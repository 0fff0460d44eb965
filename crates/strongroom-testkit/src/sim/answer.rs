//! What an engine answers, and how long it is waited for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use strongroom_core::{AuditError, NotDoneKind, StorageError};
use strongroom_engine::{Error, Unavailable};

pub(super) fn is_stale(error: &Error) -> bool {
    matches!(error, Error::Unavailable(Unavailable::StalePermit))
}

/// Nobody here tampers, and everybody may do everything. An engine that takes its own batch for one
/// that cannot be has lost count of its records.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Tampered(_)
        | Error::Denied(_)
        | Error::Unavailable(
            Unavailable::Unsupported(_) | Unavailable::Audit(AuditError::Suspect { .. }),
        ) => true,
        Error::Unavailable(Unavailable::Storage(StorageError::NotDone { kind, .. })) => {
            matches!(kind, NotDoneKind::TooLarge | NotDoneKind::Damaged)
        }
        _ => false,
    }
}

/// An error with all that caused it.
pub(super) fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Polls a future so often and drops it.
pub(super) async fn at_most<T>(mut polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context: &mut Context<'_>| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        let future: Pin<&mut _> = future.as_mut();
        future.poll(context).map(Some)
    })
    .await
}
