//! The five things that the engine needs of futures, without a runtime.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use strongroom_core::{Clock, Monotonic};

/// Runs two futures side by side until both are done.
pub(crate) async fn join<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    poll_fn(move |context| {
        if a.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(context)
        {
            a = Some(output);
        }
        if b.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            b = Some(output);
        }
        match (a.take(), b.take()) {
            (Some(left), Some(right)) => Poll::Ready((left, right)),
            (left, right) => {
                (a, b) = (left, right);
                Poll::Pending
            }
        }
    })
    .await
}

/// Runs a future of the host's; a panic in it becomes an error, which is dropped unread, since a
/// panic's message may carry anything.
pub(crate) async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(payload) => {
            drop::<Box<dyn Any + Send>>(payload);
            Poll::Ready(Err(Panicked))
        }
    })
    .await
}

/// A future of the host's panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs a future of the host's that may take so long by the monotonic clock, and says when it
/// ended. Too late is too late, even with an output.
///
/// There is no timer in here: the time is looked at with each poll. A future that hangs is given
/// up when its task next runs, whatever wakes that.
pub(crate) async fn within<T>(
    limit: Duration,
    clock: &dyn Clock,
    future: impl Future<Output = T>,
) -> Result<(T, Monotonic), TooLate> {
    let mut future = pin!(future);
    let started = clock.elapsed();
    poll_fn(move |context| {
        let polled = future.as_mut().poll(context);
        let now = clock.elapsed();
        if now.saturating_since(started) > limit {
            return Poll::Ready(Err(TooLate));
        }
        polled.map(|output| Ok((output, now)))
    })
    .await
}

/// A future of the host's took longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLate;

/// What a future has to say at its first poll, if anything.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
