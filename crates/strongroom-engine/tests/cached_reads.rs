//! Reads that may be served from the cache, while others change keys.

use std::time::Duration;

use futures_executor::block_on;
use strongroom_core::{Opaque, Principal, path};
use strongroom_engine::{Freshness, Session};
use strongroom_testkit::TestRoom;

fn alice(room: &strongroom_engine::Strongroom) -> Session {
    room.session(Principal::user("alice"))
}

/// A cached head may be older than the keys that are known. Its own were destroyed since, and that
/// is no damage. Found by a simulated run.
#[test]
fn a_cached_head_whose_keys_are_destroyed_is_read_anew() {
    for many in [false, true] {
        let kit = TestRoom::allowing_all();
        let another = kit.open_again_allowing_all().unwrap();
        let (reader, other) = (alice(&kit.room()), alice(&another));
        for path in ["prod/db", "prod/api"] {
            block_on(reader.put(path, Opaque::new(b"value"))).unwrap();
        }
        block_on(other.rotate_keys("prod")).unwrap();
        assert_eq!(block_on(other.rewrap("prod")).unwrap().epochs_destroyed, 1);
        // The reader gets to know the new keys, over another secret.
        block_on(reader.get::<Opaque>("prod/api")).unwrap();

        let reader = reader.with_freshness(Freshness::AtMost(Duration::from_secs(60)));
        let read: Opaque = if many {
            let paths = [path!("prod/db"), path!("prod/api")];
            block_on(reader.get_many(&paths)).unwrap().remove(0).unwrap().secret
        } else {
            block_on(reader.get("prod/db")).unwrap()
        };
        assert!(read.value().expose(|bytes| bytes == b"value"));
    }
}
