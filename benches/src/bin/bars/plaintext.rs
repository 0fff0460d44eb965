//! What is left of secrets in the memory of a process that has put, read, rewrapped and dropped
//! them.

use strongroom_benches::{Outcome, bar, residue, say};

const SHOWN: usize = 12;

pub(crate) fn is_wiped(quick: bool) -> Outcome {
    let secrets = if quick { 100 } else { 1_000 };
    for found in residue(secrets)? {
        let moment = found.moment;
        found.values.iter().chain(&found.keys).take(SHOWN).for_each(say);
        let figure = format!(
            "{moment}: {} hits of {secrets} values in {} MB; what was planted was {}found",
            found.values.len(),
            found.bytes >> 20,
            if found.planted { "" } else { "not " }
        );
        bar("plaintext", figure, found.values.is_empty() && found.planted);
        // An open store has its keys; that they are found then shows that the search works.
        let figure = format!("{moment}: {} of {} keys drawn", found.keys.len(), found.drawn);
        bar("plaintext", figure, found.keys.is_empty() == found.closed);
    }
    Ok(())
}
