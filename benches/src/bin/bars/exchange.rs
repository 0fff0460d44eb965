//! Eight processes, tokens that can be used once, and an issuer that revokes all where one comes twice.

use strongroom_benches::{Outcome, bar, exchange, say};

const PROCESSES: usize = 8;

pub(crate) fn spends_once(quick: bool) -> Outcome {
    let tokens = if quick { 40 } else { 500 };
    for kills in [0, 5] {
        let done = exchange(PROCESSES, tokens, kills)?;
        done.accusations.iter().for_each(say);
        let figure = format!(
            "{} tokens spent in {:.1} s, {} came twice, {} of {PROCESSES} processes end with the newest; \
             {} killed, {} logins for what they may have spent; {} accusations",
            done.spent,
            done.took.as_secs_f64(),
            done.reused,
            done.with_the_newest,
            done.killed,
            done.logins,
            done.accusations.len()
        );
        let is_exact = done.reused == 0
            && done.spent >= tokens.saturating_sub(done.logins)
            && done.with_the_newest == PROCESSES
            && done.logins <= done.killed
            && done.accusations.is_empty();
        bar("exchange", figure, is_exact);
    }
    Ok(())
}
