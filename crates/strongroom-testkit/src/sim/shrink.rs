//! Making a plan that fails smaller while it still fails.

use super::dice::Dice;
use super::plan::{Plan, Step};
use super::storage::SimFaults;

/// Without some of its steps a plan goes another way, so that a smaller one is tried under some
/// seeds before it is given up.
const SEEDS: u64 = 6;

/// The smallest plan that was found to fail: without the engines, steps and faults that it fails
/// without too. `fails` says whether a plan does; it is asked some hundred times.
///
/// ```
/// use strongroom_testkit::sim::{Act, Plan, Size, shrink};
///
/// let plan = Plan::new(7, Size::default());
/// let small = shrink(&plan, |plan| plan.steps.iter().any(|step| step.act == Act::GetMany));
/// assert_eq!(small.steps.len(), 1);
/// ```
pub fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut small = plan.clone();
    loop {
        let before = small.clone();
        without_engines(&mut small, &fails);
        without_steps(&mut small, &fails);
        without_faults(&mut small, &fails);
        without_restore(&mut small, &fails);
        if small.steps.len() == before.steps.len() && small.faults == before.faults {
            return small;
        }
    }
}

/// Takes a smaller plan if it fails under its seed, or under another.
fn take(small: &mut Plan, mut smaller: Plan, fails: &impl Fn(&Plan) -> bool) -> bool {
    let first = smaller.seed;
    for number in 0..SEEDS {
        smaller.seed = if number == 0 { first } else { Dice::of(first, number).roll() };
        if fails(&smaller) {
            *small = smaller;
            return true;
        }
    }
    false
}

fn without_engines(small: &mut Plan, fails: &impl Fn(&Plan) -> bool) {
    let engines = small.steps.iter().map(|step| step.engine + 1).max().unwrap_or(0);
    for engine in (0..engines).rev() {
        let mut smaller = small.clone();
        smaller.steps.retain(|step| step.engine != engine);
        if smaller.steps.len() < small.steps.len() && !smaller.steps.is_empty() {
            take(small, smaller, fails);
        }
    }
}

/// Halves, quarters, and so on to single steps.
fn without_steps(small: &mut Plan, fails: &impl Fn(&Plan) -> bool) {
    let mut length = small.steps.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < small.steps.len() {
            let mut smaller = small.clone();
            let is_outside = |at: usize| at < from || at >= from + length;
            let kept = small.steps.iter().enumerate().filter(|(at, _)| is_outside(*at));
            smaller.steps = kept.map(|(_, step)| *step).collect();
            if smaller.steps.is_empty() || !take(small, smaller, fails) {
                from += length;
            }
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
}

fn without_restore(small: &mut Plan, fails: &impl Fn(&Plan) -> bool) {
    if small.restore.is_some() {
        let smaller = Plan { restore: None, ..small.clone() };
        take(small, smaller, fails);
    }
}

fn without_faults(small: &mut Plan, fails: &impl Fn(&Plan) -> bool) {
    let each: [fn(&mut SimFaults) -> &mut u32; 7] = [
        |faults| &mut faults.not_done,
        |faults| &mut faults.lost_requests,
        |faults| &mut faults.lost_replies,
        |faults| &mut faults.retries,
        |faults| &mut faults.landings,
        |faults| &mut faults.stalls,
        |faults| &mut faults.turns,
    ];
    for of in each {
        let mut smaller = small.clone();
        if std::mem::take(of(&mut smaller.faults)) > 0 {
            take(small, smaller, fails);
        }
    }
    let is_dropped = |step: &Step| step.dropped_after.is_some();
    for at in 0..small.steps.len() {
        let mut smaller = small.clone();
        if let Some(step) = smaller.steps.get_mut(at).filter(|step| is_dropped(step)) {
            step.dropped_after = None;
            take(small, smaller, fails);
        }
    }
}
