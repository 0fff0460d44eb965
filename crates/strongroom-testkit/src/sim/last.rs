//! What is done with a store when all engines have ended: it is opened, and all is looked at.

use std::collections::BTreeSet;

use strongroom_core::Storage;
use strongroom_engine::Strongroom;

use super::answer::in_full;
use super::check::check;
use super::client::Client;
use super::history::Fate;
use super::plan::{Act, CHECKED, FRESH, Guess, Step};
use super::records;
use super::run::World;
use super::storage::SimFaults;

/// Numbers of the values that are put when all engines have ended begin here.
const LAST: u64 = 1_000_000;

impl<S: Storage> World<'_, S> {
    /// Holds the run against its logs, and its history against itself. What is wrong, and all that
    /// was asked and told.
    pub(super) fn checked(&self) -> (Vec<String>, Vec<String>) {
        let mut history = self.history.borrow_mut();
        records::check(&self.logs, &mut history);
        (check(&history), std::mem::take(&mut history.lines))
    }

    /// Opens the store on a good day, twice, lets all that was lost land, and looks at everything.
    pub(super) async fn last_engines(&mut self) {
        for round in 0..2 {
            let sink = self.logs.beside();
            let opened = self.process(&sink, SimFaults::default()).open_or_create().await;
            let room = match opened {
                Ok(room) => room,
                Err(error) => {
                    let fault = format!("the last engine does not open: {}", in_full(&error));
                    return self.history.borrow_mut().fault(fault);
                }
            };
            // Nothing of the dead may have an effect from here on.
            self.store.land_all().await;
            let client = self.client(format!("last.{round}"), &room, &sink).alone();
            self.look_at_all(room, client, round).await;
        }
    }

    /// Reads and writes on all paths, verifies and closes.
    pub(super) async fn look_at_all(&self, room: Strongroom, mut client: Client, round: u64) {
        let history = &self.history;
        let mut number = LAST * (round + 1);
        let mut step = |act| {
            number += 1;
            Step { engine: 0, client: 0, act, dropped_after: None, number }
        };
        for path in 0..CHECKED {
            client.step(&step(Act::Get(path))).await;
            client.step(&step(Act::Look(path))).await;
            let (bytes, guess, pending) = (40, Guess::Any, false);
            client.step(&step(Act::Put { path, bytes, guess, pending })).await;
            let done = history.borrow().writes.last().map(|write| write.fate);
            if !matches!(done, Some(Fate::Took(_))) {
                history.borrow_mut().fault(format!("path {path} takes no put at the end"));
            }
            client.step(&step(Act::Get(path))).await;
            client.step(&step(Act::GetOutdated(path))).await;
        }
        let fresh: BTreeSet<usize> = {
            let history = history.borrow();
            history.writes.iter().map(|write| write.path).filter(|at| *at >= FRESH).collect()
        };
        for path in fresh {
            client.step(&step(Act::Get(path))).await;
            client.step(&step(Act::Look(path))).await;
        }
        client.step(&step(Act::GetMany)).await;
        client.step(&step(Act::Sweep(0))).await;
        client.step(&step(Act::Verify)).await;
        if let Err(error) = room.close().await {
            let fault = format!("the last engine does not close: {}", in_full(&error));
            history.borrow_mut().fault(fault);
        }
    }
}
