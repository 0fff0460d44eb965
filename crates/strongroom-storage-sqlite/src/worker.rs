//! The thread that writes, so that a commit's wait for the disk holds up no executor.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use strongroom_core::{NotDoneKind, StorageError};

use crate::writer::{Done, Request, Writer};

/// How many requests share a transaction at most.
const GROUP: usize = 256;

/// A thread with a queue. Joined when dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    request: Request,
    answer: Promise<Result<Done, StorageError>>,
}

impl Worker {
    pub(crate) fn start(writer: Writer) -> Result<Self, StorageError> {
        let (queue, jobs) = channel();
        let thread = thread::Builder::new()
            .name("strongroom-sqlite".into())
            .spawn(move || work(writer, &jobs))
            .map_err(|e| {
                StorageError::not_done(NotDoneKind::Busy, "no thread could be started").because(e)
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a request. It is done whether or not the future is polled to its end.
    pub(crate) fn submit(&self, request: Request) -> Promised<Result<Done, StorageError>> {
        let (answer, promised) = promise();
        if let Some(queue) = &self.queue {
            // Where the thread is gone, the promise breaks with the job.
            let _ = queue.send(Job { request, answer });
        }
        promised
    }

    /// Lets go of the thread, which is another process's.
    pub(crate) fn abandon(mut self) {
        std::mem::forget(self.queue.take());
        std::mem::forget(self.thread.take());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already told to who waited.
            let _ = thread.join();
        }
    }
}

fn work(mut writer: Writer, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let jobs = std::iter::once(first).chain(jobs.try_iter()).take(GROUP);
        let (requests, answers): (Vec<_>, Vec<_>) =
            jobs.map(|job| (job.request, job.answer)).unzip();
        for (answer, done) in answers.into_iter().zip(writer.run(&requests)) {
            answer.keep(done);
        }
    }
}

/// Runs a job on a thread of its own, which is joined before the future is done, or when it is
/// dropped.
pub(crate) async fn in_background<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let (answer, promised) = promise();
    let thread = thread::Builder::new()
        .name("strongroom-sqlite-backup".into())
        .spawn(move || answer.keep(job()))
        .map_err(|e| {
            StorageError::not_done(NotDoneKind::Busy, "no thread could be started").because(e)
        })?;
    let _joined = Joined(Some(thread));
    promised.await
}

struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A panic there broke the promise, which is what the caller sees.
            let _ = thread.join();
        }
    }
}

/// The answer that will come.
#[derive(Debug)]
pub(crate) struct Promised<T>(Arc<Mutex<Slot<T>>>);

struct Promise<T>(Arc<Mutex<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    answer: Option<T>,
    broken: bool,
    waker: Option<Waker>,
}

fn promise<T>() -> (Promise<T>, Promised<T>) {
    let slot = Arc::new(Mutex::new(Slot { answer: None, broken: false, waker: None }));
    (Promise(Arc::clone(&slot)), Promised(slot))
}

impl<T> Promise<T> {
    fn keep(self, answer: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answer = Some(answer);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.broken = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Promised<Result<T, StorageError>> {
    type Output = Result<T, StorageError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        if slot.broken {
            return Poll::Ready(Err(StorageError::indeterminate("the writing thread ended")));
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
