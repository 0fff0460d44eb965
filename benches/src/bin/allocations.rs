//! What an operation allocates: `allocations get` or `allocations decision`. A program of its own,
//! since counting costs time.

use std::hint::black_box;

use allocation_counter::AllocationInfo;
use futures_executor::block_on;
use strongroom::{Credential, Durability, PolicyEngine};
use strongroom_benches::{Outcome, Room, decision_cases, owner, path, say};

fn main() -> Outcome {
    let counted = match std::env::args().nth(1).as_deref() {
        Some("get") => get()?,
        Some("decision") => decisions()?,
        _ => return Err("usage: allocations get|decision".into()),
    };
    say(format!("{} allocations, {} B", counted.count_total, counted.bytes_total));
    Ok(())
}

/// A `get` of a `Credential`.
fn get() -> Outcome<AllocationInfo> {
    let room = Room::create(Durability::Flushed)?;
    let session = room.room.session(owner());
    let login = path(8)?;
    block_on(session.put(login.clone(), Credential::new("billing_rw", "s3cr3t")))?;
    block_on(session.get::<Credential>(&login))?;

    let mut got = false;
    let counted = allocation_counter::measure(|| {
        got = block_on(session.get::<Credential>(&login)).is_ok();
    });
    if got { Ok(counted) } else { Err("the read failed".into()) }
}

/// One decision of each case.
fn decisions() -> Outcome<AllocationInfo> {
    let mut all = AllocationInfo::default();
    for case in decision_cases(1_000)? {
        let subject = case.policy.subject(&case.request.principal);
        let mut decision = None;
        let counted = allocation_counter::measure(|| {
            decision = Some(black_box(case.policy.evaluate_for(&subject, &case.request)));
        });
        if decision.map(|decision| decision.effect()) != Some(case.effect) {
            return Err(format!("{} was decided wrongly", case.what).into());
        }
        all.count_total += counted.count_total;
        all.bytes_total += counted.bytes_total;
    }
    Ok(all)
}
