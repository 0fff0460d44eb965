//! What a `get` of a `Credential` allocates. A program of its own, since counting costs time.

use futures_executor::block_on;
use strongroom::{Credential, Durability};
use strongroom_benches::{Outcome, Room, owner, path, say};

fn main() -> Outcome {
    let room = Room::create(Durability::Flushed)?;
    let session = room.room.session(owner());
    let login = path(8)?;
    block_on(session.put(login.clone(), Credential::new("billing_rw", "s3cr3t")))?;
    block_on(session.get::<Credential>(&login))?;

    let mut got = false;
    let counted = allocation_counter::measure(|| {
        got = block_on(session.get::<Credential>(&login)).is_ok();
    });
    let figure = format!("{} allocations, {} B", counted.count_total, counted.bytes_total);
    say(figure);
    if !got {
        return Err("the read failed".into());
    }
    Ok(())
}
