//! A process that only reads, and says how much memory it has come to.

use std::path::PathBuf;

use futures_executor::block_on;
use strongroom::Opaque;

use crate::children::word;
use crate::{Dice, Outcome, Room, owner, path, resident_bytes, say};

/// Reads that often, each time one of the secrets by chance.
pub(crate) fn read_all(words: &[String]) -> Outcome {
    let (dir, secrets, reads): (PathBuf, u64, usize) =
        (word(words, 0)?, word(words, 1)?, word(words, 2)?);
    let room = block_on(Room::builder(&dir)?.open())?;
    let session = room.session(owner());
    let opened = resident_bytes()?;
    let mut dice = Dice::new(secrets);
    for _ in 0..reads {
        let number = usize::try_from(dice.below(secrets))?;
        block_on(session.get::<Opaque>(path(number)?))?;
    }
    say(format!("{opened} {}", resident_bytes()?));
    block_on(room.close())?;
    Ok(())
}
