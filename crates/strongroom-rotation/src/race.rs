//! Two futures, of which one is waited for.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The output of a future, unless the limit ends before it. The future is then dropped where it stands.
pub(crate) async fn within<T>(
    limit: impl Future<Output = ()>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut limit, mut future) = (pin!(limit), pin!(future));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        limit.as_mut().poll(context).map(|()| None)
    })
    .await
}
