//! Pins of one log that are under way at the same time.

use std::pin::{Pin as Pinned, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{
    Anchor, AnchorError, LogId, Opaque, Pin, Principal, StoreId, TreeHead, async_trait,
};
use strongroom_engine::Strongroom;
use strongroom_policy::Policy;
use strongroom_testkit::{MemoryAnchor, SeededEntropy, TestRoom};

/// Pending once.
struct Once(bool);

impl Future for Once {
    type Output = ();
    fn poll(mut self: Pinned<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// An anchor whose next call takes long before it has its effect.
#[derive(Debug, Clone, Default)]
struct Slow {
    inner: MemoryAnchor,
    is_slow: Arc<AtomicBool>,
}

#[async_trait]
impl Anchor for Slow {
    async fn load(&self, store: StoreId) -> Result<Vec<Pin>, AnchorError> {
        self.inner.load(store).await
    }
    async fn advance(
        &self,
        store: StoreId,
        pin: &Pin,
        covers: &[LogId],
    ) -> Result<(), AnchorError> {
        if self.is_slow.swap(false, Ordering::SeqCst) {
            Once(false).await;
        }
        self.inner.advance(store, pin, covers).await
    }
}

/// What a checkpoint has pinned is what a host relies on not to be undone.
#[test]
fn a_slow_pin_does_not_take_the_place_of_a_checkpoint() {
    let (kit, anchor) = (TestRoom::allowing_all(), Slow::default());
    let alice = Principal::user("alice");
    let builder = Strongroom::builder()
        .storage(kit.storage.clone())
        .seal(kit.seal.clone())
        .policy(Policy::owned_by(&alice))
        .audit(kit.log.beside())
        .clock(kit.clock.clone())
        .entropy(SeededEntropy::new(11))
        .anchor(anchor.clone());
    let room = block_on(builder.open()).unwrap();
    let session = room.session(alice);
    block_on(session.put("prod/db", Opaque::new(b"one"))).unwrap();

    kit.clock.advance(Duration::from_secs(61));
    anchor.is_slow.store(true, Ordering::SeqCst);
    let mut put = pin!(session.put("prod/db", Opaque::new(b"two")));
    assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let head: TreeHead = block_on(room.checkpoint()).unwrap();
    block_on(put).unwrap();

    let pins = block_on(anchor.load(room.id())).unwrap();
    let pin = pins.iter().find(|pin| pin.log == room.log()).unwrap();
    let size = u64::from_be_bytes(pin.record[50..58].try_into().unwrap());
    assert_eq!(size, head.size);
}
