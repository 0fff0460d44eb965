//! Many things under way at once, so that what waits for the medium waits together.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::Outcome;

/// Does something for each number below `count`, that many at a time. The error of one is the
/// error of all.
///
/// # Errors
/// The first that is met.
pub fn in_tasks<F>(
    tasks: usize,
    count: usize,
    act: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Outcome
where
    F: Future<Output = Result<(), strongroom::Error>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (next, act) = (Arc::new(AtomicUsize::new(0)), Arc::new(act));
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..tasks {
            let (next, act) = (Arc::clone(&next), Arc::clone(&act));
            running.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<(), strongroom::Error>(());
                    }
                    act(number).await?;
                }
            });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_once() {
        let sum = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&sum);
        in_tasks(7, 100, move |number| {
            shared.fetch_add(number, Ordering::Relaxed);
            std::future::ready(Ok(()))
        })
        .unwrap();
        assert_eq!(sum.load(Ordering::Relaxed), 99 * 100 / 2);
    }
}
