//! Puts of 256 B, one after the other.

use std::path::PathBuf;

use futures_executor::block_on;
use strongroom::Session;

use crate::children::word;
use crate::{Outcome, Room, owner, path, value};

/// Puts that many secrets, the first of that number.
///
/// # Errors
/// The first that is met.
pub async fn puts(session: &Session, first: usize, count: usize) -> Outcome {
    for number in first..first + count {
        session.put(path(number)?, value(number)).await?;
    }
    Ok(())
}

/// Opens the room in a directory, puts, and closes it.
pub(crate) fn put_and_close(words: &[String]) -> Outcome {
    let (dir, count) = (word::<PathBuf>(words, 0)?, word(words, 1)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    block_on(puts(&room.session(owner()), 1_000, count))?;
    block_on(room.close())?;
    Ok(())
}

/// The same, with all values at one path.
pub(crate) fn replace_and_close(words: &[String]) -> Outcome {
    let (dir, count) = (word::<PathBuf>(words, 0)?, word(words, 1)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    for number in 0..count {
        block_on(session.put(path(0)?, value(number)))?;
    }
    block_on(room.close())?;
    Ok(())
}
